"""Leaves of several books are checked and written by one set of statements; `append` is one case.

Where many post at once, one transaction holds leaves of many books. Appending to each by itself
took a dozen statements a book; now it takes a dozen for all of them. What is checked, and with
which code and words it is refused, stays as it was. Whether a party may write is a look-up by key
and no longer a list of all its books.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MAY_WRITE_EACH = """
-- Whether the asker may write in every one of these books.
CREATE FUNCTION ledger.may_write(p_books text[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
  SELECT CASE current_setting('role')
    WHEN 'liandai_service' THEN true
    WHEN 'liandai_app' THEN NOT EXISTS (
      SELECT 1 FROM unnest(p_books) AS w(book) WHERE NOT EXISTS (
        SELECT 1 FROM ledger.participation p JOIN ledger.book b USING (book_id)
        WHERE p.book_id = w.book AND p.until_position IS NULL
          AND p.party = nullif(current_setting('app.institution', true), '')
          AND b.purpose NOT IN ('headroom', 'pool')))  -- its party reads them, the service writes
    ELSE false END
$$
"""

MAY_WRITE = """
CREATE OR REPLACE FUNCTION ledger.may_write(p_book text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
  SELECT ledger.may_write(ARRAY[p_book])
$$
"""

HOLD_EACH = """
-- The rows of the books are locked, in the order of their ids: nobody waits in a circle.
CREATE FUNCTION ledger.hold_each(p_books text[])
RETURNS TABLE (book text, open_day date, size bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
  IF NOT ledger.may_write(p_books) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  -- Not FOR UPDATE: it would wait for the sequencer, whose rows refer to the book's.
  RETURN QUERY SELECT b.book_id, b.open_day, b.size FROM ledger.book b
    WHERE b.book_id = ANY (p_books) ORDER BY b.book_id COLLATE "C" FOR NO KEY UPDATE;
END $$
"""

HOLD = """
CREATE OR REPLACE FUNCTION ledger.hold(p_book text) RETURNS TABLE (open_day date, size bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT h.open_day, h.size FROM ledger.hold_each(ARRAY[p_book]) AS h;
END $$
"""

APPEND_EACH = """
-- The leaves, p_counts[n] of them for book p_books[n], stand in their books; returned are the
-- positions from which on. The books are named once each, in the order of their ids.
-- Every query finds its rows by key, whatever the tables' size: one plan a session, without scans,
-- serves for ever. To begin a query costs more than its rows, so what is wrong is only found, and
-- told in words when it was.
CREATE FUNCTION ledger.append_each(p_books text[], p_counts integer[], p_leaves bytea[])
RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_held text[];
  v_sizes bigint[];  -- by book, as are the next four
  v_open date[];
  v_purposes text[];
  v_owners text[];  -- the one party of a book of one party
  v_accounts integer[];
  v_turns text[];  -- the books whose leaves have their effect one after the other, as are
  v_limited text[];  -- those in which an account is touched that is held to a limit
  v_docs jsonb[];  -- by leaf, as are the next four
  v_books text[];
  v_at bigint[];
  v_days date[];
  v_whose text[];
  v_of integer[];  -- by entry: its leaf, from 1
  v_lines smallint[];
  v_parties text[];
  v_codes text[];
  v_others text[];
  v_refs text[];
  v_currencies text[];
  v_amounts bigint[];
  v_numbers integer[];
  v_balances bigint[];
  v_has_debts boolean;
  v_wrong bigint;
  v_bad text;
  v_doc jsonb;
  v_turn text;
  v_nth integer;
  v_added integer;
BEGIN
  -- All refusals come first; those of single leaves of version 2 come in their turn.
  IF NOT ledger.may_write(p_books) THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'LD404';
  END IF;
  SELECT array_agg(h.book_id), array_agg(h.size), array_agg(h.open_day), array_agg(h.purpose),
         array_agg(h.accounts),
         array_agg(CASE WHEN h.purpose IN ('house', 'headroom', 'pool') THEN coalesce((
           SELECT p.party FROM ledger.participation p WHERE p.book_id = h.book_id), '') END)
    INTO v_held, v_sizes, v_open, v_purposes, v_accounts, v_owners
    FROM (SELECT b.book_id, b.size, b.open_day, b.purpose, b.accounts FROM ledger.book b
          WHERE b.book_id = ANY (p_books) ORDER BY b.book_id COLLATE "C" FOR NO KEY UPDATE) AS h;
  IF (v_held = p_books) IS NOT TRUE THEN  -- nor of another shape, or counted from another number
    RAISE EXCEPTION 'each book once, in the order of their ids' USING ERRCODE = 'LD422';
  END IF;
  IF cardinality(p_counts) IS DISTINCT FROM cardinality(p_books)
     OR (1 <= ALL (p_counts)) IS NOT TRUE THEN  -- a size never falls
    RAISE EXCEPTION 'of each book one leaf or more' USING ERRCODE = 'LD422';
  END IF;
  SELECT array_agg(w.book ORDER BY w.nth, k), array_agg(w.size + k - 1 ORDER BY w.nth, k),
         array_agg(w.day ORDER BY w.nth, k), array_agg(w.owner ORDER BY w.nth, k)
    INTO v_books, v_at, v_days, v_whose
    FROM unnest(p_books, v_sizes, v_open, v_owners, p_counts) WITH ORDINALITY
      AS w(book, size, day, owner, leaves, nth), generate_series(1, w.leaves) AS k;
  IF cardinality(v_books) IS DISTINCT FROM cardinality(p_leaves) THEN
    RAISE EXCEPTION 'as many leaves as are counted' USING ERRCODE = 'LD422';
  END IF;
  SELECT array_agg(convert_from(raw, 'UTF8')::jsonb ORDER BY ord) INTO v_docs
    FROM unnest(p_leaves) WITH ORDINALITY AS u(raw, ord);

  SELECT array_agg(DISTINCT w.book) FILTER (WHERE doc->>'v' = '2'), min(ord + 4294967296 * CASE
      WHEN doc->>'book' IS DISTINCT FROM w.book OR NOT coalesce(CASE doc->>'v'
        WHEN '1' THEN doc->>'kind' NOT IN ('pending', 'posting', 'void', 'reversal', 'account')
          AND (doc->>'kind' = 'transaction') = (jsonb_array_length(doc->'entries') > 0)
        WHEN '2' THEN doc->>'kind' IN ('pending', 'posting', 'void', 'reversal', 'account')
          AND (doc->>'kind' IN ('pending', 'posting', 'reversal'))
            = (jsonb_array_length(doc->'entries') > 0)
          AND (doc->>'kind' IN ('posting', 'void', 'reversal')) = (doc->>'of' IS NOT NULL)
          AND (doc->>'kind' = 'pending' OR doc->>'expires_at' IS NULL)
        END, false) THEN 1
      WHEN (doc->>'booking_date')::date IS DISTINCT FROM w.day THEN 2
      WHEN (doc->>'recorded_at')::timestamptz NOT BETWEEN
        clock_timestamp() - interval '5 minutes' AND clock_timestamp() + interval '5 minutes' THEN 3
      WHEN doc->>'corrects' IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ledger.leaf l
        WHERE l.book_id = w.book AND l.leaf_id = doc->>'corrects') THEN 4
      END)
    INTO v_turns, v_wrong
    FROM unnest(v_books, v_docs, v_days) WITH ORDINALITY AS w(book, doc, day, ord);
  IF v_wrong IS NOT NULL THEN
    v_nth := v_wrong % 4294967296;
    v_doc := v_docs[v_nth];
    CASE v_wrong / 4294967296
      WHEN 1 THEN RAISE EXCEPTION 'leaf % is not of book %', v_doc->>'id', v_books[v_nth]
        USING ERRCODE = 'LD422';
      WHEN 2 THEN RAISE EXCEPTION 'booking date % is not the open day %', v_doc->>'booking_date',
        v_days[v_nth] USING ERRCODE = 'LD410';
      WHEN 3 THEN RAISE EXCEPTION 'recorded_at % is not the server''s clock',
        v_doc->>'recorded_at' USING ERRCODE = 'LD422';
      WHEN 4 THEN RAISE EXCEPTION 'an earlier record of the book, not %', v_doc->>'corrects'
        USING ERRCODE = 'LD423';
    END CASE;
  END IF;

  SELECT array_agg(w.ord), array_agg(e.line - 1), array_agg(e.party), array_agg(e.code),
         array_agg(e.counterparty), array_agg(e.ref), array_agg(e.currency),
         array_agg(e.amount_minor), array_agg(a.account_no), array_agg(a.balance_minor),
         array_agg(DISTINCT w.book) FILTER (
           WHERE a.least_minor IS NOT NULL OR a.most_minor IS NOT NULL),
         bool_or(e.code LIKE 'due.%' OR e.counterparty <> '' OR e.party = e.counterparty),
         min(w.ord) FILTER (WHERE w.owner IS NOT NULL AND e.party IS DISTINCT FROM w.owner)
    INTO v_of, v_lines, v_parties, v_codes, v_others, v_refs, v_currencies, v_amounts, v_numbers,
         v_balances, v_limited, v_has_debts, v_wrong
    FROM unnest(v_books, v_docs, v_whose) WITH ORDINALITY AS w(book, doc, owner, ord)
      CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(w.doc->'entries') AS (
        party text, code text, counterparty text, ref text, currency text, amount_minor bigint))
        WITH ORDINALITY AS e(party, code, counterparty, ref, currency, amount_minor, line)
      LEFT JOIN ledger.account a ON a.book_id = w.book
        AND (a.party, a.code, a.counterparty, a.ref, a.currency)
          = (e.party, e.code, e.counterparty, e.ref, e.currency);
  SELECT party || ' in ' || currency INTO v_bad
    FROM unnest(v_of, v_parties, v_currencies, v_amounts) AS l(ord, party, currency, amount_minor)
    GROUP BY ord, party, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
  IF NOT FOUND AND v_has_debts THEN
    WITH lines AS (
      SELECT * FROM unnest(v_of, v_parties, v_codes, v_others, v_refs, v_currencies, v_amounts)
        AS l(ord, party, code, counterparty, ref, currency, amount_minor))
    SELECT bad INTO v_bad FROM (
      SELECT code || ' of ' || least(party, counterparty) AS bad FROM lines WHERE code LIKE 'due.%'
        GROUP BY ord, code, ref, currency, least(party, counterparty), greatest(party, counterparty)
        HAVING sum(amount_minor) <> 0
      UNION ALL
      SELECT code || ' of ' || party FROM lines
        WHERE (code LIKE 'due.%') <> (counterparty <> '') OR party = counterparty) AS x LIMIT 1;
  END IF;
  IF FOUND THEN
    RAISE EXCEPTION 'entries do not balance: %', v_bad USING ERRCODE = 'LD422';
  END IF;
  IF v_wrong IS NOT NULL THEN
    RAISE EXCEPTION 'only % has accounts in book %', v_whose[v_wrong], v_books[v_wrong]
      USING ERRCODE = 'LD403';
  END IF;

  INSERT INTO ledger.leaf (book_id, position, leaf_id, kind, subject, actor, corrects, value_date,
      booking_date, recorded_at, bytes, hash, of_leaf)
    SELECT w.book, w.at, doc->>'id', doc->>'kind', doc->'subject', doc->'actor',
           doc->>'corrects', (doc->>'value_date')::date, w.day,
           (doc->>'recorded_at')::timestamptz, raw, sha256('\\x00'::bytea || raw), doc->>'of'
    FROM unnest(v_books, v_at, v_days, p_leaves, v_docs) AS w(book, at, day, raw, doc);

  IF v_turns IS NOT NULL OR v_limited IS NOT NULL THEN
    v_turns := ARRAY(SELECT unnest(v_turns) UNION SELECT unnest(v_limited));
    FOREACH v_turn IN ARRAY v_turns LOOP
      v_nth := array_position(p_books, v_turn);
      v_added := ledger.append_in_turn(v_turn, v_purposes[v_nth], v_sizes[v_nth], v_open[v_nth],
        v_accounts[v_nth], ARRAY(
          SELECT doc FROM unnest(v_books, v_docs) WITH ORDINALITY AS w(book, doc, ord)
          WHERE w.book = v_turn ORDER BY ord));
      UPDATE ledger.book b SET accounts = b.accounts + v_added WHERE b.book_id = v_turn;
    END LOOP;
  END IF;

  IF array_position(v_numbers, NULL) IS NOT NULL THEN
    WITH wanted AS (
      SELECT DISTINCT v_books[ord] AS book, party, code, counterparty, ref, currency
      FROM unnest(v_of, v_parties, v_codes, v_others, v_refs, v_currencies, v_numbers)
        AS l(ord, party, code, counterparty, ref, currency, account_no)
      WHERE account_no IS NULL AND (v_books[ord] = ANY (v_turns)) IS NOT TRUE),
    added AS (
      INSERT INTO ledger.account (book_id, account_no, party, code, counterparty, ref, currency)
        SELECT book, v_accounts[array_position(p_books, book)] + row_number() OVER (
                 PARTITION BY book ORDER BY party, code, counterparty, ref, currency),
               party, code, counterparty, ref, currency
        FROM wanted
      RETURNING book_id)
    UPDATE ledger.book b SET accounts = b.accounts + n.added
      FROM (SELECT book_id, count(*) AS added FROM added GROUP BY book_id) AS n
      WHERE b.book_id = n.book_id;
    SELECT array_agg(a.account_no ORDER BY nth), array_agg(a.balance_minor ORDER BY nth)
      INTO v_numbers, v_balances
      FROM unnest(v_of, v_parties, v_codes, v_others, v_refs, v_currencies) WITH ORDINALITY
        AS l(ord, party, code, counterparty, ref, currency, nth)
        JOIN ledger.account a ON a.book_id = v_books[l.ord]
          AND (a.party, a.code, a.counterparty, a.ref, a.currency)
            = (l.party, l.code, l.counterparty, l.ref, l.currency);
  END IF;

  WITH lines AS (
    SELECT v_books[ord] AS book, v_at[ord] AS at, line, account_no, party, amount_minor,
           balance_minor, (v_docs[ord]->>'value_date')::date AS value_date, v_days[ord] AS day
    FROM unnest(v_of, v_lines, v_numbers, v_parties, v_amounts, v_balances)
      AS l(ord, line, account_no, party, amount_minor, balance_minor)
    WHERE (v_books[ord] = ANY (v_turns)) IS NOT TRUE),
  written AS (
    INSERT INTO ledger.entry
      SELECT book, at, line, account_no, party, amount_minor,
             balance_minor + sum(amount_minor) OVER (
               PARTITION BY book, account_no ORDER BY at, line),
             value_date, day
      FROM lines)
  UPDATE ledger.account a SET balance_minor = a.balance_minor + s.moved, posted = true
    FROM (SELECT book, account_no, sum(amount_minor) AS moved FROM lines
          GROUP BY book, account_no ORDER BY book, account_no) AS s
    WHERE a.book_id = s.book AND a.account_no = s.account_no;

  UPDATE ledger.book b SET size = b.size + w.leaves
    FROM unnest(p_books, p_counts) AS w(book, leaves) WHERE b.book_id = w.book;
  RETURN v_sizes;
EXCEPTION WHEN unique_violation THEN
  RAISE EXCEPTION 'a leaf of this id is already in its book' USING ERRCODE = 'LD409';
END $$
"""

APPEND = """
CREATE OR REPLACE FUNCTION ledger.append(p_book text, p_leaves bytea[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
BEGIN
  RETURN (ledger.append_each(ARRAY[p_book], ARRAY[cardinality(p_leaves)], p_leaves))[1];
END $$
"""

FUNCTIONS = {
    "may_write(text[])": MAY_WRITE_EACH,
    "hold_each(text[])": HOLD_EACH,
    "append_each(text[], integer[], bytea[])": APPEND_EACH,
}


def upgrade() -> None:
    """After the call leaves of several books can be appended at once; no row is changed."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("GRANT CREATE ON SCHEMA ledger TO liandai_ledger")
    for signature, body in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION ledger.{signature} OWNER TO liandai_ledger")
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{signature} TO liandai_app, liandai_service")
    op.execute("SET LOCAL ROLE liandai_ledger")
    for body in (MAY_WRITE, HOLD, APPEND):
        op.execute(body)
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute("REVOKE CREATE ON SCHEMA ledger FROM liandai_ledger")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
