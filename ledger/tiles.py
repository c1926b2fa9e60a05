"""How a log is cut into tiles, so that anyone can fetch its tree piece by piece: C2SP tlog-tiles.

A **tile** is 256 hashes side by side at level 8L of the tree (the last one may be shorter); an
**entry bundle** is the 256 leaves under a tile of level 0. Both are named by a path and never
change again, so they may be kept for ever. Here are the names, the cutting, and the reader's side:
a tree re-derived from tiles alone. Nothing is fetched and nothing is stored.

Source: C2SP tlog-tiles.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from ledger import merkle
from ledger.errors import Absent, Conflict, WrongInput
from ledger.merkle import HASH_SIZE, Lookup

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAX_LEVEL: Final = 63
MAX_ENTRY: Final = 0xFFFF
"""Bytes of the longest leaf an entry bundle can hold: its length stands in two bytes."""

_INDEX = r"(?P<index>(?:x[0-9]{3}/){0,4}[0-9]{3})"
_WIDTH = r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
_TILE = re.compile(rf"(?P<level>0|[1-9][0-9]?)/{_INDEX}{_WIDTH}", re.ASCII)
_ENTRIES = re.compile(rf"{_INDEX}{_WIDTH}", re.ASCII)


class NoSuchTile(Absent):
    """No tile of that name, or the tree has not grown that far."""

    code = "no-such-tile"


class EntryTooLong(Conflict):
    """A leaf of this bundle is longer than its format can hold; an audit bundle has it whole."""

    code = "entry-too-long"


class Tile(msgspec.Struct, frozen=True):
    """A tile of hashes. width: how many of its 256 places are taken, from the left."""

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """Its name below `tile/`."""
        return f"{self.level}/{_path(self.index, self.width)}"

    @property
    def nodes(self) -> tuple[int, int, int]:
        """(level of the tree, first, end): its hashes are the complete subtrees [first, end)."""
        first = self.index * WIDTH
        return self.level * HEIGHT, first, first + self.width


class EntryBundle(msgspec.Struct, frozen=True):
    """An entry bundle: the leaves under tile (0, index). width: how many of its 256 places."""

    index: int
    width: int

    @property
    def path(self) -> str:
        """Its name below `tile/entries/`."""
        return _path(self.index, self.width)

    @property
    def positions(self) -> tuple[int, int]:
        """[first, end): where its leaves stand in the log."""
        first = self.index * WIDTH
        return first, first + self.width


def read_tile(path: str) -> Tile:
    """The tile of a path as `0/x001/234.p/8`, in its one spelling. Raises NoSuchTile."""
    match = _TILE.fullmatch(path)
    if match is None:
        raise NoSuchTile(f"no tile {path}")
    tile = Tile(int(match["level"]), *_place(match))
    if tile.level > MAX_LEVEL or tile.width > WIDTH or tile.path != path:
        raise NoSuchTile(f"no tile {path}")
    return tile


def read_bundle(path: str) -> EntryBundle:
    """The entry bundle of a path as `x001/234.p/8`, in its one spelling. Raises NoSuchTile."""
    match = _ENTRIES.fullmatch(path)
    if match is None:
        raise NoSuchTile(f"no entry bundle {path}")
    bundle = EntryBundle(*_place(match))
    if bundle.width > WIDTH or bundle.path != path:
        raise NoSuchTile(f"no entry bundle {path}")
    return bundle


def _place(match: re.Match[str]) -> tuple[int, int]:
    return int(re.sub("[x/]", "", match["index"])), int(match["width"] or WIDTH)


def _path(index: int, width: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return name if width == WIDTH else f"{name}.p/{width}"


# ---- the log's side


def entry_bundle(leaves: Sequence[bytes]) -> bytes:
    """The leaves, each behind its length in two bytes. EntryTooLong for one of 64 KiB or more."""
    for leaf in leaves:
        if len(leaf) > MAX_ENTRY:
            raise EntryTooLong(f"a leaf of {len(leaf)} bytes; an entry bundle holds {MAX_ENTRY}")
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


# ---- the reader's side


Fetch = Callable[[Tile], bytes]
"""The bytes of a tile, as somebody not yet trusted gives them."""


def entries_of(raw: bytes) -> list[bytes]:
    """The leaves of an entry bundle; WrongInput where it ends inside one."""
    leaves, start = [], 0
    while start < len(raw):
        end = start + 2 + int.from_bytes(raw[start : start + 2], "big")
        if end > len(raw) or start + 2 > len(raw):
            raise WrongInput("entry bundle", "whole entries, each behind its length")
        leaves.append(raw[start + 2 : end])
        start = end
    return leaves


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of that size, level by level; the last of a level may be partial."""
    level, count = 0, size
    while count:
        full, rest = divmod(count, WIDTH)
        yield from (Tile(level, index, WIDTH) for index in range(full))
        if rest:
            yield Tile(level, full, rest)
        level, count = level + 1, full


def bundles_of(size: int) -> Iterator[EntryBundle]:
    """Every entry bundle of a log of that size."""
    return (EntryBundle(tile.index, tile.width) for tile in tiles_of(size) if tile.level == 0)


def derive_root(size: int, fetch: Fetch) -> bytes:
    """The root that the tiles of a tree of that size give.

    Every tile is fetched once, and each hash above level 0 is derived from the full tile below it.
    Raises WrongInput naming the tile that is not as the ones below it say.
    """
    leaves: list[bytes] = []
    derived: list[bytes] = []
    for tile in tiles_of(size):
        found = _hashes(tile, fetch(tile))
        if tile.level == 0:
            leaves += found
        else:
            if tile.index == 0:
                below = leaves if tile.level == 1 else derived
                derived = [merkle.root(full) for full in _full(below)]
            if found != derived[tile.index * WIDTH : tile.index * WIDTH + tile.width]:
                raise WrongInput(f"tile/{tile.path}", "the hashes of the full tiles below it")
    return merkle.root(leaves)


def lookup(size: int, fetch: Fetch) -> Lookup:
    """A `Lookup` of the tree of that size that fetches only the tiles a proof needs, each once.

    Nothing fetched is checked here: a proof made with it is, against signed roots.
    """
    held: dict[Tile, list[bytes]] = {}

    def node(level: int, index: int) -> bytes:
        rows, height = divmod(level, HEIGHT)
        first = index << height
        tile = _tile_in(size, level=rows, index=first // WIDTH)
        if tile not in held:
            held[tile] = _hashes(tile, fetch(tile))
        start = first % WIDTH
        return merkle.root(held[tile][start : start + (1 << height)])

    return node


def _tile_in(size: int, *, level: int, index: int) -> Tile:
    count = size >> (HEIGHT * level)
    return Tile(level, index, min(WIDTH, count - index * WIDTH))


def _full(hashes: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    whole = len(hashes) - len(hashes) % WIDTH
    return (hashes[start : start + WIDTH] for start in range(0, whole, WIDTH))


def _hashes(tile: Tile, raw: bytes) -> list[bytes]:
    if len(raw) != tile.width * HASH_SIZE:
        raise WrongInput(f"tile/{tile.path}", f"{tile.width} hashes of {HASH_SIZE} bytes")
    return [raw[start : start + HASH_SIZE] for start in range(0, len(raw), HASH_SIZE)]
