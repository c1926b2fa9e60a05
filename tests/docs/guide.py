"""A guide's walk as steps that can be taken: what a reader would type, in the reader's order.

    **`POST /v1/...`** as `person`, key `name`     one request
    Body: ... and a json block                     its body; none: no body
    ... `name.json`: and a json block              a file of the reader's
    Save ... `name.json`                           the answer, or one field of it, as a file
    liandai sign ... name.json                     the statement that "<signed>" stands for
    Answer: `"field": value`, ...                  what the answer must say

`"<agreement>"` stands for the `agreement` of the last answer that had one.
"""

import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.given import ROOT

REQUEST = re.compile(
    r"\*\*`(?P<method>GET|POST|DELETE) (?P<path>/\S+)`\*\* as `(?P<person>[\w-]+)`"
    r"(?:, key `(?P<key>[\w.:-]+)`)?"
)
FILE = re.compile(r"`(?P<name>[\w-]+\.json)`:\s*$", re.DOTALL)
SAVED = re.compile(r"Save (?:`(?P<field>\w+)` of )?the answer as `(?P<name>[\w-]+\.json)`")
SAYS = re.compile(r'`("\w+": [^`]+)`')
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


class Request(msgspec.Struct, kw_only=True):
    """One request; what is saved of its answer, and what it must say."""

    method: str
    path: str
    person: str
    key: str | None
    body: Any = None
    saved: tuple[str, str | None] | None = None
    says: dict[str, Any] = msgspec.field(default_factory=dict)


class Written(msgspec.Struct, frozen=True):
    """A file the reader writes."""

    name: str
    content: Any


class Signing(msgspec.Struct, frozen=True):
    """One `liandai sign` line."""

    institution: str
    kind: str
    file: str


Step = Request | Written | Signing


def steps(page: str) -> list[Step]:
    """The steps of a page of docs/guide, up to its reference."""
    text = (ROOT / "docs" / "guide" / page).read_text("utf-8").partition("\n## Reference")[0]
    return list(_steps(text))


def _steps(text: str) -> Iterator[Step]:
    pending: Request | None = None
    for words, language, block in _parts(text):
        for line in words.split("\n\n"):
            request = REQUEST.search(line)
            if request is not None:
                if pending is not None:
                    yield pending
                pending = Request(**request.groupdict())
            if pending is not None and (saved := SAVED.search(line)) is not None:
                pending.saved = (saved["name"], saved["field"])
            if pending is not None and line.strip().startswith("Answer:"):
                for pair in SAYS.findall(line):
                    pending.says |= json.loads(f"{{{pair}}}")
        if language == "json" and (named := FILE.search(words.rstrip())) is not None:
            if pending is not None:
                yield pending
                pending = None
            yield Written(named["name"], json.loads(block))
        elif language == "json":
            assert pending is not None, f"a body without a request: {block}"
            assert "Body" in words.rsplit("\n\n", 2)[-2], f"what is this block? {block}"
            pending.body = json.loads(block)
        elif language == "sh" and "liandai sign" in block:
            if pending is not None:
                yield pending
                pending = None
            yield _signing(shlex.split(block))
    if pending is not None:
        yield pending


def _signing(words: list[str]) -> Signing:
    options = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
    institution = options["--by"]
    assert Path(options["--key"]).name == f"{institution}.key", f"whose key is {options['--key']}?"
    return Signing(institution, options["--kind"], words[-1])


def _parts(text: str) -> Iterator[tuple[str, str, str]]:
    """(words before a block, its language, its text) for every block; then the words after."""
    end = 0
    for block in BLOCK.finditer(text):
        yield text[end : block.start()], block["language"], block["text"]
        end = block.end()
    yield text[end:], "", ""


Sign = Callable[[str, str, Any], Any]
"""(institution, kind, body) -> the statement."""

Send = Callable[[Request, Any], Awaitable[Any]]
"""(request, its whole body) -> the answer; fails where the service refuses."""


async def walk(taken: list[Step], *, sign: Sign, send: Send) -> dict[str, Any]:
    """Every step is taken in order, and every answer says what the page says; the last answer."""
    files: dict[str, Any] = {}
    known: dict[str, Any] = {}
    answer: Any = None
    for step in taken:
        match step:
            case Written(name=name, content=content):
                files[name] = content
            case Signing(institution=institution, kind=kind, file=name):
                known["<signed>"] = sign(institution, kind, files[name])
            case Request():
                answer = await send(step, _filled(step.body, known))
                for field, value in step.says.items():
                    assert answer[field] == value, f"{step.path}: {field} is {answer[field]}"
                if isinstance(answer, dict) and answer.get("agreement"):
                    known["<agreement>"] = answer["agreement"]
                if step.saved is not None:
                    name, field = step.saved
                    files[name] = answer if field is None else answer[field]
    return dict(answer)


def _filled(value: Any, known: dict[str, Any]) -> Any:
    match value:
        case dict():
            return {name: _filled(inner, known) for name, inner in value.items()}
        case list():
            return [_filled(inner, known) for inner in value]
        case str() if value.startswith("<"):
            return known[value]
        case _:
            return value
