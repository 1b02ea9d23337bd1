# %% [markdown]
# # 2. The transformer
#
# **You will see** attention grow out of an old idea from statistics, a whole GPT-2 in thirty lines that gives the library's
# numbers, and what the heads of a trained model look at.
#
# **It takes** about a minute. Nothing is trained: the model comes with the course.

# %%
import math

import torch
import torch.nn.functional as F

from lessons.checks import check, exercise, solution
from lessons.profiles import profile

print(profile())

# %% [markdown]
# ## The idea
#
# To say what comes next, a token has to gather what matters from the tokens before it. In a transformer each token asks a
# *query* $q$, and each token before it offers a *key* $k$ and a *value* $v$. A token gets a weighted mean of the values,
# and values whose keys fit the query weigh more:
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{p}}\right) V$$
#
# (Vaswani et al. 2017, *Attention Is All You Need*, equation 1; $p$ is the width of queries and keys). One row of it, with
# the softmax written out:
#
# $$o_i = \frac{\sum_j \kappa(q_i, k_j)\, v_j}{\sum_j \kappa(q_i, k_j)} \qquad
# \kappa(q, k) = \exp\left(\frac{q \cdot k}{\sqrt{p}}\right)$$
#
# Statisticians know this as a **kernel smoother**, or Nadaraya-Watson estimator (Nadaraya 1964, Watson 1964): to estimate a
# curve at a point, take the mean of what was measured, and let close points weigh more. That attention is one was worked
# out by Tsai et al. (2019, *Transformer Dissection*). Inducer-tuning, some lessons from here, is built on it.
#
# ## A kernel smoother
#
# Sixty noisy measurements of a curve. Where a point lies is its key, what was measured there its value, and the query is
# any place at which we want an estimate. "Close" is what the kernel says; here a Gaussian of bandwidth $h$:

# %%
torch.manual_seed(2)
places = 6 * torch.rand(60).sort().values - 3  # keys
measured = places.cos() + 0.3 * torch.randn(60)  # values
asked = torch.linspace(-3, 3, 200)  # queries


