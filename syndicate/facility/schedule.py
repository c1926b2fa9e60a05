"""When a draw falls due and how much principal each time. It computes no interest, no cash.

    regular due dates   the payment day of every month, or of March, June, September and December
    first               the first regular date a full month or more after the draw: a shorter first
                        period is merged into the next (long first)
    last                the maturity, the draw's day of the month `tenor_months` later
    adjusted            moved by the business-day convention; interest runs between UNADJUSTED dates

A draw of 2024-03-18 with day 20, quarterly: 2024-03-20 is two days off, so the first is 2024-06-20.
Where the convention moves a date *back* (modified following at a month's end) the interest period
closes with it: money cannot be due for nights that have not passed.
"""

import calendar
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import msgspec

from ledger.money import round_half_up
from syndicate.facility.terms import RateTerms, RepaymentTerms
from syndicate.reference.calendar import Convention, Rolled, roll

QUARTER_MONTHS = (3, 6, 9, 12)


class Instalment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a repayment plan (还款计划).

    due_on       the unadjusted date moved to a business day
    provisional  the working-day table does not reach there: weekends alone were looked at
    """

    unadjusted: date
    due_on: date
    provisional: bool
    principal_minor: int


def plan(start: date, *, amount_minor: int, terms: RepaymentTerms) -> tuple[Instalment, ...]:
    """The instalments of a loan of this amount drawn on `start`, in date order; they sum to it.

    A bullet has lines of principal 0 where only interest is due.
    """
    dates = due_dates(start, terms)
    parts = principal_parts(amount_minor, count=len(dates), kind=terms.kind)
    return tuple(
        Instalment(
            unadjusted=unadjusted,
            due_on=(moved := adjusted(unadjusted, terms.business_day)).on,
            provisional=moved.provisional,
            principal_minor=part,
        )
        for unadjusted, part in zip(dates, parts, strict=True)
    )


def due_dates(start: date, terms: RepaymentTerms) -> tuple[date, ...]:
    """The unadjusted due dates, strictly increasing, the maturity last."""
    last = maturity(start, tenor_months=terms.tenor_months)
    earliest = months_on(start, 1)
    regular = []
    for months in range(terms.tenor_months + 1):
        due = _payment_day(start, months, day=terms.payment_day)
        if terms.frequency == "quarterly" and due.month not in QUARTER_MONTHS:
            continue
        if earliest <= due < last:
            regular.append(due)
    return (*regular, last)


def maturity(start: date, *, tenor_months: int) -> date:
    """The day the whole principal must be back (到期日), before any business-day convention."""
    return months_on(start, tenor_months)


def months_on(start: date, months: int) -> date:
    """The same day of the month (对日) so many months later; its last day where it is shorter."""
    return _payment_day(start, months, day=start.day)


def _payment_day(start: date, months: int, *, day: int) -> date:
    year, month_index = divmod(start.year * 12 + start.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month_index + 1)[1]
    return date(year, month_index + 1, min(day, last_day))


def adjusted(unadjusted: date, convention: Convention) -> Rolled:
    """The day the money is due, and whether the working-day table was too short to be sure."""
    return roll(unadjusted, convention)


def closes_on(unadjusted: date, convention: Convention) -> date:
    """The last day of the interest period: the unadjusted date, or the adjusted one if earlier."""
    return min(unadjusted, adjusted(unadjusted, convention).on)


def principal_parts(
    amount_minor: int, *, count: int, kind: Literal["bullet", "equal_principal"]
) -> tuple[int, ...]:
    """The principal of each of `count` instalments; none negative, their sum the amount.

    Equal principal (等额本金) is an exact running split: after k instalments round-half-up of
    amount x k / count is repaid, so no total is ever off its exact value by more than half a fen.
    """
    if kind == "bullet":
        return (0,) * (count - 1) + (amount_minor,)
    totals = [round_half_up(Fraction(amount_minor * k, count)) for k in range(count + 1)]
    return tuple(after - before for before, after in pairwise(totals))


def reset_dates(start: date, *, tenor_months: int, terms: RateTerms) -> tuple[date, ...]:
    """The unadjusted days from which a new rate runs: each anniversary before the maturity."""
    if terms.reset == "none":
        return ()
    return tuple(months_on(start, months) for months in range(12, tenor_months, 12))
