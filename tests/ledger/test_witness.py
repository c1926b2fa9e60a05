"""What a witness cosigns, and every way in which a log can try to be cosigned twice differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle, notes, witness
from ledger.errors import WrongInput
from ledger.notes import ED25519, Checkpoint, NotSigned, VerifierKey
from ledger.signatures import KeyInMemory
from ledger.witness import (
    Forked,
    NoProof,
    OtherHead,
    Request,
    RolledBack,
    Seen,
    UnknownLog,
)

ORIGIN = "liandai.test/top"
SIGNER = KeyInMemory(b"l" * 32)
LOG = VerifierKey("liandai.test", ED25519, SIGNER.public)
HONEST = [merkle.leaf_hash(str(number).encode()) for number in range(40)]
REWRITTEN = [*HONEST[:7], merkle.leaf_hash(b"rewritten"), *HONEST[8:]]


def head(leaves, size, *, origin=ORIGIN, signer=SIGNER):
    checkpoint = Checkpoint(origin=origin, size=size, root=merkle.root(leaves[:size]))
    return notes.sign_checkpoint(checkpoint, name=LOG.name, signer=signer)


def proof(leaves, old, new):
    node = merkle.lookup_in(leaves[:new])
    return merkle.consistency_proof(old_size=old, new_size=new, node=node)


def seen(leaves, size):
    return Seen(size=size, root=merkle.root(leaves[:size]), note=head(leaves, size))


def add(leaves, old, new, *, last=None, steps=None, note=None):
    steps = proof(leaves, old, new) if steps is None else steps
    request = Request(old_size=old, proof=tuple(steps), note=note or head(leaves, new))
    remembered = {} if last is None else {ORIGIN: last}
    return witness.add_checkpoint(request, logs={ORIGIN: LOG}, seen=remembered)[1]


# ---- a log that only grows


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_every_head_of_a_log_that_grows_is_cosigned_both_ways(sizes):
    asked = followed = None
    for size in sorted(sizes):
        old = 0 if asked is None else asked.size
        asked = add(HONEST, old, size, last=asked)
        followed = witness.follow(
            followed,
            note=head(HONEST, size),
            proof=proof(HONEST, old, size),
            origin=ORIGIN,
            log=LOG,
        )
        assert asked == followed
        assert (asked.size, asked.root) == (size, merkle.root(HONEST[:size]))


def test_the_first_head_needs_no_proof_and_takes_none():
    assert add(HONEST, 0, 20).size == 20
    with pytest.raises(NoProof):
        add(HONEST, 0, 20, steps=proof(HONEST, 10, 20))


# ---- a log that does not


@given(st.integers(8, 40), st.integers(8, 40))
def test_a_rewritten_past_is_never_cosigned(one, other):
    old, new = sorted((one, other))
    last = seen(HONEST, old)
    for steps in (proof(REWRITTEN, old, new), proof(HONEST, old, new)):
        with pytest.raises((NoProof, Forked)):
            add(REWRITTEN, old, new, last=last, steps=steps)
        with pytest.raises(Forked):
            witness.follow(last, note=head(REWRITTEN, new), proof=steps, origin=ORIGIN, log=LOG)


@given(st.integers(1, 39))
def test_a_smaller_tree_names_both_sizes(size):
    last = seen(HONEST, 40)
    with pytest.raises(RolledBack) as refused:
        witness.follow(last, note=head(HONEST, size), proof=[], origin=ORIGIN, log=LOG)
    assert refused.value.fields == {"remembered": 40, "shown": size}
    assert f"shows {size} leaves, and 40" in str(refused.value)
    with pytest.raises(OtherHead) as other:
        add(HONEST, size, size, last=last)
    assert other.value.remembered == 40


def test_another_tree_of_the_same_size_is_a_fork():
    with pytest.raises(Forked):
        add(REWRITTEN, 20, 20, last=seen(HONEST, 20))
    assert add(HONEST, 20, 20, last=seen(HONEST, 20)).size == 20


@pytest.mark.parametrize("old", [0, 19, 21])
def test_a_request_that_starts_elsewhere_is_told_the_size_remembered(old):
    with pytest.raises(OtherHead) as refused:
        add(HONEST, old, 30, last=seen(HONEST, 20))
    assert refused.value.remembered == 20


def test_an_old_size_above_the_heads_is_no_request():
    with pytest.raises(WrongInput, match="up to the checkpoint's, 20"):
        add(HONEST, 21, 20, steps=[], last=seen(HONEST, 21))


# ---- signatures and origins


def test_only_the_logs_own_key_makes_a_head():
    stranger = head(HONEST, 20, signer=KeyInMemory(b"s" * 32))
    with pytest.raises(NotSigned):
        add(HONEST, 0, 20, note=stranger)
    with pytest.raises(NotSigned):
        witness.follow(None, note=stranger, proof=[], origin=ORIGIN, log=LOG)
    unreadable = head(HONEST, 20)[:-5] + b"!!!!\n"
    with pytest.raises(NotSigned):
        add(HONEST, 0, 20, note=unreadable)


def test_a_known_key_on_an_origin_that_nobody_follows_is_an_unknown_log():
    with pytest.raises(UnknownLog):
        add(HONEST, 0, 20, note=head(HONEST, 20, origin="liandai.test/other"))
    with pytest.raises(WrongInput):
        witness.follow(
            None,
            note=head(HONEST, 20, origin="liandai.test/other"),
            proof=[],
            origin=ORIGIN,
            log=LOG,
        )


def test_one_logs_key_signs_no_head_of_another():
    other = KeyInMemory(b"o" * 32)
    logs = {ORIGIN: LOG, "other/top": VerifierKey("other", ED25519, other.public)}
    checkpoint = Checkpoint(origin=ORIGIN, size=3, root=merkle.root(HONEST[:3]))
    forged = notes.sign_checkpoint(checkpoint, name="other", signer=other)
    with pytest.raises(NotSigned):
        witness.add_checkpoint(Request(old_size=0, proof=(), note=forged), logs=logs, seen={})


# ---- the words of a request


@given(st.integers(0, 39), st.integers(1, 40))
def test_a_request_reads_as_it_was_written(old, new):
    old = min(old, new)
    request = Request(old_size=old, proof=tuple(proof(HONEST, old, new)), note=head(HONEST, new))
    assert witness.read_request(witness.write_request(request)) == request


HASH = b"KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old\n\nx\n",
        b"old -1\n\nx\n",
        b"old 01\n\nx\n",
        b"old 1 \n\nx\n",
        b"Old 1\n\nx\n",
        b"old 99999999999999999999\n\nx\n",
        b"old 1\n" + HASH[:-4] + b"\n\nx\n",
        b"old 1\n\xff\n\nx\n",
        b"old 1\n" + b"\n".join([HASH] * 64) + b"\n\nx\n",
        b"old 1\r\n\r\nx\n",
    ],
)
def test_a_malformed_request_is_refused_by_its_line(body):
    with pytest.raises(WrongInput, match="request"):
        witness.read_request(body)


def test_a_proof_may_have_63_lines():
    body = b"old 1\n" + b"\n".join([HASH] * 63) + b"\n\n" + head(HONEST, 3)
    assert len(witness.read_request(body).proof) == 63
