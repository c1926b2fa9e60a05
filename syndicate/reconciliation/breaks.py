"""How a break is settled: one person proposes, a second approves (四眼原则). It changes no figure.

    open       -> attested | noted | disputed
    disputed   -> attested | noted
    attested   the bank accepts our figure
    noted      the bank's figure is noted beside ours, with a reason and a document; the record
               itself changes only by an ordinary correction
    disputed   the bank stands by its figure, with a reason and a document

A proposal changes nothing by itself and a later one replaces it. Attested and noted are final: only
a corrected statement, which is a reconciliation of its own, looks at the matter again.
"""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec

from ledger.documents import canonical
from ledger.errors import Absent, Conflict, NotAllowed, WrongInput
from syndicate.facility.checks import check_sha256, check_text

Settled = Literal["attested", "noted", "disputed"]
BreakStatus = Literal["open", "attested", "noted", "disputed"]
FINAL: Final = ("attested", "noted")


class BreakProposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a first person would have the break be."""

    number: int
    status: Settled
    reason: str
    document_sha256: str
    maker: str


class BreakStep(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal, or (`checker` given) its approval, as recorded."""

    proposal: BreakProposal
    checker: str | None
    business_day: date
    recorded_at: datetime


class BreakStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Where a break is now. pending: the proposal that a second person may approve."""

    status: BreakStatus
    settled: BreakStep | None
    pending: BreakProposal | None


OPEN: Final = BreakStanding(status="open", settled=None, pending=None)


class NoSuchBreak(Absent):
    """The reconciliation has no break of that number. Fields: number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"no break {number} in this reconciliation", number=number)


class Superseded(Conflict):
    """A corrected statement took this one's place. Fields: by."""

    code = "superseded"

    def __init__(self, by: str) -> None:
        super().__init__(f"superseded by {by}", by=by)


class BreakSettled(Conflict):
    """The break is attested or noted, for ever. Fields: number, status."""

    code = "break-settled"

    def __init__(self, number: int, status: str) -> None:
        super().__init__(f"break {number} is {status}", number=number, status=status)


class NothingProposed(Conflict):
    """No proposal waits for a second person. Fields: number."""

    code = "nothing-proposed"

    def __init__(self, number: int) -> None:
        super().__init__(f"first: a proposal for break {number}", number=number)


class StaleProposal(Conflict):
    """Another proposal stands than the one that was looked at. Fields: asked, stands."""

    code = "stale-proposal"

    def __init__(self, *, asked: str, stands: str) -> None:
        super().__init__("the proposal was replaced", asked=asked, stands=stands)


class SameHands(NotAllowed):
    """Whoever proposed or submitted may not approve it too (I16). Fields: person."""

    code = "same-hands"

    def __init__(self, person: str) -> None:
        super().__init__(f"{person} made this and may not approve it too", person=person)


class NotSettled(Conflict):
    """Breaks are open or disputed: nobody can agree to the whole yet. Fields: breaks."""

    code = "breaks-not-settled"

    def __init__(self, numbers: list[int]) -> None:
        super().__init__("some breaks are neither attested nor noted", breaks=numbers)


class AlreadyAttested(Conflict):
    """The bank signed this reconciliation. Fields: reconciliation."""

    code = "already-attested"

    def __init__(self, reconciliation: str) -> None:
        super().__init__(f"{reconciliation} is attested", reconciliation=reconciliation)


def after(steps: Iterable[BreakStep]) -> dict[int, BreakStanding]:
    """Where each break that was touched is after these steps, in the order recorded."""
    found: dict[int, BreakStanding] = {}
    for step in steps:
        number = step.proposal.number
        before = found.get(number, OPEN)
        if step.checker is None:
            found[number] = msgspec.structs.replace(before, pending=step.proposal)
        else:
            found[number] = BreakStanding(status=step.proposal.status, settled=step, pending=None)
    return found


def propose(standing: BreakStanding, proposal: BreakProposal) -> BreakProposal:
    """The proposal, if a second person could approve it. Raises WrongInput, BreakSettled."""
    if proposal.status != "attested" or proposal.reason:
        check_text(proposal.reason, place="$.reason")
    if proposal.status != "attested" or proposal.document_sha256:
        check_sha256(proposal.document_sha256, place="$.document_sha256")
    _check_open(standing, proposal)
    return proposal


def approve(standing: BreakStanding, *, number: int, quoted: str, checker: str) -> BreakProposal:
    """The proposal that is approved. Raises the refusals above."""
    if standing.pending is None:
        raise NothingProposed(number)
    if digest(standing.pending) != quoted:
        raise StaleProposal(asked=quoted, stands=digest(standing.pending))
    if standing.pending.maker == checker:
        raise SameHands(checker)
    _check_open(standing, standing.pending)
    return standing.pending


def _check_open(standing: BreakStanding, proposal: BreakProposal) -> None:
    if standing.status in FINAL:
        raise BreakSettled(proposal.number, standing.status)
    if standing.status == proposal.status:
        raise WrongInput("$.status", f"another status than {standing.status}, which it has")


def digest(proposal: BreakProposal) -> str:
    """SHA-256 of the canonical proposal, hex: what the second person quotes."""
    return hashlib.sha256(canonical(proposal)).hexdigest()


def settled_of(found: dict[int, BreakStanding], numbers: Iterable[int]) -> dict[int, str]:
    """Number -> status, all of them settled. Raises NotSettled with those that are not."""
    statuses: dict[int, Any] = {n: found.get(n, OPEN).status for n in numbers}
    waiting = [number for number, status in statuses.items() if status not in FINAL]
    if waiting:
        raise NotSettled(waiting)
    return statuses
