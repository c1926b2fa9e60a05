"""From the book to the signed sheet: clearing, rules, decisions of two persons, signatures."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from ledger.documents import canonical
from ledger.errors import Refused, WrongInput
from ledger.signatures import verify_statement
from negotiation.agreement import decision_body
from negotiation.cleared import (
    Cell,
    aggregate,
    book_of,
    check_quote_on,
    quotes_seen_by,
)
from negotiation.facts import BankDecided, BookFailed, LogReference, PackUsed
from negotiation.moves import (
    AskOverride,
    CheckDecision,
    CheckRules,
    ClearBook,
    DraftDecision,
    GrantOverride,
    Move,
    OpenBook,
    Propose,
    RecordFacility,
    SignTermSheet,
)
from negotiation.quotes import Quote
from negotiation.refusals import (
    AllocationBroken,
    AlreadyDone,
    MakerIsChecker,
    NoSeat,
    NothingToCheck,
    NothingToOverride,
    NotTheLead,
    OverrideMissing,
    RuleBlocks,
    RulesUnchecked,
    StaleAgreement,
    TermsDiffer,
    WrongPhase,
)
from negotiation.rounds import fold
from negotiation.state import Phase, agreement_hash, signatories
from negotiation.terms import digest
from negotiation.termsheet import (
    check_posted,
    facility_terms,
    signature_body,
    term_sheet,
    term_sheet_hash,
)
from syndicate.facility.terms import check_terms, terms_hash
from syndicate.parties.statements import NotTheirs, SaysOtherwise
from tests.negotiation.deals import (
    BANKS,
    PASSED,
    SECOND_QUOTES,
    START,
    STORY_QUOTES,
    WAN,
    Table,
    key_of,
    protected_terms,
    quote,
    says,
    terms,
)

WARNED = replace(PASSED, rule="SY-03", outcome="warn", value="0.2500", limit="0.30")
BROKEN = replace(PASSED, rule="LE-01", outcome="fail", severity="block", value=None, limit=None)


def sheet_in_hand() -> Table:
    return Table().cleared().judged().decided().drawn()


# ---- the book


def test_deal_one_clears_at_fifteen_below_with_every_bank_at_its_offer() -> None:
    table = Table().cleared()
    assert table.now.clearing is not None
    assert table.now.clearing.spread_bp == -15
    assert dict(table.now.clearing.allocation) == {
        "hzbank": 8_000 * WAN,
        "cib": 6_000 * WAN,
        "czbank": 6_000 * WAN,
    }


def test_deal_two_clears_at_thirty_above_with_its_lead_seated_first() -> None:
    table = Table(lead="cib").cleared(protected_terms(), SECOND_QUOTES)
    assert table.now.clearing is not None
    assert table.now.clearing.spread_bp == 30
    assert list(table.now.clearing.allocation.items()) == [
        ("cib", 1_000 * WAN),
        ("hzbank", 1_500 * WAN),
        ("czbank", 500 * WAN),
    ]


def test_headroom_cuts_an_offer_and_may_fail_the_book() -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    (failed,) = table.do(table.outcome(headroom={"czbank": 1_000 * WAN}))
    assert isinstance(failed, BookFailed)
    assert failed.gap_minor == 1_000 * WAN  # 8,000 + 10,000 + 1,000 of 20,000
    assert table.now.phase is Phase.UNPLACED


def test_headroom_below_zero_is_wrong_input() -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    with pytest.raises(WrongInput, match="headroom"):
        book_of(table.now, table.quotes, headroom={"cib": -1}, on=table.on)


def test_after_a_failed_book_quotes_are_asked_again_or_new_terms_proposed() -> None:
    table = Table().agreed().quoted({"hzbank": STORY_QUOTES["hzbank"]})
    table.do(table.outcome())
    table.quoted(STORY_QUOTES).do(table.outcome())
    assert table.now.books == 2
    again = Table().agreed().quoted({"hzbank": STORY_QUOTES["hzbank"]})
    again.do(again.outcome())
    again.do(Propose(by="hzbank", terms=terms(spread_bp=0), answer_within_workdays=3))
    assert (again.now.phase, again.now.agreed) == (Phase.OPEN, None)


CHEATS: list[tuple[str, Any]] = [
    ("another salt", lambda q: {**q, "cib": replace(q["cib"], salt=bytes(31) + b"1")}),
    ("a better quote", lambda q: {**q, "cib": replace(q["cib"], quote=quote((-50, 6_000)))}),
    ("another version", lambda q: {**q, "cib": replace(q["cib"], version=2)}),
    ("another bank's envelope", lambda q: {**q, "cib": q["czbank"]}),
    ("a quote left out", lambda q: {k: v for k, v in q.items() if k != "cib"}),
    ("a quote nobody placed", lambda q: {**q, "icbc": replace(q["cib"], bank="icbc")}),
]


@pytest.mark.parametrize(("name", "cheat"), CHEATS)
def test_only_the_quotes_committed_to_are_cleared(name: str, cheat: Any) -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    with pytest.raises(StaleAgreement):
        book_of(table.now, cheat(table.quotes), headroom={}, on=table.on)


BROKEN_ALLOCATIONS: list[tuple[dict[str, Any], str]] = [
    # what the move says instead                                              why it is refused
    ({"allocation": {"hzbank": 8_000 * WAN, "cib": 6_000 * WAN}}, "sum to the target"),
    ({"allocation": {"hzbank": 19_999 * WAN, "cib": 1 * WAN}}, "whole lots"),
    ({"allocation": {"cib": 10_000 * WAN, "czbank": 10_000 * WAN}}, "the lead would hold nothing"),
    ({"allocation": {"hzbank": 20_000 * WAN}}, "no joint loan"),
    ({"allocation": {"hzbank": 21_000 * WAN, "cib": -1_000 * WAN}}, "whole lots"),
    ({"allocation": {"hzbank": 10_000 * WAN, "icbc": 10_000 * WAN}}, "at the table"),
]


@pytest.mark.parametrize(("changes", "why"), BROKEN_ALLOCATIONS)
def test_an_allocation_keeps_the_agreed_terms(changes: dict[str, Any], why: str) -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    outcome = table.outcome()
    assert isinstance(outcome, ClearBook)
    with pytest.raises(AllocationBroken, match=why):
        table.do(replace(outcome, **changes))


def test_a_bank_that_did_not_quote_is_given_nothing() -> None:
    quotes = {"hzbank": quote((-15, 10_000)), "cib": quote((-15, 10_000))}
    table = Table().agreed().quoted(quotes)
    outcome = table.outcome()
    assert isinstance(outcome, ClearBook)
    forged = {"hzbank": 10_000 * WAN, "cib": 5_000 * WAN, "czbank": 5_000 * WAN}
    with pytest.raises(AllocationBroken, match="czbank has not quoted"):
        table.do(replace(outcome, allocation=forged))
    table.do(outcome)
    assert signatories(table.now) == ("hzbank", "cib", "yunshenchu")


def test_an_outcome_of_other_quotes_than_those_that_stand_is_stale() -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    outcome = table.outcome()
    with pytest.raises(StaleAgreement):
        table.do(replace(outcome, quotes_hash="00" * 32))


def test_only_the_lead_clears_and_only_with_a_real_commitment_to_the_offers() -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    outcome = table.outcome()
    assert isinstance(outcome, ClearBook)
    with pytest.raises(NotTheLead):
        table.do(replace(outcome, by="cib"))
    with pytest.raises(WrongInput, match="offers_hash"):
        table.do(replace(outcome, offers_hash="none"))


HELD_BY = {
    # what the engine would answer                   the flaw in the agreed terms
    "lead": {"cib": 10_000, "czbank": 10_000},
    "joint": {"hzbank": 20_000},
}


@pytest.mark.parametrize("flaw", HELD_BY)
def test_an_outcome_that_the_agreed_terms_rule_out_fails_the_book(flaw: str) -> None:
    quotes = {bank: quote((-15, held)) for bank, held in HELD_BY[flaw].items()}
    table = Table().agreed().quoted(quotes)
    (failed,) = table.do(table.outcome())
    assert isinstance(failed, BookFailed)
    assert failed.conflict == (f"terms:{flaw}",)
    assert table.now.phase is Phase.UNPLACED


def test_a_rule_that_names_a_bank_without_a_part_fails_the_book() -> None:
    named = {"kind": "pro_rata", "by": {"hzbank": 1, "cib": 1, "czbank": 1}}
    quotes = {"hzbank": quote((-15, 10_000)), "cib": quote((-15, 10_000))}
    table = Table().agreed(terms(spread_bp=None, risk_share=named)).quoted(quotes)
    (failed,) = table.do(table.outcome())
    assert isinstance(failed, BookFailed)
    assert failed.conflict == ("terms:risk_share",)


def test_an_agreed_spread_is_quoted_and_cleared_as_agreed() -> None:
    table = Table().agreed(terms(spread_bp=-5))
    check_quote_on(table.now, quote((-5, 8_000)), place="$")
    for wrong in (quote((-6, 8_000)), quote((-5, 1_000), (0, 1_000)), quote()):
        with pytest.raises(WrongInput):
            check_quote_on(table.now, wrong, place="$")
    table.quoted({bank: quote((-5, 8_000)) for bank in BANKS})
    outcome = table.outcome()
    assert isinstance(outcome, ClearBook)
    with pytest.raises(AllocationBroken, match="the agreed spread"):
        table.do(replace(outcome, spread_bp=-4))
    table.do(outcome)
    assert table.now.clearing is not None
    assert sum(table.now.clearing.allocation.values()) == 20_000 * WAN


@pytest.mark.parametrize("bad", [quote(), quote((0, 1), (0, 1)), quote((0, 0)), quote((0, -1))])
def test_a_quote_has_steps_that_rise_and_add_something(bad: Quote) -> None:
    with pytest.raises(WrongInput, match="steps"):
        check_quote_on(Table().agreed().now, bad, place="$")


def test_headroom_is_no_part_of_a_quote() -> None:
    with pytest.raises(WrongInput, match="headroom"):
        check_quote_on(
            Table().agreed().now, replace(STORY_QUOTES["cib"], headroom_minor=1), place="$"
        )


def test_the_lead_sees_quotes_and_the_others_only_their_own() -> None:
    table = Table().agreed().quoted(STORY_QUOTES)
    assert set(quotes_seen_by(table.now, "hzbank", table.quotes)) == set(BANKS)
    assert set(quotes_seen_by(table.now, "cib", table.quotes)) == {"cib"}
    assert quotes_seen_by(table.now, "yunshenchu", table.quotes) == {}


def test_the_aggregate_shows_no_figure_with_fewer_than_three_banks_behind_it() -> None:
    assert aggregate(STORY_QUOTES) == (
        Cell(spread_bp=-25, offers_minor=11_000 * WAN),
        Cell(spread_bp=-20, offers_minor=15_000 * WAN),
        Cell(spread_bp=-15, offers_minor=20_000 * WAN),
        Cell(spread_bp=-10, offers_minor=24_000 * WAN),
    )
    two = {bank: STORY_QUOTES[bank] for bank in ("hzbank", "cib")}
    assert aggregate(two) == ()


def test_no_fact_of_the_log_holds_a_quote_or_an_offer() -> None:
    table = sheet_in_hand()
    words = b"".join(canonical(fact) for fact in table.facts).decode()
    assert "steps" not in words
    assert str(10_000 * WAN) not in words  # what cib would hold at most


# ---- rules


def test_no_bank_approves_before_the_rules_were_checked() -> None:
    table = Table().cleared()
    table.draft("cib")
    with pytest.raises(RulesUnchecked):
        table.check("cib")


def test_a_broken_hard_rule_of_the_deal_stops_every_approval_and_no_override_helps() -> None:
    table = Table().cleared().judged(PASSED, BROKEN)
    for bank in BANKS:
        table.draft(bank)
        with pytest.raises(RuleBlocks):
            table.check(bank)
    with pytest.raises(NothingToOverride):
        table.do(
            AskOverride(
                by="hzbank", user="hz-1", pack="cn-syndicated", rule="LE-01", reason="please"
            )
        )


def test_a_broken_hard_rule_of_one_bank_stops_that_bank_only() -> None:
    table = Table().cleared().judged().judged(BROKEN, by="cib")
    table.draft("hzbank")
    table.check("hzbank")
    table.draft("cib")
    with pytest.raises(RuleBlocks):
        table.check("cib")
    table.draft("cib", "decline")
    table.check("cib", "decline")
    assert table.now.phase is Phase.UNPLACED


def overridden(table: Table) -> Table:
    ask = AskOverride(
        by="hzbank",
        user="hz-1",
        pack="cn-syndicated",
        rule="SY-03",
        reason="an anchor funder is wanted",
    )
    table.do(ask, GrantOverride(by="hzbank", user="hz-2", pack="cn-syndicated", rule="SY-03"))
    return table


def test_a_warning_stops_until_a_reason_and_a_second_person_stand() -> None:
    table = Table().cleared().judged(WARNED)
    table.draft("cib")
    with pytest.raises(OverrideMissing):
        table.check("cib")
    with pytest.raises(NothingToCheck):
        table.do(GrantOverride(by="hzbank", user="hz-2", pack="cn-syndicated", rule="SY-03"))
    ask = AskOverride(
        by="hzbank", user="hz-1", pack="cn-syndicated", rule="SY-03", reason="an anchor is wanted"
    )
    with pytest.raises(NothingToOverride):
        table.do(replace(ask, by="cib"))
    with pytest.raises(WrongInput):
        table.do(replace(ask, reason=""))
    table.do(ask)
    with pytest.raises(MakerIsChecker):
        table.do(GrantOverride(by="hzbank", user="hz-1", pack="cn-syndicated", rule="SY-03"))
    with pytest.raises(OverrideMissing):
        table.check("cib")
    table.do(GrantOverride(by="hzbank", user="hz-2", pack="cn-syndicated", rule="SY-03"))
    table.check("cib")
    with pytest.raises(NothingToOverride):
        table.do(ask)


def test_an_override_answers_one_check_and_falls_with_it() -> None:
    table = overridden(Table().cleared().judged(WARNED)).decided()
    table.judged(WARNED)
    with pytest.raises(OverrideMissing):
        table.drawn()
    overridden(table).drawn()
    assert table.now.sheet is not None
    assert table.now.sheet.term_sheet["rules"]["overrides"] == [
        {
            "by": "hzbank",
            "pack": "cn-syndicated",
            "rule": "SY-03",
            "reason": "an anchor funder is wanted",
        }
    ]


BAD_CHECKS: list[dict[str, Any]] = [
    {"packs": ()},
    {"packs": (PackUsed(pack="cn-syndicated", on=START),) * 2},
    {"findings": (replace(PASSED, pack="cn-joint-credit"),)},
    {"findings": (PASSED, PASSED)},
    {"findings": (replace(BROKEN, severity="warn"),)},
    {"findings": (replace(WARNED, severity="block"),)},
]


@pytest.mark.parametrize("changes", BAD_CHECKS)
def test_findings_that_contradict_themselves_are_no_check(changes: dict[str, Any]) -> None:
    move = CheckRules(
        by="hzbank", packs=(PackUsed(pack="cn-syndicated", on=START),), findings=(PASSED,)
    )
    with pytest.raises(WrongInput):
        Table().cleared().do(replace(move, **changes))


def test_a_bank_without_a_part_judges_nothing() -> None:
    with pytest.raises(NoSeat):
        Table().cleared().judged(by="icbc")


# ---- decisions


def test_maker_and_checker_of_a_decision_differ() -> None:
    table = Table().cleared().judged()
    with pytest.raises(NothingToCheck):
        table.check("cib")
    table.draft("cib")
    with pytest.raises(MakerIsChecker):
        table.check("cib", user="cib-maker")
    table.check("cib")
    decided = [fact for fact in table.facts if isinstance(fact, BankDecided)]
    assert [(d.bank, d.amount_minor, d.maker, d.checker) for d in decided] == [
        ("cib", 6_000 * WAN, "cib-maker", "cib-checker")
    ]


def test_a_decision_is_bound_to_the_exact_allocation_and_terms() -> None:
    table = Table().cleared().judged()
    with pytest.raises(StaleAgreement):
        table.do(DraftDecision(by="cib", user="cib-maker", outcome="approve", agreement="00" * 32))
    table.draft("cib")
    with pytest.raises(StaleAgreement):
        table.check("cib", agreement="00" * 32)


def test_a_decision_of_an_earlier_book_cannot_be_used_again() -> None:
    table = Table().cleared().judged()
    before = agreement_hash(table.now)
    table.draft("cib", "decline")
    table.check("cib", "decline")
    table.quoted(STORY_QUOTES).do(table.outcome())
    assert agreement_hash(table.now) != before
    assert not table.now.decisions
    assert not table.now.checks


def test_a_decision_is_signed_by_the_bank_for_what_was_drafted() -> None:
    table = Table().cleared().judged()
    table.draft("cib", "decline")
    with pytest.raises(SaysOtherwise):
        table.check("cib", "approve")
    table.draft("cib", "approve")
    body = decision_body(
        table.now, bank="cib", outcome="approve", maker="cib-maker", checker="cib-checker"
    )
    assert body["amount_minor"] == 6_000 * WAN
    signed = says("decision", body, by="hzbank")
    agreement = agreement_hash(table.now)
    with pytest.raises(NotTheirs):
        table.do(CheckDecision(by="cib", user="cib-checker", agreement=agreement, signed=signed))


PERSONS: list[Callable[[Table], Move]] = [
    lambda t: AskOverride(by="cib", user="", pack="cn-syndicated", rule="SY-03", reason="why"),
    lambda t: GrantOverride(by="hzbank", user="", pack="cn-syndicated", rule="SY-03"),
    lambda t: DraftDecision(by="cib", user="", outcome="approve", agreement=agreement_hash(t.now)),
    lambda t: CheckDecision(
        by="hzbank",
        user="",
        agreement=agreement_hash(t.now),
        signed=says("decision", {}, by="hzbank"),
    ),
]


@pytest.mark.parametrize("move", PERSONS)
def test_whoever_makes_or_checks_is_named(move: Callable[[Table], Move]) -> None:
    table = Table().cleared().judged(WARNED).judged(WARNED, by="cib")
    table.do(
        AskOverride(by="hzbank", user="hz-1", pack="cn-syndicated", rule="SY-03", reason="why")
    )
    table.draft("hzbank")
    with pytest.raises(WrongInput, match=r"\$\.user"):
        table.do(move(table))


def test_no_decision_is_checked_once_the_deal_is_unplaced() -> None:
    table = Table().cleared().judged()
    table.draft("cib")
    table.draft("czbank", "decline")
    table.check("czbank", "decline")
    with pytest.raises(WrongPhase):
        table.check("cib")


def test_each_bank_decides_once_and_only_banks_that_hold_a_part() -> None:
    table = Table().cleared().judged()
    table.draft("cib")
    table.check("cib")
    with pytest.raises(AlreadyDone):
        table.draft("cib")
    with pytest.raises(NoSeat):
        table.draft("icbc")


def test_one_decline_unplaces_the_deal_and_the_book_may_open_without_it() -> None:
    table = Table().cleared().judged()
    table.draft("hzbank")
    table.check("hzbank")
    table.draft("czbank", "decline")
    table.check("czbank", "decline")
    with pytest.raises(WrongPhase):
        table.draft("cib")
    table.do(OpenBook(by="hzbank", mode="open", rules=("cn-syndicated",), quotes_within_workdays=1))
    assert table.now.phase is Phase.BOOK_OPEN


# ---- the sheet


def test_the_sheet_is_drawn_only_after_every_bank_has_approved() -> None:
    table = Table().cleared().judged()
    for bank in BANKS[:2]:
        table.draft(bank)
        table.check(bank)
    with pytest.raises(WrongPhase):
        table.drawn()


def test_only_the_lead_draws_the_sheet_and_nobody_signs_before() -> None:
    table = Table().cleared().judged()
    signing = SignTermSheet(by="cib", signed=says("term-sheet", {}, by="cib"))
    with pytest.raises(WrongPhase):
        table.do(signing)
    table.decided()
    with pytest.raises(WrongPhase):
        table.do(signing)
    with pytest.raises(NotTheLead):
        table.drawn(by="cib")


def test_whoever_has_the_facts_writes_the_same_sheet() -> None:
    table = sheet_in_hand()
    state = fold(table.facts)
    assert state is not None
    assert state.sheet is not None
    assert term_sheet(state) == state.sheet.term_sheet
    assert term_sheet_hash(term_sheet(state)) == state.sheet.term_sheet_hash


def test_the_sheet_says_who_what_at_which_rate_by_which_rules_and_where_it_is_on_record() -> None:
    table = Table(lead="cib").cleared(protected_terms(), SECOND_QUOTES).judged().decided().drawn()
    sheet = term_sheet(table.now)
    assert sheet["parties"] == {
        "borrower": "yunshenchu",
        "lead": "cib",
        "banks": ["cib", "hzbank", "czbank"],
        "protectors": ["pool", "guarantor"],
        "signatories": ["cib", "hzbank", "czbank", "pool", "guarantor", "yunshenchu"],
    }
    assert sheet["clearing"]["spread_bp"] == 30
    assert sheet["allocation"]["hzbank"] == 1_500 * WAN
    assert sheet["risk_share"]["commitments"]["hzbank"] == "15000000.00"
    assert sheet["risk_share_hash"] == digest(sheet["risk_share"])
    assert sheet["rules"]["checks"][0]["packs"] == [{"pack": "cn-syndicated", "on": "2025-08-18"}]
    assert [d["bank"] for d in sheet["decisions"]] == ["cib", "hzbank", "czbank"]
    assert sheet["log"]["size"] == len(table.facts) - 1
    assert sheet["terms_hash"] == terms_hash(
        facility_terms(table.now, facility="fac-1", signed_on=table.on)
    )


def test_every_party_signs_with_its_own_key_and_only_then_is_the_deal_signed() -> None:
    table = Table(lead="cib").cleared(protected_terms(), SECOND_QUOTES).judged().decided().drawn()
    parties = ("cib", "hzbank", "czbank", "pool", "guarantor", "yunshenchu")
    assert signatories(table.now) == parties
    for party in parties:
        assert table.now.phase is Phase.DECIDED
        table.sign(party)
    assert table.now.phase is Phase.SIGNED
    for party, signed in table.now.signatures.items():
        assert verify_statement(signed, public=key_of(party).public)
        assert signed.body["terms_hash"] == table.now.sheet.terms_hash  # type: ignore[union-attr]


def test_a_signature_under_another_sheet_or_by_another_party_does_not_count() -> None:
    table = sheet_in_hand()
    body = signature_body(table.now)
    other = says("term-sheet", body | {"term_sheet": "00" * 32}, by="cib")
    with pytest.raises(SaysOtherwise):
        table.do(SignTermSheet(by="cib", signed=other))
    with pytest.raises(NotTheirs):
        table.do(SignTermSheet(by="cib", signed=says("term-sheet", body, by="hzbank")))
    with pytest.raises(SaysOtherwise):
        table.do(SignTermSheet(by="cib", signed=says("decision", body, by="cib")))
    with pytest.raises(NoSeat):
        table.sign("icbc")
    table.sign("cib")
    with pytest.raises(AlreadyDone):
        table.sign("cib")
    with pytest.raises(AlreadyDone):
        table.drawn()


BAD_SHEETS: list[tuple[dict[str, Any], str]] = [
    ({"facility": "FAC"}, "facility"),
    ({"signed_on": START}, "signed_on"),
    ({"signed_on": date(2026, 7, 1)}, "available_until"),
    ({"cooperation_agreement": "none"}, "cooperation_agreement"),
    ({"log": LogReference(book="neg-2", size=5, root="ab" * 32)}, "log"),
    ({"log": LogReference(book="neg-1", size=0, root="ab" * 32)}, "log"),
    ({"log": LogReference(book="neg-1", size=5, root="?")}, "log"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_SHEETS)
def test_a_sheet_that_does_not_hang_together_is_not_drawn(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(WrongInput, match=field):
        Table().cleared().judged().decided().drawn(**changes)


def test_the_facilitys_terms_hang_together_and_sum_to_the_target() -> None:
    table = sheet_in_hand()
    made = facility_terms(table.now, facility="fac-1", signed_on=table.on)
    check_terms(made, place="$")
    assert made.total_minor == 20_000 * WAN
    assert (made.rate.spread_bp, made.seats, made.lead) == (-15, BANKS, "hzbank")


def test_the_terms_posted_are_the_terms_accepted() -> None:
    table = sheet_in_hand().signed()
    made = facility_terms(table.now, facility="fac-1", signed_on=table.on)
    check_posted(table.now, made)
    for forged in (
        replace(made, facility="fac-2"),
        replace(made, signed_on=made.signed_on + timedelta(days=1)),
        replace(made, rate=replace(made.rate, spread_bp=-14)),
        replace(made, commitments=made.commitments | {"cib": made.commitments["cib"] + 1}),
        replace(made, upside=()),
    ):
        with pytest.raises(TermsDiffer):
            table.do(RecordFacility(terms=forged))
    table.do(RecordFacility(terms=made))
    assert table.now.phase is Phase.FORMED
    with pytest.raises(WrongPhase):
        table.do(RecordFacility(terms=made))


def test_no_facility_is_recorded_before_the_last_signature() -> None:
    table = sheet_in_hand()
    made = facility_terms(table.now, facility="fac-1", signed_on=table.on)
    with pytest.raises(WrongPhase):
        table.do(RecordFacility(terms=made))


def test_the_rules_are_judged_before_the_sheet_is_drawn_and_not_after() -> None:
    with pytest.raises(WrongPhase):
        sheet_in_hand().judged(BROKEN)
    table = Table().cleared().judged().decided().judged(BROKEN)
    with pytest.raises(RuleBlocks):
        table.drawn()


# ---- any moves in any order


class AgreementMachine(RuleBasedStateMachine):
    """Random moves after the clearing; whatever their order, nothing unapproved gets signed."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table().cleared()

    @rule(bank=st.sampled_from(BANKS), finding=st.sampled_from((PASSED, PASSED, WARNED, BROKEN)))
    def somebody_judges(self, bank: str, finding: Any) -> None:
        self._try(lambda: self.table.judged(finding, by=bank))

    @rule(bank=st.sampled_from(BANKS), user=st.sampled_from(("p1", "p2")))
    def somebody_asks_for_an_override(self, bank: str, user: str) -> None:
        move = AskOverride(by=bank, user=user, pack="cn-syndicated", rule="SY-03", reason="why")
        self._try(lambda: self.table.do(move))

    @rule(bank=st.sampled_from(BANKS), user=st.sampled_from(("p1", "p2")))
    def somebody_grants_it(self, bank: str, user: str) -> None:
        move = GrantOverride(by=bank, user=user, pack="cn-syndicated", rule="SY-03")
        self._try(lambda: self.table.do(move))

    @rule(bank=st.sampled_from(BANKS), declines=st.integers(0, 9))
    def somebody_drafts(self, bank: str, declines: int) -> None:
        self._try(lambda: self.table.draft(bank, "decline" if declines == 7 else "approve"))

    @rule(bank=st.sampled_from(BANKS), second=st.booleans())
    def somebody_checks(self, bank: str, second: bool) -> None:
        draft = self.table.now.drafts.get(bank)
        outcome = "approve" if draft is None else draft.outcome
        user = f"{bank}-checker" if second else f"{bank}-maker"
        if bank in self.table.now.seats and self.table.now.clearing is not None:
            self._try(lambda: self.table.check(bank, outcome, user=user))

    @rule()
    def the_lead_draws_the_sheet(self) -> None:
        self._try(self.table.drawn)

    @precondition(lambda self: self.table.now.phase is Phase.CLEARED)
    @rule(finding=st.sampled_from((PASSED, PASSED, WARNED)))
    def all_go_straight_on_to_decisions(self, finding: Any) -> None:
        for bank in BANKS:
            self._try(lambda bank=bank: self.table.judged(PASSED, by=bank))
        self._try(lambda: self.table.judged(finding))
        for bank in BANKS:
            self._try(lambda bank=bank: self.table.draft(bank))
            self._try(lambda bank=bank: self.table.check(bank))

    @precondition(lambda self: self.table.now.sheet is not None)
    @rule(party=st.sampled_from((*BANKS, "yunshenchu", "icbc")))
    def somebody_signs(self, party: str) -> None:
        self._try(lambda: self.table.sign(party))

    @precondition(lambda self: self.table.now.sheet is not None)
    @rule(absent=st.sampled_from((*BANKS, None, None)))
    def all_but_one_or_all_sign(self, absent: str | None) -> None:
        for party in signatories(self.table.now):
            if party != absent:
                self._try(lambda party=party: self.table.sign(party))

    @precondition(lambda self: self.table.now.phase is Phase.UNPLACED)
    @rule()
    def the_book_is_opened_and_cleared_again(self) -> None:
        self.table.quoted(STORY_QUOTES).do(self.table.outcome())

    @precondition(lambda self: self.table.now.sheet is not None)
    @rule()
    def the_facility_is_formed(self) -> None:
        made = facility_terms(self.table.now, facility="fac-1", signed_on=self.table.on)
        self._try(lambda: self.table.do(RecordFacility(terms=made)))

    def _try(self, move: Any) -> None:
        before, recorded = self.table.now, len(self.table.facts)
        try:
            move()
        except Refused:
            assert self.table.now == before
            assert len(self.table.facts) == recorded

    @invariant()
    def the_facts_alone_give_the_state(self) -> None:
        assert fold(self.table.facts) == self.table.state

    @invariant()
    def two_persons_of_every_holder_approved_whatever_goes_on_to_signature(self) -> None:
        now = self.table.now
        for decided in now.decisions.values():
            assert decided.maker != decided.checker
        if now.phase in (Phase.DECIDED, Phase.SIGNED, Phase.FORMED):
            assert {bank: d.outcome for bank, d in now.decisions.items()} == dict.fromkeys(
                BANKS, "approve"
            )
            assert {d.agreement for d in now.decisions.values()} == {agreement_hash(now)}

    @invariant()
    def no_sheet_stands_on_a_rule_that_is_broken_and_unanswered(self) -> None:
        now = self.table.now
        if now.sheet is None:
            return
        answered = {(given.by, given.rule) for given in now.overrides}
        for check in now.checks.values():
            for finding in check.findings:
                assert finding.outcome != "fail"
                assert finding.outcome != "warn" or (check.by, finding.rule) in answered

    @invariant()
    def only_a_sheet_that_all_parties_signed_becomes_a_facility(self) -> None:
        now = self.table.now
        if now.phase in (Phase.SIGNED, Phase.FORMED):
            assert set(now.signatures) == set(signatories(now))
            assert term_sheet(now) == now.sheet.term_sheet  # type: ignore[union-attr]


TestAgreement = AgreementMachine.TestCase
TestAgreement.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_deal_that_everybody_wants_is_told_in_twenty_six_facts() -> None:
    table = sheet_in_hand().signed()
    made = facility_terms(table.now, facility="fac-1", signed_on=table.on)
    table.do(RecordFacility(terms=made))
    told = [type(fact).__name__ for fact in table.facts]
    assert told == [
        *("MandateGiven", "Invited", "InvitationAnswered", "InvitationAnswered"),
        *("Proposed", "Accepted", "Accepted", "TermsAgreed"),
        *("BookOpened", "QuotePlaced", "QuotePlaced", "QuotePlaced", "BookCleared"),
        *("RulesChecked", *("DecisionDrafted", "BankDecided") * 3),
        *("TermSheetDrawn", *("TermSheetSigned",) * 4, "FacilityAgreed"),
    ]
    assert fold(table.facts) == table.now
