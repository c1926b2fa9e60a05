"""What may be set from outside, and what do those settings mean?

Every setting is an environment variable `LIANDAI_<NAME>`; there is no settings file. A misspelt
name is refused, since a limit that was never in force is worse than a program that will not start.
Nothing here opens a connection or reads a clock.
"""

import os
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.errors import WrongInput

PREFIX = "LIANDAI_"
# For the tests and the measurements; the product itself never reads them.
_OF_THE_TESTS = ("LIANDAI_DATA", "LIANDAI_VECTORS")
_OF_THE_TESTS_PREFIXES = ("LIANDAI_BENCH_", "LIANDAI_TEST_")

_SCHEMES = ("postgresql+asyncpg", "postgresql", "postgres")


def sqlalchemy_dsn(dsn: str) -> str:
    """A database address as SQLAlchemy wants it: `postgresql+asyncpg://`, `ssl=` for encryption.

    Takes `postgresql://`, `postgres://` and `postgresql+asyncpg://`. Raises ValueError, whose text
    never holds the address, as that holds a password.
    """
    return _rewritten(dsn, scheme="postgresql+asyncpg", encryption="ssl")


def asyncpg_dsn(dsn: str) -> str:
    """The same address for asyncpg alone or libpq's programs: `postgresql://`, `sslmode=`."""
    return _rewritten(dsn, scheme="postgresql", encryption="sslmode")


def _ip_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("an IP address, as 127.0.0.1 or 0.0.0.0") from None


class Settings(BaseSettings):
    """Everything that can be set. Made by `read_settings`, which says what is wrong in one line."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    database_url: Annotated[str, AfterValidator(sqlalchemy_dsn)] | None = Field(
        default=None, description="PostgreSQL 15 or later to use; none: one of our own in `home`"
    )
    home: Path = Field(default=Path(".liandai"), description="folder of the embedded PostgreSQL")
    pg_user: str | None = Field(
        default=None, description="account that runs the embedded PostgreSQL for root; else nobody"
    )
    pool_size: int = Field(
        default=20, ge=1, le=90, description="connections to PostgreSQL, for each worker"
    )
    statement_timeout_ms: int = Field(
        default=30_000, ge=100, le=3_600_000, description="longest time for one statement"
    )

    host: Annotated[str, AfterValidator(_ip_address)] = Field(
        default="127.0.0.1", description="address to listen on"
    )
    port: int = Field(default=8470, ge=0, le=65_535, description="port to listen on; 0: any free")
    workers: int = Field(default=1, ge=1, le=64, description="processes that answer requests")
    body_limit_bytes: int = Field(
        default=1 << 20, ge=1 << 10, le=1 << 26, description="longest request body"
    )
    bulk_body_limit_bytes: int = Field(
        default=10 << 20, ge=1 << 10, le=1 << 30, description="the same on bulk and import routes"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level that is logged"
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="for a reader, or one JSON object a line"
    )
    first_business_day: date | None = Field(
        default=None, description="open business day of a new ledger; none: today in Shanghai"
    )


def read_settings() -> Settings:
    """The settings of this process's environment. An empty variable counts as not set.

    Raises WrongInput, with the variable as its place, for a name that is not known and for a value
    that is not what was expected. A value is never repeated: it may be a password.
    """
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name not in known and not _of_the_tests(name):
            raise WrongInput(name, f"one of {', '.join(known)}")
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        expected = wrong["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise WrongInput(f"{PREFIX}{str(wrong['loc'][0]).upper()}", expected) from None


def _of_the_tests(name: str) -> bool:
    return name in _OF_THE_TESTS or name.startswith(_OF_THE_TESTS_PREFIXES)


def _rewritten(dsn: str, *, scheme: str, encryption: str) -> str:
    # By hand: the library's parser repeats what it cannot read, password included, in its errors.
    given, _, rest = dsn.strip().partition("://")
    if given not in _SCHEMES:
        raise ValueError("a PostgreSQL address, as postgresql://user:password@host:port/database")
    place, _, query = rest.partition("?")
    if not place.rpartition("/")[1] or not place.rpartition("/")[2]:
        raise ValueError("an address that ends in the database's name, as .../liandai")
    options = [option.partition("=") for option in query.split("&") if option]
    renamed = [
        f"{encryption if name in ('ssl', 'sslmode') else name}={value}"
        for name, _, value in options
    ]
    return f"{scheme}://{place}" + ("?" + "&".join(renamed) if renamed else "")
