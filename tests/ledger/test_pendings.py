"""Pendings, limits and reversals on a real PostgreSQL: the database refuses as the machine does."""

import asyncio
import random
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from api.database import SERVICE, Database, Standing
from ledger import leaves, store, store_pendings
from ledger import service as ledger
from ledger.entries import Account
from ledger.errors import LiandaiError, NotAllowed, Refused, WrongInput
from ledger.journal import Journal, PendingExpired
from ledger.leaves import Leaf
from tests.campaign.size import size
from tests.invariants import assert_invariants
from tests.ledger import test_journal as pure
from tests.ledger.recorded_story import LOG
from tests.ledger.test_journal import CASH, OTHER, REFUSED, Step, made

DAY = date(2024, 3, 1)
BOOK = "own-alfa-x"
ALFA = Standing("liandai_app", "alfa")


@pytest.fixture
async def book(database: Database) -> Database:
    """A database with an open house book of alfa's."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        for name in ("top", "registry"):
            await ledger.open_book(
                conn, book=name, purpose=name, lead=None, members=(), salt=secrets.token_bytes(32)
            )
    await opened(database, BOOK)
    return database


async def opened(database: Database, name: str) -> None:
    async with database.transaction(ALFA) as conn:
        await ledger.open_book(
            conn, book=name, purpose="house", lead="alfa", members=(), salt=secrets.token_bytes(32)
        )


def dated(leaf: Leaf, *, book: str = BOOK) -> Leaf:
    """The pure tests' leaf at the server's clock, its times as far apart as they were."""
    later = datetime.now(UTC) - pure.NOW
    end = None if leaf.expires_at is None else leaf.expires_at + later
    return msgspec.structs.replace(
        leaf, book=book, recorded_at=leaf.recorded_at + later, expires_at=end
    )


async def append(database: Database, *batch: Leaf, standing: Standing = ALFA) -> None:
    async with database.transaction(standing) as conn:
        await ledger.append(conn, batch)


async def standing_of(database: Database, account: Account, *, book: str = BOOK) -> tuple[int, ...]:
    async with database.transaction(SERVICE) as conn:
        row = (
            await conn.execute(
                text(
                    "SELECT balance_minor, pending_debit_minor, pending_credit_minor "
                    "FROM ledger.account WHERE book_id = :book AND code = :code"
                ),
                {"book": book, "code": account.code},
            )
        ).one_or_none()
    return (0, 0, 0) if row is None else tuple(row)


async def snapshot(database: Database) -> dict[str, list[Any]]:
    """All rows of the ledger that a leaf could have touched."""
    tables = ("book", "leaf", "account", "entry", "pending", "pending_line", "reversal")
    async with database.transaction(SERVICE) as conn:
        return {
            table: [
                tuple(row)
                for row in await conn.execute(text(f"SELECT * FROM ledger.{table} ORDER BY 1, 2"))
            ]
            for table in tables
        }


# ---- what the machine refuses the database refuses, under the same name


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
async def test_the_database_refuses_what_the_machine_refuses_and_nothing_changes(
    book: Database, together: bool
) -> None:
    for number, (why, stands, then, refusal) in enumerate(REFUSED):
        name = f"own-alfa-{number}"
        await opened(book, name)
        given_ = [dated(leaf, book=name) for leaf in stands]
        last = dated(then, book=name)
        if not together:
            for leaf in given_:
                await append(book, leaf)
            given_ = []
        before = await snapshot(book)
        with pytest.raises(refusal) as refused:
            await append(book, *given_, last)
        assert await snapshot(book) == before, why
        assert isinstance(refused.value, Refused)
        assert refused.value.fields["leaf"] == last.leaf_id, why
        machine = pure.after(*stands)
        with pytest.raises(refusal) as alike:
            machine.take(then)
        said = {name: value for name, value in refused.value.fields.items() if name != "leaf"}
        assert said == msgspec.to_builtins(alike.value.fields), why
    await assert_invariants(book, log=LOG)


async def test_the_database_itself_refuses_misshapen_leaves(book: Database) -> None:
    """Past the pure checks: the statement that writes repeats them."""
    good = dated(pure.pending("p", 5))
    await append(book, good)
    for wrong in (
        pure.leaf("pending", "q"),
        pure.void("v", "p", entries=pure.moved(1)),
        pure.leaf("posting", "x", entries=pure.moved(1)),
        pure.leaf("pending", "q", entries=pure.moved(1), of="p"),
        pure.pending("q", 1, lasts=-1),
        pure.void("v", "p", reason="expired"),
    ):
        with pytest.raises(WrongInput):
            async with book.transaction(ALFA) as conn:
                await store.append(conn, book=BOOK, leaves=[leaves.encode(dated(wrong))])
    old = leaves.encode(dated(pure.paid("t", 5)))
    for raw in (
        old.replace(b'"kind":"transaction"', b'"kind":"pending"'),
        leaves.encode(dated(pure.pending("r", 5))).replace(b'"v":2', b'"v":1'),
        old.replace(b'"v":1', b'"v":3'),
    ):
        with pytest.raises(WrongInput):
            async with book.transaction(ALFA) as conn:
                await store.append(conn, book=BOOK, leaves=[raw])


async def test_only_the_service_voids_a_pending_as_expired_and_once_it_is(book: Database) -> None:
    await append(book, dated(pure.pending("p", 5, lasts=60)))
    early = dated(pure.void("v", "p", reason="expired"))
    late = msgspec.structs.replace(early, recorded_at=early.recorded_at + timedelta(seconds=61))
    for leaf, standing in ((early, SERVICE), (late, ALFA)):
        with pytest.raises(WrongInput):
            await append(book, leaf, standing=standing)
    await append(book, late, standing=SERVICE)
    assert await standing_of(book, CASH) == (0, 0, 0)


@pytest.mark.parametrize("resolves", ["posting", "void"])
async def test_what_waits_for_the_book_past_the_end_of_a_pending_is_refused(
    book: Database, resolves: str
) -> None:
    """Its time was taken before the wait, as every time is; the database looks again."""
    await append(book, dated(pure.pending("p", 5, lasts=1)))
    made = pure.posting("x", "p", 5) if resolves == "posting" else pure.void("x", "p")
    async with book.transaction(SERVICE) as conn:
        await ledger.hold(conn, book=BOOK)
        waiting = asyncio.create_task(append(book, dated(made)))
        await asyncio.sleep(1.1)
    with pytest.raises(PendingExpired) as refused:
        await waiting
    assert (refused.value.fields["leaf"], refused.value.fields["pending"]) == ("x", "p")
    assert await standing_of(book, CASH) == (0, 5, 0)
    await assert_invariants(book, log=LOG)


async def test_a_house_books_terms_are_about_its_owners_accounts(book: Database) -> None:
    foreign = Account("beta", "cash", "", "", "CNY")
    with pytest.raises(NotAllowed):
        await append(book, dated(pure.terms("a", most=5, account=foreign)))


# ---- what stands


async def test_a_pending_is_in_no_balance_no_entry_and_no_day_seal(book: Database) -> None:
    await append(book, dated(pure.paid("t", 10)), dated(pure.pending("p", 7)))
    await append(book, dated(pure.leaf("pending", "q", entries=pure.moved(4, to=pure.THIRD))))
    assert await standing_of(book, CASH) == (10, 7, 0)
    assert await standing_of(book, OTHER) == (-10, 0, 11)
    async with book.transaction(SERVICE) as conn:
        found = await ledger.balances(conn, book=BOOK, wanted={})
        assert {one.account: one.balance_minor for one in found} == {CASH: 10, OTHER: -10}
        touched = {row.code for row in await store.accounts(conn, book=BOOK)}
        assert touched == {"cash", "loan"}, "what was only pending is in no trial balance"
        await ledger.close_day(
            conn, book=BOOK, next_day=DAY + timedelta(3), recorded_at=datetime.now(UTC)
        )
    await assert_invariants(book, log=LOG)


async def test_a_pending_is_posted_on_a_later_day_than_it_was_made(book: Database) -> None:
    await append(book, dated(pure.pending("p", 7)))
    following = DAY + timedelta(3)
    async with book.transaction(SERVICE) as conn:
        await ledger.close_day(conn, book=BOOK, next_day=following, recorded_at=datetime.now(UTC))
    posting = msgspec.structs.replace(dated(pure.posting("x", "p", 5)), booking_date=following)
    await append(book, posting)
    assert await standing_of(book, CASH) == (5, 0, 0)
    await assert_invariants(book, log=LOG)


async def test_plain_postings_on_a_limited_account_are_judged_one_by_one(book: Database) -> None:
    """Up and down within one statement: the sum is allowed, the way there is not."""
    await append(book, dated(pure.terms("a", most=5, least=-5)))
    with pytest.raises(LiandaiError):
        await append(book, dated(pure.paid("t", 9)), dated(pure.paid("u", -9)))
    await append(book, dated(pure.paid("t", 5)), dated(pure.paid("u", -9)))
    assert await standing_of(book, CASH) == (-4, 0, 0)
    await assert_invariants(book, log=LOG)


async def test_one_batch_may_resolve_and_reverse_what_it_made(book: Database) -> None:
    batch = [dated(leaf) for leaf in pure.ONE_OF_EACH]
    await append(book, *batch)
    assert await standing_of(book, CASH) == (0, 0, 0)
    await assert_invariants(book, log=LOG)


async def test_nobody_changes_or_resolves_a_pending_by_hand(
    book: Database, database_url: str
) -> None:
    from api.database import _owner

    await append(book, dated(pure.pending("p", 5)), dated(pure.pending("q", 5)))
    await append(book, dated(pure.void("v", "p")))
    for statement in (
        "UPDATE ledger.pending SET resolved_by = NULL WHERE leaf_id = 'p'",
        "UPDATE ledger.pending SET resolved_by = 9 WHERE leaf_id = 'p'",
        "UPDATE ledger.pending SET expires_at = now() WHERE leaf_id = 'q'",
        "UPDATE ledger.pending_line SET amount_minor = 1",
        "DELETE FROM ledger.pending",
        "TRUNCATE ledger.reversal",
    ):
        with pytest.raises(Exception, match=r"forbidden|resolved once"):
            async with _owner(database_url) as conn:
                await conn.execute(text(statement))


# ---- leaving a book in which something is pending

JOINT = "joint"


@pytest.fixture
async def joint(book: Database) -> Database:
    """A book of alfa's in which beta takes part."""
    async with book.transaction(SERVICE) as conn:
        await ledger.open_book(
            conn,
            book=JOINT,
            purpose="negotiation",
            lead="alfa",
            members=("beta",),
            salt=secrets.token_bytes(32),
        )
    return book


