"""How an amount is split over seats: once, or along a running total. Never who the seats are.

    allot            one amount, once: largest remainder
    carry            a running total moved to a new amount along a path of exact shares
    allot_running    the parts of one more instalment under fixed weights

**The promise of `carry`.** Exact shares f_i are functions of the cumulative amount alone, each
rising, f(0) = 0, their sum the amount (`SharePath`). From zero, over every sequence of amounts up
and down: totals sum to the amount; each is its exact share rounded down or up (so a whole share is
met exactly, and zero returns everyone to zero); nobody's part has the wrong sign.

**Why it can always be kept** (a form of chairman assignment: R. Tijdeman, 1980). Let x be the
totals at amount t, [y] the positive part of y. Call x *safe* when every x_i is floor or ceil of
f_i(t), they sum to t, and

    (1) for every later u    sum [floor f_i(u) - x_i] <= u - t    what must be given by u fits in
    (2) for every earlier s  sum [x_i - ceil f_i(s)] <= t - s     what must be taken by s fits in

Zero at zero is safe. Moving a safe x up from t to v (down is the mirror image f(t) -> -f(-t)):

* At v a seat whose share is no whole number is *open*, p_i is its part of a fen above the floor,
  k = sum p_i the odd fen to give. It will *leave* its present fen at the first u with
  f_i(u) >= ceil f_i(v), and *entered* it after the last s with f_i(s) <= floor f_i(v). The *bound*
  seats B (x_i above the floor) must keep theirs; by (1) at v, |B| <= k.
* For u > v let P be the open seats that leave after u; for t < s < v let R be those that entered
  at s or later (never bound). Choose k open seats G, B among them, so that for every u and s
      (F)  |G and P| <= max(|B and P|, ceil of the sum of p over P)
      (E)  |G and R| <= ceil of the sum of p over R
  **Such a choice exists.** Give bound seats 1 and the others p_i, then take the |B| - p(B) too many
  from unbound seats, latest leaver first: each P is then emptied of all but B, or holds at most
  p(P); no R grew. These are fractions within both chains of nested sets; such limits with their
  fixed total are a totally unimodular system, so whole numbers exist too.
  **It is safe.** (1) at u > v says exactly |G and P| <= the odd fen at u, the sum of all parts of a
  fen there. When |G and P| <= ceil p(P) it holds, as no p_i of P falls before u. Else G and P = B
  and P: nobody in P got anything beyond the floor of v, so both sides of the old (1) at u moved by
  v - t. (2) at s between t and v follows from (E) in the same way; at s <= t the left side grew by
  at most the v - t given.
* (F) and (E) are stricter than (1) and (2). Where the largest remainders ask for more, the limit is
  raised to what (1) or (2) allows, as far as a look at some amounts around v can tell (`_room`).

Within these limits the largest remainder gets the odd fen, then the earlier seat. No step counts
fen: n seats cost n log n comparisons, and n^2 log n where the largest remainders would get stuck.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from ledger.errors import Conflict
from ledger.share_path import SharePath, Stretch, by_weights, first_at_least, last_at_most

LOOKS: Final = 16_384
"""About how many exact shares a move may cost to look up before limits stay the stricter ones."""


class OffPath(Conflict):
    """Totals held that no sequence of `carry` from zero along this path gives."""

    code = "totals-off-path"


def allot(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights; the parts always sum to the amount.

    total_minor  minor units; a negative total gives the mirrored parts
    weights      one per seat, in seat order; each >= 0, not all 0
    returns      one part per seat, same order, minor units

    Spare units go to the largest remainders; equal remainders in seat order, as the agreement's
    seat list is the tie rule. WrongInput for weights that share nothing.
    Source: largest-remainder (Hamilton) apportionment.
    """
    whole = by_weights(weights).stretches[0].scale
    if total_minor < 0:
        return [-part for part in allot(-total_minor, weights)]
    parts = [total_minor * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda seat: -(total_minor * weights[seat] % whole))
    for seat in order[: total_minor - sum(parts)]:
        parts[seat] += 1
    return parts


def allot_running(amount_minor: int, weights: Sequence[int], *, held: Sequence[int]) -> list[int]:
    """The parts of one more instalment; running totals stay within a unit of their exact shares.

    amount_minor  minor units; negative takes back
    weights       one per seat, the same at every instalment; each >= 0, not all 0
    held          each seat's total of the instalments so far, zeros at first
    returns       one part per seat; they sum to the amount and none has the other sign

    After it, each total is floor or ceil of (all instalments) * weight / (all weights). New weights
    begin a new running split from zero: what was carried under the old ones is no safe start.
    OffPath for totals that earlier calls did not give.
    """
    carried = carry(by_weights(weights), held, to_minor=sum(held) + amount_minor)
    return [after - before for after, before in zip(carried, held, strict=True)]


