"""The keys that the logs and their witnesses claim, for somebody who trusts nobody here."""

from typing import Any

import msgspec
from litestar import Request, get

from api.database import SERVICE
from api.installation import Installation
from ledger import notes
from ledger.notes import COSIGNATURE_V1, ED25519, VerifierKey
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


HANDLERS = (log_keys,)
