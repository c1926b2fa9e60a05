"""Deal 2 in trouble: claims, advances, final losses, a recovery, and every fen explained."""

from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.errors import WrongInput
from syndicate.facility import claims, errors, life
from syndicate.facility.explain import explain_share
from syndicate.facility.facts import ClaimAccepted, ClaimFiled, InstalmentDue, LossFixed
from syndicate.facility.payments import ReturnPayment
from syndicate.facility.positions import payable, positions, standings
from tests.syndicate.facility_case import (
    BANKS,
    DEAL_2,
    RULE,
    WAN,
    Play,
    deal_2,
    troubled,
)

PARTIES = (*BANKS, "pool", "guarantor")
COMMITMENTS = {"hzbank": 3, "cib": 2, "czbank": 1}
EVIDENCE = ("c" * 64,)
YUAN = 100


def d(text: str) -> date:
    return date.fromisoformat(text)


def exact_shares(net_minor: int) -> dict[str, Fraction]:
    """Deal 2's protection written out by hand, in fen: the rule read a second time."""
    first = Fraction(min(net_minor, 60 * WAN))
    beyond = net_minor - first
    pool = min(beyond * Fraction(2, 5), Fraction(150 * WAN))
    banks = first + beyond * Fraction(1, 5) + (beyond * Fraction(2, 5) - pool)
    shares = {bank: banks * weight / 6 for bank, weight in COMMITMENTS.items()}
    return {**shares, "pool": pool, "guarantor": beyond * Fraction(2, 5)}


def lose(play: Play, name: str, amount_minor: int) -> LossFixed:
    (fact,) = play.do(
        claims.FixLoss(loss=name, amount_minor=amount_minor, evidence_sha256=EVIDENCE)
    )
    assert isinstance(fact, LossFixed)
    return fact


def claim(play: Play, name: str, protector: str, amount_minor: int) -> ClaimFiled:
    (fact,) = play.do(
        claims.FileClaim(
            claim=name, protector=protector, amount_minor=amount_minor, evidence_sha256=EVIDENCE
        )
    )
    assert isinstance(fact, ClaimFiled)
    return fact


def accept(play: Play, name: str, amount_minor: int) -> ClaimAccepted:
    (fact,) = play.do(claims.AcceptClaim(claim=name, amount_minor=amount_minor))
    assert isinstance(fact, ClaimAccepted)
    return fact


def advance(play: Play, name: str) -> None:
    """The protector pays what it granted, bank by bank."""
    standing = play.state.claims[name]
    for bank, part_minor in standing.granted.items():
        play.pay("advance", standing.filed.protector, bank, part_minor, about=name)


def square_up(play: Play) -> int:
    """Everyone pays what it owes under the protection; returns how much moved."""
    moved_minor = 0
    for debtor in PARTIES:
        for creditor in PARTIES:
            owed_minor = play.state.owes(debtor=debtor, creditor=creditor)
            if debtor != creditor and owed_minor > 0:
                play.pay("distribution", debtor, creditor, owed_minor)
                moved_minor += owed_minor
    return moved_minor


def assert_borne(play: Play, net_minor: int) -> None:
    assert play.state.net_loss_minor == net_minor
    for party, exact in exact_shares(net_minor).items():
        assert abs(play.state.borne.get(party, 0) - exact) < 1, party


# -- the story --------------------------------------------------------------------------------


