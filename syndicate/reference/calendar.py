"""Which days are workdays in mainland China, and where a date that is none moves to.

    known   2018-01-01 .. 2026-12-31 (`FIRST_DAY`, `LAST_DAY`), by the State Council's notices
    beyond  a refusal, `BeyondCalendar`; only `roll` answers there, and marks the answer provisional

It reads no clock and never guesses: the arrangement of a year is published the November before.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, timedelta
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from msgspec import Struct

from ledger.errors import Refused, WrongInput
from syndicate.reference.holiday_notices import ARRANGEMENTS, VERSION, Arrangement

__all__ = [
    "FIRST_DAY",
    "LAST_DAY",
    "VERSION",
    "BeyondCalendar",
    "Convention",
    "Rolled",
    "add_workdays",
    "arrangement_of",
    "following",
    "is_workday",
    "modified_following",
    "next_workday",
    "previous_workday",
    "roll",
]

FIRST_DAY: Final = date(ARRANGEMENTS[0].year, 1, 1)
LAST_DAY: Final = date(ARRANGEMENTS[-1].year, 12, 31)

Convention = Literal["following", "modified_following", "none"]

IN_USE: ContextVar[Mapping[int, Arrangement]] = ContextVar(
    "arrangements",
    default=MappingProxyType({arrangement.year: arrangement for arrangement in ARRANGEMENTS}),
)
"""The years that questions are answered from; others only inside `published.using`."""

_ONE_DAY: Final = timedelta(days=1)


class BeyondCalendar(Refused):
    """The question needs a day the table does not know. Fields: day, first_day, last_day."""

    code: ClassVar[str] = "beyond-calendar"

    def __init__(self, day: date) -> None:
        super().__init__(
            f"{day} is outside the working-day table {VERSION}, {FIRST_DAY} to {LAST_DAY}",
            day=day,
            first_day=FIRST_DAY,
            last_day=LAST_DAY,
        )
        self.day = day


def arrangement_of(day: date) -> Arrangement:
    """The notices that decide the day's year; BeyondCalendar outside the table."""
    arrangement = IN_USE.get().get(day.year)
    if arrangement is None:
        raise BeyondCalendar(day)
    return arrangement


def is_workday(day: date) -> bool:
    """Whether banks work on the day: Monday to Friday, but for the days the notices moved."""
    arrangement = arrangement_of(day)
    if day in arrangement.off:
        return False
    return day in arrangement.worked or _is_weekday(day)


def next_workday(day: date) -> date:
    """The first workday strictly after `day`; BeyondCalendar where the table ends before it."""
    arrangement_of(day)
    return _first_workday(day + _ONE_DAY, step=_ONE_DAY)


def previous_workday(day: date) -> date:
    """The last workday strictly before `day`; BeyondCalendar where the table begins after it."""
    arrangement_of(day)
    return _first_workday(day - _ONE_DAY, step=-_ONE_DAY)


def add_workdays(day: date, count: int) -> date:
    """The count-th workday strictly after `day`, or strictly before it for a negative count.

    Zero gives `day` itself, workday or not. Deadlines of the trade are counted so: the day of the
    notice is not counted (当日不计).
    """
    arrangement_of(day)
    step = next_workday if count > 0 else previous_workday
    for _ in range(abs(count)):
        day = step(day)
    return day


def following(day: date) -> date:
    """The day itself if it is a workday, else the next one (顺延)."""
    return _first_workday(day, step=_ONE_DAY)


def modified_following(day: date) -> date:
    """As `following`, unless that leaves the month: then the last workday before `day`."""
    rolled = following(day)
    return rolled if rolled.month == day.month else previous_workday(day)


class Rolled(Struct, frozen=True, kw_only=True):
    """Where a due date moved to; `provisional` where a day outside the table was looked at."""

    on: date
    provisional: bool


def roll(day: date, convention: Convention) -> Rolled:
    """The due date moved by the convention, on any day; outside the table on weekends alone.

    For plans only: a provisional date is to be rolled again once its year's notice is out, and no
    booking may rest on it. "none" leaves the day as it is, with `provisional` False.
    """
    if convention == "none":
        return Rolled(on=day, provisional=False)
    if convention not in ("following", "modified_following"):
        raise WrongInput("business_day", '"following", "modified_following" or "none"')
    rolled, provisional = _plan(day, step=_ONE_DAY)
    if convention == "modified_following" and rolled.month != day.month:
        rolled, unsure = _plan(day, step=-_ONE_DAY)
        provisional = provisional or unsure
    return Rolled(on=rolled, provisional=provisional)


def _first_workday(day: date, *, step: timedelta) -> date:
    while not is_workday(day):
        day += step
    return day


def _plan(day: date, *, step: timedelta) -> tuple[date, bool]:
    """The first presumed workday from `day` on, and whether any day looked at was a guess."""
    guessed = False
    while True:
        known = day.year in IN_USE.get()
        guessed = guessed or not known
        if is_workday(day) if known else _is_weekday(day):
            return day, guessed
        day += step


def _is_weekday(day: date) -> bool:
    return day.weekday() < 5
