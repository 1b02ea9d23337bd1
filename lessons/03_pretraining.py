# %% [markdown]
# # 3. Pretraining
#
# **You will see** a model that knows nothing learn to write stories, live, and its loss fall towards a floor that no model
# can break. You will see the moment at which it learns to copy, and where in its attention that happens.
#
# **It takes** about three minutes on two CPU cores.
#
# ## The idea
#
# Pretraining asks one question over and over: what comes next? The model is shown a window of text and its loss is the
# mean surprise at the tokens that really come,
#
# $$L = -\frac{1}{T} \sum_{t=1}^{T} \log P(x_t \mid x_{<t})$$
#
# in nats per token (Radford et al. 2018, equation 1). Nobody labels anything: the text is its own answer. All that a model
# knows of names, grammar and plots is there because it made this number smaller.

# %%
import torch

from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## The text
#
# The stories come from a small world that is written down as a grammar. We sample some to learn from, and some others, held
# out, to judge by; train a tokenizer on the first; and put the end-of-text token before every story.

# %%
import math

from minilm.pretraining import StoryCorpus

corpus = StoryCorpus.sample(
    n_story=size.pick(smoke=500, cpu=20_000, gpu=200_000),
    n_held_out=size.pick(smoke=8, cpu=60, gpu=200),
    vocab_size=size.pick(smoke=1024, cpu=1536, gpu=1536),
)
tok = corpus.tokenizer
n_token = sum(map(len, corpus.stories))
window = 16 * math.ceil(max(map(len, corpus.held_out)) / 16 + 1 / 16)  # holds every story
print(f"{len(corpus.stories):,} stories, {n_token:,} tokens, {tok.vocab_size} different ones; for example:\n")
print(tok.decode(corpus.stories[0]))

# %% [markdown]
# Since the world is known, so is the best possible loss. Nobody, not even the author of the grammar, knows which name
# comes next; the *floor* is what the world's own probabilities lose on the held-out stories. A model that counts how often
# each token followed the last four, a 5-gram model, is the other yardstick.

# %%
print(f"floor          {corpus.floor:.3f} nats per token")
print(f"5-gram model   {corpus.baseline():.3f} nats per token")

# %% [markdown]
# ## Exercise 1: before the first step
#
# An untrained model gives all tokens nearly the same probability. About which loss does every run start from, in nats?

# %% tags=["key"]
from lessons.checks import check, exercise, solution

exercise(
    "start",
    math.log(tok.vocab_size),
    hints=("Each of the `tok.vocab_size` tokens has probability 1 / `tok.vocab_size`.", "-log(1/n) = log(n)"),
    because="a curve that starts elsewhere is the first sign of a bug",
    tolerance=0.01,
)

# %% tags=["exercise"]
start = ...
check("start", start)

# %% tags=["solution"]
start = math.log(tok.vocab_size)
solution("start", start)

# %% [markdown]
# ## By hand
#
# A training loop is short. A batch holds windows of tokens and, for each token, the one that follows. The gradient of the
# loss says how every weight would have to move; AdamW (Loshchilov & Hutter 2019) takes a step against it.

# %%
import torch.nn.functional as F

from minilm import MiniLM, ModelConfig

shape = ModelConfig(vocab_size=tok.vocab_size, context_length=128, n_layer=2, n_head=4, d_model=32)
batches = corpus.batches(context_length=64, batch_size=4)

torch.manual_seed(0)
model = MiniLM(shape)
matrices = [weight for weight in model.parameters() if weight.dim() == 2]
vectors = [weight for weight in model.parameters() if weight.dim() == 1]
optimizer = torch.optim.AdamW(
    [{"params": matrices}, {"params": vectors}], lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0
)
by_hand = []
for index in range(5):
    batch = batches.batch(index)  # tokens and targets, both (B, T)
    logits = model(batch.tokens).logits  # (B, T, vocab)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    by_hand.append(loss.item())
print([round(loss, 4) for loss in by_hand])

# %% [markdown]
# The library's loop takes the same steps. It can also be stopped and resumed, accumulate, warm up, and be watched.

# %%
from minilm import TrainingConfig, train

