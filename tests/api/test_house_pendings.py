"""House books beyond plain postings, over HTTP: terms, pendings, reversals, batches, repeats."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import text
from structlog.testing import capture_logs

from api.app import keep_the_log, sweep_now
from api.database import SERVICE
from ledger import service as ledger
from ledger.leaves import Leaf
from tests.api.test_house_books import BOOK, TRANSACTIONS, opened, transaction, verified
from tests.campaign.size import size
from tests.house import FIRST_DAY, Caller, House
from tests.invariants import assert_invariants

BOOKS = f"/v1/books/{BOOK}"
PENDINGS = f"{BOOKS}/pendings"
WHOLE: dict[str, Any] = {"entries": None}
LONG = size(test=1, full=10)
"""How many times as long the races run; `make campaign` takes more."""


def entries(amount_minor: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = transaction(amount_minor)["entries"]
    return found


def promised(receipt: dict[str, Any]) -> bool:
    """Whether the log's key made the promise over the leaf's place."""
    return verified(
        {
            name: value
            for name, value in receipt.items()
            if name not in ("record", "records", "expires_at")
        }
    )


async def standing(bank: Caller, code: str = "cash") -> tuple[int, int, int]:
    found = await bank.get(f"{BOOKS}/accounts")
    (one,) = [line for line in found["accounts"] if line["code"] == code]
    return one["balance_minor"], one["pending_debits_minor"], -one["pending_credits_minor"]


async def test_pendings_are_listed_as_they_stood_at_a_published_size(house: House) -> None:
    bank = await opened(house)
    first = await bank.post(PENDINGS, transaction(9), key="pending-1")
    await bank.post(PENDINGS, transaction(8), key="pending-2")
    beyond = await bank.get(PENDINGS, known_size=2, expect=409)
    assert beyond["code"] == "beyond-published"
    await house.publish()
    assert len((await bank.get(PENDINGS))["pendings"]) == 2
    await bank.post(f"{PENDINGS}/{first['record']}/void")
    stood = await bank.get(PENDINGS, known_size=2)
    await house.publish()
    assert await bank.get(PENDINGS, known_size=2) == stood
    assert await house["auditor-auditor"].get(PENDINGS, known_size=2) == stood
    assert (stood["known_size"], stood["checkpoint"]["size"]) == (2, 2)
    sizes = {size: (await bank.get(PENDINGS, known_size=size))["pendings"] for size in range(4)}
    names = {size: [one["pending"][7:16] for one in found] for size, found in sizes.items()}
    both = ["pending-1", "pending-2"]
    assert names == {0: [], 1: both[:1], 2: both, 3: both[1:]}
    page = await bank.get(PENDINGS, known_size=2, limit=1)
    rest = await bank.get(PENDINGS, known_size=2, limit=1, after=page["next"])
    assert [*page["pendings"], *rest["pendings"]] == stood["pendings"]
    now = await bank.get(PENDINGS)
    assert (now["known_size"], now["checkpoint"]) == (None, None)
    assert now["pendings"] == sizes[3]
    both_given = {"known_size": 1, "known_on": FIRST_DAY.isoformat()}
    assert (await bank.get(PENDINGS, **both_given, expect=422))["place"] == "known_on"
    assert (await bank.get(PENDINGS, known_size=-1, expect=422))["place"] == "known_size"
    await house["cib-operations"].get(PENDINGS, known_size=2, expect=404)


async def test_a_pending_is_listed_until_it_is_posted_in_part(house: House) -> None:
    bank = await opened(house)
    receipt = await bank.post(PENDINGS, transaction(9), key="pending-1")
    assert (receipt["record"], receipt["position"]) == ("hzbank:pending-1:0", 0)
    assert receipt["expires_at"] is None
    assert promised(receipt)
    assert await standing(bank) == (0, 9, 0)
    (one,) = (await bank.get(PENDINGS))["pendings"]
    assert (one["pending"], one["reference"]) == (receipt["record"], "n-9")
    assert [line["amount_minor"] for line in one["entries"]] == [9, -9]
    posted = await bank.post(
        f"{PENDINGS}/{receipt['record']}/posting", {"entries": entries(4)}, key="posting-1"
    )
    assert promised(posted)
    assert await standing(bank) == (4, 0, 0)
    assert (await bank.get(PENDINGS))["pendings"] == []
    record = await bank.get(f"{BOOKS}/records/{posted['record']}")
    assert (record["kind"], record["of"]) == ("posting", receipt["record"])
    await house.publish()
    balances = await bank.get(f"{BOOKS}/balances", code="cash")
    assert [line["balance_minor"] for line in balances["balances"]] == [4]
    await assert_invariants(house.installation.database)


async def test_a_pending_is_posted_whole_where_no_part_is_said(house: House) -> None:
    bank = await opened(house)
    pending = (await bank.post(PENDINGS, transaction(9)))["record"]
    await bank.post(f"{PENDINGS}/{pending}/posting", WHOLE)
    assert await standing(bank) == (9, 0, 0)
    for path, body in (("posting", WHOLE), ("void", None)):
        refused = await bank.post(f"{PENDINGS}/{pending}/{path}", body, expect=409)
        assert refused["code"] == "already-resolved"
        assert refused["fields"]["pending"] == pending


async def test_a_voided_pending_is_free_again(house: House) -> None:
    bank = await opened(house)
    pending = (await bank.post(PENDINGS, transaction(9)))["record"]
    await bank.post(f"{PENDINGS}/{pending}/void")
    assert await standing(bank) == (0, 0, 0)
    unknown = await bank.post(f"{PENDINGS}/nobody:made-this:0/void", expect=404)
    assert unknown["code"] == "no-such-pending"
    unknown = await bank.post(f"{PENDINGS}/nobody:made-this:0/posting", WHOLE, expect=404)
    assert unknown["code"] == "no-such-pending"


async def test_refusals_name_what_stood_in_the_way_and_stand_in_the_log(house: House) -> None:
    bank = await opened(house)
    terms = {"code": "cash", "ref": "", "currency": "CNY", "most_minor": 10}
    await bank.post(f"{BOOKS}/accounts", terms)
    pending = (await bank.post(PENDINGS, transaction(8)))["record"]
    over = await bank.post(TRANSACTIONS, transaction(3), key="over-00001", expect=409)
    assert over["code"] == "limit-exceeded"
    assert over["fields"] == {
        "account": {
            "party": "hzbank",
            "code": "cash",
            "counterparty": "",
            "ref": "",
            "currency": "CNY",
        },
        "limit": "most_minor",
        "limit_minor": 10,
        "would_be_minor": 11,
    }
    beyond = await bank.post(f"{PENDINGS}/{pending}/posting", {"entries": entries(9)}, expect=409)
    assert beyond["code"] == "not-as-pending"
    assert (beyond["fields"]["pending_minor"], beyond["fields"]["posted_minor"]) == (8, 9)
    tight = await bank.post(f"{BOOKS}/accounts", {**terms, "most_minor": 7}, expect=409)
    assert tight["code"] == "limit-exceeded"
    refusals = (await bank.get(f"{BOOKS}/records", kind="refusal"))["records"]
    assert [one["subject"]["code"] for one in refusals] == [
        "limit-exceeded",
        "not-as-pending",
        "limit-exceeded",
    ]
    wide = {**terms, "side": "debit", "least_minor": -1}
    assert (await bank.post(f"{BOOKS}/accounts", wide, expect=422))["place"] == "$.least_minor"
    await assert_invariants(house.installation.database)


async def test_an_expired_pending_is_swept_and_cannot_be_posted(house: House) -> None:
    bank = await opened(house)
    body = {**transaction(9), "lasts_seconds": 1}
    receipt = await bank.post(PENDINGS, body)
    end = datetime.fromisoformat(receipt["expires_at"])
    assert end - datetime.now(UTC) < timedelta(seconds=1)
    await bank.post(PENDINGS, {**body, "lasts_seconds": 3600})
    assert await sweep_now(house.installation) == 0, "not yet"
    await asyncio.sleep(1.05)
    late = await bank.post(f"{PENDINGS}/{receipt['record']}/posting", WHOLE, expect=409)
    assert late["code"] == "pending-expired"
    assert await sweep_now(house.installation) == 1
    assert await sweep_now(house.installation) == 0
    assert await standing(bank) == (0, 9, 0)
    (void,) = (await bank.get(f"{BOOKS}/records", kind="void"))["records"]
    assert void["subject"] == {"type": "Voided", "reason": "expired"}
    assert void["actor"] == {"institution": "liandai", "user": "system"}
    for seconds in (0, -1, 366 * 24 * 3600 + 1):
        refused = await bank.post(PENDINGS, {**body, "lasts_seconds": seconds}, expect=422)
        assert refused["place"] == "$.lasts_seconds"
    await assert_invariants(house.installation.database)


OTHER_BOOK = f"{BOOK}-z"
OTHER = f"/v1/books/{OTHER_BOOK}"
"""A second book of the bank's; it comes after the first wherever books are taken in turn."""


