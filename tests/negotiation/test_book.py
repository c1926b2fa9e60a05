"""How a book of quotes is read, what is wrong input and where, and how the answer is written."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.documents import read_json
from ledger.errors import WrongInput
from negotiation.book import answer, read_book

Change = Callable[[dict[str, Any]], object]

BOOK: dict[str, Any] = {
    "currency": "CNY",
    "target": "100000000.00",
    "lot": "1000000.00",
    "lead": "hzbank",
    "co_leads": [],
    "seats": ["hzbank", "cib", "czbank"],
    "date": "2026-01-15",
    "rules": ["cn-syndicated"],
    "quotes": {
        "hzbank": {
            "steps": [
                {"spread_bp": -30, "amount": "20000000.00"},
                {"spread_bp": -10, "amount": "30000000.5"},
            ],
            "min_hold": "10000000.00",
            "max_hold": "50000000.00",
            "headroom": "60000000",
        },
        "cib": {"steps": [{"spread_bp": -20, "amount": "60000000.00"}]},
    },
}


def changed(change: Change) -> dict[str, Any]:
    document = copy.deepcopy(BOOK)
    change(document)
    return document


def test_a_book_that_clears_answers_with_every_seat_in_decimal_strings() -> None:
    assert answer(BOOK) == (
        True,
        {
            "feasible": True,
            "clearing_spread_bp": -10,
            "allocation": {"hzbank": "45000000.00", "cib": "55000000.00", "czbank": "0.00"},
            "offers": {"hzbank": "50000000.00", "cib": "60000000.00", "czbank": "0.00"},
        },
    )


def test_a_book_that_does_not_clear_answers_with_the_gap_and_the_conflict() -> None:
    document = changed(lambda book: book.update(target="120000000.00"))
    assert answer(document) == (
        False,
        {
            "feasible": False,
            "gap": "10000000.00",
            "conflict": ["offer:hzbank", "offer:cib", "offer:czbank"],
        },
    )


def test_no_quotes_is_a_valid_book_that_does_not_clear() -> None:
    feasible, told = answer(changed(lambda book: book.update(quotes={}, rules=[])))
    assert not feasible
    assert told["gap"] == "100000000.00"


def test_the_answer_is_plain_json_and_the_same_each_time() -> None:
    raw = json.dumps(BOOK).encode()
    first, second = answer(read_json(raw)), answer(read_json(raw))
    assert json.dumps(first) == json.dumps(second)
    assert list(first[1]["allocation"]) == BOOK["seats"]


def test_what_is_optional_may_be_absent() -> None:
    document = changed(lambda book: book.pop("rules"))
    for limit in ("min_hold", "max_hold", "headroom"):
        del document["quotes"]["hzbank"][limit]
    book = read_book(document, place="$")
    assert book.rules == ()
    quote = book.quotes["hzbank"]
    assert (quote.min_hold_minor, quote.max_hold_minor, quote.headroom_minor) == (None, None, None)


def test_amounts_are_read_to_the_fen_in_the_currency_of_the_book() -> None:
    book = read_book(BOOK, place="$")
    assert (book.target_minor, book.lot_minor) == (10_000_000_000, 100_000_000)
    assert [step.amount_minor for step in book.quotes["hzbank"].steps] == [
        2_000_000_000,
        3_000_000_050,
    ]
    assert book.quotes["hzbank"].headroom_minor == 6_000_000_000


def test_limits_of_zero_are_limits() -> None:
    document = changed(lambda book: book["quotes"]["cib"].update(max_hold="0.00", min_hold="0.00"))
    feasible, told = answer(document)
    assert not feasible
    assert told["gap"] == "50000000.00"


def steps(*pairs: tuple[object, object]) -> Change:
    def change(book: dict[str, Any]) -> None:
        book["quotes"]["cib"]["steps"] = [{"spread_bp": s, "amount": a} for s, a in pairs]

    return change


def set_to(**fields: object) -> Change:
    return lambda book: book.update(fields)


def quote_with(**fields: object) -> Change:
    return lambda book: book["quotes"]["cib"].update(fields)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        # the document
        (set_to(colour="red"), "$"),
        (lambda book: book.pop("target"), "$"),
        (lambda book: book.pop("co_leads"), "$"),
        (lambda book: book.pop("date"), "$"),
        (set_to(currency="XYZ"), "$.currency"),
        (set_to(currency=None), "$.currency"),
        (set_to(target="0.00"), "$.target"),
        (set_to(target="-1.00"), "$.target"),
        (set_to(target="1.001"), "$.target"),
        (set_to(target="1e9"), "$.target"),
        (set_to(target=100), "$.target"),
        (set_to(lot="0.00"), "$.lot"),
        (set_to(lot=True), "$.lot"),
        (set_to(date="2026-02-30"), "$.date"),
        (set_to(date="20260115"), "$.date"),
        (set_to(date="2026-1-15"), "$.date"),
        (set_to(date=" 2026-01-15"), "$.date"),
        (set_to(date=20260115), "$.date"),
        # seats
        (set_to(seats=[]), "$.lead"),
        (set_to(seats=["hzbank", "cib", "hzbank"]), "$.seats[2]"),
        (set_to(seats=["hzbank", "cib", ""]), "$.seats[2]"),
        (set_to(seats="hzbank"), "$.seats"),
        (set_to(lead="icbc"), "$.lead"),
        (set_to(lead=None), "$.lead"),
        (set_to(co_leads=["icbc"]), "$.co_leads[0]"),
        (set_to(co_leads=["cib", "hzbank"]), "$.co_leads[1]"),
        (set_to(co_leads=["cib", "cib"]), "$.co_leads[1]"),
        # rules
        (set_to(rules=["cn-syndicate"]), "$.rules[0]"),
        (set_to(rules=["cn-syndicated", "cn-large-exposure"]), "$.rules[1]"),
        (set_to(rules=["cn-syndicated", "cn-syndicated"]), "$.rules[1]"),
        (set_to(rules=None), "$.rules"),
        # quotes
        (set_to(quotes=[]), "$.quotes"),
        (lambda book: book["quotes"].update(icbc={"steps": []}), "$.quotes.icbc"),
        (lambda book: book["quotes"].update(cib=None), "$.quotes.cib"),
        (lambda book: book["quotes"].update(cib={}), "$.quotes.cib"),
        (quote_with(floor="1.00"), "$.quotes.cib"),
        (quote_with(min_hold="0.001"), "$.quotes.cib.min_hold"),
        (quote_with(max_hold=None), "$.quotes.cib.max_hold"),
        (quote_with(headroom="1,000.00"), "$.quotes.cib.headroom"),
        (quote_with(min_hold="2.01", max_hold="2.00"), "$.quotes.cib.min_hold"),
        (quote_with(min_hold="0.01", max_hold="0.00"), "$.quotes.cib.min_hold"),
        # steps
        (quote_with(steps={}), "$.quotes.cib.steps"),
        (quote_with(steps=[7]), "$.quotes.cib.steps[0]"),
        (quote_with(steps=[{"spread_bp": 1}]), "$.quotes.cib.steps[0]"),
        (quote_with(steps=[{"spread_bp": 1, "amount": "1", "x": 1}]), "$.quotes.cib.steps[0]"),
        (steps((True, "1.00")), "$.quotes.cib.steps[0].spread_bp"),
        (steps((1.0, "1.00")), "$.quotes.cib.steps[0].spread_bp"),
        (steps(("1", "1.00")), "$.quotes.cib.steps[0].spread_bp"),
        (steps((10_001, "1.00")), "$.quotes.cib.steps[0].spread_bp"),
        (steps((-10_001, "1.00")), "$.quotes.cib.steps[0].spread_bp"),
        (steps((1, "1.00"), (1, "1.00")), "$.quotes.cib.steps[1].spread_bp"),
        (steps((1, "1.00"), (2, "1.00"), (0, "1.00")), "$.quotes.cib.steps[2].spread_bp"),
        (steps((1, "1.00"), (2, "0.00")), "$.quotes.cib.steps[1]"),
        (steps((1, "-1.00")), "$.quotes.cib.steps[0].amount"),
        (steps((1, 1)), "$.quotes.cib.steps[0].amount"),
        (steps((1, "90071992547409.92")), "$.quotes.cib.steps[0].amount"),
    ],
)
def test_wrong_input_is_named_by_its_path(change: Change, place: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        answer(changed(change))
    assert refusal.value.place == place
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("document", [None, [], "book", 7, True])
def test_a_document_that_is_no_object_is_wrong_input(document: object) -> None:
    with pytest.raises(WrongInput) as refusal:
        answer(document)
    assert refusal.value.place == "$"


@pytest.mark.parametrize("spread", [-10_000, 10_000])
def test_the_widest_spreads_are_still_read(spread: int) -> None:
    assert read_book(changed(steps((spread, "1.00"))), place="$").quotes["cib"].steps
