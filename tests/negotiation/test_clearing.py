"""At which spread a book clears, who then holds what, and why it does not.

Most of it is one comparison with an oracle that looks at every allocation (`brute_force`). The
number of books it compares is LIANDAI_BOOKS (default 1,200; the long campaign asks for 5,000).
"""

import datetime
import os
import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negotiation import reach, scale_back
from negotiation.clearing import Cleared, Uncleared, clear
from negotiation.lot_table import cheapest
from negotiation.quotes import Book, BookTooTangled, Quote, Step, offer_at
from negotiation.reach import Holdings, holdings, reaches
from tests.negotiation import brute_force

BOOKS = int(os.environ.get("LIANDAI_BOOKS", "1200"))
WAN = 10_000 * 100  # 万元 in fen


def quote(
    *steps: tuple[int, int],
    least: int | None = None,
    most: int | None = None,
    room: int | None = None,
) -> Quote:
    return Quote(
        steps=tuple(Step(spread_bp=spread, amount_minor=amount) for spread, amount in steps),
        min_hold_minor=least,
        max_hold_minor=most,
        headroom_minor=room,
    )


def book(
    quotes: dict[str, Quote],
    *,
    target: int,
    lot: int = 1,
    seats: Sequence[str] = ("hzbank", "cib", "czbank"),
    lead: str = "hzbank",
    co_leads: Sequence[str] = (),
    date: str = "2026-01-15",
    rules: Sequence[str] = ("cn-syndicated",),
) -> Book:
    return Book(
        currency="CNY",
        target_minor=target,
        lot_minor=lot,
        lead=lead,
        co_leads=tuple(co_leads),
        seats=tuple(seats),
        date=datetime.date.fromisoformat(date),
        rules=tuple(rules),
        quotes=quotes,
    )


def cleared(outcome: Cleared | Uncleared) -> tuple[int, tuple[int, ...]]:
    assert isinstance(outcome, Cleared), outcome
    return outcome.spread_bp, tuple(outcome.allocation.values())


def conflict(outcome: Cleared | Uncleared) -> tuple[str, ...]:
    assert isinstance(outcome, Uncleared), outcome
    return outcome.conflict


# ---- against the oracle


def test_small_books_clear_as_a_search_of_every_allocation_says() -> None:
    rnd = random.Random(20260115)
    met: Counter[str] = Counter()
    for number in range(BOOKS):
        small = brute_force.small_book(rnd)
        expected, outcome = brute_force.clearing(small), clear(small)
        if expected is not None:
            assert cleared(outcome) == expected, (number, small)
            met["cleared"] += 1
            continue
        assert isinstance(outcome, Uncleared), (number, small)
        assert outcome.gap_minor == brute_force.gap(small), (number, small)
        assert brute_force.is_irreducible(small, outcome.conflict), (number, small, outcome)
        met.update(["uncleared", *{name.partition(":")[0] for name in outcome.conflict}])
    kinds = {"offer", "min_hold", "lead_min", "lead_max", "co_lead_min", "bank_max", "lot"}
    assert min(met[kind] for kind in ("cleared", "uncleared")) > BOOKS // 5
    assert all(met[kind] for kind in kinds), met


