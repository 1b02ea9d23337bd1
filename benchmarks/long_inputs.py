"""What happens as inputs grow: prefixes, inducers and fine-tuning on conversations about one to four stories.

    python benchmarks/long_inputs.py                       the committed results, in a table
    python benchmarks/long_inputs.py sweep                 learning rates, one seed, dev split
    python benchmarks/long_inputs.py run inducer prefix    three seeds each, test split; rows are added to the CSV

Chen et al. (2022) tell that inducer-tuning gains on prefix-tuning as inputs grow, and that Gating falls behind. Here the
document has 1, 2, 3 or 4 stories (165 to 440 tokens with what was asked), and about five questions ask about one of
them, each with all answers before it in sight. One model is tuned on all four lengths, a batch of one length after
the other, and tested on each length by itself. All methods but fine-tuning store the same number of parameters to
within a fifth. The base is the bundled checkpoint, given more positions and trained on with stories in a row and some conversations.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F

from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, datasets, load_pretrained, train
from minilm.checkpoints.folders import save_pretrained
from minilm.datasets import Question, Turn
from minilm.objectives import IGNORE, Batch, Documents, Shuffled
from minilm.storyworld import StoryWorld
from minilm.tuning import FullFineTuning, Inducer, MAMInducer, Method, Prefix, attach

RESULTS = Path(__file__).with_name("results") / "long_inputs.csv"
BASE = Path(__file__).parents[1] / "runs" / "long_inputs_base"
CONTEXT_LENGTH = 512
STORIES = (1, 2, 3, 4)
N_TRAIN, N_TEST, BATCH_SIZE = 4000, 500, 4
"""Questions a length; conversations in a batch."""
SEEDS = (0, 1, 2)

Example = tuple[list[int], list[bool]]
"""A conversation's tokens, and which of them belong to an answer."""

METHODS: dict[str, tuple[Method, float]] = {
    "prefix": (Prefix(16, hidden=128), 1e-2),
    "inducer": (Inducer(2, 2), 3e-2),
    "fine-tuning": (FullFineTuning(), 1e-3),
    "gating": (Inducer.gating_variant(2, 2), 3e-2),
    "adaptive": (Inducer.adaptive(15), 3e-2),
    "extension": (Inducer.extension(2), 3e-2),
    "inducer + LoRA": (Inducer.with_lora(1, 1, query_rank=7), 3e-2),
    "MAM inducer": (MAMInducer(1, 1, query_rank=3, bottleneck=4), 3e-2),
}
"""Method and learning rate."""

SWEEP = {
    "prefix": (3e-3, 1e-2, 3e-2),
    "inducer": (1e-2, 3e-2, 1e-1),
    "fine-tuning": (3e-4, 1e-3, 3e-3),
    "gating": (1e-2, 3e-2, 1e-1),
}
"""Learning rates that `sweep` tries."""


class Conversations:
    """Batches of conversations in which every token of an answer counts, padded on the right."""

    def __init__(self, examples: Sequence[Example], batch_size: int, seed: int = 0):
        self.examples, self.batch_size = examples, batch_size
        self.order = Shuffled(len(examples), seed)

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
        return self.collate([self.examples[each] for each in self.order.batch(index, self.batch_size)])

    def in_order(self) -> list[Batch]:
        """All conversations once."""
        starts = range(0, len(self.examples), self.batch_size)
        return [self.collate(self.examples[start : start + self.batch_size]) for start in starts]

    def collate(self, rows: Sequence[Example]) -> Batch:
        """Some conversations as one batch."""
        width = max(len(ids) for ids, _ in rows) - 1
        tokens = torch.zeros(len(rows), width, dtype=torch.int64)
        targets = torch.full((len(rows), width), IGNORE)
        for row, (ids, asked) in enumerate(rows):
            text = torch.tensor(ids)
            tokens[row, : len(ids) - 1] = text[:-1]
            targets[row, : len(ids) - 1] = text[1:].masked_fill(~torch.tensor(asked[1:]), IGNORE)
        return Batch(tokens, targets)


