"""A negotiation computed again from its log: what every record must say, given those before it.

Each leaf is judged by the state that the leaves before it leave: the move behind the record
(`moves_behind`) is decided once more, and the facts that follow must be those recorded. That covers
the order of all moves, deadlines, who made each, that maker and checker differ, the words under
each signature, the agreement that each bank decided on, the term sheet to the letter with its
hashes, where the log stood when it was drawn, and who signed it. `formed_as_agreed` holds every
facility against the negotiation it comes from (I17). Whether a signature holds is the ledger's
verifier's question.

It reads no file and no database. What leaves hide (quotes and offers behind salted commitments, a
bank's capital) and what no leaf tells is said to be not computed, never passed in silence.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from ledger import merkle
from ledger.errors import LiandaiError
from ledger.leaves import SYSTEM, Actor, Leaf, encode
from negotiation.beside import Beside, is_negotiation
from negotiation.cleared import book_with, clear_book
from negotiation.clearing import Uncleared, clear
from negotiation.facts import (
    BankDecided,
    BookCleared,
    BookFailed,
    FacilityAgreed,
    Fact,
    Lapsed,
    MandateGiven,
    Proposed,
    QuotePlaced,
    RuleFinding,
    RulesChecked,
    TermSheetDrawn,
    fact_of,
)
from negotiation.mandate import Mandate
from negotiation.moves import FailBook, Ground, Move
from negotiation.moves_behind import move_behind
from negotiation.quotes import Quote, Step
from negotiation.rounds import decide
from negotiation.rule_checks import LARGE_EXPOSURE, findings_for, packs_for
from negotiation.state import Negotiation, Phase, agreed_terms, evolve, fold, version_of
from negotiation.termsheet import check_posted
from syndicate.facility import facts as of_facilities
from syndicate.facility.facts import FacilityFormed
from syndicate.facility.reperform import FORMED, Differs, Reperformed, amounts_in, differences

QUOTES: Final = (
    "that books clear or fail as recorded: a log holds quotes and offers as salted commitments; "
    "spread and parts are held against the agreed terms, the book's rules and who had quoted"
)
CAPITAL: Final = (
    "what a bank's own capital allows: a log has the outcomes of those rules and no figure"
)
CONSENTS: Final = (
    "that a consent stood at the moment a bank spoke of a price: one that covers the day and was "
    "not withdrawn before is in the registry"
)
MANDATES: Final = "that a mandate was over before the next one for the same project was given"


def reperform(books: Mapping[str, Sequence[Leaf]]) -> dict[str, Reperformed]:
    """Every negotiation among the books computed again up to its first flaw, by its book.

    books  of one bundle, each whole and in log order, the registry among them
    Must run inside `published.using` where the tables are not to be the program's own.
    """
    beside = Beside(books)
    found = {}
    for book, leaves in books.items():
        if is_negotiation(leaves):
            found[book] = _computed(_Run(beside), leaves, books)
    return found


def formed_as_agreed(books: Mapping[str, Sequence[Leaf]]) -> dict[str, Reperformed]:
    """Every facility among the books held against the negotiation it was formed by, by its book.

    A flaw is told at the leaf that forms the facility. Only once facilities and negotiations of
    these books were computed again without a flaw.
    """
    states = {book: _folded(leaves) for book, leaves in books.items() if is_negotiation(leaves)}
    found = {}
    for book, leaves in books.items():
        for index, leaf in enumerate(leaves):
            if leaf.subject.get("type") == FORMED:
                formed = of_facilities.fact_of(leaf.subject)
                assert isinstance(formed, FacilityFormed), "of that type"
                found[book] = _held(formed, states, books, index=index)
                break
    return found


# ---- one negotiation


def _computed(
    run: "_Run", leaves: Sequence[Leaf], books: Mapping[str, Sequence[Leaf]]
) -> Reperformed:
    for index, leaf in enumerate(leaves):
        try:
            run.take(leaf)
        except LiandaiError as error:
            return run.told(books, index=index, why=str(error))
        except (LookupError, ArithmeticError, AssertionError, ValueError) as error:
            return run.told(books, index=index, why=f"nothing follows here ({error!r})")
    return run.told(books, index=None, why=None)


class _Run:
    """The negotiation while its leaves are taken.

    due     what the move under way still has to bring, given by `by`
    hashes  of the leaves taken so far
    """

    def __init__(self, beside: Beside) -> None:
        self.beside = beside
        self.state: Negotiation | None = None
        self.due: deque[Fact] = deque()
        self.by = SYSTEM
        self.hashes: list[bytes] = []
        self.counted: Counter[str] = Counter()
        self.amounts = 0
        self.missing: list[str] = []
        self.not_computed: dict[str, None] = {}

    def told(
        self, books: Mapping[str, Sequence[Leaf]], *, index: int | None, why: str | None
    ) -> Reperformed:
        """What there is to tell at the end, or at the first flaw."""
        if index is None:
            self.missing += (f"{type(fact).__name__}, with which the log ends" for fact in self.due)
            self._look_for_the_facility(books)
        return Reperformed(
            facts=dict(self.counted),
            amounts=self.amounts,
            missing=tuple(self.missing),
            not_computed=tuple(self.not_computed),
            index=index,
            why=why,
        )

    def take(self, leaf: Leaf) -> None:
        """The leaf follows from those before it. Raises what says why it does not."""
        if leaf.kind == "record":
            self._record(leaf)
        elif self.due:
            raise Differs("$.kind", f"{type(self.due[0]).__name__} before anything else")
        elif leaf.kind == "seal":
            self._seal(leaf)
        elif leaf.kind != "refusal":
            raise Differs("$.kind", "a record: nothing is posted in a negotiation")
        self.hashes.append(merkle.leaf_hash(encode(leaf)))

    def _record(self, leaf: Leaf) -> None:
        said = fact_of(leaf.subject)
        if not self.due:
            self.by = leaf.actor
            self.due.extend(self._brought(said, leaf))
        elif leaf.actor != self.by:
            raise Differs("$.actor", f"{_person(self.by)}, whose move brings this")
        _compare(said, self.due.popleft())
        if leaf.value_date != leaf.booking_date:
            raise Differs("$.value_date", str(leaf.booking_date))
        if leaf.corrects is not None:
            raise Differs("$.corrects", "nothing")
        self.state = evolve(self.state, said)
        self.counted[type(said).__name__] += 1
        if isinstance(said, BankDecided | TermSheetDrawn):
            self.amounts += amounts_in(leaf.subject)

    def _brought(self, said: Fact, leaf: Leaf) -> tuple[Fact, ...]:
        """What must stand in the log from here on, given the choices of the fact."""
        state, on = self.state, leaf.booking_date
        if isinstance(said, MandateGiven) and said.mandate.negotiation != leaf.book:
            raise Differs("$.subject.mandate.negotiation", leaf.book)
        _check_giver(state, said, leaf.actor)
        move = move_behind(state, said, actor=leaf.actor, on=on)
        facts = decide(state, self._computed_outcome(said, move, on), self._ground(said, leaf))
        if state is not None:
            self._check_content(state, said, on)
        return facts

    def _ground(self, said: Fact, leaf: Leaf) -> Ground:
        if isinstance(said, Proposed | QuotePlaced):
            self.not_computed[CONSENTS] = None
        mandates: tuple[Mandate, ...] = ()
        if isinstance(said, MandateGiven):
            mandates, ended = self.beside.mandates(leaf, said.mandate)
            if ended:
                self.not_computed[MANDATES] = None
        return Ground(on=leaf.booking_date, consents=self.beside.consents(leaf), mandates=mandates)

    def _computed_outcome(self, said: Fact, move: Move, on: date) -> Move:
        """The move itself, but for a book in which no quote stands: that fails in one way only."""
        state = self.state
        if not isinstance(said, BookFailed | BookCleared) or state is None or state.book is None:
            return move
        if state.book.standing:
            self.not_computed[QUOTES] = None
        elif isinstance(move, FailBook):
            return clear_book(state, book_with(state, {}, on=on), salt=bytes(32))
        return move

    def _check_content(self, state: Negotiation, said: Fact, on: date) -> None:
        """What the record says beyond the move's own rules, as far as the leaves tell."""
        match said:
            case BookCleared():
                _check_clears(state, said, on=on)
            case BookFailed() if not 0 <= said.gap_minor <= _target_of(state):
                raise Differs("$.subject.gap_minor", f"0 to {_target_of(state)}, the target")
            case RulesChecked():
                self.not_computed[CAPITAL] = None
                _check_findings(state, said, on=on)
            case TermSheetDrawn():
                stood = (len(self.hashes), merkle.root(self.hashes).hex())
                if (said.log.size, said.log.root) != stood:
                    raise Differs("$.subject.log", f"size {stood[0]} and root {stood[1]}")
            case _:
                pass

    def _seal(self, leaf: Leaf) -> None:
        """A version whose time was over when the sealed day began should have lapsed by then."""
        state = self.state
        if state is None or state.phase is not Phase.OPEN or state.standing is None:
            return
        if version_of(state, state.standing).deadline < leaf.booking_date:
            self.missing.append(
                f"the lapse of version {state.standing}, by the seal of {leaf.booking_date}"
            )

    def _look_for_the_facility(self, books: Mapping[str, Sequence[Leaf]]) -> None:
        state = self.state
        if state is None or state.phase is not Phase.FORMED or state.sheet is None:
            return
        facility = state.sheet.facility
        if facility not in books:
            self.not_computed[
                f"what became of {state.name}: the book {facility} is not in this bundle"
            ] = None
        elif not any(leaf.subject.get("type") == FORMED for leaf in books[facility]):
            self.missing.append(f"the forming of {facility}, on which all agreed")


