"""How long a campaign lasts, and by which seed it begins. Everything here is told from outside."""

import os
import secrets
from functools import cache
from typing import Final

KIND: Final = os.environ.get("CAMPAIGN", "test")
"""test, short or full."""


def size(*, test: int, full: int) -> int:
    """How many of something this campaign does: a tenth of the full number in a short one."""
    match KIND:
        case "test":
            return test
        case "short":
            return max(test, full // 10)
        case "full":
            return full
    raise ValueError(f"CAMPAIGN: test, short or full, not {KIND}")


@cache
def first_seed() -> int:
    """The asked one; 1 in tests, so that they do the same each time; otherwise any, one a run."""
    asked = os.environ.get("CAMPAIGN_SEED")
    if asked is not None:
        return int(asked)
    return 1 if KIND == "test" else secrets.randbelow(10**9)


def tell(what: str, figures: object) -> None:
    """One line: by which seed the campaign began, what it did, and what came of it."""
    print(f"\nseed {first_seed()}: {what}: {figures}")
