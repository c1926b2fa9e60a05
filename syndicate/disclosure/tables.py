"""Consents, the information room and who read what, as SQLAlchemy Core sees them."""

from sqlalchemy import (
    ARRAY,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables import metadata
from syndicate.parties.tables import institution

consent = Table(
    "consent",
    metadata,
    Column("borrower", ForeignKey(institution.c.institution), primary_key=True),
    Column("consent", Text, primary_key=True),
    Column("person", Text),
    Column("recipient", ForeignKey(institution.c.institution), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", ARRAY(Text), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, nullable=False),
    Column("version", Integer, nullable=False),
    Column("evidence", Text),
    Column("signed", JSONB, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

consent_withdrawal = Table(
    "consent_withdrawal",
    metadata,
    Column("borrower", Text, primary_key=True),
    Column("consent", Text, primary_key=True),
    Column("signed", JSONB, nullable=False),
    Column("withdrawn_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["borrower", "consent"], [consent.c.borrower, consent.c.consent]),
    schema="syndicate",
)

room_fact = Table(
    "room_fact",
    metadata,
    Column("fact", Text, primary_key=True),
    Column("room", Text, nullable=False),
    Column("borrower", ForeignKey(institution.c.institution), nullable=False),
    Column("item", Text, nullable=False),
    Column("field_class", Text, nullable=False),
    Column("data_class", Text, nullable=False),
    Column("person", Text),
    Column("value", JSONB, nullable=False),
    Column("unit", Text, nullable=False),
    Column("source", ForeignKey(institution.c.institution), nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("assessment", Text),
    Column("salt", LargeBinary, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("room_fact_by_room", "borrower", "room"),
    schema="syndicate",
)

room_access = Table(
    "room_access",
    metadata,
    Column("access", Text, primary_key=True),
    Column("room", Text, nullable=False),
    Column("borrower", Text, nullable=False),
    Column("reader", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", ARRAY(Text), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("consents", ARRAY(Text), nullable=False),
    Column("missing", ARRAY(Text), nullable=False),
    Column("facts", ARRAY(Text), nullable=False),
    Column("business_day", Date, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("room_access_by_time", "borrower", "recorded_at", "access"),
    schema="syndicate",
)
