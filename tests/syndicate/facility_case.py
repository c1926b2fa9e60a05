"""A facility played in memory: commands and days in, and after every fact its books are checked.

`Play` folds the facts twice, as the state and as the ledger's entries, and holds the two equal. The
terms are those of the two deals of the demo's story; amounts are minor units (fen).
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import copy
from datetime import date, timedelta
from functools import cache
from typing import Any

from msgspec.structs import replace

from ledger.documents import canonical, read_json
from ledger.entries import Account, Entry, Transaction, check_whole
from syndicate.facility import bookings, day, life, payments
from syndicate.facility.facts import Fact, fact_of, name_of, subject_of, value_date_of
from syndicate.facility.payments import ConfirmPayment, InstructPayment
from syndicate.facility.positions import payable
from syndicate.facility.state import FacilityState, evolve, fold
from syndicate.facility.terms import (
    DefaultTerms,
    FacilityTerms,
    Protector,
    RateTerms,
    RepaymentTerms,
)
from syndicate.parties.statements import Statement
from syndicate.reference.calendar import is_workday

WAN = 10_000 * 100
"""万 in fen."""

BANKS = ("hzbank", "cib", "czbank")

RULE: dict[str, Any] = {
    "currency": "CNY",
    "seats": ["pool", "guarantor", *BANKS],
    "commitments": {"hzbank": "15000000.00", "cib": "10000000.00", "czbank": "5000000.00"},
    "rule": {
        "kind": "layers",
        "layers": [
            {"upto": "600000.00", "rule": {"kind": "pro_rata", "by": "commitment"}},
            {
                "rule": {
                    "kind": "split",
                    "parts": [
                        {
                            "fraction": "0.4",
                            "rule": {
                                "kind": "capped",
                                "limit": "1500000.00",
                                "rule": {"kind": "party", "party": "pool"},
                                "excess": {"kind": "pro_rata", "by": "commitment"},
                            },
                        },
                        {"fraction": "0.4", "rule": {"kind": "party", "party": "guarantor"}},
                        {"fraction": "0.2", "rule": {"kind": "pro_rata", "by": "commitment"}},
                    ],
                }
            },
        ],
    },
}

DEAL_2 = FacilityTerms(
    facility="fac-qinghe",
    form="JOINT_PARALLEL",
    interest_authority="per_contract",
    currency="CNY",
    borrower="qinghe",
    lead="cib",
    seats=BANKS,
    commitments={"hzbank": 1500 * WAN, "cib": 1000 * WAN, "czbank": 500 * WAN},
    signed_on=date(2024, 3, 15),
    available_until=date(2024, 12, 31),
    rate=RateTerms(
        base="LPR1Y", spread_bp=30, lpr_as_of="same_day", reset="annual", day_count="ACT/360"
    ),
    repayment=RepaymentTerms(
        kind="equal_principal",
        tenor_months=36,
        frequency="quarterly",
        payment_day=20,
        business_day="following",
    ),
    default=DefaultTerms(
        penalty_multiple="1.5",
        compound=True,
        waterfall=("fee", "compound", "penalty", "interest", "principal"),
    ),
    protectors=(
        Protector(party="pool", kind="pool", claim_after_days=90, settle_workdays=20),
        Protector(party="guarantor", kind="guarantor", claim_after_days=60, settle_workdays=10),
    ),
    risk_share=RULE,
    upside=(),
)

DEAL_1 = replace(
    DEAL_2,
    facility="fac-yunshen",
    borrower="yunshen",
    lead="hzbank",
    commitments={"hzbank": 8000 * WAN, "cib": 7000 * WAN, "czbank": 5000 * WAN},
    signed_on=date(2025, 9, 18),
    available_until=date(2026, 3, 31),
    rate=replace(DEAL_2.rate, spread_bp=-20, lpr_as_of="day_before"),
    repayment=replace(DEAL_2.repayment, kind="bullet"),
    protectors=(),
    risk_share=None,
    upside=("the firm files for a listing",),
)


class Play:
    """One facility's life so far.

    day      the open business day
    state    the fold of the facts
    facts    all of them, in order
    """

    def __init__(self, terms: FacilityTerms, *, first_day: date) -> None:
        self.day = first_day
        self.facts: list[Fact] = []
        self.names: set[str] = set()
        self.balances: defaultdict[Account, int] = defaultdict(int)
        self.dated: list[tuple[date, tuple[Entry, ...]]] = []
        self._state: FacilityState | None = None
        self._numbers = 0
        self.record([life.decide_form(terms, signatures=())])

    @property
    def state(self) -> FacilityState:
        assert self._state is not None
        return self._state

    def copy(self) -> "Play":
        """The same life so far, to go on differently."""
        other = copy(self)
        other.facts, other.dated = list(self.facts), list(self.dated)
        other.names, other.balances = set(self.names), self.balances.copy()
        return other

    def do(self, command: life.Command) -> tuple[Fact, ...]:
        """The command is decided on the open day and its facts recorded."""
        return self.record(life.decide(self.state, command, today=self.day))

    def record(self, facts: Iterable[Fact]) -> tuple[Fact, ...]:
        recorded = tuple(facts)
        for fact in recorded:
            self._record(fact)
        return recorded

    def _record(self, fact: Fact) -> None:
        assert fact_of(read_json(canonical(subject_of(fact)))) == fact
        assert name_of(fact) not in self.names
        self.names.add(name_of(fact))
        entries = bookings.entries(self._state, fact)
        on = value_date_of(fact, booking_date=self.day)
        if entries:
            check_whole(Transaction(value_date=on, entries=entries, corrects=None))
        for entry in entries:
            self.balances[entry.account] += entry.amount_minor
        self.dated.append((on, entries))
        self._state = evolve(self._state, fact)
        self.facts.append(fact)
        self.check_books()

    def check_books(self) -> None:
        """The ledger's balances are the state's figures: loan by loan, debt by debt."""
        state, expected = self.state, {}
        borrower, currency = state.terms.borrower, state.terms.currency
        for (draw, bank), loan in state.loans.items():
            if loan.drawn_on is None:
                continue
            for code, amount_minor in (
                ("due.principal", loan.principal_minor),
                ("due.overdue", loan.overdue_minor),
                ("due.interest", loan.interest_minor),
                ("due.penalty", loan.penalty_minor),
                ("due.compound", loan.compound_minor),
            ):
                assert amount_minor >= 0
                expected[Account(bank, code, borrower, draw, currency)] = amount_minor
        for party, borne_minor in state.borne.items():
            assert borne_minor >= 0
            expected[Account(party, "loss.credit", "", "", currency)] = borne_minor
            expected[Account(party, "recourse.allowance", "", "", currency)] = -borne_minor
            expected[Account(party, "due.recourse", borrower, "", currency)] = borne_minor
        for (creditor, debtor), owed_minor in state.owed.items():
            expected[Account(creditor, "due.protection", debtor, "", currency)] = owed_minor
        for account, balance_minor in self.balances.items():
            wanted = account.code.startswith(("due.", "loss.", "recourse.")) and (
                account.party != borrower
                and (account.code != "due.protection" or account.party < account.counterparty)
            )
            if wanted:
                assert balance_minor == expected.pop(account, 0), account
        assert not any(expected.values()), expected

    def moved(self) -> dict[tuple[date, Account], int]:
        """What each value date moved on each account, booked whenever; 0 left out.

        Two lives with the same answer have the same balance of every account at every value date.
        """
        found: defaultdict[tuple[date, Account], int] = defaultdict(int)
        for value_date, entries in self.dated:
            for entry in entries:
                found[value_date, entry.account] += entry.amount_minor
        return {moved: amount_minor for moved, amount_minor in found.items() if amount_minor}

    def balance(self, party: str, code: str, counterparty: str = "", ref: str = "") -> int:
        """A balance of the ledger, from its entries alone."""
        return self.balances[Account(party, code, counterparty, ref, self.state.terms.currency)]

    # -- days ---------------------------------------------------------------------------------

    def open(self, on: date) -> tuple[Fact, ...]:
        """`on` is the open business day."""
        self.day = on
        return self.record(day.opening(self.state, on))

    def close(self) -> tuple[Fact, ...]:
        return self.record(day.closing(self.state, self.day))

    def until(self, on: date, *, paying: bool = False) -> None:
        """Business day by business day until `on` is open; `paying` what is due on each."""
        while self.day < on:
            self.close()
            following = self.day + timedelta(days=1)
            while not is_workday(following):
                following += timedelta(days=1)
            self.open(following)
            if paying and self.day < on:
                self.pay_all_due()
        assert self.day == on, "the day asked for is no business day"

    # -- cash ---------------------------------------------------------------------------------

    def fund(self, draw: str, amount_minor: int) -> None:
        """A draw of today, released and paid out by every bank."""
        self.do(
            life.RequestDraw(
                draw=draw,
                amount_minor=amount_minor,
                value_date=self.day,
                use_of_funds="working-capital",
                payment_mode="entrusted",
            )
        )
        for bank in self.state.terms.seats:
            self.do(
                life.ApproveRelease(
                    draw=draw, bank=bank, loan_no=f"{bank}-{draw}", maker="li", checker="wang"
                )
            )
            part_minor = self.state.draws[draw].requested.parts[bank]
            self.pay("drawdown", bank, self.state.terms.borrower, part_minor, about=draw)

    def contracts(self) -> None:
        for bank in self.state.terms.seats:
            self.do(
                life.RecordContract(bank=bank, contract_no=f"JK-{bank}", document_sha256="a" * 64)
            )

    def instruct(
        self, purpose: Any, payer: str, payee: str, amount_minor: int, *, about: str = ""
    ) -> str:
        self._numbers += 1
        name = f"pay-{self._numbers}"
        self.do(
            InstructPayment(
                payment=name,
                purpose=purpose,
                payer=payer,
                payee=payee,
                receiving_bank=payee if payee in BANKS else "hzbank",
                amount_minor=amount_minor,
                about=about,
            )
        )
        return name

    def confirmation(
        self,
        name: str,
        *,
        amount_minor: int | None = None,
        value_date: date | None = None,
        reference: str | None = None,
    ) -> ConfirmPayment:
        """The receiving bank's word on a payment: as instructed, today, unless said otherwise."""
        instructed = self.state.payments[name].instructed
        statement = Statement(
            kind="cash-confirmation",
            body={},
            by=instructed.receiving_bank,
            key="0" * 16,
            signature="not verified here",
        )
        command = ConfirmPayment(
            payment=name,
            amount_minor=instructed.amount_minor if amount_minor is None else amount_minor,
            external_reference=f"ref-{name}" if reference is None else reference,
            value_date=self.day if value_date is None else value_date,
            signed=statement,
        )
        body = payments.confirmation_body(self.state, command)
        return replace(command, signed=replace(statement, body=body))

    def confirm(self, name: str, **said: Any) -> Fact:
        """The confirmation's own fact; what it puts right stands behind it in `facts`."""
        fact, *_ = self.do(self.confirmation(name, **said))
        return fact

    def pay(
        self, purpose: Any, payer: str, payee: str, amount_minor: int, *, about: str = ""
    ) -> Fact:
        """Instructed and confirmed on the open day."""
        return self.confirm(self.instruct(purpose, payer, payee, amount_minor, about=about))

    def pay_all_due(self) -> None:
        for line in payable(self.state):
            self.pay(
                "repayment", self.state.terms.borrower, line.bank, line.total_minor, about=line.draw
            )

    def folds_to_the_same(self) -> bool:
        """Whether folding all facts afresh gives the state reached step by step."""
        return fold(self.facts) == self.state


def deal_2(*, drawn_minor: int = 3000 * WAN, terms: FacilityTerms = DEAL_2) -> Play:
    """Deal 2 drawn on 2024-03-18, that day still open."""
    play = Play(terms, first_day=date(2024, 3, 18))
    play.contracts()
    play.fund("d1", drawn_minor)
    return play


@cache
def _troubled(until: date) -> Play:
    """Deal 2 paid through June 2025 and not after; cached in steps, never handed out itself."""
    steps = [on for on in (date(2025, 9, 19), date(2025, 12, 22), date(2026, 3, 20)) if on < until]
    if steps:
        play = _troubled(steps[-1]).copy()
    else:
        play = deal_2()
        play.until(date(2025, 6, 20), paying=True)
        play.pay_all_due()
    play.until(until)
    return play


def troubled(until: str) -> Play:
    """Deal 2 paid through June 2025 and not after, with the given business day open."""
    return _troubled(date.fromisoformat(until)).copy()
