"""Rates at draw and reset; exact accrual by difference; the waterfall."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.money import round_half_up
from syndicate.facility import interest, loans
from syndicate.facility.errors import FixingUnknown, OverPayment, RateNotPositive
from syndicate.facility.facts import AccrualLine
from syndicate.facility.terms import CHARGES
from syndicate.facility.waterfall import Owed, meet
from tests.syndicate.facility_case import DEAL_1, DEAL_2


def d(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("lpr_as_of", "from_date", "base_rate", "fixed_on", "why"),
    [
        ("same_day", "2024-10-20", "0.0335", "2024-09-20", "the day before a publication"),
        ("same_day", "2024-10-21", "0.0310", "2024-10-21", "on it"),
        ("same_day", "2024-10-22", "0.0310", "2024-10-21", "the day after"),
        ("day_before", "2024-10-21", "0.0335", "2024-09-20", "the day before was another rate"),
        ("day_before", "2024-10-22", "0.0310", "2024-10-21", "now the day before is it"),
        ("same_day", "2025-03-18", "0.0310", "2025-02-20", "deal 2's reset, from 3.45 % before"),
    ],
)
def test_a_rate_is_the_fixing_of_the_day_agreed_and_the_spread(
    lpr_as_of: Any, from_date: str, base_rate: str, fixed_on: str, why: str
) -> None:
    terms = replace(DEAL_2, rate=replace(DEAL_2.rate, lpr_as_of=lpr_as_of))
    fixed = interest.fixed_rate(terms, draw="d1", from_date=d(from_date))
    assert (fixed.base_rate, fixed.fixed_on) == (base_rate, d(fixed_on)), why
    assert Fraction(fixed.rate) == Fraction(base_rate) + Fraction(30, 10_000)


def test_a_five_year_base_takes_the_five_year_fixing() -> None:
    terms = replace(DEAL_2, rate=replace(DEAL_2.rate, base="LPR5Y"))
    assert interest.fixed_rate(terms, draw="d1", from_date=d("2024-03-18")).base_rate == "0.0395"


def test_a_fixing_that_may_not_be_in_the_table_is_never_guessed() -> None:
    assert interest.fixed_rate(DEAL_2, draw="d1", from_date=d("2026-09-19")).rate == "0.0330"
    with pytest.raises(FixingUnknown):
        interest.fixed_rate(DEAL_2, draw="d1", from_date=d("2026-09-20"))
    day_before = interest.fixed_rate(DEAL_1, draw="d1", from_date=d("2026-09-20"))
    assert day_before.fixed_on == d("2026-08-20")


def test_a_spread_that_leaves_no_rate_is_refused() -> None:
    def spread(spread_bp: int) -> Any:
        return replace(DEAL_2, rate=replace(DEAL_2.rate, spread_bp=spread_bp))

    assert interest.fixed_rate(spread(-344), draw="d1", from_date=d("2024-03-18")).rate == "0.0001"
    with pytest.raises(RateNotPositive):
        interest.fixed_rate(spread(-345), draw="d1", from_date=d("2024-03-18"))


def test_a_rate_first_shows_on_the_value_date_after_its_day() -> None:
    rates = tuple(
        interest.fixed_rate(DEAL_2, draw="d1", from_date=d(day))
        for day in ("2024-03-18", "2025-03-18")
    )
    assert interest.rate_of_night(rates, d("2024-03-19")) == "0.0375"
    assert interest.rate_of_night(rates, d("2025-03-17")) == "0.0375"
    assert interest.rate_of_night(rates, d("2025-03-18")) == "0.0375", "the night 17 -> 18"
    assert interest.rate_of_night(rates, d("2025-03-19")) == "0.0340", "the night 18 -> 19"


@pytest.mark.parametrize(
    ("exact", "text"),
    [("0.0365", "0.0365"), ("1/20", "0.0500"), ("0.05625", "0.05625"), ("-1/200", "-0.0050")],
)
def test_rates_are_written_as_exact_decimals(exact: str, text: str) -> None:
    assert interest.decimal_text(Fraction(exact)) == text


@given(numerator=st.integers(0, 10**12), places=st.integers(0, 12))
def test_a_written_rate_reads_back_exactly(numerator: int, places: int) -> None:
    exact = Fraction(numerator, 10**places)
    assert Fraction(interest.decimal_text(exact)) == exact


def test_penalty_is_the_rate_times_the_multiple() -> None:
    assert interest.penalty_rate("0.0375", DEAL_2) == "0.05625"


nights = st.lists(
    st.tuples(st.integers(0, 10**13), st.integers(0, 10**10), st.integers(0, 10**9)),
    min_size=1,
    max_size=120,
)


@given(bases=nights, basis=st.sampled_from(["ACT/360", "ACT/365F"]))
def test_what_is_posted_sums_to_the_exact_amount_rounded_once(
    bases: list[tuple[int, int, int]], basis: Any
) -> None:
    loan, day = loans.released(draw="d1", bank="cib", loan_no="1", amount_minor=1), d("2025-01-01")
    for principal_minor, overdue_minor, unpaid_minor in bases:
        day += timedelta(days=1)

        def grown(before: loans.Running, base_minor: int, rate: str, on: date = day) -> int:
            step = interest.night(base_minor, rate=rate, day=on, day_count=basis)
            return interest.posting(before.exact + step, posted_minor=before.posted_minor)

        line = AccrualLine(
            draw="d1",
            bank="cib",
            principal_minor=principal_minor,
            overdue_minor=overdue_minor,
            unpaid_interest_minor=unpaid_minor,
            rate="0.0365",
            penalty_rate="0.05475",
            interest_minor=grown(loan.running, principal_minor, "0.0365"),
            penalty_minor=grown(loan.penalty, overdue_minor, "0.05475"),
            compound_minor=grown(loan.compound, unpaid_minor, "0.05475"),
        )
        assert min(line.interest_minor, line.penalty_minor, line.compound_minor) >= 0
        loan = loans.accrued(loan, line, day=day, period=0, day_count=basis)
    days = 360 if basis == "ACT/360" else 365
    for index, (running, rate) in enumerate(
        [(loan.running, "0.0365"), (loan.penalty, "0.05475"), (loan.compound, "0.05475")]
    ):
        exact = sum(Fraction(base[index]) for base in bases) * Fraction(rate) / days
        assert running.exact == exact
        assert running.posted_minor == round_half_up(exact)
    assert loan.interest_minor == loan.running.posted_minor
    for kind, index in (("interest", 0), ("penalty", 1), ("compound", 2)):
        stretches = [line for line in loan.segments if line.kind == kind]
        nights_in = sum((line.until - line.since).days * line.base_minor for line in stretches)
        assert nights_in == sum(base[index] for base in bases), "the explanation misses no night"


# -- the waterfall ------------------------------------------------------------------------------


def owed(charge: Any, amount_minor: int, due: str | None = None, overdue: bool = False) -> Owed:
    return Owed(
        charge=charge,
        due=None if due is None else d(due),
        overdue=overdue,
        amount_minor=amount_minor,
    )


ARREARS = (
    owed("principal", 1000, "2025-12-20", True),
    owed("interest", 50, "2025-12-20", True),
    owed("principal", 900, "2025-09-20", True),
    owed("interest", 70, "2025-09-20", True),
    owed("penalty", 30),
    owed("compound", 5),
)


@pytest.mark.parametrize(
    ("paid_minor", "met"),
    [
        (4, [("compound", None, 4)]),
        (5, [("compound", None, 5)]),
        (36, [("compound", None, 5), ("penalty", None, 30), ("interest", "2025-09-20", 1)]),
        (
            156,
            [
                ("compound", None, 5),
                ("penalty", None, 30),
                ("interest", "2025-09-20", 70),
                ("interest", "2025-12-20", 50),
                ("principal", "2025-09-20", 1),
            ],
        ),
    ],
)
def test_kind_comes_before_age_and_age_before_the_rest(
    paid_minor: int, met: list[tuple[str, str | None, int]]
) -> None:
    found = meet(paid_minor, ARREARS, DEAL_2.default.waterfall)
    told = [
        (part.charge, None if part.due is None else str(part.due), part.amount_minor)
        for part in found
    ]
    assert told == met


def test_an_agreement_may_put_principal_first() -> None:
    order = ("principal", "interest", "penalty", "compound", "fee")
    assert meet(901, ARREARS, order)[0].due == d("2025-09-20")
    assert [part.charge for part in meet(1970, ARREARS, order)] == [
        *("principal", "principal", "interest"),
    ]


def test_a_surplus_is_refused_by_name() -> None:
    assert sum(part.amount_minor for part in meet(2055, ARREARS, CHARGES)) == 2055
    with pytest.raises(OverPayment) as refusal:
        meet(2056, ARREARS, CHARGES)
    assert refusal.value.fields["surplus_minor"] == 1
    with pytest.raises(OverPayment):
        meet(1, (), CHARGES)


@given(
    debts=st.lists(
        st.tuples(
            st.sampled_from(CHARGES),
            st.integers(0, 10**12),
            st.dates(d("2024-01-01"), d("2027-01-01")),
        ),
        max_size=12,
    ),
    order=st.permutations(CHARGES),
    share=st.fractions(0, 1),
)
def test_what_is_met_sums_to_the_payment_and_leaves_nothing_older_unmet(
    debts: list[tuple[Any, int, date]], order: list[Any], share: Fraction
) -> None:
    standing = [
        Owed(charge=charge, due=due, overdue=False, amount_minor=amount_minor)
        for charge, amount_minor, due in debts
        if amount_minor
    ]
    paid_minor = int(share * sum(debt.amount_minor for debt in standing))
    met = meet(paid_minor, standing, order)
    assert sum(part.amount_minor for part in met) == paid_minor
    assert all(part.amount_minor > 0 for part in met)
    if met:
        last = (order.index(met[-1].charge), met[-1].due)
        before = [debt for debt in standing if (order.index(debt.charge), debt.due) < last]
        assert sum(debt.amount_minor for debt in before) <= paid_minor
        assert len(met) >= len(before)
