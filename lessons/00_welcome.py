# %% [markdown]
# # 0. Welcome
#
# **You will see** a small language model write a story, how sure it was of every word, and how close it comes to the best
# that any model can do.
#
# **It takes** about a minute. Nothing is downloaded: the model comes with the course.
#
# ## Is everything here?
#
# To run a cell, click into it and press Shift + Enter. A line that begins with ! comes with advice; all else is ready.

# %%
from minilm import doctor

print(doctor.report())

# %% [markdown]
# All lessons run on a laptop's CPU. With a CUDA device they train larger models in the same time. The profile is chosen
# by the machine; to choose it yourself, set the environment variable `MINILM_PROFILE` to `smoke`, `cpu` or `gpu`.

# %%
import math

from lessons.checks import check, exercise, solution
from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## How a lesson works
#
# - **Read and run** from the top. Each lesson stands alone: it needs nothing that another one made.
# - **Look and turn.** Explorers have sliders, and show more on hover. While a model trains, Stop keeps what it has learnt.
# - **Answer.** An exercise has `...` where your answer goes. Until then it says that it is open; after a wrong answer it
#   gives a hint, and one more after the next. The folded cell above it knows the right answer: run it, and leave it
#   folded. The folded cell below holds a solution; to open it, click on its bar.
# - **Begin again** at any time: *Kernel*, *Restart Kernel and Run All Cells*.
#
# ## Exercise 1: surprise
#
# A language model reads a text and gives every possible next token a probability $p$. When the true next token comes, the
# model is surprised by $-\log_2 p$ bits: 0 bits if it was certain, 1 bit if it might as well have tossed a coin. The mean
# of this surprise is the *loss* that all training in this course makes smaller.
#
# How many bits is the surprise at a token of probability 1/8? Replace the `...` and run the cell.

# %% tags=["key"]
exercise(
    "surprise",
    3,
    hints=("How many coins must all show heads, for a chance of 1/8?", "-log2(1/8) = log2(8)"),
    because="three coins that all show heads: one bit each",
)

# %% tags=["exercise"]
bits = ...
check("surprise", bits)

# %% tags=["solution"]
bits = -math.log2(1 / 8)
solution("surprise", bits)

# %% [markdown]
# ## A model that writes
#
# The bundled model was pretrained on short stories, and knows nothing else. It reads tokens (pieces of words), and one
# pass over them gives a score, a *logit*, to every token of its vocabulary. Softmax makes probabilities of the logits:
#
# $$P(x_t = v \mid x_{<t}) = \frac{e^{z_v}}{\sum_u e^{z_u}}$$
#
# To write is to draw a token from these probabilities, append it, and ask again.

# %%
import torch

from minilm import generate, load_pretrained

model, tok = load_pretrained("stories")
tokens = [tok.end_of_text]  # every story follows the end of another
draw = torch.Generator().manual_seed(5)
with torch.no_grad():
    while len(tokens) < model.window:
        logits = model(torch.tensor([tokens])).logits[0, -1]  # (vocab,)
        token = torch.multinomial(logits.softmax(dim=-1), 1, generator=draw).item()
        if token == tok.end_of_text:
            break
        tokens.append(token)
print(tok.decode(tokens[1:]))

# %% [markdown]
# The library's `generate` does the same, faster: it keeps what it has computed for the tokens before. A temperature below
# 1 makes likely tokens likelier still. The seed makes the sample repeatable.

# %%
start = torch.tensor([[tok.end_of_text, *tok.encode("One morning, Ruby")]])
for seed in range(3):
    story = generate(model, start, max_new_tokens=120, temperature=0.8, seed=seed, stop_token=tok.end_of_text)
    print(tok.decode(story[0, 1:].tolist()).split("<|endoftext|>")[0], end="\n\n")

# %% [markdown]
# In the playground every token is shaded by its probability: the darker, the surer the model was. Hover over a token to
# see what else might have come. Look for where a story is free (names, places, the first words of a sentence) and where
# it is bound by what was said before.

# %%
from lessons.widgets import Playground

Playground(model, tok)

# %% [markdown]
# ## A world whose truth is known
#
# For most texts, nobody knows how good a model could be. Here it is known. The stories are drawn from a grammar, and for
# any beginning of a story an *oracle* adds up all the ways in which the grammar can go on. This gives the true probability
# of every next token, exactly. Below, the model's probabilities stand beside the truth.

# %%
import pandas as pd

from minilm.storyworld import Oracle, StoryWorld

world = StoryWorld("stories")
oracle = Oracle(world, tok)


def next_tokens(text: str, k: int = 5) -> pd.DataFrame:
    """The (at most k) truly likeliest next tokens, with their true probability and the model's."""
    ids = tok.encode(text)
    truth = oracle.log_probs(ids)[-1].exp()  # (vocab,)
    with torch.no_grad():
        guess = model(torch.tensor([[tok.end_of_text, *ids]])).logits[0, -1].softmax(dim=-1)  # (vocab,)
    likely = [i for i in truth.argsort(descending=True)[:k].tolist() if truth[i] > 0]
    table = {"truth": truth[likely].tolist(), "model": guess[likely].tolist()}
    return pd.DataFrame(table, index=[repr(tok.decode([i])) for i in likely]).round(3)


