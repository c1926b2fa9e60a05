"""Every question of an auditor against the naive model: all pairs of filters, random positions.

A random history of several books, parties and corrections, with value dates before and after their
booking, is recorded on the real ledger. Then each pair of filters is asked with random values at
random positions, and the answer must be the model's to the last entry, sum and balance.
"""

import itertools
import os
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import Database, Standing
from ledger import house_moves, known, listings, service, statements
from ledger.documents import convert
from ledger.errors import WrongInput
from ledger.statements import Period
from ledger.wanted import FILTERS, read_wanted
from tests.house import NAME, House, key_of
from tests.ledger import naive_reads as naive
from tests.ledger.naive_reads import BOOKS, START, TESTS, History

CAMPAIGN = os.environ.get("LIANDAI_CAMPAIGN") == "1"
LEAVES = 300 if CAMPAIGN else 150
QUERIES = 10_000 if CAMPAIGN else 1_000
AUDITOR = Standing("liandai_auditor", "auditor")
PAIRS = list(itertools.combinations(sorted(TESTS), 2))


@pytest.fixture
async def history(database: Database) -> History:
    history = History(seed=20240301)
    await history.found(database)
    await history.open(database)
    await history.grow(database, LEAVES)
    return history


def test_the_model_knows_every_filter_there_is() -> None:
    assert set(TESTS) == set(FILTERS)


