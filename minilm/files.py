"""Writing so that a reader finds the old content or the new one, never half of either."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    except OSError as error:
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
        draft.mkdir(parents=True)
        yield draft
        for file in draft.iterdir():
            _flush(file)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(draft, target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise SaveError(
            f"could not save {target}: {error}; the previous folder, if any, is intact"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until the file's bytes are on the disk; only then may its name be given away."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
