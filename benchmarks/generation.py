"""Greedy generation with a cache beside `transformers` `generate` with its own: one prompt, 100 new tokens, on the CPU.

Both run the very same weights, and the tokens are compared before the times are.
"""

from __future__ import annotations

import argparse

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

    def ours() -> torch.Tensor:
        return generate(model, prompt, NEW, temperature=0)

    def theirs() -> torch.Tensor:
        return peer.generate(prompt, attention_mask=mask, max_new_tokens=NEW, do_sample=False, use_cache=True)

    same = torch.equal(ours(), theirs())
    print(
        f"{SHAPE}, batch 1, {NEW} tokens after {PROMPT}, {torch.get_num_threads()} threads; same tokens: {same}"
    )
    seconds = take_turns({"transformers generate": theirs, "minilm.generate": ours}, repeats)
    report("greedy, with cache", seconds, "transformers generate", NEW, "tokens")


if __name__ == "__main__":
    main()
