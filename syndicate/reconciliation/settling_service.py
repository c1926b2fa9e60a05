"""How the breaks of a reconciliation are settled by two persons, and the whole signed by the bank.

    document   what the reconciliation came to, byte for byte
    standing   where its breaks are now, how old, and what remains to be signed
    propose, approve   one person's word on a break, then a second's
    attest     the bank agrees to the whole: a leaf of the book, under its own key

Every change holds the book first, so that two of them never pass one another.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.documents import read_document
from ledger.errors import Absent
from ledger.service import HeldBook
from ledger.store import Found
from syndicate.facility.records import Work
from syndicate.facility.views import ToSign
from syndicate.parties import service as parties
from syndicate.parties.statements import Statement, check_statement
from syndicate.reconciliation import ageing, breaks, outcome, store
from syndicate.reconciliation.breaks import (
    OPEN,
    AlreadyAttested,
    BreakProposal,
    BreakStanding,
    BreakStatus,
    BreakStep,
    NoSuchBreak,
    SameHands,
    Settled,
    Superseded,
)
from syndicate.reconciliation.causes import Cause, Outcome
from syndicate.reconciliation.outcome import Document
from syndicate.reconciliation.service import note

KIND = "reconciliation"
"""Of the statement that a bank signs."""


class BreakProposed(msgspec.Struct, frozen=True, kw_only=True):
    """A first person's word. proposal: its digest, which the second person quotes."""

    number: int
    status: Settled
    reason: str
    document_sha256: str
    maker: str
    proposal: str


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """One break as it stands.

    number        of the line in the outcome
    age_workdays  working days since the day of the statement, to today or to when it was settled
    pending       a proposal that waits for a second person
    """

    number: int
    line: str
    loan_no: str
    account: str
    cause: Cause
    because: str
    difference_minor: int
    status: BreakStatus
    reason: str
    document_sha256: str
    maker: str | None
    checker: str | None
    age_workdays: int
    age_band: ageing.Band
    pending: BreakProposed | None


class BreakList(msgspec.Struct, frozen=True, kw_only=True):
    """The breaks of a reconciliation.

    ageing         how many are open or disputed, by band of working days
    superseded_by  the corrected statement that took this one's place
    to_sign        what the bank signs to agree to the whole; null while a break is not settled
    """

    reconciliation: str
    bank: str
    on: date
    breaks: tuple[Break, ...]
    ageing: dict[ageing.Band, int]
    superseded_by: str | None
    attested: bool
    to_sign: ToSign | None


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """The bank agreed to the whole.

    known_size  how many leaves of the book's log were known: the published size it was made at
    record      the leaf that says so
    """

    reconciliation: str
    on: date
    known_size: int
    attested_by: str
    record: str
    position: int


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is about one reconciliation."""

    raw: bytes
    salt: bytes
    submitted_by: str
    document: Document
    steps: Sequence[Found]
    superseded_by: str | None
    attested: bool

    @property
    def breaks(self) -> dict[int, Outcome]:
        """The lines that differ, by number."""
        return {line.number: line for line in self.document.lines if line.cause is not None}

    @property
    def standings(self) -> dict[int, BreakStanding]:
        """Where each break that was touched is."""
        return breaks.after(_step(row) for row in self.steps)


def _step(row: Found) -> BreakStep:
    return BreakStep(
        proposal=BreakProposal(
            number=row.number,
            status=row.status,
            reason=row.reason,
            document_sha256=row.document_sha256,
            maker=row.maker,
        ),
        checker=row.checker,
        business_day=row.business_day,
        recorded_at=row.recorded_at,
    )


async def _found(conn: AsyncConnection, *, book: str, reconciliation: str) -> _Found:
    row = await store.outcome(conn, book=book, reconciliation=reconciliation)
    if row is None:
        raise Absent("no reconciliation of that name in this book")
    document = read_document(row.document, Document)
    later = [
        other.reconciliation
        for other in await store.of_day(conn, book=book, bank=row.bank, on=document.on)
        if other.version > document.version
    ]
    signed = await store.attestation(conn, book=book, reconciliation=reconciliation)
    return _Found(
        raw=row.document,
        salt=row.salt,
        submitted_by=row.submitted_by,
        document=document,
        steps=await store.steps(conn, book=book, reconciliation=reconciliation),
        superseded_by=later[-1] if later else None,
        attested=signed is not None,
    )


async def document(conn: AsyncConnection, *, book: str, reconciliation: str) -> bytes:
    """What it came to, the same bytes for ever. Raises Absent for anybody else's."""
    row = await store.outcome(conn, book=book, reconciliation=reconciliation)
    if row is None:
        raise Absent("no reconciliation of that name in this book")
    return bytes(row.document)


# ---- where the breaks are