async def dismissed(database: Database) -> int | None:
    """Where beta's part in the book ended, by alfa's word."""
    async with database.transaction(ALFA) as conn:
        return await store.dismiss(conn, book=JOINT, party="beta")


async def test_nobody_leaves_a_book_while_something_of_it_is_pending(joint: Database) -> None:
    cash, other = (Account("beta", code, "", "", "CNY") for code in ("cash", "loan"))
    held = pure.leaf("pending", "p", entries=pure.moved(5, to=cash, by=other))
    await append(joint, dated(held, book=JOINT))
    with pytest.raises(NotAllowed):
        await dismissed(joint)
    await append(joint, dated(pure.void("v", "p"), book=JOINT))
    assert await dismissed(joint) == 2


async def test_who_left_a_book_is_not_told_what_resolved_a_pending_later(joint: Database) -> None:
    async def asked(query: str, party: str) -> Any:
        async with joint.transaction(Standing("liandai_app", party)) as conn:
            return (await conn.execute(text(query))).scalar()

    async def standing(party: str) -> list[str]:
        async with joint.transaction(Standing("liandai_app", party)) as conn:
            rows = await store_pendings.standing(conn, book=JOINT, after=-1, limit=10)
            return [row.leaf_id for row in rows]

    async def standing_at(party: str, size: int) -> list[str]:
        async with joint.transaction(Standing("liandai_app", party)) as conn:
            rows = await store_pendings.standing_at(conn, book=JOINT, size=size, after=-1, limit=10)
            return [row.leaf_id for row in rows]

    await append(joint, dated(pure.pending("p", 5), book=JOINT))
    await append(joint, dated(pure.pending("q", 5), book=JOINT))
    await append(joint, dated(pure.void("v", "q"), book=JOINT))
    assert await dismissed(joint) == 3
    await append(joint, dated(pure.void("w", "p"), book=JOINT))
    by = f"SELECT ledger.resolved_by('{JOINT}', {{}})"
    assert [await asked(by.format(at), "beta") for at in (0, 1)] == [None, 2]
    assert [await asked(by.format(at), "alfa") for at in (0, 1)] == [3, 2]
    assert [await asked(by.format(at), "gamma") for at in (0, 1)] == [None, None]
    assert (await standing("beta"), await standing("alfa")) == (["p"], [])
    assert await standing("gamma") == []
    stood = {
        "alfa": [[], ["p"], ["p", "q"], ["p"], []],
        "beta": [[], ["p"], ["p", "q"], ["p"], ["p"]],
        "gamma": [[]] * 5,
    }
    for party, expected in stood.items():
        assert [await standing_at(party, size) for size in range(5)] == expected, party
    for party in ("alfa", "beta"):
        with pytest.raises(Exception, match="permission denied"):
            await asked("SELECT resolved_by FROM ledger.pending", party)