def smooth(asked: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """The mean of what was measured, for each place asked for; close measurements weigh more."""
    squared_distance = (asked[:, None] - places[None, :]) ** 2  # (queries, keys)
    kernel = torch.exp(-squared_distance / (2 * bandwidth**2))
    return (kernel @ measured) / kernel.sum(dim=1)


# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
bandwidths = {0.03: "each hears one neighbour", 0.4: "about right", 3.0: "all hear everyone"}
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (bandwidth, title) in zip(axes, bandwidths.items(), strict=True):
    _ = ax.plot(places, measured, "o", markersize=3, alpha=0.5, label="measured")
    _ = ax.plot(asked, asked.cos(), "--", linewidth=1, color="grey", label="truth")
    _ = ax.plot(asked, smooth(asked, bandwidth), linewidth=2, label="estimate")
    _ = ax.set(title=f"h = {bandwidth}: {title}", xlabel="place")
_ = axes[0].legend(fontsize=8)

# %% [markdown]
# Now the step to attention. Put each place on a circle of radius $r$: $k = r\,(\cos x, \sin x)$. All keys are then equally
# long, and $-|q - k|^2 / 2h^2 = q \cdot k / h^2$ plus a constant, which the denominator cancels. So the Gaussian kernel and
# $\exp(q \cdot k / h^2)$ give the same weights: **a dot product is a closeness**, and what divides it is a bandwidth.

# %% tags=["nbval-check-output"]
radius, h = 2.0, 0.8
keys = radius * torch.stack([places.cos(), places.sin()], dim=-1)  # (60, 2)
queries = radius * torch.stack([asked.cos(), asked.sin()], dim=-1)  # (200, 2)
gaussian = torch.exp(-(torch.cdist(queries, keys) ** 2) / (2 * h**2))
by_distance = gaussian @ measured / gaussian.sum(dim=1)
by_attention = torch.softmax(queries @ keys.T / h**2, dim=-1) @ measured
print("the same curve:", torch.allclose(by_distance, by_attention, atol=1e-5))

# %% [markdown]
# ## Exercise 1: the bandwidth of a head
#
# A transformer divides $q \cdot k$ by $\sqrt{p}$ where the smoother divides by $h^2$. GPT-2's heads have width $p = 64$. With
# which bandwidth do they smooth?

# %% tags=["key"]
exercise(
    "bandwidth",
    64**0.25,
    hints=("Set h squared equal to the root of 64.", "h² = 8, so h is the root of 8."),
    because="the bandwidth is fixed; a head becomes sharper by making its queries and keys longer",
)

# %% tags=["exercise"]
bandwidth = ...
check("bandwidth", bandwidth)

# %% tags=["solution"]
bandwidth = math.sqrt(math.sqrt(64))
solution("bandwidth", bandwidth)

# %% [markdown]
# ## Why the root
#
# If the entries of $q$ and $k$ are independent with variance 1, their dot product has variance $p$. Undivided, the scores of
# wide heads lie far apart, softmax gives nearly all to one key, and almost no gradient comes back through it (Vaswani et al.,
# section 3.2.1). Measured: the largest of 100 weights, and the length of the gradient at the scores.

# %%
import pandas as pd


def sharpness(p: int, divide: bool) -> tuple[float, float]:
    """Largest weight, and gradient norm of the weights' entropy at the scores; means over 500 queries."""
    q, k = torch.randn(500, 1, p), torch.randn(500, 100, p)
    scores = (q @ k.transpose(1, 2)) / (math.sqrt(p) if divide else 1)
    scores.requires_grad_()
    log_weights = scores.log_softmax(dim=-1)
    entropy = -(log_weights.exp() * log_weights).sum(dim=-1)
    entropy.sum().backward()
    return log_weights.exp().amax(dim=-1).mean().item(), scores.grad.norm(dim=-1).mean().item()


torch.manual_seed(0)
columns = ("largest weight", "gradient")
rows = {p: [*sharpness(p, divide=False), *sharpness(p, divide=True)] for p in (4, 16, 64, 256, 1024)}
names = pd.MultiIndex.from_product([("undivided", "divided by √p"), columns])
pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("p").round(3)

# %% [markdown]
# Divided, a head begins equally soft at any width. Undivided, a wide one has made up its mind before it has seen anything,
# and hardly a gradient tells it otherwise.
#
# ## Attention by hand
#
# Two things are still missing. A model that predicts the next token must not see it, so query $i$ may look at keys
# $j \le i$ only: the **causal mask**. And one weighted mean can follow one thought only, so a layer has several **heads**,
# which share the width: with 4 heads, a width of 32 is cut into 4 pieces of 8.
#
# ## Exercise 2: the mask
#
# Write the function: a table of T rows (queries) and T columns (keys), True where the query may look.


# %% tags=["key"]
def may_look(answer) -> bool:
    """Whether the mask is right for several lengths."""
    for T in (1, 2, 5):
        mask = torch.as_tensor(answer(T))
        assert mask.shape == (T, T), f"for T = {T} its shape is {tuple(mask.shape)} and should be ({T}, {T})"
        assert mask.dtype == torch.bool, "it should hold True and False"
        assert not mask.triu(1).any(), "some query looks at a later key"
        assert int(mask.sum()) == T * (T + 1) // 2, "some query may not look at itself or at an earlier key"
    return True


exercise(
    "mask",
    may_look,
    hints=(
        "Row i is True in the columns 0 to i: a lower triangle.",
        "`torch.ones(T, T, dtype=torch.bool)` is all True; `.tril()` keeps the lower triangle.",
    ),
    because="it is what lets one pass learn from all T tokens at once",
)


# %% tags=["exercise"]
def causal_mask(T: int) -> torch.Tensor:
    """(T, T) booleans: may query i (row) look at key j (column)?"""
    return ...


check("mask", causal_mask)


# %% tags=["solution"]
def causal_mask(T: int) -> torch.Tensor:
    """(T, T) booleans: may query i (row) look at key j (column)?"""
    return torch.ones(T, T, dtype=torch.bool).tril()


solution("mask", causal_mask)


# %% [markdown]
# With it, attention is short. `B` counts texts, `H` heads, `T` tokens, `p` the width of a head.


# %%
def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention of queries, keys and values (B, H, T, p): the outputs (B, H, T, p)."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, T)
    scores = scores.masked_fill(~causal_mask(q.size(-2)), float("-inf"))  # exp(-inf) = 0
    return scores.softmax(dim=-1) @ v


def split(x: torch.Tensor, n_head: int) -> torch.Tensor:
    """(B, T, d) -> (B, H, T, p): each head takes its piece of the width."""
    return x.unflatten(-1, (n_head, -1)).transpose(1, 2)


def join(heads: torch.Tensor) -> torch.Tensor:
    """(B, H, T, p) -> (B, T, d)."""
    return heads.transpose(1, 2).flatten(2)


# %% [markdown]
# The library has it twice: `attend(..., explicit=True)` as above, which the widgets look into, and a fused kernel that never
# writes down the table of weights. All three must agree.

# %% tags=["nbval-check-output"]
from minilm.model.attention import attend

torch.manual_seed(0)
q, k, v = (split(torch.randn(2, 10, 32), n_head=4) for _ in range(3))
by_hand = attention(q, k, v)
print(
    "as the library's explicit attention:",
    torch.allclose(by_hand, attend(q, k, v, explicit=True).output, atol=1e-6),
)
print("as the library's fused attention:   ", torch.allclose(by_hand, attend(q, k, v).output, atol=1e-6))

# %% [markdown]
# ## The whole model
#
# A transformer keeps a vector of width $d$ for each token, the **residual stream**. Each block only adds to it, twice: what
# attention gathered from other tokens, then what a small network (the MLP) makes of each token by itself. Both read the
# stream through a LayerNorm, which sets its mean to 0 and its variance to 1.
#
# $$y = x + \mathrm{Attention}(\mathrm{LN}(x)) \qquad z = y + \mathrm{MLP}(\mathrm{LN}(y))$$
#
# This is GPT-2 (Radford et al. 2019, section 2.3: LayerNorm moved to the input of each sub-layer). `w` holds the weights by
# name:


# %%
def linear(w: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# %%
def block(w: dict, name: str, x: torch.Tensor, n_head: int) -> torch.Tensor:
    seen = norm(w, f"{name}.attention_norm", x)
    q, k, v = (
        split(linear(w, f"{name}.attention.{part}", seen), n_head) for part in ("query", "key", "value")
    )
    x = x + linear(w, f"{name}.attention.output", join(attention(q, k, v)))
    hidden = gelu(linear(w, f"{name}.mlp.up", norm(w, f"{name}.mlp_norm", x)))  # (B, T, 4d)
    return x + linear(w, f"{name}.mlp.down", hidden)


def gpt2(w: dict, tokens: torch.Tensor, n_layer: int, n_head: int) -> torch.Tensor:
    """Tokens (B, T) to logits (B, T, vocab)."""
    x = w["token_embedding.weight"][tokens] + w["position_embedding.weight"][: tokens.size(1)]  # (B, T, d)
    for layer in range(n_layer):
        x = block(w, f"blocks.{layer}", x, n_head)
    return norm(w, "final_norm", x) @ w["token_embedding.weight"].T


# %% [markdown]
# That is all of it. The last line compares the final stream with the embedding of every token: the same table is used for
# reading and for predicting. Now the library's `MiniLM` with the bundled weights, on a story:

# %%
from minilm import load_pretrained
from minilm.storyworld import StoryWorld

model, tok = load_pretrained("stories")
shape, w = model.config, model.state_dict()
story = StoryWorld("stories").sample(1, seed=5)[0].text
tokens = torch.tensor([tok.encode("<|endoftext|>" + story)])[:, : model.window]
print(shape, "\n")
print(story)

# %% tags=["nbval-check-output"]
with torch.no_grad():
    ours = gpt2(w, tokens, shape.n_layer, shape.n_head)
    library = model(tokens).logits
largest = (ours - library).abs().max().item()
print("by hand and by the library, the same logits:", largest < 1e-5 * library.abs().max().item())

# %% [markdown]
# ## The same as GPT-2
#
# And `transformers`, which most of the world runs GPT-2 with? `interop` carries weights over, in both directions. First a
# random GPT-2 of theirs into ours, then our trained model into theirs.

# %% tags=["nbval-check-output"]
from transformers import GPT2Config, GPT2LMHeadModel

from minilm import interop

torch.manual_seed(0)
random_ids = torch.randint(300, (2, 40))
theirs = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=300, n_positions=64, n_embd=48, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None
    )
).eval()
for weight in theirs.parameters():
    _ = weight.data.normal_(std=0.2) if weight.dim() == 2 else weight  # far from the small first weights
