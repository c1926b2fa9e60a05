"""Why the two sides differ, line by line: matched, or a break with exactly one cause. No records.

    matched      both sides say the same
    rounding     at most one fen, and at most one fen over all such lines of the account together
    timing       booked on another day: near the cut-off, not confirmed yet, or confirmed after it
    rate         another rate or day count over the same nights gives the bank's figure
    share        another share of the banks' sum gives the bank's figure
    missing      one side has no such line
    doubled      one side has the line twice
    unexplained  none of these; a person has to look

Every line of both sides lands in exactly one outcome, and the outcomes' differences sum to the
whole difference, to the fen. A cause is an explanation that fits, not a proof of what happened.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from syndicate.reconciliation import grounds, matching
from syndicate.reconciliation.grounds import NOTHING
from syndicate.reconciliation.record import OurSide
from syndicate.reconciliation.statement import BankStatement, Figure, Movement, Status

Cause = Literal["rounding", "timing", "rate", "share", "missing", "doubled", "unexplained"]
ONE_FEN: Final = 1
MOST_NAMED: Final = 5
"""Movements of cash that one figure's reason names; it may follow from more."""


class Side(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side says. where: a row of the bank's file, or where our record has it."""

    where: str
    amount_minor: int | None = None
    days_overdue: int | None = None
    risk_class: str | None = None
    value_date: date | None = None
    booking_date: date | None = None
    entry: str | None = None
    references: tuple[str, ...] | None = None
    standing: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One line of either side, or one of each.

    difference_minor  the bank's amount less ours; ours counts where it was booked in the period
    cause             null where the sides match
    because           the reason in words, "" where they match
    """

    number: int
    line: Literal["balance", "status", "movement"]
    loan_no: str
    account: str
    ours: Side | None
    theirs: Side | None
    difference_minor: int
    cause: Cause | None
    because: str


def judge(ours: OurSide, theirs: BankStatement) -> tuple[Outcome, ...]:
    """Every line of both sides in exactly one outcome, numbered from 1, balances first."""
    moved = list(_movements(ours, theirs.movements))
    stands = _follow(list(_figures(ours, theirs.figures)), moved)
    late = _statuses(ours, theirs.statuses, stands)
    lines = (*_within_one_fen(stands), *late, *moved)
    return tuple(replace(line, number=number) for number, line in enumerate(lines, 1))


def _outcome(
    line: Literal["balance", "status", "movement"],
    key: tuple[str, str],
    ours: Side | None,
    theirs: Side | None,
    difference_minor: int,
    verdict: tuple[Cause, str] | None,
) -> Outcome:
    cause, because = (None, "") if verdict is None else verdict
    return Outcome(
        number=0,
        line=line,
        loan_no=key[0],
        account=key[1],
        ours=ours,
        theirs=theirs,
        difference_minor=difference_minor,
        cause=cause,
        because=because,
    )


# ---- what stands


def _figures(ours: OurSide, theirs: Sequence[Figure]) -> Iterator[Outcome]:
    as_of = _other_days(ours, theirs)
    pairs = matching.by_key(ours.said.figures, theirs, of_left=_key, of_right=_key)
    for our, their in pairs:
        one = our or their
        assert one is not None, "a key has a line on one side"
        own_minor = 0 if our is None else our.amount_minor
        difference_minor = (0 if their is None else their.amount_minor) - own_minor
        yield _outcome(
            "balance",
            _key(one),
            None if our is None else _amount(our),
            None if their is None else _amount(their),
            difference_minor,
            None
            if not difference_minor
            else _why_figure(ours, _key(one), own_minor, difference_minor, (our, their), as_of),
        )


def _other_days(ours: OurSide, theirs: Sequence[Figure]) -> dict[str, date]:
    """Loan -> the day at whose end all of its figures here were those the bank states."""
    stated: defaultdict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for figure in theirs:
        if figure.amount_minor:
            stated[figure.loan_no][_key(figure)] = figure.amount_minor
    standing: defaultdict[tuple[date, str], dict[tuple[str, str], int]] = defaultdict(dict)
    for around in ours.around:
        for key, amount_minor in around.figures.items():
            if amount_minor:
                standing[around.day, key[0]][key] = amount_minor
    loans = {figure.loan_no for figure in ours.said.figures} | stated.keys()
    return {
        loan: around.day
        for loan in loans
        for around in sorted(ours.around, key=lambda around: -abs(around.day - ours.on))
        if stated[loan] == standing[around.day, loan]
    }


def _key(figure: Figure) -> tuple[str, str]:
    return figure.loan_no, figure.account


def _amount(figure: Figure) -> Side:
    return Side(where=figure.where, amount_minor=figure.amount_minor)


def _why_figure(
    ours: OurSide,
    key: tuple[str, str],
    own_minor: int,
    difference_minor: int,
    sides: tuple[Figure | None, Figure | None],
    as_of: Mapping[str, date],
) -> tuple[Cause, str]:
    stated_minor = own_minor + difference_minor
    if key[0] in as_of:
        return "timing", f"as it stood here at the end of {as_of[key[0]]}"
    if abs(difference_minor) <= ONE_FEN:
        return "rounding", "one fen"
    ground = ours.grounds.get(key, NOTHING)
    if sides[1] is None:
        return "missing", "not in the bank's statement"
    rate = grounds.other_rate(ground, difference_minor)
    if rate is not None:
        return "rate", rate
    share = grounds.other_share(ground, stated_minor)
    if share is not None:
        return "share", share
    if sides[0] is None:
        return "missing", "not in our record"
    return "unexplained", "no rate, share or day tried gives the bank's figure"


def _follow(stands: list[Outcome], moved: Sequence[Outcome]) -> list[Outcome]:
    """Figures of a loan whose differences are just the cash that differs follow from that cash.

    Money in makes what is owed smaller by as much: the sums are each other's opposite.
    """
    cash: defaultdict[str, list[Outcome]] = defaultdict(list)
    for line in moved:
        if line.cause is not None and line.difference_minor:
            cash[line.loan_no].append(line)
    sums: defaultdict[str, int] = defaultdict(int)
    for line in stands:
        sums[line.loan_no] += line.difference_minor
    told = {loan: _told(lines) for loan, lines in cash.items()}
    followed = []
    for line in stands:
        causes, paid, because = told.get(line.loan_no, (frozenset(), 0, ""))
        if line.cause and paid and sums[line.loan_no] == -paid and len(causes) == 1:
            (cause,) = causes
            followed.append(replace(line, cause=cause, because=because))
        else:
            followed.append(line)
    return followed


def _told(cash: Sequence[Outcome]) -> tuple[frozenset[Cause], int, str]:
    """The causes of a loan's cash, its sum, and the first few reasons in words."""
    reasons = [line.because for line in cash[:MOST_NAMED]]
    if len(cash) > MOST_NAMED:
        reasons.append(f"and {len(cash) - MOST_NAMED} more")
    return (
        frozenset(line.cause for line in cash if line.cause is not None),
        sum(line.difference_minor for line in cash),
        "follows from cash of the loan: " + "; ".join(reasons),
    )


def _within_one_fen(stands: Sequence[Outcome]) -> list[Outcome]:
    """Single fen that run up to more than one over an account's loans are no rounding."""
    sums: defaultdict[str, int] = defaultdict(int)
    for line in stands:
        if line.cause == "rounding":
            sums[line.account] += line.difference_minor
    return [
        replace(
            line,
            cause="unexplained",
            because=f"one fen, but {sums[line.account]} fen over all loans of the account",
        )
        if line.cause == "rounding" and abs(sums[line.account]) > ONE_FEN
        else line
        for line in stands
    ]


# ---- how late, which class


def _statuses(
    ours: OurSide, theirs: Sequence[Status], stands: Sequence[Outcome]
) -> Iterator[Outcome]:
    pairs = matching.by_key(ours.said.statuses, theirs, of_left=_loan, of_right=_loan)
    for our, their in pairs:
        one = our or their
        assert one is not None, "a key has a line on one side"
        yield _outcome(
            "status",
            (one.loan_no, ""),
            None if our is None else _lateness(our),
            None if their is None else _lateness(their),
            0,
            _why_status(ours, our, their, stands),
        )


def _loan(status: Status) -> str:
    return status.loan_no


def _lateness(status: Status) -> Side:
    return Side(where=status.where, days_overdue=status.days_overdue, risk_class=status.risk_class)


def _why_status(
    ours: OurSide, our: Status | None, their: Status | None, stands: Sequence[Outcome]
) -> tuple[Cause, str] | None:
    if our is None or their is None:
        return "missing", f"not in {'our record' if our is None else 'the bank’s statement'}"
    stated = (their.days_overdue, their.risk_class)
    if stated == (our.days_overdue, our.risk_class):
        return None
    for around in ours.around:
        if around.statuses.get(our.loan_no) == stated:
            return "timing", f"as it stood here at the end of {around.day}"
    causes = {line.cause for line in stands if line.loan_no == our.loan_no and line.cause}
    if len(causes) == 1:
        (cause,) = causes
        return cause, "follows from the figures of the loan"
    return "unexplained", "another count of days or another class"


# ---- cash


def _movements(ours: OurSide, theirs: Sequence[Movement]) -> Iterator[Outcome]:
    paired = matching.movements(ours.said.movements, theirs)
    for our, their in paired.pairs:
        counted = our.amount_minor if our.standing == "booked" else 0
        yield _outcome(
            "movement",
            (their.loan_no, their.account),
            _cash(our),
            _cash(their),
            their.amount_minor - counted,
            _why_pair(ours, our, their),
        )
    answered = _by_cash(their for _, their in paired.pairs)
    for their in paired.right:
        verdict = _doubled(their, answered) or ("missing", "not known here")
        difference_minor = their.amount_minor
        key = (their.loan_no, their.account)
        yield _outcome("movement", key, None, _cash(their), difference_minor, verdict)
    known = _by_cash(our for our, _ in paired.pairs if our.standing == "booked")
    for our in paired.left:
        if our.standing == "booked":
            verdict = _doubled(our, known) or _not_there(ours, our)
            key = (our.loan_no, our.account)
            yield _outcome("movement", key, _cash(our), None, -our.amount_minor, verdict)


def _cash(movement: Movement) -> Side:
    return Side(
        where=movement.where,
        amount_minor=movement.amount_minor,
        value_date=movement.value_date,
        booking_date=movement.booking_date,
        entry=movement.entry,
        references=movement.references or None,
        standing=movement.standing,
    )


def _why_pair(ours: OurSide, our: Movement, their: Movement) -> tuple[Cause, str] | None:
    match our.standing:
        case "instructed":
            return "timing", f"{our.entry} is instructed here and not confirmed"
        case "late":
            return "timing", f"{our.entry} was confirmed here on {our.booking_date}"
        case "early":
            return "timing", f"{our.entry} was booked here on {our.booking_date}, before the period"
    difference_minor = their.amount_minor - our.amount_minor
    if abs(difference_minor) > ONE_FEN:
        share = grounds.other_share(ours.grounds.get(our.entry, NOTHING), abs(their.amount_minor))
        if share is not None:
            return "share", share
        return "unexplained", "another amount under the same reference"
    if difference_minor:
        return "rounding", "one fen"
    if our.value_date != their.value_date:
        return "timing", f"value date {our.value_date} here, {their.value_date} there"
    return None


_Alike = tuple[str, int, date | str]
_Answered = Mapping[_Alike, tuple[int, str]]
"""By loan and amount, with a day or a reference: the first line, of those of one side that the
other side answers, and its entry."""


def _alike(movement: Movement) -> Iterator[_Alike]:
    known: list[date | str] = [movement.value_date, *movement.references]
    for same in known:
        yield movement.loan_no, movement.amount_minor, same


def _by_cash(movements: Iterable[Movement]) -> _Answered:
    found: dict[_Alike, tuple[int, str]] = {}
    for nth, movement in enumerate(movements):
        for key in _alike(movement):
            found.setdefault(key, (nth, movement.entry))
    return found


def _doubled(movement: Movement, answered: _Answered) -> tuple[Cause, str] | None:
    """Whether the same side has the same cash among what the other side answers."""
    found = [answered[key] for key in _alike(movement) if key in answered]
    if found:
        return "doubled", f"the same cash as entry {min(found)[1]}"
    return None


def _not_there(ours: OurSide, our: Movement) -> tuple[Cause, str]:
    if our.booking_date == ours.on:
        return "timing", f"booked here on {ours.on} itself, near the cut-off"
    return "missing", "not in the bank's statement"
