"""A negotiation as the stories need it: consents, mandate, rounds, quotes, decisions, signatures.

Each function is what its people do over HTTP with their own tokens and keys.
"""

import hashlib
from typing import Any

from tests.house import House

BANKS = ("hzbank", "cib", "czbank")
WAN = 1_000_000
"""One 万元 in fen."""


def consent_of(
    borrower: str, recipient: str, *, negotiation: str, until: str, classes: list[str]
) -> dict[str, Any]:
    return {
        "consent": f"c-{negotiation}-{recipient}",
        "borrower": borrower,
        "person": None,
        "recipient": recipient,
        "purpose": f"{negotiation}:assessment",
        "classes": classes,
        "valid_from": "2024-03-01",
        "until": until,
        "version": 1,
        "evidence": None,
    }


async def consents(house: House, *, borrower: str, negotiation: str) -> None:
    """The borrower consents to each bank."""
    for bank in BANKS:
        body = consent_of(
            borrower,
            bank,
            negotiation=negotiation,
            until="2026-12-31",
            classes=["financials", "intellectual_property", "orders"],
        )
        signed = house.sign(borrower, "consent", body)
        sent = {name: value for name, value in body.items() if name != "borrower"}
        await house[f"{borrower}-borrower"].post("/v1/consents", {**sent, "signed": signed})


def mandate_of(borrower: str, lead: str, *, negotiation: str) -> dict[str, Any]:
    return {
        "negotiation": negotiation,
        "borrower": borrower,
        "project": "working-capital",
        "lead": lead,
        "form": "JOINT_PARALLEL",
        "purpose": f"{negotiation}:assessment",
        "valid_from": "2024-03-01",
        "until": "2024-06-28",
    }


async def mandate(house: House, *, borrower: str, lead: str, negotiation: str) -> Any:
    body = mandate_of(borrower, lead, negotiation=negotiation)
    signed = house.sign(borrower, "mandate", body)
    return await house[f"{borrower}-borrower"].post(
        "/v1/negotiations", {"mandate": body, "signed": signed}
    )


def terms_of(*, target_minor: int, lot_minor: int, **changed: Any) -> dict[str, Any]:
    terms = {
        "currency": "CNY",
        "target_minor": target_minor,
        "lot_minor": lot_minor,
        "rate": {
            "base": "LPR1Y",
            "spread_bp": None,
            "lpr_as_of": "day_before",
            "reset": "annual",
            "day_count": "ACT/360",
        },
        "repayment": {
            "kind": "equal_principal",
            "tenor_months": 36,
            "frequency": "quarterly",
            "payment_day": 20,
            "business_day": "following",
        },
        "default": {
            "penalty_multiple": "1.5",
            "compound": True,
            "waterfall": ["fee", "compound", "penalty", "interest", "principal"],
        },
        "fees": [],
        "protectors": [],
        "risk_share": None,
        "upside": [],
        "covenants": [],
        "available_until": "2024-09-30",
    }
    return {**terms, **changed}


async def seat(house: House, *, lead: str, negotiation: str) -> None:
    """The lead invites the other banks, and they take their seats."""
    others = [bank for bank in BANKS if bank != lead]
    root = f"/v1/negotiations/{negotiation}"
    await house[f"{lead}-officer"].post(f"{root}/invitations", {"banks": others})
    for bank in others:
        await house[f"{bank}-officer"].post(f"{root}/answer", {"joins": True})


async def agree(house: House, *, lead: str, negotiation: str, terms: dict[str, Any]) -> None:
    """The lead proposes; everybody accepts."""
    root = f"/v1/negotiations/{negotiation}"
    after = await house[f"{lead}-officer"].post(
        f"{root}/proposals", {"terms": terms, "answer_within_workdays": 5}
    )
    for bank in BANKS:
        if bank != lead:
            version = {"version": after["standing"]}
            await house[f"{bank}-officer"].post(f"{root}/acceptances", version)


def steps(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    """(spread in basis points, amount in 万元) as the API takes it."""
    return [{"spread_bp": spread, "amount_minor": wan * WAN} for spread, wan in pairs]


QUOTES = {
    "cib": {"steps": steps((20, 1_000), (35, 800)), "min_hold_minor": 500 * WAN},
    "hzbank": {"steps": steps((10, 600), (30, 900))},
    "czbank": {"steps": steps((25, 500), (40, 1_000)), "min_hold_minor": 300 * WAN},
}
"""Deal 2 of the story."""


async def quote(house: House, *, lead: str, negotiation: str) -> None:
    root = f"/v1/negotiations/{negotiation}"
    body = {"mode": "open", "rules": ["cn-syndicated"], "quotes_within_workdays": 1}
    await house[f"{lead}-officer"].post(f"{root}/book", body)
    for bank, quoted in QUOTES.items():
        await house[f"{bank}-officer"].post(f"{root}/quotes", quoted)


async def capital(house: House) -> None:
    """Each bank records its own figures (illustrative)."""
    for bank in BANKS:
        await capital_of(house, bank)


async def capital_of(house: House, bank: str) -> None:
    await house[f"{bank}-risk"].post(
        "/v1/capital",
        {
            "as_of": "2024-01-01",
            "net_capital_minor": 50_000_000 * WAN // 10,
            "tier1_minor": 45_000_000 * WAN // 10,
            "illustrative": True,
        },
    )


async def decide(house: House, *, lead: str, negotiation: str) -> None:
    """Rules are judged, and each bank decides for itself: maker, checker, its own key."""
    root = f"/v1/negotiations/{negotiation}"
    for bank in (lead, *(bank for bank in BANKS if bank != lead)):
        state = await house[f"{bank}-risk"].post(f"{root}/rule-checks")
    for bank in BANKS:
        draft = {"outcome": "approve", "agreement": state["agreement"]}
        await house[f"{bank}-officer"].post(f"{root}/decisions/draft", draft)
        body = await house[f"{bank}-approver"].get(f"{root}/decisions/body")
        signed = house.sign(bank, "decision", body)
        await house[f"{bank}-approver"].post(
            f"{root}/decisions", {"agreement": state["agreement"], "signed": signed}
        )


async def sign(house: House, *, lead: str, negotiation: str, facility: str, signed_on: str) -> Any:
    """The sheet is drawn, signed by every party's own key, and the facility is formed."""
    root = f"/v1/negotiations/{negotiation}"
    await house[f"{lead}-officer"].post(
        f"{root}/term-sheet",
        {
            "facility": facility,
            "signed_on": signed_on,
            "cooperation_agreement": hashlib.sha256(b"cooperation agreement").hexdigest(),
        },
    )
    sheet = await house[f"{lead}-officer"].get(f"{root}/term-sheet")
    for party in sheet["missing"]:
        signer = "borrower" if party in ("yunshen", "qinghe") else "approver"
        signed = house.sign(party, "term-sheet", sheet["body"])
        await house[f"{party}-{signer}"].post(f"{root}/signatures", {"signed": signed})
    return await house[f"{lead}-approver"].post(f"{root}/facility")
