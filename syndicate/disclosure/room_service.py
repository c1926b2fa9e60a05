"""What happens when a fact enters an information room, when somebody reads there, or asks who did.

An offered fact is a private row and, in the same transaction, a commitment in the registry's log;
the service writes both, in the name of the source. Reading runs under the reader's own rights, so
that row-level security judges every fact a second time; each read and each refusal is a row.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, WrongInput
from syndicate.disclosure import store
from syndicate.disclosure.consent import FieldClass
from syndicate.disclosure.room import (
    Ask,
    Confidence,
    Contradiction,
    DataClass,
    FactOffered,
    LegalBasis,
    NoConsent,
    ReadRecorded,
    ReadRefused,
    RoomFact,
    age_days,
    contradictions,
    decide_read,
    offer_fact,
    read_recorded,
    room_of,
    shown,
)
from syndicate.disclosure.service import Act, consents, record
from syndicate.parties import service as parties
from syndicate.parties.institutions import check_id
from syndicate.parties.service import REGISTRY

FORWARD_WITHIN = timedelta(seconds=1)
"""How soon after its record a withdrawal must act; later reads are a breach (I15)."""


class NewFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fact to bring into a room; see `RoomFact`. Its source is who brings it."""

    room: str
    item: str
    field_class: FieldClass
    data_class: DataClass
    person: str | None = None
    value: bool | int | str
    unit: str
    legal_basis: LegalBasis
    as_of: date
    confidence: Confidence
    assessment: str | None = None


async def offer(act: Act, *, borrower: str, fact: NewFact, salt: bytes) -> FactOffered:
    """The fact is in the room for whoever may read it; the registry's leaf holds a commitment.

    salt  32 random bytes that hide the value behind the commitment
    Absent where the borrower is unknown to the asker; raises what `offer_fact` refuses.
    """
    await _check_known(act, borrower=borrower)
    given = RoomFact(
        fact=_fact_id(act.command),
        borrower=borrower,
        source=act.actor.institution,
        **msgspec.structs.asdict(fact),
    )
    today = await ledger.business_day(act.conn)
    # The id is made from the command, which is answered once: it can meet no other fact's.
    offered = offer_fact(frozenset(), given, on=today, salt=salt)
    held = await ledger.hold(act.conn, book=REGISTRY)
    await store.add_fact(act.conn, salt=salt, recorded_at=act.now, **msgspec.structs.asdict(given))
    await record(act, held, "record", offered)
    return offered


class ReadFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact as a reader is shown it. age_days: on the day of the read."""

    fact: str
    item: str
    field_class: FieldClass
    data_class: DataClass
    person: str | None
    value: bool | int | str
    unit: str
    source: str
    legal_basis: LegalBasis
    as_of: date
    age_days: int
    confidence: Confidence
    assessment: str | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one read showed, and the consents that allowed it (none where it is one's own)."""

    read: str
    room: str
    borrower: str
    purpose: str
    classes: tuple[FieldClass, ...]
    on: date
    consents: tuple[str, ...]
    facts: tuple[ReadFact, ...]
    contradictions: tuple[Contradiction, ...]


