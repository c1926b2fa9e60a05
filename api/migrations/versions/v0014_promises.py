"""A kept answer keeps the promises it was given with, so that a repeat carries the same ones.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CLAIM = """
CREATE FUNCTION api.claim(p_institution text, p_keys text[])
RETURNS TABLE (key text, free boolean, request_hash bytea, status smallint, media_type text,
  body bytea, promise text)
LANGUAGE plpgsql SET search_path = pg_catalog, api AS $$
DECLARE v_free boolean[];
BEGIN
  SELECT array_agg(pg_try_advisory_xact_lock(
      hashtextextended(p_institution || chr(31) || k.name, 7310577)) ORDER BY k.nth)
    INTO v_free FROM unnest(p_keys) WITH ORDINALITY AS k(name, nth);
  -- In a statement of its own, begun after the locks were taken: it sees what whoever held a key
  -- before us has committed.
  RETURN QUERY SELECT k.name, k.free, a.request_hash, a.status, a.media_type, a.body, a.promise
    FROM unnest(p_keys, v_free) AS k(name, free)
      LEFT JOIN api.answer a ON a.institution = p_institution AND a.key = k.name;
END $$
"""


def upgrade() -> None:
    """After the call an answer has its promises beside its bytes; those given before have none."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("ALTER TABLE api.answer ADD COLUMN promise text")
    op.execute("DROP FUNCTION api.claim(text, text[])")
    op.execute(CLAIM)
    op.execute("REVOKE ALL ON FUNCTION api.claim(text, text[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION api.claim(text, text[]) TO liandai_app, liandai_service")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
