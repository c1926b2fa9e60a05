"""Each line of two sides in one outcome, with one cause; sums to the fen; no side preferred."""

import time
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.errors import WrongInput
from ledger.money import round_half_up
from syndicate.reconciliation import ageing, mapping, matching
from syndicate.reconciliation.causes import judge
from syndicate.reconciliation.mapping import ITEMS, PLAIN, VersionsBackwards
from syndicate.reconciliation.outcome import totals
from syndicate.reconciliation.record import Around
from syndicate.reconciliation.statement import BankStatement, Figure, Movement, Status
from tests.syndicate.reconciliation_case import (
    BASE_MINOR,
    LOAN,
    ON,
    OTHER,
    cash,
    figure,
    side,
    statement,
    status,
)

OWN_INTEREST = round_half_up(Fraction(BASE_MINOR * 92 * 375, 360 * 10_000))
BY_365 = round_half_up(Fraction(BASE_MINOR * 92 * 375, 365 * 10_000))
AT_345 = round_half_up(Fraction(BASE_MINOR * 92 * 345, 360 * 10_000))
NIGHT_MORE = round_half_up(Fraction(BASE_MINOR * 93 * 375, 360 * 10_000))


def booked(day: int) -> date:
    return date(2024, 9, day)


def test_sides_that_say_the_same_have_no_break() -> None:
    lines = (figure("principal", 5), status(3), cash(7, references=("R",)))
    assert {outcome.cause for outcome in judge(side(*lines), statement(*lines))} == {None}


FIGURES = [
    # ours                    theirs                             cause          because says
    (("principal", 500), ("principal", 501), "rounding", "one fen"),
    (("principal", 500), ("principal", 498), "unexplained", "no rate"),
    (("interest", OWN_INTEREST), ("interest", BY_365), "rate", "ACT/365F instead of ACT/360"),
    (("interest", OWN_INTEREST), ("interest", AT_345), "rate", "0.0345 instead of 0.0375"),
    (("interest", OWN_INTEREST), ("interest", NIGHT_MORE), "rate", "one night more"),
    (("interest", OWN_INTEREST), ("interest", OWN_INTEREST - 777), "unexplained", ""),
    (("principal", 333_333_334), ("principal", 333_300_000), "share", "0.3333"),
    (("principal", 333_333_334), ("principal", 166_666_667), "share", "1/6"),
    (("principal", 333_333_334), ("principal", 500_000_000), "share", "1/2"),
    (("principal", 333_333_334), ("principal", 1_000_000_000), "share", "the whole"),
    (("principal", 333_333_334), None, "missing", "bank's statement"),
    (None, ("overdue", 42), "missing", "our record"),
]


@pytest.mark.parametrize(("own", "stated", "cause", "says"), FIGURES)
def test_a_figure_that_differs_has_one_cause(
    own: tuple[str, int] | None, stated: tuple[str, int] | None, cause: str, says: str
) -> None:
    ours, theirs = ([figure(*each)] if each else [] for each in (own, stated))
    (outcome,) = judge(side(*ours), statement(*theirs))
    assert outcome.cause == cause
    assert says in outcome.because


def test_one_fen_on_every_loan_the_same_way_is_no_rounding() -> None:
    ours = [figure("interest", 5, loan) for loan in (LOAN, OTHER)]
    apart = judge(side(*ours), statement(figure("interest", 6), figure("interest", 4, OTHER)))
    together = judge(side(*ours), statement(figure("interest", 6), figure("interest", 6, OTHER)))
    assert [outcome.cause for outcome in apart] == ["rounding", "rounding"]
    assert [outcome.cause for outcome in together] == ["unexplained", "unexplained"]


def test_all_figures_of_a_neighbouring_day_are_a_difference_of_timing() -> None:
    before = Around(booked(29), {(LOAN, "principal"): 90, (LOAN, "interest"): 4}, {})
    ours = side(figure("principal", 80), figure("interest", 5), around=(before,))
    whole = judge(ours, statement(figure("principal", 90), figure("interest", 4)))
    assert [outcome.cause for outcome in whole] == ["timing", "timing"]
    assert "2024-09-29" in whole[0].because
    part = judge(ours, statement(figure("principal", 90), figure("interest", 7)))
    assert [outcome.cause for outcome in part] == ["unexplained", "unexplained"]


