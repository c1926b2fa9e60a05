"""Over HTTP: a borrower consents, banks read by it and are refused without it, all on record."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from sqlalchemy import text

from api.database import SERVICE, Standing
from ledger import service as ledger
from ledger.verify import verify
from syndicate.disclosure import room_service as rooms
from syndicate.disclosure import service as disclosure
from syndicate.disclosure.consent import (
    Consent,
    ConsentGiven,
    ConsentWithdrawn,
    consent_body,
    fold,
    withdrawal_body,
)
from syndicate.disclosure.room import RoomFact
from syndicate.parties.commitments import opens
from tests.api.test_ledger_queries import unpacked
from tests.house import FIRST_DAY, House

DAY = FIRST_DAY.isoformat()
UNTIL = "2026-12-31"
DEAL = "neg-yunshen:assessment"
OWN = ["financials", "intellectual_property", "orders"]
EVIDENCE = "5e" * 32


def words(name: str, recipient: str, **changes: Any) -> dict[str, Any]:
    """The fields of a consent as they go into a request, unsigned."""
    fields: dict[str, Any] = {
        "consent": name,
        "person": None,
        "recipient": recipient,
        "purpose": DEAL,
        "classes": OWN,
        "valid_from": DAY,
        "until": UNTIL,
        "version": 1,
        "evidence": None,
    }
    return fields | changes


def of_person(name: str, recipient: str, person: str, **changes: Any) -> dict[str, Any]:
    own = {"classes": ["team"], "person": person, "evidence": EVIDENCE}
    return words(name, recipient, **(own | changes))


def signed(house: House, fields: dict[str, Any], *, borrower: str = "yunshen") -> dict[str, Any]:
    """The request: the fields with the borrower's statement over them."""
    body = consent_body(msgspec.convert({**fields, "borrower": borrower}, Consent))
    return {**fields, "signed": house.sign(borrower, "consent", body)}


async def give(house: House, fields: dict[str, Any], *, expect: int = 201) -> Any:
    return await house["yunshen-borrower"].post(
        "/v1/consents", signed(house, fields), expect=expect
    )


async def withdraw(house: House, name: str, *, on: date = FIRST_DAY, expect: int = 201) -> Any:
    statement = house.sign("yunshen", "consent-withdrawal", withdrawal_body(name, on=on))
    return await house["yunshen-borrower"].post(
        f"/v1/consents/{name}/withdrawal", {"signed": statement}, expect=expect
    )


def fact(item: str, value: Any, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "room": "neg-yunshen",
        "item": item,
        "field_class": "financials",
        "data_class": "internal",
        "value": value,
        "unit": "fen",
        "legal_basis": "consent",
        "as_of": "2023-12-31",
        "confidence": "reported",
    }
    return fields | changes


async def offer(
    house: House, who: str, body: dict[str, Any], *, expect: int = 201, about: str = "yunshen"
) -> Any:
    return await house[who].post(f"/v1/borrowers/{about}/facts", body, expect=expect)


async def read(
    house: House,
    who: str,
    classes: Iterable[str],
    *,
    expect: int = 201,
    about: str = "yunshen",
    **body: Any,
) -> Any:
    asked = {"purpose": DEAL, "classes": list(classes), **body}
    return await house[who].post(f"/v1/borrowers/{about}/readings", asked, expect=expect)


async def accesses(house: House, who: str = "yunshen-borrower", **query: Any) -> list[Any]:
    page = await house[who].get("/v1/borrowers/yunshen/readings", **query)
    readings: list[Any] = page["readings"]
    return readings


async def next_day(house: House, day: date) -> None:
    """The business day before is closed in every book, and `day` is open."""
    async with house.installation.database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=day)
        for book in await ledger.books(conn):
            await ledger.close_day(
                conn, book=book.book, next_day=day, recorded_at=datetime.now(UTC)
            )


def without_id(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name != "request_id"}


