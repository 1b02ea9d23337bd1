"""What the story world knows of a task and of a base: the least possible loss, and how much was forgotten.

floor       mean over held-out records of -log P(target and its end | prompt), per token, of the exact oracle
forgotten   mean over the tokens of ordinary stories of KL(oracle || model), in nats, before tuning and after
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from minilm.adaptation.encoded import EncodedTask
from minilm.evaluation.log_probs import log_probs
from minilm.evaluation.logit_shift import divergence
from minilm.model.interface import LanguageModel
from minilm.storyworld import Oracle, Story

N_STORY = 12
"""Stories on which forgetting is measured."""
SEED = 29
"""The seed of those stories."""


def floor(task: EncodedTask, oracle: Oracle) -> float:
    """The loss in nats per token that a perfect model has on the held-out targets, their ends included.

    Raises:
        ValueError: a record is not a document of the oracle's world; its place is told.
    """
    return oracle.target_floor(
        [(task.template.prompt(record), task.template.target(record)) for record in task.held_out]
    )


def divergence_from_world(model: LanguageModel, oracle: Oracle, stories: Sequence[Story]) -> float:
    """Mean KL(oracle || model) in nats per token, over every token of some stories and their ends.

    Raises:
        ValueError: there are no stories, or one is longer than the model's window.
    """
    if not stories:
        raise ValueError("there are no stories to measure on: pass at least one")
    rows = [divergence_on(model, oracle, oracle.tokenizer.encode(story.text)) for story in stories]
    return sum(float(row.sum()) for row in rows) / sum(len(row) for row in rows)


def divergence_on(model: LanguageModel, oracle: Oracle, ids: Sequence[int]) -> Float[Tensor, " time_and_end"]:
    """KL(oracle || model) at every token of one story and at its end: (T + 1,)."""
    if len(ids) + 1 > model.window:
        raise ValueError(f"a story of {len(ids)} tokens is longer than the model's window of {model.window}")
    return divergence(oracle.log_probs(ids), log_probs(model, [oracle.tokenizer.end_of_text, *ids]))
