"""Which other rate, day count or share would give a figure that a bank states. It decides nothing.

A difference in interest is explained when the same nights, computed in another way, give exactly
what the bank states, to the fen; likewise a part of a draw under another share. What would explain
almost any difference (a rate where one basis point is a few fen) is not offered as an explanation.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Final

import msgspec

from ledger.money import round_half_up
from syndicate.facility.interest import ONE_DAY, decimal_text
from syndicate.facility.loans import Bearing, Segment
from syndicate.reference.day_count import DAY_COUNTS, DayCount, year_fraction

BASIS_POINT: Final = Fraction(1, 10_000)
CONCLUSIVE_MINOR: Final = 100
"""How many fen a basis point must be worth before a rate found by it says anything."""


class Nights(msgspec.Struct, frozen=True, kw_only=True):
    """The nights behind one amount of interest: what bore it, at which rate, by which day count.

    period  those of the open interest period alone, or of the loan's whole life
    """

    bearing: Bearing
    day_count: DayCount
    segments: tuple[Segment, ...]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The same amount of every bank of a draw, and what each committed; the bank's own is `own`."""

    own: str
    amounts: Mapping[str, int]
    commitments: Mapping[str, int]


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What one of our figures came from."""

    nights: tuple[Nights, ...]
    parts: Parts | None


NOTHING: Final = Ground(nights=(), parts=None)


def other_rate(ground: Ground, difference_minor: int) -> str | None:
    """The other rate or day count that explains the difference exactly, in words; None for none."""
    for nights in ground.nights:
        if not nights.segments:
            continue
        own = round_half_up(_exact(nights.segments, nights.day_count))
        for words, exact in _other_ways(nights, own + difference_minor):
            if round_half_up(exact) - own == difference_minor:
                span = f"{nights.segments[0].since} to {nights.segments[-1].until}"
                return f"{nights.bearing} of {span} {words}"
    return None


def _exact(segments: Sequence[Segment], day_count: DayCount) -> Fraction:
    return sum(
        (
            Fraction(segment.rate)
            * segment.base_minor
            * year_fraction(day_count, segment.since, segment.until)
            for segment in segments
        ),
        Fraction(0),
    )


def _other_ways(nights: Nights, stated_minor: int) -> Iterator[tuple[str, Fraction]]:
    segments, own = nights.segments, nights.day_count
    for day_count in DAY_COUNTS:
        if day_count != own:
            yield f"by {day_count} instead of {own}", _exact(segments, day_count)
    last, first = segments[-1], segments[0]
    longer = msgspec.structs.replace(last, until=last.until + ONE_DAY)
    yield "with one night more: first and last day counted", _exact((*segments[:-1], longer), own)
    if last.until - last.since > timedelta(days=1) or len(segments) > 1:
        later = msgspec.structs.replace(first, since=first.since + ONE_DAY)
        kept = (later, *segments[1:]) if later.since < later.until else segments[1:]
        yield "with one night less", _exact(kept, own)
    for changed in ((segments, "all"), (segments[-1:], "the last")):
        yield from _implied(nights, changed[0], stated_minor)


def _implied(
    nights: Nights, changed: Sequence[Segment], stated_minor: int
) -> Iterator[tuple[str, Fraction]]:
    """The whole number of basis points that would give the amount over these nights, if any."""
    kept = nights.segments[: len(nights.segments) - len(changed)]
    year = sum(
        (
            segment.base_minor * year_fraction(nights.day_count, segment.since, segment.until)
            for segment in changed
        ),
        Fraction(0),
    )
    if year * BASIS_POINT < CONCLUSIVE_MINOR:
        return
    rest = stated_minor - _exact(kept, nights.day_count)
    rate = round_half_up(Fraction(rest * 10_000, year)) * BASIS_POINT
    used = " and ".join(dict.fromkeys(segment.rate for segment in changed))
    if rate > 0:
        words = f"at {decimal_text(rate)} instead of {used} from {changed[0].since}"
        yield words, _exact(kept, nights.day_count) + rate * year


def other_share(ground: Ground, stated_minor: int) -> str | None:
    """The other share of the banks' sum that gives what is stated, in words; None for none."""
    parts = ground.parts
    if parts is None:
        return None
    total_minor = sum(parts.amounts.values())
    if len(parts.amounts) < 2 or total_minor < CONCLUSIVE_MINOR:
        return None
    for words, share in _other_shares(parts, total_minor):
        if abs(stated_minor - round_half_up(total_minor * share)) <= 1:
            return f"{words} of what all banks have"
    return None


def _other_shares(parts: Parts, total_minor: int) -> Iterator[tuple[str, Fraction]]:
    own_minor = parts.amounts[parts.own]
    committed = sum(parts.commitments.values())
    own = Fraction(parts.commitments[parts.own], committed)
    for decimals in (4, 3, 2):
        rounded = Fraction(round_half_up(own * 10**decimals), 10**decimals)
        if abs(round_half_up(total_minor * rounded) - own_minor) > 1:
            yield f"a share rounded to {decimal_text(rounded)}, instead of {own},", rounded
    for bank, minor in parts.commitments.items():
        share = Fraction(minor, committed)
        if bank != parts.own and share != own:
            yield f"the share of another bank, {share} instead of {own},", share
    equal = Fraction(1, len(parts.amounts))
    if equal != own:
        yield f"equal shares, {equal} instead of {own},", equal
    yield f"the whole, instead of {own},", Fraction(1)
