"""How a book of quotes is read from a document and its clearing written as the answer.

Shapes and names are those of `liandai clear` in docs. The document has been read strictly already
(`ledger.documents.read_json`); this module opens no file, prints nothing and decides nothing.
"""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ledger.documents import convert
from ledger.errors import WrongInput
from ledger.money import format_amount, parse_amount, scale_of
from negotiation.clearing import Cleared, Uncleared, clear
from negotiation.quotes import Book, Quote, Step, check_book

__all__ = ["Book", "answer", "read_book", "written"]


def answer(document: object) -> tuple[bool, dict[str, Any]]:
    """Whether the book clears, and the answer as a document.

    document  the book as read from JSON
    returns   amounts as decimal strings. `allocation` and `offers` name every seat in seat order,
              a bank that holds or offers nothing with a zero: the objective runs over all of them

    Raises WrongInput naming the JSON path, BookTooTangled as `clear` does.
    """
    book = read_book(document, place="$")
    outcome = clear(book)
    return isinstance(outcome, Cleared), written(outcome, currency=book.currency)


def read_book(document: object, *, place: str) -> Book:
    """The book of the document, every name in it known and every amount in minor units.

    Raises WrongInput for unknown or missing fields, wrong types (a boolean or 1.0 is no integer),
    amounts that are not plain decimal strings, and all that `check_book` refuses.
    """
    words = convert(document, _Book, place=place)
    scale_of(words.currency, place=f"{place}.currency")
    book = Book(
        currency=words.currency,
        target_minor=parse_amount(words.target, currency=words.currency, place=f"{place}.target"),
        lot_minor=parse_amount(words.lot, currency=words.currency, place=f"{place}.lot"),
        lead=words.lead,
        co_leads=words.co_leads,
        seats=words.seats,
        date=_read_date(words.date, place=f"{place}.date"),
        rules=words.rules,
        quotes={
            bank: _read_quote(quote, currency=words.currency, place=f"{place}.quotes.{bank}")
            for bank, quote in words.quotes.items()
        },
    )
    check_book(book, place=place)
    return book


def written(outcome: Cleared | Uncleared, *, currency: str) -> dict[str, Any]:
    """The outcome as a document of `liandai clear`."""

    def amounts(by_seat: Mapping[str, int]) -> dict[str, str]:
        return {seat: format_amount(minor, currency=currency) for seat, minor in by_seat.items()}

    match outcome:
        case Cleared():
            return {
                "feasible": True,
                "clearing_spread_bp": outcome.spread_bp,
                "allocation": amounts(outcome.allocation),
                "offers": amounts(outcome.offers),
            }
        case Uncleared():
            return {
                "feasible": False,
                "gap": format_amount(outcome.gap_minor, currency=currency),
                "conflict": list(outcome.conflict),
            }


class _Step(Struct, frozen=True, forbid_unknown_fields=True):
    spread_bp: int
    amount: str


class _Quote(Struct, frozen=True, forbid_unknown_fields=True):
    steps: tuple[_Step, ...]
    min_hold: str | UnsetType = UNSET
    max_hold: str | UnsetType = UNSET
    headroom: str | UnsetType = UNSET


class _Book(Struct, frozen=True, forbid_unknown_fields=True):
    currency: str
    target: str
    lot: str
    lead: str
    co_leads: tuple[str, ...]
    seats: tuple[str, ...]
    date: str
    quotes: dict[str, Any]
    rules: tuple[str, ...] = ()


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _read_date(text: str, *, place: str) -> datetime.date:
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise WrongInput(place, 'a calendar date, as "2026-01-15"')


def _read_quote(document: object, *, currency: str, place: str) -> Quote:
    words = convert(document, _Quote, place=place)

    def amount(text: str, field: str) -> int:
        return parse_amount(text, currency=currency, place=f"{place}.{field}")

    def limit(text: str | UnsetType, field: str) -> int | None:
        return None if isinstance(text, UnsetType) else amount(text, field)

    return Quote(
        steps=tuple(
            Step(
                spread_bp=step.spread_bp,
                amount_minor=amount(step.amount, f"steps[{index}].amount"),
            )
            for index, step in enumerate(words.steps)
        ),
        min_hold_minor=limit(words.min_hold, "min_hold"),
        max_hold_minor=limit(words.max_hold, "max_hold"),
        headroom_minor=limit(words.headroom, "headroom"),
    )
