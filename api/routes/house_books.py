"""A member's own books: opened by its operations, posted to one by one or in bulk.

The entries are about the asker's own accounts, so its party is not said. Reading goes through the
ledger's questions, as for every book.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from litestar import Response, post
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import driver_of
from api.desk import AtDesk, Desk, IdempotencyKey, Work
from api.identity import may
from ledger import house, house_moves, promising
from ledger.entries import Account, Entry

TAGS = ["house books"]


class NewBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A book of your own to open: "own-<your institution>-" and a name."""

    book: str


class OpenedBook(msgspec.Struct, frozen=True, kw_only=True):
    """The book, empty, on its open business day."""

    book: str
    open_day: date


class OwnEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One movement of one of your accounts; debit positive, credit negative. No `due.` codes.

    ref  what the account is about, "" where it is about the whole book
    """

    code: str
    ref: str
    currency: str
    amount_minor: int


class OwnTransaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entries that take effect together and sum to 0 in each currency.

    value_date  起息日; not after the open business day
    reference   your own number for it, never a person's name
    corrects    an earlier record of the book that it puts right, by its id
    """

    value_date: date
    reference: str
    entries: list[OwnEntry]
    corrects: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Where the transaction stands in the book's log.

    record   its id: what a reversal, a correction, a proof or a receipt of it names
    promise  base64 signature of the log's key over book, position and leaf_hash: it is published
             within a second as this leaf
    """

    record: str
    book: str
    position: int
    leaf_hash: str
    promise: str


class BulkReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Where the transactions stand: one after the other, from the position `first` on.

    Their ids are `<institution>:<Idempotency-Key>:<n>`, n from 0.

    promise  as in a Receipt, one for them all
    """

    book: str
    first: int
    leaf_hashes: list[str]
    promise: str


@post("/v1/books", guards=[may("open-house-book")], tags=TAGS)
async def open_house_book(
    data: JSONBody[NewBook], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[OpenedBook]:
    """Open a book of your own; nobody else takes part in it."""

    async def use_case(work: Work) -> OpenedBook:
        held = await house.open_house_book(
            work.conn,
            book=data.book,
            owner=work.actor.institution,
            salt=secrets.token_bytes(32),
        )
        return OpenedBook(book=held.book, open_day=held.open_day)

    return await desk.command(use_case, key=idempotency_key)


@post("/v1/books/{book:str}/transactions", guards=[may("post-own")], tags=TAGS)
async def post_transaction(
    book: FromPath[str],
    data: JSONBody[OwnTransaction],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Receipt]:
    """Post one transaction in a book of your own; the receipt verifies offline."""

    def receipt(posted: house.Posted) -> Receipt:
        promised = house.promised(posted)
        record = f"{asked.command}:0"
        return Receipt(record=record, **promised, promise=promise(desk, promised))

    asked = _asked(desk, idempotency_key, book, [data], bulk=False)
    return await desk.post_own(asked, receipt, key=idempotency_key)


@post("/v1/books/{book:str}/transactions/batch", guards=[may("post-own")], tags=TAGS)
async def post_transactions(
    book: FromPath[str],
    data: JSONBody[list[OwnTransaction]],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[BulkReceipt]:
    """Post up to 2,000 transactions in a book of your own, all of them or none."""

    asked = _asked(desk, idempotency_key, book, data, bulk=True)

    async def use_case(work: Work) -> BulkReceipt:
        (posted,) = await house.post_own(await driver_of(work.conn), [asked])
        promised = house.promised_in_bulk(posted)
        return BulkReceipt(**promised, promise=promise(desk, promised))

    async def differs(conn: AsyncConnection) -> list[str]:
        return await house_moves.differences(conn, house_moves.as_moves(asked))

    return await desk.command(use_case, key=idempotency_key, book=book, differs=differs)


def _asked(
    desk: Desk, key: str, book: str, transactions: list[OwnTransaction], *, bulk: bool
) -> house.PostOwn:
    owner = desk.asker.institution
    return house.PostOwn(
        book=book,
        postings=tuple(
            house.Posting(
                value_date=one.value_date,
                reference=one.reference,
                entries=own_entries(owner, one.entries),
                corrects=one.corrects,
            )
            for one in transactions
        ),
        bulk=bulk,
        command=desk.command_name(key),
        actor=desk.asker.actor,
        now=datetime.now(UTC),
    )


def own_entries(owner: str, entries: Sequence[OwnEntry]) -> tuple[Entry, ...]:
    """The entries on the owner's accounts."""
    return tuple(
        Entry(Account(owner, entry.code, "", entry.ref, entry.currency), entry.amount_minor)
        for entry in entries
    )


def promise(desk: Desk, promised: dict[str, Any]) -> str:
    """The log's key on what it promises to publish, base64."""
    signature = desk.installation.signer.sign(promising.promise_bytes(promised))
    return base64.b64encode(signature).decode()


HANDLERS = (open_house_book, post_transaction)
BULK_HANDLERS = (post_transactions,)
"""Routes whose bodies may be longer."""
