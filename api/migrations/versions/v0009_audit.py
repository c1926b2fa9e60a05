"""An auditor's questions: how far each book was published at a size of the top log, saved queries.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

SIZES_UNDER = """
-- The top log's leaves are not a member's to read; how far its own books were published is.
CREATE FUNCTION ledger.sizes_under(p_top_size bigint)
RETURNS TABLE (book_id text, size bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT b.book_id, h.size FROM ledger.book b CROSS JOIN LATERAL (
    SELECT c.size FROM ledger.checkpoint c JOIN ledger.leaf l
      ON l.book_id = 'top' AND l.leaf_id = 'head:' || c.book_id || ':' || c.size
    WHERE c.book_id = b.book_id AND l.position < p_top_size
    ORDER BY c.size DESC LIMIT 1) h
  WHERE b.book_id <> 'top' AND (
    current_setting('role') IN ('liandai_auditor', 'liandai_service')
    OR b.book_id IN (SELECT m.book_id FROM ledger.my_books() m))
$$
"""

SAVED_QUERY = """
CREATE TABLE api.saved_query (
  institution text NOT NULL,
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{1,39}$'),
  version integer NOT NULL CHECK (version >= 1),
  question jsonb,
  person text NOT NULL,
  saved_at timestamptz NOT NULL,
  PRIMARY KEY (institution, name, version)
)"""


def upgrade() -> None:
    """After the call a question over many books has one moment, and questions can be kept."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    op.execute("GRANT SELECT ON ledger.checkpoint TO liandai_ledger")
    op.execute(SIZES_UNDER)
    op.execute("ALTER FUNCTION ledger.sizes_under(bigint) OWNER TO liandai_ledger")
    op.execute("REVOKE ALL ON FUNCTION ledger.sizes_under(bigint) FROM PUBLIC")
    op.execute(
        "GRANT EXECUTE ON FUNCTION ledger.sizes_under(bigint) "
        "TO liandai_app, liandai_auditor, liandai_service, liandai_ledger"
    )
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute(SAVED_QUERY)
    op.execute("ALTER TABLE api.saved_query ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE api.saved_query FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON api.saved_query "
        "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
    )
    op.execute(
        "CREATE TRIGGER stays_whole BEFORE TRUNCATE ON api.saved_query "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
    )
    op.execute(
        f"CREATE POLICY own ON api.saved_query FOR SELECT TO liandai_app USING (institution = {ME})"
    )
    op.execute(
        "CREATE POLICY own_adds ON api.saved_query FOR INSERT TO liandai_app "
        f"WITH CHECK (institution = {ME})"
    )
    op.execute("GRANT SELECT, INSERT ON api.saved_query TO liandai_app")
    op.execute(
        "CREATE POLICY service ON api.saved_query FOR SELECT TO liandai_service USING (true)"
    )
    op.execute("GRANT SELECT ON api.saved_query TO liandai_service")  # for liandai audit (I5)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
