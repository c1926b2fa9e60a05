"""What a superuser of the database could alter, and which invariant then names which place."""

from ledger import store_audit
from tests.ledger.recorded_story import LONG, LONG_SIZE

AT = "WHERE book_id = 'fac-test' AND position ="
ROWS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    # what is altered                  how                             who names what first
    (
        "somebody is let into a book",
        (
            "INSERT INTO ledger.participation (book_id, party, part, from_position) "
            "VALUES ('fac-test', 'bank-c', 'member', 0)",
        ),
        {"I15": "fac-test: bank-c has a part on record, and nothing in the log lets it in"},
    ),
    (
        "somebody is let into a book of one",
        (
            "INSERT INTO ledger.participation (book_id, party, part) "
            "VALUES ('pool-bank-a', 'bank-c', 'member')",
        ),
        {"I15": "pool-bank-a: 2 have a part on record in a book of one"},
    ),
    (
        "a book of one is another one's",
        ("UPDATE ledger.participation SET party = 'bank-c' WHERE book_id = 'pool-bank-a'",),
        {"I15": "pool-bank-a: bank-c keeps it on record, and by its name another one"},
    ),
    (
        "the one it belongs to is out of it",
        ("UPDATE ledger.participation SET until_position = 0 WHERE book_id = 'pool-bank-a'",),
        {"I15": "pool-bank-a: bank-a's part has a beginning or an end on record"},
    ),
    (
        "somebody is let into the top log",
        (
            "INSERT INTO ledger.participation (book_id, party, part) "
            "VALUES ('top', 'bank-c', 'member')",
        ),
        {"I15": "top: bank-c has a part on record, and nothing in the log lets it in"},
    ),
    (
        "somebody's part is over",
        (
            "UPDATE ledger.participation SET until_position = 3 "
            "WHERE book_id = 'fac-test' AND party = 'bank-b'",
        ),
        {"I15": "fac-test: bank-b's part ends at 3 on record, None by the log"},
    ),
    (
        "somebody's part is gone",
        ("DELETE FROM ledger.participation WHERE book_id = 'fac-test' AND party = 'bank-b'",),
        {"I15": "fac-test: bank-b takes part by the log, and has no part on record"},
    ),
    (
        "a member leads",
        (
            "UPDATE ledger.participation SET part = 'lead' "
            "WHERE book_id = 'fac-test' AND party = 'bank-b'",
        ),
        {"I15": "fac-test: bank-b is lead on record, and member by the log"},
    ),
    (
        "a part begins later than it did",
        (
            "UPDATE ledger.participation SET from_position = 4 "
            "WHERE book_id = 'fac-test' AND party = 'bank-b'",
        ),
        {"I15": "fac-test: bank-b's part begins at 4 on record, 0 by the log"},
    ),
    (
        "a book numbers one account more than it has",
        ("UPDATE ledger.book SET accounts = accounts + 1 WHERE book_id = 'fac-test'",),
        {"I3": "fac-test: 7 accounts are there, 8 on record"},
    ),
    (
        "the business day is ahead of a book",
        ("UPDATE ledger.business_day SET open_day = open_day + 1",),
        {"I10": "the business day: 2024-03-02 is open, and 2024-03-01 still in a book"},
    ),
    (
        "no business day is open",
        ("DELETE FROM ledger.business_day",),
        {"I10": "the business day: none is open, and there are books"},
    ),
    (
        "an entry's amount",
        (f"UPDATE ledger.entry SET amount_minor = amount_minor + 1 {AT} 3 AND line = 2",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by 1",
            "I2": "fac-test: the entries in CNY sum to 1",
            "I3": "fac-test 3: entry 2 ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: entry 2 ",
        },
    ),
    (
        "an entry is deleted",
        (f"DELETE FROM ledger.entry {AT} 3 AND line = 0",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by -700",
            "I2": "fac-test: the entries in CNY sum to -700",
            "I3": "fac-test: account ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: 3 entries are posted, the bytes say 4",
        },
    ),
    (
        "all entries of a transaction are deleted",
        (f"DELETE FROM ledger.entry {AT} 7",),
        {
            "I3": "fac-test 10: entry 0 ",
            "I11": "fac-test 8: its balances",
            "I13": "fac-test 7: 0 entries are posted, the bytes say 4",
        },
    ),
    (
        "a whole transaction's amounts, balances made to fit",
        (
            f"UPDATE ledger.entry SET amount_minor = amount_minor / 2 {AT} 10",
            "UPDATE ledger.entry e SET balance_after_minor = x.due FROM (SELECT book_id, position, "
            "line, sum(amount_minor) OVER (PARTITION BY book_id, account_no ORDER BY position, "
            "line) AS due FROM ledger.entry) x WHERE (e.book_id, e.position, e.line) = "
            "(x.book_id, x.position, x.line)",
            "UPDATE ledger.account a SET balance_minor = (SELECT sum(amount_minor) FROM "
            "ledger.entry e WHERE (e.book_id, e.account_no) = (a.book_id, a.account_no))",
        ),
        {"I13": "fac-test 10: entry 0 "},
    ),
    (
        "entries from one party to another",
        (f"UPDATE ledger.entry SET party = 'bank-b' {AT} 1 AND party = 'bank-a'",),
        {"I13": "fac-test 1: entry 0 "},
    ),
    (
        "the two sides of a debt are not alike",
        (
            "UPDATE ledger.account SET ref = 'd2' WHERE party = 'firm' AND code = 'due.principal' "
            "AND counterparty = 'bank-a'",
        ),
        {
            "I1": "fac-test 1: due.principal between bank-a and firm is off by ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 1: entry ",
        },
    ),
    (
        "an account to another currency",
        ("UPDATE ledger.account SET currency = 'USD' WHERE party = 'bank-a' AND code = 'cash'",),
        {
            "I1": "fac-test 1: bank-a in CNY is off by 500",
            "I2": "fac-test: the entries in CNY sum to 290",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 1: entry ",
        },
    ),
    (
        "an account is deleted",
        ("DELETE FROM ledger.account WHERE party = 'bank-b' AND code = 'cash'",),
        {
            "I1": "fac-test 3: bank-b in CNY is off by 700",
            "I2": "fac-test: the entries in CNY sum to 700",
            "I3": "fac-test: account ",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 3: entry ",
        },
    ),
    (
        "a stored balance",
        (
            "UPDATE ledger.account SET balance_minor = balance_minor + 1 WHERE party = 'bank-b' "
            "AND code = 'cash'",
        ),
        {"I3": "fac-test: account "},
    ),
    (
        "a running balance",
        (f"UPDATE ledger.entry SET balance_after_minor = 12345 {AT} 5 AND line = 1",),
        {"I3": "fac-test 5: entry 1 leaves 0, not 12345"},
    ),
    (
        "a refusal that posts",
        (
            "INSERT INTO ledger.entry SELECT book_id, 2, line, account_no, party, amount_minor, "
            f"balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {
            "I3": "fac-test 2: entry 0 ",
            "I7": "fac-test 2: a refusal with 4 entries",
            "I11": "fac-test 4: its balances",
            "I13": "fac-test 2: 4 entries are posted, the bytes say 0",
        },
    ),
    (
        "entries that no leaf ordered",
        (
            "INSERT INTO ledger.entry SELECT book_id, 90, line, account_no, party, amount_minor, "
            f"balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {"I3": "fac-test 90: entry 0 ", "I13": "fac-test 90: 4 entries without a leaf"},
    ),
    (
        "entries of a book that is not there",
        (
            "INSERT INTO ledger.entry SELECT 'fac-ghost', 1, line, account_no, party, "
            f"amount_minor, balance_after_minor, value_date, booking_date FROM ledger.entry {AT} 1",
        ),
        {
            "I3": "fac-ghost: account ",
            "I13": "fac-ghost 1: 4 entries without a leaf",
        },
    ),
    (
        "the last leaf is taken away",
        (f"DELETE FROM ledger.leaf {AT} 10", f"DELETE FROM ledger.entry {AT} 10"),
        {
            "I3": "fac-test: account ",
            "I10": "fac-test 10: the log ends here, the book says 11",
        },
    ),
    (
        "the last leaf without a trace in its book",
        (
            f"DELETE FROM ledger.leaf {AT} 9",
            f"DELETE FROM ledger.leaf {AT} 10",
            f"DELETE FROM ledger.entry {AT} 10",
            "UPDATE ledger.account a SET balance_minor = (SELECT sum(amount_minor) FROM "
            "ledger.entry e WHERE (e.book_id, e.account_no) = (a.book_id, a.account_no))",
            "UPDATE ledger.book SET size = 9 WHERE book_id = 'fac-test'",
        ),
        {"I13": "fac-test 9: 10 leaves are published, and this one is not there"},
    ),
    (
        "a leaf in the middle is taken away",
        (f"DELETE FROM ledger.leaf {AT} 6",),
        {
            "I10": "fac-test 7: it stands where leaf 6 is due",
            "I11": "fac-test 8: its root",
            "I13": "fac-test 6: the leaf is missing",
        },
    ),
    (
        "a leaf moves to the end",
        (f"UPDATE ledger.leaf SET position = 11 {AT} 6",),
        {
            "I10": "fac-test 7: it stands where leaf 6 is due",
            "I11": "fac-test 8: its root",
            "I13": "fac-test 6: the leaf is missing",
        },
    ),
    (
        "two leaves change places",
        (
            f"UPDATE ledger.leaf SET position = 999 {AT} 0",
            f"UPDATE ledger.leaf SET position = 0 {AT} 2",
            f"UPDATE ledger.leaf SET position = 2 {AT} 999",
        ),
        {
            "I11": "fac-test 4: its root",
            "I13": "fac-test 0: tree node (0, 0)",
            "I15": "fac-test: bank-a has a part on record, and nothing in the log lets it in",
        },
    ),
    (
        "a leaf is put in, all later ones moved on",
        (
            f"UPDATE ledger.leaf SET position = position + 100 {AT[:-1]}> 5",
            f"UPDATE ledger.leaf SET position = position - 99 {AT[:-1]}> 100",
            "INSERT INTO ledger.leaf SELECT book_id, 6, 'added', kind, subject, actor, corrects, "
            "value_date, booking_date, recorded_at, bytes, hash FROM ledger.leaf "
            "WHERE book_id = 'fac-test' AND position = 7",
            f"UPDATE ledger.entry SET position = position + 100 {AT[:-1]}> 5",
            f"UPDATE ledger.entry SET position = position - 99 {AT[:-1]}> 100",
            "UPDATE ledger.book SET size = 12 WHERE book_id = 'fac-test'",
        ),
        {
            "I10": "fac-test 10: the book's day 2024-03-05 begins at 9",
            "I11": "fac-test 9: it must seal 9 leaves after the seal at 4",
            "I13": "fac-test 6: leaf_id is not what the bytes say",
        },
    ),
    (
        "a booking date runs back",
        (f"UPDATE ledger.leaf SET booking_date = '2024-02-29' {AT} 6",),
        {
            "I10": "fac-test 6: booked on 2024-02-29, after a leaf of 2024-03-04",
            "I13": "fac-test 6: booking_date",
        },
    ),
    (
        "a booking date after the open day",
        (f"UPDATE ledger.leaf SET booking_date = '2024-03-06' {AT} 10",),
        {
            "I10": "fac-test 10: booked on 2024-03-06, and the open day is 2024-03-05",
            "I13": "fac-test 10: booking_date",
        },
    ),
    (
        "a leaf into a sealed day",
        (f"UPDATE ledger.leaf SET booking_date = '2024-03-01' {AT} 5",),
        {
            "I10": "fac-test 5: booked on 2024-03-01, a sealed day",
            "I13": "fac-test 5: booking_date",
        },
    ),
    (
        "an open day is moved on without a seal",
        ("UPDATE ledger.book SET open_day = '2024-03-06' WHERE book_id = 'fac-test'",),
        {"I10": "fac-test 11: 2024-03-05 was closed without a seal"},
    ),
    (
        "a recorded time runs back by an hour",
        (f"UPDATE ledger.leaf SET recorded_at = recorded_at - interval '1 hour' {AT} 6",),
        {"I10": "fac-test 6: recorded at ", "I13": "fac-test 6: recorded_at"},
    ),
    (
        "a seal's balances, in the leaf's subject",
        (
            "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{balances_root}', "
            f"to_jsonb(repeat('0', 64))) {AT} 8",
        ),
        {"I11": "fac-test 8: its balances", "I13": "fac-test 8: subject"},
    ),
    (
        "a seal is made a record",
        (f"UPDATE ledger.leaf SET kind = 'record' {AT} 4",),
        {
            "I10": "fac-test 5: booked on 2024-03-04, and 2024-03-01 was never sealed",
            "I11": "fac-test 8: it must seal 8 leaves after the seal at None",
            "I13": "fac-test 4: kind",
        },
    ),
    (
        "the salt of the seals",
        (
            "UPDATE ledger.salt SET salt = decode(repeat('00', 32), 'hex') "
            "WHERE book_id = 'fac-test'",
        ),
        {"I11": "fac-test 4: its balances"},
    ),
    (
        "one byte of a leaf",
        (f"UPDATE ledger.leaf SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1) {AT} 2",),
        {"I13": "fac-test 2: the bytes do not hash to the stored hash"},
    ),
    (
        "one byte of a leaf and the hash with it",
        (
            f"UPDATE ledger.leaf SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1) {AT} 2",
            f"UPDATE ledger.leaf SET hash = sha256('\\x00'::bytea || bytes) {AT} 2",
        ),
        {"I11": "fac-test 4: its root", "I13": "fac-test 2: the bytes are no leaf"},
    ),
    (
        "a stored hash",
        (f"UPDATE ledger.leaf SET hash = sha256(hash) {AT} 7",),
        {"I11": "fac-test 8: its root", "I13": "fac-test 7: the bytes do not hash"},
    ),
    *(
        (f"a leaf's {name}", (f"UPDATE ledger.leaf SET {name} = {to} {AT} 9",), {"I13": said})
        for name, to, said in (
            ("leaf_id", "'bank-a:key-00006:1'", "fac-test 9: leaf_id is not"),
            ("kind", "'consent'", "fac-test 9: kind is not"),
            ("subject", "subject || '{\"is\": 1}'", "fac-test 9: subject is not"),
            ("actor", 'actor || \'{"user": "x"}\'', "fac-test 9: actor is not"),
            ("corrects", "'bank-a:key-00000:0'", "fac-test 9: corrects is not"),
            ("value_date", "value_date + 1", "fac-test 9: value_date is not"),
            ("recorded_at", "recorded_at + interval '1 us'", "fac-test 9: recorded_at is not"),
        )
    ),
    (
        "a number in a leaf's subject that no leaf can hold",
        (f"UPDATE ledger.leaf SET subject = to_jsonb(repeat('9', 40)::numeric) {AT} 9",),
        {"I13": "fac-test 9: subject is not what the bytes say"},
    ),
    (
        "an entry's dates",
        (f"UPDATE ledger.entry SET value_date = value_date - 1 {AT} 7 AND line = 3",),
        {"I13": "fac-test 7: entry 3 is not what the bytes say"},
    ),
    (
        "a leaf far down a long book",
        (
            f"UPDATE ledger.leaf SET subject = '{{}}' WHERE book_id = '{LONG}' "
            f"AND position = {LONG_SIZE - 5}",
        ),
        {"I13": f"fac-long {LONG_SIZE - 5}: subject"},
    ),
    (
        "a leaf missing where a page ends",
        (f"DELETE FROM ledger.leaf WHERE book_id = '{LONG}' AND position = {store_audit.PAGE}",),
        {
            "I10": f"fac-long {store_audit.PAGE + 1}: it stands where leaf {store_audit.PAGE}",
            "I13": f"fac-long {store_audit.PAGE}: the leaf is missing",
        },
    ),
    # ---- what was published
    (
        "a published leaf hash",
        (
            "UPDATE ledger.leaf_hash SET hashes = set_byte(hashes, at, 255 - get_byte(hashes, at)) "
            "FROM generate_series(0, 1023) AS at WHERE book_id = 'fac-test' "
            "AND first_position <= 5 AND at = 32 * (5 - first_position) AND at < length(hashes)",
        ),
        {"I13": "fac-test 5: tree node (0, 5) is not that of the leaves"},
    ),
    (
        "the day a position belongs to",
        (
            "UPDATE ledger.book_day SET first_position = first_position + 1 "
            "WHERE book_id = 'fac-test' AND day = '2024-03-04'",
        ),
        {"I10": "fac-test 5: the book's day 2024-03-04 begins at 6"},
    ),
    (
        "a day is taken away",
        ("DELETE FROM ledger.book_day WHERE book_id = 'fac-test' AND day = '2024-03-04'",),
        {"I10": "fac-test 5: the book's day 2024-03-04 is missing"},
    ),
    (
        "a run of published leaf hashes is taken away",
        (f"DELETE FROM ledger.leaf_hash WHERE book_id = '{LONG}' AND first_position = 64",),
        {"I13": "fac-long 64: tree node (0, 64) is not that of the leaves"},
    ),
    (
        "leaf hashes too many",
        ("INSERT INTO ledger.leaf_hash VALUES ('fac-test', 32, sha256('x'))",),
        {"I13": "fac-test 10: 11 tree nodes are stored where 10 belong"},
    ),
    (
        "a node of a long book's tree",
        (
            f"UPDATE ledger.subtree SET hash = sha256(hash) WHERE book_id = '{LONG}' "
            "AND level = 4 AND index = 5",
        ),
        {"I13": "fac-long 80: tree node (4, 5) is not that of the leaves"},
    ),
    (
        "a node high up a long book's tree",
        (
            f"UPDATE ledger.subtree SET hash = sha256(hash) WHERE book_id = '{LONG}' "
            "AND level = 8 AND index = 1",
        ),
        {"I13": "fac-long 256: tree node (8, 1)"},
    ),
    (
        "a node is taken away",
        (f"DELETE FROM ledger.subtree WHERE book_id = '{LONG}' AND level = 4 AND index = 2",),
        {"I13": "fac-long 32: tree node (4, 2)"},
    ),
    (
        "a node too many",
        ("INSERT INTO ledger.subtree VALUES ('fac-test', 4, 10, sha256('x'))",),
        {"I13": "fac-test 10: 11 tree nodes are stored where 10 belong"},
    ),
    (
        "a checkpoint's root",
        (
            "UPDATE ledger.checkpoint SET root = sha256(root) "
            "WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: the signed note says another"},
    ),
    (
        "a checkpoint's signature",
        (
            "UPDATE ledger.checkpoint SET note = (SELECT note FROM ledger.checkpoint "
            "WHERE book_id = 'fac-test' AND size = 4) WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: the signed note says another"},
    ),
    (
        "another log's checkpoint",
        (
            "UPDATE ledger.checkpoint SET note = (SELECT note FROM ledger.checkpoint "
            f"WHERE book_id = '{LONG}') WHERE book_id = 'fac-test' AND size = 7",
        ),
        {"I13": "fac-test 7: the checkpoint of this size: checkpoint line 1"},
    ),
    (
        "a note that nobody signed",
        (
            "UPDATE ledger.checkpoint SET note = overlay(note placing "
            "CASE substr(note, length(note) - 30, 1) WHEN 'B' THEN 'C' ELSE 'B' END "
            "from length(note) - 30) WHERE book_id = 'fac-test' AND size = 10",
        ),
        {"I13": "fac-test 10: the checkpoint of this size: "},
    ),
    (
        "a checkpoint is taken away",
        ("DELETE FROM ledger.checkpoint WHERE book_id = 'fac-test' AND size = 7",),
        {"I13": "top 2: the head of fac-test at 7 is no published checkpoint"},
    ),
    (
        "the last checkpoint is taken away",
        ("DELETE FROM ledger.checkpoint WHERE book_id = 'fac-test' AND size = 10",),
        {"I13": "fac-test 10: the head is not the last checkpoint"},
    ),
    (
        "the head that publishing goes on from",
        ("UPDATE ledger.head SET frontier[1] = sha256(frontier[1]) WHERE book_id = 'fac-test'",),
        {"I13": "fac-test 10: the head's frontier"},
    ),
    (
        "a head is set back, to publish another past",
        (
            "UPDATE ledger.head SET size = 7, root = (SELECT root FROM ledger.checkpoint "
            "WHERE book_id = 'fac-test' AND size = 7) WHERE book_id = 'fac-test'",
        ),
        {"I13": "fac-test 7: the head is not the last checkpoint"},
    ),
    (
        "rows of a book that is not there",
        ("INSERT INTO ledger.participation VALUES ('fac-ghost', 'bank-c', 'member', NULL)",),
        {"I13": "fac-ghost: rows of participation in a book that is not there"},
    ),
    # ---- keys
    (
        "an id stands twice",
        (
            "ALTER TABLE ledger.leaf DROP CONSTRAINT leaf_book_id_leaf_id_key",
            f"UPDATE ledger.leaf SET leaf_id = 'bank-a:key-00000:0' {AT} 9",
        ),
        {
            "I5": "missing: unique on ledger.leaf: leaf_book_id_leaf_id_key UNIQUE",
            "I13": "fac-test 9: leaf_id",
        },
    ),
    (
        "a key's index is not valid",
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "'ledger.leaf_book_id_leaf_id_key'::regclass",
        ),
        {"I5": "missing: unique on ledger.leaf: leaf_book_id_leaf_id_key UNIQUE"},
    ),
)


