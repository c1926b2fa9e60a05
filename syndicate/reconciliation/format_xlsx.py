"""How a statement is read from and written as an Excel workbook. It reads cells, not meanings.

The package is looked at before anything is unpacked: how many parts, how large each really is, no
macros, no encryption. Every part is searched for formulas, whose stored results are nobody's word,
for cells far away, which would be filled up to, and for long texts, which every cell that shares
one would repeat. Cells are written as text, so that no amount loses a digit and nothing becomes a
formula.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from xml.parsers import expat

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from ledger.errors import WrongInput
from syndicate.reconciliation.statement import COLUMNS, MAX_CELL, MAX_LINES, Row

MAX_PARTS: Final = 100
MAX_UNPACKED: Final = 32 * 1024 * 1024
"""Bytes of all parts together; what is declared is not believed, what is unpacked is counted."""

MAX_SHARED: Final = 2 * MAX_CELL
"""Characters of one text that cells may share; that one cell is too long is told by its row."""

_CHUNK: Final = 1 << 16
_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - the file says the same whenever it is made
_CELLS: Final = b"sheetData"
_PLACE: Final = re.compile(r"([A-Z]{0,3})([1-9][0-9]{0,6})", re.ASCII)
_WIDEST: Final = 15
"""Significant digits that Excel itself keeps of a number."""


def read(raw: bytes) -> Iterator[Row]:
    """The rows of the only sheet, under the header. Raises WrongInput by row and column."""
    _check_package(raw)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        if len(book.sheet_names) != 1:
            raise WrongInput("the workbook", f"one sheet, not {len(book.sheet_names)}")
        sheet = book.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except (CalamineError, OSError) as error:
        raise WrongInput("the file", "an Excel workbook (.xlsx) that can be opened") from error
    for number, cells in enumerate(rows, 1):
        if number > MAX_LINES + 1:
            raise WrongInput(f"row {number}", f"at most {MAX_LINES} lines")
        if len(cells) > len(COLUMNS):
            raise WrongInput(f"row {number}, column {len(COLUMNS) + 1}", "no further column")
        padded = [*cells, *([""] * (len(COLUMNS) - len(cells)))]
        if number == 1:
            _check_header(padded)
            continue
        named = zip(COLUMNS, padded, strict=True)
        read_cells = {column: _text(value, number, column) for column, value in named}
        yield Row(f"row {number}", read_cells)
    if not rows:
        raise WrongInput("row 1", f"the header {', '.join(COLUMNS)}")


def _check_header(cells: Sequence[object]) -> None:
    for index, (name, cell) in enumerate(zip(COLUMNS, cells, strict=True), 1):
        if cell != name:
            raise WrongInput(f"row 1, column {index}", f'the column name "{name}"')


def _text(value: object, row: int, column: str) -> str:
    """The cell as text. A number is the shortest decimal of Excel's fifteen digits."""
    place = f"row {row}, column {column}"
    match value:
        case str():
            return value
        case bool():
            raise WrongInput(place, "text or a number, not TRUE or FALSE")
        case int():
            return str(value)
        case float():
            return _decimal(value, place)
        case datetime() if value.time() == datetime.min.time():
            return value.date().isoformat()
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case _:
            raise WrongInput(place, "text, a number or a day")


def _decimal(value: object, place: str) -> str:
    exact = Decimal(repr(value))
    if not exact.is_finite():
        raise WrongInput(place, "a finite number")
    if len(exact.normalize().as_tuple().digits) > _WIDEST:
        raise WrongInput(place, f"text for a number of more than {_WIDEST} digits")
    return format(exact.normalize(), "f")


# ---- what may be unpacked at all


def _check_package(raw: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as package:
            parts = package.infolist()
            if len(parts) > MAX_PARTS:
                raise WrongInput("the file", f"at most {MAX_PARTS} parts in the package")
            left = MAX_UNPACKED
            for part in parts:
                left = _check_part(package, part, left)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise WrongInput("the file", "an Excel workbook (.xlsx) that can be opened") from error


def _check_part(package: zipfile.ZipFile, part: zipfile.ZipInfo, left: int) -> int:
    """How many bytes may still be unpacked after this part."""
    name = part.filename.lower()
    if part.flag_bits & 1:
        raise WrongInput("the file", "no password")
    if "vbaproject" in name or "externallink" in name:
        raise WrongInput("the file", "no macros and no links to other files")
    scan = _Scan().parser if name.endswith((".xml", ".rels", ".vml")) else None
    tail = b""
    with package.open(part) as content:
        while chunk := content.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise WrongInput("the file", f"at most {MAX_UNPACKED >> 20} MiB when unpacked")
            if scan is not None:
                _feed(scan, chunk, part.filename)
            elif _CELLS in tail + chunk:
                raise WrongInput("the file", f"cells in .xml parts alone, not in {part.filename}")
            tail = chunk[-len(_CELLS) :]
    return left


def _feed(scan: expat.XMLParserType, chunk: bytes, name: str) -> None:
    try:
        scan.Parse(chunk, False)
    except expat.ExpatError as error:
        raise WrongInput("the file", f"well-formed XML in {name}") from error


class _Scan:
    """A pass over one XML part that refuses what no statement needs: a document type, entities,
    formulas, texts beyond any cell's, and cells far from the others, which a reader would fill the
    space up to. Rows and cells that name no place are counted: they lie one after the other.
    """

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._said
        self._cell = "?"
        self._rows = self._cells = 0
        self._shared: int | None = None

    @staticmethod
    def _refuse(*_: object) -> None:
        raise WrongInput("the file", "no document type and no entities in its XML")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "f":
            raise WrongInput(f"cell {self._cell}", "no formula: a value as it stands")
        if tag == "si":
            self._shared = 0
        if tag == "row":
            self._rows, self._cells = self._rows + 1, 0
            if self._rows > MAX_LINES + 1:
                raise WrongInput(f"row {self._rows}", f"at most {MAX_LINES} lines")
        if tag == "c":
            self._cells += 1
            if self._cells > len(COLUMNS):
                place = f"row {self._rows}, column {self._cells}"
                raise WrongInput(place, "no further column")
        if tag in ("c", "row") and "r" in attributes:
            self._cell = attributes["r"] if tag == "c" else self._cell
            _check_near(attributes["r"])

    def _end(self, name: str) -> None:
        if name.rpartition(" ")[2] == "si":
            self._shared = None

    def _said(self, text: str) -> None:
        if self._shared is not None:
            self._shared += len(text)
            if self._shared > MAX_SHARED:
                raise WrongInput("the file", f"cells of at most {MAX_CELL} characters")


def _check_near(name: str) -> None:
    """Nothing: the row, or the cell of that name, lies where a statement has its lines."""
    found = _PLACE.fullmatch(name)
    if found is None:
        raise WrongInput(f"cell {name[:20]}", "a cell's name as A1")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    if int(found[2]) > MAX_LINES + 1:
        raise WrongInput(f"row {found[2]}", f"at most {MAX_LINES} lines")
    if column > len(COLUMNS):
        raise WrongInput(f"row {found[2]}, column {column}", "no further column")


# ---- writing


def write(rows: Iterable[Mapping[str, str]]) -> bytes:
    """The rows as a workbook of one sheet; the same rows give the same bytes."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False})
    book.set_properties({"created": _MADE})
    sheet = book.add_worksheet("statement")
    for index, column in enumerate(COLUMNS):
        sheet.write_string(0, index, column)
    for number, row in enumerate(rows, 1):
        for index, column in enumerate(COLUMNS):
            if row[column]:
                sheet.write_string(number, index, row[column])
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()
