"""Banks reconcile a joint loan: our side as files, theirs back, breaks, two persons, a signature.

A facility that has had a draw, an instalment paid and one missed. Everything goes over HTTP, by the
person whose step it is; files are changed as banks get them wrong.
"""

import csv
import io
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec

from ledger.money import round_half_up
from ledger.verify import verify
from syndicate.reconciliation.statement import COLUMNS
from tests.api.test_ledger_queries import unpacked
from tests.facility_house import EVIDENCE, Deal, formed
from tests.house import House
from tests.stories.test_joint_parallel import (
    drawn_with_one_payment_returned,
    first_instalment_paid_by_the_waterfall,
    second_instalment_missed,
)
from tests.syndicate.facility_case import DEAL_2, WAN

SINCE, ON = "2024-06-01", "2024-09-30"
MEDIA = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "camt053": "application/xml",
}
CODES = {
    "principal": "130101",
    "overdue": "130102",
    "interest": "113201",
    "penalty": "113202",
    "compound": "113202",
    "cash": "100301",
}
PATH = f"/v1/books/{DEAL_2.facility}/reconciliations"


async def test_three_banks_reconcile_a_joint_loan(house: House) -> None:
    deal = Deal(house, DEAL_2)
    await deal.close_through("2024-03-14")
    deal = await formed(house, DEAL_2)
    await deal.close_through("2024-03-17")
    await drawn_with_one_payment_returned(deal)
    await first_instalment_paid_by_the_waterfall(deal)
    await second_instalment_missed(deal)
    await house.publish()
    await our_side_says_what_the_positions_say(deal)
    await our_side_sent_back_in_each_kind_of_file_matches(house)
    await mapped_to_the_banks_own_accounts(house)
    name = await every_break_has_its_cause(deal)
    await settled_by_two_persons(house, name)
    await a_corrected_statement_supersedes_and_is_signed(house, name)
    await each_sees_what_is_its_own(house)
    await what_was_shown_stays_and_the_facility_lives_on(deal, name)


