"""The book of a negotiation: it opens, takes commitments to quotes, and clears or fails.

Quotes themselves never pass here: the bank's quote and its salt are in a private table, `cleared`
computes the outcome from them, and this module checks what every party can check for itself: that
exactly the commitments on record were cleared, and that the allocation keeps the agreed terms.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ledger.errors import WrongInput
from negotiation.facts import (
    BookCleared,
    BookExtended,
    BookFailed,
    BookOpened,
    Fact,
    QuotePlaced,
    QuoteWithdrawn,
)
from negotiation.guards import (
    check_in_time,
    check_lead,
    check_mandated,
    check_may_price,
    check_phase,
    check_seat,
    deadline_after,
)
from negotiation.moves import (
    ClearBook,
    ExtendBook,
    FailBook,
    Ground,
    OpenBook,
    PlaceQuote,
    WithdrawQuote,
)
from negotiation.quotes import CN_SYNDICATED
from negotiation.refusals import (
    AllocationBroken,
    DeadlineNotPassed,
    NothingToAnswer,
    StaleAgreement,
    StaleVersion,
)
from negotiation.state import (
    Negotiation,
    OpenedBook,
    Phase,
    agreed_terms,
    next_quote_version,
    quotes_hash,
)
from negotiation.terms import check_risk_share
from syndicate.parties.statements import check_statement


class Flaw(NamedTuple):
    """What stands against an allocation: a name for ever, and words."""

    name: Literal["spread", "lot", "quote", "target", "lead", "joint", "risk_share"]
    words: str


PlacingMove = OpenBook | ExtendBook | PlaceQuote | WithdrawQuote | ClearBook | FailBook


def decide(state: Negotiation, move: PlacingMove, ground: Ground) -> tuple[Fact, ...]:
    """The facts that follow from a move about the book; see `rounds.decide`."""
    if isinstance(move, OpenBook):
        return _open(state, move, ground)
    check_phase(state, Phase.BOOK_OPEN)
    if state.book is None:
        raise AssertionError("an open book is there")
    match move:
        case ExtendBook(by=by, workdays=workdays):
            check_lead(state, by)
            check_mandated(state, ground)
            # Counted from today where the book has closed: nothing was cleared, so it may reopen.
            start = max(state.book.deadline, ground.on)
            deadline = deadline_after(start, workdays, place="$.workdays")
            return (BookExtended(book=state.book.number, deadline=deadline),)
        case PlaceQuote():
            return _quote(state, state.book, move, ground)
        case WithdrawQuote(by=bank, version=number):
            check_seat(state, bank)
            check_in_time(state.book.deadline, on=ground.on)
            _check_next(state, bank, number)
            if bank not in state.book.standing:
                raise NothingToAnswer(f"{bank} has no quote in the book", bank=bank)
            return (QuoteWithdrawn(book=state.book.number, bank=bank, version=number),)
        case ClearBook() | FailBook():
            return _outcome(state, state.book, move, ground)


def quote_body(state: Negotiation, *, bank: str, version: int, quote_hash: str) -> dict[str, Any]:
    """What a bank signs under the kind "quote"."""
    return {
        "negotiation": state.name,
        "book": state.books,
        "bank": bank,
        "version": version,
        "quote_hash": quote_hash,
    }


def flaw_of(state: Negotiation, *, spread_bp: int, allocation: Mapping[str, int]) -> Flaw | None:
    """What the agreed terms say against an outcome of the book, or None.

    allocation  bank -> minor units; a zero is a bank that holds none
    """
    terms, book = agreed_terms(state), state.book
    quoted = {} if book is None else book.standing
    if terms.rate.spread_bp is not None and spread_bp != terms.rate.spread_bp:
        return Flaw("spread", f"the agreed spread is {terms.rate.spread_bp} bp, not {spread_bp}")
    for bank, amount_minor in allocation.items():
        if bank not in state.seats or amount_minor < 0 or amount_minor % terms.lot_minor:
            return Flaw("lot", f"{bank} at {amount_minor} is not whole lots of a bank at the table")
        if amount_minor and bank not in quoted:
            return Flaw("quote", f"{bank} has not quoted")
    if sum(allocation.values()) != terms.target_minor:
        return Flaw("target", "the parts do not sum to the target")
    if not allocation.get(state.mandate.lead):
        return Flaw("lead", "the lead would hold nothing")
    holding = {bank: allocation[bank] for bank in state.seats if allocation.get(bank)}
    if len(holding) < 2:
        return Flaw("joint", "one bank alone is no joint loan")
    try:
        check_risk_share(terms, holding, place="$.terms.risk_share")
    except WrongInput as error:
        return Flaw("risk_share", f"the agreed rule does not fit the parts: {error}")
    return None


def _open(state: Negotiation, move: OpenBook, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.AGREED, Phase.UNPLACED)
    check_lead(state, move.by)
    check_mandated(state, ground)
    if set(move.rules) - {CN_SYNDICATED} or len(set(move.rules)) != len(move.rules):
        raise WrongInput("$.rules", f"packs a clearing keeps, each once: {CN_SYNDICATED}")
    workdays = move.quotes_within_workdays
    return (
        BookOpened(
            book=state.books + 1,
            mode=move.mode,
            method="uniform",
            rules=move.rules,
            deadline=deadline_after(ground.on, workdays, place="$.quotes_within_workdays"),
        ),
    )


def _quote(
    state: Negotiation, book: OpenedBook, move: PlaceQuote, ground: Ground
) -> tuple[Fact, ...]:
    check_seat(state, move.by)
    check_may_price(state, move.by, ground)
    check_in_time(book.deadline, on=ground.on)
    _check_next(state, move.by, move.version)
    check_sha256(move.quote_hash, place="$.quote_hash")
    if move.signed is not None:
        body = quote_body(state, bank=move.by, version=move.version, quote_hash=move.quote_hash)
        check_statement(move.signed, kind="quote", by=move.by, body=body)
    return (
        QuotePlaced(
            book=book.number,
            bank=move.by,
            version=move.version,
            quote_hash=move.quote_hash,
            signed=move.signed,
        ),
    )


def _check_next(state: Negotiation, bank: str, version: int) -> None:
    due = next_quote_version(state, bank)
    if version != due:
        raise StaleVersion(f"quote {due} is due, not {version}", named=version, standing=due - 1)


def _outcome(
    state: Negotiation, book: OpenedBook, move: ClearBook | FailBook, ground: Ground
) -> tuple[Fact, ...]:
    check_lead(state, move.by)
    check_mandated(state, ground)
    if ground.on <= book.deadline:
        raise DeadlineNotPassed(
            f"quotes are taken until {book.deadline}", deadline=book.deadline, on=ground.on
        )
    if move.quotes_hash != quotes_hash(state):
        raise StaleAgreement("other quotes stand than were cleared", named=move.quotes_hash)
    if isinstance(move, FailBook):
        return (
            BookFailed(
                book=book.number,
                gap_minor=move.gap_minor,
                conflict=move.conflict,
                quotes_hash=move.quotes_hash,
            ),
        )
    check_sha256(move.offers_hash, place="$.offers_hash")
    flaw = flaw_of(state, spread_bp=move.spread_bp, allocation=move.allocation)
    if flaw is not None:
        raise AllocationBroken(flaw.words, why=flaw.name)
    return (
        BookCleared(
            book=book.number,
            spread_bp=move.spread_bp,
            allocation={
                bank: move.allocation[bank] for bank in state.seats if move.allocation.get(bank)
            },
            quotes_hash=move.quotes_hash,
            offers_hash=move.offers_hash,
        ),
    )


def check_sha256(value: str, *, place: str) -> str:
    """The hash itself: 64 lower-case hex digits."""
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise WrongInput(place, "SHA-256 as 64 lower-case hex digits")
    return value
