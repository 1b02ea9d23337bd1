# %% [markdown]
# # 5. Prefix-tuning
#
# **You will see** a frozen model steered by keys and values that belong to no word, how much attention they draw, and what becomes
# of the small network that makes them.
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
# A good instruction before the text changes what a model writes. But it must be made of words. What reaches the text is only what
# attention reads of those words: one key and one value a token, in every head of every layer. Prefix-tuning (Li and Liang 2021,
# section 4) leaves the words out and trains these keys and values $P_k, P_v$ directly. Every token may attend to them:
#
# $$o = \mathrm{softmax}\!\left(\frac{q\,[P_k ; K]^\top}{\sqrt p}\right) [P_v ; V]$$
#
# The model itself stays frozen. A task is then $2 \cdot L \cdot d \cdot l$ numbers, for $L$ layers of width $d$ and $l$ slots.
#
# ## Words are a prefix
#
# Take some words, keep the keys and values that the frozen model computes for them, and drop the words. With the text's
# positions counted on from there, it must read the text exactly as if the words stood before it.

# %%
words = tuple(tok.encode(" Once upon a time, in a town by the sea"))
from_words = tuning.Prefix(len(words), reparameterize=False, init=words, shift_positions=True)
tuned = tuning.attach(base, from_words)
text = torch.tensor([task.encode(task.held_out[0])[0]], device=base.device)  # (1, T)
with torch.no_grad():
    as_prefix = tuned(text).logits
    as_words = base(torch.cat([torch.tensor([words], device=base.device), text], dim=1)).logits[
        :, len(words) :
    ]
print(
    f"{len(words)} words as a prefix, the same logits to 1e-3: {torch.allclose(as_prefix, as_words, atol=1e-3)}"
)
_ = tuned.detach()

# %% [markdown]
# So a prefix can say all that words can, and much that no words say: its keys need not be those of any word.
#
# ## By hand: a prefix is a gate
#
# The softmax runs over prefix and text together. Split its sum, and the output is a mixture of two attentions (He et al. 2022,
# section 3.1, equation 7):
#
# $$o = (1 - g)\,\mathrm{softmax}\!\left(\tfrac{qK^\top}{\sqrt p}\right)V
#     + g\,\mathrm{softmax}\!\left(\tfrac{qP_k^\top}{\sqrt p}\right)P_v, \qquad
# g = \frac{\sum_i e^{q P_{k,i} / \sqrt p}}{\sum_i e^{q P_{k,i} / \sqrt p} + \sum_{j} e^{q k_j / \sqrt p}}$$
#
# Here it is for the first layer of the model, with a prefix of four random slots.

# %%
tuned = tuning.attach(base, tuning.Prefix(4, reparameterize=False))
slots = tuned.attachments["prefix"].slots
torch.nn.init.normal_(slots, std=0.5, generator=torch.Generator(base.device).manual_seed(0))
prefix_keys, prefix_values = slots[0].detach()  # of layer 0: (H, l, p) each

block = base.blocks[0]
with torch.no_grad():
    x = block.attention_norm(base(text).states[0])  # (1, T, d)
    maps = (block.attention.query, block.attention.key, block.attention.value)
    q, k, v = (m(x).unflatten(-1, (base.config.n_head, -1)).transpose(1, 2)[0] for m in maps)  # (H, T, p)

root = base.config.head_size**0.5
ahead = torch.ones(text.size(1), text.size(1), device=base.device).triu(1).bool()  # what a query may not see
on_text = (q @ k.mT / root).masked_fill(ahead, float("-inf"))  # (H, T, T)
on_prefix = q @ prefix_keys.mT / root  # (H, T, l)
g = torch.sigmoid(on_prefix.logsumexp(-1) - on_text.logsumexp(-1)).unsqueeze(-1)  # (H, T, 1)
by_hand = (1 - g) * on_text.softmax(-1) @ v + g * on_prefix.softmax(-1) @ prefix_values  # (H, T, p)

# %% [markdown]
# The library runs one softmax over all slots. `trace` shows its weights, prefix first, and reports the gate: the share of attention
# that goes to the prefix.

# %%
from minilm import trace

with trace(tuned) as seen, torch.no_grad():
    tuned(text)
together = seen.attention[0][0] @ torch.cat([prefix_values, v], dim=1)  # (H, T, l + T) @ (H, l + T, p)
print(f"outputs agree to 1e-5: {torch.allclose(by_hand, together, atol=1e-5)}")
print(f"gates agree to 1e-5:   {torch.allclose(g[..., 0], seen.gates[0][0], atol=1e-5)}")
_ = tuned.detach()

