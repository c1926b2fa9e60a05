"""The stand-alone verifier says what the product's own verifier says, of true and of wrong bundles.

Neither shares a line with the other: what one misses, the other must find, and where they part, a
test fails. See `test_bundle` for what each defect is.
"""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import leaves, notes, signatures, standalone
from ledger.bundle import write
from ledger.documents import canonical
from ledger.entries import Account
from ledger.errors import LiandaiError
from ledger.journal import Journal
from ledger.leaves import Leaf
from ledger.money import MAX_MINOR
from ledger.verify import verify
from tests.given import vectors_folder
from tests.ledger import test_bundle
from tests.ledger.installation import draw, resigned, told
from tests.ledger.test_bundle import CHEATS, FILES, HONEST, POLICY, flipped
from tests.ledger.test_journal import (
    ENDS,
    MISSHAPEN,
    NOW,
    REFUSED,
    STEPS,
    made,
    pending,
    posting,
    void,
)

SOURCE = Path(standalone.__file__)


def both(files, policy=POLICY, *, exactly=True):
    """What both verifiers say, once it is the same: None, or the book and index that is wrong."""
    ours = verify(files, policy).document()
    trusted = None if policy is None else standalone.read_policy(notes.write_policy(policy))
    theirs = standalone.verify(files, trusted)
    json.dumps(theirs)
    assert (ours["verified"], ours["trust"]) == (theirs["verified"], theirs["trust"])
    wrong = [said.get("first_wrong", {}) for said in (ours, theirs)]
    places = [(found.get("book"), found.get("index")) for found in wrong]
    if exactly:
        assert places[0] == places[1], wrong
    for book, figures in theirs["books"].items() if ours["verified"] else ():
        assert {name: ours["books"][book][name] for name in figures} == figures
    return None if ours["verified"] else places[0]


def test_it_is_one_file_that_can_be_read_in_one_sitting():
    text = SOURCE.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    assert max(map(len, text.splitlines())) <= 120
    imported = {line.split()[1] for line in text.splitlines() if line.startswith("from ")}
    assert not imported.intersection({"ledger", "syndicate", "negotiation", "api", "msgspec"})


@pytest.mark.parametrize("policy", [POLICY, None], ids=["policy", "self"])
def test_both_accept_the_true_bundle(policy):
    assert both(FILES, policy) is None
    assert both(told(cosigners=["hzbank", "cib"]).bundle(), policy) is None


@pytest.mark.parametrize("cheat", CHEATS)
def test_both_name_the_same_leaf_that_cheats(cheat):
    book, index, change, _ = CHEATS[cheat]
    of = told(alter=lambda at, n, raw: change(raw) if (at, n) == (book, index) else raw)
    assert both(of.bundle(), None) == (book, index)


