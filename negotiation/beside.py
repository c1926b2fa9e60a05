"""What other books of a bundle hold of a negotiation's ground: consents, and other mandates.

Leaves of different books have no common order but the service's clock, so what is found here is
what is true whichever came first: `reperform` says what that leaves open.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Final, get_args

from ledger.documents import convert
from ledger.errors import LiandaiError
from ledger.leaves import Leaf
from ledger.replay import REGISTRY
from negotiation.facts import Fact, MandateEnded, MandateGiven, fact_of
from negotiation.mandate import Mandate
from syndicate.disclosure.consent import (
    Consent,
    ConsentGiven,
    Consents,
    ConsentWithdrawn,
    Standing,
    consent_body,
    scope_of,
)
from syndicate.parties.statements import check_statement

KINDS: Final = frozenset(kind.__name__ for kind in get_args(Fact))
"""The types of the subjects that the records of a negotiation have."""


def is_negotiation(leaves: Sequence[Leaf]) -> bool:
    """Whether a fact of a negotiation is recorded among them, wherever."""
    return any(_is_fact(leaf) for leaf in leaves)


class Beside:
    """What other books hold of a negotiation's ground: consents, and the borrower's mandates."""

    def __init__(self, books: Mapping[str, Sequence[Leaf]]) -> None:
        self._given: list[Consent] = []
        self._withdrawn: dict[tuple[str, str], tuple[date, datetime]] = {}
        for leaf in books.get(REGISTRY, ()):
            if leaf.kind == "consent":
                self._note(leaf)
        self._mandates = [
            one
            for leaves in books.values()
            if is_negotiation(leaves)
            for one in _mandates_in(leaves)
        ]

    def _note(self, leaf: Leaf) -> None:
        """A consent counts where the borrower's signature stands under exactly its words."""
        try:
            fact: ConsentGiven | ConsentWithdrawn = convert(
                leaf.subject,
                ConsentGiven | ConsentWithdrawn,  # type: ignore[arg-type]
                place="$.subject",
            )
            if isinstance(fact, ConsentWithdrawn):
                about = (fact.borrower, fact.consent)
                self._withdrawn[about] = (fact.withdrawn_on, leaf.recorded_at)
                return
            consent = fact.consent
            body = consent_body(consent)
            check_statement(fact.signed, kind="consent", by=consent.borrower, body=body)
        except LiandaiError:
            return
        self._given.append(consent)

    def consents(self, leaf: Leaf) -> Consents:
        """Those that cover the day of the leaf and were not withdrawn on a day before it."""
        on = leaf.booking_date
        standing = {
            scope_of(consent): Standing(consent=consent, withdrawn=False)
            for consent in self._given
            if consent.valid_from <= on <= consent.until and not self._over(consent, leaf)
        }
        return Consents(standing=standing, used=frozenset())

    def _over(self, consent: Consent, leaf: Leaf) -> bool:
        withdrawn = self._withdrawn.get((consent.borrower, consent.consent))
        if withdrawn is None:
            return False
        return withdrawn[0] < leaf.booking_date and withdrawn[1] < leaf.recorded_at

    def mandates(self, leaf: Leaf, mandate: Mandate) -> tuple[tuple[Mandate, ...], bool]:
        """The other mandates given before this leaf and never ended; whether others were.

        Of those that ended nobody can say here whether it was in time.
        """
        about = (mandate.borrower, mandate.project)
        before = [
            (one, ended)
            for one, given_at, ended in self._mandates
            if one.negotiation != leaf.book
            and (one.borrower, one.project) == about
            and (given_at, one.negotiation) < (leaf.recorded_at, leaf.book)
        ]
        return tuple(one for one, ended in before if not ended), any(ended for _, ended in before)


def _mandates_in(leaves: Sequence[Leaf]) -> Iterator[tuple[Mandate, datetime, bool]]:
    """The mandate of a negotiation, when it was given, and whether it was ended."""
    types = {leaf.subject.get("type") for leaf in leaves if _is_fact(leaf)}
    for leaf in leaves:
        if _is_fact(leaf) and leaf.subject["type"] == MandateGiven.__name__:
            try:
                fact = fact_of(leaf.subject)
            except LiandaiError:
                return
            assert isinstance(fact, MandateGiven), "of that type"
            yield fact.mandate, leaf.recorded_at, MandateEnded.__name__ in types
            return


def _is_fact(leaf: Leaf) -> bool:
    return leaf.kind == "record" and leaf.subject.get("type") in KINDS