@cache
def _story() -> Play:
    """Deal 2 from the first day to 2026-08-31 as told; the numbers are checked as it goes."""
    play = troubled("2025-08-15")
    play.do(
        life.RecordAlert(alert="a1", kind="lawsuit", noted_on=d("2025-08-15"), source="court list")
    )
    play.until(d("2025-12-22"))
    filed = claim(play, "c1", "guarantor", 76 * WAN)
    assert (filed.days_overdue, filed.answer_by) == (91, d("2026-01-06"))
    assert filed.parts == {"hzbank": 38 * WAN, "cib": 2533_333_3, "czbank": 1266_666_7}
    play.until(d("2026-01-06"))
    assert not accept(play, "c1", 76 * WAN).late
    advance(play, "c1")
    play.until(d("2026-03-23"))
    claim(play, "c2", "pool", 150 * WAN)
    play.until(d("2026-04-08"))
    accept(play, "c2", 120 * WAN)
    advance(play, "c2")
    play.until(d("2026-07-01"))
    first = lose(play, "l1", 5_000_000_01)
    assert first.parts == {
        "hzbank": 870_000_00,
        "cib": 580_000_00,
        "czbank": 290_000_00,
        "pool": 1_500_000_00,
        "guarantor": 1_760_000_01,
    }
    assert first.reductions == {"hzbank": 2_500_000_00, "cib": 1_666_666_67, "czbank": 833_333_34}
    play.until(d("2026-07-20"))
    lose(play, "l2", 333_333_33)
    assert_borne(play, 5_333_333_34)
    square_up(play)
    play.until(d("2026-08-20"))
    play.pay("recovery", "qinghe", "cib", 650_000_00)
    assert_borne(play, 4_683_333_34)
    square_up(play)
    play.until(d("2026-08-31"))
    play.close()
    return play


def test_deal_2_from_first_to_last_day() -> None:
    play = _story()
    assert play.state.phase == "impaired"
    assert not any(play.state.owed.values())
    assert {line.owed_minor for line in standings(play.state)} == {0}
    assert sum(line.borne_minor for line in standings(play.state)) == 4_683_333_34
    assert {position.risk_class for position in positions(play.state, play.day)} == {"doubtful"}
    assert play.state.outstanding_minor == 17_500_000_00 - 5_333_333_34
    assert play.folds_to_the_same()


def test_what_each_protector_paid_in_the_end_is_what_it_bears() -> None:
    play = _story()
    for protector in ("pool", "guarantor"):
        assert -play.balance(protector, "cash") == play.state.borne[protector]


def test_what_each_bank_lost_in_cash_is_what_stands_and_what_it_bears() -> None:
    play = _story()
    for bank in BANKS:
        loan = play.state.loans["d1", bank]
        income = sum(
            play.balance(bank, f"income.{kind}", ref="d1")
            for kind in ("interest", "penalty", "compound")
        )
        owed = loan.interest_minor + loan.penalty_minor + loan.compound_minor
        standing = loan.outstanding_minor + play.state.borne[bank]
        assert -play.balance(bank, "cash") == standing + owed + income


def test_a_share_is_explained_by_the_leaves_of_the_rule() -> None:
    play = _story()
    (recovery,) = play.state.recoveries
    assert explain_share(play.state, party="pool") == (
        "loss l1 of 5000000.01: pool bears 1500000.00",
        "loss l2 of 333333.33: pool bears 0.00",
        f"recovery {recovery} of 650000.00: pool gets back 0.00",
        "net loss of the facility 4683333.34, pool bears 1500000.00",
        "layer 2 of 2, quota 2/5, up to 1500000.00: 1500000.00",
        "exactly 1500000.00, a whole number of fen: 1500000.00",
    )
    steps = explain_share(play.state, party="czbank")
    assert steps[4] == "layer 1 of 2, pro rata by commitment: 100000.00"
    assert steps[5].startswith("layer 2 of 2, quota 2/5, beyond 1500000.00, pro rata by commitment")
    assert steps[6].startswith("layer 2 of 2, quota 1/5, pro rata by commitment: 136111.1113")
    borne = play.state.borne["czbank"]
    assert steps[-1].endswith(f"{borne // 100}.{borne % 100:02d}")


def test_own_loan_own_loss_is_explained_as_such() -> None:
    play = never_paid(risk_share=None, protectors=())
    lose(play, "l1", 1_000_000_00)
    assert explain_share(play.state, party="cib")[-1].endswith("own loan, own loss (风险自担)")


