"""Every route, one module a noun. A handler reads the request and calls a service."""

from api.routes import (
    business_days,
    disclosure,
    facilities,
    facility_cash,
    health,
    house_books,
    house_pendings,
    house_standing,
    ledger,
    log_proofs,
    log_stamps,
    log_tiles,
    ledger_entries,
    ledger_proofs,
    negotiation_agreement,
    negotiation_book,
    negotiations,
    parties,
    reconciliation,
    saved_queries,
)

ROUTES = (
    *health.HANDLERS,
    *parties.HANDLERS,
    *disclosure.HANDLERS,
    *ledger.HANDLERS,
    *log_proofs.HANDLERS,
    *log_stamps.HANDLERS,
    *log_tiles.HANDLERS,
    *ledger_entries.HANDLERS,
    *ledger_proofs.HANDLERS,
    *saved_queries.HANDLERS,
    *negotiations.HANDLERS,
    *negotiation_book.HANDLERS,
    *negotiation_agreement.HANDLERS,
    *facilities.HANDLERS,
    *facility_cash.HANDLERS,
    *business_days.HANDLERS,
    *house_books.HANDLERS,
    *house_pendings.HANDLERS,
    *house_standing.HANDLERS,
    *reconciliation.HANDLERS,
)
BULK_ROUTES = (
    *house_books.BULK_HANDLERS,
    *house_pendings.BULK_HANDLERS,
    *reconciliation.BULK_HANDLERS,
)
"""Routes whose bodies may be longer."""