# ---- what a record says


def _check_giver(state: Negotiation | None, said: Fact, actor: Actor) -> None:
    """Nothing: who recorded it is who may, where the move itself does not name who makes it."""
    wanted: tuple[str, ...]
    match said:
        case MandateGiven(mandate=mandate):
            wanted = (mandate.borrower,)
        case Lapsed() if state is not None:
            wanted = (SYSTEM.institution, state.mandate.lead)
        case FacilityAgreed() if state is not None:
            wanted = (state.mandate.lead,)
        case _:
            return
    if actor.institution not in wanted:
        raise Differs("$.actor.institution", " or ".join(wanted))


def _check_clears(state: Negotiation, said: BookCleared, *, on: date) -> None:
    """Nothing: the parts keep lots, target and the book's rules.

    Were each part all that its bank offers, the clearing engine would have to give exactly these:
    whatever the quotes were, an allocation that it refuses then can have come of none.
    """
    offers = {
        bank: Quote(steps=(Step(spread_bp=said.spread_bp, amount_minor=held),))
        for bank, held in said.allocation.items()
    }
    outcome = clear(book_with(state, offers, on=on))
    if isinstance(outcome, Uncleared):
        raise Differs("$.subject.allocation", f"parts that keep {', '.join(outcome.conflict)}")


