"""What happens to money in a facility: payments, warning signs, claims, losses.

A payment counts once the bank that receives it has signed; a claim is not a loss; a loss is fixed
by two persons of the lead and shared by the agreed rule.
"""

from datetime import date

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api.desk import AtDesk, IdempotencyKey, Work
from api.identity import may
from api.routes.facility_desk import ROOT, TAGS, carry_out, known, log_at, viewer_at, work_of
from ledger.signatures import Statement
from syndicate.facility import questions, service, views, views_cash
from syndicate.facility.claims import AcceptClaim, FileClaim, FixLoss, RejectClaim
from syndicate.facility.life import RecordAlert, RecordEvent
from syndicate.facility.payments import ConfirmPayment, InstructPayment, ReturnPayment
from syndicate.facility.service import Carried, Drafted


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The money arrived at your bank.

    signed  your bank's statement of kind `cash-confirmation` over facility, payment and the other
            fields here
    """

    amount_minor: int
    external_reference: str
    value_date: date
    signed: Statement


class Returned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why the money came back."""

    reason: str


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of the claim you will advance."""

    amount_minor: int


class Rejection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why you will not advance."""

    reason: str


class LossApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The second person's word. draft: the digest looked at."""

    draft: str


# ---- payments


@get(f"{ROOT}/payments", guards=[may("read-ledger")], tags=TAGS)
async def payments(desk: AtDesk, facility: FromPath[str]) -> tuple[views_cash.PaymentLine, ...]:
    """The payments you have a part in, and how far each got."""
    return views_cash.payments(await log_at(desk, facility), viewer_at(desk))


@get(f"{ROOT}/payments/{{payment:str}}", guards=[may("read-ledger")], tags=TAGS)
async def payment(
    desk: AtDesk, facility: FromPath[str], payment: FromPath[str]
) -> views_cash.PaymentLine:
    """One payment you have a part in."""
    return views_cash.payment(await log_at(desk, facility), viewer_at(desk), payment)


@get(f"{ROOT}/payments/{{payment:str}}/trace", guards=[may("read-ledger")], tags=TAGS)
async def payment_trace(
    desk: AtDesk, facility: FromPath[str], payment: FromPath[str]
) -> tuple[views_cash.TraceStep, ...]:
    """From the cash back to confirmation, instruction, approval, contract and term sheet."""
    return views_cash.traced_payment(await log_at(desk, facility), viewer_at(desk), payment)


