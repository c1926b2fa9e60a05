"""What a bank does in books of its own, of every kind, and what the books must hold for it.

`sender` is asked for its next command only once all earlier ones are acknowledged, so it names
what it has reserved and posted by ids it knows beforehand. `Meant` is the client's own account of
all senders' commands, a fold of what they mean: it reads nothing of the service.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from tests.stories.crashing import Intent

DAY = date(2024, 3, 1)
BANK, POSTER = "alfa", "alfa-operations"
CODES = ("cash", "suspense", "fees")
KINDS = {
    "transaction": 40,
    "reserve": 18,
    "reserve for a second": 4,
    "post": 16,
    "void": 7,
    "reverse": 8,
    "batch": 7,
}
"""How often each kind of command is meant, where there is something it can be of."""


# ---- what is sent


class Reserved(NamedTuple):
    """A pending of a sender: so many times these amounts."""

    record: str
    amounts: tuple[int, ...]
    times: int


class _Memory:
    """What a sender has made and not yet used up."""

    def __init__(self, name: str) -> None:
        self.dice = random.Random(name)
        self.standing: list[Reserved] = []
        self.reversible: list[str] = []

    def can(self, kind: str) -> bool:
        match kind:
            case "post" | "void":
                return bool(self.standing)
            case "reverse":
                return bool(self.reversible)
            case "batch":
                return bool(self.standing and self.reversible)
        return True

    def pending(self) -> Reserved:
        """One that stands, and is not there to be used a second time."""
        return self.standing.pop(self.dice.randrange(len(self.standing)))

    def transaction(self) -> str:
        """One that may be reversed, and is not there to be used a second time."""
        return self.reversible.pop(self.dice.randrange(len(self.reversible)))

    def amounts(self) -> tuple[int, ...]:
        first, second = self.dice.randrange(1, 10**5), self.dice.randrange(-(10**5), 10**5)
        return (first, second, -first - second)


def sender(book: str, name: str) -> Iterator[Intent]:
    """Commands of every kind in a book, one after the other, for ever; what each is of is its own.

    Pendings are posted in part, whole or voided, each at most once; what is posted may be reversed.
    """
    memory = _Memory(name)
    for number in range(10**9):
        key = f"{name}-{number:08d}"
        possible = {kind: weight for kind, weight in KINDS.items() if memory.can(kind)}
        (kind,) = memory.dice.choices(list(possible), list(possible.values()))
        path, body = _command(memory, kind, f"{BANK}:{key}", f"{name}/{number}")
        yield Intent(who=POSTER, path=f"/v1/books/{book}/{path}", body=body, key=key)


def _command(memory: _Memory, kind: str, command: str, reference: str) -> tuple[str, Any]:
    """(path within the book, body); the memory knows what comes of it."""
    record = f"{command}:0"
    match kind:
        case "transaction":
            memory.reversible.append(record)
            return "transactions", _transaction(memory, reference)
        case "reserve":
            return "pendings", _reservation(memory, record, reference)
        case "reserve for a second":
            body = _reservation(memory, record, reference)
            memory.standing.pop()  # whoever reserves it leaves it to the service to void
            return "pendings", {**body, "lasts_seconds": 1}
        case "post":
            of = memory.pending()
            memory.reversible.append(record)
            return f"pendings/{of.record}/posting", {"entries": _part(memory, of)}
        case "void":
            return f"pendings/{memory.pending().record}/void", None
        case "reverse":
            return f"transactions/{memory.transaction()}/reversal", {"reference": reference}
    return "batches", {"operations": _operations(memory, command, reference)}


def _operations(memory: _Memory, command: str, reference: str) -> list[dict[str, Any]]:
    """One of each kind: reserved here and posted in part, reversed at once, and what stood."""
    here = Reserved(f"{command}:1", memory.amounts(), 7)
    posted = {"pending": here.record, "entries": _part(memory, here)}
    old, voided = memory.transaction(), memory.pending().record
    memory.reversible.append(f"{command}:0")
    return [
        {"transaction": _transaction(memory, reference)},
        {"pending": _pending(here, reference)},
        {"posting": posted},
        {"reversal": {"transaction": f"{command}:2", "reference": reference}},
        {"reversal": {"transaction": old, "reference": reference}},
        {"void": {"pending": voided}},
    ]


def _transaction(memory: _Memory, reference: str) -> dict[str, Any]:
    return {
        "value_date": DAY.isoformat(),
        "reference": reference,
        "entries": entries(memory.amounts()),
    }


def _reservation(memory: _Memory, record: str, reference: str) -> dict[str, Any]:
    made = Reserved(record, memory.amounts(), memory.dice.randint(1, 9))
    memory.standing.append(made)
    return _pending(made, reference)


def _pending(made: Reserved, reference: str) -> dict[str, Any]:
    amounts = tuple(amount * made.times for amount in made.amounts)
    return {"value_date": DAY.isoformat(), "reference": reference, "entries": entries(amounts)}


def _part(memory: _Memory, of: Reserved) -> list[dict[str, Any]] | None:
    """So many of its times, or null for the whole."""
    times = memory.dice.randint(1, of.times)
    return None if times == of.times else entries(tuple(one * times for one in of.amounts))


def entries(amounts: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in zip(CODES, amounts, strict=True)
        if amount
    ]


# ---- what it comes to


class MeantLeaf(NamedTuple):
    """A leaf a command is to leave: what it is of, and what it posts (or reserves) by code."""

    kind: str
    of: str | None
    amounts: dict[str, int]


class Meant:
    """What each book must hold once every command taken here has been acknowledged.

    leaves    by record, by book
    command   the key of the command that each record is of
    balances  what is posted, by code, by book
    standing  pendings that nobody has posted or voided, those that end by themselves included
    passing   pendings that end by themselves
    """

    def __init__(self) -> None:
        self.leaves: defaultdict[str, dict[str, MeantLeaf]] = defaultdict(dict)
        self.command: dict[str, str] = {}
        self.balances: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.standing: defaultdict[str, set[str]] = defaultdict(set)
        self.passing: set[str] = set()

    def take(self, intent: Intent) -> None:
        """The command counts. What it is of was taken before."""
        book, operations = operations_of(intent)
        leaves, standing = self.leaves[book], self.standing[book]
        for nth, (kind, said) in enumerate(operations):
            record = f"{BANK}:{intent.key}:{nth}"
            leaf = _leaf(kind, said, leaves)
            leaves[record] = leaf
            self.command[record] = intent.key
            if kind in ("posting", "void"):
                assert leaf.of is not None
                standing.remove(leaf.of)
            if kind == "pending":
                standing.add(record)
                if said.get("lasts_seconds") is not None:
                    self.passing.add(record)
            else:
                self.balances[book].update(leaf.amounts)

    def reserved(self, book: str, pendings: set[str]) -> dict[str, tuple[int, int]]:
        """(debits, credits) that these pendings of the book reserve, by code; credits negative."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for record in pendings:
            for code, amount in self.leaves[book][record].amounts.items():
                sums[code][amount < 0] += amount
        return {code: (debits, credits) for code, (debits, credits) in sums.items()}


