"""Room on a disk, asked before something large is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from minilm.system.atomic import SaveError


def free_space(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse what does not fit on the disk of a folder, which need not exist yet.

    Args:
        needed: bytes.
        what: what needs them, for the message.

    Raises:
        SaveError: fewer bytes are free.
    """
    free = free_space(folder)
    if needed > free:
        raise SaveError(
            f"{what} needs {needed / 1e9:.2f} GB on disk, {free / 1e9:.2f} GB are free: make room at {_existing(folder)}, "
            "or choose a folder on another disk"
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
