"""The ledger's questions answered the slow, plain way: comprehensions over every entry ever made.

`History` records a random life of several books on the real ledger and notes down, for itself and
in plain dicts, each entry it recorded, how long each log was when a day closed, and how far each
book was published when the top log had which size. The functions below answer from those notes
alone.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from api.database import SERVICE, Database
from ledger import publishing, service
from ledger.entries import Account, Entry, debt, merged
from ledger.leaves import Actor, Leaf
from ledger.signatures import KeyInMemory

Row = dict[str, Any]
Filters = Mapping[str, Any]

START = date(2024, 3, 1)
BOOKS = ("fac-a", "fac-b", "neg-c")
PARTIES = ("alder", "birch", "cedar", "firm")
CODES = ("cash", "fees", "suspense")
REFS = ("", "d1", "d2")
CURRENCIES = ("CNY", "USD")
FACTS = ("OwnPosting", "Accrued", "Reversed")
PEOPLE = (("alder", "ann"), ("alder", "bo"), ("birch", "bo"), ("liandai", "clock"))
DOCUMENTS = ("doc-1", "doc-2", "doc-3")
SIGNER = KeyInMemory(bytes(range(32)))

TESTS: Mapping[str, Callable[[Row, Any], bool]] = {
    **{
        name: lambda row, value, name=name: row[name] == value
        for name in (
            *("party", "code", "counterparty", "ref", "currency", "kind", "record"),
            *("institution", "person"),
        )
    },
    "fact": lambda row, value: row["subject"].get("type") == value,
    "reference": lambda row, value: row["subject"].get("reference") == value,
    "source": lambda row, value: (
        value
        in (
            *(
                row["subject"].get(name)
                for name in ("external_reference", "reference", "document_sha256", "contract_no")
            ),
            *(
                row["subject"].get(name)
                for name in ("loan_no", "term_sheet_hash", "cooperation_agreement")
            ),
            *row["subject"].get("evidence_sha256", ()),
        )
    ),
    "side": lambda row, value: (row["amount_minor"] > 0) == (value == "debit"),
    "amount_from": lambda row, value: abs(row["amount_minor"]) >= value,
    "amount_until": lambda row, value: abs(row["amount_minor"]) <= value,
    "value_from": lambda row, value: row["value_date"] >= value,
    "value_until": lambda row, value: row["value_date"] <= value,
    "booking_from": lambda row, value: row["booking_date"] >= value,
    "booking_until": lambda row, value: row["booking_date"] <= value,
}
"""Whether an entry passes a filter, each in words of its own."""


class History:
    """What was recorded, as noted down by whoever recorded it."""

    def __init__(
        self, seed: int, *, installation: str = "liandai.test", signer: KeyInMemory = SIGNER
    ) -> None:
        self.random = Random(seed)
        self.installation, self.signer = installation, signer
        self.rows: dict[str, list[Row]] = {book: [] for book in BOOKS}
        self.sizes: dict[str, int] = dict.fromkeys(BOOKS, 0)
        self.published: dict[str, int] = dict.fromkeys(BOOKS, 0)
        self.closed: dict[str, dict[date, int]] = {book: {} for book in BOOKS}
        self.tops: dict[int, dict[str, int]] = {}
        self.day = START
        self.reserved: dict[str, list[Row]] = {book: [] for book in BOOKS}
        self._ids: dict[str, list[str]] = {book: [] for book in BOOKS}

    async def found(self, database: Database) -> None:
        """The first day is open, and the logs every installation has."""
        async with database.transaction(SERVICE) as conn:
            await service.open_business_day(conn, day=START)
            for book in ("top", "registry"):
                await service.open_book(
                    conn,
                    book=book,
                    purpose=book,
                    lead=None,
                    members=(),
                    salt=secrets.token_bytes(32),
                )

    async def open(self, database: Database) -> None:
        """The books are there, empty."""
        async with database.transaction(SERVICE) as conn:
            for book in BOOKS:
                await service.open_book(
                    conn,
                    book=book,
                    purpose="facility",
                    lead="alder",
                    members=("birch", "cedar", "firm"),
                    salt=secrets.token_bytes(32),
                )

    async def grow(self, database: Database, leaves: int) -> None:
        """So many leaves more in random books, days closed and heads published in between."""
        for number in range(leaves):
            await self._record(database)
            if self.random.random() < 0.08:
                await self._close(database)
            if self.random.random() < 0.2 or number == leaves - 1:
                await self.publish(database)

    async def publish(self, database: Database) -> None:
        async with database.transaction(SERVICE) as conn:
            heads = await publishing.publish(
                conn,
                installation=self.installation,
                signer=self.signer,
                now=datetime.now(UTC),
            )
        for head in heads:
            if head.book in self.published:
                self.published[head.book] = head.size
            if head.book == "top":
                self.tops[head.size] = dict(self.published)

    async def _close(self, database: Database) -> None:
        following = self.day + timedelta(days=self.random.choice((1, 1, 3)))
        async with database.transaction(SERVICE) as conn:
            for book in ("registry", *BOOKS):
                sealed = await service.close_day(
                    conn, book=book, next_day=following, recorded_at=datetime.now(UTC)
                )
                if book in BOOKS:
                    self.sizes[book] += sealed is not None
                    self.closed[book][self.day] = self.sizes[book]
            await service.open_business_day(conn, day=following)
        self.day = following

    async def _record(self, database: Database) -> None:
        book = self.random.choice(BOOKS)
        standing = [row for row in self.reserved[book] if row["resolved_by"] is None]
        entries, kind, of, subject = self._entries(), "transaction", None, self._subject()
        if not entries:
            kind = "record"
        elif self.random.random() < 0.2 and len(merged(entries)) > 1:
            kind, entries = "pending", merged(entries)
        elif standing and self.random.random() < 0.4:
            of = self.random.choice(standing)["record"]
            kind, entries = "void", ()
            subject = {"type": "Voided", "reason": "asked"}
            if self.random.random() < 0.6:
                kind, subject = "posting", self._subject()
                entries = tuple(row["entry"] for row in standing if row["record"] == of)
        await self._append(database, book, kind=kind, entries=entries, of=of, subject=subject)

    def _subject(self) -> Row:
        choose = self.random.choice
        subject: Row = {"type": choose(FACTS)}
        for name in ("reference", "external_reference", "contract_no", "loan_no"):
            if self.random.random() < 0.3:
                subject[name] = choose(DOCUMENTS)
        if self.random.random() < 0.3:
            subject["evidence_sha256"] = self.random.sample(DOCUMENTS, 2)
        return subject

    async def _append(
        self,
        database: Database,
        book: str,
        *,
        kind: str,
        entries: tuple[Entry, ...],
        of: str | None,
        subject: Row,
    ) -> None:
        choose, earlier = self.random.choice, self._ids[book]
        institution, person = choose(PEOPLE)
        corrected = choose(earlier) if earlier and self.random.random() < 0.2 else None
        leaf = Leaf(
            book=book,
            kind=kind,
            leaf_id=f"{institution}:{len(earlier)}",
            subject=subject,
            entries=entries,
            value_date=self.day + timedelta(days=self.random.randint(-9, 0)),
            booking_date=self.day,
            recorded_at=datetime.now(UTC),
            actor=Actor(institution=institution, user=person),
            corrects=corrected if kind in ("transaction", "record") else None,
            of=of,
            expires_at=None,
        )
        async with database.transaction(SERVICE) as conn:
            (position,) = await service.append(conn, [leaf])
        assert position == self.sizes[book]
        self.sizes[book] += 1
        earlier.append(leaf.leaf_id)
        for row in self.reserved[book]:
            if of is not None and row["record"] == of:
                row["resolved_by"] = position
        rows = [
            {
                "book": book,
                "position": position,
                "line": line,
                **{name: getattr(one.account, name) for name in one.account.__struct_fields__},
                "amount_minor": one.amount_minor,
                "value_date": leaf.value_date,
                "booking_date": leaf.booking_date,
                "record": leaf.leaf_id,
                "kind": leaf.kind,
                "subject": subject,
                "institution": institution,
                "person": person,
                "corrects": leaf.corrects,
                "of": of,
            }
            for line, one in enumerate(entries)
        ]
        if kind == "pending":
            self.reserved[book] += [
                {**row, "entry": one, "resolved_by": None}
                for row, one in zip(rows, entries, strict=True)
            ]
        else:
            self.rows[book] += rows

    def _entries(self) -> tuple[Entry, ...]:
        if self.random.random() < 0.1:
            return ()
        choose, found = self.random.choice, []
        for _ in range(self.random.randint(1, 3)):
            amount = self.random.choice((1, -1)) * self.random.choice((1, 50, 333, 10_000, 2**40))
            party, currency, ref = choose(PARTIES), choose(CURRENCIES), choose(REFS)
            other = choose([one for one in PARTIES if one != party])
            if self.random.random() < 0.5:
                found += debt(
                    code="due.principal",
                    creditor=party,
                    debtor=other,
                    ref=ref,
                    currency=currency,
                    amount_minor=amount,
                )
                found += [
                    Entry(Account(party, "cash", "", "", currency), -amount),
                    Entry(Account(other, "cash", "", "", currency), amount),
                ]
            else:
                one, two = self.random.sample(CODES, 2)
                found += [
                    Entry(Account(party, one, "", ref, currency), amount),
                    Entry(Account(party, two, "", "", currency), -amount),
                ]
        return tuple(found)


# ---- answers


def ends_before_it_begins(filters: Filters) -> str | None:
    """The name of the bound below its other one, if any: a question that is none."""
    for what in ("amount", "value", "booking"):
        bounds = [
            filters[f"{what}_{end}"] for end in ("from", "until") if f"{what}_{end}" in filters
        ]
        if bounds != sorted(bounds):
            return f"{what}_until"
    return None


def passing(rows: Sequence[Row], filters: Filters, *, below: int) -> list[Row]:
    """The entries below that position that pass every filter, in log order."""
    return [
        row
        for row in rows
        if row["position"] < below
        and all(TESTS[name](row, value) for name, value in filters.items())
    ]


def sums(rows: Sequence[Row]) -> list[tuple[str, int, int, int, int]]:
    """(currency, entries, debits, credits, net), by currency."""
    return [
        (
            currency,
            len(amounts),
            sum(amount for amount in amounts if amount > 0),
            sum(amount for amount in amounts if amount < 0),
            sum(amounts),
        )
        for currency in CURRENCIES
        if (amounts := [row["amount_minor"] for row in rows if row["currency"] == currency])
    ]


def reserved(rows: Sequence[Row], *, below: int) -> list[Row]:
    """Of what pendings reserve, what they still did at that log size."""
    return [row for row in rows if row["resolved_by"] is None or row["resolved_by"] >= below]


def trial_balance(posted: Sequence[Row], pending: Sequence[Row]) -> list[tuple[Any, ...]]:
    """(account, debits, credits, balance, pending debits, pending credits), in account order."""
    one = {account: amounts for account, *amounts in balances(posted)}
    two = {account: amounts for account, *amounts in balances(pending)}
    return [
        (account, *one.get(account, (0, 0, 0)), *two.get(account, (0, 0, 0))[:2])
        for account in sorted({*one, *two})
    ]


def account_of(row: Any) -> tuple[str, ...]:
    names = ("party", "code", "counterparty", "ref", "currency")
    if isinstance(row, dict):
        return tuple(row[name] for name in names)
    return tuple(getattr(row, name) for name in names)


def balances(rows: Sequence[Row]) -> list[tuple[tuple[str, ...], int, int, int]]:
    """(account, debits, credits, balance) of every account touched, in account order."""
    found: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in rows:
        found[account_of(row)].append(row["amount_minor"])
    return [
        (
            account,
            sum(amount for amount in found[account] if amount > 0),
            sum(amount for amount in found[account] if amount < 0),
            sum(found[account]),
        )
        for account in sorted(found)
    ]


def statement(
    rows: Sequence[Row], *, by: str, first: date | None, last: date | None
) -> tuple[list[tuple[tuple[str, ...], int, int]], list[tuple[int, int, int]]]:
    """([(account, opening, closing)], [(position, line, balance after)]) over a period."""
    dated = f"{by}_date"
    until = [row for row in rows if last is None or row[dated] <= last]
    before = [row for row in until if first is not None and row[dated] < first]
    within = [row for row in until if first is None or row[dated] >= first]
    if by == "value":
        within = sorted(within, key=lambda row: (row["value_date"], row["position"], row["line"]))
    accounts = sorted({account_of(row) for row in until})
    balance = dict.fromkeys(accounts, 0)
    for row in before:
        balance[account_of(row)] += row["amount_minor"]
    opening, lines = dict(balance), []
    for row in within:
        balance[account_of(row)] += row["amount_minor"]
        lines.append((row["position"], row["line"], balance[account_of(row)]))
    return [(account, opening[account], balance[account]) for account in accounts], lines
