"""The ledger on PostgreSQL against the auditor's model: joint books and house books, step by step.

One episode is one book. Questions are put as their callers put them: leaves by `ledger.service`,
leaves past all of Python's checks by `store.append`, moves of a bank in its own book by
`house_moves`, alone and in batches. Between them days are closed, what is over is swept, and
balances as of past days and positions are read, each to be read again at the end.
"""

import secrets
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from api.auditing import AUDITOR
from api.database import SERVICE, Database, Standing
from ledger import house_moves, leaves, moves, store
from ledger import service as ledger
from ledger.errors import LiandaiError
from ledger.moves import Asked
from ledger.replay import Replay
from tests.campaign.asking import Asker
from tests.campaign.leafing import ACTOR, FIRST_DAY, day, leaf_of, name_of, verdict_of
from tests.campaign.machine import balances_of, verdict
from tests.campaign.model import AccountName, Ask, Model, Verdict, is_formed, is_whole
from tests.campaign.own_moves import OwnMove, own_move
from tests.ledger.recorded_story import formed, publish

BEYOND: Final = Verdict("out-of-range")
ALFA: Final = Standing("liandai_app", "alfa")
AHEAD, LEAST_AHEAD = timedelta(seconds=30), timedelta(seconds=20)
"""How far recorded times are ahead of the server's clock at first, and at any step at least: a
pending that is over by the clock is over, whatever time was recorded. At most five minutes."""

_STANDS: Final = text(
    """
    SELECT (SELECT jsonb_agg(jsonb_build_array(party, code, counterparty, ref, currency,
              balance_minor, pending_debit_minor, pending_credit_minor, least_minor, most_minor))
            FROM ledger.account WHERE book_id = :book) AS accounts,
           (SELECT jsonb_agg(leaf_id) FROM ledger.pending
            WHERE book_id = :book AND resolved_by IS NULL) AS pendings,
           (SELECT md5(string_agg(row, '|' ORDER BY row COLLATE "C")) FROM (
              SELECT 'b' || b.xmin || b::text AS row FROM ledger.book b WHERE book_id = :book
              UNION ALL SELECT 'l' || l.xmin || l::text FROM ledger.leaf l WHERE book_id = :book
              UNION ALL SELECT 'a' || a.xmin || a::text FROM ledger.account a WHERE book_id = :book
              UNION ALL SELECT 'e' || e.xmin || e::text FROM ledger.entry e WHERE book_id = :book
              UNION ALL SELECT 'p' || p.xmin || p::text FROM ledger.pending p WHERE book_id = :book
              UNION ALL SELECT 'n' || n.xmin || n::text FROM ledger.pending_line n
                WHERE book_id = :book
              UNION ALL SELECT 'r' || r.xmin || r::text FROM ledger.reversal r
                WHERE book_id = :book) AS rows) AS bytes
    """
)
"""What stands in a book: accounts, open pendings, and a digest of every row and its version."""


