"""Exports: the same lines as the answer, in three formats, however many, in little memory."""

import asyncio
import csv
import io
import sys
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import date
from typing import Any
from xml.etree import ElementTree

import asyncpg
import psutil
import pytest

from api import exports
from api.database import Database, Standing
from api.exports import Sheet, csv_of, parquet_of, taken_in_time, xlsx_of
from api.routes.ledger_exports import ENTRY_COLUMNS, entry_rows
from api.settings import asyncpg_dsn
from ledger import listings
from ledger.store_queries import AT_ONCE
from ledger.wanted import Wanted
from tests.api.populated import FACILITY
from tests.facility_house import formed
from tests.house import House
from tests.syndicate.facility_case import WAN

BOOK = FACILITY.facility
PATH = f"/v1/books/{BOOK}"
SHEET = Sheet(
    name="things",
    columns=(("word", "text"), ("amount", "decimal"), ("minor", "integer"), ("on", "day")),
    about={"book": "fac-a", "known_size": "7"},
)
ROWS: list[tuple[Any, ...]] = [
    ("plain", "-5.00", -500, date(2024, 3, 1)),
    ('a "quoted", one\r\nof two lines', "0.01", 1, None),
    ("=1+1", "+1.00", 100, None),
    ("@SUM(A1)", "1.00", 100, None),
    ("-cmd|' /C calc'!A0", "1.00", 100, None),
    ("＝1", "1.00", 100, None),
    (None, "90071992547409.91", 2**53 - 1, date(1, 1, 1)),
    ("杭州银行", "1.00", 100, None),
]


async def each_of(rows: Sequence[Any]) -> AsyncIterator[Any]:
    """The rows in pages of three."""
    for first in range(0, len(rows), 3):
        yield rows[first : first + 3]


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


# ---- who reads on, and who does not


class Source:
    """Pieces one after the other; `closed` once nothing more is asked of it."""

    def __init__(self, pieces: int, *, breaks: bool = False) -> None:
        self.pieces, self.breaks, self.closed = pieces, breaks, asyncio.Event()

    async def sent(self) -> AsyncGenerator[bytes, None]:
        try:
            for nth in range(self.pieces):
                yield b"%d " % nth
            if self.breaks:
                raise ConnectionError("the database went away")
        finally:
            self.closed.set()


async def test_a_download_that_nobody_reads_lets_its_transaction_go_and_is_not_whole() -> None:
    source = Source(9)
    reader = taken_in_time(source.sent(), patience=0.05)
    assert await anext(reader) == b"0 "
    await asyncio.wait_for(source.closed.wait(), 5)
    with pytest.raises(TimeoutError):
        await whole(reader)


async def test_a_download_that_is_read_is_whole_however_long_it_takes_to_make() -> None:
    async def slow() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            await asyncio.sleep(0.2)
            yield b"x"

    assert await whole(taken_in_time(slow(), patience=0.05)) == b"xxx"
    assert await whole(taken_in_time(Source(0).sent())) == b""
    with pytest.raises(ConnectionError):
        await whole(taken_in_time(Source(3, breaks=True).sent()))


async def test_a_reader_who_goes_away_lets_its_transaction_go_at_once() -> None:
    source = Source(9)
    reader = taken_in_time(source.sent())
    await anext(reader)
    await reader.aclose()
    assert source.closed.is_set()


# ---- the formats


async def test_csv_is_rfc_4180_and_no_text_of_it_is_a_formula() -> None:
    raw = await whole(csv_of(SHEET, each_of(ROWS), bom=False))
    assert raw.startswith(b"word,amount,minor,on\r\nplain,-5.00,-500,2024-03-01\r\n")
    assert b'"a ""quoted"", one\r\nof two lines",0.01,1,\r\n' in raw
    read = list(csv.reader(io.StringIO(raw.decode(), newline="")))
    assert [line[0] for line in read[3:7]] == ["'=1+1", "'@SUM(A1)", "'-cmd|' /C calc'!A0", "'＝1"]
    assert [line[1] for line in read[1:4]] == ["-5.00", "0.01", "+1.00"], "amounts stay amounts"
    marked = await whole(csv_of(SHEET, each_of(ROWS), bom=True))
    assert marked == "\ufeff".encode() + raw
    assert await whole(csv_of(SHEET, each_of([]), bom=False)) == b"word,amount,minor,on\r\n"


