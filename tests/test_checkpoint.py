"""What is saved comes back to the bit; what is damaged or foreign is named; a failed save leaves the old model whole."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from core_models import make_model, make_tokens
from safetensors.torch import load_file, save_file

from minilm import BPETokenizer, MiniLM, load_pretrained, save_pretrained
from minilm.checkpoints import finding, folders
from minilm.checkpoints import tensors as tensors_module
from minilm.checkpoints.folders import check_folder, save_card
from minilm.checkpoints.tensors import CheckpointError, read_tensors, write_tensors
from minilm.system.atomic import SaveError, atomic_file
from minilm.system.atomic_folder import atomic_folder
from minilm.system.manifest import MANIFEST, read_manifest

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
    monkeypatch.setattr(finding, "fetch_gpt2", lambda: pytest.fail("it asked the network"))
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


# What a file says is compared before it is believed


HUGE = 5_000_000


def peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize(
    "change",
    [
        {"n_positions": HUGE},
        {"n_positions": 10**9},
        {"vocab_size": 10**12},
        {"n_layer": 10**9},
        {"n_embd": 4 * 10**8},
        {"n_embd": 10**40},
        {"n_head": 10**9},
        {"layer_norm_epsilon": "small"},
        {"layer_norm_epsilon": float("nan")},
        {"layer_norm_epsilon": 0},
        {"n_inner": 5},
    ],
)
def test_sizes_are_compared_with_the_weights_before_anything_is_allocated(
    foreign: Path, change: dict[str, object]
) -> None:
    settings = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(settings | change))
    before = peak_megabytes()
    with pytest.raises(CheckpointError, match=r"(config\.json|model\.safetensors): "):
        load_pretrained(foreign)
    assert peak_megabytes() - before < 50


@pytest.mark.parametrize("text", ["[" * 100_000, '{"n": ' + "9" * 5000 + "}", "\ufeff{}", '{"a": 1'])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_json_that_python_cannot_read_is_told_with_its_file(foreign: Path, file: str, text: str) -> None:
    (foreign / file).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=file.replace(".", r"\.")):
        load_pretrained(foreign)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights of a folder as another program would."""
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.bool, torch.int64])
def test_weights_of_whole_numbers_are_refused(foreign: Path, dtype: torch.dtype) -> None:
    name = "transformer.h.1.ln_2.bias"
    rewrite(foreign, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    with pytest.raises(CheckpointError, match=rf"{name} holds {dtype}, and weights are floating-point"):
        load_pretrained(foreign)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite_are_refused_when_loaded(
    foreign: Path, value: float, dtype: torch.dtype
) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["transformer.wpe.weight"] = tensors["transformer.wpe.weight"].to(dtype)
        tensors["transformer.wpe.weight"][3, 4] = value

    rewrite(foreign, spoil)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: transformer\.wpe\.weight holds NaN or infinite"
    ):
        load_pretrained(foreign)


def test_numbers_that_are_finite_only_in_64_bits_are_refused_when_loaded(foreign: Path) -> None:
    name = "transformer.ln_f.bias"
    rewrite(foreign, lambda tensors: tensors.update({name: tensors[name].double() + 1e300}))
    with pytest.raises(CheckpointError, match=name):
        load_pretrained(foreign)


def test_a_tensor_that_stands_twice_is_refused(foreign: Path) -> None:
    rewrite(foreign, lambda tensors: tensors.update({"ln_f.bias": tensors["transformer.ln_f.bias"] + 1}))
    with pytest.raises(CheckpointError, match="some tensors are there twice"):
        load_pretrained(foreign)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_when_saved(
    folder: Path, tokenizer: BPETokenizer, value: float
) -> None:
    before = contents(folder.parent)
    model = make_model(vocab_size=VOCAB_SIZE)
    with torch.no_grad():
        model.blocks[1].mlp.up.weight[3, 4] = value
    with pytest.raises(SaveError, match=r"h\.1\.mlp\.c_fc\.weight holds NaN or infinite numbers"):
        save_pretrained(folder, model, tokenizer)
    with pytest.raises(SaveError, match="weight holds NaN or infinite numbers"):
        write_tensors(folder / "checkpoint.safetensors", {"weight": torch.tensor([value])}, {})
    assert contents(folder.parent) == before


