"""What a book's pendings, reversals and limits are after its leaves; it never numbers or stores.

    kind         what `decide` asks                                           what it moves
    transaction  the limits                                                   posted
    pending      two entries at least, an end in the future; the limits       pending
    posting      of a pending, unresolved, not over, within it; the limits    pending -> posted
    void         of a pending, unresolved; by the system only once it is over pending
    reversal     of a transaction or posting, its exact mirror, once          posted
    account      the present state stands within the terms                    -

A **pending** (挂账) reserves: it counts in the pending debits and credits of its accounts, never in
a posted balance, until it is resolved, exactly once (I6). **Limits** (限额) count what is pending:
posted plus pending debits is at most `most_minor`, posted less pending credits at least
`least_minor`, after every leaf (I8). A **reversal** (冲正) is the exact mirror, at most once (I9).

The database's `ledger.append` repeats these rules in this order; here they are for whoever reads a
log again. A `Journal` changes in place: a replay of a million leaves cannot copy it each time.

    Refused
    ├── Absent    NoSuchPending
    └── Conflict  AlreadyResolved, PendingExpired, NotAsPending, LimitExceeded, AlreadyReversed,
                  NotReversible, NotAMirror
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from ledger.documents import convert
from ledger.entries import Account, Entry, check_account
from ledger.errors import Absent, Conflict, WrongInput
from ledger.leaves import POSTED, SYSTEM, WITH_ENTRIES, Leaf
from ledger.money import MAX_MINOR

RESOLVING: Final = ("posting", "void")
REVERSIBLE: Final = ("transaction", "posting")


class NoSuchPending(Absent):
    """The book has no pending of that id."""

    code = "no-such-pending"


class AlreadyResolved(Conflict):
    """The pending was posted or voided before: it resolves once."""

    code = "already-resolved"


class PendingExpired(Conflict):
    """The pending's time is over; only the system's own void may still name it."""

    code = "pending-expired"


class NotAsPending(Conflict):
    """A posting beyond its pending: another account, the other side, or a larger amount."""

    code = "not-as-pending"


class LimitExceeded(Conflict):
    """An account would stand beyond its limit, what is pending counted."""

    code = "limit-exceeded"


class AlreadyReversed(Conflict):
    """The transaction has its reversal already."""

    code = "already-reversed"


class NotReversible(Conflict):
    """Only a transaction or a posting of the book can be reversed."""

    code = "not-reversible"


class NotAMirror(Conflict):
    """A reversal must be what it reverses, entry by entry, with the opposite signs."""

    code = "not-a-mirror"


class AccountTerms(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag=True,
):
    """The subject of an `account` leaf: how far the account may go. A later one replaces it.

    side         "debit": never below 0; "credit": never above; None: either
    least_minor  the least it may stand at, pending credits counted; None for no such limit
    most_minor   the most, pending debits counted
    """

    account: Account
    side: Literal["debit", "credit"] | None
    least_minor: int | None
    most_minor: int | None

    @property
    def least(self) -> int | None:
        """The least it may stand at by side and limit together."""
        if self.side != "debit":
            return self.least_minor
        return max(0, self.least_minor or 0)

    @property
    def most(self) -> int | None:
        """The most it may stand at by side and limit together."""
        if self.side != "credit":
            return self.most_minor
        return min(0, self.most_minor or 0)


class Voided(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag=True,
):
    """The subject of a `void` leaf."""

    reason: Literal["asked", "expired"]


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A pending as the log has it so far. resolved_by: the posting or void, None while it stands"""

    entries: tuple[Entry, ...]
    expires_at: datetime | None
    resolved_by: str | None


class Journal:
    """One book after some of its leaves.

    balances   posted, of every account that a posted entry ever touched
    debits, credits  pending, of every account that a pending ever touched
    terms      of every account that has been declared
    pendings   by leaf id, the resolved ones too
    reversals  leaf id of the reversal by that of what it reverses
    """

    def __init__(self) -> None:
        self.balances: dict[Account, int] = {}
        self.debits: defaultdict[Account, int] = defaultdict(int)
        self.credits: defaultdict[Account, int] = defaultdict(int)
        self.terms: dict[Account, AccountTerms] = {}
        self.pendings: dict[str, Pending] = {}
        self.reversals: dict[str, str] = {}
        self._reversible: dict[str, tuple[Entry, ...]] = {}

    @property
    def open_pendings(self) -> dict[str, Pending]:
        """The pendings that stand unresolved, by leaf id."""
        return {name: one for name, one in self.pendings.items() if one.resolved_by is None}

    def take(self, leaf: Leaf) -> None:
        """The leaf has had its effect. Raises what `decide` raises; nothing has changed then."""
        decide(self, leaf)
        evolve(self, leaf)

    def standing(self, account: Account) -> tuple[int, int, int]:
        """The account's posted balance, pending debits and pending credits."""
        return (
            self.balances.get(account, 0),
            self.debits.get(account, 0),
            self.credits.get(account, 0),
        )

    def reversible(self, leaf_id: str) -> tuple[Entry, ...] | None:
        """The entries of a transaction or posting of the book, None where there is no such leaf."""
        return self._reversible.get(leaf_id)


