"""What is saved comes back to the bit; what is damaged or foreign is named; a failed save leaves the old model whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from core_models import make_model, make_tokens

from minilm import BPETokenizer, MiniLM, load_pretrained, save_pretrained
from minilm.checkpoints import finding, folders
from minilm.checkpoints.tensors import CheckpointError, read_tensors, write_tensors
from minilm.system.atomic import SaveError, atomic_file
from minilm.system.atomic_folder import atomic_folder
from minilm.system.manifest import MANIFEST

VOCAB_SIZE = 270
FILES = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(
        ["the cat sat on the mat and the dog sat on the cat"] * 3, vocab_size=VOCAB_SIZE
    )


@pytest.fixture
def folder(tmp_path: Path, tokenizer: BPETokenizer) -> Path:
    """A checkpoint of `make_model(vocab_size=270)`."""
    return save_pretrained(
        tmp_path / "model", make_model(vocab_size=VOCAB_SIZE), tokenizer, card="# A model\n"
    )


@pytest.fixture
def foreign(folder: Path) -> Path:
    """The same files without a manifest, as other programs write them."""
    (folder / MANIFEST).unlink()
    return folder


def same_weights(one: MiniLM, other: MiniLM) -> bool:
    """Whether two models agree to the bit."""
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_comes_back_to_the_bit(folder: Path, tokenizer: BPETokenizer) -> None:
    model, loaded = load_pretrained(folder)
    assert same_weights(model, make_model(vocab_size=VOCAB_SIZE))
    assert model.config == make_model(vocab_size=VOCAB_SIZE).config
    assert not model.training
    assert loaded.encode("the cat sat<|endoftext|>") == tokenizer.encode("the cat sat<|endoftext|>")
    assert set(contents(folder)) == {*FILES, "README.md", MANIFEST}


def test_half_precision_halves_the_file_and_comes_back_as_float32(
    tmp_path: Path, tokenizer: BPETokenizer
) -> None:
    model = make_model(vocab_size=VOCAB_SIZE, d_model=64)
    full = save_pretrained(tmp_path / "full", model, tokenizer)
    half = save_pretrained(tmp_path / "half", model, tokenizer, dtype=torch.float16)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (full, half)]
    assert sizes[1] < 0.52 * sizes[0]
    loaded = load_pretrained(half)[0]
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_saving_again_replaces_the_model_and_nothing_else(folder: Path, tokenizer: BPETokenizer) -> None:
    """The card told of the first model, so it goes with it; the notes are the reader's."""
    (folder / "notes.txt").write_text("of the reader")
    save_pretrained(folder, make_model(seed=1, vocab_size=VOCAB_SIZE), tokenizer)
    assert same_weights(load_pretrained(folder)[0], make_model(seed=1, vocab_size=VOCAB_SIZE))
    assert set(contents(folder)) == {*FILES, MANIFEST, "notes.txt"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_every_truncation_of_the_weights_is_refused_by_name(foreign: Path) -> None:
    path = foreign / "model.safetensors"
    write_tensors(path, {"transformer.wte.weight": torch.ones(2, 3)}, {})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            load_pretrained(foreign)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_every_truncation_of_the_json_is_refused_by_name(foreign: Path, file: str) -> None:
    path = foreign / file
    whole = json.dumps(json.loads(path.read_text())).encode()
    for length in range(0, len(whole), 1 if len(whole) < 1000 else 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=file.replace(".", r"\.")):
            load_pretrained(foreign)


@pytest.mark.parametrize(
    "content", [b"\x80\x04}q\x00.", b"PK\x03\x04 a zip, as torch.save makes", b"\xff" * 64, b"[1]"]
)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_foreign_files_are_refused_by_name_and_never_unpickled(
    foreign: Path, file: str, content: bytes
) -> None:
    (foreign / file).write_bytes(content)
    with pytest.raises(ValueError, match=file.replace(".", r"\.")):
        load_pretrained(foreign)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=file.replace(".", r"\.")):
        load_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"n_embd": 64}, r"model\.safetensors: wte.weight has shape \(270, 32\).*\(270, 64\)"),
        ({"n_layer": 4}, r"model\.safetensors: .*no tensor 'h\.3\.ln_1\.weight'"),
        ({"n_layer": 2}, r"model\.safetensors: .*there is a tensor 'h\.2\."),
        ({"n_head": 5}, r"config\.json: d_model=32 is not divisible by n_head=5"),
        ({"n_layer": "3"}, r"config\.json: n_layer must be a whole number of at least 1, not '3'"),
        ({"n_embd": None}, r"config\.json: d_model must be a whole number of at least 1, not None"),
        ({"model_type": "llama"}, r"config\.json: model_type is 'llama'"),
        ({"activation_function": "relu"}, r"config\.json: activation_function='relu'"),
        ({"vocab_size": 260}, r"model\.safetensors: wte.weight"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_the_file_and_the_value(
    foreign: Path, change: dict[str, object], complaint: str
) -> None:
    settings = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(settings | change))
    with pytest.raises(CheckpointError, match=complaint):
        load_pretrained(foreign)