async def test_a_bank_reads_what_the_borrower_consented_to_and_no_team_before_the_persons_consent(
    house: House,
) -> None:
    for bank in ("hzbank", "cib", "czbank"):
        seen = await give(house, words(f"to-{bank}", bank))
        assert seen["live"] is True
    await offer(house, "yunshen-borrower", fact("revenue.2023", 120_000_000_00))
    await offer(
        house,
        "yunshen-borrower",
        fact("founder.degree", "PhD", field_class="team", person="founder", unit=""),
    )
    shown = await read(house, "czbank-officer", OWN)
    assert [(f["item"], f["value"], f["source"]) for f in shown["facts"]] == [
        ("revenue.2023", 120_000_000_00, "yunshen")
    ]
    assert shown["consents"] == ["to-czbank"]
    assert shown["facts"][0]["age_days"] == (FIRST_DAY - date(2023, 12, 31)).days
    refused = await read(house, "czbank-officer", ["financials", "team"], expect=403)
    assert refused["code"] == "no-consent"
    assert refused["fields"]["missing"] == ["team"]
    await give(house, of_person("founder-to-czbank", "czbank", "founder"))
    shown = await read(house, "czbank-officer", ["financials", "team"])
    assert [f["item"] for f in shown["facts"]] == ["revenue.2023", "founder.degree"]
    assert shown["consents"] == ["founder-to-czbank", "to-czbank"]
    await read(house, "hzbank-officer", ["team"], expect=403)
    on_record = [(row["reader"], row["outcome"], row["missing"]) for row in await accesses(house)]
    assert on_record == [
        ("hzbank", "refused", ["team"]),
        ("czbank", "allowed", []),
        ("czbank", "refused", ["team"]),
        ("czbank", "allowed", []),
    ]
    assert await accesses(house, "auditor-auditor") == await accesses(house)


async def test_a_person_of_the_team_is_shown_to_the_banks_that_person_consented_to(
    house: House,
) -> None:
    for person in ("founder", "engineer"):
        await offer(
            house,
            "yunshen-borrower",
            fact(f"{person}.degree", "PhD", field_class="team", person=person, unit=""),
        )
    await give(house, of_person("founder-czbank", "czbank", "founder"))
    await give(house, of_person("engineer-hzbank", "hzbank", "engineer"))
    for reader, items in (
        ("czbank-risk", ["founder.degree"]),
        ("hzbank-risk", ["engineer.degree"]),
    ):
        shown = await read(house, reader, ["team"])
        assert [f["item"] for f in shown["facts"]] == items
    own = await read(house, "yunshen-borrower", ["team"])
    assert len(own["facts"]) == 2
    assert own["consents"] == []


async def test_a_withdrawal_acts_at_once_and_past_reads_stay_on_record(house: House) -> None:
    await give(house, words("to-cib", "cib"))
    await offer(house, "yunshen-borrower", fact("revenue.2023", "1.5"))
    cib = house["cib-officer"]
    asked = {"purpose": DEAL, "classes": OWN}
    first = await cib.post("/v1/borrowers/yunshen/readings", asked, key="one-and-the-same")
    gone = await withdraw(house, "to-cib")
    assert gone["live"] is False
    assert gone["withdrawn_at"] is not None
    again = await cib.post(
        "/v1/borrowers/yunshen/readings", asked, key="one-and-the-same", expect=403
    )
    assert again["code"] == "no-consent"
    refusal, reading = await accesses(house)
    assert (refusal["outcome"], refusal["consents"], refusal["facts"]) == ("refused", [], [])
    assert (reading["outcome"], reading["consents"]) == ("allowed", ["to-cib"])
    assert reading["read"] == first["read"]
    assert reading["facts"] == [f["fact"] for f in first["facts"]]
    assert (await withdraw(house, "to-cib", expect=409))["code"] == "nothing-to-withdraw"
    await withdraw(house, "never-given", expect=404)
    await give(house, words("to-cib-2", "cib", version=2))
    assert (await read(house, "cib-officer", OWN))["consents"] == ["to-cib-2"]


