"""Where a tuning method acts on a MiniLM, asked of the method itself: nothing about any method is written down here."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.model.sites import SITES
from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS
from minilm.tuning.tuned import TunedModel, attach

PROBE = ModelConfig.preset("gpt2")
"""Shape of the model that a method is asked on; on no device, so it has no weights and costs nothing."""


@dataclass(frozen=True)
class Action:
    """What a tuned model does to its base."""

    name: str
    """Of the method, or of several joined by " + "."""
    sites: dict[str, tuple[int, ...]]
    """Sites with a delta, in the order of `minilm.model.sites`, each with its layers (none for a site of the whole model)."""
    replaced: dict[str, tuple[str, ...]]
    """Modules whose weights are replaced, a block's without their number, each with the names of those weights."""
    whole: frozenset[str]
    """Those of them that keep no weight of the base's."""
    every: frozenset[str]
    """Names of weights ("bias") that no module keeps."""
    n_layer: int
    """Blocks of the base."""


def action(method: str | Method | TunedModel) -> Action:
    """Where a method acts.

    Args:
        method: a name in `METHODS` for its default settings, a method with other settings, or a tuned model.

    Raises:
        ValueError: there is no method of that name, or this method can only be asked on a real model.
    """
    tuned = method if isinstance(method, TunedModel) else tuned_probe(method)
    base_weights = [name for name, _ in tuned.base.named_parameters()]
    return Action(
        " + ".join(tuned.methods), layers_of_sites(tuned), *replacements(base_weights, set(tuned.weights())),
        tuned.config.n_layer,
    )  # fmt: skip


def tuned_probe(method: str | Method) -> TunedModel:
    """The method on a model without weights."""
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(
                f"method must be one of {', '.join(METHODS)}, not {method!r}: choose one of these"
            )
        method = METHODS[method]()
    try:
        with torch.device("meta"):
            return attach(MiniLM(PROBE), method)
    except (NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{method!r} needs a real model to start from: attach it to one and draw the tuned model"
        ) from error


def layers_of_sites(tuned: TunedModel) -> dict[str, tuple[int, ...]]:
    """The layers of every site that a delta of the next pass stands at."""
    places = tuned.sites().deltas
    used = {site for site, _ in places}
    return {
        site: tuple(sorted(layer for name, layer in places if name == site and layer is not None))
        for site in SITES
        if site in used
    }


def replacements(
    names: list[str], replaced: set[str]
) -> tuple[dict[str, tuple[str, ...]], frozenset[str], frozenset[str]]:
    """`Action.replaced`, `whole` and `every`, from the names of all weights and of the replaced ones."""
    weights: dict[str, set[str]] = {}
    kept: set[str] = set()  # modules, and names of weights
    for name in names:
        module, _, weight = re.sub(r"^blocks\.\d+", "blocks", name).rpartition(".")
        if name in replaced:
            weights.setdefault(module, set()).add(weight)
        else:
            kept |= {module, weight}
    in_order = {module: tuple(sorted(each, reverse=True)) for module, each in weights.items()}
    all_weights = {weight for each in weights.values() for weight in each}
    return in_order, frozenset(weights.keys() - kept), frozenset(all_weights - kept)
