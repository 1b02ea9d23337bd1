# %% [markdown]
# # 8. Auxiliary tuning
#
# **You will see** a small model steer a frozen one by adding to its logits: asked for a word, it writes a story in which the
# word occurs. You will lay what the small model learns beside what Bayes' rule says it must learn, token by token.
#
# **You need** lesson 2 (logits, softmax). KL divergence is measured in nats, as losses are: natural logarithms.
#
# **It takes** about three minutes on two CPU cores, and an hour to read and solve. The exercises ask for code.

# %%
import torch

from lessons.checks import check, exercise, solution
from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## The idea
#
# We want stories with a property $\alpha$: a given word occurs in them. The frozen model has $P(x_t \mid x_{<t})$. What we
# want is $P(x_t \mid x_{<t}, \alpha)$, and Bayes' rule says how far it is from there (Zeldes et al. 2020, equation 2):
#
# $$\log P(x_t \mid x_{<t}, \alpha) = \log P(x_t \mid x_{<t}) + \log P(\alpha \mid x_t, x_{<t}) + \text{const}$$
#
# The constant is the same for all $x_t$, so softmax removes it. Auxiliary tuning leaves the first term to the frozen model.
# A small model learns the second term, because the logits of both are added (equation 4):
#
# $$P(x_t \mid x_{<t}, \alpha) = \mathrm{softmax}\big(z_{LM}(x_{<t}) + z_{AUX}([\alpha ; x_{<t}])\big)$$
#
# The small model is trained on stories with their keyword. It does not have to learn the language. It only has to learn what a
# token says about the property. Only the small model sees the keyword; the frozen model does not.

# %%
from lessons.widgets import drawings

drawings.auxiliary()

# %% [markdown]
# ## The task
#
# The base has read fifteen kinds of documents: stories, letters, questions with answers, and others. In one kind, a note names a
# word and a story with that word follows; but the task's own notation, `because = ...`, was kept away from the base. We ask for a
# story that contains one of four words. So $\alpha$ says two things: this document is a story, and the word occurs in it.

# %%
from lessons.keyword_stories import Judge, KeywordStories, TaskOracle, interval, measured
from minilm import load_pretrained

