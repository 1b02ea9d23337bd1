"""The story world's oracle: its speed beside a model's forward pass, its figures beside 200,000 stories.

A lesson draws the oracle's table beside the model's for a story that the reader picks, so it must not take
much longer than the model. The other figures check on the course's own world, whose stories are too many to
list, what the tests check by enumeration on small ones.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from side_by_side import report, take_turns

from minilm import BPETokenizer, MiniLM, ModelConfig
from minilm.storyworld import Oracle, Story, StoryWorld

Attribute = tuple[str, str]


def has(story: Story, attribute: Attribute) -> bool:
    name, value = attribute
    return value in story.attributes[name] if name == "keyword" else story.attributes[name] == value


def speed(world: StoryWorld, tokenizer: BPETokenizer, repeats: int) -> None:
    """Seconds of a full (T + 1, V) table: by a fresh oracle, by one that has seen stories, by a model."""
    story = max(world.sample(50, seed=1), key=lambda story: len(story.text))
    ids = tokenizer.encode(story.text)
    oracle = Oracle(world, tokenizer)
    for seen in world.sample(50, seed=2):
        oracle.log_probs(tokenizer.encode(seen.text))
    model = MiniLM(ModelConfig(vocab_size=tokenizer.vocab_size, context_length=512)).eval()
    tokens = torch.tensor([[tokenizer.end_of_text, *ids]])
    contenders = {
        "MiniLM forward pass (4 layers, d_model 128)": lambda: model(tokens).logits.log_softmax(-1),
        "oracle, fresh": lambda: Oracle(world, tokenizer).log_probs(ids),
        "oracle": lambda: oracle.log_probs(ids),
        "oracle, shift of an attribute": lambda: oracle.shift(ids, ("ending", "happy")),
    }
    with torch.inference_mode():
        seconds = take_turns(contenders, repeats)
    title = f"({len(ids) + 1}, {tokenizer.vocab_size}) tables, one thread"
    report(title, seconds, next(iter(contenders)), 1, "tables")
    slowest = max(max(times) for name, times in seconds.items() if name.startswith("oracle"))
    print(f"  slowest oracle call: {1000 * slowest:.1f} ms")


def rejection(world: StoryWorld, oracle: Oracle, stories: list[Story], attribute: Attribute) -> None:
    """Rows of the conditional oracle beside frequencies among the sampled stories that have the attribute."""
    kept = [oracle.encode(story.text) for story in stories if has(story, attribute)]
    prefix: list[int] = []
    worst, cells = 0.0, 0
    while len(kept) >= 300:
        chances = oracle.log_probs(prefix, attribute)[-1].exp().numpy()  # (V,)
        counts = np.bincount([ids[len(prefix)] for ids in kept], minlength=len(chances))
        expected, error = len(kept) * chances, np.sqrt(len(kept) * chances * (1 - chances).clip(0))
        usual = (expected >= 20) & (error > 1e-3)
        worst, cells = max([worst, *(abs(counts - expected)[usual] / error[usual])]), cells + int(usual.sum())
        prefix.append(int(counts.argmax()))
        kept = [ids for ids in kept if ids[len(prefix) - 1] == prefix[-1]]
        if prefix[-1] == oracle.tokenizer.end_of_text:
            break
    print(
        f"  {attribute!s:<26} {len(prefix):>3} positions, {cells:>4} chances: worst {worst:.2f} standard errors"
    )


def martingale(world: StoryWorld, oracle: Oracle, stories: list[Story], attribute: Attribute) -> None:
    """How far the mean posterior strays from the prior at any position."""
    tracks = [oracle.posterior(oracle.tokenizer.encode(story.text), attribute).numpy() for story in stories]
    longest = max(map(len, tracks))
    rows = [np.pad(track, (0, longest - len(track)), mode="edge") for track in tracks]
    table = np.array(rows)  # (n, T + 1)
    errors = table.std(0) / math.sqrt(len(table))
    moved = errors > 1e-9
    worst = (abs(table.mean(0) - table[0, 0])[moved] / errors[moved]).max()
    print(f"  {attribute!s:<26} over {longest} positions: worst {worst:.2f} standard errors")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--stories", type=int, default=200_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    world = StoryWorld().only("story")
    began = time.perf_counter()
    stories = world.sample(arguments.stories, seed=3)
    rate = arguments.stories / (time.perf_counter() - began)
    print(f"{world.count_stories():.2e} stories; sampled {rate:,.0f} a second")
    tokenizer = BPETokenizer.train([story.text for story in stories[:5000]], vocab_size=1024)
    oracle = Oracle(world, tokenizer)
    speed(world, tokenizer, arguments.repeats)
    bits, error = oracle.entropy_rate()
    print(f"entropy rate {bits:.4f} bits a token, standard error {100 * error / bits:.1e} %")
    print(f"floor on 1,000 sampled stories {oracle.floor(stories[:1000]) / math.log(2):.4f} bits a token")
    attributes = [
        ("keyword", "because"),
        ("keyword", "although"),
        ("ending", "sad"),
        ("plot", "lost"),
        ("hero", "Mia"),
    ]
    print(f"conditional oracle beside {len(stories):,} stories of which those with the attribute are kept")
    for attribute in attributes:
        rejection(world, oracle, stories, attribute)
    print("posterior, averaged over 2,000 stories, beside the prior")
    for attribute in attributes:
        martingale(world, oracle, stories[:2000], attribute)


if __name__ == "__main__":
    main()
