"""The proof of a balance holds offline under a policy, and says nothing but that balance."""

import json

import msgspec
import pytest

from ledger import merkle, notes, proven
from ledger.documents import canonical
from ledger.entries import Account
from ledger.errors import WrongInput
from ledger.notes import Policy, VerifierKey
from ledger.proven import BalanceProof
from tests.ledger.installation import (
    DAYS,
    NAME,
    WITNESSES,
    Installation,
    balances,
    edited,
    key,
    told,
)
from tests.ledger.proof_documents import balance_proof_of, holding, log_proof, receipt_of

CASH = Account("hzbank", "cash", "", "", "CNY")
OWED = Account("hzbank", "due.principal", "borrower", "draw-2", "CNY")
SEALS = {3: DAYS[0], 7: DAYS[1]}


@pytest.fixture(scope="module")
def story() -> Installation:
    return told()


@pytest.fixture(scope="module")
def good(story: Installation) -> BalanceProof:
    return balance_proof_of(story, "fac-1", 7, CASH)


def verified(proof: BalanceProof, of: Installation) -> proven.Verdict:
    """The verdict on the proof as it comes out of a file."""
    read = proven.read(msgspec.json.encode(proof))
    assert read == proof
    return proven.verify(read, of.policy, leaf_hash=None)


# ---- proofs that hold


@pytest.mark.parametrize("seal", SEALS)
def test_every_balance_under_every_seal_has_a_proof_that_holds(story, seal):
    stood = balances(story.books["fac-1"][:seal])
    assert len(stood) == {3: 4, 7: 6}[seal]
    for account, balance_minor in stood.items():
        verdict = verified(balance_proof_of(story, "fac-1", seal, account), story)
        assert verdict.verified, verdict
        assert verdict.document()["balance"] == {
            "account": msgspec.to_builtins(account),
            "day": SEALS[seal].isoformat(),
            "balance_minor": balance_minor,
        }
        assert (verdict.book, verdict.position) == ("fac-1", seal)
        assert verdict.witnesses == list(WITNESSES)
        assert "why" not in verdict.document()


def test_the_verdict_says_in_words_what_is_proved_and_what_is_not(story, good):
    verdict = verified(good, story)
    assert verdict.proved[0] == (
        "at the close of 2025-09-28 account cash of hzbank in book fac-1 stood at -7.99 CNY, "
        "debit positive, credit negative"
    )
    assert verdict.proved[1].startswith(f"leaf 7 of book fac-1 has the hash {verdict.leaf_hash}")
    owed = verified(balance_proof_of(story, "fac-1", 7, OWED), story)
    assert "account due.principal towards borrower for draw-2 of hzbank" in owed.proved[0]
    assert verdict.not_proved[:-1] == list(proven.NOT_PROVED)
    assert "independent of the operator" in verdict.not_proved[-1]
    of_record = proven.verify(good.receipt, story.policy, leaf_hash=None)
    assert of_record.proved == verdict.proved[1:], "a balance says what its receipt says, and more"


def test_a_proof_shows_no_other_balance(story, good):
    raw = msgspec.json.encode(good)
    for account, balance_minor in balances(story.books["fac-1"][:7]).items():
        said = b'"balance_minor\\":%d,' % balance_minor
        assert (said in raw) == (account == CASH)


# ---- proofs that do not


def altered(proof, **changes):
    return msgspec.structs.replace(proof, **changes)


