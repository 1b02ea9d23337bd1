"""`ModelConfig` accepts what can be built and names what cannot."""

from __future__ import annotations

import dataclasses

import pytest

from minilm import ModelConfig
from minilm.model.config import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_takes_changes(name: str) -> None:
    config = ModelConfig.preset(name)
    assert config.head_size * config.n_head == config.d_model
    changed = ModelConfig.preset(name, vocab_size=77)
    assert changed == dataclasses.replace(config, vocab_size=77)


@pytest.mark.parametrize("name", ["vocab_size", "context_length", "n_layer", "n_head", "d_model"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "8", True, None])
def test_a_size_that_is_no_positive_whole_number_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not {value!r}"):
        ModelConfig(**{"vocab_size": 10, name: value})


def test_a_width_that_the_heads_cannot_share_is_refused_with_one_that_they_can() -> None:
    with pytest.raises(ValueError, match=r"d_model=100 .* n_head=3.* try d_model=102"):
        ModelConfig(vocab_size=10, d_model=100, n_head=3)
    ModelConfig(vocab_size=10, d_model=102, n_head=3)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_outside_its_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="dropout"):
        ModelConfig(vocab_size=10, dropout=dropout)


@pytest.mark.parametrize("epsilon", [0.0, -1e-5, float("nan")])
def test_an_epsilon_that_is_not_positive_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="layer_norm_epsilon"):
        ModelConfig(vocab_size=10, layer_norm_epsilon=epsilon)


def test_unknown_presets_and_fields_are_named() -> None:
    with pytest.raises(ValueError, match=r"tiny, small, base, gpt2, not 'huge'"):
        ModelConfig.preset("huge")
    with pytest.raises(ValueError, match="'width'"):
        ModelConfig.preset("tiny", width=3)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig(vocab_size=10).n_layer = 2
