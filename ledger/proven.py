"""Whether one answer of the ledger holds, offline: a balance at a day's close, a record in a log.

A proof is one JSON document that leads from what it says up to a signed head:

    balance     under the balances root of the day's seal, salted, so that it shows no other
    the seal,   or any record, is a leaf of its book's log: an inclusion path to the book's head
    the head    signed by the log's key, and itself a leaf of the top log, whose head banks cosign

What to trust comes from outside the document: a policy (`ledger.notes`). Without one a proof can
only agree with itself. Nothing is read or made here; `ledger.proving` makes proofs.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal

import msgspec

from ledger import leaves, merkle, notes, seals
from ledger.documents import convert, read_json
from ledger.entries import Account
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import ED25519, Head, Policy, VerifierKey, read_verifier_key
from ledger.seals import BalanceProof, DaySeal
from ledger.signatures import decode_base64

TOP: Final = "top"


class InLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A leaf of a book's log, and its path to the root of a head.

    leaf    base64 of the verbatim bytes; null where they are not the asker's to read
    hashes  the inclusion path, hex, bottom up
    note    the head: a C2SP checkpoint with the cosignatures received for it
    """

    book: str
    position: int
    leaf: str | None
    leaf_hash: str
    hashes: tuple[str, ...]
    note: str


class SealedBalance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A balance leaf, base64, and its path to the seal's balances root."""

    leaf: str
    index: int
    size: int
    hashes: tuple[str, ...]


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a proof document holds.

    log      the key that signs the installation's logs, as a C2SP verifier key: to be compared
             with the one you know, not to be believed
    says     what is proved, in words of its own: checked against the leaves
    record   the record, or the day's seal
    top      the leaf of the top log that holds the record's head
    balance  only of a balance
    """

    format: Literal["liandai/v1/proof"]
    log: str
    says: dict[str, Any]
    record: InLog
    top: InLog
    balance: SealedBalance | None


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a proof.

    trust        `policy` where keys came from outside, `self` where the proof only agrees with
                 itself
    cosigned_by  witnesses of the policy under the top log's head
    problem      the first thing that does not hold; None where all does
    """

    verified: bool
    says: dict[str, Any]
    trust: Literal["policy", "self"]
    cosigned_by: tuple[str, ...]
    problem: str | None

    def document(self) -> dict[str, Any]:
        """As JSON values, for printing."""
        return msgspec.to_builtins(self)


class DoesNotHold(LiandaiError):
    """A step of the proof does not lead where it says."""


def check(raw: bytes, policy: Policy | None) -> Proven:
    """What a proof document comes to. Raises WrongInput only where it is no such document."""
    found = read_json(raw)
    if isinstance(found, dict) and "in_top" in found:
        raise WrongInput("$", "a proof of a balance or record; a receipt is for `liandai receipt`")
    proof = convert(found, Proof)
    trust: Literal["policy", "self"] = "self" if policy is None else "policy"
    try:
        cosigned_by = _check(proof, policy)
    except (LiandaiError, ValueError) as error:
        return Proven(
            verified=False, says=proof.says, trust=trust, cosigned_by=(), problem=str(error)
        )
    return Proven(
        verified=True, says=proof.says, trust=trust, cosigned_by=cosigned_by, problem=None
    )


def _check(proof: Proof, policy: Policy | None) -> tuple[str, ...]:
    log = read_verifier_key(proof.log, place="$.log")
    if log.kind != ED25519:
        raise DoesNotHold("$.log: a log's key is an Ed25519 key")
    if policy is not None and policy.log != log:
        raise DoesNotHold("$.log: another key than the policy's")
    head, _ = _head(proof.record, log, ())
    _check_included(proof.record, head, place="$.record")
    witnesses = () if policy is None else policy.witnesses
    top, cosigned_by = _head(proof.top, log, witnesses)
    _check_included(proof.top, top, place="$.top")
    _check_top(proof, head)
    if policy is not None and len(cosigned_by) < policy.threshold:
        raise DoesNotHold(
            f"$.top.note: cosigned by {len(cosigned_by)} of the {policy.threshold} witnesses asked"
        )
    _check_says(proof)
    return cosigned_by


