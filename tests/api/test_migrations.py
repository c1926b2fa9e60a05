"""An installation of an earlier release is brought up to this one, and nothing in it changes."""

import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api.database import SCHEMAS, _alembic, migrate, newest_revision
from ledger import leaves, merkle
from ledger.entries import Account, Entry
from ledger.leaves import Actor, Leaf
from ledger.store_guards import guards

FIRST_RELEASE = "0004"
DAY = date(2024, 3, 1)
BOOK = "fac-old"


def to(revision: str) -> Callable[[Connection], None]:
    def run(connection: Connection) -> None:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return run


def leaf(number: int) -> bytes:
    return leaves.encode(
        Leaf(
            book=BOOK,
            kind="transaction",
            leaf_id=f"old:{number}",
            subject={"type": "Told"},
            entries=(
                Entry(Account("bank-a", "cash", "", "", "CNY"), number + 1),
                Entry(Account("bank-a", "suspense", "", f"n{number % 3}", "CNY"), -number - 1),
            ),
            value_date=DAY,
            booking_date=DAY,
            recorded_at=datetime.now(UTC),
            actor=Actor(institution="bank-a", user="someone"),
            corrects=None,
        )
    )


async def rows(conn: AsyncConnection, table: str) -> list[Any]:
    names = "book_id, position, leaf_id, bytes, hash" if table == "leaf" else "*"
    found = await conn.execute(text(f"SELECT {names} FROM ledger.{table} ORDER BY 1, 2, 3"))
    return [tuple(row) for row in found]


@pytest.fixture
async def first_release(server_url: str) -> Any:
    """(URL, leaf rows, entry rows) of a database as the first release left it, with data."""
    name = f"liandai_test_old_{secrets.token_hex(6)}"
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    login = create_async_engine(server_url, isolation_level="AUTOCOMMIT")
    async with login.connect() as conn:
        await conn.execute(text(f'CREATE DATABASE "{name}"'))
    engine = create_async_engine(url)
    try:
        async with engine.begin() as conn:
            await conn.run_sync(to(FIRST_RELEASE))
        async with engine.begin() as conn:
            await conn.execute(text("SET LOCAL ROLE liandai_service"))
            await conn.execute(text("SELECT ledger.open_business_day(:day)"), {"day": DAY})
            await conn.execute(
                text("SELECT ledger.open_book(:book, 'facility', 'bank-a', :salt)"),
                {"book": BOOK, "salt": secrets.token_bytes(32)},
            )
            await conn.execute(
                text("SELECT ledger.append(:book, CAST(:leaves AS bytea[]))"),
                {"book": BOOK, "leaves": [leaf(number) for number in range(40)]},
            )
            hashes = [row[4] for row in await rows(conn, "leaf")]
            for level, index, digest in merkle.each(merkle.EMPTY.append(hashes)[1]):
                await conn.execute(
                    text("INSERT INTO ledger.subtree VALUES (:book, :level, :index, :hash)"),
                    {"book": BOOK, "level": level, "index": index, "hash": digest},
                )
            stood = (await rows(conn, "leaf"), await rows(conn, "entry"))
        yield url, *stood
    finally:
        await engine.dispose()
        async with login.connect() as conn:
            await conn.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        await login.dispose()


async def test_the_first_release_is_upgraded_in_place(
    first_release: Any, database_url: str
) -> None:
    url, leaf_rows, entry_rows = first_release
    before, _ = await migrate(url)
    assert before == FIRST_RELEASE
    old, new = create_async_engine(url), create_async_engine(database_url)
    async with old.begin() as conn:
        assert await rows(conn, "leaf") == leaf_rows
        assert await rows(conn, "entry") == entry_rows
        hashes = [row[4] for row in leaf_rows]
        assert await rows(conn, "leaf_hash") == [
            (BOOK, first, run) for first, run in merkle.runs(0, hashes)
        ]
        assert await rows(conn, "subtree") == [
            (BOOK, 4, index, merkle.root(hashes[16 * index : 16 * index + 16])) for index in (0, 1)
        ]
        assert await rows(conn, "book_day") == [(BOOK, DAY, 0)]
        upgraded = await guards(conn, schemas=SCHEMAS)
    async with new.begin() as conn:
        assert upgraded == await guards(conn, schemas=SCHEMAS)
    await old.dispose()
    await new.dispose()


def test_the_newest_migration_by_name_is_the_last_of_the_line() -> None:
    assert newest_revision() == ScriptDirectory.from_config(_alembic()).get_current_head()
