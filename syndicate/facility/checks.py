"""Whether a single value of a command is in its range. It knows no facility."""

import re
from typing import Final

from ledger.errors import WrongInput
from ledger.money import MAX_MINOR

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._:-]{0,79}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
MAX_TEXT: Final = 200


def check_name(value: str, *, place: str) -> None:
    """Nothing: the value may name something in the ledger for ever."""
    if _NAME.fullmatch(value) is None:
        raise WrongInput(place, "a lower-case name of at most 80 characters, as a-z 0-9 . _ : -")


def check_text(value: str, *, place: str) -> None:
    """Nothing: the value is a short text on one line that says something."""
    if not value.strip() or len(value) > MAX_TEXT or not value.isprintable():
        raise WrongInput(place, f"1 to {MAX_TEXT} printable characters on one line, not blank")


def check_sha256(value: str, *, place: str) -> None:
    """Nothing: the value is a SHA-256 in lower-case hex."""
    if _SHA256.fullmatch(value) is None:
        raise WrongInput(place, "a SHA-256, 64 lower-case hexadecimal digits")


def check_amount(value: int, *, place: str) -> None:
    """Nothing: the value is an amount that can move."""
    if not 0 < value <= MAX_MINOR:
        raise WrongInput(place, f"an amount of 1 to {MAX_MINOR} minor units")
