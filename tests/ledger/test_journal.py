"""Pendings, limits and reversals by the pure machine, alone and inside a replay of the bytes."""

import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import journal, leaves
from ledger.entries import Account, Entry
from ledger.errors import LiandaiError, WrongInput
from ledger.journal import (
    AccountTerms,
    AlreadyResolved,
    AlreadyReversed,
    Journal,
    LimitExceeded,
    NoSuchPending,
    NotAMirror,
    NotAsPending,
    NotReversible,
    PendingExpired,
)
from ledger.leaves import SYSTEM, Actor, Leaf
from ledger.replay import Replay, read_leaf

DAY = date(2024, 3, 1)
NOW = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
ACTOR = Actor(institution="alfa", user="someone")
CASH, OTHER, THIRD = (Account("alfa", code, "", "", "CNY") for code in ("cash", "loan", "fees"))


def moved(amount_minor: int, *, to: Account = CASH, by: Account = OTHER) -> tuple[Entry, ...]:
    return (Entry(to, amount_minor), Entry(by, -amount_minor))


def leaf(kind: str, leaf_id: str, **changes: Any) -> Leaf:
    fields: dict[str, Any] = {
        "subject": {"type": "OwnPosting", "reference": "1"},
        "entries": (),
        "corrects": None,
        "recorded_at": NOW,
        "actor": ACTOR,
    } | changes
    return Leaf(
        book="own-alfa-x", kind=kind, leaf_id=leaf_id, value_date=DAY, booking_date=DAY, **fields
    )


def paid(leaf_id: str, amount_minor: int) -> Leaf:
    return leaf("transaction", leaf_id, entries=moved(amount_minor))


def pending(leaf_id: str, amount_minor: int, *, lasts: int | None = None) -> Leaf:
    end = None if lasts is None else NOW + timedelta(seconds=lasts)
    return leaf("pending", leaf_id, entries=moved(amount_minor), expires_at=end)


def posting(leaf_id: str, of: str, amount_minor: int, **changes: Any) -> Leaf:
    return leaf("posting", leaf_id, of=of, entries=moved(amount_minor), **changes)


def void(leaf_id: str, of: str, *, reason: str = "asked", **changes: Any) -> Leaf:
    subject = {"type": "Voided", "reason": reason}
    actor = SYSTEM if reason == "expired" else ACTOR
    return leaf("void", leaf_id, **{"of": of, "subject": subject, "actor": actor} | changes)


def reversal(leaf_id: str, of: str, amount_minor: int) -> Leaf:
    return leaf("reversal", leaf_id, of=of, entries=moved(-amount_minor))


def terms(
    leaf_id: str,
    *,
    least: int | None = None,
    most: int | None = None,
    side: Any = None,
    account: Account = CASH,
) -> Leaf:
    said = AccountTerms(account=account, side=side, least_minor=least, most_minor=most)
    return leaf("account", leaf_id, subject=msgspec.to_builtins(said))


def after(*taken: Leaf) -> Journal:
    found = Journal()
    for one in taken:
        found.take(one)
    return found


# ---- pendings


def test_a_pending_counts_as_pending_and_never_as_posted() -> None:
    found = after(paid("t", 10), pending("p", 7), pending("q", -4))
    assert found.balances == {CASH: 10, OTHER: -10}
    assert found.standing(CASH) == (10, 7, 4)
    assert found.standing(OTHER) == (-10, 4, 7)
    assert set(found.open_pendings) == {"p", "q"}


@pytest.mark.parametrize("amount", [1, 6, 7])
def test_posting_any_part_posts_it_and_releases_the_rest(amount: int) -> None:
    found = after(pending("p", 7), posting("x", "p", amount))
    assert found.balances == {CASH: amount, OTHER: -amount}
    assert found.standing(CASH) == (amount, 0, 0)
    assert found.standing(OTHER) == (-amount, 0, 0)
    assert not found.open_pendings


def test_a_void_releases_it_whole_and_posts_nothing() -> None:
    found = after(pending("p", 7), void("v", "p"))
    assert found.balances == {}
    assert found.standing(CASH) == (0, 0, 0)


