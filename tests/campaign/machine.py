"""The pure machine against the auditor's model: the same questions to both, compared each time.

One episode is one book from its first leaf: some dozens of questions, days closed between them. The
machine is `entries.check_whole`, `journal` and, from the bytes of what stood, `replay`. A refused
question must leave every byte of the machine's state as it was, private parts too.
"""

import pickle
from collections import Counter, defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from ledger import leaves, merkle, seals
from ledger.entries import Account, check_whole
from ledger.errors import LiandaiError, WrongInput
from ledger.journal import Journal, check_shape
from ledger.leaves import SYSTEM, Leaf
from ledger.replay import Replay
from tests.campaign.asking import Asker
from tests.campaign.leafing import BEGUN, day, leaf_of, name_of, verdict_of
from tests.campaign.model import AccountName, Ask, Model, Verdict

BOOK: Final = "fac-campaign"
SALT: Final = bytes(32)


class Episode:
    """One book in the machine and in the model, beside one another."""

    def __init__(self) -> None:
        self.model = Model()
        self.machine = Journal()
        self.replay = Replay(BOOK, salt=SALT, keys={})
        self.figures: Counter[str] = Counter()
        self._bytes: bytes | None = None  # the machine's state, where it is known to be unchanged
        self._hashes: list[bytes] = []
        self._sealed: dict[int, tuple[int, dict[AccountName, int]]] = {}
        self._last_seal: int | None = None
        self.at = 0

    def step(self, ask: Ask) -> Verdict | None:
        """The question is put to both; they agree, and every invariant holds."""
        due = self.model.judge(ask)
        if due is not None and self._bytes is None:
            self._bytes = pickle.dumps(vars(self.machine))
        leaf = leaf_of(ask, book=BOOK)
        answer = self._answer(leaf)
        assert answer == due, f"{answer} where {due} is due"
        if due is None:
            self._bytes = None
            self.model.record(ask)
            self._log(leaf)
            self.figures["recorded"] += 1
        else:
            stands = pickle.dumps(vars(self.machine))
            assert stands == self._bytes, "a refusal has changed something"
            self.figures["refused"] += 1
        self.check(ask)
        return due

    def _answer(self, leaf: Leaf) -> Verdict | None:
        try:
            check_shape(leaf)
            if leaf.entries:
                check_whole(leaf.transaction)
            self.machine.take(leaf)
        except LiandaiError as error:
            return verdict_of(error)
        return None

    def close_day(self) -> None:
        """The open day is sealed; what its balances were is remembered for ever (I11)."""
        size = self.replay.size
        root = merkle.root(self._hashes)
        subject = {
            "type": "DaySeal",
            "day": day(self.model.day).isoformat(),
            "size": size,
            "root": root.hex(),
            "balances_root": seals.balances_root(
                self.machine.balances, salt=SALT, day=day(self.model.day)
            ).hex(),
            "previous": self._last_seal,
        }
        self._sealed[self.model.day] = (size, balances_of(self.machine))
        self._last_seal = size
        seal = Ask(
            kind="seal",
            name=f"seal:{self.model.day}",
            value_day=self.model.day,
            booking_day=self.model.day,
            at=self.at,
        )
        leaf = Leaf(
            book=BOOK,
            kind="seal",
            leaf_id=seal.name,
            subject=subject,
            entries=(),
            value_date=day(seal.value_day),
            booking_date=day(seal.booking_day),
            recorded_at=BEGUN,
            actor=SYSTEM,
            corrects=None,
        )
        self._log(leaf)
        self.model.seal(seal.name, self.model.day + 1)
        self.figures["days closed"] += 1

    def _log(self, leaf: Leaf) -> None:
        raw = leaves.encode(leaf)
        self.replay.take(raw)
        self._hashes.append(merkle.leaf_hash(raw))

    # ---- what must hold after each step

    def check(self, ask: Ask) -> None:
        """I1, I2, I3, I6, I8 and I9 on the machine's own state, judged without its own words."""
        model, machine = self.model, self.machine
        posted: defaultdict[tuple[str, str], int] = defaultdict(int)
        pending: defaultdict[tuple[str, str], int] = defaultdict(int)
        for account in machine.balances.keys() | machine.debits.keys() | machine.credits.keys():
            name = name_of(account)
            stands, debit, credit = machine.standing(account)
            assert stands == model.posted[name], f"I3: {name}"
            assert (debit, credit) == (model.debits[name], model.credits[name]), f"I6: {name}"
            assert debit >= 0 <= credit, "what is pending is no debt"
            side = (name[0], name[4])
            posted[side] += stands
            pending[side] += debit - credit
            if name in model.bounds:
                least, most = model.bounds[name]
                assert most is None or stands + debit <= most, f"I8: {name}"
                assert least is None or stands - credit >= least, f"I8: {name}"
        assert not any(posted.values()), "I1, I2: what is posted does not close"
        assert not any(pending.values()), "I2: what is pending does not close"
        open_ = {name for name, one in machine.pendings.items() if one.resolved_by is None}
        assert open_ == model.standing.keys(), "I6"
        assert machine.reversals == model.reversed, "I9"

    def check_all(self) -> None:
        """All again from the model's list of what was recorded, and from the leaves' bytes."""
        model = self.model
        posted, open_ = model.recounted()
        touched = {name for name, amount in posted.items() if amount}
        assert {name: posted[name] for name in touched} == _without_zeros(self.machine), "I3"
        assert open_ == model.standing.keys() == self.machine.open_pendings.keys(), "I6"
        assert balances_of(self.replay.journal) == balances_of(self.machine)
        assert vars(self.replay.journal) == vars(self.machine), "the bytes say something else"
        assert self.replay.size == len(model.log)
        resolved = [ask.of for ask in model.log if ask.kind in ("posting", "void")]
        assert len(resolved) == len(set(resolved)), "I6"
        reversed_ = [ask.of for ask in model.log if ask.kind == "reversal"]
        assert len(reversed_) == len(set(reversed_)), "I9"
        for number, (size, stood) in self._sealed.items():
            for known in (size, size + 1):
                again = model.as_of(known=known, booking_until=number)
                assert again == stood, f"I11: the balances of day {number}"
            assert model.as_of(known=len(model.log), booking_until=number) == stood, "I11"

    def offer(self, ask: Ask) -> None:
        """The last question, as bytes, to whoever reads the log again: place and state (I5, I10).

        A replay that has refused is over; so this ends the episode.
        """
        # A closed day is one that is sealed; a log read again cannot know of a day to come.
        is_early = ask.booking_day > self.model.day or not self.model.log
        due = self.model.judge(ask._replace(booking_day=self.model.day) if is_early else ask)
        try:
            raw = leaves.encode(leaf_of(ask, book=BOOK))
        except (AssertionError, WrongInput):
            raw = b""  # no leaf can say this
        try:
            self.replay.take(raw)
        except (LiandaiError, ValueError):
            answer = "refused in replay"
        else:
            answer = "taken in replay"
        assert answer == ("taken in replay" if due is None else "refused in replay"), due
        self.figures[answer] += 1


