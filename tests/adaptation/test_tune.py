"""`tune`: one call for every method, repeatable, resumable, and the base as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from minilm import tune
from minilm.datasets.pairs import Pair
from minilm.training import Callback, StopFlag
from minilm.tuning import METHODS, LoRA, Prefix, load

SMALL = {"prefix": {"hidden": 8}, "mam": {"hidden": 8}, "auxiliary": {"d_model": 8}, "side": {"d_model": 8}}


def stored(tuned) -> dict[str, torch.Tensor]:
    return {key: value for each in tuned.attachments.values() for key, value in each.stored().items()}


def same(one, other) -> bool:
    ours, theirs = stored(one), stored(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_in_one_call_and_leaves_the_base_as_it_was(name, base, task):
    before = {key: value.clone() for key, value in base.state_dict().items()}
    method = METHODS[name](**SMALL.get(name, {}))
    tuned = tune(base, task.tokenizer, method, task, steps=12, progress=False, device="cpu")
    first, *_, last = tuned.result.evaluations
    assert tuned.result.steps == 12 and task.loss(tuned) == last.loss < first.loss
    assert isinstance(tuned.write(task.held_out[0].prompt, max_new_tokens=5), str)
    tuned.detach()
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())


def test_a_seed_decides_everything(base, task):
    make = lambda seed: tune(base, task.tokenizer, "lora", task, steps=3, seed=seed, progress=False)
    one, again, other = make(1), make(1), make(2)
    assert same(one, again) and not same(one, other)


class StopAt(Callback):
    """Sets a flag after a step."""

    def __init__(self, step: int):
        self.step, self.flag = step, StopFlag()

    def on_step(self, record):
        if record.step == self.step:
            self.flag.set()


def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_been(base, task, tmp_path):
    whole = tune(base, task.tokenizer, "adapter", task, steps=6, progress=False)
    stop = StopAt(2)
    part = tune(
        base,
        task.tokenizer,
        "adapter",
        task,
        steps=6,
        progress=False,
        folder=tmp_path,
        callbacks=[stop],
        stop=stop.flag,
    )
    assert part.result.stopped and part.result.steps == 2 and not same(part, whole)
    rest = tune(base, task.tokenizer, "adapter", task, steps=6, progress=False, folder=tmp_path)
    assert rest.result.steps == 6 and same(rest, whole)


def test_what_is_written_follows_the_template_and_the_settings(base, task):
    tuned = tune(base, task.tokenizer, "lora", task, steps=2, progress=False)
    record = task.held_out[0]
    assert tuned.write(record.prompt) == task.write(tuned, [record])[0]
    assert tuned.write(record.prompt, 3, temperature=1.0, seed=5) == tuned.write(record.prompt, 3, 1.0, 5)
    assert len({tuned.write(record.prompt, 9, temperature=2.0, seed=seed) for seed in range(4)}) > 1
    with pytest.raises(ValueError, match=r"prompt must be a text such as a record's \.prompt"):
        tuned.write(record)


def test_several_methods_with_the_lowest_of_their_rates(base, task):
    rates = [METHODS[name]().recipe().learning_rate for name in ("lora", "adapter")]
    tuned = tune(base, task.tokenizer, ["lora", "adapter"], task, steps=2, progress=False)
    assert list(tuned.methods) == ["lora", "adapter"]
    assert max(each.learning_rate for each in tuned.result.records) <= min(rates)


def test_what_was_tuned_can_be_saved_and_read(base, task, tmp_path):
    tuned = tune(base, task.tokenizer, Prefix(3, hidden=8), task, steps=2, progress=False)
    again = load(base, tuned.save(tmp_path / "saved"))
    assert task.loss(again) == pytest.approx(task.loss(tuned), abs=1e-6)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("lorra", {}, "there is no method 'lorra': did you mean 'lora'"),
        ([], {}, "at least one method"),
        ([LoRA(2), LoRA(4)], {}, "two methods are called 'lora'"),
        (LoRA(99), {}, "LoRA's rank 99 exceeds 16"),
        ("lora", {"steps": 0}, "steps must be"),
        ("lora", {"n_train": 5}, "n_train: a task in token ids takes no settings"),
        (Prefix(80, shift_positions=True), {}, "leave no room for text"),
        (Prefix(56, hidden=8, shift_positions=True), {}, "but the model reads 8"),
    ],
)
def test_bad_settings_are_told_and_the_base_is_free_again(base, task, method, settings, message):
    with pytest.raises(ValueError, match=message):
        tune(base, task.tokenizer, method, task, progress=False, **settings)
    assert all(parameter.requires_grad for parameter in base.parameters())


def test_records_and_settings_of_the_data_pass_through(base, tokenizer):
    records = [Pair(f"Mia lost {n}", f"kite {n}") for n in range(9)]
    tuned = tune(base, tokenizer, "bitfit", records, steps=1, n_train=4, progress=False)
    assert len(tuned.task.records) == 4 and tuned.task.held_out == (records[-1],)


def test_tune_is_loaded_when_it_is_asked_for():
    code = "import sys, minilm; assert 'minilm.tuning' not in sys.modules; minilm.tune; assert 'minilm.tuning' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
