"""The SQL of published logs: tiles, cosigned and stamped heads, and what a book was at a head.

Private to `ledger`, like the rest of its stores.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.store import Found, subtrees


async def subtrees_between(
    conn: AsyncConnection, *, book: str, level: int, first: int, end: int
) -> list[bytes]:
    """The hashes of the published complete subtrees [first, end) of one level, from the left."""
    wanted = [(level, index) for index in range(first, end)]
    found = await subtrees(conn, book=book, wanted=wanted)
    return [found[node] for node in wanted if node in found]


async def checkpoint_by(conn: AsyncConnection, *, book: str, until: datetime) -> Found | None:
    """The last checkpoint published by then, or the first of all where none was."""
    table = tables.checkpoint
    of_book = select(table).where(table.c.book_id == book)
    standing = of_book.where(table.c.published_at <= until).order_by(table.c.size.desc()).limit(1)
    found = (await conn.execute(standing)).one_or_none()
    if found is not None:
        return found
    return (await conn.execute(of_book.order_by(table.c.size).limit(1))).one_or_none()


async def checkpoint_over(conn: AsyncConnection, *, book: str, position: int) -> Found | None:
    """The first checkpoint that covers the leaf at a position."""
    table = tables.checkpoint
    query = (
        select(table)
        .where(table.c.book_id == book, table.c.size > position)
        .order_by(table.c.size)
        .limit(1)
    )
    return (await conn.execute(query)).one_or_none()


async def head_leaf(conn: AsyncConnection, *, book: str, size: int) -> Found | None:
    """(position, bytes) of the top log's leaf that commits to the book's head of that size."""
    return (
        await conn.execute(
            text("SELECT * FROM ledger.head_leaf(:book, :size)"), {"book": book, "size": size}
        )
    ).one_or_none()


async def witnessed_size(
    conn: AsyncConnection, *, book: str, at_least: int, witnesses: Sequence[str] | None
) -> int | None:
    """The largest size under whose checkpoint that many of the witnesses (any, for None) stand."""
    table = tables.cosignature
    query = (
        select(table.c.size)
        .where(table.c.book_id == book)
        .group_by(table.c.size)
        .having(func.count() >= at_least)
        .order_by(table.c.size.desc())
        .limit(1)
    )
    if witnesses is not None:
        query = query.where(table.c.witness.in_(witnesses))
    return (await conn.execute(query)).scalar_one_or_none()


async def heads_below(conn: AsyncConnection, *, size: int) -> dict[str, int]:
    """By book, the size of its last head among the first `size` leaves of the top log."""
    table = tables.leaf
    book = table.c.subject["book"].astext
    query = (
        select(
            book.label("book"),
            func.max(cast(table.c.subject["size"].astext, BigInteger)).label("covered"),
        )
        .where(table.c.book_id == "top", table.c.kind == "head", table.c.position < size)
        .group_by(book)
    )
    return {row.book: row.covered for row in (await conn.execute(query)).all()}


async def balances_at(conn: AsyncConnection, *, book: str, size: int) -> Sequence[Found]:
    """Every account that entries had touched when the log held `size` leaves, and its balance then,
    as the last of those entries stored it."""
    entry, account = tables.entry, tables.account
    last = (
        select(entry.c.account_no, entry.c.balance_after_minor)
        .ext(distinct_on(entry.c.account_no))
        .where(entry.c.book_id == book, entry.c.position < size)
        .order_by(entry.c.account_no, entry.c.position.desc(), entry.c.line.desc())
        .subquery()
    )
    query = (
        select(
            account.c.party,
            account.c.code,
            account.c.counterparty,
            account.c.ref,
            account.c.currency,
            last.c.balance_after_minor.label("balance_minor"),
        )
        .join(last, last.c.account_no == account.c.account_no)
        .where(account.c.book_id == book)
    )
    return (await conn.execute(query)).all()


async def add_time_stamp(
    conn: AsyncConnection,
    *,
    book: str,
    size: int,
    authority: str,
    stamped_at: datetime,
    response: bytes,
    certificate: bytes,
    received_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.time_stamp)
        .values(
            book_id=book,
            size=size,
            authority=authority,
            stamped_at=stamped_at,
            response=response,
            certificate=certificate,
            received_at=received_at,
        )
        .on_conflict_do_nothing()
    )


async def time_stamps(conn: AsyncConnection, *, book: str, size: int) -> Sequence[Found]:
    """The stamps under a head, the first put in first."""
    table = tables.time_stamp
    query = (
        select(table)
        .where(table.c.book_id == book, table.c.size == size)
        .order_by(table.c.received_at, table.c.authority)
    )
    return (await conn.execute(query)).all()
