"""What the ledger does for its callers: open a book, append to it, close its day, answer balances.

Every function takes an open connection, never commits and never reads the clock. The connection's
standing decides what may be written and which rows exist (row-level security); nothing here widens
it.

    phase of an append            round trips
    hold the book (row lock)      1      only where the caller decides on the book's state
    append leaves and postings    1      one statement checks and writes everything
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import leaves, merkle, seals, store, store_asof, store_queries
from ledger.entries import Account, Entry, check_whole
from ledger.errors import Absent, Conflict, WrongInput
from ledger.journal import check_shape
from ledger.leaves import Actor, Leaf
from ledger.wanted import Wanted, read_wanted

SYSTEM = leaves.SYSTEM

FACT_KINDS = ("transaction", "record")

WHOLE = 2**62
"""More leaves than any log has: a question about all of it."""


class HeldBook(msgspec.Struct, frozen=True):
    """A book whose row this transaction holds: nobody else appends until it ends."""

    book: str
    open_day: date
    size: int


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to record in a held book.

    subject   JSON values without floats; a fact's Struct through `msgspec.to_builtins`
    entries   what it posts, () for what moves no money
    corrects  leaf id of the record of this book that it puts right, or None
    """

    kind: str
    subject: dict[str, Any]
    entries: tuple[Entry, ...]
    value_date: date
    corrects: str | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf as it stands in the log, without its verbatim bytes.

    position  its index in the book's log, from 0; commit order
    of        the leaf it resolves or reverses, where its kind does
    """

    position: int
    leaf_id: str
    kind: str
    subject: dict[str, Any]
    actor: Actor
    corrects: str | None
    value_date: date
    booking_date: date
    recorded_at: datetime
    hash: bytes
    of: str | None = None


class Balance(msgspec.Struct, frozen=True):
    """One account's balance: debit positive, credit negative, minor units."""

    account: Account
    balance_minor: int


class NotPublished(Conflict):
    """The question is about a position beyond the last published one; its answer could change."""

    code = "beyond-published"


class NoBusinessDay(Conflict):
    """No business day is open: the operator has not opened the first one."""

    code = "no-business-day"


async def open_book(
    conn: AsyncConnection,
    *,
    book: str,
    purpose: str,
    lead: str | None,
    members: Sequence[str],
    salt: bytes,
) -> date:
    """The book is there, empty, on the installation's open business day, which is returned.

    salt  32 random bytes that hide balances inside the day seals
    """
    day = await store.open_book(conn, book=book, purpose=purpose, lead=lead, salt=salt)
    for party in members:
        await store.admit(conn, book=book, party=party)
    return day


async def admit(conn: AsyncConnection, *, book: str, party: str) -> None:
    """The party takes part in the book and reads it from its first leaf on.

    A party already there stays; one whose part was over has one again.
    """
    await store.admit(conn, book=book, party=party)


async def dismiss(conn: AsyncConnection, *, book: str, party: str) -> int | None:
    """The party's part in the book is over: it reads what is recorded by now, and nothing after.

    Returns how many leaves that is; a part that was over before stays as it was, and None says that
    the party never had one. Admitted again, it reads the whole log. NotAllowed for anybody but the
    service, or in a negotiation its lead and the party itself; for the lead; for a book of one
    party; and while an account of the party there is not 0.
    """
    return await store.dismiss(conn, book=book, party=party)


async def hold(conn: AsyncConnection, *, book: str) -> HeldBook:
    """The book's row is locked until the transaction ends. Absent where the caller has no part."""
    row = await store.hold(conn, book=book)
    if row is None:
        raise Absent(f"no book {book}")
    return HeldBook(book, row.open_day, row.size)


async def append(conn: AsyncConnection, batch: Sequence[Leaf]) -> list[int]:
    """The leaves stand in their book's log at the returned positions, their entries are posted.

    All leaves are of one book; they are numbered in the order given. Raises the refusals of
    `ledger.entries.check_whole`, DayClosed for another booking date than the open day, LeafExists
    for an id already recorded. Nothing is written then.
    """
    if not batch:
        return []
    if len({leaf.book for leaf in batch}) != 1:
        raise WrongInput("$.book", "leaves of one book")
    for leaf in batch:
        if leaf.kind not in leaves.KINDS:
            raise WrongInput("$.kind", f"one of {', '.join(leaves.KINDS)}")
        check_shape(leaf)
        if leaf.entries:
            check_whole(leaf.transaction)
    first = await store.append(
        conn, book=batch[0].book, leaves=[leaves.encode(leaf) for leaf in batch]
    )
    return list(range(first, first + len(batch)))


async def business_day(conn: AsyncConnection) -> date:
    """The installation's open business day."""
    day = await store.business_day(conn)
    if day is None:
        raise NoBusinessDay("no business day is open yet")
    return day


