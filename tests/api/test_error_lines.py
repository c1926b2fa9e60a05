"""What the service's commands say of a database they cannot work with: one line, exit 2."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from api.cli import run

SECRET = "not-the-password"


def changed(url: str, **parts: str | int) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIANDAI_HOME", str(tmp_path))
    monkeypatch.setenv("LIANDAI_PORT", "0")
    return tmp_path


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, *words: str
) -> str:
    """The one line on stderr of a command that answers nothing and exits 2."""
    monkeypatch.setenv("LIANDAI_DATABASE_URL", url)
    code = run(list(words))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert SECRET not in err
    return err


COMMANDS = (("audit",), ("migrate",), ("serve",), ("bundle", "--out", "bundle-of-nothing"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_server_that_does_not_answer_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    url = f"postgresql://liandai:{SECRET}@127.0.0.1:1/liandai"
    line = said(capsys, monkeypatch, url, *words)
    assert line.startswith("liandai: the database of LIANDAI_DATABASE_URL does not let us in: ")


@pytest.mark.usefixtures("home")
def test_a_database_that_is_not_there_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    line = said(capsys, monkeypatch, changed(server_url, database="no-such-place"), "migrate")
    assert 'database "no-such-place" does not exist' in line


@pytest.mark.usefixtures("home")
def test_a_wrong_password_is_one_line_that_does_not_repeat_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    url = changed(server_url, password=SECRET, database="no-such-place")
    line = said(capsys, monkeypatch, url, "migrate")
    # A server that trusts this machine asks for no password: its own complaint comes next.
    refusals = ("password authentication failed", 'database "no-such-place" does not exist')
    assert any(refusal in line for refusal in refusals)


def test_a_bundle_of_an_empty_database_is_refused_and_leaves_no_folder(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bare_url: str,
    home: Path,
) -> None:
    line = said(capsys, monkeypatch, bare_url, "bundle", "--out", str(home / "bundle"))
    assert line == "liandai: the database holds no installation yet\n"
    assert not (home / "bundle").exists()
