"""The end of the business day: one order, each day by itself, taken up wherever it was cut off."""

import asyncio
import contextlib
import random
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from msgspec.structs import replace

from api import end_of_day
from api.database import SERVICE
from ledger import service as ledger
from ledger.money import round_half_up
from ledger.publishing import TOP
from ledger.verify import verify
from syndicate.reference.calendar import is_workday, next_workday
from tests.api.test_ledger_queries import unpacked
from tests.facility_house import Deal, formed
from tests.house import FIRST_DAY, House
from tests.stories import table
from tests.syndicate.facility_case import DEAL_2, WAN

EARLY = replace(DEAL_2, signed_on=FIRST_DAY)


async def funded(house: House) -> Deal:
    """Deal 2, drawn whole on the house's first day."""
    deal = await formed(house, EARLY)
    await deal.fund("d1", 3000 * WAN)
    return deal


async def subjects(house: House, book: str, kind: str) -> list[dict[str, Any]]:
    """What the book's records of a kind say, in log order."""
    async with house.installation.database.transaction(SERVICE, read_only=True) as conn:
        return [row.subject for row in await ledger.facts(conn, book=book, kinds=[kind])]


async def accrued(house: House) -> list[date]:
    """The calendar days whose interest is posted, in log order."""
    return [
        date.fromisoformat(subject["day"])
        for subject in await subjects(house, EARLY.facility, "transaction")
        if subject["type"] == "InterestAccrued"
    ]


async def sealed(house: House, book: str) -> list[date]:
    return [date.fromisoformat(seal["day"]) for seal in await subjects(house, book, "seal")]


async def balances(deal: Deal) -> dict[tuple[str, ...], int]:
    await deal.house.publish()
    found = await deal.get_book("auditor-auditor", "balances")
    assert found["sums_minor"] == {"CNY": 0}
    return {
        (line["party"], line["code"], line["counterparty"], line["ref"]): line["balance_minor"]
        for line in found["balances"]
    }


def days(since: date, until: date) -> list[date]:
    """Every calendar day after the first, the last included."""
    return [since + timedelta(days=number) for number in range(1, (until - since).days + 1)]


async def test_days_close_one_by_one_each_sealed_and_every_night_accrued_once(
    house: House,
) -> None:
    deal = await funded(house)
    assert await deal.open_day() == "2024-03-01"
    answer = await deal.close_through("2024-04-07")  # a working Sunday, between two holidays
    last = date.fromisoformat(answer["open_day"])
    assert last == date(2024, 4, 8)
    worked = [FIRST_DAY, *(day for day in days(FIRST_DAY, last) if is_workday(day))]
    assert answer["days_closed"] == len(worked) - 1
    assert await accrued(house) == days(FIRST_DAY, last)
    assert await sealed(house, EARLY.facility) == worked[:-1]
    assert await sealed(house, "registry") == [FIRST_DAY], "a quiet book needs one seal"
    assert await sealed(house, TOP) == []
    async with house.installation.database.transaction(SERVICE, read_only=True) as conn:
        open_days = {row.book: row.open_day for row in await ledger.books(conn)}
    assert open_days == {TOP: FIRST_DAY, "registry": last, EARLY.facility: last}
    assert verify(await unpacked(house), None).verified


async def test_asking_again_or_for_a_day_long_closed_does_no_harm(house: House) -> None:
    deal = await funded(house)
    operator = house["operator"]
    body = {"through": "2024-03-05"}
    first = await operator.post("/v1/business-days", body, key="close-to-the-fifth")
    assert first == {"open_day": "2024-03-06", "days_closed": 3}
    before = await balances(deal)
    assert await operator.post("/v1/business-days", body, key="close-to-the-fifth") == first
    for through in ("2024-03-05", "2024-03-01", "1999-01-01"):
        again = await deal.close_through(through)
        assert again == {"open_day": "2024-03-06", "days_closed": 0}
    weekend = await deal.close_through("2024-03-09")
    assert weekend == {"open_day": "2024-03-11", "days_closed": 3}
    await deal.close_through("2024-03-10")
    assert await deal.open_day() == "2024-03-11"
    assert len(await accrued(house)) == 10
    assert await balances(deal) != before


async def test_only_the_operator_closes_days_and_not_too_many_at_once(house: House) -> None:
    deal = Deal(house, EARLY)
    body = {"through": "2024-03-05"}
    for person in ("hzbank-officer", "auditor-auditor", "qinghe-borrower"):
        refused = await house[person].post("/v1/business-days", body, expect=403)
        assert refused["code"] == "role-not-held"
        assert (await house[person].get("/v1/business-days"))["open_day"] == "2024-03-01"
    far = await deal.close_through("2024-12-31", expect=422)
    assert (far["place"], far["code"]) == ("$.through", "wrong-input")
    assert await deal.open_day() == "2024-03-01"