@post(f"{ROOT}/payments", guards=[may("instruct-payment")], tags=TAGS)
async def instruct_payment(
    facility: FromPath[str],
    data: JSONBody[InstructPayment],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Instruct a payment: as its payer, or of a recovery as the bank that collects it."""
    return await carry_out(desk, facility, data, key=idempotency_key)


@post(f"{ROOT}/payments/{{payment:str}}/confirmation", guards=[may("confirm-payment")], tags=TAGS)
async def confirm_payment(
    facility: FromPath[str],
    payment: FromPath[str],
    data: JSONBody[Confirmation],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Confirm that a payment arrived at your bank, signed: only now is anything posted."""
    command = ConfirmPayment(
        payment=payment,
        amount_minor=data.amount_minor,
        external_reference=data.external_reference,
        value_date=data.value_date,
        signed=data.signed,
    )
    return await carry_out(desk, facility, command, key=idempotency_key)


@post(f"{ROOT}/payments/{{payment:str}}/return", guards=[may("confirm-payment")], tags=TAGS)
async def return_payment(
    facility: FromPath[str],
    payment: FromPath[str],
    data: JSONBody[Returned],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Record that a payment came back (wrong account); sending it again is a new payment."""
    command = ReturnPayment(payment=payment, reason=data.reason)
    return await carry_out(desk, facility, command, key=idempotency_key)


@get(f"{ROOT}/trace", guards=[may("read-ledger")], tags=TAGS)
async def record_trace(
    desk: AtDesk, facility: FromPath[str], record: FromQuery[str]
) -> tuple[views_cash.TraceStep, ...]:
    """What a record you made, or have an entry under, rests on; down to the term sheet."""

    async def question(conn: AsyncConnection) -> tuple[views_cash.TraceStep, ...]:
        return await questions.traced(
            conn, facility=known(facility), record=record, viewer=viewer_at(desk)
        )

    return await desk.ask(question)


# ---- what was seen


@get(f"{ROOT}/signs", guards=[may("read-ledger")], tags=TAGS)
async def signs(desk: AtDesk, facility: FromPath[str]) -> views.Signs:
    """Alerts and events on record."""
    return views.signs(await log_at(desk, facility))


@post(f"{ROOT}/alerts", guards=[may("raise-alert")], tags=TAGS)
async def record_alert(
    facility: FromPath[str],
    data: JSONBody[RecordAlert],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Record a warning sign (预警); it changes no amount."""
    return await carry_out(desk, facility, data, key=idempotency_key)


@post(f"{ROOT}/events", guards=[may("raise-alert")], tags=TAGS)
async def record_event(
    facility: FromPath[str],
    data: JSONBody[RecordEvent],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Record an event, under the upside clause that names it or under none ("")."""
    return await carry_out(desk, facility, data, key=idempotency_key)


# ---- claims


@get(f"{ROOT}/claims", guards=[may("read-ledger")], tags=TAGS)
async def claims(desk: AtDesk, facility: FromPath[str]) -> tuple[views_cash.ClaimLine, ...]:
    """Every claim on a protector, its answer and what was advanced."""
    return views_cash.claims(await log_at(desk, facility))


@post(f"{ROOT}/claims", guards=[may("file-claim")], tags=TAGS)
async def file_claim(
    facility: FromPath[str],
    data: JSONBody[FileClaim],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Claim on a protector for the banks (代偿申请), with evidence."""
    return await carry_out(desk, facility, data, key=idempotency_key)


@post(f"{ROOT}/claims/{{claim:str}}/acceptance", guards=[may("decide-claim")], tags=TAGS)
async def accept_claim(
    facility: FromPath[str],
    claim: FromPath[str],
    data: JSONBody[Acceptance],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Accept a claim on you, wholly or in part; advances follow as payments."""
    command = AcceptClaim(claim=claim, amount_minor=data.amount_minor)
    return await carry_out(desk, facility, command, key=idempotency_key)


@post(f"{ROOT}/claims/{{claim:str}}/rejection", guards=[may("decide-claim")], tags=TAGS)
async def reject_claim(
    facility: FromPath[str],
    claim: FromPath[str],
    data: JSONBody[Rejection],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Reject a claim on you; another one may be filed with more evidence."""
    command = RejectClaim(claim=claim, reason=data.reason)
    return await carry_out(desk, facility, command, key=idempotency_key)


# ---- losses


@get(f"{ROOT}/losses", guards=[may("read-ledger")], tags=TAGS)
async def losses(desk: AtDesk, facility: FromPath[str]) -> views_cash.Losses:
    """Who bears what, event by event, each number explained; for those who share the loss."""
    return views_cash.losses(await log_at(desk, facility), viewer_at(desk))


@post(f"{ROOT}/losses", guards=[may("draft-loss")], tags=TAGS)
async def draft_loss(
    facility: FromPath[str],
    data: JSONBody[FixLoss],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Drafted]:
    """Draft a final loss (lead); a second person of the lead approves it."""

    async def use_case(work: Work) -> Drafted:
        return await service.draft_loss(work_of(work), facility=facility, command=data)

    return await desk.command(use_case, key=idempotency_key, book=known(facility))


@post(f"{ROOT}/losses/{{loss:str}}/approval", guards=[may("check-loss")], tags=TAGS)
async def approve_loss(
    facility: FromPath[str],
    loss: FromPath[str],
    data: JSONBody[LossApproval],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Carried]:
    """Fix a loss as drafted (lead): it is written down and shared by the agreed rule."""

    async def use_case(work: Work) -> Carried:
        return await service.approve_loss(
            work_of(work), facility=facility, loss=loss, draft=data.draft
        )

    return await desk.command(use_case, key=idempotency_key, book=known(facility))


HANDLERS = (
    payments,
    payment,
    payment_trace,
    instruct_payment,
    confirm_payment,
    return_payment,
    record_trace,
    signs,
    record_alert,
    record_event,
    claims,
    file_claim,
    accept_claim,
    reject_claim,
    losses,
    draft_loss,
    approve_loss,
)
