"""How a number came about, in plain steps. It computes nothing that is not in the state."""

from datetime import date
from fractions import Fraction

from ledger.money import format_amount, round_half_up
from syndicate.facility.errors import NoSuch
from syndicate.facility.interest import decimal_text, nights
from syndicate.facility.loans import Bearing, Segment
from syndicate.facility.state import FacilityState

NAMES: dict[Bearing, str] = {
    "interest": "interest (利息)",
    "penalty": "penalty interest (罚息)",
    "compound": "compound interest (复利)",
}


def explain_interest(
    state: FacilityState, *, draw: str, bank: str, kind: Bearing, period_ending: date | None
) -> tuple[str, ...]:
    """One step a stretch of nights with one base and one rate, then the exact sum, then its round.

    period_ending  the unadjusted due date that ends the period asked for; None for everything since
                   the draw (penalty and compound interest run over the loan's whole life)
    Raises NoSuch for a loan or a period that is not there.
    """
    loan = state.loans.get((draw, bank))
    if loan is None:
        raise NoSuch("loan", f"{draw} of {bank}")
    due_dates = state.draws[draw].due_dates
    if period_ending is not None and period_ending not in due_dates:
        raise NoSuch("interest period ending", str(period_ending))
    wanted = None if period_ending is None else due_dates.index(period_ending)
    chosen = [
        segment
        for segment in loan.segments
        if segment.kind == kind and wanted in (None, segment.period)
    ]
    steps = [f"{NAMES[kind]} of loan {loan.loan_no}, {bank}'s part of draw {draw}"]
    sums: dict[int, Fraction] = {}
    for segment in chosen:
        exact = _exact(state, segment)
        group = segment.period if kind == "interest" else 0
        sums[group] = sums.get(group, Fraction(0)) + exact
        steps.append(_step(state, segment, exact))
    total_minor = sum(round_half_up(exact) for exact in sums.values())
    how = "each period rounded half up once" if len(sums) > 1 else "rounded half up once"
    steps.append(f"together {_amount(state, total_minor)}, {how}")
    return tuple(steps)


def _step(state: FacilityState, segment: Segment, exact: Fraction) -> str:
    basis = state.terms.rate.day_count.removeprefix("ACT/").removesuffix("F")
    days = (segment.until - segment.since).days
    percent = decimal_text(Fraction(segment.rate) * 100).rstrip("0").rstrip(".")
    return (
        f"{segment.since} to {segment.until}: {days} nights on "
        f"{_amount(state, segment.base_minor)} at {percent} %, / {basis} = "
        f"{_amount(state, round_half_up(exact))}"
    )


def _exact(state: FacilityState, segment: Segment) -> Fraction:
    return nights(
        segment.base_minor,
        rate=segment.rate,
        since=segment.since,
        until=segment.until,
        day_count=state.terms.rate.day_count,
    )


def _amount(state: FacilityState, amount_minor: int) -> str:
    return format_amount(amount_minor, currency=state.terms.currency)
