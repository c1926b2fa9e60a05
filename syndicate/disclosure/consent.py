"""Who agreed that who may see what, for which purpose and until when. It reads nothing to anyone.

A consent joins one borrower and one recipient for one purpose. Data about the people of the team is
personal: the firm's consent never opens it, each person's own consent does, one per receiving bank.

    scope (borrower, recipient, purpose, person)
        no consent -> version 1 -> version 2 ...     only the latest version counts
        any version -> withdrawn                     forward from there; a new version may follow

Withdrawal touches no past read: those stay in the log. Sources: 征信业管理条例 art. 18 and 20;
PIPL (个人信息保护法) art. 15, 23 and 29.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, Literal

import msgspec

from ledger.errors import Conflict, WrongInput
from ledger.signatures import Statement
from syndicate.parties.institutions import check_id
from syndicate.parties.statements import body_of, check_statement

FieldClass = Literal["financials", "intellectual_property", "orders", "tax", "credit", "team"]
PERSONAL: Final[frozenset[FieldClass]] = frozenset(("team",))
"""Classes that hold personal data and need the person's own consent."""

_PURPOSE: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,79}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is agreed, in opaque ids only.

    person    whose own consent it is, or None: the firm's
    purpose   a code, compared letter by letter, as "neg-7:assessment"
    until     the last day on which it allows a read
    version   1, 2, ... within (borrower, recipient, purpose, person)
    evidence  SHA-256 in hex of the person's written consent, which the borrower keeps; None for
              the firm's own
    """

    consent: str
    borrower: str
    person: str | None
    recipient: str
    purpose: str
    classes: tuple[FieldClass, ...]
    valid_from: date
    until: date
    version: int
    evidence: str | None


class GiveConsent(msgspec.Struct, frozen=True, kw_only=True):
    """The borrower agrees, or agrees anew with a higher version."""

    consent: Consent
    signed: Statement
    on: date


class WithdrawConsent(msgspec.Struct, frozen=True, kw_only=True):
    """The borrower, for itself or at a person's word, takes a consent back."""

    consent: str
    signed: Statement
    on: date


