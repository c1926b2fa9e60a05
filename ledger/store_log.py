"""The SQL of published logs: growing a tree, its nodes, heads with what stands under them, tiles.

Private to `ledger`, like the rest of its stores.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import BigInteger, cast, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import merkle, tables
from ledger.store import Driver, Found


async def unpublished(conn: AsyncConnection) -> Sequence[Found]:
    """Books whose log is longer than its published head, the top log left out; that head's tree."""
    book, head = tables.book, tables.head
    published = func.coalesce(head.c.size, 0)
    query = (
        select(book.c.book_id, book.c.size, published.label("published"), head.c.frontier)
        .outerjoin(head, head.c.book_id == book.c.book_id)
        .where(book.c.size > published, book.c.book_id != "top")
        .order_by(book.c.book_id)
    )
    return (await conn.execute(query)).all()


async def one_publisher(conn: AsyncConnection) -> bool:
    """True when this transaction alone may publish now; another publisher is not waited for."""
    return (await conn.execute(text("SELECT pg_try_advisory_xact_lock(7310579)"))).scalar_one()


RecordedRun: TypeAlias = tuple[str, list[int], list[bytes], bytes]
"""(book, positions, verbatim bytes of each, stored hashes one after the other) of leaves that are
there, in log order, within one block of 32; at least one."""


async def recorded_runs(
    conn: AsyncConnection, *, ranges: Sequence[tuple[str, int, int]]
) -> Sequence[RecordedRun]:
    """The leaves of several books at once: (book, from, to); each book in log order.

    On the driver itself, and 32 leaves a row: a row for each would cost more than hashing it. The
    limit leaves none out; it holds the planner to reading them in the order of their index.
    """
    driver: Driver = (await conn.get_raw_connection()).driver_connection
    books, firsts, ends = map(list, zip(*ranges, strict=True))
    return await driver.fetch(
        "SELECT w.book, l.* "
        "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w(book, first, stop) "
        "CROSS JOIN LATERAL generate_series(w.first / 32, (w.stop - 1) / 32) AS block "
        "CROSS JOIN LATERAL (SELECT array_agg(x.position ORDER BY x.position), "
        "array_agg(x.bytes ORDER BY x.position), string_agg(x.hash, '' ORDER BY x.position) "
        "FROM (SELECT y.position, y.bytes, y.hash FROM ledger.leaf y WHERE y.book_id = w.book "
        "AND y.position >= greatest(w.first, 32 * block) "
        "AND y.position < least(w.stop, 32 * block + 32) ORDER BY y.position LIMIT 32) AS x "
        "HAVING count(*) > 0) AS l",
        books,
        firsts,
        ends,
    )


class SignedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A book's head as it is published. frontier: the roots of its complete subtrees."""

    book: str
    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    note: str


class LeafRun(msgspec.Struct, frozen=True):
    """Leaf hashes one after the other, from a position on, within one block of 32."""

    book: str
    first_position: int
    hashes: bytes


async def publish(
    conn: AsyncConnection,
    *,
    heads: Sequence[SignedHead],
    runs: Sequence[LeafRun],
    subtrees: Sequence[tuple[str, int, int, bytes]],
    published_at: datetime,
) -> None:
    """The heads are the books' heads and checkpoints; four statements on the driver.

    runs      the hashes of the leaves they hold now, and did not before
    subtrees  (book, level, first index, hashes one after the other) of the new ones that are kept
    """
    driver: Driver = (await conn.get_raw_connection()).driver_connection
    await driver.fetch(
        "INSERT INTO ledger.leaf_hash SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])",
        [run.book for run in runs],
        [run.first_position for run in runs],
        [run.hashes for run in runs],
    )
    if subtrees:
        await driver.fetch(
            "INSERT INTO ledger.subtree "
            "SELECT w.book, w.level, w.first + n, substring(w.hashes FROM 1 + 32 * n FOR 32) "
            "FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bytea[]) "
            "AS w(book, level, first, hashes), generate_series(0, length(w.hashes) / 32 - 1) AS n",
            *map(list, zip(*subtrees, strict=True)),
        )
    books, sizes = [head.book for head in heads], [head.size for head in heads]
    roots = [head.root for head in heads]
    await driver.fetch(
        "INSERT INTO ledger.checkpoint (book_id, size, root, note, published_at) "
        "SELECT *, $5::timestamptz FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[])",
        books,
        sizes,
        roots,
        [head.note for head in heads],
        published_at,
    )
    await driver.fetch(
        "INSERT INTO ledger.head (book_id, size, root, frontier) "
        "SELECT w.book, w.size, w.root, ARRAY(SELECT substring(w.peaks FROM 1 + 32 * n FOR 32) "
        "FROM generate_series(0, length(w.peaks) / 32 - 1) n) "
        "FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[]) AS w(book, size, root, "
        "peaks) ON CONFLICT (book_id) DO UPDATE SET size = excluded.size, root = excluded.root, "
        "frontier = excluded.frontier",
        books,
        sizes,
        roots,
        [b"".join(head.frontier) for head in heads],
    )


