# %% [markdown]
# # 7. LoRA, and one view of all methods
#
# **You will see** a low-rank change tune a frozen model and then vanish into its weights, how many directions full fine-tuning
# really moves, and eight methods side by side as what they are: a delta at a place.
#
# **It takes** about three minutes on two CPU cores.

# %%
import torch

from lessons.checks import check, exercise, solution
from lessons.facts_to_text import FactsToText
from lessons.profiles import profile
from minilm import load_pretrained, tuning

size = profile()
print(size)
base, tok = load_pretrained("storyworld")
base.to(size.device)
task = FactsToText(tok, n_train=400, n_held_out=size.pick(smoke=8, cpu=48, gpu=200))
task.held_out[0].prompt, task.held_out[0].target

# %% [markdown]
# ## The idea
#
# Fine-tuning changes a weight matrix $W$ by some $\Delta W$ of the same size. LoRA (Hu et al. 2022, equation 3) allows only changes
# of rank $r$, written as a thin matrix times a flat one, and freezes $W$:
#
# $$y = xW + \frac{\alpha}{r}\, x A B, \qquad A \in \mathbb{R}^{d \times r},\; B \in \mathbb{R}^{r \times d}$$
#
# (rows are vectors, as in the code; the paper writes columns.) $A$ starts random and $B$ at zero: the tuned model starts as the base.
# The paper places such changes at the query and the value map of every layer.
#
# ## By hand
#
# A frozen linear map, with the low-rank path beside it:

# %%
from copy import deepcopy

from torch import Tensor, nn


