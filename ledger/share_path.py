"""What each seat's exact share of a cumulative amount is, and where it crosses whole units.

A path is a function of the amount alone: every seat's share rises with it, is 0 at 0, and the
shares sum to the amount. It is straight for fixed weights and bends where a layer ends or a cap is
full. Shares are exact (integers over a common scale); rounding them is `ledger.allotment`.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor, lcm
from typing import NamedTuple

from msgspec import Struct

from ledger.errors import Conflict, WrongInput


class PathEnded(Conflict):
    """The amount lies beyond the last one whose shares the path knows."""

    code = "share-path-ended"


class Bend(NamedTuple):
    """From the cumulative amount `at` on, a seat's exact share grows faster by `change`."""

    at: Fraction
    seat: int
    change: Fraction


class Stretch(Struct, frozen=True):
    """Exact shares (fixed[i] + slopes[i] * amount) / scale up to the amount `last` (None: ever)."""

    last: int | None
    scale: int
    fixed: tuple[int, ...]
    slopes: tuple[int, ...]


class SharePath(Struct, frozen=True):
    """Exact shares as functions of the cumulative amount: rising, 0 at 0, together the amount.

    stretches  one after another; the first also reaches below zero
    """

    stretches: tuple[Stretch, ...]

    @property
    def last(self) -> int | None:
        """The largest whole amount the path covers; None where it never ends."""
        return self.stretches[-1].last

    def at(self, amount_minor: int) -> Stretch:
        """The stretch that gives the shares of an amount; PathEnded beyond the last one."""
        for stretch in self.stretches:
            if stretch.last is None or amount_minor <= stretch.last:
                return stretch
        raise PathEnded(
            f"no shares are agreed beyond {self.last} minor units",
            amount_minor=amount_minor,
            last_minor=self.last,
        )


def by_weights(weights: Sequence[int]) -> SharePath:
    """The straight path: the same fixed proportions at every amount, below zero too."""
    whole = _sum_of(weights)
    straight = Stretch(last=None, scale=whole, fixed=(0,) * len(weights), slopes=tuple(weights))
    return SharePath(stretches=(straight,))


def bent(bends: Iterable[Bend], *, seats: int, end: Fraction | None) -> SharePath:
    """The path whose shares bend where told: f_i(t) is the sum of change * (t - at) over at <= t.

    bends  in any order; at every amount below the end no slope is negative and they sum to 1
    end    the last amount with agreed shares, None where there is none
    """
    slopes, fixed = [Fraction(0)] * seats, [Fraction(0)] * seats
    at_corner: dict[Fraction, list[Bend]] = {}
    for bend in bends:
        if end is None or bend.at < end:
            at_corner.setdefault(bend.at, []).append(bend)
    corners = sorted(at_corner)
    stretches: list[Stretch] = []
    for corner, until in zip(corners, [*corners[1:], end], strict=False):
        for at, seat, change in at_corner[corner]:
            slopes[seat] += change
            fixed[seat] -= change * at
        last = None if until is None else floor(until)
        stretch = _stretch(last, slopes=slopes, fixed=fixed)
        if sum(stretch.slopes) != stretch.scale or min(stretch.slopes) < 0:
            raise WrongInput("bends", "slopes of 0 or more that sum to 1 on every stretch")
        if not stretches or last is None or last > (stretches[-1].last or 0):
            stretches.append(stretch)
    nothing = Stretch(last=0, scale=1, fixed=(0,) * seats, slopes=(0,) * seats)
    return SharePath(stretches=tuple(stretches) or (nothing,))


def first_at_least(path: SharePath, seat: int, *, level: int, beyond_minor: int) -> int | None:
    """The first amount after `beyond_minor` where a seat's share is `level` or more."""
    first = beyond_minor + 1
    for stretch in path.stretches:
        if stretch.last is not None and stretch.last < first:
            continue
        wanting = level * stretch.scale - stretch.fixed[seat]
        slope = stretch.slopes[seat]
        if wanting <= slope * first:
            return first
        if slope and (stretch.last is None or wanting <= slope * stretch.last):
            return -(-wanting // slope)
        if stretch.last is None:
            return None
        first = stretch.last + 1
    return None


def last_at_most(path: SharePath, seat: int, *, level: int, before_minor: int) -> int | None:
    """The last amount before `before_minor` where a seat's share is `level` or less."""
    last = before_minor - 1
    for place in range(len(path.stretches) - 1, -1, -1):
        ended = path.stretches[place - 1].last if place else None
        if ended is not None and ended >= last:
            continue
        stretch = path.stretches[place]
        allowed = level * stretch.scale - stretch.fixed[seat]
        slope = stretch.slopes[seat]
        if allowed >= slope * last:
            return last
        if slope and (ended is None or allowed >= slope * (ended + 1)):
            return allowed // slope
        if ended is None:
            return None
        last = ended
    return None


def _stretch(last: int | None, *, slopes: Sequence[Fraction], fixed: Sequence[Fraction]) -> Stretch:
    scale = lcm(*(value.denominator for value in (*slopes, *fixed)))
    return Stretch(
        last=last,
        scale=scale,
        fixed=tuple(value.numerator * (scale // value.denominator) for value in fixed),
        slopes=tuple(value.numerator * (scale // value.denominator) for value in slopes),
    )


def _sum_of(weights: Sequence[int]) -> int:
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise WrongInput("weights", "whole numbers of 0 or more, not all 0")
    return whole
