"""What follows from a move in a negotiation: facts to record, or a refusal.

`decide` reads no clock and no database: the day, the borrower's consents and its other mandates
come as the `Ground`. Here are the mandate, the table and the rounds of proposals; the book of
quotes is decided in `placing`, decisions and signatures in `agreement`. `evolve` and `fold` are
those of `state`.

Guards come in one order, so that the first thing wrong has one name: phase, seat, mandate, consent,
version, deadline, content.
"""

from ledger.errors import WrongInput
from negotiation import agreement, placing
from negotiation.facts import (
    Accepted,
    BankLeft,
    DeadlineExtended,
    Fact,
    InvitationAnswered,
    Invited,
    Lapsed,
    MandateEnded,
    MandateGiven,
    ProposalWithdrawn,
    Proposed,
    TermsAgreed,
)
from negotiation.guards import (
    check_in_time,
    check_lead,
    check_mandated,
    check_may_price,
    check_phase,
    check_reason,
    check_seat,
    deadline_after,
)
from negotiation.mandate import check_exclusive, check_mandate, mandate_body
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
    Ground,
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
from negotiation.refusals import (
    AlreadyDone,
    DeadlineNotPassed,
    NoMandate,
    NoSeat,
    NothingToAccept,
    NothingToAnswer,
    NotTheAuthor,
    NotTheLead,
    SameTerms,
    StaleVersion,
)
from negotiation.state import OVER, Negotiation, Phase, evolve, fold, version_of
from negotiation.terms import Terms, check_proposal, differences, digest
from syndicate.parties.institutions import check_id
from syndicate.parties.statements import check_statement

__all__ = ["Negotiation", "Phase", "decide", "evolve", "fold"]

_TABLE = (Phase.MANDATED, Phase.INVITING, Phase.OPEN, Phase.UNPLACED)


def decide(state: Negotiation | None, move: Move, ground: Ground) -> tuple[Fact, ...]:
    """The facts that follow from the move, in order, at least one.

    state  None before the mandate; then every move but GiveMandate is refused with NoMandate
    Raises the refusals of `refusals`, MandateHeld, NotTheirs, SaysOtherwise, WrongInput, and
    BeyondCalendar for a deadline past the working-day table.
    """
    if isinstance(move, GiveMandate):
        return _give_mandate(state, move, ground)
    if state is None:
        raise NoMandate("no mandate was given yet", on=ground.on)
    match move:
        case EndMandate():
            return _end_mandate(state, move)
        case Invite() | AnswerInvitation() | LeaveTable():
            return _seat(state, move, ground)
        case Propose() | Counter() | Accept() | WithdrawProposal() | ExtendDeadline() | Lapse():
            return _round(state, move, ground)
        case OpenBook() | ExtendBook() | PlaceQuote() | WithdrawQuote() | ClearBook() | FailBook():
            return placing.decide(state, move, ground)
        case (
            CheckRules()
            | AskOverride()
            | GrantOverride()
            | DraftDecision()
            | CheckDecision()
            | DrawTermSheet()
            | SignTermSheet()
            | RecordFacility()
        ):
            return agreement.decide(state, move, ground)


def _give_mandate(state: Negotiation | None, move: GiveMandate, ground: Ground) -> tuple[Fact, ...]:
    if state is not None:
        raise AlreadyDone("the mandate was given", negotiation=state.name)
    mandate = move.mandate
    check_mandate(mandate, on=ground.on, place="$.mandate")
    check_exclusive(mandate, ground.mandates)
    check_statement(move.signed, kind="mandate", by=mandate.borrower, body=mandate_body(mandate))
    return (MandateGiven(mandate=mandate, signed=move.signed),)


def _end_mandate(state: Negotiation, move: EndMandate) -> tuple[Fact, ...]:
    check_phase(state, *(phase for phase in Phase if phase not in (*OVER, Phase.SIGNED)))
    if move.by not in (state.mandate.borrower, state.mandate.lead):
        raise NotTheLead("only the borrower or the lead may end it", bank=move.by)
    check_reason(move.reason, place="$.reason")
    return (MandateEnded(by=move.by, reason=move.reason),)


# ---- the table


def _seat(
    state: Negotiation, move: Invite | AnswerInvitation | LeaveTable, ground: Ground
) -> tuple[Fact, ...]:
    check_phase(state, *_TABLE)
    match move:
        case Invite():
            return _invite(state, move, ground)
        case AnswerInvitation(by=bank, joins=joins):
            if bank in state.seats:
                raise AlreadyDone(f"{bank} has its seat", bank=bank)
            if bank not in state.pending:
                raise NoSeat(f"{bank} is not invited", bank=bank)
            return (InvitationAnswered(bank=bank, joins=joins),)
        case LeaveTable(by=bank):
            return _leave(state, bank)


def _invite(state: Negotiation, move: Invite, ground: Ground) -> tuple[Fact, ...]:
    check_lead(state, move.by)
    check_mandated(state, ground)
    if not move.banks or len(set(move.banks)) != len(move.banks):
        raise WrongInput("$.banks", "banks, each once")
    others = {state.mandate.borrower}
    for version in state.versions:
        others.update(protector.party for protector in version.terms.protectors)
    for index, bank in enumerate(move.banks):
        check_id(bank, place=f"$.banks[{index}]")
        if bank in others:
            raise WrongInput(f"$.banks[{index}]", "a bank, not the borrower or a protector")
        if bank in state.called:
            raise AlreadyDone(f"{bank} is invited", bank=bank)
    return (Invited(banks=move.banks),)


