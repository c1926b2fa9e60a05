"""A backup is taken while banks post; what was shown before it verifies against what is restored.

And a witness tells a restored older state from the log it has seen, by its size at first, and by
its tree once the restored log has grown past that size. The dump is PostgreSQL's own pg_dump, read
back into another database of the same server, and served there by a process of its own.
"""

import asyncio
import io
import os
import subprocess
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy.engine import make_url

from api import running, witness_memory
from api.client import Client
from api.database import SERVICE, Database
from api.keys import LOG_KEY, write_private
from api.postgres_programs import NoServer, find_programs
from api.settings import Settings, asyncpg_dsn
from api.witnessing import Refused, Watch
from ledger import merkle, notes, publishing, receipts, store, verify, witness
from ledger.notes import Policy, VerifierKey
from ledger.receipts import Receipt
from ledger.witness import Seen
from tests.house import NAME, House, key_of
from tests.invariants import assert_invariants

BOOKS = tuple(f"own-hzbank-{number}" for number in range(3))
ORIGIN = f"{NAME}/top"
LOG = VerifierKey(NAME, notes.ED25519, key_of("log").public)
BANKS = ("hzbank", "cib", "czbank")
POLICY = Policy(
    log=LOG,
    witnesses=tuple(VerifierKey(bank, notes.COSIGNATURE_V1, key_of(bank).public) for bank in BANKS),
    threshold=2,
)


class Posting:
    """Clients who post without pause while the context lasts; what each was promised."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.promised: dict[tuple[str, str], str] = {}
        self._going = True
        self._moved = asyncio.Event()
        self._rounds = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Posting":
        self._tasks = [asyncio.create_task(self._post(book)) for book in BOOKS]
        self._tasks.append(asyncio.create_task(self._publish()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _post(self, book: str) -> None:
        number = 0
        while self._going:
            number += 1
            key = f"backup-{book}-{number:06d}"
            body = {
                "value_date": "2024-03-01",
                "reference": f"{number}",
                "entries": [
                    {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
                    for code, amount in (("cash", number), ("suspense", -number))
                ],
            }
            answer = await self.house["hzbank-operations"].post(
                f"/v1/books/{book}/transactions", body, key=key
            )
            self.promised[book, f"hzbank:{key}:0"] = answer["leaf_hash"]
            self._moved.set()

    async def _publish(self) -> None:
        while self._going:
            await self.house.publish()
            self._rounds += 1
            self._moved.set()
            await asyncio.sleep(0.05)

    async def grown_by(self, count: int) -> None:
        target = len(self.promised) + count
        while len(self.promised) < target:
            await self._move()

    async def published(self) -> None:
        """What was promised before the call is under a head: a whole round has begun since."""
        target = self._rounds + 2
        while self._rounds < target:
            await self._move()

    async def _move(self) -> None:
        self._moved.clear()
        await self._moved.wait()


class Shown:
    """What members and witnesses had in hand before the backup began."""

    def __init__(self) -> None:
        self.receipts: list[tuple[Receipt, str]] = []
        self.checkpoints: list[tuple[str, bytes]] = []


async def cosigned(house: House) -> Seen:
    """The top log's latest head, checked and cosigned by two banks."""
    note = (await house.http.get("/v1/log/checkpoint")).content
    head = witness.read_head(note, origin=ORIGIN, log=LOG)
    for bank in BANKS[:2]:
        line = notes.cosign(note, name=bank, signer=key_of(bank), time=1_709_000_000)
        body = {"size": head.size, "line": line.decode()}
        await house[f"{bank}-operations"].post("/v1/log/cosignatures", body)
    return Seen(size=head.size, root=head.root, note=note)


