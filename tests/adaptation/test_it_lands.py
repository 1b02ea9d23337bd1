"""On the base of the course, a few steps of every method teach it a notation that it has never read."""

from __future__ import annotations

import pytest

from minilm import load_pretrained, tune
from minilm.adaptation import task_from
from minilm.adaptation.scores import score
from minilm.tuning import METHODS

STEPS, FALL = 40, 0.3
"""So few steps take away so much of the loss."""


@pytest.fixture(scope="module")
def bundled():
    model, tokenizer = load_pretrained("storyworld")
    return model, tokenizer, task_from("storyworld-triples", tokenizer, n_train=400, n_held_out=32, facts=2)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_falls_in_forty_steps(bundled, name) -> None:
    model, tokenizer, task = bundled
    before = task.loss(model)
    tuned = tune(model, tokenizer, name, task, steps=STEPS, progress=False)
    assert task.loss(tuned) < (1 - FALL) * before
    tuned.detach()


def test_lora_tells_the_facts_that_the_base_does_not(bundled) -> None:
    model, tokenizer, task = bundled
    told = [score(task.held_out, task.answers(model))]
    tuned = tune(model, tokenizer, "lora", task, steps=2 * STEPS, progress=False)
    told.append(score(task.held_out, task.answers(tuned)))
    assert told[0]["whole facts told"] < 0.5
    assert told[1]["whole facts told"] > 0.85 and told[1]["objects told"] > 0.9
    tuned.detach()
