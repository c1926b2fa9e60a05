"""How a state change is answered once, for ever, whatever the network does to it.

A command runs in one transaction that speaks for the asker's institution: what it records, what it
posts and the answer itself commit together under the client's Idempotency-Key. The same key with
the same bytes is answered the same bytes again; with other bytes it is refused; while the first is
still under way, 409. A refusal changes nothing but is an answer too: it is kept under the key, and
stands as a leaf of its own in the log of the book it concerned (I5, I7). Where leaves were
recorded, the answer carries the log key's promise to publish them, and so does every repeat.
"""

import hashlib
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import problems, store
from api.database import SERVICE, Database, Standing, driver_of
from api.grouping import Grouping
from api.identity import Asker, Askers
from api.installation import Installation
from ledger import house, house_moves, promising
from ledger import service as ledger
from ledger.errors import Absent, LiandaiError, Refused, WrongInput
from ledger.house import Posted, PostOwn
from ledger.leaves import Actor, Leaf
from ledger.store_noted import noted

T = TypeVar("T")
KEY = re.compile(r"[A-Za-z0-9._:-]{8,128}")
JSON = "application/json"
PROMISE = "liandai-promise"
"""The header in which an answer carries what the log's key promises (`ledger.promising`)."""

IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        description="The client's own name for this command, kept for ever: 8 to 128 of "
        "A-Z a-z 0-9 . _ : -",
        pattern=r"^[A-Za-z0-9._:-]{8,128}$",
    ),
]


Differs: TypeAlias = Callable[[AsyncConnection], Awaitable[list[str]]]
"""Where a request differs from what was recorded under its key; nothing where none can tell."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a use case is given: an open connection, who acts, and the server's clock."""

    conn: AsyncConnection
    actor: Actor
    now: datetime
    command: str

    def leaf_id(self, number: int) -> str:
        """The name of the n-th leaf of this command: its key, so that it can stand only once."""
        return f"{self.command}:{number}"


