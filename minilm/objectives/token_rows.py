"""The long text that a sampler cuts its windows from: in memory as a tensor, or on disk, where it stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

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
    row = tokens if isinstance(tokens, TokenRow) else torch.as_tensor(tokens)
    if row.ndim != 1:
        raise ValueError(
            f"tokens must be the ids of one text, (N,), not {tuple(row.shape)}: pass one row, tokens[0]"
        )
    if len(row) and not (
        row.dtype in WHOLE if isinstance(row, Tensor) else np.issubdtype(row.dtype, np.integer)
    ):
        raise ValueError(f"tokens must be whole numbers, not {row.dtype}: encode the text first")
    return row


def windows(row: TokenRow, starts: Tensor, length: int) -> Tensor:
    """The tokens from each start on: starts (B, 1) -> (B, length) int64. Of a row on disk, only these are read."""
    places = starts + torch.arange(length)  # (B, length)
    if isinstance(row, Tensor):
        return row[places].long()
    return torch.from_numpy(np.asarray(row[places.numpy()], dtype=np.int64))


def row_digest(row: TokenRow) -> str:
    """A digest of all its tokens; shards have counted theirs when they were written."""
    return row.digest if isinstance(row, TokenShards) else digest(row)
