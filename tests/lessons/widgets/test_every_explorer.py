"""What holds for every explorer: small, safe with any text, never blank, and honest when its own code fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from lessons.widgets import Explorer, PretrainingLab, TrainingDashboard, TuningLab
from lessons.widgets.examples import Ingredients, kinds, makers, tiny, turned, watch

HOSTILE = "<script>alert(1)</script> \"'>& \n\t\x00 שלום \u202e\u200b 🎉👩\u200d💻 \u0301x <|endoftext|> </style><b>"
NAME = "<i>prefix\x00\u202e\u2066"
TITLE = "<script>\u202e\x1b"
LONGEST = 150_000
"""Bytes of a static view."""

Make = Callable[..., Explorer]


@pytest.fixture(scope="module")
def of() -> Ingredients:
    """Models whose names are no safer than the text."""
    tiny_ones = tiny(n_layer=4)
    gated, adapted = (
        dict(zip([NAME], each.values(), strict=True)) for each in (tiny_ones.gated, tiny_ones.adapted)
    )
    n_token = tiny_ones.tokenizer.vocab_size
    exact = lambda ids, _: torch.ones(len(ids) + 1, n_token)
    return replace(tiny_ones, gated=gated, adapted={**adapted, "plain": adapted[NAME]}, exact=exact)


@pytest.fixture(scope="module")
def make(of: Ingredients) -> Make:
    """An explorer by the name of its class, made with a text where it shows one, and as large as it can be."""
    made = makers(of, TITLE)

    def make(name: str, text: str = "the keeper counted the boats") -> Explorer:
        explorer = made[name](text)
        largest = {"Playground": {"length": 100, "temperature": 2.0}, "SmoothingExplorer": {"n": 400}}
        run(turned(explorer, **largest.get(name, {})), of, text)
        return explorer

    return make


def run(explorer: Explorer, of: Ingredients, text: str) -> None:
    """A few runs of a lab or a dashboard, whose models are said to write the text."""
    if isinstance(explorer, PretrainingLab):
        explorer.sample = lambda _: text
        for _ in range(3):
            explorer.run(steps=20)
    elif isinstance(explorer, TuningLab):
        for method in ("lora", "prefix", "bitfit"):
            explorer.run(method=method)
    elif isinstance(explorer, TrainingDashboard):
        for _ in range(6):
            explorer.next_run(NAME, TITLE)
            watch(explorer, of, text, steps=30)


def test_no_explorer_is_left_out(of):
    assert makers(of).keys() == kinds().keys()


def static(explorer: Explorer) -> str:
    """What a saved notebook shows."""
    return explorer._repr_mimebundle_()["text/html"]


every_explorer = pytest.mark.parametrize("name", kinds())


@every_explorer
def test_a_static_view_of_a_long_text_is_small_and_whole(make, name, read):
    text = "One" if name == "TruthExplorer" else "the sea was calm. zqxj " * 30
    explorer = make(name, text)
    assert explorer.error is None
    assert len(static(explorer).encode()) <= LONGEST
    read(static(explorer))


@every_explorer
def test_a_hostile_text_is_disarmed_and_shown(make, name, read):
    explorer = make(name, HOSTILE)
    for view in (explorer.output.value, static(explorer)):
        assert "<script" not in view and "alert(1)</" not in view and "<i>prefix" not in view
        assert not any(sign in view for sign in "\u202e\u2066\u200b\x00\x1b")
    if name == "TruthExplorer":  # no story of the world says such things
        assert "no story of this world continues with" in explorer.output.value
    else:
        assert explorer.error is None
        read(static(explorer))


@every_explorer
def test_what_its_code_raises_is_told_live_and_in_the_saved_notebook(make, name):
    explorer = make(name, "One")
    good = static(explorer)
    explorer.view = lambda: {}["<b>missing"]
    explorer.draw()
    assert isinstance(explorer.error, KeyError)
    for view in (explorer.output.value, static(explorer)):
        assert 'role="alert"' in view and "KeyError: &#39;&lt;b&gt;missing&#39;" in view
        assert (
            explorer.output.value.count("<section") == good.count("<section") + 1
        )  # the last good view stays


@every_explorer
def test_it_shows_itself_live_as_html_and_as_one_stable_line(make, name):
    one, other = make(name), make(name)
    bundle = one._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == one.box.model_id
    assert bundle["text/plain"] == repr(one) == repr(other)
    assert repr(one).isprintable() and "0x" not in repr(one)
