"""What a facility is after its facts: a fold and nothing else. It decides and refuses nothing.

`evolve(state, fact)` trusts the fact: whatever a decision computed stands in it. The one thing
worked out here is the exact cumulative interest, from the bases and rates that the fact carries.

    formed -> effective (every contract recorded) -> drawn -> overdue -> impaired (a loss is fixed)
           -> settled (nothing is owed any more); overdue goes back to drawn when arrears are paid
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal

import msgspec
from msgspec.structs import replace

from syndicate.facility import loans, schedule
from syndicate.facility.facts import (
    AlertRecorded,
    ClaimAccepted,
    ClaimFiled,
    ClaimRejected,
    ClassCorrected,
    Classified,
    ContractRecorded,
    DrawRequested,
    EventRecorded,
    FacilityFormed,
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
from syndicate.facility.loans import Loan
from syndicate.facility.terms import FacilityTerms

LoanKey = tuple[str, str]
"""(draw, bank)."""

Phase = Literal["formed", "effective", "drawn", "overdue", "impaired", "settled"]


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """One draw as it stands.

    due_dates  unadjusted, all of them; `closed` interest periods are over, `fallen` instalments due
    rates      oldest first; () until the value date has come
    """

    requested: DrawRequested
    due_dates: tuple[date, ...]
    rates: tuple[RateFixed, ...]
    closed: int
    fallen: int


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One payment and how far it got; `confirmed_minor` 0 until its receiving bank signed."""

    instructed: PaymentInstructed
    status: Literal["instructed", "confirmed", "returned"]
    confirmed_minor: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One claim and its answer; `granted` bank -> minor units once accepted."""

    filed: ClaimFiled
    status: Literal["filed", "accepted", "rejected"]
    granted: Mapping[str, int]


class Act(msgspec.Struct, frozen=True):
    """What somebody did that the days' work depends on, and the day from which it counts."""

    on: date
    fact: PaymentConfirmed | LossFixed | AlertRecorded


class FacilityState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the next decision may depend on.

    loans       by (draw, bank), in the order of release
    owed        (creditor, debtor), creditor < debtor by name -> net minor units between two
                protecting or lending parties; negative where the second is the creditor
    recoveries  payment -> what of it went back to each bearer
    borne       party -> final loss it bears net of recoveries
    reached     the last calendar day interest is accrued to; None before the first cash
    references  (receiving bank, external reference) of every confirmed payment
    acts        cash of the loans, losses and alerts, in the order they became known
    corrections what payments known late put right, in that order
    """

    terms: FacilityTerms
    contracts: Mapping[str, ContractRecorded]
    draws: Mapping[str, Draw]
    loans: Mapping[LoanKey, Loan]
    payments: Mapping[str, Payment]
    references: frozenset[tuple[str, str]]
    claims: Mapping[str, Claim]
    losses: Mapping[str, LossFixed]
    recoveries: Mapping[str, Mapping[str, int]]
    borne: Mapping[str, int]
    owed: Mapping[tuple[str, str], int]
    classes: Mapping[str, Classified]
    alerts: Mapping[str, AlertRecorded]
    events: Mapping[str, EventRecorded]
    reached: date | None
    acts: tuple[Act, ...]
    corrections: tuple[InterestCorrected, ...]

    @property
    def undrawn_minor(self) -> int:
        """What is left of the commitments: draws requested count, paid out or not."""
        drawn = sum(draw.requested.amount_minor for draw in self.draws.values())
        return self.terms.total_minor - drawn

    @property
    def drawn_parts(self) -> dict[str, int]:
        """Bank -> its parts of all draws so far."""
        return {
            bank: sum(draw.requested.parts[bank] for draw in self.draws.values())
            for bank in self.terms.seats
        }

    @property
    def outstanding_minor(self) -> int:
        """Principal that stands, all banks."""
        return sum(loan.outstanding_minor for loan in self.loans.values())

    @property
    def net_loss_minor(self) -> int:
        """Final losses less recoveries."""
        return sum(self.borne.values())

    @property
    def phase(self) -> Phase:
        """Where the facility is in its life."""
        if not any(loan.drawn_on for loan in self.loans.values()):
            return "effective" if set(self.contracts) == set(self.terms.seats) else "formed"
        if self.net_loss_minor:
            return "impaired"
        if any(item.overdue for loan in self.loans.values() for item in loan.items):
            return "overdue"
        unpaid = any(loan.stands or loan.drawn_on is None for loan in self.loans.values())
        return "drawn" if unpaid or any(self.owed.values()) else "settled"

    def owes(self, *, debtor: str, creditor: str) -> int:
        """What the debtor owes the creditor under the protection, net; negative the other way."""
        first, second = sorted((creditor, debtor))
        net_minor = self.owed.get((first, second), 0)
        return net_minor if first == creditor else -net_minor

    def days_overdue(self, on: date, *, bank: str | None) -> int:
        """Of the oldest unpaid instalment of the facility, or of one bank's loans."""
        wanted = (loan for loan in self.loans.values() if bank in (None, loan.bank))
        return max((loan.days_overdue(on) for loan in wanted), default=0)

    def loans_of(self, draw: str) -> tuple[Loan, ...]:
        """The draw's loans that are paid out and not settled, in the order of the seats."""
        held = (self.loans.get((draw, bank)) for bank in self.terms.seats)
        return tuple(loan for loan in held if loan is not None and loan.stands)