REFUSED = (
    # why                   what stands             then                refusal
    ("a pending nobody made", (), posting("x", "p", 1), NoSuchPending),
    ("a transaction is no pending", (paid("t", 1),), void("v", "t"), NoSuchPending),
    (
        "posted twice",
        (pending("p", 5), posting("x", "p", 1)),
        posting("y", "p", 1),
        AlreadyResolved,
    ),
    (
        "voided, then posted",
        (pending("p", 5), void("v", "p")),
        posting("x", "p", 5),
        AlreadyResolved,
    ),
    (
        "posted, then voided",
        (pending("p", 5), posting("x", "p", 5)),
        void("v", "p"),
        AlreadyResolved,
    ),
    ("more than is pending", (pending("p", 5),), posting("x", "p", 6), NotAsPending),
    ("the other side", (pending("p", 5),), posting("x", "p", -5), NotAsPending),
    (
        "another account",
        (pending("p", 5),),
        leaf("posting", "x", of="p", entries=moved(5, by=THIRD)),
        NotAsPending,
    ),
    (
        "more in two entries",
        (pending("p", 5),),
        leaf("posting", "x", of="p", entries=moved(3) + moved(3)),
        NotAsPending,
    ),
    ("reversing what is not there", (), reversal("r", "t", 5), NotReversible),
    ("reversing a pending", (pending("p", 5),), reversal("r", "p", 5), NotReversible),
    (
        "reversing a reversal",
        (paid("t", 5), reversal("r", "t", 5)),
        leaf("reversal", "s", of="r", entries=moved(5)),
        NotReversible,
    ),
    (
        "reversed twice",
        (paid("t", 5), reversal("r", "t", 5)),
        reversal("s", "t", 5),
        AlreadyReversed,
    ),
    ("a mirror in part", (paid("t", 5),), reversal("r", "t", 4), NotAMirror),
    (
        "a mirror in another order",
        (paid("t", 5),),
        leaf("reversal", "r", of="t", entries=moved(-5)[::-1]),
        NotAMirror,
    ),
    ("over its most", (terms("a", most=5), paid("t", 5)), paid("u", 1), LimitExceeded),
    ("over its most, pending", (terms("a", most=5), pending("p", 5)), paid("u", 1), LimitExceeded),
    ("two pendings", (terms("a", most=5), pending("p", 3)), pending("q", 3), LimitExceeded),
    ("under its least", (terms("a", least=-5),), paid("t", -6), LimitExceeded),
    ("a debit account below 0", (terms("a", side="debit"),), pending("p", -1), LimitExceeded),
    ("a credit account above 0", (terms("a", side="credit"),), paid("t", 1), LimitExceeded),
    (
        "a wide limit on a debit account",
        (terms("a", side="debit", least=-9),),
        paid("t", -1),
        LimitExceeded,
    ),
    ("terms that the state breaks", (pending("p", 6),), terms("a", most=5), LimitExceeded),
    (
        "a reversal under the least",
        (paid("t", 5), terms("a", least=1)),
        reversal("r", "t", 5),
        LimitExceeded,
    ),
)


