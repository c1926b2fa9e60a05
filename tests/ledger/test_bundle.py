"""An audit bundle that is true is accepted; one that is wrong anywhere is not, and says where."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import bundle, leaves, merkle, notes, signatures
from ledger.documents import canonical
from ledger.errors import LiandaiError, WrongInput
from ledger.replay import read_leaf
from ledger.verify import BundleUnreadable, verify
from tests.ledger.installation import (
    DAYS,
    balances,
    edited,
    hashes,
    key,
    resigned,
    told,
)

HONEST = told()
FILES = HONEST.bundle()
POLICY = HONEST.policy
SMALL = 700
"""Files up to this size and the manifest are flipped at every offset, larger ones at every 13th."""


# ---- the true bundle


def test_a_true_bundle_is_accepted_under_the_policy():
    verdict = verify(FILES, POLICY)
    assert verdict.verified
    assert (verdict.trust, verdict.first_wrong) == ("policy", None)


def test_without_a_policy_the_verdict_says_that_the_bundle_vouches_for_itself():
    document = verify(FILES, None).document()
    assert (document["verified"], document["trust"]) == (True, "self")
    assert any("no policy" in line for line in document["not_proved"])


def test_the_verdict_is_json_with_each_book_and_what_was_checked():
    document = verify(FILES, POLICY).document()
    assert json.loads(json.dumps(document)) == document
    assert document["books"]["fac-1"] == {
        "leaves": 10,
        "entries": 16,
        "accounts": 8,
        "root": merkle.root(hashes(HONEST.books["fac-1"])).hex(),
        "trial_balance": {"CNY": "0.00"},
        "sealed_through": DAYS[1].isoformat(),
    }
    for line in (
        "checkpoints signed by the log key: 7",
        "cosignatures that hold: 6",
        "roots re-derived: 12",
        "balances re-derived from entries: 12",
        "leaves canonical and in their place: 21",
        "transactions whole, debts mirrored: 5",
        "signed statements: 3",
        "day seals re-derived: 2",
        "corrections that name an earlier leaf: 1",
        "keys registered or revoked: 4",
    ):
        assert line in document["checked"]


def test_what_should_be_there_and_is_not_is_listed():
    missing = verify(FILES, POLICY).expected_but_missing
    assert missing == [
        "a day seal over the last leaves of fac-1: its day is still open",
        "a day seal of fac-2",
    ]


def test_a_witness_that_has_not_cosigned_is_listed_while_enough_others_have():
    verdict = verify(told(cosigners=["hzbank", "cib"]).bundle(), POLICY)
    assert verdict.verified
    assert any("czbank" in line for line in verdict.expected_but_missing)


def test_a_book_named_in_the_top_log_and_left_out_is_not_vouched_for():
    part = msgspec.structs.replace(
        HONEST.contents(),
        books=[book for book in HONEST.contents().books if book.book != "fac-2"],
    )
    verdict = verify(bundle.write(part, signer=HONEST.signer), POLICY)
    assert verdict.verified
    assert any("fac-2" in line for line in verdict.not_proved)


def test_an_installation_without_witnesses_is_said_to_stand_alone():
    alone = told(cosigners=[])
    lonely = notes.Policy(log=POLICY.log, witnesses=(), threshold=0)
    verdict = verify(alone.bundle(), lonely)
    assert verdict.verified
    assert any("no witness" in line for line in verdict.not_proved)


# ---- bytes and files changed by someone without the log key


def judged(files, policy=POLICY):
    """The verdict under the policy and under self trust: both must be no, at the same leaf."""
    strict, self_trusting = verify(files, policy), verify(files, None)
    assert not strict.verified
    assert strict.first_wrong is not None
    self_said = self_trusting.first_wrong
    assert (self_said.book, self_said.index) == (strict.first_wrong.book, strict.first_wrong.index)
    return strict.first_wrong


def flipped(content, offset):
    return content[:offset] + bytes([content[offset] ^ 1 << offset % 8]) + content[offset + 1 :]


@pytest.mark.parametrize("path", sorted(path for path in FILES if FILES[path]))
def test_one_changed_bit_anywhere_is_found(path):
    content = FILES[path]
    offsets = range(0, len(content), 1 if len(content) <= SMALL or path == "manifest.note" else 13)
    for offset in offsets:
        changed = {**FILES, path: flipped(content, offset)}
        assert not verify(changed, POLICY).verified, offset
        assert not verify(changed, None).verified, offset


def test_one_changed_bit_in_a_leaf_is_found_at_its_index():
    path, content = "books/fac-1/leaves.jsonl", FILES["books/fac-1/leaves.jsonl"]
    for offset in range(0, len(content), 13):
        wrong = judged({**FILES, path: flipped(content, offset)})
        assert (wrong.book, wrong.index) == ("fac-1", content[:offset].count(b"\n"))


def test_one_changed_bit_in_a_leaf_hash_is_found_at_its_index():
    path = "books/fac-1/leaf-hashes.bin"
    for offset in range(0, len(FILES[path]), 5):
        wrong = judged({**FILES, path: flipped(FILES[path], offset)})
        assert (wrong.book, wrong.index) == ("fac-1", offset // 32)


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_removed_file_is_named(path):
    wrong = judged({other: content for other, content in FILES.items() if other != path})
    assert wrong.file == path


@pytest.mark.parametrize("path", sorted(FILES))
@pytest.mark.parametrize("tail", [b"\n", b"\x00", b" "], ids=["newline", "NUL", "blank"])
def test_an_appended_byte_is_found(path, tail):
    assert judged({**FILES, path: FILES[path] + tail}).file == path


@pytest.mark.parametrize("path", sorted(path for path in FILES if FILES[path]))
def test_a_missing_last_byte_is_found(path):
    assert judged({**FILES, path: FILES[path][:-1]}).file == path


@pytest.mark.parametrize(
    "path", ["README", "books/fac-1/leaves.jsonl~", "books/fac-3/leaves.jsonl", "empty/", "x/y"]
)
def test_an_added_file_or_folder_is_named(path):
    assert judged({**FILES, path: b""}).file == path


def test_a_renamed_book_is_found():
    renamed = {path.replace("fac-2", "fac-3"): content for path, content in FILES.items()}
    assert judged(renamed).file == "books/fac-2/balances.jsonl"


def test_two_files_exchanged_are_found():
    one, other = "books/fac-1/salt.hex", "books/fac-2/salt.hex"
    assert judged({**FILES, one: FILES[other], other: FILES[one]}).file == one


def test_a_second_signature_line_under_the_manifest_is_found():
    line = FILES["manifest.note"].rpartition(b"\n\n")[2]
    changed = {**FILES, "manifest.note": FILES["manifest.note"] + line}
    assert judged(changed).file == "manifest.note"


@pytest.mark.parametrize("files", [{}, {"readme.txt": b"x"}], ids=["no file", "other files"])
def test_files_that_are_no_bundle_are_refused(files):
    with pytest.raises(BundleUnreadable):
        verify(files, None)


# ---- an operator who holds the log key and re-signs what he changes


def test_a_bundle_signed_anew_by_other_keys_fails_under_the_policy_only():
    forged = told(world="forged").bundle()
    assert verify(forged, None).verified
    verdict = verify(forged, POLICY)
    assert not verdict.verified
    assert verdict.first_wrong.file == "manifest.note"


def rewritten(**settings):
    """A history whose first draw is smaller, everything after it hashed and signed again."""

    def smaller(book, index, raw):
        if (book, index) != ("fac-1", 1):
            return raw
        changed = json.loads(raw)["entries"]
        for line in changed:
            line["amount_minor"] //= 5
        return edited(raw, entries=changed)

    return told(alter=smaller, **settings)


def test_a_rewritten_prefix_is_consistent_with_itself():
    assert verify(rewritten(cosigners=[]).bundle(), None).verified


def test_a_rewritten_prefix_that_no_witness_cosigns_fails_under_the_policy():
    wrong = verify(rewritten(cosigners=[]).bundle(), POLICY).first_wrong
    assert (wrong.book, wrong.index) == ("top", 0)
    assert "0 of the 2 cosignatures" in wrong.why


def test_a_rewritten_prefix_that_one_of_two_needed_witnesses_cosigns_fails():
    wrong = verify(rewritten(cosigners=["cib"]).bundle(), POLICY).first_wrong
    assert "1 of the 2 cosignatures" in wrong.why


def test_a_head_that_counted_once_does_not_cover_leaves_added_since():
    of = told()
    of.cosigners = ["hzbank"]
    of.append("fac-2", "late", {"type": "Noted"})
    of.publish()
    wrong = verify(of.bundle(), POLICY).first_wrong
    assert (wrong.book, wrong.index) == ("top", 5)


def test_cosignatures_moved_onto_a_rewritten_top_head_fail():
    forged = rewritten(cosigners=[])
    lines = HONEST.checkpoints["top"][-1].split(b"\n\n")[1].splitlines(keepends=True)[1:]
    last = forged.checkpoints["top"][-1]
    forged.checkpoints["top"][-1] = notes.with_signatures(last, lines)
    wrong = verify(forged.bundle(), POLICY).first_wrong
    assert wrong.file == "books/top/checkpoints.jsonl"
    assert "does not hold" in wrong.why


def test_old_checkpoints_kept_beside_a_rewritten_prefix_point_at_it():
    """The operator cannot take back a head he once signed: here the first day's is still there."""
    forged = rewritten()
    forged.checkpoints["fac-1"][0] = HONEST.checkpoints["fac-1"][0]
    wrong = judged(forged.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 0)
    assert "first 4 leaves" in wrong.why


