"""Rule packs: what is judged on which day, by which limit, and what is no fact at all."""

import json
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.documents import read_json
from ledger.errors import WrongInput
from syndicate.rules import cn_large_exposure, cn_risk_class, cn_syndicated
from syndicate.rules.engine import blocking, check, findings, needing_approval, show
from syndicate.rules.finding import all_hold, amount_text, limit_text, share_text
from syndicate.rules.packs import PACKS
from syndicate.rules.syndicate_facts import Member, SyndicateFacts

DAY = timedelta(days=1)
TODAY = "2026-01-15"


def outcomes(pack: str, facts: dict[str, Any], on: str = TODAY) -> dict[str, str]:
    return {line["rule"]: line["outcome"] for line in check(pack, on, facts) if "outcome" in line}


def line_of(rule: str, pack: str, facts: dict[str, Any], on: str = TODAY) -> dict[str, Any]:
    (line,) = (line for line in check(pack, on, facts) if line["rule"] == rule)
    return line


def members(*entries: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{"id": bank, "role": role, "commitment": amount} for bank, role, amount in entries]


SYNDICATE = {
    "total": "10000",
    "contracts": 1,
    "agent": "hangzhou",
    "members": members(
        ("hangzhou", "lead", "3000"), ("cib", "participant", "4000"), ("cz", "participant", "3000")
    ),
    "agent_affiliate_of_borrower": False,
}


# --- the packs themselves ---


@pytest.mark.parametrize(
    ("pack", "example"),
    [(pack.id, example) for pack in PACKS.values() for example in pack.examples],
    ids=lambda value: getattr(value, "about", value),
)
def test_every_example_of_a_pack_comes_out_as_it_says(pack: str, example: Any) -> None:
    found = outcomes(pack, example.facts, example.on.isoformat())
    assert {rule: found.get(rule) for rule in example.outcomes} == example.outcomes


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_documents_every_field_it_reads_and_judges_once_a_day(name: str) -> None:
    pack = PACKS[name]
    fields = {field.encode_name for field in msgspec.structs.fields(pack.facts)}
    assert set(pack.meanings) == fields
    assert pack.examples
    for rule in pack.rules:
        assert set(rule.inputs) <= fields
        assert f"[{rule.sure}" in rule.source or f"; {rule.sure}" in rule.source
        assert rule.effective_to is None or rule.effective_from <= rule.effective_to
    for day in {rule.effective_from for rule in pack.rules}:
        standing = [rule.id for rule in pack.rules if rule.in_force(day)]
        assert len(standing) == len(set(standing))


def test_a_rule_that_is_not_confirmed_never_blocks() -> None:
    unsure = [rule for pack in PACKS.values() for rule in pack.rules if rule.sure != "C"]
    assert {"LE-03", "JC-13", "RC-04", "MA-02"} <= {rule.id for rule in unsure}
    assert all(rule.severity != "block" for rule in unsure)


SEVERITIES = {
    "block": "SY-01 SY-08 SY-11 SY-12 SY-13 LE-01 LE-02 LE-04 JC-01 JC-04 JC-06 IL-01 IL-02 IL-03 "
    "GU-01 GU-02 GU-03 GU-04 MA-01 MA-04",
    "warn": "SY-02 SY-03 SY-04 SY-05 SY-07 LE-03 JC-13 MA-02",
    "inform": "LE-05 JC-02 RC-04 RC-05 RC-06 RC-07 RC-CLASS",
}


def test_severities_are_those_agreed() -> None:
    agreed = {rule: severity for severity, ids in SEVERITIES.items() for rule in ids.split()}
    standing = {
        rule.id: rule.severity
        for pack in PACKS.values()
        for rule in pack.rules
        if rule.effective_to is None
    }
    assert standing == agreed


@pytest.mark.parametrize("name", PACKS)
def test_show_is_a_document_of_every_rule(name: str) -> None:
    shown = json.loads(json.dumps(show(name), ensure_ascii=False))
    assert shown["pack"] == name
    assert [rule["rule"] for rule in shown["rules"]] == [rule.id for rule in PACKS[name].rules]
    assert shown["versions"][-1]["rules"]
    assert set(shown["facts"])


# --- dates ---


@pytest.mark.parametrize(
    ("pack", "first_day", "ids"),
    [
        ("cn-syndicated", "2024-11-01", "SY-05 SY-07 SY-12 SY-13"),
        ("cn-large-exposure", "2018-07-01", "LE-01 LE-02 LE-03 LE-04 LE-05"),
        ("cn-joint-credit", "2018-06-01", "JC-01 JC-02 JC-04 JC-06 JC-13"),
        ("cn-online-joint", "2022-01-01", "IL-01"),
        ("cn-online-joint", "2021-02-19", "IL-02 IL-03"),
        ("cn-risk-class", "2023-07-01", "RC-04 RC-05 RC-06 RC-07 RC-CLASS"),
        ("cn-tech-guarantee", "2024-07-01", "GU-01 GU-02 GU-03 GU-04"),
        ("cn-merger-loan", "2025-12-31", "MA-01 MA-02 MA-04"),
    ],
)
def test_a_rule_is_left_out_before_its_first_day(pack: str, first_day: str, ids: str) -> None:
    first = date.fromisoformat(first_day)
    for day, expected in ((first - DAY, False), (first, True), (first + DAY, True)):
        there = {line["rule"] for line in check(pack, day.isoformat(), {})}
        for rule in ids.split():
            assert (rule in there) is expected


