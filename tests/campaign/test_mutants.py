"""The campaign is worth something: whatever is changed in the machine's rules, the model objects.

Each mutant is a copy of the package with one comparison, sign or connective of `ledger.journal`
changed, and the mass of questions is put to it in a process of its own.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.campaign.size import KIND, tell
from tests.given import ROOT

CHANGES: Final = (
    *((" >= ", " > "), (" <= ", " < "), (" > ", " >= "), (" < ", " <= ")),
    *(
        (" != ", " == "),
        (" == ", " != "),
        (" is not None", " is None"),
        (" is None", " is not None"),
    ),
    *((" + ", " - "), (" - ", " + "), (" -= ", " += "), (" += ", " -= ")),
    *((" and ", " or "), (" or ", " and "), ("sign=-1", "sign=1"), (" not ", " ")),
    *(("max(0", "min(0"), ("min(0", "max(0")),
)

EQUAL: Final = (
    ("entry.amount_minor > 0] += ", "no amount is 0"),
    ("in added if amount", "no amount is 0"),
    ("in freed if amount", "no amount is 0"),
    ("if journal.terms and leaf.entries", "without entries nothing is touched"),
)
"""Lines where a change says the same, and why."""

DRIVER: Final = """
from collections import Counter
from tests.campaign.machine import episode
figures, seed = Counter(), 0
while figures["steps"] < 12_000:
    figures += episode(seed)
    seed += 1
"""


def mutants(source: str) -> list[tuple[int, int, str]]:
    """(start, end, what stands there instead) of every change to the rules, docstrings left out."""
    found = []
    first, last = source.index("class Journal:"), source.index("def beyond(")
    for old, new in CHANGES:
        for match in re.finditer(re.escape(old), source[first:last]):
            start = first + match.start()
            line = line_of(source, start)
            if '"""' in line or line.startswith(("#", "raise ", 'f"', "`", "Raises")):
                continue
            if not any(said in line for said, _ in EQUAL):
                found.append((start, first + match.end(), new))
    return found


def line_of(source: str, at: int) -> str:
    return source[source.rfind("\n", 0, at) + 1 : source.find("\n", at)].strip()


@pytest.mark.skipif(KIND == "test", reason="some minutes: a part of `make campaign`")
def test_every_change_to_the_machines_rules_is_objected_to(tmp_path: Path) -> None:
    for package in ("ledger", "tests/campaign"):
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / "tests" / "__init__.py").touch()
    victim = tmp_path / "ledger" / "journal.py"
    source = victim.read_text("utf-8")

    def objected() -> bool:
        """Asked by themselves: the copies come before the installed package."""
        done = subprocess.run(
            [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, '.')\n{DRIVER}"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        return done.returncode != 0

    assert not objected(), "the machine itself"
    changes = mutants(source)
    alive = []
    for start, end, new in changes:
        victim.write_text(source[:start] + new + source[end:], "utf-8")
        if not objected():
            alive.append(f"{line_of(source, start)}: {source[start:end]!r} to {new!r}")
    tell("mutants of ledger.journal, each objected to", len(changes))
    assert alive == []