with torch.no_grad():
    carried = interop.from_transformers(theirs)
    gap_in = (carried(random_ids).logits - theirs(random_ids).logits).abs().max().item()
    gap_out = (interop.to_transformers(model)(tokens).logits - library).abs().max().item()
print("theirs in ours, largest difference below 1e-4:", gap_in < 1e-4)
print("ours in theirs, largest difference below 1e-4:", gap_out < 1e-4)

# %% [markdown]
# So this model and a downloaded `load_pretrained("gpt2")` are the same code, and differ in their numbers alone.
#
# ## Exercise 3: count the weights
#
# A block has the maps query, key, value and output ($d \times d$ each), up ($d \times 4d$) and down ($4d \times d$), each with
# a bias as wide as its output, and two LayerNorms with a gain and a bias of width $d$. How many weights has a block of GPT-2
# small, where $d = 768$?

# %% tags=["key"]
exercise(
    "count",
    12 * 768**2 + 13 * 768,
    hints=(
        "The matrices: 4 of d², and two of 4d².",
        "The biases: 4d for the first four maps, 4d and d for the MLP; the LayerNorms: 2 times 2d.",
        "12 d² + 13 d",
    ),
    because="two thirds of a block are its MLP; attention, for all its fame, is one third",
)

# %% tags=["exercise"]
n_weight = ...
check("count", n_weight)

