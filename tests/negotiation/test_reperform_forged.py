"""A record of a negotiation that does not follow is named by book and index.

Every forgery is hashed, sealed and signed by the right keys (`logged`), and the ledger's verifier
takes each of them: only what a negotiation is can tell.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ledger import merkle
from ledger.leaves import SYSTEM, Actor
from negotiation.agreement import decision_body
from negotiation.facts import (
    Accepted,
    BankDecided,
    BookCleared,
    BookFailed,
    FacilityAgreed,
    Fact,
    Lapsed,
    LogReference,
    MandateEnded,
    QuotePlaced,
    RulesChecked,
    TermsAgreed,
    TermSheetDrawn,
    TermSheetSigned,
)
from negotiation.moves import Accept, ExtendBook, WithdrawQuote
from negotiation.placing import quote_body
from negotiation.state import agreement_hash
from negotiation.terms import digest
from negotiation.termsheet import signature_body, term_sheet_hash
from syndicate.facility.terms import terms_hash
from tests.ledger.installation import hashes
from tests.negotiation.deals import BANKS, START, STORY_QUOTES, WAN, quote, says, terms
from tests.negotiation.logged import (
    ALL_OFFERED,
    BOOK,
    BORROWER,
    FACILITY,
    Forge,
    Logged,
    check_wrong,
    cleared_as,
    in_place_of,
    index_of,
    left_out,
    officer,
    overridden,
    table,
)

# ---- one forged record


def cleared(play: Logged) -> None:
    play.cleared()


def in_hand(play: Logged) -> None:
    play.in_hand()


def signed(play: Logged) -> None:
    play.in_hand().signed()


def cleared_without_cib(play: Logged) -> None:
    play.agreed().quoted(STORY_QUOTES)
    play.do(ExtendBook(by="hzbank", workdays=1), WithdrawQuote(by="cib", version=2))
    assert play.now.book is not None
    del play.quotes["cib"]
    play.after(play.now.book.deadline)
    play.do(play.outcome())


def as_if_cib_had_stayed(failed: BookFailed) -> BookCleared:
    return BookCleared(
        book=failed.book,
        spread_bp=-15,
        allocation=ALL_OFFERED,
        quotes_hash=failed.quotes_hash,
        offers_hash="0f" * 32,
    )


def cleared_by_the_pack(play: Logged) -> None:
    play.agreed().quoted(STORY_QUOTES, rules=("cn-syndicated",))
    play.do(play.outcome())


def other_sheet(drawn: TermSheetDrawn) -> TermSheetDrawn:
    """Another penalty, in a sheet that names itself rightly."""
    sheet = drawn.term_sheet
    default = {**sheet["terms"]["default"], "penalty_multiple": "2"}
    told = {**sheet, "terms": {**sheet["terms"], "default": default}}
    return replace(drawn, term_sheet=told, term_sheet_hash=term_sheet_hash(told))


def drawn_on(play: Logged, *, longer: int = 0, root: str | None = None) -> None:
    """Drawn on a log that is not the one that stood there."""
    play.cleared().judged()
    play.decided()
    log = play.of.books[BOOK]
    stood = merkle.root(hashes(log)).hex()
    play.drawn(log=LogReference(book=BOOK, size=len(log) + longer, root=root or stood))


def over_other_words(signed: TermSheetSigned) -> TermSheetSigned:
    body = {**signed.signed.body, "term_sheet": "ab" * 32}
    return replace(signed, signed=says("term-sheet", body, by=signed.party))


def by_another_hand(signed: TermSheetSigned) -> TermSheetSigned:
    return replace(signed, signed=says("term-sheet", signed.signed.body, by="czbank"))


def for_a_lot_more(decided: BankDecided) -> BankDecided:
    amount_minor = decided.amount_minor + 100 * WAN
    body = {**decided.signed.body, "amount_minor": amount_minor}
    signed = says("decision", body, by=decided.bank)
    return replace(decided, amount_minor=amount_minor, signed=signed)


def decided_under_other_words(decided: BankDecided) -> BankDecided:
    body = {**decided.signed.body, "agreement": "ab" * 32}
    return replace(decided, signed=says("decision", body, by=decided.bank))


def without_a_finding(fact: Any) -> Any:
    return replace(fact, findings=fact.findings[1:])


def of_the_day_before(fact: Any) -> Any:
    return replace(
        fact, packs=tuple(replace(one, on=one.on - timedelta(days=1)) for one in fact.packs)
    )


def no_time_at_all(fact: Any) -> Any:
    return replace(fact, deadline=START)


FORGED: dict[str, tuple[dict[str, Forge], Callable[[Logged], Any], str, str]] = {
    # what                          forged, by name        told                 found at      says
    "another allocation, a fen off": (
        cleared_as(allocation={**ALL_OFFERED, "cib": 6_000 * WAN - 1, "czbank": 6_000 * WAN + 1}),
        in_hand,
        "BookCleared",
        "whole lots",
    ),
    "another allocation, a lot more": (
        cleared_as(allocation={**ALL_OFFERED, "cib": 6_100 * WAN}),
        cleared,
        "BookCleared",
        "sum to the target",
    ),
    "another allocation, to the lead beyond the pack": (
        cleared_as(allocation={"hzbank": 15_000 * WAN, "cib": 3_000 * WAN, "czbank": 2_000 * WAN}),
        cleared_by_the_pack,
        "BookCleared",
        "lead_max",
    ),
    "another allocation, all to the lead": (
        cleared_as(allocation={"hzbank": 20_000 * WAN}),
        cleared,
        "BookCleared",
        "no joint loan",
    ),
    "another rate than agreed": (
        cleared_as(spread_bp=-4),
        lambda play: play.cleared(
            terms(spread_bp=-5), {bank: quote((-5, 8_000)) for bank in BANKS}
        ),
        "BookCleared",
        "agreed spread",
    ),
    "a withdrawn bank still placed": (
        in_place_of("BookFailed", as_if_cib_had_stayed),
        cleared_without_cib,
        "BookCleared",
        "cib has not quoted",
    ),
    "a book without quotes that fails otherwise": (
        in_place_of("BookFailed", lambda fact: replace(fact, gap_minor=1)),
        lambda play: play.cleared(quotes={}),
        "BookFailed",
        "gap_minor",
    ),
    "a gap beyond the target": (
        in_place_of("BookFailed", lambda fact: replace(fact, gap_minor=20_001 * WAN)),
        lambda play: play.cleared(quotes={"hzbank": STORY_QUOTES["hzbank"]}),
        "BookFailed",
        "the target",
    ),
    "a gap below nothing": (
        in_place_of("BookFailed", lambda fact: replace(fact, gap_minor=-1)),
        lambda play: play.cleared(quotes={"hzbank": STORY_QUOTES["hzbank"]}),
        "BookFailed",
        "the target",
    ),
    "a finding left out": (
        in_place_of("RulesChecked:cib", without_a_finding),
        in_hand,
        "RulesChecked:cib",
        "findings[0].rule",
    ),
    "rules of another day": (
        in_place_of("RulesChecked:hzbank", of_the_day_before),
        in_hand,
        "RulesChecked:hzbank",
        "packs[0].on",
    ),
    "a decision on more than the part": (
        in_place_of("BankDecided:cib", for_a_lot_more),
        in_hand,
        "BankDecided:cib",
        "exactly what is done",
    ),
    "a decision signed on another agreement": (
        in_place_of("BankDecided:cib", decided_under_other_words),
        in_hand,
        "BankDecided:cib",
        "exactly what is done",
    ),
    "a draft in another person's name": (
        in_place_of("DecisionDrafted:cib", lambda fact: replace(fact, maker="cib-other")),
        lambda play: play.cleared().judged().draft("cib"),
        "DecisionDrafted:cib",
        "$.subject.maker: expected cib-maker",
    ),
    "a sheet of other terms": (
        in_place_of("TermSheetDrawn", other_sheet),
        signed,
        "TermSheetDrawn",
        "term_sheet.terms.default.penalty_multiple: expected 1.5, not 2",
    ),
    "a sheet that is not what its hash names": (
        in_place_of("TermSheetDrawn", lambda fact: replace(fact, term_sheet_hash="ab" * 32)),
        signed,
        "TermSheetDrawn",
        "$.subject.term_sheet_hash",
    ),
    "a sheet that names other terms of the facility": (
        in_place_of("TermSheetDrawn", lambda fact: replace(fact, terms_hash="ab" * 32)),
        signed,
        "TermSheetDrawn",
        "$.subject.terms_hash",
    ),
    "a sheet drawn on a longer log": (
        {},
        lambda play: drawn_on(play, longer=1),
        "TermSheetDrawn",
        "$.subject.log: expected size",
    ),
    "a sheet drawn on another log": (
        {},
        lambda play: drawn_on(play, root="ab" * 32),
        "TermSheetDrawn",
        "$.subject.log: expected size",
    ),
    "a signature over another body": (
        in_place_of("TermSheetSigned:cib", over_other_words),
        signed,
        "TermSheetSigned:cib",
        "exactly what is done",
    ),
    "a signature by another bank": (
        in_place_of("TermSheetSigned:cib", by_another_hand),
        signed,
        "TermSheetSigned:cib",
        "signed by cib",
    ),
    "terms agreed without a bank's word": (
        left_out("Accepted:czbank"),
        lambda play: play.agreed(),
        "TermsAgreed",
        "acceptance of every bank",
    ),
    "agreement on other terms than accepted": (
        in_place_of("TermsAgreed", lambda fact: replace(fact, terms_hash="ab" * 32)),
        lambda play: play.agreed(),
        "TermsAgreed",
        "$.subject.terms_hash",
    ),
    "a deadline on no working day": (
        in_place_of("Proposed:1", lambda fact: replace(fact, deadline=date(2025, 8, 23))),
        lambda play: play.agreed(),
        "Proposed:1",
        "working days after 2025-08-18",
    ),
    "a deadline of the same day": (
        in_place_of("BookOpened", no_time_at_all),
        lambda play: play.agreed().quoted(STORY_QUOTES),
        "BookOpened",
        "working days after 2025-08-18",
    ),
    "a word in another bank's name": (
        in_place_of("Accepted:cib", lambda fact: replace(fact, by="czbank")),
        lambda play: play.seated().propose(terms()).do(Accept(by="cib", version=1)),
        "Accepted:czbank",
        "$.subject.by: expected cib, not czbank",
    ),
    "a mandate of another negotiation": (
        in_place_of(
            "MandateGiven",
            lambda fact: replace(fact, mandate=replace(fact.mandate, negotiation="neg-7")),
        ),
        lambda play: play.mandated(),
        "MandateGiven",
        "$.subject.mandate.negotiation: expected neg-1",
    ),
    "a mandate signed for a shorter time": (
        in_place_of(
            "MandateGiven",
            lambda fact: replace(fact, mandate=replace(fact.mandate, until=date(2026, 12, 31))),
        ),
        lambda play: play.mandated(),
        "MandateGiven",
        "exactly what is done",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_is_signed_and_logged_and_wrong_is_named_with_its_reason(case: str) -> None:
    forged, tell, name, says_so = FORGED[case]
    play = table(forged=forged)
    tell(play)
    check_wrong(play.of, BOOK, index_of(play.of, BOOK, name), says_so)


FINDINGS: dict[str, Any] = {
    # field of the first finding     what it says instead
    "pack": "cn-large-exposure",
    "rule": "SY-99",
    "outcome": "pass",
    "severity": "inform",
    "value": "0.3000",
    "limit": "0.99",
}


@pytest.mark.parametrize("field", FINDINGS)
def test_a_finding_on_the_deal_is_found_again(field: str) -> None:
    def otherwise(fact: RulesChecked) -> RulesChecked:
        first, *rest = fact.findings
        changed = {field: FINDINGS[field]}
        return replace(fact, findings=(replace(first, **changed), *rest))

    play = table(forged=in_place_of("RulesChecked:hzbank", otherwise))
    play.cleared()
    play.judged(by="hzbank")
    index = index_of(play.of, BOOK, "RulesChecked:hzbank")
    check_wrong(play.of, BOOK, index, f"$.subject.findings[0].{field}")


# ---- a record exchanged under those that follow


EXCHANGED: dict[str, tuple[str, Callable[[Any], Fact], str, str]] = {
    # what                        exchanged                   how          found at     says
    "another allocation than was decided on": (
        "BookCleared",
        lambda fact: replace(
            fact, allocation={**ALL_OFFERED, "cib": 5_900 * WAN, "czbank": 6_100 * WAN}
        ),
        "RulesChecked:hzbank",
        "$.subject.agreement",
    ),
    "another rate than was decided on": (
        "BookCleared",
        lambda fact: replace(fact, spread_bp=-20),
        "RulesChecked:hzbank",
        "$.subject.agreement",
    ),
    "another quote than was cleared": (
        "QuotePlaced:cib",
        lambda fact: replace(fact, quote_hash="ab" * 32),
        "BookCleared",
        "other quotes stand than were cleared",
    ),
    "other terms than were accepted": (
        "Proposed:1",
        lambda fact: replace(fact, terms=replace(fact.terms, covenants=())),
        "TermsAgreed",
        "$.subject.terms_hash",
    ),
    "a judgement that the sheet does not tell": (
        "Override:hzbank",
        lambda fact: replace(fact, reason="another reason"),
        "Override:hzbank",
        "$.subject.reason",
    ),
}


@pytest.mark.parametrize("case", EXCHANGED)
def test_a_record_exchanged_is_found_where_the_next_does_not_follow(case: str) -> None:
    name, forge, found_at, says_so = EXCHANGED[case]
    play = table(masked={name: forge})
    if name.startswith("Override"):
        overridden(play).decided().drawn().signed()
    else:
        play.in_hand().signed()
    play.formed()
    check_wrong(play.of, BOOK, index_of(play.of, BOOK, found_at), says_so)


# ---- records that nothing brings


def quoted_again(play: Logged) -> None:
    play.cleared()
    body = quote_body(play.now, bank="cib", version=2, quote_hash="ab" * 32)
    again = QuotePlaced(
        book=1, bank="cib", version=2, quote_hash="ab" * 32, signed=says("quote", body, by="cib")
    )
    play.record(again, by=officer("cib"))


def signed_without_czbank(play: Logged) -> None:
    play.in_hand()
    for party in ("hzbank", "cib", BORROWER):
        play.sign(party)
    play.form(play.sheets())
    play.record(FacilityAgreed(facility=FACILITY, terms_hash=terms_hash(play.terms())))


def signed_twice(play: Logged) -> None:
    play.in_hand().sign("cib")
    play.record(play.facts[-1], by=officer("cib"))


def signed_by_a_stranger(play: Logged) -> None:
    play.in_hand()
    signed = says("term-sheet", signature_body(play.now), by="boc")
    play.record(TermSheetSigned(party="boc", signed=signed), by=officer("boc"))


def signed_by_a_bank_without_a_part(play: Logged) -> None:
    play.cleared(quotes={"hzbank": quote((-15, 12_000)), "cib": quote((-15, 8_000))})
    play.judged().decided().drawn()
    signed = says("term-sheet", signature_body(play.now), by="czbank")
    play.record(TermSheetSigned(party="czbank", signed=signed), by=officer("czbank"))


def signed_before_it_was_drawn(play: Logged) -> None:
    play.cleared().judged()
    play.decided()
    body = {"negotiation": BOOK, "facility": FACILITY}
    signed = says("term-sheet", body, by="cib")
    play.record(TermSheetSigned(party="cib", signed=signed), by=officer("cib"))


def decided_before_the_rules(play: Logged) -> None:
    play.cleared()
    play.draft("cib")
    body = decision_body(
        play.now, bank="cib", outcome="approve", maker="cib-maker", checker="cib-checker"
    )
    decided = BankDecided(
        bank="cib",
        outcome="approve",
        amount_minor=body["amount_minor"],
        agreement=agreement_hash(play.now),
        maker="cib-maker",
        checker="cib-checker",
        signed=says("decision", body, by="cib"),
    )
    play.record(decided, by=Actor(institution="cib", user="cib-checker"))


def decided_by_its_maker(play: Logged) -> None:
    play.cleared().judged().draft("cib")
    words = {"bank": "cib", "outcome": "approve", "maker": "cib-maker", "checker": "cib-maker"}
    body = decision_body(play.now, **words)
    signed = says("decision", body, by="cib")
    agreement = agreement_hash(play.now)
    held = body["amount_minor"]
    decided = BankDecided(amount_minor=held, agreement=agreement, signed=signed, **words)
    play.record(decided, by=Actor(institution="cib", user="cib-maker"))


def cleared_on_the_last_day(play: Logged) -> None:
    play.agreed().quoted({})
    play.do(ExtendBook(by="hzbank", workdays=1))
    for bank, what in STORY_QUOTES.items():
        play.place(bank, what)
    outcome = play.outcome()
    cleared = BookCleared(
        book=1,
        spread_bp=-15,
        allocation=ALL_OFFERED,
        quotes_hash=outcome.quotes_hash,
        offers_hash="0f" * 32,
    )
    play.record(cleared)


def ended_after_all(play: Logged) -> None:
    play.in_hand().signed()
    play.formed()
    play.record(MandateEnded(by=BORROWER, reason="second thoughts"), by=officer(BORROWER))


def formed_without_a_sheet(play: Logged) -> None:
    play.cleared().judged()
    play.decided()
    play.record(FacilityAgreed(facility=FACILITY, terms_hash="ab" * 32))


def formed_by_another_bank(play: Logged) -> None:
    play.in_hand().signed()
    agreed = FacilityAgreed(facility=FACILITY, terms_hash=terms_hash(play.terms()))
    play.record(agreed, by=officer("cib"))


def mandated_by_the_lead(play: Logged) -> None:
    play.mandated()
    (given,) = play.facts
    del play.of.books[BOOK][:]
    play.record(given, by=officer("hzbank"))


def lapsed_by_a_bank(play: Logged) -> None:
    play.seated().propose(terms(), workdays=1)
    play.after(play.now.versions[0].deadline)
    play.record(Lapsed(version=1), by=officer("cib"))


def lapsed_too_early(play: Logged) -> None:
    play.seated().propose(terms(), workdays=1)
    play.record(Lapsed(version=1), by=SYSTEM)


def accepted_by_one_and_agreed_by_another(play: Logged) -> None:
    play.seated().propose(terms())
    play.do(Accept(by="cib", version=1))
    play.record(Accepted(version=1, by="czbank"), by=officer("czbank"))
    said = TermsAgreed(version=1, terms_hash=digest(terms()))
    play.record(said, by=officer("cib"))


def accepted_and_sealed_before_it_is_agreed(play: Logged) -> None:
    play.seated().propose(terms())
    play.do(Accept(by="cib", version=1))
    play.record(Accepted(version=1, by="czbank"), by=officer("czbank"))
    play.of.day = play.on
    play.of.seal(BOOK)


def valued_on_another_day(play: Logged) -> None:
    play.seated().propose(terms())
    accepted = Accepted(version=1, by="cib")
    play.record(accepted, by=officer("cib"), value_date=START - timedelta(days=1))


def that_corrects_the_mandate(play: Logged) -> None:
    play.seated().propose(terms())
    accepted = Accepted(version=1, by="cib")
    play.record(accepted, by=officer("cib"), corrects="0:MandateGiven")


def no_fact_at_all(play: Logged) -> None:
    play.seated()
    play.write("strange", {"type": "Whispered"}, by=officer("cib"))


def a_consent_in_this_book(play: Logged) -> None:
    play.seated()
    play.write("strange", {"type": "Whispered"}, by=officer("cib"), kind="consent")


def begun_without_a_mandate(play: Logged) -> None:
    play.seated()
    del play.of.books[BOOK][0]


OUT_OF_PLACE: dict[str, tuple[Callable[[Logged], None], int, str]] = {
    # what is told                     index from the end, or from the first     says
    "a quote after the clearing": (quoted_again, -1, "cleared, not book_open"),
    "a signatory missing": (signed_without_czbank, -1, "decided, not signed"),
    "a signature twice": (signed_twice, -1, "cib has signed"),
    "a signature of a stranger": (signed_by_a_stranger, -1, "boc is no party"),
    "a signature of a bank without a part": (
        signed_by_a_bank_without_a_part,
        -1,
        "czbank is no party",
    ),
    "a signature before the sheet": (signed_before_it_was_drawn, -1, "no term sheet is drawn"),
    "a decision before the rules": (decided_before_the_rules, -1, "has not judged"),
    "a decision by its maker": (decided_by_its_maker, -1, "checked by a second person"),
    "a clearing on the last day": (cleared_on_the_last_day, -1, "quotes are taken until"),
    "an end after the facility": (ended_after_all, -1, "the negotiation is formed"),
    "a facility without a sheet": (formed_without_a_sheet, -1, "a term sheet drawn before it"),
    "a facility formed by another": (formed_by_another_bank, -1, "$.actor.institution"),
    "a mandate by the lead": (
        mandated_by_the_lead,
        -1,
        f"$.actor.institution: expected {BORROWER}",
    ),
    "a lapse by a bank": (lapsed_by_a_bank, -1, "liandai or hzbank"),
    "a lapse before its time": (lapsed_too_early, -1, "is not over"),
    "an agreement in another's move": (
        accepted_by_one_and_agreed_by_another,
        -1,
        "czbank-officer of czbank, whose move brings this",
    ),
    "a seal inside a move": (accepted_and_sealed_before_it_is_agreed, -1, "TermsAgreed before"),
    "a value date in the past": (valued_on_another_day, -1, "$.value_date"),
    "a correction": (that_corrects_the_mandate, -1, "$.corrects"),
    "a record of no kind": (no_fact_at_all, -1, "Whispered"),
    "a leaf of another kind": (a_consent_in_this_book, -1, "nothing is posted"),
    "no mandate": (begun_without_a_mandate, 0, "the mandate first"),
}


@pytest.mark.parametrize("case", OUT_OF_PLACE)
def test_a_record_that_nothing_brings_is_named(case: str) -> None:
    tell, index, says_so = OUT_OF_PLACE[case]
    play = table()
    tell(play)
    check_wrong(play.of, BOOK, index % len(play.of.books[BOOK]), says_so)
