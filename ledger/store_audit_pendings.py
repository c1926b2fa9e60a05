"""The SQL of the invariants about pendings, limits and reversals (I6, I8, I9). It only reads.

Every list of offenders is in log order and cut at `MOST_NAMED`.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.holding import MOST_NAMED
from ledger.store import Found


async def _offenders(conn: AsyncConnection, query: str) -> Sequence[Found]:
    return (await conn.execute(text(f"{query} LIMIT {MOST_NAMED}"))).all()


async def leaves_of(conn: AsyncConnection, *, kind: str) -> int:
    """How many leaves of a kind there are."""
    query = "SELECT count(*) FROM ledger.leaf WHERE kind = :kind"
    return (await conn.execute(text(query), {"kind": kind})).scalar_one()


async def books_that_forget_limits(conn: AsyncConnection) -> Sequence[Found]:
    """Books noted as without limits although accounts in them have some."""
    return await _offenders(
        conn,
        """
        SELECT b.book_id FROM ledger.book b WHERE NOT b.has_limits AND EXISTS (
          SELECT 1 FROM ledger.account a WHERE a.book_id = b.book_id
            AND (a.least_minor IS NOT NULL OR a.most_minor IS NOT NULL))
        ORDER BY b.book_id""",
    )


# ---- I6


async def pendings_unlike_leaves(conn: AsyncConnection) -> Sequence[Found]:
    """Pending leaves without their row, and rows without their leaf."""
    return await _offenders(
        conn,
        """
        SELECT book_id, position, l.leaf_id IS NULL AS no_leaf
        FROM (SELECT * FROM ledger.leaf WHERE kind = 'pending') l
          FULL JOIN ledger.pending p USING (book_id, position)
        WHERE l.leaf_id IS DISTINCT FROM p.leaf_id ORDER BY book_id, position""",
    )


async def pendings_with_leaves(
    conn: AsyncConnection, *, after: tuple[str, int], limit: int
) -> Sequence[Found]:
    """Pendings with their leaves' bytes, by book and position, after a cursor."""
    query = """
        SELECT p.book_id, p.position, p.expires_at, l.bytes
        FROM ledger.pending p JOIN ledger.leaf l USING (book_id, position)
        WHERE (p.book_id, p.position) > (:book, :position)
        ORDER BY p.book_id, p.position LIMIT :limit"""
    values = {"book": after[0], "position": after[1], "limit": limit}
    return (await conn.execute(text(query), values)).all()


async def lines_of_nothing(conn: AsyncConnection) -> Sequence[Found]:
    """Reserved lines at a position where no pending stands."""
    return await _offenders(
        conn,
        """
        SELECT n.book_id, n.position, count(*) AS lines
        FROM ledger.pending_line n LEFT JOIN ledger.pending p USING (book_id, position)
        WHERE p.position IS NULL GROUP BY n.book_id, n.position ORDER BY n.book_id, n.position""",
    )


async def wrongly_resolved(conn: AsyncConnection) -> Sequence[Found]:
    """Pendings whose resolving leaves are not exactly the one that their row names.

    resolved_by  as the row has it; due: the first leaf that resolves it; times: how many do
    """
    return await _offenders(
        conn,
        """
        SELECT p.book_id, p.position, p.resolved_by, min(r.position) AS due,
               count(r.position) AS times
        FROM ledger.pending p LEFT JOIN ledger.leaf r
          ON r.book_id = p.book_id AND r.of_leaf = p.leaf_id AND r.kind IN ('posting', 'void')
        GROUP BY p.book_id, p.position, p.resolved_by
        HAVING count(r.position) > 1 OR p.resolved_by IS DISTINCT FROM min(r.position)
        ORDER BY p.book_id, p.position""",
    )


