"""What stands on one loan: one draw at one bank, one 借据. Amounts only; it decides nothing.

    planned   principal by unadjusted due date, not yet due        \\ principal
    items     instalments fallen due and not paid (some overdue)   / overdue where marked
    running   interest of the open period, by difference of the exact cumulative amount
    closed    interest of a closed period whose due date has not come (it was no business day)
    penalty, compound   due as they accrue; one cumulative amount each over the loan's life

Every function returns the loan after one thing happened to it. Sums in the ledger's accounts
`due.*` of this draw and bank equal the properties here after every fact.
"""

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Literal

import msgspec
from msgspec.structs import replace

from syndicate.facility.facts import AccrualLine, Bases, InterestCorrected, Lost
from syndicate.facility.interest import ONE_DAY, night
from syndicate.facility.waterfall import Met, Owed

Bearing = Literal["interest", "penalty", "compound"]
BEARINGS: tuple[Bearing, ...] = ("interest", "penalty", "compound")


class Planned(msgspec.Struct, frozen=True):
    """Principal that will fall due on the unadjusted date, moved to a business day."""

    unadjusted: date
    principal_minor: int


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What is unpaid of one instalment that has fallen due."""

    unadjusted: date
    due_on: date
    principal_minor: int
    interest_minor: int
    overdue: bool

    @property
    def unpaid(self) -> bool:
        """Whether anything of it is still owed."""
        return bool(self.principal_minor or self.interest_minor)


class Running(msgspec.Struct, frozen=True):
    """An amount that grows by exact steps and is posted in whole minor units.

    exact         cumulative, a Fraction of minor units
    posted_minor  always round half up of `exact`
    """

    exact: Fraction
    posted_minor: int


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Nights of one base at one rate, from `since` (first day in) to `until` (last day out).

    period  how many interest periods of the draw had closed before; 0 for penalty and compound
    """

    kind: Bearing
    period: int
    since: date
    until: date
    base_minor: int
    rate: str


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """One bank's loan of one draw, from its release to its last fen.

    drawn_on            value date of the cash, None before it
    closed              interest by unadjusted due date, period over, not yet due
    penalty_minor, compound_minor   unpaid; `penalty` and `compound` hold what accrued in all
    written_down_minor  principal lost, moved to the bearers' recourse
    """

    draw: str
    bank: str
    loan_no: str
    amount_minor: int
    drawn_on: date | None
    planned: tuple[Planned, ...]
    items: tuple[Item, ...]
    running: Running
    closed: tuple[tuple[date, int], ...]
    penalty: Running
    penalty_minor: int
    compound: Running
    compound_minor: int
    written_down_minor: int
    segments: tuple[Segment, ...]

    @property
    def principal_minor(self) -> int:
        """Principal that is not overdue (`due.principal`)."""
        current = sum(item.principal_minor for item in self.items if not item.overdue)
        return current + sum(planned.principal_minor for planned in self.planned)

    @property
    def overdue_minor(self) -> int:
        """Overdue principal (逾期本金, `due.overdue`)."""
        return sum(item.principal_minor for item in self.items if item.overdue)

    @property
    def outstanding_minor(self) -> int:
        """All principal that stands."""
        return self.principal_minor + self.overdue_minor

    @property
    def interest_minor(self) -> int:
        """Interest accrued and unpaid, due or not (`due.interest`)."""
        due = sum(item.interest_minor for item in self.items)
        return due + sum(interest for _, interest in self.closed) + self.running.posted_minor

    @property
    def overdue_interest_minor(self) -> int:
        """Interest of overdue instalments: the base of compound interest."""
        return sum(item.interest_minor for item in self.items if item.overdue)

    @property
    def stands(self) -> bool:
        """Whether the cash was paid out and anything is still owed on the loan."""
        owed = self.outstanding_minor or self.interest_minor
        return self.drawn_on is not None and bool(
            owed or self.penalty_minor or self.compound_minor or self.running.exact
        )

    @property
    def oldest_unpaid(self) -> date | None:
        """The adjusted due date of the oldest instalment that is not wholly paid."""
        return min((item.due_on for item in self.items), default=None)

    def days_overdue(self, on: date) -> int:
        """Days since the adjusted due date of the oldest unpaid instalment; 0 on that date."""
        oldest = self.oldest_unpaid
        return 0 if oldest is None else max(0, (on - oldest).days)

    def owed(self) -> tuple[Owed, ...]:
        """What a payment may meet now: everything fallen due and not paid."""
        debts = [
            _owed("compound", None, False, self.compound_minor),
            _owed("penalty", None, False, self.penalty_minor),
        ]
        for item in self.items:
            debts.append(_owed("interest", item.unadjusted, item.overdue, item.interest_minor))
            debts.append(_owed("principal", item.unadjusted, item.overdue, item.principal_minor))
        return tuple(debt for debt in debts if debt.amount_minor)


