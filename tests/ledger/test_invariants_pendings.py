"""I6, I8 and I9 on a real PostgreSQL: they hold on what was recorded, and whoever alters it behind
the service's back, as its superuser, is found out at the place."""

import secrets
import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing
from api.database import SERVICE, Database
from ledger import evidence, standalone
from ledger import service as ledger
from ledger.verify import verify
from tests.conftest import _named, _run
from tests.invariants import assert_invariants, fresh_guards
from tests.ledger import test_journal as pure
from tests.ledger.recorded_story import LOG, NAME, SIGNER, altered, publish
from tests.ledger.test_pendings import BOOK, DAY, append, dated, opened

AT = f"WHERE book_id = '{BOOK}' AND position ="


@pytest.fixture(scope="module")
async def told(server_url: str, template: str) -> AsyncIterator[Database]:
    """own-alfa-x: 0 terms, 1 transaction, 2 pending, 3 posting of 2, 4 pending, 5 void of 4,
    6 reversal of 1, 7 pending with an end, 8 pending, 9 posting of 8, 10 reversal of 9."""
    name = f"liandai_test_{uuid.uuid4().hex[:12]}"
    await _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    database = Database(_named(server_url, name), pool_size=2, statement_timeout_ms=30_000)
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        for book in ("top", "registry"):
            await ledger.open_book(
                conn, book=book, purpose=book, lead=None, members=(), salt=secrets.token_bytes(32)
            )
    await opened(database, BOOK)
    for leaf in (
        pure.terms("a", most=20, side="debit"),
        pure.paid("t", 9),
        pure.pending("p", 5),
        pure.posting("x", "p", 3),
        pure.pending("q", 5),
        pure.void("v", "q"),
        pure.reversal("r", "t", 9),
        pure.pending("s", 4, lasts=60),
        pure.pending("o", 2),
        pure.posting("y", "o", 2),
        pure.reversal("z", "y", 2),
    ):
        await append(database, dated(leaf))
    await publish(database)
    yield database
    await database.close()
    await _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
