"""A tiny model with a tokenizer of its own words, and tables of prompts with targets."""

from __future__ import annotations

import pytest
import torch

from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.adaptation import EncodedTask, Template
from minilm.datasets.pairs import Pair

NAMES = ("Mia", "Tom", "Lucy", "Ben", "Rosa", "Hugo", "Anna", "Paul")
THINGS = ("kite", "cup", "lamp", "drum", "hat")
VERBS = ("lost", "found", "liked")
RECORDS = tuple(
    Pair(f"{name} {verb} {thing}", f"The {thing} was {verb} by {name}.")
    for name in NAMES
    for verb in VERBS
    for thing in THINGS
)
"""120 of them."""


@pytest.fixture(scope="session")
def tokenizer() -> BPETokenizer:
    """Every word of the records is one token or a few."""
    texts = [f"{record.prompt} = {record.target}" for record in RECORDS]
    return BPETokenizer.train([*texts, "Q: A: yes no happy sad = \n"], vocab_size=330)


@pytest.fixture
def base(tokenizer: BPETokenizer) -> MiniLM:
    """Untrained, with weights large enough to write something."""
    torch.manual_seed(4)
    config = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=2, n_head=2, d_model=16)
    model = MiniLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def task(tokenizer: BPETokenizer) -> EncodedTask:
    """The records, the last ten held out."""
    return EncodedTask(RECORDS[:-10], RECORDS[-10:], tokenizer, Template(), "table")
