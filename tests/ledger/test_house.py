"""House books: one party's own, by the pure rules, by the service, and by the database itself."""

import secrets
from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from api.database import NOBODY, SERVICE, Database, Standing, driver_of
from ledger import house, leaves, merkle, publishing, store
from ledger import service as ledger
from ledger.entries import Account, Entry, debt
from ledger.errors import Absent, NotAllowed, WrongInput
from ledger.house import NotAHouseBook, Posting, PostOwn
from ledger.leaves import Actor, Leaf
from ledger.signatures import KeyInMemory

DAY = date(2024, 3, 1)
ALFA, BETA = Standing("liandai_app", "alfa"), Standing("liandai_app", "beta")
BOOK, OTHER = "own-alfa-one", "own-alfa-two"
SIGNER = KeyInMemory(bytes(range(32)))


def entries(amount_minor: int = 5, *, party: str = "alfa") -> tuple[Entry, ...]:
    return (
        Entry(Account(party, "cash", "", "", "CNY"), amount_minor),
        Entry(Account(party, "suspense", "", "n1", "CNY"), -amount_minor),
    )


def posting(amount_minor: int = 5) -> Posting:
    return Posting(value_date=DAY, reference="2024/03-01.1", entries=entries(amount_minor))


def asked(*postings: Posting, book: str = BOOK, command: str = "alfa:first", **how) -> PostOwn:
    return PostOwn(
        book=book,
        postings=postings or (posting(),),
        bulk=how.pop("bulk", False),
        command=command,
        actor=Actor(institution=how.pop("institution", "alfa"), user="someone"),
        now=datetime.now(UTC),
    )


# ---- the pure rules

FOREIGN = (
    # why                                     what is asked                            refusal
    ("a facility's book", asked(book="fac-1"), NotAHouseBook),
    ("a negotiation's book", asked(book="neg-1"), NotAHouseBook),
    ("the registry", asked(book="registry"), NotAHouseBook),
    (
        "another party's account",
        asked(replace(posting(), entries=entries(party="beta"))),
        NotAllowed,
    ),
    (
        "another party's on one side",
        asked(replace(posting(), entries=(entries()[0], entries(party="beta")[1]))),
        NotAllowed,
    ),
)


