"""What a facility does for its callers: it is formed, carries out commands, closes and opens days.

    form          the book, its members, the first record, the row          as the service
    carry_out     any command of `life`                                     as who gives it
    draft_*       what a second person must check
    approve_*     the second person's word, carried out
    close_day     what the end of a business day brings                     as the clock
    open_day      what the next one brings

Every command holds the facility's book first, so that commands on one facility follow one another.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import WrongInput
from ledger.service import HeldBook
from syndicate.facility import day, drafts, facts, life, records, store
from syndicate.facility.authority import check_may_give
from syndicate.facility.claims import FixLoss
from syndicate.facility.drafts import Draft
from syndicate.facility.errors import NotAParty
from syndicate.facility.facts import Fact
from syndicate.facility.life import ApproveRelease, Command
from syndicate.facility.log import FacilityLog
from syndicate.facility.payments import ConfirmPayment
from syndicate.facility.records import Work
from syndicate.facility.terms import FacilityTerms
from syndicate.parties import service as parties
from syndicate.parties.institutions import InstitutionKind, check_id
from syndicate.parties.statements import Statement

__all__ = [
    "Carried",
    "Drafted",
    "Entered",
    "Work",
    "approve_loss",
    "approve_release",
    "carry_out",
    "close_day",
    "draft_loss",
    "draft_release",
    "form",
    "open_day",
]


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """One record that a command left in the facility's log: its id, place, and what it says."""

    record: str
    position: int
    fact: dict[str, Any]


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """A command was carried out on the open business day; this is what it recorded."""

    facility: str
    booking_date: date
    phase: str
    records: tuple[Entered, ...]


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A draft stands. draft: its digest, which the second person quotes."""

    facility: str
    booking_date: date
    draft: str
    maker: str
    records: tuple[Entered, ...]


# ---- forming


async def form(
    work: Work,
    *,
    terms: FacilityTerms,
    signatures: Sequence[Statement],
    negotiation: str | None,
    salt: bytes,
) -> Carried:
    """The facility exists on exactly these terms, with everyone they name in its book.

    signatures  the term sheet's, verbatim: one of every bank, protector and the borrower, over the
                hash of these terms, by keys that are live now
    salt        32 random bytes that hide balances inside the day seals
    Raises WrongInput for terms that do not hang together or parties that are not what they should
    be. The transaction speaks for the service: nobody else opens a facility's book.
    """
    check_id(terms.facility, place="$.terms.facility")
    formed = life.decide_form(terms, signatures=tuple(signatures))
    await _check_parties(work.conn, terms)
    life.check_signed_by_all(formed)
    await parties.check_signed(work.conn, signatures, now=work.now, place="$.signatures")
    await ledger.open_book(
        work.conn,
        book=terms.facility,
        purpose="facility",
        lead=terms.lead,
        members=[party for party in terms.parties if party != terms.lead],
        salt=salt,
    )
    await store.add_facility(
        work.conn,
        facility=terms.facility,
        negotiation=negotiation,
        borrower=terms.borrower,
        lead=terms.lead,
        form=terms.form,
        currency=terms.currency,
        total_minor=terms.total_minor,
        signed_on=terms.signed_on,
    )
    held = await ledger.hold(work.conn, book=terms.facility)
    return await _entered(work, held, before=None, brought=(formed,))


async def _check_parties(conn: AsyncConnection, terms: FacilityTerms) -> None:
    """Nothing: banks lend, guarantors and pools protect, a borrower borrows; all are on board."""
    kinds = {row.institution: row.kind for row in await parties.institutions(conn)}
    for index, bank in enumerate(terms.seats):
        _check_kind(kinds, bank, ("bank",), place=f"$.terms.seats[{index}]")
    for index, protector in enumerate(terms.protectors):
        place = f"$.terms.protectors[{index}].party"
        _check_kind(kinds, protector.party, (protector.kind,), place=place)
    _check_kind(kinds, terms.borrower, ("borrower",), place="$.terms.borrower")


def _check_kind(
    kinds: dict[str, InstitutionKind],
    party: str,
    wanted: tuple[InstitutionKind, ...],
    *,
    place: str,
) -> None:
    if kinds.get(party) not in wanted:
        raise WrongInput(place, f"a registered {' or '.join(wanted)}")


# ---- commands


async def carry_out(work: Work, *, facility: str, command: Command) -> Carried:
    """The command's facts stand in the facility's log, posted where they move money.

    Raises Absent for a facility the asker has no part in, the refusals of `check_may_give` and of
    `life.decide`, and WrongInput for a signature that does not hold.
    """
    held, log = await _held(work, facility)
    return await _carry_out(work, held, log, command)


async def draft_release(work: Work, *, facility: str, draw: str, loan_no: str) -> Drafted:
    """The asker's bank has a draft of its release of a draw, for a second person to check."""
    held, log = await _held(work, facility)
    draft = drafts.draft_release(
        log.state,
        draw=draw,
        bank=work.actor.institution,
        loan_no=loan_no,
        maker=work.actor.user,
    )
    return await _draft(work, held, draft)


