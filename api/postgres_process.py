"""How is PostgreSQL's data made, its server run, and every trace of a killed one dealt with?

A data folder is made under another name and renamed when complete. A server is started until it
answers, and ended; one that an earlier program left behind is found by its own pid file.

The caller holds the lock of the home: nobody else starts or ends a server on the same data.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from api.postgres_programs import (
    CLEAN_ENVIRONMENT,
    Account,
    EmbeddedFailure,
    Programs,
    guard,
    identity,
    make_folder,
    run,
)

ROLE = "liandai"

_SOCKET_PORT = 5432  # only a part of the socket's file name: nothing listens on that port
_LONGEST_SOCKET_FOLDER = 80  # bytes; the whole path must fit in 103 on every system we know

# How long things may take, in seconds.
_RETRY_PATIENCE = 10.0  # what a killed server leaves behind goes within this time
_RECOVERY_PATIENCE = 300.0  # replaying the log after a crash
_STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
_NO_PROCESS = str(2**31 - 1)  # above the kernel's own limit of 2**22
_PASSING_TROUBLE = re.compile(r"lock file|shared memory block|could not bind")

_SERVER_SETTINGS = {
    "max_connections": "100",
    # A night that moves a million positions writes some 3 GB of log: two checkpoints, not ten.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "ISO, YMD",
    # A failed statement is answered to whoever sent it. Its values may be a bank's secrets and
    # have no place in a log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


_MEGABYTE = 2**20
_LEAST_BUFFERS_MB, _MOST_BUFFERS_MB = 128, 1024
_CONTAINER_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # cgroups, version 2 and 1


class DidNotStart(EmbeddedFailure):
    """PostgreSQL was run and refused."""


@dataclass(frozen=True)
class Address:
    """Where the server listens: a socket's folder, or a port of 127.0.0.1 where no path fits."""

    folder: Path | None
    port: int


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The machine's memory, or the container's where that is less; None where nothing tells."""
    found = []
    with suppress(ValueError, OSError):  # a system that does not know the names
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in _CONTAINER_LIMITS:
        with suppress(ValueError, OSError):  # no container, or its limit is the word `max`
            found.append(int((cgroup / name).read_text()))
    return min((size for size in found if size > 0), default=None)


def buffers_mb(memory: int | None) -> int:
    """PostgreSQL's shared buffers: an eighth of so many bytes of memory, 128 MB to 1 GB.

    What is not theirs is the system's file cache, the service's, and other programs'.
    """
    eighth = (memory or 0) // 8 // _MEGABYTE
    return min(max(eighth, _LEAST_BUFFERS_MB), _MOST_BUFFERS_MB)


def make_cluster(programs: Programs, base: Path, account: Account | None, password: str) -> Path:
    """A complete, flushed data folder under its final name; what a killed try left is removed."""
    _clear_drafts(base)
    draft = Path(tempfile.mkdtemp(prefix=f"pg{programs.major}.part-", dir=base))
    cluster = draft / "cluster"
    cluster.mkdir(0o700)
    secret = draft / "password"
    write_private(secret, password)
    if account:
        for path in (draft, cluster, secret):
            os.chown(path, account.uid, account.gid)
    initdb = [*guard(), str(programs.folder / "initdb"), f"--pgdata={cluster}"]
    access = [f"--username={ROLE}", f"--pwfile={secret}", "--auth=scram-sha-256"]
    kind = ["--encoding=UTF8", "--data-checksums", "--no-instructions", *_locale(programs.major)]
    answer = run([*initdb, *access, *kind], account)
    if answer.returncode != 0:
        _clear_drafts(base)
        raise DidNotStart(f"initdb failed: {_last_words(answer.stderr)}")
    folder = base / f"pg{programs.major}"
    cluster.rename(folder)
    _flush_folder(base)
    _clear_drafts(base)  # once more: a killed program's initdb may have written on for a moment
    return folder


def launch(
    programs: Programs, folder: Path, log: Path, account: Account | None
) -> tuple[subprocess.Popen[bytes], Address]:
    """The server answers at the address. Tried again while a killed one's traces still fade."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    patience = time.monotonic() + _RETRY_PATIENCE
    while True:
        address = _address(folder.parent, account)
        with log.open("ab") as output:
            before = output.tell()
            process = subprocess.Popen(
                _command(programs, folder, address),
                **identity(account),
                cwd="/",
                env=CLEAN_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop first, then the server
            )
        try:
            if _answers(process, folder):
                return process, address
        except BaseException:
            end(process)
            raise
        words = log.read_bytes()[before:].decode(errors="replace")
        if not _PASSING_TROUBLE.search(words) or time.monotonic() > patience:
            raise DidNotStart(f"PostgreSQL did not start: {_last_words(words)} (see {log})")
        time.sleep(0.2)