base, tok = load_pretrained("storyworld")
base.to(size.device)
n_train = size.pick(smoke=32, cpu=4000, gpu=16000)
n_sample = size.pick(smoke=4, cpu=200, gpu=400)
task = KeywordStories(tok, ("therefore", "because", "suddenly", "instead"), n_train, max(n_sample // 4, 4))
for record in task.records[:2]:
    print(record.keywords[0].upper(), "-", record.text, "\n")

# %% [markdown]
# ## The exact shift
#
# In most worlds nobody knows $P(\alpha \mid x_t, x_{<t})$. In the story world the oracle knows it. Here is the truth, without any
# training: a story has begun, and it shall contain "therefore". The table shows the tokens that may come next: how probable each
# is, the exact shift $\log P(x_t \mid x_{<t}, \alpha) - \log P(x_t \mid x_{<t})$ in nats, and how probable it becomes. It is the
# place, among the first 60 tokens, where the word changes most. Tokens that no document has there are left out.

# %%
from minilm.evaluation.logit_shift import Asked, divergence

oracle, attribute = TaskOracle(tok), ("keyword", "therefore")


def of_the_word(ids: list[int]) -> torch.Tensor:
    """KL(P(. | x, a) || P(. | x, a story)), (T + 1,): what the word changes, beyond "this is a story"."""
    return divergence(oracle.log_probs(ids, attribute), oracle.stories.log_probs(ids))


stories = [tok.encode(each.text) for each in task.held_out if each.keywords == ("therefore",)]
chosen = max(stories[:20], key=lambda ids: float(of_the_word(ids)[:60].max()))
asked = Asked(chosen, attribute, task.ids["therefore"])
free, told = oracle.log_probs(asked.ids), oracle.log_probs(asked.ids, attribute)  # (T + 1, vocab)
place = int(of_the_word(chosen)[:60].argmax())
print("...", tok.decode(asked.ids[max(place - 25, 0) : place]))

# %%
import pandas as pd

shift = oracle.shift(asked.ids, asked.attribute)[place]  # (vocab,)
likely = [token for token in free[place].topk(8).indices.tolist() if free[place, token] > -torch.inf]
pd.DataFrame(
    {
        "token": [tok.readable(token) for token in likely],
        "before": free[place, likely].exp(),
        "shift": shift[likely],
        "after": told[place, likely].exp(),
    }
).round(3)

# %% [markdown]
# At most places nothing changes. At a few places much changes: there the story decides whether the word will be said, or the
# document whether it is a story (at the first token, and at ends of sentences). The left figure shows how much the next token's
# distribution changes. The right figure shows how probable the property is so far.

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
stakes = divergence(told, free)  # KL(P(. | x, a) || P(. | x)), (T + 1,)
_ = left.bar(range(len(stakes)), stakes, width=1.0, label="a story with the word")
_ = left.bar(range(len(stakes)), of_the_word(chosen), width=1.0, label="of that, the word")
_ = left.set(xlabel="token of the story", ylabel="KL, nats", title="How much is changed")
_ = left.legend()
_ = right.plot(oracle.posterior(asked.ids, asked.attribute))
_ = right.set(xlabel="token of the story", title='P(a story, and "therefore" occurs)', ylim=(0, 1.05))

# %% [markdown]
# ## Exercise 1: Bayes' rule (10 minutes, difficulty 2 of 5)
#
# `oracle.posterior(ids, attribute)[-1]` is $P(\alpha \mid x)$ after the tokens `ids`. Complete the function: the exact shift of
# one next token, from two posteriors.


# %% tags=["key"]
def is_the_oracles_shift(answer) -> bool:
    """Whether it gives the oracle's shift for possible tokens, after beginnings of a story."""
    for end in (0, 5, place):  # after so many tokens
        exact = oracle.shift(asked.ids[:end], asked.attribute)[-1]
        for token in oracle.log_probs(asked.ids[:end])[-1].isfinite().nonzero()[:5, 0].tolist():
            found = float(answer(asked.ids[:end], token, asked.attribute))
            close = abs(found - float(exact[token])) < 1e-6 or found == float(exact[token])
            assert close, f"after {end} tokens it is {found:.3f} and should be {float(exact[token]):.3f}"
    return True


exercise(
    "bayes",
    is_the_oracles_shift,
    hints=(
        "P(x_t | x, a) / P(x_t | x) = P(a | x, x_t) / P(a | x): posteriors of `[*ids, token]` and of `ids`.",
        "`(posterior([*ids, token])[-1] / posterior(ids)[-1]).log()`",
    ),
    because="the second posterior does not depend on the token: it is the constant that softmax removes",
)


# %% tags=["exercise"]
def exact_shift(ids: list[int], token: int, attribute: tuple[str, str]) -> float:
    """log P(token | ids, attribute) - log P(token | ids)."""
    return ...


check("bayes", exact_shift)


# %% tags=["solution"]
def exact_shift(ids: list[int], token: int, attribute: tuple[str, str]) -> float:
    """log P(token | ids, attribute) - log P(token | ids)."""
    after = oracle.posterior([*ids, token], attribute)[-1]
    before = oracle.posterior(ids, attribute)[-1]
    return (after / before).log()


solution("bayes", exact_shift)

# %% [markdown]
# ## By hand
#
# The plain architecture (Figure 1 of the report) is a small transformer with an embedding of its own. It reads the keyword's $m$
# tokens and then the text. Its logits for the text are added to the frozen model's. Its last projection starts at zero, so
# training starts at the frozen model. To see anything, we fill that projection with random numbers here.

# %%
from minilm import tuning

torch.manual_seed(0)
tuned = tuning.attach(base, tuning.Auxiliary(d_model=32, n_layer=1, n_head=2))
network = tuned.attachments["auxiliary"].network
text = torch.tensor([[tok.end_of_text, *asked.ids[:12]]], device=base.device)  # (1, T)
keyword = asked.told[None].to(base.device)  # (1, m)
same = torch.equal(tuned(text, attribute=keyword).logits, base(text).logits)
print(f"before training, exactly the logits of the base: {same}")
with torch.no_grad():
    network.project_out.weight.normal_()
    own = network.model(torch.cat([keyword, text], dim=1)).states[-1]  # (1, m + T, d_aux)
    own = network.project_out(network.model.final_norm(own)) @ network.model.token_embedding.weight.T
    of_base, library = base(text).logits, tuned(text, attribute=keyword).logits  # (1, T, vocab)

# %% [markdown]
# ## Exercise 2: add the right rows (10 minutes, difficulty 2 of 5)
#
# `own` has a row for each of the keyword's $m$ tokens and for each of the $T$ tokens of the text; `of_base` has a row for each
# token of the text. What follows a token is read at that token. Complete the function: the logits of the tuned model.

# %% tags=["key"]
exercise(
    "rows",
    lambda answer: bool((answer(of_base, own, keyword.size(1)) - library).abs().max() < 1e-4),
    hints=(
        "The text's first token stands at position m of the small model's input.",
        "The rows that belong to the text are `own[:, m:]`.",
    ),
    because="counted from 1, the shift of token x_t stands at position m + t - 1: one row off, and the model would learn to "
    "predict what it has just read",
)


# %% tags=["exercise"]
def add_logits(of_base: torch.Tensor, own: torch.Tensor, m: int) -> torch.Tensor:
    """Logits (B, T, vocab) of both models together, from (B, T, vocab) and (B, m + T, vocab)."""
    return ...


check("rows", add_logits)


# %% tags=["solution"]
def add_logits(of_base: torch.Tensor, own: torch.Tensor, m: int) -> torch.Tensor:
    """Logits (B, T, vocab) of both models together, from (B, T, vocab) and (B, m + T, vocab)."""
    return of_base + own[:, m:]


solution("rows", add_logits)
_ = tuned.detach()

# %% [markdown]
# ## Reading the frozen model's states
#
# The report's second architecture (Figure 2) has no embedding. It reads what the frozen model's first $L$ layers computed of
# keyword and text, each encoded by itself, and it writes with the frozen embedding:
#
# $$h_{att} = \mathrm{Proj}(T_{LM}^{1..L}(\alpha)) + Z_{att} \qquad h_{txt} = \mathrm{Proj}(T_{LM}^{1..L}(x)) + Z_{txt} \qquad
# z_{AUX} = \mathrm{Proj}'(T_{AUX}([h_{att} ; h_{txt}]))\,E_{LM}^\top$$
#
# Two details are the library's own. $\mathrm{Proj}$ begins with a LayerNorm, because the frozen model's states are hundreds of
# times longer than what a fresh layer adds to them. The projections have no bias; the report calls them affine, and $Z$ takes the
# place of the bias.

# %%
drawings.auxiliary_features()

# %% [markdown]
# ## The run
#
# We train this second architecture on features of all layers of the base. The loss counts the text, never the keyword. The base
# is frozen, so what it computes of a story never changes: `CachedBase` keeps it, and from the second epoch the base does not run
# at all. The dashboard's floor is exact: no model that is told the keyword can have a lower loss on average. The gap between
# start and floor is small, because the keyword matters at few tokens; watch the samples and the share that has its keyword.

# %%
from lessons.widgets import TrainingDashboard
from minilm import train
from minilm.evaluation.perplexity import mean_loss

BATCH_SIZE = size.pick(smoke=8, cpu=32, gpu=32)
steps = size.pick(smoke=4, cpu=600, gpu=4000)
evaluate_every = size.pick(smoke=4, cpu=100, gpu=400)
muon = {"optimizer": "muon", "learning_rate": 3e-3, "matrix_learning_rate": 0.02}
config = tuning.Auxiliary().recipe(steps=steps, evaluate_every=evaluate_every, device=size.device, **muon)
judge = Judge(task, size.pick(smoke=20, cpu=2000, gpu=5000))
few = task.wanted(size.pick(smoke=4, cpu=40, gpu=100))
curves: dict[str, list[dict]] = {"auxiliary": [], "from scratch": []}
held_out = task.batches(base.window, 25, task.held_out).in_order()


def watch(model) -> str:
    """A sample for the dashboard; the scores of some stories go into the curve."""
    texts = task.write(model, few)
    curves["auxiliary"].append(judge.score(texts, few))
    return f"[{few[0]}, {curves['auxiliary'][-1]['has the keyword']:.0%} have theirs] {texts[0]}"


# %%
torch.manual_seed(0)
method = tuning.Auxiliary(feature_layers=base.config.n_layer)
tuned = tuning.attach(base, method)
dashboard = TrainingDashboard(floor=oracle.floor_of(task.held_out), title="A story with a keyword")
dashboard.next_run("auxiliary", f"{tuned.count().trained:,} weights")
result = train(
    tuning.CachedBase(tuned, width=task.longest), task.batches(base.window, BATCH_SIZE), config,
    evaluate=lambda model: mean_loss(model, held_out), sample=watch, callbacks=[dashboard], progress=False,
)  # fmt: skip
print(f"{tuned.count().trained:,} weights trained, beside {tuned.count().base:,} that stayed as they were")

# %% [markdown]
# Ten stories of the tuned model, none chosen. Each begins with the word that was asked for.

# %%
import re

for word, written in zip(task.wanted(10), task.write(tuned, task.wanted(10), seed=7), strict=True):
    shown = re.sub(rf"\b{word}\b", word.upper(), written, flags=re.IGNORECASE)
    print(f"{word.upper()} - {shown}\n")

# %% [markdown]
# ## Look: base, shift, both, and the truth
#
# Each bar is a token whose probability the auxiliary model moved; the mark on it is the oracle's exact shift. The explorer opens
# where the tuned model moves most when it is told "therefore". Point at other tokens, ask for another word, turn the strength.

# %%
from lessons.widgets import ShiftExplorer

ShiftExplorer(
    tuned,
    tok,
    tok.decode(asked.ids),
    attributes={keyword: ids.tolist() for keyword, ids in task.ids.items()},
    exact=lambda ids, keyword: oracle.shift(ids, ("keyword", keyword)),
)

# %% [markdown]
# Where does the small model look at its keyword? The base's attention is what it was, since nothing in the base has changed; so
# we look into the auxiliary model. Each row is one of its heads, each column a token of the story. Dark: at this token the head
# gives much of its attention to the keyword. Compare the dark columns with the bars of the figure above.

# %%
from minilm.model.passes import Pass


class Listener:
    """Keeps the attention of each layer of one pass."""

    def __init__(self):
        self.weights: list[torch.Tensor] = []

    def keep_attention(self, layer, attended, n_memory) -> None:
        self.weights.append(attended.weights[0])  # (H, m + T, m + T)


# %%
network, listener, m = tuned.attachments["auxiliary"].network, Listener(), len(asked.told)
text = torch.tensor([[tok.end_of_text, *asked.ids]], device=base.device)
with torch.no_grad():
    h_att = network.read(network.encode(base, keyword)) + network.segments[0]
    h_txt = network.read(base(text).states[network.n_feature]) + network.segments[1]
    x = torch.cat([h_att, h_txt], dim=1)
    for block in network.blocks:
        x = block(x, Pass(recorder=listener, explicit=True))
heard = torch.stack(listener.weights)[:, :, m:, :m].sum(-1).flatten(0, 1).cpu()  # (layers * heads, T)

# %%
figure, axes = plt.subplots(figsize=(11, 2.6), layout="constrained")
picture = axes.pcolormesh(heard, vmin=0, vmax=1)
_ = figure.colorbar(picture, label="share")
_ = axes.set(
    xlabel="token of the story", ylabel="head", title='Attention to "therefore" in the auxiliary model'
)

# %% [markdown]
# ## Is it the posterior?
#
# Every dot is a token that may come at some place of a held-out story (probability at least 1% without the keyword), not only the
# story's own tokens. Across: the exact shift. Up: the learned shift. A token that the keyword excludes has an exact shift of minus
# infinity; it is drawn, and counted, at -5 nats, at the left edge. The dense column at zero is the rule: at most places the right
# shift is none. RMSE counts all dots alike.

# %%
from minilm.evaluation.logit_shift import compare_shifts

comparison = compare_shifts(tuned, oracle, task.asked()[: size.pick(smoke=2, cpu=40, gpu=100)])
exact, learned = comparison.likely
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
_ = axes.axline((0, 0), slope=1, color="0.6", linewidth=1)
_ = axes.scatter(exact, learned, s=6, alpha=0.25, linewidths=0)
_ = axes.set(xlabel="exact shift, nats", ylabel="learned shift, nats", title="Every token that may come")
rmse = (learned - exact).square().mean().sqrt().item()
at_zero = exact.square().mean().sqrt().item()
print(f"{len(exact):,} dots: RMSE {rmse:.2f} nats; a shift of 0 everywhere would have {at_zero:.2f}")
print(f"correlation over the dots whose exact shift exceeds half a nat: {comparison.correlation():.2f}")

# %%
matters = comparison.stakes > 0.1
parts = {"base, not told": comparison.divergence_of_base, "with the auxiliary model": comparison.divergence}
print("KL(P_oracle || P_model) in nats a token; P_oracle is told the keyword")
pd.DataFrame(
    {
        "all places": {name: each.mean().item() for name, each in parts.items()},
        "where the property changes much": {
            name: each[matters].mean().item() for name, each in parts.items()
        },
    }
).T.round(4)

# %%
print(f"KL(P_oracle || P_base), both told nothing: {comparison.error_of_base.mean():.4f} nats a token")

# %% [markdown]
# The last figure is what the base gets wrong of the documents themselves, keyword or not. The loss asks for the right token, so
# the auxiliary model may correct a part of that too. Compare it with what is left in the table. If much more is left where the
# property changes much, the cause is the training: the posterior takes many stories to learn, since each decides few times.
#
# ## Turn the strength
#
# Multiplied by $s$, the shift samples in proportion to $P(x_t \mid x_{<t})\,P(\alpha \mid x_t, x_{<t})^s$: 0 is the base, and 1
# the conditional distribution. A larger $s$ asks for the word sooner than stories that contain it do. It has a price. *Possible*
# is the share of texts that the world can tell at all. *SLOR* is fluency as another model judges it, here a 5-gram model of all
# kinds of documents, freed of length and of how rare the words are. At strength 0 the base writes documents of all kinds, so few of its
# texts are possible as *stories*.

# %%
wanted = task.wanted(n_sample)


def with_interval(scores: dict[str, float], n: int) -> dict[str, str]:
    """The shares with their 95% intervals over n samples, and SLOR."""
    shares = {name: value for name, value in scores.items() if name != "SLOR"}
    ends = {name: interval(value, n) for name, value in shares.items()}
    told = {name: f"{value:.2f} ({ends[name][0]:.2f}-{ends[name][1]:.2f})" for name, value in shares.items()}
    return told | {"SLOR": f"{scores['SLOR']:.2f}"}


by_strength = {}
for each in size.pick(smoke=(0, 1), cpu=(0, 0.5, 1, 2, 4), gpu=(0, 0.5, 1, 2, 4)):
    with tuning.strength(tuned, each):
        by_strength[each] = judge.score(task.write(tuned, wanted), wanted)
pd.DataFrame({each: with_interval(row, n_sample) for each, row in by_strength.items()}).T.rename_axis(
    "strength"
)

# %% [markdown]
# ## Exercise 3: a strength of one's own (10 minutes, difficulty 3 of 5)
#
# Complete the function: the probabilities (vocab,) of the next token at a strength, from the base's log-probabilities and a shift.
# Then predict, before you compute it: two tokens are equally probable for the base; after the first the keyword comes with
# probability 0.8, after the second with 0.2. How probable is the first at strength 2?

# %% tags=["key"]
halves, posteriors = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.8, 0.2]).log()


