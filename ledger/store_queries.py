"""The SQL of the ledger's questions: records, entries, sums, balances, statements. It only reads.

Parameters are bound, never written into a statement. Whose rows there are is the caller's standing
(row-level security). What is ordered by text is ordered by its bytes, whatever the database's own
collation: the same question has one answer on every server.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    collate,
    column,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.store import FACT_COLUMNS, Found
from ledger.wanted import SOURCE_LISTS, SOURCES, Wanted

AT_ONCE: Final = 500
"""Rows a stream takes from its cursor at once: a page of it."""

Known = tuple[str, int]
"""A book, and how many of its leaves a question may know."""

_ACCOUNT: Final = ("party", "code", "counterparty", "ref", "currency")


def _entries_of(known: Sequence[Known], wanted: Wanted, *more: ColumnElement[Any]) -> Select[Any]:
    """Entries of these books below these sizes, with their accounts and leaves, narrowed."""
    entry, account, leaf = tables.entry, tables.account, tables.leaf
    nth, source, reaches = _books(known)
    query = (
        select(
            nth.label("nth"),
            entry.c.book_id.label("book"),
            entry.c.position,
            entry.c.line,
            entry.c.account_no,
            *(account.c[name] for name in _ACCOUNT),
            entry.c.amount_minor,
            entry.c.value_date,
            entry.c.booking_date,
            leaf.c.leaf_id,
            leaf.c.kind,
            leaf.c.recorded_at,
            leaf.c.actor,
            leaf.c.corrects,
            leaf.c.of_leaf,
            leaf.c.hash,
            leaf.c.subject["type"].astext.label("fact"),
            *more,
        )
        .select_from(source)
        .join(
            account,
            and_(account.c.book_id == entry.c.book_id, account.c.account_no == entry.c.account_no),
        )
        .join(leaf, and_(leaf.c.book_id == entry.c.book_id, leaf.c.position == entry.c.position))
        .where(reaches)
    )
    for condition in _conditions(wanted, entry):
        query = query.where(condition)
    return query


def _books(
    known: Sequence[Known],
) -> tuple[ColumnElement[Any], FromClause, ColumnElement[bool]]:
    """(the book's number among them, from where, up to where): one book is asked by its key."""
    entry = tables.entry
    if len(known) == 1:
        ((book, size),) = known
        number: ColumnElement[Any] = literal(0, BigInteger)
        return number, entry, and_(entry.c.book_id == book, entry.c.position < size)
    asked = (
        func.unnest(
            bindparam("books", [book for book, _ in known], type_=ARRAY(Text)),
            bindparam("sizes", [size for _, size in known], type_=ARRAY(BigInteger)),
        )
        .table_valued(
            column("book", Text), column("size", BigInteger), with_ordinality="nth", name="asked"
        )
        .render_derived()
    )
    source = entry.join(
        asked, and_(asked.c.book == entry.c.book_id, entry.c.position < asked.c.size)
    )
    return asked.c.nth, source, and_(True)


def _names_source(document: str) -> ColumnElement[bool]:
    subject = tables.leaf.c.subject
    return or_(
        *(subject[name].astext == document for name in SOURCES),
        *(subject.contains({name: [document]}) for name in SOURCE_LISTS),
    )


def _conditions(wanted: Wanted, lines: Table) -> list[ColumnElement[bool]]:
    """lines: the table whose rows are narrowed, posted entries or what pendings reserve."""
    account, leaf, amount = tables.account, tables.leaf, lines.c.amount_minor
    subject, actor = leaf.c.subject, leaf.c.actor
    size = func.abs(amount)
    dates = tables.entry if lines is tables.entry else leaf
    tests: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        **{name: account.c[name].__eq__ for name in _ACCOUNT},
        "kind": leaf.c.kind.__eq__,
        "fact": subject["type"].astext.__eq__,
        "record": leaf.c.leaf_id.__eq__,
        "reference": subject["reference"].astext.__eq__,
        "source": _names_source,
        "institution": actor["institution"].astext.__eq__,
        "person": actor["user"].astext.__eq__,
        "side": lambda side: amount > 0 if side == "debit" else amount < 0,
        "amount_from": lambda minor: size >= minor,
        "amount_until": lambda minor: size <= minor,
        "value_from": lambda day: dates.c.value_date >= day,
        "value_until": lambda day: dates.c.value_date <= day,
        "booking_from": lambda day: dates.c.booking_date >= day,
        "booking_until": lambda day: dates.c.booking_date <= day,
    }
    return [
        test(getattr(wanted, name))
        for name, test in tests.items()
        if getattr(wanted, name) is not None
    ]


