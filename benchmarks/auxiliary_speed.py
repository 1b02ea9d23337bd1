"""What keeping the frozen base's states saves: epochs of auxiliary tuning with the base run anew, and with states kept.

python benchmarks/auxiliary_speed.py --repeats 5
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import report, take_turns

from lessons.keyword_stories import KeywordStories
from minilm import MiniLM, ModelConfig, load_pretrained
from minilm.objectives import Completions, next_token_loss
from minilm.tuning import Auxiliary, CachedBase, attach

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
    task = KeywordStories(tok, KEYWORDS, n_train=64, n_held_out=4)
    for name, base in (("the bundled base", bundled), ("a base of 6 layers and width 384", larger)):
        for kind, method in (("plain", Auxiliary()), ("features", Auxiliary(feature_layers=2))):
            contenders, losses = {}, {}
            for label in ("base run anew", "states kept"):
                torch.manual_seed(0)
                tuned = attach(base, method)
                model = CachedBase(tuned, width=task.longest) if label == "states kept" else tuned
                batches = task.batches(base.window, batch_size=16)
                contenders[label], losses[label] = epoch(model, batches, n_batch=4)
            seconds = take_turns(contenders, repeats)
            report(f"{name}, {kind} auxiliary model", seconds, "base run anew", 64, "stories")
            apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
            print(f"  largest difference of two losses {apart:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="counted epochs of each")
    speed(parser.parse_args().repeats)
