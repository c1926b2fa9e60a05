"""What a party may do in a facility, and what follows: forming, drawing, releasing, noting.

`decide(state, command, today=...)` is the one door for every command; cash is decided in
`payments`, protection in `claims`, what the days bring in `day`. Nothing here reads a clock:
`today` is the book's open business day. Whether the asker may give the command is the caller's
question.
"""

from datetime import date

import msgspec

from ledger.errors import WrongInput
from syndicate.facility import claims, payments, schedule
from syndicate.facility.checks import check_amount, check_name, check_sha256, check_text
from syndicate.facility.errors import (
    AboveUndrawn,
    AlreadyRecorded,
    BackValued,
    FutureValued,
    NoSuch,
    NoSuchClause,
    NotABusinessDay,
    NotAParty,
    NotNow,
    NotReady,
    SameHands,
)
from syndicate.facility.facts import (
    AlertRecorded,
    ContractRecorded,
    DrawRequested,
    EventRecorded,
    FacilityFormed,
    Fact,
    PaymentMode,
    RateFixed,
    ReleaseApproved,
)
from syndicate.facility.interest import fixed_rate
from syndicate.facility.sharing import check_risk_share, split_running
from syndicate.facility.state import FacilityState
from syndicate.facility.terms import FacilityTerms, check_terms, terms_hash
from syndicate.parties.statements import Statement, check_statement
from syndicate.reference.calendar import is_workday


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RecordContract(_Command, frozen=True, kw_only=True):
    """The bank's contract with the borrower is signed; its text stays with the bank."""

    bank: str
    contract_no: str
    document_sha256: str


class RequestDraw(_Command, frozen=True, kw_only=True):
    """The borrower asks for money on a value date, today or later.

    use_of_funds  a code, as `working-capital`: no text about the borrower enters the log
    """

    draw: str
    amount_minor: int
    value_date: date
    use_of_funds: str
    payment_mode: PaymentMode


class ApproveRelease(_Command, frozen=True, kw_only=True):
    """A bank's maker and checker, by opaque ids, let its part of a draw go.

    signed  the bank's statement of `release_body`, where it gives one
    """

    draw: str
    bank: str
    loan_no: str
    maker: str
    checker: str
    signed: Statement | msgspec.UnsetType = msgspec.UNSET


class RecordAlert(_Command, frozen=True, kw_only=True):
    """A warning sign was seen (a lawsuit, a lapsed licence)."""

    alert: str
    kind: str
    noted_on: date
    source: str


class RecordEvent(_Command, frozen=True, kw_only=True):
    """Something happened; `clause` is the upside clause that names it, "" where none does."""

    event: str
    kind: str
    happened_on: date
    source: str
    clause: str


Command = (
    RecordContract
    | RequestDraw
    | ApproveRelease
    | RecordAlert
    | RecordEvent
    | payments.InstructPayment
    | payments.ReturnPayment
    | payments.ConfirmPayment
    | claims.FileClaim
    | claims.AcceptClaim
    | claims.RejectClaim
    | claims.FixLoss
)


def decide(state: FacilityState, command: Command, *, today: date) -> tuple[Fact, ...]:
    """The facts that follow from a command on the open business day, or a refusal.

    Raises the refusals of `errors` and WrongInput for a value out of its range; the facility is
    then as before.
    """
    match command:
        case RecordContract():
            return decide_contract(state, command)
        case RequestDraw():
            return decide_draw(state, command, today=today)
        case ApproveRelease():
            return decide_release(state, command)
        case RecordAlert():
            return decide_alert(state, command, today=today)
        case RecordEvent():
            return decide_event(state, command, today=today)
        case payments.InstructPayment():
            return payments.decide_instruct(state, command)
        case payments.ReturnPayment():
            return payments.decide_return(state, command)
        case payments.ConfirmPayment():
            return payments.decide_confirm(state, command, today=today)
        case claims.FileClaim():
            return claims.decide_claim(state, command, today=today)
        case claims.AcceptClaim():
            return claims.decide_accept(state, command, today=today)
        case claims.RejectClaim():
            return claims.decide_reject(state, command, today=today)
        case claims.FixLoss():
            return claims.decide_loss(state, command, today=today)


