"""Texts and text files of any size, read in pieces that can be encoded one by one; only one piece is in memory at a time.

A piece ends where `find_cut` allows it, so the words of the pieces, and their tokens, are together those of the whole text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minilm.text.pretokenization import find_cut, utf8

PIECE = 1 << 20
"""Characters in a piece of a string; bytes that are read from a file at a time."""
LONGEST_RUN = 4 << 20
"""Characters (of a file, bytes) that may follow each other without a place to cut: one word, which memory must hold whole."""
_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", b"\0\0\xfe\xff": "UTF-32"}


class TextError(ValueError):
    """A file that cannot be read as a text; the message names the file, the line and the reason.

    `line` and `reason` are also there alone, for other forms of message; `line` is None where the whole file is at fault.
    """

    def __init__(self, source: str, line: int | None, reason: str) -> None:
        super().__init__(f"{source}, line {line}: {reason}" if line else f"{source}: {reason}")
        self.source, self.line, self.reason = source, line, reason

    def __reduce__(self) -> tuple[Any, ...]:  # an error may come from another process
        return type(self), (self.source, self.line, self.reason)


def cut_text(text: str, special_tokens: Sequence[str] = ()) -> Iterator[str]:
    """A text in pieces of about `PIECE` characters.

    Raises:
        ValueError: the text holds a lone surrogate; its position is named.
        TypeError: it is not a string.
    """
    if not isinstance(text, str) or len(text) <= PIECE:
        utf8(text)  # raises for what is not a text
        yield text
        return
    chunks = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    at = 0
    for piece in _join(chunks, special_tokens, len(text), "the text"):
        utf8(piece, at)
        yield piece
        at += len(piece)


def read_pieces(
    path: Path, special_tokens: Sequence[str] = (), start: int = 0, stop: int | None = None
) -> Iterator[str]:
    """A UTF-8 file in pieces of about `PIECE` bytes, without byte order mark, line ends as newlines.

    Args:
        start, stop: the first byte to read and the one after the last; `cut_near` gives places that cut no word.

    Raises:
        FileNotFoundError: there is no such file.
        TextError: it is not UTF-8, holds a NUL, or `LONGEST_RUN` characters without a place to cut.
    """
    return _join(read_chunks(path, start, stop), special_tokens, LONGEST_RUN, str(path))


def read_chunks(path: Path, start: int = 0, stop: int | None = None) -> Iterator[str]:
    """The same in chunks that may end anywhere.

    Raises:
        FileNotFoundError: there is no such file.
        TextError: it is not UTF-8, or holds a NUL.
    """
    held = ""  # a carriage return whose line feed may follow in the next chunk
    for chunk in _decode(path, start, stop):
        text = held + chunk
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix(held).replace("\r\n", "\n") if held else text.replace("\r\n", "\n")
    if held:
        yield held


def cut_near(path: Path, at: int, special_tokens: Sequence[str] = ()) -> int:
    """The first byte from `at` on where a file can be cut without cutting a word; the file's size where there is none.

    Raises:
        FileNotFoundError: there is no such file.
        TextError: there is none in the next `LONGEST_RUN` bytes.
    """
    size = path.stat().st_size
    if not 0 < at < size:
        return min(max(at, 0), size)
    tokens = [*special_tokens, *(token.replace("\n", "\r\n") for token in special_tokens)]
    first = max(at - 4 * max(map(len, tokens), default=1), 0)  # a character has at most four bytes
    with path.open("rb") as file:
        file.seek(first)
        data = file.read(at - first)
        for room in (PIECE, LONGEST_RUN):
            data += file.read(room)
            cut = _cut_in(data, at - first, tokens)
            if cut is not None:
                return first + cut
            if first + len(data) >= size:
                return size
    raise _no_cut(str(path), f"byte {at:,}")


def _cut_in(data: bytes, at: int, special_tokens: Sequence[str]) -> int | None:
    """`find_cut` in bytes that may begin and end within a character."""
    first = _next_character(data, 0)
    at = max(_next_character(data, at), first)
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(data[first:])
    start = len(data[first:at].decode("utf-8", "surrogateescape"))
    cut = find_cut(text, start, special_tokens)
    return None if cut is None else first + len(text[:cut].encode("utf-8", "surrogateescape"))


def _next_character(data: bytes, at: int) -> int:
    """The first place from `at` on where a character of UTF-8 begins; at most three bytes continue one."""
    return next((place for place in range(at, at + 4) if data[place : place + 1] not in _CONTINUING), at)


_CONTINUING = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))


def _join(chunks: Iterable[str], special_tokens: Sequence[str], longest: int, source: str) -> Iterator[str]:
    """Chunks that end anywhere, joined and cut again where a text may be cut."""
    rest, margin = "", max(map(len, special_tokens), default=1)
    for chunk in chunks:
        looked_at = max(len(rest) - margin, 0)
        rest += chunk
        cut = find_cut(rest, looked_at, special_tokens, last=True)
        if cut is not None:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > longest:
            raise _no_cut(source, repr(rest[:20]))
    if rest:
        yield rest


def _no_cut(source: str, where: str) -> TextError:
    return TextError(
        source,
        None,
        f"over {LONGEST_RUN:,} characters from {where} on have no place to cut, so they are one word, "
        "which is not a text: break it into words or lines",
    )


def _decode(path: Path, start: int, stop: int | None) -> Iterator[str]:
    """The file's characters, unchanged except for the marks at its beginning, which are left out."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        stop = path.stat().st_size if stop is None else stop
        file.seek(start)
        while data := file.read(min(PIECE, stop - start)):
            try:
                text = decoder.decode(data, final=start + len(data) >= stop)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, start + len(data) - len(error.object) + error.start) from error
            if "\0" in text:
                raise _not_utf8(path, start + data.index(b"\0"))
            yield text if start else text.lstrip("\ufeff")
            start += len(data)


def _not_utf8(path: Path, at: int) -> TextError:
    """The error for a byte, with its line."""
    line = 1
    with path.open("rb") as file:
        mark = file.read(4)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(0)
        for place in range(0, at, PIECE):
            line += file.read(min(PIECE, at - place)).count(b"\n")
    encoding = next((name for start, name in _MARKS.items() if mark.startswith(start)), None)
    seems = (
        f"the file begins as {encoding} does"
        if encoding
        else "a text cannot hold a NUL character"
        if not byte
        else ""
    )
    what = f"byte 0x{byte:02x} is not UTF-8{seems and f' ({seems})'}; save the file as UTF-8"
    return TextError(str(path), line, what)
