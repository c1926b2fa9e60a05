"""The audit reads outcomes, leaves and words of two persons again, and names what was altered."""

from typing import Any

import asyncpg
import pytest

from api.auditing import audit_database
from api.settings import Settings, asyncpg_dsn
from tests.api.populated import FACILITY, populate
from tests.house import House

OF_HZBANK = "reconciliation = 'hzbank.2024-03-01.1'"
OUTCOME = "syndicate.reconciliation_outcome"
ATTESTATION = "syndicate.reconciliation_attestation"
ALTERED = [
    # statement of a superuser                                              invariant, what is said
    (
        f"UPDATE {OUTCOME} SET document = document || ' '::bytea WHERE {OF_HZBANK}",
        "I17",
        "another outcome than leaf",
    ),
    (f"UPDATE {OUTCOME} SET salt = sha256('x') WHERE {OF_HZBANK}", "I17", "another outcome than"),
    (
        f"UPDATE syndicate.reconciliation SET matched = 99 WHERE {OF_HZBANK}",
        "I17",
        "its counts are not",
    ),
    (f"UPDATE {ATTESTATION} SET position = 1 WHERE {OF_HZBANK}", "I17", "in another leaf than 1"),
    (f"DELETE FROM {ATTESTATION} WHERE {OF_HZBANK}", "I17", "in its row alone"),
    (
        f"UPDATE {ATTESTATION} SET attested_by = 'hzbank-operations' WHERE {OF_HZBANK}",
        "I16",
        "agreed to it alone",
    ),
]


async def holdings(house: House, settings: Settings) -> dict[str, dict[str, Any]]:
    answer = await audit_database(house.database_url, settings)
    return {check["name"]: check for check in answer["checks"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


async def test_what_was_altered_in_a_reconciliation_is_named(
    house: House, settings: Settings
) -> None:
    await populate(house)
    await house.publish()
    for name, check in (await holdings(house, settings)).items():
        assert check["holds"], f"{name}: {check['broken']}"
    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        rows = {
            table: [tuple(row) for row in await conn.fetch(f"SELECT * FROM {table}")]
            for table in ("syndicate.reconciliation", OUTCOME, ATTESTATION)
        }
        for statement, invariant, said in ALTERED:
            await alter(conn, statement)
            found = (await holdings(house, settings))[invariant]
            assert not found["holds"], statement
            assert said in found["broken"][0], found["broken"]
            assert FACILITY.facility in found["broken"][0]
            await restore(conn, rows)
        assert (await holdings(house, settings))["I17"]["holds"]
    finally:
        await conn.close()


async def alter(conn: asyncpg.Connection, statement: str) -> None:
    """Past every trigger and foreign key, as only a superuser can."""
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        assert (await conn.execute(statement)).endswith(" 1")


async def restore(conn: asyncpg.Connection, rows: dict[str, list[Any]]) -> None:
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for table, found in rows.items():
            await conn.execute(f"DELETE FROM {table}")
            schema, _, name = table.partition(".")
            await conn.copy_records_to_table(name, schema_name=schema, records=found)
