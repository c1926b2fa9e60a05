"""Each invariant on a real PostgreSQL: it holds on what the service recorded, and whoever alters
the database behind the service's back, as its superuser, is found out at the place.

One story is recorded once; every case alters it in a transaction of its own, looks, and rolls back.
"""

import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing
from api.database import SERVICE, Database
from ledger import invariants, leaves, log_stands, merkle, notes, publishing, store_audit
from ledger import service as ledger
from ledger.entries import Account, Entry, debt
from ledger.holding import MOST_NAMED, Check, Holding, Seen, look
from ledger.leaves import Actor, Leaf
from ledger.notes import ED25519, VerifierKey
from ledger.signatures import KeyInMemory
from tests.conftest import _named, _run
from tests.invariants import assert_invariants, fresh_guards

NAME = "liandai.test"
SIGNER = KeyInMemory(bytes(range(32)))
LOG = VerifierKey(NAME, ED25519, SIGNER.public)
DAYS = (date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 5))
BOOK = "fac-test"
LONG = "fac-long"
LONG_SIZE = 2 * store_audit.PAGE + 37
ACTOR = Actor(institution="bank-a", user="someone")


def leaf(book: str, leaf_id: str, day: date, **changes: Any) -> Leaf:
    fields: dict[str, Any] = {
        "kind": "record",
        "subject": {"type": "Noted", "of": leaf_id, "is": True},
        "entries": (),
        "corrects": None,
    } | changes
    return Leaf(
        book=book,
        leaf_id=leaf_id,
        value_date=day,
        booking_date=day,
        recorded_at=datetime.now(UTC),
        actor=ACTOR,
        **fields,
    )


def lending(leaf_id: str, day: date, amount_minor: int, *, bank: str = "bank-a") -> Leaf:
    entries = (
        *debt(
            code="due.principal",
            creditor=bank,
            debtor="firm",
            ref="d1",
            currency="CNY",
            amount_minor=amount_minor,
        ),
        Entry(Account(bank, "cash", "", "", "CNY"), -amount_minor),
        Entry(Account("firm", "cash", "", "", "CNY"), amount_minor),
    )
    return leaf(BOOK, leaf_id, day, kind="transaction", entries=entries)


def refusal(leaf_id: str, day: date) -> Leaf:
    return leaf(BOOK, leaf_id, day, kind="refusal", subject={"type": "Refused", "code": "no"})


async def publish(database: Database) -> None:
    async with database.transaction(SERVICE) as conn:
        await publishing.publish(conn, installation=NAME, signer=SIGNER, now=datetime.now(UTC))


async def record(database: Database, *batch: Leaf) -> None:
    async with database.transaction(SERVICE) as conn:
        await ledger.append(conn, batch)


async def close(database: Database, book: str, next_day: date) -> None:
    async with database.transaction(SERVICE) as conn:
        await ledger.close_day(conn, book=book, next_day=next_day, recorded_at=datetime.now(UTC))


async def tell(database: Database) -> None:
    """fac-test gets 11 leaves: 0 record, 1 lending, 2 refusal, 3 lending, 4 seal, 5 correction,
    6 record, 7 lending, 8 seal, 9 record, 10 lending; published at sizes 4, 7 and 10.
    """
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAYS[0])
        for book, purpose in (
            ("top", "top"),
            ("registry", "registry"),
            (BOOK, "facility"),
            (LONG, "facility"),
            ("fac-empty", "facility"),
        ):
            await ledger.open_book(
                conn,
                book=book,
                purpose=purpose,
                lead="bank-a" if purpose == "facility" else None,
                members=("bank-b",) if purpose == "facility" else (),
                salt=secrets.token_bytes(32),
            )
    await record(database, *(leaf(LONG, f"long:{n}", DAYS[0]) for n in range(LONG_SIZE)))
    first = leaf(BOOK, "bank-a:key-00000:0", DAYS[0])
    await record(database, first, lending("bank-a:key-00001:0", DAYS[0], 500))
    await record(database, refusal("bank-a:key-00002:refused", DAYS[0]))
    await record(database, lending("bank-b:key-00001:0", DAYS[0], 700, bank="bank-b"))
    await publish(database)
    await close(database, BOOK, DAYS[1])
    await close(database, "registry", DAYS[1])
    correction = lending("bank-a:key-00003:0", DAYS[1], -500)
    await record(database, replace(correction, corrects="bank-a:key-00001:0"))
    await record(database, leaf(BOOK, "bank-a:key-00004:0", DAYS[1]))
    await publish(database)
    await record(database, lending("bank-a:key-00005:0", DAYS[1], 250))
    await close(database, BOOK, DAYS[2])
    await record(database, leaf(BOOK, "bank-a:key-00006:0", DAYS[2]))
    await publish(database)
    await record(database, lending("bank-a:key-00007:0", DAYS[2], 40))


