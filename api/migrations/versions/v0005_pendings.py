"""Pendings, reversals and limits: leaves of version 2, all through `ledger.append`; party books.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = [
    """
    ALTER TABLE ledger.book
      DROP CONSTRAINT book_purpose_check,
      ADD CONSTRAINT book_purpose_check CHECK (purpose IN
        ('facility', 'negotiation', 'house', 'registry', 'top', 'headroom', 'pool')),
      ADD COLUMN has_limits boolean NOT NULL DEFAULT false""",
    "ALTER TABLE ledger.leaf ADD COLUMN of_leaf text",
    # posted: an entry has touched it. What stood before this migration stood by entries only.
    """
    ALTER TABLE ledger.account
      ADD COLUMN posted boolean NOT NULL DEFAULT true,
      ADD COLUMN pending_debit_minor bigint NOT NULL DEFAULT 0 CHECK (pending_debit_minor >= 0),
      ADD COLUMN pending_credit_minor bigint NOT NULL DEFAULT 0 CHECK (pending_credit_minor >= 0),
      ADD COLUMN side text CHECK (side IN ('debit', 'credit')),
      ADD COLUMN least_minor bigint,
      ADD COLUMN most_minor bigint,
      ADD CONSTRAINT account_within_most CHECK (balance_minor + pending_debit_minor <= most_minor),
      ADD CONSTRAINT account_within_least
        CHECK (balance_minor - pending_credit_minor >= least_minor)""",
]
"""least_minor, most_minor: what side and limit together allow; null where there is no limit."""

TABLES = [
    """
    CREATE TABLE ledger.pending (
      book_id text NOT NULL,
      position bigint NOT NULL,
      leaf_id text NOT NULL,
      expires_at timestamptz,
      resolved_by bigint,
      PRIMARY KEY (book_id, position),
      UNIQUE (book_id, leaf_id),
      CHECK (resolved_by > position)
    )""",
    """CREATE INDEX pending_standing ON ledger.pending (book_id, position)
       WHERE resolved_by IS NULL""",
    """CREATE INDEX pending_ending ON ledger.pending (expires_at)
       WHERE resolved_by IS NULL AND expires_at IS NOT NULL""",
    """
    CREATE TABLE ledger.pending_line (
      book_id text NOT NULL,
      position bigint NOT NULL,
      line smallint NOT NULL,
      account_no integer NOT NULL,
      party text NOT NULL,
      amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
      PRIMARY KEY (book_id, position, line)
    )""",
    """
    CREATE TABLE ledger.reversal (
      book_id text NOT NULL,
      of_leaf text NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (book_id, of_leaf)
    )""",
]

APPEND_ONLY = ["pending_line", "reversal"]

RESOLVE_ONCE = """
CREATE FUNCTION ledger.resolve_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.resolved_by IS NOT NULL OR NEW.resolved_by IS NULL
     OR (NEW.book_id, NEW.position, NEW.leaf_id) IS DISTINCT FROM
        (OLD.book_id, OLD.position, OLD.leaf_id)
     OR NEW.expires_at IS DISTINCT FROM OLD.expires_at THEN
    RAISE EXCEPTION 'a pending is resolved once, and nothing else of it changes'
      USING ERRCODE = 'LD001';
  END IF;
  RETURN NEW;
