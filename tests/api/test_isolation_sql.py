"""Who sees which row, asked in plain SQL: the database keeps the institutions apart by itself.

One installation with two deals, consents, quotes, own books and refusals on board. Then every table
is read as every institution, in the role the service uses for members, without any filter; what
comes back is compared row by row with what the rules below say, which know the tables' contents but
none of the policies. A table that is added tomorrow has to be added here.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

import asyncpg
import msgspec
import pytest

from api.database import SCHEMAS
from api.settings import asyncpg_dsn
from tests.api.populated import (
    DECLINED,
    FACILITY,
    LEFT,
    LEFT_AT,
    PURPOSE,
    ROOM,
    add_what_has_no_route,
    populate,
)
from tests.house import INSTITUTIONS, House

ROLES = ("liandai_app", "liandai_auditor", "liandai_service", "liandai_ledger", "liandai_owner")

EVERYONE = (*(row[0] for row in INSTITUTIONS), "operator", "stranger", "")
"""Every institution; one nobody has heard of; and nobody at all."""


Row = Mapping[str, Any]


class World(msgspec.Struct, frozen=True):
    """All rows of the installation by table, and the day that is open."""

    rows: Mapping[str, list[dict[str, Any]]]
    open_day: date

    def takes_part(self, me: str, book: str, position: int = 0) -> bool:
        """Whether I take part in the book, or did when that leaf was recorded."""
        return any(
            row["book_id"] == book
            and row["party"] == me
            and (row["until_position"] is None or position < row["until_position"])
            for row in self.rows["ledger.participation"]
        )

    def ever_took_part(self, me: str, book: str) -> bool:
        return self.part(me, book) is not None

    def part(self, me: str, book: str) -> dict[str, Any] | None:
        """My part in the book, over or not."""
        return next(
            (
                row
                for row in self.rows["ledger.participation"]
                if (row["book_id"], row["party"]) == (book, me)
            ),
            None,
        )

    def within(self, me: str, book: str, size: int) -> bool:
        """Whether I take part in the book, or did while so many leaves stood in it."""
        part = self.part(me, book)
        return part is not None and (
            part["until_position"] is None or size <= part["until_position"]
        )

    def met(self, me: str, theirs: Row) -> bool:
        """Whether the other one had its part in the book before mine was over."""
        return self.within(me, theirs["book_id"], (theirs["from_position"] or 0) + 1)

    def left_before(self, me: str, book: str, at: datetime) -> bool:
        """Whether my part in the book was over by then."""
        part = self.part(me, book)
        if part is None or part["until_position"] is None:
            return False
        last = [
            row["recorded_at"]
            for row in self.rows["ledger.leaf"]
            if (row["book_id"], row["position"]) == (book, part["until_position"] - 1)
        ]
        return not last or last[0] < at

    def acquainted(self, me: str, borrower: str) -> bool:
        """Whether I share a book with the firm, or it ever gave me consent."""
        return any(
            row["party"] == borrower and self.met(me, row)
            for row in self.rows["ledger.participation"]
        ) or any(
            row["borrower"] == borrower and row["recipient"] == me
            for row in self.rows["syndicate.consent"]
        )

    def consented(self, me: str, fact: Mapping[str, Any]) -> bool:
        """Whether a consent for PURPOSE lets me read the fact on the open day."""
        gone = {
            (row["borrower"], row["consent"]) for row in self.rows["syndicate.consent_withdrawal"]
        }
        same = [
            row
            for row in self.rows["syndicate.consent"]
            if (row["borrower"], row["recipient"], row["purpose"], row["person"])
            == (fact["borrower"], me, PURPOSE, fact["person"])
        ]
        return any(
            row["version"] == max(other["version"] for other in same)
            and (row["borrower"], row["consent"]) not in gone
            and PURPOSE.partition(":")[0] == fact["room"]
            and fact["field_class"] in row["classes"]
            and row["valid_from"] <= self.open_day <= row["valid_until"]
            for row in same
        )

    def consent_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        (found,) = (
            consent
            for consent in self.rows["syndicate.consent"]
            if (consent["borrower"], consent["consent"]) == (row["borrower"], row["consent"])
        )
        return found

    def lead_of_facility(self, book: str) -> str | None:
        """None for a house book."""
        leads = {row["facility"]: row["lead"] for row in self.rows["syndicate.facility"]}
        return leads.get(book)

    def lead_of(self, deal: str) -> str:
        (found,) = (row["lead"] for row in self.rows["negotiation.deal"] if row["deal"] == deal)
        return str(found)


PUBLIC = {
    "ledger.business_day": "one date, the same for all",
    "api.installation": "the installation's name and public log key",
    "syndicate.institution_key": "everybody checks everybody's signatures",
    "syndicate.key_revocation": "and must know when a key stops counting",
}
"""Tables a stranger may read whole, and why."""

PARTLY_PUBLIC = {
    "syndicate.institution": "banks, guarantors and experts are known to each other; firms are not",
    "ledger.head": "the top log is everybody's",
    "ledger.leaf_hash": "the same",
    "ledger.subtree": "the same",
    "ledger.checkpoint": "the same",
    "ledger.cosignature": "the same",
    "ledger.time_stamp": "the same",
}
"""Tables of which a stranger sees something, and why; RULES says what."""

CLOSED = {
    "ledger.salt": "opens the balances inside the day seals",
    "api.token": "tokens are looked up by a function, one at a time",
    "api.token_revocation": "the same",
}
"""Tables no member may read at all, and why."""

CLOSED_COLUMNS = {
    "ledger.leaf": {"bytes"},
    "ledger.participation": {"until_position"},
    "ledger.pending": {"resolved_by"},
}
"""Columns no member may read: a leaf's bytes hold the entries of all; when another one left, and
what resolved a pending, is nobody's to know who left before."""

