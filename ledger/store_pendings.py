"""The SQL of pendings, reversals and limits: one function a question. It only reads.

Writing goes through `ledger.append` alone, as everything does.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.store import Found

_LEAF_WITH_LINES: Final = """
    SELECT l.position, l.leaf_id, l.kind, l.subject, l.value_date, l.corrects, l.of_leaf,
           l.recorded_at, p.expires_at,
           (SELECT coalesce(jsonb_agg(jsonb_build_object('party', a.party, 'code', a.code,
                     'counterparty', a.counterparty, 'ref', a.ref, 'currency', a.currency,
                     'amount_minor', x.amount_minor) ORDER BY x.line), '[]')
            FROM (SELECT e.line, e.account_no, e.amount_minor FROM ledger.entry e
                  WHERE e.book_id = l.book_id AND e.position = l.position
                  UNION ALL
                  SELECT n.line, n.account_no, n.amount_minor FROM ledger.pending_line n
                  WHERE n.book_id = l.book_id AND n.position = l.position) x
              JOIN ledger.account a ON a.book_id = l.book_id AND a.account_no = x.account_no
           ) AS lines
    FROM ledger.leaf l LEFT JOIN ledger.pending p
      ON p.book_id = l.book_id AND p.position = l.position"""


async def leaves(conn: AsyncConnection, *, book: str, leaf_ids: Sequence[str]) -> Sequence[Found]:
    """The leaves of these ids that there are, in log order, each with its posted or pending lines.

    expires_at  of a pending; lines: a list of objects, amounts of the caller's own accounts only
    where it may see no others
    """
    query = text(
        f"{_LEAF_WITH_LINES} WHERE l.book_id = :book AND l.leaf_id = ANY(CAST(:ids AS text[])) "
        "ORDER BY l.position"
    ).columns(subject=JSONB, lines=JSONB)
    return (await conn.execute(query, {"book": book, "ids": list(leaf_ids)})).all()


async def standing(conn: AsyncConnection, *, book: str, after: int, limit: int) -> Sequence[Found]:
    """As `leaves`: the pendings of the book that are not resolved, after a position.

    For whoever left the book: not resolved by then.
    """
    query = text(
        f"{_LEAF_WITH_LINES} WHERE p.book_id = :book AND p.position IN "
        "(SELECT ledger.standing_pendings(:book, :after, :limit)) ORDER BY p.position"
    ).columns(subject=JSONB, lines=JSONB)
    return (await conn.execute(query, {"book": book, "after": after, "limit": limit})).all()


async def standing_at(
    conn: AsyncConnection, *, book: str, size: int, after: int, limit: int
) -> Sequence[Found]:
    """As `standing`: the pendings below that log size which nothing below it had resolved."""
    query = text(
        f"{_LEAF_WITH_LINES} WHERE p.book_id = :book AND p.position > :after "
        "AND p.position < :size AND coalesce(ledger.resolved_by(p.book_id, p.position), :size) "
        ">= :size ORDER BY p.position LIMIT :limit"
    ).columns(subject=JSONB, lines=JSONB)
    asked = {"book": book, "size": size, "after": after, "limit": limit}
    return (await conn.execute(query, asked)).all()


async def accounts(conn: AsyncConnection, *, book: str, after: int, limit: int) -> Sequence[Found]:
    """Accounts with their terms and what is posted and pending, by number, after a number."""
    table = tables.account
    query = (
        select(table)
        .where(table.c.book_id == book, table.c.account_no > after)
        .order_by(table.c.account_no)
        .limit(limit)
    )
    return (await conn.execute(query)).all()


async def books_with_expired(conn: AsyncConnection, *, now: datetime) -> list[str]:
    """Books in which a pending's end is reached and nothing has resolved it, by id."""
    table = tables.pending
    query = (
        select(table.c.book_id)
        .distinct()
        .where(table.c.resolved_by.is_(None), table.c.expires_at <= now)
        .order_by(table.c.book_id)
    )
    return list((await conn.execute(query)).scalars())


async def expired(conn: AsyncConnection, *, book: str, now: datetime, limit: int) -> list[str]:
    """Leaf ids of the book's pendings whose end is reached, in log order."""
    table = tables.pending
    query = (
        select(table.c.leaf_id)
        .where(table.c.book_id == book, table.c.resolved_by.is_(None))
        .where(table.c.expires_at <= now)
        .order_by(table.c.position)
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())
