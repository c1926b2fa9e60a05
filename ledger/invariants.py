"""Do the ledger's invariants hold on this database, now? Each is one named check; none changes it.

    I1, I2, I3, I5, I7   sums and counts over whole tables, by the database itself
    I6, I8, I9           pendings, limits, reversals (`invariants_pendings`)
    I15                  who takes part in books of one party or of none (`parts`)
    I10, I11, I13        each log from its first leaf, page by page (I13: `log_stands`)
    I4                   the catalogue's guards against those the program is delivered with

Checks of other packages are of the same `Check`; whoever runs an audit joins them. What needs
leaves outside this database, such as another head shown to somebody else, is the witnesses' and the
offline verifier's (`verify`).
"""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import merkle, seals, store_audit, store_audit_accruals, store_guards
from ledger.documents import convert
from ledger.entries import Account
from ledger.errors import WrongInput
from ledger.holding import MOST_NAMED, Check, Holding, Seen, look
from ledger.invariants_pendings import CHECKS as OF_PENDINGS
from ledger.log_stands import log_stands
from ledger.notes import VerifierKey
from ledger.parts import CHECKS as OF_PARTS
from ledger.store import Found

CLOCK_SLACK: Final = timedelta(minutes=10)
"""How far recorded times may step back between neighbours: `ledger.append` takes a time within five
minutes of the server's clock, either way, and commands that wait for a book's lock took theirs
before."""

_KEY: Final = re.compile(
    r"unique on (?P<table>\S+): \S+ (PRIMARY KEY|UNIQUE) \((?P<columns>[^)]*)\)"
)


def checks(
    *,
    log: VerifierKey,
    on_record: str,
    guards: Sequence[str],
    schemas: Sequence[str],
) -> tuple[Check, ...]:
    """The ledger's checks, in the order of their numbers.

    log        the key that signs the logs; on_record: what the installation says it is
    guards     the lines of `store_guards.guards` on a database as delivered
    schemas    whose guards they are
    """
    unique = [guard for guard in guards if guard.startswith("unique ")]
    others = [guard for guard in guards if not guard.startswith("unique ")]
    return (
        Check(
            "I1",
            "transactions: for every party and currency the entries sum to 0, and debts stand "
            "alike on both sides",
            _balanced,
        ),
        Check(
            "I2",
            "trial balances, one a book and currency: all entries sum to 0, posted and pending "
            "apart",
            _trial,
        ),
        Check(
            "I3",
            "accounts, entries and accruals: stored balances, the running ones too, are sums of "
            "the entries; books count their accounts; standing accruals are what their leaves and "
            "nights make them",
            _folded,
        ),
        _guarded(others, schemas),
        _once(unique, schemas),
        *OF_PENDINGS,
        Check(
            "I7",
            "refusals: none has entries, and nothing else stands under a refused command",
            _refused,
        ),
        Check(
            "I10",
            "leaves: no gap, booked on the open day, each day ended by its seal and its first "
            "position noted, recorded in order; no book is behind the business day, and the "
            "registry has sealed none after it",
            _placed,
        ),
        Check(
            "I11",
            "day seals: the root and the balances they bind are derived again from what was known",
            _sealed,
        ),
        log_stands(log=log, on_record=on_record),
        *OF_PARTS,
    )


# ---- sums over whole tables


