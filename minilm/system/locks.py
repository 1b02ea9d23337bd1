"""Locks on folders: held while a save is under way, and released by the system when a process dies.

A lock is a `flock` on the folder itself, so it leaves no file behind. It holds between processes and between threads.
Where the system or the file system has none (Windows, some network drives), a lock is given without a promise: then two
saves into one folder at once may mix, and the digests of `manifest` tell it at loading.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minilm.system.errors import SaveError

HAS_LOCKS = sys.platform != "win32"
"""Whether the system has locks on folders."""
if sys.platform != "win32":
    import fcntl

PATIENCE = 120.0
"""Seconds to wait for another save into the same folder."""


@dataclass
class FolderLock:
    """A lock that is held until `close`."""

    descriptor: int | None
    """The open folder; None where there are no locks."""
    certain: bool
    """Whether no other program can hold it."""

    def close(self) -> None:
        """Release the lock."""
        if self.descriptor is not None:
            if self.certain and sys.platform != "win32":
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # at once, also where a forked child has a copy
            os.close(self.descriptor)
            self.descriptor = None


def try_lock(folder: Path) -> FolderLock | None:
    """The folder's lock, or None if another program holds it or the folder is gone.

    Raises:
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        return FolderLock(None, certain=False)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        certain = True
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks
        certain = False
    lock = FolderLock(descriptor, certain)
    if _is_at(descriptor, folder):
        return lock
    lock.close()  # it was removed, and perhaps made again, before the lock was ours
    return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other thread or process has the folder's lock.

    Raises:
        SaveError: another one held it for `PATIENCE` seconds, or the folder vanished.
    """
    until = time.monotonic() + PATIENCE
    while (lock := try_lock(folder)) is None:
        if not folder.is_dir():
            raise SaveError(f"the folder {folder} was removed while it was being saved to: save again")
        if time.monotonic() > until:
            raise SaveError(
                f"another program has been saving into {folder} for {PATIENCE:.0f} s: save elsewhere"
            )
        time.sleep(0.002)
    try:
        yield
    finally:
        lock.close()


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the open folder is the one that now has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(folder, follow_symlinks=False))
    except FileNotFoundError:
        return False