def _check_findings(state: Negotiation, said: RulesChecked, *, on: date) -> None:
    """Nothing: these packs, and their findings but for what rests on the bank's capital."""
    packs = packs_for(state, said.by, on=on)
    _check_same(said.packs, packs, place="$.subject.packs")
    # Any capital does: what would tell one from another is left out on both sides.
    found = findings_for(state, said.by, net_capital_minor=1, tier1_minor=1, on=on)
    _check_same(
        [_public(finding) for finding in said.findings],
        [_public(finding) for finding in found],
        place="$.subject.findings",
    )


def _public(finding: RuleFinding) -> dict[str, Any]:
    """The finding as everyone can compute it; where the rule stands is for reading."""
    hidden = finding.pack == LARGE_EXPOSURE and finding.outcome != "not_applicable"
    return {
        "pack": finding.pack,
        "rule": finding.rule,
        "outcome": None if hidden else finding.outcome,
        "severity": finding.severity,
        "value": finding.value,
        "limit": finding.limit,
    }


def _target_of(state: Negotiation) -> int:
    return agreed_terms(state).target_minor


def _compare(said: Fact, expected: Fact) -> None:
    """Nothing: they are alike. Raises Differs at the first field that is not."""
    if type(said) is not type(expected):
        raise Differs("$.subject", f"{type(expected).__name__} here, not {type(said).__name__}")
    _check_same(said, expected, place="$.subject")


