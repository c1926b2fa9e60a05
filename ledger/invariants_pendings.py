"""Do pendings resolve once, limits count them, reversals mirror once, on this database, now?

I6 and I9 are compared by the database itself, whole tables at once. I8 is taken again leaf by leaf
from the bytes, in the books that declare accounts: a limit must hold after every leaf, not only at
the end. None changes anything.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import store_audit_pendings as store
from ledger.entries import Account
from ledger.errors import LiandaiError
from ledger.holding import Check, Seen
from ledger.journal import AccountTerms, Journal
from ledger.replay import read_leaf, stored_as_leaf
from ledger.store import Found

PAGE: Final = 250


async def _resolved_once(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store.leaves_of(conn, kind="pending")
    for row in await store.pendings_unlike_leaves(conn):
        why = "a pending without its leaf" if row.no_leaf else "a pending leaf without its pending"
        seen.offence(f"{row.book_id} {row.position}: {why}")
    await _check_ends(conn, seen)
    for row in await store.lines_of_nothing(conn):
        seen.offence(f"{row.book_id} {row.position}: {row.lines} lines reserved by no pending")
    for row in await store.wrongly_resolved(conn):
        seen.offence(
            f"{row.book_id} {row.position}: {row.times} leaves resolve this pending, the first at "
            f"{row.due}; it is noted as resolved by {row.resolved_by}"
        )
    for row in await store.resolving_nothing(conn):
        seen.offence(
            f"{row.book_id} {row.position}: a {row.kind} of {row.of_leaf}, no earlier pending"
        )
    for row in await store.posted_beyond_pending(conn):
        seen.offence(
            f"{row.book_id} {row.position}: {row.posted} posted on {row.code} of {row.party}, "
            f"{row.pending} was pending"
        )
    for row in await store.resolved_at_the_wrong_time(conn):
        seen.offence(
            f"{row.book_id} {row.position}: a {row.kind} at {row.recorded_at} of a pending until "
            f"{row.expires_at}"
        )


async def _check_ends(conn: AsyncConnection, seen: Seen) -> None:
    """Each pending ends when its leaf says: by the row the database posts or refuses."""
    after = ("", -1)
    while page := await store.pendings_with_leaves(conn, after=after, limit=PAGE):
        for row in page:
            try:
                said = stored_as_leaf(read_leaf(row.bytes)).expires_at
            except LiandaiError:
                continue  # bytes that are no leaf are named by I13
            if said != row.expires_at:
                seen.offence(
                    f"{row.book_id} {row.position}: a pending until {row.expires_at}, and its leaf "
                    f"says {said}"
                )
        after = (page[-1].book_id, page[-1].position)


async def _within_limits(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store.leaves_of(conn, kind="account")
    for row in await store.wrong_pending_sums(conn):
        seen.offence(
            f"{row.book_id}: account {row.account_no} ({row.code} of {row.party}) has "
            f"{row.due_debit} and {row.due_credit} pending, not {row.debit} and {row.credit}"
        )
    for row in await store.books_that_forget_limits(conn):
        seen.offence(f"{row.book_id}: accounts have limits, and the book is noted as without any")
    for book in await store.books_with_terms(conn):
        journal = await _taken_again(conn, seen, book)
        if journal is not None:
            await _check_stored_terms(conn, seen, book, journal)


async def _taken_again(conn: AsyncConnection, seen: Seen, book: str) -> Journal | None:
    """The book after all its leaves; None where one could not be taken, which is told."""
    journal, after = Journal(), -1
    while page := await store.leaves_that_move(conn, book=book, after=after, limit=PAGE):
        for row in page:
            try:
                journal.take(stored_as_leaf(read_leaf(row.bytes)))
            except LiandaiError as error:
                seen.offence(f"{book} {row.position}: {error}")
                return None
        after = page[-1].position
    return journal


async def _check_stored_terms(
    conn: AsyncConnection, seen: Seen, book: str, journal: Journal
) -> None:
    stored = {_account(row): row for row in await store.limited_accounts(conn, book=book)}
    for account in sorted(stored.keys() | journal.terms.keys()):
        row, terms = stored.get(account), journal.terms.get(account)
        stands = (None, None, None) if row is None else (row.side, row.least_minor, row.most_minor)
        due = _bounds(terms)
        if stands != due:
            seen.offence(
                f"{book}: {account.code} of {account.party} is held to {stands}, not {due}"
            )


def _account(row: Found) -> Account:
    return Account(row.party, row.code, row.counterparty, row.ref, row.currency)


def _bounds(terms: AccountTerms | None) -> tuple[str | None, int | None, int | None]:
    return (None, None, None) if terms is None else (terms.side, terms.least, terms.most)


async def _mirrored_once(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store.leaves_of(conn, kind="reversal")
    for row in await store.reversals_unlike_leaves(conn):
        why = "noted as a reversal" if row.no_leaf else "a reversal that is not noted as one"
        seen.offence(f"{row.book_id} {row.position}: {why}")
    for row in await store.repeated_reversals(conn):
        seen.offence(f"{row.book_id} {row.position}: {row.of_leaf} is reversed {row.times} times")
    for row in await store.reversals_of_nothing(conn):
        seen.offence(
            f"{row.book_id} {row.position}: a reversal of {row.of_leaf}, no earlier transaction "
            "or posting"
        )
    for row in await store.unlike_mirrors(conn):
        seen.offence(
            f"{row.book_id} {row.position}: entry {row.line} is not the mirror of what is reversed"
        )


CHECKS: Final = (
    Check(
        "I6",
        "pendings: each is posted or voided at most once, in time, and posts at most what was "
        "pending",
        _resolved_once,
    ),
    Check(
        "I8",
        "declared accounts: within their limits after every leaf, what is pending counted",
        _within_limits,
    ),
    Check(
        "I9",
        "reversals: at most one of each transaction or posting, and its exact mirror",
        _mirrored_once,
    ),
)
