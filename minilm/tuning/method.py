"""What a tuning method is: settings that know what to attach to a model, and the attachment itself.

A `Method` is a frozen dataclass: the choices one makes. Built for a base model it becomes an `Attachment`: the module
that holds the trained weights and, once every pass, says which deltas act at which places (see `minilm.model.sites`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.sites import Delta, Place
from minilm.training.config import TrainingConfig

STEPS = 400
"""Optimizer steps of a recipe that names none: less than a minute for the bundled base on two CPU cores."""


class Attachment(nn.Module):
    """What a method adds to one base model; the base itself is never changed.

    Its parameters are what training changes. The deltas may be computed from them afresh for every pass.
    """

    position_offset: int = 0
    """Positions that the attachment takes up before the text."""
    n_virtual: int = 0
    """Virtual tokens that it puts before the text."""
    takes_attribute: bool = False
    """It takes an attribute: tokens, not part of the text, that say what to write."""

    def deltas(self) -> Mapping[Place, Delta]:
        """The deltas of one forward pass, by place."""
        return {}

    def weights(self) -> Mapping[str, Tensor]:
        """Weights that take the place of the base's own of the same name."""
        return {}

    def stored(self) -> Mapping[str, Tensor]:
        """The tensors worth keeping once training is over."""
        return dict(self.named_parameters())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `stored` returned, in the precision that it has there.

        Raises:
            ValueError: a tensor is missing, superfluous, of another shape or of whole numbers; the message names it.
        """
        parameters = dict(self.named_parameters())
        check_shapes({name: parameter.shape for name, parameter in parameters.items()}, tensors)
        for name, parameter in parameters.items():
            parameter.data = tensors[name].to(parameter.device, copy=True)

    def merge_into(self, model: MiniLM) -> None:
        """Write the same change into a copy of the base, for methods that can.

        Raises:
            ValueError: the method does not change the base's weights.
        """
        raise ValueError(
            f"{type(self).__name__} cannot be merged: what it adds depends on the text and fits into no weight "
            "of the base; full fine-tuning, BitFit and LoRA can be merged"
        )


class Method(ABC):
    """Settings of a tuning method; subclasses are frozen dataclasses whose fields all have defaults."""

    name: ClassVar[str]
    """As `METHODS` and saved files know it."""
    acts_at: ClassVar[str]
    """Sites of the model where it acts, in words."""
    published: ClassVar[dict[str, Any]] = {}
    """Training settings of the paper, for models of GPT-2's size."""
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1e-2}
    """Training settings for the bundled base; `benchmarks/rates.py` compares rates."""

    @abstractmethod
    def build(self, base: MiniLM) -> Attachment:
        """New weights for a base model.

        Raises:
            ValueError: the settings do not fit the model.
        """

    def as_stored(self) -> Method:
        """The same method as it stands once training is over, without what only the start of training needs.

        What it builds stores tensors of the same names and shapes. It is built when stored tensors are to be restored,
        first on a base without memory (torch's device "meta"), so it must not look at the base's numbers.
        """
        return self

    def recipe(self, *, paper: bool = False, **changes: Any) -> TrainingConfig:
        """Training settings that learn on a small base in any number of steps; any of them may be changed.

        The rate suits the bundled base, far above what suits a model of GPT-2's size, and it is reached after a tenth of
        the steps.

        Args:
            paper: the published settings instead, with their own warm-up (often 500 steps).

        Raises:
            ValueError: a setting is out of range.
        """
        if paper:
            return TrainingConfig(**{"optimizer": "adamw", **self.published, **changes})
        steps = changes.get("steps", STEPS)
        ours = {"optimizer": "adamw", "steps": steps, "warmup_steps": int(steps) // 10}
        return TrainingConfig(**{**ours, **self.suited, **changes})

    def settings(self) -> dict[str, Any]:
        """The fields, as a saved file keeps them."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # subclasses are dataclasses


def check_shapes(shapes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming the first tensor that is missing, superfluous or of another shape."""
    for name in [*shapes, *(name for name in tensors if name not in shapes)]:
        there = tuple(tensors[name].shape) if name in tensors else "nothing"
        wanted = tuple(shapes[name]) if name in shapes else "nothing"
        if there != wanted:
            raise ValueError(
                f"{name} should hold {wanted}, but holds {there}: was it made for another model?"
            )
        if not tensors[name].is_floating_point():
            raise ValueError(f"{name} should hold fractions, but holds {tensors[name].dtype}")
