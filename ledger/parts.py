"""Who takes part in a book, from when and until where: as its log says, against what is on record.

A row of `ledger.participation` is the right to read a book, and no leaf. So whoever could write one
would let somebody in unseen, were the rows not held to what the logs let follow. Each package says
who its own books let in; here their answers are compared. What the log of a book lets follow is
never decided here, but for the ledger's own books and books of one party.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import store_audit
from ledger.holding import Check, Seen
from ledger.leaves import SYSTEM
from ledger.store import Found

NAME: Final = "I15"
"""The invariant all these checks are part of."""

PREFIXES: Final = {"house": "own-", "headroom": "headroom-", "pool": "pool-"}
OF_NOBODY: Final = ("registry", "top")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part in a book.

    begins  size of the log when the party was let in; a lead's part begins with the book, and has
            none on record
    ends    size of the log when it was out: it reads the leaves below; None while it takes part
    """

    part: Literal["lead", "member"]
    begins: int | None
    ends: int | None = None


async def books(conn: AsyncConnection, *, purpose: str) -> Sequence[str]:
    """The books of one purpose, by id."""
    return await store_audit.books_for(conn, purpose=purpose)


async def compare(conn: AsyncConnection, seen: Seen, *, book: str, due: Mapping[str, Part]) -> None:
    """The book's parts on record are looked at, and each that is not due is an offence."""
    rows = await store_audit.parts(conn, book=book)
    seen.looked_at += len(rows)
    for flaw in flaws(rows, due):
        seen.offence(f"{book}: {flaw}")


def flaws(rows: Sequence[Found], due: Mapping[str, Part]) -> Iterator[str]:
    """How the parts on record are not those that are due.

    rows  party, part, from_position, until_position
    A member's part that began before parts had a beginning on record has none: nothing says where.
    """
    stand = {row.party: row for row in rows}
    for party in sorted(due.keys() - stand.keys()):
        yield f"{party} takes part by the log, and has no part on record"
    for party, row in sorted(stand.items()):
        part = due.get(party)
        if part is None:
            yield f"{party} has a part on record, and nothing in the log lets it in"
            continue
        if row.part != part.part:
            yield f"{party} is {row.part} on record, and {part.part} by the log"
        if row.from_position is not None and row.from_position != part.begins:
            begins = f"{row.from_position} on record, {part.begins} by the log"
            yield f"{party}'s part begins at {begins}"
        if row.until_position != part.ends:
            ends = f"{row.until_position} on record, {part.ends} by the log"
            yield f"{party}'s part ends at {ends}"


# ---- the ledger's own books, and books of one party


def owner_flaw(book: str, *, purpose: str, owner: str, recorded_by: str | None) -> str | None:
    """Why the book of one party is not this owner's, or None.

    recorded_by  the institution behind its first leaf that is not the system's; None without one
    """
    name = f"{PREFIXES[purpose]}{owner}"
    if purpose != "house":
        return None if book == name else f"{owner} keeps it on record, and by its name another one"
    if not book.startswith(f"{name}-"):
        return f"{owner} keeps it on record, and by its name another one"
    if recorded_by not in (None, owner):
        return f"{owner} keeps it on record, and {recorded_by} records in it"
    return None


async def _of_one_or_none(conn: AsyncConnection, seen: Seen) -> None:
    for row in await store_audit.books_of_one(
        conn, purposes=list(PREFIXES), system=SYSTEM.institution
    ):
        seen.looked_at += 1
        if row.owners != 1 or row.part != "lead":
            seen.offence(f"{row.book_id}: {row.owners} have a part on record in a book of one")
            continue
        if (row.from_position, row.until_position) != (None, None):
            seen.offence(f"{row.book_id}: {row.owner}'s part has a beginning or an end on record")
        flaw = owner_flaw(
            row.book_id, purpose=row.purpose, owner=row.owner, recorded_by=row.recorded_by
        )
        if flaw is not None:
            seen.offence(f"{row.book_id}: {flaw}")
    for purpose in OF_NOBODY:
        for book in await books(conn, purpose=purpose):
            await compare(conn, seen, book=book, due={})


CHECKS: Final = (
    Check(
        NAME,
        "parts in books of one party: it is who the book is named after and who records in it, and "
        "nobody takes part in the registry or the top log",
        _of_one_or_none,
    ),
)
