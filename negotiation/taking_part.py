"""Who is let into a negotiation's book, or out of it, by what was recorded. It moves nobody itself.

The service does what `changes` says, in the transaction that records; whoever audits takes the
records again, command by command, and compares (`parts_of`).
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from ledger.parts import Part
from ledger.service import Recorded
from negotiation.facts import Fact, Invited, TermSheetDrawn, fact_of
from negotiation.rounds import Negotiation, evolve
from negotiation.state import Phase, entitled, signatories


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """By id: those who read nothing of what comes after, and those who read everything."""

    out: tuple[str, ...]
    let_in: tuple[str, ...]


def changes(before: Negotiation, after: Negotiation, *, facts: Iterable[Fact], by: str) -> Changes:
    """What the facts of one command, recorded by an institution, change.

    Out is whoever was entitled and is no more. In come the banks invited, those who sign the sheet
    once it is drawn, and everyone entitled when the lead starts anew at the table, with new terms
    or a new book, after a clearing that was not placed.
    """
    gone, now = entitled(before) - entitled(after), entitled(after)
    let_in: set[str] = set()
    for fact in facts:
        if isinstance(fact, Invited):
            let_in |= set(fact.banks)
        if isinstance(fact, TermSheetDrawn):
            let_in |= set(signatories(after))
    anew = before.phase is Phase.UNPLACED and after.phase in (Phase.OPEN, Phase.BOOK_OPEN)
    if anew and by == after.mandate.lead:
        let_in |= now - {after.mandate.lead}
    return Changes(out=tuple(sorted(gone)), let_in=tuple(sorted(let_in)))


def parts_of(recorded: Sequence[Recorded]) -> dict[str, Part]:
    """Everyone's part in the book after these records, by id; nobody's where there are none.

    recorded  the negotiation's records in log order, whole
    """
    state: Negotiation | None = None
    parts: dict[str, Part] = {}
    for _, group in groupby(recorded, key=_command):
        items = list(group)
        facts = [fact_of(item.subject) for item in items]
        before = state
        for fact in facts:
            state = evolve(state, fact)
        assert state is not None, "a negotiation begins with its mandate"
        if before is None:
            parts[state.mandate.borrower] = Part(part="member", begins=0)
            parts[state.mandate.lead] = Part(part="lead", begins=None)
            continue
        found = changes(before, state, facts=facts, by=items[-1].actor.institution)
        _follow(parts, found, size=items[-1].position + 1)
    return parts


def _follow(parts: dict[str, Part], found: Changes, *, size: int) -> None:
    for party in found.out:
        if party in parts and parts[party].ends is None:
            parts[party] = msgspec.structs.replace(parts[party], ends=size)
    for party in found.let_in:
        part = parts.get(party, Part(part="member", begins=size))
        parts[party] = msgspec.structs.replace(part, ends=None)


def _command(item: Recorded) -> str:
    """The command that recorded it: a leaf's id is `command:n`."""
    return item.leaf_id.rpartition(":")[0]
