"""Institutions, people, tokens, keys and capital figures."""

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from api import founding, store
from api.desk import SERVICE, AtDesk, Desk, IdempotencyKey, Work
from api.identity import any_member, may
from ledger.errors import NotAllowed, WrongInput
from syndicate.parties import service as parties
from syndicate.parties.institutions import InstitutionKind, Role
from syndicate.parties.service import Capital, Institution, Registration

TAGS = ["parties"]


class NewInstitution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An institution to bring on board. illustrative: invented for a demonstration (示例)."""

    institution: str
    kind: InstitutionKind
    name: str
    name_en: str
    uscc: str | None = None
    illustrative: bool


class NewPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person to admit, in roles that fit the institution's kind."""

    person: str
    name: str
    roles: list[Role]


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The person is admitted."""

    person: str
    institution: str
    roles: list[Role]


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A token to issue, good for so many days."""

    days: int


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, shown this once."""

    person: str
    token: str
    expires_at: datetime


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An Ed25519 public key: canonical base64 of 32 bytes."""

    public_key: str


class RegisteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that speaks for the institution; `key` is its id in signed statements."""

    institution: str
    key: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the token belongs to."""

    person: str
    institution: str
    kind: str
    roles: list[Role]


def _registration(work: Work) -> Registration:
    return Registration(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


@get("/v1/me", guards=[any_member()], tags=TAGS, sync_to_thread=False)
def me(desk: AtDesk) -> Me:
    """Who the token belongs to, and in what roles."""
    asker = desk.asker
    return Me(
        person=asker.person,
        institution=asker.institution,
        kind=asker.kind,
        roles=list(asker.roles),
    )


@get("/v1/institutions", guards=[any_member()], tags=TAGS)
async def institutions(desk: AtDesk) -> list[Institution]:
    """Every institution; of borrowers, those you share a deal or a consent with."""
    return await desk.ask(parties.institutions)


@post("/v1/institutions", guards=[may("register-institution")], tags=TAGS)
async def register_institution(
    data: JSONBody[NewInstitution], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Institution]:
    """Bring an institution on board (operator). Its id is taken for ever."""

    async def use_case(work: Work) -> Institution:
        return await parties.register(
            _registration(work),
            institution=data.institution,
            kind=data.kind,
            name=data.name,
            name_en=data.name_en,
            uscc=data.uscc,
            illustrative=data.illustrative,
            salt=secrets.token_bytes(32),
        )

    return await desk.command(use_case, key=idempotency_key)


@post("/v1/institutions/{institution:str}/people", guards=[may("admit-user")], tags=TAGS)
async def admit_person(
    institution: FromPath[str],
    data: JSONBody[NewPerson],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[Admitted]:
    """Admit a person to an institution (operator)."""

    async def use_case(work: Work) -> Admitted:
        await parties.admit(
            _registration(work),
            institution=institution,
            person=data.person,
            name=data.name,
            roles=tuple(data.roles),
        )
        return Admitted(person=data.person, institution=institution, roles=data.roles)

    return await desk.command(use_case, key=idempotency_key)


@post("/v1/people/{person:str}/tokens", guards=[may("admit-user")], tags=TAGS)
async def issue_token(
    person: FromPath[str], data: JSONBody[NewToken], desk: AtDesk, request: Request[Any, Any, Any]
) -> IssuedToken:
    """Issue a bearer token (operator). It is shown once; asking again issues another one.

    The one state change without an Idempotency-Key: a kept answer would be a kept token.
    """
    if not 1 <= data.days <= 366:
        raise WrongInput("$.days", "1 to 366 days")
    now = datetime.now(UTC)

    async def known(conn: Any) -> None:
        await parties.person(conn, person=person)

    await desk.ask(known)
    token, expires_at = await founding.issue_token(
        request.app.state.database, person=person, now=now, life=timedelta(days=data.days)
    )
    return IssuedToken(person=person, token=token, expires_at=expires_at)


@delete("/v1/people/{person:str}/tokens", guards=[may("admit-user")], tags=TAGS, status_code=200)
async def revoke_tokens(
    person: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[dict[str, int]]:
    """Every token of the person stops opening anything (operator)."""

    async def use_case(work: Work) -> dict[str, int]:
        await parties.person(work.conn, person=person)
        gone = await store.revoke_tokens(work.conn, person=person, revoked_at=work.now)
        return {"revoked": gone}

    return await desk.command(use_case, key=idempotency_key, status=200)


def _own_or_operator(desk: Desk, institution: str) -> None:
    if desk.asker.institution != institution and desk.asker.kind != "operator":
        raise NotAllowed("an institution's keys are its own affair")


@post("/v1/institutions/{institution:str}/keys", guards=[may("register-key")], tags=TAGS)
async def register_key(
    institution: FromPath[str],
    data: JSONBody[NewKey],
    desk: AtDesk,
    idempotency_key: IdempotencyKey,
) -> Response[RegisteredKey]:
    """Register an institution's public key; it stands in the registry's log from then on."""

    async def use_case(work: Work) -> RegisteredKey:
        _own_or_operator(desk, institution)
        key = await parties.register_key(
            _registration(work), institution=institution, public_key=data.public_key
        )
        return RegisteredKey(institution=institution, key=key)

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE)


@delete(
    "/v1/institutions/{institution:str}/keys/{key:str}",
    guards=[may("register-key")],
    tags=TAGS,
    status_code=200,
)
async def revoke_key(
    institution: FromPath[str], key: FromPath[str], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[RegisteredKey]:
    """Revoke a key: what it signs from now on counts for nothing, what it signed before stands."""

    async def use_case(work: Work) -> RegisteredKey:
        _own_or_operator(desk, institution)
        await parties.revoke_key(_registration(work), institution=institution, key=key)
        return RegisteredKey(institution=institution, key=key)

    return await desk.command(use_case, key=idempotency_key, standing=SERVICE, status=200)


@post("/v1/capital", guards=[may("check-rules")], tags=TAGS)
async def record_capital(
    data: JSONBody[Capital], desk: AtDesk, idempotency_key: IdempotencyKey
) -> Response[Capital]:
    """Record your own capital figures; nobody else can read them."""

    async def use_case(work: Work) -> Capital:
        await parties.record_capital(
            _registration(work), institution=desk.asker.institution, figures=data
        )
        return data

    return await desk.command(use_case, key=idempotency_key)


@get("/v1/capital", guards=[may("check-rules")], tags=TAGS)
async def capital(desk: AtDesk, on: FromQuery[date]) -> Capital:
    """Your own latest capital figures as of a day."""
    return await desk.ask(
        lambda conn: parties.capital(conn, institution=desk.asker.institution, on=on)
    )


HANDLERS = (
    me,
    institutions,
    register_institution,
    admit_person,
    issue_token,
    revoke_tokens,
    register_key,
    revoke_key,
    record_capital,
    capital,
)