def _owed(
    charge: Literal["compound", "penalty", "interest", "principal"],
    due: date | None,
    overdue: bool,
    amount_minor: int,
) -> Owed:
    return Owed(charge=charge, due=due, overdue=overdue, amount_minor=amount_minor)


def released(*, draw: str, bank: str, loan_no: str, amount_minor: int) -> Loan:
    """A loan approved and not yet paid out: nothing is owed on it."""
    nothing = Running(Fraction(0), 0)
    return Loan(
        draw=draw,
        bank=bank,
        loan_no=loan_no,
        amount_minor=amount_minor,
        drawn_on=None,
        planned=(),
        items=(),
        running=nothing,
        closed=(),
        penalty=nothing,
        penalty_minor=0,
        compound=nothing,
        compound_minor=0,
        written_down_minor=0,
        segments=(),
    )


def paid_out(loan: Loan, *, on: date, planned: Iterable[Planned]) -> Loan:
    """The cash arrived: the whole amount is owed by the plan."""
    return replace(loan, drawn_on=on, planned=tuple(planned))


def accrued(
    loan: Loan,
    line: AccrualLine,
    *,
    day: date,
    period: int,
    day_count: Literal["ACT/360", "ACT/365F"],
) -> Loan:
    """One night more: the exact amounts grow, what the line posted stands as owed."""

    def grown(before: Running, base_minor: int, rate: str, posted_minor: int) -> Running:
        step = night(base_minor, rate=rate, day=day, day_count=day_count)
        return Running(before.exact + step, before.posted_minor + posted_minor)

    bases: dict[Bearing, tuple[int, str]] = {
        "interest": (line.principal_minor, line.rate),
        "penalty": (line.overdue_minor, line.penalty_rate),
        "compound": (line.unpaid_interest_minor, line.penalty_rate),
    }
    segments = loan.segments
    for kind, (base_minor, rate) in bases.items():
        if base_minor:
            segments = _extended(
                segments,
                kind=kind,
                period=period if kind == "interest" else 0,
                day=day,
                base_minor=base_minor,
                rate=rate,
            )
    return replace(
        loan,
        running=grown(loan.running, *bases["interest"], line.interest_minor),
        penalty=grown(loan.penalty, *bases["penalty"], line.penalty_minor),
        penalty_minor=loan.penalty_minor + line.penalty_minor,
        compound=grown(loan.compound, *bases["compound"], line.compound_minor),
        compound_minor=loan.compound_minor + line.compound_minor,
        segments=segments,
    )


def _extended(
    segments: tuple[Segment, ...],
    *,
    kind: Bearing,
    period: int,
    day: date,
    base_minor: int,
    rate: str,
) -> tuple[Segment, ...]:
    """The last segment of this kind a night longer, or a new one where anything changed."""
    since = day - ONE_DAY
    for index in range(len(segments) - 1, -1, -1):
        last = segments[index]
        if last.kind != kind:
            continue
        alike = (last.period, last.until, last.base_minor, last.rate)
        if alike == (period, since, base_minor, rate):
            return (*segments[:index], replace(last, until=day), *segments[index + 1 :])
        break
    fresh = Segment(
        kind=kind, period=period, since=since, until=day, base_minor=base_minor, rate=rate
    )
    return (*segments, fresh)


def corrected(
    loan: Loan,
    fact: InterestCorrected,
    *,
    period: int,
    day_count: Literal["ACT/360", "ACT/365F"],
) -> Loan:
    """One night again: what it bore until now gives way to what it rightly bears.

    period  the interest period of a night that bore no interest until now
    """

    def grown(kind: Bearing, before: Running, posted_minor: int) -> Running:
        rate = _rate(fact, kind)
        step = night(base_of(fact.bases, kind), rate=rate, day=fact.day, day_count=day_count)
        gone = night(base_of(fact.before, kind), rate=rate, day=fact.day, day_count=day_count)
        return Running(before.exact + step - gone, before.posted_minor + posted_minor)

    segments = loan.segments
    for kind in BEARINGS:
        base_minor = base_of(fact.bases, kind)
        if base_minor != base_of(fact.before, kind):
            segments = _renewed(
                segments,
                Segment(
                    kind=kind,
                    period=period if kind == "interest" else 0,
                    since=fact.day - ONE_DAY,
                    until=fact.day,
                    base_minor=base_minor,
                    rate=_rate(fact, kind),
                ),
            )
    return replace(
        loan,
        running=grown("interest", loan.running, fact.interest_minor),
        penalty=grown("penalty", loan.penalty, fact.penalty_minor),
        penalty_minor=loan.penalty_minor + fact.penalty_minor,
        compound=grown("compound", loan.compound, fact.compound_minor),
        compound_minor=loan.compound_minor + fact.compound_minor,
        segments=segments,
    )


