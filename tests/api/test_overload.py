"""More is asked than the database can take: who cannot be served is told, and nothing is lost."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from api import database as databases
from api.database import MOST_WAITING, NOBODY, Busy, Database
from tests.house import House


async def test_beyond_the_longest_line_one_is_sent_away_at_once(database_url: str) -> None:
    small = Database(database_url, pool_size=1, statement_timeout_ms=30_000)
    try:
        async with AsyncExitStack() as held:
            await held.enter_async_context(small.transaction(NOBODY, read_only=True))
            line = [asyncio.create_task(_served(small)) for _ in range(MOST_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await asyncio.wait_for(_served(small), timeout=1)
        assert sum(await asyncio.gather(*line)) == MOST_WAITING, "who stood in line was served"
    finally:
        await small.close()


async def test_who_waited_too_long_is_told_to_come_back_and_nothing_was_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.2)
    bank, pool = house["hzbank-operations"], house.installation.database
    async with AsyncExitStack() as held:
        for _ in range(10):
            await held.enter_async_context(pool.transaction(NOBODY, read_only=True))
        answer = await house.http.post(
            "/v1/books",
            json={"book": "own-hzbank-late"},
            headers={**bank.headers, "Idempotency-Key": "late-00001"},
        )
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    opened = await bank.post("/v1/books", {"book": "own-hzbank-late"}, key="late-00001")
    assert opened["book"] == "own-hzbank-late"


async def _served(database: Database) -> int:
    async with database.transaction(NOBODY, read_only=True):
        return 1
