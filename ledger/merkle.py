"""The tree over a log's leaves: roots, growth and proofs of RFC 6962. It never stores or signs.

A tree of `size` leaves is cut into **complete subtrees**: node (level, index) covers the leaves
from index * 2^level up to (index + 1) * 2^level. A complete subtree never changes again, and every
proof is made of O(log size) of them. A store keeps the leaf hashes, in `runs`, and every fourth
level above them (`is_kept`): a fifteenth of a node a leaf. The others are hashed again from at most
eight nodes of the kept level below (`rebuilt`).

Source: RFC 6962 section 2.1, RFC 9162 section 2.1 (proof verification).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import count, repeat
from typing import Final

import msgspec

from ledger.errors import WrongInput

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

Node = tuple[int, int, bytes]
"""(level, index, hash) of a complete subtree; level 0 is the leaf hashes."""

Nodes = tuple[int, int, list[bytes]]
"""(level, index of the first, hashes) of complete subtrees that stand side by side in a level."""

Lookup = Callable[[int, int], bytes]
"""The hash of the complete subtree (level, index)."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), RFC 6962 section 2.1."""
    return sha256(b"\x00" + leaf).digest()


def hashes_of(leaves: Iterable[bytes]) -> list[bytes]:
    """The `leaf_hash` of each, without a call for each."""
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The tree's root; of no leaves, SHA-256 of nothing.

    Works level by level; the odd node at the end moves up alone, which is what cutting at the
    largest power of two below the size comes to.
    """
    level = list(leaf_hashes)
    while len(level) > 1:
        level = _parents(level) + level[len(level) & ~1 :]
    return level[0] if level else EMPTY_ROOT


def roots_at(leaf_hashes: Sequence[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The root of the first n leaves for every n asked, in one pass over the leaves."""
    frontier, found = EMPTY, {}
    for size in sorted(set(sizes)):
        if not 0 <= size <= len(leaf_hashes):
            raise WrongInput("sizes", f"0 to {len(leaf_hashes)} leaves, not {size}")
        frontier, _ = frontier.append(leaf_hashes[frontier.size : size])
        found[size] = frontier.root()
    return found


