"""By plain SQL as the application's role, the code's own filters left out: no consent, no row.

The database judges every room fact a second time. What it shows to a reader for a purpose on a day
is exactly what the pure decision allows, for random consents, versions and withdrawals.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.database import NOBODY, SERVICE, Database, Standing
from ledger import service as ledger
from ledger.leaves import Actor
from ledger.signatures import Statement
from syndicate.disclosure import room_service as rooms
from syndicate.disclosure import service as disclosure
from syndicate.disclosure import store
from syndicate.disclosure.consent import (
    PERSONAL,
    Consent,
    ConsentFact,
    Consents,
    ConsentWithdrawn,
    FieldClass,
    GiveConsent,
    Scope,
    WithdrawConsent,
    consent_body,
    decide,
    fold,
    withdrawal_body,
)
from syndicate.disclosure.room import Ask, NoConsent, RoomFact, decide_read, room_of, shown
from syndicate.parties import store as parties_store

FIRST = date(2024, 3, 1)
NOW = datetime(2024, 3, 1, 9, tzinfo=UTC)
BANKS = ("hzbank", "cib", "czbank")
BORROWERS = ("yunshen", "qinghe")
CODES = ("91330100799655058B", "91440300708461136T")
PEOPLE = ("founder", "engineer")
CLASSES: tuple[FieldClass, ...] = ("financials", "intellectual_property", "orders", "tax", "credit")
PURPOSES = ("neg-1:assessment", "neg-1:monitoring", "neg-2:assessment")
ROOMS = ("neg-1", "neg-2")
PURPOSE = PURPOSES[0]
EVIDENCE = "5e" * 32


def member(institution: str) -> Standing:
    return Standing("liandai_app", institution)


def service_for(institution: str) -> Standing:
    return Standing(SERVICE.role, institution)


def signed(kind: str, body: dict[str, Any], by: str) -> Statement:
    return Statement(kind=kind, body=body, by=by, key="0" * 16, signature="")


async def put_facts(database: Database, facts: Sequence[RoomFact]) -> None:
    for fact in facts:
        async with database.transaction(service_for(fact.source)) as conn:
            await store.add_fact(
                conn,
                salt=bytes(32),
                recorded_at=NOW,
                **{name: getattr(fact, name) for name in RoomFact.__struct_fields__},
            )


def room_fact(
    room: str, borrower: str, field_class: FieldClass, *, person: str | None, source: str
) -> RoomFact:
    return RoomFact(
        fact=f"f-{room}-{borrower}-{field_class.replace('_', '-')}-{person or 'firm'}",
        room=room,
        borrower=borrower,
        item="something.2023",
        field_class=field_class,
        data_class="internal",
        person=person,
        value="known",
        unit="",
        source=source,
        legal_basis="consent",
        as_of=date(2023, 12, 31),
        confidence="reported",
        assessment=None,
    )


def every_fact() -> list[RoomFact]:
    """One fact of each class in each room of each borrower, and one of each person."""
    return [
        room_fact(room, borrower, name, person=person, source=source)
        for room, borrower in ((room, borrower) for room in ROOMS for borrower in BORROWERS)
        for name, person, source in (
            *((name, None, borrower) for name in CLASSES),
            *(("team", person, "hzbank") for person in PEOPLE),
        )
    ]


async def settle(database: Database) -> list[RoomFact]:
    """Banks and borrowers on board, the first day open, the rooms filled; returns what is there."""
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=FIRST)
        uscc_of = dict(zip(BORROWERS, CODES, strict=True))
        for institution in (*BANKS, *BORROWERS):
            uscc = uscc_of.get(institution)
            await parties_store.add_institution(
                conn,
                institution=institution,
                kind="bank" if uscc is None else "borrower",
                name=institution,
                name_en=institution,
                uscc=uscc,
                salt=None if uscc is None else bytes(32),
                illustrative=True,
                registered_at=NOW,
            )
    facts = every_fact()
    await put_facts(database, facts)
    return facts


async def put_consent(database: Database, consent: Consent) -> None:
    statement = signed("consent", consent_body(consent), consent.borrower)
    async with database.transaction(service_for(consent.borrower)) as conn:
        await store.add_consent(
            conn,
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
            signed=as_builtins(statement),
            given_at=NOW,
        )


def as_builtins(statement: Statement) -> dict[str, Any]:
    return {name: getattr(statement, name) for name in Statement.__struct_fields__}


async def put_withdrawal(database: Database, borrower: str, consent: str, *, on: date) -> None:
    statement = signed("consent-withdrawal", withdrawal_body(consent, on=on), borrower)
    async with database.transaction(service_for(borrower)) as conn:
        await store.add_withdrawal(
            conn,
            borrower=borrower,
            consent=consent,
            signed=as_builtins(statement),
            withdrawn_at=NOW,
        )


def consent(name: str = "c1", **changes: Any) -> Consent:
    words: dict[str, Any] = {
        "consent": name,
        "borrower": "yunshen",
        "person": None,
        "recipient": "cib",
        "purpose": PURPOSE,
        "classes": ("financials", "tax"),
        "valid_from": FIRST,
        "until": FIRST + timedelta(days=3),
        "version": 1,
        "evidence": None,
    }
    return Consent(**(words | changes))


async def visible(database: Database, standing: Standing, purpose: str | None) -> set[str]:
    """The ids of all room facts that exist for the standing: one SELECT without any filter."""
    async with database.transaction(standing, read_only=True) as conn:
        if purpose is not None:
            await store.name_purpose(conn, purpose=purpose)
        return set((await conn.execute(text("SELECT fact FROM syndicate.room_fact"))).scalars())


async def test_without_a_live_consent_not_one_row_exists(database: Database) -> None:
    there = await settle(database)
    await put_consent(database, consent("c1"))
    await put_consent(database, consent("withdrawn", recipient="czbank"))
    await put_withdrawal(database, "yunshen", "withdrawn", on=FIRST)
    own_words = {"person": "founder", "classes": ("team",), "evidence": EVIDENCE}
    await put_consent(database, consent("founders", recipient="czbank", **own_words))
    cases = [
        # who and for what                             standing           purpose      rows
        ("the recipient, two classes in one room", member("cib"), PURPOSE, 2),
        ("the recipient naming no purpose", member("cib"), None, 0),
        ("the recipient for another purpose", member("cib"), PURPOSES[1], 0),
        ("the recipient in another room", member("cib"), PURPOSES[2], 0),
        ("another bank, which gave team facts", member("hzbank"), PURPOSE, 0),
        ("a bank whose consent was withdrawn: one person's", member("czbank"), PURPOSE, 1),
        ("the other borrower: its own", member("qinghe"), PURPOSE, 14),
        ("the borrower: its own", member("yunshen"), None, 14),
        ("an institution that does not exist", member("nobody-at-all"), PURPOSE, 0),
        ("no institution", NOBODY, PURPOSE, 0),
    ]
    for who, standing, purpose, rows in cases:
        found = await visible(database, standing, purpose)
        print(f"{len(found):3d} of {len(there)} rows: {who}")
        assert len(found) == rows, who
    for institution in (*BANKS, ""):
        assert "team" not in {
            fact.field_class
            for fact in there
            if fact.fact in await visible(database, member(institution), PURPOSE)
            and fact.person != "founder"
        }


async def test_a_row_exists_from_the_consents_first_day_to_its_last(database: Database) -> None:
    await settle(database)
    await put_consent(database, consent(valid_from=FIRST + timedelta(days=1)))
    seen = []
    for days in range(6):
        if days:
            async with database.transaction(SERVICE) as conn:
                await ledger.open_business_day(conn, day=FIRST + timedelta(days=days))
        seen.append(len(await visible(database, member("cib"), PURPOSE)))
    print("rows by day:", seen)
    assert seen == [0, 2, 2, 2, 0, 0]


async def test_a_later_version_stands_alone_and_its_withdrawal_revives_no_earlier_one(
    database: Database,
) -> None:
    await settle(database)
    counts = []
    await put_consent(database, consent("v1"))
    counts.append(len(await visible(database, member("cib"), PURPOSE)))
    await put_consent(database, consent("v2", version=2, classes=("orders",)))
    counts.append(len(await visible(database, member("cib"), PURPOSE)))
    await put_withdrawal(database, "yunshen", "v2", on=FIRST)
    counts.append(len(await visible(database, member("cib"), PURPOSE)))
    print("rows after version 1, version 2, its withdrawal:", counts)
    assert counts == [2, 1, 0]


FORBIDDEN = [
    # who                     what they try
    (member("cib"), "INSERT INTO syndicate.consent SELECT * FROM syndicate.consent"),
    (member("yunshen"), "INSERT INTO syndicate.consent SELECT * FROM syndicate.consent"),
    (member("yunshen"), "INSERT INTO syndicate.room_fact SELECT * FROM syndicate.room_fact"),
    (member("yunshen"), "UPDATE syndicate.consent SET valid_until = '2099-12-31'"),
    (member("cib"), "DELETE FROM syndicate.room_access"),
    (member("cib"), "DELETE FROM syndicate.consent_withdrawal"),
    (SERVICE, "UPDATE syndicate.consent SET valid_until = '2099-12-31'"),
    (SERVICE, "DELETE FROM syndicate.consent_withdrawal"),
    (SERVICE, "INSERT INTO syndicate.consent_withdrawal VALUES ('yunshen', 'c1', '{}', now())"),
    (
        service_for("cib"),
        "INSERT INTO syndicate.consent_withdrawal VALUES ('yunshen', 'c1', '{}', now())",
    ),
    (
        member("cib"),
        "INSERT INTO syndicate.room_access VALUES ('a1', 'neg-1', 'yunshen', 'hzbank', 'x', 'p',"
        " '{tax}', 'refused', '{}', '{tax}', '{}', '2024-03-01', now())",
    ),
    (Standing("liandai_auditor", "auditor"), "SELECT * FROM syndicate.room_fact"),
    (Standing("liandai_auditor", "auditor"), "SELECT * FROM syndicate.consent"),
    (member("qinghe"), "SELECT salt FROM ledger.salt"),
]
NO_RIGHT, FORBIDDEN_BY_TRIGGER = "42501", "LD001"


async def test_nobody_writes_or_reads_round_the_rules(database: Database) -> None:
    await settle(database)
    await put_consent(database, consent("c1"))
    for standing, statement in FORBIDDEN:
        with pytest.raises(DBAPIError) as refused:
            async with database.transaction(standing) as conn:
                await conn.execute(text(statement))
        state = getattr(refused.value.orig, "sqlstate", None)
        assert state in (NO_RIGHT, FORBIDDEN_BY_TRIGGER), statement


def allowed(
    consents: Consents, facts: Sequence[RoomFact], *, reader: str, purpose: str, on: date
) -> set[str]:
    """What the pure decision shows of all facts, each asked for by its own class alone."""
    found = set()
    for fact in facts:
        ask = Ask(
            read="r",
            room=room_of(purpose, place="purpose"),
            borrower=fact.borrower,
            reader=reader,
            classes=(fact.field_class,),
            purpose=purpose,
            on=on,
        )
        try:
            found |= {f.fact for f in shown(decide_read(consents, ask), [fact])}
        except NoConsent:
            continue
    return found


class Scene:
    """Random consents that the pure rules accept, kept in Python and in the database alike."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.random = database, Random(seed)
        self.facts_of: dict[str, list[ConsentFact]] = {borrower: [] for borrower in BORROWERS}
        self.day = FIRST

    @property
    def facts(self) -> list[ConsentFact]:
        return [fact for facts in self.facts_of.values() for fact in facts]

    @property
    def known(self) -> Consents:
        return fold(self.facts)

    async def give(self) -> None:
        chance = self.random
        person = chance.choice((None, None, *PEOPLE))
        names = tuple(PERSONAL) if person else chance.sample(CLASSES, chance.randint(1, 3))
        valid_from = self.day + timedelta(days=chance.choice((0, 0, 0, 1, 2)))
        borrower = chance.choice(BORROWERS)
        own = self.facts_of[borrower]
        given = consent(
            f"c{len(own)}",  # each borrower's own: two borrowers' ids meet
            borrower=borrower,
            person=person,
            recipient=chance.choice(BANKS),
            purpose=chance.choice(PURPOSES),
            classes=tuple(names),
            valid_from=valid_from,
            until=valid_from + timedelta(days=chance.randint(0, 9)),
            evidence=EVIDENCE if person else None,
        )
        scope = Scope(
            borrower=given.borrower,
            recipient=given.recipient,
            purpose=given.purpose,
            person=person,
        )
        before = self.known.standing.get(scope)
        if before is not None:
            version = before.consent.version + 1
            given = consent(**{**fields(given), "name": given.consent, "version": version})
        statement = signed("consent", consent_body(given), given.borrower)
        own += decide(fold(own), GiveConsent(consent=given, signed=statement, on=self.day))
        await put_consent(self.database, given)

    async def withdraw(self) -> None:
        standing = [s.consent for s in self.known.standing.values() if not s.withdrawn]
        if not standing:
            return
        gone = self.random.choice(standing)
        body = withdrawal_body(gone.consent, on=self.day)
        statement = signed("consent-withdrawal", body, gone.borrower)
        own = self.facts_of[gone.borrower]
        own += decide(
            fold(own), WithdrawConsent(consent=gone.consent, signed=statement, on=self.day)
        )
        await put_withdrawal(self.database, gone.borrower, gone.consent, on=self.day)

    def something_to_ask(self) -> Ask:
        """Two times in three by a consent's own words, live or not; else anything by anybody."""
        chance = self.random
        standing = [s.consent for s in self.known.standing.values()]
        by = chance.choice(standing) if standing and chance.randint(1, 3) < 3 else None
        purpose = by.purpose if by else chance.choice(PURPOSES)
        classes = by.classes if by else (*CLASSES, "team")
        return Ask(
            read="r",
            room=room_of(purpose, place="purpose"),
            borrower=by.borrower if by else chance.choice(BORROWERS),
            reader=by.recipient if by else chance.choice(BANKS),
            classes=tuple(chance.sample(classes, chance.randint(1, min(2, len(classes))))),
            purpose=purpose,
            on=self.day,
        )

    async def next_day(self) -> None:
        self.day += timedelta(days=1)
        async with self.database.transaction(SERVICE) as conn:
            await ledger.open_business_day(conn, day=self.day)


