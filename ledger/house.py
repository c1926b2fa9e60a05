"""A party's own book: who keeps it, what may be posted in it, and what the poster is answered.

A house book (自有账簿) belongs to the one party that opened it: its side of things, kept where the
joint books are, say to reconcile with them. Nobody else takes part in it and no other party has
accounts there, so it holds no debts (`due.` accounts have two sides). Joint books are not posted to
from here: what stands in them follows from facts, never from a poster's own entries.

Every rule stands here and again in the database's `open_book`, `admit` and `append`.

    phase of posting                round trips, however many commands and books
    hold the books, in id order     1
    append leaves and postings      1
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import leaves, merkle, store
from ledger.entries import MIRRORED, Entry, Transaction, check_whole
from ledger.errors import NotAllowed, Refused, WrongInput
from ledger.journal import by_operation
from ledger.leaves import Actor, Leaf
from ledger.service import HeldBook, open_book
from ledger.store import Driver

PURPOSE: Final = "house"
PREFIX: Final = "own-"
MAX_BATCH: Final = 2_000
"""How many transactions one command may post."""

_BOOK = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}", re.ASCII)


class NotAHouseBook(NotAllowed):
    """The book is not the asker's own: nobody posts entries in a joint book by hand."""

    code = "not-a-house-book"


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction to post.

    reference  the poster's own number for it; a number, as nothing here may name a person
    corrects   an earlier record of the book that this puts right, by its id, or None
    """

    value_date: date
    reference: str
    entries: tuple[Entry, ...]
    corrects: str | None = None


class PostOwn(msgspec.Struct, frozen=True, kw_only=True):
    """One command: all its postings stand in the book, or none.

    bulk     posted as a list, so that a refusal's place counts the postings ("$[0].reference")
    command  the client's own name for it; leaf ids are `command:n`, n from 0
    """

    book: str
    postings: tuple[Posting, ...]
    bulk: bool
    command: str
    actor: Actor
    now: datetime


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command's postings stand: from the position `first` on, with these leaf hashes."""

    book: str
    first: int
    leaf_hashes: tuple[bytes, ...]


async def open_house_book(conn: AsyncConnection, *, book: str, owner: str, salt: bytes) -> HeldBook:
    """The owner has this empty book, on the open business day.

    salt  32 random bytes that hide balances inside the day seals
    Raises WrongInput for another id than `own-<owner>-...`.
    """
    prefix = f"{PREFIX}{owner}-"
    if _BOOK.fullmatch(book) is None or not book.startswith(prefix) or book == prefix:
        raise WrongInput(
            "$.book", f'"{prefix}" and a name of a-z, 0-9, ".", "_", "-"; 80 characters at most'
        )
    day = await open_book(conn, book=book, purpose=PURPOSE, lead=owner, members=(), salt=salt)
    return HeldBook(book, day, 0)


def check_own(asked: PostOwn) -> None:
    """Nothing: the command is to a house book, whole, and about its poster's own accounts only.

    Raises NotAHouseBook, NotAllowed, or WrongInput with the place ("$.entries[0].code").
    """
    check_house_book(asked.book)
    if not 1 <= len(asked.postings) <= MAX_BATCH:
        raise WrongInput("$", f"1 to {MAX_BATCH} transactions")
    for nth, posting in enumerate(asked.postings):
        try:
            _check_posting(posting, owner=asked.actor.institution)
        except WrongInput as error:
            raise _placed(error, asked, nth) from error


def check_house_book(book: str) -> None:
    """Nothing: by its name the book is a house book; whose, the database knows."""
    if not book.startswith(PREFIX):
        raise NotAHouseBook(f"{book} is no house book: {PREFIX}<institution>-...")


def check_reference(reference: str) -> None:
    """Nothing: the reference is a number, not a sentence or a name."""
    if _REFERENCE.fullmatch(reference) is None:
        raise WrongInput(
            "$.reference", 'a number of 1 to 80 of A-Z a-z 0-9 . _ : / -, as "2024/03-17"'
        )


