"""`python -m tests`: all tests, in two processes side by side. Most of them wait for a disk.

Each process has a PostgreSQL of its own. On a server that LIANDAI_DATABASE_URL names one follows
the other, since roles belong to a whole server. The first writes as it goes, the second when it is
over; the exit code is 0 where both passed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
WHOLE_SERVICE = ("api", "stories")
"""The folders whose tests speak HTTP: by time about half of all."""
MEASURED = "bench"


def halves() -> tuple[list[str], list[str]]:
    """Every folder of tests, in one half or the other."""
    folders = sorted(path.parent for path in TESTS.glob("*/__init__.py"))
    names = [folder.name for folder in folders if folder.name != MEASURED]
    return (
        [name for name in names if name not in WHOLE_SERVICE],
        [name for name in names if name in WHOLE_SERVICE],
    )


def main() -> int:
    first, second = ([str(TESTS / name) for name in half] for half in halves())
    command = [sys.executable, "-m", "pytest", "-q"]
    if os.environ.get("LIANDAI_DATABASE_URL"):
        return max(subprocess.call([*command, *first]), subprocess.call([*command, *second]))
    with tempfile.TemporaryFile() as kept:
        beside = subprocess.Popen([*command, *second], stdout=kept, stderr=subprocess.STDOUT)
        try:
            failed = subprocess.call([*command, *first])
            failed = max(failed, beside.wait())
        except BaseException:
            beside.terminate()
            beside.wait()
            raise
        kept.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(kept.read())
    return failed


if __name__ == "__main__":
    sys.exit(main())
