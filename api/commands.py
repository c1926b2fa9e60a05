"""What the service's own commands do: serve, migrate, bundle, audit. `demo` is its own module."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from api import bundles, running, standby
from api.attachments import reference
from api.database import Database, Standing, purpose
from api.keys import log_signer
from api.settings import Settings, read_settings
from ledger import evidence

AUDITOR = Standing("liandai_auditor", "")
NAME = "liandai"


def say(line: str) -> None:
    """One line for the person at the terminal; never on stdout, which is for answers."""
    print(f"liandai: {line}", file=sys.stderr, flush=True)


def serve(*, process: standby.Process | None) -> None:
    """The installation answers until SIGINT or SIGTERM; to be stopped is no error.

    process  what will serve it; None: the demonstration, which begins its own
    """
    try:
        _serve(process)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        if process is not None:
            standby.dismiss(process)


def _serve(process: standby.Process | None) -> None:
    if process is None:
        from api.demo.run import serve_demo

        serve_demo()
        return
    settings = read_settings()
    running.check_port(settings.host, settings.port)
    with running.database(settings, say=say) as url:
        founded = running.prepare(
            url,
            settings,
            name=NAME,
            purpose="production",
            first_day=running.first_business_day(settings),
            fresh=False,
        )
        if founded is not None:
            say(f"founded {founded.name}; its log key is {founded.log_key}")
            say(f"the operator's token is in {settings.home / 'operator.token'}")
        with running.server(
            url, settings, founded=founded, port=settings.port, process=process
        ) as server:
            say(f"serving at {server.url} (documents at {server.url}/v1/docs)")
            until_stopped(server)


def until_stopped(server: running.Running) -> None:
    """Waits for SIGINT or SIGTERM, which `serve` answers. Raises ServerFailed before either."""
    code = server.process.wait()
    raise running.ServerFailed(f"the server ended (exit {code})")


def migrate() -> dict[str, Any]:
    """{"from": revision, "to": revision}: the database is at this program's newest schema."""
    from api.database import migrate as upgrade

    settings = read_settings()
    with running.database(settings, say=say) as url:
        before, after = asyncio.run(upgrade(url))
    return {"from": before, "to": after}


def bundle(
    *, books: tuple[str, ...], out: Path, witnessing: evidence.Witnessing | None
) -> dict[str, Any]:
    """{"files", "bytes", "out"}: the bundle's files stand in the new folder."""
    settings = read_settings()
    with running.database(settings, say=say, new=False) as url:
        if asyncio.run(purpose(url)) is None:
            raise running.ServerFailed("the database holds no installation yet")
        files = asyncio.run(_bundle(url, settings, books, witnessing))
    bundles.write_folder(files, out)
    size = sum(len(content) for content in files.values())
    return {"files": len(files), "bytes": size, "out": str(out)}


async def _bundle(
    url: str,
    settings: Settings,
    books: tuple[str, ...],
    witnessing: evidence.Witnessing | None,
) -> dict[str, bytes]:
    from api import store

    database = Database(url, pool_size=1, statement_timeout_ms=settings.statement_timeout_ms)
    try:
        async with database.transaction(AUDITOR, read_only=True) as conn:
            installation = await store.installation(conn)
            assert installation is not None, "looked at before"
            return await evidence.bundle(
                conn,
                books=books,
                installation=installation.name,
                signer=log_signer(settings.home),
                witnessing=witnessing,
                attachments=reference(),
            )
    finally:
        await database.close()


def audit() -> dict[str, Any]:
    """Every invariant's figure on the live database, and whether all hold."""
    from api.auditing import audit_database

    settings = read_settings()
    with running.database(settings, say=say, new=False) as url:
        return asyncio.run(audit_database(url, settings))


def demo(*, bundle: Path | None) -> int:
    """The demonstration's exit code: 0 only if the ledger balances and the bundle verifies."""
    from api.demo.run import run_demo

    return run_demo(bundle=bundle)
