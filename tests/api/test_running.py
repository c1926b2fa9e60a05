"""Starting and stopping whole installations: the wrong port, the second run, the killed run."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from api import embedded, running
from api.database import (
    Database,
    SchemaMismatch,
    _alembic,
    _owner,
    clear_demo,
    migrate,
    purpose,
)
from api.demo.run import FIRST_DAY, NAME, _database
from api.founding import found
from api.settings import Settings
from ledger.signatures import KeyInMemory
from tests.conftest import empty_database
from tests.given import ROOT

LIANDAI = Path(sys.executable).parent / "liandai"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder whose embedded server and data are gone afterwards."""
    yield tmp_path / "home"
    embedded.discard(tmp_path / "home")


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIANDAI_")}
    return {**kept, "LIANDAI_HOME": str(home), **more}


def run(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LIANDAI, *arguments],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The complaint of a command that could not do its work: exit 2, one line, no answer."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    complaints = [line for line in done.stderr.splitlines() if "runs as" not in line]
    assert len(complaints) == 1, done.stderr
    return complaints[0]


def test_a_busy_port_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = one_line(run("serve", env=environment(home, LIANDAI_PORT=str(port))))
    assert str(port) in said
    assert "LIANDAI_PORT" in said


def test_a_second_program_on_the_same_home_is_told_who_holds_it(home: Path) -> None:
    with embedded.start(home, say=lambda _line: None):
        said = one_line(run("migrate", env=environment(home)))
    assert str(os.getpid()) in said


@pytest.mark.parametrize("command", ["audit", "bundle"])
def test_a_command_that_only_looks_makes_no_database(home: Path, command: str) -> None:
    arguments = (command, "--out", str(home / "out")) if command == "bundle" else (command,)
    said = one_line(run(*arguments, env=environment(home)))
    assert f"no installation in {home}" in said
    assert not home.exists()


def test_a_demo_beside_another_program_takes_a_home_of_its_own(home: Path) -> None:
    settings = Settings(home=home)
    if settings.database_url is not None:
        pytest.skip("a given database has no home to share")
    with (
        embedded.start(home, say=lambda _line: None),
        _database(settings) as (_url, own),
    ):
        beside = own.home
        assert beside != home
        assert beside.exists()
    assert not beside.exists()


def test_a_run_killed_half_way_leaves_a_home_the_next_run_can_use(home: Path) -> None:
    env = environment(home)
    telling = subprocess.Popen(
        [LIANDAI, "demo"],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert telling.stdout is not None
    for line in telling.stdout:
        if "deal 2" in line.decode():
            break
    os.kill(telling.pid, signal.SIGKILL)
    telling.wait()
    telling.stdout.close()
    done = run("migrate", env=env)
    assert done.returncode == 0, done.stderr
    settings = Settings(home=home, database_url=None)
    with running.database(settings, say=lambda _line: None) as url:
        founded = running.prepare(
            url, settings, name=NAME, purpose="demo", first_day=FIRST_DAY, fresh=True
        )
    assert founded is not None


def test_the_server_dies_with_its_runner_and_leaves_no_process(home: Path) -> None:
    port = free_port()
    env = environment(home, LIANDAI_PORT=str(port))
    serving = subprocess.Popen(
        [LIANDAI, "serve"], env=env, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(port, up=True)
    os.kill(serving.pid, signal.SIGKILL)
    serving.wait()
    wait_for(port, up=False)


def test_the_server_stops_cleanly_at_sigterm(home: Path) -> None:
    port = free_port()
    serving = subprocess.Popen(
        [LIANDAI, "serve"],
        env=environment(home, LIANDAI_PORT=str(port)),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    with serving.stderr as said:
        assert any("serving at" in line for line in said)
        serving.terminate()
        assert serving.wait(timeout=30) == 0
    wait_for(port, up=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, *, up: bool) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if (probe.connect_ex(("127.0.0.1", port)) == 0) is up:
                return
        time.sleep(0.1)
    raise AssertionError(f"port {port} is {'not ' if up else 'still '}answering")


@pytest.fixture
def bare_url(server_url: str) -> Iterator[str]:
    """An empty database, not migrated, one a test."""
    with empty_database(server_url) as url:
        yield url


async def test_an_older_schema_is_brought_up_and_a_newer_one_is_refused(bare_url: str) -> None:
    def only_two(connection: Connection) -> None:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    async with _owner(bare_url) as conn:
        await conn.run_sync(only_two)
    newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert await migrate(bare_url) == ("0002", newest)
    async with _owner(bare_url) as conn:
        await conn.execute(text("UPDATE public.schema_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="newer than this program"):
        await migrate(bare_url)


async def test_somebody_elses_schemas_are_never_touched(bare_url: str) -> None:
    async with _owner(bare_url) as conn:
        await conn.execute(text("CREATE SCHEMA ledger"))
        await conn.execute(text("CREATE TABLE ledger.theirs (x int)"))
    with pytest.raises(SchemaMismatch, match="database of its own"):
        await migrate(bare_url)
    await clear_demo(bare_url)
    async with _owner(bare_url) as conn:
        assert await conn.scalar(text("SELECT count(*) FROM ledger.theirs")) == 0


def test_the_demo_never_clears_a_production_installation(bare_url: str, home: Path) -> None:
    settings = Settings(home=home, database_url=bare_url)
    founded = running.prepare(
        bare_url, settings, name="real", purpose="production", first_day=FIRST_DAY, fresh=False
    )
    assert founded is not None
    said = one_line(run("demo", env=environment(home, LIANDAI_DATABASE_URL=bare_url)))
    assert "production" in said
    assert asyncio.run(purpose(bare_url)) == "production"


async def test_a_login_that_owns_its_database_and_may_make_roles_is_enough(home: Path) -> None:
    """No superuser in production: on a fresh server, as the operator's guide says."""
    with embedded.start(home, say=lambda _line: None) as server:
        conn = await asyncpg.connect(server.raw_dsn("postgres"))
        await conn.execute("CREATE ROLE plain LOGIN NOSUPERUSER CREATEROLE PASSWORD 'plain'")
        await conn.execute("CREATE DATABASE theirs OWNER plain")
        await conn.close()
        own = make_url(server.dsn("theirs")).set(username="plain", password="plain")
        url = own.render_as_string(hide_password=False)
        assert (await migrate(url))[0] is None
        database = Database(url, pool_size=1, statement_timeout_ms=30_000)
        try:
            founded = await found(
                database,
                name="liandai.test",
                purpose="production",
                signer=KeyInMemory(bytes(range(32))),
                first_day=FIRST_DAY,
                now=datetime.now(UTC),
            )
        finally:
            await database.close()
        assert founded is not None