# %% tags=["solution"]
d = 768
n_weight = 12 * d**2 + 13 * d
solution("count", n_weight)

# %% [markdown]
# ## The residual stream
#
# Since blocks only add, the final stream is a sum: embedding + what each sub-layer wrote. How much does each write? The
# figure below shows the mean length of what each adds.

# %%
from minilm.model.sites import Sites

written: dict[str, torch.Tensor] = {}


def watch(name: str):
    """A delta that notes what a sub-layer wrote, and adds nothing."""

    def delta(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        written[name] = y
        return torch.zeros_like(y)

    return delta


# %%
watched = {("attention_out", n): [watch(f"attention {n + 1}")] for n in range(shape.n_layer)}
watched |= {("mlp", n): [watch(f"mlp {n + 1}")] for n in range(shape.n_layer)}
with torch.no_grad():
    states = model(tokens, sites=Sites(watched)).states
total = states[0] + sum(written.values())
print("embedding + all that was written = the final stream:", torch.allclose(total, states[-1], atol=1e-3))

# %% [markdown]
# `Sites` is the library's one door for changes: it names places in the model, and what stands there is added. All tuning
# methods of this course go through it.

# %%
order = [f"{part} {n + 1}" for n in range(shape.n_layer) for part in ("attention", "mlp")]
lengths = [
    states[0].norm(dim=-1).mean().item(),
    *(written[name].norm(dim=-1).mean().item() for name in order),
]
figure, ax = plt.subplots(figsize=(8, 0.4 * len(lengths) + 1))
colours = ["grey"] + ["C0", "C1"] * shape.n_layer
_ = ax.barh(["embedding", *order], lengths, color=colours)
_ = ax.invert_yaxis()
_ = ax.set(xlabel="mean length of what is written", title="Who writes how much into the stream")

# %% [markdown]
# Because every state lies in the same stream, each can be read as if it were the last: put it through the final LayerNorm
# and the embedding (the *logit lens*, nostalgebraist 2020). **Look for** the layer at which the model makes up its mind.

# %%
n_shown = 14
rows = {}
for layer, state in enumerate(states):
    with torch.no_grad():
        probabilities = model.predict(state)[0, :n_shown].softmax(dim=-1)
    best = probabilities.max(dim=-1)
    cells = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    rows[f"after block {layer}" if layer else "embedding"] = [f"{tok.readable(t)} {p:.0%}" for t, p in cells]
read = [tok.readable(t) for t in tokens[0, :n_shown].tolist()]
came = [tok.readable(t) for t in tokens[0, 1 : n_shown + 1].tolist()]
pd.DataFrame({**rows, "what came": came}, index=pd.Index(read, name="after reading"))

# %% [markdown]
# ## What the heads look at
#
# Now look inside. A line runs from each token to those that it gathers from, the thicker the more; the table beside it holds
# the same weights. Turn layer and head. **Look for** heads that look just behind themselves, and heads that look at the very
# first token: softmax must spend its weight somewhere, and that is a place to rest.

# %%
from lessons.widgets import AttentionExplorer

AttentionExplorer(model, tok, "<|endoftext|>" + story)

# %% [markdown]
# Eyes can deceive, so let us count. `trace` hands out what the widget draws: for each layer, the weights (B, H, T, T).

# %% tags=["nbval-check-output"]
from minilm import trace

with torch.no_grad(), trace(model) as t:
    model(tokens)
sums = torch.stack([t.attention[layer].sum(dim=-1) for layer in range(shape.n_layer)])
print("every row sums to one:", torch.allclose(sums, torch.ones_like(sums), atol=1e-5))

# %% [markdown]
# ## Exercise 4: one token back
#
# Complete the function: given the weights of one layer (B, H, T, T), how much attention does each head pay, in the mean over
# all queries but the first, to the token just before?


# %% tags=["key"]
def looks_back(answer) -> bool:
    """Whether the shares are right for every layer of the model."""
    for weights in t.attention.values():
        got = torch.as_tensor(answer(weights))
        right = torch.stack([weights[:, :, i, i - 1] for i in range(1, weights.size(-1))]).mean(dim=(0, 1))
        assert got.shape == right.shape, f"one number a head: its shape should be {tuple(right.shape)}"
        if not torch.allclose(got, right, atol=1e-5):
            return False
    return True


exercise(
    "one back",
    looks_back,
    hints=(
        "The weight of query i on key i - 1 stands one below the diagonal.",
        "`weights.diagonal(offset=-1, dim1=-2, dim2=-1)` has the shape (B, H, T - 1).",
        "Take the mean of that over texts and queries: `.mean(dim=(0, 2))`.",
    ),
    because="such heads tell a token what stood before it, and others build on that to copy what followed last time",
)


# %% tags=["exercise"]
def one_back(weights: torch.Tensor) -> torch.Tensor:
    """(B, H, T, T) -> (H,): the mean attention to the token just before."""
    return ...


check("one back", one_back)


# %% tags=["solution"]
def one_back(weights: torch.Tensor) -> torch.Tensor:
    """(B, H, T, T) -> (H,): the mean attention to the token just before."""
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=(0, 2))


