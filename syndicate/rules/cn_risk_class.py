"""The floor of a loan's five-tier class (五级分类) from overdue days and other banks' claims.

    normal 正常 · special_mention 关注 · substandard 次级 · doubtful 可疑 · loss 损失

From 2023-07-01. Each rule tells whether its class is reached at least; RC-CLASS names the worst. A
bank may class lower by its own judgement; expected losses and evasion are not judged here. The
wording of the thresholds is common knowledge and not yet confirmed, so they inform and never block.
"""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from syndicate.rules.facts import Count, Name
from syndicate.rules.finding import SILENT, Judgement, share_text
from syndicate.rules.pack import Example, Pack, Rule


class Debt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim of a bank on the debtor; a bank may have several."""

    bank: Name
    balance: Fraction
    days_overdue: Count


class RiskFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim whose class is asked, and the debtor's debts in all banks."""

    days_overdue: Count | UnsetType = UNSET
    technical: bool | UnsetType = UNSET
    bad_elsewhere: bool | UnsetType = UNSET
    debts: tuple[Debt, ...] | UnsetType = UNSET
    bank: Name | UnsetType = UNSET


_MEANINGS: Final = {
    "days_overdue": "days the claim is overdue, 0 for none",
    "technical": "true where the delay is technical (技术性逾期); absent is false",
    "bad_elsewhere": "true where another claim on the debtor, here or at another bank, is bad",
    "debts": "the debtor's debts: bank, balance, days_overdue",
    "bank": "the bank whose class is asked; its own debts count as its overdue days",
}


def _refuse(facts: RiskFacts, place: str) -> None:
    """No facts of this pack contradict each other; a debtor without debts has no cross-share."""


def own_overdue(facts: RiskFacts) -> int | None:
    """The worst overdue days at the bank asked: as told, and as its own debts show."""
    days = [] if isinstance(facts.days_overdue, UnsetType) else [facts.days_overdue]
    if not isinstance(facts.debts, UnsetType):
        days += [debt.days_overdue for debt in facts.debts if debt.bank == facts.bank]
    return max(days, default=None)


def long_overdue_share(facts: RiskFacts) -> Fraction | None:
    """The share of the debtor's debts in all banks that is more than 90 days overdue."""
    if isinstance(facts.debts, UnsetType):
        return None
    total = sum((debt.balance for debt in facts.debts), Fraction(0))
    late = sum((debt.balance for debt in facts.debts if debt.days_overdue > 90), Fraction(0))
    return late / total if total else None


def judge_special_mention(facts: RiskFacts) -> Judgement:
    """RC-04: bad elsewhere, or overdue, but for 1 to 7 days of a technical delay."""
    days = own_overdue(facts)
    if days is None and isinstance(facts.bad_elsewhere, UnsetType):
        return SILENT
    bad_elsewhere = facts.bad_elsewhere is True
    excused = facts.technical is True and days is not None and days <= 7
    overdue = days is not None and days > 0 and not excused
    return Judgement(
        broken=bad_elsewhere or overdue,
        value={"days_overdue": days, "bad_elsewhere": bad_elsewhere},
    )


def judge_substandard(facts: RiskFacts) -> Judgement:
    """RC-05: more than 90 days overdue here, or more than 20 % of all debt so anywhere."""
    days, late = own_overdue(facts), long_overdue_share(facts)
    if days is None and late is None:
        return SILENT
    limit = Fraction(20, 100)
    return Judgement(
        broken=(days is not None and days > 90) or (late is not None and late > limit),
        value={
            "days_overdue": days,
            "overdue_90_share": None if late is None else share_text(late, against=limit),
        },
    )


def _more_days_than(limit: int) -> Callable[[RiskFacts], Judgement]:
    def judge(facts: RiskFacts) -> Judgement:
        days = own_overdue(facts)
        return SILENT if days is None else Judgement(broken=days > limit, value=days)

    return judge


_LADDER: Final[tuple[tuple[str, Callable[[RiskFacts], Judgement]], ...]] = (
    ("loss", _more_days_than(360)),
    ("doubtful", _more_days_than(270)),
    ("substandard", judge_substandard),
    ("special_mention", judge_special_mention),
)


