"""How a statement is read from and written as camt.053-shaped XML (ISO 20022). Cells, no meanings.

    Stmt              one loan (借据), or the book itself for cash that belongs to no one loan
      Acct/Id/Othr/Id its number
      Bal             what stands on one account (科目, Tp/CdOrPrtry/Prtry)
      Ntry            one movement of cash
      AddtlStmtInf    status of the loan, as "days_overdue=19;risk_class=special_mention"

A bank that knows camt.053 finds its elements here, and no others are taken: what is not in `PATHS`
is refused by name rather than passed over, which bounds the depth too. The parser takes no document
type, no entity and no processing instruction, so that no file can make it grow or reach out.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from ledger.errors import WrongInput
from syndicate.reconciliation.statement import COLUMNS, MAX_LINES, Row

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."
WRITTEN: Final = f"{NAMESPACE}08"
MAX_TEXT: Final = 500

_STMT: Final = "Document/BkToCstmrStmt/Stmt"
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    f"{_STMT}/Acct/Id/Othr/Id": ("Stmt", "loan_no"),
    f"{_STMT}/AddtlStmtInf": ("Stmt", "status"),
    f"{_STMT}/Bal/Tp/CdOrPrtry/Prtry": ("Bal", "account"),
    f"{_STMT}/Bal/Amt": ("Bal", "amount"),
    f"{_STMT}/Bal/CdtDbtInd": ("Bal", "sign"),
    f"{_STMT}/Ntry/NtryRef": ("Ntry", "entry"),
    f"{_STMT}/Ntry/Amt": ("Ntry", "amount"),
    f"{_STMT}/Ntry/CdtDbtInd": ("Ntry", "sign"),
    f"{_STMT}/Ntry/BookgDt/Dt": ("Ntry", "booking_date"),
    f"{_STMT}/Ntry/ValDt/Dt": ("Ntry", "value_date"),
    f"{_STMT}/Ntry/BkTxCd/Prtry/Cd": ("Ntry", "account"),
    f"{_STMT}/Ntry/NtryDtls/TxDtls/Refs/EndToEndId": ("Ntry", "reference"),
}
"""Elements whose text is a cell: of which part, and which."""

_PASSED: Final = (
    "Document/BkToCstmrStmt/GrpHdr/MsgId",
    "Document/BkToCstmrStmt/GrpHdr/CreDtTm",
    f"{_STMT}/Id",
    f"{_STMT}/CreDtTm",
    f"{_STMT}/Acct/Ccy",
    f"{_STMT}/Bal/Dt/Dt",
    f"{_STMT}/Ntry/Sts/Cd",
)
"""Elements that camt.053 requires and that say nothing which does not stand elsewhere."""

PATHS: Final = frozenset(
    "/".join(path.split("/")[:depth])
    for path in (*_FIELDS, *_PASSED)
    for depth in range(1, path.count("/") + 2)
)
_SIGNS: Final = {"DBIT": 1, "CRDT": -1}
"""Of a balance, as the bank's own books have it: a claim is a debit."""


