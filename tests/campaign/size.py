"""How long a campaign lasts, and by which seed it begins. Everything here is told from outside."""

import os
import secrets
from typing import Final

KIND: Final = os.environ.get("LIANDAI_CAMPAIGN", "test")
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
    raise ValueError(f"LIANDAI_CAMPAIGN: test, short or full, not {KIND}")


def first_seed() -> int:
    """The asked one; 1 in tests, so that they do the same each time; otherwise any."""
    asked = os.environ.get("LIANDAI_CAMPAIGN_SEED")
    if asked is not None:
        return int(asked)
    return 1 if KIND == "test" else secrets.randbelow(10**9)


def seconds() -> int:
    """How long one campaign may take, for pytest's timeout."""
    return 600 if KIND == "test" else 6 * 3600