class ByLength:
    """A batch of each length in turn, so that little is padding."""

    def __init__(self, examples: dict[int, list[Example]], seed: int):
        self.makers = [Conversations(each, BATCH_SIZE, seed) for each in examples.values()]

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
        turn, length = divmod(index, len(self.makers))
        return self.makers[length].batch(turn)


def conversations(tokenizer: BPETokenizer, split: str, n: int, seed: int = 0) -> dict[int, list[Example]]:
    """By the number of stories: the conversations of n questions."""
    found = {}
    for stories in STORIES:
        dials = {"stories": stories, "turns": 6, "history": 6, "seed": seed}
        records = datasets.load("storyworld-questions", split, n=n, **dials)
        last = [one for one, other in pairwise(records) if one.document != other.document]
        found[stories] = [encode(tokenizer, record) for record in last]
    return found


def encode(tokenizer: BPETokenizer, record: Question) -> Example:
    """Document, questions and answers; an answer ends with its new line."""
    turns = [*record.history, Turn(record.question, record.answers)]
    pieces = [(f"<|endoftext|>{record.document}\n", False)]
    for turn in turns:
        pieces += [(f"Q: {turn.question}\nA:", False), (f" {turn.answers[0]}\n", True)]
    encoded = [(id, asked) for text, asked in pieces for id in tokenizer.encode(text)][:CONTEXT_LENGTH]
    return [id for id, _ in encoded], [asked for _, asked in encoded]


def long_base(steps: int = 600) -> tuple[MiniLM, BPETokenizer]:
    """The bundled checkpoint with more positions, trained on with stories in a row; made once and kept."""
    if not BASE.is_dir():
        model, tokenizer = load_pretrained("storyworld")
        longer = MiniLM(ModelConfig(**{**vars(model.config), "context_length": CONTEXT_LENGTH}))
        weights = model.state_dict()
        # The further positions begin as copies of the first, to be trained on from there.
        positions = weights["position_embedding.weight"].repeat(2, 1)[:CONTEXT_LENGTH]
        longer.load_state_dict({**weights, "position_embedding.weight": positions})
        batches = Documents(texts_to_read(tokenizer), tokenizer.end_of_text, CONTEXT_LENGTH, 8)
        config = TrainingConfig(steps=steps, learning_rate=3e-3, optimizer="adamw", device="cpu")
        print("base:", train(longer, batches, config, progress=False).records[-1].loss, "nats per token")
        save_pretrained(BASE, longer, tokenizer)
    return load_pretrained(BASE)


def texts_to_read(tokenizer: BPETokenizer) -> list[list[int]]:
    """What the base is trained on with: stories, and one text in ten a conversation, about other stories than the task's.

    A base that has never met a question gives its tokens no chance at all, and few weights cannot bring it back from there.
    The paper's base, GPT-2, had read dialogues too.
    """
    texts = [tokenizer.encode(story.text) for story in StoryWorld().only("story").sample(18_000, seed=71)]
    for found in conversations(tokenizer, "train", 3000, seed=71).values():
        texts += [
            ids[1:] for ids, _ in found
        ]  # without the end-of-text token, which `Documents` puts before each
    return texts


@torch.no_grad()
def score(model, examples: Sequence[Example]) -> tuple[float, float]:
    """Share of answers that greedy decoding gets right to the last token, and nats per token of an answer."""
    right, n_answer, nats, n_token = 0, 0, 0.0, 0
    for batch in Conversations(examples, 10).in_order():
        logits, asked = model(batch.tokens).logits, batch.targets != IGNORE  # (B, T, vocab), (B, T)
        nats += F.cross_entropy(logits[asked], batch.targets[asked], reduction="sum").item()
        n_token += asked.sum().item()
        # Greedy decoding gives an answer just if each of its tokens is the likeliest after those before it.
        wrong = asked & (logits.argmax(-1) != batch.targets)
        begins = asked & ~F.pad(asked, (1, 0))[:, :-1]
        number = begins.cumsum(dim=1)  # (B, T) of the answer that a token is in
        for row_wrong, row_asked, row_number in zip(wrong, asked, number, strict=True):
            answers = set(row_number[row_asked].tolist())
            n_answer += len(answers)
            right += len(answers - set(row_number[row_wrong].tolist()))
    return right / n_answer, nats / n_token