async def test_a_consent_allows_reads_from_its_first_to_its_last_day(house: House) -> None:
    await give(house, words("c1", "cib", valid_from="2024-03-04", until="2024-03-05"))
    await read(house, "cib-officer", OWN, expect=403)
    for day, status in (
        (date(2024, 3, 4), 201),
        (date(2024, 3, 5), 201),
        (date(2024, 3, 6), 403),
    ):
        await next_day(house, day)
        await read(house, "cib-officer", OWN, expect=status)
    assert [row["on"] for row in await accesses(house)] == [
        "2024-03-06",
        "2024-03-05",
        "2024-03-04",
        "2024-03-01",
    ]
    late = words("c2", "cib", valid_from="2024-03-05", version=2)
    assert (await give(house, late, expect=422))["place"] == "$.consent.valid_from"
    await give(house, words("c2", "cib", valid_from="2024-03-06", version=2))


async def test_the_unknown_the_unacquainted_and_the_unwilling_borrower_refuse_in_the_same_words(
    house: House,
) -> None:
    await give(house, words("to-cib", "cib"))
    refused = [
        without_id(await read(house, "hzbank-officer", OWN, about=about, expect=403))
        for about in ("yunshen", "qinghe", "nobody-at-all", "cib")
    ]
    assert all(problem == refused[0] for problem in refused)
    other = await read(house, "cib-officer", OWN, purpose="neg-other:assessment", expect=403)
    assert other["fields"]["missing"] == OWN
    await read(house, "qinghe-borrower", OWN, expect=403)
    assert [row["reader"] for row in await accesses(house)] == ["qinghe", "cib", "hzbank"]
    page = await house["qinghe-borrower"].get("/v1/borrowers/qinghe/readings")
    assert [row["reader"] for row in page["readings"]] == ["hzbank"]
    assert await accesses(house, "qinghe-borrower") == [
        row for row in await accesses(house) if row["reader"] == "qinghe"
    ]
    new = fact("revenue.2023", 1)
    absent = await offer(house, "hzbank-officer", new, expect=404, about="nobody-at-all")
    foreign = await offer(house, "hzbank-officer", new, expect=404)
    assert absent["detail"].replace("nobody-at-all", "yunshen") == foreign["detail"]
    await offer(house, "qinghe-borrower", fact("revenue.2023", 1), expect=404)
    await offer(house, "hzbank-officer", fact("revenue.2023", 1), expect=404, about="cib")
    await offer(house, "cib-officer", fact("revenue.2023", 1))


WRONG_CONSENTS: list[tuple[dict[str, Any], int, str]] = [
    # what is changed                          status code
    ({"recipient": "nobody-at-all"}, 404, "not-found"),
    ({"recipient": "qinghe"}, 404, "not-found"),
    ({"recipient": "auditor"}, 404, "not-found"),
    ({"recipient": "yunshen"}, 404, "not-found"),
    ({"purpose": "assessment"}, 422, "wrong-input"),
    ({"purpose": "neg-yunshen:"}, 422, "wrong-input"),
    ({"valid_from": "2024-02-29"}, 422, "wrong-input"),
    ({"until": "2024-02-29"}, 422, "wrong-input"),
    ({"version": 2}, 409, "stale-consent"),
    ({"version": 0}, 409, "stale-consent"),
    ({"classes": []}, 422, "wrong-input"),
    ({"classes": ["tax", "tax"]}, 422, "wrong-input"),
    ({"classes": ["team"]}, 422, "wrong-input"),
    ({"classes": ["financials", "team"], "person": "p1", "evidence": EVIDENCE}, 422, "wrong-input"),
    ({"classes": ["team"], "person": "p1"}, 422, "wrong-input"),
]


