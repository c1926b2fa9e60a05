"""How long a period is in years, exactly, under each day count. It knows no rates and no holidays.

The first day counts and the last does not (算头不算尾): from a day to itself is nothing. Every
answer is a Fraction, so that interest is rounded once, by whoever computes it.

    ACT/360, ACT/365F, 30E/360, 30/360, ACT/ACT ISDA   `year_fraction`: the two dates are enough
    30E/360 ISDA, ACT/ACT ICMA, ACT/ACT AFB            functions of their own
"""

import calendar
from datetime import date
from fractions import Fraction
from typing import Literal, get_args

from ledger.errors import WrongInput
from syndicate.reference.dates import month_end

DayCount = Literal["ACT/360", "ACT/365F", "30E/360", "30/360", "ACT/ACT ISDA"]
DAY_COUNTS: tuple[DayCount, ...] = get_args(DayCount)


def year_fraction(convention: DayCount, start: date, end: date) -> Fraction:
    """The exact years from `start` to `end`; CNY loans are ACT/360, 按月计息 is 30E/360.

    Source: ISDA 2006 Definitions section 4.16 (b) ACT/ACT, (d) ACT/365 Fixed, (e) ACT/360,
    (f) 30/360, (g) 30E/360.
    Raises WrongInput for another convention and for an end before the start.
    """
    _refuse_backwards(start, end)
    match convention:
        case "ACT/360":
            return Fraction((end - start).days, 360)
        case "ACT/365F":
            return Fraction((end - start).days, 365)
        case "30E/360":
            return Fraction(_days_360(start, end, min(start.day, 30), min(end.day, 30)), 360)
        case "30/360":
            first = min(start.day, 30)
            last = 30 if end.day == 31 and first == 30 else end.day
            return Fraction(_days_360(start, end, first, last), 360)
        case "ACT/ACT ISDA":
            return _act_act_isda(start, end)
        case _:
            raise WrongInput("day_count", f"one of {', '.join(DAY_COUNTS)}")


def year_fraction_30e_360_isda(start: date, end: date, *, termination: date) -> Fraction:
    """30E/360 in which the last day of February is a 30th, but for a termination date in it.

    Source: ISDA 2006 Definitions section 4.16 (h).
    """
    _refuse_backwards(start, end)
    first = 30 if start == month_end(start) else start.day
    ends_month = end == month_end(end) and not (end == termination and end.month == 2)
    return Fraction(_days_360(start, end, first, 30 if ends_month else min(end.day, 30)), 360)


def year_fraction_act_act_icma(
    start: date, end: date, *, period_start: date, period_end: date
) -> Fraction:
    """Days over the days of the regular period they stand in, over that period's number a year.

    period_start, period_end  the regular (or notional) coupon period; it holds start and end and
                              is 1, 2, 3, 4, 6 or 12 months long
    Source: ICMA rule 251.
    """
    _refuse_backwards(start, end)
    if not period_start <= start <= end <= period_end or period_start == period_end:
        raise WrongInput("period_start", "a period that holds the days asked for")
    months = 12 * (period_end.year - period_start.year) + period_end.month - period_start.month
    if months < 1 or 12 % months:
        raise WrongInput("period_end", "a period of 1, 2, 3, 4, 6 or 12 months")
    return Fraction((end - start).days, (period_end - period_start).days) * Fraction(months, 12)


def year_fraction_act_act_afb(start: date, end: date) -> Fraction:
    """Whole years counted back from the end, and the days left over 366 if a 29 February is there.

    Source: Association Française des Banques, master agreement 1994, "Exact/Exact".
    """
    _refuse_backwards(start, end)
    years, rest_end = 0, end
    while (earlier := _one_year_before(rest_end, of=end)) >= start:
        years, rest_end = years + 1, earlier
    leap_days = (
        date(year, 2, 29) for year in range(start.year, rest_end.year + 1) if calendar.isleap(year)
    )
    length = 366 if any(start <= day < rest_end for day in leap_days) else 365
    return years + Fraction((rest_end - start).days, length)


def _refuse_backwards(start: date, end: date) -> None:
    if end < start:
        raise WrongInput("end", f"a day on or after the start, {start}")


def _days_360(start: date, end: date, first: int, last: int) -> int:
    return 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first


def _act_act_isda(start: date, end: date) -> Fraction:
    """Days in leap years over 366 and the others over 365."""
    total = Fraction(0)
    for year in range(start.year, end.year + 1):
        first = max(start, date(year, 1, 1))
        days = (end - first).days if year == end.year else (date(year + 1, 1, 1) - first).days
        total += Fraction(days, 366 if calendar.isleap(year) else 365)
    return total


def _one_year_before(day: date, *, of: date) -> date:
    """The anniversary of `of` in the year before `day`; of a month's end in February, its end."""
    year = day.year - 1
    if of.month == 2 and of == month_end(of):
        return month_end(date(year, 2, 1))
    return of.replace(year=year)
