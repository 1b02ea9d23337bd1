r"""How text is cut before byte-pair encoding: into words after GPT-2's pattern, and these into bytes.

Merges never cross a word's border, so each word can be encoded by itself and remembered. A word keeps the
space before it: "a new day" becomes "a", " new", " day". In files a byte is written as one printable
character, as GPT-2 does it: bytes that print as themselves stay, the other 68 follow from U+0100 on, so the
space is "Ġ" and the line feed "Ċ".

Radford et al., Language Models are Unsupervised Multitask Learners (2019), section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import regex

_PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))
_OTHERS = tuple(byte for byte in range(256) if byte not in _PRINTABLE)

BYTE_ORDER: tuple[int, ...] = _PRINTABLE + _OTHERS
"""The 256 bytes in the order of their token ids: by the character that represents them."""

BYTE_TO_CHAR: dict[int, str] = {
    **{byte: chr(byte) for byte in _PRINTABLE},
    **{byte: chr(256 + rank) for rank, byte in enumerate(_OTHERS)},
}
"""The printable character that represents each byte."""

CHAR_TO_BYTE: dict[str, int] = {char: byte for byte, char in BYTE_TO_CHAR.items()}

# Letters and digits that Unicode gained after version 16.0. `tokenizers` does not know them and takes them
# for symbols; to cut any text as it does, they must be symbols here too, whatever Unicode `regex` knows.
_NEWER = (
    r"\u0558\u058B\u058C\u088F\u0C5C\u0CDC\u208F\u209D-\u209F\uA7CE\uA7CF\uA7D2\uA7D4\uA7DD\uA7E2\uA7F1"
    r"\uAB6C\uAB6D\U000107BB-\U000107BF\U00010940-\U00010959\U00010EC5-\U00010EC7\U00010ED9-\U00010EEE"
    r"\U00011B0A\U00011DB0-\U00011DDB\U00011DE0-\U00011DE9\U00011DF1\U0001246F\U00012475-\U0001247F"
    r"\U00012550-\U00012686\U00016EA0-\U00016EB8\U00016EBB-\U00016ED3\U00016FF2-\U00016FF6"
    r"\U000187F8-\U000187FF\U00018CD6-\U00018CDA\U00018D09-\U00018D20\U00018D80-\U00018DF2"
    r"\U00018E00-\U00019191\U000191A0-\U000191D2\U0001B123-\U0001B128\U0001B168\U0001D6A6"
    r"\U0001DF1F-\U0001DF24\U0001DF2B-\U0001DF81\U0001DF90-\U0001DF96\U0001DFCD-\U0001DFFF"
    r"\U0001E6C0-\U0001E6DE\U0001E6E0-\U0001E6E2\U0001E6E4\U0001E6E5\U0001E6E7-\U0001E6ED"
    r"\U0001E6F0-\U0001E6F4\U0001E6FE\U0001E6FF\U0002B73A-\U0002B73F\U0002B81E\U0002CEA2-\U0002CEAD"
    r"\U000323B0-\U00033479\U0003D000-\U0003FC3F"
)
_LETTER, _DIGIT = rf"[\p{{L}}--[{_NEWER}]]", rf"[\p{{N}}--[{_NEWER}]]"
# English contractions; words; numbers; symbols (each with the space before it); runs of space, less the last
# one when a word follows, which belongs to that word.
_WORD = regex.compile(
    rf"(?V1)'(?:[stmd]|re|ve|ll)| ?{_LETTER}+| ?{_DIGIT}+| ?(?:[^\s\p{{L}}\p{{N}}]|[{_NEWER}])+|\s+(?!\S)|\s+"
)


# The same pattern for ASCII alone, by the standard library: over four times as fast, and most text is ASCII. A segment is
# a run of ASCII words, or of others; it ends where white space follows a word, and no word of the pattern crosses that.
_ASCII_WORD = re.compile(
    r"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^\t-\r A-Za-z0-9]+|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+"
)
_SPACE = "\\t-\\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space
_SEGMENT = re.compile(
    r"((?:[\t-\r ]*+[\x00-\x08\x0e-\x1f!-\x7f]++(?![^\x00-\x7f]))++)"
    rf"|(?:[{_SPACE}]*+[^{_SPACE}]*?[^\x00-\x7f{_SPACE}][^{_SPACE}]*+)++|[{_SPACE}]*+[^{_SPACE}]++|[{_SPACE}]++"
)

# Where every text may be cut in two, whatever comes further left or right: behind a letter or a digit another kind of
# character, behind a symbol a digit or white space. (Behind "'" a letter may belong to it, behind a space anything.)
_CUT = (
    rf"(?<={_LETTER})(?=[\P{{L}}{_NEWER}])|(?<={_DIGIT})(?=[\P{{N}}{_NEWER}])"
    rf"|(?<=[^\s\p{{L}}\p{{N}}]|[{_NEWER}])(?=\s|{_DIGIT})"
)
_FIRST_CUT, _LAST_CUT = regex.compile(f"(?V1){_CUT}"), regex.compile(f"(?V1)(?r){_CUT}")


def split_words(text: str) -> list[str]:
    """The words of a text, each with the space before it; joined they are the text again.

    >>> split_words("Mia's red kite, now")
    ['Mia', "'s", ' red', ' kite', ',', ' now']
    """
    if text.isascii():
        return _ASCII_WORD.findall(text)
    words: list[str] = []
    for segment in _SEGMENT.finditer(text):
        words += (_ASCII_WORD if segment[1] else _WORD).findall(segment[0])
    return words


def split_special(text: str, special_tokens: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The text cut at its special tokens, as (piece, is it one?); where several fit, at the longest."""
    if not special_tokens:
        yield text, False
        return
    longest_first = sorted(special_tokens, key=len, reverse=True)
    pieces = regex.split(f"({'|'.join(map(regex.escape, longest_first))})", text)
    yield from ((piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece)


def find_cut(text: str, start: int, special_tokens: Sequence[str] = (), *, last: bool = False) -> int | None:
    """A place not before `start` where cutting the text in two changes none of its words and special tokens.

    Both parts are then split as the whole is, and so are their encodings. None where there is no such place. As many
    characters as a special token has must follow the place: one that begins there may end in what is not read yet.

    Args:
        last: the last such place instead of the first.
    """
    longest = max(map(len, special_tokens), default=1)
    stop = len(text) - longest + 1
    places = (_LAST_CUT if last else _FIRST_CUT).finditer(text, start)
    found = (place.start() for place in places)
    return next((at for at in found if 0 < at <= stop and not _inside(text, at, special_tokens)), None)


def _inside(text: str, at: int, special_tokens: Sequence[str]) -> bool:
    """Whether a special token begins before a place and ends behind it."""
    return any(
        text.find(token, max(0, at - len(token) + 1), at + len(token) - 1) >= 0 for token in special_tokens
    )


def utf8(text: str, first: int = 0) -> bytes:
    """The bytes of a text.

    Args:
        first: where the text begins in a longer one, for the position that an error names.

    Raises:
        ValueError: it holds a lone surrogate, half of a character that was cut in two; its position is named.
        TypeError: it is not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"a text must be a string, not a {type(text).__name__}: {text!r:.60}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        at = error.start
        raise ValueError(
            f"the text holds a lone surrogate {text[at]!r} at position {first + at} "
            f"(in {text[max(0, at - 12) : at + 12]!r}), which is not a character: "
            "decode its source with errors='replace', or remove it"
        ) from None


def bytes_to_chars(data: bytes) -> str:
    """How a token's bytes are written in a `tokenizer.json`."""
    return "".join(map(BYTE_TO_CHAR.__getitem__, data))


def chars_to_bytes(chars: str) -> bytes | None:
    """The bytes of a token as a `tokenizer.json` writes it, or None if a character represents no byte."""
    return bytes(map(CHAR_TO_BYTE.__getitem__, chars)) if CHAR_TO_BYTE.keys() >= set(chars) else None
