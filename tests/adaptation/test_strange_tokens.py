"""Tokens that a base has never met."""

from __future__ import annotations

import warnings

import pytest
import torch

from minilm import tune
from minilm.adaptation.strange_tokens import StrangeTokenWarning, strange_tokens
from minilm.tuning import LoRA


@pytest.fixture
def alike(base, tokenizer):
    """A base in which " =" and two tokens that no record has share an embedding, but for rounding."""
    *_, mark = tokenizer.encode(" =")
    rows = [mark, 1, 2]
    with torch.no_grad():
        base.token_embedding.weight[rows] = torch.randn(16) + 1e-4 * torch.randn(3, 16)
    return base, set(rows)


def test_tokens_that_share_an_embedding_are_found_and_no_others(alike):
    base, rows = alike
    everything = range(base.config.vocab_size)
    assert set(strange_tokens(base, everything)) == rows
    assert strange_tokens(base, rows - {1}) == sorted(rows - {1}) and strange_tokens(base, [5, 6]) == []


def test_a_task_written_with_them_is_warned_of_by_name(alike, task):
    base, _ = alike
    with pytest.warns(StrangeTokenWarning, match="table is written with '␣=': the base has never seen"):
        tune(base, task.tokenizer, LoRA(2), task, steps=1, progress=False).detach()


def test_no_warning_where_embeddings_differ_or_are_trained(alike, base, task):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StrangeTokenWarning)
        tune(alike[0], task.tokenizer, "fine-tuning", task, steps=1, progress=False).detach()
