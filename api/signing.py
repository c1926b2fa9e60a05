"""An institution's signing key on its own machine, and statements signed with it."""

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from ledger.errors import WrongInput
from ledger.signatures import PUBLIC_SIZE, KeyInMemory, encode_base64, key_id, sign_statement


def new_key(path: Path) -> dict[str, str]:
    """A new key stands in the file, readable by its owner alone; returns its public half."""
    private = secrets.token_bytes(32)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise WrongInput("FILE", f"a new file we may write ({error.strerror})") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(private.hex() + "\n")
    public = KeyInMemory(private).public
    return {"key": key_id(public), "public_key": encode_base64(public)}


def read_key(path: Path) -> KeyInMemory:
    """The key in the file. WrongInput for a file that holds none."""
    try:
        private = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise WrongInput("--key", "a file that `liandai key new` made") from error
    if len(private) != PUBLIC_SIZE:
        raise WrongInput("--key", "a file that `liandai key new` made")
    return KeyInMemory(private)


def sign_document(path: Path, *, by: str, kind: str, body: Any) -> dict[str, Any]:
    """The statement signed with the key in the file, as a request takes it."""
    if not isinstance(body, dict):
        raise WrongInput("$", "a JSON object to sign")
    signer = read_key(path)
    signed: dict[str, Any] = msgspec.to_builtins(
        sign_statement(kind=kind, body=body, by=by, signer=signer)
    )
    return signed
