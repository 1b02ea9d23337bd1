"""A run that was cut off goes on as if nothing had happened: to the very same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from minilm.checkpoints.tensors import CheckpointError, read_tensors
from minilm.system.atomic import SaveError
from minilm.training import Callback, RunInfo, StopFlag, TrainingConfig, train
from minilm.training.history import read_history

RUN = """
    import json, os, signal, sys
    import torch
    import minilm.training.resume as resume
    from minilm.model.config import ModelConfig
    from minilm.model import MiniLM
    from minilm.objectives import NextToken
    from minilm.training import Callback, TrainingConfig, train

    optimizer = sys.argv[1]
    torch.set_num_threads(1)
    write = resume.write_tensors

    def run(folder, deadly=0, place=""):
        def die_at(step, here):
            if (step, here) == (deadly, place):
                os.kill(os.getpid(), signal.SIGKILL)

        def write_and_die(path, tensors, metadata):
            die_at(metadata["result"]["steps"], "history")  # its lines are written, the checkpoint is not
            write(path, tensors, metadata)
            die_at(metadata["result"]["steps"], "checkpoint")

        class Killer(Callback):
            def on_step(self, record):
                die_at(record.step, "step")

        resume.write_tensors = write_and_die
        torch.manual_seed(1)
        model = MiniLM(ModelConfig(vocab_size=17, context_length=8, n_layer=2, n_head=2, d_model=16, dropout=0.1))
        batches = NextToken([place * place % 17 for place in range(300)], context_length=8, batch_size=4)
        config = TrainingConfig(steps=12, checkpoint_every=3, evaluate_every=4, patience=3, optimizer=optimizer)
        evaluate = lambda model: abs(model.token_embedding.weight).sum()
        train(model, batches, config, evaluate=evaluate, callbacks=[Killer()], progress=False, folder=folder)

    run("whole")
    for deadly, place in json.loads(sys.argv[2]):
        child = os.fork()
        if child == 0:
            run("cut", deadly, place)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, (deadly, place)
    run("cut")
"""


@pytest.mark.parametrize(
    ("optimizer", "deaths"),
    [
        (
            "muon",
            [(1, "step"), (3, "history"), (3, "checkpoint"), (7, "step"), (9, "history"), (12, "history")],
        ),
        ("adamw", [(2, "step"), (5, "step"), (6, "history"), (11, "step"), (12, "checkpoint")]),
    ],
)
def test_killed_and_resumed_is_bit_identical(tmp_path, optimizer, deaths):
    """Before a checkpoint, within one, just after one, between two, at the end; each death of a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(RUN), optimizer, json.dumps(deaths)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    whole, about = read_tensors(tmp_path / "whole" / "checkpoint.safetensors")
    cut, about_cut = read_tensors(tmp_path / "cut" / "checkpoint.safetensors")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert told(tmp_path / "whole", about) == told(tmp_path / "cut", about_cut)
    assert len(list((tmp_path / "cut").iterdir())) == 2


def told(folder: Path, metadata: dict) -> tuple:
    """Losses of the steps, and the evaluations, of the history that counts."""
    _, records, evaluations = read_history(folder, metadata["history"], 12)
    return [(record.step, record.loss) for record in records], evaluations


@pytest.mark.parametrize("step", range(1, 8))
def test_stopped_at_any_step_and_resumed_is_bit_identical(model, batches, tmp_path, step):
    config = TrainingConfig(steps=8)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = train(model, batches, config, progress=False)
    expected = [parameter.detach().clone() for parameter in model.parameters()]
    model.load_state_dict(state)
    stop_after(model, batches, config, tmp_path, step)
    torch.manual_seed(99)
    torch.nn.init.normal_(model.token_embedding.weight)  # what is in memory must not matter
    result = train(model, batches, config, progress=False, folder=tmp_path)
    assert all(map(torch.equal, expected, model.parameters()))
    assert [record.loss for record in result.records] == [record.loss for record in whole.records]