MISSING_STAYS = "missing: trigger on ledger.entry: CREATE TRIGGER stays BEFORE DELETE OR UPDATE"
GUARDS = (
    # what is altered                    how                                  what I4 names first
    ("a trigger is disabled", "ALTER TABLE ledger.entry DISABLE TRIGGER stays", MISSING_STAYS),
    ("a trigger is dropped", "DROP TRIGGER stays ON ledger.entry", MISSING_STAYS),
    (
        "a trigger acts in replicas only",
        "ALTER TABLE ledger.entry ENABLE REPLICA TRIGGER stays",
        MISSING_STAYS,
    ),
    (
        "a trigger against truncation is dropped",
        "DROP TRIGGER stays_whole ON ledger.leaf",
        "missing: trigger on ledger.leaf: CREATE TRIGGER stays_whole BEFORE TRUNCATE",
    ),
    (
        "the triggers of foreign keys are disabled",
        "ALTER TABLE ledger.account DISABLE TRIGGER ALL",
        "missing: trigger on ledger.account: CREATE TRIGGER stays BEFORE DELETE",
    ),
    (
        "the trigger's function lets all pass",
        "CREATE OR REPLACE FUNCTION ledger.forbid() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END'",
        "missing: function ledger.forbid() owner liandai_owner",
    ),
    (
        "a trigger more, which alters what is posted",
        "CREATE TRIGGER more BEFORE INSERT ON ledger.entry FOR EACH ROW "
        "EXECUTE FUNCTION ledger.forbid()",
        "not ours: trigger on ledger.entry: CREATE TRIGGER more",
    ),
    (
        "a rule that swallows entries",
        "CREATE RULE none AS ON INSERT TO ledger.entry DO INSTEAD NOTHING",
        "not ours: rule ledger.entry none",
    ),
    (
        "a right to update",
        "GRANT UPDATE ON ledger.entry TO liandai_app",
        "not ours: right on ledger.entry: liandai_app UPDATE",
    ),
    (
        "a right to update one column",
        "GRANT UPDATE (amount_minor) ON ledger.entry TO liandai_service",
        "not ours: right on ledger.entry (amount_minor): liandai_service UPDATE",
    ),
    (
        "a right to delete, for everybody",
        "GRANT DELETE ON ledger.leaf TO PUBLIC",
        "not ours: right on ledger.leaf: PUBLIC DELETE",
    ),
    (
        "a member may read the bytes of leaves",
        "GRANT SELECT (bytes) ON ledger.leaf TO liandai_app",
        "missing: right on ledger.leaf (book_id, position, leaf_id, kind, subject, actor,",
    ),
    (
        "an auditor may read no more",
        "REVOKE SELECT ON ledger.cosignature FROM liandai_auditor",
        "missing: right on ledger.cosignature: liandai_auditor SELECT",
    ),
    (
        "row security is disabled",
        "ALTER TABLE ledger.entry DISABLE ROW LEVEL SECURITY",
        "missing: table ledger.entry kind p owner liandai_owner row security forced",
    ),
    (
        "row security does not bind the owner",
        "ALTER TABLE ledger.entry NO FORCE ROW LEVEL SECURITY",
        "missing: table ledger.entry kind p owner liandai_owner row security forced",
    ),
    (
        "another owner",
        "ALTER TABLE ledger.business_day OWNER TO liandai_service",
        "missing: right on ledger.business_day: liandai_service SELECT",
    ),
    (
        "a policy is dropped",
        "DROP POLICY member ON ledger.entry",
        "missing: policy on ledger.entry: member permissive SELECT to liandai_app using ((party =",
    ),
    (
        "a policy shows everything",
        "ALTER POLICY member ON ledger.entry USING (true)",
        "missing: policy on ledger.entry: member permissive SELECT to liandai_app using ((party =",
    ),
    (
        "a policy more",
        "CREATE POLICY more ON ledger.entry FOR SELECT TO liandai_app USING (true)",
        "not ours: policy on ledger.entry: more permissive SELECT to liandai_app using true",
    ),
    (
        "a table is dropped",
        "DROP TABLE ledger.cosignature CASCADE",
        "missing: constraint on ledger.cosignature: ",
    ),
    (
        "a table more",
        "CREATE TABLE ledger.shadow (book_id text)",
        "not ours: table ledger.shadow kind r owner ",
    ),
    (
        "a check of amounts is dropped",
        "ALTER TABLE ledger.entry DROP CONSTRAINT entry_amount_minor_check",
        "missing: constraint on ledger.entry: entry_amount_minor_check CHECK",
    ),
    (
        "the posting function runs as its caller",
        "ALTER FUNCTION ledger.append(text, bytea[]) SECURITY INVOKER",
        "missing: function ledger.append(text, bytea[]) owner liandai_ledger plpgsql as owner",
    ),
    (
        "a member may open days",
        "GRANT EXECUTE ON FUNCTION ledger.open_next_day(text, date) TO liandai_app",
        "not ours: right on function ledger.open_next_day(text, date): liandai_app EXECUTE",
    ),
    (
        "a role passes row security by",
        "ALTER ROLE liandai_app BYPASSRLS",
        "missing: role liandai_app",
    ),
    (
        "a role becomes another",
        "GRANT liandai_service TO liandai_app",
        "not ours: role liandai_app is a member of liandai_service",
    ),
    (
        "triggers are off for a role's sessions",
        "ALTER ROLE liandai_service SET session_replication_role = replica",
        "not ours: setting session_replication_role=replica for role liandai_service",
    ),
)
