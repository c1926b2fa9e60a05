"""What happens when institutions, people and keys come on board: the row, and the registry's leaf.

The registry is a book without postings. Names and codes stay in private rows; its leaves hold
opaque ids, roles, public keys and commitments.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger import signatures
from ledger.errors import Absent, WrongInput
from ledger.leaves import Actor
from ledger.money import MAX_MINOR
from ledger.signatures import KeyRegistered, KeyRevoked, RegisteredKey
from syndicate.parties import borrowers, store
from syndicate.parties.borrowers import Borrower
from syndicate.parties.institutions import (
    AlreadyRegistered,
    InstitutionKind,
    InstitutionRegistered,
    Role,
    admit_user,
    check_name,
    register_institution,
)

REGISTRY = "registry"


class Institution(msgspec.Struct, frozen=True, kw_only=True):
    """An institution as others see it. illustrative: invented for a demonstration (示例)."""

    institution: str
    kind: InstitutionKind
    name: str
    name_en: str
    uscc: str | None
    illustrative: bool


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything recorded under one command: who acts, when, under which name."""

    conn: AsyncConnection
    actor: Actor
    now: datetime
    command: str


async def _record(work: Registration, *subjects: Any, kind: str = "record") -> None:
    held = await ledger.hold(work.conn, book=REGISTRY)
    await ledger.record(
        work.conn,
        held=held,
        items=[
            ledger.Item(
                kind=kind,
                subject=msgspec.to_builtins(subject),
                entries=(),
                value_date=held.open_day,
            )
            for subject in subjects
        ],
        command=work.command,
        actor=work.actor,
        now=work.now,
    )


async def register(
    work: Registration,
    *,
    institution: str,
    kind: InstitutionKind,
    name: str,
    name_en: str,
    uscc: str | None,
    illustrative: bool,
    salt: bytes,
) -> Institution:
    """The institution is on board; its id is taken for ever. A borrower needs a valid USCC.

    salt  32 random bytes that hide a borrower's private record behind its leaf
    """
    rows = await store.institutions(work.conn)
    fact: Any
    if kind == "borrower":
        if uscc is None:
            raise WrongInput("$.uscc", "a unified social credit code: a borrower has one")
        _, fact = borrowers.register_borrower(
            {row.institution: _borrower(row) for row in rows if row.kind == "borrower"},
            borrower=institution,
            name=name,
            name_en=name_en,
            uscc=uscc,
            illustrative=illustrative,
            on=await ledger.business_day(work.conn),
            salt=salt,
        )
    else:
        fact = register_institution(
            {row.institution: _registered(row) for row in rows if row.kind != "borrower"},
            institution=institution,
            kind=kind,
            name=name,
            name_en=name_en,
            uscc=uscc,
            illustrative=illustrative,
        )
    if institution in {row.institution for row in rows}:
        raise AlreadyRegistered(f"{institution} is registered", institution=institution)
    if uscc is not None and uscc in {row.uscc for row in rows}:
        raise AlreadyRegistered("the code is registered under another id")
    await store.add_institution(
        work.conn,
        institution=institution,
        kind=kind,
        name=name,
        name_en=name_en,
        uscc=uscc,
        salt=salt if kind == "borrower" else None,
        illustrative=illustrative,
        registered_at=work.now,
    )
    await _record(work, fact)
    return Institution(
        institution=institution,
        kind=kind,
        name=name,
        name_en=name_en,
        uscc=uscc,
        illustrative=illustrative,
    )


def _borrower(row: Any) -> Borrower:
    return Borrower(
        borrower=row.institution,
        name=row.name,
        name_en=row.name_en,
        uscc=row.uscc,
        illustrative=row.illustrative,
        registered_on=row.registered_at.date(),
    )


def _registered(row: Any) -> InstitutionRegistered:
    return InstitutionRegistered(
        institution=row.institution,
        kind=row.kind,
        name=row.name,
        name_en=row.name_en,
        uscc=row.uscc,
        illustrative=row.illustrative,
    )


async def admit(
    work: Registration, *, institution: str, person: str, name: str, roles: tuple[Role, ...]
) -> None:
    """The person works for the institution in these roles. The log learns the opaque id only."""
    home = await _institution(work.conn, institution)
    fact = admit_user(_registered(home), user=person, roles=roles)
    check_name(name, place="$.name")
    if await store.person(work.conn, person=person) is not None:
        raise AlreadyRegistered(f"{person} is registered", person=person)
    await store.add_person(
        work.conn,
        person=person,
        institution=institution,
        name=name,
        roles=fact.roles,
        registered_at=work.now,
    )
    await _record(work, fact)