class Asking:
    """Questions drawn at random, each asked of the ledger and of the model."""

    def __init__(self, history: History, seed: int) -> None:
        self.history = history
        self.random = Random(seed)
        self.asked: Counter[str] = Counter()
        self.lines = 0
        self.differences: list[Any] = []

    def value_of(self, name: str, row: naive.Row) -> Any:
        """A value for the filter, mostly one that the row passes."""
        choose = self.random.choice
        if self.random.random() < 0.2:
            row = choose(self.history.rows[choose(BOOKS)])
        if name in row and name != "subject":
            return row[name]
        subject = row["subject"]
        match name:
            case "fact":
                return subject["type"]
            case "reference":
                return subject.get("reference", "doc-2")
            case "source":
                return choose((*naive.DOCUMENTS, subject.get("loan_no", "doc-9")))
            case "side":
                return choose(("debit", "credit"))
            case "amount_from" | "amount_until":
                return abs(row["amount_minor"]) + choose((-1, 0, 1))
            case _:
                return row[name.replace("from", "date").replace("until", "date")] + timedelta(
                    days=choose((-1, 0, 0, 1))
                )

    def filters(self, pair: tuple[str, ...]) -> dict[str, Any]:
        row = self.random.choice(self.history.rows[self.random.choice(BOOKS)])
        return {name: self.value_of(name, row) for name in pair}

    def known_in(self, book: str) -> tuple[dict[str, Any], int]:
        """(how to ask for a position, the size it is)."""
        history, published = self.history, self.history.published[book]
        match self.random.randrange(3):
            case 0:
                return {"known_size": None, "known_on": None}, published
            case 1:
                size = self.random.randint(0, published)
                return {"known_size": size, "known_on": None}, size
            case _:
                day = self.random.choice(list(history.closed[book]))
                if self.random.random() < 0.2:
                    day -= timedelta(days=1)
                return {"known_size": None, "known_on": day}, self.closed(book, day)

    def closed(self, book: str, day: Any) -> int:
        sizes = [size for closed, size in self.history.closed[book].items() if closed <= day]
        return max(sizes, default=0)

    def judge(self, what: str, question: Any, found: Any, expected: Any) -> None:
        self.asked[what] += 1
        if found != expected:
            self.differences.append((what, question, found, expected))

    def is_none(self, filters: dict[str, Any]) -> bool:
        """Whether the model takes the filters for no question; then the ledger refuses them."""
        place = naive.ends_before_it_begins(filters)
        if place is not None:
            try:
                refused = read_wanted(filters)
            except WrongInput as error:
                refused = error.place
            self.judge("refused", filters, refused, place)
        return place is not None

    # ---- the questions

    async def entries(self, conn: AsyncConnection, pair: tuple[str, ...]) -> None:
        book, filters = self.random.choice(BOOKS), self.filters(pair)
        if self.is_none(filters):
            return
        asked, size = self.known_in(book)
        expected = naive.passing(self.history.rows[book], filters, below=size)
        cursor, found, limit = None, [], self.random.choice((1, 7, *[500] * 8))
        while True:
            page = await listings.entries(
                conn,
                book=book,
                filters=read_wanted(filters),
                **asked,
                cursor=cursor,
                limit=limit,
                proof=False,
            )
            found += page.entries
            cursor = page.next
            if cursor is None or len(found) >= 4 * limit:
                break
        self.lines += len(found)
        shown = expected if cursor is None else expected[: len(found)]
        self.judge(
            "entries",
            (book, filters, asked),
            (page.known_size, [plain(line) for line in found], sums_of(page.sums)),
            (size, [plain(row) for row in shown], naive.sums(expected)),
        )

    async def joined(self, conn: AsyncConnection, pair: tuple[str, ...]) -> None:
        books = tuple(self.random.sample(BOOKS, self.random.randint(0, 2)))
        filters, asked, sizes = self.filters(pair), {}, dict(self.history.published)
        if self.is_none(filters):
            return
        if self.random.random() < 0.5:
            top = self.random.randint(0, max(self.history.tops))
            asked["known_top"] = top
            tops = [size for size in self.history.tops if size <= top]
            sizes = self.history.tops[max(tops)] if tops else {}
            if top not in self.history.tops:  # between two publications some heads are in already
                sizes = await self.heads_below(conn, top)
        elif self.random.random() < 0.5:
            day = self.random.choice(list(self.history.closed[BOOKS[0]]))
            asked["known_on"] = day
            sizes = {book: self.closed(book, day) for book in BOOKS}
        wanted = sorted(books or BOOKS)
        expected = [
            row
            for book in wanted
            for row in naive.passing(self.history.rows[book], filters, below=sizes.get(book, 0))
        ]
        cursor, found, limit = None, [], self.random.choice((3, *[500] * 6))
        while True:
            page = await listings.joined(
                conn,
                books=books,
                filters=read_wanted(filters),
                known_top=asked.get("known_top"),
                known_on=asked.get("known_on"),
                cursor=cursor,
                limit=limit,
                proof=False,
            )
            found += page.entries
            cursor = page.next
            if cursor is None or len(found) >= 4 * limit:
                break
        self.lines += len(found)
        shown = expected if cursor is None else expected[: len(found)]
        self.judge(
            "joined",
            (books, filters, asked),
            ([plain(line) for line in found], sums_of(page.sums)),
            ([plain(row) for row in shown], naive.sums(expected)),
        )

    async def heads_below(self, conn: AsyncConnection, top: int) -> dict[str, int]:
        """Read from the top log itself, leaf by leaf."""
        heads = await service.facts(conn, book="top", kinds=("head",))
        return {head.subject["book"]: head.subject["size"] for head in heads if head.position < top}

    async def trial(self, conn: AsyncConnection, pair: tuple[str, ...]) -> None:
        book, filters = self.random.choice(BOOKS), self.filters(pair)
        if self.is_none(filters):
            return
        asked, size = self.known_in(book)
        at = await known.in_book(conn, book=book, **asked)
        found = await statements.trial_balance(conn, at=at, filters=read_wanted(filters))
        expected = self.trial_of(book, filters, size)
        self.lines += len(found.lines)
        self.judge("trial balance", (book, filters, asked), trial_lines(found), expected)

    def trial_of(self, book: str, filters: dict[str, Any], size: int) -> Any:
        """The model's trial balance, posted and pending."""
        standing = naive.reserved(self.history.reserved[book], below=size)
        return naive.trial_balance(
            naive.passing(self.history.rows[book], filters, below=size),
            naive.passing(standing, filters, below=size),
        )

    async def pendings(self, conn: AsyncConnection, _: tuple[str, ...]) -> None:
        book, limit = self.random.choice(BOOKS), self.random.choice((1, 3, 500))
        size = self.random.randint(0, self.history.published[book])
        found: list[Any] = []
        while True:
            page = await house_moves.standing_pendings(
                conn, book=book, size=size, after=found[-1][0] if found else -1, limit=limit
            )
            found += map(pending_of, page)
            if len(page) < limit:
                break
        self.lines += len(found)
        self.judge("pendings", (book, size, limit), found, self.pendings_of(book, size))

    def pendings_of(self, book: str, size: int) -> list[Any]:
        """The model's: position, record and entries of each that stood then."""
        rows = [row for row in self.history.reserved[book] if row["position"] < size]
        stood: dict[Any, list[Any]] = {}
        for row in naive.reserved(rows, below=size):
            entry = (naive.account_of(row), row["amount_minor"])
            stood.setdefault((row["position"], row["record"]), []).append(entry)
        return [(*key, lines) for key, lines in sorted(stood.items())]

    async def statement(self, conn: AsyncConnection, pair: tuple[str, ...]) -> None:
        parts = ("party", "code", "counterparty", "ref", "currency")
        names = tuple(name for name in pair if name in parts) or (self.random.choice(parts),)
        book, filters = self.random.choice(BOOKS), self.filters(names)
        asked, size = self.known_in(book)
        days = sorted(START + timedelta(days=self.random.randint(-9, 30)) for _ in range(2))
        first = days[0] if self.random.random() < 0.8 else None
        last = days[1] if self.random.random() < 0.8 else None
        by = self.random.choice(("booking", "value"))
        expected = naive.statement(
            naive.passing(self.history.rows[book], filters, below=size),
            by=by,
            first=first,
            last=last,
        )
        cursor, lines, limit = None, [], self.random.choice((20, *[500] * 9))
        while True:
            page = await statements.statement(
                conn,
                book=book,
                account=read_wanted(filters),
                period=Period(by=by, first_day=first, last_day=last),
                **asked,
                cursor=cursor,
                limit=limit,
            )
            lines += page.lines
            cursor = page.next
            if cursor is None or len(lines) >= 4 * limit:
                break
        self.lines += len(lines)
        accounts = [
            (naive.account_of(one), one.opening_minor, one.closing_minor) for one in page.accounts
        ]
        if cursor is not None:
            expected = (expected[0], expected[1][: len(lines)])
        found = (accounts, [(one.position, one.line, one.balance_minor) for one in lines])
        self.judge("statement", (book, filters, by, first, last, asked), found, expected)


