"""Proofs of single answers: made over HTTP, checked offline, refused once anything is altered."""

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.cli import run
from ledger import notes, proven, receipts
from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.notes import COSIGNATURE_V1, ED25519, Policy, VerifierKey
from ledger.signatures import decode_base64, encode_base64
from tests.api.populated import FACILITY
from tests.facility_house import Deal, formed
from tests.house import NAME, House, key_of
from tests.syndicate.facility_case import WAN

BOOK = FACILITY.facility
CASH = {"party": "hzbank", "code": "cash", "currency": "CNY"}


def policy(threshold: int) -> Policy:
    return Policy(
        log=VerifierKey(NAME, ED25519, key_of("log").public),
        witnesses=tuple(
            VerifierKey(bank, COSIGNATURE_V1, key_of(bank).public) for bank in ("hzbank", "cib")
        ),
        threshold=threshold,
    )


@pytest.fixture
async def lent(house: House) -> House:
    """A facility with money in it, a closed day, and the top log's head cosigned by one bank."""
    deal: Deal = await formed(house, FACILITY)
    await deal.fund("d1", 3000 * WAN)
    await deal.close_through("2024-03-03")
    await house.publish()
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    line = notes.cosign(note, name="cib", signer=house.keys["cib"], time=int(time.time()))
    await house["cib-operations"].post(
        "/v1/log/cosignatures", {"size": size, "line": line.decode()}
    )
    return house


async def proof_of_balance(house: House, person: str = "auditor-auditor", **query: Any) -> Any:
    asked = {**CASH, "day": "2024-03-01", **query}
    return await house[person].get(f"/v1/books/{BOOK}/balance-proof", **asked)


def checked(document: Any, trusted: Policy | None) -> proven.Proven:
    return proven.check(msgspec.json.encode(document), trusted)


async def test_a_balance_at_a_closed_day_is_proved_offline(lent: House) -> None:
    document = await proof_of_balance(lent)
    found = checked(document, policy(1))
    assert found.verified, found.problem
    assert found.says == {
        "book": BOOK,
        "day": "2024-03-01",
        "account": {**CASH, "counterparty": "", "ref": ""},
        "balance_minor": -1500 * WAN,
    }
    assert (found.trust, found.cosigned_by) == ("policy", ("cib",))
    strict = checked(document, policy(2))
    assert not strict.verified
    assert strict.problem is not None
    assert "cosigned by 1 of the 2" in strict.problem
    assert checked(document, None).trust == "self"
    stranger = Policy(log=policy(0).log, witnesses=(), threshold=0)
    assert checked(document, stranger).verified
    other = msgspec.structs.replace(stranger, log=VerifierKey(NAME, ED25519, key_of("x").public))
    assert not checked(document, other).verified


async def test_a_bank_proves_its_own_balance_and_nobody_elses(lent: House) -> None:
    document = await proof_of_balance(lent, "hzbank-officer")
    assert document == await proof_of_balance(lent)
    path = f"/v1/books/{BOOK}/balance-proof"
    asked = {**CASH, "day": "2024-03-01"}
    await lent["cib-officer"].get(path, **asked, expect=404)
    await lent["auditor-auditor"].get(path, **{**asked, "code": "nothing"}, expect=404)
    await lent["auditor-auditor"].get(path, **{**asked, "day": "2024-02-28"}, expect=404)
    early = await lent["auditor-auditor"].get(path, **{**asked, "day": "2024-03-04"}, expect=409)
    assert early["code"] == "day-not-closed"
    await lent["auditor-auditor"].get("/v1/books/nowhere/balance-proof", **asked, expect=404)


async def test_a_record_is_proved_with_its_bytes_to_an_auditor_only(lent: House) -> None:
    page = await lent["auditor-auditor"].get(f"/v1/books/{BOOK}/entries", party="hzbank", limit=1)
    record = page["entries"][0]["record"]
    path = f"/v1/books/{BOOK}/records/{record}/proof"
    whole = await lent["auditor-auditor"].get(path)
    assert checked(whole, policy(1)).verified
    assert json.loads(decode_base64(whole["record"]["leaf"], size=None, place="$"))["entries"]
    without = await lent["hzbank-officer"].get(path)
    assert without["record"]["leaf"] is None
    assert "record" not in without["says"]
    found = checked(without, policy(1))
    assert found.verified
    assert found.says["leaf_hash"] == whole["record"]["leaf_hash"]


def altered_base64(text: str) -> str:
    raw = decode_base64(text, size=None, place="$")
    return encode_base64(raw.replace(b'"', b"'", 1))


