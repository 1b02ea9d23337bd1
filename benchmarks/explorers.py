"""The explorers: from a slider's move to the new view, and what a saved notebook holds of it.

A text of 64 tokens, a model of 4 layers with 4 heads each. A reader feels a view that takes longer than 150 ms as
late. The time is the kernel's: to compute, to draw, and to hand the HTML to the widget. What must be read once a
text, the forward pass for one, is measured apart, as another text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median

import torch

from lessons.widgets import (
    AttentionExplorer,
    BPEStepper,
    Explorer,
    GateExplorer,
    LensExplorer,
    Playground,
    ShiftExplorer,
    SmoothingExplorer,
)
from minilm import BPETokenizer, MiniLM, ModelConfig, tuning

N_TOKEN, REPEATS, LATE, LARGEST = 64, 15, 0.150, 150_000


def make() -> Iterator[tuple[str, Explorer, object, list]]:
    """Name, explorer, a slider of it, and values to move it to."""
    torch.manual_seed(0)
    text = "the keeper counted the boats because the sea was calm and the lamp was lit again. " * 3
    tok = BPETokenizer.train([text], vocab_size=280)
    shape = ModelConfig(vocab_size=tok.vocab_size, context_length=128, n_layer=4, n_head=4, d_model=128)
    model = MiniLM(shape).eval()
    prefix, lora = (tuning.attach(model, each).eval() for each in (tuning.Prefix(8, False), tuning.LoRA()))
    for weight in (each for each in model.parameters() if each.dim() == 2):
        torch.nn.init.normal_(weight, std=0.3)  # attention without two equal weights: the largest view
    one = AttentionExplorer(model, tok, text)
    yield "attention, one model", one, one.head, [1, 2, 3, 4]
    two = AttentionExplorer({"base": model, "prefix": prefix}, tok, text)
    yield "attention, two models", two, two.head, [1, 2, 3, 4]
    gates = GateExplorer({"prefix": prefix}, tok, text)
    yield "gates", gates, gates.layer, [1, 2, 3, 4]
    lens = LensExplorer({"base": model, "LoRA": lora}, tok, text)
    yield "lens, two models", lens, lens.position, [3, 4, 5]
    shift = ShiftExplorer(lora, tok, text)
    yield "shift", shift, shift.strength, [0.5, 1.0, 1.5]
    playground = Playground(model, tok, "the", length=N_TOKEN, stop_at_end=False)
    yield "playground, 64 new tokens", playground, playground.seed, [1, 2, 3]
    smoothing = SmoothingExplorer("fixed", n=400)
    yield "smoothing, 400 points", smoothing, smoothing.bandwidth, [0.5, 0.6, 0.7]
    stepper = BPEStepper(tok, text[:160], step=0)
    yield "BPE, 160 bytes", stepper, stepper.step, [1, 2, 3]


def seconds(move: Callable[[], None]) -> float:
    """How long a move takes, in the median."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        move()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    """A line for each explorer."""
    torch.set_num_threads(1)
    print(f"{'explorer':<28} {'update':>10} {'of 150 ms':>10} {'saved view':>12} {'of 150 KB':>10}")
    for name, explorer, slider, values in make():
        following = cycle(values)
        took = seconds(lambda slider=slider, following=following: setattr(slider, "value", next(following)))
        assert explorer.error is None, explorer.error
        size = len(explorer._repr_mimebundle_()["text/html"].encode())
        print(f"{name:<28} {1000 * took:>7.1f} ms {took / LATE:>10.0%} {size:>10,} B {size / LARGEST:>10.0%}")


if __name__ == "__main__":
    main()
