"""The model itself, where a caller may also have its compiled form."""

from __future__ import annotations

from typing import Any

from minilm.model.model import MiniLM


def uncompiled(model: Any) -> Any:
    """The module that `torch.compile` was given; any other value as it is."""
    return getattr(model, "_orig_mod", model)


def as_minilm(model: Any) -> MiniLM:
    """The model, compiled or not.

    Raises:
        ValueError: it is not a `MiniLM`.
    """
    model = uncompiled(model)
    if not isinstance(model, MiniLM):
        raise ValueError(
            f"model must be a MiniLM, not {type(model).__name__}: of a tuned model, take its base, or merge() where "
            "its methods can be written into the weights"
        )
    return model
