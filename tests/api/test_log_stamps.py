"""A third party's time under a head, over HTTP and from the terminal."""

import json
from pathlib import Path

from cryptography import x509

from api import cli
from ledger import notes, timestamps
from ledger.signatures import decode_base64, encode_base64
from tests.house import House
from tests.ledger.authority import Authority

TSA = Authority()


async def head(house: House) -> tuple[bytes, int]:
    await house.publish()
    note = (await house.http.get("/v1/log/checkpoint")).content
    return note, notes.read_checkpoint_text(notes.read_note(note).text).size


def stamp(note: bytes, *, by: Authority = TSA, certificate: bytes | None = None) -> dict[str, str]:
    return {
        "authority": "tsa-1",
        "certificate": (certificate or by.pem).decode(),
        "response": encode_base64(by.answer(note)),
    }


async def test_a_stamp_is_put_under_a_head_and_anyone_checks_it_again(house: House) -> None:
    note, size = await head(house)
    path = f"/v1/log/checkpoints/{size}/time-stamps"
    assert (await house.http.get(path)).json() == {"size": size, "stamps": []}
    put = await house["operator"].post(path, stamp(note))
    found = (await house.http.get(path)).json()
    assert found == {"size": size, "stamps": [put]}
    certificate = decode_base64(put["certificate"], size=None, place="$")
    checked = timestamps.check(
        decode_base64(put["response"], size=None, place="$"),
        note=note,
        authority=x509.load_der_x509_certificate(certificate),
        nonce=None,
    )
    assert checked.time.isoformat().replace("+00:00", "Z") == put["stamped_at"]
    again = await house["operator"].post(path, stamp(note))
    assert again == put, "an authority's first stamp under a head stays"


async def test_a_stamp_that_does_not_hold_is_not_kept(house: House) -> None:
    note, size = await head(house)
    path = f"/v1/log/checkpoints/{size}/time-stamps"
    other = Authority()
    operator = house["operator"]
    for wrong, status in (
        (stamp(note, certificate=other.pem), 403),
        ({**stamp(note), "response": "AAAA"}, 422),
        ({**stamp(note), "response": "*"}, 422),
        ({**stamp(note), "certificate": "none"}, 422),
        ({**stamp(note), "authority": "Not an id"}, 422),
    ):
        await operator.post(path, wrong, expect=status)
    for nowhere in (size + 1, 0, -1, 10**30, -(10**30)):
        await operator.post(f"/v1/log/checkpoints/{nowhere}/time-stamps", stamp(note), expect=404)
        answer = await house.http.get(f"/v1/log/checkpoints/{nowhere}/time-stamps")
        assert answer.status_code == 404
    await house["hzbank-operations"].post(path, stamp(note), expect=403)
    assert (await house.http.get(path)).json()["stamps"] == []


async def test_a_request_is_written_and_a_response_checked_offline(
    house: House, tmp_path: Path, capsys
) -> None:
    note, _ = await head(house)
    (tmp_path / "note").write_bytes(note)
    (tmp_path / "tsa.pem").write_bytes(TSA.pem)
    asking = ["timestamp", "request", "--note", str(tmp_path / "note")]
    assert cli.run([*asking, "--out", str(tmp_path / "query")]) == 0
    said = json.loads(capsys.readouterr().out)
    nonce = int(said["nonce"])
    assert (tmp_path / "query").read_bytes() == timestamps.request(note, nonce=nonce)
    assert said["imprint"] == timestamps.imprint(note).hex()
    (tmp_path / "response").write_bytes(TSA.answer(note, nonce=nonce))
    checking = [
        *("timestamp", "check", "--note", str(tmp_path / "note")),
        *("--response", str(tmp_path / "response"), "--authority", str(tmp_path / "tsa.pem")),
    ]
    assert cli.run([*checking, "--nonce", str(nonce)]) == 0
    assert json.loads(capsys.readouterr().out)["stamped"] is True
    assert cli.run([*checking, "--nonce", str(nonce + 1)]) == 1
    assert "nonce" in json.loads(capsys.readouterr().out)["why"]
