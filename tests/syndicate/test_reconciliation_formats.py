"""A statement is read strictly from each kind of file; a wrong one is told by row and column."""

import io
import zipfile
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import WrongInput
from syndicate.reconciliation import format_camt053, format_csv, format_xlsx, formats
from syndicate.reconciliation.formats import MEDIA_TYPES, Format, Upload
from syndicate.reconciliation.statement import COLUMNS, MAX_LINES, BankStatement, read_rows
from tests.syndicate.reconciliation_case import BALANCE, EXPECTED, LATE, LOAN, PAID, row

BOOK = "fac-1"
KINDS: tuple[Format, ...] = ("csv", "xlsx", "camt053")
LINES = [BALANCE, LATE, PAID]


def written(kind: Format, *lines: dict[str, str]) -> bytes:
    return formats.write(kind, lines, book=BOOK, on="2024-09-30")


def read(kind: Format, content: bytes, charset: str = "utf-8") -> BankStatement:
    return formats.read(Upload(kind, charset, content), book=BOOK, expected=EXPECTED)


def refusal(kind: Format, content: bytes, charset: str = "utf-8") -> WrongInput:
    with pytest.raises(WrongInput) as refused:
        read(kind, content, charset)
    return refused.value


def plain(found: BankStatement) -> list[Any]:
    """What it says, without where it says so."""
    lines = (*found.figures, *found.statuses, *found.movements)
    return [{n: getattr(line, n) for n in line.__struct_fields__ if n != "where"} for line in lines]


# ---- what is written is read


def test_the_three_kinds_of_file_say_the_same() -> None:
    said = [plain(read(kind, written(kind, *LINES))) for kind in KINDS]
    assert said[0] == said[1] == said[2]
    assert [line.get("amount_minor") for line in said[0]] == [123456, None, -5]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_lines_are_the_same_bytes(kind: Format) -> None:
    assert written(kind, *LINES) == written(kind, *LINES)


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)


@given(names, names, st.integers(-(10**12), 10**12).filter(bool))
def test_any_name_and_amount_comes_back_as_it_went(entry: str, ref: str, minor: int) -> None:
    amount = f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"
    line = PAID | {"entry": entry, "reference": ref, "amount": amount}
    for kind in KINDS:
        (movement,) = read(kind, written(kind, line)).movements
        assert (movement.entry, movement.references) == (entry, (ref,))
        assert movement.amount_minor == minor


def test_csv_is_read_with_and_without_a_mark_and_in_gb18030_when_declared() -> None:
    line = PAID | {"reference": "还款一期"}
    text = written("csv", line).decode("utf-8-sig")
    for content, charset in (
        (text.encode(), "utf-8"),
        (text.encode("utf-8-sig"), "utf-8"),
        (text.encode("gb18030"), "gb18030"),
    ):
        (movement,) = read("csv", content, charset).movements
        assert movement.references == ("还款一期",)
    error = refusal("csv", text.encode("gb18030"))
    assert (error.place, "charset=gb18030" in error.expected) == ("row 2", True)
    assert refusal("csv", text.encode(), "latin-1").place == "the charset"
    assert refusal("csv", text.encode("utf-16")).expected.startswith("text in UTF-8")


def test_a_sheet_may_hold_numbers_and_days_as_such() -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for index, column in enumerate(COLUMNS):
        sheet.write_string(0, index, column)
    values = ["movement", LOAN, "cash", "CNY", 8765.4, None, None, 20240911, "R", None, None]
    for index, value in enumerate(values):
        sheet.write(1, index, value)
    for index in (5, 6):
        sheet.write_datetime(1, index, date(2024, 9, 11), day)  # type: ignore[arg-type]
    book.close()
    (movement,) = read("xlsx", out.getvalue()).movements
    assert (movement.amount_minor, movement.entry) == (876540, "20240911")
    assert movement.value_date == movement.booking_date == date(2024, 9, 11)


# ---- one wrong cell

