"""A bank's own witness: it follows a service's top log, and cosigns what extends what it has seen.

It needs the log's key, a key and a token of the bank, and a file for its memory; no database. Each
round: the head that the service asks witnesses to cosign, the proof from the remembered head to it,
the checks of `ledger.witness`, the memory on the disk, and only then the cosignature. A log that
forked, shrank or was restored to an older state is never cosigned: the witness saves both heads
and stops.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec

from api import witness_memory
from api.client import Answered, Client
from api.witness_memory import Memory
from ledger import notes, witness
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import ED25519, Checkpoint, NotSigned, VerifierKey
from ledger.signatures import KeyInMemory
from ledger.witness import Misbehaved, Seen

T = TypeVar("T")
TO_COSIGN = "/v1/log/checkpoint-to-cosign"
LATEST = "/v1/log/checkpoint"


class Refused(LiandaiError):
    """The log showed what an honest log never shows. evidence: where both heads are kept."""

    def __init__(self, why: LiandaiError, *, evidence: Path) -> None:
        super().__init__(str(why))
        self.code = str(getattr(why, "code", "not-signed"))
        self.fields = dict(getattr(why, "fields", {}))
        self.evidence = evidence

    def document(self) -> dict[str, Any]:
        """What the program prints."""
        return {
            "cosigned": False,
            "refused": self.code,
            "why": str(self),
            **self.fields,
            "evidence": str(self.evidence),
        }


class Unreachable(LiandaiError):
    """The service does not answer, or not as it should; nothing is known of its log by that."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round came to. was: the size remembered before it, None for the first."""

    cosigned: bool
    size: int
    root: str
    was: int | None


class Watch:
    """One witness of one service's top log.

    log   the log's key, brought from elsewhere
    name  the bank's id, under which its key is registered
    """

    def __init__(
        self, client: Client, memory: Memory, *, log: VerifierKey, name: str, signer: KeyInMemory
    ) -> None:
        if log.kind != ED25519:
            raise WrongInput("--log", f"a log's verifier key, of type {ED25519}")
        self._client, self._memory = client, memory
        self._log, self._name, self._signer = log, name, signer
        self._origin = notes.origin(installation=log.name, book="top")
        self._key = VerifierKey(name, notes.COSIGNATURE_V1, signer.public)

    def once(self) -> Round:
        """One round: the head is remembered and cosigned, or was already.

        Raises Refused where the log misbehaved, Unreachable where the service does not answer.
        """
        last = self._memory.seen.get(self._origin)
        note, proof, behind = b"", list[bytes](), False
        try:
            note = self._note(TO_COSIGN)
            head = self._read(note)
            if last is not None and head.size < last.size:
                note = self._note(LATEST)  # another worker's clock may lag; the log's head does not
                head, behind = self._read(note), True
            proof = self._proof(last, head)
            seen = witness.follow(last, note=note, proof=proof, origin=self._origin, log=self._log)
        except (Misbehaved, NotSigned) as error:
            raise self._refused(error, last=last, note=note, proof=proof) from error
        if last is not None and behind:
            return self._done(last, last, cosigned=False)
        if last is None or seen.size > last.size:
            self._memory.remember(self._origin, seen)
        elif self._stands_under(note):
            return self._done(seen, last, cosigned=False)
        self._hand_in(seen)
        return self._done(seen, last, cosigned=True)

    def _done(self, seen: Seen, last: Seen | None, *, cosigned: bool) -> Round:
        was = None if last is None else last.size
        return Round(cosigned=cosigned, size=seen.size, root=seen.root.hex(), was=was)

    def _read(self, note: bytes) -> Checkpoint:
        return witness.read_head(note, origin=self._origin, log=self._log)

    def _note(self, path: str) -> bytes:
        return _asked(lambda: self._client.get_bytes(path))

    def _proof(self, last: Seen | None, head: Checkpoint) -> list[bytes]:
        if last is None or head.size <= last.size:
            return []
        found = _asked(
            lambda: self._client.get(
                "/v1/log/proofs/consistency", old_size=last.size, new_size=head.size
            )
        )
        try:
            return [bytes.fromhex(step) for step in found["hashes"]]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable("the service's answer is no consistency proof") from error

    def _stands_under(self, note: bytes) -> bool:
        """Whether our cosignature is already under the head, as the service shows it."""
        try:
            opened = notes.open_note(note, [self._key])
        except NotSigned:
            return False
        return bool(opened.signed_by)

    def _hand_in(self, seen: Seen) -> None:
        line = notes.cosign(
            seen.note, name=self._name, signer=self._signer, time=int(time.time())
        ).decode()
        body = {"size": seen.size, "line": line}
        _asked(lambda: self._client.post("/v1/log/cosignatures", body))

    def _refused(
        self, error: LiandaiError, *, last: Seen | None, note: bytes, proof: list[bytes]
    ) -> Refused:
        evidence = witness_memory.save_evidence(
            self._memory.path,
            why=str(error),
            last=last,
            note=note,
            proof=proof,
            at=int(time.time()),
        )
        return Refused(error, evidence=evidence)


def rounds(watch: Watch, *, every: float, say: Callable[[str], None]) -> Iterator[Round]:
    """Round after round, `every` seconds apart; a service that does not answer is asked again.

    Raises Refused where the log misbehaved: there is nothing to go on with.
    """
    while True:
        try:
            yield watch.once()
        except Unreachable as trouble:
            say(str(trouble))
        time.sleep(every)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except Answered as answered:
        raise Unreachable(f"the service answered {answered}") from answered
    except (httpx2.HTTPError, msgspec.DecodeError) as error:
        raise Unreachable(f"the service does not answer: {error}") from error
