"""Audit bundles as folders: read for the verifier, written from a database. It judges nothing."""

import os
from pathlib import Path

from ledger.errors import WrongInput

MAX_FILES = 100_000


def read_folder(folder: str) -> dict[str, bytes]:
    """Every file below the folder by its relative path, and every empty folder as `name/`.

    Links are not followed: a link is no file of a bundle. WrongInput where there is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise WrongInput("BUNDLE", f"a folder that holds an audit bundle, not {folder}")
    files: dict[str, bytes] = {}
    for place, folders, names in os.walk(root, followlinks=False):
        here = Path(place)
        for name in folders:
            if (here / name).is_symlink():
                files[f"{(here / name).relative_to(root).as_posix()}@link"] = b""
        if not folders and not names and here != root:
            files[f"{here.relative_to(root).as_posix()}/"] = b""
        for name in names:
            path = here / name
            relative = path.relative_to(root).as_posix()
            if path.is_symlink() or not path.is_file():
                files[f"{relative}@link"] = b""
                continue
            try:
                files[relative] = path.read_bytes()
            except OSError as error:
                raise WrongInput("BUNDLE", f"readable files ({relative}: {error})") from error
        if len(files) > MAX_FILES:
            raise WrongInput("BUNDLE", f"at most {MAX_FILES} files")
    return files


def write_folder(files: dict[str, bytes], out: Path) -> None:
    """The files stand below `out`, which was not there or empty; whole or not at all."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WrongInput("--out", f"a folder that is not there yet or is empty, not {out}")
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
