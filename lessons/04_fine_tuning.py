# %% [markdown]
# # 4. Fine-tuning
#
# **You will see** a model learn a new notation from a few hundred examples, what the same model does without any training, what
# a model without pretraining makes of the same examples, and what is forgotten on the way.
#
# **It takes** about three minutes of computing on two idle CPU cores, and about 45 minutes of reading and exercises.

# %%
import torch

from lessons.checks import check, exercise, solution
from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## The idea
#
# A pretrained model continues any text. A *task* is a set of prompts $x$, each with a target $y$ that should follow it.
# Fine-tuning goes on with training as before, with one change: the text is prompt and target in a row, and only the tokens of
# the target count in the loss,
#
# $$L = -\frac{1}{|y|} \sum_{t \in y} \log P(z_t \mid z_{<t}), \qquad z = [x ; y]$$
#
# (Li and Liang 2021, equation 2). Every weight may change. That makes fine-tuning the yardstick for the methods of the next
# lessons, which change fewer numbers. The first paper on generative pretraining (Radford et al. 2018, section 3.2) tuned in
# another way: it put a linear classifier on the last hidden state, and added the loss of the text to the loss of the class.
# Our targets are texts, so no classifier is needed.
#
# ## The task
#
# Facts go in, and a passage that tells them comes out. This is the task of WebNLG and E2E, on which prefix-tuning and LoRA were
# introduced, in small.

# %%
from lessons.facts_to_text import FactsToText
from minilm import load_pretrained

base, tok = load_pretrained("storyworld")
base.to(size.device)
n_test = size.pick(smoke=4, cpu=32, gpu=150)
task = FactsToText(tok, n_train=400, n_held_out=n_test)  # judged on the dev split
for record in task.records[:3]:
    print(record.prompt, "\n   ->", record.target)

# %% [markdown]
# The base model has read facts and stories in seven notations, such as `(Tom, owned, lamp) -> One day ...` or
# `Tom > owned > lamp : One day ...`. The notation of this lesson, with `:` between the parts, `|` between the facts and `=` at the end, was
# *held out* of pretraining. The base has met each of its tokens, but never this combination. So there is a notation to learn, and no
# new language.
#
# A frozen model could not tell tokens apart that it had never met: their embeddings would all be one vector. We check that first.

# %%
from minilm.adaptation.strange_tokens import strange_tokens

used = {token for prompt, target in task.learned for token in (*prompt, *target)}
print(f"the task uses {len(used)} tokens; of these the base has never met: {strange_tokens(base, used)}")

# %% [markdown]
# Three splits are needed. We train on *train*, we choose and stop by *dev*, and the final table is computed on *test*, which decides
# nothing. The facts of one split occur in no other.
#
# Three numbers judge a model on held-out facts:
#
# - the **loss** on the given targets, in nats per token. The story world knows the probability of every text, so the lowest
#   possible loss of this task, its **floor**, is known too;
# - **objects told**: the share of facts whose object (the last part) stands in the text that the model writes;
# - **whole facts told**: the share of facts that the world finds when it parses that text. If Lucy lent the lamp in the text, then
#   "Tom owned the lamp" is not told.

# %%
test = FactsToText(tok, n_train=1, n_held_out=n_test, split="test")
print(f"floor of the test split: {test.lowest_loss:.3f} nats per token")
print(test.samples(base, 1))

# %% [markdown]
# ## What the base can do without training: few-shot prompting
#
# A few solved examples can go before the prompt. No weight changes: the model reads the task from its context (Brown et al. 2020).
# In pretraining the base has read documents with up to nine examples in a row, in other notations. Here is a prompt
# with two examples, one in each line:

# %%
from minilm.generation.few_shot import few_shot_prompt

room = base.window - test.longest  # the rest of the window is for the target
short = [pair for pair in task.learned if sum(map(len, pair)) <= 36]  # short ones, so that eight fit


