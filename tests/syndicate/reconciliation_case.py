"""Both sides of a reconciliation made by hand, a line at a time; amounts are fen."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from syndicate.facility.loans import Segment
from syndicate.reconciliation.grounds import Ground, Nights, Parts
from syndicate.reconciliation.mapping import PLAIN
from syndicate.reconciliation.record import Around, OurSide
from syndicate.reconciliation.statement import (
    COLUMNS,
    BankStatement,
    Expected,
    Figure,
    Movement,
    Status,
)

SINCE, ON = date(2024, 9, 1), date(2024, 9, 30)
LOAN, OTHER = "JJ-1", "JJ-2"
BASE_MINOR = 1_000_000_000
RATE = "0.0375"

EXPECTED = Expected(
    since=SINCE,
    on=ON,
    currency="CNY",
    loans=frozenset({LOAN, OTHER}),
    accounts=frozenset({"principal", "overdue", "interest", "penalty", "compound"}),
    cash="cash",
)


def figure(account: str, amount_minor: int, loan_no: str = LOAN) -> Figure:
    return Figure(loan_no=loan_no, account=account, amount_minor=amount_minor, where="row 2")


def status(
    days: int, risk_class: Literal["normal", "special_mention"] = "normal", loan_no: str = LOAN
) -> Status:
    return Status(loan_no=loan_no, days_overdue=days, risk_class=risk_class, where="row 3")


def cash(
    amount_minor: int,
    day: int = 10,
    *,
    entry: str = "e-1",
    references: tuple[str, ...] = (),
    **other: Any,
) -> Movement:
    said: dict[str, Any] = {
        "loan_no": LOAN,
        "account": "cash",
        "value_date": date(2024, 9, day),
        "booking_date": date(2024, 9, day),
        "standing": "booked",
        "where": "row 4",
        **other,
    }
    return Movement(amount_minor=amount_minor, entry=entry, references=references, **said)


def statement(*lines: Figure | Status | Movement) -> BankStatement:
    return BankStatement(
        figures=tuple(line for line in lines if isinstance(line, Figure)),
        statuses=tuple(line for line in lines if isinstance(line, Status)),
        movements=tuple(line for line in lines if isinstance(line, Movement)),
    )


def segment(since: date, until: date, rate: str = RATE) -> Segment:
    return Segment(
        kind="interest", period=1, since=since, until=until, base_minor=BASE_MINOR, rate=rate
    )


NIGHTS = Nights(
    bearing="interest",
    day_count="ACT/360",
    segments=(segment(date(2024, 6, 20), date(2024, 9, 20)),),
)

GROUNDS: Mapping[tuple[str, str] | str, Ground] = {
    (LOAN, "interest"): Ground(nights=(NIGHTS,), parts=None),
    (LOAN, "principal"): Ground(
        nights=(),
        parts=Parts(
            own="cib",
            amounts={"hzbank": 499_999_999, "cib": 333_333_334, "czbank": 166_666_667},
            commitments={"hzbank": 1500, "cib": 1000, "czbank": 500},
        ),
    ),
}


def side(
    *lines: Figure | Status | Movement, around: tuple[Around, ...] = (), on: date = ON
) -> OurSide:
    """Our side with these lines."""
    return OurSide(
        book="fac-1",
        bank="cib",
        since=SINCE,
        on=on,
        known_size=10,
        size=9,
        currency="CNY",
        mapping=PLAIN,
        expected=EXPECTED,
        said=statement(*lines),
        grounds=GROUNDS,
        around=around,
    )


def row(line: str, **cells: str) -> dict[str, str]:
    """A line of a file, its other cells empty."""
    assert set(cells) <= set(COLUMNS)
    return dict.fromkeys(COLUMNS, "") | {"line": line} | cells


BALANCE = row("balance", loan_no=LOAN, account="principal", currency="CNY", amount="1234.56")
LATE = row("status", loan_no=LOAN, days_overdue="19", risk_class="special_mention")
PAID = row(
    "movement",
    loan_no=LOAN,
    account="cash",
    currency="CNY",
    amount="-0.05",
    value_date="2024-09-10",
    booking_date="2024-09-11",
    entry="20240911-7",
    reference="REF-1",
)
