"""Which kinds of file a statement comes in and goes out as, by media type. It reads no meaning."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from ledger.errors import WrongInput
from syndicate.reconciliation import format_camt053, format_csv, format_xlsx
from syndicate.reconciliation.statement import BankStatement, Expected, Row, read_rows

Format = Literal["csv", "xlsx", "camt053"]

MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "camt053": "application/xml",
}
_PARAMETER: Final = re.compile(r'charset="?([A-Za-z0-9_-]{1,20})"?', re.ASCII)


class Upload(msgspec.Struct, frozen=True):
    """A file as it was sent: what kind it is, in which characters, and its bytes."""

    format: Format
    charset: str
    content: bytes


def upload_of(media_type: str, content: bytes) -> Upload | None:
    """The file that came under this Content-Type; None for a type or a parameter not known here."""
    name, *parameters = (part.strip() for part in media_type.split(";"))
    named = [kind for kind, known in MEDIA_TYPES.items() if known == name.lower()]
    if not named or len(parameters) > 1:
        return None
    charset = "utf-8"
    for parameter in parameters:
        found = _PARAMETER.fullmatch(parameter)
        if found is None:
            return None
        charset = found[1].lower()
    return Upload(named[0], charset, content)


def read(upload: Upload, *, book: str, expected: Expected) -> BankStatement:
    """What the file says. Raises WrongInput by the file's own rows and columns."""
    if upload.format != "csv" and upload.charset != "utf-8":
        raise WrongInput("the charset", "none, or utf-8, for this kind of file")
    readers: Mapping[Format, Callable[[], Iterable[Row]]] = {
        "csv": lambda: format_csv.read(upload.content, charset=upload.charset),
        "xlsx": lambda: format_xlsx.read(upload.content),
        "camt053": lambda: format_camt053.read(upload.content, book=book),
    }
    return read_rows(readers[upload.format](), expected)


def write(kind: Format, rows: Iterable[Mapping[str, str]], *, book: str, on: str) -> bytes:
    """The rows as a file of that kind; `read` gives the same lines again."""
    match kind:
        case "csv":
            return format_csv.write(rows)
        case "xlsx":
            return format_xlsx.write(rows)
        case "camt053":
            return format_camt053.write(rows, book=book, on=on)