def _leave(state: Negotiation, bank: str) -> tuple[Fact, ...]:
    check_seat(state, bank)
    if bank == state.mandate.lead:
        raise NoSeat("the lead does not leave: it ends the mandate", bank=bank)
    left: tuple[Fact, ...] = (BankLeft(bank=bank),)
    if state.standing is None:
        return left
    version = version_of(state, state.standing)
    if version.by == bank:
        return (ProposalWithdrawn(version=version.version, by=bank), *left)
    return left + _agreed(evolve(state, left[0]))


# ---- the rounds


def _round(
    state: Negotiation,
    move: Propose | Counter | Accept | WithdrawProposal | ExtendDeadline | Lapse,
    ground: Ground,
) -> tuple[Fact, ...]:
    match move:
        case Propose():
            return _propose(state, move, ground)
        case Counter():
            return _counter(state, move, ground)
        case Accept():
            return _accept(state, move, ground)
        case WithdrawProposal(by=by, version=number):
            check_phase(state, Phase.OPEN)
            check_seat(state, by)
            if _standing(state, number, NothingToAnswer) != by:
                raise NotTheAuthor(f"version {number} is not {by}'s", bank=by)
            return (ProposalWithdrawn(version=number, by=by),)
        case ExtendDeadline():
            return _extend(state, move, ground)
        case Lapse():
            check_phase(state, Phase.OPEN)
            lapsed = _lapsed(state, ground)
            if state.standing is None:
                raise NothingToAnswer("no version stands")
            if not lapsed:
                deadline = version_of(state, state.standing).deadline
                raise DeadlineNotPassed(f"{deadline} is not over", deadline=deadline, on=ground.on)
            return lapsed


def _propose(state: Negotiation, move: Propose, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.INVITING, Phase.OPEN, Phase.UNPLACED)
    check_lead(state, move.by)
    check_may_price(state, move.by, ground)
    lapsed = _lapsed(state, ground)
    if state.standing is not None and not lapsed:
        raise AlreadyDone(
            f"version {state.standing} stands: counter or withdraw it", standing=state.standing
        )
    proposed = _proposed(state, move.by, None, move.terms, move.answer_within_workdays, ground)
    return (*lapsed, proposed)


def _counter(state: Negotiation, move: Counter, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.OPEN)
    check_seat(state, move.by)
    check_may_price(state, move.by, ground)
    _standing(state, move.answers, NothingToAnswer)
    answered = version_of(state, move.answers)
    check_in_time(answered.deadline, on=ground.on)
    if not differences(answered.terms, move.terms):
        raise SameTerms(f"version {move.answers} says the same: accept it", version=move.answers)
    proposed = _proposed(
        state, move.by, move.answers, move.terms, move.answer_within_workdays, ground
    )
    return (proposed,)


def _accept(state: Negotiation, move: Accept, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.OPEN)
    check_seat(state, move.by)
    check_may_price(state, move.by, ground)
    _standing(state, move.version, NothingToAccept)
    check_in_time(version_of(state, move.version).deadline, on=ground.on)
    if move.by in state.accepted:
        raise AlreadyDone(f"{move.by} agrees already", bank=move.by)
    accepted = Accepted(version=move.version, by=move.by)
    return (accepted, *_agreed(evolve(state, accepted)))


def _extend(state: Negotiation, move: ExtendDeadline, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.OPEN)
    check_seat(state, move.by)
    author = _standing(state, move.version, NothingToAnswer)
    if move.by not in (author, state.mandate.lead):
        raise NotTheAuthor("only the author or the lead may extend it", bank=move.by)
    before = version_of(state, move.version).deadline
    check_in_time(before, on=ground.on)
    deadline = deadline_after(before, move.workdays, place="$.workdays")
    return (DeadlineExtended(version=move.version, by=move.by, deadline=deadline),)


def _proposed(
    state: Negotiation,
    by: str,
    answers: int | None,
    terms: Terms,
    workdays: int,
    ground: Ground,
) -> Proposed:
    check_proposal(
        terms,
        borrower=state.mandate.borrower,
        lead=state.mandate.lead,
        seats=(*state.seats, *state.pending),
        on=ground.on,
        place="$.terms",
    )
    return Proposed(
        version=len(state.versions) + 1,
        by=by,
        answers=answers,
        terms=terms,
        deadline=deadline_after(ground.on, workdays, place="$.answer_within_workdays"),
    )


def _standing(state: Negotiation, number: int, nothing: type[NothingToAnswer]) -> str:
    """The author of the standing version, which must be the one named."""
    if state.standing is None:
        raise nothing("no version stands", named=number)
    if number != state.standing:
        raise StaleVersion(
            f"version {state.standing} stands, not {number}", named=number, standing=state.standing
        )
    return version_of(state, number).by


def _lapsed(state: Negotiation, ground: Ground) -> tuple[Fact, ...]:
    """The lapse of the standing version, if its last day is over and nobody has recorded it."""
    if state.standing is None or ground.on <= version_of(state, state.standing).deadline:
        return ()
    return (Lapsed(version=state.standing),)


def _agreed(state: Negotiation) -> tuple[Fact, ...]:
    """Agreement, once every bank of a table of two or more accepts the standing version."""
    if state.standing is None or len(state.seats) < 2 or set(state.seats) - set(state.accepted):
        return ()
    terms = version_of(state, state.standing).terms
    return (TermsAgreed(version=state.standing, terms_hash=digest(terms)),)