class Desk:
    """The counter behind every route: it runs commands and queries for the person who asks."""

    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self._request = request
        self._database: Database = request.app.state.database
        self._askers: Askers = request.app.state.askers
        self._grouping: Grouping = request.app.state.grouping
        self.installation: Installation = request.app.state.installation
        self.asker: Asker = request.scope["state"]["asker"]

    async def ask(
        self,
        question: Callable[[AsyncConnection], Awaitable[T]],
        *,
        standing: Standing | None = None,
    ) -> T:
        """The answer to a question that changes nothing: its transaction can only read."""
        async with self._database.transaction(
            standing or self.asker.standing, read_only=True
        ) as conn:
            return await question(conn)

    async def rows(
        self, question: Callable[[AsyncConnection], AsyncGenerator[T, None]]
    ) -> AsyncIterator[T]:
        """A long answer row by row, in a transaction that only reads and ends with the last row.

        It outlives the request's handler, and holds a connection while somebody downloads: only so
        many at once, the others wait.
        """
        async with (
            self._request.app.state.downloads,
            self._database.transaction(self.asker.standing, read_only=True) as conn,
            aclosing(question(conn)) as found,
        ):
            async for row in found:
                yield row

    async def recorded(self, use_case: Callable[[Work], Awaitable[T]]) -> T:
        """The answer to a question whose asking is itself on record, committed before the answer.

        The use case returns a refusal instead of raising it, so that its record stays. No key keeps
        the answer: what may be seen today may be forbidden tomorrow, so each asking is judged anew.
        """
        async with self._database.transaction(self.asker.standing) as conn:
            name = f"{self.asker.institution}:{secrets.token_hex(16)}"
            now = datetime.now(UTC)
            return await use_case(Work(conn=conn, actor=self.asker.actor, now=now, command=name))

    async def command(
        self,
        use_case: Callable[[Work], Awaitable[T]],
        *,
        key: str,
        book: str | None = None,
        standing: Standing | None = None,
        status: int = 201,
        differs: Differs | None = None,
    ) -> Response[T]:
        """The use case's answer, given once for ever under the key.

        The bytes are encoded here, once, so that a repeat is answered byte for byte.

        book      whose log a refusal is recorded in, where the asker takes part in it
        standing  another standing than the asker's own, for what only the service may do
        differs   names what of the request is not as it was recorded under the same key
        """
        asked_as = standing or self.asker.standing
        request_hash = await self._request_hash()
        now = datetime.now(UTC)
        try:
            async with self._database.transaction(asked_as) as conn:
                known = await self._known(conn, key=key, request_hash=request_hash, differs=differs)
                if known is not None:
                    return known
                work = Work(
                    conn=conn, actor=self.asker.actor, now=now, command=self.command_name(key)
                )
                with noted(conn) as recorded:
                    body = msgspec.json.encode(await use_case(work))
                promise = promising.promise(recorded, signer=self.installation.signer)
                await self._keep(
                    conn,
                    key=key,
                    request_hash=request_hash,
                    status=status,
                    body=body,
                    now=now,
                    promise=promise,
                )
        except (Refused, WrongInput) as error:
            return await self._refused(
                error, asked_as, key=key, request_hash=request_hash, book=book, now=now
            )
        if self.asker.kind == "operator":
            self._askers.forget()  # roles and tokens are the operator's to change
        answered: Response[Any] = Response(
            content=body, status_code=status, media_type=JSON, headers=_carrying(promise)
        )
        return answered

    async def post_own(
        self, asked: PostOwn, answer: Callable[[Posted], T], *, key: str
    ) -> Response[T]:
        """The answer to a posting in a house book, given once for ever under the key.

        As a `command` in every way, but that it may share its transaction with others.
        """
        body = await self._grouping.post(
            self.asker.standing,
            key=key,
            request_hash=await self._request_hash(),
            asked=asked,
            answer=lambda posted: msgspec.json.encode(answer(posted)),
        )
        if body is not None:
            answered: Response[Any] = Response(content=body, status_code=201, media_type=JSON)
            return answered

        async def alone(work: Work) -> T:
            (posted,) = await house.post_own(await driver_of(work.conn), [asked])
            return answer(posted)

        async def differs(conn: AsyncConnection) -> list[str]:
            return await house_moves.differences(conn, house_moves.as_moves(asked))

        return await self.command(alone, key=key, book=asked.book, differs=differs)

    def command_name(self, key: str) -> str:
        """The key as a leaf names it: no two institutions' keys are the same."""
        return f"{self.asker.institution}:{key}"

    async def _request_hash(self) -> bytes:
        request = self._request
        raw = "raw_body" in request.route_handler.opt
        takes_body = raw or "data" in request.route_handler.parsed_fn_signature.parameters
        if not takes_body and (await request.body()).strip() not in (b"", b"{}"):
            raise problems.HttpRefusal(422, "no-body-expected", "this command takes no fields")
        digest = hashlib.sha256()
        parts = [request.method.encode(), request.scope["raw_path"], await request.body()]
        if raw:  # a file does not say for itself what it is about
            media_type = request.headers.get("content-type", "")
            parts += [request.scope["query_string"], media_type.encode()]
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    async def _known(
        self,
        conn: AsyncConnection,
        *,
        key: str,
        request_hash: bytes,
        differs: Differs | None = None,
    ) -> Response[Any] | None:
        """The answer already given under the key; the key is this transaction's otherwise."""
        (given,) = await store.claim(
            await driver_of(conn), institution=self.asker.institution, keys=[key]
        )
        if not given.free:
            raise problems.HttpRefusal(
                409, "in-flight", "the same Idempotency-Key is being answered; ask again"
            )
        if given.status is None:
            return None
        if given.request_hash != request_hash:
            named = [] if differs is None else await _named(differs, conn)
            raise problems.HttpRefusal(
                422,
                "key-reused",
                "; ".join(["this Idempotency-Key was used for another request", *named]),
                fields={"differences": named} if named else None,
            )
        return Response(
            content=given.body,
            status_code=given.status,
            media_type=given.media_type,
            headers={"idempotency-replayed": "true", **_carrying(given.promise)},
        )

    async def _keep(
        self,
        conn: AsyncConnection,
        *,
        key: str,
        request_hash: bytes,
        status: int,
        body: bytes,
        now: datetime,
        promise: str | None,
        media_type: str = JSON,
    ) -> None:
        answer = store.Answer(
            institution=self.asker.institution,
            key=key,
            request_hash=request_hash,
            status=status,
            media_type=media_type,
            body=body,
            answered_at=now,
            promise=promise,
        )
        await store.add_answers(await driver_of(conn), [answer])

    async def _refused(
        self,
        error: LiandaiError,
        standing: Standing,
        *,
        key: str,
        request_hash: bytes,
        book: str | None,
        now: datetime,
    ) -> Response[Any]:
        """The refusal as an answer kept for ever, and as a leaf where a book is concerned."""
        request_id = str(self._request.scope["state"]["request_id"])
        problem, headers = problems.problem_of(error, request_id=request_id)
        body = msgspec.json.encode(problem)
        async with self._database.transaction(standing) as conn:
            known = await self._known(conn, key=key, request_hash=request_hash)
            if known is not None:
                return known
            with noted(conn) as recorded:
                if book is not None and isinstance(error, Refused):
                    await self._record(conn, error, book=book, key=key, now=now)
            promise = promising.promise(recorded, signer=self.installation.signer)
            await self._keep(
                conn,
                key=key,
                request_hash=request_hash,
                status=problem.status,
                body=body,
                now=now,
                promise=promise,
                media_type=problems.MEDIA_TYPE,
            )
        return Response(
            content=body,
            status_code=problem.status,
            media_type=problems.MEDIA_TYPE,
            headers={**(headers or {}), **_carrying(promise)},
        )

    async def _record(
        self, conn: AsyncConnection, error: Refused, *, book: str, key: str, now: datetime
    ) -> None:
        try:
            async with conn.begin_nested():  # the answer is still kept where the hold is refused
                held = await ledger.hold(conn, book=book)
        except Absent:
            return  # no part in the book, or no such book: nothing of the try enters it
        subject = {
            "type": "Refused",
            "code": error.code,
            "asked": f"{self._request.method} {self._request.scope['path_template']}",
        }
        await ledger.append(
            conn,
            [
                Leaf(
                    book=book,
                    kind="refusal",
                    leaf_id=f"{self.asker.institution}:{key}:refused",
                    subject=subject,
                    entries=(),
                    value_date=held.open_day,
                    booking_date=held.open_day,
                    recorded_at=now,
                    actor=self.asker.actor,
                    corrects=None,
                )
            ],
        )


def _carrying(promise: str | None) -> dict[str, str]:
    return {} if promise is None else {PROMISE: promise}


async def _named(differs: Differs, conn: AsyncConnection) -> list[str]:
    try:
        return await differs(conn)
    except WrongInput:
        return []  # what cannot be read is like nothing that was recorded


async def provide_desk(request: Request[Any, Any, Any]) -> Desk:
    """The desk of this request; its guards have already found the asker."""
    return Desk(request)


AtDesk = NamedDependency[Desk]
"""How a handler asks for the desk of its request."""

__all__ = ["JSON", "SERVICE", "AtDesk", "Desk", "Differs", "IdempotencyKey", "Work", "provide_desk"]
