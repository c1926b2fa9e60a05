"""A facility's log follows from its terms, to the fen; what does not is named by book and index.

The forgeries are whole: what follows a forged record is computed from it, posted in balance,
hashed, sealed and signed by the right keys, so that no check of the log alone can tell.
"""

from collections.abc import Callable
from datetime import date
from itertools import combinations
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from api import attachments
from api.reperformance import judged
from ledger import bundle, leaves
from ledger.entries import Entry, debt
from ledger.leaves import SYSTEM, Actor, Leaf
from ledger.verify import verify
from syndicate.facility import bookings, claims, drafts, life, payments
from syndicate.facility.facts import (
    DrawRequested,
    Fact,
    InterestAccrued,
    LossFixed,
    PaymentConfirmed,
    RateFixed,
    ReleaseApproved,
    name_of,
    subject_of,
    value_date_of,
)
from syndicate.facility.terms import terms_hash
from syndicate.parties.statements import Statement
from syndicate.reference import lpr, published
from tests.ledger.installation import Installation
from tests.syndicate.facility_case import BANKS, DEAL_2, WAN, Play

EVIDENCE = ("b" * 64,)
Forge = Callable[[Fact], Fact]


class Logged(Play):
    """A facility's life with every record as a leaf, given by whom it must, signed by real keys.

    forged  what is recorded instead, by the name of the fact
    """

    def __init__(self, of: Installation, *, forged: dict[str, Forge] | None = None) -> None:
        self.of, self.forged, self.actor = of, forged or {}, SYSTEM
        self.book, self.hidden = DEAL_2.facility, set[str]()
        for party in DEAL_2.parties:
            of.register(party)
        of.books[self.book], of.checkpoints[self.book] = [], []
        super().__init__(DEAL_2, first_day=date(2024, 3, 18))

    def record(self, brought: Any) -> tuple[Fact, ...]:
        made = []
        for fact in brought:
            name = name_of(fact)
            if name == "formed":
                fact = replace(fact, signatures=self.sheets())  # noqa: PLW2901
            if name not in self.hidden:
                made.append(self.forged.get(name, lambda same: same)(fact))
        return super().record(made)

    def sheets(self) -> tuple[Statement, ...]:
        body = {"facility": self.book, "terms_hash": terms_hash(DEAL_2)}
        return tuple(self.signed("term-sheet", body, by=party) for party in DEAL_2.parties)

    def signed(self, kind: str, body: dict[str, Any], *, by: str) -> Statement:
        return msgspec.convert(self.of.signed(kind, body, by=by), Statement)

    def _record(self, fact: Fact) -> None:
        entries = bookings.entries(self._state, fact)
        on = value_date_of(fact, booking_date=self.day)
        super()._record(fact)
        if isinstance(fact, ReleaseApproved):
            self.actor = replace(self.actor, user=fact.checker)
        self.write(name_of(fact), subject_of(fact), entries=entries, on=on)

    def write(self, name: str, subject: Any, *, entries: Any = (), on: date | None = None) -> None:
        leaf = Leaf(
            book=self.book,
            kind="transaction" if entries else "record",
            leaf_id=f"{len(self.of.books[self.book])}:{name}",
            subject=subject,
            entries=entries,
            value_date=on or self.day,
            booking_date=self.day,
            recorded_at=self.of.now,
            actor=self.actor,
            corrects=None,
        )
        self.of.books[self.book].append(leaves.encode(leaf))

    def do(self, command: life.Command) -> tuple[Fact, ...]:
        match command:
            case life.ApproveRelease():
                self.actor = Actor(institution=command.bank, user=command.maker)
                draft = drafts.draft_release(
                    self.state,
                    draw=command.draw,
                    bank=command.bank,
                    loan_no=command.loan_no,
                    maker=command.maker,
                )
                self.write("draft", msgspec.to_builtins(draft))
                body = life.release_body(self.state, command)
                command = replace(command, signed=self.signed("release", body, by=command.bank))
            case claims.FixLoss():
                self.actor = Actor(institution=DEAL_2.lead, user="li")
                loss = drafts.draft_loss(self.state, command, maker="li", today=self.day)
                self.write("draft", msgspec.to_builtins(loss))
            case payments.ConfirmPayment():
                by = self.state.payments[command.payment].instructed.receiving_bank
                words = command.signed.body
                command = replace(command, signed=self.signed("cash-confirmation", words, by=by))
            case _:
                pass
        self.actor = Actor(institution=self.giver(command), user="wang")
        return super().do(command)

    def giver(self, command: life.Command) -> str:
        match command:
            case life.RequestDraw():
                return DEAL_2.borrower
            case payments.InstructPayment():
                return command.payee if command.purpose == "recovery" else command.payer
            case payments.ConfirmPayment() | payments.ReturnPayment():
                return self.state.payments[command.payment].instructed.receiving_bank
            case claims.AcceptClaim() | claims.RejectClaim():
                return self.state.claims[command.claim].filed.protector
            case claims.FileClaim() | claims.FixLoss():
                return DEAL_2.lead
            case life.RecordContract() | life.ApproveRelease():
                return command.bank
            case _:
                return BANKS[0]

    def open(self, on: date) -> tuple[Fact, ...]:
        self.actor = SYSTEM
        return super().open(on)

    def close(self) -> tuple[Fact, ...]:
        self.actor = SYSTEM
        made = super().close()
        self.of.day = self.day
        self.of.seal(self.book)
        return made