@pytest.fixture(scope="module")
async def told(server_url: str, template: str) -> AsyncIterator[Database]:
    """A database in which the story has been told; no case commits anything to it."""
    name = f"liandai_test_{uuid.uuid4().hex[:12]}"
    await _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    url = _named(server_url, name)
    database = Database(url, pool_size=2, statement_timeout_ms=30_000)
    await tell(database)
    yield database
    await database.close()
    await _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
async def superuser(told: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(told._engine.url, poolclass=NullPool)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def guards(told: Database) -> list[str]:
    return await fresh_guards(told)


Tamper = Callable[[AsyncConnection], Awaitable[None]]


@asynccontextmanager
async def altered(superuser: AsyncEngine, *how: str | Tamper) -> AsyncIterator[AsyncConnection]:
    """A transaction in which the database has been altered past its triggers; rolled back after."""
    async with superuser.connect() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for step in how:
            if isinstance(step, str):
                await conn.execute(text(step.replace(":", r"\:")))
            else:
                await step(conn)
        await conn.execute(text("SET LOCAL session_replication_role = origin"))
        yield conn
        await conn.rollback()


async def held(superuser: AsyncEngine, guards: list[str], *how: str | Tamper) -> list[Holding]:
    """How every invariant stands after the alteration."""
    async with altered(superuser, *how) as conn:
        return await auditing.holdings(conn, log=LOG, on_record=str(LOG), guards=guards)


async def found(
    superuser: AsyncEngine, guards: list[str], *how: str | Tamper
) -> dict[str, list[str]]:
    """What is broken after the alteration, by invariant."""
    return {
        holding.name: holding.broken
        for holding in await held(superuser, guards, *how)
        if not holding.holds
    }


# ---- nothing altered


async def test_what_the_service_recorded_holds(
    told: Database, superuser: AsyncEngine, guards: list[str]
) -> None:
    await assert_invariants(told, log=LOG)
    looked_at = {one.name: one.looked_at for one in await held(superuser, guards)}
    top = 4  # heads: of the long book once, of fac-test three times
    assert looked_at["I1"] == 5
    assert looked_at["I2"] == 1
    assert looked_at["I3"] == 20 + 7
    assert looked_at["I4"] > 300
    assert looked_at["I7"] == 1
    assert looked_at["I10"] == looked_at["I13"] == 11 + LONG_SIZE + top
    assert looked_at["I11"] == 2
    assert looked_at["I15"] == 0


async def test_an_empty_database_holds(database: Database) -> None:
    await assert_invariants(database, log=LOG)


# ---- what is altered in the rows, and who names which place

AT = "WHERE book_id = 'fac-test' AND position ="
ROWS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    # what is altered                  how                             who names what first
    (
        "an entry's amount",
        (f"UPDATE ledger.entry SET amount_minor = amount_minor + 1 {AT} 3 AND line = 2",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by 1",
            "I2": "fac-test: the entries in CNY sum to 1",
            "I3": "fac-test 3: entry 2 ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: entry 2 ",
        },
    ),
    (
        "an entry is deleted",
        (f"DELETE FROM ledger.entry {AT} 3 AND line = 0",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by -700",
            "I2": "fac-test: the entries in CNY sum to -700",
            "I3": "fac-test: account ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: 3 entries are posted, the bytes say 4",
        },
    ),
    (
        "all entries of a transaction are deleted",
        (f"DELETE FROM ledger.entry {AT} 7",),
        {
            "I3": "fac-test 10: entry 0 ",
            "I11": "fac-test 8: its balances",
            "I13": "fac-test 7: 0 entries are posted, the bytes say 4",
        },
    ),
    (
        "a whole transaction's amounts, balances made to fit",
        (
            f"UPDATE ledger.entry SET amount_minor = amount_minor / 2 {AT} 10",
            "UPDATE ledger.entry e SET balance_after_minor = x.due FROM (SELECT book_id, position, "
            "line, sum(amount_minor) OVER (PARTITION BY book_id, account_no ORDER BY position, "
            "line) AS due FROM ledger.entry) x WHERE (e.book_id, e.position, e.line) = "
            "(x.book_id, x.position, x.line)",
            "UPDATE ledger.account a SET balance_minor = (SELECT sum(amount_minor) FROM "
            "ledger.entry e WHERE (e.book_id, e.account_no) = (a.book_id, a.account_no))",
        ),
        {"I13": "fac-test 10: entry 0 "},
    ),
    (
        "entries from one party to another",
        (f"UPDATE ledger.entry SET party = 'bank-b' {AT} 1 AND party = 'bank-a'",),
        {"I13": "fac-test 1: entry 0 "},
    ),
    (
        "the two sides of a debt are not alike",
        (
            "UPDATE ledger.account SET ref = 'd2' WHERE party = 'firm' AND code = 'due.principal' "
            "AND counterparty = 'bank-a'",
        ),
        {
            "I1": "fac-test 1: due.principal between bank-a and firm is off by ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 1: entry ",
        },
    ),
    (
        "an account to another currency",
        ("UPDATE ledger.account SET currency = 'USD' WHERE party = 'bank-a' AND code = 'cash'",),
        {
            "I1": "fac-test 1: bank-a in CNY is off by 500",
            "I2": "fac-test: the entries in CNY sum to 290",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 1: entry ",
        },
    ),
    (
        "an account is deleted",
        ("DELETE FROM ledger.account WHERE party = 'bank-b' AND code = 'cash'",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by 700",
            "I2": "fac-test: the entries in CNY sum to 700",
            "I3": "fac-test: account ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: entry ",
        },
    ),
    (
        "a stored balance",
        (
            "UPDATE ledger.account SET balance_minor = balance_minor + 1 WHERE party = 'bank-b' "
            "AND code = 'cash'",
        ),
        {"I3": "fac-test: account "},
    ),
    (
        "a running balance",
        (f"UPDATE ledger.entry SET balance_after_minor = 12345 {AT} 5 AND line = 1",),
        {"I3": "fac-test 5: entry 1 leaves 0, not 12345"},
    ),
    (
        "a refusal that posts",
        (
            "INSERT INTO ledger.entry SELECT book_id, 2, line, account_no, party, amount_minor, "
            f"balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {
            "I3": "fac-test 2: entry 0 ",
            "I7": "fac-test 2: a refusal with 4 entries",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 2: 4 entries are posted, the bytes say 0",
        },
    ),
    (
        "entries that no leaf ordered",
        (
            "INSERT INTO ledger.entry SELECT book_id, 90, line, account_no, party, amount_minor, "
            f"balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {"I3": "fac-test 90: entry 0 ", "I13": "fac-test 90: 4 entries without a leaf"},
    ),
    (
        "entries of a book that is not there",
        (
            "INSERT INTO ledger.entry SELECT 'fac-ghost', 1, line, account_no, party, "
            f"amount_minor, balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {
            "I3": "fac-ghost: account ",
            "I13": "fac-ghost 1: 4 entries without a leaf",
        },
    ),
    (
        "the last leaf is taken away",
        (f"DELETE FROM ledger.leaf {AT} 10", f"DELETE FROM ledger.entry {AT} 10"),
        {
            "I3": "fac-test: account ",
            "I10": "fac-test 10: the log ends here, the book says 11",
        },
    ),
    (
        "the last leaf without a trace in its book",
        (
            f"DELETE FROM ledger.leaf {AT} 9",
            f"DELETE FROM ledger.leaf {AT} 10",
            f"DELETE FROM ledger.entry {AT} 10",
            "UPDATE ledger.account a SET balance_minor = (SELECT sum(amount_minor) FROM "
            "ledger.entry e WHERE (e.book_id, e.account_no) = (a.book_id, a.account_no))",
            "UPDATE ledger.book SET size = 9 WHERE book_id = 'fac-test'",
        ),
        {"I13": "fac-test 9: 10 leaves are published, and this one is not there"},
    ),
    (
        "a leaf in the middle is taken away",
        (f"DELETE FROM ledger.leaf {AT} 6",),
        {
            "I10": "fac-test 7: it stands where leaf 6 is due",
            "I11": "fac-test 8: its root",
            "I13": "fac-test 6: the leaf is missing",
        },
    ),
    (
        "a leaf moves to the end",
        (f"UPDATE ledger.leaf SET position = 11 {AT} 6",),
        {
            "I10": "fac-test 7: it stands where leaf 6 is due",
            "I11": "fac-test 8: its root",
            "I13": "fac-test 6: the leaf is missing",
        },
    ),
    (
        "two leaves change places",
        (
            f"UPDATE ledger.leaf SET position = 999 {AT} 0",
            f"UPDATE ledger.leaf SET position = 0 {AT} 2",
            f"UPDATE ledger.leaf SET position = 2 {AT} 999",
        ),
        {"I11": "fac-test 4: its root", "I13": "fac-test 0: tree node (0, 0)"},
    ),
    (
        "a leaf is put in, all later ones moved on",
        (
            f"UPDATE ledger.leaf SET position = position + 100 {AT[:-1]}> 5",
            f"UPDATE ledger.leaf SET position = position - 99 {AT[:-1]}> 100",
            "INSERT INTO ledger.leaf SELECT book_id, 6, 'added', kind, subject, actor, corrects, "
            "value_date, booking_date, recorded_at, bytes, hash FROM ledger.leaf "
            "WHERE book_id = 'fac-test' AND position = 7",
            f"UPDATE ledger.entry SET position = position + 100 {AT[:-1]}> 5",
            f"UPDATE ledger.entry SET position = position - 99 {AT[:-1]}> 100",
            "UPDATE ledger.book SET size = 12 WHERE book_id = 'fac-test'",
        ),
        {
            "I11": "fac-test 9: it must seal 9 leaves after the seal at 4",
            "I13": "fac-test 6: leaf_id is not what the bytes say",
        },
    ),
    (
        "a booking date runs back",
        (f"UPDATE ledger.leaf SET booking_date = '2024-02-29' {AT} 6",),
        {
            "I10": "fac-test 6: booked on 2024-02-29, after a leaf of 2024-03-04",
            "I13": "fac-test 6: booking_date",
        },
    ),
    (
        "a booking date after the open day",
        (f"UPDATE ledger.leaf SET booking_date = '2024-03-06' {AT} 10",),
        {
            "I10": "fac-test 10: booked on 2024-03-06, and the open day is 2024-03-05",
            "I13": "fac-test 10: booking_date",
        },
    ),
    (
        "a leaf into a sealed day",
        (f"UPDATE ledger.leaf SET booking_date = '2024-03-01' {AT} 5",),
        {
            "I10": "fac-test 5: booked on 2024-03-01, a sealed day",
            "I13": "fac-test 5: booking_date",
        },
    ),
    (
        "an open day is moved on without a seal",
        ("UPDATE ledger.book SET open_day = '2024-03-06' WHERE book_id = 'fac-test'",),
        {"I10": "fac-test 11: 2024-03-05 was closed without a seal"},
    ),
    (
        "a recorded time runs back by an hour",
        (f"UPDATE ledger.leaf SET recorded_at = recorded_at - interval '1 hour' {AT} 6",),
        {"I10": "fac-test 6: recorded at ", "I13": "fac-test 6: recorded_at"},
    ),
    (
        "a seal's balances, in the leaf's subject",
        (
            "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{balances_root}', "
            f"to_jsonb(repeat('0', 64))) {AT} 8",
        ),
        {"I11": "fac-test 8: its balances", "I13": "fac-test 8: subject"},
    ),
    (
        "a seal is made a record",
        (f"UPDATE ledger.leaf SET kind = 'record' {AT} 4",),
        {
            "I10": "fac-test 5: booked on 2024-03-04, and 2024-03-01 was never sealed",
            "I11": "fac-test 8: it must seal 8 leaves after the seal at None",
            "I13": "fac-test 4: kind",
        },
    ),
    (
        "the salt of the seals",
        (
            "UPDATE ledger.salt SET salt = decode(repeat('00', 32), 'hex') "
            "WHERE book_id = 'fac-test'",
        ),
        {"I11": "fac-test 4: its balances"},
    ),
    (
        "one byte of a leaf",
        (f"UPDATE ledger.leaf SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1) {AT} 2",),
        {"I13": "fac-test 2: the bytes do not hash to the stored hash"},
    ),
    (
        "one byte of a leaf and the hash with it",
        (
            f"UPDATE ledger.leaf SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1) {AT} 2",
            f"UPDATE ledger.leaf SET hash = sha256('\\x00'::bytea || bytes) {AT} 2",
        ),
        {"I11": "fac-test 4: its root", "I13": "fac-test 2: the bytes are no leaf"},
    ),
    (
        "a stored hash",
        (f"UPDATE ledger.leaf SET hash = sha256(hash) {AT} 7",),
        {"I11": "fac-test 8: its root", "I13": "fac-test 7: the bytes do not hash"},
    ),
    *(
        (f"a leaf's {name}", (f"UPDATE ledger.leaf SET {name} = {to} {AT} 9",), {"I13": said})
        for name, to, said in (
            ("leaf_id", "'bank-a:key-00006:1'", "fac-test 9: leaf_id is not"),
            ("kind", "'consent'", "fac-test 9: kind is not"),
            ("subject", "subject || '{\"is\": 1}'", "fac-test 9: subject is not"),
            ("actor", 'actor || \'{"user": "x"}\'', "fac-test 9: actor is not"),
            ("corrects", "'bank-a:key-00000:0'", "fac-test 9: corrects is not"),
            ("value_date", "value_date + 1", "fac-test 9: value_date is not"),
            ("recorded_at", "recorded_at + interval '1 us'", "fac-test 9: recorded_at is not"),
        )
    ),
    (
        "an entry's dates",
        (f"UPDATE ledger.entry SET value_date = value_date - 1 {AT} 7 AND line = 3",),
        {"I13": "fac-test 7: entry 3 is not what the bytes say"},
    ),
    (
        "a leaf far down a long book",
        (
            f"UPDATE ledger.leaf SET subject = '{{}}' WHERE book_id = '{LONG}' "
            f"AND position = {LONG_SIZE - 5}",
        ),
        {"I13": f"fac-long {LONG_SIZE - 5}: subject"},
    ),
    (
        "a leaf missing where a page ends",
        (f"DELETE FROM ledger.leaf WHERE book_id = '{LONG}' AND position = {store_audit.PAGE}",),
        {
            "I10": f"fac-long {store_audit.PAGE + 1}: it stands where leaf {store_audit.PAGE}",
            "I13": f"fac-long {store_audit.PAGE}: the leaf is missing",
        },
    ),
    # ---- what was published
    (
        "a stored leaf hash of the tree",
        (
            "UPDATE ledger.subtree SET hash = sha256(hash) "
            + AT.replace("position =", "level = 0 AND index = 5"),
        ),
        {"I13": "fac-test 5: tree node (0, 5) is not that of the leaves"},
    ),
    (
        "a node high up a long book's tree",
        (
            f"UPDATE ledger.subtree SET hash = sha256(hash) WHERE book_id = '{LONG}' "
            "AND level = 8 AND index = 3",
        ),
        {"I13": "fac-long 768: tree node (8, 3)"},
    ),
    (
        "a node is taken away",
        ("DELETE FROM ledger.subtree WHERE book_id = 'fac-test' AND level = 1 AND index = 2",),
        {"I13": "fac-test 4: tree node (1, 2)"},
    ),
    (
        "a node too many",
        ("INSERT INTO ledger.subtree VALUES ('fac-test', 0, 10, sha256('x'))",),
        {"I13": "fac-test 10: 19 tree nodes are stored where 18 belong"},
    ),
    (
        "a checkpoint's root",
        (
            "UPDATE ledger.checkpoint SET root = sha256(root) WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: the signed note says another"},
    ),
    (
        "a checkpoint's signature",
        (
            "UPDATE ledger.checkpoint SET note = (SELECT note FROM ledger.checkpoint "
            "WHERE book_id = 'fac-test' AND size = 4) WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: the signed note says another"},
    ),
    (
        "another log's checkpoint",
        (
            "UPDATE ledger.checkpoint SET note = (SELECT note FROM ledger.checkpoint "
            f"WHERE book_id = '{LONG}') WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: checkpoint line 1"},
    ),
    (
        "a note that nobody signed",
        (
            "UPDATE ledger.checkpoint SET note = overlay(note placing 'B' from length(note) - 30) "
            "WHERE book_id = 'fac-test' AND size = 10",
        ),
        {"I13": "fac-test 10: the checkpoint of this size: "},
    ),
    (
        "a checkpoint is taken away",
        ("DELETE FROM ledger.checkpoint WHERE book_id = 'fac-test' AND size = 7",),
        {"I13": "top 2: the head of fac-test at 7 is no published checkpoint"},
    ),
    (
        "the last checkpoint is taken away",
        ("DELETE FROM ledger.checkpoint WHERE book_id = 'fac-test' AND size = 10",),
        {"I13": "fac-test 10: the head is not the last checkpoint"},
    ),
    (
        "the head that publishing goes on from",
        ("UPDATE ledger.head SET frontier[1] = sha256(frontier[1]) WHERE book_id = 'fac-test'",),
        {"I13": "fac-test 10: the head's frontier"},
    ),
    (
        "a head is set back, to publish another past",
        (
            "UPDATE ledger.head SET size = 7, root = (SELECT root FROM ledger.checkpoint "
            "WHERE book_id = 'fac-test' AND size = 7) WHERE book_id = 'fac-test'",
        ),
        {"I13": "fac-test 7: the head is not the last checkpoint"},
    ),
    (
        "rows of a book that is not there",
        ("INSERT INTO ledger.participation VALUES ('fac-ghost', 'bank-c', 'member', NULL)",),
        {"I13": "fac-ghost: rows of participation in a book that is not there"},
    ),
    # ---- keys
    (
        "an id stands twice",
        (
            "ALTER TABLE ledger.leaf DROP CONSTRAINT leaf_book_id_leaf_id_key",
            f"UPDATE ledger.leaf SET leaf_id = 'bank-a:key-00000:0' {AT} 9",
        ),
        {
            "I5": "missing: unique on ledger.leaf: leaf_book_id_leaf_id_key UNIQUE",
            "I13": "fac-test 9: leaf_id",
        },
    ),
    (
        "a key's index is not valid",
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "'ledger.leaf_book_id_leaf_id_key'::regclass",
        ),
        {"I5": "missing: unique on ledger.leaf: leaf_book_id_leaf_id_key UNIQUE"},
    ),
)


