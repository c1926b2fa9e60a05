"""Statements over HTTP: wrong ones leave nothing, late cash is timing, own books reconcile too."""

import itertools
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.api.surface import SCHEMAS, counts
from tests.facility_house import Deal, formed
from tests.house import House
from tests.stories.test_reconciliation import file, table
from tests.syndicate.facility_case import DEAL_2, WAN
from tests.syndicate.reconciliation_case import row
from tests.syndicate.test_reconciliation_formats import BAD_CAMT, BAD_XLSX

FACILITY = replace(DEAL_2, signed_on=DEAL_2.signed_on.replace(day=1))
DAY = "2024-03-01"
OWN = "own-czbank-core"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def deal(shared_house: House) -> Deal:
    """A facility drawn on the first day; hzbank's cash is instructed, not confirmed."""
    deal = await formed(shared_house, FACILITY)
    await deal.request_draw("d1", 3000 * WAN)
    for bank in FACILITY.seats:
        await deal.release("d1", bank)
    for bank, part in (("cib", 1000 * WAN), ("czbank", 500 * WAN)):
        await deal.pay("drawdown", bank, "qinghe", part, about="d1")
    await deal.instruct("drawdown", "hzbank", "qinghe", 1500 * WAN, about="d1")
    await shared_house.publish()
    return deal


async def side(house: House, bank: str, book: str, *, on: str = DAY, **query: Any) -> bytes:
    answer = await house.http.get(
        f"/v1/books/{book}/statement-files",
        params={"since": DAY, "on": on, "format": "csv", **query},
        headers=house[f"{bank}-operations"].headers,
    )
    assert answer.status_code == 200, answer.text
    return answer.content


async def send(
    house: House,
    bank: str,
    book: str,
    content: bytes,
    *,
    media_type: str = "text/csv",
    on: str = DAY,
    since: str = DAY,
    key: str | None = None,
) -> Any:
    """The whole answer to a statement."""
    return await house.http.post(
        f"/v1/books/{book}/reconciliations",
        params={"since": since, "on": on},
        content=content,
        headers={
            **house[f"{bank}-operations"].headers,
            "idempotency-key": key or f"state-{bank}-{next(numbers):04}",
            "content-type": media_type,
        },
    )


# ---- what is wrong leaves nothing


async def test_a_wrong_file_is_named_and_leaves_nothing(deal: Deal, shared_house: House) -> None:
    house, book = shared_house, FACILITY.facility
    before = await counts(house)
    good = table(await side(house, "cib", book))
    wrong = [({**good[0], "amount": "1.234"}, "row 2, column amount")]
    wrong += [({**good[0], "loan_no": "JJ-d1-czbank"}, "row 2, column loan_no")]
    wrong += [({**good[0], "currency": "XXX"}, "row 2, column currency")]
    files = [(file([line, *good[1:]]), "text/csv", place) for line, place in wrong]
    files += [(content, XLSX, place) for _, content, place in BAD_XLSX]
    files += [(content, "application/xml", "") for _, content, says in BAD_CAMT if says]
    for content, media_type, place in files:
        answer = await send(house, "cib", book, content, media_type=media_type)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["code"] == "wrong-input"
        assert problem["place"].startswith(place), problem
    added = {name: n - before[name] for name, n in (await counts(house)).items()}
    assert {name for name, n in added.items() if n} == {"api.answer"}
    print(f"\n{len(files)} wrong files")


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"media_type": "application/json"}, 415, "file-expected"),
    ({"media_type": "text/csv; header=present"}, 415, "file-expected"),
    ({"media_type": ""}, 415, "file-expected"),
    ({"content": b" " * ((10 << 20) + 1)}, 413, "body-too-large"),
    ({"content": b"line"}, 422, "wrong-input"),
    ({"on": "2024-03-02"}, 422, "wrong-input"),
    ({"since": "2024-03-02"}, 422, "wrong-input"),
    ({"since": "2022-03-02"}, 422, "wrong-input"),
    ({"book": "fac-nowhere"}, 404, "not-found"),
    ({"book": "own-cib-none"}, 404, "not-found"),
]


