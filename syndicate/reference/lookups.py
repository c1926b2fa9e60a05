"""What the small look-up commands print: a dict ready for JSON, from arguments as typed.

Each raises WrongInput naming the argument and what was expected there; nothing is guessed beyond
the tables.
"""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

from ledger.errors import WrongInput
from ledger.money import round_half_up
from syndicate.reference import calendar, lpr
from syndicate.reference.dates import parse_date
from syndicate.reference.ids import Verdict, check_lei, check_uscc


def lpr_answer(tenor: str, as_of: str) -> dict[str, Any]:
    """The fixing in force on a day: `rate` as a decimal with four places, `fixed_on` its day.

    After the last fixing known `stale_after` is added: the last day before the next one is due.
    """
    if tenor == "1Y":
        known_tenor: lpr.Tenor = "1Y"
    elif tenor == "5Y":
        known_tenor = "5Y"
    else:
        raise WrongInput("--tenor", "1Y or 5Y")
    day = parse_date(as_of, place="--as-of")
    try:
        fixing = lpr.lpr_in_force(known_tenor, day)
    except lpr.BeforeFirstFixing as error:
        raise WrongInput("--as-of", f"a day on or after {lpr.FIRST_FIXING}") from error
    answer = {"rate": _four_places(fixing.rate), "fixed_on": fixing.fixed_on.isoformat()}
    if not lpr.is_known(day):
        answer["stale_after"] = lpr.stale_after().isoformat()
    return answer


def calendar_answer(day: str) -> dict[str, Any]:
    """Whether a day is a workday, the next one strictly after it (null on the last), the source."""
    asked = parse_date(day, place="DATE")
    try:
        workday = calendar.is_workday(asked)
    except calendar.BeyondCalendar as error:
        span = f"{calendar.FIRST_DAY} to {calendar.LAST_DAY}"
        raise WrongInput("DATE", f"a day of the working-day table, {span}") from error
    return {
        "date": asked.isoformat(),
        "workday": workday,
        "next_workday": _next_workday(asked),
        "source": calendar.arrangement_of(asked).source,
    }


def uscc_answer(code: str) -> tuple[bool, dict[str, Any]]:
    """Whether a unified social credit code is well formed, and the document that says so."""
    return _verdict(check_uscc, code)


def lei_answer(code: str) -> tuple[bool, dict[str, Any]]:
    """Whether a legal entity identifier is well formed, and the document that says so."""
    return _verdict(check_lei, code)


def _verdict(check: Callable[[str], Verdict], code: str) -> tuple[bool, dict[str, Any]]:
    if not code:
        raise WrongInput("CODE", "a code, not an empty text")
    verdict = check(code)
    if verdict.valid:
        return True, {"valid": True}
    return False, {"valid": False, "reason": verdict.reason}


def _next_workday(day: date) -> str | None:
    try:
        return calendar.next_workday(day).isoformat()
    except calendar.BeyondCalendar:
        return None


def _four_places(rate: Fraction) -> str:
    """The rate with four decimals; every fixing is whole in them (a hundredth of a per cent)."""
    scaled = round_half_up(rate * 10_000)
    return f"{scaled // 10_000}.{scaled % 10_000:04d}"