def read(raw: bytes, *, book: str) -> list[Row]:
    """The lines in the order of the file. Raises WrongInput by line of the file and element.

    book  the id under which cash that belongs to no one loan stands
    """
    reading = _Reading(book)
    try:
        reading.parser.Parse(raw, True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        raise WrongInput(f"line {error.lineno}", f"well-formed XML in UTF-8 ({said})") from error
    return reading.rows


class _Reading:
    """One pass over the file: where it is, what the open parts hold, what came of them."""

    def __init__(self, book: str) -> None:
        self.rows: list[Row] = []
        self.parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        self._book = book
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._parts: dict[str, dict[str, str]] = {}
        self._waiting: list[tuple[str, dict[str, str]]] = []
        parser = self.parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._said
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        parser.XmlDeclHandler = self._declared

    @property
    def _where(self) -> str:
        return f"line {self.parser.CurrentLineNumber}"

    def _refuse(self, *_: object) -> None:
        raise WrongInput(self._where, "no document type, entity or processing instruction")

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if (encoding or "utf-8").lower() != "utf-8":
            raise WrongInput(self._where, "UTF-8, declared as such")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if "".join(self._text).strip():
            raise WrongInput(f"{self._where}, {self._path[-1]}", "elements, not text")
        self._path.append(tag)
        path = "/".join(self._path)
        if not namespace.startswith(NAMESPACE):
            raise WrongInput(f"{self._where}, {tag}", f"the namespace {WRITTEN}")
        if path not in PATHS:
            raise WrongInput(f"{self._where}, {tag}", "an element of this service's camt.053")
        if attributes and (tag != "Amt" or set(attributes) != {"Ccy"}):
            raise WrongInput(f"{self._where}, {tag}", "no attribute, but Ccy of Amt")
        if tag in ("Stmt", "Bal", "Ntry"):
            self._parts[tag] = {"where": self._where}
        if tag == "Amt":
            if "Ccy" not in attributes:
                raise WrongInput(f"{self._where}, Amt", "the attribute Ccy")
            self._parts[self._path[-2]]["currency"] = attributes["Ccy"]
        self._text, self._length = [], 0

    def _said(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise WrongInput(f"{self._where}, {self._path[-1]}", f"at most {MAX_TEXT} characters")
        self._text.append(text)

    def _end(self, name: str) -> None:
        path, tag = "/".join(self._path), self._path.pop()
        text = "".join(self._text)
        self._text, self._length = [], 0
        if path in _FIELDS:
            part, field = _FIELDS[path]
            if field in self._parts[part]:
                raise WrongInput(f"{self._where}, {tag}", "the element once")
            self._parts[part][field] = text
        elif path not in _PASSED and text.strip():
            raise WrongInput(f"{self._where}, {tag}", "elements, not text")
        if tag in ("Bal", "Ntry") and path == f"{_STMT}/{tag}":
            self._waiting.append((tag, self._parts.pop(tag)))
            if len(self._rows_and_waiting()) > MAX_LINES:
                raise WrongInput(self._where, f"at most {MAX_LINES} lines")
        if path == _STMT:
            self._close(self._parts.pop("Stmt"))

    def _rows_and_waiting(self) -> range:
        return range(len(self.rows) + len(self._waiting))

    def _close(self, stmt: dict[str, str]) -> None:
        """The statement's parts become rows, now that its loan is known."""
        if "loan_no" not in stmt:
            raise WrongInput(f"{stmt['where']}, Stmt", "Acct/Id/Othr/Id, the loan's number")
        loan_no = "" if stmt["loan_no"] == self._book else stmt["loan_no"]
        for tag, part in self._waiting:
            self.rows.append(_row(tag, part, loan_no))
        self._waiting = []
        if "status" in stmt:
            self.rows.append(_status(stmt, loan_no))


def _row(tag: str, part: dict[str, str], loan_no: str) -> Row:
    where = f"{part['where']}, {tag}"
    cells = dict.fromkeys(COLUMNS, "") | {name: part[name] for name in part.keys() & set(COLUMNS)}
    cells |= {"line": "balance" if tag == "Bal" else "movement", "loan_no": loan_no}
    sign = part.get("sign")
    if sign not in _SIGNS:
        raise WrongInput(f"{where}, CdtDbtInd", "DBIT or CRDT")
    if cells["amount"].startswith("-"):
        raise WrongInput(f"{where}, Amt", "no sign: CdtDbtInd says it")
    # A claim is a debit in the bank's own books; cash that comes in is a credit to its account.
    negative = (sign == "CRDT") == (tag == "Bal")
    if negative and cells["amount"].strip("0."):
        cells["amount"] = f"-{cells['amount']}"
    return Row(where, cells)


def _status(stmt: dict[str, str], loan_no: str) -> Row:
    where = f"{stmt['where']}, AddtlStmtInf"
    said = [pair.partition("=") for pair in stmt["status"].split(";")]
    if [name for name, _, _ in said] != ["days_overdue", "risk_class"]:
        raise WrongInput(where, '"days_overdue=19;risk_class=special_mention"')
    cells = dict.fromkeys(COLUMNS, "") | {"line": "status", "loan_no": loan_no}
    return Row(where, cells | {name: value for name, _, value in said})


# ---- writing


def write(rows: Iterable[Mapping[str, str]], *, book: str, on: str) -> bytes:
    """The rows as one document, a statement a loan; the same rows give the same bytes.

    on  the day of the statement, as "2024-03-01"
    """
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<Document xmlns={quoteattr(WRITTEN)}>",
        "<BkToCstmrStmt>",
        f"<GrpHdr><MsgId>{escape(book)}-{on}</MsgId>{_made(on)}</GrpHdr>",
    ]
    ordered = sorted(rows, key=lambda row: row["loan_no"])
    for loan_no, lines in groupby(ordered, key=lambda row: row["loan_no"]):
        out += _stmt(loan_no or book, list(lines), on)
    out += ["</BkToCstmrStmt>", "</Document>", ""]
    return "\n".join(out).encode("utf-8")


def _made(on: str) -> str:
    return f"<CreDtTm>{on}T00:00:00</CreDtTm>"


def _stmt(number: str, rows: list[Mapping[str, str]], on: str) -> Iterator[str]:
    name = escape(number)
    yield f"<Stmt><Id>{name}</Id>{_made(on)}<Acct><Id><Othr><Id>{name}</Id></Othr></Id></Acct>"
    for row in (row for row in rows if row["line"] == "balance"):
        yield (
            f"<Bal><Tp><CdOrPrtry><Prtry>{escape(row['account'])}</Prtry></CdOrPrtry></Tp>"
            f"{_amount(row, positive='DBIT', negative='CRDT')}<Dt><Dt>{on}</Dt></Dt></Bal>"
        )
    for row in (row for row in rows if row["line"] == "movement"):
        yield (
            f"<Ntry><NtryRef>{escape(row['entry'])}</NtryRef>"
            f"{_amount(row, positive='CRDT', negative='DBIT')}<Sts><Cd>BOOK</Cd></Sts>"
            f"<BookgDt><Dt>{row['booking_date']}</Dt></BookgDt>"
            f"<ValDt><Dt>{row['value_date']}</Dt></ValDt>"
            f"<BkTxCd><Prtry><Cd>{escape(row['account'])}</Cd></Prtry></BkTxCd>"
            f"{_reference(row['reference'])}</Ntry>"
        )
    for row in (row for row in rows if row["line"] == "status"):
        said = f"days_overdue={row['days_overdue']};risk_class={row['risk_class']}"
        yield f"<AddtlStmtInf>{said}</AddtlStmtInf>"
    yield "</Stmt>"


def _amount(row: Mapping[str, str], *, positive: str, negative: str) -> str:
    sign = negative if row["amount"].startswith("-") else positive
    digits = row["amount"].removeprefix("-")
    return f"<Amt Ccy={quoteattr(row['currency'])}>{digits}</Amt><CdtDbtInd>{sign}</CdtDbtInd>"


def _reference(reference: str) -> str:
    if not reference:
        return ""
    end_to_end = f"<EndToEndId>{escape(reference)}</EndToEndId>"
    return f"<NtryDtls><TxDtls><Refs>{end_to_end}</Refs></TxDtls></NtryDtls>"
