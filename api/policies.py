"""How a policy file is made: whose log, which witnesses, and how many of them must have cosigned.

The keys come from their owners, or from what a service claims; these last are only worth what a
comparison with the owners' own publications makes of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from api.client import Answered, Client
from ledger import notes
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import Policy


class Unreachable(LiandaiError):
    """The service does not answer, or not as it should."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What a service claims: the log's verifier key, and its witnesses' by institution."""

    log: str
    witnesses: dict[str, list[str]]

    def of(self, names: Sequence[str]) -> list[str]:
        """The one live key of each of these institutions, or of all where none is named.

        WrongInput where one has no key there, or several.
        """
        found = []
        for name in names or sorted(self.witnesses):
            live = self.witnesses.get(name, [])
            if len(live) != 1:
                raise WrongInput(
                    f"--witness {name}",
                    f"one live key, and there are {len(live)}: name the key (name+id+base64)",
                )
            found += live
        return found


def ask(server: str) -> Claimed:
    """The keys that the service claims. Raises Unreachable."""
    try:
        with Client(server, None, timeout_seconds=30) as client:
            keys = client.get("/v1/log/keys")
    except (Answered, httpx2.HTTPError, msgspec.DecodeError) as error:
        raise Unreachable(f"the service does not answer: {error}") from error
    witnesses: dict[str, list[str]] = {}
    for one in keys["witnesses"]:
        witnesses.setdefault(one["institution"], []).append(one["verifier_key"])
    return Claimed(log=keys["log"], witnesses=witnesses)


def make_policy(*, log: str, witnesses: Sequence[str], threshold: int) -> Policy:
    """The policy of these verifier keys, read as strictly as from a file."""
    document: dict[str, Any] = {"log": log, "witnesses": list(witnesses), "threshold": threshold}
    return notes.read_policy(msgspec.json.encode(document))


def write_new(path: Path, content: bytes) -> None:
    """The file holds the content; one that is there already is never overwritten."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise WrongInput("--out", f"a new file we may write ({error.strerror})") from error
