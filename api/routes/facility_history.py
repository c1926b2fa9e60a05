"""A facility's loans as of a date and as known at a position, as an answer and as a table."""

from datetime import date

from litestar import get
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from api import exports
from api.desk import AtDesk, Desk
from api.exports import Format, Pages, Row, Sheet
from api.identity import may
from api.routes.facility_desk import ROOT, TAGS, known, viewer_at
from ledger.money import format_amount
from syndicate.facility import history
from syndicate.facility.history import LoanPosition, LoanPositions

AMOUNTS = ("amount", "principal", "overdue", "interest", "penalty", "compound", "written_down")
COLUMNS: tuple[tuple[str, exports.Kind], ...] = (
    ("facility", "text"),
    ("draw", "text"),
    ("bank", "text"),
    ("loan_no", "text"),
    ("drawn_on", "day"),
    ("currency", "text"),
    *((name, "decimal") for name in AMOUNTS),
    ("days_overdue", "integer"),
    ("risk_class", "text"),
)


async def _asked(
    desk: Desk,
    facility: str,
    *,
    as_of: date | None,
    known_size: int | None,
    known_on: date | None,
) -> LoanPositions:
    name = known(facility)
    return await desk.ask(
        lambda conn: history.loan_positions(
            conn,
            facility=name,
            viewer=viewer_at(desk),
            as_of=as_of,
            known_size=known_size,
            known_on=known_on,
        )
    )


@get(f"{ROOT}/loan-positions", guards=[may("read-ledger")], tags=TAGS)
async def loan_positions(
    desk: AtDesk,
    facility: FromPath[str],
    as_of: FromQuery[date | None] = None,
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
) -> LoanPositions:
    """Loan by loan (借据) what stood as of a value date, as known at a log size or a day's close.

    Your own loans; all of them for the borrower and an auditor.
    """
    return await _asked(desk, facility, as_of=as_of, known_size=known_size, known_on=known_on)


@get(f"{ROOT}/loan-positions/export", guards=[may("read-ledger")], tags=TAGS)
async def export_loan_positions(
    desk: AtDesk,
    facility: FromPath[str],
    as_of: FromQuery[date | None] = None,
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    format: FromQuery[Format] = "csv",
    bom: FromQuery[bool] = False,
) -> Stream:
    """The same loan positions as a table to download."""
    exports.check_format(format)
    found = await _asked(desk, facility, as_of=as_of, known_size=known_size, known_on=known_on)
    under = found.checkpoint
    about = {
        "book": found.facility,
        "known_size": str(found.known_size),
        "checkpoint": "" if under is None else f"{under.size} {under.root}",
        "as_of": "" if as_of is None else as_of.isoformat(),
    }
    sheet = Sheet(name="loan-positions", columns=COLUMNS, about=about)
    return exports.answer(sheet, _rows(found), wanted=format, bom=bom)


async def _rows(found: LoanPositions) -> Pages:
    yield [_row(found, loan) for loan in found.loans]


def _row(found: LoanPositions, loan: LoanPosition) -> Row:
    currency = found.currency or ""
    amounts = (getattr(loan, f"{name}_minor") for name in AMOUNTS)
    return (
        found.facility,
        loan.draw,
        loan.bank,
        loan.loan_no,
        loan.drawn_on,
        currency,
        *(format_amount(minor, currency=currency) for minor in amounts),
        loan.days_overdue,
        loan.risk_class,
    )


HANDLERS = (loan_positions, export_loan_positions)
