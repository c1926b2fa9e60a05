"""A command is done once for ever under its key, and a repeat is answered the same bytes.

Generated from the OpenAPI document: what holds for one command holds for all of them.
"""

import asyncio
import itertools
from typing import Any

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from api.settings import asyncpg_dsn
from tests.api.surface import COMMANDS, OPERATIONS, PEOPLE, Operation, counts, each
from tests.facility_house import form
from tests.house import House
from tests.syndicate.facility_case import DEAL_2

FACILITY = replace(DEAL_2, signed_on=DEAL_2.signed_on.replace(day=1))
CONTRACTS = f"/v1/facilities/{FACILITY.facility}/contracts"
CONTRACT = {"contract_no": "JK-1", "document_sha256": "a" * 64}
REPLAYED = "idempotency-replayed"
numbers = itertools.count(1)

BANK_ROLES = ("officer", "approver", "risk", "operations")


@pytest.fixture(scope="module", autouse=True)
async def facility(shared_house: House) -> None:
    """A facility stands, so that there is a book in which a command can be refused."""
    await form(shared_house, FACILITY)


async def send(
    house: House,
    person: str,
    operation: Operation,
    key: str,
    *,
    content: bytes | None = None,
    url: str | None = None,
) -> Any:
    if content is None:
        content = b"" if operation.body is None else msgspec.json.encode(operation.well_formed())
    return await house.http.request(
        operation.method,
        url or operation.url(),
        content=content,
        headers=house[person].headers
        | {
            "idempotency-key": key,
            "content-type": operation.files[0] if operation.files else "application/json",
        },
    )


async def post(house: House, person: str, path: str, body: Any, key: str) -> Any:
    return await house.http.post(
        path,
        content=msgspec.json.encode(body),
        headers=house[person].headers
        | {"idempotency-key": key, "content-type": "application/json"},
    )


async def rows(house: House, query: str, *arguments: Any) -> int:
    """A count, seen as the database's owner."""
    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        return int(await conn.fetchval(query, *arguments))
    finally:
        await conn.close()


async def kept(house: House, key: str) -> int:
    return await rows(house, "SELECT count(*) FROM api.answer WHERE key = $1", key)


# ---- every command there is


