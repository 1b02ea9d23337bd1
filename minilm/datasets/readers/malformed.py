"""The one form of error for malformed data: the file, the record and the line, then what is wrong with it."""

from __future__ import annotations

import codecs
from pathlib import Path

from minilm.datasets.integrity import DataError


def malformed(path: Path, record: int | None, line: int, what: str) -> DataError:
    """A `DataError` to raise.

    Args:
        path: The file.
        record: Number of the record, counted from 1; None where the file is broken as a whole.
        line: Line where the record stands, counted from 1.
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
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise DataError(f"{path} is empty")
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise malformed(path, None, line, what) from error
