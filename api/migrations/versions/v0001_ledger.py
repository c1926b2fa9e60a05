"""Roles, and the ledger: books, leaves, accounts, entries, heads. Forced row-level security.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = """
DO $$
DECLARE
  name text;
  -- Since PostgreSQL 16 whoever makes a role may grant it, and may not yet become it.
  may_become text := CASE WHEN current_setting('server_version_num')::int >= 160000
    THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'liandai_owner', 'liandai_ledger', 'liandai_app', 'liandai_auditor', 'liandai_service'
  ] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- another installation on this server made it at the same moment
      END;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT pg_has_role(current_user, name, may_become) THEN
      EXECUTE format('GRANT %I TO %I', name, current_user);
    END IF;
  END LOOP;
END $$
"""

MEMBERSHIP = """
DO $$
BEGIN
  IF NOT pg_has_role('liandai_owner', 'liandai_ledger', 'MEMBER') THEN
    GRANT liandai_ledger TO liandai_owner;
  END IF;
END $$
"""

SCHEMAS = """
DO $$
BEGIN
  CREATE SCHEMA ledger AUTHORIZATION liandai_owner;
  CREATE SCHEMA syndicate AUTHORIZATION liandai_owner;
  CREATE SCHEMA negotiation AUTHORIZATION liandai_owner;
  CREATE SCHEMA api AUTHORIZATION liandai_owner;
END $$
"""

TABLES = [
    """
    CREATE TABLE ledger.business_day (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      open_day date NOT NULL
    )""",
    """
    CREATE TABLE ledger.book (
      book_id text PRIMARY KEY CHECK (book_id ~ '^[a-z0-9][a-z0-9._-]{0,79}$'),
      purpose text NOT NULL
        CHECK (purpose IN ('facility', 'negotiation', 'house', 'registry', 'top')),
      open_day date NOT NULL,
      size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
      accounts integer NOT NULL DEFAULT 0 CHECK (accounts >= 0)
    )""",
    """
    CREATE TABLE ledger.salt (
      book_id text PRIMARY KEY REFERENCES ledger.book,
      salt bytea NOT NULL CHECK (length(salt) = 32)
    )""",
    """
    CREATE TABLE ledger.participation (
      book_id text NOT NULL REFERENCES ledger.book,
      party text NOT NULL,
      part text NOT NULL CHECK (part IN ('lead', 'member')),
      until_position bigint,
      PRIMARY KEY (book_id, party)
    )""",
    """
    CREATE TABLE ledger.leaf (
      book_id text NOT NULL REFERENCES ledger.book,
      position bigint NOT NULL CHECK (position >= 0),
      leaf_id text NOT NULL,
      kind text NOT NULL,
      subject jsonb NOT NULL,
      actor jsonb NOT NULL,
      corrects text,
      value_date date NOT NULL,
      booking_date date NOT NULL,
      recorded_at timestamptz NOT NULL,
      bytes bytea NOT NULL,
      hash bytea NOT NULL CHECK (length(hash) = 32),
      PRIMARY KEY (book_id, position),
      UNIQUE (book_id, leaf_id)
    )""",
    """
    CREATE TABLE ledger.account (
      book_id text NOT NULL REFERENCES ledger.book,
      account_no integer NOT NULL,
      party text NOT NULL,
      code text NOT NULL,
      counterparty text NOT NULL,
      ref text NOT NULL,
      currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
      balance_minor bigint NOT NULL DEFAULT 0,
      PRIMARY KEY (book_id, account_no),
      UNIQUE (book_id, party, code, counterparty, ref, currency)
    )""",
    """
    CREATE TABLE ledger.entry (
      book_id text NOT NULL,
      position bigint NOT NULL,
      line smallint NOT NULL,
      account_no integer NOT NULL,
      party text NOT NULL,
      amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
      balance_after_minor bigint NOT NULL,
      value_date date NOT NULL,
      booking_date date NOT NULL,
      PRIMARY KEY (book_id, position, line)
    )""",
    "CREATE INDEX entry_by_account ON ledger.entry (book_id, account_no, position)",
    """
    CREATE TABLE ledger.head (
      book_id text PRIMARY KEY REFERENCES ledger.book,
      size bigint NOT NULL,
      root bytea NOT NULL,
      frontier bytea[] NOT NULL
    )""",
    """
    CREATE TABLE ledger.subtree (
      book_id text NOT NULL REFERENCES ledger.book,
      level smallint NOT NULL,
      index bigint NOT NULL,
      hash bytea NOT NULL CHECK (length(hash) = 32),
      PRIMARY KEY (book_id, level, index)
    )""",
    """
    CREATE TABLE ledger.checkpoint (
      book_id text NOT NULL REFERENCES ledger.book,
      size bigint NOT NULL,
      root bytea NOT NULL,
      note text NOT NULL,
      published_at timestamptz NOT NULL,
      PRIMARY KEY (book_id, size)
    )""",
    """
    CREATE TABLE ledger.cosignature (
      book_id text NOT NULL,
      size bigint NOT NULL,
      witness text NOT NULL,
      line text NOT NULL,
      received_at timestamptz NOT NULL,
      PRIMARY KEY (book_id, size, witness),
      FOREIGN KEY (book_id, size) REFERENCES ledger.checkpoint
    )""",
]

APPEND_ONLY = ["leaf", "entry", "subtree", "checkpoint", "cosignature", "salt"]
"""Tables whose rows are never updated or deleted, by anyone (I4)."""

NEVER_DELETED = ["book", "account", "head", "participation", "business_day"]

FORBID = """
CREATE FUNCTION ledger.forbid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %.% is forbidden: what is recorded stays',
    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'LD001';
