"""Institutions, people, tokens and keys come on board over HTTP, and nobody else's token opens."""

from typing import Any

from sqlalchemy import event

from ledger.signatures import encode_base64
from tests.house import House, key_of


async def test_everyone_of_the_stories_is_on_board_and_known_by_their_token(house: House) -> None:
    me = await house["hzbank-officer"].get("/v1/me")
    assert me == {
        "person": "hzbank-officer",
        "institution": "hzbank",
        "kind": "bank",
        "roles": ["officer"],
    }


async def test_a_borrower_is_unknown_to_who_shares_nothing_with_it(house: House) -> None:
    seen = await house["hzbank-officer"].get("/v1/institutions")
    assert "cib" in {row["institution"] for row in seen}
    assert "yunshen" not in {row["institution"] for row in seen}
    own = await house["yunshen-borrower"].get("/v1/institutions")
    assert "yunshen" in {row["institution"] for row in own}


async def test_only_the_operator_registers_institutions(house: House) -> None:
    body = {
        "institution": "newbank",
        "kind": "bank",
        "name": "新银行",
        "name_en": "New",
        "illustrative": True,
    }
    refused = await house["hzbank-officer"].post("/v1/institutions", body, expect=403)
    assert refused["code"] == "role-not-held"


async def test_a_wrong_or_revoked_token_opens_nothing_and_says_no_more(house: House) -> None:
    for authorization in ("", "Bearer", "Bearer ldt_" + "A" * 43, "Basic eDp5", "Bearer x"):
        answer = await house.http.get("/v1/me", headers={"Authorization": authorization})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    await house["operator"].send("DELETE", "/v1/people/cib-risk/tokens", key=None, expect=200)
    answer = await house.http.get("/v1/me", headers=house["cib-risk"].headers)
    assert answer.status_code == 401


async def test_the_same_key_is_answered_the_same_bytes_and_another_request_is_refused(
    house: House,
) -> None:
    operator = house["operator"]
    body = {
        "institution": "newbank",
        "kind": "bank",
        "name": "新银行",
        "name_en": "New",
        "illustrative": True,
    }
    first = await operator.post("/v1/institutions", body, key="same-key-1")
    again = await operator.post("/v1/institutions", body, key="same-key-1")
    assert first == again
    other = await operator.post(
        "/v1/institutions", {**body, "name": "另一家"}, key="same-key-1", expect=422
    )
    assert other["code"] == "key-reused"
    taken = await operator.post("/v1/institutions", body, key="same-key-2", expect=409)
    assert await operator.post("/v1/institutions", body, key="same-key-2", expect=409) == taken


async def test_a_bank_registers_its_own_key_and_nobody_elses(house: House) -> None:
    key = {"public_key": encode_base64(key_of("second key of hzbank").public)}
    refused = await house["hzbank-approver"].post("/v1/institutions/cib/keys", key, expect=403)
    assert refused["code"] == "not-allowed"
    own = await house["hzbank-approver"].post("/v1/institutions/hzbank/keys", key)
    assert own["institution"] == "hzbank"
    low_order = {"public_key": encode_base64(bytes(32))}
    await house["hzbank-approver"].post("/v1/institutions/hzbank/keys", low_order, expect=422)


async def test_registering_a_key_reads_no_keys_but_its_own(house: House) -> None:
    """However many there are in the installation."""
    read: list[int] = []

    def count(_conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM syndicate.institution_key" in statement:
            read.append(cursor.rowcount)

    engine = house.installation.database._engine.sync_engine
    event.listen(engine, "after_cursor_execute", count)
    key = {"public_key": encode_base64(key_of("third key of hzbank").public)}
    registered = await house["hzbank-approver"].post("/v1/institutions/hzbank/keys", key)
    again = await house["hzbank-approver"].post("/v1/institutions/hzbank/keys", key, expect=409)
    path = f"/v1/institutions/hzbank/keys/{registered['key']}"
    await house["hzbank-approver"].send("DELETE", path, key=None, expect=200)
    event.remove(engine, "after_cursor_execute", count)
    assert again["code"] == "already-registered"
    assert read == [0, 1, 1]


async def test_capital_figures_are_readable_by_their_bank_alone(house: House) -> None:
    figures = {
        "as_of": "2024-01-01",
        "net_capital_minor": 500_00000000_00,
        "tier1_minor": 450_00000000_00,
        "illustrative": True,
    }
    await house["hzbank-risk"].post("/v1/capital", figures)
    assert await house["hzbank-risk"].get("/v1/capital", on="2024-03-01") == figures
    await house["cib-risk"].get("/v1/capital", on="2024-03-01", expect=404)
    await house["hzbank-risk"].get("/v1/capital", on="2023-12-31", expect=404)