@pytest.mark.parametrize("name", ["vocab_size", "n_layer", "n_head", "n_embd"])
def test_a_config_without_a_size_is_refused(foreign: Path, name: str) -> None:
    settings = json.loads((foreign / "config.json").read_text())
    del settings[name]
    (foreign / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=rf"config\.json: {name} is missing"):
        load_pretrained(foreign)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
    tmp_path: Path, tokenizer: BPETokenizer
) -> None:
    folder = save_pretrained(tmp_path / "model", make_model(vocab_size=VOCAB_SIZE - 1), tokenizer)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json has 270 tokens, but the model only 269"):
        load_pretrained(folder)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="'no-such-model': give a folder, 'gpt2', or one of"):
        load_pretrained("no-such-model")


def test_a_mirror_is_looked_into_and_nothing_is_fetched_beside_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINILM_DATA", str(tmp_path))
    monkeypatch.setattr(finding, "GPT2", {})  # without a publisher to ask
    with pytest.raises(FileNotFoundError, match=r"MINILM_DATA\) has no folder gpt2"):
        load_pretrained("gpt2")
    folder.rename(tmp_path / "gpt2")
    assert same_weights(load_pretrained("gpt2")[0], make_model(vocab_size=VOCAB_SIZE))


def test_without_a_network_gpt2_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.delenv("MINILM_DATA", raising=False)
    monkeypatch.setattr(hub, "snapshot_download", full_disk)
    with pytest.raises(
        FileNotFoundError, match=r"could not be fetched \(.*No space left.*\); put config\.json"
    ):
        load_pretrained("gpt2")


def test_a_device_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' was asked for"):
        load_pretrained(folder, device="cuda")


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("at", ["json", "weights", "tokenizer", "flush", "rename"])
def test_a_full_disk_leaves_the_old_model_whole(
    folder: Path, tokenizer: BPETokenizer, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    before = contents(folder.parent)
    places = {
        "json": (Path, "write_text"),
        "weights": (folders, "save_file"),
        "tokenizer": (Path, "write_bytes"),
        "flush": (os, "fsync"),
        "rename": (os, "rename"),
    }
    monkeypatch.setattr(*places[at], full_disk)
    with pytest.raises(
        SaveError,
        match=r"could not save .*model.*: .*No space left.*previous (version|file), if any, is intact",
    ):
        save_pretrained(folder, make_model(seed=1, vocab_size=VOCAB_SIZE), tokenizer)
    assert contents(folder.parent) == before


LIMITED = """
import resource, signal, sys, torch
from minilm.checkpoints.tensors import write_tensors
from minilm.system.atomic import SaveError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_tensors(sys.argv[1], {"weight": torch.zeros(10_000)}, {})
except SaveError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are a Unix matter")
def test_a_write_that_the_system_cuts_off_leaves_the_old_file(tmp_path: Path) -> None:
    """Not simulated: the kernel refuses to let the file grow, as on a full disk."""
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, {"weight": torch.ones(7)}, {"step": 3})
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "could not save" in run.stdout
    assert "previous file, if any, is intact" in run.stdout
    tensors, metadata = read_tensors(path)
    assert torch.equal(tensors["weight"], torch.ones(7))
    assert metadata == {"step": 3}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_is_saved_has_the_rights_of_any_new_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    write_tensors(tmp_path / "checkpoint.safetensors", {"weight": torch.ones(7)}, {})
    saved = [*folder.iterdir(), tmp_path / "checkpoint.safetensors"]
    assert {path.stat().st_mode for path in saved} == {(tmp_path / "any").stat().st_mode}


def test_an_error_while_writing_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "new") as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a" / "b", "test", ["new"]) as draft:
        (draft / "new").write_text("half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_reads_as_the_saved_one(folder: Path) -> None:
    tokens = make_tokens(2, 12, vocab_size=VOCAB_SIZE)
    assert torch.equal(
        load_pretrained(folder)[0](tokens).logits, make_model(vocab_size=VOCAB_SIZE)(tokens).logits
    )
