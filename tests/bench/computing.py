"""What is pure computing: clearing a large book, verifying a bundle, growing a tree."""

import hashlib
import json
import random
import time
from collections.abc import Callable

from ledger import merkle, standalone
from ledger.documents import canonical
from ledger.entries import Account, Entry
from ledger.verify import verify
from negotiation.clearing import clear
from tests.bench.figures import FULL, SHORT, per_second, ratio, table
from tests.ledger.installation import Installation
from tests.negotiation.test_clearing import large_book

ENTRIES = 20_000 if SHORT else 1_000_000 if FULL else 100_000
"""Half of them leaves: each posts two."""
LEAVES = 100_000 if SHORT else 400_000


def measured() -> None:
    """The sections on computing, in CPU seconds of this process."""
    _clearing()
    _verifying()
    _growing()


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _clearing() -> None:
    rows = []
    for name, offer_lots, count in (
        ("typical", (5, 40), 8),
        ("large minimums", (150, 600), 8),
        ("one step, large minimums", (150, 600), 1),
    ):
        book = large_book(
            random.Random(name), seats=200, lots=2_000, offer_lots=offer_lots, count=count
        )
        spent = min(_cpu(lambda book=book: clear(book)) for _ in range(1 if SHORT else 3))
        written = _cpu(lambda book=book: [canonical(book) for _ in range(10)]) / 10
        rows.append(
            (
                name,
                f"{spent:.3f}",
                f"{written:.4f}",
                ratio(spent, written),
                "1 s met" if spent < 1 else "1 s NOT met",
            )
        )
    table(
        "Clearing 200 banks x 2,000 lots, beside writing the book down once (canonical JSON)",
        ("what", "CPU s", "writing s", "ratio", "goal"),
        rows,
    )


def _verifying() -> None:
    of = Installation(cosigners=())
    for number in range(ENTRIES // 2):
        of.append(
            "fac-bench",
            f"posting-{number}",
            {"type": "Posted", "reference": f"n-{number}"},
            kind="transaction",
            entries=(
                Entry(Account("hzbank", "cash", "", "", "CNY"), number + 1),
                Entry(Account("hzbank", "suspense", "", f"n{number % 500}", "CNY"), -number - 1),
            ),
        )
    of.publish()
    files = of.bundle()
    spent = _cpu(lambda: _verified(files))
    alone = _cpu(lambda: _verified_alone(files))
    lines = of.books["fac-bench"]
    hashed = _cpu(lambda: [hashlib.sha256(b"\x00" + line).digest() for line in lines])
    read = _cpu(lambda: [json.loads(line) for line in lines])
    scaled = 100_000 / ENTRIES
    table(
        f"Verifying a bundle of {ENTRIES:,} entries offline, scaled to 100,000",
        ("what", "CPU s", "ratio to reading the JSON", "ratio to hashing", "goal"),
        [
            (
                "liandai verify",
                f"{scaled * spent:.2f}",
                ratio(spent, read),
                ratio(spent, hashed),
                f"6 s {'met' if scaled * spent <= 6 else 'NOT met'}",
            ),
            (
                "the stand-alone file",
                f"{scaled * alone:.2f}",
                ratio(alone, read),
                ratio(alone, hashed),
                f"6 s {'met' if scaled * alone <= 6 else 'NOT met'}",
            ),
            ("json.loads of every leaf", f"{scaled * read:.2f}", "1.00", ratio(read, hashed), ""),
            ("SHA-256 of every leaf", f"{scaled * hashed:.3f}", ratio(hashed, read), "1.00", ""),
        ],
    )


def _verified(files: dict[str, bytes]) -> None:
    verdict = verify(files, None)
    assert verdict.verified, verdict.document()


def _verified_alone(files: dict[str, bytes]) -> None:
    verdict = standalone.verify(files, None)
    assert verdict["verified"], verdict


def _growing() -> None:
    hashes = [hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(LEAVES)]
    grown = _cpu(lambda: merkle.EMPTY.append(hashes))
    pair = b"\x01" + bytes(64)
    bare = _cpu(lambda: [hashlib.sha256(pair).digest() for _ in range(LEAVES)])
    nodes = {
        (level, index): digest
        for level, index, digest in merkle.each(merkle.EMPTY.append(hashes)[1])
    }
    proofs = 2_000

    def prove() -> None:
        for index in range(0, LEAVES, LEAVES // proofs):
            merkle.inclusion_proof(
                index=index, size=LEAVES, node=lambda level, nth: nodes[level, nth]
            )

    proven = _cpu(prove)
    table(
        f"Merkle tree of {LEAVES:,} leaves in memory, beside one bare SHA-256 a leaf",
        ("what", "rate", "bare SHA-256", "ratio", "goal"),
        [
            (
                "append",
                per_second(LEAVES / grown),
                per_second(LEAVES / bare),
                ratio(bare, grown),
                "200,000/s " + ("met" if LEAVES / grown >= 200_000 else "NOT met"),
            ),
            (
                "inclusion proof",
                f"{1e6 * proven / proofs:.0f} us",
                f"{1e6 * bare / LEAVES:.1f} us",
                ratio(proven / proofs, bare / LEAVES),
                "1 ms met" if proven / proofs < 1e-3 else "1 ms NOT met",
            ),
        ],
    )