def base_of(bases: Bases, kind: Bearing) -> int:
    """What bears that kind of interest."""
    match kind:
        case "interest":
            return bases.principal_minor
        case "penalty":
            return bases.overdue_minor
        case "compound":
            return bases.unpaid_interest_minor


def posted_of(fact: InterestCorrected, kind: Bearing) -> int:
    """What was posted of that kind when the night was corrected."""
    match kind:
        case "interest":
            return fact.interest_minor
        case "penalty":
            return fact.penalty_minor
        case "compound":
            return fact.compound_minor


def _rate(fact: InterestCorrected, kind: Bearing) -> str:
    return fact.rate if kind == "interest" else fact.penalty_rate


def _renewed(segments: tuple[Segment, ...], one: Segment) -> tuple[Segment, ...]:
    """The segments with this one night as `one` says (base 0: it bears nothing), alike ones joined.

    Those of its kind stand behind the others, by date.
    """
    kept: list[Segment] = []
    for segment in segments:
        if segment.kind != one.kind or not segment.since <= one.since < segment.until:
            kept.append(segment)
            continue
        if segment.since < one.since:
            kept.append(replace(segment, until=one.since))
        if one.until < segment.until:
            kept.append(replace(segment, since=one.until))
    if one.base_minor:
        kept.append(one)
    joined: list[Segment] = []
    for segment in sorted((s for s in kept if s.kind == one.kind), key=lambda s: s.since):
        last = joined[-1] if joined else segment
        if replace(last, since=last.until, until=segment.until) == segment:
            joined[-1] = replace(last, until=segment.until)
        else:
            joined.append(segment)
    return (*(segment for segment in kept if segment.kind != one.kind), *joined)


def period_closed(loan: Loan, *, unadjusted: date) -> Loan:
    """The interest of the open period is final and waits for its due date."""
    closed = (*loan.closed, (unadjusted, loan.running.posted_minor))
    return replace(loan, closed=closed, running=Running(Fraction(0), 0))


def fallen_due(
    loan: Loan, *, unadjusted: date, due_on: date, principal_minor: int, interest_minor: int
) -> Loan:
    """The instalment may be asked for: it leaves the plan and stands among the items."""
    item = Item(
        unadjusted=unadjusted,
        due_on=due_on,
        principal_minor=principal_minor,
        interest_minor=interest_minor,
        overdue=False,
    )
    return replace(
        loan,
        planned=tuple(line for line in loan.planned if line.unadjusted != unadjusted),
        closed=tuple(line for line in loan.closed if line[0] != unadjusted),
        items=(*loan.items, item) if item.unpaid else loan.items,
    )


def marked_overdue(loan: Loan, *, unadjusted: date) -> Loan:
    """What is unpaid of that instalment is overdue."""
    items = tuple(
        replace(item, overdue=True) if item.unadjusted == unadjusted else item
        for item in loan.items
    )
    return replace(loan, items=items)


def repaid(loan: Loan, met: Iterable[Met]) -> Loan:
    """The payment met these debts."""
    for part in met:
        match part.charge:
            case "compound":
                loan = replace(loan, compound_minor=loan.compound_minor - part.amount_minor)
            case "penalty":
                loan = replace(loan, penalty_minor=loan.penalty_minor - part.amount_minor)
            case "interest" | "principal":
                loan = _item_reduced(
                    loan,
                    part.due,
                    principal_minor=part.amount_minor if part.charge == "principal" else 0,
                    interest_minor=part.amount_minor if part.charge == "interest" else 0,
                )
            case "fee":
                raise AssertionError("no fee is ever owed on a loan yet")
    return loan


def written_down(loan: Loan, lost: Iterable[Lost]) -> Loan:
    """Lost principal leaves the instalments it is taken from; interest on it stays owed."""
    for part in lost:
        loan = replace(loan, written_down_minor=loan.written_down_minor + part.amount_minor)
        if any(line.unadjusted == part.unadjusted for line in loan.planned):
            planned = tuple(
                Planned(line.unadjusted, line.principal_minor - part.amount_minor)
                if line.unadjusted == part.unadjusted
                else line
                for line in loan.planned
            )
            loan = replace(loan, planned=planned)
        else:
            loan = _item_reduced(
                loan, part.unadjusted, principal_minor=part.amount_minor, interest_minor=0
            )
    return loan


def _item_reduced(
    loan: Loan, unadjusted: date | None, *, principal_minor: int, interest_minor: int
) -> Loan:
    reduced = (
        replace(
            item,
            principal_minor=item.principal_minor - principal_minor,
            interest_minor=item.interest_minor - interest_minor,
        )
        if item.unadjusted == unadjusted
        else item
        for item in loan.items
    )
    return replace(loan, items=tuple(item for item in reduced if item.unpaid))
