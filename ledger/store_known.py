"""The SQL of where a question is answered, and under which heads: how much of which log.

It only reads, as `store_queries` does.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from ledger.store_queries import Known


async def heads_over(conn: AsyncConnection, *, known: Sequence[Known]) -> Sequence[Found]:
    """(book, size, root) of the earliest checkpoint over so many leaves of each book; a later one
    never takes its place."""
    return (
        await conn.execute(
            text(
                "SELECT a.book, c.size, c.root FROM unnest(CAST(:books AS text[]), "
                "CAST(:sizes AS bigint[])) WITH ORDINALITY AS a(book, size, nth) "
                "CROSS JOIN LATERAL (SELECT c.size, c.root FROM ledger.checkpoint c "
                "WHERE c.book_id = a.book AND c.size >= a.size ORDER BY c.size LIMIT 1) c "
                "ORDER BY a.nth"
            ),
            {"books": [book for book, _ in known], "sizes": [size for _, size in known]},
        )
    ).all()


async def sizes_under(conn: AsyncConnection, *, top_size: int) -> dict[str, int]:
    """How much of each of the asker's books was published when the top log held so many leaves."""
    rows = await conn.execute(
        text("SELECT book_id, size FROM ledger.sizes_under(:size)"), {"size": top_size}
    )
    return {row.book_id: row.size for row in rows}


async def closed_by(conn: AsyncConnection, *, day: date) -> Sequence[Found]:
    """(book, open_day, size once the last day not after that one was sealed, published)."""
    return (
        await conn.execute(
            text(
                "SELECT b.book_id AS book, b.open_day, coalesce((SELECT max(l.position) + 1 "
                "FROM ledger.leaf l WHERE l.book_id = b.book_id AND l.kind = 'seal' "
                "AND l.booking_date <= :day), 0) AS size, coalesce(h.size, 0) AS published "
                "FROM ledger.book b LEFT JOIN ledger.head h ON h.book_id = b.book_id "
                "WHERE b.book_id <> 'top'"
            ),
            {"day": day},
        )
    ).all()
