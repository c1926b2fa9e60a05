"""Where the real inputs stand that nobody here wrote; tests skip with a reason where absent."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """The folder of real reference inputs (`LIANDAI_DATA`), or a skip that says it is absent."""
    return _folder("LIANDAI_DATA", ROOT.parent / "shared" / "data")


def vectors_folder() -> Path:
    """The folder of third-party vectors (`LIANDAI_VECTORS`), or a skip that says it is absent."""
    return _folder("LIANDAI_VECTORS", ROOT.parent / "shared" / "vectors")


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{variable}: no folder at {folder}")
    return folder
