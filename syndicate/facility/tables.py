"""Which facilities there are; what happened in them stands in their books' logs."""

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Table, Text

from ledger.tables import book, metadata
from syndicate.parties.tables import institution

facility = Table(
    "facility",
    metadata,
    Column("facility", ForeignKey(book.c.book_id), primary_key=True),
    Column("negotiation", ForeignKey(book.c.book_id)),
    Column("borrower", ForeignKey(institution.c.institution), nullable=False),
    Column("lead", ForeignKey(institution.c.institution), nullable=False),
    Column("form", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("signed_on", Date, nullable=False),
    schema="syndicate",
)
