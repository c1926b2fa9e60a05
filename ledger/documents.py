"""How a JSON document is read strictly and written canonically. It never touches files.

Reading refuses what a lenient parser lets through: duplicate keys, NaN and Infinity, bytes that are
not UTF-8, numbers beyond 2^53 - 1. Writing follows RFC 8785 (JCS), so equal values have equal bytes
and a signature or a hash over them means one thing.
"""

import json
import re
from typing import Any, TypeVar

import msgspec
import rfc8785

from ledger.errors import WrongInput

T = TypeVar("T")

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(raw: bytes, *, place: str = "$") -> Any:
    """The value of one JSON document (RFC 8259), read strictly.

    place  what a refusal calls the document's root
    Raises WrongInput naming the offence; a duplicate key is named by its own name.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongInput(place, "UTF-8 text") from error

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                raise WrongInput(f"{place}…{key}", "each key once, not a duplicate key")
            seen[key] = value
        return seen

    def constant(name: str) -> Any:
        raise WrongInput(place, f"a finite number, not {name}")

    def integer(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > MAX_SAFE_INTEGER:
            raise WrongInput(place, "integers of at most 2^53-1")
        return int(digits)

    try:
        value = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer
        )
    except RecursionError as error:
        raise WrongInput(place, f"at most {MAX_DEPTH} levels of nesting") from error
    except json.JSONDecodeError as error:
        raise WrongInput(
            f"{place} line {error.lineno} column {error.colno}", f"JSON ({error.msg})"
        ) from error
    _check_shape(value, place=place, depth=0)
    return value


def _check_shape(value: Any, *, place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise WrongInput(place, f"at most {MAX_DEPTH} levels of nesting")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, place=place)
            _check_shape(inner, place=f"{place}.{key}", depth=depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_shape(inner, place=f"{place}[{index}]", depth=depth + 1)
    elif isinstance(value, str):
        _check_text(value, place=place)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise WrongInput(place, "a finite number")


def _check_text(value: str, *, place: str) -> None:
    """PostgreSQL stores no NUL and UTF-8 has no lone surrogate: both are refused by name."""
    if "\x00" in value or not (value.isascii() or _LONE_SURROGATE.search(value) is None):
        raise WrongInput(place, "text without NUL or lone surrogates")


def convert(value: Any, shape: type[T], *, place: str = "$") -> T:
    """`value` as a msgspec type; unknown fields and wrong types are refused by JSON path."""
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        where = path.rstrip("`").replace("$", place, 1) if path else place
        raise WrongInput(where, _in_our_words(message)) from error


def _in_our_words(message: str) -> str:
    """What msgspec found wrong, so that it reads on after "expected"."""
    wanted, _, got = message.removeprefix("Expected ").partition(", got ")
    if got:
        return f"{wanted}, not {got}"
    for unsaid, said in (
        ("Object contains unknown field ", "no unknown field "),
        ("Object missing required field ", "the field "),
    ):
        if message.startswith(unsaid):
            return said + message.removeprefix(unsaid)
    return wanted if message.startswith("Expected ") else f"something else ({message})"


def read_document(raw: bytes, shape: type[T], *, place: str = "$") -> T:
    """One strict JSON document as a msgspec type; see `read_json` and `convert`."""
    return convert(read_json(raw, place=place), shape, place=place)


def read_hash(text: str, *, place: str) -> bytes:
    """The 32 bytes of a SHA-256 in hex, in its one spelling. WrongInput for any other."""
    if _HASH.fullmatch(text) is None:
        raise WrongInput(place, "64 lower-case hex digits")
    return bytes.fromhex(text)


_WRITER = msgspec.json.Encoder(order="sorted")


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a value: dicts, lists, strings, integers, booleans, None, Structs.

    A Struct is written as msgspec would. Raises WrongInput, naming the place, for a float (nothing
    we sign or hash holds one), an integer beyond 2^53 - 1, a key that is no text, a lone surrogate.

    RFC 8785 orders keys by UTF-16 code units; for ASCII keys that is the order of msgspec's sorted
    writer, many times as fast, and the two write all else alike. Other keys go through `rfc8785`.
    """
    plain = msgspec.to_builtins(value, builtin_types=())
    ascii_keys = _check_writable(plain, place="$")
    try:
        return _WRITER.encode(plain) if ascii_keys else rfc8785.dumps(plain)
    except (UnicodeEncodeError, rfc8785.CanonicalizationError) as error:
        raise WrongInput("$", "text without lone surrogates") from error


def _check_writable(value: Any, *, place: str) -> bool:
    """Whether all keys are ASCII. Raises WrongInput for what has no canonical form here."""
    ascii_keys = True
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise WrongInput(place, f"keys of text, not {key!r}")
            ascii_keys &= key.isascii()
            if type(inner) is not str:  # most values are text, and a call each is what costs
                ascii_keys &= _check_writable(inner, place=f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            ascii_keys &= _check_writable(inner, place=f"{place}[{index}]")
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise WrongInput(place, "integers of at most 2^53-1")
    elif value is not None and not isinstance(value, str):
        raise WrongInput(place, "no float: what is signed or hashed holds integers and text")
    return ascii_keys
