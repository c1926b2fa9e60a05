"""An amount is split exactly, once and along a running total, and never gets stuck."""

import random
import time
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.allotment import OffPath, allot, allot_running, carry
from ledger.errors import WrongInput
from ledger.share_path import (
    Bend,
    PathEnded,
    SharePath,
    bent,
    by_weights,
    first_at_least,
    last_at_most,
)

STICKY = [3, 11, 1, 1, 1, 3, 1, 17, 3, 11]
"""Weights under which serving the largest carried claim is stuck at the 34th single fen."""


def exact(path: SharePath, seat: int, amount: int) -> Fraction:
    stretch = path.at(amount)
    return Fraction(stretch.fixed[seat] + stretch.slopes[seat] * amount, stretch.scale)


def is_near(path: SharePath, totals: list[int]) -> bool:
    """Each total is its exact share rounded down or up."""
    amount = sum(totals)
    return all(
        floor(share) <= total <= ceil(share)
        for seat, total in enumerate(totals)
        for share in [exact(path, seat, amount)]
    )


def slow_up(path: SharePath, totals: list[int], *, until: int) -> None:
    """Unit by unit, earliest deadline first: the reference the fast way must never strand."""
    held = list(totals)
    for amount in range(sum(held) + 1, until + 1):
        shares = [exact(path, seat, amount) for seat in range(len(held))]
        open_seats = [seat for seat, share in enumerate(shares) if held[seat] < share]

        def deadline(seat: int, amount: int = amount) -> int:
            level = held[seat] + 1
            return next(
                (u for u in range(amount, until + 1) if exact(path, seat, u) >= level), until + 1
            )

        held[min(open_seats, key=deadline)] += 1
        assert is_near(path, held), (amount, held)


def slow_down(path: SharePath, totals: list[int]) -> None:
    """The same backwards to zero: who must give back soonest gives back first."""
    held = list(totals)
    for amount in range(sum(held) - 1, -1, -1):
        shares = [exact(path, seat, amount) for seat in range(len(held))]
        open_seats = [seat for seat, share in enumerate(shares) if held[seat] > share]

        def deadline(seat: int, amount: int = amount) -> int:
            level = held[seat] - 1
            return next(s for s in range(amount, -1, -1) if exact(path, seat, s) <= level)

        held[max(open_seats, key=deadline)] -= 1
        assert is_near(path, held), (amount, held)


def check_move(path: SharePath, before: list[int], after: list[int], *, to_minor: int) -> None:
    assert sum(after) == to_minor
    rising = to_minor >= sum(before)
    assert all(new >= old if rising else new <= old for old, new in zip(before, after, strict=True))
    assert is_near(path, after)


def bent_at_random(rng: random.Random, seats: int) -> tuple[SharePath, int]:
    """A path of up to five stretches, some short or between whole fen, and an amount inside it."""
    bends: list[Bend] = []
    at, slopes = Fraction(0), [Fraction(0)] * seats
    for _ in range(rng.randint(1, 5)):
        weights = [rng.choice([0, 0, 1, 1, 2, 3, 7, 30]) for _ in range(seats)]
        weights[rng.randrange(seats)] += 1
        steeper = [Fraction(weight, sum(weights)) for weight in weights]
        bends += [Bend(at, seat, steeper[seat] - slopes[seat]) for seat in range(seats)]
        slopes, at = steeper, at + Fraction(rng.randint(1, 40), rng.choice([1, 1, 2, 3]))
    end = at if rng.random() < 0.5 else None
    rng.shuffle(bends)
    return bent(bends, seats=seats, end=end), floor(at) + (0 if end else 40)


# one-off split


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        # total  weights         parts           why
        (100, [1, 1, 1], [34, 33, 33]),  # a tie goes to the earlier seat
        (15, [80, 8, 12], [12, 1, 2]),  # not to the first listed: 12, 1.2, 1.8
        (3, [6, 6, 2], [1, 1, 1]),
        (-100, [1, 1, 1], [-34, -33, -33]),  # mirrored
        (0, [1, 2], [0, 0]),
        (7, [0, 5, 0], [0, 7, 0]),
        (10**12 + 1, [1, 1], [5 * 10**11 + 1, 5 * 10**11]),
    ],
)
def test_spare_fen_go_to_the_largest_remainder_then_the_earlier_seat(
    total: int, weights: list[int], parts: list[int]
) -> None:
    assert allot(total, weights) == parts


