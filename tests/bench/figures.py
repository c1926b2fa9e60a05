"""How figures are printed: a table a section, every figure beside the one it is a ratio of."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SHORT = bool(os.environ.get("LIANDAI_BENCH_SHORT"))
FULL = bool(os.environ.get("LIANDAI_BENCH_FULL"))
TICK = os.sysconf("SC_CLK_TCK")


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The section on stdout; the first column stands left, the others right."""
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    print(f"\n{title}")
    for row in (heads, ["-" * width for width in widths], *rows):
        cells = [
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip(), flush=True)


def per_second(figure: float) -> str:
    return f"{figure:,.0f}/s"


def ratio(over: float, under: float) -> str:
    return f"{over / under:.2f}" if under else "-"


class Spent:
    """CPU seconds by what spent them, while `spending` lasts: comparable on a busy machine too."""

    def __init__(self) -> None:
        self.server = 0.0
        self.postgres = 0.0


@contextmanager
def spending(spent: Spent) -> Iterator[None]:
    """What our own child processes spend meanwhile is added up."""
    before = _ticks()
    yield
    for pid, (name, ticks) in _ticks().items():
        seconds = (ticks - before.get(pid, (name, 0))[1]) / TICK
        if name == "postgres":
            spent.postgres += seconds
        else:
            spent.server += seconds


def memory_mb() -> tuple[float, float]:
    """(server, PostgreSQL) of our own child processes in MB, shared pages counted once."""
    server = postgres = 0.0
    for pid, (name, _) in _ticks().items():
        try:
            rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        (line,) = (line for line in rolled.splitlines() if line.startswith("Pss:"))
        held = int(line.split()[1]) / 1024
        if name == "postgres":
            postgres += held
        else:
            server += held
    return server, postgres


def _ticks() -> dict[int, tuple[str, int]]:
    """Program and CPU ticks by process, of all our descendants; none where there is no /proc."""
    found: dict[int, tuple[str, int, int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        found[int(folder.name)] = (name, int(fields[1]), int(fields[11]) + int(fields[12]))
    ours = {os.getpid()}
    for _ in range(6):  # our servers' families are no deeper
        ours |= {pid for pid, (_, parent, _) in found.items() if parent in ours}
    ours.discard(os.getpid())
    return {pid: (found[pid][0], found[pid][2]) for pid in ours if pid in found}
