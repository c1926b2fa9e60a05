"""What stands, by loan and by party, and what may be asked for. Answers only; nothing is decided.

Every figure is one of the state's; the ledger's balances of the same accounts equal them. Amounts
are minor units of the facility's currency.
"""

from datetime import date

import msgspec

from syndicate.facility import schedule
from syndicate.facility.classes import class_of
from syndicate.facility.facts import RiskClass
from syndicate.facility.loans import Loan
from syndicate.facility.state import FacilityState


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One loan on a day.

    principal_minor   not overdue; overdue_minor is beside it
    interest_minor    accrued and unpaid, due or not
    days_overdue      of this loan's oldest unpaid instalment
    risk_class        of the bank's claims of the facility, as recorded
    """

    draw: str
    bank: str
    loan_no: str
    drawn_on: date | None
    amount_minor: int
    principal_minor: int
    overdue_minor: int
    interest_minor: int
    penalty_minor: int
    compound_minor: int
    written_down_minor: int
    days_overdue: int
    risk_class: RiskClass


class Payable(msgspec.Struct, frozen=True, kw_only=True):
    """What one repayment of one loan may meet now.

    since  the adjusted due date of the oldest unpaid instalment, None where only penalties stand
    """

    draw: str
    bank: str
    since: date | None
    principal_minor: int
    interest_minor: int
    penalty_minor: int
    compound_minor: int
    total_minor: int


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One coming instalment of a draw: principal by bank; its interest is not accrued yet."""

    draw: str
    unadjusted: date
    due_on: date
    provisional: bool
    principal: dict[str, int]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a party has borne, and what it is owed (below 0: owes) under the protection, net."""

    party: str
    borne_minor: int
    owed_minor: int


def positions(state: FacilityState, on: date) -> tuple[Position, ...]:
    """Every released loan, in the order of draws and seats, with days overdue on that day."""
    held = (state.loans.get((draw, bank)) for draw in state.draws for bank in state.terms.seats)
    return tuple(_position(state, loan, on) for loan in held if loan is not None)


def _position(state: FacilityState, loan: Loan, on: date) -> Position:
    return Position(
        draw=loan.draw,
        bank=loan.bank,
        loan_no=loan.loan_no,
        drawn_on=loan.drawn_on,
        amount_minor=loan.amount_minor,
        principal_minor=loan.principal_minor,
        overdue_minor=loan.overdue_minor,
        interest_minor=loan.interest_minor,
        penalty_minor=loan.penalty_minor,
        compound_minor=loan.compound_minor,
        written_down_minor=loan.written_down_minor,
        days_overdue=loan.days_overdue(on),
        risk_class=class_of(state, bank=loan.bank),
    )


def payable(state: FacilityState) -> tuple[Payable, ...]:
    """What may be repaid now, by loan, in the order of draws and seats; loans without it left out.

    Interest stands as accrued to the day the facility has reached.
    """
    lines = (_payable(loan) for draw in state.draws for loan in state.loans_of(draw))
    return tuple(line for line in lines if line.total_minor)


def _payable(loan: Loan) -> Payable:
    sums = {"principal": 0, "interest": 0, "penalty": 0, "compound": 0, "fee": 0}
    for debt in loan.owed():
        sums[debt.charge] += debt.amount_minor
    return Payable(
        draw=loan.draw,
        bank=loan.bank,
        since=loan.oldest_unpaid,
        principal_minor=sums["principal"],
        interest_minor=sums["interest"],
        penalty_minor=sums["penalty"],
        compound_minor=sums["compound"],
        total_minor=sum(sums.values()),
    )


def coming(state: FacilityState, draw: str) -> tuple[PlanLine, ...]:
    """The draw's instalments that have not fallen due, in date order; () for a draw not paid out.

    `provisional` where the due date lies past the working-day table.
    """
    standing = state.loans_of(draw)
    lines = []
    for unadjusted in state.draws[draw].due_dates[state.draws[draw].fallen :] if standing else ():
        moved = schedule.adjusted(unadjusted, state.terms.repayment.business_day)
        principal = {
            loan.bank: sum(
                line.principal_minor for line in loan.planned if line.unadjusted == unadjusted
            )
            for loan in standing
        }
        lines.append(
            PlanLine(
                draw=draw,
                unadjusted=unadjusted,
                due_on=moved.on,
                provisional=moved.provisional,
                principal=principal,
            )
        )
    return tuple(lines)


def standings(state: FacilityState) -> tuple[Standing, ...]:
    """Every bank and protector in order, with its loss and its net claim under the protection."""
    parties = (*state.terms.seats, *(protector.party for protector in state.terms.protectors))
    return tuple(
        Standing(
            party=party,
            borne_minor=state.borne.get(party, 0),
            owed_minor=sum(
                state.owes(debtor=other, creditor=party) for other in parties if other != party
            ),
        )
        for party in parties
    )
