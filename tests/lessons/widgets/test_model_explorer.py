"""Explorers of models: what they cut they say, what a text costs they pay once, and no name can harm the page."""

from __future__ import annotations

import pytest

from lessons.widgets import AttentionExplorer, Explorer, GateExplorer, LensExplorer, Playground, ShiftExplorer
from lessons.widgets.examples import Ingredients, tiny
from lessons.widgets.views.markup import plain
from minilm import MiniLM, ModelConfig

LONG = "the keeper counted the boats because the sea was calm. " * 20
EVIL = "\u202eevil\u2066\x00\x1b[31m\u200b"
SIGNS = "\u202e\u2066\x00\x1b\u200b"


@pytest.fixture(scope="module")
def of() -> Ingredients:
    return tiny()


def on(text: str, of: Ingredients) -> dict[str, Explorer]:
    """The explorers that cut long texts, each on this one."""
    return {
        "attention": AttentionExplorer(of.model, of.tokenizer, text),
        "attention of three": AttentionExplorer(dict.fromkeys("abc", of.model), of.tokenizer, text),
        "gates": GateExplorer(of.gated, of.tokenizer, text),
        "lens": LensExplorer(of.model, of.tokenizer, text),
        "shift": ShiftExplorer(of.adapted, of.tokenizer, text),
    }


def test_a_text_that_is_cut_is_said_to_be(of: Ingredients) -> None:
    n = len(of.tokenizer.encode(LONG))
    longest = {"attention": 64, "attention of three": 128 // 3, "gates": 64, "lens": 39, "shift": 63}
    for name, explorer in on(LONG, of).items():
        assert f"the first {longest[name]} of {n} tokens" in explorer.output.value, name
        assert f"the first {longest[name]} of {n} tokens" in explorer._repr_mimebundle_()["text/html"], name


def test_of_a_text_that_is_shown_whole_nothing_is_said(of: Ingredients) -> None:
    for explorer in on("the sea", of).values():
        assert explorer.error is None and "the first" not in explorer.output.value


def test_a_lens_on_a_very_deep_model_still_shows_a_token(of: Ingredients) -> None:
    shape = ModelConfig(
        vocab_size=of.tokenizer.vocab_size, n_layer=130, n_head=1, d_model=4, context_length=8
    )
    deep = MiniLM(shape).eval()
    explorer = LensExplorer({"a": deep, "b": deep}, of.tokenizer, "the sea")
    n = len(of.tokenizer.encode("the sea"))
    assert explorer.error is None and f"the first 0 of {n} tokens" in explorer.output.value


def test_what_depends_on_the_text_alone_is_computed_once_for_each_text(of: Ingredients) -> None:
    explorer = LensExplorer(of.model, of.tokenizer, "the sea")
    calls: list[str] = []
    compute = lambda: calls.append(explorer.text.value) or len(calls)
    assert [explorer.once(compute), explorer.once(compute)] == [1, 1]
    explorer.text.value = "the lamp"
    assert explorer.once(compute) == 2 and calls == ["the sea", "the lamp"]


def test_one_model_needs_no_control_to_choose_it_and_several_do(of: Ingredients) -> None:
    assert ShiftExplorer(of.adapted, of.tokenizer, "the").chooser == []
    several = Playground({"base": of.model, **of.gated}, of.tokenizer, "the", length=2)
    several.which.value = "prefix"
    assert several.chooser == [several.which] and several.model is of.gated["prefix"]
    assert (
        repr(several) == "Playground(base, prefix)"
        and repr(on("the", of)["attention"]) == "AttentionExplorer()"
    )


def test_names_of_models_and_attributes_are_disarmed_wherever_they_are_shown(of: Ingredients) -> None:
    (gated,), (adapted,) = of.gated.values(), of.adapted.values()
    models, attributes = {EVIL: gated, "שלום": gated}, {EVIL: [1, 2], "b": [3]}
    made = [
        AttentionExplorer(models, of.tokenizer, "the sea"),
        GateExplorer(models, of.tokenizer, "the sea"),
        LensExplorer(models, of.tokenizer, "the sea"),
        Playground(models, of.tokenizer, "the", length=3, attributes=attributes),
        ShiftExplorer({EVIL: adapted, "b": adapted}, of.tokenizer, "the", attributes=attributes),
    ]
    for explorer in made:
        bundle = explorer._repr_mimebundle_()
        options = [name for control in (explorer.which, getattr(explorer, "attribute", None)) if control
                   for name, _ in control.options]  # fmt: skip
        assert explorer.error is None and plain(EVIL) in options
        for shown in (explorer.output.value, bundle["text/html"], bundle["text/plain"], *options):
            assert not any(sign in shown for sign in SIGNS), type(explorer)


def test_error_lines_are_disarmed(of: Ingredients) -> None:
    explorer = LensExplorer(of.model, of.tokenizer, "the sea")
    explorer.fail(ValueError(EVIL + "<b>שלום"))
    for shown in (explorer.output.value, explorer._repr_mimebundle_()["text/html"]):
        assert not any(sign in shown for sign in SIGNS)
        assert '<i class="code">U+202E</i>evil' in shown and "&lt;b&gt;שלום</bdi>" in shown