def _check_same(said: Any, expected: Any, *, place: str) -> None:
    for where, one, other in differences(
        msgspec.to_builtins(said), msgspec.to_builtins(expected), place
    ):
        raise Differs(where, f"{other}, not {one}")


def _person(actor: Actor) -> str:
    return f"{actor.user} of {actor.institution}"


# ---- the facility of a negotiation


def _folded(leaves: Sequence[Leaf]) -> Negotiation:
    state = fold(fact_of(leaf.subject) for leaf in leaves if leaf.kind == "record")
    assert state is not None, "a negotiation begins with its first fact"
    return state


def _held(
    formed: FacilityFormed,
    states: Mapping[str, Negotiation],
    books: Mapping[str, Sequence[Leaf]],
    *,
    index: int,
) -> Reperformed:
    missing: list[str] = []
    not_computed: list[str] = []
    why = None
    facility = formed.terms.facility
    named = [signed.body.get("negotiation") for signed in formed.signatures]
    try:
        name = _negotiation_of(facility, named, states)
        if name is None:
            not_computed.append(
                f"that the terms of {facility} were negotiated: its signatures name no negotiation"
            )
        elif name not in books:
            not_computed.append(
                f"that the terms of {facility} were negotiated: the book {name} is not in this "
                "bundle"
            )
        else:
            _check_agreed(formed, name, states)
            if states[name].phase is not Phase.FORMED:
                missing.append(f"the record in {name} that it was formed")
    except LiandaiError as error:
        why = str(error)
    return Reperformed(
        facts={},
        amounts=0,
        missing=tuple(missing),
        not_computed=tuple(not_computed),
        index=None if why is None else index,
        why=why,
    )


def _negotiation_of(
    facility: str, named: Sequence[Any], states: Mapping[str, Negotiation]
) -> str | None:
    """The negotiation that all signatures name, None where none names any."""
    name = named[0] if named else None
    place = "$.subject.signatures"
    if any(other != name for other in named) or not isinstance(name, str | None):
        raise Differs(place, "signatures that name one negotiation")
    for other, state in states.items():
        formed = state.sheet.facility if state.sheet and state.phase is Phase.FORMED else None
        if formed == facility and other != name:
            raise Differs(place, f"signatures that name {other}, which formed {facility}")
    return name


def _check_agreed(formed: FacilityFormed, name: str, states: Mapping[str, Negotiation]) -> None:
    """Nothing: the negotiation drew these terms up and has exactly these signatures under them."""
    state = states.get(name)
    if state is None:
        raise Differs("$.subject.signatures", f"a negotiation in the book {name}")
    if state.phase is Phase.ENDED:
        raise Differs("$.subject", f"no facility: {name} was ended")
    if state.sheet is None:
        raise Differs("$.subject", f"a term sheet drawn in {name}, before it was signed")
    check_posted(state, formed.terms)
    _check_same(formed.signatures, tuple(state.signatures.values()), place="$.subject.signatures")
