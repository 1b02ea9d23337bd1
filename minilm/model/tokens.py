"""Token ids as models take them: tensors of int64, and nothing that would have to be guessed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8)
"""Types of ids that can be taken for int64 ones without a loss."""


def check_tokens(tokens: object, name: str = "tokens", advice: str = "") -> None:
    """Refuse what is not a non-empty (B, T) tensor of int64.

    Args:
        advice: what to do where the text is empty.
    """
    if not isinstance(tokens, Tensor):
        raise ValueError(
            f"{name} must be a (batch, time) tensor of ids, not {in_words(tokens)}: pass torch.tensor([[...]])"
        )
    if tokens.dim() != 2 or tokens.numel() == 0:
        raise ValueError(
            f"{name} must be a non-empty (batch, time) tensor, not of shape {tuple(tokens.shape)}{advice}"
        )
    if tokens.dtype != torch.int64:
        raise ValueError(f"{name} must be int64, not {tokens.dtype}; call tokens.long()")


def check_ids(tokens: Tensor, vocab_size: int) -> None:
    """Raise ValueError naming the first id that the vocabulary does not have."""
    low, high = (int(bound) for bound in tokens.aminmax())
    if low < 0 or high >= vocab_size:
        wrong = low if low < 0 else high
        raise ValueError(
            f"token id {wrong} is outside the vocabulary 0 .. {vocab_size - 1}: was the text encoded by another tokenizer?"
        )


def id_row(ids: Sequence[int] | Tensor, name: str = "tokens") -> Tensor:
    """Ids of one text as a tensor (N,) of int64: of a list of ints, an array or a tensor of whole numbers.

    Raises:
        ValueError: there are other things in it (fractions, strings, True, rows), which would have to be rounded or guessed.
    """
    try:
        row = ids if isinstance(ids, Tensor) else torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{name} must be a list of token ids, not {in_words(ids)}") from None
    if row.dim() != 1:
        raise ValueError(f"{name} must be the ids of one text (time,), not of shape {tuple(row.shape)}")
    if row.dtype not in WHOLE and row.numel():
        raise ValueError(f"{name} must be whole token ids, not {row.dtype}, such as {row[0].item()!r}")
    return row.to(torch.int64)


def in_words(value: object) -> str:
    """A value, cut short, and its type."""
    text = " ".join(repr(value).split())
    return f"the {type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
