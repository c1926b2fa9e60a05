"""The cheapest way to hand out a number of lots, one choice of each seat, by a table over lots.

It knows seats, lots and costs as integers; what a cost means is the caller's. The table is the
textbook one for such choices: for each seat, from the last to the first, the least cost at which
that seat and those after it take together j lots. Nothing dearer than a ceiling is kept, so a tight
ceiling leaves few cells. It never guesses: what it returns is the optimum, or there is none.
"""

from collections.abc import Sequence
from operator import add
from typing import TypeAlias

Piece: TypeAlias = tuple[int, list[int]]
"""(first, costs): the costs of taking first, first + 1, ... lots; convex, that is with differences
that never fall."""

Run: TypeAlias = tuple[int, list[int]]
"""(first, costs): the least costs of summing to first, first + 1, ... lots; any integers."""

NARROW = 20
"""Up to this many costs plain combination is faster than looking for the best by halves."""

GAP = 24
"""Runs of sums nearer than this are kept as one: a list is cheaper than the handling of many."""


def cheapest(lots: int, choices: Sequence[Sequence[Piece]], ceiling: int) -> list[int] | None:
    """Lots per seat, in order: of least total cost, and of those the one with more to the earlier.

    choices  per seat disjoint pieces, rising; costs >= 0
    ceiling  the dearest total cost looked for; None where every choice costs more

    "More to the earlier" compares seat by seat from the first, whatever the ceiling.
    Time: per seat about min(piece, sums) x sums cells, at most sums x log(sums).
    """
    columns: list[list[Run]] = [[(0, [0])]]
    fewest, room = [0], [0]
    for pieces in choices:
        if not pieces:
            return None
        fewest.append(fewest[-1] + pieces[0][0])
        room.append(room[-1] + pieces[-1][0] + len(pieces[-1][1]) - 1)
    for index in range(len(choices) - 1, -1, -1):
        column = _column(columns[-1], choices[index], ceiling)
        low, high = lots - room[index], lots - fewest[index]
        columns.append(_kept(column, low=low, high=high, ceiling=ceiling))
    columns.reverse()
    cost = _cost_of(columns[0], lots)
    if cost is None or cost > ceiling:
        return None
    return _read_back(lots, cost, choices, columns)


def _read_back(
    lots: int, cost: int, choices: Sequence[Sequence[Piece]], columns: list[list[Run]]
) -> list[int]:
    """The choices behind the cost, each seat taking the most that still leads to it."""
    taken = []
    for index, pieces in enumerate(choices):
        rest = columns[index + 1]
        lots, cost, take = next(
            (lots - take, cost - own, take)
            for first, costs in reversed(pieces)
            for take, own in zip(
                range(first + len(costs) - 1, first - 1, -1), reversed(costs), strict=True
            )
            if _cost_of(rest, lots - take) == cost - own
        )
        taken.append(take)
    return taken


def _cost_of(column: list[Run], lots: int) -> int | None:
    for first, costs in column:
        if first <= lots < first + len(costs):
            return costs[lots - first]
    return None


def _column(column: list[Run], pieces: Sequence[Piece], ceiling: int) -> list[Run]:
    """Least costs once more seat has chosen: each run meets each piece, overlaps keep the less."""
    absent = ceiling + 1
    met = sorted(
        (
            (at + first, _combined(sums, costs, absent))
            for at, sums in column
            for first, costs in pieces
        ),
        key=lambda run: run[0],
    )
    joined: list[Run] = []
    for at, costs in met:
        if joined and at <= joined[-1][0] + len(joined[-1][1]) + GAP:
            _lay_over(joined[-1], at, costs, absent)
        else:
            joined.append((at, costs))
    return joined


def _lay_over(run: Run, at: int, costs: list[int], absent: int) -> None:
    first, kept = run
    offset = at - first
    kept.extend([absent] * (offset + len(costs) - len(kept)))
    end = offset + len(costs)
    kept[offset:end] = [
        old if old <= new else new for old, new in zip(kept[offset:end], costs, strict=True)
    ]


def _kept(column: list[Run], *, low: int, high: int, ceiling: int) -> list[Run]:
    """The column within low..high, cut where nothing within the ceiling is left."""
    kept: list[Run] = []
    for at, costs in column:
        first, stop = max(low - at, 0), min(high - at + 1, len(costs))
        while first < stop:
            while first < stop and costs[first] > ceiling:
                first += 1
            end, dear = first, 0
            while end < stop and dear <= GAP:
                dear = dear + 1 if costs[end] > ceiling else 0
                end += 1
            if first < end - dear:
                kept.append((at + first, costs[first : end - dear]))
            first = end
    return kept


def _combined(sums: list[int], costs: list[int], absent: int) -> list[int]:
    """Cell j is the least sums[m] + costs[j - m]: min-plus convolution, `costs` convex."""
    if len(costs) == 1:
        own = costs[0]
        return [cost + own for cost in sums]
    if min(len(sums), len(costs)) <= NARROW:
        return _combined_plainly(sums, costs, absent)
    return _combined_by_halves(sums, costs)


def _combined_plainly(sums: list[int], costs: list[int], absent: int) -> list[int]:
    longer, shorter = (sums, costs) if len(sums) >= len(costs) else (costs, sums)
    width = len(longer)
    out = [absent] * (width + len(shorter) - 1)
    for shift, own in enumerate(shorter):
        out[shift : shift + width] = [
            old if old <= cost + own else cost + own
            for old, cost in zip(out[shift : shift + width], longer, strict=True)
        ]
    return out


def _combined_by_halves(sums: list[int], costs: list[int]) -> list[int]:
    """The same where both are long: the best m never falls as j grows, so halve and halve again.

    Write M(j, m) = sums[m] + costs[j - m]. For j < j' and m' < m with M(j, m) and M(j', m') both
    defined, all four are, and M(j, m') + M(j', m) <= M(j, m) + M(j', m') as costs is convex. Were
    m the first best of j and m' that of j', M(j, m') > M(j, m) would give M(j', m) < M(j', m').
    """
    width, last = len(costs), len(sums) - 1
    backwards = costs[::-1]
    out = [0] * (len(sums) + width - 1)
    spans = [(0, len(out), 0, last)]
    while spans:
        start, stop, low, high = spans.pop()
        while start < stop:
            j = (start + stop) >> 1
            shift = width - 1 - j
            first = low if low > -shift else -shift
            final = high if high < j else j
            if first == final:
                best = first
                out[j] = sums[best] + costs[j - best]
            else:
                tried = backwards[shift + first : shift + final + 1]
                cells = list(map(add, sums[first : final + 1], tried))
                out[j] = least = min(cells)
                best = first + cells.index(least)
            if j + 1 < stop:
                spans.append((j + 1, stop, best, high))
            stop, high = j, best
    return out
