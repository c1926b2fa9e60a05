"""Whether the service lives, is ready to work, and how it is doing. Public, without a token."""

from typing import Any

import msgspec
from litestar import Request, Response, get

from api import metrics
from api.database import NOBODY
from api.problems import HttpRefusal
from ledger.store import business_day


class Health(msgspec.Struct, frozen=True):
    """The service's own word on itself."""

    status: str


@get("/healthz", security=[{}], tags=["health"], sync_to_thread=False)
def healthz() -> Health:
    """The process answers."""
    return Health("alive")


@get("/readyz", security=[{}], tags=["health"])
async def readyz(request: Request[Any, Any, Any]) -> Health:
    """The database answers too, so work can be taken; 503 otherwise."""
    try:
        async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
            await business_day(conn)
    except Exception as error:
        raise HttpRefusal(503, "not-ready", "the database does not answer") from error
    return Health("ready")


@get("/metrics", security=[{}], tags=["health"], media_type="text/plain", sync_to_thread=False)
def exposition() -> Response[bytes]:
    """Counters for Prometheus."""
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")


HANDLERS = (healthz, readyz, exposition)
