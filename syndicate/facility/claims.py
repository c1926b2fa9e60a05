"""What happens when the borrower does not pay: claim, answer, final loss. It moves no cash itself.

    overdue -> claim (代偿申请) -> accepted -> advances (payments) -> final loss -> recovery
                               -> rejected
A claim is not a loss. A protector's advance is cash a bank holds on `due.protection` until the loss
is fixed; the agreed rule then says who bears what, the advances net against it, and what is left
between two parties is paid by a distribution. A recovery moves back along the same rule, in
reverse, so a full recovery leaves nobody with anything.

Claims and losses here are of principal; interest accrued on lost principal stays a debt to its
bank. The ceiling of a protector's claims is what it would bear if all overdue principal were lost.
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from syndicate.facility.checks import check_amount, check_name, check_sha256, check_text
from syndicate.facility.day import check_opened
from syndicate.facility.errors import (
    AboveOutstanding,
    AboveShare,
    AlreadyRecorded,
    NoSuch,
    NotAParty,
    NotNow,
    NotReady,
    TooEarly,
)
from syndicate.facility.facts import (
    ClaimAccepted,
    ClaimFiled,
    ClaimRejected,
    LossFixed,
    Lost,
    Settlement,
)
from syndicate.facility.loans import Loan
from syndicate.facility.sharing import (
    own_losses,
    parts_of_loss,
    parts_of_recovery,
    split,
    standing_outstanding,
)
from syndicate.facility.state import Claim, FacilityState
from syndicate.facility.terms import Protector
from syndicate.reference.calendar import add_workdays


class FileClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The lead asks a protector for its share of what is overdue, with evidence."""

    claim: str
    protector: str
    amount_minor: int
    evidence_sha256: tuple[str, ...]


class AcceptClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The protector will advance so much of it."""

    claim: str
    amount_minor: int


class RejectClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The protector will not advance."""

    claim: str
    reason: str


class FixLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So much principal is finally lost."""

    loss: str
    amount_minor: int
    evidence_sha256: tuple[str, ...]


def decide_claim(state: FacilityState, command: FileClaim, *, today: date) -> tuple[ClaimFiled]:
    """The claim stands, split over the banks by overdue principal; its answer is due by a workday.

    Raises TooEarly before the days overdue agreed with the protector, AboveShare beyond its
    ceiling, NotReady while nothing is overdue.
    """
    check_name(command.claim, place="$.claim")
    check_amount(command.amount_minor, place="$.amount_minor")
    _check_evidence(command.evidence_sha256)
    if command.claim in state.claims:
        raise AlreadyRecorded("claim", command.claim)
    protector = _protector(state, command.protector)
    if not _overdue_minor(state):
        raise NotReady("principal overdue")
    days_overdue = state.days_overdue(today, bank=None)
    if days_overdue < protector.claim_after_days:
        raise TooEarly(days_overdue=days_overdue, needed=protector.claim_after_days)
    left_minor = claimable_minor(state, protector=command.protector)
    if command.amount_minor > left_minor:
        raise AboveShare(
            f"claims on {command.protector}",
            asked_minor=command.amount_minor,
            left_minor=left_minor,
        )
    overdue = {
        bank: sum(loan.overdue_minor for key, loan in state.loans.items() if key[1] == bank)
        for bank in state.terms.seats
    }
    return (
        ClaimFiled(
            claim=command.claim,
            protector=command.protector,
            amount_minor=command.amount_minor,
            parts=split(command.amount_minor, overdue),
            evidence_sha256=command.evidence_sha256,
            days_overdue=days_overdue,
            filed_on=today,
            answer_by=add_workdays(today, protector.settle_workdays),
        ),
    )


def claimable_minor(state: FacilityState, *, protector: str) -> int:
    """What the protector may still be claimed on: its share were all overdue principal lost.

    Claims that stand (filed or accepted) count against it, also after their loss was fixed.
    """
    overdue_minor = _overdue_minor(state)
    further = parts_of_loss(state, overdue_minor, own={}) if overdue_minor else {}
    worst_minor = state.borne.get(protector, 0) + further.get(protector, 0)
    claimed_minor = sum(
        sum(claim.granted.values()) if claim.status == "accepted" else claim.filed.amount_minor
        for claim in state.claims.values()
        if claim.filed.protector == protector and claim.status != "rejected"
    )
    return max(0, worst_minor - claimed_minor)


def decide_accept(
    state: FacilityState, command: AcceptClaim, *, today: date
) -> tuple[ClaimAccepted]:
    """The protector owes the advance it granted, split over the banks as the claim was."""
    check_amount(command.amount_minor, place="$.amount_minor")
    claim = _filed(state, command.claim)
    filed = claim.filed
    if command.amount_minor > filed.amount_minor:
        raise AboveShare(
            f"claim {command.claim}",
            asked_minor=command.amount_minor,
            left_minor=filed.amount_minor,
        )
    return (
        ClaimAccepted(
            claim=command.claim,
            amount_minor=command.amount_minor,
            parts=split(command.amount_minor, filed.parts),
            late=today > filed.answer_by,
        ),
    )


def decide_reject(
    state: FacilityState, command: RejectClaim, *, today: date
) -> tuple[ClaimRejected]:
    """The claim is over; another one may be filed with more evidence."""
    check_text(command.reason, place="$.reason")
    filed = _filed(state, command.claim).filed
    return (
        ClaimRejected(claim=command.claim, reason=command.reason, late=today > filed.answer_by),
    )


def decide_loss(state: FacilityState, command: FixLoss, *, today: date) -> tuple[LossFixed]:
    """The principal is written down at every bank, and borne as the agreed rule says.

    Each bank's own reduction follows its outstanding principal; the difference to what it bears is
    owed among the parties. Raises NotReady while nothing is overdue, AboveOutstanding.
    """
    check_name(command.loss, place="$.loss")
    check_amount(command.amount_minor, place="$.amount_minor")
    _check_evidence(command.evidence_sha256)
    if command.loss in state.losses:
        raise AlreadyRecorded("loss", command.loss)
    check_opened(state, today=today)
    if state.phase not in ("overdue", "impaired"):
        raise NotReady("an instalment overdue")
    if command.amount_minor > state.outstanding_minor:
        raise AboveOutstanding(
            asked_minor=command.amount_minor, outstanding_minor=state.outstanding_minor
        )
    reductions = own_losses(state, command.amount_minor)
    parts = parts_of_loss(state, command.amount_minor, own=reductions)
    return (
        LossFixed(
            loss=command.loss,
            amount_minor=command.amount_minor,
            value_date=today,
            lost=tuple(
                lost
                for bank, part_minor in reductions.items()
                for lost in _lost(state, bank, part_minor)
            ),
            reductions=reductions,
            parts=parts,
            settlement=_settlement(state, reductions=reductions, parts=parts),
            outstanding=standing_outstanding(state),
            evidence_sha256=command.evidence_sha256,
        ),
    )


def check_recovery(state: FacilityState, amount_minor: int) -> None:
    """Nothing: that much may come back. Raises AboveShare beyond the net loss."""
    if amount_minor > state.net_loss_minor:
        raise AboveShare(
            "a recovery of the net loss", asked_minor=amount_minor, left_minor=state.net_loss_minor
        )


def recovery_shares(state: FacilityState, amount_minor: int) -> Mapping[str, int]:
    """What of a recovery, net of its costs, goes back to each bearer; the parts sum to it."""
    check_recovery(state, amount_minor)
    return parts_of_recovery(state, amount_minor)


def _check_evidence(evidence_sha256: tuple[str, ...]) -> None:
    for index, digest in enumerate(evidence_sha256):
        check_sha256(digest, place=f"$.evidence_sha256[{index}]")
    if not evidence_sha256:
        raise NotReady("evidence, by its SHA-256")


def _protector(state: FacilityState, party: str) -> Protector:
    for protector in state.terms.protectors:
        if protector.party == party:
            return protector
    raise NotAParty(party, needed="a protector of this facility")


def _filed(state: FacilityState, name: str) -> Claim:
    claim = state.claims.get(name)
    if claim is None:
        raise NoSuch("claim", name)
    if claim.status != "filed":
        raise NotNow(f"claim {name}", stands=claim.status)
    return claim


def _overdue_minor(state: FacilityState) -> int:
    return sum(loan.overdue_minor for loan in state.loans.values())


def _lost(state: FacilityState, bank: str, amount_minor: int) -> list[Lost]:
    """Which instalments of the bank's loans its loss is taken from; by outstanding over draws."""
    held = {key[0]: loan for key, loan in state.loans.items() if key[1] == bank}
    standing = {draw: loan.outstanding_minor for draw, loan in held.items()}
    parts = split(amount_minor, standing) if amount_minor else {}
    return [lost for draw, part_minor in parts.items() for lost in _taken(held[draw], part_minor)]