def test_a_prefix_rewritten_after_the_last_kept_head_is_found_behind_that_head():
    def change(book, index, raw):
        return edited(raw, subject={"type": "Voted"}) if (book, index) == ("fac-1", 6) else raw

    forged = told(alter=change)
    forged.checkpoints["fac-1"][1] = HONEST.checkpoints["fac-1"][1]
    wrong = judged(forged.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 4)


def test_a_book_shown_otherwise_than_the_top_log_says_is_found():
    forged = told()
    changed = rewritten()
    for part in ("books", "checkpoints"):
        getattr(forged, part)["fac-1"] = getattr(changed, part)["fac-1"]
    wrong = judged(forged.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 0)
    assert "top log" in wrong.why


def test_leaves_after_the_last_checkpoint_are_not_accepted():
    of = told()
    of.append("fac-1", "late", {"type": "Noted"})
    wrong = judged(of.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 10)


def test_leaves_of_the_top_log_after_its_last_checkpoint_are_not_accepted():
    of = told()
    last = json.loads(of.books["top"][-1])
    of.append("top", "again", last["subject"], kind="head")
    wrong = judged(of.bundle())
    assert (wrong.book, wrong.index) == ("top", 5)


def test_a_checkpointed_book_without_its_head_in_the_top_log_is_not_accepted():
    of = told()
    of.append("fac-1", "late", {"type": "Noted"})
    of.sign("fac-1")
    wrong = judged(of.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 10)
    assert "covers 10 of 11" in wrong.why


