"""Scores of texts, and learned shifts beside exact ones, against counting and against the oracle itself."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from minilm import BPETokenizer
from minilm.evaluation.controlled import contains_word, keyword_accuracy, share_possible, slor, text_log_prob
from minilm.evaluation.logit_shift import WIDEST, Asked, compare_shifts, divergence
from minilm.evaluation.ngram import NGramModel
from minilm.storyworld import Oracle, StoryWorld
from tests.core_models import make_model, make_tokens


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    world = StoryWorld().only("story")
    return Oracle(world, BPETokenizer.train([story.text for story in world.sample(80)], vocab_size=500))


@pytest.mark.parametrize(
    ("text", "word", "there"),
    [
        ("However, she left.", "however", True),
        ("She left soon.", "soon", True),
        ("Sooner or later.", "soon", False),
        ("It cost $5 (about).", "$5", False),  # no border between a space and a sign
        ("", "soon", False),
    ],
)
def test_a_word_is_found_where_it_stands_alone(text, word, there):
    assert contains_word(text, word) is there


def test_accuracy_is_what_the_worlds_own_attributes_say(oracle):
    stories = oracle.world.sample(200, seed=4)
    for keyword in oracle.world.grammar.keywords:
        share = sum(keyword in story.attributes["keyword"] for story in stories) / len(stories)
        assert keyword_accuracy([story.text for story in stories], [keyword] * 200) == share
    told = [story for story in stories if story.attributes["keyword"]]
    assert keyword_accuracy([s.text for s in told], [s.attributes["keyword"] for s in told]) == 1
    asked = [(*story.attributes["keyword"], "absent") for story in told]
    assert keyword_accuracy([story.text for story in told], asked) == 0


def test_possible_texts_are_those_the_world_tells(oracle):
    stories = [story.text for story in oracle.world.sample(6, seed=1)]
    broken = [text.replace(".", " zebra.") for text in stories[:2]]
    assert share_possible(oracle, stories) == 1
    assert share_possible(oracle, stories + broken) == 6 / 8
    sad = [story.text for story in oracle.world.sample(4, seed=2, attribute=("ending", "sad"))]
    assert share_possible(oracle, sad, [("ending", "sad")] * 4) == 1
    assert share_possible(oracle, sad, [("ending", "happy")] * 4) == 0


def test_slor_by_hand():
    model, texts = make_model(), make_tokens(3, 7).tolist()
    unigram = NGramModel(make_tokens(200).tolist(), 61, n=1)
    scores = slor(lambda text: text_log_prob(model, [5, *text]), unigram, texts)
    for text, score in zip(texts, scores, strict=True):
        total, read = 0.0, [5]
        for token in text:
            chances = model(torch.tensor([read])).logits[0, -1].softmax(-1).tolist()
            total += math.log(chances[token]) - math.log(unigram.probability(token, []))
            read.append(token)
        assert score == pytest.approx(total / 7, abs=1e-5)


def test_divergence_is_a_sum():
    p, q = torch.rand(4, 6, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64)
    p[0, :3] = 0
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    for row, value in enumerate(divergence(p.log(), q.log())):
        terms = [x * math.log(x / y) for x, y in zip(p[row].tolist(), q[row].tolist(), strict=True) if x > 0]
        assert value.item() == pytest.approx(sum(terms), abs=1e-12)


class TheOracle(torch.nn.Module):
    """A "model" that is the oracle, told of its attribute or not."""

    device = torch.device("cpu")

    def __init__(self, oracle: Oracle, attribute=None, base=None):
        super().__init__()
        self.oracle, self.attribute, self.base = oracle, attribute, base
        self.eval()

    def forward(self, tokens, attribute=None):
        rows = self.oracle.log_probs(tokens[0, 1:], self.attribute)
        return SimpleNamespace(logits=rows.clamp(min=-200)[None])


def test_a_perfect_model_shifts_exactly_and_an_unmoved_one_not_at_all(oracle):
    attribute = ("keyword", "therefore")
    stories = [
        Asked(oracle.tokenizer.encode(story.text), attribute, torch.tensor([1]))
        for story in oracle.world.sample(5, seed=3, attribute=attribute)
    ]
    free = TheOracle(oracle)
    perfect = compare_shifts(TheOracle(oracle, attribute, free), oracle, stories)
    torch.testing.assert_close(perfect.learned, perfect.exact)
    assert perfect.correlation() == pytest.approx(1)
    assert perfect.correlation(told=True) == pytest.approx(1)
    torch.testing.assert_close(*perfect.likely)
    assert perfect.likely.min() == -WIDEST  # something is ruled out
    assert perfect.closed() == pytest.approx(1)
    assert perfect.divergence.abs().max() < 1e-9
    torch.testing.assert_close(perfect.divergence_of_base, perfect.stakes)
    assert len(perfect.exact) == sum(len(story.ids) + 1 for story in stories)

    unmoved = compare_shifts(TheOracle(oracle, None, free), oracle, stories)
    assert unmoved.learned.abs().max() == 0
    assert unmoved.closed() == pytest.approx(0)
    assert unmoved.error_of_base.abs().max() < 1e-9


def test_bad_input_is_one_clear_error(oracle):
    unigram = NGramModel([1, 2, 3], 61, n=1)
    with pytest.raises(ValueError, match="2 texts and 1 keywords"):
        keyword_accuracy(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="0 texts and 0 attributes"):
        share_possible(oracle, [])
    with pytest.raises(ValueError, match="unigram model, not one with n=2"):
        slor(unigram.log_prob, NGramModel([1, 2, 3], 61, n=2), [[1]])
    with pytest.raises(ValueError, match="one of the texts has none"):
        slor(unigram.log_prob, unigram, [[1], []])
    with pytest.raises(ValueError, match="no stories to compare on"):
        compare_shifts(None, oracle, [])
    sad = oracle.world.sample(1, attribute=("ending", "sad"))[0]
    asked = Asked(oracle.tokenizer.encode(sad.text), ("ending", "happy"), torch.tensor([1]))
    with pytest.raises(ValueError, match="no story with .* goes like this"):
        compare_shifts(TheOracle(oracle, None, TheOracle(oracle)), oracle, [asked])
