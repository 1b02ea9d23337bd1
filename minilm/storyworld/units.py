"""Text as the units that a tokenizer sees one by one.

GPT-2's pre-tokenisation cuts a text into units such as " Mia", "," or "'s"; BPE never merges across them. So
a story's token ids are those of its units, one after the other, whatever the tokenizer's vocabulary.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from minilm.text.pretokenization import split_words


class Tokenizer(Protocol):
    """What the oracle asks of a tokenizer; `minilm.BPETokenizer` is one."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""

    @property
    def end_of_text(self) -> int:
        """Id of the token between two texts."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""


@lru_cache(maxsize=65536)
def units(text: str) -> tuple[str, ...]:
    """The pre-tokens of a text: units(" Mia's cat.") == (" Mia", "'s", " cat", ".")."""
    return tuple(split_words(text))


def fuses(left: str, right: str) -> bool:
    """Whether two neighbouring units would be read as something else than these two: "kite" + "s"."""
    return not right.startswith(" ") and units(left + right) != (left, right)


class Encoder:
    """Token ids of pieces of stories, each unit tokenised alone and once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._of_unit: dict[str, tuple[int, ...]] = {}
        self._of_text: dict[str, tuple[int, ...]] = {}

    def __call__(self, text: str) -> tuple[int, ...]:
        """The ids of `text`, which must begin and end at unit boundaries."""
        ids = self._of_text.get(text)
        if ids is None:
            ids = tuple(token for unit in units(text) for token in self._unit(unit))
            self._of_text[text] = ids
        return ids

    def _unit(self, unit: str) -> tuple[int, ...]:
        if unit not in self._of_unit:
            self._of_unit[unit] = tuple(self.tokenizer.encode(unit))
        return self._of_unit[unit]
