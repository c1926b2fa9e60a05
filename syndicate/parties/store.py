"""Every SQL statement about institutions, people, keys and capital. Private to `parties`."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found
from syndicate.parties import tables


async def institutions(conn: AsyncConnection) -> Sequence[Found]:
    table = tables.institution
    return (await conn.execute(select(table).order_by(table.c.institution))).all()


async def institution(conn: AsyncConnection, *, institution: str) -> Found | None:
    table = tables.institution
    query = select(table).where(table.c.institution == institution)
    return (await conn.execute(query)).one_or_none()


async def add_institution(
    conn: AsyncConnection,
    *,
    institution: str,
    kind: str,
    name: str,
    name_en: str,
    uscc: str | None,
    salt: bytes | None,
    illustrative: bool,
    registered_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.institution).values(
            institution=institution,
            kind=kind,
            name=name,
            name_en=name_en,
            uscc=uscc,
            salt=salt,
            illustrative=illustrative,
            registered_at=registered_at,
        )
    )


async def person(conn: AsyncConnection, *, person: str) -> Found | None:
    query = select(tables.person).where(tables.person.c.person == person)
    return (await conn.execute(query)).one_or_none()


async def add_person(
    conn: AsyncConnection,
    *,
    person: str,
    institution: str,
    name: str,
    roles: Sequence[str],
    registered_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.person).values(
            person=person,
            institution=institution,
            name=name,
            roles=list(roles),
            registered_at=registered_at,
        )
    )


async def keys(conn: AsyncConnection, *, named: Sequence[str] | None) -> Sequence[Found]:
    """The keys of these ids, or every key ever registered, with the time it was revoked or None."""
    key, gone = tables.institution_key, tables.key_revocation
    query = select(key, gone.c.revoked_at).outerjoin(gone, gone.c.key == key.c.key)
    if named is not None:
        query = query.where(key.c.key.in_(named))
    return (await conn.execute(query.order_by(key.c.registered_at, key.c.key))).all()


async def add_key(
    conn: AsyncConnection,
    *,
    key: str,
    institution: str,
    public_key: bytes,
    registered_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.institution_key).values(
            key=key, institution=institution, public_key=public_key, registered_at=registered_at
        )
    )


async def revoke_key(conn: AsyncConnection, *, key: str, revoked_at: datetime) -> None:
    await conn.execute(insert(tables.key_revocation).values(key=key, revoked_at=revoked_at))


async def capital(conn: AsyncConnection, *, institution: str, on: date) -> Found | None:
    """The institution's latest capital figures as of a day; only its own are ever visible."""
    table = tables.capital
    query = (
        select(table)
        .where(table.c.institution == institution, table.c.as_of <= on)
        .order_by(table.c.as_of.desc())
        .limit(1)
    )
    return (await conn.execute(query)).one_or_none()


async def add_capital(
    conn: AsyncConnection,
    *,
    institution: str,
    as_of: date,
    net_capital_minor: int,
    tier1_minor: int,
    illustrative: bool,
    recorded_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.capital).values(
            institution=institution,
            as_of=as_of,
            net_capital_minor=net_capital_minor,
            tier1_minor=tier1_minor,
            illustrative=illustrative,
            recorded_at=recorded_at,
        )
    )
