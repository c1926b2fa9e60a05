"""What happens when a bank sends its statement, asks for our side, or maps its accounts.

    our_side       what we say for a bank and a day, as known at a published log size
    submit         the statement is judged against it, once; a leaf commits to what it came to
    page           which reconciliations there are, with their counts
    make_mapping   a version more of the bank's own accounts

How breaks are settled and the whole is signed is in `settling_service`.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, Conflict
from ledger.house import PREFIX
from ledger.service import HeldBook, Item
from ledger.store import Found
from syndicate.facility import questions
from syndicate.facility.errors import NotAParty
from syndicate.facility.records import Work
from syndicate.reconciliation import formats, house_record, mapping, outcome, record, store
from syndicate.reconciliation.causes import Cause, Outcome, judge
from syndicate.reconciliation.formats import Upload
from syndicate.reconciliation.house_record import Moved
from syndicate.reconciliation.mapping import AccountMapping
from syndicate.reconciliation.record import AROUND, OurSide, check_period
from syndicate.reconciliation.statement import MAX_LINES

ENTRY_KINDS = ("transaction", "posting", "reversal")


class StatementStands(Conflict):
    """The very same file is the day's last statement already. Fields: reconciliation."""

    code = "statement-stands"

    def __init__(self, reconciliation: str) -> None:
        super().__init__(
            f"this very statement stands as {reconciliation}", reconciliation=reconciliation
        )


