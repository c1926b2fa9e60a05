"""Where a negotiation stands after the facts recorded so far. It decides and refuses nothing.

mandated ──Invited──> inviting ──Proposed──> open ──TermsAgreed──> agreed
                                  ▲                                  │ BookOpened
                      Proposed    │                                  ▼
                         unplaced ─┴──BookOpened──────────────> book_open
                            ▲  ▲                                  │  │
                            │  └──────────BookFailed──────────────┘  │ BookCleared
                            └──BankDecided(decline)── cleared <──────┘
                                                        │ last BankDecided(approve)
                                                        ▼
formed <──FacilityAgreed── signed <──last signature── decided
MandateEnded leads to `ended` from everywhere before `signed`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from negotiation.facts import (
    Accepted,
    BankDecided,
    BankLeft,
    BookCleared,
    BookExtended,
    BookFailed,
    BookMode,
    BookOpened,
    DeadlineExtended,
    DecisionDrafted,
    FacilityAgreed,
    Fact,
    InvitationAnswered,
    Invited,
    Lapsed,
    MandateEnded,
    MandateGiven,
    Override,
    OverrideAsked,
    ProposalWithdrawn,
    Proposed,
    QuotePlaced,
    QuoteWithdrawn,
    RulesChecked,
    TermsAgreed,
    TermSheetDrawn,
    TermSheetSigned,
)
from negotiation.mandate import Mandate
from negotiation.terms import Terms, digest
from syndicate.parties.statements import Statement


class Phase(StrEnum):
    """See the drawing above."""

    MANDATED = "mandated"
    INVITING = "inviting"
    OPEN = "open"
    AGREED = "agreed"
    BOOK_OPEN = "book_open"
    UNPLACED = "unplaced"
    CLEARED = "cleared"
    DECIDED = "decided"
    SIGNED = "signed"
    FORMED = "formed"
    ENDED = "ended"


OVER: Final = frozenset((Phase.FORMED, Phase.ENDED))
_PLACED: Final = frozenset((Phase.CLEARED, Phase.DECIDED, Phase.SIGNED, Phase.FORMED))


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's last word in a book; `quote_hash` None where it withdrew."""

    version: int
    quote_hash: str | None


class OpenedBook(msgspec.Struct, frozen=True, kw_only=True):
    """The latest book of the negotiation. `quotes`: bank -> its last word."""

    number: int
    mode: BookMode
    rules: tuple[str, ...]
    deadline: date
    quotes: Mapping[str, Placed]

    @property
    def standing(self) -> dict[str, Placed]:
        """The quotes that have not been withdrawn, by bank."""
        return {bank: placed for bank, placed in self.quotes.items() if placed.quote_hash}


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """What the book decided. `allocation`: bank -> minor units above 0, in seat order."""

    spread_bp: int
    allocation: Mapping[str, int]
    quotes_hash: str
    offers_hash: str


class Negotiation(msgspec.Struct, frozen=True, kw_only=True):
    """One negotiation.

    called      the lead and the banks invited, in that order, but for those that declined or left;
                seats keep this order
    seats       banks at the table, the lead first
    standing    number of the version that may be answered, None where none stands
    accepted    banks that agree to it, its author first
    agreed      number of the version that all agreed to
    checks      bank -> its latest judgement of the allocation by rule packs
    """

    mandate: Mandate
    phase: Phase
    called: tuple[str, ...]
    seats: tuple[str, ...]
    versions: tuple[Proposed, ...]
    standing: int | None
    accepted: tuple[str, ...]
    agreed: int | None
    books: int
    book: OpenedBook | None
    clearing: Clearing | None
    checks: Mapping[str, RulesChecked]
    asked: tuple[OverrideAsked, ...]
    overrides: tuple[Override, ...]
    drafts: Mapping[str, DecisionDrafted]
    decisions: Mapping[str, BankDecided]
    sheet: TermSheetDrawn | None
    signatures: Mapping[str, Statement]

    @property
    def name(self) -> str:
        """The negotiation's id."""
        return self.mandate.negotiation

    @property
    def pending(self) -> tuple[str, ...]:
        """Banks that were invited and have not answered yet."""
        return tuple(bank for bank in self.called if bank not in self.seats)


