"""A witness that is asked: `POST /add-checkpoint` over HTTP, as C2SP tlog-witness has it.

It needs the keys of the logs it follows, a key of its own and a file for its memory; no database
and nothing of the service it watches. Checking, remembering and answering are one step: no two
requests are judged by the same memory.
"""

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

from api.witness_memory import Memory
from ledger import notes, witness
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import NotSigned, VerifierKey
from ledger.signatures import Signer

PATH: Final = "/add-checkpoint"
MAX_BODY: Final = 64 << 10
PATIENCE_SECONDS: Final = 30
MOST_AT_ONCE: Final = 64
"""Connections served at once; one more is closed unanswered. Anybody may come, no key is asked."""
LONGEST_SECONDS: Final = 120.0
"""How long one connection may last, however slowly it speaks."""
TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered."""

    status: int
    body: bytes
    media_type: str = TEXT


class Desk:
    """A witness that answers requests one after the other.

    logs  the key trusted for each origin that is followed
    name  the witness's own, under which it cosigns
    """

    def __init__(
        self, memory: Memory, *, logs: Mapping[str, VerifierKey], name: str, signer: Signer
    ) -> None:
        self._memory, self._logs = memory, dict(logs)
        self._name, self._signer = name, signer
        self._one_at_a_time = threading.Lock()

    def add_checkpoint(self, raw: bytes) -> Answer:
        """The cosignature line, once the head is remembered on the disk; or why there is none."""
        with self._one_at_a_time:
            try:
                request = witness.read_request(raw)
                origin, seen = witness.add_checkpoint(
                    request, logs=self._logs, seen=self._memory.seen
                )
            except LiandaiError as error:
                return _refusal(error)
            self._memory.remember(origin, seen)
            line = notes.cosign(
                seen.note, name=self._name, signer=self._signer, time=int(time.time())
            )
            return Answer(200, line)


def _refusal(error: LiandaiError) -> Answer:
    words = f"{error}\n".encode()
    match error:
        case witness.OtherHead():
            return Answer(409, f"{error.remembered}\n".encode(), SIZE)
        case witness.Forked():
            return Answer(409, f"{error.fields['remembered']}\n".encode(), SIZE)
        case NotSigned():
            return Answer(403, words)
        case witness.UnknownLog():
            return Answer(404, words)
        case witness.NoProof():
            return Answer(422, words)
        case WrongInput():
            return Answer(400, words)
    raise error


class _Bounded(ThreadingHTTPServer):
    """A thread a connection, so many at once and each for so long."""

    def __init__(self, address: tuple[str, int], handler: Any, *, most: int, longest: float):
        self._places, self._longest = threading.BoundedSemaphore(most), longest
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        ending = threading.Timer(self._longest, _cut, [request])
        ending.daemon = True
        ending.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            self._places.release()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it may have ended just now
        connection.shutdown(socket.SHUT_RDWR)


def server(
    desk: Desk,
    *,
    host: str,
    port: int,
    most: int = MOST_AT_ONCE,
    longest: float = LONGEST_SECONDS,
) -> ThreadingHTTPServer:
    """A server that listens, to be run with `serve_forever`; port 0 is any free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "liandai-witness", ""
        timeout = PATIENCE_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isascii() or not length.isdigit():
                self._answer(Answer(411, b"a Content-Length is needed\n"), close=True)
            elif len(length) > 9 or int(length) > MAX_BODY:
                self._answer(Answer(413, f"at most {MAX_BODY} bytes\n".encode()), close=True)
            elif self.path != PATH:
                self._answer(Answer(404, f"only {PATH} is here\n".encode()), close=True)
            else:
                self._answer(desk.add_checkpoint(self.rfile.read(int(length))))

        def do_GET(self) -> None:
            self._answer(Answer(405, f"POST {PATH}\n".encode()), close=True)

        def _answer(self, answer: Answer, *, close: bool = False) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            if close:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is written: what was cosigned stands in the memory."""

    return _Bounded((host, port), Handler, most=most, longest=longest)
