"""A book's rows stand together: leaves, entries and subtrees in partitions by book; book days.

Each of the three tables is made anew, divided by a hash of `book_id`, the rows are copied and
counted, and everything that guards the old table is put on the new one as the catalogue has it:
constraints, indexes, triggers, policies, rights. Foreign keys to the book are not: the one function
that appends holds the book's row while it writes, and `liandai audit` names rows of unknown books.

Of the complete subtrees only every fourth level is kept; the levels between are hashed again from
at most eight nodes below. Level 0, the leaf hashes, has a table of its own, as runs.

Revision ID: 0012
Revises: 0011
"""

from alembic import op
from sqlalchemy import Connection, text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

PARTITIONS = 16

DIVIDED = {
    "leaf": ("true", "book_id, position"),
    "entry": ("true", "book_id, position, line"),
    "subtree": ("level % 4 = 0 AND level > 0", "book_id, level, index"),
}
"""Which rows of each table are kept, and in what order they are copied."""

LAG_CLASS = (
    "(CASE WHEN booking_date > value_date THEN 1 ELSE -1 END * width_bucket("
    "abs(booking_date - value_date), '{1,2,4,8,16,32,64,128,256,512,1024,2048,4096,8192,16384}'"
    "::integer[]))"
)
"""The class of an entry by how far its value date lies from its booking date: class k has a lag of
2^(k-1) to 2^k - 1 days, the last one and longer; negative where the value date is the later one."""

INDEXES = [
    "DROP INDEX ledger.entry_by_account",
    """
    CREATE INDEX entry_by_account ON ledger.entry (book_id, account_no, position, line)
      INCLUDE (balance_after_minor)""",
    f"""
    CREATE INDEX entry_shifted_of_account ON ledger.entry
      (book_id, account_no, {LAG_CLASS}, booking_date)
      INCLUDE (value_date, position, amount_minor) WHERE value_date <> booking_date""",
    f"""
    CREATE INDEX entry_shifted ON ledger.entry (book_id, {LAG_CLASS}, booking_date)
      INCLUDE (account_no, value_date, position, amount_minor) WHERE value_date <> booking_date""",
]

BOOK_DAY = [
    """
    CREATE TABLE ledger.book_day (
      book_id text NOT NULL REFERENCES ledger.book,
      day date NOT NULL,
      first_position bigint NOT NULL CHECK (first_position >= 0),
      PRIMARY KEY (book_id, day)
    )""",
    """
    CREATE FUNCTION ledger.note_day() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, ledger AS $$
    BEGIN
      INSERT INTO ledger.book_day VALUES (NEW.book_id, NEW.open_day, NEW.size);
      RETURN NULL;
    END $$""",
    """
    INSERT INTO ledger.book_day
      SELECT book_id, booking_date, min(position) FROM ledger.leaf GROUP BY book_id, booking_date
      UNION
      SELECT b.book_id, b.open_day, b.size FROM ledger.book b WHERE NOT EXISTS (
        SELECT 1 FROM ledger.leaf l WHERE l.book_id = b.book_id AND l.booking_date = b.open_day)""",
    """
    CREATE TRIGGER days AFTER INSERT OR UPDATE OF open_day ON ledger.book
      FOR EACH ROW EXECUTE FUNCTION ledger.note_day()""",
    "ALTER TABLE ledger.book_day ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ledger.book_day FORCE ROW LEVEL SECURITY",
    "CREATE POLICY ledger_writes ON ledger.book_day TO liandai_ledger USING (true)",
    "CREATE POLICY service ON ledger.book_day TO liandai_service USING (true)",
    "CREATE POLICY auditor ON ledger.book_day FOR SELECT TO liandai_auditor USING (true)",
    """
    CREATE POLICY member ON ledger.book_day FOR SELECT TO liandai_app USING (EXISTS (
      SELECT 1 FROM ledger.my_books() m WHERE m.book_id = book_day.book_id
        AND (m.until_position IS NULL OR book_day.first_position < m.until_position)))""",
    "GRANT SELECT ON ledger.book_day TO liandai_app, liandai_auditor, liandai_service",
    "GRANT SELECT, INSERT ON ledger.book_day TO liandai_ledger",
    """
    CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON ledger.book_day
      FOR EACH ROW EXECUTE FUNCTION ledger.forbid()""",
    """
    CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.book_day
      FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()""",
]
"""On which day a book's log began which position. Booking dates never step back, so a day's rows
are one run of positions, and which entries were booked by a day is one look-up."""

