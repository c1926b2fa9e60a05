"""A founded installation with people and keys, and clients that speak for them over HTTP.

Everything is done by the routes a user has; nothing is written behind the service's back.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import msgspec
from httpx2 import ASGITransport, AsyncClient

from api.app import create_app, publish_now
from api.database import Database
from api.founding import found
from api.installation import Installation
from ledger.signatures import KeyInMemory, encode_base64, sign_statement

NAME = "liandai.test"
FIRST_DAY = date(2024, 3, 1)

INSTITUTIONS = (
    # id          kind         Chinese name            English name                    USCC
    ("hzbank", "bank", "杭州银行", "Bank of Hangzhou", None),
    ("cib", "bank", "兴业银行", "Industrial Bank", "91350000158142711F"),
    ("czbank", "bank", "浙商银行", "China Zheshang Bank", None),
    ("guarantor", "guarantor", "示例担保公司", "Example guarantee company", None),
    ("pool", "pool", "示例风险补偿资金池", "Example compensation pool", None),
    ("expert", "expert", "示例专家", "Example expert", None),
    ("auditor", "auditor", "示例审计", "Example auditor", None),
    ("yunshen", "borrower", "云深处科技", "Deep Robotics", "91330100799655058B"),
    ("qinghe", "borrower", "青禾智造（示例）", "Qinghe (example)", "91440300708461136T"),
)
ROLES = {
    "bank": ("officer", "approver", "risk", "operations"),
    "guarantor": ("officer", "approver", "operations"),
    "pool": ("officer", "approver", "operations"),
    "expert": ("officer",),
    "auditor": ("auditor",),
    "borrower": ("borrower-representative",),
}


class Caller:
    """One person's token, key and numbering of commands."""

    def __init__(self, http: AsyncClient, *, person: str, institution: str, token: str) -> None:
        self.http = http
        self.person = person
        self.institution = institution
        self.token = token
        self._numbers = itertools.count(1)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, expect: int = 201
    ) -> Any:
        """The JSON of the answer, whose status must be the expected one."""
        return await self.send("POST", path, body, key=key, expect=expect)

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str | None, expect: int
    ) -> Any:
        key = key or f"{self.person}-{next(self._numbers):06d}"
        content = msgspec.json.encode(body if body is not None else {})
        answer = await self.http.request(
            method,
            path,
            content=None if method == "DELETE" else content,
            headers={
                **self.headers,
                "Idempotency-Key": key,
                "Content-Type": "application/json",
            },
        )
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return msgspec.json.decode(answer.content)

    async def get(self, path: str, *, expect: int = 200, **query: Any) -> Any:
        answer = await self.http.get(path, params=query, headers=self.headers)
        assert answer.status_code == expect, f"GET {path}: {answer.status_code} {answer.text}"
        return msgspec.json.decode(answer.content)


class House:
    """The installation, its people by id, and the private keys its institutions sign with."""

    def __init__(self, http: AsyncClient, installation: Installation, database_url: str) -> None:
        self.http = http
        self.installation = installation
        self.database_url = database_url
        self.people: dict[str, Caller] = {}
        self.keys: dict[str, KeyInMemory] = {}

    def __getitem__(self, person: str) -> Caller:
        return self.people[person]

    async def publish(self) -> None:
        """Everything committed is under a signed checkpoint."""
        await publish_now(self.installation)

    def sign(self, institution: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A statement signed with the institution's own key, as it goes into a request."""
        statement = sign_statement(
            kind=kind, body=body, by=institution, signer=self.keys[institution]
        )
        builtins: dict[str, Any] = msgspec.to_builtins(statement)
        return builtins


def key_of(name: str) -> KeyInMemory:
    """A key for tests, the same every time."""
    return KeyInMemory(sha256(f"test key of {name}".encode()).digest())


@asynccontextmanager
async def build_house(database_url: str) -> AsyncIterator[House]:
    """A served installation with the stories' institutions, people, tokens and keys on board."""
    database = Database(database_url, pool_size=10, statement_timeout_ms=30_000)
    signer = key_of("log")
    founded = await found(
        database,
        name=NAME,
        purpose="demo",
        signer=signer,
        first_day=FIRST_DAY,
        now=datetime.now(UTC),
    )
    assert founded is not None
    installation = Installation(
        name=NAME,
        database=database,
        signer=signer,
        body_limit_bytes=1 << 20,
        bulk_body_limit_bytes=10 << 20,
    )
    app = create_app(installation, publishes=False)
    transport = ASGITransport(app=app)
    async with app.lifespan(), AsyncClient(transport=transport, base_url="http://test") as http:
        house = House(http, installation, database_url)
        operator = Caller(
            http, person="operator-1", institution="operator", token=founded.operator_token
        )
        house.people["operator"] = operator
        for row in INSTITUTIONS:
            await _board(house, operator, row)
        yield house


async def _board(
    house: House,
    operator: Caller,
    row: tuple[str, str, str, str, str | None],
) -> None:
    institution, kind, name, name_en, uscc = row
    await operator.post(
        "/v1/institutions",
        {
            "institution": institution,
            "kind": kind,
            "name": name,
            "name_en": name_en,
            "uscc": uscc,
            "illustrative": True,
        },
    )
    key = key_of(institution)
    house.keys[institution] = key
    await operator.post(
        f"/v1/institutions/{institution}/keys", {"public_key": encode_base64(key.public)}
    )
    for role in ROLES[kind]:
        person = f"{institution}-{role.split('-')[0]}"
        await operator.post(
            f"/v1/institutions/{institution}/people",
            {"person": person, "name": f"{name} {role}", "roles": [role]},
        )
        issued = await operator.post(f"/v1/people/{person}/tokens", {"days": 30})
        house.people[person] = Caller(
            house.http, person=person, institution=institution, token=issued["token"]
        )