_NODES = (
    "SELECT -1 AS level, c.size AS first, c.root AS hashes FROM ledger.checkpoint c "
    "WHERE c.book_id = $1 AND c.size = $2 "
    "UNION ALL SELECT w.level, n.* FROM unnest($3::smallint[], $4::bigint[]) AS w(level, first) "
    "CROSS JOIN LATERAL (SELECT s.index, s.hash FROM ledger.subtree s "
    "WHERE s.book_id = $1 AND s.level = w.level AND s.index >= w.first AND s.index < w.first + 16 "
    "ORDER BY s.index LIMIT 16) AS n WHERE w.level > 0 "
    "UNION ALL SELECT 0, n.* FROM unnest($3::smallint[], $4::bigint[]) AS w(level, first) "
    "CROSS JOIN LATERAL (SELECT h.first_position, h.hashes FROM ledger.leaf_hash h "
    "WHERE h.book_id = $1 AND h.first_position >= w.first - w.first % 32 "
    "AND h.first_position < w.first + 16 ORDER BY h.first_position LIMIT 32) AS n WHERE w.level = 0"
)
"""No limit leaves a row out. They hold the planner to one look-up in the index for each run of
nodes: without them it may read a whole tree and join."""

_HEAD = -1
"""Stands for a level where `_NODES` answers the checkpoint of the size asked."""


async def subtrees(
    conn: AsyncConnection, *, book: str, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """The hashes of complete subtrees (level, index), of whatever level; no key for others."""
    pairs = list(wanted)
    return _found(pairs, await _nodes(conn, book=book, size=None, pairs=pairs))


async def subtrees_under(
    conn: AsyncConnection, *, book: str, size: int, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], bytes] | None:
    """The same; None where no checkpoint of that size is published."""
    pairs = list(wanted)
    nodes = await _nodes(conn, book=book, size=size, pairs=pairs)
    return _found(pairs, nodes) if (_HEAD, size) in nodes else None


async def _nodes(
    conn: AsyncConnection, *, book: str, size: int | None, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """The kept nodes from which the subtrees follow, and the head's root as (_HEAD, size).

    One statement on the driver: a proof reads of each kept level one run of sixteen nodes, whatever
    the log's size.
    """
    driver: Driver = (await conn.get_raw_connection()).driver_connection
    runs = sorted({_run(level, index) for level, index in pairs})
    rows = await driver.fetch(
        _NODES, book, size, [level for level, _ in runs], [first for _, first in runs]
    )
    return {
        (level, first + number): hashes[32 * number : 32 * number + 32]
        for level, first, hashes in rows
        for number in range(len(hashes) // 32)
    }


def _found(
    pairs: Sequence[tuple[int, int]], kept: dict[tuple[int, int], bytes]
) -> dict[tuple[int, int], bytes]:
    found = {}
    for level, index in pairs:
        with suppress(KeyError):
            found[level, index] = merkle.rebuilt(level, index, lambda *node: kept[node])
    return found


def _run(level: int, index: int) -> tuple[int, int]:
    """(kept level, first index) of the sixteen nodes among which a subtree's own nodes are."""
    height = level % merkle.KEPT_EVERY
    return level - height, (index << height) >> merkle.KEPT_EVERY << merkle.KEPT_EVERY


async def subtrees_between(
    conn: AsyncConnection, *, book: str, level: int, first: int, end: int
) -> list[bytes]:
    """The hashes of the published complete subtrees [first, end) of one level, from the left."""
    wanted = [(level, index) for index in range(first, end)]
    found = await subtrees(conn, book=book, wanted=wanted)
    return [found[node] for node in wanted if node in found]


async def checkpoints(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    table = tables.checkpoint
    query = select(table).where(table.c.book_id == book).order_by(table.c.size)
    return (await conn.execute(query)).all()


async def checkpoint(conn: AsyncConnection, *, book: str, size: int | None) -> Found | None:
    """The checkpoint of that size, or the latest."""
    table = tables.checkpoint
    query = select(table).where(table.c.book_id == book).order_by(table.c.size.desc()).limit(1)
    if size is not None:
        query = query.where(table.c.size == size)
    return (await conn.execute(query)).one_or_none()


async def checkpoint_by(conn: AsyncConnection, *, book: str, until: datetime) -> Found | None:
    """The last checkpoint published by then, or the first of all where none was."""
    table = tables.checkpoint
    of_book = select(table).where(table.c.book_id == book)
    standing = of_book.where(table.c.published_at <= until).order_by(table.c.size.desc()).limit(1)
    found = (await conn.execute(standing)).one_or_none()
    if found is not None:
        return found
    return (await conn.execute(of_book.order_by(table.c.size).limit(1))).one_or_none()


async def head_leaf(conn: AsyncConnection, *, book: str, size: int) -> Found | None:
    """(position, bytes) of the top log's leaf that commits to the book's head of that size."""
    return (
        await conn.execute(
            text("SELECT * FROM ledger.head_leaf(:book, :size)"), {"book": book, "size": size}
        )
    ).one_or_none()


async def add_cosignature(
    conn: AsyncConnection, *, book: str, size: int, witness: str, line: str, received_at: datetime
) -> None:
    await conn.execute(
        insert(tables.cosignature)
        .values(book_id=book, size=size, witness=witness, line=line, received_at=received_at)
        .on_conflict_do_nothing()
    )


async def cosignatures(conn: AsyncConnection, *, book: str, size: int) -> list[str]:
    table = tables.cosignature
    query = (
        select(table.c.line)
        .where(table.c.book_id == book, table.c.size == size)
        .order_by(table.c.witness)
    )
    return list((await conn.execute(query)).scalars())


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
