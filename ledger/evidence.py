"""What is taken home: bundles, receipts and proofs of balances, from the database as it stands."""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import bundle as bundles
from ledger import (
    leaves,
    merkle,
    notes,
    publishing,
    receipts,
    seals,
    service,
    store,
    store_known,
    store_log,
)
from ledger.bundle import BookContents, BundleContents
from ledger.documents import convert
from ledger.entries import Account
from ledger.errors import Absent, Conflict
from ledger.leaves import KINDS
from ledger.notes import ED25519, Policy, VerifierKey
from ledger.proven import BalanceProof
from ledger.receipts import LogProof, Receipt
from ledger.replay import REGISTRY, TOP
from ledger.seals import DaySeal
from ledger.signatures import Signer

ALL_KINDS = KINDS


class NoSeal(Absent):
    """Nothing of the book was sealed by that day."""


class NotAsSealed(Conflict):
    """The book no longer gives the balances that the day's seal binds: it was altered."""

    code = "not-as-sealed"


class NotYetPublished(Conflict):
    """A book holds leaves that no checkpoint covers yet: ask again in a moment."""

    code = "not-yet-published"


class NotYetWitnessed(Conflict):
    """No head of the top log, or none that covers the book, has been cosigned by so many."""

    code = "not-yet-witnessed"


class Witnessing(msgspec.Struct, frozen=True, kw_only=True):
    """How many cosignatures a bundle's last head must bear. witnesses: by whom, any for None."""

    at_least: int
    witnesses: tuple[str, ...] | None


async def bundle(
    conn: AsyncConnection,
    *,
    books: Sequence[str],
    installation: str,
    signer: Signer,
    attachments: Mapping[str, bytes],
    witnessing: Witnessing | None = None,
) -> dict[str, bytes]:
    """Every file of an audit bundle by its path; see `ledger.bundle` for the format.

    books        which to take, with the registry and the top log always; all where none is named
    attachments  tables that the books' facts rest on, by name; signed with all else
    witnessing   the bundle ends at the last head of the top log that so many have cosigned, every
                 book where that head has it; for None it ends where the logs end
    Raises Absent for a book the asker may not see, NotYetPublished while the sequencer is behind,
    NotYetWitnessed.
    """
    stood = {row.book_id: row.size for row in await store.books(conn)}
    for book in books:
        if book not in stood:
            raise Absent(f"no book {book}")
    if witnessing is None:
        sizes = await _whole(conn, stood, sorted({*(books or stood), REGISTRY, TOP}))
        contents = [await _contents(conn, book=book, size=size) for book, size in sizes.items()]
    else:
        sizes = await _cut(conn, books, witnessing)
        contents = [await _contents_at(conn, book=book, size=size) for book, size in sizes.items()]
    policy = Policy(
        log=VerifierKey(installation, ED25519, signer.public), witnesses=(), threshold=0
    )
    whole = BundleContents(policy=policy, books=contents, attachments=attachments)
    return bundles.write(whole, signer=signer)


async def _whole(
    conn: AsyncConnection, stood: dict[str, int], wanted: Sequence[str]
) -> dict[str, int]:
    """Every wanted book as long as it is, all of it published."""
    behind = {row.book_id for row in await store_log.unpublished(conn)}.intersection(wanted)
    if behind:
        raise NotYetPublished(f"not yet published: {', '.join(sorted(behind))}")
    return {book: stood[book] for book in wanted}


async def _cut(
    conn: AsyncConnection, books: Sequence[str], witnessing: Witnessing
) -> dict[str, int]:
    """Every wanted book as long as the last head that counts has it."""
    top = await _witnessed_top(conn, witnessing)
    sizes = {**await store_log.heads_below(conn, size=top), TOP: top}
    wanted = sorted({*(books or sizes), REGISTRY, TOP})
    absent = [book for book in wanted if book not in sizes]
    if absent:
        raise NotYetWitnessed(f"the last head that counts does not cover {', '.join(absent)}")
    return {book: sizes[book] for book in wanted}


async def _contents(conn: AsyncConnection, *, book: str, size: int) -> BookContents:
    """The book as it stands, with its stored balances."""
    balances = {
        Account(row.party, row.code, row.counterparty, row.ref, row.currency): row.balance_minor
        for row in await store.accounts(conn, book=book)
    }
    return await _book(conn, book=book, size=size, balances=balances)


async def _contents_at(conn: AsyncConnection, *, book: str, size: int) -> BookContents:
    """The book as it stood when its log held `size` leaves."""
    return await _book(conn, book=book, size=size, balances=await _balances(conn, book, size))


async def _balances(conn: AsyncConnection, book: str, size: int) -> dict[Account, int]:
    """Every account that an entry had touched when the log held `size` leaves, as it stood then."""
    found = await service.balances(conn, book=book, wanted={"known_size": size})
    return {one.account: one.balance_minor for one in found}


