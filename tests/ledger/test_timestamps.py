"""A third party's time under a head: what holds, and every way in which one does not."""

import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import der, merkle, notes, timestamps
from ledger.errors import WrongInput
from ledger.notes import Checkpoint
from ledger.signatures import KeyInMemory
from ledger.timestamps import NotStamped
from tests.ledger.authority import SINCE, UNTIL, Authority


def head(size: int) -> bytes:
    checkpoint = Checkpoint(
        origin="liandai.test/top", size=size, root=merkle.leaf_hash(str(size).encode())
    )
    signer = KeyInMemory(b"l" * 32)
    return notes.sign_checkpoint(checkpoint, name="liandai.test", signer=signer)


NOTE = head(7)
NONCE = 2**63 + 11
TSA = Authority()


def checked(response: bytes, *, note: bytes = NOTE, nonce: int | None = NONCE, tsa=TSA):
    return timestamps.check(response, note=note, authority=tsa.certificate, nonce=nonce)


# ---- stamps that hold


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_a_stamp_by_each_kind_of_key_holds_and_tells_its_time(kind):
    tsa = Authority(kind)
    at = SINCE + timedelta(days=1, hours=2, seconds=3)
    stamp = checked(tsa.answer(NOTE, nonce=NONCE, at=at), tsa=tsa)
    assert (stamp.time, stamp.nonce, stamp.policy) == (at, NONCE, "1.2.3.4.1")


def test_cosignatures_that_come_later_do_not_break_a_stamp():
    response = TSA.answer(NOTE, nonce=NONCE)
    line = notes.cosign(NOTE, name="hzbank", signer=KeyInMemory(b"w" * 32), time=1)
    assert checked(response, note=notes.with_signatures(NOTE, [line])).nonce == NONCE


def test_a_reader_who_does_not_know_the_nonce_may_leave_it_out():
    assert checked(TSA.answer(NOTE), nonce=None).nonce is None


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        (SINCE - timedelta(seconds=1), False),
        (SINCE, True),
        (UNTIL, True),
        (UNTIL + timedelta(seconds=1), False),
    ],
)
def test_the_certificate_must_have_been_valid_at_the_time_stamped(at, holds):
    response = TSA.answer(NOTE, nonce=NONCE, at=at)
    if holds:
        assert checked(response).time == at
    else:
        with pytest.raises(NotStamped, match="not valid at the time"):
            checked(response)


# ---- stamps that do not

