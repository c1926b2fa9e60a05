"""Whoever alters a recorded past is found out: where, and at the next head at the latest.

A superuser of the database past every trigger, at random places of books with everything in them.
An audit of the database finds it, at the first wrong index; where the log's own key has signed the
forgery anew an audit can find nothing, and a witness that remembers one head does.
"""

import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from random import Random

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing
from api.database import SERVICE, Database
from ledger import merkle, notes, publishing, store_log, witness
from ledger import service as ledger
from ledger.holding import Holding, look
from ledger.log_stands import log_stands
from ledger.publishing import TOP
from ledger.service import Item
from tests.campaign import forging
from tests.campaign.cells import NOT_IN_THE_LOG, Column, alter, columns
from tests.campaign.forging import BY_AUDIT, Forge, Forger, Forgery
from tests.campaign.leafing import ACTOR
from tests.campaign.recorded import onlooker, prepare, record
from tests.campaign.size import first_seed, size, tell
from tests.conftest import _named, _run
from tests.invariants import fresh_guards
from tests.ledger.recorded_story import LOG, NAME, publish

INDEX = re.compile(r"(?P<book>\S+) (?P<index>\d+): (?P<what>.*)", re.DOTALL)
UP_TO = re.compile(r"this leaf, or one up to (\d+), is not the one under the checkpoint of size")
GONE = re.compile(r"the head of (?P<book>\S+) at (?P<size>\d+) is no published checkpoint")


class World(msgspec.Struct, frozen=True):
    """A database with books all of which is published, and the heads that a witness was shown.

    heads  by book, (size, root) in the order they were published
    """

    database: Database
    superuser: AsyncEngine
    name: str
    heads: dict[str, list[tuple[int, bytes]]]


@pytest.fixture(scope="module")
async def world(server_url: str, template: str) -> AsyncIterator[World]:
    name = f"liandai_test_{uuid.uuid4().hex[:12]}"
    await _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    url = _named(server_url, name)
    database = Database(url, pool_size=2, statement_timeout_ms=60_000)
    await prepare(database)
    seen_by = onlooker(database)
    for seed in range(first_seed(), first_seed() + 6):
        await record(database, seen_by, seed=seed)
    await seen_by.dispose()
    dice = Random(first_seed())
    for _ in range(3):
        await grow(database, dice)
    superuser = create_async_engine(url, poolclass=NullPool)
    yield World(database, superuser, name, await heads_of(superuser))
    await superuser.dispose()
    await database.close()
    await _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def grow(database: Database, dice: Random) -> None:
    """Every book has a few leaves more, and a head over them."""
    async with database.transaction(SERVICE) as conn:
        names = [one.book for one in await ledger.books(conn) if one.book.startswith(("f", "own"))]
        for name in names:
            held = await ledger.hold(conn, book=name)
            note = Item(
                kind="record", subject={"type": "Noted"}, entries=(), value_date=held.open_day
            )
            await ledger.record(
                conn,
                held=held,
                items=[note] * dice.randrange(1, 5),
                command=uuid.uuid4().hex,
                actor=ACTOR,
                now=datetime.now(UTC),
            )
    await publish(database)


