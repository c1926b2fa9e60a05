"""A book recorded by the service: what the tests of the invariants look at, altered and unaltered.

Everything goes in by the ledger's own functions; `altered` then changes it as a superuser can.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.database import SERVICE, Database
from ledger import publishing, store_audit
from ledger import service as ledger
from ledger.entries import Account, Entry, debt
from ledger.leaves import Actor, Leaf
from ledger.notes import ED25519, VerifierKey
from ledger.signatures import KeyInMemory

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


def formed(
    book: str, *, lead: str = "bank-a", other: str = "bank-b", borrower: str = "firm"
) -> dict[str, Any]:
    """What a record says that lets two banks, the lead first, and a firm into a facility's book."""
    banks = {lead: 500, other: 500}
    return {
        "type": "FacilityFormed",
        "terms": {
            "facility": book,
            "form": "JOINT_PARALLEL",
            "interest_authority": "per_contract",
            "currency": "CNY",
            "borrower": borrower,
            "lead": lead,
            "seats": list(banks),
            "commitments": banks,
            "signed_on": "2024-03-01",
            "available_until": "2024-09-01",
            "rate": {
                "base": "LPR1Y",
                "spread_bp": 0,
                "lpr_as_of": "same_day",
                "reset": "none",
                "day_count": "ACT/360",
            },
            "repayment": {
                "kind": "bullet",
                "tenor_months": 12,
                "frequency": "quarterly",
                "payment_day": 20,
                "business_day": "none",
            },
            "default": {
                "penalty_multiple": "1.5",
                "compound": True,
                "waterfall": ["fee", "compound", "penalty", "interest", "principal"],
            },
            "protectors": [],
            "risk_share": None,
            "upside": [],
        },
        "terms_hash": "0" * 64,
        "signatures": [],
    }


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
            ("pool-bank-a", "pool"),
        ):
            await ledger.open_book(
                conn,
                book=book,
                purpose=purpose,
                lead="bank-a" if purpose in ("facility", "pool") else None,
                members=("bank-b", "firm") if purpose == "facility" else (),
                salt=secrets.token_bytes(32),
            )
    notes = [leaf(LONG, f"long:{n}", DAYS[0]) for n in range(1, LONG_SIZE)]
    await record(database, leaf(LONG, "long:0", DAYS[0], subject=formed(LONG)), *notes)
    first = leaf(BOOK, "bank-a:key-00000:0", DAYS[0], subject=formed(BOOK))
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
