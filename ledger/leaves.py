"""What one leaf of a book's log says, and its exact bytes. It never numbers or signs anything.

A leaf is one canonical JSON object (RFC 8785), stored verbatim and hashed as RFC 6962 says. Its
position in the log is its index; it is not repeated inside. Every ledger transaction is one leaf of
kind `transaction`; facts that move no money, refusals, seals of days, keys and consents are leaves
of their own kinds. The `subject` belongs to the package that records it; the ledger reads only
`entries`. No personal data and no raw request bodies enter a leaf.
"""

from datetime import date, datetime
from typing import Any, Final

import msgspec

from ledger.documents import canonical, read_document
from ledger.entries import Account, Entry, Transaction

VERSION: Final = 1
KINDS: Final = ("transaction", "record", "refusal", "seal", "key", "consent", "head")


class Actor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who did it: opaque ids of the institution and of the person (`system` for the clock)."""

    institution: str
    user: str


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One leaf before it is numbered.

    leaf_id       unique in the book for ever: the client's or the fact's own name
    subject       what is recorded: JSON values without floats
    entries       the postings, () for every kind but `transaction`
    booking_date  the book's open day (记账日); recorded_at is the server's clock, UTC
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


def encode(leaf: Leaf) -> bytes:
    """The leaf's bytes: canonical JSON with the keys of `_Wire`, no newline at the end."""
    return canonical(
        _Wire(
            v=VERSION,
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
    """The leaf that these bytes say; WrongInput where they are not a leaf of this version."""
    wire = read_document(raw, _Wire)
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
    )
