"""An installation in which much has happened: every table holds rows of several institutions."""

import time
from typing import Any

import asyncpg
from msgspec.structs import replace

from api.settings import asyncpg_dsn
from ledger import notes
from ledger.signatures import encode_base64, key_id
from syndicate.reconciliation.statement import COLUMNS
from tests.api import test_disclosure as rooms
from tests.facility_house import Deal, formed
from tests.house import FIRST_DAY, House
from tests.ledger.authority import Authority
from tests.stories import table
from tests.syndicate.facility_case import DEAL_2, WAN

FACILITY = replace(DEAL_2, signed_on=DEAL_2.signed_on.replace(day=1))
PURPOSE = rooms.DEAL
LEFT, LEFT_AT = "expert", 4
"""Somebody who took part in the facility's book and left after so many leaves."""
DECLINED, ROOM = "cib", "neg-yunshen"
"""A bank that was invited to a negotiation, declined, and still has the borrower's consent."""


async def populate(house: House) -> None:
    """A facility with money in it, three negotiations, own books, consents, refusals."""
    deal: Deal = await formed(house, FACILITY)
    await deal.fund("d1", 3000 * WAN)
    again = {"contract_no": "again", "document_sha256": "a" * 64}
    await house["cib-officer"].post(f"{deal.path}/contracts", again, expect=409)
    for bank in ("hzbank", "cib"):
        figures = {
            "as_of": "2024-01-01",
            "net_capital_minor": 500_00000000_00,
            "tier1_minor": 450_00000000_00,
            "illustrative": True,
        }
        await house[f"{bank}-risk"].post("/v1/capital", figures)
        await _keep_own_book(house, bank)
    for person in ("hzbank-officer", "cib-risk", "auditor-auditor"):
        body = {"name": "my-cash", "books": [], "filters": {"code": "cash"}}
        await house[person].post("/v1/saved-queries", body)
    await _consent(house)
    await _negotiate(house)
    await _sit_down(house)
    await _decline(house)
    await _revoke(house)
    await house.publish()
    await _cosign(house)
    await _reconcile(house)


async def add_what_has_no_route(house: House) -> None:
    """A cosignature and a time-stamp of a book's own head, and somebody who left a book, by the
    database's owner."""
    conn = await asyncpg.connect(asyncpg_dsn(house.database_url))
    try:
        await conn.execute(
            "INSERT INTO ledger.cosignature SELECT book_id, size, 'cib', 'line', published_at "
            "FROM ledger.checkpoint WHERE book_id = $1",
            FACILITY.facility,
        )
        await conn.execute(
            "INSERT INTO ledger.time_stamp SELECT book_id, size, 'tsa-1', published_at, '', '', "
            "published_at FROM ledger.checkpoint WHERE book_id = $1",
            FACILITY.facility,
        )
        await conn.execute(
            "INSERT INTO ledger.participation VALUES ($1, $2, 'member', $3)",
            FACILITY.facility,
            LEFT,
            LEFT_AT,
        )
    finally:
        await conn.close()


async def _keep_own_book(house: House, bank: str) -> None:
    book = f"own-{bank}-recon"
    operations = house[f"{bank}-operations"]
    await operations.post("/v1/books", {"book": book})
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in (("cash", 5), ("suspense", -5), ("interest", 2), ("income", -2))
    ]
    body = {"value_date": FIRST_DAY.isoformat(), "reference": "n-1", "entries": entries}
    await operations.post(f"/v1/books/{book}/transactions", body, key="posted-0001")
    pending = {**body, "reference": "n-2", "lasts_seconds": 3600}
    for key in ("pending-0001", "pending-0002", "pending-0003"):
        await operations.post(f"/v1/books/{book}/pendings", pending, key=key)
    posting = f"/v1/books/{book}/pendings/{bank}:pending-0001:0/posting"
    await operations.post(posting, {"entries": None}, key="posting-0001")
    await operations.post(
        f"/v1/books/{book}/transactions/{bank}:posting-0001:0/reversal", {"reference": "n-3"}
    )
    terms = {"code": "cash", "ref": "", "currency": "CNY", "most_minor": 1_000_000_00}
    await operations.post(f"/v1/books/{book}/accounts", terms)
    await operations.post(f"/v1/books/{book}/accruals", accrual_of("a-1"))


def accrual_of(name: str) -> dict[str, Any]:
    """Terms of a standing accrual on those accounts."""
    sides = {"base": "cash", "debit": "interest", "credit": "income"}
    return {
        "accrual": name,
        "currency": "CNY",
        **{side: {"code": code, "ref": ""} for side, code in sides.items()},
        "rate_ppm": 34_500,
        "year_days": 360,
    }


async def _consent(house: House) -> None:
    for number, bank in enumerate(("hzbank", "cib", "czbank"), 1):
        await rooms.give(house, rooms.words(f"c{number}", bank))
    await rooms.withdraw(house, "c3")
    await rooms.give(house, rooms.words("c4", "cib", classes=["orders"], version=2))
    for item, field in (("revenue", "financials"), ("backlog", "orders"), ("patents", "credit")):
        fact = rooms.fact(item, 5, field_class=field)
        await rooms.offer(house, "yunshen-borrower", fact)
    await rooms.offer(house, "cib-officer", rooms.fact("score", 7, field_class="credit"))
    await rooms.read(house, "hzbank-officer", ["financials"])
    await rooms.read(house, "czbank-officer", ["financials"], expect=403)