def cells(raw: bytes) -> dict[str, list[list[tuple[str, str]]]]:
    """Sheet file -> rows of (type, text) of a workbook, read from its XML."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    found = {}
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        shared = []
        if "xl/sharedStrings.xml" in archive.namelist():
            root = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
            shared = ["".join(t.text or "" for t in si.iter(f"{space}t")) for si in root]
        for name in sorted(archive.namelist()):
            if not name.startswith("xl/worksheets/sheet"):
                continue
            root = ElementTree.fromstring(archive.read(name))
            assert not list(root.iter(f"{space}f")), "a formula"
            found[name.rpartition("/")[2]] = [
                [
                    (
                        cell.get("t", "n"),
                        shared[int(cell.findtext(f"{space}v") or 0)]
                        if cell.get("t") == "s"
                        else "".join(t.text or "" for t in cell.iter(f"{space}t")),
                    )
                    for cell in row
                ]
                for row in root.iter(f"{space}row")
            ]
    return found


async def test_xlsx_holds_strings_alone_and_goes_on_on_further_sheets() -> None:
    raw = await whole(xlsx_of(SHEET, each_of(ROWS), sheet_rows=5))
    sheets = cells(raw)
    assert list(sheets) == ["sheet1.xml", "sheet2.xml", "sheet3.xml"]
    assert sheets["sheet1.xml"][0] == [("inlineStr", "book"), ("inlineStr", "fac-a")]
    assert [len(sheets[name]) - 1 for name in ("sheet2.xml", "sheet3.xml")] == [5, 3]
    texts = [[text for _, text in row] for row in sheets["sheet2.xml"]]
    assert texts[0] == ["word", "amount", "minor", "on"]
    assert texts[1] == ["plain", "-5.00", "-500", "2024-03-01"]
    assert texts[3][0] == "=1+1"
    kinds = {kind for rows in sheets.values() for row in rows for kind, _ in row}
    assert kinds <= {"inlineStr", "s", "str"}
    assert "9007199254740991" in str(sheets["sheet3.xml"]), "to the last digit"


async def test_parquet_has_types_and_says_what_it_answers() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    raw = await whole(parquet_of(SHEET, each_of(ROWS)))
    table = parquet.read_table(io.BytesIO(raw))
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS
    assert table.schema.field("minor").type == pyarrow.int64()
    assert table.schema.metadata[b"known_size"] == b"7"
    assert parquet.read_table(io.BytesIO(await whole(parquet_of(SHEET, each_of([]))))).num_rows == 0


async def test_the_same_rows_are_the_same_file() -> None:
    for write in (xlsx_of, parquet_of):
        first, second = [await whole(write(SHEET, each_of(ROWS))) for _ in range(2)]
        assert first == second


# ---- over HTTP


async def exported(house: House, path: str, person: str = "auditor-auditor", **query: Any) -> Any:
    answer = await house.http.get(path, params=query, headers=house[person].headers)
    assert answer.status_code == 200, answer.text
    return answer


def lines_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


async def test_every_export_holds_the_lines_of_its_answer(house: House) -> None:
    deal = await formed(house, FACILITY)
    await deal.fund("d1", 3000 * WAN)
    await house.publish()
    auditor = house["auditor-auditor"]
    page = await auditor.get(f"{PATH}/entries", party="cib")
    answer = await exported(house, f"{PATH}/entries/export", party="cib")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["liandai-known-size"] == str(page["known_size"])
    head = page["checkpoint"]
    assert answer.headers["liandai-checkpoint"] == f"{head['size']} {head['root']}"
    for name in ("position", "line", "code", "amount_minor", "record", "fact"):
        shown = [str(line[name]) for line in page["entries"]]
        assert [line[name] for line in lines_of(answer)] == shown
    joined = await exported(house, "/v1/entries/export", party="cib")
    assert lines_of(joined) == lines_of(answer)
    own = await exported(house, f"{PATH}/entries/export", "cib-officer")
    assert own.content == answer.content, "a member's own entries, no others"
    trial = await auditor.get(f"{PATH}/trial-balance")
    balances = lines_of(await exported(house, f"{PATH}/trial-balance/export"))
    assert [line["balance_minor"] for line in balances] == [
        str(line["balance_minor"]) for line in trial["lines"]
    ]
    period = {"party": "cib", "first_day": "2024-03-01", "by": "value"}
    said = await auditor.get(f"{PATH}/statement", **period)
    lines = lines_of(await exported(house, f"{PATH}/statement/export", **period))
    assert [line["balance_minor"] for line in lines] == [
        str(line["balance_minor"]) for line in said["lines"]
    ]
    for wanted, begins in (("xlsx", b"PK"), ("parquet", b"PAR1")):
        answer = await exported(house, f"{PATH}/entries/export", format=wanted)
        assert answer.content.startswith(begins)
        assert answer.headers["content-type"] == exports.MEDIA_TYPES[wanted]
        assert f".{wanted}" in answer.headers["content-disposition"]
    marked = await exported(house, f"{PATH}/entries/export", bom="true")
    assert marked.content.startswith(b"\xef\xbb\xbfbook,position")


async def test_what_cannot_be_exported_is_refused_before_the_first_byte(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = house["auditor-auditor"]
    await house.publish()
    await auditor.get("/v1/books/nowhere/entries/export", expect=404)
    await auditor.get("/v1/entries/export", books="nowhere", expect=404)
    await auditor.get("/v1/books/registry/entries/export", known_size=10**6, expect=409)
    await auditor.get("/v1/books/registry/entries/export", format="pdf", expect=400)
    for path in ("entries", "trial-balance", "statement"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "pyarrow", None)
            refused = await auditor.get(
                f"/v1/books/registry/{path}/export", format="parquet", expect=409
            )
        assert refused["code"] == "extra-not-installed"
        assert "liandai[parquet]" in refused["detail"]


# ---- however many rows

MANY = 200_000


async def filled(database_url: str) -> None:
    """A book of MANY entries, 2,000 a leaf, put there by the database's owner: this is about
    reading."""
    conn = await asyncpg.connect(asyncpg_dsn(database_url))
    try:
        await conn.execute(
            f"""
            INSERT INTO ledger.book VALUES ('fac-a', 'facility', '2024-03-01', 100, 2);
            INSERT INTO ledger.account
              SELECT 'fac-a', n, 'alder', CASE n WHEN 0 THEN 'cash' ELSE 'fees' END, '', '', 'CNY'
              FROM generate_series(0, 1) n;
            INSERT INTO ledger.leaf
              SELECT 'fac-a', n, 'many:' || n, 'transaction', '{{"type": "Paid"}}',
                '{{"institution": "alder", "user": "ann"}}', NULL, '2024-03-01', '2024-03-01',
                now(), '', sha256('x') FROM generate_series(0, {MANY // 2_000 - 1}) n;
            INSERT INTO ledger.entry
              SELECT 'fac-a', n / 2000, n % 2000, n % 2, 'alder', 1 - 2 * (n % 2), 0,
                '2024-03-01', '2024-03-01' FROM generate_series(0, {MANY - 1}) n"""
        )
    finally:
        await conn.close()


async def test_a_long_answer_begins_before_it_is_read_and_never_stands_in_memory(
    database: Database, database_url: str
) -> None:
    await filled(database_url)
    sheet = Sheet(name="entries", columns=ENTRY_COLUMNS, about={"book": "fac-a"})
    taken = 0

    async def counted(pages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        nonlocal taken
        async for page in pages:
            taken += len(page)
            yield page

    async with database.transaction(Standing("liandai_auditor", ""), read_only=True) as conn:
        reach = [("fac-a", MANY)]
        pages = listings.every_entry(conn, books=reach, filters=Wanted())
        sent, seen_first, process = 0, 0, psutil.Process()
        before = held = process.memory_info().rss
        async for chunk in csv_of(sheet, entry_rows(counted(pages)), bom=False):
            seen_first = seen_first or taken
            sent += len(chunk)
            held = max(held, process.memory_info().rss)
    print(
        f"\n{taken} rows, {sent} bytes; first bytes after {seen_first} rows, "
        f"at most {held - before} bytes more held"
    )
    assert taken == MANY
    assert 0 < seen_first <= AT_ONCE
    assert sent > 10_000_000
    assert held - before < sent, "less than the answer itself, of which each row is many objects"
