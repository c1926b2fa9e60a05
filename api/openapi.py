"""The OpenAPI document at /v1/openapi.json: what the service does, no more and no less.

Litestar writes the routes, parameters and Structs down. What it leaves out is put in here: that
unknown fields are refused, what every refusal looks like and which there can be, what each
parameter means, and the words of the docstrings. Nothing is decided here.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ControllerRouterHandler

from api import problems
from api.exports import MEDIA_TYPES
from api.identity import Needs
from ledger.documents import MAX_SAFE_INTEGER
from syndicate.parties.institutions import Role
from syndicate.reconciliation import formats

ROOT: Final = "/v1"
STATIC_PATH: Final = "/v1/static/swagger-ui"

PARAMETERS: Final = {
    "amount_from": "Of this amount or more, in minor units without the sign",
    "amount_until": "Of this amount or less, in minor units without the sign",
    "by": "Which date the period is of: `booking`, in log order, or `value`",
    "first_day": "First day of the period; from the beginning by default",
    "known_top": "As known when the top log held this many leaves; as published now by default",
    "last_day": "Last day of the period; to the last known by default",
    "proof": "`true`: each entry with the hashes that join its leaf to the answer's checkpoint",
    "reference": "The poster's own number for it",
    "saved": "The saved query's name in your institution",
    "side": "Only debits (above 0) or only credits (below 0)",
    "source": "A source document the record names: an external reference, a document's SHA-256, "
    "a contract's or a loan's (借据) number, evidence, the term sheet",
    "after": "The `next` of an earlier page: only what stands after that log position",
    "as_of": "By value date up to this day; everything known by default",
    "bank": "The bank, by its institution's id",
    "bom": "`true`: CSV begins with a byte order mark, for spreadsheets that look for one",
    "accrual": "Your own name for the standing accrual",
    "book": "The book's id: a facility's, a negotiation's, `registry` or `top`",
    "booking_from": "Booked on this day or later",
    "booking_until": "Booked on this day or before",
    "books": "Ids of books, comma-separated; all that you may read where none is named",
    "borrower": "The borrower's id",
    "claim": "The claim's id in its facility",
    "code": "The account's code, as `loan.principal`",
    "consent": "The consent's id, as the borrower chose it",
    "counterparty": "The other side of a mirrored debt",
    "currency": "ISO 4217 code",
    "cursor": "The `next` of an earlier page, as it was given",
    "day": "The business day at whose close it stood",
    "draw": "The draw's id in its facility",
    "facility": "The facility's id",
    "fact": "Type of fact that made the entry, in full, as `PaymentConfirmed`; one that there "
    "cannot be is refused with the list of all",
    "format": "`csv`, `xlsx` or `parquet`",
    "institution": "The institution's id",
    "key": "The key's id: the first 16 hex digits of the SHA-256 of its public half",
    "kind": "Only what stands in leaves of this kind, as `transaction` or `refusal`",
    "known_on": "As known when this business day was closed; not together with `known_size`",
    "known_size": "As known when the log held this many leaves; the published size by default",
    "limit": "How many at most on one page",
    "loss": "The loss's id in its facility",
    "negotiation": "The negotiation's id",
    "number": "The break's number: its line in the outcome",
    "new_size": "Size of the later tree; a published one",
    "old_size": "Size of the earlier tree, from 1",
    "on": "The day the question is about",
    "party": "Whose accounts, by institution id",
    "payment": "The payment's id in its facility",
    "pending": "The pending's id: the record it was answered with",
    "period_ending": "The last day of the interest period; the running period by default",
    "person": "The person's opaque id",
    "position": "The leaf's index in the log, from 0",
    "reconciliation": "The reconciliation's id in its book, as `hzbank.2024-09-30.1`",
    "record": "The record's id",
    "ref": "What the account is kept for, as a draw's id",
    "since": "The first day of the period whose cash is stated",
    "size": "A published size of the log",
    "transaction": "The record's id of a transaction or of a posted pending",
    "tile": "The tile's name as C2SP tlog-tiles has it, as `0/x001/234.p/8`; without the level for "
    "entries",
    "value_from": "Value date of this day or later",
    "value_until": "Value date of this day or before",
    "version": "Number of the version, from 1",
    "GET /v1/books/{book}/pendings known_size": "As they stood when the log held this many leaves; "
    "as they stand now by default",
    "GET /v1/books/{book}/accounts after": "The `next` of an earlier page",
    "GET /v1/books/{book}/statement-files format": "`csv`, `xlsx` or `camt053` (XML)",
    "GET /v1/books/{book}/statement-files on": "The day whose close is stated",
    "POST /v1/books/{book}/reconciliations on": "The day whose close is stated",
    **{
        f"GET {path}{export} {name}": f"Recorded by this {what}"
        for path in ("/v1/entries", "/v1/books/{book}/entries", "/v1/books/{book}/trial-balance")
        for export in ("", "/export")
        for name, what in (("institution", "institution"), ("person", "person, by opaque id"))
    },
    "GET /v1/negotiations/{negotiation}/differences after": "The later version, from 1",
    "GET /v1/negotiations/{negotiation}/differences before": "The earlier version, from 1",
    "GET /v1/facilities/{facility}/draws/{draw}/loans/{bank}/interest kind": "Which interest",
    "witnessed": "How many witnesses must have cosigned the last head",
    "witnesses": "Institutions whose cosignatures count, comma-separated; any by default",
}
"""What each path and query parameter means, by its name; by operation where one name has two."""

SCHEMAS: Final = "#/components/schemas/"

NAMES: Final = {
    "api_routes_accruals_Side": "AccrualSide",
    "api_routes_house_books_Receipt": "PostingReceipt",
    "facility_history_Document": "SourceDocument",
    "ledger_receipts_Receipt": "Receipt",
    "ledger_statements_Standing": "AccountStanding",
    "ledger_statements_StatementLine": "BookStatementLine",
    "reconciliation_outcome_Document": "ReconciliationOutcome",
    "signatures_Statement": "SignedStatement",
    "statements_Statement": "BookStatement",
    "syndicate_facility_positions_Standing": "PartyStanding",
    "syndicate_facility_questions_StatementLine": "AccountStatementLine",
    "syndicate_reconciliation_causes_Side": "OutcomeSide",
}
"""What the document calls Structs of different modules that have one name."""

FILES: Final = {
    "/export": tuple(MEDIA_TYPES.values()),
    "GET /v1/books/{book}/statement-files": tuple(formats.MEDIA_TYPES.values()),
}
"""What operations that answer with a file answer with, by how their names end."""

REFUSALS: Final = {
    "400": "The request cannot be read: a parameter, a header or the JSON itself",
    "401": "No valid token",
    "403": "The person's roles or institution do not reach this",
    "404": "Nothing there that the asker may see",
    "409": "The state does not allow it",
    "413": "The body is too large",
    "415": "The body is not of a media type that is taken here",
    "422": "A value is not what was expected there, or an Idempotency-Key was used before",
    "503": "Not ready, or more is asked at once than can be taken: nothing was done, ask again",
}

PROBLEM: Final = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). `code` is stable for ever.",
    "additionalProperties": False,
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "pattern": f"^{problems.TYPE}"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "place": {"type": "string", "description": "JSON path or parameter where the fault lies"},
        "fields": {"type": "object", "description": "What was asked and what stood in the way"},
    },
}

REPLAYED: Final = {
    "Idempotency-Replayed": {
        "description": "`true` where this answer was given before under the same key",
        "schema": {"type": "string", "enum": ["true"]},
        "required": False,
    },
    "Liandai-Promise": {
        "description": "What the log's key promises to publish within a second: for each book in "
        "which something was recorded `<book> <first> <leaves> <root> <signature>`, separated by "
        "`, `. A repeat carries the same. A receipt of a posting has it in its body instead",
        "schema": {"type": "string"},
        "required": False,
    },
}


class OpenApiJson(JsonRenderPlugin):
    """The document at /v1/openapi.json, with what Litestar leaves out put in."""

    _written: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._written is None:
            document = strict(openapi_schema, reach_of(request.app))
            self._written = json.dumps(document, ensure_ascii=False).encode()
        return self._written


class OpenApiPage(SwaggerRenderPlugin):
    """The page at /v1/docs: it shows the document of /v1/openapi.json, not Litestar's own.

    The bounds that every integer has are left out: the page would show them as example values.
    """

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        document = strict(openapi_schema, reach_of(request.app))
        for schema in _schemas(document):
            if schema.get("minimum") == -MAX_SAFE_INTEGER:
                del schema["minimum"], schema["maximum"]
        return super().render(request, document)


class Documents(Router):
    """The pages beside the API. Litestar adds a catch-all that answers in HTML; here an unknown
    path is a problem like everywhere else, so that route is left out."""

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        if "/{path:str}" in getattr(value, "paths", ()):
            return []
        return list(super().register(value))


def openapi_config() -> OpenAPIConfig:
    """How the document and its pages are served; nothing of them comes from another host."""
    return OpenAPIConfig(
        title="Liandai 联贷",
        version="1",
        description="The neutral service banks share when they lend together. Amounts are "
        "integers of minor units (fen), dates are ISO 8601, errors are RFC 9457 problems. "
        "Authorize with a bearer token; a command needs an Idempotency-Key of your own choice.",
        path=ROOT,
        openapi_router=Documents(ROOT, route_handlers=[], include_in_schema=False),
        use_handler_docstrings=True,
        security=[{"bearer": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="ldt_…")
            }
        ),
        render_plugins=[
            OpenApiPage(
                path="/docs",
                js_url=f"{STATIC_PATH}/swagger-ui-bundle.js",
                css_url=f"{STATIC_PATH}/swagger-ui.css",
                standalone_preset_js_url=f"{STATIC_PATH}/swagger-ui-standalone-preset.js",
                favicon=f"<link rel='icon' href='{STATIC_PATH}/favicon-32x32.png'>",
                style="<style>body { margin: 0; padding: 0 }</style>",
            ),
            OpenApiJson(path="/openapi.json", media_type=MediaType.JSON),
        ],
    )


class Reach(msgspec.Struct, frozen=True):
    """What the routes know of an operation and Litestar's document does not say.

    roles             any one of them reaches it; () where it is public
    files             media types of the file that is its body; () where the body is none
    body_limit_bytes  longest body it takes
    """

    roles: tuple[Role, ...]
    body_limit_bytes: int
    files: tuple[str, ...]


def reach_of(app: Litestar) -> dict[str, Reach]:
    """Every operation's, by its name as "GET /v1/me"."""
    return {
        f"{method} {route.path_format}": Reach(
            roles=next((g.roles for g in handler.resolve_guards() if isinstance(g, Needs)), ()),
            body_limit_bytes=int(handler.resolve_request_max_body_size() or 0),
            files=tuple(handler.opt.get("raw_body", ())),
        )
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
    }


