"""Do two persons stand behind each step here, and are the signed terms the posted ones?

    I15  who takes part in a negotiation's book, from when and until where, follows from its records
    I16  maker and checker differ
    I17  only legal transitions; the accepted terms equal the terms posted, the outcome of a bank's
         statement the one committed to

Every negotiation and facility is folded again from its log: a record that does not follow from
those before it cannot be folded.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import parts
from ledger import service as ledger
from ledger.errors import LiandaiError
from ledger.holding import Check, Seen
from negotiation import service
from negotiation.facts import BankDecided, Override, fact_of
from negotiation.state import Phase
from negotiation.taking_part import parts_of
from negotiation.termsheet import term_sheet, term_sheet_hash
from syndicate.facility import questions, records
from syndicate.facility.drafts import LossDrafted
from syndicate.facility.facts import FacilityFormed, LossFixed, ReleaseApproved
from syndicate.facility.log import FORMED
from syndicate.facility.terms import terms_hash
from syndicate.reconciliation import invariants as reconciliations


async def _let_in(conn: AsyncConnection, seen: Seen) -> None:
    for book in await parts.books(conn, purpose="negotiation"):
        recorded = await ledger.facts(conn, book=book, kinds=("record",))
        try:
            due = parts_of(recorded)
        except (LiandaiError, AssertionError, LookupError, ValueError) as error:
            seen.offence(f"{book}: who takes part does not follow from its records ({error})")
            continue
        await parts.compare(conn, seen, book=book, due=due)


async def _four_eyes(conn: AsyncConnection, seen: Seen) -> None:
    for name in await service.names(conn):
        for item in await ledger.facts(conn, book=name, kinds=("record",)):
            fact = fact_of(item.subject)
            if isinstance(fact, BankDecided | Override):
                seen.looked_at += 1
                if fact.maker == fact.checker or fact.checker != item.actor.user:
                    seen.offence(f"{name} {item.position}: {fact.maker} is also the checker")
    for row in await questions.facilities(conn):
        log = await records.load_anew(conn, row.facility)
        for noted in log.of_type(ReleaseApproved):
            assert isinstance(noted.fact, ReleaseApproved), "of that type"
            seen.looked_at += 1
            if noted.fact.maker == noted.fact.checker or noted.fact.checker != noted.actor.user:
                seen.offence(
                    f"{row.facility} {noted.position}: {noted.fact.maker} is also the checker"
                )
        for noted in log.of_type(LossFixed):
            assert isinstance(noted.fact, LossFixed), "of that type"
            seen.looked_at += 1
            draft = log.drafts.get(f"loss:{noted.fact.loss}")
            if not isinstance(draft, LossDrafted) or draft.maker == noted.actor.user:
                seen.offence(f"{row.facility} {noted.position}: no second person fixed the loss")
    await reconciliations.two_persons(conn, seen)


async def _posted_as_signed(conn: AsyncConnection, seen: Seen) -> None:
    for name in await service.names(conn):
        seen.looked_at += 1
        try:
            state = await service.state_of(conn, negotiation=name)
        except (LiandaiError, AssertionError, KeyError, ValueError) as error:
            seen.offence(f"{name}: its records do not follow from one another ({error})")
            continue
        if state.phase is not Phase.FORMED or state.sheet is None:
            continue
        if term_sheet_hash(term_sheet(state)) != state.sheet.term_sheet_hash:
            seen.offence(f"{name}: its records do not give the sheet that was signed")
        log = await records.load_anew(conn, state.sheet.facility)
        posted = terms_hash(log.state.terms)
        if posted != state.sheet.terms_hash:
            seen.offence(f"{name}: {state.sheet.facility} was formed on other terms than signed")
        formed = log.noted[FORMED].fact
        assert isinstance(formed, FacilityFormed), "a facility's first record forms it"
        if set(state.signatures) != {signed.by for signed in formed.signatures}:
            seen.offence(f"{name}: {state.sheet.facility} lacks a signature of the sheet")
    await reconciliations.as_committed(conn, seen)


CHECKS: Final = (
    Check(
        parts.NAME,
        "parts in negotiations: they begin and end where the records say, and nobody else has one",
        _let_in,
    ),
    Check(
        "I16",
        "decisions, overrides, releases, losses, and what banks said of the record: maker and "
        "checker are two persons",
        _four_eyes,
    ),
    Check(
        "I17",
        "negotiations and banks' statements: each record follows from those before it, the "
        "facility was formed on exactly the signed terms, and what a statement came to is what its "
        "leaf and its signature bind",
        _posted_as_signed,
    ),
)