def decide_form(terms: FacilityTerms, *, signatures: tuple[Statement, ...]) -> FacilityFormed:
    """The facility is formed on exactly these terms.

    signatures  the term sheet's, verbatim; that every party signed is the negotiation's check
    Raises WrongInput for terms that do not hang together, the risk-share rule included.
    """
    check_terms(terms, place="$.terms")
    for index, party in enumerate(terms.parties):
        check_name(party, place=f"$.terms.parties[{index}]")
    check_risk_share(terms, place="$.terms.risk_share")
    return FacilityFormed(terms=terms, terms_hash=terms_hash(terms), signatures=signatures)


def check_signed_by_all(formed: FacilityFormed) -> None:
    """Nothing: every party signed a term sheet that names exactly these terms, once (I17)."""
    wanted = {"facility": formed.terms.facility, "terms_hash": formed.terms_hash}
    for index, statement in enumerate(formed.signatures):
        place = f"$.signatures[{index}]"
        if statement.kind != "term-sheet":
            raise WrongInput(f"{place}.kind", '"term-sheet"')
        for name, value in wanted.items():
            if statement.body.get(name) != value:
                raise WrongInput(f"{place}.body.{name}", f'"{value}"')
    signed = sorted(statement.by for statement in formed.signatures)
    if signed != sorted(formed.terms.parties):
        raise WrongInput("$.signatures", f"one of each of {', '.join(formed.terms.parties)}")


def decide_contract(state: FacilityState, command: RecordContract) -> tuple[ContractRecorded]:
    """The bank's contract is on record: once a bank, and a number once in the facility."""
    check_text(command.contract_no, place="$.contract_no")
    check_sha256(command.document_sha256, place="$.document_sha256")
    if command.bank not in state.terms.seats:
        raise NotAParty(command.bank, needed="a bank of this facility")
    if command.bank in state.contracts:
        raise AlreadyRecorded("the contract of", command.bank)
    if any(known.contract_no == command.contract_no for known in state.contracts.values()):
        raise AlreadyRecorded("contract", command.contract_no)
    return (
        ContractRecorded(
            bank=command.bank,
            contract_no=command.contract_no,
            document_sha256=command.document_sha256,
        ),
    )


def decide_draw(
    state: FacilityState, command: RequestDraw, *, today: date
) -> tuple[DrawRequested | RateFixed, ...]:
    """The draw stands with each bank's part; its rate is fixed with it if its value date is today.

    Otherwise the opening of the value date fixes the rate. No draw while anything is overdue or a
    loss is fixed.
    """
    check_name(command.draw, place="$.draw")
    check_amount(command.amount_minor, place="$.amount_minor")
    check_name(command.use_of_funds, place="$.use_of_funds")
    terms, start = state.terms, command.value_date
    if command.draw in state.draws:
        raise AlreadyRecorded("draw", command.draw)
    if state.phase in ("overdue", "impaired"):
        raise NotNow("drawing", stands=f"stopped: the facility is {state.phase}")
    if start < today:
        raise BackValued(value_date=start, earliest=today)
    if start > terms.available_until:
        raise NotNow(
            f"a draw of {start}", stands=f"after availability ends, {terms.available_until}"
        )
    if not is_workday(start):
        raise NotABusinessDay(start)
    if command.amount_minor > state.undrawn_minor:
        raise AboveUndrawn(asked_minor=command.amount_minor, undrawn_minor=state.undrawn_minor)
    requested = DrawRequested(
        draw=command.draw,
        amount_minor=command.amount_minor,
        value_date=start,
        maturity=schedule.maturity(start, tenor_months=terms.repayment.tenor_months),
        use_of_funds=command.use_of_funds,
        payment_mode=command.payment_mode,
        parts=_parts(state, command.amount_minor),
    )
    if start > today:
        return (requested,)
    return (requested, fixed_rate(terms, draw=command.draw, from_date=start))


