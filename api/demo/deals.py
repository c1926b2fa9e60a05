"""The two deals of the demonstration as their people put them into requests.

Amounts in fen; one 万元 is 1,000,000 fen. What is published about them the stage marks as fact.
"""

from typing import Any

WAN = 1_000_000
"""One 万元 (ten thousand yuan) in fen."""

BANKS = ("hzbank", "cib", "czbank")

_RATE = {
    "base": "LPR1Y",
    "spread_bp": None,
    "lpr_as_of": "day_before",
    "reset": "annual",
    "day_count": "ACT/360",
}
_DEFAULT = {
    "penalty_multiple": "1.5",
    "compound": True,
    "waterfall": ["fee", "compound", "penalty", "interest", "principal"],
}

RISK_SHARE = {
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
"""Deal 2: 60 万 by the banks first; beyond, 40 % pool up to 150 万, 40 % guarantor, 20 % banks."""

TERMS_1: dict[str, Any] = {
    "currency": "CNY",
    "target_minor": 20_000 * WAN,
    "lot_minor": 100 * WAN,
    "rate": _RATE,
    "repayment": {
        "kind": "bullet",
        "tenor_months": 36,
        "frequency": "quarterly",
        "payment_day": 20,
        "business_day": "following",
    },
    "default": _DEFAULT,
    "fees": [],
    "protectors": [],
    "risk_share": None,
    "upside": ["listing-tutoring"],
    "covenants": [],
    "available_until": "2026-03-31",
}
TERMS_2: dict[str, Any] = {
    **TERMS_1,
    "target_minor": 3_000 * WAN,
    "lot_minor": 10 * WAN,
    "repayment": {**TERMS_1["repayment"], "kind": "equal_principal"},
    "protectors": [
        {"party": "pool", "kind": "pool", "claim_after_days": 60, "settle_workdays": 20},
        {"party": "guarantor", "kind": "guarantor", "claim_after_days": 60, "settle_workdays": 20},
    ],
    "risk_share": RISK_SHARE,
    "upside": [],
    "available_until": "2024-09-30",
}


def _steps(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    return [{"spread_bp": spread, "amount_minor": wan * WAN} for spread, wan in pairs]


QUOTES_1: dict[str, dict[str, Any]] = {
    "hzbank": {
        "steps": _steps((-35, 3_000), (-25, 3_000), (-15, 2_000)),
        "max_hold_minor": 8_000 * WAN,
    },
    "cib": {
        "steps": _steps((-30, 2_000), (-20, 4_000), (-10, 4_000)),
        "min_hold_minor": 2_000 * WAN,
        "max_hold_minor": 10_000 * WAN,
    },
    "czbank": {
        "steps": _steps((-25, 3_000), (-15, 3_000)),
        "max_hold_minor": 6_000 * WAN,
    },
}
QUOTES_2: dict[str, dict[str, Any]] = {
    "cib": {"steps": _steps((20, 1_000), (35, 800)), "min_hold_minor": 500 * WAN},
    "hzbank": {"steps": _steps((10, 600), (30, 900))},
    "czbank": {"steps": _steps((25, 500), (40, 1_000)), "min_hold_minor": 300 * WAN},
}

LOSSES = (("loss", 500_000_001), ("loss", 33_333_333), ("recovery", 65_000_000))
"""Deal 2, in order: final losses and a recovery, in fen."""


def priced(terms: dict[str, Any], spread_bp: int) -> dict[str, Any]:
    """The terms with the spread agreed beforehand."""
    return {**terms, "rate": {**terms["rate"], "spread_bp": spread_bp}}


def with_fee(terms: dict[str, Any], rate_bp: int) -> dict[str, Any]:
    """The terms with a fee each quarter on what is undrawn."""
    fee = {
        "kind": "commitment",
        "base": "undrawn",
        "rate_bp": rate_bp,
        "frequency": "quarterly",
        "payer": "borrower",
    }
    return {**terms, "fees": [fee]}
