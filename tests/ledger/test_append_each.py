"""Leaves of several books appended at once stand as if each book's had been appended alone."""

import random
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from api.database import SERVICE, Database, driver_of
from ledger import leaves, store
from ledger import service as ledger
from ledger.errors import Absent, LiandaiError, WrongInput
from ledger.journal import Journal
from ledger.leaves import Leaf
from tests.invariants import assert_invariants
from tests.ledger import test_journal as pure
from tests.ledger.recorded_story import LOG
from tests.ledger.test_journal import made
from tests.ledger.test_pendings import (
    ALFA,
    BOOK,
    any_step,
    append,
    book,
    dated,
    opened,
    snapshot,
)

__all__ = ["book"]

TABLES = {
    "book": "size, accounts, has_limits, open_day",
    "leaf": "position, leaf_id, kind, subject, corrects, value_date, of_leaf",
    "account": "*",
    "entry": "*",
    "pending": "position, leaf_id, resolved_by",
    "pending_line": "*",
    "reversal": "*",
}


async def at_once(database: Database, written: dict[str, list[Leaf]]) -> dict[str, int]:
    """The first positions by book."""
    raws = {name: [leaves.encode(leaf) for leaf in batch] for name, batch in written.items()}
    async with database.transaction(ALFA) as conn:
        return await store.append_each(await driver_of(conn), leaves=raws)


async def rows_of(database: Database, name: str) -> dict[str, list[Any]]:
    """All rows of a book, but for its name and its leaves' bytes."""
    found = {}
    async with database.transaction(SERVICE) as conn:
        for table, columns in TABLES.items():
            rows = await conn.execute(
                text(
                    f"SELECT to_jsonb(x) - 'book_id' AS said FROM "
                    f"(SELECT {columns} FROM ledger.{table} WHERE book_id = :book) x ORDER BY 1"
                ),
                {"book": name},
            )
            found[table] = list(rows.scalars())
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_several_books_at_once_stand_as_each_alone(book: Database, seed: int) -> None:
    """Plain postings, pendings, limits and reversals by chance, in up to five books a call."""
    chance = random.Random(seed)
    names = [f"own-alfa-{letter}" for letter in "abcde"]
    machines = {name: Journal() for name in names}
    for name in names:
        await opened(book, name)
        await opened(book, f"{name}-alone")
    number, stood = 0, dict.fromkeys(names, 0)
    for _ in range(12):
        written: dict[str, list[Leaf]] = {}
        alone: dict[str, list[Leaf]] = {}
        for name in chance.sample(names, chance.randrange(1, 6)):
            is_plain = chance.random() < 0.4
            for _ in range(chance.randrange(1, 4)):
                number += 1
                step = ("pay", 0, chance.randrange(1, 9)) if is_plain else any_step(chance)
                one = dated(made(step, number), book=name)
                try:
                    machines[name].take(one)
                except LiandaiError:
                    continue
                written.setdefault(name, []).append(one)
                twin = dated(made(step, number), book=f"{name}-alone")
                alone.setdefault(f"{name}-alone", []).append(twin)
        if not written:
            continue
        assert await at_once(book, written) == {name: stood[name] for name in written}
        for batch in alone.values():
            await append(book, *batch)
        for name, batch in written.items():
            stood[name] += len(batch)
    for name in names:
        assert await rows_of(book, name) == await rows_of(book, f"{name}-alone"), name
    assert sum(stood.values()) > 20
    await assert_invariants(book, log=LOG)


async def test_what_is_refused_in_one_book_is_recorded_in_none(book: Database) -> None:
    for name in ("own-alfa-a", "own-alfa-b", "own-alfa-c"):
        await opened(book, name)
    await append(book, dated(pure.terms("t", least=0, most=10), book="own-alfa-b"))
    before = await snapshot(book)
    good = [dated(pure.paid("p", 5), book="own-alfa-a")]
    for bad, refusal in (
        (dated(pure.paid("q", 11), book="own-alfa-b"), "LimitExceeded"),
        (dated(pure.void("q", "nothing"), book="own-alfa-b"), "NoSuchPending"),
        (dated(pure.terms("t", least=0, most=9), book="own-alfa-b"), "LeafExists"),
        (dated(pure.paid("q", 5), book="own-alfa-c"), "WrongInput"),
    ):
        with pytest.raises(LiandaiError) as refused:
            await at_once(book, {"own-alfa-a": good, "own-alfa-b": [bad]})
        assert type(refused.value).__name__ == refusal
        assert await snapshot(book) == before
    with pytest.raises(Absent):
        await at_once(book, {"own-alfa-a": good, "own-beta-a": good})
    assert await snapshot(book) == before


