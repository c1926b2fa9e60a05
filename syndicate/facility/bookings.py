"""How each fact of a facility becomes one ledger transaction, or none. The one seam to the ledger.

    account             between / of            Chinese term              ref
    due.principal       bank <-> borrower       贷款本金                  draw
    due.overdue         bank <-> borrower       逾期本金                  draw
    due.interest        bank <-> borrower       应收(应付)利息             draw
    due.penalty         bank <-> borrower       应收(应付)罚息             draw
    due.compound        bank <-> borrower       应收(应付)复利             draw
    due.protection      protector <-> bank,     代偿与分担往来            ""
                        bank <-> bank
    due.recourse        bearer <-> borrower     追偿权 (代位求偿, 已核销)   ""
    recourse.allowance  bearer                  追偿权全额准备            ""
    cash                everyone                存放款项                  ""
    income.interest, income.penalty, income.compound     bank      利息 罚息 复利收入    draw
    expense.interest, expense.penalty, expense.compound  borrower  利息 罚息 复利支出    draw
    loss.credit         bearer                  贷款损失                  ""

    fact                entries
    PaymentConfirmed    drawdown: cash against due.principal; repayment: cash against what was met;
                        advance, distribution: cash against due.protection;
                        recovery: cash against due.recourse, loss and allowance released, what is
                        not the collector's own stands on due.protection
    InterestAccrued     due.* against income (bank) and expense (borrower)
    InterestCorrected   the same, by what the night comes to more or less
    MarkedOverdue       due.principal to due.overdue
    LossFixed           the borrower's debt moves to the bearers' recourse, fully provisioned; who
                        bears it has the loss; the difference stands on due.protection
    every other fact    none

Debit positive. Every transaction closes for each party and mirrors each debt. The amounts come from
the fact: nothing is decided and nothing is split here.
"""

from collections.abc import Iterator

from ledger.entries import Account, Entry, debt, merged
from syndicate.facility.facts import (
    AccrualLine,
    Fact,
    InterestAccrued,
    InterestCorrected,
    LossFixed,
    MarkedOverdue,
    PaymentConfirmed,
    PaymentInstructed,
)
from syndicate.facility.state import FacilityState
from syndicate.facility.terms import FacilityTerms

MET_ON = {"compound": "due.compound", "penalty": "due.penalty", "interest": "due.interest"}


def entries(before: FacilityState | None, fact: Fact) -> tuple[Entry, ...]:
    """The postings of one fact, one entry an account, in account order; () where nothing moves.

    before  the facility just before the fact; None only for the one that forms it
    """
    if before is None:
        return ()
    terms = before.terms
    match fact:
        case PaymentConfirmed():
            instructed = before.payments[fact.payment].instructed
            return merged(_payment(terms, instructed, fact))
        case InterestAccrued():
            return merged(entry for line in fact.lines for entry in _interest(terms, line))
        case InterestCorrected():
            return merged(_interest(terms, fact))
        case MarkedOverdue():
            return merged(_overdue(terms, fact))
        case LossFixed():
            return merged(_loss(terms, fact))
        case _:
            return ()


def _payment(
    terms: FacilityTerms, instructed: PaymentInstructed, fact: PaymentConfirmed
) -> Iterator[Entry]:
    yield _own(terms, instructed.payer, "cash", "", -fact.amount_minor)
    yield _own(terms, instructed.payee, "cash", "", fact.amount_minor)
    match instructed.purpose:
        case "drawdown":
            yield from _loan_debt(
                terms,
                code="due.principal",
                bank=instructed.payer,
                draw=instructed.about,
                amount_minor=fact.amount_minor,
            )
        case "repayment":
            for met in fact.met:
                standing = "due.overdue" if met.overdue else "due.principal"
                yield from _loan_debt(
                    terms,
                    code=MET_ON.get(met.charge, standing),
                    bank=instructed.payee,
                    draw=instructed.about,
                    amount_minor=-met.amount_minor,
                )
        case "advance" | "distribution":
            yield from _protection(
                terms,
                creditor=instructed.payer,
                debtor=instructed.payee,
                amount_minor=fact.amount_minor,
            )
        case "recovery":
            for party, amount_minor in fact.shares.items():
                yield from _borne(terms, party, -amount_minor)
                if party != instructed.payee:
                    yield from _protection(
                        terms, creditor=party, debtor=instructed.payee, amount_minor=amount_minor
                    )


def _interest(terms: FacilityTerms, line: AccrualLine | InterestCorrected) -> Iterator[Entry]:
    for kind, amount_minor in (
        ("interest", line.interest_minor),
        ("penalty", line.penalty_minor),
        ("compound", line.compound_minor),
    ):
        if amount_minor:
            yield from _loan_debt(
                terms,
                code=f"due.{kind}",
                bank=line.bank,
                draw=line.draw,
                amount_minor=amount_minor,
            )
            yield _own(terms, line.bank, f"income.{kind}", line.draw, -amount_minor)
            yield _own(terms, terms.borrower, f"expense.{kind}", line.draw, amount_minor)


def _overdue(terms: FacilityTerms, fact: MarkedOverdue) -> Iterator[Entry]:
    for code, amount_minor in (
        ("due.principal", -fact.principal_minor),
        ("due.overdue", fact.principal_minor),
    ):
        yield from _loan_debt(
            terms, code=code, bank=fact.bank, draw=fact.draw, amount_minor=amount_minor
        )


def _loss(terms: FacilityTerms, fact: LossFixed) -> Iterator[Entry]:
    for part in fact.lost:
        yield from _loan_debt(
            terms,
            code="due.overdue" if part.overdue else "due.principal",
            bank=part.bank,
            draw=part.draw,
            amount_minor=-part.amount_minor,
        )
    for party, amount_minor in fact.parts.items():
        yield from _borne(terms, party, amount_minor)
    for line in fact.settlement:
        yield from _protection(
            terms, creditor=line.creditor, debtor=line.debtor, amount_minor=line.amount_minor
        )


def _borne(terms: FacilityTerms, party: str, amount_minor: int) -> Iterator[Entry]:
    """The party bears so much more: a loss, and a claim on the borrower that is worth nothing."""
    yield _own(terms, party, "loss.credit", "", amount_minor)
    yield _own(terms, party, "recourse.allowance", "", -amount_minor)
    yield from debt(
        code="due.recourse",
        creditor=party,
        debtor=terms.borrower,
        ref="",
        currency=terms.currency,
        amount_minor=amount_minor,
    )


def _loan_debt(
    terms: FacilityTerms, *, code: str, bank: str, draw: str, amount_minor: int
) -> tuple[Entry, Entry]:
    return debt(
        code=code,
        creditor=bank,
        debtor=terms.borrower,
        ref=draw,
        currency=terms.currency,
        amount_minor=amount_minor,
    )


def _protection(
    terms: FacilityTerms, *, creditor: str, debtor: str, amount_minor: int
) -> tuple[Entry, Entry]:
    return debt(
        code="due.protection",
        creditor=creditor,
        debtor=debtor,
        ref="",
        currency=terms.currency,
        amount_minor=amount_minor,
    )


def _own(terms: FacilityTerms, party: str, code: str, ref: str, amount_minor: int) -> Entry:
    return Entry(Account(party, code, "", ref, terms.currency), amount_minor)
