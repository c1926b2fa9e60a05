"""What is known of the populated installation: who asks, ids that are there, bodies it accepts.

A generator that knows none of it is stopped at the door; with it, it reaches the rules behind.
"""

from typing import Any

import msgspec

from ledger.signatures import encode_base64, sign_statement
from syndicate.disclosure.consent import Consent, consent_body, withdrawal_body
from syndicate.parties.institutions import Role
from tests.api.populated import FACILITY, PURPOSE, accrual_of
from tests.api.test_disclosure import words
from tests.house import FIRST_DAY, key_of
from tests.ledger.authority import Authority
from tests.stories import table

ALWAYS = ("hzbank-officer", "cib-approver", "qinghe-borrower", "operator")
"""A bank's officer, the approver of the facility's lead, a borrower, the operator."""

PEOPLE: dict[Role, tuple[str, ...]] = {
    "officer": ("hzbank-officer", "cib-officer", "czbank-officer", "guarantor-officer"),
    "approver": ("hzbank-approver", "cib-approver", "pool-approver"),
    "risk": ("hzbank-risk",),
    "operations": ("hzbank-operations", "cib-operations"),
    "auditor": ("auditor-auditor",),
    "operator": ("operator",),
    "borrower-representative": ("yunshen-borrower", "qinghe-borrower"),
}
"""Who reaches an operation. czbank-risk asks nothing: its tokens are there to be revoked."""

BANKS = ("hzbank", "cib", "czbank")
INSTITUTIONS = (*BANKS, "guarantor", "pool", "yunshen", "qinghe")
DAYS = ("2024-03-01", "2024-03-04", "2024-03-05", "2024-12-31", "2023-12-31")
KNOWN: dict[str, tuple[Any, ...]] = {
    "about": ("d1", ""),
    "accrual": ("a-1", "a-2", "a-9"),
    "amount_minor": (1, 500, 1_000_000_00),
    "bank": BANKS,
    "banks": (["cib", "czbank"], ["hzbank"]),
    "book": ("registry", "top", FACILITY.facility, "neg-one", "own-hzbank-recon", "own-cib-new"),
    "borrower": ("yunshen", "qinghe"),
    "by": INSTITUTIONS,
    "claim": ("claim-1",),
    "code": ("cash", "loan.principal", "suspense"),
    "consent": ("c1", "c2", "c9"),
    "currency": ("CNY",),
    "draw": ("d1", "d2"),
    "evidence": ("e" * 64,),
    "facility": (FACILITY.facility,),
    "institution": INSTITUTIONS,
    "loss": ("loss-1",),
    "key": ("0" * 16,),
    "kind": ("overdue", "transaction", "interest"),
    "limit": (1, 2, 100),
    "negotiation": ("neg-one", "neg-two", "neg-three"),
    "on": DAYS,
    "pack": ("cn-syndicated", "cn-large-exposure"),
    "party": INSTITUTIONS,
    "payee": INSTITUTIONS,
    "payer": INSTITUTIONS,
    "payment": ("pay-1", "pay-2", "pay-9"),
    "pending": ("hzbank:pending-0002:0", "hzbank:pending-0001:0", "cib:pending-0002:0"),
    "transaction": ("hzbank:posted-0001:0", "hzbank:posting-0001:0", "cib:posted-0001:0"),
    "side": ("debit", "credit"),
    "lasts_seconds": (1, 3600),
    "most_minor": (1_000_000_00, 5),
    "number": (1, 2, 3),
    "person": ("czbank-risk",),
    "position": (0, 1),
    "purpose": (PURPOSE, "repayment", "drawdown"),
    "protector": ("guarantor", "pool"),
    "receiving_bank": BANKS,
    "recipient": BANKS,
    "reconciliation": ("czbank.2024-03-01.1", "hzbank.2024-03-01.1", "cib.2024-03-01.1"),
    "ref": ("d1", ""),
    "room": ("neg-yunshen",),
    "rule": ("SY-02", "LE-01"),
    "since": DAYS,
    "size": (1, 2, 4),
    "through": DAYS[:3],
    "tile": ("0/000.p/1", "0/000.p/2", "000.p/1", "1/000.p/1", "0/x001/000"),
    "until": DAYS,
    "value_date": DAYS,
    "version": (1, 2),
    "witnessed": (1, 2),
    "witnesses": ("hzbank,cib", "hzbank"),
    "workdays": (1, 5),
}
"""Values that mean something here, by the name of the parameter or field."""


class Seed(msgspec.Struct, frozen=True):
    """A command that would be accepted, or be judged by the last rule: by whom, where, what."""

    person: str
    body: Any
    path: dict[str, Any] = {}


def signed(by: str, kind: str, body: dict[str, Any]) -> Any:
    """The statement as it goes into a request."""
    return msgspec.to_builtins(sign_statement(kind=kind, body=body, by=by, signer=key_of(by)))


