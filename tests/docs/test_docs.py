"""What the documents say exists: commands, paths, files, names, links."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from litestar.openapi.spec import OpenAPI

from api.app import create_app
from api.cli import liandai
from api.database import Database
from api.installation import Installation
from api.openapi import reach_of, strict
from api.settings import PREFIX, Settings
from tests.docs.guide import Request, steps
from tests.given import ROOT
from tests.house import key_of

GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = [ROOT / "README.md", ARCHITECTURE, GLOSSARY, *GUIDES]

CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"(?:api|ledger|negotiation|syndicate|tests|docs)/[\w./-]+")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text("utf-8")


# ---- commands


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `liandai` of every quoted command line."""
    text = read(page)
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    lines += CODE.findall(FENCE.sub("", text))
    for line in lines:
        found = re.search(r"(?:^|\s|/)liandai (?!\[)([a-z-].*)$", line.strip())
        if found and not line.strip().startswith(("{", "CREATE", "ALTER")):
            yield shlex.split(found[1].replace(" …", ""))


@by_page
def test_every_command_line_is_one_the_program_takes(page: Path) -> None:
    for words in commands(page):
        parse(liandai, words)


def parse(command: click.Command, words: list[str]) -> None:
    """Nothing: the words name commands and options there are, and no argument is missing."""
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.commands.get(words[0])
        assert inner is not None, f"no command {words[0]} in {command.name}"
        if len(words) > 1 or isinstance(inner, click.Group):
            parse(inner, words[1:])
        return
    if words in (["--help"], []):
        return
    context = click.Context(command)
    command.parse_args(context, list(words))


# ---- operations


@cache
def operations() -> frozenset[tuple[str, str]]:
    """(method, path) of every operation of the OpenAPI document."""
    document = _document()
    return frozenset(
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    )


def _document() -> dict[str, Any]:
    app = create_app(
        Installation(
            name="liandai.docs",
            database=Database(
                "postgresql+asyncpg://nowhere/nothing", pool_size=1, statement_timeout_ms=1_000
            ),
            signer=key_of("docs"),
            body_limit_bytes=1 << 20,
            bulk_body_limit_bytes=10 << 20,
        ),
        publishes=False,
    )
    schema: OpenAPI = app.openapi_schema
    return strict(schema.to_schema(), reach_of(app))


QUOTED = re.compile(r"(?:(GET|POST|DELETE) +)?(/v1/[\w{}./?=&-]+)")
BESIDE = {"/v1/docs", "/v1/openapi.json"}
"""Pages that are no operations."""


@by_page
def test_every_quoted_path_is_an_operation(page: Path) -> None:
    for method, quoted in QUOTED.findall(read(page)):
        path = quoted.partition("?")[0].rstrip("./")
        if path in BESIDE:
            continue
        shapes = [(known, shape) for known, shape in operations() if not method or known == method]
        assert any(fits(path, shape) for _, shape in shapes), f"{method} {quoted}"


@by_page
def test_every_path_quoted_by_its_end_is_the_end_of_an_operation(page: Path) -> None:
    for end in re.findall(r"`\.\.\.(/[\w{}/-]+)`", read(page)):
        assert any(path.endswith(end) for _, path in operations()), end


def fits(path: str, shape: str) -> bool:
    """Whether the path, quoted with names in braces or filled in, is of the operation's shape."""
    parts, wanted = path.split("/"), shape.split("/")
    return len(parts) == len(wanted) and all(
        part == name or (name.startswith("{") and not part.startswith("{"))
        for part, name in zip(parts, wanted, strict=True)
    )


def test_the_deal_of_the_readme_is_the_walk_of_the_guides_in_its_order() -> None:
    walked = [
        f"{step.method} {step.path}"
        for page in ("lead.md", "bank.md")
        for step in steps(page)
        if isinstance(step, Request)
    ]
    listed = re.findall(r"(POST /v1/\S+)", read(ROOT / "README.md"))
    assert len(listed) == 15
    left = iter(walked)
    for request in listed:
        assert request in left, f"{request} comes in another order in the guides, or not at all"


# ---- files and names


@by_page
def test_every_quoted_file_is_there(page: Path) -> None:
    text = read(page)
    for quoted in CODE.findall(FENCE.sub("", text)):
        path = quoted.partition(":")[0]
        if FILE.fullmatch(path):
            assert (ROOT / path).exists(), quoted


def test_every_module_is_on_the_map_and_every_module_on_the_map_is_there() -> None:
    there = {
        str(path.relative_to(ROOT))
        for package in ("ledger", "syndicate", "negotiation", "api")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and "migrations" not in path.parts
    }
    mapped = re.findall(r"^\| `([\w/]+\.py)` \|", read(ARCHITECTURE), re.MULTILINE)
    assert set(mapped) == there
    assert len(mapped) == len(set(mapped))


def test_functions_named_beside_their_file_stand_in_it() -> None:
    """In the walks of architecture.md: `path.py` `name`, `name`."""
    text = " ".join(read(ARCHITECTURE).partition("## Three requests")[2].split())
    found = 0
    for path, names in re.findall(r"`([\w/]+\.py)`\)? ((?:(?:and |, )?`\w+`[, ]*)+)", text):
        for name in CODE.findall(names):
            assert name in defined(path), f"{path} has no {name}"
            found += 1
    assert found > 20


@cache
def defined(path: str) -> frozenset[str]:
    """Names defined at the top of a module, and `Class.field` of what its classes hold."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        names.update(_targets(node))
        if isinstance(node, ast.ClassDef):
            names.update(f"{node.name}.{inner}" for part in node.body for inner in _targets(part))
            names.update(name for part in node.body for name in _methods(part))
    return frozenset(names)


def _targets(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case _:
            return []


def _methods(node: ast.stmt) -> list[str]:
    return [node.name] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []


def glossary() -> list[tuple[str, str, str, str]]:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", read(GLOSSARY), re.MULTILINE)
    return [row for row in rows if row[0] != "word"]


def test_every_word_of_the_glossary_stands_where_it_says() -> None:
    rows = glossary()
    assert len(rows) > 100
    for word, _, _, place in rows:
        path, _, name = place.strip("`").partition(":")
        assert name in defined(path), f"{word}: {place}"


def test_every_word_of_the_glossary_has_one_row_and_a_chinese_term() -> None:
    words = [row[0] for row in glossary()]
    assert len(words) == len(set(words))
    for word, chinese, meaning, _ in glossary():
        assert re.search("[\u4e00-\u9fff]", chinese), word
        assert meaning, word


# ---- settings


def test_the_readme_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(LIANDAI_\w+)` \| (.+?) \|", read(ROOT / "README.md"), re.MULTILINE)
    assert {name: default.strip("`") for name, default in rows} == {
        f"{PREFIX}{name.upper()}": "none" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }


@by_page
def test_every_quoted_setting_is_one(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"LIANDAI_[A-Z_]+", read(page))) <= known


# ---- links, code


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(FENCE.sub("", read(page)))
    }


@by_page
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", read(page))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


@by_page
def test_python_in_the_pages_compiles_and_its_imports_are_there(page: Path) -> None:
    for language, block in FENCE.findall(read(page)):
        if language != "python":
            continue
        tree = ast.parse(block)
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})
