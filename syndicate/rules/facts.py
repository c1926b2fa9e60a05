"""How the facts of a rule pack are read from JSON: strictly, exactly, and absent when not given.

A field left out stays `UNSET`, and the rules that need it say so. Nothing else is lenient: an
unknown field, another type, a null where null means nothing, an amount that is not a plain decimal
string, is refused by JSON path. Amounts are exact Fractions in whatever one unit the document uses.
"""

import re
from fractions import Fraction
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, UnsetType

from ledger.errors import WrongInput

F = TypeVar("F")

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Known = Fraction | UnsetType
"""An amount, or UNSET where the document does not give it."""


class Quantity(Fraction):
    """A number that is no amount (years, a stake): a JSON integer or a decimal string."""


_AMOUNT: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,8})?", re.ASCII)
_FIELD: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def read_facts(document: Any, shape: type[F], *, place: str = "$") -> F:
    """The facts of one JSON value already read strictly (no duplicate keys, no NaN).

    place  what a refusal calls the document
    Raises WrongInput naming the JSON path and what was expected there.
    """
    try:
        return msgspec.convert(document, shape, strict=True, dec_hook=_number)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), place) from error


def refuse_zero(place: str, **divisors: Fraction | UnsetType | None) -> None:
    """Raises WrongInput for an amount of nothing where a share of it is asked."""
    for name, amount in divisors.items():
        if isinstance(amount, Fraction) and amount == 0:
            raise WrongInput(f"{place}.{name}", "an amount above zero")


def share(part: Known, whole: Known) -> Fraction | None:
    """The exact share of `part` in `whole`, or None where either is not given."""
    if isinstance(part, UnsetType) or isinstance(whole, UnsetType):
        return None
    return part / whole


def _number(kind: type, value: Any) -> Fraction:
    """msgspec's hook for the two number types; a ValueError becomes a refusal with its path."""
    if kind is Quantity and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Quantity(value)
    if kind in (Fraction, Quantity):
        if isinstance(value, str) and _AMOUNT.fullmatch(value):
            return Quantity(value) if kind is Quantity else Fraction(value)
        either = "an integer or " if kind is Quantity else ""
        raise ValueError(f'{either}a non-negative decimal string, as "1000000.01"')
    raise NotImplementedError(kind)


def _refusal(said: str, place: str) -> WrongInput:
    """msgspec's words as a refusal on one line, none of it text the sender wrote."""
    message, _, path = said.rpartition(" - at `")
    message, path = (message, path.rstrip("`")) if message else (said, "$")
    where = place + path.removeprefix("$")
    if field := _FIELD.fullmatch(message):
        unknown = field.group(1) == "contains unknown"
        name = field.group(2) if _PLAIN.fullmatch(field.group(2)) else ascii(field.group(2))
        return WrongInput(f"{where}.{name}", "no such field" if unknown else "a value, not nothing")
    if message.startswith("Invalid enum value"):
        return WrongInput(where, "one of the words the pack documents")
    if message.startswith("Invalid RFC3339"):
        return WrongInput(where, 'a date that exists, written "YYYY-MM-DD"')
    return WrongInput(where, message.removeprefix("Expected ").replace("`", ""))
