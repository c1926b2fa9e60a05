"""The HTTP service, assembled: routes, errors, documents, the sequencer's clock. No rules.

`create_app` is given everything that has state, so that a test and the server make the same app.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, MediaType, Request, Router
from litestar.exceptions import HTTPException
from litestar.logging.config import LoggingConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router

from api import metrics, problems
from api.database import SERVICE
from api.desk import provide_desk
from api.installation import Installation
from api.requests import RequestIds, StrictRequest, known_parameters
from api.routes import ROUTES
from ledger import publishing
from ledger.errors import LiandaiError

STATIC = Path(__file__).parent / "static"
PUBLISH_EVERY_SECONDS = 0.2

log = structlog.get_logger("api")


async def publish_now(installation: Installation) -> None:
    """Every committed leaf is under a signed checkpoint, unless another process is publishing."""
    async with installation.database.transaction(SERVICE) as conn:
        await publishing.publish(
            conn,
            installation=installation.name,
            signer=installation.signer,
            now=datetime.now(UTC),
        )


async def _keep_publishing(installation: Installation, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            await publish_now(installation)
        except publishing.LogDamaged as damage:
            log.critical("log damaged", book=damage.book, position=damage.position)
        except (OSError, LiandaiError) as error:
            log.error("publishing failed; tried again", exc_info=error)
        with_timeout = asyncio.wait_for(stopping.wait(), PUBLISH_EVERY_SECONDS)
        await asyncio.gather(with_timeout, return_exceptions=True)


def _lifespan(installation: Installation, *, publishes: bool) -> Callable[[Litestar], Any]:
    @asynccontextmanager
    async def run(app: Litestar) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        app.state.database = installation.database
        app.state.installation = installation
        publisher = (
            asyncio.create_task(_keep_publishing(installation, stopping)) if publishes else None
        )
        try:
            yield
        finally:
            stopping.set()
            if publisher is not None:
                await publisher
            await installation.database.close()

    return run


class OpenApiJson(JsonRenderPlugin):
    """The document at /v1/openapi.json, with the strictness Litestar leaves out put in."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return json.dumps(strict(openapi_schema), ensure_ascii=False).encode()


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `additionalProperties: false` on every object that lists its properties.

    Unknown fields are refused by the service, so the document must say so.
    """
    document = deepcopy(document)
    problem = {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "place": {"type": "string"},
            "fields": {"type": "object"},
        },
    }
    components = document.setdefault("components", {}).setdefault("schemas", {})
    for schema in components.values():
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    components["Problem"] = problem
    answer = {
        "description": "A problem (RFC 9457)",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in document["paths"].values():
        for operation in path.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = answer
            for status in ("400", "401", "403", "404", "409", "413", "415", "422"):
                operation["responses"].setdefault(status, answer)
            if operation.get("security") == [{}]:
                operation["responses"].pop("401")
    return document


def create_app(installation: Installation, *, publishes: bool = True) -> Litestar:
    """The service over one installation.

    publishes  whether this process also runs the sequencer
    """
    handle = problems.answer
    return Litestar(
        route_handlers=[
            Router("/", route_handlers=list(ROUTES), guards=[known_parameters]),
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
        openapi_config=OpenAPIConfig(
            title="Liandai 联贷",
            version="1",
            description="The neutral service banks share when they lend together. Amounts are "
            "integers of minor units (fen), dates are ISO 8601, errors are RFC 9457 problems.",
            path="/v1",
            use_handler_docstrings=True,
            security=[{"bearer": []}],
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="ldt_…")
                }
            ),
            render_plugins=[
                SwaggerRenderPlugin(
                    path="/docs",
                    js_url="/v1/static/swagger-ui/swagger-ui-bundle.js",
                    css_url="/v1/static/swagger-ui/swagger-ui.css",
                    standalone_preset_js_url=(
                        "/v1/static/swagger-ui/swagger-ui-standalone-preset.js"
                    ),
                    favicon="<link rel='icon' href='/v1/static/swagger-ui/favicon-32x32.png'>",
                    style="<style>body { margin: 0; padding: 0 }</style>",
                ),
                OpenApiJson(path="/openapi.json", media_type=MediaType.JSON),
            ],
        ),
    )
