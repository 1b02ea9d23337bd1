"""Every tuning method on two tasks of the story world, beside the untuned base and few-shot prompting; three seeds.

    triples      facts to text: loss on held-out targets, share of the facts told, loss on ordinary stories afterwards
    sentiment    did the story end well, asked of its whole text: loss, share of stories whose true label is the likelier;
                 a label is a word that the base knows from its stories, "happy" or "sad"

Methods that have a size store about as much as LoRA of rank 4 on query and value. A seed decides the method's first weights,
the order of the examples, and which examples there are. `python benchmarks/tuning_tasks.py` writes `results/tuning_tasks.csv`
and `.md`; `--sweep` tries three learning rates a method on one seed of the dev split instead.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minilm import BPETokenizer, complete, datasets, load_pretrained, train
from minilm.datasets import SENTIMENTS, Record
from minilm.evaluation.perplexity import mean_loss, token_losses
from minilm.generation.few_shot import few_shot_prompt
from minilm.objectives import Completions, Documents
from minilm.tuning import (
    MAM,
    Adapter,
    BitFit,
    FullFineTuning,
    LoRA,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    attach,
)

RESULTS = Path(__file__).with_name("results")
SEEDS = (0, 1, 2)
N_TRAIN, N_TEST, BATCH_SIZE = 1200, 48, 8
STEPS = {"triples": 1200, "sentiment": 400}
"""Task -> steps of training."""
ROOM = {"triples": 60, "sentiment": 8}
"""Task -> tokens that a model may write."""
DIALS = {"triples": {"facts": 2, "unseen": ()}, "sentiment": {}}
"""Task -> how hard it is."""
WORDS = {"negative": "sad", "positive": "happy"}
"""Label -> the word that says it."""

METHODS: dict[str, tuple[Method, float]] = {
    "fine-tuning": (FullFineTuning(), 3e-3),
    "bitfit": (BitFit(), 1e-2),
    "prompt": (Prompt(8), 1e-1),
    "prefix": (Prefix(8, hidden=128), 1e-2),
    "adapter": (Adapter(8), 1e-2),
    "parallel-adapter": (ParallelAdapter(8), 3e-2),
    "lora": (LoRA(4), 2e-2),
    "mam": (MAM(4, 4, 1.0, hidden=128), 2e-2),
}
"""Method and learning rate; `--sweep` tries others."""

FIELDS = ("task", "method", "seed", "stored", "loss", "right", "stories")


@dataclass
class Bench:
    """One task with one seed: its examples, and how a model is judged."""

    task: str
    seed: int
    tokenizer: BPETokenizer
    split: str = "test"

    def __post_init__(self) -> None:
        name, dials = f"storyworld-{self.task}", {"seed": self.seed, **DIALS[self.task]}
        self.train: list[Record] = datasets.load(name, "train", n=N_TRAIN, **dials)
        self.test: list[Record] = datasets.load(name, self.split, n=N_TEST, **dials)

    def encode(self, record: Record) -> tuple[list[int], list[int]]:
        """Ids of prompt and target."""
        end, encode = self.tokenizer.end_of_text, self.tokenizer.encode
        target = WORDS.get(record.target, record.target)
        return [end, *encode(f"{record.prompt} =")], [*encode(f" {target}"), end]

    def loss(self, model, prompts: Sequence[list[int]] | None = None) -> float:
        """On the test targets, in nats per token, after these prompts or their own."""
        examples = [self.encode(record) for record in self.test]
        if prompts:
            examples = [(prompt, target) for prompt, (_, target) in zip(prompts, examples, strict=True)]
        return mean_loss(model, Completions(examples, 16, model.window).in_order())

    def right(self, model, prompts: Sequence[list[int]] | None = None) -> float:
        """Share of facts told in what the model writes, or of stories whose true label it holds for the likelier."""
        prompts = prompts or [self.encode(record)[0] for record in self.test]
        marks = self.facts_told(model, prompts) if self.task == "triples" else self.labels_met(model, prompts)
        return statistics.mean(marks)

    def facts_told(self, model, prompts: Sequence[list[int]]) -> list[bool]:
        """For each fact whether the text has its object."""
        texts = complete(model, prompts, ROOM[self.task], stop_token=self.tokenizer.end_of_text)
        return [
            triple.object in self.tokenizer.decode(text)
            for record, text in zip(self.test, texts, strict=True)
            for triple in record.triples
        ]

    def labels_met(self, model, prompts: Sequence[list[int]]) -> list[bool]:
        """For each story whether its label is the likelier of the two."""
        surprise = torch.stack([self.surprise(model, prompts, WORDS[each]) for each in SENTIMENTS])  # (2, N)
        truth = torch.tensor([SENTIMENTS.index(record.target) for record in self.test])
        return (surprise.argmin(dim=0) == truth).tolist()

    @torch.no_grad()
    def surprise(self, model, prompts: Sequence[list[int]], word: str) -> Tensor:
        """(N,) -log P(word | prompt) in nats."""
        target = [*self.tokenizer.encode(f" {word}"), self.tokenizer.end_of_text]
        batches = Completions([(prompt, target) for prompt in prompts], 16, model.window).in_order()
        return torch.cat([token_losses(model, batch.tokens, batch.targets).sum(dim=1) for batch in batches])

    def few_shot(self, window: int) -> list[list[int]]:
        """The test prompts behind as many solved examples as fit beside the longest answer."""
        solved = [(prompt, target[:-1]) for prompt, target in map(self.encode, self.train[:20])]
        room = window - max(ROOM[self.task], *(len(self.encode(record)[1]) for record in self.test))
        return [few_shot_prompt(solved, self.encode(record)[0], (), room) for record in self.test]


def tune(base, bench: Bench, method: Method, learning_rate: float):
    """A tuned model after the task's `STEPS`."""
    torch.manual_seed(bench.seed)
    steps = STEPS[bench.task]
    tuned = attach(base, method)
    examples = [bench.encode(record) for record in bench.train]
    config = method.recipe(
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=steps // 10,
        label_smoothing=0.0,
        seed=bench.seed,
        device="cpu",
    )
    train(tuned, Completions(examples, BATCH_SIZE, tuned.window, bench.seed), config, progress=False)
    return tuned


