"""A witness that is asked: `POST /add-checkpoint` over HTTP, as C2SP tlog-witness has it.

It needs the keys of the logs it follows, a key of its own and a file for its memory; no database
and nothing of the service it watches. Checking, remembering and answering are one step: no two
requests are judged by the same memory.
"""

import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import msgspec

from api.witness_memory import Memory
from ledger import notes, witness
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import NotSigned, VerifierKey
from ledger.signatures import Signer

PATH: Final = "/add-checkpoint"
MAX_BODY: Final = 64 << 10
PATIENCE_SECONDS: Final = 30
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


def server(desk: Desk, *, host: str, port: int) -> ThreadingHTTPServer:
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

    return ThreadingHTTPServer((host, port), Handler)