def strict(document: dict[str, Any], reach: Mapping[str, Reach]) -> dict[str, Any]:
    """The document as the service really is; the given one stays as it was.

    Every object that lists its properties has no others, every integer its bounds, every operation
    a summary, described parameters, whose roles reach it, and the refusals it can answer with.
    """
    document = deepcopy(document)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    structs = _structs()
    for name, schema in schemas.items():
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
            words = _docstring(structs, name, schema)
            if words:
                schema.setdefault("description", words)
    _renamed(document)
    schemas["Problem"] = deepcopy(PROBLEM)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            asked = f"{method.upper()} {path}"
            _complete(operation, asked=asked, reach=reach[asked])
    for schema in _schemas(document):
        if schema.get("type") == "integer" and "enum" not in schema and "const" not in schema:
            schema.setdefault("minimum", -MAX_SAFE_INTEGER)
            schema.setdefault("maximum", MAX_SAFE_INTEGER)
    return document


def _complete(operation: dict[str, Any], *, asked: str, reach: Reach) -> None:
    described = operation.get("description", "")
    operation["summary"] = _first_sentence(described) or operation.get("summary", "")
    if reach.roles:
        operation["description"] = f"{described}\n\nRoles: {', '.join(reach.roles)}."
        operation["x-roles"] = list(reach.roles)
    if reach.files:
        operation["requestBody"] = {
            "required": True,
            "content": {name: {"schema": {"type": "string"}} for name in reach.files},
        }
    if "requestBody" in operation:
        operation["x-body-limit"] = reach.body_limit_bytes
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        words = PARAMETERS.get(f"{asked} {name}", PARAMETERS.get(name))
        if words is not None:
            parameter.setdefault("description", words)
    command = any(
        parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())
    )
    answers = operation["responses"]
    answers.pop("400", None)
    for ending, media_types in FILES.items():
        if asked.endswith(ending):
            file = {"schema": {"type": "string", "format": "binary"}}
            answers["200"]["content"] = dict.fromkeys(media_types, file)
    for answer in answers.values():
        answer["description"] = operation["summary"]
        if command:
            answer["headers"] = {**answer.get("headers", {}), **REPLAYED}
    for status in _refusals(operation, command=command):
        answers[status] = _refusal(REFUSALS[status])
        if command:
            answers[status]["headers"] = REPLAYED
    answers["default"] = _refusal("A problem nobody foresaw")


