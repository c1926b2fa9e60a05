"""Every route, one module a noun. A handler reads the request and calls a service."""

from api.routes import health, ledger, parties

ROUTES = (*health.HANDLERS, *parties.HANDLERS, *ledger.HANDLERS)
