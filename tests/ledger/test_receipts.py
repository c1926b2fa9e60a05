"""A receipt holds offline under a policy, and in no other way than by what it says."""

import json

import msgspec
import pytest

from ledger import notes, proven, receipts
from ledger.errors import WrongInput
from ledger.notes import Policy, VerifierKey
from tests.ledger.installation import NAME, WITNESSES, Installation, key, told
from tests.ledger.proof_documents import holding, log_proof, receipt_of


@pytest.fixture(scope="module")
def story() -> Installation:
    return told()


# ---- receipts that hold


@pytest.mark.parametrize(("book", "leaves"), [("fac-1", 10), ("fac-2", 2), ("registry", 4)])
def test_every_record_of_every_book_has_a_receipt_that_holds(story, book, leaves):
    assert len(story.books[book]) == leaves
    for position in range(leaves):
        receipt = receipt_of(story, book, position)
        verdict = receipts.verify(receipt, story.policy, leaf_hash=receipt.leaf_hash)
        assert verdict.verified, verdict
        assert verdict.witnesses == list(WITNESSES)
        assert verdict.size == leaves
        assert len(verdict.proved) == 2
        assert f"leaf {position} of book {book}" in verdict.proved[0]
        assert "cosigned by hzbank, cib, czbank" in verdict.proved[1]
        assert {"why", "balance"}.isdisjoint(verdict.document())


def test_a_receipt_goes_through_a_file(story):
    receipt = receipt_of(story, "fac-1", 3)
    assert proven.read(msgspec.json.encode(receipt)) == receipt


# ---- receipts that do not


def altered(receipt, **changes):
    return msgspec.structs.replace(receipt, **changes)


def swapped(text, old, new):
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


def test_each_part_of_a_receipt_is_bound_to_the_others(story):
    good = receipt_of(story, "fac-1", 3)
    other = receipt_of(story, "fac-1", 4)
    elsewhere = receipt_of(story, "fac-2", 1)
    forged = swapped(good.head, '"size":10', '"size":11')
    cheats = {
        "another leaf": altered(good, leaf_hash=other.leaf_hash),
        "another place": altered(good, position=4),
        "another place in the proof": altered(good, in_book=other.in_book),
        "another book": altered(good, book="fac-2"),
        "another book's head": altered(good, head=elsewhere.head, in_top=elsewhere.in_top),
        "another head's proof": altered(good, in_top=elsewhere.in_top),
        "a head made up": altered(good, head=forged),
        "the top log itself": altered(
            good, book="top", in_book=good.in_top, leaf_hash=good.leaf_hash
        ),
        "a proof cut short": altered(
            good, in_book="\n".join(good.in_book.split("\n")[:2]) + "\n\n" + good.in_book
        ),
        "no proof": altered(good, in_top=""),
        "no head": altered(good, head=""),
        "a head that is no leaf": altered(good, head="{}"),
        "deep nonsense": altered(good, head="[" * 10_000),
        "a lone surrogate": altered(good, in_book="\ud800"),
        "a leaf hash in another spelling": altered(good, leaf_hash=good.leaf_hash.upper()),
    }
    for what, receipt in cheats.items():
        verdict = receipts.verify(receipt, story.policy, leaf_hash=None)
        assert not verdict.verified, what
        assert verdict.why, what
        assert not verdict.proved, what


def test_a_receipt_about_another_leaf_than_promised_does_not_hold(story):
    verdict = receipts.verify(receipt_of(story, "fac-1", 3), story.policy, leaf_hash="0" * 64)
    assert not verdict.verified
    assert "not about leaf" in verdict.document()["why"]