def some_seats(rnd: random.Random) -> tuple[int, list[Holdings], list[int]]:
    """Lots, possible holdings and offers of up to six seats; offers often equal, minimums tight."""
    lots, like = rnd.randint(1, 16), rnd.randint(1, 16)
    seats, offers = [], []
    for _ in range(rnd.randint(1, 6)):
        most = rnd.choice([like, rnd.randint(0, lots)])
        least = rnd.choice([0, most, max(0, most - 1), rnd.randint(0, most + 1), like // 2 + 1])
        seats.append(holdings(least=least, most=most, may_be_zero=rnd.random() < 0.9))
        offers.append(most * 3 + rnd.choice([1, 1, rnd.randint(1, 5)]))
    return lots, seats, offers


def choices_that_sum(lots: int, seats: Sequence[Holdings]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for runs in seats:
        units = [k for first, last in runs for k in range(first, last + 1)]
        found = [(*held, k) for held in found for k in units if sum(held) + k <= lots]
    return [held for held in found if sum(held) == lots]


@pytest.mark.parametrize(
    ("few_visits", "table_cells", "way"),
    [
        # visits cells
        (10**9, 0, "branches alone"),
        (0, 10**9, "the table alone"),
        (12, 10**9, "branches first, the table under what they found"),
    ],
)
def test_every_way_to_scale_back_finds_the_same_nearest_allocation(
    few_visits: int, table_cells: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_back, "FEW_BANK_VISITS", few_visits)
    monkeypatch.setattr(scale_back, "TABLE_CELLS", table_cells)
    rnd = random.Random(way)
    for _ in range(250):
        lots, seats, offers = some_seats(rnd)
        possible = choices_that_sum(lots, seats)
        taken = scale_back.scale_back(lots=lots, seats=seats, offers=offers)
        expected = brute_force.nearest(lots, offers, possible) if possible else None
        assert taken == expected, (lots, seats, offers)


@pytest.mark.parametrize("max_bits", [2**17, 0], ids=["bits", "runs"])
def test_sums_are_reached_exactly_where_some_choice_of_holdings_has_them(
    max_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "MAX_BITS", max_bits)
    rnd = random.Random(max_bits)
    for _ in range(600):
        lots, seats, _ = some_seats(rnd)
        measure = rnd.choice([1, 1, 7, 10**9])
        scaled = [tuple((a * measure, b * measure) for a, b in runs) for runs in seats]
        assert reaches(lots * measure, scaled) == bool(choices_that_sum(lots, seats)), seats


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.lists(st.integers(0, 9), min_size=1, max_size=40),
            st.booleans(),
        ),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 90),
)
def test_the_table_takes_the_cheapest_choices_and_of_those_more_to_the_earlier(
    banks: list[tuple[int, list[int], bool]], lots: int
) -> None:
    choices = []
    for first, rises, may_be_zero in banks:
        costs, slope = [3], -20
        for rise in rises:  # a convex piece: its differences never fall
            slope += rise
            costs.append(costs[-1] + slope)
        costs = [cost - min(costs) for cost in costs]
        choices.append([(0, [5])] if may_be_zero and first else [])
        choices[-1].append((first, costs))
    sums: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for pieces in choices:
        step: dict[int, tuple[int, list[int]]] = {}
        for at, (cost, minus) in sums.items():
            for first, costs in pieces:
                for k, own in enumerate(costs, first):
                    new = (cost + own, [*minus, -k])
                    step[at + k] = min(step.get(at + k, new), new)
        sums = step
    expected = [-k for k in sums[lots][1]] if lots in sums else None
    assert cheapest(lots, choices, 10**6) == expected
    if expected is not None:
        assert cheapest(lots, choices, sums[lots][0]) == expected
        assert cheapest(lots, choices, sums[lots][0] - 1) is None


# ---- the two books of the demo


def test_the_first_deal_clears_at_lpr_less_15_with_every_offer_taken_whole() -> None:
    deal = book(
        {
            "hzbank": quote(
                (-35, 3000 * WAN), (-25, 3000 * WAN), (-15, 2000 * WAN), most=8000 * WAN
            ),
            "cib": quote(
                (-30, 2000 * WAN),
                (-20, 4000 * WAN),
                (-10, 4000 * WAN),
                least=2000 * WAN,
                most=10_000 * WAN,
            ),
            "czbank": quote((-25, 3000 * WAN), (-15, 3000 * WAN), most=6000 * WAN),
        },
        target=20_000 * WAN,
        lot=100 * WAN,
        date="2025-09-24",
    )
    assert cleared(clear(deal)) == (-15, (8000 * WAN, 6000 * WAN, 6000 * WAN))


