"""What somebody with every right on the database can do to a book's past, and cover up after.

Each forgery is a function (Forger) -> Forgery; it does its work in the transaction it is given and
says where it began. A clumsy hand alters rows only; a careful one writes the leaf, its columns and
everything that follows from it anew, up to seals, tree nodes and the frontier; a thief has the
log's key and signs every head of the book and of the top log again.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import leaves, merkle, notes
from ledger.publishing import TOP
from tests.ledger.recorded_story import NAME, SIGNER

NUMBERED: Final = (
    ("leaf", "position"),
    ("entry", "position"),
    ("pending", "position"),
    ("pending", "resolved_by"),
    ("pending_line", "position"),
    ("reversal", "position"),
)
"""Every column that holds a position in a book's log."""

FAR: Final = 1_000_000


class Forgery(msgspec.Struct, frozen=True):
    """What was done: in which book, and the first index that is not as it was."""

    book: str
    first: int


class Forger:
    """Somebody at work in one transaction on one book, all of which is published.

    sizes  the sizes of the book's checkpoints, in order
    """

    def __init__(
        self, conn: AsyncConnection, dice: Random, *, book: str, sizes: Sequence[int]
    ) -> None:
        self.conn, self.dice, self.book, self.sizes = conn, dice, book, sizes
        self.size = sizes[-1]

    def anywhere(self) -> int:
        return self.dice.randrange(self.size)

    async def run(self, statement: str, **values: Any) -> None:
        named = {"book": self.book} if ":book" in statement else {}
        await self.conn.execute(text(statement), {**named, **values})

    async def raws(self, book: str | None = None) -> list[bytes]:
        """The leaves' bytes in log order."""
        query = "SELECT bytes FROM ledger.leaf WHERE book_id = :book ORDER BY position"
        found = await self.conn.execute(text(query), {"book": book or self.book})
        return list(found.scalars())

    async def move(self, first: int, *, by: int, until: int = FAR // 2) -> None:
        """Whatever stands at positions from `first` up to `until` stands so much further on."""
        await self.run("ALTER TABLE ledger.pending DROP CONSTRAINT IF EXISTS pending_check")
        for shift in (FAR, by - FAR):
            low, high = (first, until) if shift == FAR else (first + FAR, until + FAR)
            for table, column in NUMBERED:
                await self.run(
                    f"UPDATE ledger.{table} SET {column} = {column} + :shift "
                    f"WHERE book_id = :book AND {column} >= :low AND {column} < :high",
                    shift=shift,
                    low=low,
                    high=high,
                )

    async def remove(self, first: int, until: int) -> None:
        """Nothing stands at these positions, in any table."""
        for table, column in NUMBERED:
            gone = f"{column} = NULL" if column == "resolved_by" else None
            where = f"WHERE book_id = :book AND {column} >= :low AND {column} < :high"
            verb = f"UPDATE ledger.{table} SET {gone}" if gone else f"DELETE FROM ledger.{table}"
            await self.run(f"{verb} {where}", low=first, high=until)

    async def resize(self, size: int) -> None:
        await self.run("UPDATE ledger.book SET size = :size WHERE book_id = :book", size=size)

    async def put(self, position: int, raw: bytes, *, book: str | None = None) -> None:
        """The leaf says this, in its bytes, its hash and its columns."""
        leaf = leaves.decode(raw)
        await self.run(
            "UPDATE ledger.leaf SET bytes = :raw, hash = :hash, leaf_id = :leaf_id, "
            "subject = CAST(:subject AS jsonb), actor = CAST(:actor AS jsonb), "
            "value_date = :value_date WHERE book_id = :book AND position = :position",
            book=book or self.book,
            raw=raw,
            hash=merkle.leaf_hash(raw),
            leaf_id=leaf.leaf_id,
            subject=msgspec.json.encode(leaf.subject).decode(),
            actor=msgspec.json.encode(leaf.actor).decode(),
            value_date=leaf.value_date,
            position=position,
        )
        await self.run(
            "UPDATE ledger.entry SET value_date = :value_date "
            "WHERE book_id = :book AND position = :position",
            book=book or self.book,
            value_date=leaf.value_date,
            position=position,
        )

    def lie(self, raw: bytes) -> bytes:
        """The leaf with another reference, another author or another value date."""
        leaf = leaves.decode(raw)
        match self.dice.randrange(3):
            case 0 if leaf.kind in ("transaction", "pending"):
                return leaves.encode(replace(leaf, subject={**leaf.subject, "reference": "2"}))
            case 1 if leaf.actor.institution != "liandai":
                return leaves.encode(replace(leaf, actor=replace(leaf.actor, user="nobody")))
        return leaves.encode(replace(leaf, value_date=leaf.value_date - timedelta(days=1)))

    async def cover_up(self, position: int, raw: bytes) -> list[bytes]:
        """The leaf and all that follows from it in the book is written anew; the new hashes."""
        raws = await self.raws()
        hashes = [merkle.leaf_hash(one) for one in raws]
        raws[position], hashes[position] = raw, merkle.leaf_hash(raw)
        await self.put(position, raw)
        for later in range(position + 1, len(raws)):
            leaf = leaves.decode(raws[later])
            if leaf.kind == "seal":
                subject = {**leaf.subject, "root": merkle.root(hashes[:later]).hex()}
                raws[later] = leaves.encode(replace(leaf, subject=subject))
                hashes[later] = merkle.leaf_hash(raws[later])
                await self.put(later, raws[later])
        await self.regrow(self.book, hashes)
        return hashes

    async def regrow(self, book: str, hashes: Sequence[bytes]) -> None:
        """The stored tree and the frontier to go on from are those of these leaves."""
        frontier, finished = merkle.EMPTY.append(hashes)
        await self.conn.execute(
            text(
                "UPDATE ledger.subtree SET hash = :hash "
                "WHERE book_id = :book AND level = :level AND index = :index"
            ),
            [
                {"book": book, "level": level, "index": index, "hash": digest}
                for level, index, digest in merkle.each(finished)
            ],
        )
        query = (
            "SELECT first_position, length(hashes) / 32 AS leaves FROM ledger.leaf_hash "
            "WHERE book_id = :book"
        )
        for first, count in (await self.conn.execute(text(query), {"book": book})).all():
            await self.run(
                "UPDATE ledger.leaf_hash SET hashes = :hashes "
                "WHERE book_id = :book AND first_position = :first",
                book=book,
                hashes=b"".join(hashes[first : first + count]),
                first=first,
            )
        await self.run(
            "UPDATE ledger.head SET frontier = :peaks WHERE book_id = :book",
            book=book,
            peaks=list(frontier.peaks),
        )

    async def sign_again(self, book: str, hashes: Sequence[bytes], *, after: int) -> None:
        """Every checkpoint beyond `after` leaves is signed by the log's own key for this tree."""
        query = "SELECT size FROM ledger.checkpoint WHERE book_id = :book AND size > :after"
        found = await self.conn.execute(text(query), {"book": book, "after": after})
        for size in found.scalars().all():
            root = merkle.root(hashes[:size])
            origin = notes.origin(installation=NAME, book=book)
            head = notes.Checkpoint(origin=origin, size=size, root=root)
            note = notes.sign_checkpoint(head, name=NAME, signer=SIGNER).decode()
            await self.run(
                "UPDATE ledger.checkpoint SET root = :root, note = :note "
                "WHERE book_id = :book AND size = :size",
                book=book,
                root=root,
                note=note,
                size=size,
            )
        await self.run(
            "UPDATE ledger.head SET root = :root WHERE book_id = :book",
            book=book,
            root=merkle.root(hashes),
        )


Forge = Callable[[Forger], Awaitable[Forgery]]


# ---- clumsy: rows altered, nothing covered up


async def one_bit_flipped(by: Forger) -> Forgery:
    at, bit = by.anywhere(), by.dice.randrange(800)
    await by.run(
        "UPDATE ledger.leaf SET bytes = set_bit(bytes, :bit, 1 - get_bit(bytes, :bit)) "
        "WHERE book_id = :book AND position = :at",
        bit=bit,
        at=at,
    )
    return Forgery(by.book, at)


async def one_bit_flipped_and_hashed(by: Forger) -> Forgery:
    done = await one_bit_flipped(by)
    await by.run(
        "UPDATE ledger.leaf SET hash = sha256('\\x00'::bytea || bytes) "
        "WHERE book_id = :book AND position = :at",
        at=done.first,
    )
    return done


async def one_amount_changed(by: Forger) -> Forgery:
    """An entry, or a pending's line where the book has no entry."""
    for table in ("entry", "pending_line"):
        query = f"SELECT position, line FROM ledger.{table} WHERE book_id = :book ORDER BY 1, 2"
        rows = (await by.conn.execute(text(query), {"book": by.book})).all()
        if rows:
            at, line = by.dice.choice(rows)
            await by.run(
                f"UPDATE ledger.{table} SET amount_minor = amount_minor * 2 "
                "WHERE book_id = :book AND position = :at AND line = :line",
                at=at,
                line=line,
            )
            return Forgery(by.book, at)
    return await one_bit_flipped(by)


async def one_column_changed(by: Forger) -> Forgery:
    at = by.anywhere()
    name, to = by.dice.choice(
        (
            ("leaf_id", "'x' || leaf_id"),
            ("kind", "'consent'"),
            ("subject", "subject || '{\"x\": 1}'"),
            ("actor", 'actor || \'{"user": "x"}\''),
            ("corrects", "coalesce(corrects, '') || 'x'"),
            ("value_date", "value_date + 1"),
            ("booking_date", "booking_date + 1"),
            ("recorded_at", "recorded_at + interval '1 us'"),
            ("of_leaf", "coalesce(of_leaf, '') || 'x'"),
            ("hash", "sha256(hash)"),
        )
    )
    await by.run(
        f"UPDATE ledger.leaf SET {name} = {to} WHERE book_id = :book AND position = :at".replace(
            '": ', '"\\: '
        ),
        at=at,
    )
    return Forgery(by.book, at)


async def one_deleted(by: Forger) -> Forgery:
    at = by.anywhere()
    await by.remove(at, at + 1)
    return Forgery(by.book, at)


# ---- careful: no gap, no wrong column, no wrong hash


async def one_inserted(by: Forger) -> Forgery:
    at = by.anywhere()
    raw = (await by.raws())[at]
    leaf = leaves.decode(raw)
    forged = replace(
        leaf,
        kind="record",
        leaf_id="forged",
        subject={"type": "Noted"},
        entries=(),
        corrects=None,
        of=None,
        expires_at=None,
    )
    await by.move(at, by=1)
    await by.run(
        "INSERT INTO ledger.leaf SELECT book_id, CAST(:at AS bigint), 'forged', 'record', subject, "
        "actor, NULL, value_date, booking_date, recorded_at, bytes, hash, NULL FROM ledger.leaf "
        "WHERE book_id = :book AND position = CAST(:at AS bigint) + 1",
        at=at,
    )
    await by.put(at, leaves.encode(forged))
    await by.resize(by.size + 1)
    return Forgery(by.book, at)


async def one_taken_out(by: Forger) -> Forgery:
    at = by.anywhere()
    await by.remove(at, at + 1)
    await by.move(at + 1, by=-1)
    await by.resize(by.size - 1)
    return Forgery(by.book, at)


async def two_swapped(by: Forger) -> Forgery:
    one, other = sorted(by.dice.sample(range(by.size), 2))
    await by.move(one, by=2 * FAR, until=one + 1)
    await by.move(other, by=one - other, until=other + 1)
    await by.move(one + 2 * FAR, by=other - one - 2 * FAR, until=one + 2 * FAR + 1)
    return Forgery(by.book, one)


async def the_end_cut_off(by: Forger) -> Forgery:
    stays = by.anywhere()
    await by.remove(stays, FAR)
    await by.resize(stays)
    return Forgery(by.book, stays)


async def the_end_cut_off_with_its_heads(by: Forger) -> Forgery:
    """The book is as it was under an earlier head; only the top log still names the later ones."""
    done = await the_end_cut_off(by)
    stays = max((size for size in by.sizes if size <= done.first), default=0)
    hashes = [merkle.leaf_hash(raw) for raw in await by.raws()][:stays]
    for table in ("cosignature", "checkpoint"):
        await by.run(
            f"DELETE FROM ledger.{table} WHERE book_id = :book AND size > :stays", stays=stays
        )
    await by.run(
        "DELETE FROM ledger.subtree "
        "WHERE book_id = :book AND ((index + 1) << CAST(level AS integer)) > :stays",
        stays=stays,
    )
    await by.run(
        "DELETE FROM ledger.leaf_hash WHERE book_id = :book AND first_position >= :stays",
        stays=stays,
    )
    if stays == 0:
        await by.run("DELETE FROM ledger.head WHERE book_id = :book")
        return done
    await by.run(
        "UPDATE ledger.head SET size = :size, root = :root WHERE book_id = :book",
        size=stays,
        root=merkle.root(hashes),
    )
    await by.regrow(by.book, hashes)
    return done


async def rewritten_and_hashed(by: Forger) -> Forgery:
    at = by.anywhere()
    await by.cover_up(at, by.lie((await by.raws())[at]))
    return Forgery(by.book, at)


# ---- with the log's key


async def rewritten_and_signed(by: Forger) -> Forgery:
    """Nothing inside the database is wrong afterwards: the whole past is another one."""
    at = by.anywhere()
    hashes = await by.cover_up(at, by.lie((await by.raws())[at]))
    await by.sign_again(by.book, hashes, after=at)
    top = await by.raws(TOP)
    tops = [merkle.leaf_hash(raw) for raw in top]
    first = None
    for number, raw in enumerate(top):
        leaf = leaves.decode(raw)
        said = leaf.subject
        if said["book"] == by.book and said["size"] > at:
            first = number if first is None else first
            subject = {**said, "root": merkle.root(hashes[: said["size"]]).hex()}
            forged = leaves.encode(replace(leaf, subject=subject))
            tops[number] = merkle.leaf_hash(forged)
            await by.put(number, forged, book=TOP)
    assert first is not None, "everything is published"
    await by.regrow(TOP, tops)
    await by.sign_again(TOP, tops, after=first)
    return Forgery(by.book, at)


BY_AUDIT: Final[tuple[Forge, ...]] = (
    one_bit_flipped,
    one_bit_flipped_and_hashed,
    one_amount_changed,
    one_column_changed,
    one_deleted,
    one_inserted,
    one_taken_out,
    two_swapped,
    the_end_cut_off,
    the_end_cut_off_with_its_heads,
    rewritten_and_hashed,
)
"""What an audit of the database finds by itself."""
