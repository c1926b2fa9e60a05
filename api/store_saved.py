"""The SQL of saved queries: rows of one institution, a new version for each change. Private to
`api`.

Nothing is updated or deleted: a query taken away has a last version without a question.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api import tables
from ledger.store import Found


def _latest() -> Select[Any]:
    table = tables.saved_query
    latest = (
        select(table).ext(distinct_on(table.c.name)).order_by(table.c.name, table.c.version.desc())
    ).subquery()
    return select(latest).where(latest.c.question.is_not(None)).order_by(latest.c.name)


async def saved_queries(conn: AsyncConnection) -> Sequence[Found]:
    """The asker's institution's, each as it stands now, by name."""
    return (await conn.execute(_latest())).all()


async def saved_query(conn: AsyncConnection, *, name: str, version: int | None) -> Found | None:
    """One of them as it stands now, or as it was saved as that version."""
    if version is None:
        query = _latest()
        query = query.where(query.selected_columns.name == name)
    else:
        table = tables.saved_query
        query = select(table).where(
            table.c.name == name, table.c.version == version, table.c.question.is_not(None)
        )
    return (await conn.execute(query)).one_or_none()


async def save_query(
    conn: AsyncConnection,
    *,
    institution: str,
    name: str,
    question: dict[str, Any] | None,
    person: str,
    saved_at: datetime,
) -> int | None:
    """The version it stands as; None where somebody else saved one at the same moment."""
    table = tables.saved_query
    next_version = (
        select(func.coalesce(func.max(table.c.version), 0) + 1)
        .where(table.c.institution == institution, table.c.name == name)
        .scalar_subquery()
    )
    statement = (
        insert(table)
        .from_select(
            ["institution", "name", "version", "question", "person", "saved_at"],
            select(
                literal(institution),
                literal(name),
                next_version,
                literal(question, JSONB(none_as_null=True)),
                literal(person),
                literal(saved_at),
            ),
        )
        .on_conflict_do_nothing()
        .returning(table.c.version)
    )
    return (await conn.execute(statement)).scalar_one_or_none()
