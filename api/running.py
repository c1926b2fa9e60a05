"""How a whole installation is started and stopped: database, migrations, founding, server.

database   the one LIANDAI_DATABASE_URL names, or our own PostgreSQL in the home folder
schema     migrated to this program's newest revision before anything is served
founding   an empty database gets its name, logs, operator and first business day
server     a process of its own, which dies with this one
"""

import asyncio
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import msgspec

from api import embedded, standby
from api.database import Database, clear_demo, migrate
from api.founding import Founded, found
from api.keys import OPERATOR_TOKEN, make_log_key, write_private
from api.settings import Settings, asyncpg_dsn
from ledger.errors import LiandaiError
from syndicate.reference.calendar import is_workday, next_workday

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
DATABASE = "liandai"
START_SECONDS = 60.0

Say = Callable[[str], None]


class PortBusy(LiandaiError):
    """Another program listens where we should."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is taken by another program: stop it or set LIANDAI_PORT"
        )


class DatabaseUnreachable(LiandaiError):
    """The database that LIANDAI_DATABASE_URL names does not let us in; its own words say why."""

    def __init__(self, why: Exception) -> None:
        super().__init__(f"the database of LIANDAI_DATABASE_URL does not let us in: {why}")


class NothingHere(LiandaiError):
    """The home folder holds no database yet, and the command only looks at one."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"no installation in {home}: `liandai serve` makes one, or set LIANDAI_HOME or "
            "LIANDAI_DATABASE_URL to one that is there"
        )


class ServerFailed(LiandaiError):
    """The server process ended, or did not answer in time; its log says why."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A running installation. founded: what founding it gave, when it was founded just now."""

    url: str
    home: Path
    database_url: str
    founded: Founded | None
    process: "subprocess.Popen[bytes]"


@contextmanager
def database(settings: Settings, *, say: Say, new: bool = True) -> Iterator[str]:
    """The SQLAlchemy URL of a database that is up while the context lasts.

    new  an empty one is made where the home folder holds none; else NothingHere is raised
    """
    if settings.database_url is not None:
        asyncio.run(_check_reachable(settings.database_url))
        yield settings.database_url
        return
    if not new and not embedded.holds_data(settings.home):
        raise NothingHere(settings.home)
    with embedded.start(settings.home, root_runs_as=settings.pg_user, say=say) as server:
        asyncio.run(_ensure_database(server.raw_dsn("postgres")))
        yield server.dsn(DATABASE)


async def _check_reachable(url: str) -> None:
    """Nothing: the database takes our connection. Raises DatabaseUnreachable."""
    import asyncpg

    try:
        conn = await asyncpg.connect(asyncpg_dsn(url), timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(error) from error
    await conn.close()


async def _ensure_database(dsn: str) -> None:
    import asyncpg

    conn = await asyncpg.connect(dsn)
    try:
        if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await conn.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await conn.close()


def first_business_day(settings: Settings) -> date:
    """The day a new ledger opens on: as set, or today in Shanghai, or the next workday."""
    day = settings.first_business_day or datetime.now(SHANGHAI).date()
    return day if is_workday(day) else next_workday(day)


def prepare(
    url: str, settings: Settings, *, name: str, purpose: str, first_day: date, fresh: bool
) -> Founded | None:
    """The database is at the newest schema and founded; what founding gave, if it was new.

    fresh  an installation of an earlier demo is removed first; any other stays and is refused
    """
    signer = make_log_key(settings.home)

    async def work() -> Founded | None:
        if fresh:
            await clear_demo(url)
        await migrate(url)
        pool = Database(url, pool_size=1, statement_timeout_ms=settings.statement_timeout_ms)
        try:
            return await found(
                pool,
                name=name,
                purpose=purpose,
                signer=signer,
                first_day=first_day,
                now=datetime.now(UTC),
            )
        finally:
            await pool.close()

    founded = asyncio.run(work())
    if founded is not None:
        write_private(settings.home / OPERATOR_TOKEN, founded.operator_token + "\n")
    return founded


@contextmanager
def server(
    url: str,
    settings: Settings,
    *,
    founded: Founded | None,
    port: int,
    process: standby.Process | None = None,
) -> Iterator[Running]:
    """A server that answers while the context lasts, in a process that dies with this one.

    process  one begun before, which has nothing to serve yet
    """
    port = port or _free_port(settings.host)
    check_port(settings.host, port)
    process = process or standby.begin()
    standby.hand_over(
        process,
        {
            "LIANDAI_DATABASE_URL": url,
            "LIANDAI_HOME": str(settings.home.resolve()),
            "LIANDAI_PORT": str(port),
        },
    )
    address = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104
    root = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    try:
        _wait_until_ready(root, process)
        yield Running(
            url=root, home=settings.home, database_url=url, founded=founded, process=process
        )
    finally:
        _stop(process)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int) -> None:
    """Nothing: we could listen there (0 is any free port). Raises PortBusy."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortBusy(host, port) from error


def _wait_until_ready(root: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"the server ended at once (exit {process.returncode})")
        try:
            with urllib.request.urlopen(f"{root}/readyz", timeout=2) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise ServerFailed(f"the server did not answer within {START_SECONDS:.0f} seconds")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
