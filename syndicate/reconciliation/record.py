"""Our own side of a facility for one bank: its loans and its cash on a day, as known at a log size.

    as of the day     the facility after everything booked by its close; interest of nights up to
                      the day counts, also where a weekend's nights were booked on the Monday after
    as known at       nothing recorded at that position of the log or later is looked at
    beside it         payments booked after the day, before the period or not confirmed yet, and the
                      figures of the days around it: they explain differences and are no lines

The same log, period, size and mapping of accounts give the same answer for ever.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import takewhile
from typing import Final

import msgspec

from ledger.errors import WrongInput
from ledger.money import format_amount
from syndicate.facility.facts import (
    Classified,
    InstalmentDue,
    InterestAccrued,
    MarkedOverdue,
    PaymentConfirmed,
    RateFixed,
)
from syndicate.facility.log import FacilityLog, Noted
from syndicate.facility.positions import Position, positions
from syndicate.facility.state import FacilityState, evolve
from syndicate.reconciliation.grounds import Ground, Nights, Parts
from syndicate.reconciliation.mapping import AccountMapping, Item
from syndicate.reconciliation.statement import (
    COLUMNS,
    BankStatement,
    Expected,
    Figure,
    Movement,
    Standing,
    Status,
)

AROUND: Final = timedelta(days=10)
"""How far beside the period a payment may explain a difference."""

_BEFORE, _AFTER = 3, 5
"""How many days with records before and after the day are looked at for differences of timing."""

MAX_PERIOD: Final = timedelta(days=400)
_OF_THE_CLOCK = (InterestAccrued, InstalmentDue, MarkedOverdue, Classified, RateFixed)
_CLAIMS: Final[tuple[Item, ...]] = ("principal", "overdue", "interest", "penalty", "compound")
Key = tuple[str, str]
"""(loan_no, account)."""


class Around(msgspec.Struct, frozen=True):
    """The bank's figures and statuses at the end of another day."""

    day: date
    figures: Mapping[Key, int]
    statuses: Mapping[str, tuple[int, str]]


class OurSide(msgspec.Struct, frozen=True, kw_only=True):
    """What we say, and what it came from.

    size     of the log with everything that counts by the day; at most known_size
    said     our lines; among the movements also those beside the period, for matching only
    grounds  of figures, by (loan_no, account), and of payments out, by entry
    """

    book: str
    bank: str
    since: date
    on: date
    known_size: int
    size: int
    currency: str
    mapping: AccountMapping
    expected: Expected
    said: BankStatement
    grounds: Mapping[Key | str, Ground]
    around: tuple[Around, ...]


def check_period(*, since: date, on: date, open_day: date) -> None:
    """Nothing: the period can be stated. Raises WrongInput."""
    if on > open_day:
        raise WrongInput("on", f"a day up to the open business day {open_day}")
    if not on - MAX_PERIOD <= since <= on:
        raise WrongInput("since", f"a day from {on - MAX_PERIOD} to {on}, as on is {on}")


def facility_side(
    log: FacilityLog,
    *,
    bank: str,
    since: date,
    on: date,
    known_size: int,
    mapping: AccountMapping,
) -> OurSide:
    """The bank's side of the facility. The bank is one of its seats, the period was checked."""
    known = list(
        takewhile(
            lambda noted: noted.position < known_size,
            sorted(log.noted.values(), key=lambda noted: noted.position),
        )
    )
    days = _days(log, known)
    upto = [day for day in days if day <= on]
    at, size = days[upto[-1]] if upto else (None, 0)
    latest = days[max(days)][0] if days else None
    codes = mapping.codes
    near = (*upto[-_BEFORE - 1 : -1], *[day for day in days if day > on][:_AFTER])
    terms = log.state.terms
    own_loans = {} if latest is None else _own_loans(latest, bank)
    return OurSide(
        book=terms.facility,
        bank=bank,
        since=since,
        on=on,
        known_size=known_size,
        size=size,
        currency=terms.currency,
        mapping=mapping,
        expected=Expected(
            since=since,
            on=on,
            currency=terms.currency,
            loans=frozenset(own_loans.values()),
            accounts=frozenset(codes[item] for item in _CLAIMS),
            cash=codes["cash"],
        ),
        said=BankStatement(
            figures=tuple(_figures(_sums(at, bank, on, codes))),
            statuses=tuple(_statuses(at, bank, on)),
            movements=()
            if latest is None
            else tuple(_movements(log, latest, known, bank=bank, since=since, on=on, codes=codes)),
        ),
        grounds={**_grounds(at, bank, on, codes), **dict(_parts_of_payments(latest, bank))},
        around=tuple(
            Around(
                day,
                _sums(days[day][0], bank, day, codes),
                {
                    status.loan_no: (status.days_overdue, status.risk_class)
                    for status in _statuses(days[day][0], bank, day)
                },
            )
            for day in near
        ),
    )