def behind(shots: int) -> list[list[int]]:
    """The test prompts, each behind so many solved examples, other ones for each prompt."""
    prompts = []
    for number, (prompt, _) in enumerate(test.judged):
        places = [(number * shots + each) % len(short) for each in range(shots)]
        solved = [(short[place][0][1:], short[place][1][:-1]) for place in places]
        prompts.append([tok.end_of_text, *few_shot_prompt(solved, prompt[1:], tok.encode("\n"), room - 1)])
    return prompts


print(tok.decode(behind(2)[0][1:]))

# %%
import pandas as pd

shots = size.pick(smoke=(0, 2), cpu=(0, 1, 2, 4, 8), gpu=(0, 1, 2, 4, 8))
few_shot = pd.DataFrame({count: test.judge(base, behind(count)) for count in shots}).T
few_shot.rename_axis("examples").round(3)

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
_ = left.plot(few_shot["loss"], "o-", label="base")
_ = left.axhline(test.lowest_loss, color="C1", linestyle=":", label="floor")
_ = left.set(xlabel="solved examples before the prompt", ylabel="loss (nats per token)", ylim=(0, None))
_ = left.legend()
for column in ("objects told", "whole facts told"):
    _ = right.plot(few_shot[column], "o-", label=column)
_ = right.set(xlabel="solved examples before the prompt", ylabel="share", ylim=(0, 1.05))
_ = right.legend()

# %% [markdown]
# Look for two things: how much the first example brings, and whether more examples go on to help. The examples cost
# context at every use, and the window ends: eight is the most that fits here.
#
# ## By hand: a loss on targets only
#
# One example becomes one row of tokens. At each place the model predicts the next token. Places whose next token belongs to the
# prompt do not count. Row and targets are shifted by one, and this is where mistakes are made.

# %%
prompt, target = task.learned[0]
row = torch.tensor([[*prompt, *target]], device=base.device)  # (1, P + Y)
with torch.no_grad():
    log_p = base(row[:, :-1]).logits[0].log_softmax(dim=-1)  # (P + Y - 1, vocab)
surprise = -log_p.gather(1, row[0, 1:, None])[:, 0]  # (P + Y - 1,) at each token after the first
on_target = surprise[len(prompt) - 1 :]  # (Y,) the first target is predicted at the prompt's last token
print(f"on the target {on_target.mean():.3f}, on prompt and target {surprise.mean():.3f} nats per token")

# %% [markdown]
# The library's `Completions` makes such batches. Prompts and padding get the target -100, which no loss counts.

# %%
from minilm.objectives import IGNORE, Completions, next_token_loss

batch = Completions([(prompt, target)], batch_size=1, window=base.window).batch(0)
library = next_token_loss(base, batch.to(base.device)).item()
ignored = int((batch.targets == IGNORE).sum())
print(f"by hand {on_target.mean():.5f}, library {library:.5f}; {ignored} places ignored")

# %% [markdown]
# ## Exercise 1: which places count
#
# *5 minutes, difficulty 2 of 5.* Complete the function. For a prompt and a target it returns the list of what should be predicted
# at each token that the model reads (all but the last of the row), with -100 where nothing is asked.


# %% tags=["key"]
def as_completions_does(answer) -> bool:
    """Whether the targets are those of the library."""
    for pair in [([7, 8, 9], [4, 5]), ([7], [4, 5, 6]), ([1, 2], [3])]:
        expected = Completions([pair], 1, 10).batch(0).targets[0].tolist()
        found = list(answer(*pair))
        assert len(found) == len(expected), f"for {pair} there should be {len(expected)} places"
        assert found == expected, f"for {pair} it is not {found}"
    return True


exercise(
    "targets",
    as_completions_does,
    hints=(
        "The model reads len(prompt) + len(target) - 1 tokens: the last target is never read.",
        "At the prompt's last token the first target should be predicted.",
        "So there are len(prompt) - 1 times -100, and then the whole target.",
    ),
    because="one place too early or too late, and the model would learn to copy what it has just read",
)


# %% tags=["exercise"]
def targets(prompt: list[int], target: list[int]) -> list[int]:
    """What should be predicted at each token that the model reads; -100 for nothing."""
    return ...


check("targets", targets)


