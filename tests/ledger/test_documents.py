"""Documents are read strictly and written in one way only; amounts are integers of minor units."""

import json
from fractions import Fraction

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import leaves
from ledger.documents import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    canonical,
    read_document,
    read_json,
)
from ledger.entries import Account, Entry
from ledger.errors import WrongInput
from ledger.leaves import Actor, Leaf
from ledger.money import (
    MAX_MINOR,
    SCALES,
    format_amount,
    parse_amount,
    parse_decimal,
    round_half_up,
)

UNREADABLE = (
    # why                       bytes                             what the refusal names
    ("a duplicate key", b'{"a":1,"a":1}', "a"),
    ("one deep inside", b'{"x":[{"share":1,"share":2}]}', "share"),
    ("NaN", b'{"a":NaN}', "NaN"),
    ("Infinity", b"[Infinity]", "Infinity"),
    ("minus Infinity", b"[-Infinity]", "-Infinity"),
    ("a float beyond the largest", b'{"a":1e999}', "$.a"),
    ("an integer beyond 2^53-1", b"[9007199254740992]", "2^53-1"),
    ("one below -(2^53-1)", b"[-9007199254740992]", "2^53-1"),
    ("an integer of many digits", b"1" * 5_000, "2^53-1"),
    ("not UTF-8", b'"\xff"', "UTF-8"),
    ("UTF-16", '"a"'.encode("utf-16"), "UTF-8"),
    ("a NUL", b'{"a":"x\\u0000"}', "$"),
    ("a NUL in a key", b'{"x\\u0000":1}', "$"),
    ("a lone surrogate", b'["\\ud800"]', "surrogate"),
    ("a comment", b"{} // no", "line 1 column 4"),
    ("a trailing comma", b"[1,]", "line 1"),
    ("two documents", b"{} {}", "line 1"),
    ("nothing", b"", "line 1"),
    ("single quotes", b"{'a':1}", "line 1"),
    ("a leading zero", b"[01]", "line 1"),
    ("nesting one level too deep", b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "levels"),
    ("nesting beyond any stack", b"[" * 100_000, "levels"),
)


@pytest.mark.parametrize(
    ("why", "raw", "named"), UNREADABLE, ids=[row[0].replace(" ", "-") for row in UNREADABLE]
)
def test_what_a_lenient_parser_lets_through_is_refused_by_name(
    why: str, raw: bytes, named: str
) -> None:
    with pytest.raises(WrongInput) as refused:
        read_json(raw)
    assert named in str(refused.value)


def test_the_largest_integers_and_the_deepest_nesting_are_read() -> None:
    assert read_json(b"[9007199254740991,-9007199254740991]") == [
        MAX_SAFE_INTEGER,
        -MAX_SAFE_INTEGER,
    ]
    assert json.dumps(read_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))).count("[") == 65
    assert read_json('"\\ud83d\\ude00 联贷"'.encode()) == "😀 联贷"


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    amount_minor: int


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    parts: tuple[Amount, ...]


MISSHAPEN = (
    # why                  bytes                                           place
    ("an unknown field", b'{"parts":[],"colour":1}', "$rule"),
    ("a missing field", b"{}", "$rule"),
    ("a text for a number", b'{"parts":[{"amount_minor":"1"}]}', "$rule.parts[0].amount_minor"),
    ("a float for an integer", b'{"parts":[{"amount_minor":1.5}]}', "$rule.parts[0].amount_minor"),
    ("true for an integer", b'{"parts":[{"amount_minor":true}]}', "$rule.parts[0].amount_minor"),
    ("null for an array", b'{"parts":null}', "$rule.parts"),
)


@pytest.mark.parametrize(
    ("why", "raw", "place"), MISSHAPEN, ids=[row[0].replace(" ", "-") for row in MISSHAPEN]
)
def test_a_document_of_another_shape_is_refused_by_its_place(
    why: str, raw: bytes, place: str
) -> None:
    with pytest.raises(WrongInput) as refused:
        read_document(raw, Parts, place="$rule")
    assert refused.value.place == place