async def both_over(house: House) -> tuple[Caller, str]:
    """The bank, and the pending of its first book: each of the two books has one that is over."""
    bank = await opened(house)
    await bank.post("/v1/books", {"book": OTHER_BOOK})
    body = {**transaction(9), "lasts_seconds": 1}
    pending = (await bank.post(PENDINGS, body))["record"]
    await bank.post(f"{OTHER}/pendings", body)
    await asyncio.sleep(1.05)
    return bank, pending


async def voids(bank: Caller, book: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await bank.get(f"{book}/records", kind="void"))["records"]
    return found


async def test_a_book_that_cannot_be_swept_keeps_no_other_from_it(house: House) -> None:
    """Something stands under the very id that the void would have."""
    bank, pending = await both_over(house)
    async with house.installation.database.transaction(SERVICE) as conn:
        day = (await ledger.hold(conn, book=BOOK)).open_day
        in_the_way = Leaf(
            book=BOOK,
            kind="record",
            leaf_id=f"expired:{pending}",
            subject={"type": "InTheWay"},
            entries=(),
            value_date=day,
            booking_date=day,
            recorded_at=datetime.now(UTC),
            actor=ledger.SYSTEM,
            corrects=None,
        )
        await ledger.append(conn, [in_the_way])
    with capture_logs() as logged:
        assert await sweep_now(house.installation) == 1
    assert [(line["log_level"], line["book"]) for line in logged] == [("error", BOOK)]
    assert await voids(bank, BOOKS) == []
    assert len(await voids(bank, OTHER)) == 1


