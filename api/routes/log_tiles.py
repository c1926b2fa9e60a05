"""The logs as files: signed heads, tiles of hashes and entry bundles, as C2SP tlog-tiles has them.

The top log's tree is public, at the prefix `/v1/log`; a book's is its members', at the prefix
`/v1/books/{book}/log`. Leaves themselves hold everyone's entries, and those of the top log name
every book there is, so entry bundles are for who may take an audit bundle home.
"""

from datetime import UTC, datetime
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.params import FromPath

from api.database import NOBODY
from api.desk import AtDesk
from api.identity import any_member, may
from ledger import publishing, tiles

BYTES = "application/octet-stream"
TEXT = "text/plain"
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
FOREVER_YOURS = {"cache-control": "private, max-age=31536000, immutable"}
NEVER = {"cache-control": "no-store"}


def _path(tile: str) -> str:
    """The rest of the path as it stands in a tile's name: without the slash before it."""
    return tile.removeprefix("/")


@get("/v1/log/checkpoint-to-cosign", security=[{}], tags=["log"], media_type=MediaType.TEXT)
async def head_to_cosign(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The top log's head that witnesses are asked to cosign now, public: a C2SP checkpoint.

    It stays the same for a quarter of a minute, so that witnesses come together under one head.
    """
    async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
        head = await publishing.checkpoint_to_cosign(conn, now=datetime.now(UTC))
    return Response(head.note, media_type=TEXT, headers=NEVER)


@get("/v1/log/tile/{tile:path}", security=[{}], tags=["log"], media_type=BYTES)
async def top_tile(request: Request[Any, Any, Any], tile: FromPath[str]) -> Response[bytes]:
    """A tile of the top log's tree, public: `<L>/<N>[.p/<W>]`, 32 bytes a hash, never changing."""
    asked = tiles.read_tile(_path(tile))
    async with request.app.state.database.transaction(NOBODY, read_only=True) as conn:
        found = await publishing.tile(conn, book=publishing.TOP, asked=asked)
    return Response(found, media_type=BYTES, headers=FOREVER)


@get(
    "/v1/log/tile/entries/{tile:path}",
    guards=[may("export-bundle")],
    tags=["log"],
    media_type=BYTES,
)
async def top_entries(desk: AtDesk, tile: FromPath[str]) -> Response[bytes]:
    """Leaves of the top log, 256 in a bundle: `<N>[.p/<W>]`; for auditors, as they name books."""
    asked = tiles.read_bundle(_path(tile))
    found = await desk.ask(
        lambda conn: publishing.entry_bundle(conn, book=publishing.TOP, asked=asked)
    )
    return Response(found, media_type=BYTES, headers=FOREVER_YOURS)


@get(
    "/v1/books/{book:str}/log/checkpoint",
    guards=[any_member()],
    tags=["log"],
    media_type=MediaType.TEXT,
)
async def book_checkpoint(desk: AtDesk, book: FromPath[str]) -> Response[bytes]:
    """The latest head of a book's log as plain text: a C2SP checkpoint."""
    head = await desk.ask(lambda conn: publishing.checkpoint(conn, book=book))
    return Response(head.note, media_type=TEXT, headers=NEVER)


@get(
    "/v1/books/{book:str}/log/tile/{tile:path}",
    guards=[any_member()],
    tags=["log"],
    media_type=BYTES,
)
async def book_tile(desk: AtDesk, book: FromPath[str], tile: FromPath[str]) -> Response[bytes]:
    """A tile of a book's tree: `<L>/<N>[.p/<W>]`, 32 bytes a hash, never changing."""
    asked = tiles.read_tile(_path(tile))
    found = await desk.ask(lambda conn: publishing.tile(conn, book=book, asked=asked))
    return Response(found, media_type=BYTES, headers=FOREVER_YOURS)


@get(
    "/v1/books/{book:str}/log/tile/entries/{tile:path}",
    guards=[may("export-bundle")],
    tags=["log"],
    media_type=BYTES,
)
async def book_entries(desk: AtDesk, book: FromPath[str], tile: FromPath[str]) -> Response[bytes]:
    """Leaves of a book verbatim, 256 in a bundle: `<N>[.p/<W>]`; for auditors."""
    asked = tiles.read_bundle(_path(tile))
    found = await desk.ask(lambda conn: publishing.entry_bundle(conn, book=book, asked=asked))
    return Response(found, media_type=BYTES, headers=FOREVER_YOURS)


HANDLERS = (head_to_cosign, top_tile, top_entries, book_checkpoint, book_tile, book_entries)
