"""The negotiation table: mandate, rounds, quotes, clearing, decisions, term sheet, facility.

Participating banks use it for themselves; what only the lead may do is refused to others.
"""

import secrets
from datetime import date
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from api import desk as counter
from api.desk import SERVICE, AtDesk, IdempotencyKey
from api.identity import may
from ledger.errors import WrongInput
from ledger.signatures import Statement
from negotiation import service
from negotiation.facts import BookMode, Decision
from negotiation.mandate import Mandate
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    AskOverride,
    CheckDecision,
    Counter,
    DraftDecision,
    EndMandate,
    ExtendBook,
    ExtendDeadline,
    GrantOverride,
    LeaveTable,
    Move,
    OpenBook,
    Propose,
    SignTermSheet,
    WithdrawProposal,
)
from negotiation.quotes import Quote, Step
from negotiation.service import Placed, SeenQuotes, SheetToSign, Work
from negotiation.state import Negotiation
from negotiation.terms import Difference, Terms
from syndicate.facility.terms import FacilityTerms

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
    """A negotiation as its participants see it."""

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
        drafted=tuple(state.drafts),
        decided={bank: fact.outcome for bank, fact in state.decisions.items()},
        facility=None if state.sheet is None else state.sheet.facility,
        signed=tuple(state.signatures),
    )