@pytest.mark.parametrize("path", sorted(path for path in FILES if FILES[path]))
def test_both_find_the_same_changed_bit(path):
    size = len(FILES[path])
    for offset in range(0, size, 1 if size <= 200 else size // 12):
        changed = {**FILES, path: flipped(FILES[path], offset)}
        assert both(changed) is not None, offset


@pytest.mark.parametrize("path", sorted(FILES))
def test_both_find_what_was_removed_appended_or_cut(path):
    rest = {other: content for other, content in FILES.items() if other != path}
    assert both(rest) is not None
    for tail in (b"\n", b"\x00", b" "):
        assert both({**FILES, path: FILES[path] + tail}, exactly=False) is not None
    if FILES[path]:
        assert both({**FILES, path: FILES[path][:-1]}, exactly=False) is not None


@pytest.mark.parametrize("path", ["README", "books/fac-3/leaves.jsonl", "empty/", "x/y"])
def test_both_find_an_added_file(path):
    assert both({**FILES, path: b""}) is not None


def test_both_refuse_a_bundle_signed_by_other_keys_under_the_policy_only():
    forged = told(world="forged").bundle()
    assert both(forged, None) is None
    assert both(forged, POLICY) is not None


def test_both_refuse_a_rewritten_past_that_too_few_witnesses_cosigned():
    for cosigners in ([], ["cib"]):
        assert both(test_bundle.rewritten(cosigners=cosigners).bundle()) == ("top", 0)


def test_both_point_at_the_past_that_an_old_checkpoint_contradicts():
    forged = test_bundle.rewritten()
    forged.checkpoints["fac-1"][0] = HONEST.checkpoints["fac-1"][0]
    assert both(forged.bundle()) == ("fac-1", 0)


def test_both_want_every_leaf_under_a_checkpoint_and_a_head():
    late = told()
    late.append("fac-1", "late", {"type": "Noted"})
    assert both(late.bundle()) == ("fac-1", 10)
    late.sign("fac-1")
    assert both(late.bundle()) == ("fac-1", 10)
    short = told()
    short.books["fac-1"] = short.books["fac-1"][:7]
    assert both(short.bundle()) == ("fac-1", 7)


@pytest.mark.parametrize("path", ["leaves.jsonl", "leaf-hashes.bin", "balances.jsonl", "salt.hex"])
def test_both_find_what_the_log_key_signed_again(path):
    path = f"books/fac-1/{path}"
    for offset in range(0, len(FILES[path]), 1 + len(FILES[path]) // 12):
        assert both(resigned({**FILES, path: flipped(FILES[path], offset)}, HONEST.signer))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_both_say_the_same_of_files_damaged_at_random_and_signed_again(data):
    files = dict(FILES)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(sorted(FILES)))
        content = files.get(path, b"")
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        part = st.binary(max_size=9) | st.text(' ,:"\\{}[]0123456789abtrufn-.eE\n贷𐀀', max_size=5)
        drawn = data.draw(part)
        files[path] = content[:start] + (drawn.encode() if isinstance(drawn, str) else drawn)
        files[path] += content[end:]
    if data.draw(st.booleans()):
        files = resigned(files, HONEST.signer)
    for policy in (POLICY, None):
        both(files, policy, exactly=False)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab\n\x7f\x00 é𐀀\ue000", max_size=3), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values, st.booleans())
def test_both_take_the_same_subjects(value, is_sorted):
    written = json.dumps(value, ensure_ascii=False, sort_keys=is_sorted, separators=(",", ":"))

    def alter(book, index, raw):
        if (book, index) != ("fac-1", 2):
            return raw
        return raw.replace(b'"conflict"', written.encode())

    of = told(alter=alter)
    both(of.bundle(), None)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_both_refuse_what_is_no_number_of_json(number):
    def alter(book, index, raw):
        if (book, index) != ("fac-1", 2):
            return raw
        return raw.replace(b'"conflict"', number.encode())

    assert both(told(alter=alter).bundle(), None) == ("fac-1", 2)


def test_both_refuse_a_balance_beyond_what_json_holds():
    """Each posting is in range; their sum is not, and no strict reader takes its line."""
    of = told()
    for nth in (1, 2):
        entries = draw("big", MAX_MINOR)
        of.append("fac-2", f"big-{nth}", {"type": "Drawn"}, kind="transaction", entries=entries)
    of.publish()
    contents = of.contents()
    beyond = next(book for book in contents.books if book.book == "fac-2").balances
    books = [
        msgspec.structs.replace(book, balances={} if book.balances is beyond else book.balances)
        for book in contents.books
    ]
    files = write(msgspec.structs.replace(contents, books=books), signer=of.signer)
    lines = [
        canonical({"account": account, "balance_minor": 5}).replace(b":5}", b":%d}" % minor)
        for account, minor in sorted(beyond.items())
    ]
    files["books/fac-2/balances.jsonl"] = b"".join(line + b"\n" for line in lines)
    assert both(resigned(files, of.signer), None, exactly=False) == ("fac-2", None)


def test_it_names_the_books_of_the_top_log_that_are_left_out():
    contents = HONEST.contents()
    books = [book for book in contents.books if book.book != "fac-2"]
    files = write(msgspec.structs.replace(contents, books=books), signer=HONEST.signer)
    said = standalone.verify(files, None)
    assert said["verified"]
    assert any("not here" in line and "fac-2" in line for line in said["not_proved"])
    assert said["not_proved"][:-1] == standalone.verify(FILES, None)["not_proved"]


# ---- the signatures, by themselves


def wycheproof():
    vectors = json.loads((vectors_folder() / "wycheproof" / "ed25519_test.json").read_text("utf-8"))
    for group in vectors["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            yield public, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), test


def holds(public, message, signature):
    try:
        standalone.check_signature(public, message, signature)
    except (ValueError, IndexError):
        return False
    return True


def test_a_signature_holds_where_it_does_for_the_product():
    seen = 0
    for public, message, signature, test in wycheproof():
        said = signatures.verify(public=public, message=message, signature=signature)
        assert holds(public, message, signature) == said == (test["result"] == "valid"), test
        seen += 1
    assert seen >= 100


# ---- run as the auditor runs it


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-I", str(SOURCE), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def laid_out(files, folder):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_it_runs_alone_and_answers_with_one_document_and_an_exit_code(tmp_path):
    bundle = laid_out(FILES, tmp_path / "bundle")
    (tmp_path / "policy.json").write_bytes(notes.write_policy(POLICY))
    done = run("bundle", "--policy", "policy.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["trust"] == "policy"
    (bundle / "extra").mkdir()
    done = run("bundle", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["first_wrong"]["file"]) == (1, "extra/")


ONE_BUNDLE = "one BUNDLE, and one FILE after --policy"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ONE_BUNDLE),
        (["bundle", "--policy"], ONE_BUNDLE),
        (["bundle", "--key", "policy.json"], ONE_BUNDLE),
        (["bundle", "policy.json"], ONE_BUNDLE),
        (["bundle", "--policy", "policy.json", "more"], ONE_BUNDLE),
        (["none"], "a bundle's folder, not none"),
        (["policy.json"], "a bundle's folder, not policy.json"),
        (["bundle", "--policy", "none"], "a file of keys, not none"),
        (["bundle", "--policy", "notes.txt"], "a file of keys, not notes.txt"),
        (["bundle", "--policy", "bundle/books"], "a file of keys, not bundle/books"),
    ],
)
def test_what_is_no_bundle_or_policy_is_one_line_of_usage_and_exit_2(tmp_path, arguments, expected):
    laid_out(FILES, tmp_path / "bundle")
    (tmp_path / "policy.json").write_bytes(notes.write_policy(POLICY))
    (tmp_path / "notes.txt").write_bytes(b"no keys")
    done = run(*arguments, cwd=tmp_path)
    usage = "usage: verify_liandai.py BUNDLE [--policy FILE]: expected "
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{usage}{expected}\n")


