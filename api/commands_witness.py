"""What `liandai witness` does: follow a log, or answer those who ask for a cosignature."""

import json
import sys
from pathlib import Path

import msgspec

from api import witness_memory, witness_server
from api.client import Client
from api.signing import read_key
from api.witnessing import Refused, Round, Watch, rounds
from ledger import notes
from ledger.errors import WrongInput


def say(line: str) -> None:
    """One line for the person at the terminal; never on stdout, which is for answers."""
    print(f"liandai: {line}", file=sys.stderr, flush=True)


def follow(
    *,
    server: str,
    log: str,
    token_file: Path,
    key_file: Path,
    name: str,
    state: Path,
    first: bool,
    every: int | None,
) -> int:
    """The exit code: 0 after one round that held or once stopped, 1 where the log misbehaved.

    Every round that cosigned is one JSON line on stdout, and so is the refusal.
    """
    trusted = notes.read_verifier_key(log, place="--log")
    signer = read_key(key_file)
    try:
        token = token_file.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise WrongInput("--token", "a file with a bearer token") from error
    with (
        witness_memory.held(state, first=first) as memory,
        Client(server, token, timeout_seconds=30) as client,
    ):
        watch = Watch(client, memory, log=trusted, name=name, signer=signer)
        try:
            if every is None:
                _tell(watch.once())
                return 0
            for done in rounds(watch, every=every, say=say):
                if done.cosigned:
                    _tell(done)
        except KeyboardInterrupt:
            say("stopped")
            return 0
        except Refused as refused:
            print(json.dumps(refused.document(), ensure_ascii=False), flush=True)
            return 1
    raise AssertionError("rounds end by an error only")


def _tell(done: Round) -> None:
    print(msgspec.json.encode(done).decode(), flush=True)


def serve(
    *,
    logs: tuple[tuple[str, str], ...],
    key_file: Path,
    name: str,
    state: Path,
    first: bool,
    host: str,
    port: int,
) -> None:
    """Requests are answered until SIGINT or SIGTERM; to be stopped is no error."""
    trusted = {
        origin: notes.read_verifier_key(key, place=f"--log {origin}") for origin, key in logs
    }
    for origin, key in trusted.items():
        if key.kind != notes.ED25519:
            raise WrongInput(f"--log {origin}", "a log's verifier key, not a witness's")
    signer = read_key(key_file)
    with witness_memory.held(state, first=first) as memory:
        desk = witness_server.Desk(memory, logs=trusted, name=name, signer=signer)
        try:
            listening = witness_server.server(desk, host=host, port=port)
        except OSError as error:
            raise WrongInput("--port", f"a port we may listen on ({error.strerror})") from error
        with listening:
            own = notes.VerifierKey(name, notes.COSIGNATURE_V1, signer.public)
            say(f"witness {own} answers at http://{host}:{listening.server_port}/add-checkpoint")
            try:
                listening.serve_forever()
            except KeyboardInterrupt:
                say("stopped")
