"""A server process begun before there is anything to serve: it imports while others prepare.

It waits on its standard input for its environment, one line of JSON, and then serves; at the end of
the input it ends. So whoever began it and stops halfway leaves nobody behind.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

Process: TypeAlias = subprocess.Popen[bytes]
STDERR = 2
WAITS = "--standby"
"""With this word a server process waits; without it, its environment says all at once."""


def begin() -> Process:
    """A server process that waits to be told what to serve.

    Until it serves it takes no notice of Ctrl-C, which is for who began it, who then ends it.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is ignored stays so in a child
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "api.serving", WAITS], stdin=subprocess.PIPE, stdout=STDERR
        )
    finally:
        signal.signal(signal.SIGINT, before)


def dismiss(process: Process) -> None:
    """The process is over, whether it ever served or not."""
    if process.stdin is not None and not process.stdin.closed:
        with suppress(BrokenPipeError):
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        process.wait()


def hand_over(process: Process, environment: Mapping[str, str]) -> None:
    """The process serves with these environment variables added; one that ended is left to poll."""
    assert process.stdin is not None, "it was begun here"
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(dict(environment)).encode() + b"\n")
        process.stdin.close()


def take_over() -> dict[str, str] | None:
    """What was handed to this process; None: nobody will."""
    line = sys.stdin.readline()
    if not line:
        return None
    found: dict[str, str] = json.loads(line)
    return found