solution("one back", one_back)

# %% [markdown]
# Three things that a head may do, counted over twenty stories: look one token back; look at the first token; and, where a name
# comes next that stood in the story before, look at *that name*, before the model has said it. A head that does the last
# copies. The last column of the figure is a head that looks everywhere alike.


# %%
def kinds_of(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """For T tokens, three (T, T) tables: is key j of that kind, for query i?"""
    may_see = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    is_name = torch.tensor([tok.decode([token])[:2].strip().isupper() for token in ids.tolist()])  # " Erik"
    to_come = torch.zeros_like(may_see)
    to_come[:-1] = (ids[1:, None] == ids) & is_name[1:, None]  # after the last token comes nothing
    return {
        "one back": may_see.tril(-1) & ~may_see.tril(-2),
        "first token": may_see.tril(-1) & (torch.arange(len(ids)) == 0),
        "the name to come": may_see & to_come,
    }


# %%
@torch.no_grad()
def shares(ids: torch.Tensor) -> torch.Tensor:
    """(kinds, layers * heads + 1): the mean attention to each kind, over the queries that have such a key."""
    with trace(model) as t:
        model(ids[None])
    even = torch.ones(len(ids), len(ids)).tril() / torch.arange(1, len(ids) + 1)[:, None]
    heads = torch.cat([*(t.attention[layer][0] for layer in range(shape.n_layer)), even[None]])
    tables = kinds_of(ids).values()
    return torch.stack([(heads * kind).sum(dim=-1)[:, kind.any(dim=1)].mean(dim=-1) for kind in tables])


# %%
texts = [
    tok.encode("<|endoftext|>" + each.text)[: model.window]
    for each in StoryWorld("stories").sample(20, seed=4)
]
counted = torch.stack([shares(torch.tensor(text)) for text in texts]).nanmean(dim=0)
names = [f"{layer + 1}.{head + 1}" for layer in range(shape.n_layer) for head in range(shape.n_head)]
kinds = list(kinds_of(tokens[0]))
figure, ax = plt.subplots(figsize=(11, 2.2), layout="constrained")
image = ax.imshow(counted, vmin=0, aspect="auto")
_ = ax.set(title="Attention of each head (layer.head) to three kinds of tokens")
_ = ax.set_yticks(range(3), kinds)
_ = ax.set_xticks(range(len(names) + 1), [*names, "even"], fontsize=8, rotation=90)
_ = figure.colorbar(image, label="share")
for kind, row in zip(kinds, counted, strict=True):
    print(f"{kind:22} most in head {names[row[:-1].argmax()]:5} {row[:-1].max():4.0%}, evenly {row[-1]:4.0%}")

# %% [markdown]
# Here is the head that copies best, on the story above. **Look at** the token just before a name that has stood in the story
# already: the head reaches back to where the person was named, and what it gathers there makes the model say the name. Where
# no name is due, it rests on the first token.

# %%
place = int(counted[2, :-1].argmax())
layer, head = divmod(place, shape.n_head)
AttentionExplorer(model, tok, "<|endoftext|>" + story, layer=layer + 1, head=head + 1)

# %% [markdown]
# ## The claims, and what was measured
#
# | claim | where | measured above |
# |---|---|---|
# | undivided scores push softmax "into regions where it has extremely small gradients" | Vaswani et al. 2017, section 3.2.1 | undivided, the gradient shrinks as heads grow wider; divided, it stays |
# | several heads can "attend to information from different representation subspaces at different positions" | section 3.2.2 | the heads of one layer differ in what they look at |
# | GPT-2 small has 117 million weights | Radford et al. 2019, table 2 | the cell below |

# %% tags=["nbval-check-output"]
d, vocabulary, positions, layers = 768, 50257, 1024, 12
total = vocabulary * d + positions * d + layers * (12 * d**2 + 13 * d) + 2 * d
print(f"GPT-2 small has {total:,} weights")

# %% [markdown]
# The paper's table miscounted; its authors corrected it to 124 million when they published the weights.
#
# ## Traps
#
# **Heads by `view` alone.** Cutting (B, T, d) directly into (B, H, T, p) runs without complaint and hands out other tokens'
# numbers. The width must be cut first, and the axes exchanged then:

# %% tags=["nbval-check-output"]
x = torch.arange(12).view(1, 6, 2)  # 6 tokens of width 2
print(
    "token 0 in head 0, right:",
    split(x, 2)[0, 0, 0].tolist(),
    " by view alone, head 0:",
    x.view(1, 2, 6, 1)[0, 0, :, 0].tolist(),
)

# %% [markdown]
# By view alone, head 0 holds all of tokens 0 to 2 and nothing of the others.
#
# **The mask after the softmax.** Setting weights to 0 afterwards leaves rows that sum to less than 1, and the future has
# already shaped the denominator. The mask belongs on the scores, as $-\infty$.
#
# **Which GELU.** GPT-2 uses the tanh approximation. The exact one differs little at each place, yet shows in the logits:

# %%
grid = torch.linspace(-5, 5, 1001)
print(f"largest difference of the two: {(gelu(grid) - F.gelu(grid)).abs().max():.1e}")
exact = interop.to_transformers(model)
for layer in exact.transformer.h:
    layer.mlp.act = torch.nn.GELU()
with torch.no_grad():
    moved = (exact(tokens).logits - library).abs().max().item()
print(f"largest difference of logits:  {moved:.1e}, where the right one has {gap_out:.1e}")

# %% [markdown]
# **Transposed weights.** The published GPT-2 stores maps as (in, out), `nn.Linear` as (out, in). Square matrices fit either way
# round and give nonsense without an error; that is why a converted model is compared on logits, not on shapes.
#
# **Reading attention as a reason.** A large weight says where a head gathered from, not what the model made of it: values may
# be short, other heads may undo it, and the same output can come from other weights (Jain & Wallace 2019, *Attention is not
# Explanation*).
#
# Next: where the weights come from. [3. Pretraining](03_pretraining.ipynb)
