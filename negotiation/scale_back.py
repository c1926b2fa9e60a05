"""The exact scale-back (超额认购的按比例缩减) of offers to a target, in whole lots.

It answers which holdings sum to the target and lie nearest, in the sum of squares, to each bank's
proportional part, target x offer / total offers. It knows lots and numbers only: what a bank may
hold comes in as runs of lots (`reach.Holdings`), and nothing here is a float or a guess.

How. With W = total offers the distance is, up to a constant, the sum over banks of
(W k^2 - pull k) / W with pull = 2 lots x offer, so all costs are integers. For a price per lot the
banks choose apart, each its cheapest holding at that price; the lowest price at which they can take
all the lots gives a lower bound on the cost. Only all-or-nothing choices (zero, or the minimum) can
keep the banks from meeting the target at that price. On such a bank the search branches, nothing
or something; a branch whose bound is dearer than the best allocation found is closed, and one whose
bound is equal is not, for the sake of ties. Where many banks make the branches many, a table over
lots (`lot_table`) finishes: it needs to look no further above the bound than the best found.
"""

from collections.abc import Sequence
from math import gcd, isqrt
from typing import Final, NamedTuple

from negotiation.lot_table import Piece, cheapest
from negotiation.quotes import BookTooTangled
from negotiation.reach import Holdings

FEW_BANK_VISITS: Final = 4_000
MANY_BANK_VISITS: Final = 500_000
TABLE_CELLS: Final = 2_000_000
"""Bounds of the search, in steps and not in seconds: the same book has the same answer anywhere."""


