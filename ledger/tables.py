"""The ledger's tables as SQLAlchemy Core sees them; the migrations make them, this names them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()
"""The one MetaData of the product: every package's tables stand in it."""

business_day = Table(
    "business_day",
    metadata,
    Column("one", Boolean, CheckConstraint("one"), primary_key=True, server_default="true"),
    Column("open_day", Date, nullable=False),
    schema="ledger",
)

book = Table(
    "book",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("open_day", Date, nullable=False),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Column("accounts", Integer, nullable=False, server_default="0"),
    Column("has_limits", Boolean, nullable=False, server_default="false"),
    schema="ledger",
)

book_day = Table(
    "book_day",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("first_position", BigInteger, nullable=False),
    schema="ledger",
)

salt = Table(
    "salt",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    schema="ledger",
)

participation = Table(
    "participation",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("party", Text, primary_key=True),
    Column("part", Text, nullable=False),
    Column("until_position", BigInteger),
    Column("from_position", BigInteger),
    schema="ledger",
)

leaf = Table(
    "leaf",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", JSONB, nullable=False),
    Column("actor", JSONB, nullable=False),
    Column("corrects", Text),
    Column("value_date", Date, nullable=False),
    Column("booking_date", Date, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("of_leaf", Text),
    UniqueConstraint("book_id", "leaf_id"),
    schema="ledger",
)

account = Table(
    "account",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("account_no", Integer, primary_key=True, autoincrement=False),
    Column("party", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("counterparty", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance_minor", BigInteger, nullable=False, server_default="0"),
    Column("posted", Boolean, nullable=False, server_default="true"),
    Column("pending_debit_minor", BigInteger, nullable=False, server_default="0"),
    Column("pending_credit_minor", BigInteger, nullable=False, server_default="0"),
    Column("side", Text),
    Column("least_minor", BigInteger),
    Column("most_minor", BigInteger),
    UniqueConstraint("book_id", "party", "code", "counterparty", "ref", "currency"),
    schema="ledger",
)

entry = Table(
    "entry",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("line", SmallInteger, primary_key=True, autoincrement=False),
    Column("account_no", Integer, nullable=False),
    Column("party", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_after_minor", BigInteger, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("booking_date", Date, nullable=False),
    Index(
        "entry_by_account",
        "book_id",
        "account_no",
        "position",
        "line",
        postgresql_include=["balance_after_minor"],
    ),
    schema="ledger",
)

pending = Table(
    "pending",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf_id", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("resolved_by", BigInteger),
    UniqueConstraint("book_id", "leaf_id"),
    schema="ledger",
)

pending_line = Table(
    "pending_line",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("line", SmallInteger, primary_key=True, autoincrement=False),
    Column("account_no", Integer, nullable=False),
    Column("party", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    schema="ledger",
)

reversal = Table(
    "reversal",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("of_leaf", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    schema="ledger",
)

head = Table(
    "head",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("frontier", ARRAY(LargeBinary), nullable=False),
    schema="ledger",
)

accrual = Table(
    "accrual",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("accrual_no", Integer, primary_key=True, autoincrement=False),
    Column("accrual", Text, nullable=False),
    Column("base_no", Integer, nullable=False),
    Column("debit_no", Integer, nullable=False),
    Column("credit_no", Integer, nullable=False),
    Column("rate_ppm", BigInteger, nullable=False),
    Column("year_days", Integer, nullable=False),
    Column("through", Date, nullable=False),
    Column("units", Numeric, nullable=False, server_default="0"),
    Column("posted_minor", BigInteger, nullable=False, server_default="0"),
    Column("before_minor", BigInteger, nullable=False, server_default="0"),
    Column("is_ended", Boolean, nullable=False, server_default="false"),
    UniqueConstraint("book_id", "accrual"),
    schema="ledger",
)

leaf_hash = Table(
    "leaf_hash",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("first_position", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    schema="ledger",
)

subtree = Table(
    "subtree",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    schema="ledger",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    schema="ledger",
)

cosignature = Table(
    "cosignature",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", Text, primary_key=True),
    Column("line", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["book_id", "size"], [checkpoint.c.book_id, checkpoint.c.size]),
    schema="ledger",
)

time_stamp = Table(
    "time_stamp",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("authority", Text, primary_key=True),
    Column("stamped_at", DateTime(timezone=True), nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["book_id", "size"], [checkpoint.c.book_id, checkpoint.c.size]),
    schema="ledger",
)
