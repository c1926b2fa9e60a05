"""What a witness remembers on its own machine: of each log the last head it cosigned, in one file.

The file is written whole or stays as it was, and is on the disk before the call returns: a witness
that forgot would cosign a fork. One program at a time works with it.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from ledger import notes
from ledger.documents import read_document
from ledger.errors import LiandaiError, WrongInput
from ledger.signatures import encode_base64
from ledger.witness import Seen


class MemoryBusy(LiandaiError):
    """Another witness works with the same memory."""


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    v: Literal["liandai.witness/v1"]
    logs: dict[str, str]


class Memory:
    """The heads remembered by origin. Made by `held`, and good while that context lasts."""

    def __init__(self, path: Path, seen: Mapping[str, Seen]) -> None:
        self.path = path
        self._seen = dict(seen)

    @property
    def seen(self) -> Mapping[str, Seen]:
        """By origin, the last head cosigned."""
        return dict(self._seen)

    def remember(self, origin: str, seen: Seen) -> None:
        """The head is on the disk."""
        logs = {**self._seen, origin: seen}
        document = _Stored(
            v="liandai.witness/v1", logs={name: one.note.decode() for name, one in logs.items()}
        )
        write_safely(self.path, msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        self._seen = logs


@contextmanager
def held(path: Path, *, first: bool) -> Iterator[Memory]:
    """The memory in the file, which no other witness works with while the context lasts.

    first  the file is to be made: nothing was ever cosigned. Without it a missing file is refused,
           as a witness that lost its memory would cosign whatever it is shown
    Raises WrongInput, MemoryBusy.
    """
    with _locked(path):
        if path.exists() == first:
            raise WrongInput(
                "--state",
                "a file that is not there yet, with --first"
                if first
                else "the witness's memory; begin with --first, once (no such file)",
            )
        if first:
            write_safely(path, b'{"v":"liandai.witness/v1","logs":{}}\n')
        yield Memory(path, _read(path))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise WrongInput("--state", f"a file we may write ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise MemoryBusy(f"another witness works with {path}") from error
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, Seen]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise WrongInput("--state", f"a readable file ({error.strerror})") from error
    seen = {}
    for origin, note in read_document(raw, _Stored, place="--state").logs.items():
        head = notes.read_checkpoint_text(notes.read_note(note.encode()).text)
        if head.origin != origin:
            raise WrongInput(f"--state.logs.{origin}", f"a head of {origin}, not {head.origin}")
        seen[origin] = Seen(size=head.size, root=head.root, note=note.encode())
    return seen


def write_safely(path: Path, content: bytes) -> None:
    """The file holds the content whole, on the disk, or is as before; only its owner reads it."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_evidence(
    path: Path, *, why: str, last: Seen | None, note: bytes, proof: list[bytes], at: int
) -> Path:
    """The file, beside the memory, with both notes and the proof that was shown."""
    evidence: dict[str, Any] = {
        "v": "liandai.witness-evidence/v1",
        "why": why,
        "at": at,
        "remembered": None if last is None else last.note.decode(),
        "shown": note.decode("utf-8", "replace"),
        "proof": [encode_base64(step) for step in proof],
    }
    target = path.with_name(f"{path.name}.evidence-{at}.json")
    write_safely(target, msgspec.json.format(msgspec.json.encode(evidence)) + b"\n")
    return target
