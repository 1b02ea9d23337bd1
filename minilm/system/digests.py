"""SHA-256 of files, and seals: a digest of a file that is stored in the file itself.

A seal is the entry `"minilm_sha256": "<64 digits>"` somewhere in a JSON text, for instance in the header of a safetensors
file. Its digits are the SHA-256 of the whole file in which they themselves are read as zeros, so a change of any byte
shows, and other programs read the file as before.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

SEAL = "minilm_sha256"
"""The entry's name."""
UNSEALED = "0" * 64
"""Its value before the file is sealed."""
_DIGITS = re.compile(rb'"minilm_sha256": ?"([0-9a-f]{64})"')


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(content: bytes) -> bytes:
    """The content with its seal's zeros replaced by its digest."""
    start, end = _find_seal(content).span(1)
    return content[:start] + hashlib.sha256(content).hexdigest().encode() + content[end:]


def seal_file(path: Path, head_size: int) -> None:
    """Put a file's digest into the zeros of the seal among its first bytes."""
    with open(path, "r+b") as file:
        place = _find_seal(file.read(head_size)).start(1)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(place)
        file.write(digest.encode())


def seal_is_intact(path: Path, head_size: int | None = None) -> bool | None:
    """Whether a file's content is the one that was sealed; None if it has no seal.

    Args:
        head_size: look for the seal in so many bytes; None: in all of them.
    """
    with open(path, "rb") as file:
        head = file.read(-1 if head_size is None else head_size)
        match = _DIGITS.search(head)
        if match is None:
            return False if f'"{SEAL}"'.encode() in head else None
        digest = hashlib.sha256(head[: match.start(1)] + UNSEALED.encode() + head[match.end(1) :])
        hashlib.file_digest(file, lambda: digest)  # continues with the rest
    return digest.hexdigest().encode() == match[1]


def _find_seal(content: bytes) -> re.Match[bytes]:
    """Where the seal is in a content of our own making, which always has one."""
    match = _DIGITS.search(content)
    if match is None:
        raise ValueError(f"the content must hold an entry {SEAL!r}, and does not: it cannot be sealed")
    return match


def flush(path: Path, mode: int) -> None:
    """Wait until a file's bytes are on the disk, and give it its permission bits."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.chmod(mode)
