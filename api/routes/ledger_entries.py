"""Entries and balances: by any filters together, as of and as known, with sums of the whole.

A member sees its own party's entries; an auditor sees all and writes nothing. Every answer names
the log size and the published head it is true under, so the same question asked later is answered
the same.
"""

from collections import Counter
from datetime import date

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk
from api.identity import may
from api.routes.ledger_filters import AtFilters, books_of, provide_account, provide_filters
from ledger import known, listings, statements
from ledger import service as ledger
from ledger.statements import By, Period

TAGS = ["ledger"]


class BalanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account's balance, minor units; debit positive."""

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    balance_minor: int


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """Balances as of and as known. sums: of all lines by currency; 0 for the whole book."""

    book: str
    known_size: int
    checkpoint: known.Under | None
    balances: list[BalanceLine]
    sums_minor: dict[str, int]


# ---- entries


@get(
    "/v1/books/{book:str}/entries",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def entries(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    proof: FromQuery[bool] = False,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> listings.Entries:
    """Entries of one book by any combination of filters, in log order, with sums of all of them.

    proof  each with the hashes that join its leaf to the answer's checkpoint
    """
    return await desk.ask(
        lambda conn: listings.entries(
            conn,
            book=book,
            filters=filters,
            known_size=known_size,
            known_on=known_on,
            cursor=cursor,
            limit=limit,
            proof=proof,
        )
    )


@get(
    "/v1/entries",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def joined_entries(
    desk: AtDesk,
    filters: AtFilters,
    books: FromQuery[str | None] = None,
    known_top: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    proof: FromQuery[bool] = False,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> listings.JoinedEntries:
    """Entries of several books at one moment by any combination of filters, book by book.

    books      those you may read where none is named
    known_top  as known when the top log held so many leaves; as published now by default
    """
    named = books_of(books)
    return await desk.ask(
        lambda conn: listings.joined(
            conn,
            books=named,
            filters=filters,
            known_top=known_top,
            known_on=known_on,
            cursor=cursor,
            limit=limit,
            proof=proof,
        )
    )


# ---- balances


@get("/v1/books/{book:str}/balances", guards=[may("read-ledger")], tags=TAGS)
async def balances(
    desk: AtDesk,
    book: FromPath[str],
    party: FromQuery[str | None] = None,
    code: FromQuery[str | None] = None,
    counterparty: FromQuery[str | None] = None,
    ref: FromQuery[str | None] = None,
    currency: FromQuery[str | None] = None,
    value_until: FromQuery[date | None] = None,
    booking_until: FromQuery[date | None] = None,
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
) -> Balances:
    """Balances as of a value or booking date, as known at a log size or at a day's close.

    For a fixed pair of dates and size the answer never changes.
    """
    wanted = {
        "party": party,
        "code": code,
        "counterparty": counterparty,
        "ref": ref,
        "currency": currency,
        "value_until": value_until,
        "booking_until": booking_until,
    }

    async def question(conn: AsyncConnection) -> Balances:
        at = await known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
        found = await ledger.balances(
            conn, book=book, wanted={**wanted, "known_size": at.known_size}
        )
        sums: Counter[str] = Counter()
        for one in found:
            sums[one.account.currency] += one.balance_minor
        return Balances(
            book=book,
            known_size=at.known_size,
            checkpoint=at.checkpoint,
            balances=[
                BalanceLine(
                    party=one.account.party,
                    code=one.account.code,
                    counterparty=one.account.counterparty,
                    ref=one.account.ref,
                    currency=one.account.currency,
                    balance_minor=one.balance_minor,
                )
                for one in found
            ],
            sums_minor=dict(sorted(sums.items())),
        )

    return await desk.ask(question)


@get(
    "/v1/books/{book:str}/trial-balance",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_filters},
)
async def trial_balance(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
) -> statements.TrialBalance:
    """The trial balance of a book (试算平衡): debits, credits and balance of every account.

    `value_until` or `booking_until` make it that of a date; any other filter narrows it.
    """

    async def question(conn: AsyncConnection) -> statements.TrialBalance:
        at = await known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
        return await statements.trial_balance(conn, at=at, filters=filters)

    return await desk.ask(question)


@get(
    "/v1/books/{book:str}/statement",
    guards=[may("read-ledger")],
    tags=TAGS,
    dependencies={"filters": provide_account},
)
async def statement(
    desk: AtDesk,
    filters: AtFilters,
    book: FromPath[str],
    first_day: FromQuery[date | None] = None,
    last_day: FromQuery[date | None] = None,
    by: FromQuery[By] = "booking",
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 200,
) -> statements.Statement:
    """The statement of accounts over a period (对账单), what corrects what marked.

    The accounts are all whose names have the parts given; a member's own in any case.
    """
    return await desk.ask(
        lambda conn: statements.statement(
            conn,
            book=book,
            account=filters,
            period=Period(by=by, first_day=first_day, last_day=last_day),
            known_size=known_size,
            known_on=known_on,
            cursor=cursor,
            limit=limit,
        )
    )


HANDLERS = (entries, joined_entries, balances, trial_balance, statement)