def _consent() -> dict[str, Any]:
    fields = words("c9", "czbank", classes=["orders"], version=2)
    body = consent_body(msgspec.convert({**fields, "borrower": "yunshen"}, Consent))
    return {**fields, "signed": signed("yunshen", "consent", body)}


def _mandate() -> dict[str, Any]:
    mandate = {**table.mandate_of("qinghe", "hzbank", negotiation="neg-four"), "project": "p-4"}
    return {"mandate": mandate, "signed": signed("qinghe", "mandate", mandate)}


def _confirmation() -> dict[str, Any]:
    said = {"external_reference": "REF-1", "amount_minor": 5, "value_date": DAYS[0]}
    body = {"facility": FACILITY.facility, "payment": "pay-9", **said}
    return {**said, "signed": signed("cib", "cash-confirmation", body)}


def _withdrawal() -> dict[str, Any]:
    body = withdrawal_body("c1", on=FIRST_DAY)
    return {"signed": signed("yunshen", "consent-withdrawal", body)}


def _transaction(number: str) -> dict[str, Any]:
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in (("cash", 5), ("suspense", -5))
    ]
    return {"value_date": DAYS[0], "reference": number, "entries": entries}


EVIDENCE = ["e" * 64]
TERMS = table.terms_of(target_minor=3000_000_000, lot_minor=10_000_000)
ONE = {"negotiation": "neg-one"}
TALKS = {"negotiation": "neg-three"}
LOAN = {"facility": FACILITY.facility}
OWN = {"book": "own-hzbank-recon"}
PROPOSED = {"terms": TERMS, "answer_within_workdays": 5}
QUOTED = {"steps": table.steps((20, 1_000), (35, 800)), "salt": "ab" * 32}

TSA = Authority()
STAMPED = encode_base64(TSA.answer(b"", imprint=b"s" * 32))
"""Of no head here: the last rule judges it."""

