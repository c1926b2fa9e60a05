"""`liandai demo` as a user runs it, and what a changed bundle of it is worth.

The story is told once, in a home of its own, by the real command; the tests look at what it left.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from api import embedded
from api.bundles import read_folder
from api.demo.people import read_users
from api.settings import asyncpg_dsn
from ledger import bundle as bundles
from ledger import notes
from ledger.notes import read_policy
from ledger.signatures import KeyInMemory
from ledger.verify import verify
from syndicate.risk.share import answer
from tests.conftest import empty_database
from tests.docs.guide import Request, steps, walk
from tests.given import ROOT

LIANDAI = Path(sys.executable).parent / "liandai"


class DemoRun:
    """One finished run: its last line, what it printed, where its bundle is."""

    def __init__(self, home: Path, printed: str) -> None:
        self.home = home
        self.printed = printed
        self.line = json.loads(printed.splitlines()[-1])
        self.bundle = home / "demo" / "bundle"
        self.policy = home / "demo" / "bundle.policy.json"
        self.files = read_folder(str(self.bundle))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> Iterator[DemoRun]:
    """The demo, run once: on a database of its own on the server that is given, or embedded."""
    home = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "LIANDAI_HOME": str(home)}
    with ExitStack() as held:
        held.callback(embedded.discard, home)
        if os.environ.get("LIANDAI_DATABASE_URL"):
            url = held.enter_context(empty_database(server_url))
            environment["LIANDAI_DATABASE_URL"] = asyncpg_dsn(url)
        done = subprocess.run(
            [LIANDAI, "demo"],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield DemoRun(home, done.stdout)


def run(*arguments: object) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [LIANDAI, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


def test_the_demo_ends_verified_with_a_trial_balance_of_zero(demo: DemoRun) -> None:
    assert demo.line["verified"] is True
    assert demo.line["trial_balance"] == "0.00"
    assert demo.line["clearing_spread_bp"] == -15
    assert demo.line["allocation"] == {
        "hzbank": "80000000.00",
        "cib": "60000000.00",
        "czbank": "60000000.00",
    }
    assert demo.line["entries"] > 10_000


def test_its_loss_shares_equal_the_calculator_on_the_same_rule_and_events(demo: DemoRun) -> None:
    facility = next(
        json.loads(line)["subject"]
        for line in demo.files["books/fac-qinghe/leaves.jsonl"].splitlines()
        if b'"FacilityFormed"' in line
    )
    events = [
        {"kind": "loss", "amount": "5000000.01"},
        {"kind": "loss", "amount": "333333.33"},
        {"kind": "recovery", "amount": "650000.00"},
    ]
    rule = facility["terms"]["risk_share"]
    assert answer(rule, events)["totals"] == demo.line["loss_shares"]


def test_it_tells_facts_and_illustrations_apart_in_two_languages(demo: DemoRun) -> None:
    for words in ("事实 fact", "示例 illustrative", "simulated independence", "离线验证"):
        assert words in demo.printed


def test_the_bundle_verifies_by_command_with_and_without_a_policy(demo: DemoRun) -> None:
    code, verdict = run("verify", demo.bundle, "--policy", demo.policy)
    assert (code, verdict["verified"], verdict["trust"]) == (0, True, "policy")
    code, verdict = run("verify", demo.bundle)
    assert (code, verdict["verified"], verdict["trust"]) == (0, True, "self")


def test_every_negotiation_and_facility_of_the_demo_is_computed_again(demo: DemoRun) -> None:
    _, verdict = run("verify", demo.bundle, "--policy", demo.policy)
    deals = {
        path.split("/")[1] for path in demo.files if path.startswith(("books/neg", "books/fac"))
    }
    assert set(verdict["reperformed"]) == deals
    assert {deal.partition("-")[0] for deal in deals} == {"neg", "fac"}
    told = " ".join(verdict["not_proved"])
    assert "negotiated" not in told, "every facility is held against its negotiation"


def test_a_folder_that_is_no_bundle_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of ours")
    code, printed = run("verify", tmp_path)
    assert code == 2
    assert str(printed["stderr"]).count("\n") == 1


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def test_any_changed_byte_of_any_file_makes_the_answer_no(demo: DemoRun) -> None:
    """The first, the last and two bytes between of every file, one bit each."""
    chance = random.Random(20261122)
    policy = read_policy(demo.policy.read_bytes())
    tried = 0
    for name, raw in demo.files.items():
        places = {0, len(raw) - 1, *(chance.randrange(len(raw)) for _ in range(2))} if raw else ()
        for at in places:
            changed = {**demo.files, name: flipped(raw, at)}
            verdict = verify(changed, policy)
            assert not verdict.verified, (name, at)
            assert verdict.first_wrong is not None
            tried += 1
    print(f"changed bytes tried: {tried}, accepted: 0")


CHANGES: tuple[tuple[str, Callable[[Path, str], None]], ...] = (
    ("removed", lambda folder, name: (folder / name).unlink()),
    ("emptied", lambda folder, name: (folder / name).write_bytes(b"") and None),
    (
        "longer by a byte",
        lambda folder, name: (
            (folder / name).write_bytes((folder / name).read_bytes() + b"\n") and None
        ),
    ),
    ("renamed", lambda folder, name: (folder / name).rename(folder / f"{name}.x") and None),
    ("added beside", lambda folder, name: (folder / f"{name}.bak").write_bytes(b"x") and None),
    ("a folder added", lambda folder, name: (folder / "extra").mkdir()),
)


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[row[0] for row in CHANGES])
def test_any_file_removed_added_or_changed_makes_the_answer_no_by_command(
    demo: DemoRun, tmp_path: Path, what: str, change: Callable[[Path, str], None]
) -> None:
    name = "books/fac-qinghe/leaves.jsonl"
    folder = tmp_path / "bundle"
    shutil.copytree(demo.bundle, folder)
    change(folder, name)
    code, verdict = run("verify", folder, "--policy", demo.policy)
    assert (code, verdict["verified"]) == (1, False)
    assert verdict["first_wrong"]


def test_each_file_removed_makes_the_answer_no(demo: DemoRun) -> None:
    policy = read_policy(demo.policy.read_bytes())
    for name in demo.files:
        rest = {other: raw for other, raw in demo.files.items() if other != name}
        assert not verify(rest, policy).verified, name


def test_the_whole_bundle_signed_again_with_other_keys_fails_under_the_policy(
    demo: DemoRun,
) -> None:
    """A forger with every file and keys of its own: every note, manifest and policy made anew."""
    policy = read_policy(demo.policy.read_bytes())
    forger = KeyInMemory(bytes(range(32)))
    name = policy.log.name

    def signed_again(note: bytes) -> bytes:
        return notes.sign_note(notes.read_note(note).text, name=name, signer=forger)

    forged: dict[str, bytes] = {}
    for path, raw in demo.files.items():
        if path == bundles.MANIFEST:
            continue
        if path.endswith("checkpoints.jsonl"):
            lines = [json.loads(line)["note"].encode() for line in raw.splitlines()]
            raw = b"".join(  # noqa: PLW2901 - the forged file takes the real one's place
                json.dumps(
                    {"note": signed_again(note).decode()}, ensure_ascii=False, separators=(",", ":")
                ).encode()
                + b"\n"
                for note in lines
            )
        forged[path] = raw
    log = notes.VerifierKey(name, notes.ED25519, forger.public)
    forged[bundles.POLICY] = notes.write_policy(notes.Policy(log=log, witnesses=(), threshold=0))
    forged[bundles.MANIFEST] = notes.sign_note(
        bundles.manifest_text(name, forged), name=name, signer=forger
    )
    alone = verify(forged, None)
    assert alone.verified, alone.document()
    assert alone.trust == "self"
    assert not verify(forged, policy).verified


def test_no_name_or_code_of_a_borrower_is_in_the_bundle(demo: DemoRun) -> None:
    whole = b"".join(demo.files.values())
    for word in ("云深处", "青禾", "Deep Robotics", "91330106", "patents", "team.core"):
        assert word.encode() not in whole, word


def test_users_keys_and_tokens_are_readable_by_their_owner_alone(demo: DemoRun) -> None:
    private = [demo.home / "demo" / "users.json", demo.home / "log.key"]
    private += sorted((demo.home / "demo" / "keys").iterdir())
    for path in private:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.fixture
def served(demo: DemoRun) -> Iterator[str]:
    """The address of a server over the demonstration's data, as `make serve` starts it."""
    environment = {**os.environ, "LIANDAI_HOME": str(demo.home), "LIANDAI_PORT": "0"}
    server = subprocess.Popen(
        [LIANDAI, "serve", "--demo"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield next(line for line in server.stdout if "/v1/docs" in line).split()[2]
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


async def test_the_auditors_guide_is_walked_on_the_demonstration(
    demo: DemoRun, served: str, tmp_path: Path
) -> None:
    """docs/guide/auditor.md word for word; its command says of the proof what it quotes."""
    taken = steps("auditor.md")
    assert len(taken) == 5
    tokens = {one.person: one.token for one in read_users(demo.home / "demo").values()}
    async with AsyncClient(base_url=served, timeout=60) as http:

        async def send(request: Request, _: object) -> object:
            bearer = {"Authorization": f"Bearer {tokens[request.person]}"}
            answer = await http.request(request.method, request.path, headers=bearer)
            assert answer.status_code == 200, answer.text
            return answer.json()

        proof = await walk(taken, sign=lambda *_: None, send=send)
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    words = ("proof", tmp_path / "proof.json", "--policy", demo.policy)
    code, verdict = run(*words)
    assert (code, verdict["verified"]) == (0, True)
    assert verdict["balance"]["balance_minor"] == -656072570
    page = (ROOT / "docs" / "guide" / "auditor.md").read_text("utf-8")
    assert verdict["proved"][0] in " ".join(page.replace("\n> ", " ").split())
    (tmp_path / "proof.json").write_text(json.dumps(proof).replace("-656072570", "-656072571"))
    code, verdict = run(*words)
    assert (code, verdict["proved"]) == (1, [])
    assert str(verdict["why"]).startswith("$.balance.hashes")