def decide(journal: Journal, leaf: Leaf) -> None:
    """Nothing: the leaf may stand next; every refusal stands here. Nothing changes.

    The entries must be whole already (`entries.check_whole`).
    Raises the refusals of this module, WrongInput for a leaf that no state could take.
    """
    check_shape(leaf)
    match leaf.kind:
        case "posting" | "void":
            pending = _unresolved(journal, leaf)
            _check_end(leaf, pending)
            if leaf.kind == "posting":
                _check_within(leaf, pending)
        case "reversal":
            _check_reversal(journal, leaf)
        case "account":
            terms = read_terms(leaf)
            _check_against(terms, *journal.standing(terms.account))
    if journal.terms and leaf.entries:
        _check_limits(journal, leaf)


def evolve(journal: Journal, leaf: Leaf) -> None:
    """The journal is as after the leaf, which `decide` has let pass on this very journal."""
    if leaf.kind in POSTED:
        for entry in leaf.entries:
            posted = journal.balances.get(entry.account, 0)
            journal.balances[entry.account] = posted + entry.amount_minor
    if leaf.kind in REVERSIBLE:
        journal._reversible[leaf.leaf_id] = leaf.entries
    if leaf.kind == "pending":
        _reserve(journal, leaf.entries, sign=1)
        journal.pendings[leaf.leaf_id] = Pending(
            entries=leaf.entries, expires_at=leaf.expires_at, resolved_by=None
        )
    elif leaf.kind in RESOLVING and leaf.of is not None:
        pending = journal.pendings[leaf.of]
        _reserve(journal, pending.entries, sign=-1)
        journal.pendings[leaf.of] = msgspec.structs.replace(pending, resolved_by=leaf.leaf_id)
    elif leaf.of is not None:
        journal.reversals[leaf.of] = leaf.leaf_id
    if leaf.kind == "account":
        terms = read_terms(leaf)
        journal.terms[terms.account] = terms


def _reserve(journal: Journal, entries: Iterable[Entry], *, sign: Literal[1, -1]) -> None:
    for (account, is_debit), amount in sided(entries).items():
        sums = journal.debits if is_debit else journal.credits
        sums[account] += sign * amount


# ---- what a leaf must be whatever the state


def check_shape(leaf: Leaf) -> None:
    """Nothing: the leaf has the entries, `of`, `expires_at` and subject that its kind has."""
    if leaf.kind in WITH_ENTRIES and not leaf.entries:
        raise WrongInput("$.entries", f"2 entries or more on a {leaf.kind}")
    if leaf.entries and leaf.kind not in WITH_ENTRIES:
        raise WrongInput("$.entries", f"entries on {', '.join(WITH_ENTRIES)}, and only there")
    if (leaf.kind in (*RESOLVING, "reversal")) != (leaf.of is not None):
        raise WrongInput("$.of", "the leaf that a posting, void or reversal is of, and only there")
    if leaf.expires_at is not None:
        if leaf.kind != "pending":
            raise WrongInput("$.expires_at", "an end on a pending, and only there")
        if leaf.expires_at <= leaf.recorded_at:
            raise WrongInput("$.expires_at", f"a time after {leaf.recorded_at}")
    if leaf.kind == "void":
        voided = convert(leaf.subject, Voided, place="$.subject")
        if (voided.reason == "expired") != (leaf.actor == SYSTEM):
            raise WrongInput("$.subject.reason", "`expired` by the system, and by it only")
    if leaf.kind == "account":
        read_terms(leaf)


def read_terms(leaf: Leaf) -> AccountTerms:
    """The terms an `account` leaf declares. Raises WrongInput with the place."""
    terms = convert(leaf.subject, AccountTerms, place="$.subject")
    check_terms(terms, place="$.subject")
    return terms


def check_terms(terms: AccountTerms, *, place: str) -> None:
    """Nothing: an account can be held to these terms."""
    check_account(terms.account, place=f"{place}.account")
    for field in ("least_minor", "most_minor"):
        value = getattr(terms, field)
        if value is not None and abs(value) > MAX_MINOR:
            raise WrongInput(f"{place}.{field}", f"an amount of at most {MAX_MINOR}")
    least, most = terms.least, terms.most
    if least is not None and most is not None and least > most:
        raise WrongInput(f"{place}.most_minor", f"at least {least}, the least that is allowed")


# ---- what the state must be


