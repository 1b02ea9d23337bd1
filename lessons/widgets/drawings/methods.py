"""The block with the sites where tuning may act, and, for any method, where it does act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lessons.widgets.drawings import model
from lessons.widgets.drawings.acting import Action, action
from lessons.widgets.drawings.acting_words import describe, grouped, replaced_weights, summary
from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import LARGE, LINE, SMALL, Literal, label, width
from lessons.widgets.drawings.shapes import disc, legend, plus
from lessons.widgets.views.markup import Markup, join
from minilm.model.sites import SITES
from minilm.tuning.method import Method
from minilm.tuning.tuned import TunedModel

RIGHT, TOP = 706.0, 22.0
"""Upper right corner of the text about a method."""
NOTHING: Mapping[str, str] = MappingProxyType({})


def sites() -> Drawing:
    """Every place where a tuning method may add something."""
    return drawing(
        "sites",
        "The sites of a MiniLM: the places in a forward pass where a tuning method may add a delta.",
        f"The block of the model, with a plus sign at each site: {', '.join(SITES)}.",
        model.HEIGHT,
        base_parts(), markers(SITES), key(("frozen", "frozen weights"), ("plus-tuned", "site: a delta may be added")),
    )  # fmt: skip


def method_drawing(method: str | Method | TunedModel) -> Drawing:
    """The sites at which a method has a delta, and the weights that it replaces.

    Args:
        method: a name in `minilm.tuning.METHODS`, a method with its settings, or a tuned model.

    Raises:
        ValueError: there is no method of that name.
    """
    acts = action(method)
    kinds = dict.fromkeys(acts.whole, "tuned")
    edges = {name: "tuned" for name in acts.replaced if name not in acts.whole}
    legend_entries = (
        ("frozen", "frozen weights") if acts.whole != model.WEIGHTS.keys() else None,
        ("tuned", "replaced weights") if acts.replaced else None,
        ("plus-tuned", "a delta is added") if acts.sites else None,
        ("ring", "site"),
    )
    return drawing(
        f"method {acts.name}", summary(acts), describe(acts), model.HEIGHT,
        base_parts(kinds, edges), idle(acts.sites), markers(acts.sites), effects(acts), key(*legend_entries),
    )  # fmt: skip


def base_parts(kinds: Mapping[str, str] = NOTHING, edges: Mapping[str, str] = NOTHING) -> Markup:
    """The model itself, some of its weights tuned."""
    head = kinds.get("token_embedding", "frozen")
    return join(
        model.ground("$L$ blocks"), model.tie(), model.lines(), model.stream(),
        model.weights(kinds, edges), model.computations(head),
    )  # fmt: skip


def markers(names: Iterable[str]) -> Markup:
    """A sum with its name at each of some sites."""
    return join(*(marker(name) for name in names))


def marker(name: str) -> Markup:
    """One site that is in use."""
    at, anchor, (dx, dy) = model.SITES[name]
    enters = model.enter_memory("added") if name == "memory" else None
    return join(
        enters,
        plus(at, "tuned", 8),
        label(f"`{name}`", (at[0] + dx, at[1] + dy), anchor=anchor, kind="strong", size=SMALL),
    )


def idle(used: Iterable[str]) -> Markup:
    """A small ring at each of the other sites."""
    return join(*(disc(at, 3.5, "ring") for name, (at, _, _) in model.SITES.items() if name not in set(used)))


def effects(acts: Action) -> Markup:
    """In the upper right corner: the method, and what it does where."""
    rows = [(", ".join(f"`{name}`" for name in names), what) for what, names in grouped(acts)]
    rows += [(what, "replaced") for what in replaced_weights(acts)]
    widest_name = 1.12 * width(Literal(acts.name), LARGE)  # it is bold
    column = RIGHT - max(widest_name, *(width(what, SMALL) for _, what in rows))
    heading = label(Literal(acts.name), (column, TOP), anchor="start", kind="strong", size=LARGE)
    lines = (
        join(
            label(where, (column - 14, y), anchor="end", size=SMALL),
            label(what, (column, y), anchor="start", kind="quiet", size=SMALL),
        )
        for number, (where, what) in enumerate(rows)
        for y in [TOP + 25 + number * (SMALL * LINE + 3)]
    )
    return join(heading, *lines)


def key(*entries: tuple[str, str] | None) -> Markup:
    """The legend; entries that are None are left out."""
    shown = filter(None, [("stream-line", "residual stream"), *entries])
    return legend((model.GROUND.x + 2, model.HEIGHT - 12), shown)
