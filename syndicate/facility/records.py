"""How a facility's log is read from its book and added to. It decides nothing.

Folding a facility of some years takes longer than everything else in a command, so what was folded
is remembered and only what came after is read. What is remembered is believed only where the very
last fact it holds, by its leaf hash, stands at that position in the book as the asker sees it: then
everything before stands too, since a log only grows. So a rolled back transaction, another database
or a member whose part in the book has ended never gets somebody else's memory.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, WrongInput
from ledger.leaves import Actor
from ledger.service import HeldBook, Item, Recorded
from syndicate.facility import bookings, facts, log, store
from syndicate.facility.drafts import Draft
from syndicate.facility.facts import Fact
from syndicate.facility.log import FacilityLog, Leaf
from syndicate.facility.state import FacilityState, evolve
from syndicate.parties.institutions import check_id

REMEMBERED = 64


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Everything recorded under one command: who acts, when, under which name."""

    conn: AsyncConnection
    actor: Actor
    now: datetime
    command: str


class _Known(msgspec.Struct, frozen=True):
    """A log folded up to the fact at `position`, whose leaf has this hash."""

    position: int
    hash: bytes
    log: FacilityLog


_known: OrderedDict[str, _Known] = OrderedDict()


async def check_facility(conn: AsyncConnection, facility: str) -> None:
    """Nothing: the asker has a part in a facility of that name. Raises Absent."""
    try:
        check_id(facility, place="facility")
    except WrongInput as error:
        raise Absent("no facility of that name") from error
    if await store.facility(conn, facility=facility) is None:
        raise Absent(f"no facility {facility}")


async def load(conn: AsyncConnection, facility: str) -> FacilityLog:
    """The facility's log as the asker may see it; that it is a facility was looked at before."""
    known = _known.get(facility)
    if known is not None:
        rows = await ledger.facts(conn, book=facility, after=known.position - 1)
        if rows and (rows[0].position, rows[0].hash) == (known.position, known.hash):
            return _remember(facility, known.log, rows[1:]) if rows[1:] else known.log
    rows = await ledger.facts(conn, book=facility)
    if not rows:
        raise Absent(f"no facility {facility}")
    return _remember(facility, None, rows)


async def load_anew(conn: AsyncConnection, facility: str) -> FacilityLog:
    """The facility's log folded from its first record on, whatever is remembered: for audits."""
    rows = await ledger.facts(conn, book=facility)
    if not rows:
        raise Absent(f"no facility {facility}")
    return log.read(None, (_leaf(row) for row in rows))


async def load_at(conn: AsyncConnection, facility: str, *, below: int) -> FacilityLog | None:
    """The facility's log as it was known below a position; None where it was not formed yet."""
    rows = await ledger.facts(conn, book=facility, below=below)
    return log.read(None, (_leaf(row) for row in rows)) if rows else None


def _remember(facility: str, before: FacilityLog | None, rows: Sequence[Recorded]) -> FacilityLog:
    read = log.read(before, (_leaf(row) for row in rows))
    _known[facility] = _Known(rows[-1].position, rows[-1].hash, read)
    _known.move_to_end(facility)
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return read


def _leaf(row: Recorded) -> Leaf:
    return Leaf(
        position=row.position,
        leaf_id=row.leaf_id,
        subject=row.subject,
        actor=row.actor,
        value_date=row.value_date,
        booking_date=row.booking_date,
        recorded_at=row.recorded_at,
    )


async def enter(
    work: Work, held: HeldBook, *, before: FacilityLog | None, brought: Iterable[Fact]
) -> tuple[list[int], FacilityState]:
    """The facts stand in the held book, each with what it posts; their positions, the state after.

    before  None only for the fact that forms the facility
    """
    items, state = [], None if before is None else before.state
    for fact in brought:
        entries = bookings.entries(state, fact)
        items.append(
            Item(
                kind="transaction" if entries else "record",
                subject=facts.subject_of(fact),
                entries=entries,
                value_date=facts.value_date_of(fact, booking_date=held.open_day),
                corrects=_corrects(before, fact),
            )
        )
        state = evolve(state, fact)
    assert state is not None, "a facility begins with its first fact"
    return await _record(work, held, items), state


def _corrects(before: FacilityLog | None, fact: Fact) -> str | None:
    """The leaf of the fact that this one puts right, if there is one of that name."""
    name = facts.corrects(fact)
    noted = None if before is None or name is None else before.noted.get(name)
    return None if noted is None else noted.leaf_id


async def enter_draft(work: Work, held: HeldBook, draft: Draft) -> list[int]:
    """The draft stands in the held book; it posts nothing."""
    item = Item(
        kind="record",
        subject=msgspec.to_builtins(draft),
        entries=(),
        value_date=held.open_day,
    )
    return await _record(work, held, [item])


async def _record(work: Work, held: HeldBook, items: Sequence[Item]) -> list[int]:
    return await ledger.record(
        work.conn,
        held=held,
        items=items,
        command=work.command,
        actor=work.actor,
        now=work.now,
    )
