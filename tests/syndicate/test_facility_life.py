"""Deal 1 and everything around a draw: contracts, parts, releases, cash, events, and refusals."""

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.errors import Refused, WrongInput
from syndicate.facility import errors, life
from syndicate.facility.facts import DrawRequested, PaymentConfirmed, RateFixed, fact_of, subject_of
from syndicate.facility.payments import ReturnPayment
from syndicate.facility.positions import coming, payable, positions, standings
from syndicate.parties.statements import NotTheirs, SaysOtherwise, Statement
from tests.syndicate.facility_case import BANKS, DEAL_1, DEAL_2, WAN, Play


def d(text: str) -> date:
    return date.fromisoformat(text)


def deal_1() -> Play:
    """Deal 1 with its contracts, on the day of its first draw."""
    play = Play(DEAL_1, first_day=d("2025-09-26"))
    play.contracts()
    return play


def request(**other: Any) -> life.RequestDraw:
    return life.RequestDraw(
        **{
            "draw": "d1",
            "amount_minor": 8000 * WAN,
            "value_date": d("2025-09-26"),
            "use_of_funds": "working-capital",
            "payment_mode": "entrusted",
            **other,
        }
    )


def release(**other: Any) -> life.ApproveRelease:
    return life.ApproveRelease(
        **{
            "draw": "d1",
            "bank": "hzbank",
            "loan_no": "JJ-1",
            "maker": "li",
            "checker": "wang",
            **other,
        }
    )


# -- the whole of deal 1 --------------------------------------------------------------------------


def test_deal_1_from_its_first_draw_to_june_2026() -> None:
    play = deal_1()
    assert play.state.phase == "effective"
    requested, fixed = play.do(request())
    assert isinstance(requested, DrawRequested)
    assert requested.parts == {"hzbank": 3200 * WAN, "cib": 2800 * WAN, "czbank": 2000 * WAN}
    assert requested.maturity == d("2028-09-26")
    assert isinstance(fixed, RateFixed)
    assert (fixed.rate, fixed.base_rate, fixed.fixed_on) == ("0.0280", "0.0300", d("2025-09-22"))
    for bank in BANKS:
        play.do(release(bank=bank, loan_no=f"JJ-{bank}"))
    sent = {
        bank: play.instruct("drawdown", bank, "yunshen", requested.parts[bank], about="d1")
        for bank in BANKS
    }
    play.confirm(sent["hzbank"])
    play.confirm(sent["czbank"])
    play.do(ReturnPayment(payment=sent["cib"], reason="account closed"))
    assert play.balance("yunshen", "cash") == 5200 * WAN
    play.until(d("2025-09-28"))
    play.pay("drawdown", "cib", "yunshen", 2800 * WAN, about="d1")
    assert {loan.bank: str(loan.drawn_on) for loan in play.state.loans_of("d1")} == {
        "hzbank": "2025-09-26",
        "cib": "2025-09-28",
        "czbank": "2025-09-26",
    }
    play.until(d("2025-12-22"))
    due = {line.bank: (line.principal_minor, line.interest_minor) for line in payable(play.state)}
    assert due == {
        "hzbank": (0, _interest(3200 * WAN, 85)),
        "cib": (0, _interest(2800 * WAN, 83)),
        "czbank": (0, _interest(2000 * WAN, 85)),
    }
    play.pay_all_due()
    play.until(d("2026-01-23"))
    play.do(
        life.RecordEvent(
            event="e1",
            kind="listing-tutoring",
            happened_on=d("2025-12-23"),
            source="regulator's notice",
            clause="the firm files for a listing",
        )
    )
    play.fund("d2", 5000 * WAN)
    assert play.state.undrawn_minor == 7000 * WAN
    assert play.state.draws["d2"].due_dates[0] == d("2026-03-20")
    play.until(d("2026-03-20"), paying=True)
    assert [(line.draw, line.bank) for line in payable(play.state)] == [
        (draw, bank) for draw in ("d1", "d2") for bank in BANKS
    ]
    assert payable(play.state)[3].interest_minor == _interest(2000 * WAN, 56)
    play.pay_all_due()
    play.until(d("2026-06-30"), paying=True)
    assert not payable(play.state)
    assert play.state.phase == "drawn"
    assert {position.risk_class for position in positions(play.state, play.day)} == {"normal"}
    assert play.state.outstanding_minor == 13000 * WAN
    assert play.folds_to_the_same()


