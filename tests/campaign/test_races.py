"""Many at once on the database itself: nothing twice, nothing over a limit, nobody locked out.

Over HTTP, and 200 reservations at once: tests/api/test_house_pendings.py and
tests/ledger/test_party_books.py; `make campaign` runs those for longer, too.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

import pytest
from sqlalchemy import text

from api.database import SERVICE, Database
from ledger import house, house_moves, moves, party_books, publishing, store
from ledger import service as ledger
from ledger.entries import Account, Entry
from ledger.errors import Refused
from ledger.house import Posting, PostOwn
from ledger.journal import AccountTerms, AlreadyReversed, Journal, LimitExceeded
from ledger.leaves import Actor, decode
from ledger.moves import Asked, Declare, Move, Post, PostPending, Reserve, Reverse, VoidPending
from ledger.party_books import PartyWork
from tests.campaign.leafing import ACTOR, FIRST_DAY, day
from tests.campaign.recorded import ALFA, prepare
from tests.campaign.size import first_seed, size, tell
from tests.invariants import assert_invariants
from tests.ledger.recorded_story import LOG, NAME, SIGNER

BOOKS: Final = tuple(f"own-alfa-b{number}" for number in range(4))
CODES: Final = ("cash", "fees", "loan", "suspense")
AT_ONCE: Final = 10
"""As many as the pool has connections: so many transactions are open at any moment."""


@pytest.fixture
async def installed(database: Database) -> Database:
    """A database with four house books of one bank, and its headroom."""
    await prepare(database)
    for book in BOOKS:
        async with database.transaction(ALFA) as conn:
            await ledger.open_book(
                conn,
                book=book,
                purpose="house",
                lead="alfa",
                members=(),
                salt=secrets.token_bytes(32),
            )
    async with database.transaction(SERVICE) as conn:
        await party_books.open_party_book(
            conn, purpose="headroom", party="alfa", salt=secrets.token_bytes(32)
        )
    return database


def account(code: str) -> Account:
    return Account("alfa", code, "", "", "CNY")


def moved(dice: Random) -> tuple[Entry, ...]:
    """Two to four entries on accounts in any order."""
    codes = dice.sample(CODES, 4)
    first, second = dice.randrange(1, 100), dice.randrange(1, 100)
    entries = [Entry(account(codes[0]), first), Entry(account(codes[1]), -first)]
    if dice.random() < 0.5:
        entries += [Entry(account(codes[2]), second), Entry(account(codes[3]), -second)]
    return tuple(entries)


class Crowd:
    """People who ask the same books at the same time, each in an order of its own."""

    def __init__(self, database: Database, *, seed: int) -> None:
        self.database, self.seed = database, seed
        self.figures: Counter[str] = Counter()
        self.pendings: list[tuple[str, str]] = []
        self.posted: list[tuple[str, str]] = []
        self._numbers = iter(range(10**9))

    def name(self) -> str:
        return f"n{next(self._numbers)}"

    async def work(self, number: int, times: int) -> None:
        dice = Random(f"{self.seed}/{number}")
        for _ in range(times):
            chance = dice.random()
            if chance < 0.5:
                await self._post_in_several(dice)
            elif chance < 0.9:
                await self._move(dice)
            else:
                await self._reserve_headroom(dice)

    async def _post_in_several(self, dice: Random) -> None:
        """One transaction over one to four books, named in any order."""
        now = datetime.now(UTC)
        asked = [
            PostOwn(
                book=book,
                postings=(
                    Posting(
                        value_date=FIRST_DAY, reference="1", entries=moved(dice), corrects=None
                    ),
                ),
                bulk=False,
                command=self.name(),
                actor=ACTOR,
                now=now,
            )
            for book in dice.sample(BOOKS, dice.randrange(1, 5))
        ]
        try:
            async with self.database.driver_transaction(ALFA) as driver:
                await house.post_own(driver, asked)
        except Refused as refused:
            self.figures[refused.code] += 1
            return
        self.posted += [(one.book, f"{one.command}:0") for one in asked]
        self.figures["postings"] += len(asked)

    async def _move(self, dice: Random) -> None:
        book, batch = dice.choice(BOOKS), list[Move]()
        for _ in range(dice.randrange(1, 4)):
            batch.append(self._any_move(dice, book))
        await self.enter(book, self.name(), batch)

    def _any_move(self, dice: Random, book: str) -> Move:
        pendings = [name for where, name in self.pendings if where == book]
        posted = [name for where, name in self.posted if where == book]
        match dice.randrange(7):
            case 0 if pendings:
                return PostPending(pending=dice.choice(pendings), entries=None, value_date=None)
            case 1 if pendings:
                return VoidPending(pending=dice.choice(pendings))
            case 2 if posted:
                return Reverse(transaction=dice.choice(posted), reference="1", value_date=None)
            case 3:
                limit = dice.choice((None, dice.randrange(2_000)))
                return Declare(
                    terms=AccountTerms(
                        account=account(dice.choice(CODES)),
                        side=None,
                        least_minor=None if limit is None else -limit,
                        most_minor=limit,
                    )
                )
            case 4:
                return Post(value_date=FIRST_DAY, reference="1", entries=moved(dice), corrects=None)
        lasts = dice.choice((None, 1, 2))
        return Reserve(
            value_date=FIRST_DAY, reference="1", entries=moved(dice), lasts_seconds=lasts
        )

    async def enter(self, book: str, command: str, batch: Sequence[Move]) -> str:
        """What came of it: "ok", or the refusal's name. Anything else is raised."""
        try:
            async with self.database.transaction(ALFA) as conn:
                await house_moves.enter_own(
                    conn,
                    Asked(
                        book=book,
                        moves=tuple(batch),
                        places=tuple("$" for _ in batch),
                        command=command,
                        actor=ACTOR,
                        now=datetime.now(UTC),
                    ),
                )
        except Refused as refused:
            self.figures[refused.code] += 1
            return refused.code
        names = [(book, f"{command}:{number}") for number in range(len(batch))]
        self.pendings += [n for n, m in zip(names, batch, strict=True) if isinstance(m, Reserve)]
        self.posted += [
            n for n, m in zip(names, batch, strict=True) if isinstance(m, Post | PostPending)
        ]
        self.figures["moves"] += len(batch)
        return "ok"

    async def _reserve_headroom(self, dice: Random) -> None:
        try:
            async with self.database.transaction(SERVICE) as conn:
                work = self._headroom(conn)
                held = await party_books.reserve(
                    work,
                    ref="",
                    currency="CNY",
                    amount_minor=dice.randrange(1, 50),
                    lasts_seconds=2,
                )
            if dice.random() < 0.5:
                async with self.database.transaction(SERVICE) as conn:
                    await party_books.release(self._headroom(conn), pending=held.records[0])
        except Refused as refused:
            self.figures[refused.code] += 1
            return
        self.figures["reservations"] += 1

    def _headroom(self, conn: object) -> PartyWork:
        return PartyWork(
            conn=conn,  # type: ignore[arg-type]
            purpose="headroom",
            party="alfa",
            command=self.name(),
            actor=Actor(institution="alfa", user="someone"),
            now=datetime.now(UTC),
        )

    async def clock(self, over: asyncio.Event) -> None:
        """Meanwhile what is over is swept, heads are published and days are closed."""
        days = 0
        while not over.is_set():
            async with self.database.transaction(SERVICE) as conn:
                await publishing.publish(
                    conn, installation=NAME, signer=SIGNER, now=datetime.now(UTC)
                )
            for book in (*BOOKS, "headroom-alfa"):
                async with self.database.transaction(SERVICE) as conn:
                    self.figures["swept"] += await moves.void_expired(
                        conn, book=book, now=datetime.now(UTC)
                    )
                    if self.figures["postings"] // 500 > days:
                        await ledger.close_day(
                            conn, book=book, next_day=day(days + 1), recorded_at=datetime.now(UTC)
                        )
            days = min(days + 1, self.figures["postings"] // 500)
            await asyncio.sleep(0.05)


async def deadlocks(database: Database) -> int:
    async with database.transaction(SERVICE) as conn:
        await conn.execute(text("SELECT pg_stat_clear_snapshot()"))
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int((await conn.execute(text(query))).scalar_one())


async def test_random_postings_in_many_books_at_once_meet_no_deadlock(installed: Database) -> None:
    crowd, over = Crowd(installed, seed=first_seed()), asyncio.Event()
    async with installed.transaction(SERVICE) as conn:
        await party_books.set_limit(crowd._headroom(conn), ref="", currency="CNY", limit_minor=500)
    clock = asyncio.create_task(crowd.clock(over))
    times = size(test=600, full=200_000) // AT_ONCE
    try:
        await asyncio.gather(*(crowd.work(number, times) for number in range(AT_ONCE - 1)))
    finally:
        over.set()
        await clock
    await asyncio.sleep(1)  # PostgreSQL tells its statistics with some delay
    assert await deadlocks(installed) == 0
    await assert_invariants(installed, log=LOG)
    tell(f"at once in {len(BOOKS) + 1} books, 0 deadlocks", dict(crowd.figures))
    assert crowd.figures["postings"] > times


async def test_of_two_reversals_at_once_one_stands(installed: Database) -> None:
    crowd, dice = Crowd(installed, seed=first_seed()), Random(first_seed())
    pairs, book = size(test=100, full=1_000), BOOKS[0]
    batch = [
        Post(value_date=FIRST_DAY, reference="1", entries=moved(dice), corrects=None)
        for _ in range(pairs)
    ]
    assert await crowd.enter(book, "posted", batch) == "ok"
    door = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, who: str) -> str:
        async with door:
            move = Reverse(transaction=f"posted:{number}", reference="1", value_date=None)
            return await crowd.enter(book, f"{who}-{number}", [move])

    asked = [one(number, who) for number in range(pairs) for who in ("one", "other")]
    answers = Counter(await asyncio.gather(*asked))
    assert answers == {"ok": pairs, AlreadyReversed.code: pairs}
    async with installed.transaction(SERVICE) as conn:
        balances = await ledger.balances(conn, book=book, wanted={})
    assert not any(one.balance_minor for one in balances)
    await assert_invariants(installed, log=LOG)
    tell(f"{pairs} transactions reversed by two at once, 0 doubled", dict(answers))