# %% tags=["solution"]
def targets(prompt: list[int], target: list[int]) -> list[int]:
    """What should be predicted at each token that the model reads; -100 for nothing."""
    return [-100] * (len(prompt) - 1) + target


solution("targets", targets)

# %% [markdown]
# ## By hand: the training loop
#
# A copy of the model, a batch, its gradient, a step of AdamW: that is all of fine-tuning. AdamW divides each weight's mean gradient by its
# usual size, so that every weight moves about one learning rate a step.

# %%
from copy import deepcopy

copy = deepcopy(base).requires_grad_(True)
batches = task.batches(base.window)
optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0)
for index in range(3):
    loss = next_token_loss(copy, batches.batch(index).to(base.device))
    loss.backward()
    # One strange batch must not throw the weights off: the gradient is cut to length 1.
    torch.nn.utils.clip_grad_norm_(copy.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    print(f"step {index + 1}: loss {loss.item():.4f}")

# %% [markdown]
# In the library a tuned model is a frozen base with something attached. Fine-tuning attaches a full set of weights that are used
# in place of the base's own, so the base is never touched. After the same three steps both are the same model:

# %%
from minilm import train, tuning

config = tuning.FullFineTuning().recipe(
    steps=3, learning_rate=1e-3, schedule="constant", warmup_steps=0, device=size.device
)
trial = tuning.attach(base, tuning.FullFineTuning())
result = train(trial, task.batches(trial.window), config, progress=False)
print("losses", [round(record.loss, 4) for record in result.records])

ids = torch.tensor([prompt], device=base.device)
with torch.no_grad():
    apart = (trial(ids).logits - copy.eval()(ids).logits).abs().max().item()
print(f"logits differ by less than 1e-3: {apart < 1e-3}")
_ = trial.detach()

# %% [markdown]
# ## Exercise 2: one step
#
# *10 minutes, difficulty 3 of 5.* Write a step of plain gradient descent yourself, without an optimizer:
# $\theta \leftarrow \theta - \eta \, \nabla_\theta L$. It changes the weights of the model and returns the loss before the step.


# %% tags=["key"]
def descends(answer) -> bool:
    """Whether every weight moves by minus the rate times its gradient, twice in a row."""
    small, reference = (deepcopy(base).requires_grad_(True) for _ in range(2))
    for index in range(2):
        batch = batches.batch(index).to(base.device)
        loss = next_token_loss(reference, batch)
        slopes = torch.autograd.grad(loss, list(reference.parameters()))
        with torch.no_grad():
            for weight, slope in zip(reference.parameters(), slopes, strict=True):
                weight -= 0.1 * slope
        found = answer(small, batch, 0.1)
        assert abs(float(found) - loss.item()) < 1e-3, (
            f"step {index + 1} returns {float(found):.4f}, not {loss.item():.4f}"
        )
    pairs = zip(small.parameters(), reference.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs), "the weights are not where they should be"
    return True


exercise(
    "step",
    descends,
    hints=(
        "loss.backward() adds to each weight's .grad; what must be done with the .grad of the step before?",
        "Change weights inside `with torch.no_grad():`, in place: `weight -= rate * weight.grad`.",
        "At the end of the step, or before backward, set every `weight.grad` to None.",
    ),
    because="gradients add up until they are cleared; a loop that forgets it takes each batch again and again",
)


# %% tags=["exercise"]
def descend(model, batch, rate: float) -> float:
    """One step of gradient descent on a batch; the loss before it."""
    return ...


check("step", descend)


# %% tags=["solution"]
def descend(model, batch, rate: float) -> float:
    """One step of gradient descent on a batch; the loss before it."""
    loss = next_token_loss(model, batch)
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight -= rate * weight.grad
            weight.grad = None
    return loss.item()


solution("step", descend)

# %% [markdown]
# ## What will be forgotten, and how it is measured
#
# Fine-tuning asks for nothing but the task. What the model knew, and the task does not need, may be lost. The story world gives an
# exact measure of that. Let $P$ be the true distribution of the next token in an ordinary story, and $Q$ the model's. At each token,
#
# $$\mathrm{KL}(P \,\|\, Q) = \sum_v P(v) \log \frac{P(v)}{Q(v)}$$
#
# is the loss in nats that the model has above the lowest possible one. It is zero only where both are the same.
#
# ## Exercise 3: the divergence
#
# *10 minutes, difficulty 3 of 5.* Write it for log-probabilities. The truth often says $P(v) = 0$, that is, $\log P(v) = -\infty$; such a
# token adds nothing.


# %% tags=["key"]
def is_divergence(answer) -> bool:
    """Whether it is the divergence, also where the truth rules tokens out."""
    draw = torch.Generator().manual_seed(0)
    log_p, log_q = (torch.randn(4, 9, generator=draw).log_softmax(-1) for _ in range(2))
    log_p[:, 5:] = -torch.inf
    log_p = log_p.log_softmax(-1)
    expected = (log_p[:, :5].exp() * (log_p[:, :5] - log_q[:, :5])).sum(-1)
    found = answer(log_p, log_q)
    assert found.shape == expected.shape, f"its shape is {tuple(found.shape)}, not {tuple(expected.shape)}"
    assert found.isfinite().all(), "0 times minus infinity is not a number: leave these tokens out"
    return torch.allclose(found, expected, atol=1e-5)


exercise(
    "divergence",
    is_divergence,
    hints=(
        "P is `log_p.exp()`; the logarithm of the quotient is a difference.",
        "`torch.where(log_p == -torch.inf, 0.0, ...)` replaces the terms that are not numbers; then `.sum(dim=-1)`.",
    ),
    because="the mean of this over a text is the model's loss less the floor: what pretraining has not yet learnt",
)


# %% tags=["exercise"]
def divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (T, vocab) of the truth and of a model -> KL(P || Q) at each token, (T,)."""
    return ...


check("divergence", divergence)


# %% tags=["solution"]
def divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (T, vocab) of the truth and of a model -> KL(P || Q) at each token, (T,)."""
    return torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q)).sum(dim=-1)


