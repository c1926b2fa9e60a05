"""What stands on the accounts of a book: the trial balance, and statements over a period.

Answers are of one log position under its published head, as `ledger.listings` says, and stay the
same for ever. Balances are summed from entries, never read from stored ones, all by the one
question `ledger.store_queries.balances`.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import known, store_queries, wanted
from ledger.entries import Account
from ledger.errors import WrongInput
from ledger.known import KnownBook
from ledger.leaves import Actor
from ledger.listings import Sum, page_of, size_of, sums_of
from ledger.store import Found
from ledger.wanted import Wanted, check_interval, check_wanted

By = Literal["booking", "value"]


# ---- the trial balance


class TrialLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account: what was ever debited and credited (0 or below), and the balance between.

    pending_debits_minor, pending_credits_minor  what pendings not resolved by then reserve; no part
    of the balance
    """

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    debits_minor: int
    credits_minor: int
    balance_minor: int
    pending_debits_minor: int
    pending_credits_minor: int


class TrialSum(msgspec.Struct, frozen=True, kw_only=True):
    """One currency of the whole: debits and credits cancel, posted and pending apart, so each net
    is 0 where all is asked for."""

    currency: str
    accounts: int
    debits_minor: int
    credits_minor: int
    net_minor: int
    pending_debits_minor: int
    pending_credits_minor: int


