"""How long until the first answer: the service from nothing, warm, after SIGKILL; the commands."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from api import embedded
from tests.bench.figures import SHORT, ratio, table
from tests.bench.stage import throwaway_home
from tests.stories.crashing import Program

GOALS = {"cold: empty folder": 3.0, "warm": 1.5, "after SIGKILL of all": 4.0}


def measured() -> None:
    """The sections on starting."""
    _service()
    _commands()


def _service() -> None:
    bare = _bare_postgres()
    ours: dict[str, float] = {}
    with throwaway_home() as home:
        program = Program(
            "api.cli",
            "serve",
            log=home / "program.log",
            port=_free_port(),
            LIANDAI_HOME=str(home),
            LIANDAI_LOG_LEVEL="error",
        )
        with program:
            pass
        with throwaway_home() as empty:
            cold = Program(
                "api.cli",
                "serve",
                log=home / "program.log",
                port=_free_port(),
                LIANDAI_HOME=str(empty),
                LIANDAI_LOG_LEVEL="error",
            )
            ours["cold: empty folder"] = _timed(cold.start)
            cold.__exit__()
        ours["warm"] = _timed(program.start)
        os.kill(_postmaster(home), signal.SIGKILL)
        program.kill()
        ours["after SIGKILL of all"] = _timed(program.start)
        program.__exit__()
    table(
        "Starting: `liandai serve` until /readyz answers 200, beside PostgreSQL alone",
        ("what", "seconds", "PostgreSQL alone", "ratio", "goal"),
        [
            (
                what,
                f"{seconds:.2f}",
                f"{bare[what]:.2f}",
                ratio(seconds, bare[what]),
                f"{GOALS[what]:.1f} s {'met' if seconds <= GOALS[what] else 'NOT met'}",
            )
            for what, seconds in ours.items()
        ],
    )


def _bare_postgres() -> dict[str, float]:
    """The embedded PostgreSQL without anything of ours on it, in the same three states."""
    found = {}
    with throwaway_home() as home:

        def start() -> embedded.RunningServer:
            return embedded.start(home, say=lambda _line: None)

        for what in GOALS:
            begun = time.perf_counter()
            server = start()
            found[what] = time.perf_counter() - begun
            if what == "warm":
                os.kill(server.pid, signal.SIGKILL)
            server.stop()
    return found


def _postmaster(home: Path) -> int:
    base = (home / "elsewhere").readlink() if (home / "elsewhere").is_symlink() else home
    (found,) = base.glob("pg*/postmaster.pid")
    return int(found.read_text().splitlines()[0])


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMANDS = (
    ("--help",),
    ("calendar", "2025-10-01"),
    ("lpr", "--tenor", "1Y", "--as-of", "2025-01-31"),
    ("id", "uscc", "91350000158142711F"),
    ("rules", "show", "cn-syndicated"),
)


def _commands() -> None:
    python = [sys.executable, "-c", "pass"]
    liandai = str(Path(sys.executable).with_name("liandai"))
    bare = _best(python)
    rows = []
    for words in COMMANDS:
        seconds = _best([liandai, *words])
        met = "met" if seconds <= 0.5 else "NOT met"
        rows.append(
            (
                f"liandai {' '.join(words)}",
                f"{seconds:.2f}",
                f"{bare:.2f}",
                ratio(seconds, bare),
                f"0.5 s {met}",
            )
        )
    table(
        "Commands that need no database: from start to end, best of several",
        ("what", "seconds", "python -c pass", "ratio", "goal"),
        rows,
    )


def _best(command: list[str]) -> float:
    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return min(_timed(run) for _ in range(2 if SHORT else 5))
