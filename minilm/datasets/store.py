"""Finding the files of a data set, in an offline mirror or in the download cache, and checking them before use.

`MINILM_DATA` names a mirror: a folder with the file names of the register. It is read and never written, and nothing
is downloaded while it is set. Otherwise files are kept in the cache (`MINILM_CACHE`, or the system's folder for caches)
and those that are absent, or whose bytes have changed, are fetched once, see `download`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minilm.datasets.download import fetch
from minilm.datasets.integrity import DataError, describe, intact
from minilm.datasets.registry import Card, DataFile
from minilm.system.paths import cache_folder, mirror_folder

__all__ = ["cache_folder", "collect", "from_mirror", "is_here", "locate"]


def locate(card: Card, split: str) -> list[Path]:
    """Paths of the files of a split, each one checked against its SHA-256.

    Raises:
        FileNotFoundError: the mirror lacks a file, or does not exist.
        DataError: a file in the mirror is corrupt, or a download failed twice.
    """
    return collect(card, card.files_of(split))


def collect(card: Card, files: Sequence[DataFile]) -> list[Path]:
    """Paths of the given files, each one checked against its SHA-256; downloads what the cache lacks."""
    mirror = mirror_folder()
    if mirror is not None:
        return [from_mirror(mirror, card, file) for file in files]
    folder = cache_folder()
    absent = [file for file in files if not intact(folder / file.path, file)]
    if absent:
        fetch(card, absent, folder)
    return [folder / file.path for file in files]


def from_mirror(folder: Path, card: Card, file: DataFile) -> Path:
    """The path of a file in the mirror, if it is there with the right bytes."""
    path = folder / file.path
    if not folder.is_dir():
        raise FileNotFoundError(
            f"MINILM_DATA names {folder}, which is not a folder; correct it, or unset it to download"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"the mirror {folder} (MINILM_DATA) has no {file.path}, which {card.name} needs; "
            f"put it there from {file.url}, or unset MINILM_DATA to download it"
        )
    if not intact(path, file):
        raise DataError(
            f"{path} in the mirror (MINILM_DATA) is corrupt: {describe(path)}, expected {file.bytes:,} bytes "
            f"and {file.sha256}; replace it from {file.url}"
        )
    return path


def is_here(file: DataFile) -> bool:
    """Whether a file of the right size is in the mirror, if one is set, or else in the cache (not yet checked)."""
    path = (mirror_folder() or cache_folder()) / file.path
    return path.is_file() and path.stat().st_size == file.bytes