def pending_of(row: Any) -> tuple[Any, ...]:
    lines = [(naive.account_of(line), line["amount_minor"]) for line in row.lines]
    return (row.position, row.leaf_id, lines)


def plain(row: Any) -> tuple[Any, ...]:
    names = ("book", "position", "line", "amount_minor", "value_date", "booking_date", "record")
    rest = ("kind", "corrects", "of")
    if isinstance(row, dict):
        own = (row["subject"]["type"], row["institution"], row["person"])
        return (*(row[name] for name in (*names, *rest)), *naive.account_of(row), *own)
    own = (row.fact, row.actor.institution, row.actor.user)
    return (*(getattr(row, name) for name in (*names, *rest)), *naive.account_of(row), *own)


def trial_lines(found: statements.TrialBalance) -> list[tuple[Any, ...]]:
    return [
        (
            naive.account_of(one),
            one.debits_minor,
            one.credits_minor,
            one.balance_minor,
            one.pending_debits_minor,
            one.pending_credits_minor,
        )
        for one in found.lines
    ]


def sums_of(found: Any) -> list[tuple[Any, ...]]:
    return [
        (one.currency, one.entries, one.debits_minor, one.credits_minor, one.net_minor)
        for one in found
    ]


@pytest.mark.timeout(3_600 if CAMPAIGN else 600)
async def test_every_answer_is_the_naive_models(database: Database, history: History) -> None:
    asking = Asking(history, seed=7)
    kinds = (asking.entries, asking.joined, asking.trial, asking.statement, asking.pendings)
    number = 0
    while sum(asking.asked.values()) < QUERIES:
        async with database.transaction(AUDITOR, read_only=True) as conn:
            for pair in PAIRS:
                await kinds[number % len(kinds)](conn, pair)
                number += 1
        number += 1  # the next round asks each pair another kind of question
    entries = sum(map(len, history.rows.values()))
    print(
        f"\n{sum(asking.asked.values())} queries ({dict(asking.asked)}) by {len(PAIRS)} pairs of "
        f"filters over {entries} entries, {asking.lines} lines compared, "
        f"{len(asking.differences)} differences"
    )
    assert not asking.differences, asking.differences[0]
    assert asking.asked["refused"] > 0


# ---- the same over HTTP


async def test_a_sample_over_http_is_the_naive_models_too(house: House) -> None:
    """Entries, trial balances and statements as JSON, filters as the text of a query."""
    history = History(seed=20240302, installation=NAME, signer=key_of("log"))
    database = house.installation.database
    await history.open(database)
    await history.grow(database, 60)
    asking, auditor, compared = Asking(history, seed=8), house["auditor-auditor"], 0
    for pair in asking.random.sample(PAIRS, len(PAIRS) if CAMPAIGN else 60):
        book, filters = asking.random.choice(BOOKS), asking.filters(pair)
        position, size = asking.known_in(book)
        asked = {name: value for name, value in position.items() if value is not None}
        if (place := naive.ends_before_it_begins(filters)) is not None:
            for path in (f"/v1/books/{book}/entries", f"/v1/books/{book}/trial-balance"):
                refused = await auditor.get(path, **filters, **asked, expect=422)
                assert refused["place"] == place
            continue
        expected = naive.passing(history.rows[book], filters, below=size)
        page = await auditor.get(f"/v1/books/{book}/entries", **filters, **asked, limit=500)
        found = convert(page, listings.Entries)
        assert [plain(line) for line in found.entries] == [plain(row) for row in expected], pair
        assert sums_of(found.sums) == naive.sums(expected), pair
        answer = await auditor.get(f"/v1/books/{book}/trial-balance", **filters, **asked)
        trial = convert(answer, statements.TrialBalance)
        assert trial_lines(trial) == asking.trial_of(book, filters, size), pair
        joined = await auditor.get("/v1/entries", books=book, **filters, limit=500)
        everything = naive.passing(history.rows[book], filters, below=history.published[book])
        assert sums_of(convert(joined, listings.JoinedEntries).sums) == naive.sums(everything)
        compared += 3
    sizes = {book: range(history.published[book] + 1) for book in BOOKS}
    for book, size in ((name, size) for name, found in sizes.items() for size in found):
        listed = await auditor.get(f"/v1/books/{book}/pendings", known_size=size, limit=500)
        assert listed["known_size"] == size
        assert [
            (
                one["position"],
                one["pending"],
                [(naive.account_of(line), line["amount_minor"]) for line in one["entries"]],
            )
            for one in listed["pendings"]
        ] == asking.pendings_of(book, size)
        compared += 1
    print(f"\n{compared} answers over HTTP, 0 differences")
