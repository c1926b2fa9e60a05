"""What an auditor takes home: the contents of a bundle, read from the database as it stands."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import bundle as bundles
from ledger import notes, store
from ledger.bundle import BookContents, BundleContents
from ledger.entries import Account
from ledger.errors import Absent, Conflict
from ledger.leaves import KINDS
from ledger.notes import ED25519, Policy, VerifierKey
from ledger.replay import REGISTRY, TOP
from ledger.signatures import Signer

ALL_KINDS = KINDS


class NotYetPublished(Conflict):
    """A book holds leaves that no checkpoint covers yet: ask again in a moment."""

    code = "not-yet-published"


async def bundle(
    conn: AsyncConnection, *, books: Sequence[str], installation: str, signer: Signer
) -> dict[str, bytes]:
    """Every file of an audit bundle by its path; see `ledger.bundle` for the format.

    books  which to take, with the registry and the top log always; all where none is named
    Raises Absent for a book the asker may not see, NotYetPublished while the sequencer is behind.
    """
    stood = {row.book_id: row.size for row in await store.books(conn)}
    for book in books:
        if book not in stood:
            raise Absent(f"no book {book}")
    wanted = sorted({*(books or stood), REGISTRY, TOP})
    published = {row.book_id for row in await store.unpublished(conn)}
    behind = published.intersection(wanted)
    if behind:
        raise NotYetPublished(f"not yet published: {', '.join(sorted(behind))}")
    contents = BundleContents(
        policy=Policy(
            log=VerifierKey(installation, ED25519, signer.public), witnesses=(), threshold=0
        ),
        books=[await _contents(conn, book=book, size=stood[book]) for book in wanted],
    )
    return bundles.write(contents, signer=signer)


async def _contents(conn: AsyncConnection, *, book: str, size: int) -> BookContents:
    leaves = await store.leaf_bytes(conn, book=book, from_position=0, to_position=size)
    salt = await store.salt(conn, book=book)
    if salt is None:
        raise Absent(f"no book {book}")
    checkpoints = []
    for row in await store.checkpoints(conn, book=book):
        lines = await store.cosignatures(conn, book=book, size=row.size)
        checkpoints.append(
            notes.with_signatures(row.note.encode(), [line.encode() for line in lines])
        )
    return BookContents(
        book=book,
        leaves=[row.bytes for row in leaves],
        leaf_hashes=[row.hash for row in leaves],
        checkpoints=checkpoints,
        balances={
            Account(row.party, row.code, row.counterparty, row.ref, row.currency): row.balance_minor
            for row in await store.accounts(conn, book=book)
        },
        salt=salt,
    )
