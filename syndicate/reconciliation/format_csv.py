"""How a statement is read from and written as CSV. It reads cells, never what they mean.

UTF-8 with or without a byte order mark, or GB18030 where the sender declares it; commas, quotes as
RFC 4180 has them, one header row. A cell that a spreadsheet would take for a formula is refused;
where a name of ours begins like one it is written with an apostrophe before it, which is taken off
again when it is read.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ledger.errors import WrongInput
from syndicate.reconciliation.statement import COLUMNS, MAX_LINES, Row

CHARSETS: Final = ("utf-8", "gb18030")
_FORMULA: Final = ("=", "+", "@", "-", "\t")


def read(raw: bytes, *, charset: str) -> Iterator[Row]:
    """The rows under the header. Raises WrongInput by row and column."""
    lines = csv.reader(io.StringIO(_decoded(raw, charset=charset), newline=""), strict=True)
    number = 0
    try:
        for number, cells in enumerate(lines, 1):
            if number == 1:
                _check_header(cells)
            elif number > MAX_LINES + 1:
                raise WrongInput(f"row {number}", f"at most {MAX_LINES} lines")
            else:
                yield _row(number, cells)
    except csv.Error as error:
        raise WrongInput(f"row {number + 1}", f"CSV as RFC 4180 has it ({error})") from error
    if not number:
        raise WrongInput("row 1", f"the header {','.join(COLUMNS)}")


def _decoded(raw: bytes, *, charset: str) -> str:
    if charset not in CHARSETS:
        raise WrongInput("the charset", f"{' or '.join(CHARSETS)}")
    try:
        text = raw.decode("utf-8-sig" if charset == "utf-8" else charset)
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        declare = '; declare "charset=gb18030" for GB18030' if charset == "utf-8" else ""
        raise WrongInput(f"row {row}", f"text in {charset.upper()}{declare}") from error
    if "\x00" in text:
        raise WrongInput(f"row {text[: text.index(chr(0))].count(chr(10)) + 1}", "text without NUL")
    return text


def _check_header(cells: list[str]) -> None:
    for index, name in enumerate(COLUMNS):
        if index >= len(cells) or cells[index] != name:
            raise WrongInput(f"row 1, column {index + 1}", f'the column name "{name}"')
    if len(cells) > len(COLUMNS):
        raise WrongInput(f"row 1, column {len(COLUMNS) + 1}", "no further column")


def _row(number: int, cells: list[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise WrongInput(f"row {number}", f"{len(COLUMNS)} cells, not {len(cells)}")
    row = Row(f"row {number}", dict(zip(COLUMNS, map(_plain, cells), strict=True)))
    for column, cell in zip(COLUMNS, cells, strict=True):
        number_like = column == "amount" and cell[:1] == "-" and cell[1:2].isdigit()
        if cell.startswith(_FORMULA) and not number_like:
            raise WrongInput(row.place(column), "no formula: a value as it stands")
    return row


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def write(rows: Iterable[Mapping[str, str]]) -> bytes:
    """The rows as CSV in UTF-8 under a byte order mark, so that Excel shows Chinese as it is."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_guarded(column, row[column]) for column in COLUMNS)
    return out.getvalue().encode("utf-8-sig")


def _guarded(column: str, cell: str) -> str:
    if column != "amount" and cell.startswith((*_FORMULA, "'")):
        return f"'{cell}"
    return cell
