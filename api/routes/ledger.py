"""The books and their logs: what they record, their heads, proofs, cosignatures, bundles.

What stands on the accounts is asked in `ledger_entries`.
"""

import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.attachments import reference
from api.database import NOBODY, SERVICE
from api.desk import AtDesk, Desk, IdempotencyKey, Work
from api.fact_types import check_fact
from api.identity import any_member, may
from api.routes.ledger_proofs import witnessing
from ledger import evidence, notes, publishing
from ledger import service as ledger
from ledger.errors import NotAllowed, WrongInput
from ledger.leaves import Actor
from ledger.listings import page_of
from ledger.notes import COSIGNATURE_V1, VerifierKey
from ledger.wanted import Wanted, check_wanted
from syndicate.parties import service as parties

TAGS = ["ledger"]
ZIP = "application/zip"


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A book you have a part in. published: how many leaves stand under a signed checkpoint."""

    book: str
    open_day: date
    size: int
    published: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf of the log without its verbatim bytes. of: the record it resolves or reverses."""

    position: int
    record: str
    kind: str
    subject: dict[str, Any]
    actor: Actor
    corrects: str | None
    of: str | None
    value_date: date
    booking_date: date
    recorded_at: datetime
    leaf_hash: str


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what a book records. next: pass it as `after`; null at the end."""

    book: str
    records: list[Record]
    next: int | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A published head: a C2SP checkpoint with the cosignatures received for it."""

    book: str
    size: int
    root: str
    note: str