WRONG = [
    # line      column          cell              what the refusal says
    (BALANCE, "line", "total", "one of balance, status, movement"),
    (BALANCE, "loan_no", "JJ-of-another-bank", "one of the bank's own loans"),
    (BALANCE, "loan_no", "", "one of the bank's own loans"),
    (BALANCE, "account", "1301", "one of the mapping's codes"),
    (BALANCE, "account", "", "an account's code"),
    (BALANCE, "currency", "USD", "CNY"),
    (BALANCE, "currency", "RMB", "a known currency: CNY"),
    (BALANCE, "amount", "1.234", "at most 2 decimals"),
    (BALANCE, "amount", "1,234.00", "no thousands separators"),
    (BALANCE, "amount", "1，234.00", "no thousands separators"),
    (BALANCE, "amount", "NaN", "a decimal string"),
    (BALANCE, "amount", "Infinity", "a decimal string"),
    (BALANCE, "amount", "1e3", "a decimal string"),
    (BALANCE, "amount", "１２", "a decimal string"),
    (BALANCE, "amount", "", "a decimal string"),
    (BALANCE, "amount", "99999999999999999", "at most 9007199254740991"),
    (BALANCE, "days_overdue", "3", "an empty cell"),
    (LATE, "days_overdue", "-1", "a whole number"),
    (LATE, "days_overdue", "1.5", "a whole number"),
    (LATE, "risk_class", "bad", "one of normal"),
    (PAID, "amount", "0.00", "not 0"),
    (PAID, "account", "principal", "the account of cash"),
    (PAID, "entry", "", "the booking's own number"),
    (PAID, "value_date", "2024-02-30", "a day as"),
    (PAID, "value_date", "20240911", "a day as"),
    (PAID, "booking_date", "2024-08-31", "a day of the period"),
    (PAID, "booking_date", "2024-10-01", "a day of the period"),
    (PAID, "reference", "x" * 201, "at most 200"),
    (PAID, "reference", "a\tb", "printable"),
    (PAID, "reference", " a", "without blanks"),
]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(("line", "column", "cell", "says"), WRONG)
def test_a_wrong_cell_is_named(
    kind: Format, line: dict[str, str], column: str, cell: str, says: str
) -> None:
    other = BALANCE | {"account": "interest"}
    error = refusal(kind, written(kind, other, line | {column: cell}))
    assert error.place == f"row 3, column {column}"
    assert says in error.expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES, ids=["balance", "status", "movement"])
def test_a_line_that_stands_twice_is_named(kind: Format, line: dict[str, str]) -> None:
    if kind == "camt053" and line is LATE:
        error = refusal(kind, two_statuses())
        assert (error.place.startswith("line"), "once" in error.expected) == (True, True)
        return
    error = refusal(kind, written(kind, line, line))
    assert "no second line" in error.expected
    assert error.place.startswith("line" if kind == "camt053" else "row 3")


