"""A pending ends by the database's clock; who left learns nothing later; no path through pg_temp.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RESOLVE_ONCE = """
-- recorded_at is taken before the book is waited for; this runs while it is held, so that nothing
-- that waited past the end of a pending still resolves it.
CREATE OR REPLACE FUNCTION ledger.resolve_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_leaf record;
BEGIN
  IF OLD.resolved_by IS NOT NULL OR NEW.resolved_by IS NULL
     OR (NEW.book_id, NEW.position, NEW.leaf_id) IS DISTINCT FROM
        (OLD.book_id, OLD.position, OLD.leaf_id)
     OR NEW.expires_at IS DISTINCT FROM OLD.expires_at THEN
    RAISE EXCEPTION 'a pending is resolved once, and nothing else of it changes'
      USING ERRCODE = 'LD001';
  END IF;
  IF OLD.expires_at <= clock_timestamp() THEN
    SELECT l.leaf_id, l.kind = 'void' AND l.subject->>'reason' = 'expired' AS is_by_clock
      INTO v_leaf FROM ledger.leaf l
      WHERE l.book_id = NEW.book_id AND l.position = NEW.resolved_by;
    IF v_leaf.is_by_clock IS NOT TRUE THEN
      RAISE EXCEPTION 'pending % was over at %', OLD.leaf_id, OLD.expires_at
        USING ERRCODE = 'LD453', DETAIL = jsonb_build_object('leaf', v_leaf.leaf_id,
          'pending', OLD.leaf_id, 'expires_at', OLD.expires_at);
    END IF;
  END IF;
  RETURN NEW;
