"""Time-stamps of third parties (RFC 3161) under published heads; none is there until one is put in.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME_STAMP = """
CREATE TABLE ledger.time_stamp (
  book_id text NOT NULL,
  size bigint NOT NULL,
  authority text NOT NULL CHECK (authority ~ '^[a-z][a-z0-9-]{1,39}$'),
  stamped_at timestamptz NOT NULL,
  response bytea NOT NULL CHECK (length(response) <= 65536),
  certificate bytea NOT NULL CHECK (length(certificate) <= 65536),
  received_at timestamptz NOT NULL,
  PRIMARY KEY (book_id, size, authority),
  FOREIGN KEY (book_id, size) REFERENCES ledger.checkpoint
)
"""
SEES = "book_id = 'top' OR book_id IN (SELECT m.book_id FROM ledger.my_books() m)"
"""A member sees the stamps under the heads that it sees."""


def upgrade() -> None:
    """After the call stamps can be kept under heads, by the service alone, and never changed."""
    table = "ledger.time_stamp"
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute(TIME_STAMP)
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY service ON {table} TO liandai_service USING (true)")
    op.execute(f"CREATE POLICY member ON {table} FOR SELECT TO liandai_app USING ({SEES})")
    op.execute(f"CREATE POLICY auditor ON {table} FOR SELECT TO liandai_auditor USING (true)")
    op.execute(f"GRANT SELECT ON {table} TO liandai_app, liandai_auditor, liandai_service")
    op.execute(f"GRANT INSERT ON {table} TO liandai_service")
    op.execute(
        f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
    )
    op.execute(
        f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
    )
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
