"""How a long answer goes out as a table: CSV, XLSX or Parquet, in little memory.

CSV goes out page by page as the rows come. The other two are files that can only be read whole, so
they are written to disk page by page first and then sent. Amounts are never floats: text in CSV and
XLSX, integers of minor units in Parquet. No cell can become a formula. The bytes depend on the rows
alone: the same answer is the same file.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import msgspec
import xlsxwriter
from litestar.response import Stream

from api.problems import HttpRefusal

Format = Literal["csv", "xlsx", "parquet"]
Kind = Literal["text", "decimal", "integer", "day"]
Row = Sequence[Any]
Pages = AsyncIterator[Sequence[Row]]

MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
BOM: Final = "\ufeff"
SHEET_ROWS: Final = 1_048_575
"""Rows of a sheet below its headings; what is more goes to the next sheet."""
GROUP_ROWS: Final = 10_000
"""Rows of a row group of Parquet."""
CHUNK: Final = 1 << 16
PATIENCE_SECONDS: Final = 60.0
"""How long a piece of a download may lie ready with nobody reading on."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet would take for a formula."""
HEADS: Final = ("checkpoint", "top")
"""What of an answer's moment is too long for a file's name; its headers and XLSX have it."""
WRITTEN_ON: Final = datetime(2000, 1, 1)  # noqa: DTZ001
"""What a file says of when it was made: nothing, so that equal answers are equal files."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A table to send.

    columns  (name, kind) in order; a row has one value each, None for none
    about    what it is an answer to: book, log size, head
    """

    name: str
    columns: tuple[tuple[str, Kind], ...]
    about: dict[str, str]


def check_format(wanted: Format) -> None:
    """Nothing: the format can be written here. Raises HttpRefusal that names what is missing."""
    if wanted == "parquet":
        _pyarrow()


def answer(sheet: Sheet, pages: Pages, *, wanted: Format, bom: bool) -> Stream:
    """The rows as a file to download, each sent as soon as its format allows."""
    writers: Mapping[Format, Callable[[], AsyncGenerator[bytes, None]]] = {
        "csv": lambda: csv_of(sheet, pages, bom=bom),
        "xlsx": lambda: xlsx_of(sheet, pages),
        "parquet": lambda: parquet_of(sheet, pages),
    }
    said = [value for key, value in sheet.about.items() if key not in HEADS]
    name = "-".join(part for part in (sheet.name, *said) if part)
    safe = "".join(char if char.isalnum() and char.isascii() else "-" for char in name)[:120]
    headers = {f"liandai-{key.replace('_', '-')}": value for key, value in sheet.about.items()}
    return Stream(
        taken_in_time(writers[wanted]()),
        media_type=MEDIA_TYPES[wanted],
        headers={
            **headers,
            "content-disposition": f'attachment; filename="{safe}.{wanted}"',
        },
    )


async def taken_in_time(
    chunks: AsyncGenerator[bytes, None], *, patience: float = PATIENCE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """The chunks as they are asked for; where none is for so long, their source is closed.

    A download that nobody reads would hold its transaction, and its place among the few there may
    be at once, for ever. What was cut off ends with an error, never as if it were whole.
    """
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)

    async def fill() -> None:
        async with aclosing(chunks):
            async for chunk in chunks:
                async with asyncio.timeout(patience):
                    await waiting.put(chunk)
        await waiting.put(None)

    filling = asyncio.create_task(fill())
    taking = asyncio.create_task(waiting.get())
    try:
        while True:
            await asyncio.wait({filling, taking}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and waiting.empty():
                filling.result()  # raises what ended it early
            chunk = await taking
            if chunk is None:
                return
            yield chunk
            taking = asyncio.create_task(waiting.get())
    finally:
        filling.cancel()
        taking.cancel()
        await asyncio.gather(filling, taking, return_exceptions=True)


# ---- CSV


async def csv_of(sheet: Sheet, pages: Pages, *, bom: bool) -> AsyncGenerator[bytes, None]:
    """RFC 4180 in UTF-8: a line of headings, then the rows, sent page by page."""
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\r\n")
    page.write(BOM if bom else "")
    writer.writerow([name for name, _ in sheet.columns])
    kinds = [kind for _, kind in sheet.columns]
    async for rows in pages:
        for row in rows:
            writer.writerow([_cell(value, kind) for value, kind in zip(row, kinds, strict=True)])
        yield _taken(page)
    yield _taken(page)


def _taken(page: io.StringIO) -> bytes:
    text = page.getvalue()
    page.seek(0)
    page.truncate()
    return text.encode("utf-8")


def _cell(value: Any, kind: Kind) -> str:
    if value is None:
        return ""
    text = str(value)
    if kind == "text" and text.startswith(FORMULA):
        return f"'{text}"
    return text


# ---- XLSX


async def xlsx_of(
    sheet: Sheet, pages: Pages, *, sheet_rows: int = SHEET_ROWS
) -> AsyncGenerator[bytes, None]:
    """A workbook whose cells are all strings: sheets of rows, and one that says what it is."""
    with tempfile.TemporaryDirectory(prefix="liandai-export-") as folder:
        path = Path(folder) / "table.xlsx"
        book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": folder})
        book.set_properties({"created": WRITTEN_ON})
        about = book.add_worksheet("about")
        for number, (name, value) in enumerate(sheet.about.items()):
            about.write_string(number, 0, name)
            about.write_string(number, 1, value)
        line = sheet_rows + 1
        sheets: list[Any] = []
        async for rows in pages:
            for row in rows:
                if line > sheet_rows:
                    sheets.append(_new_sheet(book, sheet, len(sheets) + 1))
                    line = 1
                for column, value in enumerate(row):
                    if value is not None:
                        sheets[-1].write_string(line, column, str(value))
                line += 1
        if not sheets:
            _new_sheet(book, sheet, 1)
        await asyncio.to_thread(book.close)
        async for chunk in _sent(path):
            yield chunk


def _new_sheet(book: Any, sheet: Sheet, number: int) -> Any:
    page = book.add_worksheet(f"{sheet.name} {number}"[:31])
    for column, (name, _) in enumerate(sheet.columns):
        page.write_string(0, column, name)
    return page


# ---- Parquet


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HttpRefusal(
            409,
            "extra-not-installed",
            "Parquet needs the optional extra `parquet` on the server: liandai[parquet]",
        ) from error
    return pyarrow, pyarrow.parquet


async def parquet_of(sheet: Sheet, pages: Pages) -> AsyncGenerator[bytes, None]:
    """A Parquet file of typed columns; what it is an answer to stands in its metadata."""
    arrow, parquet = _pyarrow()
    types = {
        "text": arrow.string(),
        "decimal": arrow.string(),
        "integer": arrow.int64(),
        "day": arrow.date32(),
    }
    schema = arrow.schema([(name, types[kind]) for name, kind in sheet.columns]).with_metadata(
        sheet.about
    )
    with tempfile.TemporaryDirectory(prefix="liandai-export-") as folder:
        path = Path(folder) / "table.parquet"
        with parquet.ParquetWriter(path, schema) as writer:
            held: list[Row] = []
            async for rows in pages:
                held += rows
                if len(held) >= GROUP_ROWS:
                    writer.write_batch(_batch(arrow, schema, held))
                    held.clear()
            writer.write_batch(_batch(arrow, schema, held))
        async for chunk in _sent(path):
            yield chunk


def _batch(arrow: ModuleType, schema: Any, rows: Sequence[Row]) -> Any:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        arrow.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)
    ]
    return arrow.record_batch(arrays, schema=schema)


async def _sent(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