@pytest.mark.parametrize(("why", "command", "refusal"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_nobody_posts_outside_its_own_books_and_accounts(
    why: str, command: PostOwn, refusal: type[NotAllowed]
) -> None:
    with pytest.raises(refusal):
        house.check_own(command)


OWED = debt(code="due.cash", creditor="alfa", debtor="beta", ref="", currency="CNY", amount_minor=5)
MALFORMED = (
    # why                   posting                                             place
    ("a debt", replace(posting(), entries=(entries()[1], OWED[0])), "$.entries[1].code"),
    ("a sentence", replace(posting(), reference="for Mr Wang"), "$.reference"),
    ("no reference", replace(posting(), reference=""), "$.reference"),
    ("a long reference", replace(posting(), reference="1" * 81), "$.reference"),
    ("one side only", replace(posting(), entries=entries()[:1]), "$.entries"),
    ("a sum other than 0", replace(posting(), entries=entries() + entries()[:1]), "$.entries"),
    ("an amount of 0", replace(posting(), entries=entries(0)), "$.entries[0].amount_minor"),
)


@pytest.mark.parametrize(("why", "wrong", "place"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_a_malformed_posting_is_named_by_its_place(why: str, wrong: Posting, place: str) -> None:
    with pytest.raises(WrongInput) as refused:
        house.check_own(asked(wrong))
    assert refused.value.place == place
    with pytest.raises(WrongInput) as refused:
        house.check_own(asked(posting(), wrong, bulk=True))
    assert refused.value.place == place.replace("$", "$[1]", 1)


def test_a_command_posts_one_to_two_thousand_transactions() -> None:
    house.check_own(asked(*[posting()] * 2_000, bulk=True))
    for count in (0, 2_001):
        with pytest.raises(WrongInput):
            house.check_own(replace(asked(bulk=True), postings=(posting(),) * count))


# ---- on the database


@pytest.fixture
async def books(database: Database) -> Database:
    """A database in which alfa has two house books, beta one, and both a facility."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
        await ledger.open_book(
            conn,
            book="fac-1",
            purpose="facility",
            lead="alfa",
            members=("beta",),
            salt=secrets.token_bytes(32),
        )
    for standing, book in ((ALFA, BOOK), (ALFA, OTHER), (BETA, "own-beta-one")):
        await opened(database, standing, book)
    return database


async def opened(database: Database, standing: Standing, book: str) -> None:
    async with database.transaction(standing) as conn:
        await house.open_house_book(
            conn, book=book, owner=standing.institution, salt=secrets.token_bytes(32)
        )


async def test_several_commands_post_to_several_books_at_once(books: Database) -> None:
    commands = [
        asked(posting(1), posting(2), command="alfa:a", bulk=True),
        asked(posting(3), book=OTHER, command="alfa:b"),
        asked(posting(4), command="alfa:c"),
    ]
    async with books.transaction(ALFA) as conn:
        first = await house.post_own(await driver_of(conn), commands)
    assert [(one.book, one.first) for one in first] == [(BOOK, 0), (OTHER, 0), (BOOK, 2)]
    async with books.transaction(ALFA) as conn:
        (again,) = await house.post_own(
            await driver_of(conn), [asked(posting(5), command="alfa:d")]
        )
    assert again.first == 3
    async with books.transaction(SERVICE) as conn:
        for one in (*first, again):
            stored = await store.leaf_bytes(
                conn,
                book=one.book,
                from_position=one.first,
                to_position=one.first + len(one.leaf_hashes),
            )
            assert tuple(row.hash for row in stored) == one.leaf_hashes
            assert tuple(merkle.leaf_hash(row.bytes) for row in stored) == one.leaf_hashes
        found = await ledger.balances(conn, book=BOOK, wanted={"code": "cash"})
    assert [balance.balance_minor for balance in found] == [1 + 2 + 4 + 5]


async def test_one_refused_command_refuses_those_beside_it_and_nothing_is_written(
    books: Database,
) -> None:
    late = replace(posting(), value_date=DAY + timedelta(days=1))
    for wrong in (asked(late, command="alfa:b"), asked(book="own-beta-one", command="alfa:b")):
        with pytest.raises((WrongInput, Absent)):
            async with books.transaction(ALFA) as conn:
                await house.post_own(await driver_of(conn), [asked(), wrong])
    async with books.transaction(ALFA) as conn:
        assert (await ledger.book(conn, book=BOOK)).size == 0


@pytest.mark.parametrize("days", [-400, -1, 0, 1])
async def test_a_value_date_is_the_open_day_at_the_latest(books: Database, days: int) -> None:
    dated = replace(posting(), value_date=DAY + timedelta(days=days))
    async with books.transaction(ALFA) as conn:
        if days <= 0:
            await house.post_own(await driver_of(conn), [asked(dated)])
            return
        with pytest.raises(WrongInput) as refused:
            await house.post_own(await driver_of(conn), [asked(dated)])
        assert refused.value.place == "$.value_date"


NAMES = ("own-beta-x", "own-alfa-", "own-alfa", "alfa", "own-alfa-X", "own-alfa-" + "x" * 80, "")


@pytest.mark.parametrize("name", NAMES)
async def test_a_house_book_is_named_for_its_owner(books: Database, name: str) -> None:
    with pytest.raises(WrongInput):
        await opened(books, ALFA, name)


OPENINGS = (
    # why                                   standing book              purpose        lead
    ("another's name", ALFA, "own-beta-x", "house", "alfa"),
    ("for another", ALFA, "own-beta-x", "house", "beta"),
    ("another's in one's own name", ALFA, "own-alfa-x", "house", "beta"),
    ("nobody's", ALFA, "own-alfa-x", "house", None),
    ("by nobody", NOBODY, "own--x", "house", None),
    ("by the service", SERVICE, "own-alfa-x", "house", "alfa"),
    ("under another name", ALFA, "fac-2", "house", "alfa"),
    ("its name for a negotiation", ALFA, "own-alfa-x", "negotiation", "alfa"),
    ("its name for a facility", SERVICE, "own-alfa-x", "facility", "alfa"),
    ("a negotiation of nobody's", NOBODY, "neg-x", "negotiation", None),
)


@pytest.mark.parametrize(
    ("why", "standing", "book", "purpose", "lead"), OPENINGS, ids=[row[0] for row in OPENINGS]
)
async def test_the_database_itself_opens_a_house_book_for_its_owner_only(
    books: Database, why: str, standing: Standing, book: str, purpose: str, lead: str | None
) -> None:
    with pytest.raises(NotAllowed):
        async with books.transaction(standing) as conn:
            await store.open_book(
                conn, book=book, purpose=purpose, lead=lead, salt=secrets.token_bytes(32)
            )


async def test_the_database_itself_admits_nobody_to_a_house_book(books: Database) -> None:
    for standing in (ALFA, SERVICE):
        with pytest.raises(NotAllowed):
            async with books.transaction(standing) as conn:
                await ledger.admit(conn, book=BOOK, party="beta")


def leaf(book: str, posted: tuple[Entry, ...]) -> bytes:
    return leaves.encode(
        Leaf(
            book=book,
            kind="transaction",
            leaf_id="by-hand:0",
            subject={"type": "OwnPosting", "reference": "1"},
            entries=posted,
            value_date=DAY,
            booking_date=DAY,
            recorded_at=datetime.now(UTC),
            actor=Actor(institution="alfa", user="someone"),
            corrects=None,
        )
    )


FOREIGN_ENTRIES = {
    "another's accounts": entries(party="beta"),
    "another's beside one's own": entries() + entries(party="beta"),
    "a debt": (
        *OWED,
        Entry(Account("alfa", "cash", "", "", "CNY"), -5),
        Entry(Account("beta", "cash", "", "", "CNY"), 5),
    ),
}


@pytest.mark.parametrize("why", FOREIGN_ENTRIES)
@pytest.mark.parametrize("standing", [ALFA, SERVICE], ids=["owner", "service"])
async def test_the_database_itself_takes_only_the_owners_entries(
    books: Database, standing: Standing, why: str
) -> None:
    """Past the service: the statement that writes repeats the rule."""
    with pytest.raises(NotAllowed):
        async with books.transaction(standing) as conn:
            await store.append(conn, book=BOOK, leaves=[leaf(BOOK, FOREIGN_ENTRIES[why])])
    async with books.transaction(ALFA) as conn:
        await store.append(conn, book=BOOK, leaves=[leaf(BOOK, entries())])


async def test_a_strangers_house_book_does_not_exist(books: Database) -> None:
    with pytest.raises(Absent):
        async with books.transaction(BETA) as conn:
            await store.append(conn, book=BOOK, leaves=[leaf(BOOK, entries())])
    async with books.transaction(BETA) as conn:
        assert [held.book for held in await ledger.books(conn)] == ["fac-1", "own-beta-one"]
        seen = await conn.execute(text("SELECT DISTINCT book_id FROM ledger.participation"))
        assert {row.book_id for row in seen} == {"fac-1", "own-beta-one"}


async def test_posting_and_publishing_never_wait_for_one_another(books: Database) -> None:
    """A row lock that conflicted with foreign keys' would stop the one, or deadlock both."""
    for book, kind in ((publishing.TOP, "top"), ("registry", "registry")):
        async with books.transaction(SERVICE) as conn:
            await ledger.open_book(
                conn, book=book, purpose=kind, lead=None, members=(), salt=secrets.token_bytes(32)
            )
    async with books.transaction(ALFA) as conn:
        await house.post_own(await driver_of(conn), [asked(command="alfa:before")])
    async with books.transaction(SERVICE) as publisher, books.transaction(ALFA) as poster:
        await poster.execute(text("SET LOCAL lock_timeout = '2s'"))
        await publisher.execute(text("SET LOCAL lock_timeout = '2s'"))
        await house.post_own(await driver_of(poster), [asked(command="alfa:during")])
        heads = await publishing.publish(
            publisher, installation="liandai.test", signer=SIGNER, now=datetime.now(UTC)
        )
        assert {head.book: head.size for head in heads}[BOOK] == 1
        await house.post_own(await driver_of(poster), [asked(command="alfa:after")])
    async with books.transaction(ALFA) as conn:
        assert (await ledger.book(conn, book=BOOK)).size == 3
