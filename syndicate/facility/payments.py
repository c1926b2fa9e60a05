"""How money between the parties is instructed, returned and confirmed. It splits no loss.

    instructed -> confirmed   signed by the receiving bank: only then is anything posted
               -> returned    the money came back; sending it again is a new payment

    purpose        payer      payee          about   amount confirmed
    drawdown       bank       borrower       draw    the bank's part, exactly
    repayment      borrower   bank           draw    what was instructed or less, within what is due
    advance        protector  bank           claim   what was instructed, within the claim granted
    recovery       borrower   bank           ""      what was instructed or less, net of costs
    distribution   any of the lenders and protectors, to another    ""    what was instructed,
                   within what the payer owes the payee

Cash may become known after its value date (倒起息): it is booked on the open day, and what a
repayment or a draw's cash changes of the days between is put right with it (`known_late`).

In an entrusted payment (受托支付) the borrower's counterparty is paid on from the borrower's
account; that leg is not in the joint book. Cash is taken once: a payment, and a receiving bank's
external reference, are each confirmed at most once.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from syndicate.facility import claims, known_late
from syndicate.facility.checks import check_amount, check_name, check_text
from syndicate.facility.day import check_opened
from syndicate.facility.errors import (
    AboveShare,
    AlreadyRecorded,
    AmountDiffers,
    BackValued,
    FutureValued,
    NoSuch,
    NotAParty,
    NotNow,
    NotReady,
)
from syndicate.facility.facts import (
    Fact,
    PaymentConfirmed,
    PaymentInstructed,
    PaymentReturned,
    Purpose,
)
from syndicate.facility.loans import Loan
from syndicate.facility.state import FacilityState, Payment
from syndicate.facility.waterfall import Met, meet
from syndicate.parties.statements import Statement, check_statement

SHORT_ALLOWED: tuple[Purpose, ...] = ("repayment", "recovery")
"""Purposes in which less than was instructed may arrive."""


class InstructPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody is to pay somebody; see the table of purposes above."""

    payment: str
    purpose: Purpose
    payer: str
    payee: str
    receiving_bank: str
    amount_minor: int
    about: str


class ReturnPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The money came back (a wrong account, a closed account)."""

    payment: str
    reason: str


class ConfirmPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The receiving bank's word that the money arrived; `signed` says exactly the other fields."""

    payment: str
    amount_minor: int
    external_reference: str
    value_date: date
    signed: Statement


def confirmation_body(state: FacilityState, command: ConfirmPayment) -> dict[str, Any]:
    """What the receiving bank signs, as a statement of kind `cash-confirmation`."""
    return {
        "facility": state.terms.facility,
        "payment": command.payment,
        "amount_minor": command.amount_minor,
        "external_reference": command.external_reference,
        "value_date": command.value_date.isoformat(),
    }


def decide_instruct(state: FacilityState, command: InstructPayment) -> tuple[PaymentInstructed]:
    """The payment may go out. Raises NotAParty, NotReady, NotNow, AboveShare by its purpose."""
    check_name(command.payment, place="$.payment")
    check_name(command.receiving_bank, place="$.receiving_bank")
    check_amount(command.amount_minor, place="$.amount_minor")
    if command.payment in state.payments:
        raise AlreadyRecorded("payment", command.payment)
    match command.purpose:
        case "drawdown":
            _may_pay_out(state, command)
        case "repayment":
            _only(command.payer, state.terms.borrower, needed="the borrower")
            _loan_paid_out(state, command)
        case "advance":
            _may_advance(state, command)
        case "recovery":
            _only(command.payer, state.terms.borrower, needed="the borrower")
            if command.payee not in state.terms.seats:
                raise NotAParty(command.payee, needed="a bank of this facility")
            claims.check_recovery(state, command.amount_minor)
            _about_nothing(command)
        case "distribution":
            _may_distribute(state, command)
    return (
        PaymentInstructed(
            payment=command.payment,
            purpose=command.purpose,
            payer=command.payer,
            payee=command.payee,
            receiving_bank=command.receiving_bank,
            amount_minor=command.amount_minor,
            about=command.about,
        ),
    )


