"""The negotiation table: mandate, invitations, rounds of terms; who may see what of them."""

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from api import desk as counter
from api.desk import SERVICE, AtDesk, IdempotencyKey
from api.identity import may
from api.routes.negotiation_desk import (
    ROOT,
    TAGS,
    Answered,
    CounterProposal,
    Extension,
    GivenMandate,
    Invitations,
    Proposal,
    Reason,
    Seen,
    Version,
    move,
    seen,
    work_of,
)
from ledger.errors import WrongInput
from negotiation import service
from negotiation.moves import (
    Accept,
    AnswerInvitation,
    Counter,
    EndMandate,
    ExtendDeadline,
    LeaveTable,
    Propose,
    WithdrawProposal,
)
from negotiation.terms import Difference, Terms


@post(ROOT, guards=[may("give-mandate")], tags=TAGS)
async def give_mandate(
    data: JSONBody[GivenMandate], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Mandate a bank to lead (borrower): the first step of every negotiation."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await service.give_mandate(work_of(work), mandate=data.mandate, signed=data.signed)
        )

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE)


@get(ROOT, guards=[may("read-negotiation")], tags=TAGS)
async def negotiations(desk: AtDesk) -> list[str]:
    """The negotiations you take part in, by id."""
    return await desk.ask(service.names)


@get(ROOT + "/{negotiation:str}", guards=[may("read-negotiation")], tags=TAGS)
async def negotiation_seen(negotiation: FromPath[str], desk: AtDesk) -> Seen:
    """Where the negotiation stands."""
    return seen(await desk.ask(lambda conn: service.state_of(conn, negotiation=negotiation)))


@get(
    ROOT + "/{negotiation:str}/versions/{version:int}", guards=[may("read-negotiation")], tags=TAGS
)
async def terms_of(negotiation: FromPath[str], version: FromPath[int], desk: AtDesk) -> Terms:
    """The terms of one version, standing or not."""
    state = await desk.ask(lambda conn: service.state_of(conn, negotiation=negotiation))
    if not 1 <= version <= len(state.versions):
        raise WrongInput("version", f"a version of 1 to {len(state.versions)}")
    return state.versions[version - 1].terms


@get(ROOT + "/{negotiation:str}/differences", guards=[may("read-negotiation")], tags=TAGS)
async def compared(
    negotiation: FromPath[str], desk: AtDesk, before: FromQuery[int], after: FromQuery[int]
) -> list[Difference]:
    """Field by field, how two versions differ."""
    return list(
        await desk.ask(
            lambda conn: service.compared(conn, negotiation=negotiation, before=before, after=after)
        )
    )


@post(ROOT + "/{negotiation:str}/end", guards=[may("end-mandate")], tags=TAGS)
async def end(
    negotiation: FromPath[str],
    data: JSONBody[Reason],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """End the negotiation (borrower or lead)."""
    made = EndMandate(by=desk.asker.institution, reason=data.reason)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/invitations", guards=[may("invite")], tags=TAGS)
async def invite(
    negotiation: FromPath[str],
    data: JSONBody[Invitations],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Invite banks to the table (lead)."""

    async def use_case(work: counter.Work) -> Seen:
        return seen(
            await service.invite(work_of(work), negotiation=negotiation, banks=tuple(data.banks))
        )

    return await desk.command(use_case, key=idempotency_key, book=negotiation)


@post(ROOT + "/{negotiation:str}/answer", guards=[may("answer-invitation")], tags=TAGS)
async def answer(
    negotiation: FromPath[str],
    data: JSONBody[Answered],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take your seat, or decline the invitation."""
    made = AnswerInvitation(by=desk.asker.institution, joins=data.joins)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/leaving", guards=[may("leave-negotiation")], tags=TAGS)
async def leave(
    negotiation: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Seen]:
    """Give your seat up."""
    made = LeaveTable(by=desk.asker.institution)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/proposals", guards=[may("propose")], tags=TAGS)
async def propose(
    negotiation: FromPath[str],
    data: JSONBody[Proposal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Put terms on the table (lead)."""
    made = Propose(
        by=desk.asker.institution,
        terms=data.terms,
        answer_within_workdays=data.answer_within_workdays,
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/counters", guards=[may("counter")], tags=TAGS)
async def counter_propose(
    negotiation: FromPath[str],
    data: JSONBody[CounterProposal],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Answer the standing version with terms of your own; a stale one is refused."""
    made = Counter(
        by=desk.asker.institution,
        answers=data.answers,
        terms=data.terms,
        answer_within_workdays=data.answer_within_workdays,
    )
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/acceptances", guards=[may("accept")], tags=TAGS)
async def accept(
    negotiation: FromPath[str],
    data: JSONBody[Version],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Agree to the standing version; terms are agreed once every seat has."""
    made = Accept(by=desk.asker.institution, version=data.version)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/withdrawals", guards=[may("withdraw-proposal")], tags=TAGS)
async def withdraw(
    negotiation: FromPath[str],
    data: JSONBody[Version],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Take your standing version back."""
    made = WithdrawProposal(by=desk.asker.institution, version=data.version)
    return await move(desk, idempotency_key, negotiation, made)


@post(ROOT + "/{negotiation:str}/extensions", guards=[may("extend-deadline")], tags=TAGS)
async def extend(
    negotiation: FromPath[str],
    data: JSONBody[Extension],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Seen]:
    """Give the standing version more working days (its author or the lead)."""
    made = ExtendDeadline(by=desk.asker.institution, version=data.version, workdays=data.workdays)
    return await move(desk, idempotency_key, negotiation, made)


HANDLERS = (
    give_mandate,
    negotiations,
    negotiation_seen,
    terms_of,
    compared,
    end,
    invite,
    answer,
    leave,
    propose,
    counter_propose,
    accept,
    withdraw,
    extend,
)
