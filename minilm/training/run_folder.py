"""The folder of a run: there before the first step, writable, and of one process at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from minilm.system.errors import CheckpointError, SaveError
from minilm.system.locks import try_lock
from minilm.system.places import as_path


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
        yield None if folder is None else as_path(folder, "folder")
        return
    folder = as_path(folder, "folder")
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = try_lock(Path(os.path.realpath(folder)))
    if lock is None:
        raise CheckpointError(
            f"another run is being trained in {folder}: wait until it ends, or give this one a folder of its own"
        )
    with closing(lock):
        yield folder


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
