"""The sequencer on a real PostgreSQL, whatever happens around it: late commits, crashes, damage.

A sequence is not commit order, so positions are given under the book's lock; and a head that was
signed counts only once its transaction has committed.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from api.app import PUBLISH_EVERY_SECONDS, _every_so_often, publish_now
from api.database import SERVICE, Database, driver_of
from api.installation import Installation
from api.settings import asyncpg_dsn
from ledger import merkle, notes, publishing, store, store_log
from ledger import service as ledger
from ledger.leaves import Actor, Leaf
from ledger.signatures import KeyInMemory

DAY = date(2024, 3, 1)
NAME = "liandai.test"
SIGNER = KeyInMemory(bytes(range(32)))
LOG = notes.VerifierKey(NAME, notes.ED25519, SIGNER.public)


@pytest.fixture
async def books(database: Database) -> Database:
    """A database with the top log, the registry and the books a, b and c."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        for name, purpose in (
            *(("top", "top"), ("registry", "registry")),
            *((book, "facility") for book in ("a", "b", "c")),
        ):
            await ledger.open_book(
                conn,
                book=name,
                purpose=purpose,
                lead=None,
                members=(),
                salt=secrets.token_bytes(32),
            )
    return database


@pytest.fixture
async def owner(database_url: str, books: Database) -> AsyncIterator[asyncpg.Connection]:
    """Whoever runs the database, past every trigger and policy."""
    conn = await asyncpg.connect(asyncpg_dsn(database_url))
    await conn.execute("SET session_replication_role = replica")
    yield conn
    await conn.close()


def leaf(book: str, number: int) -> Leaf:
    return Leaf(
        book=book,
        kind="record",
        leaf_id=f"{book}:{number}",
        subject={"type": "Noted", "number": number},
        entries=(),
        value_date=DAY,
        booking_date=DAY,
        recorded_at=datetime.now(UTC),
        actor=Actor(institution="bank-a", user="someone"),
        corrects=None,
    )


async def note(database: Database, book: str, *numbers: int) -> list[int]:
    async with database.transaction(SERVICE) as conn:
        return await ledger.append(conn, [leaf(book, number) for number in numbers])


async def publish(database: Database, *, now: datetime | None = None) -> dict[str, int]:
    """The size of each head signed now."""
    async with database.transaction(SERVICE) as conn:
        heads = await publishing.publish(
            conn, installation=NAME, signer=SIGNER, now=now or datetime.now(UTC)
        )
    return {head.book: head.size for head in heads}


async def assert_published(database: Database) -> dict[str, int]:
    """Every checkpoint there is follows from the leaves and from every earlier one; sizes."""
    sizes = {}
    async with database.transaction(SERVICE, read_only=True) as conn:
        heads = {}
        for row in await store.books(conn):
            book = row.book_id
            leaves = await store.leaf_bytes(conn, book=book, from_position=0, to_position=row.size)
            hashes = [merkle.leaf_hash(one.bytes) for one in leaves]
            earlier: tuple[int, bytes] | None = None
            for checkpoint in await store_log.checkpoints(conn, book=book):
                opened = notes.open_checkpoint(
                    checkpoint.note.encode(), origin=f"{NAME}/{book}", log=LOG, witnesses=[]
                )
                head = opened.checkpoint
                assert head.root == merkle.root(hashes[: head.size]) == checkpoint.root
                if earlier is not None:
                    proof = await publishing.consistency(
                        conn, book=book, old_size=earlier[0], new_size=head.size
                    )
                    assert merkle.verify_consistency(
                        old_size=earlier[0],
                        old_root=earlier[1],
                        new_size=head.size,
                        new_root=head.root,
                        proof=proof,
                    )
                earlier = (head.size, head.root)
                heads[book, head.size] = head.root.hex()
                sizes[book] = head.size
            if book == "top":
                committed = [json.loads(one.bytes)["subject"] for one in leaves]
        named = {(one["book"], one["size"]): one["root"] for one in committed}
        assert named == {key: root for key, root in heads.items() if key[0] != "top"}
    return sizes


# ---- who commits late


