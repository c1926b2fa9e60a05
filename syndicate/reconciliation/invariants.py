"""Do two persons stand behind what banks said of the record, and is it what the books committed to?

    I16  maker and checker differ: breaks settled, statements agreed to
    I17  an outcome is the one its leaf committed to, and so is the one its bank signed

No status written down is believed: the steps, the documents and the leaves are read again.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import service as ledger
from ledger.documents import read_document
from ledger.errors import WrongInput
from ledger.holding import Seen
from ledger.service import Recorded
from ledger.store import Found
from syndicate.reconciliation import outcome, store
from syndicate.reconciliation.outcome import Document

RECEIVED, ATTESTED = "StatementReceived", "ReconciliationAttested"


async def two_persons(conn: AsyncConnection, seen: Seen) -> None:
    """Every approval of a break, and every agreement to the whole, is counted and looked at."""
    for row in await store.every_approval(conn):
        seen.looked_at += 1
        if row.maker == row.checker:
            seen.offence(f"{row.book_id} {row.reconciliation}: {row.maker} is also the checker")
    for row in await store.everything(conn):
        if row.attested_by is not None:
            seen.looked_at += 1
            if row.attested_by == row.submitted_by:
                seen.offence(
                    f"{row.book_id} {row.reconciliation}: {row.attested_by} agreed to it alone"
                )


async def as_committed(conn: AsyncConnection, seen: Seen) -> None:
    """Every statement is counted: its leaf, its outcome's bytes and its signature agree."""
    by_book: defaultdict[str, list[Found]] = defaultdict(list)
    for row in await store.everything(conn):
        by_book[row.book_id].append(row)
    for book, rows in by_book.items():
        leaves = await _leaves(conn, book)
        for row in rows:
            seen.looked_at += 1
            flaw = _flaw(row, leaves.pop((RECEIVED, row.reconciliation), None))
            signed = leaves.pop((ATTESTED, row.reconciliation), None)
            flaw = flaw or _flaw_of_signature(row, signed)
            if flaw is not None:
                seen.offence(f"{book} {row.reconciliation}: {flaw}")
        for kind, name in leaves:
            seen.offence(f"{book} {name}: a leaf {kind} stands without its statement")


async def _leaves(conn: AsyncConnection, book: str) -> dict[tuple[str, str], Recorded]:
    found = {}
    for item in await ledger.facts(conn, book=book, kinds=("record",)):
        if item.subject.get("type") in (RECEIVED, ATTESTED):
            found[item.subject["type"], item.subject["reconciliation"]] = item
    return found


def _flaw(row: Found, leaf: Recorded | None) -> str | None:
    if leaf is None:
        return "no leaf says that it was received"
    if leaf.subject["outcome"] != outcome.committed(row.document, salt=row.salt):
        return f"another outcome than leaf {leaf.position} committed to"
    try:
        document = read_document(row.document, Document)
    except WrongInput as error:
        return f"its outcome cannot be read ({error})"
    said = (document.bank, document.on, document.matched, dict(document.breaks))
    if said != (row.bank, row.on_day, row.matched, row.breaks):
        return "its counts are not those of its outcome"
    return None


def _flaw_of_signature(row: Found, leaf: Recorded | None) -> str | None:
    if (leaf is None) != (row.position is None):
        return "agreed to in the book or in its row alone"
    if leaf is None:
        return None
    body: dict[str, Any] = leaf.subject["signed"]["body"]
    if leaf.position != row.position or body["reconciliation"] != row.reconciliation:
        return f"agreed to in another leaf than {row.position}"
    if body["outcome"] != outcome.committed(row.document, salt=row.salt):
        return f"its bank signed another outcome, in leaf {leaf.position}"
    return None