def two_statuses() -> bytes:
    said = b"<AddtlStmtInf>days_overdue=19;risk_class=special_mention</AddtlStmtInf>"
    return written("camt053", LATE).replace(said, said + said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_lines_is_refused(kind: Format) -> None:
    assert "at least one line" in refusal(kind, written(kind)).expected
    assert refusal(kind, b"").expected


def test_more_lines_than_the_limit_are_refused() -> None:
    lines = [PAID | {"entry": f"e-{number}"} for number in range(MAX_LINES + 1)]
    for kind in KINDS:
        assert f"at most {MAX_LINES} lines" in refusal(kind, written(kind, *lines)).expected


# ---- CSV

HEADER = ",".join(COLUMNS)
BAD_CSV = [
    # what                 content                              place               says
    ("other columns", "a,b\n", "row 1, column 1", "the column name"),
    ("another order", HEADER.replace("line,loan_no", "loan_no,line"), "row 1, column 1", "line"),
    ("a further column", HEADER + ",x", "row 1, column 12", "no further column"),
    ("a short row", HEADER + "\nbalance,JJ-1", "row 2", "11 cells, not 2"),
    ("an open quote", HEADER + '\n"balance', "row 2", "RFC 4180"),
    ("NUL", HEADER + "\nbalance\x00", "row 2", "without NUL"),
    ("a formula", HEADER + "\n=1+1" + "," * 10, "row 2, column line", "no formula"),
    ("a formula of +", HEADER + "\nbalance,+x" + "," * 9, "row 2, column loan_no", "no formula"),
    ("of @", HEADER + "\nbalance,@SUM(1)" + "," * 9, "row 2, column loan_no", "no formula"),
    ("of -", HEADER + "\nbalance,-x" + "," * 9, "row 2, column loan_no", "no formula"),
    ("in an amount", HEADER + "\nbalance,,,,=1+1" + "," * 6, "row 2, column amount", "no formula"),
]


@pytest.mark.parametrize(("content", "place", "says"), [case[1:] for case in BAD_CSV])
def test_a_file_that_is_no_such_table_is_refused(content: str, place: str, says: str) -> None:
    error = refusal("csv", content.encode())
    assert (error.place, says in error.expected) == (place, True), str(error)


# ---- Excel


def workbook(change: Callable[[Any, Any], None], *, sheets: int = 1) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    for _ in range(sheets):
        sheet = book.add_worksheet()
        for index, column in enumerate(COLUMNS):
            sheet.write_string(0, index, column)
            sheet.write_string(1, index, BALANCE[column])
    change(book, sheet)
    book.close()
    return out.getvalue()


def repacked(parts: dict[str, bytes], *, onto: bytes | None = None) -> bytes:
    """A package with these parts beside, or instead of, those of a good one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        if onto is not None:
            with zipfile.ZipFile(io.BytesIO(onto)) as old:
                for name in old.namelist():
                    if name not in parts:
                        made.writestr(name, old.read(name))
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


GOOD = written("xlsx", BALANCE)
SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet_of(cells: str, row: str = "1") -> bytes:
    data = f'<sheetData><row r="{row}">{cells}</row></sheetData>'
    return f'<worksheet xmlns="{MAIN}">{data}</worksheet>'.encode()


def far(cell: str, *, row: str = "1") -> bytes:
    """A few bytes that a reader would make billions of cells of."""
    return repacked({SHEET: sheet_of(f'<c r="{cell}"><v>1</v></c>', row)}, onto=GOOD)


def elsewhere(part: str) -> bytes:
    """The workbook's sheet stands in another part, and holds a formula."""
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old:
        links = old.read("xl/_rels/workbook.xml.rels")
    moved = links.replace(b"worksheets/sheet1.xml", part.removeprefix("xl/").encode())
    assert moved != links
    sheet = sheet_of('<c r="A1"><f>1+1</f><v>2</v></c>')
    return repacked({part: sheet, "xl/_rels/workbook.xml.rels": moved}, onto=GOOD)


BAD_XLSX = [
    ("a formula", workbook(lambda _, s: s.write_formula("E2", "=1+1", None, 2)), "cell E2"),
    (
        "a formula outside",
        workbook(lambda _, s: s.write_formula("Z9", "=NOW()")),
        "row 9, column 26",
    ),
    ("two sheets", workbook(lambda *_: None, sheets=2), "the workbook"),
    ("a wide sheet", workbook(lambda _, s: s.write_string("L1", "x")), "row 1, column 12"),
    ("a far cell", far("XFD1048576"), "row 1048576"),
    ("a far row", far("A1", row="900000"), "row 900000"),
    ("a wrong place", far("a1"), "cell a1"),
    ("a formula of a sheet elsewhere", elsewhere("xl/other.xml"), "cell A1"),
    ("a sheet that is no .xml", elsewhere("xl/printerSettings/a.bin"), "the file"),
    ("TRUE", workbook(lambda _, s: s.write_boolean("E2", True)), "row 2, column amount"),
    (
        "too exact",
        workbook(lambda _, s: s.write_number("E2", 1234567890123456)),
        "row 2, column amount",
    ),
    ("no workbook", b"PK\x03\x04 and nothing", "the file"),
    ("text", b"line,loan_no", "the file"),
    ("a bomb", repacked({"xl/media/a.xml": b" " * (40 << 20)}), "the file"),
    ("many parts", repacked({f"p{n}": b"" for n in range(101)}), "the file"),
    ("macros", repacked({"xl/vbaProject.bin": b"x"}, onto=GOOD), "the file"),
    (
        "entities",
        repacked(
            {"xl/workbook.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><workbook>&a;</workbook>'},
            onto=GOOD,
        ),
        "the file",
    ),
    ("another package", repacked({"a.txt": b"x"}), "the file"),
]


@pytest.mark.parametrize(
    ("content", "place"), [c[1:] for c in BAD_XLSX], ids=[c[0] for c in BAD_XLSX]
)
def test_a_workbook_that_is_not_plain_is_refused(content: bytes, place: str) -> None:
    assert refusal("xlsx", content).place == place


def test_a_bomb_is_noticed_while_it_is_unpacked_whatever_it_declares() -> None:
    bomb = repacked({"xl/sharedStrings.xml": b" " * (64 << 20)})
    assert len(bomb) < 100_000
    assert "32 MiB" in refusal("xlsx", bomb).expected


def test_a_text_that_thousands_of_cells_share_is_refused_before_it_is_repeated() -> None:
    """Fifty kilobytes that a reader would unpack to gigabytes: the text stands once in the file."""
    text = b"x" * (4 << 20)
    shared = b'<sst xmlns="%s"><si><t>%s</t></si></sst>' % (MAIN.encode(), text)
    rows = b"".join(
        b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (n, n) for n in range(2, 5_000)
    )
    sheet = b'<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (MAIN.encode(), rows)
    bomb = repacked({"xl/sharedStrings.xml": shared, SHEET: sheet}, onto=GOOD)
    assert len(bomb) < 100_000
    assert "cells of at most 200 characters" in refusal("xlsx", bomb).expected


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        (b"<row>" + b"<c><v>1</v></c>" * 50_000 + b"</row>", "row 1, column 12"),
        (b"<row/>" * 50_000 + b"<row><c><v>1</v></c></row>", "row 20002"),
    ],
)
def test_cells_and_rows_without_a_name_are_counted(cells: bytes, place: str) -> None:
    """A reader puts each after the one before, and fills a square of so many rows and columns."""
    sheet = b'<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (MAIN.encode(), cells)
    assert refusal("xlsx", repacked({SHEET: sheet}, onto=GOOD)).place == place


