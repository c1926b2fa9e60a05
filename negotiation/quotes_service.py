"""Quotes in a negotiation: placed in private rows, committed to in the log, cleared at one spread.

Only a bank and the lead of the negotiation can read a quote's row; the log learns a salted hash.
"""

import asyncio
import hashlib
import secrets
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import NotAllowed
from ledger.signatures import Statement
from negotiation import cleared, service, store
from negotiation.cleared import Cell, PrivateQuote
from negotiation.moves import PlaceQuote, WithdrawQuote
from negotiation.placing import quote_body
from negotiation.quotes import Quote
from negotiation.refusals import WrongPhase
from negotiation.service import Work
from negotiation.state import Negotiation, Phase, next_quote_version
from syndicate.parties import service as parties


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A quote in the book; its hash is all the log knows of it."""

    bank: str
    version: int
    quote_hash: str


async def place_quote(
    work: Work, *, negotiation: str, quote: Quote, salt: bytes, signed: Statement | None
) -> Placed:
    """The asker's quote stands in the open book, in a row only it and the lead can read.

    salt  32 random bytes, the bank's own where it signs the commitment
    """
    table = await service.hold(work.conn, negotiation)
    state, bank = table.state, work.actor.institution
    book = _book(state)
    cleared.check_quote_on(state, quote, place="$")
    version = next_quote_version(state, bank)
    commitment = cleared.quote_hash(
        negotiation=negotiation, book=book, bank=bank, version=version, quote=quote, salt=salt
    )
    if signed is not None:
        await parties.check_signed(work.conn, [signed], now=work.now, place="$.signed")
    await service.make(
        work,
        table,
        PlaceQuote(by=bank, version=version, quote_hash=commitment, signed=signed),
    )
    await store.add_quote(
        work.conn,
        deal=negotiation,
        book=book,
        bank=bank,
        version=version,
        quote=msgspec.to_builtins(quote),
        salt=salt,
        placed_at=work.now,
    )
    return Placed(bank=bank, version=version, quote_hash=commitment)


async def quote_to_sign(
    conn: AsyncConnection, *, negotiation: str, bank: str, quote: Quote, salt: bytes
) -> dict[str, Any]:
    """The body a bank signs under the kind "quote" before it places it with that salt."""
    state = await service.state_of(conn, negotiation=negotiation)
    version = next_quote_version(state, bank)
    commitment = cleared.quote_hash(
        negotiation=negotiation,
        book=_book(state),
        bank=bank,
        version=version,
        quote=quote,
        salt=salt,
    )
    return quote_body(state, bank=bank, version=version, quote_hash=commitment)


async def withdraw_quote(work: Work, *, negotiation: str) -> Negotiation:
    """The asker's quote does not stand any more."""
    table = await service.hold(work.conn, negotiation)
    bank = work.actor.institution
    book, version = _book(table.state), next_quote_version(table.state, bank)
    state = await service.make(work, table, WithdrawQuote(by=bank, version=version))
    await store.add_quote(
        work.conn,
        deal=negotiation,
        book=book,
        bank=bank,
        version=version,
        quote=None,
        salt=secrets.token_bytes(32),
        placed_at=work.now,
    )
    return state


def _book(state: Negotiation) -> int:
    if state.phase is not Phase.BOOK_OPEN or state.book is None:
        raise WrongPhase("no book of quotes is open", phase=state.phase)
    return state.book.number


async def _quotes(conn: AsyncConnection, state: Negotiation) -> dict[str, PrivateQuote]:
    """The standing quotes that the asker may read, by bank."""
    if state.book is None:
        return {}
    rows = await store.quotes(conn, deal=state.name, book=state.book.number)
    return {
        row.bank: PrivateQuote(
            bank=row.bank,
            version=row.version,
            quote=msgspec.convert(row.quote, Quote),
            salt=row.salt,
        )
        for row in rows
        if row.quote is not None
    }


class SeenQuotes(msgspec.Struct, frozen=True, kw_only=True):
    """What the asker sees of an open book: the lead every quote, a bank its own.

    together  all offers at each spread, where at least three banks stand behind the figure
    """

    quotes: dict[str, Quote]
    together: tuple[Cell, ...]


async def quotes_seen(
    conn: AsyncConnection, *, negotiation: str, viewer: str
) -> tuple[Negotiation, dict[str, Quote]]:
    """The negotiation and the quotes as the viewer may see them: the lead all, a bank its own.

    Runs for the viewer, so that the database decides which rows there are. Absent for whoever has
    no part in the negotiation.
    """
    state = await service.state_of(conn, negotiation=negotiation)
    if state.book is None:
        raise WrongPhase("no book of quotes was opened yet", phase=state.phase)
    return state, cleared.quotes_seen_by(state, viewer, await _quotes(conn, state))


async def offers_together(
    conn: AsyncConnection, state: Negotiation, *, viewer: str
) -> tuple[Cell, ...]:
    """All offers at each spread in the book as the viewer knows it; () for who has no seat there.

    state  as the viewer reads it: of a book opened after it left, it learns nothing
    Runs for the service, since the sums are made of rows that no single bank may read.
    """
    if viewer not in state.seats:
        return ()
    standing = await _quotes(conn, state)
    return cleared.aggregate({bank: own.quote for bank, own in standing.items()})


async def clear_book(work: Work, *, negotiation: str) -> Negotiation:
    """The book is cleared, or has failed with its gap and the constraints that clash."""
    table = await service.hold(work.conn, negotiation)
    state = table.state
    if work.actor.institution != state.mandate.lead:
        raise NotAllowed("only the lead clears the book")
    _book(state)
    standing = await _quotes(work.conn, state)
    book = cleared.book_of(state, standing, headroom={}, on=table.held.open_day)
    # Whoever holds the private quotes can open the commitment to the offers again.
    salt = hashlib.sha256(b"".join(standing[bank].salt for bank in sorted(standing))).digest()
    # A hostile book may take seconds of computing: other requests go on meanwhile.
    outcome = await asyncio.to_thread(cleared.clear_book, state, book, salt=salt)
    return await service.make(work, table, outcome)
