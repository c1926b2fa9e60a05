"""Receipts and policies over HTTP and from the terminal: asked for, kept, verified offline."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from api import cli, policies
from ledger import notes, receipts
from ledger.errors import WrongInput
from ledger.notes import Policy, VerifierKey
from tests.house import NAME, House, key_of

BOOK = "own-hzbank-kept"


def policy(house: House, *, threshold: int = 2) -> Policy:
    return Policy(
        log=VerifierKey(NAME, notes.ED25519, key_of("log").public),
        witnesses=tuple(
            VerifierKey(bank, notes.COSIGNATURE_V1, house.keys[bank].public)
            for bank in ("hzbank", "cib", "czbank")
        ),
        threshold=threshold,
    )


async def cosign(house: House, *banks: str) -> None:
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    for bank in banks:
        line = notes.cosign(note, name=bank, signer=house.keys[bank], time=int(time.time()))
        body = {"size": size, "line": line.decode()}
        await house[f"{bank}-operations"].post("/v1/log/cosignatures", body)


async def post(house: House, number: int) -> tuple[str, str]:
    """(record id, promised leaf hash) of a transaction in hzbank's own book."""
    body = {
        "value_date": "2024-03-01",
        "reference": f"r-{number}",
        "entries": [
            {"code": "cash", "ref": "", "currency": "CNY", "amount_minor": 5},
            {"code": "suspense", "ref": "", "currency": "CNY", "amount_minor": -5},
        ],
    }
    key = f"receipt-{number:04d}"
    promised = await house["hzbank-operations"].post(
        f"/v1/books/{BOOK}/transactions", body, key=key
    )
    return f"hzbank:{key}:0", promised["leaf_hash"]


async def test_a_member_keeps_a_receipt_that_holds_offline(house: House, tmp_path: Path) -> None:
    await house["hzbank-operations"].post("/v1/books", {"book": BOOK})
    record, promised = await post(house, 1)
    path = f"/v1/books/{BOOK}/records/{record}/receipt"
    officer = house["hzbank-officer"]
    assert (await officer.get(path, expect=409))["code"] == "not-yet-published"
    await house.publish()
    bare = msgspec.convert(await officer.get(path), receipts.Receipt)
    assert bare.leaf_hash == promised
    trusting = policy(house, threshold=2)
    assert not receipts.verify(bare, trusting, leaf_hash=promised).verified
    assert (await officer.get(path, expect=409, witnessed=2))["code"] == "not-yet-witnessed"
    await cosign(house, "hzbank", "cib")
    later, _ = await post(house, 2)
    await house.publish()
    kept = await officer.get(path, witnessed=2)
    verdict = receipts.verify(msgspec.convert(kept, receipts.Receipt), trusting, leaf_hash=promised)
    assert verdict.verified, verdict
    assert verdict.witnesses == ["cib", "hzbank"]
    uncovered = f"/v1/books/{BOOK}/records/{later}/receipt"
    assert (await officer.get(uncovered, expect=409, witnessed=2))["code"] == "not-yet-witnessed"
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    (tmp_path / "policy.json").write_bytes(notes.write_policy(trusting))
    arguments = ["proof", str(tmp_path / "kept.json"), "--policy", str(tmp_path / "policy.json")]
    assert cli.run([*arguments, "--leaf", promised]) == 0
    assert cli.run([*arguments, "--leaf", "0" * 64]) == 1


async def test_a_receipt_is_for_who_takes_part_in_the_book(house: House) -> None:
    await house["hzbank-operations"].post("/v1/books", {"book": BOOK})
    record, _ = await post(house, 1)
    await house.publish()
    path = f"/v1/books/{BOOK}/records/{record}/receipt"
    await house["auditor-auditor"].get(path)
    await house["cib-officer"].get(path, expect=404)
    await house["hzbank-officer"].get(f"/v1/books/{BOOK}/records/none/receipt", expect=404)
    heads = await house["auditor-auditor"].get("/v1/books/top/records", kind="head")
    top = f"/v1/books/top/records/{heads['records'][0]['record']}/receipt"
    await house["auditor-auditor"].get(top, expect=404)


