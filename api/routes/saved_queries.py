"""Saved queries: an institution keeps the questions it asks again and again, under names.

They are rows of the asker's own institution and say nothing to anybody else. They are written as a
member writes, never in the auditor's standing, which can write nothing at all.
"""

import re
from datetime import date, datetime
from typing import Any

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import store_saved
from api.database import Standing
from api.desk import AtDesk, Desk, IdempotencyKey, Work
from api.fact_types import check_fact
from api.identity import may
from ledger import listings
from ledger.documents import convert
from ledger.errors import Absent, Conflict, WrongInput
from ledger.known import MAX_BOOKS
from ledger.store import Found
from ledger.wanted import Wanted, check_wanted

TAGS = ["audit"]
NAME = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
FORMAT = 1


class NewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question to keep: filters of entries in some books, or (no book) in all you may read."""

    name: str
    books: tuple[str, ...]
    filters: Wanted


class SavedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A question kept under a name; saving another one there makes the next version."""

    name: str
    version: int
    books: tuple[str, ...]
    filters: Wanted
    person: str
    saved_at: datetime


class TakenAway(msgspec.Struct, frozen=True, kw_only=True):
    """A question that is kept no longer."""

    name: str


class SavedMeanwhile(Conflict):
    """Somebody of the institution saved the same name at the same moment."""

    code = "saved-meanwhile"


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As it stands in a row. v: of this shape."""

    v: int
    books: tuple[str, ...]
    filters: Wanted


def _own(desk: Desk) -> Standing:
    """A member's standing, an auditor's institution included: rows of one's own."""
    return Standing("liandai_app", desk.asker.institution)


def _shown(row: Found) -> SavedQuery:
    question = convert(row.question, _Question, place="$.question")
    return SavedQuery(
        name=row.name,
        version=row.version,
        books=question.books,
        filters=question.filters,
        person=row.person,
        saved_at=row.saved_at,
    )


async def _saved(desk: Desk, name: str, version: int | None) -> SavedQuery:
    async def question(conn: AsyncConnection) -> SavedQuery:
        row = await store_saved.saved_query(conn, name=name, version=version)
        if row is None:
            raise Absent(f"no saved query {name}")
        return _shown(row)

    if version is not None and not 1 <= version < 1 << 31:
        raise WrongInput("version", "a version from 1")
    return await desk.ask(question, standing=_own(desk))


@get("/v1/saved-queries", guards=[may("save-query")], tags=TAGS)
async def saved_queries(desk: AtDesk) -> list[SavedQuery]:
    """Your institution's saved queries as they stand, by name."""

    async def question(conn: AsyncConnection) -> list[SavedQuery]:
        return [_shown(row) for row in await store_saved.saved_queries(conn)]

    return await desk.ask(question, standing=_own(desk))


@post("/v1/saved-queries", guards=[may("save-query")], tags=TAGS)
async def save_query(
    data: JSONBody[NewQuery], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[SavedQuery]:
    """Save a query under a name of your institution's; the next version where there is one."""
    if NAME.fullmatch(data.name) is None:
        raise WrongInput("$.name", "a name of 2 to 40 of a-z 0-9 -, beginning with a letter")
    if len(data.books) > MAX_BOOKS or not all(map(_book_like, data.books)):
        raise WrongInput("$.books", f"at most {MAX_BOOKS} ids of books")
    _check_filters(data.filters)

    async def use_case(work: Work) -> SavedQuery:
        question = _Question(v=FORMAT, books=data.books, filters=data.filters)
        version = await _keep(work, data.name, msgspec.to_builtins(question))
        return SavedQuery(
            name=data.name,
            version=version,
            books=data.books,
            filters=data.filters,
            person=work.actor.user,
            saved_at=work.now,
        )

    return await desk.command(use_case, key=idempotency_key, standing=_own(desk))


def _check_filters(filters: Wanted) -> None:
    try:
        check_wanted(filters)
        check_fact(filters.fact)
    except WrongInput as error:
        raise WrongInput(f"$.filters.{error.place}", error.expected) from error


def _book_like(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", name, re.ASCII) is not None


async def _keep(work: Work, name: str, question: dict[str, Any] | None) -> int:
    version = await store_saved.save_query(
        work.conn,
        institution=work.actor.institution,
        name=name,
        question=question,
        person=work.actor.user,
        saved_at=work.now,
    )
    if version is None:
        raise SavedMeanwhile(f"{name} was saved by somebody else just now")
    return version


@get("/v1/saved-queries/{saved:str}", guards=[may("save-query")], tags=TAGS)
async def saved_query(
    desk: AtDesk, saved: FromPath[str], version: FromQuery[int | None] = None
) -> SavedQuery:
    """One saved query as it stands, or as it was saved as that version."""
    return await _saved(desk, saved, version)


@get("/v1/saved-queries/{saved:str}/entries", guards=[may("save-query")], tags=TAGS)
async def run_query(
    desk: AtDesk,
    saved: FromPath[str],
    version: FromQuery[int | None] = None,
    known_top: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    proof: FromQuery[bool] = False,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> listings.JoinedEntries:
    """Run a saved query: its entries at one moment, with sums of all of them."""
    found = await _saved(desk, saved, version)
    return await desk.ask(
        lambda conn: listings.joined(
            conn,
            books=found.books,
            filters=found.filters,
            known_top=known_top,
            known_on=known_on,
            cursor=cursor,
            limit=limit,
            proof=proof,
        )
    )


@delete("/v1/saved-queries/{saved:str}", guards=[may("save-query")], tags=TAGS, status_code=200)
async def take_query_away(
    saved: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[TakenAway]:
    """Take a saved query away; its name is free for another, which counts on from its versions."""

    async def use_case(work: Work) -> TakenAway:
        if await store_saved.saved_query(work.conn, name=saved, version=None) is None:
            raise Absent(f"no saved query {saved}")
        await _keep(work, saved, None)
        return TakenAway(name=saved)

    return await desk.command(use_case, key=idempotency_key, standing=_own(desk), status=200)


HANDLERS = (saved_queries, save_query, saved_query, run_query, take_query_away)
