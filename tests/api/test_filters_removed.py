"""The read tests without the code's own filters: the database alone keeps rows apart.

Each filter of the code that stands between a row and an asker is replaced by one that lets all of
them through, and the same questions are asked over HTTP by the same people. The answers are the
same to the byte: what the code leaves out, it never had. The filters of a facility's views
(`views.may_see`) are not among them: they shorten an answer, and what they leave out stands in the
facility's own records, which all its parties hold.
"""

from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from api.settings import asyncpg_dsn
from ledger import store_queries
from ledger.wanted import Wanted
from negotiation import cleared
from syndicate.disclosure import room_service
from tests.api import test_disclosure as rooms
from tests.api.populated import DECLINED, FACILITY, ROOM, populate
from tests.house import House

DEALS = ("neg-one", "neg-two", "neg-three", ROOM)
OFFICERS = (
    "hzbank-officer",
    "cib-officer",
    "czbank-officer",
    "guarantor-officer",
    "expert-officer",
)
PARTIES = ("hzbank", "cib", "czbank", "qinghe")


@pytest.fixture(scope="module")
async def peopled(shared_house: House) -> House:
    await populate(shared_house)
    return shared_house


class Removed:
    """Which filters were asked, and would have been heard."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def instead_of(self, name: str, through: Callable[..., Any]) -> Callable[..., Any]:
        def lets_through(*args: Any, **named: Any) -> Any:
            self.asked[name] = self.asked.get(name, 0) + 1
            return through(*args, **named)

        return lets_through


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Removed]:
    """Call it, and from then on no filter of the code holds anything back."""

    def remove() -> Removed:
        seen = Removed()
        conditions = store_queries._conditions

        def every_partys(wanted: Wanted, lines: Any) -> Any:
            return conditions(msgspec.structs.replace(wanted, party=None), lines)

        for module, name, through in (
            (
                cleared,
                "quotes_seen_by",
                lambda _state, _viewer, quotes: {bank: one.quote for bank, one in quotes.items()},
            ),
            (room_service, "shown", lambda _allowed, facts: tuple(facts)),
            (store_queries, "_conditions", every_partys),
        ):
            monkeypatch.setattr(module, name, seen.instead_of(name, through))
        return seen

    return remove


async def everything_asked(house: House) -> dict[tuple[str, str], tuple[int, bytes]]:
    """Every person's answers: status and bytes, by path and query."""
    books = (FACILITY.facility, *DEALS, "registry", "own-cib-recon", "own-hzbank-recon")
    paths = ["/v1/negotiations", "/v1/facilities", "/v1/books"]
    for deal in DEALS:
        paths += [f"/v1/negotiations/{deal}", f"/v1/negotiations/{deal}/quotes"]
    for book in books:
        paths += [f"/v1/books/{book}/records?limit=500", f"/v1/books/{book}/checkpoint"]
        paths += [f"/v1/books/{book}/entries?limit=500", f"/v1/books/{book}/balances"]
    paths.append(f"/v1/facilities/{FACILITY.facility}/statement")
    answers = {}
    for person in OFFICERS:
        for path in paths:
            answer = await house.http.get(path, headers=house[person].headers)
            refused = answer.status_code != 200  # a problem names the request it answers
            said = answer.json()["code"].encode() if refused else answer.content
            answers[person, path] = (answer.status_code, said)
    return answers


async def test_every_answer_is_the_same_to_the_byte(
    peopled: House, removed: Callable[[], Removed]
) -> None:
    before = await everything_asked(peopled)
    seen = removed()
    after = await everything_asked(peopled)
    assert seen.asked["quotes_seen_by"] > 0
    assert seen.asked["_conditions"] > 0
    for asked, answer in before.items():
        assert after[asked] == answer, asked
    quotes = {person: before[person, "/v1/negotiations/neg-one/quotes"] for person in OFFICERS}
    assert len(set(quotes.values())) >= 3, "the lead, two banks and a stranger see different things"
    answered = sum(status == 200 for status, _ in before.values())
    print(f"\n{len(before)} questions of {len(OFFICERS)} people, {answered} answered; {seen.asked}")


async def test_nobody_elses_accounts_are_read_by_naming_them(
    peopled: House, removed: Callable[[], Removed]
) -> None:
    removed()
    book = f"/v1/books/{FACILITY.facility}"
    for officer in ("hzbank-officer", "cib-officer", "czbank-officer"):
        own = officer.partition("-")[0]
        for party in PARTIES:
            found = await peopled[officer].get(f"{book}/entries", party=party, limit=500)
            assert found["entries"], "its own stand there"
            assert {line["party"] for line in found["entries"]} == {own}


async def test_a_room_shows_no_fact_past_the_consent_or_the_readers_part(
    peopled: House, removed: Callable[[], Removed]
) -> None:
    seen = removed()
    readable = {"hzbank-officer": ["financials", "orders"], f"{DECLINED}-officer": ["orders"]}
    items = {}
    for officer, classes in readable.items():
        answer = await rooms.read(peopled, officer, classes)
        items[officer] = {fact["item"] for fact in answer["facts"]}
    assert seen.asked["shown"] == 2
    assert items["hzbank-officer"] == {"revenue", "backlog", "backlog.now"}
    assert items[f"{DECLINED}-officer"] == {"backlog"}, (
        "it declined before the other was brought in"
    )


async def test_who_declined_is_answered_as_of_then(peopled: House) -> None:
    conn = await asyncpg.connect(asyncpg_dsn(peopled.database_url))
    try:
        part = await conn.fetchrow(
            "SELECT until_position, size FROM ledger.participation JOIN ledger.book USING (book_id)"
            " WHERE book_id = $1 AND party = $2",
            ROOM,
            DECLINED,
        )
    finally:
        await conn.close()
    until = part["until_position"]
    assert until < part["size"]
    officer = peopled[f"{DECLINED}-officer"]
    (book,) = [row for row in await officer.get("/v1/books") if row["book"] == ROOM]
    assert (book["size"], book["published"]) == (until, until)
    records = await officer.get(f"/v1/books/{ROOM}/records", limit=500)
    assert [row["position"] for row in records["records"]] == list(range(until))
    assert "czbank" not in str(records)
    table = await officer.get(f"/v1/negotiations/{ROOM}")
    assert table["pending"] == []
    assert table["seats"] == ["hzbank"]
    refused = await officer.post(f"/v1/negotiations/{ROOM}/answer", {"joins": True}, expect=404)
    assert refused["code"] == "not-found"