def lived(forged: dict[str, Forge] | None = None, *, until: str = "2024-12-25") -> Installation:
    """Deal 2: paid through June 2024, then claimed, advanced, lost and partly recovered."""
    of = Installation(cosigners=())
    play = Logged(of, forged=forged)
    play.contracts()
    play.fund("d1", 3000 * WAN - 1)
    end = date.fromisoformat(until)
    play.until(min(end, date(2024, 6, 20)), paying=True)
    if end > play.day:
        play.pay_all_due()
        play.until(min(end, date(2024, 12, 20)))
    if end > play.day:
        play.do(
            claims.FileClaim(
                claim="c1", protector="pool", amount_minor=50 * WAN, evidence_sha256=EVIDENCE
            )
        )
        play.do(claims.AcceptClaim(claim="c1", amount_minor=40 * WAN))
        play.pay("advance", "pool", "cib", 10 * WAN, about="c1")
        play.do(claims.FixLoss(loss="l1", amount_minor=200 * WAN + 7, evidence_sha256=EVIDENCE))
        if "loss:l1" not in play.forged:
            play.pay("recovery", DEAL_2.borrower, "cib", 30 * WAN + 1)
        play.until(end)
    of.publish()
    return of


def bundled(of: Installation, tables: published.Tables = published.OWN) -> dict[str, bytes]:
    attached = {**attachments.reference(), **published.documents(tables)}
    return bundle.write(replace(of.contents(), attachments=attached), signer=of.signer)


TRUE = lived()


def index_of(of: Installation, name: str) -> int:
    ids = [leaves.decode(raw).leaf_id for raw in of.books[DEAL_2.facility]]
    (found,) = [index for index, one in enumerate(ids) if one.partition(":")[2] == name]
    return found


# ---- the true life


def test_every_record_of_a_true_facility_follows_from_its_terms():
    document = judged(bundled(TRUE), None)
    assert document["verified"], document
    again = document["reperformed"][DEAL_2.facility]
    assert again["facts"]["InterestAccrued"] == 282
    assert again["facts"]["LossFixed"] == 1
    assert again["amounts"] > 5_000
    assert "fixings in the bundle equal the program's: 85" in document["checked"]
    assert not any("not computed again" in line for line in document["not_proved"])


def test_a_bundle_without_tables_says_that_nothing_was_computed_again():
    document = judged(lived(until="2024-03-20").bundle(), None)
    assert document["verified"]
    assert any("tables to compute" in line for line in document["expected_but_missing"])
    assert any("not computed again" in line for line in document["not_proved"])


# ---- what is signed, balanced, logged, and wrong


def one_fen_more_interest(fact: Fact) -> Fact:
    assert isinstance(fact, InterestAccrued)
    first, *rest = fact.lines
    return replace(fact, lines=(replace(first, interest_minor=first.interest_minor + 1), *rest))


def principal_before_interest(fact: Fact) -> Fact:
    assert isinstance(fact, PaymentConfirmed)
    principal = replace(fact.met[-1], amount_minor=fact.amount_minor)
    assert principal.charge == "principal"
    return replace(fact, met=(principal,))


