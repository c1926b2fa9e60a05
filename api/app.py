"""The HTTP service, assembled: routes, errors, documents, the sequencer's clock. No rules.

`create_app` is given everything that has state, so that a test and the server make the same app.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.logging.config import LoggingConfig
from litestar.static_files import create_static_files_router

from api import metrics, problems
from api.database import SERVICE
from api.desk import provide_desk
from api.grouping import Grouping
from api.identity import Askers
from api.installation import Installation
from api.openapi import openapi_config
from api.requests import RequestIds, StrictRequest, read_strictly
from api.routes import BULK_ROUTES, ROUTES
from ledger import moves, publishing
from ledger.errors import LiandaiError

STATIC = Path(__file__).parent / "static"
PUBLISH_EVERY_SECONDS = 0.5
"""A promise is to publish within a second; each round costs what has grown, so not more often.

It is from beginning to beginning: what is committed just after a round took its leaves waits for
that round, or for this long if that is more, and for the next one."""

DOWNLOADS = 4
"""How many exports one process streams at once: each holds a connection while it is downloaded."""

log = structlog.get_logger("api")


async def publish_now(installation: Installation) -> None:
    """Every leaf committed by now is under a signed checkpoint, unless another process publishes.

    What is committed meanwhile is left to the next call: under a stream of postings a head for each
    handful of them would cost more than the postings do.

    A book whose stored bytes were altered is published no further; all the others are, and only
    then LogDamaged is raised for it.
    """
    damages: dict[str, publishing.LogDamaged] = {}
    while True:
        try:
            async with installation.database.transaction(SERVICE) as conn:
                heads = await publishing.publish(
                    conn,
                    installation=installation.name,
                    signer=installation.signer,
                    now=datetime.now(UTC),
                    leaving_out=damages,
                )
        except publishing.LogDamaged as damage:
            if damage.book in (publishing.TOP, *damages):
                raise
            damages[damage.book] = damage
        else:
            if not publishing.was_full(heads):
                break
    if damages:
        raise next(iter(damages.values()))


async def sweep_now(installation: Installation) -> int:
    """Every pending whose end is reached is voided, each book by itself; how many were.

    A book that cannot be swept is logged and keeps no other from it; what is over in it stays over,
    and is swept next time. Each book has a time of its own: one may have been waited for.
    """
    database = installation.database
    async with database.transaction(SERVICE, read_only=True) as conn:
        books = await moves.books_with_expired(conn, now=datetime.now(UTC))
    voided = 0
    for book in books:
        try:
            async with database.transaction(SERVICE) as conn:
                voided += await moves.void_expired(conn, book=book, now=datetime.now(UTC))
        except Exception as error:
            log.error("sweeping a book failed; tried again", book=book, exc_info=error)
    return voided


async def keep_the_log(installation: Installation, stopping: asyncio.Event) -> None:
    """Until it stops, what is committed is published and what is over is swept.

    Neither waits for the other: a sweep may wait for whoever holds a book.
    """
    await asyncio.gather(
        _every_so_often(_publish, installation, stopping),
        _every_so_often(_sweep, installation, stopping),
    )


async def _every_so_often(
    work: Callable[[Installation], Awaitable[None]],
    installation: Installation,
    stopping: asyncio.Event,
) -> None:
    while not stopping.is_set():
        begun = time.monotonic()
        await work(installation)
        rest = max(0.0, begun + PUBLISH_EVERY_SECONDS - time.monotonic())
        with_timeout = asyncio.wait_for(stopping.wait(), rest)
        await asyncio.gather(with_timeout, return_exceptions=True)


async def _publish(installation: Installation) -> None:
    try:
        await publish_now(installation)
    except publishing.LogDamaged as damage:
        log.critical("log damaged", book=damage.book, position=damage.position)
    except Exception as error:  # a lost connection, say: the promise to publish stands
        log.error("publishing failed; tried again", exc_info=error)


async def _sweep(installation: Installation) -> None:
    try:
        await sweep_now(installation)
    except Exception as error:  # as above
        log.error("sweeping expired pendings failed; tried again", exc_info=error)


def _lifespan(installation: Installation, *, publishes: bool) -> Callable[[Litestar], Any]:
    @asynccontextmanager
    async def run(app: Litestar) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        app.state.database = installation.database
        app.state.installation = installation
        app.state.askers = Askers(installation.database)
        app.state.grouping = Grouping(installation.database)
        app.state.downloads = asyncio.Semaphore(DOWNLOADS)
        publisher = asyncio.create_task(keep_the_log(installation, stopping)) if publishes else None
        try:
            yield
        finally:
            stopping.set()
            if publisher is not None:
                await publisher
            await installation.database.close()

    return run


def create_app(installation: Installation, *, publishes: bool = True) -> Litestar:
    """The service over one installation.

    publishes  whether this process also runs the sequencer
    """
    handle = problems.answer
    return Litestar(
        route_handlers=[
            Router("/", route_handlers=list(ROUTES), before_request=read_strictly),
            Router(
                "/",
                route_handlers=list(BULK_ROUTES),
                before_request=read_strictly,
                request_max_body_size=installation.bulk_body_limit_bytes,
            ),
            create_static_files_router(
                path="/v1/static", directories=[STATIC], include_in_schema=False
            ),
        ],
        dependencies={"desk": provide_desk},
        request_class=StrictRequest,
        request_max_body_size=installation.body_limit_bytes,
        middleware=[metrics.Measured(), RequestIds()],
        exception_handlers={
            LiandaiError: handle,
            HTTPException: handle,
            Exception: handle,
        },
        lifespan=[_lifespan(installation, publishes=publishes)],
        logging_config=LoggingConfig(configure_root_logger=False, log_exceptions="never"),
        openapi_config=openapi_config(),
    )