def test_a_book_cut_short_is_found_where_it_ends():
    of = told()
    of.books["fac-1"] = of.books["fac-1"][:7]
    wrong = judged(of.bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 7)


# ---- what the database says and the leaves do not


def replaced(book, **changes):
    contents = HONEST.contents()
    books = [
        msgspec.structs.replace(one, **changes) if one.book == book else one
        for one in contents.books
    ]
    return bundle.write(msgspec.structs.replace(contents, books=books), signer=HONEST.signer)


def test_a_stored_balance_that_is_not_the_sum_of_the_entries_is_found():
    stood = balances(HONEST.books["fac-1"])
    account = sorted(stood)[3]
    wrong = judged(replaced("fac-1", balances={**stood, account: stood[account] + 1}))
    assert (wrong.file, wrong.index) == ("books/fac-1/balances.jsonl", 3)


def test_a_stored_balance_left_out_is_found():
    stood = balances(HONEST.books["fac-1"])
    del stood[max(stood)]
    assert judged(replaced("fac-1", balances=stood)).index == 7


def test_a_stored_leaf_that_does_not_hash_to_its_stored_hash_is_found():
    log = list(HONEST.books["fac-1"])
    log[6] = edited(log[6], subject={"type": "Voted"})
    wrong = judged(replaced("fac-1", leaves=log))
    assert (wrong.book, wrong.index) == ("fac-1", 6)


