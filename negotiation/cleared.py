"""From the private quotes to the outcome of a book, and what of the quotes each bank may see.

A quote and its salt stand in a private table; the log has the commitment. Before anything is
cleared every quote is opened against the commitment on record: a quote that was exchanged, dropped
or added afterwards is found. Headroom is each bank's own and is never part of the quote.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final

import msgspec
from msgspec.structs import replace

from ledger.errors import WrongInput
from negotiation.clearing import Uncleared, clear
from negotiation.moves import ClearBook, FailBook
from negotiation.placing import flaw_of
from negotiation.quotes import Book, Quote, check_book, check_quote, offer_at
from negotiation.refusals import StaleAgreement
from negotiation.state import Negotiation, OpenedBook, agreed_terms, quotes_hash
from syndicate.parties.commitments import commitment

FEWEST: Final = 3
"""No figure over institutions is shown with fewer behind it."""


class PrivateQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as its private row keeps it. `salt`: 32 random bytes, one salt a quote."""

    bank: str
    version: int
    quote: Quote
    salt: bytes


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """All offers together at a spread: those of FEWEST banks at least."""

    spread_bp: int
    offers_minor: int


def quote_hash(
    *, negotiation: str, book: int, bank: str, version: int, quote: Quote, salt: bytes
) -> str:
    """The commitment to a quote: bound to the book, the bank and the version, and salted."""
    value = {
        "negotiation": negotiation,
        "book": book,
        "bank": bank,
        "version": version,
        "quote": quote,
    }
    return commitment(value, salt=salt)


def check_quote_on(state: Negotiation, quote: Quote, *, place: str) -> None:
    """Nothing: the quote hangs together and answers the agreed terms.

    At least one step; no headroom, which is reserved apart; and where the spread is agreed, one
    step at that spread. Raises WrongInput.
    """
    check_quote(quote, place=place)
    if not quote.steps:
        raise WrongInput(f"{place}.steps", "at least one step")
    if quote.headroom_minor is not None:
        raise WrongInput(f"{place}.headroom", "nothing: headroom is reserved apart from a quote")
    agreed_bp = agreed_terms(state).rate.spread_bp
    if agreed_bp is not None and [step.spread_bp for step in quote.steps] != [agreed_bp]:
        raise WrongInput(f"{place}.steps", f"one step at the agreed spread of {agreed_bp} bp")


def book_of(
    state: Negotiation,
    quotes: Mapping[str, PrivateQuote],
    *,
    headroom: Mapping[str, int],
    on: date,
) -> Book:
    """The clearing engine's book: the standing quotes on the agreed terms, lead first.

    quotes    by bank, exactly those that stand; others in it are StaleAgreement
    headroom  bank -> minor units its reserved limits still allow; a bank not named has no limit
    on        the day of the clearing: rule packs in force on it apply
    Raises StaleAgreement where a quote does not open the commitment on record.
    """
    book = _open_book(state)
    if set(quotes) != set(book.standing):
        raise StaleAgreement("other banks' quotes stand than were given")
    for bank, placed in book.standing.items():
        own = quotes[bank]
        opened = quote_hash(
            negotiation=state.name,
            book=book.number,
            bank=bank,
            version=own.version,
            quote=own.quote,
            salt=own.salt,
        )
        if (own.bank, own.version, opened) != (bank, placed.version, placed.quote_hash):
            raise StaleAgreement(f"the quote of {bank} is not the one on record", bank=bank)
    standing = {
        bank: replace(quotes[bank].quote, headroom_minor=headroom.get(bank))
        for bank in state.seats
        if bank in quotes
    }
    answer = book_with(state, standing, on=on)
    check_book(answer, place="$")
    return answer


def book_with(state: Negotiation, quotes: Mapping[str, Quote], *, on: date) -> Book:
    """The clearing engine's book of these quotes, whether or not they are those on record."""
    terms = agreed_terms(state)
    return Book(
        currency=terms.currency,
        target_minor=terms.target_minor,
        lot_minor=terms.lot_minor,
        lead=state.mandate.lead,
        co_leads=(),
        seats=state.seats,
        date=on,
        rules=_open_book(state).rules,
        quotes=quotes,
    )


def clear_book(state: Negotiation, book: Book, *, salt: bytes) -> ClearBook | FailBook:
    """The lead's move with the outcome of clearing the book of `book_of`.

    An allocation that the engine finds and the agreed terms rule out (the lead would hold nothing,
    one bank would hold all, the risk-share rule names a bank without a part) fails the book too,
    with `terms:` and the flaw's name as its conflict.

    salt  32 random bytes for the commitment to the offers; keep them beside the quotes
    Raises BookTooTangled as `clearing.clear` does.
    """
    outcome = clear(book)
    if isinstance(outcome, Uncleared):
        return FailBook(
            by=state.mandate.lead,
            gap_minor=outcome.gap_minor,
            conflict=outcome.conflict,
            quotes_hash=quotes_hash(state),
        )
    flaw = flaw_of(state, spread_bp=outcome.spread_bp, allocation=outcome.allocation)
    if flaw is not None:
        return FailBook(
            by=state.mandate.lead,
            gap_minor=0,
            conflict=(f"terms:{flaw.name}",),
            quotes_hash=quotes_hash(state),
        )
    return ClearBook(
        by=state.mandate.lead,
        spread_bp=outcome.spread_bp,
        allocation={bank: held for bank, held in outcome.allocation.items() if held},
        quotes_hash=quotes_hash(state),
        offers_hash=commitment(
            {
                "negotiation": state.name,
                "book": state.books,
                "spread_bp": outcome.spread_bp,
                "offers": dict(outcome.offers),
            },
            salt=salt,
        ),
    )


def quotes_seen_by(
    state: Negotiation, viewer: str, quotes: Mapping[str, PrivateQuote]
) -> dict[str, Quote]:
    """Whose quotes the viewer sees in an open book: the lead all, a bank its own, others none."""
    _open_book(state)
    if viewer == state.mandate.lead:
        return {bank: own.quote for bank, own in quotes.items()}
    return {bank: own.quote for bank, own in quotes.items() if bank == viewer}


def aggregate(quotes: Mapping[str, Quote]) -> tuple[Cell, ...]:
    """What every bank at the table may see of the book: offers together at each step spread.

    Lowest spread first. A spread at which fewer than FEWEST banks offer anything has no cell.
    """
    spreads = sorted({step.spread_bp for quote in quotes.values() for step in quote.steps})
    cells = []
    for spread_bp in spreads:
        offers = [offer_at(quote, spread_bp) for quote in quotes.values()]
        if sum(1 for offer in offers if offer) >= FEWEST:
            cells.append(Cell(spread_bp=spread_bp, offers_minor=sum(offers)))
    return tuple(cells)


def _open_book(state: Negotiation) -> OpenedBook:
    if state.book is None:
        raise AssertionError("no book was opened yet")
    return state.book
