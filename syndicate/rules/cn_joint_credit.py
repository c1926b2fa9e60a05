"""The rules of joint credit (联合授信) of several banks to one firm, from 2018-06-01.

It tells when a joint limit must exist, what counts against it and how near it is. Who agrees the
limit, and how the committee votes, is not decided here.
"""

from datetime import date
from fractions import Fraction
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from ledger.errors import WrongInput
from syndicate.reference.dates import months_after
from syndicate.rules.facts import Count, Known, refuse_zero
from syndicate.rules.finding import SILENT, Judgement, amount_text
from syndicate.rules.pack import Example, Pack, Rule, reaching


class Used(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the firm owes by channel; a channel left out is not used."""

    bank: Known = UNSET
    bond: Known = UNSET
    lease: Known = UNSET
    other: Known = UNSET
    outside_guarantee: Known = UNSET


class JointCreditFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One firm's financing; a `limit` of null is none."""

    banks: Count | UnsetType = UNSET
    financing_total: Known = UNSET
    limit: Fraction | UnsetType | None = UNSET
    used: Used | UnsetType = UNSET
    notice_at: date | UnsetType = UNSET
    effective_at: date | UnsetType = UNSET


_MEANINGS: Final = {
    "banks": "number of banks with a balance to the firm",
    "financing_total": "financing by these banks, in CNY",
    "limit": "the agreed joint limit (联合授信额度), null or absent for none",
    "used": "what counts against it: bank, bond, lease, other, outside_guarantee",
    "notice_at": "the day a member told the firm that it lowers its line",
    "effective_at": "the day the lower line takes effect",
}

_MANDATORY_BANKS: Final = 3
_MANDATORY_CNY: Final = Fraction(5_000_000_000)
_VOLUNTARY_CNY: Final = Fraction(2_000_000_000)
_LAST_YEAR: Final = 9000
"""Beyond it a month later may be past the last date there is."""


def _refuse(facts: JointCreditFacts, place: str) -> None:
    refuse_zero(place, limit=facts.limit)
    if not isinstance(facts.notice_at, UnsetType) and facts.notice_at.year > _LAST_YEAR:
        raise WrongInput(f"{place}.notice_at", f"a day before the year {_LAST_YEAR}")


def _limit(facts: JointCreditFacts) -> Fraction | None:
    return None if isinstance(facts.limit, UnsetType) else facts.limit


def used_in_all(facts: JointCreditFacts) -> Fraction | None:
    """Everything that counts: all channels and guarantees given outside the group."""
    used = facts.used
    if isinstance(used, UnsetType):
        return None
    channels = (used.bank, used.bond, used.lease, used.other, used.outside_guarantee)
    given = [amount for amount in channels if not isinstance(amount, UnsetType)]
    return sum(given, Fraction(0)) if given else None


def used_share(facts: JointCreditFacts) -> Fraction | None:
    """What is used of the limit."""
    limit, used = _limit(facts), used_in_all(facts)
    return None if limit is None or used is None else used / limit


def judge_mandatory(facts: JointCreditFacts) -> Judgement:
    """JC-01: where joint credit is mandatory, a limit must be there; else it does not speak."""
    if isinstance(facts.banks, UnsetType) or isinstance(facts.financing_total, UnsetType):
        return SILENT
    if facts.banks < _MANDATORY_BANKS or facts.financing_total < _MANDATORY_CNY:
        return SILENT
    limit = _limit(facts)
    return Judgement(
        broken=limit is None,
        value={
            "banks": facts.banks,
            "financing_total": amount_text(facts.financing_total),
            "limit": None if limit is None else amount_text(limit),
        },
    )


def judge_voluntary(facts: JointCreditFacts) -> Judgement:
    """JC-02: three banks and 2 to less than 5 bn CNY may set it up."""
    if isinstance(facts.banks, UnsetType) or isinstance(facts.financing_total, UnsetType):
        return SILENT
    return Judgement(
        broken=facts.banks >= _MANDATORY_BANKS
        and _VOLUNTARY_CNY <= facts.financing_total < _MANDATORY_CNY,
        value={"banks": facts.banks, "financing_total": amount_text(facts.financing_total)},
    )


def judge_usage(facts: JointCreditFacts) -> Judgement:
    """JC-04: what is used in all stays within the limit."""
    limit, used = _limit(facts), used_in_all(facts)
    if limit is None or used is None:
        return SILENT
    return Judgement(broken=used > limit, value=amount_text(used), limit=amount_text(limit))


def judge_notice(facts: JointCreditFacts) -> Judgement:
    """JC-06: a lower line takes effect a calendar month after the notice, or later."""
    if isinstance(facts.notice_at, UnsetType) or isinstance(facts.effective_at, UnsetType):
        return SILENT
    earliest = months_after(facts.notice_at, 1)
    return Judgement(
        broken=facts.effective_at < earliest,
        value=facts.effective_at.isoformat(),
        limit=earliest.isoformat(),
    )


_IN_FORCE: Final = date(2018, 6, 1)
_MEASURES: Final = "《银行业金融机构联合授信管理办法（试行）》银保监发〔2018〕24号"

_RULES: Final[tuple[Rule[JointCreditFacts], ...]] = (
    Rule(
        id="JC-01",
        text="From 3 banks and 5 bn CNY on, joint credit with a limit must be set up",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("banks", "financing_total", "limit"),
        limit={"banks": 3, "financing_total": "5000000000.00"},
        judge=judge_mandatory,
    ),
    Rule(
        id="JC-02",
        text="With 3 banks and 2 bn to less than 5 bn CNY it may be set up",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="inform",
        effective_from=_IN_FORCE,
        inputs=("banks", "financing_total"),
        limit={"banks": 3, "financing_total": "2000000000.00"},
        judge=judge_voluntary,
    ),
    Rule(
        id="JC-04",
        text="Debt of every channel and guarantees outside the group stay within the joint limit",
        source=f"{_MEASURES} art. 9(4) [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("used", "limit"),
        judge=judge_usage,
    ),
    Rule(
        id="JC-06",
        text="A member tells the firm one month before it lowers its line",
        source=f"{_MEASURES} art. 10(2) [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("notice_at", "effective_at"),
        judge=judge_notice,
    ),
    Rule(
        id="JC-13",
        text="From 90 % of the limit the firm is in the warning state",
        source=f"{_MEASURES} [K]",
        sure="K",
        severity="warn",
        effective_from=_IN_FORCE,
        inputs=("used", "limit"),
        limit="0.9",
        judge=reaching(used_share, Fraction(90, 100)),
    ),
)

_EXAMPLES: Final = (
    Example(
        about="3 banks, 5.000 bn, no limit agreed",
        on=_IN_FORCE,
        facts={"banks": 3, "financing_total": "5000000000"},
        outcomes={"JC-01": "fail", "JC-02": "pass"},
    ),
    Example(
        about="3 banks, 5.000 bn, a limit agreed",
        on=_IN_FORCE,
        facts={"banks": 3, "financing_total": "5000000000", "limit": "6000000000"},
        outcomes={"JC-01": "pass", "JC-02": "pass"},
    ),
    Example(
        about="3 banks, 4.999 bn",
        on=_IN_FORCE,
        facts={"banks": 3, "financing_total": "4999000000"},
        outcomes={"JC-01": "not_applicable", "JC-02": "inform"},
    ),
    Example(
        about="2 banks, 8.000 bn",
        on=_IN_FORCE,
        facts={"banks": 2, "financing_total": "8000000000"},
        outcomes={"JC-01": "not_applicable", "JC-02": "pass"},
    ),
    Example(
        about="5 banks, 1.999 bn",
        on=_IN_FORCE,
        facts={"banks": 5, "financing_total": "1999000000"},
        outcomes={"JC-01": "not_applicable", "JC-02": "pass"},
    ),
    Example(
        about="limit 60: bank 38, bonds 12, leases 2, outside guarantees 3 are 91.7 %",
        on=_IN_FORCE,
        facts={
            "limit": "60",
            "used": {"bank": "38", "bond": "12", "lease": "2", "outside_guarantee": "3"},
        },
        outcomes={"JC-04": "pass", "JC-13": "warn"},
    ),
)

PACK: Final = Pack(
    id="cn-joint-credit",
    title="联合授信: several banks' credit to one firm",
    facts=JointCreditFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
)