def decide_return(state: FacilityState, command: ReturnPayment) -> tuple[PaymentReturned]:
    """The payment is over and nothing was posted. NotNow once it is confirmed or returned."""
    check_text(command.reason, place="$.reason")
    _instructed(state, command.payment)
    return (PaymentReturned(payment=command.payment, reason=command.reason),)


def decide_confirm(
    state: FacilityState, command: ConfirmPayment, *, today: date
) -> tuple[Fact, ...]:
    """The cash is posted: with what a repayment met, or whom a recovery goes back to.

    After it stands what it puts right, where a loan's cash is valued before `today`. Raises
    AlreadyRecorded for a reference used before, AmountDiffers, OverPayment, FutureValued,
    BackValued, KnownSince, NotRetraced, DayNotOpened, and the refusals of `check_statement` where
    the receiving bank said something else.
    """
    check_amount(command.amount_minor, place="$.amount_minor")
    check_text(command.external_reference, place="$.external_reference")
    payment = _instructed(state, command.payment)
    instructed = payment.instructed
    check_statement(
        command.signed,
        kind="cash-confirmation",
        by=instructed.receiving_bank,
        body=confirmation_body(state, command),
    )
    if (instructed.receiving_bank, command.external_reference) in state.references:
        raise AlreadyRecorded("reference", command.external_reference)
    _check_confirmed_amount(instructed, command.amount_minor)
    check_opened(state, today=today)
    if command.value_date > today:
        raise FutureValued(value_date=command.value_date, open_day=today)
    if command.value_date < state.terms.signed_on:
        raise BackValued(value_date=command.value_date, earliest=state.terms.signed_on)
    met: tuple[Met, ...] = ()
    shares: Mapping[str, int] = {}
    match instructed.purpose:
        case "drawdown":
            _check_pay_out(state, instructed, value_date=command.value_date)
        case "repayment":
            if command.value_date == today:
                loan = state.loans[instructed.about, instructed.payee]
                met = meet(command.amount_minor, loan.owed(), state.terms.default.waterfall)
        case "recovery":
            shares = claims.recovery_shares(state, command.amount_minor)
        case "distribution":
            _check_owed(state, instructed, amount_minor=command.amount_minor, pending_minor=0)
        case "advance":
            pass
    confirmed = PaymentConfirmed(
        payment=command.payment,
        amount_minor=command.amount_minor,
        external_reference=command.external_reference,
        value_date=command.value_date,
        signed=command.signed,
        met=met,
        shares=dict(shares),
    )
    late = command.value_date < today
    if late and instructed.purpose == "repayment":
        return known_late.repayment(state, confirmed, today=today)
    if late and instructed.purpose == "drawdown":
        return known_late.pay_out(state, confirmed, today=today)
    return (confirmed,)


def _instructed(state: FacilityState, name: str) -> Payment:
    payment = state.payments.get(name)
    if payment is None:
        raise NoSuch("payment", name)
    if payment.status != "instructed":
        raise NotNow(f"payment {name}", stands=payment.status)
    return payment


def _only(party: str, wanted: str, *, needed: str) -> None:
    if party != wanted:
        raise NotAParty(party, needed=needed)


def _about_nothing(command: InstructPayment) -> None:
    if command.about:
        raise NotNow(f"a {command.purpose}", stands="about nothing in particular")


def _may_pay_out(state: FacilityState, command: InstructPayment) -> None:
    _only(command.payee, state.terms.borrower, needed="the borrower")
    if command.about not in state.draws:
        raise NoSuch("draw", command.about)
    loan = state.loans.get((command.about, command.payer))
    if loan is None:
        raise NotReady(f"the release of {command.about} by {command.payer}")
    if loan.drawn_on is not None or _live(state, command):
        raise NotNow(f"{command.payer}'s part of {command.about}", stands="paid or on its way")
    if command.amount_minor != loan.amount_minor:
        raise AmountDiffers(
            instructed_minor=loan.amount_minor, confirmed_minor=command.amount_minor
        )


