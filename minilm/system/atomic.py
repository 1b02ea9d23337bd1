"""Writing so that a reader finds the old content or the new one, never half of either."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


class SaveError(OSError):
    """Saving failed; what was there before is untouched."""


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a path beside the target; what is written there takes the target's place on success.

    Raises:
        SaveError: the disk is full, or the folder cannot be written to.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _flush(draft)
        os.replace(draft, target)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        raise SaveError(f"could not save {target}: {error}; the previous file, if any, is intact") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder: yields an empty draft folder that takes the target's place whole.

    An old folder is moved aside for the instant in between, to `.NAME.old`, where a crash at that
    very instant leaves it.
    """
    target = Path(path).absolute()
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.old")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of a process with this number that was killed
        draft.mkdir(parents=True)
        yield draft
        for file in draft.iterdir():
            _flush(file)
        _take_place(draft, target, old)
    except (OSError, SafetensorError) as error:
        raise SaveError(
            f"could not save {target}: {error}; the previous folder, if any, is intact"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _take_place(draft: Path, target: Path, old: Path) -> None:
    """Put a folder where another may stand; if that fails, the other one comes back."""
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(draft, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until the file's bytes are on the disk; only then may its name be given away.

    It also gets the rights of any new file: safetensors lets nobody but the user read what it writes.
    """
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    hidden = os.umask(0)
    os.umask(hidden)
    path.chmod(0o666 & ~hidden)
