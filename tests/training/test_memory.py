"""The memory that a training needs is known before it starts: held against what it took."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.system import memory as machine
from minilm.training import TrainingConfig
from minilm.training.memory import check_memory, count_weights, training_need
from minilm.training.optimizers import is_hidden_matrix

CASES = {
    "blocks": ({"vocab_size": 512, "n_layer": 6, "d_model": 128}, 32, {}),
    "logits": ({"vocab_size": 8192, "n_layer": 1, "d_model": 64}, 16, {}),
    "dropout": ({"vocab_size": 512, "n_layer": 3, "d_model": 128, "dropout": 0.1}, 32, {}),
    "weights": ({"vocab_size": 512, "n_layer": 4, "d_model": 640, "context_length": 8}, 2, {}),
    "muon": (
        {"vocab_size": 512, "n_layer": 4, "d_model": 640, "context_length": 8},
        2,
        {"optimizer": "muon"},
    ),
}
"""Shape, batch size and settings of trainings in which one part weighs most."""
MEASURE = """
import json, resource, sys
import torch
from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.objectives import NextToken
from minilm.training import TrainingConfig, train

torch.set_num_threads(1)
text = torch.arange(3000) % 16

def run(shape, batch_size, **changes):
    shape = ModelConfig(**shape)
    config = TrainingConfig(steps=2, device="cpu", precision="float32", **changes)
    train(MiniLM(shape), NextToken(text, shape.context_length, batch_size), config, progress=False)

tiny = {"vocab_size": 16, "n_layer": 1, "n_head": 1, "d_model": 8, "context_length": 8}
for optimizer in ("adamw", "muon"):
    run(tiny, 2, optimizer=optimizer)
for name, (shape, batch_size, changes) in json.loads(sys.argv[1]).items():
    if (child := __import__("os").fork()) == 0:
        pages = int(open("/proc/self/statm").read().split()[1])
        run(shape, batch_size, **{"optimizer": "adamw", **changes})
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(name, peak - pages * resource.getpagesize(), flush=True)
        __import__("os")._exit(0)
    __import__("os").waitpid(child, 0)
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="this system does not tell a process's pages"
)
def test_the_estimate_is_near_the_measured_peak():
    import json

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, json.dumps(CASES)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    peaks = {name: int(size) for name, size in map(str.split, told.splitlines())}
    assert peaks.keys() == CASES.keys()
    for name, (shape, batch_size, changes) in CASES.items():
        config = TrainingConfig(steps=2, **{"optimizer": "adamw", **changes})
        need = training_need(ModelConfig(**shape), config, batch_size, held_out=False)
        assert peaks[name] / 1.6 < need.on_device < 1.6 * peaks[name], (name, peaks[name], need)


shapes = st.builds(
    ModelConfig,
    vocab_size=st.integers(1, 40), context_length=st.integers(1, 9), n_layer=st.integers(1, 3),
    n_head=st.just(1), d_model=st.integers(1, 12),
)  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(shape=shapes)
def test_weights_are_counted_without_being_made(shape):
    named = dict(MiniLM(shape).named_parameters())
    hidden = [weight for name, weight in named.items() if is_hidden_matrix(name, weight)]
    by_shape: dict = {}
    for weight in hidden:
        by_shape[weight.shape] = by_shape.get(weight.shape, 0) + weight.numel()
    matrices = sum(weight.numel() for weight in hidden)
    total = sum(weight.numel() for weight in named.values())
    assert count_weights(shape)[:2] == (matrices, total - matrices)
    assert count_weights(shape)[2] == max(4 * shape.d_model**2 * shape.n_layer, 0) <= matrices


SHAPE = ModelConfig(vocab_size=1000, context_length=64, n_layer=2, n_head=2, d_model=64)


@pytest.mark.parametrize("change", ["vocab_size", "context_length", "n_layer", "d_model"])
def test_more_of_anything_needs_more(change):
    config = TrainingConfig()
    larger = replace(SHAPE, **{change: 2 * getattr(SHAPE, change)})
    assert training_need(larger, config, 40).total > training_need(SHAPE, config, 40).total
    assert training_need(SHAPE, config, 80).total > training_need(SHAPE, config, 40).total


@pytest.mark.parametrize(
    ("batch_size", "data", "changes", "lower"),
    [
        (10_000_000, 0, {}, "activations: lower batch_size or context_length"),
        (1, 10**13, {}, "data: lower n_story, or train on a smaller text"),
        (1, 0, {"d_model": 2**20}, "optimizer: lower d_model or n_layer"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_to_lower(monkeypatch, batch_size, data, changes, lower):
    monkeypatch.setattr("minilm.training.memory.main_memory", lambda: 16 * 10**9)
    need = training_need(replace(SHAPE, **changes), TrainingConfig(), batch_size, data)
    with pytest.raises(ValueError, match=f"needs about .* which has 16.0 GB.* Most of it is for {lower}"):
        check_memory(need, torch.device("cpu"))


def test_what_fits_passes_and_so_does_a_machine_that_does_not_tell(monkeypatch):
    need = training_need(SHAPE, TrainingConfig(), 8)
    check_memory(need, torch.device("cpu"))
    monkeypatch.setattr("minilm.training.memory.main_memory", lambda: None)
    check_memory(training_need(SHAPE, TrainingConfig(), 10**9), torch.device("cpu"))
    assert str(need).startswith("about ") and "activations" in str(need)


def test_an_accelerator_holds_the_model_and_the_machine_the_text(monkeypatch):
    monkeypatch.setattr("minilm.training.memory.accelerator_memory", lambda _: 8 * 10**9)
    monkeypatch.setattr("minilm.training.memory.main_memory", lambda: 4 * 10**9)
    cuda = torch.device("cuda")
    fits = training_need(SHAPE, TrainingConfig(), 4000)
    assert 4 * 10**9 < fits.on_device < 8 * 10**9
    check_memory(fits, cuda)
    with pytest.raises(ValueError, match=r"on the device cuda, which has 8\.0 GB"):
        check_memory(training_need(SHAPE, TrainingConfig(), 20_000), cuda)
    with pytest.raises(ValueError, match=r"on this machine, which has 4\.0 GB"):
        check_memory(training_need(SHAPE, TrainingConfig(), 20, data=5 * 10**9), cuda)


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("123456789\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "memory.max", tmp_path / "none", tmp_path / "absent"))
    assert machine.main_memory() == 123456789
    monkeypatch.setattr(machine, "LIMITS", ())
    assert machine.main_memory() is None or machine.main_memory() > 10**8
