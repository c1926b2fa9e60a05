"""What happens when a standing accrual of a house book is set, altered or ended, and each morning.

An accrual stands as the book's own leaf says it; the database takes it from there. Each morning the
nights since the last business day are accrued for all positions of a book at once.
"""

import re
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import leaves, store_accrual
from ledger.accrual import MAX_RATE_PPM, YEAR_DAYS, Accrued, Terms, exact_minor
from ledger.documents import canonical
from ledger.entries import MIRRORED, Account, Entry, Transaction, check_whole
from ledger.errors import NotAllowed, WrongInput
from ledger.house import PREFIX, NotAHouseBook
from ledger.leaves import Actor, Leaf
from ledger.service import SYSTEM, HeldBook, Item, hold, record

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._:-]{0,79}", re.ASCII)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An accrual, and how far it is."""

    terms: Terms
    state: Accrued
    is_ended: bool

    @property
    def exact_minor(self) -> Fraction:
        """The exact cumulative amount in minor units."""
        return exact_minor(self.terms, self.state.units)


def check_terms(terms: Terms, *, owner: str) -> None:
    """Nothing: these are terms of an accrual on the owner's own accounts.

    Raises WrongInput with the place, NotAllowed for accounts of another party.
    """
    if _NAME.fullmatch(terms.accrual) is None:
        raise WrongInput("$.accrual", "a lower-case name of at most 80 characters")
    if terms.year_days not in YEAR_DAYS:
        raise WrongInput("$.year_days", "360 or 365")
    if terms.rate_ppm == 0 or abs(terms.rate_ppm) > MAX_RATE_PPM:
        raise WrongInput("$.rate_ppm", f"a rate other than 0, at most {MAX_RATE_PPM}")
    for side in ("base", "debit", "credit"):
        account: Account = getattr(terms, side)
        if account.party != owner:
            raise NotAllowed(f"{account.party} has no accounts in a house book of {owner}")
        if account.code.startswith(MIRRORED):
            raise WrongInput(f"$.{side}.code", f"no `{MIRRORED}` account: a debt has two parties")
    if len({terms.base, terms.debit, terms.credit}) != 3:
        raise WrongInput("$.credit", "three different accounts")
    sides = (Entry(terms.base, 1), Entry(terms.debit, 1), Entry(terms.credit, -2))
    try:
        check_whole(Transaction(value_date=date.min, entries=sides, corrects=None))
    except WrongInput as error:
        place = error.place
        for index, side in enumerate(("base", "debit", "credit")):
            place = place.replace(f"$.entries[{index}]", f"$.{side}")
        raise WrongInput(place, error.expected) from error


async def set_accrual(
    conn: AsyncConnection,
    *,
    book: str,
    terms: Terms,
    command: str,
    actor: Actor,
    now: datetime,
) -> int:
    """The accrual stands from the book's open day on, or has the new rate from then on.

    Returns its leaf's position. Raises what `check_terms` raises, NotAHouseBook, Absent, and
    Conflict where an account has never been posted to, or a standing accrual would change more than
    its rate.
    """
    check_terms(terms, owner=actor.institution)
    subject = {
        "type": "AccrualSet",
        "accrual": terms.accrual,
        "currency": terms.base.currency,
        **{side: _named(getattr(terms, side)) for side in ("base", "debit", "credit")},
        "rate_ppm": terms.rate_ppm,
        "year_days": terms.year_days,
    }
    return await _take(conn, book=book, subject=subject, command=command, actor=actor, now=now)


def _named(account: Account) -> dict[str, str]:
    return {"code": account.code, "ref": account.ref}


async def end_accrual(
    conn: AsyncConnection, *, book: str, accrual: str, command: str, actor: Actor, now: datetime
) -> int:
    """The accrual accrues nothing from the open day on; its name is never used again.

    Returns its leaf's position. Raises NotAHouseBook, and Absent where none of that name runs.
    """
    subject = {"type": "AccrualEnded", "accrual": accrual}
    return await _take(conn, book=book, subject=subject, command=command, actor=actor, now=now)


async def _take(
    conn: AsyncConnection,
    *,
    book: str,
    subject: dict[str, Any],
    command: str,
    actor: Actor,
    now: datetime,
) -> int:
    if not book.startswith(PREFIX):
        raise NotAHouseBook(f"{book} is no house book: {PREFIX}<institution>-...")
    held = await hold(conn, book=book)
    item = Item(kind="record", subject=subject, entries=(), value_date=held.open_day)
    (position,) = await record(conn, held=held, items=[item], command=command, actor=actor, now=now)
    await store_accrual.take(conn, book=book, position=position)
    return position


async def accruals(conn: AsyncConnection, *, book: str) -> list[Standing]:
    """The book's accruals in the order in which they were begun, ended ones too."""
    return [_standing(row) for row in await store_accrual.accruals(conn, book=book)]


def _standing(row: Any) -> Standing:
    def account(side: Literal["base", "debit", "credit"]) -> Account:
        party, code, ref, currency = (
            getattr(row, f"{side}_{name}") for name in ("party", "code", "ref", "currency")
        )
        return Account(party, code, "", ref, currency)

    return Standing(
        terms=Terms(
            accrual=row.accrual,
            base=account("base"),
            debit=account("debit"),
            credit=account("credit"),
            rate_ppm=row.rate_ppm,
            year_days=row.year_days,
        ),
        state=Accrued(
            number=row.accrual_no,
            units=int(row.units),
            posted_minor=row.posted_minor,
            through=row.through,
        ),
        is_ended=row.is_ended,
    )


async def accrue(conn: AsyncConnection, *, held: HeldBook, command: str, now: datetime) -> int:
    """Every standing accrual of the held book is posted up to its open day; how many leaves say so.

    Accruals that move nothing have no entry; asked again on the same day it does nothing.
    """
    return await store_accrual.accrue(
        conn, book=held.book, wording=wording(held=held, command=command, now=now)
    )


def wording(*, held: HeldBook, command: str, now: datetime) -> store_accrual.Wording:
    """How the accruals' leaves read around their entries: one encoded without any, cut in three."""
    subject = {"type": "Accrued", "day": held.open_day.isoformat()}
    written = leaves.encode(
        Leaf(
            book=held.book,
            kind="transaction",
            leaf_id=command,
            subject=subject,
            entries=(),
            value_date=held.open_day,
            booking_date=held.open_day,
            recorded_at=now,
            actor=SYSTEM,
            corrects=None,
        )
    ).decode()
    before, _, rest = written.partition('"entries":[]')
    between, _, after = rest.partition(f'"id":"{command}"')
    return store_accrual.Wording(
        before=f'{before}"entries":[',
        between=f']{between}"id":"',
        after=f'"{after}',
        name=command,
        subject=canonical(subject).decode(),
        actor=canonical(SYSTEM).decode(),
        recorded_at=now,
    )