solution("divergence", divergence)

# %%
from minilm.evaluation.logit_shift import log_probs
from minilm.storyworld import Oracle, StoryWorld

world = StoryWorld()  # all kinds of document that the base has read
oracle = Oracle(world, tok)
stories = [tok.encode(s.text) for s in world.sample(size.pick(smoke=1, cpu=6, gpu=24), seed=7, kind="story")]
truth = [oracle.log_probs(ids) for ids in stories]  # (T + 1, vocab) each


def forgotten(model) -> float:
    """KL(truth || model) on ordinary stories, in nats per token."""
    rows = [
        divergence(p, log_probs(model, [tok.end_of_text, *ids]))
        for p, ids in zip(truth, stories, strict=True)
    ]
    return torch.cat(rows).mean().item()


print(f"before tuning: {forgotten(base):.3f} nats per token")

# %% [markdown]
# ## The run
#
# Two models learn from the same 400 examples, in the same order, with the same settings. One has the base's weights, the other has
# random weights and has read nothing: that shows what pretraining gives. **Early stopping** ends a run when the dev loss (dots) has
# had no new best for `patience` evaluations, and restores the weights of the best one. The dashed line is the floor.

# %%
from lessons.widgets import TrainingDashboard
from minilm import MiniLM

config = tuning.FullFineTuning().recipe(
    steps=size.pick(smoke=4, cpu=300, gpu=600),
    learning_rate=3e-3,
    evaluate_every=size.pick(smoke=2, cpu=25, gpu=50),
    patience=3,
    device=size.device,
)
dashboard = TrainingDashboard(floor=task.lowest_loss, title="400 examples")
torch.manual_seed(0)
unread = MiniLM(base.config).to(size.device).eval()
dashboard.next_run("from scratch")
scratch = tuning.attach(unread, tuning.FullFineTuning())
_ = train(
    scratch, task.batches(scratch.window), config, evaluate=task.loss, callbacks=[dashboard], progress=False
)

# %%
history: list[tuple[float, float]] = []