class Frontier(msgspec.Struct, frozen=True):
    """All a tree's owner must remember to grow it: the roots of its complete subtrees.

    peaks  largest subtree first, one for each bit set in `size`
    """

    size: int
    peaks: tuple[bytes, ...]

    def root(self) -> bytes:
        """The root of the tree of `size` leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        *larger, digest = self.peaks
        for peak in reversed(larger):
            digest = node_hash(peak, digest)
        return digest

    def append(self, leaf_hashes: Iterable[bytes]) -> tuple["Frontier", list[Nodes]]:
        """The frontier after these leaves, and every complete subtree they finished.

        The first are level 0 (the leaf hashes themselves), then level by level upwards; together
        with all earlier ones they answer any `Lookup` a proof makes.
        """
        nodes, index = list(leaf_hashes), self.size
        size = index + len(nodes)
        earlier, peaks, finished = list(self.peaks), list[bytes](), list[Nodes]()
        for level in range(size.bit_length()):
            finished.append((level, index, nodes))
            if index & 1:  # the level's last node so far had no brother yet
                nodes = [earlier.pop(), *nodes]
            if len(nodes) & 1:
                peaks.append(nodes[-1])
            nodes, index = _parents(nodes), index >> 1
        return Frontier(size, tuple(reversed(peaks))), finished


EMPTY: Final = Frontier(0, ())


def each(finished: Iterable[Nodes]) -> Iterator[Node]:
    """Every complete subtree by itself, in the order given."""
    for level, first, hashes in finished:
        yield from zip(repeat(level), count(first), hashes, strict=False)


KEPT_EVERY: Final = 4


def is_kept(level: int) -> bool:
    """Whether a store keeps the complete subtrees of this level, one by one."""
    return level > 0 and level % KEPT_EVERY == 0


RUN: Final = 32


def runs(first: int, leaf_hashes: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """(position, hashes one after the other) of leaves from `first` on, cut at multiples of RUN."""
    begun = 0
    while begun < len(leaf_hashes):
        end = begun + RUN - (first + begun) % RUN
        yield first + begun, b"".join(leaf_hashes[begun:end])
        begun = end


def rebuilt(level: int, index: int, kept: Lookup) -> bytes:
    """The hash of any complete subtree, from leaf hashes and kept levels alone."""
    height = level % KEPT_EVERY
    first = index << height
    nodes = [kept(level - height, first + number) for number in range(1 << height)]
    while len(nodes) > 1:
        nodes = _parents(nodes)
    return nodes[0]


def frontier_at(size: int, node: Lookup) -> Frontier:
    """The frontier of the first `size` leaves, from stored complete subtrees."""
    levels = (level for level in reversed(range(size.bit_length())) if size >> level & 1)
    return Frontier(size, tuple(node(level, (size >> level) - 1) for level in levels))


def lookup_in(leaf_hashes: Sequence[bytes]) -> Lookup:
    """A `Lookup` over leaves held in memory; O(size) to build."""
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))

    def node(level: int, index: int) -> bytes:
        return levels[level][index]

    return node


def inclusion_proof(*, index: int, size: int, node: Lookup) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, nearest sibling first.

    Raises WrongInput unless 0 <= index < size. Source: RFC 9162 section 2.1.3.1 (PATH).
    """
    if not 0 <= index < size:
        raise WrongInput("index", f"0 to {size - 1}, a leaf of the tree, not {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    path.reverse()
    return path


def consistency_proof(*, old_size: int, new_size: int, node: Lookup) -> list[bytes]:
    """The proof that the tree of `old_size` leaves is a prefix of the one of `new_size`.

    Empty when the sizes are equal, and from size 0: there a witness needs none, and a verifier of
    RFC 9162 takes none (see `extends` and `verify_consistency`).
    Raises WrongInput unless 0 <= old_size <= new_size. Source: RFC 9162 section 2.1.4.1 (SUBPROOF).
    """
    if not 0 <= old_size <= new_size:
        raise WrongInput("old_size", f"0 to {new_size} leaves, not {old_size}")
    if old_size in (0, new_size):
        return []
    proof: list[bytes] = []
    start, end, is_whole = 0, new_size, True
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(_range_root(middle, end, node))
            end = middle
        else:
            proof.append(_range_root(start, middle, node))
            start, is_whole = middle, False
    if not is_whole:
        proof.append(_range_root(start, end, node))
    proof.reverse()
    return proof


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the leaf hash stands at `index` of the tree with this size and root.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    position, last, digest = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            digest = node_hash(step, digest)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            digest = node_hash(digest, step)
        position, last = position >> 1, last >> 1
    return last == 0 and digest == root


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the larger tree begins with the smaller one; never true from size 0.

    A proof from the empty tree proves nothing, so it is no proof here. A witness, who asks another
    question, uses `extends`. Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if not proof or not _are_hashes(old_root, new_root, *proof):
        return False
    steps = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, step)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def extends(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a witness whose last view was (old_size, old_root) may cosign the new head.

    From size 0, that is before its first head, the proof must be empty and any head will do
    (`old_root` is not looked at); from then on `verify_consistency` decides.
    Source: C2SP tlog-witness, add-checkpoint.
    """
    if old_size == 0:
        return not proof and (new_size > 0 or (new_size == 0 and new_root == EMPTY_ROOT))
    return verify_consistency(
        old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof
    )


def _parents(level: Sequence[bytes]) -> list[bytes]:
    nodes = iter(level)
    pairs = zip(nodes, nodes, strict=False)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(start: int, end: int, node: Lookup) -> bytes:
    """The root over leaves start to end - 1, one subtree of the whole tree."""
    peaks: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(node(level, start >> level))
        start += 1 << level
    digest = peaks.pop()
    while peaks:
        digest = node_hash(peaks.pop(), digest)
    return digest


def _are_hashes(*candidates: bytes) -> bool:
    return all(len(candidate) == HASH_SIZE for candidate in candidates)