@pytest.mark.parametrize(
    ("on", "kept", "placed", "effective_from"),
    [
        ("2024-10-31", "0.2", "0.5", "2011-08-01"),
        ("2024-11-01", "0.15", "0.3", "2024-11-01"),
        ("2024-11-02", "0.15", "0.3", "2024-11-01"),
    ],
)
def test_a_deal_is_judged_by_the_version_in_force_on_its_day(
    on: str, kept: str, placed: str, effective_from: str
) -> None:
    for rule, limit in (("SY-02", kept), ("SY-03", placed)):
        line = line_of(rule, "cn-syndicated", SYNDICATE, on)
        assert (line["limit"], line["effective_from"]) == (limit, effective_from)


@pytest.mark.parametrize(
    ("lead", "before", "after"),
    # the lead's commitment of 10 000; outcomes of (SY-02, SY-03) on 2024-10-31 and on 2024-11-01
    [
        ("1499", ("warn", "pass"), ("warn", "pass")),
        ("1500", ("warn", "pass"), ("pass", "pass")),
        ("1999", ("warn", "pass"), ("pass", "pass")),
        ("2000", ("pass", "pass"), ("pass", "pass")),
        ("5000", ("pass", "pass"), ("pass", "pass")),
        ("5001", ("pass", "warn"), ("pass", "pass")),
        ("7000", ("pass", "warn"), ("pass", "pass")),
        ("7001", ("pass", "warn"), ("pass", "warn")),
    ],
)
def test_a_lead_is_judged_by_20_and_50_then_by_15_and_30(
    lead: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    facts = {
        "total": "10000",
        "members": members(("a", "lead", lead), ("b", "participant", str(10_000 - int(lead)))),
    }
    for on, expected in (("2024-10-31", before), ("2024-11-01", after)):
        found = outcomes("cn-syndicated", facts, on)
        assert (found["SY-02"], found["SY-03"]) == expected


# --- every ratio at, above and below its limit ---


def of_member(role: str) -> Any:
    """Facts in which a bank of that role holds the part of 10^8; the others are left unsaid."""
    return lambda part, _: {"total": "100000000", "members": members(("a", role, part))}


def _corporate(part: str, whole: str) -> Any:
    return lambda value, _: {"counterparty": "corporate", part: value, whole: "100000000"}


def _interbank(part: str) -> Any:
    return lambda value, _: {"counterparty": "interbank", part: value, "tier1": "100000000"}


def _plain(part: str, whole: str) -> Any:
    return lambda value, _: {part: value, whole: "100000000"}


def _guarantee(part: str, firm: str = "little_giant") -> Any:
    def facts(value: str, rest: str) -> dict[str, Any]:
        other = "local"
        shares = {"bank": "0", "national_fund": "0", "province": "0", "local": "0"}
        return {
            "firm_type": firm,
            "loan": "100000000",
            "shares": {**shares, part: value, other: rest},
        }

    return facts


def _merger(**facts: Any) -> Any:
    return lambda value, _: {"price": "100000000", "loan": value, "tenor_years": 1, **facts}


STEP = {"type": "participation", "stake_before": "0", "stake_acquired": "0.2"}
RATIOS = [
    # pack, rule, facts of (part, rest) of 10^8, limit in 10^8, allowed side, when broken
    ("cn-syndicated", "SY-02", of_member("lead"), 15_000_000, "above", "warn"),
    ("cn-syndicated", "SY-03", of_member("lead"), 70_000_000, "below", "warn"),
    ("cn-syndicated", "SY-04", of_member("co_lead"), 10_000_000, "above", "warn"),
    ("cn-syndicated", "SY-05", of_member("participant"), 70_000_000, "below", "warn"),
    (
        "cn-large-exposure",
        "LE-01",
        _corporate("loan_balance", "net_capital"),
        10_000_000,
        "below",
        "fail",
    ),
    ("cn-large-exposure", "LE-02", _corporate("exposure", "tier1"), 15_000_000, "below", "fail"),
    (
        "cn-large-exposure",
        "LE-03",
        _corporate("group_exposure", "tier1"),
        20_000_000,
        "below",
        "warn",
    ),
    ("cn-large-exposure", "LE-04", _interbank("exposure"), 25_000_000, "below", "fail"),
    ("cn-large-exposure", "LE-04", _interbank("group_exposure"), 25_000_000, "below", "fail"),
    ("cn-online-joint", "IL-01", _plain("partner_share", "loan"), 30_000_000, "above", "fail"),
    ("cn-online-joint", "IL-02", _plain("partner_balance", "tier1"), 25_000_000, "below", "fail"),
    ("cn-online-joint", "IL-03", _plain("joint_total", "loans_total"), 50_000_000, "below", "fail"),
    ("cn-tech-guarantee", "GU-01", _guarantee("bank"), 20_000_000, "above", "fail"),
    ("cn-tech-guarantee", "GU-02", _guarantee("national_fund"), 40_000_000, "below", "fail"),
    (
        "cn-tech-guarantee",
        "GU-02",
        _guarantee("national_fund", "high_tech"),
        35_000_000,
        "below",
        "fail",
    ),
    (
        "cn-tech-guarantee",
        "GU-02",
        _guarantee("national_fund", "tech_sme"),
        30_000_000,
        "below",
        "fail",
    ),
    ("cn-tech-guarantee", "GU-03", _guarantee("province"), 20_000_000, "above", "fail"),
    ("cn-merger-loan", "MA-01", _merger(type="control", pilot=False), 70_000_000, "below", "fail"),
    ("cn-merger-loan", "MA-01", _merger(type="control"), 70_000_000, "below", "fail"),
    ("cn-merger-loan", "MA-04", _merger(type="control", pilot=True), 80_000_000, "below", "fail"),
    ("cn-merger-loan", "MA-02", _merger(**STEP), 60_000_000, "below", "warn"),
]


def amount(units: int) -> str:
    """Hundred-millionths of 10^8 as a decimal string."""
    return f"{units // 10**8}.{units % 10**8:08d}"


@pytest.mark.parametrize(
    ("pack", "rule", "facts", "limit", "allowed", "broken"),
    RATIOS,
    ids=[f"{ratio[1]}-{ratio[3]}" for ratio in RATIOS],
)
def test_at_the_limit_is_allowed_and_the_least_step_beyond_is_not(
    pack: str, rule: str, facts: Any, limit: int, allowed: str, broken: str
) -> None:
    exact = limit * 10**8
    step = 1 if allowed == "below" else -1
    for part, expected in ((exact, "pass"), (exact - step, "pass"), (exact + step, broken)):
        document = facts(amount(part), amount(10**16 - part))
        assert line_of(rule, pack, document)["outcome"] == expected


@given(st.sampled_from(RATIOS), st.integers(0, 10**16))
def test_a_ratio_is_compared_exactly(ratio: Any, part: int) -> None:
    pack, rule, facts, limit, allowed, broken = ratio
    within = part <= limit * 10**8 if allowed == "below" else part >= limit * 10**8
    line = line_of(rule, pack, facts(amount(part), amount(10**16 - part)))
    assert line["outcome"] == ("pass" if within else broken)


@given(st.fractions(0, 2), st.sampled_from([Fraction(15, 100), Fraction(25, 1000)]))
def test_a_printed_share_never_looks_like_a_limit_it_misses(
    share: Fraction, limit: Fraction
) -> None:
    text = share_text(share, against=limit)
    assert (Fraction(text) == limit) is (share == limit)
    if "/" not in text:
        places = len(text.partition(".")[2])
        assert places >= 4
        assert abs(Fraction(text) - share) <= Fraction(1, 2 * 10**places)


def test_shares_and_amounts_are_printed_plainly() -> None:
    assert share_text(Fraction(70, 450), against=Fraction(15, 100)) == "0.1556"
    assert share_text(Fraction(149_999, 10**6), against=Fraction(15, 100)) == "0.149999"
    assert share_text(Fraction(-1, 4), against=Fraction(3, 10)) == "-0.2500"
    assert limit_text(Fraction(25, 1000)) == "0.025"
    assert [amount_text(Fraction(text)) for text in ("5", "5.1", "5.125", "0.00000001")] == [
        "5.00",
        "5.10",
        "5.125",
        "0.00000001",
    ]


# --- syndicated loans ---


@pytest.mark.parametrize(
    ("change", "sy_01", "sy_08"),
    [
        ({}, "pass", "pass"),
        ({"agent": ["hangzhou"]}, "pass", "pass"),
        ({"agent": None}, "fail", "fail"),
        ({"agent": []}, "fail", "fail"),
        ({"agent": ["hangzhou", "cib"]}, "fail", "fail"),
        ({"contracts": 2}, "fail", "pass"),
        ({"contracts": 0}, "fail", "pass"),
        ({"members": members(("a", "lead", "10000"))}, "fail", "pass"),
        # a bank that lends nothing makes no syndicate, nor does one bank in two groups
        ({"members": members(("a", "lead", "10000"), ("b", "participant", "0"))}, "fail", "pass"),
        (
            {
                "members": [
                    {"id": "a", "role": "lead", "commitment": "5000", "group": "1"},
                    {"id": "a", "role": "lead", "commitment": "5000", "group": "2"},
                ]
            },
            "fail",
            "pass",
        ),
    ],
)
def test_a_syndicate_is_two_banks_one_contract_one_agent(
    change: dict[str, Any], sy_01: str, sy_08: str
) -> None:
    for on in ("2024-10-31", "2024-11-01"):
        found = outcomes("cn-syndicated", {**SYNDICATE, **change}, on)
        assert (found["SY-01"], found["SY-08"]) == (sy_01, sy_08)


@pytest.mark.parametrize("missing", ["agent", "contracts", "members"])
def test_a_missing_key_is_no_fact_and_a_proven_breach_needs_no_more_facts(missing: str) -> None:
    known = {name: value for name, value in SYNDICATE.items() if name != missing}
    assert outcomes("cn-syndicated", known)["SY-01"] == "not_applicable"
    if missing != "agent":
        assert outcomes("cn-syndicated", {**known, "agent": None})["SY-01"] == "fail"
    else:
        assert outcomes("cn-syndicated", known)["SY-08"] == "not_applicable"


def test_rules_without_facts_are_not_applicable_in_every_pack() -> None:
    for name in PACKS:
        assert set(outcomes(name, {}).values()) == {"not_applicable"}


def test_a_bank_in_two_groups_holds_the_sum() -> None:
    facts = {
        "total": "10000",
        "members": [
            {"id": "a", "role": "lead", "commitment": "800", "group": "long"},
            {"id": "a", "role": "lead", "commitment": "700", "group": "short"},
            {"id": "b", "role": "participant", "commitment": "7000", "group": "long"},
            {"id": "b", "role": "participant", "commitment": "1", "group": "short"},
        ],
    }
    found = outcomes("cn-syndicated", facts)
    assert (found["SY-02"], found["SY-05"], found["SY-07"]) == ("pass", "warn", "pass")


@pytest.mark.parametrize(
    ("entries", "expected"),
    # outcomes of SY-02, SY-03, SY-04, SY-05; "-" is not applicable
    [
        ((("a", "lead", "3000"), ("b", "participant", "7000")), "pass pass - pass"),
        ((("a", "lead", "900"), ("b", "co_lead", "9100")), "- - warn warn"),
        ((("a", "lead", "1000"), ("b", "co_lead", "9000")), "- - pass warn"),
        # two leads are joint leads, whatever they are called
        ((("a", "lead", "999"), ("b", "lead", "9001")), "- - warn warn"),
        ((("a", "co_lead", "4000"), ("b", "participant", "6000")), "- - pass pass"),
        # without any lead nobody's floor is asked, but the cap of any bank is
        ((("a", "participant", "2000"), ("b", "participant", "8000")), "- - - warn"),
    ],
)
def test_joint_leads_and_single_leads_have_their_own_rules(entries: Any, expected: str) -> None:
    found = outcomes("cn-syndicated", {"total": "10000", "members": members(*entries)})
    rules = ("SY-02", "SY-03", "SY-04", "SY-05")
    assert [found[rule] for rule in rules] == expected.replace("-", "not_applicable").split()


def test_before_2024_november_joint_leads_hold_10_percent_and_no_cap_applies() -> None:
    facts = {"total": "100", "members": members(("a", "lead", "91"), ("b", "co_lead", "9"))}
    found = outcomes("cn-syndicated", facts, "2024-10-31")
    assert found["SY-04"] == "warn"
    assert "SY-05" not in found


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["ab"], "pass"),
        (["a"], "pass"),
        (["ab", "bc", "c"], "pass"),
        (["a", "b"], "warn"),
        (["a", "b", "ac"], "warn"),
        (["ab", "bc", "ac"], "pass"),
        (["ab", "bc", "ac", "abc"], "warn"),
    ],
)
def test_three_groups_at_most_and_one_of_a_single_bank(groups: list[str], expected: str) -> None:
    entries = [
        {"id": bank, "role": "participant", "commitment": "1", "group": number}
        for number, banks in enumerate(groups)
        for bank in banks
    ]
    assert outcomes("cn-syndicated", {"members": entries})["SY-07"] == expected


