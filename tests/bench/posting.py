"""Posting over HTTP beside our own SQL function called directly, in turns of the same run."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from ledger import leaves
from ledger.entries import Account, Entry
from ledger.leaves import Actor, Leaf
from tests.bench.figures import (
    SHORT,
    Spent,
    memory_mb,
    per_second,
    ratio,
    spending,
    table,
)
from tests.bench.stage import DAY, Keeper, Stage
from tests.bench.wire import Line, rate, request

CONNECTIONS = 64
"""At most so many backends for the direct calls: PostgreSQL has 100, the server takes 20."""

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
async def over_http(
    stage: Stage, keepers: Sequence[Keeper], clients: int
) -> AsyncIterator[list[Call]]:
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
async def directly(
    stage: Stage, keepers: Sequence[Keeper], clients: int
) -> AsyncIterator[list[Call]]:
    """So many callers of `ledger.append`, nothing around it: one statement, one commit."""
    pool = [
        await asyncpg.connect(stage.dsn, server_settings={"role": "liandai_app"})
        for _ in range(min(clients, CONNECTIONS))
    ]

    def caller(lock: asyncio.Lock, conn: asyncpg.Connection, keeper: Keeper) -> Call:
        async def call() -> None:
            raw = leaf(keeper, secrets.token_hex(8))
            async with lock:
                await conn.fetchval("SELECT ledger.append($1, $2)", keeper.book, [raw])

        return call

    # A connection speaks for one bank for good, so that nothing but the call is paid.
    by_bank: dict[str, list[tuple[asyncio.Lock, asyncpg.Connection]]] = {}
    banks = sorted({keeper.bank for keeper in keepers})
    for conn, bank in zip(pool, itertools.cycle(banks), strict=False):
        await conn.execute("SELECT set_config('app.institution', $1, false)", bank)
        by_bank.setdefault(bank, []).append((asyncio.Lock(), conn))
    turns = {bank: itertools.cycle(pairs) for bank, pairs in by_bank.items()}
    try:
        yield [caller(*next(turns[keeper.bank]), keeper) for keeper in spread(keepers, clients)]
    finally:
        for conn in pool:
            await conn.close()


@asynccontextmanager
async def in_bulk(
    stage: Stage, keepers: Sequence[Keeper], clients: int, *, size: int
) -> AsyncIterator[list[Call]]:
    """So many clients, each posting so many transactions a request."""
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


class Rates(msgspec.Struct, kw_only=True):
    """Calls a second turn by turn, and what they cost."""

    turns: list[float] = msgspec.field(default_factory=list)
    latencies: list[float] = msgspec.field(default_factory=list)
    spent: Spent = msgspec.field(default_factory=Spent)

    @property
    def mean(self) -> float:
        return sum(self.turns) / len(self.turns)

    def cost_ms(self, seconds: float) -> str:
        return f"{1e3 * seconds / len(self.latencies):.2f}"

    def at(self, share: float) -> str:
        ordered = sorted(self.latencies)
        return f"{1e3 * ordered[int(share * (len(ordered) - 1))]:.0f}"

    async def turn(self, calls: Sequence[Call], *, seconds: float) -> None:
        with spending(self.spent):
            figure, latencies = await rate(calls, seconds=seconds)
        self.turns.append(figure)
        self.latencies += latencies


async def compared(
    stage: Stage, keepers: Sequence[Keeper], clients: int, *, seconds: float, turns: int
) -> tuple[Rates, Rates]:
    """(over HTTP, directly), measured in turns: what else the machine does falls on both."""
    http, direct = Rates(), Rates()
    async with (
        over_http(stage, keepers, clients) as posts,
        directly(stage, keepers, clients) as calls,
    ):
        await rate(posts, seconds=0.4)
        await rate(calls, seconds=0.4)
        for _ in range(turns):
            await http.turn(posts, seconds=seconds)
            await direct.turn(calls, seconds=seconds)
    return http, direct


async def measured(stage: Stage) -> None:
    """The sections on posting."""
    seconds, turns = (0.6, 2) if SHORT else (1.5, 3)
    rows = []
    memory = [("at rest", *memory_mb())]
    for name, keepers, clients in (
        ("64 books", stage.keepers, 32),
        ("64 books", stage.keepers, 128),
        ("one hot book", [stage.hot], 32),
        ("one hot book", [stage.hot], 128),
    ):
        http, direct = await compared(stage, keepers, clients, seconds=seconds, turns=turns)
        memory.append((f"after {name}, {clients} clients", *memory_mb()))
        ratios = [a / b for a, b in zip(http.turns, direct.turns, strict=True)]
        rows.append(
            (
                f"{name}, {clients} clients",
                per_second(http.mean),
                per_second(direct.mean),
                f"{http.mean / direct.mean:.2f}",
                f"{min(ratios):.2f}-{max(ratios):.2f}",
                f"{http.at(0.5)} / {http.at(0.99)}",
                f"{http.cost_ms(http.spent.server)} + {http.cost_ms(http.spent.postgres)}",
                direct.cost_ms(direct.spent.postgres),
            )
        )
    table(
        "Posting: one transaction a request over HTTP, beside ledger.append called directly",
        (
            "what",
            "HTTP",
            "direct",
            "ratio (goal 0.5)",
            "by turn",
            "p50 / p99 ms",
            "CPU ms HTTP: server + PostgreSQL",
            "direct: PostgreSQL",
        ),
        rows,
    )
    table(
        "Memory of the service, shared pages counted once",
        ("when", "server MB", "PostgreSQL MB"),
        [(when, f"{server:.0f}", f"{postgres:.0f}") for when, server, postgres in memory],
    )
    await _bulk(stage, seconds=seconds, turns=turns)


async def _bulk(stage: Stage, *, seconds: float, turns: int) -> None:
    rows = []
    for size in (100, 1_000):
        single, bulk = Rates(), Rates()
        async with (
            over_http(stage, stage.keepers, 8) as posts,
            in_bulk(stage, stage.keepers, 8, size=size) as batches,
        ):
            await rate(posts, seconds=0.3)
            for _ in range(turns):
                await single.turn(posts, seconds=seconds)
                await bulk.turn(batches, seconds=seconds)
        rows.append(
            (
                f"{size} a request, 8 clients",
                per_second(bulk.mean * size),
                per_second(single.mean),
                ratio(bulk.mean * size, single.mean),
            )
        )
    table(
        "Bulk: transactions a second",
        ("what", "in bulk", "one by one", "ratio (goal 3)"),
        rows,
    )
