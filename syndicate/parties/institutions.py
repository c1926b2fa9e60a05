"""Who takes part, in what roles, and what a role may do. It never authenticates anyone.

An institution is named by an opaque lower-case id that also names it as a party of a ledger book. A
user belongs to one institution and holds roles there; what a person may do is read from one table,
`MAY`. Whose deal it is, and whether the deal stands where the action fits, is decided elsewhere:
this table only says which hands an action needs.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from ledger.errors import Conflict, NotAllowed, WrongInput
from syndicate.reference.ids import check_uscc

InstitutionKind = Literal[
    "bank",
    "guarantor",
    "pool",
    "insurer",
    "fund",
    "lessor",
    "expert",
    "auditor",
    "borrower",
    "operator",
]
Role = Literal[
    "officer",  # 经办: makes
    "approver",  # 复核: checks
    "risk",
    "operations",
    "auditor",
    "operator",
    "borrower-representative",
]
Action = Literal[
    "register-institution",
    "admit-user",
    "register-key",
    "register-borrower",
    "give-consent",
    "withdraw-consent",
    "offer-fact",
    "read-room",
    "see-reads",
    "give-mandate",
    "end-mandate",
    "invite",
    "answer-invitation",
    "propose",
    "counter",
    "accept",
    "withdraw-proposal",
    "extend-deadline",
    "leave-negotiation",
    "open-book",
    "place-quote",
    "withdraw-quote",
    "clear-book",
    "check-rules",
    "ask-override",
    "grant-override",
    "draft-decision",
    "check-decision",
    "draw-term-sheet",
    "sign-term-sheet",
    "form-facility",
    "record-contract",
    "request-draw",
    "draft-release",
    "check-release",
    "instruct-payment",
    "confirm-payment",
    "raise-alert",
    "file-claim",
    "decide-claim",
    "draft-loss",
    "check-loss",
    "record-recovery",
    "read-negotiation",
    "read-ledger",
    "read-records",
    "save-query",
    "export-bundle",
    "open-house-book",
    "post-own",
    "close-day",
    "map-accounts",
    "submit-statement",
    "propose-break",
    "settle-break",
    "attest-reconciliation",
    "read-reconciliation",
    "attach-time-stamp",
]

ROLES_OF: Final[Mapping[InstitutionKind, tuple[Role, ...]]] = {
    "bank": ("officer", "approver", "risk", "operations", "auditor"),
    "guarantor": ("officer", "approver", "risk", "operations", "auditor"),
    "pool": ("officer", "approver", "risk", "operations", "auditor"),
    "insurer": ("officer", "approver", "risk", "operations", "auditor"),
    "fund": ("officer", "approver", "risk", "operations", "auditor"),
    "lessor": ("officer", "approver", "risk", "operations", "auditor"),
    "expert": ("officer",),
    "auditor": ("auditor",),
    "borrower": ("borrower-representative",),
    "operator": ("operator",),
}
"""The roles that a user of each kind of institution may hold."""

MAY: Final[Mapping[Action, tuple[Role, ...]]] = {
    "register-institution": ("operator",),
    "admit-user": ("operator",),
    "register-key": ("operator", "approver"),
    "register-borrower": ("operator", "officer"),
    "give-consent": ("borrower-representative",),
    "withdraw-consent": ("borrower-representative",),
    "offer-fact": ("officer", "borrower-representative"),
    "read-room": ("officer", "approver", "risk", "borrower-representative"),
    "see-reads": ("borrower-representative", "auditor"),
    "give-mandate": ("borrower-representative",),
    "end-mandate": ("borrower-representative", "approver"),
    "invite": ("officer",),
    "answer-invitation": ("officer",),
    "propose": ("officer",),
    "counter": ("officer",),
    "accept": ("officer",),
    "withdraw-proposal": ("officer",),
    "extend-deadline": ("officer",),
    "leave-negotiation": ("officer",),
    "open-book": ("officer",),
    "place-quote": ("officer",),
    "withdraw-quote": ("officer",),
    "clear-book": ("officer",),
    "check-rules": ("officer", "risk"),
    "ask-override": ("officer", "risk"),
    "grant-override": ("approver",),
    "draft-decision": ("officer",),
    "check-decision": ("approver",),
    "draw-term-sheet": ("officer",),
    "sign-term-sheet": ("approver", "borrower-representative"),
    "form-facility": ("officer", "approver"),
    "record-contract": ("officer", "operations"),
    "request-draw": ("borrower-representative",),
    "draft-release": ("operations",),
    "check-release": ("approver",),
    "instruct-payment": ("operations", "borrower-representative"),
    "confirm-payment": ("operations",),
    "raise-alert": ("officer", "risk", "operations"),
    "file-claim": ("officer", "operations"),
    "decide-claim": ("approver",),
    "draft-loss": ("officer",),
    "check-loss": ("approver",),
    "record-recovery": ("operations",),
    "read-negotiation": (
        "officer",
        "approver",
        "risk",
        "operations",
        "auditor",
        "borrower-representative",
    ),
    "read-records": ("officer", "approver", "risk", "operations", "auditor"),
    "read-ledger": (
        "officer",
        "approver",
        "risk",
        "operations",
        "auditor",
        "borrower-representative",
    ),
    "save-query": (
        "officer",
        "approver",
        "risk",
        "operations",
        "auditor",
        "borrower-representative",
    ),
    "export-bundle": ("auditor", "operator"),
    "open-house-book": ("operations",),
    "post-own": ("operations",),
    "close-day": ("operator",),
    "map-accounts": ("operations",),
    "submit-statement": ("operations",),
    "propose-break": ("operations",),
    "settle-break": ("approver",),
    "attest-reconciliation": ("approver",),
    "read-reconciliation": ("officer", "approver", "risk", "operations", "auditor"),
    "attach-time-stamp": ("operator",),
}
"""Which roles may do what; a pair that does not stand here is refused."""

SEPARATE: Final[tuple[frozenset[Role], ...]] = (
    frozenset(("officer", "approver")),
    frozenset(("officer", "auditor")),
    frozenset(("approver", "auditor")),
    frozenset(("risk", "auditor")),
    frozenset(("operations", "auditor")),
)
"""Roles no one person holds together: review apart from lending (审贷分离, Commercial Bank Law art.
35), and who audits writes nothing."""

_ID: Final = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
MAX_NAME: Final = 100


class InstitutionRegistered(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """An institution is on board. Borrowers are not: see `borrowers`.

    name, name_en  in Chinese and in English
    uscc           its code, checked as written; None where none is given
    illustrative   invented for a demonstration (示例), never to be taken for the real house
    """

    institution: str
    kind: InstitutionKind
    name: str
    name_en: str
    uscc: str | None
    illustrative: bool


class UserAdmitted(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag=True,
    tag_field="type",
):
    """A person, known by an opaque id only, holds these roles; a later admission replaces them."""

    user: str
    institution: str
    roles: tuple[Role, ...]


class AlreadyRegistered(Conflict):
    """The id is taken for ever, whatever stands behind it."""

    code = "already-registered"


class RoleNotHeld(NotAllowed):
    """None of the person's roles may do this."""

    code = "role-not-held"