def rows(base, tokenizer: BPETokenizer, stories: Tensor) -> Iterator[dict]:
    """One for each task, seed and method, as they are measured."""
    for seed in SEEDS:
        for task in ROOM:
            bench = Bench(task, seed, tokenizer)
            shots = bench.few_shot(base.window)
            about = {"task": task, "seed": seed, "stored": 0, "stories": mean_loss(base, [stories])}
            yield {**about, "method": "untuned", "loss": bench.loss(base), "right": bench.right(base)}
            yield {
                **about,
                "method": "few-shot",
                "loss": bench.loss(base, shots),
                "right": bench.right(base, shots),
            }
            for name, (method, rate) in METHODS.items():
                tuned = tune(base, bench, method, rate)
                yield {
                    **about,
                    "method": name,
                    "stored": tuned.count().stored,
                    "loss": bench.loss(tuned),
                    "right": bench.right(tuned),
                    "stories": mean_loss(tuned, [stories]),
                }
                tuned.detach()


def summary(measured: Sequence[dict]) -> str:
    """A Markdown table for each task: mean and standard deviation over seeds."""
    lines = [
        "# Tuning methods on two tasks of the story world",
        "",
        f"Mean and standard deviation over {len(SEEDS)} seeds. Training: batches of {BATCH_SIZE} examples out of {N_TRAIN};",
        f"test: {N_TEST} others. Written by `benchmarks/tuning_tasks.py` with the bundled checkpoint.",
        "Losses are in nats per token; `stories` is the loss on ordinary stories afterwards: what was forgotten.",
    ]
    for task, right in {"triples": "facts told", "sentiment": "right answers"}.items():
        lines += [
            "",
            f"## {task}, {STEPS[task]:,} steps",
            "",
            f"| method | stored | loss | {right} | stories |",
            "|---|---|---|---|---|",
        ]
        for method in ("untuned", "few-shot", *METHODS):
            ours = [row for row in measured if (row["task"], row["method"]) == (task, method)]
            loss, share, stories = (
                spread([row[key] for row in ours]) for key in ("loss", "right", "stories")
            )
            lines.append(f"| {method} | {ours[0]['stored']:,} | {loss} | {share} | {stories} |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def sweep(base, tokenizer: BPETokenizer) -> None:
    """Three rates for each method, one seed of the dev split of the first task."""
    bench = Bench("triples", 0, tokenizer, split="dev")
    for name, (method, rate) in METHODS.items():
        for factor in (0.3, 1.0, 3.0):
            tuned = tune(base, bench, method, factor * rate)
            print(f"{name:<18} rate {factor * rate:<8.2g} loss {bench.loss(tuned):.3f}", flush=True)
            tuned.detach()


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", action="store_true", help="try learning rates; write nothing")
    base, tokenizer = load_pretrained("storyworld")
    if parser.parse_args().sweep:
        return sweep(base, tokenizer)
    documents = [tokenizer.encode(text) for text in datasets.load("storyworld", "test", n=24)]
    stories = Documents(documents, tokenizer.end_of_text, base.window // 2, 24).batch(0)
    measured = []
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "tuning_tasks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows(base, tokenizer, stories):
            measured.append(row)
            writer.writerow(
                {key: round(each, 4) if isinstance(each, float) else each for key, each in row.items()}
            )
            file.flush()
            print(*row.values(), flush=True)
    (RESULTS / "tuning_tasks.md").write_text(summary(measured), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
