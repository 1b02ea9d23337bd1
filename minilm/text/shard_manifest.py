"""What a folder of token shards holds: `shards.json`, with the number of tokens and the SHA-256 of each file.

A shard is a file of token ids, little-endian integers of 16 bits, of 32 where the vocabulary needs them. `shards` reads a folder
of them, `sharding` makes one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.system.atomic import atomic_file

MANIFEST = "shards.json"
FORMAT = 1


class ShardError(ValueError):
    """Shards that are damaged, not complete, or of another text; file and remedy are named."""


@dataclass(frozen=True)
class Shard:
    """One file of tokens."""

    file: str
    """Its name in the folder."""
    n_token: int
    """How many tokens it holds."""
    sha256: str
    """SHA-256 of its bytes, 64 hexadecimal digits."""

    def fault(self, folder: Path, dtype: str) -> str:
        """What is wrong with the file: "" if nothing."""
        path, size = folder / self.file, self.n_token * np.dtype(dtype).itemsize
        if not path.is_file():
            return f"{path} is not there"
        if path.stat().st_size != size:
            return f"{path} has {path.stat().st_size:,} bytes, not {size:,}"
        return "" if sha256(path) == self.sha256 else f"the bytes of {path} have changed"


@dataclass(frozen=True)
class Manifest:
    """What `shards.json` says."""

    source: str
    """SHA-256 of the text's bytes."""
    tokenizer: str
    """Fingerprint of the tokenizer."""
    dtype: str
    """"<u2" or "<u4": the integers of the files."""
    n_shard: int
    """How many files there will be."""
    shards: tuple[Shard, ...] = ()
    """Those that are finished, in order."""

    def write(self, folder: Path) -> None:
        """Write `shards.json`, replaced atomically."""
        with atomic_file(folder / MANIFEST) as draft:
            draft.write_text(
                json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8"
            )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `shards.json`.

        Raises:
            FileNotFoundError: there is none.
            ShardError: it is not one of this format.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            shards = tuple(Shard(**_checked(shard, _SHARD)) for shard in content.pop("shards"))
            if content.pop("format") != FORMAT:
                raise ValueError("it is of another version")
            return cls(**_checked(content, _MANIFEST), shards=shards)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ShardError(
                f"{path} is not a list of shards ({type(error).__name__}: {error}): remove the folder {folder} and make "
                "the shards again"
            ) from None


_SHARD = {"file": str, "n_token": int, "sha256": str}
_MANIFEST = {"source": str, "tokenizer": str, "dtype": str, "n_shard": int}


def _checked(fields: dict[str, Any], types: dict[str, type]) -> dict[str, Any]:
    """The fields, if they are those, of those types; a file name is not a path, a count is not negative."""
    if fields.keys() != types.keys() or any(type(fields[name]) is not kind for name, kind in types.items()):
        raise ValueError(f"expected the fields {', '.join(types)}")
    if Path(fields.get("file", "x")).name != fields.get("file", "x") or fields.get("n_token", 1) < 1:
        raise ValueError("a file name holds a folder, or a shard holds nothing")
    if fields.get("dtype", "<u2") not in ("<u2", "<u4"):
        raise ValueError(f"dtype is {fields['dtype']!r}")
    return fields


def sha256(path: Path, start: int = 0, stop: int | None = None) -> str:
    """SHA-256 of a file's bytes from `start` to `stop`, as 64 hexadecimal digits."""
    digest, left = hashlib.sha256(), (path.stat().st_size if stop is None else stop) - start
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (data := file.read(min(1 << 20, left))):
            digest.update(data)
            left -= len(data)
    return digest.hexdigest()