def _head(
    found: InLog, log: VerifierKey, witnesses: Sequence[VerifierKey]
) -> tuple[notes.Checkpoint, tuple[str, ...]]:
    opened = notes.open_checkpoint(
        found.note.encode(),
        origin=notes.origin(installation=log.name, book=found.book),
        log=log,
        witnesses=witnesses,
    )
    return opened.checkpoint, tuple(signed.key.name for signed in opened.cosignatures)


def _check_included(found: InLog, head: notes.Checkpoint, *, place: str) -> None:
    digest = bytes.fromhex(found.leaf_hash)
    if found.leaf is not None and merkle.leaf_hash(_bytes(found.leaf, place)) != digest:
        raise DoesNotHold(f"{place}.leaf: its bytes do not hash to leaf_hash")
    if not 0 <= found.position < head.size or not merkle.verify_inclusion(
        leaf=digest,
        index=found.position,
        size=head.size,
        proof=[bytes.fromhex(one) for one in found.hashes],
        root=head.root,
    ):
        raise DoesNotHold(f"{place}.hashes: they do not lead to the root of {place}.note")


def _bytes(text: str, place: str) -> bytes:
    return decode_base64(text, size=None, place=f"{place}.leaf")


def _check_top(proof: Proof, head: notes.Checkpoint) -> None:
    if proof.top.book != TOP or proof.top.leaf is None:
        raise DoesNotHold("$.top: expected a leaf of the top log with its bytes")
    leaf = leaves.decode(_bytes(proof.top.leaf, "$.top"))
    said = convert(leaf.subject, Head, place="$.top.leaf.subject")
    if (said.book, said.size, said.root) != (proof.record.book, head.size, head.root.hex()):
        raise DoesNotHold("$.top.leaf: it holds another head than $.record.note")


def _check_says(proof: Proof) -> None:
    expected: dict[str, Any] = {
        "book": proof.record.book,
        "position": proof.record.position,
        "leaf_hash": proof.record.leaf_hash,
    }
    if proof.balance is not None:
        expected = _balance(proof, proof.balance)
    elif proof.record.leaf is not None:
        expected["record"] = leaves.decode(_bytes(proof.record.leaf, "$.record")).leaf_id
    if proof.says != expected:
        raise DoesNotHold("$.says: not what the leaves say")


def _balance(proof: Proof, balance: SealedBalance) -> dict[str, Any]:
    """What the proof's seal and balance leaf say."""
    if proof.record.leaf is None:
        raise DoesNotHold("$.record.leaf: a balance needs the bytes of its day's seal")
    seal = leaves.decode(_bytes(proof.record.leaf, "$.record"))
    if (seal.kind, seal.book) != ("seal", proof.record.book):
        raise DoesNotHold("$.record.leaf: expected the seal of a day in this book")
    said = convert(seal.subject, DaySeal, place="$.record.leaf.subject")
    found = seals.verify_balance(
        BalanceProof(
            leaf=_bytes(balance.leaf, "$.balance"),
            index=balance.index,
            size=balance.size,
            path=tuple(bytes.fromhex(one) for one in balance.hashes),
        ),
        balances_root=bytes.fromhex(said.balances_root),
        day=said.day,
    )
    return balance_said(
        book=seal.book, day=said.day, account=found.account, balance_minor=found.balance_minor
    )


def balance_said(*, book: str, day: date, account: Account, balance_minor: int) -> dict[str, Any]:
    """What the proof of a balance says."""
    return {
        "book": book,
        "day": day.isoformat(),
        "account": msgspec.to_builtins(account),
        "balance_minor": balance_minor,
    }
