"""What an institution may do in its own book beyond plain postings, and how a repeat differs.

The rules of a house book (see `house`) for every move: its own accounts only, no debts, references
that are numbers. It never judges the state of the book: `moves` has that done.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import house, moves, store_pendings
from ledger.entries import MIRRORED
from ledger.errors import NotAllowed, WrongInput
from ledger.house import MAX_BATCH, PostOwn
from ledger.journal import AccountTerms, check_terms
from ledger.moves import (
    Asked,
    Declare,
    Entered,
    Move,
    Post,
    PostPending,
    Reserve,
    Reverse,
    VoidPending,
)
from ledger.store import Found

MOST_NAMED: Final = 5
"""How many differences of a repeat are named; there may be more."""


async def enter_own(conn: AsyncConnection, asked: Asked) -> Entered:
    """All moves stand in the asker's own book, or none.

    Raises NotAHouseBook, NotAllowed, Absent for a book that is not the asker's, WrongInput with the
    place, and the refusals of `journal`.
    """
    house.check_house_book(asked.book)
    if not 1 <= len(asked.moves) <= MAX_BATCH:
        raise WrongInput("$.operations", f"1 to {MAX_BATCH} operations")
    for move, place in zip(asked.moves, asked.places, strict=True):
        try:
            _check_move(move, owner=asked.actor.institution)
        except WrongInput as error:
            raise WrongInput(error.place.replace("$", place, 1), error.expected) from error
    return await moves.enter(conn, asked)


def _check_move(move: Move, *, owner: str) -> None:
    if isinstance(move, Post | Reserve | Reverse):
        house.check_reference(move.reference)
    if isinstance(move, Post | Reserve | PostPending) and move.entries is not None:
        house.check_own_entries(move.entries, owner=owner)
    if isinstance(move, Declare):
        account = move.terms.account
        if account.party != owner:
            raise NotAllowed(f"{account.party} has no accounts in a house book of {owner}")
        if account.code.startswith(MIRRORED):
            raise WrongInput("$.code", f"no `{MIRRORED}` account: a debt has two parties")
        _check_terms(move.terms)


def _check_terms(terms: AccountTerms) -> None:
    """Nothing: an account can be held to them. The request has no `account`: it is said flat."""
    try:
        check_terms(terms, place="$")
    except WrongInput as error:
        raise WrongInput(error.place.replace("$.account", "$", 1), error.expected) from error


# ---- how a repeat differs


def as_moves(asked: PostOwn) -> Asked:
    """The same command in terms of moves."""
    return Asked(
        book=asked.book,
        moves=tuple(
            Post(
                value_date=one.value_date,
                reference=one.reference,
                entries=one.entries,
                corrects=one.corrects,
            )
            for one in asked.postings
        ),
        places=tuple(f"$[{nth}]" if asked.bulk else "$" for nth in range(len(asked.postings))),
        command=asked.command,
        actor=asked.actor,
        now=asked.now,
    )


async def differences(conn: AsyncConnection, asked: Asked) -> list[str]:
    """How the command differs from what was recorded under its name in the same book.

    At most MOST_NAMED, each with its place, as "$.entries[1].amount_minor was 500, now 600"; none
    where the earlier leaves cannot tell: it was refused, or about another book or thing.
    """
    ids = [f"{asked.command}:{nth}" for nth in range(MAX_BATCH if len(asked.moves) > 1 else 2)]
    stood = await store_pendings.leaves(conn, book=asked.book, leaf_ids=ids)
    if not stood:
        return []
    found = []
    if len(stood) != len(asked.moves):
        found.append(f"$ was {len(stood)} operations, now {len(asked.moves)}")
    for move, row, place in zip(asked.moves, stood, asked.places, strict=False):
        found += _differing(_was(row), _now(move), place=place)
    return found[:MOST_NAMED]


def _differing(was: dict[str, Any], now: dict[str, Any], *, place: str) -> list[str]:
    """Fields are compared of one kind of operation only: those of two kinds mean different things.

    place  where its fields stand: in a batch in a field named by the kind
    """
    if was["what"] == now["what"]:
        return compared(was, now, place=place)
    return compared(was["what"], now["what"], place=place.removesuffix(f".{now['what']}"))


def _was(row: Found) -> dict[str, Any]:
    """What the request must have said, as far as its leaf can tell."""
    said: dict[str, Any] = {"what": row.kind, "value_date": row.value_date.isoformat()}
    said["entries"] = [
        {name: line[name] for name in ("code", "ref", "currency", "amount_minor")}
        for line in row.lines
    ]
    said |= {
        "reference": row.subject.get("reference"),
        "corrects": row.corrects,
        "pending": row.of_leaf,
        "transaction": row.of_leaf,
        "lasts_seconds": None,
    }
    if row.expires_at is not None:
        said["lasts_seconds"] = int((row.expires_at - row.recorded_at).total_seconds())
    if row.kind == "account":
        account = row.subject["account"]
        said |= {name: account[name] for name in ("code", "ref", "currency")}
        said |= {name: row.subject[name] for name in ("side", "least_minor", "most_minor")}
    return said


def _now(move: Move) -> dict[str, Any]:
    """What the request says, without what it leaves to the service."""
    match move:
        case Declare():
            said = msgspec.to_builtins(move.terms)
            account = said.pop("account")
            fields = {name: account[name] for name in ("code", "ref", "currency")}
            return {"what": "account", **fields, **{n: said[n] for n in _TERMS}}
        case Post() | Reserve() | PostPending() | VoidPending() | Reverse():
            said = {
                name: value
                for name, value in msgspec.to_builtins(move).items()
                if value is not None or name not in ("entries", "value_date")
            }
            if said.get("entries") is not None:
                said["entries"] = [
                    {n: line["account"][n] for n in ("code", "ref", "currency")}
                    | {"amount_minor": line["amount_minor"]}
                    for line in said["entries"]
                ]
            return {"what": _KINDS[type(move)], **said}


_TERMS: Final = ("side", "least_minor", "most_minor")
_KINDS: Final[Mapping[type[Any], str]] = {
    Post: "transaction",
    Reserve: "pending",
    PostPending: "posting",
    VoidPending: "void",
    Reverse: "reversal",
}


def compared(was: Any, now: Any, *, place: str) -> list[str]:
    """Where two JSON values differ, in order: "<place> was <value>, now <value>".

    A field that `now` leaves out is not compared.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        return [
            line
            for name in now
            for line in compared(was.get(name), now[name], place=f"{place}.{name}")
        ]
    if isinstance(was, list) and isinstance(now, list):
        found = [
            line
            for nth, (one, other) in enumerate(zip(was, now, strict=False))
            for line in compared(one, other, place=f"{place}[{nth}]")
        ]
        if len(was) != len(now):
            found.insert(0, f"{place} was {len(was)} long, now {len(now)}")
        return found
    if was == now:
        return []
    return [f"{place} was {_spoken(was)}, now {_spoken(now)}"]


def _spoken(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# ---- what stands


async def standing_pendings(
    conn: AsyncConnection, *, book: str, size: int | None, after: int, limit: int
) -> Sequence[Found]:
    """The book's unresolved pendings in log order, after a position; see `store_pendings`.

    size  as the book was when it held so many leaves; None: as it stands now, published or not
    """
    if size is None:
        return await store_pendings.standing(conn, book=book, after=after, limit=limit)
    return await store_pendings.standing_at(conn, book=book, size=size, after=after, limit=limit)


async def accounts(conn: AsyncConnection, *, book: str, after: int, limit: int) -> Sequence[Found]:
    """The asker's accounts in the book with terms and standing, by number, after a number."""
    return await store_pendings.accounts(conn, book=book, after=after, limit=limit)
