"""Who may look at whom in one pass: a rule on positions, which is also a picture.

A `Visibility` is to an objective what a mask is to attention, but it is a value: a batch carries it, a pass obeys it, and
`matrix` draws it. Positions are those of the text, from 0. Virtual tokens and slots before the text have negative positions:
every token of the text sees them, and they see no token of the text, or they could pass on what is hidden.

>>> CAUSAL.matrix(3).int().tolist()
[[1, 0, 0], [1, 1, 0], [1, 1, 1]]
>>> prefix(2).matrix(3).int().tolist()
[[1, 1, 0], [1, 1, 0], [1, 1, 1]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Callable[[Tensor, Tensor], Tensor]
"""Positions of queries (T, 1) and of keys (1, S) -> booleans (T, S), or (B, 1, T, S) where rows of a batch differ.

Where the rows of a cache differ in length, the newest position of each is asked for: queries are then (B, 1, 1, 1)."""


@dataclass(frozen=True, eq=False)
class Visibility:
    """Who may look at whom. What `over` fills in says which keys a pass has besides those of the text."""

    name: str
    rule: Rule
    is_causal: bool = False
    """Every query sees itself and all before it: the fused kernel then builds the triangle itself."""
    is_full: bool = False
    """Every query sees every key: nothing is hidden, not even from virtual tokens."""
    n_virtual: int = 0
    """Keys before the text: slots and virtual tokens."""
    slots: Tensor | None = None
    """(B, l) booleans, False where a row lacks one of the first l keys; None if no row lacks any."""
    newest: Tensor | None = None
    """(B,) position of the one new token in each row of a cache whose rows differ in length; None if they do not."""

    def matrix(self, n: int) -> Tensor:
        """(n, n) booleans, True where the query of that row may see the key of that column.

        Raises:
            ValueError: the rule tells the rows of a batch apart; ask for its `mask`.
        """
        seen = self.mask(n, n)
        if seen.dim() > 2:
            raise ValueError(f"the visibility {self.name} differs from row to row: use mask({n}, {n})")
        return seen

    def over(
        self, n_virtual: int = 0, slots: Tensor | None = None, newest: Tensor | None = None
    ) -> Visibility:
        """The same rule where keys come before the text, where rows lack some of them, or where rows differ in length."""
        if slots is None and newest is None and not self.needs_mask:
            return self  # counted from the right, the triangle stays one
        return replace(self, n_virtual=n_virtual, slots=slots, newest=newest)

    @property
    def needs_mask(self) -> bool:
        """Whether attention must be given a matrix: it knows the triangle, and nothing needs hiding where all is seen."""
        return not (self.is_causal or self.is_full) or self.slots is not None or self.newest is not None

    def mask(self, n_query: int, n_key: int, device: torch.device | str | None = None) -> Tensor:
        """(T, S) booleans for the T newest positions over S keys; (B, 1, T, S) where the rows of a batch differ."""
        n_text = n_key - self.n_virtual
        query = torch.arange(n_text - n_query, n_text, device=device)[:, None]  # (T, 1)
        if self.newest is not None:
            query = self.newest[:, None, None, None]  # (B, 1, 1, 1)
        key = torch.arange(-self.n_virtual, n_text, device=device)[None]  # (1, S)
        seen = self.rule(query.clamp(min=0), key.clamp(min=0)) & (query >= 0)
        seen = torch.where(key < 0, key <= query, seen)
        if self.is_full:
            seen = torch.ones_like(seen)
        if self.newest is not None:
            seen = seen & (key <= query)  # what the padding of shorter rows left behind
        if self.slots is not None:
            seen = seen & F.pad(self.slots, (0, n_key - self.slots.size(1)), value=True)[:, None, None]
        return seen


CAUSAL = Visibility("causal", lambda query, key: key <= query, is_causal=True)
"""j <= i: what has been read so far."""
FULL = Visibility("full", lambda query, key: (query >= 0) & (key >= 0), is_full=True)
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
    """As `CAUSAL`, and only inside one's own document: documents (B, T) hold a number for each token's document."""

    def rule(query: Tensor, key: Tensor) -> Tensor:
        numbers = documents.to(query.device)
        row = torch.arange(len(numbers), device=query.device)[:, None, None, None]
        return (numbers[row, query] == numbers[row, key]) & inside.rule(query, key)  # (B, 1, T, S)

    return Visibility(f"{inside.name} within documents", rule)


def each_row(visibilities: Sequence[Visibility]) -> Visibility:
    """For a batch of texts, of which each has a visibility of its own: row i is read with the i-th."""
    names = dict.fromkeys(each.name for each in visibilities)

    def rule(query: Tensor, key: Tensor) -> Tensor:
        own = query.expand(len(visibilities), 1, *query.shape[-2:])  # (B, 1, T, 1)
        return torch.stack([each.rule(own[row, 0], key) for row, each in enumerate(visibilities)])[:, None]

    return Visibility(f"of each row: {', '.join(names)}", rule)


def fixed(mask: Tensor) -> Visibility:
    """What a mask says: (..., T, S) booleans for the T newest positions over S keys, True where a query may look."""
    first = mask.size(-1) - mask.size(-2)
    return Visibility("fixed", lambda query, key: mask[..., query - first, key])
