"""What a posting is, and what makes it whole. It never asks who the parties are.

An **account** belongs to one party inside one book and is named by what it is, not by a number:
(party, code, counterparty, ref, currency). An **entry** moves one account: debit positive, credit
negative. A **transaction** is a set of entries that closes for every (party, currency), so that
each party's own books close, whoever else took part.

Codes that begin with `due.` are debts between two parties of the book. They always come in mirrored
pairs, A's account with B and B's account with A, and cancel within each transaction: what one side
is owed the other side owes, at every position of the log.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from ledger.errors import WrongInput
from ledger.money import MAX_MINOR, SCALES

MIRRORED = "due."
MAX_ENTRIES = 2_000

_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,79}")


class Account(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """One party's account in a book.

    counterparty  the other side of a `due.` account; "" elsewhere
    ref           what the account is about (a draw, a claim); "" where it is about the whole book
    """

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One movement of one account; debit positive, credit negative, never 0."""

    account: Account
    amount_minor: int


class Transaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A set of entries that take effect together, on a value date (起息日).

    corrects  the leaf id this posting puts right, or None
    """

    value_date: date
    entries: tuple[Entry, ...]
    corrects: str | None


class NotBalanced(WrongInput):
    """A party's entries in one currency do not sum to zero."""

    def __init__(self, *, party: str, currency: str, sum_minor: int) -> None:
        super().__init__("$.entries", f"a sum of 0 for {party} in {currency}, not {sum_minor}")


class NotMirrored(WrongInput):
    """A debt between two parties does not stand alike on both sides."""

    def __init__(self, *, account: Account, sum_minor: int) -> None:
        super().__init__(
            "$.entries",
            f"{account.code} between {account.party} and {account.counterparty} mirrored, "
            f"not off by {sum_minor}",
        )


def check_whole(transaction: Transaction) -> None:
    """Nothing: the transaction closes for each party and currency, and its debts are mirrored.

    Raises NotBalanced, NotMirrored, or WrongInput for a malformed entry. The database repeats the
    same checks inside the posting statement; here they name the offence before a round trip.
    """
    if not 2 <= len(transaction.entries) <= MAX_ENTRIES:
        raise WrongInput("$.entries", f"2 to {MAX_ENTRIES} entries")
    for index, entry in enumerate(transaction.entries):
        _check_entry(entry, place=f"$.entries[{index}]")
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    debts: defaultdict[Account, int] = defaultdict(int)
    for entry in transaction.entries:
        account = entry.account
        sums[account.party, account.currency] += entry.amount_minor
        if account.code.startswith(MIRRORED):
            debts[min(account, mirror(account))] += entry.amount_minor
    for (party, currency), sum_minor in sums.items():
        if sum_minor:
            raise NotBalanced(party=party, currency=currency, sum_minor=sum_minor)
    for account, sum_minor in debts.items():
        if sum_minor:
            raise NotMirrored(account=account, sum_minor=sum_minor)


def _check_entry(entry: Entry, *, place: str) -> None:
    check_account(entry.account, place=place)
    if entry.amount_minor == 0 or abs(entry.amount_minor) > MAX_MINOR:
        raise WrongInput(f"{place}.amount_minor", f"an amount other than 0, at most {MAX_MINOR}")


def check_account(account: Account, *, place: str) -> None:
    """Nothing: the account is named as one can be. Raises WrongInput with the field's place."""
    for field in ("party", "code"):
        if _NAME.fullmatch(getattr(account, field)) is None:
            raise WrongInput(f"{place}.{field}", "a lower-case name of at most 80 characters")
    for field in ("counterparty", "ref"):
        value = getattr(account, field)
        if value and _NAME.fullmatch(value) is None:
            raise WrongInput(f"{place}.{field}", "a lower-case name of at most 80 characters")
    if account.currency not in SCALES:
        raise WrongInput(f"{place}.currency", f"a currency of {', '.join(sorted(SCALES))}")
    if account.code.startswith(MIRRORED) != bool(account.counterparty):
        raise WrongInput(
            f"{place}.counterparty", "a counterparty on `due.` accounts, and only there"
        )
    if account.party == account.counterparty:
        raise WrongInput(f"{place}.counterparty", "another party than the account's own")


def mirror(account: Account) -> Account:
    """The same debt as the other side keeps it."""
    return msgspec.structs.replace(account, party=account.counterparty, counterparty=account.party)


def debt(
    *, code: str, creditor: str, debtor: str, ref: str, currency: str, amount_minor: int
) -> tuple[Entry, Entry]:
    """The two mirrored entries by which `debtor` owes `creditor` that much more (less, if < 0)."""
    own = Account(creditor, code, debtor, ref, currency)
    return Entry(own, amount_minor), Entry(mirror(own), -amount_minor)


def merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same movements with one entry an account, in account order, zero movements left out."""
    sums: defaultdict[Account, int] = defaultdict(int)
    for entry in entries:
        sums[entry.account] += entry.amount_minor
    return tuple(Entry(account, sums[account]) for account in sorted(sums) if sums[account])


def fold(transactions: Iterable[Sequence[Entry]]) -> dict[Account, int]:
    """Every account's balance after these entries: the one definition of a balance (I3)."""
    balances: defaultdict[Account, int] = defaultdict(int)
    for entries in transactions:
        for entry in entries:
            balances[entry.account] += entry.amount_minor
    return dict(balances)
