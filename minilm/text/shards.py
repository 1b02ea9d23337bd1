"""A text of any size as token ids in files, of which memory holds only what is read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from minilm.text.shard_manifest import Manifest, ShardError


class TokenShards:
    """The tokens of a folder of shards, as one row of integers: indexed like an array (N,), read from disk as needed.

    An index, a slice, or an array of places gives int64; a sampler of windows takes it in the place of a tensor.

    Args:
        folder: what `write_shards` made.
        check: compare every file with its SHA-256 first; about a second for a gigabyte.

    Raises:
        FileNotFoundError: it is not a folder of shards.
        ShardError: they are damaged or not complete; `write_shards` repairs them.
    """

    ndim = 1

    def __init__(self, folder: str | Path, *, check: bool = True) -> None:
        self.folder = Path(folder)
        self.manifest = manifest = Manifest.read(self.folder)
        faults = [shard.fault(self.folder, manifest.dtype) for shard in manifest.shards] if check else []
        if len(manifest.shards) < manifest.n_shard:
            faults.append(f"{self.folder} holds {len(manifest.shards)} of {manifest.n_shard} shards")
        if any(faults):
            raise ShardError(
                f"{next(filter(None, faults))}: call write_shards again, which makes only what is missing"
            )
        self._rows = [np.memmap(self.folder / shard.file, manifest.dtype, "r") for shard in manifest.shards]
        self._ends = np.cumsum([shard.n_token for shard in manifest.shards])  # (number of shards,)

    @property
    def dtype(self) -> np.dtype:
        """The integers of the files."""
        return np.dtype(self.manifest.dtype)

    @property
    def shape(self) -> tuple[int]:
        """(N,)"""
        return (len(self),)

    @property
    def digest(self) -> str:
        """SHA-256 over those of all files: other tokens, another digest."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.manifest.shards).encode()).hexdigest()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int | slice | Any) -> Any:
        if isinstance(index, slice):
            return self._take(np.arange(*index.indices(len(self))))
        places = np.asarray(index)
        if places.size and not -len(self) <= places.min() <= places.max() < len(self):
            raise IndexError(f"place {index} is outside the {len(self):,} tokens of {self.folder}")
        taken = self._take(np.where(places < 0, places + len(self), places))
        return taken if places.ndim else int(taken)

    def _take(self, places: np.ndarray) -> np.ndarray:
        """The tokens at some places, int64, in the same shape."""
        taken = np.empty(places.shape, dtype=np.int64)
        shard_of = np.searchsorted(self._ends, places, side="right")
        for shard in np.unique(shard_of):
            here = shard_of == shard
            taken[here] = self._rows[shard][places[here] - self._ends[shard] + len(self._rows[shard])]
        return taken

    def __repr__(self) -> str:
        return f"TokenShards({len(self):,} tokens in {len(self._rows)} files of {self.folder})"
