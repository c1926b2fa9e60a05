"""A negotiation's log follows from its moves, wherever it stands; what it cannot show is told."""

from collections.abc import Callable
from datetime import date
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from ledger.verify import NOT_COMPUTED
from negotiation.facts import Accepted, Fact, Lapsed
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    ExtendBook,
    ExtendDeadline,
    Invite,
    Lapse,
    LeaveTable,
    OpenBook,
    RecordFacility,
    WithdrawProposal,
    WithdrawQuote,
)
from negotiation.state import Phase
from syndicate.disclosure.consent import ConsentWithdrawn, withdrawal_body
from tests.negotiation.deals import (
    SECOND_QUOTES,
    START,
    STORY_QUOTES,
    WAN,
    consent_for,
    counter,
    protected_terms,
    says,
    terms,
)
from tests.negotiation.logged import (
    BOOK,
    BORROWER,
    FACILITY,
    Logged,
    answer,
    check_wrong,
    cleared_as,
    given,
    index_of,
    missing,
    not_proved,
    officer,
    opened,
    overridden,
    signed_and_formed,
    table,
    without_a_name,
)

# ---- honest logs


def test_a_negotiation_and_its_facility_follow_from_the_moves() -> None:
    of = signed_and_formed().of
    document = answer(of)
    assert document["verified"], document["first_wrong"]
    assert missing(of) == []
    assert document["reperformed"][BOOK]["facts"]["TermSheetSigned"] == 4
    assert document["reperformed"][BOOK]["amounts"] > 20
    assert document["reperformed"][FACILITY]["facts"] == {"FacilityFormed": 1}
    assert NOT_COMPUTED not in document["not_proved"]
    assert any("own capital" in line for line in document["not_proved"])


def test_a_deal_with_protectors_and_an_open_spread_follows() -> None:
    play = table(lead="cib")
    play.cleared(protected_terms(), SECOND_QUOTES)
    play.judged().decided().drawn().signed()
    play.formed()
    assert answer(play.of)["verified"]


UNDER_WAY: dict[str, Callable[[Logged], Any]] = {
    "mandated": lambda play: play.mandated(),
    "inviting": lambda play: play.seated(),
    "open": lambda play: play.seated().propose(terms()),
    "agreed": lambda play: play.agreed(),
    "book_open": lambda play: play.agreed().quoted(STORY_QUOTES),
    "unplaced": lambda play: play.cleared(quotes={}),
    "cleared": lambda play: play.cleared(),
    "decided": lambda play: play.in_hand(),
}


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_negotiation_under_way_is_computed_again_wherever_it_stands(phase: str) -> None:
    play = table()
    UNDER_WAY[phase](play)
    assert play.now.phase == phase
    document = answer(play.of)
    assert document["verified"], document["first_wrong"]
    assert sum(document["reperformed"][BOOK]["facts"].values()) == len(play.facts)
    assert missing(play.of) == []


@pytest.mark.parametrize("phase", ["mandated", "open", "book_open", "cleared", "decided"])
def test_a_negotiation_that_was_ended_is_computed_again(phase: str) -> None:
    play = table()
    UNDER_WAY[phase](play)
    document = answer(play.ended().of)
    assert document["verified"], document["first_wrong"]
    assert document["reperformed"][BOOK]["facts"]["MandateEnded"] == 1


def test_a_sheet_signed_by_all_needs_no_facility_yet() -> None:
    play = table().in_hand()
    play.signed()
    assert play.now.phase is Phase.SIGNED
    assert missing(play.of) == []


def winding() -> Logged:
    """Every kind of fact that there is, the seldom ones first."""
    play = table()
    play.mandated()
    play.do(Invite(by="hzbank", banks=("cib", "czbank", "boc")))
    play.do(AnswerInvitation(by="boc", joins=False))
    play.do(*(AnswerInvitation(by=bank, joins=True) for bank in ("cib", "czbank")))
    play.propose(terms(spread_bp=None))
    play.do(WithdrawProposal(by="hzbank", version=1))
    play.propose(terms(spread_bp=0), workdays=1)
    play.do(ExtendDeadline(by="hzbank", version=2, workdays=2))
    play.after(play.now.versions[1].deadline)
    play.do(Lapse())
    play.propose(terms(spread_bp=1))
    play.do(counter("czbank", 3, terms(spread_bp=None)))
    play.do(Accept(by="cib", version=4))
    play.do(LeaveTable(by="czbank"))
    assert play.now.standing is None, "its author left"
    play.do(Invite(by="hzbank", banks=("czbank",)))
    play.do(AnswerInvitation(by="czbank", joins=True))
    play.propose(terms(spread_bp=None), workdays=1)
    play.after(play.now.versions[4].deadline)
    play.propose(terms(spread_bp=None))
    assert isinstance(play.facts[-2], Lapsed), "a new proposal finds the old one over"
    play.do(*(Accept(by=bank, version=6) for bank in ("cib", "czbank")))
    play.quoted({})
    play.do(play.outcome())
    play.quoted(STORY_QUOTES)
    play.do(ExtendBook(by="hzbank", workdays=1))
    play.do(WithdrawQuote(by="cib", version=2))
    play.place("cib", STORY_QUOTES["cib"])
    assert play.now.book is not None
    play.after(play.now.book.deadline)
    play.do(play.outcome())
    return play


