"""A member's own books beyond plain postings: accounts' terms, pendings, reversals, mixed batches.

What is recorded is named by its id, "<institution>:<Idempotency-Key>:<n>", n counted from 0 within
the request: so a client knows the id of what it asks for before it is answered.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec
from litestar import Response, post
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk, Desk, IdempotencyKey, Work
from api.identity import may
from api.routes.house_books import OwnEntry, OwnTransaction, own_entries, promise
from ledger import house, house_moves, moves
from ledger.entries import Account, Entry
from ledger.errors import WrongInput
from ledger.house import Posted
from ledger.journal import AccountTerms
from ledger.moves import Asked, Entered, Move

TAGS = ["house books"]


class OwnAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far one of your accounts may go; what is pending counts. It replaces earlier terms.

    side         `debit`: never below 0; `credit`: never above 0
    least_minor  posted less pending credits is never below it
    most_minor   posted plus pending debits is never above it
    """

    code: str
    ref: str
    currency: str
    side: Literal["debit", "credit"] | None = None
    least_minor: int | None = None
    most_minor: int | None = None


class OwnPending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entries that are reserved until they are posted or voided; they sum to 0 in each currency.

    lasts_seconds  after so long the service voids what is left; null for never
    """

    value_date: date
    reference: str
    entries: list[OwnEntry]
    lasts_seconds: int | None = None


class PendingToPost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of a pending takes effect; the rest of it is released.

    entries     at most what is pending, on the same accounts and sides; all of it where null
    value_date  the open day where null
    """

    entries: list[OwnEntry] | None
    value_date: date | None = None


class ToReverse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The exact mirror of a transaction or of a posted pending is to be posted.

    reference   your own number for it
    value_date  that of what is reversed where null
    """

    reference: str
    value_date: date | None = None


class PendingById(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pending by its id."""

    pending: str


