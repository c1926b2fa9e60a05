"""Whose word a command needs: the other half of what `life.decide` leaves to its caller.

    command                          must come from
    RecordContract, ApproveRelease   the bank it names
    RequestDraw                      the borrower
    InstructPayment                  the payer; of a recovery, the bank that collects it
    ReturnPayment                    the payer, or the bank where the payee's account is
    ConfirmPayment                   the bank where the payee's account is
    FileClaim                        a bank of the facility
    AcceptClaim, RejectClaim         the protector claimed on
    FixLoss                          the lead
    RecordAlert, RecordEvent         a bank or a protector

Which person of the institution may give it is the table of roles (`syndicate.parties`). Nothing is
decided here.
"""

from ledger.errors import WrongInput
from syndicate.facility.claims import AcceptClaim, FileClaim, FixLoss, RejectClaim
from syndicate.facility.errors import NoSuch, NotAParty
from syndicate.facility.life import (
    ApproveRelease,
    Command,
    RecordAlert,
    RecordContract,
    RecordEvent,
    RequestDraw,
)
from syndicate.facility.payments import ConfirmPayment, InstructPayment, ReturnPayment
from syndicate.facility.state import FacilityState, Payment


def check_may_give(state: FacilityState, command: Command, *, institution: str) -> None:
    """Nothing: the command is the institution's to give. Raises NotAParty, NoSuch."""
    terms = state.terms
    match command:
        case RecordContract(bank=bank) | ApproveRelease(bank=bank):
            _need(institution, (bank,), f"{bank}, whose step this is")
        case RequestDraw():
            _need(institution, (terms.borrower,), "the borrower")
        case InstructPayment():
            _check_account_bank(state, command)
            giver = command.payee if command.purpose == "recovery" else command.payer
            _need(institution, (giver,), f"{giver}, who instructs this {command.purpose}")
        case ReturnPayment(payment=name):
            sent = _payment(state, name).instructed
            _need(institution, (sent.receiving_bank, sent.payer), "at either end of the payment")
        case ConfirmPayment(payment=name):
            bank = _payment(state, name).instructed.receiving_bank
            _need(institution, (bank,), f"{bank}, where the payee's account is")
        case FileClaim():
            _need(institution, terms.seats, "a bank of this facility")
        case AcceptClaim(claim=name) | RejectClaim(claim=name):
            claim = state.claims.get(name)
            if claim is None:
                raise NoSuch("claim", name)
            _need(institution, (claim.filed.protector,), "the protector claimed on")
        case FixLoss():
            _need(institution, (terms.lead,), "the lead")
        case RecordAlert() | RecordEvent():
            _need(institution, lenders(state), "a bank or a protector of this facility")


def lenders(state: FacilityState) -> tuple[str, ...]:
    """The banks and the protectors: everyone but the borrower."""
    return (*state.terms.seats, *(protector.party for protector in state.terms.protectors))


def _check_account_bank(state: FacilityState, command: InstructPayment) -> None:
    """Nothing: who will confirm can. A bank that is paid keeps its own account and nobody's word
    but its own reduces what it is owed.
    """
    if command.payee in state.terms.seats and command.receiving_bank != command.payee:
        raise WrongInput("$.receiving_bank", f"{command.payee}, the bank that is paid")
    if command.receiving_bank not in state.terms.seats:
        raise WrongInput("$.receiving_bank", "a bank of this facility, which can confirm")


def _payment(state: FacilityState, name: str) -> Payment:
    payment = state.payments.get(name)
    if payment is None:
        raise NoSuch("payment", name)
    return payment


def _need(institution: str, wanted: tuple[str, ...], needed: str) -> None:
    if institution not in wanted:
        raise NotAParty(institution, needed=needed)
