"""Posting over HTTP beside our own SQL function called directly, in turns of the same run."""

import asyncio
import itertools
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger import leaves
from ledger.entries import Account, Entry
from ledger.leaves import Actor, Leaf
from tests.bench.stage import DAY, Keeper, Stage
from tests.bench.wire import Line, rate, request

CONNECTIONS = 64
"""At most so many backends for the direct calls: PostgreSQL has 100 for all, the server takes 20."""

Call = Callable[[], Awaitable[Any]]


def transaction() -> dict[str, Any]:
    return {
        "value_date": DAY.isoformat(),
        "reference": "n-1",
        "entries": [
            {"code": "cash", "ref": "", "currency": "CNY", "amount_minor": 5},
            {"code": "suspense", "ref": "n1", "currency": "CNY", "amount_minor": -5},
        ],
    }


def leaf(keeper: Keeper, name: str) -> bytes:
    """The same transaction as the service writes it."""
    return leaves.encode(
        Leaf(
            book=keeper.book,
            kind="transaction",
            leaf_id=f"{keeper.bank}:{name}:0",
            subject={"type": "OwnPosting", "reference": "n-1"},
            entries=(
                Entry(Account(keeper.bank, "cash", "", "", "CNY"), 5),
                Entry(Account(keeper.bank, "suspense", "", "n1", "CNY"), -5),
            ),
            value_date=DAY,
            booking_date=DAY,
            recorded_at=datetime.now(UTC),
            actor=Actor(institution=keeper.bank, user=f"{keeper.bank}-operations"),
            corrects=None,
        )
    )


def spread(keepers: Sequence[Keeper], clients: int) -> Iterator[Keeper]:
    return itertools.islice(itertools.cycle(keepers), clients)


@asynccontextmanager
async def over_http(stage: Stage, keepers: Sequence[Keeper], clients: int):
    """So many clients, each on a connection of its own, each posting one transaction a request."""
    lines = [await Line.to(stage.url) for _ in range(clients)]

    def poster(line: Line, keeper: Keeper) -> Call:
        path = f"/v1/books/{keeper.book}/transactions"

        async def post() -> None:
            words = request(
                path, token=keeper.token, key=f"b-{secrets.token_hex(8)}", body=transaction()
            )
            status, body = await line.send(words)
            assert status == 201, body

        return post

    try:
        yield [
            poster(line, keeper)
            for line, keeper in zip(lines, spread(keepers, clients), strict=True)
        ]
    finally:
        for line in lines:
            line.close()


@asynccontextmanager
async def directly(stage: Stage, keepers: Sequence[Keeper], clients: int):
    """So many callers of `ledger.append`, nothing around it: one statement, one commit."""
    pool = [
        await asyncpg.connect(stage.dsn, server_settings={"role": "liandai_app"})
        for _ in range(min(clients, CONNECTIONS))
    ]

    def caller(locks: asyncio.Lock, conn: asyncpg.Connection, keeper: Keeper) -> Call:
        async def call() -> None:
            raw = leaf(keeper, secrets.token_hex(8))
            async with locks:
                await conn.fetchval("SELECT ledger.append($1, $2)", keeper.book, [raw])

        return call

    # A connection speaks for one bank for good, so that nothing but the call is paid.
    by_bank: dict[str, list[tuple[asyncio.Lock, asyncpg.Connection]]] = {}
    banks = sorted({keeper.bank for keeper in keepers})
    for conn, bank in zip(pool, itertools.cycle(banks)):
        await conn.execute("SELECT set_config('app.institution', $1, false)", bank)
        by_bank.setdefault(bank, []).append((asyncio.Lock(), conn))
    turns = {bank: itertools.cycle(pairs) for bank, pairs in by_bank.items()}
    try:
        yield [
            caller(*next(turns[keeper.bank]), keeper) for keeper in spread(keepers, clients)
        ]
    finally:
        for conn in pool:
            await conn.close()


@asynccontextmanager
async def in_bulk(stage: Stage, keepers: Sequence[Keeper], clients: int, *, size: int):
    lines = [await Line.to(stage.url) for _ in range(clients)]

    def poster(line: Line, keeper: Keeper) -> Call:
        path = f"/v1/books/{keeper.book}/transactions/batch"
        body = [transaction()] * size

        async def post() -> None:
            words = request(path, token=keeper.token, key=f"b-{secrets.token_hex(8)}", body=body)
            status, answer = await line.send(words)
            assert status == 201, answer

        return post

    try:
        yield [
            poster(line, keeper)
            for line, keeper in zip(lines, spread(keepers, clients), strict=True)
        ]
    finally:
        for line in lines:
            line.close()


async def compared(
    stage: Stage, keepers: Sequence[Keeper], clients: int, *, seconds: float, turns: int
) -> dict[str, Any]:
    """Both rates, measured in turns: what else the machine does falls on both."""
    http, direct, latencies = [], [], []
    async with over_http(stage, keepers, clients) as posts, directly(stage, keepers, clients) as calls:
        await rate(posts, seconds=0.3)
        await rate(calls, seconds=0.3)
        for _ in range(turns):
            figure, took = await rate(posts, seconds=seconds)
            http.append(figure)
            latencies += took
            direct.append((await rate(calls, seconds=seconds))[0])
    latencies.sort()
    return {
        "http": sum(http) / turns,
        "direct": sum(direct) / turns,
        "ratios": [a / b for a, b in zip(http, direct, strict=True)],
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[len(latencies) * 99 // 100],
    }
