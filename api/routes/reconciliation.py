"""Reconciliation (对账): our side as a file, the bank's own statement, breaks and their settlement.

A statement is sent as the file itself, under its media type; what it is about stands in the query.
"""

import re
import secrets
from datetime import date
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import JSON, AtDesk, Desk, IdempotencyKey, Work
from api.identity import may
from api.problems import HttpRefusal
from api.routes.facility_desk import work_of
from ledger import service as ledger
from ledger.errors import Absent, WrongInput
from ledger.signatures import Statement
from syndicate.parties.institutions import check_id
from syndicate.reconciliation import formats, record, service
from syndicate.reconciliation import settling_service as settling
from syndicate.reconciliation.breaks import BreakProposal, Settled
from syndicate.reconciliation.formats import MEDIA_TYPES, Format
from syndicate.reconciliation.mapping import ITEMS, AccountMapping, Item
from syndicate.reconciliation.outcome import Document
from syndicate.reconciliation.record import OurSide
from syndicate.reconciliation.service import Counted, Submitted
from syndicate.reconciliation.settling_service import Attested, BreakList, BreakProposed

TAGS = ["reconciliation"]
MAX_PAGE = 200
RECONCILIATIONS = "/v1/books/{book:str}/reconciliations"
ONE = RECONCILIATIONS + "/{reconciliation:str}"
NAME = re.compile(r"[a-z][a-z0-9-]{1,39}\.[0-9]{4}-[0-9]{2}-[0-9]{2}\.[1-9][0-9]{0,8}", re.ASCII)


class Codes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Your code of every item; principal is what is not overdue, overdue (逾期本金) what is."""

    principal: str
    overdue: str
    interest: str
    penalty: str
    compound: str
    cash: str


class NewMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A version of your accounts (科目映射), from a day on."""

    valid_from: date
    codes: Codes


