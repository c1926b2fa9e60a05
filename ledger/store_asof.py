"""Balances as of a day and as known at a log size, in time that does not grow with the history.

Asked is B(t, b, u): an account's sum over entries valued on or before t, booked on or before b, at
positions below u. Any bound may be missing. Positions are given in order and booking dates never
step back, so "booked on or before b" is "at positions below P(b)", P(b) being the first position of
the first later day in `ledger.book_day`. Hence both other bounds are one: c = min(u, P(b)).

**Without t**: every entry carries its account's balance after it, so the answer stands in the
account's last entry below c. One look-up in `entry_by_account`.

**With t**: let R be the balance after the account's last entry below min(c, P(t)), that is over
X = {below c, booked <= t}. Wanted is the sum over W = {below c, valued <= t}. Now

    W \\ X = {below c, booked > t, valued <= t}     back: booked after the day they count for
    X \\ W = {below c, booked <= t, valued > t}     ahead: booked before it

and B = R + sum(back) - sum(ahead), since the sum over W is that over X, plus W \\ X, less X \\ W.
Both hold only entries whose two dates differ, which stand in two partial indexes by class of lag:
class k > 0 has booking - value from 2^(k-1) to 2^k - 1 days, class -k has value - booking in the
same range. An entry of class k is in `back` only if it is booked within t+1 .. t+2^k-1, for
value <= t is booking <= t + lag and lag <= 2^k - 1; likewise `ahead` only within t-2^k+2 .. t. The
last classes have no bound on their far side. So there are 2 x CLASSES look-ups, and since each
entry of a run lies across at least 2^(k-1) of its 2^k - 1 days, what is read and not wanted is no
more than what is read and wanted, on the average over t: nothing depends on the history's length.

An account is answered if an entry of W is its own: one in `back`, or one in X unless all of X is
`ahead`, which is looked at only where `ahead` holds anything. It reads; `ledger.store_queries`
takes what it cannot answer.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

CLASSES: Final = 15
FEW: Final = 64
"""Up to so many accounts are looked up one by one; for more, the book's shifted entries at once."""

_NAMES: Final = ("party", "code", "counterparty", "ref", "currency")
_BOUNDS: Final = frozenset({"value_until", "booking_until", "known_size"})
_EVERYTHING: Final = 2**62

_LAG_CLASS: Final = (
    "(CASE WHEN s.booking_date > s.value_date THEN 1 ELSE -1 END * width_bucket("
    "abs(s.booking_date - s.value_date), "
    "'{1,2,4,8,16,32,64,128,256,512,1024,2048,4096,8192,16384}'::integer[]))"
)
"""As the indexes of the migration have it, to the letter."""


def answers(wanted: Mapping[str, Any]) -> bool:
    """Whether these filters say nothing but which accounts, as of when and as known when."""
    return all(
        value is None or name in _BOUNDS or (name in _NAMES and isinstance(value, str))
        for name, value in wanted.items()
    )


