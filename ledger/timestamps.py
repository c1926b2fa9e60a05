"""Whether a third party has put its time under a head: time-stamps of RFC 3161, offline.

What is stamped is the text of a checkpoint (origin, size, root), by its SHA-256. A head of the top
log commits to every book, so one stamp under it stands under every day seal before it. A stamp adds
a clock that neither the service nor its witnesses hold; it proves nothing about what was recorded.

The authority's certificate comes from the reader, never from the response: no chain is built and no
revocation is looked up here. Nothing is sent or stored; that is a seam, off until used.

Sources: RFC 3161; RFC 5652 (signed data) and RFC 5816 (signing certificate) for the token.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha1, sha256, sha384, sha512
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ledger import der, notes
from ledger.der import Value
from ledger.errors import NotAllowed, WrongInput

SHA256: Final = "2.16.840.1.101.3.4.2.1"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
GRANTED: Final = (0, 1)
MAX_BYTES: Final = 64 << 10

_DIGESTS: Final[Mapping[str, tuple[Any, hashes.HashAlgorithm]]] = {
    SHA256: (sha256, hashes.SHA256()),
    "2.16.840.1.101.3.4.2.2": (sha384, hashes.SHA384()),
    "2.16.840.1.101.3.4.2.3": (sha512, hashes.SHA512()),
}
_PLACE = "time-stamp"


class NotStamped(NotAllowed):
    """The response is no time-stamp of this head by this authority; it says what is not so."""

    code = "not-stamped"


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """A time-stamp that holds. serial: the authority's number for it; policy: its OID."""

    time: datetime
    serial: int
    policy: str
    nonce: int | None


def imprint(note: bytes) -> bytes:
    """The 32 bytes that are stamped: SHA-256 of the checkpoint's text, without its signatures."""
    text = notes.read_note(note).text
    notes.read_checkpoint_text(text)
    return sha256(text.encode()).digest()


def request(note: bytes, *, nonce: int) -> bytes:
    """The TimeStampReq for a head, which asks for the authority's certificate too.

    nonce  a random positive number, which the response must repeat
    """
    algorithm = der.write_sequence([der.write_oid(SHA256), der.write(der.NULL, b"")])
    return der.write_sequence(
        [
            der.write_integer(1),
            der.write_sequence([algorithm, der.write(der.OCTETS, imprint(note))]),
            der.write_integer(nonce),
            der.write(der.BOOLEAN, b"\xff"),
        ]
    )


