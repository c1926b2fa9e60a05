"""Which days the State Council moved, 2018 to 2026: weekdays off and weekends worked, year by year.

Facts only: every notice of the General Office (国务院办公厅关于某年部分节假日安排的通知) names the
days off and the weekend days worked instead (调休). A day not named here is a workday from Monday
to Friday. The even years were checked against three public tables that agree on every day, the odd
years against the wording of the notices. A notice may reach into the last days of the year before
it (29 and 31 December 2018 stand in the notice for 2019), so a year is whole once the next is out.
"""

from datetime import date
from typing import Final

from msgspec import Struct


class Arrangement(Struct, frozen=True, kw_only=True):
    """One year's departures from Monday to Friday.

    notices  number and date of the notice, then of the notice that changed it, if one did
    off      weekdays that are holidays
    worked   Saturdays and Sundays that are workdays
    """

    year: int
    notices: tuple[str, ...]
    off: frozenset[date]
    worked: frozenset[date]

    @property
    def source(self) -> str:
        """Where the year's days come from, as printed beside an answer."""
        return f"国务院办公厅 {'; '.join(self.notices)} (table {VERSION})"


VERSION: Final = "CN 2025-11-04"
"""The table's version: the country and the date of the last notice it holds."""


def _year(year: int, *notices: str, off: str, worked: str) -> Arrangement:
    def days(text: str) -> frozenset[date]:
        return frozenset(date.fromisoformat(f"{year}-{day}") for day in text.split())

    return Arrangement(year=year, notices=notices, off=days(off), worked=days(worked))


ARRANGEMENTS: Final = (
    _year(
        2018,
        "国办发明电〔2017〕12号, 2017-11-30",
        off=(
            "01-01 02-15 02-16 02-19 02-20 02-21 04-05 04-06 04-30 05-01 06-18 09-24 10-01 "
            "10-02 10-03 10-04 10-05 12-31"
        ),
        worked="02-11 02-24 04-08 04-28 09-29 09-30 12-29",
    ),
    _year(
        2019,
        "国办发明电〔2018〕15号, 2018-12-04",
        "国办发明电〔2019〕3号, 2019-03-22",
        off=(
            "01-01 02-04 02-05 02-06 02-07 02-08 04-05 05-01 05-02 05-03 06-07 09-13 10-01 "
            "10-02 10-03 10-04 10-07"
        ),
        worked="02-02 02-03 04-28 05-05 09-29 10-12",
    ),
    _year(
        2020,
        "国办发明电〔2019〕16号, 2019-11-21",
        "国办发明电〔2020〕1号, 2020-01-26",
        off=(
            "01-01 01-24 01-27 01-28 01-29 01-30 01-31 04-06 05-01 05-04 05-05 06-25 06-26 "
            "10-01 10-02 10-05 10-06 10-07 10-08"
        ),
        worked="01-19 04-26 05-09 06-28 09-27 10-10",
    ),
    _year(
        2021,
        "国办发明电〔2020〕27号, 2020-11-25",
        off=(
            "01-01 02-11 02-12 02-15 02-16 02-17 04-05 05-03 05-04 05-05 06-14 09-20 09-21 "
            "10-01 10-04 10-05 10-06 10-07"
        ),
        worked="02-07 02-20 04-25 05-08 09-18 09-26 10-09",
    ),
    _year(
        2022,
        "国办发明电〔2021〕11号, 2021-10-25",
        off=(
            "01-03 01-31 02-01 02-02 02-03 02-04 04-04 04-05 05-02 05-03 05-04 06-03 09-12 "
            "10-03 10-04 10-05 10-06 10-07"
        ),
        worked="01-29 01-30 04-02 04-24 05-07 10-08 10-09",
    ),
    _year(
        2023,
        "国办发明电〔2022〕16号, 2022-12-08",
        off=(
            "01-02 01-23 01-24 01-25 01-26 01-27 04-05 05-01 05-02 05-03 06-22 06-23 09-29 "
            "10-02 10-03 10-04 10-05 10-06"
        ),
        worked="01-28 01-29 04-23 05-06 06-25 10-07 10-08",
    ),
    _year(
        2024,
        "国办发明电〔2023〕7号, 2023-10-25",
        off=(
            "01-01 02-12 02-13 02-14 02-15 02-16 04-04 04-05 05-01 05-02 05-03 06-10 09-16 "
            "09-17 10-01 10-02 10-03 10-04 10-07"
        ),
        worked="02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    ),
    _year(
        2025,
        "国办发明电〔2024〕12号, 2024-11-12",
        off=(
            "01-01 01-28 01-29 01-30 01-31 02-03 02-04 04-04 05-01 05-02 05-05 06-02 10-01 "
            "10-02 10-03 10-06 10-07 10-08"
        ),
        worked="01-26 02-08 04-27 09-28 10-11",
    ),
    _year(
        2026,
        "国办发明电〔2025〕7号, 2025-11-04",
        off=(
            "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 "
            "09-25 10-01 10-02 10-05 10-06 10-07"
        ),
        worked="01-04 02-14 02-28 05-09 09-20 10-10",
    ),
)
"""One arrangement a year, oldest first, no year missing."""
