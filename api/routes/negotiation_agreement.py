"""From clearing to facility: rules judged, each bank's decision, the term sheet, signatures."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from api import desk as counter
from api.desk import SERVICE, AtDesk, IdempotencyKey
from api.identity import may
from api.routes.negotiation_desk import (
    ROOT,
    TAGS,
    Draft,
    Granted,
    Overridden,
    Seen,
    SheetOrder,
    Signed,
    SignedDecision,
    move,
    seen,
    work_of,
)
from negotiation import agreement_service
from negotiation.agreement_service import SheetToSign
from negotiation.moves import (
    AskOverride,
    CheckDecision,
    DraftDecision,
    GrantOverride,
    SignTermSheet,
)
from syndicate.facility.terms import FacilityTerms


@post(ROOT + "/{negotiation:str}/rule-checks", guards=[may("check-rules")], tags=TAGS)
async def check_rules(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Judge the allocation by the rule packs: the lead the deal, every bank its own holding."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(await agreement_service.check_rules(work_of(work), negotiation=negotiation))

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(ROOT + "/{negotiation:str}/overrides", guards=[may("ask-override")], tags=TAGS)
async def ask_override(
    negotiation: FromPath[str],
    data: JSONBody[Overridden],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Give the reason to go on although a rule warns (原则上)."""
    made = AskOverride(
        by=desk.asker.institution,
        user=desk.asker.person,
        pack=data.pack,
        rule=data.rule,
        reason=data.reason,
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/overrides/grants", guards=[may("grant-override")], tags=TAGS)
async def grant_override(
    negotiation: FromPath[str],
    data: JSONBody[Granted],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Agree to an override as the second person."""
    made = GrantOverride(
        by=desk.asker.institution, user=desk.asker.person, pack=data.pack, rule=data.rule
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/decisions/draft", guards=[may("draft-decision")], tags=TAGS)
async def draft_decision(
    negotiation: FromPath[str],
    data: JSONBody[Draft],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Draft your bank's own decision (maker, 经办), bound to the exact agreement."""
    made = DraftDecision(
        by=desk.asker.institution,
        user=desk.asker.person,
        outcome=data.outcome,
        agreement=data.agreement,
    )
    return await move(desk, idempotency_key, negotiation, made)


@get(ROOT + "/{negotiation:str}/decisions/body", guards=[may("check-decision")], tags=TAGS)
async def decision_to_sign(negotiation: FromPath[str], desk: AtDesk) -> dict[str, Any]:
    """The body to sign (kind "decision") with your bank's key, as its checker."""
    return await desk.ask(
        lambda conn: agreement_service.decision_to_sign(
            conn,
            negotiation=negotiation,
            bank=desk.asker.institution,
            checker=desk.asker.person,
        )
    )


@post(ROOT + "/{negotiation:str}/decisions", guards=[may("check-decision")], tags=TAGS)
async def check_decision(
    negotiation: FromPath[str],
    data: JSONBody[SignedDecision],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Confirm your bank's decision (checker, 复核), signed with its key."""
    made = CheckDecision(
        by=desk.asker.institution,
        user=desk.asker.person,
        agreement=data.agreement,
        signed=data.signed,
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/term-sheet", guards=[may("draw-term-sheet")], tags=TAGS)
async def draw_term_sheet(
    negotiation: FromPath[str],
    data: JSONBody[SheetOrder],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Draw the canonical term sheet (lead)."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await agreement_service.draw_term_sheet(
                work_of(work),
                negotiation=negotiation,
                facility=data.facility,
                signed_on=data.signed_on,
                cooperation_agreement=data.cooperation_agreement,
            )
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@get(ROOT + "/{negotiation:str}/term-sheet", guards=[may("read-negotiation")], tags=TAGS)
async def term_sheet(negotiation: FromPath[str], desk: AtDesk) -> SheetToSign:
    """The term sheet, its hash, the body to sign (kind "term-sheet"), and who is missing."""
    return await desk.ask(
        lambda conn: agreement_service.sheet_to_sign(conn, negotiation=negotiation)
    )


@post(ROOT + "/{negotiation:str}/signatures", guards=[may("sign-term-sheet")], tags=TAGS)
async def sign(
    negotiation: FromPath[str],
    data: JSONBody[Signed],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Sign the term sheet with your institution's own key."""
    made = SignTermSheet(by=desk.asker.institution, signed=data.signed)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/facility", guards=[may("form-facility")], tags=TAGS)
async def form_facility(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[FacilityTerms]:
    """Form the facility on exactly the signed terms (lead)."""

    async def use_case(work: counter.Work) -> FacilityTerms:
        return await agreement_service.form_facility(work_of(work), negotiation=negotiation)

    return await desk.command(use_case, key=idempotency_key, book=negotiation, standing=SERVICE)


HANDLERS = (
    check_rules,
    ask_override,
    grant_override,
    draft_decision,
    decision_to_sign,
    check_decision,
    draw_term_sheet,
    term_sheet,
    sign,
    form_facility,
)
