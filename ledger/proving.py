"""How the proof of a balance or a record is made, for `ledger.proven` to check offline.

A balance is proved at the close of a day, under that day's seal; a record under the earliest head
over it. Both lead on to the top log's head. Making one reads what no member may read (the book's
salt, the top log's leaves), so the caller has looked before whether the asker may know what the
proof says, and speaks for the service here.
"""

from datetime import date
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import (
    leaves,
    merkle,
    notes,
    proven,
    publishing,
    seals,
    service,
    store,
    store_known,
    store_queries,
)
from ledger.documents import convert
from ledger.entries import Account
from ledger.errors import Absent, Conflict
from ledger.leaves import Actor, Leaf
from ledger.proven import InLog, Proof, SealedBalance, balance_said
from ledger.seals import DaySeal
from ledger.service import DayNotClosed, NotPublished
from ledger.signatures import encode_base64
from ledger.store import Found
from ledger.wanted import Wanted


class NotAsSealed(Conflict):
    """The entries no longer give the balances that the day's seal binds: the book was altered."""

    code = "not-as-sealed"


class NoSeal(Absent):
    """Nothing of the book was sealed by that day."""


async def prove_balance(
    conn: AsyncConnection,
    *,
    book: str,
    day: date,
    account: Account,
    log: notes.VerifierKey,
    top_size: int | None,
) -> Proof:
    """The account's balance as it stood when the day was closed, under the last seal by then.

    top_size  under which head of the top log; the earliest that holds the book's head by default
    Raises DayNotClosed, NoSeal, Absent for an account without entries by then, NotPublished.
    """
    held = await service.book(conn, book=book)
    if day >= held.open_day:
        raise DayNotClosed(f"the open day of book {book} is {held.open_day}", asked=day.isoformat())
    seal = await store_known.sealed(conn, book=book, day=day)
    if seal is None:
        raise NoSeal(f"nothing of book {book} was sealed by {day}")
    said = convert(seal.subject, DaySeal, place="$.subject")
    rows = await store_queries.balances(conn, book=book, size=said.size, wanted=Wanted())
    balances = {_account(row): int(row.balance_minor) for row in rows}
    if account not in balances:
        raise Absent(f"no such account in book {book} by {day}")
    salt = await store.salt(conn, book=book)
    assert salt is not None, "a book has a salt from its opening"
    if seals.balances_root(balances, salt=salt, day=said.day).hex() != said.balances_root:
        raise NotAsSealed(f"the entries of book {book} do not give the balances sealed on {day}")
    found = seals.prove_balance(balances, account=account, salt=salt, day=said.day)
    record = await _in_log(conn, book=book, position=seal.position, raw=_bytes(book, seal))
    return Proof(
        format="liandai/v1/proof",
        log=str(log),
        says=balance_said(
            book=book, day=said.day, account=account, balance_minor=balances[account]
        ),
        record=record,
        top=await _in_top(conn, record, top_size),
        balance=SealedBalance(
            leaf=encode_base64(found.leaf),
            index=found.index,
            size=found.size,
            hashes=tuple(one.hex() for one in found.path),
        ),
    )


def _account(row: Found) -> Account:
    return Account(row.party, row.code, row.counterparty, row.ref, row.currency)


def _bytes(book: str, row: Found) -> bytes:
    """The seal's verbatim bytes, written again from its columns: a seal holds nobody's entries."""
    raw = leaves.encode(
        Leaf(
            book=book,
            kind=row.kind,
            leaf_id=row.leaf_id,
            subject=row.subject,
            entries=(),
            value_date=row.value_date,
            booking_date=row.booking_date,
            recorded_at=row.recorded_at,
            actor=msgspec.convert(row.actor, Actor),
            corrects=row.corrects,
        )
    )
    if merkle.leaf_hash(raw) != row.hash:
        raise NotAsSealed(f"the seal at {row.position} of book {book} is not as it was recorded")
    return raw


async def prove_record(
    conn: AsyncConnection,
    *,
    book: str,
    record: str,
    log: notes.VerifierKey,
    whole: bool,
    top_size: int | None,
) -> Proof:
    """That the record stands in the book's log.

    whole  with its verbatim bytes, which hold everyone's entries: for an auditor
    """
    row = await store_known.leaf_whole(conn, book=book, leaf_id=record)
    if row is None:
        raise Absent(f"no record {record} in book {book}")
    found = await _in_log(
        conn, book=book, position=row.position, raw=row.bytes if whole else None, hash_=row.hash
    )
    says: dict[str, Any] = {
        "book": book,
        "position": row.position,
        "leaf_hash": row.hash.hex(),
    }
    return Proof(
        format="liandai/v1/proof",
        log=str(log),
        says={**says, "record": record} if whole else says,
        record=found,
        top=await _in_top(conn, found, top_size),
        balance=None,
    )


async def _in_log(
    conn: AsyncConnection,
    *,
    book: str,
    position: int,
    raw: bytes | None,
    hash_: bytes | None = None,
    size: int | None = None,
) -> InLog:
    """The leaf under the head of that size, or under the earliest over it."""
    if size is None:
        heads = await store_known.heads_over(conn, known=[(book, position + 1)])
        if not heads:
            raise NotPublished(f"leaf {position} of book {book} is not published yet")
        size = heads[0].size
    head = await publishing.checkpoint(conn, book=book, size=size)
    hashes = await publishing.inclusion(conn, book=book, position=position, size=size)
    digest = hash_ if raw is None else merkle.leaf_hash(raw)
    assert digest is not None, "bytes or their hash"
    return InLog(
        book=book,
        position=position,
        leaf=None if raw is None else encode_base64(raw),
        leaf_hash=digest.hex(),
        hashes=tuple(one.hex() for one in hashes),
        note=head.note.decode(),
    )


async def _in_top(conn: AsyncConnection, record: InLog, top_size: int | None) -> InLog:
    """The top log's leaf that holds the record's head."""
    size = notes.read_checkpoint_text(notes.read_note(record.note.encode()).text).size
    row = await store_known.head_leaf(conn, book=record.book, size=size)
    if row is None:
        raise NotPublished(f"the head {size} of book {record.book} is not in the top log yet")
    if top_size is not None and top_size <= row.position:
        raise publishing.TooSmall(
            f"the head {size} of book {record.book} is leaf {row.position} of the top log, beyond "
            f"the head of size {top_size} that the proof is to end at"
        )
    return await _in_log(conn, book=proven.TOP, position=row.position, raw=row.bytes, size=top_size)
