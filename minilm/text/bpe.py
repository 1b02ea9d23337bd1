"""Byte-pair encoding itself, on numbers: learn merges from counted words, and apply them to one word.

Gage, A New Algorithm for Data Compression (1994); Sennrich et al., Neural Machine Translation of Rare Words
with Subword Units (2016), algorithm 1. Counting all pairs again before every merge would be slow on a large
corpus, so the counts are updated, and only for the words that a merge changed.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from minilm.text.pretokenization import BYTE_ORDER, utf8

Pair = tuple[int, int]
_GONE = -1  # in place of a token that was merged into the one before it


class Merge(NamedTuple):
    """Two tokens that become one wherever they meet."""

    left: int
    """Id of the first token."""

    right: int
    """Id of the second token."""

    token: int
    """Id of what they become."""

    count: int | None = None  # type: ignore[assignment]  # instead of the tuple's own method of this name
    """How often they met in the corpus when they were merged; None for a tokenizer read from a file."""


def learn_merges(words: Mapping[str, int], vocab_size: int) -> tuple[list[bytes], list[Merge]]:
    """The tokens (256 bytes, then what merging makes) and the merges, the most frequent pair first.

    >>> learn_merges({"low": 3}, vocab_size=258)[0][256:]
    [b'lo', b'low']

    Of equally frequent pairs the one with the smaller ids is merged, as the trainer of `tokenizers` does.
    Fewer than `vocab_size` tokens come back when every word has become one token.

    Args:
        words: how often each word occurs in the corpus.
    """
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    ids = {token: index for index, token in enumerate(tokens)}
    corpus = _Corpus(words)
    merges: list[Merge] = []
    while len(tokens) < vocab_size and (best := corpus.pop_most_frequent()) is not None:
        (left, right), count = best
        merged = tokens[left] + tokens[right]
        token = ids.setdefault(merged, len(tokens))  # runs such as "aaaaa" may be reached in two ways
        if token == len(tokens):
            tokens.append(merged)
        corpus.merge((left, right), token)
        merges.append(Merge(left, right, token, count))
    return tokens, merges


class _Corpus:
    """Counted words as token ids, with the count of each pair kept up to date as pairs are merged."""

    def __init__(self, words: Mapping[str, int]) -> None:
        byte_ids = {byte: index for index, byte in enumerate(BYTE_ORDER)}
        self.words = [[byte_ids[byte] for byte in utf8(word)] for word in words]
        self.counts = list(words.values())
        self.pair_counts: Counter[Pair] = Counter()
        # Words that hold the pair, some of them no more, some twice: numbers side by side take a tenth of a set's memory.
        self.places: defaultdict[Pair, array[int]] = defaultdict(lambda: array("I"))
        for index, word in enumerate(self.words):
            for pair in pairwise(word):
                self._change(pair, self.counts[index], index)
        self.queue = [(-count, pair) for pair, count in self.pair_counts.items()]
        heapify(self.queue)

    def pop_most_frequent(self) -> tuple[Pair, int] | None:
        """The pair to merge next and its count; None when no pair is left.

        Counts in the queue are upper bounds: a pair whose count has fallen goes back in with its present one.
        """
        while self.queue:
            bound, pair = heappop(self.queue)
            count = self.pair_counts[pair]
            if count == -bound:
                return pair, count
            if count > 0:
                heappush(self.queue, (-count, pair))
        return None

    def merge(self, pair: Pair, token: int) -> None:
        """Replace the pair by the token in every word that holds it, and count the pairs that this makes."""
        made: set[Pair] = set()
        for index in set(self.places.pop(pair)):
            self.words[index] = self._merge_word(index, pair, token, made)
        del self.pair_counts[pair]
        for new in made:
            if self.pair_counts[new] > 0:
                heappush(self.queue, (-self.pair_counts[new], new))

    def _merge_word(self, index: int, pair: Pair, token: int, made: set[Pair]) -> list[int]:
        word, count, (left, right) = self.words[index], self.counts[index], pair
        merged: list[int] = []
        at, last = 0, len(word) - 1
        while at <= last:
            if at == last or word[at] != left or word[at + 1] != right:
                merged.append(word[at])
                at += 1
                continue
            if merged:
                self._change((merged[-1], left), -count, index)
                self._change((merged[-1], token), count, index)
                made.add((merged[-1], token))
            if at + 1 < last:
                self._change((right, word[at + 2]), -count, index)
                self._change((token, word[at + 2]), count, index)
                made.add((token, word[at + 2]))
            merged.append(token)
            at += 2
        return merged

    def _change(self, pair: Pair, by: int, index: int) -> None:
        self.pair_counts[pair] += by
        if by > 0:
            self.places[pair].append(index)


def apply_merges(
    word: Sequence[int], merges: Mapping[Pair, tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """A word's tokens after all merges, and the merges in the order in which they happened: (rank, position).

    >>> apply_merges([1, 2, 3, 1, 2], {(1, 2): (0, 9)})
    ([9, 3, 9], [(0, 0), (0, 3)])

    The merge that was learned first is applied first, at the leftmost of several places. A queue of them and a linked
    list of tokens keep a word of n bytes at O(n log n): words such as a long run of spaces have no bound.

    Args:
        word: token ids of the word's bytes.
        merges: for each pair its rank and the token that it becomes.
    """
    tokens, end = list(word), len(word)
    before, after = list(range(-1, end - 1)), list(range(1, end + 1))
    queue = [(merges[pair][0], at) for at, pair in enumerate(pairwise(tokens)) if pair in merges]
    heapify(queue)
    steps: list[tuple[int, int]] = []
    while queue:
        rank, at = heappop(queue)
        right = after[at]
        merge = merges.get((tokens[at], tokens[right])) if right < end else None
        if merge is None or merge[0] != rank:
            continue  # an earlier merge took one of the two
        tokens[at], tokens[right], after[at] = merge[1], _GONE, after[right]
        if after[at] < end:
            before[after[at]] = at
        steps.append((rank, at))
        for first, second in ((before[at], at), (at, after[at])):
            if first >= 0 and second < end and (pair := (tokens[first], tokens[second])) in merges:
                heappush(queue, (merges[pair][0], first))
    return [token for token in tokens if token != _GONE], steps