def turns_the_strength(answer) -> bool:
    """Whether it gives the right probabilities at several strengths."""
    for strength, first in ((0, 0.5), (1, 0.8), (2, 0.64 / 0.68)):
        found = answer(halves, posteriors, strength)
        assert abs(float(found.sum()) - 1) < 1e-5, (
            f"at strength {strength} the sum is {float(found.sum()):.3f}"
        )
        assert abs(float(found[0]) - first) < 1e-5, (
            f"at strength {strength} the first has {float(found[0]):.3f}"
        )
    return True


exercise(
    "strength",
    turns_the_strength,
    hints=(
        "Logarithms add: the log-probability plus the strength times the shift.",
        "Softmax makes them sum to 1: `(before + strength * shift).softmax(-1)`.",
    ),
    because="at strength 1 it is 0.8, the share of such stories; strength 2 exaggerates that to 0.94",
)


# %% tags=["exercise"]
def at_strength(before: torch.Tensor, shift: torch.Tensor, strength: float) -> torch.Tensor:
    """Probabilities (vocab,) from log-probabilities and a shift, both (vocab,)."""
    return ...


check("strength", at_strength)


# %% tags=["solution"]
def at_strength(before: torch.Tensor, shift: torch.Tensor, strength: float) -> torch.Tensor:
    """Probabilities (vocab,) from log-probabilities and a shift, both (vocab,)."""
    return (before + strength * shift).softmax(-1)


