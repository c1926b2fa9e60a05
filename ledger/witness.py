"""What a witness of a log may cosign next, given what it has cosigned before: C2SP tlog-witness.

A witness remembers of each log the last head that it cosigned (`Seen`). It cosigns another one only
where the log's key has signed it and it extends the remembered one; then, and before the
cosignature leaves the house, the new head is the one remembered. Whoever keeps that memory, and a
key of its own, makes a forked, shortened or restored log visible to everybody who asks for its
cosignature. No memory is kept here, no key, no clock: they are arguments.

    WrongInput    the words of a request are off, or its old size is above its head's
    NotSigned     no key trusted for any log that we follow has signed the head
    UnknownLog    we follow no log of that origin
    OtherHead     the old size is not the remembered one; it names the size remembered
    Misbehaved    the log's key has signed what cannot be: the two notes together prove it
      Forked        another tree under the size remembered, or one that does not begin with it
      RolledBack    a smaller tree than the one remembered: shortened, or restored from a backup
    NoProof       the proof does not show that the new tree begins with the remembered one

Source: C2SP tlog-witness, add-checkpoint. A head that nobody we trust has signed is refused as such
before its origin is looked at: a stranger does not learn which logs we follow.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ledger import merkle, notes
from ledger.errors import Absent, Conflict, NotAllowed, WrongInput
from ledger.merkle import HASH_SIZE
from ledger.notes import Checkpoint, NotSigned, OpenedNote, VerifierKey
from ledger.signatures import decode_base64, encode_base64

MAX_PROOF: Final = 63
"""Hashes a consistency proof may have: as many as a tree of 2^63 leaves has levels."""

_OLD = re.compile(rb"old (?P<size>0|[1-9][0-9]{0,18})", re.ASCII)


class UnknownLog(Absent):
    """The witness follows no log of this origin."""

    code = "unknown-log"


class OtherHead(Conflict):
    """The request starts from another head than the one remembered, whose size is given."""

    code = "other-head"

    def __init__(self, detail: str, *, remembered: int) -> None:
        super().__init__(detail, remembered=remembered)
        self.remembered = remembered


class NoProof(NotAllowed):
    """The proof does not show that the new tree begins with the remembered one."""

    code = "no-proof"


class Misbehaved(NotAllowed):
    """The log's own key has signed two heads of which one at least cannot be."""

    code = "log-misbehaved"


class Forked(Misbehaved):
    """Two trees of one log that do not agree: the past was rewritten or two were shown."""

    code = "log-forked"


class RolledBack(Misbehaved):
    """A smaller tree than the one remembered: leaves were taken away, or a backup was restored."""

    code = "log-rolled-back"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The last head of one log that the witness cosigned. note: as the log's key signed it."""

    size: int
    root: bytes
    note: bytes


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A head to cosign, and the proof that it extends the tree of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


def read_request(raw: bytes) -> Request:
    """The request of an add-checkpoint body.

    Raises WrongInput unless it is `old <size>`, at most 63 lines of a hash in base64, an empty
    line, and something that may be a note.
    """
    head, separator, note = raw.partition(b"\n\n")
    if not separator:
        raise WrongInput("request", "an old size, proof lines, an empty line and a checkpoint")
    first, *lines = head.split(b"\n")
    match = _OLD.fullmatch(first)
    if match is None:
        raise WrongInput("request line 1", "`old ` and a tree size in plain decimal")
    if len(lines) > MAX_PROOF:
        raise WrongInput("request", f"at most {MAX_PROOF} proof lines")
    proof = tuple(
        decode_base64(
            line.decode("ascii", "replace"), size=HASH_SIZE, place=f"request line {number}"
        )
        for number, line in enumerate(lines, start=2)
    )
    return Request(old_size=int(match["size"]), proof=proof, note=note)


def write_request(request: Request) -> bytes:
    """The body that `read_request` takes back."""
    lines = [f"old {request.old_size}", *(encode_base64(step) for step in request.proof)]
    return "".join(f"{line}\n" for line in (*lines, "")).encode() + request.note


