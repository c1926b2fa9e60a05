"""Every SQL statement of `negotiation`: which deals there are, and the private quotes."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from negotiation import tables


async def hold_borrower(conn: AsyncConnection, *, borrower: str) -> None:
    """No other transaction gives or ends a mandate of the borrower until this one ends."""
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:borrower, 7310581))"),
        {"borrower": borrower},
    )


async def add_deal(
    conn: AsyncConnection,
    *,
    deal: str,
    borrower: str,
    lead: str,
    project: str,
    opened_on: date,
    mandate_until: date,
) -> None:
    await conn.execute(
        insert(tables.deal).values(
            deal=deal,
            borrower=borrower,
            lead=lead,
            project=project,
            opened_on=opened_on,
            mandate_until=mandate_until,
        )
    )


async def deals(conn: AsyncConnection, *, borrower: str | None) -> Sequence[Found]:
    query = select(tables.deal).order_by(tables.deal.c.deal)
    if borrower is not None:
        query = query.where(tables.deal.c.borrower == borrower)
    return (await conn.execute(query)).all()


async def add_quote(
    conn: AsyncConnection,
    *,
    deal: str,
    book: int,
    bank: str,
    version: int,
    quote: dict[str, Any] | None,
    salt: bytes,
    placed_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.quote).values(
            deal=deal,
            book=book,
            bank=bank,
            version=version,
            quote=quote,
            salt=salt,
            placed_at=placed_at,
        )
    )


async def quotes(conn: AsyncConnection, *, deal: str, book: int) -> Sequence[Found]:
    """Each bank's last word in the book, of those the asker may read."""
    table = tables.quote
    query = (
        select(table)
        .where(table.c.deal == deal, table.c.book == book)
        .order_by(table.c.bank, table.c.version.desc())
        .ext(distinct_on(table.c.bank))
    )
    return (await conn.execute(query)).all()
