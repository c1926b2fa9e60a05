"""The limits of loans for mergers and acquisitions (并购贷款), from 2025-12-31.

Control deals by price and tenor, higher in the technology pilot; participations by the step of the
stake as well. Whether bank, city and firm are in the pilot is a fact given, not judged here.
"""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from ledger.errors import WrongInput
from syndicate.rules.facts import Known, Quantity, refuse_zero, share
from syndicate.rules.finding import SILENT, Judgement, all_hold, limit_text, share_text
from syndicate.rules.pack import Example, Pack, Rule


class MergerFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One loan for one acquisition."""

    type: Literal["control", "participation"] | UnsetType = UNSET
    price: Known = UNSET
    loan: Known = UNSET
    tenor_years: Quantity | UnsetType = UNSET
    pilot: bool | UnsetType = UNSET
    stake_before: Quantity | UnsetType = UNSET
    stake_acquired: Quantity | UnsetType = UNSET


_MEANINGS: Final = {
    "type": "control or participation",
    "price": "price of the acquisition",
    "loan": "amount of the loan",
    "tenor_years": "years, an integer or a decimal string",
    "pilot": "true in the technology pilot: city, bank and firm are in it; absent is false",
    "stake_before": "part of the equity held before, of one (0.22), or in per cent where this or "
    "stake_acquired exceeds 1",
    "stake_acquired": "part of the equity bought, written as stake_before is",
}


def _refuse(facts: MergerFacts, place: str) -> None:
    refuse_zero(place, price=facts.price)
    before, acquired = _stakes(facts)
    if (before or 0) + (acquired or 0) > 1:
        raise WrongInput(f"{place}.stake_acquired", "stakes of at most the whole together")


def _stakes(facts: MergerFacts) -> tuple[Fraction | None, Fraction | None]:
    """The stakes before and bought as parts of one: above 1 a stake can only be in per cent."""
    stakes = [
        None if isinstance(stake, UnsetType) else stake
        for stake in (facts.stake_before, facts.stake_acquired)
    ]
    scale = 100 if any(stake is not None and stake > 1 for stake in stakes) else 1
    before, acquired = (None if stake is None else stake / scale for stake in stakes)
    return before, acquired


def _is_pilot(facts: MergerFacts) -> bool:
    return facts.pilot is True


def _loan_within(facts: MergerFacts, limit: Fraction) -> tuple[bool | None, str | None]:
    """Whether the loan is within its part of the price, and that part as printed."""
    part = share(facts.loan, facts.price)
    if part is None:
        return None, None
    return part <= limit, share_text(part, against=limit)


def _tenor_within(facts: MergerFacts, years: int) -> tuple[bool | None, str | None]:
    if isinstance(facts.tenor_years, UnsetType):
        return None, None
    return facts.tenor_years <= years, limit_text(facts.tenor_years)


def _control(*, pilot: bool, part: Fraction) -> Callable[[MergerFacts], Judgement]:
    """A check of price and ten years for control deals in the pilot, or for those outside."""

    def judge(facts: MergerFacts) -> Judgement:
        if facts.type != "control" or _is_pilot(facts) != pilot:
            return SILENT
        loan_kept, loan_part = _loan_within(facts, part)
        tenor_kept, years = _tenor_within(facts, 10)
        kept = all_hold(loan_kept, tenor_kept)
        if kept is None:
            return SILENT
        return Judgement(broken=not kept, value={"loan_to_price": loan_part, "tenor_years": years})

    return judge


def _step_kept(before: Fraction | None, acquired: Fraction | None) -> bool | None:
    """A step of 20 %, or of 5 % for who holds 20 % already."""
    if acquired is None:
        return None
    if acquired >= Fraction(20, 100):
        return True
    if acquired < Fraction(5, 100):
        return False
    return None if before is None else before >= Fraction(20, 100)


def judge_participation(facts: MergerFacts) -> Judgement:
    """MA-02: the step of the stake, 60 % of the price, 7 years."""
    if facts.type != "participation":
        return SILENT
    before, acquired = _stakes(facts)
    loan_kept, loan_part = _loan_within(facts, Fraction(60, 100))
    tenor_kept, years = _tenor_within(facts, 7)
    kept = all_hold(_step_kept(before, acquired), loan_kept, tenor_kept)
    if kept is None:
        return SILENT
    return Judgement(
        broken=not kept,
        value={
            "stake_before": None if before is None else limit_text(before),
            "stake_acquired": None if acquired is None else limit_text(acquired),
            "loan_to_price": loan_part,
            "tenor_years": years,
        },
    )


_IN_FORCE: Final = date(2025, 12, 31)
_MEASURES: Final = "《商业银行并购贷款管理办法》金规〔2025〕27号"

_RULES: Final[tuple[Rule[MergerFacts], ...]] = (
    Rule(
        id="MA-01",
        text="A control deal's loan is at most 70 % of the price, for at most 10 years",
        source=f"{_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("type", "pilot", "loan", "price", "tenor_years"),
        limit={"loan_to_price": "0.7", "tenor_years": "10"},
        judge=_control(pilot=False, part=Fraction(70, 100)),
    ),
    Rule(
        id="MA-02",
        text="A participation buys 20 % or more, or 5 % or more once it holds 20 %; its loan is at "
        "most 60 % of the price, for at most 7 years",
        source=f"{_MEASURES} [C in the draft for the steps; K for 60 % and 7 years]",
        sure="K",
        severity="warn",
        effective_from=_IN_FORCE,
        inputs=("type", "stake_before", "stake_acquired", "loan", "price", "tenor_years"),
        limit={
            "stake_acquired": "0.2",
            "stake_acquired_from_0.2": "0.05",
            "loan_to_price": "0.6",
            "tenor_years": "7",
        },
        judge=judge_participation,
    ),
    Rule(
        id="MA-04",
        text="In the technology pilot a control deal's loan is at most 80 % of the price, for at "
        "most 10 years",
        source="科技企业并购贷款试点 (2025-03), kept beside 金规〔2025〕27号 [C]",
        sure="C",
        severity="block",
        effective_from=_IN_FORCE,
        inputs=("type", "pilot", "loan", "price", "tenor_years"),
        limit={"loan_to_price": "0.8", "tenor_years": "10"},
        judge=_control(pilot=True, part=Fraction(80, 100)),
    ),
)

_CONTROL: Final = {"type": "control", "price": "10000", "tenor_years": 10}
_EXAMPLES: Final = (
    Example(
        about="control, price 10 000, loan 7 000",
        on=_IN_FORCE,
        facts={**_CONTROL, "loan": "7000", "pilot": False},
        outcomes={"MA-01": "pass", "MA-02": "not_applicable", "MA-04": "not_applicable"},
    ),
    Example(
        about="control, price 10 000, loan 7 746, outside the pilot",
        on=_IN_FORCE,
        facts={**_CONTROL, "loan": "7746", "pilot": False},
        outcomes={"MA-01": "fail", "MA-04": "not_applicable"},
    ),
    Example(
        about="control, price 10 000, loan 7 746, in the pilot",
        on=_IN_FORCE,
        facts={**_CONTROL, "loan": "7746", "pilot": True},
        outcomes={"MA-01": "not_applicable", "MA-04": "pass"},
    ),
    Example(
        about="participation: 4 % bought by who holds 22 %",
        on=_IN_FORCE,
        facts={"type": "participation", "stake_before": "0.22", "stake_acquired": "0.04"},
        outcomes={"MA-01": "not_applicable", "MA-02": "warn"},
    ),
)

PACK: Final = Pack(
    id="cn-merger-loan",
    title="并购贷款: loans for mergers and acquisitions",
    facts=MergerFacts,
    meanings=_MEANINGS,
    refuse=_refuse,
    rules=_RULES,
    examples=_EXAMPLES,
)
