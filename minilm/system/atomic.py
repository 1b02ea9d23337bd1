"""Writing one file so that a reader finds the old content or the new one, never half of either."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from minilm.system.digests import flush
from minilm.system.drafts import draft_in
from minilm.system.errors import SaveError
from minilm.system.places import file_to_save

__all__ = ["SaveError", "atomic_file"]


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a path of the same name in a private folder; what is written there takes the target's place on success.

    A symbolic link is followed. An old file's permission bits are kept.

    Raises:
        ValueError: the path is not the name of a file.
        SaveError: the disk is full, the folder cannot be written to, or the path is not a regular file.
    """
    target = file_to_save(path)
    with save_errors(target, "file"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft_in(target.parent) as draft:
            file = draft.folder / target.name
            yield file
            flush(file, mode_for(target, draft.new_file_mode))
            os.replace(file, target)


@contextmanager
def save_errors(target: Path, kind: str) -> Iterator[None]:
    """What the system says against saving becomes a `SaveError` that names the target."""
    try:
        yield
    except SaveError:
        raise
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        raise SaveError(
            f"could not save {target}: {error}; the previous {kind}, if any, is intact"
        ) from error


def mode_for(target: Path, new: int) -> int:
    """The permission bits of the file that is there, or else those of a new one."""
    return stat.S_IMODE(target.stat().st_mode) if target.is_file() else new