# ---- any order of things: the database and the pure machine side by side


RUNS = size(test=12, full=200)
"""How many sequences of 30 steps; `make campaign` takes more."""


async def test_whatever_is_asked_the_database_stands_as_the_machine(book: Database) -> None:
    for run in range(RUNS):
        chance, name, machine = random.Random(run), f"own-alfa-s{run}", Journal()
        await opened(book, name)
        for number in range(30):
            one = dated(made(any_step(chance), number), book=name)
            try:
                machine.take(one)
            except LiandaiError as error:
                with pytest.raises(type(error)):
                    await append(book, one)
                continue
            await append(book, one)
        for account in (CASH, OTHER):
            assert await standing_of(book, account, book=name) == machine.standing(account), run
    await assert_invariants(book, log=LOG)


def any_step(chance: random.Random) -> Step:
    what = chance.choice(("pay", "reserve", "reserve", "post", "void", "reverse", "limit"))
    return what, chance.randint(0, 3), chance.choice([n for n in range(-9, 10) if n])


# ---- the largest amount there is

MOST = 2**53 - 1


async def test_no_account_stands_beyond_the_largest_amount_what_is_pending_counted(
    book: Database,
) -> None:
    """The day before, on, and after; a balance beyond it could not be proved to anybody."""
    await append(book, dated(pure.paid("t", MOST - 5)), dated(pure.pending("p", 5)))
    before = await snapshot(book)
    for one in (pure.paid("u", 1), pure.pending("q", 1), pure.paid("w", MOST)):
        with pytest.raises(store.OutOfRange):
            await append(book, dated(one))
    assert await snapshot(book) == before
    await append(book, dated(pure.posting("x", "p", 5)), dated(pure.paid("y", -MOST)))
    await append(book, dated(pure.paid("z", -MOST)))
    assert await standing_of(book, CASH) == (-MOST, 0, 0)
    with pytest.raises(store.OutOfRange):
        await append(book, dated(pure.paid("v", -1)))
    await assert_invariants(book, log=LOG)


@pytest.mark.parametrize("kind", ["transaction", "pending"])
async def test_sums_that_no_column_holds_are_refused_by_the_same_name(
    book: Database, kind: str
) -> None:
    entries = pure.moved(MOST) * 999
    one = entries[::2] + entries[1::2]
    with pytest.raises(store.OutOfRange):
        await append(book, *(dated(pure.leaf(kind, f"n{n}", entries=one)) for n in range(2)))
