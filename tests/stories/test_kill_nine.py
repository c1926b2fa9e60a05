"""Whatever is killed while it works: what was acknowledged stands once, and nothing stands twice.

A real server over a real PostgreSQL, clients in mid-traffic, SIGKILL. After each fault everything
is started again and the commands that got no answer are sent again under their keys; then, before
the next one, the books are held to what was acknowledged, and now and then the whole database to
its invariants, as `liandai audit` does. The figures are printed (`pytest -s`); `make campaign` has
more faults than the usual few.
"""

import asyncio
import io
import os
import random
import signal
import socket
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from api import embedded, running
from api.auditing import audit_database
from api.client import Client
from api.settings import Settings, asyncpg_dsn
from ledger.signatures import KeyInMemory, encode_base64
from ledger.verify import verify
from tests.campaign.size import size
from tests.stories.crashing import Intent, Oracle, Program, Traffic
from tests.stories.own_traffic import BANK, DAY, POSTER, sender
from tests.stories.watching import Watch, paged

AUDITOR = "auditor-one"
BOOKS = ("own-alfa-hot", "own-alfa-calm", "own-alfa-twice")
FAULTS = size(test=18, full=2_600)
AUDITED_EVERY = size(test=6, full=100)
"""Faults from one whole audit to the next: what an audit would find stays in the log for the next,
and it takes longer as the log grows."""


# ---- who sends what


def registrar(oracle: Oracle, name: str) -> Iterator[Intent]:
    """Institutions, and keys of those that are known to be on board, one after the other."""
    for number in range(10**9):
        institution = f"{name}{number}"
        arrival = Intent(
            who="operator",
            path="/v1/institutions",
            body={
                "institution": institution,
                "kind": "bank",
                "name": f"示例{number}",
                "name_en": institution,
                "uscc": None,
                "illustrative": True,
            },
            key=f"{name}-arrival-{number:06d}",
        )
        yield arrival
        if arrival.key in oracle.answers:
            key = KeyInMemory(sha256(institution.encode()).digest())
            yield Intent(
                who="operator",
                path=f"/v1/institutions/{institution}/keys",
                body={"public_key": encode_base64(key.public)},
                key=f"{name}-key-{number:06d}",
            )


def boarded(url: str, operator_token: str) -> dict[str, str]:
    """Tokens by person, once a bank and an auditor are on board and the bank's books are open."""
    tokens = {"operator": operator_token}
    with Client(url, operator_token) as operator:
        for institution, kind, person, role in (
            (BANK, "bank", POSTER, "operations"),
            ("auditor", "auditor", AUDITOR, "auditor"),
        ):
            operator.post(
                "/v1/institutions",
                {
                    "institution": institution,
                    "kind": kind,
                    "name": institution,
                    "name_en": institution,
                    "uscc": None,
                    "illustrative": True,
                },
            )
            operator.post(
                f"/v1/institutions/{institution}/people",
                {"person": person, "name": person, "roles": [role]},
            )
            issued = operator.post(f"/v1/people/{person}/tokens", {"days": 1})
            tokens[person] = issued["token"]
    with Client(url, tokens[POSTER]) as bank:
        for book in BOOKS:
            bank.post("/v1/books", {"book": book})
    return tokens


# ---- what must be so afterwards


def reconciled(traffic: Traffic) -> dict[str, int]:
    """The figures, once the service's records are those of the oracle and nothing else."""
    oracle = traffic.oracle
    with traffic.client(AUDITOR) as auditor:
        watch = Watch(auditor, oracle, BOOKS)
        watch.until_all_ended()
        watch.check()
        published(auditor)
        for book in BOOKS:
            assert balances(auditor, book) == watch.posted(book)
        check_registry(auditor, oracle)
        check_members(auditor, oracle)
        check_bundle(auditor)
    kinds = Counter(one.kind for book in BOOKS for one in watch.found(book).values())
    return {
        "writes acknowledged": len(oracle.answers),
        "asked again": len(oracle.asked_again),
        "leaves in the bank's books": dict(sorted(kinds.items())),
        "pendings that ended by themselves": watch.ended,
    }


def published(client: Client) -> None:
    """Returns once every book is under a signed head to its last leaf."""
    deadline = time.monotonic() + 30
    while any(book["published"] < book["size"] for book in client.get("/v1/books")):
        assert time.monotonic() < deadline, "the sequencer has stopped"
        time.sleep(0.05)


def balances(client: Client, book: str) -> dict[str, int]:
    lines = client.get(f"/v1/books/{book}/balances")["balances"]
    return {line["code"]: line["balance_minor"] for line in lines if line["balance_minor"]}


def check_registry(client: Client, oracle: Oracle) -> None:
    """Every command of the operator's stands once in the registry, and no position is left out."""
    stand = list(paged(client, "/v1/books/registry/records", "records"))
    assert [record["position"] for record in stand] == list(range(len(stand)))
    found = Counter(record["record"].removesuffix(":0").rpartition(":")[2] for record in stand)
    meant = {key for key, intent in oracle.intents.items() if intent.who == "operator"}
    assert {key: found[key] for key in meant} == dict.fromkeys(meant, 1)


def check_members(client: Client, oracle: Oracle) -> None:
    """Every institution the registrar brought on board is there, and no other."""
    arrived = [
        one.body["institution"] for one in oracle.intents.values() if one.path == "/v1/institutions"
    ]
    there = [one["institution"] for one in client.get("/v1/institutions")]
    assert sorted(there) == sorted([*arrived, BANK, "auditor", "operator"])