story = world.sample(1, seed=1, attribute=("plot", "lost"))[0].text
toy = "flute"
print(story[: story.index(f" {toy}")], "...")
next_tokens(story[: story.index(f" {toy}")])

# %% [markdown]
# Here the story is free, and all toys are as likely as each other. Further down, the same toy comes again. Now it can only
# be one, and to know which, the model has to look back at the beginning: this is what attention is for (lesson 2).

# %%
print(story[: story.rindex(f" {toy}")], "...")
next_tokens(story[: story.rindex(f" {toy}")])

# %% [markdown]
# So even the oracle is surprised: what the story has left open, nobody can know. The mean surprise of the oracle is the
# **floor**: no model, however large, has a lower loss on these stories. Each bar below is one token of a story, as high as
# the surprise that nobody can avoid. Each dot is the model's surprise at that token.


# %%
def surprises(text: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids of a story, and the bits by which each of them surprises the oracle and the model: (T,) each."""
    ids = torch.tensor(oracle.encode(text))  # (T,) the end-of-text token last
    truth = oracle.log_probs(ids)[:-1]  # (T, vocab) natural logarithms
    with torch.no_grad():
        guess = model(ids.roll(1)[None]).logits[0].log_softmax(dim=-1)  # (T, vocab); end-of-text comes first
    oracle_nats, model_nats = (-table.gather(1, ids[:, None])[:, 0] for table in (truth, guess))
    return ids, oracle_nats / math.log(2), model_nats / math.log(2)


ids, oracle_bits, model_bits = surprises(story)

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
figure, axes = plt.subplots(figsize=(11, 3.4), layout="constrained")
_ = axes.bar(range(len(ids)), oracle_bits, alpha=0.45, label=f"oracle, mean {oracle_bits.mean():.2f} bits")
_ = axes.plot(model_bits, "o", markersize=4, color="C1", label=f"model, mean {model_bits.mean():.2f} bits")
_ = axes.set_xticks(range(len(ids)), [tok.decode([i]) for i in ids.tolist()], rotation=90, fontsize=8)
_ = axes.set(ylabel="surprise (bits)", xlim=(-1, len(ids)))
_ = figure.legend(loc="outside upper left", ncols=2)

# %% [markdown]
# Where a bar is high, the story is free. Where it is flat and the dot lies on it, the model has learnt what must come. A
# dot far above its bar is something that it could have known and did not.
#
# ## Exercise 2: the start of learning
#
# A model that has learnt nothing gives all tokens of its vocabulary the same probability. What is its loss, in bits?

# %% tags=["key"]
exercise(
    "untrained",
    math.log2(tok.vocab_size),
    hints=(
        "Every token has probability 1 / `tok.vocab_size`.",
        "It is surprised alike by all: `math.log2(...)` bits.",
    ),
    because="from here every training run of the course starts, and the floor is where it could end",
)

# %% tags=["exercise"]
untrained = ...
check("untrained", untrained)

# %% tags=["solution"]
untrained = math.log2(tok.vocab_size)
solution("untrained", untrained)

# %% [markdown]
# ## Exercise 3: what nobody can know
#
# Which token of the story surprises the oracle most? Find its text, with `oracle_bits`, `ids` and `tok.decode`.

# %% tags=["key"]
exercise(
    "hardest",
    tok.decode([ids[oracle_bits.argmax()].item()]),
    hints=("`oracle_bits.argmax()` is its place in the story.", "`tok.decode([...])` wants a list of ids."),
    because="here the grammar has most to choose from",
)

# %% tags=["exercise"]
hardest = ...
check("hardest", hardest)

# %% tags=["solution"]
place = oracle_bits.argmax()
hardest = tok.decode([ids[place].item()])
solution("hardest", hardest)

# %% [markdown]
# ## How far is the model from the floor?
#
# One story proves little. These are the means over 50 stories that the model has never read, in bits per token, the end
# of each story included.

# %%
_, oracle_bits_of, model_bits_of = zip(
    *(surprises(each.text) for each in world.sample(50, seed=2024)), strict=True
)
floor, loss = torch.cat(oracle_bits_of).mean().item(), torch.cat(model_bits_of).mean().item()
bits_per_token = {"nothing learnt": untrained, "bundled model": loss, "floor": floor}
losses = pd.DataFrame({"bits per token": bits_per_token})
losses["above the floor"] = [f"{value / floor - 1:.1%}" for value in bits_per_token.values()]
losses.round(3)

# %% [markdown]
# ## What comes
#
# Lessons 1 to 3 build all that you have just used: the tokenizer, the transformer, and the training that brought the loss from
# the first row down to the second. From lesson 4 on the model is given, and the question is how to adapt it: each method on
# this same model, with the same data and the same budget, so that their prices and their gains can be compared.
#
# Next: [1. Tokens](01_tokenizer.ipynb)
#
# ## If something goes wrong
#
# - `minilm doctor` in a terminal prints the table from the top of this page, with advice.
# - A name that is not defined: a cell above was not run. *Restart Kernel and Run All Cells* mends that.
# - No module named `minilm`: the notebook runs in another Python. Start with `make lab`, or choose the kernel in `.venv`.