def test_a_missing_leaf_hash_is_found():
    assert judged(replaced("fac-1", leaf_hashes=hashes(HONEST.books["fac-1"])[:-1])).index == 9


def test_another_salt_opens_no_seal():
    wrong = judged(replaced("fac-1", salt=bytes(32)))
    assert (wrong.book, wrong.index) == ("fac-1", 3)
    assert "balances_root" in wrong.why


def test_checkpoints_out_of_order_are_found():
    turned = list(reversed(HONEST.checkpoints["fac-1"]))
    assert judged(replaced("fac-1", checkpoints=turned)).index == 1


def test_a_checkpoint_of_another_book_is_found():
    wrong = judged(replaced("fac-2", checkpoints=HONEST.checkpoints["fac-1"]))
    assert "origin" in wrong.why


@pytest.mark.parametrize("path", ["leaves.jsonl", "leaf-hashes.bin", "balances.jsonl"])
def test_one_changed_bit_is_found_even_when_the_log_key_signs_the_manifest_again(path):
    path = f"books/fac-1/{path}"
    content = FILES[path]
    for offset in range(0, len(content), 29):
        changed = resigned({**FILES, path: flipped(content, offset)}, HONEST.signer)
        assert not verify(changed, POLICY).verified, offset


def test_the_bundles_own_policy_must_name_the_log_key_that_signed_it():
    other = notes.write_policy(told(world="forged").policy)
    changed = resigned({**FILES, "policy.json": other}, HONEST.signer)
    assert judged(changed).file in ("policy.json", "manifest.note")


# ---- leaves that are wrong in one way, everything after them hashed and signed by the right keys


def lines(raw, **changes):
    entries = json.loads(raw)["entries"]
    entries[0] = {**entries[0], **changes}
    return edited(raw, entries=entries)


def subject(raw, **changes):
    return edited(raw, subject={**json.loads(raw)["subject"], **changes})


def statement(raw, **changes):
    return subject(raw, signed={**json.loads(raw)["subject"]["signed"], **changes})


def by_other_key(raw):
    """The term sheet signed by hzbank's key of another world, under hzbank's name."""
    other = key("hzbank officer", world="forged")
    body = json.loads(raw)["subject"]["signed"]["body"]
    made = signatures.sign_statement(kind="term-sheet", body=body, by="hzbank", signer=other)
    return subject(raw, signed=msgspec.to_builtins(made))


def revoked_vote(raw):
    made = told().signed("vote", {"yes": True}, by="czbank")
    return subject(raw, type="Voted", signatures=[made])


