"""A facility computed again from its log: what every record must say, given those before it.

Each leaf is judged by the state that the leaves before it leave: the command behind the record is
given once more to the rules (`life`, `payments`, `claims`), the days are brought once more (`day`),
and what follows must be, to the fen, what was recorded; so must the postings (`bookings`). That
covers interest, penalty and compound interest, rates, instalments, overdue marks and classes, what
a payment met, how draws, losses and recoveries are split; and who gave each command, whether maker
and checker differ, and the words under each signature. Whether a signature holds is the ledger's
verifier's question; `published.using` says by which fixings and working days it is all computed.

It reads no file and no database, and it believes no figure of a record: only its choices (an amount
asked for, a date, a name).
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import msgspec

from ledger.errors import LiandaiError, WrongInput
from ledger.leaves import SYSTEM, Leaf
from syndicate.facility import bookings, claims, day, drafts, facts, life, payments
from syndicate.facility.authority import check_may_give
from syndicate.facility.drafts import DRAFTS, Draft, LossDrafted, ReleaseDrafted
from syndicate.facility.facts import (
    AlertRecorded,
    ClaimAccepted,
    ClaimFiled,
    ClaimRejected,
    Classified,
    ContractRecorded,
    DrawRequested,
    EventRecorded,
    FacilityFormed,
    Fact,
    InstalmentDue,
    InterestAccrued,
    LossFixed,
    MarkedOverdue,
    PaymentConfirmed,
    PaymentInstructed,
    PaymentReturned,
    RateFixed,
    ReleaseApproved,
)
from syndicate.facility.log import BESIDE
from syndicate.facility.state import FacilityState, evolve

FORMED = "FacilityFormed"
"""The type of the subject that a facility's log begins with."""

CHOSEN = (
    "what was chosen and not computed: that a draw, an alert, an event or evidence is true",
    "that cash moved: a receiving bank's signed word is taken for it",
)
"""What is taken from a facility's log as it stands there."""

OF_A_DAY = (InterestAccrued, RateFixed, InstalmentDue, MarkedOverdue, Classified)
"""Facts that no command brings: the days do."""


class Reperformed(msgspec.Struct, frozen=True, kw_only=True):
    """One book computed again.

    facts         how many of each kind follow from those before them
    amounts       how many single amounts were derived again and are the recorded ones
    missing       what should have been recorded by now and is not
    not_computed  what was taken as it stands, as the leaves do not hold what it follows from
    index         of the first leaf that does not follow, None where all do; `why` says what would
    """

    facts: dict[str, int]
    amounts: int
    missing: tuple[str, ...]
    not_computed: tuple[str, ...]
    index: int | None
    why: str | None


class Differs(WrongInput):
    """A record does not say what follows from the ones before it."""


def reperform(leaves: Iterable[Leaf]) -> Reperformed:
    """The facility of these leaves, all of them in log order, computed again up to the first flaw.

    Must run inside `published.using` where the tables are not to be the program's own.
    """
    run = _Run()
    for index, leaf in enumerate(leaves):
        try:
            run.take(leaf)
        except LiandaiError as error:
            return run.told(index=index, why=str(error))
        except (LookupError, ArithmeticError, AssertionError, ValueError, StopIteration) as error:
            return run.told(index=index, why=f"nothing follows here ({error!r})")
    return run.told(index=None, why=None)


