"""Who asks: a bearer token becomes a person of an institution, or nobody.

A token is 32 random bytes in base64url behind `ldt_`; the database keeps its SHA-256. Wrong,
foreign, expired and revoked tokens look alike. What the person may do, `syndicate.parties` says.
"""

import asyncio
import hashlib
import re
import time
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
REMEMBERED = 1.0
"""Seconds for which a token once found good is not looked up again."""
MOST_REMEMBERED = 10_000
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


class Askers:
    """The persons of one process's requests, each remembered for at most REMEMBERED seconds.

    So a token that was revoked or ran out, and a role that was taken away, open nothing a second
    later; in the process where the operator did it, nothing from then on. However many requests
    bear a token at once, it is looked up once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Asker]] = {}
        self._asked: dict[bytes, asyncio.Task[Asker]] = {}

    async def find(self, authorization: str | None) -> Asker:
        """The person whose token it is. HttpRefusal 401 for anything else."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or TOKEN.fullmatch(token) is None:
            raise HttpRefusal(401, "token-needed", "send a bearer token", headers=CHALLENGE)
        digest, known = token_hash(token), self._known
        if digest in known and time.monotonic() < known[digest][0]:
            return known[digest][1]
        asked = self._asked
        if digest not in asked:
            asked[digest] = asyncio.create_task(self._look_up(digest, known))
            asked[digest].add_done_callback(lambda _: asked.pop(digest, None))
        return await asyncio.shield(asked[digest])

    def forget(self) -> None:
        """Everybody is looked up anew: who may do what may have changed."""
        # A look-up under way writes what it read before into the old ones.
        self._known, self._asked = {}, {}

    async def _look_up(self, digest: bytes, known: dict[bytes, tuple[float, Asker]]) -> Asker:
        asked_at = time.monotonic()
        asker = await self._read(digest)
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[digest] = (asked_at + REMEMBERED, asker)
        return asker

    async def _read(self, digest: bytes) -> Asker:
        async with self._database.driver_transaction(NOBODY) as driver:
            found = await store.who_bears(driver, token_hash=digest)
        if found is None:
            raise HttpRefusal(401, "token-needed", "the token is not valid", headers=CHALLENGE)
        return Asker(
            person=found["person"],
            institution=found["institution"],
            kind=found["kind"],
            roles=tuple(found["roles"]),
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
        askers: Askers = connection.app.state.askers
        asker = await askers.find(connection.headers.get("authorization"))
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