def fold(facts: Iterable[Fact]) -> FacilityState:
    """The facility after these facts, the first of which formed it."""
    state: FacilityState | None = None
    for fact in facts:
        state = evolve(state, fact)
    assert state is not None, "a facility begins with its FacilityFormed"
    return state


def evolve(state: FacilityState | None, fact: Fact) -> FacilityState:
    """The facility after one fact more; None before the first."""
    if isinstance(fact, FacilityFormed):
        return _formed(fact.terms)
    assert state is not None, "a facility begins with its FacilityFormed"
    match fact:
        case ContractRecorded():
            return replace(state, contracts={**state.contracts, fact.bank: fact})
        case DrawRequested():
            return replace(state, draws={**state.draws, fact.draw: _requested(state, fact)})
        case RateFixed():
            draw = state.draws[fact.draw]
            return _with_draw(state, replace(draw, rates=(*draw.rates, fact)))
        case ReleaseApproved():
            return _with_loans(state, [_released(state, fact)])
        case PaymentInstructed():
            fresh = Payment(instructed=fact, status="instructed", confirmed_minor=0)
            return replace(state, payments={**state.payments, fact.payment: fresh})
        case PaymentReturned():
            returned = replace(state.payments[fact.payment], status="returned")
            return replace(state, payments={**state.payments, fact.payment: returned})
        case PaymentConfirmed():
            return _confirmed(state, fact)
        case InterestAccrued():
            return _accrued(state, fact)
        case InstalmentDue():
            return _fallen_due(state, fact)
        case MarkedOverdue():
            loan = state.loans[fact.draw, fact.bank]
            return _with_loans(state, [loans.marked_overdue(loan, unadjusted=fact.unadjusted)])
        case LossFixed():
            return _loss_fixed(state, fact)
        case ClaimFiled():
            filed = Claim(filed=fact, status="filed", granted={})
            return replace(state, claims={**state.claims, fact.claim: filed})
        case ClaimRejected():
            rejected = replace(state.claims[fact.claim], status="rejected")
            return replace(state, claims={**state.claims, fact.claim: rejected})
        case ClaimAccepted():
            accepted = replace(state.claims[fact.claim], status="accepted", granted=fact.parts)
            return replace(state, claims={**state.claims, fact.claim: accepted})
        case Classified():
            return replace(state, classes={**state.classes, fact.bank: fact})
        case InterestCorrected():
            return _corrected(state, fact)
        case OverdueCorrected():
            return state
        case ClassCorrected():
            return _class_corrected(state, fact)
        case AlertRecorded():
            alerts = {**state.alerts, fact.alert: fact}
            return replace(_acted(state, fact, on=state.reached or date.min), alerts=alerts)
        case EventRecorded():
            return replace(state, events={**state.events, fact.event: fact})


