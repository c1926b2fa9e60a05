"""Whether a bundle's deals follow from their terms: the ledger's verdict, then each book of a deal.

`ledger.verify` says whether the log holds; of a bundle that does, every negotiation is computed
again (`negotiation.reperform`), then every facility (`syndicate.facility.reperform`), by the
fixings and working days in the bundle, and each facility is held against the negotiation it comes
from. A table that contradicts the program's own makes the answer no; one that goes further is used,
and said to be. It joins their answers and judges nothing itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from api import attachments
from ledger import bundle
from ledger.documents import read_json
from ledger.errors import LiandaiError
from ledger.leaves import Leaf
from ledger.notes import Policy
from ledger.replay import read_leaf, stored_as_leaf
from ledger.verify import NOT_COMPUTED, verify
from negotiation import reperform as negotiation
from negotiation.beside import is_negotiation
from syndicate.facility.reperform import FORMED, Reperformed, reperform
from syndicate.reference import lpr, published
from syndicate.rules.packs import PACKS

NOT_REPERFORMED = (
    "that the fixings and working days in the bundle are the published ones, beyond the program's",
    "readings of borrower data against consents: readings are no leaves of the log",
)


def judged(files: Mapping[str, bytes], policy: Policy | None) -> dict[str, Any]:
    """The answer of `liandai verify`: the ledger's verdict, and every deal computed again.

    Raises BundleUnreadable where the files are no bundle.
    """
    verdict = verify(files, policy)
    document = verdict.document()
    document["reperformed"] = {}
    if not verdict.verified:
        return document
    given = bundle.attachments(files)
    books = {book: _leaves(files, book) for book in verdict.books}
    facilities = [book for book, leaves in books.items() if _is_facility(leaves)]
    if not facilities and not any(is_negotiation(leaves) for leaves in books.values()):
        return document
    try:
        tables = published.read(given)
    except LiandaiError as error:
        document["expected_but_missing"].append(f"the tables to compute deals by: {error}")
        return document
    contradiction = _contradiction(tables)
    if contradiction is not None:
        return document | {"verified": False, "first_wrong": contradiction}
    document["checked"] += _compared(tables, given)
    not_computed: dict[str, None] = {}
    with published.using(tables):
        for book, found in _computed(books, facilities):
            if found.facts:
                document["reperformed"][book] = {"facts": found.facts, "amounts": found.amounts}
            document["expected_but_missing"] += [f"{book}: {line}" for line in found.missing]
            not_computed |= dict.fromkeys(found.not_computed)
            if found.index is not None:
                why = f"computed again: {found.why}"
                wrong = {"why": why, "book": book, "index": found.index}
                return document | {"verified": False, "first_wrong": wrong}
    document["not_proved"] = [
        *(line for line in document["not_proved"] if line != NOT_COMPUTED or not facilities),
        *not_computed,
        *NOT_REPERFORMED,
    ]
    return document


def _computed(
    books: Mapping[str, list[Leaf]], facilities: Iterable[str]
) -> Iterator[tuple[str, Reperformed]]:
    """Every answer in turn, as the deal went: what was agreed, what came of it, that both fit."""
    yield from negotiation.reperform(books).items()
    for book in facilities:
        yield book, reperform(books[book])
    yield from negotiation.formed_as_agreed(books).items()


def _leaves(files: Mapping[str, bytes], book: str) -> list[Leaf]:
    path = bundle.path_of(book, "leaves.jsonl")
    lines = bundle.read_lines(files[path], place=path)
    return [stored_as_leaf(read_leaf(line)) for line in lines]


def _is_facility(leaves: list[Leaf]) -> bool:
    """Whether one was formed in the book, wherever in its log."""
    return any(leaf.subject.get("type") == FORMED for leaf in leaves)


def _contradiction(tables: published.Tables) -> dict[str, Any] | None:
    """The first place where the bundle's tables contradict the program's own, as `first_wrong`."""
    for name, what in published.differences(tables):
        return {"why": f"{what} is another than this program's", "file": f"reference/{name}"}
    return None


def _compared(tables: published.Tables, given: Mapping[str, bytes]) -> list[str]:
    """What the bundle's tables, which contradict nothing, are beside the program's own."""
    beyond = published.beyond(tables)
    fixings = sum(row.fixed_on <= lpr.LAST_FIXING for row in tables.fixings)
    years = len(set(tables.years) & set(published.OWN.years))
    lines = [
        *(f"unknown to this program, and used as the bundle has it: {line}" for line in beyond),
        f"fixings in the bundle equal the program's: {fixings}",
        f"years of working days equal the program's: {years}",
    ]
    try:
        packs = read_json(given[attachments.RULES], place=attachments.RULES)["packs"]
    except (LiandaiError, LookupError, TypeError):
        return [*lines, "rule packs: the program's own, none are named in the bundle"]
    alike = packs == attachments.packs()
    return [
        *lines,
        f"rule packs equal the program's: {len(PACKS)}"
        if alike
        else "rule packs named in the bundle differ from the program's, which were used",
    ]
