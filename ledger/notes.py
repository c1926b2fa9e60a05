"""How a log's head is written, signed and cosigned: C2SP signed notes, strictly read.

A **note** is a text, an empty line and signature lines `— <name> <base64 of key id, signature>`.
A **checkpoint** is a note whose text is origin, size and root of a tree, one a line.
A **cosignature** is a witness's signature line under a checkpoint: as of its time the witness has
seen no tree of that origin which this one does not extend.

One key of the installation signs all its logs. The key's name is the installation, as
`liandai.demo`; a log's origin is installation and book, as `liandai.demo/top`, so that a head of
one book never passes for another's. What cannot be read raises WrongInput; what nobody trusted has
signed raises NotSigned. Nothing here asks whether two heads agree; `merkle` does.

Sources: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from ledger import signatures
from ledger.documents import canonical, read_document
from ledger.errors import NotAllowed, WrongInput
from ledger.merkle import HASH_SIZE
from ledger.signatures import Signer, decode_base64, encode_base64

ED25519: Final = 0x01
COSIGNATURE_V1: Final = 0x04
MAX_SIGNATURES: Final = 100
MAX_SIZE: Final = 2**63 - 1

_KEY_ID_SIZE = 4
_TIME_SIZE = 8
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"— (?P<name>\S+) (?P<base64>[A-Za-z0-9+/=]+)")
_VERIFIER_KEY = re.compile(r"(?P<name>[^+\s]+)\+(?P<id>[0-9a-f]{8})\+(?P<base64>[A-Za-z0-9+/=]+)")


class NotSigned(NotAllowed):
    """No key we trust has signed these bytes, or one that is named there has not."""

    code = "not-signed"


# ---- keys


class VerifierKey(msgspec.Struct, frozen=True):
    """A key to check note signatures with.

    name    no blank and no plus sign
    kind    ED25519 for a log, COSIGNATURE_V1 for a witness
    public  32 bytes
    """

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each of its signatures."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(named).digest()[:_KEY_ID_SIZE]

    def __str__(self) -> str:
        """The verifier key string `name+id+base64`, which `read_verifier_key` takes back."""
        encoded = encode_base64(bytes([self.kind]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


def read_verifier_key(text: str, *, place: str) -> VerifierKey:
    """The key of a verifier key string; any changed or missing character is refused."""
    match = _VERIFIER_KEY.fullmatch(text)
    if match is None:
        raise WrongInput(place, "a verifier key `name+id+base64`")
    raw = decode_base64(match["base64"], size=1 + signatures.PUBLIC_SIZE, place=place)
    if raw[0] not in (ED25519, COSIGNATURE_V1):
        raise WrongInput(place, f"a key of type {ED25519} or {COSIGNATURE_V1}, not {raw[0]}")
    key = VerifierKey(match["name"], raw[0], raw[1:])
    if key.key_id.hex() != match["id"]:
        raise WrongInput(place, "a verifier key whose id is the hash of its name and key")
    signatures.check_public_key(key.public, place=place)
    return key


# ---- notes


class SignatureLine(msgspec.Struct, frozen=True):
    """One signature under a note, not yet checked."""

    name: str
    key_id: bytes
    signature: bytes


class Note(msgspec.Struct, frozen=True):
    """A note as read: nothing in it is to be believed before `open_note` has passed it.

    text  with its last newline, without the empty line
    """

    text: str
    lines: tuple[SignatureLine, ...]


class OpenedNote(msgspec.Struct, frozen=True):
    """A note under which at least one known key has signed.

    signed_by   the known keys, in the order of their first lines, each once
    other_lines signature lines of unknown keys, each (name, key id) once
    """

    text: str
    signed_by: tuple["SignedBy", ...]
    other_lines: tuple[SignatureLine, ...]


class SignedBy(msgspec.Struct, frozen=True):
    """A known key whose signature holds. time: POSIX seconds of a cosignature, else None."""

    key: VerifierKey
    time: int | None


def sign_note(text: str, *, name: str, signer: Signer) -> bytes:
    """The note of this text with one Ed25519 signature by the key called `name`."""
    _check_text(text)
    key = VerifierKey(_name(name), ED25519, signer.public)
    return f"{text}\n{_line(key, signer.sign(text.encode()))}".encode()


def read_note(raw: bytes) -> Note:
    """The parts of a note: the last empty line parts text and signatures.

    Raises WrongInput for bytes that are not UTF-8, control characters, a line that is no signature
    line, base64 that is not canonical, or more than 100 signatures.
    """
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongInput("note", "UTF-8 text") from error
    text, separator, signed = whole.rpartition("\n\n")
    if not separator or not text or not signed.endswith("\n"):
        raise WrongInput("note", "a text, an empty line and signature lines, each with its newline")
    _check_text(text + "\n")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise WrongInput("note", f"at most {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(_read_line(line) for line in lines))


def open_note(raw: bytes, keys: Sequence[VerifierKey]) -> OpenedNote:
    """The note, once every line of a known key has been checked and one at least has stood.

    A line of an unknown key is passed over. Raises WrongInput as `read_note` does and where a line
    names two of the `keys`; NotSigned where a known key's signature fails or none is there.
    """
    note = read_note(raw)
    signed_by: dict[VerifierKey, SignedBy] = {}
    others: dict[tuple[str, bytes], SignatureLine] = {}
    for line in note.lines:
        known = [key for key in keys if (key.name, key.key_id) == (line.name, line.key_id)]
        if len(known) > 1:
            raise WrongInput("keys", f"one key {line.name}+{line.key_id.hex()}, not several")
        if known:
            time = _check_line(note.text, line, known[0])
            signed_by.setdefault(known[0], SignedBy(known[0], time))
        else:
            others.setdefault((line.name, line.key_id), line)
    if not signed_by:
        raise NotSigned("no signature by a known key stands under the note")
    return OpenedNote(note.text, tuple(signed_by.values()), tuple(others.values()))


def with_signatures(note: bytes, lines: Iterable[bytes]) -> bytes:
    """The note with more signature lines under it, as `cosign` returns them; read strictly."""
    signed = note + b"".join(lines)
    if read_note(signed).text != read_note(note).text:
        raise WrongInput("lines", "signature lines only")
    return signed


# ---- checkpoints


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A log's head: the root of its first `size` leaves. extensions: opaque lines, mostly none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


class Head(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag=True,
):
    """The subject of a leaf of the top log: a book's published head. root: hex of 32 bytes."""

    book: str
    size: int
    root: str


class OpenedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that the log's own key has signed.

    cosignatures  of the witnesses asked for, in the order of their lines
    """

    checkpoint: Checkpoint
    cosignatures: tuple[SignedBy, ...]


def origin(*, installation: str, book: str) -> str:
    """The origin line of a book's log, as `liandai.demo/top`."""
    return f"{_name(installation)}/{_name(book)}"


def read_checkpoint_text(text: str) -> Checkpoint:
    """The checkpoint of a note's text.

    Raises WrongInput unless there are three or more lines, none empty; the size plain decimal below
    2^63 without leading zeros, the root canonical base64 of 32 bytes.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):
        raise WrongInput("checkpoint", "three or more lines, none empty, each with its newline")
    name, size, root, *extensions = lines
    if _SIZE.fullmatch(size) is None or int(size) > MAX_SIZE:
        raise WrongInput("checkpoint line 2", "a tree size in plain decimal")
    return Checkpoint(
        origin=name,
        size=int(size),
        root=decode_base64(root, size=HASH_SIZE, place="checkpoint line 3"),
        extensions=tuple(extensions),
    )


def sign_checkpoint(checkpoint: Checkpoint, *, name: str, signer: Signer) -> bytes:
    """The checkpoint as a note signed by the log key called `name` (the installation)."""
    if read_checkpoint_text(checkpoint.text) != checkpoint:
        raise WrongInput("checkpoint", "lines without newlines")
    return sign_note(checkpoint.text, name=name, signer=signer)


def open_checkpoint(
    raw: bytes, *, origin: str, log: VerifierKey, witnesses: Sequence[VerifierKey]
) -> OpenedCheckpoint:
    """The head that `log` has signed for this origin, and who of `witnesses` has cosigned it.

    Raises WrongInput for a malformed note or another origin; NotSigned where the log's signature is
    absent or fails, or where a witness's line fails.
    """
    opened = open_note(raw, [log, *witnesses])
    checkpoint = read_checkpoint_text(opened.text)
    if checkpoint.origin != origin:
        raise WrongInput("checkpoint line 1", f"the origin {origin}, not {checkpoint.origin}")
    if log not in [signed.key for signed in opened.signed_by]:
        raise NotSigned(f"{log.name} has not signed the checkpoint")
    return OpenedCheckpoint(
        checkpoint, tuple(signed for signed in opened.signed_by if signed.key != log)
    )


def cosign(checkpoint: bytes, *, name: str, signer: Signer, time: int) -> bytes:
    """The signature line by which a witness cosigns a checkpoint note at `time` (POSIX seconds).

    The witness has checked consistency before (`merkle.extends`); this only signs.
    """
    if not 0 <= time <= MAX_SIZE:
        raise WrongInput("time", "POSIX seconds, not negative")
    text = read_note(checkpoint).text
    read_checkpoint_text(text)
    key = VerifierKey(_name(name), COSIGNATURE_V1, signer.public)
    signature = time.to_bytes(_TIME_SIZE, "big") + signer.sign(_cosigned(text, time))
    return _line(key, signature).encode()


# ---- the policy that says when a head counts


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that a reader trusts, brought from outside what is verified.

    threshold  how many of the witnesses must have cosigned a head (k of n)
    """

    log: VerifierKey
    witnesses: tuple[VerifierKey, ...]
    threshold: int

    def counts(self, head: OpenedCheckpoint) -> bool:
        """Whether enough of the witnesses stand under the head."""
        standing = {signed.key for signed in head.cosignatures}
        return len(standing.intersection(self.witnesses)) >= self.threshold


