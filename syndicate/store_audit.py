"""The SQL of the syndicate's invariants: which reads of borrower data there are. It only reads."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from syndicate.disclosure import tables


async def allowed_reads(conn: AsyncConnection) -> int:
    """How many reads were allowed to somebody else than the borrower."""
    access = tables.room_access
    query = (
        select(func.count())
        .select_from(access)
        .where(access.c.outcome == "allowed", access.c.reader != access.c.borrower)
    )
    return (await conn.execute(query)).scalar_one()


async def reads(conn: AsyncConnection, *, ids: Collection[str]) -> Sequence[Found]:
    """Those reads, in the order in which they were recorded."""
    access = tables.room_access
    query = (
        select(access)
        .where(access.c.access.in_(ids))
        .order_by(access.c.recorded_at, access.c.access)
    )
    return (await conn.execute(query)).all()
