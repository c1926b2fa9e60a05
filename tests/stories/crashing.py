"""Programs that are killed and started again, and clients that know what they have asked for.

The oracle is on the client's side: an intent is in its file before the command is sent, and what
was acknowledged is there with its answer. What is neither was cut off, and is asked again under the
same key until it is answered. At the end the service is held to the oracle, not to itself.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

from api.client import Answered, Client

PATIENCE = 60.0


class Program:
    """One of our commands in a session of its own, on a port it keeps; stopped at the end."""

    def __init__(self, *words: str, log: Path, port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._words = words
        self._log = log
        self._environment = {**os.environ, "LIANDAI_PORT": str(port), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()

    def start(self) -> None:
        """It runs, and answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()[-2_000:]
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                return
            time.sleep(0.02)
        raise AssertionError(f"no answer within {PATIENCE:.0f} seconds")

    def kill(self) -> None:
        """SIGKILL to every process of its group; nothing of it is left."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def workers(self) -> list[int]:
        """The processes of its group that are children of another one there."""
        assert self._process is not None
        return [pid for pid, parent in _group(self._process.pid).items() if parent != os.getpid()]

    def kill_worker(self) -> None:
        """SIGKILL to what answers the requests; what started it starts another."""
        (*_, worker) = self.workers()
        os.kill(worker, signal.SIGKILL)

    def freeze(self, seconds: float) -> None:
        """Every process of its group stands still, and goes on where it stood."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.killpg(self._process.pid, signal.SIGCONT)


def _group(leader: int) -> dict[int, int]:
    """Parent by process of a process group, in the order they were started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader and fields[0] != "Z":
                found[int(folder.name)] = int(fields[1])
    return dict(sorted(found.items()))


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A command somebody means to send."""

    who: str
    path: str
    body: Any
    key: str


class Oracle:
    """What was meant, in a file before it is sent, and what was answered."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.intents: dict[str, Intent] = {}
        self.answers: dict[str, Any] = {}
        self.asked_again: set[str] = set()
        self.differing: list[str] = []

    def mean(self, intent: Intent) -> Intent:
        """The intent is on file."""
        with self._lock:
            self._write("intent", msgspec.to_builtins(intent))
            self.intents[intent.key] = intent
        return intent

    def acknowledged(self, intent: Intent, answer: Any) -> None:
        """The answer is on file; one that differs from an earlier one is remembered as such."""
        with self._lock:
            self._write("answer", {"key": intent.key, "answer": answer})
            if self.answers.setdefault(intent.key, answer) != answer:
                self.differing.append(intent.key)

    def _write(self, kind: str, words: dict[str, Any]) -> None:
        self._file.write(json.dumps({"kind": kind, **words}) + "\n")
        self._file.flush()

    def unknown(self) -> list[Intent]:
        """What was sent and never answered, in the order it was meant."""
        with self._lock:
            return [one for key, one in self.intents.items() if key not in self.answers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Traffic:
    """People who send one command after the other, each on a thread of its own."""

    def __init__(self, url: str, tokens: dict[str, str], oracle: Oracle) -> None:
        self._url, self._tokens, self.oracle = url, tokens, oracle
        self._stop = threading.Event()
        self._wrong: list[str] = []

    def client(self, who: str) -> Client:
        return Client(self._url, self._tokens[who], timeout_seconds=10)

    @contextmanager
    def flowing(self, *people: tuple[Iterator[Intent], int]) -> Iterator[None]:
        """While the context lasts everybody sends what comes next, so many times at once.

        What got no answer is asked again before anything else is, under the same key.
        """
        self._stop.clear()
        threads = [threading.Thread(target=self._work, args=person) for person in people]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        assert not self._wrong, self._wrong

    def _work(self, intents: Iterator[Intent], at_once: int) -> None:
        first = self.oracle.mean(next(intents))
        clients = [self.client(first.who) for _ in range(at_once)]
        with ThreadPoolExecutor(at_once) as senders:
            for intent in itertools.chain([first], map(self.oracle.mean, intents)):
                while not any(list(senders.map(self._send, clients, itertools.repeat(intent)))):
                    self.oracle.asked_again.add(intent.key)
                    if self._stop.wait(0.02):
                        break
                if self._stop.is_set():
                    break
        for client in clients:
            client.close()

    def _send(self, client: Client, intent: Intent) -> bool:
        """Whether it was acknowledged. What is refused for good is an error of the story's."""
        try:
            answer = client.post(intent.path, intent.body, key=intent.key)
        except Answered as problem:
            if problem.status < 500 and problem.code != "in-flight":
                self._wrong.append(f"{intent}: {problem}")
            return False
        except httpx2.HTTPError:
            return False
        self.oracle.acknowledged(intent, answer)
        return True

    def replay(self) -> None:
        """Everything that was meant is answered: what is unknown has been asked again."""
        unknown = self.oracle.unknown()
        deadline = time.monotonic() + PATIENCE
        for who in sorted({intent.who for intent in unknown}):
            with self.client(who) as client:
                for intent in unknown:
                    while intent.who == who and not self._send(client, intent):
                        assert not self._wrong, self._wrong
                        assert time.monotonic() < deadline, f"never answered: {intent}"
                        time.sleep(0.02)
