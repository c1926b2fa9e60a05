"""Proofs of single answers: made over HTTP, checked offline, refused once anything is altered."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from api.cli import run
from api.settings import asyncpg_dsn
from ledger import notes, proven
from ledger.documents import canonical
from ledger.errors import WrongInput
from ledger.notes import COSIGNATURE_V1, ED25519, Policy, VerifierKey
from tests.api.populated import FACILITY
from tests.facility_house import Deal, formed
from tests.house import NAME, House, key_of
from tests.syndicate.facility_case import WAN

BOOK = FACILITY.facility
CASH = {"party": "hzbank", "code": "cash", "currency": "CNY"}
ACCOUNT = {**CASH, "counterparty": "", "ref": ""}


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


def checked(document: Any, trusted: Policy) -> proven.Verdict:
    """The verdict on what was answered, as it comes out of a file."""
    read = proven.read(msgspec.json.encode(document))
    return proven.verify(read, trusted, leaf_hash=None)


async def test_a_balance_at_a_closed_day_is_proved_offline(lent: House) -> None:
    document = await proof_of_balance(lent)
    found = checked(document, policy(1))
    assert found.verified, found.why
    assert found.balance == {
        "account": ACCOUNT,
        "day": "2024-03-01",
        "balance_minor": -1500 * WAN,
    }
    assert found.proved[0].startswith(
        f"at the close of 2024-03-01 account cash of hzbank in book {BOOK} stood at -15000000.00"
    )
    assert found.witnesses == ["cib"]
    strict = checked(document, policy(2))
    assert not strict.verified
    assert strict.why == "1 of the 2 cosignatures the policy asks for"
    stranger = Policy(log=policy(0).log, witnesses=(), threshold=0)
    assert checked(document, stranger).verified
    other = msgspec.structs.replace(stranger, log=VerifierKey(NAME, ED25519, key_of("x").public))
    assert not checked(document, other).verified


async def test_the_receipt_in_the_proof_of_a_balance_is_the_one_of_its_seal(lent: House) -> None:
    auditor = lent["auditor-auditor"]
    document = await proof_of_balance(lent)
    seals = (await auditor.get(f"/v1/books/{BOOK}/records", kind="seal"))["records"]
    (seal,) = [one for one in seals if one["position"] == document["receipt"]["position"]]
    path = f"/v1/books/{BOOK}/records/{seal['record']}/receipt"
    assert await auditor.get(path) == document["receipt"]
    assert checked(document["receipt"], policy(1)).verified


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


def flipped(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


def said(document: Any, **changes: Any) -> None:
    """The balance leaf says something else, canonically."""
    leaf = json.loads(document["balance"]["leaf"])
    document["balance"]["leaf"] = canonical({**leaf, **changes}).decode()


def cut(proof: str, *more: str) -> str:
    """The log proof with other hashes in place of its last one."""
    path, separator, note = proof.partition("\n\n")
    return "\n".join([*path.split("\n")[:-1], *more]) + separator + note


Alter = Callable[[Any], Any]
ALTERATIONS: dict[str, Alter] = {
    "another amount said": lambda d: said(d, balance_minor=-1),
    "another day said": lambda d: said(d, day="2024-03-02"),
    "another account said": lambda d: said(d, account={**ACCOUNT, "party": "cib"}),
    "another book said": lambda d: d["receipt"].update(book="fac-other"),
    "one thing more said": lambda d: said(d, note="trust me"),
    "balance leaf": lambda d: d["balance"].update(leaf=d["balance"]["leaf"].replace('"', "'", 1)),
    "balance path": lambda d: d["balance"]["hashes"].__setitem__(
        0, flipped(d["balance"]["hashes"][0])
    ),
    "balance path not hex": lambda d: d["balance"]["hashes"].__setitem__(0, "zz"),
    "balance index": lambda d: d["balance"].update(index=d["balance"]["index"] + 1),
    "seal bytes": lambda d: d.update(seal=d["seal"].replace('"', "'", 1)),
    "seal withheld": lambda d: d.update(seal=""),
    "seal hash": lambda d: d["receipt"].update(leaf_hash=flipped(d["receipt"]["leaf_hash"])),
    "log position": lambda d: d["receipt"].update(position=d["receipt"]["position"] - 1),
    "log path cut": lambda d: d["receipt"].update(in_book=cut(d["receipt"]["in_book"])),
    "log path not base64": lambda d: d["receipt"].update(in_book=cut(d["receipt"]["in_book"], "z")),
    "head's size": lambda d: d["receipt"].update(
        in_book=d["receipt"]["in_book"].replace(f"/{BOOK}\n", f"/{BOOK}\n1", 1)
    ),
    "top leaf": lambda d: d["receipt"].update(head=d["receipt"]["head"].replace('"', "'", 1)),
    "top leaf withheld": lambda d: d["receipt"].update(head=""),
    "top of another book": lambda d: d["receipt"].update(
        head=d["receipt"]["head"].replace('"book":"top"', f'"book":"{BOOK}"', 1)
    ),
    "the book's head as the top's": lambda d: d["receipt"].update(in_top=d["receipt"]["in_book"]),
    "the top's head as the book's": lambda d: d["receipt"].update(in_book=d["receipt"]["in_top"]),
}


async def test_a_proof_altered_anywhere_does_not_hold(lent: House) -> None:
    document = await proof_of_balance(lent)
    assert checked(document, policy(1)).verified
    for what, alter in ALTERATIONS.items():
        copy = json.loads(canonical(document))
        alter(copy)
        found = checked(copy, policy(1))
        assert copy != document, what
        assert not found.verified, what
        assert found.why, what
    print(f"\n{len(ALTERATIONS)} alterations, all found")


async def test_a_head_signed_by_the_wrong_key_or_not_in_the_top_log_proves_nothing(
    lent: House,
) -> None:
    document = await proof_of_balance(lent)
    path, _, note = document["receipt"]["in_book"].partition("\n\n")
    head = notes.read_checkpoint_text(notes.read_note(note.encode()).text)
    for signer in (key_of("forger"), key_of("log")):
        forged = msgspec.structs.replace(head, root=bytes(32))
        note = notes.sign_checkpoint(forged, name=NAME, signer=signer).decode()
        copy = {**document, "receipt": {**document["receipt"], "in_book": f"{path}\n\n{note}"}}
        assert not checked(copy, policy(1)).verified


async def test_the_command_checks_either_kind_and_answers_by_its_exit_code(
    lent: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = await proof_of_balance(lent)
    file = tmp_path / "proof.json"
    (tmp_path / "policy.json").write_bytes(notes.write_policy(policy(1)))
    words = ["proof", str(file), "--policy", str(tmp_path / "policy.json")]
    for kept in (document, document["receipt"]):
        file.write_bytes(msgspec.json.encode(kept))
        assert run(words) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["verified"]
        assert len(answer["proved"]) == 2 + ("balance" in answer)
        assert answer["not_proved"]
        assert run([*words, "--leaf", document["receipt"]["leaf_hash"]]) == 0
        assert run([*words, "--leaf", "0" * 64]) == 1
        capsys.readouterr()
        assert run(words[:2]) == 2, "whose keys count is never left to the document"
        assert "--policy" in capsys.readouterr().err
    leaf = document["balance"]["leaf"].replace(f":{-1500 * WAN},", f":{-1500 * WAN + 1},")
    file.write_bytes(
        msgspec.json.encode({**document, "balance": {**document["balance"], "leaf": leaf}})
    )
    assert run(words) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verified"], answer["proved"]) == (False, [])
    assert answer["why"].startswith("$.balance.hashes: expected an inclusion path")
    file.write_bytes(b"{}")
    assert run(words) == 2
    refused = capsys.readouterr()
    assert refused.out == ""
    assert "$.v: expected liandai.receipt/v1 or liandai.balance-proof/v1" in refused.err


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
    await lent["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-later"})
    await lent["hzbank-operations"].post(
        "/v1/books/own-hzbank-later/accounts", {"code": "cash", "ref": "", "currency": "CNY"}
    )
    await lent.publish()
    assert checked(await proof_of_balance(lent, witnessed=1), policy(1)).witnesses == ["cib"]
    some = await proof_of_balance(lent, witnessed=1, witnesses="hzbank,cib")
    assert checked(some, policy(1)).verified
    path = f"/v1/books/{BOOK}/balance-proof"
    asked = {**CASH, "day": "2024-03-01"}
    auditor = lent["auditor-auditor"]
    for query, status, code in (
        ({"witnessed": 2}, 409, "not-yet-witnessed"),
        ({"witnessed": 1, "witnesses": "hzbank"}, 409, "not-yet-witnessed"),
        ({"witnessed": 0}, 422, "wrong-input"),
        ({"witnesses": "cib"}, 422, "wrong-input"),
        ({"witnessed": 1, "top_size": 1}, 400, "unknown-parameter"),
    ):
        refused = await auditor.get(path, **asked, **query, expect=status)
        assert refused["code"] == code, query


async def test_a_balance_whose_seal_is_not_published_yet_has_no_proof_yet(lent: House) -> None:
    await lent["operator"].post("/v1/business-days", {"through": "2024-03-04"})
    path = f"/v1/books/{BOOK}/balance-proof"
    asked = {**CASH, "day": "2024-03-04"}
    early = await lent["hzbank-officer"].get(path, **asked, expect=409)
    assert early["code"] == "not-yet-published"
    await lent.publish()
    assert (await lent["hzbank-officer"].get(path, **asked))["v"] == "liandai.balance-proof/v1"


async def test_a_balance_that_is_not_as_it_was_sealed_is_not_proved(
    lent: House, database_url: str
) -> None:
    """Whoever runs the database alters it past every trigger, and the seal tells."""
    owner = await asyncpg.connect(asyncpg_dsn(database_url))
    await owner.execute("SET session_replication_role = replica")
    for statement, restored in (
        (
            "UPDATE ledger.entry SET balance_after_minor = balance_after_minor + 1 "
            f"WHERE book_id = '{BOOK}'",
            "UPDATE ledger.entry SET balance_after_minor = balance_after_minor - 1 "
            f"WHERE book_id = '{BOOK}'",
        ),
        (
            "UPDATE ledger.leaf SET bytes = bytes || ' '::bytea "
            f"WHERE book_id = '{BOOK}' AND kind = 'seal'",
            "UPDATE ledger.leaf SET bytes = rtrim(bytes, ' '::bytea) "
            f"WHERE book_id = '{BOOK}' AND kind = 'seal'",
        ),
    ):
        await owner.execute(statement)
        path = f"/v1/books/{BOOK}/balance-proof"
        asked = {**CASH, "day": "2024-03-01"}
        refused = await lent["auditor-auditor"].get(path, **asked, expect=409)
        assert refused["code"] == "not-as-sealed"
        await owner.execute(restored)
        assert checked(await proof_of_balance(lent), policy(1)).verified
    await owner.close()


async def test_a_record_has_a_receipt_and_no_other_proof(lent: House) -> None:
    auditor = lent["auditor-auditor"]
    page = await auditor.get(f"/v1/books/{BOOK}/entries", party="hzbank", limit=1)
    path = f"/v1/books/{BOOK}/records/{page['entries'][0]['record']}"
    await auditor.get(f"{path}/proof", expect=404)
    document = await auditor.get(f"{path}/receipt")
    assert document == await lent["hzbank-officer"].get(f"{path}/receipt"), "for either the same"
    found = checked(document, policy(1))
    assert found.verified
    assert found.balance is None
    assert found.leaf_hash == (await auditor.get(path))["leaf_hash"]
    with pytest.raises(WrongInput, match=r"\$\.v"):
        proven.read(canonical({**document, "v": "liandai/v1/proof"}))
