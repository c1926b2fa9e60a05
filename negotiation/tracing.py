"""From an entry of a facility back to the table: who agreed to what, by which persons, signed how.

The chain joins what a record rests on in its facility with what the facility itself rests on: each
bank's decision (独立审批) by maker and checker, the rules it was judged by, the clearing, the
version of the terms that all accepted, the mandate, and the term sheet with every signature. It
only reads, and shows of the negotiation what the asker takes part in.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import known, service
from ledger.known import KnownBook
from ledger.service import Recorded
from negotiation.facts import (
    Accepted,
    BankDecided,
    BookCleared,
    DecisionDrafted,
    FacilityAgreed,
    Fact,
    MandateGiven,
    Override,
    OverrideAsked,
    Proposed,
    RulesChecked,
    TermsAgreed,
    TermSheetDrawn,
    TermSheetSigned,
    fact_of,
)
from negotiation.rounds import fold
from negotiation.service import agreement_of
from negotiation.state import Negotiation
from syndicate.facility import history
from syndicate.facility.history import Document, Link
from syndicate.facility.views import Viewer


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry rests on, the latest first: confirmation, instruction, approval, decisions,
    term sheet, mandate.

    books      the facility's book and the negotiation's, each with its size and head
    documents  every source document named on the way, each once, in the order of the links
    """

    facility: str
    record: str
    negotiation: str | None
    books: tuple[KnownBook, ...]
    links: tuple[Link, ...]
    documents: tuple[Document, ...]


async def chain(
    conn: AsyncConnection,
    *,
    facility: str,
    record: str | None,
    payment: str | None,
    viewer: Viewer,
    known_size: int | None,
) -> Chain:
    """The whole chain behind a record of a facility, or behind a payment's last record.

    known_size  of the facility's book. Raises what `history.rests_on` raises.
    """
    rested = await history.rests_on(
        conn,
        facility=facility,
        record=record,
        payment=payment,
        viewer=viewer,
        known_size=known_size,
    )
    books, links = [rested.at], list(rested.links)
    if rested.negotiation is not None:
        at, before = await _negotiated(conn, rested.negotiation, facility, viewer)
        books += at
        links += before
    documents = dict.fromkeys(document for link in links for document in link.documents)
    return Chain(
        facility=facility,
        record=rested.record,
        negotiation=rested.negotiation,
        books=tuple(books),
        links=tuple(links),
        documents=tuple(documents),
    )


async def _negotiated(
    conn: AsyncConnection, negotiation: str, facility: str, viewer: Viewer
) -> tuple[list[KnownBook], list[Link]]:
    """What the facility rests on in the negotiation, the latest first; nothing for who has no part
    in it. Up to the leaf that formed the facility, so that nothing later changes it."""
    recorded = await service.facts(conn, book=negotiation, kinds=("record",))
    formed = [n for n, item in enumerate(recorded) if _forms(item, facility)]
    if not formed:
        return [], []
    recorded = recorded[: formed[0] + 1]
    facts = [fact_of(item.subject) for item in recorded]
    state = fold(facts)
    assert state is not None, "a negotiation begins with its first fact"
    links = [
        history.link_of(
            book=negotiation, name=None, fact=fact, noted=item, leaf_hash=item.hash.hex()
        )
        for item, fact in zip(recorded, facts, strict=True)
        if _is_ground(state, fact, viewer)
    ]
    heads = await known.with_heads(conn, [(negotiation, recorded[-1].position + 1)])
    return list(heads), links[::-1]


def _forms(item: Recorded, facility: str) -> bool:
    return (item.subject.get("type"), item.subject.get("facility")) == ("FacilityAgreed", facility)


def _is_ground(state: Negotiation, fact: Fact, viewer: Viewer) -> bool:
    """Whether the agreed facility rests on the fact, as far as the asker may see: the borrower is
    told its own mandate and the sheet that all signed, not how the banks came to it."""
    match fact:
        case MandateGiven() | TermSheetDrawn() | TermSheetSigned() | FacilityAgreed():
            return True
        case _ if viewer.institution == state.mandate.borrower:
            return False
        case Proposed(version=version) | Accepted(version=version) | TermsAgreed(version=version):
            return version == state.agreed
        case BookCleared(quotes_hash=quotes):
            return state.clearing is not None and quotes == state.clearing.quotes_hash
        case OverrideAsked():
            return True
        case (
            RulesChecked(agreement=agreement)
            | Override(agreement=agreement)
            | DecisionDrafted(agreement=agreement)
            | BankDecided(agreement=agreement)
        ):
            return agreement == agreement_of(state)
        case _:
            return False
