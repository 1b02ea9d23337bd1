"""Who may look at whom in one pass: a rule on positions, which is also a picture.

A `Visibility` is to an objective what a mask is to attention, but it is a value: a batch carries it, a pass obeys it, and
`matrix` draws it. Positions are those of the text, from 0; virtual tokens before the text are seen by every query.

>>> CAUSAL.matrix(3).int().tolist()
[[1, 0, 0], [1, 1, 0], [1, 1, 1]]
>>> prefix(2).matrix(3).int().tolist()
[[1, 1, 0], [1, 1, 0], [1, 1, 1]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Callable[[Tensor, Tensor], Tensor]
"""Positions of queries (T, 1) and of keys (1, S) -> booleans (T, S), or (B, 1, T, S) where rows of a batch differ."""


@dataclass(frozen=True)
class Visibility:
    """Who may look at whom."""

    name: str
    rule: Rule
    is_causal: bool = False
    """Every query sees itself and all before it: the fused kernel then builds the triangle itself."""

    def matrix(self, n: int) -> Tensor:
        """(n, n) booleans, True where the query of that row may see the key of that column.

        Raises:
            ValueError: the rule tells the rows of a batch apart; ask for its `mask`.
        """
        seen = self.mask(n, n)
        if seen.dim() > 2:
            raise ValueError(f"the visibility {self.name} differs from row to row: use mask({n}, {n})")
        return seen

    def mask(
        self, n_query: int, n_key: int, n_virtual: int = 0, device: torch.device | str | None = None
    ) -> Tensor:
        """(T, S) booleans for the T newest positions of a text over S keys, the first `n_virtual` of them virtual."""
        n_text = n_key - n_virtual
        queries = torch.arange(n_text - n_query, n_text, device=device)[:, None]  # (T, 1)
        seen = self.rule(queries, torch.arange(n_text, device=device)[None])  # (T, S - n_virtual)
        return F.pad(seen, (n_virtual, 0), value=True)


CAUSAL = Visibility("causal", lambda query, key: key <= query, is_causal=True)
"""j <= i: what has been read so far."""
FULL = Visibility("full", lambda query, key: (query >= 0) & (key >= 0))
"""Everybody sees everybody: an encoder."""
REVERSED = Visibility("right to left", lambda query, key: key >= query)
"""j >= i: what is still to come."""


def prefix(n: int) -> Visibility:
    """The first n tokens see each other; after them, each token sees all before it and itself (T5, UniLM).

    Raises:
        ValueError: n is negative.
    """
    if n < 0:
        raise ValueError(f"n must be 0 or more tokens, not {n}")
    return Visibility(f"prefix of {n}", lambda query, key: (key < n) | (key <= query))


def permuted(order: Sequence[int] | Tensor, *, sees_itself: bool) -> Visibility:
    """A token sees those that come earlier in an order of prediction (XLNet).

    Args:
        order: positions in the order in which they are predicted, a permutation of 0 .. n - 1.
        sees_itself: True for the content stream, False for the query stream.

    Raises:
        ValueError: the order is not a permutation.
    """
    order = torch.as_tensor(order)
    if not torch.equal(order.sort().values, torch.arange(len(order), device=order.device)):
        raise ValueError(f"order must be a permutation of 0 .. {len(order) - 1}, not {order.tolist()}")
    rank = order.argsort()  # position -> place in the order

    def rule(query: Tensor, key: Tensor) -> Tensor:
        place = rank.to(query.device)
        return place[key] <= place[query] if sees_itself else place[key] < place[query]

    return Visibility("content stream" if sees_itself else "query stream", rule)


def within(documents: Tensor, inside: Visibility = CAUSAL) -> Visibility:
    """The same, and only inside one's own document: documents (B, T) hold a number for each token's document."""

    def rule(query: Tensor, key: Tensor) -> Tensor:
        numbers = documents.to(query.device)
        same = numbers[:, query[:, 0], None] == numbers[:, None, key[0]]  # (B, T, S)
        return (same & inside.rule(query, key))[:, None]  # (B, 1, T, S)

    return Visibility(f"{inside.name} within documents", rule)
