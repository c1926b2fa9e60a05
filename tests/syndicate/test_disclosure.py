"""Consent and the information room: deny by default, every read and refusal on record."""

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.signatures import Statement
from syndicate.disclosure.consent import (
    NO_CONSENTS,
    Consent,
    ConsentFact,
    ConsentGiven,
    ConsentKnown,
    Consents,
    GiveConsent,
    NothingToWithdraw,
    StaleConsent,
    WithdrawConsent,
    consent_body,
    decide,
    evolve,
    fold,
    live,
    withdrawal_body,
)
from syndicate.disclosure.room import (
    Ask,
    FactKnown,
    NeverShared,
    NoConsent,
    RoomFact,
    age_days,
    contradictions,
    decide_read,
    offer_fact,
    read_recorded,
    room_of,
    shown,
)
from syndicate.parties.commitments import SALT_BYTES, opens
from syndicate.parties.statements import NotTheirs, SaysOtherwise

START = date(2026, 1, 5)
UNTIL = date(2026, 6, 30)
SALT = bytes(SALT_BYTES)
EVIDENCE = "ab" * 32


def consent(name: str = "c1", **changes: Any) -> Consent:
    words: dict[str, Any] = {
        "consent": name,
        "borrower": "borrower",
        "person": None,
        "recipient": "cib",
        "purpose": "deal-7:assessment",
        "classes": ("financials", "intellectual_property"),
        "valid_from": START,
        "until": UNTIL,
        "version": 1,
        "evidence": None,
    }
    words.update(changes)
    return Consent(**words)


def persons(name: str = "p1", **changes: Any) -> Consent:
    words: dict[str, Any] = {"person": "founder", "classes": ("team",), "evidence": EVIDENCE}
    return consent(name, **(words | changes))


def signed(kind: str, body: dict[str, Any], by: str = "borrower") -> Statement:
    return Statement(kind=kind, body=body, by=by, key="0" * 16, signature="")


def give(state: Consents, given: Consent, *, on: date = START) -> Consents:
    statement = signed("consent", consent_body(given))
    facts = decide(state, GiveConsent(consent=given, signed=statement, on=on))
    for fact in facts:
        state = evolve(state, fact)
    return state


def withdraw(state: Consents, name: str, *, on: date) -> Consents:
    statement = signed("consent-withdrawal", withdrawal_body(name, on=on))
    for fact in decide(state, WithdrawConsent(consent=name, signed=statement, on=on)):
        state = evolve(state, fact)
    return state


def ask(**changes: Any) -> Ask:
    words: dict[str, Any] = {
        "read": "r1",
        "room": "neg-7",
        "borrower": "borrower",
        "reader": "cib",
        "classes": ("intellectual_property",),
        "purpose": "deal-7:assessment",
        "on": UNTIL,
    }
    words.update(changes)
    return Ask(**words)


def room_fact(name: str = "f1", **changes: Any) -> RoomFact:
    words: dict[str, Any] = {
        "fact": name,
        "room": "neg-7",
        "borrower": "borrower",
        "item": "revenue.2024",
        "field_class": "financials",
        "data_class": "internal",
        "person": None,
        "value": 120_000_000_00,
        "unit": "fen",
        "source": "hzbank",
        "legal_basis": "consent",
        "as_of": date(2025, 3, 31),
        "confidence": "verified",
        "assessment": None,
    }
    words.update(changes)
    return RoomFact(**words)


READS = [
    # reader    classes                              day         purpose               allowed
    ("cib", ("intellectual_property",), date(2026, 6, 29), "deal-7:assessment", True),
    ("cib", ("intellectual_property",), date(2026, 6, 30), "deal-7:assessment", True),
    ("cib", ("intellectual_property",), date(2026, 7, 1), "deal-7:assessment", False),
    ("cib", ("intellectual_property",), date(2026, 1, 4), "deal-7:assessment", False),
    ("cib", ("intellectual_property",), date(2026, 1, 5), "deal-7:assessment", True),
    ("cib", ("financials", "intellectual_property"), UNTIL, "deal-7:assessment", True),
    ("czbank", ("intellectual_property",), UNTIL, "deal-7:assessment", False),
    ("cib", ("tax",), UNTIL, "deal-7:assessment", False),
    ("cib", ("financials", "tax"), UNTIL, "deal-7:assessment", False),
    ("cib", ("intellectual_property",), UNTIL, "deal-8:assessment", False),
    ("borrower", ("tax", "team"), date(2030, 1, 1), "own:look", True),
]