async def test_a_consent_that_is_not_whole_not_the_borrowers_or_not_its_words_is_refused(
    house: House,
) -> None:
    for changes, status, code in WRONG_CONSENTS:
        refused = await give(house, words("c1", **{"recipient": "cib", **changes}), expect=status)
        assert refused["code"] == code, changes
    borrower, good = house["yunshen-borrower"], signed(house, words("c1", "cib"))
    by_bank = {**good, "signed": house.sign("cib", "consent", good["signed"]["body"])}
    refused = await borrower.post("/v1/consents", by_bank, expect=403)
    assert refused["code"] == "not-their-signature"
    other_words = {**good, "until": "2030-12-31"}
    refused = await borrower.post("/v1/consents", other_words, expect=422)
    assert refused["place"] == "$.signed.body"
    kind = {**good, "signed": house.sign("yunshen", "vote", good["signed"]["body"])}
    assert (await borrower.post("/v1/consents", kind, expect=422))["place"] == "$.signed.kind"
    forged = {**good, "signed": {**good["signed"], "by": "qinghe"}}
    assert (await borrower.post("/v1/consents", forged, expect=422))["place"] == "$.signed.key"
    await house["qinghe-borrower"].post("/v1/consents", good, expect=403)
    await house["cib-officer"].post("/v1/consents", good, expect=403)
    await borrower.post("/v1/consents", {**good, "everything": True}, expect=422)
    await borrower.post("/v1/consents", good)
    again = signed(house, words("c1", "hzbank"))
    assert (await borrower.post("/v1/consents", again, expect=409))["code"] == "consent-known"
    page = await borrower.get("/v1/consents")
    assert [row["consent"] for row in page["consents"]] == ["c1"]


async def test_a_consents_id_is_the_borrowers_own_and_tells_nobody_of_others(house: House) -> None:
    await give(house, words("c1", "cib"))
    theirs = signed(house, words("c1", "cib"), borrower="qinghe")
    seen = await house["qinghe-borrower"].post("/v1/consents", theirs)
    assert seen["borrower"] == "qinghe"
    body = withdrawal_body("c1", on=FIRST_DAY)
    statement = {"signed": house.sign("qinghe", "consent-withdrawal", body)}
    await house["yunshen-borrower"].post("/v1/consents/c1/withdrawal", statement, expect=403)
    await withdraw(house, "c1")
    page = await house["cib-risk"].get("/v1/consents")
    assert {(row["borrower"], row["live"]) for row in page["consents"]} == {
        ("yunshen", False),
        ("qinghe", True),
    }


async def test_of_two_consents_at_once_for_one_version_one_stands(house: House) -> None:
    borrower = house["yunshen-borrower"]

    async def one(name: str) -> int:
        answer = await house.http.post(
            "/v1/consents",
            json=signed(house, words(name, "cib")),
            headers={**borrower.headers, "Idempotency-Key": f"at-once-{name}"},
        )
        return answer.status_code

    assert sorted(await asyncio.gather(*(one(f"c{n}") for n in range(4)))) == [201, 409, 409, 409]


WRONG_FACTS: list[tuple[dict[str, Any], int, str]] = [
    # what is changed                                       status code
    ({"data_class": "C3"}, 403, "never-shared"),
    ({"item": "founder.illness"}, 403, "never-shared"),
    ({"data_class": "C2"}, 422, "wrong-input"),
    ({"data_class": "secret"}, 422, "wrong-input"),
    ({"as_of": "2024-03-02"}, 422, "wrong-input"),
    ({"field_class": "team"}, 422, "wrong-input"),
    ({"person": "founder"}, 422, "wrong-input"),
    ({"value": 1.5}, 422, "wrong-input"),
    ({"value": None}, 422, "wrong-input"),
    ({"value": {"a": 1}}, 422, "wrong-input"),
    ({"value": "x" * 4_001}, 422, "wrong-input"),
    ({"unit": "x" * 81}, 422, "wrong-input"),
    ({"room": "neg-yunshen:x"}, 422, "wrong-input"),
    ({"legal_basis": "curiosity"}, 422, "wrong-input"),
    ({"source": "hzbank"}, 422, "wrong-input"),
]


