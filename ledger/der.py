"""How the few ASN.1 values of a time-stamp are read and written: DER, strictly, value by value.

Only what RFC 3161 needs: definite lengths in their shortest form, tags of one byte. What is left
over is refused, never skipped unseen. It knows no certificates and no algorithms.

Source: ITU-T X.690 (DER).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from ledger.errors import WrongInput

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31


class Value(msgspec.Struct, frozen=True):
    """One value. whole: tag, length and content as they stood."""

    tag: int
    content: bytes
    whole: bytes


def read(raw: bytes, *, place: str) -> Value:
    """The one value that these bytes are. Raises WrongInput at the place."""
    value, rest = _next(raw, place=place)
    if rest:
        raise WrongInput(place, "one DER value and nothing after it")
    return value


def parts(value: Value, *, place: str) -> list[Value]:
    """The values inside a constructed one, in order."""
    if not value.tag & 0x20:
        raise WrongInput(place, "a constructed DER value")
    found, rest = [], value.content
    while rest:
        part, rest = _next(rest, place=place)
        found.append(part)
    return found


def content(value: Value, tag: int, *, place: str) -> bytes:
    """The content of a value that must have this tag."""
    if value.tag != tag:
        raise WrongInput(place, f"a DER value of tag {tag:#04x}, not {value.tag:#04x}")
    return value.content


def integer(value: Value, *, place: str) -> int:
    """The number of an INTEGER in its shortest form."""
    raw = content(value, INTEGER, place=place)
    is_padded = len(raw) > 1 and (raw[0], raw[1] >> 7) in ((0x00, 0), (0xFF, 1))
    if not raw or is_padded:
        raise WrongInput(place, "a DER integer in its shortest form")
    return int.from_bytes(raw, "big", signed=True)


def oid(value: Value, *, place: str) -> str:
    """The dotted object identifier."""
    raw = content(value, OID, place=place)
    if not raw or raw[-1] & 0x80:
        raise WrongInput(place, "a DER object identifier")
    numbers, number = [], 0
    for byte in raw:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def time(value: Value, *, place: str) -> datetime:
    """The time of a GeneralizedTime in UTC, fractions of a second allowed."""
    raw = content(value, TIME, place=place).decode("ascii", "replace")
    whole, _, fraction = raw.removesuffix("Z").partition(".")
    try:
        found = datetime.strptime(f"{whole}+0000", "%Y%m%d%H%M%S%z").astimezone(UTC)
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    except ValueError as error:
        raise WrongInput(place, "a time as 20240301093000Z") from error
    if not raw.endswith("Z") or len(whole) != 14:
        raise WrongInput(place, "a time as 20240301093000Z")
    return found.replace(microsecond=micros)


def _next(raw: bytes, *, place: str) -> tuple[Value, bytes]:
    if len(raw) < 2 or raw[0] & 0x1F == 0x1F:
        raise WrongInput(place, "a DER value with a tag of one byte")
    size, start = raw[1], 2
    if size == 0x80 or size > 0x84:
        raise WrongInput(place, "a DER value of definite length")
    if size > 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(raw[2:start], "big")
        if size < 0x80 or raw[2:3] == b"\x00":
            raise WrongInput(place, "a DER length in its shortest form")
    end = start + size
    if len(raw) < end:
        raise WrongInput(place, "a DER value that does not end before its length")
    return Value(raw[0], raw[start:end], raw[:end]), raw[end:]


# ---- writing


def write(tag: int, inner: bytes) -> bytes:
    """A value of this tag and content."""
    size = len(inner)
    if size < 0x80:
        return bytes([tag, size]) + inner
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + inner


def write_integer(number: int) -> bytes:
    """An INTEGER in its shortest form."""
    bits = (number if number >= 0 else ~number).bit_length()
    return write(INTEGER, number.to_bytes(bits // 8 + 1, "big", signed=True))


def write_oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *others = (int(number) for number in dotted.split("."))
    raw = b""
    for number in (40 * first + second, *others):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        raw += bytes(reversed(groups))
    return write(OID, raw)


def write_sequence(values: Iterable[bytes]) -> bytes:
    """A SEQUENCE of values already written."""
    return write(SEQUENCE, b"".join(values))
