"""The filters of a question as query parameters: the same ones wherever entries are asked for."""

from datetime import date
from typing import Literal

from litestar.di import NamedDependency
from litestar.params import FromQuery

from api.fact_types import check_fact
from ledger.errors import WrongInput
from ledger.wanted import Wanted, check_wanted


async def provide_filters(
    party: FromQuery[str | None] = None,
    code: FromQuery[str | None] = None,
    counterparty: FromQuery[str | None] = None,
    ref: FromQuery[str | None] = None,
    currency: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
    fact: FromQuery[str | None] = None,
    record: FromQuery[str | None] = None,
    reference: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    institution: FromQuery[str | None] = None,
    person: FromQuery[str | None] = None,
    side: FromQuery[Literal["debit", "credit"] | None] = None,
    amount_from: FromQuery[int | None] = None,
    amount_until: FromQuery[int | None] = None,
    value_from: FromQuery[date | None] = None,
    value_until: FromQuery[date | None] = None,
    booking_from: FromQuery[date | None] = None,
    booking_until: FromQuery[date | None] = None,
) -> Wanted:
    """The filters of the request, checked."""
    wanted = Wanted(
        party=party,
        code=code,
        counterparty=counterparty,
        ref=ref,
        currency=currency,
        kind=kind,
        fact=fact,
        record=record,
        reference=reference,
        source=source,
        institution=institution,
        person=person,
        side=side,
        amount_from=amount_from,
        amount_until=amount_until,
        value_from=value_from,
        value_until=value_until,
        booking_from=booking_from,
        booking_until=booking_until,
    )
    check_wanted(wanted)
    check_fact(wanted.fact)
    return wanted


async def provide_account(
    party: FromQuery[str | None] = None,
    code: FromQuery[str | None] = None,
    counterparty: FromQuery[str | None] = None,
    ref: FromQuery[str | None] = None,
    currency: FromQuery[str | None] = None,
) -> Wanted:
    """The accounts of the request, by parts of their name."""
    wanted = Wanted(party=party, code=code, counterparty=counterparty, ref=ref, currency=currency)
    check_wanted(wanted)
    return wanted


AtFilters = NamedDependency[Wanted]
"""How a handler asks for the filters of its request."""


def books_of(text: str | None) -> tuple[str, ...]:
    """The books a comma-separated list names; () where none is given."""
    if text is None:
        return ()
    books = tuple(text.split(","))
    if not all(books):
        raise WrongInput("books", "ids of books, comma-separated")
    return books
