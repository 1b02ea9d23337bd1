"""The task of lesson 8: what models are told, what is read of what they write, and how it is scored."""

from __future__ import annotations

import json

import pytest
import torch

from lessons import keyword_stories
from lessons.keyword_stories import Judge, KeywordStories, TaskOracle, interval, keyword_of, measured
from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.datasets.tasks.task import split_of
from minilm.evaluation.controlled import contains_word
from minilm.objectives import IGNORE
from minilm.steering import PPLM
from minilm.storyworld import Oracle, StoryWorld
from minilm.tuning import Auxiliary, attach


@pytest.fixture(scope="module")
def task() -> KeywordStories:
    stories = [story.text for story in StoryWorld().only("story").sample(60)]
    tok = BPETokenizer.train([*stories, "because = ", "unfortunately = "], vocab_size=400)
    return KeywordStories(tok, ("because", "unfortunately"), n_train=6, n_held_out=4)


@pytest.fixture(scope="module")
def model(task) -> MiniLM:
    torch.manual_seed(0)
    shape = ModelConfig(
        vocab_size=task.tokenizer.vocab_size, context_length=500, n_layer=1, n_head=2, d_model=8
    )
    return MiniLM(shape).eval()


def test_every_story_contains_its_keyword_and_belongs_to_its_split(task):
    for split, records in {"train": task.records, "test": task.held_out}.items():
        for record in records:
            assert contains_word(record.text, record.keywords[0])
            assert split_of(record.text) == split
    assert [record.keywords[0] for record in task.held_out] == task.wanted(4)
    asked = [record.keywords[0] for record in task.records]
    assert asked.count("because") == asked.count("unfortunately") == 3


def test_keywords_are_told_in_equally_many_tokens_that_spell_them(task):
    assert task.ids["because"].shape == task.ids["unfortunately"].shape
    for keyword, ids in task.ids.items():
        assert task.tokenizer.decode(ids.tolist()).replace("<|endoftext|>", "") == f" {keyword}"


def test_only_the_story_is_asked_for_whether_the_keyword_is_told_or_in_the_text(task):
    told, in_text = task.batches(400, 6).batch(0), task.in_text.batches(400, 6).batch(0)
    for row, attribute in zip(told.targets, told.attribute, strict=True):
        keyword = task.tokenizer.decode(attribute.tolist()).replace("<|endoftext|>", "").strip()
        assert contains_word(task.tokenizer.decode(row[row != IGNORE].tolist()), keyword)
    for tokens, row in zip(in_text.tokens, in_text.targets, strict=True):
        n_asked = int((row != IGNORE).sum())
        assert task.tokenizer.decode(tokens[:6].tolist()).startswith("<|endoftext|>")
        assert 0 < n_asked < len(row)


def test_another_seed_orders_the_same_stories_otherwise(task):
    first, second = (task.batches(400, 6, seed=seed).batch(0) for seed in (0, 1))
    assert not torch.equal(first.tokens, second.tokens)
    assert sorted(map(tuple, first.tokens.tolist())) == sorted(map(tuple, second.tokens.tolist()))


def test_stories_are_read_up_to_their_end(task, model):
    tuned = attach(model, Auxiliary(d_model=8, n_layer=1, n_head=2))
    for writer, in_text in ((tuned, False), (model, True), (model, False)):
        texts = task.write(writer, task.wanted(3), in_text)
        assert len(texts) == 3 and not any("<|endoftext|>" in text for text in texts)
        assert task.write(writer, task.wanted(3), in_text) == texts
    tuned.detach()


def test_methods_without_training_write_a_story_for_each_keyword(task, model):
    wanted = task.wanted(3)
    task.longest, longest = 12, task.longest
    for write in (task.write_after_examples, lambda *asked, seed: task.steer(*asked, PPLM(), seed=seed)):
        told = write(model, wanted, seed=1)
        assert len(told) == 3
        assert told == write(model, wanted, seed=1)
        assert told != write(model, wanted, seed=2)
    task.longest = longest


def test_a_few_shot_prompt_shows_solved_keywords_and_asks_for_another(task, model):
    prompt = task.few_shot(model, "because")
    text = task.tokenizer.decode(prompt)
    assert text.endswith("because =") and text.startswith("<|endoftext|>")
    shortest = min(task.records, key=lambda record: len(record.text))
    assert f"{shortest.keywords[0]} = {shortest.text}\n" in text
    assert len(prompt) <= model.window - task.longest + 1


def test_the_tasks_oracle_obeys_bayes_rule(task):
    oracle = TaskOracle(task.tokenizer)
    record = task.held_out[0]
    ids, attribute = task.tokenizer.encode(record.text)[:30], keyword_of(record)
    shift, posterior = oracle.shift(ids, attribute), oracle.posterior(ids, attribute)
    of_tokens = shift[range(len(ids)), ids]
    assert torch.allclose(of_tokens, (posterior[1:] / posterior[:-1]).log(), atol=1e-8)
    assert 0 < posterior[0] < oracle.stories.posterior([], attribute)[0]
    letter = oracle.world.sample(1, kind="letter")[0]
    assert oracle.posterior(task.tokenizer.encode(letter.text), attribute)[-1] == 0


def test_the_floor_is_that_of_stories_whose_keyword_is_told(task):
    oracle, stories = TaskOracle(task.tokenizer), Oracle(task.world, task.tokenizer)
    nats = sum(-stories.log_prob(each.text, keyword_of(each)) for each in task.held_out)
    n_token = sum(len(task.encode(each)) for each in task.held_out)
    assert oracle.floor_of(task.held_out) == pytest.approx(nats / n_token)


def test_a_judge_knows_good_stories_and_bad_ones(task):
    judge = Judge(task, n_document=60)
    good, keywords = [each.text for each in task.held_out], task.wanted(4)
    scores = judge.score(good, keywords)
    assert scores["has the keyword"] == scores["possible"] == scores["both"] == 1
    bad = judge.score([text[: len(text) // 2] for text in good], ["xylophone"] * 4)
    assert bad["has the keyword"] == bad["both"] == bad["possible"] == 0
    half = judge.score([good[0], good[1][:20]], [keywords[0], "xylophone"])
    assert half["possible"] == half["both"] == half["has the keyword"] == 0.5
    shuffled = [" ".join(reversed(text.split())) for text in good]
    assert judge.score(shuffled, keywords)["SLOR"] < scores["SLOR"]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_interval_holds_its_share_and_shrinks_with_more_samples(share):
    (low, high), (lower, higher) = interval(share, 400), interval(share, 40)
    assert 0 <= lower <= low <= share + 1e-12 and share - 1e-12 <= high <= higher <= 1
    assert high - low < higher - lower


def test_what_was_measured_is_told_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr(keyword_stories, "RESULTS", tmp_path / "none.json")
    assert measured() == {}
    cells = {"auxiliary, plain, seed 0": {"SLOR": 1}, "auxiliary, plain, seed 1": {"SLOR": 2}}
    (tmp_path / "none.json").write_text(json.dumps({"about": {}, "cells": cells}))
    assert measured() == {"auxiliary, plain": [{"SLOR": 1}, {"SLOR": 2}]}
