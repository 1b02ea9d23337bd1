"""Corpora of plain text: a running text is one `str`, a collection of stories is a list with one `str` each."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from minilm.datasets.integrity import DataError
from minilm.datasets.readers.malformed import read_lines, read_text
from minilm.datasets.registry import EVERYTHING
from minilm.text.tokenizer import END_OF_TEXT

SHARES = {"train": (0.0, 0.9), "dev": (0.9, 0.95), "test": (0.95, 1.0)}
"""Where in a text or list that came without splits each split begins and ends, as a share of its length."""
MOST_ARCHIVED = 100_000_000
"""Bytes that a text in an archive may have: nine times WikiText-2. A damaged archive may unpack without end."""
END_OF_STORY = END_OF_TEXT
"""What separates the stories of TinyStories."""


def running_text(path: Path, split: str) -> str:
    """A whole text file, or the part of it that is the split."""
    text = read_text(path)
    start, stop = bounds(text, split)
    return text[start:stop]


def part(data: str | list[Any], split: str) -> str | list[Any]:
    """A contiguous share of a text or list: 90% train, 5% dev, 5% test, or all of it.

    A text is cut after the first blank line that ends at the boundary or later, so that no paragraph (no speech of a play) is in
    two splits. The three parts, one after the other, are the whole.

    Raises:
        ValueError: no such split.
    """
    start, stop = bounds(data, split)
    return data[start:stop]


def bounds(data: str | list[Any], split: str) -> tuple[int, int]:
    """Where a split of a text or list begins and ends; ValueError if there is no such split."""
    if split == EVERYTHING:
        return 0, len(data)
    if split not in SHARES:
        raise ValueError(f"no split {split!r}; choose from {', '.join([*SHARES, EVERYTHING])}")
    start, stop = SHARES[split]
    return cut(data, start), cut(data, stop)


def cut(data: str | list[Any], share: float) -> int:
    """Index that cuts off the first `share` of the data; in a text, moved on to the next paragraph if there is one."""
    index = round(share * len(data))
    if isinstance(data, str) and 0 < index < len(data):
        blank = data.find("\n\n", max(index - 2, 0))
        return index if blank < 0 else blank + 2
    return index


def archived_text(archive: Path, member: str) -> str:
    """A UTF-8 text in a zip archive, read without unpacking it to disk.

    Raises:
        DataError: the archive is not a zip file, is damaged, or has no such member, or one of more than `MOST_ARCHIVED` bytes.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            if opened.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotImplementedError("it is compressed in a way that cannot be read with a bound")
            with opened.open(member) as file:
                data = file.read(MOST_ARCHIVED + 1)
            text = data[:MOST_ARCHIVED].decode("utf-8")
    except FileNotFoundError:
        raise
    except (
        Exception
    ) as error:  # zipfile, and the decoders below it, raise some ten kinds for damaged archives
        raise DataError(f"{archive}: cannot read {member}: {error or type(error).__name__}") from error
    if len(data) > MOST_ARCHIVED:
        raise DataError(
            f"{archive}: {member} unpacks to more than {MOST_ARCHIVED:,} bytes, which no data set here has"
        )
    return text


def stories(path: Path, n: int | None = None) -> list[str]:
    """The stories of a file that ends each with a line `<|endoftext|>`; blank ones are dropped.

    Args:
        path: The file.
        n: How many to read; all if None. Reading stops there, so a few cost little of a large file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not UTF-8; the message names the line and the byte.
    """
    return list(islice(separated(read_lines(path)), n))


def separated(lines: Iterable[str]) -> Iterator[str]:
    """Stories, stripped, as the lines come in."""
    story: list[str] = []
    for line in lines:
        *ended, rest = line.split(END_OF_STORY)
        for text in ended:
            yield from nonblank([*story, text])
            story = []
        story.append(rest)
    yield from nonblank(story)


def nonblank(pieces: list[str]) -> Iterator[str]:
    """The pieces as one stripped text, unless that is empty."""
    text = "".join(pieces).strip()
    if text:
        yield text
