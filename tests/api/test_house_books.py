"""House books over HTTP: receipts that verify, refusals in the log, repeats, bulk."""

import asyncio
import base64
from typing import Any

import msgspec

from ledger import merkle, promising
from ledger.signatures import verify
from tests.house import FIRST_DAY, House, key_of
from tests.invariants import assert_invariants

BOOK = "own-hzbank-recon"
TRANSACTIONS = f"/v1/books/{BOOK}/transactions"


def transaction(amount_minor: int = 5, **changes: Any) -> dict[str, Any]:
    return {
        "value_date": FIRST_DAY.isoformat(),
        "reference": f"n-{amount_minor}",
        "entries": [
            {"code": "cash", "ref": "", "currency": "CNY", "amount_minor": amount_minor},
            {"code": "suspense", "ref": "n1", "currency": "CNY", "amount_minor": -amount_minor},
        ],
        **changes,
    }


async def opened(house: House) -> Any:
    bank = house["hzbank-operations"]
    answer = await bank.post("/v1/books", {"book": BOOK})
    assert answer == {"book": BOOK, "open_day": FIRST_DAY.isoformat()}
    return bank


def verified(receipt: dict[str, Any]) -> bool:
    """Whether the log's key made the promise over the place and the hash of what was posted."""
    words = {n: v for n, v in receipt.items() if n not in ("promise", "record")}
    return verify(
        public=key_of("log").public,
        message=promising.promise_bytes(words),
        signature=base64.b64decode(receipt["promise"]),
    )


async def test_a_receipt_names_the_leaf_and_the_promise_verifies(house: House) -> None:
    bank = await opened(house)
    receipts = [await bank.post(TRANSACTIONS, transaction(n + 1)) for n in range(3)]
    assert [receipt["position"] for receipt in receipts] == [0, 1, 2]
    assert all(verified(receipt) for receipt in receipts)
    assert not verified({**receipts[0], "position": 1})
    await house.publish()
    head = await bank.get(f"/v1/books/{BOOK}/checkpoint")
    for receipt in receipts:
        proof = await bank.get(
            f"/v1/books/{BOOK}/proofs/inclusion", position=receipt["position"], size=head["size"]
        )
        assert merkle.verify_inclusion(
            leaf=bytes.fromhex(receipt["leaf_hash"]),
            index=receipt["position"],
            size=head["size"],
            proof=[bytes.fromhex(digest) for digest in proof["hashes"]],
            root=bytes.fromhex(head["root"]),
        )
    balances = await bank.get(f"/v1/books/{BOOK}/balances", code="cash")
    assert [line["balance_minor"] for line in balances["balances"]] == [1 + 2 + 3]
    await assert_invariants(house.installation.database)


async def test_the_same_key_posts_once_and_answers_the_same_bytes(house: House) -> None:
    bank = await opened(house)
    receipt = await bank.post(TRANSACTIONS, transaction(), key="posting-0001")
    assert await bank.post(TRANSACTIONS, transaction(), key="posting-0001") == receipt
    other = await bank.post(TRANSACTIONS, transaction(6), key="posting-0001", expect=422)
    assert other["code"] == "key-reused"
    assert len((await bank.get(f"/v1/books/{BOOK}/records"))["records"]) == 1


async def test_many_at_once_are_each_answered_as_if_alone(house: House) -> None:
    """Good, repeated, refused and foreign ones sent together: each has its own answer."""
    bank = await opened(house)
    await bank.post(TRANSACTIONS, transaction(900), key="sent-before-1")

    async def sent(body: Any, key: str, path: str = TRANSACTIONS) -> tuple[int, Any]:
        answer = await house.http.post(
            path,
            content=msgspec.json.encode(body),
            headers={
                **bank.headers,
                "Idempotency-Key": key,
                "Content-Type": "application/json",
            },
        )
        return answer.status_code, msgspec.json.decode(answer.content)

    asked = [sent(transaction(n + 1), f"many-{n:05d}") for n in range(30)]
    asked += [sent(transaction(900), "sent-before-1"), sent(transaction(901), "sent-before-1")]
    asked += [
        sent(transaction(7), f"foreign-{n}-", "/v1/books/own-cib-x/transactions") for n in "ab"
    ]
    asked += [sent(transaction(8, value_date="2024-03-02"), "tomorrow-1")]
    answers = await asyncio.gather(*asked)
    good = [body for status, body in answers[:30] if status == 201]
    assert len(good) == 30
    assert sorted(body["position"] for body in good) == list(range(1, 31))
    assert all(verified(body) for body in good)
    assert [(status, body.get("code")) for status, body in answers[30:]] == [
        (201, None),
        (422, "key-reused"),
        (404, "not-found"),
        (404, "not-found"),
        (422, "wrong-input"),
    ]
    assert answers[30][1]["position"] == 0
    await house.publish()
    balances = await bank.get(f"/v1/books/{BOOK}/balances", code="cash")
    assert balances["balances"][0]["balance_minor"] == sum(range(1, 31)) + 900
    await assert_invariants(house.installation.database)