def test_every_kind_of_fact_is_computed_again() -> None:
    play = winding()
    play.judged().decided().drawn().drawn().signed()
    play.formed()
    assert missing(play.of) == []
    other = overridden(table())
    other.decided().drawn()
    other.ended()
    seen = {type(fact) for fact in (*play.facts, *other.facts)}
    assert seen == set(get_args(Fact))
    assert missing(other.of) == []


def test_a_book_is_extended_from_its_last_day_or_from_today_once_that_is_over() -> None:
    play = quoting(table())
    play.do(ExtendBook(by="hzbank", workdays=2))
    assert play.now.book is not None
    play.after(play.now.book.deadline)
    play.do(ExtendBook(by="hzbank", workdays=2))
    assert missing(play.of) == []


def test_refusals_stand_in_the_log_and_change_nothing() -> None:
    play = table()
    play.seated()
    play.write(
        "no", {"type": "Proposed", "code": "stale-version"}, by=officer("cib"), kind="refusal"
    )
    play.propose(terms(spread_bp=None))
    assert answer(play.of)["verified"]


# ---- consents and mandates, which stand in other books


def quoting(play: Logged) -> Logged:
    """Agreed, and a book is open from the working day after on."""
    play.agreed()
    play.after(play.on)
    play.do(OpenBook(by="hzbank", mode="open", rules=(), quotes_within_workdays=5))
    return play


def test_a_price_without_a_consent_that_covers_the_day_is_named() -> None:
    others = tuple(given(consent_for(bank)) for bank in ("hzbank", "cib"))
    for_czbank = consent_for("czbank")
    for_a_day = given(replace(for_czbank, until=START))
    in_other_words = given(for_czbank, over=replace(for_czbank, until=START))
    for a_third in ((), (for_a_day,), (in_other_words,), (given(for_czbank),)):
        play = quoting(Logged(opened(*others, *a_third)))
        play.place("czbank", STORY_QUOTES["czbank"])
        if a_third == (given(for_czbank),):
            assert "that a consent stood at the moment" in not_proved(play.of)
            continue
        name = "QuotePlaced:czbank" if a_third == (for_a_day,) else "Accepted:czbank"
        index = index_of(play.of, BOOK, name)
        check_wrong(play.of, BOOK, index, "has not consented to czbank")


def test_a_price_under_a_consent_that_was_replaced_later_holds() -> None:
    others = tuple(given(consent_for(bank)) for bank in ("hzbank", "cib"))
    first = replace(consent_for("czbank"), until=START)
    then = replace(consent_for("czbank"), consent="c-2", version=2, valid_from=date(2025, 9, 1))
    play = Logged(opened(*others, given(first), given(then)))
    play.agreed()
    assert missing(play.of) == []


def withdrawn(play: Logged, *, on: date) -> None:
    fact = ConsentWithdrawn(
        consent="consent-czbank",
        borrower=BORROWER,
        withdrawn_on=on,
        signed=says("consent-withdrawal", withdrawal_body("consent-czbank", on=on), by=BORROWER),
    )
    play.of.append("registry", "withdrawn", msgspec.to_builtins(fact), kind="consent")


def test_a_price_after_the_day_on_which_the_consent_was_withdrawn_is_named() -> None:
    play = quoting(table())
    withdrawn(play, on=START)
    play.place("czbank", STORY_QUOTES["czbank"])
    index = index_of(play.of, BOOK, "QuotePlaced:czbank")
    check_wrong(play.of, BOOK, index, "has not consented to czbank")


def test_which_came_first_on_the_day_of_a_withdrawal_is_not_judged() -> None:
    play = quoting(table())
    withdrawn(play, on=play.on)
    play.place("czbank", STORY_QUOTES["czbank"])
    assert "that a consent stood at the moment" in not_proved(play.of)


