"""A time-stamping authority for tests: it makes whole tokens, and any part of one can be wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger import der, timestamps

SINCE, UNTIL = datetime(2024, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)
KEYS = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Authority:
    """A key and its certificate. usages: what the certificate says the key is for."""

    def __init__(
        self,
        kind: str = "ec",
        *,
        usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
    ) -> None:
        self.key: Any = KEYS[kind]()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example TSA")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(SINCE)
            .not_valid_after(UNTIL)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=True,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=False,
                    crl_sign=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
        digest = None if kind == "ed25519" else hashes.SHA256()
        self.certificate = builder.sign(self.key, digest)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def private_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _sign(self, message: bytes) -> bytes:
        match self.key:
            case rsa.RSAPrivateKey():
                return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
            case _:
                return self.key.sign(message)

    def answer(
        self,
        note: bytes,
        *,
        nonce: int | None = None,
        status: int = 0,
        at: datetime = SINCE + timedelta(days=100),
        imprint: bytes | None = None,
        named: x509.Certificate | None = None,
        change: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """The TimeStampResp for a head.

        named   the certificate the token says it was signed with
        change  what replaces the parts `info` (after it was hashed), `signature`, `attributes`
        """
        change = change or {}
        verdict = der.write_sequence([der.write_integer(status)])
        if status > 1:
            return der.write_sequence([verdict])
        info = self._info(imprint or timestamps.imprint(note), nonce, at)
        raw = (named or self.certificate).public_bytes(Encoding.DER)
        attributes = change.get("attributes") or self._attributes(info, raw)
        signature = self._sign(der.write(der.SET, attributes))
        signer = der.write_sequence(
            [
                der.write_integer(1),
                der.write_sequence([self.certificate.issuer.public_bytes(), der.write_integer(7)]),
                algorithm(timestamps.SHA256),
                der.write(0xA0, attributes),
                algorithm("1.2.840.10045.4.3.2"),
                der.write(der.OCTETS, change.get("signature", signature)),
            ]
        )
        inner = der.write_sequence(
            [
                der.write_oid(timestamps.TST_INFO),
                der.write(0xA0, der.write(der.OCTETS, change.get("info", info))),
            ]
        )
        data = der.write_sequence(
            [
                der.write_integer(3),
                der.write(der.SET, algorithm(timestamps.SHA256)),
                inner,
                der.write(der.SET, signer),
            ]
        )
        token = der.write_sequence([der.write_oid(timestamps.SIGNED_DATA), der.write(0xA0, data)])
        return der.write_sequence([verdict, token])

    def _info(self, imprint: bytes, nonce: int | None, at: datetime) -> bytes:
        printed = der.write_sequence([algorithm(timestamps.SHA256), der.write(der.OCTETS, imprint)])
        made = der.write(der.TIME, at.strftime("%Y%m%d%H%M%SZ").encode())
        return der.write_sequence(
            [
                der.write_integer(1),
                der.write_oid("1.2.3.4.1"),
                printed,
                der.write_integer(12_345_678_901_234_567_890),
                made,
                *([] if nonce is None else [der.write_integer(nonce)]),
            ]
        )

    def _attributes(self, info: bytes, certificate: bytes) -> bytes:
        digest = der.write(der.OCTETS, sha256(info).digest())
        name = der.write_sequence([der.write(der.OCTETS, sha256(certificate).digest())])
        return b"".join(
            attribute(name, value)
            for name, value in (
                (timestamps.CONTENT_TYPE, der.write_oid(timestamps.TST_INFO)),
                (timestamps.MESSAGE_DIGEST, digest),
                (
                    timestamps.SIGNING_CERTIFICATE_V2,
                    der.write_sequence([der.write_sequence([name])]),
                ),
            )
        )


def algorithm(dotted: str) -> bytes:
    return der.write_sequence([der.write_oid(dotted), der.write(der.NULL, b"")])


def attribute(dotted: str, value: bytes) -> bytes:
    return der.write_sequence([der.write_oid(dotted), der.write(der.SET, value)])
