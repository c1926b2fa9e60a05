"""Which rate a draw bears, and what one night costs exactly. It never posts and never rounds.

    rate        base of the day of the draw (or the day before) + spread; again on each reset date
    one night   base amount x rate / 360 (or 365), an exact Fraction; value date t carries the night
                t-1 -> t (算头不算尾), so a rate fixed from day r first shows on value date r+1
    posted      round half up of the cumulative sum, less what was posted before: the sum over a
                period is the exact interest of the period rounded once

Overdue principal bears the penalty rate (rate x multiple, 罚息) instead of the rate. Unpaid overdue
interest bears the penalty rate too where agreed (复利); penalty and compound interest bear nothing.
"""

from datetime import date, timedelta
from fractions import Fraction
from typing import Final, Literal

from ledger.money import parse_decimal, round_half_up
from syndicate.facility.errors import FixingUnknown, RateNotPositive
from syndicate.facility.facts import RateFixed
from syndicate.facility.terms import FacilityTerms, penalty_multiple
from syndicate.reference.day_count import year_fraction
from syndicate.reference.lpr import Tenor, lpr_in_force, stale_after

ONE_DAY: Final = timedelta(days=1)
_TENORS: Final[dict[str, Tenor]] = {"LPR1Y": "1Y", "LPR5Y": "5Y"}


def fixed_rate(terms: FacilityTerms, *, draw: str, from_date: date) -> RateFixed:
    """The rate the draw bears from the day on, by the fixing the contract chose.

    Raises FixingUnknown where the table may not hold that fixing yet: a rate is never guessed;
    RateNotPositive where the spread eats it up.
    """
    as_of = from_date if terms.rate.lpr_as_of == "same_day" else from_date - ONE_DAY
    if as_of > stale_after():
        raise FixingUnknown(on=as_of, known_to=stale_after())
    fixing = lpr_in_force(_TENORS[terms.rate.base], as_of)
    rate = fixing.rate + Fraction(terms.rate.spread_bp, 10_000)
    if rate <= 0:
        raise RateNotPositive(decimal_text(rate))
    return RateFixed(
        draw=draw,
        rate=decimal_text(rate),
        base=terms.rate.base,
        base_rate=decimal_text(fixing.rate),
        spread_bp=terms.rate.spread_bp,
        fixed_on=fixing.fixed_on,
        from_date=from_date,
    )


def rate_of_night(rates: tuple[RateFixed, ...], day: date) -> str:
    """The rate of the night before `day`: the last one fixed from a day before it."""
    return next(fixed.rate for fixed in reversed(rates) if fixed.from_date < day)


def penalty_rate(rate: str, terms: FacilityTerms) -> str:
    """The rate times the agreed multiple, exact."""
    return decimal_text(parse_decimal(rate, place="rate") * penalty_multiple(terms))


def night(
    base_minor: int, *, rate: str, day: date, day_count: Literal["ACT/360", "ACT/365F"]
) -> Fraction:
    """The exact interest, in minor units, of the night before `day`; 0 on nothing."""
    if not base_minor:
        return Fraction(0)
    return nights(base_minor, rate=rate, since=day - ONE_DAY, until=day, day_count=day_count)


def nights(
    base_minor: int,
    *,
    rate: str,
    since: date,
    until: date,
    day_count: Literal["ACT/360", "ACT/365F"],
) -> Fraction:
    """The exact interest, in minor units, of an unchanged base from `since` to `until`."""
    return base_minor * parse_decimal(rate, place="rate") * year_fraction(day_count, since, until)


def posting(cumulative: Fraction, *, posted_minor: int) -> int:
    """What is to be posted now: the cumulative amount rounded half up, less what was before."""
    return round_half_up(cumulative) - posted_minor


def decimal_text(exact: Fraction) -> str:
    """The plain decimal of a fraction whose denominator divides a power of ten: 73/2000 -> 0.0365.

    At least four decimals, as rates are read in hundredths of a per cent.
    """
    decimals = 4
    while (exact * 10**decimals).denominator != 1:
        decimals += 1
        assert decimals <= 36, "a rate is a decimal: base, spread and multiple are"
    digits = str(abs(exact.numerator * 10**decimals // exact.denominator)).rjust(decimals + 1, "0")
    return f"{'-' if exact < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"