def carry(path: SharePath, held: Sequence[int], *, to_minor: int) -> list[int]:
    """The totals when the cumulative amount moves from what is held to `to_minor`.

    path      the exact shares; the same one at every move
    held      each seat's total now, in seat order: zeros, or what an earlier `carry` returned
    returns   totals in seat order that sum to `to_minor`, each floor or ceil of its exact share;
              none is below its old total when the amount rises, none above when it falls

    An odd unit goes to the largest remainder, a tie to the earlier seat, unless a later move could
    then not keep the promise (see the module). PathEnded beyond the path; OffPath for totals that
    do not come from it.
    """
    from_minor = sum(held)
    here = path.at(to_minor)
    _refuse_off_path(path.at(from_minor), held, amount_minor=from_minor)
    if to_minor == from_minor:
        return list(held)
    rising = to_minor > from_minor
    totals: list[int] = []
    cells: list[_Cell] = []
    for seat, (fixed, slope) in enumerate(zip(here.fixed, here.slopes, strict=True)):
        whole, rest = divmod(fixed + slope * to_minor, here.scale)
        totals.append(whole)
        if rest:
            up = first_at_least(path, seat, level=whole + 1, beyond_minor=to_minor)
            down = last_at_most(path, seat, level=whole, before_minor=to_minor)
            above = held[seat] > whole
            cells.append(
                _Cell(seat, seat, whole, rest, ahead=up, behind=down, bound=above)
                if rising
                else _Cell(
                    seat, -seat, whole, here.scale - rest, ahead=down, behind=up, bound=not above
                )
            )
    odd = to_minor - sum(totals)
    move = _Move(path, from_minor=from_minor, to_minor=to_minor, scale=here.scale)
    served = _choose(cells, odd if rising else len(cells) - odd, move)
    for cell in cells:
        totals[cell.seat] += (cell.seat in served) == rising
    return totals


class _Move(NamedTuple):
    """Where the cumulative amount goes; `scale` is that of the parts of a unit at its end."""

    path: SharePath
    from_minor: int
    to_minor: int
    scale: int


class _Cell(NamedTuple):
    """An open seat in the direction of the move; *served* is moved on to the next whole number.

    turn    tie rule, the smaller first
    whole   the floor of its share at the new amount
    part    how far its share is on its way from whole number to whole number, in 1/scale of a unit
    ahead   the amount where its share reaches the next whole number; None if never
    behind  the amount where it left the last one; None if it never did
    bound   it was served before, so it is served now
    """

    seat: int
    turn: int
    whole: int
    part: int
    ahead: int | None
    behind: int | None
    bound: bool


def _choose(cells: list[_Cell], number: int, move: _Move) -> set[int]:
    """The `number` seats served: bound ones first, then by part and turn, within (F) and (E)."""
    order = sorted(cells, key=lambda cell: (not cell.bound, -cell.part, cell.turn))
    wanted = {cell.seat for cell in order[:number]}
    leave = _most_leaving(cells, wanted, move)
    enter = _most_entered(cells, wanted, number, move)
    if _within(leave[seat] for seat in wanted) and _within(enter[seat] for seat in wanted):
        chosen = [cell.seat for cell in order[:number]]
    else:
        anyone = {cell.seat for cell in cells}
        leave = _most_leaving(cells, anyone, move)
        enter = _most_entered(cells, anyone, number, move)
        chosen = [cell.seat for cell in order if cell.bound]
        waiting = [cell.seat for cell in order if not cell.bound]
        while len(chosen) < number and waiting:
            seat = waiting.pop(0)
            if _completes([*chosen, seat], waiting, number=number, leave=leave, enter=enter):
                chosen.append(seat)
    if len(chosen) != number or any(cell.bound and cell.seat not in chosen for cell in cells):
        raise OffPath("the totals held do not come from this path")
    return set(chosen)


def _completes(
    chosen: list[int], free: list[int], *, number: int, leave: dict[int, int], enter: dict[int, int]
) -> bool:
    """Whether `number` seats, the chosen and some free ones, keep both chains of limits.

    Taking free seats in the order that is easiest for `enter`, each when it keeps `leave`, gives a
    set that is largest for `leave` and, size by size, easiest for `enter` (greedy on a matroid).
    """
    below = list(range(number + 1))  # below[m]: the largest place up to m still free, 0 for none

    def placed(seat: int) -> bool:
        spot = min(leave[seat], number)
        while below[spot] != spot:
            below[spot] = below[below[spot]]
            spot = below[spot]
        if spot:
            below[spot] = spot - 1
        return spot > 0

    if not all(placed(seat) for seat in chosen):
        return False
    full = list(chosen)
    for seat in sorted(free, key=lambda seat: -enter[seat]):
        if len(full) < number and placed(seat):
            full.append(seat)
    return len(full) == number and _within(enter[seat] for seat in full)


