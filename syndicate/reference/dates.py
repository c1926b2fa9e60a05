"""How a calendar date is read from text and moved by months. It knows no holidays and no clock."""

import calendar
import re
from datetime import date
from typing import Final

from ledger.errors import WrongInput

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def parse_date(text: object, *, place: str) -> date:
    """The day written strictly as YYYY-MM-DD in ASCII digits; no other ISO 8601 form is taken.

    place  the JSON path or argument a refusal names
    Raises WrongInput for anything else, a day that does not exist (2025-02-29) included.
    """
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise WrongInput(place, 'a date that exists, written "YYYY-MM-DD"')


def month_end(day: date) -> date:
    """The last day of the month `day` stands in."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def months_after(day: date, months: int) -> date:
    """The same day of the month `months` later, month end to month end.

    months   zero or more
    returns  30 January + 1 -> 28 (29) February; 28 February 2026 + 1 -> 31 March, as the last
             day of a month goes to the last day of a month
    """
    year, month_index = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = month_end(date(year, month_index + 1, 1))
    if day == month_end(day) or day.day > last.day:
        return last
    return last.replace(day=day.day)