def evaluate(model) -> float:
    """The dev loss; keeps what is forgotten beside it."""
    history.append((task.loss(model), forgotten(model)))
    return history[-1][0]


dashboard.next_run("fine-tuned")
tuned = tuning.attach(base, tuning.FullFineTuning())
result = train(
    tuned, task.batches(tuned.window), config,
    evaluate=evaluate, sample=task.sample, callbacks=[dashboard], progress=False,
)  # fmt: skip
print(f"{result.steps} of {config.steps} steps; stopped early: {result.stopped_early}")

# %% [markdown]
# The rate is 3e-3. The code of Chen et al. (2022) fine-tunes GPT-2 with 6.25e-5: a small model needs, and stands, a larger one.
#
# The final table, on the test split, which no decision has used:

# %%
best_shots = few_shot["loss"].idxmin()
rows = {
    "untuned": test.judge(base),
    f"few-shot, {best_shots} examples": few_shot.loc[best_shots].to_dict(),
    "trained from scratch": test.judge(scratch),
    "fine-tuned": test.judge(tuned),
    "floor": {"loss": test.lowest_loss},
}
final = pd.DataFrame(rows).T
final.round(3)

# %% [markdown]
# Both tuned models saw the same examples. The difference between them is what the base had read before: how stories go, how a name
# from the facts comes back in the text, that facts of another notation are told one after the other.
#
# ## Looking: what changed at each token
#
# Below is one test example. For each token of the target: how probable it was for the base, for the fine-tuned model, and for a
# perfect model of the task. Look at the first token, and at the tokens that the facts settle.

# %%
record = test.held_out[0]
prompt, target = test.encode(record)
exact = test.oracle.log_probs([*prompt[1:], *target[:-1]])[len(prompt) - 1 :]  # (Y, vocab)
chances = {"perfect": exact.gather(1, torch.tensor(target)[:, None])[:, 0].exp()}  # (Y,) each
for name, model in {"base": base, "fine-tuned": tuned}.items():
    rows_ = log_probs(model, [*prompt, *target[:-1]])[len(prompt) - 1 :]  # (Y, vocab)
    chances[name] = rows_.gather(1, torch.tensor(target)[:, None])[:, 0].exp()

figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
for name, marker in {"base": "o", "fine-tuned": "s", "perfect": "_"}.items():
    _ = axes.plot(chances[name], marker, label=name, markersize=10 if marker == "_" else 5)
_ = axes.set(ylabel="probability of the next token", ylim=(-0.03, 1.08), xticks=range(len(target)))
_ = axes.set_xticklabels([tok.decode([token]).strip() or "." for token in target], rotation=70)
_ = axes.legend(loc="upper right", ncols=3)
print(record.prompt)

# %% [markdown]
# The explorer shows the same as a *shift of the logits*: which tokens became more probable, which less. The mark on each bar is the
# exact shift, from this base to the truth of the task. Point at a token; the slider *strength* adds a part of the shift, or more than all.

# %%
from lessons.widgets import ShiftExplorer


def to_the_truth(ids: list[int], _: str) -> torch.Tensor:
    """The shift of log-probabilities that would make the base perfect on this task: (T + 1, vocab)."""
    return test.oracle.log_probs(ids) - log_probs(base, [tok.end_of_text, *ids])


ShiftExplorer(tuned, tok, f"{record.prompt}{record.target}", exact=to_the_truth)

# %% [markdown]
# ## Looking: where attention goes
#
# When the model writes the target, it has to read the facts. For each head: the share of attention that the tokens of the target
# give to the tokens of the facts (without the first token of the row, which many heads use to rest on).

# %%
from minilm import trace


def on_facts(model) -> torch.Tensor:
    """Mean share of attention from target to facts, (layers, heads)."""
    total = torch.zeros(base.config.n_layer, base.config.n_head)
    for asked, written in test.judged[:4]:
        with trace(model) as seen, torch.no_grad():
            model(torch.tensor([[*asked, *written]], device=base.device))
        weights = torch.stack([each[0] for each in seen.attention.values()]).cpu()  # (layers, H, T, T)
        total += weights[:, :, len(asked) :, 1 : len(asked)].sum(-1).mean(-1) / 4
    return total


