"""A risk-share rule is read strictly and evaluated exactly."""

import copy
import random
from fractions import Fraction
from typing import Any

import pytest

from ledger.errors import WrongInput
from syndicate.risk.rule import CapsFull, Node, bearings, exact_shares, loss_path
from syndicate.risk.rule_document import Ground, parse_fraction, read_rule
from syndicate.risk.share import read_agreement
from tests.syndicate.risk_rules import agreement_at_random

GROUND = Ground(
    currency="CNY",
    seats=("pool", "guarantor", "a", "b", "c"),
    commitments={"a": 300, "b": 200, "c": 0},
    outstanding={"a": 100, "b": 200},
)
POOL = {"kind": "party", "party": "pool"}
GUARANTOR = {"kind": "party", "party": "guarantor"}
BANKS = {"kind": "pro_rata", "by": "commitment"}


def rule_of(document: object) -> Node:
    return read_rule(document, GROUND, place="$.rule")


def split(*parts: tuple[str, Any]) -> dict[str, Any]:
    return {"kind": "split", "parts": [{"fraction": f, "rule": rule} for f, rule in parts]}


def layers(*rows: tuple[str | None, Any]) -> dict[str, Any]:
    return {
        "kind": "layers",
        "layers": [{"rule": r} if u is None else {"upto": u, "rule": r} for u, r in rows],
    }


def capped(limit: str, rule: Any, excess: Any) -> dict[str, Any]:
    return {"kind": "capped", "limit": limit, "rule": rule, "excess": excess}


def by(weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "pro_rata", "by": weights, **more}


F = Fraction
FILL = by({"a": 1, "b": 2, "c": 1}, caps={"a": "1.00", "b": "6.00"})
NESTED = split(
    ("0.4", capped("1.00", POOL, BANKS)), ("0.6", layers(("3.00", GUARANTOR), (None, BANKS)))
)


@pytest.mark.parametrize(
    ("document", "loss", "shares"),
    [
        # rule                                      loss  shares in fen
        (POOL, 7, {"pool": F(7)}),
        (BANKS, 7, {"a": F(21, 5), "b": F(14, 5)}),
        ({"kind": "pro_rata", "by": "outstanding"}, 7, {"a": F(7, 3), "b": F(14, 3)}),
        (by({"b": 3, "a": 4, "c": 0}), 7, {"a": F(4), "b": F(3)}),  # a weight of 0 never bears
        # water-filling: a is full at 100 (loss 400), b at 600 (loss 1,000), c bears the rest
        (FILL, 400, {"a": F(100), "b": F(200), "c": F(100)}),
        (FILL, 700, {"a": F(100), "b": F(400), "c": F(200)}),
        (FILL, 1_000, {"a": F(100), "b": F(600), "c": F(300)}),
        (FILL, 1_500, {"a": F(100), "b": F(600), "c": F(800)}),
        (by({"a": 1, "b": 1}, caps={"a": "0.00"}), 9, {"b": F(9)}),  # a cap of 0 bears nothing
        (
            by({"a": 1, "b": 1}, caps={"a": "0.03", "b": "0.04"}, excess=POOL),
            9,
            {"a": F(3), "b": F(4), "pool": F(2)},
        ),
        (split(("1/3", POOL), ("2/3", GUARANTOR)), 10, {"pool": F(10, 3), "guarantor": F(20, 3)}),
        (split(("0.5", POOL), ("0.5", POOL)), 5, {"pool": F(5)}),
        (layers(("0.10", POOL), (None, GUARANTOR)), 9, {"pool": F(9)}),
        (layers(("0.10", POOL), (None, GUARANTOR)), 10, {"pool": F(10)}),
        (layers(("0.10", POOL), (None, GUARANTOR)), 11, {"pool": F(10), "guarantor": F(1)}),
        (
            layers(("0.10", POOL), ("0.30", GUARANTOR), (None, BANKS)),
            40,
            {"pool": F(10), "guarantor": F(20), "a": F(6), "b": F(4)},
        ),
        (capped("0.10", POOL, GUARANTOR), 25, {"pool": F(10), "guarantor": F(15)}),
        (capped("0.00", POOL, GUARANTOR), 25, {"guarantor": F(25)}),
        # 0.4 of 1,000 is 400: pool 100, banks 300; 0.6 is 600: guarantor 300, banks 300
        (NESTED, 1_000, {"pool": F(100), "guarantor": F(300), "a": F(360), "b": F(240)}),
        (NESTED, 0, {}),
    ],
)
def test_a_rule_says_exactly_who_bears_what(
    document: Any, loss: int, shares: dict[str, Fraction]
) -> None:
    rule = rule_of(document)
    assert exact_shares(rule, loss) == shares
    stretch = loss_path(rule, GROUND.seats).at(loss)
    assert {
        seat: share
        for seat, fixed, slope in zip(GROUND.seats, stretch.fixed, stretch.slopes, strict=True)
        if (share := F(fixed + slope * loss, stretch.scale))
    } == shares


