"""Digests: one short text that changes when any number, name or letter of a content changes."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

MARK = "sha256:"
"""How every digest begins."""


def digest(content: Any) -> str:
    """`MARK` and the SHA-256, in hexadecimal, of tensors, arrays, numbers, texts and nests of them.

    An object with its own `digest` is identified by it: content on disk need not be read again.
    Kind and shape count too: `[1, 2]` and `[[1], [2]]` differ. Equal contents have equal digests on every machine of the
    same byte order.

    >>> digest([1, 2]) == digest([1, 2]), digest([1, 2]) == digest([[1], [2]])
    (True, False)

    Raises:
        ValueError: the content holds something else.
    """
    state = hashlib.sha256()
    _feed(state, content)
    return MARK + state.hexdigest()


def _feed(state: Any, content: Any) -> None:
    """Add one content to a running hash, its kind and size before it."""
    if isinstance(content, Tensor):
        state.update(f"tensor {content.dtype} {tuple(content.shape)} ".encode())
        state.update(content.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(content, np.ndarray | np.generic):
        state.update(f"array {content.dtype} {content.shape} ".encode())
        state.update(np.ascontiguousarray(content).reshape(-1).view(np.uint8))
    elif isinstance(content, bytes | str):
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        state.update(f"{type(content).__name__} {len(raw)} ".encode() + raw)
    elif content is None or isinstance(content, bool | int | float):
        state.update(f"{content!r} ".encode())
    elif isinstance(getattr(content, "digest", None), str):
        state.update(f"{type(content).__name__} {content.digest} ".encode())
    elif isinstance(content, Mapping):
        _feed(state, [part for item in content.items() for part in item])
    elif isinstance(content, Sequence):
        _feed_sequence(state, content)
    else:
        raise ValueError(
            f"there is no digest of a {type(content).__name__}: give numbers, texts, tensors or lists"
        )


def _feed_sequence(state: Any, content: Sequence[Any]) -> None:
    """Token ids, of which there may be millions, go in at once; anything else goes in part by part."""
    state.update(f"list {len(content)} ".encode())
    if all(type(part) is int for part in content):
        try:
            numbers = array("q", content)
            state.update(b"numbers ")
            state.update(numbers)
            return
        except OverflowError:  # a number beyond 64 bits
            pass
    for part in content:
        _feed(state, part)