def _interest(principal_minor: int, nights: int) -> int:
    """At 2.80 %, / 360, half up: written out again, apart from the product's code."""
    exact = Fraction(principal_minor * nights * 28, 360 * 1000)
    return int(exact + Fraction(1, 2))


def test_coming_instalments_past_the_calendar_are_marked_provisional() -> None:
    play = deal_1()
    play.fund("d1", 8000 * WAN)
    lines = coming(play.state, "d1")
    assert [line.provisional for line in lines[:6]] == [False] * 5 + [True]
    assert lines[5].due_on == d("2027-03-22")
    assert lines[-1].principal == {"hzbank": 3200 * WAN, "cib": 2800 * WAN, "czbank": 2000 * WAN}
    assert coming(deal_1_requested().state, "d1") == ()


def deal_1_requested() -> Play:
    play = deal_1()
    play.do(request())
    return play


# -- draws ----------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=12), data=st.data())
def test_running_draws_keep_every_bank_within_a_fen_of_its_commitment_share(
    amounts: list[int], data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.integers(1, 10**9), min_size=3, max_size=3))
    commitments = {bank: weight * 10 + 1 for bank, weight in zip(BANKS, weights, strict=True)}
    terms = replace(DEAL_1, commitments=commitments)
    play, total = Play(terms, first_day=d("2025-09-26")), sum(commitments.values())
    drawn = 0
    for index, asked in enumerate(amounts):
        amount_minor = min(asked, total - drawn)
        if not amount_minor:
            break
        play.do(request(draw=f"d{index}", amount_minor=amount_minor))
        drawn += amount_minor
        parts = play.state.drawn_parts
        assert sum(parts.values()) == drawn
        assert min(play.state.draws[f"d{index}"].requested.parts.values()) >= 0
        for bank, part in parts.items():
            assert abs(part - Fraction(drawn * commitments[bank], total)) < 1
            assert part <= commitments[bank]


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"draw": "D1"}, WrongInput),
        ({"amount_minor": 0}, WrongInput),
        ({"amount_minor": -1}, WrongInput),
        ({"use_of_funds": " "}, WrongInput),
        ({"use_of_funds": "paid to Mr Li"}, WrongInput),
        ({"amount_minor": 20_000 * WAN}, None),
        ({"amount_minor": 20_000 * WAN + 1}, errors.AboveUndrawn),
        ({"value_date": d("2025-09-25")}, errors.BackValued),
        ({"value_date": d("2025-09-27")}, errors.NotABusinessDay),
        ({"value_date": d("2026-03-31")}, None),
        ({"value_date": d("2026-04-01")}, errors.NotNow),
    ],
)
def test_a_draw_is_within_the_commitments_on_a_business_day_while_available(
    asked: dict[str, Any], refusal: type[Exception] | None
) -> None:
    play = deal_1()
    if refusal is None:
        assert play.do(request(**asked))
    else:
        with pytest.raises(refusal):
            play.do(request(**asked))
        assert not play.state.draws, "a refusal leaves nothing behind"


def test_a_draw_of_a_later_day_gets_its_rate_when_that_day_opens() -> None:
    play = deal_1()
    (requested,) = play.do(request(value_date=d("2025-09-29")))
    assert not play.state.draws["d1"].rates
    play.do(release())
    name = play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    with pytest.raises(errors.NotReady):
        play.confirm(name)
    play.until(d("2025-09-28"))
    assert not play.state.draws["d1"].rates
    play.until(d("2025-09-29"))
    (fixed,) = play.state.draws["d1"].rates
    assert fixed.from_date == requested.value_date
    play.confirm(name)


def test_a_name_is_used_once_for_ever() -> None:
    play = deal_1_requested()
    again: list[life.Command] = [
        request(),
        life.RecordContract(bank="cib", contract_no="other", document_sha256="b" * 64),
    ]
    play.do(release())
    again += [release(loan_no="JJ-2"), release(bank="cib")]
    for command in again:
        with pytest.raises(errors.AlreadyRecorded):
            play.do(command)


# -- releases -------------------------------------------------------------------------------------


def test_maker_and_checker_are_two_persons() -> None:
    play = deal_1_requested()
    with pytest.raises(errors.SameHands):
        play.do(release(checker="li"))


