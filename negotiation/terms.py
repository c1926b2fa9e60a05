"""What the banks propose to each other, field by field, and how two versions differ.

Terms of a proposal are those of the facility it may become, but for what the book decides: the
amounts of the banks and, where it is left open, the spread. The nested parts are the facility's
own, so that what is agreed is what is posted. It computes no money.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import msgspec

from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.money import MAX_MINOR, format_amount
from negotiation.quotes import MAX_SPREAD_BP
from syndicate.facility.terms import (
    DefaultTerms,
    FacilityTerms,
    Protector,
    RateTerms,
    RepaymentTerms,
    check_terms,
)
from syndicate.risk.rule_document import Ground, read_rule

MAX_CLAUSE: Final = 1_000
MAX_CLAUSES: Final = 50


class RateProposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the rate is found. `spread_bp` None leaves the spread to the book (以报价定价).

    The other fields are those of the facility's `RateTerms`.
    """

    base: Literal["LPR1Y", "LPR5Y"]
    spread_bp: int | None
    lpr_as_of: Literal["same_day", "day_before"]
    reset: Literal["none", "annual"]
    day_count: Literal["ACT/360", "ACT/365F"]


class Fee(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fee of the borrower (谁借款，谁付费): basis points of an amount, a year unless once.

    arrangement  once, of the total; commitment: of what is undrawn (SY-16)
    """

    kind: Literal["arrangement", "commitment", "agency", "coordination"]
    base: Literal["total", "undrawn", "drawn"]
    rate_bp: int
    frequency: Literal["once", "quarterly", "annual"]
    payer: Literal["borrower"]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of everything that is negotiated.

    target_minor     the amount sought; a whole number of lots
    protectors       guarantors and pools that bear loss, in seat order before the banks
    risk_share       the NODE of a risk-share rule (see `liandai share`), or None: own loan, own
                     loss (风险自担)
    upside           what the banks may do should the borrower do well
    covenants        what the borrower undertakes, in words
    available_until  the last day for a draw
    """

    currency: str
    target_minor: int
    lot_minor: int
    rate: RateProposal
    repayment: RepaymentTerms
    default: DefaultTerms
    fees: tuple[Fee, ...]
    protectors: tuple[Protector, ...]
    risk_share: dict[str, Any] | None
    upside: tuple[str, ...]
    covenants: tuple[str, ...]
    available_until: date


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs: its path ("rate.spread_bp", "fees[0].rate_bp") and both values.

    before, after  JSON values; None also where the field is absent on that side (`only` says so)
    only           the side that has the field, None where both do
    """

    path: str
    before: Any
    after: Any
    only: Literal["before", "after"] | None


def check_proposal(
    terms: Terms, *, borrower: str, lead: str, seats: Sequence[str], on: date, place: str
) -> None:
    """Nothing: the terms hang together and a facility could be formed on them.

    Raises WrongInput naming the first field that does not.
    """
    if not 0 < terms.target_minor <= MAX_MINOR:
        raise WrongInput(f"{place}.target_minor", f"an amount above 0, at most {MAX_MINOR}")
    if not 0 < terms.lot_minor <= terms.target_minor or terms.target_minor % terms.lot_minor:
        raise WrongInput(f"{place}.lot_minor", "an amount that divides the target")
    spread_bp = terms.rate.spread_bp
    if spread_bp is not None and abs(spread_bp) > MAX_SPREAD_BP:
        raise WrongInput(f"{place}.rate.spread_bp", f"at most {MAX_SPREAD_BP} either side of 0")
    for index, fee in enumerate(terms.fees):
        _check_fee(fee, place=f"{place}.fees[{index}]")
    for index, protector in enumerate(terms.protectors):
        if protector.claim_after_days < 0 or protector.settle_workdays < 1:
            raise WrongInput(f"{place}.protectors[{index}]", "days of 0 or more to claim, 1 to pay")
    for field, clauses in (("upside", terms.upside), ("covenants", terms.covenants)):
        if len(clauses) > MAX_CLAUSES or not all(0 < len(text) <= MAX_CLAUSE for text in clauses):
            raise WrongInput(
                f"{place}.{field}", f"{MAX_CLAUSES} clauses of {MAX_CLAUSE} characters"
            )
    trial = dict.fromkeys(seats, terms.lot_minor)
    check_terms(
        facility_terms_of(
            terms,
            facility="fac-trial",
            borrower=borrower,
            lead=lead,
            allocation=trial,
            spread_bp=0 if spread_bp is None else spread_bp,
            signed_on=on,
        ),
        place=place,
    )
    check_risk_share(terms, trial, place=f"{place}.risk_share")


def check_risk_share(terms: Terms, allocation: Mapping[str, int], *, place: str) -> None:
    """Nothing: the agreed rule can be read for these commitments; none agreed is in order.

    Raises WrongInput, also where the rule names a bank that holds no part.
    """
    if terms.risk_share is not None:
        ground = Ground(
            currency=terms.currency,
            seats=_rule_seats(terms, allocation),
            commitments=allocation,
            outstanding=allocation,
        )
        read_rule(terms.risk_share, ground, place=place)


def facility_terms_of(
    terms: Terms,
    *,
    facility: str,
    borrower: str,
    lead: str,
    allocation: Mapping[str, int],
    spread_bp: int,
    signed_on: date,
) -> FacilityTerms:
    """The facility's terms: the agreed fields as they stand, and what the book decided.

    allocation  bank -> minor units in the agreement's seat order, without banks that hold nothing
    """
    return FacilityTerms(
        facility=facility,
        form="JOINT_PARALLEL",
        interest_authority="per_contract",
        currency=terms.currency,
        borrower=borrower,
        lead=lead,
        seats=tuple(allocation),
        commitments=dict(allocation),
        signed_on=signed_on,
        available_until=terms.available_until,
        rate=RateTerms(
            base=terms.rate.base,
            spread_bp=spread_bp,
            lpr_as_of=terms.rate.lpr_as_of,
            reset=terms.rate.reset,
            day_count=terms.rate.day_count,
        ),
        repayment=terms.repayment,
        default=terms.default,
        protectors=terms.protectors,
        risk_share=risk_document(terms, allocation),
        upside=terms.upside,
    )


def risk_document(terms: Terms, allocation: Mapping[str, int]) -> dict[str, Any] | None:
    """The whole RULE document for these commitments; protectors are seated before the banks."""
    if terms.risk_share is None:
        return None
    return {
        "currency": terms.currency,
        "seats": _rule_seats(terms, allocation),
        "commitments": {
            bank: format_amount(amount_minor, currency=terms.currency)
            for bank, amount_minor in allocation.items()
        },
        "rule": terms.risk_share,
    }


def _rule_seats(terms: Terms, allocation: Mapping[str, int]) -> list[str]:
    return [*(protector.party for protector in terms.protectors), *allocation]


def digest(value: Any) -> str:
    """SHA-256 in hex of the canonical bytes (RFC 8785): the name by which a document is agreed."""
    return hashlib.sha256(canonical(value)).hexdigest()


def differences(before: Terms, after: Terms) -> tuple[Difference, ...]:
    """Every field whose value differs, in the order of the fields; () for equal terms."""
    found: list[Difference] = []
    _compare(msgspec.to_builtins(before), msgspec.to_builtins(after), "", found)
    return tuple(found)


_ABSENT: Final = object()


def _compare(before: Any, after: Any, path: str, found: list[Difference]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            inner = f"{path}.{key}" if path else key
            _compare(before.get(key, _ABSENT), after.get(key, _ABSENT), inner, found)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for index in range(max(len(before), len(after))):
            left = before[index] if index < len(before) else _ABSENT
            right = after[index] if index < len(after) else _ABSENT
            _compare(left, right, f"{path}[{index}]", found)
    elif type(before) is not type(after) or before != after:
        found.append(
            Difference(
                path=path,
                before=None if before is _ABSENT else before,
                after=None if after is _ABSENT else after,
                only="after" if before is _ABSENT else "before" if after is _ABSENT else None,
            )
        )


def _check_fee(fee: Fee, *, place: str) -> None:
    if not 0 < fee.rate_bp <= MAX_SPREAD_BP:
        raise WrongInput(f"{place}.rate_bp", f"1 to {MAX_SPREAD_BP} basis points")
    if fee.kind == "arrangement" and (fee.base, fee.frequency) != ("total", "once"):
        raise WrongInput(place, "an arrangement fee once, of the total")
    if fee.kind == "commitment" and fee.base != "undrawn":
        raise WrongInput(f"{place}.base", "a commitment fee of what is undrawn")
