"""The shares of the special guarantee plan for science and technology (支持科技创新专项担保计划).

From 2024-07-01: the bank bears a fifth or more, the national fund at most its share for the kind of
firm, the province's re-guarantor a fifth or more; one borrower at most 30 m CNY. Fees and the
compensation ceiling are not judged here.
"""

from datetime import date
from fractions import Fraction
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from syndicate.rules.facts import Known, refuse_zero, share
from syndicate.rules.finding import (
    SILENT,
    Judgement,
    all_hold,
    amount_text,
    limit_text,
    share_text,
)
from syndicate.rules.pack import Example, Pack, Rule, at_least

FirmType = Literal["little_giant", "high_tech", "tech_sme"]


class GuaranteeShares(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts each bears; together the whole loan."""

    bank: Known = UNSET
    national_fund: Known = UNSET
    province: Known = UNSET
    local: Known = UNSET


class GuaranteeFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One guaranteed loan."""

    firm_type: FirmType | UnsetType = UNSET
    loan: Known = UNSET
    outstanding: Known = UNSET
    shares: GuaranteeShares | UnsetType = UNSET


_MEANINGS: Final = {
    "firm_type": "little_giant (小巨人, 专精特新, national project), high_tech (高企, 创新积分制), "
    "tech_sme (科技型中小, 创新型中小)",
    "loan": "amount of the loan",
    "outstanding": "all the borrower's loans under the plan in CNY, this one included",
    "shares": "amounts borne by bank, national_fund, province, local; they sum to the loan",
}

_FUND_LIMITS: Final[dict[FirmType, Fraction]] = {
    "little_giant": Fraction(40, 100),
    "high_tech": Fraction(35, 100),
    "tech_sme": Fraction(30, 100),
}
_LEAST_BANK_SHARE: Final = Fraction(20, 100)
_BORROWER_LIMIT_CNY: Final = Fraction(30_000_000)


def _refuse(facts: GuaranteeFacts, place: str) -> None:
    refuse_zero(place, loan=facts.loan)


def _shares(facts: GuaranteeFacts) -> GuaranteeShares:
    return GuaranteeShares() if isinstance(facts.shares, UnsetType) else facts.shares


def _covers_loan(facts: GuaranteeFacts) -> bool | None:
    """Whether the shares sum to the loan; None while one is missing and there is room for it."""
    shares = _shares(facts)
    if isinstance(facts.loan, UnsetType):
        return None
    parts = (shares.bank, shares.national_fund, shares.province, shares.local)
    given = [part for part in parts if not isinstance(part, UnsetType)]
    total = sum(given, Fraction(0))
    if len(given) < len(parts) and total < facts.loan:
        return None
    return total == facts.loan


def judge_bank(facts: GuaranteeFacts) -> Judgement:
    """GU-01: the shares are the whole loan, and the bank's is a fifth or more."""
    bank = share(_shares(facts).bank, facts.loan)
    covers = _covers_loan(facts)
    kept = all_hold(None if bank is None else bank >= _LEAST_BANK_SHARE, covers)
    if kept is None:
        return SILENT
    return Judgement(
        broken=not kept,
        value={
            "bank": None if bank is None else share_text(bank, against=_LEAST_BANK_SHARE),
            "shares_sum_to_loan": covers,
        },
    )


def judge_fund(facts: GuaranteeFacts) -> Judgement:
    """GU-02: the national fund's share by the kind of firm."""
    fund = share(_shares(facts).national_fund, facts.loan)
    if fund is None or isinstance(facts.firm_type, UnsetType):
        return SILENT
    limit = _FUND_LIMITS[facts.firm_type]
    return Judgement(
        broken=fund > limit, value=share_text(fund, against=limit), limit=limit_text(limit)
    )


def province_share(facts: GuaranteeFacts) -> Fraction | None:
    """The province's re-guarantor in the loan."""
    return share(_shares(facts).province, facts.loan)


def judge_borrower(facts: GuaranteeFacts) -> Judgement:
    """GU-04: all the borrower has under the plan, this loan included."""
    if isinstance(facts.outstanding, UnsetType):
        return SILENT
    return Judgement(
        broken=facts.outstanding > _BORROWER_LIMIT_CNY, value=amount_text(facts.outstanding)
    )


_IN_FORCE: Final = date(2024, 7, 1)
_PLAN: Final = "支持科技创新专项担保计划 (财政部等四部门, 2024-07)"

_RULES: Final[tuple[Rule[GuaranteeFacts], ...]] = (
    Rule(
        id="GU-01",
        text="The bank bears at least 20 %, the guarantee system the rest; together the whole loan",
        source=f"{_PLAN} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("loan", "shares"),
        limit={"bank": "0.2", "shares_sum_to_loan": True},
        judge=judge_bank,
    ),
    Rule(
        id="GU-02",
        text="The national fund bears at most 40 % (little giants), 35 % (high-tech firms) or "
        "30 % (technology SMEs)",
        source=f"{_PLAN} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("firm_type", "loan", "shares"),
        limit={firm: limit_text(limit) for firm, limit in _FUND_LIMITS.items()},
        judge=judge_fund,
    ),
    Rule(
        id="GU-03",
        text="The province's re-guarantor bears at least 20 %",
        source=f"{_PLAN} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("loan", "shares"),
        limit="0.2",
        judge=at_least(province_share, Fraction(20, 100)),
    ),
    Rule(
        id="GU-04",
        text="One borrower has at most 30 m CNY outstanding under the plan",
        source=f"{_PLAN} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("outstanding",),
        limit=amount_text(_BORROWER_LIMIT_CNY),
        judge=judge_borrower,
    ),
)


def _split(firm: str, bank: str, fund: str, province: str, local: str) -> dict[str, object]:
    shares = {"bank": bank, "national_fund": fund, "province": province, "local": local}
    return {"firm_type": firm, "loan": "1000", "shares": shares}


_EXAMPLES: Final = (
    *(
        Example(
            about=f"{firm}: {' / '.join(amounts)} of 1 000",
            on=_IN_FORCE,
            facts=_split(firm, *amounts),
            outcomes={"GU-01": "pass", "GU-02": "pass", "GU-03": "pass", "GU-04": "not_applicable"},
        )
        for firm, amounts in (
            ("little_giant", ("200", "400", "200", "200")),
            ("high_tech", ("200", "350", "200", "250")),
            ("tech_sme", ("200", "300", "200", "300")),
        )
    ),
    Example(
        about="the bank bears 15 %",
        on=_IN_FORCE,
        facts=_split("little_giant", "150", "400", "200", "250"),
        outcomes={"GU-01": "fail", "GU-02": "pass", "GU-03": "pass"},
    ),
)

PACK: Final = Pack(
    id="cn-tech-guarantee",
    title="支持科技创新专项担保计划: who bears how much of a guaranteed loan",
    facts=GuaranteeFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
)