class _PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    log: str
    witnesses: list[str]
    threshold: int


def read_policy(raw: bytes) -> Policy:
    """The policy of a JSON document `{"log":"<vkey>","witnesses":["<vkey>",...],"threshold":k}`.

    1 <= k <= n, or 0 where there is no witness. A witness is not the log, and no key and no name
    counts twice. Raises WrongInput naming the place.
    """
    document = read_document(raw, _PolicyDocument)
    log = read_verifier_key(document.log, place="$.log")
    witnesses = tuple(
        read_verifier_key(text, place=f"$.witnesses[{index}]")
        for index, text in enumerate(document.witnesses)
    )
    if log.kind != ED25519:
        raise WrongInput("$.log", f"a key of type {ED25519}, not a witness's")
    seen_keys, seen_names = {log.public}, {log.name}
    for index, witness in enumerate(witnesses):
        if witness.kind != COSIGNATURE_V1:
            raise WrongInput(f"$.witnesses[{index}]", f"a key of type {COSIGNATURE_V1}")
        if witness.public in seen_keys or witness.name in seen_names:
            raise WrongInput(f"$.witnesses[{index}]", "a name and a key that stand nowhere else")
        seen_keys.add(witness.public)
        seen_names.add(witness.name)
    if not min(1, len(witnesses)) <= document.threshold <= len(witnesses):
        raise WrongInput("$.threshold", f"1 to {len(witnesses)} witnesses (0 where there is none)")
    return Policy(log=log, witnesses=witnesses, threshold=document.threshold)


def write_policy(policy: Policy) -> bytes:
    """The canonical JSON that `read_policy` takes."""
    return canonical(
        _PolicyDocument(
            log=str(policy.log),
            witnesses=[str(witness) for witness in policy.witnesses],
            threshold=policy.threshold,
        )
    )


# ---- lines


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _line(key: VerifierKey, signature: bytes) -> str:
    return f"— {key.name} {encode_base64(key.key_id + signature)}\n"


def _read_line(line: str) -> SignatureLine:
    match = _LINE.fullmatch(line)
    if match is None or "+" in match["name"]:
        raise WrongInput("note", "signature lines `— name base64`")
    raw = decode_base64(match["base64"], size=None, place="note signature")
    if len(raw) <= _KEY_ID_SIZE:
        raise WrongInput("note signature", "a key id and a signature")
    return SignatureLine(match["name"], raw[:_KEY_ID_SIZE], raw[_KEY_ID_SIZE:])


def _check_line(text: str, line: SignatureLine, key: VerifierKey) -> int | None:
    time, signature, message = None, line.signature, text.encode()
    if key.kind == COSIGNATURE_V1:
        time = int.from_bytes(signature[:_TIME_SIZE], "big")
        signature, message = signature[_TIME_SIZE:], _cosigned(text, time)
    is_good = (time is None or time <= MAX_SIZE) and signatures.verify(
        public=key.public, message=message, signature=signature
    )
    if not is_good:
        raise NotSigned(f"the signature of {key.name} does not hold")
    return time


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise WrongInput("note", "lines of text without control characters, each with its newline")


def _name(name: str) -> str:
    if re.fullmatch(r"[^+\s/][^+\s]*", name) is None:
        raise WrongInput("name", "a name without blanks and plus signs")
    return name