NO_KEY = signatures.encode_base64(bytes([1]) + bytes(31))
ZERO = "0" * 64
CHEATS = {
    # what: (book, index, the leaf's bytes -> other bytes, what the verdict says)
    "a transaction that does not close": ("fac-1", 1, lambda r: lines(r, amount_minor=501), "sum"),
    "a debt not mirrored": (
        "fac-1",
        1,
        lambda r: lines(r, ref="draw-9"),
        "mirrored",
    ),
    "an entry of zero": ("fac-1", 1, lambda r: lines(r, amount_minor=0), "other than 0"),
    "an unknown currency": ("fac-1", 1, lambda r: lines(r, currency="XXX"), "currency"),
    "a fraction of a fen": ("fac-1", 1, lambda r: r.replace(b":500,", b":500.5,"), "int"),
    "a transaction without entries": ("fac-1", 1, lambda r: edited(r, entries=[]), "entries"),
    "entries on a refusal": ("fac-1", 1, lambda r: edited(r, kind="refusal"), "entries"),
    "another book's leaf": ("fac-1", 2, lambda r: edited(r, book="fac-2"), "the book fac-1"),
    "an id used before": ("fac-1", 4, lambda r: edited(r, id="draw-1"), "stands once"),
    "a correction of nothing": ("fac-1", 5, lambda r: edited(r, corrects="draw-9"), "corrects"),
    "a correction of itself": ("fac-1", 5, lambda r: edited(r, corrects="fix-2"), "corrects"),
    "a correction of what comes later": (
        "fac-1",
        4,
        lambda r: edited(r, corrects="fix-2"),
        "corrects",
    ),
    "a booking into a sealed day": (
        "fac-1",
        4,
        lambda r: edited(r, booking_date="2025-09-26"),
        "sealed",
    ),
    "a booking before the day of the leaf before": (
        "fac-1",
        9,
        lambda r: edited(r, booking_date="2025-09-28"),
        "sealed",
    ),
    "a booking on an earlier open day": (
        "registry",
        1,
        lambda r: edited(r, booking_date="2025-09-25"),
        "2025-09-26",
    ),
    "an unknown kind": ("fac-1", 0, lambda r: edited(r, kind="gift"), "kind"),
    "another version": ("fac-1", 0, lambda r: edited(r, v=2), "version"),
    "a local time": (
        "fac-1",
        0,
        lambda r: edited(r, recorded_at="2025-09-26T09:00:03+08:00"),
        "UTC",
    ),
    "a time of nowhere": (
        "fac-1",
        0,
        lambda r: edited(r, recorded_at="2025-09-26T01:00:03"),
        "UTC",
    ),
    "an unknown field": ("fac-1", 0, lambda r: edited(r, extra=1), "extra"),
    "a blank": ("fac-1", 0, lambda r: r.replace(b",", b", ", 1), "canonical"),
    "keys in another order": (
        "fac-1",
        2,
        lambda r: json.dumps(dict(reversed(json.loads(r).items()))).encode(),
        "canonical",
    ),
    "a duplicate key": ("fac-1", 0, lambda r: r[:-1] + b',"v":1}', "canonical"),
    "an escaped letter": ("fac-1", 2, lambda r: r.replace(b"no-1", b"\\u006eo-1"), "canonical"),
    "a float in a subject": ("fac-1", 2, lambda r: r.replace(b'"conflict"', b"0.5"), "floats"),
    "a number beyond 2^53": (
        "fac-1",
        2,
        lambda r: r.replace(b'"conflict"', b"9007199254740993"),
        "2^53",
    ),
    "NUL in a text": ("fac-1", 2, lambda r: r.replace(b"conflict", b"\\u0000"), "NUL"),
    "no JSON": ("fac-1", 2, lambda r: r[:-1], "JSON"),
    "nothing": ("fac-1", 2, lambda r: b"", "JSON"),
    "not UTF-8": ("fac-1", 2, lambda r: r.replace(b"conflict", b"\xff\xfe"), "utf-8"),
    "nesting without end": (
        "fac-1",
        2,
        lambda r: r.replace(b'"conflict"', b"[" * 5_000 + b"]" * 5_000),
        "",
    ),
    "nesting too deep": (
        "fac-1",
        2,
        lambda r: r.replace(b'"conflict"', b"[" * 70 + b"]" * 70),
        "nesting",
    ),
    "a statement over other words": (
        "fac-1",
        0,
        lambda r: statement(r, body={"spread_bp": -30}),
        "signature",
    ),
    "a statement of another bank": ("fac-1", 0, lambda r: statement(r, by="cib"), "cib"),
    "a statement by an unknown key": ("fac-1", 0, by_other_key, "registered key of hzbank"),
    "a statement of another kind": ("fac-1", 0, lambda r: statement(r, kind="vote"), "signature"),
    "a statement by a revoked key": ("fac-1", 9, revoked_vote, "live"),
    "a statement that is none": ("fac-1", 0, lambda r: subject(r, signed=True), "signed"),
    "one bad vote among good ones": (
        "fac-1",
        6,
        lambda r: r.replace(b'"round":1', b'"round":2', 1),
        "signature",
    ),
    "a statement hidden deeper": (
        "fac-1",
        2,
        lambda r: subject(r, deep=[{"signed": {"kind": "x"}}]),
        "signed",
    ),
    "a seal over another root": ("fac-1", 3, lambda r: subject(r, root=ZERO), "root of the leaves"),
    "a seal over other balances": (
        "fac-1",
        3,
        lambda r: subject(r, balances_root=ZERO),
        "balances re-derived",
    ),
    "a seal of another size": ("fac-1", 3, lambda r: subject(r, size=2), "size 3"),
    "a seal that forgets the one before": (
        "fac-1",
        7,
        lambda r: subject(r, previous=None),
        "previous 3",
    ),
    "a seal of another day": ("fac-1", 3, lambda r: subject(r, day="2025-09-27"), "booking date"),
    "a seal of a sealed day": (
        "fac-1",
        7,
        lambda r: edited(subject(r, day="2025-09-26"), booking_date="2025-09-26"),
        "sealed",
    ),
    "a seal with a remark": ("fac-1", 3, lambda r: subject(r, remark="x"), "remark"),
    "a seal that is no seal": ("fac-1", 3, lambda r: subject(r, type="Noted"), "Noted"),
    "a key of small order": ("registry", 0, lambda r: subject(r, public_key=NO_KEY), "small"),
    "a key under another id": ("registry", 0, lambda r: subject(r, key="0" * 16), "id of"),
    "a key event nobody knows": ("registry", 0, lambda r: subject(r, type="KeyLent"), "KeyLent"),
    "a key of one bank revoked by another": (
        "registry",
        3,
        lambda r: subject(r, institution="cib"),
        "live key",
    ),
    "a key event outside the registry": ("fac-1", 2, lambda r: edited(r, kind="key"), "registry"),
    "a head outside the top log": ("fac-1", 2, lambda r: edited(r, kind="head"), "top log"),
    "a record in the top log": ("top", 0, lambda r: edited(r, kind="record"), "top log"),
    "a head of the top log in itself": ("top", 0, lambda r: subject(r, book="top"), "another book"),
    "a head smaller than the one before": ("top", 2, lambda r: subject(r, size=1), "smaller"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_leaf_that_cheats_is_named_by_book_and_index(cheat):
    book, index, change, says = CHEATS[cheat]

    def alter(at, position, raw):
        if (at, position) != (book, index):
            return raw
        changed = change(raw)
        assert changed != raw
        return changed

    of = told(alter=alter)
    wrong = judged(of.bundle(), of.policy)
    assert (wrong.book, wrong.index) == (book, index)
    assert says in wrong.why


def test_a_published_head_with_another_root_is_found_in_its_book():
    def alter(book, index, raw):
        return subject(raw, root=ZERO) if (book, index) == ("top", 0) else raw

    wrong = judged(told(alter=alter).bundle())
    assert (wrong.book, wrong.index) == ("fac-1", 0)
    assert "head at 0 of the top log" in wrong.why


def test_a_value_date_may_be_any_date():
    def alter(book, index, raw):
        changes = book == "fac-1" and index in (1, 4)
        return edited(raw, value_date="2019-01-01") if changes else raw

    of = told(alter=alter)
    assert verify(of.bundle(), of.policy).verified


# ---- whatever the bytes, a verdict


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_bytes_make_the_verifier_fail(data):
    """Files are damaged at random and signed again, so that the damage reaches the inner checks."""
    files = dict(FILES)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(FILES)))
        content = files.get(path, b"")
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        files[path] = content[:start] + data.draw(st.binary(max_size=30)) + content[end:]
    if data.draw(st.booleans()):
        files = resigned(files, HONEST.signer)
    for policy in (POLICY, None):
        verdict = verify(files, policy)
        assert verdict.verified == (verdict.first_wrong is None)
        json.dumps(verdict.document())


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab\n\x7f é𐀀\ue000", max_size=3), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text('abc\\"\x01/', max_size=4), values, max_size=4))
def test_the_fast_reader_takes_exactly_the_canonical_bytes(content):
    leaf = leaves.decode(edited(HONEST.books["fac-1"][2], subject={"type": "X", "c": content}))
    raw = leaves.encode(leaf)
    taken = read_leaf(raw)
    assert (taken.subject, taken.id) == (leaf.subject, leaf.leaf_id)


