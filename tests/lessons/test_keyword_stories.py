"""The task of lesson 8: what models are told, and what is read of what they write."""

from __future__ import annotations

import pytest
import torch

from lessons.keyword_stories import KeywordStories
from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.evaluation.controlled import contains_word
from minilm.objectives import IGNORE
from minilm.storyworld import StoryWorld
from minilm.tuning import Auxiliary, attach


@pytest.fixture(scope="module")
def task() -> KeywordStories:
    stories = [story.text for story in StoryWorld().only("story").sample(60)]
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


def test_methods_without_training_write_a_story_for_each_keyword(task):
    torch.manual_seed(0)
    model = MiniLM(
        ModelConfig(vocab_size=task.tokenizer.vocab_size, context_length=400, n_layer=1, n_head=2, d_model=16)
    ).eval()
    wanted = task.wanted(3)
    for write in (task.write_after_examples, task.write_by_gradient):
        told = write(model, wanted, seed=1)
        assert len(told) == 3
        assert told == write(model, wanted, seed=1)
        assert told != write(model, wanted, seed=2)


def test_a_few_shot_prompt_shows_solved_keywords_and_asks_for_another(task, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "lessons.keyword_stories.complete", lambda model, prompts, *rest, **more: asked.extend(prompts) or []
    )
    model = MiniLM(
        ModelConfig(vocab_size=task.tokenizer.vocab_size, context_length=400, n_layer=1, n_head=2, d_model=16)
    )
    task.write_after_examples(model, ["because"])
    assert asked[0][-len(task.prompt("because")) :] == task.prompt("because").tolist()
    shortest = min(task.records, key=lambda record: len(record.text))
    assert shortest.text in task.tokenizer.decode(asked[0])
