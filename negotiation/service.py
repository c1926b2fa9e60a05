"""A negotiation's use cases: load the facts, decide, record; private quotes beside the log.

Every move takes the negotiation's book first (its row is the lock), folds the facts, lets the pure
`rounds.decide` answer and records what follows. Two acceptances racing are therefore one after the
other, and the second meets the state the first left.
"""

import asyncio
import hashlib
import secrets
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, NotAllowed, WrongInput
from ledger.leaves import Actor
from ledger.service import HeldBook
from ledger.signatures import Statement
from negotiation import cleared, store, termsheet
from negotiation.agreement import decision_body
from negotiation.cleared import Cell, PrivateQuote
from negotiation.facts import LogReference, PackUsed, RuleFinding, fact_of, subject_of
from negotiation.mandate import Mandate
from negotiation.moves import (
    CheckRules,
    DrawTermSheet,
    GiveMandate,
    Ground,
    Invite,
    Lapse,
    Move,
    PlaceQuote,
    RecordFacility,
    WithdrawQuote,
)
from negotiation.placing import quote_body
from negotiation.quotes import Quote
from negotiation.refusals import DeadlineNotPassed, NothingToAnswer, WrongPhase
from negotiation.rounds import Negotiation, decide, evolve, fold
from negotiation.state import (
    OVER,
    Phase,
    agreement_hash,
    next_quote_version,
    signatories,
    version_of,
)
from negotiation.terms import Difference, differences
from syndicate.disclosure import service as disclosure
from syndicate.disclosure.consent import NO_CONSENTS
from syndicate.facility import service as facilities
from syndicate.facility.terms import FacilityTerms
from syndicate.parties import service as parties
from syndicate.rules import cn_large_exposure, cn_syndicated, engine
from syndicate.rules.cn_large_exposure import ExposureFacts
from syndicate.rules.finding import Finding
from syndicate.rules.syndicate_facts import Member, SyndicateFacts

SYNDICATED = "cn-syndicated"
LARGE_EXPOSURE = "cn-large-exposure"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts on an open connection, when, and under which command."""

    conn: AsyncConnection
    actor: Actor
    now: datetime
    command: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A negotiation held by this transaction, and its state."""

    held: HeldBook
    state: Negotiation


async def state_of(conn: AsyncConnection, *, negotiation: str) -> Negotiation:
    """The negotiation folded from its log. Absent where the asker has no part in it."""
    recorded = await ledger.facts(conn, book=negotiation, kinds=("record",))
    state = fold(fact_of(item.subject) for item in recorded)
    if state is None:
        raise Absent(f"no negotiation {negotiation}")
    return state


async def _hold(conn: AsyncConnection, negotiation: str) -> Table:
    held = await ledger.hold(conn, book=negotiation)
    return Table(held=held, state=await state_of(conn, negotiation=negotiation))


async def _ground(conn: AsyncConnection, state: Negotiation, *, on: date) -> Ground:
    consents = await disclosure.consents(conn, borrower=state.mandate.borrower)
    return Ground(on=on, consents=consents, mandates=())


async def _make(work: Work, table: Table, *moves: Move, first: int = 0) -> Negotiation:
    """The state after the moves; what follows from them stands in the log."""
    ground = await _ground(work.conn, table.state, on=table.held.open_day)
    state, facts = table.state, []
    for move in moves:
        for fact in decide(state, move, ground):
            facts.append(fact)
            state = evolve(state, fact)
    await ledger.record(
        work.conn,
        held=table.held,
        items=[
            ledger.Item(
                kind="record",
                subject=subject_of(fact),
                entries=(),
                value_date=table.held.open_day,
            )
            for fact in facts
        ],
        command=work.command,
        actor=work.actor,
        now=work.now,
        first=first,
    )
    return state


async def move(work: Work, *, negotiation: str, made: Move) -> Negotiation:
    """The negotiation after a move that needs nothing but the log, its signature checked."""
    table = await _hold(work.conn, negotiation)
    signed = getattr(made, "signed", None)
    if isinstance(signed, Statement):
        await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    return await _make(work, table, made)