def evolve(state: Negotiation | None, fact: Fact) -> Negotiation:
    """The state after a fact that `rounds.decide` made. Only the first fact is a MandateGiven."""
    if isinstance(fact, MandateGiven):
        return _mandated(fact)
    if state is None:
        raise AssertionError("a negotiation begins with its mandate")
    match fact:
        case MandateEnded():
            return replace(state, phase=Phase.ENDED)
        case Invited() | InvitationAnswered() | BankLeft():
            return _seated(state, fact)
        case RulesChecked() | OverrideAsked() | Override():
            return _judged(state, fact)
        case DecisionDrafted() | BankDecided():
            return _decided(state, fact)
        case TermSheetDrawn() | TermSheetSigned() | FacilityAgreed():
            return _signed(state, fact)
        case (
            BookOpened()
            | BookExtended()
            | QuotePlaced()
            | QuoteWithdrawn()
            | BookCleared()
            | BookFailed()
        ):
            return _placed(state, fact)
        case _:
            return _proposed(state, fact)


def fold(facts: Iterable[Fact]) -> Negotiation | None:
    """The state after all these facts in the order of their positions; None after none."""
    state: Negotiation | None = None
    for fact in facts:
        state = evolve(state, fact)
    return state


def version_of(state: Negotiation, number: int) -> Proposed:
    """The version of that number, 1 being the first."""
    return state.versions[number - 1]


def agreed_terms(state: Negotiation) -> Terms:
    """The terms all agreed to. Only once terms are agreed."""
    if state.agreed is None:
        raise AssertionError("no terms are agreed yet")
    return version_of(state, state.agreed).terms


def quotes_hash(state: Negotiation) -> str:
    """Names exactly the commitments that stand in the book. Only once a book was opened."""
    if state.book is None:
        raise AssertionError("no book was opened yet")
    return digest(
        {
            "negotiation": state.name,
            "book": state.book.number,
            "quotes": state.book.standing,
        }
    )


def agreement_hash(state: Negotiation) -> str:
    """Names exactly the allocation and terms that each bank decides on. Only once cleared."""
    if state.clearing is None:
        raise AssertionError("the book has not cleared yet")
    return digest(
        {
            "negotiation": state.name,
            "book": state.books,
            "version": state.agreed,
            "terms": agreed_terms(state),
            "spread_bp": state.clearing.spread_bp,
            "allocation": dict(state.clearing.allocation),
        }
    )


def next_quote_version(state: Negotiation, bank: str) -> int:
    """The version that the bank's next word in the book must name."""
    last = None if state.book is None else state.book.quotes.get(bank)
    return 1 if last is None else last.version + 1


def _mandated(fact: MandateGiven) -> Negotiation:
    return Negotiation(
        mandate=fact.mandate,
        phase=Phase.MANDATED,
        called=(fact.mandate.lead,),
        seats=(fact.mandate.lead,),
        versions=(),
        standing=None,
        accepted=(),
        agreed=None,
        books=0,
        book=None,
        clearing=None,
        checks={},
        asked=(),
        overrides=(),
        drafts={},
        decisions={},
        sheet=None,
        signatures={},
    )


def _seated(state: Negotiation, fact: Invited | InvitationAnswered | BankLeft) -> Negotiation:
    match fact:
        case Invited(banks=banks):
            phase = Phase.INVITING if state.phase is Phase.MANDATED else state.phase
            return replace(state, phase=phase, called=state.called + banks)
        case InvitationAnswered(bank=bank, joins=joins):
            if not joins:
                return replace(state, called=_without(state.called, bank))
            seats = tuple(b for b in state.called if b in state.seats or b == bank)
            return replace(state, seats=seats)
        case BankLeft(bank=bank):
            return replace(
                state,
                called=_without(state.called, bank),
                seats=_without(state.seats, bank),
                accepted=_without(state.accepted, bank),
            )


def _proposed(
    state: Negotiation,
    fact: Proposed | Accepted | ProposalWithdrawn | DeadlineExtended | Lapsed | TermsAgreed,
) -> Negotiation:
    match fact:
        case Proposed():
            return replace(
                state,
                phase=Phase.OPEN,
                versions=(*state.versions, fact),
                standing=fact.version,
                accepted=(fact.by,),
                agreed=None,
            )
        case Accepted(by=by):
            return replace(state, accepted=(*state.accepted, by))
        case DeadlineExtended(version=number, deadline=deadline):
            longer = replace(version_of(state, number), deadline=deadline)
            kept = state.versions
            return replace(state, versions=(*kept[: number - 1], longer, *kept[number:]))
        case ProposalWithdrawn() | Lapsed():
            return replace(state, standing=None, accepted=())
        case TermsAgreed(version=number):
            return replace(state, phase=Phase.AGREED, standing=None, agreed=number)


