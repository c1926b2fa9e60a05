"""A lead fills a book: mandate, rounds, quotes, clearing, decisions, signatures, over HTTP."""

from api.reperformance import judged
from tests.api.test_ledger_queries import unpacked
from tests.house import House
from tests.invariants import assert_invariants
from tests.stories import table
from tests.stories.table import WAN

DEAL = "neg-2"
ROOT = f"/v1/negotiations/{DEAL}"
RULE = {
    "kind": "layers",
    "layers": [
        {"upto": "600000.00", "rule": {"kind": "pro_rata", "by": "commitment"}},
        {
            "rule": {
                "kind": "split",
                "parts": [
                    {
                        "fraction": "0.4",
                        "rule": {
                            "kind": "capped",
                            "limit": "1500000.00",
                            "rule": {"kind": "party", "party": "pool"},
                            "excess": {"kind": "pro_rata", "by": "commitment"},
                        },
                    },
                    {"fraction": "0.4", "rule": {"kind": "party", "party": "guarantor"}},
                    {"fraction": "0.2", "rule": {"kind": "pro_rata", "by": "commitment"}},
                ],
            }
        },
    ],
}
PROTECTORS = [
    {"party": "pool", "kind": "pool", "claim_after_days": 30, "settle_workdays": 10},
    {"party": "guarantor", "kind": "guarantor", "claim_after_days": 30, "settle_workdays": 10},
]
TERMS = table.terms_of(
    target_minor=3_000 * WAN, lot_minor=10 * WAN, risk_share=RULE, protectors=PROTECTORS
)


async def open_table(house: House) -> None:
    await table.consents(house, borrower="qinghe", negotiation=DEAL)
    await table.mandate(house, borrower="qinghe", lead="cib", negotiation=DEAL)
    await table.seat(house, lead="cib", negotiation=DEAL)


async def test_no_price_is_written_before_mandate_and_consent(house: House) -> None:
    await table.mandate(house, borrower="qinghe", lead="cib", negotiation=DEAL)
    await table.seat(house, lead="cib", negotiation=DEAL)
    refused = await house["cib-officer"].post(
        f"{ROOT}/proposals", {"terms": TERMS, "answer_within_workdays": 5}, expect=403
    )
    assert refused["code"] == "no-borrower-consent"


async def test_a_mandate_is_exclusive_for_its_borrower_and_project(house: House) -> None:
    await table.mandate(house, borrower="qinghe", lead="cib", negotiation=DEAL)
    body = table.mandate_of("qinghe", "hzbank", negotiation="neg-other")
    refused = await house["qinghe-borrower"].post(
        "/v1/negotiations",
        {"mandate": body, "signed": house.sign("qinghe", "mandate", body)},
        expect=409,
    )
    assert refused["code"] == "mandate-held"


async def test_a_mandate_must_be_signed_by_the_borrowers_own_key(house: House) -> None:
    body = table.mandate_of("qinghe", "cib", negotiation=DEAL)
    forged = house.sign("yunshen", "mandate", body) | {"by": "qinghe"}
    await house["qinghe-borrower"].post(
        "/v1/negotiations", {"mandate": body, "signed": forged}, expect=422
    )


async def test_a_stale_counter_is_refused_and_the_refusal_is_on_record(house: House) -> None:
    await open_table(house)
    proposal = {"terms": TERMS, "answer_within_workdays": 5}
    await house["cib-officer"].post(f"{ROOT}/proposals", proposal)
    fee = {
        "kind": "arrangement",
        "base": "total",
        "rate_bp": 10,
        "frequency": "once",
        "payer": "borrower",
    }
    countered = {
        "answers": 1,
        "terms": {**TERMS, "fees": [fee]},
        "answer_within_workdays": 5,
    }
    await house["hzbank-officer"].post(f"{ROOT}/counters", countered)
    stale = await house["czbank-officer"].post(f"{ROOT}/counters", countered, expect=409)
    assert stale["code"] == "stale-version"
    changed = await house["cib-officer"].get(f"{ROOT}/differences", before=1, after=2)
    assert [difference["path"] for difference in changed] == ["fees[0]"]
    records = await house["cib-officer"].get(f"/v1/books/{DEAL}/records", kind="refusal", limit=10)
    assert [record["subject"]["code"] for record in records["records"]] == ["stale-version"]


async def test_a_quote_is_read_by_its_bank_and_the_lead_alone(house: House) -> None:
    await open_table(house)
    await table.agree(house, lead="cib", negotiation=DEAL, terms=TERMS)
    await table.quote(house, lead="cib", negotiation=DEAL)
    own = await house["hzbank-officer"].get(f"{ROOT}/quotes")
    assert set(own["quotes"]) == {"hzbank"}
    assert own["together"] == [
        {"spread_bp": spread, "offers_minor": wan * WAN}
        for spread, wan in ((25, 2_100), (30, 3_000), (35, 3_800), (40, 4_800))
    ]
    lead = await house["cib-officer"].get(f"{ROOT}/quotes")
    assert set(lead["quotes"]) == {"hzbank", "cib", "czbank"}
    customer = await house["qinghe-borrower"].get(f"{ROOT}/quotes")
    assert customer == {"quotes": {}, "together": []}
    await house["guarantor-officer"].get(f"{ROOT}/quotes", expect=404)
    facts = await house["czbank-officer"].get(f"/v1/books/{DEAL}/records", limit=100)
    assert "amount_minor" not in str([r["subject"] for r in facts["records"][-3:]])


async def test_deal_two_clears_decides_signs_and_forms_its_facility(house: House) -> None:
    await table.capital(house)
    await open_table(house)
    await table.agree(house, lead="cib", negotiation=DEAL, terms=TERMS)
    await table.quote(house, lead="cib", negotiation=DEAL)
    early = await house["cib-officer"].post(f"{ROOT}/clearing", expect=409)
    assert early["code"] == "deadline-not-passed"
    await house["operator"].post("/v1/business-days", {"through": "2024-03-14"})
    cleared = await house["cib-officer"].post(f"{ROOT}/clearing")
    assert cleared["clearing_spread_bp"] == 30
    assert cleared["allocation"] == {
        "cib": 1_000 * WAN,
        "hzbank": 1_500 * WAN,
        "czbank": 500 * WAN,
    }
    await table.decide(house, lead="cib", negotiation=DEAL)
    formed = await table.sign(
        house, lead="cib", negotiation=DEAL, facility="fac-2", signed_on="2024-03-15"
    )
    assert formed["commitments"] == cleared["allocation"]
    assert formed["seats"] == ["cib", "hzbank", "czbank"]
    assert formed["rate"]["spread_bp"] == 30
    state = await house["cib-officer"].get(ROOT)
    assert state["phase"] == "formed"
    verdict = judged(await unpacked(house), None)
    assert verdict["verified"], verdict["first_wrong"]
    assert set(verdict["reperformed"]) == {DEAL, "fac-2"}
    await assert_invariants(house.installation.database)
