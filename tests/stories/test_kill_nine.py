"""Whatever is killed while it works: what was acknowledged stands once, and nothing stands twice.

A real server over a real PostgreSQL, clients in mid-traffic, SIGKILL. After each fault everything
is started again and the commands that got no answer are sent again under their keys. The figures
are printed (`pytest -s`); `make campaign` has more faults than the usual few.
"""

import asyncio
import io
import os
import random
import signal
import socket
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api import embedded, running
from api.client import Client
from api.database import Database
from api.settings import Settings, asyncpg_dsn
from ledger.signatures import KeyInMemory, encode_base64
from ledger.verify import verify
from tests.campaign.size import size
from tests.invariants import assert_invariants
from tests.stories.crashing import Intent, Oracle, Program, Traffic

DAY = date(2024, 3, 1)
BANK, POSTER, AUDITOR = "alfa", "alfa-operations", "auditor-one"
BOOKS = ("own-alfa-hot", "own-alfa-calm", "own-alfa-twice")
FAULTS = size(test=18, full=2_600)


# ---- who sends what


def poster(book: str, name: str) -> Iterator[Intent]:
    """Transactions of two or three entries, one after the other, for ever."""
    dice = random.Random(name)
    for number in range(10**9):
        first, second = dice.randrange(1, 10**6), dice.randrange(-(10**6), 10**6)
        amounts = {"cash": first, "suspense": second, "fees": -first - second}
        yield Intent(
            who=POSTER,
            path=f"/v1/books/{book}/transactions",
            body={
                "value_date": DAY.isoformat(),
                "reference": f"{name}/{number}",
                "entries": [
                    {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
                    for code, amount in amounts.items()
                    if amount
                ],
            },
            key=f"{name}-{number:08d}",
        )


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
    assert oracle.unknown() == []
    assert oracle.differing == []
    with traffic.client(AUDITOR) as auditor:
        published(auditor)
        lost, doubled = Counter[str](), Counter[str]()
        for book in (*BOOKS, "registry"):
            stand = records(auditor, book)
            assert [record["position"] for record in stand] == list(range(len(stand)))
            found = Counter(command_of(record) for record in stand)
            meant = set(commands(oracle, book))
            lost.update(key for key in meant if key not in found)
            doubled.update(key for key in meant if found[key] > 1)
            if book != "registry":
                assert set(found) == meant
                check_receipts(oracle, stand)
                assert balances(auditor, book) == expected(oracle, book)
        assert (lost, doubled) == (Counter(), Counter())
        check_members(auditor, oracle)
        check_bundle(auditor)
    return {
        "writes acknowledged": len(oracle.answers),
        "asked again": len(oracle.asked_again),
        "lost": lost.total(),
        "doubled": doubled.total(),
    }


def published(client: Client) -> None:
    """Returns once every book is under a signed head to its last leaf."""
    deadline = time.monotonic() + 30
    while any(book["published"] < book["size"] for book in client.get("/v1/books")):
        assert time.monotonic() < deadline, "the sequencer has stopped"
        time.sleep(0.05)


def records(client: Client, book: str) -> list[dict[str, Any]]:
    found, after = [], -1
    while after is not None:
        page = client.get(f"/v1/books/{book}/records", after=after, limit=500)
        found += page["records"]
        after = page["next"]
    return found


def command_of(record: dict[str, Any]) -> str:
    """The key under which it was commanded: "alfa:key:0" was under "key"."""
    return str(record["record"]).removesuffix(":0").rpartition(":")[2]


def commands(oracle: Oracle, book: str) -> Iterator[str]:
    """The keys whose commands are recorded in the book."""
    for key, intent in oracle.intents.items():
        of = "registry" if intent.who == "operator" else intent.path.split("/")[3]
        if of == book:
            yield key


def check_receipts(oracle: Oracle, stand: list[dict[str, Any]]) -> None:
    for record in stand:
        receipt = oracle.answers[command_of(record)]
        assert (receipt["position"], receipt["leaf_hash"]) == (
            record["position"],
            record["leaf_hash"],
        )


def balances(client: Client, book: str) -> dict[str, int]:
    lines = client.get(f"/v1/books/{book}/balances")["balances"]
    return {line["code"]: line["balance_minor"] for line in lines}


def expected(oracle: Oracle, book: str) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for key in commands(oracle, book):
        for entry in oracle.intents[key].body["entries"]:
            sums[entry["code"]] += entry["amount_minor"]
    return dict(sums)


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


# ---- the faults


def crowd(oracle: Oracle, name: str) -> tuple[tuple[Iterator[Intent], int], ...]:
    """Two who post in one book, one alone, one who sends all in triplicate, and a registrar."""
    return (
        (poster("own-alfa-hot", f"{name}a"), 1),
        (poster("own-alfa-hot", f"{name}b"), 1),
        (poster("own-alfa-calm", f"{name}c"), 1),
        (poster("own-alfa-twice", f"{name}d"), 3),
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
        for number in range(FAULTS):
            fault = kinds[number % len(kinds)]
            with traffic.flowing(*people):
                time.sleep(dice.uniform(0.2, 0.6))
                fault()
                time.sleep(0.2)
            faults[fault.__name__] += 1
            traffic.replay()
        figures = reconciled(traffic)
    print(f"\n{faults.total()} faults {dict(faults)}, {figures}")
    assert figures["writes acknowledged"] > 10 * FAULTS
    asyncio.run(hold(database_url))


async def hold(database_url: str) -> None:
    database = Database(database_url, pool_size=2, statement_timeout_ms=30_000)
    try:
        await assert_invariants(database)
    finally:
        await database.close()


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
            for fault in (kill_backend, kill_everything, kill_everything):
                with traffic.flowing(*people):
                    time.sleep(0.3)
                    fault(program, home)
                    time.sleep(0.2)
                traffic.replay()
            figures = reconciled(traffic)
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