class PostOfPending(PendingToPost, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of a pending takes effect, by its id; see PendingToPost."""

    pending: str


class ReversalOf(ToReverse, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be reversed, by its id; see ToReverse."""

    transaction: str


class OwnOperation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One operation of a batch: exactly one of the fields."""

    transaction: OwnTransaction | None = None
    pending: OwnPending | None = None
    posting: PostOfPending | None = None
    void: PendingById | None = None
    reversal: ReversalOf | None = None
    account: OwnAccount | None = None


class OwnBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Operations that stand one after the other, all of them or none; 1 to 2,000."""

    operations: list[OwnOperation]


class OperationReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Where the operation's leaf stands in the book's log.

    record      its id: what a posting, void, reversal or correction names
    expires_at  of a pending with an end
    promise     base64 signature of the log's key over book, position and leaf_hash, as in a Receipt
    """

    record: str
    expires_at: datetime | None
    book: str
    position: int
    leaf_hash: str
    promise: str


class BatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Where the operations' leaves stand: one after the other, from the position `first` on.

    promise  base64 signature over book, first and leaf_hashes, as in a BulkReceipt
    """

    records: list[str]
    book: str
    first: int
    leaf_hashes: list[str]
    promise: str


# ---- commands


@post("/v1/books/{book:str}/accounts", guards=[may("post-own")], tags=TAGS)
async def declare_account(
    book: FromPath[str],
    data: JSONBody[OwnAccount],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OperationReceipt]:
    """Declare how far one of your accounts may go in a book of your own."""
    return await _one(desk, idempotency_key, book, _declaration(desk, data))


@post("/v1/books/{book:str}/pendings", guards=[may("post-own")], tags=TAGS)
async def reserve(
    book: FromPath[str],
    data: JSONBody[OwnPending],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OperationReceipt]:
    """Reserve entries in a book of your own until they are posted or voided."""
    return await _one(desk, idempotency_key, book, _reservation(desk, data))


@post("/v1/books/{book:str}/pendings/{pending:str}/posting", guards=[may("post-own")], tags=TAGS)
async def post_pending(
    book: FromPath[str],
    pending: FromPath[str],
    data: JSONBody[PendingToPost],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OperationReceipt]:
    """Post a pending, whole or in part; the rest of it is released."""
    return await _one(desk, idempotency_key, book, _posting(desk, pending, data))


@post("/v1/books/{book:str}/pendings/{pending:str}/void", guards=[may("post-own")], tags=TAGS)
async def void_pending(
    book: FromPath[str],
    pending: FromPath[str],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OperationReceipt]:
    """Release a pending whole."""
    return await _one(desk, idempotency_key, book, moves.VoidPending(pending=pending))


@post(
    "/v1/books/{book:str}/transactions/{transaction:str}/reversal",
    guards=[may("post-own")],
    tags=TAGS,
)
async def reverse(
    book: FromPath[str],
    transaction: FromPath[str],
    data: JSONBody[ToReverse],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OperationReceipt]:
    """Reverse a transaction or a posted pending of a book of your own, once and exactly."""
    return await _one(desk, idempotency_key, book, _reversal(transaction, data))


@post("/v1/books/{book:str}/batches", guards=[may("post-own")], tags=TAGS)
async def enter_batch(
    book: FromPath[str],
    data: JSONBody[OwnBatch],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[BatchReceipt]:
    """Do up to 2,000 operations in a book of your own, one after the other, all or none."""

    def asked() -> Asked:
        made = tuple(
            _operation(desk, one, place=_place(n)) for n, one in enumerate(data.operations)
        )
        return _asked(desk, idempotency_key, book, made, bulk=True)

    async def use_case(work: Work) -> BatchReceipt:
        entered = await house_moves.enter_own(work.conn, asked())
        promised = house.promised_in_bulk(_posted(entered))
        return BatchReceipt(
            records=list(entered.records), **promised, promise=promise(desk, promised)
        )

    async def differs(conn: AsyncConnection) -> list[str]:
        return await house_moves.differences(conn, asked())

    return await desk.command(use_case, key=idempotency_key, book=book, differs=differs)


async def _one(desk: Desk, key: str, book: str, move: Move) -> Response[OperationReceipt]:
    asked = _asked(desk, key, book, (move,), bulk=False)

    async def use_case(work: Work) -> OperationReceipt:
        entered = await house_moves.enter_own(work.conn, asked)
        promised = house.promised(_posted(entered))
        return OperationReceipt(
            record=entered.records[0],
            expires_at=entered.expires_at[0],
            **promised,
            promise=promise(desk, promised),
        )

    async def differs(conn: AsyncConnection) -> list[str]:
        return await house_moves.differences(conn, asked)

    return await desk.command(use_case, key=key, book=book, differs=differs)


def _asked(desk: Desk, key: str, book: str, asked: tuple[Move, ...], *, bulk: bool) -> Asked:
    return Asked(
        book=book,
        moves=asked,
        places=tuple(f"{_place(n)}.{_FIELD[type(one)]}" for n, one in enumerate(asked))
        if bulk
        else ("$",),
        command=desk.command_name(key),
        actor=desk.asker.actor,
        now=datetime.now(UTC),
    )


_FIELD: Mapping[type[Any], str] = {
    moves.Post: "transaction",
    moves.Reserve: "pending",
    moves.PostPending: "posting",
    moves.VoidPending: "void",
    moves.Reverse: "reversal",
    moves.Declare: "account",
}
"""The field of OwnOperation that each move is asked in."""


def _posted(entered: Entered) -> Posted:
    return Posted(book=entered.book, first=entered.first, leaf_hashes=entered.leaf_hashes)


# ---- from words to moves


def _place(nth: int) -> str:
    return f"$.operations[{nth}]"


def _operation(desk: Desk, one: OwnOperation, *, place: str) -> Move:
    given = [name for name in one.__struct_fields__ if getattr(one, name) is not None]
    if len(given) != 1:
        raise WrongInput(place, f"exactly one of {', '.join(one.__struct_fields__)}")
    match getattr(one, given[0]):
        case OwnTransaction() as said:
            return moves.Post(
                value_date=said.value_date,
                reference=said.reference,
                entries=_entries(desk, said.entries),
                corrects=said.corrects,
            )
        case OwnPending() as said:
            return _reservation(desk, said)
        case PostOfPending() as said:
            return _posting(desk, said.pending, said)
        case PendingById() as said:
            return moves.VoidPending(pending=said.pending)
        case ReversalOf() as said:
            return _reversal(said.transaction, said)
        case said:
            return _declaration(desk, said)


def _entries(desk: Desk, entries: Sequence[OwnEntry]) -> tuple[Entry, ...]:
    return own_entries(desk.asker.institution, entries)


def _declaration(desk: Desk, said: OwnAccount) -> Move:
    account = Account(desk.asker.institution, said.code, "", said.ref, said.currency)
    return moves.Declare(
        terms=AccountTerms(
            account=account,
            side=said.side,
            least_minor=said.least_minor,
            most_minor=said.most_minor,
        )
    )


def _reservation(desk: Desk, said: OwnPending) -> Move:
    return moves.Reserve(
        value_date=said.value_date,
        reference=said.reference,
        entries=_entries(desk, said.entries),
        lasts_seconds=said.lasts_seconds,
    )


def _posting(desk: Desk, pending: str, said: PendingToPost) -> Move:
    return moves.PostPending(
        pending=pending,
        entries=None if said.entries is None else _entries(desk, said.entries),
        value_date=said.value_date,
    )


def _reversal(transaction: str, said: ToReverse) -> Move:
    return moves.Reverse(
        transaction=transaction, reference=said.reference, value_date=said.value_date
    )


HANDLERS = (
    declare_account,
    reserve,
    post_pending,
    void_pending,
    reverse,
)
BULK_HANDLERS = (enter_batch,)
"""Routes whose bodies may be longer."""
