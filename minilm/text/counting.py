"""Word counts of a corpus of any size, in bounded memory.

Few words make up most of a text, but the number of different ones never stops growing: names, numbers, mistakes.
Up to `MOST_WORDS` different words the counts are exact. Beyond, the rarest words are forgotten, as in lossy counting (Manku &
Motwani, Approximate Frequency Counts over Data Streams, 2002). The count of a word that is met again later is then too
small, by no more than the counts that were forgotten; a warning says by how much.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from minilm.text.pieces import PIECE, cut_text
from minilm.text.pretokenization import split_special, split_words

MOST_WORDS = 1_000_000
"""Different words that are counted at a time."""
MOST_CHARACTERS = 16_000_000
"""Characters that they may have together: a bound for text without spaces, whose words are long."""


class WordCounts(Counter[str]):
    """How often each word was met; the rarest are forgotten when there are too many."""

    def __init__(self) -> None:
        super().__init__()
        self.undercount = 0
        """How much too small any count may be; 0 if nothing was forgotten."""
        self._unchecked = 0
        """Characters of text since the words' own characters were last counted."""

    def add(self, text: str, special_tokens: Sequence[str] = ()) -> None:
        """Count the words of a text between its special tokens."""
        for piece, is_special in split_special(text, special_tokens):
            if not is_special:
                self.update(split_words(piece))
        self._unchecked += len(text)
        if len(self) > MOST_WORDS or (self._unchecked > PIECE and self._too_long()):
            self._forget_rarest()

    def _too_long(self) -> bool:
        self._unchecked = 0
        return sum(map(len, self)) > MOST_CHARACTERS

    def _forget_rarest(self) -> None:
        """Keep the most frequent words that take half of the room, but one at least."""
        ranked = self.most_common()
        ends = accumulate(len(word) for word, _ in ranked)
        n_kept = max(1, min(MOST_WORDS // 2, sum(end <= MOST_CHARACTERS // 2 for end in ends)))
        self.undercount += max((count for _, count in ranked[n_kept:]), default=0)
        self.clear()
        self.update(dict(ranked[:n_kept]))


def count_words(texts: Iterable[str], special_tokens: Sequence[str] = ()) -> WordCounts:
    """How often each word occurs in texts, special tokens left out.

    Raises:
        ValueError: the texts are empty, or hold a lone surrogate.
        TypeError: `texts` is one string, or holds something else than strings.
    """
    if isinstance(texts, str):
        raise TypeError(
            "texts is one string; give a list of texts, here: BPETokenizer.train([text], ...), or the Path of a file"
        )
    counts = WordCounts()
    for text in texts:
        for piece in cut_text(text, special_tokens):
            counts.add(piece, special_tokens)
    if not counts:
        raise ValueError("the corpus is empty: there is no text to learn merges from")
    if counts.undercount:
        warnings.warn(
            f"the corpus has more different words than are counted at a time ({MOST_WORDS:,}, or {MOST_CHARACTERS:,} "
            f"characters): the rarest were forgotten, and a count may be too small by up to {counts.undercount:,}",
            stacklevel=3,
        )
    return counts
