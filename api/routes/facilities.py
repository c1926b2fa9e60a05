"""Facilities: which there are, contracts, draws and their releases, what stands and what is due.

A command is given by the institution whose word it needs, in the name of the person who asks. What
a party sees of a facility is its own side of it, and the totals.
"""

from datetime import date

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk, IdempotencyKey, Work
from api.identity import may
from api.routes.facility_desk import ROOT, TAGS, carry_out, known, log_at, viewer_at, work_of
from ledger.errors import Absent
from ledger.signatures import Statement
from syndicate.facility import questions, service, views
from syndicate.facility.explain import explain_interest
from syndicate.facility.life import RecordContract, RequestDraw
from syndicate.facility.loans import Bearing
from syndicate.facility.service import Carried, Drafted


class NewContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Your bank's contract with the borrower; its text stays with you."""

    contract_no: str
    document_sha256: str


class NewRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A draft of your bank's release, under this 借据 number."""

    loan_no: str


class ReleaseApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The second person's word. draft: the digest looked at.

    signed  your bank's statement of kind `release`; the release's `to_sign` has its body
    """

    draft: str
    signed: Statement


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """How a number came about, one step a line."""

    facility: str
    steps: tuple[str, ...]


# ---- the whole


@get("/v1/facilities", guards=[may("read-ledger")], tags=TAGS)
async def facilities(desk: AtDesk) -> list[questions.FacilityRow]:
    """The facilities you take part in; all of them for an auditor."""
    return await desk.ask(questions.facilities)


@get(ROOT, guards=[may("read-ledger")], tags=TAGS)
async def facility(desk: AtDesk, facility: FromPath[str]) -> views.Summary:
    """Terms, phase and totals."""
    log, book = await desk.ask(lambda conn: questions.facility_book(conn, facility=known(facility)))
    return views.summary(log, open_day=book.open_day)


# ---- contracts


@get(f"{ROOT}/contracts", guards=[may("read-ledger")], tags=TAGS)
async def contracts(desk: AtDesk, facility: FromPath[str]) -> tuple[views.Contract, ...]:
    """Which banks' contracts are on record; the number of your own."""
    return views.contracts(await log_at(desk, facility), viewer_at(desk))


