"""Balances sealed so that one can be shown and proved without the others."""

import hmac
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle, seals
from ledger.documents import canonical
from ledger.entries import Account
from ledger.errors import WrongInput

DAY = date(2025, 12, 31)
SALT = bytes(range(32))

names = st.text("abz09._:-", min_size=1, max_size=8)
accounts = st.builds(
    Account, party=names, code=names, counterparty=names, ref=names, currency=st.just("CNY")
)
balances = st.dictionaries(accounts, st.integers(-(2**53) + 1, 2**53 - 1), max_size=20)


def slow_leaf(account, balance, day, salt):
    """The leaf as the general canonical writer writes it."""
    spoken = canonical(msgspec.to_builtins(account))
    own = hmac.new(salt, day.isoformat().encode() + b"\n" + spoken, "sha256").hexdigest()
    return canonical(
        {
            "account": msgspec.to_builtins(account),
            "balance_minor": balance,
            "day": day.isoformat(),
            "salt": own,
        }
    )


@given(accounts, st.integers(-(2**53) + 1, 2**53 - 1), st.dates())
def test_a_balance_leaf_is_canonical_json_with_its_own_salt(account, balance, day):
    made = seals.balance_leaf(account=account, balance_minor=balance, day=day, salt=SALT)
    assert made == slow_leaf(account, balance, day, SALT)


@given(balances)
def test_the_root_is_over_all_accounts_in_order_zero_balances_included(stood):
    expected = merkle.root(
        [merkle.leaf_hash(slow_leaf(key, stood[key], DAY, SALT)) for key in sorted(stood)]
    )
    assert seals.balances_root(stood, salt=SALT, day=DAY) == expected
    reversed_order = dict(reversed(list(stood.items())))
    assert seals.balances_root(reversed_order, salt=SALT, day=DAY) == expected


def test_an_account_that_came_back_to_zero_changes_the_root():
    account = Account("hzbank", "cash", "", "", "CNY")
    empty = seals.balances_root({}, salt=SALT, day=DAY)
    assert empty == merkle.EMPTY_ROOT
    assert seals.balances_root({account: 0}, salt=SALT, day=DAY) != empty


@given(balances.filter(bool), st.data())
def test_one_balance_is_proved_without_the_others(stood, data):
    account = data.draw(st.sampled_from(sorted(stood)))
    root = seals.balances_root(stood, salt=SALT, day=DAY)
    proof = seals.prove_balance(stood, account=account, salt=SALT, day=DAY)
    leaf = seals.verify_balance(proof, balances_root=root, day=DAY, place="$")
    assert (leaf.account, leaf.balance_minor) == (account, stood[account])


STOOD = {Account(party, "cash", "", "", "CNY"): number for number, party in enumerate("abcde")}
ROOT = seals.balances_root(STOOD, salt=SALT, day=DAY)
PROOF = seals.prove_balance(STOOD, account=sorted(STOOD)[2], salt=SALT, day=DAY)
CHEATS = {
    "another balance": {"leaf": PROOF.leaf.replace('"balance_minor":2', '"balance_minor":3')},
    "a blank in the leaf": {"leaf": PROOF.leaf.replace(":2,", ": 2,")},
    "another index": {"index": 1},
    "an index before the first": {"index": -1},
    "a short path": {"hashes": PROOF.hashes[:-1]},
    "a hash in another spelling": {"hashes": (PROOF.hashes[0].upper(), *PROOF.hashes[1:])},
    "a hash that is none": {"hashes": ("zz", *PROOF.hashes[1:])},
    "an unknown field": {"leaf": PROOF.leaf.replace('"day"', '"dai"')},
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_changed_proof_is_refused(cheat):
    changed = msgspec.structs.replace(PROOF, **CHEATS[cheat])
    with pytest.raises(WrongInput, match=r"\$\.(leaf|hashes)"):
        seals.verify_balance(changed, balances_root=ROOT, day=DAY, place="$")


@pytest.mark.parametrize("day", [date(2025, 12, 30), date(2026, 1, 1)], ids=["before", "after"])
def test_a_proof_is_of_its_own_day_only(day):
    with pytest.raises(WrongInput):
        seals.verify_balance(PROOF, balances_root=ROOT, day=day, place="$")


def test_a_balance_of_an_account_that_is_not_there_has_no_proof():
    with pytest.raises(WrongInput):
        seals.prove_balance(STOOD, account=Account("x", "", "", "", "CNY"), salt=SALT, day=DAY)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_has_32_bytes(length):
    with pytest.raises(WrongInput):
        seals.balances_root(STOOD, salt=bytes(length), day=DAY)


def test_salts_differ_by_day_account_and_book():
    first, second = sorted(STOOD)[:2]
    salts = {
        seals.leaf_salt(salt=SALT, day=DAY, account=first),
        seals.leaf_salt(salt=SALT, day=DAY, account=second),
        seals.leaf_salt(salt=SALT, day=date(2026, 1, 1), account=first),
        seals.leaf_salt(salt=bytes(32), day=DAY, account=first),
    }
    assert len(salts) == 4


def test_a_day_seal_stands_in_a_leaf_under_its_name():
    seal = seals.DaySeal(day=DAY, size=3, root="00", balances_root="11", previous=None)
    written = msgspec.to_builtins(seal)
    assert written["type"] == "DaySeal"
    assert written["day"] == "2025-12-31"
    assert msgspec.convert(written, seals.DaySeal) == seal
