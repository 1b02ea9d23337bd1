"""Early stopping: end a run that no longer gets better on held-out text, on the weights that were best there."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from minilm.training.records import EvaluationRecord


class BestWeights:
    """A copy of the trained weights at the best evaluation so far.

    Args:
        patience: evaluations in a row without a new best that end the run; 0 keeps no copy and never ends it.
    """

    def __init__(self, model: nn.Module, patience: int):
        self.model, self.patience = model, patience
        self.tensors: dict[str, Tensor] = {}
        self.loss, self.n_worse = math.inf, 0
        """The best loss, and how many evaluations came after it."""

    def note(self, record: EvaluationRecord) -> None:
        """After an evaluation: copy the weights if it is the best. One without a finite loss is never the best."""
        if not self.patience:
            return
        if record.loss is not None and not math.isfinite(record.loss):
            warnings.warn(
                f"evaluate returned {record.loss} after step {record.step}: such an evaluation is never the best, and "
                "patience does not begin before the first that is a number",
                stacklevel=2,
            )
        self.n_worse += 1
        if self.improves(record):
            self.tensors = {
                name: weight.detach().clone() for name, weight in trained_weights(self.model).items()
            }

    def improves(self, record: EvaluationRecord) -> bool:
        """Whether it is the best so far, the first of equals; then counting starts again."""
        if record.loss is None or not math.isfinite(record.loss) or record.loss >= self.loss:
            return False
        self.loss, self.n_worse = record.loss, 0
        return True

    def restore(self, evaluations: Iterable[EvaluationRecord], tensors: dict[str, Tensor]) -> None:
        """Continue from the evaluations of an earlier part of the run, and from the weights at the best of them."""
        self.tensors = tensors
        for record in evaluations:
            self.n_worse += 1
            self.improves(record)

    @property
    def exhausted(self) -> bool:
        """Whether the last `patience` evaluations brought nothing better than one before them."""
        return bool(self.patience) and self.loss < math.inf and self.n_worse >= self.patience

    def put_back(self) -> None:
        """Give the model its best weights."""
        load_trained_weights(self.model, self.tensors)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, by name: the parameters that ask for gradients, and the buffers that are saved.

    A compiled model's parameters have the names that they have in the model itself.
    """
    kept = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in kept}
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    return {plain_name(name): tensor for name, tensor in {**weights, **buffers}.items()}


def plain_name(name: str) -> str:
    """A parameter's name without what `torch.compile` puts into it."""
    return name.replace("_orig_mod.", "")


@torch.no_grad()
def load_trained_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the parameters and buffers of their names."""
    weights = trained_weights(model)
    for name, tensor in tensors.items():
        weights[name].copy_(tensor)
