"""A facility as of a date and as known at a position of its log: its loans, and what a record rests
on. The same question is answered the same for ever.

What is known is the fold of the facts below the position. As of a date that fold cannot be cut, as
a payment valued before a date may rest on an instruction recorded after it; the amounts as of a
date are therefore the balances of the loans' accounts by value date (I3 holds the two equal where
no date is asked for).
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import known, service
from ledger.errors import Absent, WrongInput
from ledger.known import KnownBook
from ledger.leaves import Actor
from ledger.signatures import Statement
from ledger.wanted import SOURCE_LISTS, SOURCES
from syndicate.facility import records, store
from syndicate.facility.facts import RiskClass
from syndicate.facility.log import FacilityLog, Noted, trace
from syndicate.facility.positions import Position, positions
from syndicate.facility.views import Viewer, may_see

LOAN_CODES = {
    "due.principal": "principal_minor",
    "due.overdue": "overdue_minor",
    "due.interest": "interest_minor",
    "due.penalty": "penalty_minor",
    "due.compound": "compound_minor",
}
"""The accounts between a bank and the borrower that a loan consists of, and what they hold."""


class LoanPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One loan (借据): principal (本金) not overdue and overdue, interest (利息), penalty (罚息),
    compound interest (复利).

    written_down_minor, days_overdue, risk_class  as known at the position; the class is the banks'
    own affair and null to the borrower
    """

    draw: str
    bank: str
    loan_no: str
    drawn_on: date | None
    amount_minor: int
    principal_minor: int
    overdue_minor: int
    interest_minor: int
    penalty_minor: int
    compound_minor: int
    written_down_minor: int
    days_overdue: int
    risk_class: RiskClass | None


class LoanPositions(msgspec.Struct, frozen=True, kw_only=True):
    """A facility's loans that the asker may see, in the order of draws and seats.

    on     the day days overdue are counted to
    as_of  the value date of the amounts; null: everything known counts
    """

    facility: str
    known_size: int
    checkpoint: known.Under | None
    on: date | None
    as_of: date | None
    currency: str | None
    loans: tuple[LoanPosition, ...]


async def loan_positions(
    conn: AsyncConnection,
    *,
    facility: str,
    viewer: Viewer,
    as_of: date | None,
    known_size: int | None,
    known_on: date | None,
) -> LoanPositions:
    """Every loan released by then. Nothing where the facility was not formed by then.

    Raises Absent, NotPublished, DayNotClosed, WrongInput as `ledger.known.in_book`.
    """
    await records.check_facility(conn, facility)
    at = await known.in_book(conn, book=facility, known_size=known_size, known_on=known_on)
    log = await records.load_at(conn, facility, below=at.known_size)
    if log is None:
        return _answer(at, on=None, as_of=as_of, currency=None, loans=())
    on = as_of or known_on or list(log.noted.values())[-1].booking_date
    borrower = log.state.terms.borrower
    loans = tuple(
        _loan(line, tells_class=viewer.institution != borrower)
        for line in positions(log.state, on)
        if may_see(log.state, viewer, line.bank)
    )
    if as_of is not None:
        held = await _balances(conn, at, as_of)
        loans = tuple(_as_of(loan, held, borrower) for loan in loans)
    return _answer(at, on=on, as_of=as_of, currency=log.state.terms.currency, loans=loans)


def _answer(
    at: KnownBook,
    *,
    on: date | None,
    as_of: date | None,
    currency: str | None,
    loans: tuple[LoanPosition, ...],
) -> LoanPositions:
    return LoanPositions(
        facility=at.book,
        known_size=at.known_size,
        checkpoint=at.checkpoint,
        on=on,
        as_of=as_of,
        currency=currency,
        loans=loans,
    )


def _loan(line: Position, *, tells_class: bool) -> LoanPosition:
    found = msgspec.structs.asdict(line)
    return LoanPosition(**{**found, "risk_class": line.risk_class if tells_class else None})


_Held = Mapping[tuple[str, str, str, str], int]


async def _balances(conn: AsyncConnection, at: KnownBook, as_of: date) -> _Held:
    """(party, code, counterparty, ref) -> balance by value date, of the accounts one may see."""
    found = await service.balances(
        conn, book=at.book, wanted={"value_until": as_of, "known_size": at.known_size}
    )
    return {
        (one.account.party, one.account.code, one.account.counterparty, one.account.ref): (
            one.balance_minor
        )
        for one in found
    }


def _as_of(loan: LoanPosition, held: _Held, borrower: str) -> LoanPosition:
    """The amounts on the loan's accounts: the bank's side, or the borrower's mirror of it."""

    def amount(code: str) -> int:
        own = held.get((loan.bank, code, borrower, loan.draw))
        return -held.get((borrower, code, loan.bank, loan.draw), 0) if own is None else own

    amounts = {field: amount(code) for code, field in LOAN_CODES.items()}
    return msgspec.structs.replace(loan, **amounts)


