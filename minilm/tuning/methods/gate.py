"""The gate of an inducer: the share of attention that one more key would take, with memory linear in the text's length.

lambda_i = sigma(s_i - logsumexp_j(q_i k_j / sqrt(p)))         s_i: the score of that key     (Chen et al. 2022, Eq. 8)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from minilm.model.attention import Attended
from minilm.model.visibility import CAUSAL, Visibility


def gate(attended: Attended, own_score: Tensor) -> Tensor:
    """The share of attention that one more key would take, had it this score for each query: both are (B, H, T).

    The attention itself is left as it is; a key that belongs to its own query needs no mask column. The gate is kept in
    `attended.gates`.
    """
    if attended.scores is not None:
        log_sums = attended.scores.logsumexp(-1)
    else:
        log_sums = log_sum_exp(attended.query, attended.keys, attended.visible)
    # Equal to sigmoid(s), but its gradient stays accurate as the gate approaches 1, where y (1 - y) underflows.
    share = F.logsigmoid(own_score - log_sums).exp().to(own_score.dtype)  # (B, H, T)
    attended.gates.append(share)
    return share


def log_sum_exp(query: Tensor, keys: Tensor, visible: Visibility = CAUSAL) -> Tensor:
    """logsumexp_j(q_i k_j / sqrt(p)) for every query (B, H, T, p), (B, H, T), with memory linear in T.

    Fused kernels know these numbers, and hand them out without a gradient or not at all. So they are computed once
    more, a block of queries at a time, and again in the backward pass.
    """
    dtype = torch.promote_types(torch.promote_types(query.dtype, keys.dtype), torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        log_sums: Tensor = LogSumExp.apply(query.to(dtype), keys.to(dtype), visible)  # type: ignore[no-untyped-call]
        return log_sums


class LogSumExp(torch.autograd.Function):
    """The derivative of a log-sum-exp by its scores is their softmax."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, visible: Visibility) -> Tensor:
        blocks = blocks_of_scores(query, keys, visible)
        log_sums = torch.cat([scores.logsumexp(dim=-1) for _, _, scores in blocks], dim=-1)
        log_sums.clamp_(min=torch.finfo(log_sums.dtype).min)  # of a query that sees nothing
        ctx.save_for_backward(query, keys, log_sums)
        ctx.visible = visible
        return log_sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
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
            own.masked_fill_(~CAUSAL.mask(own.size(-2), own.size(-1), own.device), float("-inf"))
        elif mask is not None:
            scores.masked_fill_(~mask[..., rows, :], float("-inf"))
        yield rows, seen, scores