class TrialBalance(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of a book as of a value or booking date, as known (试算平衡)."""

    book: str
    known_size: int
    checkpoint: known.Under | None
    lines: tuple[TrialLine, ...]
    sums: tuple[TrialSum, ...]


async def trial_balance(conn: AsyncConnection, *, at: KnownBook, filters: Wanted) -> TrialBalance:
    """Every account the filters leave entries of, in account order, and the sums by currency."""
    check_wanted(filters)
    rows = await store_queries.balances(conn, book=at.book, size=at.known_size, wanted=filters)
    pending = await _pendings(conn, at, filters)
    lines = (*_trial_lines(rows, pending), *pending.values())
    return TrialBalance(
        book=at.book,
        known_size=at.known_size,
        checkpoint=at.checkpoint,
        lines=lines,
        sums=_trial_sums(lines),
    )


def _trial_sums(lines: Sequence[TrialLine]) -> tuple[TrialSum, ...]:
    found = []
    for currency in sorted({line.currency for line in lines}):
        of_it = [line for line in lines if line.currency == currency]
        found.append(
            TrialSum(
                currency=currency,
                accounts=len(of_it),
                debits_minor=sum(line.debits_minor for line in of_it),
                credits_minor=sum(line.credits_minor for line in of_it),
                net_minor=sum(line.balance_minor for line in of_it),
                pending_debits_minor=sum(line.pending_debits_minor for line in of_it),
                pending_credits_minor=sum(line.pending_credits_minor for line in of_it),
            )
        )
    return tuple(found)


_Pending = dict[Account, TrialLine]
"""Lines of what is reserved, in account order; those whose account has come are taken out."""


async def _pendings(conn: AsyncConnection, at: KnownBook, filters: Wanted) -> _Pending:
    rows = await store_queries.pendings(conn, book=at.book, size=at.known_size, wanted=filters)
    return {
        _account(row): _trial_line(
            _account(row),
            pending_debits_minor=int(row.pending_debits_minor),
            pending_credits_minor=int(row.pending_credits_minor),
        )
        for row in rows
    }


def _trial_line(account: Account, **amounts: int) -> TrialLine:
    return TrialLine(
        party=account.party,
        code=account.code,
        counterparty=account.counterparty,
        ref=account.ref,
        currency=account.currency,
        **{name: amounts.get(name, 0) for name in _AMOUNTS},
    )


_AMOUNTS: Final = TrialLine.__struct_fields__[5:]


def _trial_lines(rows: Sequence[Found], pending: _Pending) -> Iterator[TrialLine]:
    """The store's balances as lines, in account order with what is only reserved before them; what
    is left in `pending` comes after."""
    for row in rows:
        account = _account(row)
        while pending and next(iter(pending)) < account:
            yield pending.pop(next(iter(pending)))
        reserved = pending.pop(account, None)
        yield _trial_line(
            account,
            debits_minor=int(row.debits_minor),
            credits_minor=int(row.credits_minor),
            balance_minor=int(row.balance_minor),
            pending_debits_minor=0 if reserved is None else reserved.pending_debits_minor,
            pending_credits_minor=0 if reserved is None else reserved.pending_credits_minor,
        )


async def every_trial_line(
    conn: AsyncConnection, *, at: KnownBook, filters: Wanted
) -> AsyncGenerator[tuple[TrialLine, ...], None]:
    """The trial balance's lines, page by page from a cursor of the database."""
    pending = await _pendings(conn, at, filters)
    async for page in store_queries.balance_stream(
        conn, book=at.book, size=at.known_size, wanted=filters
    ):
        yield tuple(_trial_lines(page, pending))
    yield tuple(pending.values())


# ---- statements


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account's balance before the first day of a statement and after its last."""

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    opening_minor: int
    closing_minor: int


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, with the balance of its account after it.

    corrects  the record that this one puts right; null for what is no correction
    of        the pending that a posting posts, or the record that a reversal takes back
    """

    position: int
    line: int
    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    amount_minor: int
    balance_minor: int
    value_date: date
    booking_date: date
    record: str
    kind: str
    fact: str | None
    actor: Actor
    corrects: str | None
    of: str | None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts of a book over a period (对账单), as known at a log position.

    by        which date the period is of: `booking` (in log order) or `value`
    accounts  every account that the filters take, touched in the period or not
    sums      over all lines of the period, not only this page's
    """

    book: str
    known_size: int
    checkpoint: known.Under | None
    by: By
    first_day: date | None
    last_day: date | None
    accounts: tuple[Standing, ...]
    lines: tuple[StatementLine, ...]
    sums: tuple[Sum, ...]
    next: str | None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Days of a statement, both inclusive; None: from the first, to the last known."""

    by: By
    first_day: date | None
    last_day: date | None

    def within(self, account: Wanted) -> Wanted:
        """The filters of what lies in the period."""
        if self.by == "booking":
            return replace(account, booking_from=self.first_day, booking_until=self.last_day)
        return replace(account, value_from=self.first_day, value_until=self.last_day)

    def until_its_end(self, account: Wanted) -> Wanted:
        """The filters of what lies in the period or before it."""
        return replace(self, first_day=None).within(account)


async def statement(
    conn: AsyncConnection,
    *,
    book: str,
    account: Wanted,
    period: Period,
    known_size: int | None,
    known_on: date | None,
    cursor: str | None,
    limit: int,
) -> Statement:
    """A page of the statement of the accounts that `account` names by its parts.

    Raises WrongInput where `account` filters by anything else than parts of an account, or the
    period ends before it begins.
    """
    page = page_of(limit)
    check_statement(account, period)
    question = wanted.digest("statement", book, account, period, known_size, known_on)
    after: tuple[Any, ...] | None = None
    if cursor is not None:
        shape = (int, int) if period.by == "booking" else (str, int, int)
        name, key = wanted.read_cursor(cursor, question, shape=shape)
        known_size, known_on = size_of(name), None
        after = key if period.by == "booking" else (_day(key[0]), *key[1:])
    at = await known.in_book(conn, book=book, known_size=known_size, known_on=known_on)
    within = period.within(account)
    standing = await standings(conn, at=at, account=account, period=period)
    rows = await store_queries.statement_lines(
        conn,
        book=book,
        size=at.known_size,
        wanted=within,
        by=period.by,
        after=after,
        limit=page + 1,
    )
    opening = {_account(one): one.opening_minor for one in standing}
    return Statement(
        book=book,
        known_size=at.known_size,
        checkpoint=at.checkpoint,
        by=period.by,
        first_day=period.first_day,
        last_day=period.last_day,
        accounts=standing,
        lines=tuple(_statement_line(row, opening) for row in rows[:page]),
        sums=await sums_of(conn, [(book, at.known_size)], within),
        next=_next_line(rows, page, question, at=at, by=period.by),
    )


_PARTS: Final = {"party", "code", "counterparty", "ref", "currency"}


def check_statement(account: Wanted, period: Period) -> None:
    """Nothing: the account is named by its parts, the period is one. Raises WrongInput."""
    check_wanted(account)
    for name in wanted.FILTERS:
        if name not in _PARTS and getattr(account, name) is not None:
            raise WrongInput(name, "no such filter on a statement, only parts of an account")
    check_interval("first_day", period.first_day, "last_day", period.last_day)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WrongInput("cursor", "the `next` of an earlier page of the same question") from error


async def standings(
    conn: AsyncConnection, *, at: KnownBook, account: Wanted, period: Period
) -> tuple[Standing, ...]:
    """Opening and closing balance of every account of the statement, in account order."""

    async def balances(filters: Wanted) -> dict[Account, int]:
        rows = await store_queries.balances(conn, book=at.book, size=at.known_size, wanted=filters)
        return {_account(row): int(row.balance_minor) for row in rows}

    closing = await balances(period.until_its_end(account))
    within = await balances(period.within(account))
    return tuple(
        Standing(
            party=one.party,
            code=one.code,
            counterparty=one.counterparty,
            ref=one.ref,
            currency=one.currency,
            opening_minor=balance_minor - within.get(one, 0),
            closing_minor=balance_minor,
        )
        for one, balance_minor in closing.items()
    )


def _account(row: Any) -> Account:
    return Account(row.party, row.code, row.counterparty, row.ref, row.currency)


def _statement_line(row: Found, opening: Mapping[Account, int]) -> StatementLine:
    return StatementLine(
        position=row.position,
        line=row.line,
        party=row.party,
        code=row.code,
        counterparty=row.counterparty,
        ref=row.ref,
        currency=row.currency,
        amount_minor=row.amount_minor,
        balance_minor=opening[_account(row)] + int(row.moved_minor),
        value_date=row.value_date,
        booking_date=row.booking_date,
        record=row.leaf_id,
        kind=row.kind,
        fact=row.fact,
        actor=msgspec.convert(row.actor, Actor),
        corrects=row.corrects,
        of=row.of_leaf,
    )


def _next_line(
    rows: Sequence[Found], page: int, question: str, *, at: KnownBook, by: By
) -> str | None:
    if len(rows) <= page:
        return None
    last = rows[page - 1]
    place: tuple[str | int, ...] = (last.position, last.line)
    if by == "value":
        place = (last.value_date.isoformat(), *place)
    return wanted.cursor(question, known=f"size:{at.known_size}", after=place)


async def every_statement_line(
    conn: AsyncConnection, *, at: KnownBook, account: Wanted, period: Period
) -> AsyncGenerator[tuple[StatementLine, ...], None]:
    """All lines of the statement, page by page from a cursor of the database."""
    standing = await standings(conn, at=at, account=account, period=period)
    opening = {_account(one): one.opening_minor for one in standing}
    async for page in store_queries.statement_stream(
        conn, book=at.book, size=at.known_size, wanted=period.within(account), by=period.by
    ):
        yield tuple(_statement_line(row, opening) for row in page)