NOW = 2**62
"""A position no log has reached: only who takes part now takes part then."""

RULES: Mapping[str, Callable[[World, str, Row], bool]] = {
    "ledger.book": lambda world, me, row: world.takes_part(me, row["book_id"], NOW),
    "ledger.participation": lambda world, me, row: world.met(me, row),
    "ledger.leaf": lambda world, me, row: world.takes_part(me, row["book_id"], row["position"]),
    "ledger.book_day": lambda world, me, row: world.takes_part(
        me, row["book_id"], row["first_position"]
    ),
    "ledger.accrual": lambda world, me, row: world.ever_took_part(me, row["book_id"]),
    "ledger.account": lambda world, me, row: (
        row["party"] == me
        and all(
            world.takes_part(me, row["book_id"], entry["position"])
            for entry in world.rows["ledger.entry"]
            if (entry["book_id"], entry["account_no"]) == (row["book_id"], row["account_no"])
        )
    ),
    "ledger.entry": lambda world, me, row: (
        row["party"] == me and world.takes_part(me, row["book_id"], row["position"])
    ),
    "ledger.pending": lambda world, me, row: world.takes_part(me, row["book_id"], row["position"]),
    "ledger.pending_line": lambda world, me, row: (
        row["party"] == me and world.takes_part(me, row["book_id"], row["position"])
    ),
    "ledger.reversal": lambda world, me, row: world.takes_part(me, row["book_id"], row["position"]),
    "ledger.head": lambda world, me, row: (
        row["book_id"] == "top" or world.takes_part(me, row["book_id"], NOW)
    ),
    "ledger.leaf_hash": lambda world, me, row: (
        row["book_id"] == "top"
        or world.within(me, row["book_id"], row["first_position"] + len(row["hashes"]) // 32)
    ),
    "ledger.subtree": lambda world, me, row: (
        row["book_id"] == "top"
        or world.within(me, row["book_id"], (row["index"] + 1) << row["level"])
    ),
    **{
        f"ledger.{table}": lambda world, me, row: (
            row["book_id"] == "top" or world.within(me, row["book_id"], row["size"])
        )
        for table in ("checkpoint", "cosignature", "time_stamp")
    },
    "syndicate.institution": lambda world, me, row: (
        row["kind"] != "borrower"
        or row["institution"] == me
        or world.acquainted(me, row["institution"])
    ),
    "syndicate.person": lambda world, me, row: row["institution"] == me,
    "syndicate.capital": lambda world, me, row: row["institution"] == me,
    "syndicate.consent": lambda world, me, row: me in (row["borrower"], row["recipient"]),
    "syndicate.consent_withdrawal": lambda world, me, row: (
        me in (row["borrower"], world.consent_of(row)["recipient"])
    ),
    "syndicate.room_fact": lambda world, me, row: (
        row["borrower"] == me
        or (world.consented(me, row) and not world.left_before(me, row["room"], row["recorded_at"]))
    ),
    "syndicate.room_access": lambda world, me, row: me in (row["reader"], row["borrower"]),
    "syndicate.facility": lambda world, me, row: world.ever_took_part(me, row["facility"]),
    "syndicate.account_mapping": lambda world, me, row: row["bank"] == me,
    **{
        f"syndicate.{table}": lambda world, me, row: row["bank"] == me
        for table in ("reconciliation_outcome", "break_step")
    },
    **{
        f"syndicate.{table}": lambda world, me, row: (
            me in (row["bank"], world.lead_of_facility(row["book_id"]))
        )
        for table in ("reconciliation", "reconciliation_attestation")
    },
    "negotiation.deal": lambda world, me, row: world.ever_took_part(me, row["deal"]),
    "negotiation.quote": lambda world, me, row: me in (row["bank"], world.lead_of(row["deal"])),
    "api.answer": lambda world, me, row: row["institution"] == me,
    "api.saved_query": lambda world, me, row: row["institution"] == me,
}
"""Which row of a table is whose to see."""


# ---- the installation


@pytest.fixture(scope="module")
async def peopled(shared_house: House) -> House:
    """Every table holds rows of more than one institution."""
    await populate(shared_house)
    await add_what_has_no_route(shared_house)
    return shared_house


@pytest.fixture(scope="module")
async def owner(peopled: House) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sees everything: the login the tests run with."""
    conn = await asyncpg.connect(asyncpg_dsn(peopled.database_url))
    yield conn
    await conn.close()


@asynccontextmanager
async def speaking(
    conn: asyncpg.Connection, role: str, institution: str = ""
) -> AsyncIterator[asyncpg.Connection]:
    """A transaction as the service opens it, rolled back at the end."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(
            "SELECT set_config('role', $1, true), set_config('app.institution', $2, true), "
            "set_config('app.purpose', $3, true)",
            role,
            institution,
            PURPOSE,
        )
        yield conn
    finally:
        await transaction.rollback()


