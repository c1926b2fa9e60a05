"""The loan prime rate (贷款市场报价利率, LPR): which fixing was in force on a day. Never a default.

Published by the National Interbank Funding Center on behalf of the People's Bank of China, monthly
on the 20th or, where that is no workday, on the next; in force from its own day. Terms: one year
and five years and over. The table holds the 85 fixings from the reform of 2019-08-20 on, taken from
public tables and cross-checked: three agree to January 2025 and two on 2025-02-20 (and on the 5Y of
2024-02-20, which the third misprints); from 2025-03-20 one full table, with single witnesses.
The day of the fixing of February 2021 is disputed: one table has Saturday the 20th, a workday by
the notice for that year; two have Monday the 22nd, kept here. Its rate is not in dispute.
"""

from bisect import bisect_right
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import date, timedelta
from fractions import Fraction
from typing import ClassVar, Final, Literal, get_args

from msgspec import Struct

from ledger.errors import Refused, WrongInput
from syndicate.reference.calendar import roll

Tenor = Literal["1Y", "5Y"]
TENORS: Final[tuple[Tenor, ...]] = get_args(Tenor)

SOURCE: Final = (
    "贷款市场报价利率 (LPR), 中国人民银行授权全国银行间同业拆借中心公布, table to 2026-08-20"
)


class Fixing(Struct, frozen=True, kw_only=True):
    """One published rate. `rate` is the exact yearly rate, 31/1000 for 3.10 %."""

    tenor: Tenor
    rate: Fraction
    fixed_on: date


class Published(Struct, frozen=True, kw_only=True):
    """One publication: both rates, exact."""

    fixed_on: date
    one_year: Fraction
    five_years: Fraction


class BeforeFirstFixing(Refused):
    """No loan prime rate of this kind existed on the day. Fields: on, first_fixing."""

    code: ClassVar[str] = "before-first-lpr"

    def __init__(self, on: date) -> None:
        super().__init__(f"no LPR on {on}: the first fixing is of {FIRST_FIXING}", on=on)
        self.on = on


def lpr_in_force(tenor: Tenor, on: date) -> Fixing:
    """The last fixing published on or before the day.

    After the last one known it is that one; whoever books by it asks `is_known` first.
    Raises BeforeFirstFixing before 2019-08-20, WrongInput for another tenor.
    """
    if tenor not in TENORS:
        raise WrongInput("tenor", "1Y or 5Y")
    table = IN_USE.get()
    row = bisect_right(table, on, key=lambda published: published.fixed_on) - 1
    if row < 0:
        raise BeforeFirstFixing(on)
    rate = table[row].one_year if tenor == "1Y" else table[row].five_years
    return Fixing(tenor=tenor, rate=rate, fixed_on=table[row].fixed_on)


def is_known(on: date) -> bool:
    """Whether the table surely holds the fixing in force on the day: a reset is not provisional."""
    table = IN_USE.get()
    return table[0].fixed_on <= on <= table[-1].fixed_on


def stale_after() -> date:
    """The last day before the next fixing is due: from the day after, the table may be behind."""
    last = IN_USE.get()[-1].fixed_on
    year, month_index = divmod(last.year * 12 + last.month, 12)
    return publication_day(year, month_index + 1) - timedelta(days=1)


def publication_day(year: int, month: int) -> date:
    """The month's publication day by rule: the 20th or the next workday (since 2019-08).

    Beyond the working-day table it is the rule over weekends alone: an expectation, not a fact.
    """
    return roll(date(year, month, 20), "following").on


_TABLE: Final = """
2019-08-20 4.25 4.85
2019-09-20 4.20 4.85
2019-10-21 4.20 4.85
2019-11-20 4.15 4.80
2019-12-20 4.15 4.80
2020-01-20 4.15 4.80
2020-02-20 4.05 4.75
2020-03-20 4.05 4.75
2020-04-20 3.85 4.65
2020-05-20 3.85 4.65
2020-06-22 3.85 4.65
2020-07-20 3.85 4.65
2020-08-20 3.85 4.65
2020-09-21 3.85 4.65
2020-10-20 3.85 4.65
2020-11-20 3.85 4.65
2020-12-21 3.85 4.65
2021-01-20 3.85 4.65
2021-02-22 3.85 4.65
2021-03-22 3.85 4.65
2021-04-20 3.85 4.65
2021-05-20 3.85 4.65
2021-06-21 3.85 4.65
2021-07-20 3.85 4.65
2021-08-20 3.85 4.65
2021-09-22 3.85 4.65
2021-10-20 3.85 4.65
2021-11-22 3.85 4.65
2021-12-20 3.80 4.65
2022-01-20 3.70 4.60
2022-02-21 3.70 4.60
2022-03-21 3.70 4.60
2022-04-20 3.70 4.60
2022-05-20 3.70 4.45
2022-06-20 3.70 4.45
2022-07-20 3.70 4.45
2022-08-22 3.65 4.30
2022-09-20 3.65 4.30
2022-10-20 3.65 4.30
2022-11-21 3.65 4.30
2022-12-20 3.65 4.30
2023-01-20 3.65 4.30
2023-02-20 3.65 4.30
2023-03-20 3.65 4.30
2023-04-20 3.65 4.30
2023-05-22 3.65 4.30
2023-06-20 3.55 4.20
2023-07-20 3.55 4.20
2023-08-21 3.45 4.20
2023-09-20 3.45 4.20
2023-10-20 3.45 4.20
2023-11-20 3.45 4.20
2023-12-20 3.45 4.20
2024-01-22 3.45 4.20
2024-02-20 3.45 3.95
2024-03-20 3.45 3.95
2024-04-22 3.45 3.95
2024-05-20 3.45 3.95
2024-06-20 3.45 3.95
2024-07-22 3.35 3.85
2024-08-20 3.35 3.85
2024-09-20 3.35 3.85
2024-10-21 3.10 3.60
2024-11-20 3.10 3.60
2024-12-20 3.10 3.60
2025-01-20 3.10 3.60
2025-02-20 3.10 3.60
2025-03-20 3.10 3.60
2025-04-21 3.10 3.60
2025-05-20 3.00 3.50
2025-06-20 3.00 3.50
2025-07-21 3.00 3.50
2025-08-20 3.00 3.50
2025-09-22 3.00 3.50
2025-10-20 3.00 3.50
2025-11-20 3.00 3.50
2025-12-22 3.00 3.50
2026-01-20 3.00 3.50
2026-02-24 3.00 3.50
2026-03-20 3.00 3.50
2026-04-20 3.00 3.50
2026-05-20 3.00 3.50
2026-06-22 3.00 3.50
2026-07-20 3.00 3.50
2026-08-20 3.00 3.50
"""

FIXINGS: Final = tuple(
    Published(
        fixed_on=date.fromisoformat(day),
        one_year=Fraction(one_year) / 100,
        five_years=Fraction(five_years) / 100,
    )
    for day, one_year, five_years in (line.split() for line in _TABLE.split("\n") if line)
)
"""The program's own table, oldest first."""

IN_USE: ContextVar[Sequence[Published]] = ContextVar("fixings", default=FIXINGS)
"""The table that questions are answered from; another one only inside `published.using`."""

FIRST_FIXING: Final = FIXINGS[0].fixed_on
LAST_FIXING: Final = FIXINGS[-1].fixed_on
