"""Whether the banks' possible holdings can sum to a target. It knows units, not money or fairness.

A bank's possible holdings are one run of whole units, or zero and one run (it takes nothing or at
least its minimum). Whether such holdings can sum to a target is a subset-sum question, so the set
of reachable sums is carried from seat to seat: as the bits of one integer where the target is some
hundred thousand units at most, as merged runs beyond. Both are exact.
"""

from collections.abc import Sequence
from itertools import chain
from math import gcd
from typing import Final, TypeAlias

from negotiation.quotes import BookTooTangled

Holdings: TypeAlias = tuple[tuple[int, int], ...]
"""Disjoint runs (first, last) of units, rising: (), ((a, b),) or ((0, 0), (a, b))."""

MAX_BITS: Final = 2**17
MAX_RUNS: Final = 60_000
"""More runs than this are not carried: see `BookTooTangled`."""


def holdings(*, least: int, most: int, may_be_zero: bool) -> Holdings:
    """Units from least to most, with zero besides if it may be; an empty run is left out."""
    if may_be_zero and least <= 1:
        return ((0, most),)
    run = ((least, most),) if least <= most else ()
    return ((0, 0), *run) if may_be_zero else run


def reaches(total: int, seats: Sequence[Holdings]) -> bool:
    """Whether one holding of each seat can be chosen so that they sum to the total (> 0).

    It is asked in the greatest common measure of the total and of all ends of runs. That loses
    nothing: for any choice of one run each, the sums are all units between two sums of run ends.
    Raises BookTooTangled where more than `MAX_RUNS` runs of sums would have to be carried, which
    for a total below `MAX_BITS` measures never happens.
    """
    if not all(seats):
        return False
    if not sum(runs[0][0] for runs in seats) <= total <= sum(runs[-1][1] for runs in seats):
        return False
    measure = gcd(total, *chain.from_iterable(chain.from_iterable(seats)))
    scaled = [tuple((first // measure, last // measure) for first, last in runs) for runs in seats]
    if total // measure < MAX_BITS:
        return _reaches_in_bits(total // measure, scaled)
    return _reaches_in_runs(total // measure, scaled)


def _reaches_in_bits(total: int, seats: Sequence[Holdings]) -> bool:
    """Bit s of `sums` is set where the seats so far can sum to s."""
    sums, mask = 1, (2 << total) - 1
    for runs in seats:
        moved = 0
        for first, last in runs:
            moved |= _smeared(sums, last - first) << first
        sums = moved & mask
    return bool(sums >> total)


def _smeared(bits: int, width: int) -> int:
    """Every set bit copied to each of the next `width` places, by doubling."""
    done = 0
    while done < width:
        shift = min(done + 1, width - done)
        bits |= bits << shift
        done += shift
    return bits


def _reaches_in_runs(total: int, seats: Sequence[Holdings]) -> bool:
    """Runs of sums that the seats still to come can bring to the total.

    Seats with the most play come first: their sums fill one run, and what later seats add to it
    joins up. Only minimums without play, in amounts without a common measure, keep runs apart.
    """
    ordered = sorted(seats, key=lambda runs: runs[-1][0] - runs[-1][1])
    fewest = sum(runs[0][0] for runs in ordered)
    room = sum(runs[-1][1] for runs in ordered)
    sums = [(0, 0)]
    for runs in ordered:
        fewest -= runs[0][0]
        room -= runs[-1][1]
        moved: list[tuple[int, int]] = []
        for low, high in sorted((low + a, high + b) for a, b in runs for low, high in sums):
            if high < total - room or low > total - fewest:
                continue
            if moved and low <= moved[-1][1] + 1:
                if high > moved[-1][1]:
                    moved[-1] = (moved[-1][0], high)
            else:
                moved.append((low, high))
        if len(moved) > MAX_RUNS:
            raise BookTooTangled(seats=len(seats), units=total)
        sums = moved
    return any(low <= total <= high for low, high in sums)