async def tables(conn: asyncpg.Connection) -> list[str]:
    """Every table; a partition is a part of its table, and nobody has a right on it."""
    found = await conn.fetch(
        "SELECT t.schemaname || '.' || t.tablename AS name FROM pg_tables t JOIN pg_class c "
        "ON c.oid = format('%I.%I', t.schemaname, t.tablename)::regclass "
        "WHERE t.schemaname = ANY($1) AND NOT c.relispartition ORDER BY 1",
        list(SCHEMAS),
    )
    return [row["name"] for row in found]


async def columns(conn: asyncpg.Connection, table: str) -> list[str]:
    found = await conn.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [row["attname"] for row in found]


@pytest.fixture(scope="module")
async def world(owner: asyncpg.Connection) -> World:
    """What the tables really hold."""
    rows = {
        table: [dict(row) for row in await owner.fetch(f"SELECT * FROM {table}")]
        for table in await tables(owner)
    }
    assert all(rows.values()), [table for table, found in rows.items() if not found]
    (day,) = rows["ledger.business_day"]
    return World(rows, day["open_day"])


def as_set(rows: Any, names: list[str]) -> set[str]:
    return {repr([row[name] for name in names]) for row in rows}


async def seen_by(conn: asyncpg.Connection, table: str, me: str, names: list[str]) -> set[str]:
    async with speaking(conn, "liandai_app", me):
        return as_set(await conn.fetch(f"SELECT {', '.join(names)} FROM {table}"), names)


def open_columns(world: World, table: str) -> list[str]:
    return [name for name in world.rows[table][0] if name not in CLOSED_COLUMNS.get(table, ())]


# ---- reading


async def test_every_table_says_whose_its_rows_are(world: World) -> None:
    assert set(world.rows) == {*PUBLIC, *RULES, *CLOSED}
    assert set(PARTLY_PUBLIC) <= set(RULES)
    print(f"\n{len(world.rows)} tables, {sum(map(len, world.rows.values()))} rows")


