"""What one book's log comes to when its stored leaves are taken again, one by one, from the first.

Every leaf must be canonical, in its place and allowed there: an id stands once, a correction names
an earlier leaf, the booking date is the open day, a transaction is whole, a pending resolves once
and a limit holds (`journal`), a seal is the root of what stands before it, a key event is possible,
a signed statement holds. The balances that result are the only balances there are (I1, I3, I6, I8,
I9, I10, I13). It trusts no stored hash, balance or signature,
and it reads no file and no database.

**Which key speaks when.** A statement must be by a key that the registry has registered, by the
leaf's `recorded_at`, and had not revoked by then; inside the registry a key counts from its own
leaf on. Across books only the service's clock orders leaves more finely than the top log's heads.
"""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from ledger import merkle, notes, seals, signatures
from ledger.documents import MAX_DEPTH, MAX_SAFE_INTEGER, canonical, convert
from ledger.entries import Account, Entry, check_whole
from ledger.errors import WrongInput
from ledger.journal import Journal
from ledger.leaves import POSTED, WITH_ENTRIES, Actor, Leaf, check_version
from ledger.money import format_amount

TOP: Final = "top"
REGISTRY: Final = "registry"


class StoredLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry as a leaf's bytes have it."""

    party: str
    code: str
    counterparty: str
    ref: str
    currency: str
    amount_minor: int


class StoredLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A leaf as its bytes have it; `ledger.leaves` says what the fields mean."""

    v: int
    book: str
    kind: str
    id: str
    subject: dict[str, Any]
    entries: tuple[StoredLine, ...]
    value_date: date
    booking_date: date
    recorded_at: datetime
    actor: Actor
    corrects: str | None
    of: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


_DECODER = msgspec.json.Decoder(StoredLeaf)
_ENCODER = msgspec.json.Encoder(order="sorted")


def read_leaf(raw: bytes) -> StoredLeaf:
    """The leaf of its canonical bytes; what `leaves.decode` reads, ten times as fast.

    The leaf is written again and must give the same bytes, so a duplicate key, a blank or another
    spelling of a value is found. For ASCII text without floats the fast sorted writer agrees with
    RFC 8785; other text goes through the writer of `documents`.
    Raises WrongInput for anything else.
    """
    try:
        leaf = _DECODER.decode(raw)
        written = _ENCODER.encode(leaf) if raw.isascii() else canonical(leaf)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WrongInput("$", f"the JSON of a leaf ({error})") from error
    if written != raw:
        raise WrongInput("$", "the canonical JSON of a leaf (RFC 8785)")
    check_version(kind=leaf.kind, version=leaf.v, fields=(leaf.of, leaf.expires_at))
    for name, time in (("recorded_at", leaf.recorded_at), ("expires_at", leaf.expires_at)):
        if isinstance(time, datetime) and time.utcoffset() != timedelta(0):
            raise WrongInput(f"$.{name}", "a time in UTC")
    if "\x00" in leaf.id + leaf.actor.institution + leaf.actor.user:
        raise WrongInput("$", "text without NUL")
    return leaf


class Replay:
    """One book while its leaves are taken in log order.

    journal   what is posted, pending, limited and reversed after the leaves taken
    keys      for the registry, none to begin with; for other books, those its replay ended with
    heads     for the top log: the published heads of each book, with their positions
    checked   how many of what was found to hold
    """

    def __init__(self, book: str, *, salt: bytes, keys: signatures.Keys) -> None:
        self.book = book
        self._registered = dict(keys) if book == REGISTRY else {}
        self.keys: signatures.Keys = self._registered if book == REGISTRY else keys
        self.journal = Journal()
        self.heads: defaultdict[str, list[tuple[int, notes.Head]]] = defaultdict(list)
        self.checked: Counter[str] = Counter()
        self.entries = 0
        self.seal: seals.DaySeal | None = None
        self.seal_position: int | None = None
        self._salt = salt
        self._ids: set[str] = set()
        self._last_booking = date.min
        self._frontier = merkle.EMPTY
        self._pending: list[bytes] = []

    @property
    def balances(self) -> dict[Account, int]:
        """What is posted, of every account that a posted entry ever touched."""
        return self.journal.balances

    @property
    def size(self) -> int:
        """How many leaves have been taken."""
        return self._frontier.size + len(self._pending)

    def root(self) -> bytes:
        """The root of the leaves taken so far."""
        if self._pending:
            self._frontier, _ = self._frontier.append(self._pending)
            self._pending = []
        return self._frontier.root()

    def trial_balance(self) -> dict[str, str]:
        """The sum of all balances by currency, in major units: "0.00" by I2."""
        sums: Counter[str] = Counter()
        for account, balance in self.balances.items():
            sums[account.currency] += balance
        return {
            currency: format_amount(sum_minor, currency=currency)
            for currency, sum_minor in sorted(sums.items())
        }

    def take(self, raw: bytes) -> None:
        """The leaf stands next in the log and has had its effect.

        Raises WrongInput, msgspec.ValidationError or ValueError; the replay is then over.
        """
        leaf = read_leaf(raw)
        self._check_place(leaf)
        match leaf.kind:
            case "transaction" | "pending" | "posting" | "void" | "reversal" | "account":
                self._take_entries(leaf)
            case "seal":
                self._take_seal(leaf)
            case "head":
                self._take_head(leaf)
            case "key":
                self._take_key(leaf)
        self._take_statements(leaf)
        self._ids.add(leaf.id)
        self._last_booking = leaf.booking_date
        self._pending.append(merkle.leaf_hash(raw))
        self.checked["leaves canonical and in their place"] += 1
        if leaf.corrects is not None:
            self.checked["corrections that name an earlier leaf"] += 1

    def _check_place(self, leaf: StoredLeaf) -> None:
        if leaf.book != self.book:
            raise WrongInput("$.book", f"the book {self.book}, not {leaf.book}")
        if leaf.id in self._ids:
            raise WrongInput("$.id", f"an id that stands once, not {leaf.id} again")
        if leaf.corrects is not None and leaf.corrects not in self._ids:
            raise WrongInput("$.corrects", f"an earlier leaf, not {leaf.corrects}")
        if self.seal is not None and leaf.booking_date <= self.seal.day:
            raise WrongInput("$.booking_date", f"an open day, {self.seal.day} is sealed")
        if leaf.booking_date < self._last_booking:
            raise WrongInput("$.booking_date", f"a day from {self._last_booking} on")
        if leaf.entries and leaf.kind not in WITH_ENTRIES:
            raise WrongInput("$.entries", f"entries on {', '.join(WITH_ENTRIES)}, and only there")
        if self.book == TOP and leaf.kind not in ("head", "seal"):
            raise WrongInput("$.kind", "heads and seals in the top log")

    def _take_entries(self, leaf: StoredLeaf) -> None:
        one = stored_as_leaf(leaf)
        if one.kind in WITH_ENTRIES:
            check_whole(one.transaction)
        self.journal.take(one)
        if one.kind in POSTED:
            self.entries += len(one.entries)
        self.checked[_FOUND[one.kind]] += 1

    def _take_seal(self, leaf: StoredLeaf) -> None:
        seal = convert(leaf.subject, seals.DaySeal, place="$.subject")
        if seal.day != leaf.booking_date:
            raise WrongInput("$.subject.day", "the seal's own booking date")
        if (seal.size, seal.previous) != (self.size, self.seal_position):
            raise WrongInput("$.subject", f"size {self.size}, previous {self.seal_position}")
        if seal.root != self.root().hex():
            raise WrongInput("$.subject.root", "the root of the leaves before the seal")
        derived = seals.balances_root(self.balances, salt=self._salt, day=seal.day)
        if seal.balances_root != derived.hex():
            raise WrongInput("$.subject.balances_root", "the root of the balances re-derived")
        self.seal, self.seal_position = seal, self.size
        self.checked["day seals re-derived"] += 1

    def _take_head(self, leaf: StoredLeaf) -> None:
        if self.book != TOP:
            raise WrongInput("$.kind", "heads in the top log only")
        head = convert(leaf.subject, notes.Head, place="$.subject")
        earlier = self.heads[head.book]
        if head.book == TOP or (earlier and head.size < earlier[-1][1].size):
            raise WrongInput("$.subject", "a head of another book, no smaller than its last")
        earlier.append((self.size, head))

    def _take_key(self, leaf: StoredLeaf) -> None:
        if self.book != REGISTRY:
            raise WrongInput("$.kind", "keys in the registry only")
        fact: signatures.KeyRegistered | signatures.KeyRevoked = msgspec.convert(
            leaf.subject, signatures.KeyRegistered | signatures.KeyRevoked
        )
        self._registered[fact.key] = signatures.evolve_key(self.keys, fact, at=leaf.recorded_at)
        self.checked["keys registered or revoked"] += 1

    def _take_statements(self, leaf: StoredLeaf) -> None:
        found: list[Any] = []
        _walk(leaf.subject, place="$.subject", depth=1, statements=found)
        for value in found:
            statement = convert(value, signatures.Statement, place="$.subject…signed")
            signatures.check_statement(statement, keys=self.keys, at=leaf.recorded_at)
            self.checked["signed statements"] += 1


_FOUND: Final = {
    "transaction": "transactions whole, debts mirrored",
    "pending": "pendings within their accounts' limits",
    "posting": "pendings posted once, at most what was pending",
    "void": "pendings voided once",
    "reversal": "reversals that mirror what they reverse, once",
    "account": "terms of accounts, counted with what is pending",
}


def stored_as_leaf(stored: StoredLeaf) -> Leaf:
    """The leaf that these stored fields are."""
    return Leaf(
        book=stored.book,
        kind=stored.kind,
        leaf_id=stored.id,
        subject=stored.subject,
        entries=tuple(
            Entry(
                Account(line.party, line.code, line.counterparty, line.ref, line.currency),
                line.amount_minor,
            )
            for line in stored.entries
        ),
        value_date=stored.value_date,
        booking_date=stored.booking_date,
        recorded_at=stored.recorded_at,
        actor=stored.actor,
        corrects=stored.corrects,
        of=None if stored.of is msgspec.UNSET else stored.of,
        expires_at=None if stored.expires_at is msgspec.UNSET else stored.expires_at,
    )


def _walk(value: Any, *, place: str, depth: int, statements: list[Any]) -> None:
    """Collects what stands under `signed` and `signatures`, and refuses what no leaf may hold."""
    if depth > MAX_DEPTH:
        raise WrongInput(place, f"at most {MAX_DEPTH} levels of nesting")
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "signed" and inner is not None:
                statements.append(inner)
            elif key == "signatures" and inner is not None:
                statements.extend(convert(inner, list[Any], place=f"{place}.{key}"))
            _walk(key, place=place, depth=depth, statements=statements)
            _walk(inner, place=f"{place}.{key}", depth=depth + 1, statements=statements)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, place=place, depth=depth + 1, statements=statements)
    elif isinstance(value, str):
        if "\x00" in value:
            raise WrongInput(place, "text without NUL")
    elif isinstance(value, float) or (value is not None and abs(value) > MAX_SAFE_INTEGER):
        raise WrongInput(place, "integers of at most 2^53-1, and no floats")
