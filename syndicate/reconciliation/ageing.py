"""How long a break has been open, in working days (账龄). It knows no break and reads no clock."""

from datetime import date, timedelta
from typing import Final, Literal

from syndicate.reference.calendar import is_workday

Band = Literal["0-1", "2-5", "6-10", "11-30", "over 30"]
_UNTIL: Final[tuple[tuple[int, Band], ...]] = ((1, "0-1"), (5, "2-5"), (10, "6-10"), (30, "11-30"))


def workdays_between(since: date, until: date) -> int:
    """Working days after `since`, up to and with `until`; 0 where `until` is not later.

    The day itself does not count (当日不计). Raises BeyondCalendar past the working-day table.
    """
    days = max(0, (until - since).days)
    return sum(is_workday(since + timedelta(days=step)) for step in range(1, days + 1))


def band(workdays: int) -> Band:
    """The column of an ageing table that so many working days stand in."""
    return next((name for last, name in _UNTIL if workdays <= last), "over 30")
