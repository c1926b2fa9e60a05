"""A negotiation told move by move, for the tests: the story's two deals and their table."""

import hashlib
from datetime import date
from typing import Any

import msgspec

from ledger.documents import canonical
from ledger.signatures import KeyInMemory, Statement, sign_statement
from negotiation.agreement import decision_body
from negotiation.cleared import PrivateQuote, book_of, clear_book, quote_hash
from negotiation.facts import Decision, Fact, LogReference, PackUsed, RuleFinding, fact_of
from negotiation.mandate import Mandate, mandate_body
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    CheckDecision,
    CheckRules,
    ClearBook,
    Counter,
    DraftDecision,
    DrawTermSheet,
    FailBook,
    GiveMandate,
    Ground,
    Invite,
    Move,
    OpenBook,
    PlaceQuote,
    Propose,
    SignTermSheet,
)
from negotiation.quotes import Quote, Step
from negotiation.rounds import Negotiation, decide, evolve
from negotiation.state import agreement_hash, next_quote_version, signatories
from negotiation.terms import Fee, RateProposal, Terms
from negotiation.termsheet import signature_body
from syndicate.disclosure.consent import (
    NO_CONSENTS,
    Consent,
    Consents,
    GiveConsent,
    consent_body,
)
from syndicate.disclosure.consent import decide as decide_consent
from syndicate.disclosure.consent import evolve as evolve_consent
from syndicate.facility.terms import DefaultTerms, Protector, RepaymentTerms
from syndicate.reference.calendar import next_workday

START = date(2025, 8, 18)
WAN = 10_000_00
BANKS = ("hzbank", "cib", "czbank")
QUARTERLY_FEE = Fee(
    kind="coordination", base="total", rate_bp=2, frequency="quarterly", payer="borrower"
)
PACK = PackUsed(pack="cn-syndicated", on=START)
PASSED = RuleFinding(
    pack="cn-syndicated",
    rule="SY-02",
    outcome="pass",
    severity="warn",
    value="0.4000",
    limit="0.15",
    source="金规〔2024〕14号 [C]",
    effective_from=date(2024, 11, 1),
)


def key_of(party: str) -> KeyInMemory:
    """The party's key in these tests."""
    return KeyInMemory(hashlib.sha256(party.encode()).digest())


def says(kind: str, body: dict[str, Any], *, by: str) -> Statement:
    """The party's signed statement, signed for good."""
    return sign_statement(kind=kind, body=body, by=by, signer=key_of(by))


def mandate(**changes: Any) -> Mandate:
    words: dict[str, Any] = {
        "negotiation": "neg-1",
        "borrower": "yunshenchu",
        "project": "working-capital-2025",
        "lead": "hzbank",
        "form": "JOINT_PARALLEL",
        "purpose": "neg-1:assessment",
        "valid_from": START,
        "until": date(2025, 12, 31),
    }
    words.update(changes)
    return Mandate(**words)


def terms(**changes: Any) -> Terms:
    """Deal 1 as the lead first proposes it: LPR - 5."""
    spread_bp = changes.pop("spread_bp", -5)
    words: dict[str, Any] = {
        "currency": "CNY",
        "target_minor": 20_000 * WAN,
        "lot_minor": 100 * WAN,
        "rate": RateProposal(
            base="LPR1Y",
            spread_bp=spread_bp,
            lpr_as_of="day_before",
            reset="annual",
            day_count="ACT/360",
        ),
        "repayment": RepaymentTerms(
            kind="bullet",
            tenor_months=36,
            frequency="quarterly",
            payment_day=20,
            business_day="following",
        ),
        "default": DefaultTerms(
            penalty_multiple="1.5",
            compound=True,
            waterfall=("fee", "compound", "penalty", "interest", "principal"),
        ),
        "fees": (),
        "protectors": (),
        "risk_share": None,
        "upside": ("listing tutoring",),
        "covenants": ("audited accounts by 30 April",),
        "available_until": date(2026, 6, 30),
    }
    words.update(changes)
    return Terms(**words)


