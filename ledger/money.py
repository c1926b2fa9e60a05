"""Amounts as integers of minor units, and how they are read, written and rounded. No floats.

The scale is the currency's (ISO 4217): CNY has 100 fen to the yuan. JSON fields named `*_minor`
hold integers; files and the command line hold decimal strings in major units.
"""

import re
from fractions import Fraction
from typing import Final

from ledger.errors import WrongInput

SCALES: Final = {"CNY": 2, "USD": 2, "EUR": 2, "HKD": 2, "GBP": 2, "JPY": 0}
"""Decimal places of each currency the service knows."""

MAX_MINOR: Final = 2**53 - 1
"""The largest amount: what every JSON reader holds exactly."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]+))?")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,18}))?")


def scale_of(currency: str, *, place: str) -> int:
    """Decimal places of the currency; WrongInput where the service does not know it."""
    if currency not in SCALES:
        raise WrongInput(place, f"a currency of {', '.join(sorted(SCALES))}")
    return SCALES[currency]


def parse_amount(text: object, *, currency: str, place: str) -> int:
    """Minor units of a non-negative decimal string such as "1000000.01".

    Only plain ASCII digits with at most the currency's decimals: no sign, blank, exponent or comma.
    """
    scale = scale_of(currency, place=place)
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(match.group(2) or "") > scale:
        raise WrongInput(place, f'a decimal string with at most {scale} decimals, as "1000000.01"')
    whole, decimals = match.group(1), (match.group(2) or "").ljust(scale, "0")
    minor = int(whole + decimals)
    if minor > MAX_MINOR:
        raise WrongInput(place, f"an amount of at most {MAX_MINOR} minor units")
    return minor


def format_amount(minor: int, *, currency: str) -> str:
    """The decimal string of minor units, always with the currency's decimals: 5 -> "0.05"."""
    scale = SCALES[currency]
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def parse_decimal(text: object, *, place: str) -> Fraction:
    """The exact value of a plain decimal string such as "0.0435" or "-0.001"."""
    if not isinstance(text, str) or _DECIMAL.fullmatch(text) is None:
        raise WrongInput(place, 'a plain decimal string, as "0.0435"')
    return Fraction(text)


def round_half_up(exact: Fraction) -> int:
    """The nearest integer; a half goes away from zero, as banks round money by hand (四舍五入)."""
    if exact < 0:
        return -round_half_up(-exact)
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
