"""What a transaction records, noted on its connection while somebody asks. It writes nothing.

Use cases of every package record through `store.append`; whoever runs one and must promise what it
recorded learns it here, whatever the use case answers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import merkle
from ledger.promising import Noted

_NOTED: Final = "liandai.recorded"


@contextmanager
def noted(conn: AsyncConnection) -> Iterator[Noted]:
    """What the connection's transaction records meanwhile, as it is recorded."""
    recorded: Noted = {}
    on_it = conn.info  # taken now: a connection that is lost meanwhile gives it to nobody
    on_it[_NOTED] = recorded
    try:
        yield recorded
    finally:
        del on_it[_NOTED]


def note(conn: AsyncConnection, *, book: str, first: int, leaves: Sequence[bytes]) -> None:
    """The leaves are noted where somebody asks for it. A held book's leaves follow one another."""
    recorded: Noted | None = conn.info.get(_NOTED)
    if recorded is not None:
        recorded.setdefault(book, (first, []))[1].extend(map(merkle.leaf_hash, leaves))