@pytest.mark.parametrize(("reader", "classes", "day", "purpose", "allowed"), READS)
def test_a_read_needs_a_live_consent_for_reader_class_purpose_and_day(
    reader: str, classes: tuple[Any, ...], day: date, purpose: str, allowed: bool
) -> None:
    state = give(NO_CONSENTS, consent())
    request = ask(reader=reader, classes=classes, on=day, purpose=purpose)
    if allowed:
        answer = decide_read(state, request)
        assert answer.consents == (() if reader == "borrower" else ("c1",))
        return
    with pytest.raises(NoConsent) as refusal:
        decide_read(state, request)
    record = refusal.value.record
    assert (record.reader, record.classes, record.on) == (reader, classes, day)
    assert record.missing


@pytest.mark.parametrize(
    "changes", [{"classes": ()}, {"classes": ("tax", "tax")}, {"purpose": "All Purposes"}]
)
def test_a_malformed_request_is_no_read_and_no_refusal(changes: dict[str, Any]) -> None:
    for reader in ("cib", "borrower"):
        with pytest.raises(WrongInput):
            decide_read(give(NO_CONSENTS, consent()), ask(reader=reader, **changes))


def test_a_purpose_opens_the_one_room_it_names() -> None:
    assert room_of("neg-7:assessment", place="$.purpose") == "neg-7"
    for purpose in ("neg-7", "neg-7:", "7:assessment"):
        with pytest.raises(WrongInput):
            room_of(purpose, place="$.purpose")


def test_a_refusal_names_only_the_classes_that_lack_consent() -> None:
    state = give(NO_CONSENTS, consent())
    with pytest.raises(NoConsent) as refusal:
        decide_read(state, ask(classes=("tax", "financials", "orders")))
    assert refusal.value.record.missing == ("tax", "orders")


def test_a_withdrawal_ends_reads_forward_and_leaves_past_ones_on_record() -> None:
    state = give(NO_CONSENTS, consent())
    past = read_recorded(decide_read(state, ask(on=START)), [room_fact()])
    state = withdraw(state, "c1", on=START)
    with pytest.raises(NoConsent):
        decide_read(state, ask(on=START))
    assert past.consents == ("c1",)


def test_a_later_version_replaces_the_one_before() -> None:
    state = give(NO_CONSENTS, consent())
    state = give(state, consent("c2", version=2, classes=("orders",)))
    assert decide_read(state, ask(classes=("orders",))).consents == ("c2",)
    with pytest.raises(NoConsent):
        decide_read(state, ask(classes=("financials",)))
    with pytest.raises(NothingToWithdraw):
        withdraw(state, "c1", on=START)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_version_must_follow_the_one_that_stands(version: int) -> None:
    state = give(NO_CONSENTS, consent())
    with pytest.raises(StaleConsent):
        give(state, consent("c2", version=version))


def test_consent_may_be_given_again_after_a_withdrawal_under_a_new_id() -> None:
    state = withdraw(give(NO_CONSENTS, consent()), "c1", on=START)
    with pytest.raises(NothingToWithdraw):
        withdraw(state, "c1", on=START)
    with pytest.raises(ConsentKnown):
        give(state, consent("c1", version=2))
    assert decide_read(give(state, consent("c2", version=2)), ask()).consents == ("c2",)


def test_the_firms_consent_never_opens_personal_data() -> None:
    with pytest.raises(WrongInput, match="personal classes apart"):
        give(NO_CONSENTS, consent(classes=("financials", "team")))
    with pytest.raises(WrongInput, match=r"\$\.consent\.person"):
        give(NO_CONSENTS, consent(classes=("team",)))
    with pytest.raises(NoConsent) as refusal:
        decide_read(give(NO_CONSENTS, consent()), ask(classes=("financials", "team")))
    assert refusal.value.record.missing == ("team",)


def test_a_persons_consent_opens_that_persons_data_to_that_bank_only() -> None:
    state = give(NO_CONSENTS, persons())
    facts = [
        room_fact("f1", item="team.cv", field_class="team", person="founder"),
        room_fact("f2", item="team.cv", field_class="team", person="engineer"),
    ]
    allowed = decide_read(state, ask(classes=("team",)))
    assert [fact.fact for fact in shown(allowed, facts)] == ["f1"]
    with pytest.raises(NoConsent):
        decide_read(state, ask(classes=("team",), reader="czbank"))


def test_zheshang_reads_team_data_only_after_the_persons_consent() -> None:
    purpose = "neg-1:assessment"
    state = NO_CONSENTS
    for bank in ("hzbank", "cib", "czbank"):
        state = give(
            state,
            consent(
                f"c-{bank}",
                recipient=bank,
                purpose=purpose,
                classes=("financials", "intellectual_property", "orders"),
                until=date(2026, 12, 31),
            ),
        )
    request = ask(reader="czbank", classes=("team",), purpose=purpose)
    with pytest.raises(NoConsent):
        decide_read(state, request)
    state = give(state, persons(recipient="czbank", purpose=purpose))
    assert decide_read(state, request).consents == ("p1",)


