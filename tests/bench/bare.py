"""A migrated database without a server, for what is measured below HTTP."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date

import asyncpg
import msgspec

from api import embedded
from api.database import Database, migrate
from api.settings import asyncpg_dsn
from tests.bench.stage import throwaway_home

DAY = date(2024, 3, 1)


class Bare(msgspec.Struct, frozen=True):
    """url: for SQLAlchemy; dsn: for asyncpg; both as the login that owns all."""

    url: str
    dsn: str

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that may do anything: it lays out what is measured, past all guards."""
        conn = await asyncpg.connect(self.dsn)
        try:
            await conn.execute("SET session_replication_role = replica")
            yield conn
        finally:
            await conn.close()

    @asynccontextmanager
    async def pool(self) -> AsyncIterator[Database]:
        """The service's own pool."""
        database = Database(self.url, pool_size=2, statement_timeout_ms=600_000)
        try:
            yield database
        finally:
            await database.close()


@contextmanager
def bare() -> Iterator[Bare]:
    """A PostgreSQL of our own in a throw-away home, with the newest schema and nothing else."""
    import asyncio

    with throwaway_home() as home, embedded.start(home, say=lambda _line: None) as server:
        url = server.dsn("postgres")
        asyncio.run(migrate(url))
        yield Bare(url, asyncpg_dsn(url))
