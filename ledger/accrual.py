"""What a standing accrual (计提) earns from one day to the next, to the fen. No database, no clock.

A standing accrual of a house book says: on the balance of one account, at so many parts per million
a year of so many days, one account is debited and another credited each day. Kept is the exact
cumulative amount; posted is what it rounds to less what was posted before, so that no night's
rounding is ever lost: over any number of days the postings are within half a unit of the exact sum.

Whoever closes a day does the same set-based (`ledger.accrue` in the database); a property test
holds the two equal, fen for fen and byte for byte. A balance counts as it was booked when the day
began: what is valued back later is the poster's to correct.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Final

import msgspec

from ledger.entries import Account, Entry
from ledger.errors import Absent, Conflict
from ledger.money import round_half_up

MILLION: Final = 1_000_000
MAX_RATE_PPM: Final = 10 * MILLION
YEAR_DAYS: Final = (360, 365)
"""ACT/360 and ACT/365F: every night counts, the year has so many."""

BLOCK: Final = 1_000
"""Accruals of one leaf: each moves two accounts, and a leaf has at most 2,000 entries."""


class AccrualConflict(Conflict):
    """An account is not there or limited, the accrual has ended, or it is on other accounts."""

    code = "accrual-conflict"


class NoSuchAccrual(Absent):
    """No accrual of that name runs in the book."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A standing accrual as its leaf says it.

    base           the account whose balance bears; a credit balance gives mirrored entries
    debit, credit  what is moved, as a debit and as a credit
    rate_ppm       parts per million a year: 3.45 % is 34,500; negative rates mirror
    """

    accrual: str
    base: Account
    debit: Account
    credit: Account
    rate_ppm: int
    year_days: int


class Accrued(msgspec.Struct, frozen=True, kw_only=True):
    """How far one accrual is.

    number   its place among the book's accruals, from 0; fixes which leaf it goes into
    units    sum over nights of balance x rate_ppm: the exact amount is units / (10^6 x year_days)
    posted_minor  what has been posted of it
    through  the day up to which nights are counted
    """

    number: int
    units: int
    posted_minor: int
    through: date


def exact_minor(terms: Terms, units: int) -> Fraction:
    """The cumulative amount, in minor units, that these units come to."""
    return Fraction(units, MILLION * terms.year_days)


def accrue(terms: Terms, state: Accrued, *, balance_minor: int, day: date) -> Accrued:
    """The state once the nights up to `day` are counted at this balance; what was posted, posted.

    The entry to post is the difference of `posted_minor`, 0 for none.
    """
    assert day >= state.through, "days only move forward"
    nights = (day - state.through).days
    units = state.units + balance_minor * terms.rate_ppm * nights
    posted_minor = round_half_up(exact_minor(terms, units))
    return msgspec.structs.replace(state, units=units, posted_minor=posted_minor, through=day)


def postings(
    moved: Iterable[tuple[int, Terms, int]], *, order: Mapping[Account, int]
) -> list[tuple[Entry, ...]]:
    """The entries of each leaf, for accruals (number, terms, amount to post).

    One entry an account and leaf, in the accounts' order; leaves by block of accruals, the empty
    ones left out.
    """
    sums: defaultdict[int, defaultdict[Account, int]] = defaultdict(lambda: defaultdict(int))
    for number, terms, amount_minor in moved:
        block = sums[number // BLOCK]
        block[terms.debit] += amount_minor
        block[terms.credit] -= amount_minor
    found = [_entries(sums[block], order) for block in sorted(sums)]
    return [entries for entries in found if entries]


def _entries(sums: Mapping[Account, int], order: Mapping[Account, int]) -> tuple[Entry, ...]:
    accounts: Sequence[Account] = sorted(sums, key=order.__getitem__)
    return tuple(Entry(account, sums[account]) for account in accounts if sums[account])
