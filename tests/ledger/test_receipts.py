"""A receipt holds offline under a policy, and in no other way than by what it says."""

import json

import msgspec
import pytest

from ledger import merkle, notes, receipts
from ledger.errors import WrongInput
from ledger.notes import Policy, VerifierKey
from ledger.receipts import LogProof, Receipt
from tests.ledger.installation import NAME, WITNESSES, Installation, hashes, key, told


def receipt_of(of: Installation, book: str, position: int) -> Receipt:
    """The receipt as the service makes it, of the last heads there are."""
    book_note = of.checkpoints[book][-1]
    size = notes.read_checkpoint_text(notes.read_note(book_note).text).size
    top = of.books["top"]
    (at,) = [
        index for index, raw in enumerate(top) if json.loads(raw)["id"] == f"head:{book}:{size}"
    ]
    return Receipt(
        v="liandai.receipt/v1",
        book=book,
        position=position,
        leaf_hash=merkle.leaf_hash(of.books[book][position]).hex(),
        in_book=proof(of.books[book][:size], position, book_note),
        head=top[at].decode(),
        in_top=proof(top, at, of.checkpoints["top"][-1]),
    )


def proof(leaves, index, note, **more):
    node = merkle.lookup_in(hashes(leaves))
    path = merkle.inclusion_proof(index=index, size=len(leaves), node=node)
    return receipts.write_proof(
        LogProof(index=index, hashes=tuple(path), checkpoint=note, **more)
    ).decode()


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
        assert "why" not in verdict.document()


def test_a_receipt_goes_through_a_file(story):
    receipt = receipt_of(story, "fac-1", 3)
    assert receipts.read_receipt(msgspec.json.encode(receipt)) == receipt


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
    }
    for what, receipt in cheats.items():
        verdict = receipts.verify(receipt, story.policy, leaf_hash=None)
        assert not verdict.verified, what
        assert verdict.why, what


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


def test_every_changed_byte_of_a_proof_is_found(story):
    receipt = receipt_of(story, "fac-1", 3)
    for part in ("in_book", "in_top", "head"):
        text = getattr(receipt, part)
        end = text.find("\n—") if part != "head" else len(text)
        for place in range(0, end, 7):
            bad = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
            verdict = receipts.verify(altered(receipt, **{part: bad}), story.policy, leaf_hash=None)
            assert not verdict.verified, f"{part} at {place}"


# ---- the words of a proof


def test_a_proof_reads_as_it_was_written(story):
    note = story.checkpoints["fac-1"][-1]
    for extra in (None, b"", b"why not"):
        text = proof(story.books["fac-1"], 3, note, extra=extra)
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
    assert receipts.read_receipt(json.dumps(good).encode())
    for changes in ({"v": "liandai.receipt/v2"}, {"more": 1}, {"leaf_hash": "A" * 64}):
        with pytest.raises(WrongInput):
            receipts.read_receipt(json.dumps({**good, **changes}).encode())
    assert good["v"] == "liandai.receipt/v1"
    assert NAME in good["in_book"]