class _Run:
    """The facility while its leaves are taken.

    due    what a command or a day still has to bring
    noted  the leaf of each fact, by the fact's name
    """

    def __init__(self) -> None:
        self.state: FacilityState | None = None
        self.drafts: dict[str, tuple[Draft, str]] = {}
        self.due: deque[Fact] = deque()
        self.noted: dict[str, str] = {}
        self.counted: Counter[str] = Counter()
        self.amounts = 0
        self.missing: list[str] = []

    def told(self, *, index: int | None, why: str | None) -> Reperformed:
        """What there is to tell at the end, or at the first flaw."""
        open_ends = [] if self.state is None else list(_open_ends(self.state))
        if index is None:
            self.missing += (f"{facts.name_of(fact)}, with which the log ends" for fact in self.due)
        return Reperformed(
            facts=dict(self.counted),
            amounts=self.amounts,
            missing=(*self.missing, *open_ends),
            not_computed=CHOSEN,
            index=index,
            why=why,
        )

    def take(self, leaf: Leaf) -> None:
        """The leaf follows from those before it. Raises what says why it does not."""
        if leaf.kind == "refusal" or leaf.subject.get("type") in BESIDE:
            _check_moves_nothing(leaf)
            return
        if self.due and leaf.kind == "seal":
            raise Differs("$.kind", f"{facts.name_of(self.due[0])} before the day is sealed")
        if leaf.kind == "seal":
            self._seal(leaf)
        elif leaf.subject.get("type") in DRAFTS:
            self._draft(leaf)
        else:
            self._fact(leaf)

    # ---- records

    def _fact(self, leaf: Leaf) -> None:
        said = facts.fact_of(leaf.subject)
        if not self.due:
            self.due.extend(self._brought(said, leaf))
        if not self.due:
            raise Differs("$.subject", f"nothing of kind {type(said).__name__}: nothing brings it")
        _compare(said, self.due.popleft())
        entries = bookings.entries(self.state, said)
        if leaf.entries != entries or (leaf.kind == "transaction") != bool(entries):
            raise Differs("$.entries", f"what {facts.name_of(said)} posts: {_posted(entries)}")
        value_date = facts.value_date_of(said, booking_date=leaf.booking_date)
        if leaf.value_date != value_date:
            raise Differs("$.value_date", str(value_date))
        wrong = self.noted.get(facts.corrects(said) or "")
        if leaf.corrects != wrong:
            raise Differs("$.corrects", f"{wrong or 'nothing'}, not {leaf.corrects}")
        self.noted[facts.name_of(said)] = leaf.leaf_id
        self.state = evolve(self.state, said)
        self.counted[type(said).__name__] += 1
        self.amounts += amounts_in(leaf.subject)

    def _brought(self, said: Fact, leaf: Leaf) -> tuple[Fact, ...]:
        """What must stand in the log from here on, given the choices of the fact."""
        if isinstance(said, FacilityFormed):
            if self.state is not None:
                raise Differs("$.subject", "no second forming of a facility")
            if said.terms.facility != leaf.book:
                raise Differs("$.subject.terms.facility", leaf.book)
            life.check_signed_by_all(said)
            return (life.decide_form(said.terms, signatures=said.signatures),)
        if self.state is None:
            raise Differs("$.subject", "the forming of the facility first")
        if isinstance(said, OF_A_DAY):
            if leaf.actor != SYSTEM:
                raise Differs("$.actor", "the service: only a day brings this")
            ends = isinstance(said, MarkedOverdue | Classified)
            return (day.closing if ends else day.opening)(self.state, leaf.booking_date)
        self._check_hands(said, leaf)
        command = _command_of(said)
        check_may_give(self.state, command, institution=leaf.actor.institution)
        return life.decide(self.state, command, today=leaf.booking_date)

    def _check_hands(self, said: Fact, leaf: Leaf) -> None:
        """A release and a loss stand on the draft that another person made (I16)."""
        if isinstance(said, ReleaseApproved):
            name = drafts.release_name(draw=said.draw, bank=said.bank)
            content: Any = (said.loan_no, said.maker)
        elif isinstance(said, LossFixed):
            name = drafts.loss_name(said.loss)
            content = (said.amount_minor, said.evidence_sha256)
        else:
            return
        if name not in self.drafts:
            raise Differs("$.subject", f"a draft of {name} by another person before it")
        draft, maker = self.drafts[name]
        drafted = (
            (draft.loan_no, draft.maker)
            if isinstance(draft, ReleaseDrafted)
            else (draft.amount_minor, draft.evidence_sha256)
        )
        if content != drafted:
            raise Differs("$.subject", f"what the draft of {name} says: {drafted}")
        if maker == leaf.actor.user:
            raise Differs("$.actor.user", f"another person than {maker}, who made the draft")
        if isinstance(said, ReleaseApproved):
            if said.checker != leaf.actor.user:
                raise Differs("$.subject.checker", leaf.actor.user)
            if said.signed is msgspec.UNSET:
                raise Differs("$.subject.signed", f"the signed approval of {said.bank}")

    def _draft(self, leaf: Leaf) -> None:
        _check_moves_nothing(leaf)
        draft = drafts.draft_of(leaf.subject)
        if self.state is None or self.due:
            raise Differs("$.subject", "no draft here")
        if draft.maker != leaf.actor.user:
            raise Differs("$.subject.maker", f"{leaf.actor.user}, who recorded it")
        match draft:
            case ReleaseDrafted():
                expected: Draft = drafts.draft_release(
                    self.state,
                    draw=draft.draw,
                    bank=draft.bank,
                    loan_no=draft.loan_no,
                    maker=draft.maker,
                )
            case LossDrafted():
                expected = drafts.draft_loss(
                    self.state,
                    claims.FixLoss(
                        loss=draft.loss,
                        amount_minor=draft.amount_minor,
                        evidence_sha256=draft.evidence_sha256,
                    ),
                    maker=draft.maker,
                    today=leaf.booking_date,
                )
        _compare(draft, expected)
        self.drafts[drafts.name_of(draft)] = (draft, leaf.actor.user)
        self.counted[type(draft).__name__] += 1

    # ---- days

    def _seal(self, leaf: Leaf) -> None:
        """What the sealed day should have brought and did not is listed."""
        if self.state is None:
            return
        for fact in _undone(self.state, leaf.booking_date):
            self.missing.append(f"{facts.name_of(fact)}, by the seal of {leaf.booking_date}")


