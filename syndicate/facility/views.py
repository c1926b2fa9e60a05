"""A facility, its draws and its loans as one of the parties sees them. Answers only.

Everyone in the facility sees its terms, its totals and each bank's part of a draw. A bank sees its
own loans in full, the borrower all of its debts, an auditor everything. Classes are the banks' own
affair: the borrower is not told. Cash, claims and losses are in `views_cash`.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Literal

import msgspec

from ledger.errors import WrongInput
from syndicate.facility import day, drafts
from syndicate.facility.drafts import ReleaseDrafted
from syndicate.facility.errors import NoSuch
from syndicate.facility.facts import (
    AlertRecorded,
    EventRecorded,
    FacilityFormed,
    PaymentMode,
    RateFixed,
    ReleaseApproved,
    RiskClass,
)
from syndicate.facility.life import ApproveRelease, release_body
from syndicate.facility.log import FacilityLog
from syndicate.facility.positions import Payable, coming, payable, positions
from syndicate.facility.state import FacilityState, Phase, evolve
from syndicate.facility.terms import FacilityTerms
from syndicate.reference.calendar import next_workday

MAX_AHEAD = timedelta(days=124)
"""How far ahead amounts due are worked out."""


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a person of an institution. `everything` for an auditor."""

    institution: str
    person: str
    everything: bool


def may_see(state: FacilityState, viewer: Viewer, *parties: str) -> bool:
    """Whether the viewer is one of these parties, or the borrower, or sees everything."""
    return viewer.everything or viewer.institution in (*parties, state.terms.borrower)


# ---- the whole


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The facility in sums over all banks, minor units.

    accrued_minor  interest, penalty and compound interest, unpaid
    """

    total_minor: int
    drawn_minor: int
    undrawn_minor: int
    outstanding_minor: int
    overdue_minor: int
    accrued_minor: int
    net_loss_minor: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A facility on its open business day.

    accrued_to    the last calendar day interest stands at; null before the first cash
    days_overdue  of the oldest unpaid instalment of all
    """

    facility: str
    phase: Phase
    open_day: date
    accrued_to: date | None
    days_overdue: int
    totals: Totals
    terms: FacilityTerms
    terms_hash: str
    signed_by: tuple[str, ...]


def summary(log: FacilityLog, *, open_day: date) -> Summary:
    """The facility's terms, phase and sums."""
    state, formed = log.state, next(log.of_type(FacilityFormed)).fact
    assert isinstance(formed, FacilityFormed)
    return Summary(
        facility=state.terms.facility,
        phase=state.phase,
        open_day=open_day,
        accrued_to=state.reached,
        days_overdue=state.days_overdue(open_day, bank=None),
        totals=totals(state),
        terms=state.terms,
        terms_hash=formed.terms_hash,
        signed_by=tuple(statement.by for statement in formed.signatures),
    )


def totals(state: FacilityState) -> Totals:
    """The sums over all banks."""
    loans = state.loans.values()
    return Totals(
        total_minor=state.terms.total_minor,
        drawn_minor=state.terms.total_minor - state.undrawn_minor,
        undrawn_minor=state.undrawn_minor,
        outstanding_minor=sum(loan.outstanding_minor for loan in loans if loan.drawn_on),
        overdue_minor=sum(loan.overdue_minor for loan in loans),
        accrued_minor=sum(
            loan.interest_minor + loan.penalty_minor + loan.compound_minor for loan in loans
        ),
        net_loss_minor=state.net_loss_minor,
    )


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a bank's contract with the borrower is on record; its number for the two of them."""

    bank: str
    recorded: bool
    contract_no: str | None
    document_sha256: str | None


def contracts(log: FacilityLog, viewer: Viewer) -> tuple[Contract, ...]:
    """Every bank in the order of the seats."""
    state = log.state
    shown = []
    for bank in state.terms.seats:
        known = state.contracts.get(bank)
        seen = known if may_see(state, viewer, bank) else None
        shown.append(
            Contract(
                bank=bank,
                recorded=known is not None,
                contract_no=None if seen is None else seen.contract_no,
                document_sha256=None if seen is None else seen.document_sha256,
            )
        )
    return tuple(shown)


