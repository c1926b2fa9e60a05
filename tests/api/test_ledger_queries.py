"""The ledger's questions over HTTP: heads, proofs, cosignatures, the auditor's bundle."""

import base64
import io
import time
import zipfile

from ledger import merkle, notes
from ledger.verify import verify
from tests.house import NAME, House, key_of


async def unpacked(house: House) -> dict[str, bytes]:
    """The bundle of everything, as the auditor downloads and unpacks it."""
    await house.publish()
    answer = await house.http.get("/v1/bundle", headers=house["auditor-auditor"].headers)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_the_registrys_bundle_verifies_offline(house: House) -> None:
    verdict = verify(await unpacked(house), None)
    assert verdict.verified, verdict.document()
    assert verdict.trust == "self"


async def test_anyone_reads_the_top_logs_head_without_a_token(house: House) -> None:
    await house.publish()
    answer = await house.http.get("/v1/log/checkpoint")
    key = notes.VerifierKey(NAME, notes.ED25519, key_of("log").public)
    head = notes.open_checkpoint(answer.content, origin=f"{NAME}/top", log=key, witnesses=[])
    assert head.checkpoint.size > 0


async def test_a_bank_cosigns_the_head_and_the_policy_counts_it(house: House) -> None:
    await house.publish()
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    for bank in ("hzbank", "cib"):
        line = notes.cosign(note, name=bank, signer=house.keys[bank], time=int(time.time()))
        body = {"size": size, "line": line.decode()}
        await house[f"{bank}-operations"].post("/v1/log/cosignatures", body)
    foreign = notes.cosign(note, name="czbank", signer=key_of("nobody"), time=1)
    body = {"size": size, "line": foreign.decode()}
    await house["czbank-operations"].post("/v1/log/cosignatures", body, expect=403)
    for line in (body["line"], "— nobody AAAAAAAAAAAAAAAA\n"):  # one of its own stands already
        wrong = {"size": body["size"], "line": line.replace("cib", "hzbank")}
        await house["hzbank-operations"].post("/v1/log/cosignatures", wrong, expect=403)
    witnesses = tuple(
        notes.VerifierKey(bank, notes.COSIGNATURE_V1, house.keys[bank].public)
        for bank in ("hzbank", "cib", "czbank")
    )
    policy = notes.Policy(
        log=notes.VerifierKey(NAME, notes.ED25519, key_of("log").public),
        witnesses=witnesses,
        threshold=2,
    )
    files = await unpacked(house)
    assert verify(files, policy).document()["verified"] is True
    strict = notes.Policy(log=policy.log, witnesses=witnesses, threshold=3)
    assert verify(files, strict).document()["verified"] is False


async def taken(house: House, *, expect: int = 200, **query: str) -> dict[str, bytes]:
    """The bundle as the auditor downloads and unpacks it, whatever is unpublished; or nothing."""
    headers = house["auditor-auditor"].headers
    answer = await house.http.get("/v1/bundle", headers=headers, params=query)
    assert answer.status_code == expect, answer.text
    if expect != 200:
        return {"problem": answer.json()["code"].encode()}
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def cosigned(house: House, *banks: str) -> int:
    """The size of the top log's head, cosigned by these banks."""
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    for bank in banks:
        line = notes.cosign(note, name=bank, signer=house.keys[bank], time=int(time.time()))
        body = {"size": size, "line": line.decode()}
        await house[f"{bank}-operations"].post("/v1/log/cosignatures", body)
    return size


def policy_of(house: House, *, threshold: int, banks: tuple[str, ...]) -> notes.Policy:
    return notes.Policy(
        log=notes.VerifierKey(NAME, notes.ED25519, key_of("log").public),
        witnesses=tuple(
            notes.VerifierKey(bank, notes.COSIGNATURE_V1, house.keys[bank].public) for bank in banks
        ),
        threshold=threshold,
    )


async def posted(house: House, book: str, number: str, amount_minor: int) -> None:
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in (("cash", amount_minor), ("suspense", -amount_minor))
    ]
    body = {"value_date": "2024-03-01", "reference": number, "entries": entries}
    await house["hzbank-operations"].post(f"/v1/books/{book}/transactions", body)


async def reserved(house: House, book: str, number: str, amount_minor: int) -> str:
    """The record of a pending, on an account that no entry need ever touch."""
    entries = [
        {"code": code, "ref": "", "currency": "CNY", "amount_minor": amount}
        for code, amount in (("cash", amount_minor), (f"reserve.{number}", -amount_minor))
    ]
    body = {"value_date": "2024-03-01", "reference": number, "entries": entries}
    key = f"cut-pending-{number}"
    path = f"/v1/books/{book}/pendings"
    await house["hzbank-operations"].post(path, {**body, "lasts_seconds": None}, key=key)
    return f"hzbank:{key}:0"