def test_a_consent_withdrawn_later_allowed_what_came_before() -> None:
    play = quoting(table())
    play.place("czbank", STORY_QUOTES["czbank"])
    withdrawn(play, on=START)
    assert missing(play.of) == []


def test_a_second_mandate_for_a_project_while_another_is_valid_is_named() -> None:
    play = table()
    play.mandated()
    other = Logged(play.of, book="neg-2", lead="cib")
    other.mandated(negotiation="neg-2")
    check_wrong(play.of, "neg-2", 0, "is mandated until 2025-12-31")


def test_a_second_mandate_after_one_that_ended_is_taken_and_told() -> None:
    play = table()
    play.mandated()
    play.ended()
    other = Logged(play.of, book="neg-2", lead="cib")
    other.mandated(negotiation="neg-2")
    third = Logged(play.of, book="neg-3")
    third.mandated(negotiation="neg-3", project="another-project")
    assert "that a mandate was over before the next" in not_proved(play.of)


def test_the_end_of_a_mandate_says_nothing_of_another_project() -> None:
    play = table()
    play.mandated()
    play.ended()
    other = Logged(play.of, book="neg-2")
    other.mandated(negotiation="neg-2", project="another-project")
    assert "mandate was over" not in not_proved(play.of)


# ---- what should be there and is not


def test_a_forming_that_the_negotiation_does_not_record_is_listed() -> None:
    play = table()
    play.in_hand().signed()
    play.form(tuple(play.now.signatures.values()))
    assert missing(play.of) == [f"{FACILITY}: the record in {BOOK} that it was formed"]


def test_a_facility_agreed_whose_book_does_not_form_it_is_listed() -> None:
    play = table()
    play.in_hand().signed()
    play.of.append(FACILITY, "first", {"type": "StatementReceived"})
    play.do(RecordFacility(terms=play.terms()))
    assert missing(play.of) == [f"{BOOK}: the forming of {FACILITY}, on which all agreed"]


def test_a_version_that_should_have_lapsed_by_a_sealed_day_is_listed() -> None:
    play = table()
    play.seated().propose(terms(), workdays=1)
    play.after(play.on)
    assert play.on == play.now.versions[0].deadline
    play.after(play.on)
    assert missing(play.of) == []
    over = play.on
    play.after(over)
    assert missing(play.of) == [f"{BOOK}: the lapse of version 1, by the seal of {over}"]


def test_a_version_of_a_negotiation_that_was_ended_need_not_lapse() -> None:
    play = table()
    play.seated().propose(terms(), workdays=1)
    play.ended()
    for _ in range(3):
        play.after(play.on)
    assert missing(play.of) == []


def test_a_move_that_the_log_ends_in_the_middle_of_is_listed() -> None:
    play = table()
    play.seated().propose(terms())
    play.do(Accept(by="cib", version=1))
    play.record(Accepted(version=1, by="czbank"), by=officer("czbank"))
    assert missing(play.of) == [f"{BOOK}: TermsAgreed, with which the log ends"]


# ---- what cannot be computed is told


def test_an_allocation_that_only_the_quotes_contradict_is_told_as_not_computed() -> None:
    """The limit of what leaves hold: everybody decided on it and signed it."""
    other = {"hzbank": 7_900 * WAN, "cib": 6_100 * WAN, "czbank": 6_000 * WAN}
    play = signed_and_formed(forged=cleared_as(allocation=other))
    assert "that books clear or fail as recorded" in not_proved(play.of)


def test_nothing_is_said_of_quotes_capital_or_consents_where_there_were_none() -> None:
    play = table()
    play.mandated()
    told = not_proved(play.of)
    for words in ("that books clear", "own capital", "that a consent stood", "mandate was over"):
        assert words not in told
    assert NOT_COMPUTED in told, "there is no facility whose amounts were computed"


def test_a_facility_without_the_negotiation_it_names_is_told_as_not_computed() -> None:
    told = not_proved(signed_and_formed().of, without=BOOK)
    assert f"that the terms of {FACILITY} were negotiated: the book {BOOK} is not in" in told


def test_a_facility_that_names_no_negotiation_is_told_as_not_computed() -> None:
    play = table()
    play.in_hand().signed()
    play.form(without_a_name(play))
    assert f"the terms of {FACILITY} were negotiated: its signatures name no" in not_proved(play.of)


def test_a_negotiation_without_the_facility_it_formed_is_told_as_not_computed() -> None:
    told = not_proved(signed_and_formed().of, without=FACILITY)
    assert f"what became of {BOOK}: the book {FACILITY} is not in" in told
