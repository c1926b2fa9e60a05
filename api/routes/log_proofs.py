"""What proves the logs to somebody who trusts nobody here: the keys they claim, and receipts."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.params import FromPath, FromQuery

from api.database import SERVICE
from api.desk import AtDesk
from api.identity import may
from api.installation import Installation
from ledger import evidence, notes
from ledger.errors import WrongInput
from ledger.notes import COSIGNATURE_V1, ED25519, VerifierKey
from ledger.receipts import Receipt
from syndicate.parties import service as parties
from syndicate.parties.institutions import MAY, ROLES_OF

COMPARE = (
    "These keys are what this service claims. Trust a key only after comparing it with what its "
    "owner publishes elsewhere: whoever can change the log can change this answer."
)


class WitnessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A registered key under which an institution may cosign. key: its id in the registry."""

    institution: str
    key: str
    verifier_key: str


class LogKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that this service claims for its logs and their witnesses.

    origin   the top log's origin line; log: the verifier key of every log here
    compare  why none of it is to be believed as it stands
    """

    origin: str
    log: str
    witnesses: list[WitnessKey]
    compare: str


@get("/v1/log/keys", security=[{}], tags=["log"])
async def log_keys(request: Request[Any, Any, Any]) -> LogKeys:
    """The verifier keys of the log and of its registered witnesses, public.

    To be compared out of band before any of them is trusted.
    """
    installation: Installation = request.app.state.installation
    async with installation.database.transaction(SERVICE, read_only=True) as conn:
        kinds = {one.institution: one.kind for one in await parties.institutions(conn)}
        known = await parties.keys(conn)
    return LogKeys(
        origin=notes.origin(installation=installation.name, book="top"),
        log=str(VerifierKey(installation.name, ED25519, installation.signer.public)),
        witnesses=[
            WitnessKey(
                institution=key.institution,
                key=name,
                verifier_key=str(VerifierKey(key.institution, COSIGNATURE_V1, key.public)),
            )
            for name, key in sorted(known.items(), key=lambda one: (one[1].institution, one[0]))
            if key.until is None and _may_cosign(kinds[key.institution])
        ],
        compare=COMPARE,
    )


def _may_cosign(kind: Any) -> bool:
    """Whether people of such an institution can hand cosignatures in; borrowers are not named."""
    return any(role in MAY["confirm-payment"] for role in ROLES_OF[kind])


def witnessing(witnessed: int | None, witnesses: str | None) -> evidence.Witnessing | None:
    """What a query asks of the last head's cosignatures; None where it asks nothing."""
    if witnesses is not None and witnessed is None:
        raise WrongInput("witnesses", "how many of them must have cosigned, in `witnessed`")
    if witnessed is None:
        return None
    if not 1 <= witnessed <= notes.MAX_SIGNATURES:
        raise WrongInput("witnessed", f"1 to {notes.MAX_SIGNATURES} witnesses")
    return evidence.Witnessing(
        at_least=witnessed, witnesses=tuple(witnesses.split(",")) if witnesses else None
    )


@get(
    "/v1/books/{book:str}/records/{record:str}/receipt",
    guards=[may("read-records")],
    tags=["ledger"],
)
async def receipt(
    desk: AtDesk,
    book: FromPath[str],
    record: FromPath[str],
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> Receipt:
    """A receipt of one record: keep it, and verify it offline with `liandai receipt`.

    It is there within a second of the record, and with `witnessed` once so many have cosigned.
    """
    asked = witnessing(witnessed, witnesses)
    return await desk.ask(
        lambda conn: evidence.receipt(conn, book=book, leaf_id=record, witnessing=asked)
    )


HANDLERS = (log_keys, receipt)
