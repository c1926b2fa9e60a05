"""Every SQL statement about statements and breaks. Private to `reconciliation`.

Whose rows exist is the database's rule: a bank's own, the counts for the lead, all for an auditor.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from syndicate.reconciliation import tables


async def mappings(conn: AsyncConnection, *, bank: str) -> Sequence[Found]:
    """The bank's versions that the caller may see, oldest first."""
    table = tables.account_mapping
    query = select(table).where(table.c.bank == bank).order_by(table.c.version)
    return (await conn.execute(query)).all()


async def add_mapping(
    conn: AsyncConnection,
    *,
    bank: str,
    version: int,
    valid_from: date,
    codes: Mapping[str, str],
    made_by: str,
    recorded_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.account_mapping).values(
            bank=bank,
            version=version,
            valid_from=valid_from,
            codes=dict(codes),
            made_by=made_by,
            recorded_at=recorded_at,
        )
    )


async def reconciliations(
    conn: AsyncConnection, *, book: str, after: tuple[date, str] | None, limit: int
) -> Sequence[Found]:
    """Counts by statement, the latest day first, after (day, id); with who attested, if anybody."""
    table, signed = tables.reconciliation, tables.attestation
    latest_first = (table.c.on_day.desc(), table.c.reconciliation.desc())
    query = (
        select(table, signed.c.position, signed.c.attested_by, signed.c.attested_at)
        .outerjoin(
            signed,
            (signed.c.book_id == table.c.book_id)
            & (signed.c.reconciliation == table.c.reconciliation),
        )
        .where(table.c.book_id == book)
        .order_by(*latest_first)
        .limit(limit)
    )
    if after is not None:
        day, name = after
        query = query.where(
            (table.c.on_day < day) | ((table.c.on_day == day) & (table.c.reconciliation < name))
        )
    return (await conn.execute(query)).all()


async def of_day(conn: AsyncConnection, *, book: str, bank: str, on: date) -> Sequence[Found]:
    """The bank's statements of the day with their files' hashes, oldest version first."""
    table, found = tables.reconciliation, tables.outcome
    query = (
        select(table.c.reconciliation, table.c.version, found.c.statement_sha256)
        .join(
            found,
            (found.c.book_id == table.c.book_id)
            & (found.c.reconciliation == table.c.reconciliation),
        )
        .where(table.c.book_id == book, table.c.bank == bank, table.c.on_day == on)
        .order_by(table.c.version)
    )
    return (await conn.execute(query)).all()


async def outcome(conn: AsyncConnection, *, book: str, reconciliation: str) -> Found | None:
    """The document, its salt, and who submitted the statement."""
    table, found = tables.reconciliation, tables.outcome
    query = (
        select(found.c.document, found.c.salt, found.c.bank, table.c.submitted_by)
        .join(
            table,
            (found.c.book_id == table.c.book_id)
            & (found.c.reconciliation == table.c.reconciliation),
        )
        .where(found.c.book_id == book, found.c.reconciliation == reconciliation)
    )
    return (await conn.execute(query)).one_or_none()


async def add_reconciliation(
    conn: AsyncConnection,
    *,
    book: str,
    reconciliation: str,
    bank: str,
    since: date,
    on: date,
    known_size: int,
    version: int,
    matched: int,
    breaks: Mapping[str, int],
    submitted_by: str,
    submitted_at: datetime,
    statement_sha256: str,
    document: bytes,
    salt: bytes,
) -> None:
    key = {"book_id": book, "reconciliation": reconciliation, "bank": bank}
    await conn.execute(
        insert(tables.reconciliation).values(
            **key,
            since=since,
            on_day=on,
            known_size=known_size,
            version=version,
            matched=matched,
            breaks=dict(breaks),
            submitted_by=submitted_by,
            submitted_at=submitted_at,
        )
    )
    await conn.execute(
        insert(tables.outcome).values(
            **key, statement_sha256=statement_sha256, document=document, salt=salt
        )
    )


async def steps(conn: AsyncConnection, *, book: str, reconciliation: str) -> Sequence[Found]:
    """What was done about the breaks, in order."""
    table = tables.step
    query = (
        select(table)
        .where(table.c.book_id == book, table.c.reconciliation == reconciliation)
        .order_by(table.c.step)
    )
    return (await conn.execute(query)).all()


async def add_step(
    conn: AsyncConnection,
    *,
    book: str,
    reconciliation: str,
    step: int,
    bank: str,
    number: int,
    status: str,
    reason: str,
    document_sha256: str,
    maker: str,
    checker: str | None,
    business_day: date,
    recorded_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.step).values(
            book_id=book,
            reconciliation=reconciliation,
            step=step,
            bank=bank,
            number=number,
            status=status,
            reason=reason,
            document_sha256=document_sha256,
            maker=maker,
            checker=checker,
            business_day=business_day,
            recorded_at=recorded_at,
        )
    )


async def attestation(conn: AsyncConnection, *, book: str, reconciliation: str) -> Found | None:
    table = tables.attestation
    query = select(table).where(table.c.book_id == book, table.c.reconciliation == reconciliation)
    return (await conn.execute(query)).one_or_none()


async def add_attestation(
    conn: AsyncConnection,
    *,
    book: str,
    reconciliation: str,
    bank: str,
    position: int,
    attested_by: str,
    attested_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.attestation).values(
            book_id=book,
            reconciliation=reconciliation,
            bank=bank,
            position=position,
            attested_by=attested_by,
            attested_at=attested_at,
        )
    )


async def every_approval(conn: AsyncConnection) -> Sequence[Found]:
    """Every second person's word on a break, in all books: for audits."""
    table = tables.step
    query = (
        select(table.c.book_id, table.c.reconciliation, table.c.maker, table.c.checker)
        .where(table.c.checker.is_not(None))
        .order_by(table.c.book_id, table.c.reconciliation, table.c.step)
    )
    return (await conn.execute(query)).all()


async def everything(conn: AsyncConnection) -> Sequence[Found]:
    """Every statement with its outcome and who agreed to it, in all books: for audits."""
    table, found, signed = tables.reconciliation, tables.outcome, tables.attestation
    query = (
        select(table, found.c.document, found.c.salt, signed.c.position, signed.c.attested_by)
        .join(
            found,
            (found.c.book_id == table.c.book_id)
            & (found.c.reconciliation == table.c.reconciliation),
        )
        .outerjoin(
            signed,
            (signed.c.book_id == table.c.book_id)
            & (signed.c.reconciliation == table.c.reconciliation),
        )
        .order_by(table.c.book_id, table.c.reconciliation)
    )
    return (await conn.execute(query)).all()