async def give_mandate(work: Work, *, mandate: Mandate, signed: Statement) -> Negotiation:
    """The negotiation is open, its lead and borrower take part in its book.

    Runs for the service, so the asker's institution is checked here: the borrower mandates.
    """
    if work.actor.institution != mandate.borrower:
        raise NotAllowed("only the borrower gives its mandate")
    lead = await parties.institution(work.conn, institution=mandate.lead)
    if lead.kind != "bank":
        raise WrongInput("$.mandate.lead", "a bank")
    await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    await store.hold_borrower(work.conn, borrower=mandate.borrower)
    others = [
        await state_of(work.conn, negotiation=row.deal)
        for row in await store.deals(work.conn, borrower=mandate.borrower)
    ]
    day = await ledger.business_day(work.conn)
    ground = Ground(
        on=day,
        consents=NO_CONSENTS,
        mandates=tuple(other.mandate for other in others if other.phase is not Phase.ENDED),
    )
    facts = decide(None, GiveMandate(mandate=mandate, signed=signed), ground)
    await ledger.open_book(
        work.conn,
        book=mandate.negotiation,
        purpose="negotiation",
        lead=mandate.lead,
        members=(mandate.borrower,),
        salt=secrets.token_bytes(32),
    )
    await store.add_deal(
        work.conn,
        deal=mandate.negotiation,
        borrower=mandate.borrower,
        lead=mandate.lead,
        project=mandate.project,
        opened_on=day,
        mandate_until=mandate.until,
    )
    held = await ledger.hold(work.conn, book=mandate.negotiation)
    await ledger.record(
        work.conn,
        held=held,
        items=[
            ledger.Item(
                kind="record", subject=subject_of(fact), entries=(), value_date=held.open_day
            )
            for fact in facts
        ],
        command=work.command,
        actor=work.actor,
        now=work.now,
    )
    state = fold(facts)
    assert state is not None, "a mandate opens a negotiation"
    return state


async def invite(work: Work, *, negotiation: str, banks: tuple[str, ...]) -> Negotiation:
    """The banks are invited, and take part in the negotiation's book from now on."""
    table = await _hold(work.conn, negotiation)
    for index, bank in enumerate(banks):
        if (await parties.institution(work.conn, institution=bank)).kind != "bank":
            raise WrongInput(f"$.banks[{index}]", "a bank")
    state = await _make(work, table, Invite(by=work.actor.institution, banks=banks))
    for bank in banks:
        await ledger.admit(work.conn, book=negotiation, party=bank)
    return state


# ---- quotes


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A quote in the book; its hash is all the log knows of it."""

    bank: str
    version: int
    quote_hash: str


async def place_quote(
    work: Work, *, negotiation: str, quote: Quote, salt: bytes, signed: Statement | None
) -> Placed:
    """The asker's quote stands in the open book, in a row only it and the lead can read.

    salt  32 random bytes, the bank's own where it signs the commitment
    """
    table = await _hold(work.conn, negotiation)
    state, bank = table.state, work.actor.institution
    book = _book(state)
    cleared.check_quote_on(state, quote, place="$")
    version = next_quote_version(state, bank)
    commitment = cleared.quote_hash(
        negotiation=negotiation, book=book, bank=bank, version=version, quote=quote, salt=salt
    )
    if signed is not None:
        await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    await _make(
        work,
        table,
        PlaceQuote(by=bank, version=version, quote_hash=commitment, signed=signed),
    )
    await store.add_quote(
        work.conn,
        deal=negotiation,
        book=book,
        bank=bank,
        version=version,
        quote=msgspec.to_builtins(quote),
        salt=salt,
        placed_at=work.now,
    )
    return Placed(bank=bank, version=version, quote_hash=commitment)


async def quote_to_sign(
    conn: AsyncConnection, *, negotiation: str, bank: str, quote: Quote, salt: bytes
) -> dict[str, Any]:
    """The body a bank signs under the kind "quote" before it places it with that salt."""
    state = await state_of(conn, negotiation=negotiation)
    version = next_quote_version(state, bank)
    commitment = cleared.quote_hash(
        negotiation=negotiation,
        book=_book(state),
        bank=bank,
        version=version,
        quote=quote,
        salt=salt,
    )
    return quote_body(state, bank=bank, version=version, quote_hash=commitment)


async def withdraw_quote(work: Work, *, negotiation: str) -> Negotiation:
    """The asker's quote does not stand any more."""
    table = await _hold(work.conn, negotiation)
    bank = work.actor.institution
    book, version = _book(table.state), next_quote_version(table.state, bank)
    state = await _make(work, table, WithdrawQuote(by=bank, version=version))
    await store.add_quote(
        work.conn,
        deal=negotiation,
        book=book,
        bank=bank,
        version=version,
        quote=None,
        salt=secrets.token_bytes(32),
        placed_at=work.now,
    )
    return state