@pytest.mark.parametrize(("asked", "status", "code"), REFUSED)
async def test_what_cannot_be_stated_is_refused(
    deal: Deal, shared_house: House, asked: dict[str, Any], status: int, code: str
) -> None:
    wanted: dict[str, Any] = {"book": FACILITY.facility, "content": b"x,y\n", **asked}
    answer = await send(shared_house, "cib", wanted.pop("book"), wanted.pop("content"), **wanted)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_another_day_or_kind_of_file_is_another_request(
    deal: Deal, shared_house: House
) -> None:
    book, content = FACILITY.facility, b"not a statement"
    first = await send(shared_house, "cib", book, content, key="same-key-1")
    again = await send(shared_house, "cib", book, content, key="same-key-1")
    assert (again.status_code, again.content) == (422, first.content)
    for other in ({"on": "2024-03-04"}, {"media_type": "application/xml"}):
        answer = await send(shared_house, "cib", book, content, key="same-key-1", **other)
        assert answer.json()["code"] == "key-reused"


async def test_a_protector_reconciles_its_own_book_and_no_facility(
    deal: Deal, shared_house: House
) -> None:
    house, own = shared_house, "own-guarantor-core"
    protector = house["guarantor-operations"]
    await protector.post("/v1/books", {"book": own})
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in (("cash", 5), ("suspense", -5))
    ]
    body = {"value_date": DAY, "reference": "g-1", "entries": entries}
    await protector.post(f"/v1/books/{own}/transactions", body)
    await house.publish()
    ours = await side(house, "guarantor", own)
    answer = await send(house, "guarantor", own, ours)
    assert answer.status_code == 201, answer.text
    submitted = answer.json()
    assert submitted["matched"] > 0
    assert set(submitted["breaks"].values()) <= {0}
    refused = (await send(house, "guarantor", FACILITY.facility, ours)).json()
    assert (refused["status"], refused["code"]) == (403, "not-a-party")
    assert "only loans are reconciled here" in refused["detail"]


def test_every_reconciliation_says_what_its_sizes_are() -> None:
    answers = {
        name: schema
        for name, schema in SCHEMAS.items()
        if {"known_size", "reconciliation"} <= schema.get("properties", {}).keys()
    }
    assert len(answers) == 4
    for name, schema in answers.items():
        for field in {"known_size", "size"} & schema["properties"].keys():
            assert f"\n{field} " in schema["description"], name


# ---- cash that is late


async def test_cash_confirmed_later_is_a_difference_of_timing(
    deal: Deal, shared_house: House
) -> None:
    house, book = shared_house, FACILITY.facility
    loan = {"loan_no": "JJ-d1-hzbank", "currency": "CNY"}
    lines = [
        row("balance", **loan, account="principal", amount="15000000.00"),
        row("status", loan_no="JJ-d1-hzbank", days_overdue="0", risk_class="normal"),
        row(
            "movement",
            **loan,
            account="cash",
            amount="-15000000.00",
            value_date=DAY,
            booking_date=DAY,
            entry="1",
            reference="pay-3",
        ),
    ]
    early = (await send(house, "hzbank", book, file(lines))).json()
    assert early["breaks"] == {"timing": 2, "missing": 1}
    await deal.close_through(DAY)
    await deal.confirm("pay-3")
    await house.publish()
    lines[2]["entry"] = "2"
    late = (await send(house, "hzbank", book, file(lines))).json()
    path = f"/v1/books/{book}/reconciliations/{late['reconciliation']}"
    outcome = await house["hzbank-risk"].get(path)
    because = [line["because"] for line in outcome["lines"] if line["line"] == "movement"]
    assert because == ["pay-3 was confirmed here on 2024-03-04"]
    (balance,) = [line for line in outcome["lines"] if line["line"] == "balance"]
    assert (balance["cause"], balance["difference_minor"]) == ("timing", 1500 * WAN)
    assert (early["version"], late["version"]) == (1, 2)
    assert late["supersedes"] == early["reconciliation"]
    two = (await house["cib-officer"].get(f"/v1/books/{book}/reconciliations"))["reconciliations"]
    assert [line["version"] for line in two if line["bank"] == "hzbank"] == [2, 1]