def _live(state: FacilityState, command: InstructPayment) -> list[PaymentInstructed]:
    """The payments of the same purpose, subject, payer and payee still on their way."""
    wanted = (command.purpose, command.about, command.payer, command.payee)
    return [
        payment.instructed
        for payment in state.payments.values()
        if payment.status == "instructed"
        and wanted
        == (
            payment.instructed.purpose,
            payment.instructed.about,
            payment.instructed.payer,
            payment.instructed.payee,
        )
    ]


def _loan_paid_out(state: FacilityState, command: InstructPayment) -> Loan:
    loan = state.loans.get((command.about, command.payee))
    if loan is None or loan.drawn_on is None:
        raise NoSuch("loan", f"{command.about} of {command.payee}")
    return loan


def _may_advance(state: FacilityState, command: InstructPayment) -> None:
    claim = state.claims.get(command.about)
    if claim is None:
        raise NoSuch("claim", command.about)
    _only(command.payer, claim.filed.protector, needed="the protector the claim is on")
    if claim.status != "accepted":
        raise NotReady(f"claim {command.about} accepted")
    sent_minor = sum(
        payment.instructed.amount_minor
        for payment in state.payments.values()
        if payment.status != "returned"
        and payment.instructed.purpose == "advance"
        and (payment.instructed.about, payment.instructed.payee) == (command.about, command.payee)
    )
    left_minor = claim.granted.get(command.payee, 0) - sent_minor
    if command.amount_minor > left_minor:
        raise AboveShare(
            f"the advance to {command.payee} under claim {command.about}",
            asked_minor=command.amount_minor,
            left_minor=left_minor,
        )


def _may_distribute(state: FacilityState, command: InstructPayment) -> None:
    lenders = (*state.terms.seats, *(protector.party for protector in state.terms.protectors))
    for party in (command.payer, command.payee):
        if party not in lenders:
            raise NotAParty(party, needed="a bank or a protector of this facility")
    _about_nothing(command)
    pending_minor = sum(payment.amount_minor for payment in _live(state, command))
    _check_owed(state, command, amount_minor=command.amount_minor, pending_minor=pending_minor)


def _check_owed(
    state: FacilityState,
    payment: InstructPayment | PaymentInstructed,
    *,
    amount_minor: int,
    pending_minor: int,
) -> None:
    """The payer owes the payee that much under the protection."""
    owed_minor = state.owes(debtor=payment.payer, creditor=payment.payee)
    left_minor = max(0, owed_minor - pending_minor)
    if payment.payer == payment.payee or amount_minor > left_minor:
        raise AboveShare(
            f"what {payment.payer} owes {payment.payee}",
            asked_minor=amount_minor,
            left_minor=left_minor,
        )


def _check_confirmed_amount(instructed: PaymentInstructed, confirmed_minor: int) -> None:
    short = instructed.purpose in SHORT_ALLOWED and confirmed_minor < instructed.amount_minor
    if confirmed_minor != instructed.amount_minor and not short:
        raise AmountDiffers(
            instructed_minor=instructed.amount_minor, confirmed_minor=confirmed_minor
        )


def _check_pay_out(
    state: FacilityState, instructed: PaymentInstructed, *, value_date: date
) -> None:
    """The loan may begin on that day: a rate stands, the draw is for then, no due date passed."""
    draw = state.draws[instructed.about]
    if not draw.rates:
        raise NotReady(f"the rate of {instructed.about}, fixed on {draw.requested.value_date}")
    if value_date < draw.requested.value_date:
        raise BackValued(value_date=value_date, earliest=draw.requested.value_date)
    if value_date >= draw.due_dates[0]:
        raise NotNow(f"draw {instructed.about}", stands=f"past its first due date {value_date}")
