# %% [markdown]
# # 5. Prefix-tuning
#
# **You will see** a frozen model take up a new notation from a few trained keys and values that belong to no word; how much
# attention they draw; and what they are worth beside fine-tuning, with little data, and on stories of an unseen kind.
#
# **It takes** about three minutes of computing on two idle CPU cores, and about an hour of reading and exercises.

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
n_test = size.pick(smoke=4, cpu=32, gpu=150)
task = FactsToText(tok, n_train=400, n_held_out=n_test)  # learns from train, is watched on dev
test = FactsToText(tok, n_train=400, n_held_out=n_test, split="test")  # for the final tables
print(test.held_out[0].prompt, "\n   ->", test.held_out[0].target)

# %% [markdown]
# The task is that of lesson 4: facts in a notation that was held out of pretraining, and a passage that tells them.
#
# ## The idea
#
# An instruction before the text changes what a model writes. What later tokens get from the words of an instruction is only what
# attention reads of them: one key and one value for each word, in every head of every layer. Prefix-tuning (Li and Liang 2021,
# section 4) leaves out the words and trains the keys $P_k$ and values $P_v$ directly. Every token of the text may attend to them:
#
# $$o = \mathrm{softmax}\!\left(\frac{q\,[P_k ; K]^\top}{\sqrt p}\right) [P_v ; V]$$
#
# The model stays frozen. A task is then $2 \cdot L \cdot d \cdot l$ numbers, for $L$ layers of width $d$ and $l$ *slots*, also called
# virtual tokens.

# %%
from lessons.widgets import drawings

drawings.prefix()

# %% [markdown]
# ## By hand: the equation
#
# For the first layer, with four random slots. The text is one test example.

# %%
import math

text = torch.tensor([[*test.judged[0][0], *test.judged[0][1]]], device=base.device)  # (1, T)
by_hand = tuning.attach(base, tuning.Prefix(4, reparameterize=False))
slots = by_hand.attachments["prefix"].slots  # (L, 2, H, l, p)
torch.nn.init.normal_(slots, std=0.5, generator=torch.Generator(base.device).manual_seed(0))
P_k, P_v = slots[0].detach()  # of the first layer: (H, l, p) each

block = base.blocks[0]
with torch.no_grad():
    x = block.attention_norm(base(text).states[0])  # (1, T, d)
    maps = (block.attention.query, block.attention.key, block.attention.value)
    q, k, v = (m(x).unflatten(-1, (base.config.n_head, -1)).transpose(1, 2)[0] for m in maps)  # (H, T, p)

T = text.size(1)
scores = q @ torch.cat([P_k, k], dim=1).mT / math.sqrt(base.config.head_size)  # (H, T, l + T)
later = torch.ones(T, T, device=base.device).triu(1).bool()  # what a query may not see
hidden = torch.cat([torch.zeros_like(later[:, :4]), later], dim=1)  # (T, l + T): all see the prefix
weights = scores.masked_fill(hidden, -math.inf).softmax(-1)  # (H, T, l + T)
output = weights @ torch.cat([P_v, v], dim=1)  # (H, T, p)

# %% [markdown]
# The library's model with the same prefix has the same attention weights in that layer:

# %%
from minilm import trace

with trace(by_hand) as seen, torch.no_grad():
    by_hand(text)
print(f"the weights agree to 1e-5: {torch.allclose(weights, seen.attention[0][0], atol=1e-5)}")
_ = by_hand.detach()

# %% [markdown]
# ## Exercise 1: attention with a prefix
#
# *15 minutes, difficulty 3 of 5.* Write it as a function of queries, keys and values $(H, T, p)$ and of prefix keys and values
# $(H, l, p)$. A query sees the whole prefix, and the text up to its own place.


# %% tags=["key"]
def is_prefix_attention(answer) -> bool:
    """Whether it is one softmax over prefix and past."""
    draw = torch.Generator().manual_seed(3)
    q_, k_, v_ = (torch.randn(2, 5, 8, generator=draw) for _ in range(3))
    keys_, values_ = (torch.randn(2, 3, 8, generator=draw) for _ in range(2))
    found = answer(q_, k_, v_, keys_, values_)
    assert found.shape == q_.shape, f"its shape is {tuple(found.shape)}, not {tuple(q_.shape)}"
    for t in range(5):
        all_keys, all_values = torch.cat([keys_, k_[:, : t + 1]], 1), torch.cat([values_, v_[:, : t + 1]], 1)
        weights_ = (q_[:, t : t + 1] @ all_keys.mT / 8**0.5).softmax(-1)
        expected = (weights_ @ all_values)[:, 0]
        assert torch.allclose(found[:, t], expected, atol=1e-5), f"it is wrong at token {t}, counted from 0"
    return True


