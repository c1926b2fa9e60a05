"""Statements of banks, what they came to, how breaks were settled: who sees which row.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

OF_RECONCILIATION = """
      book_id text NOT NULL,
      reconciliation text NOT NULL,
      bank text NOT NULL,
      FOREIGN KEY (book_id, reconciliation, bank)
        REFERENCES syndicate.reconciliation (book_id, reconciliation, bank)"""

TABLES = [
    """
    CREATE TABLE syndicate.account_mapping (
      bank text NOT NULL REFERENCES syndicate.institution,
      version integer NOT NULL CHECK (version >= 1),
      valid_from date NOT NULL,
      codes jsonb NOT NULL,
      made_by text NOT NULL,
      recorded_at timestamptz NOT NULL,
      PRIMARY KEY (bank, version)
    )""",
    """
    CREATE TABLE syndicate.reconciliation (
      book_id text NOT NULL REFERENCES ledger.book,
      reconciliation text NOT NULL,
      bank text NOT NULL REFERENCES syndicate.institution,
      since date NOT NULL CHECK (since <= on_day),
      on_day date NOT NULL,
      known_size bigint NOT NULL CHECK (known_size >= 0),
      version integer NOT NULL CHECK (version >= 1),
      matched integer NOT NULL CHECK (matched >= 0),
      breaks jsonb NOT NULL,
      submitted_by text NOT NULL,
      submitted_at timestamptz NOT NULL,
      PRIMARY KEY (book_id, reconciliation),
      UNIQUE (book_id, reconciliation, bank),
      UNIQUE (book_id, bank, on_day, version)
    )""",
    f"""
    CREATE TABLE syndicate.reconciliation_outcome ({OF_RECONCILIATION},
      statement_sha256 text NOT NULL CHECK (statement_sha256 ~ '^[0-9a-f]{{64}}$'),
      document bytea NOT NULL,
      salt bytea NOT NULL CHECK (length(salt) = 32),
      PRIMARY KEY (book_id, reconciliation)
    )""",
    f"""
    CREATE TABLE syndicate.break_step ({OF_RECONCILIATION},
      step integer NOT NULL CHECK (step >= 1),
      number integer NOT NULL CHECK (number >= 1),
      status text NOT NULL CHECK (status IN ('attested', 'noted', 'disputed')),
      reason text NOT NULL,
      document_sha256 text NOT NULL CHECK (document_sha256 ~ '^([0-9a-f]{{64}})?$'),
      maker text NOT NULL,
      checker text CHECK (checker <> maker),
      business_day date NOT NULL,
      recorded_at timestamptz NOT NULL,
      PRIMARY KEY (book_id, reconciliation, step),
      CHECK (status = 'attested' OR (reason <> '' AND document_sha256 <> ''))
    )""",
    f"""
    CREATE TABLE syndicate.reconciliation_attestation ({OF_RECONCILIATION},
      position bigint NOT NULL CHECK (position >= 0),
      attested_by text NOT NULL,
      attested_at timestamptz NOT NULL,
      PRIMARY KEY (book_id, reconciliation)
    )""",
]

LEADS = f"""EXISTS (SELECT 1 FROM syndicate.facility f
        WHERE f.facility = {{table}}.book_id AND f.lead = {ME})"""
"""The lead of a facility sees how many lines of its banks match, and who signed; no line."""

SEES = {
    "account_mapping": f"bank = {ME}",
    "reconciliation": f"bank = {ME} OR {LEADS.format(table='reconciliation')}",
    "reconciliation_outcome": f"bank = {ME}",
    "break_step": f"bank = {ME}",
    "reconciliation_attestation": (
        f"bank = {ME} OR {LEADS.format(table='reconciliation_attestation')}"
    ),
}
"""What a member institution reads of each table."""

ADDS = {
    "account_mapping": f"bank = {ME}",
    "reconciliation": f"bank = {ME} AND book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "reconciliation_outcome": f"bank = {ME}",
    "break_step": f"bank = {ME}",
    "reconciliation_attestation": f"bank = {ME}",
}
"""What a member institution may add: rows in its own name, about its own statements."""


def upgrade() -> None:
    """After the call banks' statements can be kept, append-only, each bank's for itself."""
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in TABLES:
        op.execute(statement)
    for table, sees in SEES.items():
        name = f"syndicate.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY member ON {name} FOR SELECT TO liandai_app USING ({sees})")
        op.execute(
            f"CREATE POLICY member_adds ON {name} FOR INSERT TO liandai_app "
            f"WITH CHECK ({ADDS[table]})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {name} TO liandai_app")
        op.execute(f"CREATE POLICY auditor ON {name} FOR SELECT TO liandai_auditor USING (true)")
        op.execute(f"GRANT SELECT ON {name} TO liandai_auditor")
        op.execute(f"CREATE POLICY service ON {name} FOR SELECT TO liandai_service USING (true)")
        op.execute(f"GRANT SELECT ON {name} TO liandai_service")
        op.execute(
            f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON {name} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON {name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
