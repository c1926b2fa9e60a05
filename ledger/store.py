"""Every SQL statement of the ledger: one function a question or an append. Private to `ledger`.

Writing goes through the database's own functions (`ledger.append` and its neighbours), which repeat
every check inside the statement that writes. Reading is plain SELECT under row-level security: the
caller's role and institution decide which rows exist.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import Row, func, select, text, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import accrual, journal, tables
from ledger.errors import Absent, Conflict, NotAllowed, Refused, WrongInput
from ledger.store_noted import note

Found: TypeAlias = Row[*tuple[Any, ...]]
"""One row of an answer, its columns by name."""

Driver: TypeAlias = asyncpg.Connection
"""A connection of the driver's own, for the path of postings alone: it takes a third of the time
that SQLAlchemy takes around a statement."""


class DayClosed(Conflict):
    """A posting names another booking date than the open day: a closed day never changes."""

    code = "day-closed"


class OutOfRange(Conflict):
    """An account would stand beyond the largest amount there is, what is pending counted.

    A log read again has no such bound; a balance that is proved, or read as JSON, has.
    """

    code = "out-of-range"


class LeafExists(Conflict):
    """A leaf of that id is already in the book: an id is processed at most once, for ever (I5)."""

    code = "already-recorded"


_BY_STATE: Mapping[str, type[Refused]] = {
    "LD441": accrual.NoSuchAccrual,
    "LD442": accrual.AccrualConflict,
    "LD451": journal.NoSuchPending,
    "LD452": journal.AlreadyResolved,
    "LD453": journal.PendingExpired,
    "LD454": journal.NotAsPending,
    "LD455": journal.LimitExceeded,
    "LD456": journal.AlreadyReversed,
    "LD457": journal.NotReversible,
    "LD458": journal.NotAMirror,
}
"""Refusals about single leaves; their DETAIL, where they have one, is a JSON object of fields."""


def _said(original: BaseException) -> str:
    """The database's words alone: its DETAIL is for `fields`, and no sentence for a person."""
    cause = original.__cause__ or original
    return str(getattr(cause, "message", None) or cause)


def _named(refusal: type[Refused], said: str, original: BaseException) -> Refused:
    detail = getattr(original.__cause__ or original, "detail", None)
    return refusal(said, **msgspec.json.decode(detail or "{}"))


def _is_too_large(original: BaseException) -> bool:
    """Whether a sum is beyond what an account may stand at, or beyond what any column holds."""
    constraint = getattr(original.__cause__ or original, "constraint_name", None)
    return constraint in (None, "account_within_range")