# ---- what a record rests on


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A source document that a record names: which of its fields, and the reference or hash."""

    field: str
    value: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One record on the way back from an entry.

    name       the fact's own name in its book, as `confirmed:pay-1`; null where it has none
    what       the type of fact; `says`: all of it, signed statements verbatim
    maker, checker  the two persons behind it, where it took two
    documents  source documents it names
    """

    book: str
    position: int
    record: str
    leaf_hash: str
    name: str | None
    what: str
    says: dict[str, Any]
    signed_by: tuple[str, ...]
    maker: str | None
    checker: str | None
    actor: Actor
    value_date: date
    booking_date: date
    documents: tuple[Document, ...]


class Rested(msgspec.Struct, frozen=True, kw_only=True):
    """What a facility's record rests on in the facility, and the negotiation before it."""

    at: KnownBook
    record: str
    negotiation: str | None
    links: tuple[Link, ...]


async def rests_on(
    conn: AsyncConnection,
    *,
    facility: str,
    record: str | None,
    payment: str | None,
    viewer: Viewer,
    known_size: int | None,
) -> Rested:
    """The record, or the payment's last record, and everything it rests on, the latest first.

    For who recorded it, has an entry under it, or a part in the payment. Raises Absent otherwise,
    and WrongInput unless exactly one of the two is given.
    """
    await records.check_facility(conn, facility)
    if (record is None) == (payment is None):
        raise WrongInput("record", "either record or payment")
    at = await known.in_book(conn, book=facility, known_size=known_size, known_on=None)
    log = await records.load_at(conn, facility, below=at.known_size)
    name = None if log is None else _named(log, record=record, payment=payment)
    if log is None or name is None or not await _may_trace(conn, at, log, name, viewer):
        raise Absent("no such record in this facility")
    noted = trace(log, name)
    hashes = await service.hashes_at(conn, book=facility, positions=[n.position for n in noted])
    row = await store.facility(conn, facility=facility)
    assert row is not None, "looked at before"
    return Rested(
        at=at,
        record=log.noted[name].leaf_id,
        negotiation=row.negotiation,
        links=tuple(
            link_of(
                book=facility,
                name=log.records[one.leaf_id],
                fact=one.fact,
                noted=one,
                leaf_hash=hashes[one.position],
            )
            for one in noted
        ),
    )


def _named(log: FacilityLog, *, record: str | None, payment: str | None) -> str | None:
    if record is not None:
        return log.records.get(record)
    ends = (f"confirmed:{payment}", f"returned:{payment}", f"instructed:{payment}")
    return next((end for end in ends if end in log.noted), None)


async def _may_trace(
    conn: AsyncConnection, at: KnownBook, log: FacilityLog, name: str, viewer: Viewer
) -> bool:
    noted = log.noted[name]
    if viewer.everything or noted.actor.institution == viewer.institution:
        return True
    instructed = log.state.payments.get(getattr(noted.fact, "payment", ""))
    if instructed is not None:
        sent = instructed.instructed
        if viewer.institution in (sent.payer, sent.payee, sent.receiving_bank):
            return True
    own = {"record": noted.leaf_id, "known_size": at.known_size}
    return bool(await service.entries(conn, book=at.book, wanted=own, after=(-1, -1), limit=1))


def link_of(
    *,
    book: str,
    name: str | None,
    fact: msgspec.Struct,
    noted: Noted | service.Recorded,
    leaf_hash: str,
) -> Link:
    """One record as a link of a chain, its signers, persons and source documents picked out."""
    says: dict[str, Any] = msgspec.to_builtins(fact)
    signed = getattr(fact, "signed", None)
    statements: tuple[Statement, ...] = getattr(fact, "signatures", ())
    if isinstance(signed, Statement):
        statements = (signed, *statements)
    return Link(
        book=book,
        position=noted.position,
        record=noted.leaf_id,
        leaf_hash=leaf_hash,
        name=name,
        what=str(says["type"]),
        says=says,
        signed_by=tuple(statement.by for statement in statements),
        maker=says.get("maker"),
        checker=says.get("checker"),
        actor=noted.actor,
        value_date=noted.value_date,
        booking_date=noted.booking_date,
        documents=_documents(says),
    )


def _documents(says: Mapping[str, Any]) -> tuple[Document, ...]:
    found = [Document(field=name, value=says[name]) for name in SOURCES if says.get(name)]
    for name in SOURCE_LISTS:
        found += [Document(field=name, value=value) for value in says.get(name, ())]
    return tuple(found)
