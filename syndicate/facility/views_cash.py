"""Payments, claims, losses and what an entry rests on, as one of the parties sees them.

A payment is shown to both its ends, to the borrower where it is a party, and to an auditor. Claims
are shown to everyone in the facility, what each party bears of a loss to those who share it.
"""

from datetime import date, datetime
from typing import Any, Literal, TypeVar

import msgspec

from ledger.errors import NotAllowed
from ledger.leaves import Actor
from ledger.signatures import Statement
from syndicate.facility import drafts, facts
from syndicate.facility.authority import lenders
from syndicate.facility.drafts import LossDrafted
from syndicate.facility.errors import NoSuch
from syndicate.facility.explain import explain_share
from syndicate.facility.facts import (
    ClaimAccepted,
    ClaimRejected,
    LossFixed,
    PaymentConfirmed,
    PaymentReturned,
    Purpose,
    Settlement,
)
from syndicate.facility.log import FacilityLog, Noted, trace
from syndicate.facility.positions import Standing, standings
from syndicate.facility.state import FacilityState
from syndicate.facility.views import Viewer
from syndicate.facility.waterfall import Met

F = TypeVar("F", bound=facts.Fact)


def check_lender(state: FacilityState, viewer: Viewer) -> None:
    """Nothing: the viewer shares the facility's losses, or audits. Raises NotAllowed."""
    if not viewer.everything and viewer.institution not in lenders(state):
        raise NotAllowed("what each party bears is for those who share the loss")


# ---- payments


class PaymentLine(msgspec.Struct, frozen=True, kw_only=True):
    """A payment and how far it got.

    confirmed_minor  0 until its receiving bank signed; reference and value_date come with that
    met              what a repayment met, in waterfall order
    """

    payment: str
    purpose: Purpose
    payer: str
    payee: str
    receiving_bank: str
    amount_minor: int
    about: str
    status: Literal["instructed", "confirmed", "returned"]
    confirmed_minor: int
    external_reference: str | None
    value_date: date | None
    returned_because: str | None
    met: tuple[Met, ...]


def payments(log: FacilityLog, viewer: Viewer) -> tuple[PaymentLine, ...]:
    """The payments the viewer has a part in, in the order they were instructed."""
    return tuple(
        _payment(log, name) for name in log.state.payments if _part_in(log.state, viewer, name)
    )


def payment(log: FacilityLog, viewer: Viewer, name: str) -> PaymentLine:
    """One payment. Raises NoSuch where the viewer has no part in it."""
    if not _part_in(log.state, viewer, name):
        raise NoSuch("payment", name)
    return _payment(log, name)


def _part_in(state: FacilityState, viewer: Viewer, name: str) -> bool:
    found = state.payments.get(name)
    if found is None:
        return False
    sent = found.instructed
    ends = (sent.payer, sent.payee, sent.receiving_bank)
    return viewer.everything or viewer.institution in ends


def _payment(log: FacilityLog, name: str) -> PaymentLine:
    found = log.state.payments[name]
    sent = found.instructed
    paid = _fact(log, f"confirmed:{name}", PaymentConfirmed)
    returned = _fact(log, f"returned:{name}", PaymentReturned)
    return PaymentLine(
        payment=name,
        purpose=sent.purpose,
        payer=sent.payer,
        payee=sent.payee,
        receiving_bank=sent.receiving_bank,
        amount_minor=sent.amount_minor,
        about=sent.about,
        status=found.status,
        confirmed_minor=found.confirmed_minor,
        external_reference=None if paid is None else paid.external_reference,
        value_date=None if paid is None else paid.value_date,
        returned_because=None if returned is None else returned.reason,
        met=() if paid is None else paid.met,
    )


def _fact(log: FacilityLog, name: str, kind: type[F]) -> F | None:
    noted = log.noted.get(name)
    return noted.fact if noted is not None and isinstance(noted.fact, kind) else None


# ---- what a record rests on


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One record on the way from a posting back to the term sheet.

    name        the fact's own name in this facility, as `confirmed:pay-1`
    fact        what it says; `signed` and `signatures` hold the statements verbatim
    signed_by   who signed it
    """

    name: str
    record: str
    position: int
    fact: dict[str, Any]
    signed_by: tuple[str, ...]
    actor: Actor
    value_date: date
    booking_date: date
    recorded_at: datetime


def traced(log: FacilityLog, name: str) -> tuple[TraceStep, ...]:
    """The record and everything it rests on, the latest first, the term sheet last."""
    return tuple(_step(log, noted) for noted in trace(log, name))


def traced_payment(log: FacilityLog, viewer: Viewer, name: str) -> tuple[TraceStep, ...]:
    """The payment's last record and everything it rests on. NoSuch without a part in it."""
    payment(log, viewer, name)
    ends = (f"confirmed:{name}", f"returned:{name}", f"instructed:{name}")
    return traced(log, next(end for end in ends if end in log.noted))


def _step(log: FacilityLog, noted: Noted) -> TraceStep:
    signed = getattr(noted.fact, "signed", None)
    signatures: tuple[Statement, ...] = getattr(noted.fact, "signatures", ())
    statements = (signed, *signatures) if isinstance(signed, Statement) else signatures
    return TraceStep(
        name=log.records[noted.leaf_id],
        record=noted.leaf_id,
        position=noted.position,
        fact=msgspec.to_builtins(noted.fact),
        signed_by=tuple(statement.by for statement in statements),
        actor=noted.actor,
        value_date=noted.value_date,
        booking_date=noted.booking_date,
        recorded_at=noted.recorded_at,
    )