@asynccontextmanager
async def refusals() -> AsyncIterator[None]:
    """What the database's functions refuse, as the ledger's own refusals."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError) as error:
        original = getattr(error, "orig", error)
        said = _said(original)
        match getattr(original, "sqlstate", None):
            case "LD403":
                raise NotAllowed(said) from error
            case "LD404":
                raise Absent("no such book") from error
            case "LD409":
                raise LeafExists(said) from error
            case "LD410":
                raise DayClosed(said) from error
            case "LD422":
                raise WrongInput("$.entries", said) from error
            case "LD423":
                raise WrongInput("$.corrects", said) from error
            case str(state) if state in _BY_STATE:
                raise _named(_BY_STATE[state], said, original) from error
            case "23505":
                raise LeafExists("it is already there") from error
            case "22003" | "23514" if _is_too_large(original):
                raise OutOfRange(
                    "an account would stand beyond the largest amount there is"
                ) from error
            case _:
                raise


async def open_book(
    conn: AsyncConnection, *, book: str, purpose: str, lead: str | None, salt: bytes
) -> date:
    async with refusals():
        return (
            await conn.execute(
                text("SELECT ledger.open_book(:book, :purpose, :lead, :salt)"),
                {"book": book, "purpose": purpose, "lead": lead, "salt": salt},
            )
        ).scalar_one()


async def admit(conn: AsyncConnection, *, book: str, party: str) -> None:
    async with refusals():
        await conn.execute(
            text("SELECT ledger.admit(:book, :party)"), {"book": book, "party": party}
        )


async def dismiss(conn: AsyncConnection, *, book: str, party: str) -> int | None:
    async with refusals():
        return (
            await conn.execute(
                text("SELECT ledger.dismiss(:book, :party)"), {"book": book, "party": party}
            )
        ).scalar_one()


async def hold(conn: AsyncConnection, *, book: str) -> Found | None:
    async with refusals():
        return (
            await conn.execute(text("SELECT * FROM ledger.hold(:book)"), {"book": book})
        ).one_or_none()


async def append(conn: AsyncConnection, *, book: str, leaves: Sequence[bytes]) -> int:
    async with refusals():
        first: int = (
            await conn.execute(
                text("SELECT ledger.append(:book, CAST(:leaves AS bytea[]))"),
                {"book": book, "leaves": list(leaves)},
            )
        ).scalar_one()
    note(conn, book=book, first=first, leaves=leaves)
    return first


async def hold_each(driver: Driver, *, books: Sequence[str]) -> list[tuple[str, date, int]]:
    """(book, open day, size) of every book, held in the order of their ids."""
    async with refusals():
        rows = await driver.fetch(
            "SELECT book, open_day, size FROM ledger.hold_each($1)", list(books)
        )
    return [tuple(row) for row in rows]


async def append_each(driver: Driver, *, leaves: Mapping[str, Sequence[bytes]]) -> dict[str, int]:
    """The first position by book of leaves appended to several books in one statement."""
    books = sorted(leaves)
    async with refusals():
        firsts = await driver.fetchval(
            "SELECT ledger.append_each($1, $2, $3)",
            books,
            [len(leaves[book]) for book in books],
            [raw for book in books for raw in leaves[book]],
        )
    return dict(zip(books, firsts, strict=True))


async def open_next_day(conn: AsyncConnection, *, book: str, day: date) -> None:
    async with refusals():
        await conn.execute(
            text("SELECT ledger.open_next_day(:book, :day)"), {"book": book, "day": day}
        )


async def open_business_day(conn: AsyncConnection, *, day: date) -> None:
    async with refusals():
        await conn.execute(text("SELECT ledger.open_business_day(:day)"), {"day": day})


async def business_day(conn: AsyncConnection) -> date | None:
    return (await conn.execute(select(tables.business_day.c.open_day))).scalar_one_or_none()


_BOOK = [tables.book.c[name] for name in ("book_id", "purpose", "open_day", "size")]
_LEFT = text("SELECT book_id, purpose, open_day, size FROM ledger.left_books()").columns(*_BOOK)
"""The books the asker left, as they stood for it."""


async def books(conn: AsyncConnection) -> Sequence[Found]:
    query = union_all(select(*_BOOK), _LEFT.subquery().select()).order_by("book_id")
    return (await conn.execute(query)).all()


async def book(conn: AsyncConnection, *, book: str) -> Found | None:
    query = select(*_BOOK).where(tables.book.c.book_id == book)
    found = (await conn.execute(query)).one_or_none()
    if found is not None:
        return found
    left = _LEFT.subquery()
    return (await conn.execute(left.select().where(left.c.book_id == book))).one_or_none()


async def participants(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    table = tables.participation
    query = select(table.c.party).where(table.c.book_id == book).order_by(table.c.party)
    return (await conn.execute(query)).all()


FACT_COLUMNS = [
    tables.leaf.c[name]
    for name in (
        "position",
        "leaf_id",
        "kind",
        "subject",
        "actor",
        "corrects",
        "value_date",
        "booking_date",
        "recorded_at",
        "hash",
        "of_leaf",
    )
]


async def facts(
    conn: AsyncConnection,
    *,
    book: str,
    kinds: Sequence[str],
    after: int,
    below: int,
    limit: int | None,
) -> Sequence[Found]:
    query = (
        select(*FACT_COLUMNS)
        .where(tables.leaf.c.book_id == book)
        .where(tables.leaf.c.position > after, tables.leaf.c.position < below)
        .where(tables.leaf.c.kind.in_(kinds))
        .order_by(tables.leaf.c.position)
        .limit(limit)
    )
    return (await conn.execute(query)).all()


async def fact(conn: AsyncConnection, *, book: str, leaf_id: str) -> Found | None:
    query = select(*FACT_COLUMNS).where(
        tables.leaf.c.book_id == book, tables.leaf.c.leaf_id == leaf_id
    )
    return (await conn.execute(query)).one_or_none()


async def leaf_bytes(
    conn: AsyncConnection, *, book: str, from_position: int, to_position: int
) -> Sequence[Found]:
    """Verbatim bytes and stored hashes of positions [from, to); for auditors and the sequencer."""
    table = tables.leaf
    query = (
        select(table.c.position, table.c.bytes, table.c.hash)
        .where(table.c.book_id == book)
        .where(table.c.position >= from_position, table.c.position < to_position)
        .order_by(table.c.position)
    )
    return (await conn.execute(query)).all()


async def leaf_hashes(
    conn: AsyncConnection, *, book: str, from_position: int, to_position: int
) -> list[bytes]:
    table = tables.leaf
    query = (
        select(table.c.hash)
        .where(table.c.book_id == book)
        .where(table.c.position >= from_position, table.c.position < to_position)
        .order_by(table.c.position)
    )
    return list((await conn.execute(query)).scalars())


async def closing(conn: AsyncConnection, *, book: str) -> Found | None:
    """What closing a day needs of a book: its salt, published head and last seal's position."""
    leaf, head, salt = tables.leaf, tables.head, tables.salt
    last_seal = (
        select(func.max(leaf.c.position))
        .where(leaf.c.book_id == book, leaf.c.kind == "seal")
        .scalar_subquery()
    )
    query = (
        select(salt.c.salt, head.c.size, head.c.frontier, last_seal.label("last_seal"))
        .outerjoin(head, head.c.book_id == salt.c.book_id)
        .where(salt.c.book_id == book)
    )
    return (await conn.execute(query)).one_or_none()


async def accounts(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    """Every account that a posted entry ever touched, with its posted balance."""
    table = tables.account
    query = (
        select(table).where(table.c.book_id == book, table.c.posted).order_by(table.c.account_no)
    )
    return (await conn.execute(query)).all()


async def salt(conn: AsyncConnection, *, book: str) -> bytes | None:
    query = select(tables.salt.c.salt).where(tables.salt.c.book_id == book)
    return (await conn.execute(query)).scalar_one_or_none()


async def head(conn: AsyncConnection, *, book: str) -> Found | None:
    query = select(tables.head).where(tables.head.c.book_id == book)
    return (await conn.execute(query)).one_or_none()


async def published_of_left(conn: AsyncConnection, *, book: str) -> int:
    """How many leaves of a book that the asker left it may be answered at; 0 of any other."""
    statement = text("SELECT published FROM ledger.left_books() WHERE book_id = :book")
    return (await conn.execute(statement, {"book": book})).scalar_one_or_none() or 0


async def seal_by(conn: AsyncConnection, *, book: str, day: date) -> int | None:
    """The position of the last seal of a day not after that day."""
    table = tables.leaf
    query = select(func.max(table.c.position)).where(
        table.c.book_id == book, table.c.kind == "seal", table.c.booking_date <= day
    )
    return (await conn.execute(query)).scalar_one()