@pytest.mark.parametrize(("affiliate", "expected"), [(True, "fail"), (False, "pass")])
def test_an_agent_affiliated_with_the_borrower_blocks(affiliate: bool, expected: str) -> None:
    facts = {"agent_affiliate_of_borrower": affiliate}
    assert outcomes("cn-syndicated", facts)["SY-11"] == expected


@pytest.mark.parametrize(
    ("principal", "interest", "sold", "with_interest", "expected"),
    [
        ("3000", "12.60", "1200", "5.04", "pass"),
        ("3000", "12.60", "1200", "5.040", "pass"),
        ("3000", "12.60", "1200", "5.03", "fail"),
        ("3000", "12.60", "1200", "5.05", "fail"),
        ("3000", "12.60", "1200", "0", "fail"),
        ("3", "0.01", "1", "0.00", "pass"),  # 0.0033
        ("3", "0.01", "2", "0.01", "pass"),  # 0.0067
        ("2", "0.01", "1", "0.01", "pass"),  # 0.005 goes up
        ("2", "0.01", "1", "0.00", "fail"),
        ("2", "0.01", "1", "0.005", "fail"),  # nobody pays half a fen
        ("3000", "12.60", "3000", "12.60", "pass"),
        ("3000", "12.60", "6000", "25.20", "fail"),  # more than there is
        ("3000", "0", "1200", "0", "pass"),
    ],
)
def test_a_slice_takes_its_exact_interest_half_up_to_the_fen(
    principal: str, interest: str, sold: str, with_interest: str, expected: str
) -> None:
    transfer = {
        "principal": principal,
        "interest": interest,
        "transferred_principal": sold,
        "transferred_interest": with_interest,
    }
    assert outcomes("cn-syndicated", {"transfer": transfer})["SY-12"] == expected
    del transfer["interest"]
    assert outcomes("cn-syndicated", {"transfer": transfer})["SY-12"] == "not_applicable"


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        ({"registered_at": "2025-03-02", "traded_at": "2025-03-03"}, "pass"),
        ({"registered_at": "2025-03-03", "traded_at": "2025-03-03"}, "pass"),
        ({"registered_at": "2025-03-04", "traded_at": "2025-03-03"}, "fail"),
        ({"traded_at": "2025-03-03"}, "fail"),
        ({"registered_at": None, "traded_at": "2025-03-03"}, "fail"),
        ({"registered_at": "2025-03-02"}, "not_applicable"),
        ({}, "not_applicable"),
    ],
)
def test_a_transfer_is_registered_by_the_day_of_the_trade(
    transfer: dict[str, Any], expected: str
) -> None:
    assert outcomes("cn-syndicated", {"transfer": transfer})["SY-13"] == expected