def test_an_explanation_names_each_leaf_that_bears() -> None:
    assert [
        (bearing.place, bearing.party, bearing.exact)
        for bearing in bearings(rule_of(NESTED), 1_000)
    ] == [
        ("$.rule.parts[0].rule.rule", "pool", F(100)),
        ("$.rule.parts[0].rule.excess", "a", F(180)),
        ("$.rule.parts[0].rule.excess", "b", F(120)),
        ("$.rule.parts[1].rule.layers[0].rule", "guarantor", F(300)),
        ("$.rule.parts[1].rule.layers[1].rule", "a", F(180)),
        ("$.rule.parts[1].rule.layers[1].rule", "b", F(120)),
    ]


@pytest.mark.parametrize(
    ("document", "last"),
    [
        (by({"a": 1, "b": 1}, caps={"a": "0.03", "b": "0.04"}), 7),
        (by({"a": 1, "b": 0}, caps={"a": "0.03"}), 3),  # b has no weight to take the rest
        (by({"a": 1}, caps={"a": "0.00"}), 0),
        (split(("0.4", by({"a": 1}, caps={"a": "0.03"})), ("0.6", POOL)), 7),  # 7.5 fen
        (layers(("0.05", POOL), (None, by({"a": 1}, caps={"a": "0.03"}))), 8),
        (layers(("0.05", by({"a": 1}, caps={"a": "0.03"})), (None, POOL)), 3),
        (layers(("0.03", by({"a": 1}, caps={"a": "0.03"})), (None, POOL)), None),
        (capped("0.03", by({"a": 1}, caps={"a": "0.03"}), POOL), None),
        (POOL, None),
    ],
)
def test_a_rule_ends_where_every_cap_is_full(document: Any, last: int | None) -> None:
    rule = rule_of(document)
    assert loss_path(rule, GROUND.seats).last == last
    if last is not None:
        assert sum(exact_shares(rule, last).values()) == last
        with pytest.raises(CapsFull):
            exact_shares(rule, last + 1)


@pytest.mark.parametrize("seed", range(300))
def test_walking_the_rule_and_following_its_path_agree_at_every_loss(seed: int) -> None:
    rng = random.Random(seed)
    agreement = read_agreement(agreement_at_random(rng, endless=False))
    path = loss_path(agreement.rule, agreement.seats)
    before: dict[str, Fraction] = {}
    for loss in sorted(rng.choice([rng.randint(0, 60), rng.randint(0, 30_000)]) for _ in range(12)):
        if path.last is not None and loss > path.last:
            with pytest.raises(CapsFull):
                exact_shares(agreement.rule, loss)
            continue
        shares = exact_shares(agreement.rule, loss)
        assert sum(shares.values()) == loss
        assert all(shares.get(seat, 0) >= share for seat, share in before.items())
        stretch = path.at(loss)
        for seat, fixed, slope in zip(agreement.seats, stretch.fixed, stretch.slopes, strict=True):
            assert Fraction(fixed + slope * loss, stretch.scale) == shares.get(seat, 0)
        before = shares


