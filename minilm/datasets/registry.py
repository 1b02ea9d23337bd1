"""The register of data sets: a card for each, and a line for each of its files.

Both are data files next to this module (`cards.yaml`, `files.tsv`), so that adding a data set or correcting an address
is an edit of data. The SHA-256 is part of the register, and nothing is read before its bytes agree with it.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
EVERYTHING = "all"
"""The split of a file that serves every split, and of a running text taken whole."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set."""

    path: str
    """Its name in the download cache and in a mirror, with forward slashes."""
    split: str
    """The split it holds; "all" where it holds every one."""
    url: str
    """Its public address."""
    sha256: str
    """SHA-256 of its bytes, 64 hexadecimal digits."""
    bytes: int
    """Its size."""

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"{self.path}: a SHA-256 has 64 hexadecimal digits, got {self.sha256!r}")


@dataclass(frozen=True)
class Card:
    """What a reader should know before using a data set; `print(card)` shows it."""

    name: str
    """The name that `load` takes."""
    title: str
    """What it is, in one line."""
    origin: str
    """Where it is published."""
    licence: str
    """Under which licence."""
    record: str
    """What `load` returns: one `str`, or a list of this."""
    splits: dict[str, str]
    """Split -> its size in words."""
    note: str
    """What else matters."""
    checked: dict[str, str] = field(default_factory=dict)
    """Split of a file -> "bytes" (SHA-256 computed by this project) or "published" (copied from a register)."""
    files: tuple[DataFile, ...] = ()
    """Its files; none for data that the project generates."""
    dials: dict[str, str] = field(default_factory=dict)
    """Further keyword arguments that `load` takes, of data that the project generates -> what they do."""

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    def files_of(self, split: str) -> tuple[DataFile, ...]:
        """The files that hold a split."""
        return tuple(file for file in self.files if file.split in (split, EVERYTHING))

    def check_split(self, split: str) -> str:
        """`split`, if there is such a one; ValueError naming those there are otherwise."""
        if split not in self.splits:
            raise ValueError(f"{self.name} has no split {split!r}; choose from {', '.join(self.splits)}")
        return split

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", f"  origin   {self.origin}", f"  licence  {self.licence}"]
        lines += [f"  record   {self.record}", f"  size     {self.size()}"]
        lines += [f"  {split:<8} {size}" for split, size in self.splits.items()]
        lines += [f"  {dial + '=':<12} {what}" for dial, what in self.dials.items()]
        lines += [f"  {line}" for line in self.note.splitlines()]
        lines += [
            f"  {file.sha256}  {file.bytes:>13,}  {file.path}  ({self.vouched(file)})" for file in self.files
        ]
        return "\n".join(lines)

    def size(self) -> str:
        """Bytes and number of files, in words."""
        return f"{self.bytes:,} bytes in {len(self.files)} files" if self.files else "generated when loaded"

    def vouched(self, file: DataFile) -> str:
        """In words, who computed the SHA-256 of a file."""
        return {"bytes": "checksum computed here", "published": "checksum as published"}[
            self.checked[file.split]
        ]


@cache
def cards() -> dict[str, Card]:
    """Every card, by name, in the order of the register."""
    import yaml

    entries = yaml.safe_load((HERE / "cards.yaml").read_text(encoding="utf-8"))
    return {name: Card(name=name, files=files().get(name, ()), **entry) for name, entry in entries.items()}


@cache
def files() -> dict[str, tuple[DataFile, ...]]:
    """Name of a data set -> its files."""
    found: dict[str, list[DataFile]] = {}
    with (HERE / "files.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            file = DataFile(row["file"], row["split"], row["url"], row["sha256"], int(row["bytes"]))
            found.setdefault(row["dataset"], []).append(file)
    return {name: tuple(group) for name, group in found.items()}


def names() -> tuple[str, ...]:
    """Names of all data sets, as `load` takes them."""
    return tuple(cards())


def card(name: str) -> Card:
    """The card of a data set.

    Raises:
        ValueError: there is none of that name; the message lists those there are and the nearest.
    """
    if name not in cards():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no data set is called {name!r}.{hint} There are: {', '.join(names())}")
    return cards()[name]