async def test_what_must_not_enter_the_room_is_refused(house: House) -> None:
    for changes, status, code in WRONG_FACTS:
        refused = await offer(
            house, "yunshen-borrower", {**fact("revenue.2023", 1), **changes}, expect=status
        )
        assert refused["code"] == code, changes
    for person in ("hzbank-operations", "hzbank-approver", "auditor-auditor", "operator"):
        refused = await offer(house, person, fact("revenue.2023", 1), expect=403)
        assert refused["code"] == "role-not-held"
    await offer(
        house,
        "yunshen-borrower",
        fact("account.balance", "7.5", data_class="C2", assessment="dsa-2024-1", as_of=DAY),
    )
    shown = await read(house, "yunshen-borrower", ["financials"])
    assert [(f["item"], f["value"], f["data_class"]) for f in shown["facts"]] == [
        ("account.balance", "7.5", "C2")
    ]


async def test_sources_that_differ_beyond_the_tolerance_contradict_each_other(
    house: House,
) -> None:
    for bank in ("hzbank", "cib", "czbank"):
        await give(house, words(f"to-{bank}", bank))
    await offer(house, "yunshen-borrower", fact("revenue.2023", 100_000_000_00))
    await offer(house, "hzbank-officer", fact("revenue.2023", 99_000_000_00))
    await offer(house, "cib-officer", fact("employees", "three hundred", unit=""))
    await offer(house, "hzbank-officer", fact("employees", "three hundred", unit=""))
    for tolerance_bp, found in ((99, 1), (100, 0), (101, 0)):
        shown = await read(house, "czbank-risk", OWN, tolerances_bp={"revenue.2023": tolerance_bp})
        assert len(shown["contradictions"]) == found
        assert len(shown["facts"]) == 4
    (contradiction,) = (await read(house, "czbank-risk", OWN))["contradictions"]
    assert contradiction["sources"] == ["hzbank", "yunshen"]
    assert contradiction["differs"] == "value"
    for wrong in (-1, 10_001):
        await read(house, "czbank-risk", OWN, tolerances_bp={"revenue.2023": wrong}, expect=422)
    await read(house, "czbank-risk", [], expect=422)
    await read(house, "czbank-risk", OWN, purpose="assessment", expect=422)
    await read(house, "czbank-operations", OWN, expect=403)


async def test_the_log_holds_consents_and_commitments_and_no_borrower_data(house: House) -> None:
    await give(house, words("to-cib", "cib"))
    await give(house, of_person("founder-cib", "cib", "founder"))
    await withdraw(house, "to-cib")
    offered = await offer(house, "yunshen-borrower", fact("revenue.secret", "shibboleth"))
    await give(house, words("bad", "cib", version=9), expect=409)
    auditor = house["auditor-auditor"]
    page = await auditor.get("/v1/books/registry/records", kind="consent")
    leaves = [
        msgspec.convert(row["subject"], ConsentGiven | ConsentWithdrawn) for row in page["records"]
    ]
    assert [type(leaf).__name__ for leaf in leaves] == [
        "ConsentGiven",
        "ConsentGiven",
        "ConsentWithdrawn",
    ]
    async with house.installation.database.transaction(SERVICE) as conn:
        assert fold(leaves) == await disclosure.consents(conn, borrower="yunshen")
        row = (await conn.execute(text("SELECT * FROM syndicate.room_fact"))).one()._asdict()
    salt, _ = row.pop("salt"), row.pop("recorded_at")
    assert opens(offered["commitment"], RoomFact(**row), salt=salt)
    assert not opens(offered["commitment"], RoomFact(**{**row, "value": "other"}), salt=salt)
    refusals = await auditor.get("/v1/books/registry/records", kind="refusal")
    assert [row["subject"]["code"] for row in refusals["records"]] == ["stale-consent"]
    files = await unpacked(house)
    verdict = verify(files, None)
    assert verdict.verified, verdict.document()
    everything = b"".join(files.values())
    assert offered["commitment"].encode() in everything
    assert b"founder-cib" in everything
    assert b"shibboleth" not in everything
    assert b"revenue.secret" not in everything


