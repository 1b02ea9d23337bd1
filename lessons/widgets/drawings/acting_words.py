"""What a tuning method does to a model, in words: for the corner of its drawing, its caption and its text alternative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lessons.widgets.drawings.acting import Action
from lessons.widgets.drawings.model import WEIGHTS
from minilm.model.sites import LINEAR_SITES, SUBLAYER_SITES

EFFECTS: Mapping[str, str] = {
    **dict.fromkeys(LINEAR_SITES, "added to $x W + b$"),
    **dict.fromkeys(SUBLAYER_SITES, "added to the sub-layer's output"),
    "block": "added to the block's output",
    "embedding": "rows before the text's",
    "memory": "keys and values before the text's",
    "attention": "added to heads, or after `output`",
    "logits": "a shift of the logits",
}
"""What a delta does at each site, as the table of `minilm.model.sites` says it."""
MOST_NAMES = 4
"""Modules that are named one by one."""


def grouped(acts: Action) -> list[tuple[str, list[str]]]:
    """(what a delta does, at which sites), and in how many layers where it is not all of them."""
    groups: dict[str, list[str]] = {}
    for name, layers in acts.sites.items():
        everywhere = len(layers) in (0, acts.n_layer)
        where = "" if everywhere else f", in {len(layers)} of {acts.n_layer} layers"
        groups.setdefault(EFFECTS[name] + where, []).append(name)
    return list(groups.items())


def replaced_weights(acts: Action) -> list[str]:
    """The weights that a method replaces: whole modules first, then parts of others."""
    if acts.whole == WEIGHTS.keys():
        return ["every weight"]
    whole = [f"`{name.rpartition('.')[2]}`" for name in acts.replaced if name in acts.whole]
    shown = (
        [", ".join(whole) if len(whole) <= MOST_NAMES else f"all of {len(whole)} modules"] if whole else []
    )
    partly = {name: weights for name, weights in acts.replaced.items() if name not in acts.whole}
    for weight in sorted({weight for weights in partly.values() for weight in weights}):
        n_module = sum(weight in weights for weights in partly.values())
        everywhere = weight in acts.every and not whole
        shown.append(
            f"every `{weight}`" if everywhere else f"`{weight}` in {n_module} of {len(WEIGHTS)} modules"
        )
    return shown


def summary(acts: Action) -> str:
    """One sentence."""
    parts = [f"adds a delta at {listed(acts.sites)}"] if acts.sites else []
    if acts.replaced:
        parts.append(f"replaces {listed(replaced_weights(acts)).replace('`', '')}")
    if acts.whole != WEIGHTS.keys():
        rest = "all other weights stay" if acts.replaced else "every weight of the model stays"
        return f"{acts.name}: {' and '.join(parts)}; {rest} frozen."
    return f"{acts.name}: {' and '.join(parts)}."


def describe(acts: Action) -> str:
    """The text alternative: each site with its layers, and how many modules have other weights."""
    each = [f"{name} ({layers_in_words(layers, acts.n_layer)})" for name, layers in acts.sites.items()]
    told = f"The block of the model. {f'A plus sign marks {listed(each)}.' if each else 'No site is marked.'}"
    n_replaced, n_module = len(acts.replaced), len(WEIGHTS)
    return f"{told} {n_replaced} of {n_module} modules have replaced weights." if n_replaced else told


def layers_in_words(layers: tuple[int, ...], n_layer: int) -> str:
    """How often a site is used in one pass."""
    if not layers:
        return "once"
    return "every layer" if len(layers) == n_layer else f"{len(layers)} of {n_layer} layers"


def listed(names: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
