"""What was published from outside, as documents that travel with a bundle: fixings, days, rules.

    lpr.json       every fixing of the loan prime rate
    calendar.json  every year's days off and days worked
    rules.json     the rule packs: the days their versions begin, and the digest of their content

Whoever computes a facility again must be able to take these from what he was handed, not from the
program that is being checked: inside `using` every question of `lpr` and `calendar` is answered
from the given tables. `differences` says where they contradict the program's own, `beyond` what
only they say.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from hashlib import sha256
from typing import Final

import msgspec

from ledger.documents import canonical, read_document
from ledger.errors import WrongInput
from ledger.money import parse_decimal
from syndicate.reference import calendar, lpr
from syndicate.reference.holiday_notices import ARRANGEMENTS, VERSION, Arrangement

FIXINGS: Final = "lpr.json"
CALENDAR: Final = "calendar.json"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Fixing(_Document, frozen=True, kw_only=True):
    """Rates in per cent, as published."""

    fixed_on: date
    one_year: str
    five_years: str


class _Fixings(_Document, frozen=True, kw_only=True):
    source: str
    fixings: tuple[_Fixing, ...]


class _Year(_Document, frozen=True, kw_only=True):
    year: int
    notices: tuple[str, ...]
    off: tuple[date, ...]
    worked: tuple[date, ...]


class _Calendar(_Document, frozen=True, kw_only=True):
    version: str
    years: tuple[_Year, ...]


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """Fixings, oldest first, and the years of the working-day table."""

    fixings: tuple[lpr.Published, ...]
    years: Mapping[int, Arrangement]


OWN: Final = Tables(
    fixings=lpr.FIXINGS, years={arrangement.year: arrangement for arrangement in ARRANGEMENTS}
)
"""The program's own tables."""


def documents(tables: Tables = OWN) -> dict[str, bytes]:
    """The tables as canonical JSON by file name, which `read` takes back."""
    fixings = _Fixings(
        source=lpr.SOURCE,
        fixings=tuple(
            _Fixing(
                fixed_on=row.fixed_on,
                one_year=_percent(row.one_year),
                five_years=_percent(row.five_years),
            )
            for row in tables.fixings
        ),
    )
    years = _Calendar(
        version=VERSION,
        years=tuple(
            _Year(
                year=year.year,
                notices=year.notices,
                off=tuple(sorted(year.off)),
                worked=tuple(sorted(year.worked)),
            )
            for _, year in sorted(tables.years.items())
        ),
    )
    return {FIXINGS: canonical(fixings), CALENDAR: canonical(years)}


def read(files: Mapping[str, bytes]) -> Tables:
    """The tables of the two documents. Raises WrongInput naming the file and the place."""
    for name in (FIXINGS, CALENDAR):
        if name not in files:
            raise WrongInput(name, "the table, which has this file")
    fixings = read_document(files[FIXINGS], _Fixings, place=FIXINGS)
    known = read_document(files[CALENDAR], _Calendar, place=CALENDAR)
    days = [row.fixed_on for row in fixings.fixings]
    if not days or days != sorted(set(days)):
        raise WrongInput(f"{FIXINGS}.fixings", "fixings, the oldest first, each day once")
    years = {year.year: _arrangement(year) for year in known.years}
    if len(years) != len(known.years):
        raise WrongInput(f"{CALENDAR}.years", "each year once")
    return Tables(
        fixings=tuple(
            lpr.Published(
                fixed_on=row.fixed_on,
                one_year=_rate(row.one_year),
                five_years=_rate(row.five_years),
            )
            for row in fixings.fixings
        ),
        years=years,
    )


@contextmanager
def using(tables: Tables) -> Iterator[None]:
    """Inside, `lpr` and `calendar` answer from these tables, in this context only."""
    fixings = lpr.IN_USE.set(tables.fixings)
    years = calendar.IN_USE.set(tables.years)
    try:
        yield
    finally:
        lpr.IN_USE.reset(fixings)
        calendar.IN_USE.reset(years)


def differences(tables: Tables) -> tuple[tuple[str, str], ...]:
    """(file, what) wherever the tables contradict the program's own, by day and by year.

    A table that ends earlier or later than the program's is not one that contradicts it.
    """
    own = {row.fixed_on: row for row in OWN.fixings}
    last = min(tables.fixings[-1].fixed_on, lpr.LAST_FIXING)
    days = {row.fixed_on: row for row in tables.fixings}
    found = [
        (FIXINGS, f"the fixing of {day}")
        for day in sorted({*own, *days})
        if day <= last and own.get(day) != days.get(day)
    ]
    for year in sorted(set(OWN.years).intersection(tables.years)):
        ours, given = OWN.years[year], tables.years[year]
        parted = (ours.off ^ given.off) | (ours.worked ^ given.worked)
        found += [(CALENDAR, f"the working day or day off {day}") for day in sorted(parted)]
    return tuple(found)


def beyond(tables: Tables) -> tuple[str, ...]:
    """What the tables say that the program's own cannot confirm: later fixings, other years."""
    later = [row.fixed_on for row in tables.fixings if row.fixed_on > lpr.LAST_FIXING]
    return (
        *(f"the fixing of {day}" for day in later),
        *(f"the working days of {year}" for year in sorted(set(tables.years) - set(OWN.years))),
    )


def digest(document: object) -> str:
    """SHA-256 in hex of a document's canonical bytes."""
    return sha256(canonical(document)).hexdigest()


def _arrangement(year: _Year) -> Arrangement:
    if any(day.year != year.year for day in (*year.off, *year.worked)):
        raise WrongInput(f"{CALENDAR}.years", f"days of {year.year}")
    return Arrangement(
        year=year.year,
        notices=year.notices,
        off=frozenset(year.off),
        worked=frozenset(year.worked),
    )


def _percent(rate: Fraction) -> str:
    """The rate in per cent with two decimals: every fixing is whole in them."""
    scaled = rate * 10_000
    assert scaled.denominator == 1, "fixings are published in hundredths of a per cent"
    return f"{scaled.numerator // 100}.{scaled.numerator % 100:02d}"


def _rate(percent: str) -> Fraction:
    return parse_decimal(percent, place=FIXINGS) * Fraction(1, 100)
