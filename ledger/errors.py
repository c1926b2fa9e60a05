"""What can be wrong, drawn as a tree. No HTTP and no exit codes here; `api` maps the tree once.

    LiandaiError
    ├── WrongInput        the words are off: names the place and what was expected there
    └── Refused           the words are right and a rule says no; `code` is stable for ever
        ├── Absent        nothing there that the asker may see (absent and forbidden look alike)
        ├── NotAllowed    the asker may not do this, whatever the state
        └── Conflict      the state does not allow it now

Every package derives its refusals from the last three and gives them fields: what was asked, what
stood in the way.
"""

from typing import ClassVar


class LiandaiError(Exception):
    """Root of everything this product raises on purpose."""


class WrongInput(LiandaiError):
    """Input that cannot be read: nothing was decided and nothing stored.

    place     a JSON path ("$.quotes.hzbank.steps[0].amount") or an argument's name
    expected  what should have stood there, in plain words
    """

    def __init__(self, place: str, expected: str) -> None:
        super().__init__(f"{place}: expected {expected}")
        self.place = place
        self.expected = expected


class Refused(LiandaiError):
    """A rule said no. The state is as before; only the refusal itself may be recorded."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class Absent(Refused):
    """Nothing there, or nothing the asker may see: the two are never told apart."""

    code = "not-found"


class NotAllowed(Refused):
    """The asker's role, institution or consent does not reach this, whatever the state."""

    code = "not-allowed"


class Conflict(Refused):
    """The state does not allow it now."""

    code = "conflict"
