"""The prediction lens: its last row is the model's output, ranks count from 1, and any token is safe."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets import LensExplorer
from lessons.widgets.views.lens import Layer, describe, lens_view
from minilm import BPETokenizer, MiniLM, ModelConfig, tuning

TEXT = "the keeper counted the boats because the sea was calm. "


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train([TEXT * 20], vocab_size=280)


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=3, n_head=2, d_model=32)
    ).eval()


def test_the_last_row_is_the_models_output(model, tokenizer):
    explorer = LensExplorer(model, tokenizer, TEXT)
    ids = [tokenizer.end_of_text, *tokenizer.encode(TEXT)]
    with torch.no_grad():
        believed = model(torch.tensor([ids])).logits[0].softmax(-1)
    for i, reading in enumerate(explorer.read(model, ids)):
        assert len(reading) == 4
        last = reading[-1]
        assert last.top[0][1] == pytest.approx(believed[i].max().item(), abs=1e-6)
        if i + 1 < len(ids):
            assert last.probability == pytest.approx(believed[i, ids[i + 1]].item(), abs=1e-6)
            assert last.rank == 1 + int((believed[i] > believed[i, ids[i + 1]]).sum())
        else:
            assert last.rank is None


def test_the_first_row_has_seen_nothing_but_the_token(model, tokenizer):
    explorer = LensExplorer(model, tokenizer, "the")
    one, other = explorer.read(model, [5, 9])[0], explorer.read(model, [5, 7, 3])[0]
    assert one[0].top == other[0].top


@pytest.mark.parametrize(
    "method", [tuning.LoRA(rank=2), tuning.Prompt(length=2), tuning.Prefix(length=2, hidden=8)]
)
def test_tuned_models_are_read_to_their_output(model, tokenizer, method):
    tuned = tuning.attach(model, method).eval()
    for parameter in tuned.parameters_to_train():
        torch.nn.init.normal_(parameter, std=0.3)
    explorer = LensExplorer({"base": model, "tuned": tuned}, tokenizer, TEXT)
    assert explorer.error is None
    ids = [tokenizer.end_of_text, *tokenizer.encode("the keeper")]
    with torch.no_grad():
        believed = tuned(torch.tensor([ids])).logits[0].softmax(-1)
    assert explorer.read(tuned, ids)[-1][-1].top[0][1] == pytest.approx(believed[-1].max().item(), abs=1e-6)


def test_ranks_and_probabilities_are_told(read):
    layers = [Layer([(" sea", 0.25)], 7, 0.125), Layer([(" lamp", 0.5)], 1, 0.5)]
    page = read(lens_view(["the", " lamp"], [("", [layers, layers])], 0))
    assert "rank 7 · 12\u202f%" in page.text and "rank 1 · 50\u202f%" in page.text
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert "“ lamp”, expected with probability 50\u202f%" in labels
    assert "layer 1, output “ lamp” 50\u202f%" in describe(["the"], [("", [layers])], 0)


def test_the_position_slider_follows_the_text(model, tokenizer):
    explorer = LensExplorer(model, tokenizer, TEXT)
    assert explorer.position.value == explorer.position.max
    explorer.text.value = ""
    assert explorer.error is None
    assert explorer.position.max == 0
    assert "the text ends" in explorer.output.value


def test_long_texts_and_deep_models_stay_small(tokenizer, model, read):
    deep = MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, n_layer=12, n_head=2, d_model=16, context_length=64)
    ).eval()
    for models in (model, {"a": model, "b": model}, deep, {"a": deep, "b": deep}):
        explorer = LensExplorer(models, tokenizer, "\u200b" * 30)
        assert explorer.error is None
        read(explorer.output.value)


shares = st.floats(0, 1)
layers = st.builds(Layer, st.lists(st.tuples(st.text(max_size=4) | st.binary(max_size=3), shares), min_size=1, max_size=3),
                   st.none() | st.integers(1, 9), shares)  # fmt: skip


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(layers, min_size=1, max_size=3), st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_any_data_give_a_view_that_is_whole_and_always_the_same(read, texts, layers, chosen):
    readings = [("base", [layers] * len(texts)), ("<b>", [layers] * len(texts))]
    view = lens_view(texts, readings, chosen)
    read(view)
    assert view == lens_view(texts, readings, chosen)