async def test_of_the_same_key_sent_at_once_one_is_done_and_none_differs(house: House) -> None:
    bank = await opened(house)

    async def sent() -> Any:
        return await house.http.post(
            TRANSACTIONS,
            content=msgspec.json.encode(transaction()),
            headers={
                **bank.headers,
                "Idempotency-Key": "at-once-1",
                "Content-Type": "application/json",
            },
        )

    answers = await asyncio.gather(*(sent() for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    done = {answer.content for answer in answers if answer.status_code == 201}
    assert len(done) == 1
    assert {
        msgspec.json.decode(answer.content)["code"]
        for answer in answers
        if answer.status_code == 409
    } <= {"in-flight"}
    assert len((await bank.get(f"/v1/books/{BOOK}/records"))["records"]) == 1


async def test_bulk_posts_all_or_none_under_one_promise(house: House) -> None:
    bank = await opened(house)
    await bank.post(TRANSACTIONS, transaction())
    batch = [transaction(n + 1) for n in range(200)]
    receipt = await bank.post(f"{TRANSACTIONS}/batch", batch)
    assert (receipt["first"], len(receipt["leaf_hashes"])) == (1, 200)
    assert verified(receipt)
    one = await bank.post(f"{TRANSACTIONS}/batch", [transaction(3)])
    assert (one["first"], len(one["leaf_hashes"])) == (201, 1)
    assert verified(one)
    batch[150] = transaction(1, reference="for Mr Wang")
    refused = await bank.post(f"{TRANSACTIONS}/batch", batch, expect=422)
    assert refused["place"] == "$[150].reference"
    records = await bank.get(f"/v1/books/{BOOK}/records", limit=500)
    assert len(records["records"]) == 202
    await bank.post(f"{TRANSACTIONS}/batch", [], expect=422)
    await assert_invariants(house.installation.database)


async def test_a_bulk_body_may_be_longer_than_others_and_not_endless(house: House) -> None:
    bank = await opened(house)
    padded = [transaction(), {"reference": "x" * (2 << 20)}]
    await bank.post(TRANSACTIONS, padded, expect=413)
    await bank.post(f"{TRANSACTIONS}/batch", padded, expect=422)
    await bank.post(f"{TRANSACTIONS}/batch", ["x" * (10 << 20)], expect=413)


async def test_joint_books_and_foreign_books_refuse_postings_by_hand(house: House) -> None:
    bank = await opened(house)
    for book in ("fac-1", "neg-1", "registry", "top"):
        refused = await bank.post(f"/v1/books/{book}/transactions", transaction(), expect=403)
        assert refused["code"] == "not-a-house-book"
    other = house["cib-operations"]
    await other.post(TRANSACTIONS, transaction(), expect=404)
    await other.get(f"/v1/books/{BOOK}/entries", expect=404)
    await other.post("/v1/books", {"book": "own-hzbank-second"}, expect=422)
    await other.post("/v1/books", {"book": "fac-mine"}, expect=422)
    taken = await bank.post("/v1/books", {"book": BOOK}, expect=409)
    assert taken["code"] == "already-recorded"


async def test_only_operations_open_and_post(house: House) -> None:
    await opened(house)
    for person in ("hzbank-officer", "hzbank-approver", "hzbank-risk", "auditor-auditor"):
        await house[person].post("/v1/books", {"book": "own-hzbank-x"}, expect=403)
        await house[person].post(TRANSACTIONS, transaction(), expect=403)
    await house["operator"].post("/v1/books", {"book": "own-operator-x"}, expect=403)
    await house["yunshen-borrower"].post("/v1/books", {"book": "own-yunshen-x"}, expect=403)


async def test_a_refused_posting_stands_in_the_books_log(house: House) -> None:
    """A conflict is a record; words that cannot be read are not."""
    bank = await opened(house)
    foreign = transaction()
    foreign["entries"][0]["party"] = "cib"
    unread = await bank.post(TRANSACTIONS, foreign, expect=422)
    assert unread["place"].startswith("$.entries[0]")
    assert (await bank.get(f"/v1/books/{BOOK}/records"))["records"] == []
