"""Our side of a house book (自有账簿): its balances and its cash on a day, known at a log size.

A house book has no loans and no rates: what it is kept for (`ref`) stands where a loan's number
would, its own codes where the mapping's would. Its cash are the accounts `cash` and `cash.…`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from ledger.errors import Conflict
from ledger.service import Balance
from syndicate.reconciliation.mapping import PLAIN
from syndicate.reconciliation.record import OurSide
from syndicate.reconciliation.statement import BankStatement, Expected, Figure, Movement

CASH: Final = "cash"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an account of cash. reference: the poster's own number; None where none."""

    position: int
    line: int
    leaf_id: str
    code: str
    ref: str
    amount_minor: int
    value_date: date
    booking_date: date
    reference: str | None


class OneCurrency(Conflict):
    """The book has accounts in no currency, or in several. Fields: currencies."""

    code = "not-one-currency"

    def __init__(self, currencies: Sequence[str]) -> None:
        super().__init__(
            "a statement is of one currency, and so must the book be", currencies=currencies
        )


def is_cash(code: str) -> bool:
    """Whether the account is one of cash."""
    return code == CASH or code.startswith(f"{CASH}.")


def house_side(
    *,
    book: str,
    owner: str,
    since: date,
    on: date,
    known_size: int,
    balances: Sequence[Balance],
    moved: Iterable[Moved],
) -> OurSide:
    """The book's side, from its balances by the day and its entries of cash around the period.

    Raises OneCurrency.
    """
    currencies = sorted({balance.account.currency for balance in balances})
    if len(currencies) != 1:
        raise OneCurrency(currencies)
    return OurSide(
        book=book,
        bank=owner,
        since=since,
        on=on,
        known_size=known_size,
        size=known_size,
        currency=currencies[0],
        mapping=PLAIN,
        expected=Expected(
            since=since, on=on, currency=currencies[0], loans=None, accounts=None, cash=None
        ),
        said=BankStatement(
            figures=tuple(_figures(balances)),
            statuses=(),
            movements=tuple(_movement(entry, since=since, on=on) for entry in moved),
        ),
        grounds={},
        around=(),
    )


def _figures(balances: Sequence[Balance]) -> Iterable[Figure]:
    sums: dict[tuple[str, str], int] = {}
    for balance in balances:
        key = (balance.account.ref, balance.account.code)
        sums[key] = sums.get(key, 0) + balance.balance_minor
    return _nonzero(sums)


def _nonzero(sums: Mapping[tuple[str, str], int]) -> Iterable[Figure]:
    for (ref, code), amount_minor in sums.items():
        if amount_minor:
            yield Figure(loan_no=ref, account=code, amount_minor=amount_minor, where="our record")


def _movement(entry: Moved, *, since: date, on: date) -> Movement:
    return Movement(
        loan_no=entry.ref,
        account=entry.code,
        amount_minor=entry.amount_minor,
        value_date=entry.value_date,
        booking_date=entry.booking_date,
        entry=f"{entry.leaf_id}/{entry.line}",
        references=() if entry.reference is None else (entry.reference,),
        standing="late"
        if entry.booking_date > on
        else "early"
        if entry.booking_date < since
        else "booked",
        where=f"position {entry.position}",
    )
