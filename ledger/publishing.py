"""How what is recorded becomes a signed head that anyone can hold us to: the one sequencer.

Positions are given under the book's row lock inside the recording transaction, so a committed size
means committed leaves below it: no gap, no late arrival. The sequencer takes committed leaves only,
hashes their stored bytes again, extends the tree from the last published frontier, signs a
checkpoint, and commits each book's head as a leaf of the top log, so that no member can be shown a
different world. It runs in one place at a time.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count, groupby
from operator import itemgetter

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import merkle, notes, store, store_log, tiles
from ledger.errors import Absent, Conflict, LiandaiError
from ledger.leaves import Leaf
from ledger.service import SYSTEM, append, hold
from ledger.signatures import Signer

TOP = "top"


class LogDamaged(LiandaiError):
    """Stored bytes do not hash to the stored leaf hash: this book is published no further."""

    def __init__(self, *, book: str, position: int) -> None:
        super().__init__(f"leaf {position} of book {book} does not hash to what was recorded")
        self.book = book
        self.position = position


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A head just signed. leaves: how many of its leaves no head held before."""

    book: str
    size: int
    root: bytes
    leaves: int


PORTION = 20_000
"""At most so many leaves are hashed and published in one transaction."""


async def publish(
    conn: AsyncConnection,
    *,
    installation: str,
    signer: Signer,
    now: datetime,
    leaving_out: Collection[str] = (),
) -> list[Published]:
    """A portion of the committed leaves is under signed checkpoints and these under the top log's.

    leaving_out  books that are damaged and are published no further; all others are

    Returns the heads signed now, the top log's last; nothing where nothing is left to publish, or
    while another publisher is at work. Whoever wants all published commits and asks again, until a
    portion was not full (`was_full`). Books that have grown least come first, so a book that grew
    by a million leaves at once keeps no other waiting. The round trips do not depend on how many
    books have grown.
    Raises LogDamaged at the first leaf whose bytes were altered before publication.
    """
    if not await store_log.one_publisher(conn):
        return []
    hand = _Hand(installation=installation, signer=signer, now=now)
    rows = await store_log.unpublished(conn)
    portion = _portion(row for row in rows if row.book_id not in leaving_out)
    if not portion:
        return []
    heads = await _extend(conn, portion, hand)
    return heads + await _publish_top(conn, heads, hand)


def was_full(heads: Iterable[Published]) -> bool:
    """Whether a portion held as many leaves as one may: others, committed by then, may be left."""
    return sum(head.leaves for head in heads if head.book != TOP) >= PORTION