async def heads_of(superuser: AsyncEngine) -> dict[str, list[tuple[int, bytes]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    async with superuser.connect() as conn:
        query = "SELECT book_id, size, root FROM ledger.checkpoint ORDER BY book_id, size"
        for book, size_, root in (await conn.execute(text(query))).all():
            found.setdefault(book, []).append((size_, root))
    return found


def places(world: World, dice: Random) -> str:
    return dice.choice([book for book in world.heads if book != TOP])


async def whole_audit(conn: AsyncConnection, guards: Sequence[str]) -> list[Holding]:
    return await auditing.holdings(conn, log=LOG, on_record=str(LOG), guards=guards)


# ---- found by an audit of the database


def check_named(holding: Holding, forgery: Forgery, sizes: Sequence[int]) -> None:
    """The first offence is at the first wrong index, or between the two heads around it."""
    assert not holding.holds, f"not found: {forgery}"
    match = INDEX.fullmatch(holding.broken[0])
    assert match is not None, holding.broken
    gone = GONE.match(match["what"])
    if gone is not None:
        assert match["book"] == TOP
        assert gone["book"] == forgery.book
        assert int(gone["size"]) == min(one for one in sizes if one > forgery.first)
        return
    assert match["book"] == forgery.book, holding.broken
    between = UP_TO.match(match["what"])
    if between is None:
        assert int(match["index"]) == forgery.first, (forgery, holding.broken[0])
        return
    first, last = int(match["index"]), int(between[1])
    assert first <= forgery.first <= last, (forgery, holding.broken[0])
    assert [one for one in sizes if first < one <= last] == [], "more than one checkpoint apart"


async def test_every_forgery_in_the_database_is_named_at_its_first_wrong_index(
    world: World,
) -> None:
    dice, found = Random(first_seed()), Counter[str]()
    check = log_stands(log=LOG, on_record=str(LOG))
    for number in range(size(test=60, full=4_000)):
        forge: Forge = BY_AUDIT[number % len(BY_AUDIT)]
        book = places(world, dice)
        sizes = [one for one, _ in world.heads[book]]
        async with world.superuser.connect() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            forgery = await forge(Forger(conn, dice, book=book, sizes=sizes))
            check_named(await look(conn, check), forgery, sizes)
            await conn.rollback()
        found[forge.__name__] += 1
    async with world.superuser.connect() as conn:
        assert (await look(conn, check)).holds
    tell("forged by a superuser, found by an audit at the first wrong index", dict(found))


async def test_a_value_altered_in_any_column_of_the_ledger_is_found_by_an_audit(
    world: World,
) -> None:
    """But for those that `cells` names with the reason."""
    dice, found = Random(first_seed()), Counter[str]()
    guards = await fresh_guards(world.database)
    async with world.superuser.connect() as conn:
        every = await columns(conn)
    missed = list[Column]()
    for column in dice.sample(every, min(len(every), size(test=12, full=1_000))):
        for _ in range(size(test=1, full=10)):
            async with world.superuser.connect() as conn:
                await conn.execute(text("SET LOCAL session_replication_role = replica"))
                try:
                    was_altered = await alter(conn, dice, column)
                except IntegrityError:
                    found["refused by a constraint"] += 1
                    continue
                if not was_altered:
                    continue
                await conn.execute(text("SET LOCAL session_replication_role = origin"))
                broken = [one.name for one in await whole_audit(conn, guards) if not one.holds]
                if (column.table, column.name) in NOT_IN_THE_LOG:
                    found["not in a log"] += 1
                elif broken:
                    found["found"] += 1
                else:
                    missed.append(column)
                await conn.rollback()
    tell(f"values altered in {len(every)} columns", dict(found))
    assert missed == []


# ---- found by a witness alone


def refuses(seen: tuple[int, bytes], shown: publishing.Witnessed, proof: list[bytes]) -> bool:
    """Whether a witness that remembers a head says that the log has misbehaved."""
    origin = notes.origin(installation=NAME, book=shown.book)
    try:
        witness.follow(
            witness.Seen(size=seen[0], root=seen[1], note=b""),
            note=shown.note,
            proof=proof,
            origin=origin,
            log=LOG,
        )
    except witness.Misbehaved:
        return True
    return False


async def shown_to(
    conn: AsyncConnection, *, book: str, seen: tuple[int, bytes]
) -> tuple[publishing.Witnessed, list[bytes]]:
    """The head and the proof that the service gives to a witness that remembers another head."""
    shown = await publishing.checkpoint(conn, book=book)
    if seen[0] > shown.size:
        return shown, []
    return shown, await publishing.consistency(
        conn, book=book, old_size=seen[0], new_size=shown.size
    )


async def test_what_the_logs_own_key_has_signed_anew_is_found_by_a_witness_within_one_head(
    world: World,
) -> None:
    dice, found = Random(first_seed()), Counter[str]()
    guards = await fresh_guards(world.database)
    for number in range(size(test=8, full=400)):
        book = places(world, dice)
        heads = world.heads[book]
        sizes = [one for one, _ in heads]
        async with world.superuser.connect() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            forger = Forger(conn, dice, book=book, sizes=sizes)
            forgery = await forging.rewritten_and_signed(forger)
            if number < 4:  # so much for looking at the database alone
                await conn.execute(text("SET LOCAL session_replication_role = origin"))
                broken = {
                    one.name: one.broken for one in await whole_audit(conn, guards) if not one.holds
                }
                assert broken == {}
                await conn.execute(text("RESET ROLE"))
            for seen in heads:
                if seen[0] <= forgery.first:  # the forgery says nothing about what it saw
                    assert not refuses(seen, *await shown_to(conn, book=book, seen=seen))
                    found["heads before the forgery, still cosigned"] += 1
                else:
                    assert refuses(seen, *await shown_to(conn, book=book, seen=seen)), forgery
                    found["heads after it, refused"] += 1
            assert refuses(heads[-1], *await shown_to(conn, book=book, seen=heads[-1]))
            assert refuses(
                world.heads[TOP][-1], *await shown_to(conn, book=TOP, seen=world.heads[TOP][-1])
            ), "one witness of the top log is enough for all books"
            # which heads still stand tells where it began, to within one checkpoint
            forged = [(one.size, one.root) for one in await store_log.checkpoints(conn, book=book)]
            agree = [one for one, other in zip(heads, forged, strict=True) if one == other]
            first = agree[-1][0] if agree else 0
            assert first <= forgery.first < sizes[len(agree)]
            await two_views(conn, world, book, forgery, found)
            await conn.rollback()
        found["rewritten and signed again"] += 1
    print(
        f"\nseed {first_seed()}: signed again with the log's key, found by witnesses: {dict(found)}"
    )


async def two_views(
    conn: AsyncConnection, world: World, book: str, forgery: Forgery, found: Counter[str]
) -> None:
    """One witness was shown the true tree, another the forged one, each with a valid signature.

    Whatever proof the operator can make, from either tree, neither takes over the other's head.
    """
    true = merkle.lookup_in(await true_hashes(world, book))
    forged_raws = await conn.execute(
        text("SELECT hash FROM ledger.leaf WHERE book_id = :book ORDER BY position"),
        {"book": book},
    )
    forged = merkle.lookup_in(list(forged_raws.scalars()))
    theirs = [
        (one.size, one.root)
        for one in await store_log.checkpoints(conn, book=book)
        if one.size > forgery.first
    ]
    ours = [one for one in world.heads[book] if one[0] > forgery.first]
    for one in ours:
        for other in theirs:
            (old_size, old_root), (new_size, new_root) = sorted((one, other))
            for tree in (true, forged):
                proof = merkle.consistency_proof(old_size=old_size, new_size=new_size, node=tree)
                assert not merkle.extends(
                    old_size=old_size,
                    old_root=old_root,
                    new_size=new_size,
                    new_root=new_root,
                    proof=proof,
                )
            found["pairs of views that cannot be joined"] += 1


async def true_hashes(world: World, book: str) -> list[bytes]:
    async with world.superuser.connect() as conn:
        query = "SELECT hash FROM ledger.leaf WHERE book_id = :book ORDER BY position"
        return list((await conn.execute(text(query), {"book": book})).scalars())


async def test_an_old_backup_is_refused_as_it_is_and_whatever_is_posted_on_it(
    world: World, server_url: str
) -> None:
    dice, found = Random(first_seed()), Counter[str]()
    guards = await fresh_guards(world.database)
    for _ in range(size(test=1, full=30)):
        backup = f"liandai_test_{uuid.uuid4().hex[:12]}"
        await world.database._engine.dispose()
        await _run(server_url, f'CREATE DATABASE "{backup}" TEMPLATE "{world.name}"')
        await grow(world.database, dice)
        remembered = {book: heads[-1] for book, heads in (await heads_of(world.superuser)).items()}
        restored = Database(_named(server_url, backup), pool_size=2, statement_timeout_ms=60_000)
        try:
            async with restored._engine.connect() as conn:
                await conn.execute(text("RESET ROLE"))
                assert all(one.holds for one in await whole_audit(conn, guards))
            async with restored.transaction(SERVICE) as conn:
                for book, seen in remembered.items():
                    assert refuses(seen, *await shown_to(conn, book=book, seen=seen))
                    found["older heads refused"] += 1
            behind = dict(remembered)
            while behind:
                await grow(restored, dice)
                async with restored.transaction(SERVICE) as conn:
                    for book, seen in list(behind.items()):
                        shown, proof = await shown_to(conn, book=book, seen=seen)
                        assert refuses(seen, shown, proof)
                        if shown.size >= seen[0]:
                            found["grown again past the remembered head, refused"] += 1
                            del behind[book]
        finally:
            await restored.close()
            await _run(server_url, f'DROP DATABASE IF EXISTS "{backup}" WITH (FORCE)')
    tell("old backups restored, refused by witnesses", dict(found))
