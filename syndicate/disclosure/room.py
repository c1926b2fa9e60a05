"""The information room of one deal (资料室): what is in it, who may read it, and what is on record.

Deny by default. A read is allowed by a live consent of the borrower for this reader, this purpose
and every class asked for, and each read and each refusal leaves a record. Data of class C3 never
enters; C2 enters with its security assessment. The values stand in a private table; the log gets
commitments. A room belongs to one deal: nothing is joined across deals, as that would be credit
reporting business (征信业务).
Sources: 征信业管理条例 art. 14, 18, 20; PIPL art. 23; 金规〔2024〕24号.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from itertools import combinations
from typing import Final, Literal

import msgspec

from ledger.errors import Conflict, NotAllowed, WrongInput
from ledger.money import parse_decimal
from syndicate.disclosure.consent import PERSONAL, Consents, FieldClass, check_purpose, live
from syndicate.parties.commitments import commitment
from syndicate.parties.institutions import check_id

DataClass = Literal["public", "internal", "C2", "C3"]
LegalBasis = Literal["consent", "contract", "statute", "public_record"]
Confidence = Literal["verified", "reported", "estimated"]

FORBIDDEN: Final = frozenset(("religion", "genes", "fingerprint", "blood_type", "illness"))
"""Never collected of a person, consent or not (征信业管理条例 art. 14)."""

_ITEM: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){0,5}", re.ASCII)
MAX_TEXT: Final = 4_000
MAX_WORD: Final = 80


class RoomFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fact about the borrower as one source gave it. Private: never in a log.

    item        dotted name with its period, as "revenue.2024"; equal names mean the same thing
    person      whom a fact of a personal class is about, else None
    value       text, whole number or truth; a decimal is text, as "12.5"
    unit        "" where the value has none
    source      an institution's id, or the id of a public source
    as_of       the day the fact describes or was established
    assessment  id of the security assessment before sharing, required for C2
    """

    fact: str
    room: str
    borrower: str
    item: str
    field_class: FieldClass
    data_class: DataClass
    person: str | None
    value: bool | int | str
    unit: str
    source: str
    legal_basis: LegalBasis
    as_of: date
    confidence: Confidence
    assessment: str | None