def swapped(text, old, new):
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def test_each_part_of_a_proof_is_bound_to_the_others(story, good):
    shown, kept = good.balance, good.receipt
    before = balance_proof_of(story, "fac-1", 3, CASH)
    other = balance_proof_of(story, "fac-1", 7, OWED)
    path, note = kept.in_book.split("\n\n", 1)

    def balance(**changes):
        return altered(good, balance=altered(shown, **changes))

    def leaf(**changes):
        return balance(leaf=canonical({**json.loads(shown.leaf), **changes}).decode())

    def receipt(**changes):
        return altered(good, receipt=altered(kept, **changes))

    cheats = {
        "another amount": leaf(balance_minor=-1),
        "another day": leaf(day="2025-09-29"),
        "another account": leaf(account=msgspec.to_builtins(OWED)),
        "another salt": leaf(salt="0" * 64),
        "one thing more": leaf(note="trust me"),
        "a leaf in another spelling": balance(leaf=shown.leaf.replace(":", ": ", 1)),
        "a leaf that is none": balance(leaf="{}"),
        "deep nonsense for a leaf": balance(leaf="[" * 10_000),
        "another leaf": balance(leaf=other.balance.leaf),
        "another path": balance(hashes=other.balance.hashes),
        "another place": balance(index=shown.index + 1),
        "a place before the first": balance(index=-1),
        "a place beyond the last": balance(index=shown.size),
        "a smaller tree": balance(size=1),
        "a path cut short": balance(hashes=shown.hashes[:-1]),
        "a path made longer": balance(hashes=(*shown.hashes, shown.hashes[0])),
        "a path that is not hex": balance(hashes=("zz", *shown.hashes[1:])),
        "a path in capitals": balance(hashes=tuple(one.upper() for one in shown.hashes)),
        "the balance of the day before": altered(good, balance=before.balance),
        "the seal of the day before": altered(good, seal=before.seal),
        "the seal and its receipt of the day before": altered(
            good, seal=before.seal, receipt=before.receipt
        ),
        "the receipt of the day before": altered(good, receipt=before.receipt),
        "a seal's bytes": altered(good, seal=swapped(good.seal, '"', "'")),
        "a seal of another root": altered(
            good, seal=swapped(good.seal, '"balances_root":"', '"balances_root":"0')
        ),
        "no seal": altered(good, seal=""),
        "a seal with a lone surrogate": altered(good, seal="\ud800"),
        "another record for a seal": altered(
            good,
            seal=story.books["fac-1"][6].decode(),
            receipt=receipt_of(story, "fac-1", 6),
        ),
        "a draw for a seal": altered(
            good,
            seal=story.books["fac-1"][4].decode(),
            receipt=receipt_of(story, "fac-1", 4),
        ),
        "another leaf's hash": receipt(leaf_hash=before.receipt.leaf_hash),
        "a hash in capitals": receipt(leaf_hash=kept.leaf_hash.upper()),
        "another position": receipt(position=6),
        "another book": receipt(book="fac-2"),
        "the top log": receipt(book="top"),
        "a log path cut short": receipt(in_book=path.rpartition("\n")[0] + "\n\n" + note),
        "a log path that is not base64": receipt(
            in_book=path.rpartition("\n")[0] + "\nzz" + "\n\n" + note
        ),
        "another size of the head": receipt(in_book=swapped(kept.in_book, "fac-1\n", "fac-1\n1")),
        "a top leaf's bytes": receipt(head=swapped(kept.head, '"', "'")),
        "no top leaf": receipt(head=""),
        "a top leaf of another book": receipt(head=swapped(kept.head, '"top"', '"fac-1"')),
        "the book's head as the top's": receipt(in_top=kept.in_book),
    }
    assert verified(good, story).verified
    for what, cheat in cheats.items():
        verdict = proven.verify(cheat, story.policy, leaf_hash=None)
        assert not verdict.verified, what
        assert verdict.why, what
        assert not verdict.proved, what
        assert verdict.balance is None, what


def test_a_head_that_the_log_did_not_sign_proves_nothing(story, good):
    """Nor one that it did sign, and that does not stand in the top log."""
    head = notes.Checkpoint(
        origin=notes.origin(installation=NAME, book="fac-1"),
        size=len(story.books["fac-1"]),
        root=merkle.root([merkle.leaf_hash(raw) for raw in story.books["fac-1"]]),
    )
    for changes, signer in (
        ({}, key("forger")),
        ({"root": bytes(32)}, key("forger")),
        ({"root": bytes(32)}, key("log")),
        ({"size": head.size + 1}, key("log")),
    ):
        forged = msgspec.structs.replace(head, **changes)
        note = notes.sign_checkpoint(forged, name=NAME, signer=signer)
        in_book = log_proof(story.books["fac-1"], 7, note)
        cheat = altered(good, receipt=altered(good.receipt, in_book=in_book))
        assert not proven.verify(cheat, story.policy, leaf_hash=None).verified


def test_a_log_forged_with_the_right_keys_does_not_hold_under_a_head_that_witnesses_saw(story):
    """The operator writes another past and signs it: the two books have no head in common."""

    def richer(book, position, raw):
        if (book, position) != ("fac-1", 4):
            return raw
        return edited(raw, entries=json.loads(raw.replace(b"300", b"900"))["entries"])

    forged = told(alter=richer)
    cheat = balance_proof_of(forged, "fac-1", 7, CASH)
    assert verified(cheat, forged).verified, "it is whole in itself"
    honest = receipt_of(story, "fac-1", 7)
    assert cheat.receipt.in_book != honest.in_book
    mixed = altered(cheat, receipt=altered(cheat.receipt, head=honest.head, in_top=honest.in_top))
    assert not verified(mixed, story).verified
    assert not verified(altered(cheat, receipt=honest), story).verified


