"""Time-stamps of third parties (RFC 3161) under heads of the top log, public.

Nothing is asked of an authority from here: the operator gets the response by its own means.
"""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from api.database import NOBODY, SERVICE
from api.desk import AtDesk, IdempotencyKey, Work
from api.identity import may
from ledger import stamping
from ledger.signatures import decode_base64, encode_base64
from syndicate.parties.institutions import check_id


class NewStamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A response of a time-stamping authority about the checkpoint of that size.

    authority    a short name for it, as "tsa-1"
    certificate  its certificate, PEM
    response     the TimeStampResp, base64 of DER
    """

    authority: str
    certificate: str
    response: str


class LogStamp(msgspec.Struct, frozen=True, kw_only=True):
    """A time-stamp under a head. certificate: base64 of DER, as the operator gave it: trust it only
    after comparing it with what the authority publishes."""

    size: int
    authority: str
    stamped_at: datetime
    certificate: str
    response: str


class LogStamps(msgspec.Struct, frozen=True, kw_only=True):
    """The time-stamps under the top log's head of that size."""

    size: int
    stamps: list[LogStamp]


@post("/v1/log/checkpoints/{size:int}/time-stamps", guards=[may("attach-time-stamp")], tags=["log"])
async def attach(
    size: FromPath[int], data: JSONBody[NewStamp], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[LogStamp]:
    """Put a third party's time-stamp under a head of the top log.

    One that does not hold is refused. An authority's first stamp under a head stays.
    """

    async def use_case(work: Work) -> LogStamp:
        authority = check_id(data.authority, place="$.authority")
        await stamping.stamp(
            work.conn,
            size=size,
            authority=authority,
            certificate=data.certificate.encode(),
            response=decode_base64(data.response, size=None, place="$.response"),
            now=work.now,
        )
        rows = await stamping.stamps(work.conn, size=size)
        return next(_shown(row) for row in rows if row.authority == authority)

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE)


def _shown(row: Any) -> LogStamp:
    return LogStamp(
        size=row.size,
        authority=row.authority,
        stamped_at=row.stamped_at,
        certificate=encode_base64(row.certificate),
        response=encode_base64(row.response),
    )


@get("/v1/log/checkpoints/{size:int}/time-stamps", security=[{}], tags=["log"])
async def stamps(request: Request[Any, Any, Any], size: FromPath[int]) -> LogStamps:
    """The time-stamps of third parties under a head of the top log, public."""
    async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
        rows = await stamping.stamps(conn, size=size)
    return LogStamps(size=size, stamps=[_shown(row) for row in rows])


HANDLERS = (attach, stamps)
