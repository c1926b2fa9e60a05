"""Everything the service offers, read from its own OpenAPI document; tests are generated from it.

A route that is registered tomorrow is tested tomorrow: nothing here names an operation, but for the
few that differ from the others on purpose, each with its reason.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from litestar import Litestar

from api.app import create_app
from api.database import Database
from api.installation import Installation
from api.openapi import reach_of, strict
from syndicate.parties.institutions import Role
from tests.house import NAME, House, key_of

NO_KEY = {
    "POST /v1/people/{person}/tokens": "a kept answer would be a kept token",
    "POST /v1/borrowers/{borrower}/readings": "a kept answer would outlive the consent",
    "POST /v1/negotiations/{negotiation}/quotes/body": "a question whose words need a body",
}
"""Operations by POST that take no Idempotency-Key, and why."""

PEOPLE: dict[Role, str] = {
    "officer": "hzbank-officer",
    "approver": "hzbank-approver",
    "risk": "hzbank-risk",
    "operations": "hzbank-operations",
    "auditor": "auditor-auditor",
    "operator": "operator",
    "borrower-representative": "yunshen-borrower",
}
"""Somebody of every role."""

assert set(PEOPLE) == set(get_args(Role))


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    roles       whose token opens it; () for the public
    body        the schema of its JSON body, if it takes one of at most `body_limit` bytes
    files       media types of the file that is its body, if it takes one instead
    """

    method: str
    path: str
    public: bool
    roles: tuple[Role, ...]
    parameters: tuple[dict[str, Any], ...]
    body: dict[str, Any] | None
    files: tuple[str, ...]
    body_limit: int
    answers: dict[str, Any]

    @property
    def name(self) -> str:
        """As the tests call it, "GET /v1/me"."""
        return f"{self.method} {self.path}"

    @property
    def takes_key(self) -> bool:
        """Whether it is done once under an Idempotency-Key."""
        return any(parameter["name"] == "Idempotency-Key" for parameter in self.parameters)

    @property
    def somebody(self) -> str:
        """A person who may ask."""
        return PEOPLE[self.roles[0]]

    def url(self, value: str = "nowhere-1") -> str:
        """Its path with a value for each parameter in it, and every query parameter it must have.

        value  for those that are words; a number is the one it ends with
        """
        path, query = self.path, []
        for parameter in self.parameters:
            name, schema = parameter["name"], parameter["schema"]
            if parameter["in"] == "path":
                number = schema.get("type") == "integer"
                path = path.replace(f"{{{name}}}", value.rpartition("-")[2] if number else value)
            elif parameter["in"] == "query" and parameter["required"]:
                query.append(f"{name}={example(schema)}")
        return path + ("?" + "&".join(query) if query else "")

    def well_formed(self) -> Any:
        """A body that its schema allows; what it says may still be refused."""
        assert self.body is not None
        return example(self.body)


def make_app() -> Litestar:
    """The service over a database that nobody opens."""
    database = Database(
        "postgresql+asyncpg://nobody@127.0.0.1:1/none", pool_size=1, statement_timeout_ms=1000
    )
    return create_app(
        Installation(
            name=NAME,
            database=database,
            signer=key_of("log"),
            body_limit_bytes=1 << 20,
            bulk_body_limit_bytes=10 << 20,
        ),
        publishes=False,
    )


APP = make_app()
DOCUMENT: dict[str, Any] = strict(APP.openapi_schema.to_schema(), reach_of(APP))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, where a reference stands for it."""
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return schema


def _operations() -> Iterator[Operation]:
    for path, item in DOCUMENT["paths"].items():
        for method, found in item.items():
            content = found.get("requestBody", {}).get("content", {})
            yield Operation(
                method=method.upper(),
                path=path,
                public=found.get("security") == [{}],
                roles=tuple(found.get("x-roles", ())),
                parameters=tuple(found.get("parameters", ())),
                body=content.get("application/json", {}).get("schema"),
                files=tuple(name for name in content if name != "application/json"),
                body_limit=found.get("x-body-limit", 0),
                answers=found["responses"],
            )


OPERATIONS = tuple(_operations())
GUARDED = tuple(operation for operation in OPERATIONS if not operation.public)
COMMANDS = tuple(operation for operation in OPERATIONS if operation.takes_key)
WITH_BODY = tuple(operation for operation in OPERATIONS if operation.body is not None)


def each(operations: tuple[Operation, ...]) -> pytest.MarkDecorator:
    """The test once for each operation, named after it."""
    return pytest.mark.parametrize(
        "operation", operations, ids=[operation.name for operation in operations]
    )


def example(schema: dict[str, Any]) -> Any:
    """The plainest value a schema allows: every required property, one of each in a list."""
    schema = resolved(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return example(next(s for s in schema[key] if resolved(s).get("type") != "null"))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            named = schema.get("properties", {})
            return {name: example(named[name]) for name in schema.get("required", ())}
        case "array":
            return [example(schema["items"])] if "items" in schema else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case _:
            return "2024-03-01" if schema.get("format") == "date" else "abc-1"


def objects(
    schema: dict[str, Any], value: Any, place: tuple[Any, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """Where in an example an object stands that has no other fields than its schema lists."""
    schema = resolved(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            first = next(s for s in schema[key] if resolved(s).get("type") != "null")
            yield from objects(first, value, place)
            return
    if isinstance(value, dict) and "properties" in schema:
        yield place
        for name, inner in value.items():
            yield from objects(schema["properties"][name], inner, (*place, name))
    elif isinstance(value, list) and value and "items" in schema:
        yield from objects(schema["items"], value[0], (*place, 0))


def changed(value: Any, place: tuple[Any, ...], name: str, field: Any) -> Any:
    """The value with one field more at a place; the given one stays as it was."""
    copy = json.loads(json.dumps(value))
    target = copy
    for step in place:
        target = target[step]
    target[name] = field
    return copy


async def counts(house: House) -> dict[str, int]:
    """How many rows every table of the installation holds, seen as the database's owner."""
    import asyncpg

    from api.settings import asyncpg_dsn

    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        tables = await conn.fetch(
            "SELECT schemaname, tablename FROM pg_tables "
            "WHERE schemaname IN ('ledger', 'syndicate', 'negotiation', 'api') ORDER BY 1, 2"
        )
        return {
            f"{schema}.{table}": await conn.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')
            for schema, table in tables
        }
    finally:
        await conn.close()
