"""How does the program come by a real PostgreSQL of its own?

`start(home)` gives a running server whose data lives under `home`; a second start on the same
home finds the same data. It is an ordinary PostgreSQL with nothing turned off: a commit is on disk
before it is answered, and every connection needs the password.

What stands under the home:

    lock            held while a program uses the home; names its process
    password        of the one role, `liandai`; only the program's user may read it
    postgres.log    what the server said since its last start; `postgres.log.1` before that
    pg18/           the data; the number is PostgreSQL's major version. It is made under another
                    name and renamed when complete: a folder so named is a whole one
    run/            the socket
    elsewhere       only for root, only when needed: a link to where pg18/ and run/ really are

For root the server runs under an account it lends (see `postgres_programs`). Where that account
cannot enter the home, say under /root, the data goes to a folder of its own in /var/lib/liandai.

Never done here: deleting a complete data folder unasked, changing the mode of a folder we did not
make, any use of the network but the server's own address, any SQL.

    EmbeddedFailure
    ├── HomeBusy          another program holds the home
    ├── UnusableHome      what stands in the home cannot be used, and why
    ├── NoServer          the machine has no PostgreSQL, account or folder that will do
    └── DidNotStart       PostgreSQL itself refused; ends with its own last words
"""

import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Self
from urllib.parse import quote

from api.postgres_process import (
    ROLE,
    Address,
    DidNotStart,
    end,
    end_leftover,
    launch,
    make_cluster,
    write_private,
)
from api.postgres_programs import (
    SHARED_FOLDERS,
    Account,
    EmbeddedFailure,
    NoServer,
    find_programs,
    lent_account,
    make_folder,
    owner_of,
    shared_folder,
)

__all__ = [
    "DidNotStart",
    "EmbeddedFailure",
    "HomeBusy",
    "NoServer",
    "RunningServer",
    "UnusableHome",
    "discard",
    "start",
]

_LOCK_PATIENCE = 1.0  # seconds: a killed program lets go when the kernel has cleared it away


class HomeBusy(EmbeddedFailure):
    """Another program holds the home; `pid` is its process, or None where it did not say."""

    def __init__(self, home: Path, pid: int | None) -> None:
        holder = "another program" if pid is None else f"process {pid}"
        super().__init__(f"{home} is in use by {holder}: stop it, or set LIANDAI_HOME")
        self.home = home
        self.pid = pid


class UnusableHome(EmbeddedFailure):
    """What stands at `place` cannot be used as it is; it was left alone."""

    def __init__(self, place: Path, why: str) -> None:
        super().__init__(f"{place} {why}")
        self.place = place


class RunningServer:
    """A PostgreSQL that runs until `stop`, or until this process dies by whatever cause."""

    def __init__(
        self,
        *,
        version: str,
        folder: Path,
        address: Address,
        password: str,
        process: subprocess.Popen[bytes],
        held: ExitStack,
    ) -> None:
        self.version = version
        self.folder = folder
        self.address = address
        self._password = password
        self._process = process
        self._held = held

    @property
    def pid(self) -> int:
        return self._process.pid

    def dsn(self, database: str = "postgres") -> str:
        """For SQLAlchemy. Holds the password: never log it."""
        return f"postgresql+asyncpg://{self._place(database)}{self._query('ssl')}"

    def raw_dsn(self, database: str = "postgres") -> str:
        """For asyncpg alone and for libpq's programs. Holds the password: never log it."""
        return f"postgresql://{self._place(database)}{self._query('sslmode')}"

    def stop(self) -> None:
        """The server is down and the home free. Open transactions are rolled back. Repeatable."""
        with self._held:
            end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _place(self, database: str) -> str:
        host = "" if self.address.folder else f"127.0.0.1:{self.address.port}"
        return f"{ROLE}:{self._password}@{host}/{quote(database, safe='')}"

    def _query(self, encryption: str) -> str:
        if self.address.folder is None:
            return f"?{encryption}=disable"
        return f"?host={quote(str(self.address.folder))}&port={self.address.port}"


