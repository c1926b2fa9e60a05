"""Negotiations and their quotes: a quote is its bank's, and the lead's of that negotiation.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

TABLES = [
    """
    CREATE TABLE negotiation.deal (
      deal text PRIMARY KEY REFERENCES ledger.book,
      borrower text NOT NULL REFERENCES syndicate.institution,
      lead text NOT NULL REFERENCES syndicate.institution,
      project text NOT NULL,
      opened_on date NOT NULL,
      mandate_until date NOT NULL
    )""",
    """
    CREATE TABLE negotiation.quote (
      deal text NOT NULL REFERENCES negotiation.deal,
      bank text NOT NULL REFERENCES syndicate.institution,
      book integer NOT NULL CHECK (book >= 1),
      version integer NOT NULL CHECK (version >= 1),
      quote jsonb,
      salt bytea NOT NULL CHECK (length(salt) = 32),
      placed_at timestamptz NOT NULL,
      PRIMARY KEY (deal, bank, book, version)
    )""",
]

SEES = {
    "deal": "deal IN (SELECT m.book_id FROM ledger.my_books() m)",
    "quote": f"""bank = {ME} OR EXISTS (
        SELECT 1 FROM negotiation.deal d WHERE d.deal = quote.deal AND d.lead = {ME})""",
}

WRITES = {"deal": f"lead = {ME}", "quote": f"bank = {ME}"}


def upgrade() -> None:
    """After the call the negotiation's tables stand, append-only and under row-level security."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT USAGE ON SCHEMA negotiation TO liandai_app, liandai_auditor, liandai_service")
    for statement in TABLES:
        op.execute(statement)
    for table, sees in SEES.items():
        op.execute(f"ALTER TABLE negotiation.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE negotiation.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY member ON negotiation.{table} FOR SELECT TO liandai_app USING ({sees})"
        )
        op.execute(
            f"CREATE POLICY member_adds ON negotiation.{table} FOR INSERT TO liandai_app "
            f"WITH CHECK ({WRITES[table]})"
        )
        op.execute(
            f"CREATE POLICY service ON negotiation.{table} TO liandai_service "
            "USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT, INSERT ON negotiation.{table} TO liandai_app, liandai_service")
        op.execute(
            f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON negotiation.{table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON negotiation.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    op.execute(
        "CREATE POLICY auditor ON negotiation.deal FOR SELECT TO liandai_auditor USING (true)"
    )
    op.execute("GRANT SELECT ON negotiation.deal TO liandai_auditor")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