# %% [markdown]
# ## Exercise 1: the gate
#
# Complete the function: from the scores on the prefix and on the text to the share of attention that the prefix gets. Entries of
# minus infinity hide what a query may not see.


# %% tags=["key"]
def is_the_gate(answer) -> bool:
    """Whether it is the prefix's part of one softmax, also where scores are large."""
    draw = torch.Generator().manual_seed(1)
    for scale in (1.0, 300.0):
        on_prefix, on_text = (scale * torch.randn(5, n, generator=draw) for n in (3, 7))
        on_text[:, 5:] = float("-inf")
        expected = torch.cat([on_prefix, on_text], dim=-1).softmax(-1)[:, :3].sum(-1)
        found = answer(on_prefix, on_text)
        assert found.shape == expected.shape, (
            f"its shape is {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
        assert found.isfinite().all(), (
            "scores of some hundreds overflow in exp: stay with logsumexp or softmax"
        )
        if not torch.allclose(found, expected, atol=1e-5):
            return False
    return True


exercise(
    "gate",
    is_the_gate,
    hints=(
        "One way: `torch.cat` both along the last dimension, take the softmax, add up the prefix's part.",
        "Another: the sigmoid of the difference of two `logsumexp(-1)`.",
    ),
    because="a prefix cannot act more strongly than its gate lets it: where the text draws all attention, it is silent",
)


# %% tags=["exercise"]
def gate(on_prefix: torch.Tensor, on_text: torch.Tensor) -> torch.Tensor:
    """Scores (..., l) and (..., T) -> share of the prefix (...)."""
    return ...


check("gate", gate)


# %% tags=["solution"]
def gate(on_prefix: torch.Tensor, on_text: torch.Tensor) -> torch.Tensor:
    """Scores (..., l) and (..., T) -> share of the prefix (...)."""
    return torch.sigmoid(on_prefix.logsumexp(-1) - on_text.logsumexp(-1))


solution("gate", gate)

# %% [markdown]
# ## The network behind it
#
# Trained directly, the slots learn badly: each of the numbers moves on its own, and a slot that nobody attends to gets no gradient.
# So the paper (section 4.3) trains a network that makes them all,
#
# $$\mathrm{Embedding}(l, d) \to \mathrm{Linear}(d, m) \to \tanh \to \mathrm{Linear}(m, 2Ld)$$
#
# and throws it away afterwards. Only what it made is stored: published tables count it twice, once as trained and once as stored.
#
# ## Exercise 2: what it costs
#
# How many numbers does a prefix of 108 slots store for GPT-2 small (12 layers, width 768)?

# %% tags=["key"]
from minilm import ModelConfig

cost = tuning.count_on(ModelConfig.preset("gpt2"), tuning.Prefix(108))
exercise(
    "stored",
    cost.stored,
    hints=(
        "A key and a value for each slot, of width 768 over all heads, in each layer.",
        "2 * 12 * 768 * 108",
    ),
    because="that is 1.60% of the model, as in the published table of Chen et al. 2022",
)

# %% tags=["exercise"]
stored = ...
check("stored", stored)

# %% tags=["solution"]
stored = 2 * 12 * 768 * 108
solution("stored", stored)

# %%
print(
    f"stored {cost.stored:,} ({cost.fraction:.2%} of the base); trained, with the network, {cost.trained:,}"
)

# %% [markdown]
# ## The run: four ways to learn a prefix
#
# All with eight slots, the same examples and the same order:
#
# - **network**: as above;
# - **direct**: without the network;
# - **from words**: without it, but starting at the keys and values of real words, here the first of a training text;
# - **prompt**: embeddings only, that is vectors in place of the words, and the model computes keys and values itself (Lester et
#   al. 2021). It has fewer numbers to turn, and they act only through the frozen layers.
#
# Look at where each curve starts, and how fast it falls.

# %%
from lessons.widgets import TrainingDashboard
from minilm import train

start = tuple(tok.encode(task.records[0].target)[:8])
ways = {
    "network": (tuning.Prefix(8, hidden=128), 1e-2),
    "direct": (tuning.Prefix(8, reparameterize=False), 1e-1),
    "from words": (tuning.Prefix(8, reparameterize=False, init=start), 5e-2),
    "prompt": (tuning.Prompt(8), 1e-1),
}
steps = size.pick(smoke=4, cpu=400, gpu=600)
pace = {
    "steps": steps,
    "warmup_steps": steps // 10,
    "evaluate_every": max(2, steps // 10),
    "device": size.device,
}
dashboard = TrainingDashboard(title="Eight virtual tokens")
prefixes = {}
for name, (method, rate) in ways.items():
    torch.manual_seed(0)
    prefixes[name] = tuning.attach(base, method)
    dashboard.next_run(name, f"rate {rate:g}")
    _ = train(
        prefixes[name], task.batches(prefixes[name].window), method.recipe(learning_rate=rate, **pace),
        evaluate=task.loss, sample=task.sample, callbacks=[dashboard], progress=False,
    )  # fmt: skip

# %%
import pandas as pd

rows = {
    name: {
        "trained": model.count().trained,
        "stored": model.count().stored,
        "loss": round(task.loss(model), 3),
        "facts told": round(task.told(model), 2),
    }
    for name, model in prefixes.items()
}
untuned = {
    "trained": 0,
    "stored": 0,
    "loss": round(task.loss(base), 3),
    "facts told": round(task.told(base), 2),
}
pd.DataFrame({"untuned base": untuned, **rows}).T.astype({"trained": int, "stored": int})

# %% [markdown]
# Each way has a rate of its own: what the network makes moves much faster than its weights, so it wants smaller steps. A prefix's published rate, 5e-5 for GPT-2, would leave a model this small where it was.
#
# ## The network is gone
#
# Saved and loaded again, the prefix is its slots alone, and says the same.

# %%
import tempfile

tuned = prefixes["network"]
with tempfile.TemporaryDirectory() as folder:
    tuned.save(folder)
    loaded = tuning.load(base, folder)
with torch.no_grad():
    same = torch.allclose(loaded(text).logits, tuned(text).logits, atol=1e-5)
print(f"trained {tuned.count().trained:,}, loaded {loaded.count().trained:,}; the same logits: {same}")
_ = loaded.detach()

# %% [markdown]
# ## Looking: attention on virtual tokens
#
# The explorer shows base and prefix side by side. The first eight columns of the prefix model are its slots. Look for heads that
# read them at every token, and for heads that never do; the sliders choose the layer and the head.

# %%
from lessons.widgets import AttentionExplorer

example = task.held_out[0]
shown = tok.decode((task.encode(example)[0] + task.encode(example)[1])[:40])
AttentionExplorer({"base": base, "prefix": tuned}, tok, shown, layer=base.config.n_layer)

# %% [markdown]
# And all heads at once: the mean gate over the tokens of all held-out examples, that is, how much of its attention each head gives
# to the prefix.

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
examples = task.examples(task.held_out[:8])
gates = torch.zeros(base.config.n_layer, base.config.n_head)
with trace(tuned) as seen, torch.no_grad():
    for prompt, target in examples:
        tuned(torch.tensor([prompt + target], device=base.device))
        gates += torch.stack([seen.gates[layer][0].mean(-1).cpu() for layer in range(len(gates))]) / len(
            examples
        )

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
image = axes.imshow(gates, vmin=0, vmax=1, aspect="auto")
_ = axes.set(xlabel="head", ylabel="layer", yticks=range(len(gates)), xticks=range(base.config.n_head))
_ = axes.set_yticklabels(range(1, len(gates) + 1))
_ = axes.set_xticklabels(range(1, base.config.n_head + 1))
_ = figure.colorbar(image, label="mean gate")
print(
    f"over all heads the prefix draws {gates.mean():.0%} of the attention; from {gates.min():.0%} to {gates.max():.0%}"
)

# %% [markdown]
# ## Exercise 3: does the order matter?
#
# Reverse the eight slots of the prefix; or reverse the eight vectors of the prompt. Which of the two changes what the model writes?
# Answer with True where the logits change.


# %% tags=["key"]
def changes_when_reversed(model, reverse) -> bool:
    """Whether the logits of a text move when the virtual tokens are put in the opposite order."""
    with torch.no_grad():
        before = model(text).logits
        reverse()
        after = model(text).logits
        reverse()
    return not torch.allclose(before, after, atol=1e-3)


in_slots, in_prompt = (
    prefixes["direct"].attachments["prefix"].slots,
    prefixes["prompt"].attachments["prompt"].vectors,
)
exercise(
    "order",
    {
        "prefix": changes_when_reversed(prefixes["direct"], lambda: in_slots.data.copy_(in_slots.flip(-2))),
        "prompt": changes_when_reversed(prefixes["prompt"], lambda: in_prompt.data.copy_(in_prompt.flip(0))),
    },
    hints=(
        "Attention is a sum over keys. Where does a key say at which place it stands?",
        "A prompt's vectors get position embeddings, as tokens do; a prefix's slots are keys already.",
    ),
    because="a prefix is a set; a prompt is a sequence",
)

# %% tags=["exercise"]
order_matters = {"prefix": ..., "prompt": ...}
check("order", order_matters)

# %% tags=["solution"]
order_matters = {"prefix": False, "prompt": True}
solution("order", order_matters)

# %% [markdown]
# ## Turning: the length
#
# Now the length is yours. The lab begins with 1 and 16 slots; turn the slider and press Run. The paper saw its scores rise to 200
# slots for summarisation and to 10 for tables, and then fall a little (section 7.1, figure 4): more slots, more to overfit.

# %%
from lessons.widgets import TuningLab, TuningSettings

lab = TuningLab(
    base, task.examples(task.records), task.examples(task.held_out), sample=task.sample, device=size.device,
    methods=("prefix", "prompt", "fine-tuning"),
    settings=TuningSettings(
        method="prefix", length=8, learning_rate=1e-2, steps=size.pick(smoke=5, cpu=100, gpu=400)
    ),
)  # fmt: skip
for length in (1, 16):
    _ = lab.run(length=length)
full = lab.run(method="fine-tuning").model

# %%
lab.table()

# %% [markdown]
# ## Exercise 4: room for the text
#
# A prompt's vectors take up positions: a text that follows must fit into what is left. How many tokens of text can the tuned model
# `prefixes["prompt"]` read? `base.window` is what the base can.

# %% tags=["key"]
exercise(
    "room",
    prefixes["prompt"].window,
    hints=("Eight positions are taken.", "`base.window - 8`"),
    because="the slots of a prefix take none, unless its positions are shifted as the reference does: `shift_positions=True`",
)

# %% tags=["exercise"]
room = ...
check("room", room)

# %% tags=["solution"]
room = base.window - 8
solution("room", room)

# %%
shifted = tuning.attach(base, tuning.Prefix(8, reparameterize=False, shift_positions=True))
print(
    f"base {base.window}, prefix {tuned.window}, prompt {prefixes['prompt'].window}, shifted prefix {shifted.window}"
)
_ = shifted.detach()

# %% [markdown]
# ## Kinds of text that training never showed
#
# The paper's strongest claim is about *unseen* topics: a frozen model keeps what it knows, so a prefix should carry over better than
# fine-tuning (section 6.4, table 3). The test split has plots of which no example was trained on.

# %%
from minilm import datasets
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Completions

test = datasets.load("storyworld-triples", "test", n=size.pick(smoke=30, cpu=160, gpu=1000), facts=2)
groups = {"seen plots": [r for r in test if r.seen], "unseen plots": [r for r in test if not r.seen]}
losses = {
    name: {
        group: round(mean_loss(model, Completions(task.examples(records), 16, model.window).in_order()), 3)
        for group, records in groups.items()
    }
    for name, model in {"untuned base": base, **prefixes, "fine-tuning": full}.items()
}
print({group: f"{len(records)} examples" for group, records in groups.items()})
pd.DataFrame(losses).T

# %%
rise = {name: row["unseen plots"] - row["seen plots"] for name, row in losses.items()}
print(
    f"loss on unseen plots above that on seen ones: prefix {rise['network']:+.3f}, fine-tuning {rise['fine-tuning']:+.3f}"
)

# %% [markdown]
# The base has read stories of all plots when it was pretrained; what is unseen is the task on them. That is the paper's setting,
# too: GPT-2 had read of every topic.
#
# ## What was claimed, and what was measured here
#
# | claim | here |
# |---|---|
# | A thousandth of the parameters comes close to fine-tuning (Li and Liang 2021, table 1: 0.1%) | the losses of `network` and `fine-tuning`: eight slots are about 1% of so small a model, and a gap remains |
# | Carries over to unseen topics better than fine-tuning (section 6.4) | the last table, and the two rises below it |
# | Training the slots directly is unstable, and worse (section 4.3) | `direct` beside `network`, each at a rate that suits it |
# | Starting from real words helps most where data is scarce (section 7.4, figure 5) | `from words` beside `direct`: with 400 examples it made no great difference in the saved run |
# | Embeddings only are weaker (section 7.2, table 4), above all in small models (Lester et al. 2021, figure 1) | `prompt` beside the rest |
#
# ## Traps
#
# - **The prefix again at each step.** With a cache of keys and values, slots belong before the *first* key once, not before each
#   new token's.
# - **Missing columns in the mask.** The slots stand left of the text; a causal mask of size $T \times T$ hides or shifts them.
# - **Saving the network, or going on without it.** The stored slots are all one needs to use a prefix, and too little to resume its
#   training as it was.
# - **Positions.** The reference counts the text from $l$ on and loses that much context; this library from 0. A prefix that was trained
#   under one rule is wrong under the other.
# - **A small gate.** Slots that start far from all queries draw no attention and get no gradient. Start them near: from words, or
#   through the network. The next lesson makes a key for every query instead.
#
# Next: [6. Inducer-tuning](06_inducer_tuning.ipynb), which puts one virtual token beside each query.