async def test_books_out_of_order_or_miscounted_are_refused(book: Database) -> None:
    """So that calls never wait for one another in a circle, and no leaf is lost between books."""
    names = ["own-alfa-a", "own-alfa-b"]
    for name in names:
        await opened(book, name)
    raws = [leaves.encode(dated(pure.paid("p", 5), book=name)) for name in names]
    before = await snapshot(book)
    for books, counts, given in (
        (names[::-1], [1, 1], raws[::-1]),
        ([names[0], names[0]], [1, 1], [raws[0], raws[0]]),
        (names, [1, 1], raws[:1]),
        (names, [1, 0], raws),
        (names, [2, 1], raws),
    ):
        with pytest.raises(WrongInput):
            async with book.transaction(ALFA) as conn, store.refusals():
                await (await driver_of(conn)).fetchval(
                    "SELECT ledger.append_each($1, $2, $3)", books, counts, given
                )
        assert await snapshot(book) == before


# ---- past the program: a member at an SQL prompt


async def refused_with(database: Database, statement: str, *given: Any) -> str | None:
    """The SQLSTATE with which alfa's own statement is refused; None where it is not."""
    try:
        async with database.transaction(ALFA) as conn:
            await (await driver_of(conn)).fetchval(statement, *given)
    except asyncpg.PostgresError as error:
        return error.sqlstate
    return None


def raw(leaf_id: str, *, book: str) -> bytes:
    return leaves.encode(dated(pure.paid(leaf_id, 5), book=book))


async def test_no_count_makes_a_log_shorter_or_leaves_its_length_unknown(book: Database) -> None:
    """A book whose size fell would be appended to no more: its next position is taken."""
    names = ["own-alfa-a", "own-alfa-b"]
    for name in names:
        await opened(book, name)
        await append(book, dated(pure.paid("first", 5), book=name))
    before = await snapshot(book)
    new = raw("p", book="own-alfa-b")
    for books, counts, given in (
        (names, [-1, 1], [new]),
        (names, [0, 1], [new]),
        (names, [None, 1], [new]),
        (names, [1], [new]),
        (["own-alfa-b"], [1, 1], [new, new]),
        (["own-alfa-b"], [-1], []),
        (["own-alfa-b"], [-1], None),
        (["own-alfa-b"], [], []),
        (["own-alfa-b"], None, None),
        (["own-alfa-b"], [1], [None]),
        ([], [], []),
        (None, None, None),
    ):
        said = await refused_with(
            book, "SELECT ledger.append_each($1, $2, $3)", books, counts, given
        )
        assert said == "LD422", (books, counts)
        assert await snapshot(book) == before


async def test_books_in_an_array_of_another_shape_are_refused(book: Database) -> None:
    """Else the books would be taken in one order and their sizes in another."""
    a, b = "own-alfa-a", "own-alfa-b"
    for name, stands in ((a, 3), (b, 1)):
        await opened(book, name)
        await append(book, *(dated(pure.paid(str(n), 5), book=name) for n in range(stands)))
    before = await snapshot(book)
    for books, given in (
        (f"{{{{{b}}},{{{a}}}}}", (raw("p", book=b), raw("p", book=a))),
        (f"{{{{{a},{b}}}}}", (raw("p", book=a), raw("p", book=b))),
        (f"[0:1]={{{a},{b}}}", (raw("p", book=a), raw("p", book=b))),
    ):
        statement = f"SELECT ledger.append_each('{books}'::text[], $1, $2)"
        assert await refused_with(book, statement, [1, 1], list(given)) == "LD422", books
        assert await snapshot(book) == before


async def test_books_stand_in_the_order_of_their_bytes_on_both_sides(book: Database) -> None:
    names = [f"own-alfa-a{rest}" for rest in ("", "-b", ".b", "0", "0-", "_b", "b", "b.1", "b10")]
    for name in names:
        await opened(book, name)
    written = {name: [dated(pure.paid("p", 5), book=name)] for name in names}
    assert await at_once(book, written) == dict.fromkeys(names, 0)
    await assert_invariants(book, log=LOG)


async def test_entries_of_nobody_are_refused(book: Database) -> None:
    """In a joint book too, where no one party's accounts are all there are."""
    async with book.transaction(SERVICE) as conn:
        await ledger.open_book(
            conn, book="fac-x", purpose="facility", lead="alfa", members=(), salt=bytes(32)
        )
    good = raw("p", book="fac-x")
    nobody = good.replace(b'"party":"alfa"', b'"party":""')
    statement = "SELECT ledger.append('fac-x', $1)"
    assert await refused_with(book, statement, [nobody]) == "LD422"
    assert await refused_with(book, statement, [good]) is None
    unnamed = raw("p", book=BOOK).replace(b'"party":"alfa"', b'"party":null')
    assert await refused_with(book, "SELECT ledger.append($1, $2)", BOOK, [unnamed]) == "LD403"