# -- claims -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "protector", "allowed"),
    [
        ("2025-11-20", "guarantor", False),
        ("2025-11-21", "guarantor", True),
        ("2025-11-24", "guarantor", True),
        ("2025-12-19", "pool", False),
        ("2025-12-22", "pool", True),
    ],
)
def test_a_claim_waits_for_the_days_overdue_agreed(on: str, protector: str, allowed: bool) -> None:
    play = troubled(on)
    if allowed:
        assert claim(play, "c1", protector, 1).protector == protector
    else:
        with pytest.raises(errors.TooEarly):
            claim(play, "c1", protector, 1)


def test_a_claim_is_at_most_the_protectors_share_of_what_is_overdue() -> None:
    play = troubled("2025-11-21")  # 2,500,000.00 overdue: 40 % of 1,900,000.00
    assert claims.claimable_minor(play.state, protector="guarantor") == 760_000_00
    with pytest.raises(errors.AboveShare):
        claim(play, "c1", "guarantor", 760_000_01)
    claim(play, "c1", "guarantor", 500_000_00)
    with pytest.raises(errors.AboveShare):
        claim(play, "c2", "guarantor", 260_000_01)
    claim(play, "c2", "guarantor", 260_000_00)
    assert claims.claimable_minor(play.state, protector="guarantor") == 0
    play.until(d("2025-12-23"))  # 5,000,000.00 overdue
    assert claims.claimable_minor(play.state, protector="guarantor") == 1_000_000_00
    assert claims.claimable_minor(play.state, protector="pool") == 1_500_000_00


def test_a_rejected_or_reduced_claim_makes_room_again() -> None:
    play = troubled("2025-11-21")
    claim(play, "c1", "guarantor", 760_000_00)
    play.do(claims.RejectClaim(claim="c1", reason="collection notice missing"))
    assert claims.claimable_minor(play.state, protector="guarantor") == 760_000_00
    claim(play, "c2", "guarantor", 760_000_00)
    accept(play, "c2", 700_000_00)
    assert claims.claimable_minor(play.state, protector="guarantor") == 60_000_00
    for name, refusal in (("c1", errors.NotNow), ("c2", errors.NotNow), ("c9", errors.NoSuch)):
        with pytest.raises(refusal):
            accept(play, name, 1)
        with pytest.raises(refusal):
            play.do(claims.RejectClaim(claim=name, reason="again"))


@pytest.mark.parametrize(
    ("on", "late"), [("2025-12-04", False), ("2025-12-05", False), ("2025-12-08", True)]
)
def test_an_answer_is_late_after_the_last_working_day(on: str, late: bool) -> None:
    play = troubled("2025-11-21")
    assert claim(play, "c1", "guarantor", 1_00).answer_by == d("2025-12-05")
    play.until(d(on))
    assert accept(play, "c1", 1_00).late is late


def test_a_claim_needs_evidence_an_overdue_loan_and_a_protector() -> None:
    with pytest.raises(errors.NotReady):
        claim(troubled("2025-09-22"), "c1", "guarantor", 1)
    play = troubled("2025-11-21")
    with pytest.raises(errors.NotAParty):
        claim(play, "c1", "cib", 1)
    for evidence, refusal in (((), errors.NotReady), (("C" * 64,), WrongInput)):
        with pytest.raises(refusal):
            play.do(
                claims.FileClaim(
                    claim="c1", protector="guarantor", amount_minor=1, evidence_sha256=evidence
                )
            )
    claim(play, "c1", "guarantor", 1_00)
    with pytest.raises(errors.AlreadyRecorded):
        claim(play, "c1", "guarantor", 1_00)
    with pytest.raises(errors.AboveShare):
        accept(play, "c1", 1_01)