def _work(work: counter.Work) -> Work:
    return Work(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


async def _move(desk: counter.Desk, key: str, negotiation: str, made: Move) -> Response[Seen]:
    """One move whose answer is the negotiation after it; a refusal enters the log."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await service.move(_work(work), negotiation=negotiation, made=made))

    return await desk.command(use_case, key=key, book=negotiation)


@post(ROOT, guards=[may("give-mandate")], tags=TAGS)
async def give_mandate(
    data: JSONBody[GivenMandate], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Mandate a bank to lead (borrower): the first step of every negotiation."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await service.give_mandate(_work(work), mandate=data.mandate, signed=data.signed)
        )

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE)


@get(ROOT, guards=[may("read-negotiation")], tags=TAGS)
async def negotiations(desk: AtDesk) -> list[str]:
    """The negotiations you take part in, by id."""
    return await desk.ask(service.names)


@get(ROOT + "/{negotiation:str}", guards=[may("read-negotiation")], tags=TAGS)
async def negotiation_seen(negotiation: FromPath[str], desk: AtDesk) -> Seen:
    """Where the negotiation stands."""
    return seen(await desk.ask(lambda conn: service.state_of(conn, negotiation=negotiation)))


@get(
    ROOT + "/{negotiation:str}/versions/{version:int}", guards=[may("read-negotiation")], tags=TAGS
)
async def terms_of(negotiation: FromPath[str], version: FromPath[int], desk: AtDesk) -> Terms:
    """The terms of one version, standing or not."""
    state = await desk.ask(lambda conn: service.state_of(conn, negotiation=negotiation))
    if not 1 <= version <= len(state.versions):
        raise WrongInput("version", f"a version of 1 to {len(state.versions)}")
    return state.versions[version - 1].terms


@get(ROOT + "/{negotiation:str}/differences", guards=[may("read-negotiation")], tags=TAGS)
async def compared(
    negotiation: FromPath[str], desk: AtDesk, before: FromQuery[int], after: FromQuery[int]
) -> list[Difference]:
    """Field by field, how two versions differ."""
    return list(
        await desk.ask(
            lambda conn: service.compared(conn, negotiation=negotiation, before=before, after=after)
        )
    )


@post(ROOT + "/{negotiation:str}/end", guards=[may("end-mandate")], tags=TAGS)
async def end(
    negotiation: FromPath[str],
    data: JSONBody[Reason],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """End the negotiation (borrower or lead)."""
    made = EndMandate(by=desk.asker.institution, reason=data.reason)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/invitations", guards=[may("invite")], tags=TAGS)
async def invite(
    negotiation: FromPath[str],
    data: JSONBody[Invitations],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Invite banks to the table (lead)."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await service.invite(_work(work), negotiation=negotiation, banks=tuple(data.banks))
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(ROOT + "/{negotiation:str}/answer", guards=[may("answer-invitation")], tags=TAGS)
async def answer(
    negotiation: FromPath[str],
    data: JSONBody[Answered],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take your seat, or decline the invitation."""
    made = AnswerInvitation(by=desk.asker.institution, joins=data.joins)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/leaving", guards=[may("leave-negotiation")], tags=TAGS)
async def leave(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Give your seat up."""
    made = LeaveTable(by=desk.asker.institution)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/proposals", guards=[may("propose")], tags=TAGS)
async def propose(
    negotiation: FromPath[str],
    data: JSONBody[Proposal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Put terms on the table (lead)."""
    made = Propose(
        by=desk.asker.institution,
        terms=data.terms,
        answer_within_workdays=data.answer_within_workdays,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/counters", guards=[may("counter")], tags=TAGS)
async def counter_propose(
    negotiation: FromPath[str],
    data: JSONBody[CounterProposal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Answer the standing version with terms of your own; a stale one is refused."""
    made = Counter(
        by=desk.asker.institution,
        answers=data.answers,
        terms=data.terms,
        answer_within_workdays=data.answer_within_workdays,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/acceptances", guards=[may("accept")], tags=TAGS)
async def accept(
    negotiation: FromPath[str],
    data: JSONBody[Version],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Agree to the standing version; terms are agreed once every seat has."""
    made = Accept(by=desk.asker.institution, version=data.version)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/withdrawals", guards=[may("withdraw-proposal")], tags=TAGS)
async def withdraw(
    negotiation: FromPath[str],
    data: JSONBody[Version],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take your standing version back."""
    made = WithdrawProposal(by=desk.asker.institution, version=data.version)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/extensions", guards=[may("extend-deadline")], tags=TAGS)
async def extend(
    negotiation: FromPath[str],
    data: JSONBody[Extension],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Give the standing version more working days (its author or the lead)."""
    made = ExtendDeadline(by=desk.asker.institution, version=data.version, workdays=data.workdays)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/book", guards=[may("open-book")], tags=TAGS)
async def open_book(
    negotiation: FromPath[str],
    data: JSONBody[BookTerms],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Open the book of quotes on the agreed terms (lead)."""
    made = OpenBook(
        by=desk.asker.institution,
        mode=data.mode,
        rules=tuple(data.rules),
        quotes_within_workdays=data.quotes_within_workdays,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/book/extensions", guards=[may("open-book")], tags=TAGS)
async def extend_book(
    negotiation: FromPath[str],
    data: JSONBody[Workdays],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take quotes for some working days more (lead)."""
    made = ExtendBook(by=desk.asker.institution, workdays=data.workdays)
    return await _move(desk, idempotency_key, negotiation, made)


def _salt(text: str | None) -> bytes:
    if text is None:
        return secrets.token_bytes(32)
    try:
        salt = bytes.fromhex(text)
    except ValueError:
        salt = b""
    if len(salt) != 32:
        raise WrongInput("$.salt", "64 hex digits")
    return salt


@post(ROOT + "/{negotiation:str}/quotes", guards=[may("place-quote")], tags=TAGS)
async def place_quote(
    negotiation: FromPath[str],
    data: JSONBody[NewQuote],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Placed]:
    """Place your quote, or a better one instead of it; only you and the lead can read it."""
    salt = _salt(data.salt)

    async def use_case(work: counter.Work) -> Placed:
        return await service.place_quote(
            _work(work),
            negotiation=negotiation,
            quote=data.quote,
            salt=salt,
            signed=data.signed,
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(
    ROOT + "/{negotiation:str}/quotes/body",
    guards=[may("place-quote")],
    tags=TAGS,
    status_code=200,
)
async def quote_to_sign(
    negotiation: FromPath[str], data: JSONBody[NewQuote], desk: AtDesk
) -> dict[str, Any]:
    """The body to sign (kind "quote") before placing this quote with this salt. Changes nothing."""
    if data.salt is None:
        raise WrongInput("$.salt", "64 hex digits of your own, to sign over")
    salt = _salt(data.salt)
    return await desk.ask(
        lambda conn: service.quote_to_sign(
            conn,
            negotiation=negotiation,
            bank=desk.asker.institution,
            quote=data.quote,
            salt=salt,
        )
    )


@post(ROOT + "/{negotiation:str}/quotes/withdrawal", guards=[may("withdraw-quote")], tags=TAGS)
async def withdraw_quote(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Take your quote back while the book is open."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await service.withdraw_quote(_work(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@get(ROOT + "/{negotiation:str}/quotes", guards=[may("read-negotiation")], tags=TAGS)
async def quotes(negotiation: FromPath[str], desk: AtDesk) -> SeenQuotes:
    """The quotes you may see: the lead all, a bank its own, all banks the offers together."""
    return await desk.ask(
        lambda conn: service.quotes_seen(
            conn, negotiation=negotiation, viewer=desk.asker.institution
        ),
        standing=SERVICE,
    )


@post(ROOT + "/{negotiation:str}/clearing", guards=[may("clear-book")], tags=TAGS)
async def clear(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Clear the book once its time is over (lead): one spread, one allocation, or the clash."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await service.clear_book(_work(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(ROOT + "/{negotiation:str}/rule-checks", guards=[may("check-rules")], tags=TAGS)
async def check_rules(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Judge the allocation by the rule packs: the lead the deal, every bank its own holding."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await service.check_rules(_work(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(ROOT + "/{negotiation:str}/overrides", guards=[may("ask-override")], tags=TAGS)
async def ask_override(
    negotiation: FromPath[str],
    data: JSONBody[Overridden],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Give the reason to go on although a rule warns (原则上)."""
    made = AskOverride(
        by=desk.asker.institution,
        user=desk.asker.person,
        pack=data.pack,
        rule=data.rule,
        reason=data.reason,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/overrides/grants", guards=[may("grant-override")], tags=TAGS)
async def grant_override(
    negotiation: FromPath[str],
    data: JSONBody[Granted],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Agree to an override as the second person."""
    made = GrantOverride(
        by=desk.asker.institution, user=desk.asker.person, pack=data.pack, rule=data.rule
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/decisions/draft", guards=[may("draft-decision")], tags=TAGS)
async def draft_decision(
    negotiation: FromPath[str],
    data: JSONBody[Draft],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Draft your bank's own decision (maker, 经办), bound to the exact agreement."""
    made = DraftDecision(
        by=desk.asker.institution,
        user=desk.asker.person,
        outcome=data.outcome,
        agreement=data.agreement,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@get(ROOT + "/{negotiation:str}/decisions/body", guards=[may("check-decision")], tags=TAGS)
async def decision_to_sign(negotiation: FromPath[str], desk: AtDesk) -> dict[str, Any]:
    """The body to sign (kind "decision") with your bank's key, as its checker."""
    return await desk.ask(
        lambda conn: service.decision_to_sign(
            conn,
            negotiation=negotiation,
            bank=desk.asker.institution,
            checker=desk.asker.person,
        )
    )


@post(ROOT + "/{negotiation:str}/decisions", guards=[may("check-decision")], tags=TAGS)
async def check_decision(
    negotiation: FromPath[str],
    data: JSONBody[SignedDecision],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Confirm your bank's decision (checker, 复核), signed with its key."""
    made = CheckDecision(
        by=desk.asker.institution,
        user=desk.asker.person,
        agreement=data.agreement,
        signed=data.signed,
    )
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/term-sheet", guards=[may("draw-term-sheet")], tags=TAGS)
async def draw_term_sheet(
    negotiation: FromPath[str],
    data: JSONBody[SheetOrder],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Draw the canonical term sheet (lead)."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await service.draw_term_sheet(
                _work(work),
                negotiation=negotiation,
                facility=data.facility,
                signed_on=data.signed_on,
                cooperation_agreement=data.cooperation_agreement,
            )
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@get(ROOT + "/{negotiation:str}/term-sheet", guards=[may("read-negotiation")], tags=TAGS)
async def term_sheet(negotiation: FromPath[str], desk: AtDesk) -> SheetToSign:
    """The term sheet, its hash, the body to sign (kind "term-sheet"), and who is missing."""
    return await desk.ask(lambda conn: service.sheet_to_sign(conn, negotiation=negotiation))


@post(ROOT + "/{negotiation:str}/signatures", guards=[may("sign-term-sheet")], tags=TAGS)
async def sign(
    negotiation: FromPath[str],
    data: JSONBody[Signed],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Sign the term sheet with your institution's own key."""
    made = SignTermSheet(by=desk.asker.institution, signed=data.signed)
    return await _move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/facility", guards=[may("form-facility")], tags=TAGS)
async def form_facility(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[FacilityTerms]:
    """Form the facility on exactly the signed terms (lead)."""

    async def use_case(work: counter.Work) -> FacilityTerms:
        return await service.form_facility(_work(work), negotiation=negotiation)

    return await desk.command(use_case, key=idempotency_key, book=negotiation, standing=SERVICE)


HANDLERS = (
    give_mandate,
    negotiations,
    negotiation_seen,
    terms_of,
    compared,
    end,
    invite,
    answer,
    leave,
    propose,
    counter_propose,
    accept,
    withdraw,
    extend,
    open_book,
    extend_book,
    place_quote,
    quote_to_sign,
    withdraw_quote,
    quotes,
    clear,
    check_rules,
    ask_override,
    grant_override,
    draft_decision,
    decision_to_sign,
    check_decision,
    draw_term_sheet,
    term_sheet,
    sign,
    form_facility,
)
