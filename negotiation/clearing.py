"""At which spread a book clears, who then holds what, and what stands in the way where it does not.

Pure and exact: minor units as integers, shares as whole percentages, no floats. It reads no
documents (`book`), judges no quote (`quotes.check_book` is a precondition throughout) and reserves
nothing. Feasibility is `reach`, the fair allocation `scale_back`.

What an allocation must keep, by the names a conflict uses:

    offer:B        B holds at most its offer; this includes its max_hold and its headroom
    min_hold:B     B holds nothing or at least its min_hold
    lead_min       the single lead holds at least its part of the target
    lead_max       the single lead holds at most its part: the rest is distributed
    co_lead_min:B  with co-leads, each of the lead and the co-leads holds at least its part
    bank_max:B     with co-leads, no bank holds more than its part
    lot            every holding is in whole lots; without it in whole minor units

That holdings are not negative and sum to the target always holds and has no name.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from negotiation.quotes import CN_SYNDICATED, Book, offer_at, step_spreads
from negotiation.reach import Holdings, holdings, reaches
from negotiation.scale_back import scale_back

MEASURES_OF_2024: Final = datetime.date(2024, 11, 1)
"""《银团贷款业务管理办法》 金规〔2024〕14号 in force; before this day the guideline of 2011."""


class Cleared(Struct, frozen=True, kw_only=True):
    """The lowest spread that fills the target. Amounts in minor units, every seat, seat order."""

    spread_bp: int
    allocation: Mapping[str, int]
    offers: Mapping[str, int]


class Uncleared(Struct, frozen=True, kw_only=True):
    """No spread fills the target.

    gap_minor  by how much all offers at the highest spread fall short of it, or 0
    conflict   an irreducible set of constraints at the highest spread: together they leave no
               allocation, and without any one of them there is one
    """

    gap_minor: int
    conflict: tuple[str, ...]


def clear(book: Book) -> Cleared | Uncleared:
    """The clearing of the book, or why there is none.

    The spread is the lowest step spread at which an allocation exists. Found by halving, as a
    higher spread never takes an allocation away: offers only grow with the spread, and every other
    constraint is the same at each, so what each bank may hold at a spread it may hold at a higher
    one. (A min_hold above the offer leaves the bank at zero, and zero stays allowed above.)

    Among the allocations at that spread it is the one nearest to target x offer / total offers in
    the sum of squares over all seats, offers not floored to lots; of equals the one with more to
    the earlier seat. Raises BookTooTangled for hostile books only, see there.
    """
    spreads = step_spreads(book)
    if not spreads or not _fills(book, _limits(book, spreads[-1]), book.lot_minor):
        return _uncleared(book, spreads[-1] if spreads else 0)
    low, high = -1, len(spreads) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if _fills(book, _limits(book, spreads[middle]), book.lot_minor):
            high = middle
        else:
            low = middle
    return _cleared(book, spreads[high])


def _cleared(book: Book, spread_bp: int) -> Cleared:
    limits = _limits(book, spread_bp)
    offers = {seat: offer_at(book.quotes.get(seat), spread_bp) for seat in book.seats}
    lots = scale_back(
        lots=book.target_minor // book.lot_minor,
        seats=[_held(limit, book.target_minor, book.lot_minor) for limit in limits],
        offers=list(offers.values()),
    )
    if lots is None:
        raise AssertionError("a spread that fills the target has an allocation")
    allocation = {seat: held * book.lot_minor for seat, held in zip(book.seats, lots, strict=True)}
    return Cleared(spread_bp=spread_bp, allocation=allocation, offers=offers)


class _Limit(Struct, frozen=True, kw_only=True):
    """What bounds one seat's holding, in minor units; 0 or None where nothing does.

    offer     at most this
    min_hold  nothing or at least this
    least     at least this, by the rule pack
    most      at most this, by the rule pack
    """

    offer: int | None
    min_hold: int
    least: int
    most: int | None


_Part: TypeAlias = Literal["offer", "min_hold", "least", "most"]


def _limits(book: Book, spread_bp: int) -> list[_Limit]:
    """Limits per seat at the spread.

    With `cn-syndicated`, of the target. From 2024-11-01: a single lead 15 % to 70 % (30 %
    distributed); with co-leads 10 % for each lead, 70 % at most for every bank. Before: a single
    lead 20 % to 50 %; with co-leads 10 % for each lead and no cap.
    Source: SY-02 to SY-05, 金规〔2024〕14号 and the 2011 guideline; taken as hard here.
    """
    leads = {book.lead, *book.co_leads}
    single, new = not book.co_leads, book.date >= MEASURES_OF_2024
    least, most = (15 if new else 20, 70 if new else 50) if single else (10, 70 if new else None)
    ruled = CN_SYNDICATED in book.rules
    limits = []
    for seat in book.seats:
        quote = book.quotes.get(seat)
        capped = ruled and most is not None and (seat in leads or not single)
        limits.append(
            _Limit(
                offer=offer_at(quote, spread_bp),
                min_hold=(quote.min_hold_minor or 0) if quote else 0,
                least=-(-book.target_minor * least // 100) if ruled and seat in leads else 0,
                most=book.target_minor * (most or 0) // 100 if capped else None,
            )
        )
    return limits


def _held(limit: _Limit, target_minor: int, unit: int) -> Holdings:
    """What the seat may hold in whole units: its minimums rounded up to them, its maximums down."""
    caps = (cap for cap in (limit.offer, limit.most) if cap is not None)
    return holdings(
        least=-(-max(limit.min_hold, limit.least) // unit),
        most=min([target_minor, *caps]) // unit,
        may_be_zero=not limit.least,
    )


def _fills(book: Book, limits: Sequence[_Limit], unit: int) -> bool:
    """Whether holdings within the limits, in whole units, can sum to the target."""
    whole, odd = divmod(book.target_minor, unit)
    return not odd and reaches(whole, [_held(limit, book.target_minor, unit) for limit in limits])


def _uncleared(book: Book, spread_bp: int) -> Uncleared:
    """The gap and one irreducible conflict, by dropping what is not needed for it.

    Constraints are tried in this order: min_hold, the rule pack's maximums, its minimums, lot,
    offer; within a kind from the last seat to the first. Each is dropped for good if the target
    stays out of reach without it. As dropping never takes an allocation away, each constraint that
    remains is needed still at the end. What is tried last is named first: short offers explain a
    conflict before lots, lots before rules, rules before minimums, earlier seats before later ones.
    """
    limits = _limits(book, spread_bp)
    gap = max(0, book.target_minor - sum(limit.offer or 0 for limit in limits))
    unit = book.lot_minor
    parts: tuple[_Part, ...] = ("min_hold", "most", "least")
    for part in parts:
        limits = _relaxed(book, limits, part, unit)
    lot_needed = unit > 1 and _fills(book, limits, 1)
    limits = _relaxed(book, limits, "offer", unit if lot_needed else 1)
    conflict = [*_names(book, limits), *(["lot"] if lot_needed else [])]
    return Uncleared(gap_minor=gap, conflict=tuple(conflict))


def _relaxed(book: Book, limits: Sequence[_Limit], part: _Part, unit: int) -> list[_Limit]:
    """The limits without those parts that the conflict does not need, from the last seat."""
    whole, odd = divmod(book.target_minor, unit)
    nothing = 0 if part in ("min_hold", "least") else None
    left = [replace(limit, **{part: nothing}) for limit in limits]
    if odd:
        return left
    held = [_held(limit, book.target_minor, unit) for limit in limits]
    for index in range(len(left) - 1, -1, -1):
        if left[index] == limits[index]:
            continue
        kept, held[index] = held[index], _held(left[index], book.target_minor, unit)
        if reaches(whole, held):
            left[index], held[index] = limits[index], kept
    return left


def _names(book: Book, limits: Sequence[_Limit]) -> Iterator[str]:
    """The constraints that still stand, offers first, each kind in seat order."""
    seats = list(zip(book.seats, limits, strict=True))
    yield from (f"offer:{seat}" for seat, limit in seats if limit.offer is not None)
    yield from (f"min_hold:{seat}" for seat, limit in seats if limit.min_hold)
    least, most = ("co_lead_min:{}", "bank_max:{}") if book.co_leads else ("lead_min", "lead_max")
    yield from (least.format(seat) for seat, limit in seats if limit.least)
    yield from (most.format(seat) for seat, limit in seats if limit.most is not None)
