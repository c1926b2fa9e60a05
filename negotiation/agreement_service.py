"""From a cleared book to a facility: rules judged, each bank's decision, the sheet, signatures.

Whether a rule pack allows the deal, each bank judges for itself; its capital is read by itself
alone. What is signed is bound to hashes of exactly what was agreed.
"""

import secrets
from datetime import date
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import NotAllowed
from negotiation import service, termsheet
from negotiation.agreement import decision_body
from negotiation.facts import LogReference
from negotiation.moves import CheckRules, DrawTermSheet, RecordFacility
from negotiation.refusals import WrongPhase
from negotiation.rule_checks import findings_for, packs_for
from negotiation.service import Work
from negotiation.state import Negotiation, Phase, signatories
from syndicate.facility import service as facilities
from syndicate.facility.terms import FacilityTerms
from syndicate.parties import service as parties

# ---- rules


async def check_rules(work: Work, *, negotiation: str) -> Negotiation:
    """The asker's own judgement of the allocation stands in the log, without private figures.

    The lead judges the whole deal by the syndicate rules and its own holding; every other bank
    its own holding. A bank's capital is read by itself alone; the log learns pass or fail.
    """
    table = await service.hold(work.conn, negotiation)
    state, bank, on = table.state, work.actor.institution, table.held.open_day
    if state.clearing is None:
        raise WrongPhase("the book has not cleared yet", phase=state.phase)
    figures = await parties.capital(work.conn, institution=bank, on=on)
    found = findings_for(
        state,
        bank,
        net_capital_minor=figures.net_capital_minor,
        tier1_minor=figures.tier1_minor,
        on=on,
    )
    packs = packs_for(state, bank, on=on)
    return await service.make(work, table, CheckRules(by=bank, packs=packs, findings=found))


# ---- agreement


async def decision_to_sign(
    conn: AsyncConnection, *, negotiation: str, bank: str, checker: str
) -> dict[str, Any]:
    """The body the bank's checker signs under the kind "decision", for the draft that stands."""
    state = await service.state_of(conn, negotiation=negotiation)
    draft = state.drafts.get(bank)
    if draft is None or state.clearing is None:
        raise WrongPhase("no draft of a decision stands", phase=state.phase)
    return decision_body(
        state, bank=bank, outcome=draft.outcome, maker=draft.maker, checker=checker
    )


async def draw_term_sheet(
    work: Work,
    *,
    negotiation: str,
    facility: str,
    signed_on: date,
    cooperation_agreement: str,
) -> Negotiation:
    """The canonical sheet is drawn on the log as it stands; its protectors may now read it."""
    table = await service.hold(work.conn, negotiation)
    frontier = await ledger.frontier(work.conn, held=table.held)
    state = await service.make(
        work,
        table,
        DrawTermSheet(
            by=work.actor.institution,
            facility=facility,
            signed_on=signed_on,
            cooperation_agreement=cooperation_agreement,
            log=LogReference(book=negotiation, size=table.held.size, root=frontier.root().hex()),
        ),
    )
    for party in signatories(state):
        await parties.institution(work.conn, institution=party)
    return state


class SheetToSign(msgspec.Struct, frozen=True, kw_only=True):
    """The drawn sheet, its hash, the body to sign and who has not signed yet."""

    term_sheet: dict[str, Any]
    term_sheet_hash: str
    body: dict[str, Any]
    signed: tuple[str, ...]
    missing: tuple[str, ...]


async def sheet_to_sign(conn: AsyncConnection, *, negotiation: str) -> SheetToSign:
    """The term sheet as drawn. WrongPhase before it is drawn."""
    state = await service.state_of(conn, negotiation=negotiation)
    if state.sheet is None:
        raise WrongPhase("no term sheet is drawn yet", phase=state.phase)
    return SheetToSign(
        term_sheet=termsheet.term_sheet(state),
        term_sheet_hash=state.sheet.term_sheet_hash,
        body=termsheet.signature_body(state),
        signed=tuple(state.signatures),
        missing=tuple(p for p in signatories(state) if p not in state.signatures),
    )


async def form_facility(work: Work, *, negotiation: str) -> FacilityTerms:
    """The facility is formed on exactly the signed terms, in its own book, signatures with it.

    Runs for the service, since its book is new to everybody; only the lead may ask.
    """
    table = await service.hold(work.conn, negotiation)
    state = table.state
    if work.actor.institution != state.mandate.lead:
        raise NotAllowed("only the lead forms the facility")
    if state.phase is not Phase.SIGNED or state.sheet is None:
        raise WrongPhase("the term sheet is not signed by all", phase=state.phase)
    signatures = tuple(state.signatures.values())
    await parties.check_signed(work.conn, signatures, now=work.now, place="$.signatures")
    terms = termsheet.facility_terms(
        state, facility=state.sheet.facility, signed_on=state.sheet.signed_on
    )
    await facilities.form(
        facilities.Work(
            conn=work.conn, actor=work.actor, now=work.now, command=f"{work.command}:facility"
        ),
        terms=terms,
        signatures=signatures,
        negotiation=negotiation,
        salt=secrets.token_bytes(32),
    )
    await service.make(work, table, RecordFacility(terms=terms))
    return terms
