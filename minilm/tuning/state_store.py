"""Tensors of one shape under keys, in memory up to a limit and in an SQLite file beyond it.

SQLite takes care of several processes, of kills and of full disks: a row is there whole or not at all. Against all else
that happens to disks every row has a digest, and a row that does not match its own counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from minilm.system.atomic import SaveError

PATIENCE = 60.0
"""Seconds to wait while another process writes."""


class RowStore:
    """A growing mapping from keys to tensors, for any number of threads and processes.

    Args:
        shape, dtype: of every tensor.
        memory_limit: bytes that are held in memory; further tensors go to a temporary file.
        folder: keep all of them there too, to be found again by the next process.
        about: what the tensors were made from; a folder that says otherwise is refused.

    Raises:
        ValueError: the folder's tensors were made from something else, or its file is damaged.
        SaveError: the folder cannot be written to.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        memory_limit: int = 2**30,
        folder: str | Path | None = None,
        about: dict[str, object] | None = None,
    ):
        self.shape, self.dtype, self.folder = shape, dtype, folder
        self.in_memory: dict[bytes, Tensor] = {}
        self.room = memory_limit // (torch.Size(shape).numel() * dtype.itemsize)
        self.about = {**(about or {}), "shape": list(shape), "dtype": str(dtype)}
        self.temporary: TemporaryDirectory[str] | None = None
        self.file = None if folder is None else RowFile(Path(folder), self.about)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Tensor]:
        """The rows that are there, by key."""
        found = {key: self.in_memory[key] for key in keys if key in self.in_memory}
        wanted = [key for key in dict.fromkeys(keys) if key not in found]
        if self.file is not None and wanted:
            of_file = {key: self._tensor(row) for key, row in self.file.read(wanted)}
            self._remember(of_file)
            found |= of_file
        return found

    def put(self, rows: Mapping[bytes, Tensor]) -> None:
        """Some more rows, all of them or none.

        Raises:
            SaveError: the disk is full or not writable; what was stored before is intact.
        """
        rows = {key: row.detach().to("cpu", self.dtype, copy=True).contiguous() for key, row in rows.items()}
        if self.folder is None:
            rows = self._remember(rows)
        if rows:
            self._open_file().write(
                {key: row.view(-1).view(torch.uint8).numpy().tobytes() for key, row in rows.items()}
            )
        if self.folder is not None:
            self._remember(rows)

    def _open_file(self) -> RowFile:
        """The file; a temporary one if no folder was given."""
        if self.file is None:
            self.temporary = TemporaryDirectory(prefix="minilm-", ignore_cleanup_errors=True)
            self.file = RowFile(Path(self.temporary.name), self.about)
        return self.file

    def __len__(self) -> int:
        in_file = 0 if self.file is None else len(self.file)
        return in_file if self.folder is not None else in_file + len(self.in_memory)

    def __contains__(self, key: bytes) -> bool:
        return key in self.get([key])

    def __getitem__(self, key: bytes) -> Tensor:
        return self.get([key])[key]

    def __setitem__(self, key: bytes, row: Tensor) -> None:
        self.put({key: row})

    def _remember(self, rows: Mapping[bytes, Tensor]) -> dict[bytes, Tensor]:
        """Hold in memory what there is room for; the rest is returned."""
        for key, row in rows.items():
            if key in self.in_memory or len(self.in_memory) < self.room:
                self.in_memory[key] = row
        return {key: row for key, row in rows.items() if key not in self.in_memory}

    def _tensor(self, row: bytes) -> Tensor:
        return torch.frombuffer(bytearray(row), dtype=self.dtype).view(self.shape)


class RowFile:
    """Keys, rows and digests in `states.sqlite`. Every thread has a connection of its own, as has every process."""

    def __init__(self, folder: Path, about: Mapping[str, object]):
        self.path, self._here = folder / "states.sqlite", threading.local()
        self.about = json.dumps(about, sort_keys=True).encode()
        with self._in_one_piece() as database:
            database.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT)")
            database.execute("CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB, digest BLOB)")
            written = dict(database.execute("SELECT name, value FROM about"))
            for name, value in about.items():
                check_origin(self.path, name, written.get(name), json.dumps(value))
            new = [(name, json.dumps(value)) for name, value in about.items() if name not in written]
            database.executemany("INSERT INTO about VALUES (?, ?)", new)

    def __len__(self) -> int:
        return int(self._connection().execute("SELECT COUNT(*) FROM rows").fetchone()[0])

    def read(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Those keys that are there, each with its row; a damaged row is not there."""
        for key in keys:
            try:
                found = (
                    self._connection()
                    .execute("SELECT row, digest FROM rows WHERE key = ?", (key,))
                    .fetchone()
                )
            except sqlite3.DatabaseError:
                continue
            if found is not None and isinstance(found[0], bytes) and self._digest(key, found[0]) == found[1]:
                yield key, found[0]

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Some rows, in the place of those that are there under the same keys."""
        with self._in_one_piece() as database:
            triples = [(key, row, self._digest(key, row)) for key, row in rows.items()]
            database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", triples)

    def _digest(self, key: bytes, row: bytes) -> bytes:
        """A digest of a row, of the text that it belongs to, and of what it was made from."""
        return hashlib.sha256(b"".join((self.about, key, row))).digest()

    def _connection(self) -> sqlite3.Connection:
        """This thread's own; a process that was forked off opens another."""
        if getattr(self._here, "process", None) != os.getpid():
            # No waiting for the disk: what a power failure damages, its digest tells.
            self._here.database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            self._here.database.execute("PRAGMA synchronous = OFF")
            self._here.process = os.getpid()
        database: sqlite3.Connection = self._here.database
        return database

    @contextmanager
    def _in_one_piece(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or nothing of it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as database:
                database.rollback()  # what an interrupt may have left open
                database.execute("BEGIN IMMEDIATE")
                yield database
        except (sqlite3.OperationalError, OSError) as error:
            raise SaveError(f"could not write {self.path}: {error}; what it held before is intact") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is damaged ({error}): delete it, and the states will be computed again"
            ) from error


def check_origin(path: Path, name: str, written: str | None, wanted: str) -> None:
    """Raise ValueError if a file was made from something else."""
    if written is not None and written != wanted:
        raise ValueError(
            f"{path} was made for {name}={written}, but here it is {wanted}: name another folder, or delete this one"
        )
