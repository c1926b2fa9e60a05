"""An auditor who reads a bank's books on and on, and holds them to what the bank says it sent."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from api.client import Client
from tests.stories.crashing import Oracle
from tests.stories.own_traffic import Meant, MeantLeaf

ENDED = "expired:"
"""What the service's own void of a pending whose end is reached is named by, before its id."""


class Watch:
    """Everything in these books since they were opened, as far as it has been read.

    ended  how many voids of the service's own were found
    """

    def __init__(self, auditor: Client, oracle: Oracle, books: Sequence[str]) -> None:
        self._auditor, self._oracle, self._books = auditor, oracle, books
        self._meant = Meant()
        self._taken = 0
        self._found: dict[str, dict[str, MeantLeaf]] = {book: {} for book in books}

    @property
    def ended(self) -> int:
        return sum(one.startswith(ENDED) for found in self._found.values() for one in found)

    def found(self, book: str) -> dict[str, MeantLeaf]:
        """What was found there, by record; without amounts."""
        return self._found[book]

    def posted(self, book: str) -> dict[str, int]:
        """What must be posted there, by code, without zeros."""
        return {code: amount for code, amount in self._meant.balances[book].items() if amount}

    def until_all_ended(self) -> None:
        """Returns once no pending that ends by itself stands any more."""
        self._take()
        deadline = time.monotonic() + 30
        while any(self._standing(book) & self._meant.passing for book in self._books):
            assert time.monotonic() < deadline, "nobody voids what is over"
            time.sleep(0.05)

    def check(self) -> None:
        """Nothing acknowledged is lost, nothing stands twice, nobody else's work is there.

        Everything meant is acknowledged by now, and the same each time it was.
        """
        assert self._oracle.unknown() == []
        assert self._oracle.differing == []
        self._take()
        for book in self._books:
            standing, accounts = self._consistently(book)
            meant, found = self._meant.leaves[book], self._found[book]
            lost = meant.keys() - found.keys()
            assert not lost, f"lost in {book}: {sorted(lost)}"
            ended = {one.removeprefix(ENDED) for one in found if one.startswith(ENDED)}
            assert ended <= self._meant.standing[book] & self._meant.passing
            assert {record: leaf for record, leaf in found.items() if record in meant} == {
                record: leaf._replace(amounts={}) for record, leaf in meant.items()
            }
            assert len(found) == len(meant) + len(ended), f"nobody's in {book}"
            stand = self._meant.standing[book] - ended
            assert standing == stand
            assert accounts == self._accounts_meant(book, stand)

    def _take(self) -> None:
        intents = list(self._oracle.intents.values())
        for intent in intents[self._taken :]:
            if intent.path.startswith("/v1/books/"):
                self._meant.take(intent)
        self._taken = len(intents)

    def _consistently(self, book: str) -> tuple[set[str], dict[str, tuple[int, int, int]]]:
        """What stands there, and its accounts, when the last record read was the last there was.

        Commands have ceased, but what is over ends whenever the service comes to it.
        """
        self._read_on(book)
        while True:
            standing, accounts = self._standing(book), self._accounts(book)
            if not self._read_on(book):
                return standing, accounts

    def _read_on(self, book: str) -> int:
        """How many records are new; each has a position of its own and is what was answered."""
        found = self._found[book]
        already = len(found)
        path = f"/v1/books/{book}/records"
        for record in paged(self._auditor, path, "records", after=already - 1):
            assert record["position"] == len(found)
            name = record["record"]
            assert name not in found, f"{name} stands twice in {book}"
            found[name] = MeantLeaf(record["kind"], record["of"], {})
            if not name.startswith(ENDED):
                promised = self._promised(name)
                assert promised == (record["position"], record["leaf_hash"])
        return len(found) - already

    def _promised(self, record: str) -> tuple[int, str]:
        """(position, leaf hash) that the sender was answered."""
        _, key, nth = record.split(":")
        answer = self._oracle.answers[key]
        if "first" in answer:
            return answer["first"] + int(nth), answer["leaf_hashes"][int(nth)]
        return answer["position"], answer["leaf_hash"]

    def _standing(self, book: str) -> set[str]:
        listed = [
            one["pending"] for one in paged(self._auditor, f"/v1/books/{book}/pendings", "pendings")
        ]
        assert max(Counter(listed).values(), default=1) == 1
        return set(listed)

    def _accounts(self, book: str) -> dict[str, tuple[int, int, int]]:
        """(balance, pending debits, pending credits) by code, without those of nothing."""
        path = f"/v1/books/{book}/accounts"
        stand = {
            one["code"]: (
                one["balance_minor"],
                one["pending_debits_minor"],
                one["pending_credits_minor"],
            )
            for one in paged(self._auditor, path, "accounts", after=0)
        }
        return {code: figures for code, figures in stand.items() if any(figures)}

    def _accounts_meant(self, book: str, standing: set[str]) -> dict[str, tuple[int, int, int]]:
        reserved = self._meant.reserved(book, standing)
        balances = self._meant.balances[book]
        codes = sorted({*reserved, *balances})
        stand = {code: (balances[code], *reserved.get(code, (0, 0))) for code in codes}
        return {code: figures for code, figures in stand.items() if any(figures)}


def paged(client: Client, path: str, field: str, *, after: int = -1) -> Iterator[dict[str, Any]]:
    """All that a list answers after a place, page by page."""
    place: int | None = after
    while place is not None:
        page = client.get(path, after=place, limit=500)
        yield from page[field]
        place = page["next"]
