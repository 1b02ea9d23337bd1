"""Tensors of one shape under keys, in memory up to a limit and in a file beyond it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from minilm.system.atomic import atomic_file

KEY_SIZE = 32
"""Bytes of a key: a SHA-256."""


class RowStore:
    """A growing mapping from keys to tensors.

    Args:
        shape, dtype: of every tensor.
        memory_limit: bytes that are held in memory; further tensors go to a temporary file.
        folder: keep all of them there instead, to be found again by the next process.
        about: what the tensors were made from; a folder that says otherwise is refused.

    Raises:
        ValueError: the folder's tensors were made from something else.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        memory_limit: int = 2**30,
        folder: str | Path | None = None,
        about: dict[str, object] | None = None,
    ):
        self.shape, self.dtype = shape, dtype
        self.row_size = torch.Size(shape).numel() * dtype.itemsize
        self.in_memory: dict[bytes, Tensor] = {}
        self.room = 0 if folder else memory_limit // self.row_size
        self.temporary: TemporaryDirectory | None = None
        self.file = None if folder is None else self._open(Path(folder), about or {})

    def __len__(self) -> int:
        return len(self.in_memory) + (0 if self.file is None else len(self.file.places))

    def __contains__(self, key: bytes) -> bool:
        return key in self.in_memory or (self.file is not None and key in self.file.places)

    def __getitem__(self, key: bytes) -> Tensor:
        if key in self.in_memory:
            return self.in_memory[key]
        if self.file is None:
            raise KeyError(key)
        return torch.frombuffer(self.file.read(key), dtype=self.dtype).view(self.shape)

    def __setitem__(self, key: bytes, row: Tensor) -> None:
        row = row.detach().to("cpu", self.dtype, copy=True).contiguous()
        if len(self.in_memory) < self.room:
            self.in_memory[key] = row
            return
        if self.file is None:
            self.temporary = TemporaryDirectory(prefix="minilm-")
            self.file = self._open(Path(self.temporary.name), {})
        self.file.append(key, row.view(-1).view(torch.uint8).numpy().tobytes())

    def _open(self, folder: Path, about: dict[str, object]) -> RowFile:
        about = {**about, "shape": list(self.shape), "dtype": str(self.dtype)}
        check_origin(folder, about)
        return RowFile(folder / "rows.bin", self.row_size)


class RowFile:
    """Keys and rows in a file that only grows; half a row at its end, after a crash, is cut off."""

    def __init__(self, path: Path, row_size: int):
        self.row_size = row_size
        self.file = open(path, "a+b")  # noqa: SIM115 - stays open as long as the store
        self.places: dict[bytes, int] = {}
        self.end = 0
        size = path.stat().st_size
        while self.end + KEY_SIZE + row_size <= size:
            self.file.seek(self.end)
            self._count(self.file.read(KEY_SIZE))
        self.file.truncate(self.end)

    def read(self, key: bytes) -> bytearray:
        """The bytes of a row."""
        row = bytearray(self.row_size)
        self.file.seek(self.places[key])
        self.file.readinto(row)
        return row

    def append(self, key: bytes, row: bytes) -> None:
        """One more row."""
        self.file.write(key + row)
        self.file.flush()
        self._count(key)

    def _count(self, key: bytes) -> None:
        self.places[key] = self.end + KEY_SIZE
        self.end += KEY_SIZE + self.row_size


def check_origin(folder: Path, about: dict[str, object]) -> None:
    """Write down what a folder's rows are made from, or hold it against what is written there.

    Raises:
        ValueError: it is not the same.
    """
    card = folder / "about.json"
    if not card.exists():
        with atomic_file(card) as draft:
            draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return
    written = json.loads(card.read_text(encoding="utf-8"))
    for name, value in about.items():
        if written.get(name) != value:
            raise ValueError(
                f"{folder} was made for {name}={written.get(name)}, but here it is {value}: name "
                "another folder, or delete this one"
            )
