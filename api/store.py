"""Every SQL statement of `api`: tokens, answers already given, the installation."""

from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import tables
from ledger.store import Found


async def who_bears(conn: AsyncConnection, *, token_hash: bytes) -> Found | None:
    return (
        await conn.execute(text("SELECT * FROM api.who_bears(:hash)"), {"hash": token_hash})
    ).one_or_none()


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


async def one_at_a_time(conn: AsyncConnection, *, institution: str, key: str) -> bool:
    """True when no other transaction is answering the same key now; held to this one's end."""
    return (
        await conn.execute(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 7310577))"),
            {"name": f"{institution}\x1f{key}"},
        )
    ).scalar_one()


async def answer(conn: AsyncConnection, *, institution: str, key: str) -> Found | None:
    table = tables.answer
    query = select(table).where(table.c.institution == institution, table.c.key == key)
    return (await conn.execute(query)).one_or_none()


async def add_answer(
    conn: AsyncConnection,
    *,
    institution: str,
    key: str,
    request_hash: bytes,
    status: int,
    media_type: str,
    body: bytes,
    answered_at: datetime,
) -> None:
    await conn.execute(
        insert(tables.answer).values(
            institution=institution,
            key=key,
            request_hash=request_hash,
            status=status,
            media_type=media_type,
            body=body,
            answered_at=answered_at,
        )
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