# %%
shares = {"base": on_facts(base), "fine-tuned": on_facts(tuned)}
figure, panels = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
for panel, (name, share) in zip(panels, shares.items(), strict=True):
    image = panel.imshow(share, vmin=0, vmax=1, aspect="auto")
    _ = panel.set(title=name, xlabel="head", xticks=range(share.size(1)), yticks=range(len(share)))
    _ = panel.set_xticklabels(range(1, share.size(1) + 1))
    _ = panel.set_yticklabels(range(1, len(share) + 1))
_ = panels[0].set(ylabel="layer")
_ = figure.colorbar(image, label="share of attention")
largest = (shares["fine-tuned"] - shares["base"]).flatten().abs().argmax().item()
layer, head = divmod(largest, base.config.n_head)

# %%
from lessons.widgets import AttentionExplorer

print(f"head {head + 1} of layer {layer + 1} changed most")
beginning = tok.decode([*prompt, *target][1:40])
AttentionExplorer({"base": base, "fine-tuned": tuned}, tok, beginning, layer=layer + 1, head=head + 1)

# %% [markdown]
# In the playground, compare what both models make of the same facts. Write facts of your own, with names and things of the
# stories, and end them with ` =`. The tokens below a generated one are its rivals: where they are improbable, the facts settled it.

# %%
from lessons.widgets import Playground

Playground({"fine-tuned": tuned, "base": base}, tok, f"<|endoftext|>{record.prompt}", temperature=0.3)

# %% [markdown]
# ## Exercise 4: when to stop
#
# *10 minutes, difficulty 3 of 5.* A run is evaluated again and again; these are its dev losses. With a patience of $k$ it ends at
# the first evaluation that is the $k$-th in a row without a new best. Complete the function: the number of that evaluation, counted
# from 0, or of the last one if the run never ends early.


# %% tags=["key"]
def ends_where_the_library_does(answer) -> bool:
    """Whether it agrees with a count by the definition."""
    cases = [([3, 2, 1, 2, 2, 0], 2, 4), ([3, 2, 1], 1, 2), ([1, 2, 3], 1, 1), ([3, 3, 3, 3], 3, 3), ([2, 3, 1, 2], 2, 3)]  # fmt: skip
    for values, patience, end in cases:
        found = answer(values, patience)
        assert found == end, f"the losses {values} with patience {patience} do not end at {found}"
    return True


exercise(
    "stopping",
    ends_where_the_library_does,
    hints=(
        "Keep the number of the best evaluation so far. A loss that only equals the best is not a new best.",
        "`min(range(now + 1), key=losses.__getitem__)` is the first of the lowest up to `now`.",
        "End at the first `now` for which `now - best >= patience`; else at `len(losses) - 1`.",
    ),
    because="the model that is kept is the one at the best evaluation, `patience` evaluations before the end",
)


# %% tags=["exercise"]
def ends_at(losses: list[float], patience: int) -> int:
    """The number of the evaluation at which the run ends."""
    return ...


check("stopping", ends_at)


# %% tags=["solution"]
def ends_at(losses: list[float], patience: int) -> int:
    """The number of the evaluation at which the run ends."""
    for now in range(len(losses)):
        best = min(range(now + 1), key=losses.__getitem__)
        if now - best >= patience:
            return now
    return len(losses) - 1


solution("stopping", ends_at)

# %% [markdown]
# ## Few examples
#
# Now with a tenth of the examples and no early stopping, under a dashboard of its own. Look at the training loss (line), which goes to
# zero, and at the dev loss (dots): from some step on the model learns the examples by heart, and gets worse on all others.

# %%
from dataclasses import replace