def _refusals(operation: dict[str, Any], *, command: bool) -> Iterator[str]:
    """Which refusals the operation can answer with, besides what nobody foresaw."""
    yield from ("400", "503")
    if "health" in operation.get("tags", ()):
        return
    if operation.get("security") != [{}]:
        yield from ("401", "403")
    yield from ("404", "409", "422")
    if "requestBody" in operation:
        yield from ("413", "415")
    elif command:
        yield "413"


def _refusal(description: str) -> dict[str, Any]:
    schema = {"$ref": f"{SCHEMAS}Problem"}
    return {"description": description, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _first_sentence(text: str) -> str:
    line = " ".join(text.partition("\n\n")[0].split())
    return line.partition(". ")[0].rstrip(".")


def _structs() -> list[type[Any]]:
    """Every Struct there is."""
    found: list[type[Any]] = []
    pending: list[type[Any]] = [msgspec.Struct]
    while pending:
        for kind in pending.pop().__subclasses__():
            pending.append(kind)
            found.append(kind)
    return found


def _docstring(structs: Sequence[type[Any]], name: str, schema: dict[str, Any]) -> str:
    """What the Struct of a schema says of itself; "" where it cannot be told from another.

    The document names it with or without some of its module in front; its fields tell the rest.
    """
    said = {
        inspect.cleandoc(kind.__doc__)
        for kind in structs
        if f"_{kind.__module__}.{kind.__name__}".replace(".", "_").endswith(f"_{name}")
        and set(schema["properties"]) - {kind.__struct_config__.tag_field}
        == set(kind.__struct_encode_fields__)
        and kind.__doc__
    }
    return said.pop() if len(said) == 1 else ""


def _renamed(document: dict[str, Any]) -> None:
    """Schemas that Litestar told apart by their modules have names of their own."""
    schemas = document["components"]["schemas"]
    for name, ours in NAMES.items():
        if name in schemas:
            schemas[ours] = {**schemas.pop(name), "title": ours}
    for schema in _schemas(document):
        name = str(schema.get("$ref", "")).removeprefix(SCHEMAS)
        if name in NAMES:
            schema["$ref"] = SCHEMAS + NAMES[name]


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a document, however deep."""
    children: Sequence[Any] = ()
    if isinstance(value, dict):
        yield value
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    for child in children:
        yield from _schemas(child)