class TreeProof(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 6962 proof, hashes in hex, bottom up."""

    book: str
    size: int
    hashes: list[str]


class Cosignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A witness's signature line under the top log's checkpoint of that size."""

    size: int
    line: str


@get("/v1/books", guards=[may("read-ledger")], tags=TAGS)
async def books(desk: AtDesk) -> list[Book]:
    """The books you take part in; all of them for an auditor."""

    async def question(conn: AsyncConnection) -> list[Book]:
        return [
            Book(
                book=row.book,
                open_day=row.open_day,
                size=row.size,
                published=await ledger.published_size(conn, book=row.book),
            )
            for row in await ledger.books(conn)
        ]

    return await desk.ask(question)


@get("/v1/books/{book:str}/records", guards=[may("read-records")], tags=TAGS)
async def records(
    desk: AtDesk,
    book: FromPath[str],
    after: FromQuery[int] = -1,
    limit: FromQuery[int] = 100,
    kind: FromQuery[str | None] = None,
    fact: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
) -> Records:
    """What the book records, in log order: facts, refusals, seals of days, consents, keys."""
    page = page_of(limit)
    check_wanted(Wanted(fact=fact, source=source))
    check_fact(fact)
    if kind is not None and kind not in evidence.ALL_KINDS:
        raise WrongInput("kind", f"one of {', '.join(evidence.ALL_KINDS)}")

    async def question(conn: AsyncConnection) -> Records:
        await ledger.book(conn, book=book)
        kinds = [kind] if kind is not None else evidence.ALL_KINDS
        found = await ledger.records(
            conn, book=book, kinds=kinds, fact=fact, source=source, after=after, limit=page + 1
        )
        shown = [_record(item) for item in found[:page]]
        more = len(found) > page
        return Records(book=book, records=shown, next=shown[-1].position if more else None)

    return await desk.ask(question)


@get("/v1/books/{book:str}/records/{record:str}", guards=[may("read-records")], tags=TAGS)
async def record(desk: AtDesk, book: FromPath[str], record: FromPath[str]) -> Record:
    """One record by its id: who did it, when, on what ground, and its place in the log."""
    return _record(await desk.ask(lambda conn: ledger.fact(conn, book=book, leaf_id=record)))


def _record(item: ledger.Recorded) -> Record:
    return Record(
        position=item.position,
        record=item.leaf_id,
        kind=item.kind,
        subject=item.subject,
        actor=item.actor,
        corrects=item.corrects,
        of=item.of,
        value_date=item.value_date,
        booking_date=item.booking_date,
        recorded_at=item.recorded_at,
        leaf_hash=item.hash.hex(),
    )


def _head(head: publishing.Witnessed) -> Head:
    return Head(
        book=head.book, size=head.size, root=head.root.hex(), note=head.note.decode("utf-8")
    )


@get("/v1/books/{book:str}/checkpoint", guards=[any_member()], tags=TAGS)
async def book_head(desk: AtDesk, book: FromPath[str], size: FromQuery[int | None] = None) -> Head:
    """The book's signed head: the latest, or of a published size."""
    return _head(await desk.ask(lambda conn: publishing.checkpoint(conn, book=book, size=size)))


@get("/v1/books/{book:str}/proofs/inclusion", guards=[any_member()], tags=TAGS)
async def inclusion(
    desk: AtDesk, book: FromPath[str], position: FromQuery[int], size: FromQuery[int]
) -> TreeProof:
    """That the leaf at a position is in the tree of a published size (RFC 6962 2.1.1)."""
    hashes = await desk.ask(
        lambda conn: publishing.inclusion(conn, book=book, position=position, size=size)
    )
    return TreeProof(book=book, size=size, hashes=[digest.hex() for digest in hashes])


@get("/v1/books/{book:str}/proofs/consistency", guards=[any_member()], tags=TAGS)
async def consistency(
    desk: AtDesk, book: FromPath[str], old_size: FromQuery[int], new_size: FromQuery[int]
) -> TreeProof:
    """That the tree of the new size only added to the tree of the old one (RFC 6962 2.1.2)."""
    hashes = await desk.ask(
        lambda conn: publishing.consistency(conn, book=book, old_size=old_size, new_size=new_size)
    )
    return TreeProof(book=book, size=new_size, hashes=[digest.hex() for digest in hashes])


@get("/v1/log/checkpoint", security=[{}], tags=["log"], media_type=MediaType.TEXT)
async def top_head(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The top log's latest head, public: a C2SP checkpoint as plain text."""
    async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
        head = await publishing.checkpoint(conn, book=publishing.TOP)
    return Response(
        head.note,
        media_type="text/plain",
        headers={"cache-control": "no-store"},
    )


@get("/v1/log/proofs/consistency", security=[{}], tags=["log"])
async def top_consistency(
    request: Request[Any, Any, Any], old_size: FromQuery[int], new_size: FromQuery[int]
) -> TreeProof:
    """That the top log only grew between two sizes, public, for witnesses."""
    async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
        hashes = await publishing.consistency(
            conn, book=publishing.TOP, old_size=old_size, new_size=new_size
        )
    return TreeProof(book=publishing.TOP, size=new_size, hashes=[digest.hex() for digest in hashes])


@post("/v1/log/cosignatures", guards=[may("confirm-payment")], tags=["log"])
async def cosign(
    data: JSONBody[Cosignature], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Head]:
    """Hand in your cosignature of the top log's head: you have seen no other history.

    The line is made with one of your institution's registered keys, under the institution's id.
    """

    async def use_case(work: Work) -> Head:
        witness = await _witness(work, desk, line=data.line, size=data.size)
        installation = desk.installation
        await publishing.cosign(
            work.conn,
            book=publishing.TOP,
            size=data.size,
            line=data.line.encode(),
            witness=witness,
            installation=installation.name,
            signer=installation.signer,
            now=work.now,
        )
        return _head(await publishing.checkpoint(work.conn, book=publishing.TOP, size=data.size))

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE)


async def _witness(work: Work, desk: Desk, *, line: str, size: int) -> VerifierKey:
    """The registered key of the asker's institution under which the line verifies."""
    note = await publishing.note_of(work.conn, book=publishing.TOP, size=size)
    for key in (await parties.keys(work.conn)).values():
        if key.institution != desk.asker.institution or key.until is not None:
            continue
        witness = VerifierKey(key.institution, COSIGNATURE_V1, key.public)
        try:
            opened = notes.open_note(notes.with_signatures(note, [line.encode()]), [witness])
        except notes.NotSigned:
            continue
        if opened.signed_by:
            return witness
    raise NotAllowed("the line is no cosignature of this checkpoint by your institution's key")


@get("/v1/bundle", guards=[may("export-bundle")], tags=["audit"], media_type=ZIP)
async def bundle(
    desk: AtDesk,
    books: FromQuery[str | None] = None,
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The audit bundle of some books (comma-separated; all, where none is named) as a zip file.

    Unpack it and run `liandai verify`, offline, with the keys you trust from elsewhere. With
    `witnessed` it ends at the last head that so many witnesses have cosigned, so that it verifies
    under a policy of that threshold whenever it is taken.
    """
    wanted = tuple(books.split(",")) if books else ()
    asked = witnessing(witnessed, witnesses)
    files = await desk.ask(
        lambda conn: evidence.bundle(
            conn,
            books=wanted,
            installation=desk.installation.name,
            signer=desk.installation.signer,
            witnessing=asked,
            attachments=reference(),
        )
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(name, files[name])
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Response(
        packed.getvalue(),
        media_type=ZIP,
        headers={"content-disposition": f'attachment; filename="liandai-{stamp}.zip"'},
    )


HANDLERS = (
    books,
    records,
    record,
    book_head,
    inclusion,
    consistency,
    top_head,
    top_consistency,
    cosign,
    bundle,
)
