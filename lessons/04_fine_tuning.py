# %% [markdown]
# # 4. Fine-tuning
#
# **You will see** a model that only tells stories learn a task from a few hundred examples, what a prompt alone achieves, and
# what the model forgets on the way.
#
# **It takes** about two minutes on two CPU cores.

# %%
import torch

from lessons.checks import check, exercise, solution
from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## The idea
#
# A pretrained model continues any text. A *task* is a set of prompts $x$ with the targets $y$ that should follow. Fine-tuning
# goes on with training exactly as before, with two changes: the text is prompt and target in a row, and only the target's
# tokens count,
#
# $$L = -\frac{1}{|y|} \sum_{t \in y} \log P(z_t \mid z_{<t}), \qquad z = [x ; y]$$
#
# (Radford et al. 2018, section 3.2; in this form Li and Liang 2021, equation 2). Every weight may change. That makes it the
# yardstick for all methods of the next lessons, which change less.
#
# ## The task
#
# Facts go in, and a sentence or two that tell them come out: the task of WebNLG and E2E, on which prefix-tuning and LoRA were
# introduced, in small. The facts are those that the story world's own sentences state. An equals sign, which
# no story has, says that the facts are over.

# %%
from lessons.facts_to_text import FactsToText
from minilm import load_pretrained

base, tok = load_pretrained("storyworld")
base.to(size.device)
task = FactsToText(tok, n_train=400, n_held_out=size.pick(smoke=8, cpu=48, gpu=200))
for record in task.records[:4]:
    print(record.prompt, "\n   ->", record.target)

# %% [markdown]
# Two numbers judge a model on examples that it was not trained on. The **loss** asks how well it predicts the given target.
# The share of **facts told** asks whether the text that it writes itself names what it should: it counts the facts whose object
# (the last part of each) stands in the text.
#
# ## What the model can do already
#
# The base model has never seen a line of facts. It can still be *shown* the task: a few solved examples go before the prompt,
# and no weight changes. That is few-shot prompting (Brown et al. 2020), the baseline that trains nothing.

# %%
from lessons.facts_to_text import LONGEST
from minilm.generation.few_shot import few_shot_prompt

solved = [(prompt, target[:-1]) for prompt, target in task.examples(task.records[:20])]
longest = max(LONGEST, *(len(task.encode(record)[1]) for record in task.held_out))
room = base.window - longest  # what the model shall write must fit behind the prompt
prompts = [few_shot_prompt(solved, task.encode(record)[0], (), room) for record in task.held_out]
print(tok.decode(prompts[0]).replace("<|endoftext|>", "\n").strip())

# %%
from lessons.facts_to_text import share_told
from minilm import complete


def read(ids: list[list[int]]) -> list[str]:
    """What the base writes after each prompt."""
    return [tok.decode(each) for each in complete(base, ids, LONGEST, stop_token=tok.end_of_text)]


told = {
    "untuned": task.told(base),
    "few-shot": share_told(task.held_out, read(prompts)),
}
print("after the prompt alone:  ", task.write(base, task.held_out[:1])[0])
print("after solved examples:   ", read(prompts[:1])[0])
print({name: f"{share:.0%} of facts told" for name, share in told.items()})

# %% [markdown]
# Compare the two texts. Without examples the model goes on about whoever was just named, and so names some of the right things
# without telling the facts: a share of facts told is kind to such texts, the loss is not. To learn a task from examples in the
# prompt is an ability that comes with size (Brown et al. 2020, figure 1.2): the smallest model of that paper has 125 million
# weights, and does poorly.
#
# ## By hand: a loss on targets only
#
# One example becomes one row of tokens. At each place the model predicts the next token; places whose next token belongs to the
# prompt ask for nothing. Row and targets are shifted by one, and this is where mistakes are made.

# %%
prompt, target = task.encode(task.records[0])
row = torch.tensor([[*prompt, *target]], device=base.device)  # (1, P + Y)
with torch.no_grad():
    log_p = base(row[:, :-1]).logits[0].log_softmax(dim=-1)  # (P + Y - 1, vocab)
surprise = -log_p.gather(1, row[0, 1:, None])[:, 0]  # (P + Y - 1,) at each token after the first
by_hand = (
    surprise[len(prompt) - 1 :].mean().item()
)  # the first target is predicted at the prompt's last token
print(f"on the target {by_hand:.3f}, on prompt and target {surprise.mean():.3f} nats per token")

# %% [markdown]
# The library's `Completions` makes such batches: prompts and padding get the target -100, which no loss counts.

# %%
from minilm.objectives import IGNORE, Completions, next_token_loss

batch = Completions([(prompt, target)], batch_size=1, window=base.window).batch(0)
library = next_token_loss(base, batch.to(base.device)).item()
print(f"by hand {by_hand:.6f}, library {library:.6f}, {int((batch.targets == IGNORE).sum())} places ignored")

# %% [markdown]
# ## Exercise 1: which places count
#
# Complete the function: for a prompt and a target, the list of what should be predicted at each token that the model reads
# (all but the last of the row), with -100 where nothing is asked.


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
# A copy of the model, a batch, its gradient, a step of AdamW; that is all of fine-tuning.

