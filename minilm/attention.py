"""Causal attention twice: fused, for speed, and explicit, for reading and for tracing.

Both compute o_i = sum_j softmax_j(q_i k_j / sqrt(p)) v_j over the positions j that query i may see
(Vaswani et al. 2017, Eq. 1): a kernel smoother whose kernel is exp(q k / sqrt(p)).

Keys may outnumber queries: memory slots and cached tokens stand to the left of the T newest ones. With S
keys in all, query i therefore sees the columns 0 .. i + (S - T).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor


def causal_mask(n_query: int, n_key: int, device: torch.device | None = None) -> Tensor:
    """(T, S) booleans, True where query i may see key j: j <= i + (S - T)."""
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query)


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    explicit: bool = False,
) -> Attended:
    """Attention of query (B, H, T, p) over keys and values (B, H, S, p).

    Args:
        mask: (..., T, S) booleans, True where a query may look; None is the causal mask.
        explicit: form the scores one can look at, instead of calling the fused kernel.
    """
    if explicit:
        scores = attention_scores(query, keys, mask)  # (B, H, T, S)
        weights = F.softmax(scores, dim=-1)  # (B, H, T, S)
        output = F.dropout(weights, dropout, training=dropout > 0) @ values  # (B, H, T, p)
        return Attended(query, keys, output, mask, dropout, scores, weights)
    return Attended(query, keys, fused_attention(query, keys, values, mask, dropout), mask, dropout)


def attention_scores(query: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """q k / sqrt(p), and -inf where a query may not look: (B, H, T, S)."""
    scores = query @ keys.transpose(-2, -1) * query.size(-1) ** -0.5
    mask = causal_mask(*scores.shape[-2:], scores.device) if mask is None else mask
    return scores.masked_fill(~mask, float("-inf"))


def fused_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """The same output (B, H, T, p) from PyTorch's fused kernel, which never holds the T x S weights."""
    n_query, n_key = query.size(-2), keys.size(-2)
    square = mask is None and n_query == n_key
    if mask is None and 1 < n_query < n_key:
        mask = causal_mask(n_query, n_key, query.device)
    return F.scaled_dot_product_attention(
        query, keys, values, mask, dropout_p=dropout, is_causal=square and n_query > 1, scale=scale
    )


@dataclass
class Attended:
    """What attention did for its queries; a delta at the `attention` site is handed this."""

    query: Tensor
    """(B, H, T, p)."""
    keys: Tensor
    """(B, H, S, p)."""
    output: Tensor
    """(B, H, T, p), the heads' output before it is concatenated."""
    mask: Tensor | None
    """(..., T, S) booleans, or None for the causal mask."""
    dropout: float = 0.0
    """Share of attention weights dropped in this pass."""
    scores: Tensor | None = None
    """(B, H, T, S), only when attention was explicit."""
    weights: Tensor | None = None
    """(B, H, T, S), only when attention was explicit; rows sum to 1."""
    gates: list[Tensor] = field(default_factory=list)
    """Every gate (B, H, T) that was asked for, kept for `trace`."""

    def gate(self, own_score: Tensor) -> Tensor:
        """The share of attention that one more key would take, had it this score for each query.

        lambda_i = sigma(s_i - logsumexp_j(q_i k_j / sqrt(p))): (B, H, T) for scores s of (B, H, T).
        The attention itself is left as it is; a key that belongs to its own query needs no mask column.
        """
        if self.scores is not None:
            gate = torch.sigmoid(own_score - self.scores.logsumexp(dim=-1))
        else:
            gate = fused_gate(self.query, self.keys, own_score, self.mask)
        self.gates.append(gate)
        return gate


def fused_gate(query: Tensor, keys: Tensor, own_score: Tensor, mask: Tensor | None = None) -> Tensor:
    """`Attended.gate` by a fused kernel, with memory linear in T.

    Queries grow by one dimension that holds their own score, and one shared slot (0, ..., 0, 1) stands before the
    keys, so that its score for query i is s_i. An indicator in the values reads off the weight it received.
    """
    scale = query.size(-1) ** -0.5
    wide_query = torch.cat([query, own_score.unsqueeze(-1) / scale], dim=-1)  # (B, H, T, p + 1)
    wide_keys = F.pad(keys, (0, 1, 1, 0))  # (B, H, 1 + S, p + 1)
    wide_keys[..., 0, -1] = 1.0
    indicator = torch.zeros_like(wide_keys)
    indicator[..., 0, -1] = 1.0
    if mask is not None:
        mask = F.pad(mask, (1, 0), value=True)  # every query sees its own slot
    elif query.size(-2) == keys.size(-2):
        # A first query that only sees the slot keeps the shape square: the kernel's causal mode needs no mask.
        wide_query = F.pad(wide_query, (0, 0, 1, 0))
    gate = fused_attention(wide_query, wide_keys, indicator, mask, scale=scale)[..., -1]
    return gate[..., -query.size(-2) :]
