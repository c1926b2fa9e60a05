"""How a question of the model is put to the ledger, and how its answer reads in the model's words.

This is the one place where the two vocabularies meet: plain tuples and ints on one side, leaves,
Structs and refusals on the other.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from ledger.entries import Account, Entry
from ledger.errors import LiandaiError, Refused, WrongInput
from ledger.leaves import SYSTEM, Actor, Leaf
from tests.campaign.model import AccountName, Ask, Verdict

FIRST_DAY = date(2024, 3, 1)
BEGUN = datetime(2024, 3, 1, 9, tzinfo=UTC)
ACTOR = Actor(institution="alfa", user="someone")


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def entries(lines: tuple[tuple[AccountName, int], ...]) -> tuple[Entry, ...]:
    return tuple(Entry(Account(*name), amount) for name, amount in lines)


def leaf_of(ask: Ask, *, book: str, begun: datetime = BEGUN, actor: Actor = ACTOR) -> Leaf:
    """The leaf that says exactly this, allowed or not."""
    return Leaf(
        book=book,
        kind=ask.kind,
        leaf_id=ask.name,
        subject=_subject(ask),
        entries=entries(ask.lines),
        value_date=day(ask.value_day),
        booking_date=day(ask.booking_day),
        recorded_at=begun + timedelta(seconds=ask.at),
        actor=SYSTEM if ask.by_clock else actor,
        corrects=ask.corrects,
        of=ask.of,
        expires_at=None if ask.ends is None else begun + timedelta(seconds=ask.ends),
    )


def _subject(ask: Ask) -> dict[str, Any]:
    if ask.kind == "void":
        return {"type": "Voided", "reason": "expired" if ask.says_over else "asked"}
    if ask.terms is None:
        return {"type": "OwnPosting", "reference": "1"}
    (party, code, counterparty, ref, currency), side, least, most = ask.terms
    account = {
        "party": party,
        "code": code,
        "counterparty": counterparty,
        "ref": ref,
        "currency": currency,
    }
    return {
        "type": "AccountTerms",
        "account": account,
        "side": side,
        "least_minor": least,
        "most_minor": most,
    }


def verdict_of(error: LiandaiError) -> Verdict:
    """The refusal in the model's words."""
    if isinstance(error, WrongInput):
        return Verdict("wrong-input")
    assert isinstance(error, Refused), error
    if error.code != "limit-exceeded":
        return Verdict(error.code)
    account = msgspec.convert(error.fields["account"], Account, from_attributes=True)
    limit, would_be = error.fields["limit"], error.fields["would_be_minor"]
    assert isinstance(would_be, int)
    return Verdict(error.code, (name_of(account), str(limit), would_be))


@cache
def name_of(account: Account) -> AccountName:
    """An account's plain tuple."""
    return (account.party, account.code, account.counterparty, account.ref, account.currency)