BANKS = ("hzbank", "cib", "czbank")


async def test_a_bundle_cut_at_the_last_witnessed_head_verifies_whenever_it_is_taken(
    house: House,
) -> None:
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-cut"})
    await posted(house, "own-hzbank-cut", "1", 500)
    pending = await reserved(house, "own-hzbank-cut", "2", 9)
    await house.publish()
    assert await taken(house, expect=409, witnessed="2") == {"problem": b"not-yet-witnessed"}
    top = await cosigned(house, "hzbank", "cib")
    # From here on nobody cosigns two: one more leaf and account in the old book, another book, a
    # closed day, heads that only one bank has seen, and leaves that are not even published.
    await posted(house, "own-hzbank-cut", "2", 70)
    path = f"/v1/books/own-hzbank-cut/pendings/{pending}/posting"
    await house["hzbank-operations"].post(path, {"entries": None, "value_date": "2024-03-01"})
    await house["operator"].post("/v1/business-days", {"through": "2024-03-04"})
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-later"})
    await posted(house, "own-hzbank-later", "3", 1)
    await house.publish()
    await cosigned(house, "hzbank")
    await posted(house, "own-hzbank-later", "4", 1)

    two = policy_of(house, threshold=2, banks=BANKS)
    verdict = verify(await taken(house, witnessed="2"), two).document()
    assert verdict["verified"] is True, verdict
    assert verdict["books"]["top"]["leaves"] == top
    assert verdict["books"]["own-hzbank-cut"]["leaves"] == 2
    assert "own-hzbank-later" not in verdict["books"]
    one = policy_of(house, threshold=1, banks=BANKS)
    verdict = verify(await taken(house, witnessed="1"), one).document()
    assert verdict["verified"] is True, verdict
    assert verdict["books"]["own-hzbank-cut"]["leaves"] == 5
    assert verdict["books"]["own-hzbank-later"]["leaves"] == 1
    assert verify(await taken(house, witnessed="1"), two).document()["verified"] is False

    files = await taken(house, witnessed="2", books="own-hzbank-cut")
    assert verify(files, two).document()["verified"] is True
    cut = files["books/own-hzbank-cut/balances.jsonl"]
    assert b'"balance_minor":500' in cut
    assert b"reserve.2" not in cut, "what is only reserved is in no balance"
    assert cut.count(b"\n") == 2
    assert await taken(house, expect=409, witnessed="3") == {"problem": b"not-yet-witnessed"}
    assert await taken(house, expect=409, witnessed="2", books="own-hzbank-later") == {
        "problem": b"not-yet-witnessed"
    }
    assert await taken(
        house, expect=409, witnessed="1", witnesses="cib,czbank", books="registry,own-hzbank-later"
    ) == {"problem": b"not-yet-witnessed"}
    for wrong in ({"witnessed": "0"}, {"witnessed": "101"}, {"witnesses": "cib"}):
        await taken(house, expect=422, **wrong)
    assert await taken(house, expect=409) == {"problem": b"not-yet-published"}


async def test_an_auditor_reads_every_record_and_its_proof(house: House) -> None:
    await house.publish()
    auditor = house["auditor-auditor"]
    page = await auditor.get("/v1/books/registry/records", limit=5)
    assert len(page["records"]) == 5
    assert page["next"] == 4
    head = await auditor.get("/v1/books/registry/checkpoint")
    for record in page["records"]:
        proof = await auditor.get(
            "/v1/books/registry/proofs/inclusion", position=record["position"], size=head["size"]
        )
        assert merkle.verify_inclusion(
            leaf=bytes.fromhex(record["leaf_hash"]),
            index=record["position"],
            size=head["size"],
            proof=[bytes.fromhex(digest) for digest in proof["hashes"]],
            root=bytes.fromhex(head["root"]),
        )


async def test_an_unknown_filter_or_a_foreign_book_is_refused_not_ignored(house: House) -> None:
    auditor = house["auditor-auditor"]
    unknown = await auditor.get("/v1/books/registry/entries", colour="red", expect=400)
    assert unknown["code"] == "unknown-parameter"
    await auditor.get("/v1/books/nowhere/entries", expect=404)
    await house["hzbank-officer"].get("/v1/books/registry/entries", expect=404)
    await auditor.get("/v1/books/registry/entries", cursor="!!", expect=422)
    garbage = base64.urlsafe_b64encode(b"1.x").decode()
    await auditor.get("/v1/books/registry/entries", cursor=garbage, expect=422)
    await auditor.get("/v1/books/registry/balances", known_size=10**6, expect=409)
