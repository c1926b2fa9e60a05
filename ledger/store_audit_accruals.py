"""The SQL of the invariant that standing accruals follow from their leaves (I3). It only reads.

What stands in `ledger.accrual` is derived again: terms from the records that set and ended it, how
far it is from the entries on its base account, night by night. A book's accruals are run as its day
begins, before anything is booked on it; so a night counts what was booked up to the day before.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.holding import MOST_NAMED
from ledger.store import Found

_DUE = """
    WITH said AS (
      SELECT l.book_id, l.position, l.booking_date, l.subject, l.subject->>'accrual' AS accrual,
             l.subject->>'type' = 'AccrualEnded' AS is_end,
             lead(l.booking_date, 1, b.open_day) OVER of_one AS until,
             row_number() OVER of_one AS nth
      FROM ledger.leaf l JOIN ledger.book b USING (book_id)
      WHERE b.purpose = 'house' AND l.kind = 'record'
        AND l.subject->>'type' IN ('AccrualSet', 'AccrualEnded')
      WINDOW of_one AS (PARTITION BY l.book_id, l.subject->>'accrual' ORDER BY l.position)),
    begun AS (
      SELECT s.book_id, s.accrual,
             row_number() OVER (PARTITION BY s.book_id ORDER BY s.position) - 1 AS accrual_no,
             base.account_no AS base_no, debit.account_no AS debit_no,
             credit.account_no AS credit_no, (s.subject->>'year_days')::integer AS year_days
      FROM said s
        JOIN ledger.participation p ON p.book_id = s.book_id
        LEFT JOIN ledger.account base ON base.book_id = s.book_id
          AND (base.party, base.code, base.counterparty, base.ref, base.currency)
            = (p.party, s.subject->'base'->>'code', '', s.subject->'base'->>'ref',
               s.subject->>'currency')
        LEFT JOIN ledger.account debit ON debit.book_id = s.book_id
          AND (debit.party, debit.code, debit.counterparty, debit.ref, debit.currency)
            = (p.party, s.subject->'debit'->>'code', '', s.subject->'debit'->>'ref',
               s.subject->>'currency')
        LEFT JOIN ledger.account credit ON credit.book_id = s.book_id
          AND (credit.party, credit.code, credit.counterparty, credit.ref, credit.currency)
            = (p.party, s.subject->'credit'->>'code', '', s.subject->'credit'->>'ref',
               s.subject->>'currency')
      WHERE s.nth = 1 AND NOT s.is_end),
    counted AS (
      SELECT s.book_id, s.accrual,
             sum((s.subject->>'rate_ppm')::numeric * coalesce(n.minor_nights, 0)) AS units,
             (array_agg((s.subject->>'rate_ppm')::bigint ORDER BY s.position DESC))[1] AS rate_ppm,
             max(s.until) AS through
      FROM said s JOIN begun g USING (book_id, accrual) CROSS JOIN LATERAL (
        SELECT sum(e.amount_minor::numeric
                   * (s.until - greatest(e.booking_date, s.booking_date))) AS minor_nights
        FROM ledger.entry e
        WHERE e.book_id = s.book_id AND e.account_no = g.base_no AND e.booking_date < s.until) n
      WHERE NOT s.is_end GROUP BY s.book_id, s.accrual),
    due AS (
      SELECT g.*, c.units, c.rate_ppm, c.through,
             div(2 * c.units + sign(c.units) * 1000000 * g.year_days, 2000000 * g.year_days)
               AS posted_minor,
             EXISTS (SELECT 1 FROM said s WHERE s.book_id = g.book_id AND s.accrual = g.accrual
                     AND s.is_end) AS is_ended
      FROM begun g JOIN counted c USING (book_id, accrual))"""


async def accruals_unlike_leaves(conn: AsyncConnection) -> Sequence[Found]:
    """(book_id, accrual, due, stands): accruals that are not what the leaves make them.

    due, stands  what differs, by column; None where there is no leaf, or no row
    """
    row = (
        "'accrual_no', {0}.accrual_no, 'base_no', {0}.base_no, 'debit_no', {0}.debit_no, "
        "'credit_no', {0}.credit_no, 'rate_ppm', {0}.rate_ppm, 'year_days', {0}.year_days, "
        "'through', {0}.through, 'units', {0}.units, 'posted_minor', {0}.posted_minor, "
        "'is_ended', {0}.is_ended"
    )
    query = text(
        f"""{_DUE}
        SELECT book_id, accrual, d.said AS due, x.said AS stands
        FROM (SELECT book_id, accrual, jsonb_build_object({row.format("due")}) AS said
              FROM due) d
          FULL JOIN (SELECT book_id, accrual, jsonb_build_object({row.format("a")}) AS said
                     FROM ledger.accrual a) x USING (book_id, accrual)
        WHERE d.said IS DISTINCT FROM x.said
        ORDER BY book_id, accrual LIMIT {MOST_NAMED}"""  # noqa: S608
    ).columns(due=JSONB, stands=JSONB)
    return (await conn.execute(query)).all()


async def accrued_unlike_accruals(conn: AsyncConnection) -> Sequence[Found]:
    """(book_id, account_no, due, stands): accounts on which the mornings' leaves did not post what
    the accruals on them came to."""
    query = """
        SELECT book_id, account_no, coalesce(d.minor, 0) AS due, coalesce(e.minor, 0) AS stands
        FROM (
          SELECT a.book_id, s.account_no, sum(s.minor) AS minor
          FROM ledger.accrual a CROSS JOIN LATERAL (VALUES (a.debit_no, a.posted_minor::numeric),
            (a.credit_no, -a.posted_minor)) AS s(account_no, minor)
          GROUP BY a.book_id, s.account_no) d
          FULL JOIN (
          SELECT e.book_id, e.account_no, sum(e.amount_minor) AS minor
          FROM ledger.leaf l JOIN ledger.book b USING (book_id)
            JOIN ledger.entry e USING (book_id, position)
          WHERE b.purpose = 'house' AND l.kind = 'transaction' AND l.subject->>'type' = 'Accrued'
          GROUP BY e.book_id, e.account_no) e USING (book_id, account_no)
        WHERE coalesce(d.minor, 0) <> coalesce(e.minor, 0)
        ORDER BY book_id, account_no"""
    return (await conn.execute(text(f"{query} LIMIT {MOST_NAMED}"))).all()
