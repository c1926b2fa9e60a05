"""Proof documents over the installation in memory, made as the service makes them."""

import json
from collections.abc import Iterable, Iterator
from datetime import date

from ledger import merkle, notes, proven, receipts, seals
from ledger.entries import Account
from ledger.errors import WrongInput
from ledger.notes import Policy
from ledger.proven import BalanceProof
from ledger.receipts import LogProof, Receipt, Verdict
from tests.ledger.installation import Installation, balances, hashes, salt_of


def receipt_of(of: Installation, book: str, position: int) -> Receipt:
    """The receipt of a record, of the last heads there are."""
    book_note = of.checkpoints[book][-1]
    size = notes.read_checkpoint_text(notes.read_note(book_note).text).size
    top = of.books["top"]
    (at,) = [
        index for index, raw in enumerate(top) if json.loads(raw)["id"] == f"head:{book}:{size}"
    ]
    return Receipt(
        v="liandai.receipt/v1",
        book=book,
        position=position,
        leaf_hash=merkle.leaf_hash(of.books[book][position]).hex(),
        in_book=log_proof(of.books[book][:size], position, book_note),
        head=top[at].decode(),
        in_top=log_proof(top, at, of.checkpoints["top"][-1]),
    )


def log_proof(leaves: list[bytes], index: int, note: bytes, *, extra: bytes | None = None) -> str:
    """The text of the proof that a leaf stands at an index under a head."""
    node = merkle.lookup_in(hashes(leaves))
    path = merkle.inclusion_proof(index=index, size=len(leaves), node=node)
    proof = LogProof(index=index, hashes=tuple(path), checkpoint=note, extra=extra)
    return receipts.write_proof(proof).decode()


def balance_proof_of(of: Installation, book: str, seal: int, account: Account) -> BalanceProof:
    """The proof of an account's balance under the book's seal at that position."""
    log = of.books[book]
    day = date.fromisoformat(json.loads(log[seal])["subject"]["day"])
    return BalanceProof(
        v="liandai.balance-proof/v1",
        balance=seals.prove_balance(
            balances(log[:seal]), account=account, salt=salt_of(book), day=day
        ),
        seal=log[seal].decode(),
        receipt=receipt_of(of, book, seal),
    )


def holding(raw: bytes, policy: Policy, places: Iterable[int]) -> Iterator[tuple[int, Verdict]]:
    """(place, verdict) wherever the file still holds with one bit of the byte there flipped."""
    for place in places:
        for bit in range(8):
            bad = bytearray(raw)
            bad[place] ^= 1 << bit
            try:
                document = proven.read(bytes(bad))
            except WrongInput:
                continue
            verdict = proven.verify(document, policy, leaf_hash=None)
            assert verdict.verified == (verdict.why is None) == bool(verdict.proved)
            if verdict.verified:
                yield place, verdict
