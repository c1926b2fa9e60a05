"""The rules of jointly funded internet loans (互联网联合贷款): parts of each loan and of the book.

The region rule and the ban on outsourcing core risk steps need records, not ratios; they are not
judged here.
"""

from datetime import date
from fractions import Fraction
from typing import Final

from msgspec import UNSET, Struct

from syndicate.rules.facts import Known, refuse_zero, share
from syndicate.rules.pack import Example, Pack, Rule, at_least, at_most


class OnlineJointFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One joint loan, and the bank's book of them."""

    loan: Known = UNSET
    partner_share: Known = UNSET
    partner_balance: Known = UNSET
    tier1: Known = UNSET
    joint_total: Known = UNSET
    loans_total: Known = UNSET


_MEANINGS: Final = {
    "loan": "amount of the one loan funded jointly",
    "partner_share": "amount of it the partner funds",
    "partner_balance": "the bank's own balance of loans with one partner, affiliates included",
    "tier1": "the bank's net tier-1 capital (一级资本净额)",
    "joint_total": "balance of all the bank's jointly funded internet loans",
    "loans_total": "balance of all the bank's loans",
}


def _refuse(facts: OnlineJointFacts, place: str) -> None:
    refuse_zero(place, loan=facts.loan, tier1=facts.tier1, loans_total=facts.loans_total)


def partner_part(facts: OnlineJointFacts) -> Fraction | None:
    """The partner's part of the loan."""
    return share(facts.partner_share, facts.loan)


def partner_concentration(facts: OnlineJointFacts) -> Fraction | None:
    """Own balance with one partner in net tier 1."""
    return share(facts.partner_balance, facts.tier1)


def joint_part(facts: OnlineJointFacts) -> Fraction | None:
    """Joint internet loans in all loans."""
    return share(facts.joint_total, facts.loans_total)


_NOTICE: Final = "关于进一步规范商业银行互联网贷款业务的通知 (2021-02)"
_NOTICE_DAY: Final = date(2021, 2, 19)
_FUNDING_DAY: Final = date(2022, 1, 1)

_RULES: Final[tuple[Rule[OnlineJointFacts], ...]] = (
    Rule(
        id="IL-01",
        text="The partner funds at least 30 % of each jointly funded loan",
        source=f"{_NOTICE}, from 2022-01-01 [C]",
        sure="C",
        severity="block",
        effective_from=_FUNDING_DAY,
        inputs=("partner_share", "loan"),
        limit="0.3",
        judge=at_least(partner_part, Fraction(30, 100)),
    ),
    Rule(
        id="IL-02",
        text="Own balance with one partner is at most 25 % of net tier 1",
        source=f"{_NOTICE} [C; its day K]",
        sure="C",
        severity="block",
        effective_from=_NOTICE_DAY,
        inputs=("partner_balance", "tier1"),
        limit="0.25",
        judge=at_most(partner_concentration, Fraction(25, 100)),
    ),
    Rule(
        id="IL-03",
        text="Jointly funded internet loans are at most 50 % of all loans",
        source=f"{_NOTICE} [C; its day K]",
        sure="C",
        severity="block",
        effective_from=_NOTICE_DAY,
        inputs=("joint_total", "loans_total"),
        limit="0.5",
        judge=at_most(joint_part, Fraction(50, 100)),
    ),
)

_EXAMPLES: Final = (
    Example(
        about="the partner funds 300 of 1 000",
        on=_FUNDING_DAY,
        facts={"loan": "1000", "partner_share": "300"},
        outcomes={"IL-01": "pass", "IL-02": "not_applicable", "IL-03": "not_applicable"},
    ),
    Example(
        about="the partner funds 299 of 1 000: 29.9 %",
        on=_FUNDING_DAY,
        facts={"loan": "1000", "partner_share": "299"},
        outcomes={"IL-01": "fail"},
    ),
    Example(
        about="own balance 113 with one partner, tier 1 450: 25.1 %",
        on=_FUNDING_DAY,
        facts={"partner_balance": "113", "tier1": "450"},
        outcomes={"IL-02": "fail"},
    ),
    Example(
        about="1 001 joint of 2 000 loans: 50.05 %",
        on=_FUNDING_DAY,
        facts={"joint_total": "1001", "loans_total": "2000"},
        outcomes={"IL-03": "fail"},
    ),
)

PACK: Final = Pack(
    id="cn-online-joint",
    title="互联网联合贷款: jointly funded internet loans",
    facts=OnlineJointFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
)
