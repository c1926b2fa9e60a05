"""Which debts a sum of money meets, and in what order. It knows no loan, no date of payment.

Kind before age: the charges are met in the agreed order (default fee, compound interest, penalty
interest, interest, principal: 费用, 复利, 罚息, 利息, 本金; Civil Code art. 561), and within one
kind the oldest due date first. What would be left over is refused: prepayment is not agreed here.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from syndicate.facility.errors import OverPayment
from syndicate.facility.terms import Charge


class Owed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One debt that may be met now.

    due      the unadjusted due date of its instalment; None for charges that are due as they accrue
    overdue  the principal stands among the overdue (逾期本金)
    """

    charge: Charge
    due: date | None
    overdue: bool
    amount_minor: int


Met = Owed
"""A debt, or the part of one, that a payment met: the same words with the amount paid."""


def meet(paid_minor: int, owed: Sequence[Owed], order: Sequence[Charge]) -> tuple[Met, ...]:
    """What `paid_minor` meets, in the order it is met; the parts sum to it, each above 0.

    Raises OverPayment where more was paid than is owed.
    """
    due_minor = sum(debt.amount_minor for debt in owed)
    if paid_minor > due_minor:
        raise OverPayment(paid_minor=paid_minor, due_minor=due_minor)
    met = []
    left_minor = paid_minor
    for debt in sorted(owed, key=lambda debt: (order.index(debt.charge), debt.due or date.min)):
        part_minor = min(left_minor, debt.amount_minor)
        if part_minor:
            met.append(msgspec.structs.replace(debt, amount_minor=part_minor))
            left_minor -= part_minor
    return tuple(met)
