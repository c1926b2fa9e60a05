"""What one party keeps to show, years later and offline, that a record of its book was published.

A **log proof** is C2SP's tlog-proof: a leaf's index, its audit path and the checkpoint it leads to.
A **receipt** joins two of them, since a book's own heads are signed by the service alone, and it is
the top log's that the witnesses cosign:

    the record's leaf  --in_book-->  a head of its book
    that very head, as a leaf of the top log (`head`)  --in_top-->  a head with cosignatures

A receipt holds hashes and one head, nobody's entries. Nothing is fetched or stored here, and only
a `Policy` brought from elsewhere says whose keys count.

Source: C2SP tlog-proof.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from ledger import merkle, notes
from ledger.documents import convert, read_hash
from ledger.errors import LiandaiError, WrongInput
from ledger.merkle import HASH_SIZE
from ledger.notes import OpenedCheckpoint, Policy, VerifierKey
from ledger.replay import TOP, read_leaf
from ledger.signatures import decode_base64, encode_base64
from ledger.verify import NOT_PROVED_ALONE

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_STEPS: Final = 63
NOT_PROVED: Final = (
    "what the record says: compare the leaf hash with the one promised to you, or with the leaf",
    "any balance: the proof of a balance or a whole bundle shows one",
)
NOT_PROVED_OF_WITNESSES: Final = (
    "that the witnesses are independent of the operator and of one another"
)

_INDEX = re.compile(r"index (?P<index>0|[1-9][0-9]{0,18})", re.ASCII)


# ---- log proofs


class LogProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a leaf stands at `index` of a log. hashes: the audit path, the leaf's sibling first.

    checkpoint  the note it leads to; extra: opaque bytes that nothing vouches for, or None
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def write_proof(proof: LogProof) -> bytes:
    """The text that `read_proof` takes back."""
    lines = [HEADER]
    if proof.extra is not None:
        lines.append(f"extra {encode_base64(proof.extra)}")
    lines += [f"index {proof.index}", *(encode_base64(step) for step in proof.hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + proof.checkpoint


def read_proof(raw: bytes, *, place: str) -> LogProof:
    """The log proof of its text. WrongInput names the line that is not as C2SP has it."""
    head, separator, checkpoint = raw.partition(b"\n\n")
    if not separator:
        raise WrongInput(place, "a proof, an empty line and a checkpoint")
    try:
        first, *lines = head.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise WrongInput(place, "UTF-8 text") from error
    if first != HEADER:
        raise WrongInput(f"{place} line 1", HEADER)
    extra, number = None, 2
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0)[6:], size=None, place=f"{place} line 2")
        number = 3
    match = _INDEX.fullmatch(lines[0]) if lines else None
    if match is None:
        raise WrongInput(f"{place} line {number}", "`index ` and a number in plain decimal")
    if len(lines) - 1 > MAX_STEPS:
        raise WrongInput(place, f"at most {MAX_STEPS} hashes")
    hashes = tuple(
        decode_base64(line, size=HASH_SIZE, place=f"{place} line {nth}")
        for nth, line in enumerate(lines[1:], start=number + 1)
    )
    notes.read_note(checkpoint)
    return LogProof(index=int(match["index"]), hashes=hashes, checkpoint=checkpoint, extra=extra)


def check_proof(
    proof: LogProof,
    *,
    leaf_hash: bytes,
    origin: str,
    log: VerifierKey,
    witnesses: Sequence[VerifierKey],
    place: str,
) -> OpenedCheckpoint:
    """The checkpoint, once it is signed and the leaf is under it; who of the witnesses cosigned.

    Raises WrongInput at the place, NotSigned.
    """
    opened = notes.open_checkpoint(proof.checkpoint, origin=origin, log=log, witnesses=witnesses)
    head = opened.checkpoint
    if not merkle.verify_inclusion(
        leaf=leaf_hash, index=proof.index, size=head.size, proof=proof.hashes, root=head.root
    ):
        raise WrongInput(place, f"hashes from leaf {proof.index} to the root of {head.size} leaves")
    return opened


# ---- receipts


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As it stands in a file.

    leaf_hash        hex, of the record's leaf at `position` of its book
    in_book, in_top  the two log proofs; head: the leaf of the top log that the second is about
    """

    v: Literal["liandai.receipt/v1"]
    book: str
    position: int
    leaf_hash: str
    in_book: str
    head: str
    in_top: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a proof holds under a policy. why: what does not, None where all does.

    proved, not_proved  in words; nothing is proved where something does not hold
    balance             account, day and balance_minor, where the proof is of one and holds
    book, position, leaf_hash  the record's leaf; of a balance, the seal's
    size, top_size      of the two heads; witnesses: who of the policy cosigned the second
    """

    verified: bool
    proved: list[str] = []
    balance: dict[str, Any] | None = None
    book: str
    position: int
    leaf_hash: str
    size: int | None = None
    top_size: int | None = None
    witnesses: list[str] = []
    not_proved: list[str] = []
    why: str | None = None

    def document(self) -> dict[str, Any]:
        """The JSON of `liandai proof`; `balance` and `why` only where there is one."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return {
            name: value
            for name, value in document.items()
            if value is not None or name not in ("balance", "why")
        }