async def open_business_day(conn: AsyncConnection, *, day: date) -> None:
    """The installation's open business day is `day`; it only ever moves forward."""
    await store.open_business_day(conn, day=day)


async def books(conn: AsyncConnection, *, purpose: str | None = None) -> list[HeldBook]:
    """The books the caller has a part in, by id; not locked."""
    rows = await store.books(conn)
    return [
        HeldBook(row.book_id, row.open_day, row.size)
        for row in rows
        if purpose is None or row.purpose == purpose
    ]


async def book(conn: AsyncConnection, *, book: str) -> HeldBook:
    """One book as it stands, not locked. Absent where the caller has no part in it."""
    row = await store.book(conn, book=book)
    if row is None:
        raise Absent(f"no book {book}")
    return HeldBook(row.book_id, row.open_day, row.size)


async def participants(conn: AsyncConnection, *, book: str) -> list[str]:
    """Who takes part in the book, by id."""
    return [row.party for row in await store.participants(conn, book=book)]


async def facts(
    conn: AsyncConnection,
    *,
    book: str,
    kinds: Sequence[str] = FACT_KINDS,
    after: int = -1,
    below: int = WHOLE,
    limit: int | None = None,
) -> list[Recorded]:
    """What the book records, in log order, after one position and below another."""
    rows = await store.facts(conn, book=book, kinds=kinds, after=after, below=below, limit=limit)
    return [_recorded(row) for row in rows]


async def records(
    conn: AsyncConnection,
    *,
    book: str,
    kinds: Sequence[str],
    fact: str | None,
    source: str | None,
    after: int,
    limit: int,
) -> list[Recorded]:
    """As `facts`, narrowed to a type of fact and to a source document (`ledger.wanted`)."""
    rows = await store_queries.records(
        conn, book=book, kinds=kinds, fact=fact, source=source, after=after, limit=limit
    )
    return [_recorded(row) for row in rows]


async def fact(conn: AsyncConnection, *, book: str, leaf_id: str) -> Recorded:
    """One leaf by its id. Absent where there is none the caller may see."""
    row = await store.fact(conn, book=book, leaf_id=leaf_id)
    if row is None:
        raise Absent(f"no record {leaf_id} in book {book}")
    return _recorded(row)


async def hashes_at(
    conn: AsyncConnection, *, book: str, positions: Sequence[int]
) -> dict[int, str]:
    """position -> the leaf's hash in hex, of the leaves the caller may see."""
    return await store_queries.hashes_at(conn, book=book, positions=positions)


def _recorded(row: store.Found) -> Recorded:
    return Recorded(
        position=row.position,
        leaf_id=row.leaf_id,
        kind=row.kind,
        subject=row.subject,
        actor=msgspec.convert(row.actor, Actor),
        corrects=row.corrects,
        value_date=row.value_date,
        booking_date=row.booking_date,
        recorded_at=row.recorded_at,
        hash=row.hash,
        of=row.of_leaf,
    )


async def published_size(conn: AsyncConnection, *, book: str) -> int:
    """How many leaves of the book are under a signed checkpoint, of those the asker may read."""
    head = await store.head(conn, book=book)
    return await store.published_of_left(conn, book=book) if head is None else head.size


async def known_size(conn: AsyncConnection, *, book: str, asked: int | None) -> int:
    """The log size a question is answered at: as asked, or the last published one.

    Raises NotPublished beyond it: an answer given once must stay the answer (I11).
    """
    published = await published_size(conn, book=book)
    if asked is not None and asked > published:
        raise NotPublished(
            f"book {book} is published up to size {published}, not {asked}", published=published
        )
    return published if asked is None else asked


async def balances(conn: AsyncConnection, *, book: str, wanted: Mapping[str, Any]) -> list[Balance]:
    """Balances under the filters, in account order: as a sum over the entries has them (I3).

    Where the filters name accounts, dates and a log size alone, it is found by look-ups.

    wanted  filters of `ledger.wanted` by name; known_size (positions below it; all where left out)
    """
    size, filters = _known_and_wanted(wanted)
    rows: Sequence[store.Found]
    if store_asof.answers(wanted):
        rows = await store_asof.balances(conn, book=book, wanted=wanted)
    else:
        rows = await store_queries.balances(conn, book=book, size=size, wanted=filters)
    return [
        Balance(
            Account(row.party, row.code, row.counterparty, row.ref, row.currency),
            int(row.balance_minor),
        )
        for row in rows
    ]


async def entries(
    conn: AsyncConnection,
    *,
    book: str,
    wanted: Mapping[str, Any],
    after: tuple[int, int],
    limit: int,
) -> Sequence[store.Found]:
    """Entries under the filters in (position, line) order, after a cursor; at most `limit`."""
    size, filters = _known_and_wanted(wanted)
    return await store_queries.entries(
        conn, known=[(book, size)], wanted=filters, after=(0, *after), limit=limit
    )


