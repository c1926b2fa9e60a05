"""What days bring: accrual, resets, due dates, overdue marks, classes - the day before, on, after.

The interest of deal 2 is worked out a second time here, night by night, from a table of dates and
rates written by hand, and held against the product's to the fen.
"""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.money import round_half_up
from syndicate.facility import classes, day, errors, life
from syndicate.facility.explain import explain_interest
from syndicate.facility.facts import (
    Classified,
    InstalmentDue,
    InterestAccrued,
    MarkedOverdue,
    RateFixed,
)
from syndicate.facility.positions import payable, positions
from syndicate.reference.calendar import BeyondCalendar, next_workday
from tests.syndicate.facility_case import BANKS, DEAL_2, WAN, Play, deal_2, troubled

ONE = timedelta(days=1)


def d(text: str) -> date:
    return date.fromisoformat(text)


# -- deal 2 a second time, by hand ----------------------------------------------------------------

PARTS = {"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN}
RATES = (("2024-03-18", "0.0375"), ("2025-03-18", "0.0340"), ("2026-03-18", "0.0330"))
DUES = (  # unadjusted, adjusted
    ("2024-06-20", "2024-06-20"),
    ("2024-09-20", "2024-09-20"),
    ("2024-12-20", "2024-12-20"),
    ("2025-03-20", "2025-03-20"),
    ("2025-06-20", "2025-06-20"),
    ("2025-09-20", "2025-09-22"),
    ("2025-12-20", "2025-12-22"),
    ("2026-03-20", "2026-03-20"),
    ("2026-06-20", "2026-06-22"),
)
PAID = 5


def rate_from(night: date) -> Fraction:
    """The rate of the night that begins on this day."""
    return Fraction(next(rate for since, rate in reversed(RATES) if d(since) <= night))


def repaid_after(part_minor: int, count: int) -> int:
    return round_half_up(Fraction(part_minor * count, 12))


def naive(part_minor: int, *, until: date) -> dict[str, Any]:
    """One bank's loan paid through 2025-06 and not after: what accrued until the day, exactly."""
    periods = [Fraction(0)] * (len(DUES) + 1)
    penalty = compound = Fraction(0)
    night = d("2024-03-18")
    while night < until:
        rate = rate_from(night) / 360
        fallen = sum(d(adjusted) <= night for _, adjusted in DUES)
        period = sum(d(unadjusted) <= night for unadjusted, _ in DUES)
        paid = min(fallen, PAID)
        overdue_minor = repaid_after(part_minor, fallen) - repaid_after(part_minor, paid)
        bearing_minor = part_minor - repaid_after(part_minor, paid) - overdue_minor
        unpaid_minor = sum(round_half_up(periods[index]) for index in range(paid, fallen))
        periods[period] += bearing_minor * rate
        penalty += overdue_minor * rate * Fraction(3, 2)
        compound += unpaid_minor * rate * Fraction(3, 2)
        night += ONE
    return {"periods": periods, "penalty": penalty, "compound": compound}


def missed(play: Play, *, until: str) -> Play:
    """A play of other terms, paid through June 2025 and not after, with the given day open."""
    play.until(d("2025-06-20"), paying=True)
    play.pay_all_due()
    play.until(d(until))
    return play


def test_interest_due_each_period_is_the_naive_sum_rounded_once() -> None:
    play = troubled("2026-06-22")
    for bank, part_minor in PARTS.items():
        periods = naive(part_minor, until=d("2026-06-22"))["periods"]
        due = [fact for fact in play.facts if isinstance(fact, InstalmentDue)]
        assert len(due) == 9
        for index, (fact, (unadjusted, adjusted)) in enumerate(zip(due, DUES, strict=True)):
            assert (fact.unadjusted, fact.due_on) == (d(unadjusted), d(adjusted))
            assert fact.interest[bank] == round_half_up(periods[index])
            expected = repaid_after(part_minor, index + 1) - repaid_after(part_minor, index)
            assert fact.principal[bank] == expected


@pytest.mark.parametrize(
    "until", ["2025-09-22", "2025-09-23", "2025-12-22", "2025-12-23", "2026-03-18", "2026-08-31"]
)
def test_what_stands_is_the_naive_sum_on_any_day(until: str) -> None:
    play = troubled(until)
    for bank, part_minor in PARTS.items():
        expected = naive(part_minor, until=d(until))
        loan = play.state.loans["d1", bank]
        assert loan.penalty_minor == round_half_up(expected["penalty"])
        assert loan.compound_minor == round_half_up(expected["compound"])
        unpaid = sum(round_half_up(exact) for exact in expected["periods"][PAID:])
        assert loan.interest_minor == unpaid
        fallen = sum(d(adjusted) < d(until) for _, adjusted in DUES)
        overdue = repaid_after(part_minor, fallen) - repaid_after(part_minor, PAID)
        assert loan.overdue_minor == overdue
        assert loan.outstanding_minor == part_minor - repaid_after(part_minor, PAID)


def test_the_facility_is_the_sum_of_its_banks_every_day() -> None:
    play = missed(deal_2(drawn_minor=2_999_999_999), until="2025-12-23")
    part = {loan.bank: loan.amount_minor for loan in play.state.loans.values()}
    assert sum(part.values()) == 2_999_999_999
    for fact in play.facts:
        if isinstance(fact, InstalmentDue):
            k = play.state.draws["d1"].due_dates.index(fact.unadjusted)
            expected = {
                bank: repaid_after(part[bank], k + 1) - repaid_after(part[bank], k)
                for bank in BANKS
            }
            assert fact.principal == expected
    owed_minor = sum(position.principal_minor for position in positions(play.state, play.day))
    owed_minor += sum(position.overdue_minor for position in positions(play.state, play.day))
    borrower = [
        balance
        for account, balance in play.balances.items()
        if account.party == "qinghe" and account.code in ("due.principal", "due.overdue")
    ]
    assert -sum(borrower) == owed_minor == play.state.outstanding_minor


# -- single days ----------------------------------------------------------------------------------


def kinds(facts: tuple[Any, ...]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def test_a_weekend_is_accrued_day_by_day_when_monday_opens() -> None:
    play = deal_2()
    play.until(d("2024-03-22"))
    play.close()
    brought = play.open(d("2024-03-25"))
    assert kinds(brought) == ["InterestAccrued"] * 3
    assert [fact.day for fact in brought] == [  # type: ignore[union-attr]
        d("2024-03-23"),
        d("2024-03-24"),
        d("2024-03-25"),
    ]
    assert [on for on, _ in play.dated[-3:]] == [d("2024-03-23"), d("2024-03-24"), d("2024-03-25")]
    assert play.open(d("2024-03-25")) == (), "asked again, a day brings nothing"


def test_a_reset_is_recorded_on_its_day_and_shows_a_night_later() -> None:
    play = deal_2()
    play.until(d("2025-03-18"), paying=True)
    (fixed,) = [
        fact
        for fact in play.facts
        if isinstance(fact, RateFixed) and fact.from_date == d("2025-03-18")
    ]
    assert (fixed.rate, fixed.base_rate, fixed.fixed_on) == ("0.0340", "0.0310", d("2025-02-20"))

    def rates(fact: InterestAccrued) -> set[str]:
        return {line.rate for line in fact.lines}

    play.until(d("2025-03-19"))
    by_day = {fact.day: rates(fact) for fact in play.facts if isinstance(fact, InterestAccrued)}
    assert by_day[d("2025-03-17")] == {"0.0375"}
    assert by_day[d("2025-03-18")] == {"0.0375"}, "the night 17 -> 18"
    assert by_day[d("2025-03-19")] == {"0.0340"}, "the night 18 -> 19"


def test_money_is_due_on_the_adjusted_date_and_overdue_the_day_after() -> None:
    play = troubled("2025-06-20")
    play.until(d("2025-09-19"))
    assert not payable(play.state), "the Friday before: nothing is due"
    play.close()
    brought = play.open(d("2025-09-22"))
    assert kinds(brought) == ["InterestAccrued"] * 3 + ["InstalmentDue"]
    assert [fact.closed for fact in brought[:3]] == [("d1",), (), ()]  # type: ignore[union-attr]
    assert {line.since for line in payable(play.state)} == {d("2025-09-22")}
    assert play.state.phase == "drawn", "on the day it is due, not overdue"
    assert play.state.days_overdue(d("2025-09-22"), bank=None) == 0
    marks = play.close()
    assert kinds(marks) == ["MarkedOverdue"] * 3
    assert play.close() == (), "asked again, an end of day brings nothing"
    assert play.state.phase == "overdue"
    (accrued,) = play.open(d("2025-09-23"))
    assert isinstance(accrued, InterestAccrued)
    assert all(line.overdue_minor and line.penalty_minor for line in accrued.lines)
    assert play.state.days_overdue(d("2025-09-23"), bank=None) == 1


def test_paid_on_the_due_date_is_in_time_and_bears_no_penalty() -> None:
    play = troubled("2025-09-22")
    play.pay_all_due()
    assert play.close() == ()
    (accrued,) = play.open(d("2025-09-23"))
    assert isinstance(accrued, InterestAccrued)
    assert not any(line.overdue_minor or line.penalty_minor for line in accrued.lines)


def test_paying_the_arrears_ends_the_penalty_and_restores_the_class() -> None:
    play = troubled("2025-10-09")
    assert classes.class_of(play.state, bank="cib") == "special_mention"
    play.pay_all_due()
    assert not payable(play.state)
    (back, *_) = play.close()
    assert isinstance(back, Classified)
    assert (back.risk_class, back.days_overdue) == ("normal", 0)
    play.open(d("2025-10-10"))
    assert play.state.phase == "drawn"
    assert all(loan.penalty_minor == 0 for loan in play.state.loans.values())


@pytest.mark.parametrize(
    ("on", "days", "expected"),
    [
        ("2025-09-22", 0, "normal"),
        ("2025-09-23", 1, "normal"),
        ("2025-09-29", 7, "normal"),
        ("2025-09-30", 8, "special_mention"),
        ("2025-12-21", 90, "special_mention"),
        ("2025-12-22", 91, "substandard"),
        ("2026-06-19", 270, "substandard"),
        ("2026-06-20", 271, "doubtful"),
        ("2026-09-17", 360, "doubtful"),
        ("2026-09-18", 361, "loss"),
    ],
)
def test_the_class_follows_the_days_overdue(on: str, days: int, expected: str) -> None:
    play = troubled("2025-09-23")
    for bank in BANKS:
        judged = classes.judged(play.state, bank=bank, on=d(on))
        assert (judged.risk_class, judged.days_overdue) == (expected, days)


def test_a_class_that_changes_on_a_weekend_is_recorded_with_that_day() -> None:
    play = troubled("2026-06-22")
    changes = [fact for fact in play.facts if isinstance(fact, Classified) and fact.bank == "cib"]
    assert [(str(fact.on), fact.risk_class, fact.days_overdue) for fact in changes] == [
        ("2025-09-30", "special_mention", 8),
        ("2025-12-22", "substandard", 91),
        ("2026-06-20", "doubtful", 271),
    ]
    by_rule = {finding.rule: finding.outcome for finding in changes[1].findings}
    assert by_rule["RC-05"] == "inform"
    assert by_rule["RC-06"] == "pass"


def test_an_alert_leaves_no_room_for_a_technical_delay() -> None:
    play = troubled("2025-09-22")
    play.do(
        life.RecordAlert(alert="a1", kind="lawsuit", noted_on=d("2025-08-15"), source="court list")
    )
    assert classes.judged(play.state, bank="cib", on=d("2025-09-22")).risk_class == "normal"
    on_the_day_after = classes.judged(play.state, bank="cib", on=d("2025-09-23"))
    assert on_the_day_after.risk_class == "special_mention"


def test_one_bank_paid_and_the_others_not_is_classed_by_the_whole_debt() -> None:
    play = troubled("2025-09-22")
    (line,) = [line for line in payable(play.state) if line.bank == "czbank"]
    play.pay("repayment", "qinghe", "czbank", line.total_minor, about="d1")
    judged = classes.judged(play.state, bank="czbank", on=d("2025-12-22"))
    assert (judged.risk_class, judged.days_overdue) == ("substandard", 0)
    assert {finding.rule: finding.outcome for finding in judged.findings}["RC-06"] == "pass"


# -- days in their order --------------------------------------------------------------------------


def test_cash_waits_until_the_day_is_opened() -> None:
    play = troubled("2025-09-22")
    (line, *_) = payable(play.state)
    name = play.instruct("repayment", "qinghe", line.bank, line.total_minor, about="d1")
    play.close()
    play.day = d("2025-09-23")
    with pytest.raises(errors.DayNotOpened):
        play.confirm(name)


def test_a_day_opens_once_the_one_before_is_closed_and_only_on_business_days() -> None:
    play = troubled("2025-09-22")
    with pytest.raises(errors.DayNotClosed):
        day.opening(play.state, d("2025-09-23"))
    play.close()
    for on, refusal in (
        ("2025-09-27", errors.NotABusinessDay),
        ("2025-09-19", errors.NotNow),
        ("2027-01-04", BeyondCalendar),
    ):
        with pytest.raises(refusal):
            day.opening(play.state, d(on))
    play.open(d("2025-09-23"))


def test_a_due_date_that_is_no_business_day_without_a_convention_is_overdue_the_next_day() -> None:
    repayment = replace(DEAL_2.repayment, business_day="none")
    play = missed(deal_2(terms=replace(DEAL_2, repayment=repayment)), until="2025-09-19")
    play.close()
    brought = play.open(d("2025-09-22"))
    saturday, sunday, monday = d("2025-09-20"), d("2025-09-21"), d("2025-09-22")
    assert [type(fact).__name__ for fact in brought] == [
        *("InterestAccrued", "InstalmentDue", "MarkedOverdue", "MarkedOverdue", "MarkedOverdue"),
        *("InterestAccrued", "InterestAccrued"),
    ]
    marks = [fact for fact in brought if isinstance(fact, MarkedOverdue)]
    assert {(mark.due_on, mark.on) for mark in marks} == {(saturday, saturday)}
    penalties = [fact for fact in brought if isinstance(fact, InterestAccrued)]
    assert [bool(fact.lines[0].penalty_minor) for fact in penalties] == [False, True, True]
    assert penalties[-1].day == monday
    assert play.state.days_overdue(sunday, bank="cib") == 1


def test_a_due_date_moved_back_closes_its_period_with_it() -> None:
    repayment = replace(
        DEAL_2.repayment,
        business_day="modified_following",
        payment_day=31,
        frequency="monthly",
        tenor_months=3,
    )
    terms = replace(DEAL_2, repayment=repayment)
    play = deal_2(terms=terms, drawn_minor=3000 * WAN)
    # 31 March 2024 is a Sunday, but less than a month away: due are 30 April, 31 May, 18 June
    play.until(d("2024-05-31"), paying=True)
    play.pay_all_due()
    play.until(d("2024-06-18"))
    play.pay_all_due()
    assert play.state.phase == "settled"
    weekend = replace(repayment, payment_day=30, tenor_months=4)
    again = Play(replace(terms, repayment=weekend), first_day=d("2024-04-29"))
    again.contracts()
    again.fund("d1", 3000 * WAN)
    again.until(d("2024-06-28"), paying=True)  # 30 June is a Sunday, 1 July another month
    closing = [fact for fact in again.facts if isinstance(fact, InterestAccrued) and fact.closed]
    assert closing[-1].day == d("2024-06-28")
    assert {line.since for line in payable(again.state)} == {d("2024-06-28")}
    again.until(d("2024-08-29"), paying=True)
    again.pay_all_due()
    assert again.state.phase == "settled"


def test_a_maturity_that_waits_for_a_business_day_bears_nothing_meanwhile() -> None:
    repayment = replace(DEAL_2.repayment, kind="bullet", tenor_months=3)
    play = Play(replace(DEAL_2, repayment=repayment), first_day=d("2024-03-15"))
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.until(d("2024-06-17"), paying=True)  # the maturity, 15 June, is a Saturday
    lines = [fact for fact in play.facts if isinstance(fact, InterestAccrued)][-2:]
    assert [fact.day for fact in lines] == [d("2024-06-16"), d("2024-06-17")]
    assert not any(line.interest_minor for fact in lines for line in fact.lines)
    nights = (d("2024-06-15") - d("2024-03-15")).days
    (line, *_) = payable(play.state)
    exact = Fraction(PARTS["hzbank"] * nights * 375, 360 * 10_000)
    assert line.interest_minor == round_half_up(exact)
    play.pay_all_due()
    assert play.state.phase == "settled"
    assert day.opening(play.state, d("2024-06-18")) == (), "a settled facility brings nothing"


# -- explanations ---------------------------------------------------------------------------------


def test_every_stretch_of_a_period_is_told_and_their_sum_is_what_was_due() -> None:
    play = troubled("2025-06-20")
    steps = explain_interest(
        play.state, draw="d1", bank="cib", kind="interest", period_ending=d("2025-03-20")
    )
    due = next(
        fact
        for fact in play.facts
        if isinstance(fact, InstalmentDue) and fact.unadjusted == d("2025-03-20")
    )
    assert len(steps) == 4, "a title, before and after the reset, the sum"
    assert "2024-12-20 to 2025-03-18: 88 nights on 7500000.00 at 3.75 %, / 360" in steps[1]
    assert "2025-03-18 to 2025-03-20: 2 nights on 7500000.00 at 3.4 %, / 360" in steps[2]
    assert f"{due.interest['cib'] / 100:.2f}" in steps[3]
    with pytest.raises(errors.NoSuch):
        explain_interest(
            play.state, draw="d1", bank="cib", kind="interest", period_ending=d("2025-03-21")
        )
    with pytest.raises(errors.NoSuch):
        explain_interest(play.state, draw="d1", bank="pool", kind="penalty", period_ending=None)
    with pytest.raises(errors.NoSuch):
        explain_interest(
            play.state, draw="d1", bank="cib", kind="penalty", period_ending=d("2025-03-20")
        )


def test_penalty_interest_is_told_by_its_bases_and_rates() -> None:
    play = troubled("2026-03-23")
    title, *stretches, total = explain_interest(
        play.state, draw="d1", bank="hzbank", kind="penalty", period_ending=None
    )
    assert title == "penalty interest (罚息) of loan hzbank-d1, hzbank's part of draw d1"
    assert [stretch.rpartition(" = ")[0] for stretch in stretches] == [
        "2025-09-22 to 2025-12-22: 91 nights on 1250000.00 at 5.1 %, / 360",
        "2025-12-22 to 2026-03-18: 86 nights on 2500000.00 at 5.1 %, / 360",
        "2026-03-18 to 2026-03-20: 2 nights on 2500000.00 at 4.95 %, / 360",
        "2026-03-20 to 2026-03-23: 3 nights on 3750000.00 at 4.95 %, / 360",
    ]
    penalty_minor = play.state.loans["d1", "hzbank"].penalty_minor
    assert total == f"together {penalty_minor / 100:.2f}, rounded half up once"


# -- any payments at all --------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    payments=st.lists(
        st.tuples(st.integers(1, 25), st.sampled_from(BANKS), st.fractions(0, 1)), max_size=8
    ),
    drawn_minor=st.integers(1000, 3000 * WAN),
)
def test_whatever_is_paid_when_the_books_close_and_explain_themselves(
    payments: list[tuple[int, str, Fraction]], drawn_minor: int
) -> None:
    monthly = replace(DEAL_2.repayment, frequency="monthly", tenor_months=4)
    play = deal_2(terms=replace(DEAL_2, repayment=monthly), drawn_minor=drawn_minor)
    for days, bank, share in payments:
        for _ in range(days):
            play.until(next_workday(play.day))
        for line in payable(play.state):
            paid_minor = int(share * line.total_minor)
            if line.bank == bank and paid_minor:
                play.pay("repayment", "qinghe", bank, paid_minor, about="d1")
    assert play.folds_to_the_same()
    for loan in play.state.loans.values():
        for kind, running in (("penalty", loan.penalty), ("compound", loan.compound)):
            exact = sum(
                Fraction(line.base_minor)
                * Fraction(line.rate)
                * Fraction((line.until - line.since).days, 360)
                for line in loan.segments
                if line.kind == kind
            )
            assert running.exact == exact
            assert running.posted_minor == round_half_up(exact)