# ---- a book of one's own


def own(number: int, amount_minor: int, *, code: str = "cash") -> dict[str, Any]:
    entries = [
        {"code": each, "ref": "", "currency": "CNY", "amount_minor": minor}
        for each, minor in ((code, amount_minor), ("suspense", -amount_minor))
    ]
    return {"value_date": DAY, "reference": f"core-{number}", "entries": entries}


async def test_a_house_book_reconciles_with_the_core_system(shared_house: House) -> None:
    house = shared_house
    operations = house["czbank-operations"]
    await operations.post("/v1/books", {"book": OWN})
    body = [own(1, 500), own(2, 700), own(3, 50, code="fees")]
    await operations.post(f"/v1/books/{OWN}/transactions/batch", body)
    await house.publish()
    today = (await house["operator"].get("/v1/business-days"))["open_day"]
    content = await side(house, "czbank", OWN, on=today)
    rows = table(content)
    assert {(line["line"], line["account"]): line["amount"] for line in rows[:3]} == {
        ("balance", "cash"): "12.00",
        ("balance", "fees"): "0.50",
        ("balance", "suspense"): "-12.50",
    }
    same = (await send(house, "czbank", OWN, content, on=today)).json()
    assert (same["breaks"], same["matched"]) == ({}, 5)
    rows.append({**rows[-1], "entry": "again"})
    doubled = (await send(house, "czbank", OWN, file(rows), on=today)).json()
    assert (doubled["breaks"], doubled["version"]) == ({"doubled": 1}, 2)
    await house["cib-operations"].get(f"/v1/books/{OWN}/reconciliations", expect=404)
    theirs = await send(house, "cib", OWN, content, on=today)
    assert theirs.status_code == 404
    found = await house["auditor-auditor"].get(f"/v1/books/{OWN}/reconciliations")
    assert len(found["reconciliations"]) == 2


async def test_a_house_book_of_no_one_currency_is_refused(shared_house: House) -> None:
    await shared_house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-empty"})
    await shared_house.publish()
    answer = await send(shared_house, "hzbank", "own-hzbank-empty", b"x")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-one-currency")


# ---- the bank's own accounts


async def test_versions_of_accounts_only_follow_one_another(shared_house: House) -> None:
    codes = {name: f"13-{name}" for name in ("principal", "overdue", "interest", "penalty")}
    codes |= {"compound": "13-compound", "cash": "10"}
    caller = shared_house["cib-operations"]

    async def make(day: str, expect: int = 201, **other: str) -> Any:
        body = {"valid_from": day, "codes": {**codes, **other}}
        return await caller.post("/v1/account-mappings", body, expect=expect)

    assert (await make("2024-04-01"))["version"] == 1
    assert (await make("2024-04-01", principal="14"))["version"] == 2
    assert (await make("2024-03-31", expect=409))["code"] == "versions-backwards"
    shared = await make("2024-05-01", expect=422, cash="13-penalty")
    assert shared["place"] == "$.codes.cash"
    seen = await shared_house["cib-risk"].get("/v1/account-mappings")
    assert [each["codes"]["principal"] for each in seen["versions"]] == ["13-principal", "14"]
    await shared_house["hzbank-risk"].get("/v1/account-mappings", bank="cib", expect=404)
    audited = await shared_house["auditor-auditor"].get("/v1/account-mappings", bank="cib")
    assert audited == seen
    unnamed = await shared_house["auditor-auditor"].get("/v1/account-mappings", expect=422)
    assert unnamed["place"] == "bank"
    assert msgspec.json.encode(seen)