@pytest.mark.parametrize(("what", "how", "named"), ROWS, ids=[row[0] for row in ROWS])
async def test_altered_rows_are_named_by_the_invariants_they_break_and_by_no_other(
    superuser: AsyncEngine,
    guards: list[str],
    what: str,
    how: tuple[str, ...],
    named: dict[str, str],
) -> None:
    broken = await found(superuser, guards, *how)
    assert broken.keys() == named.keys(), broken
    for name, first in named.items():
        assert broken[name][0].startswith(first), broken[name]


# ---- a past written anew


async def rewritten(conn: AsyncConnection) -> None:
    """Leaf 6 says something else, and everything that can be derived from it has been."""
    row = (await conn.execute(text(f"SELECT bytes FROM ledger.leaf {AT} 6"))).one()
    raw = leaves.encode(replace(leaves.decode(row.bytes), subject={"type": "Noted", "of": "lies"}))
    await put(conn, 6, raw)
    seal = (await conn.execute(text(f"SELECT bytes FROM ledger.leaf {AT} 8"))).one().bytes
    hashes = await hashes_of(conn)
    subject = leaves.decode(seal).subject | {"root": merkle.root(hashes[:8]).hex()}
    await put(conn, 8, leaves.encode(replace(leaves.decode(seal), subject=subject)))
    frontier, nodes = merkle.EMPTY.append((await hashes_of(conn))[:10])
    for level, index, digest in nodes:
        await conn.execute(
            text(
                "UPDATE ledger.subtree SET hash = :hash "
                "WHERE book_id = 'fac-test' AND level = :level AND index = :index"
            ),
            {"hash": digest, "level": level, "index": index},
        )
    await conn.execute(
        text("UPDATE ledger.head SET frontier = :peaks WHERE book_id = 'fac-test'"),
        {"peaks": list(frontier.peaks)},
    )