# --- exposure, joint credit ---


def test_each_kind_of_counterparty_has_its_own_limits() -> None:
    facts = {"net_capital": "500", "tier1": "450", "loan_balance": "60", "exposure": "70"}
    corporate = outcomes("cn-large-exposure", {**facts, "counterparty": "corporate"})
    assert corporate["LE-01"] == corporate["LE-02"] == "fail"
    assert corporate["LE-04"] == "not_applicable"
    interbank = outcomes("cn-large-exposure", {**facts, "counterparty": "interbank"})
    assert interbank["LE-01"] == interbank["LE-02"] == interbank["LE-03"] == "not_applicable"
    assert interbank["LE-04"] == "pass"
    unknown = outcomes("cn-large-exposure", facts)
    assert unknown.pop("LE-05") == "inform"
    assert set(unknown.values()) == {"not_applicable"}


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [("11.24", "pass"), ("11.24999999", "pass"), ("11.25", "inform"), ("11.26", "inform")],
)
def test_an_exposure_is_large_at_its_limit(exposure: str, expected: str) -> None:
    line = line_of("LE-05", "cn-large-exposure", {"tier1": "450", "exposure": exposure})
    assert line["outcome"] == expected


@pytest.mark.parametrize(
    ("banks", "total", "limit", "jc_01", "jc_02"),
    [
        (3, "5000000000", None, "fail", "pass"),
        (3, "5000000000.00", "6000000000", "pass", "pass"),
        (3, "4999999999.99", None, "not_applicable", "inform"),
        (3, "2000000000", None, "not_applicable", "inform"),
        (3, "1999999999.99", None, "not_applicable", "pass"),
        (2, "8000000000", None, "not_applicable", "pass"),
        (2, "3000000000", None, "not_applicable", "pass"),
        (5, "1999000000", None, "not_applicable", "pass"),
    ],
)
def test_joint_credit_is_mandatory_from_three_banks_and_five_billion(
    banks: int, total: str, limit: str | None, jc_01: str, jc_02: str
) -> None:
    facts: dict[str, Any] = {"banks": banks, "financing_total": total}
    forms = [{**facts, "limit": limit}] if limit else [facts, {**facts, "limit": None}]
    for form in forms:
        found = outcomes("cn-joint-credit", form)
        assert (found["JC-01"], found["JC-02"]) == (jc_01, jc_02)


