"""How every invariant built so far stands on a live database: what `liandai audit` answers.

One transaction that can only read, on one snapshot, looks at everything. A check speaks as the
auditor where an auditor may see what it needs, else as the service; whoever adds an invariant adds
its `Check` here, and it leaves the list of those not built by itself.

What the catalogue's guards must be stands in `guards.txt` beside this module, one a line: the whole
authority over the data on one page. It is written from a freshly migrated database and compared
with one by the tests; see tests/api/test_auditing.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api import store
from api.database import SCHEMAS, SERVICE, Standing, _revision, newest_revision
from api.keys import LOG_KEY, log_signer
from api.running import ServerFailed
from api.settings import Settings
from ledger import invariants
from ledger.holding import Check, Holding, look, together
from ledger.notes import ED25519, VerifierKey, read_verifier_key
from ledger.store_audit import speak_as
from negotiation.invariants import CHECKS as OF_THE_NEGOTIATIONS
from syndicate.invariants import CHECKS as OF_THE_SYNDICATE

AUDITOR: Final = Standing("liandai_auditor", "")
GUARDS: Final = Path(__file__).with_name("guards.txt")

OF_THE_SERVICE: Final = frozenset(("I5", "I15"))
"""Checks that need answers given and consents, which an auditor has no right to read."""

INVARIANTS: Final[Mapping[str, str]] = {
    "I1": "per transaction, party and currency the signed entries sum to 0",
    "I2": "the trial balance is 0",
    "I3": "a balance is the fold of its entries",
    "I4": "facts and entries are never updated or deleted",
    "I5": "an id is processed at most once, for ever",
    "I6": "a pending resolves exactly once, and posts at most what was pending",
    "I7": "a refused operation changes nothing; its refusal is a record of its own",
    "I8": "constraints count what is pending",
    "I9": "at most one reversal per transaction, mirroring it exactly",
    "I10": "log indexes have no gaps; booking dates are the open day",
    "I11": "a balance as of a date, as known at a position, never changes",
    "I12": "participants' shares sum to the facility amount to the fen",
    "I13": "every leaf re-hashes, and every checkpoint extends all earlier ones",
    "I14": "every accepted change carries the institution's own signature",
    "I15": "nobody reads borrower data without a live consent, or a book that does not let it in",
    "I16": "maker and checker differ",
    "I17": "only legal transitions; the accepted terms equal the terms posted",
}
"""Every invariant of the design in a few words, built or not."""


def checks(*, log: VerifierKey, on_record: str, guards: Sequence[str]) -> tuple[Check, ...]:
    """Every check there is, in the order of the invariants' numbers. See `invariants.checks`."""
    built = (
        *invariants.checks(log=log, on_record=on_record, guards=guards, schemas=SCHEMAS),
        *OF_THE_SYNDICATE,
        *OF_THE_NEGOTIATIONS,
    )
    named = [[check for check in built if check.name == name] for name in INVARIANTS]
    return tuple(together(checks) for checks in named if checks)


async def holdings(
    conn: AsyncConnection, *, log: VerifierKey, on_record: str, guards: Sequence[str]
) -> list[Holding]:
    """How each invariant stands, looked at under this connection's transaction.

    conn  of a login that may take the auditor's and the service's role; it keeps the last one taken
    """
    found = []
    for check in checks(log=log, on_record=on_record, guards=guards):
        standing = SERVICE if check.name in OF_THE_SERVICE else AUDITOR
        await speak_as(conn, role=standing.role)
        found.append(await look(conn, check))
    return found


async def audit_database(url: str, settings: Settings) -> dict[str, Any]:
    """{"holds", "checks", "not_built"}: whether all invariants built hold, and each one's figure.

    The log's key is the one in the home folder; where there is none, the one on record.
    Raises ServerFailed where the database holds no installation of this program's schema.
    """
    engine = create_async_engine(
        url,
        isolation_level="REPEATABLE READ",
        connect_args={
            "timeout": 10,
            "server_settings": {
                "timezone": "UTC",
                "application_name": "liandai audit",
                "statement_timeout": str(settings.statement_timeout_ms),
            },
        },
    )
    try:
        async with engine.connect() as conn:
            await conn.execution_options(postgresql_readonly=True)
            async with conn.begin():
                await conn.run_sync(_check_schema)
                await speak_as(conn, role=AUDITOR.role)
                log, on_record = await _log_key(conn, settings.home)
                guards = GUARDS.read_text("utf-8").splitlines()
                return document(await holdings(conn, log=log, on_record=on_record, guards=guards))
    finally:
        await engine.dispose()


def document(found: Sequence[Holding]) -> dict[str, Any]:
    """The JSON of `liandai audit`."""
    built = {holding.name for holding in found}
    return {
        "holds": all(holding.holds for holding in found),
        "checks": [msgspec.to_builtins(holding) for holding in found],
        "not_built": [
            {"name": name, "says": says} for name, says in INVARIANTS.items() if name not in built
        ],
    }


def _check_schema(connection: Connection) -> None:
    revision = _revision(connection)
    if revision != newest_revision():
        raise ServerFailed(
            f"the database is at schema {revision}, this program at {newest_revision()}: "
            "run `liandai migrate` first"
        )


async def _log_key(conn: AsyncConnection, home: Path) -> tuple[VerifierKey, str]:
    """(the key to judge the logs by, the key on record)."""
    standing = await store.installation(conn)
    if standing is None:
        raise ServerFailed("the database holds no installation yet")
    if (home / LOG_KEY).exists():
        own = VerifierKey(standing.name, ED25519, log_signer(home).public)
        return own, standing.log_key
    return read_verifier_key(standing.log_key, place="log_key"), standing.log_key
