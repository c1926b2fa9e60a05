"""How the demonstration is run: its database and server, the story, the audit, the last line."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from api import embedded, running
from api.commands import say, until_stopped
from api.database import claimed, purpose
from api.demo.audit import Audit
from api.demo.people import Cast, read_users
from api.demo.stage import Stage
from api.demo.story import Story
from api.keys import OPERATOR_TOKEN, write_private
from api.settings import Settings, read_settings
from ledger.errors import LiandaiError, WrongInput

NAME = "liandai.demo"
FIRST_DAY = date(2024, 3, 1)
STORY = "story.json"


class DatabaseInUse(LiandaiError):
    """Another demonstration works on this database."""


def run_demo(*, bundle: Path | None) -> int:
    """0 where the ledger balances and the offline verifier accepts the bundle, else 1.

    The last line on stdout is one JSON object. Beside another Liandai on the same home folder, this
    run takes a folder of its own and removes it afterwards.
    """
    if bundle is not None and bundle.exists() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise WrongInput("--bundle", f"a folder that is not there yet or is empty, not {bundle}")
    settings = read_settings()
    with _database(settings) as (url, settings):
        founded = running.prepare(
            url, settings, name=NAME, purpose="demo", first_day=FIRST_DAY, fresh=True
        )
        assert founded is not None, "a cleared database is founded anew"
        with running.server(url, settings, founded=founded, port=0) as server:
            figures = _tell(server, settings, bundle=bundle, log_key=founded.log_key)
    print(json.dumps(figures, ensure_ascii=False), flush=True)
    return 0 if figures["verified"] and figures["trial_balance"] == "0.00" else 1


def serve_demo() -> None:
    """The demonstration's data and users are served until SIGINT or SIGTERM.

    Data that an earlier run finished is kept; otherwise the story is told first.
    """
    settings = read_settings()
    running.check_port(settings.host, settings.port)
    with running.database(settings, say=say) as url, _alone(url):
        finished = _finished(url, settings)
        founded = running.prepare(
            url,
            settings,
            name=NAME,
            purpose="demo",
            first_day=FIRST_DAY,
            fresh=finished is None,
        )
        with running.server(url, settings, founded=founded, port=settings.port) as server:
            if founded is not None:
                _tell(server, settings, bundle=None, log_key=founded.log_key)
            _introduce(server, settings)
            until_stopped(server)


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """A database for one run; where the home is taken, in a home of this run's own."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(running.database(settings, say=say))
        except embedded.HomeBusy as busy:
            say(f"{busy}; this run uses a folder of its own beside it")
            home = settings.home.with_name(f"{settings.home.name}-demo-{_pid()}")
            settings = settings.model_copy(update={"home": home})
            stack.callback(embedded.discard, home)
            url = stack.enter_context(running.database(settings, say=say))
        stack.enter_context(_alone(url))
        yield url, settings


def _pid() -> int:
    import os

    return os.getpid()


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """No other demonstration works on the database while the context lasts."""
    with asyncio.Runner() as runner:
        holding = claimed(url)
        alone = runner.run(holding.__aenter__())
        try:
            if not alone:
                raise DatabaseInUse(
                    "another demonstration works on this database: wait for it, or give another one"
                )
            yield
        finally:
            runner.run(holding.__aexit__(None, None, None))


def _finished(url: str, settings: Settings) -> dict[str, Any] | None:
    """The figures of the story that this database holds whole, or None."""
    path = settings.home / "demo" / STORY
    if asyncio.run(purpose(url)) != "demo" or not path.exists():
        return None
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def _tell(
    server: running.Running, settings: Settings, *, bundle: Path | None, log_key: str
) -> dict[str, Any]:
    """The story and its audit, told on stdout; returns the figures of the last line."""
    folder = settings.home / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage = Stage()
    stage.line(f"联贷 Liandai — {server.url}/v1/docs")
    cast = Cast(server.url, folder)
    try:
        token = (settings.home / OPERATOR_TOKEN).read_text("ascii").strip()
        cast.board(token)
        figures = Story(cast, stage).tell()
        audit = Audit(cast, stage, installation=NAME, log_key=log_key)
        audit.questions()
        audit.check_shares(figures)
        trial_balance = audit.trial_balance()
        audit.witness()
        verdict, _ = audit.take_home(bundle or folder / "bundle")
    finally:
        cast.close()
    books = verdict["books"].values()
    line = {
        "facility": figures["facility"],
        "allocation": figures["allocation"],
        "clearing_spread_bp": figures["clearing_spread_bp"],
        "loss_shares": figures["loss_shares"],
        "trial_balance": trial_balance,
        "entries": sum(book["entries"] for book in books),
        "log_size": sum(book["leaves"] for book in books),
        "verified": verdict["verified"],
    }
    write_private(folder / STORY, json.dumps(line, ensure_ascii=False) + "\n")
    return line


def _introduce(server: running.Running, settings: Settings) -> None:
    """Where the server is, and who may act on it with which token."""
    print(f"联贷 Liandai: {server.url}  (documents {server.url}/v1/docs)")
    print("示例用户 demo users, with their bearer tokens (all illustrative):")
    for user in read_users(settings.home / "demo").values():
        print(f"  {user.person:<22} {user.name:<34} {user.token}")
    print(f"signing keys: {settings.home / 'demo' / 'keys'}")
    sys.stdout.flush()
