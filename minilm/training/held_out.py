"""One look at held-out text: what the caller's functions say of the model, checked, and without a trace in the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from minilm.generation.requests import NonFiniteLogitsError
from minilm.training.records import EvaluationRecord


class DivergenceError(RuntimeError):
    """The loss, its gradient or a logit is no longer a number."""


def look(
    model: nn.Module,
    step: int,
    evaluate: Callable[[Any], float] | None,
    sample: Callable[[Any], str] | None,
    device: torch.device,
) -> EvaluationRecord:
    """The held-out loss and a text after so many steps, in eval mode; the model is in train mode again afterwards.

    Both functions may draw random numbers: dropout then uses the numbers that it would have used without them.

    Raises:
        ValueError: `evaluate` gave no number, or `sample` no text.
        DivergenceError: the model's logits are no longer numbers, so that there is nothing to sample from.
    """
    model.eval()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        loss = as_loss(evaluate(model)) if evaluate else None
        text = _sample(model, step, sample) if sample else None
    model.train()
    if not isinstance(text, str | None):
        raise ValueError(f"sample must return a text, not {type(text).__name__} {text!r}")
    return EvaluationRecord(step, loss, text)


def _sample(model: nn.Module, step: int, sample: Callable[[Any], str]) -> str:
    try:
        return sample(model)
    except NonFiniteLogitsError as error:
        raise DivergenceError(f"after step {step} {error}: lower the learning rate") from error


def as_loss(value: object) -> float:
    """A loss as a float: any number will do, also one of numpy or a tensor of one element.

    Raises:
        ValueError: it is not a number; True and False do not count as numbers.
    """
    kind = str(getattr(value, "dtype", type(value).__name__))
    if hasattr(value, "__float__") and "bool" not in kind and "complex" not in kind:
        try:
            value = value.detach() if isinstance(value, Tensor) else value
            return float(value)  # a tensor or an array of several numbers raises here
        except (TypeError, ValueError, RuntimeError):
            pass
    raise ValueError(
        f"evaluate must return one number, the loss in nats per token, not {type(value).__name__} {value!r}: "
        "return a float"
    )