def test_the_best_weights_survive_an_interruption(model, batches, tmp_path):
    config = TrainingConfig(steps=8, evaluate_every=2, patience=9)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def losses():
        return iter([5.0, 1.0, 2.0, 3.0, 4.0]).__next__

    after = losses()
    train(model, batches, config, evaluate=lambda _: after(), progress=False)
    best = [parameter.detach().clone() for parameter in model.parameters()]
    model.load_state_dict(state)
    after = losses()
    stop_after(model, batches, config, tmp_path, 5, evaluate=lambda _: after())
    train(model, batches, config, evaluate=lambda _: 7.0, progress=False, folder=tmp_path)
    assert all(map(torch.equal, best, model.parameters()))


def stop_after(model, batches, config: TrainingConfig, folder: Path, step: int, evaluate=None) -> None:
    """The first steps of a run."""

    class Counter(StopFlag):
        count = 0

        def is_set(self) -> bool:
            self.count += 1
            return self.count == step

    result = train(model, batches, config, evaluate=evaluate, progress=False, folder=folder, stop=Counter())
    assert result.steps == step


def test_a_finished_run_is_not_run_again(model, batches, tmp_path):
    config = TrainingConfig(steps=3)
    train(model, batches, config, progress=False, folder=tmp_path)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert train(model, batches, config, progress=False, folder=tmp_path).steps == 3
    assert all(map(torch.equal, before, model.parameters()))


def test_a_finished_run_that_is_repeated_writes_nothing(model, batches, tmp_path):
    config = TrainingConfig(steps=3)
    train(model, batches, config, evaluate=lambda _: 1.0, progress=False, folder=tmp_path)
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in tmp_path.iterdir()}
    train(model, batches, config, evaluate=lambda _: 2.0, progress=False, folder=tmp_path)
    assert before == {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in tmp_path.iterdir()}


@pytest.mark.parametrize("first", ["plain", "compiled", "partly compiled"])
@pytest.mark.parametrize("then", ["plain", "compiled", "partly compiled"])
def test_a_compiled_models_checkpoint_is_the_models(model, batches, tmp_path, first, then):
    """Traced as for any compiler, but run without one: not every machine has it."""

    def form(kind: str) -> torch.nn.Module:
        fresh = deepcopy(model)
        if kind == "partly compiled":
            fresh.final_norm = torch.compile(fresh.final_norm, backend="eager")
        return torch.compile(fresh, backend="eager") if kind == "compiled" else fresh

    config = TrainingConfig(steps=4, warmup_steps=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the run of .* continues with compiled=")
        stop_after(form(first), batches, config, tmp_path, 2)
        names = [name for name in read_tensors(tmp_path / "checkpoint.safetensors")[0] if "model" in name]
        assert names and not any("_orig_mod" in name for name in names)
        resumed = form(then)
        train(resumed, batches, config, progress=False, folder=tmp_path)
    whole = deepcopy(model)
    train(whole, batches, config, progress=False)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_truncated_checkpoint_is_named_and_left_alone(model, batches, tmp_path):
    train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="checkpoint.safetensors is truncated"):
        train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path, resume=False)
    assert read_tensors(path)[1]["result"]["steps"] == 2


def test_a_full_disk_leaves_the_last_checkpoint(model, batches, tmp_path, monkeypatch):
    train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minilm.checkpoints.tensors.save_file", full)
    with pytest.raises(SaveError, match="No space left"):
        train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path, resume=False)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
    result = train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    assert [record.step for record in result.records] == [1, 2]


def test_weights_that_are_no_numbers_are_never_saved(model, batches, tmp_path, monkeypatch):
    train(model, batches, TrainingConfig(steps=1), progress=False, folder=tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    monkeypatch.setattr("minilm.training.loop._Loop.refuse_divergence", lambda *_: None)
    config = TrainingConfig(steps=50, learning_rate=1e30, warmup_steps=0, optimizer="adamw")
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        train(model, batches, config, progress=False, folder=tmp_path, resume=False)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_ctrl_c_ends_after_the_step_and_saves(model, batches, tmp_path):
    class Interrupter(Callback):
        def on_start(self, run: RunInfo) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    config = TrainingConfig(steps=50)
    result = train(model, batches, config, callbacks=[Interrupter()], progress=False, folder=tmp_path)
    assert (result.steps, result.stopped) == (1, True)
    assert read_tensors(tmp_path / "checkpoint.safetensors")[1]["result"]["steps"] == 1
    assert signal.getsignal(signal.SIGINT) is handler