@pytest.mark.parametrize("me", EVERYONE, ids=[me or "nobody" for me in EVERYONE])
async def test_an_institution_sees_its_own_rows_and_no_others(
    me: str, owner: asyncpg.Connection, world: World
) -> None:
    shown = 0
    for table, rule in RULES.items():
        names = open_columns(world, table)
        expected = as_set((row for row in world.rows[table] if rule(world, me, row)), names)
        seen = await seen_by(owner, table, me, names)
        assert seen == expected, f"{me or 'nobody'} reads {table}"
        shown += len(seen)
    print(f"\n{me or 'nobody'}: {shown} rows")


async def test_a_stranger_sees_nothing_of_anybodys(owner: asyncpg.Connection, world: World) -> None:
    for me in ("stranger", ""):
        for table in set(RULES) - set(PARTLY_PUBLIC):
            assert not await seen_by(owner, table, me, open_columns(world, table)), table
        async with speaking(owner, "liandai_app", me):
            kinds = await owner.fetch("SELECT DISTINCT kind FROM syndicate.institution")
            assert "borrower" not in {row["kind"] for row in kinds}
            for table in set(PARTLY_PUBLIC) - {"syndicate.institution"}:
                books = await owner.fetch(f"SELECT DISTINCT book_id FROM {table}")
                public = {"top"} & {row["book_id"] for row in world.rows[table]}
                assert {row["book_id"] for row in books} == public, table


async def test_every_table_but_the_closed_ones_is_seen_by_somebody(
    owner: asyncpg.Connection, world: World
) -> None:
    """What nobody sees proves nothing about isolation."""
    for table in RULES:
        names = open_columns(world, table)
        sizes = [len(await seen_by(owner, table, me, names)) for me in EVERYONE]
        assert any(sizes), table
        assert min(sizes) < len(world.rows[table]), f"{table}: everybody sees everything"


async def test_members_of_one_deal_do_not_see_each_others_side(
    owner: asyncpg.Connection, world: World
) -> None:
    """Said once more by column: whatever I see that names a party in this sense names me."""
    mine = {
        "ledger.account": "party",
        "ledger.entry": "party",
        "ledger.pending_line": "party",
        "syndicate.person": "institution",
        "syndicate.capital": "institution",
        "api.answer": "institution",
        "api.saved_query": "institution",
    }
    for table, column in mine.items():
        assert len({row[column] for row in world.rows[table]}) > 1, f"{table} holds one party only"
        for me in EVERYONE:
            async with speaking(owner, "liandai_app", me):
                found = await owner.fetch(f"SELECT DISTINCT {column} AS party FROM {table}")
            assert {row["party"] for row in found} <= {me}, f"{me} reads {table}"
    quotes = "SELECT DISTINCT bank FROM negotiation.quote WHERE deal = 'neg-one'"
    for me, banks in (
        ("hzbank", {"hzbank", "cib", "czbank"}),  # the lead
        ("cib", {"cib"}),
        ("czbank", {"czbank"}),
        ("yunshen", set()),
    ):
        async with speaking(owner, "liandai_app", me):
            assert {row["bank"] for row in await owner.fetch(quotes)} == banks, me


async def test_who_left_a_book_reads_it_up_to_that_day_and_writes_no_more(
    owner: asyncpg.Connection,
) -> None:
    async with speaking(owner, "liandai_app", LEFT):
        positions = await owner.fetch(
            "SELECT position FROM ledger.leaf WHERE book_id = $1", FACILITY.facility
        )
        assert {row["position"] for row in positions} == set(range(LEFT_AT))
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with speaking(owner, "liandai_app", LEFT):
            await owner.fetch("SELECT * FROM ledger.hold($1)", FACILITY.facility)
    assert refused.value.sqlstate == "LD404"