WRONG = [
    # document                                                        place named
    ([], "$.rule"),
    ("pool", "$.rule"),
    (None, "$.rule"),
    ({}, "$.rule.kind"),
    ({"kind": "tranche"}, "$.rule.kind"),
    ({"kind": ["party"]}, "$.rule.kind"),
    ({"kind": "party"}, "$.rule.party"),
    ({"kind": "party", "party": "nobody"}, "$.rule.party"),
    ({"kind": "party", "party": 3}, "$.rule.party"),
    ({**POOL, "note": "x"}, "$.rule.note"),
    ({"kind": "pro_rata"}, "$.rule.by"),
    ({"kind": "pro_rata", "by": "size"}, "$.rule.by"),
    ({"kind": "pro_rata", "by": None}, "$.rule.by"),
    (by({}), "$.rule.by"),
    (by({"a": 0, "b": 0}), "$.rule.by"),
    (by({"a": 1, "x": 1}), "$.rule.by.x"),
    (by({"a": -1, "b": 2}), "$.rule.by.a"),
    (by({"a": True, "b": 2}), "$.rule.by.a"),
    (by({"a": 1.0, "b": 2}), "$.rule.by.a"),
    (by({"a": "1"}), "$.rule.by.a"),
    (by({"a": 1}, caps={"b": "1.00"}), "$.rule.caps.b"),  # b has a seat and no weight here
    (by({"a": 1}, caps={"a": 1}), "$.rule.caps.a"),
    (by({"a": 1}, caps={"a": "1.001"}), "$.rule.caps.a"),
    (by({"a": 1}, caps=[]), "$.rule.caps"),
    (by({"a": 1}, caps=None), "$.rule.caps"),
    (by({"a": 1}, excess=None), "$.rule.excess"),
    (by({"a": 1}, excess={"kind": "party", "party": "x"}), "$.rule.excess.party"),
    ({"kind": "split"}, "$.rule.parts"),
    ({"kind": "split", "parts": []}, "$.rule.parts"),
    ({"kind": "split", "parts": {}}, "$.rule.parts"),
    (split(("0.4", POOL), ("0.5", POOL)), "$.rule.parts"),
    (split(("0.3333", POOL), ("2/3", POOL)), "$.rule.parts"),
    (split(("1.5", POOL), ("-0.5", POOL)), "$.rule.parts[1].fraction"),
    (split(("1", POOL), ("0", POOL)), "$.rule.parts[1].fraction"),
    (split(("1", POOL), ("0/3", POOL)), "$.rule.parts[1].fraction"),
    (split(("1/0", POOL)), "$.rule.parts[0].fraction"),
    (split(("1e0", POOL)), "$.rule.parts[0].fraction"),
    (split((" 1", POOL)), "$.rule.parts[0].fraction"),
    (split(("+1", POOL)), "$.rule.parts[0].fraction"),
    (split(("1 / 1", POOL)), "$.rule.parts[0].fraction"),
    (split(("１", POOL)), "$.rule.parts[0].fraction"),
    ({"kind": "split", "parts": [{"fraction": 1, "rule": POOL}]}, "$.rule.parts[0].fraction"),
    ({"kind": "split", "parts": [{"fraction": "1"}]}, "$.rule.parts[0].rule"),
    ({"kind": "split", "parts": [{"fraction": "1", "rule": POOL, "x": 1}]}, "$.rule.parts[0].x"),
    ({"kind": "split", "parts": ["pool"]}, "$.rule.parts[0]"),
    ({"kind": "layers", "layers": []}, "$.rule.layers"),
    (layers(("0.00", POOL), (None, POOL)), "$.rule.layers[0].upto"),
    (layers(("2.00", POOL), ("2.00", POOL), (None, POOL)), "$.rule.layers[1].upto"),
    (layers(("2.00", POOL), ("1.00", POOL), (None, POOL)), "$.rule.layers[1].upto"),
    (layers((None, POOL), (None, POOL)), "$.rule.layers[0].upto"),
    (layers(("1.00", POOL)), "$.rule.layers[0].upto"),  # the last layer has no bound
    (layers(("1.00", POOL), ("2.00", POOL)), "$.rule.layers[1].upto"),
    (layers(("1e3", POOL), (None, POOL)), "$.rule.layers[0].upto"),
    (layers(("1,000", POOL), (None, POOL)), "$.rule.layers[0].upto"),
    (layers(("-1.00", POOL), (None, POOL)), "$.rule.layers[0].upto"),
    ({"kind": "capped", "limit": "1.00", "rule": POOL}, "$.rule.excess"),
    ({"kind": "capped", "rule": POOL, "excess": POOL}, "$.rule.limit"),
    (capped("", POOL, POOL), "$.rule.limit"),
    (capped("01.00", POOL, POOL), "$.rule.limit"),
    (capped("1.00", POOL, split(("1", by({"x": 1})))), "$.rule.excess.parts[0].rule.by.x"),
]


@pytest.mark.parametrize(("document", "place"), WRONG)
def test_a_wrong_rule_is_refused_by_its_json_path(document: Any, place: str) -> None:
    before = copy.deepcopy(document)
    with pytest.raises(WrongInput) as refusal:
        rule_of(document)
    assert refusal.value.place == place
    assert "\n" not in str(refusal.value)
    assert document == before


def test_weights_by_commitment_need_commitments_above_nothing() -> None:
    nothing = GROUND._replace(commitments={"a": 0}, outstanding=None)
    for document in ({"kind": "pro_rata", "by": "outstanding"}, BANKS):
        with pytest.raises(WrongInput) as refusal:
            read_rule(document, nothing, place="$.rule")
        assert refusal.value.place == "$.rule.by"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.4", F(2, 5)), ("1/3", F(1, 3)), ("2/6", F(1, 3)), ("1", F(1)), ("0.333", F(333, 1000))],
)
def test_fractions_are_read_exactly(text: str, value: Fraction) -> None:
    assert parse_fraction(text, place="$") == value