def _formed(terms: FacilityTerms) -> FacilityState:
    return FacilityState(
        terms=terms,
        contracts={},
        draws={},
        loans={},
        payments={},
        references=frozenset(),
        claims={},
        losses={},
        recoveries={},
        borne={},
        owed={},
        classes={},
        alerts={},
        events={},
        reached=None,
        acts=(),
        corrections=(),
    )


def _acted(
    state: FacilityState, fact: PaymentConfirmed | LossFixed | AlertRecorded, *, on: date
) -> FacilityState:
    return replace(state, acts=(*state.acts, Act(on, fact)))


def _with_draw(state: FacilityState, draw: Draw) -> FacilityState:
    return replace(state, draws={**state.draws, draw.requested.draw: draw})


def _with_loans(state: FacilityState, changed: Iterable[Loan]) -> FacilityState:
    return replace(
        state, loans={**state.loans, **{(loan.draw, loan.bank): loan for loan in changed}}
    )


def _requested(state: FacilityState, fact: DrawRequested) -> Draw:
    dates = schedule.due_dates(fact.value_date, state.terms.repayment)
    return Draw(requested=fact, due_dates=dates, rates=(), closed=0, fallen=0)


def _released(state: FacilityState, fact: ReleaseApproved) -> Loan:
    part_minor = state.draws[fact.draw].requested.parts[fact.bank]
    return loans.released(
        draw=fact.draw, bank=fact.bank, loan_no=fact.loan_no, amount_minor=part_minor
    )


def _confirmed(state: FacilityState, fact: PaymentConfirmed) -> FacilityState:
    payment = state.payments[fact.payment]
    instructed = payment.instructed
    paid = replace(payment, status="confirmed", confirmed_minor=fact.amount_minor)
    reference = (instructed.receiving_bank, fact.external_reference)
    state = replace(
        state,
        payments={**state.payments, fact.payment: paid},
        references=state.references | {reference},
    )
    match instructed.purpose:
        case "drawdown":
            state = _acted(state, fact, on=fact.value_date)
            return _paid_out(state, instructed, on=fact.value_date)
        case "repayment":
            loan = state.loans[instructed.about, instructed.payee]
            state = _acted(state, fact, on=_met_on(loan, fact))
            return _with_loans(state, [loans.repaid(loan, fact.met)])
        case "advance" | "distribution":
            return replace(
                state,
                owed=_more_owed(
                    state.owed,
                    creditor=instructed.payer,
                    debtor=instructed.payee,
                    amount_minor=fact.amount_minor,
                ),
            )
        case "recovery":
            return _recovered(state, fact, collector=instructed.payee)


def _met_on(loan: Loan, fact: PaymentConfirmed) -> date:
    """The day as of which the repayment met what was owed, also where its record does not say."""
    if fact.met_on is not msgspec.UNSET:
        return fact.met_on
    met = {part.due for part in fact.met}
    return max((fact.value_date, *(i.due_on for i in loan.items if i.unadjusted in met)))


def _paid_out(state: FacilityState, instructed: PaymentInstructed, *, on: date) -> FacilityState:
    draw = state.draws[instructed.about]
    loan = state.loans[instructed.about, instructed.payer]
    parts = schedule.principal_parts(
        loan.amount_minor, count=len(draw.due_dates), kind=state.terms.repayment.kind
    )
    planned = (
        loans.Planned(unadjusted, part)
        for unadjusted, part in zip(draw.due_dates, parts, strict=True)
    )
    reached = on if state.reached is None else max(state.reached, on)
    paid_out = loans.paid_out(loan, on=on, planned=planned)
    return replace(_with_loans(state, [paid_out]), reached=reached)


