"""A party's headroom (可用额度) or shared pool (资金池): a limit, and what is reserved under it.

Beside the joint books stands one book for each party and purpose, `headroom-<party>` and
`pool-<party>`, which the service alone writes and the party reads. What is used stands on one
account for each thing limited, a debit account whose most is the limit; a reservation is a pending
on it, so that reservations of many deals at once can never exceed the limit together (I8). It never
says who may ask: its callers do.
"""

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import moves
from ledger import service as ledger
from ledger.entries import Account, Entry
from ledger.errors import WrongInput
from ledger.journal import AccountTerms
from ledger.leaves import Actor
from ledger.moves import Asked, Declare, Entered, Move, PostPending, Reserve, VoidPending
from ledger.service import HeldBook

Purpose: TypeAlias = Literal["headroom", "pool"]

USED: Final = "limit.used"
CONTRA: Final = "limit.contra"


class PartyWork(msgspec.Struct, frozen=True, kw_only=True):
    """One command about a party's limit.

    conn     speaks as the service: nobody else writes a party's book
    command  the name of what is done, unique for ever; the leaf's id is `command:0`
    """

    conn: AsyncConnection
    purpose: Purpose
    party: str
    command: str
    actor: Actor
    now: datetime

    @property
    def book(self) -> str:
        """The book's id."""
        return book_of(self.purpose, self.party)


def book_of(purpose: Purpose, party: str) -> str:
    """The id of the party's book of that purpose."""
    return f"{purpose}-{party}"


async def open_party_book(
    conn: AsyncConnection, *, purpose: Purpose, party: str, salt: bytes
) -> HeldBook:
    """The party has this empty book; nobody else takes part in it.

    salt  32 random bytes that hide balances inside the day seals
    Raises LeafExists where it has one already.
    """
    book = book_of(purpose, party)
    day = await ledger.open_book(
        conn, book=book, purpose=purpose, lead=party, members=(), salt=salt
    )
    return HeldBook(book, day, 0)


async def set_limit(work: PartyWork, *, ref: str, currency: str, limit_minor: int) -> Entered:
    """At most `limit_minor` may be used and reserved together from now on.

    ref  what is limited (a borrower, a plan); "" for one limit over all
    Raises LimitExceeded where more than that stands already.
    """
    terms = AccountTerms(
        account=_used(work, ref=ref, currency=currency),
        side="debit",
        least_minor=None,
        most_minor=limit_minor,
    )
    if limit_minor < 0:
        raise WrongInput("limit_minor", "0 or more")
    return await _enter(work, Declare(terms=terms))


async def reserve(
    work: PartyWork,
    *,
    ref: str,
    currency: str,
    amount_minor: int,
    lasts_seconds: int | None,
) -> Entered:
    """The amount is reserved; `records[0]` is the pending's id. Raises LimitExceeded."""
    if amount_minor <= 0:
        raise WrongInput("amount_minor", "more than 0")
    held = await ledger.hold(work.conn, book=work.book)
    return await _enter(
        work,
        Reserve(
            value_date=held.open_day,
            reference=work.command,
            entries=_entries(work, ref=ref, currency=currency, amount_minor=amount_minor),
            lasts_seconds=lasts_seconds,
        ),
    )


async def use(
    work: PartyWork, *, pending: str, ref: str, currency: str, amount_minor: int
) -> Entered:
    """So much of the reservation is used, the rest of it is free again. Raises NotAsPending."""
    if amount_minor <= 0:
        raise WrongInput("amount_minor", "more than 0; what is not used at all is released")
    entries = _entries(work, ref=ref, currency=currency, amount_minor=amount_minor)
    return await _enter(work, PostPending(pending=pending, entries=entries, value_date=None))


async def release(work: PartyWork, *, pending: str) -> Entered:
    """The reservation is free again, whole."""
    return await _enter(work, VoidPending(pending=pending))


async def _enter(work: PartyWork, move: Move) -> Entered:
    return await moves.enter(
        work.conn,
        Asked(
            book=work.book,
            moves=(move,),
            places=("$",),
            command=work.command,
            actor=work.actor,
            now=work.now,
        ),
    )


def _used(work: PartyWork, *, ref: str, currency: str) -> Account:
    return Account(work.party, USED, "", ref, currency)


def _entries(work: PartyWork, *, ref: str, currency: str, amount_minor: int) -> tuple[Entry, Entry]:
    used = _used(work, ref=ref, currency=currency)
    contra = msgspec.structs.replace(used, code=CONTRA)
    return Entry(used, amount_minor), Entry(contra, -amount_minor)