async def _negotiate(house: House) -> None:
    """Two deals with quotes in them, under different leads."""
    for deal, borrower, lead in (
        ("neg-one", "yunshen", "hzbank"),
        ("neg-two", "qinghe", "cib"),
    ):
        await table.consents(house, borrower=borrower, negotiation=deal)
        await table.mandate(house, borrower=borrower, lead=lead, negotiation=deal)
        await table.seat(house, lead=lead, negotiation=deal)
        terms = table.terms_of(target_minor=3000 * WAN, lot_minor=10 * WAN)
        await table.agree(house, lead=lead, negotiation=deal, terms=terms)
        await table.quote(house, lead=lead, negotiation=deal)


async def _sit_down(house: House) -> None:
    """A third deal, in which nothing is on the table yet."""
    deal = "neg-three"
    await table.consents(house, borrower="yunshen", negotiation=deal)
    mandate = {
        **table.mandate_of("yunshen", "hzbank", negotiation=deal),
        "project": "equipment",
    }
    signed = house.sign("yunshen", "mandate", mandate)
    await house["yunshen-borrower"].post("/v1/negotiations", {"mandate": mandate, "signed": signed})
    await table.seat(house, lead="hzbank", negotiation=deal)


async def _decline(house: House) -> None:
    """A fourth deal: a bank declines, and table, room and log go on without it."""
    mandate = {
        **table.mandate_of("yunshen", "hzbank", negotiation=ROOM),
        "project": "research",
    }
    signed = house.sign("yunshen", "mandate", mandate)
    await house["yunshen-borrower"].post("/v1/negotiations", {"mandate": mandate, "signed": signed})
    path = f"/v1/negotiations/{ROOM}"
    await house["hzbank-officer"].post(f"{path}/invitations", {"banks": ["cib"]})
    await house[f"{DECLINED}-officer"].post(f"{path}/answer", {"joins": False})
    await house.publish()
    await house["hzbank-officer"].post(f"{path}/invitations", {"banks": ["czbank"]})
    await house["czbank-officer"].post(f"{path}/answer", {"joins": True})
    late = rooms.fact("backlog.now", 6, field_class="orders")
    await rooms.offer(house, "yunshen-borrower", late)


async def _revoke(house: House) -> None:
    operator = house["operator"]
    await operator.send("DELETE", "/v1/people/cib-risk/tokens", key=None, expect=200)
    keys = f"/v1/institutions/expert/keys/{key_id(house.keys['expert'].public)}"
    await operator.send("DELETE", keys, key=None, expect=200)


async def _reconcile(house: House) -> None:
    """hzbank agrees to its statement of the day, czbank's has a break, cib's is of an own book."""
    for bank, attested in (("hzbank", True), ("czbank", False)):
        codes = dict.fromkeys(("principal", "overdue", "interest", "penalty", "compound"), "1301")
        mapped = {"valid_from": FIRST_DAY.isoformat(), "codes": {**codes, "cash": "1003"}}
        await house[f"{bank}-operations"].post("/v1/account-mappings", mapped)
        status = f"status,JJ-d1-{bank},,,,,,,,{0 if attested else 7},normal"
        await _state(house, bank, FACILITY.facility, status)
        path = f"/v1/books/{FACILITY.facility}/reconciliations/{bank}.{FIRST_DAY}.1"
        for line in (await house[f"{bank}-operations"].get(f"{path}/breaks"))["breaks"]:
            one = f"{path}/breaks/{line['number']}"
            accept = {"status": "attested", "reason": "", "document_sha256": ""}
            proposed = await house[f"{bank}-operations"].post(f"{one}/proposal", accept)
            if attested:
                quoted = {"proposal": proposed["proposal"]}
                await house[f"{bank}-approver"].post(f"{one}/approval", quoted)
        if attested:
            words = (await house[f"{bank}-approver"].get(f"{path}/breaks"))["to_sign"]
            signed = house.sign(bank, words["kind"], words["body"])
            await house[f"{bank}-approver"].post(f"{path}/attestation", {"signed": signed})
    await _state(house, "cib", "own-cib-recon", "balance,,cash,CNY,0.05,,,,,,")


async def _state(house: House, bank: str, book: str, *lines: str) -> None:
    """The bank's statement of the first day, of these lines of CSV."""
    answer = await house.http.post(
        f"/v1/books/{book}/reconciliations",
        params={"since": FIRST_DAY.isoformat(), "on": FIRST_DAY.isoformat()},
        content="\n".join((",".join(COLUMNS), *lines)).encode(),
        headers=house[f"{bank}-operations"].headers
        | {"content-type": "text/csv", "idempotency-key": f"statement-{bank}"},
    )
    assert answer.status_code == 201, answer.text


async def _cosign(house: House) -> None:
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    line = notes.cosign(note, name="cib", signer=house.keys["cib"], time=int(time.time()))
    body = {"size": size, "line": line.decode()}
    await house["cib-operations"].post("/v1/log/cosignatures", body)
    tsa = Authority()
    stamp = {
        "authority": "tsa-1",
        "certificate": tsa.pem.decode(),
        "response": encode_base64(tsa.answer(note)),
    }
    await house["operator"].post(f"/v1/log/checkpoints/{size}/time-stamps", stamp)
