"""Every pretraining objective by its name, and which of them a batch maker trains for."""

from __future__ import annotations

from minilm.objectives.batch import BatchMaker
from minilm.objectives.causal import CausalLM
from minilm.objectives.objective import Objective

OBJECTIVES: dict[str, type[Objective]] = {each.name: each for each in (CausalLM,)}
"""The classes; each can be made without arguments."""


def objective_of(batches: BatchMaker) -> Objective:
    """The objective that made the batches; of a batch maker that names none, the causal one."""
    return getattr(batches, "objective", None) or CausalLM()
