"""Which move a record of a negotiation answers, by the record's own choices and who gave it.

Whoever made the record is who moves: what another is said to have done does not follow then. A
deadline is turned back into working days; nothing is decided here, `rounds.decide` does.
"""

from datetime import date

from ledger.errors import WrongInput
from ledger.leaves import Actor
from negotiation.facts import (
    Accepted,
    BankDecided,
    BankLeft,
    BookCleared,
    BookExtended,
    BookFailed,
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
from negotiation.guards import MAX_WORKDAYS
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    AskOverride,
    CheckDecision,
    CheckRules,
    ClearBook,
    Counter,
    DraftDecision,
    DrawTermSheet,
    EndMandate,
    ExtendBook,
    ExtendDeadline,
    FailBook,
    GiveMandate,
    GrantOverride,
    Invite,
    Lapse,
    LeaveTable,
    Move,
    OpenBook,
    PlaceQuote,
    Propose,
    RecordFacility,
    SignTermSheet,
    WithdrawProposal,
    WithdrawQuote,
)
from negotiation.state import Negotiation, version_of
from negotiation.termsheet import facility_terms
from syndicate.reference.calendar import add_workdays


def move_behind(state: Negotiation | None, said: Fact, *, actor: Actor, on: date) -> Move:
    """The move that the fact answers, made by that person on that day.

    state  before it
    Raises WrongInput where no move leads there; whether this one does, `rounds.decide` says.
    """
    if isinstance(said, MandateGiven):
        return GiveMandate(mandate=said.mandate, signed=said.signed)
    if state is None:
        raise WrongInput("$.subject", "the mandate first")
    match said:
        case MandateEnded(reason=reason):
            return EndMandate(by=actor.institution, reason=reason)
        case Invited(banks=banks):
            return Invite(by=actor.institution, banks=banks)
        case InvitationAnswered(joins=joins):
            return AnswerInvitation(by=actor.institution, joins=joins)
        case BankLeft():
            return LeaveTable(by=actor.institution)
        case (
            Proposed()
            | Accepted()
            | ProposalWithdrawn()
            | DeadlineExtended()
            | Lapsed()
            | TermsAgreed()
        ):
            return _round(state, said, by=actor.institution, on=on)
        case (
            BookOpened()
            | BookExtended()
            | QuotePlaced()
            | QuoteWithdrawn()
            | BookCleared()
            | BookFailed()
        ):
            return _placing(state, said, by=actor.institution, on=on)
        case RulesChecked() | OverrideAsked() | Override() | DecisionDrafted() | BankDecided():
            return _judging(said, by=actor.institution, user=actor.user)
        case TermSheetDrawn() | TermSheetSigned() | FacilityAgreed():
            return _agreement(state, said, by=actor.institution)


def _round(
    state: Negotiation,
    said: Proposed | Accepted | ProposalWithdrawn | DeadlineExtended | Lapsed | TermsAgreed,
    *,
    by: str,
    on: date,
) -> Move:
    match said:
        case Proposed(answers=answers, terms=terms, deadline=deadline):
            days = _workdays(on, deadline)
            if answers is None:
                return Propose(by=by, terms=terms, answer_within_workdays=days)
            return Counter(by=by, answers=answers, terms=terms, answer_within_workdays=days)
        case Accepted(version=number):
            return Accept(by=by, version=number)
        case ProposalWithdrawn(version=number):
            return WithdrawProposal(by=by, version=number)
        case DeadlineExtended(version=number, deadline=deadline):
            days = _workdays(version_of(state, number).deadline, deadline)
            return ExtendDeadline(by=by, version=number, workdays=days)
        case Lapsed():
            return Lapse()
        case TermsAgreed():
            raise WrongInput("$.subject", "the acceptance of every bank at the table before it")


def _placing(
    state: Negotiation,
    said: BookOpened | BookExtended | QuotePlaced | QuoteWithdrawn | BookCleared | BookFailed,
    *,
    by: str,
    on: date,
) -> Move:
    match said:
        case BookOpened(mode=mode, rules=rules, deadline=deadline):
            days = _workdays(on, deadline)
            return OpenBook(by=by, mode=mode, rules=rules, quotes_within_workdays=days)
        case BookExtended(deadline=deadline):
            return ExtendBook(by=by, workdays=_workdays(_extended_from(state, on), deadline))
        case QuotePlaced(version=number, quote_hash=quote_hash, signed=signed):
            return PlaceQuote(by=by, version=number, quote_hash=quote_hash, signed=signed)
        case QuoteWithdrawn(version=number):
            return WithdrawQuote(by=by, version=number)
        case BookCleared():
            return ClearBook(
                by=by,
                spread_bp=said.spread_bp,
                allocation=said.allocation,
                quotes_hash=said.quotes_hash,
                offers_hash=said.offers_hash,
            )
        case BookFailed():
            return FailBook(
                by=by,
                gap_minor=said.gap_minor,
                conflict=said.conflict,
                quotes_hash=said.quotes_hash,
            )


def _judging(
    said: RulesChecked | OverrideAsked | Override | DecisionDrafted | BankDecided,
    *,
    by: str,
    user: str,
) -> Move:
    match said:
        case RulesChecked(packs=packs, findings=findings):
            return CheckRules(by=by, packs=packs, findings=findings)
        case OverrideAsked(pack=pack, rule=rule, reason=reason):
            return AskOverride(by=by, user=user, pack=pack, rule=rule, reason=reason)
        case Override(pack=pack, rule=rule):
            return GrantOverride(by=by, user=user, pack=pack, rule=rule)
        case DecisionDrafted(outcome=outcome, agreement=agreement):
            return DraftDecision(by=by, user=user, outcome=outcome, agreement=agreement)
        case BankDecided(agreement=agreement, signed=signed):
            return CheckDecision(by=by, user=user, agreement=agreement, signed=signed)


def _agreement(
    state: Negotiation, said: TermSheetDrawn | TermSheetSigned | FacilityAgreed, *, by: str
) -> Move:
    match said:
        case TermSheetDrawn():
            return DrawTermSheet(
                by=by,
                facility=said.facility,
                signed_on=said.signed_on,
                cooperation_agreement=said.cooperation_agreement,
                log=said.log,
            )
        case TermSheetSigned(signed=signed):
            return SignTermSheet(by=by, signed=signed)
        case FacilityAgreed():
            sheet = state.sheet
            if sheet is None:
                raise WrongInput("$.subject", "a term sheet drawn before it")
            return RecordFacility(
                terms=facility_terms(state, facility=sheet.facility, signed_on=sheet.signed_on)
            )


def _extended_from(state: Negotiation, on: date) -> date:
    if state.book is None:
        raise WrongInput("$.subject", "a book opened before it")
    return max(state.book.deadline, on)


def _workdays(start: date, deadline: date) -> int:
    """How many working days after `start` the deadline is."""
    for days in range(1, MAX_WORKDAYS + 1):
        reached = add_workdays(start, days)
        if reached == deadline:
            return days
        if reached > deadline:
            break
    raise WrongInput("$.subject.deadline", f"1 to {MAX_WORKDAYS} working days after {start}")