SEEDS: dict[str, Seed] = {
    "POST /v1/institutions": Seed(
        "operator",
        {
            "institution": "new-1",
            "kind": "fund",
            "name": "新",
            "name_en": "N",
            "illustrative": True,
        },
    ),
    "POST /v1/institutions/{institution}/people": Seed(
        "operator",
        {"person": "new-person", "name": "新", "roles": ["risk", "operations"]},
        {"institution": "czbank"},
    ),
    "POST /v1/people/{person}/tokens": Seed("operator", {"days": 1}, {"person": "czbank-risk"}),
    "POST /v1/capital": Seed(
        "hzbank-risk",
        {
            "as_of": "2024-02-01",
            "net_capital_minor": 500_00,
            "tier1_minor": 400_00,
            "illustrative": True,
        },
    ),
    "POST /v1/consents": Seed("yunshen-borrower", _consent()),
    "POST /v1/consents/{consent}/withdrawal": Seed(
        "yunshen-borrower", _withdrawal(), {"consent": "c1"}
    ),
    "POST /v1/borrowers/{borrower}/facts": Seed(
        "yunshen-borrower",
        {
            "room": "neg-yunshen",
            "item": "revenue",
            "field_class": "financials",
            "data_class": "internal",
            "value": 5,
            "unit": "fen",
            "legal_basis": "consent",
            "as_of": DAYS[-1],
            "confidence": "reported",
        },
        {"borrower": "yunshen"},
    ),
    "POST /v1/borrowers/{borrower}/readings": Seed(
        "hzbank-officer",
        {"purpose": PURPOSE, "classes": ["financials"], "tolerances_bp": {"revenue": 10}},
        {"borrower": "yunshen"},
    ),
    "POST /v1/books": Seed("hzbank-operations", {"book": "own-hzbank-new"}),
    "POST /v1/books/{book}/transactions": Seed("hzbank-operations", _transaction("n-2"), OWN),
    "POST /v1/books/{book}/transactions/batch": Seed(
        "hzbank-operations", [_transaction("n-3"), _transaction("n-4")], OWN
    ),
    "POST /v1/books/{book}/accounts": Seed(
        "hzbank-operations",
        {"code": "suspense", "ref": "", "currency": "CNY", "side": "credit"},
        OWN,
    ),
    "POST /v1/books/{book}/pendings": Seed(
        "hzbank-operations", {**_transaction("n-5"), "lasts_seconds": 60}, OWN
    ),
    "POST /v1/books/{book}/pendings/{pending}/posting": Seed(
        "hzbank-operations",
        {"entries": _transaction("n-6")["entries"], "value_date": DAYS[0]},
        {**OWN, "pending": "hzbank:pending-0002:0"},
    ),
    "POST /v1/books/{book}/transactions/{transaction}/reversal": Seed(
        "hzbank-operations", {"reference": "n-7"}, {**OWN, "transaction": "hzbank:posted-0001:0"}
    ),
    "POST /v1/books/{book}/batches": Seed(
        "hzbank-operations",
        {"operations": [{"pending": _transaction("n-8")}, {"transaction": _transaction("n-9")}]},
        OWN,
    ),
    "POST /v1/books/{book}/accruals": Seed("hzbank-operations", accrual_of("a-2"), OWN),
    "POST /v1/books/{book}/accruals/{accrual}/end": Seed(
        "hzbank-operations", {}, {**OWN, "accrual": "a-1"}
    ),
    "POST /v1/negotiations": Seed("qinghe-borrower", _mandate()),
    "POST /v1/negotiations/{negotiation}/invitations": Seed(
        "hzbank-officer", {"banks": ["cib"]}, TALKS
    ),
    "POST /v1/negotiations/{negotiation}/proposals": Seed("hzbank-officer", PROPOSED, TALKS),
    "POST /v1/negotiations/{negotiation}/counters": Seed(
        "cib-officer", {**PROPOSED, "answers": 1}, TALKS
    ),
    "POST /v1/negotiations/{negotiation}/acceptances": Seed(
        "czbank-officer", {"version": 1}, TALKS
    ),
    "POST /v1/negotiations/{negotiation}/extensions": Seed(
        "hzbank-officer", {"version": 1, "workdays": 2}, TALKS
    ),
    "POST /v1/negotiations/{negotiation}/book/extensions": Seed(
        "hzbank-officer", {"workdays": 2}, ONE
    ),
    "POST /v1/negotiations/{negotiation}/quotes": Seed(
        "cib-officer", {**QUOTED, "min_hold_minor": 500_000_000, "max_hold_minor": None}, ONE
    ),
    "POST /v1/negotiations/{negotiation}/quotes/body": Seed("cib-officer", QUOTED, ONE),
    "POST /v1/facilities/{facility}/contracts": Seed(
        "cib-officer", {"contract_no": "JK-9", "document_sha256": "a" * 64}, LOAN
    ),
    "POST /v1/facilities/{facility}/draws": Seed(
        "qinghe-borrower",
        {
            "draw": "d2",
            "amount_minor": 100_000_00,
            "value_date": DAYS[0],
            "use_of_funds": "working-capital",
            "payment_mode": "entrusted",
        },
        LOAN,
    ),
    "POST /v1/facilities/{facility}/draws/{draw}/releases": Seed(
        "cib-operations", {"loan_no": "JJ-2"}, {**LOAN, "draw": "d2"}
    ),
    "POST /v1/facilities/{facility}/payments": Seed(
        "qinghe-borrower",
        {
            "payment": "pay-9",
            "purpose": "repayment",
            "payer": "qinghe",
            "payee": "cib",
            "receiving_bank": "cib",
            "amount_minor": 5,
            "about": "d1",
        },
        LOAN,
    ),
    "POST /v1/facilities/{facility}/payments/{payment}/confirmation": Seed(
        "cib-operations", _confirmation(), {**LOAN, "payment": "pay-9"}
    ),
    "POST /v1/facilities/{facility}/payments/{payment}/return": Seed(
        "cib-operations", {"reason": "wrong account"}, {**LOAN, "payment": "pay-9"}
    ),
    "POST /v1/facilities/{facility}/alerts": Seed(
        "cib-officer",
        {"alert": "a-1", "kind": "late", "noted_on": DAYS[0], "source": "bank"},
        LOAN,
    ),
    "POST /v1/facilities/{facility}/events": Seed(
        "cib-officer",
        {"event": "e-1", "kind": "sale", "happened_on": DAYS[0], "source": "bank", "clause": ""},
        LOAN,
    ),
    "POST /v1/facilities/{facility}/claims": Seed(
        "cib-officer",
        {"claim": "c-1", "protector": "guarantor", "amount_minor": 5, "evidence_sha256": EVIDENCE},
        LOAN,
    ),
    "POST /v1/facilities/{facility}/losses": Seed(
        "cib-operations", {"loss": "l-1", "amount_minor": 5, "evidence_sha256": EVIDENCE}, LOAN
    ),
    "POST /v1/account-mappings": Seed(
        "hzbank-operations",
        {
            "valid_from": DAYS[1],
            "codes": {
                name: f"13{name}"
                for name in ("principal", "overdue", "interest", "penalty", "compound", "cash")
            },
        },
    ),
    "POST /v1/books/{book}/reconciliations/{reconciliation}/breaks/{number}/proposal": Seed(
        "czbank-operations",
        {"status": "noted", "reason": "seen", "document_sha256": "e" * 64},
        {"book": FACILITY.facility, "reconciliation": "czbank.2024-03-01.1", "number": 1},
    ),
    "POST /v1/log/checkpoints/{size}/time-stamps": Seed(
        "operator",
        {"authority": "tsa-2", "certificate": TSA.pem.decode(), "response": STAMPED},
        {"size": 2},
    ),
    "POST /v1/business-days": Seed("operator", {"through": DAYS[0]}),
}
"""By operation; a request swaps one or two fields of it for generated ones."""
