"""One house for a whole file of generated tests, which ask much and change little."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from api.settings import asyncpg_dsn
from tests.house import House, build_house


@pytest.fixture(scope="module")
async def shared_house(server_url: str, template: str) -> AsyncIterator[House]:
    """As `house`, once for the file."""
    name = f"liandai_test_{uuid.uuid4().hex[:12]}"
    await _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    built: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def live() -> None:
        try:
            async with build_house(url) as house:
                built.set_result(house)
                await over.wait()
        except Exception as error:
            if built.done():
                raise
            built.set_exception(error)

    living = asyncio.create_task(live())
    try:
        yield await built
    finally:
        over.set()
        await living
        await _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _run(url: str, statement: str) -> None:
    conn = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await conn.execute(statement)
    finally:
        await conn.close()