async def resolving_nothing(conn: AsyncConnection) -> Sequence[Found]:
    """Postings and voids of what is no earlier pending of their book."""
    return await _offenders(
        conn,
        """
        SELECT r.book_id, r.position, r.kind, r.of_leaf
        FROM ledger.leaf r LEFT JOIN ledger.pending p
          ON p.book_id = r.book_id AND p.leaf_id = r.of_leaf AND p.position < r.position
        WHERE r.kind IN ('posting', 'void') AND p.position IS NULL
        ORDER BY r.book_id, r.position""",
    )


async def posted_beyond_pending(conn: AsyncConnection) -> Sequence[Found]:
    """Postings that post more on an account and side than their pending reserved."""
    return await _offenders(
        conn,
        """
        SELECT book_id, position, a.code, a.party, x.posted, x.pending
        FROM (
          SELECT s.book_id, s.position, s.account_no, s.amount AS posted,
                 coalesce(n.amount, 0) AS pending
          FROM (SELECT l.book_id, l.position, l.of_leaf, e.account_no,
                       sign(e.amount_minor) AS side, sum(e.amount_minor) AS amount
                FROM ledger.leaf l JOIN ledger.entry e USING (book_id, position)
                WHERE l.kind = 'posting' GROUP BY 1, 2, 3, 4, 5) s
            LEFT JOIN ledger.pending p ON p.book_id = s.book_id AND p.leaf_id = s.of_leaf
            LEFT JOIN (SELECT book_id, position, account_no, sign(amount_minor) AS side,
                              sum(amount_minor) AS amount
                       FROM ledger.pending_line GROUP BY 1, 2, 3, 4) n
              ON n.book_id = p.book_id AND n.position = p.position
                AND n.account_no = s.account_no AND n.side = s.side
        ) x LEFT JOIN ledger.account a USING (book_id, account_no)
        WHERE abs(x.posted) > abs(x.pending)
        ORDER BY book_id, position, account_no""",
    )


async def resolved_at_the_wrong_time(conn: AsyncConnection) -> Sequence[Found]:
    """Resolutions asked for once the end was reached, and the clock's own before it."""
    return await _offenders(
        conn,
        """
        SELECT r.book_id, r.position, r.kind, p.expires_at, r.recorded_at
        FROM ledger.leaf r JOIN ledger.pending p
          ON p.book_id = r.book_id AND p.leaf_id = r.of_leaf
        WHERE r.kind IN ('posting', 'void')
          AND (r.kind = 'void' AND r.subject->>'reason' IS NOT DISTINCT FROM 'expired')
            <> coalesce(r.recorded_at >= p.expires_at, false)
        ORDER BY r.book_id, r.position""",
    )


# ---- I8


async def wrong_pending_sums(conn: AsyncConnection) -> Sequence[Found]:
    """Accounts whose stored pending sums are not those of the unresolved pendings."""
    return await _offenders(
        conn,
        """
        SELECT book_id, account_no, a.party, a.code, a.pending_debit_minor AS debit,
               a.pending_credit_minor AS credit, coalesce(s.debit, 0) AS due_debit,
               coalesce(s.credit, 0) AS due_credit
        FROM ledger.account a FULL JOIN (
          SELECT book_id, account_no, sum(greatest(n.amount_minor, 0)) AS debit,
                 sum(greatest(-n.amount_minor, 0)) AS credit
          FROM ledger.pending p JOIN ledger.pending_line n USING (book_id, position)
          WHERE p.resolved_by IS NULL GROUP BY book_id, account_no) s USING (book_id, account_no)
        WHERE (a.pending_debit_minor, a.pending_credit_minor)
          IS DISTINCT FROM (coalesce(s.debit, 0), coalesce(s.credit, 0))
        ORDER BY book_id, account_no""",
    )


async def books_with_terms(conn: AsyncConnection) -> list[str]:
    """Books in which an account has been declared, or has terms all the same, by id."""
    query = """
        SELECT book_id FROM ledger.leaf WHERE kind = 'account'
        UNION SELECT book_id FROM ledger.account
          WHERE side IS NOT NULL OR least_minor IS NOT NULL OR most_minor IS NOT NULL
        ORDER BY book_id"""
    return list((await conn.execute(text(query))).scalars())


