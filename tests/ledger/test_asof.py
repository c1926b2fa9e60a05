"""Balances as of a day and as known at a size are the naive sums, whatever was valued when."""

import secrets
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from api.database import SERVICE, Database, Standing
from api.settings import asyncpg_dsn
from ledger import service as ledger
from ledger import store, store_asof
from ledger.entries import Account, Entry
from ledger.leaves import Actor, Leaf

BOOK = "fac-asof"
FIRST = date(2024, 1, 31)
PARTIES = ("bank-a", "bank-b")
CODES = ("cash", "loan", "interest")
SHIFTS = (
    0,
    0,
    0,
    0,
    1,
    1,
    2,
    3,
    4,
    7,
    8,
    30,
    31,
    64,
    400,
    16383,
    16384,
    20000,
    -1,
    -2,
    -3,
    -16,
    -40000,
)
"""Days from value date to booking date; most postings are valued on the day they are booked."""

Line = tuple[int, date, date, Entry]
"""(position, value date, booking date, entry)"""


async def told(database: Database, random: Random, *, days: int, each: int) -> list[Line]:
    """A book of random postings over so many days, and its entries as they were posted."""
    lines: list[Line] = []
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=FIRST)
        await ledger.open_book(
            conn,
            book=BOOK,
            purpose="facility",
            lead=PARTIES[0],
            members=PARTIES[1:],
            salt=secrets.token_bytes(32),
        )
        day = FIRST
        for _ in range(days):
            batch = [_posting(random, day, f"{day}:{n}") for n in range(random.randrange(each))]
            for position, leaf in zip(await ledger.append(conn, batch), batch, strict=True):
                lines += [(position, leaf.value_date, day, entry) for entry in leaf.entries]
            day += timedelta(days=random.choice((1, 1, 1, 3, 40)))
            await store.open_next_day(conn, book=BOOK, day=day)
    return lines


def _posting(random: Random, day: date, name: str) -> Leaf:
    party = random.choice(PARTIES)
    amounts = [random.randrange(-50, 50) or 1 for _ in range(random.choice((1, 1, 2, 5)))]
    if not sum(amounts):
        amounts.append(1)
    entries = [
        Entry(Account(party, random.choice(CODES), "", random.choice("abc"), "CNY"), amount)
        for amount in (*amounts, -sum(amounts))
    ]
    return Leaf(
        book=BOOK,
        kind="transaction",
        leaf_id=name,
        subject={"type": "Told"},
        entries=tuple(entries),
        value_date=day - timedelta(days=random.choice(SHIFTS)),
        booking_date=day,
        recorded_at=datetime.now(UTC),
        actor=Actor(institution=party, user="someone"),
        corrects=None,
    )


def naive(lines: list[Line], wanted: dict[str, Any]) -> dict[Account, int]:
    sums: dict[Account, int] = {}
    for position, value_date, booking_date, entry in lines:
        account = entry.account
        if (
            all(
                getattr(account, name) == wanted.get(name, getattr(account, name)) for name in NAMES
            )
            and value_date <= wanted.get("value_until", date.max)
            and booking_date <= wanted.get("booking_until", date.max)
            and position < wanted.get("known_size", position + 1)
        ):
            sums[account] = sums.get(account, 0) + entry.amount_minor
    return sums


NAMES = ("party", "code", "counterparty", "ref", "currency")


def question(random: Random, lines: list[Line]) -> dict[str, Any]:
    """Some of the accounts, as of around a day on which something was valued or booked."""
    near = [line[which] for line in random.sample(lines, 2) for which in (1, 2)]
    asked = {
        "party": random.choice(PARTIES),
        "code": random.choice(CODES),
        "ref": random.choice("abc"),
        "value_until": random.choice(near) + timedelta(days=random.randrange(-2, 3)),
        "booking_until": random.choice(near) + timedelta(days=random.randrange(-2, 3)),
        "known_size": random.randrange(max(line[0] for line in lines) + 3),
    }
    return {name: value for name, value in asked.items() if random.random() < 0.5}


@pytest.fixture(params=range(4))
async def history(request: pytest.FixtureRequest, database: Database) -> Any:
    random = Random(request.param)
    return random, await told(database, random, days=25, each=8)


async def test_an_answer_is_the_sum_of_the_wanted_entries(
    history: tuple[Random, list[Line]], database: Database
) -> None:
    random, lines = history
    async with database.transaction(SERVICE, read_only=True) as conn:
        for number in range(250):
            wanted = question(random, lines)
            assert store_asof.answers(wanted)
            rows = await store_asof.balances(conn, book=BOOK, wanted=wanted, few=number % 2 * 99)
            found = {Account(*row[:5]): int(row.balance_minor) for row in rows}
            assert found == naive(lines, wanted), wanted
            assert list(found) == sorted(found)


async def test_a_member_is_answered_its_own_side_up_to_where_it_left(
    database: Database, database_url: str
) -> None:
    random = Random("members")
    lines = await told(database, random, days=25, each=8)
    left = max(line[0] for line in lines) - 4
    moved = {line[3].account for line in lines if line[0] >= left}  # are hidden from who left
    own = [line for line in lines if line[3].account.party == PARTIES[1]]
    seen = [line for line in own if line[0] < left and line[3].account not in moved]
    assert 0 < len(seen) < len(own)
    await _leaves(database_url, PARTIES[1], left)
    async with database.transaction(Standing("liandai_app", PARTIES[1]), read_only=True) as conn:
        for number in range(150):
            wanted = question(random, lines)
            rows = await store_asof.balances(conn, book=BOOK, wanted=wanted, few=number % 2 * 99)
            found = {Account(*row[:5]): int(row.balance_minor) for row in rows}
            assert found == naive(seen, wanted), wanted


async def _leaves(database_url: str, party: str, position: int) -> None:
    conn = await asyncpg.connect(asyncpg_dsn(database_url))
    try:
        await conn.execute(
            "UPDATE ledger.participation SET until_position = $1 WHERE party = $2", position, party
        )
    finally:
        await conn.close()


async def test_filters_on_what_an_account_is_not_are_summed_entry_by_entry(
    database: Database,
) -> None:
    random = Random("other filters")
    lines = await told(database, random, days=10, each=8)
    last = max(line[2] for line in lines)
    for wanted in ({"booking_from": last}, {"value_from": last}, {"fact": "Told"}):
        assert not store_asof.answers(wanted)
    async with database.transaction(SERVICE, read_only=True) as conn:
        rows = await ledger.balances(conn, book=BOOK, wanted={"booking_from": last})
    found = {row.account: row.balance_minor for row in rows}
    assert found == naive([line for line in lines if line[2] >= last], {})
