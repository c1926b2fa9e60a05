"""What every route of a negotiation needs: the shapes of its bodies, and how a move is answered."""

from datetime import date

import msgspec
from litestar import Response

from api import desk as counter
from ledger.signatures import Statement
from negotiation import service
from negotiation.facts import BookMode, Decision, RuleFinding
from negotiation.mandate import Mandate
from negotiation.moves import Move
from negotiation.quotes import Quote, Step
from negotiation.service import Work
from negotiation.state import Negotiation
from negotiation.terms import Terms

TAGS = ["negotiation"]
ROOT = "/v1/negotiations"


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class GivenMandate(_Body, frozen=True, kw_only=True):
    """The borrower's mandate; `signed` is its statement of kind "mandate" over the mandate."""

    mandate: Mandate
    signed: Statement


class Reason(_Body, frozen=True, kw_only=True):
    """Why, in words for the log: nothing about a person or the borrower's affairs."""

    reason: str


class Invitations(_Body, frozen=True, kw_only=True):
    """Banks to invite, in the order of their seats."""

    banks: list[str]


class Answered(_Body, frozen=True, kw_only=True):
    """Whether the invited bank takes its seat."""

    joins: bool


class Proposal(_Body, frozen=True, kw_only=True):
    """Terms to put on the table, and how long they stand."""

    terms: Terms
    answer_within_workdays: int


class CounterProposal(_Body, frozen=True, kw_only=True):
    """Other terms in answer to the standing version, named by `answers`."""

    answers: int
    terms: Terms
    answer_within_workdays: int


class Version(_Body, frozen=True, kw_only=True):
    """The standing version."""

    version: int


class Extension(_Body, frozen=True, kw_only=True):
    """So many working days more for the standing version."""

    version: int
    workdays: int


class Workdays(_Body, frozen=True, kw_only=True):
    """So many working days more."""

    workdays: int


class BookTerms(_Body, frozen=True, kw_only=True):
    """How quotes are taken. rules: rule packs the clearing keeps, as ["cn-syndicated"]."""

    mode: BookMode
    rules: list[str]
    quotes_within_workdays: int


class NewQuote(_Body, frozen=True, kw_only=True):
    """A quote: from each spread on, so much more. Amounts in minor units.

    salt    64 hex digits of the bank's own where it signs; made here otherwise
    signed  the bank's statement of kind "quote" (see quotes/body), or null
    """

    steps: list[Step]
    min_hold_minor: int | None = None
    max_hold_minor: int | None = None
    salt: str | None = None
    signed: Statement | None = None

    @property
    def quote(self) -> Quote:
        """As the book takes it; headroom is not the bank's word but its limits'."""
        return Quote(
            steps=tuple(self.steps),
            min_hold_minor=self.min_hold_minor,
            max_hold_minor=self.max_hold_minor,
        )


class Overridden(_Body, frozen=True, kw_only=True):
    """A rule that warned the asker's bank, and the reason to go on."""

    pack: str
    rule: str
    reason: str


class Granted(_Body, frozen=True, kw_only=True):
    """The rule whose override a second person agrees to."""

    pack: str
    rule: str


class Draft(_Body, frozen=True, kw_only=True):
    """The maker's draft of the bank's decision on exactly this agreement."""

    outcome: Decision
    agreement: str


class Signed(_Body, frozen=True, kw_only=True):
    """A statement signed with the institution's own key."""

    signed: Statement


class SignedDecision(_Body, frozen=True, kw_only=True):
    """The checker's signature under the draft (see decisions/body)."""

    agreement: str
    signed: Statement


class SheetOrder(_Body, frozen=True, kw_only=True):
    """What the sheet needs besides what was negotiated.

    cooperation_agreement  SHA-256 in hex of the banks' cooperation agreement (合作协议)
    """

    facility: str
    signed_on: date
    cooperation_agreement: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A negotiation as its participants see it.

    checks  what each bank's rule packs found, without figures that are private to it
    """

    negotiation: str
    borrower: str
    lead: str
    project: str
    phase: str
    seats: tuple[str, ...]
    pending: tuple[str, ...]
    versions: int
    standing: int | None
    standing_terms: Terms | None
    standing_deadline: date | None
    accepted: tuple[str, ...]
    agreed: int | None
    book_deadline: date | None
    quoted: tuple[str, ...]
    clearing_spread_bp: int | None
    allocation: dict[str, int] | None
    agreement: str | None
    checks: dict[str, tuple[RuleFinding, ...]]
    drafted: tuple[str, ...]
    decided: dict[str, str]
    facility: str | None
    signed: tuple[str, ...]


def seen(state: Negotiation) -> Seen:
    """The state without what is private to a bank."""
    standing = None if state.standing is None else state.versions[state.standing - 1]
    return Seen(
        negotiation=state.name,
        borrower=state.mandate.borrower,
        lead=state.mandate.lead,
        project=state.mandate.project,
        phase=state.phase.value,
        seats=state.seats,
        pending=state.pending,
        versions=len(state.versions),
        standing=state.standing,
        standing_terms=None if standing is None else standing.terms,
        standing_deadline=None if standing is None else standing.deadline,
        accepted=state.accepted,
        agreed=state.agreed,
        book_deadline=None if state.book is None else state.book.deadline,
        quoted=() if state.book is None else tuple(state.book.standing),
        clearing_spread_bp=None if state.clearing is None else state.clearing.spread_bp,
        allocation=None if state.clearing is None else dict(state.clearing.allocation),
        agreement=service.agreement_of(state),
        checks={bank: fact.findings for bank, fact in state.checks.items()},
        drafted=tuple(state.drafts),
        decided={bank: fact.outcome for bank, fact in state.decisions.items()},
        facility=None if state.sheet is None else state.sheet.facility,
        signed=tuple(state.signatures),
    )


def work_of(work: counter.Work) -> Work:
    """The desk's work as the negotiation's services take it."""
    return Work(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


async def move(desk: counter.Desk, key: str, negotiation: str, made: Move) -> Response[Seen]:
    """One move whose answer is the negotiation after it; a refusal enters the log."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await service.move(work_of(work), negotiation=negotiation, made=made))

    return await desk.command(use_case, key=key, book=negotiation)
