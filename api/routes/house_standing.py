"""What stands in a book now: pendings not yet resolved, and accounts with their terms.

Answers as of this moment, for whoever must act on them; pendings also as known at a log size, as
balances are (`ledger_entries`), which never changes.
"""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk
from api.identity import may
from ledger import house_moves, known
from ledger import service as ledger
from ledger.errors import WrongInput
from ledger.known import Under
from ledger.store import Found

TAGS = ["house books"]
MAX_PAGE = 500


class PendingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a pending."""

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    amount_minor: int


class PendingNow(msgspec.Struct, frozen=True, kw_only=True):
    """A pending that stands: nothing has posted or voided it (by then)."""

    pending: str
    position: int
    reference: str | None
    value_date: date
    expires_at: datetime | None
    entries: list[PendingEntry]


class PendingsNow(msgspec.Struct, frozen=True, kw_only=True):
    """A page of standing pendings. next: pass it as `after`; null at the end.

    known_size  the log size they stood at, as asked; null: they stand now, published or not
    checkpoint  the earliest published head over that size
    """

    book: str
    known_size: int | None
    checkpoint: Under | None
    pendings: list[PendingNow]
    next: int | None


class AccountNow(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands and how far it may go, side and limits taken together.

    pending_debits_minor, pending_credits_minor  what pendings reserve, credits negative, as in a
                                                 trial balance; no part of the balance
    """

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    balance_minor: int
    pending_debits_minor: int
    pending_credits_minor: int
    side: str | None
    least_minor: int | None
    most_minor: int | None


class AccountsNow(msgspec.Struct, frozen=True, kw_only=True):
    """A page of accounts. next: pass it as `after`; null at the end."""

    book: str
    accounts: list[AccountNow]
    next: int | None


@get("/v1/books/{book:str}/pendings", guards=[may("read-ledger")], tags=TAGS)
async def pendings(
    desk: AtDesk,
    book: FromPath[str],
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    after: FromQuery[int] = -1,
    limit: FromQuery[int] = 100,
) -> PendingsNow:
    """Pendings of a book that stand now, in log order; entries of accounts that you may see.

    With `known_size` or `known_on` those that stood then: asked again, the same for ever.
    """
    page = _page(limit)

    async def question(conn: AsyncConnection) -> PendingsNow:
        await ledger.book(conn, book=book)
        at = None
        if known_size is not None or known_on is not None:
            at = await known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
        size = None if at is None else at.known_size
        found = await house_moves.standing_pendings(
            conn, book=book, size=size, after=after, limit=page + 1
        )
        shown = [_pending(row) for row in found[:page]]
        more = len(found) > page
        return PendingsNow(
            book=book,
            known_size=size,
            checkpoint=None if at is None else at.checkpoint,
            pendings=shown,
            next=shown[-1].position if more else None,
        )

    return await desk.ask(question)


@get("/v1/books/{book:str}/accounts", guards=[may("read-ledger")], tags=TAGS)
async def accounts(
    desk: AtDesk, book: FromPath[str], after: FromQuery[int] = 0, limit: FromQuery[int] = 100
) -> AccountsNow:
    """Accounts of a book that you may see: their terms, and what is posted and pending now."""
    page = _page(limit)

    async def question(conn: AsyncConnection) -> AccountsNow:
        await ledger.book(conn, book=book)
        found = await house_moves.accounts(conn, book=book, after=after, limit=page + 1)
        shown = [_account(row) for row in found[:page]]
        more = len(found) > page
        return AccountsNow(
            book=book, accounts=shown, next=found[page - 1].account_no if more else None
        )

    return await desk.ask(question)


def _page(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise WrongInput("limit", f"1 to {MAX_PAGE}")
    return limit


def _pending(row: Found) -> PendingNow:
    subject: Mapping[str, object] = row.subject
    reference = subject.get("reference")
    return PendingNow(
        pending=row.leaf_id,
        position=row.position,
        reference=reference if isinstance(reference, str) else None,
        value_date=row.value_date,
        expires_at=row.expires_at,
        entries=[PendingEntry(**line) for line in row.lines],
    )


def _account(row: Found) -> AccountNow:
    return AccountNow(
        party=row.party,
        code=row.code,
        counterparty=row.counterparty,
        ref=row.ref,
        currency=row.currency,
        balance_minor=row.balance_minor,
        pending_debits_minor=row.pending_debit_minor,
        pending_credits_minor=-row.pending_credit_minor,
        side=row.side,
        least_minor=row.least_minor,
        most_minor=row.most_minor,
    )


HANDLERS = (pendings, accounts)