def test_a_head_that_too_few_cosigned_does_not_count():
    of = told(cosigners=("hzbank",))
    receipt = receipt_of(of, "fac-1", 3)
    verdict = receipts.verify(receipt, of.policy, leaf_hash=None)
    assert not verdict.verified
    assert verdict.why == "1 of the 2 cosignatures the policy asks for"
    assert receipts.verify(receipt, told(threshold=1).policy, leaf_hash=None).verified
    assert verdict.not_proved == receipts.verify(receipt, told().policy, leaf_hash=None).not_proved
    trusting = Policy(log=of.policy.log, witnesses=(), threshold=0)
    alone = receipts.verify(receipt, trusting, leaf_hash=None)
    assert alone.verified
    assert alone.proved[1].endswith("cosigned by nobody")
    assert "no witness is asked for" in alone.not_proved[-1]


def test_another_world_with_other_keys_does_not_count(story):
    forged = told(world="forged")
    verdict = receipts.verify(receipt_of(forged, "fac-1", 3), story.policy, leaf_hash=None)
    assert not verdict.verified
    mine = Policy(
        log=story.policy.log,
        witnesses=(VerifierKey("hzbank", notes.COSIGNATURE_V1, key("stranger").public),),
        threshold=1,
    )
    verdict = receipts.verify(receipt_of(story, "fac-1", 3), mine, leaf_hash=None)
    assert not verdict.verified


def test_any_flipped_bit_of_a_file_makes_it_no_receipt_or_one_that_does_not_hold(story):
    """With every witness asked for, so that a cosignature lost is one too few."""
    policy = told(threshold=3).policy
    raw = msgspec.json.encode(receipt_of(story, "fac-1", 3))
    assert receipts.verify(proven.read(raw), policy, leaf_hash=None).verified
    assert list(holding(raw, policy, range(len(raw)))) == []


# ---- the words of a proof


def test_a_proof_reads_as_it_was_written(story):
    note = story.checkpoints["fac-1"][-1]
    for extra in (None, b"", b"why not"):
        text = log_proof(story.books["fac-1"], 3, note, extra=extra)
        found = receipts.read_proof(text.encode(), place="$")
        assert receipts.write_proof(found).decode() == text
        assert found.extra == extra


HEAD = "c2sp.org/tlog-proof@v1\n"
HASH = "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.mark.parametrize(
    "head",
    [
        "",
        HEAD,
        HEAD + "index 01\n",
        HEAD + "index 1 \n",
        HEAD + "Index 1\n",
        HEAD + "index 99999999999999999999\n",
        HEAD + "index 1\nextra AAAA\n",
        HEAD + "extra AAA\nindex 1\n",
        HEAD + "index 1\nKgEA\n",
        HEAD + "index 1\n" + HASH * 64,
        "c2sp.org/tlog-proof@v2\nindex 1\n",
    ],
)
def test_a_malformed_proof_is_refused_by_its_line(story, head):
    note = story.checkpoints["fac-1"][-1].decode()
    with pytest.raises(WrongInput, match=r"\$\.proof"):
        receipts.read_proof(f"{head}\n{note}".encode(), place="$.proof")


def test_a_receipt_file_with_another_field_or_version_is_none(story):
    good = json.loads(msgspec.json.encode(receipt_of(story, "fac-1", 3)))
    assert proven.read(json.dumps(good).encode())
    for changes, place in (
        ({"v": "liandai.receipt/v2"}, "v"),
        ({"v": ["liandai.receipt/v1"]}, "v"),
        ({"more": 1}, ""),
        ({"leaf_hash": "A" * 64}, "leaf_hash"),
        ({"head": None}, "head"),
    ):
        with pytest.raises(WrongInput) as refused:
            proven.read(json.dumps({**good, **changes}).encode())
        assert refused.value.place == f"$.{place}".rstrip(".")
    for other in (b"{}", b"[]", b"null", b'"liandai.receipt/v1"'):
        with pytest.raises(WrongInput, match=r"\$\.v: expected liandai\.receipt/v1 or"):
            proven.read(other)
    assert good["v"] == "liandai.receipt/v1"
    assert NAME in good["in_book"]
