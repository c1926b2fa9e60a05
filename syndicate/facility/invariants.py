"""Do the facilities' shares sum, on this database, now? Judged again from each facility's log.

    I12  participants' shares sum to the facility amount to the fen
    I15  who takes part in a facility's book is who its terms name, from its first leaf on

Nothing that a service computed is believed: commitments, draws, repayments, losses and recoveries
are summed here from the records.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import parts
from ledger import service as ledger
from ledger.errors import WrongInput
from ledger.holding import Check, Seen
from ledger.parts import Part
from ledger.service import Recorded
from syndicate.facility import facts, questions, records
from syndicate.facility.facts import DrawRequested, FacilityFormed, LossFixed, PaymentConfirmed
from syndicate.facility.log import FacilityLog, Noted


async def _shares_sum(conn: AsyncConnection, seen: Seen) -> None:
    for row in await questions.facilities(conn):
        log = await records.load_anew(conn, row.facility)
        seen.looked_at += 1
        terms = log.state.terms
        if terms.total_minor != row.total_minor or set(terms.commitments) != set(terms.seats):
            seen.offence(f"{row.facility} 0: the commitments are not the facility amount")
        for noted in log.of_type(DrawRequested, LossFixed, PaymentConfirmed):
            seen.looked_at += 1
            for flaw in _flaws(log, noted):
                seen.offence(f"{row.facility} {noted.position}: {flaw}")


async def _let_in(conn: AsyncConnection, seen: Seen) -> None:
    for book in await parts.books(conn, purpose="facility"):
        first = await ledger.facts(conn, book=book, limit=1)
        await parts.compare(conn, seen, book=book, due=let_in(first))


def let_in(first: Sequence[Recorded]) -> dict[str, Part]:
    """Who takes part in a facility's book, by party: everyone its terms name, and for good.

    first  the book's first record; nobody where it forms no facility
    """
    try:
        formed = None if not first else facts.fact_of(first[0].subject)
    except WrongInput:
        formed = None
    if not isinstance(formed, FacilityFormed):
        return {}
    named = {party: Part(part="member", begins=0) for party in formed.terms.parties}
    return named | {formed.terms.lead: Part(part="lead", begins=None)}


def _flaws(log: FacilityLog, noted: Noted) -> Iterator[str]:
    """What does not sum in one fact."""
    match noted.fact:
        case DrawRequested(parts=parts, amount_minor=amount_minor):
            if sum(parts.values()) != amount_minor or min(parts.values()) < 0:
                yield f"the parts of the draw sum to {sum(parts.values())}, not {amount_minor}"
            if set(parts) != set(log.state.terms.seats):
                yield "the draw is not split over the seats"
        case LossFixed(parts=parts, reductions=reductions, amount_minor=amount_minor):
            for name, shares in (("parts", parts), ("reductions", reductions)):
                summed = sum(shares.values())
                if summed != amount_minor or min(shares.values()) < 0:
                    yield f"the {name} of the loss sum to {summed}, not {amount_minor}"
        case PaymentConfirmed(met=met, shares=shares, amount_minor=amount_minor):
            if met and sum(item.amount_minor for item in met) != amount_minor:
                yield f"what the payment met does not sum to {amount_minor}"
            if shares and sum(shares.values()) != amount_minor:
                yield f"the shares of the recovery do not sum to {amount_minor}"


CHECKS: Final = (
    Check(
        "I12",
        "facilities, draws, losses and payments: their shares sum to the amount to the fen",
        _shares_sum,
    ),
    Check(
        parts.NAME,
        "parts in facilities: those its terms name, none else, and none of them ended",
        _let_in,
    ),
)