exercise(
    "attention",
    is_prefix_attention,
    hints=(
        "Concatenate along dim=1: `torch.cat([P_k, k], dim=1)`, and likewise the values.",
        "The mask has T rows and l + T columns. The first l columns hide nothing.",
        "`torch.ones(T, l + T).triu(l + 1).bool()` is True where a query may not look.",
    ),
    because="a causal mask of T x T, put over l + T columns, would hide the wrong ones",
)


# %% tags=["exercise"]
def prefix_attention(q, k, v, P_k, P_v) -> torch.Tensor:
    """Queries, keys, values (H, T, p) and a prefix (H, l, p) -> what attention returns (H, T, p)."""
    return ...


check("attention", prefix_attention)


# %% tags=["solution"]
def prefix_attention(q, k, v, P_k, P_v) -> torch.Tensor:
    """Queries, keys, values (H, T, p) and a prefix (H, l, p) -> what attention returns (H, T, p)."""
    l, T = P_k.size(1), q.size(1)
    scores = q @ torch.cat([P_k, k], dim=1).mT / q.size(-1) ** 0.5
    hidden = torch.ones(T, l + T, device=q.device).triu(l + 1).bool()
    return scores.masked_fill(hidden, -torch.inf).softmax(-1) @ torch.cat([P_v, v], dim=1)


solution("attention", prefix_attention)

# %% [markdown]
# ## Words are a prefix
#
# Take some words, keep the keys and values that the frozen model computes for them, and drop the words. If the positions of the text
# are counted on from there, the model reads the text exactly as if the words stood before it.

# %%
words = tuple(tok.encode(" Once upon a time, in a town by the sea"))
tuned = tuning.attach(base, tuning.Prefix(len(words), reparameterize=False, init=words, shift_positions=True))
row = torch.cat([torch.tensor([words], device=base.device), text], dim=1)  # (1, l + T)
with torch.no_grad():
    as_prefix, as_words = tuned(text).logits, base(row).logits[:, len(words) :]
same = torch.allclose(as_prefix, as_words, atol=1e-3)
print(f"{len(words)} tokens as a prefix; the same logits to 1e-3: {same}")
_ = tuned.detach()

# %% [markdown]
# So a prefix can do all that words can do, and more: its keys need not be the keys of any word.
#
# ## A prefix is a gate
#
# The softmax runs over prefix and text together. Split its sum, and the output is a mixture of two attentions (He et al. 2022,
# section 3.1, equation 7):
#
# $$o = (1 - g)\,\mathrm{softmax}\!\left(\tfrac{qK^\top}{\sqrt p}\right)V
#     + g\,\mathrm{softmax}\!\left(\tfrac{qP_k^\top}{\sqrt p}\right)P_v, \qquad
# g = \frac{\sum_i e^{q P_{k,i} / \sqrt p}}{\sum_i e^{q P_{k,i} / \sqrt p} + \sum_{j} e^{q k_j / \sqrt p}}$$
#
# We compute it with the numbers from above:

# %%
on_text = (q @ k.mT / math.sqrt(base.config.head_size)).masked_fill(later, -math.inf)  # (H, T, T)
on_prefix = q @ P_k.mT / math.sqrt(base.config.head_size)  # (H, T, l)
g = torch.sigmoid(on_prefix.logsumexp(-1) - on_text.logsumexp(-1)).unsqueeze(-1)  # (H, T, 1)
mixture = (1 - g) * on_text.softmax(-1) @ v + g * on_prefix.softmax(-1) @ P_v  # (H, T, p)
print(f"mixture and softmax agree to 1e-5: {torch.allclose(mixture, output, atol=1e-5)}")
print(f"the trace reports the same gate:   {torch.allclose(g[..., 0], seen.gates[0][0], atol=1e-5)}")

# %% [markdown]
# ## Exercise 2: the gate
#
# *10 minutes, difficulty 3 of 5.* Complete the function: from the scores on the prefix and on the text to the share of attention that
# the prefix gets. Entries of minus infinity hide what a query may not see.


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
        assert found.isfinite().all(), "scores of some hundreds overflow in exp: use logsumexp or softmax"
        if not torch.allclose(found, expected, atol=1e-5):
            return False
    return True


