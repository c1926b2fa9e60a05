"""What can become known in a negotiation: one Struct a fact, exactly what its leaf's subject says.

    mandate     MandateGiven, MandateEnded
    the table   Invited, InvitationAnswered, BankLeft
    rounds      Proposed, Accepted, ProposalWithdrawn, DeadlineExtended, Lapsed, TermsAgreed
    the book    BookOpened, BookExtended, QuotePlaced, QuoteWithdrawn, BookCleared, BookFailed
    rules       RulesChecked, OverrideAsked, Override
    decisions   DecisionDrafted, BankDecided
    agreement   TermSheetDrawn, TermSheetSigned, FacilityAgreed

Facts carry what followed when they were decided, deadlines as dates included, so that folding old
facts decides nothing again. Amounts are minor units, no float anywhere. Quotes never stand here:
only salted commitments to them. Nor does anything of the borrower's but its opaque id.
"""

from datetime import date
from typing import Any, Literal

import msgspec

from ledger.documents import convert
from negotiation.mandate import Mandate
from negotiation.terms import Terms
from syndicate.parties.statements import Statement
from syndicate.rules.finding import Outcome, Severity, Shown

Decision = Literal["approve", "decline"]
BookMode = Literal["open"]


class _Fact(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    pass


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class MandateGiven(_Fact, frozen=True):
    """The borrower asked the lead; `signed` is its statement "mandate"."""

    mandate: Mandate
    signed: Statement


class MandateEnded(_Fact, frozen=True):
    """The negotiation is over without a facility."""

    by: str
    reason: str


class Invited(_Fact, frozen=True):
    """The lead asked these banks to the table, in the order they are to be seated."""

    banks: tuple[str, ...]


class InvitationAnswered(_Fact, frozen=True):
    """The bank takes its seat, or does not."""

    bank: str
    joins: bool


class BankLeft(_Fact, frozen=True):
    """The bank gave its seat up before terms were agreed."""

    bank: str


class Proposed(_Fact, frozen=True):
    """A version of the terms stands; whatever stood before does not any more.

    answers   the version it counters, None for a proposal of its own
    deadline  the last day on which it may be answered
    """

    version: int
    by: str
    answers: int | None
    terms: Terms
    deadline: date


class Accepted(_Fact, frozen=True):
    """The bank agrees to the version as it stands."""

    version: int
    by: str


class ProposalWithdrawn(_Fact, frozen=True):
    """Its author took the version back; nothing stands."""

    version: int
    by: str


class DeadlineExtended(_Fact, frozen=True):
    """The version may be answered until `deadline`."""

    version: int
    by: str
    deadline: date


class Lapsed(_Fact, frozen=True):
    """The version's deadline passed without agreement; nothing stands."""

    version: int


class TermsAgreed(_Fact, frozen=True):
    """Every bank at the table accepted; `terms_hash` is SHA-256 of the canonical terms."""

    version: int
    terms_hash: str


class BookOpened(_Fact, frozen=True):
    """Quotes are taken until `deadline`, that day included.

    mode   open: the lead sees quotes, the others the aggregate
    rules  rule packs the clearing keeps as hard constraints: the method, fixed beforehand (SY-19)
    """

    book: int
    mode: BookMode
    method: Literal["uniform"]
    rules: tuple[str, ...]
    deadline: date


class BookExtended(_Fact, frozen=True):
    """Quotes are taken until `deadline`."""

    book: int
    deadline: date


class QuotePlaced(_Fact, frozen=True):
    """The bank's quote of this version stands; the quote itself is in a private table.

    quote_hash  salted commitment to it
    signed      the bank's statement "quote", where given
    """

    book: int
    bank: str
    version: int
    quote_hash: str
    signed: Statement | None


class QuoteWithdrawn(_Fact, frozen=True):
    """The bank has no quote in the book; `version` counts this as its latest word."""

    book: int
    bank: str
    version: int


class BookCleared(_Fact, frozen=True):
    """The target is placed at one spread.

    allocation   bank -> minor units above 0, in the agreement's seat order; sums to the target
    quotes_hash  names exactly the commitments that were cleared
    offers_hash  salted commitment to what each bank offered at the spread
    """

    book: int
    spread_bp: int
    allocation: dict[str, int]
    quotes_hash: str
    offers_hash: str


class BookFailed(_Fact, frozen=True):
    """The target is not placed: by how much offers fall short, and which constraints clash."""

    book: int
    gap_minor: int
    conflict: tuple[str, ...]
    quotes_hash: str


class PackUsed(_Part, frozen=True):
    """A rule pack as it stood in force on a day."""

    pack: str
    on: date


class RuleFinding(_Part, frozen=True):
    """One rule's answer on the allocation.

    value, limit  as printed; None where they would tell what is private to a bank
    """

    pack: str
    rule: str
    outcome: Outcome
    severity: Severity
    value: Shown
    limit: Shown
    source: str
    effective_from: date


class RulesChecked(_Fact, frozen=True):
    """`by` judged the allocation: the lead the whole deal, every bank its own holding."""

    by: str
    agreement: str
    packs: tuple[PackUsed, ...]
    findings: tuple[RuleFinding, ...]


class OverrideAsked(_Fact, frozen=True):
    """Why a rule that holds "in principle" (原则上) should not stop this deal."""

    by: str
    pack: str
    rule: str
    reason: str
    maker: str


class Override(_Fact, frozen=True):
    """A second person agreed to go on in spite of a warning of `by`'s check."""

    by: str
    pack: str
    rule: str
    agreement: str
    reason: str
    maker: str
    checker: str


class DecisionDrafted(_Fact, frozen=True):
    """The bank's maker (经办) put its decision up for checking."""

    bank: str
    outcome: Decision
    agreement: str
    maker: str


class BankDecided(_Fact, frozen=True):
    """The bank's own decision (独立审批), checked (复核) by a second person and signed.

    agreement  the hash of the exact allocation and terms that were decided on
    signed     the bank's statement "decision"
    """

    bank: str
    outcome: Decision
    amount_minor: int
    agreement: str
    maker: str
    checker: str
    signed: Statement


class LogReference(_Part, frozen=True):
    """Where in which book's log the negotiation stood: size and RFC 6962 root in hex."""

    book: str
    size: int
    root: str


class TermSheetDrawn(_Fact, frozen=True):
    """The canonical term sheet, ready for signature.

    facility               the id the facility will have
    cooperation_agreement  SHA-256 in hex of the banks' cooperation agreement (合作协议)
    terms_hash             names the facility's terms; term_sheet_hash names the whole sheet
    """

    facility: str
    signed_on: date
    cooperation_agreement: str
    log: LogReference
    term_sheet: dict[str, Any]
    term_sheet_hash: str
    terms_hash: str


class TermSheetSigned(_Fact, frozen=True):
    """The party signed the sheet; `signed` is its statement "term-sheet"."""

    party: str
    signed: Statement


class FacilityAgreed(_Fact, frozen=True):
    """The facility was formed on exactly the signed terms (I17)."""

    facility: str
    terms_hash: str


Fact = (
    MandateGiven
    | MandateEnded
    | Invited
    | InvitationAnswered
    | BankLeft
    | Proposed
    | Accepted
    | ProposalWithdrawn
    | DeadlineExtended
    | Lapsed
    | TermsAgreed
    | BookOpened
    | BookExtended
    | QuotePlaced
    | QuoteWithdrawn
    | BookCleared
    | BookFailed
    | RulesChecked
    | OverrideAsked
    | Override
    | DecisionDrafted
    | BankDecided
    | TermSheetDrawn
    | TermSheetSigned
    | FacilityAgreed
)


def subject_of(fact: Fact) -> dict[str, Any]:
    """The fact as the JSON object that stands in its leaf."""
    subject: dict[str, Any] = msgspec.to_builtins(fact)
    return subject


def fact_of(subject: dict[str, Any]) -> Fact:
    """The fact a leaf's subject says; WrongInput by JSON path where it says none of them."""
    return convert(subject, Fact, place="$.subject")  # type: ignore[arg-type]