def add_checkpoint(
    request: Request, *, logs: Mapping[str, VerifierKey], seen: Mapping[str, Seen]
) -> tuple[str, Seen]:
    """(origin, what is to be remembered of it) where the head may be cosigned.

    logs  the key trusted for each origin we follow
    seen  what is remembered by origin; nothing of a log not cosigned before
    Raises WrongInput, NotSigned, UnknownLog, OtherHead, Forked, NoProof.
    """
    opened = _opened(request.note, list(dict.fromkeys(logs.values())))
    head = notes.read_checkpoint_text(opened.text)
    if head.origin not in logs:
        raise UnknownLog(f"no log {head.origin} is followed here")
    if logs[head.origin] not in [signed.key for signed in opened.signed_by]:
        raise NotSigned(f"{logs[head.origin].name} has not signed the checkpoint")
    if request.old_size > head.size:
        raise WrongInput("request line 1", f"an old size up to the checkpoint's, {head.size}")
    last = seen.get(head.origin)
    remembered = 0 if last is None else last.size
    if request.old_size != remembered:
        raise OtherHead(f"the last head cosigned here has size {remembered}", remembered=remembered)
    if last is not None and (head.size == last.size) and head.root != last.root:
        raise Forked(f"another tree of {head.size} leaves was cosigned here", remembered=last.size)
    _check_extends(last, head, request.proof)
    return head.origin, Seen(size=head.size, root=head.root, note=request.note)


def _opened(note: bytes, keys: Sequence[VerifierKey]) -> OpenedNote:
    """The note that one of the keys has signed. A signature that cannot be read is none."""
    try:
        return notes.open_note(note, keys)
    except WrongInput as error:
        text = note.rpartition(b"\n\n")[0].decode("utf-8", "replace") + "\n"
        notes.read_checkpoint_text(text)
        raise NotSigned(f"no signature that can be read by a known key ({error})") from error


def follow(
    last: Seen | None, *, note: bytes, proof: Sequence[bytes], origin: str, log: VerifierKey
) -> Seen:
    """What is to be remembered where the head that the log shows may be cosigned.

    last   what is remembered; None for a log not cosigned before, when any head will do
    proof  from the remembered size to the head's; empty where they are the same
    Raises WrongInput, NotSigned, RolledBack, Forked.
    """
    head = read_head(note, origin=origin, log=log)
    check_not_behind(last, head)
    try:
        _check_extends(last, head, proof)
    except NoProof as error:
        raise Forked(error.detail, **error.fields) from error
    return Seen(size=head.size, root=head.root, note=note)


def read_head(note: bytes, *, origin: str, log: VerifierKey) -> Checkpoint:
    """The head that the log's key has signed for this origin. Raises WrongInput, NotSigned."""
    return notes.open_checkpoint(note, origin=origin, log=log, witnesses=[]).checkpoint


def check_not_behind(last: Seen | None, head: Checkpoint) -> None:
    """Nothing: the head is no smaller than the one remembered, and the same where sizes agree.

    Raises RolledBack, Forked.
    """
    if last is not None and head.size < last.size:
        raise RolledBack(
            f"the log shows {head.size} leaves, and {last.size} were cosigned before: leaves were "
            "taken away or an older state was restored",
            remembered=last.size,
            shown=head.size,
        )
    if last is not None and head.size == last.size and head.root != last.root:
        raise Forked(
            f"the log shows another tree of {head.size} leaves than the one cosigned before",
            remembered=last.size,
            shown=head.size,
        )


def _check_extends(last: Seen | None, head: Checkpoint, proof: Sequence[bytes]) -> None:
    size, root = (0, merkle.EMPTY_ROOT) if last is None else (last.size, last.root)
    if not merkle.extends(
        old_size=size, old_root=root, new_size=head.size, new_root=head.root, proof=proof
    ):
        raise NoProof(
            f"the proof does not show that the tree of {head.size} leaves begins with the one of "
            f"{size} cosigned before",
            remembered=size,
            shown=head.size,
        )
