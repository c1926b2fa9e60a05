"""What happens, and in what order, when a business day ends and the next one begins (日终).

For every book still on the day, each in one transaction of its own:

    0  pendings whose end is reached are voided, so that none stands in a sealed day
    1  CLOSING   what the end of the day brings to a book of its purpose
    2  the seal  the day is closed in the book: nothing is booked on it any more
    3  OPENING   what the day that is open now brings

then, once every book is there, the installation's business day moves, in a transaction that takes
along any book opened meanwhile. Killed anywhere, the run is taken up by asking again: a book that
is there is passed over. The order of the day stands here and nowhere else; what a step means is its
package's affair. The top log keeps no business days: it holds heads only, and balances nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import store
from api.database import SERVICE, Database
from api.desk import Work
from ledger import accrual_service, moves
from ledger import service as ledger
from ledger.errors import Conflict, WrongInput
from ledger.publishing import TOP
from ledger.service import SYSTEM, HeldBook
from negotiation import service as negotiation
from syndicate.facility import service as facility
from syndicate.reference.calendar import next_workday

MAX_DAYS = 100
"""How many business days one run may close."""


class Step(msgspec.Struct, frozen=True):
    """What is done in every book of a purpose, held; `name` stands in the ids of what it records.

    run  is given the work and the book as it stands on the day the step belongs to
    """

    name: str
    purpose: str
    run: Callable[[Work, HeldBook], Awaitable[object]]


async def _facility_ends_the_day(work: Work, held: HeldBook) -> None:
    """Unpaid instalments are overdue; classes that changed."""
    await facility.close_day(_facility_work(work), held)


async def _facility_begins_the_day(work: Work, held: HeldBook) -> None:
    """Interest of every night since the last business day, resets, instalments due."""
    await facility.open_day(_facility_work(work), held)


async def _house_begins_the_day(work: Work, held: HeldBook) -> None:
    """Standing accruals of every night since the last business day."""
    await accrual_service.accrue(work.conn, held=held, command=work.command, now=work.now)


async def _negotiation_begins_the_day(work: Work, held: HeldBook) -> None:
    """A standing version whose last day is over has lapsed."""
    asked = negotiation.Work(conn=work.conn, actor=work.actor, now=work.now, command=work.command)
    await negotiation.lapse(asked, negotiation=held.book)


def _facility_work(work: Work) -> facility.Work:
    return facility.Work(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


CLOSING: tuple[Step, ...] = (Step("closing", "facility", _facility_ends_the_day),)
"""Steps of the day that ends, in order."""

OPENING: tuple[Step, ...] = (
    Step("opening", "facility", _facility_begins_the_day),
    Step("lapse", "negotiation", _negotiation_begins_the_day),
    Step("accrual", "house", _house_begins_the_day),
)
"""Steps of the day that begins, in order."""


class DaysClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The business day now open, and how many were closed to get there."""

    open_day: date
    days_closed: int


class AlreadyClosing(Conflict):
    """Another run is closing business days: ask again when it is over."""

    code = "closing-under-way"


async def close_through(lock: AsyncConnection, database: Database, *, through: date) -> DaysClosed:
    """Every business day until `through` is closed, each committed by itself.

    lock     an open transaction that keeps other runs away until it ends; it writes nothing here
    through  any calendar day; before the open day nothing is closed
    Raises WrongInput beyond MAX_DAYS, AlreadyClosing, and the refusal of any step: the days before
    it stay closed, and asking again goes on from there.
    """
    if not await store.one_closer(lock):
        raise AlreadyClosing("another run is closing business days")
    async with database.transaction(SERVICE, read_only=True) as conn:
        open_day = await ledger.business_day(conn)
        books = await _books(conn)
    days = _days(open_day, through)
    for following in days:
        books = await close_day(database, books, next_day=following)
    return DaysClosed(open_day=days[-1] if days else open_day, days_closed=len(days))


def _days(open_day: date, through: date) -> list[date]:
    """The business days to open one after the other until `through` is closed."""
    days: list[date] = []
    last = open_day
    while last <= through:
        if len(days) == MAX_DAYS:
            raise WrongInput("$.through", f"at most {MAX_DAYS} business days on, before {last}")
        last = next_workday(last)
        days.append(last)
    return days


async def close_day(
    database: Database, books: Mapping[str, str], *, next_day: date
) -> Mapping[str, str]:
    """Every book has `next_day` open, and so has the installation; returns the books there are now.

    books  purpose by book, as far as known: one opened since is found here
    """
    for book, purpose in books.items():
        async with database.transaction(SERVICE) as conn:
            await _close_book(conn, book, purpose, next_day=next_day)
    async with database.transaction(SERVICE) as conn:
        # From here on a new book begins on the next day; one that began before is seen below.
        await ledger.open_business_day(conn, day=next_day)
        late = [
            row.book
            for row in await ledger.books(conn)
            if row.open_day < next_day and row.book != TOP
        ]
        if late:
            books = await _books(conn)
            for book in late:
                await _close_book(conn, book, books[book], next_day=next_day)
    return books


async def _books(conn: AsyncConnection) -> Mapping[str, str]:
    """Purpose by book of every book that keeps business days; "" where no step asks for it."""
    purposes = dict.fromkeys(step.purpose for step in (*CLOSING, *OPENING))
    named = {
        row.book: purpose
        for purpose in purposes
        for row in await ledger.books(conn, purpose=purpose)
    }
    every = [row.book for row in await ledger.books(conn) if row.book != TOP]
    return {book: named.get(book, "") for book in every}


async def _close_book(conn: AsyncConnection, book: str, purpose: str, *, next_day: date) -> None:
    """The book's open day is closed and sealed, and the next one is open with all it brings."""
    held = await ledger.hold(conn, book=book)
    if held.open_day >= next_day:
        return
    now = datetime.now(UTC)
    await moves.void_expired(conn, book=book, now=now)
    await _take(CLOSING, conn, book, purpose, now=now)
    await ledger.close_day(conn, book=book, next_day=next_day, recorded_at=now)
    await _take(OPENING, conn, book, purpose, now=now)


async def _take(
    steps: tuple[Step, ...],
    conn: AsyncConnection,
    book: str,
    purpose: str,
    *,
    now: datetime,
) -> None:
    """The steps of this purpose, each with the book as the one before left it."""
    for step in steps:
        if step.purpose == purpose:
            held = await ledger.hold(conn, book=book)
            command = f"{step.name}:{held.open_day.isoformat()}"
            await step.run(Work(conn=conn, actor=SYSTEM, now=now, command=command), held)
