"""The rules of a syndicated loan in mainland China, before and from 2024-11-01 (银团贷款).

    to 2024-10-31    《银团贷款业务指引》: a single lead keeps 20 % and places 50 % with others
    from 2024-11-01  《银团贷款业务管理办法》: 15 % and 30 %, joint leads 10 %, any bank 70 %,
                     groups, pro-rata transfers with registration beforehand

Ratios are "in principle" (原则上): they warn and need a reason and a second approver.
"""

from datetime import date
from fractions import Fraction
from typing import Any, Final

import msgspec

from syndicate.rules.pack import Example, Pack, Rule, at_least, at_most
from syndicate.rules.syndicate_facts import (
    MEANINGS,
    SyndicateFacts,
    distributed_share,
    judge_affiliation,
    judge_agent,
    judge_groups,
    judge_registration,
    judge_slice,
    judge_syndicate,
    largest_share,
    least_joint_lead_share,
    refuse_contradictions,
    single_lead_share,
)

_GUIDELINES: Final = date(2011, 8, 1)
_MEASURES: Final = date(2024, 11, 1)
_LAST_DAY_OF_GUIDELINES: Final = date(2024, 10, 31)
_BY_MEASURES: Final = "《银团贷款业务管理办法》金规〔2024〕14号"
_BY_GUIDELINES: Final = "《银团贷款业务指引》（修订）银监发〔2011〕85号"

_FROM_2024: Final[tuple[Rule[SyndicateFacts], ...]] = (
    Rule(
        id="SY-01",
        text="A syndicate is two banks or more under one contract, through an agent",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_MEASURES,
        inputs=("members", "contracts", "agent"),
        limit={"banks": 2, "contracts": 1, "agents": 1},
        judge=judge_syndicate,
    ),
    Rule(
        id="SY-02",
        text="A single lead keeps at least 15 % of the total, in principle",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="warn",
        effective_from=_MEASURES,
        inputs=("members", "total"),
        limit="0.15",
        judge=at_least(single_lead_share, Fraction(15, 100)),
    ),
    Rule(
        id="SY-03",
        text="A single lead places at least 30 % with other members, in principle",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="warn",
        effective_from=_MEASURES,
        inputs=("members", "total"),
        limit="0.3",
        judge=at_least(distributed_share, Fraction(30, 100)),
    ),
    Rule(
        id="SY-04",
        text="With joint or deputy leads, each lead keeps at least 10 %, in principle",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="warn",
        effective_from=_MEASURES,
        inputs=("members", "total"),
        limit="0.1",
        judge=at_least(least_joint_lead_share, Fraction(10, 100)),
    ),
    Rule(
        id="SY-05",
        text="No bank holds more than 70 %, in principle; with a single lead too [I]",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="warn",
        effective_from=_MEASURES,
        inputs=("members", "total"),
        limit="0.7",
        judge=at_most(largest_share, Fraction(70, 100)),
    ),
    Rule(
        id="SY-07",
        text="Three groups at most, of two banks or more, one single-bank group at most",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="warn",
        effective_from=_MEASURES,
        inputs=("members",),
        limit={"groups": 3, "single_bank_groups": 1},
        judge=judge_groups,
    ),
    Rule(
        id="SY-08",
        text="One unified agent",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_MEASURES,
        inputs=("agent",),
        limit=1,
        judge=judge_agent,
    ),
    Rule(
        id="SY-11",
        text="The agent is not an affiliate of the borrower",
        source=f"{_BY_MEASURES}; 银监发〔2011〕85号 art. 11 [C]",
        sure="C",
        severity="block",
        effective_from=_MEASURES,
        inputs=("agent_affiliate_of_borrower",),
        limit=False,
        judge=judge_affiliation,
    ),
    Rule(
        id="SY-12",
        text="A part transfers only as one pro-rata slice of unpaid principal and interest",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_MEASURES,
        inputs=("transfer",),
        judge=judge_slice,
    ),
    Rule(
        id="SY-13",
        text="A transfer is registered at 银登中心 or another recognised platform before the trade",
        source=f"{_BY_MEASURES} [C]",
        sure="C",
        severity="block",
        effective_from=_MEASURES,
        inputs=("transfer",),
        judge=judge_registration,
    ),
)


def _before_2024(rule_id: str, source: str, **changes: object) -> Rule[SyndicateFacts]:
    """The rule of the same id as it stood under the guidelines of 2011."""
    (later,) = (rule for rule in _FROM_2024 if rule.id == rule_id)
    return msgspec.structs.replace(
        later,
        source=source,
        effective_from=_GUIDELINES,
        effective_to=_LAST_DAY_OF_GUIDELINES,
        **changes,
    )


_TO_2024: Final = (
    _before_2024("SY-01", f"{_BY_GUIDELINES} art. 3 [C]"),
    _before_2024(
        "SY-02",
        f"{_BY_GUIDELINES} [C]",
        text="A single lead keeps at least 20 % of the total, in principle",
        limit="0.2",
        judge=at_least(single_lead_share, Fraction(20, 100)),
    ),
    _before_2024(
        "SY-03",
        f"{_BY_GUIDELINES} [C]",
        text="A single lead places at least 50 % with other members, in principle",
        limit="0.5",
        judge=at_least(distributed_share, Fraction(50, 100)),
    ),
    # The floor of joint leads became text in 2024; for older deals it is custom, hence the mark.
    _before_2024("SY-04", f"custom under {_BY_GUIDELINES} [K]", sure="K"),
    _before_2024("SY-08", f"{_BY_GUIDELINES} art. 3 [C]"),
    _before_2024("SY-11", f"{_BY_GUIDELINES} art. 11 [C]"),
)


