"""What somebody asks a negotiation to do. A move is not recorded: the facts it leads to are.

`by` is the institution that acts, `user` the opaque id of the person where two must differ. Whether
the person's role reaches the move (`syndicate.parties.institutions.may`) and whether a signature
holds is checked before a move is made.
"""

from datetime import date

import msgspec

from negotiation.facts import BookMode, Decision, LogReference, PackUsed, RuleFinding
from negotiation.mandate import Mandate
from negotiation.terms import Terms
from syndicate.disclosure.consent import Consents
from syndicate.facility.terms import FacilityTerms
from syndicate.parties.statements import Statement


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What stands outside the negotiation's own log when a move is made.

    on        the open business day
    consents  the borrower's consents as known now
    mandates  the borrower's mandates in other negotiations, given and not ended
    """

    on: date
    consents: Consents
    mandates: tuple[Mandate, ...]


class _Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class GiveMandate(_Move, frozen=True):
    """The borrower asks a bank to lead: the first move of every negotiation."""

    mandate: Mandate
    signed: Statement


class EndMandate(_Move, frozen=True):
    """The borrower or the lead ends the negotiation."""

    by: str
    reason: str


class Invite(_Move, frozen=True):
    """The lead asks banks to the table, in the order they are to be seated after it."""

    by: str
    banks: tuple[str, ...]


class AnswerInvitation(_Move, frozen=True):
    """An invited bank takes its seat, or does not."""

    by: str
    joins: bool


class LeaveTable(_Move, frozen=True):
    """A bank other than the lead gives its seat up."""

    by: str


class Propose(_Move, frozen=True):
    """The lead puts terms on the table where none stand."""

    by: str
    terms: Terms
    answer_within_workdays: int


class Counter(_Move, frozen=True):
    """A bank answers the standing version, which it names, by one of its own."""

    by: str
    answers: int
    terms: Terms
    answer_within_workdays: int


class Accept(_Move, frozen=True):
    """A bank agrees to the standing version, which it names."""

    by: str
    version: int


class WithdrawProposal(_Move, frozen=True):
    """The author takes the standing version back."""

    by: str
    version: int


class ExtendDeadline(_Move, frozen=True):
    """The author or the lead gives so many working days more, counted from the old deadline."""

    by: str
    version: int
    workdays: int


class Lapse(_Move, frozen=True):
    """The clock: the deadline of the standing version has passed."""


class OpenBook(_Move, frozen=True):
    """The lead asks for quotes on the agreed terms."""

    by: str
    mode: BookMode
    rules: tuple[str, ...]
    quotes_within_workdays: int


class ExtendBook(_Move, frozen=True):
    """The lead takes quotes for so many working days more."""

    by: str
    workdays: int


class PlaceQuote(_Move, frozen=True):
    """A bank's quote, or a better one instead of it; the move knows only the commitment.

    version  1, 2, ... in this book, one more than the bank's last word (`next_quote_version`)
    """

    by: str
    version: int
    quote_hash: str
    signed: Statement | None


class WithdrawQuote(_Move, frozen=True):
    """A bank takes its quote back; `version` counts on as in PlaceQuote."""

    by: str
    version: int


class ClearBook(_Move, frozen=True):
    """The outcome of clearing the book: `cleared.clear_book` makes this move."""

    by: str
    spread_bp: int
    allocation: dict[str, int]
    quotes_hash: str
    offers_hash: str


class FailBook(_Move, frozen=True):
    """The outcome where the book does not clear: `cleared.clear_book` makes this move."""

    by: str
    gap_minor: int
    conflict: tuple[str, ...]
    quotes_hash: str


class CheckRules(_Move, frozen=True):
    """What rule packs say of the allocation: the lead for the deal, a bank for its own holding."""

    by: str
    packs: tuple[PackUsed, ...]
    findings: tuple[RuleFinding, ...]


class AskOverride(_Move, frozen=True):
    """A person of the bank whose check warned gives the reason to go on.

    reason  words for the log: nothing about the borrower or a person
    """

    by: str
    user: str
    pack: str
    rule: str
    reason: str


class GrantOverride(_Move, frozen=True):
    """A second person of the same bank agrees."""

    by: str
    user: str
    pack: str
    rule: str


class DraftDecision(_Move, frozen=True):
    """The bank's maker puts its decision up; a new draft replaces the one before."""

    by: str
    user: str
    outcome: Decision
    agreement: str


class CheckDecision(_Move, frozen=True):
    """The bank's checker confirms the draft; signed by the bank's key."""

    by: str
    user: str
    agreement: str
    signed: Statement


class DrawTermSheet(_Move, frozen=True):
    """The lead draws the sheet up; again as long as nobody has signed."""

    by: str
    facility: str
    signed_on: date
    cooperation_agreement: str
    log: LogReference


class SignTermSheet(_Move, frozen=True):
    """A party signs the sheet with its own key."""

    by: str
    signed: Statement


class RecordFacility(_Move, frozen=True):
    """The facility is formed on these terms."""

    terms: FacilityTerms


Move = (
    GiveMandate
    | EndMandate
    | Invite
    | AnswerInvitation
    | LeaveTable
    | Propose
    | Counter
    | Accept
    | WithdrawProposal
    | ExtendDeadline
    | Lapse
    | OpenBook
    | ExtendBook
    | PlaceQuote
    | WithdrawQuote
    | ClearBook
    | FailBook
    | CheckRules
    | AskOverride
    | GrantOverride
    | DraftDecision
    | CheckDecision
    | DrawTermSheet
    | SignTermSheet
    | RecordFacility
)