END $$
"""

MY_BOOKS = """
CREATE FUNCTION ledger.my_books() RETURNS TABLE (book_id text, until_position bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT p.book_id, p.until_position FROM ledger.participation p
  WHERE p.party = nullif(current_setting('app.institution', true), '')
$$
"""

POLICIES = {
    "business_day": "true",
    "book": "book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "participation": "book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "leaf": """EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = leaf.book_id
                 AND (m.until_position IS NULL OR leaf.position < m.until_position))""",
    "account": """party = nullif(current_setting('app.institution', true), '')
                  AND book_id IN (SELECT m.book_id FROM ledger.my_books() m)""",
    "entry": """party = nullif(current_setting('app.institution', true), '')
                AND EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = entry.book_id
                  AND (m.until_position IS NULL OR entry.position < m.until_position))""",
    "head": "book_id = 'top' OR book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "subtree": "book_id = 'top' OR book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "checkpoint": "book_id = 'top' OR book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
    "cosignature": "book_id = 'top' OR book_id IN (SELECT m.book_id FROM ledger.my_books() m)",
}
"""What a member institution sees of each table; `salt` is not among them."""

LEAF_COLUMNS = (
    "book_id, position, leaf_id, kind, subject, actor, corrects, value_date, booking_date, "
    "recorded_at, hash"
)
"""A member reads the facts of its books, not the verbatim bytes, which hold everyone's entries."""

MAY_WRITE = """
CREATE FUNCTION ledger.may_write(p_book text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT CASE current_setting('role')
    WHEN 'liandai_service' THEN true
    WHEN 'liandai_app' THEN EXISTS (
      SELECT 1 FROM ledger.my_books() m WHERE m.book_id = p_book AND m.until_position IS NULL)
    ELSE false END
$$
"""

OPEN_BOOK = """
CREATE FUNCTION ledger.open_book(p_book text, p_purpose text, p_lead text, p_salt bytea)
RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
DECLARE
  v_day date;
  v_asker text := coalesce(current_setting('app.institution', true), '');
  v_own boolean := current_setting('role') = 'liandai_app' AND v_asker <> ''
    AND p_lead IS NOT DISTINCT FROM v_asker;
BEGIN
  IF p_purpose = 'house' OR starts_with(p_book, 'own-') THEN
    IF NOT (v_own AND p_purpose = 'house' AND starts_with(p_book, 'own-' || v_asker || '-')) THEN
      RAISE EXCEPTION 'own-<institution>-... is a house book, opened by the institution'
        USING ERRCODE = 'LD403';
    END IF;
  ELSIF current_setting('role') <> 'liandai_service'
        AND NOT (v_own AND p_purpose = 'negotiation') THEN
    RAISE EXCEPTION 'only the service opens a % book', p_purpose USING ERRCODE = 'LD403';
  END IF;
  SELECT open_day INTO v_day FROM ledger.business_day FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no business day is open' USING ERRCODE = 'LD409';
  END IF;
  INSERT INTO ledger.book (book_id, purpose, open_day) VALUES (p_book, p_purpose, v_day);
  INSERT INTO ledger.salt VALUES (p_book, p_salt);
  IF p_lead IS NOT NULL THEN
    INSERT INTO ledger.participation (book_id, party, part) VALUES (p_book, p_lead, 'lead');
  END IF;
  RETURN v_day;
END $$
"""