def _days(log: FacilityLog, known: Sequence[Noted]) -> dict[date, tuple[FacilityState, int]]:
    """Day -> the facility at its end and the log size by then; days with records only, in order."""
    days: dict[date, tuple[FacilityState, int]] = {}
    state: FacilityState | None = None
    day = date.min
    for noted in known:
        if _is_draft(log, noted):
            continue
        counts = noted.value_date if isinstance(noted.fact, _OF_THE_CLOCK) else noted.booking_date
        day = max(day, counts)
        state = evolve(state, noted.fact)  # type: ignore[arg-type]
        days[day] = (state, noted.position + 1)
    return days


def _is_draft(log: FacilityLog, noted: Noted) -> bool:
    return log.records[noted.leaf_id].startswith("draft:")


def _own_loans(state: FacilityState, bank: str) -> dict[str, str]:
    """Draw -> number of the bank's loan of it."""
    return {draw: loan.loan_no for (draw, held), loan in state.loans.items() if held == bank}


def _positions(state: FacilityState | None, bank: str, on: date) -> list[Position]:
    if state is None:
        return []
    return [line for line in positions(state, on) if line.bank == bank and line.drawn_on]


def _amounts(line: Position) -> dict[Item, int]:
    return {
        "principal": line.principal_minor,
        "overdue": line.overdue_minor,
        "interest": line.interest_minor,
        "penalty": line.penalty_minor,
        "compound": line.compound_minor,
    }


def _sums(
    state: FacilityState | None, bank: str, on: date, codes: Mapping[Item, str]
) -> dict[Key, int]:
    """What stands on each account of each loan; accounts of 0 too."""
    sums: dict[Key, int] = {}
    for line in _positions(state, bank, on):
        for item, amount_minor in _amounts(line).items():
            key = (line.loan_no, codes[item])
            sums[key] = sums.get(key, 0) + amount_minor
    return sums


def _figures(sums: Mapping[Key, int]) -> Iterator[Figure]:
    for (loan_no, account), amount_minor in sums.items():
        if amount_minor:
            yield Figure(
                loan_no=loan_no, account=account, amount_minor=amount_minor, where="our record"
            )


def _statuses(state: FacilityState | None, bank: str, on: date) -> Iterator[Status]:
    for line in _positions(state, bank, on):
        yield Status(
            loan_no=line.loan_no,
            days_overdue=line.days_overdue,
            risk_class=line.risk_class,
            where="our record",
        )


# ---- cash


def _movements(
    log: FacilityLog,
    state: FacilityState,
    known: Sequence[Noted],
    *,
    bank: str,
    since: date,
    on: date,
    codes: Mapping[Item, str],
) -> Iterator[Movement]:
    """The bank's payments, in the order instructed, but for those far beside the period."""
    named = {log.records[noted.leaf_id]: noted for noted in known}
    loans = _own_loans(state, bank)
    for name, payment in state.payments.items():
        sent = payment.instructed
        if bank not in (sent.payer, sent.payee) or payment.status == "returned":
            continue
        noted = named.get(f"confirmed:{name}") or named[f"instructed:{name}"]
        paid = noted.fact if isinstance(noted.fact, PaymentConfirmed) else None
        amount_minor = sent.amount_minor if paid is None else paid.amount_minor
        standing = _standing(noted, paid, since=since, on=on)
        if not since - AROUND <= noted.booking_date <= on + AROUND:
            continue
        yield Movement(
            loan_no=loans.get(sent.about, "") if sent.purpose in ("drawdown", "repayment") else "",
            account=codes["cash"],
            amount_minor=amount_minor if bank == sent.payee else -amount_minor,
            value_date=noted.booking_date if paid is None else paid.value_date,
            booking_date=noted.booking_date,
            entry=name,
            references=(name,)
            if paid is None or paid.external_reference == name
            else (paid.external_reference, name),
            standing=standing,
            where=f"position {noted.position}",
        )