async def gather(house: House, posting: Posting) -> Shown:
    """Receipts of everything promised so far, and every book's checkpoint, as members keep them."""
    shown = Shown()
    promised = dict(posting.promised)
    await posting.published()
    await cosigned(house)
    officer = house["hzbank-officer"]
    for (book, record), leaf in list(promised.items())[::3]:
        path = f"/v1/books/{book}/records/{record}/receipt"
        found = await officer.get(path, witnessed=2)
        shown.receipts.append((msgspec.convert(found, Receipt), leaf))
    for book in BOOKS:
        found = await officer.get(f"/v1/books/{book}/checkpoint")
        shown.checkpoints.append((book, found["note"].encode()))
    shown.checkpoints.append(("top", (await house.http.get("/v1/log/checkpoint")).content))
    return shown


@pytest.fixture
async def programs(server_url: str) -> Path:
    """The folder of PostgreSQL's own programs, of the server's version: what a later one writes an
    earlier server may not take."""
    conn = await asyncpg.connect(asyncpg_dsn(server_url))
    major = conn.get_server_version().major
    await conn.close()
    try:
        return find_programs(None, major=major).folder
    except NoServer as none:
        pytest.skip(f"no pg_dump of the server's version here: {none}")


def connection(url: str) -> tuple[list[str], dict[str, str]]:
    """(arguments, environment) that lead PostgreSQL's programs to a database."""
    found = make_url(url)
    host = found.host or str(found.query.get("host", ""))
    port = found.port or found.query.get("port", "5432")
    arguments = ["--host", str(host), "--port", str(port), "--username", str(found.username)]
    return arguments, {**os.environ, "PGPASSWORD": str(found.password or "")}


async def run(*arguments: str, environment: dict[str, str]) -> None:
    def work() -> None:
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    await asyncio.to_thread(work)


@pytest.fixture
async def elsewhere(house: House, server_url: str) -> AsyncIterator[str]:
    """The URL of an empty database beside the house's; gone after the test."""
    name = f"{make_url(house.database_url).database}_restored"
    conn = await asyncpg.connect(asyncpg_dsn(server_url))
    await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield make_url(house.database_url).set(database=name).render_as_string(hide_password=False)
    await conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await conn.close()


async def test_what_was_shown_before_a_backup_verifies_after_it_is_restored(
    house: House, elsewhere: str, programs: Path, tmp_path: Path
) -> None:
    dump = tmp_path / "backup.dump"
    for book in BOOKS:
        await house["hzbank-operations"].post("/v1/books", {"book": book})
    async with Posting(house) as posting:
        await posting.grown_by(60)
        shown = await gather(house, posting)
        before = len(posting.promised)
        arguments, environment = connection(house.database_url)
        database = str(make_url(house.database_url).database)
        await run(
            *(str(programs / "pg_dump"), *arguments, "--format=custom", "--file", str(dump)),
            database,
            environment=environment,
        )
        during = len(posting.promised) - before
        await posting.grown_by(30)
    assert during > 0, "banks posted while the backup was taken"
    await house.publish()
    last = await cosigned(house)
    arguments, environment = connection(elsewhere)
    restored_name = str(make_url(elsewhere).database)
    await run(
        *(str(programs / "pg_restore"), *arguments, "--exit-on-error", "--dbname", restored_name),
        str(dump),
        environment=environment,
    )
    restored = Database(elsewhere, pool_size=4, statement_timeout_ms=30_000)
    try:
        await assert_shown(restored, shown)
        await assert_invariants(restored)
    finally:
        await restored.close()
    home = tmp_path / "home"
    home.mkdir()
    write_private(home / LOG_KEY, sha256(b"test key of log").hexdigest() + "\n")
    with running.server(elsewhere, Settings(home=home), founded=None, port=0) as up:
        await assert_answers(up.url, house, shown)
        sizes = await asyncio.to_thread(notice, up.url, house, last, tmp_path)
    print(
        f"\n{len(shown.receipts)} receipts and {len(shown.checkpoints)} checkpoints from before "
        f"the backup hold; {during} postings while it ran; the witness remembered {sizes[0]} "
        f"leaves and was shown {sizes[1]}"
    )