torch.manual_seed(0)
model = MiniLM(shape)
plain = TrainingConfig(steps=5, optimizer="adamw", schedule="constant", warmup_steps=0, device="cpu")
result = train(model, batches, plain, progress=False)
by_library = [record.loss for record in result.records]
print([round(loss, 4) for loss in by_library])
print("largest difference:", f"{max(abs(a - b) for a, b in zip(by_hand, by_library, strict=True)):.0e}")

# %% [markdown]
# ## The learning rate
#
# Too low, and nothing happens; too high, and the loss explodes. So the rate climbs from zero while the optimiser gathers its
# averages, and then falls to zero, so that the last steps settle instead of jumping about. A long run may do so several times
# (*warm restarts*, Loshchilov & Hutter 2017), which is `cycles` in `TrainingConfig`. It helped us: on stories, one long fall over
# 32,000 steps never learnt to copy an object from where it was first named, and ended 6% above the floor; a fall over 2,000
# steps and another over 4,000 learnt to copy everything, and ended 0.6% above it.

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style
from minilm.training.optimizers import schedule_factor

use_style()
figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
for schedule in ("linear", "cosine", "constant"):
    _ = axes.plot([schedule_factor(step, 200, 20, schedule) for step in range(200)], label=schedule)
restarted = [schedule_factor(step, 200, 5, "linear", cycles=3) for step in range(200)]
_ = axes.plot(restarted, label="linear, 3 cycles")
_ = axes.set(xlabel="step", ylabel="share of the peak rate")
_ = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

# %% [markdown]
# ## Exercise 2: a schedule
#
# Write the linear schedule: for `step` 0, 1, 2, ... it climbs in equal parts so that step `warmup - 1` has the full rate,
# then falls in a straight line that would reach 0 at `steps`.

# %% tags=["key"]
exercise(
    "schedule",
    lambda linear: all(
        abs(linear(step, 50, 10) - schedule_factor(step, 50, 10, "linear")) < 1e-9 for step in range(50)
    ),
    hints=(
        "In the warm-up: (step + 1) / warmup.",
        "After it, a share (step - warmup) / (steps - warmup) of the way down has been walked.",
    ),
    because="most of the last tenth of a loss curve is won by letting the rate fall to zero",
)


# %% tags=["exercise"]
def linear(step, steps, warmup):
    return ...


check("schedule", linear)


# %% tags=["solution"]
def linear(step, steps, warmup):
    return (step + 1) / warmup if step < warmup else 1 - (step - warmup) / (steps - warmup)


solution("schedule", linear)

# %% [markdown]
# ## The run
#
# Matrices are stepped by Muon (Jordan et al. 2024), which gives all directions of a matrix an equal say; embeddings, biases
# and gains by AdamW. To see when the model learns to copy, we also look, at each evaluation, at one kind of token: the name
# of the hero when it comes back. The world leaves no doubt about it, but only to those who remember.

# %%
from minilm import trace


def returns_of(ids: list[int]) -> list[tuple[int, int]]:
    """(first, again): places where a name, which is the first token to come back after a surname, is met again."""
    names = {token for token in ids if tok.decode([token]).strip() in heroes}
    places = {name: [at for at, token in enumerate(ids) if token == name] for name in names}
    return [(at[0], again) for at in places.values() for again in at[1:]]


heroes = corpus.world.attributes()["hero"]
stories = [[tok.end_of_text, *story] for story in corpus.held_out]
copies = [(story, first, again) for story in stories for first, again in returns_of(story)]
print(len(copies), "names come back; for example", repr(tok.decode([copies[0][0][copies[0][2]]])))

# %%
watched = []


@torch.no_grad()
def loss_and_copying(model: MiniLM) -> float:
    """Held-out loss; on the side, the loss on returning names and the attention that goes back to them."""
    losses, looks = [], []
    for story, first, again in copies[:24]:
        with trace(model) as seen:
            logits = model(torch.tensor([story[:again]], device=model.device)).logits
        losses.append(-logits[0, -1].log_softmax(-1)[story[again]].item())
        back = [weights[0, :, -1, first : first + 2].sum(-1) for weights in seen.attention.values()]
        looks.append(torch.stack(back).cpu())  # (L, H): from the last token to the name and the one after it
    watched.append((sum(losses) / len(losses), torch.stack(looks).mean(0)))
    return corpus.loss(model)


