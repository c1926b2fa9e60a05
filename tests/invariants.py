"""What every story ends with: all invariants hold on the database it leaves behind.

The guards of I4 and I5 are compared here with those of the template that the migrations have just
made; that these are the ones on record is tests/api/test_auditing.py.
"""

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing, store
from api.auditing import AUDITOR
from api.database import SCHEMAS, Database
from ledger import store_guards
from ledger.notes import VerifierKey, read_verifier_key

_FRESH: dict[str, list[str]] = {}


async def assert_invariants(database: Database, *, log: VerifierKey | None = None) -> None:
    """Every invariant built so far holds on the database, as an auditor finds it.

    log  the key that signs the logs; the installation's own where there is an installation
    """
    guards = await fresh_guards(database)
    async with database.transaction(AUDITOR, read_only=True) as conn:
        if log is None:
            installation = await store.installation(conn)
            assert installation is not None, "no installation is founded: name the log's key"
            log = read_verifier_key(installation.log_key, place="log_key")
        found = await auditing.holdings(conn, log=log, on_record=str(log), guards=guards)
    broken = {holding.name: holding.broken for holding in found if not holding.holds}
    assert not broken, broken


async def fresh_guards(database: Database) -> list[str]:
    """The guards of the migrated, empty template on the same server."""
    from tests.conftest import TEMPLATE

    if TEMPLATE not in _FRESH:
        engine = create_async_engine(
            database._engine.url.set(database=TEMPLATE), poolclass=NullPool
        )
        async with engine.connect() as conn:
            _FRESH[TEMPLATE] = await store_guards.guards(conn, schemas=SCHEMAS)
        await engine.dispose()
    return _FRESH[TEMPLATE]
