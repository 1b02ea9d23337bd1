"""Attention twice: fused, for speed, and explicit, for reading and for tracing.

Both compute o_i = sum_j softmax_j(q_i k_j / sqrt(p)) v_j over the positions j that query i may see
(Vaswani et al. 2017, Eq. 1): a kernel smoother whose kernel is exp(q k / sqrt(p)).

Keys may outnumber queries: memory slots and cached tokens stand to the left of the T newest ones. With S keys in all, a
causal query i therefore sees the columns 0 .. i + (S - T).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from minilm.model.visibility import CAUSAL, Visibility


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Visibility = CAUSAL,
    dropout: float = 0.0,
    explicit: bool = False,
) -> Attended:
    """Attention of query (B, H, T, p) over keys and values (B, H, S, p).

    Args:
        visible: which keys a query may look at. One that may look at none gets zeros.
        explicit: form the scores one can look at, instead of calling the fused kernel.
    """
    if explicit:
        mask = visible.mask(query.size(-2), keys.size(-2), query.device)
        scores = attention_scores(query, keys, mask)  # (B, H, T, S)
        weights = F.softmax(scores, dim=-1).masked_fill(~mask, 0.0)  # (B, H, T, S)
        output = F.dropout(weights, dropout, training=dropout > 0) @ values  # (B, H, T, p)
        return Attended(query, keys, output, visible, dropout, scores, weights)
    return Attended(query, keys, fused_attention(query, keys, values, visible, dropout), visible, dropout)


def attention_scores(query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """q k / sqrt(p), and -inf where a query may not look: (B, H, T, S)."""
    scores: Tensor = query @ keys.transpose(-2, -1) * query.size(-1) ** -0.5
    return scores.masked_fill(~mask, float("-inf"))


def fused_attention(
    query: Tensor, keys: Tensor, values: Tensor, visible: Visibility = CAUSAL, dropout: float = 0.0
) -> Tensor:
    """The same output (B, H, T, p) from PyTorch's fused kernel, which never holds the T x S weights."""
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        return attention_in_float32(query, keys, values, visible, dropout)
    n_query, n_key = query.size(-2), keys.size(-2)
    triangle = visible.is_causal and not visible.needs_mask
    needs_mask = visible.needs_mask or (triangle and 1 < n_query < n_key)  # the kernel's counts from the left
    mask = visible.mask(n_query, n_key, query.device) if needs_mask else None
    own = triangle and 1 < n_query == n_key
    output: Tensor = F.scaled_dot_product_attention(
        query, keys, values, mask, dropout_p=dropout, is_causal=own
    )
    return output


def attention_in_float32(
    query: Tensor, keys: Tensor, values: Tensor, visible: Visibility, dropout: float
) -> Tensor:
    """The same for a CPU, whose kernel needs three times as long in bfloat16 as in float32."""
    with torch.autocast("cpu", enabled=False):
        wide = fused_attention(query.float(), keys.float(), values.float(), visible, dropout)
    return wide.to(query.dtype)


@dataclass
class Attended:
    """What attention did for its queries; a delta at the `attention` site is handed this."""

    query: Tensor
    """(B, H, T, p)."""
    keys: Tensor
    """(B, H, S, p)."""
    output: Tensor
    """(B, H, T, p), the heads' output before it is concatenated."""
    visible: Visibility
    """Which of the keys each query saw."""
    dropout: float = 0.0
    """Share of attention weights dropped in this pass."""
    scores: Tensor | None = None
    """(B, H, T, S), only when attention was explicit."""
    weights: Tensor | None = None
    """(B, H, T, S), only when attention was explicit; rows sum to 1."""
    gates: list[Tensor] = field(default_factory=list)
    """(B, H, T) each: the shares of attention that deltas gave to keys of their own, kept for `trace`."""