def test_a_precision_that_cannot_hold_the_weights_is_refused(folder: Path, tokenizer: BPETokenizer) -> None:
    before = contents(folder)
    model = make_model(vocab_size=VOCAB_SIZE)
    for dtype in (torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn, "float16", 16):
        with pytest.raises(ValueError, match="dtype must be one of .*not"):
            save_pretrained(folder, model, tokenizer, dtype=dtype)
    with torch.no_grad():
        model.final_norm.bias[0] = 70_000.0
    with pytest.raises(SaveError, match=r"ln_f\.bias holds .* too large for torch\.float16"):
        save_pretrained(folder, model, tokenizer, dtype=torch.float16)
    assert contents(folder) == before
    save_pretrained(folder, model, tokenizer, dtype=torch.bfloat16)
    assert load_pretrained(folder)[0].final_norm.bias[0] == torch.tensor(70_000.0).bfloat16()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"folder": None}, "folder must be a path, not None"),
        ({"folder": 3}, "folder must be a path, not 3"),
        ({"folder": ""}, "folder must be the name of a place, not ''"),
        ({"model": "gpt2"}, "model must be a MiniLM, not str"),
        ({"model": None}, "model must be a MiniLM, not NoneType"),
        ({"model": torch.nn.Linear(2, 2)}, "model must be a MiniLM, not Linear"),
        ({"tokenizer": None}, "tokenizer must be a BPETokenizer, not NoneType"),
        ({"card": 3}, "card must be a Markdown text, not int"),
    ],
)
def test_wrong_arguments_of_saving_are_named(
    tmp_path: Path, tokenizer: BPETokenizer, arguments: dict[str, object], complaint: str
) -> None:
    right = {"folder": tmp_path / "m", "model": make_model(vocab_size=VOCAB_SIZE), "tokenizer": tokenizer}
    with pytest.raises(ValueError, match=complaint):
        save_pretrained(**(right | arguments))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [None, 3, b"gpt2", "", ["gpt2"], "a\0b"])
def test_wrong_arguments_of_loading_are_named(wrong: object) -> None:
    for load in (load_pretrained, BPETokenizer.load, read_tensors):
        with pytest.raises(ValueError, match="must be .*, not") as error:
            load(wrong)
        assert repr(wrong) in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [([1], {}), ({"a": 1}, {}), ({1: torch.ones(2)}, {}), ({}, {"a": torch.ones(1)}), ({}, {"a": {1, 2}})],
)
def test_wrong_arguments_of_a_checkpoint_are_named(
    tmp_path: Path, tensors: object, metadata: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="must"):
        write_tensors(tmp_path / "c.safetensors", tensors, metadata)
    assert not list(tmp_path.iterdir())


# Checkpoints of runs


def test_a_checkpoint_keeps_every_type_of_tensor_and_any_metadata(tmp_path: Path) -> None:
    tensors = {
        "weights": torch.randn(3, 4).T,
        "half": torch.randn(2).half(),
        "random": torch.get_rng_state(),
        "step": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    metadata = {
        "losses": [1.5, float("inf")],
        "text": '"minilm_sha256": "' + "0" * 64 + '"',
        "nested": {"a": [None]},
    }
    write_tensors(tmp_path / "c.safetensors", tensors, metadata)
    loaded, about = read_tensors(tmp_path / "c.safetensors")
    assert about == metadata
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_a_checkpoint_without_a_digest_as_older_ones_are_is_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "old", metadata={"minilm": json.dumps({"step": 3})})
    assert read_tensors(tmp_path / "old")[1] == {"step": 3}
    save_file({"a": torch.ones(2)}, tmp_path / "foreign")
    assert read_tensors(tmp_path / "foreign")[1] == {}


def test_a_checkpoint_of_a_newer_minilm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(tensors_module, "FORMAT", "3")
        write_tensors(tmp_path / "c", {"a": torch.ones(2)}, {})
    with pytest.raises(CheckpointError, match="c has format '3', and this minilm reads 2: update minilm"):
        read_tensors(tmp_path / "c")


