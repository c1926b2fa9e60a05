"""Which entries a question wants, and where in a long answer one is. It reads nothing itself.

A question is any combination of filters; one that is not given leaves nothing out. The **source
document** (原始凭证) of an entry is what its record names it by: `SOURCES` lists the fields of a
record's subject that count. A **cursor** is the place in an answer from which it goes on; it is of
one question at one log position, so that an answer read in pages is the answer of one moment.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.leaves import KINDS
from ledger.money import MAX_MINOR

SOURCES: Final = (
    "external_reference",
    "reference",
    "document_sha256",
    "contract_no",
    "loan_no",
    "term_sheet_hash",
    "cooperation_agreement",
)
"""Fields of a subject that name a source document each."""

SOURCE_LISTS: Final = ("evidence_sha256",)
"""Fields of a subject that list source documents."""

MAX_TEXT: Final = 200


class Wanted(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """The filters of a question; entries must pass all that are given.

    party, code, counterparty, ref, currency  parts of the account
    kind, fact, record   of the leaf: its kind, its subject's type, its id
    reference            the poster's own number for it
    source               a source document, under any name in SOURCES or SOURCE_LISTS
    institution, person  who recorded it
    side                 debit (amounts above 0) or credit (below)
    amount_from, amount_until  minor units without the sign, inclusive; dates are inclusive too
    """

    party: str | None = None
    code: str | None = None
    counterparty: str | None = None
    ref: str | None = None
    currency: str | None = None
    kind: str | None = None
    fact: str | None = None
    record: str | None = None
    reference: str | None = None
    source: str | None = None
    institution: str | None = None
    person: str | None = None
    side: Literal["debit", "credit"] | None = None
    amount_from: int | None = None
    amount_until: int | None = None
    value_from: date | None = None
    value_until: date | None = None
    booking_from: date | None = None
    booking_until: date | None = None


FILTERS: Final = Wanted.__struct_fields__


def check_wanted(wanted: Wanted) -> None:
    """Nothing: the filters are ones that some entry could pass. Raises WrongInput by name."""
    for name in FILTERS:
        value = getattr(wanted, name)
        if isinstance(value, str) and (len(value) > MAX_TEXT or not _plain(value)):
            raise WrongInput(name, f"at most {MAX_TEXT} printable characters")
    if wanted.kind is not None and wanted.kind not in KINDS:
        raise WrongInput("kind", f"one of {', '.join(KINDS)}")
    for name in ("amount_from", "amount_until"):
        amount = getattr(wanted, name)
        if amount is not None and not 0 <= amount <= MAX_MINOR:
            raise WrongInput(name, f"0 to {MAX_MINOR} minor units, without a sign")
    for what in ("amount", "value", "booking"):
        begins, ends = f"{what}_from", f"{what}_until"
        check_interval(begins, getattr(wanted, begins), ends, getattr(wanted, ends))


def check_interval(begins: str, first: Any, ends: str, last: Any) -> None:
    """Nothing: an interval of these inclusive bounds, None for none, does not end before it begins.

    begins, ends  what the bounds are called. Raises WrongInput that names both.
    """
    if first is not None and last is not None and last < first:
        raise WrongInput(ends, f"{first} or later, as {begins} is {first}")


def _plain(text: str) -> bool:
    return not text or text.isprintable()


def read_wanted(filters: dict[str, Any]) -> Wanted:
    """The filters as a document gives them, by name. Raises WrongInput for an unknown one."""
    for name in filters:
        if name not in FILTERS:
            raise WrongInput(name, f"a filter: {', '.join(FILTERS)}")
    try:
        wanted = msgspec.convert(filters, Wanted)
    except msgspec.ValidationError as error:
        raise WrongInput("$", f"filters as described: {error}") from error
    check_wanted(wanted)
    return wanted


# ---- cursors


def digest(*question: Any) -> str:
    """What tells one question from another: JSON values and Structs without floats."""
    return sha256(canonical(msgspec.to_builtins(question))).hexdigest()[:16]


def cursor(question: str, *, known: str, after: Sequence[str | int]) -> str:
    """The place after that key in the answer to a question (its digest), as known there."""
    place = canonical([question, known, *after])
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def read_cursor(text: str, question: str, *, shape: Sequence[type]) -> tuple[str, tuple[Any, ...]]:
    """(known, key) of a cursor of this very question, its key of these types.

    Raises WrongInput for anything else, another question's cursor included.
    """
    refusal = WrongInput("cursor", "the `next` of an earlier page of the same question")
    try:
        place = msgspec.json.decode(
            base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)
        )
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    if not isinstance(place, list) or [type(part) for part in place] != [str, str, *shape]:
        raise refusal
    if place[0] != question or any(type(part) is int and abs(part) >= 1 << 62 for part in place):
        raise refusal
    return place[1], tuple(place[2:])
