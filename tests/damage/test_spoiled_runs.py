"""Fifty spoiled checkpoints, sealed again as if minilm had written them: resumed to the same bits, or refused by name."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from random import Random

import pytest
import torch
from mutations import spoil_bytes, spoil_tree

from minilm import MiniLM, ModelConfig
from minilm.checkpoints.tensors import read_tensors, write_tensors
from minilm.objectives import NextToken
from minilm.system.errors import CheckpointError
from minilm.training import Callback, StepRecord, TrainingConfig, train

CASES = 50
CHECKPOINT = "checkpoint.safetensors"
SHAPE = ModelConfig(vocab_size=17, context_length=8, n_layer=1, n_head=2, d_model=8)


class Cut(Callback):
    """Ends a run as a crash does."""

    def on_step(self, news: StepRecord) -> None:
        if news.step == 3:
            raise InterruptedError


def go_on(folder: Path, *callbacks: Callback) -> MiniLM:
    """The model after the run, from where the folder's checkpoint stands."""
    torch.manual_seed(1)
    model = MiniLM(SHAPE)
    config = TrainingConfig(steps=4, checkpoint_every=2, evaluate_every=1, warmup_steps=0, device="cpu")
    batches = NextToken([place * place % 17 for place in range(60)], context_length=8, batch_size=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a spoiled number of threads is said
        train(
            model, batches, config, evaluate=lambda _: 1.0, callbacks=callbacks, progress=False, folder=folder
        )
    return model


@pytest.fixture
def cut_off(tmp_path: Path) -> Path:
    """A run that was killed after three of four steps."""
    with pytest.raises(InterruptedError):
        go_on(tmp_path / "run", Cut())
    return tmp_path / "run"


def spoil(folder: Path, random: Random) -> None:
    """Change what the checkpoint says, or lacks, or the history beside it."""
    tensors, about = read_tensors(folder / CHECKPOINT)
    [history] = folder.glob("history-*.jsonl")
    if (kind := random.randrange(10)) == 0:
        history.write_bytes(spoil_bytes(history.read_bytes(), random))
    elif kind == 1:
        del tensors[random.choice(sorted(tensors))]
    else:
        about = spoil_tree(about, random)
    (folder / CHECKPOINT).unlink()
    write_tensors(folder / CHECKPOINT, tensors, about)


def what_happens(folder: Path, expected: MiniLM) -> str:
    """ "refused", "right", or what is wrong."""
    try:
        model = go_on(folder)
    except CheckpointError as error:
        return "refused" if str(folder) in str(error) else f"without the file's name: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        return f"raw {type(error).__name__}: {error}"
    same = all(map(torch.equal, model.parameters(), expected.parameters()))
    return "right" if same else "other weights"


def test_spoiled_runs(cut_off: Path, tmp_path: Path) -> None:
    random, found, expected = Random(31), {}, go_on(tmp_path / "whole")
    for number in range(CASES):
        folder = Path(shutil.copytree(cut_off, tmp_path / "copy"))
        spoil(folder, random)
        about = read_tensors(folder / CHECKPOINT)[1]
        found[f"{number}: {str(about)[:2000]}"] = what_happens(folder, expected)
        shutil.rmtree(folder)
    assert {case: what for case, what in found.items() if what not in ("refused", "right")} == {}
    assert {"refused", "right"} == set(found.values())
