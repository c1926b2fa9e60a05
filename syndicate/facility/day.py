"""What an opening and a closing business day bring to a facility. It moves no cash.

    opening(D)   for every calendar day after the last one reached, D included:
                     interest of the night before it (one fact a calendar day), a new rate from it,
                     instalments falling due on it;
                 and for each of those days before D, that no bank worked on, its end as well
    closing(D)   the end of D: what fell due and was not paid is overdue; classes that changed

Both are idempotent: asked again they bring nothing. Interest of a weekend carries each day's own
value date and is booked on the business day that opens after it.
"""

from collections.abc import Callable, Iterator
from datetime import date

from syndicate.facility import schedule
from syndicate.facility.classes import NORMAL, class_of, judged
from syndicate.facility.errors import DayNotClosed, DayNotOpened, NotABusinessDay, NotNow
from syndicate.facility.facts import (
    AccrualLine,
    Fact,
    InstalmentDue,
    InterestAccrued,
    MarkedOverdue,
    RateFixed,
)
from syndicate.facility.interest import (
    ONE_DAY,
    fixed_rate,
    night,
    penalty_rate,
    posting,
    rate_of_night,
)
from syndicate.facility.loans import Loan, Running
from syndicate.facility.state import Draw, FacilityState, evolve
from syndicate.facility.terms import FacilityTerms
from syndicate.reference.calendar import is_workday


def opening(state: FacilityState, day: date) -> tuple[Fact, ...]:
    """What the opened business day brings, in the order it is recorded; () where nothing.

    Raises NotABusinessDay (BeyondCalendar past the working-day table), NotNow for a day before one
    already reached, DayNotClosed where the last one's end is missing, FixingUnknown where a new
    rate is due and its fixing is not in the table.
    """
    if not is_workday(day):
        raise NotABusinessDay(day)
    reached = state.reached
    if reached is not None and day < reached:
        raise NotNow(str(day), stands=f"before {reached}, which interest is accrued to")
    if reached is not None and day > reached and next(_overdue(state, reached), None) is not None:
        raise DayNotClosed(reached)
    brought: list[Fact] = []
    standing = any(loan.stands for loan in state.loans.values())
    current = reached + ONE_DAY if reached is not None and standing else day
    while current <= day:
        fresh, state = morning(state, current)
        brought += fresh
        if current < day:
            fresh, state = evening(state, current)
            brought += fresh
        current += ONE_DAY
    return tuple(brought)


def closing(state: FacilityState, day: date) -> tuple[Fact, ...]:
    """What the end of the business day brings: overdue marks, then classes that changed."""
    return evening(state, day)[0]


def morning(state: FacilityState, day: date) -> tuple[tuple[Fact, ...], FacilityState]:
    """What the start of a calendar day brings, and the facility after it."""
    return _brought(state, day, (_accrual, _rates, _dues))


def evening(state: FacilityState, day: date) -> tuple[tuple[Fact, ...], FacilityState]:
    """What the end of a calendar day brings, and the facility after it."""
    return _brought(state, day, (_overdue, _classes))


def _brought(
    state: FacilityState, day: date, bringers: "tuple[_Bringer, ...]"
) -> tuple[tuple[Fact, ...], FacilityState]:
    brought: list[Fact] = []
    for facts_of in bringers:
        fresh = tuple(facts_of(state, day))
        for fact in fresh:
            state = evolve(state, fact)
        brought += fresh
    return tuple(brought), state


def check_opened(state: FacilityState, *, today: date) -> None:
    """Nothing: interest stands at the open day, or no loan bears any. Raises DayNotOpened."""
    standing = any(loan.stands for loan in state.loans.values())
    if standing and state.reached is not None and state.reached != today:
        raise DayNotOpened(accrued_to=state.reached, open_day=today)


def _accrual(state: FacilityState, day: date) -> Iterator[InterestAccrued]:
    """The night before `day` of every loan that stands; none where it is accrued already."""
    if state.reached is None or day <= state.reached:
        return
    lines, closed = [], []
    for name, draw in state.draws.items():
        standing = state.loans_of(name)
        lines += [_line(state.terms, draw, loan, day) for loan in standing]
        if standing and draw.closed < len(draw.due_dates) and _closes(state, draw) <= day:
            closed.append(name)
    if lines:
        yield InterestAccrued(day=day, lines=tuple(lines), closed=tuple(closed))