async def assert_shown(restored: Database, shown: Shown) -> None:
    """Each receipt holds by itself and leads to heads that the restored logs still extend."""
    for receipt, leaf in shown.receipts:
        verdict = receipts.verify(receipt, POLICY, leaf_hash=leaf)
        assert verdict.verified, verdict
    proofs = [
        (receipt.book, receipts.read_proof(receipt.in_book.encode(), place="$").checkpoint)
        for receipt, _ in shown.receipts
    ]
    proofs += [
        ("top", receipts.read_proof(receipt.in_top.encode(), place="$").checkpoint)
        for receipt, _ in shown.receipts
    ]
    async with restored.transaction(SERVICE, read_only=True) as conn:
        for book, note in (*shown.checkpoints, *proofs):
            head = notes.read_checkpoint_text(notes.read_note(note).text)
            now = await publishing.checkpoint(conn, book=book)
            assert merkle.verify_consistency(
                old_size=head.size,
                old_root=head.root,
                new_size=now.size,
                new_root=now.root,
                proof=await publishing.consistency(
                    conn, book=book, old_size=head.size, new_size=now.size
                ),
            ), f"{book} at {head.size}"
        for receipt, leaf in shown.receipts:
            (row,) = await store.leaf_bytes(
                conn,
                book=receipt.book,
                from_position=receipt.position,
                to_position=receipt.position + 1,
            )
            assert merkle.leaf_hash(row.bytes).hex() == leaf == receipt.leaf_hash


async def assert_answers(url: str, house: House, shown: Shown) -> None:
    """The restored service gives the very receipts that were kept, and a bundle that verifies."""

    def ask() -> None:
        with Client(url, house["hzbank-officer"].token) as officer:
            for receipt, _ in shown.receipts[::5]:
                (record,) = [
                    one["record"]
                    for one in officer.get(
                        f"/v1/books/{receipt.book}/records", after=receipt.position - 1, limit=1
                    )["records"]
                ]
                again = officer.get(
                    f"/v1/books/{receipt.book}/records/{record}/receipt", witnessed=2
                )
                assert msgspec.convert(again, Receipt) == receipt
        with Client(url, house["auditor-auditor"].token) as auditor:
            packed = auditor.get_bytes("/v1/bundle", witnessed=2)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        verdict = verify.verify(files, POLICY)
        assert verdict.verified, verdict.document()

    await asyncio.to_thread(ask)


def notice(url: str, house: House, last: Seen, folder: Path) -> tuple[int, int]:
    """The witness that had seen more refuses the restored log, and names both sizes."""
    with (
        witness_memory.held(folder / "seen.json", first=True) as memory,
        Client(url, house["hzbank-operations"].token) as client,
    ):
        memory.remember(ORIGIN, last)
        watch = Watch(client, memory, log=LOG, name="hzbank", signer=key_of("hzbank"))
        rolled_back = refused(watch)
        assert rolled_back["refused"] == "log-rolled-back"
        assert rolled_back["remembered"] == last.size > rolled_back["shown"] > 0
        assert f"shows {rolled_back['shown']} leaves, and {last.size} were" in rolled_back["why"]
        grow(url, house, past=last.size)
        forked = refused(watch)
        assert forked["refused"] == "log-forked"
        assert forked["remembered"] == last.size < forked["shown"]
        assert memory.seen[ORIGIN] == last, "nothing of it is remembered"
    return int(rolled_back["remembered"]), int(rolled_back["shown"])


def refused(watch: Watch) -> Any:
    with pytest.raises(Refused) as found:
        watch.once()
    assert found.value.evidence.exists()
    return found.value.document()


def grow(url: str, house: House, *, past: int) -> None:
    """The restored log grows past the size that the witness remembers: the operator goes on."""
    with Client(url, house["hzbank-operations"].token) as client:
        number = 0
        while True:
            note = client.get_bytes("/v1/log/checkpoint")
            if witness.read_head(note, origin=ORIGIN, log=LOG).size > past:
                return
            number += 1
            for book in BOOKS:
                body = {
                    "value_date": "2024-03-01",
                    "reference": f"after-{number}",
                    "entries": [
                        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
                        for code, amount in (("cash", number), ("suspense", -number))
                    ],
                }
                client.post(f"/v1/books/{book}/transactions", body)
