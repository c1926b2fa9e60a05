"""How a command of the terminal reads its files and prints its answer; nothing is judged here."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from ledger.documents import read_json
from ledger.errors import WrongInput

MAX_FILE_BYTES: Final = 64 << 20


def read_file(path: str, *, place: str) -> bytes:
    """A file's bytes; WrongInput names the argument where there is no such file."""
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise WrongInput(place, f"a readable file, not {path} ({error.strerror})") from error
    if len(raw) > MAX_FILE_BYTES:
        raise WrongInput(place, f"a file of at most {MAX_FILE_BYTES} bytes")
    return raw


def read_json_file(path: str, *, place: str) -> Any:
    """The JSON document in a file; WrongInput names what cannot be read."""
    return read_json(read_file(path, place=place), place="$")


def print_answer(document: Any) -> None:
    """The document is one line of JSON on stdout."""
    print(json.dumps(document, ensure_ascii=False))
