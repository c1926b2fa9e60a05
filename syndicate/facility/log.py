"""A facility as its log tells it: what it is, the drafts that stand, and where each fact stands.

    FacilityLog   the fold of the facts, and every fact by its own name with its place in the log
    trace         from one fact back to the term sheet: what each rests on

It is a fold and nothing else: it decides nothing, and reads neither a clock nor a database.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from ledger.leaves import Actor
from syndicate.facility import drafts, facts
from syndicate.facility.drafts import DRAFTS, Draft, ReleaseDrafted
from syndicate.facility.facts import (
    ClaimAccepted,
    ClaimFiled,
    ClaimRejected,
    ClassCorrected,
    Classified,
    Fact,
    InstalmentDue,
    InterestAccrued,
    InterestCorrected,
    LossFixed,
    MarkedOverdue,
    OverdueCorrected,
    PaymentConfirmed,
    PaymentInstructed,
    PaymentReturned,
    RateFixed,
    ReleaseApproved,
)
from syndicate.facility.state import FacilityState, evolve

FORMED = "formed"
BESIDE = frozenset({"StatementReceived", "ReconciliationAttested"})
"""Types of records in a facility's book that are no facts of it: what its banks say of the record
itself (`syndicate.reconciliation`). The fold passes them over."""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a facility's book, as far as it matters here."""

    position: int
    leaf_id: str
    subject: dict[str, Any]
    actor: Actor
    value_date: date
    booking_date: date
    recorded_at: datetime


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A fact or a draft, with its place in the log and who recorded it when."""

    fact: Fact | Draft
    position: int
    leaf_id: str
    actor: Actor
    value_date: date
    booking_date: date
    recorded_at: datetime


class FacilityLog(msgspec.Struct, frozen=True, kw_only=True):
    """What a facility is after its log so far.

    drafts   the last draft by what it is about; one that was checked stays, as its ground
    noted    every fact and standing draft by its name, in log order
    records  leaf id -> name
    """

    state: FacilityState
    drafts: Mapping[str, Draft]
    noted: Mapping[str, Noted]
    records: Mapping[str, str]

    def of_type(self, *wanted: type[Fact]) -> Iterator[Noted]:
        """The facts of these types, in log order."""
        return (noted for noted in self.noted.values() if isinstance(noted.fact, wanted))


def read(before: FacilityLog | None, leaves: Iterable[Leaf]) -> FacilityLog:
    """The log with these leaves after those before.

    The first record of all forms the facility: the caller looks whether the book is a facility's.
    """
    state = None if before is None else before.state
    standing = {} if before is None else dict(before.drafts)
    noted = {} if before is None else dict(before.noted)
    records = {} if before is None else dict(before.records)
    for leaf in leaves:
        read_fact: Fact | Draft
        if leaf.subject.get("type") in BESIDE:
            continue
        if leaf.subject.get("type") in DRAFTS:
            draft = read_fact = drafts.draft_of(leaf.subject)
            standing[drafts.name_of(draft)] = draft
            name = draft_name(draft)
            noted.pop(name, None)
        else:
            fact = read_fact = facts.fact_of(leaf.subject)
            state = evolve(state, fact)
            name = facts.name_of(fact)
        records[leaf.leaf_id] = name
        noted[name] = _noted(leaf, read_fact)
    assert state is not None, "a facility's first record forms it"
    return FacilityLog(state=state, drafts=standing, noted=noted, records=records)


def _noted(leaf: Leaf, fact: Fact | Draft) -> Noted:
    return Noted(
        fact=fact,
        position=leaf.position,
        leaf_id=leaf.leaf_id,
        actor=leaf.actor,
        value_date=leaf.value_date,
        booking_date=leaf.booking_date,
        recorded_at=leaf.recorded_at,
    )


def draft_name(draft: Draft) -> str:
    """The name of a draft among the facts' names."""
    return f"draft:{drafts.name_of(draft)}"


def trace(log: FacilityLog, name: str) -> tuple[Noted, ...]:
    """The fact and everything it rests on, down to the term sheet; the latest first.

    name  of a fact or a draft that is in the log
    """
    found: dict[str, Noted] = {}
    wanted = [name, FORMED]
    while wanted:
        each = wanted.pop()
        if each in found or each not in log.noted:
            continue
        found[each] = log.noted[each]
        wanted += grounds(log, log.noted[each].fact)
    return tuple(sorted(found.values(), key=lambda noted: -noted.position))


