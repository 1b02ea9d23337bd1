"""A comparison of the methods by measurement: Table 1 of the report on auxiliary tuning (Zeldes et al. 2020), for every
method of the library and for its relatives.

No entry of the table is written by hand. Each method is attached to a tiny model, its weights are changed at random, and
its properties are measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minilm.generation.few_shot import few_shot_prompt
from minilm.model.config import ModelConfig
from minilm.model.interface import LanguageModel
from minilm.model.model import MiniLM
from minilm.steering.dexperts import Experts
from minilm.steering.pplm import PPLM, read
from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS
from minilm.tuning.tuned import TunedModel, attach

PROBE = ModelConfig(vocab_size=64, context_length=64, n_layer=2, n_head=2, d_model=32)
TEXT, ANSWER, END = torch.tensor([[5, 6, 7, 8]]), [9, 10], [0]


class Properties(NamedTuple):
    """What is true of a method, whatever it is trained on."""

    share_changed: float
    """The share of the base's own weights that trained ones replace; 0 if the base is frozen."""
    adds_parameters: bool
    """There are other trained weights in addition."""
    outside_the_base: bool
    """The base reads the text and nothing else, and no hidden state in it changes: one pass for each text is enough."""
    takes_attribute: bool
    """One model, trained once, can be given an attribute to write about, in tokens that are not part of the text."""
    keeps_window: bool
    """It reads as much text in one pass as the base."""
    merges: bool
    """It can be written into the base's weights, and then costs nothing."""


class Subject(NamedTuple):
    """A way to steer a tiny base, ready to be measured."""

    base: MiniLM
    logits: Callable[[Tensor, Tensor], Tensor]
    """From tokens (1, T) and an attribute (1, m) to the logits (1, vocab) that follow."""
    window: int
    """Tokens of text that it can read."""
    n_changed: int = 0
    """Trained weights that replace the base's."""
    n_added: int = 0
    """Trained weights in addition."""
    merge: Callable[[], object] | None = None
    """Writes it into the base's weights, or raises ValueError."""


def properties(method: Method) -> Properties:
    """Measure a method on a tiny model.

    >>> from minilm.tuning import LoRA
    >>> properties(LoRA()).merges
    True
    """
    return look(lambda base: tuned_subject(base, method))


def comparison() -> dict[str, Properties]:
    """The properties of every method with its default settings, then of its relatives, by name."""
    tuned = {name: properties(method()) for name, method in METHODS.items()}
    return tuned | {name: look(make) for name, make in RELATIVES.items()}


def look(make: Callable[[MiniLM], Subject]) -> Properties:
    """Measure one way to steer on a tiny model. The seed is fixed, so results are reproducible."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = make(MiniLM(PROBE).eval())
    return Properties(
        share_changed=subject.n_changed / size(subject.base),
        adds_parameters=subject.n_added > 0,
        outside_the_base=leaves_states(subject),
        takes_attribute=not torch.equal(*(subject.logits(TEXT, torch.tensor([[each]])) for each in (1, 2))),
        keeps_window=subject.window == subject.base.window,
        merges=can_merge(subject),
    )


def size(model: nn.Module) -> int:
    """Its number of weights."""
    return sum(weight.numel() for weight in model.parameters())


def leaves_states(subject: Subject) -> bool:
    """Whether the base runs once and its last hidden states are those of the text alone."""
    seen: list[Tensor] = []
    hook = subject.base.blocks[-1].register_forward_hook(lambda *call: seen.append(call[-1]))
    with hook:
        subject.logits(TEXT, torch.tensor([[1]]))
    alone = subject.base(TEXT).hidden
    return len(seen) == 1 and torch.equal(seen[0], alone)


def can_merge(subject: Subject) -> bool:
    """Whether `merge` exists and succeeds."""
    try:
        return subject.merge is not None and subject.merge() is not None
    except ValueError:
        return False


def tuned_subject(base: MiniLM, method: Method) -> Subject:
    """A method of the library, all of its weights moved away from where training would begin."""
    tuned = move(attach(base, method))
    n_changed = sum(weight.numel() for weight in tuned.weights().values())
    return Subject(
        base,
        lambda text, attribute: told(tuned, text, attribute),
        tuned.window,
        n_changed,
        tuned.count().trained - n_changed,
        tuned.merge,
    )


def told(model: LanguageModel, text: Tensor, attribute: Tensor) -> Tensor:
    """Logits (1, vocab) after a text, of a model that gets the attribute if it takes one."""
    return model(text, attribute=attribute if model.takes_attribute else None).logits[:, -1]


@torch.no_grad()
def move(tuned: TunedModel) -> TunedModel:
    """Add noise to all trained weights, since many methods start at weights that change nothing."""
    for parameter in tuned.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return tuned


def from_scratch(base: MiniLM) -> Subject:
    """The report's baseline: the same shape with weights of its own, and the attribute written before the text."""
    model = MiniLM(base.config).eval()
    return Subject(
        base,
        lambda text, attribute: model(torch.cat([attribute, text], dim=1)).logits[:, -1],
        model.window - 1,
        n_changed=size(model),
    )


def few_shot(base: MiniLM) -> Subject:
    """One solved example with the wanted attribute, before the text."""

    def prompt(text: Tensor, attribute: Tensor) -> Tensor:
        solved = [(attribute[0].tolist(), ANSWER)]
        return torch.tensor([few_shot_prompt(solved, text[0].tolist(), END, base.window)])

    n_shown = prompt(TEXT, TEXT[:, :1]).size(1) - TEXT.size(1)
    return Subject(
        base, lambda text, attribute: base(prompt(text, attribute)).logits[:, -1], base.window - n_shown
    )


def pplm(base: MiniLM) -> Subject:
    """Keys and values moved towards a bag of words during generation; the bag is the attribute."""

    def logits(text: Tensor, attribute: Tensor) -> Tensor:
        _, past = read(base, text[:, :-1], max_new_tokens=1)
        untouched = base(text).logits[:, -1].log_softmax(-1)
        return PPLM().step(base, past, text[:, -1:], untouched, attribute[0])[0]

    return Subject(base, logits, base.window)


def experts(base: MiniLM) -> Subject:
    """DExperts and proxy-tuning: two more models over the same tokens."""
    steered = Experts(base, MiniLM(base.config), MiniLM(base.config))
    return Subject(
        base,
        lambda text, attribute: told(steered, text, attribute),
        steered.window,
        n_added=size(steered) - size(base),
    )


RELATIVES: dict[str, Callable[[MiniLM], Subject]] = {
    "from scratch": from_scratch,
    "few-shot": few_shot,
    "pplm": pplm,
    "experts": experts,
}
"""Ways to steer that are not methods of the library, by name."""