async def test_no_kept_answer_holds_what_a_reader_was_shown(house: House) -> None:
    await give(house, words("to-cib", "cib"))
    await offer(house, "yunshen-borrower", fact("revenue.2023", "shibboleth"))
    assert "shibboleth" in str(await read(house, "cib-officer", OWN))
    async with house.installation.database.transaction(SERVICE, read_only=True) as conn:
        kept = await conn.scalar(
            text("SELECT count(*) FROM api.answer WHERE position('shibboleth'::bytea in body) > 0")
        )
    assert kept == 0


async def test_consents_and_readings_come_page_by_page_to_whose_they_are(house: House) -> None:
    for number in range(1, 4):
        await give(house, words(f"v{number}", "cib", version=number))
    await give(house, words("to-hzbank", "hzbank"))
    names: list[tuple[str, bool]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await house["cib-officer"].get("/v1/consents", limit=2, **cursor)
        names += [(row["consent"], row["live"]) for row in page["consents"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert names == [("v3", True), ("v2", False), ("v1", False)]
    for _ in range(3):
        await read(house, "cib-officer", OWN)
    reads: list[str] = []
    cursor = {}
    while True:
        page = await house["auditor-auditor"].get(
            "/v1/borrowers/yunshen/readings", limit=2, **cursor
        )
        reads += [row["read"] for row in page["readings"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(reads) == len(set(reads)) == 3
    for wrong in ("%", "x", "UPPER"):
        for path in ("/v1/consents", "/v1/borrowers/yunshen/readings"):
            await house["yunshen-borrower"].get(path, cursor=wrong, expect=422)
    assert (await house["hzbank-officer"].get("/v1/consents", cursor="yunshen:v1"))[
        "consents"
    ] == []
    await house["auditor-auditor"].get("/v1/consents", expect=403)
    await house["cib-officer"].get("/v1/borrowers/yunshen/readings", expect=403)


PLANTED = [
    # id      consents       classes         facts             purpose            a breach
    ("p1", ["to-cib"], ["financials"], [], DEAL, False),
    ("p2", ["to-cib"], ["tax"], [], DEAL, True),
    ("p3", ["to-cib"], ["financials"], [], "neg-other:assessment", True),
    ("p4", ["no-such"], ["financials"], [], DEAL, True),
    ("p5", ["to-hzbank"], ["financials"], [], DEAL, True),
    ("p6", ["withdrawn"], ["tax"], [], "neg-yunshen:tax", True),
    ("p7", ["to-cib"], ["financials"], ["of-the-team"], DEAL, True),
    ("p8", ["to-cib"], ["financials"], ["never-there"], DEAL, True),
]
PLANT = """
    INSERT INTO syndicate.room_access VALUES (:id, 'neg-yunshen', 'yunshen', 'cib', 'x', :purpose,
      :classes, 'allowed', :consents, '{}', :facts, '2024-03-01',
      clock_timestamp() + interval '2 seconds')
"""


async def test_a_read_that_no_live_consent_allowed_is_found_afterwards(house: House) -> None:
    """I15 on the records alone: a reader that got round every check is still named."""
    await give(house, words("to-cib", "cib"))
    await give(house, words("to-hzbank", "hzbank"))
    await give(house, words("withdrawn", "cib", classes=["tax"], purpose="neg-yunshen:tax"))
    await withdraw(house, "withdrawn")
    team = fact("founder.degree", "PhD", field_class="team", person="founder", unit="")
    of_the_team = await offer(house, "yunshen-borrower", team)
    await read(house, "cib-officer", OWN)
    await read(house, "yunshen-borrower", ["team", "tax"])
    async with house.installation.database.transaction(Standing("liandai_app", "cib")) as conn:
        for name, consents, classes, facts, purpose, _ in PLANTED:
            named = [of_the_team["fact"] if f == "of-the-team" else f for f in facts]
            values = {"id": name, "consents": consents, "classes": classes, "facts": named}
            await conn.execute(text(PLANT), {**values, "purpose": purpose})
    async with house.installation.database.transaction(SERVICE, read_only=True) as conn:
        found = await rooms.reads_without_consent(conn)
    assert found == [name for name, *_, breach in PLANTED if breach]
