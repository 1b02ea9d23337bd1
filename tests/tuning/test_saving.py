"""Tuned weights survive the disk, take the room they should, and know their base."""

from __future__ import annotations

import json
import resource
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from minilm import MiniLM, ModelConfig
from minilm.checkpoints.tensors import CheckpointError
from minilm.system.errors import SaveError
from minilm.system.manifest import MANIFEST
from minilm.tuning import MAM, Adapter, Auxiliary, Inducer, LoRA, Prefix, Prompt, Side, attach, load
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


# What a file says is checked before it is believed


@pytest.fixture
def foreign(saved):
    """An adapter without digests: a function that changes `adapter.json` and returns the folder."""
    (saved / MANIFEST).unlink()
    about = json.loads((saved / "adapter.json").read_text())

    def changed(change):
        content = deepcopy(about)
        change(content)
        (saved / "adapter.json").write_text(json.dumps(content))
        return saved

    return changed


SPOILED = {
    "no base": (lambda c: c.pop("base"), "does not say for which base"),
    "base a list": (lambda c: c.update(base=[]), "does not say for which base"),
    "no shape": (lambda c: c["base"].pop("shape"), "does not say for which base"),
    "shape without a size": (lambda c: c["base"]["shape"].pop("n_head"), "does not say for which base"),
    "shape of a newer model": (lambda c: c["base"]["shape"].update(depth=3), "made for a base with depth=3"),
    "no fingerprint": (lambda c: c["base"].pop("fingerprint"), "other weights .fingerprint None"),
    "no methods": (lambda c: c.pop("methods"), "needs 'methods'"),
    "methods empty": (lambda c: c.update(methods={}), "needs 'methods'"),
    "methods a number": (lambda c: c.update(methods=3), "needs 'methods'"),
    "method a text": (
        lambda c: c["methods"].update(lora="lora"),
        "must be an object with a name under 'method'",
    ),
    "method unnamed": (lambda c: c["methods"]["lora"].pop("method"), "must be an object with a name"),
    "method a list": (
        lambda c: c["methods"]["lora"].update(method=["lora"]),
        "must be an object with a name",
    ),
    "name with a dot": (
        lambda c: c["methods"].update({"a.b": c["methods"].pop("lora")}),
        "'a.b' cannot be the name",
    ),
    "name reserved": (
        lambda c: c["methods"].update(keys=c["methods"].pop("lora")),
        "'keys' cannot be the name",
    ),
    "no name": (lambda c: c["methods"].update({"": c["methods"].pop("lora")}), "'' cannot be the name"),
    "no settings": (
        lambda c: c["methods"]["lora"].pop("settings"),
        "settings of lora must be an object, not None",
    ),
    "another name": (lambda c: c["methods"].update(other=c["methods"].pop("lora")), "should hold"),
    "one more": (lambda c: c["methods"].update(other=c["methods"]["lora"]), "should hold"),
    "newer file": (lambda c: c.update(version=2), "version 2, minilm reads 1: update minilm"),
}


