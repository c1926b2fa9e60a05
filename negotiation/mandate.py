"""Who may lead which loan for whom, and for how long (委托). No price stands in a mandate.

Banks that speak of a price before the borrower has asked them to would be fixing it among
themselves; so everything else in a negotiation needs a mandate that is valid on the day. While one
is valid, no second is given for the same borrower and project. Source: SY-18 of the syndicated loan
measures (2011 text, kept by custom).
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, Literal

import msgspec

from ledger.errors import Conflict, WrongInput
from syndicate.disclosure.consent import check_purpose
from syndicate.parties.institutions import check_id
from syndicate.parties.statements import body_of

_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}", re.ASCII)


class Mandate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The borrower asks one bank to lead one loan.

    negotiation  id of the negotiation, also its book's
    project      what the loan is for: a code, compared letter by letter
    purpose      the purpose code that consents for this negotiation carry
    until        the last day on which it is valid
    """

    negotiation: str
    borrower: str
    project: str
    lead: str
    form: Literal["JOINT_PARALLEL"]
    purpose: str
    valid_from: date
    until: date


class MandateHeld(Conflict):
    """A mandate for this borrower and project is valid in these days: no second beside it."""

    code = "mandate-held"


def mandate_body(mandate: Mandate) -> dict[str, Any]:
    """What the borrower signs under the kind "mandate"."""
    return body_of(mandate)


def check_mandate(mandate: Mandate, *, on: date, place: str) -> None:
    """Nothing: the mandate hangs together. WrongInput names the first field that does not."""
    for field in ("negotiation", "borrower", "lead"):
        check_id(getattr(mandate, field), place=f"{place}.{field}")
    if _PROJECT.fullmatch(mandate.project) is None:
        raise WrongInput(f"{place}.project", 'a project code, as "working-capital-2025"')
    check_purpose(mandate.purpose, place=f"{place}.purpose")
    if mandate.lead == mandate.borrower:
        raise WrongInput(f"{place}.lead", "a bank, not the borrower")
    if mandate.valid_from < on:
        raise WrongInput(f"{place}.valid_from", f"a day not before {on}: no mandate works back")
    if mandate.until < mandate.valid_from:
        raise WrongInput(f"{place}.until", "a day not before valid_from")


def check_exclusive(mandate: Mandate, others: Iterable[Mandate]) -> None:
    """Nothing: no other mandate for the same borrower and project is valid on any day of this one.

    others  mandates given and not ended; the same lead's count too
    Raises MandateHeld.
    """
    for other in others:
        same = (other.borrower, other.project) == (mandate.borrower, mandate.project)
        if same and other.valid_from <= mandate.until and mandate.valid_from <= other.until:
            raise MandateHeld(
                f"{mandate.project} is mandated until {other.until}",
                borrower=mandate.borrower,
                project=mandate.project,
                until=other.until,
            )


def valid_on(mandate: Mandate, on: date) -> bool:
    """Whether the day stands from `valid_from` to `until`, both included."""
    return mandate.valid_from <= on <= mandate.until