def test_an_advance_stays_within_what_was_granted_to_the_bank() -> None:
    play = troubled("2025-11-21")
    claim(play, "c1", "guarantor", 600_000_00)
    with pytest.raises(errors.NotReady):
        play.instruct("advance", "guarantor", "cib", 1, about="c1")
    accept(play, "c1", 600_000_00)  # cib: a third
    for payer, payee, amount_minor, about, refusal in (
        ("pool", "cib", 1, "c1", errors.NotAParty),
        ("guarantor", "cib", 200_000_01, "c1", errors.AboveShare),
        ("guarantor", "qinghe", 1, "c1", errors.AboveShare),
        ("guarantor", "cib", 1, "c2", errors.NoSuch),
    ):
        with pytest.raises(refusal):
            play.instruct("advance", payer, payee, amount_minor, about=about)
    name = play.instruct("advance", "guarantor", "cib", 150_000_00, about="c1")
    with pytest.raises(errors.AboveShare):
        play.instruct("advance", "guarantor", "cib", 50_000_01, about="c1")
    play.do(ReturnPayment(payment=name, reason="account closed"))
    play.pay("advance", "guarantor", "cib", 150_000_00, about="c1")
    play.pay("advance", "guarantor", "cib", 50_000_00, about="c1")
    assert play.state.owes(debtor="cib", creditor="guarantor") == 200_000_00
    assert play.balance("cib", "due.protection", "guarantor") == -200_000_00


def test_an_advance_is_not_a_loss_and_goes_back_when_the_borrower_pays() -> None:
    play = troubled("2025-11-21")
    claim(play, "c1", "guarantor", 760_000_00)
    accept(play, "c1", 760_000_00)
    advance(play, "c1")
    assert not play.state.net_loss_minor
    play.pay_all_due()
    assert square_up(play) == 760_000_00
    assert play.balance("guarantor", "cash") == 0


# -- losses -----------------------------------------------------------------------------------


def test_a_loss_takes_the_oldest_overdue_first_and_the_plan_from_its_end() -> None:
    play = troubled("2025-12-23")  # 2025-09 and 2025-12 are overdue, 5,000,000.00
    first = lose(play, "l1", 2_600_000_00)
    taken = {
        (lost.bank, str(lost.unadjusted), lost.overdue): lost.amount_minor for lost in first.lost
    }
    assert taken["hzbank", "2025-09-20", True] == 1_250_000_00
    assert taken["hzbank", "2025-12-20", True] == 50_000_00
    assert len(taken) == 6
    second = lose(play, "l2", 5_000_000_00)
    by_date = {(str(lost.unadjusted), lost.overdue) for lost in second.lost}
    assert by_date == {("2025-12-20", True), ("2027-03-18", False), ("2026-12-20", False)}
    assert all(loan.overdue_minor == 0 for loan in play.state.loans.values())
    play.until(d("2026-03-20"))
    due = [fact for fact in play.facts if isinstance(fact, InstalmentDue)][-1]
    assert sum(due.principal.values()) == 2_500_000_00, "the next dates keep their amounts"


def test_a_loss_on_a_due_date_takes_what_is_due_that_day_after_what_is_overdue() -> None:
    play = troubled("2025-12-22")
    fact = lose(play, "l1", 3_000_000_00)
    taken = {(str(lost.unadjusted), lost.overdue) for lost in fact.lost}
    assert taken == {("2025-09-20", True), ("2025-12-20", False)}
    assert play.state.loans["d1", "cib"].overdue_minor == 0


def test_penalty_runs_on_what_is_left_of_the_overdue_principal() -> None:
    play = troubled("2025-12-23")
    before = {bank: play.state.loans["d1", bank].overdue_minor for bank in BANKS}
    lost = lose(play, "l1", 1_000_000_00).reductions
    penalty = {bank: play.state.loans["d1", bank].penalty.exact for bank in BANKS}
    play.until(d("2025-12-24"))
    for bank in BANKS:
        night = Fraction(before[bank] - lost[bank]) * Fraction("0.0510") / 360
        assert play.state.loans["d1", bank].penalty.exact == penalty[bank] + night


