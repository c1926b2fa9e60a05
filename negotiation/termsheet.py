"""The canonical term sheet (条款清单): what every party signs, and the facility terms that follow.

The sheet is JSON without floats; its name is SHA-256 over its RFC 8785 bytes. It is a function of
the negotiation's facts and of where its log stood, so whoever has the log writes the same sheet. It
carries the hash of the facility's terms: what was accepted, what is signed and what is posted are
one thing (I17). It signs nothing.
"""

from datetime import date
from typing import Any

import msgspec

from ledger.documents import canonical
from negotiation.facts import LogReference, TermSheetDrawn
from negotiation.refusals import TermsDiffer
from negotiation.state import (
    Clearing,
    Negotiation,
    agreed_terms,
    agreement_hash,
    signatories,
)
from negotiation.terms import digest, facility_terms_of
from syndicate.facility.terms import FacilityTerms, terms_hash


def term_sheet(state: Negotiation) -> dict[str, Any]:
    """The sheet that was drawn, written again from the facts. Only once it was drawn."""
    sheet = _drawn(state)
    return write(
        state,
        facility=sheet.facility,
        signed_on=sheet.signed_on,
        cooperation_agreement=sheet.cooperation_agreement,
        log=sheet.log,
    )


def term_sheet_hash(sheet: dict[str, Any]) -> str:
    """SHA-256 in hex of the sheet's canonical bytes."""
    return digest(sheet)


def facility_terms(state: Negotiation, *, facility: str, signed_on: date) -> FacilityTerms:
    """The terms of the facility that this negotiation agreed on. Only once the book cleared."""
    clearing = _cleared(state)
    return facility_terms_of(
        agreed_terms(state),
        facility=facility,
        borrower=state.mandate.borrower,
        lead=state.mandate.lead,
        allocation=clearing.allocation,
        spread_bp=clearing.spread_bp,
        signed_on=signed_on,
    )


def check_posted(state: Negotiation, posted: FacilityTerms) -> None:
    """Nothing: these are the terms that were accepted and signed, to the letter (I17).

    Raises TermsDiffer. Only once the sheet was drawn.
    """
    if terms_hash(posted) != _drawn(state).terms_hash:
        raise TermsDiffer(
            "the facility's terms are not the signed ones",
            posted=terms_hash(posted),
            signed=_drawn(state).terms_hash,
        )


def signature_body(state: Negotiation) -> dict[str, Any]:
    """What every party signs under the kind "term-sheet". Only once the sheet was drawn."""
    sheet = _drawn(state)
    return {
        "negotiation": state.name,
        "facility": sheet.facility,
        "term_sheet": sheet.term_sheet_hash,
        "terms_hash": sheet.terms_hash,
    }


def write(
    state: Negotiation,
    *,
    facility: str,
    signed_on: date,
    cooperation_agreement: str,
    log: LogReference,
) -> dict[str, Any]:
    """The sheet as JSON values: parties, terms, allocation, spread, rules, decisions, log.

    Only once the book cleared.
    """
    clearing = _cleared(state)
    posted = facility_terms(state, facility=facility, signed_on=signed_on)
    sheet: dict[str, Any] = msgspec.json.decode(
        canonical(
            {
                "version": 1,
                "negotiation": state.name,
                "project": state.mandate.project,
                "form": state.mandate.form,
                "parties": {
                    "borrower": state.mandate.borrower,
                    "lead": state.mandate.lead,
                    "banks": list(clearing.allocation),
                    "protectors": [p.party for p in agreed_terms(state).protectors],
                    "signatories": signatories(state),
                },
                "agreed_version": state.agreed,
                "terms": agreed_terms(state),
                "clearing": {
                    "book": state.books,
                    "spread_bp": clearing.spread_bp,
                    "quotes_hash": clearing.quotes_hash,
                    "offers_hash": clearing.offers_hash,
                },
                "allocation": dict(clearing.allocation),
                "risk_share": posted.risk_share,
                "risk_share_hash": (
                    None if posted.risk_share is None else digest(posted.risk_share)
                ),
                "rules": _rules(state),
                "agreement": agreement_hash(state),
                "decisions": _decisions(state),
                "cooperation_agreement": cooperation_agreement,
                "facility": facility,
                "signed_on": signed_on,
                "terms_hash": terms_hash(posted),
                "log": log,
            }
        )
    )
    return sheet


def _rules(state: Negotiation) -> dict[str, Any]:
    """Each bank's judgement in seat order: packs by their day in force, findings, overrides."""
    checks = [state.checks[bank] for bank in state.seats if bank in state.checks]
    return {
        "checks": [
            {"by": check.by, "packs": check.packs, "findings": check.findings} for check in checks
        ],
        "overrides": [
            {"by": o.by, "pack": o.pack, "rule": o.rule, "reason": o.reason}
            for o in state.overrides
        ],
    }


def _decisions(state: Negotiation) -> list[dict[str, str]]:
    decided = [state.decisions[bank] for bank in state.seats if bank in state.decisions]
    return [
        {"bank": d.bank, "outcome": d.outcome, "maker": d.maker, "checker": d.checker}
        for d in decided
    ]


def _cleared(state: Negotiation) -> Clearing:
    if state.clearing is None:
        raise AssertionError("the book has not cleared yet")
    return state.clearing


def _drawn(state: Negotiation) -> TermSheetDrawn:
    if state.sheet is None:
        raise AssertionError("no term sheet was drawn yet")
    return state.sheet