exercise(
    "gate",
    is_the_gate,
    hints=(
        "One way: `torch.cat` both along the last dimension, take the softmax, add up the part of the prefix.",
        "Another: the sigmoid of the difference of two `logsumexp(-1)`.",
    ),
    because="a prefix acts on a token only as far as its gate opens: where the text draws all attention, it does nothing",
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
# ## The network behind the prefix
#
# The paper (section 4.3) found direct training of the slots "unstable", and slightly worse. So it trains a network that makes all
# keys and values from one embedding a slot,
#
# $$\mathrm{Embedding}(l, d) \to \mathrm{Linear}(d, m) \to \tanh \to \mathrm{Linear}(m, 2Ld)$$
#
# and drops the network after training. Only what it made is stored; tables of the literature therefore give two numbers, trained
# and stored. Below we compare both ways.
#
# ## Exercise 3: from the network to the slots
#
# *10 minutes, difficulty 3 of 5.* The network returns a row of $2Ld$ numbers for each slot: for each layer first the key over all
# heads, then the value. Bring them into the shape $(L, 2, H, l, p)$ that the layers read.


# %% tags=["key"]
def as_the_library_views(answer) -> bool:
    """Whether each number ends where the library puts it."""
    L, H, l, p = 3, 2, 5, 4
    flat = torch.arange(l * L * 2 * H * p).view(l, -1)
    found = answer(flat, L, H)
    assert found.shape == (L, 2, H, l, p), f"its shape is {tuple(found.shape)}, not {(L, 2, H, l, p)}"
    expected = flat.view(l, L, 2, H, p).permute(1, 2, 3, 0, 4)
    assert torch.equal(found, expected), "the shape is right, but numbers of several slots or heads are mixed"
    return True


exercise(
    "views",
    as_the_library_views,
    hints=(
        "First cut each row: `flat.view(l, L, 2, H, p)`, where p is what is left.",
        "Then order the dimensions with `permute`: `view` alone would mix the slots.",
    ),
    because="a view in the wrong order still trains, only worse, and no error tells you",
)


# %% tags=["exercise"]
def to_slots(flat: torch.Tensor, L: int, H: int) -> torch.Tensor:
    """What the network returns (l, 2 L d) -> keys and values (L, 2, H, l, p)."""
    return ...


check("views", to_slots)


# %% tags=["solution"]
def to_slots(flat: torch.Tensor, L: int, H: int) -> torch.Tensor:
    """What the network returns (l, 2 L d) -> keys and values (L, 2, H, l, p)."""
    return flat.view(flat.size(0), L, 2, H, -1).permute(1, 2, 3, 0, 4)


solution("views", to_slots)

# %% [markdown]
# ## Exercise 4: what it costs
#
# *2 minutes, difficulty 1 of 5.* How many numbers does a prefix of 108 slots store for GPT-2 small (12 layers, width 768)?

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
# ## Three places for virtual tokens
#
# - A **prefix** has trained keys and values in every layer, before the text.
# - A **prompt** has embeddings only: vectors in place of words, and the frozen layers compute the keys and values (Lester et al.
#   2021; "embedding-only" in Li and Liang 2021, section 7.2).
# - An **infix** stands between source and target. The source does not see it (Li and Liang 2021, section 7.3).

# %%
drawings.virtual_tokens()

# %% [markdown]
# ## By hand: an infix
#
# The library has no infix. The gate equation gives us one in a few lines: compute what the slots would contribute, and add it only at
# places where the facts are over, that is, from the token ` =` on. A *method* of the library says what is attached to a base; its
# *deltas* say where something is added. The place `attention` hands us queries, keys and the output $o$ of the text alone, so
# that what must be added is $g\,(o_P - o)$.

# %%
from dataclasses import dataclass

from minilm.model.sites import AttentionDelta
from minilm.tuning.method import Attachment, Method
from minilm.tuning.methods.gate import gate as share_of_key
from minilm.tuning.methods.prefix import keys_and_values

over = test.judged[0][0][-1]  # the token ` =`, with which the facts end
reading: dict[str, torch.Tensor] = {}  # the tokens of the pass under way


# %%


class InfixSlots(Attachment):
    """Keys and values (L, 2, H, l, p), seen from the end of the facts on."""

    def __init__(self, base, length: int):
        super().__init__()
        drawn = torch.randint(base.config.vocab_size, (length,))
        self.slots = torch.nn.Parameter(
            keys_and_values(base, drawn)
        )  # of tokens drawn at random, as for a prefix

    def deltas(self) -> dict:
        return {("attention", i): lambda attended, i=i: self.add(i, attended) for i in range(len(self.slots))}

    def add(self, layer: int, attended) -> AttentionDelta:
        keys, values = self.slots[layer]  # (H, l, p) each
        scores = attended.query @ keys.mT / keys.size(-1) ** 0.5  # (B, H, T, l)
        g = share_of_key(attended, scores.logsumexp(-1)).unsqueeze(-1)  # (B, H, T, 1)
        change = g * (scores.softmax(-1) @ values - attended.output)  # (B, H, T, p)
        return AttentionDelta(heads=change * sees_infix(reading["tokens"])[:, None, :, None])


# %% [markdown]
# ## Exercise 5: who sees the infix
#
# *10 minutes, difficulty 3 of 5.* The function gets the tokens $(B, T)$ of a pass. It returns 1.0 at ` =` and at every later token,
# else 0.0. In generation the model reads one new token at a time, and that token is always after the facts: for $T = 1$ return 1.0.


# %% tags=["key"]
def sees_from_the_mark(answer) -> bool:
    """Whether exactly the mark and what follows see the infix."""
    rows = torch.tensor([[5, 6, over, 7, 8], [5, over, 9, over, 4]])
    expected = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1.0]])
    found = answer(rows)
    assert found.shape == rows.shape, f"its shape is {tuple(found.shape)}, not {tuple(rows.shape)}"
    assert torch.equal(found.float(), expected), f"for {rows.tolist()} it is not {found.tolist()}"
    assert torch.equal(answer(rows[:, 4:]).float(), torch.ones(2, 1)), "one new token must see the infix"
    return True