async def _balanced(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store_audit.transactions(conn)
    for row in await store_audit.unbalanced(conn):
        seen.offence(
            f"{row.book_id} {row.position}: {row.party} in {row.currency} is off by {row.sum_minor}"
        )
    for row in await store_audit.unmirrored(conn):
        seen.offence(
            f"{row.book_id} {row.position}: {row.code} between {row.one} and {row.other} is off "
            f"by {row.sum_minor}"
        )


async def _trial(conn: AsyncConnection, seen: Seen) -> None:
    for row in await store_audit.trial_balances(conn):
        seen.looked_at += 1
        if row.sum_minor:
            seen.offence(f"{row.book_id}: the entries in {row.currency} sum to {row.sum_minor}")
    for row in await store_audit.pending_trial_balances(conn):
        seen.looked_at += 1
        if row.net_minor:
            seen.offence(
                f"{row.book_id}: what is pending in {row.currency} sums to {row.net_minor}"
            )


async def _folded(conn: AsyncConnection, seen: Seen) -> None:
    for table in ("ledger.account", "ledger.entry", "ledger.accrual"):
        seen.looked_at += await store_audit.rows_of(conn, table=table)
    for row in await store_audit.wrong_running_balances(conn):
        seen.offence(
            f"{row.book_id} {row.position}: entry {row.line} leaves {row.due}, not {row.stands}"
        )
    for row in await store_audit.wrong_balances(conn):
        name = f"account {row.account_no} ({row.code} of {row.party})"
        seen.offence(f"{row.book_id}: {name} comes to {row.due}, not {row.stands}")
    for row in await store_audit.miscounted_accounts(conn):
        seen.offence(f"{row.book_id}: {row.due} accounts are there, {row.stands} on record")
    for row in await store_audit_accruals.accruals_unlike_leaves(conn):
        seen.offence(f"{row.book_id}: accrual {row.accrual}: {accrual_flaw(row.due, row.stands)}")
    for row in await store_audit_accruals.accrued_unlike_accruals(conn):
        seen.offence(
            f"{row.book_id}: account {row.account_no}: accruals come to {row.due}, and "
            f"{row.stands} was posted"
        )


def accrual_flaw(due: dict[str, Any] | None, stands: dict[str, Any] | None) -> str:
    """What parts an accrual, column by column, from what its leaves make it."""
    if due is None:
        return "no leaf sets it"
    if stands is None:
        return "a leaf sets it, and it is not there"
    parted = [name for name in due if due[name] != stands[name]]
    return "; ".join(f"{name} comes to {due[name]}, not {stands[name]}" for name in parted)


async def _refused(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store_audit.refusals(conn)
    for row in await store_audit.refusals_that_post(conn):
        seen.offence(f"{row.book_id} {row.position}: a refusal with {row.entries} entries")
    for row in await store_audit.refusals_that_record(conn):
        seen.offence(
            f"{row.book_id} {row.position}: refused, and yet {row.other_book} {row.other} stands "
            "under the same command"
        )


# ---- guards and keys


def guard_flaws(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """Guards that are missing and those that nobody ordered, each list in its own order."""
    stand, due = set(found), set(expected)
    return [
        *(f"missing: {guard}" for guard in expected if guard not in stand),
        *(f"not ours: {guard}" for guard in found if guard not in due),
    ]


def _guarded(expected: Sequence[str], schemas: Sequence[str]) -> Check:
    async def run(conn: AsyncConnection, seen: Seen) -> None:
        found = await store_guards.guards(conn, schemas=schemas)
        seen.looked_at = len(expected)
        for flaw in guard_flaws(expected, [guard for guard in found if guard[:7] != "unique "]):
            seen.offence(flaw)

    says = (
        "guards of facts and entries: owners, row security, triggers, policies, rights, functions "
        "and roles are those of the program, so that nothing is updated or deleted"
    )
    return Check("I4", says, run)


def _once(expected: Sequence[str], schemas: Sequence[str]) -> Check:
    async def run(conn: AsyncConnection, seen: Seen) -> None:
        found = await store_guards.guards(conn, schemas=schemas)
        for flaw in guard_flaws(expected, [guard for guard in found if guard[:7] == "unique "]):
            seen.offence(flaw)
        keys = [key_of(guard) for guard in expected if guard.startswith("unique on ")]
        for table in sorted({table for table, _ in keys}):
            seen.looked_at += await store_audit.rows_of(conn, table=table)
        for table, names in keys:
            for row in await store_audit.repeated(conn, table=table, names=names):
                *values, rows = row
                key = ", ".join(_spoken(value) for value in values)
                seen.offence(f"{table} ({key}): in {rows} rows")

    says = (
        "rows: every key stands once, by constraint and in fact, so that no id and no command is "
        "processed twice"
    )
    return Check("I5", says, run)


def key_of(guard: str) -> tuple[str, list[str]]:
    """(table with schema, columns) of the guard of a primary key or a unique constraint."""
    match = _KEY.fullmatch(guard)
    assert match is not None, f"a guard of a key, not {guard}"
    return match["table"], [name.strip(' "') for name in match["columns"].split(",")]


def _spoken(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


# ---- one log after the other


async def _placed(conn: AsyncConnection, seen: Seen) -> None:
    for book in await store_audit.books(conn):
        last: Found | None = None
        latest: datetime | None = None
        due = 0
        async for row in store_audit.leaf_order(conn, book=book.book_id):
            seen.looked_at += 1
            for flaw in (
                place_flaw(row.position, due=due),
                day_flaw(row.booking_date, open_day=book.open_day, last=last),
                time_flaw(row.recorded_at, latest=latest),
            ):
                if flaw is not None:
                    seen.offence(f"{book.book_id} {row.position}: {flaw}")
            latest = row.recorded_at if latest is None else max(latest, row.recorded_at)
            last, due = row, row.position + 1
        if due != book.size:
            seen.offence(f"{book.book_id} {due}: the log ends here, the book says {book.size}")
        if last is not None and last.booking_date < book.open_day and last.kind != "seal":
            seen.offence(f"{book.book_id} {due}: {last.booking_date} was closed without a seal")
    for row in await store_audit.wrong_days(conn):
        stands = "is missing" if row.stands is None else f"begins at {row.stands}"
        seen.offence(f"{row.book_id} {row.position}: the book's day {row.day} {stands}")
    limits = await store_audit.day_limits(conn)
    flaw = business_day_flaw(limits.open_day, sealed=limits.sealed, first_open=limits.first_open)
    if flaw is not None:
        seen.offence(f"the business day: {flaw}")


def place_flaw(position: int, *, due: int) -> str | None:
    """What is wrong with a leaf's number."""
    return None if position == due else f"it stands where leaf {due} is due"


def business_day_flaw(
    open_day: date | None, *, sealed: date | None, first_open: date | None
) -> str | None:
    """What is wrong with the installation's open day.

    sealed      the last day sealed in the registry, which no run leaves out
    first_open  the first day that is open in a book
    It moves once every book is there: none is behind it, and no day after it is sealed.
    """
    if open_day is None:
        return None if first_open is None else "none is open, and there are books"
    if first_open is not None and open_day > first_open:
        return f"{open_day} is open, and {first_open} still in a book"
    if sealed is not None and open_day < sealed:
        return f"{open_day} is open, and {sealed} is sealed"
    return None


def day_flaw(booking_date: date, *, open_day: date, last: Found | None) -> str | None:
    """What is wrong with a leaf's booking date; last: the leaf before it (booking_date, kind)."""
    if booking_date > open_day:
        return f"booked on {booking_date}, and the open day is {open_day}"
    if last is None:
        return None
    if booking_date < last.booking_date:
        return f"booked on {booking_date}, after a leaf of {last.booking_date}"
    if booking_date == last.booking_date and last.kind == "seal":
        return f"booked on {booking_date}, a sealed day"
    if booking_date > last.booking_date and last.kind != "seal":
        return f"booked on {booking_date}, and {last.booking_date} was never sealed"
    return None


def time_flaw(recorded_at: datetime, *, latest: datetime | None) -> str | None:
    """What is wrong with a leaf's recorded time; latest: of all leaves before it."""
    if latest is not None and latest - recorded_at > CLOCK_SLACK:
        return f"recorded at {recorded_at}, after a leaf of {latest}"
    return None


async def _sealed(conn: AsyncConnection, seen: Seen) -> None:
    for book in await store_audit.books(conn):
        balances: dict[Account, int] = {}
        frontier, pending = merkle.EMPTY, list[bytes]()
        previous: int | None = None
        async for row, entries in store_audit.leaves_with_entries(
            conn, book=book.book_id, verbatim=False
        ):
            if row.kind == "seal" or len(pending) == store_audit.PAGE:
                frontier, _ = frontier.append(pending)
                pending = []
            if row.kind == "seal":
                seen.looked_at += 1
                flaw = seal_flaw(
                    row, previous=previous, root=frontier.root(), balances=balances, salt=book.salt
                )
                if flaw is not None:
                    seen.offence(f"{book.book_id} {row.position}: {flaw}")
                previous = row.position
            for line in entries:
                if line.code is None:
                    continue  # an entry without its account is named by I3
                account = Account(line.party, line.code, line.counterparty, line.ref, line.currency)
                balances[account] = balances.get(account, 0) + line.amount_minor
            pending.append(row.hash)


def seal_flaw(
    row: Found,
    *,
    previous: int | None,
    root: bytes,
    balances: dict[Account, int],
    salt: bytes | None,
) -> str | None:
    """What of a day seal is not so, or None.

    row             position, booking_date, and the leaf's subject as `seal`
    previous        position of the seal before it
    root, balances  of the leaves before it, derived again
    """
    try:
        seal = convert(row.seal, seals.DaySeal, place="$.subject")
    except WrongInput as error:
        return f"no day seal ({error})"
    if seal.day != row.booking_date:
        return f"it seals {seal.day} and was booked on {row.booking_date}"
    if (seal.size, seal.previous) != (row.position, previous):
        return f"it must seal {row.position} leaves after the seal at {previous}"
    if seal.root != root.hex():
        return "its root is not that of the leaves before it"
    if salt is None or len(salt) != seals.SALT_SIZE:
        return "the book's salt is gone"
    if seal.balances_root != seals.balances_root(balances, salt=salt, day=seal.day).hex():
        return "its balances are not those of the entries before it"
    return None


__all__ = ["MOST_NAMED", "Check", "Holding", "Seen", "checks", "look"]
