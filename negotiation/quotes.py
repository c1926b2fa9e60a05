"""What the banks have quoted for one deal, and what each offers at a spread.

A quote is steps of (spread, amount): "from LPR - 20 bp on, another 4,000 万". A book is the quotes
of all seats for one target. This module knows no feasibility and no allocation (`clearing` does),
reads no documents (`book` does), and never sees who may see a quote.
"""

import datetime
from collections.abc import Mapping
from typing import ClassVar, Final

from msgspec import Struct

from ledger.errors import Refused, WrongInput

MAX_SPREAD_BP: Final = 10_000
"""A spread lies within +/- 100 percentage points; anything beyond is a slip of the pen."""

CN_SYNDICATED: Final = "cn-syndicated"
"""The one rule pack a clearing can keep: the others ask for facts that no book holds."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At `spread_bp` over the base rate and above, the bank adds `amount_minor` to its offer."""

    spread_bp: int
    amount_minor: int


class Quote(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bank's quote (报价). Steps rise strictly in spread; None: the bank set no such limit.

    min_hold_minor  the bank takes nothing or at least this (最低持有)
    max_hold_minor  it never holds more (最高持有)
    headroom_minor  what its reserved limits still allow (可用额度)
    """

    steps: tuple[Step, ...]
    min_hold_minor: int | None = None
    max_hold_minor: int | None = None
    headroom_minor: int | None = None


class Book(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All quotes for one target (簿记). Seat order is the tie rule of the agreement.

    seats   every bank at the table, the lead among them; a seat without a quote offers nothing
    quotes  by seat
    date    of the clearing: the rule pack's version in force on it applies
    rules   rule packs to keep, `cn-syndicated` or none
    """

    currency: str
    target_minor: int
    lot_minor: int
    lead: str
    co_leads: tuple[str, ...]
    seats: tuple[str, ...]
    date: datetime.date
    rules: tuple[str, ...]
    quotes: Mapping[str, Quote]


class BookTooTangled(Refused):
    """No answer within the bounded search: holds without play in amounts without a common lot.

    Whether banks that take all or nothing can sum to the target is the subset-sum problem. In up to
    some ten thousand lots it is solved outright; in lots of one fen a hostile book can exceed any
    search, and is refused rather than answered wrongly or never.
    """

    code: ClassVar[str] = "book-too-tangled"

    def __init__(self, *, seats: int, units: int) -> None:
        super().__init__(
            f"holds of {seats} seats leave too many combinations for {units} units of the target",
            seats=seats,
            units=units,
        )


def offer_at(quote: Quote | None, spread_bp: int) -> int:
    """Minor units the bank offers at the spread: its steps up to it, cut at hold and headroom.

    No quote offers 0. The offer never falls as the spread rises, and ignores `min_hold`.
    """
    if quote is None:
        return 0
    offer = sum(step.amount_minor for step in quote.steps if step.spread_bp <= spread_bp)
    for limit in (quote.max_hold_minor, quote.headroom_minor):
        if limit is not None:
            offer = min(offer, limit)
    return offer


def step_spreads(book: Book) -> list[int]:
    """Every spread at which some offer may grow, lowest first, each once."""
    return sorted({step.spread_bp for quote in book.quotes.values() for step in quote.steps})


def check_quote(quote: Quote, *, place: str) -> None:
    """Nothing, or WrongInput at the part of the quote that contradicts itself.

    Steps that add nothing are refused; a quote of no steps offers nothing and is in order.
    """
    for index, step in enumerate(quote.steps):
        here = f"{place}.steps[{index}]"
        if abs(step.spread_bp) > MAX_SPREAD_BP:
            raise WrongInput(f"{here}.spread_bp", f"at most {MAX_SPREAD_BP} either side of 0")
        if index and step.spread_bp <= quote.steps[index - 1].spread_bp:
            raise WrongInput(f"{here}.spread_bp", "steps strictly increasing in spread_bp")
        if step.amount_minor <= 0:
            raise WrongInput(here, "an amount above zero")
    limits = (quote.min_hold_minor, quote.max_hold_minor, quote.headroom_minor)
    if any(limit is not None and limit < 0 for limit in limits):
        raise WrongInput(place, "min_hold, max_hold and headroom of zero or more")
    if None not in limits[:2] and (quote.min_hold_minor or 0) > (quote.max_hold_minor or 0):
        raise WrongInput(f"{place}.min_hold", "min_hold at most max_hold")


def check_book(book: Book, *, place: str) -> None:
    """Nothing, or WrongInput at the part of the book that contradicts itself; quotes included."""
    if book.target_minor <= 0:
        raise WrongInput(f"{place}.target", "an amount above zero")
    if book.lot_minor <= 0:
        raise WrongInput(f"{place}.lot", "an amount above zero")
    _check_each_once(book.seats, place=f"{place}.seats")
    _check_each_once(book.co_leads, place=f"{place}.co_leads")
    _check_each_once(book.rules, place=f"{place}.rules")
    if book.lead not in book.seats:
        raise WrongInput(f"{place}.lead", "one of the seats")
    for index, bank in enumerate(book.co_leads):
        if bank not in book.seats or bank == book.lead:
            raise WrongInput(f"{place}.co_leads[{index}]", "one of the seats other than the lead")
    for index, pack in enumerate(book.rules):
        if pack != CN_SYNDICATED:
            raise WrongInput(f"{place}.rules[{index}]", f"a pack a clearing keeps: {CN_SYNDICATED}")
    for bank, quote in book.quotes.items():
        if bank not in book.seats:
            raise WrongInput(f"{place}.quotes.{bank}", "quotes of seats only")
        check_quote(quote, place=f"{place}.quotes.{bank}")


def _check_each_once(names: tuple[str, ...], *, place: str) -> None:
    for index, name in enumerate(names):
        if not name:
            raise WrongInput(f"{place}[{index}]", "a name, not an empty string")
        if name in names[:index]:
            raise WrongInput(f"{place}[{index}]", f"each name once, not {name} again")