async def test_each_book_is_swept_at_a_time_of_its_own(house: House) -> None:
    bank, _ = await both_over(house)
    async with house.installation.database.transaction(SERVICE) as conn:
        await ledger.hold(conn, book=BOOK)
        sweeping = asyncio.create_task(sweep_now(house.installation))
        await asyncio.sleep(0.5)
        released = datetime.now(UTC)
    assert await sweeping == 2
    (void,) = await voids(bank, OTHER)
    assert datetime.fromisoformat(void["recorded_at"]) >= released


async def test_what_is_recorded_is_published_while_a_sweep_waits_for_a_book(house: House) -> None:
    bank, _ = await both_over(house)
    stopping = asyncio.Event()
    async with house.installation.database.transaction(SERVICE) as conn:
        await ledger.hold(conn, book=BOOK)
        keeping = asyncio.create_task(keep_the_log(house.installation, stopping))
        await asyncio.sleep(0.5)  # the sweep waits by now
        await bank.post(f"{OTHER}/transactions", transaction(5))
        for _ in range(100):
            if await published(house, OTHER_BOOK) == 2:
                break
            await asyncio.sleep(0.05)
        assert await published(house, OTHER_BOOK) == 2
    stopping.set()
    await keeping


async def published(house: House, book: str) -> int:
    """How many leaves of the book are under a head."""
    async with house.installation.database.transaction(SERVICE, read_only=True) as conn:
        query = text("SELECT coalesce(max(size), 0) FROM ledger.head WHERE book_id = :book")
        return int((await conn.execute(query, {"book": book})).scalar_one())


async def test_closing_the_day_voids_what_is_over_before_the_seal(house: House) -> None:
    bank = await opened(house)
    await bank.post(PENDINGS, {**transaction(9), "lasts_seconds": 1})
    await asyncio.sleep(1.05)
    await house["operator"].post("/v1/business-days", {"through": FIRST_DAY.isoformat()})
    records = (await bank.get(f"{BOOKS}/records"))["records"]
    assert [one["kind"] for one in records] == ["pending", "void", "seal"]
    assert {one["booking_date"] for one in records} == {FIRST_DAY.isoformat()}
    await assert_invariants(house.installation.database)


