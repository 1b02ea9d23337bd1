"""The task of lessons 4 and 5: its splits, its scores, its floor, and its few-shot prompts."""

from __future__ import annotations

import json
import math

import pytest

from lessons import facts_to_text
from lessons.facts_to_text import FactsToText, benchmark, documents
from minilm import load_pretrained


@pytest.fixture(scope="module")
def base_and_tokenizer():
    return load_pretrained("storyworld")


@pytest.fixture(scope="module")
def task(base_and_tokenizer) -> FactsToText:
    return FactsToText(base_and_tokenizer[1], n_train=60, n_held_out=6)


def test_splits_share_no_facts(base_and_tokenizer, task):
    test = FactsToText(base_and_tokenizer[1], n_train=1, n_held_out=6, split="test")
    prompts = [{each.prompt for each in records} for records in (task.records, task.held_out, test.held_out)]
    assert not (prompts[0] & prompts[1] or prompts[0] & prompts[2] or prompts[1] & prompts[2])


def test_unseen_plots_are_the_others():
    seen, unseen = (dict(documents("facts first", each)["changes"])["plots"] for each in (False, True))
    assert seen and unseen and not set(seen) & set(unseen)


def test_the_world_finds_all_facts_in_the_targets_and_none_in_nonsense(task):
    targets = [record.target.strip() for record in task.held_out]
    assert task.told(targets) == {"objects told": 1.0, "whole facts told": 1.0}
    assert task.told(["..."] * len(targets)) == {"objects told": 0.0, "whole facts told": 0.0}


def test_a_wrong_subject_is_no_whole_fact(task):
    record = task.held_out[0]
    others = {"Emma", "Peter", "Ruby"} - {fact.subject for fact in record.facts}
    name = next(fact.subject for fact in record.facts if fact.subject[0].isupper())
    wrong = record.target.strip().replace(name, min(others))
    told = task.told([wrong, *(each.target.strip() for each in task.held_out[1:])])
    assert told["whole facts told"] < 1.0


def test_floor_is_the_exact_loss_of_the_targets(base_and_tokenizer, task):
    nats = -sum(task.oracle.target_log_prob(each.prompt, each.target) for each in task.held_out)
    n_token = sum(len(target) for _, target in task.judged)
    assert math.isclose(task.lowest_loss, nats / n_token, rel_tol=1e-9)
    assert task.lowest_loss < task.loss(base_and_tokenizer[0])


def test_examples_stand_before_the_own_prompt_and_fit(base_and_tokenizer, task):
    window = base_and_tokenizer[0].window
    none, two = task.behind_examples(window, 0), task.behind_examples(window, 2)
    assert none == [prompt for prompt, _ in task.judged]
    for own, prompt in zip(none, two, strict=True):
        assert prompt[-len(own) + 1 :] == own[1:] and prompt[0] == own[0]
        assert task.tokenizer.decode(prompt).count(" =") == 3
    assert all(len(prompt) + task.longest - 1 <= window for prompt in task.behind_examples(window, 8))


def test_benchmark_reads_means_over_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(facts_to_text, "RESULTS", tmp_path / "none.json")
    assert "benchmarks/facts_to_text.py" in benchmark(["lora"])
    row = dict.fromkeys(facts_to_text.COLUMNS, 0.5)
    cells = {"lora seed=0": row, "lora seed=1": row | {"seen loss": 1.0}, "prefix seed=0": row}
    (tmp_path / "there.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    monkeypatch.setattr(facts_to_text, "RESULTS", tmp_path / "there.json")
    table = benchmark(["lora"])
    assert table.index.tolist() == ["lora"]
    assert table.loc["lora", "seen loss"] == "0.750 (0.500 to 1.000)" and table.loc["lora", "seeds"] == "2"
