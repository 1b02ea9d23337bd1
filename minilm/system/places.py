"""Where a save may write: the file or the folder that a path leads to, symbolic links followed.

A link is never replaced by what is saved: its target is. A file is never taken for a folder, nor a folder for a file;
the home folder, its parents and the root are refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from minilm.system.errors import SaveError


def as_path(value: str | os.PathLike[str], name: str = "path") -> Path:
    """The value as a path; "~" at its beginning is the home folder, as in a shell.

    Raises:
        ValueError: it is not a text or a path, it is empty, it holds a NUL character, or there is no such home folder.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise ValueError(f"{name} must be a path, not {value!r}: give a text or a pathlib.Path")
    if not os.fspath(value).strip() or "\0" in os.fspath(value):
        raise ValueError(f"{name} must be the name of a place, not {os.fspath(value)!r}: name one")
    path = os.path.expanduser(value)
    if path.startswith("~"):  # else a folder of that very name would be made
        raise ValueError(
            f"{name} must be in a home that exists, not {path!r}: write ./{path} for that very name"
        )
    return Path(path)


def file_to_save(path: str | os.PathLike[str]) -> Path:
    """The file that a save to this path will write.

    Raises:
        ValueError: the path is not the name of a file.
        SaveError: there is a folder, a device or the like.
    """
    target = Path(os.path.realpath(as_path(path)))
    if target.is_dir():
        raise SaveError(f"could not save {path}: it is a folder; give the name of a file in it")
    if os.path.lexists(target) and not target.is_file():
        raise SaveError(f"could not save {path}: it is not a regular file; choose another name")
    return target


def folder_to_save(path: str | os.PathLike[str]) -> Path:
    """The folder that a save to this path will write to; it may be absent.

    Raises:
        ValueError: the path is not the name of a folder.
        SaveError: there is a file, or it is the home folder, a parent of it, or the root.
    """
    target = Path(os.path.realpath(as_path(path, "folder")))
    home = Path(os.path.realpath(os.path.expanduser("~")))
    if os.path.lexists(target) and not target.is_dir():
        raise SaveError(
            f"could not save {path}: it is a file, and saving needs a folder; choose another name"
        )
    if target in (home, *home.parents):
        raise SaveError(
            f"could not save into {target}: it is not a folder for a model; name a new folder in it"
        )
    return target


def is_working_folder(folder: Path) -> bool:
    """Whether it is the folder that the program runs in."""
    return folder == Path(os.path.realpath(os.curdir))
