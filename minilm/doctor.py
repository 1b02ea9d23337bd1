"""What this machine offers to the course, and what to do where it falls short: the facts behind `minilm doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from minilm.checkpoints.folders import load_pretrained
from minilm.checkpoints.tensors import CheckpointError
from minilm.system.devices import has_fast_bfloat16, resolve_device
from minilm.system.disk import free_space
from minilm.system.paths import BUNDLED, cache_folder, mirror_folder

PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest Python that the course is tested with."""
OLDEST_TORCH = (2, 9)
CORES, MEMORY, FREE_MEMORY, DISK = 2, 4.0, 2.0, 2.0
"""What the lessons are sized for: CPU cores, GiB of memory, of free memory, of free disk."""
REFERENCES = ("transformers", "tokenizers", "peft")
JUPYTER = ("jupyterlab", "ipywidgets", "matplotlib", "pandas")


class Fact(NamedTuple):
    """One thing that was looked at."""

    name: str
    """What it is."""
    value: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty where all is well."""

    def line(self, width: int) -> str:
        """The fact on a line, its name padded to `width`; advice follows on a line of its own."""
        mark, advice = ("!", f"\n{'':<{width + 4}}{self.advice}") if self.advice else ("✓", "")
        return f"{mark} {self.name:<{width}}  {self.value}{advice}"


def examine() -> list[Fact]:
    """All facts, in the order in which a person reads them; none raises, whatever the machine lacks."""
    return [look() for look in LOOKS]


def report() -> str:
    """The facts as lines of text, each advice on a line of its own."""
    facts = examine()
    width = max(len(fact.name) for fact in facts)
    return "\n".join(fact.line(width) for fact in facts)


def python() -> Fact:
    """Version of the running Python."""
    oldest, newest = (".".join(map(str, version)) for version in PYTHONS)
    fits = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    advice = (
        "" if fits else f"use Python {oldest} to {newest}: make clean, then make lab PYTHON=python{newest}"
    )
    return Fact("Python", platform.python_version(), advice)


def pytorch() -> Fact:
    """Version of torch, its build included."""
    release = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    advice = "" if release >= OLDEST_TORCH else "make lab installs the pinned one"
    return Fact("PyTorch", torch.__version__, advice)


def device() -> Fact:
    """Where models will live, and whether bfloat16 is fast there."""
    best = resolve_device()
    name = _cuda_name() if best.type == "cuda" else {"mps": "Apple GPU (mps)", "cpu": "CPU"}[best.type]
    return Fact(
        "device", name + (", fast bfloat16" if has_fast_bfloat16(best) else ""), _driver_advice(best.type)
    )


def cores() -> Fact:
    """CPU cores that this process may use, and torch's threads on them."""
    count, threads = _usable_cores(), torch.get_num_threads()
    advice = (
        "" if count >= CORES else f"the lessons' minutes are for {CORES} cores; expect about twice as many"
    )
    if threads > count:
        advice = f"more threads than cores slow each other down: set OMP_NUM_THREADS={count}"
    return Fact("CPU cores", f"{count} ({threads} threads)", advice)


def memory() -> Fact:
    """Physical memory in GiB, and how much of it is free, where the system tells."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, some systems not these names
        return Fact("memory", "unknown")
    free = _free_memory()
    advice = "" if size >= MEMORY else f"the lessons need {MEMORY:.0f} GiB"
    if free is not None and free < FREE_MEMORY:
        advice = f"close other programs: a lesson takes up to {FREE_MEMORY:.0f} GiB"
    return Fact("memory", f"{size:.0f} GiB" + ("" if free is None else f", {free:.0f} GiB free"), advice)


def disk() -> Fact:
    """Free space on the disk that holds the course, in GiB."""
    free = free_space(Path(__file__).parent) / 2**30
    return Fact(
        "free disk",
        f"{free:.0f} GiB",
        "" if free >= DISK else f"free {DISK:.0f} GiB for checkpoints and data",
    )


def cache() -> Fact:
    """Where downloads and the tokens of large texts are kept, and the space left there."""
    folder = cache_folder()
    free = free_space(folder) / 2**30
    advice = f"free {DISK:.0f} GiB there, or name another folder in MINILM_CACHE"
    return Fact("cache", f"{folder}, {free:.0f} GiB free", "" if free >= DISK else advice)


def checkpoint() -> Fact:
    """Whether the bundled model is there and opens."""
    try:
        model, tokenizer = load_pretrained("storyworld")
    except (FileNotFoundError, CheckpointError) as error:
        found = "absent" if isinstance(error, FileNotFoundError) else "damaged"
        return Fact("bundled model", found, f"restore it: git checkout -- {BUNDLED.name}/storyworld")
    n_weight = sum(weight.numel() for weight in model.parameters())
    return Fact("bundled model", f"storyworld: {n_weight:,} weights, {tokenizer.vocab_size:,} tokens")


def data() -> Fact:
    """Where public data comes from."""
    mirror = mirror_folder()
    if mirror is None:
        return Fact("public data", "downloaded once, on first use")
    advice = (
        "" if mirror.is_dir() else "MINILM_DATA does not name a folder: correct it, or unset it to download"
    )
    return Fact("public data", "offline mirror (MINILM_DATA)", advice)


def reference_libraries() -> Fact:
    """The libraries that minilm is proven against."""
    return Fact("reference libraries", *_versions(REFERENCES))


def notebooks() -> Fact:
    """What the lessons are read with."""
    return Fact("notebooks", *_versions(JUPYTER))


LOOKS: tuple[Callable[[], Fact], ...] = (
    python,
    pytorch,
    device,
    cores,
    memory,
    disk,
    cache,
    checkpoint,
    data,
    reference_libraries,
    notebooks,
)


def _versions(names: tuple[str, ...]) -> tuple[str, str]:
    """The versions of installed distributions, read without importing them; and what to do about absent ones."""
    there, absent = [], []
    for name in names:
        try:
            there.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    return ", ".join(there) or "none", f"make lab installs {', '.join(absent)}" if absent else ""


def _free_memory() -> float | None:
    """GiB that programs can still have, without what the system only keeps to be quick; None where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 2**20
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # a container may own fewer cores than the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cuda_name() -> str:
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name} (cuda, {properties.total_memory / 2**30:.0f} GiB)"


def _driver_advice(kind: str) -> str:
    """A CUDA build of torch on a machine that shows NVIDIA's tool, but no device, most often lacks a driver."""
    hidden = kind == "cpu" and torch.version.cuda and shutil.which("nvidia-smi")
    return "an NVIDIA card is here, but torch cannot use it: renew its driver" if hidden else ""