END $$
"""

DISMISS = """
CREATE OR REPLACE FUNCTION ledger.dismiss(p_book text, p_party text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
DECLARE
  v_asker text := coalesce(current_setting('app.institution', true), '');
  v_purpose text;
  v_size bigint;
  v_until bigint;
BEGIN
  SELECT b.purpose, b.size INTO v_purpose, v_size FROM ledger.book b WHERE b.book_id = p_book
    FOR NO KEY UPDATE;
  IF current_setting('role') <> 'liandai_service' AND NOT (
       v_purpose = 'negotiation' AND EXISTS (
         SELECT 1 FROM ledger.participation p WHERE p.book_id = p_book AND p.party = v_asker
         AND p.until_position IS NULL AND (p.part = 'lead' OR p.party = p_party))) THEN
    RAISE EXCEPTION 'only its lead dismisses from negotiation %, and nobody else from another book',
      p_book USING ERRCODE = 'LD403';
  END IF;
  IF v_purpose IN ('house', 'headroom', 'pool') OR EXISTS (SELECT 1 FROM ledger.participation p
       WHERE p.book_id = p_book AND p.party = p_party AND p.part = 'lead') THEN
    RAISE EXCEPTION '% does not leave book %', p_party, p_book USING ERRCODE = 'LD403';
  END IF;
  IF EXISTS (SELECT 1 FROM ledger.account a WHERE a.book_id = p_book AND a.party = p_party
       AND a.balance_minor <> 0) THEN
    RAISE EXCEPTION '% has balances in book % that are not 0', p_party, p_book
      USING ERRCODE = 'LD403';
  END IF;
  IF EXISTS (SELECT 1 FROM ledger.account a WHERE a.book_id = p_book AND a.party = p_party
       AND (a.pending_debit_minor <> 0 OR a.pending_credit_minor <> 0)) THEN
    RAISE EXCEPTION '% has amounts in book % that are still pending', p_party, p_book
      USING ERRCODE = 'LD403';
  END IF;
  UPDATE ledger.participation SET until_position = v_size
    WHERE book_id = p_book AND party = p_party AND until_position IS NULL;
  SELECT p.until_position INTO v_until FROM ledger.participation p
    WHERE p.book_id = p_book AND p.party = p_party;
  RETURN v_until;
END $$
"""

RESOLVED_BY = """
-- What resolved a pending, as far as the caller's part in the book goes; null: nothing it knows of.
CREATE FUNCTION ledger.resolved_by(p_book text, p_position bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
  SELECT p.resolved_by FROM ledger.pending p
  WHERE p.book_id = p_book AND p.position = p_position AND CASE current_setting('role')
    WHEN 'liandai_service' THEN true
    WHEN 'liandai_auditor' THEN true
    WHEN 'liandai_app' THEN EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = p_book
      AND (m.until_position IS NULL OR p.resolved_by < m.until_position))
    ELSE false END
$$
"""

STANDING = """
-- The pendings of a book, after a position, that nothing resolved by the end of the caller's part
-- in it. Two questions, not one with OR: what stands now is found by the index of what stands.
CREATE FUNCTION ledger.standing_pendings(p_book text, p_after bigint, p_limit integer)
RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
DECLARE
  v_until bigint;
BEGIN
  IF current_setting('role') NOT IN ('liandai_service', 'liandai_auditor') THEN
    SELECT m.until_position INTO v_until FROM ledger.my_books() m
      WHERE m.book_id = p_book AND current_setting('role') = 'liandai_app';
    IF NOT FOUND THEN
      RETURN;
    END IF;
  END IF;
  IF v_until IS NULL THEN
    RETURN QUERY SELECT p.position FROM ledger.pending p
      WHERE p.book_id = p_book AND p.resolved_by IS NULL AND p.position > p_after
      ORDER BY p.position LIMIT p_limit;
  ELSE
    RETURN QUERY SELECT p.position FROM ledger.pending p
      WHERE p.book_id = p_book AND (p.resolved_by IS NULL OR p.resolved_by >= v_until)
        AND p.position > p_after AND p.position < v_until
      ORDER BY p.position LIMIT p_limit;
  END IF;
END $$
"""

UNMOVED_SINCE = """
CREATE OR REPLACE FUNCTION ledger.unmoved_since(p_book text, p_account integer, p_until bigint)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
  SELECT coalesce(max(e.position) < p_until, false) AND NOT EXISTS (
    SELECT 1 FROM ledger.pending_line n
    WHERE n.book_id = p_book AND n.account_no = p_account AND n.position >= p_until)
  FROM ledger.entry e
  WHERE e.book_id = p_book AND e.account_no = p_account
$$
"""

FUNCTIONS = {
    "resolved_by(text, bigint)": RESOLVED_BY,
    "standing_pendings(text, bigint, integer)": STANDING,
}

PATHS_END_IN_TEMP = """
DO $$
DECLARE
  v_one record;
BEGIN
  FOR v_one IN
    SELECT f.oid::regprocedure::text AS signature, s.path
    FROM pg_catalog.pg_proc f
      JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace,
      LATERAL (SELECT substr(said, length('search_path=') + 1) AS path
        FROM unnest(f.proconfig) AS said WHERE starts_with(said, 'search_path=')) s
    WHERE n.nspname IN ('ledger', 'syndicate', 'negotiation', 'api') AND f.prosecdef
      AND s.path !~ 'pg_temp$'
  LOOP
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %s, pg_temp',
      v_one.signature, v_one.path);
  END LOOP;
END $$
"""
"""A session's temporary tables come first in every path that does not name them: name them last."""

NO_TEMPORARY_TABLES = """
DO $$
BEGIN
  IF pg_catalog.pg_has_role((SELECT d.datdba FROM pg_catalog.pg_database d
                             WHERE d.datname = pg_catalog.current_database()), 'USAGE') THEN
    EXECUTE pg_catalog.format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC',
      pg_catalog.current_database());
  ELSE
    RAISE WARNING 'the database is somebody else''s: ask its owner to revoke TEMPORARY from PUBLIC';
  END IF;
END $$
"""


def upgrade() -> None:
    """After the call the rules of the docstring hold; no row is changed."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    op.execute(RESOLVE_ONCE)
    for signature, body in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(
            f"GRANT EXECUTE ON FUNCTION ledger.{signature} "
            "TO liandai_app, liandai_auditor, liandai_service"
        )
    op.execute("SET LOCAL ROLE liandai_ledger")
    op.execute(DISMISS)
    op.execute(UNMOVED_SINCE)
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("REVOKE SELECT ON ledger.pending FROM liandai_app")
    op.execute(
        "GRANT SELECT (book_id, position, leaf_id, expires_at) ON ledger.pending TO liandai_app"
    )
    op.execute(PATHS_END_IN_TEMP)
    op.execute("RESET ROLE")
    op.execute(NO_TEMPORARY_TABLES)


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
