"""A server process begun before there is anything to serve: it imports while others prepare.

It waits on its standard input for its environment, one line of JSON, and then serves; at the end of
the input it ends. So whoever began it and stops halfway leaves nobody behind.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import TypeAlias

Process: TypeAlias = subprocess.Popen[bytes]


def begin() -> Process:
    """A server process that waits to be told what to serve.

    It is in a process group of its own: Ctrl-C is for who began it, who stops it in order.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "api.serving"],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        process_group=0,
    )


def hand_over(process: Process, environment: Mapping[str, str]) -> None:
    """The process serves with these environment variables added; one that ended is left to poll."""
    assert process.stdin is not None, "it was begun here"
    try:
        process.stdin.write(json.dumps(dict(environment)).encode() + b"\n")
        process.stdin.close()
    except BrokenPipeError:
        pass


def take_over() -> dict[str, str] | None:
    """What was handed to this process; None: nobody will."""
    line = sys.stdin.readline()
    if not line:
        return None
    found: dict[str, str] = json.loads(line)
    return found
