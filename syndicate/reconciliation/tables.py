"""Statements, what they came to and how breaks were settled, as SQLAlchemy Core sees them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables import book, metadata
from syndicate.parties.tables import institution

account_mapping = Table(
    "account_mapping",
    metadata,
    Column("bank", ForeignKey(institution.c.institution), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("valid_from", Date, nullable=False),
    Column("codes", JSONB, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

reconciliation = Table(
    "reconciliation",
    metadata,
    Column("book_id", ForeignKey(book.c.book_id), primary_key=True),
    Column("reconciliation", Text, primary_key=True),
    Column("bank", ForeignKey(institution.c.institution), nullable=False),
    Column("since", Date, nullable=False),
    Column("on_day", Date, nullable=False),
    Column("known_size", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("breaks", JSONB, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

outcome = Table(
    "reconciliation_outcome",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("reconciliation", Text, primary_key=True),
    Column("bank", Text, nullable=False),
    Column("statement_sha256", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    schema="syndicate",
)

step = Table(
    "break_step",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("reconciliation", Text, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("bank", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("document_sha256", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("checker", Text),
    Column("business_day", Date, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

attestation = Table(
    "reconciliation_attestation",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("reconciliation", Text, primary_key=True),
    Column("bank", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("attested_by", Text, nullable=False),
    Column("attested_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)