LEAF_HASH = [
    """
    CREATE TABLE ledger.leaf_hash (
      book_id text NOT NULL,
      first_position bigint NOT NULL CHECK (first_position >= 0),
      hashes bytea NOT NULL CHECK (length(hashes) > 0 AND length(hashes) % 32 = 0
        AND first_position % 32 + length(hashes) / 32 <= 32),
      PRIMARY KEY (book_id, first_position)
    ) PARTITION BY HASH (book_id)""",
    *(
        f"CREATE TABLE ledger.leaf_hash_p{number:02} PARTITION OF ledger.leaf_hash "
        f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        for number in range(PARTITIONS)
    ),
    """
    INSERT INTO ledger.leaf_hash
      SELECT book_id, min(index), string_agg(hash, ''::bytea ORDER BY index)
      FROM ledger.subtree WHERE level = 0 GROUP BY book_id, index >> 5""",
    "CREATE POLICY service ON ledger.leaf_hash TO liandai_service USING (true)",
    "CREATE POLICY auditor ON ledger.leaf_hash FOR SELECT TO liandai_auditor USING (true)",
    "CREATE POLICY ledger_writes ON ledger.leaf_hash TO liandai_ledger USING (true)",
    """
    CREATE POLICY member ON ledger.leaf_hash FOR SELECT TO liandai_app USING (
      book_id = 'top' OR EXISTS (SELECT 1 FROM ledger.my_books() m
        WHERE m.book_id = leaf_hash.book_id AND (m.until_position IS NULL
          OR leaf_hash.first_position + length(leaf_hash.hashes) / 32 <= m.until_position)))""",
    "GRANT SELECT ON ledger.leaf_hash TO liandai_app, liandai_auditor, liandai_service",
    "GRANT INSERT ON ledger.leaf_hash TO liandai_service",
    """
    CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON ledger.leaf_hash
      FOR EACH ROW EXECUTE FUNCTION ledger.forbid()""",
    """
    CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.leaf_hash
      FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()""",
]
"""The leaf hashes as they were published, apart from the leaves: a leaf altered together with its
hash is still named. As runs of up to 32, for a row each would cost more than all else."""

UNDER_GUARD = [
    # keys, then the other indexes
    """
    SELECT format('ALTER TABLE ledger.%I ADD CONSTRAINT %I %s', c.relname, k.conname,
                  pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.conrelid = CAST(:table AS regclass) AND k.contype IN ('p', 'u')""",
    """
    SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
    WHERE i.indrelid = CAST(:table AS regclass) AND NOT EXISTS (
      SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)""",
    # rights on the table, rights on columns
    """
    SELECT format('GRANT %s ON %s TO %I', string_agg(g.privilege_type, ', '),
                  CAST(:table AS text), pg_get_userbyid(g.grantee))
    FROM pg_class c, aclexplode(c.relacl) g
    WHERE c.oid = CAST(:table AS regclass) AND g.grantee <> c.relowner GROUP BY g.grantee""",
    """
    SELECT format('GRANT %s (%s) ON %s TO %I', g.privilege_type,
                  string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
                  CAST(:table AS text), pg_get_userbyid(g.grantee))
    FROM pg_attribute a, aclexplode(a.attacl) g
    WHERE a.attrelid = CAST(:table AS regclass) GROUP BY g.grantee, g.privilege_type""",
    """
    SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.policyname,
      CAST(:table AS text), p.permissive, p.cmd,
      (SELECT string_agg(quote_ident(r), ', ') FROM unnest(p.roles) r),
      coalesce(' USING (' || p.qual || ')', ''),
      coalesce(' WITH CHECK (' || p.with_check || ')', ''))
    FROM pg_policies p
    WHERE p.schemaname || '.' || p.tablename = CAST(:table AS text)""",
    """
    SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t
    WHERE t.tgrelid = CAST(:table AS regclass) AND NOT t.tgisinternal""",
]
"""What stands around a table, each as the statement that makes it again."""


def upgrade() -> None:
    """After the call every row stands where it stood, in its book's partition, as guarded."""
    op.execute("SET LOCAL ROLE liandai_owner")
    for statement in LEAF_HASH:
        op.execute(statement)
    _guard_partitions("leaf_hash")
    for table, (kept, order) in DIVIDED.items():
        _divide(op.get_bind(), table, kept=kept, order=order)
        _guard_partitions(table)
    for statement in (*INDEXES, *BOOK_DAY):
        op.execute(statement)
    op.execute("RESET ROLE")


def _divide(conn: Connection, table: str, *, kept: str, order: str) -> None:
    op.execute("SET LOCAL search_path = pg_catalog")  # so that every name is written in full
    guards = [
        statement
        for query in UNDER_GUARD
        for statement in conn.scalars(text(query), {"table": f"ledger.{table}"})
    ]
    op.execute(f"ALTER TABLE ledger.{table} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE ledger.{table} RENAME TO {table}_whole")
    op.execute(
        f"CREATE TABLE ledger.{table} (LIKE ledger.{table}_whole INCLUDING DEFAULTS "
        "INCLUDING CONSTRAINTS INCLUDING STORAGE) PARTITION BY HASH (book_id)"
    )
    for number in range(PARTITIONS):
        op.execute(
            f"CREATE TABLE ledger.{table}_p{number:02} PARTITION OF ledger.{table} "
            f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        )
    op.execute(
        f"INSERT INTO ledger.{table} SELECT * FROM ledger.{table}_whole WHERE {kept} "
        f"ORDER BY {order}"
    )
    lost = conn.scalar(
        text(
            f"SELECT (SELECT count(*) FROM ledger.{table}_whole WHERE {kept}) "
            f"- (SELECT count(*) FROM ledger.{table})"
        )
    )
    if lost:
        raise RuntimeError(f"{lost} rows of ledger.{table} were not copied: nothing is changed")
    op.execute(f"DROP TABLE ledger.{table}_whole")
    for statement in guards:
        conn.exec_driver_sql(statement)


def _guard_partitions(table: str) -> None:
    """Nobody reads a partition by itself, and nobody empties one."""
    partitions = [f"{table}_p{number:02}" for number in range(PARTITIONS)]
    for name in (table, *partitions):
        op.execute(f"ALTER TABLE ledger.{name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE ledger.{name} FORCE ROW LEVEL SECURITY")
    for name in partitions:
        op.execute(
            f"CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ledger.{name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.forbid()"
        )


def downgrade() -> None:
    """Refused: records are not un-made by a migration."""
    raise NotImplementedError("records are not un-made by a migration")
