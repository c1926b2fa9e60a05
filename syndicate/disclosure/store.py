"""Every SQL statement about consents, the information room and who read. Private to `disclosure`.

Room facts are read by a plain SELECT under row-level security: the reader's institution, the
purpose the transaction names and the open business day decide which rows exist.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, insert, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from syndicate.disclosure import tables


async def acquainted(conn: AsyncConnection, *, borrower: str) -> bool:
    """Whether whom the transaction speaks for shares a book with the firm or had its consent."""
    query = text("SELECT syndicate.acquainted(:borrower)")
    return (await conn.execute(query, {"borrower": borrower})).scalar_one()


def _consents() -> Select[Any]:
    given, gone = tables.consent, tables.consent_withdrawal
    return select(given, gone.c.signed.label("withdrawal"), gone.c.withdrawn_at).outerjoin(
        gone, (gone.c.borrower == given.c.borrower) & (gone.c.consent == given.c.consent)
    )


async def consents(conn: AsyncConnection, *, borrowers: Sequence[str]) -> Sequence[Found]:
    """The borrowers' consents that the caller may see, each with its withdrawal, by version."""
    table = tables.consent
    query = _consents().where(table.c.borrower.in_(borrowers)).order_by(table.c.version)
    return (await conn.execute(query)).all()


async def page_of_consents(
    conn: AsyncConnection, *, after: tuple[str, str] | None, limit: int
) -> Sequence[Found]:
    """The consents that the caller may see, the latest first, after (borrower, consent)."""
    table = tables.consent
    order = (table.c.given_at, table.c.borrower, table.c.consent)
    query = _consents().order_by(*(column.desc() for column in order)).limit(limit)
    if after is not None:
        borrower, consent = after
        last = select(*order).where(table.c.borrower == borrower, table.c.consent == consent)
        found = (await conn.execute(last)).one_or_none()
        if found is None:
            return ()
        query = query.where(tuple_(*order) < tuple(found))
    return (await conn.execute(query)).all()


async def add_consent(
    conn: AsyncConnection,
    *,
    borrower: str,
    consent: str,
    person: str | None,
    recipient: str,
    purpose: str,
    classes: Sequence[str],
    valid_from: date,
    valid_until: date,
    version: int,
    evidence: str | None,
    signed: dict[str, Any],
    given_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.consent).values(
            borrower=borrower,
            consent=consent,
            person=person,
            recipient=recipient,
            purpose=purpose,
            classes=list(classes),
            valid_from=valid_from,
            valid_until=valid_until,
            version=version,
            evidence=evidence,
            signed=signed,
            given_at=given_at,
        )
    )


async def add_withdrawal(
    conn: AsyncConnection,
    *,
    borrower: str,
    consent: str,
    signed: dict[str, Any],
    withdrawn_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.consent_withdrawal).values(
            borrower=borrower, consent=consent, signed=signed, withdrawn_at=withdrawn_at
        )
    )


async def name_purpose(conn: AsyncConnection, *, purpose: str) -> None:
    """Until its end the transaction reads room facts for this purpose and no other."""
    await conn.execute(
        text("SELECT set_config('app.purpose', :purpose, true)"), {"purpose": purpose}
    )


async def facts(
    conn: AsyncConnection, *, borrower: str, room: str, classes: Sequence[str]
) -> Sequence[Found]:
    """The room's facts of these classes, as far as they exist for the caller, oldest first."""
    table = tables.room_fact
    query = (
        select(*(column for column in table.c if column.name != "salt"))
        .where(table.c.borrower == borrower, table.c.room == room)
        .where(table.c.field_class.in_(classes))
        .order_by(table.c.recorded_at, table.c.fact)
    )
    return (await conn.execute(query)).all()