@pytest.mark.parametrize(
    ("used", "jc_04", "jc_13"),
    [
        ({"bank": "38", "bond": "12", "lease": "2", "outside_guarantee": "3"}, "pass", "warn"),
        ({"bank": "54"}, "pass", "warn"),  # exactly 90 %
        ({"bank": "53.99999999"}, "pass", "pass"),
        ({"bank": "20", "bond": "20", "lease": "10", "other": "5", "outside_guarantee": "5"},
         "pass", "warn"),
        ({"bank": "60", "outside_guarantee": "0.00000001"}, "fail", "warn"),
        ({"bond": "61"}, "fail", "warn"),
        ({}, "not_applicable", "not_applicable"),
    ],
)  # fmt: skip
def test_all_channels_and_outside_guarantees_count_against_the_limit(
    used: dict[str, str], jc_04: str, jc_13: str
) -> None:
    found = outcomes("cn-joint-credit", {"limit": "60", "used": used})
    assert (found["JC-04"], found["JC-13"]) == (jc_04, jc_13)


@pytest.mark.parametrize(
    ("notice", "effective", "expected"),
    [
        ("2026-01-15", "2026-02-14", "fail"),
        ("2026-01-15", "2026-02-15", "pass"),
        ("2026-01-15", "2026-02-16", "pass"),
        ("2026-01-30", "2026-02-27", "fail"),
        ("2026-01-30", "2026-02-28", "pass"),
        ("2026-01-31", "2026-02-28", "pass"),
        ("2026-02-28", "2026-03-30", "fail"),  # month end to month end
        ("2026-02-28", "2026-03-31", "pass"),
        ("2026-04-30", "2026-05-30", "fail"),
        ("2026-04-30", "2026-05-31", "pass"),
        ("2026-03-15", "2026-03-01", "fail"),
    ],
)
def test_a_line_is_lowered_a_calendar_month_after_notice(
    notice: str, effective: str, expected: str
) -> None:
    facts = {"notice_at": notice, "effective_at": effective}
    assert outcomes("cn-joint-credit", facts)["JC-06"] == expected