BAD_CONSENTS = [
    # what is wrong                                   where
    ({"classes": ()}, "classes"),
    ({"classes": ("orders", "orders")}, "classes"),
    ({"valid_from": START - timedelta(days=1)}, "valid_from"),
    ({"until": START - timedelta(days=1)}, "until"),
    ({"recipient": "borrower"}, "recipient"),
    ({"recipient": "CIB"}, "recipient"),
    ({"purpose": "Any Purpose"}, "purpose"),
    ({"evidence": EVIDENCE}, "evidence"),
    ({"person": "founder"}, "person"),
    ({"person": "张三", "classes": ("team",), "evidence": EVIDENCE}, "person"),
    ({"person": "founder", "classes": ("team",)}, "evidence"),
    ({"person": "founder", "classes": ("team",), "evidence": "none"}, "evidence"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_CONSENTS)
def test_a_consent_that_does_not_hang_together_is_named(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(WrongInput, match=rf"\$\.consent\.{field}"):
        give(NO_CONSENTS, consent(**changes))


def test_a_consent_is_signed_by_the_borrower_word_for_word() -> None:
    given = consent()
    wider = msgspec.structs.replace(given, classes=("financials", "tax"))
    forged = signed("consent", consent_body(given), by="cib")
    with pytest.raises(NotTheirs):
        decide(NO_CONSENTS, GiveConsent(consent=given, signed=forged, on=START))
    narrower = signed("consent", consent_body(given))
    with pytest.raises(SaysOtherwise):
        decide(NO_CONSENTS, GiveConsent(consent=wider, signed=narrower, on=START))
    state = give(NO_CONSENTS, given)
    other = signed("consent-withdrawal", withdrawal_body("c9", on=START))
    with pytest.raises(SaysOtherwise):
        decide(state, WithdrawConsent(consent="c1", signed=other, on=START))


def test_consent_facts_are_json_and_come_back_as_they_were() -> None:
    given = consent()
    fact = ConsentGiven(consent=given, signed=signed("consent", consent_body(given)))
    subject = msgspec.to_builtins(fact)
    assert subject["type"] == "ConsentGiven"
    assert msgspec.json.decode(canonical(subject), type=ConsentFact) == fact
    assert fold([fact]) == give(NO_CONSENTS, given)


OFFERS = [
    # changes                                                        refusal
    ({"data_class": "C3"}, NeverShared),
    ({"item": "team.religion", "field_class": "team", "person": "founder"}, NeverShared),
    ({"data_class": "C2"}, WrongInput),
    ({"field_class": "team"}, WrongInput),
    ({"person": "founder"}, WrongInput),
    ({"field_class": "team", "person": "张三"}, WrongInput),
    ({"item": "Revenue 2024"}, WrongInput),
    ({"as_of": START + timedelta(days=1)}, WrongInput),
    ({"value": "x" * 4001}, WrongInput),
    ({"source": "Bank"}, WrongInput),
    ({"unit": "x" * 81}, WrongInput),
]


@pytest.mark.parametrize(("changes", "refusal"), OFFERS)
def test_what_may_not_stand_in_a_room_does_not_enter(
    changes: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        offer_fact(frozenset(), room_fact(**changes), on=START, salt=SALT)


def test_the_log_gets_a_commitment_and_not_the_value() -> None:
    fact = room_fact(data_class="C2", assessment="dsa-1")
    offered = offer_fact(frozenset(), fact, on=START, salt=SALT)
    assert opens(offered.commitment, fact, salt=SALT)
    assert "12000000000" not in repr(offered)
    assert "revenue" not in repr(offered)
    with pytest.raises(FactKnown):
        offer_fact(frozenset(("f1",)), fact, on=START, salt=SALT)


def test_a_read_shows_the_rooms_facts_of_the_classes_asked_for() -> None:
    state = give(NO_CONSENTS, consent())
    facts = [
        room_fact("f1"),
        room_fact("f2", field_class="tax", item="tax.2024"),
        room_fact("f3", room="neg-8"),
        room_fact("f4", borrower="another"),
        room_fact("f5", data_class="C3"),
    ]
    allowed = decide_read(state, ask(classes=("financials", "intellectual_property")))
    assert shown(allowed, facts) == (facts[0],)
    record = read_recorded(allowed, shown(allowed, facts))
    assert (record.facts, record.consents) == (("f1",), ("c1",))


PAIRS = [
    # hzbank        cib                                        tolerance_bp  differs
    (100_00, {"value": 101_00}, 99, None),  # 1/101 is 99.0099 bp: beyond 99
    (100_00, {"value": 100_00}, 0, None),
    (99_00, {"value": 100_00}, 100, None),  # at the tolerance
    (99_00, {"value": 100_00}, 99, "value"),
    ("12.50", {"value": "12.5"}, 0, None),
    ("12.50", {"value": "12.51"}, 0, "value"),
    (-5, {"value": 5}, 10_000, "value"),
    (0, {"value": 0}, 0, None),
    ("leader", {"value": "follower"}, 10_000, "value"),
    (True, {"value": 1}, 10_000, "value"),
    (100_00, {"value": 100_00, "unit": "yuan"}, 10_000, "unit"),
]


@pytest.mark.parametrize(("value", "other", "tolerance_bp", "differs"), PAIRS[1:])
def test_two_sources_contradict_beyond_the_tolerance(
    value: Any, other: dict[str, Any], tolerance_bp: int, differs: str | None
) -> None:
    facts = [room_fact("f1", value=value), room_fact("f2", source="cib", **other)]
    found = contradictions(facts, tolerances_bp={"revenue.2024": tolerance_bp})
    assert [item.differs for item in found] == ([] if differs is None else [differs])


def test_only_the_latest_word_of_a_source_counts_and_no_source_contradicts_itself() -> None:
    facts = [
        room_fact("f1", value=1, as_of=date(2024, 12, 31)),
        room_fact("f2", value=2, as_of=date(2025, 3, 31)),
        room_fact("f3", value=1, source="cib", as_of=date(2025, 3, 31)),
        room_fact("f4", value=2, source="cib", as_of=date(2025, 6, 30)),
        room_fact("f5", value=9, source="czbank", item="revenue.2023"),
    ]
    assert contradictions(facts, tolerances_bp={}) == ()
    (found,) = contradictions(facts[:3], tolerances_bp={})
    assert (found.facts, found.sources) == (("f3", "f2"), ("cib", "hzbank"))


def test_a_fact_ages_by_days() -> None:
    assert age_days(room_fact(), on=date(2025, 4, 1)) == 1


BANKS = ("hzbank", "cib", "czbank")
CLASSES = ("financials", "orders", "tax")


class ConsentsMachine(RuleBasedStateMachine):
    """Consents against a naive model: the list of all that ever happened."""

    def __init__(self) -> None:
        super().__init__()
        self.state = NO_CONSENTS
        self.history: list[tuple[str, Consent]] = []
        self.day = START

    @rule(days=st.integers(0, 40))
    def time_passes(self, days: int) -> None:
        self.day += timedelta(days=days)

    @rule(
        bank=st.sampled_from(BANKS),
        classes=st.sets(st.sampled_from(CLASSES), min_size=1),
        days=st.integers(0, 60),
    )
    def the_borrower_consents(self, bank: str, classes: set[Any], days: int) -> None:
        versions = [c.version for what, c in self.history if what == "give" and c.recipient == bank]
        given = consent(
            f"c{len(self.history)}",
            recipient=bank,
            classes=tuple(sorted(classes)),
            valid_from=self.day,
            until=self.day + timedelta(days=days),
            version=max(versions, default=0) + 1,
        )
        self.state = give(self.state, given, on=self.day)
        self.history.append(("give", given))

    @rule(bank=st.sampled_from(BANKS))
    def the_borrower_withdraws(self, bank: str) -> None:
        latest = self._latest(bank)
        if latest is None:
            return
        self.state = withdraw(self.state, latest.consent, on=self.day)
        self.history.append(("withdraw", latest))

    def _latest(self, bank: str) -> Consent | None:
        mine = [(what, c) for what, c in self.history if c.recipient == bank]
        return mine[-1][1] if mine and mine[-1][0] == "give" else None

    @invariant()
    def a_read_is_allowed_exactly_by_the_latest_consent_of_the_bank(self) -> None:
        for bank in BANKS:
            latest = self._latest(bank)
            for name in CLASSES:
                request = ask(reader=bank, classes=(name,), on=self.day)
                due = (
                    latest is not None
                    and name in latest.classes
                    and latest.valid_from <= self.day <= latest.until
                )
                try:
                    allowed = decide_read(self.state, request)
                except NoConsent:
                    assert not due
                else:
                    assert due
                    assert latest is not None
                    assert allowed.consents == (latest.consent,)
            assert len(self._live(bank)) <= 1

    def _live(self, bank: str) -> tuple[Consent, ...]:
        return live(
            self.state,
            borrower="borrower",
            recipient=bank,
            purpose="deal-7:assessment",
            on=self.day,
        )


TestConsents = ConsentsMachine.TestCase
TestConsents.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
