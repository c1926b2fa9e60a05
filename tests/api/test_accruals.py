"""Standing accruals over HTTP: set, run by the close of the day, altered, ended."""

from tests.api.populated import accrual_of
from tests.api.test_house_books import BOOK, TRANSACTIONS, opened
from tests.house import House
from tests.invariants import assert_invariants

ACCRUALS = f"/v1/books/{BOOK}/accruals"


async def test_an_accrual_is_posted_each_morning_and_the_log_says_why(house: House) -> None:
    bank = await opened(house)
    amounts = (("cash", 3_600_000_00), ("interest", 1), ("income", -3_600_000_01))
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in amounts
    ]
    day = (await bank.get("/v1/business-days"))["open_day"]
    await bank.post(TRANSACTIONS, {"value_date": day, "reference": "n-1", "entries": entries})
    asked = accrual_of("a-1")
    assert (await bank.post(ACCRUALS, asked))["position"] == 1
    for person in ("cib-operations", "hzbank-officer"):
        await house[person].post(
            ACCRUALS, accrual_of("a-2"), expect=404 if "cib" in person else 403
        )
    await house["operator"].post("/v1/business-days", {"through": day})
    await house.publish()
    (now,) = (await bank.get(ACCRUALS))["accruals"]
    nights = 3  # from Friday to Monday
    assert now["posted_minor"] == 345_00 * nights
    assert now["exact"] == str(345_00 * nights)
    balances = await bank.get(f"/v1/books/{BOOK}/balances", code="interest")
    assert balances["balances"][0]["balance_minor"] == 1 + 345_00 * nights
    refused = await bank.post(ACCRUALS, asked | {"year_days": 365}, expect=409)
    assert refused["code"] == "accrual-conflict"
    await bank.post(f"{ACCRUALS}/a-1/end", {})
    await bank.post(f"{ACCRUALS}/a-1/end", {}, expect=404)
    await house["operator"].post("/v1/business-days", {"through": now["through"]})
    assert (await bank.get(ACCRUALS))["accruals"] == [now | {"is_ended": True}]
    await house.publish()
    await assert_invariants(house.installation.database)
