"""Institutions, people, keys, consents, the information room, facilities: who sees which row.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

TABLES = [
    """
    CREATE TABLE syndicate.institution (
      institution text PRIMARY KEY CHECK (institution ~ '^[a-z][a-z0-9_-]{1,39}$'),
      kind text NOT NULL,
      name text NOT NULL,
      name_en text NOT NULL,
      uscc text UNIQUE,
      salt bytea CHECK (length(salt) = 32),
      illustrative boolean NOT NULL,
      registered_at timestamptz NOT NULL,
      CHECK ((kind = 'borrower') = (salt IS NOT NULL)),
      CHECK (kind <> 'borrower' OR uscc IS NOT NULL)
    )""",
    """
    CREATE TABLE syndicate.person (
      person text PRIMARY KEY,
      institution text NOT NULL REFERENCES syndicate.institution,
      name text NOT NULL,
      roles text[] NOT NULL,
      registered_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.institution_key (
      key text PRIMARY KEY,
      institution text NOT NULL REFERENCES syndicate.institution,
      public_key bytea NOT NULL CHECK (length(public_key) = 32),
      registered_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.key_revocation (
      key text PRIMARY KEY REFERENCES syndicate.institution_key,
      revoked_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.capital (
      institution text NOT NULL REFERENCES syndicate.institution,
      as_of date NOT NULL,
      net_capital_minor bigint NOT NULL CHECK (net_capital_minor > 0),
      tier1_minor bigint NOT NULL CHECK (tier1_minor > 0),
      illustrative boolean NOT NULL,
      recorded_at timestamptz NOT NULL,
      PRIMARY KEY (institution, as_of)
    )""",
    """
    CREATE TABLE syndicate.consent (
      consent text PRIMARY KEY,
      borrower text NOT NULL REFERENCES syndicate.institution,
      subject text NOT NULL,
      recipient text NOT NULL REFERENCES syndicate.institution,
      purpose text NOT NULL,
      classes text[] NOT NULL CHECK (cardinality(classes) > 0),
      valid_from date NOT NULL,
      valid_until date NOT NULL CHECK (valid_until >= valid_from),
      version integer NOT NULL,
      signed jsonb NOT NULL,
      given_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.consent_withdrawal (
      consent text PRIMARY KEY REFERENCES syndicate.consent,
      signed jsonb NOT NULL,
      withdrawn_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.room_fact (
      fact text PRIMARY KEY,
      borrower text NOT NULL REFERENCES syndicate.institution,
      source text NOT NULL REFERENCES syndicate.institution,
      field_class text NOT NULL,
      data_class text NOT NULL CHECK (data_class IN ('public', 'internal', 'C2')),
      item text NOT NULL,
      value jsonb NOT NULL,
      unit text NOT NULL,
      as_of date NOT NULL,
      legal_basis text NOT NULL,
      confidence text NOT NULL,
      recorded_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE syndicate.room_access (
      access text PRIMARY KEY,
      borrower text NOT NULL,
      reader text NOT NULL,
      person text NOT NULL,
      purpose text NOT NULL,
      classes text[] NOT NULL,
      outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused')),
      consents text[] NOT NULL,
      reason text NOT NULL,
      business_day date NOT NULL,
      recorded_at timestamptz NOT NULL,
      CHECK ((outcome = 'allowed') = (cardinality(consents) > 0) OR reader = borrower)
    )""",
    """
    CREATE TABLE syndicate.facility (
      facility text PRIMARY KEY REFERENCES ledger.book,
      negotiation text REFERENCES ledger.book,
      borrower text NOT NULL REFERENCES syndicate.institution,
      lead text NOT NULL REFERENCES syndicate.institution,
      form text NOT NULL,
      currency text NOT NULL,
      total_minor bigint NOT NULL CHECK (total_minor > 0),
      signed_on date NOT NULL
    )""",
]

CONSENTED = f"""
CREATE FUNCTION syndicate.consented(p_borrower text, p_class text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, syndicate, ledger AS $$
  SELECT EXISTS (
    SELECT 1 FROM syndicate.consent c, ledger.business_day d
    WHERE c.borrower = p_borrower AND c.recipient = {ME} AND p_class = ANY (c.classes)
      AND d.open_day BETWEEN c.valid_from AND c.valid_until
      AND (p_class <> 'team' OR c.subject <> c.borrower)
      AND NOT EXISTS (
        SELECT 1 FROM syndicate.consent_withdrawal w WHERE w.consent = c.consent))
$$
"""

ACQUAINTED = f"""
CREATE FUNCTION syndicate.acquainted(p_borrower text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, syndicate, ledger AS $$
  SELECT EXISTS (
      SELECT 1 FROM ledger.participation theirs JOIN ledger.my_books() m USING (book_id)
      WHERE theirs.party = p_borrower)
    OR EXISTS (
      SELECT 1 FROM syndicate.consent c WHERE c.borrower = p_borrower AND c.recipient = {ME})
$$
"""
"""A firm is known to who shares a book with it and to whom it ever gave consent."""

IN_MY_BOOKS = "IN (SELECT m.book_id FROM ledger.my_books() m)"

SEES = {
    "institution": f"""kind <> 'borrower' OR institution = {ME}
        OR syndicate.acquainted(institution)""",
    "person": f"institution = {ME}",
    "institution_key": "true",
    "key_revocation": "true",
    "capital": f"institution = {ME}",
    "consent": f"borrower = {ME} OR recipient = {ME}",
    "consent_withdrawal": """EXISTS (SELECT 1 FROM syndicate.consent c
        WHERE c.consent = consent_withdrawal.consent)""",
    "room_fact": f"""source = {ME} OR borrower = {ME}
        OR syndicate.consented(borrower, field_class)""",
    "room_access": f"reader = {ME} OR borrower = {ME}",
    "facility": f"facility {IN_MY_BOOKS}",
}
"""What a member institution reads of each table."""

WRITES = {
    "capital": f"institution = {ME}",
    "consent": f"borrower = {ME}",
    "consent_withdrawal": f"""EXISTS (SELECT 1 FROM syndicate.consent c
        WHERE c.consent = consent_withdrawal.consent AND c.borrower = {ME})""",
    "room_fact": f"source = {ME}",
    "room_access": f"reader = {ME}",
}
"""What a member institution may add; everything else is added by the service."""

AUDITOR_READS = ("institution", "institution_key", "key_revocation", "facility", "room_access")
"""An auditor reads who read what, and never the borrower's own facts."""


def upgrade() -> None:
    """After the call the syndicate's tables stand, append-only and under row-level security."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT USAGE ON SCHEMA syndicate TO liandai_app, liandai_auditor, liandai_service")
    op.execute("GRANT USAGE ON SCHEMA syndicate TO liandai_ledger")
    for statement in TABLES:
        op.execute(statement)
    op.execute("GRANT CREATE ON SCHEMA syndicate TO liandai_ledger")
    op.execute("GRANT SELECT ON syndicate.consent, syndicate.consent_withdrawal TO liandai_ledger")
    for signature, body in (("consented(text, text)", CONSENTED), ("acquainted(text)", ACQUAINTED)):
        op.execute(body)
        op.execute(f"ALTER FUNCTION syndicate.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION syndicate.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION syndicate.{signature} TO liandai_app")
    op.execute("REVOKE CREATE ON SCHEMA syndicate FROM liandai_ledger")
    for table, sees in SEES.items():
        op.execute(f"ALTER TABLE syndicate.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE syndicate.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY member ON syndicate.{table} FOR SELECT TO liandai_app USING ({sees})"
        )
        op.execute(
            f"CREATE POLICY service ON syndicate.{table} TO liandai_service "
            "USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT ON syndicate.{table} TO liandai_app")
        op.execute(f"GRANT SELECT, INSERT ON syndicate.{table} TO liandai_service")
        op.execute(
            f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON syndicate.{table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON syndicate.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    for table in ("consent", "consent_withdrawal"):
        op.execute(f"CREATE POLICY judge ON syndicate.{table} TO liandai_ledger USING (true)")
    for table, adds in WRITES.items():
        op.execute(
            f"CREATE POLICY member_adds ON syndicate.{table} FOR INSERT TO liandai_app "
            f"WITH CHECK ({adds})"
        )
        op.execute(f"GRANT INSERT ON syndicate.{table} TO liandai_app")
    for table in AUDITOR_READS:
        op.execute(
            f"CREATE POLICY auditor ON syndicate.{table} FOR SELECT TO liandai_auditor USING (true)"
        )
        op.execute(f"GRANT SELECT ON syndicate.{table} TO liandai_auditor")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
