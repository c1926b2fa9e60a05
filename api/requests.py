"""How a request is read: strictly, and only after the asker is known. It decides no business.

Guards run before anything is read, so a request without a valid token is answered 401 whatever else
is wrong with it. Then parameters are judged (400): unknown and repeated ones are refused by name,
and a filter that cannot be read is never taken for one that was not given. The body comes last.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any, Literal, get_args, get_origin
from urllib.parse import unquote_to_bytes

from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import REQUEST_ID, HttpRefusal
from ledger.documents import MAX_SAFE_INTEGER, convert, read_json
from ledger.errors import WrongInput

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body is read by `ledger.documents`: no duplicate keys, no NaN, no "3"
    for 3, no field that the route does not know."""

    async def json(self) -> Any:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise HttpRefusal(415, "json-expected", "the body must be application/json")
        try:
            value = read_json(await self.body())
        except WrongInput as error:
            raise HttpRefusal(400, "malformed-json", str(error)) from error
        return convert(value, self.route_handler.parsed_fn_signature.parameters["data"].annotation)


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


async def read_strictly(request: Request[Any, Any, Any]) -> None:
    """Before a handler: its parameters are ones it declares, stand once and can be read.

    A body is there where one is expected; what it holds is read by `StrictRequest.json`.
    """
    _check_readable(request.scope.get("raw_path") or b"", place="the path")
    _check_readable(request.scope.get("query_string") or b"", place="the query")
    declared = _declared(request)
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in declared:
            raise HttpRefusal(
                400, "unknown-parameter", f"{name}: no such query parameter", place=name
            )
        if name in seen:
            raise HttpRefusal(
                400, "repeated-parameter", f"{name}: given more than once", place=name
            )
        seen.add(name)
        _check_value(name, value, declared[name])
    if takes_body(request.route_handler) and not await request.body():
        raise HttpRefusal(400, "malformed-json", "$: expected a JSON document, not an empty body")


def takes_body(handler: BaseRouteHandler) -> bool:
    """Whether the route reads a body at all."""
    return "data" in handler.parsed_fn_signature.parameters


def _check_readable(raw: bytes, *, place: str) -> None:
    plain = unquote_to_bytes(raw)
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HttpRefusal(400, "unreadable", f"{place}: expected UTF-8 text") from error
    if b"\x00" in plain:
        raise HttpRefusal(400, "unreadable", f"{place}: expected text without NUL")


def _check_value(name: str, value: str, types: frozenset[Any]) -> None:
    """A number or a date is written one way only; "null" is no way to leave a filter out."""
    expected = None
    if str in types:
        return
    if int in types and (INTEGER.fullmatch(value) is None or abs(int(value)) > MAX_SAFE_INTEGER):
        expected = "an integer between -(2^53-1) and 2^53-1"
    elif bool in types and value not in ("true", "false"):
        expected = "true or false"
    elif date in types and DAY.fullmatch(value) is None:
        expected = "a day as 2024-03-01"
    elif values := _listed(types):
        if value not in values:
            expected = f"one of {', '.join(values)}"
    elif value.lower() == "null":
        expected = "a value; leave the parameter out for none"
    if expected is not None:
        raise HttpRefusal(400, "wrong-parameter", f"{name}: expected {expected}", place=name)


def _listed(types: frozenset[Any]) -> list[str]:
    """The values a parameter may have, where its type lists them."""
    listed: list[str] = []
    for each in types:
        if get_origin(each) is Literal:
            listed += [str(value) for value in get_args(each)]
        elif isinstance(each, type) and issubclass(each, Enum):
            listed += [str(member.value) for member in each]
        elif isinstance(each, str):  # what `get_args` gives of a Literal that stands alone
            listed.append(each)
    return sorted(set(listed))


def _declared(request: Request[Any, Any, Any]) -> Mapping[str, frozenset[Any]]:
    """The route's query parameters, each with the types its values may have."""
    by_handler: dict[int, dict[str, frozenset[Any]]] | None = getattr(
        request.app.state, "declared_parameters", None
    )
    if by_handler is None:
        by_handler = {
            id(handler): {
                parameter.field_alias: _types(handler, parameter.field_name)
                for parameter in model.expected_query_params
            }
            for route in request.app.routes
            if route.scope_type is ScopeType.HTTP
            for handler, model in getattr(route, "route_handler_map", {}).values()
        }
        request.app.state.declared_parameters = by_handler
    return by_handler.get(id(request.route_handler), {})


def _types(handler: BaseRouteHandler, name: str) -> frozenset[Any]:
    """Of the handler's own parameter, or of one that a dependency of its takes."""
    signatures = [handler.parsed_fn_signature]
    signatures += [one.parsed_fn_signature for one in handler.resolve_dependencies().values()]
    annotation = next(
        each.parameters[name].annotation for each in signatures if name in each.parameters
    )
    return frozenset((annotation, *get_args(annotation)))