# ---- records


async def records(
    conn: AsyncConnection,
    *,
    book: str,
    kinds: Sequence[str],
    fact: str | None,
    source: str | None,
    after: int,
    limit: int,
) -> Sequence[Found]:
    """Leaves of these kinds after a position, in log order, of that type and about that document
    where they are given."""
    leaf = tables.leaf
    query = (
        select(*FACT_COLUMNS)
        .where(leaf.c.book_id == book, leaf.c.position > after, leaf.c.kind.in_(kinds))
        .order_by(leaf.c.position)
        .limit(limit)
    )
    if fact is not None:
        query = query.where(leaf.c.subject["type"].astext == fact)
    if source is not None:
        query = query.where(_names_source(source))
    return (await conn.execute(query)).all()


async def hashes_at(
    conn: AsyncConnection, *, book: str, positions: Sequence[int]
) -> dict[int, str]:
    """position -> leaf hash in hex."""
    leaf = tables.leaf
    query = select(leaf.c.position, leaf.c.hash).where(
        leaf.c.book_id == book, leaf.c.position.in_(positions)
    )
    return {row.position: row.hash.hex() for row in await conn.execute(query)}


# ---- entries and their sums


async def entries(
    conn: AsyncConnection,
    *,
    known: Sequence[Known],
    wanted: Wanted,
    after: tuple[int, int, int] | None,
    limit: int,
) -> Sequence[Found]:
    """In the order of the books given and of their logs, after (number of the book, position,
    line)."""
    if not known:
        return ()
    inner = _entries_of(known, wanted)
    nth, entry = inner.selected_columns.nth, tables.entry
    if after is not None:
        place = (entry.c.position, entry.c.line)
        inner = inner.where(
            tuple_(*place) > after[1:] if len(known) == 1 else tuple_(nth, *place) > after
        )
    order = () if len(known) == 1 else (nth,)
    query = inner.order_by(*order, entry.c.position, entry.c.line).limit(limit)
    return (await conn.execute(query)).all()


async def stream(
    conn: AsyncConnection, *, known: Sequence[Known], wanted: Wanted
) -> AsyncIterator[Sequence[Found]]:
    """All of them in the same order, page by page through a cursor of the server, however many."""
    if not known:
        return
    inner = _entries_of(known, wanted)
    order = () if len(known) == 1 else (inner.selected_columns.nth,)
    query = inner.order_by(*order, tables.entry.c.position, tables.entry.c.line)
    async for page in _streamed(conn, query):
        yield page


async def _streamed(conn: AsyncConnection, query: Select[Any]) -> AsyncIterator[Sequence[Found]]:
    rows = await conn.stream(query.execution_options(yield_per=AT_ONCE))
    try:
        async for page in rows.partitions():
            yield page
    finally:
        await rows.close()


async def sums(conn: AsyncConnection, *, known: Sequence[Known], wanted: Wanted) -> Sequence[Found]:
    """(currency, entries, debits_minor, credits_minor, net_minor) over all that pass, by
    currency."""
    if not known:
        return ()
    inner = _entries_of(known, wanted).subquery()
    amount = inner.c.amount_minor
    query = (
        select(
            inner.c.currency,
            func.count().label("entries"),
            func.coalesce(func.sum(amount).filter(amount > 0), 0).label("debits_minor"),
            func.coalesce(func.sum(amount).filter(amount < 0), 0).label("credits_minor"),
            func.sum(amount).label("net_minor"),
        )
        .group_by(inner.c.currency)
        .order_by(collate(inner.c.currency, "C"))
    )
    return (await conn.execute(query)).all()


# ---- balances: the one question behind every balance, trial balance and statement


async def balances(
    conn: AsyncConnection, *, book: str, size: int, wanted: Wanted
) -> Sequence[Found]:
    """(account, debits_minor, credits_minor, balance_minor) of every account that an entry below
    the size touches and that passes, in account order; accounts at 0 included."""
    return (await conn.execute(_balances(book, size, wanted))).all()


