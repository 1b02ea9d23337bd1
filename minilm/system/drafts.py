"""Drafts: private folders in which a save prepares its files, next to their final place.

A draft folder has a name that cannot be guessed, only its owner may open it, and it is locked as long as the save is
under way. So no link can be planted in it, two saves never share one, and the draft of a killed process is distinguished
from one that is in use: the next save in the same place removes it, and nothing else.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from minilm.system.errors import SaveError
from minilm.system.locks import HAS_LOCKS, FolderLock, try_lock

MARK = ".minilm-draft"
"""An empty file in every draft folder: by it a draft is known, and its mode is that of any new file."""
_NAME = re.compile(r"\.minilm-[a-z0-9_]{8}\.part")


@dataclass(frozen=True)
class Draft:
    """A private, locked folder."""

    folder: Path
    new_file_mode: int
    """Permission bits that the system gives a new file here."""


@contextmanager
def draft_in(parent: Path) -> Iterator[Draft]:
    """A draft folder in `parent`, gone afterwards; drafts of dead processes there are removed first.

    Raises:
        OSError: it cannot be made.
    """
    remove_dead_drafts(parent)
    folder, lock = _make(parent)
    try:
        descriptor = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        yield Draft(folder, mode)
    finally:
        with suppress(FileNotFoundError):  # it may have been renamed
            empty(folder)
            folder.rmdir()
        lock.close()


def _make(parent: Path) -> tuple[Path, FolderLock]:
    """A new folder and its lock. Between the two another save may take it for dead; then there is a next one."""
    for _ in range(100):
        folder = Path(tempfile.mkdtemp(".part", ".minilm-", parent))
        if lock := try_lock(folder):
            return folder, lock
    raise SaveError(f"no draft could be kept in {parent}: something removes folders there")


def remove_dead_drafts(parent: Path) -> None:
    """Take away drafts whose process is gone."""
    if not HAS_LOCKS:
        return  # without locks a dead draft cannot be told from a living one
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError):  # of another user, or removed by another save just now
            _remove_if_dead(parent / name)


def _remove_if_dead(folder: Path) -> None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        return
    lock = try_lock(folder)
    if lock is None:
        return
    try:
        if lock.certain and is_draft(folder):
            empty(folder)
            folder.rmdir()
    finally:
        lock.close()


def is_draft(folder: Path) -> bool:
    """Whether a folder is a draft of minilm's: empty, or marked and without subfolders."""
    with os.scandir(folder) as entries:
        files = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    return not files or (MARK in files and all(files.values()))


def empty(folder: Path) -> None:
    """Remove the files in a draft, the mark last: what is left after a kill is still known as a draft."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name != MARK]
    for name in names:
        (folder / name).unlink(missing_ok=True)
    (folder / MARK).unlink(missing_ok=True)