class LowRankByHand(nn.Module):
    """A frozen linear map and its change: y = xW + b + scale x A B."""

    def __init__(self, linear: nn.Linear, A: Tensor, B: Tensor, scale: float):
        super().__init__()
        self.linear, self.scale = linear, scale
        self.A, self.B = nn.Parameter(A.clone()), nn.Parameter(B.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.scale * (x @ self.A) @ self.B  # (B, T, d) -> (B, T, r) -> (B, T, d)


def with_low_rank(base, changes, scale: float):
    """A copy of the base in which maps are replaced; changes: "query-0" -> a pair A, B."""
    model = deepcopy(base).requires_grad_(False)
    for place, (A, B) in changes.items():
        name, layer = place.split("-")
        attention = model.blocks[int(layer)].attention
        setattr(attention, name, LowRankByHand(getattr(attention, name), A, B, scale))
    return model


# %% [markdown]
# The library adds the same at its sites `query` and `value`. To compare, we give $B$ some values, for at zero there would be
# nothing to see, and look at logits and gradients.

# %%
from minilm.objectives import next_token_loss

lora = tuning.LoRA(rank=4, alpha=16, targets=("query", "value"))
torch.manual_seed(0)
tuned = tuning.attach(base, lora)
changes = tuned.attachments["lora"].changes
for change in changes.values():
    torch.nn.init.normal_(change.B, std=0.05)
by_hand = with_low_rank(base, {place: (change.A, change.B) for place, change in changes.items()}, 16 / 4)

batch = task.batches(base.window).batch(0).to(base.device)
for model in (by_hand, tuned):
    next_token_loss(model, batch).backward()
logits_apart = (by_hand(batch.tokens).logits - tuned(batch.tokens).logits).abs().max().item()
ours, theirs = by_hand.blocks[0].attention.query.A.grad, changes["query-0"].A.grad
print(f"logits differ by less than 1e-4: {logits_apart < 1e-4}")
print(f"gradients of A agree: {torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)}")
_ = tuned.detach()

# %% [markdown]
# ## Exercise 1: the first gradient
#
# At the start $B = 0$. In the very first training step one of the two matrices gets a gradient of exactly zero. Which one, "A" or
# "B"? Think of $\partial L / \partial A = \frac{\alpha}{r}\, x^\top \frac{\partial L}{\partial y} B^\top$.


# %% tags=["key"]
def gradient_free() -> str:
    """The factor without a gradient at the start, found by asking."""
    fresh = tuning.attach(base, lora)
    next_token_loss(fresh, batch).backward()
    first = fresh.attachments["lora"].changes["query-0"]
    fresh.detach()
    return "A" if first.A.grad.abs().max() == 0 else "B"


exercise(
    "first",
    gradient_free(),
    hints=(
        "Which gradient has B as a factor?",
        "It is the one of A; B's own has A as a factor, and A is random.",
    ),
    because="so B moves first, and A from the second step on; were both zero, neither would ever move",
)

# %% tags=["exercise"]
still = ...
check("first", still)

# %% tags=["solution"]
still = "A"
solution("first", still)

# %% [markdown]
# ## Exercise 2: what it costs
#
# How many parameters has LoRA of rank 8 on the query and the value maps of GPT-2 small (12 layers, width 768)?

# %% tags=["key"]
from minilm import ModelConfig

gpt2 = ModelConfig.preset("gpt2")
exercise(
    "cost",
    tuning.count_on(gpt2, tuning.LoRA(rank=8)).stored,
    hints=("A and B of one map have 2 * 768 * 8 numbers.", "There are two such maps in each of 12 layers."),
    because="that is a quarter of a percent of the model's 124 million",
)

# %% tags=["exercise"]
parameters = ...
check("cost", parameters)

# %% tags=["solution"]
parameters = 12 * 2 * (2 * 768 * 8)
solution("cost", parameters)

# %% [markdown]
# ## The run, and the rank
#
# The lab is a dashboard with sliders. It starts with three ranks; alpha stays, as the paper advises, so that the rate need not be
# tuned anew for each. Look for the rank from which more parameters hardly help. Then turn the rank yourself and press Run.

# %%
from lessons.widgets import TuningLab, TuningSettings

steps = size.pick(smoke=5, cpu=300, gpu=600)
lab = TuningLab(
    base, task.examples(task.records), task.examples(task.held_out), sample=task.sample, device=size.device,
    settings=TuningSettings(method="lora", rank=4, steps=steps),
)  # fmt: skip
for rank in (1, 4, 16):
    _ = lab.run(rank=rank)

# %%
lab.table()

# %% [markdown]
# ## Merging
#
# $xW + \frac{\alpha}{r} xAB = x\,(W + \frac{\alpha}{r} AB)$: the change fits into the weight. A merged model has the base's shape and
# the base's speed, and needs no trace of LoRA in its code.

# %%
tuned = lab.kept[1].model  # rank 4
merged = tuned.merge()
with torch.no_grad():
    apart = (merged(batch.tokens).logits - tuned(batch.tokens).logits).abs().max().item()
print(f"a {type(merged).__name__}; its logits differ by {apart:.1e} at most")

# %% [markdown]
# ## Exercise 3: merge one map
#
# PyTorch keeps the weight of a linear map transposed: `linear.weight` is (d_out, d_in), and `linear(x) = x @ linear.weight.T`.
# Complete the function that returns the merged weight, in the same layout.


# %% tags=["key"]
def merges(answer) -> bool:
    """Whether the merged map does what both paths do together."""
    draw = torch.Generator().manual_seed(0)
    weight, A, B, x = (torch.randn(*s, generator=draw) for s in ((6, 5), (5, 2), (2, 6), (3, 5)))
    found = answer(weight, A, B, 4.0)
    assert found.shape == weight.shape, f"its shape is {tuple(found.shape)}, not {tuple(weight.shape)}"
    return torch.allclose(x @ found.T, x @ weight.T + 4.0 * x @ A @ B, atol=1e-4)


exercise(
    "merge",
    merges,
    hints=("A @ B is (d_in, d_out).", "`weight + scale * (A @ B).T`"),
    because="a transposed merge of square maps raises no error and ruins the model: the most frequent fault of all",
)


# %% tags=["exercise"]
def merged_weight(weight: Tensor, A: Tensor, B: Tensor, scale: float) -> Tensor:
    """weight (d_out, d_in), A (d_in, r), B (r, d_out) -> (d_out, d_in)."""
    return ...


check("merge", merged_weight)


# %% tags=["solution"]
def merged_weight(weight: Tensor, A: Tensor, B: Tensor, scale: float) -> Tensor:
    """weight (d_out, d_in), A (d_in, r), B (r, d_out) -> (d_out, d_in)."""
    return weight + scale * (A @ B).T


solution("merge", merged_weight)

# %% [markdown]
# ## How low a rank is enough?
#
# The paper's premise is that the change which a task needs has a low *intrinsic rank*. We can look: fine-tune everything, take
# $\Delta W$ of a map, and ask for its singular values $\sigma_1 \ge \sigma_2 \ge \dots$. The share of the change that the first $k$
# directions hold is $\sum_{i \le k} \sigma_i^2 / \sum_i \sigma_i^2$.

# %%
full = lab.run(method="fine-tuning").model


def full_update(place: str) -> Tensor:
    """What fine-tuning added to a map, (d_out, d_in)."""
    name, layer = place.split("-")
    weight = f"blocks.{layer}.attention.{name}.weight"
    return (full.weights()[weight] - base.state_dict()[weight]).detach()


def low_rank_update(place: str) -> Tensor:
    """What LoRA of rank 4 added to the same map."""
    change = tuned.attachments["lora"].changes[place]
    return (change.scale * change.A @ change.B).T.detach()


# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
layer = base.config.n_layer // 2
for name in ("query", "value"):
    for label, update, style in (
        ("fine-tuning", full_update, "o-"),
        ("LoRA, rank 4", low_rank_update, "s--"),
    ):
        values = torch.linalg.svdvals(update(f"{name}-{layer}")).cpu()
        energy = values.square().cumsum(0) / values.square().sum()
        _ = axes.plot(range(1, len(values) + 1), energy, style, markersize=4, label=f"{name}, {label}")
_ = axes.axhline(0.9, color="gray", linewidth=1, linestyle=":")
_ = axes.set(xlabel="directions k", ylabel="share of the change", xlim=(0, 32.5), ylim=(0, 1.03))
_ = axes.legend(title=f"layer {layer + 1}")

# %% [markdown]
# Read off where the lines of fine-tuning cross 0.9, and compare it with the width of the model. LoRA of rank 4 reaches 1 at $k = 4$,
# since it has no other directions; often its first one alone holds most of it. Fine-tuning needs more directions for the *same* change,
# but the task need not want that very change.
#
# ## Exercise 4: how many directions?
#
# Complete the function: the least number of singular values that hold a given share of the change.


# %% tags=["key"]
def counts_directions(answer) -> bool:
    """Whether the number is the least that suffices."""
    for values, share, expected in (
        ([3.0, 4.0], 0.6, 1),
        ([3.0, 4.0], 0.7, 2),
        ([1.0] * 10, 0.85, 9),
        ([2.0], 0.9, 1),
    ):
        found = answer(torch.tensor(sorted(values, reverse=True)), share)
        assert int(found) == expected, f"of {values}, {expected} hold {share:.0%}, not {int(found)}"
    return True


exercise(
    "directions",
    counts_directions,
    hints=(
        "`values.square().cumsum(0)` are the sums over the first 1, 2, ... directions.",
        "Divide by the sum of all, and count how many of them lie below the share.",
        "`int((energy < share).sum()) + 1`",
    ),
    because="it is the rank that LoRA would need to make most of the same change",
)


# %% tags=["exercise"]
def directions(values: Tensor, share: float) -> int:
    """values (n,), largest first."""
    return ...


check("directions", directions)


# %% tags=["solution"]
def directions(values: Tensor, share: float) -> int:
    """values (n,), largest first."""
    energy = values.square().cumsum(0) / values.square().sum()
    return int((energy < share).sum()) + 1


solution("directions", directions)

# %%
needed = {
    place: directions(torch.linalg.svdvals(full_update(place)), 0.9)
    for place in (f"{name}-{layer}" for name in ("query", "value") for layer in range(base.config.n_layer))
}
print(f"directions that hold 90% of fine-tuning's change, of {base.config.d_model}:", needed)

# %% [markdown]
# ## One view of all methods
#
# He et al. (2022, *Towards a Unified View of Parameter-Efficient Transfer Learning*, table 1) write every method as a change of some
# hidden state $h$ that a sub-layer makes of its input $x$. What differs is the place and the form of the change:
#
# | method | place | the change |
# |---|---|---|
# | fine-tuning | every weight | $h \leftarrow h + x\,\Delta W$ |
# | BitFit | every bias | $h \leftarrow h + \Delta b$ |
# | LoRA | query, value | $h \leftarrow h + s\,x A B$ |
# | adapter | after the MLP | $h \leftarrow h + \mathrm{ReLU}(h W_\downarrow)\,W_\uparrow$ |
# | parallel adapter | beside the MLP | $h \leftarrow h + s\,\mathrm{ReLU}(x W_\downarrow)\,W_\uparrow$ |
# | prefix-tuning | inside attention | $h \leftarrow (1-g)\,h + g\,\mathrm{softmax}(q P_k^\top)\,P_v$ |
# | MAM | both of the last two | a short prefix and a parallel adapter |
# | prompt tuning | before the first layer | virtual tokens |
#
# A prefix reads like an adapter: $P_k$ for $W_\downarrow$, $P_v$ for $W_\uparrow$, a softmax for the ReLU, and a gate. That is what
# the library is built on: `sites()` says what a tuned model adds where.

# %%
from collections import Counter


def places(model) -> str:
    """The sites where a tuned model adds something, and in how many layers."""
    counts = Counter(site for site, _ in model.sites().deltas)
    return (
        ", ".join(f"{site} ×{n}" for site, n in counts.items()) or f"{len(model.weights())} tensors replaced"
    )


for method in (tuning.LoRA(4), tuning.Prefix(8, False), tuning.MAM(4, 4, 1.0, False), tuning.BitFit()):
    example = tuning.attach(base, method)
    print(f"{method.name:<10}{places(example)}")
    example.detach()

# %% [markdown]
# ## Eight methods, one budget
#
# Each run gets the same base, examples, order and steps, and where a method has a size, one that stores about as much as LoRA of
# rank 4. (A prompt of such a size would fill the context; BitFit has no size to choose.) The rates are those of the lab, one for each
# method. The last column is the loss on ordinary stories, of which the task shows none.

# %%
for settings in (
    {"method": "bitfit"},
    {"method": "prompt", "length": 8},
    {"method": "prefix", "length": 8},
    {"method": "adapter", "bottleneck": 8},
    {"method": "parallel-adapter", "bottleneck": 8},
    {"method": "mam", "length": 4, "bottleneck": 4},
):
    _ = lab.run(**settings)

# %%
import pandas as pd

from minilm import datasets
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Documents

n_story = size.pick(smoke=4, cpu=16, gpu=64)
stories = [tok.encode(text) for text in datasets.load("storyworld", "dev", n=n_story)]
ordinary = [Documents(stories, tok.end_of_text, base.window // 2, n_story).batch(0)]


def row(model, stored: int) -> dict[str, float]:
    """What a model keeps on disk, and what it reaches."""
    return {
        "stored": stored,
        "of the base": f"{stored / sum(weight.numel() for weight in base.parameters()):.2%}",
        "task loss": task.loss(model),
        "facts told": task.told(model),
        "stories' loss": mean_loss(model, ordinary),
    }


rows = {"untuned base": row(base, 0)}
for run in lab.kept:
    if run.settings.method != "lora" or run.settings.rank == 4:
        rows[run.settings.method] = row(run.model, run.model.count().stored)
comparison = pd.DataFrame(rows).T.sort_values("task loss")
comparison.style.format(precision=3, thousands=",")

# %% [markdown]
# One seed and one task prove little about methods; `python benchmarks/tuning_tasks.py` measures two tasks with three seeds, and gives
# the spread. What to look at is the last column. It does not follow the number of parameters: in the saved run prefix and prompt,
# which change no weight at all, cost the stories most, since their virtual tokens stand before *every* text. But they are also the
# easiest to leave out. Nothing of the base is lost, whatever was attached.

# %%
tuned_rows = comparison.drop(index="untuned base")
best, gentlest = (
    tuned_rows["task loss"].astype(float).idxmin(),
    tuned_rows["stories' loss"].astype(float).idxmin(),
)
print(f"lowest loss on the task: {best}; of the tuned, lowest loss on ordinary stories: {gentlest}")

# %% [markdown]
# ## Many tuned models in one batch
#
# Since the base is shared and never changed, the rows of one batch can each be read by another tuned model: the products with the
# base's weights are computed once for all. Here one prompt is continued by the base, by LoRA and by an adapter, in one batch.

# %%
from minilm import generate
from minilm.tuning.mixed_batch import MixedBatch

by_method = {run.settings.method: run.model for run in lab.kept}
mixed = MixedBatch([base, by_method["lora"], by_method["adapter"]])
prompt = torch.tensor([task.encode(task.held_out[0])[0]] * 3)
together = generate(mixed, prompt, 30, temperature=0, stop_token=tok.end_of_text)
for name, ids in zip(("base", "lora", "adapter"), together.tolist(), strict=True):
    print(f"{name:<9}{tok.decode(ids[prompt.size(1) :]).split('<|endoftext|>')[0]}")

# %%
with torch.no_grad():
    logits = mixed(prompt.to(base.device)).logits
    alone = [model(prompt[:1].to(base.device)).logits[0] for model in mixed.models]
apart = max((ours - one).abs().max().item() for ours, one in zip(logits, alone, strict=True))
print(f"each row is what its model gives alone, to 1e-4: {apart < 1e-4}")

# %% [markdown]
# ## What was claimed, and what was measured here
#
# | claim | here |
# |---|---|
# | LoRA reaches fine-tuning with a thousandth of the parameters (Hu et al. 2022, tables 2 to 4) | the rows `lora` and `fine-tuning` of the comparison: with a hundredth, on a base of half a million, not quite |
# | Rank 1 suffices for query and value together (section 7.2, table 6) | the first table, of ranks 1, 4 and 16: on a base this small, rank 1 does not suffice in the saved run |
# | No added latency, since it merges (section 4.1) | the merged model is a plain `MiniLM` with the same logits |
# | The same change in parallel beats the one in sequence; the MLP uses it better than attention (He et al. 2022, section 4) | `adapter` beside `parallel-adapter`, `lora` beside both |
# | LoRA learns less and forgets less (Biderman et al. 2024) | the last two columns, `lora` beside `fine-tuning` |
#
# ## Traps
#
# - **A merge in the wrong layout.** PyTorch's linear maps and GPT-2's files hold weights transposed to each other.
# - **A second merge.** Merge into a copy, as `tuned.merge()` does; a base that was merged into is another base.
# - **Alpha left behind.** The change is scaled by $\alpha / r$. Whoever doubles the rank and keeps alpha halves the scale.
#   $\alpha / \sqrt{r}$ is another method (rsLoRA).
# - **Dropout on the wrong path.** It belongs to the low-rank path alone; the frozen path must see its input whole.
# - **A base that is not the one.** An adapter fits every base of its shape, and suits only its own: files of this library carry the
#   base's fingerprint, and loading compares it.
#
# Next: [8. Auxiliary tuning](08_auxiliary_tuning.ipynb), which leaves the model alone and shifts its logits.