def check_own_entries(entries: Sequence[Entry], *, owner: str) -> None:
    """Nothing: the entries are about the owner's own accounts, none of them a debt."""
    for index, entry in enumerate(entries):
        if entry.account.party != owner:
            raise NotAllowed(f"{entry.account.party} has no accounts in a house book of {owner}")
        if entry.account.code.startswith(MIRRORED):
            raise WrongInput(
                f"$.entries[{index}].code", f"no `{MIRRORED}` account: a debt has two parties"
            )


def _check_posting(posting: Posting, *, owner: str) -> None:
    check_reference(posting.reference)
    check_own_entries(posting.entries, owner=owner)
    check_whole(Transaction(value_date=posting.value_date, entries=posting.entries, corrects=None))


def _placed(error: WrongInput, asked: PostOwn, nth: int) -> WrongInput:
    if not asked.bulk:
        return error
    return WrongInput(error.place.replace("$", f"$[{nth}]", 1), error.expected)


async def post_own(driver: Driver, asked: Sequence[PostOwn]) -> list[Posted]:
    """Every command's postings stand in its book; where, in the order of the commands.

    All or none: one command that is refused refuses them all. Books are held in id order, so that
    two calls never wait for one another. Raises what `check_own` raises, Absent for a book that is
    not the poster's, WrongInput for a value date after the open day or a correction of what is not
    there, LeafExists, LimitExceeded.
    """
    for one in asked:
        check_own(one)
    held = {
        book: HeldBook(book, open_day, size)
        for book, open_day, size in await store.hold_each(
            driver, books=sorted({one.book for one in asked})
        )
    }
    written: defaultdict[str, list[bytes]] = defaultdict(list)
    answers = [_write(one, held[one.book], written[one.book]) for one in asked]
    try:
        firsts = await store.append_each(driver, leaves=written)
    except Refused as refused:
        refused.fields = by_operation(refused.fields, alone=not any(one.bulk for one in asked))
        raise
    assert firsts == {name: held[name].size for name in written}, "a held book does not grow"
    return answers


def _write(asked: PostOwn, held: HeldBook, written: list[bytes]) -> Posted:
    """The command's leaves are added to those written for its book; where they will stand."""
    first = held.size + len(written)
    raws = []
    for nth, posting in enumerate(asked.postings):
        if posting.value_date > held.open_day:
            late = WrongInput("$.value_date", f"a date up to the open day {held.open_day}")
            raise _placed(late, asked, nth)
        raws.append(leaves.encode(_leaf(asked, posting, nth=nth, booking_date=held.open_day)))
    written += raws
    return Posted(
        book=asked.book, first=first, leaf_hashes=tuple(merkle.leaf_hash(raw) for raw in raws)
    )


def _leaf(asked: PostOwn, posting: Posting, *, nth: int, booking_date: date) -> Leaf:
    return Leaf(
        book=asked.book,
        kind="transaction",
        leaf_id=f"{asked.command}:{nth}",
        subject={"type": "OwnPosting", "reference": posting.reference},
        entries=posting.entries,
        value_date=posting.value_date,
        booking_date=booking_date,
        recorded_at=asked.now,
        actor=asked.actor,
        corrects=posting.corrects,
    )


def promised(posted: Posted) -> dict[str, Any]:
    """What the log's key promises of a single leaf, as `ledger.service.receipt` has it."""
    (digest,) = posted.leaf_hashes
    return {"book": posted.book, "position": posted.first, "leaf_hash": digest.hex()}


def promised_in_bulk(posted: Posted) -> dict[str, Any]:
    """What it promises of several leaves at once: one after the other, from `first` on."""
    return {
        "book": posted.book,
        "first": posted.first,
        "leaf_hashes": [digest.hex() for digest in posted.leaf_hashes],
    }
