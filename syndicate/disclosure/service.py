"""What happens when a borrower agrees that somebody may read, or takes that back.

Consents and withdrawals are rows and, in the same transaction, leaves of the registry. Members have
no part in that book: the use cases run under the service's rights for the asker's institution, ask
here whether it is theirs to do, and the database asks once more in whose name the rows are added.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.errors import Absent, NotAllowed
from ledger.leaves import Actor
from ledger.signatures import Statement
from syndicate.disclosure import store
from syndicate.disclosure.consent import (
    Consent,
    ConsentFact,
    ConsentGiven,
    Consents,
    ConsentWithdrawn,
    FieldClass,
    GiveConsent,
    WithdrawConsent,
    decide,
    fold,
    live,
)
from syndicate.disclosure.room import room_of
from syndicate.parties import service as parties
from syndicate.parties.institutions import ROLES_OF, check_id, may
from syndicate.parties.service import REGISTRY


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act on consents or in a room: who does it, when, under which name."""

    conn: AsyncConnection
    actor: Actor
    now: datetime
    command: str


class SeenConsent(msgspec.Struct, frozen=True, kw_only=True):
    """A consent as its borrower and its recipient see it.

    live    whether it allows reads on the open business day
    signed  the borrower's statement, which the recipient can verify by itself
    """

    consent: str
    borrower: str
    person: str | None
    recipient: str
    purpose: str
    classes: tuple[FieldClass, ...]
    valid_from: date
    until: date
    version: int
    evidence: str | None
    signed: Statement
    given_at: datetime
    withdrawn_at: datetime | None
    live: bool


async def consents(conn: AsyncConnection, *, borrower: str) -> Consents:
    """The borrower's consents as far as the caller may see them: a bank, those to itself."""
    return fold(_as_facts(await store.consents(conn, borrowers=[borrower])))


async def give(act: Act, *, consent: Consent, signed: Statement) -> SeenConsent:
    """The consent stands and allows reads on its days. Only the borrower itself gives it.

    Raises NotAllowed, Absent for a recipient that reads in no room, and what `decide` refuses.
    """
    await _check_own(act, borrower=consent.borrower)
    room_of(consent.purpose, place="$.purpose")
    await parties.check_signed(act.conn, [signed], now=act.now, place="$.signed")
    await _check_recipient(act.conn, consent.recipient)
    held = await ledger.hold(act.conn, book=REGISTRY)
    known = await consents(act.conn, borrower=consent.borrower)
    today = await ledger.business_day(act.conn)
    facts = decide(known, GiveConsent(consent=consent, signed=signed, on=today))
    await store.add_consent(
        act.conn,
        borrower=consent.borrower,
        consent=consent.consent,
        person=consent.person,
        recipient=consent.recipient,
        purpose=consent.purpose,
        classes=consent.classes,
        valid_from=consent.valid_from,
        valid_until=consent.until,
        version=consent.version,
        evidence=consent.evidence,
        signed=msgspec.to_builtins(signed),
        given_at=act.now,
    )
    await record(act, held, "consent", *facts)
    return await _seen_one(act.conn, borrower=consent.borrower, consent=consent.consent)


async def withdraw(act: Act, *, consent: str, signed: Statement) -> SeenConsent:
    """The consent allows no read from here on; the reads made under it stay on record.

    Raises Absent for an id that is none of the asker's own, and what `decide` refuses.
    """
    borrower = act.actor.institution
    await _check_own(act, borrower=borrower)
    await parties.check_signed(act.conn, [signed], now=act.now, place="$.signed")
    held = await ledger.hold(act.conn, book=REGISTRY)
    known = await consents(act.conn, borrower=borrower)
    if consent not in known.used:
        raise Absent(f"no consent {consent}")
    today = await ledger.business_day(act.conn)
    facts = decide(known, WithdrawConsent(consent=consent, signed=signed, on=today))
    await store.add_withdrawal(
        act.conn,
        borrower=borrower,
        consent=consent,
        signed=msgspec.to_builtins(signed),
        withdrawn_at=act.now,
    )
    await record(act, held, "consent", *facts)
    return await _seen_one(act.conn, borrower=borrower, consent=consent)