def test_the_policy_says_whose_keys_count_and_how_many(story, good):
    assert not proven.verify(good, told(world="forged").policy, leaf_hash=None).verified
    witnesses = story.policy.witnesses
    too_few = told(cosigners=("hzbank",))
    verdict = verified(balance_proof_of(too_few, "fac-1", 7, CASH), too_few)
    assert verdict.why == "1 of the 2 cosignatures the policy asks for"
    stranger = VerifierKey("hzbank", notes.COSIGNATURE_V1, key("stranger").public)
    for policy, holds in (
        (Policy(log=story.policy.log, witnesses=witnesses[:1], threshold=1), True),
        (Policy(log=story.policy.log, witnesses=(), threshold=0), True),
        (Policy(log=story.policy.log, witnesses=(stranger,), threshold=1), False),
        (
            Policy(
                log=VerifierKey(NAME, notes.ED25519, key("x").public),
                witnesses=witnesses,
                threshold=2,
            ),
            False,
        ),
    ):
        assert proven.verify(good, policy, leaf_hash=None).verified == holds


def test_the_leaf_that_was_promised_is_the_seals(story, good):
    leaf_hash = good.receipt.leaf_hash
    assert proven.verify(good, story.policy, leaf_hash=leaf_hash).verified
    verdict = proven.verify(good, story.policy, leaf_hash="0" * 64)
    assert "not about leaf" in verdict.document()["why"]


def test_a_balance_in_a_currency_that_nobody_knows_is_not_shown():
    """Signed, sealed and cosigned though it is: no error either."""

    def foreign(book, position, raw):
        return raw.replace(b'"CNY"', b'"XXX"') if book == "fac-1" else raw

    of = told(alter=foreign)
    verdict = verified(balance_proof_of(of, "fac-1", 7, Account(*_parts(CASH), "XXX")), of)
    assert not verdict.verified
    assert verdict.document()["why"].startswith("$.balance.leaf.account.currency")


def _parts(account):
    return account.party, account.code, account.counterparty, account.ref


def test_any_flipped_bit_of_a_file_makes_it_no_proof_or_one_that_does_not_hold(story, good):
    """Those of the receipt inside are flipped with the receipts.

    The root of a tree does not say how many leaves it has, so a balance may be shown at another
    place among another number of them; what is proved names neither, and stays the same.
    """
    raw = msgspec.json.encode(good)
    found = verified(good, story)
    first, end = raw.index(b'"receipt":'), len(raw) - 2
    numbers = range(raw.index(b'"index":'), raw.index(b',"hashes":'))
    for place, verdict in holding(
        raw, story.policy, {*range(len(raw))} - {*range(first + 11, end)}
    ):
        assert place in numbers
        assert verdict == found


# ---- files


def test_a_file_with_another_field_or_version_is_no_proof(good):
    document = json.loads(msgspec.json.encode(good))
    proven.read(json.dumps(document).encode())

    def inner(name, **changes):
        return {name: {**document[name], **changes}}

    for changes, place in (
        ({"v": "liandai.balance-proof/v2"}, "$.v"),
        ({"v": "liandai.receipt/v1"}, "$"),
        ({"v": None}, "$.v"),
        ({"says": {"balance_minor": 1}}, "$"),
        ({"seal": None}, "$.seal"),
        ({"receipt": None}, "$.receipt"),
        (inner("receipt", v="liandai.receipt/v2"), "$.receipt.v"),
        (inner("receipt", leaf_hash="A" * 64), "$.receipt.leaf_hash"),
        (inner("receipt", head=None), "$.receipt.head"),
        (inner("receipt", more=1), "$.receipt"),
        (inner("balance", leaf=None), "$.balance.leaf"),
        (inner("balance", index="0"), "$.balance.index"),
        (inner("balance", hashes=[1]), "$.balance.hashes[0]"),
        (inner("balance", more=1), "$.balance"),
    ):
        with pytest.raises(WrongInput) as refused:
            proven.read(json.dumps({**document, **changes}).encode())
        assert refused.value.place == place
    for text in (b"", b"{}", b"[]", b"null", b"\xff", b'{"v":1,"v":2}', b"[" * 10_000):
        with pytest.raises(WrongInput):
            proven.read(text)
