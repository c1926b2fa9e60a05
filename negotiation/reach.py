"""Which sums the banks' possible holdings can reach. It knows units, not money and not fairness.

A bank's possible holdings are one run of whole units, or zero and one run (it takes nothing or at
least its minimum). Whether such holdings can sum to a target is a subset-sum question, so sets of
reachable sums are carried from seat to seat: as the bits of one integer where the target is some
hundred thousand units at most, as merged runs beyond. Both are exact.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from math import gcd
from typing import Any, Final, Protocol, TypeAlias

from negotiation.quotes import BookTooTangled

Holdings: TypeAlias = tuple[tuple[int, int], ...]
"""Disjoint runs (first, last) of units, rising: (), ((a, b),) or ((0, 0), (a, b)) with a >= 2."""

MAX_BITS: Final = 2**17
MAX_RUNS: Final = 60_000


def holdings(*, least: int, most: int, may_be_zero: bool) -> Holdings:
    """Units from least to most, with zero besides if it may be; empty runs are left out."""
    if may_be_zero and least <= 1:
        return ((0, most),)
    run = ((least, most),) if least <= most else ()
    return ((0, 0), *run) if may_be_zero else run


def reaches(total: int, seats: Sequence[Holdings]) -> bool:
    """Whether one holding of each seat can be chosen so that they sum to the total (> 0)."""
    total, scaled = _by_common_measure(total, seats)
    sums = _start(total, at=0, seats=len(seats))
    for seat in scaled:
        sums = sums.plus(seat)
    return sums.meets(_start(total, at=total, seats=len(seats)))


def relax_in_turn(
    total: int, seats: Sequence[Holdings], relaxed: Sequence[Holdings | None]
) -> list[bool]:
    """Which seats may take their relaxed holdings together, the total staying out of reach.

    relaxed  per seat a superset of its holdings, or None where there is nothing to relax
    returns  per seat whether it was relaxed

    Seats are tried from the last to the first and each that can be relaxed at once is, so every
    seat left alone brings the total within reach if it alone is relaxed. Precondition: `seats`
    does not reach the total. Time is one step over the reachable sums per seat, not one search.
    """
    options = [seat if wider is None else wider for seat, wider in zip(seats, relaxed, strict=True)]
    total, scaled = _by_common_measure(total, [*seats, *options])
    count = len(seats)
    before = [_start(total, at=0, seats=count)]
    for seat in scaled[: count - 1]:
        before.append(before[-1].plus(seat))
    needed = _start(total, at=total, seats=count)
    was_relaxed = [False] * count
    for index in range(count - 1, -1, -1):
        chosen = scaled[index]
        if relaxed[index] is not None:
            wider = scaled[count + index]
            if not before[index].plus(wider).meets(needed):
                chosen, was_relaxed[index] = wider, True
        needed = needed.minus(chosen)
    return was_relaxed


class _Sums(Protocol):
    """A set of sums between zero and the total."""

    def plus(self, seat: Holdings) -> "_Sums":
        """Every sum with every holding added, up to the total."""

    def minus(self, seat: Holdings) -> "_Sums":
        """Every sum with every holding taken off, down to zero."""

    def meets(self, other: Any) -> bool:
        """Whether the two sets, of one kind and one total, share a sum."""


def _by_common_measure(total: int, seats: Sequence[Holdings]) -> tuple[int, list[Holdings]]:
    """Total and holdings in their greatest common measure.

    For any choice of runs the reachable sums are all units between two sums of run ends; where the
    total and every end are multiples of g it is reached in units exactly if in multiples of g.
    """
    ends = chain.from_iterable(chain.from_iterable(seats))
    measure = gcd(total, *ends)
    return total // measure, [
        tuple((first // measure, last // measure) for first, last in seat) for seat in seats
    ]


def _start(total: int, *, at: int, seats: int) -> _Sums:
    return _Bits(total, 1 << at) if total < MAX_BITS else _Runs(total, [(at, at)], seats)


class _Bits:
    """Sums as the bits of one integer: bit s is set where s can be reached."""

    __slots__ = ("bits", "total")

    def __init__(self, total: int, bits: int) -> None:
        self.total = total
        self.bits = bits

    def plus(self, seat: Holdings) -> "_Bits":
        bits = 0
        for first, last in seat:
            bits |= _smear(self.bits, last - first) << first
        return _Bits(self.total, bits & ((2 << self.total) - 1))

    def minus(self, seat: Holdings) -> "_Bits":
        bits = 0
        for first, last in seat:
            bits |= _smear(self.bits, last - first) >> last
        return _Bits(self.total, bits)

    def meets(self, other: "_Bits") -> bool:
        return bool(self.bits & other.bits)


def _smear(bits: int, width: int) -> int:
    """Every set bit copied to each of the next `width` places, by doubling."""
    done = 0
    while done < width:
        shift = min(done + 1, width - done)
        bits |= bits << shift
        done += shift
    return bits


class _Runs:
    """Sums as disjoint rising runs (first, last). The count is bounded, see `BookTooTangled`."""

    __slots__ = ("runs", "seats", "total")

    def __init__(self, total: int, runs: list[tuple[int, int]], seats: int) -> None:
        if len(runs) > MAX_RUNS:
            raise BookTooTangled(seats=seats, units=total)
        self.total = total
        self.runs = runs
        self.seats = seats

    def plus(self, seat: Holdings) -> "_Runs":
        moved = (
            (low + first, min(high + last, self.total))
            for first, last in seat
            for low, high in self.runs
            if low + first <= self.total
        )
        return _Runs(self.total, _merged(moved), self.seats)

    def minus(self, seat: Holdings) -> "_Runs":
        moved = (
            (max(low - last, 0), high - first)
            for first, last in seat
            for low, high in self.runs
            if high >= first
        )
        return _Runs(self.total, _merged(moved), self.seats)

    def meets(self, other: "_Runs") -> bool:
        mine, theirs = iter(self.runs), iter(other.runs)
        ours, yours = next(mine, None), next(theirs, None)
        while ours is not None and yours is not None:
            if ours[1] < yours[0]:
                ours = next(mine, None)
            elif yours[1] < ours[0]:
                yours = next(theirs, None)
            else:
                return True
        return False


def _merged(moved: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for low, high in sorted(moved):
        if runs and low <= runs[-1][1] + 1:
            if high > runs[-1][1]:
                runs[-1] = (runs[-1][0], high)
        else:
            runs.append((low, high))
    return runs
