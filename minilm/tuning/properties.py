"""What sets the methods apart, asked of the methods themselves: the comparison that opens the report on
auxiliary tuning (Zeldes et al. 2020, Table 1), for every method of the library.

Nothing here is typed in. Each method is attached to a tiny model, its weights are moved, and it is looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from minilm.config import ModelConfig
from minilm.model import MiniLM
from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS
from minilm.tuning.tuned import TunedModel, attach

PROBE = ModelConfig(vocab_size=64, context_length=64, n_layer=2, n_head=2, d_model=32)


class Properties(NamedTuple):
    """What holds of a method, whatever it is trained on."""

    share_changed: float
    """Of the base's own weights, how many give way to trained ones; 0: it is frozen."""
    adds_parameters: bool
    """There are trained weights beside those."""
    outside_the_base: bool
    """It acts at the logits alone: no gradient passes through the base, which need run only once."""
    takes_attribute: bool
    """One trained model can be told what to write, in tokens that are no part of the text."""
    keeps_window: bool
    """As much text can be read as by the base."""
    merges: bool
    """It can be written into the base's weights, and then costs nothing."""


def properties(method: Method) -> Properties:
    """What can be seen of a method on a tiny model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tuned = attach(MiniLM(PROBE), method)
        with torch.no_grad():
            for parameter in tuned.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    n_changed = sum(weight.numel() for weight in tuned.weights().values())
    return Properties(
        share_changed=n_changed / tuned.count().base,
        adds_parameters=tuned.count().trained > n_changed,
        outside_the_base=not n_changed and {site for site, _ in tuned.sites().deltas} == {"logits"},
        takes_attribute=not torch.equal(told(tuned, 1), told(tuned, 2)),
        keeps_window=tuned.window == tuned.base.window,
        merges=can_merge(tuned),
    )


def comparison() -> dict[str, Properties]:
    """The properties of every method with its default settings, by name."""
    return {name: properties(method()) for name, method in METHODS.items()}


@torch.no_grad()
def told(tuned: TunedModel, attribute: int) -> Tensor:
    """Logits (1, 4, vocab) of some text, for an attribute of one token."""
    return tuned(torch.tensor([[5, 6, 7, 8]]), attribute=torch.tensor([[attribute]])).logits


def can_merge(tuned: TunedModel) -> bool:
    """Whether `merge` agrees."""
    try:
        tuned.merge()
    except ValueError:
        return False
    return True