async def read(
    act: Act,
    *,
    borrower: str,
    purpose: str,
    classes: tuple[FieldClass, ...],
    tolerances_bp: Mapping[str, int],
) -> Reading | NoConsent:
    """What a live consent lets the asker's institution read, or the refusal; either is on record.

    The refusal is returned, not raised, so that the record of it is committed. It is the same for
    a borrower that does not exist, one that the reader does not know and one that said no.

    tolerances_bp  see `contradictions`
    """
    check_id(borrower, place="borrower")
    ask = Ask(
        read=act.command,
        room=room_of(purpose, place="$.purpose"),
        borrower=borrower,
        reader=act.actor.institution,
        classes=classes,
        purpose=purpose,
        on=await ledger.business_day(act.conn),
    )
    _check_tolerances(tolerances_bp)
    try:
        allowed = decide_read(await consents(act.conn, borrower=borrower), ask)
    except NoConsent as refusal:
        await _keep_access(act, refusal.record)
        return refusal
    await store.name_purpose(act.conn, purpose=purpose)
    rows = await store.facts(act.conn, borrower=borrower, room=ask.room, classes=classes)
    facts = shown(allowed, [_room_fact(row) for row in rows])
    await _keep_access(act, read_recorded(allowed, facts))
    return Reading(
        read=ask.read,
        room=ask.room,
        borrower=borrower,
        purpose=purpose,
        classes=classes,
        on=ask.on,
        consents=allowed.consents,
        facts=tuple(_read_fact(fact, on=ask.on) for fact in facts),
        contradictions=contradictions(facts, tolerances_bp=tolerances_bp),
    )


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One read, or one refusal, as the borrower and the auditor see it.

    person    who asked, by the reader's own opaque id
    consents  what allowed it; none for a refusal and for the borrower's own read
    missing   the classes no consent covered
    facts     ids of the facts that were shown
    """

    read: str
    room: str
    borrower: str
    reader: str
    person: str
    purpose: str
    classes: tuple[FieldClass, ...]
    outcome: str
    consents: tuple[str, ...]
    missing: tuple[FieldClass, ...]
    facts: tuple[str, ...]
    on: date
    recorded_at: datetime


async def page_of_readings(
    conn: AsyncConnection, *, borrower: str, after: str | None, limit: int
) -> list[Access]:
    """Who read what about the borrower or was refused it, the latest first.

    The borrower sees all of it, an auditor too, a reader its own; anybody else an empty page.

    after  id of the last one seen
    """
    check_id(borrower, place="borrower")
    rows = await store.page_of_accesses(conn, borrower=borrower, after=after, limit=limit)
    return [
        Access(
            read=row.access,
            room=row.room,
            borrower=row.borrower,
            reader=row.reader,
            person=row.person,
            purpose=row.purpose,
            classes=tuple(row.classes),
            outcome=row.outcome,
            consents=tuple(row.consents),
            missing=tuple(row.missing),
            facts=tuple(row.facts),
            on=row.business_day,
            recorded_at=row.recorded_at,
        )
        for row in rows
    ]


async def reads_without_consent(conn: AsyncConnection) -> list[str]:
    """Ids of reads on record that no live consent allowed: none, or I15 is broken."""
    return await store.unconsented(conn, grace=FORWARD_WITHIN)


async def _check_known(act: Act, *, borrower: str) -> None:
    """Nothing: the asker is the borrower, or an institution that knows it."""
    check_id(borrower, place="borrower")
    absent = Absent(f"no borrower {borrower}")
    home = await parties.institution(act.conn, institution=act.actor.institution)
    if home.institution != borrower and (
        home.kind == "borrower" or not await store.acquainted(act.conn, borrower=borrower)
    ):
        raise absent
    if (await parties.institution(act.conn, institution=borrower)).kind != "borrower":
        raise absent


def _check_tolerances(tolerances_bp: Mapping[str, int]) -> None:
    for item, tolerance in tolerances_bp.items():
        if not 0 <= tolerance <= 10_000:
            raise WrongInput(f"$.tolerances_bp.{item}", "0 to 10000 basis points")


def _fact_id(command: str) -> str:
    """The fact's id: made from the command's name, so that it tells nobody of other facts."""
    return "f-" + sha256(command.encode()).hexdigest()[:32]


def _room_fact(row: Any) -> RoomFact:
    return RoomFact(
        fact=row.fact,
        room=row.room,
        borrower=row.borrower,
        item=row.item,
        field_class=row.field_class,
        data_class=row.data_class,
        person=row.person,
        value=row.value,
        unit=row.unit,
        source=row.source,
        legal_basis=row.legal_basis,
        as_of=row.as_of,
        confidence=row.confidence,
        assessment=row.assessment,
    )


def _read_fact(fact: RoomFact, *, on: date) -> ReadFact:
    return ReadFact(
        fact=fact.fact,
        item=fact.item,
        field_class=fact.field_class,
        data_class=fact.data_class,
        person=fact.person,
        value=fact.value,
        unit=fact.unit,
        source=fact.source,
        legal_basis=fact.legal_basis,
        as_of=fact.as_of,
        age_days=age_days(fact, on=on),
        confidence=fact.confidence,
        assessment=fact.assessment,
    )


async def _keep_access(act: Act, access: ReadRecorded | ReadRefused) -> None:
    consented: tuple[str, ...] = ()
    read_facts: tuple[str, ...] = ()
    missing: tuple[FieldClass, ...] = ()
    match access:
        case ReadRecorded():
            outcome, consented, read_facts = "allowed", access.consents, access.facts
        case ReadRefused():
            outcome, missing = "refused", access.missing
    await store.add_access(
        act.conn,
        access=access.read,
        room=access.room,
        borrower=access.borrower,
        reader=access.reader,
        person=act.actor.user,
        purpose=access.purpose,
        classes=access.classes,
        outcome=outcome,
        consents=consented,
        missing=missing,
        facts=read_facts,
        business_day=access.on,
        recorded_at=act.now,
    )
