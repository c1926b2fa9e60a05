"""How a closed day's balances are sealed so that one can be shown without the others.

At the close of a day every account's balance becomes one **balance leaf**: canonical JSON of the
account, the balance, the day and a salt. The leaves, sorted by account, form a tree of their own
(RFC 6962) whose root stands in the book's day seal. Each leaf has its own salt, made from the
book's secret salt, so that a party shown one balance with its proof learns no other, not even by
guessing amounts. Nothing is read or stored here.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import msgspec

from ledger import merkle
from ledger.documents import canonical, read_document, read_hash
from ledger.entries import Account
from ledger.errors import WrongInput

SALT_SIZE: Final = 32


class DaySeal(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag=True,
):
    """The subject of a seal leaf: a day is closed and never changes again.

    size           of the log before the seal, which is the seal's own position
    root           hex of the root of these leaves
    balances_root  hex, see `balances_root`
    previous       position of the seal before it, None for the first
    """

    day: date
    size: int
    root: str
    balances_root: str
    previous: int | None


class BalanceLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One account's balance at the close of a day. salt: hex of 32 bytes."""

    account: Account
    balance_minor: int
    day: date
    salt: str


class SealedBalance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What convinces a party of one balance, given the day seal; as it stands in a document.

    leaf    the text of the balance leaf, verbatim
    hashes  hex, the inclusion path of the leaf at `index` among `size`, bottom up
    """

    leaf: str
    index: int
    size: int
    hashes: tuple[str, ...]


def leaf_salt(*, salt: bytes, day: date, account: Account) -> bytes:
    """HMAC-SHA256 under the book's salt over the day, a newline and the canonical account.

    salt  the book's 32 secret bytes
    """
    return _leaf_salt(salt, day.isoformat().encode(), _account_bytes(account))


def balance_leaf(*, account: Account, balance_minor: int, day: date, salt: bytes) -> bytes:
    """The canonical bytes of a `BalanceLeaf`; salt: the book's, not the leaf's."""
    return _leaf(_account_bytes(account), balance_minor, day.isoformat().encode(), salt)


def balances_root(balances: Mapping[Account, int], *, salt: bytes, day: date) -> bytes:
    """The root over the balance leaves in account order, balances of zero included.

    balances  every account of the book that an entry ever touched
    salt      the book's 32 secret bytes
    """
    return merkle.root(_leaf_hashes(balances, salt=salt, day=day))


def prove_balance(
    balances: Mapping[Account, int], *, account: Account, salt: bytes, day: date
) -> SealedBalance:
    """One account's balance with its path to the day's `balances_root`.

    Raises WrongInput where the book has no such account.
    """
    if account not in balances:
        raise WrongInput("account", "an account of the book")
    index = sorted(balances).index(account)
    hashes = _leaf_hashes(balances, salt=salt, day=day)
    path = merkle.inclusion_proof(index=index, size=len(hashes), node=merkle.lookup_in(hashes))
    leaf = balance_leaf(account=account, balance_minor=balances[account], day=day, salt=salt)
    return SealedBalance(
        leaf=leaf.decode(),
        index=index,
        size=len(hashes),
        hashes=tuple(step.hex() for step in path),
    )


def verify_balance(
    shown: SealedBalance, *, balances_root: bytes, day: date, place: str
) -> BalanceLeaf:
    """The balance that the seal's root vouches for.

    Raises WrongInput at the place where the leaf is malformed, of another day, or not under the
    root.
    """
    raw = shown.leaf.encode()
    leaf = read_document(raw, BalanceLeaf, place=f"{place}.leaf")
    if canonical(leaf) != raw or leaf.day != day:
        raise WrongInput(f"{place}.leaf", f"the canonical balance leaf of {day}")
    if not merkle.verify_inclusion(
        leaf=merkle.leaf_hash(raw),
        index=shown.index,
        size=shown.size,
        proof=[
            read_hash(step, place=f"{place}.hashes[{nth}]") for nth, step in enumerate(shown.hashes)
        ],
        root=balances_root,
    ):
        raise WrongInput(f"{place}.hashes", "an inclusion path up to the seal's balances root")
    return leaf


def _leaf_hashes(balances: Mapping[Account, int], *, salt: bytes, day: date) -> Sequence[bytes]:
    if len(salt) != SALT_SIZE:
        raise WrongInput("salt", f"{SALT_SIZE} bytes")
    spoken = day.isoformat().encode()
    return [
        merkle.leaf_hash(_leaf(_account_bytes(account), balances[account], spoken, salt))
        for account in sorted(balances)
    ]


def _leaf(account: bytes, balance_minor: int, day: bytes, salt: bytes) -> bytes:
    """Written by hand: a seal of 100,000 accounts is no place for a general JSON writer."""
    return b'{"account":%b,"balance_minor":%d,"day":"%b","salt":"%b"}' % (
        account,
        balance_minor,
        day,
        _leaf_salt(salt, day, account).hex().encode(),
    )


def _leaf_salt(salt: bytes, day: bytes, account: bytes) -> bytes:
    return hmac.digest(salt, day + b"\n" + account, "sha256")


@lru_cache(maxsize=65_536)
def _account_bytes(account: Account) -> bytes:
    return canonical(account)