async def test_who_declined_sees_nothing_of_what_came_after(
    owner: asyncpg.Connection, world: World
) -> None:
    """Table by table, with the figures; what stood before is still there to be seen."""
    part = world.part(DECLINED, ROOM)
    assert part is not None
    until = part["until_position"]
    (book,) = [row for row in world.rows["ledger.book"] if row["book_id"] == ROOM]
    assert 0 < until < book["size"]
    counted = {}
    async with speaking(owner, "liandai_app", DECLINED):
        for table, shown in (
            ("leaf", "position < $2"),
            ("checkpoint", "size <= $2"),
            ("subtree", "(index + 1) << level <= $2"),
            ("participation", "coalesce(from_position, 0) < $2"),
            ("book", "$2 < 0"),
            ("head", "$2 < 0"),
        ):
            query = f"SELECT count(*) FROM ledger.{table} WHERE book_id = $1"
            counted[table] = await owner.fetchval(query, ROOM)
            assert counted[table] == await owner.fetchval(f"{query} AND {shown}", ROOM, until)
        (left,) = await owner.fetch("SELECT * FROM ledger.left_books() WHERE book_id = $1", ROOM)
        assert (left["size"], left["published"]) == (until, until)
        facts = "SELECT item FROM syndicate.room_fact WHERE room = $1"
        items = {row["item"] for row in await owner.fetch(facts, ROOM)}
        assert "backlog" in items, "it still has the consent"
        assert "backlog.now" not in items
    for table in ("leaf", "checkpoint", "participation"):
        whole = sum(row["book_id"] == ROOM for row in world.rows[f"ledger.{table}"])
        assert 0 < counted[table] < whole, table
    print(f"\n{DECLINED} left {ROOM} at {until} of {book['size']}: {counted}")


