"""What one leaf of a book's log says, and its exact bytes. It never numbers or signs anything.

A leaf is one canonical JSON object (RFC 8785), stored verbatim and hashed as RFC 6962 says. Its
position in the log is its index; it is not repeated inside. Every ledger transaction is one leaf of
kind `transaction`; facts that move no money, refusals, seals of days, keys and consents are leaves
of their own kinds. The `subject` belongs to the package that records it; the ledger reads only
`entries`, and the terms an `account` leaf declares. No personal data and no raw request bodies
enter a leaf.

**Two versions.** The kinds of version 1 keep their bytes for ever. Those of version 2 (`pending`,
what becomes of it, `reversal`, `account`) have two fields more: `of` and `expires_at`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from ledger.documents import canonical, read_document
from ledger.entries import Account, Entry, Transaction
from ledger.errors import WrongInput

VERSION_OF: Final[Mapping[str, int]] = {
    "transaction": 1,
    "record": 1,
    "refusal": 1,
    "seal": 1,
    "key": 1,
    "consent": 1,
    "head": 1,
    "pending": 2,
    "posting": 2,
    "void": 2,
    "reversal": 2,
    "account": 2,
}
"""Which version of bytes a leaf of each kind has."""

KINDS: Final = tuple(VERSION_OF)
POSTED: Final = ("transaction", "posting", "reversal")
"""Kinds whose entries move the posted balances; `pending` has entries that only reserve."""

WITH_ENTRIES: Final = (*POSTED, "pending")


class Actor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who did it: opaque ids of the institution and of the person (`system` for the clock)."""

    institution: str
    user: str


SYSTEM: Final = Actor(institution="liandai", user="system")
"""Who acts when the clock does."""


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One leaf before it is numbered.

    leaf_id       unique in the book for ever: the client's or the fact's own name
    subject       what is recorded: JSON values without floats
    entries       what it posts or reserves, () for every kind but those of WITH_ENTRIES
    booking_date  the book's open day (记账日); recorded_at is the server's clock, UTC
    of            the leaf of this book that it resolves or reverses, None for other kinds
    expires_at    when a pending is over by itself, UTC; None for never, and for other kinds
    """

    book: str
    kind: str
    leaf_id: str
    subject: dict[str, Any]
    entries: tuple[Entry, ...]
    value_date: date
    booking_date: date
    recorded_at: datetime
    actor: Actor
    corrects: str | None
    of: str | None = None
    expires_at: datetime | None = None

    @property
    def transaction(self) -> Transaction:
        """The postings of this leaf."""
        return Transaction(value_date=self.value_date, entries=self.entries, corrects=self.corrects)


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    amount_minor: int


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """of, expires_at: absent in version 1."""

    v: int
    book: str
    kind: str
    id: str
    subject: dict[str, Any]
    entries: tuple[_Line, ...]
    value_date: date
    booking_date: date
    recorded_at: datetime
    actor: Actor
    corrects: str | None
    of: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


def encode(leaf: Leaf) -> bytes:
    """The leaf's bytes: canonical JSON with the keys of `_Wire`, no newline at the end.

    A field that the kind's version does not have must be None in the leaf.
    """
    version = VERSION_OF[leaf.kind]
    assert version > 1 or (leaf.of, leaf.expires_at) == (None, None), "no field of version 2 in 1"
    return canonical(
        _Wire(
            v=version,
            book=leaf.book,
            kind=leaf.kind,
            id=leaf.leaf_id,
            subject=leaf.subject,
            entries=tuple(_line(entry) for entry in leaf.entries),
            value_date=leaf.value_date,
            booking_date=leaf.booking_date,
            recorded_at=leaf.recorded_at,
            actor=leaf.actor,
            corrects=leaf.corrects,
            of=leaf.of if version > 1 else msgspec.UNSET,
            expires_at=leaf.expires_at if version > 1 else msgspec.UNSET,
        )
    )


def _line(entry: Entry) -> _Line:
    account = entry.account
    return _Line(
        party=account.party,
        code=account.code,
        counterparty=account.counterparty,
        ref=account.ref,
        currency=account.currency,
        amount_minor=entry.amount_minor,
    )


def decode(raw: bytes) -> Leaf:
    """The leaf that these bytes say; WrongInput where they are not a leaf of their kind's version.

    What they say is not judged here: see `ledger.replay`.
    """
    wire = read_document(raw, _Wire)
    check_version(kind=wire.kind, version=wire.v, fields=(wire.of, wire.expires_at))
    return Leaf(
        book=wire.book,
        kind=wire.kind,
        leaf_id=wire.id,
        subject=wire.subject,
        entries=tuple(
            Entry(
                Account(line.party, line.code, line.counterparty, line.ref, line.currency),
                line.amount_minor,
            )
            for line in wire.entries
        ),
        value_date=wire.value_date,
        booking_date=wire.booking_date,
        recorded_at=wire.recorded_at,
        actor=wire.actor,
        corrects=wire.corrects,
        of=None if wire.of is msgspec.UNSET else wire.of,
        expires_at=None if wire.expires_at is msgspec.UNSET else wire.expires_at,
    )


def check_version(*, kind: str, version: int, fields: Sequence[object]) -> None:
    """Nothing: there is such a kind, it is of this version, and has the fields of version 2 or not.

    fields  the values of `of` and `expires_at`, UNSET where absent
    """
    if VERSION_OF.get(kind) != version:
        raise WrongInput("$.kind", f"a kind of {', '.join(KINDS)}, in its own version")
    absent = [field is msgspec.UNSET for field in fields]
    if absent != [version == 1] * len(absent):
        raise WrongInput("$.of", "`of` and `expires_at` in version 2, and only there")
