"""Memory of the service over time, while 128 clients post and ask at a gentle pace.

LIANDAI_BENCH_MINUTES says for how long: 60 shows what the goal asks for, one minute what it prints.
"""

import asyncio
import os
import secrets
import time

from tests.bench.figures import SHORT, memory_mb, table
from tests.bench.posting import spread, transaction
from tests.bench.stage import Keeper, Stage
from tests.bench.wire import Line, request

MINUTES = float(os.environ.get("LIANDAI_BENCH_MINUTES", "0.2" if SHORT else "1"))
CLIENTS = 128
PAUSE_SECONDS = 2.0
LOOKS = 6


async def measured(stage: Stage) -> None:
    """The section on memory over time."""
    until = time.monotonic() + 60 * MINUTES
    lines = [await Line.to(stage.url) for _ in range(CLIENTS)]
    posting = [
        asyncio.create_task(_posting(line, keeper, until=until, first=number / CLIENTS))
        for number, (line, keeper) in enumerate(
            zip(lines, spread(stage.keepers, CLIENTS), strict=True)
        )
    ]
    rows = [("0 min", *_figures())]
    for look in range(1, LOOKS + 1):
        await asyncio.sleep(60 * MINUTES / LOOKS)
        rows.append((f"{MINUTES * look / LOOKS:.1f} min", *_figures()))
    ended = await asyncio.gather(*posting, return_exceptions=True)
    posted = sum(one for one in ended if isinstance(one, int))
    for line in lines:
        line.close()
    table(
        f"Memory while {CLIENTS} clients post, {posted:,} postings in {MINUTES:g} minutes",
        ("after", "server MB", "PostgreSQL MB, pages it shares counted once"),
        rows,
    )
    for one in ended:
        if isinstance(one, BaseException):
            raise one


def _figures() -> tuple[str, str]:
    server, postgres = memory_mb()
    return f"{server:.0f}", f"{postgres:.0f}"


async def _posting(line: Line, keeper: Keeper, *, until: float, first: float) -> int:
    """Until then a posting every two seconds; how many."""
    await asyncio.sleep(PAUSE_SECONDS * first)
    posted = 0
    path = f"/v1/books/{keeper.book}/transactions"
    while time.monotonic() < until:
        words = request(
            path, token=keeper.token, key=f"b-{secrets.token_hex(8)}", body=transaction()
        )
        status, body = await line.send(words)
        assert status == 201, body
        posted += 1
        await asyncio.sleep(PAUSE_SECONDS)
    return posted
