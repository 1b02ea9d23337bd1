"""Run by `test_kills`, in a process of its own: saves that are killed, and what is found afterwards.

    python killed_saves.py FOLDER every-step | any-moment | two-savers

A child process saves and is killed; this process loads. What it prints is JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from minilm import BPETokenizer, MiniLM, ModelConfig, load_pretrained, save_pretrained
from minilm.checkpoints.tensors import read_tensors, write_tensors
from minilm.tuning import LoRA, attach, load

torch.set_num_threads(1)
os.fsync = lambda descriptor: (
    None
)  # a killed process loses nothing that it has written; only a power cut would
WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.scandir", "os.listdir"}
"""What a save does to the file system, as Python's audit events name it; each is told before it is done."""
TOKENIZERS = {
    "old": BPETokenizer.train(["the cat sat on the mat"] * 3, vocab_size=262),
    "new": BPETokenizer.train(["a dog ran to the door"] * 3, vocab_size=262),
}


def model(version: str) -> MiniLM:
    """A model whose weights all say which version it is."""
    made = MiniLM(ModelConfig(vocab_size=262, context_length=8, n_layer=1, n_head=1, d_model=8))
    torch.nn.init.constant_(made.final_norm.bias, {"old": 1.0, "new": 2.0}[version])
    return made


MODELS = {version: model(version) for version in ("old", "new")}
BASE = MODELS["old"]


def save_model(folder: Path, version: str) -> None:
    save_pretrained(folder / "m", MODELS[version], TOKENIZERS[version], card=version)


def load_model(folder: Path) -> str:
    loaded, tokenizer = load_pretrained(folder / "m")
    version = {1.0: "old", 2.0: "new"}[loaded.final_norm.bias[0].item()]
    assert tokenizer.merges[0].left == TOKENIZERS[version].merges[0].left, "a mixture"
    return version


def load_model_and_card(folder: Path) -> str:
    """Nobody may save meanwhile: the card is read after the model."""
    version = load_model(folder)
    assert (folder / "m" / "README.md").read_text() == version, "another version's card"
    return version


def save_adapter(folder: Path, version: str) -> None:
    tuned = attach(BASE, LoRA(rank={"old": 1, "new": 2}[version]))
    tuned.save(folder / "m")
    tuned.detach()


def load_adapter(folder: Path) -> str:
    tuned = load(BASE, folder / "m")
    rank = tuned.methods["lora"].rank
    tuned.detach()
    return {1: "old", 2: "new"}[rank]


def save_tokenizer(folder: Path, version: str) -> None:
    TOKENIZERS[version].save(folder / "t.json")


def load_tokenizer(folder: Path) -> str:
    merges = BPETokenizer.load(folder / "t.json").merges
    return next(name for name, each in TOKENIZERS.items() if each.merges[0].left == merges[0].left)


def save_checkpoint(folder: Path, version: str) -> None:
    write_tensors(
        folder / "c.safetensors", {"w": MODELS[version].final_norm.bias.detach()}, {"version": version}
    )


def load_checkpoint(folder: Path) -> str:
    tensors, metadata = read_tensors(folder / "c.safetensors")
    assert metadata["version"] == {1.0: "old", 2.0: "new"}[tensors["w"][0].item()], "a mixture"
    return metadata["version"]


KINDS: dict[str, tuple[Callable, Callable]] = {
    "model": (save_model, load_model_and_card),
    "adapter": (save_adapter, load_adapter),
    "tokenizer": (save_tokenizer, load_tokenizer),
    "checkpoint": (save_checkpoint, load_checkpoint),
}


def killed(work: Callable[[], None], step: int) -> bool:
    """Let a child do the work and kill it before its given step; False if it had fewer."""
    child = os.fork()
    if child == 0:
        count = 0

        def die_in_time(event: str, _: tuple) -> None:
            nonlocal count
            if event in WATCHED:
                count += 1
                if count > step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die_in_time)
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def look(folder: Path, load_it: Callable[[Path], str], found: Counter) -> None:
    """Load, and note what came."""
    try:
        found[load_it(folder)] += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        found[f"{type(error).__name__}: {error}"] += 1


def every_step(folder: Path) -> dict[str, object]:
    """Kill before each thing that a save does to the file system, over an old version; then save again."""
    found, kills, left = Counter(), Counter(), []
    for kind, (save, load_it) in KINDS.items():
        place = folder / kind
        (place / "m").mkdir(parents=True)
        (place / "m" / "thesis.txt").write_text("years")
        save(place, "old")
        for step in range(200):
            if not killed(lambda save=save, place=place: save(place, "new"), step):
                break
            kills[kind] += 1
            look(place, load_it, found)
            save(place, "old")
            assert (place / "m" / "thesis.txt").read_text() == "years"
        left += [str(path) for path in place.rglob(".*")]
    return {"found": found, "kills": kills, "left": left}


def any_moment(folder: Path) -> dict[str, object]:
    """Kill at moments that nothing has chosen, while a child overwrites without pause."""
    found, kills, left = Counter(), Counter(), []
    chance = random.Random(1)
    for kind, (save, load_it) in KINDS.items():
        place = folder / kind
        place.mkdir()
        save(place, "old")
        for _ in range(20):
            child = os.fork()
            if child == 0:
                while True:
                    save(place, "new")
                    save(place, "old")
            time.sleep(chance.uniform(0.002, 0.04))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills[kind] += 1
            look(place, load_it, found)
        save(place, "old")
        left += [str(path) for path in place.rglob(".*")]
    return {"found": found, "kills": kills, "left": left}


def two_savers(folder: Path) -> dict[str, object]:
    """Two processes overwrite one folder while a third, this one, reads it."""
    found, children = Counter(), []
    save_model(folder, "old")
    for version in ("old", "new"):
        if (child := os.fork()) == 0:
            for _ in range(25):
                save_model(folder, version)
            os._exit(0)
        children.append(child)
    for _ in range(60):
        look(folder, load_model, found)
    codes = [os.waitpid(child, 0)[1] for child in children]
    return {"found": found, "codes": codes, "left": [str(path) for path in folder.rglob(".*")]}


if __name__ == "__main__":
    task = {"every-step": every_step, "any-moment": any_moment, "two-savers": two_savers}[sys.argv[2]]
    print(json.dumps(task(Path(sys.argv[1]))))