async def put(conn: AsyncConnection, position: int, raw: bytes) -> None:
    await conn.execute(
        text(
            "UPDATE ledger.leaf SET bytes = :raw, hash = :hash, subject = CAST(:subject AS jsonb) "
            f"{AT} :position"
        ),
        {
            "raw": raw,
            "hash": merkle.leaf_hash(raw),
            "subject": msgspec.json.encode(leaves.decode(raw).subject).decode(),
            "position": position,
        },
    )


async def hashes_of(conn: AsyncConnection) -> list[bytes]:
    query = "SELECT hash FROM ledger.leaf WHERE book_id = 'fac-test' ORDER BY position"
    return list((await conn.execute(text(query))).scalars())


async def rewritten_and_signed(conn: AsyncConnection) -> None:
    """The same by somebody who has the log's key: the book's checkpoints are signed anew."""
    await rewritten(conn)
    hashes = await hashes_of(conn)
    for size in (7, 10):
        root = merkle.root(hashes[:size])
        head = notes.Checkpoint(
            origin=notes.origin(installation=NAME, book=BOOK), size=size, root=root
        )
        await conn.execute(
            text(
                "UPDATE ledger.checkpoint SET root = :root, note = :note "
                "WHERE book_id = 'fac-test' AND size = :size"
            ),
            {
                "root": root,
                "note": notes.sign_checkpoint(head, name=NAME, signer=SIGNER).decode(),
                "size": size,
            },
        )
    await conn.execute(
        text("UPDATE ledger.head SET root = :root WHERE book_id = 'fac-test'"), {"root": root}
    )


