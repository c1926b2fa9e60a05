"""A negotiation with every record as a leaf, by whom it must be, signed by real keys.

What is forged is forged for good: what follows is decided on it, posted, hashed, sealed and signed
over it by the right keys, so that no check of the log alone can tell.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from api import attachments
from api.reperformance import judged
from ledger import bundle, leaves, merkle, signatures
from ledger.documents import canonical
from ledger.leaves import SYSTEM, Actor, Leaf
from ledger.signatures import Statement
from ledger.verify import verify
from negotiation.facts import (
    Accepted,
    DeadlineExtended,
    Fact,
    InvitationAnswered,
    LogReference,
    ProposalWithdrawn,
    Proposed,
    fact_of,
    subject_of,
)
from negotiation.moves import (
    AskOverride,
    CheckRules,
    DrawTermSheet,
    EndMandate,
    GiveMandate,
    GrantOverride,
    Ground,
    Lapse,
    Move,
    RecordFacility,
)
from negotiation.rounds import decide, evolve
from negotiation.rule_checks import findings_for, packs_for
from negotiation.termsheet import facility_terms, signature_body
from syndicate.disclosure.consent import Consent, ConsentGiven, consent_body
from syndicate.facility.facts import FacilityFormed
from syndicate.facility.facts import subject_of as subject_of_formed
from syndicate.facility.terms import FacilityTerms, terms_hash
from tests.ledger.installation import Installation, hashes
from tests.negotiation.deals import BANKS, START, WAN, Table, consent_for, key_of, quote, says

BOOK, FACILITY, BORROWER = "neg-1", "fac-1", "yunshenchu"
CAPITAL = {"net_capital_minor": 50_000_000 * WAN, "tier1_minor": 45_000_000 * WAN}
Forge = Callable[[Any], tuple[Fact, ...]]

ALL_OFFERED = {"hzbank": 8_000 * WAN, "cib": 6_000 * WAN, "czbank": 6_000 * WAN}
"""What the story's quotes clear to, at 15 below."""


def given(consent: Consent, *, over: Consent | None = None) -> ConsentGiven:
    """The consent, signed by its borrower; or another one's words under the signature."""
    signed = says("consent", consent_body(over or consent), by=consent.borrower)
    return ConsentGiven(consent=consent, signed=signed)


def opened(*consents: ConsentGiven) -> Installation:
    """Everybody's key and these consents stand in the registry: one for each bank unless told."""
    of = Installation(cosigners=())
    of.day = START
    for party in (*BANKS, BORROWER, "pool", "guarantor", "boc"):
        public = key_of(party).public
        fact = signatures.KeyRegistered(
            institution=party,
            key=signatures.key_id(public),
            public_key=signatures.encode_base64(public),
        )
        of.append("registry", f"key:{party}", msgspec.to_builtins(fact), kind="key")
    for one in consents or [given(consent_for(bank)) for bank in BANKS]:
        of.append("registry", one.consent.consent, msgspec.to_builtins(one), kind="consent")
    return of


