"""The SQL of the ledger's invariants: whole tables at once, or one log in pages. It only reads.

Sums are compared inside the database, where they are set-based; what the leaves' bytes say is
compared by `ledger.log_stands`. Every list of offenders is in log order and cut at `MOST_NAMED`.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnClause, ColumnElement, case, column, func, select, text
from sqlalchemy import table as named_table
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.holding import MOST_NAMED
from ledger.store import Found

PAGE: Final = 250
"""Leaves read at once: an audit's memory does not grow with the log."""

_BEFORE_ANY: Final = -(2**63)


async def speak_as(conn: AsyncConnection, *, role: str) -> None:
    """The rest of the transaction speaks as this role, for no institution."""
    await conn.execute(
        text("SELECT set_config('role', :role, true), set_config('app.institution', '', true)"),
        {"role": role},
    )


async def books(conn: AsyncConnection) -> Sequence[Found]:
    """Every book with its salt and published head, by id."""
    book, salt, head = tables.book, tables.salt, tables.head
    query = (
        select(
            book.c.book_id,
            book.c.size,
            book.c.open_day,
            salt.c.salt,
            head.c.size.label("published"),
            head.c.root,
            head.c.frontier,
        )
        .outerjoin(salt, salt.c.book_id == book.c.book_id)
        .outerjoin(head, head.c.book_id == book.c.book_id)
        .order_by(book.c.book_id)
    )
    return (await conn.execute(query)).all()


# ---- sums over whole tables


async def _offenders(conn: AsyncConnection, query: str) -> Sequence[Found]:
    return (await conn.execute(text(f"{query} LIMIT {MOST_NAMED}"))).all()


async def transactions(conn: AsyncConnection) -> int:
    """How many transactions have entries."""
    query = "SELECT count(*) FROM (SELECT DISTINCT book_id, position FROM ledger.entry) x"
    return (await conn.execute(text(query))).scalar_one()


async def unbalanced(conn: AsyncConnection) -> Sequence[Found]:
    """Transactions that do not close for a party and currency."""
    return await _offenders(
        conn,
        """
        SELECT e.book_id, e.position, coalesce(a.party, e.party) AS party, a.currency,
               sum(e.amount_minor) AS sum_minor
        FROM ledger.entry e LEFT JOIN ledger.account a USING (book_id, account_no)
        GROUP BY e.book_id, e.position, coalesce(a.party, e.party), a.currency
        HAVING sum(e.amount_minor) <> 0
        ORDER BY e.book_id, e.position, party, a.currency""",
    )


async def unmirrored(conn: AsyncConnection) -> Sequence[Found]:
    """Transactions whose debts do not stand alike on both sides."""
    return await _offenders(
        conn,
        """
        SELECT e.book_id, e.position, a.code, least(a.party, a.counterparty) AS one,
               greatest(a.party, a.counterparty) AS other, sum(e.amount_minor) AS sum_minor
        FROM ledger.entry e JOIN ledger.account a USING (book_id, account_no)
        WHERE a.code LIKE 'due.%'
        GROUP BY e.book_id, e.position, a.code, a.ref, a.currency, one, other
        HAVING sum(e.amount_minor) <> 0
        ORDER BY e.book_id, e.position, a.code, one, other""",
    )


async def trial_balances(conn: AsyncConnection) -> Sequence[Found]:
    """The sum of all entries of every book in every currency it has."""
    query = """
        SELECT book_id, currency, sum(e.amount_minor) AS sum_minor
        FROM ledger.entry e LEFT JOIN ledger.account a USING (book_id, account_no)
        GROUP BY book_id, currency ORDER BY book_id, currency"""
    return (await conn.execute(text(query))).all()


async def wrong_running_balances(conn: AsyncConnection) -> Sequence[Found]:
    return await _offenders(
        conn,
        """
        SELECT book_id, position, line, balance_after_minor AS stands, due
        FROM (SELECT book_id, position, line, balance_after_minor, sum(amount_minor) OVER (
                PARTITION BY book_id, account_no ORDER BY position, line) AS due
              FROM ledger.entry) x
        WHERE balance_after_minor <> due ORDER BY book_id, position, line""",
    )


