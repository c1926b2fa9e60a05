"""Whatever records leaves answers with the log key's promise of them, and the promise is kept.

A negotiation and a facility's whole life are told over HTTP by every route they have; then each
answer is held to the published log, with nothing but the log's key and the leaves' hashes.
"""

from collections import Counter, defaultdict
from typing import Any

import asyncpg
import msgspec
import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st

from ledger import promising
from ledger.errors import WrongInput
from ledger.notes import ED25519, VerifierKey
from ledger.promising import Promise, Promised
from tests.house import NAME, House, key_of
from tests.negotiation import test_invariants as negotiation
from tests.stories import test_joint_parallel as joint_parallel

LOG = VerifierKey(NAME, ED25519, key_of("log").public)
HASHES = [bytes([number]) * 32 for number in range(5)]


class Heard:
    """Every answer to a command, with what was asked."""

    def __init__(self, house: House) -> None:
        self.answers: list[Response] = []
        house.http.event_hooks = {"request": [], "response": [self._hear]}

    async def _hear(self, answer: Response) -> None:
        if "idempotency-key" in answer.request.headers:
            await answer.aread()
            self.answers.append(answer)


async def recorded(house: House) -> dict[str, dict[str, list[tuple[int, bytes]]]]:
    """(position, hash) of every leaf, by command and book."""
    conn = await asyncpg.connect(house.database_url.replace("+asyncpg", ""))
    try:
        rows = await conn.fetch("SELECT book_id, position, leaf_id, hash FROM ledger.leaf")
    finally:
        await conn.close()
    found: dict[str, dict[str, list[tuple[int, bytes]]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["position"]):
        found[row["leaf_id"].rpartition(":")[0]][row["book_id"]].append(
            (row["position"], row["hash"])
        )
    return found


async def published(house: House) -> dict[str, list[bytes]]:
    """The hashes of every book's published leaves, in order."""
    conn = await asyncpg.connect(house.database_url.replace("+asyncpg", ""))
    try:
        rows = await conn.fetch(
            "SELECT l.book_id, l.hash FROM ledger.leaf l JOIN ledger.head h USING (book_id) "
            "WHERE l.position < h.size ORDER BY l.book_id, l.position"
        )
    finally:
        await conn.close()
    found: dict[str, list[bytes]] = defaultdict(list)
    for row in rows:
        found[row["book_id"]].append(row["hash"])
    return found


def command_of(house: House, answer: Response) -> str:
    token = answer.request.headers["authorization"].removeprefix("Bearer ")
    (asker,) = {one.institution for one in house.people.values() if one.token == token}
    return f"{asker}:{answer.request.headers['idempotency-key']}"


async def test_every_recorded_answer_promises_its_leaves_and_they_are_published(
    house: House,
) -> None:
    heard = Heard(house)
    await negotiation.formed(house)
    await joint_parallel.test_a_joint_loan_from_first_cash_to_last_fen(house)
    await house["cib-officer"].post(
        f"/v1/negotiations/{negotiation.DEAL}/book",
        {"mode": "open", "rules": [], "quotes_within_workdays": 1},
        expect=409,
    )
    await house.publish()
    logs, leaves = await published(house), await recorded(house)
    kinds: Counter[str] = Counter()
    for answer in heard.answers:
        asked = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        under = leaves.get(command_of(house, answer), {})
        carried = answer.headers.get("liandai-promise")
        if carried is None:
            assert not under, f"{asked} recorded {dict(under)} and promises nothing"
            kinds["nothing recorded"] += 1
            continue
        promised = promising.read_promises(carried)
        assert {one.promise.book for one in promised} >= under.keys(), asked
        for one in promised:
            first, count = one.promise.first, one.promise.leaves
            log = logs[one.promise.book][first : first + count]
            assert promising.broken(one, log=LOG, hashes=log) is None, asked
            if one.promise.book in under:  # a facility's first leaf has a name of its own
                due = under[one.promise.book]
                assert [(first + nth, digest) for nth, digest in enumerate(log)] == due, asked
        kinds["refused" if answer.status_code >= 400 else "answered"] += 1
        kinds["in two books"] += len(promised) == 2
    assert kinds["answered"] > 80
    assert kinds["refused"] > 0
    assert kinds["in two books"] > 0

    for answer in list(heard.answers):
        again = await house.http.request(
            answer.request.method,
            answer.request.url.path,
            content=answer.request.content,
            headers={
                name: answer.request.headers[name]
                for name in ("authorization", "idempotency-key", "content-type")
            },
        )
        kept = answer.is_success or "liandai-promise" in answer.headers
        if not kept and "idempotency-replayed" not in again.headers:
            assert again.status_code == answer.status_code  # a guard's, given before any key
            continue
        assert again.headers.get("idempotency-replayed") == "true", answer.request.url.path
        assert again.content == answer.content
        assert again.headers.get("liandai-promise") == answer.headers.get("liandai-promise")


# ---- by themselves


def promised(hashes: list[bytes], *, first: int = 3) -> Promised:
    carried = promising.promise({"fac-1": (first, hashes)}, signer=key_of("log"))
    assert carried is not None
    (one,) = promising.read_promises(carried)
    return one


def altered(one: Promised, **changes: Any) -> Promised:
    return msgspec.structs.replace(one, promise=msgspec.structs.replace(one.promise, **changes))


def test_the_root_of_a_single_leaf_is_its_hash() -> None:
    assert promised(HASHES[:1]).promise == Promise(
        book="fac-1", first=3, leaves=1, root=HASHES[0].hex()
    )


@given(st.integers(1, 5))
def test_a_promise_is_kept_by_exactly_its_leaves(count: int) -> None:
    one = promised(HASHES[:count])
    assert promising.broken(one, log=LOG, hashes=HASHES[:count]) is None
    assert promising.broken(one, log=LOG, hashes=HASHES[: count - 1]) is not None
    assert promising.broken(one, log=LOG, hashes=[*HASHES[: count - 1], b"x" * 32]) is not None


@pytest.mark.parametrize(
    "changes", [{"book": "fac-2"}, {"first": 4}, {"leaves": 1}, {"root": "0" * 64}]
)
def test_a_promise_of_something_else_is_not_the_keys(changes: dict[str, Any]) -> None:
    other = altered(promised(HASHES), **changes)
    assert promising.broken(other, log=LOG, hashes=HASHES) == (
        "the signature is not that of the log's key"
    )


def test_another_keys_promise_is_none() -> None:
    other = VerifierKey(NAME, ED25519, key_of("another").public)
    assert promising.broken(promised(HASHES), log=other, hashes=HASHES) is not None


@pytest.mark.parametrize(
    "carried",
    [
        "",
        "fac-1",
        f"fac-1 3 1 {'0' * 64}",
        f"fac-1 -3 1 {'0' * 64} AA==",
        f"fac-1 3 1 {'0' * 63} AA==",
        f"fac-1 3 1 {'0' * 64} AA==",
        f"fac-1 3 1 {'0' * 64} not-base64",
    ],
)
def test_what_is_no_promise_is_not_read_as_one(carried: str) -> None:
    with pytest.raises(WrongInput):
        promising.read_promises(carried)


def test_nothing_recorded_is_nothing_promised() -> None:
    assert promising.promise({}, signer=key_of("log")) is None
