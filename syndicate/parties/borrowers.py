"""Who borrows: the private record of a firm, and the bare fact of it that the log may hold.

The record carries the name and the USCC (统一社会信用代码), checked as written. The log learns an
opaque id and a salted commitment to the record. Whether a code was ever issued, and whether the
firm is who it says, stays with the banks' own know-your-customer work.
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from ledger.errors import Conflict
from syndicate.parties.commitments import commitment
from syndicate.parties.institutions import check_id, check_name, require_uscc


class Borrower(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One firm as the service keeps it, apart from the log and erasable.

    borrower      opaque id, also its name as a party of ledger books
    illustrative  示例: an invented firm, or a real one with an invented code; shown on every screen
    """

    borrower: str
    name: str
    name_en: str
    uscc: str
    illustrative: bool
    registered_on: date


class BorrowerRegistered(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """A firm is on board; `commitment` binds the log to its private record."""

    borrower: str
    commitment: str
    illustrative: bool


class BorrowerKnown(Conflict):
    """The id or the USCC is registered already: one firm is one party."""

    code = "borrower-known"


def register_borrower(
    known: Mapping[str, Borrower],
    *,
    borrower: str,
    name: str,
    name_en: str,
    uscc: str,
    illustrative: bool,
    on: date,
    salt: bytes,
) -> tuple[Borrower, BorrowerRegistered]:
    """The private record to keep with its salt, and the fact for the log.

    known  the firms registered already, by id
    Raises WrongInput with the reason a USCC is malformed, BorrowerKnown for an id or code in use.
    """
    check_id(borrower, place="$.borrower")
    check_name(name, place="$.name")
    check_name(name_en, place="$.name_en")
    require_uscc(uscc, place="$.uscc")
    if borrower in known:
        raise BorrowerKnown(f"{borrower} is registered", borrower=borrower)
    if any(other.uscc == uscc for other in known.values()):
        raise BorrowerKnown("the code is registered under another id", borrower=borrower)
    record = Borrower(
        borrower=borrower,
        name=name,
        name_en=name_en,
        uscc=uscc,
        illustrative=illustrative,
        registered_on=on,
    )
    fact = BorrowerRegistered(
        borrower=borrower, commitment=commitment(record, salt=salt), illustrative=illustrative
    )
    return record, fact
