"""The smoother by its formula, point by point; a text's gates as the trace has them."""

import math

import pytest
import torch

from lessons.widgets import GateExplorer, SmoothingExplorer
from lessons.widgets.smoothing import KINDS, noisy_points
from lessons.widgets.views.gates import Gates, gates_view
from minilm import BPETokenizer, MiniLM, ModelConfig, trace
from minilm.tuning import Inducer, LoRA, Prefix, attach


def by_hand(explorer, x):
    """The plain estimate, the estimate and the gate at one place, from the controls' values."""
    h = explorer.bandwidth.value
    near = lambda distance: math.exp(-(distance**2) / (2 * h**2))
    places, values = noisy_points(explorer.n.value)
    weights = [near(x - place) for place in places.tolist()]
    plain = sum(w * y for w, y in zip(weights, values.tolist(), strict=True)) / sum(weights)
    added = {"nothing": 0.0, "fixed": near(x - explorer.first.value) + near(x - explorer.second.value)}.get(
        explorer.kind.value, near(explorer.offset.value)
    )
    gate = added / (added + sum(weights))
    kept = plain if explorer.kind.value == "near" else (1 - gate) * plain
    return plain, kept + gate * explorer.value.value, gate


@pytest.mark.parametrize("kind", KINDS)
def test_curves_are_the_formula_at_every_place(kind):
    explorer = SmoothingExplorer(kind, n=60, bandwidth=0.9)
    explorer.offset.value, explorer.second.value, explorer.value.value = 0.7, 5.5, -1.2
    seen = explorer.smooth()
    for at in (0, 57, 133, 200):
        plain, estimate, gate = by_hand(explorer, seen.queries[at])
        assert seen.plain[at] == pytest.approx(plain, abs=1e-4)
        assert seen.estimate[at] == pytest.approx(estimate, abs=1e-4)
        assert seen.gate[at] == pytest.approx(gate, abs=1e-4)


def test_a_longer_text_takes_the_weight_from_what_is_added():
    for kind in ("fixed", "near"):
        weights = [SmoothingExplorer(kind, n=n).smooth().weight for n in (8, 40, 200)]
        assert weights[0] > weights[1] > weights[2]


def test_only_the_sliders_that_count_can_be_turned():
    explorer = SmoothingExplorer("fixed")
    assert explorer.offset.disabled and not explorer.first.disabled
    explorer.kind.value = "near"
    assert explorer.first.disabled and not explorer.offset.disabled


@pytest.mark.parametrize("kind", KINDS)
def test_the_smoothers_view_is_whole(kind, read):
    page = read(SmoothingExplorer(kind).output.value)
    assert KINDS[kind] in page.text
    assert "svg" in page.tags


@pytest.fixture
def tokenizer():
    return BPETokenizer.train(["the keeper lit the lamp because the sea was dark. "], vocab_size=270)


@pytest.fixture
def models(tokenizer):
    base = MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=32, n_layer=2, n_head=2, d_model=16)
    ).eval()
    return {"prefix": attach(base, Prefix(4, False)), "inducer": attach(base, Inducer(2, 2))}


def test_gates_are_those_of_the_trace(models, tokenizer):
    explorer = GateExplorer(models, tokenizer, "the lamp", layer=2)
    ids = tokenizer.encode("the lamp")
    with trace(models["inducer"]) as seen:
        models["inducer"](torch.tensor([ids]))
    torch.testing.assert_close(explorer.gates(ids)["inducer"][1], seen.gates[1][0])


def test_the_text_is_shown_once_for_each_model_and_colored_by_its_gate(models, tokenizer, read):
    explorer = GateExplorer(models, tokenizer, "the <lamp>")
    page = read(explorer.output.value)
    assert page.text.count("lamp") == 2 and "inducer" in page.text and "prefix" in page.text
    means = [each for key, each in page.attributes if key == "aria-label"]
    explorer.head.value = 1
    assert [each for key, each in read(explorer.output.value).attributes if key == "aria-label"] != means
    explorer.text.value = ""
    assert "the text is empty" in explorer.output.value


def test_a_model_without_gates_is_named_in_an_error(models, tokenizer):
    explorer = GateExplorer({"lora": attach(models["prefix"].base, LoRA(2))}, tokenizer, "the lamp")
    assert "lora has no gates" in explorer.output.value


def test_shades_are_shares(read):
    view = gates_view([Gates("a", [b"x", b"y"], [0.25, 1.0])], "layer 1")
    assert "--v:25" in view and "--v:100" in view and "62" in read(view).text
