"""Text of any size in bounded memory: speed and memory of learning a tokenizer, encoding, reading windows and the yardstick.

The text is made here, by a law of Zipf and Mandelbrot, so that new words never stop coming, as in real text: 450,000 different
ones in the first 100 MB. Every stage of every size runs in a process of its own, which tells by how much its memory grew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from minilm.evaluation.ngram import NGramModel
from minilm.objectives import NextToken
from minilm.text.sharding import write_shards
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import BPETokenizer

RESULTS = Path(__file__).parent / "results" / "large_text.json"
SYLLABLES = [
    c + v
    for c in ["b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "th", "st"]
    for v in "aeiou"
]
ODD = ["é", "ß", "ø", "日本", "語", " 🙂", "’s", "€"]
TAIL, FIRST = 0.45, 15.0
"""The word of rank r or beyond has a share of (1 + r / FIRST) ** -TAIL."""
WORDS = 100_000
"""Words made at a time."""


def word(rank: int) -> str:
    """The word of a rank: its digits to the base 75, as syllables."""
    digits = []
    rank += 40
    while rank:
        rank, digit = divmod(rank, 75)
        digits.append(SYLLABLES[digit])
    return "".join(digits)


def sentences(seed: int) -> Iterator[str]:
    """Text without end, a hundred thousand words at a time."""
    generator = np.random.default_rng(seed)
    while True:
        ranks = np.minimum(FIRST * (generator.random(WORDS) ** (-1 / TAIL) - 1), 1e12).astype(np.int64)
        marks = generator.random(WORDS)
        yield " ".join(map(marked, ranks.tolist(), marks.tolist())) + "\n"


def marked(rank: int, mark: float) -> str:
    """A word, followed by a mark, another sentence or paragraph, or one of the characters that are not ASCII; or a number."""
    text = word(rank)
    if mark < 0.10:
        return text + ","
    if mark < 0.17:
        return f"{text}. The" if mark < 0.16 else f"{text}.\n\n{text.capitalize()}"
    if mark < 0.19:
        return str(rank % 3000)
    return text + ("'s" if mark < 0.21 else ODD[rank % len(ODD)] if mark < 0.24 else "")


def write_text(path: Path, megabytes: int, seed: int = 0) -> None:
    """A file of generated text."""
    with path.open("wb") as file:
        for text in sentences(seed):
            file.write(text.encode())
            if file.tell() >= megabytes * 1_000_000:
                return


def learn(text: Path, folder: Path, vocab_size: int) -> None:
    """The tokenizer of the whole text."""
    BPETokenizer.train(text, vocab_size).save(folder / "tokenizer.json")


def encode(text: Path, folder: Path, vocab_size: int) -> None:
    """The shards of the whole text."""
    write_shards(text, folder / "shards", BPETokenizer.load(folder / "tokenizer.json"), progress=False)


def read(text: Path, folder: Path, vocab_size: int) -> None:
    """The shards checked, then 1,000 batches of 32 windows of 256 tokens."""
    batches = NextToken(TokenShards(folder / "shards"), 256, 32)
    for index in range(1000):
        batches.batch(index)


def count(text: Path, folder: Path, vocab_size: int) -> None:
    """The 5-gram yardstick."""
    NGramModel(TokenShards(folder / "shards", check=False), vocab_size)


STAGES: dict[str, Callable[[Path, Path, int], None]] = {
    "learn": learn,
    "encode": encode,
    "read": read,
    "count": count,
}


def measure(stage: str, text: Path, folder: Path, vocab_size: int) -> dict[str, float | str]:
    """One stage, in this process: seconds, seconds of the processor, MB a second of these, growth of the peak memory in MB."""
    before, began, busy = peak(), time.perf_counter(), time.process_time()
    STAGES[stage](text, folder, vocab_size)
    cpu = time.process_time() - busy
    return {
        "stage": stage,
        "text MB": round(text.stat().st_size / 1e6),
        "seconds": round(time.perf_counter() - began, 1),
        "CPU seconds": round(cpu, 1),
        "MB per CPU second": round(text.stat().st_size / 1e6 / cpu, 2),
        "memory growth MB": round(peak() - before),
        "memory before MB": round(before),
    }


def peak() -> float:
    """Most memory that this process has held, in MB; Linux counts in units of 1,024 bytes, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0].partition(": ")[2] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
        "load while measuring": round(os.getloadavg()[2], 1),
    }


def main() -> None:
    """Measure every stage of every size, print a line each, and save them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--stage", nargs=3, metavar=("STAGE", "TEXT", "FOLDER"), help="for one process")
    options = parser.parse_args()
    if options.stage:
        stage, text, folder = options.stage
        print(json.dumps(measure(stage, Path(text), Path(folder), options.vocab_size)))
        return
    rows = []
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "text.txt"
            write_text(text, megabytes)
            for stage in STAGES:
                arguments = ["--vocab-size", str(options.vocab_size), "--stage", stage, str(text), folder]
                done = subprocess.run(
                    [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
                )
                rows.append(json.loads(done.stdout.splitlines()[-1]))
                print(*(f"{name} {value}" for name, value in rows[-1].items()), sep="   ", flush=True)
    if options.save:
        command = f"python benchmarks/large_text.py {' '.join(sys.argv[1:])}"
        content = {"command": command, "machine": machine(), "vocab_size": options.vocab_size, "rows": rows}
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