REF = ("R",)
MOVEMENTS = [
    # ours                        theirs                          causes          difference
    ([cash(7, 10, references=REF)], [cash(7, 11, references=REF)], ["timing"], 0),
    ([cash(7, 10, references=REF)], [cash(7, 12)], ["timing"], 0),
    ([cash(7, 10, references=REF)], [cash(7, 18)], ["missing", "missing"], 0),
    ([cash(7, references=REF, standing="instructed")], [cash(7, references=REF)], ["timing"], 7),
    ([cash(7, references=REF, standing="late")], [cash(7, references=REF)], ["timing"], 7),
    ([cash(7, references=REF, standing="early")], [cash(7, references=REF)], ["timing"], 7),
    ([cash(7, references=REF, standing="instructed")], [], [], 0),
    ([cash(7, references=REF)], [cash(8, references=REF)], ["rounding"], 1),
    ([cash(7, references=REF)], [cash(70, references=REF)], ["unexplained"], 63),
    ([cash(7, references=REF)], [], ["missing"], -7),
    ([cash(7, 30, references=REF)], [], ["timing"], -7),
    ([], [cash(7)], ["missing"], 7),
    ([cash(7)], [cash(7), cash(7, entry="e-2")], [None, "doubled"], 7),
    (
        [cash(7, 10, references=REF)],
        [cash(7, 10, references=REF), cash(7, 12, entry="e-2", references=REF)],
        [None, "doubled"],
        7,
    ),
    (
        [cash(7, references=REF), cash(7, references=REF, entry="e-2")],
        [cash(7, references=REF)],
        [None, "doubled"],
        -7,
    ),
    ([cash(7, references=REF)], [cash(7, references=("S",))], ["missing", "missing"], 0),
]


@pytest.mark.parametrize(("ours", "theirs", "causes", "difference"), MOVEMENTS)
def test_cash_that_differs_has_one_cause(
    ours: list[Movement], theirs: list[Movement], causes: list[str | None], difference: int
) -> None:
    outcomes = judge(side(*ours), statement(*theirs))
    assert [outcome.cause for outcome in outcomes] == causes
    assert sum(outcome.difference_minor for outcome in outcomes) == difference


def test_figures_follow_from_the_cash_that_differs() -> None:
    unconfirmed = cash(60, references=REF, standing="instructed")
    ours = side(figure("principal", 950), figure("interest", 20), unconfirmed)
    theirs = statement(figure("principal", 900), figure("interest", 10), cash(60, references=REF))
    outcomes = judge(ours, theirs)
    assert [outcome.cause for outcome in outcomes] == ["timing", "timing", "timing"]
    assert "not confirmed" in outcomes[0].because


def test_thousands_of_figures_and_movements_of_one_loan_are_judged_in_seconds() -> None:
    """A house book states any account and any loan: each figure named every movement there was."""
    lines = 8_000
    figures = [figure(f"a-{n}", (-1) ** n * 500) for n in range(lines)]
    moved = [cash(300 + n, entry=f"e-{n}") for n in range(lines)]
    figures[0] = figure("a-0", 500 - sum(one.amount_minor for one in moved))
    started = time.process_time()
    outcomes = judge(side(), statement(*figures, *moved))
    assert time.process_time() - started < 10
    follows = [one for one in outcomes if "follows from cash" in one.because]
    assert len(follows) == lines
    assert max(len(one.because) for one in follows) < 500


def test_thousands_of_equal_movements_are_told_from_their_doubles_in_seconds() -> None:
    lines = 6_000
    ours = [cash(300, 10, entry=f"o-{n}", references=(f"R-{n}",)) for n in range(lines)]
    theirs = [cash(300, 10, entry=f"t-{n}", references=(f"R-{n}",)) for n in range(lines)]
    more = [cash(300, 12, entry=f"x-{n}", references=(f"X-{n}",)) for n in range(lines)]
    started = time.process_time()
    outcomes = judge(side(*ours), statement(*theirs, *more))
    assert time.process_time() - started < 10
    assert [one.cause for one in outcomes].count("missing") == lines


STATUSES = [
    # ours                    theirs                             cause
    (status(3), status(3), None),
    (status(3), status(4), "timing"),
    (status(3), status(9), "unexplained"),
    (status(3), status(3, "special_mention"), "unexplained"),
    (status(3), None, "missing"),
    (None, status(3), "missing"),
]


@pytest.mark.parametrize(("own", "stated", "cause"), STATUSES)
def test_lateness_that_differs_has_one_cause(
    own: Status | None, stated: Status | None, cause: str | None
) -> None:
    ours, theirs = ([each] if each else [] for each in (own, stated))
    after = Around(booked(30), {}, {LOAN: (4, "normal")})
    (outcome,) = judge(side(*ours, around=(after,)), statement(*theirs))
    assert outcome.cause == cause
    assert outcome.difference_minor == 0


# ---- properties

loans = st.sampled_from((LOAN, OTHER))
small = st.integers(-6, 6)
references = st.sampled_from(((), ("A",), ("B",), ("A", "B")))
accounts = st.sampled_from(("principal", "overdue", "interest"))


@st.composite
def figure_lists(draw: st.DrawFn) -> list[Figure]:
    keys = draw(st.lists(st.tuples(loans, accounts), unique=True, max_size=6))
    return [figure(account, draw(small), loan) for loan, account in keys]