def balances_of(machine: Journal) -> dict[AccountName, int]:
    """Posted balances by plain account, of every account that was ever posted to."""
    return _plain(machine.balances)


def _plain(balances: Mapping[Account, int]) -> dict[AccountName, int]:
    return {name_of(account): amount for account, amount in balances.items()}


def _without_zeros(machine: Journal) -> dict[AccountName, int]:
    return {name: amount for name, amount in balances_of(machine).items() if amount}


def episode(seed: int) -> Counter[str]:
    """One whole episode; its figures. AssertionError tells the seed, the step and the question."""
    dice = Random(seed)
    one = Episode()
    asker = Asker(dice, joint=dice.random() < 0.7, twisted=0.08)
    said: Any = None
    asked = 0
    try:
        for _ in range(dice.randrange(10, 80)):
            one.at += dice.choice((0, 0, 1, 3, 9))
            if dice.random() < 0.02:
                said = "the day is closed"
                one.close_day()
            said = asker.ask(one.model, f"n{asked}", at=one.at)
            one.figures[verdict(one.step(said))] += 1
            asked += 1
        one.check_all()
        said = asker.misplaced(one.model, "last", at=one.at)
        one.offer(said)
    except Exception as error:
        raise AssertionError(f"CAMPAIGN_SEED={seed}, step {asked}, {said}: {error!r}") from error
    one.figures["steps"] += asked
    return one.figures


def verdict(due: Verdict | None) -> str:
    return "ok" if due is None else due.code