@each(COMMANDS)
async def test_the_same_request_is_answered_the_same_bytes(
    operation: Operation, shared_house: House
) -> None:
    key = f"same-{next(numbers):05d}"
    first = await send(shared_house, operation.somebody, operation, key)
    assert first.status_code < 500
    assert REPLAYED not in first.headers
    before = await counts(shared_house)
    again = await send(shared_house, operation.somebody, operation, key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers[REPLAYED] == "true"
    assert await kept(shared_house, key) == 1
    assert await counts(shared_house) == before, "a repeat adds nothing"


@each(COMMANDS)
async def test_another_request_under_the_same_key_is_refused_and_changes_nothing(
    operation: Operation, shared_house: House
) -> None:
    key = f"other-{next(numbers):05d}"
    first = await send(shared_house, operation.somebody, operation, key)
    before = await counts(shared_house)
    others: list[dict[str, Any]] = []
    if operation.body is not None:
        blank = msgspec.json.encode(operation.well_formed()) + b" "
        others.append({"content": blank})  # the same to JSON, other bytes all the same
    if "{" in operation.path:
        others.append({"url": operation.url("elsewhere-2")})
    for other in others:
        answer = await send(shared_house, operation.somebody, operation, key, **other)
        assert (answer.status_code, answer.json()["code"]) == (422, "key-reused"), answer.text
    again = await send(shared_house, operation.somebody, operation, key)
    assert again.content == first.content
    assert await counts(shared_house) == before


@each(tuple(op for op in COMMANDS if set(op.roles) & set(BANK_ROLES)))
async def test_another_institution_may_use_the_same_key(
    operation: Operation, shared_house: House
) -> None:
    key = f"shared-{next(numbers):05d}"
    role = next(role for role in operation.roles if role in BANK_ROLES)
    for person in (PEOPLE[role], f"cib-{role}"):
        answer = await send(shared_house, person, operation, key)
        assert REPLAYED not in answer.headers
        assert answer.status_code < 500
        assert answer.status_code < 400 or answer.json()["code"] != "key-reused"
    assert await kept(shared_house, key) == 2


@each(COMMANDS)
async def test_of_identical_requests_sent_at_once_one_is_done(
    operation: Operation, shared_house: House
) -> None:
    key = f"at-once-{next(numbers):05d}"
    answers = await asyncio.gather(
        *(send(shared_house, operation.somebody, operation, key) for _ in range(3))
    )
    done = [answer for answer in answers if not in_flight(answer)]
    assert done
    assert len({(answer.status_code, answer.content) for answer in done}) == 1
    assert all(answer.status_code < 500 for answer in done)
    assert sum(REPLAYED not in answer.headers for answer in done) == 1, "one did it"
    assert await kept(shared_house, key) == 1
    again = await send(shared_house, operation.somebody, operation, key)
    assert again.content == done[0].content


def in_flight(answer: Any) -> bool:
    return answer.status_code == 409 and answer.json()["code"] == "in-flight"


async def test_every_command_was_put_to_the_test(shared_house: House) -> None:
    answered = await rows(shared_house, "SELECT count(*) FROM api.answer")
    by_status = await _by_status(shared_house)
    print(f"\n{len(COMMANDS)} commands of {len(OPERATIONS)}; {answered} answers: {by_status}")
    assert len(COMMANDS) >= 40
    assert {201, 404, 409, 422} <= set(by_status)


async def _by_status(house: House) -> dict[int, int]:
    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        found = await conn.fetch("SELECT status, count(*) FROM api.answer GROUP BY 1 ORDER BY 1")
        return {int(row[0]): int(row[1]) for row in found}
    finally:
        await conn.close()


# ---- what is done is done once


FIGURES = {
    "as_of": "2023-12-31",
    "net_capital_minor": 500_00000000_00,
    "tier1_minor": 450_00000000_00,
    "illustrative": True,
}


async def test_what_many_send_at_once_stands_once(shared_house: House) -> None:
    house = shared_house
    answers = await asyncio.gather(
        *(post(house, "czbank-risk", "/v1/capital", FIGURES, "capital-01") for _ in range(12))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert all(answer.status_code == 201 or in_flight(answer) for answer in answers)
    stands = "SELECT count(*) FROM syndicate.capital WHERE institution = 'czbank'"
    assert await rows(house, stands) == 1


async def test_an_answer_stands_even_when_the_state_has_moved_on(shared_house: House) -> None:
    house = shared_house
    person = {"person": "moved-on", "name": "moved on", "roles": ["officer"]}
    path = "/v1/institutions/guarantor/people"
    missing = await post(
        house, "operator", "/v1/institutions/late-bank/people", person, "late-0001"
    )
    assert missing.status_code == 404
    bank = {
        "institution": "late-bank",
        "kind": "bank",
        "name": "迟到银行",
        "name_en": "Late",
        "illustrative": True,
    }
    assert (await post(house, "operator", "/v1/institutions", bank, "late-0002")).status_code == 201
    still = await post(house, "operator", "/v1/institutions/late-bank/people", person, "late-0001")
    assert (still.status_code, still.content) == (404, missing.content)
    first = await post(house, "operator", path, person, "late-0003")
    assert first.status_code == 201
    taken = await post(house, "operator", path, person, "late-0004")
    assert taken.status_code == 409
    assert (await post(house, "operator", path, person, "late-0003")).content == first.content


async def test_a_key_that_was_refused_before_anything_was_read_is_free(shared_house: House) -> None:
    house = shared_house
    malformed = await house.http.post(
        "/v1/capital",
        content=b"{",
        headers=house["cib-risk"].headers
        | {"idempotency-key": "free-0001", "content-type": "application/json"},
    )
    assert malformed.status_code == 400
    unknown = await post(house, "cib-risk", "/v1/capital", FIGURES | {"colour": 1}, "free-0001")
    assert unknown.status_code == 422
    assert await kept(house, "free-0001") == 0
    good = await post(house, "cib-risk", "/v1/capital", FIGURES, "free-0001")
    assert good.status_code == 201


# ---- refusals stand in the log of the book they concern


async def refusals(house: House) -> list[dict[str, Any]]:
    """What the facility's log holds of refusals, oldest first."""
    found = await house["auditor-auditor"].get(
        f"/v1/books/{FACILITY.facility}/records", kind="refusal", limit=500
    )
    records: list[dict[str, Any]] = found["records"]
    return records


async def test_a_refused_command_leaves_one_leaf_however_often_it_is_sent(
    shared_house: House,
) -> None:
    house = shared_house
    done = await post(house, "cib-officer", CONTRACTS, CONTRACT, "contract-1")
    assert done.status_code == 201
    before = await refusals(house)
    size = await rows(house, "SELECT size FROM ledger.book WHERE book_id = $1", FACILITY.facility)
    refused = await post(house, "cib-officer", CONTRACTS, CONTRACT, "contract-2")
    assert refused.status_code == 409, refused.text
    for _ in range(3):
        again = await post(house, "cib-officer", CONTRACTS, CONTRACT, "contract-2")
        assert (again.status_code, again.content) == (409, refused.content)
    (leaf,) = (await refusals(house))[len(before) :]
    assert leaf["record"] == "cib:contract-2:refused"
    assert leaf["actor"] == {"institution": "cib", "user": "cib-officer"}
    open_day = (await house["operator"].get("/v1/business-days"))["open_day"]
    assert leaf["booking_date"] == open_day
    assert leaf["subject"] == {
        "type": "Refused",
        "code": refused.json()["code"],
        "asked": "POST /v1/facilities/{facility}/contracts",
    }
    grown = await rows(house, "SELECT size FROM ledger.book WHERE book_id = $1", FACILITY.facility)
    assert grown == size + 1


async def test_refusals_sent_at_once_leave_one_leaf(shared_house: House) -> None:
    house = shared_house
    own = CONTRACT | {"contract_no": "JK-2"}
    assert (await post(house, "czbank-officer", CONTRACTS, own, "contract-1")).status_code == 201
    before = await refusals(house)
    answers = await asyncio.gather(
        *(post(house, "czbank-officer", CONTRACTS, own, "contract-2") for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {409}
    assert len({answer.content for answer in answers if not in_flight(answer)}) == 1
    assert len(await refusals(house)) == len(before) + 1


async def test_a_stranger_leaves_nothing_in_a_book_it_takes_no_part_in(shared_house: House) -> None:
    house = shared_house
    size = await rows(house, "SELECT size FROM ledger.book WHERE book_id = $1", FACILITY.facility)
    answer = await post(house, "expert-officer", CONTRACTS, CONTRACT, "stranger-1")
    assert answer.status_code == 404
    assert await kept(house, "stranger-1") == 1, "but it is answered the same for ever"
    assert size == await rows(
        house, "SELECT size FROM ledger.book WHERE book_id = $1", FACILITY.facility
    )
