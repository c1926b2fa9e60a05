"""Whose signature stands under which words: Ed25519, keys checked strictly, signed statements.

A **signed statement** is the JSON object `{"kind","body","by","key","signature"}`: Ed25519 over
`liandai/v1/<kind>`, a newline, and the canonical bytes of the body. The kind separates domains, so
that a signature under a vote never passes for one under a term sheet, a note or a cosignature.
`by` is not under the signature: it is the key history that says which institution a key speaks for.

A key or a signature passes only where every common verification formula agrees on it: a signer must
not be able to sign words that some verifiers accept and others refuse. No keys are stored here.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from ledger.documents import canonical
from ledger.errors import WrongInput

PREFIX: Final = b"liandai/v1/"
PUBLIC_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64

_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Signer(Protocol):
    """What signs: a key in memory, a hardware module, a remote service."""

    @property
    def public(self) -> bytes:
        """The 32 raw public bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature over the message."""
        ...


class KeyInMemory:
    """A `Signer` whose private key (the 32 bytes of the seed, RFC 8032) is held by the process."""

    def __init__(self, private: bytes) -> None:
        if len(private) != PUBLIC_SIZE:
            raise WrongInput("private", "the 32 bytes of an Ed25519 seed")
        self._key = Ed25519PrivateKey.from_private_bytes(private)

    @property
    def public(self) -> bytes:
        """The 32 raw public bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature, deterministic (RFC 8032)."""
        return self._key.sign(message)


def verify(*, public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this key signed this message, by the strictest of the common rules.

    The key must pass `check_public_key`; the signature's point must not be of small order, must be
    canonical, and its scalar below the group order.
    """
    if len(signature) != SIGNATURE_SIZE or flaw_of_key(public) is not None:
        return False
    if signature[:PUBLIC_SIZE] in _SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_public_key(public: bytes, *, place: str) -> None:
    """Nothing: the bytes are an Ed25519 key that an honest owner can have made.

    Raises WrongInput naming the flaw; see `flaw_of_key`.
    """
    flaw = flaw_of_key(public)
    if flaw is not None:
        raise WrongInput(place, f"an Ed25519 public key, not {flaw}")


@lru_cache(maxsize=4_096)
def flaw_of_key(public: bytes) -> str | None:
    """What is wrong with a public key, or None.

    Refused are encodings that are not canonical (y not below p, a sign on x = 0), bytes that are no
    point, the eight points of small order, and points outside the prime-order subgroup: with those,
    verifiers that multiply by the cofactor disagree with those that do not (RFC 8032 allows both).
    """
    if len(public) != PUBLIC_SIZE:
        return f"{len(public)} bytes"
    point = _decode(public)
    if isinstance(point, str):
        return point
    if _is_identity(_times(8, point)):
        return "a point of small order"
    if not _is_identity(_times(_ORDER, point)):
        return "a point outside the prime-order subgroup"
    return None


def key_id(public: bytes) -> str:
    """The name of a key in leaves: the first 16 hex digits of SHA-256 of its 32 public bytes."""
    return sha256(public).hexdigest()[:16]


# ---- signed statements


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signed statement as it stands in a leaf.

    by         the institution that the key is registered for
    key        its `key_id`
    signature  canonical base64 of 64 bytes
    """

    kind: str
    body: dict[str, Any]
    by: str
    key: str
    signature: str


def statement_bytes(kind: str, body: Mapping[str, Any]) -> bytes:
    """The exact bytes under a statement's signature; WrongInput for a malformed kind or a float."""
    if _KIND.fullmatch(kind) is None:
        raise WrongInput("$.kind", "a lower-case word such as `term-sheet`")
    _refuse_floats(body, place="$.body")
    return PREFIX + kind.encode() + b"\n" + canonical(body)


def sign_statement(*, kind: str, body: Mapping[str, Any], by: str, signer: Signer) -> Statement:
    """The statement of the institution `by`, signed with its key."""
    return Statement(
        kind=kind,
        body=dict(body),
        by=by,
        key=key_id(signer.public),
        signature=encode_base64(signer.sign(statement_bytes(kind, body))),
    )


