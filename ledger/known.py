"""Up to where a question is answered: how much of which log, under which signed head.

An answer must stay the answer (I11), so it is given at a log position that is published, and says
which: of one book its size; of several books at once the size of the top log, whose leaves say how
far each book was published then. The head named with it is the earliest over that position, which
no later publication changes. Nothing is answered here but that.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service, store_known
from ledger.errors import WrongInput
from ledger.service import DayNotClosed, NotPublished

TOP = "top"
MAX_BOOKS = 100
"""How many books one question may name."""


class Under(msgspec.Struct, frozen=True, kw_only=True):
    """A published head: its size, and its RFC 6962 root in hex."""

    size: int
    root: str


class KnownBook(msgspec.Struct, frozen=True, kw_only=True):
    """A book and how many of its leaves are known to an answer.

    checkpoint  the earliest head over them; null where the book has none yet
    """

    book: str
    known_size: int
    checkpoint: Under | None


class KnownBooks(msgspec.Struct, frozen=True, kw_only=True):
    """Several books as known at one moment.

    name   of that moment, for a cursor
    top    the top log as it says so; None where the moment is a day's close
    books  the books with a size, in the order of their ids
    """

    name: str
    top: KnownBook | None
    books: tuple[tuple[str, int], ...]


async def in_book(
    conn: AsyncConnection, *, book: str, known_size: int | None, known_on: date | None
) -> KnownBook:
    """The book as asked: at a log size, at the close of a day, or as published now.

    Raises Absent, WrongInput, NotPublished beyond what is published, DayNotClosed.
    """
    if known_size is not None and known_on is not None:
        raise WrongInput("known_on", "either known_on or known_size, not both")
    if known_size is not None and known_size < 0:
        raise WrongInput("known_size", "0 or more leaves")
    await service.book(conn, book=book)
    if known_on is not None:
        known_size = await service.size_at_close(conn, book=book, day=known_on)
    size = await service.known_size(conn, book=book, asked=known_size)
    (known,) = await with_heads(conn, [(book, size)])
    return known


async def with_heads(
    conn: AsyncConnection, known: Sequence[tuple[str, int]]
) -> tuple[KnownBook, ...]:
    """Each book with the head it is known under, in the order given."""
    heads = {
        row.book: Under(size=row.size, root=row.root.hex())
        for row in await store_known.heads_over(conn, known=known)
    }
    return tuple(
        KnownBook(book=book, known_size=size, checkpoint=heads.get(book)) for book, size in known
    )


async def over_books(
    conn: AsyncConnection,
    *,
    books: tuple[str, ...],
    known_top: int | None,
    known_on: date | None,
) -> KnownBooks:
    """The named books, or all the asker sees where none is named, as known at one moment.

    known_top  when the top log held so many leaves; as published now by default
    known_on   when that day was closed, in every one of them
    Raises Absent for a book the asker has no part in, WrongInput, NotPublished, DayNotClosed.
    """
    if known_top is not None and known_on is not None:
        raise WrongInput("known_on", "either known_on or known_top, not both")
    if len(books) > MAX_BOOKS or len(set(books)) != len(books):
        raise WrongInput("books", f"at most {MAX_BOOKS} books, each once")
    for book in books:
        await service.book(conn, book=book)
    if known_on is not None:
        return await _at_close(conn, books, known_on)
    if known_top is not None and known_top < 0:
        raise WrongInput("known_top", "0 or more leaves")
    top_size = await service.known_size(conn, book=TOP, asked=known_top)
    (top,) = await with_heads(conn, [(TOP, top_size)])
    sizes = await store_known.sizes_under(conn, top_size=top_size)
    return KnownBooks(
        name=f"top:{top_size}",
        top=top,
        books=_of(sizes, books),
    )


async def _at_close(conn: AsyncConnection, books: tuple[str, ...], day: date) -> KnownBooks:
    sizes = {}
    for row in await store_known.closed_by(conn, day=day):
        if books and row.book not in books:
            continue
        if day >= row.open_day:
            raise DayNotClosed(
                f"the open day of book {row.book} is {row.open_day}", asked=day.isoformat()
            )
        if row.size > row.published:
            raise NotPublished(
                f"book {row.book} is published up to size {row.published}, not {row.size}",
                published=row.published,
            )
        sizes[row.book] = row.size
    return KnownBooks(name=f"day:{day}", top=None, books=_of(sizes, books))


def _of(sizes: dict[str, int], books: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """The books that hold anything, by id: those asked for, or all."""
    return tuple(
        (book, size)
        for book, size in sorted(sizes.items())
        if size and (not books or book in books)
    )