async def wrong_balances(conn: AsyncConnection) -> Sequence[Found]:
    """Accounts whose stored balance is not the sum of their entries, or that are not there."""
    return await _offenders(
        conn,
        """
        SELECT book_id, account_no, a.party, a.code, a.balance_minor AS stands,
               coalesce(s.due, 0) AS due
        FROM ledger.account a FULL JOIN (
          SELECT book_id, account_no, sum(amount_minor) AS due FROM ledger.entry
          GROUP BY book_id, account_no) s USING (book_id, account_no)
        WHERE a.balance_minor IS DISTINCT FROM coalesce(s.due, 0)
          OR a.posted IS DISTINCT FROM (s.due IS NOT NULL) ORDER BY book_id, account_no""",
    )


async def pending_trial_balances(conn: AsyncConnection) -> Sequence[Found]:
    """Pending debits and credits of every book in every currency that has accounts.

    net_minor  of the lines of all unresolved pendings: debits less credits
    """
    query = """
        SELECT book_id, a.currency, sum(n.amount_minor) AS net_minor
        FROM ledger.pending p JOIN ledger.pending_line n USING (book_id, position)
          LEFT JOIN ledger.account a USING (book_id, account_no)
        WHERE p.resolved_by IS NULL GROUP BY book_id, a.currency ORDER BY book_id, a.currency"""
    return (await conn.execute(text(query))).all()


async def rows_of(conn: AsyncConnection, *, table: str) -> int:
    """How many rows a table has; its name with its schema."""
    schema, name = table.split(".")
    query = select(func.count()).select_from(named_table(name, schema=schema))
    return (await conn.execute(query)).scalar_one()


async def repeated(conn: AsyncConnection, *, table: str, names: Sequence[str]) -> Sequence[Found]:
    """Values of these columns that stand in more rows than one; a null is equal to nothing."""
    schema, name = table.split(".")
    columns: list[ColumnClause[Any]] = [column(name) for name in names]
    query = (
        select(*columns, func.count().label("rows"))
        .select_from(named_table(name, *columns, schema=schema))
        .where(*[column.is_not(None) for column in columns])
        .group_by(*columns)
        .having(func.count() > 1)
        .order_by(*columns)
        .limit(MOST_NAMED)
    )
    return (await conn.execute(query)).all()


async def refusals(conn: AsyncConnection) -> int:
    query = "SELECT count(*) FROM ledger.leaf WHERE kind = 'refusal'"
    return (await conn.execute(text(query))).scalar_one()


async def refusals_that_post(conn: AsyncConnection) -> Sequence[Found]:
    return await _offenders(
        conn,
        """
        SELECT book_id, position, count(*) AS entries
        FROM ledger.leaf l JOIN ledger.entry e USING (book_id, position)
        WHERE l.kind = 'refusal' GROUP BY book_id, position ORDER BY book_id, position""",
    )


async def refusals_that_record(conn: AsyncConnection) -> Sequence[Found]:
    """Refused commands under whose name something else stands, in whatever book."""
    return await _offenders(
        conn,
        """
        SELECT r.book_id, r.position, o.book_id AS other_book, o.position AS other
        FROM ledger.leaf r JOIN ledger.leaf o
          ON regexp_replace(o.leaf_id, ':[^:]*$', '') = regexp_replace(r.leaf_id, ':[^:]*$', '')
        WHERE r.kind = 'refusal' AND r.leaf_id LIKE '%\\:refused' AND o.kind <> 'refusal'
        ORDER BY r.book_id, r.position, other_book, other""",
    )


async def entries_without_leaf(conn: AsyncConnection) -> Sequence[Found]:
    return await _offenders(
        conn,
        """
        SELECT e.book_id, e.position, count(*) AS entries
        FROM ledger.entry e LEFT JOIN ledger.leaf l USING (book_id, position)
        WHERE l.position IS NULL GROUP BY e.book_id, e.position ORDER BY e.book_id, e.position""",
    )


async def wrong_days(conn: AsyncConnection) -> Sequence[Found]:
    """Days on which something is booked and which do not begin at its position, or are not there.

    An open day on which nothing is booked yet begins where the log ends.
    """
    return await _offenders(
        conn,
        """
        SELECT book_id, due.day, d.first_position AS stands, due.first_position AS position
        FROM (SELECT book_id, booking_date AS day, min(position) AS first_position
              FROM ledger.leaf GROUP BY book_id, booking_date
              UNION ALL
              SELECT b.book_id, b.open_day, b.size FROM ledger.book b WHERE NOT EXISTS (
                SELECT 1 FROM ledger.leaf l WHERE l.book_id = b.book_id AND l.position = b.size - 1
                  AND l.booking_date = b.open_day)) AS due
          LEFT JOIN ledger.book_day d USING (book_id, day)
        WHERE d.first_position IS DISTINCT FROM due.first_position
        ORDER BY book_id, position""",
    )


