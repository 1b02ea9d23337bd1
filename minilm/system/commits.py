"""The last step of saving a folder: a complete version, `.minilm-commit`, whose files are moved to their places.

Every move may be done already, so a process that died here has left nothing but work that the next load or save
finishes. The caller holds the folder's lock.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from pathlib import Path

from minilm.system.drafts import MARK
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.locks import PATIENCE, try_lock
from minilm.system.manifest import MANIFEST, Manifest, read_manifest

COMMIT = ".minilm-commit"


def put_in_place(folder: Path) -> None:
    """Move the files of a commit to their places, the manifest last, and remove what the new version lacks.

    Raises:
        SaveError: the folder cannot be written to any more; the commit stays.
    """
    commit = folder / COMMIT
    try:
        if (new := read_manifest(commit)) is not None:
            stale = _stale(folder, new)
            for name in new.files:
                with suppress(FileNotFoundError):
                    os.replace(commit / name, folder / name)
            for path in stale:
                path.unlink(missing_ok=True)
            os.replace(commit / MANIFEST, folder / MANIFEST)
        (commit / MARK).unlink(missing_ok=True)
        commit.rmdir()
    except OSError as error:
        raise SaveError(
            f"{folder} has a complete new version in {COMMIT}, which could not be put in place ({error}): make the "
            "folder writable, then load or save there again"
        ) from error


def _stale(folder: Path, new: Manifest) -> list[Path]:
    """Files of the earlier version that the new one lacks and that are unchanged."""
    earlier = _readable_manifest(folder)
    if earlier is None:
        return []
    gone = earlier.files.keys() - new.files.keys()
    return [folder / name for name in gone if earlier.owns(folder / name)]


def _readable_manifest(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except CheckpointError:
        return None


def finish_commit(folder: Path) -> None:
    """Finish what a process had committed before it died.

    Raises:
        SaveError: a file of that name is not minilm's, or the folder cannot be written to.
    """
    commit = folder / COMMIT
    if not os.path.lexists(commit):
        return
    if commit.is_symlink() or not commit.is_dir():
        raise SaveError(f"{commit} is not a folder of minilm's: move it away")
    try:
        new = read_manifest(commit)
    except CheckpointError as error:
        raise SaveError(str(error)) from error
    earlier = _readable_manifest(folder)
    for name in new.files if new else ():
        path = folder / name
        free = not os.path.lexists(path) or (earlier is not None and earlier.owns(path))
        if os.path.lexists(commit / name) and not free:
            raise SaveError(f"{path} stands in the way of a save that was interrupted: move it away")
    put_in_place(folder)


def wait_for_commit(folder: Path) -> None:
    """Wait until no commit is under way; finish one whose process died. The caller holds no lock.

    Raises:
        CheckpointError: it cannot be finished, or another process takes too long.
    """
    until = time.monotonic() + PATIENCE
    while os.path.lexists(folder / COMMIT):
        try:
            lock = try_lock(Path(os.path.realpath(folder)))
            if lock is None:
                time.sleep(0.001)  # another one is at it
            else:
                with closing(lock):
                    finish_commit(folder)
        except OSError as error:
            raise CheckpointError(
                f"a save into {folder} was interrupted at its last step: {error}"
            ) from error
        if time.monotonic() > until:
            raise CheckpointError(f"another program is saving into {folder} and does not end: load it later")
