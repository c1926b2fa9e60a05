"""What an audit bundle is, file by file, and how one is written. It never judges; `verify` does.

A bundle holds some books of one installation, always with its `registry` (keys and consents) and
its `top` log (the heads of all books). It needs no database and no network to be verified.

    file                           content
    manifest.note                  a note signed by the log key, see below
    policy.json                    the keys and the threshold the installation itself names
    books/BOOK/leaves.jsonl        every leaf of the book's log verbatim, one a line, in log order
    books/BOOK/leaf-hashes.bin     the stored RFC 6962 leaf hashes, 32 bytes each, in log order
    books/BOOK/checkpoints.jsonl   {"note": ...}: the signed heads with cosignatures, sizes rising;
                                   the last covers every leaf
    books/BOOK/balances.jsonl      {"account": ..., "balance_minor": ...} of every account, sorted
    books/BOOK/salt.hex            the book's secret salt, which opens the day seals
    reference/NAME.json            attachments: tables that were published elsewhere and that facts
                                   rest on; what they mean is not known here

The manifest's text is `liandai.bundle/v1`, the installation, then `<sha256> <size> <path>` for
every other file, sorted by path. So each byte of each file, the manifest's included, stands under
the log key, and a bundle has exactly the files named there. A manifest never passes for a
checkpoint: no root of a tree has blanks in it.

What the database stores goes in as it is stored, leaf hashes and balances too, and is not computed
here: a bundle that agreed only with itself would prove nothing about the database.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from ledger import notes
from ledger.documents import canonical, read_document
from ledger.entries import Account
from ledger.errors import WrongInput
from ledger.merkle import HASH_SIZE
from ledger.notes import Policy
from ledger.replay import REGISTRY, TOP
from ledger.seals import SALT_SIZE
from ledger.signatures import Signer

MANIFEST: Final = "manifest.note"
POLICY: Final = "policy.json"
BOOK_FILES: Final = (
    "balances.jsonl",
    "checkpoints.jsonl",
    "leaf-hashes.bin",
    "leaves.jsonl",
    "salt.hex",
)

_HEADER = "liandai.bundle/v1"
_BOOK = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_ATTACHMENT = re.compile(r"reference/(?P<name>[a-z0-9][a-z0-9-]{0,79}\.json)")
_PATH = re.compile(rf"books/(?P<book>{_BOOK.pattern})/(?P<file>[a-z-]+\.[a-z]+)")
_FILE_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) (?P<size>0|[1-9][0-9]{0,14}) (?P<path>\S+)")
_SALT = re.compile(rb"[0-9a-f]{64}\n")


class BookContents(msgspec.Struct, frozen=True, kw_only=True):
    """One book as the database has it.

    leaves       verbatim bytes in log order; leaf_hashes  as stored beside them
    checkpoints  notes with their cosignature lines, rising in size, the last over every leaf
    balances     of every account ever touched, those of zero included
    salt         the book's 32 secret bytes
    """

    book: str
    leaves: Sequence[bytes]
    leaf_hashes: Sequence[bytes]
    checkpoints: Sequence[bytes]
    balances: Mapping[Account, int]
    salt: bytes


class BundleContents(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a bundle: `top`, `registry`, the books it is about, attachments by name."""

    policy: Policy
    books: Sequence[BookContents]
    attachments: Mapping[str, bytes] = {}


class ListedFile(msgspec.Struct, frozen=True):
    """One file as the manifest names it."""

    size: int
    sha256: bytes


class Manifest(msgspec.Struct, frozen=True):
    """The installation and every file but the manifest itself, by path in sorted order."""

    installation: str
    files: dict[str, ListedFile]

    @property
    def books(self) -> list[str]:
        """The books of the bundle, sorted."""
        return sorted({match["book"] for path in self.files if (match := _PATH.fullmatch(path))})


class BalanceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of balances.jsonl."""

    account: Account
    balance_minor: int


class CheckpointLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of checkpoints.jsonl."""

    note: str


def write(contents: BundleContents, *, signer: Signer) -> dict[str, bytes]:
    """Every file of the bundle by its path with slashes; only these make up the bundle.

    signer  the log's, whose key is the policy's
    Raises WrongInput for another signer, a malformed or repeated book name, a missing `top` or
    `registry`, or a salt that is not 32 bytes.
    """
    names = [book.book for book in contents.books]
    if signer.public != contents.policy.log.public:
        raise WrongInput("signer", "the signer of the policy's log key")
    if len(set(names)) != len(names) or not {TOP, REGISTRY}.issubset(names):
        raise WrongInput("$.books", f"each book once, `{TOP}` and `{REGISTRY}` among them")
    for book in contents.books:
        if _BOOK.fullmatch(book.book) is None:
            raise WrongInput("$.books", "lower-case book names that can stand in a file name")
        if len(book.salt) != SALT_SIZE:
            raise WrongInput("$.books", f"a salt of {SALT_SIZE} bytes for {book.book}")
    files = {POLICY: notes.write_policy(contents.policy)}
    for attached, content in contents.attachments.items():
        if _ATTACHMENT.fullmatch(f"reference/{attached}") is None:
            raise WrongInput("$.attachments", "lower-case names that end in .json")
        files[f"reference/{attached}"] = content
    for book in contents.books:
        files.update(_book_files(book))
    name = contents.policy.log.name
    text = manifest_text(name, files)
    return {MANIFEST: notes.sign_note(text, name=name, signer=signer), **files}


