"""Which entries pass an auditor's filters, in one book or in many, with the sums of all of them.

Every answer says of which book, as known at which log size and under which published head
(`ledger.known`), and holds nothing that later records or signatures could change: the same question
is answered the same bytes for ever. A page is a part of the answer; sums are always of the whole.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import known, publishing, store_queries, wanted
from ledger.errors import WrongInput
from ledger.known import KnownBook, KnownBooks
from ledger.leaves import Actor
from ledger.store import Found
from ledger.wanted import Wanted, check_wanted

MAX_PAGE: Final = 500


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Over the whole answer, of one currency. credits_minor is 0 or below; net is their sum."""

    currency: str
    entries: int
    debits_minor: int
    credits_minor: int
    net_minor: int


class InclusionPath(msgspec.Struct, frozen=True, kw_only=True):
    """That a leaf is under the head the answer was given under (RFC 6962), hashes in hex."""

    leaf_hash: str
    size: int
    hashes: tuple[str, ...]


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; debit positive, credit negative. position and line are its place in the log.

    kind      of the leaf it stands in; fact: what that leaf's subject says happened
    corrects  the record that this one puts right, if any
    of        the pending that a posting posts, or the record that a reversal takes back
    proof     where it was asked for
    """

    book: str
    position: int
    line: int
    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    amount_minor: int
    value_date: date
    booking_date: date
    record: str
    kind: str
    fact: str | None
    actor: Actor
    corrects: str | None
    of: str | None
    proof: InclusionPath | None


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a book's entries. next: pass it as `cursor` for the rest; null at the end.

    sums  over all entries that pass the filters, not only this page's
    """

    book: str
    known_size: int
    checkpoint: known.Under | None
    entries: tuple[EntryLine, ...]
    sums: tuple[Sum, ...]
    next: str | None


class JoinedEntries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the entries of several books, book by book in the order of their ids.

    known_top  the size of the top log they are known at; null where it is a day's close
    top        the earliest head over it
    books      those that this page has entries of, each with its size and head
    sums       over all entries of all books that pass the filters
    """

    known_top: int | None
    top: known.Under | None
    books: tuple[KnownBook, ...]
    entries: tuple[EntryLine, ...]
    sums: tuple[Sum, ...]
    next: str | None


def page_of(limit: int) -> int:
    """The limit itself. Raises WrongInput beyond MAX_PAGE."""
    if not 1 <= limit <= MAX_PAGE:
        raise WrongInput("limit", f"1 to {MAX_PAGE}")
    return limit


# ---- entries


async def entries(
    conn: AsyncConnection,
    *,
    book: str,
    filters: Wanted,
    known_size: int | None,
    known_on: date | None,
    cursor: str | None,
    limit: int,
    proof: bool,
) -> Entries:
    """A page of the book's entries that pass, in log order, and the sums of all of them.

    cursor  holds the log size of the first page, so that the next ones are of the same moment
    proof   each line with the hashes that join it to the answer's head
    """
    page = page_of(limit)
    check_wanted(filters)
    question = wanted.digest("entries", book, filters, known_size, known_on)
    after = None
    if cursor is not None:
        name, key = wanted.read_cursor(cursor, question, shape=(int, int))
        known_size, known_on = size_of(name), None
        after = (0, *key)
    at = await known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
    reach = [(book, at.known_size)]
    rows = await store_queries.entries(
        conn, known=reach, wanted=filters, after=after, limit=page + 1
    )
    lines = await _lines(conn, rows[:page], {book: at} if proof else {})
    return Entries(
        book=book,
        known_size=at.known_size,
        checkpoint=at.checkpoint,
        entries=lines,
        sums=await sums_of(conn, reach, filters),
        next=_next(rows, page, question, known=f"size:{at.known_size}"),
    )


def size_of(name: str) -> int:
    """The log size a cursor of one book names."""
    kind, _, number = name.partition(":")
    if kind != "size" or not (number.isascii() and number.isdecimal()):
        raise WrongInput("cursor", "the `next` of an earlier page of the same question")
    return int(number)


async def joined(
    conn: AsyncConnection,
    *,
    books: tuple[str, ...],
    filters: Wanted,
    known_top: int | None,
    known_on: date | None,
    cursor: str | None,
    limit: int,
    proof: bool,
) -> JoinedEntries:
    """As `entries`, of several books at one moment; of all that the asker sees where none is
    named."""
    page = page_of(limit)
    check_wanted(filters)
    question = wanted.digest("joined", books, filters, known_top, known_on)
    key: tuple[Any, ...] | None = None
    if cursor is not None:
        name, key = wanted.read_cursor(cursor, question, shape=(str, int, int))
        if known_on is None:
            known_top = _top_of(name)
    at = await known.over_books(conn, books=books, known_top=known_top, known_on=known_on)
    rows = await store_queries.entries(
        conn, known=at.books, wanted=filters, after=_after(at, key), limit=page + 1
    )
    heads = await known.with_heads(conn, _touched(at, rows[:page]))
    proofs = {head.book: head for head in heads} if proof else {}
    return JoinedEntries(
        known_top=None if at.top is None else at.top.known_size,
        top=None if at.top is None else at.top.checkpoint,
        books=heads,
        entries=await _lines(conn, rows[:page], proofs),
        sums=await sums_of(conn, at.books, filters),
        next=_next(rows, page, question, known=at.name, with_book=True),
    )


def _top_of(name: str) -> int:
    kind, _, number = name.partition(":")
    if kind != "top" or not (number.isascii() and number.isdecimal()):
        raise WrongInput("cursor", "the `next` of an earlier page of the same question")
    return int(number)


def _after(at: KnownBooks, key: tuple[Any, ...] | None) -> tuple[int, int, int] | None:
    """The cursor's place with its book as a number among the books, as the store counts them."""
    if key is None:
        return None
    book, position, line = key
    names = [name for name, _ in at.books]
    if book not in names:
        raise WrongInput("cursor", "the `next` of an earlier page of the same question")
    return (names.index(book) + 1, position, line)


