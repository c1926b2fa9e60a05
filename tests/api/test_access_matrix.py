"""Who may ask what, for every operation there is: first the token, then the role, then the rest."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from litestar.routes import HTTPRoute

from api.founding import issue_token
from syndicate.parties.institutions import Role
from tests.api.surface import (
    APP,
    DOCUMENT,
    GUARDED,
    NO_KEY,
    OPERATIONS,
    PEOPLE,
    Operation,
    each,
)
from tests.house import House

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

PUBLIC = {
    "GET /healthz": "the platform asks whether the process lives",
    "GET /readyz": "the platform asks whether work can be taken",
    "GET /metrics": "counts without paths, for the monitoring",
    "GET /v1/log/checkpoint": "anyone may keep the top log's head",
    "GET /v1/log/checkpoint-to-cosign": "the one that witnesses sign together",
    "GET /v1/log/keys": "the keys claimed, to be compared with what their owners publish",
    "GET /v1/log/checkpoints/{size}/time-stamps": "what a third party vouches for, to be checked",
    "GET /v1/log/tile/{tile}": "with the hashes of its tree, which tell nothing of their leaves",
    "GET /v1/log/proofs/consistency": "and check that it only grew",
}
"""Operations without a token, and why."""

PAGES = {
    "/v1": "the document to read",
    "/v1/docs": "the same",
    "/v1/openapi.json": "the document itself",
    "/v1/oauth2-redirect.html": "part of the page",
    "/v1/static/{file_path}": "files of the page",
}
"""Routes that show the document and are not in it."""

EMPTY = {
    "GET /v1/borrowers/{borrower}/readings": "one's own reads about a firm: none, known or not",
}
"""Lists under a name that nobody has are empty here, and why."""

BODIES = {
    "as expected": ({"content-type": "application/json"}, b"{}"),
    "malformed": ({"content-type": "application/json"}, b'{"a":'),
    "of another type": ({"content-type": "text/csv"}, b"\xff\xfe,1"),
    "without a key": ({}, b""),
    "too long": ({"content-type": "application/json"}, b" " * ((1 << 20) + 1)),
}


@pytest.fixture(scope="module")
async def bad_tokens(shared_house: House) -> dict[str, dict[str, str]]:
    """Authorization headers that open nothing, by what is wrong with them."""
    house = shared_house
    person = {"person": "matrix-revoked", "name": "revoked", "roles": ["officer"]}
    await house["operator"].post("/v1/institutions/hzbank/people", person)
    revoked = await house["operator"].post("/v1/people/matrix-revoked/tokens", {"days": 1})
    await house["operator"].send("DELETE", "/v1/people/matrix-revoked/tokens", key=None, expect=200)
    expired, _ = await issue_token(
        house.installation.database,
        person="hzbank-officer",
        now=datetime.now(UTC) - timedelta(days=2),
        life=timedelta(days=1),
    )
    good = house["hzbank-officer"].token
    return {
        "no token": {},
        "no bearer": {"authorization": f"Basic {good}"},
        "malformed": {"authorization": "Bearer ldt_short"},
        "one letter off": {"authorization": f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}"},
        "expired": {"authorization": f"Bearer {expired}"},
        "revoked": {"authorization": f"Bearer {revoked['token']}"},
    }


async def ask(
    house: House, operation: Operation, headers: dict[str, str], content: bytes, **query: Any
) -> Any:
    """The answer to the operation; a body goes along even where none is taken."""
    return await house.http.request(
        operation.method, operation.url(), headers=headers, content=content, params=query or None
    )


def problem_of(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:liandai:problem:{problem['code']}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


# ---- tokens


@each(GUARDED)
async def test_without_a_valid_token_nothing_else_is_judged(
    operation: Operation, shared_house: House, bad_tokens: dict[str, dict[str, str]]
) -> None:
    said = set()
    for what, authorization in bad_tokens.items():
        # Every body goes along with one of them: it is the guard that comes first, for all.
        for kind in BODIES if what == "expired" else ("malformed",):
            headers, content = BODIES[kind]
            answer = await ask(shared_house, operation, headers | authorization, content)
            assert answer.status_code == 401, f"{what}, body {kind}: {answer.text}"
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            said.add((what, problem_of(answer)["detail"]))
    answer = await shared_house.http.request(
        operation.method, operation.url(), params={"colour": "red"}
    )
    assert answer.status_code == 401, f"unknown parameter: {answer.text}"
    unknown = {detail for what, detail in said if what in ("one letter off", "expired", "revoked")}
    assert len(unknown) == 1, "wrong, expired and revoked tokens look alike"


async def test_the_public_operations_are_these_and_no_others(shared_house: House) -> None:
    assert {operation.name for operation in OPERATIONS if operation.public} == set(PUBLIC)
    await shared_house.publish()
    for operation in OPERATIONS:
        if operation.public and not operation.parameters:
            answer = await ask(shared_house, operation, {}, b"")
            assert answer.status_code == 200, f"{operation.name}: {answer.text}"
    for page in ("/v1", "/v1/docs", "/v1/openapi.json"):
        assert (await shared_house.http.get(page)).status_code == 200


# ---- roles


@each(GUARDED)
async def test_a_role_that_does_not_reach_the_action_is_refused_whatever_it_sends(
    operation: Operation, shared_house: House
) -> None:
    for role in get_args(Role):
        if role in operation.roles:
            continue
        caller = shared_house[PEOPLE[role]]
        for kind in ("as expected", "of another type"):
            headers, content = BODIES[kind]
            key = {"idempotency-key": f"matrix-{role}-{kind.replace(' ', '-')}"}
            answer = await ask(shared_house, operation, headers | caller.headers | key, content)
            assert answer.status_code == 403, f"{role}, body {kind}: {answer.text}"
            assert problem_of(answer)["code"] == "role-not-held"


@each(GUARDED)
async def test_a_role_that_reaches_the_action_is_not_refused_for_its_role(
    operation: Operation, shared_house: House
) -> None:
    for role in operation.roles:
        headers = shared_house[PEOPLE[role]].headers
        answer = await shared_house.http.request(
            operation.method, operation.url(), params={"colour": "red"}, headers=headers
        )
        assert answer.status_code == 400, f"{role}: {answer.text}"
        assert problem_of(answer)["code"] == "unknown-parameter"


@each(tuple(op for op in GUARDED if op.method == "GET" and "{" in op.path))
async def test_what_is_not_there_is_absent_for_everyone(
    operation: Operation, shared_house: House
) -> None:
    for role in operation.roles:
        answer = await ask(shared_house, operation, shared_house[PEOPLE[role]].headers, b"")
        if operation.name in EMPTY:
            assert answer.status_code == 200, f"{role}: {answer.text}"
            assert [] in answer.json().values()
            continue
        assert answer.status_code == 404, f"{role}: {answer.text}"
        problem_of(answer)


# ---- paths and methods


def test_the_document_and_the_routes_are_the_same() -> None:
    routed = {
        f"{method} {route.path_format}"
        for route in APP.routes
        if isinstance(route, HTTPRoute) and route.path_format not in PAGES
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert routed == {operation.name for operation in OPERATIONS}
    print(f"\n{len(routed)} operations, {len(GUARDED)} of them behind a token")


def test_every_operation_names_the_roles_that_reach_it() -> None:
    assert {operation.name for operation in OPERATIONS if not operation.roles} == set(PUBLIC)


def test_every_change_of_state_takes_an_idempotency_key() -> None:
    without = {op.name for op in OPERATIONS if op.method != "GET" and not op.takes_key}
    assert without == set(NO_KEY)


@pytest.mark.parametrize("method", METHODS)
async def test_an_unknown_path_is_absent_by_any_method(method: str, shared_house: House) -> None:
    paths = ("/nowhere", "/v1/nowhere", "/v2/me", "/v1/static/nowhere.js", "/v1/me/nowhere/at/all")
    for path in paths:
        if path.startswith("/v1/static") and method != "GET":
            continue
        answer = await shared_house.http.request(method, path)
        assert answer.status_code == 404, f"{path}: {answer.text}"
        assert problem_of(answer)["code"] == "not-found"


@pytest.mark.parametrize("path", DOCUMENT["paths"])
async def test_a_wrong_method_is_told_the_right_ones(path: str, shared_house: House) -> None:
    offered = {method.upper() for method in DOCUMENT["paths"][path]}
    url = next(operation.url() for operation in OPERATIONS if operation.path == path)
    for method in METHODS:
        if method in offered:
            continue
        answer = await shared_house.http.request(method, url)
        assert answer.status_code == 405, f"{method}: {answer.text}"
        allowed = {name.strip() for name in answer.headers["allow"].split(",")}
        assert allowed == offered | {"OPTIONS"}
        assert problem_of(answer)["code"] == "method-not-allowed"


async def test_what_no_route_takes_is_counted_too(shared_house: House) -> None:
    async def counted() -> dict[str, float]:
        lines = (await shared_house.http.get("/metrics")).text.splitlines()
        found = [
            line.rpartition(" ") for line in lines if line.startswith("liandai_requests_total")
        ]
        return {name: float(number) for name, _, number in found}

    before = await counted()
    await shared_house.http.get("/nowhere")
    await shared_house.http.request("BREW", "/v1/me")
    after = await counted()
    for method, status in (("GET", 404), ("other", 405)):
        name = f'liandai_requests_total{{method="{method}",status="{status}"}}'
        assert after[name] == before.get(name, 0) + 1