def test_the_second_deal_clears_at_lpr_plus_30_under_the_rules_of_2011() -> None:
    deal = book(
        {
            "cib": quote((20, 1000 * WAN), (35, 800 * WAN), least=500 * WAN),
            "hzbank": quote((10, 600 * WAN), (30, 900 * WAN)),
            "czbank": quote((25, 500 * WAN), (40, 1000 * WAN), least=300 * WAN),
        },
        target=3000 * WAN,
        lot=10 * WAN,
        seats=("cib", "hzbank", "czbank"),
        lead="cib",
        date="2024-03-15",
    )
    assert cleared(clear(deal)) == (30, (1000 * WAN, 1500 * WAN, 500 * WAN))


# ---- the words of the contract, one by one


def test_equal_banks_share_equally_and_odd_lots_go_to_the_earlier_seats() -> None:
    even = dict.fromkeys(("hzbank", "cib", "czbank"), quote((0, 60)))
    assert cleared(clear(book(even, target=101))) == (0, (34, 34, 33))
    assert cleared(clear(book(even, target=100))) == (0, (34, 33, 33))


def test_where_not_all_equal_banks_reach_their_minimum_the_earlier_seats_hold() -> None:
    even = dict.fromkeys(("hzbank", "cib", "czbank"), quote((0, 60), least=45))
    assert cleared(clear(book(even, target=101))) == (0, (51, 50, 0))


def test_the_proportional_part_is_of_the_offer_itself_and_not_of_its_whole_lots() -> None:
    # floored to lots the two would be equal and the earlier seat would get the odd lot
    quotes = {"hzbank": quote((0, 50)), "cib": quote((0, 59))}
    uneven = book(quotes, target=50, lot=10, seats=("hzbank", "cib"))
    assert cleared(clear(uneven)) == (0, (20, 30))


def test_a_seat_without_a_quote_offers_and_holds_nothing_and_is_named_in_the_answer() -> None:
    outcome = clear(book({"hzbank": quote((0, 60)), "cib": quote((0, 60))}, target=100))
    assert isinstance(outcome, Cleared)
    assert outcome.allocation == {"hzbank": 50, "cib": 50, "czbank": 0}
    assert outcome.offers == {"hzbank": 60, "cib": 60, "czbank": 0}


def test_an_offer_is_its_steps_up_to_the_spread_cut_at_hold_and_headroom() -> None:
    steps = ((-20, 30), (-10, 30), (5, 30))
    table = [
        # spread, most, room, offer
        (-21, None, None, 0),
        (-20, None, None, 30),
        (-11, None, None, 30),
        (-10, None, None, 60),
        (99, None, None, 90),
        (99, 70, None, 70),
        (99, 70, 65, 65),
        (-20, 70, 65, 30),
        (99, None, 0, 0),
    ]
    for spread, most, room, expected in table:
        assert offer_at(quote(*steps, most=most, room=room), spread) == expected
    assert offer_at(None, 99) == 0


def test_a_minimum_above_the_offer_keeps_the_bank_out_until_the_offer_reaches_it() -> None:
    quotes = {"hzbank": quote((0, 50)), "cib": quote((0, 40), (9, 20), least=50)}
    assert cleared(clear(book(quotes, target=100, seats=("hzbank", "cib")))) == (9, (45, 55))


def assert_clears_whole_or_conflicts(
    date: str, co_leads: Sequence[str], offers: Sequence[int], conflict_of: tuple[str, ...] | None
) -> None:
    """A book of one step a bank and a target of 100; None: it clears with every offer taken."""
    seats = ("hzbank", "cib", "czbank")
    quotes = {seat: quote((0, own)) for seat, own in zip(seats, offers, strict=True) if own}
    outcome = clear(book(quotes, target=100, date=date, co_leads=co_leads))
    if conflict_of is None:
        assert cleared(outcome) == (0, tuple(offers))
    else:
        assert conflict(outcome) == conflict_of