def start(
    home: Path,
    *,
    root_runs_as: str | None = None,
    say: Callable[[str], None] = lambda line: print(f"liandai: {line}", file=sys.stderr),
) -> RunningServer:
    """A server that answers, on the data of `home`, which is made if it is not there.

    root_runs_as  the account PostgreSQL runs as when we are root; `nobody` if not given
    say           takes the one line that tells root who runs the server and where the data is

    Call it from the main thread. On Linux the server then shuts down when this process dies, even
    by SIGKILL; a server left over all the same is stopped by the next start.

    Raises HomeBusy, UnusableHome, NoServer, DidNotStart.
    """
    home = home.resolve()
    with ExitStack() as held:
        _take(home, held)
        account = lent_account(root_runs_as)
        base, folder = _base(home, held)
        major = None
        if folder is not None:
            major = _major(folder)
            account = account and owner_of(folder)  # whoever made the data keeps it
        programs = find_programs(account, major=major)
        if folder is None and base == home:
            base = _reachable_base(home, account, held)
        elif account and not account.reaches(base):
            raise UnusableHome(base, f"cannot be entered by {account.name}, who owns the data")
        password = _password(home, fresh=folder is None)
        if folder is None:
            folder = make_cluster(programs, base, account, password)
        if account:
            say(f"PostgreSQL {programs.version} runs as {account.name}, not root; data: {folder}")
        end_leftover(folder, account)
        process, address = launch(programs, folder, home / "postgres.log", account)
        return RunningServer(
            version=programs.version,
            folder=folder,
            address=address,
            password=password,
            process=process,
            held=held.pop_all(),
        )


def holds_data(home: Path) -> bool:
    """Whether a server has been started on this home before; nothing is made by asking."""
    return (home / "elsewhere").is_symlink() or any(home.glob("pg[0-9][0-9]"))


def discard(home: Path) -> None:
    """The home and its database are gone for ever, wherever the data was; others' files stay.

    Meant for homes made to be thrown away. Raises HomeBusy while a program uses it.
    """
    home = home.resolve()
    if not home.is_dir():
        return
    with ExitStack() as held:
        _take(home, held)
        base, folder = _base(home, held)
        if folder is not None:
            end_leftover(folder, owner_of(folder) if os.geteuid() == 0 else None)
        for made in (*base.glob("pg*"), base / "run"):
            shutil.rmtree(made, ignore_errors=True)
        if base != home and base.parent in SHARED_FOLDERS:
            shutil.rmtree(base)
        for name in ("elsewhere", "password", "postgres.log", "postgres.log.1", "lock"):
            (home / name).unlink(missing_ok=True)
    with suppress(OSError):  # something of somebody else's is in it
        home.rmdir()


# --- the home, and who holds it


def _take(home: Path, held: ExitStack) -> None:
    """The home exists and is ours until `held` closes."""
    try:
        make_folder(home, 0o755 if os.geteuid() == 0 else 0o700, parents=True)
        _lock(home, home / "lock", held)
    except OSError as trouble:
        raise UnusableHome(home, f"cannot be used as a home: {trouble.strerror}") from None


def _lock(home: Path, path: Path, held: ExitStack) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    held.callback(os.close, descriptor)
    patience = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > patience:
                pid = os.pread(descriptor, 20, 0).strip()
                raise HomeBusy(home, int(pid) if pid.isdigit() else None) from None
            time.sleep(0.02)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            return


def _base(home: Path, held: ExitStack) -> tuple[Path, Path | None]:
    """The folder that holds the data folder, and that data folder if there is a complete one."""
    base = home
    link = home / "elsewhere"
    if link.is_symlink():
        base = link.readlink()
        if not base.is_dir():
            raise UnusableHome(
                link, f"leads to {base}, which is gone: bring it back or remove both"
            )
        _lock(home, base / "lock", held)  # a copied home leads to the same data
    complete = [path for path in base.glob("pg*") if re.fullmatch(r"pg\d\d", path.name)]
    return base, max(complete, default=None)


def _reachable_base(home: Path, account: Account | None, held: ExitStack) -> Path:
    """The home, or a new folder of its own that the account can enter; the home then links to it.

    The name carries the home's path and a random part: a home removed and made again begins empty.
    """
    if account is None or account.reaches(home):
        return home
    name = f"{sha256(os.fsencode(home)).hexdigest()[:12]}-{secrets.token_hex(4)}"
    base = shared_folder(account) / name
    make_folder(base, 0o755)
    (base / "home").write_text(f"{home}\n")
    _lock(home, base / "lock", held)
    (home / "elsewhere").symlink_to(base)
    return base


def _major(folder: Path) -> int:
    """The major version that made a data folder; its own file and its name must agree."""
    try:
        written = (folder / "PG_VERSION").read_text().strip()
    except PermissionError:
        raise UnusableHome(folder, f"belongs to {owner_of(folder).name}, not to you") from None
    except OSError:
        raise UnusableHome(folder, "is no data folder of PostgreSQL: no PG_VERSION") from None
    if folder.name != f"pg{written}":
        raise UnusableHome(folder, f"was made by PostgreSQL {written}, not as its name says")
    return int(written)


def _password(home: Path, *, fresh: bool) -> str:
    path = home / "password"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if not fresh:
            raise UnusableHome(path, "is gone: the database cannot be opened without it") from None
    password = secrets.token_urlsafe(24)
    write_private(path, password)
    return password