class ConsentGiven(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """From here on the consent allows reads; `signed` is the borrower's statement "consent"."""

    consent: Consent
    signed: Statement


class ConsentWithdrawn(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """From here on it allows none; `signed` is the statement "consent-withdrawal"."""

    consent: str
    borrower: str
    withdrawn_on: date
    signed: Statement


ConsentFact = ConsentGiven | ConsentWithdrawn


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a consent is about; at most one consent stands for it at a time."""

    borrower: str
    recipient: str
    purpose: str
    person: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The latest consent of a scope and whether it was taken back."""

    consent: Consent
    withdrawn: bool


class Consents(msgspec.Struct, frozen=True, kw_only=True):
    """Every scope's latest consent, and all ids ever used; a borrower names its own consents."""

    standing: dict[Scope, Standing]
    used: frozenset[str]


NO_CONSENTS: Final = Consents(standing={}, used=frozenset())


class StaleConsent(Conflict):
    """The version does not follow the one that stands."""

    code = "stale-consent"


class ConsentKnown(Conflict):
    """The id named another consent before."""

    code = "consent-known"


class NothingToWithdraw(Conflict):
    """No consent of this id stands: never given, replaced by a later version, or taken back."""

    code = "nothing-to-withdraw"


def consent_body(consent: Consent) -> dict[str, Any]:
    """What the borrower signs under the kind "consent"."""
    return body_of(consent)


def withdrawal_body(consent: str, *, on: date) -> dict[str, Any]:
    """What the borrower signs under the kind "consent-withdrawal"."""
    return {"consent": consent, "withdrawn_on": on.isoformat()}


def decide(state: Consents, move: GiveConsent | WithdrawConsent) -> tuple[ConsentFact, ...]:
    """The fact that follows from a move. The caller has verified the signature itself.

    Raises WrongInput, StaleConsent, ConsentKnown, NothingToWithdraw, NotTheirs, SaysOtherwise.
    """
    match move:
        case GiveConsent(consent=consent, signed=signed):
            _check(consent, on=move.on)
            if consent.consent in state.used:
                raise ConsentKnown(f"{consent.consent} is in use", consent=consent.consent)
            before = state.standing.get(scope_of(consent))
            due = 1 if before is None else before.consent.version + 1
            if consent.version != due:
                raise StaleConsent(
                    f"version {due} is due, not {consent.version}",
                    due=due,
                    version=consent.version,
                )
            check_statement(signed, kind="consent", by=consent.borrower, body=consent_body(consent))
            return (ConsentGiven(consent=consent, signed=signed),)
        case WithdrawConsent(consent=name, signed=signed):
            standing = _standing(state, name)
            if standing is None or standing.withdrawn:
                raise NothingToWithdraw(f"no consent {name} stands", consent=name)
            borrower = standing.consent.borrower
            body = withdrawal_body(name, on=move.on)
            check_statement(signed, kind="consent-withdrawal", by=borrower, body=body)
            return (
                ConsentWithdrawn(
                    consent=name, borrower=borrower, withdrawn_on=move.on, signed=signed
                ),
            )


def evolve(state: Consents, fact: ConsentFact) -> Consents:
    """The state after a fact."""
    match fact:
        case ConsentGiven(consent=consent):
            standing = Standing(consent=consent, withdrawn=False)
            return Consents(
                standing={**state.standing, scope_of(consent): standing},
                used=state.used | {consent.consent},
            )
        case ConsentWithdrawn(consent=name, borrower=borrower):
            return msgspec.structs.replace(
                state,
                standing={
                    scope: msgspec.structs.replace(standing, withdrawn=True)
                    if (scope.borrower, standing.consent.consent) == (borrower, name)
                    else standing
                    for scope, standing in state.standing.items()
                },
            )


def fold(facts: Iterable[ConsentFact]) -> Consents:
    """The state after all these facts, in the order of their positions."""
    state = NO_CONSENTS
    for fact in facts:
        state = evolve(state, fact)
    return state


def live(
    state: Consents, *, borrower: str, recipient: str, purpose: str, on: date
) -> tuple[Consent, ...]:
    """The consents that allow reads on the day: the firm's and each person's, by id.

    From `valid_from` to `until`, both included, unless withdrawn or replaced.
    """
    found = [
        standing.consent
        for scope, standing in state.standing.items()
        if (scope.borrower, scope.recipient, scope.purpose) == (borrower, recipient, purpose)
        and not standing.withdrawn
        and standing.consent.valid_from <= on <= standing.consent.until
    ]
    return tuple(sorted(found, key=lambda consent: consent.consent))


def scope_of(consent: Consent) -> Scope:
    """What the consent is about."""
    return Scope(
        borrower=consent.borrower,
        recipient=consent.recipient,
        purpose=consent.purpose,
        person=consent.person,
    )


def check_purpose(value: str, *, place: str) -> str:
    """The purpose code itself."""
    if _PURPOSE.fullmatch(value) is None:
        raise WrongInput(place, 'a purpose in lower case, as "neg-7:assessment"')
    return value


def _standing(state: Consents, name: str) -> Standing | None:
    for standing in state.standing.values():
        if standing.consent.consent == name:
            return standing
    return None


def _check(consent: Consent, *, on: date) -> None:
    place = "$.consent"
    for field in ("consent", "borrower", "recipient"):
        check_id(getattr(consent, field), place=f"{place}.{field}")
    check_purpose(consent.purpose, place=f"{place}.purpose")
    if consent.recipient == consent.borrower:
        raise WrongInput(f"{place}.recipient", "another institution than the borrower")
    if not consent.classes or len(set(consent.classes)) != len(consent.classes):
        raise WrongInput(f"{place}.classes", "field classes, each once")
    if consent.valid_from < on:
        raise WrongInput(f"{place}.valid_from", f"a day not before {on}: no consent works back")
    if consent.until < consent.valid_from:
        raise WrongInput(f"{place}.until", "a day not before valid_from")
    personal = PERSONAL & set(consent.classes)
    if personal and len(personal) != len(consent.classes):
        raise WrongInput(f"{place}.classes", "personal classes apart from the firm's own")
    if bool(personal) != (consent.person is not None):
        raise WrongInput(f"{place}.person", "whose consent it is for personal classes, else null")
    if consent.person is None:
        if consent.evidence is not None:
            raise WrongInput(f"{place}.evidence", "null where the firm itself consents")
        return
    check_id(consent.person, place=f"{place}.person")
    if consent.evidence is None or _SHA256.fullmatch(consent.evidence) is None:
        raise WrongInput(f"{place}.evidence", "SHA-256 in hex of the person's written consent")
