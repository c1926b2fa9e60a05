"""How a request is read: strictly, and only after the asker is known. It decides no business.

Guards run before Litestar reads the body, so a request without a valid token is answered 401 before
anything in it is judged. Unknown and repeated query parameters are refused by name.
"""

import uuid
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import HttpRefusal
from ledger.documents import read_json
from ledger.errors import WrongInput

REQUEST_ID = "x-request-id"


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body is read by `ledger.documents`: no duplicate keys, no NaN."""

    async def json(self) -> Any:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise HttpRefusal(415, "json-expected", "the body must be application/json")
        try:
            return read_json(await self.body())
        except WrongInput as error:
            raise HttpRefusal(400, "malformed-json", str(error)) from error


class RequestIds(ASGIMiddleware):
    """Every request has an id: the client's own if plain, a new one otherwise; echoed."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        given = Headers.from_scope(scope).get(REQUEST_ID, "")
        plain = 0 < len(given) <= 64 and all(char.isalnum() or char in "-_." for char in given)
        request_id = given if plain and given.isascii() else uuid.uuid4().hex
        scope["state"]["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                headers.append((REQUEST_ID.encode(), request_id.encode()))
                message["headers"] = headers
            await send(message)

        await next_app(scope, receive, send_with_id)


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: every query parameter is one the route declares, and stands once."""
    declared = _declared(connection)
    seen: set[str] = set()
    for name, _value in connection.query_params.multi_items():
        if name not in declared:
            raise HttpRefusal(400, "unknown-parameter", f"{name}: no such query parameter")
        if name in seen:
            raise HttpRefusal(400, "repeated-parameter", f"{name}: given more than once")
        seen.add(name)


def _declared(connection: ASGIConnection[Any, Any, Any, Any]) -> frozenset[str]:
    by_handler: dict[int, frozenset[str]] | None = getattr(
        connection.app.state, "declared_parameters", None
    )
    if by_handler is None:
        by_handler = {
            id(handler): frozenset(p.field_alias for p in model.expected_query_params)
            for route in connection.app.routes
            if route.scope_type is ScopeType.HTTP
            for handler, model in getattr(route, "route_handler_map", {}).values()
        }
        connection.app.state.declared_parameters = by_handler
    return by_handler.get(id(connection.route_handler), frozenset())
