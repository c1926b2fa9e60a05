"""Whether an audit bundle holds, offline: each leaf, root, signature, balance; or what does not.

The files are compared with the signed manifest, then each log is replayed leaf by leaf (`replay`),
and every root that was ever signed or published is derived again on the way. Keys to trust come
from outside (`Policy`); without one the bundle can only agree with itself, and the verdict says so.
Whatever the bytes, the answer is a verdict, never an error; only files that are no bundle at all
are refused. It reads no clock, no disk and no network. Time and memory grow with the bundle's size.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from itertools import zip_longest
from typing import Any, Final, Literal

import msgspec

from ledger import bundle, merkle, notes, signatures
from ledger.errors import LiandaiError, WrongInput
from ledger.notes import OpenedCheckpoint, Policy
from ledger.replay import REGISTRY, TOP, Replay

NOT_COMPUTED: Final = (
    "that amounts follow from the terms: interest, waterfall and shares are not computed again"
)
NOT_PROVED: Final = (
    "facts that were never submitted, or agreed outside the service",
    "what the operator, or anyone with the database, has read",
    "that the witnesses are independent of the operator and of one another",
    "who held a private key: a signature shows the key, not the hand",
    NOT_COMPUTED,
    "the order of leaves of different books between two heads of the top log, and recorded times: "
    "both rest on the service's clock",
    "anything after the last heads in this bundle",
)
NOT_PROVED_BY_SELF: Final = (
    "that the keys are the installation's and the witnesses': they came with the bundle (no policy)"
)
NOT_PROVED_ALONE: Final = "that nobody was shown another history: no witness is asked for"


class BundleUnreadable(WrongInput):
    """The files are no bundle at all: neither a manifest nor anything else a bundle has."""

    def __init__(self) -> None:
        super().__init__(bundle.MANIFEST, "an audit bundle, which has this file")


class FirstWrong(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first thing that does not hold.

    index  of the leaf in the book; where `file` is named, of the line or hash in that file
    """

    why: str
    file: str | None = None
    book: str | None = None
    index: int | None = None


class BookVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A book that holds. trial_balance: sum of all balances by currency, major units."""

    leaves: int
    entries: int
    accounts: int
    root: str
    trial_balance: dict[str, str]
    sealed_through: date | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. trust: "policy" where keys came from outside, else "self"."""

    verified: bool
    trust: Literal["policy", "self"]
    books: dict[str, BookVerdict]
    checked: list[str]
    expected_but_missing: list[str]
    not_proved: list[str]
    first_wrong: FirstWrong | None

    def document(self) -> dict[str, Any]:
        """The JSON of `liandai verify`; `first_wrong` only where there is one."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        if self.first_wrong is None:
            del document["first_wrong"]
        return document


def verify(files: Mapping[str, bytes], policy: Policy | None) -> Verdict:
    """The verdict on a bundle.

    files   every file found, by its path with slashes; an empty folder may be given as a path that
            ends in a slash, and is then a file too many
    policy  the keys the reader trusts, or None
    Raises BundleUnreadable only where no file is one of a bundle's.
    """
    if not any(
        path in (bundle.MANIFEST, bundle.POLICY) or path.startswith("books/") for path in files
    ):
        raise BundleUnreadable
    examination = _Examination(files, policy)
    first_wrong = None
    try:
        examination.run()
    except _Wrong as wrong:
        first_wrong = wrong.first
    return Verdict(
        verified=first_wrong is None,
        trust="self" if policy is None else "policy",
        books=examination.books,
        checked=[f"{what}: {count}" for what, count in examination.checked.items() if count],
        expected_but_missing=examination.missing,
        not_proved=[*NOT_PROVED, *examination.not_proved],
        first_wrong=first_wrong,
    )


class _Wrong(Exception):
    def __init__(self, **found: Any) -> None:
        super().__init__(found)
        self.first = FirstWrong(**found)


@contextmanager
def _blaming(**where: Any) -> Iterator[None]:
    """What goes wrong inside is the bundle's fault, at that place."""
    try:
        yield
    except (LiandaiError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _Wrong(why=str(error), **where) from error


class _Examination:
    """One run over a bundle, in the order files, top log, registry, other books."""

    def __init__(self, files: Mapping[str, bytes], policy: Policy | None) -> None:
        self.files, self.policy = files, policy
        self.books: dict[str, BookVerdict] = {}
        self.checked: Counter[str] = Counter()
        self.missing: list[str] = []
        self.not_proved = [NOT_PROVED_BY_SELF] if policy is None else []
        self._keys: signatures.Keys = {}
        self._heads: Mapping[str, Sequence[tuple[int, notes.Head]]] = {}

    def run(self) -> None:
        trusted, manifest = self._open_manifest()
        self._compare_files(manifest)
        self._compare_policy(trusted)
        others = [book for book in manifest.books if book not in (TOP, REGISTRY)]
        for book in (TOP, REGISTRY, *others):
            self._examine(book, trusted)
        absent = sorted(set(self._heads).difference(manifest.books))
        if absent:
            self.not_proved.append(f"books named in the top log and not here: {', '.join(absent)}")
        if trusted.threshold == 0:
            self.not_proved.append(NOT_PROVED_ALONE)

    # ---- files

    def _open_manifest(self) -> tuple[Policy, bundle.Manifest]:
        """The policy to judge by, and the manifest that its log key has signed."""
        trusted = self.policy
        if trusted is None:
            with _blaming(file=bundle.POLICY):
                trusted = notes.read_policy(self._file(bundle.POLICY))
        with _blaming(file=bundle.MANIFEST):
            raw = self._file(bundle.MANIFEST)
            opened = notes.open_note(raw, [trusted.log])
            if len(notes.read_note(raw).lines) != 1:
                raise WrongInput(bundle.MANIFEST, "one signature line")
            manifest = bundle.read_manifest(opened.text)
            if manifest.installation != trusted.log.name:
                raise WrongInput(bundle.MANIFEST, f"the installation {trusted.log.name}")
        self.checked["manifest signed by the log key"] += 1
        return trusted, manifest

    def _file(self, path: str) -> bytes:
        if path not in self.files:
            raise _Wrong(file=path, why="the file is missing")
        return self.files[path]

    def _compare_files(self, manifest: bundle.Manifest) -> None:
        listed = manifest.files
        for path in sorted({*listed, *self.files}.difference([bundle.MANIFEST])):
            if path not in listed:
                raise _Wrong(file=path, why="the manifest names no such file")
            content = self._file(path)
            if sha256(content).digest() != listed[path].sha256:
                self._point_at_leaf(path)
                raise _Wrong(file=path, why="its bytes are not those the manifest names (SHA-256)")
            if len(content) != listed[path].size:
                raise _Wrong(file=path, why="its size is not the one the manifest names")
        self.checked["files as the manifest names them"] += len(listed)

    def _point_at_leaf(self, path: str) -> None:
        """Raises with the first leaf that parts from its stored hash, where the file can tell."""
        folder, _, file = path.rpartition("/")
        if file not in ("leaves.jsonl", "leaf-hashes.bin"):
            return
        lines = self._file(f"{folder}/leaves.jsonl").split(b"\n")
        stored = self._file(f"{folder}/leaf-hashes.bin")
        if lines[-1] == b"":
            lines.pop()
        starts = range(0, len(stored), merkle.HASH_SIZE)
        hashes = [stored[start : start + merkle.HASH_SIZE] for start in starts]
        for index, (line, stood) in enumerate(zip_longest(lines, hashes)):
            if line is None or merkle.leaf_hash(line) != stood:
                book = folder.removeprefix("books/")
                raise _Wrong(file=path, book=book, index=index, why=_NOT_ITS_HASH)

    def _compare_policy(self, trusted: Policy) -> None:
        with _blaming(file=bundle.POLICY):
            if notes.read_policy(self._file(bundle.POLICY)).log != trusted.log:
                raise WrongInput("$.log", "the log key that signed the manifest")

    # ---- one book

    def _examine(self, book: str, trusted: Policy) -> None:
        lines = self._lines(book, "leaves.jsonl")
        hashes = self._leaf_hashes(book, leaves=len(lines))
        roots = _Roots(book)
        for checkpoint in self._checkpoints(book, trusted, leaves=len(lines)):
            roots.expect(checkpoint.size, checkpoint.root.hex(), "checkpoint of the log")
        for position, head in self._heads.get(book, ()):
            roots.expect(head.size, head.root, f"head at {position} of the top log")
        replay = Replay(book, salt=self._salt(book), keys=self._keys)
        roots.compare(replay)
        for index, (line, stood) in enumerate(zip(lines, hashes, strict=True)):
            if merkle.leaf_hash(line) != stood:
                raise _Wrong(book=book, index=index, why=_NOT_ITS_HASH)
            with _blaming(book=book, index=index):
                replay.take(line)
            roots.compare(replay)
        roots.finish(replay)
        self.checked["roots re-derived"] += roots.agreed
        self._compare_balances(replay)
        self._conclude(replay)

    def _lines(self, book: str, file: str) -> list[bytes]:
        path = bundle.path_of(book, file)
        with _blaming(file=path, book=book):
            return bundle.read_lines(self._file(path), place=path)

    def _leaf_hashes(self, book: str, *, leaves: int) -> list[bytes]:
        path = bundle.path_of(book, "leaf-hashes.bin")
        with _blaming(file=path, book=book):
            hashes = bundle.read_leaf_hashes(self._file(path), place=path)
        if len(hashes) != leaves:
            why = f"there are {leaves} leaves and {len(hashes)} leaf hashes"
            raise _Wrong(file=path, book=book, index=min(leaves, len(hashes)), why=why)
        return hashes

    def _salt(self, book: str) -> bytes:
        path = bundle.path_of(book, "salt.hex")
        with _blaming(file=path, book=book):
            return bundle.read_salt(self._file(path), place=path)

    def _checkpoints(
        self, book: str, trusted: Policy, *, leaves: int
    ) -> Sequence[notes.Checkpoint]:
        """The book's checkpoints: each signed by the log key, sizes rising, the last over all."""
        path = bundle.path_of(book, "checkpoints.jsonl")
        origin = notes.origin(installation=trusted.log.name, book=book)
        opened: list[OpenedCheckpoint] = []
        for index, line in enumerate(self._lines(book, "checkpoints.jsonl")):
            with _blaming(file=path, book=book, index=index):
                found = notes.open_checkpoint(
                    bundle.read_checkpoint_line(line, place=path),
                    origin=origin,
                    log=trusted.log,
                    witnesses=trusted.witnesses,
                )
                if opened and found.checkpoint.size <= opened[-1].checkpoint.size:
                    raise WrongInput("checkpoint line 2", "sizes that rise")
            opened.append(found)
            self.checked["checkpoints signed by the log key"] += 1
            self.checked["cosignatures that hold"] += len(found.cosignatures)
        if book == TOP:
            self._judge_top(opened, trusted)
        last = opened[-1].checkpoint.size if opened else 0
        if last < leaves:
            why = f"the last checkpoint covers {last} leaves, and the book has {leaves}"
            raise _Wrong(book=book, index=last, why=why)
        return [found.checkpoint for found in opened]

    def _judge_top(self, opened: Sequence[OpenedCheckpoint], trusted: Policy) -> None:
        """The last head of the top log counts under a policy; under self trust it is reported."""
        if not opened:
            raise _Wrong(book=TOP, index=0, why="the top log has no signed head")
        standing = {signed.key for signed in opened[-1].cosignatures}
        self.missing.extend(
            f"a cosignature by {witness.name} on the last head of the top log"
            for witness in trusted.witnesses
            if witness not in standing
        )
        if trusted.counts(opened[-1]):
            self.checked[f"top head cosigned by {trusted.threshold} or more, as asked"] += 1
        elif self.policy is not None:
            counting = [found.checkpoint.size for found in opened if trusted.counts(found)]
            why = (
                f"{len(standing)} of the {trusted.threshold} cosignatures the policy asks for "
                "stand on the last head"
            )
            raise _Wrong(book=TOP, index=max(counting, default=0), why=why)

    def _compare_balances(self, replay: Replay) -> None:
        path = bundle.path_of(replay.book, "balances.jsonl")
        with _blaming(file=path, book=replay.book):
            derived = bundle.balance_lines(replay.balances)
        stored = self._lines(replay.book, "balances.jsonl")
        for index, (one, other) in enumerate(zip_longest(derived, stored)):
            if one != other:
                why = "the stored balance is not the sum of the entries"
                raise _Wrong(file=path, book=replay.book, index=index, why=why)
        self.checked["balances re-derived from entries"] += len(derived)

    def _conclude(self, replay: Replay) -> None:
        """What a book that holds adds to the verdict and to the examination of the next ones."""
        book, size = replay.book, replay.size
        if book == TOP:
            self._heads = replay.heads
        else:
            heads = self._heads.get(book, ())
            covered = heads[-1][1].size if heads else 0
            if covered != size:
                why = f"the top log's last head of the book covers {covered} of {size} leaves"
                raise _Wrong(book=book, index=covered, why=why)
            self.checked["heads of books in the top log"] += len(heads)
        if book == REGISTRY:
            self._keys = replay.keys
        self.checked.update(replay.checked)
        self.books[book] = BookVerdict(
            leaves=size,
            entries=replay.entries,
            accounts=len(replay.balances),
            root=replay.root().hex(),
            trial_balance=replay.trial_balance(),
            sealed_through=None if replay.seal is None else replay.seal.day,
        )
        if replay.entries and replay.seal_position is None:
            self.missing.append(f"a day seal of {book}")
        elif replay.entries and replay.seal_position != size - 1:
            self.missing.append(f"a day seal over the last leaves of {book}: its day is still open")


_NOT_ITS_HASH = "the leaf's bytes do not have the hash that was stored for it"


class _Roots:
    """Roots of one log that were signed or published, compared as the log grows past each size."""

    def __init__(self, book: str) -> None:
        self.agreed = 0
        self._book = book
        self._expected: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        self._last_size = 0

    def expect(self, size: int, root: str, what: str) -> None:
        """The first `size` leaves must have this root (hex)."""
        self._expected[size].append((root, what))

    def compare(self, replay: Replay) -> None:
        """Raises with the first leaf that can be wrong: the one after the last root that agreed."""
        if replay.size not in self._expected:
            return
        actual = replay.root().hex()
        for root, what in self._expected.pop(replay.size):
            if root != actual:
                why = f"the {what} is not the root of the first {replay.size} leaves"
                raise _Wrong(book=self._book, index=self._last_size, why=why)
            self.agreed += 1
        self._last_size = replay.size

    def finish(self, replay: Replay) -> None:
        """Raises where a root was signed or published over more leaves than there are."""
        for size, expected in sorted(self._expected.items()):
            why = f"the {expected[0][1]} covers {size} leaves, and the book has {replay.size}"
            raise _Wrong(book=self._book, index=replay.size, why=why)
