"""An auditor's own book: what may be asked of a book and what then stands, in dicts and ints.

Written from the plan's table of kinds and the invariants, not from `ledger.journal`: it shares no
code and no representation with it, so that the two agree by being right. An account is a plain
tuple, a day and a moment are ints, a leaf is a dict. `judge` says what must come of a question,
`record` has it happen, and `recounted` counts all again from the list of what was recorded.

    in this order     what is refused, and by which name
    the form          wrong-input   a kind without the fields it has, or with others
    the whole         wrong-input   each party's entries close in each currency, debts mirrored
    the place         day-closed, wrong-input (an unknown `corrects`), already-recorded
    what it is of     no-such-pending, already-resolved, pending-expired, not-as-pending,
                      not-reversible, already-reversed, not-a-mirror
    the limits        limit-exceeded, the first account in order, its most before its least

A database also refuses to let an account stand beyond the largest amount (`is_beyond_range`).
"""

from collections import defaultdict
from typing import Any, NamedTuple, TypeAlias

AccountName: TypeAlias = tuple[str, str, str, str, str]
"""party, code, counterparty, ref, currency"""

Lines: TypeAlias = list[tuple[AccountName, int]]

POSTED = ("transaction", "posting", "reversal")
MOST_AMOUNT = 2**53 - 1
MOST_ENTRIES = 2_000


class Ask(NamedTuple):
    """One leaf that somebody wants recorded.

    value_day, booking_day  days since the first; at, ends  seconds since the beginning
    terms                   (account, side, least, most) of an `account`
    by_clock, says_over     the system asks; a void says that the pending's time is over
    """

    kind: str
    name: str
    lines: tuple[tuple[AccountName, int], ...] = ()
    of: str | None = None
    ends: int | None = None
    terms: tuple[AccountName, str | None, int | None, int | None] | None = None
    by_clock: bool = False
    says_over: bool = False
    corrects: str | None = None
    value_day: int = 0
    booking_day: int = 0
    at: int = 0


class Verdict(NamedTuple):
    """A refusal: its name, and for a limit (account, "most_minor" or "least_minor", would be)."""

    code: str
    limit: tuple[AccountName, str, int] | None = None


