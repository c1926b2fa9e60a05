"""Where the installation's own secrets stand: the log's signing key and the operator's first token.

They are files of the home folder that only its owner reads. The log key is made once and never
replaced: another key over the same log would look like a fork.
"""

import os
import secrets
from pathlib import Path

from ledger.errors import WrongInput
from ledger.signatures import KeyInMemory

LOG_KEY = "log.key"
OPERATOR_TOKEN = "operator.token"  # noqa: S105 - a file's name


def log_signer(home: Path) -> KeyInMemory:
    """The log's signing key; it must have been made (`make_log_key`)."""
    path = home / LOG_KEY
    try:
        private = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise WrongInput(str(path), "the log's key: 64 hex digits, readable by us") from error
    if len(private) != 32:
        raise WrongInput(str(path), "the log's key: 64 hex digits")
    return KeyInMemory(private)


def make_log_key(home: Path) -> KeyInMemory:
    """The log's signing key, made now if there is none yet."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / LOG_KEY
    if not path.exists():
        write_private(path, secrets.token_bytes(32).hex() + "\n")
    return log_signer(home)


def write_private(path: Path, text: str) -> None:
    """The file holds the text whole or is as before, and only its owner may read it."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
