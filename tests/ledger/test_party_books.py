"""A party's headroom and pool books: never over the limit, however many ask at once."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest

from api.database import SERVICE, Database, Standing
from ledger import party_books, store, store_pendings
from ledger import service as ledger
from ledger.entries import Account, Entry
from ledger.errors import Absent, NotAllowed, WrongInput
from ledger.journal import AlreadyResolved, LimitExceeded, NotAsPending
from ledger.leaves import Actor, Leaf
from ledger.moves import Entered
from ledger.party_books import PartyWork, Purpose
from tests.campaign.size import size
from tests.invariants import assert_invariants
from tests.ledger.recorded_story import LOG

DAY = date(2024, 3, 1)
LONG = size(test=1, full=10)
ACTOR = Actor(institution="liandai", user="clearing")
CNY = {"ref": "firm", "currency": "CNY"}


@pytest.fixture
async def books(database: Database) -> Database:
    """A database in which bank-a has a headroom book and the fund a pool book."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        for purpose, party in (("headroom", "bank-a"), ("pool", "fund")):
            held = await party_books.open_party_book(
                conn,
                purpose=purpose,
                party=party,
                salt=secrets.token_bytes(32),
            )
            assert held.book == f"{purpose}-{party}"
    return database


async def done(
    database: Database,
    command: str,
    act: Callable[[PartyWork], Awaitable[Entered]],
    *,
    purpose: Purpose = "headroom",
    party: str = "bank-a",
    standing: Standing = SERVICE,
) -> Entered:
    async with database.transaction(standing) as conn:
        return await act(
            PartyWork(
                conn=conn,
                purpose=purpose,
                party=party,
                command=command,
                actor=ACTOR,
                now=datetime.now(UTC),
            )
        )


def limit(amount: int) -> Callable[[PartyWork], Awaitable[Entered]]:
    return lambda work: party_books.set_limit(work, **CNY, limit_minor=amount)


def reserve(amount: int) -> Callable[[PartyWork], Awaitable[Entered]]:
    return lambda work: party_books.reserve(work, **CNY, amount_minor=amount, lasts_seconds=None)


async def used(database: Database, book: str = "headroom-bank-a") -> tuple[int, int]:
    """What is posted and what is pending on the limited account."""
    async with database.transaction(SERVICE) as conn:
        rows = await store_pendings.accounts(conn, book=book, after=0, limit=10)
    (row,) = [row for row in rows if row.code == party_books.USED]
    return row.balance_minor, row.pending_debit_minor


async def test_a_reservation_is_used_in_part_and_the_rest_is_free(books: Database) -> None:
    await done(books, "limit-1", limit(100))
    entered = await done(books, "deal-1", reserve(80))
    with pytest.raises(LimitExceeded):
        await done(books, "deal-2", reserve(21))
    pending = entered.records[0]
    with pytest.raises(NotAsPending):
        await done(
            books,
            "deal-1-use",
            lambda work: party_books.use(work, pending=pending, **CNY, amount_minor=81),
        )
    await done(
        books,
        "deal-1-use",
        lambda work: party_books.use(work, pending=pending, **CNY, amount_minor=50),
    )
    assert await used(books) == (50, 0)
    entered = await done(books, "deal-2", reserve(50))
    await done(
        books, "deal-2-off", lambda work: party_books.release(work, pending=entered.records[0])
    )
    with pytest.raises(AlreadyResolved):
        await done(
            books,
            "deal-2-again",
            lambda work: party_books.release(work, pending=entered.records[0]),
        )
    assert await used(books) == (50, 0)
    with pytest.raises(LimitExceeded):
        await done(books, "limit-2", limit(49))
    for amount in (0, -1):
        with pytest.raises(WrongInput):
            await done(books, "deal-3", reserve(amount))
    await assert_invariants(books, log=LOG)


async def test_two_hundred_reservations_at_once_never_exceed_the_limit(books: Database) -> None:
    many, each = 200 * LONG, 7
    most = 100 * each + 3
    await done(books, "limit-1", limit(most), purpose="pool", party="fund")

    async def one(number: int) -> bool:
        try:
            await done(books, f"deal-{number}", reserve(each), purpose="pool", party="fund")
        except LimitExceeded:
            return False
        return True

    answers = await asyncio.gather(*(one(number) for number in range(many)))
    assert sum(answers) == most // each
    assert await used(books, "pool-fund") == (0, most // each * each)
    print(f"\n{many} reservations at once under {most}: {sum(answers)} of {each} each, never over")
    await assert_invariants(books, log=LOG)


async def test_a_party_reads_its_book_and_only_the_service_writes_it(books: Database) -> None:
    await done(books, "limit-1", limit(100))
    mine, other = Standing("liandai_app", "bank-a"), Standing("liandai_app", "bank-b")
    async with books.transaction(mine) as conn:
        assert (await ledger.book(conn, book="headroom-bank-a")).size == 1
        assert [row.party for row in await store.accounts(conn, book="headroom-bank-a")] == []
    async with books.transaction(other) as conn:
        assert await ledger.books(conn) == []
    for standing in (mine, other):
        with pytest.raises(Absent):
            await done(books, "deal-1", reserve(1), standing=standing)


OPENINGS = (
    # why                          book                purpose      lead      standing
    ("by a member", "headroom-bank-b", "headroom", "bank-b", Standing("liandai_app", "bank-b")),
    ("under another name", "headroom-x", "headroom", "bank-b", SERVICE),
    ("for nobody", "headroom-", "headroom", None, SERVICE),
    ("its name for a pool", "headroom-bank-b", "pool", "bank-b", SERVICE),
    ("its name for a negotiation", "pool-bank-b", "negotiation", "bank-b", SERVICE),
)


@pytest.mark.parametrize(
    ("why", "book", "purpose", "lead", "standing"), OPENINGS, ids=[row[0] for row in OPENINGS]
)
async def test_the_database_itself_opens_a_party_book_for_the_service_only(
    books: Database, why: str, book: str, purpose: str, lead: str | None, standing: Standing
) -> None:
    with pytest.raises(NotAllowed):
        async with books.transaction(standing) as conn:
            await store.open_book(
                conn, book=book, purpose=purpose, lead=lead, salt=secrets.token_bytes(32)
            )


async def test_nobody_else_has_accounts_in_a_party_book(books: Database) -> None:
    with pytest.raises(NotAllowed):
        async with books.transaction(SERVICE) as conn:
            await ledger.admit(conn, book="headroom-bank-a", party="bank-b")
    foreign = Leaf(
        book="headroom-bank-a",
        kind="transaction",
        leaf_id="by-hand:0",
        subject={"type": "X"},
        entries=(
            Entry(Account("bank-b", "limit.used", "", "", "CNY"), 5),
            Entry(Account("bank-b", "limit.contra", "", "", "CNY"), -5),
        ),
        value_date=DAY,
        booking_date=DAY,
        recorded_at=datetime.now(UTC),
        actor=ACTOR,
        corrects=None,
    )
    with pytest.raises(NotAllowed):
        async with books.transaction(SERVICE) as conn:
            await ledger.append(conn, [foreign])
