"""The folder of a run: looked at before the first step, one run at a time; a damaged checkpoint is one clear error."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minilm.checkpoints.tensors import CheckpointError, read_tensors, write_tensors
from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.objectives import NextToken
from minilm.system.atomic import SaveError
from minilm.training import Callback, OtherRunError, TrainingConfig, train
from minilm.training.identity import Run
from minilm.training.run_folder import run_folder

CONFIG = TrainingConfig(steps=4, warmup_steps=1)


@pytest.fixture
def folder(model, batches, tmp_path) -> Path:
    """Of a run that was cut off after three of four steps."""

    class Cut(Callback):
        def on_step(self, record) -> None:
            if record.step == 3:
                raise InterruptedError

    config = TrainingConfig(steps=4, warmup_steps=1, checkpoint_every=1)
    with pytest.raises(InterruptedError):
        train(model, batches, config, callbacks=[Cut()], progress=False, folder=tmp_path)
    return tmp_path


def test_a_folder_that_cannot_be_written_to_is_told_before_the_first_step(model, batches, tmp_path):
    (tmp_path / "file").write_text("mine")
    asked = []
    with pytest.raises(SaveError, match="file/run cannot be written to .*choose another folder"):
        train(model, batches, CONFIG, evaluate=asked.append, progress=False, folder=tmp_path / "file" / "run")
    assert asked == [] and (tmp_path / "file").read_text() == "mine"


def test_a_read_only_disk_is_told_before_the_first_step(model, batches, tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("minilm.training.run_folder.tempfile.TemporaryFile", refuse)
    asked = []
    with pytest.raises(SaveError, match="Read-only file system"):
        train(model, batches, CONFIG, evaluate=asked.append, progress=False, folder=tmp_path)
    assert asked == []


def test_one_run_at_a_time_and_a_killed_one_lets_go(model, batches, tmp_path):
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:  # another process, which trains for ten minutes
        with run_folder(tmp_path):
            os.write(tell, b"inside")
            time.sleep(600)
        os._exit(0)
    try:
        assert os.read(told, 6) == b"inside"
        with pytest.raises(CheckpointError, match="another run is being trained in .*folder of its own"):
            train(model, batches, CONFIG, progress=False, folder=tmp_path)
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        os.close(told)
        os.close(tell)
    assert train(model, batches, CONFIG, progress=False, folder=tmp_path).steps == 4


def test_two_threads_do_not_share_a_folder(tmp_path):
    refused = []

    def enter() -> None:
        try:
            with run_folder(tmp_path):
                pass
        except CheckpointError as error:
            refused.append(error)

    with run_folder(tmp_path), run_folder(tmp_path / "other"):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    enter()
    assert len(refused) == 1


def rewrite(folder: Path, change) -> None:
    """The checkpoint with its tensors and metadata changed by a function."""
    path = folder / "checkpoint.safetensors"
    tensors, metadata = read_tensors(path)
    change(tensors, metadata)
    write_tensors(path, tensors, metadata)


def drop(kind: str):
    """A change that drops all tensors of a kind."""
    return lambda tensors, _: [tensors.pop(name) for name in list(tensors) if name.startswith(kind)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _, metadata: metadata.update(version=3), "has layout 3.*layouts up to 2.*newer minilm"),
        (lambda _, metadata: metadata.clear(), "is not a training checkpoint"),
        (lambda _, metadata: metadata.pop("identity"), "damaged, or written by another version"),
        (lambda _, metadata: metadata.pop("history"), "damaged, or written by another version"),
        (lambda _, metadata: metadata["history"].pop("bytes"), "damaged, or written by another version"),
        (
            lambda _, metadata: metadata["result"].update(gpu_hours=1),
            "damaged, or written by another version",
        ),
        (
            lambda _, metadata: metadata["identity"].update(flavour="mint"),
            "flavour='mint', this one has nothing",
        ),
        (lambda _, metadata: metadata.update(result=[]), "damaged, or written by another version"),
        (lambda _, metadata: metadata["history"].update(file="../../etc/passwd"), "passwd.*cannot be read"),
        (drop("optimizer"), "has 0 of .* tensors of kind 'optimizer'"),
        (drop("optimizer.0.0."), "tensors of kind 'optimizer'"),
        (drop("random"), "has 0 of 1 tensors of kind 'random'"),
        (drop("model.blocks.0.mlp"), "tensors of kind 'model'"),
        (
            lambda tensors, _: tensors.update(stranger=torch.zeros(1)),
            "damaged, or written by another version",
        ),
        (lambda tensors, _: tensors.update({"model.stranger": torch.zeros(1)}), "another model.*stranger"),
    ],
)
def test_a_checkpoint_that_is_not_whole_or_of_a_newer_minilm_is_one_error(
    model, batches, folder, change, complaint
):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=complaint):
        train(model, batches, CONFIG, progress=False, folder=folder)
    assert train(model, batches, CONFIG, progress=False, folder=folder, resume=False).steps == 4


OLD = Path(__file__).parent / "data" / "layout_1.safetensors"
"""Written after four of eight steps by the version before histories, which kept them in the header."""
OLD_TEXT = [place * place % 17 for place in range(300)]
OLD_CONFIG = TrainingConfig(
    steps=8, warmup_steps=1, checkpoint_every=2, evaluate_every=2, patience=9,
    optimizer="adamw", precision="float32", device="cpu",
)  # fmt: skip


def go_on_from_the_first_layout(folder: Path | None, text: list[int] = OLD_TEXT, config=OLD_CONFIG) -> tuple:
    """Train the run of the old file, with that file in a folder or from its beginning."""
    if folder:
        shutil.copy(OLD, folder / "checkpoint.safetensors")
    torch.manual_seed(1)
    shape = ModelConfig(vocab_size=17, context_length=8, n_layer=1, n_head=2, d_model=8, dropout=0.1)
    model, batches = MiniLM(shape), NextToken(text, context_length=8, batch_size=4)
    result = train(
        model, batches, config, evaluate=lambda m: m.token_embedding.weight.abs().sum(),
        sample=lambda _: "a text", progress=False, folder=folder,
    )  # fmt: skip
    return result, model


def test_a_checkpoint_of_the_first_layout_still_resumes(tmp_path):
    whole, expected = go_on_from_the_first_layout(None)
    result, model = go_on_from_the_first_layout(tmp_path)
    assert [each.step for each in result.records] == list(range(1, 9))
    assert [each.step for each in result.evaluations] == [0, 2, 4, 6, 8]
    losses = [[record.loss for record in run.records] for run in (whole, result)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)  # the file may come from another machine
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    metadata = read_tensors(tmp_path / "checkpoint.safetensors")[1]
    assert metadata["version"] == 2 and metadata["history"]["steps"] == 8


@pytest.mark.parametrize(
    ("text", "changes", "complaint"),
    [
        (OLD_TEXT, {"learning_rate": 1.0}, r"learning_rate=0\.003, this one has 1\.0"),
        (OLD_TEXT, {"evaluate_every": 1}, r"evaluate_every=2, this one has 1"),
        ([0, 1] * 150, {}, "first batch"),
    ],
)
def test_a_checkpoint_of_the_first_layout_is_checked_as_far_as_it_goes(tmp_path, text, changes, complaint):
    with pytest.raises(OtherRunError, match=f"{complaint}.*resume=False"):
        go_on_from_the_first_layout(tmp_path, text, replace(OLD_CONFIG, **changes))


def test_a_run_of_two_processes_is_not_one_of_one(model, batches, folder, monkeypatch):
    whole = Run.identity
    monkeypatch.setattr(Run, "identity", lambda self: whole(self) | {"processes": 2})
    with pytest.raises(CheckpointError, match="processes=1, this one has 2"):
        train(model, batches, CONFIG, progress=False, folder=folder)