def _undone(state: FacilityState, on: date) -> Iterator[Fact]:
    """What the opening and the closing of the day would still bring."""
    for bringing in (day.opening, day.closing):
        try:
            brought = bringing(state, on)
        except LiandaiError:
            return
        for fact in brought:
            state = evolve(state, fact)
            yield fact


def _open_ends(state: FacilityState) -> Iterator[str]:
    """What is still awaited when the log ends."""
    for name, payment in state.payments.items():
        if payment.status == "instructed":
            sent = payment.instructed
            yield f"payment {name}: {sent.receiving_bank} has neither confirmed nor returned it"
    for name, claim in state.claims.items():
        if claim.status == "filed":
            filed = claim.filed
            yield f"claim {name}: {filed.protector} has not answered, due {filed.answer_by}"


def _command_of(said: Fact) -> life.Command:
    """The command that the fact answers, from the fact's own choices."""
    shapes: dict[type, type] = {
        ContractRecorded: life.RecordContract,
        DrawRequested: life.RequestDraw,
        ReleaseApproved: life.ApproveRelease,
        AlertRecorded: life.RecordAlert,
        EventRecorded: life.RecordEvent,
        PaymentInstructed: payments.InstructPayment,
        PaymentReturned: payments.ReturnPayment,
        PaymentConfirmed: payments.ConfirmPayment,
        ClaimFiled: claims.FileClaim,
        ClaimAccepted: claims.AcceptClaim,
        ClaimRejected: claims.RejectClaim,
        LossFixed: claims.FixLoss,
    }
    shape = shapes[type(said)]
    command: life.Command = shape(
        **{name: getattr(said, name) for name in shape.__struct_fields__}  # type: ignore[attr-defined]
    )
    return command


# ---- what differs, in words


def _check_moves_nothing(leaf: Leaf) -> None:
    if leaf.entries:
        raise Differs("$.entries", f"none: a {leaf.subject.get('type')} posts nothing")


def _compare(said: Fact | Draft, expected: Fact | Draft) -> None:
    """Nothing: they are alike. Raises Differs at the first field that is not."""
    if said == expected:
        return
    if type(said) is not type(expected):
        name = facts.name_of(expected)  # type: ignore[arg-type]
        raise Differs("$.subject", f"{name} here, not {type(said).__name__}")
    for place, one, other in differences(
        msgspec.to_builtins(said), msgspec.to_builtins(expected), "$.subject"
    ):
        raise Differs(place, f"{other}, not {one}")


def differences(one: Any, other: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Every place at which two JSON values differ, with what each has there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*other, *(key for key in one if key not in other)):
            yield from differences(one.get(key), other.get(key), f"{place}.{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index in range(max(len(one), len(other))):
            here, there = (side[index] if index < len(side) else None for side in (one, other))
            yield from differences(here, there, f"{place}[{index}]")
    elif one != other:
        yield place, one, other


def _posted(entries: Iterable[Any]) -> str:
    lines = [
        f"{entry.account.party} {entry.account.code} {entry.amount_minor}" for entry in entries
    ]
    return ", ".join(lines) if lines else "nothing"


def amounts_in(value: Any) -> int:
    """How many amounts a subject states."""
    if isinstance(value, dict):
        return sum(amounts_in(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return sum(amounts_in(inner) for inner in value)
    return int(isinstance(value, int) and not isinstance(value, bool))
