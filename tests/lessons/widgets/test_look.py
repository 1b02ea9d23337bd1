"""A lab on a task: runs with names, scored while they train, chosen, deleted, and looked at beside the base."""

from __future__ import annotations

import pytest
import torch

from lessons.widgets import TuningLab, TuningSettings
from lessons.widgets.look import Judge, answered
from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.adaptation import EncodedTask, Template
from minilm.datasets.pairs import Pair

RECORDS = tuple(Pair(f"{name} {verb}", f"{name} did.") for name in ("Mia", "Tom") for verb in ("ran", "sang"))


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    texts = [f"{record.prompt} = {record.target}" for record in RECORDS]
    return EncodedTask(RECORDS, RECORDS[:2], BPETokenizer.train(texts, vocab_size=290), Template())


@pytest.fixture
def lab(task) -> TuningLab:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=task.tokenizer.vocab_size, context_length=40, n_layer=1, n_head=2, d_model=16
    )
    return TuningLab.on(MiniLM(config).eval(), task, settings=TuningSettings(rank=2, steps=6), device="cpu")


def test_a_score_stands_beside_the_loss_at_every_evaluation(lab):
    run = lab.run(method="lora")
    shown = lab.runs[0]
    assert shown.scored_by == "exact"
    assert [step for step, _ in shown.scores] == [each.step for each in run.result.evaluations]
    assert shown.scores[-1][1] == Judge(lab.task)(run.model)
    assert "exact" in lab.output.value and "exact" in lab.table()


def test_samples_show_prompt_answer_and_target(lab, task):
    run = lab.run(method="lora")
    text = answered(task)(run.model)
    assert text == run.result.evaluations[-1].sample
    assert text.startswith("Mia ran =\n") and text.endswith("(target: Mia did.)")


def test_runs_have_names_of_the_readers(lab):
    lab.run("first", rank=1)
    lab.name.value = "second"
    lab.run(rank=2)
    lab.run(rank=1)
    assert [run.name for run in lab.kept] == ["first", "second", "run 3"]
    assert [run.number for run in lab.runs] == [0, 1, 2]
    with pytest.raises(ValueError, match="there is a run 'first' already: choose another name, or delete"):
        lab.run("first")


def test_the_chosen_run_is_shown_in_full_and_saved(lab, tmp_path):
    first, _ = lab.run("first", rank=1), lab.run("second", rank=2)
    assert lab.chosen.name == "second"
    lab.which.value = "first"
    assert lab.chosen is first and "Training of first" in lab.output.value
    lab.save(str(tmp_path / "kept"))
    assert lab.load(str(tmp_path / "kept")).settings == first.settings


def test_a_deleted_run_is_gone_and_the_others_keep_their_colors(lab):
    for name in ("first", "second", "third"):
        lab.run(name, rank=1)
    lab.which.value = "second"
    lab.delete_button.click()
    assert [run.name for run in lab.kept] == [run.name for run in lab.runs] == ["first", "third"]
    assert [run.number for run in lab.runs] == [0, 2]
    assert lab.run().name == "run 4"
    with pytest.raises(ValueError, match="there is no run 'second'; kept are: first, third, run 4"):
        lab.delete("second")


def test_look_opens_the_explorers_on_the_chosen_run(lab):
    lab.look_button.click()
    assert "no run has ended yet" in lab.output.value
    lab.run("first", rank=1)
    lab.look_button.click()
    [tab] = lab.looks.children
    assert tab.titles == ("Playground", "Logit shift", "Attention", "Lens") and len(tab.children) == 4
    assert lab.error is None


def test_a_lab_without_records_says_how_to_look(lab):
    plain = TuningLab(lab.base, lab.training, lab.held_out, sample=lambda model: "", settings=lab.settings)
    with pytest.raises(ValueError, match=r"make it with TuningLab\.on\(model, task\)"):
        plain.look()