def _members(*entries: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{"id": bank, "role": role, "commitment": amount} for bank, role, amount in entries]


def _groups(*groups: str) -> list[dict[str, Any]]:
    """One member entry a bank and group, of equal amounts; the first bank leads."""
    return [
        {
            "id": bank,
            "role": "lead" if bank == groups[0][0] else "participant",
            "commitment": "1000",
            "group": f"group {number}",
        }
        for number, banks in enumerate(groups, start=1)
        for bank in banks
    ]


_THREE_BANKS: Final = _members(
    ("hangzhou", "lead", "3000"), ("cib", "participant", "4000"), ("czbank", "participant", "3000")
)
_EXAMPLES: Final = (
    Example(
        about="hangzhou leads with 3 000 of 10 000, cib 4 000, czbank 3 000",
        on=_MEASURES,
        facts={"total": "10000", "contracts": 1, "agent": "hangzhou", "members": _THREE_BANKS},
        outcomes={
            "SY-01": "pass",
            "SY-02": "pass",
            "SY-03": "pass",
            "SY-04": "not_applicable",
            "SY-05": "pass",
            "SY-08": "pass",
        },
    ),
    Example(
        about="a lead with 1 400 of 10 000 keeps 14.0 %",
        on=_MEASURES,
        facts={
            "total": "10000",
            "members": _members(
                ("a", "lead", "1400"), ("b", "participant", "4600"), ("c", "participant", "4000")
            ),
        },
        outcomes={"SY-02": "warn", "SY-03": "pass", "SY-05": "pass"},
    ),
    Example(
        about="a lead with 7 500 of 10 000 places 25 % and holds 75 %",
        on=_MEASURES,
        facts={
            "total": "10000",
            "members": _members(("a", "lead", "7500"), ("b", "participant", "2500")),
        },
        outcomes={"SY-02": "pass", "SY-03": "warn", "SY-05": "warn"},
    ),
    Example(
        about="the first real case: a lead of 2 000 and a member of 1 000",
        on=_MEASURES,
        facts={
            "total": "3000",
            "members": _members(("icbc", "lead", "2000"), ("hangzhou", "participant", "1000")),
        },
        outcomes={"SY-02": "pass", "SY-03": "pass", "SY-05": "pass"},
    ),
    Example(
        about="joint leads A and B: B holds 9.5 % and A 72.5 % of 20 000",
        on=_MEASURES,
        facts={
            "total": "20000",
            "members": _members(
                ("A", "lead", "14500"), ("B", "co_lead", "1900"), ("C", "participant", "3600")
            ),
        },
        outcomes={
            "SY-02": "not_applicable",
            "SY-03": "not_applicable",
            "SY-04": "warn",
            "SY-05": "warn",
        },
    ),
    Example(
        about="groups {A B}, {B C}, {C}",
        on=_MEASURES,
        facts={"total": "5000", "members": _groups("AB", "BC", "C")},
        outcomes={"SY-07": "pass"},
    ),
    Example(
        about="groups {A}, {B}, {A C}: two of a single bank",
        on=_MEASURES,
        facts={"total": "4000", "members": _groups("A", "B", "AC")},
        outcomes={"SY-07": "warn"},
    ),
    Example(
        about="four groups",
        on=_MEASURES,
        facts={"total": "8000", "members": _groups("AB", "BC", "AC", "AB")},
        outcomes={"SY-07": "warn"},
    ),
    Example(
        about="40 % of 3 000 with 40 % of the accrued 12.60",
        on=_MEASURES,
        facts={
            "transfer": {
                "principal": "3000",
                "interest": "12.60",
                "transferred_principal": "1200",
                "transferred_interest": "5.04",
            }
        },
        outcomes={"SY-12": "pass", "SY-13": "not_applicable"},
    ),
    Example(
        about="40 % of the principal without its interest, traded unregistered",
        on=_MEASURES,
        facts={
            "transfer": {
                "principal": "3000",
                "interest": "12.60",
                "transferred_principal": "1200",
                "transferred_interest": "0",
                "traded_at": "2025-03-03",
            }
        },
        outcomes={"SY-12": "fail", "SY-13": "fail"},
    ),
    Example(
        about="a lead of 18 % under the guidelines of 2011",
        on=_LAST_DAY_OF_GUIDELINES,
        facts={
            "total": "10000",
            "members": _members(("a", "lead", "1800"), ("b", "participant", "8200")),
        },
        outcomes={"SY-02": "warn", "SY-03": "pass"},
    ),
)

PACK: Final = Pack(
    id="cn-syndicated",
    title="银团贷款: syndicated loans under one contract",
    facts=SyndicateFacts,
    meanings=MEANINGS,
    refuse=refuse_contradictions,
    rules=(*_TO_2024, *_FROM_2024),
    examples=_EXAMPLES,
)