exercise(
    "infix",
    sees_from_the_mark,
    hints=("`tokens == over` marks the token.", "`.cumsum(dim=1) > 0` marks it and all later ones."),
    because="the target's first token is predicted at the mark, so the mark must see the infix, and the facts must not",
)


# %% tags=["exercise"]
def sees_infix(tokens: torch.Tensor) -> torch.Tensor:
    """(B, T) tokens of a pass -> (B, T), 1.0 where a token sees the infix."""
    return ...


check("infix", sees_infix)


# %% tags=["solution"]
def sees_infix(tokens: torch.Tensor) -> torch.Tensor:
    """(B, T) tokens of a pass -> (B, T), 1.0 where a token sees the infix."""
    if tokens.size(1) == 1:
        return torch.ones_like(tokens, dtype=torch.float32)
    return ((tokens == over).cumsum(dim=1) > 0).float()


solution("infix", sees_infix)


# %%
@dataclass(frozen=True)
class Infix(Method):
    """Slots between source and target."""

    name = "infix"
    acts_at = "attention"
    length: int = 8

    def build(self, base) -> InfixSlots:
        return InfixSlots(base, self.length)


# %% [markdown]
# A *hook* runs whenever the model looks up the embeddings of its tokens, and notes which tokens these are. Before the mark, no
# logit may change:

# %%
hook = base.token_embedding.register_forward_pre_hook(lambda _, tokens: reading.update(tokens=tokens[0]))
infix = tuning.attach(base, Infix())
torch.nn.init.normal_(infix.attachments["infix"].slots, std=0.5)
n_facts = len(test.judged[0][0])
with torch.no_grad():
    moved = (infix(text).logits - base(text).logits).abs().amax(-1)[0]  # (T,)
print(
    f"largest change of a logit before ` =`: {moved[: n_facts - 1].max():.4f}; from there on: {moved[n_facts - 1 :].max():.4f}"
)
_ = infix.detach()

# %% [markdown]
# ## The run: one budget for all
#
# Every row below gets the same 400 examples in the same order, the same number of steps, and the last weights; only the method and its
# rate differ. Each small method has eight slots.
#
# - **prefix**: with the network; **direct**: without it. The slots of both start as the keys and values of tokens that are drawn at
#   random: noise as a start would draw the attention of this base away from the text;
# - **from words**: without the network, and the slots start as the keys and values of the words of a target;
# - **infix**, **prompt**: as above;
# - **fine-tuning**: all weights; **from scratch**: all weights, of a model that has read nothing.
#
# Look at where each curve starts, how fast it falls, and how smooth it is. The dashed line is the floor of the task.

# %%
from lessons.widgets import TrainingDashboard
from minilm import MiniLM, tune