# ---- draws


class Funding(msgspec.Struct, frozen=True, kw_only=True):
    """How far one bank's part of a draw has got. paid_out_on: the value date of its cash."""

    bank: str
    part_minor: int
    released: bool
    paid_out_on: date | None


class DrawLine(msgspec.Struct, frozen=True, kw_only=True):
    """One draw. rates: oldest first, none before the value date."""

    draw: str
    amount_minor: int
    value_date: date
    maturity: date
    use_of_funds: str
    payment_mode: PaymentMode
    funding: tuple[Funding, ...]
    rates: tuple[RateFixed, ...]


def draws(log: FacilityLog) -> tuple[DrawLine, ...]:
    """Every draw in the order they were asked for, with each bank's funding."""
    return tuple(draw(log, name) for name in log.state.draws)


def draw(log: FacilityLog, name: str) -> DrawLine:
    """One draw. Raises NoSuch."""
    state = log.state
    found = state.draws.get(name)
    if found is None:
        raise NoSuch("draw", name)
    asked = found.requested
    return DrawLine(
        draw=name,
        amount_minor=asked.amount_minor,
        value_date=asked.value_date,
        maturity=asked.maturity,
        use_of_funds=asked.use_of_funds,
        payment_mode=asked.payment_mode,
        funding=tuple(_funding(state, name, bank) for bank in state.terms.seats),
        rates=found.rates,
    )


def _funding(state: FacilityState, draw: str, bank: str) -> Funding:
    loan = state.loans.get((draw, bank))
    return Funding(
        bank=bank,
        part_minor=state.draws[draw].requested.parts[bank],
        released=loan is not None,
        paid_out_on=None if loan is None else loan.drawn_on,
    )


class ToSign(msgspec.Struct, frozen=True, kw_only=True):
    """The words an institution signs: a statement of this kind over exactly this body."""

    kind: str
    body: dict[str, Any]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's release of its part of a draw.

    draft    digest of the draft that stands, to be quoted when it is approved
    to_sign  what the asker's bank signs if the asker approves it now
    """

    draw: str
    bank: str
    status: Literal["none", "drafted", "approved"]
    loan_no: str | None
    maker: str | None
    checker: str | None
    draft: str | None
    to_sign: ToSign | None


def release(log: FacilityLog, viewer: Viewer, *, draw: str, bank: str) -> Release:
    """The bank's release, shown to the bank itself. Raises NoSuch for anybody else's."""
    state, name = log.state, drafts.release_name(draw=draw, bank=bank)
    if draw not in state.draws or not (viewer.everything or viewer.institution == bank):
        raise NoSuch("release", f"{draw} of {bank}")
    draft = log.drafts.get(name)
    approved = log.noted.get(name)
    fact = None if approved is None else approved.fact
    assert fact is None or isinstance(fact, ReleaseApproved)
    assert draft is None or isinstance(draft, ReleaseDrafted)
    standing = fact or draft
    return Release(
        draw=draw,
        bank=bank,
        status="approved" if fact else "drafted" if draft else "none",
        loan_no=None if standing is None else standing.loan_no,
        maker=None if standing is None else standing.maker,
        checker=None if fact is None else fact.checker,
        draft=None if draft is None else drafts.digest(draft),
        to_sign=_to_sign(state, viewer, draft) if draft and not fact else None,
    )


def _to_sign(state: FacilityState, viewer: Viewer, draft: ReleaseDrafted) -> ToSign:
    command = ApproveRelease(
        draw=draft.draw,
        bank=draft.bank,
        loan_no=draft.loan_no,
        maker=draft.maker,
        checker=viewer.person,
    )
    return ToSign(kind="release", body=dict(release_body(state, command)))


# ---- loans


class LoanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One bank's loan of one draw, minor units.

    principal_minor  not overdue; overdue_minor stands beside it
    interest_minor   accrued and unpaid, due or not
    risk_class       of the bank's claims of the facility; null for the borrower
    """

    draw: str
    bank: str
    loan_no: str
    drawn_on: date | None
    amount_minor: int
    principal_minor: int
    overdue_minor: int
    interest_minor: int
    penalty_minor: int
    compound_minor: int
    written_down_minor: int
    days_overdue: int
    risk_class: RiskClass | None


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """The loans the viewer may see, and the totals of all."""

    facility: str
    on: date
    loans: tuple[LoanLine, ...]
    totals: Totals