def _touched(at: KnownBooks, rows: Sequence[Found]) -> list[tuple[str, int]]:
    found = {row.book for row in rows}
    return [(book, size) for book, size in at.books if book in found]


def _next(
    rows: Sequence[Found], page: int, question: str, *, known: str, with_book: bool = False
) -> str | None:
    if len(rows) <= page:
        return None
    last = rows[page - 1]
    place = (last.position, last.line)
    key: tuple[str | int, ...] = (last.book, *place) if with_book else place
    return wanted.cursor(question, known=known, after=key)


async def sums_of(
    conn: AsyncConnection, reach: Sequence[tuple[str, int]], filters: Wanted
) -> tuple[Sum, ...]:
    """The sums by currency of all entries that pass, below those sizes of those books."""
    return tuple(
        Sum(
            currency=row.currency,
            entries=row.entries,
            debits_minor=int(row.debits_minor),
            credits_minor=int(row.credits_minor),
            net_minor=int(row.net_minor),
        )
        for row in await store_queries.sums(conn, known=reach, wanted=filters)
    )


async def _lines(
    conn: AsyncConnection, rows: Sequence[Found], proofs: Mapping[str, KnownBook]
) -> tuple[EntryLine, ...]:
    """The rows as lines; with proofs where heads are given."""
    paths: dict[tuple[str, int], InclusionPath] = {}
    for row in rows:
        head = proofs.get(row.book)
        if head is None or head.checkpoint is None or (row.book, row.position) in paths:
            continue
        hashes = await publishing.inclusion(
            conn, book=row.book, position=row.position, size=head.checkpoint.size
        )
        paths[row.book, row.position] = InclusionPath(
            leaf_hash=row.hash.hex(),
            size=head.checkpoint.size,
            hashes=tuple(digest.hex() for digest in hashes),
        )
    return tuple(line_of(row, paths.get((row.book, row.position))) for row in rows)


def line_of(row: Found, proof: InclusionPath | None = None) -> EntryLine:
    """One row of the store's entries as an answer shows it."""
    return EntryLine(
        book=row.book,
        position=row.position,
        line=row.line,
        party=row.party,
        code=row.code,
        counterparty=row.counterparty,
        ref=row.ref,
        currency=row.currency,
        amount_minor=row.amount_minor,
        value_date=row.value_date,
        booking_date=row.booking_date,
        record=row.leaf_id,
        kind=row.kind,
        fact=row.fact,
        actor=msgspec.convert(row.actor, Actor),
        corrects=row.corrects,
        of=row.of_leaf,
        proof=proof,
    )


async def every_entry(
    conn: AsyncConnection, *, books: Sequence[tuple[str, int]], filters: Wanted
) -> AsyncGenerator[tuple[EntryLine, ...], None]:
    """All entries that pass, page by page from a cursor of the database, however many there are."""
    async for page in store_queries.stream(conn, known=books, wanted=filters):
        yield tuple(line_of(row) for row in page)