def flipped(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


Alter = Callable[[Any], Any]
ALTERATIONS: dict[str, Alter] = {
    "another amount said": lambda d: d["says"].update(balance_minor=-1),
    "another day said": lambda d: d["says"].update(day="2024-03-02"),
    "another account said": lambda d: d["says"]["account"].update(party="cib"),
    "another book said": lambda d: d["says"].update(book="fac-other"),
    "one thing more said": lambda d: d["says"].update(note="trust me"),
    "balance leaf": lambda d: d["balance"].update(leaf=altered_base64(d["balance"]["leaf"])),
    "balance path": lambda d: d["balance"]["hashes"].__setitem__(
        0, flipped(d["balance"]["hashes"][0])
    ),
    "balance index": lambda d: d["balance"].update(index=d["balance"]["index"] + 1),
    "seal bytes": lambda d: d["record"].update(leaf=altered_base64(d["record"]["leaf"])),
    "seal withheld": lambda d: d["record"].update(leaf=None),
    "seal hash": lambda d: d["record"].update(leaf_hash=flipped(d["record"]["leaf_hash"])),
    "log position": lambda d: d["record"].update(position=d["record"]["position"] - 1),
    "log path cut": lambda d: d["record"]["hashes"].pop(),
    "log path not hex": lambda d: d["record"]["hashes"].__setitem__(0, "zz"),
    "head's size": lambda d: d["record"].update(note=d["record"]["note"].replace("\n", "\n1", 1)),
    "top leaf": lambda d: d["top"].update(leaf=altered_base64(d["top"]["leaf"])),
    "top leaf withheld": lambda d: d["top"].update(leaf=None),
    "top of another book": lambda d: d["top"].update(book=BOOK),
    "log key": lambda d: d.update(log=str(VerifierKey(NAME, COSIGNATURE_V1, key_of("log").public))),
    "the book's head as the top's": lambda d: d.update(top=d["record"]),
}


async def test_a_proof_altered_anywhere_does_not_hold(lent: House) -> None:
    document = await proof_of_balance(lent)
    assert checked(document, policy(1)).verified
    for what, alter in ALTERATIONS.items():
        copy = json.loads(canonical(document))
        alter(copy)
        found = checked(copy, policy(1))
        assert not found.verified, what
        assert found.problem, what
    print(f"\n{len(ALTERATIONS)} alterations, all found")


async def test_a_head_signed_by_the_wrong_key_or_not_in_the_top_log_proves_nothing(
    lent: House,
) -> None:
    document = await proof_of_balance(lent)
    head = notes.read_checkpoint_text(notes.read_note(document["record"]["note"].encode()).text)
    for signer in (key_of("forger"), key_of("log")):
        forged = msgspec.structs.replace(head, root=bytes(32))
        note = notes.sign_checkpoint(forged, name=NAME, signer=signer).decode()
        copy = {**document, "record": {**document["record"], "note": note}}
        assert not checked(copy, policy(1)).verified


async def test_the_command_checks_a_proof_and_answers_by_its_exit_code(
    lent: House, tmp_path: Any, capsys: Any
) -> None:
    document = await proof_of_balance(lent)
    (tmp_path / "proof.json").write_bytes(msgspec.json.encode(document))
    (tmp_path / "policy.json").write_bytes(notes.write_policy(policy(1)))
    words = ["proof", str(tmp_path / "proof.json"), "--policy", str(tmp_path / "policy.json")]
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["says"]["balance_minor"] == -1500 * WAN
    document["says"]["balance_minor"] += 1
    (tmp_path / "proof.json").write_bytes(msgspec.json.encode(document))
    assert run(words) == 1
    assert json.loads(capsys.readouterr().out)["problem"] == "$.says: not what the leaves say"
    (tmp_path / "proof.json").write_bytes(b"{}")
    assert run(words) == 2


async def test_entries_come_with_proofs_where_they_are_asked_for(lent: House) -> None:
    from ledger import merkle

    for path in (f"/v1/books/{BOOK}/entries", "/v1/entries"):
        page = await lent["hzbank-officer"].get(path, proof="true", limit=500)
        assert page["entries"]
        for line in page["entries"]:
            head = await lent["hzbank-officer"].get(
                f"/v1/books/{line['book']}/checkpoint", size=line["proof"]["size"]
            )
            assert merkle.verify_inclusion(
                leaf=bytes.fromhex(line["proof"]["leaf_hash"]),
                index=line["position"],
                size=head["size"],
                proof=[bytes.fromhex(one) for one in line["proof"]["hashes"]],
                root=bytes.fromhex(head["root"]),
            )
    without = await lent["hzbank-officer"].get(f"/v1/books/{BOOK}/entries")
    assert {line["proof"] for line in without["entries"]} == {None}
    refused = await lent["hzbank-officer"].get(f"/v1/books/{BOOK}/entries", proof="yes", expect=400)
    assert refused["code"] == "wrong-parameter"


async def test_a_proof_ends_at_a_head_that_so_many_have_cosigned(lent: House) -> None:
    page = await lent["auditor-auditor"].get(f"/v1/books/{BOOK}/entries", party="hzbank", limit=1)
    record = f"/v1/books/{BOOK}/records/{page['entries'][0]['record']}/proof"
    await lent["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-later"})
    await lent["hzbank-operations"].post(
        "/v1/books/own-hzbank-later/accounts", {"code": "cash", "ref": "", "currency": "CNY"}
    )
    await lent.publish()
    assert checked(await proof_of_balance(lent, witnessed=1), policy(1)).cosigned_by == ("cib",)
    whole = await lent["auditor-auditor"].get(record, witnessed=1, witnesses="hzbank,cib")
    assert checked(whole, policy(1)).verified
    path = f"/v1/books/{BOOK}/balance-proof"
    asked = {**CASH, "day": "2024-03-01"}
    early = await lent["auditor-auditor"].get(path, **asked, witnessed=2, expect=409)
    assert early["code"] == "not-yet-witnessed"
    both = await lent["auditor-auditor"].get(path, **asked, witnessed=1, top_size=1, expect=422)
    assert both["place"] == "top_size"
    short = await lent["auditor-auditor"].get(path, **asked, top_size=0, expect=409)
    assert "that the proof is to end at" in short["detail"]


async def test_a_receipt_and_a_proof_are_told_apart_by_name(lent: House) -> None:
    page = await lent["auditor-auditor"].get(f"/v1/books/{BOOK}/entries", party="hzbank", limit=1)
    record = f"/v1/books/{BOOK}/records/{page['entries'][0]['record']}"
    receipt = await lent["auditor-auditor"].get(f"{record}/receipt")
    with pytest.raises(WrongInput, match="`liandai receipt`"):
        proven.check(msgspec.json.encode(receipt), None)
    proof = await lent["auditor-auditor"].get(f"{record}/proof")
    with pytest.raises(WrongInput, match="`liandai proof`"):
        receipts.read_receipt(msgspec.json.encode(proof))
