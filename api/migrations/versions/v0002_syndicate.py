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
MY_PURPOSE = "nullif(current_setting('app.purpose', true), '')"
"""Which purpose a read names; who names none reads no facts but those about itself."""

FIELD_CLASSES = "'{financials,intellectual_property,orders,tax,credit,team}'::text[]"

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
    f"""
    CREATE TABLE syndicate.consent (
      borrower text NOT NULL REFERENCES syndicate.institution,
      consent text NOT NULL,
      person text,
      recipient text NOT NULL REFERENCES syndicate.institution CHECK (recipient <> borrower),
      purpose text NOT NULL,
      classes text[] NOT NULL CHECK (cardinality(classes) > 0 AND classes <@ {FIELD_CLASSES}),
      valid_from date NOT NULL,
      valid_until date NOT NULL CHECK (valid_until >= valid_from),
      version integer NOT NULL CHECK (version >= 1),
      evidence text,
      signed jsonb NOT NULL,
      given_at timestamptz NOT NULL,
      PRIMARY KEY (borrower, consent),
      CHECK ((person IS NULL) = (evidence IS NULL)),
      CHECK (CASE WHEN person IS NULL THEN 'team' <> ALL (classes) ELSE classes = '{{team}}' END)
    )""",
    """
    CREATE UNIQUE INDEX consent_version ON syndicate.consent
      (borrower, recipient, purpose, coalesce(person, ''), version)""",
    """
    CREATE TABLE syndicate.consent_withdrawal (
      borrower text NOT NULL,
      consent text NOT NULL,
      signed jsonb NOT NULL,
      withdrawn_at timestamptz NOT NULL,
      PRIMARY KEY (borrower, consent),
      FOREIGN KEY (borrower, consent) REFERENCES syndicate.consent
    )""",
    f"""
    CREATE TABLE syndicate.room_fact (
      fact text PRIMARY KEY,
      room text NOT NULL,
      borrower text NOT NULL REFERENCES syndicate.institution,
      item text NOT NULL,
      field_class text NOT NULL CHECK (field_class = ANY ({FIELD_CLASSES})),
      data_class text NOT NULL CHECK (data_class IN ('public', 'internal', 'C2')),
      person text,
      value jsonb NOT NULL CHECK (jsonb_typeof(value) IN ('boolean', 'number', 'string')),
      unit text NOT NULL,
      source text NOT NULL REFERENCES syndicate.institution,
      legal_basis text NOT NULL,
      as_of date NOT NULL,
      confidence text NOT NULL,
      assessment text CHECK (assessment <> ''),
      salt bytea NOT NULL CHECK (length(salt) = 32),
      recorded_at timestamptz NOT NULL,
      CHECK (data_class <> 'C2' OR assessment IS NOT NULL),
      CHECK ((field_class = 'team') = (person IS NOT NULL))
    )""",
    "CREATE INDEX room_fact_by_room ON syndicate.room_fact (borrower, room)",
    """
    CREATE TABLE syndicate.room_access (
      access text PRIMARY KEY,
      room text NOT NULL,
      borrower text NOT NULL,
      reader text NOT NULL,
      person text NOT NULL,
      purpose text NOT NULL,
      classes text[] NOT NULL,
      outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused')),
      consents text[] NOT NULL,
      missing text[] NOT NULL,
      facts text[] NOT NULL,
      business_day date NOT NULL,
      recorded_at timestamptz NOT NULL,
      CHECK ((outcome = 'allowed') = (cardinality(consents) > 0) OR reader = borrower),
      CHECK ((outcome = 'refused') = (cardinality(missing) > 0)),
      CHECK (outcome = 'allowed' OR cardinality(facts) = 0)
    )""",
    "CREATE INDEX room_access_by_time ON syndicate.room_access (borrower, recorded_at, access)",
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
CREATE FUNCTION syndicate.consented(p_borrower text, p_room text, p_class text, p_person text)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, syndicate, ledger AS $$
  SELECT EXISTS (
    SELECT 1 FROM syndicate.consent c, ledger.business_day d
    WHERE c.borrower = p_borrower AND c.recipient = {ME} AND c.purpose = {MY_PURPOSE}
      AND split_part(c.purpose, ':', 1) = p_room
      AND p_class = ANY (c.classes) AND c.person IS NOT DISTINCT FROM p_person
      AND d.open_day BETWEEN c.valid_from AND c.valid_until
      AND NOT EXISTS (
        SELECT 1 FROM syndicate.consent n
        WHERE n.borrower = c.borrower AND n.recipient = c.recipient AND n.purpose = c.purpose
          AND n.person IS NOT DISTINCT FROM c.person AND n.version > c.version)
      AND NOT EXISTS (
        SELECT 1 FROM syndicate.consent_withdrawal w
        WHERE w.borrower = c.borrower AND w.consent = c.consent))
$$
"""
"""The rule of `syndicate.disclosure.consent.live`, once more: the latest version, not taken back,
for this reader, purpose, room, class and person, on the open business day."""

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
        WHERE c.borrower = consent_withdrawal.borrower
          AND c.consent = consent_withdrawal.consent)""",
    "room_fact": f"""borrower = {ME}
        OR syndicate.consented(borrower, room, field_class, person)""",
    "room_access": f"reader = {ME} OR borrower = {ME}",
    "facility": f"facility {IN_MY_BOOKS}",
}
"""What a member institution reads of each table."""

WRITES = {
    "capital": f"institution = {ME}",
    "room_access": f"reader = {ME}",
}
"""What a member institution may add; everything else is added by the service."""

IN_THE_NAME_OF = {
    "consent": "borrower",
    "consent_withdrawal": "borrower",
    "room_fact": "source",
}
"""Rows that never stand without their leaf in the registry, which the service alone writes: even
the service adds them only in the name of the institution its transaction speaks for."""

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
    for signature, body in (
        ("consented(text, text, text, text)", CONSENTED),
        ("acquainted(text)", ACQUAINTED),
    ):
        op.execute(body)
        op.execute(f"ALTER FUNCTION syndicate.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION syndicate.{signature} FROM PUBLIC")
        op.execute(
            f"GRANT EXECUTE ON FUNCTION syndicate.{signature} TO liandai_app, liandai_service"
        )
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
    for table, name in IN_THE_NAME_OF.items():
        op.execute(
            f"CREATE POLICY own_name ON syndicate.{table} AS RESTRICTIVE FOR INSERT "
            f"TO liandai_service WITH CHECK ({name} = {ME})"
        )
    for table in AUDITOR_READS:
        op.execute(
            f"CREATE POLICY auditor ON syndicate.{table} FOR SELECT TO liandai_auditor USING (true)"
        )
        op.execute(f"GRANT SELECT ON syndicate.{table} TO liandai_auditor")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