def _placed(
    state: Negotiation,
    fact: BookOpened | BookExtended | QuotePlaced | QuoteWithdrawn | BookCleared | BookFailed,
) -> Negotiation:
    if isinstance(fact, BookOpened):
        book = OpenedBook(
            number=fact.book,
            mode=fact.mode,
            rules=fact.rules,
            deadline=fact.deadline,
            quotes={},
        )
        return replace(
            state,
            phase=Phase.BOOK_OPEN,
            books=fact.book,
            book=book,
            clearing=None,
            checks={},
            asked=(),
            overrides=(),
            drafts={},
            decisions={},
        )
    if state.book is None:
        raise AssertionError("a book is opened before anything is placed in it")
    match fact:
        case BookExtended(deadline=deadline):
            return replace(state, book=replace(state.book, deadline=deadline))
        case QuotePlaced(bank=bank, version=number, quote_hash=quote_hash):
            return _quoted(state, state.book, bank, Placed(version=number, quote_hash=quote_hash))
        case QuoteWithdrawn(bank=bank, version=number):
            return _quoted(state, state.book, bank, Placed(version=number, quote_hash=None))
        case BookCleared():
            clearing = Clearing(
                spread_bp=fact.spread_bp,
                # Canonical JSON sorts keys, so the agreement's order is put back from the seats.
                allocation={b: fact.allocation[b] for b in state.seats if b in fact.allocation},
                quotes_hash=fact.quotes_hash,
                offers_hash=fact.offers_hash,
            )
            return replace(state, phase=Phase.CLEARED, clearing=clearing)
        case BookFailed():
            return replace(state, phase=Phase.UNPLACED)


def _quoted(state: Negotiation, book: OpenedBook, bank: str, placed: Placed) -> Negotiation:
    return replace(state, book=replace(book, quotes={**book.quotes, bank: placed}))


def _judged(state: Negotiation, fact: RulesChecked | OverrideAsked | Override) -> Negotiation:
    match fact:
        case RulesChecked(by=by):
            return replace(
                state,
                checks={**state.checks, by: fact},
                asked=tuple(asked for asked in state.asked if asked.by != by),
                overrides=tuple(given for given in state.overrides if given.by != by),
            )
        case OverrideAsked():
            return replace(state, asked=(*_others(state, fact), fact))
        case Override():
            return replace(state, asked=_others(state, fact), overrides=(*state.overrides, fact))


def _others(state: Negotiation, fact: OverrideAsked | Override) -> tuple[OverrideAsked, ...]:
    about = (fact.by, fact.pack, fact.rule)
    return tuple(one for one in state.asked if (one.by, one.pack, one.rule) != about)


def _decided(state: Negotiation, fact: DecisionDrafted | BankDecided) -> Negotiation:
    if isinstance(fact, DecisionDrafted):
        return replace(state, drafts={**state.drafts, fact.bank: fact})
    decisions = {**state.decisions, fact.bank: fact}
    if fact.outcome == "decline":
        return replace(state, phase=Phase.UNPLACED, decisions=decisions)
    allocation = {} if state.clearing is None else state.clearing.allocation
    phase = Phase.DECIDED if set(decisions) >= set(allocation) else state.phase
    return replace(state, phase=phase, decisions=decisions)


def _signed(
    state: Negotiation, fact: TermSheetDrawn | TermSheetSigned | FacilityAgreed
) -> Negotiation:
    match fact:
        case TermSheetDrawn():
            return replace(state, sheet=fact)
        case TermSheetSigned(party=party, signed=signed):
            signatures = {**state.signatures, party: signed}
            phase = Phase.SIGNED if set(signatures) >= set(signatories(state)) else state.phase
            return replace(state, signatures=signatures, phase=phase)
        case FacilityAgreed():
            return replace(state, phase=Phase.FORMED)


def entitled(state: Negotiation) -> frozenset[str]:
    """Who takes part in the negotiation's book as it stands.

    The borrower, the lead, and the banks called that have not declined or left. While a clearing
    stands, of the banks at the table only those it gave a part; once a sheet is drawn, everyone who
    signs it as well.
    """
    there = {*state.called, state.mandate.borrower}
    if state.clearing is not None and state.phase in _PLACED:
        there -= set(state.seats) - set(state.clearing.allocation) - {state.mandate.lead}
    if state.sheet is not None:
        there |= set(signatories(state))
    return frozenset(there)


def signatories(state: Negotiation) -> tuple[str, ...]:
    """Who signs the sheet: banks that hold a part, protectors, the borrower. Only once cleared."""
    if state.clearing is None:
        raise AssertionError("the book has not cleared yet")
    protectors = (protector.party for protector in agreed_terms(state).protectors)
    return (*state.clearing.allocation, *protectors, state.mandate.borrower)


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name)
