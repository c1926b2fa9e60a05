"""The business day: which one is open, and closing one after the other (operator)."""

from datetime import date
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody

from api import end_of_day
from api.desk import AtDesk, IdempotencyKey, Work
from api.end_of_day import AlreadyClosing, DaysClosed
from api.identity import any_member, may
from api.problems import HttpRefusal
from ledger import service as ledger

TAGS = ["business days"]


class BusinessDay(msgspec.Struct, frozen=True, kw_only=True):
    """The installation's open business day; booking dates are that day."""

    open_day: date


class Through(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Close every business day until this calendar day is over."""

    through: date


@get("/v1/business-days", guards=[any_member()], tags=TAGS)
async def business_day(desk: AtDesk) -> BusinessDay:
    """The business day that is open now."""
    return BusinessDay(open_day=await desk.ask(ledger.business_day))


@post("/v1/business-days", guards=[may("close-day")], tags=TAGS)
async def close_days(
    data: JSONBody[Through],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
    request: Request[Any, Any, Any],
) -> Response[DaysClosed]:
    """Close business days one after the other (operator), at most 100 at a time.

    Each day is committed by itself; the answer is kept once all are closed. A run that was cut off
    is taken up by asking again, under the same key or another; days closed before are left alone.
    """

    async def use_case(work: Work) -> DaysClosed:
        try:
            return await end_of_day.close_through(
                work.conn, request.app.state.database, through=data.through
            )
        except AlreadyClosing as error:  # no answer to keep under the key: it passes by itself
            raise HttpRefusal(409, error.code, error.detail) from error

    return await desk.command(use_case, key=idempotency_key)


HANDLERS = (business_day, close_days)
