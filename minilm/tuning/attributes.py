"""Control attributes, encoded as tokens that the auxiliary model reads before the text (Zeldes et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minilm.model.tokens import in_words
from minilm.text.tokenizer import BPETokenizer


def encode_attributes(
    tokenizer: BPETokenizer, attributes: Sequence[str], length: int | None = None
) -> Tensor:
    """Attributes written as text, as ids (B, m): the shorter ones with end-of-text tokens before them.

    Args:
        length: m; None takes what the longest needs. A model should always get attributes of one length.

    Raises:
        ValueError: an attribute has no tokens, or more than `length`; or there is one string instead of a list.
    """
    if isinstance(attributes, str) or not all(isinstance(each, str) for each in attributes):
        raise ValueError(
            f"attributes must be a list of texts, not {attributes!r}: one for each row, such as ['happy']"
        )
    rows = [tokenizer.encode(attribute) for attribute in attributes]
    length = max(map(len, rows), default=0) if length is None else length
    for attribute, row in zip(attributes, rows, strict=True):
        if not row:
            raise ValueError(
                f"the attribute {attribute!r} has no tokens: write down what the text should have"
            )
        if len(row) > length:
            raise ValueError(
                f"the attribute {attribute!r} has {len(row)} tokens, more than the {length} allowed"
            )
    return torch.tensor([[tokenizer.end_of_text] * (length - len(row)) + row for row in rows])


def check_attribute(
    attribute: Tensor, batch_size: int, longest: int, columns: tuple[int, int] | None = None
) -> None:
    """Raise ValueError unless an attribute is (B, m) ids of which a model can read its columns."""
    known = isinstance(attribute, Tensor)
    if not known or attribute.dim() != 2 or attribute.dtype != torch.int64:
        given = f"{tuple(attribute.shape)} of {attribute.dtype}" if known else in_words(attribute)
        raise ValueError(
            f"an attribute must be (batch, m) of int64, not {given}; encode_attributes makes one from texts"
        )
    if attribute.size(0) != batch_size:
        raise ValueError(f"{batch_size} texts need as many attributes, not {attribute.size(0)}")
    if columns is not None and columns[1] > attribute.size(1):
        raise ValueError(
            f"an attribute of {attribute.size(1)} tokens has no columns {columns[0]} .. {columns[1] - 1}"
        )
    n_own = attribute.size(1) if columns is None else columns[1] - columns[0]
    if n_own == 0:
        raise ValueError("the attribute has no tokens: write down what the text should have, or pass none")
    if n_own > longest:
        raise ValueError(
            f"an attribute of {n_own} tokens does not fit: the auxiliary model reads up to {longest}; "
            "shorten it or attach with a larger attribute_length"
        )
