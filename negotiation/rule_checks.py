"""What a bank puts on record when it judges an allocation: the deal by its rules, its own holding.

The lead judges the whole deal by the syndicate rules, and every bank, the lead too, what it holds
itself by the rules on large exposures. Of a bank's capital a record has the outcome and no figure.
It reads no capital and decides nothing; `agreement` does.
"""

from datetime import date
from fractions import Fraction
from typing import Final

from negotiation.facts import PackUsed, RuleFinding
from negotiation.state import Clearing, Negotiation
from syndicate.rules import cn_large_exposure, cn_syndicated, engine
from syndicate.rules.cn_large_exposure import ExposureFacts
from syndicate.rules.finding import Finding
from syndicate.rules.syndicate_facts import Member, SyndicateFacts

SYNDICATED: Final = "cn-syndicated"
LARGE_EXPOSURE: Final = "cn-large-exposure"


def packs_for(state: Negotiation, bank: str, *, on: date) -> tuple[PackUsed, ...]:
    """The packs by which the bank judges on the day, in the order of its findings."""
    names = (SYNDICATED,) if bank == state.mandate.lead else ()
    return tuple(PackUsed(pack=name, on=on) for name in (*names, LARGE_EXPOSURE))


def findings_for(
    state: Negotiation, bank: str, *, net_capital_minor: int, tier1_minor: int, on: date
) -> tuple[RuleFinding, ...]:
    """What the packs find: of the deal where the bank leads it, then of the bank's own holding.

    Only once the book cleared.
    """
    allocation = _cleared(state).allocation
    own = engine.findings(
        cn_large_exposure.PACK,
        on,
        ExposureFacts(
            net_capital=Fraction(net_capital_minor, 100),
            tier1=Fraction(tier1_minor, 100),
            loan_balance=Fraction(allocation.get(bank, 0), 100),
            exposure=Fraction(allocation.get(bank, 0), 100),
            counterparty="corporate",
        ),
    )
    deal = _of_the_deal(state, on=on) if bank == state.mandate.lead else []
    return (
        *(_told(SYNDICATED, finding, private=False) for finding in deal),
        *(_told(LARGE_EXPOSURE, finding, private=True) for finding in own),
    )


def _of_the_deal(state: Negotiation, *, on: date) -> list[Finding]:
    allocation = _cleared(state).allocation
    facts = SyndicateFacts(
        total=Fraction(sum(allocation.values()), 100),
        members=tuple(
            Member(
                id=bank,
                role="lead" if bank == state.mandate.lead else "participant",
                commitment=Fraction(held, 100),
            )
            for bank, held in allocation.items()
        ),
    )
    return engine.findings(cn_syndicated.PACK, on, facts)


def _told(pack: str, finding: Finding, *, private: bool) -> RuleFinding:
    return RuleFinding(
        pack=pack,
        rule=finding.rule,
        outcome=finding.outcome,
        severity=finding.severity,
        value=None if private else finding.value,
        limit=finding.limit,
        source=finding.source,
        effective_from=finding.effective_from,
    )


def _cleared(state: Negotiation) -> Clearing:
    if state.clearing is None:
        raise AssertionError("the book has not cleared yet")
    return state.clearing