ADMIT = """
CREATE FUNCTION ledger.admit(p_book text, p_party text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
BEGIN
  IF current_setting('role') <> 'liandai_service' AND NOT EXISTS (
       SELECT 1 FROM ledger.participation p WHERE p.book_id = p_book AND p.part = 'lead'
       AND p.party = nullif(current_setting('app.institution', true), '')) THEN
    RAISE EXCEPTION 'only the lead admits to book %', p_book USING ERRCODE = 'LD403';
  END IF;
  IF EXISTS (SELECT 1 FROM ledger.book b WHERE b.book_id = p_book AND b.purpose = 'house') THEN
    RAISE EXCEPTION 'nobody is admitted to a house book' USING ERRCODE = 'LD403';
  END IF;
  INSERT INTO ledger.participation (book_id, party, part) VALUES (p_book, p_party, 'member')
  ON CONFLICT (book_id, party) DO NOTHING;
END $$
"""

HOLD = """
CREATE FUNCTION ledger.hold(p_book text) RETURNS TABLE (open_day date, size bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
#variable_conflict use_column
BEGIN
  IF NOT ledger.may_write(p_book) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  RETURN QUERY SELECT b.open_day, b.size FROM ledger.book b WHERE b.book_id = p_book
    FOR NO KEY UPDATE;
END $$
"""

