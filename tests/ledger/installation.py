"""A small installation in memory whose story every bundle test starts from.

It appends, publishes, cosigns and seals as the service does, but never checks: a test may have any
leaf altered before it is appended, and everything after it is hashed, sealed and signed over the
altered leaf by the right keys. So a bundle can be wrong in exactly one way.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from ledger import leaves, merkle, notes, seals, signatures
from ledger.bundle import MANIFEST, BookContents, BundleContents, manifest_text, write
from ledger.documents import canonical
from ledger.entries import Account, Entry, debt, fold
from ledger.leaves import Actor, Leaf
from ledger.notes import Checkpoint, Policy, VerifierKey
from ledger.signatures import KeyInMemory

NAME = "liandai.demo"
SYSTEM = Actor(institution="liandai", user="system")
START = datetime(2025, 9, 26, 1, 0, tzinfo=UTC)
DAYS = (date(2025, 9, 26), date(2025, 9, 28), date(2025, 9, 29))
WITNESSES = ("hzbank", "cib", "czbank")

Alter = Callable[[str, int, bytes], bytes]
"""(book, position, leaf bytes) -> the bytes to append instead."""


def key(name: str, *, world: str = "honest") -> KeyInMemory:
    """The same key for the same name; another world has other keys."""
    return KeyInMemory(merkle.leaf_hash(f"{world}/{name}".encode()))


class Installation:
    """Books, keys and heads; `world` chooses the keys, `cosigners` who still witnesses."""

    def __init__(
        self,
        *,
        world: str = "honest",
        cosigners: Sequence[str] = WITNESSES,
        alter: Alter | None = None,
        threshold: int = 2,
    ) -> None:
        self.signer = key("log", world=world)
        self.books: dict[str, list[bytes]] = {"top": [], "registry": []}
        self.checkpoints: dict[str, list[bytes]] = {"top": [], "registry": []}
        self.now, self.day = START, DAYS[0]
        self.cosigners = cosigners
        self._world, self._alter = world, alter
        self.policy = Policy(
            log=VerifierKey(NAME, notes.ED25519, self.signer.public),
            witnesses=tuple(
                VerifierKey(name, notes.COSIGNATURE_V1, key(name, world=world).public)
                for name in WITNESSES
            ),
            threshold=threshold,
        )
        self._seals: dict[str, int] = {}

    # ---- recording

    def append(
        self,
        book: str,
        leaf_id: str,
        subject: dict,
        *,
        kind: str = "record",
        entries: Sequence[Entry] = (),
        corrects: str | None = None,
    ) -> None:
        leaf = Leaf(
            book=book,
            kind=kind,
            leaf_id=leaf_id,
            subject=subject,
            entries=tuple(entries),
            value_date=self.day,
            booking_date=self.day,
            recorded_at=self.now,
            actor=SYSTEM,
            corrects=corrects,
        )
        log = self.books.setdefault(book, [])
        self.checkpoints.setdefault(book, [])
        raw = leaves.encode(leaf)
        log.append(raw if self._alter is None else self._alter(book, len(log), raw))
        self.now += timedelta(seconds=1)

    def signed(self, kind: str, body: dict, *, by: str) -> dict:
        signer = key(f"{by} officer", world=self._world)
        statement = signatures.sign_statement(kind=kind, body=body, by=by, signer=signer)
        return msgspec.to_builtins(statement)

    def register(self, institution: str) -> None:
        public = key(f"{institution} officer", world=self._world).public
        fact = signatures.KeyRegistered(
            institution=institution,
            key=signatures.key_id(public),
            public_key=signatures.encode_base64(public),
        )
        self.append("registry", f"key:{institution}", msgspec.to_builtins(fact), kind="key")

    def revoke(self, institution: str) -> None:
        public = key(f"{institution} officer", world=self._world).public
        fact = signatures.KeyRevoked(institution=institution, key=signatures.key_id(public))
        self.append("registry", f"revoke:{institution}", msgspec.to_builtins(fact), kind="key")

    def seal(self, book: str) -> None:
        log = self.books[book]
        seal = seals.DaySeal(
            day=self.day,
            size=len(log),
            root=merkle.root(hashes(log)).hex(),
            balances_root=seals.balances_root(
                balances(log), salt=salt_of(book), day=self.day
            ).hex(),
            previous=self._seals.get(book),
        )
        self._seals[book] = len(log)
        self.append(book, f"seal:{self.day}", msgspec.to_builtins(seal), kind="seal")

    # ---- publishing

    def publish(self) -> None:
        for book in sorted(set(self.books).difference(["top"])):
            size = len(self.books[book])
            if size and size != self._published(book):
                self.sign(book)
                root = merkle.root(hashes(self.books[book])).hex()
                head = notes.Head(book=book, size=size, root=root)
                self.append("top", f"head:{book}:{size}", msgspec.to_builtins(head), kind="head")
        self.sign("top")
        note = self.checkpoints["top"].pop()
        lines = [
            notes.cosign(
                note,
                name=name,
                signer=key(name, world=self._world),
                time=int(self.now.timestamp()),
            )
            for name in self.cosigners
        ]
        self.checkpoints["top"].append(notes.with_signatures(note, lines))

    def _published(self, book: str) -> int:
        if not self.checkpoints[book]:
            return 0
        text = notes.read_note(self.checkpoints[book][-1]).text
        return notes.read_checkpoint_text(text).size

    def sign(self, book: str) -> None:
        log = self.books[book]
        checkpoint = Checkpoint(
            origin=notes.origin(installation=NAME, book=book),
            size=len(log),
            root=merkle.root(hashes(log)),
        )
        self.checkpoints[book].append(
            notes.sign_checkpoint(checkpoint, name=NAME, signer=self.signer)
        )

    # ---- the bundle

    def contents(self) -> BundleContents:
        return BundleContents(
            policy=self.policy,
            books=[
                BookContents(
                    book=book,
                    leaves=log,
                    leaf_hashes=hashes(log),
                    checkpoints=self.checkpoints[book],
                    balances=balances(log),
                    salt=salt_of(book),
                )
                for book, log in self.books.items()
            ],
        )

    def bundle(self) -> dict[str, bytes]:
        return write(self.contents(), signer=self.signer)


def told(**settings) -> Installation:
    """The story: three keys, a term sheet, two draws, a correction, two sealed days, a third open.

    fac-1 has 10 leaves: 0 signed record, 1 draw, 2 refusal, 3 seal, 4 draw, 5 correction,
    6 votes, 7 seal, 8 interest, 9 record. fac-2 has 2. Published after day one and at the end.
    """
    of = Installation(**settings)
    for institution in ("hzbank", "cib", "czbank"):
        of.register(institution)
    terms = {"facility": "fac-1", "spread_bp": -20, "amount_minor": 8_000_000_00}
    of.append(
        "fac-1",
        "terms",
        {"type": "TermsSigned", "signed": of.signed("term-sheet", terms, by="hzbank")},
    )
    of.append("fac-1", "draw-1", {"type": "Drawn"}, kind="transaction", entries=draw("draw-1", 500))
    of.append("fac-1", "no-1", {"type": "Refused", "code": "conflict"}, kind="refusal")
    of.seal("fac-1")
    of.publish()
    of.day = DAYS[1]
    of.append("fac-1", "draw-2", {"type": "Drawn"}, kind="transaction", entries=draw("draw-2", 300))
    of.append(
        "fac-1",
        "fix-2",
        {"type": "DrawCorrected", "why": "错账冲正"},
        kind="transaction",
        entries=draw("draw-2", -1),
        corrects="draw-2",
    )
    votes = [of.signed("vote", {"yes": True, "round": 1}, by=bank) for bank in ("cib", "czbank")]
    of.append("fac-1", "votes", {"type": "Voted", "signatures": votes})
    of.seal("fac-1")
    of.day = DAYS[2]
    of.append("fac-2", "open", {"type": "Opened"})
    of.append("fac-2", "draw", {"type": "Drawn"}, kind="transaction", entries=draw("draw-1", 7))
    of.revoke("czbank")
    of.append("fac-1", "int-1", {"type": "Accrued"}, kind="transaction", entries=draw("int-1", 3))
    of.append("fac-1", "note", {"type": "Noted", "signed": None})
    of.publish()
    return of


def draw(ref: str, amount_minor: int) -> tuple[Entry, ...]:
    """The borrower owes hzbank that much more, paid out of cash on both sides."""
    return (
        *debt(
            code="due.principal",
            creditor="hzbank",
            debtor="borrower",
            ref=ref,
            currency="CNY",
            amount_minor=amount_minor,
        ),
        Entry(Account("hzbank", "cash", "", "", "CNY"), -amount_minor),
        Entry(Account("borrower", "cash", "", "", "CNY"), amount_minor),
    )


def hashes(log: Sequence[bytes]) -> list[bytes]:
    return [merkle.leaf_hash(raw) for raw in log]


def salt_of(book: str) -> bytes:
    return merkle.leaf_hash(f"salt of {book}".encode())


def balances(log: Sequence[bytes]) -> dict[Account, int]:
    """The balances by plain JSON, so that leaves no decoder takes still have some."""
    found = []
    for raw in log:
        try:
            found.append(
                [
                    Entry(
                        Account(
                            line["party"],
                            line["code"],
                            line["counterparty"],
                            line["ref"],
                            line["currency"],
                        ),
                        int(line["amount_minor"]),  # no canonical bytes hold a fraction
                    )
                    for line in json.loads(raw)["entries"]
                ]
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return fold(found)


def edited(raw: bytes, **changes) -> bytes:
    """The leaf with other values, canonical again."""
    return canonical({**json.loads(raw), **changes})


def resigned(files: dict[str, bytes], signer: KeyInMemory) -> dict[str, bytes]:
    """The bundle with a manifest over the files as they are now."""
    rest = {path: content for path, content in files.items() if path != MANIFEST}
    note = notes.sign_note(manifest_text(NAME, rest), name=NAME, signer=signer)
    return {MANIFEST: note, **rest}
