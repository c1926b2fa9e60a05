"""Whether the logs still are what was recorded and published (I13), read again from their bytes.

Every leaf's bytes must hash to the stored hash and say what stands in the columns and entries
beside them; the tree grown from the bytes must have every stored node, every signed checkpoint's
root and the head from which publishing goes on; every head must stand in the top log, and no other.
No stored hash is trusted. After the first wrong node of a log its tree is followed no further: all
that comes after differs as well.

It cannot see a past that was rewritten whole and signed again with the log's own key: that is what
witnesses outside the database are for.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import merkle, notes, store_audit, store_log
from ledger.documents import convert
from ledger.errors import LiandaiError, WrongInput
from ledger.holding import Check, Seen
from ledger.leaves import WITH_ENTRIES
from ledger.notes import Head, VerifierKey
from ledger.replay import TOP, StoredLeaf, read_leaf
from ledger.store import Found

_SORTED = msgspec.json.Encoder(order="sorted")


def log_stands(*, log: VerifierKey, on_record: str) -> Check:
    """I13 as a check.

    log        the key that must have signed every checkpoint
    on_record  what the installation says its key is
    """

    async def run(conn: AsyncConnection, seen: Seen) -> None:
        if on_record != str(log):
            seen.offence(f"the log key on record is {on_record}, ours is {log}")
        published: dict[tuple[str, int], bytes] = {}
        heads: list[tuple[int, Head]] = []
        for book in await store_audit.books(conn):
            reading = _Reading(
                conn, seen, book, await store_log.checkpoints(conn, book=book.book_id)
            )
            reading.check_published(log)
            await reading.run()
            heads += reading.heads
            if book.book_id != TOP:
                published |= {(book.book_id, row.size): row.root for row in reading.checkpoints}
        for offence in top_log_flaws(heads, published):
            seen.offence(offence)
        for row in await store_audit.entries_without_leaf(conn):
            seen.offence(f"{row.book_id} {row.position}: {row.entries} entries without a leaf")
        for table, name in await store_audit.unknown_books(conn):
            seen.offence(f"{name}: rows of {table} in a book that is not there")

    says = (
        "leaves: the bytes hash to what is stored, say what columns and entries say, and are under "
        "every checkpoint, node and head published"
    )
    return Check("I13", says, run)


# ---- one leaf


def leaf_flaw(book: str, row: Found, entries: Sequence[Found]) -> str | None:
    """What of a stored leaf is not as its bytes say, or None.

    row      position, bytes, hash and all columns; entries: its posted lines in order
    """
    if merkle.leaf_hash(row.bytes) != row.hash:
        return "the bytes do not hash to the stored hash"
    try:
        leaf = read_leaf(row.bytes)
    except WrongInput as error:
        return f"the bytes are no leaf ({error})"
    for name, said, stands in (
        ("book", leaf.book, book),
        ("leaf_id", leaf.id, row.leaf_id),
        ("kind", leaf.kind, row.kind),
        ("corrects", leaf.corrects, row.corrects),
        ("of_leaf", None if leaf.of is msgspec.UNSET else leaf.of, row.of_leaf),
        ("value_date", leaf.value_date, row.value_date),
        ("booking_date", leaf.booking_date, row.booking_date),
        ("recorded_at", leaf.recorded_at, row.recorded_at),
        ("subject", _spelled(leaf.subject), _spelled(row.subject)),
        ("actor", _spelled(leaf.actor), _spelled(row.actor)),
    ):
        if said != stands:
            return f"{name} is not what the bytes say"
    if (row.kind in WITH_ENTRIES) != bool(leaf.entries):
        return f"entries on {', '.join(WITH_ENTRIES)}, and only there"
    return _entries_flaw(leaf, entries)


def _spelled(value: Any) -> bytes | None:
    """One spelling for equal JSON values, true apart from 1; None for what no leaf can hold."""
    try:
        return _SORTED.encode(value)
    except (OverflowError, RecursionError, ValueError):
        return None


def _entries_flaw(leaf: StoredLeaf, entries: Sequence[Found]) -> str | None:
    if len(entries) != len(leaf.entries):
        how = "pending" if leaf.kind == "pending" else "posted"
        return f"{len(entries)} entries are {how}, the bytes say {len(leaf.entries)}"
    if any(entry.is_pending != (leaf.kind == "pending") for entry in entries):
        return "entries are posted that are only pending, or the other way round"
    for number, (said, entry) in enumerate(zip(leaf.entries, entries, strict=True)):
        if (
            number,
            (said.party, said.code, said.counterparty, said.ref, said.currency),
            said.amount_minor,
            said.party,
            leaf.value_date,
            leaf.booking_date,
        ) != (
            entry.line,
            (entry.party, entry.code, entry.counterparty, entry.ref, entry.currency),
            entry.amount_minor,
            entry.shown_to,
            entry.value_date,
            entry.booking_date,
        ):
            return f"entry {number} is not what the bytes say"
    return None


# ---- one log


def checkpoint_flaw(row: Found, *, origin: str, log: VerifierKey) -> str | None:
    """What is wrong with a stored checkpoint by itself, or None."""
    try:
        opened = notes.open_checkpoint(row.note.encode(), origin=origin, log=log, witnesses=())
    except (LiandaiError, ValueError) as error:
        return str(error)
    if (opened.checkpoint.size, opened.checkpoint.root) != (row.size, row.root):
        return "the signed note says another size or root"
    return None


class _Reading:
    """One log while it is read again. heads: what the top log's leaves say, by position."""

    def __init__(
        self, conn: AsyncConnection, seen: Seen, book: Found, checkpoints: Sequence[Found]
    ) -> None:
        self.checkpoints = checkpoints
        self.heads: list[tuple[int, Head]] = []
        self._conn, self._seen, self._book = conn, seen, book
        self._published: int = book.published or 0
        self._roots = {row.size: row.root for row in checkpoints}
        self._frontier = merkle.EMPTY
        self._pending: list[bytes] = []
        self._is_sound = True
        self._agreed = 0  # size of the last checkpoint whose root was met again

    def check_published(self, log: VerifierKey) -> None:
        """Every checkpoint is signed, and the last one is the head that publishing goes on from.

        The first that is not is named, or one other key would leave no room for anything else.
        """
        book = self._book
        origin = notes.origin(installation=log.name, book=book.book_id)
        for row in self.checkpoints:
            flaw = checkpoint_flaw(row, origin=origin, log=log)
            if flaw is not None:
                self._offence(row.size, f"the checkpoint of this size: {flaw}")
                break
        last = self.checkpoints[-1] if self.checkpoints else None
        stands = (book.published, book.root)
        if stands != ((None, None) if last is None else (last.size, last.root)):
            self._offence(self._published, "the head is not the last checkpoint")

    async def run(self) -> None:
        """All leaves have been looked at, and the tree as far as it is sound."""
        due = 0
        async for row, entries in store_audit.leaves_with_entries(
            self._conn, book=self._book.book_id, verbatim=True
        ):
            self._seen.looked_at += 1
            flaw = leaf_flaw(self._book.book_id, row, entries)
            if flaw is not None:
                self._offence(row.position, flaw)
            if row.position != due:
                await self._grow()
                self._wrong(due, "the leaf is missing")
            due = row.position + 1
            self._pending.append(merkle.leaf_hash(row.bytes))
            if len(self._pending) == store_audit.PAGE:
                await self._grow()
            if row.kind == "head":
                self._take_head(row)
        await self._grow()
        if self._is_sound:
            await self._finish()

    def _offence(self, index: int, what: str) -> None:
        self._seen.offence(f"{self._book.book_id} {index}: {what}")

    def _wrong(self, index: int, what: str) -> None:
        """An offence after which nothing of the tree can be compared."""
        if self._is_sound:
            self._offence(index, what)
        self._is_sound = False

    def _take_head(self, row: Found) -> None:
        try:
            head = convert(row.subject, Head, place="$.subject")
        except WrongInput as error:
            self._offence(row.position, f"no head ({error})")
            return
        if self._book.book_id != TOP:
            self._offence(row.position, "a head outside the top log")
        self.heads.append((row.position, head))

    async def _grow(self) -> None:
        """The tree has the pending leaves too, and each node and root they finish is compared."""
        hashes, self._pending = self._pending, []
        if not self._is_sound or not hashes:
            return
        start, end = self._frontier.size, self._frontier.size + len(hashes)
        stored = await store_audit.subtrees_finished(
            self._conn,
            book=self._book.book_id,
            old_size=start,
            new_size=min(end, max(start, self._published)),
        )
        for size in sorted({size for size in self._roots if start < size < end} | {end}):
            begun = self._frontier.size
            self._frontier, finished = self._frontier.append(hashes[begun - start : size - start])
            wrong = self._node_flaw(merkle.each(finished), stored) or self._root_flaw(size)
            if wrong is not None:
                self._wrong(*wrong)
                return

    def _node_flaw(
        self, finished: Iterable[merkle.Node], stored: dict[tuple[int, int], bytes]
    ) -> tuple[int, str] | None:
        for level, index, digest in finished:
            if (
                (level == 0 or merkle.is_kept(level))
                and (index + 1) << level <= self._published
                and stored.get((level, index)) != digest
            ):
                return index << level, f"tree node ({level}, {index}) is not that of the leaves"
        return None

    def _root_flaw(self, size: int) -> tuple[int, str] | None:
        if size in self._roots:
            if self._roots[size] != self._frontier.root():
                return (
                    self._agreed,
                    f"this leaf, or one up to {size - 1}, is not the one under the checkpoint of "
                    f"size {size}",
                )
            self._agreed = size
        if size == self._published and tuple(self._book.frontier) != self._frontier.peaks:
            return size, "the head's frontier is not that of the leaves"
        return None

    async def _finish(self) -> None:
        size, published = self._frontier.size, self._published
        if size < published:
            self._wrong(size, f"{published} leaves are published, and this one is not there")
            return
        levels = filter(merkle.is_kept, range(published.bit_length()))
        due = published + sum(published >> level for level in levels)
        stands = await store_audit.stored_subtrees(self._conn, book=self._book.book_id)
        if stands != due:
            self._wrong(published, f"{stands} tree nodes are stored where {due} belong")


# ---- between logs


def top_log_flaws(
    heads: Sequence[tuple[int, Head]], published: dict[tuple[str, int], bytes]
) -> list[str]:
    """Heads in the top log that are no checkpoint, and checkpoints that are not there.

    published  (book, size) -> root of every checkpoint but the top log's own
    """
    flaws = [
        f"{TOP} {position}: the head of {head.book} at {head.size} is no published checkpoint"
        for position, head in heads
        if published.get((head.book, head.size), b"").hex() != head.root
    ]
    named = {(head.book, head.size) for _, head in heads}
    flaws += [
        f"{book} {size}: the checkpoint of this size is not in the top log"
        for book, size in sorted(published)
        if (book, size) not in named
    ]
    return flaws
