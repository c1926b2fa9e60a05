"""青禾智造（示例）: a joint loan of three banks that goes wrong, from first cash to last fen.

Three parallel contracts, one facility: the borrower pays the first instalment and misses the second
and third; guarantor and pool advance; a final loss is fixed twice and part of it recovered. All of
it goes over HTTP, each step by the person whose step it is, with the signatures it needs. The terms
are deal 2's of the demonstration; the trouble comes a year earlier, so that the story is short.
"""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from api.reperformance import judged
from ledger.documents import canonical, read_json
from ledger.money import format_amount, round_half_up
from syndicate.risk.share import answer
from tests.api.test_ledger_queries import unpacked
from tests.facility_house import EVIDENCE, Deal, formed
from tests.house import House
from tests.syndicate.facility_case import BANKS, DEAL_2, RULE, WAN

PARTS = {"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN}
LENDERS = (*BANKS, "pool", "guarantor")
FIRST_LOSS, SECOND_LOSS, RECOVERED = 5_000_000_01, 333_333_33, 650_000_00


async def test_a_joint_loan_from_first_cash_to_last_fen(house: House) -> None:
    deal = Deal(house, DEAL_2)
    await deal.close_through("2024-03-14")
    deal = await formed(house, DEAL_2)
    await deal.close_through("2024-03-17")
    await drawn_with_one_payment_returned(deal)
    await first_instalment_paid_by_the_waterfall(deal)
    await second_instalment_missed(deal)
    await claimed_on_both_protectors(deal)
    await lost_and_partly_recovered(deal)
    await every_number_holds(deal)


async def drawn_with_one_payment_returned(deal: Deal) -> None:
    await deal.request_draw("d1", 3000 * WAN)
    for bank in BANKS:
        await deal.release("d1", bank)
    wrong = await deal.instruct("drawdown", "czbank", "qinghe", PARTS["czbank"], about="d1")
    await deal.post("cib-operations", f"/payments/{wrong}/return", {"reason": "wrong account"})
    for bank in BANKS:
        await deal.pay("drawdown", bank, "qinghe", PARTS[bank], about="d1")
    (drawn,) = await deal.get("qinghe-borrower", "/draws")
    assert {part["bank"]: part["part_minor"] for part in drawn["funding"]} == PARTS
    assert sum(PARTS.values()) == drawn["amount_minor"] == DEAL_2.total_minor
    assert drawn["rates"][0]["rate"] == "0.0375"
    assert (await deal.get("cib-officer"))["phase"] == "drawn"


async def first_instalment_paid_by_the_waterfall(deal: Deal) -> None:
    await deal.close_through("2024-06-19")
    due = await deal.get("qinghe-borrower", "/amounts-due")
    nights = (date(2024, 6, 20) - date(2024, 3, 18)).days
    assert {line["bank"]: line["interest_minor"] for line in due["lines"]} == {
        bank: round_half_up(Fraction(part * nights * 375, 360 * 10_000))
        for bank, part in PARTS.items()
    }
    (line,) = [line for line in due["lines"] if line["bank"] == "cib"]
    some = await deal.instruct("repayment", "qinghe", "cib", line["total_minor"], about="d1")
    confirmed = await deal.confirm(some, amount_minor=line["interest_minor"] + 1)
    met = confirmed["records"][0]["fact"]["met"]
    assert [(part["charge"], part["amount_minor"]) for part in met] == [
        ("interest", line["interest_minor"]),
        ("principal", 1),
    ], "interest before principal (Civil Code art. 561)"
    too_much = await deal.instruct("repayment", "qinghe", "cib", line["total_minor"], about="d1")
    assert (await deal.confirm(too_much, expect=409))["code"] == "over-payment"
    await deal.pay_what_is_due()
    assert (await deal.get("qinghe-borrower", "/amounts-due"))["lines"] == []


async def second_instalment_missed(deal: Deal) -> None:
    await deal.close_through("2024-08-14")
    alert = {
        "alert": "a1",
        "kind": "lawsuit",
        "noted_on": "2024-08-15",
        "source": "court list",
    }
    await deal.post("hzbank-risk", "/alerts", alert)
    await deal.close_through("2024-09-19")
    assert (await deal.get("cib-officer"))["phase"] == "drawn", "due, and not overdue yet"
    await deal.close_through("2024-09-20")
    assert (await deal.get("cib-officer"))["phase"] == "overdue"
    await deal.close_through("2024-10-08")
    seen = await deal.get("cib-risk", "/positions")
    (loan,) = seen["loans"]
    assert (loan["days_overdue"], loan["risk_class"]) == (19, "special_mention")
    first, second = (round_half_up(Fraction(PARTS["cib"] * count, 12)) for count in (1, 2))
    assert loan["overdue_minor"] == second - first, "the running twelfths, not each by itself"
    penalty = (second - first) * Fraction(375 * 3, 2 * 10_000) * 19 / 360
    assert loan["penalty_minor"] == round_half_up(penalty)
    assert loan["compound_minor"] > 0
    told = await deal.get("cib-risk", "/draws/d1/loans/cib/interest", kind="penalty")
    amount = format_amount(loan["penalty_minor"], currency="CNY")
    assert told["steps"][-1].startswith(f"together {amount}")
    no_more = await deal.request_draw("d2", 1, expect=409)
    assert no_more["code"] == "not-now"


async def claimed_on_both_protectors(deal: Deal) -> None:
    claim = {
        "claim": "c1",
        "protector": "guarantor",
        "amount_minor": 76 * WAN,
        "evidence_sha256": [EVIDENCE],
    }
    early = await deal.post("cib-officer", "/claims", claim, expect=409)
    assert early["code"] == "too-early"
    await deal.close_through("2024-12-20")
    await deal.post("cib-officer", "/claims", claim)
    await deal.post(
        "hzbank-officer",
        "/claims",
        {**claim, "claim": "c2", "protector": "pool", "amount_minor": 150 * WAN},
    )
    path = "/claims/c1/acceptance"
    await deal.post("guarantor-officer", path, {"amount_minor": 1}, expect=403)
    foreign = await deal.post("pool-approver", path, {"amount_minor": 1}, expect=403)
    assert foreign["code"] == "not-a-party"
    await deal.close_through("2025-01-05")
    await deal.post("guarantor-approver", path, {"amount_minor": 76 * WAN})
    await deal.post("pool-approver", "/claims/c2/acceptance", {"amount_minor": 120 * WAN})
    for claimed in await deal.get("qinghe-borrower", "/claims"):
        assert claimed["status"] == "accepted"
        assert sum(claimed["granted"].values()) == (
            76 * WAN if claimed["claim"] == "c1" else 120 * WAN
        )
        for bank, part in claimed["granted"].items():
            await deal.pay("advance", claimed["protector"], bank, part, about=claimed["claim"])
    assert [line["advanced_minor"] for line in await deal.get("pool-officer", "/claims")] == [
        76 * WAN,
        120 * WAN,
    ]
    losses = await deal.get("guarantor-officer", "/losses")
    assert losses["net_loss_minor"] == 0, "a claim is not a loss"
    assert await owed(deal, "guarantor") == 76 * WAN


async def owed(deal: Deal, party: str) -> int:
    """What the others owe the party under the protection, net."""
    standings = (await deal.get("auditor-auditor", "/losses"))["standings"]
    (line,) = [line for line in standings if line["party"] == party]
    return int(line["owed_minor"])


async def lose(deal: Deal, name: str, amount_minor: int) -> dict[str, Any]:
    """Drafted by the lead's officer, approved by its approver; the fact recorded."""
    body = {"loss": name, "amount_minor": amount_minor, "evidence_sha256": [EVIDENCE]}
    drafted = await deal.post("cib-officer", "/losses", body)
    (standing,) = (await deal.get("cib-approver", "/losses"))["drafts"]
    assert (standing["draft"], standing["maker"]) == (drafted["draft"], "cib-officer")
    approval = {"draft": drafted["draft"]}
    path = f"/losses/{name}/approval"
    await deal.post("hzbank-approver", path, approval, expect=403)
    fixed = await deal.post("cib-approver", path, approval)
    fact: dict[str, Any] = fixed["records"][0]["fact"]
    return fact


async def lost_and_partly_recovered(deal: Deal) -> None:
    first = await lose(deal, "l1", FIRST_LOSS)
    assert first["parts"] == {
        "hzbank": 870_000_00,
        "cib": 580_000_00,
        "czbank": 290_000_00,
        "pool": 1_500_000_00,
        "guarantor": 1_760_000_01,
    }
    await deal.close_through("2025-01-20")
    await lose(deal, "l2", SECOND_LOSS)
    await square_up(deal)
    await deal.close_through("2025-02-28")
    await deal.pay("recovery", "qinghe", "cib", RECOVERED)
    await square_up(deal)
    await deal.close_through("2025-03-20")


async def square_up(deal: Deal) -> None:
    """Everyone pays what it owes the others under the protection."""
    await deal.house.publish()
    lines = (await deal.get_book("auditor-auditor", "balances", code="due.protection"))["balances"]
    for line in lines:
        if line["balance_minor"] < 0:
            amount_minor = -line["balance_minor"]
            await deal.pay("distribution", line["party"], line["counterparty"], amount_minor)
    for party in LENDERS:
        assert await owed(deal, party) == 0


async def every_number_holds(deal: Deal) -> None:
    await deal.house.publish()
    await the_loss_is_shared_as_the_calculator_says(deal)
    await the_books_close_and_are_the_states_figures(deal)
    await the_rate_was_reset_on_the_anniversary(deal)
    verdict = judged(await unpacked(deal.house), None)
    assert verdict["verified"], verdict
    assert verdict["books"][DEAL_2.facility]["trial_balance"] == {"CNY": "0.00"}
    assert verdict["reperformed"][DEAL_2.facility]["facts"]["LossFixed"] == 2


async def the_loss_is_shared_as_the_calculator_says(deal: Deal) -> None:
    events = [
        {"kind": kind, "amount": format_amount(amount_minor, currency="CNY")}
        for kind, amount_minor in (
            ("loss", FIRST_LOSS),
            ("loss", SECOND_LOSS),
            ("recovery", RECOVERED),
        )
    ]
    expected = answer(read_json(canonical(RULE)), events)
    seen = await deal.get("czbank-officer", "/losses")
    for event, line in zip(seen["events"], expected["events"], strict=True):
        shares = {seat: event["shares"].get(seat, 0) for seat in line["shares"]}
        assert {seat: format_amount(m, currency="CNY") for seat, m in shares.items()} == (
            line["shares"]
        )
    totals = {line["party"]: line["borne_minor"] for line in seen["standings"]}
    assert {seat: format_amount(totals[seat], currency="CNY") for seat in totals} == {
        seat: expected["totals"][seat] for seat in totals
    }
    assert seen["net_loss_minor"] == sum(totals.values()) == 4_683_333_34
    for party, steps in seen["explained"].items():
        assert steps[-1].endswith(format_amount(totals[party], currency="CNY"))


async def the_books_close_and_are_the_states_figures(deal: Deal) -> None:
    everything = await deal.get_book("auditor-auditor", "balances")
    assert everything["sums_minor"] == {"CNY": 0}
    balance = {
        (line["party"], line["code"], line["ref"]): line["balance_minor"]
        for line in everything["balances"]
        if line["code"] != "due.protection"
    }
    loans = (await deal.get("qinghe-borrower", "/positions"))["loans"]
    assert [loan["bank"] for loan in loans] == list(BANKS)
    for loan in loans:
        bank = loan["bank"]
        assert balance[bank, "due.principal", "d1"] == loan["principal_minor"]
        assert balance[bank, "due.overdue", "d1"] == loan["overdue_minor"]
        assert balance[bank, "due.interest", "d1"] == loan["interest_minor"]
        assert balance[bank, "due.penalty", "d1"] == loan["penalty_minor"]
        assert balance[bank, "due.compound", "d1"] == loan["compound_minor"]
    written_down = sum(loan["written_down_minor"] for loan in loans)
    assert written_down == FIRST_LOSS + SECOND_LOSS
    for protector in ("pool", "guarantor"):
        assert -balance[protector, "cash", ""] == balance[protector, "loss.credit", ""]
    own = await deal.get_book("guarantor-officer", "balances")
    assert {line["party"] for line in own["balances"]} == {"guarantor"}


async def the_rate_was_reset_on_the_anniversary(deal: Deal) -> None:
    drawn = await deal.get("qinghe-borrower", "/draws/d1")
    assert [(rate["from_date"], rate["rate"], rate["base_rate"]) for rate in drawn["rates"]] == [
        ("2024-03-18", "0.0375", "0.0345"),
        ("2025-03-18", "0.0340", "0.0310"),
    ]
    records = await accruals(deal)
    assert [date.fromisoformat(fact["day"]) for fact in records] == [
        date(2024, 3, 18) + timedelta(days=number + 1) for number in range(len(records))
    ], "every night once"
    by_day = {fact["day"]: {line["rate"] for line in fact["lines"]} for fact in records}
    assert by_day["2025-03-18"] == {"0.0375"}
    assert by_day["2025-03-19"] == {"0.0340"}


async def accruals(deal: Deal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None:
        page = await deal.get_book(
            "cib-officer", "records", after=after, limit=500, kind="transaction"
        )
        found += [row["subject"] for row in page["records"]]
        after = page["next"]
    return [subject for subject in found if subject["type"] == "InterestAccrued"]
