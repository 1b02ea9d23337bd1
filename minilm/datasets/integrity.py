"""Whether a file is what the register says it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from minilm.datasets.registry import DataFile


class DataError(ValueError):
    """A data file whose bytes or records are not what they should be."""


def intact(path: Path, file: DataFile) -> bool:
    """Whether the file is there, with the size and the SHA-256 of the register."""
    return path.is_file() and path.stat().st_size == file.bytes and sha256(path) == file.sha256


def describe(path: Path) -> str:
    """Size and SHA-256 of a file, for an error message."""
    return f"it has {path.stat().st_size:,} bytes and SHA-256 {sha256(path)}"


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