@pytest.mark.parametrize(
    ("why", "stands", "then", "refusal"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_what_the_state_does_not_allow_is_refused_by_name_and_changes_nothing(
    why: str, stands: tuple[Leaf, ...], then: Leaf, refusal: type[LiandaiError]
) -> None:
    found, same = after(*stands), after(*stands)
    with pytest.raises(refusal):
        found.take(then)
    assert vars(found) == vars(same)
    log = Replay("own-alfa-x", salt=secrets.token_bytes(32), keys={})
    for one in stands:
        log.take(leaves.encode(one))
    with pytest.raises(refusal):
        log.take(leaves.encode(then))


def test_a_later_account_leaf_replaces_the_earlier() -> None:
    after(terms("a", most=5), terms("b", most=6), paid("t", 6))
    after(terms("a", most=5), terms("b"), paid("t", 60))


def test_a_posting_moves_its_amount_from_pending_to_posted_within_the_limit() -> None:
    found = after(terms("a", most=5), pending("p", 5), posting("x", "p", 5))
    assert found.standing(CASH) == (5, 0, 0)
    with pytest.raises(LimitExceeded) as refused:
        found.take(pending("q", 1))
    assert refused.value.fields == {
        "account": CASH,
        "limit": "most_minor",
        "limit_minor": 5,
        "would_be_minor": 6,
    }


# ---- the end of a pending: a second before, on it, a second after

ENDS = ((-1, False), (0, True), (1, True))


@pytest.mark.parametrize(("late", "is_over"), ENDS)
def test_from_its_end_on_only_the_system_voids_a_pending(late: int, is_over: bool) -> None:
    at = NOW + timedelta(seconds=60 + late)
    asked = (posting("x", "p", 5, recorded_at=at), void("v", "p", recorded_at=at))
    for one in asked:
        found = after(pending("p", 5, lasts=60))
        if not is_over:
            found.take(one)
            continue
        with pytest.raises(PendingExpired):
            found.take(one)
    found = after(pending("p", 5, lasts=60))
    swept = void("v", "p", reason="expired", recorded_at=at)
    if is_over:
        found.take(swept)
        assert found.standing(CASH) == (0, 0, 0)
    else:
        with pytest.raises(WrongInput):
            found.take(swept)


def test_a_pending_without_an_end_is_never_over() -> None:
    found = after(pending("p", 5))
    with pytest.raises(WrongInput):
        found.take(void("v", "p", reason="expired"))
    found.take(posting("x", "p", 5, recorded_at=NOW + timedelta(days=4000)))


# ---- shapes and bytes

MISSHAPEN: tuple[tuple[str, Leaf, str], ...] = (
    ("a pending without entries", leaf("pending", "p"), "$.entries"),
    ("a void with entries", void("v", "p", entries=moved(1)), "$.entries"),
    ("a posting of nothing", leaf("posting", "x", entries=moved(1)), "$.of"),
    ("a pending of something", leaf("pending", "p", entries=moved(1), of="x"), "$.of"),
    ("an end on a void", void("v", "p", expires_at=NOW + timedelta(1)), "$.expires_at"),
    ("an end at the start", pending("p", 1, lasts=0), "$.expires_at"),
    ("no reason", void("v", "p", subject={"type": "Voided"}), "$.subject"),
    ("another reason", void("v", "p", reason="so"), "$.subject.reason"),
    ("expired, by hand", void("v", "p", reason="expired", actor=ACTOR), "$.subject.reason"),
    ("asked, by the system", void("v", "p", actor=SYSTEM), "$.subject.reason"),
    ("limits the wrong way round", terms("a", least=5, most=4), "$.subject.most_minor"),
    ("a least above a credit's most", terms("a", least=1, side="credit"), "$.subject.most_minor"),
    ("another side", terms("a", side="left"), "$.subject.side"),
    (
        "an account without a code",
        terms("a", account=Account("alfa", "", "", "", "CNY")),
        "$.subject.account.code",
    ),
)


@pytest.mark.parametrize(("why", "wrong", "place"), MISSHAPEN, ids=[row[0] for row in MISSHAPEN])
def test_a_misshapen_leaf_is_named_by_its_place(why: str, wrong: Leaf, place: str) -> None:
    with pytest.raises(WrongInput) as refused:
        after(pending("p", 5), wrong)
    assert refused.value.place == place


ONE_OF_EACH = (
    terms("a", most=50),
    pending("p", 5, lasts=60),
    posting("x", "p", 3),
    reversal("r", "x", 3),
    pending("q", 5),
    void("v", "q"),
)


def test_leaves_of_both_versions_are_read_as_they_were_written() -> None:
    for one in (paid("t", 5), *ONE_OF_EACH):
        raw = leaves.encode(one)
        assert leaves.decode(raw) == one
        assert leaves.encode(leaves.decode(raw)) == raw
        stored = read_leaf(raw)
        assert stored.v == (1 if one.kind == "transaction" else 2)
        assert (b'"of":' in raw, b'"expires_at":' in raw) == (stored.v == 2,) * 2


def test_the_bytes_of_version_1_are_those_they_always_were() -> None:
    raw = leaves.encode(paid("alfa:key-0001:0", 5))
    assert raw == (
        b'{"actor":{"institution":"alfa","user":"someone"},"book":"own-alfa-x",'
        b'"booking_date":"2024-03-01","corrects":null,"entries":[{"amount_minor":5,"code":"cash",'
        b'"counterparty":"","currency":"CNY","party":"alfa","ref":""},{"amount_minor":-5,'
        b'"code":"loan","counterparty":"","currency":"CNY","party":"alfa","ref":""}],'
        b'"id":"alfa:key-0001:0","kind":"transaction","recorded_at":"2024-03-01T09:30:00Z",'
        b'"subject":{"reference":"1","type":"OwnPosting"},"v":1,"value_date":"2024-03-01"}'
    )


def test_a_kind_in_the_other_version_is_no_leaf() -> None:
    old, new = leaves.encode(paid("t", 5)), leaves.encode(pending("p", 5))
    for raw in (
        old.replace(b'"v":1', b'"v":2'),
        new.replace(b'"v":2', b'"v":1'),
        new.replace(b'"of":null,', b""),
        old.replace(b'"kind"', b'"expires_at":null,"kind"').replace(b'"id"', b'"id"'),
    ):
        for read in (read_leaf, leaves.decode):
            with pytest.raises(WrongInput):
                read(raw)


# ---- any order of things, against a model that knows no machine


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("pay", "reserve", "post", "void", "reverse", "limit")),
        st.integers(0, 6),
        st.integers(-9, 9).filter(bool),
    ),
    max_size=40,
)


