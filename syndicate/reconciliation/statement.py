"""What a bank's own statement says, line by line, and whether each cell can be read. No files here.

    balance    what stands on one account (科目) of one loan (借据) at the end of the day
    status     days past due and five-tier class of one loan
    movement   one receipt (+) or payment (-) of cash that the bank booked in the period

A statement is a table of `COLUMNS`, whatever file it came in: `Row` names the place of each line,
so that whatever is wrong is told by row and column. One wrong cell refuses the whole statement.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, Literal, get_args

import msgspec

from ledger.errors import WrongInput
from ledger.money import SCALES, parse_amount
from syndicate.facility.facts import RiskClass
from syndicate.reference.dates import parse_date

COLUMNS: Final = (
    "line",
    "loan_no",
    "account",
    "currency",
    "amount",
    "value_date",
    "booking_date",
    "entry",
    "reference",
    "days_overdue",
    "risk_class",
)
USED: Final[Mapping[str, tuple[str, ...]]] = {
    "balance": ("loan_no", "account", "currency", "amount"),
    "status": ("loan_no", "days_overdue", "risk_class"),
    "movement": (
        "loan_no",
        "account",
        "currency",
        "amount",
        "value_date",
        "booking_date",
        "entry",
        "reference",
    ),
}
"""The cells of each kind of line; the others stay empty."""

MAX_LINES: Final = 20_000
MAX_CELL: Final = 200
_DAYS: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


Standing = Literal["booked", "late", "early", "instructed"]


class Row(msgspec.Struct, frozen=True):
    """One line as it stood in the file. where: how a person finds it, as "row 7" """

    where: str
    cells: Mapping[str, str]

    def place(self, column: str) -> str:
        """How the cell is named in a refusal."""
        return f"{self.where}, column {column}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """An amount that stands: debit of the bank positive, minor units."""

    loan_no: str
    account: str
    amount_minor: int
    where: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How late a loan is and in which of the five classes (五级分类) it stands."""

    loan_no: str
    days_overdue: int
    risk_class: RiskClass
    where: str


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Cash received (+) or paid (-), minor units.

    entry       the booking's own number in the books it stands in (流水号)
    references  numbers that both sides may know the payment by; () for none
    standing    `booked` in the period; or, beside it and on our side only: `late` (booked after the
                day), `early` (booked before the period), `instructed` (not confirmed yet)
    """

    loan_no: str
    account: str
    amount_minor: int
    value_date: date
    booking_date: date
    entry: str
    references: tuple[str, ...]
    standing: Standing
    where: str


class BankStatement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one side says about one day and the period that ends with it."""

    figures: tuple[Figure, ...]
    statuses: tuple[Status, ...]
    movements: tuple[Movement, ...]


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement may be about.

    loans     the bank's own loans; None where the book has none and any name will do
    accounts  the codes the bank's mapping uses; None where the book's own codes are used
    cash      the account of movements; None where a movement may name any account
    """

    since: date
    on: date
    currency: str
    loans: frozenset[str] | None
    accounts: frozenset[str] | None
    cash: str | None


def read_rows(rows: Iterable[Row], expected: Expected) -> BankStatement:
    """The statement that the rows say. Raises WrongInput by row and column; nothing is guessed."""
    figures: list[Figure] = []
    statuses: list[Status] = []
    movements: list[Movement] = []
    first: dict[tuple[str, ...], str] = {}
    for number, row in enumerate(rows):
        if number == MAX_LINES:
            raise WrongInput(row.where, f"at most {MAX_LINES} lines")
        match _line_of(row):
            case "balance":
                figure = _figure(row, expected)
                _once(row, first, "balance", figure.loan_no, figure.account)
                figures.append(figure)
            case "status":
                status = _status(row, expected)
                _once(row, first, "status", status.loan_no)
                statuses.append(status)
            case _:
                movement = _movement(row, expected)
                _once(row, first, "movement", movement.entry)
                movements.append(movement)
    if not first:
        raise WrongInput("the statement", "at least one line")
    return BankStatement(
        figures=tuple(figures), statuses=tuple(statuses), movements=tuple(movements)
    )


def _line_of(row: Row) -> str:
    line = row.cells["line"]
    if line not in USED:
        raise WrongInput(row.place("line"), f"one of {', '.join(USED)}")
    for column in COLUMNS[1:]:
        cell = row.cells[column]
        if cell and column not in USED[line]:
            raise WrongInput(row.place(column), f"an empty cell: a {line} line has no {column}")
        if len(cell) > MAX_CELL or not cell.isprintable() or cell != cell.strip():
            raise WrongInput(
                row.place(column),
                f"at most {MAX_CELL} printable characters without blanks at the ends",
            )
    return line


def _once(row: Row, first: dict[tuple[str, ...], str], *key: str) -> None:
    if key in first:
        raise WrongInput(row.where, f"no second line of {' '.join(key)}: it stands in {first[key]}")
    first[key] = row.where


def _figure(row: Row, expected: Expected) -> Figure:
    return Figure(
        loan_no=_loan(row, expected),
        account=_account(row, expected),
        amount_minor=_amount(row, expected),
        where=row.where,
    )


def _status(row: Row, expected: Expected) -> Status:
    days, risk_class = row.cells["days_overdue"], row.cells["risk_class"]
    if _DAYS.fullmatch(days) is None:
        raise WrongInput(row.place("days_overdue"), 'a whole number of days, as "19"')
    if risk_class not in get_args(RiskClass):
        raise WrongInput(row.place("risk_class"), f"one of {', '.join(get_args(RiskClass))}")
    return Status(
        loan_no=_loan(row, expected),
        days_overdue=int(days),
        risk_class=risk_class,  # type: ignore[arg-type]
        where=row.where,
    )


def _movement(row: Row, expected: Expected) -> Movement:
    booked = _day(row, "booking_date")
    if not expected.since <= booked <= expected.on:
        raise WrongInput(
            row.place("booking_date"), f"a day of the period {expected.since} to {expected.on}"
        )
    if not row.cells["entry"]:
        raise WrongInput(row.place("entry"), "the booking's own number in the bank's books")
    amount_minor = _amount(row, expected)
    if not amount_minor:
        raise WrongInput(row.place("amount"), "an amount that moved, not 0")
    reference = row.cells["reference"]
    return Movement(
        loan_no=_loan(row, expected) if row.cells["loan_no"] else "",
        account=_cash(row, expected),
        amount_minor=amount_minor,
        value_date=_day(row, "value_date"),
        booking_date=booked,
        entry=row.cells["entry"],
        references=(reference,) if reference else (),
        standing="booked",
        where=row.where,
    )


def _loan(row: Row, expected: Expected) -> str:
    loan_no = row.cells["loan_no"]
    if expected.loans is not None and loan_no not in expected.loans:
        raise WrongInput(row.place("loan_no"), "the number of one of the bank's own loans here")
    return loan_no


def _account(row: Row, expected: Expected) -> str:
    account = row.cells["account"]
    if not account:
        raise WrongInput(row.place("account"), "an account's code")
    if expected.accounts is not None and account not in expected.accounts:
        raise WrongInput(
            row.place("account"),
            f"one of the mapping's codes {', '.join(sorted(expected.accounts))}",
        )
    return account


def _cash(row: Row, expected: Expected) -> str:
    account = row.cells["account"]
    if expected.cash is not None and account != expected.cash:
        raise WrongInput(row.place("account"), f"{expected.cash}, the account of cash")
    if not account:
        raise WrongInput(row.place("account"), "an account's code")
    return account


def _amount(row: Row, expected: Expected) -> int:
    """Minor units of a decimal string that may be negative, in the book's currency."""
    currency, text = row.cells["currency"], row.cells["amount"]
    if currency != expected.currency:
        known = "" if currency in SCALES else "a known currency: "
        raise WrongInput(row.place("currency"), f"{known}{expected.currency}")
    if "," in text or "，" in text:
        raise WrongInput(row.place("amount"), 'no thousands separators: "1000000.01"')
    digits = text[1:] if text.startswith("-") else text
    scale = SCALES[currency]
    if len(digits.partition(".")[2]) > scale:
        raise WrongInput(row.place("amount"), f"at most {scale} decimals")
    minor = parse_amount(digits, currency=currency, place=row.place("amount"))
    return -minor if text.startswith("-") else minor


def _day(row: Row, column: str) -> date:
    try:
        return parse_date(row.cells[column], place=row.place(column))
    except WrongInput as error:
        raise WrongInput(row.place(column), 'a day as "2024-03-01"') from error
