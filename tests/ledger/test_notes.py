"""Signed notes, checkpoints and cosignatures, and when a head counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle, notes
from ledger.errors import WrongInput
from ledger.notes import Checkpoint, NotSigned, Policy, VerifierKey
from ledger.signatures import KeyInMemory

INSTALLATION = "liandai.demo"
ORIGIN = notes.origin(installation=INSTALLATION, book="top")
LOG = KeyInMemory(bytes([7]) * 32)
BANKS = {
    name: KeyInMemory(bytes([number]) * 32) for number, name in enumerate(["hzbank", "cib", "cz"])
}
LOG_KEY = VerifierKey(INSTALLATION, notes.ED25519, LOG.public)
WITNESSES = tuple(
    VerifierKey(name, notes.COSIGNATURE_V1, bank.public) for name, bank in BANKS.items()
)
POLICY = Policy(log=LOG_KEY, witnesses=WITNESSES, threshold=2)
HEAD = Checkpoint(origin=ORIGIN, size=15, root=merkle.leaf_hash(b"x"))
TIME = 1_766_000_000


def signed(checkpoint=HEAD, cosigners=(), time=TIME):
    note = notes.sign_checkpoint(checkpoint, name=INSTALLATION, signer=LOG)
    lines = [notes.cosign(note, name=name, signer=BANKS[name], time=time) for name in cosigners]
    return notes.with_signatures(note, lines)


def opened(note, witnesses=WITNESSES, origin=ORIGIN, log=LOG_KEY):
    return notes.open_checkpoint(note, origin=origin, log=log, witnesses=witnesses)


# ---- notes


def test_a_checkpoint_reads_as_three_lines_and_a_signature():
    text, line = signed().decode().split("\n\n")
    assert text == f"liandai.demo/top\n15\n{text.splitlines()[2]}"
    assert line.startswith("— liandai.demo ")


def test_the_log_key_opens_what_it_signed():
    assert opened(signed()).checkpoint == HEAD


def test_lines_of_unknown_keys_are_passed_over():
    note = signed(cosigners=["hzbank", "cib"])
    assert [by.key.name for by in opened(note, witnesses=WITNESSES[:1]).cosignatures] == ["hzbank"]


def test_a_cosignature_carries_its_time():
    found = opened(signed(cosigners=["hzbank"]))
    assert [(by.key, by.time) for by in found.cosignatures] == [(WITNESSES[0], TIME)]


def test_a_cosignature_alone_does_not_make_a_head():
    note = signed(cosigners=["hzbank"]).decode()
    text, lines = note.split("\n\n")
    only = f"{text}\n\n{lines.splitlines()[1]}\n".encode()
    with pytest.raises(NotSigned, match=r"liandai\.demo has not signed"):
        opened(only)


def test_a_cosignature_moved_to_another_head_fails():
    other = Checkpoint(origin=ORIGIN, size=16, root=merkle.leaf_hash(b"y"))
    line = notes.cosign(signed(), name="hzbank", signer=BANKS["hzbank"], time=TIME)
    with pytest.raises(NotSigned, match="hzbank does not hold"):
        opened(notes.with_signatures(signed(other), [line]))


def test_a_cosignature_with_another_time_fails():
    note = signed()
    line = notes.cosign(note, name="hzbank", signer=BANKS["hzbank"], time=TIME)
    head, name, encoded = line.decode().split(" ")
    raw = bytearray(notes.decode_base64(encoded.strip(), size=None, place="$"))
    raw[11] ^= 1
    forged = f"{head} {name} {notes.encode_base64(bytes(raw))}\n".encode()
    with pytest.raises(NotSigned):
        opened(notes.with_signatures(note, [forged]))


def test_a_plain_signature_is_no_cosignature():
    """The same key and name under the plain signature type has another key id."""
    plain = notes.sign_note(HEAD.text, name="hzbank", signer=BANKS["hzbank"])
    line = plain.decode().split("\n\n")[1].encode()
    assert opened(notes.with_signatures(signed(), [line])).cosignatures == ()


def test_a_second_line_of_a_known_key_is_checked_too():
    good = signed().decode()
    bad = signed(Checkpoint(origin=ORIGIN, size=1, root=bytes(32))).decode().split("\n\n")[1]
    with pytest.raises(NotSigned):
        notes.open_note((good + bad).encode(), [LOG_KEY])


@given(st.data())
def test_a_checkpoint_with_one_bit_changed_never_opens_as_another(data):
    """Either refused, or the changed line is a witness's that no longer counts."""
    note = bytearray(signed(cosigners=["hzbank", "cib"]))
    place = data.draw(st.integers(0, len(note) - 1))
    note[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = opened(bytes(note))
    except (WrongInput, NotSigned):
        return
    assert found.checkpoint == HEAD
    assert len(found.cosignatures) < 2


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_refused(raw):
    try:
        note = notes.read_note(raw)
    except WrongInput:
        return
    assert note.lines


def test_bits_unused_by_base64_may_not_be_set():
    """68 bytes leave two unused bits; a lenient reader would take all four spellings."""
    note = signed().decode()
    assert note.endswith("=\n")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = digits.index(note[-3])
    for unused in (1, 2, 3):
        respelled = note[:-3] + digits[last + unused] + note[-2:]
        with pytest.raises(WrongInput, match="canonical base64"):
            opened(respelled.encode())


MALFORMED = {
    "no signature": b"a\nb\n\n",
    "no empty line": "a\n— x AAAAAAA=\n".encode(),
    "no last newline": "a\n\n— x AAAAAAA=".encode(),
    "a tab": "a\tb\n\n— x AAAAAAA=\n".encode(),
    "a hyphen for the dash": b"a\n\n- x AAAAAAA=\n",
    "a plus in the name": "a\n\n— x+y AAAAAAA=\n".encode(),
    "two blanks": "a\n\n—  x AAAAAAA=\n".encode(),
    "a key id and nothing": "a\n\n— x AAAAAA==\n".encode(),
    "101 lines": ("a\n\n" + "— x AAAAAAA=\n" * 101).encode(),
    "not UTF-8": b"\xff\n\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_note_is_refused(case):
    with pytest.raises(WrongInput):
        notes.read_note(MALFORMED[case])


def test_lines_given_to_add_are_signature_lines_only():
    with pytest.raises(WrongInput):
        notes.with_signatures(signed(), [b"\n\xe2\x80\x94 x AAAAAAA=\n"])


# ---- checkpoints


ROOT = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
BAD_TEXTS = {
    "two lines": "o\n1\n",
    "no last newline": f"o\n1\n{ROOT}",
    "empty origin": f"\n1\n{ROOT}\n",
    "empty extension": f"o\n1\n{ROOT}\n\n",
    "leading zero": f"o\n01\n{ROOT}\n",
    "negative": f"o\n-1\n{ROOT}\n",
    "plus": f"o\n+1\n{ROOT}\n",
    "full-width digit": f"o\n１\n{ROOT}\n",
    "too large": f"o\n9223372036854775808\n{ROOT}\n",
    "short root": "o\n1\nYWFh\n",
    "respelled root": f"o\n1\n{ROOT[:-2]}F=\n",
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_malformed_checkpoint_is_refused(case):
    with pytest.raises(WrongInput):
        notes.read_checkpoint_text(BAD_TEXTS[case])


@given(st.integers(0, notes.MAX_SIZE), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back_from_its_text(size, root):
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root, extensions=("one", "two"))
    assert notes.read_checkpoint_text(checkpoint.text) == checkpoint


def test_a_head_of_one_book_is_not_anothers():
    with pytest.raises(WrongInput, match=r"liandai\.demo/fac-1"):
        opened(signed(), origin=notes.origin(installation=INSTALLATION, book="fac-1"))


def test_an_origin_with_a_newline_is_never_signed():
    with pytest.raises(WrongInput):
        signed(Checkpoint(origin="a\n1", size=1, root=bytes(32)))


@pytest.mark.parametrize("time", [-1, 2**63])
def test_a_time_outside_posix_seconds_is_not_cosigned(time):
    with pytest.raises(WrongInput):
        signed(cosigners=["hzbank"], time=time)


# ---- keys and policy


def test_a_verifier_key_reads_back_from_its_string():
    for key in (LOG_KEY, *WITNESSES):
        assert notes.read_verifier_key(str(key), place="$") == key


def test_a_verifier_key_of_small_order_is_refused():
    with pytest.raises(WrongInput, match="small order"):
        notes.read_verifier_key(str(VerifierKey("x", 1, bytes([1]) + bytes(31))), place="$.log")


@pytest.mark.parametrize(
    ("cosigners", "counts"),
    [([], False), (["cib"], False), (["hzbank", "cz"], True), (["hzbank", "cib", "cz"], True)],
)
def test_a_head_counts_from_the_threshold_on(cosigners, counts):
    assert POLICY.counts(opened(signed(cosigners=cosigners))) is counts


def test_one_witness_that_signs_twice_counts_once():
    note = signed()
    lines = [notes.cosign(note, name="cib", signer=BANKS["cib"], time=TIME + n) for n in (0, 1)]
    assert not POLICY.counts(opened(notes.with_signatures(note, lines)))


def test_only_the_policys_own_witnesses_count():
    head = opened(signed(cosigners=["hzbank", "cib", "cz"]))
    other = Policy(log=LOG_KEY, witnesses=WITNESSES[:1], threshold=2)
    assert not other.counts(head)


def test_a_policy_reads_back_from_its_document():
    assert notes.read_policy(notes.write_policy(POLICY)) == POLICY


def policy_document(**changes):
    document = {
        "log": str(LOG_KEY),
        "witnesses": [str(key) for key in WITNESSES],
        "threshold": 2,
    }
    return {**document, **changes}


BAD_POLICIES = {
    "unknown field": (policy_document(quorum=1), "quorum"),
    "a witness key as log": (policy_document(log=str(WITNESSES[0])), r"\$\.log"),
    "a log key as witness": (policy_document(witnesses=[str(LOG_KEY)]), r"\$\.witnesses\[0\]"),
    "the log's own key as witness": (
        policy_document(
            witnesses=[str(VerifierKey("x", notes.COSIGNATURE_V1, LOG.public))], threshold=1
        ),
        r"\$\.witnesses\[0\]",
    ),
    "one key under two names": (
        policy_document(
            witnesses=[
                str(WITNESSES[0]),
                str(VerifierKey("other", notes.COSIGNATURE_V1, WITNESSES[0].public)),
            ]
        ),
        r"\$\.witnesses\[1\]",
    ),
    "the same witness twice": (
        policy_document(witnesses=[str(WITNESSES[0])] * 2),
        r"\$\.witnesses\[1\]",
    ),
    "threshold 0 with witnesses": (policy_document(threshold=0), r"\$\.threshold"),
    "threshold above the witnesses": (policy_document(threshold=4), r"\$\.threshold"),
    "threshold as text": (policy_document(threshold="2"), r"\$\.threshold"),
    "a damaged key": (policy_document(log=str(LOG_KEY)[:-4]), r"\$\.log"),
}


@pytest.mark.parametrize("case", BAD_POLICIES)
def test_a_policy_that_cannot_be_meant_is_refused_by_place(case):
    document, place = BAD_POLICIES[case]
    with pytest.raises(WrongInput, match=place):
        notes.read_policy(json.dumps(document).encode())


def test_a_policy_without_witnesses_has_threshold_0():
    alone = policy_document(witnesses=[], threshold=0)
    assert notes.read_policy(json.dumps(alone).encode()).counts(opened(signed()))