async def register_key(work: Registration, *, institution: str, public_key: str) -> str:
    """The institution's key speaks for it from now on; returns the key's id.

    public_key  canonical base64 of 32 bytes; low-order and non-canonical points are refused
    """
    await _institution(work.conn, institution)
    public = signatures.decode_base64(public_key, size=signatures.PUBLIC_SIZE, place="$.public_key")
    fact = KeyRegistered(
        institution=institution, key=signatures.key_id(public), public_key=public_key
    )
    known = await keys(work.conn, named=[fact.key])
    if fact.key in known:
        raise AlreadyRegistered("this key was registered before", key=fact.key)
    signatures.evolve_key(known, fact, at=work.now)
    await store.add_key(
        work.conn,
        key=fact.key,
        institution=institution,
        public_key=public,
        registered_at=work.now,
    )
    await _record(work, fact, kind="key")
    return fact.key


async def revoke_key(work: Registration, *, institution: str, key: str) -> None:
    """The key speaks for nobody any more; what it signed before still stands."""
    known = await keys(work.conn, named=[key])
    if key not in known or known[key].institution != institution or known[key].until is not None:
        raise Absent(f"no live key {key} of {institution}")
    await store.revoke_key(work.conn, key=key, revoked_at=work.now)
    await _record(work, KeyRevoked(institution=institution, key=key), kind="key")


async def keys(
    conn: AsyncConnection, *, named: Sequence[str] | None = None
) -> dict[str, RegisteredKey]:
    """Every key ever registered, or those of these ids alone, by id, with the time it was live."""
    return {
        row.key: RegisteredKey(
            institution=row.institution,
            public=row.public_key,
            since=row.registered_at,
            until=row.revoked_at,
        )
        for row in await store.keys(conn, named=named)
    }


async def check_signed(
    conn: AsyncConnection,
    statements: Sequence[signatures.Statement],
    *,
    now: datetime,
    place: str,
) -> None:
    """Nothing: each statement's key is live for its institution, and each signature holds."""
    known = await keys(conn, named=[statement.key for statement in statements])
    for statement in statements:
        try:
            signatures.check_statement(statement, keys=known, at=now)
        except WrongInput as error:
            raise WrongInput(f"{place}{error.place[1:]}", error.expected) from error


async def institutions(conn: AsyncConnection) -> list[Institution]:
    """Every institution the asker may know of, by id."""
    return [_seen(row) for row in await store.institutions(conn)]


async def institution(conn: AsyncConnection, *, institution: str) -> Institution:
    """One institution. Absent where the asker may not know of it."""
    return await _institution(conn, institution)


async def _institution(conn: AsyncConnection, name: str) -> Institution:
    row = await store.institution(conn, institution=name)
    if row is None:
        raise Absent(f"no institution {name}")
    return _seen(row)


def _seen(row: Any) -> Institution:
    return Institution(
        institution=row.institution,
        kind=row.kind,
        name=row.name,
        name_en=row.name_en,
        uscc=row.uscc,
        illustrative=row.illustrative,
    )


class Capital(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bank's own capital figures, private to it. Minor units of CNY."""

    as_of: date
    net_capital_minor: int
    tier1_minor: int
    illustrative: bool


async def record_capital(work: Registration, *, institution: str, figures: Capital) -> None:
    """The figures stand for their day, readable by the institution alone; no leaf holds them."""
    for name in ("net_capital_minor", "tier1_minor"):
        if not 0 < getattr(figures, name) <= MAX_MINOR:
            raise WrongInput(f"$.{name}", f"an amount of 1 to {MAX_MINOR}")
    latest = await store.capital(work.conn, institution=institution, on=figures.as_of)
    if latest is not None and latest.as_of == figures.as_of:
        raise AlreadyRegistered(f"figures as of {figures.as_of} stand already")
    await store.add_capital(
        work.conn,
        institution=institution,
        as_of=figures.as_of,
        net_capital_minor=figures.net_capital_minor,
        tier1_minor=figures.tier1_minor,
        illustrative=figures.illustrative,
        recorded_at=work.now,
    )


async def capital(conn: AsyncConnection, *, institution: str, on: date) -> Capital:
    """The institution's own latest figures as of a day. Absent for anybody else's."""
    row = await store.capital(conn, institution=institution, on=on)
    if row is None:
        raise Absent(f"no capital figures of {institution} as of {on}")
    return Capital(
        as_of=row.as_of,
        net_capital_minor=row.net_capital_minor,
        tier1_minor=row.tier1_minor,
        illustrative=row.illustrative,
    )


async def person(conn: AsyncConnection, *, person: str) -> str:
    """The institution the person works for. Absent where the asker may not know of the person."""
    row = await store.person(conn, person=person)
    if row is None:
        raise Absent(f"no person {person}")
    return row.institution