def in_another_order(fact: Fact) -> Fact:
    assert isinstance(fact, PaymentConfirmed)
    return replace(fact, met=tuple(reversed(fact.met)))


def a_fen_from_one_bank_to_another(fact: Fact) -> Fact:
    assert isinstance(fact, DrawRequested)
    parts = {**fact.parts, "hzbank": fact.parts["hzbank"] - 1, "cib": fact.parts["cib"] + 1}
    return replace(fact, parts=parts)


def a_fen_of_loss_moved(fact: Fact) -> Fact:
    """One bearer owes a bank a fen less, another owes the same bank a fen more."""
    assert isinstance(fact, LossFixed)
    less, more = next(
        (one, other)
        for one, other in combinations(fact.settlement, 2)
        if one.creditor == other.creditor
    )
    parts = dict(fact.parts)
    parts[less.debtor] -= 1
    parts[more.debtor] += 1
    moved = {less: -1, more: 1}
    settlement = tuple(
        replace(line, amount_minor=line.amount_minor + moved.get(line, 0))
        for line in fact.settlement
    )
    return replace(fact, parts=parts, settlement=settlement)


def a_fen_of_recovery_moved(fact: Fact) -> Fact:
    assert isinstance(fact, PaymentConfirmed)
    first, *_, last = fact.shares
    shares = {**fact.shares, first: fact.shares[first] - 1}
    shares[last] += 1
    return replace(fact, shares=shares)


def checked_by_its_maker(fact: Fact) -> Fact:
    assert isinstance(fact, ReleaseApproved)
    return replace(fact, checker=fact.maker)


def another_rate(fact: Fact) -> Fact:
    assert isinstance(fact, RateFixed)
    return replace(fact, base_rate="0.0340", rate="0.0370")


SIGNERS = Installation(cosigners=())


def confirmed_by_the_payer(fact: Fact) -> Fact:
    assert isinstance(fact, PaymentConfirmed)
    signed = SIGNERS.signed("cash-confirmation", fact.signed.body, by=DEAL_2.borrower)
    return replace(fact, signed=msgspec.convert(signed, Statement))


def confirmed_for_more(fact: Fact) -> Fact:
    assert isinstance(fact, PaymentConfirmed)
    signed = SIGNERS.signed(
        "cash-confirmation", {**fact.signed.body, "amount_minor": 1}, by=fact.signed.by
    )
    return replace(fact, signed=msgspec.convert(signed, Statement))


def without_a_signature(fact: Fact) -> Fact:
    assert isinstance(fact, ReleaseApproved)
    return replace(fact, signed=msgspec.UNSET)


