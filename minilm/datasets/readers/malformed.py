"""The one form of error for malformed data: the file, the record and the line, then what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minilm.datasets.integrity import DataError
from minilm.system.json_files import parse_json
from minilm.text import pieces


def malformed(path: Path, record: int | None, line: int, what: str) -> DataError:
    """A `DataError` to raise.

    Args:
        path: The file.
        record: Number of the record, counted from 1; None where the file is broken as a whole.
        line: Line where the record starts, counted from 1.
        what: What is wrong, with the offending value.
    """
    place = f"record {record}, line {line}" if record else f"line {line}"
    return DataError(f"{path}, {place}: {what}")


def read_text(path: Path) -> str:
    """A file as text: UTF-8, without byte order mark, line ends as newlines.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is empty, or not UTF-8; the message names the line and the byte.
    """
    text = "".join(read_chunks(path))
    if not text or text.isspace():
        raise DataError(f"{path} is empty")
    return text


def read_lines(path: Path) -> Iterator[str]:
    """The lines of such a file one after the other, each with its newline; memory holds one of them.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not UTF-8; the message names the line and the byte.
    """
    parts: list[str] = []
    for chunk in read_chunks(path):
        for part in chunk.splitlines(keepends=True):
            parts.append(part)
            if part.endswith("\n"):
                yield "".join(parts)
                parts = []
    yield "".join(parts)


def read_chunks(path: Path) -> Iterator[str]:
    """`minilm.text.pieces.read_chunks`, its errors those of data."""
    try:
        yield from pieces.read_chunks(path)
    except pieces.TextError as error:
        raise DataError(str(error)) from None


def read_json(path: Path, record: int | None, line: int, text: str) -> Any:
    """What a JSON text in a file says.

    Args:
        path, record: where the text comes from, see `malformed`.
        line: its first line.

    Raises:
        DataError: it is not JSON, nested too deep, or has an integer of more digits than Python reads.
    """
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        line, what = line + error.lineno - 1, f"{error.msg} at column {error.colno}"
    except ValueError as error:  # nested too deep, or an integer of more than 4,300 digits
        what = str(error).partition(";")[0]
    raise malformed(path, record, line, f"not JSON ({what}): {text[:80]!r}")