def _taken(loan: Loan, amount_minor: int) -> list[Lost]:
    """Which instalments the loss is taken from.

    What has fallen due, the oldest first; then the plan from its last instalment back: the dates
    that stand next keep their amounts.
    """
    due = sorted(loan.items, key=lambda item: item.unadjusted)
    sources = [(item.unadjusted, item.overdue, item.principal_minor) for item in due]
    sources += [(line.unadjusted, False, line.principal_minor) for line in reversed(loan.planned)]
    taken = []
    for unadjusted, overdue, standing_minor in sources:
        part_minor = min(amount_minor, standing_minor)
        amount_minor -= part_minor
        if part_minor:
            taken.append(
                Lost(
                    draw=loan.draw,
                    bank=loan.bank,
                    unadjusted=unadjusted,
                    overdue=overdue,
                    amount_minor=part_minor,
                )
            )
    return taken


def _settlement(
    state: FacilityState, *, reductions: Mapping[str, int], parts: Mapping[str, int]
) -> tuple[Settlement, ...]:
    """Who owes whom for the difference between what was lost and what is borne.

    First every bearer meets the banks that hold its advances, as far as they reach; the rest in the
    order of the seats, protectors after the banks. At most one line a pair and round.
    """
    parties = (*state.terms.seats, *(protector.party for protector in state.terms.protectors))
    due = {party: reductions.get(party, 0) - parts.get(party, 0) for party in parties}
    lines: dict[tuple[str, str], int] = {}
    for prepaid in (True, False):
        for debtor in parties:
            for creditor in parties:
                limit_minor = max(0, state.owes(debtor=creditor, creditor=debtor))
                part_minor = min(-due[debtor], due[creditor])
                if prepaid:
                    part_minor = min(part_minor, limit_minor)
                if part_minor > 0:
                    due[debtor] += part_minor
                    due[creditor] -= part_minor
                    pair = (creditor, debtor)
                    lines[pair] = lines.get(pair, 0) + part_minor
    return tuple(
        Settlement(creditor=creditor, debtor=debtor, amount_minor=amount_minor)
        for (creditor, debtor), amount_minor in lines.items()
    )