FORGED: dict[str, tuple[str, Forge, str, str]] = {
    # what                           which fact            how     says             until
    "a fen more interest": (
        "accrued:2024-03-20",
        one_fen_more_interest,
        "interest_minor",
        "2024-03-22",
    ),
    "a rate of no fixing": ("rate:d1:2024-03-18", another_rate, "0.0375", "2024-03-20"),
    "a share off by a fen": ("draw:d1", a_fen_from_one_bank_to_another, "parts", "2024-03-20"),
    "approval by the maker": ("release:d1:cib", checked_by_its_maker, "li", "2024-03-20"),
    "approval unsigned": ("release:d1:cib", without_a_signature, "signed", "2024-03-20"),
    "a confirmation by the payer": (
        "confirmed:pay-4",
        confirmed_by_the_payer,
        "signed by hzbank",
        "2024-06-21",
    ),
    "a confirmation of other words": (
        "confirmed:pay-4",
        confirmed_for_more,
        "exactly what is done",
        "2024-06-21",
    ),
    "a waterfall in another order": ("confirmed:pay-4", in_another_order, "met", "2024-06-21"),
    "a fen of the loss moved": ("loss:l1", a_fen_of_loss_moved, "parts", "2024-12-24"),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_is_signed_balanced_and_wrong_is_named_with_its_reason(case):
    name, forge, says, until = FORGED[case]
    of = lived({name: forge}, until=until)
    files = bundled(of)
    assert verify(files, None).verified, "the log alone must not tell"
    document = judged(files, None)
    assert not document["verified"]
    wrong = document["first_wrong"]
    assert (wrong["book"], wrong["index"]) == (DEAL_2.facility, index_of(of, name))
    assert says in wrong["why"]


def test_principal_met_before_interest_is_named():
    of = Installation(cosigners=())
    play = Logged(of, forged={"confirmed:pay-4": principal_before_interest})
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.until(date(2024, 6, 20))
    (item,) = play.state.loans["d1", "hzbank"].items
    part_minor = item.interest_minor + 500
    play.pay("repayment", DEAL_2.borrower, "hzbank", part_minor, about="d1")
    of.publish()
    wrong = judged(bundled(of), None)["first_wrong"]
    assert wrong["index"] == index_of(of, "confirmed:pay-4")
    assert "met[0].charge: expected interest, not principal" in wrong["why"]


def test_a_recovery_shared_a_fen_off_is_named():
    name = next(n for n in (f"confirmed:pay-{k}" for k in range(1, 99)) if recovered(n))
    of = lived({name: a_fen_of_recovery_moved}, until="2024-12-24")
    document = judged(bundled(of), None)
    assert document["first_wrong"]["index"] == index_of(of, name)
    assert "shares" in document["first_wrong"]["why"]


def recovered(name: str) -> bool:
    subjects = [leaves.decode(raw) for raw in TRUE.books[DEAL_2.facility]]
    return any(leaf.leaf_id.endswith(f":{name}") and leaf.subject["shares"] for leaf in subjects)


# ---- what stands beside the facts


def transfer() -> tuple[Entry, ...]:
    """The borrower owes a bank more, in balance for both: what no term of the facility brings."""
    owed = debt(
        code="due.principal",
        creditor="cib",
        debtor=DEAL_2.borrower,
        ref="x",
        currency="CNY",
        amount_minor=WAN,
    )
    plain = [replace(one.account, code="cash", counterparty="") for one in owed]
    other = zip(plain, owed, strict=True)
    return (*owed, *(Entry(account, -one.amount_minor) for account, one in other))


@pytest.mark.parametrize("kind", ["StatementReceived", "ReconciliationAttested", "ReleaseDrafted"])
def test_a_record_that_is_no_fact_moves_no_money(kind):
    of = Installation(cosigners=())
    play = Logged(of)
    play.contracts()
    draw = life.RequestDraw(
        draw="d1",
        amount_minor=3000 * WAN,
        value_date=play.day,
        use_of_funds="working-capital",
        payment_mode="entrusted",
    )
    play.do(draw)
    play.actor = Actor(institution="cib", user="li")
    said: Any = {"type": kind}
    if kind == "ReleaseDrafted":
        draft = drafts.draft_release(play.state, draw="d1", bank="cib", loan_no="n-1", maker="li")
        said = msgspec.to_builtins(draft)
    play.write("beside", said, entries=transfer())
    of.publish()
    files = bundled(of)
    assert verify(files, None).verified, "the log alone must not tell"
    wrong = judged(files, None)["first_wrong"]
    assert wrong["index"] == index_of(of, "beside")
    assert "entries" in wrong["why"]


def test_a_facility_is_computed_again_whatever_stands_before_its_forming():
    of = Installation(cosigners=())
    of.day = date(2024, 3, 18)
    of.append(DEAL_2.facility, "first", {"type": "StatementReceived"})
    first = of.books[DEAL_2.facility]
    play = Logged(of, forged={"rate:d1:2024-03-18": another_rate})
    of.books[DEAL_2.facility][:0] = first
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.until(date(2024, 3, 19))
    of.publish()
    document = judged(bundled(of), None)
    wrong = document["first_wrong"]
    assert wrong["index"] == index_of(of, "rate:d1:2024-03-18"), wrong


def test_a_command_that_the_log_ends_in_the_middle_of_is_listed():
    of = Installation(cosigners=())
    play = Logged(of)
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.hidden = {"due:d1:2024-06-20"}
    play.until(date(2024, 6, 20))
    of.publish()
    assert any("due:d1:2024-06-20" in line for line in missing(of))


# ---- the tables


def altered() -> published.Tables:
    """The fixing in force at the draw, ten hundredths lower."""
    lower = lpr.Published(
        fixed_on=date(2024, 2, 20),
        one_year=lpr.lpr_in_force("1Y", date(2024, 3, 18)).rate - lpr.FIXINGS[0].one_year / 425,
        five_years=lpr.lpr_in_force("5Y", date(2024, 3, 18)).rate,
    )
    rows = tuple(lower if row.fixed_on == lower.fixed_on else row for row in lpr.FIXINGS)
    return replace(published.OWN, fixings=rows)


def test_a_fixing_that_contradicts_the_programs_makes_the_answer_no():
    """Also where the facility was booked by it, so that everything follows from the table."""
    with published.using(altered()):
        of = lived(until="2024-03-20")
    document = judged(bundled(of, altered()), None)
    assert not document["verified"]
    assert document["first_wrong"] == {
        "why": "the fixing of 2024-02-20 is another than this program's",
        "file": "reference/lpr.json",
    }
    assert not document["reperformed"]


def test_a_fixing_left_out_contradicts_the_programs():
    rows = tuple(row for row in lpr.FIXINGS if row.fixed_on != date(2024, 2, 20))
    document = judged(bundled(TRUE, replace(published.OWN, fixings=rows)), None)
    assert not document["verified"]
    assert "2024-02-20" in document["first_wrong"]["why"]


def test_a_working_day_that_contradicts_the_programs_makes_the_answer_no():
    year = published.OWN.years[2024]
    moved = replace(year, off=year.off | {date(2024, 3, 20)})
    tables = replace(published.OWN, years={**published.OWN.years, 2024: moved})
    document = judged(bundled(TRUE, tables), None)
    assert not document["verified"]
    assert document["first_wrong"]["file"] == "reference/calendar.json"
    assert "2024-03-20" in document["first_wrong"]["why"]


def test_what_the_program_cannot_know_is_used_and_told():
    later = lpr.FIXINGS[-1].fixed_on.replace(year=lpr.FIXINGS[-1].fixed_on.year + 1)
    last = replace(lpr.FIXINGS[-1], fixed_on=later)
    year = replace(published.OWN.years[2024], year=2099, off=frozenset(), worked=frozenset())
    tables = published.Tables(
        fixings=(*lpr.FIXINGS, last), years={**published.OWN.years, 2099: year}
    )
    document = judged(bundled(TRUE, tables), None)
    assert document["verified"]
    assert document["reperformed"]
    told = "unknown to this program, and used as the bundle has it: "
    assert f"{told}the fixing of {later}" in document["checked"]
    assert f"{told}the working days of 2099" in document["checked"]
    assert "fixings in the bundle equal the program's: 85" in document["checked"]
    shorter = replace(published.OWN, fixings=lpr.FIXINGS[:-1])
    document = judged(bundled(TRUE, shorter), None)
    assert document["verified"]
    assert "fixings in the bundle equal the program's: 84" in document["checked"]


def test_rates_are_taken_from_the_given_table_and_only_while_it_is_given():
    day = date(2024, 3, 18)
    with published.using(altered()):
        given = lpr.lpr_in_force("1Y", day).rate
    assert given != lpr.lpr_in_force("1Y", day).rate
    assert published.read(published.documents(altered())) == altered()
    assert published.differences(published.OWN) == ()


# ---- what should be there and is not


def missing(of: Installation) -> list[str]:
    document = judged(bundled(of), None)
    assert document["verified"], document
    return document["expected_but_missing"]


def test_a_payment_neither_confirmed_nor_returned_is_listed():
    of = Installation(cosigners=())
    play = Logged(of)
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.until(date(2024, 6, 20))
    play.instruct("repayment", DEAL_2.borrower, "hzbank", 100, about="d1")
    of.publish()
    assert any("pay-4" in line and "hzbank" in line for line in missing(of))


def test_nights_and_instalments_that_a_sealed_day_lacks_are_listed():
    of = Installation(cosigners=())
    play = Logged(of)
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.until(date(2024, 6, 19))
    play.close()
    play.day = date(2024, 6, 20)
    of.day = play.day
    of.seal(play.book)
    of.publish()
    listed = missing(of)
    assert any("accrued:2024-06-20" in line for line in listed)
    assert any("due:d1:2024-06-20" in line for line in listed)


def test_a_night_left_out_before_the_next_is_wrong_where_the_next_stands():
    of = Installation(cosigners=())
    play = Logged(of)
    play.contracts()
    play.fund("d1", 3000 * WAN)
    play.hidden = {"accrued:2024-03-19"}
    play.until(date(2024, 3, 20))
    of.publish()
    document = judged(bundled(of), None)
    assert "expected 2024-03-19, not 2024-03-20" in document["first_wrong"]["why"]
