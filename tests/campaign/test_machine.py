"""The pure machine and an auditor's own book agree on every question, whatever is asked before it.

Twice: as a state machine whose failures Hypothesis makes small, and by mass, from seeds.
"""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.campaign.machine import Episode, episode
from tests.campaign.model import MOST_AMOUNT, AccountName, Ask
from tests.campaign.size import first_seed, size, tell

CASH: AccountName = ("alfa", "cash", "", "", "CNY")
LOAN: AccountName = ("alfa", "loan", "", "", "CNY")
OWED: AccountName = ("alfa", "due.principal", "beta", "", "CNY")
OWES: AccountName = ("beta", "due.principal", "alfa", "", "CNY")
THERE: AccountName = ("beta", "cash", "", "", "CNY")

AMOUNTS = st.one_of(
    st.integers(-9, 9).filter(bool), st.sampled_from((MOST_AMOUNT, -MOST_AMOUNT, 0))
)
LIMITS = st.none() | st.integers(-12, 12)
NAMES = ("transaction", "pending", "posting", "void", "reversal", "account", "nobody")


def own(amount: int) -> tuple[tuple[AccountName, int], ...]:
    return ((CASH, amount), (LOAN, -amount))


def lent(amount: int) -> tuple[tuple[AccountName, int], ...]:
    return ((OWED, amount), (OWES, -amount), (CASH, -amount), (THERE, amount))


class AuditedBook(RuleBasedStateMachine):
    """Anything may be asked in any order; `Episode.step` compares the two each time."""

    pendings = Bundle("pendings")
    posted = Bundle("posted")

    def __init__(self) -> None:
        super().__init__()
        self.book = Episode()
        self.number = 0

    def ask(self, kind: str, **said: Any) -> str:
        self.number += 1
        day = self.book.model.day
        name = f"{kind}-{self.number}"
        self.book.step(
            Ask(kind=kind, name=name, value_day=day, booking_day=day, at=self.book.at, **said)
        )
        return name

    @rule(target=posted, amount=AMOUNTS, shape=st.sampled_from((own, lent)))
    def post(self, amount: int, shape: Any) -> str:
        return self.ask("transaction", lines=shape(amount))

    @rule(
        target=pendings,
        amount=AMOUNTS,
        shape=st.sampled_from((own, lent)),
        lasts=st.none() | st.integers(0, 3),
    )
    def reserve(self, amount: int, shape: Any, lasts: int | None) -> str:
        ends = None if lasts is None else self.book.at + lasts
        return self.ask("pending", lines=shape(amount), ends=ends)

    @rule(target=posted, of=pendings, amount=AMOUNTS, shape=st.sampled_from((own, lent)))
    def post_pending(self, of: str, amount: int, shape: Any) -> str:
        return self.ask("posting", of=of, lines=shape(amount))

    @rule(target=posted, of=pendings)
    def post_pending_whole(self, of: str) -> str:
        lines = self.book.model.standing.get(of, {"lines": own(1)})["lines"]
        return self.ask("posting", of=of, lines=tuple(lines))

    @rule(of=pendings, by_clock=st.booleans())
    def void(self, of: str, by_clock: bool) -> None:
        self.ask("void", of=of, by_clock=by_clock, says_over=by_clock)

    @rule(of=posted | pendings, lines=st.none() | AMOUNTS.map(own))
    def reverse(self, of: str, lines: tuple[tuple[AccountName, int], ...] | None) -> None:
        original = self.book.model.reversible.get(of, own(1))
        mirror = tuple((name, -amount) for name, amount in original)
        self.ask("reversal", of=of, lines=lines or mirror)

    @rule(
        name=st.sampled_from((CASH, LOAN, OWED)),
        side=st.sampled_from((None, "debit", "credit")),
        least=LIMITS,
        most=LIMITS,
    )
    def declare(
        self, name: AccountName, side: str | None, least: int | None, most: int | None
    ) -> None:
        self.ask("account", terms=(name, side, least, most))

    @rule(of=consumes(posted))
    def ask_what_has_another_kind(self, of: str) -> None:
        self.ask("void", of=of)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.book.at += seconds

    @rule()
    def close_day(self) -> None:
        self.book.close_day()

    @invariant()
    def all_is_counted_again(self) -> None:
        self.book.check_all()


AuditedBook.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAnythingInAnyOrder = AuditedBook.TestCase


def test_a_mass_of_questions_is_answered_as_an_auditors_own_book_answers_it() -> None:
    steps, first = size(test=100_000, full=2_000_000), first_seed()
    figures: Counter[str] = Counter()
    seed = first
    while figures["steps"] < steps:
        figures += episode(seed)
        seed += 1
    tell(
        f"the pure machine and the model, {seed - first} books, 0 differ",
        dict(figures.most_common()),
    )
    for due in (
        *("recorded", "wrong-input", "no-such-pending", "already-resolved", "pending-expired"),
        *("not-as-pending", "limit-exceeded", "already-reversed", "not-reversible"),
        *("not-a-mirror", "days closed", "refused in replay", "taken in replay"),
    ):
        assert figures[due] > steps // 1_000, f"too few of {due} to say anything"