def verify(receipt: Receipt, policy: Policy, *, leaf_hash: str | None, place: str = "$") -> Verdict:
    """The verdict on a receipt by the keys of the policy; never an error, whatever it holds.

    leaf_hash  the hash (hex) that the reader was promised, which must be the receipt's; or None
    place      where the receipt stands in its document
    """
    found = Verdict(
        verified=False,
        book=receipt.book,
        position=receipt.position,
        leaf_hash=receipt.leaf_hash,
        not_proved=[*NOT_PROVED, *not_proved_of_heads(policy)],
    )
    if leaf_hash is not None and leaf_hash != receipt.leaf_hash:
        return msgspec.structs.replace(found, why=f"the proof is not about leaf {leaf_hash}")
    try:
        in_book = _check_in_book(receipt, policy, place)
        in_top = _check_in_top(receipt, policy, in_book, place)
    except (LiandaiError, ValueError, RecursionError) as error:
        return msgspec.structs.replace(found, why=str(error))
    names = [signed.key.name for signed in in_top.cosignatures]
    counted = msgspec.structs.replace(
        found,
        size=in_book.checkpoint.size,
        top_size=in_top.checkpoint.size,
        witnesses=names,
    )
    if not policy.counts(in_top):
        return msgspec.structs.replace(
            counted,
            why=f"{len(names)} of the {policy.threshold} cosignatures the policy asks for",
        )
    return msgspec.structs.replace(counted, verified=True, proved=_in_words(counted, policy))


def not_proved_of_heads(policy: Policy) -> list[str]:
    """What no head proves, whatever it is the head of."""
    alone = () if policy.threshold else (NOT_PROVED_ALONE,)
    return [NOT_PROVED_OF_WITNESSES, *alone]


def _in_words(found: Verdict, policy: Policy) -> list[str]:
    return [
        f"leaf {found.position} of book {found.book} has the hash {found.leaf_hash}, and is one of "
        f"the first {found.size} leaves that {policy.log.name} published of the book",
        f"the head of these {found.size} leaves is itself one of the first {found.top_size} leaves "
        f"of the top log, whose head is cosigned by {', '.join(found.witnesses) or 'nobody'}",
    ]


def _check_in_book(receipt: Receipt, policy: Policy, place: str) -> OpenedCheckpoint:
    proof = read_proof(receipt.in_book.encode(), place=f"{place}.in_book")
    if proof.index != receipt.position or receipt.book == TOP:
        raise WrongInput(f"{place}.in_book", f"a proof of leaf {receipt.position} of a book")
    return check_proof(
        proof,
        leaf_hash=read_hash(receipt.leaf_hash, place=f"{place}.leaf_hash"),
        origin=notes.origin(installation=policy.log.name, book=receipt.book),
        log=policy.log,
        witnesses=[],
        place=f"{place}.in_book",
    )


def _check_in_top(
    receipt: Receipt, policy: Policy, in_book: OpenedCheckpoint, place: str
) -> OpenedCheckpoint:
    raw = receipt.head.encode()
    leaf = read_leaf(raw)
    if leaf.kind != "head" or leaf.book != TOP:
        raise WrongInput(f"{place}.head", "a head, as a leaf of the top log")
    head = convert(leaf.subject, notes.Head, place=f"{place}.head.subject")
    standing = (receipt.book, in_book.checkpoint.size, in_book.checkpoint.root.hex())
    if (head.book, head.size, head.root) != standing:
        raise WrongInput(
            f"{place}.head", f"the very head of {receipt.book} that {place}.in_book leads to"
        )
    return check_proof(
        read_proof(receipt.in_top.encode(), place=f"{place}.in_top"),
        leaf_hash=merkle.leaf_hash(raw),
        origin=notes.origin(installation=policy.log.name, book=TOP),
        log=policy.log,
        witnesses=policy.witnesses,
        place=f"{place}.in_top",
    )