@pytest.mark.parametrize(("change", "complaint"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_description_is_refused_by_name(base, foreign, change, complaint):
    with pytest.raises(CheckpointError, match=complaint) as error:
        load(base, foreign(change))
    assert "adapter" in str(error.value)
    assert all(weight.requires_grad for weight in base.parameters())


@pytest.mark.parametrize(
    ("setting", "value", "complaint"),
    [
        ("alpha", "16", "alpha must be a finite number, not '16'"),
        ("alpha", float("nan"), "alpha must be a finite number, not nan"),
        ("alpha", float("inf"), "alpha must be a finite number, not inf"),
        ("alpha", True, "alpha must be a finite number, not True"),
        ("rank", 2.0, "rank must be a whole number, not 2.0"),
        ("rank", True, "rank must be a whole number, not True"),
        ("rank", None, "rank must be a whole number, not None"),
        ("rank", 10**30, "rank must be a whole number, not 1000"),
        ("rank", 3_000_000, "exceeds 16"),
        ("targets", "query", "targets must be a list, not 'query'"),
        ("targets", ["query", 3], "targets must be a list, not"),
        ("targets", ["query"] * 2, "targets must be a list, not"),
        ("targets", ["nowhere"], "has no target 'nowhere'"),
        ("bias", 1, "bias must be true or false, not 1"),
        ("dropout", -1, "dropout must lie in"),
        ("newer", 1, "lora has no setting 'newer': the file may be of a newer minilm"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(base, foreign, setting, value, complaint):
    folder = foreign(lambda c: c["methods"]["lora"]["settings"].update({setting: value}))
    with pytest.raises(CheckpointError, match=complaint):
        load(base, folder)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", "[1]", "\x00", '{"a": ' * 2000]
)
def test_a_description_that_is_not_json_is_refused(base, foreign, text):
    folder = foreign(lambda c: None)
    (folder / "adapter.json").write_text(text)
    with pytest.raises(CheckpointError, match="adapter.json"):
        load(base, folder)


def test_a_description_of_many_megabytes_is_refused_unread(base, foreign):
    folder = foreign(lambda c: c.update(padding="x" * 2_000_000))
    with pytest.raises(CheckpointError, match=r"adapter\.json has 2,000,\d+ bytes, more than settings take"):
        load(base, folder)


HUNGRY = {
    "prefix, hidden": (Prefix(length=2, hidden=4), {"hidden": 2_000_000_000}),
    "prefix, steps": (Prefix(length=2, hidden=4, init=(1, 2)), {"fit_steps": 2_000_000_000}),
    "prefix, length": (Prefix(length=2, hidden=4), {"length": 2_000_000_000}),
    "mam, hidden": (MAM(length=2, bottleneck=2, hidden=4), {"hidden": 2_000_000_000}),
    "prompt, length": (Prompt(length=2), {"length": 2_000_000_000}),
    "adapter, bottleneck": (Adapter(bottleneck=2), {"bottleneck": 2_000_000_000}),
    "inducer, bottleneck": (Inducer(2, 2), {"value_bottleneck": 2_000_000_000}),
    "auxiliary, width": (Auxiliary(4, 1, 2), {"d_model": 2_000_000_000}),
    "auxiliary, layers": (Auxiliary(4, 1, 2), {"n_layer": 2_000_000_000}),
    "auxiliary, attribute": (Auxiliary(4, 1, 2), {"attribute_length": 2_000_000_000}),
    "side, layers": (Side(4, 1, 2), {"n_layer": 2_000_000_000}),
}


@pytest.mark.parametrize(("method", "change"), HUNGRY.values(), ids=HUNGRY.keys())
def test_no_setting_makes_a_load_hang_or_take_memory(base, tmp_path, method, change):
    """What is thrown away after training is not even built; what is stored is compared with the file first."""
    tuned = attach(base, method)
    tuned.save(tmp_path / "a")
    tuned.detach()
    (tmp_path / "a" / MANIFEST).unlink()
    about = json.loads((tmp_path / "a" / "adapter.json").read_text())
    about["methods"][method.name]["settings"].update(change)
    (tmp_path / "a" / "adapter.json").write_text(json.dumps(about))
    before = resource.getrusage(resource.RUSAGE_SELF)
    if change.keys() & {"hidden", "fit_steps"}:
        loaded = load(base, tmp_path / "a")
        assert loaded.methods[method.name] == replace(method, **change)
        loaded.detach()
    else:
        with pytest.raises(CheckpointError):
            load(base, tmp_path / "a")
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 100 * 1024
    assert after.ru_utime - before.ru_utime < 10


def test_a_loaded_method_keeps_its_settings_and_draws_nothing(base, tmp_path):
    for name, method in CASES.items():
        tuned = attach(base, method)
        tuned.save(tmp_path / name)
        methods, before = tuned.methods, torch.get_rng_state()
        tuned.detach()
        loaded = load(base, tmp_path / name)
        assert torch.equal(torch.get_rng_state(), before), name
        assert loaded.methods == methods, name
        loaded.detach()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(base, saved, value):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    tuned = attach(base, LoRA(rank=2))
    with torch.no_grad():
        tuned.attachments["lora"].changes["query-1"].B[0, 0] = value
    with pytest.raises(SaveError, match=r"lora\.changes\.query-1\.B holds NaN or infinite numbers"):
        tuned.save(saved)
    tuned.detach()
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    tensors = {name: tensor.clone() for name, tensor in load_file(saved / "adapter.safetensors").items()}
    tensors["lora.changes.query-1.B"][0, 0] = value
    save_file(tensors, saved / "adapter.safetensors")
    (saved / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=r"adapter\.safetensors: lora\.changes\.query-1\.B holds NaN"):
        load(base, saved)


def test_a_setting_that_is_not_finite_is_not_saved(base, tmp_path):
    with pytest.raises(SaveError, match="a setting cannot be written"):
        attach(base, LoRA(rank=2, alpha=float("nan"))).save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_weights_of_whole_numbers_or_left_over_are_refused(base, saved):
    (saved / MANIFEST).unlink()
    tensors = load_file(saved / "adapter.safetensors")
    name = "lora.changes.query-1.B"
    save_file({**tensors, name: tensors[name].to(torch.int32)}, saved / "adapter.safetensors")
    with pytest.raises(CheckpointError, match=f"{name} holds torch.int32"):
        load(base, saved)
    save_file({**tensors, "other.A": torch.ones(2)}, saved / "adapter.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.A should hold nothing, but holds \(2,\)"):
        load(base, saved)


def test_wrong_arguments_are_named(base, saved):
    tuned = attach(base, LoRA(rank=2))
    for wrong in (None, "model", torch.nn.Linear(2, 2), tuned):
        with pytest.raises(ValueError, match=f"model must be a MiniLM, not {type(wrong).__name__}"):
            load(wrong, saved)
    for wrong in (None, 3, b"folder", ""):
        with pytest.raises(ValueError, match="folder must be"):
            load(base, wrong)
        with pytest.raises(ValueError, match="folder must be"):
            tuned.save(wrong)


def test_an_adapter_goes_beside_the_readers_files_and_not_over_a_model(base, tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "thesis").write_text("years")
    tuned = attach(base, LoRA(rank=2))
    tuned.save(tmp_path / "a")
    assert (tmp_path / "a" / "deep" / "thesis").read_text() == "years"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "adapter.json").write_text("of the reader")
    for name in ("a", "b"):
        if name == "a":
            (tmp_path / "a" / "adapter.json").write_text("changed by the reader")
        with pytest.raises(SaveError, match=r"adapter\.json was not written by minilm, or was changed since"):
            tuned.save(tmp_path / name)
    with pytest.raises(SaveError, match="it is a file"):
        tuned.save(tmp_path / "a" / "deep" / "thesis")
