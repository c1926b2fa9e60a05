"""Institutions, people, keys and capital figures, as SQLAlchemy Core sees them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
)

from ledger.tables import metadata

institution = Table(
    "institution",
    metadata,
    Column("institution", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("uscc", Text, unique=True),
    Column("salt", LargeBinary),
    Column("illustrative", Boolean, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

person = Table(
    "person",
    metadata,
    Column("person", Text, primary_key=True),
    Column("institution", ForeignKey(institution.c.institution), nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

institution_key = Table(
    "institution_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("institution", ForeignKey(institution.c.institution), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

key_revocation = Table(
    "key_revocation",
    metadata,
    Column("key", ForeignKey(institution_key.c.key), primary_key=True),
    Column("revoked_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)

capital = Table(
    "capital",
    metadata,
    Column("institution", ForeignKey(institution.c.institution), primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("net_capital_minor", BigInteger, nullable=False),
    Column("tier1_minor", BigInteger, nullable=False),
    Column("illustrative", Boolean, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    schema="syndicate",
)