def operations_of(intent: Intent) -> tuple[str, list[tuple[str, Any]]]:
    """The book a command is about, and what is to be done there: (kind of leaf, what is said)."""
    _, _, _, book, *path = intent.path.split("/")
    match path:
        case ["transactions"]:
            return book, [("transaction", intent.body)]
        case ["pendings"]:
            return book, [("pending", intent.body)]
        case ["pendings", of, "posting"]:
            return book, [("posting", {**intent.body, "pending": of})]
        case ["pendings", of, "void"]:
            return book, [("void", {"pending": of})]
        case ["transactions", of, "reversal"]:
            return book, [("reversal", {**intent.body, "transaction": of})]
    return book, [(kind, said) for one in intent.body["operations"] for kind, said in one.items()]


def _leaf(kind: str, said: dict[str, Any], leaves: dict[str, MeantLeaf]) -> MeantLeaf:
    of = said.get("pending") or said.get("transaction")
    match kind:
        case "void":
            return MeantLeaf(kind, of, {})
        case "reversal":
            mirrored = {code: -amount for code, amount in leaves[of].amounts.items()}
            return MeantLeaf(kind, of, mirrored)
        case "posting" if said["entries"] is None:
            return MeantLeaf(kind, of, leaves[of].amounts)
    return MeantLeaf(kind, of, {line["code"]: line["amount_minor"] for line in said["entries"]})