def _book(state: Negotiation) -> int:
    if state.phase is not Phase.BOOK_OPEN or state.book is None:
        raise WrongPhase("no book of quotes is open", phase=state.phase)
    return state.book.number


async def _quotes(conn: AsyncConnection, state: Negotiation) -> dict[str, PrivateQuote]:
    """The standing quotes that the asker may read, by bank."""
    if state.book is None:
        return {}
    rows = await store.quotes(conn, deal=state.name, book=state.book.number)
    return {
        row.bank: PrivateQuote(
            bank=row.bank,
            version=row.version,
            quote=msgspec.convert(row.quote, Quote),
            salt=row.salt,
        )
        for row in rows
        if row.quote is not None
    }


class SeenQuotes(msgspec.Struct, frozen=True, kw_only=True):
    """What the asker sees of an open book: the lead every quote, a bank its own.

    together  all offers at each spread, where at least three banks stand behind the figure
    """

    quotes: dict[str, Quote]
    together: tuple[Cell, ...]


async def quotes_seen(conn: AsyncConnection, *, negotiation: str, viewer: str) -> SeenQuotes:
    """Quotes as the viewer may see them.

    Runs for the service, since the aggregate is made of rows that no single bank may read; who may
    see what is decided here. Absent for whoever has no part in the negotiation.
    """
    if viewer not in await ledger.participants(conn, book=negotiation):
        raise Absent(f"no negotiation {negotiation}")
    state = await state_of(conn, negotiation=negotiation)
    if state.book is None:
        raise WrongPhase("no book of quotes was opened yet", phase=state.phase)
    standing = await _quotes(conn, state)
    at_the_table = viewer in state.seats
    return SeenQuotes(
        quotes=cleared.quotes_seen_by(state, viewer, standing),
        together=(
            cleared.aggregate({bank: own.quote for bank, own in standing.items()})
            if at_the_table
            else ()
        ),
    )


async def clear_book(work: Work, *, negotiation: str) -> Negotiation:
    """The book is cleared, or has failed with its gap and the constraints that clash."""
    table = await _hold(work.conn, negotiation)
    state = table.state
    if work.actor.institution != state.mandate.lead:
        raise NotAllowed("only the lead clears the book")
    _book(state)
    standing = await _quotes(work.conn, state)
    book = cleared.book_of(state, standing, headroom={}, on=table.held.open_day)
    # Whoever holds the private quotes can open the commitment to the offers again.
    salt = hashlib.sha256(b"".join(standing[bank].salt for bank in sorted(standing))).digest()
    # A hostile book may take seconds of computing: other requests go on meanwhile.
    outcome = await asyncio.to_thread(cleared.clear_book, state, book, salt=salt)
    return await _make(work, table, outcome)


# ---- rules


