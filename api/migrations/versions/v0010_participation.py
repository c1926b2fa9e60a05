"""Who left a book sees what it was entitled to then and nothing after; how a part in it ends.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

DISMISS = """
CREATE FUNCTION ledger.dismiss(p_book text, p_party text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
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
  UPDATE ledger.participation SET until_position = v_size
    WHERE book_id = p_book AND party = p_party AND until_position IS NULL;
  SELECT p.until_position INTO v_until FROM ledger.participation p
    WHERE p.book_id = p_book AND p.party = p_party;
  RETURN v_until;
END $$
"""

ADMIT = """
CREATE OR REPLACE FUNCTION ledger.admit(p_book text, p_party text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
BEGIN
  IF current_setting('role') <> 'liandai_service' AND NOT EXISTS (
       SELECT 1 FROM ledger.participation p WHERE p.book_id = p_book AND p.part = 'lead'
       AND p.party = nullif(current_setting('app.institution', true), '')) THEN
    RAISE EXCEPTION 'only the lead admits to book %', p_book USING ERRCODE = 'LD403';
  END IF;
  IF EXISTS (SELECT 1 FROM ledger.book b
             WHERE b.book_id = p_book AND b.purpose IN ('house', 'headroom', 'pool')) THEN
    RAISE EXCEPTION 'nobody is admitted to a book of one party' USING ERRCODE = 'LD403';
  END IF;
  INSERT INTO ledger.participation (book_id, party, part, from_position)
    SELECT p_book, p_party, 'member', b.size FROM ledger.book b WHERE b.book_id = p_book
  ON CONFLICT (book_id, party) DO UPDATE SET until_position = NULL
    WHERE participation.until_position IS NOT NULL;
END $$
"""

LEFT_BOOKS = """
-- The books a member left, as they stood for it: its size, its last day, and how much of that is
-- published by now.
CREATE FUNCTION ledger.left_books()
RETURNS TABLE (book_id text, purpose text, open_day date, size bigint, published bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT b.book_id, b.purpose,
    coalesce((SELECT l.booking_date FROM ledger.leaf l
      WHERE l.book_id = b.book_id AND l.position = m.until_position - 1), b.open_day),
    m.until_position, least(m.until_position, coalesce(h.size, 0))
  FROM ledger.my_books() m JOIN ledger.book b ON b.book_id = m.book_id
    LEFT JOIN ledger.head h ON h.book_id = m.book_id
  WHERE m.until_position IS NOT NULL AND current_setting('role') = 'liandai_app'
$$
"""

LEFT_BEFORE = """
CREATE FUNCTION ledger.left_before(p_book text, p_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT EXISTS (
    SELECT 1 FROM ledger.my_books() m
      LEFT JOIN ledger.leaf l ON l.book_id = m.book_id AND l.position = m.until_position - 1
    WHERE m.book_id = p_book AND m.until_position IS NOT NULL
      AND (l.recorded_at IS NULL OR l.recorded_at < p_at))
$$
"""

UNMOVED_SINCE = """
CREATE FUNCTION ledger.unmoved_since(p_book text, p_account integer, p_until bigint)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT coalesce(max(e.position) < p_until, false) FROM ledger.entry e
  WHERE e.book_id = p_book AND e.account_no = p_account
$$
"""

ACQUAINTED = f"""
CREATE OR REPLACE FUNCTION syndicate.acquainted(p_borrower text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, syndicate, ledger AS $$
  SELECT EXISTS (
      SELECT 1 FROM ledger.participation theirs JOIN ledger.my_books() m USING (book_id)
      WHERE theirs.party = p_borrower
        AND (m.until_position IS NULL OR coalesce(theirs.from_position, 0) < m.until_position))
    OR EXISTS (
      SELECT 1 FROM syndicate.consent c WHERE c.borrower = p_borrower AND c.recipient = {ME})
$$
"""

HEAD_LEAF = """
CREATE OR REPLACE FUNCTION ledger.head_leaf(p_book text, p_size bigint)
RETURNS TABLE ("position" bigint, bytes bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT l.position, l.bytes FROM ledger.leaf l
  WHERE l.book_id = 'top' AND l.leaf_id = 'head:' || p_book || ':' || p_size AND l.kind = 'head'
    AND CASE current_setting('role')
      WHEN 'liandai_service' THEN true
      WHEN 'liandai_auditor' THEN true
      WHEN 'liandai_app' THEN EXISTS (SELECT 1 FROM ledger.my_books() m
        WHERE m.book_id = p_book AND (m.until_position IS NULL OR p_size <= m.until_position))
      ELSE false END
$$
"""

FUNCTIONS = {
    "dismiss(text, text)": (DISMISS, "liandai_app, liandai_service"),
    "left_books()": (LEFT_BOOKS, "liandai_app, liandai_auditor, liandai_service"),
    "left_before(text, timestamptz)": (LEFT_BEFORE, "liandai_app"),
    "unmoved_since(text, integer, bigint)": (UNMOVED_SINCE, "liandai_app"),
}


def _while_in(table: str, within: str) -> str:
    """Rows of a book one takes part in; of one that was left, those `within` m.until_position."""
    return f"""EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = {table}.book_id
        AND (m.until_position IS NULL OR {within}))"""


POLICIES = {
    "book": _while_in("book", "false"),
    "participation": _while_in(
        "participation", "coalesce(participation.from_position, 0) < m.until_position"
    ),
    "account": f"party = {ME} AND "
    + _while_in(
        "account",
        "ledger.unmoved_since(account.book_id, account.account_no, m.until_position)",
    ),
    "head": "book_id = 'top' OR " + _while_in("head", "false"),
    "subtree": "book_id = 'top' OR "
    + _while_in("subtree", "(subtree.index + 1) << subtree.level <= m.until_position"),
    "checkpoint": "book_id = 'top' OR "
    + _while_in("checkpoint", "checkpoint.size <= m.until_position"),
    "cosignature": "book_id = 'top' OR "
    + _while_in("cosignature", "cosignature.size <= m.until_position"),
    "time_stamp": "book_id = 'top' OR "
    + _while_in("time_stamp", "time_stamp.size <= m.until_position"),
}
"""What a member sees of each table, now by participation in time; leaves and entries had it."""


def upgrade() -> None:
    """After the call a part in a book can end, and whoever left reads nothing that came after."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("ALTER TABLE ledger.participation ADD COLUMN from_position bigint")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    op.execute("GRANT CREATE ON SCHEMA syndicate TO liandai_ledger")
    op.execute("GRANT SELECT ON ledger.head TO liandai_ledger")
    for signature, (body, callers) in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{signature} TO {callers}, liandai_ledger")
    op.execute("SET LOCAL ROLE liandai_ledger")
    op.execute(ADMIT)
    op.execute(ACQUAINTED)
    op.execute(HEAD_LEAF)
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("REVOKE CREATE ON SCHEMA syndicate FROM liandai_ledger")
    op.execute("GRANT UPDATE (until_position) ON ledger.participation TO liandai_ledger")
    for table, sees in POLICIES.items():
        op.execute(f"DROP POLICY member ON ledger.{table}")
        op.execute(
            f"CREATE POLICY member ON ledger.{table} FOR SELECT TO liandai_app USING ({sees})"
        )
    # When another one left is nobody's to know who left before.
    op.execute("REVOKE SELECT ON ledger.participation FROM liandai_app")
    op.execute(
        "GRANT SELECT (book_id, party, part, from_position) ON ledger.participation TO liandai_app"
    )
    op.execute(
        "CREATE POLICY while_in ON syndicate.room_fact AS RESTRICTIVE FOR SELECT TO liandai_app "
        f"USING (borrower = {ME} OR NOT ledger.left_before(room, recorded_at))"
    )
    op.execute(
        "CREATE POLICY while_in ON negotiation.quote AS RESTRICTIVE FOR INSERT TO liandai_app "
        "WITH CHECK (ledger.may_write(deal))"
    )
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
