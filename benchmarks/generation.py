"""Generation with a cache beside `transformers` `generate` with its own: one prompt, 100 new tokens, on the CPU.

Both run the very same weights, and the greedy tokens are compared before the times are. Random weights fall into
repetition under greedy choice, which `minilm` reads ahead; drawn at temperature 1 they never repeat, so that the second
row shows what is left without it.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from side_by_side import report, take_turns

from minilm import MiniLM, ModelConfig, generate
from minilm.interop import to_transformers

SHAPE = ModelConfig(vocab_size=1024, context_length=256, n_layer=6, n_head=6, d_model=384)
PROMPT, NEW = 16, 100


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    model = MiniLM(SHAPE).eval()
    peer = to_transformers(model)
    peer.generation_config.pad_token_id = peer.generation_config.eos_token_id = None
    prompt = torch.randint(SHAPE.vocab_size, (1, PROMPT))
    mask = torch.ones_like(prompt)

    def ours(temperature: float) -> torch.Tensor:
        return generate(model, prompt, NEW, temperature=temperature, seed=0)

    def theirs(sample: bool) -> torch.Tensor:
        settings = {"do_sample": True, "top_k": 0} if sample else {"do_sample": False}
        return peer.generate(prompt, attention_mask=mask, max_new_tokens=NEW, **settings)

    same = torch.equal(ours(0), theirs(sample=False))
    print(
        f"{SHAPE}, batch 1, {NEW} tokens after {PROMPT}, {torch.get_num_threads()} threads; same tokens: {same}"
    )
    for title, temperature in (("greedy", 0.0), ("drawn at temperature 1", 1.0)):
        contenders = {
            "transformers generate": partial(theirs, sample=temperature > 0),
            "minilm.generate": partial(ours, temperature),
        }
        report(title, take_turns(contenders, repeats), "transformers generate", NEW, "tokens")


if __name__ == "__main__":
    main()
