"""Which types of facts the logs can hold, of all packages together; it never reads a log.

The set is closed: a leaf's subject is one of these, so a filter by any other is a slip of the pen,
which no log could answer. tests/api/test_fact_types.py reads the packages' sources for more.
"""

from difflib import get_close_matches
from typing import Any, Final, get_args

from ledger import journal, moves, notes, seals, signatures
from ledger.errors import WrongInput
from negotiation import facts as of_negotiations
from syndicate.disclosure import consent, room
from syndicate.facility import drafts, log
from syndicate.facility import facts as of_facilities
from syndicate.parties import borrowers, institutions

_TAGGED: Final[tuple[Any, ...]] = (
    *get_args(of_facilities.Fact),
    *get_args(drafts.Draft),
    *get_args(of_negotiations.Fact),
    *get_args(consent.ConsentFact),
    room.FactOffered,
    borrowers.BorrowerRegistered,
    institutions.InstitutionRegistered,
    institutions.UserAdmitted,
    signatures.KeyRegistered,
    signatures.KeyRevoked,
    seals.DaySeal,
    notes.Head,
    journal.AccountTerms,
    journal.Voided,
)

FACT_TYPES: Final = frozenset(
    {struct.__struct_config__.tag for struct in _TAGGED}
    | {"AccrualSet", "AccrualEnded", "Accrued"}
    | set(moves.SUBJECTS)
    | log.BESIDE
    | {"Refused"}
)
"""What the `type` of a leaf's subject can be."""


def check_fact(fact: str | None) -> None:
    """Nothing: there can be facts of this type, or none is named. Raises WrongInput with all."""
    if fact is None or fact in FACT_TYPES:
        return
    (near,) = get_close_matches(fact, sorted(FACT_TYPES), n=1, cutoff=0)
    raise WrongInput("fact", f"a type of fact, as {near}; all: {', '.join(sorted(FACT_TYPES))}")