# %% [markdown]
# Press nothing, the cell below trains. Afterwards the sliders are yours: change the size, the learning rate or the
# temperature of the samples, and press Run; Stop keeps what was learnt. Runs are laid over each other.

# %%
from lessons.widgets import PretrainingLab, PretrainingSettings

settings = PretrainingSettings(
    n_layer=size.pick(smoke=1, cpu=3, gpu=6),
    d_model=size.pick(smoke=32, cpu=96, gpu=384),
    n_head=size.pick(smoke=4, cpu=12, gpu=12),
    learning_rate=size.pick(smoke=0.01, cpu=0.01, gpu=0.003),
    batch_size=size.pick(smoke=4, cpu=16, gpu=64),
    steps=size.pick(smoke=10, cpu=800, gpu=2000),
    temperature=1.0,
)
lab = PretrainingLab(
    tok,
    corpus.stories,
    corpus.held_out,
    floor=corpus.floor,
    settings=settings,
    context_length=window,
    config=TrainingConfig(matrix_learning_rate=0.009, device=size.device),
    evaluate=loss_and_copying,
)
_ = lab.run()

# %%
loss = lab.kept[0].result.evaluations[-1].loss
print(f"{loss:.3f} nats per token: {loss / corpus.floor - 1:.1%} above the floor of {corpus.floor:.3f}")

# %% [markdown]
# ## When copying is learnt
#
# At first the loss falls because the model learns which words there are and which follow which. Then it stands nearly
# still, and falls again when something new is found: that a name already told will be told again. On the left, the
# surprise at names that come back. On the right, one line a head: how much of its attention goes from the place where the
# name is due back to the place where it was first told.

# %%
steps = [record.step for record in lab.kept[0].result.evaluations]
surprise = [each[0] for each in watched[: len(steps)]]
looks = torch.stack([each[1] for each in watched[: len(steps)]]).flatten(1)  # (evaluations, L H)
best = looks[-1].argmax().item()
layer, head = divmod(best, settings.n_head)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
_ = left.plot(steps, surprise, marker="o", markersize=3)
_ = left.set(xlabel="step", ylabel="surprise at a returning name (nats)", ylim=(0, None))
_ = right.plot(steps, looks, color="C7", alpha=0.35, linewidth=1)
_ = right.plot(steps, looks[:, best], color="C1", label=f"layer {layer}, head {head}")
_ = right.set(xlabel="step", ylabel="attention back to the name", ylim=(0, 1))
_ = right.legend()

# %% [markdown]
# Attention does here what a recurrent state would have to carry along: it goes back and looks. Heads that find the place
# where the same thing was said before and repeat what came next are called *induction heads* (Olsson et al. 2022).
#
# ## Beside the truth
#
# What does the model expect, and what is true? Write the beginning of a story and press Enter. *Open* is the surprise that
# nobody can avoid, *lost by the model* what it could still learn. Compare a place where much may come (an adjective, a
# place) with one where a name is due.

# %%
from lessons.widgets import TruthExplorer
from minilm.storyworld import Oracle