start = tuple(tok.encode(task.records[0].target)[:8])
ways = {
    "from scratch": (tuning.FullFineTuning(), 3e-3),
    "fine-tuning": (tuning.FullFineTuning(), 3e-3),
    "prompt": (tuning.Prompt(8), 1e-1),
    "infix": (Infix(8), 1e-1),
    "direct": (tuning.Prefix(8, reparameterize=False), 1e-1),
    "from words": (tuning.Prefix(8, reparameterize=False, init=start), 5e-2),
    "prefix": (tuning.Prefix(8, hidden=128), 1e-2),
}
steps = size.pick(smoke=3, cpu=200, gpu=600)
torch.manual_seed(0)
unread = MiniLM(base.config).to(size.device).eval()
dashboard = TrainingDashboard(floor=task.lowest_loss, title="Eight virtual tokens")

# %%
models = {}
for name, (method, rate) in ways.items():
    dashboard.next_run(name, f"rate {rate:g}")
    models[name] = tune(
        unread if name == "from scratch" else base, tok, method, task, steps=steps, learning_rate=rate,
        callbacks=[dashboard], progress=False, device=size.device,
    )  # fmt: skip

# %% [markdown]
# Each method has a rate of its own: what the network makes moves much faster than its weights, so it wants smaller steps. The
# published rate for GPT-2, 5e-5, would leave the prefix of so small a model where it started.
#
# The table is computed on the test split, which decided nothing. *Few-shot* trains nothing and has solved examples in its prompt.

# %%
import pandas as pd

shots = size.pick(smoke=1, cpu=4, gpu=4)
rows = {"untuned": test.judge(base), "few-shot": test.judge(base, test.behind_examples(base.window, shots))}
for name, model in models.items():
    count = model.count()
    rows[name] = {
        "trained": count.trained,
        "stored": count.stored,
        "of the base": f"{count.fraction:.2%}",
        **test.judge(model),
    }
rows["floor"] = {"loss": test.lowest_loss}
final = pd.DataFrame(rows).T[["trained", "stored", "of the base", "loss", "objects told", "whole facts told"]]
numbers = ["loss", "objects told", "whole facts told"]
final[numbers] = final[numbers].astype(float).round(3)
final.astype(object).where(final.notna(), "")

# %% [markdown]
# One run says little about rows that lie close together. The benchmark of the repository trains most of these rows with three seeds, on
# longer texts (mean, and in brackets the lowest and the highest):

# %%
from lessons.facts_to_text import benchmark

benchmark(["from scratch", "fine-tuning", "prefix", "prompt"])

# %% [markdown]
# ## Does the network reach the words?
#
# A network can start from words, too: it is first fitted to their keys and values (500 steps of Adam at rate 1e-4, as published).
# How close does it come? We measure the distance that is left, relative to the length of the words' keys and values.

# %%

wanted = keys_and_values(base, torch.tensor(start))
left = {}
for fit_steps in size.pick(smoke=(0, 20), cpu=(0, 500, 3000), gpu=(0, 500, 3000)):
    torch.manual_seed(0)
    fitted = tuning.attach(base, tuning.Prefix(8, hidden=128, init=start, fit_steps=fit_steps))
    made = fitted.attachments["prefix"].produce().detach().cpu()
    left[fit_steps] = ((made - wanted.cpu()).norm() / wanted.norm().cpu()).item()
    _ = fitted.detach()
pd.Series(left, name="distance left").rename_axis("fit steps").map("{:.0%}".format)

# %% [markdown]
# ## The network is gone
#
# Saved and loaded again, the prefix is its slots alone, and the model gives the same logits.

# %%
import tempfile

tuned = models["prefix"]
with tempfile.TemporaryDirectory() as folder:
    tuned.save(folder)
    loaded = tuning.load(base, folder)
with torch.no_grad():
    same = torch.allclose(loaded(text).logits, tuned(text).logits, atol=1e-4)
print(f"trained {tuned.count().trained:,}, loaded {loaded.count().trained:,}; the same logits: {same}")
_ = loaded.detach()

# %% [markdown]
# ## Looking: what the prefix did to the next token
#
# One test example. For each token of the target: how probable it was for the base, for the model with the prefix, and for a
# perfect model of the task. Look at the first token, where the base does not yet know that a story is due, and at names and things.

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style
from minilm.evaluation.logit_shift import log_probs

