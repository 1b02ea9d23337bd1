"""The folder of a run: there before the first step, writable, and of one process at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minilm.checkpoints.tensors import CheckpointError
from minilm.system.atomic import SaveError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


@contextmanager
def run_folder(folder: str | Path | None, owner: bool = True) -> Iterator[Path | None]:
    """The folder, made and locked; None for None.

    Args:
        owner: whether this process writes there; one that only reads takes no lock.

    Raises:
        SaveError: nothing can be written there.
        CheckpointError: another run has it.
    """
    if folder is None or not owner:
        yield None if folder is None else Path(folder)
        return
    check_writable(folder)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with locked(Path(folder)) as path:
        yield path


def check_writable(folder: str | Path) -> None:
    """Find out before any work whether a folder can be made or written into; nothing is left behind.

    Raises:
        SaveError: it cannot.
    """
    folder = Path(folder).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"?")
    except OSError as error:
        raise SaveError(
            f"{folder} cannot be written to ({error.strerror or error}): choose another folder"
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Inside, no other process or thread gets in; a process that is killed lets go.

    Raises:
        CheckpointError: another one is inside.
    """
    if fcntl is None:
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        take(handle, folder)
        yield folder
    finally:
        os.close(handle)


def take(handle: int, folder: Path) -> None:
    """Lock an open folder; a file system without locks goes unlocked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointError(
            f"another run is being trained in {folder}: wait until it ends, or give this one a folder of its own"
        ) from None
    except OSError:
        return