# --- risk class ---


def class_of(facts: dict[str, Any]) -> Any:
    line = check("cn-risk-class", TODAY, facts)[-1]
    assert set(line) == {"rule", "value"}
    assert line["rule"] == "RC-CLASS"
    return line["value"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"days_overdue": 0}, "normal"),
        ({"days_overdue": 1}, "special_mention"),
        ({"days_overdue": 1, "technical": True}, "normal"),
        ({"days_overdue": 7, "technical": True}, "normal"),
        ({"days_overdue": 8, "technical": True}, "special_mention"),
        ({"days_overdue": 7, "technical": False}, "special_mention"),
        ({"days_overdue": 0, "bad_elsewhere": True}, "special_mention"),
        ({"days_overdue": 5, "technical": True, "bad_elsewhere": True}, "special_mention"),
        ({"days_overdue": 90}, "special_mention"),
        ({"days_overdue": 91}, "substandard"),
        ({"days_overdue": 270}, "substandard"),
        ({"days_overdue": 271}, "doubtful"),
        ({"days_overdue": 360}, "doubtful"),
        ({"days_overdue": 361}, "loss"),
        ({}, None),
    ],
)
def test_the_class_is_the_worst_that_applies(facts: dict[str, Any], expected: str | None) -> None:
    assert class_of(facts) == expected


@pytest.mark.parametrize(
    ("balance", "days", "expected"),
    [
        ("3000", 95, "substandard"),
        ("3000", 90, "normal"),
        ("3000", 91, "substandard"),
        ("1750", 95, "normal"),  # 20 % of 8 750
        ("1750.01", 95, "substandard"),
    ],
)
def test_more_than_a_fifth_of_all_debt_long_overdue_pulls_every_bank_down(
    balance: str, days: int, expected: str
) -> None:
    debts = [
        {"bank": "A", "balance": "4000", "days_overdue": 0},
        {"bank": "B", "balance": "3000", "days_overdue": 0},
        {"bank": "C", "balance": balance, "days_overdue": days},
    ]
    for bank in ("A", "B"):
        assert class_of({"days_overdue": 0, "bank": bank, "debts": debts}) == expected


def test_the_bank_s_own_debts_tell_its_overdue_days() -> None:
    debts = [
        {"bank": "A", "balance": "9000", "days_overdue": 0},
        {"bank": "C", "balance": "1000", "days_overdue": 300},
    ]
    assert class_of({"bank": "C", "debts": debts}) == "doubtful"
    assert class_of({"bank": "A", "debts": debts}) == "normal"


# --- guarantees, mergers ---


@pytest.mark.parametrize(
    ("outstanding", "expected"),
    [("29999999.99", "pass"), ("30000000.00", "pass"), ("30000000.01", "fail")],
)
def test_one_borrower_has_thirty_million_at_most(outstanding: str, expected: str) -> None:
    assert outcomes("cn-tech-guarantee", {"outstanding": outstanding})["GU-04"] == expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"bank": "200", "national_fund": "400", "province": "200", "local": "200"}, "pass"),
        ({"bank": "200", "national_fund": "400", "province": "200", "local": "199"}, "fail"),
        ({"bank": "200", "national_fund": "400", "province": "200", "local": "201"}, "fail"),
        ({"bank": "300", "national_fund": "400", "province": "300"}, "pass"),
        ({"bank": "200", "national_fund": "400"}, "not_applicable"),
        ({"bank": "199", "national_fund": "400"}, "fail"),
    ],
)
def test_guarantee_shares_are_the_whole_loan(shares: dict[str, str], expected: str) -> None:
    facts = {"loan": "1000", "shares": shares}
    assert outcomes("cn-tech-guarantee", facts)["GU-01"] == expected


@pytest.mark.parametrize(
    ("facts", "ma_01", "ma_04"),
    [
        ({"loan": "7000", "tenor_years": 10}, "pass", "not_applicable"),
        ({"loan": "7000", "tenor_years": 11}, "fail", "not_applicable"),
        ({"loan": "7000", "tenor_years": "10.00000001"}, "fail", "not_applicable"),
        ({"loan": "7746", "tenor_years": 10}, "fail", "not_applicable"),
        ({"loan": "7746", "tenor_years": 10, "pilot": True}, "not_applicable", "pass"),
        ({"loan": "7746", "tenor_years": 11, "pilot": True}, "not_applicable", "fail"),
        ({"loan": "8001", "tenor_years": 10, "pilot": True}, "not_applicable", "fail"),
        ({"loan": "7000"}, "not_applicable", "not_applicable"),
        ({"loan": "7001"}, "fail", "not_applicable"),
    ],
)
def test_control_deals_are_judged_in_or_outside_the_pilot(
    facts: dict[str, Any], ma_01: str, ma_04: str
) -> None:
    found = outcomes("cn-merger-loan", {"type": "control", "price": "10000", **facts})
    assert (found["MA-01"], found["MA-04"], found["MA-02"]) == (ma_01, ma_04, "not_applicable")