async def standing(conn: AsyncConnection, *, book: str, reconciliation: str) -> BreakList:
    """The breaks as they stand on the book's open day. Raises Absent for anybody else's."""
    found = await _found(conn, book=book, reconciliation=reconciliation)
    today = (await ledger.book(conn, book=book)).open_day
    standings = found.standings
    shown = tuple(
        _break(line, standings.get(number, OPEN), on=found.document.on, today=today)
        for number, line in found.breaks.items()
    )
    bands: dict[ageing.Band, int] = {}
    for line in shown:
        if line.status not in breaks.FINAL:
            bands[line.age_band] = bands.get(line.age_band, 0) + 1
    settled = all(line.status in breaks.FINAL for line in shown)
    return BreakList(
        reconciliation=reconciliation,
        bank=found.document.bank,
        on=found.document.on,
        breaks=shown,
        ageing=bands,
        superseded_by=found.superseded_by,
        attested=found.attested,
        to_sign=ToSign(kind=KIND, body=_body(found))
        if settled and found.superseded_by is None and not found.attested
        else None,
    )


def _break(line: Outcome, at: BreakStanding, *, on: date, today: date) -> Break:
    done = at.settled
    final = at.status in breaks.FINAL and done is not None
    age = ageing.workdays_between(on, done.business_day if final and done else today)
    assert line.cause is not None, "a break has a cause"
    return Break(
        number=line.number,
        line=line.line,
        loan_no=line.loan_no,
        account=line.account,
        cause=line.cause,
        because=line.because,
        difference_minor=line.difference_minor,
        status=at.status,
        reason="" if done is None else done.proposal.reason,
        document_sha256="" if done is None else done.proposal.document_sha256,
        maker=None if done is None else done.proposal.maker,
        checker=None if done is None else done.checker,
        age_workdays=age,
        age_band=ageing.band(age),
        pending=None if at.pending is None else _proposed(at.pending),
    )


def _proposed(proposal: BreakProposal) -> BreakProposed:
    return BreakProposed(**msgspec.structs.asdict(proposal), proposal=breaks.digest(proposal))


def _body(found: _Found) -> dict[str, Any]:
    statuses = breaks.settled_of(found.standings, found.breaks)
    return outcome.attestation_body(found.document, found.raw, statuses, salt=found.salt)


# ---- settling


async def propose(
    work: Work, *, book: str, reconciliation: str, proposal: BreakProposal
) -> BreakProposed:
    """The proposal stands and waits for a second person. Raises the refusals of `breaks`."""
    held, found = await _held(work, book=book, reconciliation=reconciliation)
    at = _at(found, proposal.number)
    await _add(work, held, found, breaks.propose(at, proposal), checker=None)
    return _proposed(proposal)


async def approve(
    work: Work, *, book: str, reconciliation: str, number: int, quoted: str
) -> BreakProposed:
    """The break has the status that was proposed, by a second person's word."""
    held, found = await _held(work, book=book, reconciliation=reconciliation)
    at = _at(found, number)
    checker = work.actor.user
    approved = breaks.approve(at, number=number, quoted=quoted, checker=checker)
    await _add(work, held, found, approved, checker=checker)
    return _proposed(approved)


async def attest(work: Work, *, book: str, reconciliation: str, signed: Statement) -> Attested:
    """The bank agrees to the whole, in a leaf of the book that carries its signature.

    signed  the bank's statement of kind `reconciliation` over the `to_sign` of its breaks
    Raises NotSettled while a break is open or disputed, SameHands for who submitted the statement,
    Superseded, AlreadyAttested, NotTheirs, SaysOtherwise.
    """
    held, found = await _held(work, book=book, reconciliation=reconciliation)
    if found.submitted_by == work.actor.user:
        raise SameHands(work.actor.user)
    bank = found.document.bank
    check_statement(signed, kind=KIND, by=bank, body=_body(found))
    await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    subject = {
        "type": "ReconciliationAttested",
        "reconciliation": reconciliation,
        "bank": bank,
        "signed": msgspec.to_builtins(signed),
    }
    position = await note(work, held, subject)
    await store.add_attestation(
        work.conn,
        book=book,
        reconciliation=reconciliation,
        bank=bank,
        position=position,
        attested_by=work.actor.user,
        attested_at=work.now,
    )
    return Attested(
        reconciliation=reconciliation,
        on=found.document.on,
        known_size=found.document.known_size,
        attested_by=work.actor.user,
        record=f"{work.command}:0",
        position=position,
    )


async def _held(work: Work, *, book: str, reconciliation: str) -> tuple[HeldBook, _Found]:
    """The reconciliation, held so that nothing else happens to it. Superseded, AlreadyAttested."""
    held = await ledger.hold(work.conn, book=book)
    found = await _found(work.conn, book=book, reconciliation=reconciliation)
    if found.superseded_by is not None:
        raise Superseded(found.superseded_by)
    if found.attested:
        raise AlreadyAttested(reconciliation)
    return held, found


def _at(found: _Found, number: int) -> BreakStanding:
    if number not in found.breaks:
        raise NoSuchBreak(number)
    return found.standings.get(number, OPEN)


async def _add(
    work: Work, held: HeldBook, found: _Found, proposal: BreakProposal, *, checker: str | None
) -> None:
    await store.add_step(
        work.conn,
        book=held.book,
        reconciliation=found.document.reconciliation,
        step=len(found.steps) + 1,
        bank=found.document.bank,
        number=proposal.number,
        status=proposal.status,
        reason=proposal.reason,
        document_sha256=proposal.document_sha256,
        maker=proposal.maker,
        checker=checker,
        business_day=held.open_day,
        recorded_at=work.now,
    )