async def unknown_books(conn: AsyncConnection) -> list[tuple[str, str]]:
    """(table, book) of rows whose book is not there."""
    found = []
    for table in tables.metadata.sorted_tables:
        if table.schema != "ledger" or "book_id" not in table.c or table is tables.book:
            continue
        query = (
            select(table.c.book_id)
            .distinct()
            .where(table.c.book_id.not_in(select(tables.book.c.book_id)))
            .order_by(table.c.book_id)
            .limit(MOST_NAMED)
        )
        found += [(table.name, name) for name in (await conn.execute(query)).scalars()]
    return found


# ---- who takes part


async def books_for(conn: AsyncConnection, *, purpose: str) -> Sequence[str]:
    """The books of one purpose, by id."""
    book = tables.book.c
    query = select(book.book_id).where(book.purpose == purpose).order_by(book.book_id)
    return (await conn.execute(query)).scalars().all()


async def parts(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    """party, part, from_position, until_position of everyone with a part in the book."""
    table = tables.participation.c
    query = select(table.party, table.part, table.from_position, table.until_position)
    return (await conn.execute(query.where(table.book_id == book))).all()


async def books_of_one(
    conn: AsyncConnection, *, purposes: Sequence[str], system: str
) -> Sequence[Found]:
    """Every book of these purposes: how many have a part in it, one of them, who recorded first."""
    query = """
        SELECT b.book_id, b.purpose, count(p.party) AS owners, min(p.party) AS owner,
          min(p.part) AS part, min(p.from_position) AS from_position,
          min(p.until_position) AS until_position,
          (SELECT l.actor->>'institution' FROM ledger.leaf l
           WHERE l.book_id = b.book_id AND l.actor->>'institution' <> :system
           ORDER BY l.position LIMIT 1) AS recorded_by
        FROM ledger.book b LEFT JOIN ledger.participation p USING (book_id)
        WHERE b.purpose = ANY(:purposes) GROUP BY b.book_id, b.purpose ORDER BY b.book_id"""
    return (await conn.execute(text(query), {"purposes": list(purposes), "system": system})).all()


async def miscounted_accounts(conn: AsyncConnection) -> Sequence[Found]:
    """Books that number their accounts otherwise than they have them."""
    return await _offenders(
        conn,
        """
        SELECT b.book_id, b.accounts AS stands, count(a.account_no) AS due
        FROM ledger.book b LEFT JOIN ledger.account a USING (book_id)
        GROUP BY b.book_id, b.accounts
        HAVING b.accounts <> count(a.account_no) OR b.accounts < max(a.account_no)
        ORDER BY b.book_id""",
    )


async def day_limits(conn: AsyncConnection) -> Found:
    """The installation's open day, the last one sealed in its registry, the first open in a book.

    The top log keeps no business days.
    """
    query = """
        SELECT (SELECT open_day FROM ledger.business_day) AS open_day,
          (SELECT max(l.booking_date) FROM ledger.leaf l JOIN ledger.book b USING (book_id)
           WHERE b.purpose = 'registry' AND l.kind = 'seal') AS sealed,
          (SELECT min(open_day) FROM ledger.book WHERE purpose <> 'top') AS first_open"""
    return (await conn.execute(text(query))).one()


# ---- one log, page by page


_leaf = tables.leaf.c
_ORDER = (_leaf.position, _leaf.kind, _leaf.booking_date, _leaf.recorded_at)
_SEALED = (*_ORDER, _leaf.hash, case((_leaf.kind == "seal", _leaf.subject)).label("seal"))
_WHOLE = (
    *_ORDER,
    _leaf.hash,
    _leaf.leaf_id,
    _leaf.subject,
    _leaf.actor,
    _leaf.corrects,
    _leaf.of_leaf,
    _leaf.value_date,
    _leaf.bytes,
)


async def _pages(
    conn: AsyncConnection, *, book: str, columns: Sequence[ColumnElement[Any]]
) -> AsyncIterator[Sequence[Found]]:
    after = _BEFORE_ANY
    while True:
        query = (
            select(*columns)
            .where(_leaf.book_id == book, _leaf.position > after)
            .order_by(_leaf.position)
            .limit(PAGE)
        )
        page = (await conn.execute(query)).all()
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].position