def scale_back(
    *, lots: int, seats: Sequence[Holdings], offers: Sequence[int]
) -> tuple[int, ...] | None:
    """Lots per seat that sum to `lots` with the least sum of (k - lots x offer / total offers)^2.

    seats   per seat the runs of lots it may hold, as `reach.holdings` writes them
    offers  per seat in any one unit, not all 0
    returns None where no choice of holdings sums to the lots; of equally near allocations the one
            with the larger holding of the first seat where they differ

    Raises BookTooTangled past `MANY_BANK_VISITS` branches x seats; up to `TABLE_CELLS` seats x lots
    never. Source: the objective and tie rule of `liandai clear`.
    """
    if not all(seats):
        return None
    measure = _measure_of_fixed(lots, seats)
    if measure > 1:
        coarse = [tuple((a // measure, b // measure) for a, b in runs) for runs in seats]
        parts = scale_back(lots=lots // measure, seats=coarse, offers=offers)
        return None if parts is None else tuple(part * measure for part in parts)
    weight, banks = _priced(lots, seats, offers)
    root = _relax(lots, weight, banks)
    if root is None:
        return None
    best, finished = _branch(lots, weight, banks, allowed=FEW_BANK_VISITS // len(banks))
    if finished:
        return None if best is None else best.lots
    if lots * len(banks) <= TABLE_CELLS:
        return _by_table(lots, weight, banks, root=root, best=best)
    best, finished = _branch(lots, weight, banks, allowed=MANY_BANK_VISITS // len(banks))
    if not finished:
        raise BookTooTangled(seats=len(seats), units=lots)
    return None if best is None else best.lots


class _Bank(NamedTuple):
    """Holds least..most lots, or zero where `optional`; holding k costs weight k^2 - pull k."""

    optional: bool
    least: int
    most: int
    pull: int


class _Found(NamedTuple):
    cost: int
    lots: tuple[int, ...]

    def beats(self, other: "_Found | None") -> bool:
        return (
            other is None
            or self.cost < other.cost
            or (self.cost == other.cost and self.lots > other.lots)
        )


class _Relaxed(NamedTuple):
    """Each bank at its cheapest for one price: no allocation of these banks costs below `bound`.

    fewest, most  the least and the greatest of each bank's cheapest holdings at that price
    undecided     banks for which nothing and their minimum are equally cheap
    """

    price: int
    bound: int
    fewest: list[int]
    most: list[int]
    undecided: list[int]


def _measure_of_fixed(lots: int, seats: Sequence[Holdings]) -> int:
    """The greatest common measure of lots and holdings where no bank has play, or else 1."""
    if any(first < last for runs in seats for first, last in runs):
        return 1
    return gcd(lots, *(first for runs in seats for first, _ in runs))


def _priced(lots: int, seats: Sequence[Holdings], offers: Sequence[int]) -> tuple[int, list[_Bank]]:
    """Weight and banks, the costs in their greatest common measure."""
    weight = sum(offers)
    measure = gcd(weight, *(2 * lots * offer for offer in offers))
    banks = [
        _Bank(len(runs) > 1, runs[-1][0], runs[-1][1], 2 * lots * offer // measure)
        for runs, offer in zip(seats, offers, strict=True)
    ]
    return weight // measure, banks


def _relax(lots: int, weight: int, banks: Sequence[_Bank]) -> _Relaxed | None:
    """The banks at the lowest price at which they can take the lots; None where they never can.

    One more lot changes a bank's cost by weight (2k + 1) - pull, and from nothing to its minimum by
    weight x least - pull a lot: whole numbers, so the lowest such price is one.
    """
    low = -max(bank.pull for bank in banks) - 1
    high = max(weight * (2 * bank.most + 1) - bank.pull for bank in banks)
    if _taken(high, weight, banks) < lots or _taken(low, weight, banks) > lots:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _taken(middle, weight, banks) >= lots:
            high = middle
        else:
            low = middle
    fewest, most, undecided, bound = [], [], [], high * lots
    for index, (optional, least, cap, pull) in enumerate(banks):
        step = weight * least - pull - high if optional else -1
        if step > 0:
            fewest.append(0)
            most.append(0)
            continue
        k = min(max((high + pull + weight) // (2 * weight), least), cap)
        bound += weight * k * k - (pull + high) * k
        most.append(k)
        if step == 0:
            undecided.append(index)
            fewest.append(0)
        else:
            fewest.append(min(max(-((weight - high - pull) // (2 * weight)), least), cap))
    return _Relaxed(high, bound, fewest, most, undecided)


def _taken(price: int, weight: int, banks: Sequence[_Bank]) -> int:
    """The most lots the banks take at the price, each among its cheapest holdings."""
    taken, double = 0, 2 * weight
    for optional, least, most, pull in banks:
        if optional and weight * least - pull > price:
            continue
        k = (price + pull + weight) // double
        taken += least if k < least else most if k > most else k
    return taken


def _branch(
    lots: int, weight: int, banks: Sequence[_Bank], *, allowed: int
) -> tuple[_Found | None, bool]:
    """The best allocation met within the allowed branches, and whether it is the best of all.

    Equal banks are kept in order, more to the earlier, as they are in the answer: where a bank
    holds something so do its earlier equals, where it holds nothing neither do its later ones.
    """
    equals: dict[_Bank, list[int]] = {}
    for index, bank in enumerate(banks):
        equals.setdefault(bank, []).append(index)
    best: _Found | None = None
    open_branches = [list(banks)]
    while open_branches:
        if not allowed:
            return best, False
        allowed -= 1
        branch = open_branches.pop()
        relaxed = _relax(lots, weight, branch)
        if relaxed is None or (best is not None and relaxed.bound > best.cost):
            continue
        found = _settled(lots, weight, branch, relaxed)
        if found is not None and found.beats(best):
            best = found
        if relaxed.undecided:
            index = relaxed.undecided[0]
            same = equals[banks[index]]
            without = _fixed(branch, [i for i in same if i >= index], hold=False)
            with_it = _fixed(branch, [i for i in same if i <= index], hold=True)
            short = lots - sum(relaxed.fewest)
            first = 2 * short >= relaxed.most[index]
            open_branches += [without, with_it] if first else [with_it, without]
    return best, True


def _fixed(banks: list[_Bank], chosen: list[int], *, hold: bool) -> list[_Bank]:
    """The banks with those chosen that were free to hold nothing now held to one of the two."""
    fixed = list(banks)
    for index in chosen:
        _, least, most, pull = banks[index]
        if banks[index].optional:
            fixed[index] = _Bank(False, least, most, pull) if hold else _Bank(False, 0, 0, pull)
    return fixed


def _settled(lots: int, weight: int, banks: list[_Bank], relaxed: _Relaxed) -> _Found | None:
    """An allocation near the relaxed one: the best of this branch where no bank is undecided.

    Undecided banks are let in from the first while they fit; the others keep to their side.
    """
    room = lots - sum(relaxed.fewest)
    inside = []
    for index in relaxed.undecided:
        if banks[index].least <= room:
            room -= banks[index].least
            inside.append(index)
    if relaxed.undecided:
        out = [i for i, bank in enumerate(banks) if bank.optional and not relaxed.most[i]]
        out += [i for i in relaxed.undecided if i not in inside]
        held = _fixed(_fixed(banks, out, hold=False), list(range(len(banks))), hold=True)
        again = _relax(lots, weight, held)
        if again is None:
            return None
        relaxed = again
        room = lots - sum(relaxed.fewest)
    taken = []
    for fewest, most in zip(relaxed.fewest, relaxed.most, strict=True):
        more = min(room, most - fewest)
        room -= more
        taken.append(fewest + more)
    return _Found(relaxed.bound, tuple(taken))


def _by_table(
    lots: int, weight: int, banks: Sequence[_Bank], *, root: _Relaxed, best: _Found | None
) -> tuple[int, ...] | None:
    """The best allocation, by tables of holdings that cost little more than the cheapest.

    At the root's price each holding costs so much more than its bank's cheapest, and an allocation
    exceeds the bound by just the sum of these. The ceiling on that sum rises until something is
    found under it, which is then the best, but never past the best known.
    """
    top = sum(_dearest(weight, bank, root.price) for bank in banks)
    if best is not None:
        top = best.cost - root.bound
    ceiling = min(weight, top)
    while True:
        choices = [_choices(weight, bank, root.price, ceiling) for bank in banks]
        taken = cheapest(lots, choices, ceiling)
        if taken is not None or ceiling == top:
            return None if taken is None else tuple(taken)
        ceiling = min(3 * ceiling, top)


def _dearest(weight: int, bank: _Bank, price: int) -> int:
    """The most by which a holding of the bank exceeds its cheapest at the price."""
    _, least, most, pull = bank
    ends = [weight * k * k - (pull + price) * k for k in (0, least, most)]
    return max(ends) - _cheapest_at(weight, bank, price)


def _cheapest_at(weight: int, bank: _Bank, price: int) -> int:
    optional, least, most, pull = bank
    k = min(max((price + pull + weight) // (2 * weight), least), most)
    cost = weight * k * k - (pull + price) * k
    return min(cost, 0) if optional else cost


def _choices(weight: int, bank: _Bank, price: int, ceiling: int) -> list[Piece]:
    """Holdings within the ceiling of the bank's cheapest at the price, and by how much each is."""
    optional, least, most, pull = bank
    floor = _cheapest_at(weight, bank, price)
    slope = pull + price
    pieces: list[Piece] = [(0, [-floor])] if optional and -floor <= ceiling else []
    # weight k^2 - slope k <= floor + ceiling exactly if |2 weight k - slope| <= the root of this
    square = slope * slope + 4 * weight * (floor + ceiling)
    if square >= 0:
        reach = isqrt(square)
        first = max(least, -((reach - slope) // (2 * weight)))
        last = min(most, (slope + reach) // (2 * weight))
        if first <= last:
            costs = [weight * k * k - slope * k - floor for k in range(first, last + 1)]
            pieces.append((first, costs))
    return pieces