async def balances(
    conn: AsyncConnection, *, book: str, wanted: Mapping[str, Any], few: int = FEW
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Every account's balance under filters that `answers` takes, in account order.

    As a sum over the wanted entries would have it: accounts without any are left out.

    few  up to so many accounts are looked up one by one
    """
    values = {name: wanted[name] for name in _NAMES if wanted.get(name) is not None}
    filters = "".join(f" AND a.{name} = :{name}" for name in values)
    values["book"] = book
    valued: date | None = wanted.get("value_until")
    asked = {"booked": wanted.get("booking_until"), "valued": valued, "few": few + 1}
    ends = (await conn.execute(_query(_ENDS, filters), {**values, **asked})).one()
    values["cut"] = _least(wanted.get("known_size"), ends.booked_end)
    if valued is None:
        return (await conn.execute(_query(_RUNNING, filters), values)).all()
    values |= {"day": valued, "day_end": _least(values["cut"], ends.valued_end)}
    values |= _windows(valued)
    query = _VALUED_OF_EACH if ends.accounts <= few else _VALUED
    return (await conn.execute(_query(query, filters), values)).all()


@cache
def _query(template: str, filters: str) -> TextClause:
    return text(template.replace("{filters}", filters))


def _least(*bounds: int | None) -> int:
    return min((bound for bound in bounds if bound is not None), default=_EVERYTHING)


def _windows(day: date) -> dict[str, list[Any]]:
    """By class, the first and last booking date on which its entries can lie across the day."""
    found: list[tuple[int, date, date]] = []
    for number in range(1, CLASSES + 1):
        reach = timedelta.max if number == CLASSES else timedelta(days=2**number - 1)
        found.append((number, _moved(day, timedelta(days=1)), _moved(day, reach)))
        found.append((-number, _moved(day, timedelta(days=1) - reach), day))
    classes, firsts, lasts = zip(*found, strict=True)
    return {"classes": list(classes), "firsts": list(firsts), "lasts": list(lasts)}


def _moved(day: date, by: timedelta) -> date:
    """The day so many days on, or the last or first there is."""
    try:
        return day + by
    except OverflowError:
        return date.max if by > timedelta() else date.min


_ENDS = """
SELECT
  (SELECT count(*) FROM (
    SELECT 1 FROM ledger.account a WHERE a.book_id = :book{filters} LIMIT :few) x) AS accounts,
  (SELECT d.first_position FROM ledger.book_day d
   WHERE d.book_id = :book AND d.day > CAST(:booked AS date) ORDER BY d.day LIMIT 1) AS booked_end,
  (SELECT d.first_position FROM ledger.book_day d
   WHERE d.book_id = :book AND d.day > CAST(:valued AS date) ORDER BY d.day LIMIT 1) AS valued_end
"""

_LAST = """
  SELECT e.balance_after_minor FROM ledger.entry e
  WHERE e.book_id = :book AND e.account_no = a.account_no AND e.position < {end}
  ORDER BY e.position DESC, e.line DESC LIMIT 1"""

_RUNNING = f"""
SELECT a.party, a.code, a.counterparty, a.ref, a.currency, r.balance_after_minor AS balance_minor
FROM ledger.account a CROSS JOIN LATERAL ({_LAST.format(end="CAST(:cut AS bigint)")}) AS r
WHERE a.book_id = :book{{filters}}
ORDER BY a.party COLLATE "C", a.code COLLATE "C", a.counterparty COLLATE "C", a.ref COLLATE "C",
  a.currency COLLATE "C"
"""  # noqa: S608

_WINDOWS = """
  unnest(CAST(:classes AS integer[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
    AS w(class, first, last)"""

_ACROSS = f"""
    s.book_id = :book AND s.value_date <> s.booking_date AND {_LAG_CLASS} = w.class
    AND s.booking_date BETWEEN w.first AND w.last AND s.position < CAST(:cut AS bigint)
    AND (s.value_date <= CAST(:day AS date)) = (w.class > 0)"""

_SHIFTED_OF_EACH = f"""
  SELECT a.account_no, sum(sign(w.class) * x.moved) AS moved,
         sum(x.entries) FILTER (WHERE w.class > 0) AS back,
         sum(x.entries) FILTER (WHERE w.class < 0) AS ahead
  FROM ledger.account a CROSS JOIN {_WINDOWS} CROSS JOIN LATERAL (
    SELECT sum(s.amount_minor) AS moved, count(*) AS entries FROM ledger.entry s
    WHERE s.account_no = a.account_no AND {_ACROSS}) AS x
  WHERE a.book_id = :book{{filters}} AND x.entries > 0 GROUP BY a.account_no"""  # noqa: S608

_SHIFTED = f"""
  SELECT x.account_no, sum(sign(w.class) * x.moved) AS moved,
         sum(x.entries) FILTER (WHERE w.class > 0) AS back,
         sum(x.entries) FILTER (WHERE w.class < 0) AS ahead
  FROM {_WINDOWS} CROSS JOIN LATERAL (
    SELECT s.account_no, sum(s.amount_minor) AS moved, count(*) AS entries FROM ledger.entry s
    WHERE {_ACROSS} GROUP BY s.account_no) AS x
  GROUP BY x.account_no"""  # noqa: S608

_ALL_VALUED = f"""
WITH shifted AS MATERIALIZED ({{shifted}})
SELECT a.party, a.code, a.counterparty, a.ref, a.currency,
       coalesce(r.balance_after_minor, 0) + coalesce(s.moved, 0) AS balance_minor
FROM ledger.account a
  LEFT JOIN shifted s ON s.account_no = a.account_no
  LEFT JOIN LATERAL ({_LAST.format(end="CAST(:day_end AS bigint)")}) AS r ON true
WHERE a.book_id = :book{{filters}} AND (s.back > 0 OR r.balance_after_minor IS NOT NULL AND (
  coalesce(s.ahead, 0) = 0 OR (
    SELECT true FROM ledger.entry e WHERE e.book_id = :book AND e.account_no = a.account_no
      AND e.position < CAST(:day_end AS bigint) AND e.value_date <= CAST(:day AS date) LIMIT 1)))
ORDER BY a.party COLLATE "C", a.code COLLATE "C", a.counterparty COLLATE "C", a.ref COLLATE "C",
  a.currency COLLATE "C"
"""  # noqa: S608

_VALUED_OF_EACH = _ALL_VALUED.replace("{shifted}", _SHIFTED_OF_EACH)
_VALUED = _ALL_VALUED.replace("{shifted}", _SHIFTED)