def _unresolved(journal: Journal, leaf: Leaf) -> Pending:
    pending = journal.pendings.get(leaf.of or "")
    if pending is None:
        raise NoSuchPending(f"no pending {leaf.of} in the book", pending=leaf.of)
    if pending.resolved_by is not None:
        raise AlreadyResolved(
            f"pending {leaf.of} is resolved by {pending.resolved_by}",
            pending=leaf.of,
            resolved_by=pending.resolved_by,
        )
    return pending


def _check_end(leaf: Leaf, pending: Pending) -> None:
    """By the system once its end is reached, by anybody else before it."""
    is_over = pending.expires_at is not None and leaf.recorded_at >= pending.expires_at
    by_clock = leaf.kind == "void" and leaf.actor == SYSTEM
    if by_clock and not is_over:
        raise WrongInput("$.subject.reason", f"a pending that is over; {leaf.of} is not")
    if is_over and not by_clock:
        raise PendingExpired(
            f"pending {leaf.of} was over at {pending.expires_at}",
            pending=leaf.of,
            expires_at=pending.expires_at,
        )


def _check_within(leaf: Leaf, pending: Pending) -> None:
    reserved = sided(pending.entries)
    for (account, is_debit), amount in sided(leaf.entries).items():
        most = reserved.get((account, is_debit), 0)
        if amount > most:
            raise NotAsPending(
                f"{account.code} of {account.party}: {amount} posted where {most} is pending",
                pending=leaf.of,
                account=account,
                pending_minor=most if is_debit else -most,
                posted_minor=amount if is_debit else -amount,
            )


def sided(entries: Iterable[Entry]) -> dict[tuple[Account, bool], int]:
    """Amounts, positive, by account and whether they are debits."""
    sums: defaultdict[tuple[Account, bool], int] = defaultdict(int)
    for entry in entries:
        sums[entry.account, entry.amount_minor > 0] += abs(entry.amount_minor)
    return dict(sums)


def _check_reversal(journal: Journal, leaf: Leaf) -> None:
    reversed_ = journal.reversible(leaf.of or "")
    if reversed_ is None:
        raise NotReversible(f"{leaf.of} is no transaction or posting of the book", of=leaf.of)
    if leaf.of in journal.reversals:
        raise AlreadyReversed(
            f"{leaf.of} is reversed by {journal.reversals[leaf.of]}",
            of=leaf.of,
            reversed_by=journal.reversals[leaf.of],
        )
    if leaf.entries != mirrored(reversed_):
        raise NotAMirror(f"the entries are not those of {leaf.of} with other signs", of=leaf.of)


def mirrored(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same entries in the same order with the opposite signs."""
    return tuple(Entry(entry.account, -entry.amount_minor) for entry in entries)


def _check_limits(journal: Journal, leaf: Leaf) -> None:
    """No account that has terms stands beyond them once the leaf has had its effect."""
    touched = {entry.account for entry in leaf.entries}
    released: tuple[Entry, ...] = ()
    if leaf.kind == "posting" and leaf.of is not None:
        released = journal.pendings[leaf.of].entries
        touched.update(entry.account for entry in released)
    for account in sorted(touched & journal.terms.keys()):
        posted, debit, credit = journal.standing(account)
        added = [entry.amount_minor for entry in leaf.entries if entry.account == account]
        freed = [entry.amount_minor for entry in released if entry.account == account]
        if leaf.kind == "pending":
            debit += sum(amount for amount in added if amount > 0)
            credit -= sum(amount for amount in added if amount < 0)
        else:
            posted += sum(added)
        debit -= sum(amount for amount in freed if amount > 0)
        credit += sum(amount for amount in freed if amount < 0)
        _check_against(journal.terms[account], posted, debit, credit)


def _check_against(terms: AccountTerms, posted: int, debit: int, credit: int) -> None:
    """posted: the balance; debit, credit: what is pending on either side, not negative."""
    least, most = terms.least, terms.most
    if most is not None and posted + debit > most:
        raise beyond(terms.account, "most_minor", bound=most, would_be=posted + debit)
    if least is not None and posted - credit < least:
        raise beyond(terms.account, "least_minor", bound=least, would_be=posted - credit)


def beyond(account: Account, limit: str, *, bound: int, would_be: int) -> LimitExceeded:
    """The refusal that names the account, its limit, and what it would stand at."""
    return LimitExceeded(
        f"{account.code} of {account.party} would stand at {would_be}, and {limit} is {bound}",
        account=account,
        limit=limit,
        limit_minor=bound,
        would_be_minor=would_be,
    )


def by_operation(fields: Mapping[str, object], *, alone: bool) -> dict[str, object]:
    """A refusal's fields with the `operation`, counted from 0, in place of its leaf `command:n`.

    alone  where the command is one operation, nothing needs to be said
    """
    rest = {name: value for name, value in fields.items() if name != "leaf"}
    if not alone and "leaf" in fields:
        rest["operation"] = int(str(fields["leaf"]).rpartition(":")[2])
    return rest