def fields(given: Consent) -> dict[str, Any]:
    return {name: getattr(given, name) for name in Consent.__struct_fields__ if name != "consent"}


async def test_the_database_shows_exactly_what_the_pure_decision_allows(
    database: Database,
) -> None:
    """60 random cases: any reader, any purpose, versions, days, withdrawals, people."""
    there = await settle(database)
    scene = Scene(database, seed=20240301)
    rows = reads = refusals = 0
    for case in range(60):
        for step in scene.random.choices(
            (scene.give, scene.withdraw, scene.next_day), weights=(6, 2, 1), k=3
        ):
            await step()
        asked = scene.something_to_ask()
        for who in (asked.reader, scene.random.choice(BORROWERS), "nobody-at-all"):
            purpose = asked.purpose
            expected = allowed(scene.known, there, reader=who, purpose=purpose, on=scene.day)
            expected |= {fact.fact for fact in there if fact.borrower == who}
            found = await visible(database, member(who), purpose)
            assert found == expected, f"case {case}: {who} for {purpose} on {scene.day}"
            rows += len(found) if who in BANKS else 0
        was_read = await read_by_service(scene, there, asked, number=case)
        reads, refusals = reads + was_read, refusals + (not was_read)
    versions = max(s.consent.version for s in scene.known.standing.values())
    withdrawn = sum(isinstance(fact, ConsentWithdrawn) for fact in scene.facts)
    print(
        f"60 cases over {(scene.day - FIRST).days + 1} days: {len(scene.facts) - withdrawn} "
        f"consents up to version {versions}, {withdrawn} withdrawals; {rows} rows seen by banks; "
        f"{reads} reads allowed, {refusals} refused"
    )
    assert min(reads, refusals, withdrawn) >= 15
    assert versions >= 3
    async with database.transaction(SERVICE, read_only=True) as conn:
        count = await conn.scalar(text("SELECT count(*) FROM syndicate.room_access"))
    assert count == reads + refusals


async def read_by_service(
    scene: Scene, there: Sequence[RoomFact], asked: Ask, *, number: int
) -> bool:
    """Whether the read was allowed; the use case showed or refused what the pure decision does."""
    async with scene.database.transaction(member(asked.reader)) as conn:
        outcome = await rooms.read(
            disclosure.Act(
                conn=conn,
                actor=Actor(institution=asked.reader, user="someone"),
                now=NOW,
                command=f"read-{number}",
            ),
            borrower=asked.borrower,
            purpose=asked.purpose,
            classes=asked.classes,
            tolerances_bp={},
        )
    if isinstance(outcome, NoConsent):
        with pytest.raises(NoConsent) as refused:
            decide_read(scene.known, asked)
        assert outcome.record.missing == refused.value.record.missing
        return False
    right = decide_read(scene.known, asked)
    assert outcome.consents == right.consents
    assert {fact.fact for fact in outcome.facts} == {fact.fact for fact in shown(right, there)}
    return True