def end(process: subprocess.Popen[bytes]) -> None:
    """The process is over: asked to shut down fast, then at once, then killed."""
    for step, patience in _STOP_STEPS:
        process.send_signal(step)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def end_leftover(folder: Path, account: Account | None) -> None:
    """No server of an earlier program runs on the folder; a stranger with its number is spared."""
    lines = _pid_file(folder)
    if not lines or not lines[0].isdigit() or not Path("/proc/self").exists():
        return  # without /proc nothing says whose process it is: PostgreSQL's own check decides
    pid = int(lines[0])
    for step, patience in _STOP_STEPS:
        if _serves(pid, folder, account):
            with suppress(ProcessLookupError):
                os.kill(pid, step)
        limit = time.monotonic() + patience
        while _serves(pid, folder, account) and time.monotonic() < limit:
            time.sleep(0.02)
    if Path(f"/proc/{pid}").exists() and _serves(pid, folder, account) is False:
        # PostgreSQL would take the stranger for a server for ever. With a number that nobody can
        # have it goes on to its other check: whether any process still uses the old memory.
        (folder / "postmaster.pid").write_text("\n".join([_NO_PROCESS, *lines[1:], ""]))


def write_private(path: Path, text: str) -> None:
    """The file holds the text, whole or not at all, and only its owner may read it."""
    descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).rename(path)


def _clear_drafts(base: Path) -> None:
    for left in base.glob("pg*.part-*"):
        shutil.rmtree(left, ignore_errors=True)


def _locale(major: int) -> list[str]:
    """Text is ordered by code point, the same on every machine."""
    if major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def _command(programs: Programs, folder: Path, address: Address) -> list[str]:
    settings = _SERVER_SETTINGS | {
        "shared_buffers": f"{buffers_mb(memory_bytes())}MB",
        "port": str(address.port),
        "listen_addresses": "" if address.folder else "127.0.0.1",
        "unix_socket_directories": str(address.folder or ""),
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [*guard(), str(programs.folder / "postgres"), "-D", str(folder), *options]


def _address(base: Path, account: Account | None) -> Address:
    """A socket in our own folder if the path is short enough, else a free port of 127.0.0.1."""
    place = base / "run"
    if len(os.fsencode(place)) > _LONGEST_SOCKET_FOLDER or re.search(r'[,"\\]', str(place)):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return Address(None, probe.getsockname()[1])
    make_folder(place, 0o700)
    for left in place.iterdir():  # by a killed server; nobody else uses this folder
        left.unlink()
    if account:
        os.chown(place, account.uid, account.gid)
    return Address(place, _SOCKET_PORT)


def _answers(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """True once the server takes connections, False if it ended; it may first have to recover."""
    patience = time.monotonic() + _RECOVERY_PATIENCE
    while process.poll() is None:
        lines = _pid_file(folder)
        if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
            return True
        if time.monotonic() > patience:
            raise DidNotStart(f"PostgreSQL was not ready after {_RECOVERY_PATIENCE:.0f} seconds")
        time.sleep(0.01)
    return False


def _serves(pid: int, folder: Path, account: Account | None) -> bool | None:
    """Whether the process is a server on the folder; None where that cannot be told.

    A server works in its data folder, by whatever path it got there. Root in a container may not
    look where another account's process works; that account may.
    """
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
    if Path(os.fsdecode(name)).name != "postgres":  # or ended, and not yet reaped: no name then
        return False
    place = f"/proc/{pid}/cwd"
    if run(["test", place, "-ef", str(folder)], account).returncode == 0:
        return True
    both_seen = run(["test", "-d", place, "-a", "-d", str(folder)], account).returncode == 0
    return False if both_seen else None


def _pid_file(folder: Path) -> list[str]:
    try:
        return (folder / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_words(text: str) -> str:
    telling = [line for line in text.splitlines() if re.search(r"FATAL|PANIC|error", line)]
    return (telling or text.splitlines() or ["it said nothing"])[-1].strip()
