"""A training step of LoRA, prefix-tuning and full fine-tuning, beside `peft` on `transformers`.

Same shape, batch and loop for all: forward, loss on every next token, backward, AdamW. `peft` knows GPT-2's query, key and
value as one map, so its LoRA of rank 8 stands on that map, as its users have it; ours on query and value, as published.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable

import torch
from peft import LoraConfig, PeftConfig, PrefixTuningConfig, get_peft_model
from side_by_side import report, take_turns
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from minilm import MiniLM, ModelConfig
from minilm.objectives import Batch, next_token_loss
from minilm.tuning import FullFineTuning, LoRA, Method, Prefix, attach

SHAPE = ModelConfig(vocab_size=4096, context_length=256, n_layer=6, n_head=6, d_model=384)
BATCH_SIZE, N_TOKEN = 8, 128
LORA = LoraConfig(r=8, lora_alpha=16, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
PREFIX = PrefixTuningConfig(
    num_virtual_tokens=16, prefix_projection=True, encoder_hidden_size=512, task_type="CAUSAL_LM"
)

Step = Callable[[], None]


def step_of(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> Step:
    """One training step: the same for every contender."""
    optimizer = torch.optim.AdamW([each for each in parameters if each.requires_grad], lr=1e-4, fused=True)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(method: Method, tokens: Tensor, compiled: bool = False) -> Step:
    """A step of one of our methods; tokens (B, T + 1). Compiled, as `TrainingConfig(compile=True)` does it."""
    tuned = attach(MiniLM(SHAPE), method).train()
    loss_of = torch.compile(next_token_loss) if compiled else next_token_loss
    batch = Batch(tokens[:, :-1], tokens[:, 1:])
    return step_of(lambda: loss_of(tuned, batch), tuned.parameters())


def theirs(method: PeftConfig | None, tokens: Tensor) -> Step:
    """A step of `transformers`, with a method of `peft` or, without one, of full fine-tuning."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=SHAPE.vocab_size,
            n_positions=SHAPE.context_length,
            n_embd=SHAPE.d_model,
            n_layer=SHAPE.n_layer,
            n_head=SHAPE.n_head,
            bos_token_id=None,
            eos_token_id=None,
            **{f"{place}_pdrop": 0.0 for place in ("embd", "attn", "resid")},
        )
    )
    model = (get_peft_model(model, method) if method else model).train()
    text = tokens[:, :-1]
    return step_of(lambda: model(input_ids=text, labels=text).loss, model.parameters())


def main() -> None:
    """All contenders in turn, then a table for each peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12, help="counted steps of each")
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    tokens = torch.randint(SHAPE.vocab_size, (BATCH_SIZE, N_TOKEN + 1))
    contenders = {
        "full fine-tuning, transformers": theirs(None, tokens),
        "full fine-tuning, minilm": ours(FullFineTuning(), tokens),
        "LoRA, rank 8, peft": theirs(LORA, tokens),
        "LoRA, rank 8, minilm": ours(LoRA(rank=8), tokens),
        "LoRA, rank 8, minilm compiled": ours(LoRA(rank=8), tokens, compiled=True),
        "prefix, length 16, peft": theirs(PREFIX, tokens),
        "prefix, length 16, minilm": ours(Prefix(16), tokens),
        "prefix, length 16, minilm compiled": ours(Prefix(16), tokens, compiled=True),
    }
    seconds = take_turns(contenders, repeats, warm_up=3)
    print(f"{SHAPE}, batch {BATCH_SIZE} x {N_TOKEN}, float32, {torch.get_num_threads()} threads")
    for peer in ("LoRA, rank 8, peft", "prefix, length 16, peft", "full fine-tuning, minilm"):
        report(f"beside {peer}", seconds, peer, BATCH_SIZE * N_TOKEN, "tokens")


if __name__ == "__main__":
    main()