class Logged(Table):
    """A table whose facts are written into a book of the installation as they are made.

    forged  what is recorded instead, by the fact's name; all that follows is decided on that
    masked  what stands in the leaf instead, while all that follows is decided on the true fact
    """

    def __init__(
        self,
        of: Installation,
        *,
        forged: dict[str, Forge] | None = None,
        masked: dict[str, Callable[[Any], Fact]] | None = None,
        book: str = BOOK,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.of, self.book = of, book
        self.forged, self.masked = forged or {}, masked or {}
        of.books[book], of.checkpoints[book] = [], []

    def do(self, *moves: Move) -> tuple[Fact, ...]:
        facts: tuple[Fact, ...] = ()
        for move in moves:
            ground = Ground(on=self.on, consents=self.consents, mandates=self.mandates)
            facts = decide(self.state, move, ground)
            for fact in facts:
                for said in self.forged.get(name_of(fact), lambda same: (same,))(fact):
                    self.record(said, by=self.giver(move))
        return facts

    def giver(self, move: Move) -> Actor:
        match move:
            case GiveMandate(mandate=mandate):
                return officer(mandate.borrower)
            case RecordFacility():
                return officer(self.lead)
            case Lapse():
                return SYSTEM
            case _:
                return Actor(institution=move.by, user=getattr(move, "user", f"{move.by}-officer"))

    def record(self, fact: Fact, *, by: Actor | None = None, **leaf: Any) -> None:
        """The fact stands in the log whether or not it follows from anything."""
        told = fact_of(msgspec.json.decode(canonical(fact)))
        self.state = evolve(self.state, told)
        self.facts.append(told)
        said = self.masked.get(name_of(told), lambda same: same)(told)
        self.write(name_of(told), subject_of(said), by=by or officer(self.lead), **leaf)

    def write(self, name: str, subject: dict[str, Any], *, by: Actor, **other: Any) -> None:
        words: dict[str, Any] = {
            "book": self.book,
            "kind": "record",
            "leaf_id": f"{len(self.of.books[other.get('book', self.book)])}:{name}",
            "subject": subject,
            "entries": (),
            "value_date": self.on,
            "booking_date": self.on,
            "recorded_at": self.of.now,
            "actor": by,
            "corrects": None,
        }
        leaf = Leaf(**{**words, **other})
        self.of.books[leaf.book].append(leaves.encode(leaf))
        self.of.now += timedelta(seconds=1)

    def after(self, day: date) -> None:
        """The day is sealed and the next working day is open."""
        self.of.day = self.on
        self.of.seal(self.book)
        super().after(day)
        self.of.day = self.on

    # ---- the story, as the service tells it

    def judged(self, *_: Any, by: str | None = None) -> "Logged":
        for bank in (by,) if by else self.holders():
            packs = packs_for(self.now, bank, on=self.on)
            found = findings_for(self.now, bank, **CAPITAL, on=self.on)
            self.do(CheckRules(by=bank, packs=packs, findings=found))
        return self

    def holders(self) -> tuple[str, ...]:
        assert self.now.clearing is not None
        return tuple(self.now.clearing.allocation)

    def decided(self) -> "Logged":
        for bank in self.holders():
            self.draft(bank)
            self.check(bank)
        return self

    def drawn(self, **changes: Any) -> "Logged":
        log = self.of.books[self.book]
        words: dict[str, Any] = {
            "by": self.lead,
            "facility": FACILITY,
            "signed_on": self.on,
            "cooperation_agreement": "c0" * 32,
            "log": LogReference(book=self.book, size=len(log), root=merkle.root(hashes(log)).hex()),
        }
        self.do(DrawTermSheet(**{**words, **changes}))
        return self

    def in_hand(self) -> "Logged":
        """Everything is decided and the sheet is drawn: whoever has a part may sign."""
        self.cleared().judged()
        return self.decided().drawn()

    def terms(self) -> FacilityTerms:
        sheet = self.now.sheet
        assert sheet is not None
        return facility_terms(self.now, facility=sheet.facility, signed_on=sheet.signed_on)

    def formed(self) -> "Logged":
        """The facility is formed on what was signed, and the negotiation says so."""
        self.form(tuple(self.now.signatures.values()))
        self.do(RecordFacility(terms=self.terms()))
        return self

    def sheets(self, **changed: Any) -> tuple[Statement, ...]:
        """The sheet signed by every party of the facility, whatever the negotiation has."""
        body = {**signature_body(self.now), **changed}
        return tuple(says("term-sheet", body, by=party) for party in self.terms().parties)

    def form(
        self, signed: tuple[Statement, ...], terms: FacilityTerms | None = None, **leaf: Any
    ) -> None:
        """The facility stands in a book of its own, formed on these terms and signatures."""
        book = leaf.setdefault("book", FACILITY)
        self.of.books.setdefault(book, [])
        self.of.checkpoints.setdefault(book, [])
        posted = terms or self.terms()
        fact = FacilityFormed(terms=posted, terms_hash=terms_hash(posted), signatures=signed)
        self.write("formed", subject_of_formed(fact), by=officer(self.lead), **leaf)

    def ended(self, by: str = BORROWER) -> "Logged":
        self.do(EndMandate(by=by, reason="no longer needed"))
        return self


def officer(institution: str) -> Actor:
    return Actor(institution=institution, user=f"{institution}-officer")


def name_of(fact: Fact) -> str:
    """The kind of the fact, and whose it is where several are alike."""
    match fact:
        case Proposed(version=version) | ProposalWithdrawn(version=version):
            return f"{type(fact).__name__}:{version}"
        case Accepted(by=by) | DeadlineExtended(by=by):
            return f"{type(fact).__name__}:{by}"
        case InvitationAnswered(bank=bank):
            return f"{type(fact).__name__}:{bank}"
        case _:
            whose = next(
                (getattr(fact, field) for field in ("bank", "party") if hasattr(fact, field)), None
            )
            kind = type(fact).__name__
            if kind in ("RulesChecked", "Override", "OverrideAsked"):
                whose = fact.by  # type: ignore[union-attr]
            return kind if whose is None else f"{kind}:{whose}"


def index_of(of: Installation, book: str, name: str) -> int:
    """Where the last fact of that name stands in the book."""
    ids = [leaves.decode(raw).leaf_id for raw in of.books[book]]
    return max(index for index, one in enumerate(ids) if one.partition(":")[2] == name)


def bundled(of: Installation, *, without: str | None = None) -> dict[str, bytes]:
    """The bundle of everything as it stands now, but for a book, with the program's tables."""
    now = deepcopy(of)
    now.publish()
    if without is not None:
        del now.books[without]
    attached = attachments.reference()
    return bundle.write(replace(now.contents(), attachments=attached), signer=now.signer)


# ---- what is told, forged and found


def table(**settings: Any) -> Logged:
    return Logged(opened(), **settings)


def answer(of: Installation, *, without: str | None = None) -> dict[str, Any]:
    files = bundled(of, without=without)
    assert verify(files, None).verified, "the log alone must not tell"
    return judged(files, None)


def missing(of: Installation) -> list[str]:
    document = answer(of)
    assert document["verified"], document["first_wrong"]
    return [line for line in document["expected_but_missing"] if "cosignature" not in line]


def not_proved(of: Installation, *, without: str | None = None) -> str:
    document = answer(of, without=without)
    assert document["verified"], document["first_wrong"]
    return "\n".join(document["not_proved"])


def check_wrong(of: Installation, book: str, index: int, says_so: str) -> None:
    document = answer(of)
    assert not document["verified"]
    wrong = document["first_wrong"]
    assert (wrong["book"], wrong["index"]) == (book, index), wrong["why"]
    assert says_so in wrong["why"]


def signed_and_formed(**settings: Any) -> Logged:
    play = table(**settings).in_hand()
    play.signed()
    return play.formed()


def overridden(play: Logged) -> Logged:
    """The lead holds so little that a rule in principle warns, and two persons go on."""
    held = {"hzbank": 2_000, "cib": 10_000, "czbank": 8_000}
    play.cleared(quotes={bank: quote((-15, wan)) for bank, wan in held.items()})
    play.judged()
    ask = AskOverride(
        by="hzbank", user="hz-1", pack="cn-syndicated", rule=warned(play), reason="an anchor"
    )
    play.do(ask, GrantOverride(by="hzbank", user="hz-2", pack=ask.pack, rule=ask.rule))
    return play


def warned(play: Logged) -> str:
    (rule,) = (
        finding.rule for finding in play.now.checks["hzbank"].findings if finding.outcome == "warn"
    )
    return rule


def without_a_name(play: Logged) -> tuple[Statement, ...]:
    body = {k: v for k, v in signature_body(play.now).items() if k != "negotiation"}
    return tuple(says("term-sheet", body, by=party) for party in play.terms().parties)


def in_place_of(name: str, forge: Callable[[Any], Fact]) -> dict[str, Forge]:
    return {name: lambda fact: (forge(fact),)}


def left_out(name: str) -> dict[str, Forge]:
    return {name: lambda _: ()}


def cleared_as(**changes: Any) -> dict[str, Forge]:
    return in_place_of("BookCleared", lambda fact: replace(fact, **changes))