async def test_the_database_names_a_head_of_the_top_log_to_members_of_its_book_only(
    house: House,
) -> None:
    from api.database import NOBODY, Standing
    from ledger import store_log

    await house["hzbank-operations"].post("/v1/books", {"book": BOOK})
    await post(house, 1)
    await house.publish()
    seen = {}
    for name, standing in {
        "hzbank": Standing("liandai_app", "hzbank"),
        "cib": Standing("liandai_app", "cib"),
        "nobody": NOBODY,
        "auditor": Standing("liandai_auditor", "auditor"),
    }.items():
        async with house.installation.database.transaction(standing, read_only=True) as conn:
            seen[name] = await store_log.head_leaf(conn, book=BOOK, size=1) is not None
    assert seen == {"hzbank": True, "cib": False, "nobody": False, "auditor": True}


# ---- keys and policies


async def test_the_keys_are_public_and_say_that_they_must_be_compared(house: House) -> None:
    answer = await house.http.get("/v1/log/keys")
    assert answer.status_code == 200
    found = answer.json()
    assert found["origin"] == f"{NAME}/top"
    assert found["log"] == str(policy(house).log)
    by_name = {one["institution"]: one["verifier_key"] for one in found["witnesses"]}
    assert [by_name[witness.name] for witness in policy(house).witnesses] == [
        str(witness) for witness in policy(house).witnesses
    ]
    assert not {"yunshen", "qinghe"} & set(by_name), "no borrower is named to the public"
    assert "comparing" in found["compare"]
    (live,) = [one for one in found["witnesses"] if one["institution"] == "cib"]
    await house["operator"].send(
        "DELETE", f"/v1/institutions/cib/keys/{live['key']}", key=None, expect=200
    )
    after = (await house.http.get("/v1/log/keys")).json()
    assert "cib" not in {one["institution"] for one in after["witnesses"]}, "revoked keys go"


def test_a_policy_is_made_of_keys_that_are_given(tmp_path: Path, capsys) -> None:
    log = str(VerifierKey(NAME, notes.ED25519, key_of("log").public))
    banks = [
        str(VerifierKey(bank, notes.COSIGNATURE_V1, key_of(bank).public))
        for bank in ("hzbank", "cib")
    ]
    out = tmp_path / "policy.json"
    arguments = ["policy", "--log", log, "--threshold", "2", "--out", str(out)]
    for bank in banks:
        arguments += ["--witness", bank]
    assert cli.run(arguments) == 0
    made = notes.read_policy(out.read_bytes())
    assert [str(made.log), *map(str, made.witnesses)] == [log, *banks]
    assert made.threshold == 2
    assert cli.run(arguments) == 2, "a policy that is there is not overwritten"
    assert "new file" in capsys.readouterr().err
    other = str(tmp_path / "other.json")
    for wrong in (
        ["policy", "--log", log, "--witness", banks[0], "--threshold", "2", "--out", other],
        ["policy", "--log", log, "--witness", "cib", "--threshold", "1", "--out", other],
        ["policy", "--threshold", "1", "--out", other],
        ["policy", "--log", banks[0], "--threshold", "0", "--out", other],
    ):
        assert cli.run(wrong) == 2
        assert not Path(other).exists()


def test_a_service_that_does_not_answer_makes_no_policy() -> None:
    with pytest.raises(policies.Unreachable):
        policies.ask("http://127.0.0.1:9")


def test_an_institution_without_exactly_one_live_key_is_named() -> None:
    claimed = policies.Claimed(log="l", witnesses={"cib": ["1", "2"], "hzbank": ["3"]})
    assert claimed.of(["hzbank"]) == ["3"]
    with pytest.raises(WrongInput, match="--witness cib: expected one live key, and there are 2"):
        claimed.of([])
    with pytest.raises(WrongInput, match="--witness czbank"):
        claimed.of(["czbank"])