def _recovered(state: FacilityState, fact: PaymentConfirmed, *, collector: str) -> FacilityState:
    owed, borne = state.owed, dict(state.borne)
    for party, amount_minor in fact.shares.items():
        borne[party] -= amount_minor
        if party != collector:
            owed = _more_owed(owed, creditor=party, debtor=collector, amount_minor=amount_minor)
    recoveries = {**state.recoveries, fact.payment: fact.shares}
    return replace(state, owed=owed, borne=borne, recoveries=recoveries)


def _more_owed(
    owed: Mapping[tuple[str, str], int], *, creditor: str, debtor: str, amount_minor: int
) -> Mapping[tuple[str, str], int]:
    first, second = sorted((creditor, debtor))
    signed = amount_minor if first == creditor else -amount_minor
    return {**owed, (first, second): owed.get((first, second), 0) + signed}


def _accrued(state: FacilityState, fact: InterestAccrued) -> FacilityState:
    changed = {}
    for line in fact.lines:
        key = (line.draw, line.bank)
        changed[key] = loans.accrued(
            state.loans[key],
            line,
            day=fact.day,
            period=state.draws[line.draw].closed,
            day_count=state.terms.rate.day_count,
        )
    draws = dict(state.draws)
    for name in fact.closed:
        draw = draws[name]
        unadjusted = draw.due_dates[draw.closed]
        draws[name] = replace(draw, closed=draw.closed + 1)
        for key, loan in changed.items():
            if key[0] == name:
                changed[key] = loans.period_closed(loan, unadjusted=unadjusted)
    return replace(_with_loans(state, changed.values()), draws=draws, reached=fact.day)


def _corrected(state: FacilityState, fact: InterestCorrected) -> FacilityState:
    loan = loans.corrected(
        state.loans[fact.draw, fact.bank],
        fact,
        period=state.draws[fact.draw].closed,
        day_count=state.terms.rate.day_count,
    )
    reached = fact.day if state.reached is None else max(state.reached, fact.day)
    corrections = (*state.corrections, fact)
    return replace(_with_loans(state, [loan]), corrections=corrections, reached=reached)


def _class_corrected(state: FacilityState, fact: ClassCorrected) -> FacilityState:
    """A class recorded for a later day still stands."""
    recorded = state.classes.get(fact.bank)
    if recorded is not None and recorded.on > fact.on:
        return state
    stands = Classified(
        bank=fact.bank,
        on=fact.on,
        risk_class=fact.risk_class,
        days_overdue=fact.days_overdue,
        findings=(),
    )
    return replace(state, classes={**state.classes, fact.bank: stands})


def _fallen_due(state: FacilityState, fact: InstalmentDue) -> FacilityState:
    draw = state.draws[fact.draw]
    changed = [
        loans.fallen_due(
            state.loans[fact.draw, bank],
            unadjusted=fact.unadjusted,
            due_on=fact.due_on,
            principal_minor=principal_minor,
            interest_minor=fact.interest[bank],
        )
        for bank, principal_minor in fact.principal.items()
    ]
    return _with_draw(_with_loans(state, changed), replace(draw, fallen=draw.fallen + 1))


def _loss_fixed(state: FacilityState, fact: LossFixed) -> FacilityState:
    borne = dict(state.borne)
    for party, amount_minor in fact.parts.items():
        borne[party] = borne.get(party, 0) + amount_minor
    owed = state.owed
    for line in fact.settlement:
        owed = _more_owed(
            owed, creditor=line.creditor, debtor=line.debtor, amount_minor=line.amount_minor
        )
    keys = {(part.draw, part.bank) for part in fact.lost}
    changed = [
        loans.written_down(
            state.loans[key], [part for part in fact.lost if (part.draw, part.bank) == key]
        )
        for key in state.loans
        if key in keys
    ]
    return replace(
        _with_loans(_acted(state, fact, on=fact.value_date), changed),
        losses={**state.losses, fact.loss: fact},
        borne=borne,
        owed=owed,
    )
