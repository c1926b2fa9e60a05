"""The chain behind an entry or a payment: in one answer, from the cash back to the mandate."""

from litestar import get
from litestar.params import FromPath, FromQuery

from api.desk import AtDesk
from api.identity import may
from api.routes.facility_desk import ROOT, TAGS, known, viewer_at
from negotiation import tracing
from negotiation.tracing import Chain


@get(f"{ROOT}/chain", guards=[may("read-ledger")], tags=TAGS)
async def chain(
    desk: AtDesk,
    facility: FromPath[str],
    record: FromQuery[str | None] = None,
    payment: FromQuery[str | None] = None,
    known_size: FromQuery[int | None] = None,
) -> Chain:
    """Everything an entry's record or a payment rests on, each link with its place and leaf hash.

    Confirmation and its signer, instruction, approval by maker and checker, each bank's decision,
    the term sheet with its signatures, the mandate; and every source document named on the way.
    """
    name = known(facility)
    return await desk.ask(
        lambda conn: tracing.chain(
            conn,
            facility=name,
            record=record,
            payment=payment,
            viewer=viewer_at(desk),
            known_size=known_size,
        )
    )


HANDLERS = (chain,)
