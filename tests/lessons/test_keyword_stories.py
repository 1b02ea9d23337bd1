"""The task of lesson 8: what models are told, and what is read of what they write."""

from __future__ import annotations

import pytest
import torch

from lessons.keyword_stories import KeywordStories
from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.objectives import IGNORE
from minilm.scores import contains_word
from minilm.storyworld import StoryWorld
from minilm.tuning import Auxiliary, attach


@pytest.fixture(scope="module")
def task() -> KeywordStories:
    stories = [story.text for story in StoryWorld().sample(60)]
    tok = BPETokenizer.train(stories, vocab_size=400)
    return KeywordStories(tok, ("because", "unfortunately"), n_train=6, n_held_out=4)


def test_every_story_contains_its_keyword_and_no_story_is_held_out_twice(task):
    for record in (*task.records, *task.held_out):
        assert contains_word(record.text, record.keywords[0])
    assert not {record.text for record in task.records} & {record.text for record in task.held_out}


def test_keywords_are_told_in_equally_many_tokens_that_spell_them(task):
    assert task.ids["because"].shape == task.ids["unfortunately"].shape
    for keyword, ids in task.ids.items():
        assert task.tokenizer.decode(ids.tolist()).replace("<|endoftext|>", "") == f" {keyword}"
    assert task.wanted(3) == ["because", "unfortunately", "because"]


def test_both_kinds_of_batches_ask_for_the_same_tokens(task):
    told, prefixed = task.batches(400, 6).batch(0), task.prefixed(400, 6).batch(0)
    m = told.attribute.size(1)
    assert torch.equal(told.targets, prefixed.targets[:, m:])
    assert torch.equal(told.tokens, prefixed.tokens[:, m:])
    assert torch.equal(told.attribute, prefixed.tokens[:, :m])
    assert (prefixed.targets[:, :m] == IGNORE).all()


def test_stories_are_read_up_to_their_end(task):
    torch.manual_seed(0)
    shape = ModelConfig(
        vocab_size=task.tokenizer.vocab_size, context_length=160, n_layer=1, n_head=2, d_model=8
    )
    base = MiniLM(shape).eval()
    tuned = attach(base, Auxiliary(d_model=8, n_layer=1, n_head=2))
    for model, prefixed in ((tuned, False), (base, True)):
        texts = task.write(model, task.wanted(3), prefixed)
        assert len(texts) == 3 and not any("<|endoftext|>" in text for text in texts)
        assert task.write(model, task.wanted(3), prefixed) == texts
    assert 0 <= task.accuracy(tuned, 2) <= 1