class FactOffered(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """A fact entered the room; `commitment` binds the log to the private value."""

    fact: str
    room: str
    borrower: str
    field_class: FieldClass
    data_class: DataClass
    source: str
    commitment: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request to read. `read` is the client's own id of it."""

    read: str
    room: str
    borrower: str
    reader: str
    classes: tuple[FieldClass, ...]
    purpose: str
    on: date


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The consents that a read rests on, by id; `persons` are those whose data it may show."""

    ask: Ask
    consents: tuple[str, ...]
    persons: tuple[str, ...]


class ReadRecorded(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """Who read what, when and by which consents; no consents where the borrower read its own."""

    read: str
    room: str
    borrower: str
    reader: str
    classes: tuple[FieldClass, ...]
    purpose: str
    on: date
    consents: tuple[str, ...]
    facts: tuple[str, ...]


class ReadRefused(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """Who was refused what; `missing` are the classes without consent."""

    read: str
    room: str
    borrower: str
    reader: str
    classes: tuple[FieldClass, ...]
    purpose: str
    on: date
    missing: tuple[FieldClass, ...]


class NoConsent(NotAllowed):
    """No live consent covers all of it. `record` is to be kept, whatever becomes of the request."""

    code = "no-consent"

    def __init__(self, record: ReadRefused) -> None:
        super().__init__(
            f"no consent lets {record.reader} read {', '.join(record.missing)}",
            reader=record.reader,
            missing=record.missing,
            purpose=record.purpose,
        )
        self.record = record


class NeverShared(NotAllowed):
    """C3 data and what must never be collected stay where they are."""

    code = "never-shared"


class FactKnown(Conflict):
    """The id names another fact of the room."""

    code = "fact-known"


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """Two sources that differ on one item; `facts` and `sources` in the order of source ids."""

    item: str
    person: str | None
    facts: tuple[str, str]
    sources: tuple[str, str]
    differs: Literal["unit", "value"]


def offer_fact(known: frozenset[str], fact: RoomFact, *, on: date, salt: bytes) -> FactOffered:
    """The fact for the log; the RoomFact and its salt go to the private table.

    known  ids of the facts in the room
    Raises NeverShared, FactKnown, WrongInput.
    """
    for field in ("fact", "room", "borrower", "source"):
        check_id(getattr(fact, field), place=f"$.{field}")
    if _ITEM.fullmatch(fact.item) is None or len(fact.item) > 80:
        raise WrongInput("$.item", 'a dotted lower-case name, as "revenue.2024"')
    if fact.data_class == "C3" or FORBIDDEN & set(fact.item.split(".")):
        raise NeverShared(f"{fact.item} is never shared", item=fact.item)
    if (fact.field_class in PERSONAL) != (fact.person is not None):
        raise WrongInput("$.person", "whom it is about for a personal class, else null")
    if fact.person is not None:
        check_id(fact.person, place="$.person")
    if fact.data_class == "C2" and not fact.assessment:
        raise WrongInput("$.assessment", "the security assessment that C2 data needs (DS-01)")
    for field, text in (("unit", fact.unit), ("assessment", fact.assessment or "")):
        if len(text) > MAX_WORD or not text.isprintable():
            raise WrongInput(f"$.{field}", f"at most {MAX_WORD} printable characters")
    if isinstance(fact.value, str) and len(fact.value) > MAX_TEXT:
        raise WrongInput("$.value", f"text of at most {MAX_TEXT} characters")
    if fact.as_of > on:
        raise WrongInput("$.as_of", f"a day not after {on}")
    if fact.fact in known:
        raise FactKnown(f"{fact.fact} is in the room", fact=fact.fact)
    return FactOffered(
        fact=fact.fact,
        room=fact.room,
        borrower=fact.borrower,
        field_class=fact.field_class,
        data_class=fact.data_class,
        source=fact.source,
        commitment=commitment(fact, salt=salt),
    )


def room_of(purpose: str, *, place: str) -> str:
    """The one room that a purpose opens: what stands before its colon, "neg-7" in
    "neg-7:assessment". So no consent joins a borrower's deals.
    """
    room, _, what = check_purpose(purpose, place=place).partition(":")
    if not what:
        raise WrongInput(place, 'a room and what for, as "neg-7:assessment"')
    return check_id(room, place=place)


def decide_read(consents: Consents, ask: Ask) -> Allowed:
    """What the read rests on. All classes or nothing; the borrower may always read its own.

    Raises NoConsent, whose `record` must be kept; WrongInput for a malformed request.
    """
    if not ask.classes or len(set(ask.classes)) != len(ask.classes):
        raise WrongInput("$.classes", "field classes, each once")
    check_purpose(ask.purpose, place="$.purpose")
    if ask.reader == ask.borrower:
        return Allowed(ask=ask, consents=(), persons=())
    standing = [
        consent
        for consent in live(
            consents,
            borrower=ask.borrower,
            recipient=ask.reader,
            purpose=ask.purpose,
            on=ask.on,
        )
        if set(consent.classes) & set(ask.classes)
    ]
    covered = {name for consent in standing for name in consent.classes}
    missing = tuple(name for name in ask.classes if name not in covered)
    if missing:
        raise NoConsent(_refused(ask, missing=missing))
    return Allowed(
        ask=ask,
        consents=tuple(consent.consent for consent in standing),
        persons=tuple(sorted({c.person for c in standing if c.person is not None})),
    )


def shown(allowed: Allowed, facts: Iterable[RoomFact]) -> tuple[RoomFact, ...]:
    """The facts of the room that the read shows, in the given order."""
    ask = allowed.ask
    return tuple(
        fact
        for fact in facts
        if (fact.room, fact.borrower) == (ask.room, ask.borrower)
        and fact.field_class in ask.classes
        and fact.data_class != "C3"
        and (fact.person is None or fact.person in allowed.persons or ask.reader == ask.borrower)
    )


def read_recorded(allowed: Allowed, facts: Iterable[RoomFact]) -> ReadRecorded:
    """The record of a read that showed these facts."""
    ask = allowed.ask
    return ReadRecorded(
        read=ask.read,
        room=ask.room,
        borrower=ask.borrower,
        reader=ask.reader,
        classes=ask.classes,
        purpose=ask.purpose,
        on=ask.on,
        consents=allowed.consents,
        facts=tuple(fact.fact for fact in facts),
    )


def age_days(fact: RoomFact, *, on: date) -> int:
    """How old the fact is on the day; what is too old is the reader's judgement."""
    return (on - fact.as_of).days


def contradictions(
    facts: Iterable[RoomFact], *, tolerances_bp: Mapping[str, int]
) -> tuple[Contradiction, ...]:
    """Every pair of sources whose latest word on an item differs beyond its tolerance.

    tolerances_bp  item -> basis points of the larger amount that numbers may differ by; an item
                   not listed must agree exactly. At the tolerance is agreement.
    Order: item, person, sources.
    """
    latest: dict[tuple[str, str], dict[str, RoomFact]] = {}
    for fact in facts:
        by_source = latest.setdefault((fact.item, fact.person or ""), {})
        before = by_source.get(fact.source)
        if before is None or fact.as_of >= before.as_of:
            by_source[fact.source] = fact
    found = []
    for key in sorted(latest):
        by_source = latest[key]
        for left, right in combinations([by_source[source] for source in sorted(by_source)], 2):
            differs = _difference(left, right, tolerance_bp=tolerances_bp.get(key[0], 0))
            if differs is not None:
                found.append(
                    Contradiction(
                        item=left.item,
                        person=left.person,
                        facts=(left.fact, right.fact),
                        sources=(left.source, right.source),
                        differs=differs,
                    )
                )
    return tuple(found)


def _difference(
    left: RoomFact, right: RoomFact, *, tolerance_bp: int
) -> Literal["unit", "value"] | None:
    if left.unit != right.unit:
        return "unit"
    one, other = _number(left.value), _number(right.value)
    if one is None or other is None:
        alike = type(left.value) is type(right.value) and left.value == right.value
        return None if alike else "value"
    within = abs(one - other) * 10_000 <= tolerance_bp * max(abs(one), abs(other))
    return None if within else "value"


def _number(value: bool | int | str) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    try:
        return parse_decimal(value, place="$.value")
    except WrongInput:
        return None


def _refused(ask: Ask, *, missing: tuple[FieldClass, ...]) -> ReadRefused:
    return ReadRefused(
        read=ask.read,
        room=ask.room,
        borrower=ask.borrower,
        reader=ask.reader,
        classes=ask.classes,
        purpose=ask.purpose,
        on=ask.on,
        missing=missing,
    )