class TooMuchCash(Conflict):
    """More movements than a statement may hold: ask for a shorter period."""

    code = "period-too-long"


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """A statement was judged.

    supersedes  the day's statement before this one, which stays on record
    breaks      how many lines differ, by cause
    known_size  how many leaves of the book's log were known: the published size it was made at
    record      the leaf that commits to the outcome
    """

    reconciliation: str
    version: int
    supersedes: str | None
    since: date
    on: date
    known_size: int
    statement_sha256: str
    outcome_sha256: str
    matched: int
    breaks: dict[Cause, int]
    record: str
    position: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A reconciliation in numbers.

    known_size   how many leaves of the book's log were known: the published size it was made at
    attested_at  when the bank signed it, null before
    """

    reconciliation: str
    bank: str
    since: date
    on: date
    known_size: int
    version: int
    matched: int
    breaks: dict[str, int]
    submitted_at: datetime
    attested_at: datetime | None
    attested_position: int | None


LENDER = "a bank of this facility: only loans are reconciled here; house books by any owner"
"""What a protector is not: see decision 8."""


# ---- our side


async def our_side(
    conn: AsyncConnection,
    *,
    book: str,
    bank: str,
    since: date,
    on: date,
    known_size: int | None,
) -> OurSide:
    """Our side for the bank, as known at a published size of the book's log; the last by default.

    Raises Absent for a book the asker has no part in, NotAParty for a bank without a seat in it,
    WrongInput for a period that cannot be stated, NotPublished.
    """
    if book.startswith(PREFIX):
        held = await _own_book(conn, book=book, owner=bank)
        check_period(since=since, on=on, open_day=held.open_day)
        size = await ledger.known_size(conn, book=book, asked=known_size)
        return await _house_side(conn, book=book, owner=bank, since=since, on=on, size=size)
    log, held = await questions.facility_book(conn, facility=book)
    if bank not in log.state.terms.seats:
        raise NotAParty(bank, needed=LENDER)
    check_period(since=since, on=on, open_day=held.open_day)
    size = await ledger.known_size(conn, book=book, asked=known_size)
    known = await mappings(conn, bank=bank)
    return record.facility_side(
        log,
        bank=bank,
        since=since,
        on=on,
        known_size=size,
        mapping=mapping.in_force(known, on),
    )


async def _own_book(conn: AsyncConnection, *, book: str, owner: str) -> HeldBook:
    held = await ledger.book(conn, book=book)
    if await ledger.participants(conn, book=book) != [owner]:
        raise Absent(f"no book {book} of {owner}")
    return held


async def _house_side(
    conn: AsyncConnection, *, book: str, owner: str, since: date, on: date, size: int
) -> OurSide:
    wanted = {"party": owner, "booking_until": on, "known_size": size}
    balances = await ledger.balances(conn, book=book, wanted=wanted)
    around = {
        "booking_from": since - AROUND,
        "booking_until": on + AROUND,
        "known_size": size,
        "party": owner,
    }
    rows: list[Found] = []
    for code in sorted({balance.account.code for balance in balances}):
        if house_record.is_cash(code):
            found = await ledger.entries(
                conn,
                book=book,
                wanted={**around, "code": code},
                after=(-1, -1),
                limit=MAX_LINES + 1,
            )
            rows += found
    if len(rows) > MAX_LINES:
        raise TooMuchCash(f"more than {MAX_LINES} movements of cash around the period")
    return house_record.house_side(
        book=book,
        owner=owner,
        since=since,
        on=on,
        known_size=size,
        balances=balances,
        moved=await _moved(conn, book=book, rows=rows),
    )


async def _moved(conn: AsyncConnection, *, book: str, rows: Sequence[Found]) -> list[Moved]:
    """The entries with the numbers their poster gave them."""
    if not rows:
        return []
    first, last = (choose(row.position for row in rows) for choose in (min, max))
    said = {
        fact.leaf_id: fact.subject.get("reference")
        for fact in await ledger.facts(
            conn, book=book, kinds=ENTRY_KINDS, after=first - 1, limit=last - first + 1
        )
    }
    return [
        Moved(
            position=row.position,
            line=row.line,
            leaf_id=row.leaf_id,
            code=row.code,
            ref=row.ref,
            amount_minor=row.amount_minor,
            value_date=row.value_date,
            booking_date=row.booking_date,
            reference=said.get(row.leaf_id),
        )
        for row in rows
    ]


# ---- theirs


async def submit(
    work: Work,
    *,
    book: str,
    since: date,
    on: date,
    known_size: int | None,
    upload: Upload,
    salt: bytes,
) -> Submitted:
    """The bank's statement is judged and what it came to stands for ever.

    salt  32 random bytes that hide the outcome behind the book's leaf
    Raises what `our_side` raises, WrongInput by row and column of the file, StatementStands for
    the very file that is the day's last statement. Nothing is stored then.
    """
    bank = work.actor.institution
    ours = await our_side(
        work.conn, book=book, bank=bank, since=since, on=on, known_size=known_size
    )
    lines = await asyncio.to_thread(_judged, ours, upload)
    held = await ledger.hold(work.conn, book=book)
    before = await store.of_day(work.conn, book=book, bank=bank, on=on)
    version = len(before) + 1
    written = outcome.document(
        ours,
        lines,
        reconciliation=f"{bank}.{on}.{version}",
        version=version,
        kind=upload.format,
        content=upload.content,
    )
    if before and before[-1].statement_sha256 == written.statement_sha256:
        raise StatementStands(before[-1].reconciliation)
    raw = outcome.to_bytes(written)
    await store.add_reconciliation(
        work.conn,
        book=book,
        reconciliation=written.reconciliation,
        bank=bank,
        since=since,
        on=on,
        known_size=written.known_size,
        version=version,
        matched=written.matched,
        breaks={str(cause): number for cause, number in written.breaks.items()},
        submitted_by=work.actor.user,
        submitted_at=work.now,
        statement_sha256=written.statement_sha256,
        document=raw,
        salt=salt,
    )
    subject = {
        "type": "StatementReceived",
        "reconciliation": written.reconciliation,
        "bank": bank,
        "on": on.isoformat(),
        "known_size": written.known_size,
        "outcome": outcome.committed(raw, salt=salt),
    }
    return Submitted(
        reconciliation=written.reconciliation,
        version=version,
        supersedes=before[-1].reconciliation if before else None,
        since=since,
        on=on,
        known_size=written.known_size,
        statement_sha256=written.statement_sha256,
        outcome_sha256=outcome.digest(raw),
        matched=written.matched,
        breaks=written.breaks,
        record=f"{work.command}:0",
        position=await note(work, held, subject),
    )


def _judged(ours: OurSide, upload: Upload) -> tuple[Outcome, ...]:
    """In a thread of its own: a long file takes seconds, and nobody else is to wait for them."""
    return judge(ours, formats.read(upload, book=ours.book, expected=ours.expected))


async def note(work: Work, held: HeldBook, subject: dict[str, Any]) -> int:
    """The subject stands as a record of the held book; its position."""
    item = Item(kind="record", subject=subject, entries=(), value_date=held.open_day)
    (position,) = await ledger.record(
        work.conn,
        held=held,
        items=[item],
        command=work.command,
        actor=work.actor,
        now=work.now,
    )
    return position


async def page(
    conn: AsyncConnection, *, book: str, after: tuple[date, str] | None, limit: int
) -> list[Counted]:
    """The reconciliations of the book in numbers, the latest day first.

    A bank's own, all for the lead of the facility and for an auditor. Raises Absent.
    """
    await ledger.book(conn, book=book)
    return [
        Counted(
            reconciliation=row.reconciliation,
            bank=row.bank,
            since=row.since,
            on=row.on_day,
            known_size=row.known_size,
            version=row.version,
            matched=row.matched,
            breaks=row.breaks,
            submitted_at=row.submitted_at,
            attested_at=row.attested_at,
            attested_position=row.position,
        )
        for row in await store.reconciliations(conn, book=book, after=after, limit=limit)
    ]


# ---- the bank's own accounts


async def mappings(conn: AsyncConnection, *, bank: str) -> list[AccountMapping]:
    """The bank's versions, oldest first; nobody else's but for an auditor."""
    return [
        AccountMapping(version=row.version, valid_from=row.valid_from, codes=row.codes)
        for row in await store.mappings(conn, bank=bank)
    ]


async def make_mapping(
    work: Work, *, valid_from: date, codes: dict[mapping.Item, str]
) -> AccountMapping:
    """The bank's accounts count so from the day on. Raises what `mapping.next_version` raises."""
    bank = work.actor.institution
    known = await mappings(work.conn, bank=bank)
    made = mapping.next_version(known, valid_from=valid_from, codes=codes)
    await store.add_mapping(
        work.conn,
        bank=bank,
        version=made.version,
        valid_from=made.valid_from,
        codes={str(item): code for item, code in made.codes.items()},
        made_by=work.actor.user,
        recorded_at=work.now,
    )
    return made