async def test_a_reversal_mirrors_once(house: House) -> None:
    bank = await opened(house)
    await bank.post(TRANSACTIONS, transaction(9), key="posted-01")
    path = f"{TRANSACTIONS}/hzbank:posted-01:0/reversal"
    done = await bank.post(path, {"reference": "r-1"})
    assert await standing(bank) == (0, 0, 0)
    again = await bank.post(path, {"reference": "r-1"}, expect=409)
    assert again["code"] == "already-reversed"
    assert again["fields"]["reversed_by"] == done["record"]
    of_it = await bank.post(
        f"{TRANSACTIONS}/{done['record']}/reversal", {"reference": "r-2"}, expect=409
    )
    assert of_it["code"] == "not-reversible"
    await bank.post(f"{TRANSACTIONS}/nobody:made-this:0/reversal", {"reference": "1"}, expect=404)
    await assert_invariants(house.installation.database)


async def test_a_correction_names_an_earlier_record_of_the_book(house: House) -> None:
    bank = await opened(house)
    await bank.post(TRANSACTIONS, transaction(9), key="posted-01")
    right = transaction(-2, reference="n-2", corrects="hzbank:posted-01:0")
    await bank.post(TRANSACTIONS, right, key="right-0001")
    record = await bank.get(f"{BOOKS}/records/hzbank:right-0001:0")
    assert record["corrects"] == "hzbank:posted-01:0"
    wrong = transaction(1, corrects="hzbank:never-made:0")
    refused = await bank.post(TRANSACTIONS, wrong, expect=422)
    assert refused["place"] == "$.corrects"


BATCH: dict[str, Any] = {
    "operations": [
        {"account": {"code": "cash", "ref": "", "currency": "CNY", "side": "debit"}},
        {"transaction": transaction(50)},
        {"pending": transaction(9)},
        {"posting": {"pending": "hzbank:batch-0001:2", **WHOLE}},
        {"pending": transaction(7)},
        {"void": {"pending": "hzbank:batch-0001:4"}},
        {"reversal": {"transaction": "hzbank:batch-0001:1", "reference": "r-1"}},
    ]
}


async def test_a_mixed_batch_is_done_in_order_under_one_promise(house: House) -> None:
    bank = await opened(house)
    receipt = await bank.post(f"{BOOKS}/batches", BATCH, key="batch-0001")
    assert receipt["records"] == [f"hzbank:batch-0001:{n}" for n in range(7)]
    assert (receipt["first"], len(receipt["leaf_hashes"])) == (0, 7)
    assert promised(receipt)
    assert await bank.post(f"{BOOKS}/batches", BATCH, key="batch-0001") == receipt
    assert await standing(bank) == (9, 0, 0)
    await assert_invariants(house.installation.database)


async def test_of_a_batch_all_is_done_or_nothing(house: House) -> None:
    bank = await opened(house)
    operations = [*BATCH["operations"], {"transaction": transaction(-10)}]
    refused = await bank.post(
        f"{BOOKS}/batches", {"operations": operations}, key="batch-0001", expect=409
    )
    assert (refused["code"], refused["fields"]["operation"]) == ("limit-exceeded", 7)
    kinds = [one["kind"] for one in (await bank.get(f"{BOOKS}/records"))["records"]]
    assert kinds == ["refusal"]
    for operation, place in (
        ({}, "$.operations[0]"),
        ({**BATCH["operations"][0], **BATCH["operations"][1]}, "$.operations[0]"),
        ({"pending": transaction(1, reference="for Mr Wang")}, "$.operations[0].pending.reference"),
        (
            {"pending": transaction(1, value_date="2024-03-02")},
            "$.operations[0].pending.value_date",
        ),
    ):
        refused = await bank.post(f"{BOOKS}/batches", {"operations": [operation]}, expect=422)
        assert refused["place"] == place
    await bank.post(f"{BOOKS}/batches", {"operations": []}, expect=422)


async def test_joint_and_foreign_books_take_no_moves_by_hand(house: House) -> None:
    bank = await opened(house)
    pending = (await bank.post(PENDINGS, transaction(9)))["record"]
    refused = await bank.post("/v1/books/fac-1/pendings", transaction(9), expect=403)
    assert refused["code"] == "not-a-house-book"
    other = house["cib-operations"]
    await other.post(PENDINGS, transaction(9), expect=404)
    await other.post(f"{PENDINGS}/{pending}/void", expect=404)
    await other.get(PENDINGS, expect=404)
    await other.get(f"{BOOKS}/accounts", expect=404)


