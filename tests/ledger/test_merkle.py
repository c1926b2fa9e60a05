"""The tree against a slow twin that says RFC 6962 and RFC 9162 word for word."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle
from ledger.errors import WrongInput

# ---- the twin: definitions of RFC 6962 section 2.1 over plain lists


def mth(leaves):
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves):
    return subproof(m, leaves, True)


def subproof(m, leaves, b):
    if m == len(leaves):
        return [] if b else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], b), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def leaves_of(count):
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


LEAVES = leaves_of(70)
counts = st.integers(0, len(LEAVES))


# ---- roots and growth


def test_the_root_is_the_rfcs_for_every_size():
    for size in range(len(LEAVES) + 1):
        assert merkle.root(LEAVES[:size]) == mth(LEAVES[:size])


def test_roots_at_gives_every_prefix_in_one_pass():
    sizes = [0, 1, 7, 8, 9, 64, 70]
    assert merkle.roots_at(LEAVES, sizes) == {size: mth(LEAVES[:size]) for size in sizes}


def test_a_root_beyond_the_leaves_is_refused():
    with pytest.raises(WrongInput):
        merkle.roots_at(LEAVES, [71])


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_frontier_grown_in_any_batches_has_the_root_of_all_leaves(batches):
    frontier, taken, nodes = merkle.EMPTY, 0, {}
    for count in batches:
        frontier, finished = frontier.append(leaves_of(taken + count)[taken:])
        taken += count
        nodes.update({(level, index): digest for level, index, digest in merkle.each(finished)})
    leaves = leaves_of(taken)
    assert (frontier.size, frontier.root()) == (taken, mth(leaves))
    whole = merkle.lookup_in(leaves)
    expected = {
        (level, index): whole(level, index)
        for level in range(taken.bit_length())
        for index in range(taken >> level)
    }
    assert nodes == expected
    assert merkle.frontier_at(taken, lambda level, index: nodes[level, index]) == frontier


def test_appending_never_changes_the_frontier_it_started_from():
    frontier, _ = merkle.EMPTY.append(LEAVES[:5])
    frontier.append(LEAVES[5:])
    assert frontier.root() == mth(LEAVES[:5])


# ---- proofs


def test_every_inclusion_proof_is_the_rfcs_and_verifies():
    for size in range(1, 34):
        leaves = LEAVES[:size]
        node, root = merkle.lookup_in(leaves), mth(leaves)
        for index in range(size):
            made = merkle.inclusion_proof(index=index, size=size, node=node)
            assert made == path(index, leaves)
            assert merkle.verify_inclusion(
                leaf=leaves[index], index=index, size=size, proof=made, root=root
            )


def test_every_consistency_proof_is_the_rfcs_and_verifies():
    for new in range(1, 34):
        leaves = LEAVES[:new]
        node = merkle.lookup_in(leaves)
        for old in range(1, new + 1):
            made = merkle.consistency_proof(old_size=old, new_size=new, node=node)
            assert made == proof(old, leaves)
            assert merkle.verify_consistency(
                old_size=old,
                old_root=mth(leaves[:old]),
                new_size=new,
                new_root=mth(leaves),
                proof=made,
            )


def test_a_proof_asks_only_for_complete_subtrees_and_few_of_them():
    size = 1_000_003
    asked = []

    def node(level, index):
        assert (index + 1) << level <= size
        asked.append((level, index))
        return bytes(32)

    merkle.inclusion_proof(index=777_777, size=size, node=node)
    merkle.consistency_proof(old_size=524_289, new_size=size, node=node)
    assert len(asked) <= 4 * size.bit_length()


@pytest.mark.parametrize(
    ("index", "size"), [(-1, 5), (5, 5), (0, 0)], ids=["negative", "past the end", "empty tree"]
)
def test_no_inclusion_proof_for_a_leaf_that_is_not_there(index, size):
    with pytest.raises(WrongInput):
        merkle.inclusion_proof(index=index, size=size, node=merkle.lookup_in(LEAVES))


def test_no_consistency_proof_into_the_past():
    with pytest.raises(WrongInput):
        merkle.consistency_proof(old_size=6, new_size=5, node=merkle.lookup_in(LEAVES))


sizes = st.integers(1, len(LEAVES))


@given(sizes, st.data())
def test_an_inclusion_proof_holds_for_no_other_leaf_index_size_or_root(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    made = merkle.inclusion_proof(index=index, size=size, node=merkle.lookup_in(leaves))
    good = {
        "leaf": leaves[index],
        "index": index,
        "size": size,
        "proof": made,
        "root": mth(leaves),
    }
    assert merkle.verify_inclusion(**good)
    changed = data.draw(
        st.sampled_from(
            [
                {"leaf": flipped(leaves[index], data)},
                {"root": flipped(good["root"], data)},
                {"index": data.draw(st.integers(-3, 80).filter(lambda i: i != index))},
                {"proof": [*made, bytes(32)]},
                {"proof": [bytes(32), *made]},
                {"proof": [*made, b""]},
                {"leaf": leaves[index] + b"\x00"},
                *([{"proof": made[:-1]}, {"proof": damaged(made, data)}] if made else []),
            ]
        )
    )
    assert not merkle.verify_inclusion(**{**good, **changed})


@given(sizes, st.data())
def test_a_consistency_proof_holds_for_no_other_roots_sizes_or_steps(new, data):
    old = data.draw(st.integers(1, new))
    leaves = LEAVES[:new]
    made = merkle.consistency_proof(old_size=old, new_size=new, node=merkle.lookup_in(leaves))
    good = {
        "old_size": old,
        "old_root": mth(leaves[:old]),
        "new_size": new,
        "new_root": mth(leaves),
        "proof": made,
    }
    assert merkle.verify_consistency(**good)
    changed = data.draw(
        st.sampled_from(
            [
                {"old_root": flipped(good["old_root"], data)},
                {"new_root": flipped(good["new_root"], data)},
                {"new_size": old - 1},
                {"old_size": 0},
                {"proof": [*made, bytes(32)]},
                *([{"proof": made[:-1]}, {"proof": damaged(made, data)}] if made else []),
            ]
        )
    )
    assert not merkle.verify_consistency(**{**good, **changed})


def flipped(digest, data):
    place = data.draw(st.integers(0, 255))
    return bytes(
        byte ^ (1 << place % 8 if index == place // 8 else 0) for index, byte in enumerate(digest)
    )


def damaged(steps, data):
    index = data.draw(st.integers(0, len(steps) - 1))
    return [*steps[:index], flipped(steps[index], data), *steps[index + 1 :]]


# ---- size 0, seen by a verifier and by a witness


def test_a_verifier_takes_no_consistency_proof_from_size_0():
    empty = {"old_size": 0, "old_root": merkle.EMPTY_ROOT}
    for new in (0, 1, 5):
        assert not merkle.verify_consistency(
            **empty, new_size=new, new_root=mth(LEAVES[:new]), proof=[]
        )


def test_a_witness_takes_its_first_head_with_an_empty_proof_only():
    first = {"old_size": 0, "old_root": merkle.EMPTY_ROOT, "new_size": 5}
    assert merkle.extends(**first, new_root=mth(LEAVES[:5]), proof=[])
    assert not merkle.extends(**first, new_root=mth(LEAVES[:5]), proof=[bytes(32)])


def test_a_witness_takes_an_empty_tree_only_with_the_empty_root():
    first = {"old_size": 0, "old_root": merkle.EMPTY_ROOT, "new_size": 0, "proof": []}
    assert merkle.extends(**first, new_root=merkle.EMPTY_ROOT)
    assert not merkle.extends(**first, new_root=bytes(32))


def test_a_witness_refuses_a_fork():
    node = merkle.lookup_in(LEAVES)
    made = merkle.consistency_proof(old_size=5, new_size=9, node=node)
    heads = {"old_size": 5, "new_size": 9, "new_root": mth(LEAVES[:9]), "proof": made}
    assert merkle.extends(**heads, old_root=mth(LEAVES[:5]))
    assert not merkle.extends(**heads, old_root=mth([*LEAVES[:4], LEAVES[6]]))
