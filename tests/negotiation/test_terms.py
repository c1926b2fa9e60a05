"""What may be proposed, and how two versions differ field by field."""

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.documents import convert
from ledger.errors import WrongInput
from negotiation.quotes import MAX_SPREAD_BP
from negotiation.terms import (
    Difference,
    Fee,
    Terms,
    check_proposal,
    differences,
    digest,
    facility_terms_of,
    risk_document,
)
from syndicate.facility.terms import Protector
from tests.negotiation.deals import BANKS, QUARTERLY_FEE, START, WAN, protected_terms, terms


def check(what: Terms) -> None:
    check_proposal(
        what, borrower="yunshenchu", lead="hzbank", seats=BANKS, on=START, place="$.terms"
    )


def test_the_storys_terms_are_in_order() -> None:
    check(terms())
    check(terms(spread_bp=None))
    check(protected_terms())


BASE = terms()
AS_PROTECTOR = Protector(party="cib", kind="pool", claim_after_days=1, settle_workdays=1)
BAD_TERMS: list[tuple[dict[str, Any], str]] = [
    # what is wrong                                                       where
    ({"target_minor": 0}, "target_minor"),
    ({"target_minor": 2**53}, "target_minor"),
    ({"lot_minor": 0}, "lot_minor"),
    ({"lot_minor": 300 * WAN}, "lot_minor"),
    ({"lot_minor": 20_001 * WAN}, "lot_minor"),
    ({"currency": "XYZ"}, "currency"),
    ({"rate": replace(BASE.rate, spread_bp=MAX_SPREAD_BP + 1)}, "rate.spread_bp"),
    ({"repayment": replace(BASE.repayment, payment_day=32)}, "repayment.payment_day"),
    ({"repayment": replace(BASE.repayment, tenor_months=0)}, "repayment.tenor_months"),
    ({"default": replace(BASE.default, penalty_multiple="0.9")}, "default.penalty_multiple"),
    ({"default": replace(BASE.default, waterfall=("fee",))}, "default.waterfall"),
    ({"fees": (replace(QUARTERLY_FEE, rate_bp=0),)}, "fees[0].rate_bp"),
    ({"fees": (QUARTERLY_FEE, replace(QUARTERLY_FEE, kind="arrangement"))}, "fees[1]"),
    ({"fees": (replace(QUARTERLY_FEE, kind="commitment"),)}, "fees[0].base"),
    ({"upside": ("",)}, "upside"),
    ({"covenants": ("x" * 1001,)}, "covenants"),
    ({"available_until": date(2025, 8, 17)}, "available_until"),
    ({"risk_share": {"kind": "split", "parts": [{"fraction": 0.4}]}}, "risk_share.parts"),
    ({"risk_share": {"kind": "party", "party": "pool"}}, "risk_share.party"),
    ({"risk_share": {"kind": "lottery"}}, "risk_share.kind"),
    ({"protectors": (AS_PROTECTOR,)}, "protectors"),
    ({"protectors": (replace(AS_PROTECTOR, party="pool", claim_after_days=-1),)}, "protectors[0]"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_TERMS)
def test_terms_that_do_not_hang_together_are_named_by_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(WrongInput) as refusal:
        check(terms(**changes))
    assert refusal.value.place.startswith(f"$.terms.{field}")


def test_the_availability_may_end_on_the_day_itself_and_not_before() -> None:
    check(terms(available_until=START))
    with pytest.raises(WrongInput):
        check(terms(available_until=date(2025, 8, 17)))


def test_a_fee_that_somebody_else_would_pay_is_no_fee() -> None:
    words = msgspec.to_builtins(QUARTERLY_FEE) | {"payer": "cib"}
    with pytest.raises(WrongInput, match="payer"):
        convert(words, Fee)


def test_the_counter_of_the_story_differs_in_spread_and_fee() -> None:
    found = differences(terms(), terms(spread_bp=-20, fees=(QUARTERLY_FEE,)))
    assert found == (
        Difference(path="rate.spread_bp", before=-5, after=-20, only=None),
        Difference(
            path="fees[0]", before=None, after=msgspec.to_builtins(QUARTERLY_FEE), only="after"
        ),
    )


def test_a_spread_left_to_the_book_differs_from_any_number_and_no_field_is_lost() -> None:
    (found,) = differences(terms(spread_bp=0), terms(spread_bp=None))
    assert (found.path, found.before, found.after, found.only) == ("rate.spread_bp", 0, None, None)


def test_a_rule_changed_deep_inside_is_named_by_its_path() -> None:
    before = protected_terms()
    assert before.risk_share is not None
    document = msgspec.json.decode(msgspec.json.encode(before.risk_share))
    document["layers"][0]["upto"] = "700000.00"
    (found,) = differences(before, replace(before, risk_share=document))
    assert found.path == "risk_share.layers[0].upto"
    assert (found.before, found.after) == ("600000.00", "700000.00")
    gone = differences(before, replace(before, risk_share=None))
    assert [item.path for item in gone] == ["risk_share"]


some_terms = st.builds(
    lambda spread, day, fees, upside, compound: terms(
        spread_bp=spread,
        repayment=replace(BASE.repayment, payment_day=day),
        fees=(QUARTERLY_FEE,) * fees,
        upside=tuple(upside),
        default=replace(BASE.default, compound=compound),
    ),
    st.none() | st.integers(-3, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.lists(st.sampled_from(("a", "b")), max_size=2),
    st.booleans(),
)


@given(before=some_terms, after=some_terms)
def test_versions_differ_exactly_where_their_hashes_do_and_alike_both_ways(
    before: Terms, after: Terms
) -> None:
    found = differences(before, after)
    assert (found == ()) == (digest(before) == digest(after))
    back = differences(after, before)
    assert {item.path for item in found} == {item.path for item in back}
    assert [(item.before, item.after) for item in found] == [
        (item.after, item.before) for item in sorted(back, key=_order_of(found))
    ]


def _order_of(found: tuple[Difference, ...]) -> Any:
    order = [item.path for item in found]
    return lambda item: order.index(item.path)


def test_the_facilitys_terms_are_the_agreed_fields_and_what_the_book_decided() -> None:
    what = protected_terms()
    made = facility_terms_of(
        what,
        facility="fac-2",
        borrower="qinghe",
        lead="cib",
        allocation={"cib": 1_000 * WAN, "hzbank": 1_500 * WAN, "czbank": 500 * WAN},
        spread_bp=30,
        signed_on=START,
    )
    assert made.seats == ("cib", "hzbank", "czbank")
    assert made.total_minor == what.target_minor
    assert made.rate.spread_bp == 30
    for field in ("repayment", "default", "protectors", "upside", "available_until", "currency"):
        assert getattr(made, field) == getattr(what, field)
    assert made.risk_share == {
        "currency": "CNY",
        "seats": ["pool", "guarantor", "cib", "hzbank", "czbank"],
        "commitments": {"cib": "10000000.00", "hzbank": "15000000.00", "czbank": "5000000.00"},
        "rule": what.risk_share,
    }


def test_without_a_rule_each_bank_bears_its_own_loss() -> None:
    assert risk_document(terms(), {"hzbank": 1}) is None
