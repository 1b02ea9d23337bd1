"""The logit-shift explorer: what it shows is what tuning did, at any strength, beside the exact shift."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets import ShiftExplorer
from lessons.widgets.views.shift import Mover, Position, describe, shift_view
from minilm import BPETokenizer, MiniLM, ModelConfig, tuning
from minilm.steering import Experts

TEXT = "the keeper counted the boats because the sea was calm. "


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train([TEXT * 20], vocab_size=280)


@pytest.fixture
def tuned(tokenizer):
    """A model with a LoRA that does something."""
    torch.manual_seed(0)
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=2, n_head=2, d_model=32)
    tuned = tuning.attach(MiniLM(shape).eval(), tuning.LoRA(rank=2))
    for parameter in tuned.parameters_to_train():
        torch.nn.init.normal_(parameter, std=0.5)
    return tuned.eval()


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 4.0])
def test_probabilities_are_those_of_the_base_and_of_the_strengthened_shift(tuned, tokenizer, strength):
    explorer = ShiftExplorer(tuned, tokenizer, TEXT)
    explorer.strength.value = strength
    ids = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(TEXT)]])
    with torch.no_grad():
        base, combined = tuned.base(ids).logits[0], tuned(ids).logits[0]
    before, after = base.softmax(-1), (base + strength * (combined - base)).softmax(-1)
    for i, position in enumerate(explorer.positions(ids[0, 1:].tolist())):
        moved = (after[i] - before[i]).abs()
        assert position.divergence == pytest.approx(
            (after[i] * (after[i] / before[i]).log2()).sum().item(), abs=1e-4
        )
        for mover in position.movers:
            assert before[i].sub(mover.base).abs().min() < 1e-6
        best = position.movers[0]
        assert abs(best.combined - best.base) == pytest.approx(moved.max().item(), abs=1e-6)


def test_no_strength_no_shift(tuned, tokenizer, read):
    explorer = ShiftExplorer(tuned, tokenizer, TEXT)
    explorer.strength.value = 0.0
    assert all(position.divergence == pytest.approx(0, abs=1e-6) for position in explorer.positions([1, 2]))
    read(explorer.output.value)


def strong(tuned):
    """The same model with weights that do something."""
    for parameter in tuned.parameters_to_train():
        torch.nn.init.normal_(parameter, std=0.3)
    return tuned.eval()


@pytest.mark.parametrize("method", tuning.METHODS)
def test_the_shift_of_every_method_is_its_logits_less_the_bases(tokenizer, method):
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=2, n_head=2, d_model=32)
    tuned = strong(tuning.attach(MiniLM(shape).eval(), tuning.METHODS[method]()))
    chosen = {"sea": [7, 8]} if method == "auxiliary" else None
    explorer = ShiftExplorer(tuned, tokenizer, "the sea", attributes=chosen)
    assert explorer.error is None
    ids = tokenizer.encode("the sea")
    told = {"attribute": torch.tensor([[7, 8]])} if chosen else {}
    with torch.no_grad():
        tokens = torch.tensor([[tokenizer.end_of_text, *ids]])
        wanted = tuned(tokens, **told).logits[0].softmax(dim=-1)
    base, shift = explorer.read(ids)
    torch.testing.assert_close((base + shift).softmax(dim=-1), wanted, atol=1e-5, rtol=1e-4)
    assert explorer.most_moved() >= 0 and max(each.divergence for each in explorer.positions(ids)) > 0


def test_tokens_that_a_method_rules_out_are_numbers_at_any_strength(tuned, tokenizer, read):
    expert, anti_expert = MiniLM(tuned.config).eval(), MiniLM(tuned.config).eval()
    steered = Experts(tuned.base, expert, anti_expert, top_p=0.5)
    explorer = ShiftExplorer(steered, tokenizer, TEXT)
    for strength in (0.0, 1.0, 2.0):
        explorer.strength.value = strength
        assert explorer.error is None and "nan" not in explorer.output.value
        assert all(math.isfinite(each.divergence) for each in explorer.positions([1, 2, 3]))
    read(explorer.output.value)


def test_any_method_and_several_of_them(tokenizer, tuned):
    base = tuned.detach()
    prefix = tuning.attach(base, tuning.Prefix(length=2, hidden=8))
    explorer = ShiftExplorer({"LoRA": prefix, "prefix": prefix}, tokenizer, TEXT)
    assert explorer.error is None
    explorer.which.value = "prefix"
    assert explorer.error is None
    assert "prefix" in explorer.output.value


def test_the_exact_shift_is_asked_for_and_marked(tuned, tokenizer, read):
    asked = []

    def exact(ids, attribute):
        asked.append((ids, attribute))
        return torch.full((len(ids) + 1, tokenizer.vocab_size), 1.5)

    explorer = ShiftExplorer(tuned, tokenizer, "the keeper", exact=exact)
    assert explorer.error is None
    assert asked[0] == (tokenizer.encode("the keeper"), "none")
    page = read(explorer.output.value)
    assert page.tags.count("q") > 0
    assert "+1.5" in page.text


def test_the_position_slider_follows_the_text(tuned, tokenizer):
    explorer = ShiftExplorer(tuned, tokenizer, TEXT)
    explorer.position.value = explorer.position.max
    explorer.text.value = "the"
    assert explorer.error is None
    assert explorer.position.value == explorer.position.max == len(tokenizer.encode("the"))
    assert explorer.output.value.count("token shown") == 1


def test_a_shift_is_the_log_of_a_ratio():
    assert Mover("a", 0.1, 0.2).shift == pytest.approx(math.log(2))
    assert math.isfinite(Mover("a", 0.0, 0.2).shift)


def test_bars_of_all_positions_have_one_scale(read):
    positions = [Position("a", 1.0, [Mover("x", 0.1, 0.2)]), Position("b", 2.0, [Mover("y", 0.1, 0.4)])]
    page = read(shift_view(positions, 0))
    styles = [value for name, value in page.attributes if name == "style"]
    assert "--from:50%;--long:25%" in styles and "--from:50%;--long:50%" in styles
    assert "“x” from 10\u202f% to 20\u202f%" in describe(positions, 0)


probabilities = st.floats(0, 1)
movers = st.builds(Mover, st.text(max_size=4) | st.binary(max_size=3), probabilities, probabilities,
                   st.none() | st.floats(-1e3, 1e3) | st.just(-math.inf))  # fmt: skip
positions = st.builds(Position, st.text(max_size=4), st.floats(0, 100), st.lists(movers, max_size=3))


@given(st.lists(positions, max_size=4), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_any_data_give_a_view_that_is_whole_and_always_the_same(read, positions, chosen):
    view = shift_view(positions, chosen)
    read(view)
    assert view == shift_view(positions, chosen)
    assert "nan" not in view


def test_a_long_text_stays_small(tuned, tokenizer, read):
    read(
        ShiftExplorer(
            tuned, tokenizer, TEXT * 9, exact=lambda ids, _: torch.ones(len(ids) + 1, 280)
        ).output.value
    )