async def page_of_consents(
    conn: AsyncConnection, *, after: tuple[str, str] | None, limit: int
) -> list[SeenConsent]:
    """Consents given or received by the asker's institution, the latest first.

    after  (borrower, consent) of the last one seen
    """
    return await _seen(conn, await store.page_of_consents(conn, after=after, limit=limit))


# ---- who may


async def _check_own(act: Act, *, borrower: str) -> None:
    home = await parties.institution(act.conn, institution=act.actor.institution)
    if home.kind != "borrower" or home.institution != borrower:
        raise NotAllowed("only the borrower itself consents, or takes its consent back")


async def _check_recipient(conn: AsyncConnection, recipient: str) -> None:
    """Nothing: an institution whose people read in rooms. A firm is as absent as nobody."""
    check_id(recipient, place="$.recipient")
    absent = Absent(f"no institution {recipient} that reads in information rooms")
    try:
        found = await parties.institution(conn, institution=recipient)
    except Absent:
        raise absent from None
    if found.kind == "borrower" or not any(may(role, "read-room") for role in ROLES_OF[found.kind]):
        raise absent


# ---- rows, leaves and facts


async def record(act: Act, held: ledger.HeldBook, kind: str, *subjects: Any) -> None:
    await ledger.record(
        act.conn,
        held=held,
        items=[
            ledger.Item(
                kind=kind,
                subject=msgspec.to_builtins(subject),
                entries=(),
                value_date=held.open_day,
            )
            for subject in subjects
        ],
        command=act.command,
        actor=act.actor,
        now=act.now,
    )


def _as_facts(rows: Iterable[Any]) -> list[ConsentFact]:
    """One borrower's consents by version, each followed by its withdrawal: the order they had.

    What a version replaced can no longer be withdrawn, so a withdrawal never comes after the next.
    """
    facts: list[ConsentFact] = []
    for row in rows:
        facts.append(ConsentGiven(consent=_consent(row), signed=_statement(row.signed)))
        if row.withdrawal is not None:
            signed = _statement(row.withdrawal)
            facts.append(
                ConsentWithdrawn(
                    consent=row.consent,
                    borrower=row.borrower,
                    withdrawn_on=date.fromisoformat(signed.body["withdrawn_on"]),
                    signed=signed,
                )
            )
    return facts


def _statement(value: Any) -> Statement:
    return msgspec.convert(value, Statement)


def _consent(row: Any) -> Consent:
    return Consent(
        consent=row.consent,
        borrower=row.borrower,
        person=row.person,
        recipient=row.recipient,
        purpose=row.purpose,
        classes=tuple(row.classes),
        valid_from=row.valid_from,
        until=row.valid_until,
        version=row.version,
        evidence=row.evidence,
    )


async def _seen_one(conn: AsyncConnection, *, borrower: str, consent: str) -> SeenConsent:
    rows = await store.consents(conn, borrowers=[borrower])
    (seen,) = await _seen(conn, [row for row in rows if row.consent == consent])
    return seen


async def _seen(conn: AsyncConnection, rows: Sequence[Any]) -> list[SeenConsent]:
    """The rows as they are shown, in their order."""
    today = await ledger.business_day(conn)
    everything: defaultdict[str, list[Any]] = defaultdict(list)
    for row in await store.consents(conn, borrowers=sorted({row.borrower for row in rows})):
        everything[row.borrower].append(row)
    known = {borrower: fold(_as_facts(theirs)) for borrower, theirs in everything.items()}
    return [_seen_in(known[row.borrower], row, on=today) for row in rows]


def _seen_in(known: Consents, row: Any, *, on: date) -> SeenConsent:
    consent = _consent(row)
    standing = live(
        known,
        borrower=consent.borrower,
        recipient=consent.recipient,
        purpose=consent.purpose,
        on=on,
    )
    return SeenConsent(
        **msgspec.structs.asdict(consent),
        signed=_statement(row.signed),
        given_at=row.given_at,
        withdrawn_at=row.withdrawn_at,
        live=consent in standing,
    )