OTHER = Authority()
CHEATS = {
    "not granted": (lambda: TSA.answer(NOTE, status=2), "granted no"),
    "of another head": (lambda: TSA.answer(head(8), nonce=NONCE), "something else"),
    "of anything": (lambda: TSA.answer(NOTE, nonce=NONCE, imprint=b"x" * 32), "something else"),
    "another nonce": (lambda: TSA.answer(NOTE, nonce=NONCE + 1), "nonce"),
    "no nonce": (lambda: TSA.answer(NOTE), "nonce"),
    "another authority": (lambda: OTHER.answer(NOTE, nonce=NONCE), "another certificate"),
    "another's key, our name": (
        lambda: OTHER.answer(NOTE, nonce=NONCE, named=TSA.certificate),
        "signature does not hold",
    ),
    "a signature of nothing": (
        lambda: TSA.answer(
            NOTE, nonce=NONCE, change={"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}
        ),
        "signature does not hold",
    ),
    "another time put in": (
        lambda: TSA.answer(
            NOTE,
            nonce=NONCE,
            change={"info": TSA._info(timestamps.imprint(NOTE), NONCE, SINCE)},
        ),
        "another TSTInfo",
    ),
}


@pytest.mark.parametrize("what", CHEATS)
def test_a_stamp_that_is_not_ours_is_refused_for_what_is_wrong(what):
    make, why = CHEATS[what]
    with pytest.raises(NotStamped, match=why):
        checked(make())


@pytest.mark.parametrize(
    "tsa",
    [
        Authority(usages=()),
        Authority(critical=False),
        Authority(usages=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        Authority(usages=(ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH)),
    ],
    ids=["no usage", "not critical", "another usage", "more than one"],
)
def test_a_certificate_that_is_not_for_time_stamping_alone_is_no_authoritys(tsa):
    with pytest.raises(NotStamped, match="time-stamping"):
        checked(tsa.answer(NOTE, nonce=NONCE), tsa=tsa)


def test_no_changed_byte_passes():
    response = TSA.answer(NOTE, nonce=NONCE)
    refused = 0
    for place in range(len(response)):
        bad = response[:place] + bytes([response[place] ^ 1]) + response[place + 1 :]
        try:
            stamp = checked(bad)
        except (WrongInput, NotStamped):
            refused += 1
        else:  # status 1, or a byte of what nobody signs: versions, names beside the token
            assert stamp == checked(response), place
    assert refused > len(response) * 3 // 4


@given(st.binary(max_size=200))
def test_whatever_the_bytes_the_answer_is_a_refusal(raw):
    with pytest.raises((WrongInput, NotStamped)):
        checked(raw)


@given(st.integers(0, 700), st.binary(min_size=1, max_size=4))
def test_whatever_is_overwritten_the_answer_is_never_another_error(place, other):
    response = TSA.answer(NOTE, nonce=NONCE)
    bad = response[:place] + other + response[place + len(other) :]
    with suppress(WrongInput, NotStamped):
        assert checked(bad) == checked(response)


# ---- DER


@given(st.integers(-(2**70), 2**70))
@example(-128)
@example(-32768)
def test_integers_read_as_they_were_written(number):
    assert der.integer(der.read(der.write_integer(number), place="$"), place="$") == number


@given(st.tuples(st.integers(0, 2), st.integers(0, 39)), st.lists(st.integers(0, 2**40)))
def test_object_identifiers_read_as_they_were_written(first, others):
    dotted = ".".join(map(str, (*first, *others)))
    assert der.oid(der.read(der.write_oid(dotted), place="$"), place="$") == dotted


@given(st.binary(max_size=70_000))
def test_lengths_read_as_they_were_written(raw):
    assert der.read(der.write(der.OCTETS, raw), place="$").content == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x04",
        b"\x04\x80\x00\x00",
        b"\x04\x81\x01x",
        b"\x04\x82\x00\x80" + b"x" * 128,
        b"\x04\x85\x00\x00\x00\x00\x01x",
        b"\x04\x02x",
        b"\x04\x01xy",
        b"\x1f\x01\x00",
    ],
)
def test_what_is_not_der_is_refused(raw):
    with pytest.raises(WrongInput):
        der.read(raw, place="$")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80"])
def test_an_integer_in_a_longer_form_is_refused(content):
    with pytest.raises(WrongInput):
        der.integer(der.read(der.write(der.INTEGER, content), place="$"), place="$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"20240301093000Z", datetime(2024, 3, 1, 9, 30, tzinfo=UTC)),
        (b"20240301093000.25Z", datetime(2024, 3, 1, 9, 30, 0, 250_000, tzinfo=UTC)),
        (b"20240301093000", None),
        (b"20240301093000+0800", None),
        (b"2024030109300Z", None),
        (b"20240230093000Z", None),
        (b"20240301093000.xZ", None),
    ],
)
def test_times_are_utc_to_the_second_or_finer(text, expected):
    value = der.read(der.write(der.TIME, text), place="$")
    if expected is None:
        with pytest.raises(WrongInput):
            der.time(value, place="$")
    else:
        assert der.time(value, place="$") == expected


# ---- another program's authority

CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = {digest}
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_request_is_answered_by_openssl_and_its_stamp_holds(tmp_path, kind, digest):
    tsa = Authority(kind)
    (tmp_path / "tsa.pem").write_bytes(tsa.pem)
    (tmp_path / "tsa.key").write_bytes(tsa.private_pem)
    (tmp_path / "serial").write_text("1000\n")
    (tmp_path / "tsa.cnf").write_text(CONFIG.format(folder=tmp_path, digest=digest))
    (tmp_path / "query").write_bytes(timestamps.request(NOTE, nonce=NONCE))
    done = subprocess.run(
        [
            *("openssl", "ts", "-reply", "-config", str(tmp_path / "tsa.cnf")),
            *("-queryfile", str(tmp_path / "query"), "-signer", str(tmp_path / "tsa.pem")),
            *("-inkey", str(tmp_path / "tsa.key"), "-out", str(tmp_path / "response")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    response = (tmp_path / "response").read_bytes()
    stamp = checked(response, tsa=tsa)
    assert abs(stamp.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert (stamp.nonce, stamp.policy) == (NONCE, "1.2.3.4.1")
    with pytest.raises(NotStamped, match="something else"):
        checked(response, note=head(8), tsa=tsa)
    with pytest.raises(NotStamped, match="another certificate"):
        checked(response, tsa=Authority(kind))
