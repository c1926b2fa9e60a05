"""The types of facts that can be asked for are those that the packages record."""

import ast
import importlib
import re
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from api.fact_types import FACT_TYPES, check_fact
from api.settings import asyncpg_dsn
from ledger.errors import WrongInput
from tests.api.populated import populate
from tests.architecture.test_house_rules import PACKAGES, modules
from tests.given import ROOT
from tests.house import House

NOT_IN_A_LOG = {
    "ReadRecorded": "who read a room is kept beside the log",
    "ReadRefused": "as above",
}


def named() -> Iterator[str]:
    """Every type that a source names: tags of Structs, and `"type": "Word"` in dicts."""
    for path in modules(*PACKAGES):
        if "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    says = getattr(key, "value", None), getattr(value, "value", "")
                    if says[0] == "type" and re.fullmatch("([A-Z][a-z]+)+", str(says[1])):
                        yield str(says[1])
            if isinstance(node, ast.ClassDef):
                dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                made = getattr(importlib.import_module(dotted), node.name, None)
                if isinstance(made, type) and issubclass(made, msgspec.Struct):
                    config = made.__struct_config__
                    if config.tag_field == "type" and not node.name.startswith("_"):
                        yield str(config.tag)


def test_what_can_be_asked_for_is_what_the_sources_name() -> None:
    """A new type of fact belongs into `api.fact_types`, or here, with why no log holds it."""
    assert set(named()) == FACT_TYPES | NOT_IN_A_LOG.keys()


async def test_every_record_of_a_busy_installation_is_of_a_type_that_can_be_asked_for(
    house: House,
) -> None:
    await populate(house)
    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        rows = await conn.fetch("SELECT DISTINCT subject->>'type' AS fact FROM ledger.leaf")
    finally:
        await conn.close()
    recorded = {row["fact"] for row in rows}
    assert recorded <= FACT_TYPES
    assert len(recorded) > 30


@pytest.mark.parametrize("fact", ["PaymentConfirm", "paymentconfirmed", "ReadRecorded", ""])
def test_a_misspelt_type_is_refused_with_the_nearest_and_all(fact: str) -> None:
    with pytest.raises(WrongInput) as refusal:
        check_fact(fact)
    assert refusal.value.place == "fact"
    assert refusal.value.expected.endswith(", ".join(sorted(FACT_TYPES)))
    if fact.lower().startswith("payment"):
        assert refusal.value.expected.startswith("a type of fact, as PaymentConfirmed; all: ")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/books/registry/records",
        "/v1/books/registry/entries",
        "/v1/books/registry/entries/export",
        "/v1/books/registry/trial-balance",
        "/v1/entries",
    ],
)
async def test_every_list_of_records_or_entries_refuses_it(path: str, shared_house: House) -> None:
    refused = await shared_house["auditor-auditor"].get(path, fact="PaymentConfirm", expect=422)
    assert (refused["code"], refused["place"]) == ("wrong-input", "fact")
