"""Payments that become known after their value date: the same facility in the end as on time.

Two lives of one facility are played side by side: in one every payment is confirmed on its value
date, in the other some days later. From then on both have the same loans, the same classes and the
same balance of every account at every value date; and what was booked before stays as it was.
"""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.money import round_half_up
from syndicate.facility import claims, errors, life
from syndicate.facility.explain import explain_interest
from syndicate.facility.facts import (
    ClassCorrected,
    Classified,
    InterestCorrected,
    MarkedOverdue,
    OverdueCorrected,
    PaymentConfirmed,
    corrects,
    fact_of,
    name_of,
    subject_of,
)
from syndicate.facility.positions import payable
from syndicate.facility.retraced import alike
from syndicate.facility.state import fold
from syndicate.facility.terms import FacilityTerms
from syndicate.reference.calendar import next_workday
from tests.syndicate.facility_case import BANKS, DEAL_2, WAN, Play, deal_2, troubled

MONTHLY = replace(DEAL_2, repayment=replace(DEAL_2.repayment, frequency="monthly", tenor_months=4))


def d(text: str) -> date:
    return date.fromisoformat(text)


def due_of(play: Play, bank: str) -> int:
    return sum(line.total_minor for line in payable(play.state) if line.bank == bank)


def pay(play: Play, bank: str, amount_minor: int, *, valued: date | None = None) -> None:
    name = play.instruct("repayment", "qinghe", bank, amount_minor, about="d1")
    play.confirm(name, value_date=valued)


def paid_late(*, valued: str, known: str) -> tuple[Play, Play]:
    """Deal 2 with cib's instalment of September 2025 paid on its value date; and known late."""
    on_time = troubled(valued)
    amount_minor = due_of(on_time, "cib")
    pay(on_time, "cib", amount_minor)
    on_time.until(d(known))
    late = troubled(known)
    pay(late, "cib", amount_minor, valued=d(valued))
    return on_time, late


def test_an_instalment_paid_in_time_and_known_late_bears_no_penalty() -> None:
    on_time, late = paid_late(valued="2025-09-22", known="2025-09-25")
    loan = late.state.loans["d1", "cib"]
    assert (loan.penalty_minor, loan.compound_minor, loan.overdue_minor) == (0, 0, 0)
    assert (loan.penalty.exact, loan.compound.exact) == (0, 0)
    assert alike(on_time.state, late.state)
    nights = [fact for fact in late.facts if isinstance(fact, InterestCorrected)]
    assert [fact.day for fact in nights] == [d("2025-09-23"), d("2025-09-24"), d("2025-09-25")]
    for fact in nights:
        assert (fact.bases.overdue_minor, fact.bases.unpaid_interest_minor) == (0, 0)
        assert fact.before.overdue_minor == round_half_up(Fraction(1000 * WAN, 12))
        assert fact.penalty_minor < 0
        assert fact.interest_minor == 0
        assert corrects(fact) == f"accrued:{fact.day}"


def test_a_mark_and_a_class_that_should_not_have_been_are_put_right_by_name() -> None:
    on_time, late = paid_late(valued="2025-09-22", known="2025-12-24")
    (mark,) = [fact for fact in late.facts if isinstance(fact, OverdueCorrected)]
    assert (mark.unadjusted, mark.on) == (d("2025-09-20"), d("2025-09-22"))
    assert (mark.principal_minor, mark.interest_minor) == (0, 0)
    marked = {name_of(fact) for fact in late.facts if isinstance(fact, MarkedOverdue)}
    assert corrects(mark) in marked
    fixed = [fact for fact in late.facts if isinstance(fact, ClassCorrected)]
    classed = {name_of(fact) for fact in late.facts if isinstance(fact, Classified)}
    assert any(corrects(fact) in classed for fact in fixed)
    assert alike(on_time.state, late.state)
    assert on_time.state.classes["cib"].risk_class == late.state.classes["cib"].risk_class
    assert late.folds_to_the_same()


def test_a_value_date_that_is_no_business_day_counts_from_that_day() -> None:
    late = troubled("2025-09-29")
    pay(late, "cib", 1_000_00, valued=d("2025-09-27"))
    nights = [fact.day for fact in late.facts if isinstance(fact, InterestCorrected)]
    assert nights == [d("2025-09-28"), d("2025-09-29")]


def test_cash_that_came_before_the_due_date_waits_for_it() -> None:
    on_time, _ = paid_late(valued="2025-09-22", known="2025-09-25")
    late = troubled("2025-09-25")
    at_due = troubled("2025-09-22")
    pay(late, "cib", due_of(at_due, "cib"), valued=d("2025-09-18"))
    (paid,) = [
        f for f in late.facts if isinstance(f, PaymentConfirmed) and f.met_on == d("2025-09-22")
    ]
    assert paid.value_date == d("2025-09-18")
    assert alike(on_time.state, late.state)


def test_interest_paid_before_its_due_date_and_told_on_it_corrects_nothing() -> None:
    play = deal_2()
    play.until(d("2024-06-20"))
    before = len(play.facts)
    pay(play, "cib", 1_00, valued=d("2024-06-19"))
    assert [type(fact).__name__ for fact in play.facts[before:]] == [
        "PaymentInstructed",
        "PaymentConfirmed",
    ]