@given(st.data())
def test_the_fast_reader_takes_nothing_that_the_slow_one_refuses(data):
    raw = data.draw(st.sampled_from(HONEST.books["fac-1"]))
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 3)))
    part = data.draw(st.text(' ,:"\\{}[]0123456789abtrufnlsx-.eE\n贷', max_size=3))
    changed = raw[:start] + part.encode() + raw[end:]
    try:
        read_leaf(changed)
    except (LiandaiError, msgspec.MsgspecError, ValueError):
        return
    assert leaves.encode(leaves.decode(changed)) == changed


# ---- writing


def test_a_bundle_is_the_same_bytes_each_time():
    assert told().bundle() == FILES


def test_every_file_but_the_manifest_stands_in_the_manifest():
    manifest = bundle.read_manifest(notes.read_note(FILES["manifest.note"]).text)
    assert manifest.installation == "liandai.demo"
    assert {*manifest.files, "manifest.note"} == set(FILES)
    assert manifest.books == ["fac-1", "fac-2", "registry", "top"]


def test_only_the_log_signer_writes_a_bundle():
    with pytest.raises(WrongInput, match="signer"):
        bundle.write(HONEST.contents(), signer=key("hzbank"))


BAD_BOOKS = {
    "no top log": lambda books: [book for book in books if book.book != "top"],
    "no registry": lambda books: [book for book in books if book.book != "registry"],
    "a book twice": lambda books: [*books, books[-1]],
    "a path for a name": lambda books: [*books, msgspec.structs.replace(books[-1], book="../x")],
    "a short salt": lambda books: [
        msgspec.structs.replace(books[0], salt=bytes(31)),
        *books[1:],
    ],
}