def may(role: Role, action: Action) -> bool:
    """Whether the role's hands reach the action; deny by default."""
    return role in MAY.get(action, ())


def check_may(roles: tuple[Role, ...], action: Action) -> None:
    """Nothing: one of the roles may do it. Raises RoleNotHeld."""
    if not any(may(role, action) for role in roles):
        needed = " or ".join(MAY[action])
        raise RoleNotHeld(
            f"it needs the role {needed}; held: {', '.join(roles) or 'none'}",
            action=action,
            roles=roles,
        )


def check_id(value: str, *, place: str) -> str:
    """The id itself: it begins with a letter and has 2 to 40 of a-z, 0-9 and "-"."""
    if _ID.fullmatch(value) is None:
        raise WrongInput(place, 'a lower-case id of 2 to 40 characters, as "hzbank"')
    return value


def check_name(value: str, *, place: str) -> str:
    """The name itself: printable, without blanks at its ends, at most MAX_NAME characters."""
    if not 0 < len(value) <= MAX_NAME or value != value.strip() or not value.isprintable():
        raise WrongInput(place, f"a name of 1 to {MAX_NAME} printable characters")
    return value


def require_uscc(code: str, *, place: str) -> str:
    """The code itself, if it is a well formed USCC; WrongInput says what is not."""
    verdict = check_uscc(code)
    if not verdict.valid:
        raise WrongInput(place, f"a unified social credit code ({verdict.reason})")
    return code


def register_institution(
    known: Mapping[str, InstitutionRegistered],
    *,
    institution: str,
    kind: InstitutionKind,
    name: str,
    name_en: str,
    uscc: str | None,
    illustrative: bool,
) -> InstitutionRegistered:
    """The fact that brings an institution on board; `known` are those already there, by id.

    Raises WrongInput, AlreadyRegistered. A borrower is refused here: its name must stay out of the
    log.
    """
    check_id(institution, place="$.institution")
    if kind not in get_args(InstitutionKind):
        raise WrongInput("$.kind", f"one of {', '.join(get_args(InstitutionKind))}")
    if kind == "borrower":
        raise WrongInput("$.kind", "an institution; a borrower is registered as a borrower")
    check_name(name, place="$.name")
    check_name(name_en, place="$.name_en")
    if uscc is not None:
        require_uscc(uscc, place="$.uscc")
    if institution in known:
        raise AlreadyRegistered(f"{institution} is registered", institution=institution)
    return InstitutionRegistered(
        institution=institution,
        kind=kind,
        name=name,
        name_en=name_en,
        uscc=uscc,
        illustrative=illustrative,
    )


def admit_user(home: InstitutionRegistered, *, user: str, roles: tuple[Role, ...]) -> UserAdmitted:
    """The fact that gives a person roles in an institution; no roles dismisses the person.

    Raises WrongInput for a role the institution's kind does not have, or for two roles that no
    person may hold together.
    """
    check_id(user, place="$.user")
    allowed = ROLES_OF[home.kind]
    for index, role in enumerate(roles):
        if role not in allowed:
            raise WrongInput(f"$.roles[{index}]", f"a role of a {home.kind}: {', '.join(allowed)}")
    if len(set(roles)) != len(roles):
        raise WrongInput("$.roles", "each role once")
    for pair in SEPARATE:
        if pair <= set(roles):
            raise WrongInput("$.roles", f"not {' and '.join(sorted(pair))} in one person")
    return UserAdmitted(
        user=user,
        institution=home.institution,
        roles=tuple(role for role in allowed if role in roles),
    )
