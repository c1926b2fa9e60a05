"""Which of a bank's own accounts (科目) our figures stand on, by version and day (科目映射).

A mapping is the bank's own table: item -> code. Versions only follow one another; on a day counts
the latest version that was valid by then. Without one the items' own names are the codes. Two items
may share a code: they are then compared as one sum.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, Literal, get_args

import msgspec

from ledger.errors import Conflict, WrongInput
from syndicate.facility.checks import check_text

Item = Literal["principal", "overdue", "interest", "penalty", "compound", "cash"]
ITEMS: Final[tuple[Item, ...]] = get_args(Item)
MAX_CODE: Final = 40


class AccountMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a bank's table. codes: every item's code."""

    version: int
    valid_from: date
    codes: dict[Item, str]


PLAIN: Final = AccountMapping(version=0, valid_from=date.min, codes={item: item for item in ITEMS})
"""What counts where a bank has no table: the items' own names."""


class VersionsBackwards(Conflict):
    """The version would count before one that stands. Fields: valid_from, stands."""

    code = "versions-backwards"


def next_version(
    known: Sequence[AccountMapping], *, valid_from: date, codes: Mapping[Item, str]
) -> AccountMapping:
    """The mapping that follows those known. Raises WrongInput, VersionsBackwards.

    valid_from  not before the day the last version counts from, so that what a reconciliation of an
                earlier day used is never replaced
    """
    missing = [item for item in ITEMS if item not in codes]
    if missing:
        raise WrongInput(f"$.codes.{missing[0]}", "the account's code, one for every item")
    for item in ITEMS:
        check_text(codes[item], place=f"$.codes.{item}")
        if len(codes[item]) > MAX_CODE or codes[item] != codes[item].strip():
            raise WrongInput(f"$.codes.{item}", f"1 to {MAX_CODE} characters without blanks around")
    shared = [item for item in ITEMS if item != "cash" and codes[item] == codes["cash"]]
    if shared:
        raise WrongInput("$.codes.cash", f"an account of its own, not that of {shared[0]}")
    if known and valid_from < known[-1].valid_from:
        raise VersionsBackwards(
            f"version {known[-1].version} counts from {known[-1].valid_from}",
            valid_from=valid_from,
            stands=known[-1].valid_from,
        )
    return AccountMapping(
        version=len(known) + 1,
        valid_from=valid_from,
        codes={item: codes[item] for item in ITEMS},
    )


def in_force(known: Sequence[AccountMapping], on: date) -> AccountMapping:
    """The version that counts on the day; PLAIN before the first.

    known  in the order of their versions
    """
    counting = [mapping for mapping in known if mapping.valid_from <= on]
    return counting[-1] if counting else PLAIN