@post(f"{ROOT}/contracts", guards=[may("record-contract")], tags=TAGS)
async def record_contract(
    facility: FromPath[str],
    data: JSONBody[NewContract],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Record your bank's own contract with the borrower (借款合同)."""
    command = RecordContract(
        bank=desk.asker.institution,
        contract_no=data.contract_no,
        document_sha256=data.document_sha256,
    )
    return await carry_out(desk, facility, command, key=idempotency_key)


# ---- draws and releases


@get(f"{ROOT}/draws", guards=[may("read-ledger")], tags=TAGS)
async def draws(desk: AtDesk, facility: FromPath[str]) -> tuple[views.DrawLine, ...]:
    """Every draw with each bank's part and how far its funding has got."""
    return views.draws(await log_at(desk, facility))


@get(f"{ROOT}/draws/{{draw:str}}", guards=[may("read-ledger")], tags=TAGS)
async def draw(desk: AtDesk, facility: FromPath[str], draw: FromPath[str]) -> views.DrawLine:
    """One draw."""
    return views.draw(await log_at(desk, facility), draw)


@post(f"{ROOT}/draws", guards=[may("request-draw")], tags=TAGS)
async def request_draw(
    facility: FromPath[str],
    data: JSONBody[RequestDraw],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Ask for a draw (提款, borrower); it is split over the banks by commitments."""
    return await carry_out(desk, facility, data, key=idempotency_key)


@get(f"{ROOT}/draws/{{draw:str}}/releases/{{bank:str}}", guards=[may("read-ledger")], tags=TAGS)
async def release(
    desk: AtDesk, facility: FromPath[str], draw: FromPath[str], bank: FromPath[str]
) -> views.Release:
    """Your bank's release of its part of a draw: draft, approval, and what is to be signed."""
    return views.release(await log_at(desk, facility), viewer_at(desk), draw=draw, bank=bank)


@post(f"{ROOT}/draws/{{draw:str}}/releases", guards=[may("draft-release")], tags=TAGS)
async def draft_release(
    facility: FromPath[str],
    draw: FromPath[str],
    data: JSONBody[NewRelease],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Drafted]:
    """Draft your bank's release of its part of a draw (放款经办); a second person approves it."""

    async def use_case(work: Work) -> Drafted:
        return await service.draft_release(
            work_of(work), facility=facility, draw=draw, loan_no=data.loan_no
        )

    return await desk.command(use_case, key=idempotency_key, book=known(facility))


@post(
    f"{ROOT}/draws/{{draw:str}}/releases/{{bank:str}}/approval",
    guards=[may("check-release")],
    tags=TAGS,
)
async def approve_release(
    facility: FromPath[str],
    draw: FromPath[str],
    bank: FromPath[str],
    data: JSONBody[ReleaseApproval],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Approve your bank's release as drafted (放款复核), signed with your bank's key."""

    async def use_case(work: Work) -> Carried:
        return await service.approve_release(
            work_of(work),
            facility=facility,
            draw=draw,
            bank=bank,
            draft=data.draft,
            signed=data.signed,
        )

    return await desk.command(use_case, key=idempotency_key, book=known(facility))


# ---- what stands and what is due


@get(f"{ROOT}/positions", guards=[may("read-ledger")], tags=TAGS)
async def loan_positions(desk: AtDesk, facility: FromPath[str]) -> views.Positions:
    """Your own loans in full, and the totals of all, on the open business day."""
    log, book = await desk.ask(lambda conn: questions.facility_book(conn, facility=known(facility)))
    return views.loan_positions(log, viewer_at(desk), on=book.open_day)


@get(f"{ROOT}/amounts-due", guards=[may("read-ledger")], tags=TAGS)
async def amounts_due(
    desk: AtDesk, facility: FromPath[str], on: FromQuery[date | None] = None
) -> views.Due:
    """What may be asked for on a day, loan by loan, if nothing is paid before; now by default."""
    log, book = await desk.ask(lambda conn: questions.facility_book(conn, facility=known(facility)))
    open_day = book.open_day
    return views.amounts_due(log, viewer_at(desk), open_day=open_day, on=on or open_day)


@get(f"{ROOT}/schedule", guards=[may("read-ledger")], tags=TAGS)
async def schedule(desk: AtDesk, facility: FromPath[str]) -> tuple[views.Instalment, ...]:
    """The instalments that have not fallen due: principal of all, and your own part."""
    return views.schedule(await log_at(desk, facility), viewer_at(desk))


@get(
    f"{ROOT}/draws/{{draw:str}}/loans/{{bank:str}}/interest",
    guards=[may("read-ledger")],
    tags=TAGS,
)
async def interest(
    desk: AtDesk,
    facility: FromPath[str],
    draw: FromPath[str],
    bank: FromPath[str],
    kind: FromQuery[Bearing] = "interest",
    period_ending: FromQuery[date | None] = None,
) -> Explained:
    """How the interest of your loan came about, night by night: bases, rates, one rounding."""
    log, viewer = await log_at(desk, facility), viewer_at(desk)
    if not views.may_see(log.state, viewer, bank):
        raise Absent(f"no loan {draw} of {bank} in this facility")
    steps = explain_interest(
        log.state, draw=draw, bank=bank, kind=kind, period_ending=period_ending
    )
    return Explained(facility=facility, steps=steps)


@get(f"{ROOT}/statement", guards=[may("read-ledger")], tags=TAGS)
async def statement(
    desk: AtDesk,
    facility: FromPath[str],
    party: FromQuery[str | None] = None,
    code: FromQuery[str | None] = None,
    ref: FromQuery[str | None] = None,
    booking_from: FromQuery[date | None] = None,
    booking_until: FromQuery[date | None] = None,
    known_size: FromQuery[int | None] = None,
    known_on: FromQuery[date | None] = None,
    after: FromQuery[int] = -1,
    limit: FromQuery[int] = 200,
) -> questions.AccountStatement:
    """Your own accounts in the facility, line by line, with running balances (对账单).

    party     for an auditor, whose accounts; your own otherwise
    known_on  as the closed day left it: asked again, the same bytes, whatever became known since
    """

    async def question(conn: AsyncConnection) -> questions.AccountStatement:
        return await questions.statement(
            conn,
            facility=known(facility),
            party=party or desk.asker.institution,
            code=code,
            ref=ref,
            booking_from=booking_from,
            booking_until=booking_until,
            known_size=known_size,
            known_on=known_on,
            after=after,
            limit=limit,
        )

    return await desk.ask(question)


HANDLERS = (
    facilities,
    facility,
    contracts,
    record_contract,
    draws,
    draw,
    request_draw,
    release,
    draft_release,
    approve_release,
    loan_positions,
    amounts_due,
    schedule,
    interest,
    statement,
)
