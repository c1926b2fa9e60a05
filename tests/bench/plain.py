"""Reference workloads: two accounts and one transfer as plain SQL, in one call and in seven.

No proof, no idempotency, no business day: what PostgreSQL alone does on this machine, now.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import asyncpg

from tests.bench.bare import Bare
from tests.bench.figures import SHORT, per_second, ratio, table
from tests.bench.wire import rate

ACCOUNTS = 1_000

LAID_OUT = """
CREATE SCHEMA plain;
CREATE TABLE plain.account (
  id integer PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL);
CREATE TABLE plain.transfer (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, debit integer, credit integer, amount bigint,
  at timestamptz NOT NULL DEFAULT now());
CREATE TABLE plain.entry (
  transfer bigint, account integer, amount bigint, balance bigint, version bigint,
  PRIMARY KEY (account, version));
CREATE FUNCTION plain.transfer(p_debit integer, p_credit integer, p_amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE v_transfer bigint;
BEGIN
  PERFORM 1 FROM plain.account WHERE id IN (p_debit, p_credit) ORDER BY id FOR UPDATE;
  INSERT INTO plain.transfer (debit, credit, amount) VALUES (p_debit, p_credit, p_amount)
    RETURNING id INTO v_transfer;
  WITH moved AS (
    UPDATE plain.account a SET balance = balance + s.amount, version = version + 1
      FROM (VALUES (p_debit, p_amount), (p_credit, -p_amount)) AS s(id, amount) WHERE a.id = s.id
      RETURNING a.id, s.amount, a.balance, a.version)
  INSERT INTO plain.entry SELECT v_transfer, id, amount, balance, version FROM moved;
  RETURN v_transfer;
END $$;
"""


async def measured(bare: Bare) -> None:
    """The section on plain transfers."""
    async with bare.owner() as conn:
        await conn.execute(LAID_OUT)
        await conn.execute(
            "INSERT INTO plain.account SELECT n, 0, 0 FROM generate_series(0, $1 - 1) n", ACCOUNTS
        )
    rows = []
    for clients in (1, 8, 32):
        pool = [await asyncpg.connect(bare.dsn) for _ in range(clients)]
        once = await _rate(pool, _in_one)
        seven = await _rate(pool, _in_seven)
        for conn in pool:
            await conn.close()
        rows.append((f"{clients} clients", per_second(once), per_second(seven), ratio(once, seven)))
    table(
        "Reference: one transfer between two accounts in plain SQL",
        ("what", "one function", "seven statements", "ratio"),
        rows,
    )


async def _rate(pool: Sequence[Any], transfer: Any) -> float:
    random = Random("plain")

    def worker(conn: Any) -> Any:
        async def call() -> None:
            debit, credit = random.sample(range(ACCOUNTS), 2)
            await transfer(conn, debit, credit)

        return call

    workers = [worker(conn) for conn in pool]
    await rate(workers, seconds=0.2)
    found, _ = await rate(workers, seconds=0.8 if SHORT else 2.0)
    await asyncio.sleep(0)
    return found


async def _in_one(conn: Any, debit: int, credit: int) -> None:
    await conn.fetchval("SELECT plain.transfer($1, $2, 5)", debit, credit)


async def _in_seven(conn: Any, debit: int, credit: int) -> None:
    """Begin, lock both, insert the transfer, two updates, two entries in one, commit."""
    await conn.execute("BEGIN")
    await conn.fetch(
        "SELECT 1 FROM plain.account WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", debit, credit
    )
    transfer = await conn.fetchval(
        "INSERT INTO plain.transfer (debit, credit, amount) VALUES ($1, $2, 5) RETURNING id",
        debit,
        credit,
    )
    update = (
        "UPDATE plain.account SET balance = balance + $2, version = version + 1 WHERE id = $1 "
        "RETURNING balance, version"
    )
    first = await conn.fetchrow(update, debit, 5)
    second = await conn.fetchrow(update, credit, -5)
    await conn.execute(
        "INSERT INTO plain.entry VALUES ($1, $2, 5, $3, $4), ($1, $5, -5, $6, $7)",
        transfer,
        debit,
        *first,
        credit,
        *second,
    )
    await conn.execute("COMMIT")
