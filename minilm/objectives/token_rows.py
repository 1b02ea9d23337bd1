"""The long text that a sampler cuts its windows from: in memory as a tensor, or on disk, where it stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from minilm.model.tokens import id_row
from minilm.system.content_digests import digest
from minilm.text.shards import TokenShards

WHOLE = {torch.uint8, torch.uint16, torch.uint32, torch.int8, torch.int16, torch.int32, torch.int64}
TokenRow = Tensor | np.ndarray | TokenShards
"""Token ids (N,), of any type of whole numbers."""


def token_row(tokens: TokenRow | Sequence[int]) -> TokenRow:
    """Token ids as windows are cut from them: a list becomes a tensor, anything else stays as it is, and where it is.

    Raises:
        ValueError: they are not the whole numbers of one text.
    """
    if not isinstance(tokens, TokenRow):
        return id_row(tokens)
    if tokens.ndim != 1:
        raise ValueError(f"tokens must be the ids of one text (time,), not of shape {tuple(tokens.shape)}")
    is_whole = (
        tokens.dtype in WHOLE if isinstance(tokens, Tensor) else np.issubdtype(tokens.dtype, np.integer)
    )
    if len(tokens) and not is_whole:
        raise ValueError(f"tokens must be whole token ids, not {tokens.dtype}: encode the text first")
    return tokens


def windows(row: TokenRow, starts: Tensor, length: int) -> Tensor:
    """The tokens from each start on: starts (B, 1) -> (B, length) int64. Of a row on disk, only these are read."""
    places = starts + torch.arange(length)  # (B, length)
    if isinstance(row, Tensor):
        return row[places].long()
    return torch.from_numpy(np.asarray(row[places.numpy()], dtype=np.int64))


def row_digest(row: TokenRow) -> str:
    """A digest of all its tokens; shards have counted theirs when they were written."""
    return row.digest if isinstance(row, TokenShards) else digest(row)