class _Hand(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, and when."""

    installation: str
    signer: Signer
    now: datetime


class _Grown(msgspec.Struct, frozen=True, kw_only=True):
    """A book whose log is longer than its published tree; size: how far it is published now."""

    book: str
    size: int
    published: merkle.Frontier


def _portion(rows: Iterable[store.Found]) -> list[_Grown]:
    """Books with at most PORTION new leaves together; of a book with more, only so many."""
    portion: list[_Grown] = []
    room = PORTION
    for row in sorted(rows, key=lambda row: (row.size - row.published, row.book_id)):
        if not room:
            break
        leaves = min(row.size - row.published, room)
        published = merkle.Frontier(row.published, tuple(row.frontier or ()))
        portion.append(_Grown(book=row.book_id, size=row.published + leaves, published=published))
        room -= leaves
    return portion


async def _publish_top(
    conn: AsyncConnection, heads: Sequence[Published], hand: _Hand
) -> list[Published]:
    held = await hold(conn, book=TOP)
    await append(
        conn,
        [
            Leaf(
                book=TOP,
                kind="head",
                leaf_id=f"head:{head.book}:{head.size}",
                subject={
                    "type": "Head",
                    "book": head.book,
                    "size": head.size,
                    "root": head.root.hex(),
                },
                entries=(),
                value_date=held.open_day,
                booking_date=held.open_day,
                recorded_at=hand.now,
                actor=SYSTEM,
                corrects=None,
            )
            for head in heads
        ],
    )
    head = await store.head(conn, book=TOP)
    published = merkle.EMPTY if head is None else merkle.Frontier(head.size, tuple(head.frontier))
    grown = _Grown(book=TOP, size=held.size + len(heads), published=published)
    return await _extend(conn, [grown], hand)


async def _extend(conn: AsyncConnection, grown: Sequence[_Grown], hand: _Hand) -> list[Published]:
    """Each book's tree is grown by its new leaves, hashed again, and its head signed."""
    rows = await store_log.recorded_runs(
        conn, ranges=[(one.book, one.published.size, one.size) for one in grown]
    )
    recorded = {book: list(runs) for book, runs in groupby(rows, key=itemgetter(0))}
    heads, runs, subtrees = [], [], []
    for one in grown:
        hashes = _hashed(one, recorded.get(one.book, ()))
        frontier, finished = one.published.append(hashes)
        runs += [
            store_log.LeafRun(one.book, first, run)
            for first, run in merkle.runs(one.published.size, hashes)
        ]
        subtrees += [
            (one.book, level, first, b"".join(side_by_side))
            for level, first, side_by_side in finished
            if side_by_side and merkle.is_kept(level)
        ]
        heads.append(_signed(one.book, frontier, hand))
    await store_log.publish(conn, heads=heads, runs=runs, subtrees=subtrees, published_at=hand.now)
    return [
        Published(
            book=head.book, size=head.size, root=head.root, leaves=head.size - one.published.size
        )
        for head, one in zip(heads, grown, strict=True)
    ]


def _hashed(grown: _Grown, recorded: Sequence[store_log.RecordedRun]) -> list[bytes]:
    """The leaf hashes, once the stored bytes give them again without a gap."""
    hashes: list[bytes] = []
    due = grown.published.size
    for _, positions, leaves, stored in recorded:
        run = merkle.hashes_of(leaves)
        if b"".join(run) != stored or positions != list(range(due, due + len(run))):
            raise LogDamaged(book=grown.book, position=_first_wrong(due, positions, run, stored))
        hashes += run
        due += len(run)
    if due != grown.size:
        raise LogDamaged(book=grown.book, position=due)
    return hashes


def _first_wrong(due: int, positions: Sequence[int], hashes: Sequence[bytes], stored: bytes) -> int:
    """The first position from `due` on whose leaf is not there, or not as its stored hash says."""
    for begun, position, digest in zip(count(step=merkle.HASH_SIZE), positions, hashes):
        if position != due or stored[begun : begun + merkle.HASH_SIZE] != digest:
            return due
        due += 1
    return due


def _signed(book: str, frontier: merkle.Frontier, hand: _Hand) -> store_log.SignedHead:
    root = frontier.root()
    checkpoint = notes.Checkpoint(
        origin=notes.origin(installation=hand.installation, book=book),
        size=frontier.size,
        root=root,
    )
    note = notes.sign_checkpoint(checkpoint, name=hand.installation, signer=hand.signer)
    return store_log.SignedHead(
        book=book, size=frontier.size, root=root, frontier=frontier.peaks, note=note.decode()
    )


class NoSuchHead(Absent):
    """No checkpoint of that book and size is published."""


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """A published checkpoint with the cosignatures received for it."""

    book: str
    size: int
    root: bytes
    note: bytes


async def checkpoint(conn: AsyncConnection, *, book: str, size: int | None = None) -> Witnessed:
    """The checkpoint of that size (the latest), with every cosignature received so far."""
    row = await store_log.checkpoint(conn, book=book, size=size)
    if row is None:
        raise NoSuchHead(f"no checkpoint of book {book}" + (f" at {size}" if size else ""))
    return await _witnessed(conn, row)


async def note_of(conn: AsyncConnection, *, book: str, size: int) -> bytes:
    """The checkpoint of that size as the log signed it, with no cosignature. Raises NoSuchHead."""
    row = await store_log.checkpoint(conn, book=book, size=size)
    if row is None:
        raise NoSuchHead(f"no checkpoint of book {book} at {size}")
    return bytes(row.note.encode())


HEAD_STANDS_SECONDS = 15
"""For how long witnesses are asked to cosign the same head of the top log."""


async def checkpoint_to_cosign(conn: AsyncConnection, *, now: datetime) -> Witnessed:
    """The head of the top log that witnesses are asked to cosign now.

    It is the last one published before the present quarter of a minute began (the first of all
    where there is none), so that witnesses who ask at different moments sign the same head and k of
    them come together under it, however fast the log grows. Raises NoSuchHead.
    """
    seconds = int(now.timestamp())
    began = datetime.fromtimestamp(seconds - seconds % HEAD_STANDS_SECONDS, UTC)
    row = await store_log.checkpoint_by(conn, book=TOP, until=began)
    if row is None:
        raise NoSuchHead(f"no checkpoint of book {TOP}")
    return await _witnessed(conn, row)


async def _witnessed(conn: AsyncConnection, row: store.Found) -> Witnessed:
    book = row.book_id
    lines = await store_log.cosignatures(conn, book=book, size=row.size)
    note = notes.with_signatures(row.note.encode(), [line.encode() for line in lines])
    return Witnessed(book=book, size=row.size, root=row.root, note=note)


class TooSmall(Conflict):
    """A proof about a leaf the asked size does not hold, or between sizes out of order."""

    code = "no-such-proof"


async def inclusion(conn: AsyncConnection, *, book: str, position: int, size: int) -> list[bytes]:
    """The RFC 6962 audit path of a leaf in the tree of that published size, bottom up."""
    if not 0 <= position < size:
        await note_of(conn, book=book, size=size)
        raise TooSmall(f"leaf {position} is not in the first {size} leaves")
    return await _with_nodes(
        conn,
        book=book,
        size=size,
        proof=lambda node: merkle.inclusion_proof(index=position, size=size, node=node),
    )


async def consistency(
    conn: AsyncConnection, *, book: str, old_size: int, new_size: int
) -> list[bytes]:
    """The RFC 6962 consistency proof between two sizes, the later one published."""
    if not 0 < old_size <= new_size:
        await note_of(conn, book=book, size=new_size)
        raise TooSmall(f"no proof from size {old_size} to {new_size}")
    return await _with_nodes(
        conn,
        book=book,
        size=new_size,
        proof=lambda node: merkle.consistency_proof(
            old_size=old_size, new_size=new_size, node=node
        ),
    )


async def _with_nodes(
    conn: AsyncConnection, *, book: str, size: int, proof: Callable[[merkle.Lookup], list[bytes]]
) -> list[bytes]:
    """The proof made twice: first to learn which subtrees it asks for, then with them.

    Raises NoSuchHead where no checkpoint of that size is published.
    """
    wanted: list[tuple[int, int]] = []

    def note_down(level: int, index: int) -> bytes:
        wanted.append((level, index))
        return merkle.EMPTY_ROOT

    proof(note_down)
    found = await store_log.subtrees_under(conn, book=book, size=size, wanted=wanted)
    if found is None:
        raise NoSuchHead(f"no checkpoint of book {book} at {size}")
    return proof(lambda level, index: found[level, index])


async def tile(conn: AsyncConnection, *, book: str, asked: tiles.Tile) -> bytes:
    """The tile's hashes, side by side. NoSuchTile where the published tree has not grown so far."""
    level, first, end = asked.nodes
    found = await store_log.subtrees_between(conn, book=book, level=level, first=first, end=end)
    if len(found) != asked.width:
        raise tiles.NoSuchTile(f"no tile {asked.path} of book {book} yet")
    return b"".join(found)


async def entry_bundle(conn: AsyncConnection, *, book: str, asked: tiles.EntryBundle) -> bytes:
    """The published leaves under a tile of level 0, verbatim; for who may read everyone's entries.

    Raises NoSuchTile where the published tree has not grown so far, EntryTooLong.
    """
    first, end = asked.positions
    head = await store.head(conn, book=book)
    if head is None or head.size < end:
        raise tiles.NoSuchTile(f"no entry bundle {asked.path} of book {book} yet")
    rows = await store.leaf_bytes(conn, book=book, from_position=first, to_position=end)
    return tiles.entry_bundle([row.bytes for row in rows])


async def cosign(
    conn: AsyncConnection,
    *,
    book: str,
    size: int,
    line: bytes,
    witness: notes.VerifierKey,
    installation: str,
    signer: Signer,
    now: datetime,
) -> None:
    """The witness's cosignature stands under that checkpoint; a repeat changes nothing.

    Raises NoSuchHead, and WrongInput or NotSigned where the line is not the witness's signature of
    exactly this checkpoint.
    """
    note = await note_of(conn, book=book, size=size)
    log = notes.VerifierKey(installation, notes.ED25519, signer.public)
    opened = notes.open_checkpoint(
        notes.with_signatures(note, [line]),
        origin=notes.origin(installation=installation, book=book),
        log=log,
        witnesses=[witness],
    )
    if witness not in [signed.key for signed in opened.cosignatures]:
        raise notes.NotSigned(f"{witness.name} has not signed this checkpoint")
    await store_log.add_cosignature(
        conn, book=book, size=size, witness=witness.name, line=line.decode(), received_at=now
    )
