"""Training throughput beside `transformers`: the same shape, batches and machine, one step each in turn.

The peer is the loop that its users write: `model(input_ids, labels=)`, backward, clip, `torch.optim.AdamW`. Ours is
`minilm.train` as it stands, once with its defaults for AdamW and once with what is fastest on this machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from side_by_side import report
from transformers import GPT2Config, GPT2LMHeadModel

from minilm import MiniLM, ModelConfig, TrainingConfig, train
from minilm.objectives import NextToken
from minilm.training import Callback, StepRecord

SHAPE = ModelConfig(vocab_size=1024, context_length=128, n_layer=4, n_head=4, d_model=128)
BATCH_SIZE = 32
WARM_UP = 8
"""Steps that are not counted; compilation falls into the first."""


def peer_step(batches: NextToken, dropout: float) -> Callable[[int], float]:
    """A function that takes one training step with `transformers` and returns its seconds."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=SHAPE.vocab_size,
            n_positions=SHAPE.context_length,
            n_embd=SHAPE.d_model,
            n_layer=SHAPE.n_layer,
            n_head=SHAPE.n_head,
            **{f"{place}_pdrop": dropout for place in ("embd", "attn", "resid")},
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

    def step(index: int) -> float:
        began = time.perf_counter()
        tokens = batches.batch(index).tokens
        model(input_ids=tokens, labels=tokens).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - began

    return step


class TakeTurns(Callback):
    """After every step of ours, one of the peer's; keeps the seconds of both."""

    def __init__(self, peer: Callable[[int], float], n_token: int):
        self.peer, self.n_token = peer, n_token
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def on_step(self, record: StepRecord) -> None:
        """Time the peer, and note what our step took."""
        theirs = self.peer(record.step)
        if record.step > WARM_UP:
            self.ours.append(self.n_token / record.tokens_per_second)
            self.theirs.append(theirs)


def measure(name: str, steps: int, dropout: float, **settings: object) -> None:
    """Print our throughput with these settings beside the peer's with this dropout."""
    torch.manual_seed(0)
    text = torch.randint(SHAPE.vocab_size, (100_000,))
    batches = NextToken(text, SHAPE.context_length, BATCH_SIZE)
    n_token = SHAPE.context_length * BATCH_SIZE
    turns = TakeTurns(peer_step(batches, dropout), n_token)
    config = TrainingConfig(steps=WARM_UP + steps, learning_rate=3e-4, device="cpu", **settings)
    train(MiniLM(SHAPE), batches, config, callbacks=[turns], progress=False)
    seconds = {"transformers GPT2LMHeadModel": turns.theirs, f"minilm.train, {name}": turns.ours}
    report(
        f"{name}, the peer's dropout {dropout}", seconds, "transformers GPT2LMHeadModel", n_token, "tokens"
    )


def main() -> None:
    """Both settings, first without dropout in either, then beside the 0.1 that the peer's configuration defaults to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40, help="counted steps for each row")
    steps = parser.parse_args().steps
    print(f"{SHAPE}, batch {BATCH_SIZE}, float32, {torch.get_num_threads()} threads")
    for dropout in (0.0, 0.1):
        measure("defaults", steps, dropout, optimizer="adamw")
        measure("compiled", steps, dropout, optimizer="adamw", compile=True)


if __name__ == "__main__":
    main()
