"""The book of a negotiation: quotes in steps, private to their bank and the lead, cleared once."""

import secrets
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from api import desk as counter
from api.desk import SERVICE, AtDesk, IdempotencyKey
from api.identity import may
from api.routes.negotiation_desk import (
    ROOT,
    TAGS,
    BookTerms,
    NewQuote,
    Seen,
    Workdays,
    move,
    seen,
    work_of,
)
from ledger.errors import WrongInput
from negotiation import quotes_service
from negotiation.moves import (
    ExtendBook,
    OpenBook,
)
from negotiation.quotes_service import Placed, SeenQuotes


@post(ROOT + "/{negotiation:str}/book", guards=[may("open-book")], tags=TAGS)
async def open_book(
    negotiation: FromPath[str],
    data: JSONBody[BookTerms],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Open the book of quotes on the agreed terms (lead)."""
    made = OpenBook(
        by=desk.asker.institution,
        mode=data.mode,
        rules=tuple(data.rules),
        quotes_within_workdays=data.quotes_within_workdays,
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/book/extensions", guards=[may("open-book")], tags=TAGS)
async def extend_book(
    negotiation: FromPath[str],
    data: JSONBody[Workdays],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take quotes for some working days more (lead)."""
    made = ExtendBook(by=desk.asker.institution, workdays=data.workdays)
    return await move(desk, idempotency_key, negotiation, made)


def _salt(text: str | None) -> bytes:
    if text is None:
        return secrets.token_bytes(32)
    try:
        salt = bytes.fromhex(text)
    except ValueError:
        salt = b""
    if len(salt) != 32:
        raise WrongInput("$.salt", "64 hex digits")
    return salt


@post(ROOT + "/{negotiation:str}/quotes", guards=[may("place-quote")], tags=TAGS)
async def place_quote(
    negotiation: FromPath[str],
    data: JSONBody[NewQuote],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Placed]:
    """Place your quote, or a better one instead of it; only you and the lead can read it."""
    salt = _salt(data.salt)

    async def use_case(work: counter.Work) -> Placed:
        return await quotes_service.place_quote(
            work_of(work),
            negotiation=negotiation,
            quote=data.quote,
            salt=salt,
            signed=data.signed,
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(
    ROOT + "/{negotiation:str}/quotes/body",
    guards=[may("place-quote")],
    tags=TAGS,
    status_code=200,
)
async def quote_to_sign(
    negotiation: FromPath[str], data: JSONBody[NewQuote], desk: AtDesk
) -> dict[str, Any]:
    """The body to sign (kind "quote") before placing this quote with this salt. Changes nothing."""
    if data.salt is None:
        raise WrongInput("$.salt", "64 hex digits of your own, to sign over")
    salt = _salt(data.salt)
    return await desk.ask(
        lambda conn: quotes_service.quote_to_sign(
            conn,
            negotiation=negotiation,
            bank=desk.asker.institution,
            quote=data.quote,
            salt=salt,
        )
    )


@post(ROOT + "/{negotiation:str}/quotes/withdrawal", guards=[may("withdraw-quote")], tags=TAGS)
async def withdraw_quote(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Take your quote back while the book is open."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await quotes_service.withdraw_quote(work_of(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@get(ROOT + "/{negotiation:str}/quotes", guards=[may("read-negotiation")], tags=TAGS)
async def quotes(negotiation: FromPath[str], desk: AtDesk) -> SeenQuotes:
    """The quotes you may see: the lead all, a bank its own, all banks the offers together."""
    viewer = desk.asker.institution
    state, own = await desk.ask(
        lambda conn: quotes_service.quotes_seen(conn, negotiation=negotiation, viewer=viewer)
    )
    together = await desk.ask(
        lambda conn: quotes_service.offers_together(conn, state, viewer=viewer), standing=SERVICE
    )
    return SeenQuotes(quotes=own, together=together)


@post(ROOT + "/{negotiation:str}/clearing", guards=[may("clear-book")], tags=TAGS)
async def clear(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Clear the book once its time is over (lead): one spread, one allocation, or the clash."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await quotes_service.clear_book(work_of(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


HANDLERS = (
    open_book,
    extend_book,
    place_quote,
    quote_to_sign,
    withdraw_quote,
    quotes,
    clear,
)
