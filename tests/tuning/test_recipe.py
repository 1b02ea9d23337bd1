"""Training settings that a method suggests: they reach their rate in any number of steps, or are the paper's."""

from __future__ import annotations

import pytest

from minilm.training.optimizers import schedule_factor
from minilm.tuning import METHODS


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("steps", [1, 7, 40, 400])
def test_the_peak_rate_is_reached_within_any_number_of_steps(name, steps):
    config = METHODS[name]().recipe(steps=steps)
    factors = [
        schedule_factor(step, steps, config.warmup_steps, config.schedule, config.cycles)
        for step in range(steps)
    ]
    assert max(factors) == 1.0 and factors.index(1.0) <= steps // 10


@pytest.mark.parametrize("name", METHODS)
def test_the_papers_settings_are_one_argument_away(name):
    method = METHODS[name]()
    paper = method.recipe(paper=True, steps=40)
    assert all(getattr(paper, field) == value for field, value in method.published.items())
    assert method.recipe(paper=True, learning_rate=0.5).learning_rate == 0.5


@pytest.mark.parametrize("name", METHODS)
def test_any_setting_may_be_changed(name):
    config = METHODS[name]().recipe(steps=30, warmup_steps=2, learning_rate=0.125, label_smoothing=0.1)
    assert (config.warmup_steps, config.learning_rate, config.label_smoothing) == (2, 0.125, 0.1)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        METHODS[name]().recipe(steps=0)
