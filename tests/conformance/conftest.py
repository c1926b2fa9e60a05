"""How many third-party cases ran is told at the end of every run, one line a family."""

from collections.abc import Callable

import pytest

PROPERTY = "third-party cases"


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Puts a family's numbers on record, as `count("signed notes", opened=6, refused=10)`."""

    def tell(family: str, **numbers: int) -> None:
        said = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in numbers.items())
        record_property(PROPERTY, f"{family}: {said}")

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines of all that passed, whichever process they ran in."""
    lines = [
        str(value)
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if lines:
        terminalreporter.section("third-party vectors", sep="-")
        for line in lines:
            terminalreporter.write_line(line)
