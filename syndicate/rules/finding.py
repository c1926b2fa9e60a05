"""What a rule found: its outcome, the value it measured, the limit, and where the rule stands.

    severity   the condition of the rule is broken (or, for inform, holds)   otherwise
    block      fail: nothing may go on                                       pass
    warn       warn: a reason and a second approver are needed (原则上)        pass
    inform     inform: to be told, nothing to be done                        pass
    any        not_applicable: the facts it needs are not there, or it does not speak of this case

Comparisons are exact; `value` and `limit` are for reading. Shares are decimals rounded half up at
four places, or at as many more as it takes to tell them from a limit they are not equal to; amounts
keep every decimal and at least two; counts are integers and days are YYYY-MM-DD.
"""

from datetime import date
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from ledger.money import round_half_up

Outcome = Literal["pass", "warn", "fail", "inform", "not_applicable"]
Severity = Literal["block", "warn", "inform"]
Shown = bool | str | int | dict[str, bool | str | int | None] | None
"""A value as it is printed: text, a count or truth, or several named ones."""

_WORST: dict[Severity, Outcome] = {"block": "fail", "warn": "warn", "inform": "inform"}


class Finding(Struct, frozen=True, kw_only=True):
    """One rule's answer on one set of facts; `effective_from` is the rule's first day in force."""

    rule: str
    outcome: Outcome
    value: Shown
    limit: Shown
    severity: Severity
    source: str
    effective_from: date


class Judgement(Struct, frozen=True, kw_only=True):
    """What a rule's check says before severity is known.

    broken  True where the rule is broken (inform: its condition holds); None where the facts are
            absent or the rule does not speak of the case
    limit   None where the limit is the rule's own
    """

    broken: bool | None
    value: Shown = None
    limit: Shown = None


SILENT = Judgement(broken=None)
"""The judgement of a rule that has nothing to judge."""


def outcome_of(broken: bool | None, severity: Severity) -> Outcome:
    """The outcome a judgement means under the rule's severity."""
    if broken is None:
        return "not_applicable"
    return _WORST[severity] if broken else "pass"


def all_hold(*claims: bool | None) -> bool | None:
    """Whether every claim holds: one that is false decides, else one unknown leaves it unknown."""
    if any(claim is False for claim in claims):
        return False
    return None if any(claim is None for claim in claims) else True


def share_text(share: Fraction, *, against: Fraction) -> str:
    """A share with four decimals, or more where four would show a limit it does not equal."""
    for places in range(4, 19):
        text = _decimal(share, places)
        if share == against or Fraction(text) != against:
            return text
    return str(share)


def limit_text(limit: Fraction) -> str:
    """A limit without trailing zeros: 3/20 -> "0.15"."""
    return _decimal(limit, 8).rstrip("0").rstrip(".")


def amount_text(amount: Fraction) -> str:
    """An amount with all its decimals, at least two and at most eight (half up beyond)."""
    whole, decimals = _decimal(amount, 8).split(".")
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def _decimal(exact: Fraction, places: int) -> str:
    scaled = round_half_up(exact * 10**places)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]}"
