"""What digests, manifests and checks cost: saving and loading beside the same without them, in turn, in one run.

    python benchmarks/saving.py [FOLDER]

The plain way is the one without them: a draft folder of safetensors and JSON, each file flushed to the disk, renamed over
the old one; and for loading, a model with its weights drawn at random first. Times are medians of the wall clock, in
milliseconds; FOLDER decides which disk is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import load_file, save_file

from minilm import BPETokenizer, MiniLM, ModelConfig, load_pretrained, save_pretrained
from minilm.checkpoints.gpt2_layout import (
    config_from_gpt2,
    config_to_gpt2,
    weights_from_gpt2,
    weights_to_gpt2,
)
from minilm.checkpoints.tensors import read_tensors, write_tensors
from minilm.tuning import LoRA, TunedModel, attach, load
from minilm.tuning.loading import restored
from minilm.tuning.saved_settings import method_from
from minilm.tuning.saving import description, fingerprint

ROUNDS = 31


def flush(path: Path) -> None:
    """Wait for the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def replace_folder(draft: Path, folder: Path) -> None:
    """Put a draft in the place of a folder."""
    for file in draft.iterdir():
        flush(file)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(draft, folder)


def plain_save_model(folder: Path, model: MiniLM, tokenizer: BPETokenizer) -> None:
    """Weights, shape and tokenizer, and nothing that tells damage."""
    draft = folder.with_name("draft")
    draft.mkdir()
    (draft / "config.json").write_text(json.dumps(config_to_gpt2(model.config), indent=2))
    save_file(weights_to_gpt2(model.state_dict(), model.config.n_layer), draft / "model.safetensors")
    (draft / "tokenizer.json").write_bytes(tokenizer.to_bytes())
    replace_folder(draft, folder)


def plain_load_model(folder: Path) -> MiniLM:
    """The same, believed as it stands."""
    config = config_from_gpt2(json.loads((folder / "config.json").read_text()))
    model = MiniLM(config)
    model.load_state_dict(weights_from_gpt2(load_file(folder / "model.safetensors"), config.n_layer))
    BPETokenizer.load(folder / "tokenizer.json")
    return model.eval()


def plain_save_adapter(folder: Path, tuned: TunedModel) -> None:
    """Settings and tensors."""
    draft = folder.with_name("draft")
    draft.mkdir()
    (draft / "adapter.json").write_text(json.dumps(description(tuned), indent=2))
    stored = tuned.attachments["lora"].stored()
    save_file(
        {f"lora.{name}": tensor.detach() for name, tensor in stored.items()}, draft / "adapter.safetensors"
    )
    replace_folder(draft, folder)


def plain_load_adapter(folder: Path, base: MiniLM) -> None:
    """The base is compared, as it always was."""
    about = json.loads((folder / "adapter.json").read_text())
    assert about["base"]["fingerprint"] == fingerprint(base)
    methods = {name: method_from(entry) for name, entry in about["methods"].items()}
    restored(base, methods, load_file(folder / "adapter.safetensors")).detach()


def plain_save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """One file, flushed and renamed."""
    save_file(tensors, path.with_name("draft"), metadata={"minilm": "{}"})
    flush(path.with_name("draft"))
    os.replace(path.with_name("draft"), path)


def compare(name: str, plain: Callable[[], object], ours: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Run both in turn and print the medians."""
    times: dict[Callable[[], object], list[float]] = {plain: [], ours: []}
    for number in range(rounds + 2):
        for work in (plain, ours) if number % 2 else (ours, plain):
            start = time.perf_counter()
            work()
            times[work].append(time.perf_counter() - start)
    before, after = (1000 * median(each[2:]) for each in times.values())
    print(f"{name:<34} {before:9.2f} {after:9.2f} {after / before:8.2f}", flush=True)


def measure(folder: Path, label: str, model: MiniLM, tokenizer: BPETokenizer, rounds: int) -> None:
    """All comparisons for one base."""
    tuned = attach(model, LoRA())
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    plain, ours = folder / "plain", folder / "ours"

    def row(name: str, before: Callable[[], object], after: Callable[[], object]) -> None:
        compare(f"{label}: {name}", before, after, rounds)

    row(
        "save a model",
        lambda: plain_save_model(plain, model, tokenizer),
        lambda: save_pretrained(ours, model, tokenizer),
    )
    row("load a model", lambda: plain_load_model(plain), lambda: load_pretrained(ours))
    shutil.rmtree(ours)
    row("save a LoRA", lambda: plain_save_adapter(plain, tuned), lambda: tuned.save(ours))
    tuned.detach()
    row("load a LoRA", lambda: plain_load_adapter(plain, model), lambda: load(model, ours).detach())
    row(
        "save a checkpoint",
        lambda: plain_save_tensors(folder / "plain.safetensors", state),
        lambda: write_tensors(folder / "ours.safetensors", state, {}),
    )
    row(
        "load a checkpoint",
        lambda: {name: each.clone() for name, each in load_file(folder / "plain.safetensors").items()},
        lambda: {name: each.clone() for name, each in read_tensors(folder / "ours.safetensors")[0].items()},
    )


def main() -> None:
    """Compare for the bundled model and for one of 12 million parameters."""
    torch.set_num_threads(1)
    bundled, tokenizer = load_pretrained("storyworld")
    larger = MiniLM(ModelConfig.preset("base", vocab_size=tokenizer.vocab_size)).eval()
    print(f"{'':<34} {'plain':>9} {'checked':>9} {'ratio':>8}")
    for label, model, rounds in (("0.5 M", bundled, ROUNDS), ("11 M", larger, ROUNDS // 3)):
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            measure(Path(folder), label, model, tokenizer, rounds)


if __name__ == "__main__":
    main()
