"""The day close writes less: room for new balances beside the old ones, a book's accruals at once.

An account's row that finds no room on its page is written elsewhere and named anew in both indexes
of its table. Pages filled to 45 of 100 hold every row twice, so that a day which moves every
account touches no index. Rows that stand keep their pages until `VACUUM FULL ledger.account`.

`ledger.accrue` looked each account up by its key, block by block; now it sorts what is due by
account and goes once along the accounts of the book.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ROOM = [
    "ALTER TABLE ledger.account SET (fillfactor = 45)",
    "ALTER TABLE ledger.book SET (fillfactor = 45)",
]

TOTAL = [
    # sum(bigint) comes to a numeric, which takes longer than all else about adding.
    "CREATE AGGREGATE ledger.total(bigint) (sfunc = pg_catalog.int8pl, stype = bigint)",
    "ALTER AGGREGATE ledger.total(bigint) OWNER TO liandai_ledger",
    "REVOKE ALL ON FUNCTION ledger.total(bigint) FROM PUBLIC",
]

ACCRUE = """
-- The day's accruals of one house book; the rule is `ledger.accrual`, and this is its equal. A leaf
-- is a block of 1,000 accruals. Rows of both sides are sorted and merged, whatever the planner
-- thinks there are of them: a million positions take ten times what 100,000 do.
CREATE OR REPLACE FUNCTION ledger.accrue(p_book text, p_before text, p_between text, p_after text,
  p_name text, p_subject jsonb, p_actor jsonb, p_recorded_at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp
SET plan_cache_mode = force_custom_plan SET work_mem = '64MB'
SET enable_seqscan = off SET enable_hashjoin = off SET enable_nestloop = off AS $$
DECLARE
  v_size bigint;
  v_day date;
  v_leaves bigint;
BEGIN
  IF current_setting('role') <> 'liandai_service' THEN
    RAISE EXCEPTION 'only the service accrues' USING ERRCODE = 'LD403';
  END IF;
  SELECT b.size, b.open_day INTO STRICT v_size, v_day FROM ledger.book b
    WHERE b.book_id = p_book FOR NO KEY UPDATE;

  -- Every balance is as the day found it: all nights are counted before anything is posted.
  UPDATE ledger.accrual x SET through = v_day, before_minor = x.posted_minor,
      (units, posted_minor) = (
        SELECT n.units, div(2 * n.units + sign(n.units) * (1000000 * x.year_days),
                            2000000 * x.year_days)
        FROM (SELECT x.units + b.balance_minor::numeric * (x.rate_ppm * (v_day - x.through))
                     AS units OFFSET 0) AS n)
    FROM ledger.account b
    WHERE x.book_id = p_book AND x.through < v_day AND NOT x.is_ended
      AND b.book_id = p_book AND b.account_no = x.base_no;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;

  WITH due AS NOT MATERIALIZED (
    SELECT x.accrual_no / 1000 AS block, x.debit_no, x.credit_no,
           x.posted_minor - x.before_minor AS amount_minor
    FROM ledger.accrual x
    WHERE x.book_id = p_book AND x.through = v_day AND NOT x.is_ended
      AND x.posted_minor <> x.before_minor),
  sums AS (
    SELECT s.block, s.account_no, ledger.total(s.amount_minor) AS amount_minor
    FROM (SELECT d.block, d.debit_no AS account_no, d.amount_minor FROM due d
          UNION ALL SELECT d.block, d.credit_no, -d.amount_minor FROM due d) AS s
    GROUP BY s.block, s.account_no HAVING ledger.total(s.amount_minor) <> 0),
  numbered AS (
    SELECT dense_rank() OVER (ORDER BY s.block) - 1 AS leaf_no,
           row_number() OVER (PARTITION BY s.block ORDER BY s.account_no) - 1 AS line,
           s.account_no, s.amount_minor
    FROM sums s),
  -- An account may be in several leaves: it has a balance after each, and is updated once.
  lines AS MATERIALIZED (
    SELECT n.leaf_no, n.line, n.account_no, n.amount_minor,
           ledger.total(n.amount_minor) OVER (of_account ROWS UNBOUNDED PRECEDING) AS so_far_minor,
           lead(n.leaf_no) OVER of_account IS NULL AS is_last
    FROM numbered n WINDOW of_account AS (PARTITION BY n.account_no ORDER BY n.leaf_no)),
  moved AS (
    UPDATE ledger.account a SET balance_minor = a.balance_minor + l.so_far_minor, posted = true
      FROM lines l WHERE a.book_id = p_book AND a.account_no = l.account_no AND l.is_last),
  -- Here an account still has the balance that the statement found.
  said AS MATERIALIZED (
    SELECT l.leaf_no, l.line, l.account_no, a.party, l.amount_minor,
           a.balance_minor + l.so_far_minor AS balance_minor,
           '{"amount_minor":' || l.amount_minor || ',"code":"' || a.code || '","counterparty":"'
             || a.counterparty || '","currency":"' || a.currency || '","party":"' || a.party
             || '","ref":"' || a.ref || '"}' AS words
    FROM lines l JOIN ledger.account a ON a.book_id = p_book AND a.account_no = l.account_no
    ORDER BY l.leaf_no, l.line),
  entered AS (
    INSERT INTO ledger.entry
      SELECT p_book, v_size + s.leaf_no, s.line, s.account_no, s.party, s.amount_minor,
             s.balance_minor, v_day, v_day FROM said s),
  logged AS (
    INSERT INTO ledger.leaf
      SELECT p_book, v_size + w.leaf_no, p_name || ':' || w.leaf_no, 'transaction', p_subject,
             p_actor, null, v_day, v_day, p_recorded_at, w.raw, sha256('\\x00'::bytea || w.raw)
      FROM (SELECT s.leaf_no,
                   convert_to(p_before || string_agg(s.words, ',' ORDER BY s.line) || p_between
                              || p_name || ':' || s.leaf_no || p_after, 'UTF8') AS raw
            FROM said s GROUP BY s.leaf_no OFFSET 0) AS w
      RETURNING 1)
  SELECT count(*) INTO v_leaves FROM logged;
  UPDATE ledger.book b SET size = v_size + v_leaves WHERE b.book_id = p_book;
  RETURN v_leaves;
END $$
"""


def upgrade() -> None:
    """After the call new pages of accounts and books have room, and a day close is two passes."""
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in ROOM:
        op.execute(statement)
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    for statement in (*TOTAL, ACCRUE):
        op.execute(statement)
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
