"""The ledger on a real PostgreSQL: what is posted, what is refused, what can never be changed."""

import secrets
from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import SERVICE, Database, Standing
from ledger import leaves, merkle, notes, publishing, store, store_log
from ledger import service as ledger
from ledger.entries import Account, Entry, debt, fold
from ledger.errors import Absent, WrongInput
from ledger.leaves import Actor, Leaf
from ledger.signatures import KeyInMemory

DAY = date(2024, 3, 1)
BOOK = "fac-test"
ACTOR = Actor(institution="bank-a", user="someone")
SIGNER = KeyInMemory(bytes(range(32)))


@pytest.fixture
async def book(database: Database) -> Database:
    """A database with one open book in which bank-a and bank-b take part."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        for name, purpose in (("top", "top"), ("registry", "registry")):
            await ledger.open_book(
                conn,
                book=name,
                purpose=purpose,
                lead=None,
                members=(),
                salt=secrets.token_bytes(32),
            )
        await ledger.open_book(
            conn,
            book=BOOK,
            purpose="facility",
            lead="bank-a",
            members=("bank-b",),
            salt=secrets.token_bytes(32),
        )
    return database


def lending(number: int, *, amount_minor: int = 500, bank: str = "bank-a") -> Leaf:
    """A bank pays money out and is owed it."""
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
    return Leaf(
        book=BOOK,
        kind="transaction",
        leaf_id=f"lending:{number}",
        subject={"type": "Lent", "number": number},
        entries=entries,
        value_date=DAY,
        booking_date=DAY,
        recorded_at=datetime.now(UTC),
        actor=ACTOR,
        corrects=None,
    )


async def posted(database: Database, *batch: Leaf) -> list[int]:
    async with database.transaction(SERVICE) as conn:
        return await ledger.append(conn, batch)


async def test_postings_are_numbered_without_gaps_and_balances_are_their_fold(
    book: Database,
) -> None:
    batch = [lending(n, amount_minor=100 + n) for n in range(5)]
    assert await posted(book, *batch[:3]) == [0, 1, 2]
    assert await posted(book, *batch[3:]) == [3, 4]
    async with book.transaction(SERVICE) as conn:
        found = await ledger.balances(conn, book=BOOK, wanted={})
        stored = {
            Account(r.party, r.code, r.counterparty, r.ref, r.currency): r.balance_minor
            for r in await store.accounts(conn, book=BOOK)
        }
    expected = fold(leaf.entries for leaf in batch)
    assert {b.account: b.balance_minor for b in found} == expected == stored


async def test_every_entry_carries_its_accounts_running_balance(book: Database) -> None:
    await posted(book, *(lending(n, amount_minor=7 * n + 1) for n in range(4)))
    async with book.transaction(SERVICE) as conn:
        rows = (
            await conn.execute(
                text(
                    "SELECT balance_after_minor = sum(amount_minor) OVER (PARTITION BY account_no "
                    "ORDER BY position, line) AS holds FROM ledger.entry"
                )
            )
        ).all()
    assert rows
    assert all(row.holds for row in rows)


async def test_an_id_is_recorded_once_for_ever_and_the_second_changes_nothing(
    book: Database,
) -> None:
    await posted(book, lending(1))
    with pytest.raises(store.LeafExists):
        await posted(book, lending(2), lending(1))
    async with book.transaction(SERVICE) as conn:
        assert (await ledger.book(conn, book=BOOK)).size == 1


async def test_another_booking_date_than_the_open_day_is_refused(book: Database) -> None:
    for day in (DAY - timedelta(days=1), DAY + timedelta(days=1)):
        with pytest.raises(store.DayClosed):
            await posted(book, replace(lending(1), booking_date=day))


async def test_recorded_at_comes_from_the_server(book: Database) -> None:
    late = replace(lending(1), recorded_at=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(WrongInput):
        await posted(book, late)


UNBALANCED = (
    # why                               entries
    ("one side only", (Entry(Account("bank-a", "cash", "", "", "CNY"), 5),) * 2),
    (
        "a party does not close",
        (
            Entry(Account("bank-a", "cash", "", "", "CNY"), 5),
            Entry(Account("bank-b", "cash", "", "", "CNY"), -5),
        ),
    ),
    (
        "a debt without its mirror",
        (
            Entry(Account("bank-a", "due.x", "bank-b", "", "CNY"), 5),
            Entry(Account("bank-a", "cash", "", "", "CNY"), -5),
        ),
    ),
    (
        "a debt without a counterparty",
        (
            Entry(Account("bank-a", "due.x", "", "", "CNY"), 5),
            Entry(Account("bank-a", "cash", "", "", "CNY"), -5),
        ),
    ),
)


@pytest.mark.parametrize(("why", "entries"), UNBALANCED, ids=[row[0] for row in UNBALANCED])
async def test_the_database_itself_refuses_what_does_not_balance(
    book: Database, why: str, entries: tuple[Entry, ...]
) -> None:
    """Past the pure checks: the statement that writes repeats them."""
    leaf = replace(lending(1), entries=entries)
    with pytest.raises(WrongInput):
        await posted(book, leaf)
    with pytest.raises(WrongInput):
        async with book.transaction(SERVICE) as conn:
            await store.append(conn, book=BOOK, leaves=[leaves.encode(leaf)])


RECORDS = ("leaf", "entry", "salt", "checkpoint", "leaf_hash", "subtree")


@pytest.mark.parametrize("role", ["liandai_app", "liandai_service", "liandai_auditor", "owner"])
@pytest.mark.parametrize("table", RECORDS)
async def test_no_role_updates_or_deletes_a_record(
    book: Database, database_url: str, role: str, table: str
) -> None:
    await posted(book, *(lending(number) for number in range(16)))
    async with book.transaction(SERVICE) as conn:
        await publishing.publish(
            conn, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
        )
    for statement in (
        f"UPDATE ledger.{table} SET book_id = book_id",
        f"DELETE FROM ledger.{table}",
        f"TRUNCATE ledger.{table} CASCADE",
    ):
        with pytest.raises(DBAPIError) as refused:
            await attempt(book, database_url, role, statement)
        assert refused.value.orig is not None
        assert getattr(refused.value.orig, "sqlstate", "") in ("42501", "LD001")


async def attempt(book: Database, database_url: str, role: str, statement: str) -> None:
    if role == "owner":
        from api.database import _owner

        async with _owner(database_url) as conn:
            await conn.execute(text("SET LOCAL ROLE liandai_owner"))
            await conn.execute(text(statement))
        return
    async with book.transaction(Standing(role, "bank-a")) as conn:  # type: ignore[arg-type]
        await conn.execute(text(statement))


async def seen(conn: AsyncConnection, table: str) -> int:
    columns = "book_id" if table in ("ledger.leaf", "ledger.participation") else "*"
    return len((await conn.execute(text(f"SELECT {columns} FROM {table}"))).all())


LEDGER_TABLES = ("book", "leaf", "entry", "account", "participation", "head", "checkpoint")


async def test_a_member_sees_its_own_entries_and_a_stranger_sees_nothing(book: Database) -> None:
    await posted(book, lending(1), lending(2, bank="bank-b"))
    async with book.transaction(Standing("liandai_app", "bank-a")) as conn:
        rows = (await conn.execute(text("SELECT DISTINCT party FROM ledger.entry"))).all()
        assert [row.party for row in rows] == ["bank-a"]
    for stranger in ("bank-c", "", "bank-a' OR '1'='1"):
        async with book.transaction(Standing("liandai_app", stranger)) as conn:
            counts = {table: await seen(conn, f"ledger.{table}") for table in LEDGER_TABLES}
            assert counts == dict.fromkeys(LEDGER_TABLES, 0)
            with pytest.raises(Absent):
                await ledger.append(conn, [lending(3)])


async def test_a_member_never_reads_the_verbatim_bytes(book: Database) -> None:
    await posted(book, lending(1))
    with pytest.raises(DBAPIError) as refused:
        async with book.transaction(Standing("liandai_app", "bank-a")) as conn:
            await conn.execute(text("SELECT bytes FROM ledger.leaf"))
    assert getattr(refused.value.orig, "sqlstate", "") == "42501"


async def test_a_published_leaf_has_an_inclusion_proof_and_heads_only_grow(
    book: Database,
) -> None:
    heads = []
    for number in range(1, 6):
        await posted(book, lending(number))
        async with book.transaction(SERVICE) as conn:
            await publishing.publish(
                conn, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
            )
            heads.append(await publishing.checkpoint(conn, book=BOOK))
    key = notes.VerifierKey("liandai.test", notes.ED25519, SIGNER.public)
    async with book.transaction(SERVICE) as conn:
        rows = await store.leaf_bytes(conn, book=BOOK, from_position=0, to_position=5)
        for old in heads:
            opened = notes.open_checkpoint(
                old.note, origin=f"liandai.test/{BOOK}", log=key, witnesses=[]
            )
            assert opened.checkpoint.root == old.root
            assert merkle.verify_consistency(
                old_size=old.size,
                old_root=old.root,
                new_size=5,
                new_root=heads[-1].root,
                proof=await publishing.consistency(conn, book=BOOK, old_size=old.size, new_size=5),
            )
        for row in rows:
            assert merkle.verify_inclusion(
                leaf=row.hash,
                index=row.position,
                size=5,
                proof=await publishing.inclusion(conn, book=BOOK, position=row.position, size=5),
                root=heads[-1].root,
            )


async def test_a_leaf_altered_before_publication_is_never_published(
    book: Database, database_url: str
) -> None:
    await posted(book, lending(1), lending(2), lending(3))
    from api.database import _owner

    async with _owner(database_url) as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text(
                "UPDATE ledger.leaf SET bytes = set_byte(bytes, 20, get_byte(bytes, 20) # 1) "
                "WHERE book_id = :book AND position = 1"
            ),
            {"book": BOOK},
        )
    with pytest.raises(publishing.LogDamaged) as damage:
        async with book.transaction(SERVICE) as conn:
            await publishing.publish(
                conn, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
            )
    assert damage.value.position == 1


async def test_a_closed_day_never_changes_and_balances_as_of_stay(book: Database) -> None:
    await posted(book, lending(1, amount_minor=100))
    async with book.transaction(SERVICE) as conn:
        next_day = DAY + timedelta(days=3)
        sealed = await ledger.close_day(
            conn, book=BOOK, next_day=next_day, recorded_at=datetime.now(UTC)
        )
    assert sealed == 1
    with pytest.raises(store.DayClosed):
        await posted(book, lending(2))
    await posted(book, replace(lending(2, amount_minor=50), booking_date=next_day))
    async with book.transaction(SERVICE) as conn:
        size = await ledger.size_at_close(conn, book=BOOK, day=DAY)
        then = await ledger.balances(conn, book=BOOK, wanted={"known_size": size, "code": "cash"})
        now = await ledger.balances(conn, book=BOOK, wanted={"code": "cash", "value_until": DAY})
    assert {b.account.party: b.balance_minor for b in then} == {"bank-a": -100, "firm": 100}
    assert {b.account.party: b.balance_minor for b in now} == {"bank-a": -150, "firm": 150}


async def test_every_subtree_is_known_though_only_every_fourth_level_is_kept(
    book: Database,
) -> None:
    for begun, end in ((0, 3), (3, 16), (16, 17), (17, 300)):
        await posted(book, *(lending(number) for number in range(begun, end)))
        async with book.transaction(SERVICE) as conn:
            await publishing.publish(
                conn, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
            )
    async with book.transaction(SERVICE) as conn:
        hashes = await store.leaf_hashes(conn, book=BOOK, from_position=0, to_position=300)
        node = merkle.lookup_in(hashes[:256])
        wanted = [(level, nth) for level in range(9) for nth in range(256 >> level)]
        found = await store_log.subtrees(conn, book=BOOK, wanted=wanted)
        kept = await conn.scalar(
            text("SELECT count(*) FROM ledger.subtree WHERE book_id = :b"), {"b": BOOK}
        )
        assert found == {(level, nth): node(level, nth) for level, nth in wanted}
        assert kept == 300 // 16 + 300 // 256
        root = merkle.root(hashes)
        for position in (0, 15, 16, 255, 256, 299):
            proof = await publishing.inclusion(conn, book=BOOK, position=position, size=300)
            assert merkle.verify_inclusion(
                leaf=hashes[position], index=position, size=300, proof=proof, root=root
            )


async def test_a_book_that_grew_at_once_is_published_in_portions_and_keeps_no_other_waiting(
    book: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PORTION", 4)
    await posted(book, *(lending(number) for number in range(9)))
    async with book.transaction(SERVICE) as conn:
        held = await ledger.hold(conn, book="registry")
        note = ledger.Item(kind="record", subject={"type": "N"}, entries=(), value_date=DAY)
        await ledger.record(
            conn, held=held, items=[note], command="n", actor=ACTOR, now=datetime.now(UTC)
        )
    published = []
    while not published or published[-1]:
        async with book.transaction(SERVICE) as conn:
            heads = await publishing.publish(
                conn, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
            )
        published.append([(head.book, head.size) for head in heads])
    assert published == [
        [("registry", 1), (BOOK, 3), ("top", 2)],
        [(BOOK, 7), ("top", 3)],
        [(BOOK, 9), ("top", 4)],
        [],
    ]
