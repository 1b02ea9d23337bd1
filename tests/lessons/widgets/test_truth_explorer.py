"""The truth beside a model: the figures by hand, and what the world cannot say."""

from __future__ import annotations

import math

import pytest
import torch

from lessons.widgets import TruthExplorer
from lessons.widgets.truth_explorer import compare
from lessons.widgets.views.truth import Comparison, Possible, truth_view
from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.storyworld import Oracle, StoryWorld


@pytest.fixture(scope="module")
def explorer() -> TruthExplorer:
    world = StoryWorld()
    tok = BPETokenizer.train([story.text for story in world.sample(300, seed=0)], vocab_size=600)
    torch.manual_seed(0)
    model = MiniLM(ModelConfig(vocab_size=tok.vocab_size, context_length=64, n_layer=1, n_head=2, d_model=16))
    return TruthExplorer(model, tok, Oracle(world, tok), "One")


def test_entropy_divergence_and_mass_on_the_impossible_by_hand():
    truth = torch.tensor([0.5, 0.5, 0.0]).double().log()
    comparison = compare(truth, torch.tensor([0.25, 0.5, 0.25]).double().log())
    assert math.isclose(comparison.entropy, 1.0)
    assert math.isclose(comparison.divergence, 0.5)
    assert math.isclose(comparison.impossible, 0.25)


def test_truth_compared_with_itself_loses_nothing():
    truth = torch.rand(9).double().log_softmax(-1)
    assert abs(compare(truth, truth).divergence) < 1e-12


def test_the_view_shows_what_may_come_and_says_never(explorer):
    assert explorer.error is None
    assert "never" in explorer.output.value
    assert "What comes next?" in explorer.output.value


def test_a_text_that_the_world_cannot_tell_is_named_where_it_leaves(explorer):
    before = explorer.output.value
    explorer.text.value = "Zebras zoomed"
    assert isinstance(explorer.error, ValueError)
    assert "no story of this world continues" in explorer.output.value
    explorer.text.value = "One"
    assert explorer.error is None and explorer.output.value == before


def test_tokens_and_text_are_escaped():
    html = truth_view("<script>", [Possible(b"<b>", 0.5, 0.2)], Comparison(1.0, float("inf"), 0.0))
    assert "<script>" not in html and "<b>&lt;" not in html
    assert "&lt;script&gt;" in html and "∞" in html
