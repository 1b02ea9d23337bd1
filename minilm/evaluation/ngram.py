"""The n-gram model: the baseline that every neural language model had to beat.

It counts which token followed the last n - 1 and falls back on shorter contexts, by interpolated Kneser-Ney smoothing
(Kneser & Ney 1995; Chen & Goodman 1999, Eq. 14):

    P(w | h) = max(c(h w) - D, 0) / c(h .) + D N(h .) / c(h .) P(w | h without its first token)

c are counts at the highest order and, below it, in how many different contexts a sequence was seen; N(h .) is the number
of different tokens seen after h; the discount D of each order is n1 / (n1 + 2 n2), from how many counts are 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minilm.system.checks import whole
from minilm.text.excerpts import Tokens, sample_tokens

MOST_TOKENS = 2_000_000
"""Tokens that a 5-gram model counts: of prose, each takes some 35 bytes, and 100 while they are counted."""
_UNSEEN = -1


@dataclass(frozen=True)
class _Order:
    """All different sequences of k tokens in a text, numbered in the order of their keys."""

    keys: np.ndarray
    """(N,) int64, sorted: number of the first k - 1 tokens among their own order, times the vocabulary's size, plus the last token."""
    counts: np.ndarray
    """(N,) c(h w)."""
    totals: np.ndarray
    """c(h .) by the number of h, the first k - 1 tokens."""
    kinds: np.ndarray
    """N(h .) by the number of h."""
    discount: float
    """D."""

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Numbers of sequences by their keys; `_UNSEEN` for one that is not in the text."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, _UNSEEN)

    def interpolate(self, history: np.ndarray, gram: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """P(w | h) from that of the shorter history: the same where h was never seen, which tells nothing."""
        total = np.where(history == _UNSEEN, 0, self.totals[history])
        kept = np.where(gram == _UNSEEN, 0.0, np.maximum(self.counts[gram] - self.discount, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            longer = (kept + self.discount * self.kinds[history] * shorter) / total
        return np.where(total > 0, longer, shorter)


class NGramModel:
    """An n-gram language model over token ids.

    >>> model = NGramModel([0, 1, 0, 1, 0, 1], vocab_size=2, n=2)
    >>> model.log_prob([0, 1]) > model.log_prob([0, 0])
    True

    Args:
        tokens: the text it counts, (N,); of more than `most` tokens, evenly spaced parts of it.
        vocab_size: how many ids there are; what was never seen shares their uniform distribution.
        n: order; 5 looks at the last four tokens.
        most: tokens that are counted at most.

    Raises:
        ValueError: n is not positive, the text is shorter than n tokens, or an id is outside the vocabulary.
    """

    def __init__(self, tokens: Tokens, vocab_size: int, n: int = 5, most: int = MOST_TOKENS):
        whole("n", n, least=1)
        whole("vocab_size", vocab_size, least=1)
        if len(tokens) < n:
            raise ValueError(f"a text of {len(tokens)} tokens is too short to count {n}-grams")
        text = sample_tokens(tokens, max(most, n))
        if outside := [int(token) for token in (text.min(), text.max()) if not 0 <= token < vocab_size]:
            raise ValueError(f"token id {outside[0]} is outside the vocabulary 0 .. {vocab_size - 1}")
        self.n, self.vocab_size = n, vocab_size
        self.orders = _count(text, vocab_size, n)
        """From unigrams to n-grams."""

    def probability(self, token: int, context: Sequence[int]) -> float:
        """P(token | the last n - 1 ids of context)."""
        return float(
            self.probabilities([*list(context)[len(context) - min(self.n - 1, len(context)) :], token])[-1]
        )

    def probabilities(self, tokens: Sequence[int]) -> np.ndarray:
        """(T,) P(token | the tokens before it in `tokens`), for each of them."""
        text = np.asarray(tokens, dtype=np.int64)  # (T,)
        known = (text >= 0) & (text < self.vocab_size)
        probability = np.full(len(text), 1 / self.vocab_size)
        history = np.zeros(
            len(text) + 1, dtype=np.int64
        )  # numbers of the sequences before each token, from none on
        for length, order in enumerate(self.orders):
            # history[i] and gram[i] begin at token i; the gram ends at token i + length.
            history = history[: max(len(text) - length, 0)]
            follows = text[length:]
            gram = order.find(
                np.where((history != _UNSEEN) & known[length:], history * self.vocab_size + follows, _UNSEEN)
            )
            probability[length:] = order.interpolate(history, gram, probability[length:])
            history = gram
        return probability

    def log_prob(self, tokens: Sequence[int]) -> float:
        """Sum of ln P(token | the tokens before it in `tokens`), in nats."""
        return float(np.log(self.probabilities(tokens)).sum())


def _count(text: np.ndarray, vocab_size: int, n: int) -> list[_Order]:
    """The orders 1 to n of a text of token ids (N,)."""
    keys, shorter = (
        [],
        [],
    )  # of each order, its keys, and of each sequence the number of it without its first token
    numbers = np.zeros(
        len(text) + 1, dtype=np.int64
    )  # of the sequence of the order before that begins at each place
    for k in range(1, n + 1):
        begun = numbers[: len(text) - k + 1] * vocab_size + text[k - 1 :]
        unique, first, inverse = np.unique(begun, return_index=True, return_inverse=True)
        keys.append(unique)
        shorter.append(numbers[first + 1].astype(np.int32))
        numbers = inverse
    counts = np.bincount(numbers)
    orders = [_order(keys[-1], counts, vocab_size, len(keys[-2]) if n > 1 else 1)]
    for k in range(n - 1, 0, -1):
        # In how many contexts was the rest seen? Each sequence of the order above is one.
        counts = np.bincount(shorter[k][counts > 0], minlength=len(keys[k - 1]))
        orders.append(_order(keys[k - 1], counts, vocab_size, len(keys[k - 2]) if k > 1 else 1))
    return orders[::-1]


def _order(keys: np.ndarray, counts: np.ndarray, vocab_size: int, n_history: int) -> _Order:
    """One order from its keys and counts; there are `n_history` sequences one token shorter."""
    histories = keys // vocab_size
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # The estimate needs counts of 1 and 2; a text without them gets the customary 3/4.
    return _Order(
        keys,
        counts.astype(np.int32),
        np.bincount(histories, counts, n_history).astype(np.int32),
        np.bincount(histories, counts > 0, n_history).astype(np.int32),
        once / (once + 2 * twice) if once and twice else 0.75,
    )
