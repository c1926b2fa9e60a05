"""What a payment that becomes known after its value date puts right (倒起息). It posts nothing.

The facility's days are run again from the first cash (`retraced`), once without the payment, which
must come to exactly what stands, and once with it on its value date. What differs is corrected:

    InterestCorrected  each night of the loan whose bases or posted amounts differ, on its own date
    OverdueCorrected   each mark that was too high, down to nothing
    ClassCorrected     each class, of any bank, that stood and should not have, or the reverse

A repayment meets what was owed on its value date. Where more was paid than was owed then, it waited
(prepayment is not agreed) and meets what is owed on the first due date after it by which enough is.

The line that is drawn: what was decided about the loan since, and counts from a later day than the
payment (another repayment, a loss), was decided without it and is not decided again. Then the
payment is refused by name, and the two banks' next step is a payment valued after it. Claims and
advances that stand are between the lenders and the protectors, and are settled by distributions.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

from msgspec.structs import replace

from syndicate.facility import retraced, schedule
from syndicate.facility.classes import class_of
from syndicate.facility.errors import KnownSince, NotNow, NotRetraced, OverPayment
from syndicate.facility.facts import (
    AccrualLine,
    Bases,
    ClassCorrected,
    Classified,
    Fact,
    InterestAccrued,
    InterestCorrected,
    LossFixed,
    MarkedOverdue,
    OverdueCorrected,
    PaymentConfirmed,
    PaymentInstructed,
)
from syndicate.facility.loans import Loan
from syndicate.facility.retraced import Stretch
from syndicate.facility.state import Act, FacilityState, LoanKey, evolve
from syndicate.facility.waterfall import Met, meet

_NOTHING: Final = Bases(principal_minor=0, overdue_minor=0, unpaid_interest_minor=0)


def repayment(
    state: FacilityState, confirmed: PaymentConfirmed, *, today: date
) -> tuple[Fact, ...]:
    """The repayment with what it met, and everything it puts right, in the order recorded.

    confirmed  valued before `today`; what it met is worked out here
    Raises OverPayment where less was owed on the value date and on every due date since, KnownSince
    where a later act on the loan stands, NotRetraced.
    """
    instructed = state.payments[confirmed.payment].instructed
    key = (instructed.about, instructed.payee)
    first = _first_day(state, confirmed)
    acts = retraced.in_order(state.acts, first=first)
    met_on, before, owed = _met_on(state, confirmed, key, acts, first=first, today=today)
    _check_nothing_since(state, key, acts, on=met_on)
    met = tuple(_as_booked(state.loans[key], part) for part in owed)
    confirmed = replace(confirmed, met=met, met_on=met_on)
    return (confirmed, *_corrections(state, before, confirmed, key, acts, on=met_on, today=today))


def pay_out(state: FacilityState, confirmed: PaymentConfirmed, *, today: date) -> tuple[Fact, ...]:
    """The draw's cash, and the interest of the nights since, in the order recorded.

    Raises NotNow once the first interest period of the draw is over, NotRetraced.
    """
    instructed = state.payments[confirmed.payment].instructed
    draw = state.draws[instructed.about]
    over = schedule.closes_on(draw.due_dates[0], state.terms.repayment.business_day)
    if today >= over:
        raise NotNow(f"draw {instructed.about}", stands=f"past its first interest period, {over}")
    first, on = _first_day(state, confirmed), confirmed.value_date
    acts = retraced.in_order(state.acts, first=first)
    start = retraced.lived(retraced.before_first_cash(state), acts, since=first, until=on).state
    before = retraced.midday(start, acts, on=on)
    key = (instructed.about, instructed.payer)
    return (confirmed, *_corrections(state, before, confirmed, key, acts, on=on, today=today))


def _first_day(state: FacilityState, confirmed: PaymentConfirmed) -> date:
    """The first day any cash of the loans counts from."""
    paid = (act.on for act in state.acts if isinstance(act.fact, PaymentConfirmed))
    return min((confirmed.value_date, *paid))


def _met_on(
    state: FacilityState,
    confirmed: PaymentConfirmed,
    key: LoanKey,
    acts: tuple[Act, ...],
    *,
    first: date,
    today: date,
) -> tuple[date, FacilityState, tuple[Met, ...]]:
    """The day the money met what was owed, the facility at that moment, and what it met."""
    value_date, draw = confirmed.value_date, state.draws[key[0]]
    convention = state.terms.repayment.business_day
    falling = (
        schedule.adjusted(unadjusted, convention).on for unadjusted in draw.due_dates[: draw.fallen]
    )
    days = sorted({value_date, *(on for on in falling if value_date < on <= today)})
    since, at = first, retraced.before_first_cash(state)
    refusal: OverPayment | None = None
    for on in days:
        at, since = retraced.lived(at, acts, since=since, until=on).state, on
        standing = retraced.midday(at, acts, on=on)
        try:
            owed = standing.loans[key].owed()
            met = meet(confirmed.amount_minor, owed, state.terms.default.waterfall)
        except OverPayment as error:
            refusal = refusal or error
        else:
            return on, standing, met
    assert refusal is not None, "there is always the value date"
    raise refusal


def _check_nothing_since(
    state: FacilityState, key: LoanKey, acts: tuple[Act, ...], *, on: date
) -> None:
    """Nothing: nothing about the loan counts from a later day. Raises KnownSince."""
    for act in acts:
        if act.on <= on:
            continue
        match act.fact:
            case PaymentConfirmed(payment=name):
                if _loan_of(state.payments[name].instructed) == key:
                    raise KnownSince("payment", name, on=act.on)
            case LossFixed(loss=name, lost=lost):
                if any((part.draw, part.bank) == key for part in lost):
                    raise KnownSince("loss", name, on=act.on)


def _loan_of(instructed: PaymentInstructed) -> LoanKey:
    bank = instructed.payer if instructed.purpose == "drawdown" else instructed.payee
    return instructed.about, bank


def _as_booked(loan: Loan, part: Met) -> Met:
    """The part as the books have it by now: marked overdue since, or not."""
    if part.due is None:
        return part
    item = next(item for item in loan.items if item.unadjusted == part.due)
    return replace(part, overdue=item.overdue)


def _corrections(
    state: FacilityState,
    before: FacilityState,
    confirmed: PaymentConfirmed,
    key: LoanKey,
    acts: tuple[Act, ...],
    *,
    on: date,
    today: date,
) -> tuple[Fact, ...]:
    """What differs between the days as they were and as they are with the payment.

    before  the facility in the middle of `on`, the payment not yet made
    """
    stood = retraced.onward(before, acts, since=on, today=today)
    if not retraced.alike(stood.state, state):
        raise NotRetraced(f"what stands on {today}")
    right = retraced.onward(evolve(before, confirmed), acts, since=on, today=today)
    facts: tuple[Fact, ...] = (
        *_nights(confirmed.payment, key, stood, right),
        *_marks(confirmed.payment, key, stood, right),
        *_classes(confirmed.payment, stood, right),
    )
    after = evolve(state, confirmed)
    for fact in facts:
        after = evolve(after, fact)
    if not retraced.alike(after, right.state):
        raise NotRetraced(f"what should stand on {today}")
    return facts


def _nights(
    payment: str, key: LoanKey, stood: Stretch, right: Stretch
) -> Iterator[InterestCorrected]:
    """Each night of the loan that bore, or posted, something else; by date."""
    was, should = _lines(stood, key), _lines(right, key)
    for day in sorted({*was, *should}):
        old, new = was.get(day), should.get(day)
        rates = new or old
        assert rates is not None, "the day comes from one of them"
        before, bases = _bases(old), _bases(new)
        changes = [
            (0 if new is None else getattr(new, name)) - (0 if old is None else getattr(old, name))
            for name in ("interest_minor", "penalty_minor", "compound_minor")
        ]
        if before != bases or any(changes):
            yield InterestCorrected(
                payment=payment,
                day=day,
                draw=key[0],
                bank=key[1],
                before=before,
                bases=bases,
                rate=rates.rate,
                penalty_rate=rates.penalty_rate,
                interest_minor=changes[0],
                penalty_minor=changes[1],
                compound_minor=changes[2],
            )


def _lines(stretch: Stretch, key: LoanKey) -> dict[date, AccrualLine]:
    return {
        fact.day: line
        for fact in stretch.brought
        if isinstance(fact, InterestAccrued)
        for line in fact.lines
        if (line.draw, line.bank) == key
    }


def _bases(line: AccrualLine | None) -> Bases:
    if line is None:
        return _NOTHING
    return Bases(
        principal_minor=line.principal_minor,
        overdue_minor=line.overdue_minor,
        unpaid_interest_minor=line.unpaid_interest_minor,
    )


def _marks(
    payment: str, key: LoanKey, stood: Stretch, right: Stretch
) -> Iterator[OverdueCorrected]:
    """Each mark of the loan that named more than was rightly unpaid."""
    should = {mark.unadjusted: mark for mark in _marks_of(right, key)}
    for mark in _marks_of(stood, key):
        rightly = should.get(mark.unadjusted)
        if mark != rightly:
            yield OverdueCorrected(
                payment=payment,
                draw=mark.draw,
                bank=mark.bank,
                unadjusted=mark.unadjusted,
                on=mark.on,
                before_principal_minor=mark.principal_minor,
                before_interest_minor=mark.interest_minor,
                principal_minor=0 if rightly is None else rightly.principal_minor,
                interest_minor=0 if rightly is None else rightly.interest_minor,
            )


def _marks_of(stretch: Stretch, key: LoanKey) -> Iterator[MarkedOverdue]:
    for fact in stretch.brought:
        if isinstance(fact, MarkedOverdue) and (fact.draw, fact.bank) == key:
            yield fact


def _classes(payment: str, stood: Stretch, right: Stretch) -> Iterator[ClassCorrected]:
    """For each bank and evening on which a class was, or should have been, recorded: the right one.

    Only where the evening's records differ; by date.
    """
    was, should = _classified(stood), _classified(right)
    for on, bank in sorted({*was, *should}):
        if was.get((on, bank)) == should.get((on, bank)):
            continue
        rightly = right.evenings[on]
        yield ClassCorrected(
            payment=payment,
            bank=bank,
            on=on,
            before=class_of(stood.evenings[on], bank=bank),
            risk_class=class_of(rightly, bank=bank),
            days_overdue=rightly.days_overdue(on, bank=bank),
        )


def _classified(stretch: Stretch) -> dict[tuple[date, str], Classified]:
    return {(fact.on, fact.bank): fact for fact in stretch.brought if isinstance(fact, Classified)}
