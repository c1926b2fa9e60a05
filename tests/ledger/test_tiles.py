"""Tiles against the definition of C2SP tlog-tiles, and trees re-derived from nothing but tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle, tiles
from ledger.errors import WrongInput
from ledger.tiles import EntryBundle, EntryTooLong, NoSuchTile, Tile

LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(1_000)]
BIG = [merkle.leaf_hash(str(number).encode()) for number in range(70_000)]


def serving(leaves):
    """A log that cuts its tiles out of the tree by the definition: MTH of whole ranges."""

    def fetch(tile):
        level, first, end = tile.nodes
        span = 1 << level
        assert end * span <= len(leaves), "a tile beyond the tree"
        return b"".join(
            merkle.root(leaves[number * span : (number + 1) * span]) for number in range(first, end)
        )

    return fetch


# ---- names

NAMES = [
    # path                        level  index     width
    ("0/000", Tile(0, 0, 256)),
    ("0/000.p/1", Tile(0, 0, 1)),
    ("1/273.p/112", Tile(1, 273, 112)),
    ("0/x001/x234/067", Tile(0, 1_234_067, 256)),
    ("63/x001/000.p/255", Tile(63, 1_000, 255)),
    ("0/x999/x999/x999/x999/999", Tile(0, 10**15 - 1, 256)),
]


@pytest.mark.parametrize(("path", "tile"), NAMES)
def test_a_tile_has_one_name(path, tile):
    assert tiles.read_tile(path) == tile
    assert tile.path == path
    bundle = tiles.read_bundle(path.partition("/")[2])
    assert bundle == EntryBundle(tile.index, tile.width)
    assert f"{tile.level}/{bundle.path}" == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "/0/000",
        "00/000",
        "64/000",
        "100/000",
        "-1/000",
        "0/0",
        "0/00",
        "0/0000",
        "0/001/002",
        "0/x000/001",
        "0/x001",
        "0/x001/x002",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/999",
        "0/000.p/",
        "0/000.p",
        "0/000/",
        "0/000\n",
        "0/٠٠٠",
        "0/x001/x001/x001/x001/x001/001",
        "entries/000",
        "../checkpoint",
    ],
)
def test_any_other_spelling_names_nothing(path):
    with pytest.raises(NoSuchTile):
        tiles.read_tile(path)
    with pytest.raises(NoSuchTile):
        tiles.read_bundle(path)


# ---- which tiles a tree has


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_standards_example():
    by_level = {}
    for tile in tiles.tiles_of(70_000):
        by_level.setdefault(tile.level, []).append(tile.width)
    assert by_level == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above_it():
    assert list(tiles.tiles_of(256)) == [Tile(0, 0, 256), Tile(1, 0, 1)]
    assert list(tiles.tiles_of(0)) == []
    assert list(tiles.bundles_of(257)) == [EntryBundle(0, 256), EntryBundle(1, 1)]


@given(st.integers(1, 1 << 40))
def test_each_level_is_as_wide_as_the_definition_says(size):
    level, count = 0, size
    while count:
        last = tiles._tile_in(size, level=level, index=(count - 1) // 256)
        assert last.width == (size // 256**level) % 256 or last.width == 256
        level, count = level + 1, size // 256 ** (level + 1)


# ---- trees from tiles


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 768, 1_000])
def test_the_root_follows_from_the_tiles_alone(size):
    assert tiles.derive_root(size, serving(LEAVES[:size])) == merkle.root(LEAVES[:size])


def test_the_root_of_three_levels_follows_from_the_tiles_alone():
    fetched = []

    def fetch(tile):
        fetched.append(tile)
        return serving(BIG)(tile)

    assert tiles.derive_root(70_000, fetch) == merkle.root(BIG)
    assert fetched == list(tiles.tiles_of(70_000))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_changed_byte_in_any_level_is_found(level):
    def fetch(tile):
        raw = serving(BIG)(tile)
        return raw if tile.level != level else raw[:-1] + bytes([raw[-1] ^ 1])

    if level == 0:
        with pytest.raises(WrongInput, match="tile/1/000"):
            tiles.derive_root(70_000, fetch)
    else:
        with pytest.raises(WrongInput, match=f"tile/{level}/"):
            tiles.derive_root(70_000, fetch)


def test_a_tile_of_another_length_is_refused():
    with pytest.raises(WrongInput, match=r"tile/0/000\.p/3"):
        tiles.derive_root(3, lambda tile: serving(LEAVES)(tile)[:-1])


@given(st.integers(1, 1_000), st.data())
def test_proofs_come_out_of_the_tiles_they_need(size, data):
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    fetched = []

    def fetch(tile):
        assert tile not in fetched, "each tile once"
        fetched.append(tile)
        return serving(LEAVES[:size])(tile)

    node = tiles.lookup(size, fetch)
    root = merkle.root(LEAVES[:size])
    proof = merkle.inclusion_proof(index=index, size=size, node=node)
    assert merkle.verify_inclusion(
        leaf=LEAVES[index], index=index, size=size, proof=proof, root=root
    )
    proof = merkle.consistency_proof(old_size=old, new_size=size, node=node)
    assert merkle.verify_consistency(
        old_size=old, old_root=merkle.root(LEAVES[:old]), new_size=size, new_root=root, proof=proof
    )
    assert merkle.frontier_at(size, node).root() == root


def test_one_proof_needs_few_tiles():
    fetched = []

    def fetch(tile):
        fetched.append(tile)
        return serving(BIG)(tile)

    merkle.inclusion_proof(index=12_345, size=70_000, node=tiles.lookup(70_000, fetch))
    assert len(fetched) <= 5


# ---- entries


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_entries_come_out_of_a_bundle_as_they_went_in(leaves):
    assert tiles.entries_of(tiles.entry_bundle(leaves)) == leaves


def test_a_bundle_that_ends_inside_an_entry_is_refused():
    whole = tiles.entry_bundle([b"one", b"two"])
    for end in range(1, len(whole)):
        if end == 5:
            assert tiles.entries_of(whole[:end]) == [b"one"]
            continue
        with pytest.raises(WrongInput):
            tiles.entries_of(whole[:end])


def test_a_leaf_too_long_for_two_bytes_is_refused_not_cut():
    assert tiles.entries_of(tiles.entry_bundle([b"x" * 65_535])) == [b"x" * 65_535]
    with pytest.raises(EntryTooLong):
        tiles.entry_bundle([b"x" * 65_536])
