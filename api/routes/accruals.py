"""Standing accruals of a member's own books: set, altered, ended; what they are and how far."""

from datetime import date
from typing import Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk, IdempotencyKey, Work
from api.identity import may
from ledger import accrual_service
from ledger import service as ledger
from ledger.accrual import Terms
from ledger.entries import Account

TAGS = ["house books"]


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of your accounts by code and ref; ref is "" where it is about the whole book."""

    code: str
    ref: str


class StandingAccrual(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """On the balance of `base`, each night, `debit` is debited and `credit` credited.

    accrual    your own name for it, for ever
    rate_ppm   parts per million a year: 3.45 % is 34500
    year_days  360 (ACT/360) or 365 (ACT/365F)

    Posted each morning is what the exact cumulative amount rounds to, less what was posted before.
    Sent again under the same name, only the rate may differ; it holds from the open day on.
    """

    accrual: str
    currency: str
    base: Side
    debit: Side
    credit: Side
    rate_ppm: int
    year_days: Literal[360, 365]


class AccrualSet(msgspec.Struct, frozen=True, kw_only=True):
    """The accrual stands, or has ended, as the book's record at this position says."""

    book: str
    accrual: str
    position: int


class AccrualNow(msgspec.Struct, frozen=True, kw_only=True):
    """An accrual and how far it is. exact: the cumulative amount in minor units, as a fraction."""

    accrual: str
    currency: str
    base: Side
    debit: Side
    credit: Side
    rate_ppm: int
    year_days: int
    through: date
    posted_minor: int
    exact: str
    is_ended: bool


class Accruals(msgspec.Struct, frozen=True, kw_only=True):
    """The book's accruals in the order in which they were begun."""

    book: str
    accruals: list[AccrualNow]


@post("/v1/books/{book:str}/accruals", guards=[may("post-own")], tags=TAGS)
async def set_accrual(
    book: FromPath[str],
    data: JSONBody[StandingAccrual],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[AccrualSet]:
    """Set a standing accrual in a book of your own, or alter its rate."""

    def account(side: Side) -> Account:
        return Account(desk.asker.institution, side.code, "", side.ref, data.currency)

    async def use_case(work: Work) -> AccrualSet:
        position = await accrual_service.set_accrual(
            work.conn,
            book=book,
            terms=Terms(
                accrual=data.accrual,
                base=account(data.base),
                debit=account(data.debit),
                credit=account(data.credit),
                rate_ppm=data.rate_ppm,
                year_days=data.year_days,
            ),
            command=work.command,
            actor=work.actor,
            now=work.now,
        )
        return AccrualSet(book=book, accrual=data.accrual, position=position)

    return await desk.command(use_case, key=idempotency_key, book=book)


@post("/v1/books/{book:str}/accruals/{accrual:str}/end", guards=[may("post-own")], tags=TAGS)
async def end_accrual(
    book: FromPath[str],
    accrual: FromPath[str],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[AccrualSet]:
    """End a standing accrual: nothing is accrued from the open day on."""

    async def use_case(work: Work) -> AccrualSet:
        position = await accrual_service.end_accrual(
            work.conn,
            book=book,
            accrual=accrual,
            command=work.command,
            actor=work.actor,
            now=work.now,
        )
        return AccrualSet(book=book, accrual=accrual, position=position)

    return await desk.command(use_case, key=idempotency_key, book=book)


@get("/v1/books/{book:str}/accruals", guards=[may("read-ledger")], tags=TAGS)
async def accruals(book: FromPath[str], desk: AtDesk) -> Accruals:
    """Standing accruals of a book, and how far they are."""

    async def question(conn: AsyncConnection) -> Accruals:
        await ledger.book(conn, book=book)  # Absent where the asker has no part in it
        found = await accrual_service.accruals(conn, book=book)
        return Accruals(book=book, accruals=[_now(standing) for standing in found])

    return await desk.ask(question)


def _now(standing: accrual_service.Standing) -> AccrualNow:
    terms, state = standing.terms, standing.state
    return AccrualNow(
        accrual=terms.accrual,
        currency=terms.base.currency,
        base=Side(code=terms.base.code, ref=terms.base.ref),
        debit=Side(code=terms.debit.code, ref=terms.debit.ref),
        credit=Side(code=terms.credit.code, ref=terms.credit.ref),
        rate_ppm=terms.rate_ppm,
        year_days=terms.year_days,
        through=state.through,
        posted_minor=state.posted_minor,
        exact=str(standing.exact_minor),
        is_ended=standing.is_ended,
    )


HANDLERS = (set_accrual, end_accrual, accruals)
