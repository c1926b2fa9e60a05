"""Which negotiations there are, and the quotes, which only their bank and the lead may read."""

from sqlalchemy import Column, Date, DateTime, ForeignKey, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables import book, metadata
from syndicate.parties.tables import institution

deal = Table(
    "deal",
    metadata,
    Column("deal", ForeignKey(book.c.book_id), primary_key=True),
    Column("borrower", ForeignKey(institution.c.institution), nullable=False),
    Column("lead", ForeignKey(institution.c.institution), nullable=False),
    Column("project", Text, nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("mandate_until", Date, nullable=False),
    schema="negotiation",
)

quote = Table(
    "quote",
    metadata,
    Column("deal", ForeignKey(deal.c.deal), primary_key=True),
    Column("bank", ForeignKey(institution.c.institution), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("quote", JSONB),
    Column("salt", LargeBinary, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    schema="negotiation",
)