async def test_a_past_rewritten_whole_is_found_between_two_checkpoints(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    broken = await found(superuser, guards, rewritten)
    assert broken == {
        "I13": [
            "fac-test 4: this leaf, or one up to 6, is not the one under the checkpoint of size 7"
        ]
    }


async def test_a_past_rewritten_and_signed_with_the_stolen_key_is_found_in_the_top_log(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    broken = await found(superuser, guards, rewritten_and_signed)
    assert broken == {
        "I13": [
            "top 2: the head of fac-test at 7 is no published checkpoint",
            "top 3: the head of fac-test at 10 is no published checkpoint",
        ]
    }


async def test_one_bit_of_any_leaf_is_found_at_that_leaf(superuser: AsyncEngine) -> None:
    check = log_stands.log_stands(log=LOG, on_record=str(LOG))
    places = [(BOOK, position) for position in range(11)] + [("top", n) for n in range(4)]
    async with altered(superuser) as conn:
        for number, (book, position) in enumerate(places):
            async with conn.begin_nested() as undo:
                await conn.execute(text("SET LOCAL session_replication_role = replica"))
                await conn.execute(
                    text(
                        "UPDATE ledger.leaf SET bytes = set_bit(bytes, :bit, 1 - get_bit(bytes, "
                        ":bit)) WHERE book_id = :book AND position = :position"
                    ),
                    {"bit": 37 * number + 1, "book": book, "position": position},
                )
                holding = await look(conn, check)
                assert holding.broken[0] == (
                    f"{book} {position}: the bytes do not hash to the stored hash"
                )
                await undo.rollback()
        assert (await look(conn, check)).holds


async def test_at_most_the_first_twenty_are_named(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    broken = await found(
        superuser,
        guards,
        f"UPDATE ledger.leaf SET leaf_id = 'x' || leaf_id WHERE book_id = '{LONG}'",
    )
    assert len(broken["I13"]) == MOST_NAMED
    assert broken["I13"][-1] == f"fac-long {MOST_NAMED - 1}: leaf_id is not what the bytes say"


# ---- what the service's own rights could do wrong


async def by_the_service(conn: AsyncConnection, *batch: Leaf) -> None:
    await conn.execute(text("SET LOCAL session_replication_role = origin"))
    await conn.execute(text("SET LOCAL ROLE liandai_service"))
    await ledger.append(conn, batch)
    await conn.execute(text("RESET ROLE"))


async def test_something_under_the_name_of_a_refused_command_breaks_i7(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    async def recorded(conn: AsyncConnection) -> None:
        await by_the_service(conn, leaf(BOOK, "bank-a:key-00002:0", DAYS[2]))

    assert await found(superuser, guards, recorded) == {
        "I7": ["fac-test 2: refused, and yet fac-test 11 stands under the same command"]
    }


async def test_commands_that_waited_for_one_another_may_step_back_in_time(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    async def recorded(conn: AsyncConnection) -> None:
        now = datetime.now(UTC)
        for number, seconds in enumerate((200, -200)):
            one = leaf(BOOK, f"bank-a:key-0001{number}:0", DAYS[2])
            await by_the_service(conn, replace(one, recorded_at=now + timedelta(seconds=seconds)))

    assert await found(superuser, guards, recorded) == {}


# ---- the guards

MISSING_STAYS = "missing: trigger on ledger.entry: CREATE TRIGGER stays BEFORE DELETE OR UPDATE"
GUARDS = (
    # what is altered                      how                                    what I4 names first
    ("a trigger is disabled", "ALTER TABLE ledger.entry DISABLE TRIGGER stays", MISSING_STAYS),
    ("a trigger is dropped", "DROP TRIGGER stays ON ledger.entry", MISSING_STAYS),
    (
        "a trigger acts in replicas only",
        "ALTER TABLE ledger.entry ENABLE REPLICA TRIGGER stays",
        MISSING_STAYS,
    ),
    (
        "a trigger against truncation is dropped",
        "DROP TRIGGER stays_whole ON ledger.leaf",
        "missing: trigger on ledger.leaf: CREATE TRIGGER stays_whole BEFORE TRUNCATE",
    ),
    (
        "the triggers of foreign keys are disabled",
        "ALTER TABLE ledger.account DISABLE TRIGGER ALL",
        "missing: trigger on ledger.account: CREATE TRIGGER stays BEFORE DELETE",
    ),
    (
        "the trigger's function lets all pass",
        "CREATE OR REPLACE FUNCTION ledger.forbid() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END'",
        "missing: function ledger.forbid() owner liandai_owner",
    ),
    (
        "a trigger more, which alters what is posted",
        "CREATE TRIGGER more BEFORE INSERT ON ledger.entry FOR EACH ROW "
        "EXECUTE FUNCTION ledger.forbid()",
        "not ours: trigger on ledger.entry: CREATE TRIGGER more",
    ),
    (
        "a rule that swallows entries",
        "CREATE RULE none AS ON INSERT TO ledger.entry DO INSTEAD NOTHING",
        "not ours: rule ledger.entry none",
    ),
    (
        "a right to update",
        "GRANT UPDATE ON ledger.entry TO liandai_app",
        "not ours: right on ledger.entry: liandai_app UPDATE",
    ),
    (
        "a right to update one column",
        "GRANT UPDATE (amount_minor) ON ledger.entry TO liandai_service",
        "not ours: right on ledger.entry (amount_minor): liandai_service UPDATE",
    ),
    (
        "a right to delete, for everybody",
        "GRANT DELETE ON ledger.leaf TO PUBLIC",
        "not ours: right on ledger.leaf: PUBLIC DELETE",
    ),
    (
        "a member may read the bytes of leaves",
        "GRANT SELECT (bytes) ON ledger.leaf TO liandai_app",
        "missing: right on ledger.leaf (book_id, position, leaf_id, kind, subject, actor,",
    ),
    (
        "an auditor may read no more",
        "REVOKE SELECT ON ledger.cosignature FROM liandai_auditor",
        "missing: right on ledger.cosignature: liandai_auditor SELECT",
    ),
    (
        "row security is disabled",
        "ALTER TABLE ledger.entry DISABLE ROW LEVEL SECURITY",
        "missing: table ledger.entry kind r owner liandai_owner row security forced",
    ),
    (
        "row security does not bind the owner",
        "ALTER TABLE ledger.entry NO FORCE ROW LEVEL SECURITY",
        "missing: table ledger.entry kind r owner liandai_owner row security forced",
    ),
    (
        "another owner",
        "ALTER TABLE ledger.business_day OWNER TO liandai_service",
        "missing: right on ledger.business_day: liandai_service SELECT",
    ),
    (
        "a policy is dropped",
        "DROP POLICY member ON ledger.entry",
        "missing: policy on ledger.entry: member permissive SELECT to liandai_app using ((party =",
    ),
    (
        "a policy shows everything",
        "ALTER POLICY member ON ledger.entry USING (true)",
        "missing: policy on ledger.entry: member permissive SELECT to liandai_app using ((party =",
    ),
    (
        "a policy more",
        "CREATE POLICY more ON ledger.entry FOR SELECT TO liandai_app USING (true)",
        "not ours: policy on ledger.entry: more permissive SELECT to liandai_app using true",
    ),
    (
        "a table is dropped",
        "DROP TABLE ledger.cosignature CASCADE",
        "missing: constraint on ledger.cosignature: ",
    ),
    (
        "a table more",
        "CREATE TABLE ledger.shadow (book_id text)",
        "not ours: table ledger.shadow kind r owner ",
    ),
    (
        "a check of amounts is dropped",
        "ALTER TABLE ledger.entry DROP CONSTRAINT entry_amount_minor_check",
        "missing: constraint on ledger.entry: entry_amount_minor_check CHECK",
    ),
    (
        "the posting function runs as its caller",
        "ALTER FUNCTION ledger.append(text, bytea[]) SECURITY INVOKER",
        "missing: function ledger.append(text, bytea[]) owner liandai_ledger plpgsql as owner",
    ),
    (
        "a member may open days",
        "GRANT EXECUTE ON FUNCTION ledger.open_next_day(text, date) TO liandai_app",
        "not ours: right on function ledger.open_next_day(text, date): liandai_app EXECUTE",
    ),
    (
        "a role passes row security by",
        "ALTER ROLE liandai_app BYPASSRLS",
        "missing: role liandai_app",
    ),
    (
        "a role becomes another",
        "GRANT liandai_service TO liandai_app",
        "not ours: role liandai_app is a member of liandai_service",
    ),
    (
        "triggers are off for a role's sessions",
        "ALTER ROLE liandai_service SET session_replication_role = replica",
        "not ours: setting session_replication_role=replica for role liandai_service",
    ),
)


@pytest.mark.parametrize(("what", "how", "first"), GUARDS, ids=[row[0] for row in GUARDS])
async def test_an_altered_guard_is_named(
    superuser: AsyncEngine, guards: list[str], what: str, how: str, first: str
) -> None:
    async with altered(superuser, how) as conn:
        (check,) = [one for one in all_checks(guards) if one.name == "I4"]
        holding = await look(conn, check)
    assert not holding.holds
    assert holding.broken[0].startswith(first), holding.broken


def all_checks(guards: Sequence[str]) -> tuple[Check, ...]:
    return auditing.checks(log=LOG, on_record=str(LOG), guards=guards)


async def test_rows_hidden_from_the_auditor_do_not_pass_for_none(
    superuser: AsyncEngine, guards: list[str]
) -> None:
    hiding = "ALTER POLICY auditor ON ledger.leaf USING (book_id <> 'fac-test')"
    broken = await found(superuser, guards, hiding)
    assert broken["I4"][0].startswith("missing: policy on ledger.leaf: auditor")
    assert broken["I10"] == ["fac-test 0: the log ends here, the book says 11"]
    assert broken["I13"][0] == "fac-test 0: 10 leaves are published, and this one is not there"


# ---- the rules by themselves

MARCH_1, MARCH_4 = DAYS[0], DAYS[1]


class Before(msgspec.Struct):
    booking_date: date
    kind: str


@pytest.mark.parametrize(
    ("why", "booking_date", "open_day", "last", "holds"),
    [
        # why                              booked on  open day   the leaf before               holds
        ("the first leaf", MARCH_1, MARCH_1, None, True),
        ("the first leaf, the day closed since", MARCH_1, MARCH_4, None, True),
        ("beyond the open day", MARCH_4, MARCH_1, None, False),
        ("the same day", MARCH_1, MARCH_1, Before(MARCH_1, "record"), True),
        ("the next day after a seal", MARCH_4, MARCH_4, Before(MARCH_1, "seal"), True),
        ("the next day without a seal", MARCH_4, MARCH_4, Before(MARCH_1, "record"), False),
        ("on the sealed day", MARCH_1, MARCH_4, Before(MARCH_1, "seal"), False),
        ("on the day before", MARCH_1, MARCH_4, Before(MARCH_4, "record"), False),
    ],
)
def test_days_run_forward_and_each_ends_with_its_seal(
    why: str, booking_date: date, open_day: date, last: Any, holds: bool
) -> None:
    flaw = invariants.day_flaw(booking_date, open_day=open_day, last=last)
    assert (flaw is None) == holds


@pytest.mark.parametrize(
    ("back", "holds"),
    [
        (timedelta(0), True),
        (invariants.CLOCK_SLACK, True),
        (invariants.CLOCK_SLACK + timedelta(microseconds=1), False),
    ],
)
def test_a_recorded_time_steps_back_no_further_than_the_database_lets_it(
    back: timedelta, holds: bool
) -> None:
    latest = datetime(2024, 3, 1, 9, tzinfo=UTC)
    assert (invariants.time_flaw(latest - back, latest=latest) is None) == holds


def test_a_key_is_read_from_its_guard() -> None:
    guard = 'unique on ledger.leaf: leaf_pkey PRIMARY KEY (book_id, "position")'
    assert invariants.key_of(guard) == ("ledger.leaf", ["book_id", "position"])


async def test_whatever_a_check_meets_is_a_finding_and_the_transaction_goes_on(
    superuser: AsyncEngine,
) -> None:
    async def meets_an_error(conn: AsyncConnection, seen: Seen) -> None:
        seen.looked_at = 3
        await conn.execute(text("SELECT 1 / 0"))

    async with superuser.connect() as conn:
        holding = await look(conn, Check("I0", "nothing", meets_an_error))
        assert (await conn.execute(text("SELECT 1"))).scalar_one() == 1
    assert not holding.holds
    assert holding.looked_at == 3
    assert holding.broken[0].startswith("could not be looked at: ")
    assert "division by zero" in holding.broken[0]