def test_a_part_of_the_cash_of_a_draw_known_late_bears_interest_from_its_value_date() -> None:
    on_time, late = deal_2(), deal_2_without("cib")
    name = late.instruct("drawdown", "cib", "qinghe", 1000 * WAN, about="d1")
    for play in (on_time, late):
        play.until(d("2024-04-02"))
    assert late.state.loans["d1", "cib"].drawn_on is None
    late.confirm(name, value_date=d("2024-03-18"))
    assert alike(on_time.state, late.state)
    assert on_time.moved() == late.moved()
    nights = [fact for fact in late.facts if isinstance(fact, InterestCorrected)]
    assert len(nights) == 15
    assert {fact.before.principal_minor for fact in nights} == {0}
    on_time.until(d("2024-07-01"))
    late.until(d("2024-07-01"))
    assert alike(on_time.state, late.state)


def test_the_first_cash_of_a_facility_may_be_known_late() -> None:
    late = deal_2_without(*BANKS)
    part = {"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN}
    late.until(d("2024-03-25"))
    for bank in BANKS:
        name = late.instruct("drawdown", bank, "qinghe", part[bank], about="d1")
        late.confirm(name, value_date=d("2024-03-18"))
    on_time = deal_2()
    on_time.until(d("2024-03-25"))
    assert alike(on_time.state, late.state)
    assert late.state.reached == on_time.state.reached
    on_time.until(d("2024-07-01"))
    late.until(d("2024-07-01"))
    assert alike(on_time.state, late.state)


def deal_2_without(*banks: str) -> Play:
    """Deal 2 released by all on 2024-03-18 and paid out by all but these banks."""
    play = Play(DEAL_2, first_day=d("2024-03-18"))
    play.contracts()
    play.do(
        life.RequestDraw(
            draw="d1",
            amount_minor=3000 * WAN,
            value_date=play.day,
            use_of_funds="working-capital",
            payment_mode="entrusted",
        )
    )
    for bank in BANKS:
        play.do(
            life.ApproveRelease(
                draw="d1", bank=bank, loan_no=f"{bank}-d1", maker="li", checker="wang"
            )
        )
        if bank not in banks:
            part_minor = play.state.draws["d1"].requested.parts[bank]
            play.pay("drawdown", bank, "qinghe", part_minor, about="d1")
    return play


# -- refusals -------------------------------------------------------------------------------------


def test_a_later_payment_of_the_same_loan_stands_in_the_way_by_name() -> None:
    play = troubled("2025-09-23")
    pay(play, "cib", 1_000_00)
    play.until(d("2025-09-25"))
    name = play.instruct("repayment", "qinghe", "cib", 1_00, about="d1")
    facts = len(play.facts)
    with pytest.raises(errors.KnownSince) as refused:
        play.confirm(name, value_date=d("2025-09-22"))
    assert refused.value.code == "known-since"
    assert len(play.facts) == facts
    play.confirm(name, value_date=d("2025-09-23"))  # of the same day: behind the other one


def test_another_banks_payment_stands_in_nobodys_way() -> None:
    play = troubled("2025-09-23")
    pay(play, "hzbank", 1_000_00)
    play.until(d("2025-09-25"))
    pay(play, "cib", 1_00, valued=d("2025-09-22"))


def test_a_loss_fixed_since_stands_in_the_way_of_its_loans() -> None:
    play = troubled("2025-09-23")
    play.do(claims.FixLoss(loss="l1", amount_minor=300_00, evidence_sha256=("e" * 64,)))
    play.until(d("2025-09-24"))
    with pytest.raises(errors.KnownSince):
        pay(play, "cib", 1_00, valued=d("2025-09-22"))
    pay(play, "cib", 1_00, valued=d("2025-09-23"))


def test_more_than_was_owed_on_the_value_date_is_refused_with_what_was() -> None:
    play = troubled("2025-09-24")
    at_value = due_of(troubled("2025-09-22"), "cib")
    with pytest.raises(errors.OverPayment) as refused:
        pay(play, "cib", at_value + 1, valued=d("2025-09-22"))
    assert refused.value.fields["due_minor"] == at_value


def test_no_value_date_lies_before_the_signing_or_after_the_open_day() -> None:
    play = troubled("2025-09-23")
    with pytest.raises(errors.BackValued):
        pay(play, "cib", 1_00, valued=d("2024-03-14"))
    with pytest.raises(errors.FutureValued):
        pay(play, "cib", 1_00, valued=d("2025-09-24"))


def test_the_cash_of_a_draw_is_not_dated_back_past_its_first_interest_period() -> None:
    late = deal_2_without("cib")
    name = late.instruct("drawdown", "cib", "qinghe", 1000 * WAN, about="d1")
    late.until(d("2024-06-19"))
    with pytest.raises(errors.BackValued):
        late.confirm(name, value_date=d("2024-03-17"))
    late.copy().confirm(name, value_date=d("2024-03-18"))
    late.until(d("2024-06-20"))
    with pytest.raises(errors.NotNow):
        late.confirm(name, value_date=d("2024-03-18"))


# -- every number is explained, every old record reads ---------------------------------------------


def test_a_corrected_figure_is_explained_by_what_it_was_and_what_put_it_right() -> None:
    late = troubled("2025-09-25")
    at_due = troubled("2025-09-22")
    pay(late, "cib", due_of(at_due, "cib") - 10_000_00, valued=d("2025-09-22"))
    loan = late.state.loans["d1", "cib"]
    steps = explain_interest(late.state, draw="d1", bank="cib", kind="penalty", period_ending=None)
    assert any("3 nights on 10000.00" in step for step in steps), steps
    (fixed,) = [step for step in steps if "known late" in step]
    assert "2025-09-22 to 2025-09-25" in fixed
    corrected = sum(f.penalty_minor for f in late.facts if isinstance(f, InterestCorrected))
    assert f"{corrected / 100:.2f}" in fixed
    assert steps[-1].startswith(f"together {loan.penalty_minor / 100:.2f}")


def test_a_payment_recorded_before_this_rule_reads_and_folds_as_it_did() -> None:
    play = troubled("2025-09-22")
    pay(play, "cib", 1_00)
    subject = subject_of(play.facts[-1])
    assert "met_on" not in subject
    assert fact_of(subject) == play.facts[-1]
    assert fold(play.facts) == play.state


# -- any history ----------------------------------------------------------------------------------

END = d("2024-08-30")


def business_days(start: date, end: date) -> list[date]:
    days = [start]
    while days[-1] < end:
        days.append(next_workday(days[-1]))
    return days


@settings(max_examples=20, deadline=None)
@given(
    paid=st.lists(
        st.tuples(
            st.sampled_from(BANKS),
            st.integers(20, 80),  # the value date, in business days from the draw
            st.fractions(0, 1),
            st.integers(0, 25),  # how many business days later it becomes known
        ),
        max_size=8,
    ),
    drawn_late=st.lists(st.integers(0, 15), min_size=3, max_size=3),
    drawn_minor=st.integers(1000, 3000 * WAN),
    compound=st.booleans(),
    principal_first=st.booleans(),
)
def test_known_late_or_on_time_every_account_ends_the_same_on_every_value_date(
    paid: list[tuple[str, int, Fraction, int]],
    drawn_late: list[int],
    drawn_minor: int,
    compound: bool,
    principal_first: bool,
) -> None:
    waterfall = DEAL_2.default.waterfall
    if principal_first:
        waterfall = ("fee", "principal", "interest", "compound", "penalty")
    terms: FacilityTerms = replace(
        MONTHLY, default=replace(DEAL_2.default, compound=compound, waterfall=waterfall)
    )
    days = business_days(d("2024-03-18"), END)
    on_time, late = (requested(terms, drawn_minor) for _ in range(2))
    valued: dict[int, list[tuple[str, Fraction, int]]] = {}
    known = dict.fromkeys(BANKS, 0)
    for bank, at, share, delay in sorted(paid, key=lambda each: each[1]):
        known[bank] = max(known[bank], at + delay)
        valued.setdefault(at, []).append((bank, share, known[bank]))
    waiting: dict[int, list[tuple[str, int, date]]] = {}
    for index, on in enumerate(days):
        if index:
            on_time.until(on)
            late.until(on)
        for bank, after in zip(BANKS, drawn_late, strict=True):
            amount_minor = on_time.state.draws["d1"].requested.parts[bank]
            for play, moment in ((on_time, 0), (late, after)):
                if moment == index:
                    name = play.instruct("drawdown", bank, "qinghe", amount_minor, about="d1")
                    play.confirm(name, value_date=days[0])
        for bank, share, told in valued.get(index, ()):
            amount_minor = int(share * due_of(on_time, bank))
            if amount_minor:
                pay(on_time, bank, amount_minor)
                waiting.setdefault(told, []).append((bank, amount_minor, on))
        for bank, amount_minor, since in waiting.get(index, ()):
            pay(late, bank, amount_minor, valued=since)
    for told in sorted(moment for moment in waiting if moment >= len(days)):
        for bank, amount_minor, since in waiting[told]:
            pay(late, bank, amount_minor, valued=since)
    assert alike(on_time.state, late.state)
    assert late.folds_to_the_same()
    assert on_time.moved() == late.moved()
    for key, loan in late.state.loans.items():
        for name in ("penalty", "compound"):
            running = getattr(loan, name)
            assert running.posted_minor == round_half_up(running.exact), (key, name)


def requested(terms: FacilityTerms, drawn_minor: int) -> Play:
    """A draw of 2024-03-18, released by every bank and not paid out."""
    play = Play(terms, first_day=d("2024-03-18"))
    play.contracts()
    play.do(
        life.RequestDraw(
            draw="d1",
            amount_minor=drawn_minor,
            value_date=play.day,
            use_of_funds="working-capital",
            payment_mode="entrusted",
        )
    )
    for bank in BANKS:
        play.do(
            life.ApproveRelease(
                draw="d1", bank=bank, loan_no=f"{bank}-d1", maker="li", checker="wang"
            )
        )
    return play