def test_a_release_needs_the_banks_own_contract_and_a_part_of_the_draw() -> None:
    play = Play(DEAL_1, first_day=d("2025-09-26"))
    play.do(request())
    with pytest.raises(errors.NotReady):
        play.do(release())
    with pytest.raises(errors.NotAParty):
        play.do(release(bank="icbc"))
    with pytest.raises(errors.NoSuch):
        play.do(release(draw="d9"))
    with pytest.raises(errors.NotAParty):
        play.do(life.RecordContract(bank="pool", contract_no="1", document_sha256="a" * 64))


def test_a_signed_release_says_exactly_what_is_released() -> None:
    play = deal_1_requested()
    command = release()
    body = life.release_body(play.state, command)
    assert body["amount_minor"] == 3200 * WAN
    signed = Statement(kind="release", body=body, by="hzbank", key="0" * 16, signature="s")
    for bad, refusal in (
        (replace(signed, by="cib"), NotTheirs),
        (replace(signed, kind="vote"), SaysOtherwise),
        (replace(signed, body={**body, "amount_minor": 1}), SaysOtherwise),
    ):
        with pytest.raises(refusal):
            play.do(replace(command, signed=bad))
    (fact,) = play.do(replace(command, signed=signed))
    assert subject_of(fact)["signed"]["body"] == body, "the statement stands in the leaf verbatim"
    (unsigned,) = play.do(release(bank="cib", loan_no="JJ-2"))
    assert "signed" not in subject_of(unsigned)


# -- cash -----------------------------------------------------------------------------------------


def test_a_part_is_paid_out_once_whole_and_to_the_borrower() -> None:
    play = deal_1_requested()
    with pytest.raises(errors.NotReady):
        play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    play.do(release())
    for payer, payee, amount_minor, refusal in (
        ("hzbank", "cib", 3200 * WAN, errors.NotAParty),
        ("hzbank", "yunshen", 3200 * WAN - 1, errors.AmountDiffers),
        ("cib", "yunshen", 2800 * WAN, errors.NotReady),
    ):
        with pytest.raises(refusal):
            play.instruct("drawdown", payer, payee, amount_minor, about="d1")
    play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    with pytest.raises(errors.NotNow):
        play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ({"amount_minor": 3200 * WAN - 1}, errors.AmountDiffers),
        ({"amount_minor": 3200 * WAN + 1}, errors.AmountDiffers),
        ({"value_date": d("2025-09-27")}, errors.FutureValued),
        ({"value_date": d("2025-09-25")}, errors.BackValued),
        ({"reference": ""}, WrongInput),
    ],
)
def test_cash_of_another_amount_or_day_is_not_the_payment(
    said: dict[str, Any], refusal: type[Exception]
) -> None:
    play = deal_1_requested()
    play.do(release())
    name = play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    with pytest.raises(refusal):
        play.confirm(name, **said)
    play.confirm(name)


def test_only_the_receiving_banks_word_on_this_payment_counts() -> None:
    play = deal_1_requested()
    play.do(release())
    name = play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    good = play.confirmation(name)
    for bad, refusal in (
        (replace(good.signed, by="cib"), NotTheirs),
        (replace(good.signed, kind="release"), SaysOtherwise),
        (replace(good.signed, body={**good.signed.body, "amount_minor": 1}), SaysOtherwise),
        (replace(good.signed, body={**good.signed.body, "facility": "fac-x"}), SaysOtherwise),
    ):
        with pytest.raises(refusal):
            play.do(replace(good, signed=bad))
    (fact,) = play.do(good)
    assert isinstance(fact, PaymentConfirmed)
    assert fact.signed == good.signed


def test_a_payment_is_confirmed_once_and_a_reference_used_once() -> None:
    play = deal_1_requested()
    for bank in BANKS:
        play.do(release(bank=bank, loan_no=f"JJ-{bank}"))
    first = play.instruct("drawdown", "hzbank", "yunshen", 3200 * WAN, about="d1")
    second = play.instruct("drawdown", "cib", "yunshen", 2800 * WAN, about="d1")
    play.confirm(first, reference="A1")
    with pytest.raises(errors.NotNow):
        play.confirm(first, reference="A2")
    with pytest.raises(errors.AlreadyRecorded):
        play.confirm(second, reference="A1")
    with pytest.raises(errors.NotNow):
        play.do(ReturnPayment(payment=first, reason="too late"))
    play.do(ReturnPayment(payment=second, reason="wrong account"))
    with pytest.raises(errors.NotNow):
        play.confirm(second, reference="A2")
    with pytest.raises(errors.NoSuch):
        play.do(ReturnPayment(payment="pay-99", reason="never sent"))


