"""Whether an identity number is well formed: USCC and LEI. It never says that one was issued.

A code is judged exactly as written. Nothing is normalised: a full-width digit, a blank, a hyphen
or a lower-case letter makes it invalid, as two spellings of one number would be two parties here.
Check characters are computed by python-stdnum.
"""

import re
from typing import Final

from msgspec import Struct
from stdnum import lei as stdnum_lei
from stdnum.cn import uscc as stdnum_uscc
from stdnum.exceptions import ValidationError


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a code is well formed; `reason` in plain words where it is not, else empty."""

    valid: bool
    reason: str = ""


_USCC_LENGTH: Final = 18
_USCC_LETTERS: Final = frozenset("0123456789ABCDEFGHJKLMNPQRTUWXY")
_USCC_PREFIX: Final = re.compile(r"[0-9ANY][0-9]{7}", re.ASCII)

_LEI_LENGTH: Final = 20
_LEI_LETTERS: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LEI_UNUSED_CHECKS: Final = frozenset({"00", "01", "99"})


def check_uscc(code: str) -> Verdict:
    """The verdict on a unified social credit code (统一社会信用代码).

    Eighteen characters of digits and capitals without I, O, S, V, Z: registering authority and
    kind, six digits of the district, nine characters of the organisation code, one check character.
    Codes of the early pilots that fail the standard's check character are invalid here.
    The authority is a digit, A, N or Y; python-stdnum alone would refuse the letters, and with them
    the village collectives registered under N. Source: GB 32100-2015.
    """
    fault = _fault_of_spelling(code, length=_USCC_LENGTH, letters=_USCC_LETTERS)
    if fault:
        return Verdict(valid=False, reason=fault)
    if _USCC_PREFIX.match(code) is None:
        reason = "characters 1 to 8: not an authority, a kind and a district"
        return Verdict(valid=False, reason=reason)
    due = str(stdnum_uscc.calc_check_digit(code[:-1]))
    if code[-1] != due:
        return Verdict(valid=False, reason=f"check character is {code[-1]}, should be {due}")
    return Verdict(valid=True)


def check_lei(code: str) -> Verdict:
    """The verdict on a legal entity identifier: 18 letters and digits, then two check digits.

    Check digits 00, 01 and 99 are never issued (the scheme yields 02 to 98) and are invalid, though
    they may satisfy the remainder. Source: ISO 17442-1; ISO/IEC 7064 MOD 97-10.
    """
    fault = _fault_of_spelling(code, length=_LEI_LENGTH, letters=_LEI_LETTERS)
    if fault:
        return Verdict(valid=False, reason=fault)
    checks = code[-2:]
    if not checks.isdigit() or checks in _LEI_UNUSED_CHECKS:
        return Verdict(valid=False, reason=f"check digits {checks} are not of 02 to 98")
    try:
        stdnum_lei.validate(code)
    except ValidationError:
        return Verdict(valid=False, reason=f"check digits {checks} do not fit the code")
    return Verdict(valid=True)


def _fault_of_spelling(code: str, *, length: int, letters: frozenset[str]) -> str:
    """What is wrong with the characters themselves, or an empty text."""
    for position, character in enumerate(code, start=1):
        if character not in letters:
            return f"character {position} is {character!a}, not a digit or capital letter in use"
    if len(code) != length:
        return f"{len(code)} characters instead of {length}"
    return ""
