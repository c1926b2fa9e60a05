"""The rounds of a negotiation: who may say what, when, and what follows."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from ledger.errors import LiandaiError, WrongInput
from negotiation.facts import Proposed, QuotePlaced, TermsAgreed
from negotiation.mandate import MandateHeld, mandate_body
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    AskOverride,
    DraftDecision,
    EndMandate,
    ExtendBook,
    ExtendDeadline,
    FailBook,
    GiveMandate,
    GrantOverride,
    Ground,
    Invite,
    Lapse,
    LeaveTable,
    Move,
    OpenBook,
    PlaceQuote,
    Propose,
    WithdrawProposal,
    WithdrawQuote,
)
from negotiation.placing import quote_body
from negotiation.refusals import (
    AlreadyDone,
    DeadlineNotPassed,
    DeadlinePassed,
    NoBorrowerConsent,
    NoMandate,
    NoSeat,
    NothingToAccept,
    NothingToAnswer,
    NotTheAuthor,
    NotTheLead,
    SameTerms,
    StaleVersion,
    WrongPhase,
)
from negotiation.rounds import decide, fold
from negotiation.state import Phase, agreed_terms
from syndicate.disclosure.consent import NO_CONSENTS, WithdrawConsent, withdrawal_body
from syndicate.disclosure.consent import decide as decide_consent
from syndicate.disclosure.consent import evolve as evolve_consent
from syndicate.parties.statements import NotTheirs, SaysOtherwise
from syndicate.reference.calendar import BeyondCalendar
from tests.negotiation.deals import (
    BANKS,
    QUARTERLY_FEE,
    START,
    STORY_QUOTES,
    Table,
    consent_for,
    consents,
    counter,
    mandate,
    protected_terms,
    quote,
    says,
    terms,
)

DAY = timedelta(days=1)


def given_mandate(**changes: Any) -> GiveMandate:
    given = mandate(**changes)
    return GiveMandate(
        mandate=given, signed=says("mandate", mandate_body(given), by=given.borrower)
    )


# ---- the mandate


PRICES: list[Move] = [
    Propose(by="hzbank", terms=terms(), answer_within_workdays=3),
    counter("cib", 1, terms(spread_bp=-20)),
    Accept(by="cib", version=1),
    PlaceQuote(by="cib", version=1, quote_hash="00" * 32, signed=None),
    Invite(by="hzbank", banks=("cib",)),
]


@pytest.mark.parametrize("move", PRICES)
def test_before_the_mandate_no_price_may_be_written(move: Move) -> None:
    with pytest.raises(NoMandate):
        Table().do(move)


MANDATE_DAYS = [
    # day               may propose
    (date(2025, 8, 31), False),
    (date(2025, 9, 1), True),
    (date(2025, 9, 30), True),
    (date(2025, 10, 1), False),
]


@pytest.mark.parametrize(("day", "allowed"), MANDATE_DAYS)
def test_a_price_is_written_only_on_days_of_the_mandate(day: date, allowed: bool) -> None:
    table = Table().mandated(valid_from=date(2025, 9, 1), until=date(2025, 9, 30))
    table.on = date(2025, 9, 1)
    table.do(Invite(by="hzbank", banks=("cib",)))
    table.on = day
    if allowed:
        table.propose(terms())
        return
    with pytest.raises(NoMandate):
        table.propose(terms())
    with pytest.raises(NoMandate):
        table.do(Invite(by="hzbank", banks=("czbank",)))


EXCLUSIVE = [
    # another mandate                                                       may be given
    ({"valid_from": date(2025, 12, 31), "until": date(2026, 6, 30)}, False),  # one common day
    ({"valid_from": date(2026, 1, 1), "until": date(2026, 6, 30)}, True),
    ({"lead": "cib"}, False),
    ({"project": "another-plant"}, True),
    ({"borrower": "qinghe"}, True),
]


@pytest.mark.parametrize(("changes", "allowed"), EXCLUSIVE)
def test_a_mandate_is_exclusive_for_borrower_and_project_while_valid(
    changes: dict[str, Any], allowed: bool
) -> None:
    table = Table()
    table.mandates = (mandate(negotiation="neg-0"),)
    if allowed:
        table.do(given_mandate(**changes))
        assert table.now.phase is Phase.MANDATED
        return
    with pytest.raises(MandateHeld):
        table.do(given_mandate(**changes))


def test_a_mandate_is_signed_by_the_borrower_word_for_word() -> None:
    given = mandate()
    by_the_lead = says("mandate", mandate_body(given), by="hzbank")
    with pytest.raises(NotTheirs):
        Table().do(GiveMandate(mandate=given, signed=by_the_lead))
    longer = replace(given, until=date(2026, 12, 31))
    with pytest.raises(SaysOtherwise):
        Table().do(
            GiveMandate(
                mandate=longer, signed=says("mandate", mandate_body(given), by="yunshenchu")
            )
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lead": "yunshenchu"}, "lead"),
        ({"valid_from": START - DAY}, "valid_from"),
        ({"until": START - DAY}, "until"),
        ({"project": "A Project"}, "project"),
        ({"negotiation": "NEG"}, "negotiation"),
        ({"purpose": "all purposes"}, "purpose"),
    ],
)
def test_a_mandate_that_does_not_hang_together_is_named(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(WrongInput, match=rf"\$\.mandate\.{field}"):
        Table().do(given_mandate(**changes))


def test_a_negotiation_has_one_mandate() -> None:
    with pytest.raises(AlreadyDone):
        Table().mandated().do(given_mandate())


# ---- consent


def test_a_bank_without_the_borrowers_consent_writes_no_price() -> None:
    table = Table(consent=consents(consent_for("hzbank"))).seated().propose(terms())
    for move in (counter("cib", 1, terms(spread_bp=-20)), Accept(by="cib", version=1)):
        with pytest.raises(NoBorrowerConsent):
            table.do(move)
    unasked = Table(consent=NO_CONSENTS).seated()
    with pytest.raises(NoBorrowerConsent):
        unasked.propose(terms())


def test_a_persons_consent_is_not_the_firms() -> None:
    own = consent_for("hzbank", person="founder", classes=("team",), evidence="ab" * 32)
    with pytest.raises(NoBorrowerConsent):
        Table(consent=consents(own)).seated().propose(terms())


def test_consent_for_another_deal_opens_no_price_here() -> None:
    elsewhere = consent_for("hzbank", purpose="neg-2:assessment")
    with pytest.raises(NoBorrowerConsent):
        Table(consent=consents(elsewhere)).seated().propose(terms())


def test_a_withdrawn_consent_stops_the_bank_from_then_on() -> None:
    table = Table().seated().propose(terms())
    table.do(counter("cib", 1, terms(spread_bp=-20)))
    signed = says("consent-withdrawal", withdrawal_body("consent-cib", on=START), by="yunshenchu")
    withdrawal = WithdrawConsent(consent="consent-cib", signed=signed, on=START)
    for fact in decide_consent(table.consents, withdrawal):
        table.consents = evolve_consent(table.consents, fact)
    with pytest.raises(NoBorrowerConsent):
        table.do(counter("cib", 2, terms(spread_bp=-25)))
    assert table.now.standing == 2


# ---- the table


def test_only_the_lead_invites_and_only_the_invited_take_a_seat() -> None:
    table = Table().mandated()
    with pytest.raises(NotTheLead):
        table.do(Invite(by="cib", banks=("czbank",)))
    table.do(Invite(by="hzbank", banks=("cib", "czbank")))
    with pytest.raises(AlreadyDone):
        table.do(Invite(by="hzbank", banks=("cib",)))
    with pytest.raises(NoSeat):
        table.do(AnswerInvitation(by="icbc", joins=True))
    table.do(AnswerInvitation(by="czbank", joins=True))
    table.do(AnswerInvitation(by="cib", joins=True))
    with pytest.raises(AlreadyDone):
        table.do(AnswerInvitation(by="cib", joins=True))
    assert table.now.seats == ("hzbank", "cib", "czbank")  # the order of invitation


def test_a_bank_that_declines_or_leaves_may_be_asked_again() -> None:
    table = Table().mandated()
    table.do(
        Invite(by="hzbank", banks=("cib", "czbank")),
        AnswerInvitation(by="cib", joins=False),
        AnswerInvitation(by="czbank", joins=True),
        LeaveTable(by="czbank"),
    )
    assert (table.now.seats, table.now.pending) == (("hzbank",), ())
    table.do(Invite(by="hzbank", banks=("czbank", "cib")))
    assert table.now.pending == ("czbank", "cib")


@pytest.mark.parametrize("bank", ["yunshenchu", "pool"])
def test_neither_the_borrower_nor_a_protector_is_invited_as_a_bank(bank: str) -> None:
    table = Table().mandated()
    table.do(Invite(by="hzbank", banks=("cib",)))
    table.propose(protected_terms())
    with pytest.raises(WrongInput, match="borrower or a protector"):
        table.do(Invite(by="hzbank", banks=(bank,)))


def test_who_has_no_seat_says_nothing() -> None:
    table = Table().seated().propose(terms())
    for move in (counter("icbc", 1, terms(spread_bp=0)), Accept(by="icbc", version=1)):
        with pytest.raises(NoSeat):
            table.do(move)


def test_the_lead_does_not_leave() -> None:
    with pytest.raises(NoSeat):
        Table().seated().do(LeaveTable(by="hzbank"))


def test_when_the_last_bank_that_had_not_accepted_leaves_the_others_have_agreed() -> None:
    table = Table().seated().propose(terms())
    table.do(Accept(by="cib", version=1))
    facts = table.do(LeaveTable(by="czbank"))
    assert isinstance(facts[-1], TermsAgreed)
    assert table.now.seats == ("hzbank", "cib")


def test_a_lead_left_alone_has_agreed_with_nobody() -> None:
    table = Table().seated().propose(terms())
    table.do(LeaveTable(by="czbank"), LeaveTable(by="cib"))
    assert table.now.phase is Phase.OPEN


def test_a_bank_that_leaves_takes_its_proposal_with_it() -> None:
    table = Table().seated().propose(terms())
    table.do(counter("cib", 1, terms(spread_bp=-20)), LeaveTable(by="cib"))
    assert table.now.standing is None
    with pytest.raises(NothingToAccept):
        table.do(Accept(by="czbank", version=2))


# ---- the rounds


def test_the_storys_rounds_end_in_agreement_on_quotes() -> None:
    table = Table().seated().propose(terms())
    table.do(counter("cib", 1, terms(spread_bp=-20, fees=(QUARTERLY_FEE,))))
    table.do(counter("hzbank", 2, terms(spread_bp=None)))
    table.do(Accept(by="cib", version=3))
    facts = table.do(Accept(by="czbank", version=3))
    assert [type(fact).__name__ for fact in facts] == ["Accepted", "TermsAgreed"]
    assert table.now.phase is Phase.AGREED
    assert agreed_terms(table.now).rate.spread_bp is None
    versions = [fact for fact in table.facts if isinstance(fact, Proposed)]
    assert [(v.version, v.by, v.answers) for v in versions] == [
        (1, "hzbank", None),
        (2, "cib", 1),
        (3, "hzbank", 2),
    ]


def test_a_stale_counter_and_a_stale_acceptance_are_refused() -> None:
    table = Table().seated().propose(terms())
    table.do(counter("cib", 1, terms(spread_bp=-20)))
    for move in (
        counter("czbank", 1, terms(spread_bp=-10)),
        Accept(by="czbank", version=1),
        counter("czbank", 3, terms(spread_bp=-10)),
    ):
        with pytest.raises(StaleVersion) as refusal:
            table.do(move)
        assert refusal.value.fields["standing"] == 2


def test_a_counter_that_changes_nothing_is_an_acceptance_in_disguise() -> None:
    with pytest.raises(SameTerms):
        Table().seated().propose(terms()).do(counter("cib", 1, terms()))


def test_acceptances_of_an_earlier_version_do_not_carry_over() -> None:
    table = Table().seated().propose(terms())
    table.do(Accept(by="czbank", version=1), counter("cib", 1, terms(spread_bp=-20)))
    assert table.now.accepted == ("cib",)


def test_nobody_accepts_twice_nor_its_own_version() -> None:
    table = Table().seated().propose(terms())
    table.do(Accept(by="cib", version=1))
    for bank in ("cib", "hzbank"):
        with pytest.raises(AlreadyDone):
            table.do(Accept(by=bank, version=1))


def test_only_the_lead_proposes_and_only_where_nothing_stands() -> None:
    table = Table().seated()
    with pytest.raises(NotTheLead):
        table.do(Propose(by="cib", terms=terms(), answer_within_workdays=3))
    table.propose(terms())
    with pytest.raises(AlreadyDone):
        table.propose(terms(spread_bp=0))


def test_only_the_author_withdraws_a_version_and_nothing_stands_then() -> None:
    table = Table().seated().propose(terms())
    with pytest.raises(NotTheAuthor):
        table.do(WithdrawProposal(by="cib", version=1))
    table.do(WithdrawProposal(by="hzbank", version=1))
    with pytest.raises(NothingToAccept):
        table.do(Accept(by="cib", version=1))
    with pytest.raises(NothingToAnswer):
        table.do(counter("cib", 1, terms(spread_bp=-20)))
    table.propose(terms(spread_bp=-8))
    assert table.now.standing == 2


# Proposed on Monday 2025-08-18 with three working days: the last day is Thursday 2025-08-21.
DEADLINE = [
    # day                accepted   lapses
    (date(2025, 8, 20), True, False),
    (date(2025, 8, 21), True, False),
    (date(2025, 8, 22), False, True),
]


@pytest.mark.parametrize(("day", "accepted", "lapses"), DEADLINE)
def test_a_version_is_answered_until_its_deadlines_day_is_over(
    day: date, accepted: bool, lapses: bool
) -> None:
    answering = Table().seated().propose(terms())
    answering.on = day
    if accepted:
        answering.do(Accept(by="cib", version=1))
    else:
        for move in (Accept(by="cib", version=1), counter("cib", 1, terms(spread_bp=-20))):
            with pytest.raises(DeadlinePassed):
                answering.do(move)
    watching = Table().seated().propose(terms())
    watching.on = day
    if lapses:
        watching.do(Lapse())
        assert watching.now.standing is None
        return
    with pytest.raises(DeadlineNotPassed):
        watching.do(Lapse())


def test_deadlines_count_working_days_over_weekends_and_holidays() -> None:
    table = Table().seated()
    table.on = date(2025, 9, 29)  # Monday before the National Day week, 28 September being worked
    table.propose(terms(), workdays=3)
    (proposed,) = [fact for fact in table.facts if isinstance(fact, Proposed)]
    assert proposed.deadline == date(2025, 10, 10)


def test_a_deadline_beyond_the_calendar_is_refused_and_not_guessed() -> None:
    table = Table(consent=consents(consent_for("hzbank"))).mandated(until=date(2026, 12, 31))
    table.do(Invite(by="hzbank", banks=("cib",)))
    table.on = date(2026, 12, 30)
    with pytest.raises(BeyondCalendar):
        table.propose(terms(available_until=date(2027, 6, 30)))


@pytest.mark.parametrize("workdays", [0, -1, 61])
def test_a_deadline_is_one_to_sixty_working_days(workdays: int) -> None:
    with pytest.raises(WrongInput):
        Table().seated().propose(terms(), workdays=workdays)


def test_author_and_lead_may_extend_a_deadline_before_it_has_passed() -> None:
    table = Table().seated().propose(terms())
    table.do(counter("cib", 1, terms(spread_bp=-20)))
    with pytest.raises(NotTheAuthor):
        table.do(ExtendDeadline(by="czbank", version=2, workdays=1))
    table.do(ExtendDeadline(by="cib", version=2, workdays=1))
    assert table.now.versions[1].deadline == date(2025, 8, 22)
    table.on = date(2025, 8, 22)
    table.do(ExtendDeadline(by="hzbank", version=2, workdays=1))
    assert table.now.versions[1].deadline == date(2025, 8, 25)
    table.on = date(2025, 8, 26)
    with pytest.raises(DeadlinePassed):
        table.do(ExtendDeadline(by="cib", version=2, workdays=1))


def test_a_new_proposal_after_an_unrecorded_lapse_records_the_lapse_first() -> None:
    table = Table().seated().propose(terms())
    table.on = date(2025, 8, 22)
    facts = table.do(Propose(by="hzbank", terms=terms(spread_bp=0), answer_within_workdays=3))
    assert [type(fact).__name__ for fact in facts] == ["Lapsed", "Proposed"]
    assert table.now.standing == 2


def test_terms_that_do_not_hang_together_are_not_put_on_the_table() -> None:
    with pytest.raises(WrongInput, match=r"\$\.terms\.lot_minor"):
        Table().seated().propose(terms(lot_minor=3))
    with pytest.raises(WrongInput, match="protectors"):
        Table().seated().propose(
            replace(
                protected_terms(),
                protectors=tuple(
                    replace(p, party="czbank") for p in protected_terms().protectors[:1]
                ),
            )
        )


# ---- the book


def opened() -> Table:
    table = Table().agreed()
    table.do(OpenBook(by="hzbank", mode="open", rules=(), quotes_within_workdays=5))
    return table


def test_the_book_opens_only_on_agreed_terms_and_by_the_lead() -> None:
    move = OpenBook(by="hzbank", mode="open", rules=(), quotes_within_workdays=5)
    with pytest.raises(WrongPhase):
        Table().seated().propose(terms()).do(move)
    with pytest.raises(NotTheLead):
        Table().agreed().do(replace(move, by="cib"))
    with pytest.raises(WrongInput):
        Table().agreed().do(replace(move, rules=("cn-large-exposure",)))


def test_a_quote_is_replaced_and_withdrawn_until_the_deadline_by_version() -> None:
    table = opened()
    table.place("cib", STORY_QUOTES["cib"])
    with pytest.raises(StaleVersion):
        table.do(PlaceQuote(by="cib", version=1, quote_hash="00" * 32, signed=None))
    table.place("cib", quote((-30, 1_000)))
    table.do(WithdrawQuote(by="cib", version=3))
    with pytest.raises(NothingToAnswer):
        table.do(WithdrawQuote(by="cib", version=4))
    table.place("cib", STORY_QUOTES["cib"])
    placed = [fact.version for fact in table.facts if isinstance(fact, QuotePlaced)]
    assert placed == [1, 2, 4]


QUOTE_DAYS = [
    # day (the book opened on 2025-08-18 for five working days)   taken   clears
    (date(2025, 8, 22), True, False),
    (date(2025, 8, 25), True, False),
    (date(2025, 8, 26), False, True),
]


@pytest.mark.parametrize(("day", "taken", "clears"), QUOTE_DAYS)
def test_quotes_are_taken_until_the_deadline_and_cleared_after_it(
    day: date, taken: bool, clears: bool
) -> None:
    table = opened()
    for bank, what in STORY_QUOTES.items():
        table.place(bank, what)
    table.on = day
    if taken:
        table.place("cib", STORY_QUOTES["cib"])
    else:
        with pytest.raises(DeadlinePassed):
            table.place("cib", STORY_QUOTES["cib"])
        with pytest.raises(DeadlinePassed):
            table.do(WithdrawQuote(by="cib", version=2))
    if clears:
        table.do(table.outcome())
        assert table.now.phase is Phase.CLEARED
        return
    with pytest.raises(DeadlineNotPassed):
        table.do(table.outcome())


def test_a_book_that_nobody_cleared_may_be_extended() -> None:
    table = opened()
    table.on = date(2025, 9, 1)
    table.do(ExtendBook(by="hzbank", workdays=2))
    table.on = date(2025, 9, 3)
    table.place("cib", STORY_QUOTES["cib"])


def test_a_quote_needs_a_seat_a_consent_and_a_real_hash() -> None:
    table = opened()
    move = PlaceQuote(by="cib", version=1, quote_hash="00" * 32, signed=None)
    with pytest.raises(NoSeat):
        table.do(replace(move, by="icbc"))
    with pytest.raises(WrongInput):
        table.do(replace(move, quote_hash="secret"))
    table.consents = NO_CONSENTS
    with pytest.raises(NoBorrowerConsent):
        table.do(move)


# ---- each move where it fits


def unplaced() -> Table:
    table = Table().agreed().quoted({"hzbank": STORY_QUOTES["hzbank"]})
    table.do(table.outcome())
    return table


STAGES: dict[str, Callable[[], Table]] = {
    "mandated": lambda: Table().mandated(),
    "inviting": lambda: Table().seated(),
    "open": lambda: Table().seated().propose(terms()),
    "agreed": lambda: Table().agreed(),
    "book_open": opened,
    "unplaced": unplaced,
    "cleared": lambda: Table().cleared(),
}


WHERE_MOVES_FIT: list[tuple[Move, set[str]]] = [
    # move                                                                 stages
    (Invite(by="hzbank", banks=("icbc",)), {"mandated", "inviting", "open", "unplaced"}),
    (
        Propose(by="hzbank", terms=terms(spread_bp=9), answer_within_workdays=1),
        {"inviting", "open", "unplaced"},
    ),
    (counter("cib", 1, terms(spread_bp=9)), {"open"}),
    (Accept(by="cib", version=1), {"open"}),
    (WithdrawProposal(by="hzbank", version=1), {"open"}),
    (ExtendDeadline(by="hzbank", version=1, workdays=1), {"open"}),
    (Lapse(), {"open"}),
    (LeaveTable(by="cib"), {"mandated", "inviting", "open", "unplaced"}),
    (
        OpenBook(by="hzbank", mode="open", rules=(), quotes_within_workdays=1),
        {"agreed", "unplaced"},
    ),
    (ExtendBook(by="hzbank", workdays=1), {"book_open"}),
    (PlaceQuote(by="cib", version=1, quote_hash="00" * 32, signed=None), {"book_open"}),
    (WithdrawQuote(by="cib", version=1), {"book_open"}),
    (AskOverride(by="cib", user="p1", pack="p", rule="r", reason="why"), {"cleared"}),
    (GrantOverride(by="cib", user="p1", pack="p", rule="r"), {"cleared"}),
    (DraftDecision(by="cib", user="p1", outcome="approve", agreement="00" * 32), {"cleared"}),
]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("move", "stages"), WHERE_MOVES_FIT)
def test_a_move_is_refused_by_phase_exactly_where_it_does_not_fit(
    stage: str, move: Move, stages: set[str]
) -> None:
    table = STAGES[stage]()
    before = table.state
    refused_by_phase = False
    try:
        table.do(move)
    except WrongPhase:
        refused_by_phase = True
    except LiandaiError:
        pass  # it fits here and is refused for another reason
    assert refused_by_phase == (stage not in stages)
    assert not refused_by_phase or table.state == before


NO_SEAT: list[tuple[Callable[[], Table], Move]] = [
    (STAGES["open"], WithdrawProposal(by="icbc", version=1)),
    (STAGES["open"], ExtendDeadline(by="icbc", version=1, workdays=1)),
    (STAGES["open"], LeaveTable(by="icbc")),
    (STAGES["book_open"], WithdrawQuote(by="icbc", version=1)),
    (STAGES["cleared"], DraftDecision(by="icbc", user="p", outcome="approve", agreement="")),
]


@pytest.mark.parametrize(("stage", "move"), NO_SEAT)
def test_every_answer_needs_a_seat(stage: Callable[[], Table], move: Move) -> None:
    with pytest.raises(NoSeat):
        stage().do(move)


NOT_LEAD: list[tuple[Callable[[], Table], Move]] = [
    (STAGES["book_open"], ExtendBook(by="cib", workdays=1)),
    (
        STAGES["book_open"],
        FailBook(by="cib", gap_minor=0, conflict=(), quotes_hash="00" * 32),
    ),
]


@pytest.mark.parametrize(("stage", "move"), NOT_LEAD)
def test_only_the_lead_keeps_the_book(stage: Callable[[], Table], move: Move) -> None:
    with pytest.raises(NotTheLead):
        stage().do(move)


BOOK_MOVES: list[tuple[Callable[[], Table], Move]] = [
    (STAGES["agreed"], OpenBook(by="hzbank", mode="open", rules=(), quotes_within_workdays=1)),
    (STAGES["book_open"], ExtendBook(by="hzbank", workdays=1)),
    (STAGES["book_open"], PlaceQuote(by="cib", version=1, quote_hash="00" * 32, signed=None)),
    (
        STAGES["book_open"],
        FailBook(by="hzbank", gap_minor=0, conflict=(), quotes_hash="00" * 32),
    ),
]


@pytest.mark.parametrize(("stage", "move"), BOOK_MOVES)
def test_no_book_is_kept_after_the_mandate(stage: Callable[[], Table], move: Move) -> None:
    table = stage()
    table.on = date(2026, 1, 5)
    with pytest.raises(NoMandate):
        table.do(move)


@pytest.mark.parametrize("banks", [(), ("icbc", "icbc"), ("ICBC",)])
def test_banks_are_invited_by_their_ids_each_once(banks: tuple[str, ...]) -> None:
    with pytest.raises(WrongInput, match=r"\$\.banks"):
        Table().mandated().do(Invite(by="hzbank", banks=banks))


def test_a_stale_withdrawal_of_a_quote_is_refused() -> None:
    table = opened()
    table.place("cib", STORY_QUOTES["cib"])
    with pytest.raises(StaleVersion):
        table.do(WithdrawQuote(by="cib", version=1))


def test_a_signed_quote_is_signed_by_its_bank_for_this_book_and_version() -> None:
    table = opened()
    body = quote_body(table.now, bank="cib", version=1, quote_hash="00" * 32)
    move = PlaceQuote(
        by="cib", version=1, quote_hash="00" * 32, signed=says("quote", body, by="cib")
    )
    with pytest.raises(NotTheirs):
        table.do(replace(move, signed=says("quote", body, by="hzbank")))
    with pytest.raises(SaysOtherwise):
        table.do(replace(move, quote_hash="11" * 32))
    table.do(move)
    assert table.now.book is not None
    assert table.now.book.quotes["cib"].version == 1


# ---- the end


@pytest.mark.parametrize("by", ["yunshenchu", "hzbank"])
def test_the_borrower_or_the_lead_ends_the_negotiation_and_nothing_follows(by: str) -> None:
    table = Table().seated().propose(terms())
    with pytest.raises(NotTheLead):
        table.do(EndMandate(by="cib", reason="no interest"))
    with pytest.raises(WrongInput):
        table.do(EndMandate(by=by, reason=" "))
    table.do(EndMandate(by=by, reason="the borrower lends elsewhere"))
    for move in (Accept(by="cib", version=1), Lapse(), EndMandate(by=by, reason="again")):
        with pytest.raises(WrongPhase):
            table.do(move)


# ---- any moves in any order


class RoundsMachine(RuleBasedStateMachine):
    """Random moves against a naive model of who accepted what; refusals change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.spread = 0

    @initialize()
    def the_table_is_set(self) -> None:
        self.table.seated()
        self.accepted: dict[int, set[str]] = {}

    @rule(days=st.integers(1, 4))
    def days_pass(self, days: int) -> None:
        self.table.on += timedelta(days=days)

    @rule(bank=st.sampled_from(BANKS), workdays=st.integers(1, 4))
    def somebody_proposes(self, bank: str, workdays: int) -> None:
        self.spread += 1
        what = terms(spread_bp=self.spread)
        self._try(Propose(by=bank, terms=what, answer_within_workdays=workdays))

    @rule(bank=st.sampled_from(BANKS), back=st.integers(0, 1), workdays=st.integers(1, 4))
    def somebody_counters(self, bank: str, back: int, workdays: int) -> None:
        self.spread += 1
        answers = len(self.table.now.versions) - back
        self._try(counter(bank, answers, terms(spread_bp=self.spread), workdays))

    @rule(bank=st.sampled_from(BANKS), back=st.integers(0, 1))
    def somebody_accepts(self, bank: str, back: int) -> None:
        version = len(self.table.now.versions) - back
        if self._try(Accept(by=bank, version=version)):
            self.accepted[version].add(bank)

    @rule(bank=st.sampled_from(BANKS))
    def somebody_withdraws(self, bank: str) -> None:
        self._try(WithdrawProposal(by=bank, version=len(self.table.now.versions)))

    @rule()
    def the_clock_lapses(self) -> None:
        self._try(Lapse())

    @rule(bank=st.sampled_from(BANKS), workdays=st.integers(1, 3))
    def somebody_extends(self, bank: str, workdays: int) -> None:
        version = len(self.table.now.versions)
        self._try(ExtendDeadline(by=bank, version=version, workdays=workdays))

    @rule(bank=st.sampled_from(BANKS))
    def somebody_leaves_and_comes_back(self, bank: str) -> None:
        if self._try(LeaveTable(by=bank)) and self._try(Invite(by="hzbank", banks=(bank,))):
            self._try(AnswerInvitation(by=bank, joins=True))
            for banks in self.accepted.values():
                banks.discard(bank)

    def _try(self, move: Move) -> bool:
        before, recorded = self.table.now, len(self.table.facts)
        try:
            facts = self.table.do(move)
        except LiandaiError:
            assert self.table.now == before
            assert len(self.table.facts) == recorded
            return False
        assert facts
        for fact in facts:
            if isinstance(fact, Proposed):
                self.accepted[fact.version] = {fact.by}
        return True

    @invariant()
    def the_facts_alone_give_the_state(self) -> None:
        assert fold(self.table.facts) == self.table.state

    @invariant()
    def terms_are_agreed_exactly_when_every_seat_accepted_them(self) -> None:
        if self.table.state is None:
            return
        now = self.table.now
        if now.agreed is not None:
            assert now.phase is Phase.AGREED
            assert set(now.seats) <= self.accepted[now.agreed]
        elif now.standing is not None:
            assert not set(now.seats) <= self.accepted[now.standing] or len(now.seats) < 2

    @invariant()
    def seats_keep_the_order_of_invitation_and_the_lead_stays_first(self) -> None:
        if self.table.state is not None:
            called = self.table.now.called
            assert self.table.now.seats[0] == "hzbank"
            assert [b for b in called if b in self.table.now.seats] == list(self.table.now.seats)


TestRounds = RoundsMachine.TestCase
TestRounds.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_deciding_is_a_function_of_state_move_and_ground() -> None:
    table = Table().seated()
    ground = Ground(on=table.on, consents=table.consents, mandates=())
    move = Propose(by="hzbank", terms=terms(), answer_within_workdays=3)
    assert decide(table.state, move, ground) == decide(table.state, move, ground)