def test_a_short_repayment_meets_what_it_can_and_a_surplus_is_refused() -> None:
    play = deal_1()
    play.fund("d1", 8000 * WAN)
    with pytest.raises(errors.OverPayment):
        play.pay("repayment", "yunshen", "cib", 1, about="d1")
    play.until(d("2025-12-22"))
    due_minor = _interest(2800 * WAN, 85)
    name = play.instruct("repayment", "yunshen", "cib", due_minor + 1, about="d1")
    with pytest.raises(errors.OverPayment):
        play.confirm(name)
    with pytest.raises(errors.AmountDiffers):
        play.confirm(name, amount_minor=due_minor + 2)
    play.confirm(name, amount_minor=due_minor - 1)
    left = {line.bank: line.interest_minor for line in payable(play.state)}
    assert left["cib"] == 1
    for payer, payee, about, refusal in (
        ("cib", "yunshen", "d1", errors.NotAParty),
        ("yunshen", "cib", "d2", errors.NoSuch),
        ("yunshen", "pool", "d1", errors.NoSuch),
    ):
        with pytest.raises(refusal):
            play.instruct("repayment", payer, payee, 1, about=about)


def test_interest_paid_before_its_due_date_and_told_on_it_changes_no_accrual() -> None:
    play = deal_1()
    play.fund("d1", 8000 * WAN)
    play.until(d("2025-12-22"))
    name = play.instruct("repayment", "yunshen", "cib", _interest(2800 * WAN, 85), about="d1")
    fact = play.confirm(name, value_date=d("2025-12-19"))
    assert isinstance(fact, PaymentConfirmed)
    assert [(part.charge, part.overdue) for part in fact.met] == [("interest", False)]


def test_nothing_is_owed_between_banks_without_a_loss() -> None:
    play = deal_1()
    play.fund("d1", 8000 * WAN)
    with pytest.raises(errors.AboveShare):
        play.instruct("distribution", "hzbank", "cib", 1)
    with pytest.raises(errors.AboveShare):
        play.instruct("recovery", "yunshen", "hzbank", 1)
    with pytest.raises(errors.NotAParty):
        play.instruct("distribution", "yunshen", "cib", 1)
    assert all(line.borne_minor == line.owed_minor == 0 for line in standings(play.state))


# -- events and forming ---------------------------------------------------------------------------


def test_an_event_stands_under_a_clause_of_the_agreement_or_under_none() -> None:
    play = deal_1()
    event = life.RecordEvent(
        event="e1", kind="award", happened_on=d("2025-09-26"), source="press", clause=""
    )
    with pytest.raises(errors.NoSuchClause):
        play.do(replace(event, clause="the firm wins an award"))
    with pytest.raises(errors.FutureValued):
        play.do(replace(event, happened_on=d("2025-09-27")))
    play.do(event)
    with pytest.raises(errors.AlreadyRecorded):
        play.do(event)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"lead": "icbc"}, "$.terms.lead"),
        ({"borrower": "Qinghe"}, "$.terms.parties[5]"),
        ({"risk_share": {**(DEAL_2.risk_share or {}), "seats": ["pool"]}}, "$.terms.risk_share"),
    ],
)
def test_a_facility_is_formed_on_terms_that_hang_together(
    change: dict[str, Any], place: str
) -> None:
    with pytest.raises(WrongInput) as refusal:
        life.decide_form(replace(DEAL_2, **change), signatures=())
    assert refusal.value.place.startswith(place)


def test_a_rule_seats_only_the_facilitys_banks_and_protectors() -> None:
    stranger = replace(DEAL_2, protectors=DEAL_2.protectors[:1])
    with pytest.raises((WrongInput, Refused)):
        life.decide_form(stranger, signatures=())


def test_a_subject_of_no_known_type_is_refused() -> None:
    with pytest.raises(WrongInput):
        fact_of({"type": "LoanForgiven", "bank": "cib"})
    with pytest.raises(WrongInput):
        fact_of({"type": "PaymentReturned", "payment": "p1", "reason": "x", "more": 1})
