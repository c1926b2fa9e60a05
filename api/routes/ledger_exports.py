"""Exports: entries, trial balances and statements as tables to download, streamed.

What can be refused is refused before the first byte: the position is fixed and looked at first. The
rows then come from a cursor of the database, in a transaction that lives as long as the download.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

from litestar import get
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from api import exports
from api.desk import AtDesk
from api.exports import Format, Pages, Sheet
from api.identity import may
from api.routes.ledger_filters import AtFilters, books_of, provide_account, provide_filters
from ledger import known, listings, statements
from ledger.known import KnownBook
from ledger.listings import EntryLine
from ledger.money import format_amount
from ledger.statements import By, Period, StatementLine, TrialLine

TAGS = ["ledger"]

ACCOUNT: tuple[tuple[str, exports.Kind], ...] = (
    ("party", "text"),
    ("code", "text"),
    ("counterparty", "text"),
    ("ref", "text"),
    ("currency", "text"),
)
WHENCE: tuple[tuple[str, exports.Kind], ...] = (
    ("value_date", "day"),
    ("booking_date", "day"),
    ("record", "text"),
    ("kind", "text"),
    ("fact", "text"),
    ("institution", "text"),
    ("person", "text"),
    ("corrects", "text"),
    ("of", "text"),
)
ENTRY_COLUMNS: tuple[tuple[str, exports.Kind], ...] = (
    ("book", "text"),
    ("position", "integer"),
    ("line", "integer"),
    *ACCOUNT,
    ("amount", "decimal"),
    ("amount_minor", "integer"),
    *WHENCE,
)
STATEMENT_COLUMNS: tuple[tuple[str, exports.Kind], ...] = (
    ("position", "integer"),
    ("line", "integer"),
    *ACCOUNT,
    ("amount", "decimal"),
    ("amount_minor", "integer"),
    ("balance", "decimal"),
    ("balance_minor", "integer"),
    *WHENCE,
)
TRIAL_COLUMNS: tuple[tuple[str, exports.Kind], ...] = (
    *ACCOUNT,
    ("debits_minor", "integer"),
    ("credits_minor", "integer"),
    ("balance", "decimal"),
    ("balance_minor", "integer"),
    ("pending_debits_minor", "integer"),
    ("pending_credits_minor", "integer"),
)


def _about(at: KnownBook) -> dict[str, str]:
    under = at.checkpoint
    return {
        "book": at.book,
        "known_size": str(at.known_size),
        "checkpoint": "" if under is None else f"{under.size} {under.root}",
    }


def _account(line: Any) -> tuple[str, ...]:
    return (line.party, line.code, line.counterparty, line.ref, line.currency)


def _whence(line: EntryLine | StatementLine) -> tuple[Any, ...]:
    return (
        line.value_date,
        line.booking_date,
        line.record,
        line.kind,
        line.fact,
        line.actor.institution,
        line.actor.user,
        line.corrects,
        line.of,
    )


async def entry_rows(pages: AsyncIterator[Sequence[EntryLine]]) -> Pages:
    """Each entry as the values of ENTRY_COLUMNS."""
    async for page in pages:
        yield [
            (
                line.book,
                line.position,
                line.line,
                *_account(line),
                format_amount(line.amount_minor, currency=line.currency),
                line.amount_minor,
                *_whence(line),
            )
            for line in page
        ]


async def _statement_rows(pages: AsyncIterator[Sequence[StatementLine]]) -> Pages:
    async for page in pages:
        yield [
            (
                line.position,
                line.line,
                *_account(line),
                format_amount(line.amount_minor, currency=line.currency),
                line.amount_minor,
                format_amount(line.balance_minor, currency=line.currency),
                line.balance_minor,
                *_whence(line),
            )
            for line in page
        ]


async def _trial_rows(pages: AsyncIterator[Sequence[TrialLine]]) -> Pages:
    async for page in pages:
        yield [
            (
                *_account(line),
                line.debits_minor,
                line.credits_minor,
                format_amount(line.balance_minor, currency=line.currency),
                line.balance_minor,
                line.pending_debits_minor,
                line.pending_credits_minor,
            )
            for line in page
        ]


@get(
    "/v1/books/{book:str}/entries/export",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def export_entries(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    format: FromQuery[Format] = "csv",
    bom: FromQuery[bool] = False,
) -> Stream:
    """All entries of one book that pass the filters, as a table to download."""
    exports.check_format(format)
    at = await desk.ask(
        lambda conn: known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
    )
    reach = [(book, at.known_size)]
    lines = desk.rows(lambda conn: listings.every_entry(conn, books=reach, filters=filters))
    sheet = Sheet(name="entries", columns=ENTRY_COLUMNS, about=_about(at))
    return exports.answer(sheet, entry_rows(lines), wanted=format, bom=bom)


@get(
    "/v1/entries/export",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def export_joined_entries(
    desk: AtDesk,
    filters: AtFilters,
    books: FromQuery[str | None] = None,
    known_top: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    format: FromQuery[Format] = "csv",
    bom: FromQuery[bool] = False,
) -> Stream:
    """All entries of several books at one moment that pass the filters, as a table to download."""
    exports.check_format(format)
    named = books_of(books)
    at = await desk.ask(
        lambda conn: known.over_books(conn, books=named, known_top=known_top, known_on=known_on)
    )
    lines = desk.rows(lambda conn: listings.every_entry(conn, books=at.books, filters=filters))
    about = {"known": at.name} if at.top is None else _about(at.top)
    sheet = Sheet(name="entries", columns=ENTRY_COLUMNS, about=about)
    return exports.answer(sheet, entry_rows(lines), wanted=format, bom=bom)


@get(
    "/v1/books/{book:str}/trial-balance/export",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def export_trial_balance(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    format: FromQuery[Format] = "csv",
    bom: FromQuery[bool] = False,
) -> Stream:
    """The trial balance of a book as a table to download."""
    exports.check_format(format)
    at = await desk.ask(
        lambda conn: known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
    )
    lines = desk.rows(lambda conn: statements.every_trial_line(conn, at=at, filters=filters))
    sheet = Sheet(name="trial-balance", columns=TRIAL_COLUMNS, about=_about(at))
    return exports.answer(sheet, _trial_rows(lines), wanted=format, bom=bom)


@get(
    "/v1/books/{book:str}/statement/export",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_account},
)
async def export_statement(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    first_day: FromQuery[date | None] = None,
    last_day: FromQuery[date | None] = None,
    by: FromQuery[By] = "booking",
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    format: FromQuery[Format] = "csv",
    bom: FromQuery[bool] = False,
) -> Stream:
    """The lines of a statement as a table to download, each with the balance after it."""
    exports.check_format(format)
    period = Period(by=by, first_day=first_day, last_day=last_day)
    statements.check_statement(filters, period)
    at = await desk.ask(
        lambda conn: known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
    )
    lines = desk.rows(
        lambda conn: statements.every_statement_line(conn, at=at, account=filters, period=period)
    )
    sheet = Sheet(name="statement", columns=STATEMENT_COLUMNS, about=_about(at))
    return exports.answer(sheet, _statement_rows(lines), wanted=format, bom=bom)


HANDLERS = (export_entries, export_joined_entries, export_trial_balance, export_statement)