# ---- a repeat that differs


async def test_a_repeat_that_differs_is_told_what_differs(house: House) -> None:
    bank = await opened(house)
    cases: tuple[tuple[str, Any, Any, str], ...] = (
        (
            TRANSACTIONS,
            transaction(500),
            transaction(600, reference="n-500"),
            "$.entries[0].amount_minor was 500, now 600",
        ),
        (
            f"{TRANSACTIONS}/batch",
            [transaction(1), transaction(2)],
            [transaction(1), transaction(2, value_date="2024-02-29")],
            '$[1].value_date was "2024-03-01", now "2024-02-29"',
        ),
        (
            PENDINGS,
            {**transaction(5), "lasts_seconds": 3600},
            {**transaction(5), "lasts_seconds": 60},
            "$.lasts_seconds was 3600, now 60",
        ),
        (
            f"{BOOKS}/accounts",
            {"code": "fees", "ref": "", "currency": "CNY", "most_minor": 5},
            {"code": "fees", "ref": "", "currency": "CNY", "most_minor": 6},
            "$.most_minor was 5, now 6",
        ),
        (
            f"{BOOKS}/batches",
            {"operations": [{"pending": transaction(5)}, {"transaction": transaction(1)}]},
            {"operations": [{"pending": transaction(5)}, {"pending": transaction(1)}]},
            '$.operations[1] was "transaction", now "pending"',
        ),
    )
    for number, (path, first, second, difference) in enumerate(cases):
        key = f"repeated-{number}"
        await bank.post(path, first, key=key)
        refused = await bank.post(path, second, key=key, expect=422)
        assert refused["code"] == "key-reused"
        assert difference in refused["fields"]["differences"], refused
        assert difference in refused["detail"]
        assert await bank.post(path, first, key=key)
    blank = await bank.post(TRANSACTIONS, transaction(501), key="repeated-0", expect=422)
    assert len(blank["fields"]["differences"]) == 3
    elsewhere = await bank.post(PENDINGS, transaction(5), key="repeated-4", expect=422)
    assert elsewhere["code"] == "key-reused"


# ---- races


async def sent(bank: Caller, path: str, body: Any, key: str) -> tuple[int, Any]:
    """The answer, asked again under the same key while the first is being answered."""
    while True:
        answer = await bank.http.post(
            path,
            content=msgspec.json.encode(body),
            headers={
                **bank.headers,
                "Idempotency-Key": key,
                "Content-Type": "application/json",
            },
        )
        found = msgspec.json.decode(answer.content)
        if found.get("code") != "in-flight":
            return answer.status_code, found


async def test_of_a_thousand_reversals_at_once_one_stands(house: House) -> None:
    bank = await opened(house)
    many = 100 * LONG
    await bank.post(TRANSACTIONS, transaction(9), key="posted-01")
    path = f"{TRANSACTIONS}/hzbank:posted-01:0/reversal"
    door = asyncio.Semaphore(200)  # more at once would only wait for the ten connections there are

    async def one(number: int) -> tuple[int, Any]:
        async with door:
            return await sent(bank, path, {"reference": f"r-{number}"}, f"reversal-{number}")

    answers = await asyncio.gather(*(one(number) for number in range(many)))
    codes = [body.get("code") for _, body in answers]
    assert (codes.count(None), codes.count("already-reversed")) == (1, many - 1)
    print(f"\nover HTTP {many} reversals of one transaction at once: 1 stands, 0 doubled")
    assert await standing(bank) == (0, 0, 0)
    await assert_invariants(house.installation.database)