def protected_terms() -> Terms:
    """Deal 2: equal principal, and the first 60 万 of loss with the banks, then 4:4:2."""
    pro_rata = {"kind": "pro_rata", "by": "commitment"}
    pool = {
        "kind": "capped",
        "limit": "1500000.00",
        "rule": {"kind": "party", "party": "pool"},
        "excess": pro_rata,
    }
    guarantor = {"kind": "party", "party": "guarantor"}
    beyond = {
        "kind": "split",
        "parts": [
            {"fraction": "0.4", "rule": pool},
            {"fraction": "0.4", "rule": guarantor},
            {"fraction": "0.2", "rule": pro_rata},
        ],
    }
    return terms(
        spread_bp=None,
        target_minor=3_000 * WAN,
        lot_minor=10 * WAN,
        repayment=RepaymentTerms(
            kind="equal_principal",
            tenor_months=36,
            frequency="quarterly",
            payment_day=18,
            business_day="following",
        ),
        protectors=(
            Protector(party="pool", kind="pool", claim_after_days=60, settle_workdays=20),
            Protector(party="guarantor", kind="guarantor", claim_after_days=30, settle_workdays=10),
        ),
        risk_share={
            "kind": "layers",
            "layers": [{"upto": "600000.00", "rule": pro_rata}, {"rule": beyond}],
        },
        upside=(),
        available_until=date(2025, 12, 31),
    )


def quote(*steps: tuple[int, int], low: int | None = None, high: int | None = None) -> Quote:
    """A quote of (spread_bp, 万) steps with its min and max hold in 万."""
    return Quote(
        steps=tuple(Step(spread_bp=bp, amount_minor=wan * WAN) for bp, wan in steps),
        min_hold_minor=None if low is None else low * WAN,
        max_hold_minor=None if high is None else high * WAN,
    )


STORY_QUOTES = {
    "hzbank": quote((-35, 3_000), (-25, 3_000), (-15, 2_000), high=8_000),
    "cib": quote((-30, 2_000), (-20, 4_000), (-10, 4_000), low=2_000, high=10_000),
    "czbank": quote((-25, 3_000), (-15, 3_000), high=6_000),
}
SECOND_QUOTES = {
    "cib": quote((20, 1_000), (35, 800), low=500),
    "hzbank": quote((10, 600), (30, 900)),
    "czbank": quote((25, 500), (40, 1_000), low=300),
}


def consent_for(bank: str, **changes: Any) -> Consent:
    words: dict[str, Any] = {
        "consent": f"consent-{bank}",
        "borrower": "yunshenchu",
        "person": None,
        "recipient": bank,
        "purpose": "neg-1:assessment",
        "classes": ("financials", "intellectual_property", "orders"),
        "valid_from": START,
        "until": date(2026, 12, 31),
        "version": 1,
        "evidence": None,
    }
    words.update(changes)
    return Consent(**words)


def consents(*given: Consent) -> Consents:
    state = NO_CONSENTS
    for one in given:
        signed = says("consent", consent_body(one), by=one.borrower)
        for fact in decide_consent(state, GiveConsent(consent=one, signed=signed, on=START)):
            state = evolve_consent(state, fact)
    return state