def _known_and_wanted(filters: Mapping[str, Any]) -> tuple[int, Wanted]:
    named = {name: value for name, value in filters.items() if value is not None}
    return named.pop("known_size", WHOLE), read_wanted(named)


async def close_day(
    conn: AsyncConnection, *, book: str, next_day: date, recorded_at: datetime
) -> int | None:
    """The book's open day is closed and `next_day` is open; returns the seal's position.

    The seal is a leaf that binds the log so far and the day's trial balance, salted so that a party
    shown one balance learns no other. A book that recorded nothing since its last seal needs no
    other one (None). A closed day never changes.
    """
    held = await hold(conn, book=book)
    found = await store.closing(conn, book=book)
    if found is None:
        raise Absent(f"no book {book}")
    position = None
    if held.size - 1 != (-1 if found.last_seal is None else found.last_seal):
        position = await _seal(conn, held, found, recorded_at=recorded_at)
    await store.open_next_day(conn, book=book, day=next_day)
    return position


async def _seal(
    conn: AsyncConnection, held: HeldBook, found: store.Found, *, recorded_at: datetime
) -> int:
    frontier = await _grown(conn, book=held.book, head=found, size=held.size)
    balances = {
        Account(row.party, row.code, row.counterparty, row.ref, row.currency): row.balance_minor
        for row in await store.accounts(conn, book=held.book)
    }
    root = seals.balances_root(balances, salt=found.salt, day=held.open_day)
    seal = Item(
        kind="seal",
        subject={
            "type": "DaySeal",
            "day": held.open_day.isoformat(),
            "size": held.size,
            "root": frontier.root().hex(),
            "balances_root": root.hex(),
            "previous": found.last_seal,
        },
        entries=(),
        value_date=held.open_day,
    )
    (position,) = await record(
        conn,
        held=held,
        items=[seal],
        command=f"seal:{held.open_day.isoformat()}",
        actor=SYSTEM,
        now=recorded_at,
    )
    return position


async def frontier(conn: AsyncConnection, *, held: HeldBook) -> merkle.Frontier:
    """The Merkle frontier of a held book's log as it stands now."""
    head = await store.head(conn, book=held.book)
    return await _grown(conn, book=held.book, head=head, size=held.size)


async def _grown(
    conn: AsyncConnection, *, book: str, head: store.Found | None, size: int
) -> merkle.Frontier:
    """The Merkle frontier of the book's first `size` leaves, from the published head onwards."""
    grown = merkle.EMPTY
    if head is not None and head.size is not None:
        grown = merkle.Frontier(head.size, tuple(head.frontier))
    hashes = await store.leaf_hashes(conn, book=book, from_position=grown.size, to_position=size)
    return grown.append(hashes)[0]


async def receipt(conn: AsyncConnection, *, book: str, position: int) -> dict[str, Any]:
    """What a promise to publish says of a leaf: book, position and leaf hash."""
    (hash_,) = await store.leaf_hashes(
        conn, book=book, from_position=position, to_position=position + 1
    )
    return {"book": book, "position": position, "leaf_hash": hash_.hex()}


async def record(
    conn: AsyncConnection,
    *,
    held: HeldBook,
    items: Sequence[Item],
    command: str,
    actor: Actor,
    now: datetime,
    first: int = 0,
) -> list[int]:
    """The items stand in the held book at the returned positions, booked on its open day.

    command  the client's own name for what it does; leaf ids are `command:n`, n from `first`, so
             that the same command can never be recorded twice
    """
    return await append(
        conn,
        [
            Leaf(
                book=held.book,
                kind=item.kind,
                leaf_id=f"{command}:{first + number}",
                subject=item.subject,
                entries=item.entries,
                value_date=item.value_date,
                booking_date=held.open_day,
                recorded_at=now,
                actor=actor,
                corrects=item.corrects,
            )
            for number, item in enumerate(items)
        ],
    )


class DayNotClosed(Conflict):
    """The day is not closed in this book, so what was known at its close is not fixed yet."""

    code = "day-not-closed"


async def size_at_close(conn: AsyncConnection, *, book: str, day: date) -> int:
    """How many leaves the book held once that day, or the last business day before it, was closed.

    0 where nothing was closed by then. Raises DayNotClosed while the day is not over.
    """
    held = await store.book(conn, book=book)
    if held is None:
        raise Absent(f"no book {book}")
    if day >= held.open_day:
        raise DayNotClosed(f"the open day of book {book} is {held.open_day}", asked=day.isoformat())
    position = await store.seal_by(conn, book=book, day=day)
    return 0 if position is None else position + 1