@st.composite
def movement_lists(draw: st.DrawFn, *, beside: bool = False) -> list[Movement]:
    standings = ("booked", "late", "early", "instructed") if beside else ("booked",)
    return [
        cash(
            draw(small.filter(bool)),
            draw(st.integers(8, 18)),
            entry=f"e-{number}",
            references=draw(references),
            loan_no=draw(loans),
            standing=draw(st.sampled_from(standings)),
        )
        for number in range(draw(st.integers(0, 7)))
    ]


@given(movement_lists(), movement_lists())
def test_matching_prefers_no_side(left: list[Movement], right: list[Movement]) -> None:
    one, other = matching.movements(left, right), matching.movements(right, left)
    assert Counter(map(repr, one.pairs)) == Counter(
        repr((ours, theirs)) for theirs, ours in other.pairs
    )
    assert (one.left, one.right) == (other.right, other.left)


@given(movement_lists(), st.randoms())
def test_the_order_of_lines_changes_nothing(lines: list[Movement], chance: object) -> None:
    shuffled = list(lines)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    against = [replace(line, entry=f"x-{line.entry}") for line in lines[::2]]
    assert matching.movements(shuffled, against) == matching.movements(lines, against)


@given(figure_lists(), figure_lists(), movement_lists(beside=True), movement_lists())
def test_every_line_lands_in_one_outcome_and_the_breaks_are_the_whole_difference(
    figures: list[Figure], stated: list[Figure], cash_here: list[Movement], there: list[Movement]
) -> None:
    theirs = BankStatement(figures=tuple(stated), statuses=(), movements=tuple(there))
    outcomes = judge(side(*figures, *cash_here), theirs)
    counted = [line for line in cash_here if line.standing == "booked"]
    entries = Counter(
        (o.line, o.loan_no, o.account, o.theirs.entry) for o in outcomes if o.theirs is not None
    )
    assert entries == Counter(
        [("balance", f.loan_no, f.account, None) for f in stated]
        + [("movement", m.loan_no, m.account, m.entry) for m in there]
    )
    ours = Counter(
        (o.line, o.loan_no, o.account, o.ours.entry)
        for o in outcomes
        if o.ours is not None and o.ours.standing in (None, "booked")
    )
    assert ours == Counter(
        [("balance", f.loan_no, f.account, None) for f in figures]
        + [("movement", m.loan_no, m.account, m.entry) for m in counted]
    )
    assert [o.number for o in outcomes] == list(range(1, len(outcomes) + 1))
    assert sum(o.difference_minor for o in outcomes) == sum(
        line.amount_minor for line in (*stated, *there)
    ) - sum(line.amount_minor for line in (*figures, *counted))
    for total in totals(outcomes):
        assert sum(total.explained.values()) == total.difference_minor
        assert total.theirs_minor - total.ours_minor == total.difference_minor
    for outcome in outcomes:
        assert (outcome.cause is None) <= (outcome.difference_minor == 0)
        assert (outcome.cause is None) == (outcome.because == "")


# ---- mapping, ageing


def test_the_version_valid_on_the_day_counts() -> None:
    codes = {item: f"13{number:02}" for number, item in enumerate(ITEMS)}
    first = mapping.next_version([], valid_from=booked(10), codes=codes)
    second = mapping.next_version([first], valid_from=booked(20), codes=codes)
    assert (first.version, second.version) == (1, 2)
    for day, expected in ((9, PLAIN), (10, first), (19, first), (20, second)):
        assert mapping.in_force([first, second], booked(day)) == expected
    with pytest.raises(VersionsBackwards):
        mapping.next_version([first, second], valid_from=booked(19), codes=codes)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"cash": "1301", "principal": "1301"}, "$.codes.cash"),
        ({"interest": " 1"}, "$.codes.interest"),
        ({"interest": ""}, "$.codes.interest"),
        ({"penalty": "x" * 41}, "$.codes.penalty"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(wrong: dict[str, str], place: str) -> None:
    codes = {**{item: item for item in ITEMS}, **wrong}
    with pytest.raises(WrongInput) as refused:
        mapping.next_version([], valid_from=ON, codes=codes)  # type: ignore[arg-type]
    assert refused.value.place == place


AGES = [
    # since                  until                working days        band
    (date(2024, 9, 30), date(2024, 9, 30), 0, "0-1"),
    (date(2024, 9, 27), date(2024, 9, 29), 1, "0-1"),  # Sunday 29 September was worked
    (date(2024, 9, 30), date(2024, 10, 7), 0, "0-1"),  # the national holiday
    (date(2024, 9, 30), date(2024, 10, 9), 2, "2-5"),
    (date(2024, 9, 2), date(2024, 9, 9), 5, "2-5"),
    (date(2024, 9, 2), date(2024, 9, 10), 6, "6-10"),
    (date(2024, 8, 1), date(2024, 9, 30), 42, "over 30"),
]


@pytest.mark.parametrize(("since", "until", "workdays", "band"), AGES)
def test_a_break_ages_in_working_days(since: date, until: date, workdays: int, band: str) -> None:
    assert ageing.workdays_between(since, until) == workdays
    assert ageing.band(workdays) == band
