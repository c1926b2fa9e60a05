"""Every SQL statement of `api`: tokens, answers already given, the installation."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import tables
from ledger.store import Driver, Found


async def who_bears(driver: Driver, *, token_hash: bytes) -> Mapping[str, Any] | None:
    return await driver.fetchrow("SELECT * FROM api.who_bears($1)", token_hash)


async def add_token(
    conn: AsyncConnection,
    *,
    token_hash: bytes,
    person: str,
    expires_at: datetime,
    issued_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.token).values(
            token_hash=token_hash, person=person, expires_at=expires_at, issued_at=issued_at
        )
    )


async def revoke_tokens(conn: AsyncConnection, *, person: str, revoked_at: datetime) -> int:
    """How many tokens of the person were still good; none is any more."""
    gone = select(tables.token_revocation.c.token_hash)
    living = select(tables.token.c.token_hash, text(":at ::timestamptz")).where(
        tables.token.c.person == person, tables.token.c.token_hash.not_in(gone)
    )
    added = await conn.execute(
        insert(tables.token_revocation).from_select(["token_hash", "revoked_at"], living),
        {"at": revoked_at},
    )
    return added.rowcount


class Claim(msgspec.Struct, frozen=True):
    """A key, and what was answered under it.

    free    no other transaction is answering the key now; held to this one's end
    status  None where no answer was given yet, as are the rest
    """

    key: str
    free: bool
    request_hash: bytes | None
    status: int | None
    media_type: str | None
    body: bytes | None
    promise: str | None


async def claim(driver: Driver, *, institution: str, keys: Sequence[str]) -> list[Claim]:
    rows = await driver.fetch(
        "SELECT key, free, request_hash, status, media_type, body, promise FROM api.claim($1, $2)",
        institution,
        list(keys),
    )
    return [Claim(*row) for row in rows]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to be kept under its key, for ever.

    promise  what the log's key promises of what was recorded (`ledger.promising`); None where
             nothing was, or where the body itself carries it
    """

    institution: str
    key: str
    request_hash: bytes
    status: int
    media_type: str
    body: bytes
    answered_at: datetime
    promise: str | None


async def add_answers(driver: Driver, answers: Sequence[Answer]) -> None:
    columns = zip(*map(msgspec.structs.astuple, answers), strict=True)
    await driver.fetch(
        "INSERT INTO api.answer (institution, key, request_hash, status, media_type, body, "
        "answered_at, promise) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], "
        "$4::smallint[], $5::text[], $6::bytea[], $7::timestamptz[], $8::text[])",
        *columns,
    )


async def installation(conn: AsyncConnection) -> Found | None:
    return (await conn.execute(select(tables.installation))).one_or_none()


async def found_installation(
    conn: AsyncConnection, *, name: str, purpose: str, log_key: str, founded_at: datetime
) -> None:
    await conn.execute(
        insert(tables.installation).values(
            name=name, purpose=purpose, log_key=log_key, founded_at=founded_at
        )
    )


async def one_closer(conn: AsyncConnection) -> bool:
    """True when no other transaction closes business days now; held to this one's end.

    The transaction waits idly while others close the days, so its own idleness has no limit.
    """
    await conn.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
    return (await conn.execute(text("SELECT pg_try_advisory_xact_lock(7310580)"))).scalar_one()
