"""What a reconciliation came to, as one document whose bytes never change. It decides nothing.

The document is canonical JSON (RFC 8785) and holds all that was compared: both sides' lines, where
our side was fixed (day, log size), which mapping counted and the hash of the file. Its hash is what
a bank signs and what a leaf of the book commits to.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from ledger.documents import canonical
from syndicate.parties.commitments import commitment
from syndicate.reconciliation.causes import Cause, Outcome
from syndicate.reconciliation.formats import Format
from syndicate.reconciliation.mapping import Item
from syndicate.reconciliation.record import OurSide


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """One account's sums over all loans, minor units; what stands and what moved apart.

    explained  cause -> its part of the difference; they sum to it
    """

    line: str
    account: str
    ours_minor: int
    theirs_minor: int
    difference_minor: int
    explained: dict[Cause, int]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reconciliation (对账), fixed for ever.

    version           1 for the first statement of the day, one more for each that corrects it
    known_size        how many leaves of the book's log were known: a published size of it
    size              how many of those count on the day `on`: our figures are the book's at this
                      size; leaves after it are of later days and only explain what is late
    codes             the mapping of its version; version 0 where the bank has none
    statement_sha256  of the file as it was sent
    """

    reconciliation: str
    book: str
    bank: str
    since: date
    on: date
    known_size: int
    size: int
    currency: str
    version: int
    format: Format
    statement_sha256: str
    mapping_version: int
    codes: dict[Item, str]
    matched: int
    breaks: dict[Cause, int]
    totals: tuple[Total, ...]
    lines: tuple[Outcome, ...]


def document(
    ours: OurSide,
    lines: Sequence[Outcome],
    *,
    reconciliation: str,
    version: int,
    kind: Format,
    content: bytes,
) -> Document:
    """The document of a statement that was judged."""
    breaks: defaultdict[Cause, int] = defaultdict(int)
    for line in lines:
        if line.cause is not None:
            breaks[line.cause] += 1
    return Document(
        reconciliation=reconciliation,
        book=ours.book,
        bank=ours.bank,
        since=ours.since,
        on=ours.on,
        known_size=ours.known_size,
        size=ours.size,
        currency=ours.currency,
        version=version,
        format=kind,
        statement_sha256=hashlib.sha256(content).hexdigest(),
        mapping_version=ours.mapping.version,
        codes=dict(ours.mapping.codes),
        matched=sum(line.cause is None for line in lines),
        breaks=dict(breaks),
        totals=totals(lines),
        lines=tuple(lines),
    )


def totals(lines: Sequence[Outcome]) -> tuple[Total, ...]:
    """The sums by account, balances first."""
    grouped: defaultdict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for line in lines:
        if line.line != "status":
            grouped[line.line, line.account].append(line)
    return tuple(_total(kind, account, grouped[kind, account]) for kind, account in sorted(grouped))


def _total(kind: str, account: str, lines: Sequence[Outcome]) -> Total:
    explained: defaultdict[Cause, int] = defaultdict(int)
    for line in lines:
        if line.cause is not None:
            explained[line.cause] += line.difference_minor
    theirs_minor = sum(line.theirs.amount_minor or 0 for line in lines if line.theirs is not None)
    ours_minor = sum(
        line.ours.amount_minor or 0
        for line in lines
        if line.ours is not None and line.ours.standing in (None, "booked")
    )
    return Total(
        line=kind,
        account=account,
        ours_minor=ours_minor,
        theirs_minor=theirs_minor,
        difference_minor=theirs_minor - ours_minor,
        explained=dict(explained),
    )


def to_bytes(written: Document) -> bytes:
    """The document's bytes, the same for ever."""
    return canonical(written)


def digest(raw: bytes) -> str:
    """SHA-256 of the document's bytes, hex."""
    return hashlib.sha256(raw).hexdigest()


def committed(raw: bytes, *, salt: bytes) -> str:
    """What a leaf says of the document without telling anything of it."""
    return commitment({"outcome": digest(raw)}, salt=salt)


def attestation_body(
    written: Document, raw: bytes, statuses: dict[int, str], *, salt: bytes
) -> dict[str, Any]:
    """The words a bank signs: as of the day, known at the size, it agrees.

    statuses  number of each break -> `attested` or `noted`
    Only commitments stand here, as the book's other members read the leaf: who is shown the outcome
    and the salt can open them.
    """
    settled = {str(number): status for number, status in sorted(statuses.items())}
    return {
        "book": written.book,
        "reconciliation": written.reconciliation,
        "on": written.on.isoformat(),
        "known_size": written.known_size,
        "outcome": committed(raw, salt=salt),
        "settled": commitment(settled, salt=salt),
        "agreed": True,
    }