async def check_rules(work: Work, *, negotiation: str) -> Negotiation:
    """The asker's own judgement of the allocation stands in the log, without private figures.

    The lead judges the whole deal by the syndicate rules and its own holding; every other bank
    its own holding. A bank's capital is read by itself alone; the log learns pass or fail.
    """
    table = await _hold(work.conn, negotiation)
    state, bank, on = table.state, work.actor.institution, table.held.open_day
    if state.clearing is None:
        raise WrongPhase("the book has not cleared yet", phase=state.phase)
    allocation = state.clearing.allocation
    packs = [PackUsed(pack=LARGE_EXPOSURE, on=on)]
    found = [
        _rule_finding(LARGE_EXPOSURE, finding, private=True)
        for finding in await _own_exposure(work.conn, bank, allocation.get(bank, 0), on=on)
    ]
    if bank == state.mandate.lead:
        packs.insert(0, PackUsed(pack=SYNDICATED, on=on))
        found = [
            *(
                _rule_finding(SYNDICATED, finding, private=False)
                for finding in _syndicate(state, on=on)
            ),
            *found,
        ]
    return await _make(work, table, CheckRules(by=bank, packs=tuple(packs), findings=tuple(found)))


def _syndicate(state: Negotiation, *, on: date) -> list[Finding]:
    assert state.clearing is not None, "checked by the caller"
    allocation = state.clearing.allocation
    facts = SyndicateFacts(
        total=Fraction(sum(allocation.values()), 100),
        members=tuple(
            Member(
                id=bank,
                role="lead" if bank == state.mandate.lead else "participant",
                commitment=Fraction(held, 100),
            )
            for bank, held in allocation.items()
        ),
    )
    return engine.findings(cn_syndicated.PACK, on, facts)


async def _own_exposure(
    conn: AsyncConnection, bank: str, holding_minor: int, *, on: date
) -> list[Finding]:
    figures = await parties.capital(conn, institution=bank, on=on)
    facts = ExposureFacts(
        net_capital=Fraction(figures.net_capital_minor, 100),
        tier1=Fraction(figures.tier1_minor, 100),
        loan_balance=Fraction(holding_minor, 100),
        exposure=Fraction(holding_minor, 100),
        counterparty="corporate",
    )
    return engine.findings(cn_large_exposure.PACK, on, facts)


def _rule_finding(pack: str, finding: Finding, *, private: bool) -> RuleFinding:
    return RuleFinding(
        pack=pack,
        rule=finding.rule,
        outcome=finding.outcome,
        severity=finding.severity,
        value=None if private else finding.value,
        limit=finding.limit,
        source=finding.source,
        effective_from=finding.effective_from,
    )


# ---- agreement


async def decision_to_sign(
    conn: AsyncConnection, *, negotiation: str, bank: str, checker: str
) -> dict[str, Any]:
    """The body the bank's checker signs under the kind "decision", for the draft that stands."""
    state = await state_of(conn, negotiation=negotiation)
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
    table = await _hold(work.conn, negotiation)
    frontier = await ledger.frontier(work.conn, held=table.held)
    state = await _make(
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
        await ledger.admit(work.conn, book=negotiation, party=party)
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
    state = await state_of(conn, negotiation=negotiation)
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
    table = await _hold(work.conn, negotiation)
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
    await _make(work, table, RecordFacility(terms=terms))
    return terms


# ---- the clock, and questions


async def lapse(work: Work, *, negotiation: str) -> bool:
    """Whether the standing version lapsed now: its deadline was over on the open day."""
    table = await _hold(work.conn, negotiation)
    if table.state.phase in OVER or table.state.standing is None:
        return False
    try:
        await _make(work, table, Lapse())
    except (DeadlineNotPassed, NothingToAnswer, WrongPhase):
        return False
    return True


async def compared(
    conn: AsyncConnection, *, negotiation: str, before: int, after: int
) -> tuple[Difference, ...]:
    """Field by field, how two versions differ."""
    state = await state_of(conn, negotiation=negotiation)
    for place, number in (("before", before), ("after", after)):
        if not 1 <= number <= len(state.versions):
            raise WrongInput(place, f"a version of 1 to {len(state.versions)}")
    return differences(version_of(state, before).terms, version_of(state, after).terms)


async def names(conn: AsyncConnection) -> list[str]:
    """The negotiations the asker takes part in, by id."""
    return [row.deal for row in await store.deals(conn, borrower=None)]


def agreement_of(state: Negotiation) -> str | None:
    """The hash each bank decides on, once the book cleared."""
    return None if state.clearing is None else agreement_hash(state)