def _balances(book: str, size: int, wanted: Wanted) -> Select[Any]:
    inner = _entries_of([(book, size)], wanted).subquery()
    names = [inner.c[name] for name in _ACCOUNT]
    amount = inner.c.amount_minor
    return (
        select(
            *names,
            func.coalesce(func.sum(amount).filter(amount > 0), 0).label("debits_minor"),
            func.coalesce(func.sum(amount).filter(amount < 0), 0).label("credits_minor"),
            func.sum(amount).label("balance_minor"),
        )
        .group_by(*names)
        .order_by(*(collate(name, "C") for name in names))
    )


async def pendings(
    conn: AsyncConnection, *, book: str, size: int, wanted: Wanted
) -> Sequence[Found]:
    """(account, pending_debits_minor, pending_credits_minor) of every account on which pendings
    below the size, not resolved below it, reserve something that passes."""
    line, pending, account, leaf = (
        tables.pending_line,
        tables.pending,
        tables.account,
        tables.leaf,
    )
    names, amount = [account.c[name] for name in _ACCOUNT], line.c.amount_minor
    resolved_by = func.ledger.resolved_by(pending.c.book_id, pending.c.position, type_=BigInteger)
    query = (
        select(
            *names,
            func.coalesce(func.sum(amount).filter(amount > 0), 0).label("pending_debits_minor"),
            func.coalesce(func.sum(amount).filter(amount < 0), 0).label("pending_credits_minor"),
        )
        .select_from(line)
        .join(
            pending,
            and_(pending.c.book_id == line.c.book_id, pending.c.position == line.c.position),
        )
        .join(
            account,
            and_(account.c.book_id == line.c.book_id, account.c.account_no == line.c.account_no),
        )
        .join(leaf, and_(leaf.c.book_id == line.c.book_id, leaf.c.position == line.c.position))
        .where(line.c.book_id == book, line.c.position < size)
        .where(or_(resolved_by.is_(None), resolved_by >= size))
        .group_by(*names)
        .order_by(*(collate(name, "C") for name in names))
    )
    for condition in _conditions(wanted, line):
        query = query.where(condition)
    return (await conn.execute(query)).all()


async def balance_stream(
    conn: AsyncConnection, *, book: str, size: int, wanted: Wanted
) -> AsyncIterator[Sequence[Found]]:
    """As `balances`, through a cursor of the server."""
    async for page in _streamed(conn, _balances(book, size, wanted)):
        yield page


# ---- statements


def _lines(book: str, size: int, wanted: Wanted, *, by: str) -> Select[Any]:
    """The entries with what has moved on their accounts up to and with each, in statement order."""
    entry = tables.entry
    order = [entry.c.position, entry.c.line]
    if by == "value":
        order.insert(0, entry.c.value_date)
    moved = func.sum(entry.c.amount_minor).over(partition_by=entry.c.account_no, order_by=order)
    inner = _entries_of([(book, size)], wanted, moved.label("moved_minor")).subquery()
    return select(inner).order_by(*(inner.c[column.name] for column in order))


async def statement_lines(
    conn: AsyncConnection,
    *,
    book: str,
    size: int,
    wanted: Wanted,
    by: str,
    after: tuple[Any, ...] | None,
    limit: int,
) -> Sequence[Found]:
    """by: `booking` (log order) or `value` (value date first). after: the key of a line."""
    query = _lines(book, size, wanted, by=by)
    if after is not None:
        names = ("position", "line") if by == "booking" else ("value_date", "position", "line")
        place = tuple_(*(query.selected_columns[name] for name in names))
        query = query.where(place > tuple_(*_typed(after)))
    return (await conn.execute(query.limit(limit))).all()


def _typed(key: tuple[Any, ...]) -> list[ColumnElement[Any]]:
    return [
        bindparam(None, part, type_=Date if isinstance(part, date) else BigInteger) for part in key
    ]


async def statement_stream(
    conn: AsyncConnection, *, book: str, size: int, wanted: Wanted, by: str
) -> AsyncIterator[Sequence[Found]]:
    """As `statement_lines`, all of them, through a cursor of the server."""
    async for page in _streamed(conn, _lines(book, size, wanted, by=by)):
        yield page
