"""Which line of one side answers which line of the other. It asks no reason and prefers no side.

Cash is paired one to one in passes, the surest first; what a pass pairs is gone for the next:

    1  a common reference, the amount and the value date
    2  a common reference and the amount
    3  a common reference alone
    4  no reference on at least one side: amount and value date
    5  the same, value dates at most `WINDOW` days apart

Both sides are treated alike, so that matching them the other way round gives the same pairs.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from syndicate.reconciliation.statement import Movement

WINDOW: Final = timedelta(days=7)
L = TypeVar("L")
R = TypeVar("R")
Key = Hashable


class Paired(msgspec.Struct, frozen=True):
    """Every movement of both sides, once: in a pair, or alone."""

    pairs: tuple[tuple[Movement, Movement], ...]
    left: tuple[Movement, ...]
    right: tuple[Movement, ...]


def by_key(
    left: Iterable[L],
    right: Iterable[R],
    *,
    of_left: Callable[[L], Key],
    of_right: Callable[[R], Key],
) -> Iterator[tuple[L | None, R | None]]:
    """The lines of both sides under each key, in key order; None where a side has none.

    A side has at most one line of a key.
    """
    ours = {of_left(line): line for line in left}
    theirs = {of_right(line): line for line in right}
    for key in sorted(ours.keys() | theirs.keys()):  # type: ignore[type-var]
        yield ours.get(key), theirs.get(key)


def _silent(movement: Movement) -> bool:
    return not movement.references


def _telling(movement: Movement) -> bool:
    return bool(movement.references)


_SILENT: Final = ((_silent, _silent), (_silent, _telling), (_telling, _silent))
"""Whose lines carry no reference: both sides', or one's."""


def movements(left: Sequence[Movement], right: Sequence[Movement]) -> Paired:
    """Every movement of both sides in a pair or alone, in a fixed order."""
    pairing = _Pairing(left, right)
    for keys in (_sure, _same_amount, _same_reference):
        pairing.run(keys, lambda _: True)
    for wanted in _SILENT:
        pairing.run(_same_day, *wanted)
    for wanted in _SILENT:
        pairing.run_near(*wanted)
    return pairing.done()


def _order(movement: Movement) -> tuple[object, ...]:
    return (
        movement.value_date,
        movement.amount_minor,
        movement.loan_no,
        movement.booking_date,
        movement.references,
        movement.entry,
    )


def _sure(movement: Movement) -> Iterator[Key]:
    for reference in movement.references:
        yield reference, movement.loan_no, movement.amount_minor, movement.value_date


def _same_amount(movement: Movement) -> Iterator[Key]:
    for reference in movement.references:
        yield reference, movement.loan_no, movement.amount_minor


def _same_reference(movement: Movement) -> Iterator[Key]:
    for reference in movement.references:
        yield reference, movement.loan_no


def _same_day(movement: Movement) -> Iterator[Key]:
    yield movement.loan_no, movement.amount_minor, movement.value_date


def _near(movement: Movement) -> Iterator[Key]:
    yield movement.loan_no, movement.amount_minor


class _Pairing:
    """The pairs so far and what is still alone."""

    def __init__(self, left: Sequence[Movement], right: Sequence[Movement]) -> None:
        self._left = dict(enumerate(sorted(left, key=_order)))
        self._right = dict(enumerate(sorted(right, key=_order)))
        self._pairs: list[tuple[Movement, Movement]] = []

    def run(
        self,
        keys: Callable[[Movement], Iterable[Key]],
        wanted_left: Callable[[Movement], bool],
        wanted_right: Callable[[Movement], bool] | None = None,
    ) -> None:
        """Lines under the same key are paired, the earliest with the earliest."""
        ours = self._bucket(self._left, keys, wanted_left)
        theirs = self._bucket(self._right, keys, wanted_right or wanted_left)
        for key in sorted(ours.keys() & theirs.keys(), key=repr):
            left = [index for index in ours[key] if index in self._left]
            right = [index for index in theirs[key] if index in self._right]
            for one, other in zip(left, right, strict=False):
                self._pair(one, other)

    def run_near(
        self, wanted_left: Callable[[Movement], bool], wanted_right: Callable[[Movement], bool]
    ) -> None:
        """Lines of one loan and amount whose value dates lie near, in the order of the dates."""
        ours = self._bucket(self._left, _near, wanted_left)
        theirs = self._bucket(self._right, _near, wanted_right)
        for key in sorted(ours.keys() & theirs.keys(), key=repr):
            left, right = list(ours[key]), list(theirs[key])
            while left and right:
                apart = self._left[left[0]].value_date - self._right[right[0]].value_date
                if abs(apart) <= WINDOW:
                    self._pair(left.pop(0), right.pop(0))
                else:
                    (right if apart > WINDOW else left).pop(0)

    @staticmethod
    def _bucket(
        side: dict[int, Movement],
        keys: Callable[[Movement], Iterable[Key]],
        wanted: Callable[[Movement], bool],
    ) -> dict[Key, list[int]]:
        buckets: defaultdict[Key, list[int]] = defaultdict(list)
        for index, movement in side.items():
            if wanted(movement):
                for key in keys(movement):
                    buckets[key].append(index)
        return buckets

    def _pair(self, one: int, other: int) -> None:
        self._pairs.append((self._left.pop(one), self._right.pop(other)))

    def done(self) -> Paired:
        """What it came to, in the order of the movements."""
        return Paired(
            pairs=tuple(sorted(self._pairs, key=lambda pair: (_order(pair[0]), _order(pair[1])))),
            left=tuple(self._left.values()),
            right=tuple(self._right.values()),
        )
