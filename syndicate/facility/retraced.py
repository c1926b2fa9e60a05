"""What a facility would be had every act been known on the day from which it counts.

The days are run again from the first cash, by the very rules that open and close them, with each
payment, loss and alert put where it counts (起息日) and not where it became known (记账日). It
decides nothing and refuses nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import msgspec
from msgspec.structs import replace

from syndicate.facility.day import evening, morning
from syndicate.facility.facts import Fact
from syndicate.facility.interest import ONE_DAY
from syndicate.facility.loans import Loan, released
from syndicate.facility.state import Act, FacilityState, evolve


class Stretch(msgspec.Struct, frozen=True):
    """Some days lived again: what they brought, oldest first, and the facility at their end.

    evenings  the facility at the end of each day that was closed
    """

    brought: tuple[Fact, ...]
    evenings: dict[date, FacilityState]
    state: FacilityState


def before_first_cash(state: FacilityState) -> FacilityState:
    """The facility with every draw, rate and release it has by now, and nothing paid out yet."""
    return replace(
        state,
        draws={name: replace(draw, closed=0, fallen=0) for name, draw in state.draws.items()},
        loans={key: _released(loan) for key, loan in state.loans.items()},
        losses={},
        recoveries={},
        borne={},
        owed={},
        classes={},
        alerts={},
        reached=None,
        acts=(),
        corrections=(),
    )


def _released(loan: Loan) -> Loan:
    return released(
        draw=loan.draw, bank=loan.bank, loan_no=loan.loan_no, amount_minor=loan.amount_minor
    )


def in_order(acts: Sequence[Act], *, first: date) -> tuple[Act, ...]:
    """The acts by the day from which they count, `first` at the earliest; of one day, as known."""
    clamped = (Act(max(act.on, first), act.fact) for act in acts)
    return tuple(sorted(clamped, key=lambda act: act.on))


def midday(state: FacilityState, acts: Sequence[Act], *, on: date) -> FacilityState:
    """The facility once the start of the day is over and the acts that count from it are done."""
    return _acted(morning(state, on)[1], acts, on=on)


def _acted(state: FacilityState, acts: Sequence[Act], *, on: date) -> FacilityState:
    for act in acts:
        if act.on == on:
            state = evolve(state, act.fact)
    return state


def onward(state: FacilityState, acts: Sequence[Act], *, since: date, today: date) -> Stretch:
    """From the midday of `since`, its acts done, to the midday of `today`, which is not closed."""
    if since == today:
        return Stretch((), {}, state)
    ended, state = evening(state, since)
    days = lived(state, acts, since=since + ONE_DAY, until=today)
    started, last = morning(days.state, today)
    return Stretch(
        (*ended, *days.brought, *started),
        {since: state, **days.evenings},
        _acted(last, acts, on=today),
    )


def lived(state: FacilityState, acts: Sequence[Act], *, since: date, until: date) -> Stretch:
    """Whole days from the start of `since` to the end of the one before `until`."""
    by_day: defaultdict[date, list[Act]] = defaultdict(list)
    for act in acts:
        by_day[act.on].append(act)
    brought: list[Fact] = []
    evenings: dict[date, FacilityState] = {}
    while since < until:
        started, state = morning(state, since)
        ended, state = evening(_acted(state, by_day.get(since, ()), on=since), since)
        brought += (*started, *ended)
        evenings[since] = state
        since += ONE_DAY
    return Stretch(tuple(brought), evenings, state)


def alike(first: FacilityState, second: FacilityState) -> bool:
    """Whether every loan and every class is the same in both."""
    return (
        {key: _by_date(loan) for key, loan in first.loans.items()}
        == {key: _by_date(loan) for key, loan in second.loans.items()}
    ) and _classes(first) == _classes(second)


def _by_date(loan: Loan) -> Loan:
    """The loan with its segments in an order that does not tell how they came about."""
    return replace(
        loan, segments=tuple(sorted(loan.segments, key=lambda each: (each.kind, each.since)))
    )


def _classes(state: FacilityState) -> dict[str, str]:
    recorded = {bank: found.risk_class for bank, found in state.classes.items()}
    return {bank: risk_class for bank, risk_class in recorded.items() if risk_class != "normal"}
