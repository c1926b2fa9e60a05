"""How an empty database becomes an installation: its name, logs, operator, first day."""

import secrets
from datetime import date, datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import store
from api.database import SERVICE, Database
from api.identity import token_hash
from ledger import service as ledger
from ledger.errors import Conflict
from ledger.leaves import Actor
from ledger.notes import ED25519, VerifierKey
from ledger.publishing import TOP
from ledger.signatures import Signer
from syndicate.parties import service as parties
from syndicate.parties.service import REGISTRY

OPERATOR = "operator"
OPERATOR_PERSON = "operator-1"
TOKEN_LIFE = timedelta(days=365)


class Founded(msgspec.Struct, frozen=True, kw_only=True):
    """A new installation. operator_token: shown once, kept by nobody here."""

    name: str
    log_key: str
    operator_token: str


class OtherLogKey(Conflict):
    """The key at hand is not the one that signs this installation's logs."""

    code = "other-log-key"


def new_token() -> str:
    """A bearer token: `ldt_` and 32 random bytes in base64url."""
    return "ldt_" + secrets.token_urlsafe(32)


async def issue_token(
    database: Database, *, person: str, now: datetime, life: timedelta
) -> tuple[str, datetime]:
    """(token, expiry): good for the person until then; only its hash is kept."""
    token, expires_at = new_token(), now + life
    async with database.transaction(SERVICE) as conn:
        await store.add_token(
            conn,
            token_hash=token_hash(token),
            person=person,
            expires_at=expires_at,
            issued_at=now,
        )
    return token, expires_at


async def found(
    database: Database,
    *,
    name: str,
    purpose: str,
    signer: Signer,
    first_day: date,
    now: datetime,
) -> Founded | None:
    """The installation, made now; None where it stands already under the same log key.

    Raises OtherLogKey where it stands under another key: signing on would look like a fork.
    """
    log_key = str(VerifierKey(name, ED25519, signer.public))
    async with database.transaction(SERVICE) as conn:
        standing = await store.installation(conn)
        if standing is not None:
            own = str(VerifierKey(standing.name, ED25519, signer.public))
            if standing.log_key != own:
                raise OtherLogKey("this database's logs are signed by another key")
            return None
        await store.found_installation(
            conn, name=name, purpose=purpose, log_key=log_key, founded_at=now
        )
        await ledger.open_business_day(conn, day=first_day)
        for book, kind in ((REGISTRY, "registry"), (TOP, "top")):
            await ledger.open_book(
                conn, book=book, purpose=kind, lead=None, members=(), salt=secrets.token_bytes(32)
            )
        await _first_operator(conn, now)
    token, _ = await issue_token(database, person=OPERATOR_PERSON, now=now, life=TOKEN_LIFE)
    return Founded(name=name, log_key=log_key, operator_token=token)


async def _first_operator(conn: AsyncConnection, now: datetime) -> None:
    work = parties.Registration(
        conn=conn,
        actor=Actor(institution=OPERATOR, user="founding"),
        now=now,
        command="founding",
    )
    await parties.register(
        work,
        institution=OPERATOR,
        kind="operator",
        name="联贷运营方",
        name_en="Liandai operator",
        uscc=None,
        illustrative=False,
        salt=secrets.token_bytes(32),
    )
    await parties.admit(
        msgspec.structs.replace(work, command="founding-operator"),
        institution=OPERATOR,
        person=OPERATOR_PERSON,
        name="operator",
        roles=("operator",),
    )