async def test_a_transaction_that_appends_late_is_published_when_it_commits(
    books: Database,
) -> None:
    """What was numbered first and commits last is in no head before, and leaves no gap."""
    async with books.transaction(SERVICE) as slow:
        await ledger.append(slow, [leaf("a", 1)])
        await note(books, "b", 1, 2)
        assert await publish(books) == {"b": 2, "top": 1}
        async with books.transaction(SERVICE, read_only=True) as conn:
            assert (await ledger.book(conn, book="a")).size == 0
    assert await publish(books) == {"a": 1, "top": 2}
    assert await assert_published(books) == {"a": 1, "b": 2, "top": 2}


async def test_a_second_writer_of_the_book_waits_and_a_rolled_back_first_leaves_no_gap(
    books: Database,
) -> None:
    slow = books.transaction(SERVICE)
    conn = await slow.__aenter__()
    assert await ledger.append(conn, [leaf("a", 1)]) == [0]
    waiting = asyncio.create_task(note(books, "a", 2))
    await asyncio.sleep(0.2)
    assert not waiting.done(), "the book's row is held"
    assert await publish(books) == {}
    given_up = ConnectionError("the first writer gave up")
    assert not await slow.__aexit__(ConnectionError, given_up, None), "rolled back"
    assert await waiting == [0]
    assert await publish(books) == {"a": 1, "top": 1}
    await assert_published(books)


async def test_nothing_committed_during_a_round_is_half_in_it(books: Database) -> None:
    """Writers commit while the sequencer works: each head covers whole leaves, none is lost."""

    async def write(book: str) -> None:
        for number in range(40):
            await note(books, book, number)

    writing = [asyncio.create_task(write(book)) for book in ("a", "b", "c")]
    while not all(task.done() for task in writing):
        await publish(books)
        await asyncio.sleep(0)
    await asyncio.gather(*writing)
    await publish(books)
    sizes = await assert_published(books)
    assert {book: sizes[book] for book in ("a", "b", "c")} == {"a": 40, "b": 40, "c": 40}


# ---- crashes and restarts


async def test_a_crash_between_signing_and_commit_leaves_no_head_behind(
    books: Database, owner: asyncpg.Connection
) -> None:
    await note(books, "a", 1, 2)
    with pytest.raises(Exception, match=r"terminat|closed|connection"):
        await publish_until_killed(books, owner)
    for table in ("checkpoint", "head", "subtree"):
        assert await owner.fetchval(f"SELECT count(*) FROM ledger.{table}") == 0
    assert await owner.fetchval("SELECT count(*) FROM ledger.leaf WHERE book_id = 'top'") == 0
    await note(books, "a", 3)
    assert await publish(books) == {"a": 3, "top": 1}
    await assert_published(books)


async def publish_until_killed(database: Database, owner: asyncpg.Connection) -> None:
    async with database.transaction(SERVICE) as conn:
        heads = await publishing.publish(
            conn, installation=NAME, signer=SIGNER, now=datetime.now(UTC)
        )
        assert {head.book: head.size for head in heads} == {"a": 2, "top": 1}
        pid = (await driver_of(conn)).get_server_pid()
        assert await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)


async def test_a_restarted_sequencer_goes_on_where_the_last_one_stopped(
    books: Database, database_url: str
) -> None:
    await note(books, "a", *range(5))
    await publish(books)
    await note(books, "a", *range(5, 12))
    await note(books, "b", 1)
    another = Database(database_url, pool_size=1, statement_timeout_ms=30_000)
    try:
        assert await publish(another) == {"a": 12, "b": 1, "top": 3}
        assert await publish(another) == {}
    finally:
        await another.close()
    assert await assert_published(books) == {"a": 12, "b": 1, "top": 3}


async def test_of_two_sequencers_one_publishes_and_the_other_does_not_wait(
    books: Database,
) -> None:
    await note(books, "a", 1)
    async with books.transaction(SERVICE) as first:
        one = await publishing.publish(
            first, installation=NAME, signer=SIGNER, now=datetime.now(UTC)
        )
        assert one
        assert await asyncio.wait_for(publish(books), 5) == {}
    assert await publish(books) == {}
    await assert_published(books)


# ---- damage