def judge_class(facts: RiskFacts) -> Judgement:
    """RC-CLASS: the worst class any rule gives; normal where they were asked and none does."""
    answers = [(name, judge(facts).broken) for name, judge in _LADDER]
    if all(broken is None for _, broken in answers):
        return SILENT
    worst = next((name for name, broken in answers if broken), "normal")
    return Judgement(broken=worst != "normal", value=worst)


_IN_FORCE: Final = date(2023, 7, 1)
_MEASURES: Final = "《商业银行金融资产风险分类办法》银保监会 人民银行令〔2023〕1号"

_RULES: Final[tuple[Rule[RiskFacts], ...]] = (
    Rule(
        id="RC-04",
        text="At least special mention: overdue (a technical delay of 7 days excepted), or the "
        "debtor is bad here or in another bank",
        source=f"{_MEASURES} art. 10 [K]",
        sure="K",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("days_overdue", "technical", "bad_elsewhere"),
        limit={"days_overdue": 0, "technical_days": 7},
        judge=judge_special_mention,
    ),
    Rule(
        id="RC-05",
        text="At least substandard: more than 90 days overdue, or more than 20 % of the debtor's "
        "debt in all banks is",
        source=f"{_MEASURES} art. 11 [K]",
        sure="K",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("days_overdue", "debts", "bank"),
        limit={"days_overdue": 90, "overdue_90_share": "0.2"},
        judge=judge_substandard,
    ),
    Rule(
        id="RC-06",
        text="At least doubtful: more than 270 days overdue",
        source=f"{_MEASURES} [K]",
        sure="K",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("days_overdue",),
        limit=270,
        judge=_more_days_than(270),
    ),
    Rule(
        id="RC-07",
        text="Loss: more than 360 days overdue",
        source=f"{_MEASURES} [K]",
        sure="K",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("days_overdue",),
        limit=360,
        judge=_more_days_than(360),
    ),
    Rule(
        id="RC-CLASS",
        text="The worst class that applies",
        source=f"{_MEASURES} [K]",
        sure="K",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("days_overdue", "technical", "bad_elsewhere", "debts", "bank"),
        limit="normal",
        judge=judge_class,
    ),
)


def _days(days: int, **outcomes: bool) -> Example:
    return Example(
        about=f"{days} days overdue",
        on=_IN_FORCE,
        facts={"days_overdue": days},
        outcomes={
            rule.replace("_", "-"): "inform" if reached else "pass"
            for rule, reached in outcomes.items()
        },
    )


_CROSS_DEBTS: Final = [
    {"bank": "A", "balance": "4000", "days_overdue": 0},
    {"bank": "B", "balance": "3000", "days_overdue": 0},
    {"bank": "C", "balance": "3000", "days_overdue": 95},
]
_EXAMPLES: Final = (
    _days(90, RC_04=True, RC_05=False, RC_06=False, RC_07=False),
    _days(91, RC_04=True, RC_05=True, RC_06=False, RC_07=False),
    _days(270, RC_04=True, RC_05=True, RC_06=False, RC_07=False),
    _days(271, RC_04=True, RC_05=True, RC_06=True, RC_07=False),
    _days(360, RC_04=True, RC_05=True, RC_06=True, RC_07=False),
    _days(361, RC_04=True, RC_05=True, RC_06=True, RC_07=True),
    *(
        Example(
            about=f"C's 3 000 of 10 000 is 95 days overdue: {bank} is substandard, though current",
            on=_IN_FORCE,
            facts={"days_overdue": 0, "debts": _CROSS_DEBTS, "bank": bank},
            outcomes={"RC-04": "pass", "RC-05": "inform", "RC-06": "pass", "RC-07": "pass"},
        )
        for bank in ("A", "B")
    ),
)

PACK: Final = Pack(
    id="cn-risk-class",
    title="风险分类: the floor of a loan's five-tier class",
    facts=RiskFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
    bare_lines=frozenset({"RC-CLASS"}),
)
