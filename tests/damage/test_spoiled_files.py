"""2,600 spoiled files that no digest protects: the right answer or one clear error, in bounded memory, without a hang."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from mutations import spoiler_of
from safetensors.torch import load_file, save_file
from saved_things import Saved, base_model, put, save_all, tokenizer

from minilm import BPETokenizer
from minilm.system.digests import SEAL
from minilm.system.errors import CheckpointError
from minilm.system.manifest import MANIFEST
from minilm.tuning import MAM, Auxiliary, Prompt, Side, TunedModel, attach, load

CASES = 2600
SECONDS = 10
"""Longer than this is a hang."""
MEGABYTES = 300
"""That all cases together may add to the memory of the process."""
TOKENS = torch.tensor([[1, 5, 9, 200]])


@pytest.fixture(scope="module")
def unprotected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saved]:
    """One of everything without digests, as other programs and older versions of minilm write it; and more methods."""
    folder, base = tmp_path_factory.mktemp("saved"), base_model()
    things = save_all(folder, base)
    methods = {"auxiliary": Auxiliary(4, 1, 2), "side": Side(4, 1, 2), "mam": MAM(2, 2, hidden=4)}
    for name, method in {**methods, "prompt": Prompt(2, (5, 6))}.items():
        tuned = attach(base, method)
        tuned.save(folder / name)
        tuned.detach()
        things[name] = Saved(folder / name, lambda name=name: load(base, folder / name), ())
    return {name: without_digests(thing) for name, thing in things.items()}


def without_digests(thing: Saved) -> Saved:
    """The same thing, its manifest and its seals taken away."""
    files = sorted(thing.place.iterdir()) if thing.place.is_dir() else [thing.place]
    for path in files:
        if path.name == MANIFEST:
            path.unlink()
        elif path.suffix == ".json":
            content = json.loads(path.read_bytes())
            content.get("decoder", {}).pop(SEAL, None)
            path.write_text(json.dumps(content))
        elif path.name == "run.safetensors":
            save_file(load_file(path), path, metadata={"minilm": json.dumps({"step": 7})})
    return Saved(thing.place, thing.load, tuple(path for path in files if path.name != MANIFEST))


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail instead of waiting."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def what_happens(thing: Saved, path: Path) -> str:
    """ "refused", "right", or what is wrong."""
    try:
        with no_hang():
            loaded = thing.load()
    except (CheckpointError, FileNotFoundError) as error:
        return "refused" if str(thing.place) in str(error) else f"without the file's name: {error}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        return f"raw {type(error).__name__}: {error}"
    try:
        return wrong_in(loaded, path) or "right"
    finally:
        if isinstance(loaded, TunedModel) and loaded._base:
            loaded.detach()


def wrong_in(loaded: Any, path: Path) -> str:
    """What is wrong with something that was loaded from a spoiled file; "" if nothing is."""
    if isinstance(loaded, BPETokenizer):
        return wrong_in_tokenizer(loaded, path)
    if isinstance(loaded, TunedModel):
        return wrong_in_adapter(loaded, path)
    first, second = loaded
    if isinstance(second, BPETokenizer):
        return wrong_in_model(first, path) or wrong_in_tokenizer(second, path.with_name("tokenizer.json"))
    theirs = load_file(path)
    return "" if all(torch.equal(theirs[name], tensor) for name, tensor in first.items()) else "other tensors"


def wrong_in_model(model: torch.nn.Module, path: Path) -> str:
    """Its weights are those in the file, whatever else was changed."""
    theirs = load_file(path.with_name("model.safetensors"))
    for name in ("wte.weight", "h.1.ln_2.bias", "ln_f.weight"):
        ours = {
            "wte.weight": model.token_embedding.weight,
            "h.1.ln_2.bias": model.blocks[1].mlp_norm.bias,
            "ln_f.weight": model.final_norm.weight,
        }[name]
        stored = theirs.get(f"transformer.{name}", theirs.get(name))
        if not torch.equal(stored.float(), ours):
            return f"{name} is not what the file holds"
    return "" if model(TOKENS).logits.shape == (1, 4, 262) else "it does not run"


def wrong_in_adapter(tuned: TunedModel, path: Path) -> str:
    """What it would save is what the file holds; `peft`'s files are laid out otherwise."""
    file = path.with_name("adapter.safetensors")
    stored = {
        f"{name}.{key}": tensor
        for name, attachment in tuned.attachments.items()
        for key, tensor in attachment.stored().items()
    }
    if not file.exists():
        return ""
    theirs = load_file(file)
    same = stored.keys() == theirs.keys() and all(torch.equal(theirs[k].float(), stored[k]) for k in stored)
    return "" if same else "other tensors than the file holds"


def wrong_in_tokenizer(ours: BPETokenizer, path: Path) -> str:
    """The reference reads the file the same way; what it refuses is not compared."""
    tokenizers = pytest.importorskip("tokenizers")
    try:
        theirs = tokenizers.Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - a library in Rust raises that very class
        return ""
    for text in ("the cat sat on the mat", "dog<|endoftext|> the  \n☃"):
        if theirs.encode(text, add_special_tokens=False).ids != ours.encode(text):
            return f"other ids for {text!r}"
    return ""


def peak() -> int:
    """Most memory so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_spoiled_files(unprotected: dict[str, Saved]) -> None:
    random, found, before = Random(2024), {}, peak()
    for number in range(CASES):
        name = sorted(unprotected)[number % len(unprotected)]
        thing = unprotected[name]
        path = random.choice(thing.files)
        good = path.read_bytes()
        put(path, spoiler_of(path.name)(good, random))
        found[f"{number}: {name}/{path.name}"] = what_happens(thing, path)
        put(path, good)
    assert {case: what for case, what in found.items() if what not in ("refused", "right")} == {}
    assert peak() - before < MEGABYTES
    assert len(set(found.values())) == 2  # some were harmless


def test_the_fixture_itself_loads(unprotected: dict[str, Saved]) -> None:
    for thing in unprotected.values():
        assert what_happens(thing, thing.files[-1]) == "right", thing.place
    assert tokenizer().vocab_size == 262