@pytest.mark.parametrize(
    ("date", "co_leads", "offers", "conflict_of"),
    [
        # date        co-leads  offers        conflict
        ("2024-10-31", (), (20, 40, 40), None),
        ("2024-10-31", (), (19, 60, 60), ("offer:hzbank", "lead_min")),
        ("2024-11-01", (), (19, 60, 21), None),
        ("2024-11-01", (), (15, 60, 25), None),
        ("2024-11-01", (), (14, 60, 60), ("offer:hzbank", "lead_min")),
        ("2024-11-02", (), (14, 60, 60), ("offer:hzbank", "lead_min")),
        ("2024-10-31", ("cib",), (10, 60, 30), None),
        ("2024-10-31", ("cib",), (9, 60, 60), ("offer:hzbank", "co_lead_min:hzbank")),
        ("2024-11-01", ("cib",), (10, 60, 30), None),
        ("2024-11-01", ("cib",), (9, 60, 60), ("offer:hzbank", "co_lead_min:hzbank")),
        ("2024-11-01", ("cib",), (60, 9, 60), ("offer:cib", "co_lead_min:cib")),
        ("2024-11-01", ("cib",), (60, 31, 9), None),
    ],
)
def test_each_lead_holds_its_part_of_the_target(
    date: str,
    co_leads: tuple[str, ...],
    offers: tuple[int, int, int],
    conflict_of: tuple[str, ...] | None,
) -> None:
    assert_clears_whole_or_conflicts(date, co_leads, offers, conflict_of)


@pytest.mark.parametrize(
    ("date", "co_leads", "offers", "conflict_of"),
    [
        # a single lead is capped, the others are not
        ("2024-10-31", (), (50, 50, 0), None),
        ("2024-10-31", (), (51, 49, 0), ("offer:cib", "offer:czbank", "lead_max")),
        ("2024-11-01", (), (51, 49, 0), None),
        ("2024-11-01", (), (70, 30, 0), None),
        ("2024-11-01", (), (71, 29, 0), ("offer:cib", "offer:czbank", "lead_max")),
        ("2024-11-01", (), (20, 80, 0), None),
        # with co-leads every bank is, from the day on
        ("2024-10-31", ("cib",), (80, 20, 0), None),
        ("2024-11-01", ("cib",), (70, 30, 0), None),
        ("2024-11-01", ("cib",), (71, 29, 0), ("offer:cib", "offer:czbank", "bank_max:hzbank")),
        ("2024-11-01", ("cib",), (14, 15, 71), ("offer:hzbank", "offer:cib", "bank_max:czbank")),
        ("2024-10-31", ("cib",), (14, 15, 71), None),
    ],
)
def test_a_cap_binds_whom_and_when_the_measures_say(
    date: str,
    co_leads: tuple[str, ...],
    offers: tuple[int, int, int],
    conflict_of: tuple[str, ...] | None,
) -> None:
    assert_clears_whole_or_conflicts(date, co_leads, offers, conflict_of)


def test_without_the_rule_pack_the_lead_may_hold_nothing_or_all() -> None:
    assert cleared(clear(book({"cib": quote((0, 100))}, target=100, rules=()))) == (0, (0, 100, 0))
    assert cleared(clear(book({"hzbank": quote((0, 100))}, target=100, rules=()))) == (
        0,
        (100, 0, 0),
    )


def test_too_small_offers_are_a_gap_and_every_offer_is_in_the_conflict() -> None:
    outcome = clear(book({"hzbank": quote((0, 30), (5, 10)), "cib": quote((0, 50))}, target=100))
    assert outcome == Uncleared(
        gap_minor=10, conflict=("offer:hzbank", "offer:cib", "offer:czbank")
    )


def test_a_book_without_quotes_lacks_the_whole_target() -> None:
    for quotes in ({}, {"hzbank": quote()}):
        outcome = clear(book(quotes, target=100, rules=()))
        assert isinstance(outcome, Uncleared)
        assert outcome.gap_minor == 100
        assert outcome.conflict == ("offer:hzbank", "offer:cib", "offer:czbank")


def test_a_target_that_is_not_in_whole_lots_fails_by_the_lot_alone() -> None:
    quotes = {"hzbank": quote((0, 60)), "cib": quote((0, 60))}
    assert clear(book(quotes, target=101, lot=10)) == Uncleared(gap_minor=0, conflict=("lot",))