def check_bundle(client: Client) -> None:
    with zipfile.ZipFile(io.BytesIO(client.get_bytes("/v1/bundle"))) as archive:
        verdict = verify({name: archive.read(name) for name in archive.namelist()}, None)
    assert verdict.verified, verdict.document()


def check_audit(database_url: str, settings: Settings) -> None:
    """`liandai audit` finds every invariant to hold."""
    audited = asyncio.run(audit_database(database_url, settings))
    assert audited["holds"], [one for one in audited["checks"] if one["broken"]]


# ---- the faults


def crowd(oracle: Oracle, name: str) -> tuple[tuple[Iterator[Intent], int], ...]:
    """Two who work in one book, one alone, one who sends all in triplicate, and a registrar."""
    return (
        (sender("own-alfa-hot", f"{name}a"), 1),
        (sender("own-alfa-hot", f"{name}b"), 1),
        (sender("own-alfa-calm", f"{name}c"), 1),
        (sender("own-alfa-twice", f"{name}d"), 3),
        (registrar(oracle, name), 1),
    )


def cut_connections(database_url: str) -> None:
    """Every connection of the service to PostgreSQL is cut, whatever it was doing."""

    async def cut() -> None:
        conn = await asyncpg.connect(asyncpg_dsn(database_url))
        try:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await conn.close()

    asyncio.run(cut())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_was_acknowledged_stands_once_whoever_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    founded = running.prepare(
        database_url, settings, name="liandai.crash", purpose="demo", first_day=DAY, fresh=False
    )
    assert founded is not None
    program = Program(
        "api.serving",
        log=tmp_path / "program.log",
        port=free_port(),
        LIANDAI_DATABASE_URL=database_url,
        LIANDAI_HOME=str(tmp_path),
        LIANDAI_LOG_LEVEL="error",
    )
    with Oracle(tmp_path / "oracle.jsonl") as oracle, program:
        traffic = Traffic(program.url, boarded(program.url, founded.operator_token), oracle)

        def kill_all() -> None:
            program.kill()
            program.start()

        def kill_worker() -> None:
            program.kill_worker()
            program.wait_until_ready()

        def cut() -> None:
            cut_connections(database_url)
            program.wait_until_ready()

        def freeze() -> None:
            program.freeze(0.2)

        # One worker killed between two whole restarts: at a second one within seconds the server
        # takes it for a worker that cannot live, and ends.
        kinds = (kill_all, cut, kill_worker, cut, freeze)
        faults = Counter[str]()
        dice = random.Random(9)
        people = crowd(oracle, "m")
        with traffic.client(AUDITOR) as auditor:
            watch = Watch(auditor, oracle, BOOKS)
            for number in range(FAULTS):
                fault = kinds[number % len(kinds)]
                with traffic.flowing(*people):
                    time.sleep(dice.uniform(0.2, 0.6))
                    fault()
                    time.sleep(0.2)
                faults[fault.__name__] += 1
                traffic.replay()
                watch.check()
                if number % AUDITED_EVERY == AUDITED_EVERY - 1:
                    check_audit(database_url, settings)
        figures = reconciled(traffic)
    print(f"\n{faults.total()} faults {dict(faults)}, {figures}")
    assert figures["writes acknowledged"] > 10 * FAULTS
    check_audit(database_url, settings)


@pytest.mark.skipif(
    bool(os.environ.get("LIANDAI_DATABASE_URL")), reason="kills its own PostgreSQL, not yours"
)
def test_the_whole_program_is_killed_with_its_postgresql(tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = Program(
        "api.cli",
        "serve",
        log=tmp_path / "program.log",
        port=free_port(),
        LIANDAI_HOME=str(home),
        LIANDAI_FIRST_BUSINESS_DAY=DAY.isoformat(),
        LIANDAI_LOG_LEVEL="error",
    )
    try:
        with Oracle(tmp_path / "oracle.jsonl") as oracle, program:
            operator = (home / "operator.token").read_text().strip()
            traffic = Traffic(program.url, boarded(program.url, operator), oracle)
            people = crowd(oracle, "w")
            with traffic.client(AUDITOR) as auditor:
                watch = Watch(auditor, oracle, BOOKS)
                for fault in (kill_backend, kill_everything, kill_everything):
                    with traffic.flowing(*people):
                        time.sleep(0.3)
                        fault(program, home)
                        time.sleep(0.2)
                    traffic.replay()
                    watch.check()
            figures = reconciled(traffic)
        settings = Settings(home=home)
        with running.database(settings, say=lambda _line: None, new=False) as url:
            check_audit(url, settings)
        print(f"\n3 faults of PostgreSQL itself, {figures}")
    finally:
        embedded.discard(home)


def postmaster(home: Path) -> int:
    base = (home / "elsewhere").readlink() if (home / "elsewhere").is_symlink() else home
    (found,) = base.glob("pg*/postmaster.pid")
    return int(found.read_text().splitlines()[0])


def kill_backend(program: Program, home: Path) -> None:
    """SIGKILL to one backend in mid-statement: PostgreSQL throws all others out and recovers."""
    parent = postmaster(home)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and words.startswith(b"postgres: liandai"):
            os.kill(int(folder.name), signal.SIGKILL)
            break
    else:
        raise AssertionError("no backend at work")
    program.wait_until_ready()


def kill_everything(program: Program, home: Path) -> None:
    """SIGKILL to PostgreSQL's first process and to ours, at the same moment."""
    os.kill(postmaster(home), signal.SIGKILL)
    program.kill()
    program.start()
