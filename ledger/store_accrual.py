"""Every SQL statement about standing accruals. Private to `ledger`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import Found, refusals


async def take(conn: AsyncConnection, *, book: str, position: int) -> None:
    """The accrual stands as the book's last leaf says, or has ended."""
    async with refusals():
        await conn.execute(
            text("SELECT ledger.take_accrual(:book, :position)"),
            {"book": book, "position": position},
        )


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf's canonical text around its entries and its id, and what else its row says."""

    before: str
    between: str
    after: str
    name: str
    subject: str
    actor: str
    recorded_at: datetime


async def accrue(conn: AsyncConnection, *, book: str, wording: Wording) -> int:
    """The nights up to the book's open day are accrued; how many leaves say so."""
    values: dict[str, Any] = msgspec.structs.asdict(wording)
    async with refusals():
        return (
            await conn.execute(
                text(
                    "SELECT ledger.accrue(:book, :before, :between, :after, :name, "
                    "CAST(:subject AS jsonb), CAST(:actor AS jsonb), :recorded_at)"
                ),
                {"book": book, **values},
            )
        ).scalar_one()


async def accruals(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    """The book's accruals with their accounts, in the order in which they were begun."""
    sides = ", ".join(
        f"{side}.{name} AS {side}_{name}"
        for side in ("base", "debit", "credit")
        for name in ("party", "code", "ref", "currency")
    )
    joins = " ".join(
        f"JOIN ledger.account {side} ON {side}.book_id = x.book_id "
        f"AND {side}.account_no = x.{side}_no"
        for side in ("base", "debit", "credit")
    )
    query = (
        f"SELECT x.*, {sides} FROM ledger.accrual x {joins} "  # noqa: S608
        "WHERE x.book_id = :book ORDER BY x.accrual_no"
    )
    return (await conn.execute(text(query), {"book": book})).all()