APPEND = """
-- Every query in it finds its rows by key, whatever the tables' size. One plan a session, without
-- scans, therefore serves for ever; planning each anew would take as long as the work itself.
CREATE FUNCTION ledger.append(p_book text, p_leaves bytea[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_size bigint;
  v_day date;
  v_purpose text;
  v_accounts integer;
  v_added integer;
  v_docs jsonb[];
  v_bad text;
BEGIN
  -- All refusals come first; from the first INSERT on, only a duplicate leaf id can still fail.
  IF NOT ledger.may_write(p_book) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  SELECT b.size, b.open_day, b.purpose, b.accounts INTO v_size, v_day, v_purpose, v_accounts
    FROM ledger.book b WHERE b.book_id = p_book FOR NO KEY UPDATE;
  SELECT array_agg(convert_from(raw, 'UTF8')::jsonb ORDER BY ord) INTO v_docs
    FROM unnest(p_leaves) WITH ORDINALITY AS u(raw, ord);

  SELECT doc->>'id' INTO v_bad FROM unnest(v_docs) AS doc
    WHERE doc->>'book' IS DISTINCT FROM p_book OR (doc->>'v')::int IS DISTINCT FROM 1
       OR (doc->>'kind' <> 'transaction') <> (jsonb_array_length(doc->'entries') = 0) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'leaf % is not of book %', v_bad, p_book USING ERRCODE = 'LD422';
  END IF;
  SELECT doc->>'booking_date' INTO v_bad FROM unnest(v_docs) AS doc
    WHERE (doc->>'booking_date')::date IS DISTINCT FROM v_day LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'booking date % is not the open day %', v_bad, v_day USING ERRCODE = 'LD410';
  END IF;
  SELECT doc->>'recorded_at' INTO v_bad FROM unnest(v_docs) AS doc
    WHERE (doc->>'recorded_at')::timestamptz NOT BETWEEN
      clock_timestamp() - interval '5 minutes' AND clock_timestamp() + interval '5 minutes' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'recorded_at % is not the server''s clock', v_bad USING ERRCODE = 'LD422';
  END IF;
  SELECT doc->>'corrects' INTO v_bad FROM unnest(v_docs) AS doc
    WHERE doc->>'corrects' IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM ledger.leaf l WHERE l.book_id = p_book AND l.leaf_id = doc->>'corrects')
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'corrects an unknown leaf %', v_bad USING ERRCODE = 'LD422';
  END IF;
  WITH lines AS (
    SELECT ord, e.party, e.code, e.counterparty, e.ref, e.currency, e.amount_minor
    FROM unnest(v_docs) WITH ORDINALITY AS u(doc, ord),
      jsonb_to_recordset(doc->'entries') AS e(party text, code text, counterparty text, ref text,
        currency text, amount_minor bigint))
  SELECT bad INTO v_bad FROM (
    SELECT party || ' in ' || currency AS bad FROM lines
      GROUP BY ord, party, currency HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT code || ' of ' || least(party, counterparty) AS bad FROM lines WHERE code LIKE 'due.%'
      GROUP BY ord, code, ref, currency, least(party, counterparty), greatest(party, counterparty)
      HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT code || ' of ' || party FROM lines
      WHERE (code LIKE 'due.%') <> (counterparty <> '') OR party = counterparty) AS x LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entries do not balance: %', v_bad USING ERRCODE = 'LD422';
  END IF;
  IF v_purpose = 'house' THEN  -- one party takes part, and no other has accounts there
    SELECT e.party INTO v_bad
      FROM unnest(v_docs) AS doc, jsonb_to_recordset(doc->'entries') AS e(party text)
      WHERE NOT EXISTS (SELECT 1 FROM ledger.participation p
        WHERE p.book_id = p_book AND p.party = e.party) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION '% has no accounts in house book %', v_bad, p_book USING ERRCODE = 'LD403';
    END IF;
  END IF;

  INSERT INTO ledger.leaf
    SELECT p_book, v_size + ord - 1, doc->>'id', doc->>'kind', doc->'subject', doc->'actor',
           doc->>'corrects', (doc->>'value_date')::date, v_day,
           (doc->>'recorded_at')::timestamptz, raw, sha256('\\x00'::bytea || raw)
    FROM unnest(p_leaves, v_docs) WITH ORDINALITY AS u(raw, doc, ord);

  WITH wanted AS (
    SELECT DISTINCT e.party, e.code, e.counterparty, e.ref, e.currency
    FROM unnest(v_docs) AS doc, jsonb_to_recordset(doc->'entries') AS e(party text, code text,
      counterparty text, ref text, currency text))
  INSERT INTO ledger.account (book_id, account_no, party, code, counterparty, ref, currency)
    SELECT p_book, v_accounts + row_number() OVER (ORDER BY w), w.party, w.code, w.counterparty,
           w.ref, w.currency
    FROM wanted w LEFT JOIN ledger.account a
      ON a.book_id = p_book AND (a.party, a.code, a.counterparty, a.ref, a.currency)
                              = (w.party, w.code, w.counterparty, w.ref, w.currency)
    WHERE a.account_no IS NULL;
  GET DIAGNOSTICS v_added = ROW_COUNT;

  WITH lines AS (
    SELECT u.ord, e.line, a.account_no, a.balance_minor, e.party, e.amount_minor,
           (doc->>'value_date')::date AS value_date
    FROM unnest(v_docs) WITH ORDINALITY AS u(doc, ord),
      ROWS FROM (jsonb_to_recordset(doc->'entries') AS (party text, code text, counterparty text,
        ref text, currency text, amount_minor bigint)) WITH ORDINALITY
        AS e(party, code, counterparty, ref, currency, amount_minor, line),
      ledger.account a
    WHERE a.book_id = p_book AND (a.party, a.code, a.counterparty, a.ref, a.currency)
                               = (e.party, e.code, e.counterparty, e.ref, e.currency)),
  written AS (
    INSERT INTO ledger.entry
      SELECT p_book, v_size + ord - 1, line - 1, account_no, party, amount_minor,
             balance_minor + sum(amount_minor) OVER (
               PARTITION BY account_no ORDER BY ord, line),
             value_date, v_day
      FROM lines)
  UPDATE ledger.account a SET balance_minor = a.balance_minor + s.moved
    FROM (SELECT account_no, sum(amount_minor) AS moved FROM lines GROUP BY account_no) s
    WHERE a.book_id = p_book AND a.account_no = s.account_no;

  UPDATE ledger.book b SET size = v_size + cardinality(p_leaves), accounts = v_accounts + v_added
    WHERE b.book_id = p_book;
  RETURN v_size;
EXCEPTION WHEN unique_violation THEN
  RAISE EXCEPTION 'a leaf of this id is already in book %', p_book USING ERRCODE = 'LD409';
END $$
"""

