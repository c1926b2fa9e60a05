"""The clearing of small books by looking at everything: the measure `clearing` is held to.

It shares with the product only the shapes Step, Quote and Book. Every way to cut the target into
whole fen over the seats is written down, each constraint is a question to one such way, and the
answer is picked by the words of the contract. Targets of a dozen fen and four seats are its size.
"""

import datetime
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache

from negotiation.quotes import Book, Quote, Step

Allocation = tuple[int, ...]
Constraint = Callable[[Allocation], bool]


@cache
def cuts(total: int, seats: int) -> list[Allocation]:
    """Every way to cut the total into that many parts of zero or more."""
    if seats == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in cuts(total - first, seats - 1)]


def offer(quote: Quote | None, spread: int) -> int:
    """The steps with spread_bp <= s, cut at max_hold and headroom."""
    if quote is None:
        return 0
    stated = [sum(step.amount_minor for step in quote.steps if step.spread_bp <= spread)]
    stated += [limit for limit in (quote.max_hold_minor, quote.headroom_minor) if limit is not None]
    return min(stated)


def constraints(book: Book, spread: int) -> dict[str, Constraint]:
    """Every constraint of the book at the spread, by the name a conflict gives it."""
    named: dict[str, Constraint] = {"lot": lambda held: all(k % book.lot_minor == 0 for k in held)}
    for place, seat in enumerate(book.seats):
        quote = book.quotes.get(seat)
        most = offer(quote, spread)
        named[f"offer:{seat}"] = lambda held, i=place, most=most: held[i] <= most
        least = quote.min_hold_minor if quote is not None else None
        if least:
            named[f"min_hold:{seat}"] = lambda held, i=place, m=least: held[i] == 0 or held[i] >= m
    if "cn-syndicated" in book.rules:
        named.update(rules(book))
    return named


def rules(book: Book) -> dict[str, Constraint]:
    """The bounds of lead, co-leads and all banks; fractions of the target, never rounded."""
    new = book.date >= datetime.date(2024, 11, 1)
    target, named = book.target_minor, {}

    def at_least(seat: str, part: str) -> Constraint:
        return lambda held: held[book.seats.index(seat)] >= Fraction(part) * target

    def at_most(seat: str, part: str) -> Constraint:
        return lambda held: held[book.seats.index(seat)] <= Fraction(part) * target

    if not book.co_leads:
        named["lead_min"] = at_least(book.lead, "0.15" if new else "0.20")
        named["lead_max"] = at_most(book.lead, "0.70" if new else "0.50")
        return named
    for seat in (book.lead, *book.co_leads):
        named[f"co_lead_min:{seat}"] = at_least(seat, "0.10")
    if new:
        for seat in book.seats:
            named[f"bank_max:{seat}"] = at_most(seat, "0.70")
    return named


def allocations(book: Book, kept: Iterable[Constraint]) -> Iterator[Allocation]:
    """Every cut of the target that keeps them all."""
    kept = list(kept)
    return (
        held
        for held in cuts(book.target_minor, len(book.seats))
        if all(keeps(held) for keeps in kept)
    )


def spreads(book: Book) -> list[int]:
    return sorted({step.spread_bp for quote in book.quotes.values() for step in quote.steps})


def clearing(book: Book) -> tuple[int, Allocation] | None:
    """The lowest spread with an allocation, sought from the lowest, and the nearest one there."""
    for spread in spreads(book):
        possible = list(allocations(book, constraints(book, spread).values()))
        if possible:
            offers = [offer(book.quotes.get(seat), spread) for seat in book.seats]
            return spread, nearest(book.target_minor, offers, possible)
    return None


def nearest(target: int, offers: Sequence[int], possible: Iterable[Allocation]) -> Allocation:
    """Of the allocations the one with the least sum of squares, then the larger to the earlier."""

    def distance(held: Allocation) -> Fraction:
        parts = [Fraction(target * own, sum(offers)) for own in offers]
        return sum(((k - part) ** 2 for k, part in zip(held, parts, strict=True)), Fraction(0))

    return min(possible, key=lambda held: (distance(held), [-k for k in held]))


def gap(book: Book) -> int:
    """Target less total offers at the highest spread, or 0."""
    highest = max(spreads(book), default=0)
    return max(0, book.target_minor - sum(offer(q, highest) for q in book.quotes.values()))


def is_irreducible(book: Book, conflict: Sequence[str]) -> bool:
    """Whether the set is infeasible at the highest spread and feasible without any one of it."""
    named = constraints(book, max(spreads(book), default=0))

    def feasible(names: Iterable[str]) -> bool:
        return any(True for _ in allocations(book, [named[name] for name in names]))

    return not feasible(conflict) and all(
        feasible(other for other in conflict if other != name) for name in conflict
    )


def small_book(rnd: random.Random) -> Book:
    """A book of one to four seats and a target of at most a dozen fen, in order but no more."""
    seats = tuple(["hzbank", "cib", "czbank", "icbc"][: rnd.choice([1, 2, 3, 3, 4, 4])])
    lot = rnd.choice([1, 1, 2, 3, 4])
    target = rnd.randint(1, 12)
    if rnd.random() < 0.8:
        target = max(1, target // lot) * lot
    lead = rnd.choice(seats)
    others = [seat for seat in seats if seat != lead]
    co_leads = tuple(rnd.sample(others, rnd.choice([0, rnd.randint(0, len(others))])))
    day = rnd.choice([datetime.date(2024, 10, 31), datetime.date(2024, 11, 1)])
    return Book(
        currency="CNY",
        target_minor=target,
        lot_minor=lot,
        lead=lead,
        co_leads=co_leads,
        seats=seats,
        date=day,
        rules=("cn-syndicated",) if rnd.random() < 0.6 else (),
        quotes={seat: small_quote(rnd, target) for seat in seats if rnd.random() < 0.9},
    )


def small_quote(rnd: random.Random, target: int) -> Quote:
    """Up to three steps; each limit stated or not, the minimum often close to the offer."""
    steps = sorted(rnd.sample(range(-4, 5), rnd.choice([0, 1, 2, 2, 3, 3])))
    amounts = [rnd.choice([1, target, *2 * [rnd.randint(1, target)]]) for _ in steps]
    most = rnd.choice([None, None, None, rnd.randint(0, target)])
    least = rnd.choice([None, None, 0, rnd.randint(1, target), sum(amounts)])
    if least is not None and most is not None:
        least = min(least, most)
    return Quote(
        steps=tuple(
            Step(spread_bp=spread, amount_minor=amount)
            for spread, amount in zip(steps, amounts, strict=True)
        ),
        min_hold_minor=least,
        max_hold_minor=most,
        headroom_minor=rnd.choice([None, None, None, None, rnd.randint(0, target)]),
    )
