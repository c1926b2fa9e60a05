"""What the log's key promises of what one transaction recorded, and whether a promise was kept.

A promise is to publish, within a second, exactly these leaves at these places of a book's log. Who
signs, and where the answer carries the promise, is the caller's. Nothing is published here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from ledger import merkle
from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.notes import VerifierKey
from ledger.signatures import Signer, decode_base64, encode_base64, verify

_SPELLED: Final = re.compile(
    r"(?P<book>\S+) (?P<first>[0-9]{1,16}) (?P<leaves>[0-9]{1,16}) (?P<root>[0-9a-f]{64}) "
    r"(?P<signature>\S+)",
    re.ASCII,
)

Noted: TypeAlias = dict[str, tuple[int, list[bytes]]]
"""By book: the position of the first leaf recorded, and the hashes of all from there on."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """Leaves of one book that one command recorded, one after the other.

    first   position of the first of them; leaves: how many
    root    RFC 6962 root (hex) over their leaf hashes alone; of a single leaf that is its own hash
    """

    book: str
    first: int
    leaves: int
    root: str


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """A promise and the signature of the log's key on it."""

    promise: Promise
    signature: bytes

    def __str__(self) -> str:
        one = self.promise
        signature = encode_base64(self.signature)
        return f"{one.book} {one.first} {one.leaves} {one.root} {signature}"


def promise_bytes(promised: Mapping[str, Any]) -> bytes:
    """The bytes the log's key signs when it promises to publish a leaf."""
    return b"liandai/v1/promise\n" + canonical(dict(promised))


# ---- promising


def promise(recorded: Noted, *, signer: Signer) -> str | None:
    """What the key promises of all that was noted, one promise a book, as an answer carries it.

    None where nothing was recorded.
    """
    promises = (
        Promise(book=book, first=first, leaves=len(hashes), root=merkle.root(hashes).hex())
        for book, (first, hashes) in sorted(recorded.items())
    )
    signed = [
        str(
            Promised(promise=one, signature=signer.sign(promise_bytes(msgspec.structs.asdict(one))))
        )
        for one in promises
    ]
    return ", ".join(signed) or None


# ---- for whoever was promised


def read_promises(carried: str) -> tuple[Promised, ...]:
    """The promises that an answer carries. WrongInput for anything else than `promise` writes."""
    return tuple(_read(one) for one in carried.split(", "))


def _read(carried: str) -> Promised:
    match = _SPELLED.fullmatch(carried)
    if match is None:
        raise WrongInput("promise", '"<book> <first> <leaves> <root> <signature>"')
    return Promised(
        promise=Promise(
            book=match["book"],
            first=int(match["first"]),
            leaves=int(match["leaves"]),
            root=match["root"],
        ),
        signature=decode_base64(match["signature"], size=64, place="promise"),
    )


def broken(promised: Promised, *, log: VerifierKey, hashes: Sequence[bytes]) -> str | None:
    """Why the promise is not kept by a published log, or None.

    log     the key that signs the logs
    hashes  the book's published leaf hashes, from the promised position on, as many as promised or
            as there are
    """
    one = promised.promise
    message = promise_bytes(msgspec.structs.asdict(one))
    if not verify(public=log.public, message=message, signature=promised.signature):
        return "the signature is not that of the log's key"
    if len(hashes) != one.leaves:
        return f"{one.leaves} leaves are promised, {len(hashes)} published"
    if merkle.root(list(hashes)).hex() != one.root:
        return "other leaves are published at these places"
    return None
