"""Each invariant on a real PostgreSQL: it holds on what the service recorded, and whoever alters
the database behind the service's back, as its superuser, is found out at the place.

One story is recorded once; every case alters it in a transaction of its own, looks, and rolls back.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing
from api.database import Database
from ledger import invariants, leaves, log_stands, merkle, notes, parts
from ledger import service as ledger
from ledger.holding import MOST_NAMED, Check, Holding, Seen, look
from ledger.leaves import Leaf
from tests.conftest import _named, _run
from tests.invariants import assert_invariants, fresh_guards
from tests.ledger.alterations import AT, GUARDS, ROWS
from tests.ledger.recorded_story import (
    BOOK,
    DAYS,
    LOG,
    LONG,
    LONG_SIZE,
    NAME,
    SIGNER,
    Tamper,
    altered,
    leaf,
    tell,
)


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
    assert looked_at["I15"] == 2 * 3 + 1  # parts in two facilities and in a pool


async def test_an_empty_database_holds(database: Database) -> None:
    await assert_invariants(database, log=LOG)


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
    frontier, finished = merkle.EMPTY.append((await hashes_of(conn))[:10])
    for level, index, digest in merkle.each(finished):
        await conn.execute(
            text(
                "UPDATE ledger.subtree SET hash = :hash "
                "WHERE book_id = 'fac-test' AND level = :level AND index = :index"
            ),
            {"hash": digest, "level": level, "index": index},
        )
    published = (await hashes_of(conn))[:10]
    for first, end in ((0, 4), (4, 7), (7, 10)):
        await conn.execute(
            text(
                "UPDATE ledger.leaf_hash SET hashes = :run "
                "WHERE book_id = 'fac-test' AND first_position = :first"
            ),
            {"run": b"".join(published[first:end]), "first": first},
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
    assert broken["I10"][0] == "fac-test 0: the log ends here, the book says 11"
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
    ("why", "open_day", "sealed", "first_open", "holds"),
    [
        # why                                     open     sealed   first open  holds
        ("nothing is there", None, None, None, True),
        ("books, and no day", None, None, MARCH_1, False),
        ("the first day", MARCH_1, None, MARCH_1, True),
        ("every book is on it", MARCH_4, MARCH_1, MARCH_4, True),
        ("every book is there, it is to follow", MARCH_1, MARCH_1, MARCH_4, True),
        ("a book is still behind it", MARCH_4, MARCH_1, MARCH_1, False),
        ("the registry is beyond the next", MARCH_1, MARCH_4, DAYS[2], False),
    ],
)
def test_the_business_day_follows_the_books(
    why: str, open_day: date | None, sealed: date | None, first_open: date | None, holds: bool
) -> None:
    flaw = invariants.business_day_flaw(open_day, sealed=sealed, first_open=first_open)
    assert (flaw is None) == holds


@pytest.mark.parametrize(
    ("book", "purpose", "owner", "recorded_by", "holds"),
    [
        # book               purpose     on record  recorded by  holds
        ("own-bank-a-main", "house", "bank-a", "bank-a", True),
        ("own-bank-a-main", "house", "bank-a", None, True),
        ("own-bank-a-main", "house", "bank-b", None, False),
        ("own-bank-a-main", "house", "bank", "bank-a", False),
        ("own-bank-a-main", "house", "bank-a-main", None, False),
        ("headroom-bank-a", "headroom", "bank-a", "liandai-ops", True),
        ("headroom-bank-a", "headroom", "bank", None, False),
        ("headroom-bank-a", "pool", "bank-a", None, False),
    ],
)
def test_a_book_of_one_is_whose_name_it_has_and_who_records_in_it(
    book: str, purpose: str, owner: str, recorded_by: str | None, holds: bool
) -> None:
    flaw = parts.owner_flaw(book, purpose=purpose, owner=owner, recorded_by=recorded_by)
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