use_style()
record = test.held_out[0]
prompt, target = test.encode(record)
told = torch.tensor(target)[:, None]  # (Y, 1)
lines = {"perfect": test.oracle.log_probs([*prompt[1:], *target[:-1]])}
lines |= {
    name: log_probs(model, [*prompt, *target[:-1]]) for name, model in {"base": base, "prefix": tuned}.items()
}
figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
for name, marker in {"base": "o", "prefix": "s", "perfect": "_"}.items():
    chance = lines[name][len(prompt) - 1 :].gather(1, told)[:, 0].exp()  # (Y,)
    _ = axes.plot(chance, marker, label=name, markersize=10 if marker == "_" else 5)
_ = axes.set(ylabel="probability of the next token", ylim=(-0.03, 1.08), xticks=range(len(target)))
_ = axes.set_xticklabels([tok.decode([token]).strip() or "." for token in target], rotation=70)
_ = axes.legend(loc="upper right", ncols=3)
print(record.prompt)

# %% [markdown]
# The explorer shows the shift of all logits at each token. The mark on a bar is the exact shift, from this base to the truth of the
# task.

# %%
from lessons.widgets import ShiftExplorer


def to_the_truth(ids: list[int], _: str) -> torch.Tensor:
    """The shift of log-probabilities that would make the base perfect on this task: (T + 1, vocab)."""
    return test.oracle.log_probs(ids) - log_probs(base, [tok.end_of_text, *ids])


ShiftExplorer(
    {"prefix": tuned, "fine-tuning": models["fine-tuning"]},
    tok,
    f"{record.prompt}{record.target}",
    exact=to_the_truth,
)

# %% [markdown]
# ## Looking: attention on virtual tokens
#
# The mean gate over the tokens of held-out examples: how much of its attention each head gives to the prefix, on the facts and on the
# target. Look for heads that read the prefix everywhere, and for heads that never do.

# %%
gates = torch.zeros(2, base.config.n_layer, base.config.n_head)  # on the facts, on the target
chosen = test.judged[:4]
for asked, written in chosen:
    with trace(tuned) as seen, torch.no_grad():
        tuned(torch.tensor([[*asked, *written]], device=base.device))
    g = torch.stack([seen.gates[layer][0] for layer in range(base.config.n_layer)])  # (L, H, T)
    parts = (g[:, :, 1 : len(asked)], g[:, :, len(asked) :])  # (L, H, tokens) each
    gates += torch.stack([part.mean(-1).cpu() for part in parts]) / len(chosen)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
for panel, name, share in zip(panels, ("on the facts", "on the target"), gates, strict=True):
    image = panel.imshow(share, vmin=0, vmax=1, aspect="auto")
    _ = panel.set(title=name, xlabel="head", xticks=range(share.size(1)), yticks=range(len(share)))
    _ = panel.set_xticklabels(range(1, share.size(1) + 1))
    _ = panel.set_yticklabels(range(1, len(share) + 1))
_ = panels[0].set(ylabel="layer")
_ = figure.colorbar(image, label="mean gate")
layer, head = divmod(gates[1].argmax().item(), base.config.n_head)
print(
    f"the gate on the target is {gates[1].mean():.0%} on average, and largest in head {head + 1} of layer {layer + 1}"
)

# %% [markdown]
# The explorer shows base and prefix side by side. The first eight columns of the model with the prefix are its slots.

# %%
from lessons.widgets import AttentionExplorer

beginning = tok.decode([*prompt, *target][1:30])
AttentionExplorer({"base": base, "prefix": tuned}, tok, beginning, layer=layer + 1, head=head + 1)

# %% [markdown]
# ## Exercise 6: does the order matter?
#
# *5 minutes, difficulty 2 of 5.* Reverse the eight slots of the prefix; or reverse the eight vectors of the prompt. Which of the two
# changes what the model writes? **Predict**, and answer with True where the logits change.


# %% tags=["key"]
def changes_when_reversed(model, reverse) -> bool:
    """Whether the logits of a text move when the virtual tokens are put in the opposite order."""
    with torch.no_grad():
        before = model(text).logits
        reverse()
        after = model(text).logits
        reverse()
    return not torch.allclose(before, after, atol=1e-3)


