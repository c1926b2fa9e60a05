"""A facility is what was negotiated and signed, or is named by book and index."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from negotiation.moves import RecordFacility
from negotiation.termsheet import facility_terms
from syndicate.facility.terms import terms_hash
from tests.negotiation.deals import says
from tests.negotiation.logged import (
    BOOK,
    FACILITY,
    Logged,
    check_wrong,
    signed_and_formed,
    table,
    without_a_name,
)

# ---- the facility and what was negotiated


def on_other_terms(play: Logged) -> None:
    play.in_hand().signed()
    other = replace(play.terms(), rate=replace(play.terms().rate, spread_bp=-14))
    play.form(play.sheets(terms_hash=terms_hash(other)), other)
    play.do(RecordFacility(terms=play.terms()))


def of_a_negotiation_that_was_ended(play: Logged) -> None:
    play.in_hand().ended("hzbank")
    play.form(play.sheets())


def of_no_sheet(play: Logged) -> None:
    play.cleared().judged()
    play.decided()
    posted = facility_terms(play.now, facility=FACILITY, signed_on=play.on)
    body = {"negotiation": BOOK, "facility": FACILITY, "terms_hash": terms_hash(posted)}
    play.form(tuple(says("term-sheet", body, by=party) for party in posted.parties), posted)


def signed_by_one_less(play: Logged) -> None:
    play.in_hand()
    for party in play.terms().parties[:-1]:
        play.sign(party)
    play.form(play.sheets())


def by_other_signatures(play: Logged) -> None:
    play.in_hand().signed()
    play.form(play.sheets(term_sheet="ab" * 32))
    play.do(RecordFacility(terms=play.terms()))


def of_two_negotiations(play: Logged) -> None:
    play.in_hand().signed()
    play.form((*play.sheets()[:-1], play.sheets(negotiation="neg-7")[-1]))


def of_a_number(play: Logged) -> None:
    play.in_hand().signed()
    play.form(play.sheets(negotiation=7))


def of_a_book_that_is_none(play: Logged) -> None:
    play.in_hand().signed()
    play.form(play.sheets(negotiation="registry"))


def of_another_negotiation_than_formed_it(play: Logged) -> None:
    play.in_hand().signed()
    play.form(play.sheets(negotiation="neg-7"))
    play.do(RecordFacility(terms=play.terms()))


def of_none_although_one_formed_it(play: Logged) -> None:
    play.in_hand().signed()
    play.form(without_a_name(play))
    play.do(RecordFacility(terms=play.terms()))


FORMED: dict[str, tuple[Callable[[Logged], None], str]] = {
    # the facility is formed                                  and found for
    "on other terms than signed": (on_other_terms, "terms are not the signed ones"),
    "by a negotiation that was ended": (of_a_negotiation_that_was_ended, "neg-1 was ended"),
    "without a sheet": (of_no_sheet, "a term sheet drawn in neg-1"),
    "with a signature too many": (signed_by_one_less, "$.subject.signatures[3]"),
    "by other signatures": (by_other_signatures, "$.subject.signatures[0].body.term_sheet"),
    "by two negotiations": (of_two_negotiations, "signatures that name one negotiation"),
    "by a negotiation without a name": (of_a_number, "signatures that name one negotiation"),
    "by a book of another kind": (of_a_book_that_is_none, "a negotiation in the book registry"),
    "by another than it names": (
        of_another_negotiation_than_formed_it,
        "neg-1, which formed fac-1",
    ),
    "by one that it does not name": (of_none_although_one_formed_it, "neg-1, which formed fac-1"),
}


@pytest.mark.parametrize("case", FORMED)
def test_a_facility_that_is_not_what_was_negotiated_is_named(case: str) -> None:
    tell, says_so = FORMED[case]
    play = table()
    tell(play)
    check_wrong(play.of, FACILITY, 0, says_so)


def test_a_facility_is_found_where_it_was_formed_behind_other_leaves() -> None:
    play = table()
    play.of.append(FACILITY, "first", {"type": "StatementReceived"})
    on_other_terms(play)
    check_wrong(play.of, FACILITY, 1, "terms are not the signed ones")


def test_what_was_signed_forms_one_facility_in_its_own_book() -> None:
    play = signed_and_formed()
    play.form(tuple(play.now.signatures.values()), book="fac-2")
    check_wrong(play.of, "fac-2", 0, "$.subject.terms.facility: expected fac-2")
