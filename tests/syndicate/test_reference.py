"""Reference facts: loan prime rate, working days, day counts, identity numbers."""

import csv
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import WrongInput
from syndicate.reference import calendar, day_count, ids, lookups, lpr
from syndicate.reference.dates import month_end, months_after, parse_date
from tests.given import data_folder

DAY = timedelta(days=1)
TABLE_DAYS = st.dates(min_value=calendar.FIRST_DAY, max_value=calendar.LAST_DAY)


def rows(path: str) -> list[dict[str, str]]:
    with (data_folder() / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def every_day(first: date, last: date) -> list[date]:
    return [first + DAY * offset for offset in range((last - first).days + 1)]


# --- loan prime rate ---


def test_every_published_fixing_is_in_force_from_its_own_day_and_not_before() -> None:
    published = rows("lpr_calendar/lpr.csv")
    assert len(published) == 85
    earlier = None
    for row in published:
        day = date.fromisoformat(row["publish_date"])
        for tenor, column in (("1Y", "lpr_1y_pct"), ("5Y", "lpr_5y_pct")):
            fixing = lpr.lpr_in_force(tenor, day)  # type: ignore[arg-type]
            assert (fixing.fixed_on, fixing.rate) == (day, Fraction(row[column]) / 100)
        if earlier is not None:
            assert lpr.lpr_in_force("1Y", day - DAY).fixed_on == earlier
        earlier = day
    assert earlier == lpr.LAST_FIXING


def test_every_as_of_question_has_the_answer_of_the_data_set() -> None:
    for row in rows("lpr_calendar/lpr_asof.csv"):
        for tenor, column in (("1Y", "lpr_1y"), ("5Y", "lpr_5y")):
            answer = lookups.lpr_answer(tenor, row["as_of"])
            assert answer == {
                "rate": f"0.0{row[column].replace('.', '')}",
                "fixed_on": row["fixing_date"],
            }


def test_fixings_fall_on_the_20th_or_the_next_workday_but_for_the_disputed_one() -> None:
    off_rule = [
        row["publish_date"]
        for row in rows("lpr_calendar/lpr.csv")
        for day in [date.fromisoformat(row["publish_date"])]
        if lpr.publication_day(day.year, day.month) != day
    ]
    assert off_rule == ["2021-02-22"]


def test_before_the_first_fixing_there_is_no_rate() -> None:
    assert lpr.lpr_in_force("1Y", date(2019, 8, 20)).rate == Fraction(425, 10_000)
    with pytest.raises(lpr.BeforeFirstFixing):
        lpr.lpr_in_force("1Y", date(2019, 8, 19))
    with pytest.raises(WrongInput) as refusal:
        lookups.lpr_answer("1Y", "2019-08-19")
    assert refusal.value.place == "--as-of"


@pytest.mark.parametrize(
    ("as_of", "known"),
    [("2026-08-19", True), ("2026-08-20", True), ("2026-08-21", False), ("2030-01-01", False)],
)
def test_after_the_last_fixing_the_answer_says_when_it_goes_stale(as_of: str, known: bool) -> None:
    answer = lookups.lpr_answer("5Y", as_of)
    assert lpr.is_known(date.fromisoformat(as_of)) is known
    if known:
        assert "stale_after" not in answer
    else:
        # 20 September 2026 is a Sunday worked, so the next fixing is due on it.
        assert answer == {"rate": "0.0350", "fixed_on": "2026-08-20", "stale_after": "2026-09-19"}


@pytest.mark.parametrize("tenor", ["", "1y", "2Y", "5Y+", " 1Y", "LPR1Y"])
def test_another_tenor_is_wrong_input(tenor: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        lookups.lpr_answer(tenor, "2026-01-15")
    assert refusal.value.place == "--tenor"


# --- working days ---


def test_even_years_differ_from_monday_to_friday_exactly_as_the_data_set_says() -> None:
    exceptions = {
        date.fromisoformat(row["date"]): row["kind"] == "adjusted_workday"
        for row in rows("lpr_calendar/cn_calendar_exceptions.csv")
    }
    assert {day.year for day in exceptions} == {2018, 2020, 2022, 2024, 2026}
    for year in (2018, 2020, 2022, 2024, 2026):
        for day in every_day(date(year, 1, 1), date(year, 12, 31)):
            expected = exceptions.get(day, day.weekday() < 5)
            assert calendar.is_workday(day) is expected, day


# The spans of the notices, as they are worded: holidays first and last day, then weekend workdays.
NOTICES = {
    2019: (
        "01-01..01-01 02-04..02-10 04-05..04-05 05-01..05-04 06-07..06-07 09-13..09-13 "
        "10-01..10-07",
        "02-02 02-03 04-28 05-05 09-29 10-12",
    ),
    2021: (
        "01-01..01-03 02-11..02-17 04-03..04-05 05-01..05-05 06-12..06-14 09-19..09-21 "
        "10-01..10-07",
        "02-07 02-20 04-25 05-08 09-18 09-26 10-09",
    ),
    2023: (
        "01-01..01-02 01-21..01-27 04-05..04-05 04-29..05-03 06-22..06-24 09-29..10-06",
        "01-28 01-29 04-23 05-06 06-25 10-07 10-08",
    ),
    2025: (
        "01-01..01-01 01-28..02-04 04-04..04-06 05-01..05-05 05-31..06-02 10-01..10-08",
        "01-26 02-08 04-27 09-28 10-11",
    ),
}


@pytest.mark.parametrize("year", NOTICES)
def test_odd_years_follow_the_spans_of_their_notices(year: int) -> None:
    spans, weekends = NOTICES[year]
    off = {
        day
        for span in spans.split()
        for first, last in [span.split("..")]
        for day in every_day(
            date.fromisoformat(f"{year}-{first}"), date.fromisoformat(f"{year}-{last}")
        )
    }
    worked = {date.fromisoformat(f"{year}-{day}") for day in weekends.split()}
    for day in every_day(date(year, 1, 1), date(year, 12, 31)):
        expected = day in worked or (day not in off and day.weekday() < 5)
        assert calendar.is_workday(day) is expected, day


def test_a_table_entry_is_a_real_departure_and_every_year_has_its_source() -> None:
    arrangements = calendar.ARRANGEMENTS
    assert [arrangement.year for arrangement in arrangements] == list(range(2018, 2027))
    for arrangement in arrangements:
        assert all(day.weekday() < 5 for day in arrangement.off)
        assert all(day.weekday() >= 5 for day in arrangement.worked)
        assert all("国办发明电〔" in notice for notice in arrangement.notices)


@pytest.mark.parametrize("day", [date(2017, 12, 31), date(2027, 1, 1), date(9999, 12, 31)])
def test_a_day_outside_the_table_is_refused_and_never_guessed(day: date) -> None:
    questions = (
        calendar.is_workday,
        calendar.next_workday,
        calendar.previous_workday,
        calendar.following,
        calendar.modified_following,
    )
    for question in questions:
        with pytest.raises(calendar.BeyondCalendar) as refusal:
            question(day)
        assert refusal.value.code == "beyond-calendar"
    with pytest.raises(WrongInput) as wrong:
        lookups.calendar_answer(day.isoformat())
    assert wrong.value.place == "DATE"


def test_the_last_day_of_the_table_has_no_next_workday_and_the_first_none_before() -> None:
    last = lookups.calendar_answer("2026-12-31")
    assert (last["workday"], last["next_workday"]) == (True, None)
    assert lookups.calendar_answer("2026-12-30")["next_workday"] == "2026-12-31"
    with pytest.raises(calendar.BeyondCalendar):
        calendar.next_workday(calendar.LAST_DAY)
    with pytest.raises(calendar.BeyondCalendar):
        calendar.previous_workday(date(2018, 1, 2))


@pytest.mark.parametrize(
    ("asked", "workday", "next_workday"),
    [
        ("2026-02-13", True, "2026-02-14"),  # the Saturday after it is worked
        ("2026-02-14", True, "2026-02-24"),  # nine days of Spring Festival
        ("2026-02-24", True, "2026-02-25"),
        ("2025-01-26", True, "2025-01-27"),
        ("2025-09-27", False, "2025-09-28"),
    ],
)
def test_the_next_workday_is_strictly_after(asked: str, workday: bool, next_workday: str) -> None:
    answer = lookups.calendar_answer(asked)
    assert (answer["date"], answer["workday"], answer["next_workday"]) == (
        asked,
        workday,
        next_workday,
    )
    assert "国务院办公厅" in answer["source"]


@given(TABLE_DAYS)
def test_no_workday_lies_between_a_day_and_its_next(day: date) -> None:
    try:
        after = calendar.next_workday(day)
    except calendar.BeyondCalendar:
        assert not any(
            calendar.is_workday(other) for other in every_day(day + DAY, calendar.LAST_DAY)
        )
        return
    assert day < after
    assert calendar.is_workday(after)
    assert not any(calendar.is_workday(other) for other in every_day(day + DAY, after - DAY))
    if calendar.is_workday(day):
        assert calendar.previous_workday(after) == day


@given(st.dates(min_value=date(2018, 3, 1), max_value=date(2026, 10, 1)), st.integers(-20, 20))
def test_workdays_added_are_workdays_counted(day: date, count: int) -> None:
    reached = calendar.add_workdays(day, count)
    if count == 0:
        assert reached == day
        return
    first, last = (day + DAY, reached) if count > 0 else (reached, day - DAY)
    assert calendar.is_workday(reached)
    assert sum(calendar.is_workday(other) for other in every_day(first, last)) == abs(count)


@pytest.mark.parametrize(
    ("day", "following", "modified"),
    [
        (date(2026, 2, 14), date(2026, 2, 14), date(2026, 2, 14)),
        (date(2026, 2, 15), date(2026, 2, 24), date(2026, 2, 24)),
        (date(2026, 5, 31), date(2026, 6, 1), date(2026, 5, 29)),
        (date(2023, 9, 30), date(2023, 10, 7), date(2023, 9, 28)),
    ],
)
def test_due_dates_roll_as_the_convention_says(day: date, following: date, modified: date) -> None:
    assert calendar.following(day) == following
    assert calendar.modified_following(day) == modified
    assert calendar.roll(day, "following").on == following
    assert calendar.roll(day, "modified_following").on == modified
    assert calendar.roll(day, "none").on == day


@given(TABLE_DAYS)
def test_modified_following_stays_in_the_month(day: date) -> None:
    rolled = calendar.modified_following(day)
    assert (rolled.year, rolled.month) == (day.year, day.month)
    assert calendar.is_workday(rolled)
    assert calendar.roll(day, "modified_following") == calendar.Rolled(on=rolled, provisional=False)


@pytest.mark.parametrize(
    ("day", "on", "provisional"),
    [
        (date(2026, 12, 31), date(2026, 12, 31), False),
        (date(2027, 1, 1), date(2027, 1, 1), True),  # a holiday surely, but not announced
        (date(2027, 1, 30), date(2027, 1, 29), True),
        (date(2017, 12, 31), date(2017, 12, 29), True),
    ],
)
def test_a_plan_past_the_table_knows_weekends_only_and_says_so(
    day: date, on: date, provisional: bool
) -> None:
    rolled = calendar.roll(day, "modified_following")
    assert rolled == calendar.Rolled(on=on, provisional=provisional)


def test_an_unknown_convention_is_wrong_input() -> None:
    with pytest.raises(WrongInput):
        calendar.roll(date(2026, 1, 1), "preceding")  # type: ignore[arg-type]


# --- dates ---


NO_DATES = (
    *("", "2026-1-1", "20260101", "2026-02-29", "2026-13-01", "2026-01-01T00:00:00", " 2026-01-01"),
    *("2026-01-01\n", "２026-01-01", "2026-W01-1", "0000-01-01", "26-01-01", "2026/01/01", None, 5),
)


@pytest.mark.parametrize("text", NO_DATES)
def test_a_date_is_written_one_way_only(text: Any) -> None:
    with pytest.raises(WrongInput) as refusal:
        parse_date(text, place="--on")
    assert refusal.value.place == "--on"


@pytest.mark.parametrize(
    ("day", "later"),
    [
        ("2026-01-15", "2026-02-15"),
        ("2026-01-30", "2026-02-28"),
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2024-02-28", "2024-03-28"),
        ("2024-02-29", "2024-03-31"),
        ("2026-04-30", "2026-05-31"),
        ("2026-12-31", "2027-01-31"),
    ],
)
def test_a_month_later_goes_month_end_to_month_end(day: str, later: str) -> None:
    assert months_after(date.fromisoformat(day), 1) == date.fromisoformat(later)


@given(st.dates(max_value=date(9000, 1, 1)), st.integers(0, 240))
def test_months_later_is_so_many_months_later(day: date, months: int) -> None:
    later = months_after(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == day.day or later == month_end(later)


# --- identity numbers ---


@pytest.mark.parametrize(
    ("path", "column", "check"),
    [("ids/uscc.csv", "code", ids.check_uscc), ("ids/lei.csv", "lei", ids.check_lei)],
)
def test_every_code_of_the_data_set_is_judged_as_it_says(
    path: str, column: str, check: Any
) -> None:
    for row in rows(path):
        verdict = check(row[column])
        assert verdict.valid is (row["expected"] == "valid"), row
        assert bool(verdict.reason) is not verdict.valid


USCC, LEI = "91330200711192037M", "300300C1031633000208"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: code.lower(),
        lambda code: f" {code}",
        lambda code: f"{code} ",
        lambda code: f"{code}\n",
        lambda code: f"{code[:4]}-{code[4:]}",
        lambda code: f"{code[:4]} {code[4:]}",
        lambda code: code.replace("3", "３", 1),
        lambda code: code.replace("0", "٠", 1),
        lambda code: code[:-1],
        lambda code: code + "0",
        lambda code: " ",
        lambda code: "\x00",
    ],
)
def test_nothing_is_normalised(spoil: Any) -> None:
    for code, answer in ((USCC, lookups.uscc_answer), (LEI, lookups.lei_answer)):
        assert answer(code) == (True, {"valid": True})
        valid, document = answer(spoil(code))
        assert valid is False
        assert document["valid"] is False
        assert document["reason"].isascii()
        assert "\n" not in document["reason"]


def test_an_empty_code_is_wrong_input() -> None:
    for answer in (lookups.uscc_answer, lookups.lei_answer):
        with pytest.raises(WrongInput) as refusal:
            answer("")
        assert refusal.value.place == "CODE"


@given(st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_breaks_a_social_credit_code(position: int, character: str) -> None:
    spoiled = USCC[:position] + character + USCC[position + 1 :]
    assert ids.check_uscc(spoiled).valid is (spoiled == USCC)


@given(
    st.sampled_from([i for i, c in enumerate(LEI) if c.isdigit()]), st.sampled_from("0123456789")
)
def test_one_wrong_digit_breaks_an_entity_identifier(position: int, digit: str) -> None:
    spoiled = LEI[:position] + digit + LEI[position + 1 :]
    assert ids.check_lei(spoiled).valid is (spoiled == LEI)


def test_a_village_collective_registered_under_n_has_a_code() -> None:
    body = "N233010600000000A"
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    weights = [3**power % 31 for power in range(17)]
    total = sum(letters.index(char) * weight for char, weight in zip(body, weights, strict=True))
    assert ids.check_uscc(body + letters[-total % 31]).valid
    assert not ids.check_uscc("B" + body[1:] + letters[-total % 31]).valid


@pytest.mark.parametrize(("due", "alias"), [("97", "00"), ("98", "01"), ("02", "99")])
def test_check_digits_that_are_never_issued_are_invalid(due: str, alias: str) -> None:
    for number in range(10_000):
        body = f"300300C103163300{number:02d}"[:18].ljust(18, "0")
        body = f"{body[:14]}{number:04d}"
        expanded = "".join(str(int(char, 36)) for char in body)
        if f"{98 - int(expanded + '00') % 97:02d}" == due:
            assert ids.check_lei(body + due).valid
            assert not ids.check_lei(body + alias).valid
            return
    pytest.fail(f"no body with check digits {due}")


# --- day counts ---


def test_every_published_day_count_is_met() -> None:
    met = 0
    for row in rows("daycount_amort/daycount.csv"):
        start, end = date.fromisoformat(row["start"]), date.fromisoformat(row["end"])
        expected = row["expected(days for 30/360; year fraction for ACT/ACT)"]
        match row["convention"]:
            case "30E/360":
                days = day_count.year_fraction("30E/360", start, end) * 360
            case "30/360_BOND_BASIS":
                days = day_count.year_fraction("30/360", start, end) * 360
            case "30E/360_ISDA":
                termination = date.fromisoformat(row["termination"])
                days = 360 * day_count.year_fraction_30e_360_isda(
                    start, end, termination=termination
                )
            case "ACT/ACT_ISDA":
                days = day_count.year_fraction("ACT/ACT ISDA", start, end)
            case "ACT/ACT_ICMA":
                days = day_count.year_fraction_act_act_icma(
                    start,
                    end,
                    period_start=date.fromisoformat(row["ref_start"]),
                    period_end=date.fromisoformat(row["ref_end"]),
                )
            case "ACT/ACT_AFB":
                days = day_count.year_fraction_act_act_afb(start, end)
            case other:
                pytest.fail(other)
        # Days are whole; the year fractions are printed to ten places.
        tolerance = Fraction(1, 10**10) if "." in expected else 0
        assert abs(days - Fraction(expected)) <= tolerance, row
        met += 1
    assert met == 60


@pytest.mark.parametrize(
    ("convention", "start", "end", "exact"),
    [
        ("ACT/360", date(2026, 1, 15), date(2026, 1, 16), Fraction(1, 360)),
        ("ACT/360", date(2024, 2, 28), date(2024, 3, 1), Fraction(2, 360)),
        ("ACT/360", date(2025, 1, 1), date(2026, 1, 1), Fraction(365, 360)),
        ("ACT/365F", date(2024, 1, 1), date(2025, 1, 1), Fraction(366, 365)),
        ("30E/360", date(2026, 1, 20), date(2026, 2, 20), Fraction(1, 12)),
        ("30E/360", date(2026, 1, 31), date(2026, 3, 31), Fraction(1, 6)),
    ],
)
def test_the_first_day_counts_and_the_last_does_not(
    convention: Any, start: date, end: date, exact: Fraction
) -> None:
    assert day_count.year_fraction(convention, start, end) == exact
    assert day_count.year_fraction(convention, start, start) == 0
    with pytest.raises(WrongInput):
        day_count.year_fraction(convention, end, start)


@given(TABLE_DAYS, TABLE_DAYS, TABLE_DAYS)
@settings(max_examples=50)
def test_actual_counts_of_two_stretches_add_up(a: date, b: date, c: date) -> None:
    first, middle, last = sorted((a, b, c))
    for convention in ("ACT/360", "ACT/365F", "30E/360", "ACT/ACT ISDA"):
        whole = day_count.year_fraction(convention, first, last)
        parts = day_count.year_fraction(convention, first, middle) + day_count.year_fraction(
            convention, middle, last
        )
        assert whole == parts


def test_an_unknown_day_count_is_wrong_input() -> None:
    with pytest.raises(WrongInput):
        day_count.year_fraction("ACT/364", date(2026, 1, 1), date(2026, 2, 1))  # type: ignore[arg-type]
