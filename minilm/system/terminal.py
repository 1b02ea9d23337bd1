"""Text for a terminal: control characters of a foreign text are shown, never obeyed."""

from __future__ import annotations

import sys
import unicodedata


def plain(text: str) -> str:
    """The text with every control character but newline and tab written as `\\x1b` or `\\u202e`.

    Also shown are the characters that turn the direction of what follows, and halves of characters that no encoding has.
    """
    return "".join(_shown(letter) if is_control(letter) else letter for letter in text)


def is_control(letter: str) -> bool:
    """Whether a terminal would obey a character, or cannot write it."""
    return letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def say(text: str) -> None:
    """Print a text: plain where a person reads it, as it is where a program does."""
    print(plain(text) if sys.stdout.isatty() else text)


def _shown(letter: str) -> str:
    return (
        letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"
    )