async def test_sixty_four_clients_on_one_account_meet_no_error(house: House) -> None:
    bank = await opened(house)
    terms = {"code": "cash", "ref": "", "currency": "CNY", "side": "debit"}
    await bank.post(f"{BOOKS}/accounts", terms)

    async def client(number: int) -> int:
        errors = 0
        for turn in range(2 * LONG):
            key = f"client-{number}-{turn}"
            status, _ = await sent(bank, TRANSACTIONS, transaction(number + 1), f"{key}-t")
            errors += status != 201
            status, pending = await sent(bank, PENDINGS, transaction(1), f"{key}-p")
            errors += status != 201
            path = f"{PENDINGS}/{pending['record']}/{'posting' if turn % 2 else 'void'}"
            if turn % 2:
                status, _ = await sent(bank, path, WHOLE, f"{key}-r")
            else:
                answer = await bank.http.post(
                    path, headers={**bank.headers, "Idempotency-Key": f"{key}-r"}
                )
                status = answer.status_code
            errors += status != 201
        return errors

    assert sum(await asyncio.gather(*(client(number) for number in range(64)))) == 0
    posted = 2 * LONG * sum(range(1, 65)) + 64 * LONG
    assert await standing(bank) == (posted, 0, 0)
    print(f"\nover HTTP 64 clients on one account: {64 * 6 * LONG} requests, 0 errors")
    await assert_invariants(house.installation.database)


async def test_random_postings_to_many_accounts_and_books_never_deadlock(house: House) -> None:
    """Each client posts to several books and accounts in an order of its own."""
    bank = house["hzbank-operations"]
    books = [f"own-hzbank-b{n}" for n in range(3)]
    for name in books:
        await bank.post("/v1/books", {"book": name})
        await bank.post(
            f"/v1/books/{name}/accounts",
            {"code": "cash", "ref": "r0", "currency": "CNY", "most_minor": 400},
        )

    async def client(number: int) -> list[int]:
        chance = random.Random(number)
        found = []
        for turn in range(6 * LONG):
            refs = chance.sample(range(6), 4)
            lines = [
                {"code": "cash", "ref": f"r{ref}", "currency": "CNY", "amount_minor": amount}
                for ref, amount in zip(refs, (7, -7, 5, -5), strict=True)
            ]
            body = {**transaction(1), "entries": lines}
            path = f"/v1/books/{chance.choice(books)}"
            key = f"random-{number}-{turn}"
            if chance.random() < 0.5:
                status, _ = await sent(bank, f"{path}/transactions", body, key)
            else:
                operations = {"operations": [{"pending": body}, {"transaction": body}]}
                status, _ = await sent(bank, f"{path}/batches", operations, key)
            found.append(status)
        return found

    answers = [status for one in await asyncio.gather(*map(client, range(16))) for status in one]
    assert set(answers) <= {201, 409}, "no deadlock, no time-out"
    assert answers.count(201) > len(answers) / 2
    print(f"\nover HTTP {len(answers)} random postings in {len(books)} books: 0 deadlocks")
    await assert_invariants(house.installation.database)


# ---- what a refusal says


async def test_a_refusal_speaks_to_a_person_and_names_the_field_that_was_sent(
    house: House,
) -> None:
    bank = await opened(house)
    limit = {"code": "cash", "ref": "", "currency": "CNY", "most_minor": 5}
    await bank.post(f"{BOOKS}/accounts", limit)
    beyond = await bank.post(PENDINGS, transaction(6), expect=409)
    assert beyond["detail"] == "cash of hzbank would stand at 6, and most_minor is 5"
    assert beyond["fields"]["would_be_minor"] == 6
    absent = await bank.post(f"{PENDINGS}/nothing/void", expect=404)
    assert absent["detail"] == "no pending nothing in the book"
    unknown = await bank.post(f"{BOOKS}/accounts", {**limit, "currency": "cny"}, expect=422)
    assert unknown["place"] == "$.currency"
    empty = await bank.post(PENDINGS, {**transaction(6), "entries": []}, expect=422)
    assert (empty["place"], "2 entries or more" in empty["detail"]) == ("$.entries", True)
    inside = {"operations": [{"account": {**limit, "currency": "cny"}}]}
    refused = await bank.post(f"{BOOKS}/batches", inside, expect=422)
    assert refused["place"] == "$.operations[0].account.currency"
    held = await house["hzbank-officer"].post(PENDINGS, transaction(6), expect=403)
    assert held["detail"] == "it needs the role operations; held: officer"


async def test_a_transactions_receipt_names_its_record(house: House) -> None:
    bank = await opened(house)
    receipt = await bank.post(TRANSACTIONS, transaction(4), key="posted-0001")
    assert receipt["record"] == "hzbank:posted-0001:0"
    assert promised(receipt)
    await bank.post(
        f"{TRANSACTIONS}/{receipt['record']}/reversal", {"reference": "back"}, key="reversed-1"
    )
    assert await standing(bank) == (0, 0, 0)
