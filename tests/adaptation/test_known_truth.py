"""Forgetting against the exact oracle: nothing for the oracle itself, brute force for any model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.adaptation.known_truth import divergence_from_world
from minilm.storyworld import Oracle, StoryWorld

MINI = Path(__file__).parents[1] / "storyworld" / "mini.yaml"


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    world = StoryWorld(MINI)
    tokenizer = BPETokenizer.train([story.text for story in world.sample(40)], vocab_size=300)
    return Oracle(world, tokenizer)


class Perfect:
    """A model whose logits are the oracle's."""

    device, training, window = torch.device("cpu"), False, 500

    def __init__(self, oracle: Oracle):
        self.oracle = oracle

    def __call__(self, tokens, *, attribute=None):
        [ids] = tokens.tolist()
        return SimpleNamespace(logits=self.oracle.log_probs(ids[1:])[None].clamp(min=-1e3))


def test_a_perfect_model_has_forgotten_nothing(oracle):
    assert divergence_from_world(Perfect(oracle), oracle, oracle.world.sample(4, seed=1)) == pytest.approx(
        0, abs=1e-9
    )


def test_divergence_is_the_mean_over_all_tokens_by_brute_force(oracle):
    torch.manual_seed(0)
    size = oracle.tokenizer.vocab_size
    model = MiniLM(ModelConfig(vocab_size=size, context_length=200, n_layer=1, n_head=2, d_model=16)).eval()
    stories, terms = oracle.world.sample(3, seed=2), []
    for story in stories:
        ids = oracle.tokenizer.encode(story.text)
        truth = oracle.log_probs(ids)
        for place in range(len(ids) + 1):
            tokens = torch.tensor([[oracle.tokenizer.end_of_text, *ids[:place]]])
            ours = model(tokens).logits[0, -1].detach().double().log_softmax(0)
            possible = [token for token in range(size) if truth[place, token] > -torch.inf]
            terms.append(sum(float(truth[place, t].exp() * (truth[place, t] - ours[t])) for t in possible))
    assert divergence_from_world(model, oracle, stories) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_stories_must_be_there_and_fit(oracle):
    with pytest.raises(ValueError, match="no stories to measure on"):
        divergence_from_world(Perfect(oracle), oracle, [])
    model = Perfect(oracle)
    model.window = 3
    with pytest.raises(ValueError, match="longer than the model's window of 3"):
        divergence_from_world(model, oracle, oracle.world.sample(1))
