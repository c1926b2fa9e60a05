"""Consents, the information room and who read what, as SQLAlchemy Core sees them."""

from sqlalchemy import ARRAY, Column, Date, DateTime, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables import metadata
from syndicate.parties.tables import institution

consent = Table(
    "consent",
    metadata,
    Column("consent", Text, primary_key=True),
    Column("borrower", ForeignKey(institution.c.institution), nullable=False),
    Column("subject", Text, nullable=False),
    Column("recipient", ForeignKey(institution.c.institution), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", ARRAY(Text), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, nullable=False),
    Column("version", Integer, nullable=False),
    Column("signed", JSONB, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

consent_withdrawal = Table(
    "consent_withdrawal",
    metadata,
    Column("consent", ForeignKey(consent.c.consent), primary_key=True),
    Column("signed", JSONB, nullable=False),
    Column("withdrawn_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

room_fact = Table(
    "room_fact",
    metadata,
    Column("fact", Text, primary_key=True),
    Column("borrower", ForeignKey(institution.c.institution), nullable=False),
    Column("source", ForeignKey(institution.c.institution), nullable=False),
    Column("field_class", Text, nullable=False),
    Column("data_class", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("value", JSONB, nullable=False),
    Column("unit", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

room_access = Table(
    "room_access",
    metadata,
    Column("access", Text, primary_key=True),
    Column("borrower", Text, nullable=False),
    Column("reader", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", ARRAY(Text), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("consents", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("business_day", Date, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)
