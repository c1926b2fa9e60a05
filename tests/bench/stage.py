"""A served installation to measure: our own PostgreSQL in a throw-away home, banks and books."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import msgspec

from api import embedded, running
from api.client import Client
from api.settings import Settings, asyncpg_dsn

BANKS = ("alfa", "beta", "gamma", "delta")
DAY = date(2024, 3, 1)


class Keeper(msgspec.Struct, frozen=True):
    """A house book and the token of the person who posts in it."""

    book: str
    bank: str
    token: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The service and whom to be. dsn: for asyncpg, as the login that owns all."""

    url: str
    dsn: str
    keepers: tuple[Keeper, ...]
    hot: Keeper


@contextmanager
def throwaway_home() -> Iterator[Path]:
    """A home that is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="liandai-bench-"))
    try:
        yield home
    finally:
        embedded.discard(home)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def stage(books: int) -> Iterator[Stage]:
    """A stage with so many house books, spread over the banks, and one more: the hot one."""
    with throwaway_home() as home:
        settings = Settings(home=home, first_business_day=DAY, log_level="error")
        with running.database(settings, say=lambda _line: None) as url:
            founded = running.prepare(
                url, settings, name="liandai.bench", purpose="demo", first_day=DAY, fresh=False
            )
            assert founded is not None
            with running.server(url, settings, founded=founded, port=0) as server:
                tokens = _board(server.url, founded.operator_token)
                keepers = [
                    _open(server.url, bank=BANKS[n % len(BANKS)], name=f"b{n}", tokens=tokens)
                    for n in range(books)
                ]
                hot = _open(server.url, bank=BANKS[0], name="hot", tokens=tokens)
                yield Stage(url=server.url, dsn=asyncpg_dsn(url), keepers=tuple(keepers), hot=hot)


def _board(url: str, operator_token: str) -> dict[str, str]:
    tokens = {}
    with Client(url, operator_token) as operator:
        for bank in BANKS:
            operator.post(
                "/v1/institutions",
                {
                    "institution": bank,
                    "kind": "bank",
                    "name": f"示例{bank}",
                    "name_en": bank,
                    "uscc": None,
                    "illustrative": True,
                },
            )
            person = f"{bank}-operations"
            operator.post(
                f"/v1/institutions/{bank}/people",
                {"person": person, "name": person, "roles": ["operations"]},
            )
            issued = operator.post(f"/v1/people/{person}/tokens", {"days": 1})
            tokens[bank] = issued["token"]
    return tokens


def _open(url: str, *, bank: str, name: str, tokens: dict[str, str]) -> Keeper:
    book = f"own-{bank}-{name}"
    with Client(url, tokens[bank]) as operations:
        operations.post("/v1/books", {"book": book})
    return Keeper(book, bank, tokens[bank])