def _standing(noted: Noted, paid: PaymentConfirmed | None, *, since: date, on: date) -> Standing:
    if paid is None:
        return "instructed"
    if noted.booking_date > on:
        return "late"
    return "early" if noted.booking_date < since else "booked"


# ---- what figures came from


def _grounds(
    state: FacilityState | None, bank: str, on: date, codes: Mapping[Item, str]
) -> dict[Key | str, Ground]:
    grounds: dict[Key | str, Ground] = {}
    if state is None:
        return grounds
    for line in _positions(state, bank, on):
        for account in dict.fromkeys(codes[item] for item in _CLAIMS):
            items = [item for item in _CLAIMS if codes[item] == account]
            grounds[line.loan_no, account] = Ground(
                nights=tuple(_nights(state, line, items)),
                parts=Parts(
                    own=bank,
                    amounts={
                        other.bank: sum(_amounts(other)[item] for item in items)
                        for other in positions(state, on)
                        if other.draw == line.draw
                    },
                    commitments=state.terms.commitments,
                ),
            )
    return grounds


def _nights(state: FacilityState, line: Position, items: Sequence[Item]) -> Iterator[Nights]:
    """Those of the open interest period first, then all; of penalties all."""
    loan = state.loans[line.draw, line.bank]
    for kind in ("interest", "penalty", "compound"):
        own = tuple(segment for segment in loan.segments if segment.kind == kind)
        if kind not in items or not own:
            continue
        day_count = state.terms.rate.day_count
        if kind == "interest":
            period = state.draws[line.draw].closed
            for number in dict.fromkeys((period, period - 1)):
                running = tuple(segment for segment in own if segment.period == number)
                yield Nights(bearing="interest", day_count=day_count, segments=running)
        yield Nights(bearing=kind, day_count=day_count, segments=own)


def _parts_of_payments(state: FacilityState | None, bank: str) -> Iterator[tuple[str, Ground]]:
    """The parts of the draw behind each payment out of one."""
    if state is None:
        return
    for name, payment in state.payments.items():
        sent = payment.instructed
        if sent.purpose == "drawdown" and sent.payer == bank:
            parts = state.draws[sent.about].requested.parts
            yield (
                name,
                Ground(
                    nights=(),
                    parts=Parts(own=bank, amounts=parts, commitments=state.terms.commitments),
                ),
            )


# ---- our side as lines of a statement


def rows(ours: OurSide) -> list[dict[str, str]]:
    """Our lines as a bank would write them; what stands beside the period is left out."""
    out = []
    for figure in ours.said.figures:
        amount = format_amount(figure.amount_minor, currency=ours.currency)
        cells = {"loan_no": figure.loan_no, "account": figure.account, "amount": amount}
        out.append({"line": "balance", "currency": ours.currency, **cells})
    for status in ours.said.statuses:
        cells = {"days_overdue": str(status.days_overdue), "risk_class": status.risk_class}
        out.append({"line": "status", "loan_no": status.loan_no, **cells})
    for movement in ours.said.movements:
        if movement.standing == "booked":
            out.append(_cells(movement, ours.currency))
    return [dict.fromkeys(COLUMNS, "") | cells for cells in out]


def _cells(movement: Movement, currency: str) -> dict[str, str]:
    return {
        "line": "movement",
        "loan_no": movement.loan_no,
        "account": movement.account,
        "currency": currency,
        "amount": format_amount(movement.amount_minor, currency=currency),
        "value_date": movement.value_date.isoformat(),
        "booking_date": movement.booking_date.isoformat(),
        "entry": movement.entry,
        "reference": movement.references[0] if movement.references else "",
    }
