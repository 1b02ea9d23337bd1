"""A run that was cut off goes on as if nothing had happened: to the very same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from minilm.checkpoints.tensors import CheckpointError, read_tensors
from minilm.objectives import NextToken
from minilm.system.atomic import SaveError
from minilm.training import Callback, RunInfo, StopFlag, TrainingConfig, train

RUN = """
    import os, signal, sys
    import torch
    from minilm.model.config import ModelConfig
    from minilm.model import MiniLM
    from minilm.objectives import NextToken
    from minilm.training import Callback, TrainingConfig, train

    folder, optimizer, deadly = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = MiniLM(ModelConfig(vocab_size=17, context_length=8, n_layer=2, n_head=2, d_model=16, dropout=0.1))
    batches = NextToken([place * place % 17 for place in range(300)], context_length=8, batch_size=4)

    class Killer(Callback):
        def on_step(self, record):
            if record.step == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    config = TrainingConfig(steps=12, checkpoint_every=3, evaluate_every=4, optimizer=optimizer)
    train(model, batches, config, evaluate=lambda model: 0.0, callbacks=[Killer()], progress=False, folder=folder)
"""


def run(folder: Path, optimizer: str, deadly: int = 0) -> int:
    """The run in a process of its own that kills itself after a step; its exit status."""
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(folder), optimizer, str(deadly)]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode


@pytest.mark.parametrize(("optimizer", "deaths"), [("muon", (1, 3, 7, 11)), ("adamw", (5,))])
def test_killed_and_resumed_is_bit_identical(tmp_path, optimizer, deaths):
    assert run(tmp_path / "whole", optimizer) == 0
    for deadly in deaths:  # before a checkpoint, on one, between two, near the end
        assert run(tmp_path / "cut", optimizer, deadly) == -signal.SIGKILL
    assert run(tmp_path / "cut", optimizer) == 0
    whole, _ = read_tensors(tmp_path / "whole" / "checkpoint.safetensors")
    cut, _ = read_tensors(tmp_path / "cut" / "checkpoint.safetensors")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


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


def test_a_checkpoint_of_other_settings_data_or_model_is_refused(model, batches, tmp_path):
    train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"learning_rate=0\.003.*resume=False"):
        train(model, batches, TrainingConfig(steps=2, learning_rate=1.0), progress=False, folder=tmp_path)
    other = NextToken([0, 1] * 50, context_length=8, batch_size=4)
    with pytest.raises(CheckpointError, match="other data"):
        train(model, other, TrainingConfig(steps=2), progress=False, folder=tmp_path)
    model.position_embedding.requires_grad_(False)
    with pytest.raises(CheckpointError, match=r"another model.*position_embedding"):
        train(model, batches, TrainingConfig(steps=2), progress=False, folder=tmp_path)


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
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


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