@given(
    total=st.integers(-(10**12), 10**12),
    weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any),
)
@settings(deadline=None)
def test_a_one_off_split_sums_and_is_within_a_fen(total: int, weights: list[int]) -> None:
    parts = allot(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(total * weight, sum(weights))
        assert floor(share) <= part <= ceil(share)


@pytest.mark.parametrize("weights", [[], [0, 0], [3, -1], [-1]])
def test_weights_that_share_nothing_are_wrong(weights: list[int]) -> None:
    with pytest.raises(WrongInput, match="weights"):
        allot(5, weights)
    with pytest.raises(WrongInput, match="weights"):
        allot_running(5, weights, held=[0] * len(weights))


# running split


def test_the_largest_claim_alone_gets_stuck_where_the_running_split_does_not() -> None:
    """Shows that the weights are hard, so that the test after this one can fail."""
    whole, held = sum(STICKY), [0] * len(STICKY)
    for amount in range(1, 34):
        claims = [Fraction(w * amount, whole) - h for w, h in zip(STICKY, held, strict=True)]
        held[claims.index(max(claims))] += 1
    overdue = [seat for seat, w in enumerate(STICKY) if held[seat] < w * 34 // whole]
    assert len(overdue) > 1
    with pytest.raises(OffPath):
        allot_running(1, STICKY, held=held)


def test_hard_weights_go_fen_by_fen_up_to_ten_thousand_and_back() -> None:
    path, held = by_weights(STICKY), [0] * len(STICKY)
    for to_minor in [*range(1, 10_001), *range(9_999, -1, -1)]:
        after = carry(path, held, to_minor=to_minor)
        assert sum(abs(new - old) for old, new in zip(held, after, strict=True)) == 1
        assert is_near(path, after)
        held = after
    assert held == [0] * len(STICKY)


def test_no_part_is_negative_where_differences_of_one_off_splits_would_be() -> None:
    assert allot(4, [6, 6, 2]) == [2, 2, 0]  # the third seat would pay back its fen of three
    held = allot_running(3, [6, 6, 2], held=[0, 0, 0])
    assert min(allot_running(1, [6, 6, 2], held=held)) == 0


@given(data=st.data())
@settings(deadline=None)
def test_running_totals_stay_within_a_fen_over_any_instalments(data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
    near, far = st.integers(-60, 60), st.integers(-(10**12), 10**12)
    path, held = by_weights(weights), [0] * len(weights)
    for amount in data.draw(st.lists(near | far, max_size=15)):
        parts = allot_running(amount, weights, held=held)
        after = [old + part for old, part in zip(held, parts, strict=True)]
        check_move(path, held, after, to_minor=sum(held) + amount)
        held = after
    assert carry(path, held, to_minor=0) == [0] * len(weights)


@pytest.mark.parametrize("seed", range(150))
def test_the_slow_schedule_can_go_on_both_ways_from_any_totals_reached(seed: int) -> None:
    """Earliest deadline first strands only where nothing else would do: so every state is safe."""
    rng = random.Random(seed)
    path, top = bent_at_random(rng, seats=rng.randint(2, 8))
    held = [0] * len(path.stretches[0].slopes)
    for _ in range(10):
        step = rng.randint(-4, 6) if rng.random() < 0.6 else rng.randint(-top, top)
        to_minor = min(top, max(0, sum(held) + step))
        after = carry(path, held, to_minor=to_minor)
        check_move(path, held, after, to_minor=to_minor)
        held = after
    slow_up(path, held, until=top)
    slow_down(path, held)
    assert carry(path, held, to_minor=0) == [0] * len(held)


@pytest.mark.parametrize(
    ("weights", "amount", "carried", "stuck_at"),
    [
        # weights             amount carried               where the largest remainders are stuck
        ([1, 1, 1, 5, 5, 7], 10, [1, 1, 0, 3, 2, 3], 12),  # three seats due, two fen to come
        ([1, 11, 1, 1, 1, 11], 18, [1, 8, 1, 1, 0, 7], 19),
        ([1, 1, 1, 11, 1, 11], 8, [1, 0, 0, 4, 0, 3], 7),  # going back: two must give, one fen
        ([1, 1, 5, 1, 1, 1, 5], 4, [1, 0, 2, 0, 0, 0, 1], 3),
    ],
)
def test_the_odd_fen_goes_elsewhere_where_the_largest_remainders_would_get_stuck(
    weights: list[int], amount: int, carried: list[int], stuck_at: int
) -> None:
    path, largest = by_weights(weights), allot(amount, weights)
    due = [exact(path, seat, stuck_at) for seat in range(len(weights))]
    steps = abs(stuck_at - amount)
    if stuck_at > amount:
        moves = [max(0, floor(share) - part) for share, part in zip(due, largest, strict=True)]
    else:
        moves = [max(0, part - ceil(share)) for share, part in zip(due, largest, strict=True)]
    assert sum(moves) > steps
    assert carry(path, [0] * len(weights), to_minor=amount) == carried
    slow_up(path, carried, until=amount + sum(weights))
    slow_down(path, carried)


@pytest.mark.parametrize("seed", range(40))
def test_unlike_weights_keep_the_slow_schedule_possible_both_ways(seed: int) -> None:
    rng = random.Random(seed)
    weights = [rng.choice([1, 1, 1, 2, 3, 11, 17]) for _ in range(12)]
    path, held = by_weights(weights), [0] * 12
    for _ in range(6):
        to_minor = max(0, sum(held) + rng.randint(-30, 40))
        after = carry(path, held, to_minor=to_minor)
        check_move(path, held, after, to_minor=to_minor)
        held = after
    slow_up(path, held, until=sum(held) + sum(weights))
    slow_down(path, held)


def test_a_layer_that_flattens_a_seat_for_ever_does_not_break_the_bound_later() -> None:
    """Four halves, and only two of the seats go on: those two must not both wait."""
    half = Fraction(1, 2)
    bends = [Bend(Fraction(0), seat, Fraction(1, 4)) for seat in range(4)]
    bends += [Bend(Fraction(2), seat, -Fraction(1, 4)) for seat in (0, 1)]
    bends += [Bend(Fraction(2), seat, half - Fraction(1, 4)) for seat in (2, 3)]
    path = bent(bends, seats=4, end=None)
    held = carry(path, [0, 0, 0, 0], to_minor=2)
    assert held == [1, 0, 1, 0]  # the earlier seats would be [1, 1, 0, 0]: stuck at the next fen
    assert carry(path, held, to_minor=3) == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (1, [1, 1], [1, 0]),
        (2, [1, 1, 1], [1, 1, 0]),
        (2, [1, 3], [1, 1]),  # halves of unlike seats tie as well
        (4, [1, 1, 3, 3], [1, 1, 1, 1]),
        (9, [5, 7, 3, 1, 1, 1], [3, 4, 2, 0, 0, 0]),  # tight, and still safe both ways
        (6, [1, 2, 3], [1, 2, 3]),  # whole shares are met exactly
        (5, [0, 1, 0, 1], [0, 3, 0, 2]),  # a weight of 0 never bears
    ],
)
def test_a_tie_for_the_odd_fen_goes_to_the_earlier_seat(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert allot_running(amount, weights, held=[0] * len(weights)) == parts


def test_two_hundred_seats_at_a_trillion_fen_take_milliseconds() -> None:
    rng = random.Random(7)
    weights = [int(10 ** (12 * rng.random())) for _ in range(200)]
    path, held = by_weights(weights), [0] * 200
    begin = time.process_time()
    for number in range(40):
        step = rng.randint(-300, 300) if number % 2 else rng.randint(0, 10**12) - sum(held)
        held = carry(path, held, to_minor=max(0, sum(held) + step))
    spent = time.process_time() - begin
    assert is_near(path, held)
    assert spent < 4, "100 ms a move is already ten times what it takes"


@pytest.mark.parametrize(
    "held",
    [
        [2, 0],  # a fen too far from 1 and 1
        [5, 5, 0],
        [0, 3],
        [-1, 1, 0],
    ],
)
def test_totals_no_running_split_gave_are_refused(held: list[int]) -> None:
    with pytest.raises(OffPath):
        carry(by_weights([1] * len(held)), held, to_minor=11)


# paths


@pytest.mark.parametrize("seed", range(60))
def test_crossings_are_those_a_scan_finds(seed: int) -> None:
    rng = random.Random(seed)
    path, top = bent_at_random(rng, seats=3)
    for _ in range(20):
        seat, amount, level = rng.randrange(3), rng.randint(0, top), rng.randint(0, top // 2)
        up = [u for u in range(amount + 1, top + 1) if exact(path, seat, u) >= level]
        down = [s for s in range(amount) if exact(path, seat, s) <= level]
        found = first_at_least(path, seat, level=level, beyond_minor=amount)
        assert (found if found is not None and found <= top else None) == next(iter(up), None)
        before = last_at_most(path, seat, level=level, before_minor=amount)
        assert (before if before is not None and before >= 0 else None) == next(
            reversed(down), None
        )


def test_a_path_ends_where_nobody_is_left() -> None:
    one = Fraction(1)
    path = bent([Bend(Fraction(0), 0, one)], seats=1, end=Fraction(7, 2))
    assert path.last == 3
    assert carry(path, [0], to_minor=3) == [3]
    with pytest.raises(PathEnded):
        carry(path, [3], to_minor=4)
    with pytest.raises(PathEnded):
        carry(bent([], seats=2, end=Fraction(0)), [0, 0], to_minor=1)


@pytest.mark.parametrize(
    "bends",
    [
        [Bend(Fraction(0), 0, Fraction(1, 2))],  # half of it is nobody's
        [Bend(Fraction(0), 0, Fraction(2)), Bend(Fraction(0), 1, Fraction(-1))],  # one gains
        [Bend(Fraction(0), 0, Fraction(1)), Bend(Fraction(9), 1, Fraction(1))],  # later too much
    ],
)
def test_a_path_whose_shares_do_not_make_the_amount_is_wrong(bends: list[Bend]) -> None:
    with pytest.raises(WrongInput, match="sum to 1"):
        bent(bends, seats=2, end=None)
