"""What can become known about a facility: one Struct a fact, exactly what its leaf's subject says.

    formed          FacilityFormed, ContractRecorded
    drawn           DrawRequested, RateFixed, ReleaseApproved
    cash            PaymentInstructed, PaymentReturned, PaymentConfirmed
    the days        InterestAccrued, InstalmentDue, MarkedOverdue, Classified
    known late      InterestCorrected, OverdueCorrected, ClassCorrected
    what was seen   AlertRecorded, EventRecorded
    protection      ClaimFiled, ClaimRejected, ClaimAccepted, LossFixed

A fact carries what followed from it when it was decided (parts, an allocation, a deadline), so that
folding old facts never computes a decision again. Amounts are minor units of the facility's
currency, rates decimal strings, no float anywhere. Borrower data never stands here.
"""

from datetime import date
from typing import Any, Literal

import msgspec

from ledger.documents import convert
from syndicate.facility.terms import FacilityTerms
from syndicate.facility.waterfall import Met
from syndicate.parties.statements import Statement

Purpose = Literal["drawdown", "repayment", "advance", "recovery", "distribution"]
PaymentMode = Literal["entrusted", "autonomous"]
RiskClass = Literal["normal", "special_mention", "substandard", "doubtful", "loss"]


class _Fact(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    pass


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class FacilityFormed(_Fact, frozen=True, kw_only=True):
    """The facility exists. `terms_hash` is what every signature of the term sheet is over."""

    terms: FacilityTerms
    terms_hash: str
    signatures: tuple[Statement, ...]


class ContractRecorded(_Fact, frozen=True, kw_only=True):
    """The bank's own contract with the borrower (借款合同): one a bank in this form."""

    bank: str
    contract_no: str
    document_sha256: str


class DrawRequested(_Fact, frozen=True, kw_only=True):
    """The borrower asks for a draw (提款); it is split over the banks by commitments.

    use_of_funds  a code
    payment_mode  entrusted: paid on to the borrower's counterparty (受托支付); or autonomous
                  (自主支付)
    parts         bank -> minor units, every seat, their sum the amount; over all draws each bank's
                  running total is within one fen of its exact share
    """

    draw: str
    amount_minor: int
    value_date: date
    maturity: date
    use_of_funds: str
    payment_mode: PaymentMode
    parts: dict[str, int]


class RateFixed(_Fact, frozen=True, kw_only=True):
    """From `from_date` (the night from it on) the draw bears `rate` = base rate + spread.

    fixed_on  the publication day of the loan prime rate taken
    """

    draw: str
    rate: str
    base: Literal["LPR1Y", "LPR5Y"]
    base_rate: str
    spread_bp: int
    fixed_on: date
    from_date: date


class ReleaseApproved(_Fact, frozen=True, kw_only=True):
    """One bank lets its part of a draw go (放款), by two persons, under its 借据 number."""

    draw: str
    bank: str
    loan_no: str
    maker: str
    checker: str
    signed: Statement | msgspec.UnsetType = msgspec.UNSET


class PaymentInstructed(_Fact, frozen=True, kw_only=True):
    """Somebody is to pay somebody; nothing has moved yet.

    receiving_bank  the institution where the payee's account is: it confirms
    about           the draw (drawdown, repayment), the claim (advance), "" otherwise
    """

    payment: str
    purpose: Purpose
    payer: str
    payee: str
    receiving_bank: str
    amount_minor: int
    about: str


class PaymentReturned(_Fact, frozen=True, kw_only=True):
    """The money came back before it was confirmed; a new payment is a new instruction."""

    payment: str
    reason: str


class PaymentConfirmed(_Fact, frozen=True, kw_only=True):
    """The receiving bank has signed that the money arrived: only now is anything posted.

    signed  the statement verbatim
    met     what a repayment met, in waterfall order, `overdue` as the books have it by now; () for
            every other purpose
    shares  what of a recovery goes back to each bearer; {} for every other purpose
    met_on  of a repayment known late (倒起息): the day as of which it met what was owed, its value
            date or the later due date it waited for; absent where that is the booking date
    """

    payment: str
    amount_minor: int
    external_reference: str
    value_date: date
    signed: Statement
    met: tuple[Met, ...]
    shares: dict[str, int]
    met_on: date | msgspec.UnsetType = msgspec.UNSET


class AccrualLine(_Part, frozen=True, kw_only=True):
    """One loan's interest for the night before `day`, with what it was computed from.

    principal_minor, overdue_minor, unpaid_interest_minor   the bases of interest (利息), penalty
        interest (罚息) and compound interest (复利) that night
    rate, penalty_rate                                      yearly, of the first and the other two
    interest_minor, penalty_minor, compound_minor           posted that day
    """

    draw: str
    bank: str
    principal_minor: int
    overdue_minor: int
    unpaid_interest_minor: int
    rate: str
    penalty_rate: str
    interest_minor: int
    penalty_minor: int
    compound_minor: int


class InterestAccrued(_Fact, frozen=True, kw_only=True):
    """The night day-1 -> day of every loan, posted by difference of cumulative amounts.

    closed  the draws whose interest period ends with this day
    """

    day: date
    lines: tuple[AccrualLine, ...]
    closed: tuple[str, ...]


class InstalmentDue(_Fact, frozen=True, kw_only=True):
    """On `due_on` the banks' instalments of `unadjusted` may be asked for.

    principal, interest  bank -> minor units, each bank's own loan computed by itself
    """

    draw: str
    unadjusted: date
    due_on: date
    principal: dict[str, int]
    interest: dict[str, int]


class MarkedOverdue(_Fact, frozen=True, kw_only=True):
    """At the close of `on` the instalment due by then was not paid; days overdue run from 0 there.

    principal_minor, interest_minor  what was unpaid of it
    """

    draw: str
    bank: str
    unadjusted: date
    due_on: date
    on: date
    principal_minor: int
    interest_minor: int


class Finding(_Part, frozen=True, kw_only=True):
    """One rule's outcome, without the other banks' figures behind it."""

    rule: str
    outcome: str


class Classified(_Fact, frozen=True, kw_only=True):
    """From `on` the bank's claims of this facility stand in another of the five classes."""

    bank: str
    on: date
    risk_class: RiskClass
    days_overdue: int
    findings: tuple[Finding, ...]


class Bases(_Part, frozen=True, kw_only=True):
    """What bears interest (利息), penalty (罚息) and compound interest (复利) one night."""

    principal_minor: int
    overdue_minor: int
    unpaid_interest_minor: int


class InterestCorrected(_Fact, frozen=True, kw_only=True):
    """One loan's night day-1 -> day again, after a payment valued before it became known.

    Its leaf is valued on `day`, booked on the open day, and corrects the accrual of that night
    where one is recorded.

    payment      the one that became known late
    before       the bases accrued on until now; `bases` are the right ones
    interest_minor, penalty_minor, compound_minor   posted now: what the night comes to by
                 difference of the right cumulative amounts, less what was posted for it before
    """

    payment: str
    day: date
    draw: str
    bank: str
    before: Bases
    bases: Bases
    rate: str
    penalty_rate: str
    interest_minor: int
    penalty_minor: int
    compound_minor: int


class OverdueCorrected(_Fact, frozen=True, kw_only=True):
    """So much of an instalment was rightly overdue at the close of `on`; 0 and 0 where nothing was.

    Moves no money: the payment known late took what it met from `due.overdue`, on the same value
    date. before_...  what the mark said until now
    """

    payment: str
    draw: str
    bank: str
    unadjusted: date
    on: date
    before_principal_minor: int
    before_interest_minor: int
    principal_minor: int
    interest_minor: int


class ClassCorrected(_Fact, frozen=True, kw_only=True):
    """At the close of `on` the bank's claims rightly stood in this class, not in `before`."""

    payment: str
    bank: str
    on: date
    before: RiskClass
    risk_class: RiskClass
    days_overdue: int


class AlertRecorded(_Fact, frozen=True, kw_only=True):
    """Something was seen that may hurt the loan (预警); it decides nothing by itself."""

    alert: str
    kind: str
    noted_on: date
    source: str


class EventRecorded(_Fact, frozen=True, kw_only=True):
    """Something happened that an upside clause names, or ("" as clause) that none names."""

    event: str
    kind: str
    happened_on: date
    source: str
    clause: str


class ClaimFiled(_Fact, frozen=True, kw_only=True):
    """The banks ask a protector to advance its share of what is overdue (代偿申请).

    parts         bank -> what it would be paid, by overdue principal
    days_overdue  of the oldest unpaid instalment that day
    answer_by     the last working day for an answer
    """

    claim: str
    protector: str
    amount_minor: int
    parts: dict[str, int]
    evidence_sha256: tuple[str, ...]
    days_overdue: int
    filed_on: date
    answer_by: date


class ClaimRejected(_Fact, frozen=True, kw_only=True):
    """The protector will not advance; `late` where the deadline had passed."""

    claim: str
    reason: str
    late: bool


class ClaimAccepted(_Fact, frozen=True, kw_only=True):
    """The protector will advance so much; the cash follows as payments about the claim."""

    claim: str
    amount_minor: int
    parts: dict[str, int]
    late: bool


class Lost(_Part, frozen=True, kw_only=True):
    """Principal of one instalment of one loan that is written down."""

    draw: str
    bank: str
    unadjusted: date
    overdue: bool
    amount_minor: int


class Settlement(_Part, frozen=True, kw_only=True):
    """`debtor` owes `creditor` so much more, for what it bears of the other's lost principal."""

    creditor: str
    debtor: str
    amount_minor: int


class LossFixed(_Fact, frozen=True, kw_only=True):
    """So much principal is finally lost, and this is who bears it.

    lost         which principal of which loan is written down; its sum is the amount
    reductions   bank -> how much of its own principal that is
    parts        party -> what it bears under the agreed rule; its sum is the amount
    settlement   what the bearers owe the banks for the difference
    outstanding  bank -> principal when the first loss was fixed: weights of `outstanding` rules
    """

    loss: str
    amount_minor: int
    value_date: date
    lost: tuple[Lost, ...]
    reductions: dict[str, int]
    parts: dict[str, int]
    settlement: tuple[Settlement, ...]
    outstanding: dict[str, int]
    evidence_sha256: tuple[str, ...]


Fact = (
    FacilityFormed
    | ContractRecorded
    | DrawRequested
    | RateFixed
    | ReleaseApproved
    | PaymentInstructed
    | PaymentReturned
    | PaymentConfirmed
    | InterestAccrued
    | InstalmentDue
    | MarkedOverdue
    | Classified
    | InterestCorrected
    | OverdueCorrected
    | ClassCorrected
    | AlertRecorded
    | EventRecorded
    | ClaimFiled
    | ClaimRejected
    | ClaimAccepted
    | LossFixed
)


def subject_of(fact: Fact) -> dict[str, Any]:
    """The fact as the JSON object that stands in its leaf."""
    subject: dict[str, Any] = msgspec.to_builtins(fact)
    return subject


def fact_of(subject: dict[str, Any]) -> Fact:
    """The fact a leaf's subject says; WrongInput by JSON path where it says none of them."""
    return convert(subject, Fact, place="$.subject")  # type: ignore[arg-type]


def value_date_of(fact: Fact, *, booking_date: date) -> date:
    """The day from which the fact counts (起息日); the booking date where it names none."""
    match fact:
        case PaymentConfirmed(value_date=on) | LossFixed(value_date=on) | RateFixed(from_date=on):
            return on
        case InterestAccrued(day=on) | InterestCorrected(day=on) | InstalmentDue(due_on=on):
            return on
        case MarkedOverdue(on=on) | Classified(on=on):
            return on
        case OverdueCorrected(on=on) | ClassCorrected(on=on):
            return on
        case _:
            return booking_date


def name_of(fact: Fact) -> str:
    """The fact's own name, unique in its book: a second one alike can never be recorded."""
    match fact:
        case FacilityFormed():
            return "formed"
        case ContractRecorded():
            return f"contract:{fact.bank}"
        case DrawRequested():
            return f"draw:{fact.draw}"
        case RateFixed():
            return f"rate:{fact.draw}:{fact.from_date}"
        case ReleaseApproved():
            return f"release:{fact.draw}:{fact.bank}"
        case PaymentInstructed():
            return f"instructed:{fact.payment}"
        case PaymentReturned():
            return f"returned:{fact.payment}"
        case PaymentConfirmed():
            return f"confirmed:{fact.payment}"
        case InterestAccrued():
            return f"accrued:{fact.day}"
        case InstalmentDue():
            return f"due:{fact.draw}:{fact.unadjusted}"
        case MarkedOverdue():
            return f"overdue:{fact.draw}:{fact.bank}:{fact.unadjusted}"
        case Classified():
            return f"class:{fact.bank}:{fact.on}"
        case InterestCorrected():
            return f"corrected:{fact.payment}:accrued:{fact.day}"
        case OverdueCorrected():
            return f"corrected:{fact.payment}:overdue:{fact.unadjusted}"
        case ClassCorrected():
            return f"corrected:{fact.payment}:class:{fact.bank}:{fact.on}"
        case AlertRecorded():
            return f"alert:{fact.alert}"
        case EventRecorded():
            return f"event:{fact.event}"
        case ClaimFiled():
            return f"claim:{fact.claim}"
        case ClaimRejected() | ClaimAccepted():
            return f"answer:{fact.claim}"
        case LossFixed():
            return f"loss:{fact.loss}"


def corrects(fact: Fact) -> str | None:
    """The name of the fact that this one puts right; None where it corrects none.

    A night that bore nothing until now, or a class that would have changed and did not, has no
    record of that name: the caller looks.
    """
    match fact:
        case InterestCorrected():
            return f"accrued:{fact.day}"
        case OverdueCorrected():
            return f"overdue:{fact.draw}:{fact.bank}:{fact.unadjusted}"
        case ClassCorrected():
            return f"class:{fact.bank}:{fact.on}"
        case _:
            return None