def verify_statement(statement: Statement, *, public: bytes) -> bool:
    """Whether the statement names this key and its signature holds under it."""
    try:
        signature = decode_base64(statement.signature, size=SIGNATURE_SIZE, place="$.signature")
        message = statement_bytes(statement.kind, statement.body)
    except (WrongInput, ValueError):
        return False
    return statement.key == key_id(public) and verify(
        public=public, message=message, signature=signature
    )


def _refuse_floats(value: object, *, place: str) -> None:
    if isinstance(value, float):
        raise WrongInput(place, "no floating-point number under a signature")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_floats(inner, place=f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _refuse_floats(inner, place=f"{place}[{index}]")


# ---- which key speaks for whom, and when


class KeyRegistered(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """From now on this key speaks for the institution. public_key: base64 of 32 bytes."""

    institution: str
    key: str
    public_key: str


class KeyRevoked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """From now on this key speaks for nobody; what it signed before still stands."""

    institution: str
    key: str


class RegisteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key's time: good from `since` (inclusive) up to `until` (exclusive), None while live."""

    institution: str
    public: bytes
    since: datetime
    until: datetime | None


Keys = Mapping[str, RegisteredKey]
"""Every key ever registered, by `key_id`."""


def evolve_key(keys: Keys, fact: KeyRegistered | KeyRevoked, *, at: datetime) -> RegisteredKey:
    """The fact's key after it, which is all that a fact of the registry changes.

    One look into the keys, however many there are; a key id is registered once for ever.
    Raises WrongInput for a flawed key, a wrong or used id, or a revocation of what is not live.
    """
    known = keys.get(fact.key)
    if isinstance(fact, KeyRevoked):
        if known is None or known.until is not None or known.institution != fact.institution:
            raise WrongInput("$.key", f"a live key of {fact.institution}, not {fact.key}")
        return msgspec.structs.replace(known, until=at)
    public = decode_base64(fact.public_key, size=PUBLIC_SIZE, place="$.public_key")
    check_public_key(public, place="$.public_key")
    if fact.key != key_id(public):
        raise WrongInput("$.key", f"{key_id(public)}, the id of the public key")
    if known is not None:
        raise WrongInput("$.key", "a key that was never registered before")
    return RegisteredKey(institution=fact.institution, public=public, since=at, until=None)


def check_statement(statement: Statement, *, keys: Keys, at: datetime) -> None:
    """Nothing: at that time the key was live for the institution, and the signature holds.

    Raises WrongInput that names which of the three fails.
    """
    key = keys.get(statement.key)
    if key is None or key.institution != statement.by:
        raise WrongInput("$.key", f"a registered key of {statement.by}, not {statement.key}")
    if at < key.since or (key.until is not None and at >= key.until):
        raise WrongInput("$.key", f"a key of {statement.by} live at {at.isoformat()}")
    if not verify_statement(statement, public=key.public):
        raise WrongInput("$.signature", f"a signature of {statement.by} over the body")


# ---- base64 with one spelling


def encode_base64(raw: bytes) -> str:
    """Standard base64 (RFC 4648 section 4), padded."""
    return base64.b64encode(raw).decode("ascii")


def decode_base64(text: str, *, size: int | None, place: str) -> bytes:
    """The bytes of padded standard base64 in its one canonical spelling.

    size  how many bytes there must be, None for any number
    Raises WrongInput for anything else, a bit set in the unused end of the last digit included.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongInput(place, "canonical base64") from error
    if encode_base64(raw) != text:
        raise WrongInput(place, "canonical base64")
    if size is not None and len(raw) != size:
        raise WrongInput(place, f"base64 of {size} bytes, not {len(raw)}")
    return raw


# ---- the curve (RFC 8032 section 5.1): enough to judge a key, not to sign with it

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1: Final = pow(2, (_P - 1) // 4, _P)

_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)

_Point = tuple[
    int, int, int, int
]  # extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z


def _decode(raw: bytes) -> _Point | str:
    """The point of a canonical encoding, or the flaw (RFC 8032 section 5.1.3)."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return "an encoding that is not canonical"
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if v * x * x % _P != u:
        return "bytes that are no point of the curve"
    if x == 0 and sign:
        return "an encoding that is not canonical"
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(one: _Point, other: _Point) -> _Point:
    """Complete addition (RFC 8032 section 5.1.4); also doubles."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    product: _Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            product = _add(product, point)
        point, factor = _add(point, point), factor >> 1
    return product


def _is_identity(point: _Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0