async def superuser(told: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(told._engine.url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def found(told: Database, superuser: AsyncEngine, *how: str) -> dict[str, list[str]]:
    guards = await fresh_guards(told)
    async with altered(superuser, *how) as conn:
        holdings = await auditing.holdings(conn, log=LOG, on_record=str(LOG), guards=guards)
    return {holding.name: holding.broken for holding in holdings if not holding.holds}


async def test_what_was_recorded_holds_and_was_looked_at(
    told: Database, superuser: AsyncEngine
) -> None:
    await assert_invariants(told, log=LOG)
    async with altered(superuser) as conn:
        holdings = await auditing.holdings(
            conn, log=LOG, on_record=str(LOG), guards=await fresh_guards(told)
        )
    looked_at = {one.name: one.looked_at for one in holdings}
    assert (looked_at["I6"], looked_at["I8"], looked_at["I9"]) == (4, 1, 2)
    assert looked_at["I2"] == 2, "posted and pending apart"


ALTERED: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    # what is altered       how                                      who names what first
    (
        "a resolved pending stands again",
        (f"UPDATE ledger.pending SET resolved_by = NULL {AT} 4",),
        {
            "I6": f"{BOOK} 4: 1 leaves resolve this pending, the first at 5; it is noted as "
            "resolved by None",
            "I8": f"{BOOK}: account ",
        },
    ),
    (
        "a standing pending looks resolved",
        (f"UPDATE ledger.pending SET resolved_by = 8 {AT} 7",),
        {"I6": f"{BOOK} 7: 0 leaves resolve", "I8": f"{BOOK}: account "},
    ),
    (
        "a pending is gone",
        (f"DELETE FROM ledger.pending {AT} 7", f"DELETE FROM ledger.pending_line {AT} 7"),
        {
            "I6": f"{BOOK} 7: a pending leaf without its pending",
            "I8": f"{BOOK}: account ",
            "I13": f"{BOOK} 7: 0 entries are pending, the bytes say 2",
        },
    ),
    (
        "a reserved amount",
        (f"UPDATE ledger.pending_line SET amount_minor = amount_minor / 5 {AT} 2",),
        {
            "I6": f"{BOOK} 3: 3 posted on cash of alfa, 1 was pending",
            "I13": f"{BOOK} 2: entry 0 is not what the bytes say",
        },
    ),
    (
        "a standing reserved amount",
        (f"UPDATE ledger.pending_line SET amount_minor = 9 {AT} 7 AND line = 0",),
        {
            "I2": f"{BOOK}: what is pending in CNY sums to 5",
            "I8": f"{BOOK}: account 1 (cash of alfa) has 9 and 0 pending, not 4 and 0",
            "I13": f"{BOOK} 7: entry 0 is not what the bytes say",
        },
    ),
    (
        "a stored pending sum",
        ("UPDATE ledger.account SET pending_debit_minor = 0 WHERE code = 'cash'",),
        {"I8": f"{BOOK}: account 1 (cash of alfa) has 4 and 0 pending, not 0 and 0"},
    ),
    (
        "a stored limit",
        ("UPDATE ledger.account SET most_minor = 21 WHERE code = 'cash'",),
        {"I8": f"{BOOK}: cash of alfa is held to ('debit', 0, 21), not ('debit', 0, 20)"},
    ),
    (
        "an end that moved",
        (f"UPDATE ledger.pending SET expires_at = '2020-01-01' {AT} 2",),
        {"I6": f"{BOOK} 2: a pending until 2020-01-01 00:00:00+00:00, and its leaf says "},
    ),
    (
        "an end that moved before anything came of it",
        (f"UPDATE ledger.pending SET expires_at = '2099-01-01' {AT} 2",),
        {"I6": f"{BOOK} 2: a pending until 2099-01-01 00:00:00+00:00, and its leaf says "},
    ),
    (
        "a book that forgets its limits",
        (f"UPDATE ledger.book SET has_limits = false WHERE book_id = '{BOOK}'",),
        {"I8": f"{BOOK}: accounts have limits, and the book is noted as without any"},
    ),
    (
        "a reversal that is not noted",
        (f"DELETE FROM ledger.reversal {AT} 6",),
        {"I9": f"{BOOK} 6: a reversal that is not noted as one"},
    ),
    (
        "a reversal noted that never was",
        (f"INSERT INTO ledger.reversal VALUES ('{BOOK}', 'x', 7)",),
        {"I9": f"{BOOK} 7: noted as a reversal"},
    ),
    (
        "a reversal of something else",
        (
            f"UPDATE ledger.leaf SET of_leaf = 'x' {AT} 6",
            f"UPDATE ledger.reversal SET of_leaf = 'x' {AT} 6",
        ),
        {
            "I9": f"{BOOK} 6: entry 0 is not the mirror",
            "I13": f"{BOOK} 6: of_leaf is not what the bytes say",
        },
    ),
    (
        "the same thing reversed twice",
        (
            "ALTER TABLE ledger.reversal DROP CONSTRAINT reversal_pkey",
            f"UPDATE ledger.leaf SET of_leaf = 't' {AT} 10",
            f"UPDATE ledger.reversal SET of_leaf = 't' {AT} 10",
        ),
        {
            "I5": "missing: unique on ledger.reversal",
            "I9": f"{BOOK} 10: t is reversed 2 times",
            "I13": f"{BOOK} 10: of_leaf is not what the bytes say",
        },
    ),
    (
        "an account that looks posted to",
        ("UPDATE ledger.account SET posted = false WHERE code = 'cash'",),
        {"I3": f"{BOOK}: account 1 "},
    ),
    (
        "lines of a pending that is not there",
        (f"INSERT INTO ledger.pending_line VALUES ('{BOOK}', 90, 0, 1, 'alfa', 5)",),
        {"I6": f"{BOOK} 90: 1 lines reserved by no pending"},
    ),
)


@pytest.mark.parametrize(("what", "how", "named"), ALTERED, ids=[row[0] for row in ALTERED])
async def test_altered_rows_are_named_by_the_invariants_they_break_and_by_no_other(
    told: Database,
    superuser: AsyncEngine,
    what: str,
    how: tuple[str, ...],
    named: dict[str, str],
) -> None:
    broken = await found(told, superuser, *how)
    assert broken.keys() == named.keys(), broken
    for name, first in named.items():
        assert broken[name][0].startswith(first), broken[name]


async def test_the_offline_verifier_takes_the_bundle_and_counts_what_it_checked(
    told: Database,
) -> None:
    async with told.transaction(SERVICE) as conn:
        files = await evidence.bundle(
            conn, books=[BOOK], installation=NAME, signer=SIGNER, attachments={}
        )
    verdict = verify(files, None)
    assert verdict.verified, verdict
    assert standalone.verify(files, None)["verified"], "the stand-alone one takes the same leaves"
    for line in (
        "pendings posted once, at most what was pending: 2",
        "pendings voided once: 1",
        "reversals that mirror what they reverse, once: 2",
        "balances re-derived from entries: 2",
    ):
        assert line in verdict.checked
