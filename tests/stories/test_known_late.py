"""Cash valued before a month-end and known after it: no closed day changes, today puts it right.

March to May 2024 in the life of 青禾智造（示例）: czbank's part of the draw went out on Friday 29
March and is confirmed on 2 April; cib's first instalment came in on 29 April, the day it fell due,
and is confirmed on 6 May, after the Labour Day holiday, when it stands as overdue.
"""

from datetime import date
from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace

from api.reperformance import judged
from ledger.leaves import decode
from ledger.money import round_half_up
from syndicate.facility.reperform import reperform
from tests.api.test_ledger_queries import unpacked
from tests.facility_house import Deal, formed
from tests.house import House
from tests.syndicate.facility_case import BANKS, DEAL_2, WAN

TERMS = replace(
    DEAL_2,
    signed_on=date(2024, 3, 1),
    repayment=replace(DEAL_2.repayment, frequency="monthly", payment_day=29),
)
PARTS = {"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN}
RATE = Fraction("0.0375")
ASKERS = ("hzbank-officer", "cib-officer", "czbank-officer", "qinghe-borrower")


async def test_a_payment_valued_before_a_closed_month_end(house: House) -> None:
    deal = await formed(house, TERMS)
    await deal.close_through("2024-03-28")
    sent = await drawn_but_for_czbanks_word(deal)
    await deal.close_through("2024-04-01")
    march = await shown(deal, "2024-03-29", "2024-04-01")
    await deal.confirm(sent, value_date="2024-03-29")
    assert await shown(deal, "2024-03-29", "2024-04-01") == march
    await march_by_value_date_shows_the_interest(deal)
    await each_correction_is_of_its_own_night(deal)
    await deal.close_through("2024-04-28")
    await paid_on_the_day_by_all_and_unconfirmed_by_cib(deal)


async def drawn_but_for_czbanks_word(deal: Deal) -> str:
    """Every bank's part is on its way; the borrower's bank has confirmed two of them."""
    await deal.request_draw("d1", 3000 * WAN)
    for bank in BANKS:
        await deal.release("d1", bank)
    for bank in ("hzbank", "cib"):
        await deal.pay("drawdown", bank, "qinghe", PARTS[bank], about="d1")
    return await deal.instruct("drawdown", "czbank", "qinghe", PARTS["czbank"], about="d1")


async def shown(deal: Deal, *days: str) -> dict[tuple[str, str, str], bytes]:
    """What statement, balances and entries said as known at the close of these days, in bytes."""
    await deal.house.publish()
    book = f"/v1/books/{TERMS.facility}"
    answers = {}
    for person in ASKERS:
        for day in days:
            for path in (f"{deal.path}/statement", f"{book}/balances", f"{book}/entries"):
                paged = not path.endswith("balances")
                query = {"known_on": day, "limit": 500} if paged else {"known_on": day}
                answer = await deal.house.http.get(
                    path, params=query, headers=deal.house[person].headers
                )
                assert answer.status_code == 200, answer.text
                answers[person, day, path] = answer.content
    return answers


async def balance(deal: Deal, bank: str, code: str, **asked: str) -> int:
    await deal.house.publish()
    found = await deal.get_book(f"{bank}-officer", "balances", code=code, **asked)
    return sum(line["balance_minor"] for line in found["balances"])


async def march_by_value_date_shows_the_interest(deal: Deal) -> None:
    """Two nights to Sunday 31 March, four to 2 April, as the other banks' loans have them."""
    for bank in BANKS:
        for until, nights in (("2024-03-29", 0), ("2024-03-31", 2), ("2024-04-02", 4)):
            expected = round_half_up(PARTS[bank] * RATE * nights / 360)
            assert await balance(deal, bank, "due.interest", value_until=until) == expected
    booked = {"value_until": "2024-03-31", "booking_until": "2024-04-01"}
    assert await balance(deal, "czbank", "due.interest", **booked) == 0
    assert await balance(deal, "hzbank", "due.interest", **booked) > 0


async def each_correction_is_of_its_own_night(deal: Deal) -> None:
    found = await corrections(deal)
    assert [row["value_date"] for row in found] == [
        *("2024-03-30", "2024-03-31", "2024-04-01", "2024-04-02")
    ]
    assert {row["booking_date"] for row in found} == {"2024-04-02"}
    by_id = {row["record"]: row for row in await records(deal)}
    for row in found:
        wrong = by_id[row["corrects"]]
        assert wrong["subject"]["type"] == "InterestAccrued"
        assert wrong["value_date"] == row["value_date"]
        assert wrong["position"] < row["position"]
        steps = await deal.get("czbank-officer", "/trace", record=row["record"])
        assert "PaymentConfirmed" in {step["fact"]["type"] for step in steps}
    told = await deal.get("czbank-officer", "/draws/d1/loans/czbank/interest")
    assert any("known late" in step for step in told["steps"]), told


async def records(deal: Deal) -> list[dict[str, Any]]:
    await deal.house.publish()
    rows: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None:
        page = await deal.get_book("cib-officer", "records", after=after, limit=500)
        rows += page["records"]
        after = page["next"]
    return rows


async def corrections(deal: Deal, kind: str = "InterestCorrected") -> list[dict[str, Any]]:
    return [row for row in await records(deal) if row["subject"]["type"] == kind]


async def paid_on_the_day_by_all_and_unconfirmed_by_cib(deal: Deal) -> None:
    due = {row["bank"]: row for row in (await deal.get("qinghe-borrower", "/amounts-due"))["lines"]}
    for bank in ("hzbank", "czbank"):
        await deal.pay("repayment", "qinghe", bank, due[bank]["total_minor"], about="d1")
    sent = await deal.instruct("repayment", "qinghe", "cib", due["cib"]["total_minor"], about="d1")
    await deal.close_through("2024-04-30")
    assert await deal.open_day() == "2024-05-06"
    april = await shown(deal, "2024-04-29", "2024-04-30")
    (before,) = (await deal.get("cib-officer", "/positions"))["loans"]
    assert (before["days_overdue"], before["overdue_minor"]) == (7, due["cib"]["principal_minor"])
    assert before["penalty_minor"] > 0
    assert await balance(deal, "cib", "due.penalty", value_until="2024-04-30") > 0

    carried = await deal.confirm(sent, value_date="2024-04-29")
    kinds = [record["fact"]["type"] for record in carried["records"]]
    assert kinds == ["PaymentConfirmed", *["InterestCorrected"] * 7, "OverdueCorrected"]
    assert await shown(deal, "2024-04-29", "2024-04-30") == april
    (after,) = (await deal.get("cib-officer", "/positions"))["loans"]
    assert after["days_overdue"] == after["overdue_minor"] == after["penalty_minor"] == 0
    for code in ("due.penalty", "due.compound", "due.overdue", "income.penalty"):
        for until in ("2024-04-30", "2024-05-06"):
            assert await balance(deal, "cib", code, value_until=until) == 0, code
    (mark,) = await corrections(deal, "OverdueCorrected")
    assert mark["corrects"] in {row["record"] for row in await corrections(deal, "MarkedOverdue")}
    later = await deal.instruct("repayment", "qinghe", "hzbank", 1, about="d1")
    refused = await deal.confirm(later, value_date="2024-04-26", expect=409)
    assert refused["code"] == "over-payment"
    files = await unpacked(deal.house)
    document = judged(files, None)
    assert document["verified"], document
    ((book, again),) = document["reperformed"].items()
    assert again["facts"]["InterestCorrected"] >= 7
    assert again["facts"]["OverdueCorrected"] == 1

    lines = files[f"books/{book}/leaves.jsonl"].splitlines()
    leaves = [decode(line) for line in lines]
    (at,) = (n for n, one in enumerate(leaves) if one.subject["type"] == "OverdueCorrected")
    leaves[at] = msgspec.structs.replace(leaves[at], corrects=None)
    found = reperform(leaves)
    assert (found.index, "$.corrects" in (found.why or "")) == (at, True), found.why
