"""Every column of the ledger's tables, and a value it could be given behind the service's back."""

from collections.abc import Mapping
from random import Random
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Column(NamedTuple):
    """A column with rows that have a value there, or that have none."""

    table: str
    name: str
    kind: str
    is_null: bool


NOT_IN_THE_LOG: Final[Mapping[tuple[str, str], str]] = {
    ("checkpoint", "published_at"): "when a head was put into the table; the note has no time",
    ("cosignature", "received_at"): "likewise: the cosignature has its own time, and it is signed",
}
"""What an audit of the ledger cannot find altered, and why that changes nothing in a log."""

_OTHER: Final[Mapping[str, tuple[str, str]]] = {
    # type                       from a value                       from none
    "text": ("{} || 'x'", "'x'"),
    "bigint": ("{} + 1", "2000000"),
    "integer": ("{} + 1", "2"),
    "smallint": ("{} + 1", "2"),
    "date": ("{} + 1", "now()"),
    "timestamp with time zone": ("{} + interval '1 second'", "now()"),
    "bytea": ("sha256({})", "sha256('x')"),
    "boolean": ("NOT {}", "true"),
    "jsonb": ("jsonb_set({}, '{{x}}', '1')", "'{{}}'"),
    "ARRAY": ("array_append({}, sha256('x'))", "ARRAY[sha256('x')]"),
}


async def columns(conn: AsyncConnection) -> list[Column]:
    """All of them, in both states that rows can be in."""
    query = """
        SELECT c.table_name, c.column_name, c.data_type, c.is_nullable
        FROM information_schema.columns c JOIN information_schema.tables t
          USING (table_schema, table_name)
        WHERE table_schema = 'ledger' AND table_type = 'BASE TABLE' ORDER BY 1, 2"""
    found = []
    for table, name, kind, nullable in (await conn.execute(text(query))).all():
        found.append(Column(table, name, kind, False))
        if nullable == "YES":
            found.append(Column(table, name, kind, True))
    return found


async def alter(conn: AsyncConnection, dice: Random, column: Column) -> bool:
    """Whether one row, anywhere in the table, has another value there now."""
    table, name = f"ledger.{column.table}", f'"{column.name}"'
    where = f"{name} IS {'NULL' if column.is_null else 'NOT NULL'}"
    if column.table == "salt":  # it binds nothing before balances are sealed
        where += (
            " AND book_id IN (SELECT l.book_id FROM ledger.leaf l JOIN ledger.entry e USING "
            "(book_id) WHERE l.kind = 'seal' AND e.position < l.position)"
        )
    rows = f"SELECT ctid::text FROM {table} WHERE {where} ORDER BY 1"
    places = list((await conn.execute(text(rows.replace("::", r"\:\:")))).scalars())
    if not places:
        return False
    to = _OTHER[column.kind][column.is_null].format(name)
    changed = f"UPDATE {table} SET {name} = {to} WHERE ctid = '{dice.choice(places)}'"
    await conn.execute(text(changed.replace(":", r"\:")))
    return True
