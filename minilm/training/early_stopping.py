"""Early stopping: end a run that no longer gets better on held-out text, on the weights that were best there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    def note(self, evaluations: Sequence[EvaluationRecord]) -> None:
        """After an evaluation: copy the weights if it is the best."""
        if self.patience and evaluations and best_of(evaluations) == len(evaluations) - 1:
            self.tensors = {
                name: weight.detach().clone() for name, weight in trained_weights(self.model).items()
            }

    def exhausted(self, evaluations: Sequence[EvaluationRecord]) -> bool:
        """Whether the last `patience` evaluations brought nothing better."""
        best = best_of(evaluations)
        return bool(self.patience) and best is not None and len(evaluations) - 1 - best >= self.patience

    def put_back(self) -> None:
        """Give the model its best weights."""
        load_trained_weights(self.model, self.tensors)


def best_of(evaluations: Sequence[EvaluationRecord]) -> int | None:
    """Place of the evaluation with the lowest loss, the first of equals; None if none has a loss."""
    places = [place for place, record in enumerate(evaluations) if record.loss is not None]
    return min(places, key=lambda place: evaluations[place].loss) if places else None


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_trained_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the parameters of their names."""
    weights = trained_weights(model)
    for name, tensor in tensors.items():
        weights[name].copy_(tensor)
