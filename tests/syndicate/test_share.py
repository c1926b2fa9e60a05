"""Losses and recoveries are shared under a rule, event by event, to the fen."""

import copy
import csv
import random
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest

from ledger.documents import read_json
from ledger.errors import WrongInput
from ledger.money import MAX_MINOR
from syndicate.risk.rule import CapsFull, exact_shares
from syndicate.risk.share import (
    LossBeyondRange,
    LossPosition,
    RecoveryBeyondLoss,
    RiskShare,
    answer,
    bear,
    read_agreement,
    unharmed,
)
from tests.given import data_folder
from tests.syndicate.risk_rules import agreement_at_random

BANKS = {"kind": "pro_rata", "by": "commitment"}


def party(name: str) -> dict[str, Any]:
    return {"kind": "party", "party": name}


def quotas(**fractions: str) -> dict[str, Any]:
    parts = [{"fraction": part, "rule": party(name)} for name, part in fractions.items()]
    return {"kind": "split", "parts": parts}


def document(rule: Any, *, seats: list[str], commitments: dict[str, str] | None = None) -> Any:
    return {
        "currency": "CNY",
        "seats": seats,
        "commitments": commitments or {},
        "rule": rule,
    }


def events(*amounts: str) -> list[dict[str, str]]:
    """Losses as they are, recoveries with a minus."""
    return [
        {"kind": "recovery", "amount": amount[1:]}
        if amount.startswith("-")
        else {"kind": "loss", "amount": amount}
        for amount in amounts
    ]


def shares_of(result: dict[str, Any]) -> list[list[str]]:
    return [list(event["shares"].values()) for event in result["events"]]


DEAL_2 = document(
    {
        "kind": "layers",
        "layers": [
            {"upto": "600000.00", "rule": BANKS},
            {
                "rule": {
                    "kind": "split",
                    "parts": [
                        {
                            "fraction": "0.4",
                            "rule": {
                                "kind": "capped",
                                "limit": "1500000.00",
                                "rule": party("pool"),
                                "excess": BANKS,
                            },
                        },
                        {"fraction": "0.4", "rule": party("guarantor")},
                        {"fraction": "0.2", "rule": BANKS},
                    ],
                }
            },
        ],
    },
    seats=["pool", "guarantor", "hzbank", "cib", "czbank"],
    commitments={"hzbank": "12000000.00", "cib": "10000000.00", "czbank": "8000000.00"},
)


def test_the_protected_deal_shares_two_losses_and_a_recovery() -> None:
    """First loss 600,000 by banks; beyond it the pool is full at 1,500,000, banks take over."""
    assert answer(DEAL_2, events("5000000.01", "333333.33", "-650000.00")) == {
        "events": [
            {
                "kind": "loss",
                "amount": "5000000.01",
                # beyond the first loss 4,400,000.01: pool 1,760,000.004 -> 1,500,000 and the
                # rest to banks, guarantor 1,760,000.004: the odd fen is the guarantor's
                "shares": {
                    "pool": "1500000.00",
                    "guarantor": "1760000.01",
                    "hzbank": "696000.00",
                    "cib": "580000.00",
                    "czbank": "464000.00",
                },
            },
            {
                "kind": "loss",
                "amount": "333333.33",
                "shares": {
                    "pool": "0.00",
                    "guarantor": "133333.33",
                    "hzbank": "80000.00",
                    "cib": "66666.67",
                    "czbank": "53333.33",
                },
            },
            {
                "kind": "recovery",
                "amount": "650000.00",
                "shares": {
                    "pool": "0.00",
                    "guarantor": "260000.00",
                    "hzbank": "156000.00",
                    "cib": "130000.00",
                    "czbank": "104000.00",
                },
            },
        ],
        "totals": {
            "pool": "1500000.00",
            "guarantor": "1633333.34",
            "hzbank": "620000.00",
            "cib": "516666.67",
            "czbank": "413333.33",
        },
        "net_loss": "4683333.34",
    }


def test_a_recovery_returns_what_the_layers_took_in_reverse() -> None:
    rule = {
        "kind": "layers",
        "layers": [
            {"upto": "100.00", "rule": party("junior")},
            {"upto": "300.00", "rule": party("mezzanine")},
            {"rule": party("senior")},
        ],
    }
    result = answer(
        document(rule, seats=["senior", "mezzanine", "junior"]),
        events("350.00", "-100.00", "-200.00", "-50.00"),
    )
    assert shares_of(result) == [
        ["50.00", "200.00", "100.00"],
        ["50.00", "50.00", "0.00"],
        ["0.00", "150.00", "50.00"],
        ["0.00", "0.00", "50.00"],
    ]
    assert result["totals"] == {"senior": "0.00", "mezzanine": "0.00", "junior": "0.00"}
    assert result["net_loss"] == "0.00"


