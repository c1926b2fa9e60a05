"""What may be asked about facilities, and whether the asker has a part in the answer.

facilities     which there are
facility_log   everything its log says; `views` shows a party its side of it
traced         what a record rests on, down to the term sheet
statement      a party's own accounts in the facility, line by line, with running balances
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.entries import MAX_ENTRIES, Account
from ledger.errors import Absent, WrongInput
from ledger.service import HeldBook
from ledger.store import Found
from ledger.wanted import check_interval
from syndicate.facility import records, store
from syndicate.facility.checks import check_name
from syndicate.facility.log import FacilityLog
from syndicate.facility.views import Viewer
from syndicate.facility.views_cash import TraceStep
from syndicate.facility.views_cash import traced as steps_of

MAX_LINES = 500


class FacilityRow(msgspec.Struct, frozen=True, kw_only=True):
    """A facility one takes part in."""

    facility: str
    negotiation: str | None
    borrower: str
    lead: str
    form: str
    currency: str
    total_minor: int
    signed_on: date


async def facilities(conn: AsyncConnection) -> list[FacilityRow]:
    """The facilities the asker takes part in, the latest signed first; all for an auditor."""
    return [
        FacilityRow(
            facility=row.facility,
            negotiation=row.negotiation,
            borrower=row.borrower,
            lead=row.lead,
            form=row.form,
            currency=row.currency,
            total_minor=row.total_minor,
            signed_on=row.signed_on,
        )
        for row in await store.facilities(conn)
    ]


async def facility_log(conn: AsyncConnection, *, facility: str) -> FacilityLog:
    """Everything the facility's log says. Absent where the asker has no part in it."""
    await records.check_facility(conn, facility)
    return await records.load(conn, facility)


async def facility_book(conn: AsyncConnection, *, facility: str) -> tuple[FacilityLog, HeldBook]:
    """The same, and the facility's book with its open business day."""
    log = await facility_log(conn, facility=facility)
    return log, await ledger.book(conn, book=facility)


async def traced(
    conn: AsyncConnection, *, facility: str, record: str, viewer: Viewer
) -> tuple[TraceStep, ...]:
    """What the record rests on, the latest first, for who recorded it or has an entry under it.

    Raises Absent for any other record, and for an id that is none.
    """
    log = await facility_log(conn, facility=facility)
    name = log.records.get(record)
    if name is None:
        raise Absent(f"no record {record} in this facility")
    own = viewer.everything or log.noted[name].actor.institution == viewer.institution
    if not own:
        own = bool(
            await ledger.entries(
                conn, book=facility, wanted={"record": record}, after=(-1, -1), limit=1
            )
        )
    if not own:
        raise Absent(f"no record {record} in this facility")
    return steps_of(log, name)


# ---- statements


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account's balance, minor units, debit positive."""

    code: str
    counterparty: str
    ref: str
    balance_minor: int


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, with the balance of its account after it. record: what it rests on can be asked.

    fact  the kind of thing that happened, as PaymentConfirmed
    """

    position: int
    record: str
    fact: str | None
    booking_date: date
    value_date: date
    code: str
    counterparty: str
    ref: str
    amount_minor: int
    balance_minor: int


class AccountStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A party's accounts in a facility (对账单), as known at a published log size.

    opening, closing  the accounts the lines touch, before the first line and after the last
    next              pass it as `after` for the rest; null at the end
    """

    facility: str
    party: str
    currency: str
    known_size: int
    opening: tuple[AccountLine, ...]
    lines: tuple[StatementLine, ...]
    closing: tuple[AccountLine, ...]
    next: int | None


async def statement(
    conn: AsyncConnection,
    *,
    facility: str,
    party: str,
    code: str | None,
    ref: str | None,
    booking_from: date | None,
    booking_until: date | None,
    known_size: int | None,
    known_on: date | None,
    after: int,
    limit: int,
) -> AccountStatement:
    """The party's entries in log order: `limit` of them, and the rest of the last one's record.

    known_size, known_on  at most one: as known at that log size, or at that day's close; as known
                          now (the last published size) where neither is given. The answer to one
                          size, or one closed day, never changes
    after  position of the last record of the page before; -1 at first
    limit  1 to MAX_LINES
    Whose accounts the asker may see is the database's rule: others' look as if there were none.
    """
    if not 1 <= limit <= MAX_LINES:
        raise WrongInput("limit", f"1 to {MAX_LINES}")
    if known_size is not None and known_on is not None:
        raise WrongInput("known_on", "either known_on or known_size, not both")
    if known_size is not None and known_size < 0:
        raise WrongInput("known_size", "0 or more leaves")
    for place, name in (("party", party), ("code", code), ("ref", ref)):
        if name:
            check_name(name, place=place)
    check_interval("booking_from", booking_from, "booking_until", booking_until)
    log = await facility_log(conn, facility=facility)
    if known_on is not None:
        known_size = await ledger.size_at_close(conn, book=facility, day=known_on)
    size = await ledger.known_size(conn, book=facility, asked=known_size)
    wanted = {"party": party, "code": code, "ref": ref}
    period = {"booking_from": booking_from, "booking_until": booking_until}
    rows = await ledger.entries(
        conn,
        book=facility,
        wanted={**wanted, **period, "known_size": size},
        after=(after, MAX_ENTRIES),
        limit=limit + MAX_ENTRIES,
    )
    page = [row for row in rows if row.position <= rows[:limit][-1].position]
    balances: defaultdict[Account, int] = defaultdict(int)
    if page:
        before = {**wanted, "known_size": page[0].position}
        for found in await ledger.balances(conn, book=facility, wanted=before):
            balances[found.account] = found.balance_minor
    touched = sorted({_account(row) for row in page})
    opening = _accounts(balances, touched)
    lines = tuple(_line(row, balances) for row in page)
    return AccountStatement(
        facility=facility,
        party=party,
        currency=log.state.terms.currency,
        known_size=size,
        opening=opening,
        lines=lines,
        closing=_accounts(balances, touched),
        next=page[-1].position if len(page) < len(rows) else None,
    )


def _account(row: Found) -> Account:
    return Account(row.party, row.code, row.counterparty, row.ref, row.currency)


def _line(row: Found, balances: defaultdict[Account, int]) -> StatementLine:
    """The row as a line; `balances` are then those after it."""
    account = _account(row)
    balances[account] += row.amount_minor
    return StatementLine(
        position=row.position,
        record=row.leaf_id,
        fact=row.fact,
        booking_date=row.booking_date,
        value_date=row.value_date,
        code=row.code,
        counterparty=row.counterparty,
        ref=row.ref,
        amount_minor=row.amount_minor,
        balance_minor=balances[account],
    )


def _accounts(
    balances: Mapping[Account, int], touched: Sequence[Account]
) -> tuple[AccountLine, ...]:
    return tuple(
        AccountLine(
            code=account.code,
            counterparty=account.counterparty,
            ref=account.ref,
            balance_minor=balances.get(account, 0),
        )
        for account in touched
    )
