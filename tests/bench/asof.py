"""Balances as of a day and as known at a size: in the database, beside the sum over the entries.

A hundredth of the entries are valued one to five days before they are booked; half of all entries
are of ten hot accounts. LIANDAI_BENCH_FULL=1 adds ten million entries.
"""

import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, cast

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import SERVICE
from ledger import store_asof, store_queries
from ledger.wanted import read_wanted
from tests.bench.bare import Bare
from tests.bench.figures import FULL, SHORT, ratio, table

SIZES = (100_000,) if SHORT else (1_000_000, 10_000_000) if FULL else (100_000, 1_000_000)
ACCOUNTS = 20_000 if SHORT else 100_000
FIRST, DAYS = date(2024, 1, 1), 250
ASKED = 100 if SHORT else 400

ACCOUNTS_OF = """
INSERT INTO ledger.account (book_id, account_no, party, code, counterparty, ref, currency)
  SELECT $1::text, n, 'bank-' || n % 4, 'loan', '', 'r' || n, 'CNY'
  FROM generate_series(0, $2::bigint - 1) n
"""
ENTRIES_OF = """
INSERT INTO ledger.entry
  SELECT $1::text, p, 0, account, 'bank-' || account % 4, 7, 7 * (p + 1), day - lag, day
  FROM (SELECT p, date '2024-01-01' + (p / ($2::bigint / 250))::integer AS day,
               CASE WHEN p % 2 = 0 THEN p / 2 % 10 ELSE p * 7919 % $3::bigint END AS account,
               CASE WHEN p % 100 = 13 THEN p / 100 % 5 + 1 ELSE 0 END::integer AS lag
        FROM generate_series(0::bigint, $2 - 1) p) x
"""
DAYS_OF = """
INSERT INTO ledger.book_day
  SELECT $1::text, date '2024-01-01' + d, d * ($2::bigint / 250) FROM generate_series(0, 249) d
"""


async def measured(bare: Bare) -> None:
    """The sections on balances of the past."""
    single: list[tuple[str, ...]] = []
    whole: list[tuple[str, ...]] = []
    smallest: dict[str, float] = {}
    for size in SIZES:
        book = f"asof-{size}"
        await _laid_out(bare, book, size)
        async with bare.pool() as database, database.transaction(SERVICE) as conn:
            for which, account in (("hot", lambda r: r.randrange(10)), ("any", _any)):
                for by in ("booking_until", "value_until"):
                    name = f"{which} account by {by.partition('_')[0]} date"
                    inside, middle, high = await _asked(conn, book, size, by=by, account=account)
                    naive = await _naive(conn, book, size, by=by)
                    base = smallest.setdefault(name, inside.middle)
                    single.append(
                        (
                            f"{size:,} entries, {name}",
                            f"{inside.middle:.2f}",
                            f"{inside.high:.2f} {'met' if inside.high < 1 else 'NOT met'}",
                            ratio(inside.middle, base),
                            f"{1e3 * middle:.2f}",
                            f"{1e3 * high:.2f}",
                            f"{1e3 * naive:.1f}",
                            ratio(naive, middle),
                        )
                    )
            for by in ("booking_until", "value_until"):
                spent = []
                for _ in range(3):
                    begun = time.perf_counter()
                    rows = await store_asof.balances(
                        conn, book=book, wanted={by: FIRST + timedelta(days=DAYS // 2)}
                    )
                    spent.append(time.perf_counter() - begun)
                scaled = min(spent) * 100_000 / ACCOUNTS
                whole.append(
                    (
                        f"{size:,} entries, by {by.partition('_')[0]} date",
                        f"{ACCOUNTS:,}",
                        f"{len(rows):,}",
                        f"{min(spent):.2f}",
                        f"0.5 s for 100,000 {'met' if scaled < 0.5 else 'NOT met'}",
                    )
                )
    table(
        "One balance as of a day and known size, beside the sum over the entries (hot account)",
        (
            "what",
            "p50 ms in SQL",
            "p99 ms in SQL (goal 1)",
            "to the smallest (goal 1.3)",
            "p50 ms asked",
            "p99 ms",
            "sum ms",
            "sum / ours",
        ),
        single,
    )
    table(
        "All accounts of a book as of a day",
        ("what", "accounts", "with entries", "s, best of 3", "goal"),
        whole,
    )


def _any(random: Random) -> int:
    return random.randrange(ACCOUNTS)


async def _laid_out(bare: Bare, book: str, size: int) -> None:
    async with bare.owner() as conn:
        await conn.execute("INSERT INTO ledger.book VALUES ($1, 'facility', $2)", book, FIRST)
        await conn.execute(ACCOUNTS_OF, book, ACCOUNTS)
        await conn.execute(ENTRIES_OF, book, size, ACCOUNTS)
        await conn.execute(DAYS_OF, book, size)
        await conn.execute("VACUUM ANALYZE ledger.entry, ledger.account, ledger.book_day")


def _question(random: Random, size: int, *, by: str, account: int) -> dict[str, Any]:
    return {
        "party": f"bank-{account % 4}",
        "code": "loan",
        "counterparty": "",
        "ref": f"r{account}",
        "currency": "CNY",
        "known_size": random.randrange(size // 2, size),
        by: FIRST + timedelta(days=random.randrange(DAYS)),
    }


class Inside(msgspec.Struct):
    """A connection that also has the database say how long each statement took by itself."""

    conn: AsyncConnection
    spent: list[float] = msgspec.field(default_factory=list)

    async def execute(self, statement: TextClause, values: dict[str, Any]) -> Any:
        explained = text(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.text}")
        (plan,) = (await self.conn.execute(explained, values)).scalar_one()
        self.spent[-1] += plan["Execution Time"]
        return await self.conn.execute(statement, values)

    @property
    def middle(self) -> float:
        return _at(self.spent, 0.5)

    @property
    def high(self) -> float:
        return _at(self.spent, 0.99)


def _at(spent: Sequence[float], share: float) -> float:
    return sorted(spent)[int(share * (len(spent) - 1))]


async def _asked(
    conn: AsyncConnection,
    book: str,
    size: int,
    *,
    by: str,
    account: Callable[[Random], int],
) -> tuple[Inside, float, float]:
    """Milliseconds in the database; p50 and p99 seconds of the whole question."""
    random, spent, inside = Random(by), [], Inside(conn)
    for _ in range(ASKED):
        wanted = _question(random, size, by=by, account=account(random))
        begun = time.perf_counter()
        await store_asof.balances(conn, book=book, wanted=wanted)
        spent.append(time.perf_counter() - begun)
        inside.spent.append(0)
        await store_asof.balances(cast(AsyncConnection, inside), book=book, wanted=wanted)
    return inside, _at(spent, 0.5), _at(spent, 0.99)


async def _naive(conn: AsyncConnection, book: str, size: int, *, by: str) -> float:
    """Seconds of the same question about a hot account, answered by the sum."""
    random, spent = Random(by), []
    for _ in range(3):
        wanted = _question(random, size, by=by, account=random.randrange(10))
        begun = time.perf_counter()
        known = wanted.pop("known_size")
        filters = read_wanted(wanted)
        await store_queries.balances(conn, book=book, size=known, wanted=filters)
        spent.append(time.perf_counter() - begun)
    return sorted(spent)[1]