class Table:
    """One negotiation under way: the state, the day, and all facts recorded so far.

    Every fact goes through its JSON form before it counts, as it does in a log.
    """

    def __init__(self, *, consent: Consents | None = None, lead: str = "hzbank") -> None:
        self.state: Negotiation | None = None
        self.on = START
        self.consents = (
            consents(*(consent_for(bank) for bank in BANKS)) if consent is None else consent
        )
        self.mandates: tuple[Mandate, ...] = ()
        self.facts: list[Fact] = []
        self.quotes: dict[str, PrivateQuote] = {}
        self.lead = lead

    @property
    def now(self) -> Negotiation:
        assert self.state is not None
        return self.state

    def do(self, *moves: Move) -> tuple[Fact, ...]:
        """Make the moves; the facts of the last."""
        facts: tuple[Fact, ...] = ()
        for move in moves:
            ground = Ground(on=self.on, consents=self.consents, mandates=self.mandates)
            facts = decide(self.state, move, ground)
            for fact in facts:
                told = fact_of(msgspec.json.decode(canonical(fact)))
                assert told == fact
                self.state = evolve(self.state, told)
                self.facts.append(told)
        return facts

    def after(self, day: date) -> None:
        """The working day after `day` is open."""
        self.on = next_workday(day)

    # ---- the story, chapter by chapter

    def mandated(self, **changes: Any) -> "Table":
        given = mandate(lead=self.lead, **changes)
        signed = says("mandate", mandate_body(given), by=given.borrower)
        self.do(GiveMandate(mandate=given, signed=signed))
        return self

    def seated(self) -> "Table":
        self.mandated()
        others = tuple(bank for bank in BANKS if bank != self.lead)
        self.do(Invite(by=self.lead, banks=others))
        self.do(*(AnswerInvitation(by=bank, joins=True) for bank in others))
        return self

    def propose(self, what: Terms, workdays: int = 3) -> "Table":
        self.do(Propose(by=self.lead, terms=what, answer_within_workdays=workdays))
        return self

    def agreed(self, what: Terms | None = None) -> "Table":
        self.seated().propose(terms(spread_bp=None) if what is None else what)
        for bank in BANKS:
            if bank != self.lead:
                self.do(Accept(by=bank, version=1))
        return self

    def place(self, bank: str, what: Quote, salt: bytes = bytes(32)) -> None:
        version = next_quote_version(self.now, bank)
        sealed = quote_hash(
            negotiation=self.now.name,
            book=self.now.books,
            bank=bank,
            version=version,
            quote=what,
            salt=salt,
        )
        self.do(PlaceQuote(by=bank, version=version, quote_hash=sealed, signed=None))
        self.quotes[bank] = PrivateQuote(bank=bank, version=version, quote=what, salt=salt)

    def quoted(self, quotes: dict[str, Quote], rules: tuple[str, ...] = ()) -> "Table":
        self.quotes = {}
        self.do(OpenBook(by=self.lead, mode="open", rules=rules, quotes_within_workdays=5))
        for bank, what in quotes.items():
            self.place(bank, what)
        assert self.now.book is not None
        self.after(self.now.book.deadline)
        return self

    def outcome(self, headroom: dict[str, int] | None = None) -> ClearBook | FailBook:
        book = book_of(self.now, self.quotes, headroom=headroom or {}, on=self.on)
        return clear_book(self.now, book, salt=bytes(32))

    def cleared(self, what: Terms | None = None, quotes: dict[str, Quote] | None = None) -> "Table":
        self.agreed(what).quoted(STORY_QUOTES if quotes is None else quotes)
        self.do(self.outcome())
        return self

    def judged(self, *findings: RuleFinding, by: str | None = None) -> "Table":
        self.do(CheckRules(by=by or self.lead, packs=(PACK,), findings=findings or (PASSED,)))
        return self

    def draft(self, bank: str, outcome: Decision = "approve") -> None:
        agreement = agreement_hash(self.now)
        user = f"{bank}-maker"
        self.do(DraftDecision(by=bank, user=user, outcome=outcome, agreement=agreement))

    def check(self, bank: str, outcome: Decision = "approve", **changes: Any) -> None:
        words: dict[str, Any] = {
            "user": f"{bank}-checker",
            "agreement": agreement_hash(self.now),
        }
        words.update(changes)
        body = decision_body(
            self.now, bank=bank, outcome=outcome, maker=f"{bank}-maker", checker=words["user"]
        )
        self.do(CheckDecision(by=bank, signed=says("decision", body, by=bank), **words))

    def decided(self) -> "Table":
        for bank in BANKS:
            self.draft(bank)
            self.check(bank)
        return self

    def drawn(self, **changes: Any) -> "Table":
        words: dict[str, Any] = {
            "by": self.lead,
            "facility": "fac-1",
            "signed_on": self.on,
            "cooperation_agreement": "c0" * 32,
            "log": LogReference(book="neg-1", size=len(self.facts), root="ab" * 32),
        }
        words.update(changes)
        self.do(DrawTermSheet(**words))
        return self

    def sign(self, party: str) -> None:
        self.do(
            SignTermSheet(by=party, signed=says("term-sheet", signature_body(self.now), by=party))
        )

    def signed(self) -> "Table":
        for party in signatories(self.now):
            self.sign(party)
        return self


def counter(by: str, answers: int, what: Terms, workdays: int = 3) -> Counter:
    """A counter-proposal."""
    return Counter(by=by, answers=answers, terms=what, answer_within_workdays=workdays)