def test_offers_that_fill_the_target_only_in_fen_fail_by_lot_and_offers() -> None:
    quotes = {"hzbank": quote((0, 59)), "cib": quote((0, 59))}
    outcome = clear(book(quotes, target=110, lot=10, seats=("hzbank", "cib"), rules=()))
    assert outcome == Uncleared(gap_minor=0, conflict=("offer:hzbank", "offer:cib", "lot"))


def test_minimums_that_cannot_stand_together_are_named() -> None:
    quotes = dict.fromkeys(("hzbank", "cib"), quote((0, 60), least=60))
    outcome = clear(book(quotes, target=100, seats=("hzbank", "cib"), rules=()))
    assert conflict(outcome) == ("offer:hzbank", "offer:cib", "min_hold:hzbank", "min_hold:cib")


def test_dropping_an_offer_frees_the_bank_of_its_maximum_and_headroom_too() -> None:
    quotes = {"hzbank": quote((0, 200), most=90, room=80), "cib": quote((0, 10))}
    outcome = clear(book(quotes, target=100, seats=("hzbank", "cib"), rules=()))
    assert outcome == Uncleared(gap_minor=10, conflict=("offer:hzbank", "offer:cib"))


# ---- invariants of larger books


def audit(given_book: Book, outcome: Cleared) -> None:
    """What every clearing keeps, checked from the book; and no lot can move to a better place."""
    target, lot, offers = given_book.target_minor, given_book.lot_minor, outcome.offers
    held, whole = dict(outcome.allocation), sum(outcome.offers.values())
    assert tuple(held) == tuple(offers) == given_book.seats
    assert sum(held.values()) == target
    bounds = {}
    for seat in given_book.seats:
        quoted = given_book.quotes.get(seat)
        assert offers[seat] == brute_force.offer(quoted, outcome.spread_bp)
        least = (quoted.min_hold_minor or 0) if quoted else 0
        bounds[seat] = (least, offers[seat])
        assert held[seat] % lot == 0
        assert held[seat] == 0 or least <= held[seat] <= offers[seat]
    if given_book.rules:
        lead = held[given_book.lead]
        assert 15 * target <= 100 * lead <= 70 * target
    above = {seat: held[seat] * whole - target * offers[seat] for seat in held}  # x total offers
    free = [seat for seat in held if held[seat] and seat != given_book.lead]
    gives = [seat for seat in free if held[seat] - lot >= max(bounds[seat][0], lot)]
    takes = [seat for seat in free if held[seat] + lot <= bounds[seat][1]]
    if gives and takes:
        worst, best = max(above[seat] for seat in gives), min(above[seat] for seat in takes)
        assert worst - best <= lot * whole, "moving one lot would come nearer"


