"""Keys that are refused, signatures that fail, and which key speaks for whom when."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import signatures
from ledger.errors import WrongInput
from ledger.replay import Replay
from ledger.signatures import KeyInMemory, KeyRegistered, KeyRevoked
from tests.ledger.installation import Installation

HZBANK = KeyInMemory(bytes([1]) * 32)
CIB = KeyInMemory(bytes([2]) * 32)
BODY = {"spread_bp": -20, "amount_minor": 100_000_000_00, "lines": ["a", None, True]}
NOON = datetime(2025, 9, 26, 12, tzinfo=UTC)
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


# ---- keys


def test_an_honest_key_passes():
    for seed in range(20):
        assert signatures.flaw_of_key(KeyInMemory(bytes([seed]) * 32).public) is None


FLAWED_KEYS = {
    # name: (32 bytes, little-endian y and sign, what the refusal says)
    "identity": (1, "small order"),
    "order 2": (P - 1, "small order"),
    "order 4": (0, "small order"),
    "order 4, other sign": (0 | 1 << 255, "small order"),
    "identity with a sign": (1 | 1 << 255, "canonical"),
    "order 2 with a sign": (P - 1 | 1 << 255, "canonical"),
    "y = p": (P, "canonical"),
    "y = p + 1": (P + 1, "canonical"),
    "y = 2^255 - 1": (2**255 - 1, "canonical"),
    "no point": (2, "no point"),
}


@pytest.mark.parametrize("name", FLAWED_KEYS)
def test_a_flawed_key_is_refused_by_name(name):
    number, why = FLAWED_KEYS[name]
    with pytest.raises(WrongInput, match=why):
        signatures.check_public_key(number.to_bytes(32, "little"), place="$.public_key")


def test_the_listed_small_points_are_eight_and_each_is_of_small_order():
    assert len(signatures._SMALL_ORDER) == 8
    for point in signatures._SMALL_ORDER:
        assert signatures.flaw_of_key(point) == "a point of small order"


def test_a_key_with_a_small_order_part_is_refused():
    """An honest point plus the point of order 2: some verifiers would take its signatures."""
    honest = signatures._decode(HZBANK.public)
    mixed = signatures._add(honest, (0, P - 1, 1, 0))
    x, y, z, _ = mixed
    inverse = pow(z, -1, P)
    encoded = (y * inverse % P) | (x * inverse % P & 1) << 255
    assert signatures.flaw_of_key(encoded.to_bytes(32, "little")) == (
        "a point outside the prime-order subgroup"
    )


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length):
    with pytest.raises(WrongInput, match=f"{length} bytes"):
        signatures.check_public_key(bytes(length), place="$.public_key")


# ---- signatures


def test_a_signature_holds_for_its_key_and_message_only():
    signature = HZBANK.sign(b"words")
    assert signatures.verify(public=HZBANK.public, message=b"words", signature=signature)
    assert not signatures.verify(public=HZBANK.public, message=b"word", signature=signature)
    assert not signatures.verify(public=CIB.public, message=b"words", signature=signature)


@given(st.integers(0, 511))
def test_a_signature_with_one_bit_changed_fails(bit):
    signature = bytearray(HZBANK.sign(b"words"))
    signature[bit // 8] ^= 1 << bit % 8
    assert not signatures.verify(public=HZBANK.public, message=b"words", signature=bytes(signature))


def test_a_scalar_raised_by_the_group_order_fails():
    """The same equation holds; RFC 8032 5.1.7 asks for the one scalar below the order."""
    signature = HZBANK.sign(b"words")
    raised = int.from_bytes(signature[32:], "little") + ORDER
    longer = signature[:32] + raised.to_bytes(32, "little")
    assert not signatures.verify(public=HZBANK.public, message=b"words", signature=longer)


def test_a_seed_of_another_length_is_no_key():
    with pytest.raises(WrongInput):
        KeyInMemory(bytes(31))


# ---- statements


def test_a_statement_is_over_its_kind_and_the_canonical_body():
    assert signatures.statement_bytes("vote", {"b": 1, "a": "贷"}) == (
        b"liandai/v1/vote\n" + '{"a":"贷","b":1}'.encode()
    )


def test_a_signed_statement_verifies_with_its_key():
    statement = signatures.sign_statement(kind="vote", body=BODY, by="hzbank", signer=HZBANK)
    assert signatures.verify_statement(statement, public=HZBANK.public)
    assert not signatures.verify_statement(statement, public=CIB.public)


CHANGES = {
    "another kind": {"kind": "term-sheet"},
    "another body": {"body": {**BODY, "spread_bp": -21}},
    "another key id": {"key": signatures.key_id(CIB.public)},
    "a malformed kind": {"kind": "vote\nx"},
    "a float in the body": {"body": {**BODY, "spread_bp": -20.0}},
    "a number beyond 2^53": {"body": {**BODY, "spread_bp": 2**53}},
    "no base64": {"signature": "nonsense!"},
    "a short signature": {"signature": base64.b64encode(bytes(63)).decode()},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_statement_fails(change):
    statement = signatures.sign_statement(kind="vote", body=BODY, by="hzbank", signer=HZBANK)
    changed = statement.__class__(**{**fields(statement), **CHANGES[change]})
    assert not signatures.verify_statement(changed, public=HZBANK.public)


def fields(statement):
    return {name: getattr(statement, name) for name in statement.__struct_fields__}


@pytest.mark.parametrize("value", [1.5, {"x": [0.0]}, [1, [2.5]]])
def test_a_float_is_never_signed(value):
    with pytest.raises(WrongInput, match="floating-point"):
        signatures.statement_bytes("vote", {"value": value})


@pytest.mark.parametrize("kind", ["", "Vote", "vote sheet", "vote\n", "1vote", "v/2"])
def test_a_kind_is_one_lower_case_word(kind):
    with pytest.raises(WrongInput):
        signatures.statement_bytes(kind, {})


# ---- key history


def registered(signer=HZBANK, institution="hzbank"):
    return KeyRegistered(
        institution=institution,
        key=signatures.key_id(signer.public),
        public_key=signatures.encode_base64(signer.public),
    )


def revoked(signer=HZBANK, institution="hzbank"):
    return KeyRevoked(institution=institution, key=signatures.key_id(signer.public))


def evolved(keys, fact, *, at):
    return {**keys, fact.key: signatures.evolve_key(keys, fact, at=at)}


@pytest.mark.parametrize(
    ("moment", "is_live"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (timedelta(days=1, microseconds=-1), True),
        (timedelta(days=1), False),
    ],
    ids=["just before it is registered", "when it is", "just before it is revoked", "when it is"],
)
def test_a_key_speaks_from_registration_up_to_revocation(moment, is_live):
    keys = evolved({}, registered(), at=NOON)
    keys = evolved(keys, revoked(), at=NOON + timedelta(days=1))
    statement = signatures.sign_statement(kind="vote", body=BODY, by="hzbank", signer=HZBANK)
    if is_live:
        signatures.check_statement(statement, keys=keys, at=NOON + moment)
    else:
        with pytest.raises(WrongInput, match="live"):
            signatures.check_statement(statement, keys=keys, at=NOON + moment)


def test_a_key_speaks_for_its_own_institution_only():
    keys = evolved({}, registered(), at=NOON)
    statement = signatures.sign_statement(kind="vote", body=BODY, by="cib", signer=HZBANK)
    with pytest.raises(WrongInput, match="registered key of cib"):
        signatures.check_statement(statement, keys=keys, at=NOON)


def test_a_bad_signature_of_a_live_key_is_refused():
    keys = evolved({}, registered(), at=NOON)
    statement = signatures.sign_statement(kind="vote", body=BODY, by="hzbank", signer=HZBANK)
    changed = statement.__class__(**{**fields(statement), "body": {}})
    with pytest.raises(WrongInput, match="signature"):
        signatures.check_statement(changed, keys=keys, at=NOON)


SMALL = base64.b64encode(bytes([1]) + bytes(31)).decode()
IMPOSSIBLE = {
    "registered twice": ([registered()], registered()),
    "registered again after revocation": ([registered(), revoked()], registered()),
    "registered for another bank too": ([registered()], registered(institution="cib")),
    "revoked before it was registered": ([], revoked()),
    "revoked twice": ([registered(), revoked()], revoked()),
    "revoked by another institution": ([registered()], revoked(institution="cib")),
    "under another id": (
        [],
        KeyRegistered(
            institution="hzbank",
            key=signatures.key_id(CIB.public),
            public_key=signatures.encode_base64(HZBANK.public),
        ),
    ),
    "a key of small order": (
        [],
        KeyRegistered(institution="hzbank", key="0" * 16, public_key=SMALL),
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_key_event_is_refused(case):
    before, event = IMPOSSIBLE[case]
    keys = {}
    for fact in before:
        keys = evolved(keys, fact, at=NOON)
    with pytest.raises(WrongInput):
        signatures.evolve_key(keys, event, at=NOON)


class Counted(dict):
    """Keys that count how often one of them, and how often all of them, are looked at."""

    looks = walks = 0

    def get(self, *asked):
        self.looks += 1
        return super().get(*asked)

    def __getitem__(self, key):
        self.looks += 1
        return super().__getitem__(key)

    def __iter__(self):
        self.walks += 1
        return super().__iter__()

    def keys(self):
        self.walks += 1
        return super().keys()


def test_a_key_event_looks_at_its_own_key_whatever_stands_beside_it():
    other = evolved({}, registered(), at=NOON)[registered().key]
    keys = Counted({f"{number:016x}": other for number in range(1_000)})
    keys[registered().key] = signatures.evolve_key(keys, registered(), at=NOON)
    keys[registered().key] = signatures.evolve_key(keys, revoked(), at=NOON)
    assert (keys.looks, keys.walks) == (2, 0)


def test_a_registry_is_replayed_into_one_map_and_no_other_book_copies_it():
    of = Installation()
    for number in range(20):
        of.register(f"bank-{number}")
        of.revoke(f"bank-{number}")
    replay = Replay("registry", salt=bytes(32), keys={})
    kept = replay.keys
    for raw in of.books["registry"]:
        replay.take(raw)
        assert replay.keys is kept
    assert len(kept) == 20
    assert all(key.until is not None for key in kept.values())
    assert Replay("fac-1", salt=bytes(32), keys=kept).keys is kept


# ---- base64


@given(st.binary(max_size=100))
def test_base64_reads_back_what_it_wrote(raw):
    text = signatures.encode_base64(raw)
    assert signatures.decode_base64(text, size=len(raw), place="$") == raw


@pytest.mark.parametrize(
    "text",
    ["YQ", "YR==", "YWJ=", "Y Q==", "YQ==\n", "_-8=", "YQ===", "é", "YQ==YQ=="],
    ids=[
        "no padding",
        "unused bits set",
        "unused bits set, one pad",
        "a blank",
        "a newline",
        "the URL alphabet",
        "too much padding",
        "not ASCII",
        "two in one",
    ],
)
def test_base64_has_one_spelling(text):
    with pytest.raises(WrongInput):
        signatures.decode_base64(text, size=None, place="$")
