"""How the service counts itself, in Prometheus' words. It measures; it decides nothing."""

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "liandai_requests_total", "Requests answered", ["method", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "liandai_request_seconds", "Time from request to answer", ["method"], registry=REGISTRY
)


class Measured(ASGIMiddleware):
    """Every request is counted by method and status, and timed by method; paths stay out."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        started = time.perf_counter()
        method = str(scope.get("method", ""))

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(method, message["status"])
                SECONDS.labels(method).observe(time.perf_counter() - started)
            await send(message)

        await next_app(scope, receive, send_counted)


def count(method: str, status: int) -> None:
    """One more request is counted; methods nobody serves are counted together."""
    REQUESTS.labels(method if method in METHODS else "other", str(status)).inc()


def exposition() -> bytes:
    """The counters as Prometheus reads them."""
    return generate_latest(REGISTRY)