END $$
"""

POLICIES = {
    "pending": """EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = pending.book_id
                    AND (m.until_position IS NULL OR pending.position < m.until_position))""",
    "pending_line": """party = nullif(current_setting('app.institution', true), '')
                       AND EXISTS (SELECT 1 FROM ledger.my_books() m
                         WHERE m.book_id = pending_line.book_id AND (m.until_position IS NULL
                           OR pending_line.position < m.until_position))""",
    "reversal": """EXISTS (SELECT 1 FROM ledger.my_books() m WHERE m.book_id = reversal.book_id
                     AND (m.until_position IS NULL OR reversal.position < m.until_position))""",
}
"""What a member institution sees of each new table."""

MAY_WRITE = """
CREATE OR REPLACE FUNCTION ledger.may_write(p_book text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
  SELECT CASE current_setting('role')
    WHEN 'liandai_service' THEN true
    WHEN 'liandai_app' THEN EXISTS (
      SELECT 1 FROM ledger.my_books() m JOIN ledger.book b USING (book_id)
      WHERE m.book_id = p_book AND m.until_position IS NULL
        AND b.purpose NOT IN ('headroom', 'pool'))  -- its party reads them, the service writes
    ELSE false END
$$
"""

OPEN_BOOK = """
CREATE OR REPLACE FUNCTION
  ledger.open_book(p_book text, p_purpose text, p_lead text, p_salt bytea)
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
  ELSIF p_purpose IN ('headroom', 'pool') OR p_book ~ '^(headroom|pool)-' THEN
    IF current_setting('role') <> 'liandai_service'
       OR p_book IS DISTINCT FROM p_purpose || '-' || p_lead THEN
      RAISE EXCEPTION '<purpose>-<party> is a book of the party, opened by the service'
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
CREATE OR REPLACE FUNCTION ledger.admit(p_book text, p_party text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger AS $$
BEGIN
  IF current_setting('role') <> 'liandai_service' AND NOT EXISTS (
       SELECT 1 FROM ledger.participation p WHERE p.book_id = p_book AND p.part = 'lead'
       AND p.party = nullif(current_setting('app.institution', true), '')) THEN
    RAISE EXCEPTION 'only the lead admits to book %', p_book USING ERRCODE = 'LD403';
  END IF;
  IF EXISTS (SELECT 1 FROM ledger.book b
             WHERE b.book_id = p_book AND b.purpose IN ('house', 'headroom', 'pool')) THEN
    RAISE EXCEPTION 'nobody is admitted to a book of one party' USING ERRCODE = 'LD403';
  END IF;
  INSERT INTO ledger.participation (book_id, party, part) VALUES (p_book, p_party, 'member')
  ON CONFLICT (book_id, party) DO NOTHING;
END $$
"""

LINES_OF = """
CREATE FUNCTION ledger.lines_of(p_book text, p_doc jsonb)
RETURNS TABLE (line smallint, account_no integer, party text, amount_minor bigint)
LANGUAGE sql STABLE AS $$
  -- A leaf's entries in order, each with the number its account has.
  SELECT (e.line - 1)::smallint, a.account_no, e.party, e.amount_minor
  FROM ROWS FROM (jsonb_to_recordset(p_doc->'entries') AS (party text, code text,
      counterparty text, ref text, currency text, amount_minor bigint)) WITH ORDINALITY
      AS e(party, code, counterparty, ref, currency, amount_minor, line)
    JOIN ledger.account a ON a.book_id = p_book
      AND (a.party, a.code, a.counterparty, a.ref, a.currency)
        = (e.party, e.code, e.counterparty, e.ref, e.currency)
$$
"""

MOVES_OF = """
CREATE FUNCTION ledger.moves_of(p_book text, p_doc jsonb, p_released bigint)
RETURNS TABLE (account_no integer, is_posted boolean, posted_minor bigint, debit_minor bigint,
  credit_minor bigint)
LANGUAGE sql STABLE AS $$
  -- What a leaf adds to each account's posted balance and to what is pending on either side;
  -- p_released: the position of the pending it resolves, whose lines it takes back.
  SELECT m.account_no, bool_or(m.is_posted), sum(m.posted)::bigint, sum(m.debit)::bigint,
         sum(m.credit)::bigint
  FROM (
    SELECT l.account_no, p_doc->>'kind' <> 'pending' AS is_posted,
           CASE WHEN p_doc->>'kind' <> 'pending' THEN l.amount_minor ELSE 0 END AS posted,
           CASE WHEN p_doc->>'kind' = 'pending' THEN greatest(l.amount_minor, 0) ELSE 0 END
             AS debit,
           CASE WHEN p_doc->>'kind' = 'pending' THEN greatest(-l.amount_minor, 0) ELSE 0 END
             AS credit
    FROM ledger.lines_of(p_book, p_doc) l
    UNION ALL
    SELECT r.account_no, false, 0, -greatest(r.amount_minor, 0), -greatest(-r.amount_minor, 0)
    FROM ledger.pending_line r WHERE r.book_id = p_book AND r.position = p_released) AS m
  GROUP BY m.account_no
$$
"""

APPEND_IN_TURN = """
-- Leaves that already stand in ledger.leaf have their effect one after the other: each is refused,
-- or moves its accounts. A refusal undoes the whole append. Returns how many accounts are new.
CREATE FUNCTION ledger.append_in_turn(
  p_book text, p_purpose text, p_first bigint, p_day date, p_accounts integer, p_docs jsonb[])
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_doc jsonb;
  v_added integer;
  v_position bigint := p_first - 1;
  v_kind text;
  v_of text;
  v_at timestamptz;
  v_pending ledger.pending;
  v_is_over boolean;
  v_by_clock boolean;
  v_of_position bigint;
  v_account_no integer;
  v_side text;
  v_least bigint;
  v_most bigint;
  v_bad record;
BEGIN
  WITH wanted AS (
    SELECT e.party, e.code, e.counterparty, e.ref, e.currency
    FROM unnest(p_docs) AS doc, jsonb_to_recordset(doc->'entries') AS e(party text, code text,
      counterparty text, ref text, currency text)
    UNION
    SELECT e.party, e.code, e.counterparty, e.ref, e.currency
    FROM unnest(p_docs) AS doc, jsonb_to_record(doc->'subject'->'account') AS e(party text,
      code text, counterparty text, ref text, currency text)
    WHERE doc->>'kind' = 'account')
  INSERT INTO ledger.account
      (book_id, account_no, party, code, counterparty, ref, currency, posted)
    SELECT p_book, p_accounts + row_number() OVER (ORDER BY w), w.party, w.code, w.counterparty,
           w.ref, w.currency, false
    FROM wanted w LEFT JOIN ledger.account a
      ON a.book_id = p_book AND (a.party, a.code, a.counterparty, a.ref, a.currency)
                              = (w.party, w.code, w.counterparty, w.ref, w.currency)
    WHERE a.account_no IS NULL;
  GET DIAGNOSTICS v_added = ROW_COUNT;

  FOREACH v_doc IN ARRAY p_docs LOOP
    v_position := v_position + 1;
    v_kind := v_doc->>'kind';
    v_of := v_doc->>'of';
    v_at := (v_doc->>'recorded_at')::timestamptz;
    v_pending := NULL;

    -- what it is of
    IF v_kind IN ('posting', 'void') THEN
      SELECT p.* INTO v_pending FROM ledger.pending p
        WHERE p.book_id = p_book AND p.leaf_id = v_of;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'no pending % in the book', v_of USING ERRCODE = 'LD451',
          DETAIL = jsonb_build_object('leaf', v_doc->'id', 'pending', v_of);
      END IF;
      IF v_pending.resolved_by IS NOT NULL THEN
        RAISE EXCEPTION 'pending % is resolved already', v_of USING ERRCODE = 'LD452',
          DETAIL = jsonb_build_object('leaf', v_doc->'id', 'pending', v_of, 'resolved_by',
            (SELECT l.leaf_id FROM ledger.leaf l
             WHERE l.book_id = p_book AND l.position = v_pending.resolved_by));
      END IF;
      v_is_over := coalesce(v_at >= v_pending.expires_at, false);
      v_by_clock := v_kind = 'void' AND v_doc->'subject'->>'reason' IS NOT DISTINCT FROM 'expired';
      IF v_by_clock AND NOT (v_is_over AND current_setting('role') = 'liandai_service') THEN
        RAISE EXCEPTION 'only the service voids a pending as expired, and once it is'
          USING ERRCODE = 'LD422';
      END IF;
      IF v_is_over AND NOT v_by_clock THEN
        RAISE EXCEPTION 'pending % was over at %', v_of, v_pending.expires_at
          USING ERRCODE = 'LD453', DETAIL = jsonb_build_object('leaf', v_doc->'id',
            'pending', v_of, 'expires_at', v_pending.expires_at);
      END IF;
    END IF;
    IF v_kind = 'posting' THEN
      WITH said AS (
        SELECT l.account_no, sign(l.amount_minor) AS side, sum(l.amount_minor) AS amount
        FROM ledger.lines_of(p_book, v_doc) l GROUP BY 1, 2),
      reserved AS (
        SELECT r.account_no, sign(r.amount_minor) AS side, sum(r.amount_minor) AS amount
        FROM ledger.pending_line r
        WHERE r.book_id = p_book AND r.position = v_pending.position GROUP BY 1, 2)
      SELECT a.party, a.code, a.counterparty, a.ref, a.currency, s.amount AS posted,
             coalesce(r.amount, 0) AS pending
        INTO v_bad FROM said s LEFT JOIN reserved r USING (account_no, side)
          JOIN ledger.account a ON a.book_id = p_book AND a.account_no = s.account_no
        WHERE abs(s.amount) > abs(coalesce(r.amount, 0))
        ORDER BY s.account_no LIMIT 1;
      IF FOUND THEN
        RAISE EXCEPTION '% of %: % posted where % is pending', v_bad.code, v_bad.party,
          v_bad.posted, v_bad.pending
          USING ERRCODE = 'LD454', DETAIL = jsonb_build_object('leaf', v_doc->'id',
            'pending', v_of, 'account', to_jsonb(v_bad) - 'posted' - 'pending',
            'pending_minor', v_bad.pending, 'posted_minor', v_bad.posted);
      END IF;
    ELSIF v_kind = 'reversal' THEN
      SELECT l.position INTO v_of_position FROM ledger.leaf l
        WHERE l.book_id = p_book AND l.leaf_id = v_of AND l.position < v_position
          AND l.kind IN ('transaction', 'posting');
      IF NOT FOUND THEN
        RAISE EXCEPTION '% is no transaction or posting of the book', v_of
          USING ERRCODE = 'LD457', DETAIL = jsonb_build_object('leaf', v_doc->'id', 'of', v_of);
      END IF;
      SELECT l.leaf_id INTO v_bad
        FROM ledger.reversal r JOIN ledger.leaf l USING (book_id, position)
        WHERE r.book_id = p_book AND r.of_leaf = v_of;
      IF FOUND THEN
        RAISE EXCEPTION '% is reversed already', v_of USING ERRCODE = 'LD456',
          DETAIL = jsonb_build_object('leaf', v_doc->'id', 'of', v_of,
            'reversed_by', v_bad.leaf_id);
      END IF;
      PERFORM 1 FROM ledger.lines_of(p_book, v_doc) l
        FULL JOIN (SELECT e.line, e.account_no, e.amount_minor FROM ledger.entry e
                   WHERE e.book_id = p_book AND e.position = v_of_position) e USING (line)
        WHERE (l.account_no, l.amount_minor) IS DISTINCT FROM (e.account_no, -e.amount_minor);
      IF FOUND THEN
        RAISE EXCEPTION 'the entries are not those of % with other signs', v_of
          USING ERRCODE = 'LD458', DETAIL = jsonb_build_object('leaf', v_doc->'id', 'of', v_of);
      END IF;
    ELSIF v_kind = 'pending' AND (v_doc->>'expires_at')::timestamptz <= v_at THEN
      RAISE EXCEPTION 'a pending ends after it began' USING ERRCODE = 'LD422';
    END IF;

    -- the limits, what is pending counted, as they stand before an `account` leaf and after it
    IF v_kind = 'account' THEN
      SELECT a.account_no, t.side,
             CASE t.side WHEN 'debit' THEN greatest(0, t.least_minor) ELSE t.least_minor END,
             CASE t.side WHEN 'credit' THEN least(0, t.most_minor) ELSE t.most_minor END
        INTO v_account_no, v_side, v_least, v_most
        FROM jsonb_to_record(v_doc->'subject') AS t(account jsonb, side text, least_minor bigint,
            most_minor bigint),
          jsonb_to_record(t.account) AS e(party text, code text, counterparty text, ref text,
            currency text),
          ledger.account a
        WHERE a.book_id = p_book AND (a.party, a.code, a.counterparty, a.ref, a.currency)
                                   = (e.party, e.code, e.counterparty, e.ref, e.currency);
      IF NOT FOUND OR p_purpose IN ('house', 'headroom', 'pool') AND NOT EXISTS (
          SELECT 1 FROM ledger.participation p JOIN ledger.account a
            ON a.book_id = p.book_id AND a.party = p.party
          WHERE p.book_id = p_book AND a.account_no = v_account_no) THEN
        RAISE EXCEPTION 'no account of a party of book % is declared', p_book
          USING ERRCODE = 'LD403';
      END IF;
    END IF;
    SELECT a.party, a.code, a.counterparty, a.ref, a.currency, x.name, x.bound, x.would_be
      INTO v_bad
      FROM (SELECT m.account_no, m.posted_minor, m.debit_minor, m.credit_minor
              FROM ledger.moves_of(p_book, v_doc, v_pending.position) m WHERE v_kind <> 'account'
            UNION ALL SELECT v_account_no, 0, 0, 0 WHERE v_kind = 'account') m
        JOIN ledger.account a ON a.book_id = p_book AND a.account_no = m.account_no
        CROSS JOIN LATERAL (VALUES
          ('most_minor', CASE WHEN v_kind = 'account' THEN v_most
                              ELSE a.most_minor END, 1,
           a.balance_minor + m.posted_minor + a.pending_debit_minor + m.debit_minor),
          ('least_minor', CASE WHEN v_kind = 'account' THEN v_least
                               ELSE a.least_minor END, -1,
           a.balance_minor + m.posted_minor - a.pending_credit_minor - m.credit_minor)
        ) AS x(name, bound, sign, would_be)
      WHERE x.sign * (x.would_be - x.bound) > 0
      ORDER BY a.party COLLATE "C", a.code COLLATE "C", a.counterparty COLLATE "C",
               a.ref COLLATE "C", a.currency COLLATE "C", x.sign DESC LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION '% of % would stand at %, and % is %', v_bad.code, v_bad.party,
        v_bad.would_be, v_bad.name, v_bad.bound
        USING ERRCODE = 'LD455', DETAIL = jsonb_build_object('leaf', v_doc->'id',
          'account', to_jsonb(v_bad) - 'name' - 'bound' - 'would_be', 'limit', v_bad.name,
          'limit_minor', v_bad.bound, 'would_be_minor', v_bad.would_be);
    END IF;

    -- from here on it succeeds
    IF v_kind IN ('transaction', 'posting', 'reversal') THEN
      INSERT INTO ledger.entry
        SELECT p_book, v_position, l.line, l.account_no, l.party, l.amount_minor,
               a.balance_minor + sum(l.amount_minor) OVER (
                 PARTITION BY l.account_no ORDER BY l.line),
               (v_doc->>'value_date')::date, p_day
        FROM ledger.lines_of(p_book, v_doc) l
          JOIN ledger.account a ON a.book_id = p_book AND a.account_no = l.account_no;
    ELSIF v_kind = 'pending' THEN
      INSERT INTO ledger.pending (book_id, position, leaf_id, expires_at)
        VALUES (p_book, v_position, v_doc->>'id', (v_doc->>'expires_at')::timestamptz);
      INSERT INTO ledger.pending_line
        SELECT p_book, v_position, l.line, l.account_no, l.party, l.amount_minor
        FROM ledger.lines_of(p_book, v_doc) l;
    ELSIF v_kind = 'account' THEN
      UPDATE ledger.account a SET side = v_side, least_minor = v_least,
          most_minor = v_most
        WHERE a.book_id = p_book AND a.account_no = v_account_no;
      UPDATE ledger.book b SET has_limits = true
        WHERE b.book_id = p_book AND NOT b.has_limits
          AND (v_least IS NOT NULL OR v_most IS NOT NULL);
    END IF;
    IF v_kind = 'reversal' THEN
      INSERT INTO ledger.reversal VALUES (p_book, v_of, v_position);
    END IF;
    IF v_kind IN ('transaction', 'posting', 'reversal', 'pending', 'void') THEN
      UPDATE ledger.account a SET posted = a.posted OR m.is_posted,
          balance_minor = a.balance_minor + m.posted_minor,
          pending_debit_minor = a.pending_debit_minor + m.debit_minor,
          pending_credit_minor = a.pending_credit_minor + m.credit_minor
        FROM (SELECT * FROM ledger.moves_of(p_book, v_doc, v_pending.position)
              ORDER BY account_no) m
        WHERE a.book_id = p_book AND a.account_no = m.account_no;
    END IF;
    IF v_kind IN ('posting', 'void') THEN
      UPDATE ledger.pending p SET resolved_by = v_position
        WHERE p.book_id = p_book AND p.position = v_pending.position;
    END IF;
  END LOOP;
  RETURN v_added;
END $$
"""

APPEND = """
-- Every query in it finds its rows by key, whatever the tables' size. One plan a session, without
-- scans, therefore serves for ever; planning each anew would take as long as the work itself.
CREATE OR REPLACE FUNCTION ledger.append(p_book text, p_leaves bytea[]) RETURNS bigint
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
  v_has_limits boolean;
  v_at_once boolean;
  v_bad text;
BEGIN
  -- All refusals of a batch come first; those of single leaves of version 2 come in their turn.
  IF NOT ledger.may_write(p_book) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  SELECT b.size, b.open_day, b.purpose, b.accounts, b.has_limits
    INTO v_size, v_day, v_purpose, v_accounts, v_has_limits
    FROM ledger.book b WHERE b.book_id = p_book FOR NO KEY UPDATE;
  SELECT array_agg(convert_from(raw, 'UTF8')::jsonb ORDER BY ord) INTO v_docs
    FROM unnest(p_leaves) WITH ORDINALITY AS u(raw, ord);

  SELECT bool_and(doc->>'v' = '1'), min(coalesce(doc->>'id', '')) FILTER (WHERE
      doc->>'book' IS DISTINCT FROM p_book OR NOT coalesce(CASE doc->>'v'
        WHEN '1' THEN doc->>'kind' NOT IN ('pending', 'posting', 'void', 'reversal', 'account')
          AND (doc->>'kind' = 'transaction') = (jsonb_array_length(doc->'entries') > 0)
        WHEN '2' THEN doc->>'kind' IN ('pending', 'posting', 'void', 'reversal', 'account')
          AND (doc->>'kind' IN ('pending', 'posting', 'reversal'))
            = (jsonb_array_length(doc->'entries') > 0)
          AND (doc->>'kind' IN ('posting', 'void', 'reversal')) = (doc->>'of' IS NOT NULL)
          AND (doc->>'kind' = 'pending' OR doc->>'expires_at' IS NULL)
        END, false))
    INTO v_at_once, v_bad FROM unnest(v_docs) AS doc;
  IF v_bad IS NOT NULL THEN
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
    RAISE EXCEPTION 'an earlier record of the book, not %', v_bad USING ERRCODE = 'LD423';
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
  IF v_purpose IN ('house', 'headroom', 'pool') THEN  -- one party takes part, no other has accounts
    SELECT e.party INTO v_bad
      FROM unnest(v_docs) AS doc, jsonb_to_recordset(doc->'entries') AS e(party text)
      WHERE NOT EXISTS (SELECT 1 FROM ledger.participation p
        WHERE p.book_id = p_book AND p.party = e.party) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION '% has no accounts in % book %', v_bad, v_purpose, p_book
        USING ERRCODE = 'LD403';
    END IF;
  END IF;
  IF v_at_once AND v_has_limits THEN  -- plain postings count one by one where an account is limited
    SELECT NOT EXISTS (
      SELECT 1 FROM unnest(v_docs) AS doc, jsonb_to_recordset(doc->'entries') AS e(party text,
        code text, counterparty text, ref text, currency text), ledger.account a
      WHERE a.book_id = p_book AND (a.party, a.code, a.counterparty, a.ref, a.currency)
                                 = (e.party, e.code, e.counterparty, e.ref, e.currency)
        AND (a.least_minor IS NOT NULL OR a.most_minor IS NOT NULL)) INTO v_at_once;
  END IF;

  INSERT INTO ledger.leaf (book_id, position, leaf_id, kind, subject, actor, corrects, value_date,
      booking_date, recorded_at, bytes, hash, of_leaf)
    SELECT p_book, v_size + ord - 1, doc->>'id', doc->>'kind', doc->'subject', doc->'actor',
           doc->>'corrects', (doc->>'value_date')::date, v_day,
           (doc->>'recorded_at')::timestamptz, raw, sha256('\\x00'::bytea || raw), doc->>'of'
    FROM unnest(p_leaves, v_docs) WITH ORDINALITY AS u(raw, doc, ord);

  IF NOT v_at_once THEN
    v_added := ledger.append_in_turn(p_book, v_purpose, v_size, v_day, v_accounts, v_docs);
  ELSE
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
    UPDATE ledger.account a SET balance_minor = a.balance_minor + s.moved, posted = true
      FROM (SELECT account_no, sum(amount_minor) AS moved FROM lines
            GROUP BY account_no ORDER BY account_no) s
      WHERE a.book_id = p_book AND a.account_no = s.account_no;
  END IF;

  UPDATE ledger.book b SET size = v_size + cardinality(p_leaves), accounts = v_accounts + v_added
    WHERE b.book_id = p_book;
  RETURN v_size;
EXCEPTION WHEN unique_violation THEN
  RAISE EXCEPTION 'a leaf of this id is already in book %', p_book USING ERRCODE = 'LD409';
END $$
"""

REPLACED = [MAY_WRITE, OPEN_BOOK, ADMIT]

FUNCTIONS = {
    "lines_of(text, jsonb)": LINES_OF,
    "moves_of(text, jsonb, bigint)": MOVES_OF,
    "append_in_turn(text, text, bigint, date, integer, jsonb[])": APPEND_IN_TURN,
}
"""Parts of `ledger.append`, for it alone to call."""


def upgrade() -> None:
    """After the call pendings, reversals and limits stand, written by `ledger.append` only."""
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in (*COLUMNS, *TABLES, RESOLVE_ONCE):
        op.execute(statement)
    op.execute("GRANT SELECT (of_leaf) ON ledger.leaf TO liandai_app")
    for table, sees in POLICIES.items():
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE ledger.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY ledger_writes ON ledger.{table} TO liandai_ledger USING (true)")
        op.execute(f"CREATE POLICY service ON ledger.{table} TO liandai_service USING (true)")
        op.execute(
            f"CREATE POLICY member ON ledger.{table} FOR SELECT TO liandai_app USING ({sees})"
        )
        op.execute(
            f"CREATE POLICY auditor ON ledger.{table} FOR SELECT TO liandai_auditor USING (true)"
        )
        op.execute(
            f"GRANT SELECT ON ledger.{table} TO liandai_app, liandai_auditor, liandai_service"
        )
        op.execute(f"GRANT SELECT, INSERT ON ledger.{table} TO liandai_ledger")
        events = "UPDATE OR DELETE" if table in APPEND_ONLY else "DELETE"
        op.execute(
            f"CREATE TRIGGER stays BEFORE {events} ON ledger.{table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger.forbid()"
        )
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )
    op.execute("GRANT UPDATE ON ledger.pending TO liandai_ledger")
    op.execute(
        "CREATE TRIGGER resolves_once BEFORE UPDATE ON ledger.pending "
        "FOR EACH ROW EXECUTE FUNCTION ledger.resolve_once()"
    )
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    for signature, body in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
    for body in (*REPLACED, APPEND):
        op.execute(body)
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
