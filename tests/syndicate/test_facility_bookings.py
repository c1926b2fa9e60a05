"""Every fact is one transaction or none: the entries of each kind, spelled out."""

from datetime import date

import pytest

from ledger.entries import Entry
from syndicate.facility import bookings, claims
from syndicate.facility.facts import (
    Fact,
    LossFixed,
    MarkedOverdue,
    PaymentConfirmed,
    fact_of,
    name_of,
    subject_of,
    value_date_of,
)
from syndicate.facility.state import FacilityState, evolve
from tests.syndicate.facility_case import WAN, Play, deal_2, troubled

Lines = dict[tuple[str, str, str, str], int]
"""(party, code, counterparty, ref) -> fen."""


def lines(entries: tuple[Entry, ...]) -> Lines:
    found = {
        (entry.account.party, entry.account.code, entry.account.counterparty, entry.account.ref): (
            entry.amount_minor
        )
        for entry in entries
    }
    assert len(found) == len(entries), "one entry an account"
    return found


def last(play: Play) -> Lines:
    """The entries of the last fact that had any."""
    return lines(next(entries for _, entries in reversed(play.dated) if entries))


def test_a_drawdown_is_cash_against_principal() -> None:
    play = deal_2(drawn_minor=6_00)
    assert last(play) == {
        ("czbank", "cash", "", ""): -1_00,
        ("czbank", "due.principal", "qinghe", "d1"): 1_00,
        ("qinghe", "cash", "", ""): 1_00,
        ("qinghe", "due.principal", "czbank", "d1"): -1_00,
    }


def test_interest_is_income_of_the_bank_and_expense_of_the_borrower() -> None:
    play = deal_2()
    play.until(date(2024, 3, 19))
    night = {"hzbank": 1562_50, "cib": 1041_67, "czbank": 520_83}
    expected: Lines = {("qinghe", "expense.interest", "", "d1"): sum(night.values())}
    for bank, amount_minor in night.items():
        expected[bank, "due.interest", "qinghe", "d1"] = amount_minor
        expected["qinghe", "due.interest", bank, "d1"] = -amount_minor
        expected[bank, "income.interest", "", "d1"] = -amount_minor
    assert last(play) == expected


def test_overdue_principal_changes_its_account_and_nothing_else() -> None:
    play = troubled("2025-09-22")
    (mark, *_) = play.close()
    assert isinstance(mark, MarkedOverdue)
    entries = [entries for _, entries in play.dated[-3:]]
    assert lines(entries[0]) == {
        ("hzbank", "due.principal", "qinghe", "d1"): -125 * WAN,
        ("hzbank", "due.overdue", "qinghe", "d1"): 125 * WAN,
        ("qinghe", "due.principal", "hzbank", "d1"): 125 * WAN,
        ("qinghe", "due.overdue", "hzbank", "d1"): -125 * WAN,
    }


def test_a_repayment_meets_each_account_by_the_waterfall() -> None:
    play = troubled("2025-09-23")
    loan = play.state.loans["d1", "cib"]
    due = next(item for item in loan.items)
    paid_minor = loan.compound_minor + loan.penalty_minor + due.interest_minor + 7_00
    play.pay("repayment", "qinghe", "cib", paid_minor, about="d1")
    expected: Lines = {("cib", "cash", "", ""): paid_minor, ("qinghe", "cash", "", ""): -paid_minor}
    for code, amount_minor in (
        ("due.compound", loan.compound_minor),
        ("due.penalty", loan.penalty_minor),
        ("due.interest", due.interest_minor),
        ("due.overdue", 7_00),
    ):
        expected["cib", code, "qinghe", "d1"] = -amount_minor
        expected["qinghe", code, "cib", "d1"] = amount_minor
    assert last(play) == expected