def large_book(
    rnd: random.Random, *, seats: int, lots: int, offer_lots: tuple[int, int], count: int = 8
) -> Book:
    """Quotes of that many steps, most with a minimum, maximum, headroom; a lead of a third."""
    lot = 100 * WAN
    names = tuple(f"bank{number:03}" for number in range(seats))
    quotes = {}
    for name in names:
        offered = rnd.randint(*offer_lots) * lot + rnd.randint(0, lot - 1)
        steps, spread = [], rnd.randint(-60, -20) if count > 1 else 0
        for _ in range(count):
            steps.append((spread, max(1, offered // count)))
            spread += rnd.randint(1, 12)
        least = rnd.choice([None, rnd.randint(offered // 4, offered * 15 // 16)])
        room = rnd.choice([None, offered * 7 // 8])
        quotes[name] = quote(*steps, least=least, most=offered, room=room)
    quotes[names[0]] = quote((-60, lots * lot // 3))
    return book(quotes, target=lots * lot, lot=lot, seats=names, lead=names[0])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**9), st.integers(5, 40), st.integers(30, 300))
def test_a_clearing_keeps_every_bound_and_no_single_lot_can_be_placed_better(
    seed: int, seats: int, lots: int
) -> None:
    fair = max(2, 3 * lots // seats)
    large = large_book(random.Random(seed), seats=seats, lots=lots, offer_lots=(1, fair))
    outcome = clear(large)
    if isinstance(outcome, Cleared):
        audit(large, outcome)
    else:
        assert outcome.conflict


@pytest.mark.parametrize(
    ("name", "offer_lots", "count"),
    [
        # offers of each bank in lots of a target of 2,000; steps
        ("typical", (5, 40), 8),
        ("large minimums", (150, 600), 8),
        ("one step, small", (5, 40), 1),
        ("one step, large minimums", (150, 600), 1),
        ("one step, few fit in", (400, 2000), 1),
    ],
)
def test_two_hundred_banks_and_two_thousand_lots_clear(
    name: str, offer_lots: tuple[int, int], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rnd = random.Random(name)
    large = large_book(rnd, seats=200, lots=2000, offer_lots=offer_lots, count=count)
    began = time.process_time()
    outcome = clear(large)
    spent = time.process_time() - began
    with capsys.disabled():
        print(f"\nclear, 200 banks x 2,000 lots, {name}: {spent:.3f} s CPU")
    assert isinstance(outcome, Cleared)
    audit(large, outcome)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        # in lots of 2,000, each of 200 banks drawn from the span
        ("no play", (90, 110), 0),
        ("one lot of play", (90, 110), 1),
        ("eleven fit in", (180, 220), 1500),
        ("four fit in", (450, 460), 45),
        ("three fit in", (600, 900), 1100),
    ],
)
def test_a_hostile_book_of_two_hundred_banks_and_two_thousand_lots_clears(
    name: str, least: tuple[int, int], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offers that differ by fen and minimums that leave few banks in: branches do not end it."""
    rnd, lot = random.Random(name), 100 * WAN
    quotes = {}
    for number in range(200):
        low = rnd.randint(*least) * lot
        offered = low + rnd.randint(0, most) * lot + rnd.randint(0, lot - 1)
        quotes[f"bank{number:03}"] = quote((0, offered), least=low)
    hostile = book(
        quotes, target=2000 * lot, lot=lot, seats=tuple(quotes), lead="bank000", rules=()
    )
    began = time.process_time()
    outcome = clear(hostile)
    spent = time.process_time() - began
    with capsys.disabled():
        print(f"\nclear, 200 banks x 2,000 lots, {name}: {spent:.3f} s CPU")
    assert isinstance(outcome, Cleared)
    audit(hostile, outcome)


def test_two_hundred_banks_that_cannot_fill_two_thousand_lots_are_told_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rnd, lot = random.Random(3), 100 * WAN
    quotes = {}
    for number in range(200):
        offered = rnd.randint(9 * lot, 11 * lot)
        quotes[f"bank{number:03}"] = quote((0, offered), least=offered)
    short = book(quotes, target=1900 * lot, lot=lot, seats=tuple(quotes), lead="bank000", rules=())
    began = time.process_time()
    outcome = clear(short)
    spent = time.process_time() - began
    with capsys.disabled():
        print(f"\nclear, 200 banks x 2,000 lots, no clearing: {spent:.3f} s CPU")
    assert {"lot", "min_hold:bank000"} <= set(conflict(outcome))


def test_a_target_in_lots_of_one_fen_clears_as_fast_as_one_in_large_lots() -> None:
    rnd = random.Random(7)
    large = large_book(rnd, seats=40, lots=2000, offer_lots=(20, 200))
    fine = book(dict(large.quotes), target=large.target_minor, seats=large.seats, lead="bank000")
    outcome = clear(fine)
    assert isinstance(outcome, Cleared)
    audit(fine, outcome)


def test_a_book_beyond_any_bounded_search_is_refused_by_name() -> None:
    rnd = random.Random(11)
    names = tuple(f"bank{number:02}" for number in range(60))
    quotes = {}
    for name in names:
        offered = rnd.randint(10**9, 2 * 10**9) * 2
        quotes[name] = quote((0, offered), least=offered)
    odd = book(quotes, target=30 * 10**9 + 1, seats=names, lead="bank00", rules=())
    with pytest.raises(BookTooTangled) as refusal:
        clear(odd)
    assert refusal.value.code == "book-too-tangled"
