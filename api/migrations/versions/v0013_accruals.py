"""Standing accruals of house books: their terms and how far they are, and the day's set-based run.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ACCRUAL = [
    """
    CREATE TABLE ledger.accrual (
      book_id text NOT NULL REFERENCES ledger.book,
      accrual_no integer NOT NULL CHECK (accrual_no >= 0),
      accrual text NOT NULL,
      base_no integer NOT NULL,
      debit_no integer NOT NULL,
      credit_no integer NOT NULL,
      rate_ppm bigint NOT NULL,
      year_days integer NOT NULL CHECK (year_days IN (360, 365)),
      through date NOT NULL,
      units numeric NOT NULL DEFAULT 0,
      posted_minor bigint NOT NULL DEFAULT 0,
      before_minor bigint NOT NULL DEFAULT 0,
      is_ended boolean NOT NULL DEFAULT false,
      PRIMARY KEY (book_id, accrual_no),
      UNIQUE (book_id, accrual)
    ) WITH (fillfactor = 50)""",
    "ALTER TABLE ledger.accrual ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ledger.accrual FORCE ROW LEVEL SECURITY",
    "CREATE POLICY ledger_writes ON ledger.accrual TO liandai_ledger USING (true)",
    "CREATE POLICY service ON ledger.accrual TO liandai_service USING (true)",
    "CREATE POLICY auditor ON ledger.accrual FOR SELECT TO liandai_auditor USING (true)",
    """
    CREATE POLICY member ON ledger.accrual FOR SELECT TO liandai_app
      USING (book_id IN (SELECT m.book_id FROM ledger.my_books() m))""",
    "GRANT SELECT ON ledger.accrual TO liandai_app, liandai_auditor, liandai_service",
    "GRANT SELECT, INSERT, UPDATE ON ledger.accrual TO liandai_ledger",
    """
    CREATE TRIGGER stays BEFORE DELETE ON ledger.accrual
      FOR EACH ROW EXECUTE FUNCTION ledger.forbid()""",
    """
    CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.accrual
      FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()""",
]

TAKE_ACCRUAL = """
CREATE FUNCTION ledger.take_accrual(p_book text, p_position bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
DECLARE
  v_said jsonb;
  v_owner text;
  v_day date;
  v_base integer; v_debit integer; v_credit integer;
BEGIN
  IF NOT ledger.may_write(p_book) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  -- What stands is what the leaf says, and the last leaf only: nothing comes in between.
  SELECT l.subject, p.party, b.open_day INTO v_said, v_owner, v_day
    FROM ledger.book b JOIN ledger.leaf l ON l.book_id = b.book_id AND l.position = b.size - 1
      JOIN ledger.participation p ON p.book_id = b.book_id
    WHERE b.book_id = p_book AND b.purpose = 'house' AND l.position = p_position
    FOR NO KEY UPDATE OF b;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such leaf at the end of a house book' USING ERRCODE = 'LD404';
  END IF;
  IF v_said->>'type' = 'AccrualEnded' THEN
    UPDATE ledger.accrual x SET is_ended = true
      WHERE x.book_id = p_book AND x.accrual = v_said->>'accrual' AND NOT x.is_ended;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'no accrual % runs', v_said->>'accrual' USING ERRCODE = 'LD441';
    END IF;
    RETURN;
  END IF;
  SELECT max(a.account_no) FILTER (WHERE s.side = 'base'),
         max(a.account_no) FILTER (WHERE s.side = 'debit'),
         max(a.account_no) FILTER (WHERE s.side = 'credit') INTO v_base, v_debit, v_credit
    FROM (VALUES ('base'), ('debit'), ('credit')) AS s(side) JOIN ledger.account a
      ON a.book_id = p_book AND a.party = v_owner AND a.counterparty = ''
        AND a.code = v_said->s.side->>'code' AND a.ref = v_said->s.side->>'ref'
        AND a.currency = v_said->>'currency'
        AND (s.side = 'base' OR a.least_minor IS NULL AND a.most_minor IS NULL);
  IF v_base IS NULL OR v_debit IS NULL OR v_credit IS NULL THEN
    RAISE EXCEPTION 'an account of the accrual is not there, or limited' USING ERRCODE = 'LD442';
  END IF;
  INSERT INTO ledger.accrual AS x (book_id, accrual_no, accrual, base_no, debit_no, credit_no,
      rate_ppm, year_days, through)
    SELECT p_book, count(*), v_said->>'accrual', v_base, v_debit, v_credit,
           (v_said->>'rate_ppm')::bigint, (v_said->>'year_days')::integer, v_day
    FROM ledger.accrual o WHERE o.book_id = p_book
  ON CONFLICT (book_id, accrual) DO UPDATE SET rate_ppm = excluded.rate_ppm
    WHERE NOT x.is_ended AND (x.base_no, x.debit_no, x.credit_no, x.year_days)
      = (excluded.base_no, excluded.debit_no, excluded.credit_no, excluded.year_days);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'accrual % has ended, or is on other accounts or another year',
      v_said->>'accrual' USING ERRCODE = 'LD442';
  END IF;
END $$
"""

UNLIMITED = [
    """
    CREATE FUNCTION ledger.no_limit_on_accrual() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, ledger AS $$
    BEGIN
      -- A day begins whatever stands on an account: what is accrued cannot be refused.
      IF EXISTS (SELECT 1 FROM ledger.accrual x WHERE x.book_id = NEW.book_id AND NOT x.is_ended
                 AND NEW.account_no IN (x.debit_no, x.credit_no)) THEN
        RAISE EXCEPTION 'a standing accrual posts to the account: end it, or set no limit'
          USING ERRCODE = 'LD442';
      END IF;
      RETURN NEW;
    END $$""",
    """
    CREATE TRIGGER unlimited BEFORE UPDATE OF least_minor, most_minor ON ledger.account
      FOR EACH ROW WHEN (NEW.least_minor IS NOT NULL OR NEW.most_minor IS NOT NULL)
      EXECUTE FUNCTION ledger.no_limit_on_accrual()""",
]

ACCRUE = """
-- The day's accruals of one house book; the rule is `ledger.accrual`, and this is its equal. A leaf
-- is a block of 1,000 accruals, and a block is two statements that find their rows by key: nothing
-- is sorted or hashed that does not fit, so a million positions take ten times what 100,000 do.
CREATE FUNCTION ledger.accrue(p_book text, p_before text, p_between text, p_after text,
  p_name text, p_subject jsonb, p_actor jsonb, p_recorded_at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_size bigint;
  v_day date;
  v_first integer := 0;
  v_last integer;
  v_leaves bigint := 0;
BEGIN
  IF current_setting('role') <> 'liandai_service' THEN
    RAISE EXCEPTION 'only the service accrues' USING ERRCODE = 'LD403';
  END IF;
  SELECT b.size, b.open_day INTO STRICT v_size, v_day FROM ledger.book b
    WHERE b.book_id = p_book FOR NO KEY UPDATE;
  SELECT max(x.accrual_no) INTO v_last FROM ledger.accrual x WHERE x.book_id = p_book;

  -- Every balance is as the day found it: all nights are counted before anything is posted.
  UPDATE ledger.accrual x SET through = v_day, before_minor = x.posted_minor,
      units = x.units + b.balance_minor::numeric * x.rate_ppm * (v_day - x.through),
      posted_minor = div(
        2 * (x.units + b.balance_minor::numeric * x.rate_ppm * (v_day - x.through))
        + sign(x.units + b.balance_minor::numeric * x.rate_ppm * (v_day - x.through))
          * 1000000 * x.year_days, 2000000 * x.year_days)
    FROM ledger.account b
    WHERE x.book_id = p_book AND x.through < v_day AND NOT x.is_ended
      AND b.book_id = p_book AND b.account_no = x.base_no;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;

  WHILE v_first <= v_last LOOP
    WITH sums AS (
      SELECT s.account_no, sum(s.amount_minor)::bigint AS amount_minor
      FROM ledger.accrual x CROSS JOIN LATERAL (VALUES
        (x.debit_no, x.posted_minor - x.before_minor),
        (x.credit_no, x.before_minor - x.posted_minor)) AS s(account_no, amount_minor)
      WHERE x.book_id = p_book AND x.accrual_no >= v_first AND x.accrual_no < v_first + 1000
        AND x.through = v_day AND NOT x.is_ended AND x.posted_minor <> x.before_minor
      GROUP BY s.account_no HAVING sum(s.amount_minor) <> 0),
    moved AS (
      UPDATE ledger.account a SET balance_minor = a.balance_minor + s.amount_minor, posted = true
        FROM sums s WHERE a.book_id = p_book AND a.account_no = s.account_no
        RETURNING a.account_no, s.amount_minor, a.balance_minor, a.party,
          '{"amount_minor":' || s.amount_minor || ',"code":"' || a.code || '","counterparty":"'
            || a.counterparty || '","currency":"' || a.currency || '","party":"' || a.party
            || '","ref":"' || a.ref || '"}' AS said),
    entered AS (
      INSERT INTO ledger.entry
        SELECT p_book, v_size + v_leaves, row_number() OVER (ORDER BY account_no) - 1,
               account_no, party, amount_minor, balance_minor, v_day, v_day FROM moved)
    INSERT INTO ledger.leaf
      SELECT p_book, v_size + v_leaves, p_name || ':' || v_leaves, 'transaction', p_subject,
             p_actor, null, v_day, v_day, p_recorded_at, raw, sha256('\\x00'::bytea || raw)
      FROM (SELECT convert_to(p_before || string_agg(said, ',' ORDER BY account_no) || p_between
                              || p_name || ':' || v_leaves || p_after, 'UTF8') AS raw
            FROM moved HAVING count(*) > 0) AS w;
    IF FOUND THEN
      v_leaves := v_leaves + 1;
    END IF;
    v_first := v_first + 1000;
  END LOOP;
  UPDATE ledger.book b SET size = v_size + v_leaves WHERE b.book_id = p_book;
  RETURN v_leaves;
END $$
"""

ACCRUE_TYPES = "text, text, text, text, text, jsonb, jsonb, timestamptz"

LZ4 = """
DO $$
DECLARE part regclass;
BEGIN
  -- A leaf of 2,000 entries is 200 kB. Where the server has it, lz4 takes a tenth of pglz's time.
  IF EXISTS (SELECT 1 FROM pg_settings
             WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
    FOR part IN SELECT t.relid FROM pg_partition_tree('ledger.leaf') t LOOP
      EXECUTE format('ALTER TABLE %s ALTER COLUMN bytes SET COMPRESSION lz4', part);
    END LOOP;
  END IF;
END $$
"""


def upgrade() -> None:
    """After the call house books can have standing accruals, run by the service alone."""
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in (*ACCRUAL, *UNLIMITED):
        op.execute(statement)
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    for body, signature, callers in (
        (TAKE_ACCRUAL, "take_accrual(text, bigint)", "liandai_app, liandai_service"),
        (ACCRUE, f"accrue({ACCRUE_TYPES})", "liandai_service"),
    ):
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{signature} TO {callers}")
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute(LZ4)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