@pytest.mark.parametrize(
    ("before", "acquired", "expected"),
    [
        ("0", "0.2", "pass"),
        ("0", "0.1999", "warn"),
        ("0.1999", "0.1", "warn"),
        ("0.2", "0.05", "pass"),
        ("0.2", "0.0499", "warn"),
        ("0.22", "0.04", "warn"),
        ("22", "4", "warn"),  # above 1 a stake can only be in per cent
        ("22", "5", "pass"),
        (22, 5, "pass"),
        (None, "0.2", "pass"),
        (None, "0.04", "warn"),
        (None, "0.1", "not_applicable"),
        ("0.2", None, "not_applicable"),
    ],
)
def test_a_participation_buys_a_fifth_or_a_further_twentieth(
    before: Any, acquired: Any, expected: str
) -> None:
    stakes = {"stake_before": before, "stake_acquired": acquired}
    facts = {"type": "participation", "price": "100", "loan": "60", "tenor_years": 7}
    facts |= {name: stake for name, stake in stakes.items() if stake is not None}
    found = outcomes("cn-merger-loan", facts)
    assert (found["MA-02"], found["MA-01"]) == (expected, "not_applicable")
    if expected == "pass":
        assert outcomes("cn-merger-loan", {**facts, "tenor_years": 8})["MA-02"] == "warn"


# --- wrong input ---


MEMBER = {"id": "a", "role": "lead", "commitment": "1"}
WRONG = [
    # pack, facts, the place a refusal names
    ("cn-syndicated", [], "$"),
    ("cn-syndicated", "facts", "$"),
    ("cn-syndicated", {"borrower": "x"}, "$.borrower"),
    ("cn-syndicated", {"total": 10000}, "$.total"),
    ("cn-syndicated", {"total": "-1"}, "$.total"),
    ("cn-syndicated", {"total": "NaN"}, "$.total"),
    ("cn-syndicated", {"total": "Infinity"}, "$.total"),
    ("cn-syndicated", {"total": "1e9"}, "$.total"),
    ("cn-syndicated", {"total": "1,000"}, "$.total"),
    ("cn-syndicated", {"total": " 1"}, "$.total"),
    ("cn-syndicated", {"total": "１"}, "$.total"),
    ("cn-syndicated", {"total": "01"}, "$.total"),
    ("cn-syndicated", {"total": "1."}, "$.total"),
    ("cn-syndicated", {"total": "1.123456789"}, "$.total"),
    ("cn-syndicated", {"total": None}, "$.total"),
    ("cn-syndicated", {"total": "0.00"}, "$.total"),
    ("cn-syndicated", {"contracts": True}, "$.contracts"),
    ("cn-syndicated", {"contracts": "1"}, "$.contracts"),
    ("cn-syndicated", {"contracts": -1}, "$.contracts"),
    ("cn-syndicated", {"contracts": 1.5}, "$.contracts"),
    ("cn-syndicated", {"agent": 1}, "$.agent"),
    ("cn-syndicated", {"agent": ""}, "$.agent"),
    ("cn-syndicated", {"agent": ["a", None]}, "$.agent[1]"),
    ("cn-syndicated", {"agent_affiliate_of_borrower": "no"}, "$.agent_affiliate_of_borrower"),
    ("cn-syndicated", {"members": [{**MEMBER, "role": "boss"}]}, "$.members[0].role"),
    ("cn-syndicated", {"members": [{**MEMBER, "share": "1"}]}, "$.members[0].share"),
    ("cn-syndicated", {"members": [{"id": "a", "role": "lead"}]}, "$.members[0].commitment"),
    ("cn-syndicated", {"members": [MEMBER, MEMBER]}, "$.members[1].id"),
    (
        "cn-syndicated",
        {"members": [{**MEMBER, "group": "g"}, {**MEMBER, "group": "g"}]},
        "$.members[1].id",
    ),
    (
        "cn-syndicated",
        {"members": [{**MEMBER, "group": "g"}, {**MEMBER, "id": "b"}]},
        "$.members[1].group",
    ),
    ("cn-syndicated", {"transfer": {"price": "1"}}, "$.transfer.price"),
    ("cn-syndicated", {"transfer": {"principal": "0"}}, "$.transfer.principal"),
    ("cn-syndicated", {"transfer": {"traded_at": "2025-02-29"}}, "$.transfer.traded_at"),
    ("cn-syndicated", {"transfer": {"traded_at": "2025-2-1"}}, "$.transfer.traded_at"),
    ("cn-large-exposure", {"counterparty": "person"}, "$.counterparty"),
    ("cn-large-exposure", {"tier1": "0"}, "$.tier1"),
    ("cn-large-exposure", {"net_capital": "0.0"}, "$.net_capital"),
    ("cn-joint-credit", {"limit": "0"}, "$.limit"),
    ("cn-joint-credit", {"used": {"bank": "1", "shadow": "2"}}, "$.used.shadow"),
    ("cn-joint-credit", {"notice_at": "9999-12-31"}, "$.notice_at"),
    ("cn-joint-credit", {"banks": "3"}, "$.banks"),
    ("cn-online-joint", {"loan": "0"}, "$.loan"),
    ("cn-online-joint", {"loans_total": "0"}, "$.loans_total"),
    ("cn-risk-class", {"days_overdue": -1}, "$.days_overdue"),
    ("cn-risk-class", {"days_overdue": "90"}, "$.days_overdue"),
    ("cn-risk-class", {"technical": 1}, "$.technical"),
    ("cn-risk-class", {"debts": [{"bank": "A", "balance": "1"}]}, "$.debts[0].days_overdue"),
    ("cn-tech-guarantee", {"firm_type": "giant"}, "$.firm_type"),
    ("cn-tech-guarantee", {"shares": {"city": "1"}}, "$.shares.city"),
    ("cn-merger-loan", {"tenor_years": 7.5}, "$.tenor_years"),
    ("cn-merger-loan", {"tenor_years": -1}, "$.tenor_years"),
    ("cn-merger-loan", {"tenor_years": True}, "$.tenor_years"),
    ("cn-merger-loan", {"stake_before": "0.9", "stake_acquired": "0.2"}, "$.stake_acquired"),
    ("cn-merger-loan", {"stake_before": "101"}, "$.stake_acquired"),
    ("cn-merger-loan", {"price": "0"}, "$.price"),
    ("cn-merger-loan", {"pilot": "yes"}, "$.pilot"),
]


