"""Questions of a bank to its own book, as it puts them: moves under one command, alone or several.

Beside each move stands what the model is to judge, and which flaw the move was given on purpose.
"""

from random import Random
from typing import Final

import msgspec

from ledger.entries import Account
from ledger.journal import AccountTerms
from ledger.moves import (
    MAX_SECONDS,
    Declare,
    Move,
    Post,
    PostPending,
    Reserve,
    Reverse,
    VoidPending,
)
from tests.campaign.asking import Asker
from tests.campaign.leafing import day, entries
from tests.campaign.model import Ask, Model, Verdict, is_formed, is_whole

FLAWED: Final = 0.06
WRONG: Final = Verdict("wrong-input")


class OwnMove(msgspec.Struct, frozen=True):
    """A move, its question to the model, and its flaw.

    foreign  refused before the book is looked at; flaw: once it is held, before its state is
    """

    move: Move
    ask: Ask
    foreign: Verdict | None
    flaw: Verdict | None


def own_move(dice: Random, asker: Asker, model: Model, name: str, *, at: int) -> OwnMove:
    """One more move, as the book stands once all before it has happened."""
    ask = asker.ask(model, name, at=at)._replace(by_clock=False, says_over=False)
    if ask.kind == "reversal":
        return _reversal(ask, model)
    if ask.kind == "transaction" and dice.random() < 0.1 and model.log:
        ask = ask._replace(corrects=dice.choice((dice.choice(model.log).name, "nobody")))
    flaw, foreign = None, None
    move: Move
    match ask.kind:
        case "transaction":
            move = Post(
                value_date=day(ask.value_day),
                reference="1/2",
                entries=entries(ask.lines),
                corrects=ask.corrects,
            )
        case "pending":
            lasts = None if ask.ends is None else ask.ends - at
            move = Reserve(
                value_date=day(ask.value_day),
                reference="1/2",
                entries=entries(ask.lines),
                lasts_seconds=lasts,
            )
        case "posting":
            stands = model.standing.get(ask.of or "", {"lines": None})["lines"]
            is_whole_of_it = stands == list(ask.lines) and dice.random() < 0.5
            move = PostPending(
                pending=ask.of or "",
                entries=None if is_whole_of_it else entries(ask.lines),
                value_date=day(ask.value_day),
            )
        case "void":
            move = VoidPending(pending=ask.of or "")
        case _:
            assert ask.terms is not None
            account, side, least, most = ask.terms
            move = Declare(
                terms=AccountTerms(
                    account=Account(*account),
                    side=side,  # type: ignore[arg-type]
                    least_minor=least,
                    most_minor=most,
                )
            )
            is_loose = (side == "debit" and (least or 0) < 0) or (
                side == "credit" and (most or 0) > 0
            )
            flaw = WRONG if is_loose else None
    if dice.random() < FLAWED:
        move, foreign, flaw = _flawed(dice, move, model, flaw)
    if foreign is None and isinstance(move, Declare) and not is_formed(ask):
        foreign = WRONG  # terms that no account could be held to
    if foreign is None and flaw is None and not (is_formed(ask) and is_whole(ask)):
        flaw = WRONG
    return OwnMove(move, ask, foreign, flaw)


def _reversal(ask: Ask, model: Model) -> OwnMove:
    """Its lines are not said: they are those of what it reverses, and so is its value date."""
    of = ask.of or ""
    move = Reverse(transaction=of, reference="1/2", value_date=None)
    if of not in model.reversible:
        code = "not-reversible" if of in model.names else "not-found"
        return OwnMove(move, ask, None, Verdict(code))
    (original,) = [one for one in model.log if one.name == of]
    lines = tuple((name, -amount) for name, amount in original.lines)
    return OwnMove(move, ask._replace(lines=lines, value_day=original.value_day), None, None)


def _flawed(
    dice: Random, move: Move, model: Model, flaw: Verdict | None
) -> tuple[Move, Verdict | None, Verdict | None]:
    """(the move with one thing wrong, refused before the book is looked at, or after)"""
    replace = msgspec.structs.replace
    match move, dice.randrange(5):
        case (Post() | Reserve(), 0):
            return (
                replace(move, reference=dice.choice(("", " ", "Wang Wei", "x" * 81))),
                WRONG,
                flaw,
            )
        case (Post() | Reserve(), 1):
            return replace(move, value_date=day(model.day + 1)), None, WRONG
        case (Post() | Reserve() | PostPending(), 2) if move.entries:
            first, *rest = move.entries
            account = replace(first.account, party="beta")
            return (
                replace(move, entries=(replace(first, account=account), *rest)),
                Verdict("not-allowed"),
                flaw,
            )
        case (Post() | Reserve() | PostPending(), 3) if move.entries:
            first, *rest = move.entries
            account = replace(first.account, code="due.principal", counterparty="beta")
            return replace(move, entries=(replace(first, account=account), *rest)), WRONG, flaw
        case (Post() | Reserve() | PostPending(), 4) if move.entries:
            first, *rest = move.entries
            changed = replace(first, amount_minor=first.amount_minor + 1)
            return replace(move, entries=(changed, *rest)), None, WRONG
        case (Reserve(), _):
            return replace(move, lasts_seconds=dice.choice((0, -1, MAX_SECONDS + 1))), None, WRONG
        case (Declare(), _):
            account = replace(move.terms.account, party="beta")
            terms = replace(move.terms, account=account)
            return replace(move, terms=terms), Verdict("not-allowed"), flaw
    return move, None, flaw
