"""The tables that face the world: the installation, tokens, answers given, saved queries."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables import metadata
from syndicate.parties import tables as parties

installation = Table(
    "installation",
    metadata,
    Column("one", Boolean, CheckConstraint("one"), primary_key=True, server_default="true"),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("log_key", Text, nullable=False),
    Column("founded_at", DateTime(timezone=True), nullable=False),
    schema="api",
)

token = Table(
    "token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("person", ForeignKey(parties.person.c.person), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    schema="api",
)

token_revocation = Table(
    "token_revocation",
    metadata,
    Column("token_hash", ForeignKey(token.c.token_hash), primary_key=True),
    Column("revoked_at", DateTime(timezone=True), nullable=False),
    schema="api",
)

answer = Table(
    "answer",
    metadata,
    Column("institution", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("answered_at", DateTime(timezone=True), nullable=False),
    Column("promise", Text),
    schema="api",
)

saved_query = Table(
    "saved_query",
    metadata,
    Column("institution", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("question", JSONB),
    Column("person", Text, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    schema="api",
)
