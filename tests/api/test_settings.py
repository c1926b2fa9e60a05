"""Settings: every name is known, every value is judged, no password is repeated."""

import os
from datetime import date
from pathlib import Path

import pytest

from api.settings import asyncpg_dsn, read_settings, sqlalchemy_dsn
from ledger.errors import WrongInput


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("LIANDAI_"):
            monkeypatch.delenv(name)


def test_without_a_word_it_listens_on_this_machine_alone_and_keeps_its_own_database() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8470, 1)
    assert settings.database_url is None
    assert settings.home == Path(".liandai")
    assert (settings.body_limit_bytes, settings.bulk_body_limit_bytes) == (1_048_576, 10_485_760)


def test_a_variable_sets_the_field_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDAI_HOME", "/srv/books")
    monkeypatch.setenv("LIANDAI_PORT", "0")
    monkeypatch.setenv("LIANDAI_HOST", "::1")
    monkeypatch.setenv("LIANDAI_LOG_FORMAT", "json")
    monkeypatch.setenv("LIANDAI_FIRST_BUSINESS_DAY", "2026-01-15")
    settings = read_settings()
    assert settings.home == Path("/srv/books")
    assert (settings.host, settings.port, settings.log_format) == ("::1", 0, "json")
    assert settings.first_business_day == date(2026, 1, 15)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDAI_DATABASE_URL", "")
    monkeypatch.setenv("LIANDAI_PORT", "")
    settings = read_settings()
    assert (settings.database_url, settings.port) == (None, 8470)


@pytest.mark.parametrize("name", ["LIANDAI_PROT", "LIANDAI_", "liandai_port", "LIANDAI_DATABASE"])
def test_a_name_that_is_not_known_is_refused_with_the_names_that_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "9000")
    with pytest.raises(WrongInput) as refusal:
        read_settings()
    assert refusal.value.place == name
    assert "LIANDAI_PORT" in refusal.value.expected
    assert "LIANDAI_DATABASE_URL" in refusal.value.expected
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["LIANDAI_DATA", "LIANDAI_VECTORS", "LIANDAI_BENCH_CLIENTS", "LIANDAI_TEST_CITUS_URL"]
)
def test_names_of_the_tests_and_measurements_are_left_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "anything")
    assert read_settings().port == 8470


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LIANDAI_PORT", "http", "valid integer"),
        ("LIANDAI_PORT", "65536", "65535"),
        ("LIANDAI_PORT", "-1", "0"),
        ("LIANDAI_WORKERS", "0", "1"),
        ("LIANDAI_HOST", "bank.example", "IP address"),
        ("LIANDAI_LOG_FORMAT", "xml", "'json'"),
        ("LIANDAI_LOG_LEVEL", "loud", "'info'"),
        ("LIANDAI_FIRST_BUSINESS_DAY", "2026-02-30", "date"),
        ("LIANDAI_STATEMENT_TIMEOUT_MS", "0", "100"),
        ("LIANDAI_DATABASE_URL", "mysql://u:geheim-7@db/x", "postgresql://"),
        ("LIANDAI_DATABASE_URL", "u:geheim-7@db/x", "postgresql://"),
        ("LIANDAI_DATABASE_URL", "postgresql://u:geheim-7@db", "name"),
        ("LIANDAI_DATABASE_URL", "postgresql://u:geheim-7@[db/", "name"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line_that_does_not_repeat_it(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongInput) as refusal:
        read_settings()
    assert refusal.value.place == name
    assert expected in refusal.value.expected
    assert "\n" not in str(refusal.value)
    assert "geheim-7" not in str(refusal.value)
    assert refusal.value.__suppress_context__, "the cause would print the value"


@pytest.mark.parametrize(
    ("given", "for_sqlalchemy", "for_asyncpg"),
    [
        (
            "postgres://u:p@db:5433/books",
            "postgresql+asyncpg://u:p@db:5433/books",
            "postgresql://u:p@db:5433/books",
        ),
        (
            "postgresql://u:p%40q@db/books?sslmode=verify-full&application_name=a",
            "postgresql+asyncpg://u:p%40q@db/books?ssl=verify-full&application_name=a",
            "postgresql://u:p%40q@db/books?sslmode=verify-full&application_name=a",
        ),
        (
            "postgresql+asyncpg://u:p@[::1]/books?ssl=disable",
            "postgresql+asyncpg://u:p@[::1]/books?ssl=disable",
            "postgresql://u:p@[::1]/books?sslmode=disable",
        ),
        (
            "postgresql://u:p@/books?host=/run/pg&port=5432",
            "postgresql+asyncpg://u:p@/books?host=/run/pg&port=5432",
            "postgresql://u:p@/books?host=/run/pg&port=5432",
        ),
    ],
)
def test_every_way_to_write_a_database_address_means_the_same(
    given: str, for_sqlalchemy: str, for_asyncpg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIANDAI_DATABASE_URL", given)
    assert read_settings().database_url == for_sqlalchemy
    assert asyncpg_dsn(for_sqlalchemy) == for_asyncpg
    assert sqlalchemy_dsn(for_asyncpg) == for_sqlalchemy