@pytest.mark.parametrize(
    ("rule", "loss", "borne"),
    [
        # rule in use                                      loss          borne, in seat order
        (quotas(bank="0.2", guarantee="0.8"), "1000000.01", ["200000.00", "800000.01"]),  # 银担 2:8
        (quotas(pool="0.4", guarantee="0.4", bank="0.2"), "0.05", ["0.02", "0.02", "0.01"]),
        (quotas(pool="0.4", guarantee="0.4", bank="0.2"), "0.01", ["0.01", "0.00", "0.00"]),
        (  # 财金〔2024〕60号: bank, national fund, province, local
            quotas(bank="0.2", national="0.4", province="0.2", local="0.2"),
            "9999999.99",
            ["2000000.00", "3999999.99", "2000000.00", "2000000.00"],
        ),
        (quotas(a="1/3", b="1/3", c="1/3"), "100.00", ["33.34", "33.33", "33.33"]),
    ],
)
def test_quota_shares_of_policy_schemes_come_out_to_the_fen(
    rule: Any, loss: str, borne: list[str]
) -> None:
    seats = [part["rule"]["party"] for part in rule["parts"]]
    result = answer(document(rule, seats=seats), events(loss))
    assert list(result["totals"].values()) == borne


def test_the_anhui_4321_scheme_shares_as_published() -> None:
    with (data_folder() / "syndicates" / "risk_shares.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] == "ah4321"]
    percent = {row["party"]: int(row["share_pct"]) for row in rows}
    assert list(percent.values()) == [40, 30, 20, 10]
    rule = quotas(**{name: f"{share}/100" for name, share in percent.items()})
    agreement = document(rule, seats=list(percent))
    whole = answer(agreement, events("20000000.00"))["totals"]
    assert whole == {name: f"{share * 200000}.00" for name, share in percent.items()}
    odd = answer(agreement, events("0.03", "0.04", "-0.02", "0.05"))
    assert list(odd["totals"].values()) == ["0.04", "0.03", "0.02", "0.01"]


def test_no_events_are_a_valid_list() -> None:
    result = answer(DEAL_2, [])
    assert result["events"] == []
    assert set(result["totals"].values()) == {"0.00"}
    assert result["net_loss"] == "0.00"


def test_a_currency_without_decimals_is_written_without() -> None:
    yen = {**document(quotas(a="0.5", b="0.5"), seats=["a", "b"]), "currency": "JPY"}
    assert answer(yen, events("3"))["totals"] == {"a": "2", "b": "1"}


# campaign over random rules


def check_step(
    agreement: RiskShare, before: LossPosition, delta: int
) -> tuple[LossPosition, dict[str, int]]:
    after, parts = bear(agreement, before, delta_minor=delta)
    assert tuple(after.totals) == tuple(parts) == agreement.seats
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == abs(delta)
    assert after.net_loss_minor == before.net_loss_minor + delta
    sign = 1 if delta > 0 else -1
    shares = exact_shares(agreement.rule, after.net_loss_minor)
    for seat in agreement.seats:
        share = shares.get(seat, Fraction(0))
        assert after.totals[seat] == before.totals[seat] + sign * parts[seat]
        assert floor(share) <= after.totals[seat] <= ceil(share)
    return after, parts


@pytest.mark.parametrize("block", range(12))
def test_any_nested_rule_over_any_losses_and_recoveries(block: int) -> None:
    """1,200 rules: conservation, no negative part, within a fen at every step, back to nothing."""
    for seed in range(block * 100, block * 100 + 100):
        rng = random.Random(seed)
        agreement = read_agreement(agreement_at_random(rng, endless=True))
        start = position = unharmed(agreement)
        for _ in range(8):
            net = position.net_loss_minor
            size = rng.choice([5, 300, 30_000, 10**12])
            delta = rng.randint(1, size) if rng.random() < 0.6 or not net else -rng.randint(1, net)
            position, _ = check_step(agreement, position, delta)
        if position.net_loss_minor:
            position, parts = check_step(agreement, position, -position.net_loss_minor)
            assert parts
        assert position == start


def test_how_a_loss_is_cut_moves_nobody_by_more_than_a_fen() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        agreement = read_agreement(agreement_at_random(rng, endless=True))
        cut = unharmed(agreement)
        for _ in range(20):
            cut, _ = bear(agreement, cut, delta_minor=rng.randint(1, 40))
        whole, _ = bear(agreement, unharmed(agreement), delta_minor=cut.net_loss_minor)
        for seat in agreement.seats:
            assert abs(cut.totals[seat] - whole.totals[seat]) <= 1


# refusals


def test_more_cannot_come_back_than_was_lost() -> None:
    agreement = read_agreement(DEAL_2)
    position, _ = bear(agreement, unharmed(agreement), delta_minor=500)
    assert bear(agreement, position, delta_minor=-500)[0] == unharmed(agreement)
    with pytest.raises(RecoveryBeyondLoss) as refusal:
        bear(agreement, position, delta_minor=-501)
    assert refusal.value.fields == {"net_loss_minor": 500, "recovery_minor": 501}


def test_a_loss_beyond_full_caps_is_refused_and_the_last_fen_before_is_not() -> None:
    full = {"kind": "pro_rata", "by": {"a": 1, "b": 2}, "caps": {"a": "1.00", "b": "3.00"}}
    agreement = read_agreement(document(full, seats=["a", "b"]))
    position, _ = bear(agreement, unharmed(agreement), delta_minor=400)
    assert position.totals == {"a": 100, "b": 300}
    with pytest.raises(CapsFull):
        bear(agreement, position, delta_minor=1)


def test_a_net_loss_beyond_every_amount_is_refused() -> None:
    agreement = read_agreement(DEAL_2)
    position, _ = bear(agreement, unharmed(agreement), delta_minor=MAX_MINOR)
    with pytest.raises(LossBeyondRange):
        bear(agreement, position, delta_minor=1)


@pytest.mark.parametrize(
    ("listed", "place"),
    [
        (events("1.00", "-1.01"), "EVENTS $[1].amount"),
        (events("-0.01"), "EVENTS $[0].amount"),
        (events("90000000000000.00", "90000000000000.00"), "EVENTS $[1].amount"),
        (events("0.00"), "EVENTS $[0].amount"),
        (events("1e3"), "EVENTS $[0].amount"),
        (events(" 1"), "EVENTS $[0].amount"),
        (events("+1"), "EVENTS $[0].amount"),
        (events("1.001"), "EVENTS $[0].amount"),
        (events("1."), "EVENTS $[0].amount"),
        (events(".5"), "EVENTS $[0].amount"),
        (events("NaN"), "EVENTS $[0].amount"),
        (events("1.00", ""), "EVENTS $[1].amount"),
        ([{"kind": "loss", "amount": 1}], "EVENTS $[0].amount"),
        ([{"kind": "loss", "amount": None}], "EVENTS $[0].amount"),
        ([{"kind": "loss"}], "EVENTS $[0].amount"),
        ([{"amount": "1.00"}], "EVENTS $[0].kind"),
        ([{"kind": "gain", "amount": "1.00"}], "EVENTS $[0].kind"),
        ([{"kind": ["loss"], "amount": "1.00"}], "EVENTS $[0].kind"),
        ([{"kind": "loss", "amount": "1.00", "on": "2026-01-01"}], "EVENTS $[0].on"),
        (["loss"], "EVENTS $[0]"),
        ({}, "EVENTS $"),
        (None, "EVENTS $"),
    ],
)
def test_a_wrong_or_refused_event_is_named_by_its_path(listed: Any, place: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        answer(DEAL_2, listed)
    assert refusal.value.place == place
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("currency", "RMB", "RULE $.currency"),
        ("currency", None, "RULE $.currency"),
        ("currency", ["CNY"], "RULE $.currency"),
        ("seats", [], "RULE $.seats"),
        ("seats", "pool", "RULE $.seats"),
        ("seats", ["pool", "pool"], "RULE $.seats[1]"),
        ("seats", ["pool", ""], "RULE $.seats[1]"),
        ("seats", ["pool", 7], "RULE $.seats[1]"),
        ("seats", ["pool", "guarantor", "hzbank", "cib"], "RULE $.commitments.czbank"),
        (
            "seats",
            ["hzbank", "cib", "czbank", "pool"],
            "RULE $.rule.layers[1].rule.parts[1].rule.party",
        ),
        ("commitments", {}, "RULE $.rule.layers[0].rule.by"),
        ("commitments", {"cib": "0.00"}, "RULE $.rule.layers[0].rule.by"),
        ("commitments", {"cib": 5}, "RULE $.commitments.cib"),
        ("commitments", {"icbc": "5.00"}, "RULE $.commitments.icbc"),
        ("commitments", None, "RULE $.commitments"),
        ("outstanding", None, "RULE $.outstanding"),
        ("outstanding", {"icbc": "5.00"}, "RULE $.outstanding.icbc"),
        ("rule", None, "RULE $.rule"),
        ("version", 1, "RULE $.version"),
    ],
)
def test_a_wrong_agreement_is_named_by_its_path(field: str, value: Any, place: str) -> None:
    wrong = {**copy.deepcopy(DEAL_2), field: value}
    with pytest.raises(WrongInput) as refusal:
        answer(wrong, [])
    assert refusal.value.place == place


@pytest.mark.parametrize("field", ["currency", "seats", "commitments", "rule"])
def test_a_missing_field_is_named(field: str) -> None:
    lacking = {name: value for name, value in DEAL_2.items() if name != field}
    with pytest.raises(WrongInput) as refusal:
        answer(lacking, [])
    assert refusal.value.place == f"RULE $.{field}"


def test_documents_read_from_bytes_answer_alike_and_deep_ones_are_refused() -> None:
    raw = b'[{"kind":"loss","amount":"0.01"}]'
    assert answer(DEAL_2, read_json(raw))["net_loss"] == "0.01"
    deep = party("pool")
    for _ in range(70):
        deep = {"kind": "capped", "limit": "1.00", "rule": party("pool"), "excess": deep}
    with pytest.raises(WrongInput, match="levels of nesting"):
        read_json(repr(deep).replace("'", '"').encode())
