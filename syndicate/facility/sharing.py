"""Who bears a loss of this facility, and how an amount is split over its loans. No cash, no claim.

The agreed rule maps the cumulative net loss to what each party bears (`syndicate.risk.share`); a
facility without one is own loan, own loss (风险自担): each bank bears what it lost itself.
"""

from collections.abc import Mapping
from typing import Any

from ledger.allotment import OffPath, allot, allot_running
from ledger.errors import WrongInput
from ledger.money import format_amount
from syndicate.facility.state import FacilityState
from syndicate.facility.terms import FacilityTerms
from syndicate.risk.share import LossPosition, RiskShare, bear, read_agreement, unharmed


def check_risk_share(terms: FacilityTerms, *, place: str) -> None:
    """Nothing: the rule can be read and seats nobody but this facility's banks and protectors."""
    if terms.risk_share is None:
        return
    agreement = read_agreement(_document(terms, terms.commitments), place=place)
    lenders = {*terms.seats, *(protector.party for protector in terms.protectors)}
    for seat in agreement.seats:
        if seat not in lenders:
            raise WrongInput(f"{place}.seats", f"banks and protectors of the facility, not {seat}")


def parts_of_loss(
    state: FacilityState, amount_minor: int, *, own: Mapping[str, int]
) -> dict[str, int]:
    """What each party bears of a further loss; the parts sum to it, zero parts are left out.

    own  bank -> principal it loses itself, which is its part where no rule is agreed
    """
    if state.terms.risk_share is None:
        return {bank: part for bank, part in own.items() if part}
    return _moved(state, amount_minor)


def parts_of_recovery(state: FacilityState, amount_minor: int) -> dict[str, int]:
    """What goes back to each bearer, back along the rule; without one, by what each has borne."""
    if state.terms.risk_share is None:
        return {party: part for party, part in split(amount_minor, state.borne).items() if part}
    return _moved(state, -amount_minor)


def standing_outstanding(state: FacilityState) -> dict[str, int]:
    """Bank -> principal before the first loss: the weights of `outstanding` rules, for good."""
    for first in state.losses.values():
        return first.outstanding
    return _outstanding(state)


def split(amount_minor: int, weights: Mapping[str, int]) -> dict[str, int]:
    """An amount split once by weights, in their order; the parts sum to it, none is negative."""
    return dict(zip(weights, allot(amount_minor, list(weights.values())), strict=True))


def split_running(
    amount_minor: int, weights: Mapping[str, int], *, held: Mapping[str, int]
) -> dict[str, int]:
    """One more amount split by the same weights; running totals stay within a fen of exact.

    held  what each got of the amounts before
    """
    parts = allot_running(
        amount_minor, list(weights.values()), held=[held[name] for name in weights]
    )
    return dict(zip(weights, parts, strict=True))


def own_losses(state: FacilityState, amount_minor: int) -> dict[str, int]:
    """Bank -> principal it loses itself of a further loss; at most what stands, their sum the loss.

    By outstanding principal when the first loss was fixed, along a running total, so that a loss
    cut into events takes the same in the end. Where repayments since have moved the loans so far
    apart that a bank would lose more than it has, this loss follows what stands now.
    """
    now = _outstanding(state)
    held = dict.fromkeys(state.terms.seats, 0)
    for loss in state.losses.values():
        for bank, lost_minor in loss.reductions.items():
            held[bank] += lost_minor
    try:
        parts = split_running(amount_minor, standing_outstanding(state), held=held)
    except OffPath:
        return split(amount_minor, now)
    if any(part > now[bank] for bank, part in parts.items()):
        return split(amount_minor, now)
    return parts


def _outstanding(state: FacilityState) -> dict[str, int]:
    return {
        bank: sum(loan.outstanding_minor for key, loan in state.loans.items() if key[1] == bank)
        for bank in state.terms.seats
    }


def agreement_of(state: FacilityState) -> RiskShare:
    """The agreed rule with its weights settled: by outstanding means before the first loss."""
    return read_agreement(_document(state.terms, standing_outstanding(state)))


def _moved(state: FacilityState, delta_minor: int) -> dict[str, int]:
    """What each party bears of a further loss, or gets back of a recovery (delta below 0)."""
    agreement = agreement_of(state)
    position = LossPosition(totals={**unharmed(agreement).totals, **state.borne})
    _, parts = bear(agreement, position, delta_minor=delta_minor)
    return {party: part for party, part in parts.items() if part}


def _document(terms: FacilityTerms, outstanding: Mapping[str, int]) -> dict[str, Any]:
    """The agreed RULE document; the outstanding amounts, where it names none, are the default's."""
    assert terms.risk_share is not None
    amounts = {
        bank: format_amount(amount_minor, currency=terms.currency)
        for bank, amount_minor in outstanding.items()
        if bank in terms.risk_share.get("seats", ())
    }
    return {"outstanding": amounts, **terms.risk_share}
