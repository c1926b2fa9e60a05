"""How every error becomes one `application/problem+json` answer (RFC 9457), closed catalogue.

The only place where an exception meets an HTTP status. `code` is stable for ever; `detail` is for a
person; absent and forbidden data look alike (404). What nobody foresaw is a 500 that tells nothing
but the request's id.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from api import metrics
from api.database import Busy
from ledger.errors import Absent, Conflict, LiandaiError, NotAllowed, Refused, WrongInput

REQUEST_ID: Final = "x-request-id"
MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "urn:liandai:problem:"

MISSING: Final = re.compile(r"Missing required \w+ parameter '(?P<name>[^']+)'")
"""How Litestar says that a query parameter is not there."""

log = structlog.get_logger("api")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a refused request is answered.

    type      a stable URN ending in the code
    place     where in the request the fault lies, when it lies in one place
    fields    what was asked and what stood in the way, by name
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    place: str | None = None
    fields: dict[str, Any] | None = None


class HttpRefusal(LiandaiError):
    """A refusal that belongs to HTTP itself: headers, media types, tokens, keys."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        place: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.fields = dict(fields or {})
        self.place = place


TITLES: Final = {
    400: "The request cannot be read",
    401: "A valid token is needed",
    403: "This is not allowed",
    404: "Nothing there",
    405: "Not by this method",
    409: "The state does not allow it",
    413: "The body is too large",
    415: "Another media type is expected",
    422: "The content is not right",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Not now",
}


def problem_of(error: Exception, *, request_id: str) -> tuple[Problem, dict[str, str]]:
    """The problem an exception is answered with, and its extra headers."""
    status, code, detail, headers = 500, "internal", "the request's id is in the log", {}
    place: str | None = None
    fields: dict[str, Any] | None = None
    match error:
        case HttpRefusal():
            status, code, detail, headers = error.status, error.code, error.detail, error.headers
            fields, place = error.fields, error.place
        case Busy():
            status, code, detail, headers = 503, "busy", str(error), {"retry-after": "1"}
        case WrongInput():
            status, code, detail, place = 422, "wrong-input", str(error), error.place
        case Absent():
            status, code, detail, fields = 404, error.code, error.detail, error.fields
        case NotAllowed():
            status, code, detail, fields = 403, error.code, error.detail, error.fields
        case Conflict() | Refused():
            status, code, detail, fields = 409, error.code, error.detail, error.fields
        case RequestEntityTooLarge():
            status, code, detail = 413, "body-too-large", "the body is longer than this route takes"
        case MethodNotAllowedException():
            status, code, detail = 405, "method-not-allowed", "this path has other methods"
            headers = dict(error.headers or {})
        case NotFoundException():
            status, code, detail = 404, "not-found", "no such path"
        case ValidationException():
            status, code, detail, place = _validation(error)
        case HTTPException() if error.status_code < 500:
            status, code, detail = error.status_code, "bad-request", error.detail
    problem = Problem(
        type=TYPE + code,
        title=TITLES.get(status, "Refused"),
        status=status,
        code=code,
        detail=detail,
        request_id=request_id,
        place=place,
        fields=_jsonable(fields),
    )
    return problem, headers


def _jsonable(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    return msgspec.to_builtins(fields, str_keys=True) if fields else None


def _validation(error: ValidationException) -> tuple[int, str, str, str | None]:
    """Litestar says where and why in `extra`; a body is 422, a parameter or header 400."""
    extra = error.extra if isinstance(error.extra, list) else []
    first = extra[0] if extra else {}
    source = str(first.get("source", "")).rpartition(".")[2].lower()
    key = str(first.get("key", ""))
    message = str(first.get("message", error.detail))
    if source == "body":
        return 422, "wrong-input", message, f"$.{key}" if key and key != "data" else "$"
    if source == "header":
        key = key.replace("_", "-").title()
    missing = MISSING.match(message)
    if missing is not None:
        key, message = missing["name"], "expected a value: it is needed here"
    return 400, "wrong-parameter", f"{key}: {message}" if key else message, key or None


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The response to a request that raised. What nobody foresaw is logged whole.

    What no route takes never passes the middlewares, so it gets its id and is counted here.
    """
    routed = request.scope["state"].get("request_id")
    request_id = str(routed or uuid.uuid4().hex)
    problem, headers = problem_of(error, request_id=request_id)
    headers = {"cache-control": "no-store", **headers}  # what is not there today may be tomorrow
    if routed is None:
        headers = {**headers, REQUEST_ID: request_id}
        metrics.count(request.method, problem.status)
    if problem.code == "busy":
        log.warning("busy", request_id=request_id)
    elif problem.status >= 500:
        log.error("unforeseen", request_id=request_id, exc_info=error)
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )
