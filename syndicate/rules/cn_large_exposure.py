"""The limits of one bank's exposure to one customer or group, from 2018-07-01 (大额风险暴露).

Non-bank customers and banks have different limits, so without `counterparty` only the question
whether the exposure is large can be answered.
"""

from datetime import date
from fractions import Fraction
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from syndicate.rules.facts import Known, refuse_zero, share
from syndicate.rules.pack import Example, Pack, Rule, at_most, reaching


class ExposureFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bank's capital and what it has out to one counterparty."""

    net_capital: Known = UNSET
    tier1: Known = UNSET
    loan_balance: Known = UNSET
    exposure: Known = UNSET
    group_exposure: Known = UNSET
    counterparty: Literal["corporate", "interbank"] | UnsetType = UNSET


_MEANINGS: Final = {
    "net_capital": "the bank's net capital (资本净额)",
    "tier1": "the bank's net tier-1 capital (一级资本净额)",
    "loan_balance": "loans to the customer",
    "exposure": "exposure to the single customer, off-balance and guarantees included",
    "group_exposure": "exposure to the group of connected customers it belongs to",
    "counterparty": "corporate (non-bank) or interbank",
}


def _refuse(facts: ExposureFacts, place: str) -> None:
    refuse_zero(place, net_capital=facts.net_capital, tier1=facts.tier1)


def loan_share(facts: ExposureFacts) -> Fraction | None:
    """Loans to a non-bank customer in net capital."""
    if facts.counterparty != "corporate":
        return None
    return share(facts.loan_balance, facts.net_capital)


def single_share(facts: ExposureFacts) -> Fraction | None:
    """Exposure to a non-bank customer in net tier 1."""
    return share(facts.exposure, facts.tier1) if facts.counterparty == "corporate" else None


def group_share(facts: ExposureFacts) -> Fraction | None:
    """Exposure to a non-bank group in net tier 1."""
    return share(facts.group_exposure, facts.tier1) if facts.counterparty == "corporate" else None


def interbank_share(facts: ExposureFacts) -> Fraction | None:
    """The larger of the exposures to a bank and to its group, in net tier 1."""
    if facts.counterparty != "interbank":
        return None
    shares = (share(facts.exposure, facts.tier1), share(facts.group_exposure, facts.tier1))
    return max((known for known in shares if known is not None), default=None)


def exposure_share(facts: ExposureFacts) -> Fraction | None:
    """Exposure to the single counterparty, of either kind, in net tier 1."""
    return share(facts.exposure, facts.tier1)


_IN_FORCE: Final = date(2018, 7, 1)
_MEASURES: Final = "《商业银行大额风险暴露管理办法》银保监会令2018年第1号"

_RULES: Final[tuple[Rule[ExposureFacts], ...]] = (
    Rule(
        id="LE-01",
        text="Loans to one non-bank customer are at most 10 % of net capital",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("counterparty", "loan_balance", "net_capital"),
        limit="0.1",
        judge=at_most(loan_share, Fraction(10, 100)),
    ),
    Rule(
        id="LE-02",
        text="Exposure to one non-bank customer is at most 15 % of net tier 1",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("counterparty", "exposure", "tier1"),
        limit="0.15",
        judge=at_most(single_share, Fraction(15, 100)),
    ),
    # Confirmed in the draft only: until the final text is seen it warns and does not block.
    Rule(
        id="LE-03",
        text="Exposure to one group of connected non-bank customers is at most 20 % of net tier 1",
        source=f"{_MEASURES} [C in the draft; K for the final text]",
        sure="K",
        severity="warn",
        effective_from=_IN_FORCE,
        inputs=("counterparty", "group_exposure", "tier1"),
        limit="0.2",
        judge=at_most(group_share, Fraction(20, 100)),
    ),
    Rule(
        id="LE-04",
        text="Exposure to one bank or banking group is at most 25 % of net tier 1 "
        "(the three years' transition is not applied)",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("counterparty", "exposure", "group_exposure", "tier1"),
        limit="0.25",
        judge=at_most(interbank_share, Fraction(25, 100)),
    ),
    Rule(
        id="LE-05",
        text="From 2.5 % of net tier 1 an exposure is large: to be managed and reported",
        source=f"{_MEASURES}; 金规〔2024〕14号 [C]",
        sure="C",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("exposure", "tier1"),
        limit="0.025",
        judge=reaching(exposure_share, Fraction(25, 1000)),
    ),
)

_BANK: Final = {"net_capital": "500", "tier1": "450", "counterparty": "corporate"}
_EXAMPLES: Final = (
    Example(
        about="loan 30, exposure 70: 15.56 %",
        on=_IN_FORCE,
        facts={**_BANK, "loan_balance": "30", "exposure": "70"},
        outcomes={"LE-01": "pass", "LE-02": "fail", "LE-04": "not_applicable", "LE-05": "inform"},
    ),
    Example(
        about="loan 52: 10.40 %",
        on=_IN_FORCE,
        facts={**_BANK, "loan_balance": "52"},
        outcomes={"LE-01": "fail", "LE-02": "not_applicable"},
    ),
    Example(
        about="group exposure 92: 20.44 %",
        on=_IN_FORCE,
        facts={**_BANK, "group_exposure": "92"},
        outcomes={"LE-03": "warn"},
    ),
    Example(
        about="exposure 11.24 is not large",
        on=_IN_FORCE,
        facts={**_BANK, "exposure": "11.24"},
        outcomes={"LE-02": "pass", "LE-05": "pass"},
    ),
    Example(
        about="exposure 11.25 is large",
        on=_IN_FORCE,
        facts={**_BANK, "exposure": "11.25"},
        outcomes={"LE-02": "pass", "LE-05": "inform"},
    ),
    Example(
        about="25 % of a corporate customer is no limit: 20 % of tier 1 is too much",
        on=_IN_FORCE,
        facts={**_BANK, "exposure": "90"},
        outcomes={"LE-02": "fail"},
    ),
)

PACK: Final = Pack(
    id="cn-large-exposure",
    title="大额风险暴露: one bank's exposure to one customer or group",
    facts=ExposureFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
)
