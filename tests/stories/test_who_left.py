"""A bank that the clearing leaves out reads nothing of what the others decide, until it is back.

The three banks of deal 2 quote; czbank asks too much and gets no part. What the two others decide
is not its to know. When one of them declines and the lead opens a new book, it is at the table
again.
"""

from typing import Any

from api.reperformance import judged
from tests.api.test_ledger_queries import unpacked
from tests.house import House
from tests.invariants import assert_invariants
from tests.stories import table
from tests.stories.table import WAN

DEAL = "neg-left"
ROOT = f"/v1/negotiations/{DEAL}"
TERMS = table.terms_of(target_minor=3000 * WAN, lot_minor=10 * WAN)


async def test_who_gets_no_part_sees_nothing_after_the_clearing(house: House) -> None:
    await cleared_without_czbank(house)
    assert (await house["czbank-officer"].get(ROOT))["allocation"] == {
        "cib": 1500 * WAN,
        "hzbank": 1500 * WAN,
    }
    at_clearing = await records(house, "czbank-officer")
    await decided(house, "hzbank", "approve")
    await decided(house, "cib", "decline")
    assert (await house["cib-officer"].get(ROOT))["phase"] == "unplaced"
    seen = await house["czbank-officer"].get(ROOT)
    assert (seen["phase"], seen["decided"]) == ("cleared", {})
    assert await records(house, "czbank-officer") == at_clearing
    await assert_invariants(house.installation.database)
    assert len(await records(house, "hzbank-officer")) > len(at_clearing)
    await house["czbank-officer"].post(f"{ROOT}/quotes", quote((20, 1500)), expect=404)

    body = {"mode": "open", "rules": [], "quotes_within_workdays": 1}
    await house["hzbank-officer"].post(f"{ROOT}/book", body)
    assert (await house["czbank-officer"].get(ROOT))["phase"] == "book_open"
    await house["czbank-officer"].post(f"{ROOT}/quotes", quote((20, 1500)))
    assert await records(house, "czbank-officer") == await records(house, "hzbank-officer")
    await assert_invariants(house.installation.database)
    await computed_again(house)


async def test_who_leaves_the_table_reads_up_to_its_own_word_and_may_be_asked_again(
    house: House,
) -> None:
    await seated(house)
    await house["czbank-officer"].post(f"{ROOT}/leaving")
    left = await records(house, "czbank-officer")
    assert left[-1]["subject"] == {"type": "BankLeft", "bank": "czbank"}
    await house["hzbank-officer"].post(
        f"{ROOT}/proposals", {"terms": TERMS, "answer_within_workdays": 5}
    )
    assert await records(house, "czbank-officer") == left
    await assert_invariants(house.installation.database)
    assert (await house["czbank-officer"].get(ROOT))["versions"] == 0
    assert DEAL in await names(house, "czbank-officer")
    await house["hzbank-officer"].post(f"{ROOT}/invitations", {"banks": ["czbank"]})
    assert (await house["czbank-officer"].get(ROOT))["versions"] == 1
    await assert_invariants(house.installation.database)
    await computed_again(house)


async def computed_again(house: House) -> None:
    """An auditor's bundle of the negotiation so far verifies, every record from those before."""
    verdict = judged(await unpacked(house), None)
    assert verdict["verified"], verdict["first_wrong"]
    assert set(verdict["reperformed"]) == {DEAL}


async def names(house: House, person: str) -> Any:
    return await house[person].get("/v1/negotiations")


async def records(house: House, person: str) -> list[dict[str, Any]]:
    found = await house[person].get(f"/v1/books/{DEAL}/records", limit=500)
    rows: list[dict[str, Any]] = found["records"]
    return rows


def quote(*steps: tuple[int, int]) -> dict[str, Any]:
    return {"steps": table.steps(*steps)}


async def seated(house: House) -> None:
    await table.consents(house, borrower="qinghe", negotiation=DEAL)
    await table.mandate(house, borrower="qinghe", lead="hzbank", negotiation=DEAL)
    await table.seat(house, lead="hzbank", negotiation=DEAL)


async def cleared_without_czbank(house: House) -> None:
    await seated(house)
    await table.agree(house, lead="hzbank", negotiation=DEAL, terms=TERMS)
    body = {"mode": "open", "rules": [], "quotes_within_workdays": 1}
    await house["hzbank-officer"].post(f"{ROOT}/book", body)
    for bank, spread_bp in (("hzbank", 10), ("cib", 20), ("czbank", 60)):
        await house[f"{bank}-officer"].post(f"{ROOT}/quotes", quote((spread_bp, 1500)))
    await house["operator"].post("/v1/business-days", {"through": "2024-03-04"})
    await house["hzbank-officer"].post(f"{ROOT}/clearing")


async def decided(house: House, bank: str, outcome: str) -> None:
    """The bank's decision by maker, checker and key; an approval after its own rule check."""
    if outcome == "approve":
        await table.capital_of(house, bank)
        await house[f"{bank}-risk"].post(f"{ROOT}/rule-checks")
    agreement = (await house[f"{bank}-officer"].get(ROOT))["agreement"]
    draft = {"outcome": outcome, "agreement": agreement}
    await house[f"{bank}-officer"].post(f"{ROOT}/decisions/draft", draft)
    body = await house[f"{bank}-approver"].get(f"{ROOT}/decisions/body")
    signed = house.sign(bank, "decision", body)
    await house[f"{bank}-approver"].post(
        f"{ROOT}/decisions", {"agreement": agreement, "signed": signed}
    )
