"""The audit of a live database: its answer, its exit code, and the guards it compares with."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from api.auditing import AUDITOR, GUARDS, INVARIANTS, audit_database
from api.database import SCHEMAS, Database, _owner
from api.running import ServerFailed
from api.settings import Settings
from ledger import store_guards
from tests.house import House
from tests.invariants import assert_invariants

REWRITE = "LIANDAI_TEST_REWRITE_GUARDS"


@pytest.fixture(scope="module")
def guards() -> list[str]:
    return GUARDS.read_text("utf-8").splitlines()


async def test_the_guards_on_record_are_those_the_migrations_make(database: Database) -> None:
    """After a migration that adds or changes one: LIANDAI_TEST_REWRITE_GUARDS=1 and look at the
    difference in `git diff api/guards.txt`, which is what the change does to who may do what."""
    async with database.transaction(AUDITOR, read_only=True) as conn:
        found = await store_guards.guards(conn, schemas=SCHEMAS)
    if os.environ.get(REWRITE):
        GUARDS.write_text("".join(f"{line}\n" for line in found), "utf-8")
    assert GUARDS.read_text("utf-8").splitlines() == found, f"{REWRITE}=1 writes them anew"


async def test_an_aggregate_that_calls_another_function_is_another_guard(
    database: Database, database_url: str, guards: list[str]
) -> None:
    async with _owner(database_url) as conn:
        await conn.execute(
            text(
                "CREATE OR REPLACE AGGREGATE ledger.total(bigint) "
                "(sfunc = pg_catalog.int8mi, stype = bigint)"
            )
        )
    async with database.transaction(AUDITOR, read_only=True) as conn:
        found = await store_guards.guards(conn, schemas=SCHEMAS)
    (line,) = set(guards) - set(found)
    assert line.startswith("function ledger.total(bigint) ")


# ---- what the guards on record must be, whatever is recorded: a rewrite must not bless a mistake

MAY_CHANGE = {
    # table                   who may update it, by which function or for what
    "ledger.book": "liandai_ledger",  # append, open_next_day: size and open day
    "ledger.account": "liandai_ledger",  # append: balances
    "ledger.pending": "liandai_ledger",  # append: what resolved it, once
    "ledger.accrual": "liandai_ledger",  # accrue: how far it is
    "ledger.business_day": "liandai_ledger",  # open_business_day
    "ledger.head": "liandai_service",  # the sequencer
    "ledger.participation": "liandai_ledger",  # dismiss, admit: until_position, that column alone
}
DIVIDED = ("ledger.leaf", "ledger.entry", "ledger.leaf_hash", "ledger.subtree")
"""Tables in partitions by book."""

NEVER_DELETED = set(MAY_CHANGE)


def tables(guards: list[str]) -> list[str]:
    return [line.split()[1] for line in guards if line.startswith("table ")]


def test_every_table_is_the_owners_and_under_forced_row_security(guards: list[str]) -> None:
    for table in tables(guards):
        divided, _, number = table.rpartition("_p")
        kind, rest = "p" if f"{table}_p00" in tables(guards) else "r", ""
        if divided in DIVIDED:
            rest = f" partition FOR VALUES WITH (modulus 16, remainder {int(number)})"
        assert f"table {table} kind {kind} owner liandai_owner row security forced{rest}" in guards


def test_a_partition_is_read_and_written_through_its_table_alone(guards: list[str]) -> None:
    partitions = [f"{table}_p{number:02}" for table in DIVIDED for number in range(16)]
    assert set(partitions) <= set(tables(guards))
    for partition in partitions:
        started = (f"right on {partition}", f"policy on {partition}")
        assert not [line for line in guards if line.startswith(started)]


def test_no_table_can_be_emptied_and_only_named_ones_updated(guards: list[str]) -> None:
    for table in tables(guards):
        start = f"trigger on {table}: CREATE TRIGGER"
        events = "DELETE" if table in NEVER_DELETED else "DELETE OR UPDATE"
        assert (
            f"{start} stays BEFORE {events} ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION ledger.forbid()" in guards
        )
        assert (
            f"{start} stays_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION ledger.forbid()" in guards
        )


def test_nobody_has_a_right_to_change_or_delete_but_those_named(guards: list[str]) -> None:
    for line in guards:
        if not line.startswith("right on ") or line.startswith(("right on schema", "right on fun")):
            continue
        table = line.split()[2].rstrip(":")
        who, right = line.rpartition(": ")[2].split(maxsplit=1)
        assert right in ("SELECT", "INSERT", "UPDATE"), line
        assert right != "UPDATE" or MAY_CHANGE.get(table) == who, line
        assert who != "PUBLIC", line


def test_nobody_logs_in_as_a_role_or_passes_row_security_by(guards: list[str]) -> None:
    assert [line for line in guards if line.startswith(("role ", "setting "))] == [
        "role liandai_app",
        "role liandai_auditor",
        "role liandai_ledger",
        "role liandai_owner",
        "role liandai_owner is a member of liandai_ledger",
        "role liandai_service",
    ]


def test_functions_that_run_as_their_owner_have_a_fixed_search_path(guards: list[str]) -> None:
    found = [line for line in guards if line.startswith("function ") and " as owner " in line]
    assert found
    for line in found:
        path = line.partition(" set search_path=")[2].partition(" body ")[0].partition(";")[0]
        assert path.startswith("pg_catalog, "), line
        assert path.endswith(", pg_temp"), f"a temporary table would come first: {line}"


def test_nobody_but_the_owner_makes_temporary_tables(server_url: str, template: str) -> None:
    """Asked of the database that was migrated: a copy of one has rights of its own."""

    url = make_url(server_url).set(database=template).render_as_string(hide_password=False)
    roles = {"roles": list(store_guards.ROLES)}

    async def rights() -> list[tuple[str, bool]]:
        async with _owner(url) as conn:
            query = "SELECT r, has_database_privilege(r, current_database(), 'TEMPORARY') "
            found = await conn.execute(
                text(f"{query} FROM unnest(CAST(:roles AS text[])) r"), roles
            )
            return [tuple(row) for row in found]

    assert asyncio.run(rights()) == [(role, False) for role in store_guards.ROLES]


# ---- the answer


def settings(home: Path) -> Settings:
    return Settings(home=home)


async def test_a_founded_installation_holds_and_every_invariant_is_accounted_for(
    house: House, tmp_path: Path
) -> None:
    await house.publish()
    await assert_invariants(house.installation.database)
    answer = await audit_database(house.database_url, settings(tmp_path))
    assert answer["holds"] is True
    built = [check["name"] for check in answer["checks"]]
    missing = [check["name"] for check in answer["not_built"]]
    assert sorted([*built, *missing]) == sorted(INVARIANTS)
    for check in answer["checks"]:
        assert check.keys() == {"name", "says", "looked_at", "broken", "holds"}
        assert (check["holds"], check["broken"]) == (True, [])
    looked_at = {check["name"]: check["looked_at"] for check in answer["checks"]}
    assert looked_at["I13"] == looked_at["I10"] > 40
    assert json.loads(json.dumps(answer)) == answer


async def test_an_altered_database_does_not_hold_and_the_place_is_named(
    house: House, tmp_path: Path
) -> None:
    await house.publish()
    async with _owner(house.database_url) as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text(
                "UPDATE ledger.leaf SET kind = 'record' WHERE book_id = 'registry' AND position = "
                "(SELECT min(position) FROM ledger.leaf WHERE kind = 'key')"
            )
        )
        await conn.execute(text("DELETE FROM api.answer WHERE false"))
    answer = await audit_database(house.database_url, settings(tmp_path))
    assert answer["holds"] is False
    (broken,) = [check for check in answer["checks"] if not check["holds"]]
    assert broken["name"] == "I13"
    assert broken["broken"][0].startswith("registry ")
    assert broken["broken"][0].endswith("kind is not what the bytes say")


async def test_an_answer_given_twice_under_one_key_is_named(house: House, tmp_path: Path) -> None:
    async with _owner(house.database_url) as conn:
        await conn.execute(text("ALTER TABLE api.answer DROP CONSTRAINT answer_pkey"))
        await conn.execute(
            text(
                "INSERT INTO api.answer SELECT * FROM api.answer WHERE key = "
                "(SELECT max(key) FROM api.answer)"
            )
        )
    answer = await audit_database(house.database_url, settings(tmp_path))
    (broken,) = [check for check in answer["checks"] if not check["holds"]]
    assert broken["name"] == "I5"
    assert broken["broken"][0].startswith("missing: unique on api.answer: answer_pkey PRIMARY KEY")
    assert broken["broken"][1].startswith("api.answer (operator, ")


async def test_logs_signed_by_another_key_than_the_one_at_home_do_not_hold(
    house: House, tmp_path: Path
) -> None:
    await house.publish()
    (tmp_path / "log.key").write_text("07" * 32)
    answer = await audit_database(house.database_url, settings(tmp_path))
    (broken,) = [check for check in answer["checks"] if not check["holds"]]
    assert broken["name"] == "I13"
    assert broken["broken"][0].startswith("the log key on record is ")
    assert broken["broken"][1].startswith("registry ")


async def test_a_check_that_cannot_read_does_not_hold_and_stops_no_other(
    house: House, tmp_path: Path
) -> None:
    async with _owner(house.database_url) as conn:
        await conn.execute(text("REVOKE SELECT ON ledger.entry FROM liandai_auditor"))
    answer = await audit_database(house.database_url, settings(tmp_path))
    broken = {check["name"]: check["broken"][0] for check in answer["checks"] if check["broken"]}
    assert broken.pop("I4") == "missing: right on ledger.entry: liandai_auditor SELECT"
    assert set(broken) == {"I1", "I2", "I3", "I6", "I7", "I9", "I11", "I13"}
    assert all("could not be looked at" in said for said in broken.values())


async def test_a_database_without_an_installation_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(ServerFailed, match="no installation"):
        await audit_database(database_url, settings(tmp_path))
    async with _owner(database_url) as conn:
        await conn.execute(text("UPDATE public.schema_version SET version_num = '0001'"))
    with pytest.raises(ServerFailed, match="migrate"):
        await audit_database(database_url, settings(tmp_path))


async def test_the_command_prints_one_document_and_its_exit_code_is_the_verdict(
    house: House, tmp_path: Path
) -> None:
    async def audit() -> tuple[int, dict[str, object]]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "api.cli", "audit"],
            env={
                **os.environ,
                "LIANDAI_DATABASE_URL": house.database_url,
                "LIANDAI_HOME": str(tmp_path),
            },
            capture_output=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout)

    code, answer = await audit()
    assert (code, answer["holds"]) == (0, True)
    async with _owner(house.database_url) as conn:
        await conn.execute(text("ALTER TABLE ledger.entry DISABLE TRIGGER stays"))
    code, answer = await audit()
    assert (code, answer["holds"]) == (1, False)
