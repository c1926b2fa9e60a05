"""A break is settled by two persons, once; the whole is agreed to when every break is settled."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LiandaiError, WrongInput
from syndicate.parties.commitments import opens
from syndicate.reconciliation import breaks, outcome
from syndicate.reconciliation.breaks import (
    FINAL,
    OPEN,
    BreakProposal,
    BreakSettled,
    BreakStanding,
    BreakStep,
    NothingProposed,
    NotSettled,
    SameHands,
    Settled,
    StaleProposal,
)
from syndicate.reconciliation.causes import judge
from tests.syndicate.reconciliation_case import figure, side, statement

DAY = date(2024, 9, 30)
EVIDENCE = "e" * 64


def proposal(
    status: Settled = "attested",
    *,
    reason: str = "looked into",
    document: str = EVIDENCE,
    maker: str = "ops-1",
) -> BreakProposal:
    return BreakProposal(
        number=1, status=status, reason=reason, document_sha256=document, maker=maker
    )


def step(made: BreakProposal, checker: str | None = None) -> BreakStep:
    at = datetime(2024, 10, 8, tzinfo=UTC)
    return BreakStep(proposal=made, checker=checker, business_day=DAY, recorded_at=at)


def settled(status: Settled) -> BreakStanding:
    made = proposal(status)
    return breaks.after([step(made), step(made, "approver-1")])[1]


WRONG = [
    # proposal                                    what is named
    (proposal("noted", reason=""), "$.reason"),
    (proposal("noted", document=""), "$.document_sha256"),
    (proposal("disputed", reason=" "), "$.reason"),
    (proposal("disputed", document="E" * 64), "$.document_sha256"),
    (proposal("attested", document="abc"), "$.document_sha256"),
    (proposal("attested", reason="\n"), "$.reason"),
]


@pytest.mark.parametrize(("made", "place"), WRONG)
def test_whoever_does_not_accept_our_figure_says_why_with_a_document(
    made: BreakProposal, place: str
) -> None:
    with pytest.raises(WrongInput) as refused:
        breaks.propose(OPEN, made)
    assert refused.value.place == place


def test_accepting_our_figure_needs_no_reason() -> None:
    assert breaks.propose(OPEN, proposal(reason="", document=""))


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize("other", ["attested", "noted", "disputed"])
def test_what_is_attested_or_noted_stays(status: Settled, other: Settled) -> None:
    with pytest.raises(BreakSettled):
        breaks.propose(settled(status), proposal(other))


def test_a_dispute_can_still_be_settled() -> None:
    disputed = settled("disputed")
    assert disputed.status == "disputed"
    assert breaks.propose(disputed, proposal("noted"))
    with pytest.raises(WrongInput):
        breaks.propose(disputed, proposal("disputed"))


def test_a_second_person_approves_exactly_what_was_proposed() -> None:
    made, later = proposal(), proposal("disputed", maker="ops-2")
    with pytest.raises(NothingProposed):
        breaks.approve(OPEN, number=1, quoted=breaks.digest(made), checker="approver-1")
    standing = breaks.after([step(made), step(later)])[1]
    assert (standing.status, standing.pending) == ("open", later)
    with pytest.raises(StaleProposal):
        breaks.approve(standing, number=1, quoted=breaks.digest(made), checker="approver-1")
    with pytest.raises(SameHands):
        breaks.approve(standing, number=1, quoted=breaks.digest(later), checker="ops-2")
    approved = breaks.approve(standing, number=1, quoted=breaks.digest(later), checker="approver-1")
    assert approved == later


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("attested", "noted", "disputed")),
            st.sampled_from(("a", "b", "c")),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_no_sequence_of_words_settles_twice_or_by_one_person(
    words: list[tuple[Settled, str, bool]],
) -> None:
    steps: list[BreakStep] = []
    ended: str | None = None
    for status, person, approves in words:
        standing = breaks.after(steps).get(1, OPEN)
        before = standing.status
        try:
            if approves:
                quoted = breaks.digest(standing.pending) if standing.pending else ""
                done = breaks.approve(standing, number=1, quoted=quoted, checker=person)
                steps.append(step(done, person))
                assert done.maker != person
            else:
                steps.append(step(breaks.propose(standing, proposal(status, maker=person))))
        except LiandaiError:
            assert breaks.after(steps).get(1, OPEN).status == before
            continue
        now = breaks.after(steps)[1].status
        assert ended is None, "nothing is said after the end"
        ended = now if now in FINAL else None


def test_the_whole_is_agreed_to_only_when_every_break_is_settled() -> None:
    found = {1: settled("attested"), 2: settled("noted"), 3: settled("disputed")}
    assert breaks.settled_of(found, [1, 2]) == {1: "attested", 2: "noted"}
    with pytest.raises(NotSettled) as refused:
        breaks.settled_of(found, [1, 3, 4])
    assert refused.value.fields == {"breaks": [3, 4]}


def test_what_is_signed_tells_nothing_and_binds_everything() -> None:
    ours = side(figure("principal", 5))
    lines = judge(ours, statement(figure("principal", 6)))
    written = outcome.document(
        ours, lines, reconciliation="cib.2024-09-30.1", version=1, kind="csv", content=b"x"
    )
    raw, salt = outcome.to_bytes(written), b"s" * 32
    body = outcome.attestation_body(written, raw, {1: "attested"}, salt=salt)
    assert opens(body["outcome"], {"outcome": outcome.digest(raw)}, salt=salt)
    assert opens(body["settled"], {"1": "attested"}, salt=salt)
    assert not opens(body["outcome"], {"outcome": outcome.digest(raw + b" ")}, salt=salt)
    assert (body["on"], body["known_size"]) == ("2024-09-30", 10)
    assert "5" not in {str(value) for value in body.values()}
