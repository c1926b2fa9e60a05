"""What it is to check one invariant on a live database: its name, what it says, how it stood.

A `Check` is registered by the package whose records it is about and run by `look`. It never changes
anything, and whatever it meets, the answer is a `Holding`: a database that has been tampered with
must not be able to stop its own audit.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

MOST_NAMED: Final = 20
"""How many offences of one invariant are named; there may be more."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """How one invariant stood.

    looked_at  how many of what `says` begins with
    broken     the first offences, in the order of the log: "<book> <position>: <what is wrong>"
               for a leaf; empty exactly where it `holds`
    """

    name: str
    says: str
    looked_at: int
    broken: list[str]
    holds: bool


class Seen:
    """What one check has seen so far. looked_at: see `Holding`."""

    def __init__(self) -> None:
        self.looked_at = 0
        self.broken: list[str] = []

    def offence(self, what: str) -> None:
        """One more that does not hold; after the first `MOST_NAMED` they go unnamed."""
        if len(self.broken) < MOST_NAMED:
            self.broken.append(what)


class Check(msgspec.Struct, frozen=True):
    """One invariant that can be looked at.

    name  as the design numbers it, "I7"
    says  what must be true, beginning with what is counted
    run   looks at the database and tells `Seen`; only reads
    """

    name: str
    says: str
    run: Callable[[AsyncConnection, Seen], Awaitable[None]]


def together(checks: Sequence[Check]) -> Check:
    """One check of an invariant that several packages look at, each at its own records.

    checks  of one name, at least one
    """
    if len(checks) == 1:
        return checks[0]
    assert len({check.name for check in checks}) == 1, "checks of one invariant"

    async def run(conn: AsyncConnection, seen: Seen) -> None:
        for check in checks:
            own = Seen()
            await check.run(conn, own)
            seen.looked_at += own.looked_at
            for what in own.broken:
                seen.offence(what)

    return Check(checks[0].name, "; ".join(check.says for check in checks), run)


async def look(conn: AsyncConnection, check: Check) -> Holding:
    """How the invariant stands. A check that cannot be finished does not hold.

    An error leaves the transaction usable: the check runs in a savepoint.
    """
    seen = Seen()
    try:
        async with conn.begin_nested():
            await check.run(conn, seen)
    except Exception as error:  # a table taken away, a value no driver reads: all are findings
        said = str(getattr(error, "orig", None) or error).partition("\n")[0]
        seen.broken.insert(0, f"could not be looked at: {said}")
    return Holding(
        name=check.name,
        says=check.says,
        looked_at=seen.looked_at,
        broken=seen.broken,
        holds=not seen.broken,
    )
