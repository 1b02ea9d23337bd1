"""The command line, called as a shell calls it."""

from __future__ import annotations

import sys

import pytest

from minilm import cli, load_pretrained, save_pretrained
from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.text.tokenizer import BPETokenizer
from minilm.tuning import METHODS


@pytest.fixture
def minilm(monkeypatch, capsys):
    """Runs a command and returns what it printed."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["minilm", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out

    return run


def test_doctor_looks_at_the_machine(minilm):
    printed = minilm("doctor")
    assert "PyTorch" in printed and "device" in printed


def test_data_is_listed_shown_and_asked_for_by_name(minilm, capsys):
    assert "tinyshakespeare" in minilm("data", "list")
    assert "1,115,394" in minilm("data", "show", "tinyshakespeare")
    with pytest.raises(SystemExit, match="needs the name of a data set"):
        minilm("data", "get")
    with pytest.raises(SystemExit, match="tinyshakespear"):
        minilm("data", "show", "tinyshakespear")


def test_pretrain_then_sample(minilm, tmp_path):
    printed = minilm("pretrain", tmp_path / "model", "--run", tmp_path / "run", "smoke")
    assert "floor: the world's own probabilities" in printed and "5-gram model" in printed
    model, tok = load_pretrained(tmp_path / "model")
    assert model.config.vocab_size == tok.vocab_size == 1024
    card = (tmp_path / "model" / "README.md").read_text()
    assert '"steps": 5' in card and "above the floor" in card and "model.safetensors" in card
    first = minilm("sample", "One day", "--model", tmp_path / "model", "--seed", 3, "--new", 9)
    assert first.startswith("One day")
    assert first == minilm("sample", "One day", "--model", tmp_path / "model", "--seed", 3, "--new", 9)


def test_pretrain_on_the_readers_own_text(minilm, tmp_path):
    path = tmp_path / "diary.txt"
    path.write_text("It rained all day, and nobody came. " * 200)
    printed = minilm("pretrain", tmp_path / "model", "smoke", "--data", path, "--vocab-size", 280)
    assert "bits per byte" in printed and "floor" not in printed


@pytest.mark.filterwarnings("ignore:the corpus gives")
def test_a_text_too_short_to_learn_from(minilm, tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("Too short.")
    with pytest.raises(SystemExit, match=r"note.txt has only 10 characters"):
        minilm("pretrain", tmp_path / "model", "smoke", "--data", path)
    assert not (tmp_path / "model").exists()


def test_sampling_from_nowhere(minilm):
    with pytest.raises(SystemExit, match="no checkpoint 'nowhere'"):
        minilm("sample", "--model", "nowhere")


def test_methods_are_counted_on_any_shape(minilm, tmp_path):
    printed = minilm("methods")
    assert all(name in printed for name in METHODS)
    assert "124,439,808" in printed
    model = MiniLM(ModelConfig(vocab_size=300, context_length=32, n_layer=1, n_head=2, d_model=16))
    save_pretrained(tmp_path / "tiny", model, BPETokenizer.train(["some text"], vocab_size=258))
    size = sum(parameter.numel() for parameter in model.parameters())
    assert f"{size:,}" in minilm("methods", "--base", tmp_path / "tiny")