# ---- writing

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(VALUES)
def test_canonical_bytes_are_those_of_rfc_8785_whatever_the_text(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert read_or_none(canonical(value)) in (value, None)


def read_or_none(raw: bytes) -> object:
    """The value read back; None where it holds a NUL, which is written but never read."""
    try:
        return read_json(raw)
    except WrongInput:
        assert b"\\u0000" in raw
        return None


KEYS = ("a", "Z", "é", "联", "\ue000", "😀", "\U0010ffff", "\x7f", "", "aa")


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    """The astral "😀" (D83D DE00) stands before "\\ue000", unlike by code points."""
    written = canonical(dict.fromkeys(KEYS, 1))
    assert list(json.loads(written)) == sorted(KEYS, key=lambda key: key.encode("utf-16-be"))
    assert written == canonical(dict.fromkeys(reversed(KEYS), 1))


@given(number=st.floats(), depth=st.integers(0, 3), beside=TEXT)
def test_a_float_is_refused_wherever_it_stands(number: float, depth: int, beside: str) -> None:
    """NaN and whole numbers too: what is signed or hashed holds none."""
    value: object = number
    for level in range(depth):
        value = {"here": value, beside + "!": 1} if level % 2 else [1, value]
    with pytest.raises(WrongInput, match="no float"):
        canonical(value)


UNWRITABLE = (
    # why                         value                              place
    ("a float", {"rate": [0.5]}, "$.rate[0]"),
    ("a whole float", {"rate": 1.0}, "$.rate"),
    ("an integer beyond 2^53-1", {"n": 2**53}, "$.n"),
    ("a key that is no text", {"a": {1: "x"}}, "$.a"),
    ("a lone surrogate", {"a": "\ud800"}, "$"),
    ("one in a key", {"\udfff": 1}, "$"),
)


@pytest.mark.parametrize(
    ("why", "value", "place"), UNWRITABLE, ids=[row[0].replace(" ", "-") for row in UNWRITABLE]
)
def test_what_has_no_canonical_form_is_refused_by_its_place(
    why: str, value: object, place: str
) -> None:
    with pytest.raises(WrongInput) as refused:
        canonical(value)
    assert refused.value.place == place


def leaf(subject: dict[str, object]) -> Leaf:
    day = msgspec.convert("2024-03-01", type=leaves.date)
    return Leaf(
        book="own-test-1",
        kind="transaction",
        leaf_id="test:1",
        subject=subject,
        entries=(
            Entry(Account("test", "cash", "", "", "CNY"), 5),
            Entry(Account("test", "owed", "", "d1", "CNY"), -5),
        ),
        value_date=day,
        booking_date=day,
        recorded_at=msgspec.convert("2024-03-01T01:02:03.4Z", type=leaves.datetime),
        actor=Actor(institution="test", user="someone"),
        corrects=None,
    )


@settings(max_examples=50)
@given(st.dictionaries(TEXT, SCALARS, max_size=4))
def test_a_leafs_bytes_are_rfc_8785_and_say_the_leaf(subject: dict[str, object]) -> None:
    raw = leaves.encode(leaf(subject))
    assert raw == rfc8785.dumps(json.loads(raw))
    if b"\\u0000" not in raw:
        assert leaves.decode(raw) == leaf(subject)


def test_no_leaf_holds_a_float() -> None:
    with pytest.raises(WrongInput) as refused:
        leaves.encode(leaf({"type": "Quoted", "rate": 0.0435}))
    assert refused.value.place == "$.subject.rate"


# ---- amounts

AMOUNTS = (
    # text                    currency  minor units
    ("0.00", "CNY", 0),
    ("0", "CNY", 0),
    ("0.01", "CNY", 1),
    ("0.1", "CNY", 10),
    ("1000000.01", "CNY", 100_000_001),
    ("12", "JPY", 12),
    ("90071992547409.91", "CNY", MAX_MINOR),
)


@pytest.mark.parametrize(("text", "currency", "minor"), AMOUNTS)
def test_a_decimal_string_is_read_to_the_minor_unit(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency=currency, place="$") == minor


NOT_AMOUNTS = (
    *("", " ", "1.", ".5", "01", "+1", "-1", "1,000", "1e3", "1_0", " 1", "1 ", "1\n", "0x1"),
    *("NaN", "1.001", "１", "1.0.0", "90071992547409.92", "9" * 18, "9" * 40, None, 1, 1.5, True),
)


@pytest.mark.parametrize("text", NOT_AMOUNTS, ids=repr)
def test_what_is_no_amount_is_refused_by_its_place(text: object) -> None:
    with pytest.raises(WrongInput) as refused:
        parse_amount(text, currency="CNY", place="$.amount")
    assert refused.value.place == "$.amount"


def test_a_currency_decides_how_many_decimals_there_are() -> None:
    with pytest.raises(WrongInput):
        parse_amount("1.0", currency="JPY", place="$")
    with pytest.raises(WrongInput):
        parse_amount("1", currency="XAU", place="$")


@given(st.integers(0, MAX_MINOR), st.sampled_from(sorted(SCALES)))
def test_what_is_written_is_read_back(minor: int, currency: str) -> None:
    text = format_amount(minor, currency=currency)
    assert parse_amount(text, currency=currency, place="$") == minor
    assert Fraction(text) * 10 ** SCALES[currency] == minor
    assert format_amount(-minor, currency=currency) == (f"-{text}" if minor else text)


HALVES = (
    # exact              rounded half up, away from zero
    (Fraction(1, 2), 1),
    (Fraction(-1, 2), -1),
    (Fraction(3, 2), 2),
    (Fraction(5, 2), 3),
    (Fraction(-5, 2), -3),
    (Fraction(49, 100), 0),
    (Fraction(-49, 100), 0),
    (Fraction(51, 100), 1),
    (Fraction(7), 7),
)


@pytest.mark.parametrize(("exact", "rounded"), HALVES, ids=str)
def test_a_half_is_rounded_away_from_zero(exact: Fraction, rounded: int) -> None:
    assert round_half_up(exact) == rounded


@given(st.fractions(max_denominator=1_000))
def test_rounding_moves_by_at_most_a_half(exact: Fraction) -> None:
    assert abs(round_half_up(exact) - exact) <= Fraction(1, 2)


def test_a_decimal_is_read_exactly() -> None:
    assert parse_decimal("0.0435", place="$") == Fraction(435, 10_000)
    assert parse_decimal("-0.001", place="$") == Fraction(-1, 1_000)
    for wrong in ("", "1.", ".1", "1e-3", "+1", "0.1 ", "--1", "0.0435\n", 0.1, 1, None):
        with pytest.raises(WrongInput):
            parse_decimal(wrong, place="$")