oracle = Oracle(corpus.world, tok)
story = corpus.world.sample(1, seed=12)[0].text
beginning = story[: story.index(" ", len(story) // 3)]
untrained = MiniLM(lab.model.config)
TruthExplorer({"untrained": untrained, "trained": lab.model.to("cpu")}, tok, oracle, beginning)

# %% [markdown]
# ## Exercise 3: how far from perfect?
#
# Of the loss of the run above, which share could a better model still win? Use `loss` and `corpus.floor`.

# %% tags=["key"]
exercise(
    "share",
    1 - corpus.floor / loss,
    hints=("The part above the floor is `loss - corpus.floor`.", "As a share of the loss: divide by `loss`."),
    because="on real text nobody can work this out: a loss alone does not say how much there is left to learn",
    tolerance=1e-3,
)

# %% tags=["exercise"]
share = ...
check("share", share)

# %% tags=["solution"]
share = (loss - corpus.floor) / loss
solution("share", share)

# %% [markdown]
# ## Real text
#
# The same code reads any text. Here it is Shakespeare, and nobody knows the floor. Loss per token cannot be compared between
# tokenizers, since longer tokens are harder to guess; bits per byte can:
#
# $$\text{bits per byte} = \frac{\text{nats per token} \times \text{tokens}}{\ln 2 \times \text{bytes}}$$

# %%
from minilm import datasets
from minilm.pretraining import RECIPES, TextCorpus, pretrain

try:
    text = datasets.load("tinyshakespeare")
except (OSError, ValueError) as problem:  # no copy here and no network: any long text will do
    print(f"Without Shakespeare ({type(problem).__name__}), so the stories once more, as one running text.")
    text = "\n".join(tok.decode(story) for story in corpus.stories[:5000])
text = text[: size.pick(smoke=30_000, cpu=None, gpu=None)]
recipe = RECIPES["shakespeare"].with_changes(
    vocab_size=size.pick(smoke=400, cpu=1024, gpu=1024),
    n_layer=size.pick(smoke=1, cpu=3, gpu=6),
    steps=size.pick(smoke=5, cpu=400, gpu=1500),
    evaluate_every=size.pick(smoke=5, cpu=100, gpu=250),
    device=size.device,
)
plays = TextCorpus.split(text, recipe.vocab_size, "plays")

# %%
from lessons.widgets import TrainingDashboard

dashboard = TrainingDashboard(title="A running text")
done = pretrain(recipe, plays, callbacks=[dashboard], progress=False, temperature=0.8)

# %%
for name, nats in done.yardsticks():
    print(f"{name:<14} {nats:.3f} nats per token   {plays.bits_per_byte(nats):.3f} bits per byte")

# %% [markdown]
# In this short run the model comes near the 5-gram model, which has counted every line; with 1,200 steps
# (`minilm pretrain my_model shakespeare`, under three minutes) it passes it. Counting is hard to beat on a small text: that
# is why language models needed large ones.
#
# ## Exercise 4: bits per byte
#
# Compute the bits per byte of a loss of 2 nats per token, for a text of 500 tokens and 1,500 bytes.

# %% tags=["key"]
exercise(
    "bits",
    2 * 500 / math.log(2) / 1500,
    hints=("In all the text costs 2 x 500 nats.", "A nat is 1 / ln 2 bits; then divide by the bytes."),
    because="it is also a file size: a model with this loss could compress the text to so many bits for each byte",
)

# %% tags=["exercise"]
bits = ...
check("bits", bits)

# %% tags=["solution"]
bits = 2 * 500 / math.log(2) / 1500
solution("bits", bits)

# %% [markdown]
# ## What was claimed, what was seen
#
# | claim | here |
# |---|---|
# | loss falls as a smooth power law of size, data and compute (Kaplan et al. 2020) | over many tasks at once, yes; for one skill, such as copying a name, it falls late and quickly |
# | induction heads form in a short window of training, with a bend in the loss (Olsson et al. 2022) | the right-hand picture above |
# | Muon needs fewer steps than AdamW (Jordan et al. 2024) | in the lab: `lab.config = TrainingConfig(optimizer="adamw")`, then Run |
#
# ## Traps
#
# - **A window that starts in the middle of a story** asks for names that nobody has mentioned. Our windows start where a
#   story starts.
# - **Judging by the training loss.** On Shakespeare the model reads the same million characters several times, and its
#   training loss soon says more about memory than about language.
# - **Comparing losses across tokenizers.** Nats per token depend on how long tokens are.
# - **Stopping before the rate has fallen.** A run that is cut off half-way looks worse than a run planned to be half as long.
# - **A run that slows down as it gets better.** The surer a model is, the smaller the other tokens' probabilities, and numbers
#   below $10^{-38}$ take a processor much longer: our longest run fell from 12 steps a second to 6. `torch.set_flush_denormal(True)`,
#   before torch starts its threads, makes them 0; `profile()` and `minilm pretrain` do so.
#
# Next: [4. Fine-tuning](04_fine_tuning.ipynb)
