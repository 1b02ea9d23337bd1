"""Tuned weights survive the disk, take the room they should, and know their base."""

from __future__ import annotations

import json

import pytest
import torch

from minilm import MiniLM, ModelConfig
from minilm.checkpoints.tensors import CheckpointError
from minilm.system.manifest import MANIFEST
from minilm.tuning import LoRA, Prefix, attach, load
from tests.tuning.conftest import METHODS as CASES
from tests.tuning.conftest import attach_and_stir


@pytest.mark.parametrize("method", CASES.values(), ids=CASES.keys())
def test_saved_and_loaded_gives_the_same_logits(base, tokens, tmp_path, method):
    tuned = attach_and_stir(base, method)
    expected, stored = tuned(tokens).logits.detach(), tuned.count().stored
    tuned.save(tmp_path / "adapter")
    tuned.detach()
    loaded = load(base, tmp_path / "adapter")
    torch.testing.assert_close(loaded(tokens).logits, expected, atol=1e-6, rtol=1e-6)
    assert loaded.count().stored == stored
    files = [file for file in (tmp_path / "adapter").iterdir() if file.name != MANIFEST]
    size = sum(file.stat().st_size for file in files)
    assert abs(size - 4 * stored) <= 0.01 * 4 * stored + 4096


def test_a_loaded_prefix_trains_on_without_its_network(base, tokens, tmp_path):
    attach_and_stir(base, Prefix(length=3, hidden=8)).save(tmp_path / "adapter")
    loaded = load(base, tmp_path / "adapter")
    assert loaded.count().trained == loaded.count().stored
    loaded(tokens).logits.sum().backward()
    assert loaded.attachments["prefix"].slots.grad.abs().sum() > 0


@pytest.fixture
def saved(base, tmp_path):
    tuned = attach_and_stir(base, LoRA(rank=2))
    tuned.save(tmp_path / "adapter")
    tuned.detach()
    return tmp_path / "adapter"


def test_another_base_is_told_by_its_fingerprint(base, saved, tokens):
    other = MiniLM(base.config).eval()
    with pytest.raises(CheckpointError, match="other weights .fingerprint"):
        load(other, saved)
    assert load(other, saved, check_base=False)(tokens).logits.shape == (2, 9, 40)


def test_another_shape_is_named(saved):
    wide = MiniLM(ModelConfig(vocab_size=40, context_length=24, n_layer=2, n_head=2, d_model=32))
    with pytest.raises(CheckpointError, match="made for a base with d_model=16, but this one has 32"):
        load(wide, saved)
    assert all(weight.requires_grad for weight in wide.parameters())


def test_missing_foreign_and_damaged_files(base, saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="adapter.json does not exist"):
        load(base, tmp_path / "nowhere")
    weights = (saved / "adapter.safetensors").read_bytes()
    (saved / "adapter.safetensors").write_bytes(weights[:-8])
    with pytest.raises(CheckpointError, match="adapter.safetensors is damaged, truncated or changed"):
        load(base, saved)
    (saved / MANIFEST).unlink()  # from here on, as if another program had written it
    with pytest.raises(CheckpointError, match="adapter.safetensors is truncated"):
        load(base, saved)
    assert all(weight.requires_grad for weight in base.parameters())  # nothing stays attached
    about = json.loads((saved / "adapter.json").read_text())
    about["methods"]["lora"]["settings"]["rank"] = 3
    (saved / "adapter.safetensors").write_bytes(weights)
    (saved / "adapter.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match=r"should hold \(16, 3\), but holds \(16, 2\)"):
        load(base, saved)
    about["methods"]["lora"]["method"] = "magic"
    (saved / "adapter.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="uses 'magic', but the methods are"):
        load(base, saved)
    (saved / "adapter.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not written by minilm"):
        load(base, saved)


def test_saving_twice_replaces_the_first(base, tokens, tmp_path):
    attach_and_stir(base, LoRA(rank=2)).save(tmp_path / "adapter")
    tuned = attach(base, LoRA(rank=4))
    tuned.save(tmp_path / "adapter")
    assert load(base, tmp_path / "adapter").methods["lora"].rank == 4
    assert [file.name for file in tmp_path.iterdir()] == ["adapter"]
