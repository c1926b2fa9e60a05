"""How the program reaches PostgreSQL: roles, transactions, migrations. No statement of business.

Every transaction speaks for somebody, and the database enforces it (row-level security, forced):

    liandai_app       a member institution: sees what its participation and consents give it
    liandai_auditor   reads everything the ledger holds, writes nothing
    liandai_service   the clock and the sequencer: every book, but no UPDATE or DELETE of records

A connection starts as `liandai_app` for nobody, so a transaction that forgot to say for whom it
speaks sees nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.errors import LiandaiError
from ledger.store import Driver

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMAS = ("api", "negotiation", "syndicate", "ledger")
MIGRATION_LOCK = 7_310_578
DEMO_LOCK = 7_310_582


class Standing(msgspec.Struct, frozen=True):
    """For whom a transaction speaks."""

    role: Literal["liandai_app", "liandai_auditor", "liandai_service"]
    institution: str


SERVICE = Standing("liandai_service", "")
NOBODY = Standing("liandai_app", "")


MOST_WAITING = 2_000
"""How many transactions may wait for a connection; more would only wait to be given up."""

WAIT_SECONDS = 10.0
"""How long one waits. A client is better told to come back than kept longer."""


class Busy(LiandaiError):
    """More is asked at once than can be taken: nothing was done, ask again in a moment."""

    def __init__(self) -> None:
        super().__init__("too much is asked at once; nothing was done, ask again in a moment")


class Database:
    """One pool of connections to one installation's database.

    Whoever needs one while all are in use waits in line, and is sent away (Busy) when the line is
    MOST_WAITING long or it has waited WAIT_SECONDS.
    """

    def __init__(self, url: str, *, pool_size: int, statement_timeout_ms: int) -> None:
        self._free = asyncio.Semaphore(pool_size)
        self._waiting = 0
        self._engine: AsyncEngine = create_async_engine(
            url,
            hide_parameters=True,  # an error in the log must not hold what a bank sent
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=False,
            connect_args={
                "timeout": 10,
                "server_settings": {
                    "role": NOBODY.role,
                    "timezone": "UTC",
                    "application_name": "liandai",
                    "statement_timeout": str(statement_timeout_ms),
                    "idle_in_transaction_session_timeout": str(10 * statement_timeout_ms),
                },
            },
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self._waiting -= 1
        try:
            async with self._engine.connect() as conn:
                yield conn
        finally:
            self._free.release()

    @asynccontextmanager
    async def transaction(
        self, standing: Standing, *, read_only: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """One transaction that speaks for `standing`: committed at the end, rolled back on error.

        A cancelled task leaves the connection in an unknown state, so it is thrown away.
        """
        async with self._connection() as conn:
            try:
                async with conn.begin():
                    await conn.execute(
                        text(
                            "SELECT set_config('role', :role, true), "
                            "set_config('app.institution', :institution, true), "
                            "set_config('transaction_read_only', :read_only, true)"
                        ),
                        {
                            "role": standing.role,
                            "institution": standing.institution,
                            "read_only": "on" if read_only else "off",
                        },
                    )
                    yield conn
            except asyncio.CancelledError:
                await conn.invalidate()
                raise

    @asynccontextmanager
    async def driver_transaction(self, standing: Standing) -> AsyncIterator[Driver]:
        """As `transaction`, on the driver itself: for the one path where all that is around a
        statement costs more than the statement."""
        async with self._connection() as conn:
            driver = await driver_of(conn)
            try:
                await driver.execute(
                    f"BEGIN; SELECT set_config('role', {_quoted(standing.role)}, true), "
                    f"set_config('app.institution', {_quoted(standing.institution)}, true)"
                )
                yield driver
                done = await driver.execute("COMMIT")
                assert done == "COMMIT", "a failed transaction ends by its error, never here"
            except BaseException as error:
                if driver.is_closed() or isinstance(error, asyncio.CancelledError):
                    await conn.invalidate()  # nobody else must be given it
                else:
                    await driver.execute("ROLLBACK")
                raise

    async def close(self) -> None:
        """After the call no connection is open."""
        await self._engine.dispose()


def _quoted(value: str) -> str:
    """The value as a literal of SQL: where statements share a round trip none has parameters."""
    return "'" + value.replace("'", "''") + "'"


async def driver_of(conn: AsyncConnection) -> Driver:
    """The driver's own connection under one of SQLAlchemy's, in the transaction it is in."""
    driver: Driver = (await conn.get_raw_connection()).driver_connection
    return driver


class SchemaMismatch(LiandaiError):
    """The database holds something this program does not know how to work with."""


# Alembic takes longer to import than to find nothing to do: only a migration imports it.


def _alembic() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def newest_revision() -> str:
    """The schema revision that this program needs: the migrations form one line, by name too."""
    return max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    config = _alembic()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaMismatch(
            "the database's schema is newer than this program: "
            f"it is at {_revision(connection)}, this program knows up to {newest_revision()}"
        ) from error


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('public.schema_version')")) is None:
        return None
    return connection.scalar(text("SELECT version_num FROM public.schema_version"))


@asynccontextmanager
async def _owner(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction as the login of the DSN itself, outside the pool and its roles."""
    engine = create_async_engine(url, connect_args={"timeout": 10})
    try:
        async with engine.begin() as conn:
            yield conn
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == "42501":
            raise SchemaMismatch(
                "the database's login may not set up the schema: it must own the database and have "
                f"CREATEROLE ({error.orig})"
            ) from error
        raise
    finally:
        await engine.dispose()


async def migrate(url: str) -> tuple[str | None, str]:
    """(revision before, revision after): the database is at this program's newest schema.

    Raises SchemaMismatch where the database is newer, or holds foreign tables under our names.
    """
    async with _owner(url) as conn:
        await conn.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        before = await conn.run_sync(_revision)
        if before is None and await _taken(conn):
            raise SchemaMismatch(
                "the database has schemas named ledger, syndicate, negotiation or api that are "
                "not Liandai's: give it a database of its own"
            )
        if before != newest_revision():
            await conn.run_sync(_upgrade)
        after = await conn.run_sync(_revision)
    assert after is not None, "an upgrade ends at a revision"
    return before, after


async def _taken(conn: AsyncConnection) -> bool:
    found: Any = await conn.scalar(
        text("SELECT count(*) FROM pg_namespace WHERE nspname = ANY(:names)"),
        {"names": list(SCHEMAS)},
    )
    return bool(found)


async def purpose(url: str) -> str | None:
    """What the installation in this database is for (`demo` or `production`), or None if none."""
    async with _owner(url) as conn:
        if await conn.run_sync(_revision) is None:
            return None
        return await conn.scalar(text("SELECT purpose FROM api.installation"))


async def clear_demo(url: str) -> None:
    """The database holds no installation any more; only one marked `demo` is ever removed."""
    found = await purpose(url)
    if found is not None and found != "demo":
        raise SchemaMismatch(
            f"the database holds a {found} installation; the demo uses an empty database or "
            "one that an earlier demo made"
        )
    async with _owner(url) as conn:
        if await conn.run_sync(_revision) is None:
            return  # nothing of ours is here, so nothing here is ours to remove
        for schema in SCHEMAS:
            await conn.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
        await conn.execute(text("DROP TABLE IF EXISTS public.schema_version"))


@asynccontextmanager
async def claimed(url: str) -> AsyncIterator[bool]:
    """Whether this program alone holds the database while the context lasts."""
    async with _owner(url) as conn:
        found = await conn.scalar(text(f"SELECT pg_try_advisory_lock({DEMO_LOCK})"))
        yield bool(found)
