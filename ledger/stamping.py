"""How a third party's time-stamp comes to stand under a published head, and who may look at it.

A seam: nothing here asks an authority for anything. Whoever holds a response hands it in; it is
checked against the head, kept as it came, and shown to everybody, so that anyone can check it
again with a certificate from elsewhere.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import notes, publishing, store, store_log, timestamps


async def stamp(
    conn: AsyncConnection,
    *,
    size: int,
    authority: str,
    certificate: bytes,
    response: bytes,
    now: datetime,
) -> None:
    """The stamp stands under the top log's head of that size; the first one of an authority stays.

    authority    a short name for whoever stamped
    certificate  its certificate, PEM or DER, as the operator knows it
    Raises NoSuchHead, WrongInput, NotStamped.
    """
    note = await _note(conn, size)
    known = timestamps.read_certificate(certificate)
    found = timestamps.check(response, note=note, authority=known, nonce=None)
    await store_log.add_time_stamp(
        conn,
        book=publishing.TOP,
        size=size,
        authority=authority,
        stamped_at=found.time,
        response=response,
        certificate=timestamps.read_der(certificate),
        received_at=now,
    )


async def stamps(conn: AsyncConnection, *, size: int) -> Sequence[store.Found]:
    """The stamps under the top log's head of that size. Raises NoSuchHead."""
    await _note(conn, size)
    return await store_log.time_stamps(conn, book=publishing.TOP, size=size)


async def _note(conn: AsyncConnection, size: int) -> bytes:
    if not 0 <= size <= notes.MAX_SIZE:
        raise publishing.NoSuchHead(f"no checkpoint of book {publishing.TOP} at {size}")
    return (await publishing.checkpoint(conn, book=publishing.TOP, size=size)).note