# ---- pendings, reversals and limits: the tables and steps of the pure machine's own test


def taken(*stands: Leaf) -> standalone.Book:
    book = standalone.Book("own-alfa-x", bytes(32), {})
    for one in stands:
        book.take(leaves.encode(one))
    return book


@pytest.mark.parametrize(
    ("stands", "then"), [row[1:3] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_it_takes_what_stands_and_refuses_what_the_state_does_not_allow(stands, then):
    book = taken(*stands)
    with pytest.raises((ValueError, LookupError)):
        book.take(leaves.encode(then))


@pytest.mark.parametrize("wrong", [row[1] for row in MISSHAPEN], ids=[row[0] for row in MISSHAPEN])
def test_it_refuses_a_misshapen_leaf(wrong):
    book = taken(pending("p", 5))
    with pytest.raises((ValueError, LookupError)):
        book.take(leaves.encode(wrong))


@pytest.mark.parametrize(("late", "is_over"), ENDS)
def test_from_its_end_on_it_lets_only_the_system_void_a_pending(late, is_over):
    at = {"recorded_at": NOW + timedelta(seconds=60 + late)}
    stands = pending("p", 5, lasts=60)
    for one, holds in (
        (posting("x", "p", 5, **at), not is_over),
        (void("v", "p", **at), not is_over),
        (void("v", "p", reason="expired", **at), is_over),
    ):
        if holds:
            taken(stands, one)
        else:
            with pytest.raises(ValueError, match="its end"):
                taken(stands, one)


@settings(deadline=None)
@given(STEPS)
def test_it_takes_exactly_the_leaves_that_the_pure_machine_takes(steps):
    machine, stands = Journal(), []
    for number, step in enumerate(steps):
        one = made(step, number)
        try:
            machine.take(one)
        except LiandaiError:
            with pytest.raises((ValueError, LookupError)):
                taken(*stands, one)
            continue
        stands.append(one)
    assert taken(*stands).balances == {tuple_of(a): n for a, n in machine.balances.items()}


def tuple_of(account: Account) -> tuple[str, ...]:
    return (account.party, account.code, account.counterparty, account.ref, account.currency)