in_slots = models["direct"].attachments["prefix"].slots
in_prompt = models["prompt"].attachments["prompt"].vectors
exercise(
    "order",
    {
        "prefix": changes_when_reversed(models["direct"], lambda: in_slots.data.copy_(in_slots.flip(-2))),
        "prompt": changes_when_reversed(models["prompt"], lambda: in_prompt.data.copy_(in_prompt.flip(0))),
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
# ## Little data
#
# The paper (section 6.3, figure 3) found prefix-tuning ahead of fine-tuning when there are few examples, and (section 7.4, figure 5)
# that a start from words helps most there. So we train with as few as 50 examples, with one budget for all. The run stops early by
# the dev loss, and the best weights are kept.

# %%
from minilm.adaptation import EncodedTask

amounts = size.pick(smoke=(8,), cpu=(50, 200), gpu=(50, 100, 200, 500))
budget = {
    "steps": size.pick(smoke=3, cpu=100, gpu=300),
    "patience": 2,
    "progress": False,
    "device": size.device,
}
small = {}
for amount in amounts:
    little = EncodedTask(task.records[:amount], task.held_out, tok, task.template, "few examples")
    for name in ("fine-tuning", "direct", "from words", "prefix"):
        method, rate = ways[name]
        model = tune(base, tok, method, little, learning_rate=rate, **budget)
        small[name, amount] = {**test.judge(model), "steps": model.result.steps}
        _ = model.detach()
low_data = pd.DataFrame(small).T
low_data.round(3).unstack()[["loss", "whole facts told"]]

# %%
figure, (left_, right_) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for name in low_data.index.unique(0):
    _ = left_.plot(low_data.loc[name]["loss"], "o-", label=name)
    _ = right_.plot(low_data.loc[name]["whole facts told"], "o-", label=name)
_ = left_.axhline(test.lowest_loss, color="C5", linestyle=":", label="floor")
_ = left_.set(
    xlabel="examples", ylabel="test loss (nats per token)", xscale="log", xticks=amounts, xticklabels=amounts
)
_ = right_.set(
    xlabel="examples",
    ylabel="whole facts told",
    xscale="log",
    xticks=amounts,
    xticklabels=amounts,
    ylim=(0, 1.05),
)
_ = left_.legend()

# %% [markdown]
# ## Plots that tuning never showed
#
# The paper's strongest claim is about *unseen* topics: a frozen model keeps what it knows, so a prefix should carry over better than
# fine-tuning (section 6.4, table 3). The records to learn from lack a quarter of the plots. Here are all rows of the run above, with
# their one budget, on test records of plots seen and unseen. The two groups have different floors, so the table shows how far
# each row is **above the floor** of its group.

# %%
unseen = FactsToText(tok, n_train=1, n_held_out=n_test, split="test", unseen=True)
above = {}
for name, model in {"untuned": base, **models}.items():
    seen_plots, other_plots = test.loss(model) - test.lowest_loss, unseen.loss(model) - unseen.lowest_loss
    above[name] = {"seen plots": seen_plots, "unseen plots": other_plots, "rise": other_plots - seen_plots}
above = pd.DataFrame(above).T
print(f"{len(test.held_out)} examples of seen plots, {len(unseen.held_out)} of unseen ones")
above.round(3)

# %% [markdown]
# The base has read stories of all plots in pretraining. What is unseen is the task on them. Whether GPT-2 had read of the paper's
# unseen topics is not known, but it had read much of the web.
#
# ## One batch, another prefix in each row
#
# A frozen base can serve many tasks at once (Li and Liang 2021, section 8.1). We train a second prefix for the opposite task: a text
# comes in, and its facts go out. Then one batch of three rows is read by one base: row 1 with the first prefix, row 2 with the second
# one, row 3 with none.

# %%
reverse = FactsToText(tok, n_train=400, n_held_out=4, split="test", kind="facts last")
backward = tune(
    base, tok, tuning.Prefix(8, reparameterize=False, init=start), reverse, learning_rate=5e-2,
    steps=size.pick(smoke=3, cpu=100, gpu=400), progress=False, device=size.device,
)  # fmt: skip

# %%
from minilm import complete
from minilm.tuning.mixed_batch import MixedBatch

asked = [test.judged[0][0], reverse.judged[0][0], test.judged[0][0]]
users = [models["prefix"], backward, base]
together = complete(MixedBatch(users), asked, 48, stop_token=tok.end_of_text)
alone = [
    complete(model, [ids], 48, stop_token=tok.end_of_text)[0] for model, ids in zip(users, asked, strict=True)
]
for ids, written in zip(asked, together, strict=True):
    print(tok.decode(ids[1:]), "\n   ->", tok.decode(written).strip())
print(f"each row is what its model writes alone: {together == alone}")

# %% [markdown]
# Fine-tuning cannot do this: every task would need its own copy of all weights in memory.
#
# ## Turning: the length
#
# Now the length is yours. The lab begins with 1 and 16 slots; turn the slider and press Run. The paper saw its scores rise up to 200
# slots for summarization and up to 10 for tables, and then fall a little (section 7.1, figure 4).

# %%
from lessons.widgets import TuningLab, TuningSettings

lab = TuningLab(
    base, task.learned, task.judged, sample=task.sample, device=size.device,
    methods=("prefix", "prompt", "fine-tuning"),
    settings=TuningSettings(method="prefix", length=8, learning_rate=1e-2, steps=size.pick(smoke=2, cpu=60, gpu=400)),
)  # fmt: skip
for length in (1, 16):
    _ = lab.run(length=length)

# %%
lab.table()

# %% [markdown]
# ## What was claimed, and what was measured here
#
# The verdicts are computed from this run: one seed, and a model a hundredth of the size of GPT-2. A difference of less than 0.01 nats
# counts as *not shown*.


# %%
def verdict(difference: float, least: float = 0.01) -> str:
    """Of a difference that the claim says is positive."""
    return "confirmed" if difference > least else "refuted" if difference < -least else "not shown"


# %%
loss, whole = final["loss"], final["whole facts told"]
few = low_data["loss"].unstack()
fewest = amounts[0]
gap = {
    name: few.loc["direct", n] - few.loc["from words", n]
    for name, n in {"fewest": fewest, "most": amounts[-1]}.items()
}
claims = [
    ("A prefix comes close to fine-tuning (table 1)", whole["prefix"] - whole["fine-tuning"] + 0.1,
     f"whole facts told {whole['prefix']:.0%} and {whole['fine-tuning']:.0%}; close: within 10 points"),
    ("Ahead of fine-tuning with little data (section 6.3)", few.loc["fine-tuning", fewest] - few.loc["prefix", fewest],
     f"{fewest} examples: loss {few.loc['prefix', fewest]:.3f} and {few.loc['fine-tuning', fewest]:.3f}"),
    ("Ahead of fine-tuning on unseen topics (section 6.4)", above.loc["fine-tuning", "unseen plots"] - above.loc["prefix", "unseen plots"],
     f"above the floor {above.loc['prefix', 'unseen plots']:.3f} and {above.loc['fine-tuning', 'unseen plots']:.3f}"),
    ("Direct training is worse than the network (section 4.3)", loss["direct"] - loss["prefix"],
     f"loss {loss['direct']:.3f} and {loss['prefix']:.3f}; for instability see the curves"),
    ("Embeddings only are weaker (section 7.2)", loss["prompt"] - loss["prefix"], f"loss {loss['prompt']:.3f} and {loss['prefix']:.3f}"),
    ("An infix is slightly weaker (section 7.3)", loss["infix"] - loss["direct"], f"loss {loss['infix']:.3f}, direct prefix {loss['direct']:.3f}"),
    ("Words as start help most with little data (section 7.4)", gap["fewest"] - gap["most"],
     f"gain {gap['fewest']:+.3f} with {fewest} examples, {gap['most']:+.3f} with {amounts[-1]}"),
]  # fmt: skip
claims = [(claim, measured, verdict(by)) for claim, by, measured in claims]
claims.append(
    ("Summarization with BART, long inputs (section 6.2)", "inputs grow long in lesson 6", "not tested")
)
pd.set_option("display.max_colwidth", None)
pd.DataFrame(claims, columns=["Li and Liang 2021", "measured here", "verdict"]).set_index("Li and Liang 2021")

# %% [markdown]
# ## Traps
#
# - **The prefix again at each step.** With a cache of keys and values, the slots belong before the *first* key once, and not before
#   the key of each new token.
# - **Missing columns in the mask.** The slots stand left of the text. A causal mask of size $T \times T$ hides the wrong columns.
# - **Saving the network, or going on without it.** The stored slots are all that is needed to use a prefix, but too little to resume
#   its training as it was.
# - **Positions.** The reference counts the text from $l$ on and loses that much context; this library counts from 0. A prefix
#   that was trained under one rule is wrong under the other. A prompt always takes up positions.
# - **Comparing unequal budgets.** A prefix of 400 steps beside fine-tuning of 100 shows the steps, not the methods.
#
# ## The end: what the model writes with its prefix
#
# Facts of the test split, the text that the world had for them, and what the frozen model writes with eight slots in front of it.

# %%
hook.remove()
print(test.samples(models["prefix"], size.pick(smoke=2, cpu=6, gpu=6)))

# %% [markdown]
# Next: [6. Inducer-tuning](06_inducer_tuning.ipynb), which makes a virtual token for each query.