async def add_fact(
    conn: AsyncConnection,
    *,
    fact: str,
    room: str,
    borrower: str,
    item: str,
    field_class: str,
    data_class: str,
    person: str | None,
    value: bool | int | str,
    unit: str,
    source: str,
    legal_basis: str,
    as_of: date,
    confidence: str,
    assessment: str | None,
    salt: bytes,
    recorded_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.room_fact).values(
            fact=fact,
            room=room,
            borrower=borrower,
            item=item,
            field_class=field_class,
            data_class=data_class,
            person=person,
            value=value,
            unit=unit,
            source=source,
            legal_basis=legal_basis,
            as_of=as_of,
            confidence=confidence,
            assessment=assessment,
            salt=salt,
            recorded_at=recorded_at,
        )
    )


async def add_access(
    conn: AsyncConnection,
    *,
    access: str,
    room: str,
    borrower: str,
    reader: str,
    person: str,
    purpose: str,
    classes: Sequence[str],
    outcome: str,
    consents: Sequence[str],
    missing: Sequence[str],
    facts: Sequence[str],
    business_day: date,
    recorded_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.room_access).values(
            access=access,
            room=room,
            borrower=borrower,
            reader=reader,
            person=person,
            purpose=purpose,
            classes=list(classes),
            outcome=outcome,
            consents=list(consents),
            missing=list(missing),
            facts=list(facts),
            business_day=business_day,
            recorded_at=recorded_at,
        )
    )


async def page_of_accesses(
    conn: AsyncConnection, *, borrower: str, after: str | None, limit: int
) -> Sequence[Found]:
    """Reads and refusals about the borrower that the caller may see, the latest first."""
    table = tables.room_access
    order = (table.c.recorded_at, table.c.access)
    query = select(table).where(table.c.borrower == borrower)
    if after is not None:
        last = select(*order).where(table.c.borrower == borrower, table.c.access == after)
        found = (await conn.execute(last)).one_or_none()
        if found is None:
            return ()
        query = query.where(tuple_(*order) < tuple(found))
    query = query.order_by(*(column.desc() for column in order)).limit(limit)
    return (await conn.execute(query)).all()


STOOD = """
    SELECT 1 FROM syndicate.consent c
    WHERE c.borrower = a.borrower AND c.consent = ANY (a.consents) AND c.recipient = a.reader
      AND c.purpose = a.purpose AND a.business_day BETWEEN c.valid_from AND c.valid_until
      AND c.given_at <= a.recorded_at + :grace
      AND NOT EXISTS (
        SELECT 1 FROM syndicate.consent_withdrawal w
        WHERE w.borrower = c.borrower AND w.consent = c.consent
          AND w.withdrawn_at + :grace < a.recorded_at)
      AND NOT EXISTS (
        SELECT 1 FROM syndicate.consent n
        WHERE n.borrower = c.borrower AND n.recipient = c.recipient AND n.purpose = c.purpose
          AND n.person IS NOT DISTINCT FROM c.person AND n.version > c.version
          AND n.given_at + :grace < a.recorded_at)
"""
"""The consents named by the access `a` that allowed it when it was made."""

UNCONSENTED = f"""
    SELECT a.access FROM syndicate.room_access a
    WHERE a.outcome = 'allowed' AND a.reader <> a.borrower AND (
      EXISTS (
        SELECT 1 FROM unnest(a.classes) AS asked(class)
        WHERE NOT EXISTS ({STOOD} AND asked.class = ANY (c.classes)))
      OR EXISTS (
        SELECT 1 FROM unnest(a.facts) AS shown(fact) LEFT JOIN syndicate.room_fact f USING (fact)
        WHERE f.borrower IS DISTINCT FROM a.borrower OR f.room IS DISTINCT FROM a.room
          OR f.field_class <> ALL (a.classes)
          OR NOT EXISTS ({STOOD} AND c.person IS NOT DISTINCT FROM f.person
            AND f.field_class = ANY (c.classes))))
    ORDER BY a.access
"""  # noqa: S608 -- both parts are written above, nothing of them comes from outside


async def unconsented(conn: AsyncConnection, *, grace: timedelta) -> list[str]:
    """Accesses on record that showed what no consent they name allowed when they were made."""
    return list((await conn.execute(text(UNCONSENTED), {"grace": grace})).scalars())
