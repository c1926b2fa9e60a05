"""Whatever is sent, the service answers as its document says: a first run over every operation.

Schemathesis generates requests from the document, right and wrong ones; some get the ids of things
that are there, and values of bodies that would be accepted, so that they reach the rules behind the
form. They go over HTTP to a real server process on real PostgreSQL, from people with valid tokens.
The same requests every time.
"""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api import running
from api.keys import LOG_KEY, write_private
from api.settings import Settings
from tests.api.populated import populate
from tests.api.seeds import ALWAYS, DAYS, KNOWN, PEOPLE, SEEDS, Seed
from tests.api.surface import DOCUMENT, OPERATIONS, Operation, each
from tests.house import FIRST_DAY, House
from tests.invariants import assert_invariants

EXAMPLES = 16
"""Requests for each operation."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
GENERATED = {operation.name: SCHEMA[operation.path][operation.method] for operation in OPERATIONS}
numbers = itertools.count(1)


class Run(msgspec.Struct):
    """The server asked, and what it has answered so far."""

    house: House
    url: str
    session: requests.Session
    asked: Counter[str]
    statuses: Counter[int]


@pytest.fixture(scope="module")
async def run(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    """A server process with its own workers and sequencer, on a database in which much happened."""
    await populate(shared_house)
    home: Path = tmp_path_factory.mktemp("home")
    write_private(home / LOG_KEY, sha256(b"test key of log").hexdigest() + "\n")
    with (
        running.server(shared_house.database_url, Settings(home=home), founded=None, port=0) as up,
        requests.Session() as session,
    ):
        session.trust_env = False
        yield Run(shared_house, up.url, session, Counter(), Counter())


def persons(operation: Operation) -> st.SearchStrategy[str | None]:
    """Who asks: mostly somebody who may."""
    if operation.public:
        return st.none()
    reaching = [person for role in operation.roles for person in PEOPLE[role]]
    return st.one_of(*(st.sampled_from(reaching) for _ in range(3)), st.sampled_from(ALWAYS))


def known(data: st.DataObject, name: str, value: Any) -> Any:
    """The value, or one that means something under that name."""
    if name in KNOWN and data.draw(st.integers(0, 5)) < 5:
        return data.draw(st.sampled_from(KNOWN[name]))
    return value


def meaningful(data: st.DataObject, value: Any) -> Any:
    """The body with values that mean something in some of its fields, however deep."""
    if isinstance(value, dict):
        return {name: known(data, name, meaningful(data, inner)) for name, inner in value.items()}
    if isinstance(value, list):
        return [meaningful(data, inner) for inner in value]
    return value


def swapped(data: st.DataObject, seed: Any, body: Any) -> Any:
    """The seed with one or two of its fields as in the generated body, however deep."""
    if isinstance(seed, list):
        others = body if isinstance(body, list) else []
        pairs = itertools.zip_longest(seed, others[: len(seed)])
        return [swapped(data, own, other) for own, other in pairs]
    if not isinstance(seed, dict) or not seed:
        return seed if body is None else body
    result = dict(seed)
    for name in data.draw(st.lists(st.sampled_from(sorted(seed)), max_size=2, unique=True)):
        other = body.get(name) if isinstance(body, dict) else None
        if isinstance(seed[name], (dict, list)) and seed[name]:
            result[name] = swapped(data, seed[name], other)
        else:
            result[name] = known(data, name, other)
    return result


def prepared(data: st.DataObject, operation: Operation) -> Any:
    """A generated request: as it is, or made to get past the door and be judged behind it."""
    kind = data.draw(st.sampled_from(("right", "wrong", "meaningful", "meaningful")))
    mode = GenerationMode.NEGATIVE if kind == "wrong" else GenerationMode.POSITIVE
    case = data.draw(GENERATED[operation.name].as_strategy(generation_mode=mode))
    if kind != "meaningful":
        return case
    for place in (case.path_parameters, case.query):
        for name in sorted(place or {}):
            place[name] = known(data, name, place[name])
    if isinstance(case.body, (dict, list)):
        case.body = meaningful(data, case.body)
    return case


def planted(data: st.DataObject, operation: Operation, seed: Seed) -> Any:
    """A request that would be accepted, but for what is swapped in it."""
    right = GENERATED[operation.name].as_strategy(generation_mode=GenerationMode.POSITIVE)
    case = data.draw(right)
    case.path_parameters = dict(seed.path)
    case.body = swapped(data, seed.body, case.body)
    return case


def send(run: Run, case: Any, person: str | None, *, own_key: bool) -> requests.Response:
    """The answer to the generated request, sent with the person's own token.

    own_key  with the generated Idempotency-Key, good or bad; with one nobody used otherwise
    """
    asked = case.as_transport_kwargs(base_url=run.url)
    if person is not None:
        asked["headers"]["Authorization"] = run.house[person].headers["Authorization"]
    if not own_key:
        asked["headers"]["Idempotency-Key"] = f"fuzz-{next(numbers):06d}"
    return run.session.request(**asked, timeout=30)


@each(OPERATIONS)
def test_every_answer_is_one_the_document_has(operation: Operation, run: Run) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        person: str | None
        seed = SEEDS.get(operation.name)
        if seed is not None and data.draw(st.booleans()):
            person, case = seed.person, planted(data, operation, seed)
        else:
            person, case = data.draw(persons(operation)), prepared(data, operation)
        own_key = data.draw(st.integers(0, 9)) == 9
        answer = send(run, case, person, own_key=own_key)
        run.asked[operation.name] += 1
        run.statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        judge(operation, answer, person)

    ask()


def judge(operation: Operation, answer: Any, person: str | None) -> None:
    """What the document says is not enough: each status is listed, each refusal has its code."""
    status = answer.status_code
    assert str(status) in operation.answers, f"{person}: {status} {answer.text[:300]}"
    assert status != 401, f"{person}: a valid token was refused"
    if status < 400:
        return
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:liandai:problem:{problem['code']}"
    assert problem["detail"]
    assert "Traceback" not in answer.text
    assert "sqlalchemy" not in answer.text.lower()


async def test_afterwards_the_books_still_hold(run: Run) -> None:
    """Figures of the run, and every invariant on the database it leaves behind."""
    asked, statuses = sum(run.asked.values()), dict(sorted(run.statuses.items()))
    print(f"\n{len(run.asked)} operations, {asked} requests, statuses {statuses}")
    assert set(run.asked) == {operation.name for operation in OPERATIONS}
    await run.house.publish()
    await assert_invariants(run.house.installation.database)


def test_the_document_is_complete() -> None:
    """Every operation has words of its own, described parameters and the shape of its answer."""
    summaries = Counter(item["summary"] for item in _items())
    for item in _items():
        name = item["operationId"]
        assert len(item["summary"].split()) > 1, name
        assert summaries[item["summary"]] == 1, f"{name}: {item['summary']}"
        assert item["description"].startswith(item["summary"][:8]), name
        assert item["tags"], name
        for parameter in item.get("parameters", ()):
            assert parameter.get("description"), f"{name}: {parameter['name']}"
        good = [status for status in item["responses"] if status.startswith("2")]
        assert len(good) == 1, name
        for status, answer in item["responses"].items():
            assert answer["description"], f"{name}: {status}"
            for content in answer["content"].values():
                assert content["schema"], f"{name}: {status}"


def _items() -> Iterator[dict[str, Any]]:
    for item in DOCUMENT["paths"].values():
        yield from item.values()


async def test_the_document_served_is_the_one_tested(shared_house: House) -> None:
    served = await shared_house.http.get("/v1/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_seed_is_planted() -> None:
    assert set(SEEDS) <= {operation.name for operation in OPERATIONS}
    assert FIRST_DAY.isoformat() == DAYS[0]