solution("strength", at_strength)

# %% [markdown]
# ## Two at once
#
# Shifts add up: $z_{LM} + z_{AUX,1} + z_{AUX,2}$. So one trained model, attached twice, asks for two words. Each copy reads its
# own columns of the attribute. Adding log-posteriors treats the two properties as independent given the text so far. They need
# not be; and "this is a story" is then said twice.

# %%
from dataclasses import replace

m, first, second = len(task.ids["because"]), "because", "therefore"
columns = {"first": (0, m), "second": (m, 2 * m)}
pair = tuning.attach(base, {name: replace(method, columns=each) for name, each in columns.items()})
for attachment in pair.attachments.values():
    attachment.restore(tuned.attachments["auxiliary"].stored())

# %%
n_pair = max(n_sample // 2, 2)
both = torch.cat([task.ids[first], task.ids[second]]).repeat(n_pair, 1)  # (n, 2m)
texts = {
    "told both": task.write_told(pair, both),
    f"told {first}": task.write(tuned, [first] * n_pair),
    f"told {second}": task.write(tuned, [second] * n_pair),
}
asked_of = {first: first, second: second, "both words": (first, second)}
pd.DataFrame(
    {
        name: {
            label: judge.score(each, [words] * n_pair)["has the keyword"] for label, words in asked_of.items()
        }
        for name, each in texts.items()
    }
).T.round(2)

# %% [markdown]
# ## Against training from scratch
#
# The report's baseline is a language model of the base's own shape, trained from nothing on the same stories, with the keyword as a
# prefix of the text. It has to learn the language and the keyword together. Same batches, same optimizer. One of its steps costs
# several steps of the auxiliary model, so this run is shorter; the benchmark's curves, where they have been measured, have equal steps.

# %%
from minilm import MiniLM


def watch_scratch(model) -> str:
    """The same for a model that reads the keyword as a prefix."""
    texts = task.write(model, few, in_text=True)
    curves["from scratch"].append(judge.score(texts, few))
    return f"[{few[0]}] {texts[0]}"


torch.manual_seed(0)
scratch = MiniLM(base.config).to(size.device)
short = replace(
    config, steps=size.pick(smoke=4, cpu=200, gpu=4000), evaluate_every=size.pick(smoke=4, cpu=50, gpu=400)
)
second_dashboard = TrainingDashboard(title="The same from scratch")
second_dashboard.next_run("from scratch", "keyword as prefix")
from_scratch = train(
    scratch, task.in_text.batches(base.window, BATCH_SIZE), short,
    sample=watch_scratch, callbacks=[second_dashboard], progress=False,
)  # fmt: skip

# %% [markdown]
# This is the report's Figure 3: fluency over steps on the left, accuracy over steps on the right. Lines with dots are the two runs
# above, one run each. Thin lines, where the benchmark has been run, are its seeds.

# %%
history = {
    "auxiliary": (result, curves["auxiliary"]),
    "from scratch": (from_scratch, curves["from scratch"]),
}
seeds = measured()
figure, panels = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for panel, score in zip(panels, ("SLOR", "has the keyword"), strict=True):
    for color, (name, (run, points)) in zip(("C0", "C1"), history.items(), strict=True):
        for row in seeds.get(name, []):
            _ = panel.plot(row["curve"]["step"], row["curve"][score], color=color, linewidth=0.8, alpha=0.7)
        at = [each.step for each in run.evaluations]
        _ = panel.plot(at, [each[score] for each in points], "o-", color=color, markersize=4, label=name)
    _ = panel.set(xlabel="step", ylabel=score)
_ = panels[0].set_title("Fluency")
_ = panels[1].set(title="Accuracy", ylim=(0, 1.05))
_ = panels[1].legend()

# %% [markdown]
# ## Beside the others
#
# The report names other ways to the same goal. **Few-shot** shows the base some stories behind their keywords, in the notation it
# has not read. **PPLM** (Dathathri et al. 2020) trains nothing: before each token it moves the base's keys and values along the
# gradient that makes the keyword more probable as the *next* token. It does not know what leads to the word later; that is the
# posterior. **Fine-tuned** trains all of the base's weights, with the keyword as a prefix of the text. **Side-tuning** mixes the
# base's logits with those of a trained copy; **DExperts** adds the difference of two small models, one of which learned the keywords:

# %%
drawings.logit_relatives()

# %%
live = {
    "base, told nothing": by_strength[0],
    "few-shot": judge.score(task.write_after_examples(base, wanted), wanted),
    "auxiliary": by_strength[1],
    "from scratch": judge.score(task.write(scratch, wanted, in_text=True), wanted),
}
print(
    f"this run: one seed, {steps} steps (from scratch: {short.steps}), {n_sample} stories each, 95% intervals"
)
pd.DataFrame({name: with_interval(row, n_sample) for name, row in live.items()}).T

# %% [markdown]
# The rows that take longer are in the benchmark (`python benchmarks/auxiliary.py`), with equal steps and batches for all that
# train. PPLM's step size and DExperts' strength are swept on other samples and the best is taken. Mean over seeds, with the lowest
# and the highest seed:


# %%
from IPython.display import display


def over_seeds(rows: list[dict], name: str) -> str:
    """Mean, lowest and highest of a score."""
    values = [row[name] for row in rows]
    return f"{sum(values) / len(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if seeds:
    scores = ("has the keyword", "possible", "both", "SLOR")
    table = {
        name: {"seeds": len(rows)} | {each: over_seeds(rows, each) for each in scores}
        for name, rows in seeds.items()
    }
    display(pd.DataFrame(table).T)
else:
    print("not measured yet on this base: python benchmarks/auxiliary.py")

# %% [markdown]
# ## What is kept
#
# The base has not changed by one bit, and without the auxiliary model it writes as before. A fine-tuned model has no way back.

# %% tags=["nbval-check-output"]
again, _ = load_pretrained("storyworld")
same = [torch.equal(now.cpu(), then) for now, then in zip(base.parameters(), again.parameters(), strict=True)]
print(f"all tensors of the base are bit for bit as they were: {all(same)}")

# %% [markdown]
# ## Exercise 4: read a difference (15 minutes, difficulty 3 of 5)
#
# A difference of logits also tells what a model has learned. Take the base, and the tuned model that is told "therefore", on the
# same stories: which tokens does the second expect, and the base less? Complete the function: for each token $w$, the average over
# places of $P'(w)\,(\log P'(w) - \log P(w))$, with $P'$ the tuned model's distribution and $P$ the base's. Its sum over $w$ is the
# average of KL$(P' \| P)$, so each token gets its share. The same reading works for any tuned model, also for one of unknown data.

# %%
batch = task.batches(base.window, 16, task.held_out[:16]).in_order()[0].to(base.device)
with torch.no_grad():
    told_therefore = task.tell(["therefore"] * len(batch.tokens)).to(base.device)
    after = tuned(batch.tokens, attribute=told_therefore).logits.flatten(0, 1)  # (N, vocab)
    before = base(batch.tokens).logits.flatten(0, 1)


# %% tags=["key"]
def shares_the_divergence(answer) -> bool:
    """Whether it gives each token's share."""
    found, p = answer(after, before), after.softmax(-1)
    assert found.shape == (after.size(-1),), f"one number for each token, not a shape of {tuple(found.shape)}"
    expected = (p * (p.log() - before.log_softmax(-1))).mean(0)
    return torch.allclose(found, expected, atol=1e-5)


exercise(
    "news",
    shares_the_divergence,
    hints=(
        "Logits become log-probabilities by `log_softmax(dim=-1)`, and those probabilities by `exp()`.",
        "The average over places is `.mean(dim=0)`.",
    ),
    because="weighted by P', a token that neither model expects has no share",
)


# %% tags=["exercise"]
def news(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Each token's share (vocab,) of the divergence between two models' logits (N, vocab)."""
    return ...


check("news", news)


# %% tags=["solution"]
def news(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Each token's share (vocab,) of the divergence between two models' logits (N, vocab)."""
    after, before = after.log_softmax(dim=-1), before.log_softmax(dim=-1)
    return (after.exp() * (after - before)).mean(dim=0)


solution("news", news)

# %%
newest = news(after, before).topk(8)
pd.DataFrame(
    {"token": [tok.readable(each) for each in newest.indices.tolist()], "share, nats": newest.values.cpu()}
)

# %% [markdown]
# ## The claim, and what was measured
#
# The report's main claim (section 4): the two models reach *similar accuracy*, but auxiliary tuning is much more efficient, since
# it *generates fluent samples earlier on*. The table is computed: from the benchmark's seeds where they exist, else from the runs
# above. *Fluent* means 95% of the SLOR that the world's own stories have.

# %%
real = [record.text for record in task.held_out]
goal = 0.95 * judge.score(real, [record.keywords[0] for record in task.held_out])["SLOR"]


def curves_of(name: str) -> list[dict]:
    """The curves of the benchmark's seeds, or that of the run above."""
    run, points = history[name]
    here = {"step": [each.step for each in run.evaluations]} | {
        score: [each[score] for each in points] for score in ("SLOR", "has the keyword")
    }
    return [row["curve"] for row in seeds.get(name, [])] or [here]


def first_fluent(curve: dict) -> float:
    """The first step at which the samples are fluent; infinity for never."""
    return min(
        (step for step, slor in zip(curve["step"], curve["SLOR"], strict=True) if slor >= goal),
        default=float("inf"),
    )


# %%
fluent = {name: [first_fluent(curve) for curve in curves_of(name)] for name in history}
final = {name: [curve["has the keyword"][-1] for curve in curves_of(name)] for name in history}
average = {name: sum(values) / len(values) for name, values in final.items()}
equal_steps = bool(seeds.get("auxiliary") and seeds.get("from scratch")) or steps == short.steps
apart = average["auxiliary"] - average["from scratch"]
learned_it = comparison.divergence[matters].mean() < comparison.divergence_of_base[matters].mean() / 3
rows = [
    ("similar accuracy", f"{average['auxiliary']:.2f} beside {average['from scratch']:.2f}",
     "not shown" if not equal_steps else "confirmed" if abs(apart) < 0.1 else "refuted"),
    ("fluent samples earlier on", f"first at step {fluent['auxiliary']} beside {fluent['from scratch']}",
     "confirmed" if max(fluent["auxiliary"]) < min(fluent["from scratch"]) else "refuted"),
    ("the shift becomes the posterior", f"KL to the oracle where it matters: {comparison.closed():.0%} of the base's is gone",
     "confirmed" if learned_it else "not shown"),
]  # fmt: skip
print(f"{len(fluent['auxiliary'])} run(s) of each; fluent: SLOR of at least {goal:.2f}; 'inf': never")
pd.DataFrame(rows, columns=["claim", "measured here", "verdict"]).set_index("claim")

# %% [markdown]
# "Similar" means within 0.10 here; the third row counts as confirmed if at most a third of the base's divergence is left. The claim
# of efficiency rests on a language that is hard to learn. The story world's is learned in minutes, so a model from scratch loses
# less time with it than one of English would.
#
# ## Beside all other methods
#
# The report's section 5 closes with a table of methods (Table 1) by six properties. The library asks most of them of the methods
# themselves: each is put on a tiny model, its weights are moved, and it is looked at. *Scalable to tasks* follows from that: many
# tasks can share one base of which hardly a weight changes. Two columns cannot be seen so, and are written down in the next cell:
# *features* (it works on what the frozen model computes of the text, with no other network that reads the text from nothing) and
# *scalable capacity* (its trained part can have any size). Columns with a star are ours and not the report's.

# %%
from minilm.evaluation.comparison import Properties
from minilm.evaluation.comparison import comparison as compare_methods

measured_properties = pd.DataFrame(compare_methods(), index=Properties._fields).T
own_network = {"from scratch", "side", "experts", "few-shot"}  # few-shot: nothing beyond the text
fixed_size = {"fine-tuning", "bitfit", "few-shot", "pplm"}
names = measured_properties.index
measured_properties["features"] = [name not in own_network for name in names]
measured_properties["scalable_to_tasks"] = measured_properties["share_changed"] < 0.05
measured_properties["scalable_capacity"] = [name not in fixed_size for name in names]
measured_properties.rename(
    columns={each: f"{each} *" for each in ("outside_the_base", "keeps_window", "merges")}
)

# %% [markdown]
# Two entries differ from the report's. *Few-shot* "takes an attribute" here, because the prompt may be exchanged for another; the
# report says no. *Fine-tuning* does not, because nothing but the text can be told to it; the report says yes, with a note, since
# the attribute can be written into the text. That is how the row *fine-tuned* of the benchmark reads its keyword. *auxiliary* reads
# features only if `feature_layers` is above 0.
#
# ## Traps
#
# **One row off.** The shift of $x_t$ stands at position $m + t - 1$. A loss that also counts the keyword's own tokens trains the
# small model to write keywords.
#
# **`no_grad` around the frozen embedding.** It must not change, but the gradient has to pass through the product with it.
#
# **Dropout in the frozen model.** Then its logits are not those that it will have when it writes; the library keeps it in
# evaluation mode.
#
# **Another base.** An auxiliary model corrects the very base it was trained with. A saved one knows its base by a fingerprint, and
# `CachedBase` refuses states that were kept for other weights.
#
# ## What was seen
#
# The frozen model knows the language. What it lacks for a task is a shift of its logits, and Bayes' rule says which one. A small
# model learned that shift from examples; beside the exact one you saw how near it came, and where it did not. It can be turned up,
# added to another one, and taken away again. The base stays as it was, to the last bit.