few = Completions(task.learned[:40], batch_size=8, window=base.window)
small_data = TrainingDashboard(floor=task.lowest_loss, title="40 examples")
small_data.next_run("40 examples")
starved = tuning.attach(base, tuning.FullFineTuning())
long = replace(config, steps=size.pick(smoke=4, cpu=150, gpu=400), patience=0)
outcome = train(
    starved, few, long, evaluate=task.loss, sample=task.sample, callbacks=[small_data], progress=False
)
best = min(outcome.evaluations, key=lambda each: each.loss)
end = outcome.evaluations[-1]
print(
    f"best dev loss {best.loss:.3f} at step {best.step}; at the end {end.loss:.3f}, training loss {outcome.loss:.3f}"
)
_ = starved.detach()

# %% [markdown]
# ## What the base forgets
#
# Here is the long run again: the dev loss of the task, and beside it the divergence from the truth on ordinary stories. If the
# second line ends above its start, the model has paid for the task with stories. This is *catastrophic forgetting* (McCloskey and
# Cohen 1989).

# %%
on_task, on_stories = zip(*history, strict=True)
steps = [each.step for each in result.evaluations]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
_ = left.plot(steps, on_task, "o-", label="dev loss")
_ = left.axhline(task.lowest_loss, color="C1", linestyle=":", label="floor")
_ = left.set(title="the task", xlabel="step", ylabel="nats per token", ylim=(0, None))
_ = left.legend()
_ = right.plot(steps, on_stories, "s-", color="C2", label="fine-tuned")
_ = right.axhline(forgotten(base), color="C1", linestyle=":", label="base")
_ = right.set(title="ordinary stories", xlabel="step", ylabel="KL(truth || model), nats", ylim=(0, None))
_ = right.legend()
print(f"divergence on stories: {forgotten(base):.3f} before, {forgotten(tuned):.3f} after")

# %% [markdown]
# Does a method that trains fewer numbers forget less? That is a question, and the next lessons measure it with the same divergence.
#
# The tuned model forgets; the base does not, because the library never wrote into it. This holds for every method of the
# course: attach, train, detach, and the base is what it was, bit for bit.

# %%
fresh, _ = load_pretrained("storyworld")
pairs = zip(base.state_dict().values(), fresh.state_dict().values(), strict=True)
print(f"the base is bit for bit what it was: {all(torch.equal(one.cpu(), other) for one, other in pairs)}")

# %% [markdown]
# ## In one call
#
# `tune` does all of this: it reads the data (a name, a file, or our task), attaches the method, trains with settings that suit
# it, and reports. From here on the lessons build a method by hand once, and then use `tune`.

# %%
from minilm import tune

again = tune(
    base, tok, "fine-tuning", task, steps=size.pick(smoke=4, cpu=60, gpu=300), learning_rate=3e-3,
    device=size.device, progress=False,
)  # fmt: skip
print(f"{again.result.steps} steps: dev loss {task.loss(again):.3f}, floor {task.lowest_loss:.3f}")
print(again.write(record.prompt))
_ = again.detach()

# %% [markdown]
# ## Exercise 5: a hundred tasks
#
# *2 minutes, difficulty 1 of 5.* A service answers a hundred tasks, each with a fine-tuned model of its own. How many numbers does
# it keep on disk in all? The count of one:

# %%
tuned.count()

# %% tags=["key"]
exercise(
    "storage",
    100 * tuned.count().stored,
    hints=(
        "`stored` is what one tuned model keeps.",
        "The base itself is not needed: every task has all weights.",
    ),
    because="at the size of GPT-2 that is 12 billion numbers; prefix-tuning and LoRA were made to keep a hundredth of it",
)

# %% tags=["exercise"]
numbers = ...
check("storage", numbers)

# %% tags=["solution"]
numbers = 100 * tuned.count().stored
solution("storage", numbers)

# %% [markdown]
# ## Exercise 6: turn the rate
#
# *10 minutes, difficulty 2 of 5.* The lab tunes the same base as often as you like. Pick a method, turn its sliders, press Run, and run the table
# cell again; all runs are kept. Here are two runs with rates ten times apart. **Predict before you run**: which of the two has forgotten more?

# %%
from lessons.widgets import TuningLab, TuningSettings