def _parts(state: FacilityState, amount_minor: int) -> dict[str, int]:
    """Each bank's part of one more draw, by commitments, along the running total of all draws."""
    weights = {bank: state.terms.commitments[bank] for bank in state.terms.seats}
    return split_running(amount_minor, weights, held=state.drawn_parts)


def release_body(state: FacilityState, command: ApproveRelease) -> dict[str, str | int]:
    """What a bank signs (kind `release`) when it lets its part of a draw go."""
    return {
        "facility": state.terms.facility,
        "draw": command.draw,
        "bank": command.bank,
        "amount_minor": state.draws[command.draw].requested.parts[command.bank],
        "loan_no": command.loan_no,
        "maker": command.maker,
        "checker": command.checker,
    }


def decide_release(state: FacilityState, command: ApproveRelease) -> tuple[ReleaseApproved]:
    """The bank's part may be paid out, under a 借据 number used once in the facility.

    Raises NotReady without the bank's contract, SameHands where maker and checker are one (I16).
    """
    check_text(command.loan_no, place="$.loan_no")
    check_text(command.maker, place="$.maker")
    check_text(command.checker, place="$.checker")
    draw = state.draws.get(command.draw)
    if draw is None:
        raise NoSuch("draw", command.draw)
    if not draw.requested.parts.get(command.bank):
        raise NotAParty(command.bank, needed=f"a bank with a part of draw {command.draw}")
    if command.maker == command.checker:
        raise SameHands(command.maker)
    if command.bank not in state.contracts:
        raise NotReady(f"the contract of {command.bank}")
    if (command.draw, command.bank) in state.loans:
        raise AlreadyRecorded("the release of", f"{command.draw} by {command.bank}")
    if any(loan.loan_no == command.loan_no for loan in state.loans.values()):
        raise AlreadyRecorded("loan", command.loan_no)
    if isinstance(command.signed, Statement):
        check_statement(
            command.signed, kind="release", by=command.bank, body=release_body(state, command)
        )
    return (
        ReleaseApproved(
            draw=command.draw,
            bank=command.bank,
            loan_no=command.loan_no,
            maker=command.maker,
            checker=command.checker,
            signed=command.signed,
        ),
    )


def decide_alert(
    state: FacilityState, command: RecordAlert, *, today: date
) -> tuple[AlertRecorded]:
    """The alert is on record; it changes no amount."""
    check_name(command.alert, place="$.alert")
    check_name(command.kind, place="$.kind")
    check_text(command.source, place="$.source")
    if command.alert in state.alerts:
        raise AlreadyRecorded("alert", command.alert)
    if command.noted_on > today:
        raise FutureValued(value_date=command.noted_on, open_day=today)
    return (
        AlertRecorded(
            alert=command.alert,
            kind=command.kind,
            noted_on=command.noted_on,
            source=command.source,
        ),
    )


def decide_event(
    state: FacilityState, command: RecordEvent, *, today: date
) -> tuple[EventRecorded]:
    """The event is on record, under the clause that names it; what follows is agreed elsewhere."""
    check_name(command.event, place="$.event")
    check_name(command.kind, place="$.kind")
    check_text(command.source, place="$.source")
    if command.event in state.events:
        raise AlreadyRecorded("event", command.event)
    if command.happened_on > today:
        raise FutureValued(value_date=command.happened_on, open_day=today)
    if command.clause and command.clause not in state.terms.upside:
        raise NoSuchClause(command.clause)
    return (
        EventRecorded(
            event=command.event,
            kind=command.kind,
            happened_on=command.happened_on,
            source=command.source,
            clause=command.clause,
        ),
    )