OPEN_DAY = """
CREATE FUNCTION ledger.open_next_day(p_book text, p_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
BEGIN
  IF current_setting('role') <> 'liandai_service' THEN
    RAISE EXCEPTION 'only the service opens a day' USING ERRCODE = 'LD403';
  END IF;
  UPDATE ledger.book SET open_day = p_day WHERE book_id = p_book AND open_day < p_day;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'book % has no open day before %', p_book, p_day USING ERRCODE = 'LD409';
  END IF;
END $$
"""

OPEN_BUSINESS_DAY = """
CREATE FUNCTION ledger.open_business_day(p_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
BEGIN
  IF current_setting('role') <> 'liandai_service' THEN
    RAISE EXCEPTION 'only the service opens a business day' USING ERRCODE = 'LD403';
  END IF;
  INSERT INTO ledger.business_day (open_day) VALUES (p_day)
  ON CONFLICT (one) DO UPDATE SET open_day = p_day WHERE business_day.open_day < p_day;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the open business day is not before %', p_day USING ERRCODE = 'LD409';
  END IF;
END $$
"""

FUNCTIONS = {
    "my_books()": (MY_BOOKS, "liandai_app, liandai_auditor, liandai_service"),
    "may_write(text)": (MAY_WRITE, "liandai_app, liandai_service"),
    "open_book(text, text, text, bytea)": (OPEN_BOOK, "liandai_app, liandai_service"),
    "admit(text, text)": (ADMIT, "liandai_app, liandai_service"),
    "hold(text)": (HOLD, "liandai_app, liandai_service"),
    "append(text, bytea[])": (APPEND, "liandai_app, liandai_service"),
    "open_next_day(text, date)": (OPEN_DAY, "liandai_service"),
    "open_business_day(date)": (OPEN_BUSINESS_DAY, "liandai_service"),
}


def upgrade() -> None:
    """After the call the ledger stands, and nobody but its own functions can write journal rows."""
    op.execute(ROLES)
    op.execute(MEMBERSHIP)
    op.execute(SCHEMAS)
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in TABLES:
        op.execute(statement)
    op.execute(FORBID)
    everyone = "liandai_app, liandai_auditor, liandai_service, liandai_ledger"
    op.execute(f"GRANT USAGE ON SCHEMA ledger TO {everyone}")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    for signature, (body, callers) in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{signature} TO {callers}, liandai_ledger")
    for table in (*POLICIES, "salt"):
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE ledger.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY ledger_writes ON ledger.{table} TO liandai_ledger USING (true)")
        op.execute(f"CREATE POLICY service ON ledger.{table} TO liandai_service USING (true)")
        events = "UPDATE OR DELETE" if table in APPEND_ONLY else "DELETE"
        op.execute(
            f"CREATE TRIGGER stays BEFORE {events} ON ledger.{table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    for table, sees in POLICIES.items():
        op.execute(
            f"CREATE POLICY member ON ledger.{table} FOR SELECT TO liandai_app USING ({sees})"
        )
        op.execute(
            f"CREATE POLICY auditor ON ledger.{table} FOR SELECT TO liandai_auditor USING (true)"
        )
        columns = f" ({LEAF_COLUMNS})" if table == "leaf" else ""
        op.execute(f"GRANT SELECT{columns} ON ledger.{table} TO liandai_app")
        op.execute(f"GRANT SELECT ON ledger.{table} TO liandai_auditor, liandai_service")
    op.execute("CREATE POLICY auditor ON ledger.salt FOR SELECT TO liandai_auditor USING (true)")
    op.execute("GRANT SELECT ON ledger.salt TO liandai_auditor, liandai_service")
    op.execute(
        "GRANT SELECT, INSERT ON ledger.book, ledger.salt, ledger.participation, ledger.leaf, "
        "ledger.account, ledger.entry, ledger.business_day TO liandai_ledger"
    )
    op.execute("GRANT UPDATE ON ledger.book, ledger.account, ledger.business_day TO liandai_ledger")
    op.execute(
        "GRANT INSERT ON ledger.head, ledger.subtree, ledger.checkpoint, ledger.cosignature "
        "TO liandai_service"
    )
    op.execute("GRANT UPDATE ON ledger.head TO liandai_service")
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