async def side(house: House, person: str, kind: str, *, on: str = ON, **query: Any) -> bytes:
    """Our side as a file."""
    wanted = {"since": SINCE, "on": on, "format": kind, **query}
    answer = await house.http.get(
        f"/v1/books/{DEAL_2.facility}/statement-files",
        params=wanted,
        headers=house[person].headers,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == MEDIA[kind]
    return answer.content


async def send(
    house: House,
    person: str,
    content: bytes,
    *,
    key: str,
    kind: str = "csv",
    on: str = ON,
    expect: int = 201,
    path: str = PATH,
) -> Any:
    """The answer to a statement."""
    answer = await house.http.post(
        path,
        params={"since": SINCE, "on": on},
        content=content,
        headers={
            **house[person].headers,
            "idempotency-key": key,
            "content-type": MEDIA.get(kind, kind),
        },
    )
    assert answer.status_code == expect, answer.text
    return msgspec.json.decode(answer.content)


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def file(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


async def our_side_says_what_the_positions_say(deal: Deal) -> None:
    today = await deal.open_day()
    (loan,) = (await deal.get("czbank-risk", "/positions"))["loans"]
    rows = table(await side(deal.house, "czbank-operations", "csv", on=today))
    said = {
        row["account"]: int(row["amount"].replace(".", ""))
        for row in rows
        if row["line"] == "balance"
    }
    assert said == {
        account: loan[f"{account}_minor"]
        for account in ("principal", "overdue", "interest", "penalty", "compound")
    }
    (late,) = [row for row in rows if row["line"] == "status"]
    assert late["days_overdue"] == str(loan["days_overdue"])
    paid = await deal.get("czbank-operations", "/payments")
    received = [line for line in paid if line["purpose"] == "repayment"]
    assert [row["reference"] for row in rows if row["line"] == "movement"] == [
        line["external_reference"] for line in received
    ]


async def our_side_sent_back_in_each_kind_of_file_matches(house: House) -> None:
    for on, kind in (("2024-09-28", "csv"), ("2024-09-29", "xlsx"), (ON, "camt053")):
        content = await side(house, "czbank-operations", kind, on=on)
        assert content == await side(house, "czbank-operations", kind, on=on)
        judged = await send(
            house, "czbank-operations", content, key=f"cz-same-{kind}", kind=kind, on=on
        )
        assert (judged["breaks"], judged["version"]) == ({}, 1)
        assert judged["matched"] == len(table(await side(house, "czbank-operations", "csv", on=on)))
        again = await send(
            house, "czbank-operations", content, key=f"cz-same-{kind}", kind=kind, on=on
        )
        assert again == judged
        other_key = await send(
            house,
            "czbank-operations",
            content,
            key=f"cz-more-{kind}",
            kind=kind,
            on=on,
            expect=409,
        )
        assert other_key["code"] == "statement-stands"


async def mapped_to_the_banks_own_accounts(house: House) -> None:
    body = {"valid_from": "2024-09-01", "codes": CODES}
    made = await house["hzbank-operations"].post("/v1/account-mappings", body)
    assert made["version"] == 1
    rows = table(await side(house, "hzbank-operations", "csv"))
    assert {row["account"] for row in rows} == {*CODES.values(), ""}
    assert {row["loan_no"] for row in rows} == {"JJ-d1-hzbank"}
    (late,) = [row for row in rows if row["line"] == "status"]
    assert (late["days_overdue"], late["risk_class"]) == ("10", "special_mention")
    before = table(await side(house, "hzbank-operations", "csv", on="2024-08-30"))
    assert "principal" in {row["account"] for row in before}, "the version was not valid yet"


def add(row: dict[str, str], fen: int) -> None:
    """The row's amount is so much more."""
    total = int(row["amount"].replace(".", "")) + fen
    row["amount"] = f"{total // 100}.{total % 100:02}"


async def every_break_has_its_cause(deal: Deal) -> str:
    """hzbank gets it wrong in every way; returns the reconciliation's id."""
    house = deal.house
    due = await deal.get("qinghe-borrower", "/amounts-due")
    (owed,) = [line for line in due["lines"] if line["bank"] == "hzbank"]
    pending = await deal.instruct("repayment", "qinghe", "hzbank", 100 * WAN, about="d1")
    assert owed["total_minor"] > 100 * WAN
    await house.publish()
    rows = table(await side(house, "hzbank-operations", "csv"))
    by_account = {row["account"]: row for row in rows if row["line"] == "balance"}
    paid = [row for row in rows if row["line"] == "movement"]
    assert len(paid) == 1, "the first instalment; the draw lies before the period"
    add(by_account["113202"], 1)
    nights = (date(2024, 9, 30) - date(2024, 9, 20)).days
    principal_minor = int(by_account["130101"]["amount"].replace(".", ""))
    by_360, by_365 = (
        round_half_up(Fraction(principal_minor * nights * 375, days * 10_000))
        for days in (360, 365)
    )
    add(by_account["113201"], by_365 - by_360)
    del rows[rows.index(by_account["130102"])]
    rows.append({**paid[0], "entry": "twice"})
    early = {"entry": "core-77", "reference": pending, "amount": "1000000.00"}
    rows.append({**paid[0], **early, "value_date": ON, "booking_date": ON})
    rows.append({**paid[0], "entry": "odd", "reference": "ODD-1", "amount": "5.00"})
    judged = await send(house, "hzbank-operations", file(rows), key="hz-wrong-1")
    assert judged["breaks"] == {
        "rounding": 1,
        "rate": 1,
        "missing": 2,
        "doubled": 1,
        "timing": 1,
    }
    name = str(judged["reconciliation"])
    assert name == f"hzbank.{ON}.1"
    shown = await house["hzbank-risk"].get(f"{PATH}/{name}")
    because = {line["cause"]: line["because"] for line in shown["lines"] if line["cause"]}
    assert "ACT/365F instead of ACT/360" in because["rate"]
    assert f"{pending} is instructed here and not confirmed" in because["timing"]
    for total in shown["totals"]:
        assert sum(total["explained"].values()) == total["difference_minor"]
    return name


async def settled_by_two_persons(house: House, name: str) -> None:
    path = f"{PATH}/{name}/breaks"
    found = await house["hzbank-operations"].get(path)
    assert {line["status"] for line in found["breaks"]} == {"open"}
    assert (found["to_sign"], found["ageing"]) == (None, {"2-5": 6})
    assert {line["age_workdays"] for line in found["breaks"]} == {2}, "8 and 9 October"
    number = {line["cause"]: line["number"] for line in found["breaks"]}
    one = f"{path}/{number['rounding']}"
    accept = {"status": "attested", "reason": "", "document_sha256": ""}
    proposed = await house["hzbank-operations"].post(f"{one}/proposal", accept)
    stale = {"proposal": "0" * 64}
    assert (await house["hzbank-approver"].post(f"{one}/approval", stale, expect=409))[
        "code"
    ] == "stale-proposal"
    quoted = {"proposal": proposed["proposal"]}
    await house["hzbank-operations"].post(f"{one}/approval", quoted, expect=403)
    await house["hzbank-approver"].post(f"{one}/approval", quoted)
    again = await house["hzbank-operations"].post(f"{one}/proposal", accept, expect=409)
    assert again["code"] == "break-settled"
    other = f"{path}/{number['rate']}"
    bare = {"status": "disputed", "reason": "our contract says ACT/365F", "document_sha256": ""}
    refused = await house["hzbank-operations"].post(f"{other}/proposal", bare, expect=422)
    assert refused["place"] == "$.document_sha256"
    dispute = {**bare, "document_sha256": EVIDENCE}
    proposed = await house["hzbank-operations"].post(f"{other}/proposal", dispute)
    await house["hzbank-approver"].post(f"{other}/approval", {"proposal": proposed["proposal"]})
    found = await house["hzbank-risk"].get(path)
    status = {line["number"]: line["status"] for line in found["breaks"]}
    assert (status[number["rounding"]], status[number["rate"]]) == ("attested", "disputed")
    assert found["ageing"] == {"2-5": 5}
    absent = await house["hzbank-operations"].post(f"{path}/9999/proposal", accept, expect=404)
    assert absent["code"] == "not-found"


async def a_corrected_statement_supersedes_and_is_signed(house: House, name: str) -> None:
    rows = table(await side(house, "hzbank-operations", "csv"))
    (interest,) = [row for row in rows if row["account"] == "113201"]
    add(interest, -1)
    judged = await send(house, "hzbank-operations", file(rows), key="hz-right-1")
    assert (judged["supersedes"], judged["breaks"]) == (name, {"rounding": 1})
    accept = {"status": "attested", "reason": "", "document_sha256": ""}
    late = await house["hzbank-operations"].post(
        f"{PATH}/{name}/breaks/2/proposal", accept, expect=409
    )
    assert late["code"] == "superseded"
    path = f"{PATH}/{judged['reconciliation']}"
    (one,) = (await house["hzbank-operations"].get(f"{path}/breaks"))["breaks"]
    unsettled = {"signed": house.sign("hzbank", "reconciliation", {"agreed": True})}
    refused = await house["hzbank-approver"].post(f"{path}/attestation", unsettled, expect=409)
    assert refused["code"] == "breaks-not-settled"
    proposed = await house["hzbank-operations"].post(
        f"{path}/breaks/{one['number']}/proposal", accept
    )
    quoted = {"proposal": proposed["proposal"]}
    await house["hzbank-approver"].post(f"{path}/breaks/{one['number']}/approval", quoted)
    to_sign = (await house["hzbank-approver"].get(f"{path}/breaks"))["to_sign"]
    foreign = {"signed": house.sign("cib", to_sign["kind"], to_sign["body"])}
    await house["hzbank-approver"].post(f"{path}/attestation", foreign, expect=403)
    other = {"signed": house.sign("hzbank", to_sign["kind"], {**to_sign["body"], "on": SINCE})}
    await house["hzbank-approver"].post(f"{path}/attestation", other, expect=422)
    signed = {"signed": house.sign("hzbank", to_sign["kind"], to_sign["body"])}
    attested = await house["hzbank-approver"].post(f"{path}/attestation", signed)
    twice = await house["hzbank-approver"].post(f"{path}/attestation", signed, expect=409)
    assert twice["code"] == "already-attested"
    await house.publish()
    leaf = await house["auditor-auditor"].get(
        f"/v1/books/{DEAL_2.facility}/records/{attested['record']}"
    )
    assert leaf["subject"]["signed"]["by"] == "hzbank"
    assert leaf["subject"]["signed"]["body"]["known_size"] == judged["known_size"]


async def each_sees_what_is_its_own(house: House) -> None:
    own = await house["hzbank-risk"].get(PATH)
    assert {row["bank"] for row in own["reconciliations"]} == {"hzbank"}
    lead = await house["cib-officer"].get(PATH)
    assert {row["bank"] for row in lead["reconciliations"]} == {"hzbank", "czbank"}
    assert [row["attested_at"] is not None for row in lead["reconciliations"]].count(True) == 1
    page = await house["cib-officer"].get(PATH, limit=2)
    rest = await house["cib-officer"].get(PATH, cursor=page["next"])
    assert page["reconciliations"] + rest["reconciliations"] == lead["reconciliations"]
    for row in lead["reconciliations"]:
        path = f"{PATH}/{row['reconciliation']}"
        for tail in ("", "/breaks"):
            await house["auditor-auditor"].get(path + tail)
            await house[f"{row['bank']}-risk"].get(path + tail)
            await house["cib-officer"].get(path + tail, expect=404)
    theirs = f"{PATH}/czbank.{ON}.1"
    await house["hzbank-risk"].get(theirs, expect=404)
    accept = {"status": "attested", "reason": "", "document_sha256": ""}
    await house["hzbank-operations"].post(f"{theirs}/breaks/1/proposal", accept, expect=404)
    stranger = await house["guarantor-operations"].get(PATH)
    assert stranger["reconciliations"] == []
    wrong = await send(house, "guarantor-operations", b"x", key="guar-0001", expect=403)
    assert wrong["code"] == "not-a-party"
    assert "only loans are reconciled here" in wrong["detail"]
    rows = table(await side(house, "auditor-auditor", "csv", bank="cib"))
    assert {row["loan_no"] for row in rows} == {"JJ-d1-cib"}
    stolen = await send(house, "hzbank-operations", file(rows), key="hz-stolen", expect=422)
    assert stolen["place"] == "row 2, column loan_no"


async def what_was_shown_stays_and_the_facility_lives_on(deal: Deal, name: str) -> None:
    house = deal.house
    headers = house["hzbank-risk"].headers
    before = (await house.http.get(f"{PATH}/{name}", headers=headers)).content
    file_before = await side(house, "hzbank-operations", "csv", known_size=200)
    await deal.close_through("2024-10-15")
    await deal.pay_what_is_due()
    await house.publish()
    assert (await house.http.get(f"{PATH}/{name}", headers=headers)).content == before
    assert await side(house, "hzbank-operations", "csv", known_size=200) == file_before
    aged = await house["hzbank-risk"].get(f"{PATH}/{name}/breaks")
    assert set(aged["ageing"]) == {"6-10"}
    verdict = verify(await unpacked(house), None)
    assert verdict.verified, verdict.document()