async def leaf_order(conn: AsyncConnection, *, book: str) -> AsyncIterator[Found]:
    """position, kind, booking_date, recorded_at of every leaf, in log order."""
    async for page in _pages(conn, book=book, columns=_ORDER):
        for row in page:
            yield row


async def leaves_with_entries(
    conn: AsyncConnection, *, book: str, verbatim: bool
) -> AsyncIterator[tuple[Found, list[Found]]]:
    """Every leaf in log order with its entries by line.

    verbatim  with its bytes, every column and the lines of pendings; without, `seal` is the
              subject of a seal, else None
    """
    async for page in _pages(conn, book=book, columns=_WHOLE if verbatim else _SEALED):
        entries: defaultdict[int, list[Found]] = defaultdict(list)
        first, last = page[0].position, page[-1].position
        for entry in await _entries(conn, book, first=first, last=last):
            entries[entry.position].append(entry)
        if verbatim and any(row.kind == "pending" for row in page):
            for line in await _pending_lines(conn, book, first=first, last=last):
                entries[line.position].append(line)
        for row in page:
            yield row, entries[row.position]


async def _entries(conn: AsyncConnection, book: str, *, first: int, last: int) -> Sequence[Found]:
    query = """
        SELECT e.position, e.line, a.party, a.code, a.counterparty, a.ref, a.currency,
               e.amount_minor, e.party AS shown_to, e.value_date, e.booking_date,
               false AS is_pending
        FROM ledger.entry e LEFT JOIN ledger.account a USING (book_id, account_no)
        WHERE book_id = :book AND e.position BETWEEN :first AND :last
        ORDER BY e.position, e.line"""
    values = {"book": book, "first": first, "last": last}
    return (await conn.execute(text(query), values)).all()


async def _pending_lines(
    conn: AsyncConnection, book: str, *, first: int, last: int
) -> Sequence[Found]:
    """As `_entries`: a pending's lines have the dates of their leaf."""
    query = """
        SELECT n.position, n.line, a.party, a.code, a.counterparty, a.ref, a.currency,
               n.amount_minor, n.party AS shown_to, l.value_date, l.booking_date,
               true AS is_pending
        FROM ledger.pending_line n LEFT JOIN ledger.account a USING (book_id, account_no)
          LEFT JOIN ledger.leaf l USING (book_id, position)
        WHERE book_id = :book AND n.position BETWEEN :first AND :last
        ORDER BY n.position, n.line"""
    values = {"book": book, "first": first, "last": last}
    return (await conn.execute(text(query), values)).all()


async def subtrees_finished(
    conn: AsyncConnection, *, book: str, old_size: int, new_size: int
) -> dict[tuple[int, int], bytes]:
    """The stored complete subtrees that leaves [old_size, new_size) finish, by (level, index).

    Leaf hashes among them, and a few of neighbouring leaves that stand in the same run.
    """
    query = """
        SELECT s.level, s.index AS nth, s.hash AS hashes
        FROM generate_series(1, CAST(:top AS integer)) AS l(level) JOIN ledger.subtree s
          ON s.level = l.level AND s.index >= CAST(:old_size AS bigint) >> l.level
             AND s.index < CAST(:new_size AS bigint) >> l.level
        WHERE s.book_id = :book
        UNION ALL
        SELECT 0, h.first_position, h.hashes FROM ledger.leaf_hash h
        WHERE h.book_id = :book AND h.first_position < CAST(:new_size AS bigint)
          AND h.first_position >= CAST(:old_size AS bigint) - CAST(:old_size AS bigint) % 32"""
    values: dict[str, Any] = {
        "book": book,
        "old_size": old_size,
        "new_size": new_size,
        "top": new_size.bit_length(),
    }
    rows = (await conn.execute(text(query), values)).all()
    return {
        (row.level, row.nth + number): row.hashes[32 * number : 32 * number + 32]
        for row in rows
        for number in range(len(row.hashes) // 32)
    }


async def stored_subtrees(conn: AsyncConnection, *, book: str) -> int:
    """How many tree nodes are stored, leaf hashes among them."""
    query = """
        SELECT (SELECT count(*) FROM ledger.subtree WHERE book_id = :book)
          + coalesce((SELECT sum(length(hashes) / 32) FROM ledger.leaf_hash
                      WHERE book_id = :book), 0)"""
    return int((await conn.execute(text(query), {"book": book})).scalar_one())
