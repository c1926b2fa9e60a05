"""The house's own rules as tests: import directions, types, style, no floats, no stray SQL."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.given import ROOT

DOMAIN = ("ledger", "syndicate", "negotiation")
PACKAGES = (*DOMAIN, "api")
TOP_LEVEL = {
    "api",
    "ledger",
    "negotiation",
    "syndicate",
    "tests",
    "docs",
    "requirements",
    ".ci",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
    "Makefile",
    ".gitignore",
}


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def run(*command: str) -> None:
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_imports_only_what_stands_to_its_left() -> None:
    run("lint-imports")


def test_every_module_is_strictly_typed() -> None:
    run("mypy")


def test_every_module_is_clean_and_formatted() -> None:
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")


def named_as_store(path: Path) -> bool:
    return path.stem in ("tables", "store") or path.stem.startswith("store_")


SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|ROLE|"
    r"SCHEMA|FUNCTION|POLICY|TRIGGER)|ALTER\s+TABLE|DROP\s+(SCHEMA|TABLE|DATABASE))\b",
    re.DOTALL,
)
MAY_HOLD_SQL = {
    "api/database.py": "sets roles on a transaction, migrates, and drops a demo",
    "api/running.py": "makes the database on the embedded server",
}


def strings_of(tree: ast.Module) -> Iterator[ast.Constant]:
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documented
        ):
            yield node


def test_sql_stands_only_in_stores_tables_and_migrations() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules(*PACKAGES)
        if not named_as_store(path)
        and "migrations" not in path.parts
        and str(path.relative_to(ROOT)) not in MAY_HOLD_SQL
        for node in strings_of(ast.parse(path.read_text("utf-8")))
        if SQL.search(str(node.value))
    ]
    assert found == []


def test_only_stores_build_statements_or_run_them() -> None:
    """`conn.execute` and SQLAlchemy's statement builders belong to stores."""
    banned = {"select", "insert", "update", "delete", "text", "func"}
    found = []
    for path in modules(*PACKAGES):
        name = str(path.relative_to(ROOT))
        if named_as_store(path) or "migrations" in path.parts or name in MAY_HOLD_SQL:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                found += [
                    f"{name}:{node.lineno} {alias.name}"
                    for alias in node.names
                    if alias.name in banned
                ]
            if isinstance(node, ast.Attribute) and node.attr in ("execute", "scalar", "scalars"):
                found.append(f"{name}:{node.lineno} .{node.attr}")
    assert found == []


FLOATING = {"float", "isnan", "isinf", "fsum"}
MAY_NAME_FLOAT = {
    "ledger/documents.py": "refuses floats that JSON holds",
    "ledger/replay.py": "refuses floats in leaves",
    "ledger/signatures.py": "refuses floats under a signature",
    "negotiation/terms.py": "refuses floats in terms",
    "syndicate/disclosure/room.py": "refuses floats in facts",
    "syndicate/reconciliation/format_xlsx.py": "takes a sheet's numbers as their decimals",
}


def test_no_float_in_the_domain_packages() -> None:
    """No float literal, no `float`, no true division of what may be integers, no math module."""
    found = []
    for path in modules(*DOMAIN):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.append(f"{name}:{node.lineno} {node.value}")
            if isinstance(node, ast.Name) and node.id in FLOATING and name not in MAY_NAME_FLOAT:
                found.append(f"{name}:{node.lineno} {node.id}")
            if isinstance(node, ast.ImportFrom) and node.module == "math":
                found += [
                    f"{name}:{node.lineno} math.{alias.name}"
                    for alias in node.names
                    if alias.name not in ("gcd", "lcm", "comb", "isqrt", "ceil", "floor", "prod")
                ]
    assert found == []


def test_true_division_in_the_domain_is_of_fractions() -> None:
    """Every `/` of the domain has a Fraction (or a Decimal) on one side at run time: by review.

    The places are listed, so that a new one is looked at.
    """
    divisions = {
        str(path.relative_to(ROOT))
        for path in modules(*DOMAIN)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
    }
    assert divisions <= DIVIDES_FRACTIONS


DIVIDES_FRACTIONS = {
    "syndicate/reference/lpr.py",
    "syndicate/risk/rule.py",
    "syndicate/rules/cn_joint_credit.py",
    "syndicate/rules/cn_merger_loan.py",
    "syndicate/rules/cn_risk_class.py",
    "syndicate/rules/facts.py",
    "syndicate/rules/syndicate_facts.py",
}

PROGRAMS = {"ledger/standalone.py": "a program of its own that reads a bundle; nothing imports it"}
IMPURE = {"os", "time", "random", "asyncio", "sqlalchemy", "secrets", "pathlib", "socket"}


def test_pure_modules_do_no_input_or_output() -> None:
    impure_by_name = ("tables", "store", "service")
    found = []
    for path in modules(*DOMAIN):
        tree = ast.parse(path.read_text("utf-8"))
        imported = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        is_service = "sqlalchemy" in imported and any(
            isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree)
        )
        if path.stem in impure_by_name or named_as_store(path) or is_service:
            imported -= {"sqlalchemy", "asyncio", "secrets"}
        if str(path.relative_to(ROOT)) in PROGRAMS:
            continue
        found += [
            f"{path.relative_to(ROOT)}: {name}" for name in sorted(imported.intersection(IMPURE))
        ]
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in ("now", "today", "utcnow")
            and isinstance(node.value, ast.Name)
            and node.value.id in ("datetime", "date")
        ]
    assert found == []


@pytest.mark.parametrize("package", DOMAIN)
def test_no_http_words_in_the_domain(package: str) -> None:
    for path in modules(package):
        assert "litestar" not in path.read_text("utf-8"), path


def test_the_ledger_knows_no_bank_loan_or_borrower() -> None:
    """The lowest rung keeps accounts; the trade's words stand one rung up."""
    words = re.compile(r"\b(bank|banks|loan|loans|borrower|borrowers)\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.id if isinstance(node, ast.Name) else ''}"
        for path in modules("ledger")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name | ast.arg)
        and words.search(node.id if isinstance(node, ast.Name) else node.arg)
    ]
    assert found == []


def test_the_top_level_is_the_one_agreed_on() -> None:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    assert {name.partition("/")[0] for name in done.stdout.split()} <= TOP_LEVEL


def test_the_project_names_no_machine_path() -> None:
    banned = ("/wor" + "k/", "/ro" + "ot/")
    found = [
        str(path.relative_to(ROOT))
        for folder in (*PACKAGES, "tests", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".txt", ".toml", ".json")
        and "static" not in path.parts
        and any(name in path.read_text("utf-8") for name in banned)
    ]
    assert found == []