def test_a_loss_needs_a_default_and_principal_that_stands() -> None:
    with pytest.raises(errors.NotReady):
        lose(troubled("2025-09-22"), "l1", 1)
    play = troubled("2025-09-23")
    with pytest.raises(errors.AboveOutstanding):
        lose(play, "l1", 17_500_000_01)
    with pytest.raises(WrongInput):
        lose(play, "l1", 0)
    lose(play, "l1", 17_500_000_00)
    assert play.state.outstanding_minor == 0
    with pytest.raises(errors.AlreadyRecorded):
        lose(play, "l1", 1)
    with pytest.raises(errors.NotNow):
        play.do(
            life.RequestDraw(
                draw="d2",
                amount_minor=1,
                value_date=play.day,
                use_of_funds="more",
                payment_mode="autonomous",
            )
        )


def test_a_recovery_is_of_the_net_loss_and_comes_from_the_borrower() -> None:
    play = troubled("2025-12-23")
    lose(play, "l1", 1_000_000_00)
    for payer, payee, amount_minor, refusal in (
        ("guarantor", "cib", 1, errors.NotAParty),
        ("qinghe", "guarantor", 1, errors.NotAParty),
        ("qinghe", "cib", 1_000_000_01, errors.AboveShare),
    ):
        with pytest.raises(refusal):
            play.instruct("recovery", payer, payee, amount_minor)
    one = play.instruct("recovery", "qinghe", "cib", 600_000_00)
    two = play.instruct("recovery", "qinghe", "cib", 600_000_00)
    play.confirm(one)
    with pytest.raises(errors.AboveShare):
        play.confirm(two)
    play.confirm(two, amount_minor=400_000_00)
    assert not play.state.net_loss_minor


def test_a_full_recovery_returns_everyone_to_zero_exactly() -> None:
    play = _story().copy()
    play.until(d("2026-09-01"))
    before = {party: play.balance(party, "cash") for party in PARTIES}
    borne = dict(play.state.borne)
    play.pay("recovery", "qinghe", "cib", 4_683_333_34)
    square_up(play)
    for party in PARTIES:
        for code in ("loss.credit", "recourse.allowance"):
            assert play.balance(party, code) == 0
        assert play.balance(party, "due.recourse", "qinghe") == 0
        assert play.balance(party, "cash") == before[party] + borne[party]
    assert -play.balance("pool", "cash") == play.balance("guarantor", "cash") == 0
    assert play.state.phase == "overdue"


@settings(max_examples=40, deadline=None)
@given(
    events=st.lists(st.tuples(st.booleans(), st.integers(1, 900_000_00)), min_size=1, max_size=10),
    collector=st.sampled_from(BANKS),
)
def test_every_cut_of_losses_and_recoveries_stays_within_a_fen_and_closes(
    events: list[tuple[bool, int]], collector: str
) -> None:
    play = troubled("2025-12-23")
    start = {bank: play.state.loans["d1", bank].outstanding_minor for bank in BANKS}
    gross = 0
    for index, (is_loss, amount_minor) in enumerate(events):
        net_minor = play.state.net_loss_minor
        if is_loss or not net_minor:
            fact = lose(play, f"l{index}", amount_minor)
            gross += amount_minor
            assert sum(fact.parts.values()) == sum(fact.reductions.values()) == amount_minor
            assert min(fact.parts.values()) >= 0
        else:
            play.pay("recovery", "qinghe", collector, min(amount_minor, net_minor))
        assert_borne(play, play.state.net_loss_minor)
        for bank in BANKS:
            lost_minor = start[bank] - play.state.loans["d1", bank].outstanding_minor
            assert abs(lost_minor - Fraction(gross * start[bank], sum(start.values()))) < 1
    if play.state.net_loss_minor:
        play.pay("recovery", "qinghe", collector, play.state.net_loss_minor)
    square_up(play)
    assert not any(play.state.borne.values())
    assert not any(play.state.owed.values())
    assert play.balance("pool", "cash") == play.balance("guarantor", "cash") == 0