def test_a_folder_of_a_newer_minilm_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(folder)
    with monkeypatch.context() as newer:
        newer.setattr("minilm.system.manifest.FORMAT", 2)
        (folder / MANIFEST).write_bytes(manifest.to_bytes())
    with pytest.raises(
        CheckpointError, match=r"minilm\.json has format 2, and this minilm reads 1: update minilm"
    ):
        load_pretrained(folder)


# The rest


def test_saving_deletes_nothing_of_the_readers(
    tmp_path: Path, tokenizer: BPETokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working folder, a folder of documents, a file, an older model's neighbour: all as before."""
    (tmp_path / "docs" / "drafts").mkdir(parents=True)
    (tmp_path / "docs" / "thesis.txt").write_text("years")
    (tmp_path / "docs" / "drafts" / "one").write_text("months")
    (tmp_path / "notes").write_text("mine")
    before = contents(tmp_path)
    model = make_model(vocab_size=VOCAB_SIZE)
    monkeypatch.chdir(tmp_path / "docs")
    for place in ("", ".", tmp_path / "docs", tmp_path / "notes"):
        with pytest.raises((ValueError, SaveError)):
            save_pretrained(place, model, tokenizer)
    assert contents(tmp_path) == before
    monkeypatch.chdir(tmp_path)
    save_pretrained("docs", model, tokenizer)  # no longer the working folder: beside what is there
    assert before.items() <= contents(tmp_path).items()
    assert same_weights(load_pretrained("docs")[0], model)


def test_a_card_is_added_to_a_saved_model(folder: Path, tokenizer: BPETokenizer) -> None:
    save_card(folder, "# Another card\n")
    assert (folder / "README.md").read_text() == "# Another card\n"
    assert same_weights(load_pretrained(folder)[0], make_model(vocab_size=VOCAB_SIZE))
    (folder / "README.md").write_text("of the reader")
    with pytest.raises(SaveError, match=r"README\.md was not written by minilm, or was changed since"):
        save_card(folder, "# A third\n")
    load_pretrained(folder)  # a card is for people: it may be edited


def test_a_refusal_is_known_before_the_work(folder: Path, tmp_path: Path) -> None:
    check_folder(folder)
    check_folder(tmp_path / "new" / "one")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "README.md").write_text("of the reader")
    with pytest.raises(SaveError, match=r"README\.md was not written by minilm"):
        check_folder(tmp_path / "foreign")
    assert not (tmp_path / "new").exists()


def test_a_compiled_model_is_saved_as_the_model(tmp_path: Path, tokenizer: BPETokenizer) -> None:
    model = make_model(vocab_size=VOCAB_SIZE)
    save_pretrained(tmp_path / "m", torch.compile(model), tokenizer)
    assert same_weights(load_pretrained(tmp_path / "m")[0], model)


def test_loading_draws_nothing_at_random_and_leaves_no_memory_unset(folder: Path) -> None:
    before = torch.get_rng_state()
    model = load_pretrained(folder)[0]
    assert torch.equal(torch.get_rng_state(), before)
    made = MiniLM(model.config)
    assert {name: each.shape for name, each in model.named_buffers()} == {
        name: each.shape for name, each in made.named_buffers()
    }
    assert all(torch.equal(each, dict(made.named_buffers())[name]) for name, each in model.named_buffers())
    assert all(each.requires_grad for each in model.parameters())


def test_a_real_disk_that_fills_up_loses_nothing(tmp_path: Path, tokenizer: BPETokenizer) -> None:
    """A file system of 320 kB in memory: it holds one model, but not its successor beside it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        model = make_model(vocab_size=VOCAB_SIZE)
        save_pretrained(disk / "m", model, tokenizer)
        before = contents(disk)
        for _ in range(5):
            with pytest.raises(SaveError, match="No space left|previous version, if any, is intact"):
                save_pretrained(disk / "m", make_model(seed=1, vocab_size=VOCAB_SIZE), tokenizer)
            assert contents(disk) == before
        assert same_weights(load_pretrained(disk / "m")[0], model)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