def made(step: Step, number: int) -> Leaf:
    """The step as a leaf; what it is about is named by the number of an earlier step."""
    what, about, amount = step
    name, of = f"n{number}", f"n{number - 1 - about}"
    match what:
        case "pay":
            return paid(name, amount)
        case "reserve":
            return pending(name, amount)
        case "post":
            return posting(name, of, amount)
        case "void":
            return void(name, of)
        case "reverse":
            return reversal(name, of, amount)
        case _:
            return terms(name, least=-abs(amount) - about, most=abs(amount) + about)


@given(STEPS)
def test_whatever_is_asked_the_state_is_the_sum_of_what_stands(steps: list[Step]) -> None:
    """Posted, pending and limits again from the list of accepted leaves, by comprehension."""
    machine, stands = Journal(), list[Leaf]()
    for number, step in enumerate(steps):
        one = made(step, number)
        try:
            machine.take(one)
        except LiandaiError:
            continue
        stands.append(one)
        resolved = [x.of for x in stands if x.kind in ("posting", "void")]
        assert len(resolved) == len(set(resolved))
        reversed_ = [x.of for x in stands if x.kind == "reversal"]
        assert len(reversed_) == len(set(reversed_))
        for account, sign in ((CASH, 1), (OTHER, -1)):
            posted = sign * sum(
                x.entries[0].amount_minor
                for x in stands
                if x.kind in ("transaction", "posting", "reversal")
            )
            open_ = [
                sign * x.entries[0].amount_minor
                for x in stands
                if x.kind == "pending" and x.leaf_id not in resolved
            ]
            debit, credit = sum(a for a in open_ if a > 0), -sum(a for a in open_ if a < 0)
            assert machine.standing(account) == (posted, debit, credit)
        last = next((x.subject for x in reversed(stands) if x.kind == "account"), None)
        if last is not None:
            posted, debit, credit = machine.standing(CASH)
            assert posted + debit <= last["most_minor"]
            assert posted - credit >= last["least_minor"]


@given(STEPS)
def test_a_refused_leaf_leaves_the_machine_as_it_was(steps: list[Step]) -> None:
    machine, accepted = Journal(), list[Leaf]()
    for number, step in enumerate(steps):
        one = made(step, number)
        try:
            journal.decide(machine, one)
        except LiandaiError:
            continue
        journal.evolve(machine, one)
        accepted.append(one)
    assert vars(machine) == vars(after(*accepted))


@given(STEPS, st.randoms(use_true_random=False))
def test_a_replay_takes_exactly_what_the_machine_takes(steps: list[Step], chance: Any) -> None:
    """The offline verifier re-checks I6, I8 and I9 from the bytes alone."""
    machine = Journal()
    log = Replay("own-alfa-x", salt=bytes(32), keys={})
    take: Callable[[Leaf], None] = machine.take
    for number, step in enumerate(steps):
        one = made(step, number)
        try:
            take(one)
        except LiandaiError as error:
            if chance.random() < 0.2:
                with pytest.raises(type(error)):
                    log.take(leaves.encode(one))
                return
            continue
        log.take(leaves.encode(one))
    assert log.balances == machine.balances
    assert log.journal.open_pendings == machine.open_pendings
