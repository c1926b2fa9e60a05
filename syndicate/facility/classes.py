"""Which of the five classes (五级分类) a bank's claims of the facility reach at least, on a day.

The thresholds are the rule pack's (`syndicate.rules`, cn-risk-class: 90 days and less special
mention, then substandard, past 270 doubtful, past 360 loss; more than 20 % of the debtor's debt in
all banks over 90 days makes every bank's at least substandard). Only outcomes leave this module,
never another bank's figures. A bank may class lower by its own judgement; that is not asked here.
"""

from datetime import date
from fractions import Fraction

from syndicate.facility.facts import Classified, Finding, RiskClass
from syndicate.facility.state import FacilityState
from syndicate.rules.cn_risk_class import PACK, Debt, RiskFacts
from syndicate.rules.engine import findings

NORMAL: RiskClass = "normal"
BAD: tuple[RiskClass, ...] = ("substandard", "doubtful", "loss")


def class_of(state: FacilityState, *, bank: str) -> RiskClass:
    """The class last recorded for the bank; normal before the first record."""
    recorded = state.classes.get(bank)
    return NORMAL if recorded is None else recorded.risk_class


def judged(state: FacilityState, *, bank: str, on: date) -> Classified:
    """The class on that day by the pack in force, with what each rule found.

    A delay of at most seven days counts as technical (技术性逾期) while no alert is recorded for
    the facility: nothing else is known to be wrong.
    """
    debts = tuple(
        Debt(
            bank=loan.bank,
            balance=Fraction(loan.outstanding_minor),
            days_overdue=loan.days_overdue(on),
        )
        for loan in state.loans.values()
        if loan.stands
    )
    days_overdue = state.days_overdue(on, bank=bank)
    found = findings(
        PACK,
        on,
        RiskFacts(
            days_overdue=days_overdue,
            technical=not state.alerts,
            bad_elsewhere=any(
                class_of(state, bank=other) in BAD for other in state.terms.seats if other != bank
            ),
            debts=debts,
            bank=bank,
        ),
    )
    by_rule = {finding.rule: finding for finding in found}
    risk_class: RiskClass = by_rule["RC-CLASS"].value  # type: ignore[assignment]
    return Classified(
        bank=bank,
        on=on,
        risk_class=risk_class,
        days_overdue=days_overdue,
        findings=tuple(
            Finding(rule=finding.rule, outcome=finding.outcome)
            for finding in found
            if finding.rule != "RC-CLASS"
        ),
    )
