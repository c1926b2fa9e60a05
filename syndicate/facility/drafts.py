"""What one person prepared and a second must check before it counts (四眼原则). It posts nothing.

    release of a bank's part of a draw     made by its operations, checked by its approver
    final loss                             made by the lead's officer, checked by its approver

A draft is a record in the facility's log beside its facts, and the fold of the facts does not know
it. It is named by its digest, so that what is checked is what was made, to the letter; a draft made
again replaces the one before until one of them is checked.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar

import msgspec

from ledger.documents import canonical, convert
from ledger.errors import Conflict, NotAllowed
from syndicate.facility import claims, life
from syndicate.facility.claims import FixLoss
from syndicate.facility.errors import NotReady, SameHands
from syndicate.facility.life import ApproveRelease
from syndicate.facility.state import FacilityState
from syndicate.parties.statements import Statement

_SECOND_PERSON = "a second person"
"""Stands for the checker while a draft is tried: no person's id has blanks."""


class _Draft(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    pass


class ReleaseDrafted(_Draft, frozen=True, kw_only=True):
    """A bank's maker would let its part of a draw go under this 借据 number."""

    draw: str
    bank: str
    loan_no: str
    maker: str


class LossDrafted(_Draft, frozen=True, kw_only=True):
    """The lead's maker would fix so much principal as finally lost."""

    loss: str
    amount_minor: int
    evidence_sha256: tuple[str, ...]
    maker: str


Draft = ReleaseDrafted | LossDrafted
DRAFTS = frozenset({"ReleaseDrafted", "LossDrafted"})
"""The types of subjects that are drafts."""


class StaleDraft(Conflict):
    """Another draft stands than the one that was checked. Fields: asked, stands."""

    code: ClassVar[str] = "stale-draft"

    def __init__(self, *, asked: str, stands: str) -> None:
        super().__init__(
            "the draft was replaced: check the one that stands", asked=asked, stands=stands
        )


class OwnLossDraft(NotAllowed):
    """Whoever made the draft of a loss may not check it (I16). Fields: person."""

    code: ClassVar[str] = SameHands.code

    def __init__(self, person: str) -> None:
        super().__init__(f"{person} made the draft and may not check it too", person=person)


def draft_of(subject: dict[str, Any]) -> Draft:
    """The draft a leaf's subject says; WrongInput where it says none."""
    return convert(subject, Draft, place="$.subject")  # type: ignore[arg-type]


def name_of(draft: Draft) -> str:
    """What the draft is about: one draft stands for each name, the last one made."""
    match draft:
        case ReleaseDrafted():
            return release_name(draw=draft.draw, bank=draft.bank)
        case LossDrafted():
            return loss_name(draft.loss)


def release_name(*, draw: str, bank: str) -> str:
    """The name under which a bank's draft for a draw stands."""
    return f"release:{draw}:{bank}"


def loss_name(loss: str) -> str:
    """The name under which the draft of a loss stands."""
    return f"loss:{loss}"


def digest(draft: Draft) -> str:
    """SHA-256 of the canonical draft, hex: what the checker quotes."""
    return hashlib.sha256(canonical(draft)).hexdigest()


def draft_release(
    state: FacilityState, *, draw: str, bank: str, loan_no: str, maker: str
) -> ReleaseDrafted:
    """The draft, if a second person could release it now; the refusals of `decide_release`."""
    life.decide_release(
        state,
        ApproveRelease(draw=draw, bank=bank, loan_no=loan_no, maker=maker, checker=_SECOND_PERSON),
    )
    return ReleaseDrafted(draw=draw, bank=bank, loan_no=loan_no, maker=maker)


def draft_loss(state: FacilityState, command: FixLoss, *, maker: str, today: date) -> LossDrafted:
    """The draft, if it could be fixed now; the refusals of `decide_loss`."""
    claims.decide_loss(state, command, today=today)
    return LossDrafted(
        loss=command.loss,
        amount_minor=command.amount_minor,
        evidence_sha256=command.evidence_sha256,
        maker=maker,
    )


def checked_release(
    drafts: Mapping[str, Draft],
    *,
    draw: str,
    bank: str,
    checker: str,
    quoted: str,
    signed: Statement | msgspec.UnsetType,
) -> ApproveRelease:
    """The command a checker gives on the draft quoted; who made it is refused by the command."""
    draft = _standing(drafts, release_name(draw=draw, bank=bank), quoted=quoted)
    assert isinstance(draft, ReleaseDrafted), "names of releases and losses differ"
    return ApproveRelease(
        draw=draft.draw,
        bank=draft.bank,
        loan_no=draft.loan_no,
        maker=draft.maker,
        checker=checker,
        signed=signed,
    )


def checked_loss(drafts: Mapping[str, Draft], *, loss: str, checker: str, quoted: str) -> FixLoss:
    """The command a checker gives on the draft quoted. Raises OwnLossDraft for its maker."""
    draft = _standing(drafts, loss_name(loss), quoted=quoted)
    assert isinstance(draft, LossDrafted), "names of releases and losses differ"
    if draft.maker == checker:
        raise OwnLossDraft(checker)
    return FixLoss(
        loss=draft.loss, amount_minor=draft.amount_minor, evidence_sha256=draft.evidence_sha256
    )


def _standing(drafts: Mapping[str, Draft], name: str, *, quoted: str) -> Draft:
    draft = drafts.get(name)
    if draft is None:
        raise NotReady(f"a draft of {name}")
    if digest(draft) != quoted:
        raise StaleDraft(asked=quoted, stands=digest(draft))
    return draft
