"""The benchmark of long inputs: equal sizes, blind questions, a longer base, and cells that are measured once."""

import json
import sys
from pathlib import Path

import pytest
import torch

from minilm import MiniLM, ModelConfig, datasets, load_pretrained
from minilm.tuning import count_on

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import long_base
import long_inputs


@pytest.fixture(scope="module")
def tokenizer():
    return load_pretrained("storyworld")[1]


@pytest.fixture
def tiny(tokenizer):
    torch.manual_seed(0)
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=640, n_layer=1, n_head=2, d_model=16)
    return MiniLM(shape).eval()


def test_all_small_methods_store_about_as_much():
    shape = ModelConfig(vocab_size=2048, context_length=640, n_layer=4, n_head=4, d_model=128)
    budget = long_inputs.SHARE * sum(weight.numel() for weight in MiniLM(shape).parameters())
    for name in long_inputs.SIZES:
        stored = count_on(shape, long_inputs.method_of(name, shape)).stored
        assert 0.8 * budget < stored < 1.2 * budget, f"{name} stores {stored:,}, the budget is {budget:,.0f}"


def test_every_claim_is_about_rows_that_there_are():
    assert {row for pair in long_inputs.CLAIMS.values() for row in pair} <= set(long_inputs.ROWS)


def test_a_longer_base_is_the_same_model_on_short_texts(tiny):
    short = MiniLM(ModelConfig(**{**vars(tiny.config), "context_length": 50})).eval()
    longer = long_base.with_positions(short, 130).eval()
    tokens = torch.arange(50)[None]
    assert longer.window == 130
    assert torch.equal(longer(tokens).logits, short(tokens).logits)


def test_the_base_reads_questions_in_other_notations_than_the_tasks():
    asked = datasets.load("storyworld-questions", "train", n=8, stories=2, turns=3, history=2, seed=71)
    for question in asked:
        for notation in long_base.NOTATIONS:
            text = long_base.in_notation(question, notation)
            asked_of = text.removeprefix(question.document)
            assert len(asked_of) < len(text) and question.question in asked_of
            assert question.target.lower() in asked_of.lower()
            assert "\nQ:" not in text and "\nA:" not in text


def test_the_blind_see_the_questions_alone(tokenizer):
    seeing, blind = (long_inputs.tasks(tokenizer, 2, 2, each) for each in (False, True))
    assert [*seeing] == [*blind] == [*long_base.STORIES]
    for stories, task in blind.items():
        for ours, theirs in zip(task.held_out, seeing[stories].held_out, strict=True):
            assert ours.prompt == theirs.prompt.removeprefix(theirs.document)
            assert ours.targets == theirs.targets


def test_a_cell_is_measured_once(tiny, tokenizer, tmp_path, monkeypatch, capsys):
    out = tmp_path / "long_inputs.json"
    sizes = ["--steps", "1", "--seeds", "1", "--train", "2", "--test", "2", "--out", str(out)]
    monkeypatch.setattr(long_inputs, "long_base", lambda *options: (tiny, tokenizer))
    monkeypatch.setattr(sys, "argv", ["long_inputs.py", "LoRA", "untuned", *sizes])
    long_inputs.main()
    written = json.loads(out.read_text())
    assert set(written["cells"]) == {"LoRA seed=0", "untuned seed=0"}
    assert all(len(row["exact"]) == 4 for row in written["cells"].values())
    monkeypatch.setattr(long_inputs, "measure", lambda *options: pytest.fail("measured again"))
    long_inputs.main()
    assert json.loads(out.read_text()) == written
    assert "untuned" in capsys.readouterr().out