def tune(
    base: MiniLM, method: Method, rate: float, seed: int, steps: int, training: dict[int, list[Example]]
):
    """A tuned model after so many steps."""
    torch.manual_seed(seed)
    tuned = attach(base, method)
    config = TrainingConfig(
        steps=steps, learning_rate=rate, optimizer="adamw", warmup_steps=steps // 10, seed=seed, device="cpu"
    )
    train(tuned, ByLength(training, seed), config, progress=False)
    return tuned.eval()


def sweep(names: Sequence[str], steps: int) -> None:
    """Print what each learning rate reaches on the dev split, averaged over lengths."""
    base, tokenizer = long_base()
    training, held_out = (
        conversations(tokenizer, split, n) for split, n in (("train", N_TRAIN), ("dev", N_TEST // 4))
    )
    for name in names or SWEEP:
        for rate in SWEEP[name]:
            tuned = tune(base, METHODS[name][0], rate, 0, steps, training)
            scores = [score(tuned, examples) for examples in held_out.values()]
            right, nats = (sum(each) / len(scores) for each in zip(*scores, strict=True))
            print(f"{name:<16} rate {rate:<8g} {right:6.1%} right, {nats:.3f} nats per token", flush=True)


def run(names: Sequence[str], steps: int) -> None:
    """Add a row for each method, seed and length to the CSV."""
    base, tokenizer = long_base()
    training, test = (
        conversations(tokenizer, split, n) for split, n in (("train", N_TRAIN), ("test", N_TEST))
    )
    for seed in SEEDS:
        for name in names or METHODS:
            method, rate = METHODS[name]
            tuned = tune(base, method, rate, seed, steps, training)
            for stories, examples in test.items():
                right, nats = score(tuned, examples)
                tokens = sum(len(ids) for ids, _ in examples) / len(examples)
                row = {
                    "method": name,
                    "seed": seed,
                    "stored": tuned.count().stored,
                    "rate": rate,
                    "steps": steps,
                    "stories": stories,
                    "tokens": round(tokens),
                    "conversations": len(examples),
                    "right": round(right, 4),
                    "nats": round(nats, 4),
                }
                write(row)
            print(name, seed, row, flush=True)


def write(row: dict) -> None:
    """Append a row, below a header if it is the first."""
    RESULTS.parent.mkdir(exist_ok=True)
    first = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, row, lineterminator="\n")
        if first:
            table.writeheader()
        table.writerow(row)


def show(names: Sequence[str], steps: int) -> None:
    """Print means over seeds, and half the distance between the best and the worst seed."""
    with RESULTS.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not names or row["method"] in names]
    print(f"{'method':<16}{'stored':>9}" + "".join(f"{n + ' stories':>26}" for n in map(str, STORIES)))
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        cells = [cell([row for row in own if row["stories"] == str(stories)]) for stories in STORIES]
        print(f"{method:<16}{int(own[0]['stored']):>9,}" + "".join(f"{each:>26}" for each in cells))


def cell(rows: Sequence[dict]) -> str:
    """Share right and nats per token of some rows, each with its spread."""
    right, nats = ([float(row[name]) for row in rows] for name in ("right", "nats"))
    mean, half = (lambda xs: sum(xs) / len(xs)), (lambda xs: (max(xs) - min(xs)) / 2)
    return f"{mean(right):.1%} ± {half(right):.1%}, {mean(nats):.2f} ± {half(nats):.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("show", "sweep", "run"), default="show")
    parser.add_argument("methods", nargs="*", help="all, if none is named")
    parser.add_argument("--steps", type=int, default=250)
    options = parser.parse_args()
    {"show": show, "sweep": sweep, "run": run}[options.what](options.methods, options.steps)


if __name__ == "__main__":
    main()
