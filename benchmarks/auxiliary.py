"""Auxiliary tuning measured: what keeping the base's states saves, and what is learnt beside a model from
scratch.

python benchmarks/auxiliary.py speed                  an epoch with the base run anew, and with states kept
python benchmarks/auxiliary.py learning --seeds 3     accuracy and SLOR against steps, the shift, two at once
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from side_by_side import report, take_turns

from lessons.keyword_stories import KeywordStories
from minilm import MiniLM, ModelConfig, datasets, load_pretrained
from minilm.evaluation.controlled import keyword_accuracy, slor
from minilm.evaluation.logit_shift import ShiftComparison, compare_shifts
from minilm.evaluation.ngram import NGramModel
from minilm.objectives import Completions, next_token_loss
from minilm.storyworld import Oracle, StoryWorld
from minilm.training import TrainingConfig, train
from minilm.tuning import Auxiliary, CachedBase, TunedModel, attach

KEYWORDS = ("because", "suddenly", "instead", "therefore")


def epoch(model, batches: Completions, n_batch: int) -> tuple[Callable[[], None], list[float]]:
    """A function that trains for one epoch, and the losses of all steps it has taken."""
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    losses: list[float] = []

    def run() -> None:
        for _ in range(n_batch):
            loss = next_token_loss(model, batches.batch(len(losses)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())

    return run, losses


def speed(repeats: int) -> None:
    """Epochs with and without the base's states kept, on bases of two sizes, the first epoch left out."""
    bundled, tok = load_pretrained("storyworld")
    larger = MiniLM(ModelConfig.preset("base", vocab_size=tok.vocab_size))
    task = KeywordStories(tok, KEYWORDS, n_train=64, n_held_out=1)
    for name, base in (("the bundled base", bundled), ("a base of 6 layers and width 384", larger)):
        for kind, method in (("plain", Auxiliary()), ("features", Auxiliary(feature_layers=2))):
            contenders, losses = {}, {}
            for label in ("base run anew", "states kept"):
                torch.manual_seed(0)
                tuned = attach(base, method)
                model = CachedBase(tuned, width=160) if label == "states kept" else tuned
                batches = task.batches(base.window, batch_size=16)
                contenders[label], losses[label] = epoch(model, batches, n_batch=4)
            seconds = take_turns(contenders, repeats)
            report(f"{name}, {kind} auxiliary model", seconds, "base run anew", 64, "stories")
            apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
            print(f"  largest difference of two losses {apart:.1e}")


