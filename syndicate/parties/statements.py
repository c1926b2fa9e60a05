"""Whether a signed statement says what it must, by the party that must say it.

`ledger.signatures` says whether the signature holds and whose key it is; the caller asks it first.
Here a state machine checks that the right party said exactly the right thing under the right kind,
so that no signature given for one purpose serves another.
"""

from typing import Any

import msgspec

from ledger.documents import canonical
from ledger.errors import NotAllowed, WrongInput
from ledger.signatures import Statement

__all__ = ["NotTheirs", "SaysOtherwise", "Statement", "body_of", "check_statement"]


class SaysOtherwise(WrongInput):
    """The words that were signed are not what is being done."""


class NotTheirs(NotAllowed):
    """Signed by somebody else than the party whose word is needed."""

    code = "not-their-signature"


def body_of(words: msgspec.Struct) -> dict[str, Any]:
    """The struct as the JSON object that stands under a signature."""
    body: dict[str, Any] = msgspec.json.decode(canonical(words))
    return body


def check_statement(statement: Statement, *, kind: str, by: str, body: dict[str, Any]) -> None:
    """Nothing: the statement is of this kind, by this party, and its body equals `body`.

    Bodies are compared by their canonical bytes (RFC 8785): 1 and true differ, key order does not.
    Raises NotTheirs, SaysOtherwise.
    """
    if statement.by != by:
        raise NotTheirs(f"{kind} must be signed by {by}", by=statement.by, needed=by)
    if statement.kind != kind:
        raise SaysOtherwise("$.signed.kind", f'"{kind}"')
    said = canonical(body)
    if canonical(statement.body) != said:
        raise SaysOtherwise("$.signed.body", "exactly what is done: " + said.decode("utf-8"))