async def approve_release(
    work: Work, *, facility: str, draw: str, bank: str, draft: str, signed: Statement
) -> Carried:
    """The bank lets its part of the draw go, exactly as drafted.

    draft   digest of the draft that was looked at
    signed  the bank's statement of kind `release` over `life.release_body`
    Raises NotAParty for anybody else, NotReady without a draft, StaleDraft for another one,
    SameHands for its maker.
    """
    held, log = await _held(work, facility)
    if bank != work.actor.institution:
        raise NotAParty(work.actor.institution, needed=f"{bank}, whose release this is")
    command = drafts.checked_release(
        log.drafts,
        draw=draw,
        bank=bank,
        checker=work.actor.user,
        quoted=draft,
        signed=signed,
    )
    return await _carry_out(work, held, log, command)


async def draft_loss(work: Work, *, facility: str, command: FixLoss) -> Drafted:
    """The lead has a draft of a final loss, for a second person to check."""
    held, log = await _held(work, facility)
    check_may_give(log.state, command, institution=work.actor.institution)
    draft = drafts.draft_loss(log.state, command, maker=work.actor.user, today=held.open_day)
    return await _draft(work, held, draft)


async def approve_loss(work: Work, *, facility: str, loss: str, draft: str) -> Carried:
    """The lead fixes the loss, exactly as drafted. Raises as `approve_release`."""
    held, log = await _held(work, facility)
    command = drafts.checked_loss(log.drafts, loss=loss, checker=work.actor.user, quoted=draft)
    return await _carry_out(work, held, log, command)


async def _held(work: Work, facility: str) -> tuple[HeldBook, FacilityLog]:
    await records.check_facility(work.conn, facility)
    held = await ledger.hold(work.conn, book=facility)
    return held, await records.load(work.conn, facility)


async def _carry_out(work: Work, held: HeldBook, log: FacilityLog, command: Command) -> Carried:
    check_may_give(log.state, command, institution=work.actor.institution)
    if isinstance(command, ConfirmPayment | ApproveRelease) and isinstance(
        command.signed, Statement
    ):
        await parties.check_signed(work.conn, [command.signed], now=work.now, place="$.signed")
    if isinstance(command, ConfirmPayment) and command.value_date < held.open_day:
        # An old facility's days take seconds to run again: other requests go on meanwhile.
        brought = await asyncio.to_thread(life.decide, log.state, command, today=held.open_day)
    else:
        brought = life.decide(log.state, command, today=held.open_day)
    return await _entered(work, held, before=log, brought=brought)


async def _draft(work: Work, held: HeldBook, draft: Draft) -> Drafted:
    (position,) = await records.enter_draft(work, held, draft)
    record = Entered(record=f"{work.command}:0", position=position, fact=msgspec.to_builtins(draft))
    return Drafted(
        facility=held.book,
        booking_date=held.open_day,
        draft=drafts.digest(draft),
        maker=draft.maker,
        records=(record,),
    )


async def _entered(
    work: Work, held: HeldBook, *, before: FacilityLog | None, brought: Sequence[Fact]
) -> Carried:
    positions, state = await records.enter(work, held, before=before, brought=brought)
    return Carried(
        facility=held.book,
        booking_date=held.open_day,
        phase=state.phase,
        records=tuple(
            Entered(
                record=f"{work.command}:{number}",
                position=position,
                fact=facts.subject_of(fact),
            )
            for number, (position, fact) in enumerate(zip(positions, brought, strict=True))
        ),
    )


# ---- days


async def close_day(work: Work, held: HeldBook) -> int:
    """What the end of the open business day brings stands in the log: how many records.

    Overdue marks and classes that changed; asked again on the same day it brings nothing.

    held  the facility's book, as it stands in this transaction
    """
    log = await records.load(work.conn, held.book)
    return await _bring(work, held, log, day.closing(log.state, held.open_day))


async def open_day(work: Work, held: HeldBook) -> int:
    """What the business day now open brings stands in the log: how many records.

    Interest of the nights since the last one, new rates, instalments due. Raises the refusals of
    `day.opening`: the transaction that opened the day must not stand then.

    held  the facility's book, as it stands in this transaction
    """
    log = await records.load(work.conn, held.book)
    return await _bring(work, held, log, day.opening(log.state, held.open_day))


async def _bring(work: Work, held: HeldBook, log: FacilityLog, brought: Sequence[Fact]) -> int:
    if brought:
        await records.enter(work, held, before=log, brought=brought)
    return len(brought)
