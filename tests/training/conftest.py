"""A model and a text so small that a hundred steps take a second."""

from __future__ import annotations

import pytest
import torch

from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.objectives import NextToken

CONFIG = ModelConfig(vocab_size=17, context_length=8, n_layer=2, n_head=2, d_model=16, dropout=0.1)


@pytest.fixture
def model() -> MiniLM:
    """A tiny model with dropout, so that the random state matters; the same weights in every test."""
    torch.manual_seed(1)
    return MiniLM(CONFIG)


@pytest.fixture
def batches() -> NextToken:
    """Windows of a text with a pattern that can be learnt."""
    return NextToken([place * place % 17 for place in range(300)], context_length=8, batch_size=4)