async def prepare(database: Database) -> None:
    """The installation's own books are open, on the first day."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=FIRST_DAY)
        for name in ("top", "registry"):
            await ledger.open_book(
                conn, book=name, purpose=name, lead=None, members=(), salt=secrets.token_bytes(32)
            )


def onlooker(database: Database) -> AsyncEngine:
    """Connections that see everything, as the login that owns the database."""
    return create_async_engine(database._engine.url, pool_size=1)


class Recording:
    """One book on the database and in the model: `fac-...` is joint, `own-alfa-...` a bank's own.

    said  the last question, for whoever must look for a fault
    """

    def __init__(self, database: Database, seen_by: AsyncEngine, *, book: str, seed: int) -> None:
        self.database, self.book, self.dice = database, book, Random(seed)
        self.is_joint = book.startswith("fac-")
        self.model = Model()
        self.figures: Counter[str] = Counter()
        self.said: Any = None
        self.at = 0
        self.begun = datetime.now(UTC).replace(microsecond=0) + AHEAD
        self._seen_by = seen_by
        self._asker = Asker(self.dice, joint=self.is_joint, twisted=0.08 if self.is_joint else 0)
        self._salt = secrets.token_bytes(32)
        self._commands = 0
        self._bytes: str | None = None
        self._reads: list[tuple[dict[str, Any], dict[AccountName, int]]] = []

    async def run(self) -> None:
        """The whole episode, every invariant looked at after each step."""
        async with self.database.transaction(SERVICE if self.is_joint else ALFA) as conn:
            await ledger.open_book(
                conn,
                book=self.book,
                purpose="facility" if self.is_joint else "house",
                lead="alfa",
                members=("beta", "gamma") if self.is_joint else (),
                salt=self._salt,
            )
            if self.is_joint:
                await self._form(conn)
        for _ in range(self.dice.randrange(10, 60)):
            self.at += self.dice.choice((0, 0, 1, 3, 9))
            self._keep_ahead()
            chance = self.dice.random()
            if chance < 0.03:
                await self._close_day()
            elif chance < 0.06:
                await self._sweep()
            elif chance < 0.13:
                await self._read()
            elif chance < 0.16:
                await publish(self.database)
            elif self.is_joint:
                await self._ask_the_ledger()
            else:
                await self._ask_the_house()
        await self._check_log()
        for wanted, answer in self._reads:
            self.said = ("read again", wanted)
            assert await self._balances(wanted) == answer, f"I11: {wanted}"

    def _keep_ahead(self) -> None:
        """The episode's own clock is ahead of the server's by more than a step takes.

        It moves by its own seconds alone, unless the machine is slower than they are: what has
        ended by then has ended in the model too.
        """
        behind = datetime.now(UTC) + LEAST_AHEAD - (self.begun + timedelta(seconds=self.at))
        if behind > timedelta():
            self.at += int((behind + AHEAD - LEAST_AHEAD).total_seconds())

    async def _form(self, conn: AsyncConnection) -> None:
        """The joint book begins as a facility's does: with who takes part in it."""
        ask = Ask(kind="record", name="formed:0")
        lets_in = formed(self.book, lead="alfa", other="beta", borrower="gamma")
        leaf = leaf_of(ask, book=self.book, begun=self.begun)
        await ledger.append(conn, [replace(leaf, subject=lets_in)])
        self.model.record(ask)

    # ---- questions

    def _next_command(self) -> str:
        self._commands += 1
        used = [ask.name.rpartition(":")[0] for ask in self.model.log if ask.name[:1] == "c"]
        if used and self.dice.random() < 0.02:
            return self.dice.choice(used)
        return f"c{self._commands}"

    async def _ask_the_ledger(self) -> None:
        command, ahead, asks = self._next_command(), deepcopy(self.model), list[Ask]()
        for number in range(self.dice.choice((1, 1, 1, 1, 2, 3, 5))):
            ask = self._asker.misplaced(ahead, f"{command}:{number}", at=self.at)
            asks.append(ask)
            if ahead.judge(ask) is None:
                ahead.record(ask)
        due = self._due_of_leaves(asks)
        self.said = ("leaves", asks)
        batch = [leaf_of(ask, book=self.book, begun=self.begun) for ask in asks]
        past_python = due != Verdict("wrong-input") and self.dice.random() < 0.3
        answer = None
        try:
            async with self.database.transaction(SERVICE) as conn:
                if past_python:
                    self.figures["past Python"] += len(asks)
                    raws = [leaves.encode(leaf) for leaf in batch]
                    await store.append(conn, book=self.book, leaves=raws)
                else:
                    await ledger.append(conn, batch)
        except LiandaiError as error:
            answer = verdict_of(error)
        await self._answered(asks, due=due, answer=answer)

    def _due_of_leaves(self, asks: list[Ask]) -> Verdict | None:
        """Of a batch every form is judged first, then every place, then each in its turn."""
        if not all(is_formed(ask) and is_whole(ask) for ask in asks):
            return Verdict("wrong-input")
        places = [self.model.judge_place(ask) for ask in asks]
        for code in ("day-closed", "wrong-input", "already-recorded"):
            if Verdict(code) in places:
                return Verdict(code)
        if len({ask.name for ask in asks}) < len(asks):
            return Verdict("already-recorded")
        return self._due_in_turn(asks)

    def _due_in_turn(self, asks: list[Ask]) -> Verdict | None:
        ahead = deepcopy(self.model)
        for ask in asks:
            due = ahead.judge_state(ask)
            if due is not None:
                return due
            if ahead.is_beyond_range(ask):
                return BEYOND
            ahead.record(ask)
        return None

    async def _ask_the_house(self) -> None:
        command, ahead, own = self._next_command(), deepcopy(self.model), list[OwnMove]()
        again = any(ask.name == f"{command}:0" for ask in self.model.log)
        for number in range(1 if again else self.dice.choice((1, 1, 1, 1, 2, 3, 5))):
            one = own_move(self.dice, self._asker, ahead, f"{command}:{number}", at=self.at)
            own.append(one)
            if one.foreign is None and one.flaw is None and ahead.judge(one.ask) is None:
                ahead.record(one.ask)
        asks = [one.ask for one in own]
        flaws = [one.foreign for one in own if one.foreign] + [one.flaw for one in own if one.flaw]
        due = flaws[0] if flaws else self._due_of_leaves(asks)
        self.said = ("moves", [one.move for one in own])
        answer = None
        try:
            async with self.database.transaction(ALFA) as conn:
                asked = Asked(
                    book=self.book,
                    moves=tuple(one.move for one in own),
                    places=tuple(f"$.operations[{number}]" for number in range(len(own))),
                    command=command,
                    actor=ACTOR,
                    now=self.begun + timedelta(seconds=self.at),
                )
                entered = await house_moves.enter_own(conn, asked)
                assert entered.first == len(self.model.log)
                assert entered.records == tuple(ask.name for ask in asks)
        except LiandaiError as error:
            answer = verdict_of(error)
        await self._answered(asks, due=due, answer=answer)

    async def _answered(
        self, asks: list[Ask], *, due: Verdict | None, answer: Verdict | None
    ) -> None:
        if due == BEYOND and len(asks) > 1:
            # Plain postings of a batch are summed up at once: what is beyond in between may pass.
            assert answer in (BEYOND, None), f"{answer} where {due} is due"
            due = answer
        assert answer == due, f"{answer} where {due} is due"
        stood = self._bytes
        if due is None:
            for ask in asks:
                self.model.record(ask)
        await self._check()
        assert due is None or stood in (None, self._bytes), "a refusal has changed something"
        self.figures["steps"] += len(asks)
        self.figures[verdict(due)] += len(asks)

    # ---- what the clock does

    async def _sweep(self) -> None:
        self.said = "what is over is voided"
        now = self.begun + timedelta(seconds=self.at)
        over = self.model.over(self.at)
        async with self.database.transaction(SERVICE) as conn:
            assert await moves.void_expired(conn, book=self.book, now=now) == len(over)
        for name in over:
            self.model.record(
                Ask(
                    kind="void",
                    name=f"expired:{name}",
                    of=name,
                    by_clock=True,
                    says_over=True,
                    value_day=self.model.day,
                    booking_day=self.model.day,
                    at=self.at,
                )
            )
        await self._check()
        self.figures["swept"] += len(over)
        self.figures["steps"] += 1

    async def _close_day(self) -> None:
        self.said = "the day is closed"
        closed = self.model.day
        async with self.database.transaction(SERVICE) as conn:
            position = await ledger.close_day(
                conn,
                book=self.book,
                next_day=day(closed + 1),
                recorded_at=self.begun + timedelta(seconds=self.at),
            )
        if position is None:
            self.model.day += 1
            assert not self.model.log or self.model.log[-1].kind == "seal"
        else:
            assert position == len(self.model.log)
            self.model.seal(f"seal:{day(closed).isoformat()}:0", closed + 1)
        await self._check()
        self.figures["days closed"] += 1
        self.figures["steps"] += 1

    # ---- answers as of a day and a position

    async def _read(self) -> None:
        known = self.dice.randrange(len(self.model.log) + 1)
        wanted: dict[str, Any] = {"known_size": known}
        until: dict[str, int] = {}
        for name in ("value_until", "booking_until"):
            if self.dice.random() < 0.5:
                until[name] = self.model.day - self.dice.randrange(-1, 4)
                wanted[name] = day(until[name])
        self.said = ("read", wanted)
        answer = await self._balances(wanted)
        assert answer == self.model.as_of(known=known, **until), wanted
        self._reads.append((wanted, answer))
        self.figures["reads"] += 1
        self.figures["steps"] += 1

    async def _balances(self, wanted: dict[str, Any]) -> dict[AccountName, int]:
        async with self.database.transaction(AUDITOR, read_only=True) as conn:
            found = await ledger.balances(conn, book=self.book, wanted=wanted)
        return {name_of(one.account): one.balance_minor for one in found}

    # ---- what must hold

    async def _check(self) -> None:
        """After each step: every account, every open pending, all closing, all within limits."""
        model = self.model
        async with self._seen_by.connect() as conn:
            row = (await conn.execute(_STANDS, {"book": self.book})).one()
        self._bytes = row.bytes
        sums: Counter[tuple[str, str, str]] = Counter()
        for party, code, other, ref, currency, stands, debit, credit, least, most in (
            row.accounts or ()
        ):
            name = (party, code, other, ref, currency)
            due = (model.posted[name], model.debits[name], model.credits[name])
            assert (stands, debit, credit) == due, f"I3: {name}"
            assert (least, most) == model.bounds.get(name, (None, None)), f"I8: {name}"
            assert most is None or stands + debit <= most, f"I8: {name}"
            assert least is None or stands - credit >= least, f"I8: {name}"
            sums["posted", party, currency] += stands
            sums["pending", party, currency] += debit - credit
        assert not any(sums.values()), f"I2: {sums}"
        assert sorted(row.pendings or ()) == sorted(model.standing), "I6"

    async def _check_log(self) -> None:
        """The stored bytes, read again by `ledger.replay`, come to the same."""
        model, self.said = self.model, "the log is read again"
        async with self.database.transaction(AUDITOR, read_only=True) as conn:
            rows = await store.leaf_bytes(conn, book=self.book, from_position=0, to_position=10**9)
        replay = Replay(self.book, salt=self._salt, keys={})
        for row in rows:
            replay.take(row.bytes)
        posted, open_ = model.recounted()
        assert replay.size == len(model.log)
        assert balances_of(replay.journal) == posted, "I3"
        assert set(replay.journal.open_pendings) == open_, "I6"
        assert replay.journal.reversals == model.reversed, "I9"


async def record(database: Database, seen_by: AsyncEngine, *, seed: int) -> Counter[str]:
    """One whole episode, and what it recorded is published; its figures.

    AssertionError tells the seed and the last question.
    """
    book = f"fac-s{seed}" if Random(seed).random() < 0.5 else f"own-alfa-s{seed}"
    one = Recording(database, seen_by, book=book, seed=seed)
    try:
        await one.run()
        await publish(database)
    except Exception as error:
        raise AssertionError(f"CAMPAIGN_SEED={seed}, {book}, {one.said}: {error!r}") from error
    return one.figures