class Mappings(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's versions, oldest first."""

    bank: str
    versions: list[AccountMapping]


class ReconciliationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Reconciliations in numbers. next: pass it as `cursor` for the rest; null at the end."""

    reconciliations: list[Counted]
    next: str | None


class NewProposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What you would have the break be.

    status           attested: you accept our figure; noted: yours is noted beside it; disputed
    reason           why; "" where you attest
    document_sha256  of the document behind it; "" where you attest
    """

    status: Settled
    reason: str
    document_sha256: str


class ProposalQuoted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The digest of the proposal that you looked at."""

    proposal: str


class NewAttestation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """signed: your statement of kind "reconciliation" over the `to_sign` of the breaks."""

    signed: Statement


def _known(reconciliation: str) -> str:
    """The id itself, if it can be one: nothing else reaches the database. Raises Absent."""
    if NAME.fullmatch(reconciliation) is None:
        raise Absent("no reconciliation of that name in this book")
    return reconciliation


def _bank(desk: Desk, bank: str | None) -> str:
    """Whose side is asked for: the asker's own; an auditor says whose."""
    if desk.asker.kind == "auditor":
        if bank is None:
            raise WrongInput("bank", "the bank whose side is asked for")
        return check_id(bank, place="bank")
    if bank not in (None, desk.asker.institution):
        raise Absent("no side of that bank")
    return desk.asker.institution


@get(
    "/v1/books/{book:str}/statement-files",
    guards=[may("read-reconciliation")],
    tags=TAGS,
    media_type=MediaType.TEXT,
)
async def statement_file(
    desk: AtDesk,
    book: FromPath[str],
    since: FromQuery[date],
    on: FromQuery[date],
    format: FromQuery[Format],
    known_size: FromQuery[int | None] = None,
    bank: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Our side of a book for a bank as a file: what stands on a day, and the cash of the period.

    In your own accounts, by the mapping that counts on the day. An auditor names the bank.
    """

    async def question(conn: AsyncConnection) -> OurSide:
        await ledger.book(conn, book=book)
        whose = _bank(desk, bank)
        return await service.our_side(
            conn, book=book, bank=whose, since=since, on=on, known_size=known_size
        )

    ours = await desk.ask(question)
    content = formats.write(format, record.rows(ours), book=book, on=on.isoformat())
    ending = "xml" if format == "camt053" else format
    name = f"{book}-{ours.bank}-{on}-{ours.known_size}.{ending}"
    return Response(
        content,
        media_type=MEDIA_TYPES[format],
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "liandai-book": book,
            "liandai-known-size": str(ours.known_size),
        },
    )


@post(
    RECONCILIATIONS,
    guards=[may("submit-statement")],
    tags=TAGS,
    raw_body=tuple(MEDIA_TYPES.values()),
)
async def submit_statement(
    request: Request[Any, Any, Any],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
    book: FromPath[str],
    since: FromQuery[date],
    on: FromQuery[date],
    known_size: FromQuery[int | None] = None,
) -> Response[Submitted]:
    """Send your own statement of a day: the body is the file, CSV, XLSX or camt.053-shaped XML.

    CSV in GB18030 is declared as `text/csv; charset=gb18030`. One wrong cell refuses the file, by
    its row and column. A later statement of the same day corrects the one before.
    """
    upload = formats.upload_of(request.headers.get("content-type", ""), await request.body())
    if upload is None:
        known = ", ".join(MEDIA_TYPES.values())
        raise HttpRefusal(415, "file-expected", f"the body must be one of {known}")
    salt = secrets.token_bytes(32)

    async def use_case(work: Work) -> Submitted:
        return await service.submit(
            work_of(work),
            book=book,
            since=since,
            on=on,
            known_size=known_size,
            upload=upload,
            salt=salt,
        )

    return await desk.command(use_case, key=idempotency_key, book=book)


@get(RECONCILIATIONS, guards=[may("read-reconciliation")], tags=TAGS)
async def reconciliations(
    desk: AtDesk,
    book: FromPath[str],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> ReconciliationPage:
    """Which reconciliations there are, in numbers: your own; every bank's for the lead."""
    if not 1 <= limit <= MAX_PAGE:
        raise WrongInput("limit", f"1 to {MAX_PAGE}")
    if cursor is not None and NAME.fullmatch(cursor) is None:
        raise WrongInput("cursor", "the `next` of an earlier page")
    after = None if cursor is None else (_day_of(cursor), cursor)
    found = await desk.ask(lambda conn: service.page(conn, book=book, after=after, limit=limit + 1))
    shown = found[:limit]
    more = len(found) > limit
    return ReconciliationPage(
        reconciliations=shown, next=shown[-1].reconciliation if more else None
    )


def _day_of(cursor: str) -> date:
    try:
        return date.fromisoformat(cursor.split(".")[1])
    except ValueError as error:
        raise WrongInput("cursor", "the `next` of an earlier page") from error


@get(ONE, guards=[may("read-reconciliation")], tags=TAGS)
async def outcome(
    desk: AtDesk, book: FromPath[str], reconciliation: FromPath[str]
) -> Response[Document]:
    """What a reconciliation came to, line by line: the same bytes whenever it is asked."""
    known = _known(reconciliation)
    raw = await desk.ask(lambda conn: settling.document(conn, book=book, reconciliation=known))
    answered: Response[Any] = Response(content=raw, media_type=JSON)
    return answered


@get(ONE + "/breaks", guards=[may("read-reconciliation")], tags=TAGS)
async def breaks(desk: AtDesk, book: FromPath[str], reconciliation: FromPath[str]) -> BreakList:
    """The breaks (差异) as they stand, how old they are (账龄), and what remains to be signed."""
    known = _known(reconciliation)
    return await desk.ask(lambda conn: settling.standing(conn, book=book, reconciliation=known))


@post(ONE + "/breaks/{number:int}/proposal", guards=[may("propose-break")], tags=TAGS)
async def propose_break(
    book: FromPath[str],
    reconciliation: FromPath[str],
    number: FromPath[int],
    data: JSONBody[NewProposal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[BreakProposed]:
    """Say what a break should be: attested, noted or disputed. A second person approves it."""
    proposal = BreakProposal(
        number=number,
        status=data.status,
        reason=data.reason,
        document_sha256=data.document_sha256,
        maker=desk.asker.person,
    )

    async def use_case(work: Work) -> BreakProposed:
        return await settling.propose(
            work_of(work), book=book, reconciliation=_known(reconciliation), proposal=proposal
        )

    return await desk.command(use_case, key=idempotency_key, book=book)


@post(ONE + "/breaks/{number:int}/approval", guards=[may("settle-break")], tags=TAGS)
async def approve_break(
    book: FromPath[str],
    reconciliation: FromPath[str],
    number: FromPath[int],
    data: JSONBody[ProposalQuoted],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[BreakProposed]:
    """Approve a proposal as the second person: the break has its status now."""

    async def use_case(work: Work) -> BreakProposed:
        return await settling.approve(
            work_of(work),
            book=book,
            reconciliation=_known(reconciliation),
            number=number,
            quoted=data.proposal,
        )

    return await desk.command(use_case, key=idempotency_key, book=book)


@post(ONE + "/attestation", guards=[may("attest-reconciliation")], tags=TAGS)
async def attest_reconciliation(
    book: FromPath[str],
    reconciliation: FromPath[str],
    data: JSONBody[NewAttestation],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Attested]:
    """Agree to a whole reconciliation under your bank's key: a leaf of the book says so.

    Every break must be attested or noted before. Not by the person who sent the statement.
    """

    async def use_case(work: Work) -> Attested:
        return await settling.attest(
            work_of(work), book=book, reconciliation=_known(reconciliation), signed=data.signed
        )

    return await desk.command(use_case, key=idempotency_key, book=book)


@post("/v1/account-mappings", guards=[may("map-accounts")], tags=TAGS)
async def make_mapping(
    data: JSONBody[NewMapping], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[AccountMapping]:
    """Say which of your accounts (科目) our figures stand on, from a day on: a version more."""
    codes: dict[Item, str] = {item: getattr(data.codes, item) for item in ITEMS}

    async def use_case(work: Work) -> AccountMapping:
        return await service.make_mapping(work_of(work), valid_from=data.valid_from, codes=codes)

    return await desk.command(use_case, key=idempotency_key)


@get("/v1/account-mappings", guards=[may("read-reconciliation")], tags=TAGS)
async def mappings(desk: AtDesk, bank: FromQuery[str | None] = None) -> Mappings:
    """The versions of your mapping of accounts, oldest first; an auditor names the bank."""
    whose = _bank(desk, bank)
    found = await desk.ask(lambda conn: service.mappings(conn, bank=whose))
    return Mappings(bank=whose, versions=found)


HANDLERS = (
    statement_file,
    outcome,
    breaks,
    propose_break,
    approve_break,
    attest_reconciliation,
    make_mapping,
    mappings,
)
BULK_HANDLERS = (submit_statement, reconciliations)
"""Routes whose bodies may be longer, with those on the same path."""