@pytest.mark.parametrize(
    ("role", "asker", "book", "party", "why"),
    [
        ("liandai_app", "cib", ROOM, "czbank", "a bank dismisses nobody else"),
        ("liandai_app", "hzbank", ROOM, "hzbank", "the lead does not leave"),
        ("liandai_app", "hzbank", FACILITY.facility, "qinghe", "nor a member from a facility"),
        ("liandai_app", "qinghe", FACILITY.facility, "qinghe", "nor itself"),
        ("liandai_service", "", FACILITY.facility, "qinghe", "with balances that are not 0"),
        ("liandai_service", "", "own-cib-recon", "cib", "from its own book"),
        ("liandai_app", "", ROOM, "czbank", "nobody at all"),
    ],
)
async def test_a_part_in_a_book_is_not_ended_by(
    role: str, asker: str, book: str, party: str, why: str, owner: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with speaking(owner, role, asker):
            await owner.fetch("SELECT ledger.dismiss($1, $2)", book, party)
    assert refused.value.sqlstate == "LD403", why


async def test_a_part_that_was_over_stays_over_at_the_same_place(
    owner: asyncpg.Connection, world: World
) -> None:
    part = world.part(DECLINED, ROOM)
    assert part is not None
    async with speaking(owner, "liandai_app", "hzbank"):
        again = await owner.fetchval("SELECT ledger.dismiss($1, $2)", ROOM, DECLINED)
        assert again == part["until_position"]
        assert await owner.fetchval("SELECT ledger.dismiss($1, 'stranger')", ROOM) is None


async def test_a_purpose_nobody_consented_to_opens_no_fact(owner: asyncpg.Connection) -> None:
    for purpose in ("", "neg-yunshen:marketing", "neg-other:assessment"):
        async with speaking(owner, "liandai_app", "hzbank"):
            await owner.execute("SELECT set_config('app.purpose', $1, true)", purpose)
            assert not await owner.fetch("SELECT * FROM syndicate.room_fact")


@pytest.mark.parametrize("table", CLOSED)
async def test_no_member_reads_what_is_closed(table: str, owner: asyncpg.Connection) -> None:
    for me in ("hzbank", "cib", "stranger"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with speaking(owner, "liandai_app", me):
                await owner.fetch(f"SELECT * FROM {table}")


async def test_no_member_reads_closed_columns(owner: asyncpg.Connection) -> None:
    for table, names in CLOSED_COLUMNS.items():
        for name in names:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with speaking(owner, "liandai_app", "hzbank"):
                    await owner.fetch(f"SELECT {name} FROM {table}")


# ---- writing

FORGED: Mapping[str, str] = {
    "api.answer": """INSERT INTO api.answer
        SELECT 'cib', 'forged-key', request_hash, status, media_type, body, answered_at
        FROM api.answer LIMIT 1""",
    "api.saved_query": """INSERT INTO api.saved_query
        SELECT 'cib', 'forged', 1, question, person, saved_at FROM api.saved_query LIMIT 1""",
    "negotiation.deal": """INSERT INTO negotiation.deal
        SELECT deal, borrower, 'cib', project, opened_on, mandate_until FROM negotiation.deal
        LIMIT 1""",
    "negotiation.quote": """INSERT INTO negotiation.quote
        SELECT deal, 'cib', 9, 9, quote, salt, placed_at FROM negotiation.quote LIMIT 1""",
    "syndicate.account_mapping": """INSERT INTO syndicate.account_mapping
        SELECT 'cib', 9, valid_from, codes, made_by, recorded_at FROM syndicate.account_mapping
        LIMIT 1""",
    "syndicate.reconciliation": """INSERT INTO syndicate.reconciliation
        SELECT book_id, 'forged', 'cib', since, on_day, known_size, 9, matched, breaks,
          submitted_by, submitted_at FROM syndicate.reconciliation LIMIT 1""",
    "syndicate.reconciliation_outcome": """INSERT INTO syndicate.reconciliation_outcome
        SELECT book_id, 'forged', 'cib', statement_sha256, document, salt
        FROM syndicate.reconciliation_outcome LIMIT 1""",
    "syndicate.break_step": """INSERT INTO syndicate.break_step
        SELECT book_id, reconciliation, 'cib', 9, number, status, reason, document_sha256, maker,
          checker, business_day, recorded_at FROM syndicate.break_step LIMIT 1""",
    "syndicate.reconciliation_attestation": """INSERT INTO syndicate.reconciliation_attestation
        SELECT book_id, 'forged', 'cib', position, attested_by, attested_at
        FROM syndicate.reconciliation_attestation LIMIT 1""",
    "syndicate.capital": """INSERT INTO syndicate.capital
        SELECT 'cib', '1999-01-01', 1, 1, false, recorded_at FROM syndicate.capital LIMIT 1""",
    "syndicate.room_access": """INSERT INTO syndicate.room_access
        SELECT 'forged', room, borrower, 'cib', person, purpose, classes, outcome, consents,
          missing, facts, business_day, recorded_at FROM syndicate.room_access LIMIT 1""",
}
"""Rows hzbank writes in the name of cib, for every table that members add to."""


async def test_nobody_writes_in_anothers_name(owner: asyncpg.Connection) -> None:
    added = await owner.fetch(
        """SELECT table_schema || '.' || table_name AS name
           FROM information_schema.role_table_grants
           WHERE grantee = 'liandai_app' AND privilege_type = 'INSERT'"""
    )
    assert {row["name"] for row in added} == set(FORGED)
    for table, statement in FORGED.items():
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with speaking(owner, "liandai_app", "hzbank"):
                await owner.execute(statement)
        async with speaking(owner, "liandai_app", "hzbank"):
            assert await owner.fetchval(f"SELECT count(*) FROM {table}") > 0, "there was a row"


async def attempts(conn: asyncpg.Connection, table: str) -> dict[str, str]:
    """A statement for each way to change the table; none depends on its rows."""
    name = (await columns(conn, table))[0]
    return {
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f"UPDATE {table} SET {name} = {name}",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }


async def test_an_auditor_writes_nothing_anywhere(owner: asyncpg.Connection) -> None:
    for table in await tables(owner):
        for what, statement in (await attempts(owner, table)).items():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with speaking(owner, "liandai_auditor", "auditor"):
                    await owner.execute(statement)
            granted = await owner.fetchval(
                "SELECT has_table_privilege('liandai_auditor', $1, $2)", table, what
            )
            assert not granted, f"{what} {table}"


async def test_an_auditor_may_call_nothing_that_writes(owner: asyncpg.Connection) -> None:
    found = await owner.fetch(
        """SELECT n.nspname || '.' || p.proname AS name FROM pg_proc p
           JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = ANY($1) AND p.prorettype <> 'trigger'::regtype
             AND has_function_privilege('liandai_auditor', p.oid, 'EXECUTE')""",
        list(SCHEMAS),
    )
    assert {row["name"] for row in found} == {
        "ledger.my_books",
        "ledger.left_books",
        "ledger.head_leaf",
        "ledger.resolved_by",
        "ledger.sizes_under",
        "ledger.standing_pendings",
        "api.who_bears",
    }


async def test_a_member_changes_and_deletes_nothing_anywhere(owner: asyncpg.Connection) -> None:
    for table in await tables(owner):
        for what, statement in (await attempts(owner, table)).items():
            if what == "INSERT":
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with speaking(owner, "liandai_app", "hzbank"):
                    await owner.execute(statement)


async def test_not_even_the_databases_owner_deletes_a_row(owner: asyncpg.Connection) -> None:
    for table in await tables(owner):
        made = await attempts(owner, table)
        for what in ("DELETE", "TRUNCATE"):
            with pytest.raises(asyncpg.PostgresError) as refused:
                async with owner.transaction():
                    await owner.execute(made[what])
            assert refused.value.sqlstate == "LD001", f"{what} {table}"


# ---- what the catalogue says


async def test_row_level_security_is_enabled_and_forced_everywhere(
    owner: asyncpg.Connection,
) -> None:
    found = await owner.fetch(
        """SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity, c.relforcerowsecurity,
                  c.relispartition,
                  pg_get_userbyid(c.relowner) AS owner
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p')""",
        list(SCHEMAS),
    )
    whole = {row["name"] for row in found if not row["relispartition"]}
    assert whole == set(await tables(owner))
    for row in found:
        assert row["relrowsecurity"], row["name"]
        assert row["relforcerowsecurity"], row["name"]
        assert row["owner"] == "liandai_owner", row["name"]


async def test_no_view_shows_rows_past_the_policies(owner: asyncpg.Connection) -> None:
    found = await owner.fetch(
        """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = ANY($1) AND c.relkind IN ('v', 'm', 'f')""",
        list(SCHEMAS),
    )
    assert not found


async def test_rights_to_change_rows_are_these_and_no_others(owner: asyncpg.Connection) -> None:
    found = await owner.fetch(
        """SELECT table_schema || '.' || table_name AS name, grantee, privilege_type AS what
           FROM information_schema.role_table_grants
           WHERE table_schema = ANY($1) AND grantee <> 'liandai_owner'
             AND privilege_type NOT IN ('SELECT', 'INSERT')""",
        list(SCHEMAS),
    )
    assert {(row["name"], row["grantee"], row["what"]) for row in found} == {
        ("ledger.book", "liandai_ledger", "UPDATE"),  # its size and open day
        ("ledger.account", "liandai_ledger", "UPDATE"),  # its balance, which entries re-derive
        ("ledger.pending", "liandai_ledger", "UPDATE"),  # what resolved it, once
        ("ledger.accrual", "liandai_ledger", "UPDATE"),  # how far it is, as leaves re-derive
        ("ledger.business_day", "liandai_ledger", "UPDATE"),
        ("ledger.head", "liandai_service", "UPDATE"),  # the frontier, which leaves re-derive
    }
    by_column = await owner.fetch(
        """SELECT table_name, grantee, privilege_type FROM information_schema.column_privileges
           WHERE table_schema = ANY($1) AND grantee IN ('liandai_app', 'liandai_auditor', 'PUBLIC')
             AND privilege_type IN ('UPDATE', 'REFERENCES')""",
        list(SCHEMAS),
    )
    assert not by_column


async def test_no_role_passes_the_policies_by(owner: asyncpg.Connection) -> None:
    found = await owner.fetch("SELECT * FROM pg_roles WHERE rolname = ANY($1)", list(ROLES))
    assert len(found) == len(ROLES)
    for role in found:
        for right in ("rolsuper", "rolbypassrls", "rolcanlogin", "rolcreaterole", "rolcreatedb"):
            assert not role[right], f"{role['rolname']}: {right}"
    for member in ("liandai_app", "liandai_auditor"):
        for other in set(ROLES) - {member}:
            within = await owner.fetchval("SELECT pg_has_role($1, $2, 'MEMBER')", member, other)
            assert not within, f"{member} is a member of {other}"


async def test_functions_that_act_for_others_look_names_up_in_known_places(
    owner: asyncpg.Connection,
) -> None:
    found = await owner.fetch(
        """SELECT n.nspname || '.' || p.proname AS name, p.proconfig, p.proacl::text AS acl
           FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = ANY($1) AND p.prosecdef""",
        list(SCHEMAS),
    )
    assert found
    for row in found:
        assert any(
            setting.startswith("search_path=pg_catalog") for setting in row["proconfig"] or ()
        ), row["name"]
        # "=X" without a grantee before it would be PUBLIC's right to call.
        assert row["acl"] is not None, f"{row['name']} may be called by everyone"
        assert not any(part.startswith("=") for part in row["acl"].strip("{}").split(",")), row[
            "name"
        ]