@pytest.mark.parametrize(("pack", "facts", "place"), WRONG)
def test_what_is_no_fact_is_refused_by_its_place(pack: str, facts: Any, place: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        check(pack, TODAY, facts)
    assert refusal.value.place == place
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "cn", "CN-SYNDICATED", "rbi"])
def test_an_unknown_pack_is_refused_with_the_list_of_packs(name: str) -> None:
    for question in (lambda: check(name, TODAY, {}), lambda: show(name)):
        with pytest.raises(WrongInput) as refusal:
            question()
        assert refusal.value.place == "--pack"
        assert "cn-syndicated" in refusal.value.expected


@pytest.mark.parametrize("on", ["", "2026-1-15", "2026-02-30", "today", "2026-01-15T00:00:00Z"])
def test_the_day_is_written_one_way_only(on: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        check("cn-syndicated", on, {})
    assert refusal.value.place == "--on"


@pytest.mark.parametrize(
    "raw",
    [b'{"total":"1","total":"2"}', b'{"total":NaN}', b'{"total":"\xff"}', b'{"total":'],
)
def test_duplicate_keys_and_nan_never_reach_a_rule(raw: bytes) -> None:
    with pytest.raises(WrongInput):
        check("cn-syndicated", TODAY, read_json(raw))


def test_text_the_sender_wrote_never_breaks_the_line_of_a_refusal() -> None:
    for facts in ({"a\nb": 1}, {"members": [{**MEMBER, "role": "x\ny"}]}, {"total": "1\n"}):
        with pytest.raises(WrongInput) as refusal:
            check("cn-syndicated", TODAY, facts)
        assert "\n" not in str(refusal.value)


# --- in the service ---


def test_typed_facts_give_the_findings_of_their_document() -> None:
    facts = SyndicateFacts(
        total=Fraction(10_000),
        contracts=1,
        agent=None,
        members=(
            Member(id="a", role="lead", commitment=Fraction(1400)),
            Member(id="b", role="participant", commitment=Fraction(8600)),
        ),
    )
    found = findings(cn_syndicated.PACK, date(2026, 1, 15), facts)
    assert [finding.rule for finding in blocking(found)] == ["SY-01", "SY-08"]
    assert [finding.rule for finding in needing_approval(found)] == ["SY-02", "SY-05"]
    document = {
        "total": "10000",
        "contracts": 1,
        "agent": None,
        "members": members(("a", "lead", "1400"), ("b", "participant", "8600")),
    }
    assert {finding.rule: finding.outcome for finding in found} == outcomes(
        "cn-syndicated", document
    )
    assert (found[1].value, found[1].limit) == ("0.1400", "0.15")


def test_typed_facts_that_contradict_themselves_are_refused() -> None:
    facts = cn_large_exposure.ExposureFacts(tier1=Fraction(0), exposure=Fraction(1))
    with pytest.raises(WrongInput):
        findings(cn_large_exposure.PACK, date(2026, 1, 15), facts)


def test_a_finding_names_its_source_and_first_day() -> None:
    facts = cn_risk_class.RiskFacts(days_overdue=91)
    found = findings(cn_risk_class.PACK, date(2026, 1, 15), facts)
    assert all(finding.effective_from == date(2023, 7, 1) for finding in found)
    assert all(finding.source.endswith("[K]") for finding in found)
    assert blocking(found) == needing_approval(found) == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ((True, True), True),
        ((True, None), None),
        ((None, False), False),
        ((True, False), False),
        ((), True),
    ],
)
def test_one_false_claim_decides_and_an_unknown_one_leaves_it_open(
    claims: tuple[bool | None, ...], expected: bool | None
) -> None:
    assert all_hold(*claims) is expected