DAMAGE = {
    "a byte flipped": "UPDATE ledger.leaf SET bytes = set_byte(bytes, 20, get_byte(bytes, 20) # 1) "
    "WHERE book_id = 'b' AND position = 1",
    "a hash flipped": "UPDATE ledger.leaf SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) "
    "WHERE book_id = 'b' AND position = 1",
    "bytes and hash both": "UPDATE ledger.leaf SET bytes = bytes || ' ', hash = sha256(bytes) "
    "WHERE book_id = 'b' AND position = 1",
    "deleted": "DELETE FROM ledger.leaf WHERE book_id = 'b' AND position = 1",
    "the last deleted": "DELETE FROM ledger.leaf WHERE book_id = 'b' AND position = 2",
    "moved away": "UPDATE ledger.leaf SET position = 5 - position WHERE book_id = 'b' "
    "AND position IN (1, 2)",
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_leaf_altered_before_publication_stops_its_book_and_no_other(
    books: Database, owner: asyncpg.Connection, what: str
) -> None:
    await note(books, "a", 1)
    await note(books, "b", 0, 1, 2)
    await owner.execute(DAMAGE[what])
    await note(books, "c", 1)
    installation = Installation(
        name=NAME,
        database=books,
        signer=SIGNER,
        body_limit_bytes=1,
        bulk_body_limit_bytes=1,
    )
    for number in (2, 3):
        with pytest.raises(publishing.LogDamaged) as damage:
            await publish_now(installation)
        at = 2 if what == "the last deleted" else 1
        assert (damage.value.book, damage.value.position) == ("b", at)
        sizes = {
            row["book_id"]: row["size"]
            for row in await owner.fetch("SELECT book_id, size FROM ledger.head")
        }
        assert sizes == {"a": number - 1, "c": 1, "top": number}
        await note(books, "a", number)


async def test_rounds_begin_half_a_second_apart_however_long_each_takes(books: Database) -> None:
    """A pause after a long round would be added to what is promised: within a second."""
    begun: list[float] = []
    stopping = asyncio.Event()

    async def round_of(_: Installation) -> None:
        begun.append(time.monotonic())
        if len(begun) == 4:
            stopping.set()
        await asyncio.sleep(0.8 * PUBLISH_EVERY_SECONDS)

    installation = Installation(
        name=NAME, database=books, signer=SIGNER, body_limit_bytes=1, bulk_body_limit_bytes=1
    )
    await _every_so_often(round_of, installation, stopping)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert min(gaps) > 0.95 * PUBLISH_EVERY_SECONDS
    assert min(gaps) < 1.4 * PUBLISH_EVERY_SECONDS


AT_BLOCKS = {
    "the last of a block is altered": ("UPDATE ledger.leaf SET bytes = bytes || ' '", "= 31", 31),
    "the first of a block is altered": ("UPDATE ledger.leaf SET bytes = bytes || ' '", "= 32", 32),
    "two are altered": ("UPDATE ledger.leaf SET bytes = bytes || ' '", "IN (33, 65)", 33),
    "a hash is altered": ("UPDATE ledger.leaf SET hash = sha256(hash)", "= 64", 64),
    "the first of all is gone": ("DELETE FROM ledger.leaf", "= 5", 5),
    "the last of a block is gone": ("DELETE FROM ledger.leaf", "= 31", 31),
    "the first of a block is gone": ("DELETE FROM ledger.leaf", "= 64", 64),
    "a block is gone": ("DELETE FROM ledger.leaf", "BETWEEN 32 AND 63", 32),
    "the last of all is gone": ("DELETE FROM ledger.leaf", "= 69", 69),
    "all are gone": ("DELETE FROM ledger.leaf", ">= 5", 5),
}
"""(what is done, to which positions, where it is found) in a book of 70 leaves, 5 published."""


@pytest.mark.parametrize("what", AT_BLOCKS)
async def test_damage_is_named_at_its_first_position_in_whatever_block_of_32(
    books: Database, owner: asyncpg.Connection, what: str
) -> None:
    done, positions, found = AT_BLOCKS[what]
    await note(books, "a", *range(5))
    await publish(books)
    await note(books, "a", *range(5, 70))
    await owner.execute(f"{done} WHERE book_id = 'a' AND position {positions}")
    with pytest.raises(publishing.LogDamaged) as damage:
        await publish(books)
    assert (damage.value.book, damage.value.position) == ("a", found)


async def test_blocks_of_32_are_published_whole_however_they_were_cut(books: Database) -> None:
    for begun, end in ((0, 1), (1, 31), (31, 32), (32, 64), (64, 130), (130, 131)):
        await note(books, "a", *range(begun, end))
        await note(books, "b", *range(2 * begun, 2 * end))
        await publish(books)
    sizes = await assert_published(books)
    assert (sizes["a"], sizes["b"]) == (131, 262)


async def test_a_damaged_top_log_is_published_no_further(
    books: Database, owner: asyncpg.Connection
) -> None:
    await note(books, "a", 1)
    await publish(books)
    await note(books, "a", 2)
    async with books.transaction(SERVICE) as conn:
        await ledger.append(conn, [leaf("top", 1)])
    await owner.execute(
        "UPDATE ledger.leaf SET bytes = bytes || ' ' WHERE book_id = 'top' AND position = 1"
    )
    with pytest.raises(publishing.LogDamaged) as damage:
        await publish(books)
    assert (damage.value.book, damage.value.position) == ("top", 1)
    assert await owner.fetchval("SELECT size FROM ledger.head WHERE book_id = 'a'") == 1


# ---- proofs

NONE, SMALL = publishing.NoSuchHead, publishing.TooSmall
REFUSED = [
    # published are 5 and 40 leaves of 41
    ("inclusion", {"position": 5, "size": 5}, SMALL),
    ("inclusion", {"position": -1, "size": 40}, SMALL),
    ("inclusion", {"position": 0, "size": 39}, NONE),
    ("inclusion", {"position": 39, "size": 41}, NONE),
    ("inclusion", {"position": 41, "size": 41}, NONE),
    ("inclusion", {"position": 0, "size": 0}, NONE),
    ("inclusion", {"position": 2**53 - 2, "size": 2**53 - 1}, NONE),
    ("consistency", {"old_size": 0, "new_size": 40}, SMALL),
    ("consistency", {"old_size": 40, "new_size": 5}, SMALL),
    ("consistency", {"old_size": 5, "new_size": 39}, NONE),
    ("consistency", {"old_size": 41, "new_size": 41}, NONE),
    ("consistency", {"old_size": 0, "new_size": 41}, NONE),
    ("consistency", {"old_size": 1, "new_size": 2**53 - 1}, NONE),
]


async def test_a_proof_ends_at_a_published_size_of_the_book_asked(books: Database) -> None:
    for begun, end in ((0, 5), (5, 40)):
        await note(books, "a", *range(begun, end))
        await publish(books)
    await note(books, "b", *range(8))
    await publish(books)
    await note(books, "a", 40)
    async with books.transaction(SERVICE, read_only=True) as conn:
        for question, asked, refusal in REFUSED:
            prove = getattr(publishing, question)
            with pytest.raises(refusal):
                await prove(conn, book="a", **asked)
        hashes = await store.leaf_hashes(conn, book="a", from_position=0, to_position=40)
        for position in range(40):
            proof = await publishing.inclusion(conn, book="a", position=position, size=40)
            assert merkle.verify_inclusion(
                leaf=hashes[position],
                index=position,
                size=40,
                proof=proof,
                root=merkle.root(hashes),
            )
        assert await publishing.consistency(conn, book="a", old_size=40, new_size=40) == []
        with pytest.raises(publishing.NoSuchHead):  # book b has this many leaves, not this size
            await publishing.consistency(conn, book="b", old_size=5, new_size=5)


# ---- which head witnesses are asked to cosign


async def test_witnesses_are_asked_for_one_head_for_a_quarter_of_a_minute(
    books: Database,
) -> None:
    now = int(datetime.now(UTC).timestamp())
    began = datetime.fromtimestamp(now - now % 15 - 60, UTC)

    async def asked(seconds: float) -> int:
        async with books.transaction(SERVICE, read_only=True) as conn:
            head = await publishing.checkpoint_to_cosign(
                conn, now=began + timedelta(seconds=seconds)
            )
        return head.size

    with pytest.raises(publishing.NoSuchHead):
        await asked(0)
    for number, seconds in enumerate((1, 2, 14, 15, 16, 29.5), start=1):
        await note(books, "a", number)
        await publish(books, now=began + timedelta(seconds=seconds))
    # The first head of all is asked for at once; then, at 15 seconds, the last one until then.
    assert [await asked(seconds) for seconds in (2, 14.9)] == [1, 1]
    assert [await asked(seconds) for seconds in (15, 17, 29.9)] == [4, 4, 4]
    assert [await asked(seconds) for seconds in (30, 44, 3_000)] == [6, 6, 6]
