"""A manifest: the list of the files that a save wrote into a folder, with the size and the SHA-256 of each.

It is the file `minilm.json`, written last. By it a load sees that a byte was changed, and the next save knows which files
of the folder are minilm's to replace: those that still are what the manifest says. All others are the reader's.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minilm.system.digests import SEAL, UNSEALED, seal_is_intact, sealed, sha256_of
from minilm.system.errors import CheckpointError
from minilm.system.json_files import read_json

MANIFEST = "minilm.json"
FORMAT = 1
"""The manifest's version; a newer minilm may write a higher one."""
MOST_BYTES = 1 << 20
"""The seal must be among these."""
CLOCK_TICK = 50_000_000
"""Nanoseconds; files changed within less of each other may bear the same time."""
IF_WANTED = f"if you changed it on purpose, delete {MANIFEST} beside it, and nothing is compared"


@dataclass(frozen=True)
class Entry:
    """One file as it was written."""

    bytes: int
    sha256: str
    modified: int | None = None
    """Time of its last change, in nanoseconds; None if a change right afterwards could bear the same."""

    def matches(self, path: Path) -> bool:
        """Whether there is a regular file that was written so; a link does not count.

        One with the size and the time of last change that it was written with need not be read: whoever changes a file,
        changes its time. A copy has another time, and is read.
        """
        try:
            about = path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(about.st_mode) or about.st_size != self.bytes:
            return False
        return about.st_mtime_ns == self.modified or sha256_of(path) == self.sha256


@dataclass(frozen=True)
class Manifest:
    """What a save wrote."""

    kind: str
    """What the files are together: "model", "adapter", "peft adapter"."""
    files: Mapping[str, Entry]
    """Name -> what was written under it."""

    def to_bytes(self) -> bytes:
        """The file's content, sealed."""
        files = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        content = {"format": FORMAT, "kind": self.kind, "files": files, SEAL: UNSEALED}
        return sealed((json.dumps(content, indent=2) + "\n").encode())

    def owns(self, path: Path) -> bool:
        """Whether the file is still the one that was written."""
        return path.name in self.files and self.files[path.name].matches(path)


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest; None if it has none.

    Raises:
        CheckpointError: it is damaged, of a newer minilm, or another program's file.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    if not path.is_file() or not seal_is_intact(path, MOST_BYTES):
        raise CheckpointError(
            f"{path} is damaged or not minilm's, so the files beside it cannot be trusted: restore it, save again "
            "into another folder, or delete it, and nothing is compared"
        )
    content = read_json(path)
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {content.get('format')!r}, and this minilm reads {FORMAT}: update minilm"
        )
    return _parse(content, path)


def _parse(content: Mapping[str, Any], path: Path) -> Manifest:
    """The manifest that a file with an intact seal holds; anybody may have sealed it."""
    try:
        files = {
            name: Entry(int(entry["bytes"]), str(entry["sha256"]), entry.get("modified"))
            for name, entry in content["files"].items()
        }
        manifest = Manifest(str(content["kind"]), files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a list of files ({error!r}); delete it") from None
    for name in files:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise CheckpointError(
                f"{path} lists {name!r}, which is not the name of a file in its folder; delete it"
            )
    return manifest


def manifest_of(folder: Path, kind: str, digests: Mapping[str, str]) -> Manifest:
    """The manifest of the files of a folder, their SHA-256 given."""
    files = {name: _entry((folder / name).stat(), digest) for name, digest in digests.items()}
    return Manifest(kind, files)


def _entry(about: os.stat_result, sha256: str) -> Entry:
    """What is kept of a file; of its time only what no later change can have again."""
    is_past = time.time_ns() - about.st_mtime_ns > CLOCK_TICK
    is_exact = about.st_mtime_ns % 1_000_000_000 != 0  # some disks keep whole seconds only
    return Entry(about.st_size, sha256, about.st_mtime_ns if is_past and is_exact else None)


def check_unchanged(folder: Path, names: Iterable[str]) -> None:
    """Hold files against the folder's manifest; a folder without one is another program's, and nothing is compared.

    Raises:
        FileNotFoundError: a file that was written is gone.
        CheckpointError: a byte of it was changed, or the manifest itself is damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return
    for name in names:
        path = folder / name
        if name not in manifest.files:
            continue
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; {MANIFEST} beside it says that it was saved")
        if not _same(path, manifest.files[name]):
            raise CheckpointError(
                f"{path} is damaged, truncated or changed: its bytes are not those that were saved there (SHA-256 in "
                f"{MANIFEST}); restore it or save it again; {IF_WANTED}"
            )


def _same(path: Path, entry: Entry) -> bool:
    """Whether a file, which may be a link here, holds what was written."""
    return path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256
