"""A training step of inducer-tuning beside one of LoRA, and beside its own explicit attention.

The gate needs a log-sum-exp for every query, which fused attention does not hand out with a gradient. The fused path
computes it by blocks of queries; the explicit path holds all scores, T x T for every head.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import report, take_turns

from minilm import MiniLM, ModelConfig
from minilm.objectives import NextToken, next_token_loss
from minilm.tuning import Inducer, LoRA, MAMInducer, Method, attach

SHAPE = ModelConfig(vocab_size=1024, context_length=512, n_layer=4, n_head=4, d_model=128)
BATCH_SIZE = 8


def training_step(method: Method, explicit: bool = False) -> Callable[[], None]:
    """A function that takes one step: forward, backward, AdamW."""
    torch.manual_seed(0)
    base = MiniLM(SHAPE)
    base.explicit_attention = explicit
    tuned = attach(base, method).train()
    optimizer = torch.optim.AdamW(tuned.parameters_to_train(), lr=1e-3)
    batch = NextToken(torch.randint(SHAPE.vocab_size, (20_000,)), SHAPE.context_length, BATCH_SIZE).batch(0)

    def step() -> None:
        next_token_loss(tuned, batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """All variants in turn; the ratio is that of LoRA's median step to theirs, so 0.67x is 1.5 times as long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12, help="counted steps of each")
    repeats = parser.parse_args().repeats
    contenders = {
        "LoRA, rank 8": training_step(LoRA(rank=8)),
        "inducer, fused": training_step(Inducer()),
        "inducer, explicit": training_step(Inducer(), explicit=True),
        "extension, fused": training_step(Inducer.extension()),
        "adaptive, fused": training_step(Inducer.adaptive()),
        "inducer + LoRA, fused": training_step(Inducer.with_lora()),
        "MAM inducer, fused": training_step(MAMInducer()),
    }
    seconds = take_turns(contenders, repeats)
    print(f"{SHAPE}, batch {BATCH_SIZE}, float32, {torch.get_num_threads()} threads")
    tokens = BATCH_SIZE * SHAPE.context_length
    report("beside LoRA", seconds, "LoRA, rank 8", tokens, "tokens")
    ours = {name: times for name, times in seconds.items() if name.startswith("inducer, ")}
    report("beside explicit attention", ours, "inducer, explicit", tokens, "tokens")


if __name__ == "__main__":
    main()
