"""The terms a facility lives by, snapshotted when it is formed: no later change reaches them.

Reading is strict; the struct's canonical bytes (RFC 8785) are hashed into the term sheet that every
party signs, so `terms_hash` names exactly one set of terms. It never computes money.
"""

import hashlib
from datetime import date
from fractions import Fraction
from typing import Any, Literal

import msgspec

from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.money import SCALES, parse_decimal

CHARGES = ("fee", "compound", "penalty", "interest", "principal")
Charge = Literal["fee", "compound", "penalty", "interest", "principal"]


class RateTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the rate of each draw is found: base + spread, fixed at the draw and at each reset.

    lpr_as_of  the LPR in force on the day of the draw (reset), or on the day before it
    reset      `annual`: on each anniversary of the draw; `none`: fixed for life
    """

    base: Literal["LPR1Y", "LPR5Y"]
    spread_bp: int
    lpr_as_of: Literal["same_day", "day_before"]
    reset: Literal["none", "annual"]
    day_count: Literal["ACT/360", "ACT/365F"]


class RepaymentTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the borrower pays what.

    bullet           interest at each due date, principal at maturity (到期还本)
    equal_principal  equal parts of principal at each due date, interest with it (等额本金)
    payment_day      day of the month of the due dates; the month's last day where it is shorter
    """

    kind: Literal["bullet", "equal_principal"]
    tenor_months: int
    frequency: Literal["monthly", "quarterly"]
    payment_day: int
    business_day: Literal["modified_following", "following", "none"]


class DefaultTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What follows when the borrower does not pay.

    penalty_multiple  decimal string, overdue principal bears rate x this (罚息, e.g. "1.5")
    compound          unpaid interest bears the penalty rate too (复利)
    waterfall         the order in which money received meets what is due (Civil Code art. 561)
    """

    penalty_multiple: str
    compound: bool
    waterfall: tuple[Charge, ...]


class Protector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A party that bears loss without lending: a guarantor or a compensation pool.

    claim_after_days  days overdue from which a claim (代偿申请) may be filed
    settle_workdays   working days it has to advance or reject after a claim
    """

    party: str
    kind: Literal["guarantor", "pool"]
    claim_after_days: int
    settle_workdays: int


class FacilityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything the life of one joint loan depends on.

    seats        the banks in the agreement's order: ties for an odd fen follow it
    commitments  bank -> minor units; every seat and nobody else
    risk_share   the RULE document of `liandai share` (seats there include the protectors), or None:
                 own loan, own loss (风险自担)
    upside       what is agreed should the borrower do well: recorded, not computed
    """

    facility: str
    form: Literal["JOINT_PARALLEL"]
    interest_authority: Literal["per_contract"]
    currency: str
    borrower: str
    lead: str
    seats: tuple[str, ...]
    commitments: dict[str, int]
    signed_on: date
    available_until: date
    rate: RateTerms
    repayment: RepaymentTerms
    default: DefaultTerms
    protectors: tuple[Protector, ...]
    risk_share: dict[str, Any] | None
    upside: tuple[str, ...]

    @property
    def total_minor(self) -> int:
        """The facility amount: the sum of commitments (I12)."""
        return sum(self.commitments.values())

    @property
    def parties(self) -> tuple[str, ...]:
        """Everyone whose books the facility touches: banks, protectors, then the borrower."""
        return (*self.seats, *(p.party for p in self.protectors), self.borrower)


def check_terms(terms: FacilityTerms, *, place: str) -> None:
    """Nothing: the terms hang together. WrongInput names the first field that does not."""
    if terms.currency not in SCALES:
        raise WrongInput(f"{place}.currency", "a currency the service knows")
    if not terms.seats or len(set(terms.seats)) != len(terms.seats):
        raise WrongInput(f"{place}.seats", "banks, each once")
    if set(terms.commitments) != set(terms.seats):
        raise WrongInput(f"{place}.commitments", "an amount for every seat and nobody else")
    for bank, amount_minor in terms.commitments.items():
        if amount_minor <= 0:
            raise WrongInput(f"{place}.commitments.{bank}", "an amount above 0")
    if terms.lead not in terms.seats:
        raise WrongInput(f"{place}.lead", "one of the seats")
    if len(set(terms.parties)) != len(terms.parties):
        raise WrongInput(f"{place}.protectors", "parties that are neither lender nor borrower")
    if not 1 <= terms.repayment.payment_day <= 31:
        raise WrongInput(f"{place}.repayment.payment_day", "a day of 1 to 31")
    if not 1 <= terms.repayment.tenor_months <= 360:
        raise WrongInput(f"{place}.repayment.tenor_months", "1 to 360 months")
    if terms.available_until < terms.signed_on:
        raise WrongInput(f"{place}.available_until", "a date not before signed_on")
    if penalty_multiple(terms) < 1:
        raise WrongInput(f"{place}.default.penalty_multiple", "a multiple of at least 1")
    if set(terms.default.waterfall) != set(CHARGES):
        raise WrongInput(f"{place}.default.waterfall", "each kind of charge once")
    if len(terms.default.waterfall) != len(set(terms.default.waterfall)):
        raise WrongInput(f"{place}.default.waterfall", "each kind of charge once")


def penalty_multiple(terms: FacilityTerms) -> Fraction:
    """The exact multiple of the rate that overdue money bears."""
    return parse_decimal(terms.default.penalty_multiple, place="$.default.penalty_multiple")


def terms_hash(terms: FacilityTerms) -> str:
    """SHA-256 of the canonical terms, hex: the name under which they are signed."""
    return hashlib.sha256(canonical(terms)).hexdigest()