def loan_positions(log: FacilityLog, viewer: Viewer, *, on: date) -> Positions:
    """Own loans in full: a bank's, or all that the borrower owes; an auditor's view is whole."""
    state = log.state
    tell_class = viewer.institution != state.terms.borrower
    return Positions(
        facility=state.terms.facility,
        on=on,
        loans=tuple(
            LoanLine(
                **{
                    **msgspec.structs.asdict(line),
                    "risk_class": line.risk_class if tell_class else None,
                }
            )
            for line in positions(state, on)
            if may_see(state, viewer, line.bank)
        ),
        totals=totals(state),
    )


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What may be asked for on a day, loan by loan, if nothing is paid before.

    projected    the day lies ahead: interest is worked out to it as it would accrue
    total_minor  over all banks, those not shown included
    """

    facility: str
    on: date
    projected: bool
    lines: tuple[Payable, ...]
    total_minor: int


def amounts_due(log: FacilityLog, viewer: Viewer, *, open_day: date, on: date) -> Due:
    """What is due on the open business day or on one ahead of it.

    Raises WrongInput for a day past or too far ahead, FixingUnknown where a rate of the time ahead
    is not known yet.
    """
    if not open_day <= on <= open_day + MAX_AHEAD:
        raise WrongInput("on", f"a day from {open_day} to {open_day + MAX_AHEAD}")
    lines = payable(_lived(log.state, open_day=open_day, until=on))
    return Due(
        facility=log.state.terms.facility,
        on=on,
        projected=on > open_day,
        lines=tuple(line for line in lines if may_see(log.state, viewer, line.bank)),
        total_minor=sum(line.total_minor for line in lines),
    )


def _lived(state: FacilityState, *, open_day: date, until: date) -> FacilityState:
    """The facility once the last business day until then has opened, nothing being paid."""
    today = open_day
    while (following := next_workday(today)) <= until:
        for bring, on in ((day.closing, today), (day.opening, following)):
            for fact in bring(state, on):
                state = evolve(state, fact)
        today = following
    return state


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """Principal of a draw that falls due; interest falls due with it.

    provisional      the working-day table does not reach there yet
    principal_minor  all banks
    own_minor        the viewer's: a bank's own, all of it for the borrower and an auditor
    """

    draw: str
    unadjusted: date
    due_on: date
    provisional: bool
    principal_minor: int
    own_minor: int


def schedule(log: FacilityLog, viewer: Viewer) -> tuple[Instalment, ...]:
    """The instalments of all draws paid out that have not fallen due, by date and draw."""
    return tuple(sorted(_instalments(log.state, viewer), key=lambda line: (line.due_on, line.draw)))


def _instalments(state: FacilityState, viewer: Viewer) -> Iterator[Instalment]:
    for name in state.draws:
        for line in coming(state, name):
            yield Instalment(
                draw=name,
                unadjusted=line.unadjusted,
                due_on=line.due_on,
                provisional=line.provisional,
                principal_minor=sum(line.principal.values()),
                own_minor=sum(
                    part for bank, part in line.principal.items() if may_see(state, viewer, bank)
                ),
            )


# ---- what was seen


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """Warning signs, and events that an upside clause may name, as recorded."""

    alerts: tuple[AlertRecorded, ...]
    events: tuple[EventRecorded, ...]


def signs(log: FacilityLog) -> Signs:
    """Everything seen so far, in the order it was recorded."""
    return Signs(alerts=tuple(log.state.alerts.values()), events=tuple(log.state.events.values()))