lab = TuningLab(
    base, task.learned, task.judged, sample=task.sample, device=size.device,
    settings=TuningSettings(method="fine-tuning", learning_rate=3e-4, steps=size.pick(smoke=2, cpu=80, gpu=300)),
)  # fmt: skip
gentle = lab.run(learning_rate=3e-4)
bold = lab.run(learning_rate=3e-3)

# %%
lab.table().assign(stories=[round(forgotten(run.model), 3) for run in lab.kept])

# %% tags=["key"]
exercise(
    "rate",
    3e-4 if forgotten(gentle.model) > forgotten(bold.model) else 3e-3,
    hints=("Compare the last column of the table.", "It is 3e-4 or 3e-3."),
    because="the divergence on stories is the price of a step; a gentle rate buys less of the task, too",
)

# %% tags=["exercise"]
forgot_more = ...  # 3e-4 or 3e-3
check("rate", forgot_more)

# %% tags=["solution"]
forgot_more = 3e-4 if forgotten(gentle.model) > forgotten(bold.model) else 3e-3
solution("rate", forgot_more)

# %% [markdown]
# ## What was claimed, and what was measured here
#
# The verdicts are computed from this run: one seed, one size. Over several seeds, `benchmarks/facts_to_text.py` measures the same
# rows on longer texts.


# %%
def verdict(difference: float, least: float) -> str:
    """Of a difference that the claim says is positive; less than `least` shows nothing."""
    return "confirmed" if difference > least else "refuted" if difference < -least else "not shown"


whole, loss = final["whole facts told"], final["loss"]
few_name = f"few-shot, {best_shots} examples"
grew = forgotten(tuned) - forgotten(base)
claims = [
    ("Fine-tuning brings a pretrained model to a new task (Radford et al. 2018)",
     f"whole facts told: {whole['untuned']:.0%} untuned, {whole['fine-tuned']:.0%} fine-tuned",
     verdict(whole["fine-tuned"] - whole["untuned"], 0.05)),
    ("Pretraining gives a good start for it (Radford et al. 2018)",
     f"loss {loss['fine-tuned']:.3f}, from scratch {loss['trained from scratch']:.3f}",
     verdict(loss["trained from scratch"] - loss["fine-tuned"], 0.02)),
    ("Solved examples in the prompt help without training (Brown et al. 2020)",
     f"whole facts told: {whole['untuned']:.0%} without, {whole[few_name]:.0%} with {best_shots}",
     verdict(whole[few_name] - whole["untuned"], 0.05)),
    ("Learning a task makes the model forget (McCloskey and Cohen 1989)",
     f"divergence on stories {grew:+.3f} nats", verdict(grew, 0.02)),
    ("Training fewer weights forgets less (Biderman et al. 2024)", "lesson 7 asks it of LoRA", "not tested"),
]  # fmt: skip

# %%
pd.set_option("display.max_colwidth", None)
pd.DataFrame(claims, columns=["claim", "measured here", "verdict"]).set_index("claim")

# %% [markdown]
# ## Traps
#
# - **The loss on the prompt.** Counting it teaches the model to write facts, not to tell them, and the loss that you watch is then mostly
#   the loss of prompts.
# - **No end-of-text token in the target.** The model then never learns to stop, and writes until it is cut off.
# - **The last evaluation instead of the best.** Without early stopping, a long run on few examples keeps weights that are worse than
#   earlier ones.
# - **A final figure on the split that chose.** Early stopping looks at the dev split, so the dev loss is too good. The table above uses the
#   test split.
# - **A published learning rate.** It belongs to the size of a model, its optimizer and its batch. Turn it first.
# - **Marks that the base has never met.** A frozen base cannot tell them apart, and then few-shot prompting and all small methods fail.
#
# ## The end: what the fine-tuned model writes
#
# Facts of the test split, the text that the world had for them, and what the model writes. Other words than the target's are no
# mistake; a fact that is missing or changed is one.

# %%
print(test.samples(tuned, size.pick(smoke=2, cpu=6, gpu=6)))

# %% [markdown]
# Next: [5. Prefix-tuning](05_prefix_tuning.ipynb), which leaves every weight as it is.
