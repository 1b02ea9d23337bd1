"""Attention twice: fused, for speed, and explicit, for reading and for tracing.

Both compute o_i = sum_j softmax_j(q_i k_j / sqrt(p)) v_j over the positions j that query i may see
(Vaswani et al. 2017, Eq. 1): a kernel smoother whose kernel is exp(q k / sqrt(p)).

Keys may outnumber queries: memory slots and cached tokens stand to the left of the T newest ones. With S keys in all, a
causal query i therefore sees the columns 0 .. i + (S - T).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    scores = query @ keys.transpose(-2, -1) * query.size(-1) ** -0.5
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
    return F.scaled_dot_product_attention(query, keys, values, mask, dropout_p=dropout, is_causal=own)


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
    """Every gate (B, H, T) that was asked for, kept for `trace`."""

    def gate(self, own_score: Tensor) -> Tensor:
        """The share of attention that one more key would take, had it this score for each query.

        lambda_i = sigma(s_i - logsumexp_j(q_i k_j / sqrt(p))): (B, H, T) for scores s of (B, H, T).
        The attention itself is left as it is; a key that belongs to its own query needs no mask column.
        """
        known = self.scores is not None
        log_sums = self.scores.logsumexp(-1) if known else log_sum_exp(self.query, self.keys, self.visible)
        # The value of sigmoid, with a gradient that keeps its digits as the gate nears 1; sigmoid's y (1 - y) does not.
        gate = F.logsigmoid(own_score - log_sums).exp().to(own_score.dtype)  # (B, H, T)
        self.gates.append(gate)
        return gate


def log_sum_exp(query: Tensor, keys: Tensor, visible: Visibility = CAUSAL) -> Tensor:
    """logsumexp_j(q_i k_j / sqrt(p)) for every query (B, H, T, p), (B, H, T), with memory linear in T.

    Fused kernels know these numbers, and hand them out without a gradient or not at all. So they are computed once
    more, a block of queries at a time, and again in the backward pass.
    """
    dtype = torch.promote_types(torch.promote_types(query.dtype, keys.dtype), torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        return LogSumExp.apply(query.to(dtype), keys.to(dtype), visible)


class LogSumExp(torch.autograd.Function):
    """The derivative of a log-sum-exp by its scores is their softmax."""

    @staticmethod
    def forward(ctx, query: Tensor, keys: Tensor, visible: Visibility) -> Tensor:
        blocks = blocks_of_scores(query, keys, visible)
        log_sums = torch.cat([scores.logsumexp(dim=-1) for _, _, scores in blocks], dim=-1)
        log_sums.clamp_(min=torch.finfo(log_sums.dtype).min)  # of a query that sees nothing
        ctx.save_for_backward(query, keys, log_sums)
        ctx.visible = visible
        return log_sums

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        query, keys, log_sums = ctx.saved_tensors
        of_query = torch.empty_like(query)
        of_keys = torch.zeros_like(keys) if ctx.needs_input_grad[1] else None  # below all that is trained
        gradient = gradient.unsqueeze(-1) * query.size(-1) ** -0.5  # (B, H, T, 1)
        for rows, seen, scores in blocks_of_scores(query, keys, ctx.visible):
            weights = scores.sub_(log_sums[..., rows].unsqueeze(-1)).exp_()  # (B, H, block, seen)
            of_query[..., rows, :] = (weights @ keys[..., seen, :]) * gradient[..., rows, :]
            if of_keys is not None:
                of_keys[..., seen, :] += weights.mT @ (query[..., rows, :] * gradient[..., rows, :])
        return of_query, of_keys, None


def blocks_of_scores(
    query: Tensor, keys: Tensor, visible: Visibility
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Slices of some queries, of the keys that they may see, and the scores between them."""
    n_query, n_key = query.size(-2), keys.size(-2)
    mask = visible.mask(n_query, n_key, query.device) if visible.needs_mask else None
    triangle = mask is None and visible.is_causal
    query, keys = query * query.size(-1) ** -0.5, keys.mT
    size = 64 if query.device.type == "cpu" else 512  # what fits the cache; what keeps a device busy
    for start in range(0, n_query, size):
        rows = slice(start, min(start + size, n_query))
        seen = slice(n_key - n_query + rows.stop if triangle else n_key)
        scores = query[..., rows, :] @ keys[..., seen]  # (B, H, block, seen)
        if triangle:  # only the block's own columns hold what some of its queries may not see
            own = scores[..., n_key - n_query + start :]
            own.masked_fill_(~CAUSAL.mask(*own.shape[-2:], own.device), float("-inf"))
        elif mask is not None:
            scores.masked_fill_(~mask[..., rows, :], float("-inf"))
        yield rows, seen, scores
