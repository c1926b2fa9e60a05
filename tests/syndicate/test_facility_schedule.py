"""Due dates, repayment plans and reset dates of a draw."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from syndicate.facility import schedule
from tests.syndicate.facility_case import DEAL_1, DEAL_2

QUARTERLY = DEAL_2.repayment
MONTHLY = replace(QUARTERLY, frequency="monthly")


def d(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("drawn", "first", "why"),
    [
        ("2024-03-18", "2024-06-20", "two days to 20 March: merged into the next"),
        ("2025-09-26", "2025-12-20", "20 September is past"),
        ("2026-01-23", "2026-03-20", "nearly two months"),
        ("2024-02-19", "2024-03-20", "the day before: a month and a day"),
        ("2024-02-20", "2024-03-20", "exactly a month is long enough"),
        ("2024-02-21", "2024-06-20", "a day short of a month"),
        ("2024-03-20", "2024-06-20", "drawn on a payment day"),
    ],
)
def test_the_first_due_date_is_a_month_or_more_after_the_draw(
    drawn: str, first: str, why: str
) -> None:
    assert schedule.due_dates(d(drawn), QUARTERLY)[0] == d(first), why


def test_three_years_from_2024_03_18_have_twelve_due_dates_the_last_at_maturity() -> None:
    dates = schedule.due_dates(d("2024-03-18"), QUARTERLY)
    assert [str(day) for day in dates] == [
        *("2024-06-20", "2024-09-20", "2024-12-20"),
        *("2025-03-20", "2025-06-20", "2025-09-20", "2025-12-20"),
        *("2026-03-20", "2026-06-20", "2026-09-20", "2026-12-20", "2027-03-18"),
    ]


def test_monthly_due_dates_fall_on_the_last_day_of_shorter_months() -> None:
    terms = replace(MONTHLY, payment_day=31, tenor_months=4)
    assert [str(day) for day in schedule.due_dates(d("2025-12-31"), terms)] == [
        *("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"),
    ]


@pytest.mark.parametrize(
    ("start", "months", "maturity"),
    [
        ("2024-03-18", 36, "2027-03-18"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2025-02-28", 36, "2028-02-28"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2024-12-31", 12, "2025-12-31"),
    ],
)
def test_the_maturity_is_the_same_day_of_the_month(start: str, months: int, maturity: str) -> None:
    assert schedule.maturity(d(start), tenor_months=months) == d(maturity)


@pytest.mark.parametrize(
    ("unadjusted", "due_on", "provisional", "why"),
    [
        ("2025-09-20", "2025-09-22", False, "a Saturday"),
        ("2026-06-20", "2026-06-22", False, "a Saturday after the Dragon Boat holiday"),
        ("2026-09-20", "2026-09-20", False, "a Sunday that is worked"),
        ("2026-12-20", "2026-12-21", False, "the last year the table knows"),
        ("2027-03-20", "2027-03-22", True, "past the table: weekends alone"),
        ("2027-03-18", "2027-03-18", True, "a Thursday past the table is still a guess"),
    ],
)
def test_a_due_date_moves_to_a_business_day(
    unadjusted: str, due_on: str, provisional: bool, why: str
) -> None:
    moved = schedule.adjusted(d(unadjusted), "following")
    assert (moved.on, moved.provisional) == (d(due_on), provisional), why


def test_a_period_closes_early_where_its_due_date_moves_back() -> None:
    assert schedule.closes_on(d("2026-01-31"), "modified_following") == d("2026-01-30")
    assert schedule.closes_on(d("2026-01-31"), "following") == d("2026-01-31")
    assert schedule.closes_on(d("2026-01-31"), "none") == d("2026-01-31")


def test_rates_are_reset_on_anniversaries_before_the_maturity() -> None:
    def resets(start: str, months: int) -> list[str]:
        found = schedule.reset_dates(d(start), tenor_months=months, terms=DEAL_2.rate)
        return [str(day) for day in found]

    assert resets("2024-03-18", 36) == ["2025-03-18", "2026-03-18"]
    assert resets("2024-03-18", 37) == ["2025-03-18", "2026-03-18", "2027-03-18"]
    assert resets("2024-02-29", 24) == ["2025-02-28"]
    assert resets("2024-03-18", 12) == []
    never = replace(DEAL_2.rate, reset="none")
    assert schedule.reset_dates(d("2024-03-18"), tenor_months=36, terms=never) == ()


def test_a_bullet_repays_everything_at_maturity() -> None:
    plan = schedule.plan(d("2025-09-26"), amount_minor=8_000_000_00, terms=DEAL_1.repayment)
    assert [line.principal_minor for line in plan[:-1]] == [0] * (len(plan) - 1)
    assert plan[-1].principal_minor == 8_000_000_00
    assert plan[-1].unadjusted == d("2028-09-26")


@given(
    amount_minor=st.integers(1, 10**13),
    count=st.integers(1, 360),
    kind=st.sampled_from(["bullet", "equal_principal"]),
)
def test_instalments_sum_to_the_loan_and_none_is_negative(
    amount_minor: int, count: int, kind: str
) -> None:
    parts = schedule.principal_parts(amount_minor, count=count, kind=kind)  # type: ignore[arg-type]
    assert sum(parts) == amount_minor
    assert len(parts) == count
    assert min(parts) >= 0


@given(amount_minor=st.integers(1, 10**13), count=st.integers(1, 360))
def test_equal_principal_never_drifts(amount_minor: int, count: int) -> None:
    parts = schedule.principal_parts(amount_minor, count=count, kind="equal_principal")
    repaid = 0
    for k, part in enumerate(parts, start=1):
        repaid += part
        assert abs(repaid - Fraction(amount_minor * k, count)) <= Fraction(1, 2)


@given(
    start=st.dates(date(2019, 1, 1), date(2035, 12, 31)),
    tenor_months=st.integers(1, 360),
    payment_day=st.integers(1, 31),
    frequency=st.sampled_from(["monthly", "quarterly"]),
)
def test_due_dates_rise_from_a_month_after_the_draw_to_the_maturity(
    start: date, tenor_months: int, payment_day: int, frequency: str
) -> None:
    terms = replace(
        QUARTERLY, tenor_months=tenor_months, payment_day=payment_day, frequency=frequency
    )
    dates = schedule.due_dates(start, terms)
    assert list(dates) == sorted(set(dates))
    assert dates[-1] == schedule.maturity(start, tenor_months=tenor_months)
    assert all(day >= schedule.months_on(start, 1) for day in dates)
    for day in dates[:-1]:
        assert day.day == payment_day or (day.day < payment_day and day.day >= 28)
        assert frequency == "monthly" or day.month in schedule.QUARTER_MONTHS
