"""What can be done in a book of one party: post, reserve, resolve, reverse, declare; all or none.

A **move** is what is asked; it becomes one leaf. Moves of one batch stand one after the other, so
that a later one may resolve or reverse what an earlier one made, by its id (`command:n`). Whether
the state allows a move is decided by `ledger.append` in the order of the leaves (see `journal`);
here they are given their form. It never asks whose book it is: its callers do (`house_moves`,
`party_books`).

    phase of a batch                round trips, however many moves
    hold the book                   1
    read what the moves are of      1      only where there is something to read
    append                          1
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import leaves, merkle, store, store_pendings
from ledger import service as ledger
from ledger.entries import Account, Entry, check_whole
from ledger.errors import Absent, Refused, WrongInput
from ledger.journal import (
    REVERSIBLE,
    AccountTerms,
    NoSuchPending,
    NotReversible,
    Voided,
    by_operation,
    check_shape,
    check_terms,
    mirrored,
)
from ledger.leaves import SYSTEM, Actor, Leaf
from ledger.service import HeldBook

MAX_SECONDS: Final = 366 * 24 * 3600
"""How long a pending may last, where it is to end by itself."""

SWEPT_AT_ONCE: Final = 500


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """Entries take effect. corrects: an earlier record of the book that this puts right, or None"""

    value_date: date
    reference: str
    entries: tuple[Entry, ...]
    corrects: str | None


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """Entries are pending until posted or voided. lasts_seconds: None for no end"""

    value_date: date
    reference: str
    entries: tuple[Entry, ...]
    lasts_seconds: int | None


class PostPending(msgspec.Struct, frozen=True, kw_only=True):
    """A pending takes effect, the rest of it is released.

    entries     at most what is pending; None for all of it
    value_date  None for the open day
    """

    pending: str
    entries: tuple[Entry, ...] | None
    value_date: date | None


class VoidPending(msgspec.Struct, frozen=True, kw_only=True):
    """A pending is released whole."""

    pending: str


class Reverse(msgspec.Struct, frozen=True, kw_only=True):
    """The exact mirror of a transaction or posting is posted.

    value_date  None for that of what is reversed
    """

    transaction: str
    reference: str
    value_date: date | None


class Declare(msgspec.Struct, frozen=True, kw_only=True):
    """From now on the account is held to these terms."""

    terms: AccountTerms


Move: TypeAlias = Post | Reserve | PostPending | VoidPending | Reverse | Declare


SUBJECTS: Final = ("OwnPosting", "OwnPending", "PendingPosted", "Reversed")
"""Types of subjects that are made here, beside those of `journal`."""


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch stands: from the position `first` on, each leaf with its id and hash.

    expires_at  the end of each that is a pending with an end
    """

    book: str
    first: int
    records: tuple[str, ...]
    leaf_hashes: tuple[bytes, ...]
    expires_at: tuple[datetime | None, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: all its moves stand in the book, or none.

    places   where in the request each move stands, "$" for one alone
    command  the client's own name for it; leaf ids are `command:n`, n from 0
    """

    book: str
    moves: tuple[Move, ...]
    places: tuple[str, ...]
    command: str
    actor: Actor
    now: datetime


async def enter(conn: AsyncConnection, asked: Asked) -> Entered:
    """All moves stand in the book. Raises WrongInput with the place, or a refusal of `journal`.

    A refusal of one among several names it as `operation`, counted from 0.
    """
    held = await ledger.hold(conn, book=asked.book)
    known = await _known(conn, asked)
    made: list[Leaf] = []
    for nth, (move, place) in enumerate(zip(asked.moves, asked.places, strict=True)):
        with _placed(place, nth, alone=len(asked.moves) == 1):
            leaf = _leaf(asked, move, nth=nth, held=held, known=known)
            check_shape(leaf)
            if leaf.entries:
                check_whole(leaf.transaction)
            _check_date(leaf, held)
        known[leaf.leaf_id] = leaf
        made.append(leaf)
    raws = [leaves.encode(leaf) for leaf in made]
    try:
        first = await store.append(conn, book=asked.book, leaves=raws)
    except Refused as refused:
        refused.fields = by_operation(refused.fields, alone=len(asked.moves) == 1)
        raise
    return Entered(
        book=asked.book,
        first=first,
        records=tuple(leaf.leaf_id for leaf in made),
        leaf_hashes=tuple(merkle.leaf_hash(raw) for raw in raws),
        expires_at=tuple(leaf.expires_at for leaf in made),
    )


class _placed:  # noqa: N801  reads as a statement
    """What goes wrong inside is told with the place of the move in the request."""

    def __init__(self, place: str, nth: int, *, alone: bool) -> None:
        self._place, self._nth, self._alone = place, nth, alone

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, WrongInput):
            place = error.place.replace("$", self._place, 1)
            raise WrongInput(place, error.expected) from error
        if isinstance(error, Refused) and not self._alone:
            error.fields = {**error.fields, "operation": self._nth}


def _check_date(leaf: Leaf, held: HeldBook) -> None:
    if leaf.value_date > held.open_day:
        raise WrongInput("$.value_date", f"a date up to the open day {held.open_day}")


async def _known(conn: AsyncConnection, asked: Asked) -> dict[str, Leaf]:
    """The leaves that moves are of and must be copied from, by id."""
    wanted = [
        move.pending if isinstance(move, PostPending) else move.transaction
        for move in asked.moves
        if isinstance(move, Reverse) or (isinstance(move, PostPending) and move.entries is None)
    ]
    if not wanted:
        return {}
    rows = await store_pendings.leaves(conn, book=asked.book, leaf_ids=wanted)
    return {row.leaf_id: _as_leaf(asked, row) for row in rows}


def _as_leaf(asked: Asked, row: store.Found) -> Leaf:
    return Leaf(
        book=asked.book,
        kind=row.kind,
        leaf_id=row.leaf_id,
        subject=row.subject,
        entries=entries_of(row.lines),
        value_date=row.value_date,
        booking_date=row.value_date,
        recorded_at=row.recorded_at,
        actor=asked.actor,
        corrects=row.corrects,
        of=row.of_leaf,
        expires_at=row.expires_at,
    )


def entries_of(lines: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """The entries that rows of `store_pendings` list."""
    return tuple(
        Entry(
            Account(
                line["party"], line["code"], line["counterparty"], line["ref"], line["currency"]
            ),
            line["amount_minor"],
        )
        for line in lines
    )


def _leaf(asked: Asked, move: Move, *, nth: int, held: HeldBook, known: Mapping[str, Leaf]) -> Leaf:
    """The leaf of a move. known: leaves of the book by id, those made before it among them."""
    blank = Leaf(
        book=asked.book,
        kind="transaction",
        leaf_id=f"{asked.command}:{nth}",
        subject={},
        entries=(),
        value_date=held.open_day,
        booking_date=held.open_day,
        recorded_at=asked.now,
        actor=asked.actor,
        corrects=None,
    )
    return msgspec.structs.replace(blank, **_said(asked, move, held=held, known=known))


def _said(asked: Asked, move: Move, *, held: HeldBook, known: Mapping[str, Leaf]) -> dict[str, Any]:
    """What of the leaf the move decides."""
    match move:
        case Post():
            return {
                "subject": {"type": "OwnPosting", "reference": move.reference},
                "entries": move.entries,
                "value_date": move.value_date,
                "corrects": move.corrects,
            }
        case Reserve():
            return {
                "kind": "pending",
                "subject": {"type": "OwnPending", "reference": move.reference},
                "entries": move.entries,
                "value_date": move.value_date,
                "expires_at": _end(asked.now, move.lasts_seconds),
            }
        case PostPending():
            return {
                "kind": "posting",
                "subject": {"type": "PendingPosted"},
                "entries": _to_post(move, known),
                "value_date": move.value_date or held.open_day,
                "of": move.pending,
            }
        case VoidPending():
            return {"kind": "void", "subject": _voided("asked"), "of": move.pending}
        case Reverse():
            original = known.get(move.transaction)
            if original is None:
                raise Absent(f"no record {move.transaction} in book {asked.book}")
            if original.kind not in REVERSIBLE:
                raise NotReversible(
                    f"{move.transaction} is no transaction or posting of the book",
                    of=move.transaction,
                )
            return {
                "kind": "reversal",
                "subject": {"type": "Reversed", "reference": move.reference},
                "entries": mirrored(original.entries),
                "value_date": move.value_date or original.value_date,
                "of": move.transaction,
            }
        case Declare():
            _check_tight(move.terms)
            check_terms(move.terms, place="$")
            return {"kind": "account", "subject": msgspec.to_builtins(move.terms)}


def _end(now: datetime, lasts_seconds: int | None) -> datetime | None:
    if lasts_seconds is None:
        return None
    if not 1 <= lasts_seconds <= MAX_SECONDS:
        raise WrongInput("$.lasts_seconds", f"1 to {MAX_SECONDS} seconds, or no end")
    return now + timedelta(seconds=lasts_seconds)


def _to_post(move: PostPending, known: Mapping[str, Leaf]) -> tuple[Entry, ...]:
    if move.entries is not None:
        return move.entries
    pending = known.get(move.pending)
    if pending is None or pending.kind != "pending":
        raise NoSuchPending(f"no pending {move.pending} in the book", pending=move.pending)
    return pending.entries


def _check_tight(terms: AccountTerms) -> None:
    """A limit beyond what the side allows would say one thing and mean another."""
    if terms.side == "debit" and terms.least_minor is not None and terms.least_minor < 0:
        raise WrongInput("$.least_minor", "0 or more, as a debit account is never below 0")
    if terms.side == "credit" and terms.most_minor is not None and terms.most_minor > 0:
        raise WrongInput("$.most_minor", "0 or less, as a credit account is never above 0")


def _voided(reason: Literal["asked", "expired"]) -> dict[str, Any]:
    subject: dict[str, Any] = msgspec.to_builtins(Voided(reason=reason))
    return subject


# ---- the clock's own moves


async def books_with_expired(conn: AsyncConnection, *, now: datetime) -> list[str]:
    """Books that have pendings whose end is reached, by id."""
    return await store_pendings.books_with_expired(conn, now=now)


async def void_expired(conn: AsyncConnection, *, book: str, now: datetime) -> int:
    """No pending of the book whose end is reached stands unresolved; how many were voided."""
    held = await ledger.hold(conn, book=book)
    voided = 0
    while ids := await store_pendings.expired(conn, book=book, now=now, limit=SWEPT_AT_ONCE):
        batch = [
            Leaf(
                book=book,
                kind="void",
                leaf_id=f"expired:{leaf_id}",
                subject=_voided("expired"),
                entries=(),
                value_date=held.open_day,
                booking_date=held.open_day,
                recorded_at=now,
                actor=SYSTEM,
                corrects=None,
                of=leaf_id,
            )
            for leaf_id in ids
        ]
        await ledger.append(conn, batch)
        voided += len(batch)
    return voided