@pytest.mark.parametrize("case", BAD_BOOKS)
def test_contents_that_make_no_bundle_are_refused(case):
    contents = HONEST.contents()
    bad = msgspec.structs.replace(contents, books=BAD_BOOKS[case](list(contents.books)))
    with pytest.raises(WrongInput):
        bundle.write(bad, signer=HONEST.signer)


HEADER = "liandai.bundle/v1\nliandai.demo\n"
GOOD = notes.read_note(FILES["manifest.note"]).text
FIRST = GOOD.splitlines(keepends=True)[2]
BAD_MANIFESTS = {
    "another header": GOOD.replace("/v1", "/v2"),
    "no installation": "liandai.bundle/v1\n",
    "no files": HEADER,
    "a line left out": GOOD.replace(FIRST, ""),
    "a line twice": GOOD.replace(FIRST, FIRST * 2),
    "a file of no bundle": GOOD + f"{ZERO} 0 zzz\n",
    "a file outside": GOOD.replace("books/fac-1/", "books/../"),
    "lines in another order": HEADER + "".join(reversed(GOOD.splitlines(keepends=True)[2:])),
    "a size with a leading zero": GOOD.replace(" 65 ", " 065 "),
    "an empty line": GOOD + "\n",
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_manifest_that_write_would_not_write_is_refused(case):
    assert BAD_MANIFESTS[case] != GOOD
    with pytest.raises(WrongInput):
        bundle.read_manifest(BAD_MANIFESTS[case])


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ("liandai.demo", "liandai.other", "manifest.note"),
        (" 65 books/fac-1/salt.hex", " 66 books/fac-1/salt.hex", "books/fac-1/salt.hex"),
    ],
    ids=["another installation", "another size"],
)
def test_a_signed_manifest_that_says_something_untrue_is_found(old, new, file):
    assert old in GOOD
    note = notes.sign_note(GOOD.replace(old, new), name="liandai.demo", signer=HONEST.signer)
    assert judged({**FILES, "manifest.note": note}).file == file


def test_a_manifest_never_reads_as_a_checkpoint():
    with pytest.raises(WrongInput):
        notes.read_checkpoint_text(GOOD)


def test_a_checkpoint_line_is_canonical():
    line = canonical({"note": "x"})
    assert bundle.read_checkpoint_line(line, place="x") == b"x"
    with pytest.raises(WrongInput):
        bundle.read_checkpoint_line(line.replace(b":", b": "), place="x")
