"""The n-gram model: the baseline that every neural language model had to beat.

It counts which token followed the last n - 1 and falls back on shorter contexts, by interpolated Kneser-Ney smoothing
(Kneser & Ney 1995; Chen & Goodman 1999, Eq. 14):

    P(w | h) = max(c(h w) - D, 0) / c(h .) + D N(h .) / c(h .) P(w | h without its first token)

c are counts at the highest order and, below it, in how many different contexts a sequence was seen; N(h .) is the number
of different tokens seen after h; the discount D of each order is n1 / (n1 + 2 n2), from how many counts are 1 and 2.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from minilm.system.checks import whole

Gram = tuple[int, ...]


@dataclass
class _Order:
    """Counts of one order."""

    counts: Counter[Gram]
    totals: Counter[Gram] = field(default_factory=Counter)
    kinds: Counter[Gram] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for gram, count in self.counts.items():
            self.totals[gram[:-1]] += count
            self.kinds[gram[:-1]] += 1
        frequency = Counter(self.counts.values())
        # The estimate needs counts of 1 and 2; a text without them gets the customary 3/4.
        known = frequency[1] and frequency[2]
        self.discount = frequency[1] / (frequency[1] + 2 * frequency[2]) if known else 0.75


class NGramModel:
    """An n-gram language model over token ids.

    Args:
        tokens: the text it counts.
        vocab_size: how many ids there are; what was never seen shares their uniform distribution.
        n: order; 5 looks at the last four tokens.

    Raises:
        ValueError: n is not positive, or the text is shorter than n tokens.
    """

    def __init__(self, tokens: Sequence[int], vocab_size: int, n: int = 5):
        whole("n", n, least=1)
        whole("vocab_size", vocab_size, least=1)
        if len(tokens) < n:
            raise ValueError(f"a text of {len(tokens)} tokens is too short to count {n}-grams")
        self.n, self.vocab_size = n, vocab_size
        counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
        self.orders = [_Order(counts)]
        for _ in range(n - 1):
            counts = Counter(gram[1:] for gram in counts)  # in how many contexts was the rest seen?
            self.orders.append(_Order(counts))
        self.orders.reverse()
        """From unigrams to n-grams."""

    def probability(self, token: int, context: Sequence[int]) -> float:
        """P(token | the last n - 1 ids of context)."""
        probability = 1 / self.vocab_size
        context = tuple(context)[-(self.n - 1) :] if self.n > 1 else ()
        for length, order in enumerate(self.orders[: len(context) + 1]):
            history = context[len(context) - length :]
            total = order.totals[history]
            if not total:
                break  # a context that never occurred tells nothing, nor does a longer one
            kept = max(order.counts[(*history, token)] - order.discount, 0.0)
            probability = (kept + order.discount * order.kinds[history] * probability) / total
        return probability

    def log_prob(self, tokens: Sequence[int]) -> float:
        """Sum of ln P(token | the tokens before it in `tokens`), in nats."""
        return sum(
            math.log(self.probability(token, tokens[max(place - self.n + 1, 0) : place]))
            for place, token in enumerate(tokens)
        )
