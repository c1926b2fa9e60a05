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
from ledger.documents import canonical, read_document
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


class BalanceProof(msgspec.Struct, frozen=True, kw_only=True):
    """What convinces a party of one balance, given the day seal.

    leaf  the bytes of the balance leaf
    path  inclusion proof of the leaf at `index` among `size`
    """

    leaf: bytes
    index: int
    size: int
    path: tuple[bytes, ...]


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
) -> BalanceProof:
    """The proof of one account's balance under the day's `balances_root`.

    Raises WrongInput where the book has no such account.
    """
    if account not in balances:
        raise WrongInput("account", "an account of the book")
    index = sorted(balances).index(account)
    hashes = _leaf_hashes(balances, salt=salt, day=day)
    path = merkle.inclusion_proof(index=index, size=len(hashes), node=merkle.lookup_in(hashes))
    leaf = balance_leaf(account=account, balance_minor=balances[account], day=day, salt=salt)
    return BalanceProof(leaf=leaf, index=index, size=len(hashes), path=tuple(path))


def verify_balance(proof: BalanceProof, *, balances_root: bytes, day: date) -> BalanceLeaf:
    """The balance that the seal's root vouches for.

    Raises WrongInput where the leaf is malformed, of another day, or not under the root.
    """
    leaf = read_document(proof.leaf, BalanceLeaf, place="$.leaf")
    if canonical(leaf) != proof.leaf or leaf.day != day:
        raise WrongInput("$.leaf", f"the canonical balance leaf of {day}")
    if not merkle.verify_inclusion(
        leaf=merkle.leaf_hash(proof.leaf),
        index=proof.index,
        size=proof.size,
        proof=proof.path,
        root=balances_root,
    ):
        raise WrongInput("$.path", "an inclusion proof up to the seal's balances root")
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