def _closes(state: FacilityState, draw: Draw) -> date:
    return schedule.closes_on(draw.due_dates[draw.closed], state.terms.repayment.business_day)


def _line(terms: FacilityTerms, draw: Draw, loan: Loan, day: date) -> AccrualLine:
    """One loan's night: bases as they stood before `day`, amounts by difference.

    Past the maturity no period is open: principal that is not overdue yet (the maturity was no
    business day) bears nothing for the days it waits, as periods run between unadjusted dates.
    """
    rate = rate_of_night(draw.rates, day)
    penalty = penalty_rate(rate, terms)
    matured = draw.closed == len(draw.due_dates)
    principal_minor = 0 if matured else loan.principal_minor
    unpaid_interest_minor = loan.overdue_interest_minor if terms.default.compound else 0

    def grown(before: Running, base_minor: int, at: str) -> int:
        step = night(base_minor, rate=at, day=day, day_count=terms.rate.day_count)
        return posting(before.exact + step, posted_minor=before.posted_minor)

    return AccrualLine(
        draw=loan.draw,
        bank=loan.bank,
        principal_minor=principal_minor,
        overdue_minor=loan.overdue_minor,
        unpaid_interest_minor=unpaid_interest_minor,
        rate=rate,
        penalty_rate=penalty,
        interest_minor=grown(loan.running, principal_minor, rate),
        penalty_minor=grown(loan.penalty, loan.overdue_minor, penalty),
        compound_minor=grown(loan.compound, unpaid_interest_minor, penalty),
    )


def _rates(state: FacilityState, day: date) -> Iterator[RateFixed]:
    """The first rate of a draw whose value date has come, and each reset that has."""
    for name, draw in state.draws.items():
        start = draw.requested.value_date
        resets = schedule.reset_dates(
            start, tenor_months=state.terms.repayment.tenor_months, terms=state.terms.rate
        )
        living = not draw.rates or state.loans_of(name)
        for from_date in (start, *resets)[len(draw.rates) :]:
            if living and from_date <= day:
                yield fixed_rate(state.terms, draw=name, from_date=from_date)


def _dues(state: FacilityState, day: date) -> Iterator[InstalmentDue]:
    """The instalments whose adjusted due date has come, oldest first."""
    for name, draw in state.draws.items():
        standing = state.loans_of(name)
        for unadjusted in draw.due_dates[draw.fallen :]:
            due_on = schedule.adjusted(unadjusted, state.terms.repayment.business_day).on
            if not standing or due_on > day:
                break
            yield InstalmentDue(
                draw=name,
                unadjusted=unadjusted,
                due_on=due_on,
                principal={loan.bank: _principal_of(loan, unadjusted) for loan in standing},
                interest={loan.bank: dict(loan.closed).get(unadjusted, 0) for loan in standing},
            )


def _principal_of(loan: Loan, unadjusted: date) -> int:
    return sum(line.principal_minor for line in loan.planned if line.unadjusted == unadjusted)


def _overdue(state: FacilityState, day: date) -> Iterator[MarkedOverdue]:
    """The instalments due by `day`, unpaid and not marked yet, by loan and age."""
    for loan in state.loans.values():
        for item in loan.items:
            if item.due_on <= day and not item.overdue:
                yield MarkedOverdue(
                    draw=loan.draw,
                    bank=loan.bank,
                    unadjusted=item.unadjusted,
                    due_on=item.due_on,
                    on=day,
                    principal_minor=item.principal_minor,
                    interest_minor=item.interest_minor,
                )


def _classes(state: FacilityState, day: date) -> Iterator[Fact]:
    """The banks whose class on `day` is another than the one recorded.

    Where nothing is overdue and every bank's class is normal, no rule can say otherwise.
    """
    recorded = {class_of(state, bank=bank) for bank in state.terms.seats}
    if recorded == {NORMAL} and not state.days_overdue(day, bank=None):
        return
    lenders = {loan.bank for loan in state.loans.values() if loan.drawn_on is not None}
    for bank in state.terms.seats:
        if bank in lenders:
            found = judged(state, bank=bank, on=day)
            if found.risk_class != class_of(state, bank=bank):
                yield found


_Bringer = Callable[[FacilityState, date], Iterator[Fact]]