# ---- claims


class ClaimLine(msgspec.Struct, frozen=True, kw_only=True):
    """A claim on a protector and its answer.

    parts          bank -> what it asked for; granted: what it was promised
    advanced_minor confirmed cash under the claim
    answered_late  null while there is no answer
    """

    claim: str
    protector: str
    amount_minor: int
    parts: dict[str, int]
    evidence_sha256: tuple[str, ...]
    days_overdue: int
    filed_on: date
    answer_by: date
    status: Literal["filed", "accepted", "rejected"]
    granted: dict[str, int]
    advanced_minor: int
    rejected_because: str | None
    answered_late: bool | None


def claims(log: FacilityLog) -> tuple[ClaimLine, ...]:
    """Every claim, in the order filed."""
    return tuple(_claim(log, name) for name in log.state.claims)


def _claim(log: FacilityLog, name: str) -> ClaimLine:
    found = log.state.claims[name]
    filed = found.filed
    accepted = _fact(log, f"answer:{name}", ClaimAccepted)
    rejected = _fact(log, f"answer:{name}", ClaimRejected)
    answer = accepted or rejected
    return ClaimLine(
        claim=name,
        protector=filed.protector,
        amount_minor=filed.amount_minor,
        parts=filed.parts,
        evidence_sha256=filed.evidence_sha256,
        days_overdue=filed.days_overdue,
        filed_on=filed.filed_on,
        answer_by=filed.answer_by,
        status=found.status,
        granted=dict(found.granted),
        advanced_minor=sum(
            payment.confirmed_minor
            for payment in log.state.payments.values()
            if (payment.instructed.purpose, payment.instructed.about) == ("advance", name)
        ),
        rejected_because=None if rejected is None else rejected.reason,
        answered_late=None if answer is None else answer.late,
    )


# ---- losses


class LossLine(msgspec.Struct, frozen=True, kw_only=True):
    """A final loss fixed, or a recovery received; shares: what each bears, or gets back.

    reductions  of a loss: bank -> how much of its own principal is written down
    settlement  of a loss: who owes whom for the difference
    """

    kind: Literal["loss", "recovery"]
    name: str
    amount_minor: int
    value_date: date
    shares: dict[str, int]
    reductions: dict[str, int]
    settlement: tuple[Settlement, ...]
    evidence_sha256: tuple[str, ...]
    record: str


class LossDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that a second person of the lead has to check. draft: its digest, to be quoted."""

    loss: str
    amount_minor: int
    evidence_sha256: tuple[str, ...]
    maker: str
    draft: str


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """Who bears what of the facility's losses, and how each number came about.

    standings  what each party has borne net, and is owed (below 0: owes) by the others
    rule       the agreed rule as it stands in the term sheet; null: own loan, own loss
    explained  party -> one step a line
    """

    facility: str
    net_loss_minor: int
    events: tuple[LossLine, ...]
    drafts: tuple[LossDraft, ...]
    standings: tuple[Standing, ...]
    rule: dict[str, Any] | None
    explained: dict[str, tuple[str, ...]]


def losses(log: FacilityLog, viewer: Viewer) -> Losses:
    """All of it, for those who share the loss. Raises NotAllowed for the borrower."""
    state = log.state
    check_lender(state, viewer)
    lines = (_loss_line(log, noted) for noted in log.of_type(LossFixed, PaymentConfirmed))
    return Losses(
        facility=state.terms.facility,
        net_loss_minor=state.net_loss_minor,
        events=tuple(line for line in lines if line is not None),
        drafts=tuple(
            _loss_draft(draft)
            for draft in log.drafts.values()
            if isinstance(draft, LossDrafted) and draft.loss not in state.losses
        ),
        standings=standings(state),
        rule=state.terms.risk_share,
        explained={
            party: explain_share(state, party=party) for party in lenders(state) if state.losses
        },
    )


def _loss_line(log: FacilityLog, noted: Noted) -> LossLine | None:
    match noted.fact:
        case LossFixed() as fixed:
            return LossLine(
                kind="loss",
                name=fixed.loss,
                amount_minor=fixed.amount_minor,
                value_date=fixed.value_date,
                shares=fixed.parts,
                reductions=fixed.reductions,
                settlement=fixed.settlement,
                evidence_sha256=fixed.evidence_sha256,
                record=noted.leaf_id,
            )
        case PaymentConfirmed(payment=name) as paid if name in log.state.recoveries:
            return LossLine(
                kind="recovery",
                name=name,
                amount_minor=paid.amount_minor,
                value_date=paid.value_date,
                shares=paid.shares,
                reductions={},
                settlement=(),
                evidence_sha256=(),
                record=noted.leaf_id,
            )
    return None


def _loss_draft(draft: LossDrafted) -> LossDraft:
    return LossDraft(
        loss=draft.loss,
        amount_minor=draft.amount_minor,
        evidence_sha256=draft.evidence_sha256,
        maker=draft.maker,
        draft=drafts.digest(draft),
    )