class Curve:
    """Accuracy, SLOR and steps of one run."""

    def __init__(self, task: KeywordStories, n_sample: int, judge: NGramModel, unigram: NGramModel):
        self.task, self.wanted = task, task.wanted(n_sample)
        self.judge, self.unigram = judge, unigram
        self.steps: list[int] = []
        self.accuracy: list[float] = []
        self.fluency: list[float] = []

    def follow(self, model, batches: Completions, prefixed: bool, steps: int) -> None:
        """Train, and score samples ten times on the way."""
        config = TrainingConfig(steps=steps, evaluate_every=max(steps // 10, 1), device="cpu")
        sample = partial(self.note, prefixed=prefixed)
        result = train(model, batches, config, sample=sample, progress=False)
        self.steps = [each.step for each in result.evaluations]
        print("   step  accuracy   SLOR")
        for step, accuracy, fluency in zip(self.steps, self.accuracy, self.fluency, strict=True):
            print(f"  {step:5d}  {accuracy:8.2f}  {fluency:5.2f}", flush=True)

    def note(self, model, prefixed: bool) -> str:
        """Score samples of the model as it is now; handed to `train` as `sample`."""
        texts = self.task.write(model, self.wanted, prefixed)
        self.accuracy.append(keyword_accuracy(texts, self.wanted))
        end = self.task.tokenizer.end_of_text
        ids = [[*self.task.tokenizer.encode(text), end] for text in texts]
        self.fluency.append(statistics.mean(slor(self.judge.log_prob, self.unigram, ids)))
        return texts[0]

    def first_step(self, goal: float) -> int | None:
        """The first evaluated step at which the accuracy is reached, or None."""
        return next(
            (step for step, each in zip(self.steps, self.accuracy, strict=True) if each >= goal), None
        )


def learning(seeds: int, steps: int, n_train: int, n_sample: int) -> None:
    """Auxiliary tuning beside a model from scratch, and its shift beside the oracle's."""
    base, tok = load_pretrained("storyworld")
    oracle = Oracle(StoryWorld().only("story"), tok)
    task = KeywordStories(tok, KEYWORDS, n_train=n_train, n_held_out=60)
    stories = [tok.encode(text) for text in datasets.load("storyworld", "train", n=1000)]
    stream = [token for ids in stories for token in (*ids, tok.end_of_text)]
    judges = NGramModel(stream, tok.vocab_size, n=5), NGramModel(stream, tok.vocab_size, n=1)
    for seed in range(seeds):
        torch.manual_seed(seed)
        tuned = attach(base, Auxiliary(feature_layers=base.config.n_layer))
        runs = {
            "auxiliary": (CachedBase(tuned, width=160), task.batches(base.window), False),
            "from scratch": (MiniLM(base.config), task.prefixed(base.window), True),
        }
        curves = {}
        for name, (model, batches, prefixed) in runs.items():
            curves[name] = Curve(task, n_sample, *judges)
            print(f"seed {seed}, {name}")
            curves[name].follow(model, batches, prefixed, steps)
        goal = 0.9 * curves["auxiliary"].accuracy[-1]
        reached = {name: curve.first_step(goal) for name, curve in curves.items()}
        print(f"  accuracy {goal:.2f} at step {reached}")
        print_comparison(compare_shifts(tuned, oracle, task.asked()))
        print_pair(tuned, task, n_sample)
        tuned.detach()


def print_pair(tuned: TunedModel, task: KeywordStories, n_sample: int) -> None:
    """The trained model attached twice: how many stories have both keywords, beside each asked for alone."""
    first, second = KEYWORDS[0], KEYWORDS[-1]
    settings, m = tuned.methods["auxiliary"], len(task.ids[first])
    columns = {"first": (0, m), "second": (m, 2 * m)}
    pair = attach(tuned.base, {name: replace(settings, columns=each) for name, each in columns.items()})
    for attachment in pair.attachments.values():
        attachment.restore(tuned.attachments["auxiliary"].stored())
    both = torch.cat([task.ids[first], task.ids[second]]).repeat(n_sample, 1)  # (B, 2m)
    told = {
        "both": task.write_told(pair, both),
        first: task.write(tuned, [first] * n_sample),
        second: task.write(tuned, [second] * n_sample),
    }
    for name, texts in told.items():
        shares = [keyword_accuracy(texts, [words] * n_sample) for words in (first, second, (first, second))]
        print(
            f"  told {name}: {first} {shares[0]:.2f}, {second} {shares[1]:.2f}, both {shares[2]:.2f}",
            flush=True,
        )


def print_comparison(shifts: ShiftComparison) -> None:
    """The learned shift beside the exact one, in figures."""
    told = shifts.correlation(told=True)
    print(f"  correlation above 0.5 nat {shifts.correlation():.3f}, of the stories' own tokens {told:.3f}")
    places = {"all places": shifts.stakes >= 0, "where the keyword changes much": shifts.stakes > 0.1}
    figures = {
        "base": shifts.divergence_of_base,
        "tuned": shifts.divergence,
        "oracle told nothing": shifts.stakes,
        "base from that oracle": shifts.error_of_base,
    }
    for label, chosen in places.items():
        values = ", ".join(f"{name} {each[chosen].mean().item():.4f}" for name, each in figures.items())
        print(f"  KL in nats, {label}: {values}", flush=True)


def main() -> None:
    """One part or the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("speed", "learning"), nargs="?", default="speed")
    parser.add_argument("--repeats", type=int, default=5, help="counted epochs of each (speed)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each (learning)")
    parser.add_argument("--steps", type=int, default=400, help="steps of each run (learning)")
    parser.add_argument("--stories", type=int, default=4000, help="training stories (learning)")
    parser.add_argument(
        "--samples", type=int, default=60, help="stories written at each evaluation (learning)"
    )
    options = parser.parse_args()
    if options.part == "speed":
        speed(options.repeats)
    else:
        learning(options.seeds, options.steps, options.stories, options.samples)


if __name__ == "__main__":
    main()
