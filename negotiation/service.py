"""A negotiation's use cases: load the facts, decide, record; private quotes beside the log.

Every move takes the negotiation's book first (its row is the lock), folds the facts, lets the pure
`rounds.decide` answer and records what follows. Two acceptances racing are therefore one after the
other, and the second meets the state the first left.
"""

import secrets
from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, NotAllowed, WrongInput
from ledger.leaves import Actor
from ledger.service import HeldBook
from ledger.signatures import Statement
from negotiation import store
from negotiation.facts import Fact, fact_of, subject_of
from negotiation.mandate import Mandate
from negotiation.moves import (
    GiveMandate,
    Ground,
    Invite,
    Lapse,
    Move,
)
from negotiation.refusals import DeadlineNotPassed, NothingToAnswer, WrongPhase
from negotiation.rounds import Negotiation, decide, evolve, fold
from negotiation.state import (
    OVER,
    Phase,
    agreement_hash,
    version_of,
)
from negotiation.taking_part import changes
from negotiation.terms import Difference, differences
from syndicate.disclosure import service as disclosure
from syndicate.disclosure.consent import NO_CONSENTS
from syndicate.parties import service as parties


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


async def hold(conn: AsyncConnection, negotiation: str) -> Table:
    """The negotiation as it stands; nobody else moves in it until the transaction ends."""
    held = await ledger.hold(conn, book=negotiation)
    return Table(held=held, state=await state_of(conn, negotiation=negotiation))


async def _ground(conn: AsyncConnection, state: Negotiation, *, on: date) -> Ground:
    consents = await disclosure.consents(conn, borrower=state.mandate.borrower)
    return Ground(on=on, consents=consents, mandates=())


async def make(work: Work, table: Table, *moves: Move, first: int = 0) -> Negotiation:
    """The state after the moves; what follows from them stands in the log.

    Who may read the book from then on follows from them (`taking_part`).
    """
    ground = await _ground(work.conn, table.state, on=table.held.open_day)
    state, facts = table.state, list[Fact]()
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
    await _reach(work, table, state, facts)
    return state


async def _reach(work: Work, table: Table, after: Negotiation, facts: Sequence[Fact]) -> None:
    """Who may read the book follows the records: some are out, and some come in or back."""
    found = changes(table.state, after, facts=facts, by=work.actor.institution)
    for party in found.out:
        await ledger.dismiss(work.conn, book=table.held.book, party=party)
    for party in found.let_in:
        await ledger.admit(work.conn, book=table.held.book, party=party)


async def move(work: Work, *, negotiation: str, made: Move) -> Negotiation:
    """The negotiation after a move that needs nothing but the log, its signature checked."""
    table = await hold(work.conn, negotiation)
    signed = getattr(made, "signed", None)
    if isinstance(signed, Statement):
        await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    return await make(work, table, made)


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
    table = await hold(work.conn, negotiation)
    for index, bank in enumerate(banks):
        if (await parties.institution(work.conn, institution=bank)).kind != "bank":
            raise WrongInput(f"$.banks[{index}]", "a bank")
    return await make(work, table, Invite(by=work.actor.institution, banks=banks))


# ---- the clock, and questions


async def lapse(work: Work, *, negotiation: str) -> bool:
    """Whether the standing version lapsed now: its deadline was over on the open day."""
    table = await hold(work.conn, negotiation)
    if table.state.phase in OVER or table.state.standing is None:
        return False
    try:
        await make(work, table, Lapse())
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
