"""A facility over HTTP: who may do what, what counts when, and who sees which side of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from api.database import Standing
from ledger.errors import WrongInput
from ledger.leaves import Actor
from syndicate.facility import questions, service
from syndicate.facility.life import RecordContract
from syndicate.facility.terms import FacilityTerms
from tests.facility_house import EVIDENCE, Deal, form, formed, signed_by
from tests.house import House, key_of
from tests.syndicate.facility_case import DEAL_1, DEAL_2, WAN

# The house opens on 2024-03-01: the same deal 2, signed a little earlier.
EARLY = replace(DEAL_2, signed_on=DEAL_2.signed_on.replace(day=1))
PARTS = {"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN}


async def entries_of(deal: Deal, person: str, **wanted: Any) -> list[dict[str, Any]]:
    await deal.house.publish()
    found = await deal.house[person].get(
        f"/v1/books/{deal.terms.facility}/entries", limit=500, **wanted
    )
    lines: list[dict[str, Any]] = found["entries"]
    return lines


# -- forming --------------------------------------------------------------------------------------


async def test_everyone_the_terms_name_sees_the_facility_and_nobody_else(house: House) -> None:
    two_banks: FacilityTerms = replace(
        EARLY,
        seats=("hzbank", "cib"),
        commitments={"hzbank": 2000 * WAN, "cib": 1000 * WAN},
        protectors=(),
        risk_share=None,
    )
    deal = await formed(house, two_banks)
    for person in ("hzbank-officer", "cib-risk", "qinghe-borrower", "auditor-auditor"):
        assert [row["facility"] for row in await house[person].get("/v1/facilities")] == [
            "fac-qinghe"
        ]
        seen = await deal.get(person)
        assert seen["phase"] == "effective"
        assert seen["signed_by"] == ["hzbank", "cib", "qinghe"]
    questions = ("", "/draws", "/payments", "/positions", "/amounts-due", "/claims", "/losses")
    for stranger in ("czbank-officer", "guarantor-officer", "yunshen-borrower"):
        assert await house[stranger].get("/v1/facilities") == []
        for path in questions:
            refused = await deal.get(stranger, path, expect=404)
            assert refused["code"] == "not-found"
    body = {"contract_no": "JK-9", "document_sha256": "b" * 64}
    await deal.post("czbank-officer", "/contracts", body, expect=404)
    for name in ("fac-nowhere", "registry", "fac%00", "FAC-QINGHE", "f" * 200):
        answer = await house.http.get(
            f"/v1/facilities/{name}", headers=house["cib-officer"].headers
        )
        assert answer.status_code == (400 if "%" in name else 404)


async def test_a_facility_needs_everyones_signature_over_exactly_its_terms(house: House) -> None:
    other = replace(EARLY, available_until=EARLY.available_until.replace(day=30))
    everyone = EARLY.parties
    own = signed_by(house, EARLY, *everyone)
    forged = replace(own[0], signature=own[1].signature)
    for signatures in (
        own[:-1],
        [*own, own[0]],
        signed_by(house, other, *everyone),
        [forged, *own[1:]],
        [replace(own[1], by="hzbank"), *own[1:]],
        [replace(own[0], kind="decision"), *own[1:]],
    ):
        with pytest.raises(WrongInput):
            await form(house, EARLY, signatures=signatures)
    with pytest.raises(WrongInput):
        await form(house, replace(EARLY, lead="guarantor"))
    unknown = replace(EARLY, protectors=(replace(EARLY.protectors[0], party="nobody"),))
    with pytest.raises(WrongInput):
        await form(house, unknown, signatures=[])
    await form(house, EARLY)


# -- a draw ---------------------------------------------------------------------------------------


async def test_nothing_is_posted_until_the_receiving_bank_has_signed(house: House) -> None:
    deal = await formed(house, EARLY)
    asked = await deal.request_draw("d1", 3000 * WAN)
    assert [record["fact"]["type"] for record in asked["records"]] == [
        "DrawRequested",
        "RateFixed",
    ]
    assert asked["records"][0]["fact"]["parts"] == PARTS
    await deal.instruct(
        "drawdown", "cib", "qinghe", PARTS["cib"], about="d1", expect=409
    )  # no release yet
    for bank in EARLY.seats:
        released = await deal.release("d1", bank)
        (record,) = released["records"]
        assert (record["fact"]["maker"], record["fact"]["checker"]) == (
            f"{bank}-operations",
            f"{bank}-approver",
        )
        assert record["fact"]["signed"]["by"] == bank
    sent = {
        bank: await deal.instruct("drawdown", bank, "qinghe", part, about="d1")
        for bank, part in PARTS.items()
    }
    assert await entries_of(deal, "auditor-auditor") == []
    await deal.confirm(sent["hzbank"])
    await deal.post(
        "cib-operations", f"/payments/{sent['czbank']}/return", {"reason": "wrong account"}
    )
    assert {line["party"] for line in await entries_of(deal, "auditor-auditor")} == {
        "hzbank",
        "qinghe",
    }
    gone = await deal.confirm(sent["czbank"], expect=409)
    assert gone["code"] == "not-now"
    again = await deal.pay("drawdown", "czbank", "qinghe", PARTS["czbank"], about="d1")
    await deal.confirm(sent["cib"])
    statuses = {
        line["payment"]: line["status"] for line in await deal.get("qinghe-borrower", "/payments")
    }
    assert statuses == {
        sent["hzbank"]: "confirmed",
        sent["cib"]: "confirmed",
        sent["czbank"]: "returned",
        again: "confirmed",
    }
    drawn = await deal.get("guarantor-officer", "/draws/d1")
    assert sum(part["part_minor"] for part in drawn["funding"]) == 3000 * WAN
    assert {part["paid_out_on"] for part in drawn["funding"]} == {"2024-03-01"}


async def test_a_confirmation_is_the_receiving_banks_own_word_and_says_exactly_that(
    house: House,
) -> None:
    deal = await formed(house, EARLY)
    await deal.request_draw("d1", 3000 * WAN)
    await deal.release("d1", "hzbank")
    name = await deal.instruct("drawdown", "hzbank", "qinghe", PARTS["hzbank"], about="d1")
    path, today = f"/payments/{name}/confirmation", "2024-03-01"
    words = {"amount_minor": PARTS["hzbank"], "value_date": today}
    good = deal.confirmation("cib", name, **words)
    other_words = deal.confirmation("cib", name, amount_minor=1, value_date=today)
    house.keys["nobody"] = key_of("nobody")
    strange = house.sign("nobody", "cash-confirmation", good["signed"]["body"])
    reply = {**good, "signed": {**good["signed"], "kind": "release"}}
    for person, body, status, code in (
        ("hzbank-operations", good, 403, "not-a-party"),
        ("cib-officer", good, 403, "role-not-held"),
        ("cib-operations", deal.confirmation("hzbank", name, **words), 403, "not-their-signature"),
        ("cib-operations", {**good, "signed": other_words["signed"]}, 422, "wrong-input"),
        ("cib-operations", {**good, "signed": {**strange, "by": "cib"}}, 422, "wrong-input"),
        ("cib-operations", {**good, "external_reference": "X"}, 422, "wrong-input"),
        ("cib-operations", reply, 422, "wrong-input"),
        ("cib-operations", {**good, "more": 1}, 422, "wrong-input"),
    ):
        refused = await deal.post(person, path, body, expect=status)
        assert refused["code"] == code, refused
    assert await entries_of(deal, "auditor-auditor") == []
    await deal.post("cib-operations", path, good)
    await deal.release("d1", "czbank")
    second = await deal.instruct("drawdown", "czbank", "qinghe", PARTS["czbank"], about="d1")
    used = await deal.confirm(second, external_reference=f"REF-{name}", expect=409)
    assert used["code"] == "already-recorded"


async def test_a_release_takes_two_persons_of_the_bank_and_the_draft_that_was_looked_at(
    house: House,
) -> None:
    deal = await formed(house, EARLY)
    await deal.request_draw("d1", 3000 * WAN)
    both = {"person": "cib-both", "name": "two hats", "roles": ["approver", "operations"]}
    await house["operator"].post("/v1/institutions/cib/people", both)
    issued = await house["operator"].post("/v1/people/cib-both/tokens", {"days": 1})
    house.people["cib-both"] = type(house["cib-officer"])(
        house.http, person="cib-both", institution="cib", token=issued["token"]
    )
    path = "/draws/d1/releases"
    await deal.post("cib-officer", path, {"loan_no": "JJ-1"}, expect=403)
    first = await deal.post("cib-both", path, {"loan_no": "JJ-1"})

    async def approve(person: str, draft: str, *, expect: int) -> Any:
        seen = await deal.get(person, f"{path}/cib")
        signed = house.sign("cib", "release", seen["to_sign"]["body"])
        return await deal.post(
            person, f"{path}/cib/approval", {"draft": draft, "signed": signed}, expect=expect
        )

    assert (await approve("cib-both", first["draft"], expect=403))["code"] == "same-hands"
    await deal.get("hzbank-approver", f"{path}/cib", expect=404)
    seen = await deal.get("cib-approver", f"{path}/cib")
    assert (seen["status"], seen["maker"], seen["draft"]) == ("drafted", "cib-both", first["draft"])
    signed = house.sign("cib", "release", seen["to_sign"]["body"])
    body = {"draft": first["draft"], "signed": signed}
    foreign = await deal.post("hzbank-approver", f"{path}/cib/approval", body, expect=403)
    assert foreign["code"] == "not-a-party"
    second = await deal.post("cib-operations", path, {"loan_no": "JJ-2"})
    stale = await approve("cib-approver", first["draft"], expect=409)
    assert stale["code"] == "stale-draft"
    of_first = await deal.post(
        "cib-approver", f"{path}/cib/approval", {**body, "draft": second["draft"]}, expect=422
    )
    assert of_first["place"] == "$.signed.body"
    await approve("cib-approver", second["draft"], expect=201)
    done = await deal.get("cib-operations", f"{path}/cib")
    assert (done["status"], done["loan_no"], done["to_sign"]) == ("approved", "JJ-2", None)
    late = await deal.post("cib-operations", path, {"loan_no": "JJ-3"}, expect=409)
    assert late["code"] == "already-recorded"
    none_yet = {"draft": second["draft"], "signed": signed}
    missing = await deal.post("czbank-approver", f"{path}/czbank/approval", none_yet, expect=409)
    assert missing["code"] == "not-ready"


async def test_each_command_is_its_own_institutions_to_give(house: House) -> None:
    deal = await formed(house, EARLY)
    today = await deal.open_day()
    await deal.request_draw("d1", 3000 * WAN)
    draw = {
        "draw": "d2",
        "amount_minor": 1,
        "value_date": today,
        "use_of_funds": "working-capital",
        "payment_mode": "autonomous",
    }
    pay = {
        "payment": "p1",
        "purpose": "drawdown",
        "payer": "cib",
        "payee": "qinghe",
        "receiving_bank": "hzbank",
        "amount_minor": PARTS["cib"],
        "about": "d1",
    }
    repay = {**pay, "purpose": "repayment", "payer": "qinghe", "payee": "cib"}
    claim = {
        "claim": "c1",
        "protector": "pool",
        "amount_minor": 1,
        "evidence_sha256": [EVIDENCE],
    }
    loss = {"loss": "l1", "amount_minor": 1, "evidence_sha256": [EVIDENCE]}
    alert = {"alert": "a1", "kind": "lawsuit", "noted_on": today, "source": "court list"}
    table = (
        # person              path              body    status  code
        ("cib-officer", "/draws", draw, 403, "role-not-held"),
        ("hzbank-operations", "/payments", pay, 403, "not-a-party"),
        ("qinghe-borrower", "/payments", pay, 403, "not-a-party"),
        ("cib-operations", "/payments", repay, 422, "wrong-input"),
        ("cib-operations", "/payments", {**repay, "receiving_bank": "cib"}, 403, "not-a-party"),
        ("cib-operations", "/payments", {**pay, "receiving_bank": "pool"}, 422, "wrong-input"),
        ("guarantor-operations", "/claims", claim, 403, "not-a-party"),
        ("qinghe-borrower", "/claims", claim, 403, "role-not-held"),
        ("hzbank-officer", "/losses", loss, 403, "not-a-party"),
        ("cib-operations", "/losses", loss, 403, "role-not-held"),
        ("cib-officer", "/losses", loss, 409, "not-ready"),
        ("qinghe-borrower", "/alerts", alert, 403, "role-not-held"),
        ("pool-approver", "/claims/c1/acceptance", {"amount_minor": 1}, 404, "not-found"),
        ("auditor-auditor", "/alerts", alert, 403, "role-not-held"),
        ("pool-officer", "/contracts", {"contract_no": "x", "document_sha256": "a" * 64}, 403,
         "not-a-party"),
        ("pool-operations", "/alerts", alert, 201, None),
    )  # fmt: skip
    for person, path, body, status, code in table:
        answer = await deal.post(person, path, body, expect=status)
        assert answer.get("code") == code, (person, path, answer)


async def test_a_refusal_is_on_record_and_changes_nothing(house: House) -> None:
    deal = await formed(house, EARLY)
    body = {"contract_no": "JK-2", "document_sha256": "a" * 64}
    path = f"{deal.path}/contracts"
    first = await house["cib-officer"].post(path, body, key="a-second-contract", expect=409)
    again = await house["cib-officer"].post(path, body, key="a-second-contract", expect=409)
    assert first == again
    book = f"/v1/books/{deal.terms.facility}/records"
    refusals = (await house["cib-officer"].get(book, kind="refusal"))["records"]
    assert [(row["subject"]["code"], row["actor"]["user"]) for row in refusals] == [
        ("already-recorded", "cib-officer")
    ]
    contracts = await deal.get("cib-officer", "/contracts")
    assert [row["contract_no"] for row in contracts] == [None, "JK-2024-cib", None]


async def test_a_command_rolled_back_is_not_remembered(house: House) -> None:
    await form(house, EARLY)
    deal = Deal(house, EARLY)

    class Interrupted(Exception):
        pass

    async def record_and_roll_back() -> None:
        async with house.installation.database.transaction(Standing("liandai_app", "cib")) as conn:
            work = service.Work(
                conn=conn,
                actor=Actor(institution="cib", user="cib-officer"),
                now=datetime.now(UTC),
                command="rolled-back",
            )
            command = RecordContract(bank="cib", contract_no="JK-1", document_sha256="a" * 64)
            await service.carry_out(work, facility=EARLY.facility, command=command)
            log = await questions.facility_log(conn, facility=EARLY.facility)
            assert list(log.state.contracts) == ["cib"], "inside the transaction it stands"
            raise Interrupted

    with pytest.raises(Interrupted):
        await record_and_roll_back()
    assert not any(row["recorded"] for row in await deal.get("cib-officer", "/contracts"))
    await deal.record_contracts()
    contracts = await deal.get("cib-officer", "/contracts")
    assert [row["contract_no"] for row in contracts] == [None, "JK-2024-cib", None]
    assert all(row["recorded"] for row in contracts)


# -- whose side ---------------------------------------------------------------------------------


async def test_each_party_sees_its_own_side_and_everyone_the_totals(house: House) -> None:
    deal = await formed(house, EARLY)
    await deal.fund("d1", 3000 * WAN)
    await deal.close_through("2024-03-31")
    everything = await deal.get("auditor-auditor", "/positions")
    for person, banks in (
        ("hzbank-officer", ["hzbank"]),
        ("cib-risk", ["cib"]),
        ("qinghe-borrower", ["hzbank", "cib", "czbank"]),
        ("guarantor-officer", []),
        ("auditor-auditor", ["hzbank", "cib", "czbank"]),
    ):
        seen = await deal.get(person, "/positions")
        assert [loan["bank"] for loan in seen["loans"]] == banks
        assert seen["totals"] == everything["totals"]
        classes = {loan["risk_class"] for loan in seen["loans"]}
        assert classes <= ({None} if person == "qinghe-borrower" else {"normal"})
        lines = await entries_of(deal, person)
        own = {person.partition("-")[0]} if person != "auditor-auditor" else None
        assert own is None or {line["party"] for line in lines} <= own
        ahead = await deal.get(person, "/schedule")
        assert sum(line["principal_minor"] for line in ahead) == 3000 * WAN
        held = sum(PARTS[bank] for bank in banks)
        assert sum(line["own_minor"] for line in ahead) == held
    payments = await deal.get("czbank-operations", "/payments")
    assert [line["payer"] for line in payments] == ["czbank"]
    foreign = {line["payment"] for line in await deal.get("auditor-auditor", "/payments")}
    foreign -= {line["payment"] for line in payments}
    for name in foreign:
        await deal.get("czbank-operations", f"/payments/{name}", expect=404)
        await deal.get("czbank-operations", f"/payments/{name}/trace", expect=404)
    refused = await deal.get("qinghe-borrower", "/losses", expect=403)
    assert refused["code"] == "not-allowed"
    await deal.get("hzbank-officer", "/draws/d1/loans/cib/interest", expect=404)
    told = await deal.get("hzbank-officer", "/draws/d1/loans/hzbank/interest")
    assert "2024-03-01 to 2024-04-01: 31 nights on 15000000.00 at 3.75 %" in told["steps"][1]


async def test_what_will_be_due_is_what_is_due_when_the_day_comes(house: House) -> None:
    deal = await formed(house, EARLY)
    await deal.fund("d1", 3000 * WAN)
    foreseen = await deal.get("qinghe-borrower", "/amounts-due", on="2024-06-20")
    assert foreseen["projected"] is True
    await deal.close_through("2024-06-19")
    due = await deal.get("qinghe-borrower", "/amounts-due")
    assert due["projected"] is False
    assert due["lines"] == foreseen["lines"]
    assert due["total_minor"] == sum(line["total_minor"] for line in due["lines"]) > 0
    own = await deal.get("cib-operations", "/amounts-due")
    assert [line["bank"] for line in own["lines"]] == ["cib"]
    assert own["total_minor"] == due["total_minor"]
    for on in ("2024-06-19", "2026-01-01"):
        await deal.get("cib-operations", "/amounts-due", on=on, expect=422)


async def test_an_entry_is_traced_to_confirmation_approval_contract_and_term_sheet(
    house: House,
) -> None:
    deal = await formed(house, EARLY)
    await deal.fund("d1", 3000 * WAN)
    await deal.close_through("2024-06-19")
    await deal.pay_what_is_due()
    principal = [
        line
        for line in await entries_of(deal, "hzbank-officer", code="due.principal")
        if line["amount_minor"] > 0
    ]
    (drawn,) = principal
    steps = await deal.get("hzbank-officer", "/trace", record=drawn["record"])
    assert [step["name"] for step in steps] == [
        "confirmed:pay-1",
        "instructed:pay-1",
        "release:d1:hzbank",
        "draft:release:d1:hzbank",
        "draw:d1",
        "contract:hzbank",
        "formed",
    ]
    by_name = {step["name"]: step for step in steps}
    assert by_name["confirmed:pay-1"]["signed_by"] == ["cib"]
    assert by_name["release:d1:hzbank"]["signed_by"] == ["hzbank"]
    assert by_name["release:d1:hzbank"]["actor"]["user"] == "hzbank-approver"
    assert by_name["draft:release:d1:hzbank"]["actor"]["user"] == "hzbank-operations"
    assert sorted(by_name["formed"]["signed_by"]) == sorted(EARLY.parties)
    assert by_name["formed"]["fact"]["terms_hash"] == (await deal.get("cib-officer"))["terms_hash"]
    await deal.get("czbank-officer", "/trace", record=drawn["record"], expect=404)
    await deal.get("hzbank-officer", "/trace", record="nothing", expect=404)
    (repaid,) = [
        line["payment"]
        for line in await deal.get("hzbank-officer", "/payments")
        if line["purpose"] == "repayment"
    ]
    names = {step["name"] for step in await deal.get("hzbank-officer", f"/payments/{repaid}/trace")}
    assert {"due:d1:2024-06-20", "release:d1:hzbank", "confirmed:pay-1"} <= names
    accrued = await entries_of(deal, "cib-officer", fact="InterestAccrued")
    names = {
        step["name"]
        for step in await deal.get("cib-officer", "/trace", record=accrued[0]["record"])
    }
    assert "rate:d1:2024-03-01" in names


async def test_a_statement_runs_from_page_to_page_and_ends_at_the_ledgers_balances(
    house: House,
) -> None:
    deal = await formed(house, EARLY)
    await deal.fund("d1", 3000 * WAN)
    await deal.close_through("2024-03-31")
    await house.publish()
    standing: dict[tuple[str, ...], int] = {}
    after, pages = -1, 0
    while after is not None:
        page = await deal.get("cib-operations", "/statement", after=after, limit=7)
        for line in page["opening"]:
            account = (line["code"], line["counterparty"], line["ref"])
            assert line["balance_minor"] == standing.get(account, 0)
        for line in page["lines"]:
            account = (line["code"], line["counterparty"], line["ref"])
            standing[account] = standing.get(account, 0) + line["amount_minor"]
            assert line["balance_minor"] == standing[account]
        after, pages = page["next"], pages + 1
    assert pages > 3
    balances = await house["cib-operations"].get(f"/v1/books/{EARLY.facility}/balances")
    assert standing == {
        (line["code"], line["counterparty"], line["ref"]): line["balance_minor"]
        for line in balances["balances"]
    }
    march = await deal.get(
        "cib-operations", "/statement", booking_from="2024-03-11", code="due.interest"
    )
    assert {line["code"] for line in march["lines"]} == {"due.interest"}
    assert march["lines"][0]["booking_date"] == "2024-03-11"
    assert march["opening"][0]["balance_minor"] > 0
    foreign = await deal.get("cib-operations", "/statement", party="hzbank")
    assert foreign["lines"] == []
    whole = await deal.get("auditor-auditor", "/statement", party="hzbank")
    assert {line["code"] for line in whole["lines"]} >= {"cash", "due.principal"}
    await deal.get("cib-operations", "/statement", code="NO SUCH", expect=422)
    await deal.get("cib-operations", "/statement", limit=0, expect=422)


async def test_an_event_names_a_clause_of_the_agreement_or_none(house: House) -> None:
    upside = replace(
        DEAL_1, facility="fac-yunshen", signed_on=EARLY.signed_on, available_until=EARLY.signed_on
    )
    deal = await formed(house, upside)
    event = {
        "event": "e1",
        "kind": "listing-tutoring",
        "happened_on": "2024-03-01",
        "source": "exchange notice",
        "clause": upside.upside[0],
    }
    wrong = await deal.post(
        "hzbank-officer", "/events", {**event, "clause": "something"}, expect=409
    )
    assert wrong["code"] == "no-such-clause"
    await deal.post("hzbank-officer", "/events", event)
    seen = await deal.get("yunshen-borrower", "/signs")
    assert [line["clause"] for line in seen["events"]] == [upside.upside[0]]