def _within(limits: Iterable[int]) -> bool:
    """Whether, for every m, at most m of these are m or less."""
    return all(limit >= place for place, limit in enumerate(sorted(limits), start=1))


def _most_leaving(cells: list[_Cell], wanted: set[int], move: _Move) -> dict[int, int]:
    """(F) as a number for each seat: of the seats with m or less, at most m are served."""

    def last_leaver_first(cell: _Cell) -> tuple[bool, int]:
        return cell.ahead is not None, -abs((cell.ahead or 0) - move.to_minor)

    ranking = sorted(cells, key=last_leaver_first)
    limits: list[tuple[int, int]] = []
    part = bound = asked = 0
    for length, (cell, following) in enumerate(pairwise(ranking), start=1):
        part, bound, asked = part + cell.part, bound + cell.bound, asked + (cell.seat in wanted)
        if following.ahead is None or following.ahead == cell.ahead:
            continue
        most = max(bound, -(-part // move.scale))
        if asked > most:
            stay = ranking[:length]
            most = max(most, _room(stay, following.ahead, cell.ahead, wish=asked, move=move))
        limits.append((length, most))
    return _each(ranking, limits)


def _most_entered(cells: list[_Cell], wanted: set[int], number: int, move: _Move) -> dict[int, int]:
    """(E) as a number for each seat: of the seats with m or less, at most m are served."""
    reach = abs(move.to_minor - move.from_minor)

    def way_back(cell: _Cell) -> int:
        return reach if cell.behind is None else min(reach, abs(cell.behind - move.to_minor))

    ranking = sorted(cells, key=way_back)
    limits: list[tuple[int, int]] = []
    part = asked = 0
    for length, cell in enumerate(ranking, start=1):
        part, asked = part + cell.part, asked + (cell.seat in wanted)
        earlier = ranking[length:]
        until = way_back(earlier[0]) if earlier else reach
        if until == way_back(cell) or cell.behind is None:
            continue
        most = -(-part // move.scale)
        if asked > most:
            left_out = number - len(earlier)  # served among the earlier ones: the rest of them
            stop = move.to_minor + (until if cell.behind > move.to_minor else -until)
            room = _room(earlier, cell.behind, stop, wish=asked - left_out, move=move)
            most = max(most, left_out + room)
        limits.append((length, most))
    return _each(ranking, limits)


def _room(cells: list[_Cell], begin: int, stop: int | None, *, wish: int, move: _Move) -> int:
    """How many of these seats (up to `wish`) may stay where they are from `begin` up to `stop`.

    Later amounts: keep their odd unit; earlier amounts: go without. Never more than (1) and (2)
    allow at any amount on the way; less than that where `stop` is too far to look at each.
    """
    step = 1 if begin > move.to_minor else -1
    if stop is None and move.path.last is not None:
        stop = move.path.last + step
    room, amount = wish, begin
    looks = LOOKS // len(move.path.stretches[0].slopes) ** 2
    while amount != stop:
        there = move.path.at(amount)
        past = sum(
            there.fixed[cell.seat] + there.slopes[cell.seat] * amount - cell.whole * there.scale
            for cell in cells
        )
        least = -(-past // there.scale) if step > 0 else len(cells) - past // there.scale
        if least >= room:  # and it does not fall on the way
            return room
        if looks == 0:
            return least
        shares = [
            fixed + slope * amount for fixed, slope in zip(there.fixed, there.slopes, strict=True)
        ]
        if step > 0:
            room = min(room, amount - sum(share // there.scale for share in shares))
        else:
            room = min(room, sum(-(-share // there.scale) for share in shares) - amount)
        amount, looks = amount + step, looks - 1
    return room


def _each(ranking: list[_Cell], limits: list[tuple[int, int]]) -> dict[int, int]:
    """The tightest limit each seat stands under, from limits on ever longer heads of a ranking."""
    numbers = {cell.seat: len(ranking) for cell in ranking}
    least = len(ranking)
    for (begin, _), (length, most) in reversed(list(pairwise([(0, 0), *limits]))):
        least = min(least, most)
        for cell in ranking[begin:length]:
            numbers[cell.seat] = least
    return numbers


def _refuse_off_path(stretch: Stretch, held: Sequence[int], *, amount_minor: int) -> None:
    for seat, (fixed, slope, total) in enumerate(
        zip(stretch.fixed, stretch.slopes, held, strict=True)
    ):
        if abs(fixed + slope * amount_minor - total * stretch.scale) >= stretch.scale:
            raise OffPath(
                f"seat {seat} holds {total} minor units, a unit or more from its exact share",
                seat=seat,
                held_minor=total,
                amount_minor=amount_minor,
            )