def test_a_loss_moves_the_debt_to_the_bearers_and_settles_the_difference() -> None:
    play = troubled("2025-09-23")
    play.do(claims.FixLoss(loss="l1", amount_minor=1_000_000_00, evidence_sha256=("e" * 64,)))
    lost = {"hzbank": 500_000_00, "cib": 333_333_33, "czbank": 166_666_67}
    borne = {
        "hzbank": 340_000_00,
        "cib": 226_666_67,
        "czbank": 113_333_33,
        "pool": 160_000_00,
        "guarantor": 160_000_00,
    }
    expected: Lines = {}
    for bank, amount_minor in lost.items():
        expected[bank, "due.overdue", "qinghe", "d1"] = -amount_minor
        expected["qinghe", "due.overdue", bank, "d1"] = amount_minor
    for party, amount_minor in borne.items():
        expected[party, "loss.credit", "", ""] = amount_minor
        expected[party, "recourse.allowance", "", ""] = -amount_minor
        expected[party, "due.recourse", "qinghe", ""] = amount_minor
        expected["qinghe", "due.recourse", party, ""] = -amount_minor
    for creditor, debtor, amount_minor in (
        ("hzbank", "pool", 160_000_00),
        ("cib", "guarantor", 106_666_66),
        ("czbank", "guarantor", 53_333_34),
    ):
        expected[creditor, "due.protection", debtor, ""] = amount_minor
        expected[debtor, "due.protection", creditor, ""] = -amount_minor
    assert last(play) == expected


def test_a_recovery_is_shared_back_and_a_distribution_clears_it() -> None:
    play = troubled("2025-09-23")
    play.do(claims.FixLoss(loss="l1", amount_minor=600_000_00, evidence_sha256=("e" * 64,)))
    play.pay("recovery", "qinghe", "cib", 60_00)
    back = {"hzbank": 30_00, "cib": 20_00, "czbank": 10_00}
    expected: Lines = {("cib", "cash", "", ""): 60_00, ("qinghe", "cash", "", ""): -60_00}
    for bank, amount_minor in back.items():
        expected[bank, "loss.credit", "", ""] = -amount_minor
        expected[bank, "recourse.allowance", "", ""] = amount_minor
        expected[bank, "due.recourse", "qinghe", ""] = -amount_minor
        expected["qinghe", "due.recourse", bank, ""] = amount_minor
        if bank != "cib":
            expected[bank, "due.protection", "cib", ""] = amount_minor
            expected["cib", "due.protection", bank, ""] = -amount_minor
    assert last(play) == expected
    play.pay("distribution", "cib", "czbank", 10_00)
    assert last(play) == {
        ("cib", "cash", "", ""): -10_00,
        ("czbank", "cash", "", ""): 10_00,
        ("cib", "due.protection", "czbank", ""): 10_00,
        ("czbank", "due.protection", "cib", ""): -10_00,
    }


def test_only_cash_days_marks_and_losses_post() -> None:
    play = troubled("2025-12-23")
    play.do(claims.FixLoss(loss="l1", amount_minor=1_00, evidence_sha256=("e" * 64,)))
    state: FacilityState | None = None
    posted: set[str] = set()
    silent: set[str] = set()
    for fact in play.facts:
        (posted if bookings.entries(state, fact) else silent).add(type(fact).__name__)
        state = evolve(state, fact)
    assert posted == {"PaymentConfirmed", "InterestAccrued", "MarkedOverdue", "LossFixed"}
    assert silent == {
        *("FacilityFormed", "ContractRecorded", "DrawRequested", "RateFixed", "ReleaseApproved"),
        *("PaymentInstructed", "InstalmentDue", "Classified"),
    }


@pytest.mark.parametrize("kind", [PaymentConfirmed, LossFixed, MarkedOverdue])
def test_a_fact_reads_back_from_its_leaf_with_its_name_and_value_date(kind: type[Fact]) -> None:
    play = troubled("2025-12-23")
    play.do(claims.FixLoss(loss="l1", amount_minor=1_00, evidence_sha256=("e" * 64,)))
    fact = next(fact for fact in play.facts if type(fact) is kind)
    read = fact_of(subject_of(fact))
    assert read == fact
    assert name_of(read) == name_of(fact)
    booked = date(2026, 1, 5)
    own = {
        PaymentConfirmed: date(2024, 3, 18),
        LossFixed: date(2025, 12, 23),
        MarkedOverdue: date(2025, 9, 22),
    }
    assert value_date_of(fact, booking_date=booked) == own[kind]
    assert value_date_of(play.facts[1], booking_date=booked) == booked