def _book_files(book: BookContents) -> dict[str, bytes]:
    return {
        path_of(book.book, "leaves.jsonl"): as_lines(book.leaves),
        path_of(book.book, "leaf-hashes.bin"): b"".join(book.leaf_hashes),
        path_of(book.book, "checkpoints.jsonl"): as_lines(
            canonical(CheckpointLine(note=note.decode())) for note in book.checkpoints
        ),
        path_of(book.book, "balances.jsonl"): as_lines(balance_lines(book.balances)),
        path_of(book.book, "salt.hex"): as_lines([book.salt.hex().encode()]),
    }


def path_of(book: str, file: str) -> str:
    """Where a book's file stands in the bundle."""
    return f"books/{book}/{file}"


def attachments(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The attachments among a bundle's files, by their names."""
    return {
        match["name"]: content
        for path, content in files.items()
        if (match := _ATTACHMENT.fullmatch(path))
    }


def balance_lines(balances: Mapping[Account, int]) -> list[bytes]:
    """The lines of balances.jsonl, in account order, zero balances included."""
    return [
        canonical(BalanceLine(account=account, balance_minor=balances[account]))
        for account in sorted(balances)
    ]


def as_lines(lines: Iterable[bytes]) -> bytes:
    """The lines of a file, each with its newline."""
    return b"".join(line + b"\n" for line in lines)


# ---- reading, one file at a time; each refuses what `write` would not have written


def manifest_text(installation: str, files: Mapping[str, bytes]) -> str:
    """The text that is signed; `files` without the manifest."""
    listed = (
        f"{sha256(content).hexdigest()} {len(content)} {path}"
        for path, content in sorted(files.items())
    )
    return "".join(f"{line}\n" for line in (_HEADER, installation, *listed))


def read_manifest(text: str) -> Manifest:
    """The manifest of a note's text, with exactly the files of a bundle.

    Raises WrongInput for another header, a line that is malformed or out of order, a file no bundle
    has, a book without one of its files, or a missing `top` or `registry`.
    """
    header, *rest = text.removesuffix("\n").split("\n")
    if header != _HEADER or not rest:
        raise WrongInput(MANIFEST, f"the header {_HEADER} and the installation")
    installation, *listed = rest
    files: dict[str, ListedFile] = {}
    for number, line in enumerate(listed, start=3):
        match = _FILE_LINE.fullmatch(line)
        if match is None:
            raise WrongInput(f"{MANIFEST} line {number}", "`<sha256> <size> <path>`")
        files[match["path"]] = ListedFile(int(match["size"]), bytes.fromhex(match["digest"]))
    manifest = Manifest(installation, files)
    books = manifest.books
    expected = {POLICY, *(path_of(book, file) for book in books for file in BOOK_FILES)}
    expected.update(path for path in files if _ATTACHMENT.fullmatch(path))
    if list(files) != sorted(expected) or len(listed) != len(files):
        raise WrongInput(MANIFEST, "exactly the files of a bundle, each once and in order")
    if TOP not in books or REGISTRY not in books:
        raise WrongInput(MANIFEST, f"the books `{TOP}` and `{REGISTRY}`")
    return manifest


def read_lines(raw: bytes, *, place: str) -> list[bytes]:
    """The lines of a file, without their newlines; the last one must have its own."""
    if not raw:
        return []
    if not raw.endswith(b"\n"):
        raise WrongInput(place, "lines, each with its newline")
    return raw[:-1].split(b"\n")


def read_leaf_hashes(raw: bytes, *, place: str) -> list[bytes]:
    """The leaf hashes in log order."""
    if len(raw) % HASH_SIZE:
        raise WrongInput(place, f"hashes of {HASH_SIZE} bytes each")
    return [raw[start : start + HASH_SIZE] for start in range(0, len(raw), HASH_SIZE)]


def read_checkpoint_line(line: bytes, *, place: str) -> bytes:
    """The note on one line of checkpoints.jsonl."""
    document = read_document(line, CheckpointLine, place=place)
    if canonical(document) != line:
        raise WrongInput(place, "canonical JSON")
    return document.note.encode()


def read_salt(raw: bytes, *, place: str) -> bytes:
    """The book's salt."""
    if _SALT.fullmatch(raw) is None:
        raise WrongInput(place, f"{2 * SALT_SIZE} lower-case hex digits and a newline")
    return bytes.fromhex(raw.decode("ascii"))