async def test_a_run_cut_off_anywhere_is_taken_up_without_a_trace(house: House) -> None:
    deal = await funded(house)
    dice = random.Random(20240301)
    database = house.installation.database
    through = date(2024, 4, 30)

    async def run() -> None:
        async with database.transaction(SERVICE) as lock:
            await end_of_day.close_through(lock, database, through=through)

    for _ in range(12):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run(), timeout=dice.uniform(0.005, 0.2))
    answer = await deal.close_through(through.isoformat())
    last = next_workday(date(2024, 4, 30))
    assert answer["open_day"] == last.isoformat()
    assert await accrued(house) == days(FIRST_DAY, last)
    worked = [day for day in [FIRST_DAY, *days(FIRST_DAY, last)] if is_workday(day)]
    assert await sealed(house, EARLY.facility) == worked[:-1]
    held = await balances(deal)
    exact = Fraction(1500 * WAN * 375 * (last - FIRST_DAY).days, 360 * 10_000)
    assert held["hzbank", "due.interest", "qinghe", "d1"] == round_half_up(exact)
    assert verify(await unpacked(house), None).verified


async def test_two_runs_at_once_close_each_day_once(house: House) -> None:
    deal = await funded(house)
    answers = await asyncio.gather(
        *(
            house.http.post(
                "/v1/business-days",
                json={"through": "2024-03-15"},
                headers={**house["operator"].headers, "Idempotency-Key": f"run-number-{number}"},
            )
            for number in range(4)
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    assert set(codes) <= {201, 409}
    busy = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert set(busy) <= {"closing-under-way"}
    again = await house["operator"].post(
        "/v1/business-days", {"through": "2024-03-15"}, key="run-number-3"
    )
    assert again["open_day"] == "2024-03-18"
    assert await accrued(house) == days(FIRST_DAY, date(2024, 3, 18))
    assert await deal.open_day() == "2024-03-18"


async def test_a_book_opened_while_the_day_was_closing_comes_along(house: House) -> None:
    await funded(house)
    database = house.installation.database
    found = await end_of_day.close_day(
        database, {"registry": ""}, next_day=date(2024, 3, 4)
    )  # the facility was not there when the run began
    assert found == {"registry": "", EARLY.facility: "facility"}
    assert await sealed(house, EARLY.facility) == [FIRST_DAY]
    assert await accrued(house) == days(FIRST_DAY, date(2024, 3, 4))


async def test_what_a_day_records_is_the_clocks_own_doing(house: House) -> None:
    deal = await funded(house)
    await deal.close_through("2024-03-04")
    records = await deal.get_book("cib-officer", "records", limit=500)
    by_clock = [row for row in records["records"] if row["actor"]["institution"] == "liandai"]
    assert {(row["kind"], row["subject"]["type"]) for row in by_clock} == {
        ("transaction", "InterestAccrued"),
        ("seal", "DaySeal"),
    }
    assert by_clock[0]["record"] == "seal:2024-03-01:0"
    weekend = [row for row in by_clock if row["record"].startswith("opening:2024-03-04")]
    assert [row["value_date"] for row in weekend] == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert {row["booking_date"] for row in weekend} == {"2024-03-04"}


async def test_a_version_nobody_answered_lapses_when_the_day_after_its_last_one_opens(
    house: House,
) -> None:
    name = "neg-quiet"
    await table.consents(house, borrower="qinghe", negotiation=name)
    await table.mandate(house, borrower="qinghe", lead="cib", negotiation=name)
    await table.seat(house, lead="cib", negotiation=name)
    terms = table.terms_of(target_minor=3000 * WAN, lot_minor=10 * WAN)
    await house["cib-officer"].post(
        f"/v1/negotiations/{name}/proposals", {"terms": terms, "answer_within_workdays": 5}
    )
    deal = Deal(house, EARLY)

    async def lapsed() -> list[str]:
        return [
            subject["type"]
            for subject in await subjects(house, name, "record")
            if subject["type"] == "Lapsed"
        ]

    await deal.close_through("2024-03-07")
    assert await deal.open_day() == "2024-03-08"
    assert await lapsed() == [], "its last day is open still"
    await deal.close_through("2024-03-08")
    assert await lapsed() == ["Lapsed"]
    await deal.close_through("2024-03-12")
    assert await lapsed() == ["Lapsed"]
