"""Consents of borrowers, the facts of information rooms, and who read them.

A reading is the one question that is on record itself: allowed or refused, the borrower sees it.
"""

import re
import secrets
from datetime import date

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from api.database import SERVICE, Standing
from api.desk import AtDesk, Desk, IdempotencyKey, Work
from api.identity import may
from ledger.errors import WrongInput
from ledger.signatures import Statement
from syndicate.disclosure import room_service as rooms
from syndicate.disclosure import service as disclosure
from syndicate.disclosure.consent import Consent, FieldClass
from syndicate.disclosure.room import DataClass, NoConsent
from syndicate.disclosure.room_service import Access, NewFact, Reading
from syndicate.disclosure.service import Act, SeenConsent
from syndicate.parties.service import REGISTRY

TAGS = ["disclosure"]
MAX_PAGE = 200
CURSOR = re.compile(r"[a-z0-9:-]{3,120}", re.ASCII)


class NewConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A consent of the asker's own firm, or of a person of its team for one recipient.

    consent   its id, one of the firm's own choice
    purpose   a room and what for, as "neg-7:assessment"
    person    opaque id of the person whose own consent it is, for the class "team" alone
    evidence  SHA-256 in hex of the person's written consent, with `person` only
    version   1, or one more than the version it replaces
    signed    the firm's statement of kind "consent": over all the other fields here, null where
              they are left out, and `borrower`, the firm's own id
    """

    consent: str
    recipient: str
    purpose: str
    classes: list[FieldClass]
    valid_from: date
    until: date
    version: int
    person: str | None = None
    evidence: str | None = None
    signed: Statement


class NewWithdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """signed: of kind "consent-withdrawal" over {"consent", "withdrawn_on": open business day}."""

    signed: Statement


class ConsentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Consents, the latest first. next: pass it as `cursor` for the rest; null at the end."""

    consents: list[SeenConsent]
    next: str | None


class OfferedFact(msgspec.Struct, frozen=True, kw_only=True):
    """The fact is in the room. commitment: the salted hash of it that the registry's log holds."""

    fact: str
    room: str
    borrower: str
    field_class: FieldClass
    data_class: DataClass
    source: str
    commitment: str


class NewReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be read, and why.

    purpose        names the room too, as "neg-7:assessment"
    tolerances_bp  by item: basis points of the larger amount by which sources may differ without
                   contradicting each other; items not listed must agree exactly
    """

    purpose: str
    classes: list[FieldClass]
    tolerances_bp: dict[str, int] = msgspec.field(default_factory=dict)


class AccessPage(msgspec.Struct, frozen=True, kw_only=True):
    """Reads and refusals, the latest first. next: pass it as `cursor`; null at the end."""

    borrower: str
    readings: list[Access]
    next: str | None


def _act(work: Work) -> Act:
    return Act(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


def _for_asker(desk: Desk) -> Standing:
    """The service's rights, used in the name of the asker's institution."""
    return Standing(SERVICE.role, desk.asker.institution)


def _cursor(text: str | None) -> str | None:
    if text is not None and CURSOR.fullmatch(text) is None:
        raise WrongInput("cursor", "the `next` of an earlier page")
    return text


def _page(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise WrongInput("limit", f"1 to {MAX_PAGE}")
    return limit


@post("/v1/consents", guards=[may("give-consent")], tags=TAGS)
async def give_consent(
    data: JSONBody[NewConsent], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[SeenConsent]:
    """Consent that one institution reads classes of your firm's facts (borrower).

    The class "team" needs each person's own consent, one per recipient.
    """
    consent = Consent(
        consent=data.consent,
        borrower=desk.asker.institution,
        person=data.person,
        recipient=data.recipient,
        purpose=data.purpose,
        classes=tuple(data.classes),
        valid_from=data.valid_from,
        until=data.until,
        version=data.version,
        evidence=data.evidence,
    )

    async def use_case(work: Work) -> SeenConsent:
        return await disclosure.give(_act(work), consent=consent, signed=data.signed)

    return await desk.command(
        use_case, key=idempotency_key, book=REGISTRY, standing=_for_asker(desk)
    )


@post("/v1/consents/{consent:str}/withdrawal", guards=[may("withdraw-consent")], tags=TAGS)
async def withdraw_consent(
    consent: FromPath[str],
    data: JSONBody[NewWithdrawal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[SeenConsent]:
    """Take a consent back (borrower): it allows no read from now on. Past reads stay on record."""

    async def use_case(work: Work) -> SeenConsent:
        return await disclosure.withdraw(_act(work), consent=consent, signed=data.signed)

    return await desk.command(
        use_case, key=idempotency_key, book=REGISTRY, standing=_for_asker(desk)
    )


@get("/v1/consents", guards=[may("read-room")], tags=TAGS)
async def consents(
    desk: AtDesk, cursor: FromQuery[str | None] = None, limit: FromQuery[int] = 100
) -> ConsentPage:
    """The consents your institution gave or received, with the statements signed under them."""
    page = _page(limit)
    after = (_cursor(cursor) or "").partition(":")
    found = await desk.ask(
        lambda conn: disclosure.page_of_consents(
            conn, after=(after[0], after[2]) if cursor is not None else None, limit=page + 1
        )
    )
    shown = found[:page]
    more = len(found) > page
    return ConsentPage(
        consents=shown, next=f"{shown[-1].borrower}:{shown[-1].consent}" if more else None
    )


@post("/v1/borrowers/{borrower:str}/facts", guards=[may("offer-fact")], tags=TAGS)
async def offer_fact(
    borrower: FromPath[str],
    data: JSONBody[NewFact],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[OfferedFact]:
    """Bring a fact about a borrower into a deal's information room (资料室), as its source.

    Data of class C3 is refused; C2 needs the id of its security assessment.
    """
    salt = secrets.token_bytes(32)

    async def use_case(work: Work) -> OfferedFact:
        offered = await rooms.offer(_act(work), borrower=borrower, fact=data, salt=salt)
        return OfferedFact(
            fact=offered.fact,
            room=offered.room,
            borrower=offered.borrower,
            field_class=offered.field_class,
            data_class=offered.data_class,
            source=offered.source,
            commitment=offered.commitment,
        )

    return await desk.command(
        use_case, key=idempotency_key, book=REGISTRY, standing=_for_asker(desk)
    )


@post("/v1/borrowers/{borrower:str}/readings", guards=[may("read-room")], tags=TAGS)
async def read_room(borrower: FromPath[str], data: JSONBody[NewReading], desk: AtDesk) -> Reading:
    """Read a room: all the classes asked for, or a refusal; the borrower sees either.

    Not a command and kept under no Idempotency-Key: an answer given again after the consent was
    taken back would be a read without consent. Asking again is another read, and on record so.
    """

    async def use_case(work: Work) -> Reading | NoConsent:
        return await rooms.read(
            _act(work),
            borrower=borrower,
            purpose=data.purpose,
            classes=tuple(data.classes),
            tolerances_bp=data.tolerances_bp,
        )

    outcome = await desk.recorded(use_case)
    if isinstance(outcome, NoConsent):
        raise outcome
    return outcome


@get("/v1/borrowers/{borrower:str}/readings", guards=[may("see-reads")], tags=TAGS)
async def readings(
    desk: AtDesk,
    borrower: FromPath[str],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> AccessPage:
    """Who read what about the borrower, by which consents, and who was refused what."""
    page = _page(limit)
    after = _cursor(cursor)
    found = await desk.ask(
        lambda conn: rooms.page_of_readings(conn, borrower=borrower, after=after, limit=page + 1)
    )
    shown = found[:page]
    more = len(found) > page
    return AccessPage(borrower=borrower, readings=shown, next=shown[-1].read if more else None)


HANDLERS = (
    give_consent,
    withdraw_consent,
    consents,
    offer_fact,
    read_room,
    readings,
)