class Model:
    """One book. `log` is the truth; all else is kept beside it and must be what it recounts to."""

    def __init__(self) -> None:
        self.log: list[Ask] = []
        self.day = 0
        self.posted: defaultdict[AccountName, int] = defaultdict(int)
        self.debits: defaultdict[AccountName, int] = defaultdict(int)
        self.credits: defaultdict[AccountName, int] = defaultdict(int)
        self.bounds: dict[AccountName, tuple[int | None, int | None]] = {}
        self.standing: dict[str, dict[str, Any]] = {}
        self.resolved: dict[str, str] = {}
        self.reversible: dict[str, Lines] = {}
        self.reversed: dict[str, str] = {}
        self.names: set[str] = set()

    # ---- what must come of it

    def judge(self, ask: Ask) -> Verdict | None:
        """None where it must be recorded."""
        if not (is_formed(ask) and is_whole(ask)):
            return Verdict("wrong-input")
        return self.judge_place(ask) or self.judge_state(ask)

    def judge_place(self, ask: Ask) -> Verdict | None:
        """Whether a leaf may stand at the end of the log at all."""
        if ask.booking_day != self.day:
            return Verdict("day-closed")
        if ask.corrects is not None and ask.corrects not in self.names:
            return Verdict("wrong-input")
        return Verdict("already-recorded") if ask.name in self.names else None

    def judge_state(self, ask: Ask) -> Verdict | None:
        """Whether what is posted, pending and limited lets it happen."""
        if ask.kind in ("posting", "void"):
            code = self._unresolvable(ask)
            if code is not None:
                return Verdict(code)
        if ask.kind == "reversal":
            original = self.reversible.get(ask.of or "")
            if original is None:
                return Verdict("not-reversible")
            if ask.of in self.reversed:
                return Verdict("already-reversed")
            if [(name, -amount) for name, amount in original] != list(ask.lines):
                return Verdict("not-a-mirror")
        return self._beyond(ask)

    def _unresolvable(self, ask: Ask) -> str | None:
        of = ask.of or ""
        if of in self.resolved:
            return "already-resolved"
        if of not in self.standing:
            return "no-such-pending"
        pending = self.standing[of]
        is_over = pending["ends"] is not None and ask.at >= pending["ends"]
        if ask.says_over:
            return None if is_over else "wrong-input"
        if is_over:
            return "pending-expired"
        reserved, said = _two_sided(pending["lines"]), _two_sided(ask.lines)
        return "not-as-pending" if any(said[side] > reserved[side] for side in said) else None

    def _beyond(self, ask: Ask) -> Verdict | None:
        """As if it had happened: every limited account looked at, whoever moved it."""
        bounds = dict(self.bounds)
        if ask.terms is not None:
            bounds[ask.terms[0]] = _bounds(ask.terms)
        for name in sorted(bounds):
            posted, debit, credit = self._after(ask, name)
            least, most = bounds[name]
            if most is not None and posted + debit > most:
                return Verdict("limit-exceeded", (name, "most_minor", posted + debit))
            if least is not None and posted - credit < least:
                return Verdict("limit-exceeded", (name, "least_minor", posted - credit))
        return None

    def is_beyond_range(self, ask: Ask) -> bool:
        """Whether an account would then stand beyond the largest amount, the pending counted."""
        for name, _ in ask.lines:
            posted, debit, credit = self._after(ask, name)
            if max(posted + debit, credit - posted) > MOST_AMOUNT:
                return True
        return False

    def _after(self, ask: Ask, name: AccountName) -> tuple[int, int, int]:
        """One account's posted balance, pending debits and credits once it has happened."""
        posted, debit, credit = self.posted[name], self.debits[name], self.credits[name]
        if ask.kind in POSTED:
            posted += sum(amount for one, amount in ask.lines if one == name)
        if ask.kind == "pending":
            debit += _debits(ask.lines, name)
            credit += _credits(ask.lines, name)
        if ask.kind in ("posting", "void"):
            debit -= _debits(self.standing[ask.of or ""]["lines"], name)
            credit -= _credits(self.standing[ask.of or ""]["lines"], name)
        return posted, debit, credit

    # ---- what then stands

    def record(self, ask: Ask) -> None:
        """It has happened. Only for what `judge` lets pass."""
        lines = list(ask.lines)
        released = self.standing[ask.of or ""]["lines"] if ask.kind in ("posting", "void") else []
        after = {name: self._after(ask, name) for name, _ in [*lines, *released]}
        for name, (posted, debit, credit) in after.items():
            self.posted[name], self.debits[name], self.credits[name] = posted, debit, credit
        match ask.kind:
            case "pending":
                self.standing[ask.name] = {"lines": lines, "ends": ask.ends}
            case "posting" | "void":
                assert ask.of is not None
                del self.standing[ask.of]
                self.resolved[ask.of] = ask.name
            case "reversal":
                assert ask.of is not None
                self.reversed[ask.of] = ask.name
            case "account":
                assert ask.terms is not None
                self.bounds[ask.terms[0]] = _bounds(ask.terms)
        if ask.kind in ("transaction", "posting"):
            self.reversible[ask.name] = lines
        self.names.add(ask.name)
        self.log.append(ask)

    def seal(self, name: str, day: int) -> None:
        """The open day is closed by a leaf of that name, and `day` is open."""
        self.names.add(name)
        self.log.append(Ask(kind="seal", name=name, value_day=self.day, booking_day=self.day))
        self.day = day

    # ---- asked afterwards

    def over(self, at: int) -> list[str]:
        """Pendings that stand and whose end is reached, in the order they were made."""
        return [
            name
            for name, pending in self.standing.items()
            if pending["ends"] is not None and pending["ends"] <= at
        ]

    def as_of(
        self, *, known: int, value_until: int | None = None, booking_until: int | None = None
    ) -> dict[AccountName, int]:
        """Posted balances by the leaves below position `known`, of days up to the given ones."""
        found: defaultdict[AccountName, int] = defaultdict(int)
        for ask in self.log[:known]:
            if (
                ask.kind in POSTED
                and (value_until is None or ask.value_day <= value_until)
                and (booking_until is None or ask.booking_day <= booking_until)
            ):
                for name, amount in ask.lines:
                    found[name] += amount
        return dict(found)

    def recounted(self) -> tuple[dict[AccountName, int], set[str]]:
        """(posted balances, names of unresolved pendings), from the log alone."""
        open_ = {ask.name for ask in self.log if ask.kind == "pending"}
        open_ -= {ask.of or "" for ask in self.log if ask.kind in ("posting", "void")}
        return self.as_of(known=len(self.log)), open_


