"""The real PostgreSQL every database test runs on, with the real migrations, and a real service.

One server a session: the one LIANDAI_DATABASE_URL names (its login needs CREATEDB and CREATEROLE),
or the embedded one in a temporary home. One database a test that asks for it, copied from a
template that the migrations made.
"""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from api import embedded
from api.database import Database, migrate
from api.settings import asyncpg_dsn, sqlalchemy_dsn
from tests.house import House, build_house

TEMPLATE = f"liandai_test_template_{os.getpid()}"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """SQLAlchemy URL of a server on which this session may make databases."""
    given = os.environ.get("LIANDAI_DATABASE_URL")
    if given:
        yield sqlalchemy_dsn(given)
        return
    home = Path(tempfile.mkdtemp(prefix="liandai-test-"))
    try:
        with embedded.start(home, say=lambda _line: None) as server:
            yield server.dsn("postgres")
    finally:
        embedded.discard(home)
        shutil.rmtree(home, ignore_errors=True)


async def _run(url: str, *statements: str) -> None:
    conn = await asyncpg.connect(asyncpg_dsn(url))
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated, empty database to copy."""

    async def make() -> None:
        await _run(server_url, f'CREATE DATABASE "{TEMPLATE}"')
        await migrate(_named(server_url, TEMPLATE))

    asyncio.run(make())
    yield TEMPLATE
    asyncio.run(_run(server_url, f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)'))


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """The URL of an empty database, not migrated, which is gone afterwards."""
    name = f"liandai_bare_{uuid.uuid4().hex[:12]}"
    asyncio.run(_run(server_url, f'CREATE DATABASE "{name}"'))
    try:
        yield _named(server_url, name)
    finally:
        asyncio.run(_run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@pytest.fixture(scope="module")
def bare_url(server_url: str) -> Iterator[str]:
    """An empty database, not migrated, one a module."""
    with empty_database(server_url) as url:
        yield url


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A fresh database with the newest schema; gone after the test."""
    name = f"liandai_test_{uuid.uuid4().hex[:12]}"
    await _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield _named(server_url, name)
    await _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    database = Database(database_url, pool_size=10, statement_timeout_ms=30_000)
    yield database
    await database.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A founded installation with the institutions of the stories on board, served over HTTP.

    It lives in a task of its own: a fixture's two halves run in different tasks, and the service's
    cancel scopes must be left where they were entered.
    """
    built: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def live() -> None:
        try:
            async with build_house(database_url) as house:
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
