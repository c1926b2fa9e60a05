"""Whether a proof document holds, offline: the receipt of a record, or a balance at a day's close.

A **proof of a balance** leads to the same two heads as a receipt, since it holds one:

    the balance, salted so that it shows no other  --balance-->  the balances root of a day's seal
    that very seal, as a leaf of its book (`seal`)  --receipt-->  a head with cosignatures

A document's own `v` says which of the two it is. Nothing is fetched or made here, and only a
`Policy` brought from elsewhere says whose keys count; `ledger.evidence` makes both.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from ledger import merkle, receipts
from ledger.documents import convert, read_hash, read_json
from ledger.errors import LiandaiError, WrongInput
from ledger.money import format_amount, scale_of
from ledger.notes import Policy
from ledger.receipts import Receipt, Verdict
from ledger.replay import read_leaf
from ledger.seals import BalanceLeaf, DaySeal, SealedBalance, verify_balance

NOT_PROVED: Final = (
    "any other balance of that day, or how many there are",
    "what became known after that day was closed, whatever its value date",
    "which entries make the balance up, and whether they follow from any terms: a whole bundle "
    "shows the first, and computes the second again",
)


class BalanceProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The proof of one balance at the close of a day, as it stands in a file.

    balance  under the balances root of the day's seal
    seal     the text of the seal's leaf, verbatim; receipt: of that leaf
    """

    v: Literal["liandai.balance-proof/v1"]
    balance: SealedBalance
    seal: str
    receipt: Receipt


ProofDocument: TypeAlias = Receipt | BalanceProof


def read(raw: bytes) -> ProofDocument:
    """The proof document of a file. WrongInput where it is none."""
    found = read_json(raw)
    match found:
        case {"v": "liandai.receipt/v1"}:
            receipt = convert(found, Receipt)
            read_hash(receipt.leaf_hash, place="$.leaf_hash")
            return receipt
        case {"v": "liandai.balance-proof/v1"}:
            proof = convert(found, BalanceProof)
            read_hash(proof.receipt.leaf_hash, place="$.receipt.leaf_hash")
            return proof
        case _:
            raise WrongInput("$.v", "liandai.receipt/v1 or liandai.balance-proof/v1")


def verify(proof: ProofDocument, policy: Policy, *, leaf_hash: str | None) -> Verdict:
    """The verdict on a proof by the keys of the policy; never an error, whatever it holds.

    leaf_hash  the hash (hex) that the reader was promised of the record, of a balance the seal's,
               which must be the proof's; or None
    """
    if isinstance(proof, Receipt):
        return receipts.verify(proof, policy, leaf_hash=leaf_hash)
    published = receipts.verify(proof.receipt, policy, leaf_hash=leaf_hash, place="$.receipt")
    not_proved = [*NOT_PROVED, *receipts.not_proved_of_heads(policy)]
    found = msgspec.structs.replace(published, not_proved=not_proved)
    if not found.verified:
        return found
    try:
        shown = _shown(proof)
        words = _in_words(shown, book=found.book)
    except (LiandaiError, ValueError, RecursionError) as error:
        return msgspec.structs.replace(found, verified=False, proved=[], why=str(error))
    return msgspec.structs.replace(
        found,
        proved=[words, *found.proved],
        balance={
            "account": msgspec.to_builtins(shown.account),
            "day": shown.day.isoformat(),
            "balance_minor": shown.balance_minor,
        },
    )


def _shown(proof: BalanceProof) -> BalanceLeaf:
    """The balance that the seal vouches for, once the seal is the receipt's leaf."""
    raw = proof.seal.encode()
    if merkle.leaf_hash(raw) != bytes.fromhex(proof.receipt.leaf_hash):
        raise WrongInput("$.seal", "the very leaf that $.receipt is of")
    leaf = read_leaf(raw)
    if (leaf.kind, leaf.book) != ("seal", proof.receipt.book):
        raise WrongInput("$.seal", f"the seal of a day in book {proof.receipt.book}")
    seal = convert(leaf.subject, DaySeal, place="$.seal.subject")
    root = read_hash(seal.balances_root, place="$.seal.subject.balances_root")
    return verify_balance(proof.balance, balances_root=root, day=seal.day, place="$.balance")


def _in_words(shown: BalanceLeaf, *, book: str) -> str:
    account = shown.account
    scale_of(account.currency, place="$.balance.leaf.account.currency")
    towards = f" towards {account.counterparty}" if account.counterparty else ""
    about = f" for {account.ref}" if account.ref else ""
    amount = format_amount(shown.balance_minor, currency=account.currency)
    return (
        f"at the close of {shown.day} account {account.code}{towards}{about} of {account.party} in "
        f"book {book} stood at {amount} {account.currency}, debit positive, credit negative"
    )