# ---- one question by itself


def is_formed(ask: Ask) -> bool:
    """Whether it has what its kind has, and nothing else."""
    has_lines = ask.kind in (*POSTED, "pending")
    names_another = ask.kind in ("posting", "void", "reversal")
    if bool(ask.lines) != has_lines or (ask.of is not None) != names_another:
        return False
    if ask.ends is not None and (ask.kind != "pending" or ask.ends <= ask.at):
        return False
    if ask.says_over != (ask.kind == "void" and ask.by_clock):
        return False
    if (ask.kind == "account") != (ask.terms is not None):
        return False
    if ask.terms is None:
        return True
    name, side, *limits = ask.terms
    least, most = _bounds(ask.terms)
    return (
        _is_account(name)
        and side in (None, "debit", "credit")
        and all(limit is None or abs(limit) <= MOST_AMOUNT for limit in limits)
        and (least is None or most is None or least <= most)
    )


def is_whole(ask: Ask) -> bool:
    """Whether its lines close for every party and currency, and debts stand alike on both sides."""
    if not ask.lines:
        return True
    if not 2 <= len(ask.lines) <= MOST_ENTRIES:
        return False
    closes: defaultdict[tuple[str, str], int] = defaultdict(int)
    owed: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for name, amount in ask.lines:
        party, code, other, ref, currency = name
        if not _is_account(name) or not 0 < abs(amount) <= MOST_AMOUNT:
            return False
        closes[party, currency] += amount
        if other:
            owed[code, min(party, other), max(party, other), ref, currency] += amount
    return not any(closes.values()) and not any(owed.values())


def _is_account(name: AccountName) -> bool:
    party, code, other, _, currency = name
    return (
        currency in ("CNY", "USD", "EUR", "HKD", "GBP", "JPY")
        and code.startswith("due.") == bool(other)
        and party != other
        and all(text == text.lower() and " " not in text for text in name[:4])
        and party != ""
        and code != ""
    )


def _bounds(
    terms: tuple[AccountName, str | None, int | None, int | None],
) -> tuple[int | None, int | None]:
    """(least, most) by side and limits together, the tighter of the two."""
    _, side, least, most = terms
    if side == "debit":
        least = 0 if least is None else max(least, 0)
    if side == "credit":
        most = 0 if most is None else min(most, 0)
    return least, most


def _debits(lines: Any, name: AccountName) -> int:
    return sum(amount for one, amount in lines if one == name and amount > 0)


def _credits(lines: Any, name: AccountName) -> int:
    return -sum(amount for one, amount in lines if one == name and amount < 0)


def _two_sided(lines: Any) -> defaultdict[tuple[AccountName, str], int]:
    found: defaultdict[tuple[AccountName, str], int] = defaultdict(int)
    for name, amount in lines:
        found[name, "debit" if amount > 0 else "credit"] += abs(amount)
    return found
