"""The log: leaves hashed again, published and proven, beside one bare SHA-256 a leaf."""

import hashlib
import statistics
import time
from datetime import UTC, datetime
from random import Random

from api.database import SERVICE, Database
from ledger import merkle, publishing
from ledger.signatures import KeyInMemory
from tests.bench.bare import DAY, Bare
from tests.bench.figures import SHORT, per_second, ratio, table

LEAVES = 50_000 if SHORT else 200_000
PROVEN = 1_000_000 if SHORT else 10_000_000
SIGNER = KeyInMemory(bytes(range(32)))

LEAVES_OF = """
INSERT INTO ledger.leaf
  SELECT $1, n, 'n' || n, 'transaction', '{}', '{}', null, $2, $2, now(), raw,
         sha256('\\x00'::bytea || raw)
  FROM generate_series($3::bigint, $4::bigint - 1) n,
    LATERAL (SELECT convert_to(repeat(md5(n::text), 16), 'UTF8') AS raw) x
"""

TREE_OF = """
INSERT INTO ledger.subtree
  SELECT $1, $3::smallint, n, sha256(int8send(n)) FROM generate_series(0, ($2::bigint >> $3) - 1) n
"""


async def measured(bare: Bare) -> None:
    """The sections on publishing and proving."""
    async with bare.owner() as conn:
        await conn.execute("INSERT INTO ledger.business_day (open_day) VALUES ($1)", DAY)
        for book in ("top", "log", "small", "tree"):
            purpose = "top" if book == "top" else "facility"
            await conn.execute("INSERT INTO ledger.book VALUES ($1, $2, $3)", book, purpose, DAY)
    async with bare.pool() as database:
        await _published(bare, database)
    await _proven(bare)


async def _grown(bare: Bare, book: str, begun: int, end: int) -> None:
    async with bare.owner() as conn, conn.transaction():
        await conn.execute(LEAVES_OF, book, DAY, begun, end)
        await conn.execute("UPDATE ledger.book SET size = $2 WHERE book_id = $1", book, end)


async def _publish(database: Database) -> float:
    begun = time.perf_counter()
    heads = True
    while heads:
        async with database.transaction(SERVICE) as conn:
            heads = bool(
                await publishing.publish(
                    conn, installation="liandai.bench", signer=SIGNER, now=datetime.now(UTC)
                )
            )
    return time.perf_counter() - begun


async def _published(bare: Bare, database: Database) -> None:
    await _grown(bare, "log", 0, 100)
    await _publish(database)
    begun = time.perf_counter()
    await _grown(bare, "log", 100, 100 + LEAVES)
    recorded = time.perf_counter() - begun
    spent = await _publish(database)
    begun = time.perf_counter()
    for _ in range(LEAVES):
        hashlib.sha256(bytes(513)).digest()
    bare_hash = time.perf_counter() - begun
    small = []
    for number in range(10 if SHORT else 30):
        await _grown(bare, "small", 20 * number, 20 * number + 20)
        small.append(await _publish(database))
    table(
        f"Publishing {LEAVES:,} leaves of 512 bytes at once, beside hashing them once",
        ("what", "figure", "beside", "ratio", "goal"),
        [
            (
                "read, hashed again, tree and head persisted",
                per_second(LEAVES / spent),
                f"{per_second(LEAVES / bare_hash)} bare SHA-256",
                ratio(spent, bare_hash),
                "200,000/s " + ("met" if LEAVES / spent >= 200_000 else "NOT met"),
            ),
            (
                "the same, beside recording the bare rows",
                f"{spent:.2f} s",
                f"{recorded:.2f} s",
                ratio(spent, recorded),
                "",
            ),
            (
                "20 new leaves of one book",
                f"{1e3 * statistics.median(small):.1f} ms",
                "",
                "",
                "well under 1 s",
            ),
        ],
    )


async def _proven(bare: Bare) -> None:
    rows = []
    for size in (PROVEN // 10, PROVEN):
        async with bare.owner() as conn:
            await conn.execute("DELETE FROM ledger.subtree WHERE book_id = 'tree'")
            await conn.execute("DELETE FROM ledger.leaf_hash WHERE book_id = 'tree'")
            for level in filter(merkle.is_kept, range(size.bit_length())):
                await conn.execute(TREE_OF, "tree", size, level)
            await conn.execute(
                "INSERT INTO ledger.leaf_hash SELECT 'tree', n, decode(repeat(encode("
                "sha256(int8send(n)), 'hex'), 32), 'hex') FROM generate_series(0, $1::bigint, 32) n"
                " WHERE n + 32 <= $1",
                size,
            )
            await conn.execute(
                "INSERT INTO ledger.checkpoint VALUES ('tree', $1, $2, '', now())", size, bytes(32)
            )
            await conn.execute("VACUUM ANALYZE ledger.subtree")
            await conn.execute("VACUUM ANALYZE ledger.leaf_hash")
        random, spent = Random(size), []
        async with bare.pool() as database, database.transaction(SERVICE, read_only=True) as conn:
            for _ in range(100 if SHORT else 500):
                position = random.randrange(size)
                begun = time.perf_counter()
                await publishing.inclusion(conn, book="tree", position=position, size=size)
                spent.append(time.perf_counter() - begun)
        spent.sort()
        rows.append((size, spent[len(spent) // 2], spent[int(0.99 * len(spent))]))
    smaller = rows[0][1]
    table(
        "An inclusion proof from the database, synthetic trees",
        ("leaves", "p50 ms", "p99 ms", "to the smaller", "goal"),
        [
            (
                f"{size:,}",
                f"{1e3 * middle:.2f}",
                f"{1e3 * high:.2f}",
                ratio(middle, smaller),
                f"1 ms {'met' if middle < 1e-3 else 'NOT met'}",
            )
            for size, middle, high in rows
        ],
    )
