"""How the demonstration speaks to a banker at a terminal: chapters, facts, figures, refusals.

What is published is marked 事实 fact, everything else 示例 illustrative. Text goes to stdout line
by line as it happens; nothing is decided here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import set_cell_size
from rich.console import Console
from rich.table import Table

from ledger.money import format_amount

WIDTH = 110
"""Columns a table may need; a narrower terminal wraps."""
NAMES = 26
"""Columns of the name at a line's beginning; a Chinese character takes two."""


class Stage:
    """One run's screen."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.console.width = max(self.console.width, WIDTH)

    def chapter(self, chinese: str, english: str) -> None:
        """A new part of the story begins."""
        self.console.print()
        self.console.rule(f"[bold]{chinese}[/bold] · {english}", align="left")

    def fact(self, text: str) -> None:
        """Something published."""
        self.console.print(f"  [green]事实 fact[/green]          {text}")

    def illustrative(self, text: str) -> None:
        """Something made up for the demonstration."""
        self.console.print(f"  [yellow]示例 illustrative[/yellow]  {text}")

    def step(self, who: str, text: str) -> None:
        """Somebody did something through the API."""
        self.console.print(f"  [cyan]{set_cell_size(who, NAMES)}[/cyan] {text}")

    def refused(self, who: str, text: str, code: str) -> None:
        """The service said no, as it should."""
        name = set_cell_size(who, NAMES)
        self.console.print(f"  [cyan]{name}[/cyan] {text} → [red]refused 拒绝[/red] ({code})")

    def day(self, day: str) -> None:
        """Business days were closed."""
        self.console.print(f"  [dim]… 日终 end of day through {day}[/dim]")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A small table of figures, numbers to the right."""
        table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self.console.print(table)

    def line(self, text: str) -> None:
        """Plain words."""
        self.console.print(f"  {text}")


def yuan(minor: int) -> str:
    """Fen as yuan with thousands separators: 500000001 -> "5,000,000.01"."""
    whole, _, decimals = format_amount(minor, currency="CNY").partition(".")
    return f"{int(whole):,}.{decimals}" if not whole.startswith("-0") else f"-0.{decimals}"
