"""The server process: `python -m api.serving` answers HTTP until it is told to stop.

With `--standby` it is begun early and imports while the database starts (`api.standby`); then it is
handed LIANDAI_DATABASE_URL, LIANDAI_HOME and LIANDAI_PORT, beside the rest of `api.settings` that
its environment holds. Migrating and founding are done before that (`api.running`).
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys

import structlog
from granian import Granian
from granian.constants import Interfaces
from litestar import Litestar

from api import standby, store
from api.app import create_app
from api.database import NOBODY, Database
from api.installation import Installation
from api.keys import log_signer
from api.settings import Settings, read_settings

PR_SET_PDEATHSIG = 1


def die_with_parent(sign: signal.Signals) -> None:
    """After the call the kernel sends us `sign` when our parent dies, however it dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sign, 0, 0, 0)


def configure_logs(settings: Settings) -> None:
    """Structured lines on stderr: for a reader, or one JSON object a line."""
    level = getattr(logging, settings.log_level.upper())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def make_app() -> Litestar:
    """The app of one worker process, from its environment."""
    die_with_parent(signal.SIGTERM)
    settings = read_settings()
    configure_logs(settings)
    url = settings.database_url
    assert url is not None, "the runner hands over the database"
    database = Database(
        url, pool_size=settings.pool_size, statement_timeout_ms=settings.statement_timeout_ms
    )
    return create_app(
        Installation(
            name=asyncio.run(_name(url)),
            database=database,
            signer=log_signer(settings.home),
            body_limit_bytes=settings.body_limit_bytes,
            bulk_body_limit_bytes=settings.bulk_body_limit_bytes,
        )
    )


async def _name(url: str) -> str:
    database = Database(url, pool_size=1, statement_timeout_ms=30_000)
    try:
        async with database.transaction(NOBODY, read_only=True) as conn:
            row = await store.installation(conn)
    finally:
        await database.close()
    assert row is not None, "an installation is founded before it is served"
    return str(row.name)


def main() -> None:
    """Answer requests until SIGTERM or SIGINT; requests under way are finished first."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() == 1:
        return  # the runner died before we could ask to die with it
    if standby.WAITS in sys.argv:
        handed = standby.take_over()
        if handed is None:
            return
        os.environ.update(handed)
    settings = read_settings()
    Granian(
        "api.serving:make_app",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        websockets=False,
        log_level="warning",  # type: ignore[arg-type]
        workers_kill_timeout=10,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