async def test_reservations_at_once_never_exceed_the_limit_at_any_position(
    installed: Database,
) -> None:
    """Of any amounts, some released and used meanwhile: taken again leaf by leaf from the bytes."""
    crowd, most = Crowd(installed, seed=first_seed()), 1_000
    book, many = BOOKS[0], size(test=200, full=5_000)
    terms = AccountTerms(account=account("cash"), side="debit", least_minor=None, most_minor=most)
    assert await crowd.enter(book, "terms", [Declare(terms=terms)]) == "ok"
    door = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        dice = Random(f"{first_seed()}/{number}")
        amount = dice.randrange(1, 60)
        entries = (Entry(account("cash"), amount), Entry(account("loan"), -amount))
        reserve = Reserve(value_date=FIRST_DAY, reference="1", entries=entries, lasts_seconds=None)
        async with door:
            answer = await crowd.enter(book, f"r{number}", [reserve])
            if answer == "ok" and dice.random() < 0.4:
                await crowd.enter(book, f"v{number}", [VoidPending(pending=f"r{number}:0")])
            return answer

    answers = Counter(await asyncio.gather(*(one(number) for number in range(many))))
    assert answers.keys() == {"ok", LimitExceeded.code}
    taken, reached = Journal(), 0
    async with installed.transaction(SERVICE) as conn:
        rows = await store.leaf_bytes(conn, book=book, from_position=0, to_position=10**9)
    for row in rows:
        taken.take(decode(row.bytes))
        posted, debits, _ = taken.standing(account("cash"))
        reached = max(reached, posted + debits)
        assert reached <= most
    tell(f"{many} reservations at once under {most}, {reached} stood at most", dict(answers))
    assert reached > most - 60, "the limit was never near"
