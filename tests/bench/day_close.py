"""The day close of a house book: accruals with proof leaves, beside the same rows written bare."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from api.database import SERVICE
from ledger import accrual_service
from ledger import service as ledger
from tests.bench.bare import DAY, Bare
from tests.bench.figures import FULL, SHORT, Spent, ratio, spending, table

SIZES = (100_000,) if SHORT else (100_000, 1_000_000, 5_000_000) if FULL else (100_000, 1_000_000)
TURNS = 1 if SHORT else 2

POSITIONS = """
INSERT INTO ledger.account
  SELECT $1::text, n, 'bank',
         CASE WHEN n <= $2::bigint THEN 'loan.principal' ELSE 'loan.interest' END, '',
         'l' || CASE WHEN n <= $2 THEN n ELSE n - $2 END, 'CNY',
         CASE WHEN n <= $2 THEN 100000000 + n ELSE 0 END
  FROM generate_series(1, 2 * $2::bigint) n
  UNION ALL SELECT $1, 0, 'bank', 'income', '', '', 'CNY', 0
"""
ACCRUALS = """
INSERT INTO ledger.accrual
    (book_id, accrual_no, accrual, base_no, debit_no, credit_no, rate_ppm, year_days, through)
  SELECT $1::text, n - 1, 'l' || n, n, n + $2::bigint, CASE WHEN $4 THEN 0 ELSE n END,
         34500 + n % 997, 360, $3::date
  FROM generate_series(1, $2::bigint) n
"""

BARE = (
    # the entries and states of the last turn, written again as they are
    "INSERT INTO ledger.entry SELECT book_id, position + 1000000, line, account_no, party, "
    "amount_minor, balance_after_minor, value_date, booking_date FROM staged_entry",
    "UPDATE ledger.account a SET balance_minor = s.balance_after_minor FROM staged_entry s "
    "WHERE a.book_id = $1 AND a.account_no = s.account_no",
    "UPDATE ledger.accrual x SET units = s.units, posted_minor = s.posted_minor, "
    "before_minor = s.before_minor, through = s.through FROM staged_accrual s "
    "WHERE x.book_id = $1 AND x.accrual_no = s.accrual_no",
)


async def measured(bare: Bare) -> None:
    """The section on the day close."""
    rows = []
    for size in SIZES:
        for is_shared in (False,) if size > 1_000_000 else (False, True):
            ours, theirs, cpu, entries, volume = await _compared(bare, size, is_shared=is_shared)
            rows.append(
                (
                    f"{size:,} positions, {'one' if is_shared else 'own'} counter account",
                    f"{ours:.2f} s",
                    f"{theirs:.2f} s",
                    ratio(ours, theirs),
                    f"1.25 {'met' if ours <= 1.25 * theirs else 'NOT met'}",
                    ratio(*cpu),
                    f"{1e6 * ours / size:.2f}",
                    f"{entries:,}",
                    f"{volume / 1e6:,.0f} MB",
                )
            )
    table(
        "Day close: accruals with proof leaves, beside inserting and updating the same rows bare",
        (
            "what",
            "ours",
            "bare",
            "ratio",
            "goal",
            "of CPU",
            "us a position",
            "entries",
            "leaf bytes",
        ),
        rows,
    )


async def _compared(
    bare: Bare, size: int, *, is_shared: bool
) -> tuple[float, float, tuple[float, float], int, int]:
    """Seconds ours and bare, the best of the turns each; CPU seconds of PostgreSQL, ours and bare,
    comparable on a busy machine too; entries and leaf bytes of one turn."""
    cpu = (Spent(), Spent())
    book = f"own-bank-{size}-{is_shared}".lower()
    ours, theirs = [], []
    async with bare.owner() as conn, bare.pool() as database:
        await conn.execute("INSERT INTO ledger.book VALUES ($1, 'house', $2)", book, DAY)
        await conn.execute(POSITIONS, book, size)
        await conn.execute(ACCRUALS, book, size, DAY, is_shared)
        await conn.execute(
            "UPDATE ledger.book SET accounts = 2 * $2 + 1 WHERE book_id = $1", book, size
        )
        for turn in range(TURNS):
            day = DAY + timedelta(days=turn + 1)
            await conn.execute("UPDATE ledger.book SET open_day = $2 WHERE book_id = $1", book, day)
            await _settled(conn)
            begun = time.perf_counter()
            with spending(cpu[0]):
                async with database.transaction(SERVICE) as work:
                    held = await ledger.hold(work, book=book)
                    await accrual_service.accrue(
                        work, held=held, command=f"accrual:{day}", now=datetime.now(UTC)
                    )
            ours.append(time.perf_counter() - begun)
            theirs.append(await _bare(conn, book, held.size, cpu[1]))
        entries: Any = await conn.fetchval("SELECT count(*) FROM staged_entry")
        volume: Any = await conn.fetchval(
            "SELECT sum(length(bytes)) FROM ledger.leaf WHERE book_id = $1 AND position >= $2",
            book,
            held.size,
        )
        for name in ("staged_entry", "staged_accrual"):
            await conn.execute(f"DROP TABLE {name}")
    spent = (cpu[0].postgres, cpu[1].postgres)
    return min(ours), min(theirs), spent, entries, int(volume)


async def _bare(conn: Any, book: str, size: int, spent: Spent) -> float:
    for name in ("staged_entry", "staged_accrual"):
        await conn.execute(f"DROP TABLE IF EXISTS {name}")
    await conn.execute(
        "CREATE TEMP TABLE staged_entry AS SELECT * FROM ledger.entry "
        f"WHERE book_id = '{book}' AND position >= {size} AND position < 1000000"
    )
    await conn.execute(
        f"CREATE TEMP TABLE staged_accrual AS SELECT * FROM ledger.accrual WHERE book_id = '{book}'"
    )
    await conn.execute("ANALYZE staged_entry")
    await conn.execute("ANALYZE staged_accrual")
    await _settled(conn)
    begun = time.perf_counter()
    with spending(spent):
        async with conn.transaction():
            await conn.execute("SET LOCAL work_mem = '64MB'")  # as ours has
            await conn.execute(BARE[0])
            await conn.execute(BARE[1], book)
            await conn.execute(BARE[2], book)
    taken = time.perf_counter() - begun
    await conn.execute("DELETE FROM ledger.entry WHERE position >= 1000000")
    return taken


async def _settled(conn: Any) -> None:
    """Ours and bare find the tables alike: nothing of the other is left to be swept or written."""
    await conn.execute("VACUUM ANALYZE ledger.account, ledger.accrual, ledger.entry")
    await conn.execute("CHECKPOINT")