def test_repayments_that_move_the_banks_apart_never_lose_more_than_stands() -> None:
    play = troubled("2025-12-23")
    lose(play, "l1", 1_000_000_01)
    (line,) = [line for line in payable(play.state) if line.bank == "hzbank"]
    play.pay("repayment", "qinghe", "hzbank", line.total_minor, about="d1")
    lose(play, "l2", play.state.outstanding_minor - 1)
    assert play.state.outstanding_minor == 1
    assert sum(loan.written_down_minor for loan in play.state.loans.values()) == (
        play.state.net_loss_minor
    )


# -- other agreements -------------------------------------------------------------------------


def never_paid(**changed: Any) -> Play:
    """Deal 2 under other terms, of which nothing was ever repaid, on 2024-07-01."""
    play = deal_2(terms=replace(DEAL_2, **changed))
    play.until(d("2024-07-01"))
    return play


def test_without_a_rule_each_bank_bears_its_own_loss() -> None:
    play = never_paid(risk_share=None, protectors=())
    fact = lose(play, "l1", 1_000_000_01)
    assert fact.parts == fact.reductions
    assert fact.settlement == ()
    play.pay("recovery", "qinghe", "hzbank", 500_000_00)
    assert play.state.owes(debtor="hzbank", creditor="cib") > 0
    square_up(play)
    play.pay("recovery", "qinghe", "cib", 500_000_01)
    square_up(play)
    assert not any(play.state.borne.values())


def test_outstanding_weights_are_those_before_the_first_loss() -> None:
    rule = {**RULE, "rule": {"kind": "pro_rata", "by": "outstanding"}}
    play = never_paid(risk_share=rule)
    (line,) = [line for line in payable(play.state) if line.bank == "cib"]
    play.pay("repayment", "qinghe", "cib", line.total_minor, about="d1")
    weights = {bank: play.state.loans["d1", bank].outstanding_minor for bank in BANKS}
    assert lose(play, "l1", 1_000_000_00).outstanding == weights
    (line,) = [line for line in payable(play.state) if line.bank == "hzbank"]
    play.pay("repayment", "qinghe", "hzbank", line.total_minor, about="d1")
    lose(play, "l2", 2_000_000_00)
    for bank, weight in weights.items():
        exact = Fraction(3_000_000_00 * weight, sum(weights.values()))
        assert abs(play.state.borne[bank] - exact) < 1


def test_a_settlement_meets_advances_first_and_moves_no_more_than_it_must() -> None:
    play = troubled("2025-12-23")
    claim(play, "c1", "guarantor", 1_760_000_00)
    accept(play, "c1", 1_760_000_00)
    advance(play, "c1")
    fact = lose(play, "l1", 5_000_000_00)
    assert fact.parts["guarantor"] == 1_760_000_00
    for bank in BANKS:
        assert play.state.owes(debtor="guarantor", creditor=bank) == 0
    assert square_up(play) == 1_500_000_00, "the pool alone has cash to send"


def test_each_reduction_is_rounded_by_the_running_split() -> None:
    play = troubled("2025-12-23")
    lost = dict.fromkeys(BANKS, 0)
    for index in range(20):
        for bank, part in lose(play, f"l{index}", 1).reductions.items():
            lost[bank] += part
    outstanding = {bank: 875_000_000 * weight // 3 for bank, weight in COMMITMENTS.items()}
    assert sum(lost.values()) == 20
    for bank, weight in outstanding.items():
        assert abs(lost[bank] - Fraction(20 * weight, 1_750_000_000)) < 1