async def limited_accounts(conn: AsyncConnection, *, book: str) -> Sequence[Found]:
    """The book's accounts that have terms, by number."""
    query = """
        SELECT account_no, party, code, counterparty, ref, currency, side, least_minor, most_minor
        FROM ledger.account
        WHERE book_id = :book
          AND (side IS NOT NULL OR least_minor IS NOT NULL OR most_minor IS NOT NULL)
        ORDER BY account_no"""
    return (await conn.execute(text(query), {"book": book})).all()


async def leaves_that_move(
    conn: AsyncConnection, *, book: str, after: int, limit: int
) -> Sequence[Found]:
    """position and bytes of leaves with an effect on pendings, limits or balances, in log order."""
    query = """
        SELECT position, bytes FROM ledger.leaf
        WHERE book_id = :book AND position > :after AND kind IN
          ('transaction', 'pending', 'posting', 'void', 'reversal', 'account')
        ORDER BY position LIMIT :limit"""
    values = {"book": book, "after": after, "limit": limit}
    return (await conn.execute(text(query), values)).all()


# ---- I9


async def reversals_unlike_leaves(conn: AsyncConnection) -> Sequence[Found]:
    """Reversal leaves without the row that keeps them single, and rows without their leaf."""
    return await _offenders(
        conn,
        """
        SELECT book_id, position, l.of_leaf IS NULL AS no_leaf
        FROM (SELECT * FROM ledger.leaf WHERE kind = 'reversal') l
          FULL JOIN ledger.reversal r USING (book_id, position)
        WHERE l.of_leaf IS DISTINCT FROM r.of_leaf ORDER BY book_id, position""",
    )


async def repeated_reversals(conn: AsyncConnection) -> Sequence[Found]:
    """Leaves that are reversed more than once; position: of the second reversal."""
    return await _offenders(
        conn,
        """
        SELECT book_id, of_leaf, (array_agg(position ORDER BY position))[2] AS position,
               count(*) AS times
        FROM ledger.leaf WHERE kind = 'reversal' GROUP BY book_id, of_leaf
        HAVING count(*) > 1 ORDER BY book_id, position""",
    )


async def reversals_of_nothing(conn: AsyncConnection) -> Sequence[Found]:
    """Reversals of what is no earlier transaction or posting of their book."""
    return await _offenders(
        conn,
        """
        SELECT r.book_id, r.position, r.of_leaf
        FROM ledger.leaf r LEFT JOIN ledger.leaf o
          ON o.book_id = r.book_id AND o.leaf_id = r.of_leaf AND o.position < r.position
            AND o.kind IN ('transaction', 'posting')
        WHERE r.kind = 'reversal' AND o.position IS NULL ORDER BY r.book_id, r.position""",
    )


async def unlike_mirrors(conn: AsyncConnection) -> Sequence[Found]:
    """Reversals with an entry that is not that of what they reverse with the other sign."""
    return await _offenders(
        conn,
        """
        SELECT book_id, position, min(line) AS line
        FROM (
          SELECT r.book_id, r.position, e.line, e.account_no, e.amount_minor
          FROM ledger.leaf r JOIN ledger.entry e USING (book_id, position)
          WHERE r.kind = 'reversal') m
        FULL JOIN (
          SELECT r.book_id, r.position, e.line, e.account_no AS of_account_no,
                 e.amount_minor AS of_amount_minor
          FROM ledger.leaf r JOIN ledger.leaf o
              ON o.book_id = r.book_id AND o.leaf_id = r.of_leaf
            JOIN ledger.entry e ON e.book_id = o.book_id AND e.position = o.position
          WHERE r.kind = 'reversal') o USING (book_id, position, line)
        WHERE (m.account_no, m.amount_minor) IS DISTINCT FROM (o.of_account_no, -o.of_amount_minor)
        GROUP BY book_id, position ORDER BY book_id, position""",
    )
