"""A member may see how the top log names its own book's heads: the last step of a receipt.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

HEAD_LEAF = """
-- The leaf of the top log that commits to a book's published head: for who takes part in the book.
CREATE FUNCTION ledger.head_leaf(p_book text, p_size bigint)
RETURNS TABLE ("position" bigint, bytes bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT l.position, l.bytes FROM ledger.leaf l
  WHERE l.book_id = 'top' AND l.leaf_id = 'head:' || p_book || ':' || p_size AND l.kind = 'head'
    AND CASE current_setting('role')
      WHEN 'liandai_service' THEN true
      WHEN 'liandai_auditor' THEN true
      WHEN 'liandai_app' THEN p_book IN (SELECT m.book_id FROM ledger.my_books() m)
      ELSE false END
$$
"""
SIGNATURE = "ledger.head_leaf(text, bigint)"


def upgrade() -> None:
    """After the call `ledger.head_leaf` answers members of a book, auditors and the service."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    op.execute(HEAD_LEAF)
    op.execute(f"ALTER FUNCTION {SIGNATURE} OWNER TO liandai_ledger")
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")
    op.execute(
        f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO liandai_app, liandai_auditor, liandai_service"
    )
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