def read_certificate(raw: bytes) -> x509.Certificate:
    """An authority's certificate from PEM or DER."""
    try:
        if raw.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(raw)
        return x509.load_der_x509_certificate(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise WrongInput("certificate", "an X.509 certificate, PEM or DER") from error


def read_der(certificate: bytes) -> bytes:
    """The DER bytes of a certificate given as PEM or DER."""
    return read_certificate(certificate).public_bytes(Encoding.DER)


def check(response: bytes, *, note: bytes, authority: x509.Certificate, nonce: int | None) -> Stamp:
    """The stamp, once all of it holds: granted, of this head, by this authority's live key.

    response  a TimeStampResp
    nonce     as it was in the request; None where the reader does not know it
    Raises WrongInput for what is no response, NotStamped naming what does not hold.
    """
    if len(response) > MAX_BYTES:
        raise WrongInput(_PLACE, f"at most {MAX_BYTES} bytes")
    signed = _signed_data(_token(response))
    info = signed.content
    stamp = _read_info(info, note)
    if nonce is not None and stamp.nonce != nonce:
        raise NotStamped("the response does not repeat the request's nonce")
    _check_authority(authority, stamp.time)
    _check_signer(signed.signer, info, authority)
    return stamp


def _token(response: bytes) -> Value:
    whole = der.parts(der.read(response, place=_PLACE), place=_PLACE)
    status = der.integer(_at(der.parts(_at(whole, 0), place=_PLACE), 0), place=_PLACE)
    if status not in GRANTED or len(whole) != 2:
        raise NotStamped(f"the authority granted no time-stamp (status {status})")
    return whole[1]


class _Signed(msgspec.Struct, frozen=True):
    content: bytes
    signer: list[Value]


def _signed_data(token: Value) -> _Signed:
    kind, wrapped = _exactly(der.parts(token, place=_PLACE), 2)
    if der.oid(kind, place=_PLACE) != SIGNED_DATA:
        raise WrongInput(_PLACE, "signed data")
    (data,) = _exactly(der.parts(wrapped, place=_PLACE), 1)
    _version, _digests, inner, *others = _at_least(der.parts(data, place=_PLACE), 4)
    content_type, explicit = _exactly(der.parts(inner, place=_PLACE), 2)
    if der.oid(content_type, place=_PLACE) != TST_INFO:
        raise WrongInput(_PLACE, "a token that holds a TSTInfo")
    (octets,) = _exactly(der.parts(explicit, place=_PLACE), 1)
    if others[-1].tag != der.SET:
        raise WrongInput(_PLACE, "signer infos")
    (signer,) = _exactly(der.parts(others[-1], place=_PLACE), 1)
    return _Signed(der.content(octets, der.OCTETS, place=_PLACE), der.parts(signer, place=_PLACE))


def _read_info(info: bytes, note: bytes) -> Stamp:
    version, policy, printed, serial, made, *others = _at_least(
        der.parts(der.read(info, place=_PLACE), place=_PLACE), 5
    )
    if der.integer(version, place=_PLACE) != 1:
        raise WrongInput(_PLACE, "a TSTInfo of version 1")
    algorithm, digest = _exactly(der.parts(printed, place=_PLACE), 2)
    named = der.oid(_at(der.parts(algorithm, place=_PLACE), 0), place=_PLACE)
    stamped = der.content(digest, der.OCTETS, place=_PLACE)
    if named != SHA256 or not hmac.compare_digest(stamped, imprint(note)):
        raise NotStamped("the time-stamp is of something else than this head")
    numbers = [der.integer(value, place=_PLACE) for value in others if value.tag == der.INTEGER]
    return Stamp(
        time=der.time(made, place=_PLACE),
        serial=der.integer(serial, place=_PLACE),
        policy=der.oid(policy, place=_PLACE),
        nonce=numbers[0] if numbers else None,
    )


def _check_authority(authority: x509.Certificate, at: datetime) -> None:
    try:
        usage = authority.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise NotStamped("the certificate is not for time-stamping") from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise NotStamped("the certificate is not for time-stamping alone (RFC 3161 section 2.3)")
    if not authority.not_valid_before_utc <= at <= authority.not_valid_after_utc:
        raise NotStamped("the certificate was not valid at the time stamped")


def _check_signer(signer: list[Value], info: bytes, authority: x509.Certificate) -> None:
    _version, _sid, digest, attributes, algorithm, signature, *_unsigned = _at_least(signer, 6)
    if attributes.tag != 0xA0:
        raise WrongInput(_PLACE, "signed attributes")
    named = der.oid(_at(der.parts(digest, place=_PLACE), 0), place=_PLACE)
    if named not in _DIGESTS:
        raise NotStamped(f"the digest {named} is none of SHA-256, SHA-384 and SHA-512")
    hasher, hashed = _DIGESTS[named]
    said = _attributes(attributes)
    if der.oid(said[CONTENT_TYPE], place=_PLACE) != TST_INFO:
        raise NotStamped("what is signed is no TSTInfo")
    made = der.content(said[MESSAGE_DIGEST], der.OCTETS, place=_PLACE)
    if not hmac.compare_digest(made, hasher(info).digest()):
        raise NotStamped("what is signed is another TSTInfo")
    _check_names(said, authority)
    # Signed is the SET of the attributes (RFC 5652 section 5.4), whose tag the token leaves out.
    message = der.write(der.SET, attributes.content)
    _ = der.parts(algorithm, place=_PLACE)
    _verify(
        authority, der.content(signature, der.OCTETS, place=_PLACE), message=message, hashed=hashed
    )


def _attributes(attributes: Value) -> dict[str, Value]:
    said: dict[str, Value] = {}
    for attribute in der.parts(attributes, place=_PLACE):
        name, values = _exactly(der.parts(attribute, place=_PLACE), 2)
        (value,) = _exactly(der.parts(values, place=_PLACE), 1)
        if said.setdefault(der.oid(name, place=_PLACE), value) is not value:
            raise WrongInput(_PLACE, "each signed attribute once")
    if CONTENT_TYPE not in said or MESSAGE_DIGEST not in said:
        raise WrongInput(_PLACE, "a content type and a message digest among what is signed")
    return said


def _check_names(said: Mapping[str, Value], authority: x509.Certificate) -> None:
    """The token names the certificate it was signed with, and it is the reader's."""
    raw = authority.public_bytes(Encoding.DER)
    if SIGNING_CERTIFICATE_V2 in said:
        first = _first_name(said[SIGNING_CERTIFICATE_V2])
        named, hasher = first[0], sha256
        if named.tag == der.SEQUENCE:  # another digest than the default, SHA-256
            chosen = der.oid(_at(der.parts(named, place=_PLACE), 0), place=_PLACE)
            if chosen not in _DIGESTS:
                raise NotStamped(f"the digest {chosen} of the certificate is not taken")
            named, hasher = _at(first, 1), _DIGESTS[chosen][0]
    elif SIGNING_CERTIFICATE in said:
        named, hasher = _first_name(said[SIGNING_CERTIFICATE])[0], sha1
    else:
        raise NotStamped("the token does not name its certificate (RFC 3161 section 2.4.2)")
    if not hmac.compare_digest(der.content(named, der.OCTETS, place=_PLACE), hasher(raw).digest()):
        raise NotStamped("the token was signed with another certificate")


def _first_name(attribute: Value) -> list[Value]:
    names = _at(der.parts(attribute, place=_PLACE), 0)
    return _at_least(der.parts(_at(der.parts(names, place=_PLACE), 0), place=_PLACE), 1)


def _verify(
    authority: x509.Certificate, signature: bytes, *, message: bytes, hashed: hashes.HashAlgorithm
) -> None:
    key = authority.public_key()
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, message, padding.PKCS1v15(), hashed)
            case ec.EllipticCurvePublicKey():
                key.verify(signature, message, ec.ECDSA(hashed))
            case ed25519.Ed25519PublicKey():
                key.verify(signature, message)
            case _:
                raise NotStamped("the authority's key is none of RSA, ECDSA and Ed25519")
    except InvalidSignature as error:
        raise NotStamped("the authority's signature does not hold") from error


def _at(values: list[Value], index: int) -> Value:
    return _at_least(values, index + 1)[index]


def _at_least(values: list[Value], count: int) -> list[Value]:
    if len(values) < count:
        raise WrongInput(_PLACE, f"{count} values or more where there are {len(values)}")
    return values


def _exactly(values: list[Value], count: int) -> list[Value]:
    if len(values) != count:
        raise WrongInput(_PLACE, f"{count} values where there are {len(values)}")
    return values
