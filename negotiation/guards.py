"""The refusals that many moves share, each one claim: phase, seat, mandate, consent, deadline."""

from datetime import date
from typing import Final

from ledger.errors import WrongInput
from negotiation.mandate import valid_on
from negotiation.moves import Ground
from negotiation.refusals import (
    DeadlinePassed,
    NoBorrowerConsent,
    NoMandate,
    NoSeat,
    NotTheLead,
    WrongPhase,
)
from negotiation.state import Negotiation, Phase
from syndicate.disclosure.consent import live
from syndicate.reference.calendar import add_workdays

MAX_WORKDAYS: Final = 60


def check_phase(state: Negotiation, *needed: Phase) -> None:
    """Nothing: the negotiation stands in one of these phases. Raises WrongPhase."""
    if state.phase not in needed:
        words = " or ".join(phase.value for phase in needed)
        raise WrongPhase(
            f"the negotiation is {state.phase.value}, not {words}",
            phase=state.phase.value,
            needed=[phase.value for phase in needed],
        )


def check_seat(state: Negotiation, bank: str) -> None:
    """Nothing: the bank sits at the table. Raises NoSeat."""
    if bank not in state.seats:
        raise NoSeat(f"{bank} has no seat at this table", bank=bank)


def check_lead(state: Negotiation, bank: str) -> None:
    """Nothing: the bank is the lead. Raises NotTheLead."""
    if bank != state.mandate.lead:
        raise NotTheLead("only the lead may do this", bank=bank)


def check_mandated(state: Negotiation, ground: Ground) -> None:
    """Nothing: the mandate is valid on the day. Raises NoMandate."""
    if not valid_on(state.mandate, ground.on):
        raise NoMandate(f"no mandate is valid on {ground.on}", on=ground.on)


def check_may_price(state: Negotiation, bank: str, ground: Ground) -> None:
    """Nothing: mandate and the borrower's own consent for this bank stand on the day.

    Before both no price may be written. Raises NoMandate, NoBorrowerConsent.
    """
    check_mandated(state, ground)
    standing = live(
        ground.consents,
        borrower=state.mandate.borrower,
        recipient=bank,
        purpose=state.mandate.purpose,
        on=ground.on,
    )
    if not any(consent.person is None for consent in standing):
        raise NoBorrowerConsent(f"the borrower has not consented to {bank}", bank=bank)


def check_in_time(deadline: date, *, on: date) -> None:
    """Nothing: the day is not after the deadline, whose own day counts. Raises DeadlinePassed."""
    if on > deadline:
        raise DeadlinePassed(f"the last day was {deadline}", deadline=deadline, on=on)


def deadline_after(day: date, workdays: int, *, place: str) -> date:
    """The workdays-th working day after `day`. WrongInput unless 1 to MAX_WORKDAYS."""
    if not 1 <= workdays <= MAX_WORKDAYS:
        raise WrongInput(place, f"1 to {MAX_WORKDAYS} working days")
    return add_workdays(day, workdays)


def check_reason(text: str, *, place: str) -> str:
    """The reason itself: 1 to 500 printable characters, not blank."""
    if not 0 < len(text) <= 500 or not text.strip() or not text.isprintable():
        raise WrongInput(place, "a reason of 1 to 500 printable characters")
    return text