# %%
from copy import deepcopy

copy = deepcopy(base).requires_grad_(True)
batches = task.batches(base.window)
optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0)
for index in range(3):
    batch = batches.batch(index).to(base.device)
    loss = next_token_loss(copy, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(
        copy.parameters(), 1.0
    )  # a rare, strange batch must not throw the weights off
    optimizer.step()
    optimizer.zero_grad()
    print(f"step {index + 1}: loss {loss.item():.4f}")

# %% [markdown]
# In the library a tuned model is a frozen base with something attached. What fine-tuning attaches is a full set of weights that
# stand in for the base's own, so the base is never touched. After the same three steps it is the same model:

# %%
from minilm import train, tuning

config = tuning.FullFineTuning().recipe(
    steps=3, learning_rate=1e-3, schedule="constant", warmup_steps=0, device=size.device
)
tuned = tuning.attach(base, tuning.FullFineTuning())
result = train(tuned, task.batches(tuned.window), config, progress=False)
print("losses", [round(record.loss, 4) for record in result.records])

ids = torch.tensor([prompt], device=base.device)
with torch.no_grad():
    apart = (tuned(ids).logits - copy.eval()(ids).logits).abs().max().item()
print(f"logits differ by less than 1e-4: {apart < 1e-4}")
_ = tuned.detach()

# %% [markdown]
# ## The run
#
# Now in earnest. Watch the loss on held-out examples (dots): it falls for some time and then stays, or rises again, while the
# training loss goes on falling. From there on the model learns the examples by heart. **Early stopping** waits a few
# evaluations for a new best (`patience`), then ends the run and puts the best weights back. At each evaluation we also ask
# how well the model still tells ordinary stories; of that, more below.

# %%
from minilm import datasets
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Documents

n_story = size.pick(smoke=4, cpu=16, gpu=64)
stories = [tok.encode(text) for text in datasets.load("storyworld", "dev", n=n_story)]
ordinary = [Documents(stories, tok.end_of_text, base.window // 2, n_story).batch(0)]
forgetting: list[tuple[float, float]] = []


def evaluate(model) -> float:
    """Loss on the task; keeps the loss on ordinary stories beside it."""
    forgetting.append((task.loss(model), mean_loss(model, ordinary)))
    return forgetting[-1][0]


# %%
from lessons.widgets import TrainingDashboard

config = tuning.FullFineTuning().recipe(
    steps=size.pick(smoke=4, cpu=240, gpu=600),
    learning_rate=3e-3,
    warmup_steps=10,
    evaluate_every=size.pick(smoke=2, cpu=20, gpu=30),
    patience=3,
    device=size.device,
)
dashboard = TrainingDashboard(title="Fine-tuning")
dashboard.next_run("400 examples")
torch.manual_seed(0)
tuned = tuning.attach(base, tuning.FullFineTuning())
result = train(
    tuned, task.batches(tuned.window), config,
    evaluate=evaluate, sample=task.sample, callbacks=[dashboard], progress=False,
)  # fmt: skip

# %% [markdown]
# The published rate for GPT-2 is 6.25e-5 (Chen et al. 2022). A small model stands, and needs, a larger one: here 3e-3.

# %%
import pandas as pd

told["fine-tuned"] = task.told(tuned)
targets_behind = zip(prompts, (task.encode(record)[1] for record in task.held_out), strict=True)
few_shot = Completions([*targets_behind], 16, base.window).in_order()
losses = {"untuned": task.loss(base), "few-shot": mean_loss(base, few_shot), "fine-tuned": task.loss(tuned)}
pd.DataFrame({"held-out loss": losses, "facts told": told}).round(3)

# %% [markdown]
# In the playground, compare what both make of the same facts. Write facts of your own between
# `<|endoftext|>` and the equals sign, and press Enter. Look at which tokens the
# tuned model is sure of: those that the facts settle.

# %%
from lessons.widgets import Playground

facts = f"<|endoftext|>{task.held_out[0].prompt} ="
Playground({"base": base, "fine-tuned": tuned}, tok, facts, temperature=0.0)

# %% [markdown]
# ## Exercise 2: when to stop
#
# A run is evaluated again and again; these are its held-out losses. With a patience of $k$ it ends at the first evaluation that
# is the $k$-th in a row without a new best. Complete the function: the number of that evaluation, counted from 0, or the last
# one's if the run never ends early.


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
        "Keep the number of the best evaluation so far. A loss that only equals the best is no new best.",
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
# With a tenth of the examples the model soon knows them by heart. Look for the step from which the held-out loss rises while the
# training loss goes to zero; the dashboard overlays both runs.

# %%
few = Completions(task.examples(task.records[:40]), batch_size=8, window=base.window)
dashboard.next_run("40 examples")
torch.manual_seed(0)
starved = tuning.attach(base, tuning.FullFineTuning())
outcome = train(starved, few, config, evaluate=task.loss, callbacks=[dashboard], progress=False)
best = min(outcome.evaluations, key=lambda each: each.loss)
print(f"stopped early: {outcome.stopped_early}, after {outcome.steps} of {config.steps} steps")
print(
    f"best held-out loss {best.loss:.3f} at step {best.step}; at the end {outcome.evaluations[-1].loss:.3f}"
)
print(f"training loss of the last steps {outcome.loss:.3f}")

# %% [markdown]
# ## What the base forgets
#
# Fine-tuning asks for nothing but the task, so what the model knew and the task does not need may go. Below, the loss on the
# task beside the loss on ordinary stories, through the long run. Where the second line ends above its start, the model has
# paid for the task with stories: *catastrophic forgetting* (McCloskey and Cohen 1989).

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style

use_style()
on_task, on_stories = zip(*forgetting, strict=True)
steps = [each.step for each in result.evaluations]
figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
_ = axes.plot(steps, on_task, "o-", label="the task")
_ = axes.plot(steps, on_stories, "s-", label="ordinary stories")
_ = axes.axhline(on_stories[0], color="C1", linestyle=":", linewidth=1)
_ = axes.set(xlabel="step", ylabel="held-out loss (nats per token)", ylim=(0, None))
_ = axes.legend()
change = on_stories[-1] / on_stories[0] - 1
print(f"the loss on ordinary stories went from {on_stories[0]:.3f} to {on_stories[-1]:.3f} ({change:+.0%})")

# %% [markdown]
# The tuned model forgets; the base does not, because the library never wrote into it. That is law for every method of the
# course: attach, train, detach, and the base is what it was, to the last bit.

# %%
fresh, _ = load_pretrained("storyworld")
tuned_weights = tuned.count()
detached = tuned.detach()
same = all(
    torch.equal(weight.cpu(), other)
    for weight, other in zip(detached.state_dict().values(), fresh.state_dict().values(), strict=True)
)
print(f"the base is bit for bit what it was: {same}")

# %% [markdown]
# ## Exercise 3: a hundred tasks
#
# A service answers a hundred tasks, each with a fine-tuned model of its own. How many numbers has it to keep on disk, in all? The
# count of one is at hand:

# %%
tuned_weights

# %% tags=["key"]
exercise(
    "storage",
    100 * tuned_weights.stored,
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
numbers = 100 * tuned_weights.stored
solution("storage", numbers)

# %% [markdown]
# ## Exercise 4: turn the rate
#
# The lab trains the same base again and again. Pick fine-tuning, turn the learning rate, and press Run; the runs are overlaid. Here
# are two rates, ten times apart. Before you run the cell: which of the two will have forgotten more of the stories?

# %%
from lessons.widgets import TuningLab, TuningSettings

lab = TuningLab(
    base, task.examples(task.records), task.examples(task.held_out), sample=task.sample, device=size.device,
    settings=TuningSettings(method="fine-tuning", learning_rate=3e-4, steps=size.pick(smoke=10, cpu=80, gpu=300)),
)  # fmt: skip
_ = lab.run(learning_rate=3e-4)
_ = lab.run(learning_rate=3e-3)

# %%
on_stories = {run.settings.learning_rate: mean_loss(run.model, ordinary) for run in lab.kept}
lab.table().assign(stories=[round(loss, 3) for loss in on_stories.values()])

# %% tags=["key"]
exercise(
    "rate",
    max(on_stories, key=on_stories.get),
    hints=("Compare the last column of the table.", "It is one of the keys of `on_stories`."),
    because="larger steps end farther from the base; a gentle rate is the simplest remedy against forgetting, "
    "and training few weights, as the next lessons do, is another",
)

# %% tags=["exercise"]
forgot_more = ...  # 3e-4 or 3e-3
check("rate", forgot_more)

# %% tags=["solution"]
forgot_more = max(on_stories, key=on_stories.get)
solution("rate", forgot_more)

# %% [markdown]
# ## What was claimed, and what was measured here
#
# | claim | here |
# |---|---|
# | Fine-tuning all weights for a few epochs brings a pretrained model to a new task (Radford et al. 2018, section 3.2) | the table of the untuned, the few-shot and the fine-tuned model |
# | Few-shot prompting rivals it, for models large enough (Brown et al. 2020) | the row "few-shot", of a model this small |
# | Learning one task overwrites others (McCloskey and Cohen 1989) | the line of the ordinary stories |
# | Training fewer weights forgets less (Biderman et al. 2024, *LoRA Learns Less and Forgets Less*) | lesson 7 asks it of LoRA |
#
# ## Traps
#
# - **The loss on the prompt.** Counting it teaches the model to write facts, not to tell them; and the number that one watches
#   is mostly about prompts.
# - **No end-of-text token in the target.** The model then has no way to stop, and goes on until it is cut off.
# - **The last evaluation instead of the best.** Without early stopping, a long run on few examples keeps its worst weights.
# - **Choosing on the test split.** Early stopping looks at held-out examples; what it has looked at can no longer judge it. A
#   final figure belongs to a third split.
# - **A published learning rate.** It belongs to a model's size, its optimiser and its batch. Turn it first.
#
# Next: [5. Prefix-tuning](05_prefix_tuning.ipynb), which leaves every weight as it is.