# ---- camt.053


def camt(inner: str, *, head: str = "", space: str = format_camt053.WRITTEN) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<Document xmlns="{space}"><BkToCstmrStmt>'
        f"<Stmt><Acct><Id><Othr><Id>{LOAN}</Id></Othr></Id></Acct>{inner}</Stmt>"
        "</BkToCstmrStmt></Document>"
    ).encode()


BAL = (
    "<Bal><Tp><CdOrPrtry><Prtry>principal</Prtry></CdOrPrtry></Tp>"
    '<Amt Ccy="CNY">5.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></Bal>'
)
LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">'
BAD_CAMT = [
    ("entities", camt(BAL, head=LAUGHS), "no document type"),
    ("an outside document type", camt(BAL, head=OUTSIDE), "no document type"),
    ("an instruction", camt("<?php x?>" + BAL), "processing instruction"),
    ("an unknown entity", camt("&x;"), "well-formed XML"),
    ("an unknown element", camt("<Colour/>"), "an element of"),
    ("deep nesting", camt("<Bal>" * 60), "an element of"),
    ("another namespace", camt(BAL, space="urn:x"), "the namespace"),
    ("an unknown attribute", camt(BAL.replace("<Bal>", '<Bal a="1">')), "no attribute"),
    ("no currency", camt(BAL.replace(' Ccy="CNY"', "")), "the attribute Ccy"),
    ("a sign", camt(BAL.replace("5.00", "-5.00")), "no sign"),
    ("no direction", camt(BAL.replace("DBIT", "UP")), "DBIT or CRDT"),
    ("an amount twice", camt(BAL.replace("<Amt", '<Amt Ccy="CNY">1.00</Amt><Amt')), "once"),
    ("stray text", camt("x" + BAL), "elements, not text"),
    ("a long text", camt(BAL.replace("principal", "x" * 501)), "at most 500"),
    ("cut off", camt(BAL)[:-9], "well-formed XML"),
    ("GB18030", camt(BAL).replace(b"UTF-8", b"GB18030"), "UTF-8, declared as such"),
    ("a wrong status", camt("<AddtlStmtInf>late</AddtlStmtInf>"), "days_overdue=19"),
    ("no loan", camt(BAL).replace(b"<Acct>", b"<Acct><Ccy>CNY</Ccy>"), ""),
]


@pytest.mark.parametrize(
    ("content", "says"), [c[1:] for c in BAD_CAMT], ids=[c[0] for c in BAD_CAMT]
)
def test_xml_that_is_not_such_a_statement_is_refused(content: bytes, says: str) -> None:
    if not says:
        assert read("camt053", content).figures
        return
    error = refusal("camt053", content)
    assert says in error.expected, str(error)
    assert error.place.startswith("line")


def test_a_loan_must_be_named_in_a_statement() -> None:
    nameless = camt(BAL).replace(
        f"<Acct><Id><Othr><Id>{LOAN}</Id></Othr></Id></Acct>".encode(), b""
    )
    assert "the loan's number" in refusal("camt053", nameless).expected


def test_cash_of_no_loan_stands_under_the_books_own_name() -> None:
    content = written("camt053", PAID | {"loan_no": ""})
    assert b"<Id>fac-1</Id>" in content
    (movement,) = read("camt053", content).movements
    assert movement.loan_no == ""


# ---- media types


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_known_by_its_media_type(kind: Format) -> None:
    assert formats.upload_of(MEDIA_TYPES[kind], b"x") == Upload(kind, "utf-8", b"x")


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json", "text/csv; header=present", "text/csv; charset=utf-8; a=b", "csv"],
)
def test_other_media_types_are_not_guessed(media_type: str) -> None:
    assert formats.upload_of(media_type, b"x") is None


def test_a_declared_charset_is_read() -> None:
    upload = formats.upload_of('Text/CSV; charset="GB18030"', b"x")
    assert upload is not None
    assert upload.charset == "gb18030"
    assert refusal("xlsx", GOOD, "gb18030").place == "the charset"


def test_every_column_is_used_by_some_line() -> None:
    assert set(row("balance")) == set(COLUMNS)
    assert read_rows(format_csv.read(written("csv", BALANCE), charset="utf-8"), EXPECTED)
    assert next(iter(format_xlsx.read(GOOD))).cells == BALANCE
