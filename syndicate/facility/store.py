"""Every SQL statement about which facilities there are. Private to `facility`."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from syndicate.facility import tables


async def facility(conn: AsyncConnection, *, facility: str) -> Found | None:
    table = tables.facility
    return (await conn.execute(select(table).where(table.c.facility == facility))).one_or_none()


async def facilities(conn: AsyncConnection) -> Sequence[Found]:
    """The facilities the caller has a part in, the latest signed first."""
    table = tables.facility
    query = select(table).order_by(table.c.signed_on.desc(), table.c.facility)
    return (await conn.execute(query)).all()


async def add_facility(
    conn: AsyncConnection,
    *,
    facility: str,
    negotiation: str | None,
    borrower: str,
    lead: str,
    form: str,
    currency: str,
    total_minor: int,
    signed_on: date,
) -> None:
    await conn.execute(
        insert(tables.facility).values(
            facility=facility,
            negotiation=negotiation,
            borrower=borrower,
            lead=lead,
            form=form,
            currency=currency,
            total_minor=total_minor,
            signed_on=signed_on,
        )
    )