def grounds(log: FacilityLog, fact: Fact | Draft) -> tuple[str, ...]:
    """The names of what a fact rests on directly; the forming of the facility is left out."""
    match fact:
        case PaymentConfirmed():
            return (f"instructed:{fact.payment}", *_met(log, fact))
        case PaymentReturned():
            return (f"instructed:{fact.payment}",)
        case PaymentInstructed():
            return _ground_of_payment(log, fact)
        case ReleaseApproved() | ReleaseDrafted():
            own = (f"draw:{fact.draw}", f"contract:{fact.bank}")
            draft = f"draft:{drafts.release_name(draw=fact.draw, bank=fact.bank)}"
            return own if isinstance(fact, ReleaseDrafted) else (draft, *own)
        case RateFixed():
            return (f"draw:{fact.draw}",)
        case InterestAccrued():
            draws = dict.fromkeys(line.draw for line in fact.lines)
            rates = [name for draw in draws for name in _rates(log, draw, by=fact.day)]
            return (
                *rates,
                *(n for line in fact.lines for n in _paid_out(log, line.draw, line.bank)),
            )
        case InstalmentDue():
            paid = (n for bank in fact.principal for n in _paid_out(log, fact.draw, bank))
            return (f"draw:{fact.draw}", *paid)
        case MarkedOverdue():
            return (f"due:{fact.draw}:{fact.unadjusted}",)
        case InterestCorrected() | OverdueCorrected() | ClassCorrected():
            wrong = facts.corrects(fact)
            return (f"confirmed:{fact.payment}", *(() if wrong is None else (wrong,)))
        case ClaimAccepted() | ClaimRejected():
            return (f"claim:{fact.claim}",)
        case ClaimFiled():
            return _marks(log, before=f"claim:{fact.claim}")
        case LossFixed():
            return (
                f"draft:{drafts.loss_name(fact.loss)}",
                *_marks(log, before=f"loss:{fact.loss}"),
            )
        case Classified():
            return tuple(
                name for name in _marks(log, before=facts.name_of(fact)) if f":{fact.bank}:" in name
            )
        case _:
            return ()


def _ground_of_payment(log: FacilityLog, fact: PaymentInstructed) -> tuple[str, ...]:
    match fact.purpose:
        case "drawdown":
            return (f"release:{fact.about}:{fact.payer}",)
        case "repayment":
            return (f"release:{fact.about}:{fact.payee}",)
        case "advance":
            return (f"answer:{fact.about}",)
        case "recovery":
            return tuple(f"loss:{loss}" for loss in log.state.losses)
        case "distribution":
            losses = (f"loss:{loss}" for loss in log.state.losses)
            return (*losses, *(f"answer:{claim}" for claim in log.state.claims))


def _met(log: FacilityLog, fact: PaymentConfirmed) -> Iterator[str]:
    """The instalments that a repayment met."""
    draw = log.state.payments[fact.payment].instructed.about
    for due in dict.fromkeys(part.due for part in fact.met):
        if due is not None:
            yield f"due:{draw}:{due}"


def _rates(log: FacilityLog, draw: str, *, by: date) -> Iterator[str]:
    """The rate of the night before `by`."""
    for rate in reversed(log.state.draws[draw].rates):
        if rate.from_date < by:
            yield facts.name_of(rate)
            return


def _paid_out(log: FacilityLog, draw: str, bank: str) -> Iterator[str]:
    """The confirmed payment by which the bank's part of the draw went out."""
    for name, payment in log.state.payments.items():
        sent = payment.instructed
        wanted = (sent.purpose, sent.about, sent.payer) == ("drawdown", draw, bank)
        if wanted and payment.status == "confirmed":
            yield f"confirmed:{name}"


def _marks(log: FacilityLog, *, before: str) -> tuple[str, ...]:
    """What was marked overdue before the fact of that name."""
    position = log.noted[before].position
    return tuple(
        facts.name_of(noted.fact)
        for noted in log.of_type(MarkedOverdue)
        if noted.position < position and isinstance(noted.fact, MarkedOverdue)
    )
