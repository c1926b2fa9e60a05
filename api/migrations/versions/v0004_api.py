"""The installation, bearer tokens and the answers already given (idempotency keys, for ever).

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ME = "nullif(current_setting('app.institution', true), '')"

TABLES = [
    """
    CREATE TABLE api.installation (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9.-]{1,79}$'),
      purpose text NOT NULL CHECK (purpose IN ('demo', 'production')),
      log_key text NOT NULL,
      founded_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE api.token (
      token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
      person text NOT NULL REFERENCES syndicate.person,
      expires_at timestamptz NOT NULL,
      issued_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE api.token_revocation (
      token_hash bytea PRIMARY KEY REFERENCES api.token,
      revoked_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE api.answer (
      institution text NOT NULL,
      key text NOT NULL,
      request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
      status smallint NOT NULL,
      media_type text NOT NULL,
      body bytea NOT NULL,
      answered_at timestamptz NOT NULL,
      PRIMARY KEY (institution, key)
    )""",
]

WHO_BEARS = """
CREATE FUNCTION api.who_bears(p_token_hash bytea)
RETURNS TABLE (person text, institution text, kind text, roles text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, api, syndicate AS $$
  SELECT p.person, p.institution, i.kind, p.roles
  FROM api.token t
    JOIN syndicate.person p ON p.person = t.person
    JOIN syndicate.institution i ON i.institution = p.institution
  WHERE t.token_hash = p_token_hash AND t.expires_at > clock_timestamp()
    AND NOT EXISTS (SELECT 1 FROM api.token_revocation r WHERE r.token_hash = t.token_hash)
$$
"""

CLAIM = """
CREATE FUNCTION api.claim(p_institution text, p_keys text[])
RETURNS TABLE (key text, free boolean, request_hash bytea, status smallint, media_type text,
  body bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, api AS $$
DECLARE v_free boolean[];
BEGIN
  SELECT array_agg(pg_try_advisory_xact_lock(
      hashtextextended(p_institution || chr(31) || k.name, 7310577)) ORDER BY k.nth)
    INTO v_free FROM unnest(p_keys) WITH ORDINALITY AS k(name, nth);
  -- In a statement of its own, begun after the locks were taken: it sees what whoever held a key
  -- before us has committed.
  RETURN QUERY SELECT k.name, k.free, a.request_hash, a.status, a.media_type, a.body
    FROM unnest(p_keys, v_free) AS k(name, free)
      LEFT JOIN api.answer a ON a.institution = p_institution AND a.key = k.name;
END $$
"""


def upgrade() -> None:
    """After the call a token can be looked up by its hash, and by nothing else."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT USAGE ON SCHEMA api TO liandai_app, liandai_auditor, liandai_service")
    op.execute("GRANT USAGE, CREATE ON SCHEMA api TO liandai_ledger")
    for statement in TABLES:
        op.execute(statement)
    for table in ("installation", "token", "token_revocation", "answer"):
        op.execute(f"ALTER TABLE api.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE api.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY service ON api.{table} TO liandai_service "
            "USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT, INSERT ON api.{table} TO liandai_service")
        op.execute(
            f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON api.{table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON api.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    op.execute(
        "CREATE POLICY everyone ON api.installation FOR SELECT "
        "TO liandai_app, liandai_auditor USING (true)"
    )
    op.execute("GRANT SELECT ON api.installation TO liandai_app, liandai_auditor")
    op.execute(
        f"CREATE POLICY own ON api.answer FOR SELECT TO liandai_app USING (institution = {ME})"
    )
    op.execute(
        f"CREATE POLICY own_adds ON api.answer FOR INSERT TO liandai_app "
        f"WITH CHECK (institution = {ME})"
    )
    op.execute("GRANT SELECT, INSERT ON api.answer TO liandai_app")
    for table in ("api.token", "api.token_revocation", "syndicate.person", "syndicate.institution"):
        op.execute(f"CREATE POLICY bearer ON {table} FOR SELECT TO liandai_ledger USING (true)")
        op.execute(f"GRANT SELECT ON {table} TO liandai_ledger")
    op.execute(WHO_BEARS)
    op.execute("ALTER FUNCTION api.who_bears(bytea) OWNER TO liandai_ledger")
    op.execute("REVOKE ALL ON FUNCTION api.who_bears(bytea) FROM PUBLIC")
    op.execute(
        "GRANT EXECUTE ON FUNCTION api.who_bears(bytea) "
        "TO liandai_app, liandai_auditor, liandai_service"
    )
    op.execute(CLAIM)
    op.execute("REVOKE ALL ON FUNCTION api.claim(text, text[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION api.claim(text, text[]) TO liandai_app, liandai_service")
    op.execute("REVOKE CREATE ON SCHEMA api FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