async def _book(
    conn: AsyncConnection, *, book: str, size: int, balances: dict[Account, int]
) -> BookContents:
    leaves = await store.leaf_bytes(conn, book=book, from_position=0, to_position=size)
    salt = await store.salt(conn, book=book)
    if salt is None:
        raise Absent(f"no book {book}")
    checkpoints = []
    for row in await store_log.checkpoints(conn, book=book):
        if row.size > size:
            break
        lines = await store_log.cosignatures(conn, book=book, size=row.size)
        checkpoints.append(
            notes.with_signatures(row.note.encode(), [line.encode() for line in lines])
        )
    return BookContents(
        book=book,
        leaves=[row.bytes for row in leaves],
        leaf_hashes=[row.hash for row in leaves],
        checkpoints=checkpoints,
        balances=balances,
        salt=salt,
    )


async def receipt(
    conn: AsyncConnection, *, book: str, leaf_id: str, witnessing: Witnessing | None
) -> Receipt:
    """The receipt of one record, as `proven.verify` judges it offline.

    witnessing  its head of the top log is the last that so many have cosigned; for None, the first
                that covers the record, with whatever cosignatures stand under it
    Raises Absent, NotYetPublished until the record is under a signed head, NotYetWitnessed.
    """
    leaf = await store.fact(conn, book=book, leaf_id=leaf_id)
    if leaf is None or book == TOP:
        raise Absent(f"no record {leaf_id} in book {book}")
    size = await _head_over(conn, book=book, position=leaf.position)
    head = None if size is None else await store_log.head_leaf(conn, book=book, size=size)
    if size is None or head is None:
        raise NotYetPublished(f"record {leaf_id} is not under a signed head yet")
    top = await _top_over(conn, position=head.position, witnessing=witnessing)
    return Receipt(
        v="liandai.receipt/v1",
        book=book,
        position=leaf.position,
        leaf_hash=leaf.hash.hex(),
        in_book=await _proof(conn, book=book, position=leaf.position, size=size),
        head=bytes(head.bytes).decode(),
        in_top=await _proof(conn, book=TOP, position=head.position, size=top),
    )


async def balance_proof(
    conn: AsyncConnection,
    *,
    book: str,
    day: date,
    account: Account,
    witnessing: Witnessing | None,
) -> BalanceProof:
    """The proof of the account's balance at the close of the day, under the last seal by then.

    Making it reads what no member may read, the book's salt and every other balance: the caller
    has looked before whether the asker may know this one, and speaks for the service here.

    witnessing  as for the receipt of the seal
    Raises DayNotClosed, NoSeal, Absent for an account without entries by then, NotAsSealed, and
    what `receipt` raises.
    """
    size = await service.size_at_close(conn, book=book, day=day)
    if not size:
        raise NoSeal(f"nothing of book {book} was sealed by {day}")
    (row,) = await store.leaf_bytes(conn, book=book, from_position=size - 1, to_position=size)
    if merkle.leaf_hash(row.bytes) != row.hash:
        raise NotAsSealed(f"the seal at {size - 1} of book {book} is not as it was recorded")
    leaf = leaves.decode(row.bytes)
    seal = convert(leaf.subject, DaySeal, place="$.subject")
    balances = await _balances(conn, book, seal.size)
    if account not in balances:
        raise Absent(f"no such account in book {book} by {day}")
    kept = await receipt(conn, book=book, leaf_id=leaf.leaf_id, witnessing=witnessing)
    salt = await store.salt(conn, book=book)
    assert salt is not None, "a book has a salt from its opening"
    if seals.balances_root(balances, salt=salt, day=seal.day).hex() != seal.balances_root:
        raise NotAsSealed(f"the entries of book {book} do not give what was sealed on {seal.day}")
    return BalanceProof(
        v="liandai.balance-proof/v1",
        balance=seals.prove_balance(balances, account=account, salt=salt, day=seal.day),
        seal=bytes(row.bytes).decode(),
        receipt=kept,
    )


async def _witnessed_top(conn: AsyncConnection, witnessing: Witnessing) -> int:
    """The size of the last head of the top log that so many have cosigned. NotYetWitnessed."""
    size = await store_log.witnessed_size(
        conn, book=TOP, at_least=witnessing.at_least, witnesses=witnessing.witnesses
    )
    if size is None:
        raise NotYetWitnessed(
            f"no head of the top log bears {witnessing.at_least} of the cosignatures asked for"
        )
    return size


async def _top_over(conn: AsyncConnection, *, position: int, witnessing: Witnessing | None) -> int:
    """The size of the head of the top log that a receipt ends at."""
    if witnessing is None:
        first = await _head_over(conn, book=TOP, position=position)
        assert first is not None, "a head's leaf is published in the transaction that wrote it"
        return first
    size = await _witnessed_top(conn, witnessing)
    if size <= position:
        raise NotYetWitnessed(
            f"no head over the record bears {witnessing.at_least} of the cosignatures asked for"
        )
    return size


async def _head_over(conn: AsyncConnection, *, book: str, position: int) -> int | None:
    """The size of the first head that covers the leaf at a position."""
    heads = await store_known.heads_over(conn, known=[(book, position + 1)])
    return heads[0].size if heads else None


async def _proof(conn: AsyncConnection, *, book: str, position: int, size: int) -> str:
    head = await publishing.checkpoint(conn, book=book, size=size)
    hashes = await publishing.inclusion(conn, book=book, position=position, size=size)
    proof = LogProof(index=position, hashes=tuple(hashes), checkpoint=head.note)
    return receipts.write_proof(proof).decode()
