"""Who asks: a bearer token becomes a person of an institution, or nobody.

A token is 32 random bytes in base64url behind `ldt_`; the database keeps its SHA-256. Wrong,
foreign, expired and revoked tokens look alike. What the person may do, `syndicate.parties` says.
"""

import hashlib
import re
from typing import Any, get_args

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api import store
from api.database import NOBODY, SERVICE, Database, Standing
from api.problems import HttpRefusal
from ledger.leaves import Actor
from syndicate.parties.institutions import MAY, Action, Role, check_may

TOKEN = re.compile(r"ldt_[A-Za-z0-9_-]{43}")
CHALLENGE = {"www-authenticate": 'Bearer realm="liandai"'}


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The person behind a request."""

    person: str
    institution: str
    kind: str
    roles: tuple[Role, ...]

    @property
    def actor(self) -> Actor:
        """As a leaf names them."""
        return Actor(institution=self.institution, user=self.person)

    @property
    def standing(self) -> Standing:
        """For whom this person's transactions speak."""
        match self.kind:
            case "auditor":
                return Standing("liandai_auditor", self.institution)
            case "operator":
                return SERVICE
            case _:
                return Standing("liandai_app", self.institution)


def token_hash(token: str) -> bytes:
    """What the database knows of a token."""
    return hashlib.sha256(token.encode()).digest()


async def asker_of(database: Database, authorization: str | None) -> Asker:
    """The person whose token it is. HttpRefusal 401 for anything else."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or TOKEN.fullmatch(token) is None:
        raise HttpRefusal(401, "token-needed", "send a bearer token", headers=CHALLENGE)
    async with database.transaction(NOBODY, read_only=True) as conn:
        found = await store.who_bears(conn, token_hash=token_hash(token))
    if found is None:
        raise HttpRefusal(401, "token-needed", "the token is not valid", headers=CHALLENGE)
    return Asker(
        person=found.person,
        institution=found.institution,
        kind=found.kind,
        roles=tuple(found.roles),
    )


class Needs:
    """A guard: the request bears a valid token, and its person's roles reach the action, if any.

    After it the person stands in the request's state as `asker`; nothing else of it was read.
    """

    def __init__(self, action: Action | None) -> None:
        assert action is None or action in get_args(Action), f"{action} is no action of the table"
        self.action = action

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        asker = await asker_of(
            connection.app.state.database, connection.headers.get("authorization")
        )
        connection.scope["state"]["asker"] = asker
        if self.action is not None:
            check_may(asker.roles, self.action)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Whose hands reach the action; every role where there is none."""
        return get_args(Role) if self.action is None else MAY[self.action]


def may(action: Action) -> Needs:
    """A guard: the request bears a valid token whose person's roles reach the action."""
    return Needs(action)


def any_member() -> Needs:
    """A guard: the request bears a valid token, whatever its person's roles."""
    return Needs(None)
